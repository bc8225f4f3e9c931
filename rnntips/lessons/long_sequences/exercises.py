"""The exercise of the lesson on long sequences: chunks whose gradients are never cleared between two updates."""

import torch
from torch import Tensor, nn

from rnntips import tasks
from rnntips.notebook.exercise import Exercise
from rnntips.recipe import Recipe

__all__ = ["train"]

ENOUGH = 0.2  # of the naive error: the repaired loop reaches less than half of it
PASSES, CHUNKS = 6, 50  # over the sequences; in each of them


class Net(nn.Module):
    """An LSTM that answers at every step.

    Args:
        channels: Inputs of a step.
        width: Units.
    """

    def __init__(self, channels: int = 16, width: int = 16):
        super().__init__()
        self.cell, self.readout = nn.LSTM(channels, width, batch_first=True), nn.Linear(width, 1)

    def forward(self, inputs: Tensor, state: tuple[Tensor, Tensor] | None = None):
        """Inputs (B, T, 16) and the state before them, zeros if None → answers (B, T, 1), and the state after them."""
        states, state = self.cell(inputs, state)
        return self.readout(states), state


def _case():
    torch.manual_seed(0)
    return Net(), *next(tasks.returns().batches(Recipe(past=500, batch_size=15), 0))


def _train(model, inputs, targets):
    optimizer, losses = torch.optim.Adam(model.parameters(), lr=0.01), []
    for _ in range(6):
        state = None
        for x, y in zip(inputs.split(10, 1), targets.split(10, 1), strict=True):
            answers, state = model(x, state)
            state = tuple(value.detach() for value in state)
            loss = nn.functional.mse_loss(answers, y)
            optimizer.zero_grad()  # for each update the gradient of its own chunk alone
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    return losses


def _as_it_was(model, inputs, targets, lr=0.01, size=10, passes=PASSES, steps=True):
    """Gradients cleared once a pass; with updates after every chunk, or one at its end."""
    optimizer, losses = torch.optim.Adam(model.parameters(), lr=lr), []
    for _ in range(passes):
        state = None
        optimizer.zero_grad()
        for x, y in zip(inputs.split(size, 1), targets.split(size, 1), strict=True):
            answers, state = model(x, state)
            state = tuple(value.detach() for value in state)
            loss = nn.functional.mse_loss(answers, y)
            loss.backward()
            if steps:
                optimizer.step()
                losses.append(loss.item())
        if not steps:
            optimizer.step()
            losses.append(loss.item())
    return losses


MEASURED = "the error is {error} of naive after {updates} updates. "
OLD = "None of the sizes is wrong. What does the last update of a pass follow: its own chunk, or more than that?"
ONCE = "That is one update a pass, of all chunks' gradients: right as a sum, but far too few updates."
LONGER = "Longer chunks, and updates still add up old gradients. Look at what is in .grad before a chunk's backward()."


def _wrong(losses, model, inputs, targets):
    """What is wrong with a training, measured on its model, and explained by how many updates it made."""
    with torch.no_grad():
        error = float((model(inputs)[0] - targets).square().mean().sqrt() / targets.square().mean().sqrt())
    if error <= ENOUGH:
        return None
    why = ONCE if len(losses) <= PASSES else LONGER if len(losses) < PASSES * CHUNKS else OLD
    return MEASURED.format(error=f"{error:.2f}", updates=len(losses)) + why


train = Exercise(
    "train", _train, lambda: [_case()], tolerance=None, check=_wrong,
    hints=("Try three learning rates and three lengths of the chunks: it is none of them.",
           "backward() does not replace a gradient, it adds to it. What is in .grad when the second chunk is done?",
           "zero_grad() belongs before every backward() whose update shall follow that chunk alone."),
    mistakes=(
        (lambda *of: _as_it_was(*of, lr=0.001), lambda *of: _as_it_was(*of, lr=0.1),
         lambda *of: _as_it_was(*of, passes=12), MEASURED + OLD),
        (lambda *of: _as_it_was(*of, steps=False), lambda *of: _as_it_was(*of, steps=False, lr=0.03), MEASURED + ONCE),
        (lambda *of: _as_it_was(*of, size=100), lambda *of: _as_it_was(*of, size=50), MEASURED + LONGER),
    ),
    kind="return the list of losses, one for each update, not {type}.",
)  # fmt: skip
