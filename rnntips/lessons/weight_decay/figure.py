"""What a decay leaves of a weight, and which errors the decays of a record led to."""

import numpy as np
from matplotlib.axes import Axes

from rnntips.figures import COLORS, DASHES, GREY, PAGE, axes, plain
from rnntips.notebook.tips import Tip

__all__ = ["decays"]

KINDS = {"adamw": ("AdamW", "variant", "^"), "adam": ("L2 in Adam", "baseline", "o")}


def decays(tip: Tip, setting: str, lr: float) -> Axes:
    """Left: what AdamW's decay leaves of a weight while no gradient acts on it. Right: test errors in the record.

    The errors are medians and the middle 80 %, each at its own best learning rate.

    Args:
        lr: Of the left figure; its updates are the setting's.
    """
    left, right = places = axes(2, PAGE, 3.0)
    updates = tip.fields(setting)["updates"]
    x = np.geomspace(1e-5, 4, 200)
    left.plot(x, 100 * (1 - lr * x) ** updates, color=COLORS["variant"], linewidth=2)
    left.set(ylabel="left of an unused weight (%)", ylim=(0, 104))
    left.set_title(f"AdamW, {updates:,} updates, learning rate {lr:g}", size=10)
    for kind, (name, side, marker) in KINDS.items():
        arms = [arm for arm in tip.arms(setting) if arm.tuned == "lr" and arm.recipe.optimizer == kind]
        arms = sorted(arms, key=lambda arm: arm.recipe.weight_decay)
        shares = np.array([np.fmin(arm.scores.shares, 1) for arm in arms])
        low, middle, high = np.percentile(shares, [10, 50, 90], axis=1)
        x = np.array([arm.recipe.weight_decay for arm in arms])
        right.fill_between(x, low, high, color=COLORS[side], alpha=0.15, linewidth=0)
        right.plot(x, middle, color=COLORS[side], linestyle=DASHES[side], marker=marker, markersize=5, label=name)
    right.axhline(1, color=GREY, linewidth=0.8, linestyle=":")
    right.set(ylabel="test error (share of naive)", ylim=(0, 1.04))
    right.set_title("100 runs a point", size=10)
    right.legend(frameon=False, fontsize=8)
    for ax in places:
        ax.set_xscale("symlog", linthresh=1e-5)
        ax.set(xlabel="decay", xlim=(0, 4), xticks=[0, 1e-4, 0.01, 1])
        plain(ax.xaxis)
    return right
