"""Numbers from scores: paired effects, their intervals, and findings by rule.

A score is an error: lower is better. An effect is the log of variant over baseline, seed by seed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from rnntips.errors import BadArgument

__all__ = [
    "Finding",
    "Verdict",
    "cap",
    "effects",
    "find",
    "interval",
    "pooled",
    "progress",
    "trained",
    "word",
]

SMALLEST = 0.05  # relative difference in error that matters, unless a plan says otherwise
FEWEST = 10  # seeds below which nothing is decided
TRAINED = 0.2  # share of the way from trivial to floor that half of a side's runs must get
EXACT = 13  # up to so many seeds every subset is looked at


class Verdict(StrEnum):
    """What one experiment says of the variant."""

    BETTER = "BETTER"
    WORSE = "WORSE"
    SAME = "SAME"
    UNCLEAR = "UNCLEAR"
    NOT_TRAINED = "NOT TRAINED"


@dataclass(frozen=True)
class Finding:
    """A verdict with its numbers. Effects are relative: −0.4 means 40 % less error than the baseline.

    `detectable` is the smallest effect that this many seeds and this spread show four times out of five.
    """

    verdict: Verdict
    effect: float
    interval: tuple[float, float]
    wins: int  # seeds in which the variant errs less
    losses: int  # seeds in which it errs more; ties are neither
    n: int
    smallest: float
    detectable: float

    @property
    def win_rate(self) -> float:
        return self.wins / self.n


def cap(scores: np.ndarray, trivial: np.ndarray) -> np.ndarray:
    """Scores no worse than the trivial predictor's; a run that diverged counts as trivial, never as missing."""
    return np.where(np.isfinite(scores), np.minimum(scores, trivial), trivial)


def effects(variant: np.ndarray, baseline: np.ndarray, trivial: np.ndarray) -> np.ndarray:
    """log(variant / baseline) of paired scores, both capped, shape (n,)."""
    return np.log(cap(variant, trivial) / cap(baseline, trivial))


def progress(scores: np.ndarray, trivial: np.ndarray, floor: np.ndarray) -> np.ndarray:
    """Share of the way from the trivial error to the floor, 0 for a run that failed; above 1 beyond the floor."""
    return (trivial - cap(scores, trivial)) / (trivial - floor)


def trained(scores: np.ndarray, trivial: np.ndarray, floor: np.ndarray) -> bool:
    """Whether at least half the runs got a fifth of the way from trivial to floor."""
    return bool(np.mean(progress(scores, trivial, floor) >= TRAINED) >= 0.5)


def interval(d: np.ndarray, level: float = 0.95) -> tuple[float, float]:
    """Interval for the mean of paired differences by flipping signs, shape (n,).

    The values that a sign-flip test does not reject lie between two order statistics of the means of
    all subsets (above 13 seeds: of 8,192 random ones). Assumes symmetry around the mean, no normality;
    where a few runs in a hundred fail, it covers less often than it says.

    Source: Hartigan (1969), "Using subsample values as typical values".
    """
    n = len(d)
    if n <= EXACT:
        sums, counts = np.zeros(1), np.zeros(1)
        for value in d:
            sums, counts = np.concatenate([sums, sums + value]), np.concatenate([counts, counts + 1])
        sums, counts = sums[1:], counts[1:]
    else:
        chosen = np.random.default_rng(0).random((2**EXACT, n)) < 0.5
        chosen = chosen[chosen.any(1)]
        sums, counts = chosen @ d, chosen.sum(1)
    means = np.sort(sums / counts)
    outside = int((1 - level) / 2 * (len(means) + 1))
    low, high = means[max(outside - 1, 0)], means[min(len(means) - outside, len(means) - 1)]
    return float(low), float(high)


def find(d: np.ndarray, any_trained: bool, smallest: float = SMALLEST) -> Finding:
    """The finding of one experiment from its paired log ratios, shape (n,).

    Fewer than 10 seeds are UNCLEAR. NOT TRAINED if no side trained; BETTER or WORSE if the interval
    excludes 0 and the effect is at least half the smallest that matters; SAME if the interval lies
    within ± the smallest; otherwise UNCLEAR.
    """
    if not np.all(np.isfinite(d)) or not len(d):
        raise BadArgument("Paired effects must be finite numbers; cap the scores first.")
    mean, (low, high), matters = float(np.mean(d)), interval(d), np.log1p(smallest)
    if len(d) < FEWEST:
        verdict = Verdict.UNCLEAR
    elif not any_trained:
        verdict = Verdict.NOT_TRAINED
    elif (low > 0 or high < 0) and abs(mean) >= matters / 2:
        verdict = Verdict.WORSE if mean > 0 else Verdict.BETTER
    elif -matters < low and high < matters:
        verdict = Verdict.SAME
    else:
        verdict = Verdict.UNCLEAR
    detectable = np.expm1((1.96 + 0.84) / 1.96 * (high - low) / 2)
    relative = (float(np.expm1(low)), float(np.expm1(high)))
    wins, losses = int(np.sum(d < 0)), int(np.sum(d > 0))
    return Finding(verdict, float(np.expm1(mean)), relative, wins, losses, len(d), smallest, float(detectable))


def percent(value: float) -> str:
    """A relative effect as people write it: −41 %."""
    return f"{100 * value:+.0f} %".replace("-", "−")


def sentence(f: Finding) -> str:
    """A finding in words: direction, how many runs, how much, and what the rule says."""
    low, high = (percent(value).removesuffix(" %") for value in f.interval)
    numbers = f"{percent(f.effect)} ({low} to {high})"
    if f.verdict == "NOT TRAINED":
        return "Neither side learned enough to be compared."
    if f.verdict == "SAME":
        return f"About the same: {numbers}, within ± {100 * f.smallest:.0f} %."
    if f.n < FEWEST:
        return f"Undecided: {f.n} runs a side are too few; {FEWEST} are needed."
    if f.verdict == "UNCLEAR":
        return f"Undecided: {numbers}. {f.n} runs a side can show differences of {100 * f.detectable:.0f} % or more."
    direction, wins = ("Lower", f.wins) if f.verdict == "BETTER" else ("Higher", f.losses)
    return f"{direction} error in {wins} of {f.n} runs: {numbers}."


def pooled(settings: Sequence[np.ndarray]) -> np.ndarray:
    """Effects of several settings as one, seed by seed: the mean over settings, each of equal weight, shape (n,)."""
    if len({len(d) for d in settings}) != 1:
        raise BadArgument("Settings with different numbers of seeds cannot be pooled seed by seed.")
    return np.mean(settings, axis=0)


def word(
    claimed: str,
    overall: Finding,
    settings: Mapping[str, Finding],
    condition: tuple[str, Mapping[str, str], tuple[float, float]] | None = None,
) -> str:
    """The record's word on a claim.

    Args:
        claimed: `"BETTER"` or `"WORSE"`: what the claim says of the variant; or `"NO WORSE"`.
        overall: All settings pooled.
        settings: Each setting alone.
        condition: Name, level of each setting (two levels), and the interval of the difference
            between the two levels' effects; None if none was declared beforehand.

    Returns:
        SUPPORTED, CONTRADICTED, DEPENDS ON …, NO DIFFERENCE or UNDECIDED.
    """
    opposite = {"BETTER": "WORSE", "WORSE": "BETTER", "NO WORSE": "WORSE"}[claimed]
    verdicts = {name: str(finding.verdict) for name, finding in settings.items()}
    if claimed == "NO WORSE":
        holds = overall.verdict != "NOT TRAINED" and overall.n >= FEWEST and overall.interval[1] < overall.smallest
    else:
        holds = overall.verdict == claimed
        if condition is not None and _depends(claimed, verdicts, *condition[1:]):
            return f"DEPENDS ON {condition[0]}"
    if holds and opposite not in verdicts.values():
        return "SUPPORTED"
    if overall.verdict == opposite and claimed not in verdicts.values():
        return "CONTRADICTED"
    return "NO DIFFERENCE" if overall.verdict == Verdict.SAME else "UNDECIDED"


def _depends(claimed: str, verdicts: Mapping[str, str], level: Mapping[str, str], gap: tuple[float, float]) -> bool:
    """All settings of one level as claimed, none of the other, and the gap between the levels is not 0."""
    holding = {level[name] for name, verdict in verdicts.items() if verdict == claimed}
    failing = {level[name] for name, verdict in verdicts.items() if verdict != claimed}
    return len(holding) == 1 and bool(failing) and not holding & failing and (gap[0] > 0 or gap[1] < 0)
