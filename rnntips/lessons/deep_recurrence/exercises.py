"""The exercise of the lesson on deep recurrence: a stack whose second layer never learns."""

import torch
from torch import nn

from rnntips import series, tasks
from rnntips.lessons.forecaster import errors
from rnntips.notebook.exercise import Exercise
from rnntips.recipe import Recipe

__all__ = ["Net", "train"]

ENOUGH = 0.8  # of the naive error: what two layers reach in 200 updates
MOVED = 0.01  # relative change of the second layer's weights that counts as training


class Net(nn.Module):
    """Two GRU layers; the readout answers from the upper one's last state."""

    def __init__(self, width: int = 16):
        super().__init__()
        self.cell = nn.GRU(1, width, num_layers=2, batch_first=True, dropout=0.1)
        self.readout = nn.Linear(width, 1)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Windows (B, T, 1) → forecasts (B, 1)."""
        return self.readout(self.cell(inputs)[0][:, -1])


def _cases():
    task = tasks.forecast(series.demand())
    torch.manual_seed(0)
    yield Net(), *next(task.batches(Recipe(past=16, batch_size=500), 0))


def _train(model, inputs, targets):
    optimizer, losses = torch.optim.Adam(model.parameters(), lr=0.01), []
    for _ in range(200):
        rows = torch.randint(len(inputs), (32,))
        _, last = model.cell(inputs[rows])  # the last state of each layer, (2, 32, 16)
        loss = nn.functional.mse_loss(model.readout(last[-1]), targets[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def _as_it_was(model, inputs, targets, read=lambda last: last[0], lr=0.01, updates=200):
    optimizer, losses = torch.optim.Adam(model.parameters(), lr=lr), []
    for _ in range(updates):
        rows = torch.randint(len(inputs), (32,))
        loss = nn.functional.mse_loss(model.readout(read(model.cell(inputs[rows])[1])), targets[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def _without_dropout(model, inputs, targets):
    model.cell.dropout = 0.0
    return _as_it_was(model, inputs, targets)


MEASURED = "the second layer's weights moved by {moved} %, and the error is {times} times the naive one. "
NOT_READ = "No gradient reaches that layer. What does `last[0]` hold? Print `last.shape`."
MIXED = "Both layers learn now, but in training the readout reads something else than `forward` does."
MORE = "The right layer learns now. Train as long, and with such a learning rate, that it can."


def _wrong(losses, model, inputs, targets):
    """What is wrong with a training: how far the second layer moved, and how far the model's forecasts are off."""
    model.eval()
    with torch.no_grad():
        torch.manual_seed(0)
        before, after = (torch.cat([w.flatten() for w in net.cell.all_weights[1]]) for net in (Net(), model))
        moved = float((after - before).norm() / before.norm())
        mixed = float((model.readout(model.cell(inputs)[1].mean(0)) - targets).square().mean().sqrt())
    error, naive = errors(model, inputs, targets)
    if moved >= MOVED and error <= ENOUGH * naive:
        return None
    why = NOT_READ if moved < MOVED else MIXED if mixed < error else MORE
    return MEASURED.format(moved=f"{100 * moved:.1f}", times=f"{error / naive:.1f}") + why


train = Exercise(
    "train", _train, _cases, tolerance=None, check=_wrong,
    hints=("Which weights have a gradient? After loss.backward(), print the norm of p.grad for each of "
           "model.named_parameters().",
           "PyTorch's GRU returns the states of the upper layer at every step, and the last state of each layer.",
           "last[0] is the lower layer's last state; last[-1], or states[:, -1], is the upper one's."),
    mistakes=(
        (_as_it_was, _without_dropout, lambda *of: _as_it_was(*of, lr=0.1), lambda *of: _as_it_was(*of, updates=600),
         MEASURED + NOT_READ),
        (lambda *of: _as_it_was(*of, read=lambda last: last.mean(0)), MEASURED + MIXED),
        (lambda *of: _as_it_was(*of, read=lambda last: last[-1], updates=10), MEASURED + MORE),
    ),
    kind="return the list of losses, one for each update, not {type}.",
)  # fmt: skip
