"""Computing a tip's record: liveness, tuning, first and fresh seeds, findings. What `python -m evidence run` does."""

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from evidence.arms import UNPICKED, Arm, described, grid, grouped, kept, pick_of, six_digits
from evidence.checks import due
from evidence.claim_word import setting_verdict, word
from evidence.claims import Claim
from evidence.plans import Plan
from evidence.timing import calibrate, cores_time, machine
from rnntips.errors import BadArgument
from rnntips.jobs.execute import Resources
from rnntips.notebook.tips import UNTUNED, stored_scores
from rnntips.runs import Runs, check_seeds
from rnntips.training import ENGINE, prepare
from rnntips.tuning import TUNING_SEEDS, Pick, train_arms, tune_arms
from rnntips.verdict import Comparison, Scores, medians, progress

__all__ = ["Part", "compute", "ends_of", "judge", "live_shares", "liveness", "pairs_of", "parts_of"]

# One part of a record, the runs of one set of seeds: setting → arm → Scores, and setting → arm → Pick.
Part = tuple[Mapping[str, Mapping[Arm, Scores]], Mapping[str, Mapping[Arm, Pick]]]


def liveness(plan: Plan, device: str = "auto", say: Callable[[str], None] = print, **where: Any) -> list[dict]:
    """For each setting and arm how far tuning seeds get from naive (0) to the floor (1) on their validation part, at
    the tuned rate, and their errors there. The test part is not looked at, so that sizes may be chosen by this table.

    Args:
        where: As for `compute`.
    """
    how, rows = replace(Resources.of(device, **where), stop=None), []  # so that an interrupt is raised
    names = described((arm for arms in plan.arms().values() for arm in arms), plan.base)
    for setting, arms in plan.arms().items():
        task, size = plan.tip.task(setting), plan.size_of(setting)
        seeds = list(TUNING_SEEDS)[: size.tuning]
        picks = _tuned(arms, task, how, seeds, narrow=size.narrow)
        for arm, runs in zip(arms, _trained(arms, picks, task, how, seeds), strict=True):
            errors, about = runs.tuning_score, kept(arm, names, runs, picks[arm], {})
            about = {name: about[name] for name in (*names, "tuned", "times", *picks[arm].values) if name in about}
            way = progress(errors, runs.valid_naive, runs.floor)
            rows.append({
                "setting": setting, **about, "progress": round(float(np.median(way)), 3), "unit": runs.unit,
                "naive": six_digits(runs.valid_naive.mean()), "errors": [six_digits(error) for error in errors],
                "floor": six_digits(runs.floor.mean()),
            })  # fmt: skip
            words = ", ".join(f"{name} {value}" for name, value in about.items() if name != "tuned")
            say(f"{setting:18} {words:40} {rows[-1]['progress']:5.0%}")
    return rows


def _tuned(
    arms: Sequence[Arm], task, how: Resources, seeds: Sequence[int], shift: float = 0.0, narrow: bool = False
) -> dict[Arm, Pick]:
    """What tuning picks for each arm; alike for those that the same is tuned for."""
    picks = dict.fromkeys(arms, UNPICKED)
    for (tuned, choices), group in grouped(arms).items():
        if tuned != UNTUNED:
            recipes = list(dict.fromkeys(arm.recipe for arm in group))
            prepared = prepare(recipes, task, seeds)
            search = tuned == "lr" and not choices  # the plan's own values are all that there are
            found = tune_arms(prepared, task, grid(group, narrow), how, seeds, search=search, shift=shift * search)
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
        planned = {"first": planned["first"]._replace(seeds=check_seeds(seeds))}
    parts, stored, needed = [], [], plan.arms()
    names = described((arm for arms in needed.values() for arm in arms), plan.base)
    timed = [claim for claim in plan.claims.values() if claim.measured.calibrated]
    if timed:  # what is timed is timed here, whoever trains
        Resources.of(device)
    how = replace(Resources.of(device, **where), stop=None)  # so that an interrupt is raised
    clock = cores_time if how.device == "cpu" and how.executor is None else time.perf_counter
    began = clock()
    for number, (name, part) in enumerate(planned.items()):
        results: dict[str, dict[Arm, Scores]] = {}
        picks: dict[str, dict[Arm, Pick]] = {}
        entries: dict[str, list[dict]] = {}
        for setting, arms in needed.items():
            task, size = plan.tip.task(setting), plan.size_of(setting)
            these = part.seeds[: size.first] if seeds is None else part.seeds
            if retune:
                picks[setting] = _tuned(arms, task, how, part.tuning[: size.tuning], part.shift, size.narrow)
            else:
                picks[setting] = {arm: plan.pick(setting, arm, number) for arm in arms}
            runs = dict(zip(arms, _trained(arms, picks[setting], task, how, these), strict=True))
            seconds = _calibrated(runs, plan.arms(timed).get(setting, []), task, these, how.device)
            readings = {arm: _readings(plan, setting, arm, runs[arm], task, seconds.get(arm)) for arm in arms}
            results[setting] = {arm: replace(runs[arm].scores, readings=readings[arm]) for arm in arms}
            entries[setting] = [kept(arm, names, runs[arm], picks[setting][arm], readings[arm]) for arm in arms]
            say(f"{name} seeds, {setting}: {len(arms)} arms, {clock() - began:.0f} s so far")
        parts.append((results, picks))
        stored.append({"name": name, "seeds": part.seeds, "tuning_seeds": part.tuning, "settings": entries})
    some = next(iter(runs.values()))
    return {
        "tip": plan.name,
        "plan": plan.plan_hash,
        "version": plan.version,
        "provisional": None if seeds is None else "computed on seeds of the caller's own; no fresh seeds were tried",
        "seeds": [seed for part in stored for seed in part["seeds"]],
        "seconds": round(clock() - began),
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


def _readings(
    plan: Plan, setting: str, arm: Arm, runs: Runs, task, seconds: np.ndarray | None
) -> dict[str, np.ndarray]:  # fmt: skip
    """What the claims about this arm need beside its scores, run by run: for their measures, and for their checks."""
    needed: dict[str, np.ndarray] = {}
    for claim in plan.claims.values():
        if setting in claim.settings and any(arm in tried.values() for tried in claim.needs(setting)):
            needed |= claim.measured.keep(runs, seconds)
            for check in due(claim.measured, claim.checks):
                if check.label(claim.measured) not in needed:  # another claim may have asked for it
                    needed |= check.keep(runs, task, claim.measured)
    return needed


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
    """A claim's word and its settings' verdicts, from all parts of a record and from the fresh seeds alone.

    `repeated`: whether these alone give the same word; None where no word was found, or there are no fresh seeds.
    """
    ends = {setting: ends_of(claim, parts, setting) for setting in claim.settings}  # fresh seeds name none anew
    settings, alone = (_settings(claim, some, ends, whole=some is parts) for some in (parts, parts[1:]))
    found, fresh = _word(claim, settings), _word(claim, alone) if alone else None
    open_ = fresh is None or found in ("UNDECIDED", "NOT TESTED")
    return {
        "id": claim.id, "word": found, "fresh_word": fresh, "repeated": None if open_ else found == fresh,
        "n": max(one["n"] for one in settings.values()), "what": claim.measured.what, "unit": claim.measured.unit,
        "settings": settings,
    }  # fmt: skip


def _word(claim: Claim, settings: Mapping[str, Mapping[str, Any]]) -> str:
    tested = {name: found["verdict"] for name, found in settings.items() if found["tested"]}
    return word(claim.claimed, tested, claim.condition, claim.modality, claim.named)


def ends_of(claim: Claim, parts: Sequence[Part], setting: str) -> tuple[int, int]:
    """Which of the claim's values are the baseline and the variant there.

    The best and the worst are named by the first part's tuning seeds, and every part compares these.
    """
    order = list(range(len(claim.values)))
    if claim.among:
        needed, picks = claim.needs(setting), parts[0][1][setting]
        order.sort(key=lambda i: picks[needed[i][None]].score)
    return order[0], order[-1]


def pairs_of(
    claim: Claim, parts: Sequence[Part], setting: str, ends: tuple[int, int]
) -> list[tuple[Scores, Scores]]:  # fmt: skip
    """(baseline's, variant's) scores in each part, for the values that `ends_of` names."""
    return [claim.pair(setting, results[setting], ends) for results, _ in parts]


def _picked(claim: Claim, parts: Sequence[Part], setting: str, value: int) -> list:
    """What tuning chose for one of the claim's values, part by part; nothing where nothing is tuned."""
    arm = claim.needs(setting)[value].get(None)
    picks = [picks[setting][arm].values for _, picks in parts if arm in picks.get(setting, {})]
    return [next(iter(values.values())) for values in picks if values]


def _settings(
    claim: Claim, parts: Sequence[Part], ends: Mapping[str, tuple[int, int]], whole: bool
) -> dict[str, dict[str, Any]]:  # fmt: skip
    return {name: _setting(claim, parts, name, ends[name], whole) for name in claim.settings} if parts else {}


def _setting(
    claim: Claim, parts: Sequence[Part], setting: str, ends: tuple[int, int], whole: bool
) -> dict[str, Any]:  # fmt: skip
    """What one setting of a whole record, or of its fresh seeds alone, shows, as a record stores it."""
    pairs = pairs_of(claim, parts, setting, ends)
    both = [Scores.joined(side) for side in zip(*pairs, strict=True)]
    together, *alone = (
        claim.measured.judge(some, True, claim.smallest_in(setting)) for some in (pairs, *([pair] for pair in pairs))
    )
    checks = [check for check in due(claim.measured, claim.checks) if whole or not check.whole]
    checked = {check.name: check.found(*both, claim.measured) for check in checks}
    failed = [found.why_not for found in checked.values() if not found.ok]
    numbers = {name: six_digits(getattr(together, name)) for name in ("typical", "effect", "detectable", "failing")}
    return {
        "sides": [str(claim.shown(claim.values[i])) for i in ends],
        "tuned": [_picked(claim, parts, setting, i) for i in ends], "size": claim.size_of(setting),
        "verdict": setting_verdict(claim.claimed, together, alone),
        **dict(zip(("baseline", "variant"), map(six_digits, medians(*both)), strict=True)), **numbers,
        "interval": [six_digits(end) for end in together.interval], "n": len(both[0]),
        "wins": together.wins, "losses": together.losses, "failed": together.failed, "smallest": together.smallest,
        "parts": [six_digits(found.typical) for found in alone],
        **({"axes": _axes(claim, pairs)} if claim.measured.axes else {}),
        "tested": not failed, "why_not": " ".join(failed) or None,
        "checks": {name: [six_digits(value) for value in found.values] for name, found in checked.items()},
    }  # fmt: skip


def _axes(claim: Claim, pairs: Sequence[tuple[Scores, Scores]]) -> dict[str, float | None]:
    """What the variant costs against the baseline on every axis that was kept: typical changes."""
    sides = [side for pair in pairs for side in pair]
    kept = [axis for axis in claim.measured.along if all(axis.label in side.readings for side in sides)]
    return {axis.name: six_digits(axis.judge(pairs, True, claim.smallest).typical) for axis in kept}


def live_shares(plan: Plan, subsets: int = 1000, seeds: int = 10) -> dict[str, float]:
    """Verdict of all stored seeds of the live setting, then others → share of random subsets of them that give it."""
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
    found = Counter(verdict({setting: tuple(one.only(rows) for one in both)}) for rows in chosen)
    return {name: found[name] / subsets for name in dict.fromkeys([whole, *found])}
