"""Computing a tip's record: liveness, tuning, first and fresh seeds, findings. What `rnntips run` does."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from rnntips.evidence import Condition, Finding, gap, middle, progress, tail, word
from rnntips.recipe import Recipe
from rnntips.runs import Runs
from rnntips.study import Study
from rnntips.tips import SETTINGS, Claim, Tip
from rnntips.training import check_seeds
from rnntips.tuning import TUNING_SEEDS, Pick, train_sides, tune_sides, tuning_grids

__all__ = ["compute", "judge", "live_share", "liveness", "stored_runs"]

# One part of a record, the runs of one set of seeds: setting → side → Runs, and setting → side → Pick.
Part = tuple[Mapping[str, Mapping[Recipe, Runs]], Mapping[str, Mapping[Recipe, Pick]]]


def liveness(tip: Tip, say: Callable[[str], None] = print) -> list[dict]:
    """For each setting and side: how far tuning seeds get from trivial (0) to the floor (1), at the tuned rate."""
    rows = []
    for setting, sides in tip.work().items():
        task = SETTINGS[setting]()
        picks = tune_sides(sides, task, tuning_grids("lr", *sides))
        tuned = [side.but(**pick.values) for side, pick in zip(sides, picks, strict=True)]
        for side, runs in zip(tuned, train_sides(tuned, task, list(TUNING_SEEDS)), strict=True):
            way = progress(runs.test_score, runs.trivial, runs.floor)
            rows.append({
                "setting": setting, "features": side.features or "as the series asks", "scaling": side.input_scaling,
                "lr": side.lr, "progress": round(float(np.median(way)), 3), "unit": runs.unit,
                "trivial": _digits(runs.trivial.mean()), "score": _digits(np.median(runs.test_score)),
                "floor": _digits(runs.floor.mean()),
            })  # fmt: skip
            say("{setting:18} {features:20} {scaling:10} lr {lr:<8} {progress:5.0%}".format(**rows[-1]))
    return rows


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
    began, parts, stored = time.perf_counter(), [], []
    for number, (name, (tuning, these)) in enumerate(planned.items()):
        results: dict[str, dict[Recipe, Runs]] = {}
        picks: dict[str, dict[Recipe, Pick]] = {}
        for setting, sides in tip.work().items():
            task = SETTINGS[setting]()
            if retune:
                chosen = tune_sides(sides, task, tuning_grids("lr", *sides), device, seeds=tuning, **how)
            else:
                chosen = [tip.pick(setting, side, number) for side in sides]
            picks[setting] = dict(zip(sides, chosen, strict=True))
            tuned = [side.but(**pick.values) for side, pick in picks[setting].items()]
            results[setting] = dict(zip(sides, train_sides(tuned, task, these, device, **how), strict=True))
            say(f"{name} seeds, {setting}: {len(sides)} sides, {time.perf_counter() - began:.0f} s so far")
        parts.append((results, picks))
        stored.append({"name": name, "seeds": these, "tuning_seeds": tuning, "settings": _sides(results, picks)})
    some = next(iter(next(iter(results.values())).values()))
    return {
        "tip": tip.name,
        "plan": tip.plan_hash,
        "version": tip.version,
        "provisional": None if seeds is None else "computed on seeds of the caller's own; no fresh seeds were tried",
        "seeds": [seed for part in stored for seed in part["seeds"]],
        "seconds": round(time.perf_counter() - began),
        "versions": some.versions,
        "device": some.device,
        "claims": [judge(claim, parts) for claim in tip.plans.values()],
        "parts": stored,
    }


def judge(claim: Claim, parts: Sequence[Part]) -> dict[str, Any]:
    """A claim's word and numbers from all parts of a record; `repeated`: whether fresh seeds left the first ones' word.

    That is None where the first seeds were undecided, or where there are no others.
    """
    found = _judge(claim, parts)
    first = _judge(claim, parts[:1])["word"] if len(parts) > 1 else found["word"]
    repeated = None if len(parts) == 1 or first == "UNDECIDED" else first == found["word"]
    return {"id": claim.id, "word": found.pop("word"), "first": first, "repeated": repeated} | found


def _judge(claim: Claim, parts: Sequence[Part]) -> dict[str, Any]:
    pairs, chosen = {}, {}
    for part, (results, _) in enumerate(parts):
        for setting in claim.settings:
            sides = claim.sides
            if claim.among:  # whatever the first part's tuning seeds name is what every part compares
                sides = sorted(sides, key=lambda side, picks=parts[0][1][setting]: picks[side].score)
            pairs[setting, part] = results[setting][sides[0]], results[setting][sides[-1]]
            chosen[setting] = {"baseline": getattr(sides[0], claim.field), "variant": getattr(sides[-1], claim.field)}
    study = Study(claim.sides[0], claim.sides[-1], pairs, smallest=claim.smallest, measure=claim.measure)
    left_out = {setting for setting, _ in study.untrained}
    counted = [key for key in pairs if key[0] not in left_out] or list(pairs)
    overall = study.finding_of(counted)
    alone = {s: study.finding_of(key for key in pairs if key[0] == s) for s in claim.settings}
    by_part = [study.finding_of(key for key in counted if key[1] == part) for part in range(len(parts))]
    condition = _condition(claim, study, counted) if claim.condition else None
    return {
        "word": word(claim.claimed, overall, [alone[s] for s in alone if s not in left_out], by_part, condition),
        "p": _digits(_chance(claim, np.concatenate([study.effects(key) for key in counted]))),
        **_numbers(overall, len(parts)),
        "parts": [_digits(found.typical) for found in by_part],
        "gap": condition and [_digits(value) for value in condition.gap],
        "left_out": [s for s in claim.settings if s in left_out],
        "settings": {s: chosen[s] | _numbers(found, len(parts)) for s, found in alone.items()},
    }


def _chance(claim: Claim, d: np.ndarray) -> float:
    """Sign test over all pairs: how often chance alone is so uneven.

    For NO WORSE chance means a loss of the smallest that matters, and only less than that counts.
    """
    if claim.claimed == "NO WORSE":
        d = d - np.log1p(claim.smallest)
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
    """As stored; n counts the seeds of all parts."""
    fields = asdict(finding) | {"interval": [_digits(end) for end in finding.interval], "n": parts * finding.n}
    return fields | {name: _digits(fields[name]) for name in ("effect", "typical", "detectable", "failing")}


def stored_runs(recipe: Recipe, *sides: Mapping[str, Any]) -> Runs:
    """Runs with no more in them than the scores that a record keeps of a side; those of several parts in a row."""
    score, trivial, floor = (
        np.array([value for side in sides for value in side[name]], dtype=float)  # None, a diverged run, becomes NaN
        for name in ("test_score", "trivial", "floor")
    )
    n = len(score)
    return Runs((recipe,) * n, seeds=np.arange(n), test_scores=score[:, None], trivial=trivial, floor=floor,
                train_loss=np.zeros((n, 1)), reached=1)  # fmt: skip


def live_share(tip: Tip, subsets: int = 1000, seeds: int = 10) -> float:
    """Share of random subsets of the live setting's stored seeds that give the verdict of all of them."""
    *sides, setting = tip.live()
    kept = [[stored for part in tip.record["parts"] for stored in part["settings"][setting]
             if (stored["features"], stored["input_scaling"]) == (side.features, side.input_scaling)]
            for side in sides]  # fmt: skip

    def verdict(pairs) -> str:
        return Study(*sides, pairs, smallest=tip.plan["smallest"]).verdict

    parts = [tuple(map(stored_runs, sides, some)) for some in zip(*kept, strict=True)]
    whole = verdict(dict(enumerate(parts)))
    both, rng = [stored_runs(side, *some) for side, some in zip(sides, kept, strict=True)], np.random.default_rng(0)
    chosen = (rng.permutation(len(both[0]))[:seeds] for _ in range(subsets))
    return float(np.mean([verdict({setting: tuple(runs.only(rows) for runs in both)}) == whole for rows in chosen]))


def _sides(results: Mapping, picks: Mapping) -> dict[str, list[dict]]:
    return {
        setting: [_side(side, runs, picks[setting][side]) for side, runs in sides.items()]
        for setting, sides in results.items()
    }


def _side(side: Recipe, runs: Runs, pick: Pick) -> dict[str, Any]:
    return {
        "features": side.features,
        "input_scaling": side.input_scaling,
        **pick.values,
        "tuning_score": _digits(pick.score),
        "diverged": int(np.count_nonzero(runs.diverged_at)),
        **{name: [_digits(v) for v in getattr(runs, name)] for name in ("test_score", "trivial", "floor")},
    }


def _digits(value: float) -> float | None:
    """Six significant digits: what a stored number is worth across machines. None where a run diverged."""
    return float(f"{value:.6g}") if np.isfinite(value) else None
