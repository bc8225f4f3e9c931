"""Numbers from scores: paired effects, their intervals, and findings by rule (`docs/rule.md` explains it).

A score is an error: lower is better. An effect is the log of variant over baseline, seed by seed; for counts and
shares, which may be 0, it is variant minus baseline.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from fractions import Fraction
from functools import cache, cached_property
from math import comb
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from rnntips.errors import BadArgument

if TYPE_CHECKING:  # shapes are for readers and type checkers
    from jaxtyping import Float, Int

    PerRun = Float[np.ndarray, " n"] | Int[np.ndarray, " n"]  # one number for each of n runs

__all__ = ["LEAST", "NEAR", "Comparison", "Finding", "Measure", "Scores", "TestError", "Verdict", "against", "cap",
           "change", "decide", "effects", "failures", "find", "interval", "medians", "middle", "of_naive",
           "progress", "sentence", "size", "spoken", "tail", "trained", "way"]  # fmt: skip

LEAST = 1e-3  # share of the naive error: below it a task is solved, and ratios of errors mean nothing
TIE = 1e-9  # pairs that differ by less differ by rounding
SMALLEST = 0.05  # relative difference in error that matters, unless a plan says otherwise
ROUNDING = 1e-4  # share of the smallest that matters: less is rounding, since records keep six digits
FEWEST = 10  # seeds that a verdict needs
TRAINED = 0.2  # share of the way from naive to floor that half of an arm's runs must go
NEAR = 0.1  # share of naive: the way is at least so long, for a floor may be naive's own, and chance beats that
MANY = 0.1  # arms whose shares of failed runs differ so much are not the same
RATIOS = ("%", "times")  # in these units changes are ratios minus one; in all others they are differences
SEEN = (1.96 + 0.84) / 1.96  # an effect of so many half-widths of the interval is detected in four cases out of five


class Verdict(StrEnum):
    """The result of one experiment, for the variant."""

    BETTER = "BETTER"
    WORSE = "WORSE"
    SAME = "SAME"
    UNCLEAR = "UNCLEAR"
    NOT_TRAINED = "NOT TRAINED"


@dataclass(frozen=True, eq=False)
class Scores:
    """The scores of n runs of one arm, one run per seed."""

    score: PerRun  # test error, in the task's unit
    naive: PerRun  # error of the obvious forecast
    floor: PerRun  # lowest possible error
    readings: Mapping[str, np.ndarray] = field(default_factory=dict)  # name → (n,) of another measure

    def __len__(self) -> int:
        return len(self.score)

    def only(self, rows: Sequence[int]) -> Scores:
        """The scores of some of the runs."""
        readings = {name: values[rows] for name, values in self.readings.items()}
        return Scores(self.score[rows], self.naive[rows], self.floor[rows], readings)

    @staticmethod
    def joined(several: Sequence[Scores]) -> Scores:
        """The scores of several sets of runs, one after the other, with the readings that all have."""
        names = set.intersection(*(set(one.readings) for one in several))
        readings = {name: np.concatenate([one.readings[name] for one in several]) for name in sorted(names)}
        joined = (np.concatenate([getattr(one, name) for one in several]) for name in ("score", "naive", "floor"))
        return Scores(*joined, readings)

    @property
    def shares(self) -> PerRun:
        """Errors as shares of naive, uncapped; a run that diverged errs infinitely."""
        return np.where(np.isfinite(self.score), self.score, np.inf) / self.naive

    @property
    def trained(self) -> bool:
        """Whether at least half the runs got a fifth of the `way` from naive to the floor."""
        return trained(self.score, self.naive, self.floor)


@dataclass(frozen=True)
class Finding:
    """A verdict with its numbers. Changes are relative: −0.4 means 40 % less error than the baseline.

    The verdict depends on `interval`, the interval of `typical`: the median over seeds of variant over baseline, for
    several settings the geometric mean of their medians. `effect` is the average, the geometric mean over all runs; a
    few failed runs can move it far out of that interval, and then `sentence` says so. `detectable` is the smallest
    change that experiments with as many seeds and as much spread would detect in four cases out of five.
    """

    verdict: Verdict
    effect: float
    typical: float
    interval: tuple[float, float]  # 95 %, of `typical`
    wins: int  # pairs of runs in which the variant has less error
    losses: int  # in which it has more; ties are neither
    n: int  # seeds
    runs: int  # pairs of runs: n in each setting
    smallest: float  # smallest change that matters
    detectable: float
    failed: int = 0  # pairs in which only one arm did no better than naive
    failing: float = 0.0  # share of failed runs, the variant's minus the baseline's
    what: str = "error"
    unit: str = "%"  # or "times"; else changes are differences: in "points" (of a hundred runs), or in this unit
    better: str = "lower"  # or "higher"; "" where neither is, and then BETTER means lower

    @property
    def win_rate(self) -> float:
        return self.wins / self.runs

    @property
    def strength(self) -> float:
        """`typical` in multiples of the smallest change that matters: at 1 it is that much worse, at −1 better."""
        return self._multiples(self.typical)

    @property
    def worst(self) -> float:
        """The worse end of `interval`, in multiples as for `strength`."""
        return self._multiples(self.interval[0 if self.better == "higher" else 1])

    @property
    def matters(self) -> float:
        """The smallest change that matters, on the scale of paired effects."""
        return float(np.log1p(self.smallest)) if self.unit in RATIOS else self.smallest

    def _multiples(self, change: float) -> float:
        effect = float(np.log1p(change)) if self.unit in RATIOS else change
        return (-effect if self.better == "higher" else effect) / self.matters


def medians(baseline: Scores, variant: Scores) -> tuple[float, float]:
    """Both sides' medians of `Scores.shares`."""
    return float(np.median(baseline.shares)), float(np.median(variant.shares))


def cap(scores: PerRun, naive: PerRun) -> PerRun:
    """Scores, none above the naive error; a run that diverged counts as naive, never as missing.

    None is below a thousandth of naive either: where the floor is 0, errors can be as small as rounding.
    """
    return np.maximum(_below(scores, naive), LEAST * naive)


def _below(scores: PerRun, naive: PerRun) -> PerRun:
    return np.where(np.isfinite(scores), np.minimum(scores, naive), naive)


def effects(variant: PerRun, baseline: PerRun, naive: PerRun) -> PerRun:
    """log(variant / baseline) of paired scores, both capped, shape (n,)."""
    return np.log(cap(variant, naive) / cap(baseline, naive))


def progress(scores: PerRun, naive: PerRun, floor: PerRun) -> PerRun:
    """Share of the `way` from the naive error to the floor, 0 for a run that failed; above 1 beyond the floor."""
    return (naive - _below(scores, naive)) / way(naive, floor)


def way(naive: PerRun, floor: PerRun) -> PerRun:
    """From the naive error to the floor, or to a tenth less than naive where the floor is nearer than that."""
    return np.maximum(naive - floor, NEAR * naive)


def trained(scores: np.ndarray, naive: np.ndarray, floor: np.ndarray) -> bool:
    """Whether at least half the runs got a fifth of the `way` from naive to floor."""
    return bool(np.mean(progress(scores, naive, floor) >= TRAINED) >= 0.5)


def middle(d: np.ndarray) -> float:
    """The typical effect: the median over seeds, (n,); for several settings, (k, n), the mean of their medians."""
    return float(np.median(d, axis=-1).mean())


def interval(d: np.ndarray, level: float = 0.95) -> tuple[float, float]:
    """Interval for `middle`: in each setting the range of the values without `left_out` of them at each end.

    A value lies above the median with probability 1/2, so the number of values that do is binomial for any
    distribution of the values: of 20 values the 6th smallest to the 6th largest hold the median in 96 experiments of
    100, of 10 the 2nd to the 9th in 98; ties only widen this. Fewer than six values cannot reach 95 %, and their whole
    range is given. For several settings the squares of the margins are added, as for independent errors.

    Sources: Thompson (1936), "On confidence ranges for the median", Annals of Mathematical Statistics 7;
    Zou and Donner (2008), "Construction of confidence intervals about effect measures", Statistics in Medicine 27.
    """
    ordered, out = np.sort(np.atleast_2d(d)), max(left_out(np.shape(d)[-1], level), 0)
    medians = np.median(ordered, axis=1)
    below, above = medians - ordered[:, out], ordered[:, -1 - out] - medians
    low, high = (float(np.sqrt(np.sum(margin**2)) / len(ordered)) for margin in (below, above))
    center = float(medians.mean())
    return center - low, center + high


@cache
def left_out(n: int, level: float = 0.95) -> int:
    """The most values of n to leave out at each end: the largest k with tail(k, n) ≤ (1 − level) / 2, else −1."""
    most = int(Fraction((1 - level) / 2) * 2**n)  # ways to toss, in whole numbers: exact, and fast for thousands
    few, ways, so_far = -1, 1, 1  # ways with few + 1 heads, and with at most as many
    while so_far <= most:
        few += 1
        ways = ways * (n - few) // (few + 1)
        so_far += ways
    return few


def tail(few: int, n: int) -> float:
    """The probability that n tosses of a coin show at most so few heads."""
    return sum(comb(n, heads) for heads in range(few + 1)) / 2**n


def find(
    d: np.ndarray, any_trained: bool, smallest: float = SMALLEST, failed: np.ndarray | None = None, unit: str = "%",
    level: float = 0.95,
) -> Finding:  # fmt: skip
    """The finding of one experiment from its paired effects, shape (n,), or (k, n) for k settings.

    Fewer than 10 seeds are UNCLEAR. NOT TRAINED if no arm trained; SAME if the interval lies within ± `smallest`;
    BETTER or WORSE if it excludes 0 and the typical effect is at least half of `smallest`; otherwise UNCLEAR.
    Failed runs can turn a verdict into UNCLEAR: SAME, if the arms' shares of failed runs differ by a tenth; BETTER or
    WORSE, if the arm that leads fails significantly more often. So can the mean, where effects are differences: most
    are often 0, and the median ignores the rest. SAME needs a mean within ± `smallest`, a lead one of its sign.

    Args:
        failed: From `failures`, shaped like d; None if no run failed.
        unit: In one of RATIOS d are log ratios, in any other differences.
        level: Of the interval that the verdict depends on.
    """
    if not np.all(np.isfinite(d)) or not np.size(d):
        raise BadArgument("Paired effects must be finite numbers; cap the scores first.")
    failed = np.zeros(np.shape(d), dtype=int) if failed is None else np.asarray(failed)
    n, center, ends = np.shape(d)[-1], middle(d), interval(d, level)
    more, mean = float(np.mean(failed)), float(np.mean(d))
    ratios = unit in RATIOS
    verdict = decide(center, *ends, np.log1p(smallest) if ratios else smallest, n, any_trained)
    leads_but = (more * center < 0 and apart(failed)) or (not ratios and mean * center < 0)
    taken_back = {
        Verdict.SAME: abs(more) >= MANY or (not ratios and abs(mean) >= smallest),
        Verdict.BETTER: leads_but,
        Verdict.WORSE: leads_but,
    }
    verdict = Verdict.UNCLEAR if taken_back.get(verdict) else verdict
    plain = np.expm1 if ratios else float
    low, high = (float(plain(end)) for end in ends)
    return Finding(
        verdict, float(plain(mean)), float(plain(center)), (low, high), int(np.sum(d < -TIE)), int(np.sum(d > TIE)), n,
        int(np.size(d)), smallest, float(plain(SEEN * (ends[1] - ends[0]) / 2)), int(np.sum(np.abs(failed))), more,
        unit=unit,
    )  # fmt: skip


def decide(center: float, low: float, high: float, matters: float, n: int, any_trained: bool) -> Verdict:
    """The rule of `find` without failed runs, for numbers on one scale; an interval's end within rounding of 0 is 0."""
    nothing = ROUNDING * matters
    if n < FEWEST:
        return Verdict.UNCLEAR
    if not any_trained:
        return Verdict.NOT_TRAINED
    if -matters < low and high < matters:
        return Verdict.SAME
    if (low > nothing or high < -nothing) and abs(center) >= matters / 2:
        return Verdict.WORSE if center > 0 else Verdict.BETTER
    return Verdict.UNCLEAR


def failures(variant: PerRun, baseline: PerRun, naive: PerRun) -> PerRun:
    """Per seed 1 if only the variant did no better than naive, −1 if only the baseline did, else 0; shape (n,)."""
    return (~(variant < naive)).astype(int) - ~(baseline < naive)


def apart(failed: np.ndarray) -> bool:
    """Whether one arm fails significantly more often: a sign test over the seeds at which only one arm failed."""
    ones, minuses = int(np.sum(failed > 0)), int(np.sum(failed < 0))
    return min(ones, minuses) <= left_out(ones + minuses)


class Measure(Protocol):
    """What is compared between two arms, seed by seed."""

    def compare(self, baseline: Scores, variant: Scores) -> np.ndarray:
        """Paired effects (n,), positive where the variant has the larger value: log ratios, or differences."""

    def alive(self, baseline: Scores, variant: Scores, smallest: float) -> bool:
        """Whether a setting counts, for example because an arm trained."""

    def judge(self, pairs: Sequence[tuple[Scores, Scores]], any_trained: bool, smallest: float) -> Finding:
        """The finding from (baseline, variant) of each setting."""


class TestError:
    """The measure of every study: the test error, as a ratio."""

    __test__ = False  # pytest: this is no test

    def compare(self, baseline: Scores, variant: Scores) -> np.ndarray:
        """Log ratios of errors, (n,)."""
        return effects(variant.score, baseline.score, baseline.naive)

    def alive(self, baseline: Scores, variant: Scores, smallest: float) -> bool:
        """Whether an arm trained."""
        return baseline.trained or variant.trained

    def judge(self, pairs: Sequence[tuple[Scores, Scores]], any_trained: bool, smallest: float) -> Finding:
        """The finding by the rule of `find`."""
        d = np.array([self.compare(*pair) for pair in pairs])
        failed = np.array([failures(variant.score, baseline.score, baseline.naive) for baseline, variant in pairs])
        return find(d, any_trained, smallest, failed)


@dataclass(frozen=True, eq=False)
class Comparison:
    """Two arms on some settings: their scores, the measure, and the findings."""

    pairs: Mapping[Any, tuple[Scores, Scores]]  # setting → (baseline's, variant's)
    measure: Measure = field(default_factory=TestError)
    smallest: float = SMALLEST  # change that matters

    @cached_property
    def untrained(self) -> list:
        """Settings in which neither arm trained; they show nothing and are not pooled."""
        return [name for name, sides in self.pairs.items() if not self.measure.alive(*sides, self.smallest)]

    @cached_property
    def counted(self) -> list:
        """Settings that are pooled: those in which an arm trained, or all if there is none."""
        return [name for name in self.pairs if name not in self.untrained] or list(self.pairs)

    @cached_property
    def finding(self) -> Finding:
        """The finding of all settings that are pooled."""
        return self.finding_of(self.counted)

    def finding_of(self, settings: Iterable) -> Finding:
        """The finding of some settings, pooled; a verdict needs a trained arm in each."""
        settings = list(settings)
        any_trained = not set(settings) & set(self.untrained)
        return self.measure.judge([self.pairs[name] for name in settings], any_trained, self.smallest)

    def effects(self, setting) -> np.ndarray:
        """Paired effects of one setting, (n,), positive where the variant has the larger value."""
        return self.measure.compare(*self.pairs[setting])


def percent(value: float, unit: str = "%") -> str:
    """A change as people write it: −41 %."""
    return f"{round(100 * value) + 0.0:+.0f} {unit}".replace("-", "−")  # + 0.0 makes −0 to 0


def change(value: float, unit: str = "%", bare: bool = False) -> str:
    """A change in any unit as people write it: −41 %, × 3.2, +1.5 per 1,000 updates; bare: without its unit."""
    if unit == "times":
        return f"{'' if bare else '× '}{_two_digits(1 + value)}"
    if unit in ("%", "points"):
        return percent(value, "" if bare else unit).strip()
    number = f"{round(value, 1) + 0.0:+.1f}".removesuffix(".0").replace("-", "−")
    return number if bare else f"{number} {unit}"


def spoken(typical: float, unit: str) -> str:
    """The unit for a change in words: beyond a factor of two it is said as a factor."""
    return "times" if unit == "%" and not -0.5 <= typical <= 1 else unit


def against(mine: float | None, theirs: float | None) -> str:
    """Two errors, as shares of naive, as people write them: "0.60 of naive against 6.5 times naive"."""
    return f"{of_naive(mine)} against {of_naive(theirs)}"


def of_naive(share: float | None) -> str:
    """An error, as a share of naive. What is infinite, or None as records keep that, is of runs that diverged."""
    if share is None or not np.isfinite(share):
        return "divergence"
    return f"{_two_digits(share)} times naive" if share >= 2 else f"{share:{'.2f' if share >= 0.1 else '.2g'}} of naive"


def _two_digits(number: float) -> str:
    return f"{float(f'{number:.2g}'):,g}"


def size(value: float, unit: str = "%") -> str:
    """How large a change is, without its direction: 5 %, a factor of 2, 1 per 1,000 updates."""
    if unit == "times":
        return f"a factor of {_two_digits(1 + value)}"
    return f"{100 * value:.0f} {unit}" if unit in ("%", "points") else f"{value:.2g} {unit}"


def sentence(f: Finding) -> str:
    """A finding in words: direction, how many runs, how much is typical, and what the rule says."""
    unit = spoken(f.typical, f.unit)
    low, high = (change(value, unit, bare=True) for value in f.interval)
    numbers = f"{change(f.typical, unit)} ({low} to {high})"
    if f.verdict == "NOT TRAINED":
        return "Neither side learned enough to be compared."
    if f.n < FEWEST:
        return f"Undecided: {f.n} runs a side are too few; {FEWEST} are needed."
    if f.verdict == "SAME":
        return f"About the same: {numbers}, within {'± ' * (f.unit != 'times')}{size(f.smallest, f.unit)}.{average(f)}"
    if f.verdict == "UNCLEAR":
        seen = f" {f.n} runs a side can show differences of {size(f.detectable, f.unit)} or more."
        return f"Undecided: {numbers}.{seen if f.detectable > 0 else ''}{average(f)}"
    better = f.verdict == "BETTER"
    more = better == (f.better == "higher")
    direction, wins = "Higher" if more else "Lower", f.wins if better else f.losses
    return f"{direction} {f.what} in {wins} of {f.runs} runs: {numbers}.{average(f)}"


def average(f: Finding) -> str:
    """A sentence with the average if it lies outside the interval of the typical change, else nothing."""
    if f.interval[0] - 1e-9 <= f.effect <= f.interval[1] + 1e-9:  # differences by rounding do not count
        return ""
    why = f", since {f.failed} runs failed" if f.failed else ", since a few runs differ far more"
    return f" On average {change(f.effect, f.unit)}{why}."
