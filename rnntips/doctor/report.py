"""What the doctor says: findings in causal order, each with the measurement behind it, and what could not be tested."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from textwrap import fill
from typing import NamedTuple

__all__ = ["Finding", "Report", "Seen", "codes", "report", "wrong"]

WIDE = 100  # letters of a line


class Seen(NamedTuple):
    """A rule's measurement: the number that is compared with a threshold, and what was measured, in words."""

    value: float
    words: str = ""


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong.

    Args:
        code: Its name, as in `codes()`.
        measured: What was measured.
        healthy: What that measure is in healthy trainings, or must be.
        why: Why it matters.
        do: What to do first.
        lesson: Notebook that says more and what its record says; "" where there is none.
    """

    code: str
    measured: str
    healthy: str
    why: str
    do: str
    lesson: str = ""

    def __str__(self) -> str:
        parts = [f"{self.code}: {self.measured}.", f"Healthy: {self.healthy}.", f"Why: {self.why}", f"Do: {self.do}"]
        parts += [f"Lesson: {self.lesson}"] if self.lesson else []
        return "\n".join(fill(part, WIDE, subsequent_indent="    ", initial_indent="  " * (i > 0)) for i, part in
                         enumerate(parts))  # fmt: skip


@dataclass(frozen=True, repr=False)
class Report:
    """Findings in causal order: the first is what to mend first, since the others may follow from it.

    Args:
        findings: What is wrong.
        values: Code → the number that was compared with its threshold.
        untested: Code → why nothing is said of it.
    """

    findings: tuple[Finding, ...] = ()
    values: Mapping[str, float] = field(default_factory=dict)
    untested: Mapping[str, str] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """Whether nothing was found."""
        return not self.findings

    def __repr__(self) -> str:
        said = [f"{number}. {one}" for number, one in enumerate(self.findings, 1)] or ["Nothing unusual."]
        if self.untested:
            why: dict[str, list[str]] = {}
            for code, reason in self.untested.items():
                why.setdefault(reason, []).append(code)
            told = "; ".join(f"{', '.join(some)} ({reason})" for reason, some in why.items())
            said.append(fill(f"Not tested: {told}.", WIDE, subsequent_indent="    "))
        return "\n".join(said)


@cache
def codes() -> dict[str, dict]:
    """Every code in causal order, with its threshold and texts; see `findings.toml`."""
    here = resources.files("rnntips.doctor")
    found = tomllib.loads((here / "findings.toml").read_text(encoding="utf-8"))
    known = tomllib.loads((here / "healthy.toml").read_text(encoding="utf-8"))
    return {code: texts | known.get(code, {}) for code, texts in found.items()}


def report(seen: Mapping[str, Seen | str]) -> Report:
    """The report of these rules: code → what was seen, or why it was not tested."""
    findings, values = [], {code: one.value for code, one in seen.items() if isinstance(one, Seen)}
    for code, texts in codes().items():
        if code in values and wrong(code, values[code]):
            lesson = ": ".join(part for part in (texts["lesson"], texts.get("recorded", "")) if part)
            findings.append(Finding(code, seen[code].words, _healthy(texts), texts["why"], texts["do"], lesson))
    return Report(tuple(findings), values, {code: one for code, one in seen.items() if isinstance(one, str)})


def wrong(code: str, value: float) -> bool:
    """Whether a value lies beyond the code's threshold; NaN does."""
    texts = codes()[code]
    return not (value <= texts["above"] if "above" in texts else value >= texts["below"])


def _healthy(texts: Mapping) -> str:
    """The text of what is healthy, with the range over healthy trainings where one was recorded."""
    if "range" not in texts:
        return texts["healthy"]
    low, high = (f"{end:.2g}" if abs(end) < 1000 else f"{end:,.0f}" for end in texts["range"])
    place = low if low == high else f"{low} to {high}"
    return f"{texts['healthy']}; {place} in {texts['of']:,} healthy trainings"
