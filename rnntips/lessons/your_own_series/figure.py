"""Forecasts of four kinds on six series, how far two are off, and what one place of a series says of the others."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes

from rnntips.figures import COLORS, GREY, PAGE, axes, log_ticks, plain
from rnntips.notebook.tips import Tip
from rnntips.study import Study
from rnntips.tasks import Forecast
from rnntips.training import predict

__all__ = ["by_origin", "misses", "three"]

LINEAR, GRU = (0, (), True), (1, (), False)  # recurrent layers, dense ones after them, whether it is solved
KINDS = (  # and how it is called and looks
    (LINEAR, "linear, solved", {"color": COLORS["baseline"], "marker": "o"}),
    ((0, (), False), "linear, trained", {"color": "#88CCEE", "marker": "D"}),
    ((0, (32,), False), "MLP", {"color": "#117733", "marker": "s"}),
    (GRU, "GRU", {"color": COLORS["variant"], "marker": "^"}),
)


def misses(study: Study, on: Forecast, called: Sequence[str], steps: int = 96) -> Axes:
    """Forecast minus truth of both sides' first run, over the first steps of the test part.

    Args:
        called: What the sides are called.
    """
    (ax,) = axes(1, PAGE, 2.6)
    (sides,) = study.runs.values()
    for side, runs, name in zip(COLORS, sides, called, strict=False):
        found, truth = predict(runs.only([0]), on, steps)
        ax.plot((found - truth)[0], color=COLORS[side], linestyle="--" if side == "variant" else "-", label=name)
    ax.axhline(0, color=GREY, linewidth=0.8, linestyle=":")
    ax.set(xlabel="steps of the test part", ylabel=f"forecast − {on.name} ({on.unit})")
    ax.legend(frameon=False, fontsize=8, ncols=2, loc="lower center", bbox_to_anchor=(0.5, 1))
    return ax


def three(tip: Tip, settings: Sequence[str]) -> Axes:
    """Test errors in the record, of naive: the median and the middle 80 % of the runs."""
    (ax,) = axes(1, PAGE, 0.8 + 0.48 * len(settings))
    for k, (kind, called, look) in enumerate(KINDS):
        shares = [_shares(tip, setting)[kind] for setting in settings]
        low, middle, high = np.percentile(shares, [10, 50, 90], axis=1)
        rows = np.arange(len(settings)) + 0.2 * (k - 1.5)
        ax.hlines(rows, low, high, color=look["color"], linewidth=2)
        ax.plot(middle, rows, linestyle="none", label=called, markersize=6, **look)
    ax.axvline(1, color=GREY, linewidth=0.8, linestyle=":")
    ax.set(yticks=range(len(settings)), yticklabels=settings, xscale="log", xlabel="test error (share of naive)")
    low, high = ax.get_xlim()
    ax.set_xticks(log_ticks(low, high))
    plain(ax.xaxis)
    ax.invert_yaxis()
    ax.legend(frameon=False, fontsize=8, ncols=4, loc="lower center", bbox_to_anchor=(0.5, 1))
    return ax


def by_origin(tip: Tip, settings: Mapping[str, str]) -> Axes:
    """The GRU's error over the linear one's in the record, seed by seed: a dot each, and their medians.

    Args:
        settings: Setting → its name under the axis.
    """
    (ax,) = axes(1, PAGE, 3.0)
    rng = np.random.default_rng(0)
    for x, setting in enumerate(settings):
        found = _shares(tip, setting)
        ratios = found[GRU] / found[LINEAR]
        ax.plot(x + rng.uniform(-0.25, 0.25, len(ratios)), ratios, ".", color=COLORS["variant"], alpha=0.4)
        ax.hlines(np.median(ratios), x - 0.3, x + 0.3, color="#333333", linewidth=2)
    ax.axhline(1, color=GREY, linewidth=0.8, linestyle=":")
    ax.set(
        xticks=range(len(settings)), xticklabels=settings.values(), yscale="log", ylabel="GRU's error / linear one's"
    )
    ax.set_yticks([0.8, 0.9, 1, 1.1, 1.2, 1.4])
    plain(ax.yaxis)
    ax.minorticks_off()
    return ax


def _shares(tip: Tip, setting: str) -> dict[tuple, np.ndarray]:
    """What a network is → errors of all runs as shares of naive, at tuned learning rates."""
    arms = [arm for arm in tip.arms(setting) if arm.tuned == "lr"]
    return {(arm.recipe.layers, arm.recipe.dense_after, arm.recipe.solved): arm.scores.shares for arm in arms}
