"""What the batch size decides: how many updates there are, how noisy their gradients, and what comes out."""

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes

from rnntips.doctor.gradient_noise import GradientNoise
from rnntips.figures import COLORS, GREY, axes, band, log_ticks, plain
from rnntips.notebook.tips import Tip

__all__ = ["errors", "updates_and_noise"]

LINES = {
    "epochs": {"linestyle": "-", "marker": "o", "color": COLORS["baseline"]},
    "updates": {"linestyle": (0, (5, 2)), "marker": "D", "color": COLORS["variant"]},
    "seconds": {"linestyle": (0, (1, 1.5)), "marker": "s", "color": GREY},
}


def updates_and_noise(windows: int, epochs: int, noise: Mapping[str, GradientNoise]) -> Axes:
    """Over the batch size: the updates that so many epochs make, and the noise of a batch's gradient.

    Args:
        windows: That there are to train on.
        noise: When it was measured → the noise of several runs, up to two.

    Returns:
        The second of the two axes; `ax.figure` holds both.
    """
    counts, noises = axes(2, 7.0, 2.8)
    sizes = np.unique(np.geomspace(1, windows, 60).astype(int))
    counts.plot(sizes, epochs * np.ceil(windows / sizes), color=COLORS["baseline"], linewidth=2)
    for (when, one), side in zip(noise.items(), COLORS, strict=False):
        band(noises, side, one.batch_sizes, one.noise, when)
    noises.axhline(1, color=GREY, linewidth=0.8, linestyle=":")
    noises.legend(frameon=False, fontsize=8, loc="lower left")
    for ax, title in ((counts, f"updates in {epochs} epochs"), (noises, "noise of a batch's gradient")):
        _log(ax, "windows in a batch", title)
        ax.set(yscale="log")
        plain(ax.yaxis)
    return noises


def errors(tip: Tip, tasks: Mapping[str, str]) -> Axes:
    """Errors in the record over the batch size, for each budget: medians, and the middle 80 % of the runs.

    Args:
        tasks: Title → the beginning of the settings' names, which a budget ends: "demand" for "demand, equal epochs".
    """
    places = axes(len(tasks), 3.5 * len(tasks), 3.0)
    for ax, (title, name) in zip(places, tasks.items(), strict=True):
        for equal, look in LINES.items():
            found = of_sizes(tip, f"{name}, equal {equal}")
            low, median, high = np.percentile(list(found.values()), [10, 50, 90], axis=1)
            ax.plot(list(found), median, label=f"equal {equal}", linewidth=2, markersize=5, **look)
            ax.fill_between(list(found), low, high, color=look["color"], alpha=0.12, linewidth=0)
        ax.axhline(1, color=GREY, linewidth=0.8, linestyle=":")
        _log(ax, "windows in a batch", title)
        ax.set(yscale="log", ylabel="test error, in naive errors" if ax is places[0] else "")
        ax.set_yticks(log_ticks(*ax.get_ylim()))
        plain(ax.yaxis)
    places[0].legend(frameon=False, fontsize=8)
    return places[-1]


def _log(ax: Axes, x: str, title: str) -> None:
    ax.set(xscale="log", xlabel=x)
    ax.set_title(title, size=10)
    plain(ax.xaxis)


def of_sizes(tip: Tip, setting: str) -> dict[int, np.ndarray]:
    """Batch size → stored errors as shares of naive, of the arms that differ in it alone, at the learning rates that
    tuning chose; a run that diverged counts as a hundred times naive."""
    found = {}
    for arm in tip.arms(setting):
        if arm.times == 1:
            found[arm.recipe.batch_size] = np.nan_to_num(arm.scores.shares, posinf=100)
    return dict(sorted(found.items()))
