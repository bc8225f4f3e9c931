"""The picture of a look: the series, and where something is doubtful."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure

from rnntips.doctor.series_checks import stretches
from rnntips.figures import COLORS, GREY, axes, legible, plain
from rnntips.series import Series
from rnntips.windows import TRAIN, VALID

__all__ = ["draw"]

BINS = 2000  # of a picture, across


def draw(series: Series, places: Sequence[np.ndarray]) -> Figure:
    """The target over time, its three parts, and numbered places.

    Args:
        places: The steps of each, (k,); empty for what has no place.
    """
    (ax,) = axes(1, 8.6, 2.6)
    values, x = series.values[:, 0], np.arange(len(series)) if series.times is None else series.times
    ax.plot(*_thinned(x, values), color=COLORS["baseline"], linewidth=1)
    for part, begins, ends in (("training", 0, TRAIN), ("validation", TRAIN, VALID), ("test", VALID, 1)):
        first, last = int(begins * len(x)), min(int(ends * len(x)), len(x) - 1)
        middle = x[first] + (x[last] - x[first]) / 2
        ax.annotate(part, (middle, 1), xycoords=("data", "axes fraction"), ha="center", va="top", color=GREY, size=8)
        if first:
            ax.axvline(x[first], color=GREY, linewidth=0.8, linestyle=":")
    for number, rows in enumerate(places, 1):
        if len(rows):
            _mark(ax, x, values, rows, str(number))
    ax.set(ylabel=legible(f"{series.name} ({series.unit})" if series.unit else series.name))
    ax.margins(y=0.12)  # room for the parts' names
    plain(ax.yaxis)
    if series.times is None:
        ax.set_xlabel("step")
        plain(ax.xaxis)
    else:
        places = AutoDateLocator(maxticks=9)
        ax.xaxis.set_major_locator(places)
        ax.xaxis.set_major_formatter(ConciseDateFormatter(places))
        ax.xaxis.get_offset_text().set_color(GREY)
    return ax.figure


def _thinned(x: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What can be seen of a long series: the least and the largest value of every few steps."""
    if len(values) <= 2 * BINS:
        return x, values
    each = -(-len(values) // BINS)
    whole = np.append(values, np.full(-len(values) % each, values[-1])).reshape(-1, each)
    return np.repeat(x[::each], 2), np.column_stack([whole.min(1), whole.max(1)]).ravel()


def _mark(ax: Axes, x: np.ndarray, values: np.ndarray, rows: np.ndarray, number: str) -> None:
    """Shade stretches, ring single steps, and number the first of them."""
    color = COLORS["variant"]
    for first, last in stretches(rows)[:BINS]:
        if first == last:
            ax.plot(x[first], values[first], "o", markersize=7, markerfacecolor="none", color=color)
        else:
            ax.axvspan(x[first], x[last], color=color, alpha=0.2, linewidth=0.5)
    ax.annotate(number, (x[rows[0]], 1), xycoords=("data", "axes fraction"), ha="center", va="bottom", color=color)
