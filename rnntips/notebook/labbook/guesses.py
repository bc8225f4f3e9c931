"""Guesses: what may be guessed, which guess a result makes right, and how far chance alone would get."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import accumulate
from math import comb
from typing import Any

from rnntips.study import Study
from rnntips.verdict import Finding

__all__ = ["GUESSES", "Limits", "Score", "by_chance", "guessed", "outcome", "right"]

GUESSES = {"lower": "≥ 5 % lower error", "same": "about the same", "higher": "≥ 5 % higher error"}
RARE = 0.025  # scores that blind guessing gives more seldom than this, at either end, are more or less than guessing

# A lesson's own guesses, in place of these: what each says → up to which ratio of the errors it is right, variant over
# baseline. The last one has no limit: infinity, or None in a lab book.
Limits = Mapping[str, float | None]


def outcome(study: Study | Finding, own: Limits | None = None) -> str | None:
    """Which guess a study makes right; None if it decides nothing, or its interval reaches into two own guesses."""
    if study.verdict in ("UNCLEAR", "NOT TRAINED"):
        return None
    if own:
        first, last = (_place(1 + end, own) for end in study.interval)
        return first if first == last else None
    if abs(study.typical) < study.smallest or study.verdict == "SAME":
        return "same"
    return "lower" if study.typical < 0 else "higher"


def _place(ratio: float, own: Limits) -> str:
    return next((name for name, limit in own.items() if limit is not None and ratio < limit), list(own)[-1])


def right(guess: str | None, study: Study | Finding, own: Limits | None = None) -> bool | None:
    """Whether a guess was right; None where none was made, or where nothing was decided."""
    found = outcome(study, own)
    return None if found is None or guess not in (own or GUESSES) else guess == found


def guessed(entry: Mapping[str, Any]) -> str:
    """A lab book's guess as its button said it; "" if none was made."""
    guess, own = entry.get("guess"), entry.get("guesses")
    known = isinstance(guess, str) and guess in (own if own and isinstance(own, dict) else GUESSES)
    return GUESSES.get(guess, guess) if known else ""


def by_chance(n: int) -> tuple[int, int]:
    """Fewest and most right answers of n blind guesses, without what is rarer than 2.5 % at either end.

    Exact binomial, in whole numbers: of the ways to guess, those with k right.
    """
    options = len(GUESSES)
    ways = [comb(n, k) * (options - 1) ** (n - k) for k in range(n + 1)]
    few = next(k for k, so_far in enumerate(accumulate(ways)) if so_far / options**n > RARE)
    wrong = next(k for k, so_far in enumerate(accumulate(reversed(ways))) if so_far / options**n > RARE)
    return few, n - wrong


@dataclass(frozen=True)
class Score:
    """How well a reader guesses.

    A question counts once, since whoever asks it again has seen the answer. Only decided experiments are scored.
    """

    guesses: int
    scored: int
    right: int

    @property
    def chance(self) -> float:
        """Right answers that blind guessing would give on average."""
        return self.scored / len(GUESSES)

    @property
    def sentence(self) -> str:
        """The score in words, and whether blind guessing would do as well."""
        if not self.guesses:
            return "No guesses yet."
        made = f"{self.guesses} guess{'es' if self.guesses > 1 else ''}, {self.scored} scored"
        if not self.scored:
            return f"{made}: a guess is scored when its experiment decides."
        low, high = by_chance(self.scored)
        where = "more than" if self.right > high else "less than" if self.right < low else "within"
        return (
            f"{made}, {self.right} right. Blind guessing gives about {self.chance:.1f} right, "
            f"in most cases {low} to {high}. Yours is {where} that."
        )
