"""What a decay leaves of a weight, and which errors the decays of a record led to."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes

from rnntips.figures import COLORS, DASHES, GREY, PAGE, axes, plain
from rnntips.notebook.tips import Tip

__all__ = ["errors", "left_over"]

KINDS = {"adamw": ("AdamW", "variant", "^"), "adam": ("L2 in Adam", "baseline", "o")}
SHADES = ("-", (0, (6, 2)), (0, (3, 1.5)), (0, (1, 1.5)))


def left_over(decays: Sequence[float], lr: float, updates: int) -> Axes:
    """The share of a weight that AdamW's decay leaves while no gradient acts on it: (1 − lr · decay) an update.

    Args:
        decays: Four at most.
    """
    (ax,) = axes(1, PAGE, 2.7)
    x = np.arange(updates + 1)
    for decay, dashes in zip(decays, SHADES, strict=False):
        ax.plot(x, 100 * (1 - lr * decay) ** x, color=COLORS["variant"], linestyle=dashes, linewidth=2, label=f"{decay:g}")
    ax.set(xlabel="update", ylabel="left of a weight (%)", ylim=(0, 104), title=f"AdamW, learning rate {lr:g}")
    ax.title.set_fontsize(10)
    plain(ax.xaxis)
    ax.legend(title="decay", frameon=False, fontsize=8, title_fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
    return ax


def errors(tip: Tip, settings: Mapping[str, str]) -> Axes:
    """Test errors in the record over the decay, each at its own best learning rate: medians, and the middle 80 %.

    Args:
        settings: Setting → its title.
    """
    places = axes(len(settings), PAGE, 3.0)
    for ax, (setting, title) in zip(places, settings.items(), strict=True):
        for kind, (name, side, marker) in KINDS.items():
            arms = [arm for arm in tip.arms(setting) if arm.tuned == "lr" and arm.recipe.optimizer == kind
                    and arm.recipe.decay_on == "all"]  # fmt: skip
            arms = sorted(arms, key=lambda arm: arm.recipe.weight_decay)
            shares = np.array([np.fmin(arm.scores.shares, 1) for arm in arms])
            low, middle, high = np.percentile(shares, [10, 50, 90], axis=1)
            x = np.array([arm.recipe.weight_decay for arm in arms])
            ax.fill_between(x, low, high, color=COLORS[side], alpha=0.15, linewidth=0)
            ax.plot(x, middle, color=COLORS[side], linestyle=DASHES[side], marker=marker, markersize=5, label=name)
        ax.set_xscale("symlog", linthresh=1e-5)
        ax.set(xlabel="decay", ylim=(0, 1.04), xlim=(0, 4), xticks=[0, 1e-4, 0.01, 1])
        ax.axhline(1, color=GREY, linewidth=0.8, linestyle=":")
        ax.set_title(title, size=10)
        plain(ax.xaxis)
    places[0].set_ylabel("test error (share of naive)")
    places[0].legend(frameon=False, fontsize=8)
    return places[-1]
