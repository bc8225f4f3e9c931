"""Computing a tip's record: liveness, tuning, first and fresh seeds, findings. What `rnntips run` does."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from rnntips.arguments import check_seeds, resolve_device
from rnntips.errors import BadArgument
from rnntips.evidence import Finding, gap, middle, progress, tail
from rnntips.plans import Claim
from rnntips.readings import CALIBRATED
from rnntips.runs import Runs
from rnntips.sides import UNPICKED, UNTUNED, Side, described, digits, grid, grouped, kept, pick_of, restored
from rnntips.study import Study
from rnntips.timing import calibrate, machine
from rnntips.tips import Tip
from rnntips.tuning import TUNING_SEEDS, Pick, train_sides, tune_sides
from rnntips.words import Condition, word

__all__ = ["Part", "compute", "judge", "live_share", "liveness", "parts_of", "study_of"]

# One part of a record, the runs of one set of seeds: setting → side → Runs, and setting → side → Pick.
Part = tuple[Mapping[str, Mapping[Side, Runs]], Mapping[str, Mapping[Side, Pick]]]


def liveness(tip: Tip, device: str = "auto", say: Callable[[str], None] = print) -> list[dict]:
    """For each setting and side: how far tuning seeds get from trivial (0) to the floor (1), at the tuned rate."""
    rows, names = [], described((side for sides in tip.sides().values() for side in sides), tip.base)
    for setting, sides in tip.sides().items():
        task = tip.task(setting)
        picks = _tuned(sides, task, device, list(TUNING_SEEDS))
        tuned = [side.picked(picks[side]) for side in sides]
        for side, runs in zip(sides, train_sides(tuned, task, list(TUNING_SEEDS), device), strict=True):
            way = progress(runs.test_score, runs.trivial, runs.floor)
            about = kept(side, names, runs, picks[side], {})
            rows.append({
                "setting": setting, **{name: about[name] for name in [*names, "tuned", *picks[side].values]},
                "progress": round(float(np.median(way)), 3), "unit": runs.unit,
                "trivial": digits(runs.trivial.mean()), "score": digits(np.median(runs.test_score)),
                "floor": digits(runs.floor.mean()),
            })  # fmt: skip
            words = ", ".join(f"{name} {about[name]}" for name in [*names, *picks[side].values])
            say(f"{setting:18} {words:40} {rows[-1]['progress']:5.0%}")
    return rows


def _tuned(sides: Sequence[Side], task, device: str, seeds: Sequence[int], **how: Any) -> dict[Side, Pick]:
    """What tuning picks for each side; alike for those that the same is tuned for."""
    picks = dict.fromkeys(sides, UNPICKED)
    for (tuned, choices), group in grouped(sides).items():
        if tuned != UNTUNED:
            given = {"widen": False} if choices else {}  # the plan's own values are all that there are
            recipes = list(dict.fromkeys(side.recipe for side in group))
            found = tune_sides(recipes, task, grid(group), device, seeds=seeds, **given, **how)
            chosen = dict(zip(recipes, found, strict=True))
            picks |= {side: chosen[side.recipe] for side in group}
    return picks


def compute(
    tip: Tip,
    seeds: Sequence[int] | None = None,
    retune: bool = False,
    device: str = "auto",
    say: Callable[[str], None] = print,
    **how: Any,
) -> dict[str, Any]:
    """A tip's record: every claim's finding, with the scores it rests on.

    Args:
        seeds: The plan's first and fresh seeds if None; others make a provisional record.
        retune: Choose learning rates anew, in each part on its own tuning seeds, instead of taking the stored ones.
        how: `executor`, `store` and `done`, as in `rnntips.tuning.train_sides`.
    """
    planned = tip.parts()
    if seeds is not None:
        planned = {"first": (planned["first"][0], check_seeds(seeds))}
    began, parts, stored, needed = time.perf_counter(), [], [], tip.sides()
    names = described((side for sides in needed.values() for side in sides), tip.base)
    timed = [claim for claim in tip.plans.values() if claim.measured.timed]
    # what is timed is timed here, whoever trains
    device = resolve_device(device, away=how.get("executor") is not None and not timed)
    for number, (name, (tuning, these)) in enumerate(planned.items()):
        results: dict[str, dict[Side, Runs]] = {}
        picks: dict[str, dict[Side, Pick]] = {}
        for setting, sides in needed.items():
            task = tip.task(setting)
            if retune:
                picks[setting] = _tuned(sides, task, device, tuning, **how)
            else:
                picks[setting] = {side: tip.pick(setting, side, number) for side in sides}
            tuned = [side.picked(picks[setting][side]) for side in sides]
            results[setting] = dict(zip(sides, train_sides(tuned, task, these, device, **how), strict=True))
            _calibrate(results[setting], tip.sides(timed).get(setting, []), task, these, device)
            say(f"{name} seeds, {setting}: {len(sides)} sides, {time.perf_counter() - began:.0f} s so far")
        parts.append((results, picks))
        entries = {s: [kept(side, names, runs, picks[s][side], _readings(tip, s, side, runs))
                       for side, runs in sides.items()] for s, sides in results.items()}  # fmt: skip
        stored.append({"name": name, "seeds": these, "tuning_seeds": tuning, "settings": entries})
    some = next(iter(next(iter(results.values())).values()))
    return {
        "tip": tip.name,
        "plan": tip.plan_hash,
        "version": tip.version,
        "provisional": None if seeds is None else "computed on seeds of the caller's own; no fresh seeds were tried",
        "seeds": [seed for part in stored for seed in part["seeds"]],
        "seconds": round(time.perf_counter() - began),
        "versions": some.versions,
        "device": device,
        **({"machine": machine(device)} if device != "cpu" else {}),
        **({"timed on": machine(device)} if timed else {}),
        "claims": [judge(claim, parts) for claim in tip.plans.values()],
        "parts": stored,
    }


def _calibrate(results: Mapping[Side, Runs], sides: Sequence[Side], task, seeds: Sequence[int], device: str) -> None:
    """Give the runs of these sides the seconds that an update of theirs takes, timed side by side."""
    if sides:
        recipes = [results[side].recipes[0] for side in sides]
        for side, seconds in zip(sides, calibrate(recipes, task, seeds, device), strict=True):
            results[side].readings[CALIBRATED] = seconds


def _readings(tip: Tip, setting: str, side: Side, runs: Runs) -> dict[str, np.ndarray]:
    """What the claims about this side need beside its scores, run by run."""
    asking = [claim for claim in tip.plans.values() if setting in claim.settings
              and any(side in tried.values() for tried in claim.needs(setting))]  # fmt: skip
    return {name: values for claim in asking for name, values in claim.measured.keep(runs).items()}


def parts_of(tip: Tip) -> list[Part]:
    """The parts of the stored record, as `judge` takes them."""
    parts = []
    for number in range(len(tip.record["parts"])):
        found = {s: {side: tip.stored(s, side, number) for side in sides} for s, sides in tip.sides().items()}
        results = {s: {side: restored(side.recipe, entry) for side, entry in sides.items()}
                   for s, sides in found.items()}  # fmt: skip
        picks = {s: {side: pick_of(entry, side) for side, entry in sides.items()} for s, sides in found.items()}
        parts.append((results, picks))
    return parts


def judge(claim: Claim, parts: Sequence[Part]) -> dict[str, Any]:
    """A claim's word and numbers from all parts of a record; `repeated`: whether fresh seeds left the first ones' word.

    That is None where the first seeds were undecided, or where there are no others.
    """
    found = _judge(claim, parts)
    first = _judge(claim, parts[:1])["word"] if len(parts) > 1 else found["word"]
    repeated = None if len(parts) == 1 or first == "UNDECIDED" else first == found["word"]
    return {"id": claim.id, "word": found.pop("word"), "first": first, "repeated": repeated} | found


def study_of(claim: Claim, parts: Sequence[Part]) -> tuple[Study, dict[str, dict[str, Any]]]:
    """The comparison that a claim makes in all parts, (setting, part) by (setting, part); what each setting's sides are
    called."""
    pairs, chosen = {}, {}
    for part, (results, _) in enumerate(parts):
        for setting in claim.settings:
            order = list(range(len(claim.values)))
            if claim.among:  # whatever the first part's tuning seeds name is what every part compares
                needed, picks = claim.needs(setting), parts[0][1][setting]
                order.sort(key=lambda i, needed=needed, picks=picks: picks[needed[i][None]].score)
            pairs[setting, part] = claim.pair(setting, results[setting], (order[0], order[-1]))
            called = [claim.shown(claim.values[i]) for i in (order[0], order[-1])]
            chosen[setting] = dict(zip(("baseline", "variant"), called, strict=True))
    sides = claim.sides[0], claim.sides[-1]
    return Study(*sides, pairs, smallest=claim.smallest, measure=claim.measure, reach=claim.reach), chosen


def _judge(claim: Claim, parts: Sequence[Part]) -> dict[str, Any]:
    study, chosen = study_of(claim, parts)
    left_out = {setting for setting, _ in study.untrained}
    counted = [key for key in study.runs if key[0] not in left_out] or list(study.runs)
    overall = study.finding_of(counted)
    alone = {s: study.finding_of(key for key in study.runs if key[0] == s) for s in claim.settings}
    by_part = [study.finding_of(key for key in counted if key[1] == part) for part in range(len(parts))]
    condition = _condition(claim, study, counted) if claim.condition else None
    return {
        "word": word(claim.claimed, overall, [alone[s] for s in alone if s not in left_out], by_part, condition),
        "p": digits(_chance(claim, overall, np.concatenate([study.effects(key) for key in counted]))),
        **_numbers(overall, len(parts)),
        "parts": [digits(found.typical) for found in by_part],
        "gap": condition and [digits(value) for value in condition.gap],
        "left_out": [s for s in claim.settings if s in left_out],
        "settings": {s: chosen[s] | _numbers(found, len(parts)) for s, found in alone.items()},
    }


def _chance(claim: Claim, overall: Finding, d: np.ndarray) -> float:
    """Sign test over all pairs: how often chance alone is so uneven.

    For NO WORSE chance means a loss of the smallest that matters, and only less than that counts.
    """
    if claim.claimed == "NO WORSE":
        d = claim.measured.sign * d - overall.matters
        return tail(int(np.sum(d > 0)), int(np.sum(d != 0)))
    wins, losses = int(np.sum(d < 0)), int(np.sum(d > 0))
    return min(1.0, 2 * tail(min(wins, losses), wins + losses))


def _condition(claim: Claim, study: Study, counted: Sequence[tuple[str, int]]) -> Condition:
    level = {setting: claim.condition[setting] for setting in claim.settings}
    keys = [[key for key in study.runs if level[key[0]] == which] for which in dict.fromkeys(level.values())]
    keys = [[key for key in some if key in counted] or some for some in keys]
    first, second = ({key: study.effects(key) for key in some} for some in keys)

    def difference(part: int) -> float:
        mine, theirs = ([d for key, d in side.items() if key[1] == part] for side in (first, second))
        return middle(mine) - middle(theirs)

    return Condition(
        claim.condition["name"],
        (study.finding_of(first), study.finding_of(second)),
        gap(list(first.values()), list(second.values())),
        tuple(difference(part) for part in sorted({key[1] for key in study.runs})),
    )


def _numbers(finding: Finding, parts: int) -> dict[str, Any]:
    """As stored; n counts the seeds of all parts, and what is better is said where it is not lower."""
    fields = asdict(finding) | {"interval": [digits(end) for end in finding.interval], "n": parts * finding.n}
    fields |= {name: digits(fields[name]) for name in ("effect", "typical", "detectable", "failing")}
    return {name: value for name, value in fields.items() if (name, value) != ("better", "lower")}


def live_share(tip: Tip, subsets: int = 1000, seeds: int = 10) -> float:
    """Share of random subsets of the live setting's stored seeds that give the verdict of all of them."""
    *sides, setting = tip.live()
    numbers = range(len(tip.record["parts"]))
    entries = [[tip.stored(setting, side, number) for number in numbers] for side in tip.live_sides()]

    def verdict(pairs) -> str:
        return Study(*sides, pairs, smallest=tip.plan["smallest"]).verdict

    if None in entries[0] + entries[1]:
        raise BadArgument(f"The live comparison of {tip.name} is not in its record, and only what is may be live.")
    parts = [tuple(map(restored, sides, some)) for some in zip(*entries, strict=True)]
    whole = verdict(dict(enumerate(parts)))
    both = [restored(side, *some) for side, some in zip(sides, entries, strict=True)]
    rng = np.random.default_rng(0)
    chosen = (rng.permutation(len(both[0]))[:seeds] for _ in range(subsets))
    return float(np.mean([verdict({setting: tuple(runs.only(rows) for runs in both)}) == whole for rows in chosen]))
