"""Numbers from scores: paired effects, their intervals, and findings by rule (`docs/rule.md` explains it).

A score is an error: lower is better. An effect is the log of variant over baseline, seed by seed.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from math import comb

import numpy as np

from rnntips.errors import BadArgument

__all__ = [
    "LEAST",
    "Condition",
    "Finding",
    "Verdict",
    "cap",
    "decide",
    "effects",
    "failures",
    "find",
    "gap",
    "interval",
    "middle",
    "progress",
    "sentence",
    "tail",
    "trained",
    "word",
]

LEAST = 1e-3  # of the trivial error: below that a task is solved, and no ratio of errors means anything
SMALLEST = 0.05  # relative difference in error that matters, unless a plan says otherwise
FEWEST = 10  # seeds below which nothing is decided
TRAINED = 0.2  # share of the way from trivial to floor that half of a side's runs must get
MANY = 0.1  # share of runs by which failures may not differ where two sides are called the same
SEEN = (1.96 + 0.84) / 1.96  # half-widths of an interval that an effect needs to be seen four times out of five


class Verdict(StrEnum):
    """What one experiment says of the variant."""

    BETTER = "BETTER"
    WORSE = "WORSE"
    SAME = "SAME"
    UNCLEAR = "UNCLEAR"
    NOT_TRAINED = "NOT TRAINED"


@dataclass(frozen=True)
class Finding:
    """A verdict with its numbers. Changes are relative: −0.4 means 40 % less error than the baseline.

    The verdict rests on `interval`, and that belongs to `typical`: the median over seeds of variant over baseline,
    of several settings the geometric mean of their medians. `effect` is the average, the geometric mean over all
    runs; a few failed runs can carry it far out of that interval, and then `sentence` says so.
    `detectable` is the smallest change that this many seeds and this spread show four times out of five.
    """

    verdict: Verdict
    effect: float
    typical: float
    interval: tuple[float, float]  # 95 %, of `typical`
    wins: int  # pairs of runs in which the variant errs less
    losses: int  # in which it errs more; ties are neither
    n: int  # seeds
    runs: int  # pairs of runs: n in each setting
    smallest: float  # change that matters
    detectable: float
    failed: int = 0  # pairs in which one side alone did no better than naive
    failing: float = 0.0  # share of runs that the variant fails more
    what: str = "error"
    unit: str = "%"  # or "points": of a hundred runs, and changes are differences

    @property
    def win_rate(self) -> float:
        return self.wins / self.runs

    @property
    def strength(self) -> float:
        """`typical` in multiples of the smallest change that matters: 1 is just that much more, −1 that much less."""
        if self.unit == "points":
            return self.typical / self.smallest
        return float(np.log1p(self.typical) / np.log1p(self.smallest))


def cap(scores: np.ndarray, trivial: np.ndarray) -> np.ndarray:
    """Scores no worse than the trivial predictor's; a run that diverged counts as trivial, never as missing.

    Where the floor is 0 errors can become as small as rounding; a thousandth of trivial is as good as none.
    """
    return np.maximum(_below(scores, trivial), LEAST * trivial)


def _below(scores: np.ndarray, trivial: np.ndarray) -> np.ndarray:
    return np.where(np.isfinite(scores), np.minimum(scores, trivial), trivial)


def effects(variant: np.ndarray, baseline: np.ndarray, trivial: np.ndarray) -> np.ndarray:
    """log(variant / baseline) of paired scores, both capped, shape (n,)."""
    return np.log(cap(variant, trivial) / cap(baseline, trivial))


def progress(scores: np.ndarray, trivial: np.ndarray, floor: np.ndarray) -> np.ndarray:
    """Share of the way from the trivial error to the floor, 0 for a run that failed; above 1 beyond the floor."""
    return (trivial - _below(scores, trivial)) / (trivial - floor)


def trained(scores: np.ndarray, trivial: np.ndarray, floor: np.ndarray) -> bool:
    """Whether at least half the runs got a fifth of the way from trivial to floor."""
    return bool(np.mean(progress(scores, trivial, floor) >= TRAINED) >= 0.5)


def middle(d: np.ndarray) -> float:
    """What is typical: the median over seeds, shape (n,); of several settings, (k, n), the mean of their medians."""
    return float(np.median(d, axis=-1).mean())


def interval(d: np.ndarray, level: float = 0.95) -> tuple[float, float]:
    """Interval for `middle`: in each setting the values' range, less as many at each end as chance allows.

    A value falls above the median as a coin falls, so how many do is binomial whatever the values' law: of 20
    values the 6th smallest to the 6th largest hold the median in 96 experiments of 100, of 10 the 2nd to the 9th
    in 98; ties only widen this. Fewer than six values cannot reach 95 %, and their whole range is given. Margins of
    several settings add like the sides of a right angle, as independent errors do.

    Sources: Thompson (1936), "On confidence ranges for the median", Annals of Mathematical Statistics 7;
    Zou and Donner (2008), "Construction of confidence intervals about effect measures", Statistics in Medicine 27.
    """
    ordered, out = np.sort(np.atleast_2d(d)), max(left_out(np.shape(d)[-1], level), 0)
    medians = np.median(ordered, axis=1)
    below, above = medians - ordered[:, out], ordered[:, -1 - out] - medians
    low, high = (float(np.sqrt(np.sum(margin**2)) / len(ordered)) for margin in (below, above))
    return middle(d) - low, middle(d) + high


@cache
def left_out(n: int, level: float = 0.95) -> int:
    """The most values to leave out at each end: coin tosses give so few heads in (1 − level) / 2 of cases at most."""
    few = -1
    while tail(few + 1, n) <= (1 - level) / 2:
        few += 1
    return few


def tail(few: int, n: int) -> float:
    """How often n tosses of a coin show at most so few heads."""
    return sum(comb(n, heads) for heads in range(few + 1)) / 2**n


def find(d: np.ndarray, any_trained: bool, smallest: float = SMALLEST, failed: np.ndarray | None = None) -> Finding:
    """The finding of one experiment from its paired log ratios, shape (n,), or (k, n) for k settings.

    Fewer than 10 seeds are UNCLEAR. NOT TRAINED if no side trained; SAME if the interval lies within ± the
    smallest that matters; BETTER or WORSE if it excludes 0 and what is typical is at least half of that; otherwise
    UNCLEAR. Failures can only take a verdict back: SAME, where one side fails in a tenth of the runs more, and the
    lead of a side that fails significantly more often.

    Args:
        failed: From `failures`, shaped like d; None if no run failed.
    """
    if not np.all(np.isfinite(d)) or not np.size(d):
        raise BadArgument("Paired effects must be finite numbers; cap the scores first.")
    failed = np.zeros(np.shape(d), dtype=int) if failed is None else np.asarray(failed)
    n, center, ends, more = np.shape(d)[-1], middle(d), interval(d), float(np.mean(failed))
    verdict = decide(center, *ends, np.log1p(smallest), n, any_trained)
    leads_but_fails = more * center < 0 and apart(failed)
    taken_back = {
        Verdict.SAME: abs(more) >= MANY,
        Verdict.BETTER: leads_but_fails,
        Verdict.WORSE: leads_but_fails,
    }
    verdict = Verdict.UNCLEAR if taken_back.get(verdict) else verdict
    low, high = (float(end) for end in np.expm1(ends))
    return Finding(
        verdict, float(np.expm1(np.mean(d))), float(np.expm1(center)), (low, high), int(np.sum(d < 0)),
        int(np.sum(d > 0)), n, int(np.size(d)), smallest, float(np.expm1(SEEN * (ends[1] - ends[0]) / 2)),
        int(np.sum(np.abs(failed))), more,
    )  # fmt: skip


def decide(center: float, low: float, high: float, matters: float, n: int, any_trained: bool) -> Verdict:
    """The rule of `find`, for numbers on one scale."""
    if n < FEWEST:
        return Verdict.UNCLEAR
    if not any_trained:
        return Verdict.NOT_TRAINED
    if -matters < low and high < matters:
        return Verdict.SAME
    if (low > 0 or high < 0) and abs(center) >= matters / 2:
        return Verdict.WORSE if center > 0 else Verdict.BETTER
    return Verdict.UNCLEAR


def failures(variant: np.ndarray, baseline: np.ndarray, trivial: np.ndarray) -> np.ndarray:
    """Per seed 1 where the variant alone did no better than naive, −1 where the baseline alone, else 0; shape (n,)."""
    return (~(variant < trivial)).astype(int) - ~(baseline < trivial)


def apart(failed: np.ndarray) -> bool:
    """Whether one side fails more often, by a sign test over the runs in which one side alone failed."""
    ones, minuses = int(np.sum(failed > 0)), int(np.sum(failed < 0))
    return min(ones, minuses) <= left_out(ones + minuses)


def percent(value: float, unit: str = "%") -> str:
    """A change as people write it: −41 %."""
    return f"{round(100 * value) + 0.0:+.0f} {unit}".replace("-", "−")  # no minus before nothing


def sentence(f: Finding) -> str:
    """A finding in words: direction, how many runs, how much is typical, and what the rule says."""
    low, high = (percent(value, "").strip() for value in f.interval)
    numbers = f"{percent(f.typical, f.unit)} ({low} to {high})"
    if f.verdict == "NOT TRAINED":
        return "Neither side learned enough to be compared."
    if f.n < FEWEST:
        return f"Undecided: {f.n} runs a side are too few; {FEWEST} are needed."
    if f.verdict == "SAME":
        return f"About the same: {numbers}, within ± {100 * f.smallest:.0f} {f.unit}.{average(f)}"
    if f.verdict == "UNCLEAR":
        seen = f"{100 * f.detectable:.0f} {f.unit}"
        return f"Undecided: {numbers}. {f.n} runs a side can show differences of {seen} or more.{average(f)}"
    direction, wins = ("Lower", f.wins) if f.verdict == "BETTER" else ("Higher", f.losses)
    return f"{direction} {f.what} in {wins} of {f.runs} runs: {numbers}.{average(f)}"


def average(f: Finding) -> str:
    """Says what the average is where it is not typical, that is, where it lies outside the interval."""
    if f.interval[0] <= f.effect <= f.interval[1]:
        return ""
    why = f", since {f.failed} runs failed" if f.failed else ", since a few runs differ far more"
    return f" On average {percent(f.effect, f.unit)}{why}."


def gap(first: np.ndarray, second: np.ndarray) -> tuple[float, float]:
    """Interval for the difference of two independent effects, each of some settings, shapes (k, n) and (l, n)."""
    (low, high), (lower, higher), a, b = interval(first), interval(second), middle(first), middle(second)
    return float(a - b - np.hypot(a - low, higher - b)), float(a - b + np.hypot(high - a, b - lower))


@dataclass(frozen=True)
class Condition:
    """A condition declared beforehand: its two levels' findings, and how far their effects lie apart (logarithms)."""

    name: str
    levels: tuple[Finding, Finding]
    gap: tuple[float, float]  # interval
    gaps: tuple[float, ...]  # in each part alone


def word(
    claimed: str,
    overall: Finding,
    settings: Iterable[Finding],
    parts: Sequence[Finding],
    condition: Condition | None = None,
) -> str:
    """The record's word on a claim, from all its parts: first seeds, and fresh ones that were tuned anew.

    Args:
        claimed: `"BETTER"` or `"WORSE"`: what the claim says of the variant; or `"NO WORSE"`.
        overall: All settings and parts.
        settings: Each setting alone, all parts.
        parts: All settings, each part alone. Whatever is said of a difference, each part must show at least the
            smallest that matters; tuning differs between parts, and no interval inside one part knows of that.
        condition: None if none was declared beforehand.

    Returns:
        SUPPORTED, CONTRADICTED, DEPENDS ON …, NO DIFFERENCE or UNDECIDED.
    """
    opposite = {"BETTER": "WORSE", "WORSE": "BETTER", "NO WORSE": "WORSE"}[claimed]
    claim = "BETTER" if claimed == "NO WORSE" else claimed
    verdicts = {str(finding.verdict) for finding in settings}
    shown = [part.strength if claim == "WORSE" else -part.strength for part in parts]  # positive: as claimed
    holds = overall.verdict == claim and min(shown) >= 1
    if claimed == "NO WORSE":
        decided = overall.verdict != Verdict.NOT_TRAINED and overall.n >= FEWEST and overall.failing < MANY
        holds = decided and overall.interval[1] < overall.smallest and min(shown) > -1
    elif condition is not None and _depends(claim, condition, np.log1p(overall.smallest)):
        return f"DEPENDS ON {condition.name}"
    if holds and opposite not in verdicts:
        return "SUPPORTED"
    if overall.verdict == opposite and max(shown) <= -1 and claim not in verdicts:
        return "CONTRADICTED"
    return "NO DIFFERENCE" if overall.verdict == Verdict.SAME and np.abs(shown).max() < 1 else "UNDECIDED"


def _depends(claim: str, condition: Condition, matters: float) -> bool:
    """One level is as claimed and the other is trained but not so; their gap is not 0 and repeats."""
    here, there = (str(level.verdict) for level in condition.levels)
    differ = claim in (here, there) and here != there and "NOT TRAINED" not in (here, there)
    low, high = condition.gap
    above, below = low > 0 and min(condition.gaps) >= matters, high < 0 and max(condition.gaps) <= -matters
    return differ and bool(above or below)
