"""Computing a tip's record: liveness, tuning, first and fresh seeds, findings. What `python -m evidence run` does."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np

from evidence.arms import UNPICKED, Arm, described, grid, grouped, kept, pick_of, six_digits
from evidence.claim_word import Condition, gap, word
from evidence.claims import Claim
from evidence.plans import Plan
from evidence.timing import calibrate, machine
from rnntips.errors import BadArgument
from rnntips.jobs.execute import Resources
from rnntips.notebook.tips import UNTUNED, stored_scores
from rnntips.runs import Runs, check_seeds
from rnntips.training import ENGINE, prepare
from rnntips.tuning import TUNING_SEEDS, Pick, train_arms, tune_arms
from rnntips.verdict import Comparison, Finding, Scores, middle, progress, tail

__all__ = ["Part", "compared", "compute", "judge", "live_share", "liveness", "parts_of"]

# One part of a record, the runs of one set of seeds: setting → arm → Scores, and setting → arm → Pick.
Part = tuple[Mapping[str, Mapping[Arm, Scores]], Mapping[str, Mapping[Arm, Pick]]]


def liveness(plan: Plan, device: str = "auto", say: Callable[[str], None] = print) -> list[dict]:
    """For each setting and arm: how far tuning seeds get from naive (0) to the floor (1), at the tuned rate."""
    how, rows = replace(Resources.of(device), stop=None), []  # so that an interrupt is raised
    names = described((arm for arms in plan.arms().values() for arm in arms), plan.base)
    for setting, arms in plan.arms().items():
        task, seeds = plan.tip.task(setting), list(TUNING_SEEDS)
        picks = _tuned(arms, task, how, seeds)
        for arm, runs in zip(arms, _trained(arms, picks, task, how, seeds), strict=True):
            way = progress(runs.test_score, runs.naive, runs.floor)
            about = kept(arm, names, runs, picks[arm], {})
            rows.append({
                "setting": setting, **{name: about[name] for name in [*names, "tuned", *picks[arm].values]},
                "progress": round(float(np.median(way)), 3), "unit": runs.unit,
                "naive": six_digits(runs.naive.mean()), "score": six_digits(np.median(runs.test_score)),
                "floor": six_digits(runs.floor.mean()),
            })  # fmt: skip
            words = ", ".join(f"{name} {about[name]}" for name in [*names, *picks[arm].values])
            say(f"{setting:18} {words:40} {rows[-1]['progress']:5.0%}")
    return rows


def _tuned(arms: Sequence[Arm], task, how: Resources, seeds: Sequence[int]) -> dict[Arm, Pick]:
    """What tuning picks for each arm; alike for those that the same is tuned for."""
    picks = dict.fromkeys(arms, UNPICKED)
    for (tuned, choices), group in grouped(arms).items():
        if tuned != UNTUNED:
            recipes = list(dict.fromkeys(arm.recipe for arm in group))
            prepared = prepare(recipes, task, seeds)
            # the plan's own values are all that there are
            found = tune_arms(prepared, task, grid(group), how, seeds, widen=not choices)
            chosen = dict(zip(recipes, found, strict=True))
            picks |= {arm: chosen[arm.recipe] for arm in group}
    return picks


def _trained(arms: Sequence[Arm], picks: Mapping[Arm, Pick], task, how: Resources, seeds: Sequence[int]) -> list[Runs]:
    """Every arm on these seeds, with what was picked for it."""
    recipes = [arm.picked(picks[arm]) for arm in arms]
    return train_arms(prepare(recipes, task, seeds), task, seeds, how)


def compute(
    plan: Plan,
    seeds: Sequence[int] | None = None,
    retune: bool = False,
    device: str = "auto",
    say: Callable[[str], None] = print,
    **where: Any,
) -> dict[str, Any]:
    """A tip's record: every claim's finding, with the scores it rests on.

    Args:
        seeds: The plan's first and fresh seeds if None; others make a provisional record.
        retune: Choose learning rates anew, in each part on its own tuning seeds, instead of taking the stored ones.
        where: `executor`, `store` and `done`, as in `rnntips.jobs.execute.Resources`.
    """
    planned = plan.parts()
    if seeds is not None:
        planned = {"first": (planned["first"][0], check_seeds(seeds))}
    began, parts, stored, needed = time.perf_counter(), [], [], plan.arms()
    names = described((arm for arms in needed.values() for arm in arms), plan.base)
    timed = [claim for claim in plan.claims.values() if claim.measured.timed]
    if timed:  # what is timed is timed here, whoever trains
        Resources.of(device)
    how = replace(Resources.of(device, **where), stop=None)  # so that an interrupt is raised
    for number, (name, (tuning, these)) in enumerate(planned.items()):
        results: dict[str, dict[Arm, Scores]] = {}
        picks: dict[str, dict[Arm, Pick]] = {}
        entries: dict[str, list[dict]] = {}
        for setting, arms in needed.items():
            task = plan.tip.task(setting)
            if retune:
                picks[setting] = _tuned(arms, task, how, tuning)
            else:
                picks[setting] = {arm: plan.pick(setting, arm, number) for arm in arms}
            runs = dict(zip(arms, _trained(arms, picks[setting], task, how, these), strict=True))
            seconds = _calibrated(runs, plan.arms(timed).get(setting, []), task, these, how.device)
            readings = {arm: _readings(plan, setting, arm, runs[arm], seconds.get(arm)) for arm in arms}
            results[setting] = {arm: replace(runs[arm].scores, readings=readings[arm]) for arm in arms}
            entries[setting] = [kept(arm, names, runs[arm], picks[setting][arm], readings[arm]) for arm in arms]
            say(f"{name} seeds, {setting}: {len(arms)} arms, {time.perf_counter() - began:.0f} s so far")
        parts.append((results, picks))
        stored.append({"name": name, "seeds": these, "tuning_seeds": tuning, "settings": entries})
    some = next(iter(runs.values()))
    return {
        "tip": plan.name,
        "plan": plan.plan_hash,
        "version": plan.version,
        "provisional": None if seeds is None else "computed on seeds of the caller's own; no fresh seeds were tried",
        "seeds": [seed for part in stored for seed in part["seeds"]],
        "seconds": round(time.perf_counter() - began),
        "versions": some.versions,
        "engine": ENGINE,
        "device": how.device,
        **({"machine": machine(how.device)} if how.device != "cpu" else {}),
        **({"timed on": machine(how.device)} if timed else {}),
        "claims": [judge(claim, parts) for claim in plan.claims.values()],
        "parts": stored,
    }


def _calibrated(
    runs: Mapping[Arm, Runs], arms: Sequence[Arm], task, seeds: Sequence[int], device: str
) -> dict[Arm, np.ndarray]:
    """The seconds that an update of these arms' runs takes, timed side by side, (n,) each."""
    recipes = [runs[arm].recipes[0] for arm in arms]
    return dict(zip(arms, calibrate(recipes, task, seeds, device), strict=True)) if arms else {}


def _readings(plan: Plan, setting: str, arm: Arm, runs: Runs, seconds: np.ndarray | None) -> dict[str, np.ndarray]:
    """What the claims about this arm need beside its scores, run by run."""
    asking = [claim for claim in plan.claims.values() if setting in claim.settings
              and any(arm in tried.values() for tried in claim.needs(setting))]  # fmt: skip
    return {name: values for claim in asking for name, values in claim.measured.keep(runs, seconds).items()}


def parts_of(plan: Plan) -> list[Part]:
    """The parts of the stored record, as `judge` takes them."""
    parts = []
    for number in range(len(plan.tip.record["parts"])):
        found = {s: {arm: plan.stored(s, arm, number) for arm in arms} for s, arms in plan.arms().items()}
        results = {s: {arm: stored_scores(entry) for arm, entry in arms.items()} for s, arms in found.items()}
        picks = {s: {arm: pick_of(entry, arm) for arm, entry in arms.items()} for s, arms in found.items()}
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


def compared(claim: Claim, parts: Sequence[Part]) -> tuple[Comparison, dict[str, dict[str, Any]]]:
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
    return Comparison(pairs, claim.measured, claim.smallest), chosen


def _judge(claim: Claim, parts: Sequence[Part]) -> dict[str, Any]:
    comparison, chosen = compared(claim, parts)
    left_out = {setting for setting, _ in comparison.untrained}  # in all parts, if in one
    keys, finding_of = list(comparison.pairs), comparison.finding_of
    counted = [key for key in keys if key[0] not in left_out] or keys
    overall = finding_of(counted)
    alone = {s: finding_of(key for key in keys if key[0] == s) for s in claim.settings}
    by_part = [finding_of(key for key in counted if key[1] == part) for part in range(len(parts))]
    condition = _condition(claim, comparison, counted) if claim.condition else None
    return {
        "word": word(claim.claimed, overall, [alone[s] for s in alone if s not in left_out], by_part, condition),
        "p": six_digits(_chance(claim, overall, np.concatenate([comparison.effects(key) for key in counted]))),
        **_numbers(overall, len(parts)),
        "parts": [six_digits(found.typical) for found in by_part],
        "gap": condition and [six_digits(value) for value in condition.gap],
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


def _condition(claim: Claim, comparison: Comparison, counted: Sequence[tuple[str, int]]) -> Condition:
    level = {setting: claim.condition[setting] for setting in claim.settings}
    keys = [[key for key in comparison.pairs if level[key[0]] == which] for which in dict.fromkeys(level.values())]
    keys = [[key for key in some if key in counted] or some for some in keys]
    first, second = ({key: comparison.effects(key) for key in some} for some in keys)

    def difference(part: int) -> float:
        mine, theirs = ([d for key, d in side.items() if key[1] == part] for side in (first, second))
        return middle(mine) - middle(theirs)

    return Condition(
        claim.condition["name"],
        (comparison.finding_of(first), comparison.finding_of(second)),
        gap(list(first.values()), list(second.values())),
        tuple(difference(part) for part in sorted({key[1] for key in comparison.pairs})),
    )


def _numbers(finding: Finding, parts: int) -> dict[str, Any]:
    """As stored; n counts the seeds of all parts, and what is better is said where it is not lower."""
    fields = asdict(finding) | {"interval": [six_digits(end) for end in finding.interval], "n": parts * finding.n}
    fields |= {name: six_digits(fields[name]) for name in ("effect", "typical", "detectable", "failing")}
    return {name: value for name, value in fields.items() if (name, value) != ("better", "lower")}


def live_share(plan: Plan, subsets: int = 1000, seeds: int = 10) -> float:
    """Share of random subsets of the live setting's stored seeds that give the verdict of all of them."""
    *_, setting = plan.tip.live()
    numbers = range(len(plan.tip.record["parts"]))
    entries = [[plan.stored(setting, arm, number) for number in numbers] for arm in plan.live_arms()]

    def verdict(pairs) -> str:
        return Comparison(pairs, smallest=plan.given["smallest"]).finding.verdict

    if None in entries[0] + entries[1]:
        raise BadArgument(f"The live comparison of {plan.name} is not in its record, and only what is may be live.")
    parts = [tuple(map(stored_scores, some)) for some in zip(*entries, strict=True)]
    whole = verdict(dict(enumerate(parts)))
    both = [stored_scores(*some) for some in entries]
    rng = np.random.default_rng(0)
    chosen = (rng.permutation(len(both[0]))[:seeds] for _ in range(subsets))
    return float(np.mean([verdict({setting: tuple(one.only(rows) for one in both)}) == whole for rows in chosen]))
