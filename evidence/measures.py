"""Measures: how the readings of two sides are compared, seed by seed, and the finding that follows.

A plan names one of MEASURES, which say what a change of each is called, its unit, and the smallest that matters.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from statistics import NormalDist
from typing import Any

import numpy as np

from evidence import readings
from rnntips.runs import Runs, to_target, tokens_to
from rnntips.verdict import MANY, RATIOS, SEEN, Finding, Scores, decide, failures, find

__all__ = ["MEASURES", "Measure", "find_share", "lone", "settled"]

Tried = Mapping[Any, Scores]  # one side at every value of a field, on the same seeds


def find_share(
    d: np.ndarray, any_trained: bool, smallest: float = MANY, failed: np.ndarray | None = None, level: float = 0.95
) -> Finding:
    """The finding on how often something happens: 1 where to a pair's variant alone, −1 to its baseline alone, else 0.

    A median knows nothing of what happens to fewer than half. The interval counts one pair more of each kind, which
    keeps its promise where little happens. A hundred seeds are needed to tell ten points.

    Args:
        failed: From `lone`, where it is not failing that is counted.

    Source: Bonett and Price (2012), "Adjusted Wald confidence interval for a difference of binomial proportions based
    on paired data", Journal of Educational and Behavioral Statistics 37.
    """
    n, share = np.shape(d)[-1], float(np.mean(d))
    failed = d if failed is None else failed
    ones, minuses = np.sum(np.atleast_2d(d) > 0, axis=1), np.sum(np.atleast_2d(d) < 0, axis=1)
    net = np.sum(np.atleast_2d(d), axis=1) / (n + 2)
    z = 1.96 if level == 0.95 else NormalDist().inv_cdf((1 + level) / 2)  # records were computed with two decimals
    margins = z * np.sqrt(np.sum(np.atleast_2d(d) ** 2, axis=1) + 2 - (n + 2) * net**2) / (n + 2)
    half = float(np.sqrt(np.sum(margins**2)) / len(margins))
    low, high = max(-1.0, float(net.mean()) - half), min(1.0, float(net.mean()) + half)
    verdict = decide(share, low, high, smallest, n, any_trained)
    return Finding(
        verdict, share, share, (low, high), int(minuses.sum()), int(ones.sum()), n, int(np.size(d)), smallest,
        SEEN * half, int(np.sum(np.abs(failed))), float(np.mean(failed)), "share of failed runs", "points",
    )  # fmt: skip


def lone(baseline: Scores, variant: Scores) -> np.ndarray:
    """1 where the variant alone failed, −1 where the baseline alone, else 0."""
    return failures(variant.score, baseline.score, baseline.naive)


def settled(mine: np.ndarray, theirs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Two sides' readings with a number for every run.

    What was not reached within so many (negative, see `rnntips.runs.to_target`) counts as that, or as the other
    side's if that is more: who has the smaller budget does not win by it. A run without a number, which an exception
    ended, counts with the highest of both sides.
    """
    larger = np.fmax(np.abs(mine), np.abs(theirs))
    mine, theirs = (np.where(side < 0, larger, side) for side in (mine, theirs))
    known = [value for side in (mine, theirs) for value in side[np.isfinite(side)]]
    most = max(known, default=1.0)
    mine, theirs = (np.where(np.isfinite(side), side, most) for side in (mine, theirs))
    return mine, theirs


@dataclass(frozen=True)
class Measure:
    """What a plan may name as its measure.

    Args:
        name: As plans and records call it.
        what: As a sentence does: "Lower … in 9 of 10 runs".
        smallest: The smallest change that matters, unless a plan says otherwise.
        read: Scores → (n,), or Runs → (n,) where a record must keep it; with calibrated seconds where it is timed, and
            with `reach` where it aims.
        unit: `"%"` or `"times"`: log ratios of readings are compared; else their differences; `"points"` of shares.
        better: What the variant had better be: `"lower"`, `"higher"`, or `""` where neither is better.
        aims: Whether it asks how far a run came on the way from naive to the floor.
        kept: Whether a record must keep the readings, since they do not follow from its scores.
        timed: Whether it needs calibrated seconds.
        over: Which sides are needed at every learning rate or value that is tried: `"both"`; the `"baseline"`, of
            which the one that proves best is compared; `"picks"`, both sides among values of their own; or `"tries"`,
            both at every try of a search space of their own.
        across: For `"both"` and `"tries"`: one side at every rate or try → (n,), and 1 where the truth may lie beyond
            those, (n,).
        tried: For `"tries"`: of how many the best is taken.
        harmed: Whether failures can take its verdict back.
        axes: Names of the measures, it among them, that are read together; () for it alone.
    """

    name: str
    what: str
    smallest: float
    read: Callable[..., np.ndarray] | None = None
    unit: str = "%"
    better: str = "lower"
    aims: bool = False
    kept: bool = True
    timed: bool = False
    over: str = ""
    across: Callable[[Tried], tuple[np.ndarray, np.ndarray]] | None = None
    harmed: bool = True
    axes: tuple[str, ...] = ()
    tried: int = 0
    reach: float = 0.5

    @property
    def share(self) -> bool:
        """Whether it counts in how many runs something happens."""
        return self.unit == "points"

    @property
    def picks(self) -> bool:
        """Whether it asks which rate or try each seed's validation error would choose."""
        return self.over == "tries" or self.name in ("best rate", "distant picks")

    @property
    def label(self) -> str:
        """Under which a record keeps its readings."""
        return f"{self.name} ({100 * self.reach:g} % of the way)" if self.aims else self.name

    @property
    def ended(self) -> str:
        """The reading that is 1 where the truth may lie beyond the rates tried, else 0; for `over="both"`."""
        return f"{self.label}, at an end of the grid"

    @property
    def along(self) -> list["Measure"]:
        """The measures of all its axes, at the same `reach`; it alone if it has none."""
        return [replace(MEASURES[name], reach=self.reach) for name in self.axes] or [self]

    @property
    def calibrated(self) -> bool:
        """Whether a record calibrates seconds for it: where it needs them, or one of its axes is in seconds."""
        return any(axis.timed for axis in self.along)

    def _read(self, *of: Any) -> np.ndarray:
        return self.read(*of, *[self.reach] * self.aims)

    def reading(self, scores: Scores) -> np.ndarray:
        """One number a run: what was kept of it, or what follows from its scores."""
        return scores.readings[self.label] if self.label in scores.readings else self._read(scores)

    def keep(self, runs: Runs, seconds: np.ndarray | None = None) -> dict[str, np.ndarray]:
        """What a record must keep of these runs beside their scores, on all axes.

        Args:
            seconds: Calibrated, of one run's update, (n,). Without them, or where windows grow and updates do not all
                take as long, an axis in seconds is left out.
        """
        untimed = seconds is None or any(recipe.grow for recipe in runs.recipes)
        kept = {}
        for axis in self.along:
            if axis.timed and axis.name != self.name and untimed:
                continue
            timed = [seconds] if axis.timed else []
            kept |= {axis.label: axis._read(runs, *timed)} if axis.kept and axis.read else {}
            kept |= {readings.CALIBRATED: seconds} if axis.timed else {}
        return kept | ({"validation error": readings.validation_error(runs)} if self.picks else {})

    def pair(self, baseline: Scores | Tried, variant: Scores | Tried) -> tuple[Scores, Scores]:
        """Scores of either side, from those at every value where the measure looks at those."""
        if not self.over:
            return baseline, variant
        if self.over == "baseline":
            return baseline[readings.best_value(baseline)], variant
        if self.over == "picks":
            far = readings.far_from(readings.best_rates(baseline)[0], readings.best_rates(variant)[0])
            mine, theirs = (tried[readings.best_value(tried)] for tried in (baseline, variant))
            return (replace(mine, readings=mine.readings | {self.label: np.zeros(len(far))}),
                    replace(theirs, readings=theirs.readings | {self.label: far}))  # fmt: skip
        return self._across(baseline), self._across(variant)

    def _across(self, tried: Tried) -> Scores:
        best = tried[readings.best_value(tried)]
        found = dict(zip((self.label, self.ended), self.across(tried), strict=True))
        errors = found[self.label] if self.over == "tries" else best.score
        return replace(best, score=errors, readings=best.readings | found)

    def compare(self, baseline: Scores, variant: Scores) -> np.ndarray:
        """Paired effects (n,), positive where the variant has more: log ratios, or differences."""
        mine, theirs = settled(self.reading(baseline), self.reading(variant))
        return np.log(theirs / mine) if self.unit in RATIOS else theirs - mine

    def alive(self, baseline: Scores, variant: Scores, smallest: float) -> bool:
        """Whether a setting says anything: a side trained, or, where solved runs are counted, solved some."""
        if not self.harmed:
            return True
        if self.name == "solved share":
            return max(self.reading(side).mean() for side in (baseline, variant)) >= smallest
        return baseline.trained or variant.trained

    @property
    def sign(self) -> int:
        """−1 where more is better."""
        return -1 if self.better == "higher" else 1

    def judge(self, pairs: Sequence[tuple[Scores, Scores]], any_trained: bool, smallest: float) -> Finding:
        """The finding from (baseline, variant) of each setting."""
        d = self.sign * np.array([self.compare(*pair) for pair in pairs])
        failed = np.array([lone(*pair) for pair in pairs]) if self.harmed else None
        found = replace(self.find(d, any_trained, smallest, failed), what=self.what, better=self.better)
        return found if self.sign == 1 else _turned(found)

    def find(self, d: np.ndarray, any_trained: bool, smallest: float, failed=None, level: float = 0.95) -> Finding:
        """The finding from paired effects as `compare` gives them, (n,) or (k, n) of k settings."""
        if self.share:
            return find_share(d, any_trained, smallest, failed, level)
        return find(d, any_trained, smallest, failed, self.unit, level)


def _turned(f: Finding) -> Finding:
    """Changes of what is better if higher, from those of its mirror image; the verdict stands."""
    back = (lambda value: float(np.expm1(-np.log1p(value)))) if f.unit in RATIOS else (lambda value: 0.0 - value)
    low, high = f.interval
    return replace(f, effect=back(f.effect), typical=back(f.typical), interval=(back(high), back(low)))


def _updates(name: str, what: str, read: Callable, **more) -> Measure:
    """What it takes to come halfway. The evaluations tell amounts 30 % apart at best."""
    return Measure(name, what, 0.25, read, aims=True, **more)


QUARTER_DECADE = 0.75  # 10^¼ = 1.78 times: a step of the finest grid of rates, and more than no step at all
COSTS = ("updates to target", "examples to target", "seconds to target")  # none of them says it all
_ALL = (
    Measure("score", "error", 0.05, readings.score, kept=False),
    Measure("wrong answers", "share of wrong answers", 1.0, readings.wrong, unit="of a hundred", kept=False),
    Measure("regret", "error", 0.05, readings.score, kept=False, over="baseline"),
    *(Measure(f"best of {count} {'try' if count == 1 else 'tries'}", "error", 0.05, over="tries",
              across=partial(readings.best_of, count), tried=count) for count in (1, 3, 8)),
    Measure("training loss", "training loss", 0.05, readings.training_loss),
    Measure("pretext error", "pretext error", 0.05, readings.pretext_error),
    Measure("failure share", "share of failed runs", MANY, readings.failed, unit="points", kept=False),
    Measure("solved share", "share of solved runs", MANY, readings.solved, unit="points", better="higher", aims=True,
            kept=False),
    Measure("spiking share", "share of runs with a loss spike", MANY, readings.spiky, unit="points"),
    Measure("exploding share", "share of runs with an exploding gradient", MANY, readings.exploding, unit="points"),
    Measure("spikes", "rate of loss spikes", 1.0, readings.spikes, unit="per 1,000 updates"),
    Measure("gradient jumps", "rate of exploding gradients", 1.0, readings.gradient_jumps, unit="per 1,000 updates"),
    _updates("updates to target", "number of updates", to_target, axes=COSTS),
    _updates("examples to target", "number of windows read", readings.examples_to, axes=COSTS),
    _updates("tokens to target", "number of steps read", tokens_to),
    _updates("seconds to target", "training time", readings.seconds_to, timed=True, axes=COSTS),
    Measure("seconds per update", "time for an update", 0.1, readings.seconds_per_update, timed=True, harmed=False),
    Measure("seconds per window", "time for a window", 0.1, readings.seconds_per_window, timed=True, harmed=False),
    Measure("best rate", "best learning rate", QUARTER_DECADE, unit="times", better="", over="both",
            across=readings.best_rates),
    Measure("distant picks", "share of picks more than half a decade off", MANY, unit="points", over="picks",
            harmed=False),
    Measure("range of rates", "range of usable learning rates", QUARTER_DECADE, unit="times", better="higher",
            over="both", across=readings.usable_range),
    Measure("highest usable rate", "highest usable learning rate", QUARTER_DECADE, unit="times", better="higher",
            over="both", across=readings.highest_usable),
)  # fmt: skip
MEASURES = {measure.name: measure for measure in _ALL}
