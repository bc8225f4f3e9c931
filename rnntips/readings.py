"""Readings: one number a run, shape (n,), or one a seed where the runs of several values are looked at together.

A run that diverged or failed is an outcome: each reading says what number it gets.
"""

from collections.abc import Callable, Mapping, Sequence
from math import comb
from typing import Any

import numpy as np

from rnntips.errors import BadArgument
from rnntips.evidence import cap, progress
from rnntips.rescue import HIGH, MEMORY, WATCHED_AFTER
from rnntips.runs import Runs
from rnntips.schedule import lengths

__all__ = ["best_of", "best_rates", "best_value", "failed", "gradient_jumps", "regret", "repeating", "score",
           "seconds_per_update", "seconds_per_window", "seconds_to", "solved", "spikes", "spiky", "to_target",
           "tokens_to", "training_loss", "updates_to", "usable_range", "usable_window",
           "validation_error"]  # fmt: skip

WITHIN = 1.25  # in `usable_window` a learning rate is usable if its error is at most so many times the best
CLOSE = 1.1  # the same in `usable_range`
EXPLODED = 10.0  # times the median of the gradients before
CALIBRATED = "seconds per update"  # the reading that a calibration gives runs, see `rnntips.timing`


def score(runs: Runs) -> np.ndarray:
    """Test error, in the task's unit; a run that failed errs like the naive guess."""
    return cap(runs.latest_score, runs.trivial)


def validation_error(runs: Runs) -> np.ndarray:
    """Mean of the last three evaluations, in the task's unit; what tuning looks at; infinite if a run diverged."""
    errors = runs.valid_score[:, -3:].mean(1)
    return np.where(np.isfinite(errors), errors, np.inf)


def failed(runs: Runs) -> np.ndarray:
    """True where a run diverged or did no better than naive."""
    return ~(runs.latest_score < runs.trivial)


def solved(runs: Runs, reach: float = 0.5) -> np.ndarray:
    """1 where the test error came this share of the way from naive to the floor, 0 elsewhere and for failed runs."""
    return (progress(runs.latest_score, runs.trivial, runs.floor) >= reach).astype(float)


def to_target(runs: Runs, reach: float = 0.5) -> np.ndarray:
    """Updates until the validation error had first come this share of the way from naive to the floor.

    Negative where it never got there: −300 says "not within 300". A run that diverged got there if it had been there
    before. As fine as the evaluations, a factor of about 1.3.
    """
    target = runs.valid_trivial - reach * (runs.valid_trivial - runs.floor)
    with np.errstate(invalid="ignore"):
        there = runs.valid_score <= target[:, None]
    first = np.where(there.any(1), there.argmax(1), len(runs.evaluations) - 1)
    return np.where(there.any(1), 1, -1) * np.maximum(runs.evaluations[first], 1)


def updates_to(runs: Runs, share: float = 0.5) -> np.ndarray:
    """As `to_target`, but a run that never gets there counts with its whole budget."""
    return np.abs(to_target(runs, share))


def tokens_to(runs: Runs, reach: float = 0.5) -> np.ndarray:
    """As `to_target`, in time steps read: windows with their overlap, all that a batch holds; of chunks the new."""
    updates, total = to_target(runs, reach), runs.updates_before + runs.updates
    new = [recipe.stride or recipe.chunk or recipe.past for recipe in runs.recipes]
    read = [lengths(recipe.grow, n, total)[runs.updates_before :] for recipe, n in zip(runs.recipes, new, strict=True)]
    steps = [sum(some[: abs(n)]) for some, n in zip(read, updates, strict=True)]
    return np.sign(updates) * np.array([recipe.batch_size for recipe in runs.recipes]) * steps


def seconds_per_update(runs: Runs) -> np.ndarray:
    """Of one run's update, as calibrated beside the other sides; the i-th run has the i-th round.

    Raises:
        BadArgument: These runs were not calibrated. Their own duration would not do: sides are trained one after
            the other, or together, on a machine that is never quite quiet.
    """
    if CALIBRATED not in runs.readings:
        raise BadArgument("Seconds are calibrated when a record is computed, and these runs belong to none.")
    return runs.readings[CALIBRATED]


def seconds_per_window(runs: Runs) -> np.ndarray:
    """As `seconds_per_update`, over the windows of a batch."""
    return seconds_per_update(runs) / np.array([recipe.batch_size for recipe in runs.recipes])


def seconds_to(runs: Runs, reach: float = 0.5) -> np.ndarray:
    """As `to_target`, in calibrated seconds. Round i goes with seed i, so an interval knows the spread of both."""
    return to_target(runs, reach) * seconds_per_update(runs)


def training_loss(runs: Runs) -> np.ndarray:
    """Mean loss of the last tenth of the updates, in scaled units.

    No more than before the first update, mean over the runs; that is what a run that diverged counts with. NaN if no
    run was ever begun.
    """
    losses = runs.train_loss[:, : runs.reached]
    first = losses[:, :1][np.isfinite(losses[:, :1])]
    untrained = float(first.mean()) if len(first) else np.nan
    with np.errstate(over="ignore", invalid="ignore"):
        last = losses[:, -max(1, runs.reached // 10) :].mean(1)
    return np.where(last < untrained, last, untrained)


def spikes(runs: Runs) -> np.ndarray:
    """How often the training loss jumps, per 1,000 updates: above twice the median of the 50 losses before it.

    Counted after update 20, from when on the median has that many to rest on. An infinite loss is a jump, so a run
    that diverged at update 100 of 300 has a rate of about 700: every update since is one. Losses of small batches jump
    by chance, so a comparison of batch sizes says little.

    Raises:
        BadArgument: No update comes after the 20th.
    """
    return _jumps(runs, runs.train_loss, HIGH)


def gradient_jumps(runs: Runs) -> np.ndarray:
    """How often the gradient explodes, per 1,000 updates: longer than ten times the median of the 50 before it.

    Before clipping, and counted as `spikes` counts losses. Far above a spike's factor, since the gradients of batches
    differ more in length than their losses do.
    """
    return _jumps(runs, runs.gradient_norm, EXPLODED)


def _jumps(runs: Runs, values: np.ndarray, factor: float) -> np.ndarray:
    """Values (R, U) above so many times the median of those before, per 1,000 updates; all that are not finite."""
    values = values[:, : runs.reached]
    if values.shape[1] <= WATCHED_AFTER:
        raise BadArgument(f"Spikes are counted after update {WATCHED_AFTER}, and these runs did {runs.reached}.")
    finite = np.where(np.isfinite(values), values, np.inf)
    count = np.zeros(len(runs))
    for update in range(WATCHED_AFTER, values.shape[1]):
        usual = np.median(finite[:, max(0, update - MEMORY) : update], axis=1)
        count += ~(values[:, update] <= factor * usual) | ~np.isfinite(values[:, update])
    return 1000 * count / (values.shape[1] - WATCHED_AFTER)


def spiky(runs: Runs) -> np.ndarray:
    """1 where the training loss jumped at all, as `spikes` counts it."""
    return (spikes(runs) > 0).astype(float)


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


def decades(rates: Mapping[float, Runs]) -> float:
    """The step between evenly spaced rates, in powers of ten."""
    steps = np.diff(np.log10(sorted(rates)))
    if not len(steps) or np.ptp(steps) > 0.05:
        raise BadArgument(f"rates {sorted(rates)}: two or more, evenly spaced in powers of ten, are needed.")
    return float(steps.mean())


def usable_window(rates: Mapping[float, Runs], best: np.ndarray | None = None) -> np.ndarray:
    """Decades of learning rate in which a side's error stays within 1.25 times the best.

    Args:
        rates: One side at every rate of an evenly spaced grid, on the same seeds.
        best: Each seed's lowest error over both sides and all rates, (n,); of this side alone if None.
    """
    step, errors = decades(rates), np.array([score(runs) for runs in rates.values()])
    best = errors.min(0) if best is None else best
    return step * np.sum(errors <= WITHIN * best, axis=0)


def usable_range(rates: Mapping[float, Runs], others: Mapping[float, Runs]) -> np.ndarray:
    """How many times the lowest usable learning rate the highest is: 10 for a decade, 1 where none is usable.

    Usable is a rate whose test error is within a tenth of the seed's best over both sides and all rates, and below the
    naive guess's. Every rate that was tried stands for its step of the grid, so a half-decade more is a factor of 3.2
    whatever the grid; rates beyond its ends are not known of.

    Args:
        rates, others: Both sides at every rate of an evenly spaced grid, on the same seeds.
    """
    best = np.min([score(runs) for side in (rates, others) for runs in side.values()], axis=0)
    usable = [(score(runs) <= CLOSE * best) & ~failed(runs) for runs in rates.values()]
    return 10 ** (decades(rates) * np.sum(usable, axis=0))


def best_rates(rates: Mapping[float, Runs], _others: Mapping[float, Runs] | None = None) -> np.ndarray:
    """The rate that tuning on one seed would pick: the lowest error on the validation part; of equals the lower rate.

    Tuning proper picks one rate for ten seeds, which leaves nothing to see its spread by. Each seed's own pick is a
    draw of the same kind, so their ratios have a median and an interval like any other pairs. A pick at an end of
    the grid may lie beyond it.
    """
    tried = sorted(rates)
    errors = [reading(rates[rate], "validation error", validation_error) for rate in tried]
    return np.array(tried)[np.argmin(np.nan_to_num(errors, nan=np.inf, posinf=np.inf), axis=0)]


def reading(runs: Runs, name: str, read: Callable[[Runs], np.ndarray]) -> np.ndarray:
    """What a record kept under this name, or else what the runs themselves say."""
    return runs.readings[name] if name in runs.readings else read(runs)


def best_value(tried: Mapping[Any, Runs]) -> Any:
    """The value that proved best: the lowest test error, geometric mean over seeds."""
    return min(tried, key=lambda value: np.log(score(tried[value])).mean())


def regret(tried: Mapping[Any, Runs], pick: Any) -> np.ndarray:
    """log(error at the value that was picked / error at the value that proved best, geometric mean over seeds)."""
    return np.log(score(tried[pick])) - np.log(score(tried[best_value(tried)]))


def best_of(errors: np.ndarray, k: int) -> np.ndarray:
    """Lowest error to expect from k values drawn at random out of those tried, shape (values, n); returns (n,).

    Source: Dodge and others (2019), "Show your work: improved reporting of experimental results".
    """
    ordered, values = np.sort(errors, axis=0), len(errors)
    if not 1 <= k <= values:
        raise BadArgument(f"k={k}: a number from 1 to {values}, the values tried, is needed.")
    chances = [comb(values - 1 - i, k - 1) / comb(values, k) for i in range(values)]  # that the i-th is the lowest
    return np.tensordot(chances, ordered, axes=1)
