"""What is measured of runs, and the finding that follows from pairs of sides.

Every measure gives a number a seed, shape (n,), so that sides are compared seed by seed.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import comb
from typing import Any

import numpy as np

from rnntips.errors import BadArgument
from rnntips.evidence import MANY, SEEN, Finding, cap, decide, effects, failures, find, gap, middle
from rnntips.runs import Runs

__all__ = [
    "MEASURES",
    "Measure",
    "best_of",
    "failed",
    "find_share",
    "interaction",
    "regret",
    "score",
    "updates_to",
    "usable_window",
]

WITHIN = 1.25  # a learning rate is usable if its error is at most so many times the best


def score(runs: Runs) -> np.ndarray:
    """Test error, in the task's unit; a run that failed errs like the naive guess."""
    return cap(runs.latest_score, runs.trivial)


def failed(runs: Runs) -> np.ndarray:
    """True where a run diverged or did no better than naive."""
    return ~(runs.latest_score < runs.trivial)


def updates_to(runs: Runs, share: float = 0.5) -> np.ndarray:
    """Updates after which the validation error had first come this share of the way from naive to the floor.

    A run that never gets there counts with its whole budget. As fine as the evaluations, a factor of about 1.3.
    """
    target = runs.valid_trivial - share * (runs.valid_trivial - runs.floor)
    with np.errstate(invalid="ignore"):
        there = runs.valid_score <= target[:, None]
    first = np.where(there.any(1), there.argmax(1), len(runs.evaluations) - 1)
    return np.maximum(runs.evaluations[first], 1)


def usable_window(rates: Mapping[float, Runs], best: np.ndarray | None = None) -> np.ndarray:
    """Decades of learning rate in which a side's error stays within 1.25 times the best.

    Args:
        rates: One side at every rate of an evenly spaced grid, on the same seeds.
        best: Each seed's lowest error over both sides and all rates, (n,); of this side alone if None.
    """
    steps = np.diff(np.log10(sorted(rates)))
    if not len(steps) or np.ptp(steps) > 0.05:
        raise BadArgument(f"rates {sorted(rates)}: two or more, evenly spaced in powers of ten, are needed.")
    errors = np.array([score(runs) for runs in rates.values()])
    best = errors.min(0) if best is None else best
    return steps.mean() * np.sum(errors <= WITHIN * best, axis=0)


def regret(tried: Mapping[Any, Runs], pick: Any) -> np.ndarray:
    """log(error at the value that was picked / error at the value that proved best, geometric mean over seeds)."""
    logs = {value: np.log(score(runs)) for value, runs in tried.items()}
    return logs[pick] - min(logs.values(), key=np.mean)


def best_of(errors: np.ndarray, k: int) -> np.ndarray:
    """Lowest error to expect from k values drawn at random out of those tried, shape (values, n); returns (n,).

    Source: Dodge and others (2019), "Show your work: improved reporting of experimental results".
    """
    ordered, values = np.sort(errors, axis=0), len(errors)
    if not 1 <= k <= values:
        raise BadArgument(f"k={k}: a number from 1 to {values}, the values tried, is needed.")
    chances = [comb(values - 1 - i, k - 1) / comb(values, k) for i in range(values)]  # that the i-th is the lowest
    return np.tensordot(chances, ordered, axes=1)


def interaction(first: np.ndarray, second: np.ndarray) -> tuple[float, tuple[float, float]]:
    """How much more a change does at one level of a condition than at the other, in logarithms, with its interval.

    Args:
        first, second: Effects of some settings at each level, (k, n) and (l, n).
    """
    return middle(first) - middle(second), gap(first, second)


def find_share(d: np.ndarray, any_trained: bool, smallest: float = MANY) -> Finding:
    """The finding on how often something happens: 1 where to a pair's variant alone, −1 to its baseline alone, else 0.

    A median knows nothing of what happens to fewer than half. The interval counts one pair more of each kind, which
    keeps its promise where little happens. A hundred seeds are needed to tell ten points.

    Source: Bonett and Price (2012), "Adjusted Wald confidence interval for a difference of binomial proportions based
    on paired data", Journal of Educational and Behavioral Statistics 37.
    """
    n, share = np.shape(d)[-1], float(np.mean(d))
    ones, minuses = np.sum(np.atleast_2d(d) > 0, axis=1), np.sum(np.atleast_2d(d) < 0, axis=1)
    net = (ones - minuses) / (n + 2)
    margins = 1.96 * np.sqrt(ones + minuses + 2 - (n + 2) * net**2) / (n + 2)
    half = float(np.sqrt(np.sum(margins**2)) / len(margins))
    low, high = float(net.mean()) - half, float(net.mean()) + half
    verdict = decide(share, low, high, smallest, n, any_trained)
    return Finding(
        verdict, share, share, (low, high), int(minuses.sum()), int(ones.sum()), n, int(np.size(d)), smallest,
        SEEN * half, int(np.sum(np.abs(d))), share, "share of failed runs", "points",
    )  # fmt: skip


@dataclass(frozen=True)
class Measure:
    """What a plan may name as its measure: how two sides are compared, seed by seed, and judged."""

    compare: Callable[[Runs, Runs], np.ndarray]  # baseline, variant → (n,), negative where the variant does better
    what: str
    share: bool = False

    def judge(self, pairs: Sequence[tuple[Runs, Runs]], any_trained: bool, smallest: float) -> Finding:
        """The finding from (baseline, variant) of each setting."""
        d = np.array([self.compare(*pair) for pair in pairs])
        if self.share:
            return find_share(d, any_trained, smallest)
        return replace(find(d, any_trained, smallest, np.array([lone(*pair) for pair in pairs])), what=self.what)


def lone(baseline: Runs, variant: Runs) -> np.ndarray:
    """1 where the variant alone failed, −1 where the baseline alone, else 0."""
    return failures(variant.latest_score, baseline.latest_score, baseline.trivial)


MEASURES = {
    "score": Measure(lambda a, b: effects(b.latest_score, a.latest_score, a.trivial), "error"),
    "updates to target": Measure(lambda a, b: np.log(updates_to(b) / updates_to(a)), "number of updates"),
    "failure share": Measure(lone, "share of failed runs", share=True),
}
