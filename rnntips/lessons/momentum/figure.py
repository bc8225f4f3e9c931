"""Error against the learning rate."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes

from rnntips.figures import GREY, axes, band, plain
from rnntips.runs import Runs
from rnntips.verdict import cap

__all__ = ["rates"]


def rates(tried: Mapping[str, Mapping[str, Sequence[Runs]]]) -> Axes:
    """Test error at several learning rates, divided by (1 − momentum): how far a steady gradient moves the weights.

    Args:
        tried: Task → two sides by name → one record for each rate, all on the same seeds.

    Returns:
        The last axes; `ax.figure` holds one for each task.
    """
    places = axes(len(tried), 8.6, 2.9)
    for ax, (task, sides) in zip(places, tried.items(), strict=True):
        for side, (name, records) in zip(("baseline", "variant"), sides.items(), strict=True):
            first = [runs.recipes[0] for runs in records]
            x = np.array([recipe.lr / (1 - recipe.momentum) for recipe in first])
            share = np.stack([100 * cap(runs.test_score, runs.naive) / runs.naive for runs in records], 1)
            band(ax, side, x, share, name)
        ax.axhline(100, color=GREY, linewidth=0.8, linestyle=":")
        ax.set(xscale="log", xlabel="learning rate / (1 − momentum)", title=task, ylim=(0, 108))
        plain(ax.xaxis)
    places[0].set_ylabel("test error (% of naive)")
    places[0].legend(frameon=False, loc="lower left")
    return places[-1]
