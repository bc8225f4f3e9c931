"""How starting weights carry a gradient back, how their radius depends on the width, and which networks learn."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, NullFormatter

from rnntips.cells import initialiser
from rnntips.figures import COLORS, GREY, PAGE, axes, curves, plain
from rnntips.loader import rebuilt
from rnntips.notebook.tips import Tip
from rnntips.runs import Runs
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
BIASES = {None: (COLORS["baseline"], "o"), 1.0: (COLORS["variant"], "^"), "chrono:50": ("#117733", "s")}
SMALL = {"markersize": 4, "linewidth": 1.5, "markevery": 5}
ABOVE = {"frameon": False, "fontsize": 8, "ncols": 5, "loc": "outside upper right"}
WIDE = 7.7
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


def answers(sides: Mapping[str, Runs], on: Task, windows: int = 200) -> Axes:
    """Validation errors of all networks over the updates, and the share of windows whose symbol each names rightly."""
    left, right = axes(2, PAGE, 2.8, width_ratios=(1.4, 1))
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
    right.set_ylabel("letters named rightly (%)")
    right.set_title("a dot a network", size=9)
    return right


def named_rightly(runs: Runs, task: Task, windows: int) -> np.ndarray:
    """Share of the first test windows whose class a network gives the largest answer, (R,)."""
    found = rebuilt(runs.recipes, runs.seeds, task, lambda one: one.of(2)[:windows], runs.weights)
    with torch.no_grad():
        answers = found.network(found.inputs).argmax(2).numpy()
    truth = [one.targets[some].argmax(1) for one, some in zip(found.examples, found.chosen, strict=True)]
    return (answers == np.array(truth)).mean(1)


def reach(gates: Mapping[str, np.ndarray], starts: Mapping[str, np.ndarray], seeds: Sequence[int] = range(10)) -> Axes:
    """Before training: the gradient step by step back in time, of LSTMs and of plain cells, and radii over the width.

    Args:
        gates: Forget bias, in words → gradients by lag (R, lags), see `rnntips.doctor.gradients.gradient_by_lag`.
        starts: The same of plain cells; names of `LOOKS`.
        seeds: Of the matrices whose radius is taken, median over them.
    """
    left, middle, right = axes(3, WIDE, 3.1)
    for (name, found), (color, marker) in zip(gates.items(), BIASES.values(), strict=True):
        left.plot(*_by_lag(found), color=color, marker=marker, label=name, **SMALL)
    for init, (name, look) in LOOKS.items():
        middle.plot(*_by_lag(starts[init]), **look, **SMALL)
        draw = initialiser(init, "recurrent")
        radii = [np.median([radius(draw, width, seed) for seed in seeds]) for width in WIDTHS]
        right.plot(WIDTHS, radii, label=name, **look, **SMALL | {"markevery": 1})
    for ax, title in ((left, "LSTM, by its forget bias"), (middle, "plain tanh cell, by its start")):
        ax.set(yscale="log", ylim=(1e-8, 3), xlabel="steps back from the answer", yticks=[1e-8, 1e-6, 1e-4, 0.01, 1])
        ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        ax.yaxis.set_minor_formatter(NullFormatter())
        ax.set_title(title, size=9)
    left.set_ylabel("gradient arriving there")
    right.axhline(1, color=GREY, linewidth=0.8, linestyle=":")
    right.set(xscale="log", yscale="log", xlabel="units", ylabel="spectral radius", ylim=(0.0015, 2))
    right.set_xticks([4, 16, 64, 256]), right.set_yticks([0.01, 0.1, 1])
    plain(right.xaxis), plain(right.yaxis)
    right.set_title("factor of one step back", size=9)
    left.legend(frameon=False, fontsize=8, loc="lower left")
    right.figure.legend(*right.get_legend_handles_labels(), **ABOVE)
    return right


def _by_lag(gradients: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Lags, and the geometric mean over runs of the gradients (R, lags), the newest as 1."""
    middle = np.exp(np.log(np.maximum(gradients, 1e-30)).mean(0))
    return np.arange(len(middle)), middle / middle[0]


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
    for bias, name in {None: "PyTorch's", 1.0: "1", "chrono:50": "for 50 steps"}.items():
        found = [solved(tip, setting, forget_bias=bias) for setting in biases]
        color, marker = BIASES[bias]
        right.plot(range(len(biases)), found, marker, label=name, color=color, markersize=7)
    for ax, places in ((left, widths), (right, biases)):
        ax.set(xticks=range(len(places)), xticklabels=list(places.values()), ylim=(-4, 104))
        ax.set_xlim(-0.4, len(places) - 0.6)
        ax.tick_params(axis="x", labelsize=8)
    left.set_ylabel("runs that solve it (%)")
    left.set_title("tanh, 40 steps, by start and units", size=9)
    right.set_title("LSTM, by the forget gate's bias", size=9)
    left.figure.legend(*left.get_legend_handles_labels(), **ABOVE)
    right.legend(frameon=False, fontsize=8, loc="lower right")
    return right


def solved(tip: Tip, setting: str, **fields) -> float:
    """Per cent of the record's runs with these fields that came half the way to the floor; NaN if there are none."""
    arms = [arm for arm in tip.arms(setting) if all(getattr(arm.recipe, k) == v for k, v in fields.items())]
    if not arms:
        return np.nan
    scores = arms[0].scores
    return 100 * float(np.mean(progress(scores.score, scores.naive, scores.floor) >= SOLVED))
