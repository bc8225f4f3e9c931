"""Training and validation errors side by side, with the place where training should have stopped."""

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes

from rnntips.figures import COLORS, GREY, PAGE, axes, plain
from rnntips.runs import Runs

__all__ = ["gap"]

SMOOTHED = 25  # updates that a point of the training loss is the mean of


def gap(sides: Mapping[str, Runs], unit: str = "error (nats)") -> Axes:
    """Training loss and validation error over the updates, one pair of axes a side: medians, and the middle 80 %.

    Args:
        sides: Two names with their runs, of a task whose loss and score have one unit.
    """
    places = axes(len(sides), PAGE, 3.0)
    for ax, (title, runs) in zip(places, sides.items(), strict=True):
        count = runs.updates // SMOOTHED
        losses = runs.train_loss[:, : count * SMOOTHED].reshape(len(runs), count, SMOOTHED).mean(2)
        lines = {"training": (SMOOTHED * (np.arange(count) + 0.5), losses, GREY, "-"),
                 "validation": (runs.evaluations[1:], runs.valid_score[:, 1:], COLORS["variant"], "--")}  # fmt: skip
        for name, (x, values, color, dashes) in lines.items():
            low, middle, high = np.percentile(values, [10, 50, 90], axis=0)
            ax.fill_between(x, low, high, color=color, alpha=0.2, linewidth=0)
            ax.plot(x, middle, color=color, linestyle=dashes, linewidth=2, label=name)
        best = int(np.argmin(middle))
        ax.plot(x[best], middle[best], "o", color=COLORS["variant"], markersize=7, label="lowest validation error")
        ax.set(xscale="log", xlim=(10, runs.updates), ylim=(0, 2.5), xlabel="update")
        ax.set_title(title, size=10)
        plain(ax.xaxis)
    places[0].set_ylabel(unit)
    places[0].figure.legend(*places[0].get_legend_handles_labels(), frameon=False, fontsize=8, ncols=3,
                            loc="outside upper center")  # fmt: skip
    return places[-1]
