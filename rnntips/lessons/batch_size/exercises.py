"""Exercises of the batch size lesson: count updates, and repair a loop whose batch was made larger."""

from math import ceil

import torch
from torch import nn

from rnntips.lessons.forecaster import errors, untrained
from rnntips.notebook.exercise import Exercise

__all__ = ["how_many", "train"]


def _how_many(windows, batch_size, epochs):
    return epochs * ceil(windows / batch_size)


how_many = Exercise(
    "how_many", _how_many, cases=[(1000, 10, 5), (1000, 1000, 5), (1000, 300, 2), (7, 2, 4), (5, 8, 2)],
    hints=("How many batches does one epoch have? Try 7 windows in batches of 2 on paper.",
           "PyTorch's DataLoader gives a smaller batch at the end of an epoch if windows are left over.",
           "Round windows / batch_size up with math.ceil, then multiply by the epochs."),
    mistakes=(  # of n windows, batch size b, and e epochs
        (lambda n, b, e: ceil(n / b), "that is one epoch. There are several."),
        (lambda n, b, e: n * e, "that counts windows. An update takes a whole batch of them."),
        (lambda n, b, e: e * b, "that multiplies epochs by the batch size. How many batches does an epoch have?"),
        (lambda n, b, e: e, "that counts epochs. How many batches does an epoch have?"),
        (lambda n, b, e: e * (n // b),
         "the windows left over at the end of an epoch are a smaller batch. Count it too."),
        (lambda n, b, e: e * n / b, "there is no part of an update. What is left over at the end is a batch as well."),
        (lambda n, b, e: ceil(e * n / b), lambda n, b, e: round(e * n / b),
         "every epoch ends with its own smaller batch: round up before you multiply."),
        (lambda n, b, e: e * (n // b + 1), "nothing is left over where the batch size divides the number of windows."),
        (lambda n, b, e: b / n, lambda n, b, e: e * b / n, "the fraction stands upside down.")),
    kind="return a number of updates, not {type}.",
    case="{windows} windows in batches of {batch_size}, {epochs} epochs",
    otherwise="that makes {right} updates, and yours is {yours}.",
)  # fmt: skip

ENOUGH = 0.75  # of the naive error: what a few hundred updates reach
FEWEST = 50  # updates


def _train(model, inputs, targets):
    optimizer, losses = torch.optim.Adam(model.parameters(), lr=0.01), []
    for _ in range(10):
        for rows in torch.randperm(len(inputs)).split(25):  # 40 updates an epoch
            loss = nn.functional.mse_loss(model(inputs[rows]), targets[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    return losses


def _as_it_was(model, inputs, targets, size=1000, epochs=5, lr=0.01, loss_of=nn.functional.mse_loss):
    optimizer, losses = torch.optim.Adam(model.parameters(), lr=lr), []
    for _ in range(epochs):
        for rows in torch.randperm(len(inputs)).split(size):
            loss = loss_of(model(inputs[rows]), targets[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    return losses


MEASURED = "after {updates} updates the error is {times} times the naive one. "
SUMMED = "A sum instead of a mean only lengthens the gradient, and Adam divides by its length."
FEW = "So few steps lead nowhere, however long they are. How many updates do five epochs make?"
ENOUGH_UPDATES = "There are enough updates now. Look at the learning rate."


def _wrong(losses, model, inputs, targets):
    """What is wrong with a training: measured on its model, explained by the number of its updates."""
    error, naive = errors(model, inputs, targets)
    if len(losses) >= FEWEST and error <= ENOUGH * naive:
        return None
    summed = losses and losses[0] > 10 * float(targets.square().mean())
    why = SUMMED if summed else FEW if len(losses) < FEWEST else ENOUGH_UPDATES
    return MEASURED.format(updates=len(losses), times=f"{error / naive:.2f}") + why


train = Exercise(
    "train", _train, lambda: [untrained()], tolerance=None, check=_wrong,
    hints=("Print len(losses): how often did the weights move?",
           "Either smaller batches, or more epochs: some hundreds of updates are needed.",
           "Batches of 25 make 40 updates an epoch; the learning rate that suits them is about 0.01."),
    mistakes=(
        (_as_it_was, lambda *of: _as_it_was(*of, lr=0.1), MEASURED + FEW),
        (lambda *of: _as_it_was(*of, loss_of=nn.MSELoss(reduction="sum")), MEASURED + SUMMED),
        (lambda *of: _as_it_was(*of, size=25, epochs=10, lr=3.0), MEASURED + ENOUGH_UPDATES),
    ),
    kind="return the list of losses, one for each update, not {type}.",
)  # fmt: skip
