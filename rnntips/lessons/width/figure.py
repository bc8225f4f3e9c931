"""Errors over the number of units, and the learning rates that they want."""

import numpy as np
from matplotlib.axes import Axes

from rnntips.figures import COLORS, GREY, PAGE, axes, log_ticks, plain
from rnntips.notebook.tips import Tip

__all__ = ["by_width"]


def by_width(tip: Tip, setting: str, inputs: int) -> Axes:
    """Left: test errors in the record by width, medians and the middle 80 %. Right: the best learning rates.

    Args:
        inputs: How many numbers a step reads, for a line there.
    """
    left, right = axes(2, PAGE, 3.0)
    arms = [arm for arm in tip.arms(setting) if arm.tuned == "lr" and arm.times == 1]
    arms = sorted(arms, key=lambda arm: arm.recipe.width)
    widths = np.array([arm.recipe.width for arm in arms])
    low, middle, high = np.percentile([arm.scores.shares for arm in arms], [10, 50, 90], axis=1)
    left.fill_between(widths, low, high, color=COLORS["variant"], alpha=0.2, linewidth=0)
    left.plot(widths, middle, "o-", color=COLORS["variant"], markersize=5)
    left.axvline(inputs, color=GREY, linestyle=":")
    left.annotate(f"{inputs} inputs", (inputs * 1.1, 0.97), xycoords=("data", "axes fraction"), va="top", size=8)
    left.set(yscale="log", ylabel="test error (share of naive)", yticks=log_ticks(low.min(), high.max()))
    right.plot(widths, [[entry["lr"] for entry in arm.entries] for arm in arms], "o", color=COLORS["variant"])
    rates = [entry["lr"] for arm in arms for entry in arm.entries]
    right.set(yscale="log", ylabel="best learning rate", yticks=log_ticks(min(rates) / 2, max(rates) * 2))
    right.set_title("of first and of fresh seeds", size=9)
    for ax in (left, right):
        ax.set(xscale="log", xlabel="units", xticks=widths), plain(ax.xaxis), plain(ax.yaxis)
    return right
