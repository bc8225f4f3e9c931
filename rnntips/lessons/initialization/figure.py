"""How starting weights carry a gradient back, how their spectral radius grows with the width, and who learns to recall."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.ticker import NullFormatter

from rnntips.cells import initialiser
from rnntips.figures import COLORS, GREY, PAGE, axes, curves, plain
from rnntips.loader import rebuilt
from rnntips.notebook.tips import Tip
from rnntips.runs import Runs
from rnntips.study import Study
from rnntips.tasks import Task
from rnntips.verdict import progress

__all__ = ["answers", "example", "reach", "shares"]

LOOKS = {  # start → what it is called, and how it is drawn
    "orthogonal": ("orthogonal", {"color": COLORS["variant"], "linestyle": "--", "marker": "^"}),
    "glorot": ("Glorot", {"color": "#117733", "linestyle": ":", "marker": "s"}),
    "uniform": ("PyTorch's", {"color": COLORS["baseline"], "linestyle": "-", "marker": "o"}),
    "normal:0.1": ("N(0, 0.1)", {"color": "#AA4499", "linestyle": "-.", "marker": "D"}),
    "normal:0.001": ("N(0, 0.001)", {"color": GREY, "linestyle": (0, (1, 1)), "marker": "v"}),
}
WIDTHS = (4, 8, 16, 32, 64, 128, 256)
SOLVED = 0.5  # of the way from naive to the floor
LETTERS = "ABCDEFGH"


def example(inputs: np.ndarray, count: int = 1) -> Axes:
    """Windows of the recall task (B, T, C), one above the other: a symbol, distractors, and the signal to answer."""
    (ax,) = axes(1, PAGE, 0.9 + 0.4 * count)
    for row, window in enumerate(np.asarray(inputs)[:count].argmax(2)):
        for step, value in enumerate(window):
            symbol = value < len(LETTERS)
            text = LETTERS[value] if symbol else "?" if step == len(window) - 1 else "xy"[value - len(LETTERS)]
            color = COLORS["variant"] if symbol or text == "?" else GREY
            ax.text(step + 1, -row, text, ha="center", va="center", color=color, weight="bold" if symbol else "normal")
    ax.set(xlim=(0, len(window) + 1), ylim=(0.6 - count, 0.6), yticks=[], xlabel="step")
    ax.spines["left"].set_visible(False)
    return ax


def answers(study: Study, on, windows: int = 200) -> Axes:
    """Validation errors of all networks over the updates, and the share of windows whose symbol each names rightly."""
    left, right = axes(2, PAGE, 2.8, width_ratios=(1.4, 1))
    sides = dict(zip(study.names, next(iter(study.runs.values())), strict=True))
    curves(sides, ax=left)
    for place, (side, (name, runs)) in enumerate(zip(COLORS, sides.items(), strict=False)):
        named = 100 * named_rightly(runs, on, windows)
        apart = place + np.linspace(-0.2, 0.2, len(named))
        right.plot(apart, named, "o^"[place], color=COLORS[side], markersize=5, alpha=0.8, label=name)
    chance = 100 / len(LETTERS)
    right.axhline(chance, color=GREY, linewidth=0.8, linestyle=":")
    right.annotate("guessing", (1, chance), (-2, 3), xycoords=("axes fraction", "data"),
                   textcoords="offset points", ha="right", color=GREY, size=8)  # fmt: skip
    right.set(xticks=range(len(sides)), xticklabels=list(sides), xlim=(-0.5, 1.5), ylim=(0, 104))
    right.set_ylabel("symbols named rightly (%)")
    right.set_title("a dot a network", size=9)
    return right


def named_rightly(runs: Runs, task: Task, windows: int) -> np.ndarray:
    """Share of the first test windows whose class a network gives the largest answer, (R,)."""
    found = rebuilt(runs.recipes, runs.seeds, task, lambda one: one.of(2)[:windows], runs.weights)
    with torch.no_grad():
        answers = found.network(found.inputs).argmax(2).numpy()
    truth = [one.targets[some].argmax(1) for one, some in zip(found.examples, found.chosen, strict=True)]
    return (answers == np.array(truth)).mean(1)


def reach(gradients: Mapping[str, np.ndarray], seeds: Sequence[int] = range(10)) -> Axes:
    """Before training: the gradient step by step back in time, and how the radius of each start grows with the width.

    Args:
        gradients: Start → gradients by lag (R, lags), see `rnntips.doctor.gradients.gradient_by_lag`.
        seeds: Of the matrices whose radius is taken, median over them.
    """
    left, right = axes(2, PAGE, 3.0)
    for init, (name, look) in LOOKS.items():
        middle = np.exp(np.log(np.maximum(gradients[init], 1e-30)).mean(0))
        look = look | {"markersize": 4, "linewidth": 1.5}
        left.plot(range(len(middle)), middle, label=name, markevery=5, **look)
        draw = initialiser(init, "recurrent")
        radii = [np.median([radius(draw, width, seed) for seed in seeds]) for width in WIDTHS]
        right.plot(WIDTHS, radii, **look)
    left.set(yscale="log", ylim=(1e-12, None), xlabel="steps back from the answer", ylabel="gradient arriving there")
    left.set_title("16 units, before training", size=9)
    right.axhline(1, color=GREY, linewidth=0.8, linestyle=":")
    right.set(xscale="log", yscale="log", xlabel="units", ylabel="spectral radius", xticks=WIDTHS)
    right.set_yticks([0.01, 0.1, 1])
    plain(right.xaxis), plain(right.yaxis)
    right.xaxis.set_minor_formatter(NullFormatter())
    right.set_title("how much a step back multiplies it by", size=9)
    left.figure.legend(*left.get_legend_handles_labels(), frameon=False, fontsize=8, ncols=5, loc="outside upper center")
    return right


def radius(draw: Callable, width: int, seed: int) -> float:
    """The spectral radius of one drawn recurrent matrix, (H, H)."""
    return float(np.abs(np.linalg.eigvals(draw((width, width), width, np.random.default_rng(seed)))).max())


def shares(tip: Tip, widths: Mapping[str, str], biases: Mapping[str, str]) -> Axes:
    """Shares of solved runs in the record: by start and width, and of LSTMs by the forget gate's bias.

    Args:
        widths: Setting → what it is called on the axis of the left figure.
        biases: The same on the right.
    """
    left, right = axes(2, PAGE, 3.0)
    for init, (name, look) in LOOKS.items():
        found = [solved(tip, setting, init=init) for setting in widths]
        left.plot(range(len(widths)), found, label=name, markersize=5, linewidth=1.5, **look)
    marks = {None: ("PyTorch's", "baseline", "o"), 1.0: ("1", "variant", "^"), "chrono:50": ("for 50 steps", None, "s")}
    for bias, (name, side, marker) in marks.items():
        found = [solved(tip, setting, forget_bias=bias) for setting in biases]
        right.plot(range(len(biases)), found, marker, label=name, color=COLORS.get(side, "#117733"), markersize=7)
    for ax, places in ((left, widths), (right, biases)):
        ax.set(xticks=range(len(places)), xticklabels=list(places.values()), ylim=(-4, 104))
        ax.set_xlim(-0.4, len(places) - 0.6)
        ax.tick_params(axis="x", labelsize=8)
    left.set_ylabel("runs that solve it (%)")
    left.set_title("tanh, 40 steps, by start and units", size=9)
    right.set_title("LSTM, by the forget gate's bias", size=9)
    left.legend(frameon=False, fontsize=8), right.legend(frameon=False, fontsize=8)
    return right


def solved(tip: Tip, setting: str, **fields) -> float:
    """Per cent of the record's runs with these fields that came half the way to the floor; NaN if there are none."""
    arms = [arm for arm in tip.arms(setting) if all(getattr(arm.recipe, k) == v for k, v in fields.items())]
    if not arms:
        return np.nan
    scores = arms[0].scores
    return 100 * float(np.mean(progress(scores.score, scores.naive, scores.floor) >= SOLVED))
