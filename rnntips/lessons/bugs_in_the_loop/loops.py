"""Six training loops on electricity demand: one is right, five have one changed line. Names tell nothing.

A: batch_first is forgotten. B: targets (B,) against answers (B, 1). C: the state is kept between shuffled batches.
D: the last step of padded windows is read. E: two directions, with an answer at every step.
"""

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn.functional import mse_loss

from rnntips import series, tasks
from rnntips.recipe import Recipe

__all__ = ["NAMES", "RIGHT", "Loop"]

RIGHT, NAMES = "loop.py", ("A", "B", "C", "D", "E")
UPDATES, PAST, SHORTEST, WIDTH = 300, 24, 8, 24


class Model(nn.Module):
    """The model of `loop.py`, with the changed line."""

    def __init__(self, name: str):
        super().__init__()
        both = name == "E"
        self.name, self.state = name, None
        self.cell = nn.GRU(1, WIDTH, batch_first=name != "A", bidirectional=both)
        self.readout = nn.Linear(2 * WIDTH if both else WIDTH, 1)

    def forward(self, inputs: Tensor) -> Tensor:
        """Windows (B, T, 1) → forecasts (B, 1); of E (B, T, 1), one after every step."""
        fits = self.name == "C" and self.state is not None and self.state.shape[1] == len(inputs)
        states, last = self.cell(inputs, self.state if fits else None)
        self.state = last.detach() if self.name == "C" else None
        return self.readout(states if self.name == "E" else states[:, -1])


class Loop:
    """A loop with its data.

    Args:
        name: `RIGHT`, or one of `NAMES`.
    """

    def __init__(self, name: str, seed: int = 0):
        self.name, self.random = name, torch.Generator().manual_seed(seed)
        task, recipe = tasks.forecast(series.demand()), Recipe(past=PAST, batch_size=32)
        self.train_part = task.batches(recipe, seed)
        parts = task.batches(recipe.but(batch_size=256), seed, "valid")
        self.valid = [self.shown(*batch) for batch, _ in zip(parts, range(2), strict=False)]
        self.naive = task.naive("valid", recipe, seed)
        torch.manual_seed(seed)
        self.model, self.losses = Model(name), []
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=0.01)

    def shown(self, inputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Inputs, targets and lengths as this loop has them."""
        lengths = torch.full((len(inputs),), PAST)
        if self.name == "B":
            targets = targets[:, 0]
        elif self.name == "D":  # windows of unequal length, padded with zeros at the end
            lengths = torch.randint(SHORTEST, PAST + 1, (len(inputs),), generator=self.random)
            rows = [window[PAST - n :] for window, n in zip(inputs, lengths.tolist(), strict=True)]
            inputs = nn.utils.rnn.pad_sequence([*rows, inputs[0]], batch_first=True)[:-1]
        elif self.name == "E":  # the value after every step
            targets = torch.cat([inputs[:, 1:], targets[:, None]], 1)
        return inputs, targets, lengths

    def batches(self) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Endless batches: inputs, targets, lengths."""
        for batch in self.train_part:
            yield self.shown(*batch)

    def train(self) -> "Loop":
        """Train, and keep the loss of every update."""
        for _, (inputs, targets, _) in zip(range(UPDATES), self.batches(), strict=False):
            loss = mse_loss(self.model(inputs), targets)
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            self.losses.append(loss.item())
        return self

    @torch.no_grad()
    def error(self) -> float:
        """The error of forecasting the value after a window, as a share of naive."""
        found = [_last(self.model(inputs)) - _last(targets) for inputs, targets, _ in self.valid]
        return float(torch.cat(found).square().mean().sqrt()) / self.naive


def _last(values: Tensor) -> Tensor:
    """What is said of the value after the window, (B,): of (B,), (B, 1) or (B, T, 1)."""
    return values.reshape(len(values), -1)[:, -1]
