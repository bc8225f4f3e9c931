"""What networks are fed under each scaling, and what that does to their states before any training."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from matplotlib.axes import Axes

from rnntips.engine.settings import own_settings
from rnntips.figures import COLORS, axes, plain
from rnntips.loader import rebuilt, sized
from rnntips.recipe import Recipe
from rnntips.tasks import Task

__all__ = ["scaled_inputs"]


def scaled_inputs(sides: Mapping[str, tuple], seeds: Sequence[int] = range(10)) -> Axes:
    """What networks are fed under each scaling, and how far apart it drives their states before any training.

    Args:
        sides: Label → (Recipe, Task).
        seeds: One network each.

    Returns:
        The right-hand axes; `ax.figure` holds both.
    """
    left, right = axes(2, 8.6, 0.55 * len(sides) + 1.2, width_ratios=[3, 2], wspace=0.05)
    for row, (_label, (recipe, task)) in enumerate(reversed(sides.items())):
        examples = task.examples(recipe, seeds[0])
        fed = examples.signal[: examples.starts[examples.of(0)[-1]], 0]
        middle = np.percentile(fed, [2.5, 97.5])
        left.plot([fed.min(), fed.max()], [row, row], color=COLORS["baseline"], linewidth=1)
        left.plot(middle, [row, row], color=COLORS["baseline"], linewidth=7, solid_capstyle="butt")
        spread = first_states(recipe, task, seeds).std(axis=1).mean(axis=1)
        right.plot(np.maximum(spread, 1e-4), np.full(len(spread), row), "o", color=COLORS["variant"], alpha=0.5)
    left.set_xscale("symlog", linthresh=1, linscale=1.5)
    left.set(yticks=range(len(sides)), yticklabels=[*reversed(sides)], xlabel="values fed to the network")
    left.set_xticks([-10, -1, 0, 1, 10, 1000, 30000])
    right.set(xscale="log", yticks=[], xlabel="spread of states between windows", xlim=(6e-5, 1))
    plain(left.xaxis), plain(right.xaxis)
    right.set_xticks([1e-4, 1e-3, 1e-2, 1e-1, 1], ["≤ 0.0001", "0.001", "0.01", "0.1", "1"])
    for ax in (left, right):
        ax.set_ylim(-0.6, len(sides) - 0.4)
    return right


@own_settings()
def first_states(recipe: Recipe, task: Task, seeds: Sequence[int], windows: int = 64) -> np.ndarray:
    """What validation windows leave in networks that have not been trained: last states, (R, windows, H)."""
    recipes = [sized(recipe, task)] * len(seeds)
    network, *_, inputs = rebuilt(recipes, seeds, task, lambda example: example.of(1, windows))
    with torch.no_grad():
        return network.states(inputs)[:, :, -1].numpy()
