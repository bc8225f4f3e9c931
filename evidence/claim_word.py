"""The record's word on a claim, from all its parts: first seeds, and fresh ones that were tuned anew."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from rnntips.verdict import FEWEST, MANY, Finding, Verdict, interval, middle

__all__ = ["CLAIMED", "Condition", "gap", "word"]

# What a claim may say of the variant, and the verdict that this is. Of some things neither less nor more is better;
# then lower is called BETTER and higher WORSE until it is put into words.
CLAIMED = {"BETTER": "BETTER", "WORSE": "WORSE", "NO WORSE": "BETTER", "LOWER": "BETTER", "HIGHER": "WORSE"}
OPPOSITE = {"BETTER": "WORSE", "WORSE": "BETTER"}


@dataclass(frozen=True)
class Condition:
    """A condition declared beforehand: its two levels' findings, and how far their effects lie apart."""

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
    """SUPPORTED, CONTRADICTED, DEPENDS ON …, NO DIFFERENCE or UNDECIDED.

    Args:
        claimed: A name in CLAIMED: what the claim says of the variant.
        overall: All settings and parts.
        settings: Each setting alone, all parts.
        parts: All settings, each part alone. Whatever is said of a difference, each part must show at least the
            smallest that matters; tuning differs between parts, and no interval inside one part knows of that.
        condition: None if none was declared beforehand.
    """
    claim = CLAIMED[claimed]
    opposite = OPPOSITE[claim]
    verdicts = {str(finding.verdict) for finding in settings}
    shown = [part.strength if claim == "WORSE" else -part.strength for part in parts]  # positive: as claimed
    holds = overall.verdict == claim and min(shown) >= 1
    if claimed == "NO WORSE":
        decided = overall.verdict != Verdict.NOT_TRAINED and overall.n >= FEWEST and overall.failing < MANY
        holds = decided and overall.worst < 1 and min(shown) > -1
    elif condition is not None and _depends(claim, condition, overall.matters):
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


def gap(first: np.ndarray, second: np.ndarray) -> tuple[float, float]:
    """Interval for the difference of two independent effects, each of some settings, shapes (k, n) and (l, n)."""
    (low, high), (lower, higher), a, b = interval(first), interval(second), middle(first), middle(second)
    return float(a - b - np.hypot(a - low, higher - b)), float(a - b + np.hypot(high - a, b - lower))
