"""The exercise of the lesson on optimizers: Adam's two memories are swapped, and no learning rate helps."""

import torch
from torch import nn

from rnntips.lessons.forecaster import errors, untrained
from rnntips.notebook.exercise import Exercise

__all__ = ["train"]

ENOUGH = 0.8  # of the naive error: what 200 updates reach
UPDATES = 200
FAR = 10.0  # times the first loss: beyond it steps were too long


def _train(model, inputs, targets):
    # the first is for the mean of gradients, the second, longer one for the mean of their squares
    optimizer, losses = torch.optim.Adam(model.parameters(), lr=0.01, betas=(0.9, 0.999)), []
    for _ in range(200):
        rows = torch.randint(len(inputs), (32,))
        loss = nn.functional.mse_loss(model(inputs[rows]), targets[rows])
        optimizer.zero_grad(), loss.backward(), optimizer.step()
        losses.append(loss.item())
    return losses


def _as_it_was(model, inputs, targets, lr=0.01, betas=(0.999, 0.9), updates=UPDATES):
    optimizer, losses = torch.optim.Adam(model.parameters(), lr=lr, betas=betas), []
    for _ in range(updates):
        rows = torch.randint(len(inputs), (32,))
        loss = nn.functional.mse_loss(model(inputs[rows]), targets[rows])
        optimizer.zero_grad(), loss.backward(), optimizer.step()
        losses.append(loss.item())
    return losses


MEASURED = "the error is {times} times the naive one. "
OLD = ("If it is not the learning rate: how many updates does each of Adam's two means remember, 1 / (1 − β), and "
       "which of them says where to go?")  # fmt: skip
LONGER = "After {updates} updates it swings as before. Do its steps follow the last gradients, or old ones?"
STEPS = "The loss rose to {rose} times the first one: Adam steps about one learning rate, here too far."


def _wrong(losses, model, inputs, targets):
    """What is wrong with a training: measured on its model, explained by its losses."""
    error, naive = errors(model, inputs, targets)
    if error <= ENOUGH * naive:
        return None
    rose = max(losses, default=1.0) / losses[0] if losses else 1.0
    why = STEPS if rose > FAR else LONGER if len(losses) > UPDATES else OLD
    return (MEASURED + why).format(times=f"{error / naive:.2f}", updates=len(losses), rose=f"{rose:.2g}")


train = Exercise(
    "train", _train, lambda: [untrained()], tolerance=None, check=_wrong,
    hints=("It is none of the sizes: try three learning rates, and three lengths of the training.",
           "Adam's step is a mean of gradients over the root of a mean of their squares. betas say how much of the old "
           "mean each keeps.",
           "PyTorch's betas are (0.9, 0.999): the first is for the gradients, the second for their squares."),
    mistakes=(
        (_as_it_was, lambda *of: _as_it_was(*of, lr=0.001), lambda *of: _as_it_was(*of, lr=0.003), MEASURED + OLD),
        (lambda *of: _as_it_was(*of, updates=400), MEASURED + LONGER),
        (lambda *of: _as_it_was(*of, lr=1.0, betas=(0.9, 0.999)), MEASURED + STEPS),
    ),
    kind="return the list of losses, one for each update, not {type}.",
)  # fmt: skip
