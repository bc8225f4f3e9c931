"""The ledger: every version of every plan, a line each in its lesson's `ledger.jsonl`, never changed once written.

A plan is frozen before its record is computed: its line is appended, and the fresh seeds follow from its hash.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

from rnntips.notebook.lessons import FOLDER

__all__ = ["fingerprint", "freeze", "fresh_seeds", "versions"]

SIX_DIGITS = range(100_000, 1_000_000)  # where fresh seeds come from; first and tuning seeds lie below


def fingerprint(meaning: Mapping[str, Any]) -> str:
    """Twelve hexadecimal digits that change with the meaning; a file's comments and layout have no part in it."""
    return hashlib.sha256(json.dumps(meaning, sort_keys=True).encode()).hexdigest()[:12]


def digest(values: Sequence[float]) -> str:
    """The fingerprint of numbers to six digits, which is how far machines agree on them."""
    return hashlib.sha256((" ".join(["%.6g"] * len(values)) % tuple(values)).encode()).hexdigest()[:12]


def fresh_seeds(plan: str, count: int) -> list[int]:
    """So many different seeds of six digits that nobody chose: SHA-256 of the plan's hash and a counter."""
    seeds: dict[int, None] = {}
    while len(seeds) < count:
        drawn = int(hashlib.sha256(f"{plan} {len(seeds)}".encode()).hexdigest(), 16)
        while (seed := SIX_DIGITS[drawn % len(SIX_DIGITS)]) in seeds:
            drawn += 1
        seeds[seed] = None
    return list(seeds)


def versions(tip: str) -> list[dict[str, Any]]:
    """A tip's lines, the oldest first: version, plan (its hash), frozen (the day), meaning, and, where a record was
    stored, the words that it had given the claims of the version before."""
    return [json.loads(line) for line in _read(tip).splitlines()]


def freeze(tip: str, meaning: Mapping[str, Any], words_before: Mapping[str, str] | None = None) -> dict[str, Any]:
    """The line of this meaning; appended if it is new.

    Args:
        words_before: Claim id → word, from the record of an earlier version.

    Raises:
        OSError: The package's folder cannot be written to.
    """
    lines, plan = versions(tip), fingerprint(meaning)
    for line in lines:
        if line["plan"] == plan:
            return line
    line = {"version": len(lines) + 1, "plan": plan, "frozen": date.today().isoformat(), "meaning": meaning}
    line |= {"words before": words_before} if words_before else {}
    with _path(tip).open("a", encoding="utf-8", newline="\n") as file:
        file.write(json.dumps(line, sort_keys=True, ensure_ascii=False) + "\n")
    return line


def _path(tip: str) -> Path:
    return FOLDER / tip / "ledger.jsonl"


def _read(tip: str) -> str:
    return _path(tip).read_text(encoding="utf-8") if _path(tip).is_file() else ""
