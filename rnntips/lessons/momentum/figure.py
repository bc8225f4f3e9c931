"""What momentum does to the steps in a valley, and to the errors along learning rates."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes

from rnntips.figures import COLORS, GREY, PAGE, axes, band, plain
from rnntips.runs import Runs
from rnntips.verdict import cap

__all__ = ["in_a_valley", "rates"]

STEEP = 100  # times as curved across the valley as along it
START = np.array([-1.0, 0.12])


def in_a_valley(ways: Mapping[str, tuple[float, float]], steps: int = 40) -> Axes:
    """Steps of gradient descent in the valley (x² + 100 y²) / 2.

    Args:
        ways: Two titles, with their learning rate and momentum.

    Returns:
        The second of two axes; `ax.figure` holds both.
    """
    places = axes(2, PAGE, 2.4)
    x, y = np.meshgrid(np.linspace(-1.15, 0.5, 100), np.linspace(-0.16, 0.16, 100))
    for ax, side, (title, (lr, momentum)) in zip(places, COLORS, ways.items(), strict=True):
        path = walk(lr, momentum, steps)
        ax.contour(x, y, np.sqrt(x**2 + STEEP * y**2), levels=8, colors=GREY, linewidths=0.6, alpha=0.6)
        ax.plot(*path.T, "o-", color=COLORS[side], markersize=3, linewidth=1)
        ax.plot(0, 0, "x", color=GREY, markersize=8, markeredgewidth=2)
        ax.set(xlabel="a weight, along the valley", xticks=[], yticks=[])
        ax.set_title(title, size=9)
    places[0].set_ylabel("a weight, across it")
    return places[-1]


def walk(lr: float, momentum: float, steps: int) -> np.ndarray:
    """Weights after so many steps in the valley, the start first, (steps + 1, 2)."""
    path, velocity = [START], np.zeros(2)
    for _ in range(steps):
        velocity = momentum * velocity + path[-1] * (1, STEEP)
        path.append(path[-1] - lr * velocity)
    return np.array(path)


def rates(tried: Mapping[str, Mapping[str, Sequence[Runs]]]) -> Axes:
    """Test error over the learning rate: medians, and the middle 80 % of the runs.

    Args:
        tried: Title → two sides by name → one record for each learning rate, the lowest first.

    Returns:
        The last axes; `ax.figure` holds one for each title.
    """
    places = axes(len(tried), PAGE, 2.9)
    for ax, (title, sides) in zip(places, tried.items(), strict=True):
        for side, (name, records) in zip(COLORS, sides.items(), strict=True):
            share = np.stack([cap(runs.test_score, runs.naive) / runs.naive for runs in records], 1)
            band(ax, side, np.array([runs.recipes[0].lr for runs in records]), share, name)
        ax.axhline(1, color=GREY, linewidth=0.8, linestyle=":")
        ax.set(xscale="log", xlabel="learning rate", ylim=(0, 1.3))
        ax.set_title(title, size=10)
        plain(ax.xaxis)
        ax.set_yticks([0, 0.2, 0.4, 0.6, 0.8, 1])
    places[0].set_ylabel("test error (share of naive)")
    places[0].annotate("naive", (0.01, 1), xycoords=("axes fraction", "data"), color=GREY, size=8, va="bottom")
    places[0].legend(frameon=False, fontsize=8, loc="upper center", ncols=2)
    return places[-1]
