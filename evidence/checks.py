"""Checks: whether a comparison tested what its claim says. A setting that fails one is NOT TESTED, with the reason.

Some checks need no more than the scores. Others need a reading of the runs, one number a run, that a record keeps.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from evidence.measures import Measure
from evidence.readings import training_loss
from rnntips.loader import examples_of
from rnntips.runs import Runs, to_target
from rnntips.tasks import Forecast
from rnntips.tasks.forecasts import linear_error
from rnntips.verdict import TRAINED, Scores, progress

__all__ = ["CHECKS", "Check", "Found", "due"]

SOLVED = 0.01  # share of the way: a median so near the floor leaves no room to differ
CLIPS = (0.001, 0.5)  # share of updates (or weights): clipping that is neither absent nor all there is
ON_THE_WAY = (0.1, 0.9)  # share of the budget: a target that is neither reached at once nor hardly ever
MORE = 1.1  # times as many windows: less is the same amount of data
OVERFITS = 1.5  # times the training loss: what is new is known so much worse
RARE = 100  # seeds that shares of runs need

NLL = "softmax+nll"

Pair = tuple[np.ndarray, np.ndarray]  # the baseline's and the variant's reading, (n,) each


class Found(NamedTuple):
    """What a check found in one setting."""

    values: tuple[float, float]  # the baseline's and the variant's; NaN where there is none
    ok: bool
    why_not: str = ""  # a sentence with the numbers, where it is not ok


@dataclass(frozen=True)
class Check:
    """What a comparison must show before its verdict counts.

    Args:
        name: As plans and records call it.
        judge: (baseline's scores, variant's, the measure, the pair of readings or None) → what was found.
        reading: Under which name a record keeps what the check needs beside scores; "" for nothing.
        read: (runs, task, reach) → (n,), that reading.
        aims: Whether it depends on the measure's `reach`.
        whole: Whether it is asked of a whole record alone, and not of its fresh seeds by themselves.
    """

    name: str
    judge: Callable[[Scores, Scores, Measure, Pair | None], Found]
    reading: str = ""
    read: Callable[[Runs, Any, float], np.ndarray] | None = None
    aims: bool = False
    whole: bool = False

    def label(self, measure: Measure) -> str:
        """Under which a record keeps its reading."""
        return f"{self.reading} ({100 * measure.reach:g} % of the way)" if self.aims else self.reading

    def keep(self, runs: Runs, task, measure: Measure) -> dict[str, np.ndarray]:
        """What a record must keep of these runs beside their scores."""
        return {self.label(measure): self.read(runs, task, measure.reach)} if self.read else {}

    def found(self, baseline: Scores, variant: Scores, measure: Measure) -> Found:
        """Whether the comparison of one setting passes."""
        label, sides = self.label(measure), (baseline, variant)
        if label and any(label not in side.readings for side in sides):
            return Found((np.nan, np.nan), False, f"The record does not keep the {label}, which would tell.")
        pair = (baseline.readings[label], variant.readings[label]) if label else None
        return self.judge(baseline, variant, measure, pair)


def learned(baseline: Scores, variant: Scores, measure: Measure, _: None) -> Found:
    """That a side trained, or solved some runs where these are counted, see `Measure.alive`; shares of its runs."""
    sides = (baseline, variant)
    if measure.name == "solved share":
        shares, did = [float(measure.reading(side).mean()) for side in sides], "solved the task"
    else:
        way = [progress(side.score, side.naive, side.floor) for side in sides]
        shares, did = [float(np.mean(some >= TRAINED)) for some in way], "came a fifth of the way to the floor"
    why = f"Neither side learned: {_percent(shares)} of their runs {did}."
    return _found(shares, measure.alive(baseline, variant, measure.smallest), why)


def room(baseline: Scores, variant: Scores, measure: Measure, _: None) -> Found:
    """That neither side's median lies within 1 % of the floor; shares of the way from naive.

    Far beyond a floor there is room: it was an estimate.
    """
    way = [float(np.median(progress(side.score, side.naive, side.floor))) for side in (baseline, variant)]
    why = f"There is no room: the sides came {_percent(way, 1)} of the way to the floor."
    return _found(way, min(abs(1 - some) for some in way) > SOLVED, why)


def share_to_target(runs: Runs, task, reach: float) -> np.ndarray:
    """Share of the budget after which a run was there, negative where it never was; as `rnntips.runs.to_target`."""
    return to_target(runs, reach) / runs.updates


def target(baseline: Scores, variant: Scores, measure: Measure, pair: Pair) -> Found:
    """That half of one side's runs are there after 10 to 90 % of their budget; medians, infinite where fewer are.

    It is the side that gets there earlier in its own budget.
    """
    shares = [float(np.sort(np.where(some > 0, some, np.inf))[(len(some) - 1) // 2]) for some in pair]
    first = min(shares)
    if np.isinf(first):
        there = [float(np.mean(some > 0)) for some in pair]
        return _found(shares, False, f"The target is reached by {_percent(there)} of runs.")
    why = f"The faster side reaches the target after {_percent([first], 1)} of its budget; {_ends(ON_THE_WAY)}."
    return _found(shares, ON_THE_WAY[0] <= first <= ON_THE_WAY[1], why)


def linear_errors(runs: Runs, task, reach: float) -> np.ndarray:
    """Test error, in the task's unit, of a ridge regression on the values of the same windows; NaN if no forecast.

    It reads `past` values of the column that is forecast, and no `lags`.
    """
    if not isinstance(task, Forecast):
        return np.full(len(runs), np.nan)
    recipe = runs.recipes[0]
    return np.array([linear_error(task.values(seed)[:, 0], task.examples(recipe, seed), recipe.past, recipe.horizon)
                     for seed in map(int, runs.seeds)])  # fmt: skip


def linear(baseline: Scores, variant: Scores, measure: Measure, pair: Pair) -> Found:
    """That a side's median error is below a linear forecast's, the better of both sides'; multiples of its error.

    Only for forecasts: it holds of all other tasks, which have no linear error.
    """
    best = np.fmin(*pair)
    errors = [np.where(np.isfinite(side.score), side.score, np.inf) / best for side in (baseline, variant)]
    times = [float(np.median(some)) for some in errors]
    why = "No side beats the better linear forecast from these windows"
    why = f"{why}: {times[0]:.2f} and {times[1]:.2f} times its error."
    return _found(times, np.isnan(best).all() or min(times) < 1, why)


def clipped_share(runs: Runs, task, reach: float) -> np.ndarray:
    """Share of updates at which the norm of the gradient was above `clip_norm`, until the run diverged.

    Where weights are clipped: the share of the final weights that lie at the limit. NaN without clipping, and where
    each tensor or value of the gradient is clipped, whose sizes no run records.
    """
    shares = np.full(len(runs), np.nan)
    for row, recipe in enumerate(runs.recipes):
        norms = runs.gradient_norm[row, : runs.reached]
        if recipe.clip_norm is not None and recipe.clip in ("global", "weights"):
            weights = recipe.clip == "weights"
            clipped = np.abs(runs.weights[row]) >= np.float32(recipe.clip_norm) if weights else norms > recipe.clip_norm
            counted = clipped if weights else clipped[~np.isnan(norms)]
            shares[row] = counted.mean() if len(counted) else np.nan
    return shares


def clips(baseline: Scores, variant: Scores, measure: Measure, pair: Pair) -> Found:
    """That every side that clips does so at 0.1 to 50 % of updates, mean over its runs; NaN for one that does not."""
    shares = [float(np.mean(known)) if len(known := some[~np.isnan(some)]) else np.nan for some in pair]
    clipping = [share for share in shares if not np.isnan(share)]
    why = f"Clipping acts on {_percent(clipping, 2)} of updates or weights; {_ends(CLIPS)}."
    return _found(shares, clipping and all(CLIPS[0] <= share <= CLIPS[1] for share in clipping),
                  why if clipping else "Neither side is known to clip.")  # fmt: skip


def windows_read(runs: Runs, task, reach: float) -> np.ndarray:
    """Different training windows that a run read: those of all its mini-batches, but no more than there are."""
    recipe = runs.recipes[0]
    examples, new = examples_of(recipe, task, int(runs.seeds[0])), recipe.new
    # as many updates as a mini-batch has chunks that count, see `Recipe.updates_for`
    each = -(-examples.steps // new) - examples.skip // new if new else 1
    batches = -(-(runs.updates_before + runs.updates) // each)
    return np.full(len(runs), min(batches * recipe.windows_per_update, len(examples.of(0))), float)


def reads(baseline: Scores, variant: Scores, measure: Measure, pair: Pair) -> Found:
    """That one side read more data: at least a tenth more windows; medians of their numbers."""
    read = [float(np.median(some)) for some in pair]
    why = f"The sides read {read[0]:,.0f} and {read[1]:,.0f} different windows; one must read {MORE:g} times as many."
    return _found(read, max(read) >= MORE * min(read), why)


def over_training(runs: Runs, task, reach: float) -> np.ndarray:
    """Validation error over training loss at the end of training, later than where a run was stopped early.

    NaN where the two have no unit in common: it is known of classes that are scored and trained in nats.
    """
    if runs.recipes[0].head not in (None, NLL) or examples_of(runs.recipes[0], task, int(runs.seeds[0])).head != NLL:
        return np.full(len(runs), np.nan)
    return runs.valid_score[:, -1] / training_loss(runs)


def overfits(baseline: Scores, variant: Scores, measure: Measure, pair: Pair) -> Found:
    """That the baseline overfits: its validation error is 1.5 times its training loss or more; medians."""
    ratios = [float(np.median(some)) for some in pair]
    why = f"The baseline's validation error is {ratios[0]:.2f} times its training loss; {OVERFITS} are needed."
    return _found(ratios, ratios[0] >= OVERFITS, why)


def rare(baseline: Scores, variant: Scores, measure: Measure, _: None) -> Found:
    """That shares of runs rest on 100 seeds; their numbers."""
    seeds = [float(len(side)) for side in (baseline, variant)]
    return _found(seeds, min(seeds) >= RARE, f"Shares of runs need {RARE} seeds, and these are {min(seeds):.0f}.")


def _found(values: Sequence[float], ok: Any, why: str) -> Found:
    baseline, variant = values
    return Found((baseline, variant), bool(ok), "" if ok else why)


def _percent(shares: Sequence[float], digits: int = 0) -> str:
    return " and ".join(f"{100 * share:.{digits}f} %" for share in shares)


def _ends(ends: tuple[float, float]) -> str:
    return f"{100 * ends[0]:g} to {100 * ends[1]:g} % are needed"


_ALL = (
    Check("learned", learned),
    Check("room", room),
    Check("target", target, "share of the budget to target", share_to_target, aims=True),
    Check("linear", linear, "linear error", linear_errors),
    Check("clips", clips, "clipped share", clipped_share),
    Check("reads", reads, "windows read", windows_read),
    Check("overfits", overfits, "validation error over training loss", over_training),
    Check("rare", rare, whole=True),
)
CHECKS = {check.name: check for check in _ALL}


def due(measure: Measure, named: tuple[str, ...] = ()) -> list[Check]:
    """The checks of a claim: those that its measure needs, and those that it names."""
    needed = {"learned": True, "target": measure.aims and not measure.share, "rare": measure.share}
    return [check for name, check in CHECKS.items() if needed.get(name) or name in named]
