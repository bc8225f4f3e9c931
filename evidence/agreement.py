"""Two records of one plan, claim by claim: what a GPU computed, say, against what is stored, which a CPU computed.

Both trained the same recipes on the same seeds, so every run has its twin. Rounding grows through training, and single
twins part; what may not differ beyond chance is what is typical of them.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from evidence.arms import Arm, six_digits
from evidence.claims import Claim
from evidence.plans import Plan, plans
from evidence.records import Part, ends_of, judge, pairs_of, parts_of
from rnntips.errors import BadArgument
from rnntips.verdict import LEAST, Scores, change

__all__ = ["agreement", "lines", "read"]

CHANCE = 0.05  # that any of all claims is called apart where only rounding differs
ALIKE = 1e-4  # relative difference of bounds from the same data: they are float64, and stored with six digits
DIFFERENCE = {"SAME": "same", "BETTER": "APART", "WORSE": "APART", "UNCLEAR": "undecided"}


def read(folder: str | Path) -> dict[str, Plan]:
    """Name → tip with the record of that name in a folder.

    Raises:
        BadArgument: There is none, one cannot be read, or belongs to another version of its plan.
    """
    found, registry = {}, plans()
    for path in sorted(Path(folder).glob("*.json")):
        if path.stem in registry:
            found[path.stem] = registry[path.stem]
            vars(found[path.stem].tip)["record"] = _record(path, found[path.stem])
    if not found:
        raise BadArgument(
            f"{folder} holds no record of a tip. Make some with `python -m evidence run all --records {folder}`."
        )
    return found


def _record(path: Path, tip: Plan) -> dict[str, Any]:
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        plan = record["plan"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadArgument(f"{path} is no record ({error!r}). Compute it again with --records.") from None
    if plan != tip.plan_hash:
        raise BadArgument(
            f"{path} belongs to plan {plan}, and {tip.name} has plan {tip.plan_hash} now. Compute it again."
        )
    return record


def agreement(tips: Mapping[str, tuple[Plan, Plan]]) -> list[dict[str, Any]]:
    """For every tip two records, one here and one there: what they are, and how each claim fares in both.

    Both are judged on the seeds that they share. A claim agrees if its word is the same in both, and the paired
    difference of its effects, here less there, is not apart from 0 by the smallest change that matters to it (the
    rule of `rnntips.verdict.find`). Claims that need seconds, or whose data differ, are left open: None.
    """
    shared = {name: _shared(*pair) for name, pair in tips.items()}
    untimed = sum(len(claim.settings) * (not claim.measured.timed)
                  for here, _ in tips.values() for claim in here.claims.values())  # fmt: skip
    level = 1 - CHANCE / max(untimed, 1)
    return [_of_tip(*tips[name], *shared[name], level) for name in tips]


def _shared(here: Plan, there: Plan) -> tuple[list[Part], list[Part]]:
    """The parts of two records, with the runs of the seeds that both have."""
    both: tuple[list[Part], list[Part]] = [], []
    stored = (plan.tip.record["parts"] for plan in (here, there))
    for *pair, mine, theirs in zip(*stored, parts_of(here), parts_of(there), strict=False):
        seeds = [_seeds(part, results) for part, (results, _) in zip(pair, (mine, theirs), strict=True)]
        common = {setting: [seed for seed in some if seed in seeds[1][setting]] for setting, some in seeds[0].items()}
        for chosen, own, (results, picks) in zip(both, seeds, (mine, theirs), strict=True):
            rows = {setting: [own[setting].index(seed) for seed in some] for setting, some in common.items()}
            some = {s: {side: runs.only(rows[s]) for side, runs in sides.items()} for s, sides in results.items()}
            if all(rows.values()):
                chosen.append((some, picks))
    if not both[0]:
        raise BadArgument(f"The two records of {here.name} share no seed. Compute one again with the other's seeds.")
    return both


def _seeds(part: Mapping[str, Any], results: Mapping[str, Mapping[Arm, Scores]]) -> dict[str, list[int]]:
    """Setting → the seeds that its runs have: the first of the part's, at working size not all."""
    return {setting: part["seeds"][: len(next(iter(sides.values())))] for setting, sides in results.items()}


def _of_tip(here: Plan, there: Plan, mine: list[Part], theirs: list[Part], level: float) -> dict[str, Any]:
    others = {setting for setting in here.arms() if not _same_data(setting, mine, theirs)}
    return {
        "tip": here.name,
        "here": _about(here.tip.record),
        "there": _about(there.tip.record),
        "seeds": sum(max(len(runs) for sides in results.values() for runs in sides.values()) for results, _ in mine),
        "tuned otherwise": _tuned_otherwise(mine, theirs),
        "runs": _twins(mine, theirs),
        "claims": [_of_claim(claim, mine, theirs, level, others) for claim in here.claims.values()],
    }


def _about(record: Mapping[str, Any]) -> dict[str, Any]:
    return {"device": record.get("device", "cpu"), "machine": record.get("machine"), "versions": record["versions"]}


def _same_data(setting: str, mine: Sequence[Part], theirs: Sequence[Part]) -> bool:
    """Whether naive errors and floors are those of the same data; characters, for one, follow Python's version."""
    return all(
        np.allclose(getattr(runs, name), getattr(other[setting][side], name), rtol=ALIKE, equal_nan=True)
        for (results, _), (other, _) in zip(mine, theirs, strict=True)
        for side, runs in results[setting].items()
        for name in ("naive", "floor")
    )


def _tuned_otherwise(mine: Sequence[Part], theirs: Sequence[Part]) -> list[dict[str, Any]]:
    """Sides that tuning gave other values here and there."""
    return [
        {"part": number, "setting": setting, "here": pick.values, "there": other[setting][side].values}
        for number, ((_, picks), (_, other)) in enumerate(zip(mine, theirs, strict=True))
        for setting, sides in picks.items()
        for side, pick in sides.items()
        if pick.values != other[setting][side].values
    ]


def _twins(mine: Sequence[Part], theirs: Sequence[Part]) -> dict[str, Any]:
    """How far test scores of twins are apart, as ratios less one; and how many diverged on one side alone."""
    pairs = [
        (runs.score, other[setting][side].score, runs.naive)
        for (results, picks), (other, chosen) in zip(mine, theirs, strict=True)
        for setting, sides in results.items()
        for side, runs in sides.items()
        if picks[setting][side].values == chosen[setting][side].values
    ]
    first, second, naive = np.concatenate([*pairs, np.empty((3, 0))], 1)
    known, alone = np.isfinite(first) & np.isfinite(second), np.isfinite(first) != np.isfinite(second)
    first, second = (np.log(np.maximum(scores, LEAST * naive)[known]) for scores in (first, second))
    apart = np.expm1(np.abs(first - second))
    middle, most = (six_digits(np.median(apart)), six_digits(apart.max())) if len(apart) else (None, None)
    return {"twins": len(known), "median": middle, "largest": most, "diverged alone": int(alone.sum())}


def _of_claim(claim: Claim, mine: list[Part], theirs: list[Part], level: float, others: set[str]) -> dict[str, Any]:
    words = {name: judge(claim, parts)["word"] for name, parts in (("here", mine), ("there", theirs))}
    differences = {setting: _difference(claim, mine, theirs, setting, level) for setting in claim.settings}
    why = "timed" if claim.measured.timed else "other data" if others & set(claim.settings) else None
    apart = any(found["verdict"] == "APART" for found in differences.values())
    return {
        "id": claim.id, **words, "unit": claim.measured.unit, "differences": differences,
        "agrees": None if why else words["here"] == words["there"] and not apart, "left open": why,
    }  # fmt: skip


def _difference(claim: Claim, mine: list[Part], theirs: list[Part], setting: str, level: float) -> dict[str, Any]:
    """One setting's effects here less those there, seed by seed."""
    here, there = (
        np.array([claim.measured.compare(*pair)
                  for pair in pairs_of(claim, parts, setting, ends_of(claim, parts, setting))])
        for parts in (mine, theirs)
    )  # fmt: skip
    found = claim.measured.find(here - there, True, claim.smallest_in(setting), level=level)
    ends = [six_digits(end) for end in found.interval]
    return {"typical": six_digits(found.typical), "interval": ends, "verdict": DIFFERENCE[found.verdict]}


def lines(found: Sequence[Mapping[str, Any]]) -> list[str]:
    """The comparison for a terminal."""
    text = []
    for tip in found:
        here, there = (tip[side]["machine"] or tip[side]["device"] for side in ("here", "there"))
        text.append(f"{tip['tip']}: {here} against {there}, {tip['seeds']} seeds a side")
        for claim in tip["claims"]:
            text += _claim_lines(claim)
        twins = tip["runs"]
        if twins["median"] is not None:
            text.append(f"     single runs: test scores {100 * twins['median']:.2g} % apart in the median, "
                        f"{100 * twins['largest']:.2g} % at most; {twins['diverged alone']} of {twins['twins']} "
                        "diverged on one side alone")  # fmt: skip
        if tip["tuned otherwise"]:
            text.append(f"     tuned otherwise: {len(tip['tuned otherwise'])} sides")
    return [*text, _summary([claim for tip in found for claim in tip["claims"]])]


def _claim_lines(claim: Mapping[str, Any]) -> list[str]:
    here, there = claim["here"], claim["there"]
    said = {True: "agrees", False: "DIFFERS", None: f"left open: {claim['left open']}"}[claim["agrees"]]
    text = [f"{claim['id']:4} {said:20} {here}" + (f", there {there}" if here != there else "")]
    for setting, found in claim["differences"].items():
        low, high = (change(end, claim["unit"], bare=True) for end in found["interval"])
        numbers = f"{change(found['typical'], claim['unit'])} ({low} to {high})"
        text.append(f"     {setting:24} difference {numbers}: {found['verdict']}")
    return text


def _summary(claims: Sequence[Mapping[str, Any]]) -> str:
    answers = [claim["agrees"] for claim in claims]
    return (f"{answers.count(True)} of {len(answers)} claims agree, {answers.count(False)} differ, "
            f"{answers.count(None)} are left open.")  # fmt: skip
