"""The whole pipeline in one picture, from a series to a score."""

import numpy as np
from matplotlib.axes import Axes

from rnntips.figures import COLORS, GREY, axes, plain
from rnntips.loader import examples_of
from rnntips.recipe import Recipe
from rnntips.runs import Runs
from rnntips.tasks import Forecast, stream
from rnntips.training import predict
from rnntips.windows import TRAIN, VALID, Examples, batches

__all__ = ["pipeline"]

READ = 10  # values of a window that are drawn one by one
EPOCHS = 1.25  # passes over the training windows that are drawn


def pipeline(task: Forecast, runs: Runs) -> Axes:
    """From a series to a score, in four drawings of what the first of these runs really saw.

    Args:
        task: What the runs were trained on.
        runs: Finished runs of one recipe.

    Returns:
        The last of the four axes; `ax.figure` holds them all.
    """
    recipe, seed = runs.recipes[0], int(runs.seeds[0])
    examples, first = examples_of(recipe, task, seed), runs.only([0])
    four = axes(2, 7.6, 5.6, rows=2, width_ratios=[1, 1.1])
    _series(four[0], task, recipe, examples, seed)
    _window(four[1], task, examples, first)
    _updates(four[2], recipe, examples, task.name, seed)
    _runs(four[3], runs)
    titles = "a series, in three parts", "a window goes through the cell", "updates and epochs", "seeds and runs"
    for number, (ax, title) in enumerate(zip(four, titles, strict=True), 1):
        ax.set_title(f"{number}  {title}", loc="left", size=10, fontweight="bold")
        ax.xaxis.label.set_size(9)
        ax.yaxis.label.set_size(9)
        ax.tick_params(labelsize=8)
    return four[3]


def _series(ax: Axes, task: Forecast, recipe: Recipe, examples: Examples, seed: int) -> None:
    """The record that a seed sees, its three parts, and the window that the next drawing reads."""
    values = task.values(seed)[:, 0]
    ax.plot(values, color=COLORS["baseline"], linewidth=1)
    ends = [0, TRAIN * len(values), VALID * len(values), len(values)]
    for name, begin, end in zip(("training", "validation", "test"), ends, ends[1:], strict=False):
        ax.text((begin + end) / 2, 0.02, name, transform=ax.get_xaxis_transform(), ha="center", size=8, color=GREY)
        if end < len(values):
            ax.axvline(end, color=GREY, linewidth=0.8, linestyle=":")
    target = int(examples.times[examples.of(2)[0]])
    ax.axvspan(target - recipe.horizon - recipe.past, target, color=COLORS["variant"], alpha=0.35, linewidth=0)
    ax.annotate("a window", (target, values[target]), (-8, 30), textcoords="offset points", ha="right", size=8,
                color=COLORS["variant"], arrowprops={"arrowstyle": "-", "color": COLORS["variant"]})  # fmt: skip
    ax.set(xlabel="step", ylabel=f"{task.series.name} ({task.unit})")
    plain(ax.xaxis), plain(ax.yaxis)


def _window(ax: Axes, task: Forecast, examples: Examples, run: Runs) -> None:
    """The last values of one window, the cell that reads them one by one, its forecast and what came."""
    chosen = examples.of(2)[:1]
    read = examples.inputs(chosen)[0, -READ:, 0]
    (predicted,), (came,) = ((rows[0] - examples.offset[chosen, 0]) / examples.spread for rows in predict(run, task, 1))
    features = run.recipes[0].features or ("differences:1" if task.series.trending else "levels")
    what = "value" if features == "levels" else "change"
    ends = [*read, predicted, came]
    low, reach = min(ends), max(ends) - min(ends)
    row = low - 0.45 * reach
    box = {"boxstyle": "square,pad=0.35", "facecolor": GREY, "edgecolor": GREY}
    for x, value in enumerate(read):
        ax.plot([x, x], [row, value], color=GREY, linewidth=0.6)
        ax.text(x, row, "cell", ha="center", va="center", size=6.5, color="white", bbox=box, zorder=3)
    ax.plot([-0.8, READ], [row, row], color=GREY, linewidth=1.2)
    ax.plot(range(READ), read, "o", color=COLORS["baseline"], markersize=5, label=f"{what}s read")
    ax.plot([READ, READ], [row, predicted], color=COLORS["variant"], linewidth=1)
    ax.plot(READ, predicted, "D", color=COLORS["variant"], markersize=6, label="forecast")
    ax.plot(READ, came, "o", markerfacecolor="none", color=GREY, markersize=8, label="what came")
    ax.annotate("the state is handed on", (0, row - 0.2 * reach), size=8, color=GREY, va="top")
    ax.set(xlim=(-0.9, READ + 0.6), ylim=(row - 0.4 * reach, max(ends) + 0.45 * reach), yticks=[])
    ax.set_xticks([0, READ - 1, READ], [f"… {examples.steps - READ + 1}", f"{examples.steps}", "next"])
    ax.set(xlabel="step of the window", ylabel=f"{what}, scaled")
    ax.legend(frameon=False, ncols=3, loc="upper left", fontsize=8, handletextpad=0.2, columnspacing=1)


def _updates(ax: Axes, recipe: Recipe, examples: Examples, setting: str, seed: int) -> None:
    """Which training windows each update reads: a column of dots is one update."""
    train, size = examples.of(0), recipe.batch_size
    epoch = len(train) / size
    count = int(EPOCHS * epoch)
    read = train[batches(recipe.order, len(train), count * size, stream("order", setting, seed))].reshape(count, size)
    updates = np.repeat(np.arange(1, count + 1), size)
    ax.plot(updates, examples.times[read].ravel(), ".", color=COLORS["baseline"], markersize=2.5)
    shown = count // 3
    ax.plot(np.full(size, shown), examples.times[read[shown - 1]], "D", color=COLORS["variant"], markersize=4)
    ax.annotate(f"one update:\n{size} windows", (shown, examples.times[train[-1]]), (0, 3), va="bottom", ha="center",
                textcoords="offset points", size=8, color=COLORS["variant"])  # fmt: skip
    ax.axvline(epoch + 0.5, color=GREY, linewidth=1, linestyle="--")
    ax.annotate("an epoch: all\nwindows once", (epoch, examples.times[train[-1]]), (-4, 3), va="bottom", ha="right",
                textcoords="offset points", size=8, color=GREY)  # fmt: skip
    ax.set(xlabel="update", ylabel="training windows, by time")
    ax.set_ylim(top=examples.times[train[-1]] + 0.3 * np.ptp(examples.times[train]))
    plain(ax.xaxis), plain(ax.yaxis)


def _runs(ax: Axes, runs: Runs) -> None:
    """The test error of every run as a share of naive, and where a linear forecast is (median of the seeds)."""
    share, linear = runs.test_score / runs.naive, float(np.median(runs.floor / runs.naive))
    rows = np.arange(len(runs))
    for value, name, place in ((linear, "linear forecast", "left"), (1, "naive", "right")):
        ax.axvline(value, color=GREY, linewidth=0.8, linestyle=":")
        ax.annotate(name, (value, -0.9), (3 if place == "left" else -3, 0), textcoords="offset points", ha=place,
                    size=8, color=GREY)  # fmt: skip
    ax.plot(share, rows, "o", color=COLORS["baseline"], markersize=5)
    ax.plot(share[:1], rows[:1], "D", color=COLORS["variant"], markersize=7)
    ax.annotate("the network of the\nother three drawings", (share[0], 0), (8, 0), textcoords="offset points", size=8,
                va="center", color=COLORS["variant"])  # fmt: skip
    low, high = min(linear, share.min()), max(1.0, share.max())
    room = 0.06 * (high - low)
    ax.set(xlim=(low - room, high + room), ylim=(len(runs) - 0.5, -1.6), yticks=rows[:: max(1, len(runs) // 5)])
    ax.set(xlabel="test error of one trained network (share of naive)", ylabel="seed")
    plain(ax.xaxis)
