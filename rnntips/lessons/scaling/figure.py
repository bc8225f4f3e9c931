"""What scaling makes of the numbers that a cell is fed, and what the record says of each scaler."""

from collections.abc import Mapping

import numpy as np
import torch
from matplotlib.axes import Axes
from torch import nn

from rnntips.figures import COLORS, GREY, axes, log_ticks, plain
from rnntips.notebook.drawing import Label, Line, signed
from rnntips.notebook.explorer import Explorer
from rnntips.notebook.tips import Tip
from rnntips.windows import SCALINGS, fit_scaler

__all__ = ["errors", "fed", "fed_cell", "of_scalers"]

OFFSETS, SPREADS, OUTLIERS = [0, 1, 3, 10, 30, 100], [0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100], [0, 2, 4, 8, 16]
SCALERS = ["none", "centre", "scale", "standard", "symmetric", "robust"]
LEFT, RIGHT, FED, STATES = 60, 745, 100, 265  # of the picture: where curves begin and end, their middles
HIGH = 70  # half the height of a curve
LINEAR, MOST = 2.0, 400.0  # up to where the axis of what is fed is linear, and where it ends
UNITS, SHOWN = 24, 6


def fed(values: np.ndarray, offset: float, spread: float, outlier: float, scaler: str) -> np.ndarray:
    """What a network is fed of a series with this offset and spread, (T,).

    Args:
        values: (T,), in any unit: mean and standard deviation are replaced by `offset` and `spread`.
        outlier: So many standard deviations are added to one value, two fifths of the way.
        scaler: See `rnntips.windows.fit_scaler`; it learns from all of these values, as if they were a training part.
    """
    shape = (values - values.mean()) / values.std()
    shape[2 * len(shape) // 5] += outlier
    series = offset + spread * shape
    shift, divisor = fit_scaler(scaler, series[:, None])
    return (series - shift[0]) / divisor[0]


def fed_cell(values: np.ndarray) -> Explorer:
    """Sliders for offset, spread, an outlier and the scaler: what a cell is fed of `values` (T,), and its states.

    The cell is a GRU with 24 units that was not trained; six of its states are drawn.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        cell = nn.GRU(1, UNITS, batch_first=True)

    def draw(*chosen) -> tuple[str, list[Line | Label]]:
        inputs = fed(values, *chosen)
        with torch.no_grad():
            states = cell(torch.tensor(inputs, dtype=torch.float32)[None, :, None])[0][0].numpy()
        moved = float(states[len(states) // 2 :].std(axis=0).mean())
        low, high = _short(inputs.min()), _short(inputs.max())
        said = f"The cell is fed {low} to {high}. In the second half its states move by {signed(moved, 3)}."
        return said, _picture(inputs, states[:, :SHOWN], f"{low} to {high}", signed(moved, 3))

    choices = {"offset": OFFSETS, "spread": SPREADS, "outlier": OUTLIERS, "scaler": SCALERS}
    return Explorer(draw, choices, {"spread": 1}, height=360)


def _picture(inputs: np.ndarray, states: np.ndarray, between: str, moved: str) -> list[Line | Label]:
    """Above what is fed, below the states, over time."""
    xs, found = np.linspace(LEFT, RIGHT, len(inputs)), []
    ends = ("−100", -100), ("−2", -2), ("0", 0), ("2", 2), ("100", 100)
    for words, value in ends:
        found.append(Label(LEFT - 8, FED - HIGH * _axis(value) + 4, words, anchor="end"))
        found.append(Line("axis", [(LEFT, FED - HIGH * _axis(value)), (RIGHT, FED - HIGH * _axis(value))], 0.4))
    for value in (-1, 0, 1):
        found.append(Label(LEFT - 8, STATES - HIGH * value + 4, signed(value, 0), anchor="end"))
        found.append(Line("axis", [(LEFT, STATES - HIGH * value), (RIGHT, STATES - HIGH * value)], 0.4))
    found.append(Line("baseline", list(zip(xs, FED - HIGH * _axis(inputs), strict=True)), 2))
    found += [Line("variant", list(zip(xs, STATES - HIGH * unit, strict=True)), 1.3) for unit in states.T]
    found.append(Label(LEFT, FED - HIGH - 12, f"the cell is fed {between}", "ink", "start"))
    said = f"six of its states; in the second half they move by {moved} (standard deviation)"
    found.append(Label(LEFT, STATES - HIGH - 12, said, "ink", "start"))
    found.append(Label((LEFT + RIGHT) / 2, STATES + HIGH + 20, f"{len(inputs)} steps"))
    return found


def _axis(values: np.ndarray | float) -> np.ndarray:
    """Heights from −1 to 1: linear up to LINEAR, logarithmic beyond."""
    size, end = np.abs(values), 1 + 0.6 * np.log10(MOST / LINEAR)
    beyond = 1 + 0.6 * np.log10(np.maximum(size, LINEAR) / LINEAR)
    return np.sign(values) * np.where(size <= LINEAR, size / LINEAR, beyond) / end


def _short(value: float) -> str:
    """Two significant digits, and three after the point at most."""
    digits = max(0, min(3, 1 - int(np.floor(np.log10(max(abs(value), 1e-3))))))
    return signed(value, digits)


def errors(tip: Tip, settings: Mapping[str, str]) -> Axes:
    """Errors in the record for each scaler: medians, and the middle 80 % of the runs.

    Args:
        settings: Title → setting.
    """
    places = axes(len(settings), 2.35 * len(settings), 3.0)
    there = {kind for setting in settings.values() for kind in of_scalers(tip, setting)}
    kinds = [kind for kind in SCALINGS if kind in there]
    for ax, (title, setting) in zip(places, settings.items(), strict=True):
        for kind, shares in of_scalers(tip, setting).items():
            row = len(kinds) - 1 - kinds.index(kind)
            low, median, high = np.percentile(shares, [10, 50, 90])
            color, marker = (COLORS["baseline"], "o") if kind == "standard" else (COLORS["variant"], "D")
            ax.plot([low, high], [row, row], color=color, linewidth=5, alpha=0.35, solid_capstyle="butt")
            ax.plot(median, row, marker, color=color, markersize=6)
        ax.axvline(1, color=GREY, linewidth=0.8, linestyle=":")
        ax.set(xscale="log", xlabel="test error, in naive errors", yticks=[], ylim=(-0.6, len(kinds) - 0.4))
        ax.set_xticks(log_ticks(*ax.get_xlim()))
        ax.set_title(title, size=10)
        plain(ax.xaxis)
    places[0].set_yticks(range(len(kinds)), kinds[::-1])
    return places[-1]


def of_scalers(tip: Tip, setting: str) -> dict[str, np.ndarray]:
    """Scaler → stored errors as shares of naive, of the arms that differ in it alone, at the learning rates that tuning
    chose; a run that diverged counts as a hundred times naive."""
    base, found = tip.base.but(**tip.fields(setting)), {}
    for arm in tip.arms(setting):
        kind = arm.recipe.input_scaling
        if arm.recipe == base.but(input_scaling=kind):
            found[kind] = np.nan_to_num(arm.scores.shares, posinf=100)
    return {kind: found[kind] for kind in SCALINGS if kind in found}
