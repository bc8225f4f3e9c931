"""Exercise of the learning-rate lesson: a schedule that counts epochs and is asked after every update."""

import torch
from torch import nn

from rnntips.lessons.forecaster import errors, untrained
from rnntips.notebook.exercise import Exercise

__all__ = ["train"]

ENOUGH = 0.75  # of the naive error: what ten epochs reach
CREEPS = 0.05  # of the first learning rate
JUMPS = 0.1  # a learning rate from which on the loss jumps


def _as_it_was(model, inputs, targets, lr=0.02, epochs=10, total=10, when="update"):
    optimizer = torch.optim.Adam(model.parameters(), lr=lr)
    scheduler = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.001, total_iters=total)
    used = []
    for _ in range(epochs):
        for rows in torch.randperm(len(inputs)).split(32):  # 32 updates an epoch
            loss = nn.functional.mse_loss(model(inputs[rows]), targets[rows])
            optimizer.zero_grad()
            loss.backward()
            used.append(scheduler.get_last_lr()[0])
            optimizer.step()
            if when == "update":
                scheduler.step()
        if when == "epoch":
            scheduler.step()
    return used


def _train(model, inputs, targets):
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    scheduler = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.001, total_iters=10)
    used = []
    for _ in range(10):
        for rows in torch.randperm(len(inputs)).split(32):
            loss = nn.functional.mse_loss(model(inputs[rows]), targets[rows])
            optimizer.zero_grad(), loss.backward(), optimizer.step()
            used.append(scheduler.get_last_lr()[0])
        scheduler.step()  # once per epoch, as it counts epochs
    return used


MEASURED = "the error is {times} times the naive one. "
SOON = ("After {tenth} of {updates} updates the learning rate is {share} % of the first. "
        "What does the schedule count, and how often is it asked?")  # fmt: skip
HIGH = "A learning rate of {lr:g} only jumps around until it has fallen. Look at how soon it falls instead."
FLAT = "The learning rate is {lr:g} for so many updates. Which one finds a lower loss?"


def _wrong(used, model, inputs, targets):
    """What is wrong with a training: measured on its model, explained by its learning rates."""
    error, naive = errors(model, inputs, targets)
    if error <= ENOUGH * naive:
        return None
    tenth = len(used) // 10
    share = 100 * used[tenth] / max(used) if used else 0
    if max(used, default=0) >= JUMPS:
        why = HIGH.format(lr=max(used))
    elif share < 100 * CREEPS:
        why = SOON.format(tenth=tenth, updates=len(used), share=f"{share:.1g}")
    else:
        why = FLAT.format(lr=max(used))
    return MEASURED.format(times=f"{error / naive:.2f}") + why


train = Exercise(
    "train", _train, lambda: [untrained()], tolerance=None, check=_wrong,
    hints=("Print the learning rate after every update. When does it stop falling?",
           "total_iters is a number of calls of scheduler.step(). How many calls does the loop make?",
           "Call scheduler.step() once per epoch, or let total_iters be the number of updates, 10 · 32."),
    mistakes=(
        (_as_it_was, lambda *of: _as_it_was(*of, epochs=20), MEASURED + SOON),
        (lambda *of: _as_it_was(*of, lr=3.0), MEASURED + HIGH),
        (lambda *of: _as_it_was(*of, lr=0.0002, when="epoch"), MEASURED + FLAT),
    ),
    kind="return the list of learning rates, one for each update, not {type}.",
)  # fmt: skip
