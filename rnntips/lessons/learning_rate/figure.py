"""How near to the edge of stability a training runs, and what becomes of its error."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes

from rnntips.figures import COLORS, DASHES, GREY, axes, log_ticks, plain
from rnntips.lessons.learning_rate.sharpness import edge as edge_of
from rnntips.recipe import Recipe
from rnntips.runs import Runs
from rnntips.schedule import planned

__all__ = ["edge"]

MARKS = {"none": "o", "warmup": "s", "cosine": "^"}
THIRD = "#00856A"  # Okabe and Ito's green, darkened
STYLES = {
    "none": {"color": COLORS["baseline"], "linestyle": DASHES["baseline"]},
    "warmup": {"color": COLORS["variant"], "linestyle": DASHES["variant"]},
    "cosine": {"color": THIRD, "linestyle": (0, (1, 1.5))},
}


def edge(bends: Mapping[Recipe, np.ndarray], updates: Sequence[int], errors: Sequence[Runs]) -> Axes:
    """Learning rate times sharpness, as a share of what a bowl allows; and the error under several schedules.

    Args:
        bends: Recipe → its runs' sharpness after so many updates, (R, n), from `sharpness_along`.
        updates: The numbers of updates, (n,).
        errors: Records that differ in their schedule.

    Returns:
        The right-hand axes; `ax.figure` holds both.
    """
    left, right = axes(2, 8.6, 3.3, width_ratios=[6, 5])
    for recipe, sharp in bends.items():
        course = planned(recipe.schedule)
        next_factors = [course(min(done, recipe.updates - 1), recipe.updates) for done in updates]
        share = np.median(recipe.lr * np.array(next_factors) * sharp, 0) / edge_of(recipe)
        kind = _kind(recipe)
        filled = recipe.lr == max(tried.lr for tried in bends)
        left.plot(updates, share, marker=MARKS[kind], markersize=5, markerfacecolor=None if filled else "none",
                  label=f"rate {recipe.lr:g}, {recipe.schedule or 'none'}", **STYLES[kind])  # fmt: skip
    left.axhline(1, color=GREY, linewidth=0.8, linestyle=":")
    left.annotate("the edge", (updates[-1], 1), (0, -3), textcoords="offset points", size=8, ha="right", va="top",
                  color=GREY)  # fmt: skip
    left.legend(frameon=False, loc="upper right", fontsize=8)
    left.set(xscale="log", yscale="log", xlabel="updates", ylabel="rate × sharpness (edge = 1)", title="two rates")
    for runs in errors:
        recipe, kind = runs.recipes[0], _kind(runs.recipes[0])
        share = 100 * np.median(runs.valid_score / runs.valid_naive[:, None], 0)
        right.plot(runs.evaluations, share, linewidth=2, label=recipe.schedule or "none", **STYLES[kind])
    ends = [100 * np.median(runs.valid_score[:, -1] / runs.valid_naive) for runs in errors]
    right.set(ylim=(0.9 * min(ends), 2 * max(ends)), xlabel="updates", ylabel="validation error (% of naive)",
              title=f"rate {recipe.lr:g}")  # fmt: skip
    right.legend(frameon=False, title="schedule", loc="upper right")
    plain(left.xaxis), plain(left.yaxis)
    left.set_xticks([1, 3, 10, 30, 100, 300])
    left.margins(y=0.12)
    left.set_yticks(log_ticks(*left.get_ylim()))
    return right


def _kind(recipe: Recipe) -> str:
    return (recipe.schedule or "none").partition(":")[0]
