"""How many answers are wrong with each pair of output and loss."""

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes

from rnntips.figures import COLORS, PAGE, axes
from rnntips.notebook.tips import Tip

__all__ = ["wrong_answers"]

CALLED = {
    "linear+mse": "linear, squared error",
    "softmax+nll": "softmax, negative log likelihood",
    "softmax+mse": "softmax, squared error",
    "sigmoid+bce": "sigmoids, binary cross-entropy",
    "softmax twice+nll": "softmax twice, negative log likelihood",
}
LOOKS = ({"color": COLORS["baseline"], "marker": "o"}, {"color": COLORS["variant"], "marker": "^"})


def wrong_answers(tip: Tip, settings: Mapping[str, str]) -> Axes:
    """Wrong answers in the record by pair, medians and the middle 80 %, each pair at its own best learning rate.

    Args:
        settings: Two settings → what they are called.
    """
    (ax,) = axes(1, PAGE, 2.6)
    for place, ((setting, called), look) in enumerate(zip(settings.items(), LOOKS, strict=True)):
        found = {arm.recipe.head: arm.scores.score for arm in tip.arms(setting) if arm.tuned == "lr"}
        low, middle, high = np.array([np.nanpercentile(100 * found[head], [10, 50, 90]) for head in CALLED]).T
        y = np.arange(len(CALLED))[::-1] + 0.15 - 0.3 * place
        ax.hlines(y, low, high, color=look["color"], linewidth=1.5)
        ax.plot(middle, y, **look, linestyle="", markersize=6, label=called)
    ax.set(xlabel="wrong answers (%)", yticks=np.arange(len(CALLED))[::-1], yticklabels=CALLED.values(), xlim=(0, None))
    ax.legend(frameon=False, fontsize=8)
    return ax
