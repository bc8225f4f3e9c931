"""The challenge of the lesson on a series of one's own: a loop with five wrong settings."""

from functools import cache

import torch
from torch import nn

from rnntips import series
from rnntips.notebook.exercise import Exercise

__all__ = ["forecasts"]

ENOUGH = 0.6  # of the naive error, which forecasts no change
PAST, AHEAD, TRAIN = 52, 4, 0.8  # weeks a window has, and to its target; share of the windows that are trained on


@cache
def _data():
    """Changes of CO2 from week to week in ppb, and the change over the next four weeks; later windows and targets."""
    values = torch.tensor(series.co2().values[:, 0] * 1000, dtype=torch.float32)
    changes = values.diff()
    windows = changes.unfold(0, PAST, 1)[:-AHEAD, :, None]
    targets = (values[PAST + AHEAD :] - values[PAST:-AHEAD])[:, None]
    first = int(TRAIN * len(windows))
    return windows[:first], targets[:first], windows[first + PAST :], targets[first + PAST :, 0]


def _cases():
    yield tuple(each.clone() for each in _data()[:3])


def _forecasts(inputs, targets, later):
    torch.manual_seed(0)
    scale, wide = inputs.std(), targets.std()
    cell, readout = nn.GRU(1, 24, batch_first=True), nn.Linear(24, 1)
    optimizer = torch.optim.Adam([*cell.parameters(), *readout.parameters()], lr=0.01)
    for _update in range(300):
        rows = torch.randint(len(inputs), (32,))
        answers = readout(cell(inputs[rows] / scale)[0][:, -1])
        loss = nn.functional.mse_loss(answers, targets[rows] / wide)
        optimizer.zero_grad(), loss.backward(), optimizer.step()
    with torch.no_grad():
        return (readout(cell(later / scale)[0][:, -1]) * wide)[:, 0].tolist()


def _as_it_was(inputs, targets, later, scaled=False, lr=1.0, updates=30, steps=4, output=torch.sigmoid):
    torch.manual_seed(0)
    scale, wide = (inputs.std(), targets.std()) if scaled else (1, 1)
    cell, readout = nn.GRU(1, 24, batch_first=True), nn.Linear(24, 1)
    optimizer = torch.optim.Adam([*cell.parameters(), *readout.parameters()], lr=lr)
    for _update in range(updates):
        rows = torch.randint(len(inputs), (32,))
        answers = output(readout(cell(inputs[rows, -steps:] / scale)[0][:, -1]))
        loss = nn.functional.mse_loss(answers, targets[rows] / wide)
        optimizer.zero_grad(), loss.backward(), optimizer.step()
    with torch.no_grad():
        return (output(readout(cell(later[:, -steps:] / scale)[0][:, -1])) * wide)[:, 0].tolist()


FLAT = (
    "the error is {times} of naive, and the answers vary by {spread} of what the targets do. Which numbers can this "
    "output give, and how large are inputs and targets?"
)
WILD = (
    "the error is {times} of naive, although the answers vary by {spread} of what the targets do. Print the loss: does "
    "it fall, or jump?"
)
FAR = (
    "the error is {times} of naive, and 0.6 is needed. What is left of these: how much of a window is read, the number "
    "of updates, the output?"
)


def _wrong(answers, inputs, targets, later):
    """What is wrong with forecasts: their error, as a share of that of “no change”, and how they vary."""
    found, wanted = torch.tensor(answers), _data()[3]
    if found.shape != wanted.shape:
        return f"return a forecast for each of the {len(wanted)} later windows; {len(answers)} came."
    error = (found - wanted).square().mean().sqrt() / wanted.square().mean().sqrt()
    told = {"times": f"{error:.2f}", "spread": f"{found.std() / wanted.std():.2f}"}
    if error <= ENOUGH:
        return None
    return (FLAT if found.std() < wanted.std() / 10 else WILD if error > 1 else FAR).format(**told)


RIGHT = {"scaled": True, "lr": 0.01, "updates": 300, "steps": PAST, "output": lambda found: found}


def _but(**wrong):
    return lambda *of: _as_it_was(*of, **RIGHT | wrong)


def _least_squares(inputs, targets, later):
    weights = torch.linalg.lstsq(inputs[:, :, 0], targets).solution
    return (later[:, :, 0] @ weights)[:, 0].tolist()


forecasts = Exercise(
    "forecasts", _forecasts, _cases, tolerance=None, check=_wrong,
    hints=("Print loss.item() and the smallest and largest of answers and targets. Can they ever agree?",
           "Divide inputs and targets by the training windows' standard deviations, and the answers back at the end.",
           "A linear output, all 52 steps, Adam at 0.01, 300 updates."),
    mistakes=(
        (_as_it_was, _but(scaled=False), lambda *of: _as_it_was(*of, scaled=True), FLAT),
        (_but(lr=1.0), WILD),
        (_but(updates=30), _but(steps=4), _but(output=torch.sigmoid), FAR),
    ),
    accept=(_but(), _but(lr=0.003, updates=600), _but(steps=26), _least_squares),
    kind="return a list with one number for each later window, such as answers[:, 0].tolist(), not {type}.",
)  # fmt: skip
