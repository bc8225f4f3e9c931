"""Computing a tip's record: liveness, tuning, first seeds, findings. What `rnntips run` does."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from rnntips.evidence import Finding, interval, pooled, progress, word
from rnntips.recipe import Recipe
from rnntips.runs import Runs
from rnntips.study import Study
from rnntips.tips import SETTINGS, Claim, Tip
from rnntips.training import check_seeds
from rnntips.tuning import TUNING_SEEDS, Pick, train_sides, tune_sides, tuning_grids

__all__ = ["compute", "liveness"]


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
) -> dict[str, Any]:
    """A tip's record: every claim's finding, with the scores it rests on.

    Args:
        seeds: The plan's first seeds, 0 to n − 1, if None.
        retune: Choose learning rates anew instead of taking the stored record's.
    """
    seeds = check_seeds(range(tip.plan["seeds"]) if seeds is None else seeds)
    began = time.perf_counter()
    results: dict[str, dict[Recipe, Runs]] = {}
    picks: dict[str, dict[Recipe, Pick]] = {}
    for setting, sides in tip.work().items():
        task = SETTINGS[setting]()
        if retune:
            chosen = tune_sides(sides, task, tuning_grids("lr", *sides), device)
        else:
            chosen = [tip.pick(setting, side) for side in sides]
        picks[setting] = dict(zip(sides, chosen, strict=True))
        tuned = [side.but(**pick.values) for side, pick in picks[setting].items()]
        results[setting] = dict(zip(sides, train_sides(tuned, task, seeds, device), strict=True))
        say(f"{setting}: {len(sides)} sides, {time.perf_counter() - began:.0f} s so far")
    some = next(iter(next(iter(results.values())).values()))
    return {
        "tip": tip.name,
        "plan": tip.plan_hash,
        "provisional": "computed on the first seeds alone; fresh seeds have not been tried",
        "seeds": seeds,
        "seconds": round(time.perf_counter() - began),
        "versions": some.versions,
        "device": some.device,
        "claims": [_judge(claim, results, picks, tip.plan["smallest"]) for claim in tip.plans.values()],
        "settings": {
            setting: [_side(side, runs, picks[setting][side]) for side, runs in sides.items()]
            for setting, sides in results.items()
        },
    }


def _judge(claim: Claim, results: Mapping, picks: Mapping, smallest: float) -> dict[str, Any]:
    pairs, chosen = {}, {}
    for setting in claim.settings:
        sides = claim.sides
        if claim.among:
            sides = sorted(sides, key=lambda side: picks[setting][side].score)
        pairs[setting] = results[setting][sides[0]], results[setting][sides[-1]]
        chosen[setting] = {
            "baseline": getattr(sides[0], claim.field),
            "variant": getattr(sides[-1], claim.field),
        }
    study = Study(claim.sides[0], claim.sides[-1], pairs, smallest=smallest)
    overall, alone = study.finding, {setting: study.finding_in(setting) for setting in pairs}
    condition, gap = None, None
    if claim.condition:
        level = {setting: claim.condition[setting] for setting in pairs}
        first, second = dict.fromkeys(level.values())
        levels = [pooled([study.effects(s) for s in pairs if level[s] == which]) for which in (first, second)]
        gap = interval(levels[0] - levels[1])
        condition = (claim.condition["name"], level, gap)
    return {
        "id": claim.id,
        "word": word(claim.claimed, overall, alone, condition),
        **_numbers(overall),
        "gap": gap and [_digits(value) for value in gap],
        "settings": {setting: chosen[setting] | _numbers(finding) for setting, finding in alone.items()},
    }


def _numbers(finding: Finding) -> dict[str, Any]:
    fields = asdict(finding) | {"interval": [_digits(value) for value in finding.interval]}
    return fields | {name: _digits(fields[name]) for name in ("effect", "detectable")}


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
