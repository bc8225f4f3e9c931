"""How far back the gradient of a long window reaches, and what ways of reading such a window come to."""

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes

from rnntips.figures import COLORS, GREY, axes, band
from rnntips.notebook.tips import Tip

__all__ = ["reach", "ways"]

LINEAR = "linear error"  # a reading of the record
DIVERGED = 100  # times naive


def reach(norms: np.ndarray, marks: Mapping[str, int], unit: str = "step") -> Axes:
    """The gradient at each input of a window, the newest one's being 1, over the steps back; a log axis.

    Args:
        norms: What `gradient_by_lag` says of some runs for lags 0, 1, …, (R, lags).
        marks: Name → steps back, of inputs to point at.
    """
    (ax,) = axes(1, 7.0, 2.8)
    band(ax, "baseline", np.arange(norms.shape[1]), norms / norms[:, :1], "")
    ax.set(yscale="log", ylim=(1e-7, 30), xlabel=f"{unit}s back from the newest value")
    ax.set_ylabel("gradient, newest value = 1")
    ax.set_yticks([1, 1e-2, 1e-4, 1e-6], ["1", "1/100", "1/10,000", "1/1,000,000"])
    for name, steps in marks.items():
        ax.axvline(steps, color=GREY, linewidth=0.8, linestyle=":")
        ax.annotate(name, (steps, 7), color=GREY, size=8, xytext=(4, 0), textcoords="offset points")
    ax.invert_xaxis()
    return ax


def ways(tip: Tip, rows: Mapping[str, tuple[str, Mapping]]) -> Axes:
    """Test errors in the record, in naive errors, row by row: the median and the middle 80 % of the runs.

    Where the record keeps it, a cross is the median error of a linear forecast from the same values.

    Args:
        rows: Label → a setting, and recipe fields by which its arm is found, the learning rate tuned.
    """
    (ax,) = axes(1, 7.0, 0.6 + 0.36 * len(rows))
    for row, (setting, fields) in enumerate(rows.values()):
        scores = arm_of(tip, setting, fields).scores
        share = np.where(np.isfinite(scores.score), scores.score / scores.naive, DIVERGED)
        low, median, high = np.percentile(share, [10, 50, 90])
        ax.plot([low, high], [row, row], color=COLORS["baseline"], linewidth=2)
        ax.plot(median, row, "o", color=COLORS["baseline"], label="networks" if row == 0 else None)
        if LINEAR in scores.readings:
            linear = np.median(scores.readings[LINEAR] / scores.naive)
            ax.plot(linear, row, "x", color=COLORS["variant"], markersize=8, markeredgewidth=2)
    ax.plot([], [], "x", color=COLORS["variant"], markersize=8, markeredgewidth=2, linestyle="none",
            label="linear forecast")  # fmt: skip
    ax.axvline(1, color=GREY, linewidth=0.8, linestyle=":")
    ax.set(yticks=range(len(rows)), yticklabels=list(rows), xlabel="test error, in naive errors")
    ax.invert_yaxis()
    ax.legend(frameon=False, fontsize=8, loc="lower right")
    return ax


def arm_of(tip: Tip, setting: str, fields: Mapping):
    """The one stored arm of a setting that has these recipe fields, its learning rate tuned."""
    found = [arm for arm in tip.arms(setting) if arm.tuned == "lr"
             and all(getattr(arm.recipe, name) == value for name, value in fields.items())]  # fmt: skip
    (arm,) = found
    return arm
