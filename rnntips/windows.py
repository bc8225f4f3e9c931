"""Cut, split, scale, order, batch: from a series of values to the windows that a network reads.

A window is identified by the time of its target, so different `past` have the same targets. Scalers learn from the
training part alone, unless the parts are shuffled. This file knows neither recipes nor networks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from rnntips.errors import BadArgument, BadData, need_whole, spelled, unknown_name

if TYPE_CHECKING:  # shapes are for readers and type checkers
    from jaxtyping import Float

__all__ = ["SCALINGS", "SCORED", "SPLITS", "TARGETS", "Examples", "batches", "cut", "fit_scaler", "lagged_differences"]

TRAIN, VALID = 0.6, 0.8  # the training part ends at 60 % of the series, the validation part at 80 %
HISTORY = 1 / 8  # the first eighth has no targets, whatever the window

SCORED = {1: 64, 2: 192}  # windows of the validation and the test part; the time for evaluations grows with them

LEFT_OUT = -1

ANSWERS = 32  # where windows have many answers, at most ANSWERS × SCORED answers are scored
FEWEST_SCORED = {1: 4, 2: 12}  # but no fewer windows than these

TARGETS = ("level", "change")
SPLITS = ("time", "shuffled")


def _minmax(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return x.min(0), np.ptp(x, axis=0)


def _symmetric(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return (x.max(0) + x.min(0)) / 2, np.ptp(x, axis=0) / 2


def _robust(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return np.median(x, 0), np.subtract(*np.percentile(x, [75, 25], axis=0))


# name -> (subtract, divide by) of each column of the training part
SCALINGS = {
    "none": lambda x: (np.zeros(x.shape[1]), np.ones(x.shape[1])),
    "centre": lambda x: (x.mean(0), np.ones(x.shape[1])),
    "scale": lambda x: (np.zeros(x.shape[1]), x.std(0)),
    "standard": lambda x: (x.mean(0), x.std(0)),
    "minmax": _minmax,
    "symmetric": _symmetric,
    "robust": _robust,
}


def fit_scaler(kind: str, values: Float[np.ndarray, "n C"]) -> tuple[Float[np.ndarray, " C"], Float[np.ndarray, " C"]]:
    """What to subtract from each column and what to divide it by, each (C,), learned from `values`, (n, C).

    `none`, `centre` (mean), `scale` (standard deviation), `standard` (both), `minmax` (to [0, 1]),
    `symmetric` (to [-1, 1]), `robust` (median and interquartile range).

    Raises:
        BadArgument: Unknown kind.
        BadData: A column whose spread is zero in the training part.
    """
    shift, spread, flat = fitted(kind, values)
    if flat.any():
        raise BadData(
            f"{kind!r} scaling divides by a spread, and column {int(np.argmax(flat))} has none in the training "
            "part (its first 60 %). Choose another scaling or a longer record."
        )
    return shift, spread


def fitted(kind: str, values: Float[np.ndarray, "n C"]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """As `fit_scaler`, and which columns cannot be divided, since they have no spread but by rounding; each (C,)."""
    if kind not in SCALINGS:
        raise unknown_name("scaling", kind, SCALINGS)
    shift, spread = SCALINGS[kind](values)
    # by rounding a constant column has a spread of about 1e-17 of its level
    return shift, spread, (spread <= 1e-12 * np.abs(values).max(0)) & (kind not in ("none", "centre"))


def lagged_differences(target: Float[np.ndarray, " N"], lags: int) -> Float[np.ndarray, "N lags"]:
    """The last `lags` one-step differences at every time, newest first, (N, lags); NaN at the first times."""
    steps = np.diff(target, prepend=np.nan)
    out = np.full((len(target), lags), np.nan)
    for lag in range(lags):
        out[lag:, lag] = steps[: len(target) - lag]
    return out


def seen(values: Float[np.ndarray, "N C"], lags: int) -> np.ndarray:
    """What a network reads at each time, unscaled; with lags see `cut`, and times without differences are left out."""
    return np.column_stack([lagged_differences(values[:, 0], lags), values[:, 1:]])[lags:] if lags else values


def evenly(indices: np.ndarray, at_most: int) -> np.ndarray:
    """At most so many of some indices, evenly spread over them."""
    if len(indices) <= at_most:
        return indices
    return indices[np.linspace(0, len(indices) - 1, at_most).round().astype(int)]


@dataclass(frozen=True, eq=False)
class Examples:
    """Windows and targets of one seed, all parts together. N windows, T steps, C channels, K outputs or classes.

    Windows overlap, so they are kept as one signal and the place where each begins:
    window i is `signal[starts[i] :: stride][:steps]`.

    `predictions * spread + offset` are in the task's unit; `truth` is what they are scored against. For classes,
    targets and truth are one-hot rows, and predictions are logits.

    If a network answers at every step, targets and truth are signals as long as `signal`, and their windows begin at
    the same `starts`; the first `skip` steps of a window do not count. One-hot rows of a whole text would fill the
    memory, so its signal and targets hold symbols as numbers, (L, 1), and only windows are made one-hot.
    """

    signal: np.ndarray  # (L, C) float32, scaled
    starts: np.ndarray  # (N,)
    steps: int
    targets: np.ndarray  # (N, K) float32, scaled
    spread: float
    offset: np.ndarray  # (N, K) unit
    truth: np.ndarray  # (N, K) unit
    times: np.ndarray  # (N,) time of each target
    part: np.ndarray  # (N,) 0 training, 1 validation, 2 test, LEFT_OUT none
    last: np.ndarray | None = None  # (N, K) unit; the newest value of the target that a window shows, if there is one
    head: str = "linear+mse"  # see `rnntips.engine.losses.HEADS`
    classes: bool = False  # whether the targets are K classes
    loss_at: str = "last"  # step at which a network answers: "last" or "every"
    skip: int = 0
    counted: np.ndarray | None = None  # (L,) bool, which answers at every step count; None: all after `skip`
    symbols: int = 0  # number of symbols if signal and targets hold symbols, else 0
    stride: int = 1  # rows of the signal from one step of a window to the next

    def of(self, part: int, at_most: int | None = None) -> np.ndarray:
        """Indices of one part's windows; at most `at_most` of them, evenly spread over time."""
        indices = np.flatnonzero(self.part == part)
        return indices if at_most is None else evenly(indices, at_most)

    def fewer(self, count: int, rng: np.random.Generator, name: str = "series") -> Examples:
        """A copy with `count` training windows; the others belong to no part.

        The windows are the first of a permutation: with the same `rng` a smaller choice is part of every larger one,
        and both come from the whole training part, whose beginning may differ from the rest.

        Raises:
            BadArgument: There are fewer training windows.
        """
        train = self.of(0)
        if count > len(train):
            raise BadArgument(f"train_size={count}: the training part of {name} has {len(train)} windows. Use fewer.")
        part = self.part.copy()
        part[rng.permutation(train)[count:]] = LEFT_OUT
        return replace(self, part=part)

    def scored(self, part: int) -> np.ndarray:
        """The fixed subset of a part's windows on which every network and the naive forecast are scored."""
        many = self.loss_at == "every" and self.counted is None
        answers = self.steps - self.skip if many else 1
        return self.of(part, max(FEWEST_SCORED[part], min(SCORED[part], SCORED[part] * ANSWERS // answers)))

    @property
    def channels(self) -> int:
        """C, the input channels."""
        return self.symbols or self.signal.shape[1]

    @property
    def outputs(self) -> int:
        """K, the outputs or classes."""
        return self.symbols or self.targets.shape[1]

    @property
    def sizes(self) -> dict[str, int]:
        """Sizes of a window, as arguments of `Recipe.updates_for`."""
        answers = self.steps - self.skip if self.loss_at == "every" else 1
        return {"steps": self.steps, "skip": self.skip, "channels": self.channels, "outputs": self.outputs,
                "answers": answers}  # fmt: skip

    def rows(self, indices: np.ndarray, first: int = 0) -> np.ndarray:
        """Rows of the signal that windows read from step `first` on, (n, T − first)."""
        return self.starts[indices][:, None] + self.stride * np.arange(first, self.steps)

    def inputs(self, indices: np.ndarray) -> np.ndarray:
        """Windows as the network reads them, (n, T, C)."""
        found = self.signal[self.rows(indices)]
        return np.eye(self.symbols, dtype=np.float32)[found[..., 0]] if self.symbols else found

    def answers(self, indices: np.ndarray) -> np.ndarray:
        """Truth that predictions are scored against: of windows (n, K), or of all their steps that count (n', K)."""
        if self.loss_at == "last":
            return self.truth[indices]
        rows = self.rows(indices, self.skip).ravel()
        found = self.truth[rows if self.counted is None else rows[self.counted[rows]]]
        return np.eye(self.symbols)[found[:, 0]] if self.symbols else found

    def labels(self, indices: np.ndarray) -> np.ndarray | None:
        """Classes as numbers, (n,); None unless the task asks for one class per window."""
        return self.targets[indices].argmax(1) if self.classes and self.loss_at == "last" else None


def cut(
    values: np.ndarray,
    past: int,
    horizon: int = 1,
    *,
    features: str = "levels",
    input_scaling: str = "standard",
    target_scaling: str = "standard",
    target: str = "level",
    spikes: np.ndarray | None = None,
    lags: Sequence[int] = (),
    patch: int = 1,
    shuffled: np.random.Generator | None = None,
    history: int | None = None,
    name: str = "series",
) -> Examples:
    """Windows over a series of values, split by target time and scaled.

    Args:
        values: The series, (N, C), target first. In its own unit.
        past: Values of each column that a window reads.
        horizon: Steps from the window's last value to its target.
        features: `"levels"` of all columns, or `"differences:K"`: the last K one-step differences of the target, and
            the levels of the other columns (K + C − 1 channels). A network can subtract two levels that it reads, but
            cannot recover a level from changes, and that the target drifts says nothing about its inputs.
        target: `"level"` forecasts the value, `"change"` its difference from the window's last value.
        spikes: Added to the training part's inputs at each time, (N,), in standard deviations of each feature.
        lags: So many steps before every step, the first column is read once more, as a further channel: the target, or
            its newest difference.
        patch: Values of a column that a step reads, oldest first: a window has T = past / patch steps of so many times
            as many channels.
        shuffled: Shuffles which windows are in which part, a mistake that scores promise too much after: neighbours in
            time, which share most of their values, come to be in different parts. As is usual with it, inputs are
            scaled by the whole series, and targets by those of the training windows.
        history: First target time; by default an eighth of the series, whatever `past` is.

    Raises:
        BadData: The series is too short; the message has its length, the window and the largest that fits.
    """
    if target not in TARGETS:
        raise unknown_name("target", target, TARGETS)
    n, kept = len(values), difference_lags(features)
    first, train_end, valid_end = split(n, past, horizon, features, lags, history, name)
    level = values[:, 0]
    signal = seen(values, kept)
    if spikes is not None:
        train = signal[: train_end - kept]
        signal = np.concatenate([train + spikes[kept:train_end, None] * train.std(0), signal[train_end - kept :]])
    shift, spread = fit_scaler(input_scaling, signal[: n if shuffled else train_end - kept])
    times = np.arange(first, n)
    part = np.where(times < train_end, 0, np.where(times < valid_end, 1, 2))
    part = shuffled.permutation(part) if shuffled else part
    last = level[times - horizon]
    anchor = last if target == "change" else np.zeros(len(times))
    wanted = level[times] - anchor
    centre, width = (float(a[0]) for a in fit_scaler(target_scaling, wanted[part == 0, None]))
    return Examples(
        signal=_side_by_side(((signal - shift) / spread).astype(np.float32), lags, patch),
        starts=times - horizon - past + 1 - kept - max(lags, default=0),
        steps=steps_of(past, patch),
        stride=patch,
        targets=((wanted - centre) / width).astype(np.float32)[:, None],
        spread=width,
        offset=(anchor + centre)[:, None],
        truth=level[times][:, None],
        times=times,
        part=part,
        last=last[:, None],
    )


def _side_by_side(signal: np.ndarray, lags: Sequence[int], patch: int) -> np.ndarray:
    """Every row of (L, C) with the first column of earlier rows, and then `patch` rows as one, see `cut`."""
    first = max(lags, default=0)
    rows = np.hstack([signal[first:], *(signal[first - lag : len(signal) - lag, :1] for lag in lags)])
    return np.hstack([rows[j : len(rows) - patch + 1 + j] for j in range(patch)])


def steps_of(past: int, patch: int) -> int:
    """Steps of a window of so many values, `patch` of which are read in a step."""
    whole = -(-past // need_whole("patch", patch, 1)) * patch
    if past != whole:
        raise BadArgument(f"past={past} is no multiple of patch={patch}: a step would be short. Use past={whole}.")
    return past // patch


def split(
    n: int, past: int, horizon: int = 1, features: str = "levels", lags: Sequence[int] = (),
    history: int | None = None, name: str = "series",
) -> tuple[int, int, int]:  # fmt: skip
    """First target time, and where the training and the validation part of n steps end. Arguments are those of `cut`.

    Raises:
        BadData: The series is too short.
    """
    past, horizon = need_whole("past", past, 1), need_whole("horizon", horizon, 1)
    kept, reach = difference_lags(features), max(lags, default=0)
    first = int(n * HISTORY) if history is None else history
    needed = past + horizon - 1 + kept + reach
    if needed > first:
        largest = first - horizon + 1 - kept - reach
        raise BadData(
            f"{name}: a window of past={past} with horizon={horizon}"
            + (f" and features={features!r}" if kept else "")
            + (f" and lags={tuple(lags)}" if lags else "")
            + f" needs {needed} earlier steps, and targets begin at step {first} of {n}. "
            + (f"The largest window that fits is past={largest}." if largest >= 1 else "Use a longer record.")
        )
    train_end, valid_end = int(TRAIN * n), int(VALID * n)
    if first >= train_end:
        raise BadData(
            f"{name}: history={first} leaves nothing to train on, since the training part ends at step {train_end} "
            f"of {n}. Use a smaller history or a longer record."
        )
    return first, train_end, valid_end


def difference_lags(features: str) -> int:
    """K of `"differences:K"`, 0 for `"levels"`."""
    (kind, numbers), *more = spelled(features)
    if features == "levels":
        return 0
    if kind == "differences" and not more and len(numbers) == 1 and numbers[0] >= 1 and numbers[0].is_integer():
        return int(numbers[0])
    raise BadArgument(f'features={features!r} is neither "levels" nor "differences:K" with K of at least 1.')


def batches(
    order: str, count: int, needed: int, rng: np.random.Generator, labels: np.ndarray | None = None
) -> np.ndarray:
    """`needed` window numbers below `count`, epoch after epoch, (needed,); mini-batches are cut from them in order.

    `"shuffled"` permutes every epoch anew, `"once"` repeats one permutation, `"time"` keeps time order, and
    `"class"` sorts every shuffled epoch by the windows' `labels` (count,), one class after the other.
    `"scrambled"` is like `"shuffled"`; `rnntips.engine.tbptt` then mixes the chunks of each sequence.
    """
    epochs = -(-needed // count)
    if order in ("shuffled", "scrambled"):
        stream = [rng.permutation(count) for _ in range(epochs)]
    elif order == "class":
        need_labels(labels)
        stream = [mixed[labels[mixed].argsort(kind="stable")] for mixed in map(rng.permutation, [count] * epochs)]
    elif order == "once":
        stream = [rng.permutation(count)] * epochs
    elif order == "time":
        stream = [np.arange(count)] * epochs
    else:
        raise unknown_name("order", order, ORDERS)
    return np.concatenate(stream)[:needed]


def need_labels(labels: np.ndarray | None) -> None:
    """Raise `BadArgument` if there are no classes to sort by."""
    if labels is None:
        raise BadArgument('order="class" sorts windows by class, and this task has none. Use "time" or "shuffled".')


ORDERS = ("class", "once", "scrambled", "shuffled", "time")
