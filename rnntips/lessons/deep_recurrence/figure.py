"""Networks of several layers: what they say, what their first answers depend on, and how far they have come when."""

from collections.abc import Mapping

import numpy as np
import torch
from matplotlib.axes import Axes

from rnntips.doctor.gradient_noise import first_weights
from rnntips.doctor.gradients import answer_by_lag
from rnntips.figures import COLORS, GREY, axes, log_ticks, plain
from rnntips.loader import rebuilt
from rnntips.runs import Runs
from rnntips.study import Study
from rnntips.tasks.text import ALPHABET

__all__ = ["before_and_early", "dependence", "errors_over_updates", "next_characters"]

LOOKS = (
    {"color": COLORS["baseline"], "linestyle": "-", "marker": "o"},
    {"color": "#117733", "linestyle": ":", "marker": "^"},
    {"color": COLORS["variant"], "linestyle": "--", "marker": "s"},
)
LETTERS = ALPHABET + "?"  # the last symbol stands for all other characters
FROM = 10  # updates; before that there is little to see


def next_characters(study: Study, task, names: tuple[str, str], steps: int = 44) -> Axes:
    """A piece of text of the test part, and below each character the one that the first network of either side took for
    the likeliest; right ones stand on a coloured ground."""
    (sides,) = study.runs.values()
    (ax,) = axes(1, 7.0, 1.4)
    labels = ["the text"]
    for row, (runs, side) in enumerate(zip(sides, COLORS, strict=True)):
        recipe, start = runs.recipes[0].but(past=steps + steps // 3), steps // 3
        network, examples, chosen, inputs = rebuilt([recipe], runs.seeds[:1], task, _second, runs.weights[:1])
        with torch.no_grad():
            said = network.sequence(inputs)[0][0, 0, start:].argmax(1).numpy()
        first = examples[0].starts[chosen[0][0]] + start
        text = examples[0].targets[first : first + steps, 0].astype(int)
        labels.append(f"{names[row]}, {(said == text).sum()} right")
        for step, (symbol, right) in enumerate(zip(said, text, strict=True)):
            ground = {"facecolor": COLORS[side] if symbol == right else "none", "edgecolor": "none", "pad": 1.5}
            _write(ax, step, -1 - row, symbol, color="white" if symbol == right else GREY, bbox=ground)
    for step, symbol in enumerate(text):
        _write(ax, step, 0, symbol, color=GREY, weight="bold")
    ax.set(xlim=(-1, steps), ylim=(-2.6, 0.6), xticks=[], yticks=[0, -1, -2], yticklabels=labels)
    ax.spines[:].set_visible(False)
    ax.tick_params(length=0)
    return ax


def _second(example) -> np.ndarray:
    """The second window of the test part."""
    return example.of(2)[1:2]


def _write(ax: Axes, step: int, row: int, symbol: int, **how) -> None:
    letter = LETTERS[symbol].replace(" ", "␣")
    ax.text(step, row, letter, ha="center", va="center", family="monospace", size=9, **how)


def before_and_early(networks: Mapping[str, Runs], task, until: int) -> Axes:
    """Left: what answers depend on before training. Right: validation errors in the first updates.

    Args:
        networks: Name → its runs, three at most.
        until: Updates to be shown.
    """
    left, right = axes(2, 7.0, 2.8)
    dependence(networks, task, ax=left).set_title("before training", size=10)
    errors_over_updates(networks, until, right).set_title(f"the first {until} updates", size=10)
    return right


def dependence(networks: Mapping[str, Runs], task, lags: range = range(8), ax: Axes | None = None) -> Axes:
    """How much the last answer changes before training if the input so many steps before is replaced; medians.

    Args:
        networks: Name → its runs, three at most.
    """
    ax = ax or axes(1, 3.5, 2.8)[0]
    for (name, runs), look in zip(networks.items(), LOOKS, strict=False):
        found = answer_by_lag(runs, task, lags, weights=first_weights(runs, task))
        ax.plot(lags, 100 * np.median(found, axis=0), label=name, linewidth=2, **look | {"markersize": 4})
    ax.set(yscale="log", xlabel="steps before the answer", ylabel="change of the answer\n(percentage points)")
    ax.set_yticks(log_ticks(*ax.get_ylim()))
    plain(ax.yaxis)
    return ax


def errors_over_updates(networks: Mapping[str, Runs], until: int | None = None, ax: Axes | None = None) -> Axes:
    """Validation errors over updates, as shares of naive: medians over seeds, and the middle 80 %.

    Args:
        networks: Name → its runs, three at most.
        until: Updates to be shown; all if None.
    """
    ax = ax or axes(1, 7.0, 2.8)[0]
    for (name, runs), look in zip(networks.items(), LOOKS, strict=False):
        shown = (runs.evaluations >= FROM) & (runs.evaluations <= (until or runs.updates))
        share = (runs.valid_score / runs.valid_naive[:, None])[:, shown]
        low, median, high = np.percentile(share, [10, 50, 90], axis=0)
        ax.plot(runs.evaluations[shown], median, label=name, linewidth=2, **look | {"markersize": 4})
        ax.fill_between(runs.evaluations[shown], low, high, color=look["color"], alpha=0.12, linewidth=0)
    ax.set(xscale="log", xlabel="updates", ylabel="validation error,\nin naive errors")
    ax.set_xticks(log_ticks(*ax.get_xlim()))
    plain(ax.xaxis)
    ax.legend(frameon=False, fontsize=8)
    return ax
