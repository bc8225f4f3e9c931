"""Errors over the learning rate, for one worker and for four that are averaged."""

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes

from rnntips.figures import COLORS, GREY, PAGE, axes
from rnntips.notebook.tips import StoredArm, Tip

__all__ = ["rates"]

LOOKS = (  # what is drawn: workers, updates from average to average, parts; how it is called and looks
    ((1, 1, "alike"), "one worker, batches of 32", {"color": COLORS["baseline"], "marker": "o", "linestyle": "-"}),
    ((4, 1, "alike"), "four, averaged at each update", {"color": COLORS["variant"], "marker": "^", "linestyle": "--"}),
    ((4, 20, "alike"), "every 20 updates", {"color": "#117733", "marker": "s", "linestyle": ":"}),
    ((4, 20, "unlike"), "every 20, parts unlike", {"color": "#AA4499", "marker": "D", "linestyle": "-."}),
)


def rates(tip: Tip, settings: Mapping[str, str]) -> Axes:
    """Test errors in the record over the learning rate: medians; above naive they are cut off.

    Args:
        settings: Setting → its title.
    """
    places = axes(len(settings), PAGE, 3.0)
    for ax, (setting, title) in zip(places, settings.items(), strict=True):
        for way, called, look in LOOKS:
            found = {arm.entries[0]["lr"]: arm for arm in tip.arms(setting) if arm.tuned == "none" and _way(arm) == way}
            x = sorted(found)
            ax.plot(x, [np.median(np.fmin(found[lr].scores.shares, 1)) for lr in x], label=called, markersize=5, **look)
        ax.axhline(1, color=GREY, linewidth=0.8, linestyle=":")
        ax.set(xscale="log", xlabel="learning rate", ylim=(0, 1.04))
        ax.set_title(title, size=10)
        ax.set_xticks(x, [f"{lr:g}" for lr in x])
        ax.minorticks_off()
    places[0].set_ylabel("test error (share of naive)")
    places[0].figure.legend(*places[0].get_legend_handles_labels(), frameon=False, fontsize=8, ncols=2,
                            loc="outside upper center")  # fmt: skip
    return places[-1]


def _way(arm: StoredArm) -> tuple[int, int, str]:
    recipe = arm.recipe
    return recipe.workers, recipe.average_every, recipe.shards
