"""Networks of several layers: how hard the loss pulls at each layer, and how soon they learn."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes

from rnntips.doctor.gradient_noise import first_weights
from rnntips.doctor.gradients import gradient_by_layer
from rnntips.figures import COLORS, GREY, axes, plain
from rnntips.runs import Runs
from rnntips.verdict import progress

__all__ = ["depths"]

LOOKS = (
    {"color": COLORS["baseline"], "linestyle": "-", "marker": "o"},
    {"color": COLORS["variant"], "linestyle": "--", "marker": "s"},
    {"color": "#117733", "linestyle": ":", "marker": "^"},
)
FROM = 5  # updates; before that there is little to see


def depths(trained: Mapping[str, tuple[object, Mapping[str, Runs]]], windows: int = 16) -> Axes:
    """Above: the pull at each layer before training; below: how far networks come. Medians over seeds.

    Args:
        trained: Title → (Task, name of a network → its runs, on the same seeds); three networks at most.
        windows: Validation windows that the pull is measured on.

    Returns:
        The last axes; `ax.figure` holds two for each task.
    """
    places = axes(len(trained), 8.6, 5.2, rows=2)
    for column, (title, (task, networks)) in enumerate(trained.items()):
        pull, way = places[column], places[len(trained) + column]
        for (name, runs), look in zip(networks.items(), LOOKS, strict=False):
            pulls = np.median(_before(runs, task, windows), axis=1)
            pull.plot(np.arange(len(pulls))[::-1], pulls, label=name, **look)
            floor = runs.floor[:, None]
            come = progress(runs.valid_score, runs.valid_naive[:, None], floor)
            way.plot(runs.evaluations[1:], 100 * np.median(come, 0)[1:], label=name, **look | {"marker": ""})
        pull.set(yscale="log", xticks=range(4), title=title, xlabel="layers between it and the answer")
        pull.invert_xaxis()
        way.axhline(100, color=GREY, linewidth=0.8, linestyle=":")
        way.set(xscale="log", xlabel="updates", ylim=(0, 104), xlim=(FROM, 1.1 * runs.updates))
        plain(way.xaxis), plain(pull.yaxis)
    places[0].set_ylabel("pull of the loss\n(gradient / weights)")
    places[len(trained)].set_ylabel("way from naive to floor (%)")
    places[0].legend(frameon=False, loc="lower right")
    return places[-1]


def _before(runs: Runs, task, windows: int) -> Sequence[np.ndarray]:
    """The pull at each layer, from the inputs up, with the weights that the runs began with; (R,) each."""
    return list(gradient_by_layer(runs, task, windows=windows, weights=first_weights(runs, task)).values())
