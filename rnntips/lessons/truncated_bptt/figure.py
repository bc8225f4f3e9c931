"""How far back training sees, beside how far back trained networks look."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes

from rnntips.doctor.gradients import answer_by_lag, gradient_by_lag
from rnntips.figures import axes, band
from rnntips.runs import Runs
from rnntips.tasks import Task

__all__ = ["reach"]


def reach(tried: Mapping[str, tuple[Task, Mapping[str, Runs]]], lags: Sequence[int]) -> Axes:
    """By lag: the gradient that training gets from an input, and how much the trained network's answer owes to it.

    Args:
        tried: Title → a task, and two sides by name with a record of trained networks each.
        lags: Steps before the answer.

    Returns:
        The last axes; `ax.figure` holds two for each task. Left gradients, of every network as shares of its largest;
        right changes of the answer when the input of one step is another window's.
    """
    places, lags = axes(2, 8.6, 2.1 * len(tried) + 0.4, len(tried)), list(lags)
    for (left, right), (title, (task, sides)) in zip(zip(places[::2], places[1::2], strict=True), tried.items(),
                                                     strict=True):  # fmt: skip
        for side, (name, runs) in zip(("baseline", "variant"), sides.items(), strict=True):
            gradients = gradient_by_lag(runs, task, lags, of="inputs")
            band(left, side, np.array(lags), gradients / gradients.max(1, keepdims=True), name)
            band(right, side, np.array(lags), answer_by_lag(runs, task, lags), name)
        left.set_ylabel("gradient\n(share of the largest)", size=9)
        right.set_ylabel(f"change of the answer\n({'probability' if task.unit == 'nats' else task.unit})", size=9)
        for ax, what in ((left, "what training sees"), (right, "what the network uses")):
            ax.set_title(f"{title}: {what}", size=10)
            ax.set_xticks([lag for lag in lags if lag % 4 == 0])
            ax.set_ylim(bottom=-0.02)
    places[0].legend(frameon=False, loc="upper right", title="reach")
    for ax in places[-2:]:
        ax.set_xlabel("steps before the answer")
    return places[-1]
