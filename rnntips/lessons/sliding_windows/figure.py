"""What windows of several lengths hold, what networks make of them, and how far back their gradients reach."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes

from rnntips.figures import COLORS, GREY, axes, band, plain
from rnntips.notebook.tips import UNTUNED, Tip
from rnntips.recipe import Recipe
from rnntips.tasks.forecasts import linear_error
from rnntips.verdict import progress

__all__ = ["lengths"]

FITTED = 5  # seeds whose records a linear forecast is fitted to


def lengths(tip: Tip, reached: Mapping[str, np.ndarray]) -> Axes:
    """Above, how far windows of each length bring recurrent networks and linear forecasts; below, gradients by lag.

    Args:
        tip: Its record holds networks trained at every length that validation chooses from.
        reached: Setting → what `gradient_by_lag` says of some runs there for lags 0, 1, …, (R, lags).

    Returns:
        The last axes; `ax.figure` holds two for each setting.
    """
    places = np.reshape(axes(len(reached), 8.6, 5.2, rows=2), (2, -1))
    for (above, below), (setting, norms) in zip(places.T, reached.items(), strict=True):
        _way(above, tip, setting)
        steps = 1 + np.arange(norms.shape[1])
        band(below, "baseline", steps, norms / norms[:, :1], "")
        below.set(yscale="log", ylim=(1e-9, 5), xlabel="steps back")
        below.set_yticks([1, 1e-3, 1e-6, 1e-9], ["1", "1/1,000", "1/million", "1/billion"])
        for ax in (above, below):
            ax.set_xscale("log", base=2)
            ax.set(xlim=(0.9, 450), xticks=[1, 4, 13, 52, norms.shape[1]])
            plain(ax.xaxis)
    places[0, 0].set_ylabel("way from naive to floor (%)")
    places[1, 0].set_ylabel("gradient at the inputs,\nthe last step's = 1")
    places[0, -1].legend(frameon=False, loc="upper left", bbox_to_anchor=(0, 0.88))
    return places[-1, -1]


def _way(ax: Axes, tip: Tip, setting: str) -> None:
    """Networks of the record with their middle 80 %, and ridge regressions from the same values."""
    tried = {arm.recipe.past: arm for arm in tip.arms(setting) if arm.tuned == UNTUNED}
    scores = [arm.scores for arm in tried.values()]
    way = [100 * progress(some.score, some.naive, some.floor) for some in scores]
    band(ax, "baseline", np.array(list(tried)), np.stack(way, 1), "recurrent networks")
    fitted = _linear(tip.task(setting), [arm.recipe for arm in tried.values()])
    ax.plot(list(tried), np.median(fitted, 1), color=COLORS["variant"], linestyle="--", linewidth=2, marker="o",
            markersize=4, label="linear forecasts")  # fmt: skip
    for value in (0, 100):
        ax.axhline(value, color=GREY, linewidth=0.8, linestyle=":")
    ax.set(title=setting, ylim=(-8, 112), xlabel="length of the window")


def _linear(task, recipes: Sequence[Recipe]) -> np.ndarray:
    """How far linear forecasts from a window's values come, in per cent: recipe by recipe, seed by seed."""
    found = np.empty((len(recipes), FITTED))
    for seed in range(FITTED):
        values, (naive, floor, _) = task.values(seed)[:, 0], task.bounds(recipes[0], seed)
        errors = [linear_error(values, task.examples(one, seed), one.past, one.horizon) for one in recipes]
        found[:, seed] = 100 * progress(np.array(errors), np.full(len(recipes), naive), floor)
    return found
