"""What a unit can add up with each activation, how far gradients reach, and which networks learned."""

import math
from collections.abc import Callable, Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, NullFormatter

from rnntips.figures import COLORS, GREY, PAGE, axes
from rnntips.notebook.tips import Tip
from rnntips.recipe import parameters
from rnntips.verdict import progress

__all__ = ["adding_and_reach", "shares"]

LOOKS = {  # cell → how it is drawn
    "tanh": {"color": COLORS["baseline"], "linestyle": "-", "marker": "o"},
    "relu": {"color": COLORS["variant"], "linestyle": "--", "marker": "^"},
    "sigmoid": {"color": "#117733", "linestyle": ":", "marker": "s"},
    "gru": {"color": "#AA4499", "linestyle": "-.", "marker": "D"},
    "lstm": {"color": GREY, "linestyle": (0, (1, 1)), "marker": "v"},
}
CALLED = {"tanh": "tanh", "relu": "ReLU", "sigmoid": "sigmoid", "gru": "GRU", "lstm": "LSTM"}
ACTIVATIONS = {"tanh": math.tanh, "relu": lambda x: max(x, 0.0), "sigmoid": lambda x: 1 / (1 + math.exp(-x))}
SMALL = {"markersize": 4, "linewidth": 1.5, "markevery": 5}
SOLVED = 0.5  # of the way from naive to the floor


def adding_and_reach(gradients: Mapping[str, np.ndarray], value: float = 0.2, steps: int = 30) -> Axes:
    """What one unit holds that adds a value at every step; and, before training, the gradient by steps back in time.

    Args:
        gradients: Cell → gradients by lag (R, lags), see `rnntips.doctor.gradients.gradient_by_lag`.
    """
    left, right = axes(2, PAGE, 3.0)
    left.plot(range(steps + 1), value * np.arange(steps + 1), color="black", linewidth=4, alpha=0.2, label="the sum")
    for cell, activation in ACTIVATIONS.items():
        left.plot(range(steps + 1), held(activation, value, steps), label=CALLED[cell], **LOOKS[cell], **SMALL)
    left.set(xlabel="step", ylabel="state of the unit")
    left.set_title(f"new state = activation(old state + {value:g})", size=9)
    for cell, found in gradients.items():
        middle = np.exp(np.log(np.maximum(found, 1e-30)).mean(0))
        right.plot(range(len(middle)), middle / middle[0], label=CALLED[cell], **LOOKS[cell], **SMALL)
    right.set(yscale="log", ylim=(1e-14, 3), xlabel="steps back from the answer", ylabel="gradient arriving there")
    right.set_title("24 units, PyTorch's start, before training", size=9)
    right.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    right.yaxis.set_minor_formatter(NullFormatter())
    left.legend(frameon=False, fontsize=8), right.legend(frameon=False, fontsize=8)
    return right


def held(activation: Callable[[float], float], value: float, steps: int) -> np.ndarray:
    """The states of a unit that starts at 0 and adds the value at every step, (steps + 1,)."""
    states = [0.0]
    for _ in range(steps):
        states.append(activation(states[-1] + value))
    return np.array(states)


def shares(tip: Tip, settings: Mapping[str, str]) -> Axes:
    """Shares of solved runs in the record, by cell, all with PyTorch's start and 700 to 1,000 weights.

    Args:
        settings: Setting → what it is called on the axis.
    """
    (ax,) = axes(1, PAGE, 2.8)
    for place, (cell, look) in enumerate(LOOKS.items()):
        found = [solved(tip, setting, cell) for setting in settings]
        ax.plot(np.arange(len(settings)) + 0.06 * (place - 2), found, label=CALLED[cell], markersize=7,
                **look | {"linestyle": ""})  # fmt: skip
    ax.set(xticks=range(len(settings)), xticklabels=list(settings.values()), ylim=(-4, 104))
    ax.set_ylabel("runs that solve it (%)")
    ax.legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
    return ax


def solved(tip: Tip, setting: str, cell: str) -> float:
    """Per cent of the record's runs that came half the way to the floor; NaN if there are none."""
    width = parameters(1000) if cell in ("gru", "lstm") else tip.base.width
    usual = {"cell": cell, "width": width, "init": "uniform", "clip_norm": None}
    arms = [arm for arm in tip.arms(setting) if all(getattr(arm.recipe, k) == v for k, v in usual.items())]
    if not arms:
        return np.nan
    scores = arms[0].scores
    return 100 * float(np.mean(progress(scores.score, scores.naive, scores.floor) >= SOLVED))
