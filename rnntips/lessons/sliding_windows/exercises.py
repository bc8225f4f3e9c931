"""The exercise of the lesson on sliding windows: repair windows that hold values which nobody has yet."""

import numpy as np
import torch

from rnntips import series
from rnntips.notebook.exercise import Exercise

__all__ = ["cut"]


def _cases():
    values = series.demand().values[:, 0]
    yield torch.tensor((values - values.mean()) / values.std()), 96, 48


def _cut(values, past, horizon):
    windows = values.unfold(0, past + horizon, 1)
    inputs, targets = windows[:, :past], windows[:, -1]
    split = int(0.8 * len(windows))
    return (inputs[:split], targets[:split]), (inputs[split:], targets[split:])


def _as_it_was(values, past, horizon, apart=1, target=None, gap=0):
    windows = values.unfold(0, past + 1, apart)
    inputs, targets = windows[:, :past], windows[:, past if target is None else target]
    split = int(0.8 * len(windows))
    return (inputs[: split - gap], targets[: split - gap]), (inputs[split:], targets[split:])


def _apart(values, past, horizon):
    """Right, but end to end."""
    (inputs, targets), (later, truth) = _cut(values, past, horizon)
    return (inputs[::past], targets[::past]), (later[::past], truth[::past])


MEASURED = "a linear forecast is promised {promised} of the naive error. A day ahead of what is known it makes {kept}. "
INSIDE = "Your targets stand in their own windows."
PEEK = "From a window's end to its target it is {gap}, in steps, and a forecast {horizon} ahead knows nothing so new."
FEWER = "There are fewer windows now. From the end of each to its target it is still {gap}, in steps, not {horizon}."
BETWEEN = "The parts are further apart. From a window's end to its target it is still {gap}, in steps, not {horizon}."
EARLY = "Your windows end {gap} steps before the target: they leave out values that are known {horizon} steps before."
FEW = "The windows are right, but {count} are left of {most}: let one begin at every step."
SHAPE = "windows should hold {past} values each, and yours have the shape {shape}."
OTHERS = "windows and targets should hold values of the series, unchanged, one target for each window."


def _wrong(parts, values, past, horizon):
    """What is wrong with windows: measured by a linear forecast, explained by where the first of them ends."""
    (inputs, targets), (later, truth) = parts
    if inputs.shape[1:] != (past,) or later.shape[1:] != (past,):
        return SHAPE.format(past=past, shape=inputs.shape)
    values = np.asarray(values)
    ends = [_steps(values, some) for some in (inputs[:, -1], targets, later[:, -1], truth)]
    if not all(map(len, ends)) or len(ends[0]) != len(ends[1]) or len(ends[2]) != len(ends[3]):
        return OTHERS
    gap = ends[1][0] - ends[0][0]
    count, most = len(inputs) + len(later), len(values) - past - horizon + 1
    if gap == horizon and count >= most - past:
        return None
    if gap == horizon:
        return FEW.format(count=count, most=most)
    why = INSIDE if gap <= 0 else EARLY if gap > horizon else FEWER if count < most / 2 else PEEK
    if why == PEEK and ends[3][0] - ends[1][-1] > 1:
        why = BETWEEN
    known = np.lib.stride_tricks.sliding_window_view(values[: len(values) - horizon], past)[-len(later) :]
    comes = values[-len(known) :]
    weights = np.linalg.lstsq(_with_one(inputs), targets, rcond=None)[0]
    naive = np.sqrt(np.mean((known[:, -1] - comes) ** 2))
    promised, kept = (
        np.sqrt(np.mean((_with_one(some) @ weights - right) ** 2)) / naive
        for some, right in ((later, truth), (known, comes))
    )
    found = {"promised": f"{promised:.2f}", "kept": f"{kept:.2f}"}
    return (MEASURED + why).format(**found, gap=gap, horizon=horizon)


def _steps(values: np.ndarray, some: np.ndarray) -> np.ndarray:
    """When some values were measured, (n,); empty if one of them never was."""
    order = np.argsort(values)
    found = order[np.searchsorted(values[order], some - 1e-6).clip(max=len(values) - 1)]
    return found if np.allclose(values[found], some, atol=1e-5) else found[:0]


def _with_one(windows: np.ndarray) -> np.ndarray:
    return np.column_stack([windows, np.ones(len(windows))])


cut = Exercise(
    "cut", _cut, _cases, tolerance=None, check=_wrong,
    hints=("Draw it: a window, its last value, the target. How many steps lie between these two?",
           "The target lies `horizon` steps after the last value, so a piece needs past + horizon values.",
           "values.unfold(0, past + horizon, 1): the first `past` values are the window, the last one is the target."),
    mistakes=(
        (_as_it_was, MEASURED + PEEK),
        (lambda *of: _as_it_was(*of, apart=of[1]), MEASURED + FEWER),
        (lambda *of: _as_it_was(*of, gap=of[1]), MEASURED + BETWEEN),
        (lambda *of: _as_it_was(*of, target=of[1] - 1), MEASURED + INSIDE),
        (lambda values, past, horizon: _cut(values, past, horizon + 1), MEASURED + EARLY),
        (_apart, FEW),
        (lambda values, past, horizon: _cut(values, past - 1, horizon), SHAPE)),
    kind="return (inputs, targets) of the training part, then of the test part, not {type}.",
)  # fmt: skip
