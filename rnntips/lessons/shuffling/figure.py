"""What the order of reading does to the training loss, and what shuffling before the split does to the test error."""

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes

from rnntips.figures import COLORS, DASHES, GREY, PAGE, axes, band, log_ticks, plain
from rnntips.runs import Runs
from rnntips.tasks import Task

__all__ = ["by_chunk", "orders", "splits"]

SHOWN = 2  # epochs of losses that are drawn
BELOW = -0.15  # nats: where the digits stand
LAST = 1 / 3  # of the sequences: what the loss of their chunks is the mean of
STYLES = [("baseline", COLORS["baseline"], DASHES["baseline"]), ("variant", COLORS["variant"], DASHES["variant"]),
          ("third", GREY, ":")]  # fmt: skip
PARTS = {"training": COLORS["baseline"], "validation": GREY, "test": COLORS["variant"]}


def orders(whole: Mapping[str, Runs], task: Task, chunked: Mapping[str, Runs]) -> Axes:
    """The training loss of networks that read images in two orders, and of runs that read sequences in chunks.

    Args:
        whole: Two names with runs on `task`, the second sorted by class. The first network of each is drawn.
        chunked: Up to three names with runs that read sequences in equally long chunks.

    Returns:
        The second of two axes: left the last epochs, update by update, and where the second side's classes begin; right
        the loss of a sequence's chunks in the order of reading, median over runs of the mean over the last third.
    """
    left, right = axes(2, PAGE, 3.1, width_ratios=[3, 2])
    for side, (name, runs) in zip(COLORS, whole.items(), strict=True):
        example, size = task.examples(runs.recipes[0], int(runs.seeds[0])), runs.recipes[0].batch_size
        epoch = len(example.of(0)) / size
        shown = np.arange(round(runs.updates - SHOWN * epoch), runs.updates)
        band(left, side, (shown + 0.5) / epoch, runs.train_loss[:1, shown], name)
    last, counts = runs.updates / epoch, np.bincount(example.labels(example.of(0)))
    bounds = np.cumsum([0, *counts]) / counts.sum()
    for start in last - 1 - np.arange(SHOWN):
        for label, begin in enumerate(start + bounds[:-1]):
            left.axvline(begin, color=GREY, linewidth=0.5, alpha=0.5)
            left.annotate(f"{label}", (begin + 0.05, BELOW), color=GREY, size=7, ha="center", va="center")
    naive = runs.valid_naive[0]
    left.axhline(naive, color=GREY, linewidth=0.8, linestyle=":")
    left.annotate("naive", (1.01, naive), xycoords=("axes fraction", "data"), color=GREY, size=8, va="center")
    left.set(xlabel="epochs; below the curves: digits of the sorted side", ylabel=f"training loss ({runs.unit})")
    left.set(title="one network each: the last two epochs", xlim=(last - SHOWN, last))
    for (_, color, line), (name, runs) in zip(STYLES, chunked.items(), strict=False):
        loss = np.median(by_chunk(runs), axis=0)
        right.plot(1 + np.arange(len(loss)), loss, color=color, linestyle=line, linewidth=2, label=name)
    right.set(xlabel="first, second, … chunk read", ylabel="training loss", title="fading sum, in chunks")
    right.set_xticks(range(1, len(loss) + 1, 3))
    for ax, low in ((left, 2 * BELOW), (right, 0)):
        ax.title.set_size(10)
        plain(ax.yaxis)
        ax.legend(frameon=False, fontsize=8, loc="upper left")
        ax.set_ylim(low, 1.3 * ax.get_ylim()[1])
    return right


def by_chunk(runs: Runs) -> np.ndarray:
    """Training loss of the first, second, … chunk that was read of a sequence, (n, chunks); mean over the last third.

    For tasks of which every step counts.
    """
    recipe = runs.recipes[0]
    each = recipe.past // recipe.chunk
    turns = runs.reached // each
    losses = runs.train_loss[:, : turns * each].reshape(len(runs), turns, each)
    return losses[:, -max(1, round(LAST * turns)) :].mean(1)


def splits(sides: Mapping[str, Runs], task: Task) -> Axes:
    """Which targets of a series are in the training and which in the test part, and every run's test error.

    Args:
        sides: Two names with runs on the series, one recipe each.

    Returns:
        The last of three axes: one for the parts of either side, one for the errors of both.
    """
    *parts, right = axes(3, PAGE, 2.6, width_ratios=[3, 3, 3])
    for ax, row, (name, runs) in zip(parts, (1, 0), sides.items(), strict=True):
        seed = int(runs.seeds[0])
        example, values = task.examples(runs.recipes[0], seed), task.values(seed)[:, 0]
        for part, (label, color) in enumerate(PARTS.items()):
            times = example.times[example.of(part)]
            ax.plot(times, values[times], ".", color=color, markersize=2, label=label)
        ax.set_title(name, size=10)
        ax.set(xlabel="step")
        share = runs.test_score / runs.naive
        right.plot(share, np.full(len(share), row), "o", color=COLORS["variant"], alpha=0.5)
    parts[0].set_ylabel(f"{task.name} ({task.unit})")
    parts[1].legend(frameon=False, fontsize=8, loc="upper left", markerscale=5)
    right.axvline(1, color=GREY, linewidth=0.8, linestyle=":")
    right.annotate("naive", (1, 1.5), color=GREY, size=8, rotation=90, ha="right", va="top")
    right.set(xscale="log", xlabel="test error (share of naive)")
    right.set(yticks=[0, 1], yticklabels=[name.replace(", ", ",\n") for name in [*sides][::-1]], ylim=(-0.5, 1.5))
    right.set_xticks(log_ticks(*right.get_xlim())), plain(right.xaxis)
    return right
