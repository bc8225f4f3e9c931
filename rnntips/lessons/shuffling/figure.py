"""What the order of reading does to the training loss."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes

from rnntips.errors import BadArgument
from rnntips.figures import COLORS, DASHES, GREY, axes, band, plain
from rnntips.runs import Runs

__all__ = ["orders", "repeating"]

SHOWN, LAGS = 1, 1.2  # epochs of losses that are drawn, and of the longest lag
LAST = 1 / 3  # of the sequences: what the loss of their chunks is the mean of
STYLES = [("baseline", COLORS["baseline"], DASHES["baseline"]), ("variant", COLORS["variant"], DASHES["variant"]),
          ("third", GREY, ":")]  # fmt: skip


def orders(whole: Mapping[str, Runs], chunked: Mapping[str, Runs], epoch: int) -> Axes:
    """The training loss of runs that read windows in two orders, its repetition, and that of sequences in chunks.

    Left the last epoch, update by update; in the middle the autocorrelation, see `repeating`; right
    the loss of a sequence's chunks in the order of reading, median over runs of the mean over the last third.

    Args:
        whole: Two names with their runs.
        chunked: Up to three names with runs that read sequences in equally long chunks.
        epoch: Updates in which every window of `whole` is read once.

    Returns:
        The last axes; `ax.figure` holds all three.
    """
    left, middle, right = axes(3, 8.6, 3.2, width_ratios=[4, 3, 3])
    lags = np.arange(1, round(LAGS * epoch) + 1)
    for side, (name, runs) in zip(COLORS, whole.items(), strict=True):
        shown = np.arange(runs.updates - SHOWN * epoch, runs.updates)
        band(left, side, (shown + 1) / epoch, runs.train_loss[:, shown], name)
        band(middle, side, lags / epoch, repeating(runs, lags, epoch), name)
    middle.axhline(0, color=GREY, linewidth=0.8)
    unit = next(iter(whole.values())).unit
    if unit == "nats":  # of which the loss is
        naive = next(iter(whole.values())).valid_naive.mean()
        left.axhline(naive, color=GREY, linewidth=0.8, linestyle=":")
        place = {"xycoords": ("axes fraction", "data"), "ha": "right", "va": "bottom"}
        left.annotate("naive", (1.02, naive), color=GREY, size=8, **place)
    left.set(
        xlabel="epochs",
        ylabel="training loss" + " (nats)" * (unit == "nats"),
        title="windows: the last epoch",
        ylim=(0, None),
    )
    middle.set(xlabel="lag (epochs)", ylabel="autocorrelation", title="does it repeat?", ylim=(-1.05, 1.05))
    for (_, color, line), (name, runs) in zip(STYLES, chunked.items(), strict=False):
        loss = np.median(by_chunk(runs), axis=0)
        right.plot(1 + np.arange(len(loss)), loss, color=color, linestyle=line, linewidth=2, label=name)
    right.set(xlabel="chunk, as read", ylabel="training loss", title="sequences in chunks", ylim=(0, None))
    for ax in (left, middle, right):
        ax.title.set_size(10)
        plain(ax.yaxis)
    for ax, columns in ((left, 2), (right, 1)):
        ax.legend(frameon=False, fontsize=8, ncols=columns, loc="lower center", bbox_to_anchor=(0.5, 1.1))
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


def repeating(runs: Runs, lags: Sequence[int], epoch: int) -> np.ndarray:
    """Autocorrelation of the training loss, (n, lags): how much of its ups and downs comes back so many updates later.

    What falls from epoch to epoch says nothing of that, so the mean over the `epoch` updates around an update is taken
    off; half an epoch at either end has no such mean and is left out. 1: what is left repeats itself exactly; 0: it
    knows nothing of its past; a straight fall changes neither. NaN where losses are not finite or never differ.

    Args:
        epoch: Updates in which every window is read once.

    Raises:
        BadArgument: Fewer updates than an epoch, the longest lag and three more.
    """
    losses = runs.train_loss[:, : runs.reached]
    if losses.shape[1] < epoch + max(lags) + 3:
        raise BadArgument(f"Epochs of {epoch} updates and a lag of {max(lags)} need {epoch + max(lags) + 3} updates, "
                          f"and these runs did {losses.shape[1]}.")  # fmt: skip
    means = np.lib.stride_tricks.sliding_window_view(losses, epoch, axis=1).mean(2)
    left = losses[:, (epoch - 1) // 2 :][:, : means.shape[1]] - means
    return np.stack([_correlation(left[:, : left.shape[1] - lag], left[:, lag:]) for lag in lags], 1)


def _correlation(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Pearson's, row by row."""
    with np.errstate(invalid="ignore", divide="ignore"):
        a, b = (part - part.mean(1, keepdims=True) for part in (a, b))
        return (a * b).sum(1) / np.sqrt((a**2).sum(1) * (b**2).sum(1))
