"""The exercise of the initialization lesson: a loop whose units all start alike, and stay alike."""

import torch
from torch import nn

from rnntips import series, tasks
from rnntips.notebook.exercise import Exercise
from rnntips.recipe import Recipe

__all__ = ["train"]

WIDTH, UPDATES = 16, 300
ENOUGH = 1.0  # of the naive error: what so many updates reach, with room
CLOSE = 1e-3  # states of two units that differ by less are the same


class Net(nn.Module):
    """A tanh network that answers after the last step."""

    def __init__(self, width: int = WIDTH):
        super().__init__()
        self.cell, self.readout = nn.RNN(1, width, batch_first=True), nn.Linear(width, 1)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Windows (B, T, 1) → forecasts (B, 1)."""
        return self.readout(self.cell(inputs)[0][:, -1])


def different(model: Net, inputs: torch.Tensor) -> int:
    """How many of its units differ: groups of units whose last states agree on all windows count once."""
    with torch.no_grad():
        states = model.cell(inputs)[0][:, -1].T  # (H, B)
    apart = torch.cdist(states, states, p=torch.inf) > CLOSE
    return sum(bool(apart[unit, :unit].all()) for unit in range(len(states)))


def _cases():
    torch.manual_seed(0)
    task = tasks.forecast(series.demand())
    yield Net(), *next(task.batches(Recipe(past=16, batch_size=1000), 0))


def _train(model, inputs, targets):
    for weights in model.parameters():
        nn.init.uniform_(weights, -1 / 4, 1 / 4)  # one over the root of the number of units
    optimizer, losses = torch.optim.Adam(model.parameters(), lr=0.01), []
    for _ in range(300):
        rows = torch.randint(len(inputs), (32,))
        loss = nn.functional.mse_loss(model(inputs[rows]), targets[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def _as_it_was(model, inputs, targets, start=lambda weights: nn.init.constant_(weights, 0.1), lr=0.01, updates=UPDATES):
    for weights in model.parameters():
        start(weights)
    optimizer, losses = torch.optim.Adam(model.parameters(), lr=lr), []
    for _ in range(updates):
        rows = torch.randint(len(inputs), (32,))
        loss = nn.functional.mse_loss(model(inputs[rows]), targets[rows])
        optimizer.zero_grad(), loss.backward(), optimizer.step()
        losses.append(loss.item())
    return losses


ALIKE = (
    "the error is {times} of naive, and after training the {width} units are of {count} kind(s). Why should two units "
    "that start alike, read the same and get the same gradient ever become different?"
)
SLOW = "units differ now, but the error is {times} of naive. Leave the rest of the loop as it is."
FEW = f"there are fewer than {UPDATES} losses. Leave the number of updates as it is."


def _wrong(losses, model, inputs, targets):
    """What is wrong with a training: measured by its units, and by its error."""
    with torch.no_grad():
        error = float((model(inputs) - targets).square().mean().sqrt())
    naive = float((inputs[:, -1] - targets).square().mean().sqrt())
    count = different(model, inputs)
    told = {"times": f"{error / naive:.2f}", "count": count, "width": model.cell.hidden_size}
    if len(losses) < UPDATES:
        return FEW
    if count < model.cell.hidden_size / 2:
        return ALIKE.format(**told)
    return None if error <= ENOUGH * naive else SLOW.format(**told)


train = Exercise(
    "train", _train, _cases, tolerance=None, check=_wrong,
    hints=("Print model.cell.weight_hh_l0 after the training. What is strange about its rows?",
           "Two units with the same weights get the same gradient. So what must be different at the start?",
           "PyTorch had drawn random weights before the first line replaced them. Leave that line out."),
    mistakes=(
        (_as_it_was, lambda *of: _as_it_was(*of, lr=0.03), lambda *of: _as_it_was(*of, start=nn.init.zeros_),
         lambda *of: _as_it_was(*of, start=lambda weights: nn.init.constant_(weights, -0.3)), ALIKE),
        (lambda *of: _as_it_was(*of, start=lambda weights: nn.init.normal_(weights, 0, 0.3), lr=1e-5), SLOW),
        (lambda *of: _as_it_was(*of, start=lambda weights: None, updates=20), FEW),
    ),
    accept=(lambda *of: _as_it_was(*of, start=lambda weights: None),
            lambda *of: _as_it_was(*of, start=lambda weights: nn.init.normal_(weights, 0, 0.3))),
    kind="return the list of losses, one for each update, not {type}.",
)  # fmt: skip
