"""Readings: one number a run, shape (n,), or one a seed where the runs of several values are looked at together.

A run that diverged or failed is an outcome: each reading says what number it gets. Some need no more than the scores,
which a record keeps; others are read from the runs themselves, and a record keeps them beside the scores.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from rnntips.engine.rescue import HIGH, USUAL, WATCHED_AFTER
from rnntips.errors import BadArgument
from rnntips.notebook.tips import expected_best
from rnntips.runs import Runs, to_target
from rnntips.verdict import Scores, cap, progress

__all__ = ["CALIBRATED", "best_of", "best_rates", "best_value", "examples_to", "exploding", "failed", "far_from",
           "gradient_jumps", "highest_usable", "pretext_error", "score", "seconds_per_window", "seconds_to", "solved",
           "spikes", "spiky", "training_loss", "usable_range", "validation_error", "wrong"]  # fmt: skip

CLOSE = 1.1  # a learning rate is usable if its error is at most so many times the best of its side and seed
EXPLODED = 10.0  # times the median of the gradients before
CALIBRATED = "seconds per update"  # the reading that a calibration gives runs, see `evidence.timing`


def score(scores: Scores) -> np.ndarray:
    """Test error, in the task's unit; a run that failed errs like the naive guess."""
    return cap(scores.score, scores.naive)


def wrong(scores: Scores) -> np.ndarray:
    """Wrong answers of a hundred, where a task is scored by their share; a failed run errs like the naive guess."""
    return 100 * score(scores)


def failed(scores: Scores) -> np.ndarray:
    """1 where a run diverged or did no better than naive."""
    return (~(scores.score < scores.naive)).astype(float)


def solved(scores: Scores, reach: float = 0.5) -> np.ndarray:
    """1 where the test error came this share of the way from naive to the floor, 0 elsewhere and for failed runs."""
    return (progress(scores.score, scores.naive, scores.floor) >= reach).astype(float)


def validation_error(runs: Runs) -> np.ndarray:
    """Mean of the last three evaluations, in the task's unit; what tuning looks at; infinite if a run diverged."""
    errors = runs.tuning_score
    return np.where(np.isfinite(errors), errors, np.inf)


def seconds_per_update(runs: Runs, seconds: np.ndarray) -> np.ndarray:
    """Of one run's update, as calibrated beside the other sides, see `evidence.timing`; round i goes with run i."""
    return seconds


def seconds_per_window(runs: Runs, seconds: np.ndarray) -> np.ndarray:
    """The same over the windows of a batch."""
    return seconds / np.array([recipe.batch_size for recipe in runs.recipes])


def seconds_to(runs: Runs, seconds: np.ndarray, reach: float = 0.5) -> np.ndarray:
    """As `rnntips.runs.to_target`, in calibrated seconds, so an interval knows the spread of both."""
    return to_target(runs, reach) * seconds


def examples_to(runs: Runs, reach: float = 0.5) -> np.ndarray:
    """As `rnntips.runs.to_target`, in windows read by all workers; one that is read in chunks counts at each of them,
    and one that has not grown yet like any other."""
    return to_target(runs, reach) * np.array([recipe.windows_per_update for recipe in runs.recipes])


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


def pretext_error(runs: Runs) -> np.ndarray:
    """Test error, at the end, of what runs were pre-trained for, see `Runs.pretext`; not finite if a run diverged.

    Raises:
        BadArgument: They were not pre-trained.
    """
    if not runs.pretext.size:
        raise BadArgument("A pretext error needs runs that were pre-trained: set pretrain on both sides.")
    return runs.pretext[:, 1]


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
        usual = np.median(finite[:, max(0, update - USUAL) : update], axis=1)
        count += ~(values[:, update] <= factor * usual) | ~np.isfinite(values[:, update])
    return 1000 * count / (values.shape[1] - WATCHED_AFTER)


def spiky(runs: Runs) -> np.ndarray:
    """1 where the training loss jumped at all, as `spikes` counts it."""
    return (spikes(runs) > 0).astype(float)


def exploding(runs: Runs) -> np.ndarray:
    """1 where the gradient exploded at all, as `gradient_jumps` counts it."""
    return (gradient_jumps(runs) > 0).astype(float)


def decades(rates: Mapping[float, Scores]) -> float:
    """The step between evenly spaced rates, in powers of ten."""
    steps = np.diff(np.log10(sorted(rates)))
    if not len(steps) or np.ptp(steps) > 0.05:
        raise BadArgument(f"rates {sorted(rates)}: two or more, evenly spaced in powers of ten, are needed.")
    return float(steps.mean())


def usable(rates: Mapping[float, Scores]) -> np.ndarray:
    """Whether each rate, from the lowest to the highest, is usable for each seed, (K, n).

    Usable is a rate whose test error is within a tenth of the seed's best over all rates of this side, and below the
    naive guess's.
    """
    errors = np.array([score(rates[rate]) for rate in sorted(rates)])
    return (errors <= CLOSE * errors.min(0)) & np.array([failed(rates[rate]) == 0 for rate in sorted(rates)])


def usable_range(rates: Mapping[float, Scores]) -> tuple[np.ndarray, np.ndarray]:
    """How many times the lowest `usable` rate the highest is, (n,): 10 for a decade, 1 where none is usable.

    Every rate that was tried stands for its step of the grid, so a half-decade more is a factor of 3.2 whatever the
    grid. Also 1 where a rate at either end is usable, or none is, since the truth may then lie beyond the grid, else 0.

    Args:
        rates: One side at every rate of an evenly spaced grid.
    """
    found = usable(rates)
    return 10 ** (decades(rates) * found.sum(0)), (found[0] | found[-1] | ~found.any(0)).astype(float)


def highest_usable(rates: Mapping[float, Scores]) -> tuple[np.ndarray, np.ndarray]:
    """The highest `usable` learning rate, (n,); a seed with none counts with a step of the grid below the lowest.

    Also 1 where it is the grid's highest, or none is usable, since the truth may then lie beyond the grid, else 0.

    Args:
        rates: One side at every rate of an evenly spaced grid.
    """
    tried, found = np.array(sorted(rates)), usable(rates)
    highest = np.max(np.where(found, tried[:, None], tried[0] / 10 ** decades(rates)), axis=0)
    return highest, (found[-1] | ~found.any(0)).astype(float)


def best_rates(rates: Mapping[float, Scores]) -> tuple[np.ndarray, np.ndarray]:
    """The rate that tuning on one seed would pick, (n,): the lowest error on the validation part; of equals the lower.

    Tuning proper picks one rate for ten seeds, which leaves nothing to see its spread by. Each seed's own pick is a
    draw of the same kind, so their ratios have a median and an interval like any other pairs. Also 1 where the pick is
    at an end of the grid, since the truth may lie beyond it, else 0.
    """
    tried = sorted(rates)
    errors = [rates[rate].readings["validation error"] for rate in tried]
    picks = np.argmin(np.nan_to_num(errors, nan=np.inf, posinf=np.inf), axis=0)
    return np.array(tried)[picks], ((picks == 0) | (picks == len(tried) - 1)).astype(float)


def far_from(best: np.ndarray, picks: np.ndarray) -> np.ndarray:
    """1 where a pick of `best_rates` is more than half a decade, a factor of about three, from the best, else 0."""
    return (np.abs(np.log10(picks / best)) > 0.51).astype(float)  # half-decades are written with two digits


def best_of(count: int, tried: Mapping[Any, Scores]) -> tuple[np.ndarray, np.ndarray]:
    """What so many tries lead to, (n,): the expected test error of the one with the lowest validation error among
    `count` of those that were tried, all choices of so many alike; each seed by itself.

    Also 1 where the best of all is the first or the last, since the truth may then lie beyond the search space, else 0.

    Args:
        tried: One side at every try, in the order of its learning rates; of one that has no search space the only one.

    Raises:
        BadArgument: Fewer were tried.
    """
    count = 1 if len(tried) == 1 else count
    if count > len(tried):
        raise BadArgument(
            f"The best of {count} tries needs as many, and there are {len(tried)}: add tries to the plan."
        )
    valid = np.nan_to_num([scores.readings["validation error"] for scores in tried.values()], nan=np.inf, posinf=np.inf)
    found = expected_best(count, valid, np.array([score(scores) for scores in tried.values()]))
    return found, np.isin(np.argmin(valid, axis=0), (0, len(tried) - 1)).astype(float)


def best_value(tried: Mapping[Any, Scores]) -> Any:
    """The value that proved best: the lowest test error, geometric mean over seeds."""
    return min(tried, key=lambda value: np.log(score(tried[value])).mean())
