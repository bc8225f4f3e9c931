"""What the batch size decides: how many updates there are, how noisy their gradients, and what comes out."""

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes

from rnntips.doctor.gradient_noise import GradientNoise
from rnntips.figures import COLORS, GREY, axes, band, plain
from rnntips.loader import updates_of
from rnntips.notebook.tips import Tip
from rnntips.verdict import Scores, cap

__all__ = ["batches"]

LINES = (("-", "o", COLORS["baseline"]), ((0, (5, 2)), "D", COLORS["variant"]), ((0, (1, 1.5)), "s", GREY))


def batches(tip: Tip, settings: Mapping[str, str], noise: Mapping[str, GradientNoise]) -> Axes:
    """Three drawings over the batch size: updates of each budget, noise of a batch's gradient, error in the record.

    Args:
        tip: One whose record has several batch sizes.
        settings: Name of a budget → setting of the tip, up to three.
        noise: When it was measured → the noise of several runs, up to two.

    Returns:
        The last of the three axes; `ax.figure` holds them all.
    """
    counts, noises, errors = axes(3, 8.6, 3.2)
    for (name, setting), (dash, mark, color) in zip(settings.items(), LINES, strict=False):
        found = of_sizes(tip, setting)
        x, look = list(found), {"linestyle": dash, "marker": mark, "color": color, "linewidth": 2, "markersize": 5}
        counts.plot(x, [updates for updates, _ in found.values()], label=name, **look)
        share = np.array([100 * cap(one.score, one.naive) / one.naive for _, one in found.values()])
        low, high = np.percentile(share, [10, 90], axis=1)
        errors.plot(x, np.median(share, axis=1), **look)
        errors.fill_between(x, low, high, color=color, alpha=0.12, linewidth=0)
    for (when, one), side in zip(noise.items(), COLORS, strict=False):
        band(noises, side, one.batch_sizes, one.noise, when)
    noises.axhline(1, color=GREY, linewidth=0.8, linestyle=":")
    for ax, title in (
        (counts, "updates in the budget"),
        (noises, "noise / gradient"),
        (errors, "test error (% of naive)"),
    ):
        ax.set(xscale="log", xlabel="windows in a batch")
        ax.set_title(title, size=10)
        plain(ax.xaxis)
    for ax in (counts, noises):
        ax.set(yscale="log")
        plain(ax.yaxis)
        ax.legend(frameon=False, fontsize=8, loc="lower left")
    errors.axhline(100, color=GREY, linewidth=0.8, linestyle=":")
    errors.set(ylim=(0, 108))
    return errors


def of_sizes(tip: Tip, setting: str) -> dict[int, tuple[int, Scores]]:
    """Batch size → updates and stored scores of the arms that differ in it alone, at the rates that tuning chose."""
    task = tip.task(setting)
    found = {arm.recipe.batch_size: (updates_of(arm.recipe, task), arm.scores)
             for arm in tip.arms(setting) if arm.times == 1}  # fmt: skip
    return dict(sorted(found.items()))
