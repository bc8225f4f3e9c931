"""The registry: each tip's plans (read from `data/plans`), settings, and stored record (`data/records`).

A plan is data: claims with their source, settings, one-field diff and condition, fixed before the runs.
"""

import hashlib
import json
import time
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from importlib import resources
from typing import Any

import numpy as np

from rnntips import series
from rnntips.cells import GATES
from rnntips.errors import BadArgument, unknown_name
from rnntips.evidence import Finding, effects, find, interval, pooled, progress, trained, word
from rnntips.recipe import Recipe
from rnntips.runs import Runs
from rnntips.study import TUNING_SEEDS, Pick, half_decades, train_sides, tune_sides
from rnntips.tasks import Forecast, forecast
from rnntips.training import check_seeds
from rnntips.windows import difference_lags

__all__ = ["SETTINGS", "Claim", "Tip", "Tips", "compute", "liveness"]

SETTINGS: dict[str, Callable[[], Forecast]] = {
    "demand": lambda: forecast(series.demand()),
    "demand, spiked": lambda: forecast(series.demand(), spikes=True),
    "CO2": lambda: forecast(series.co2()),
    "CO2, spiked": lambda: forecast(series.co2(), spikes=True),
    "sines": lambda: forecast(series.sines()),
    "sines as printed": lambda: forecast(series.sines_as_printed()),
}


@dataclass(frozen=True)
class Claim:
    """One claim of a source, and the comparison that tests it."""

    id: str
    says: str
    source: str
    claimed: str
    settings: tuple[str, ...]
    field: str
    baseline: Any
    variant: Any
    among: tuple  # instead of baseline and variant: the best and the worst of these on tuning seeds
    condition: Mapping[str, str] | None
    recipe: Recipe

    @property
    def sides(self) -> list[Recipe]:
        """Every recipe this claim needs trained."""
        return [self.recipe.but(**{self.field: value}) for value in self.among or (self.baseline, self.variant)]


class Tip:
    """A named tip: its plan file, and what was found."""

    def __init__(self, name: str):
        self.name = name
        self._source = _data(f"plans/{name}.toml")
        self.plan = tomllib.loads(self._source)
        self.question: str = self.plan["question"]

    def __repr__(self) -> str:
        return f"Tip({self.name!r}: {self.question})"

    @cached_property
    def plans(self) -> dict[str, Claim]:
        """Claim id → its plan."""
        base = Recipe(**self.plan["recipe"])
        return {name: _claim(name, fields, base) for name, fields in self.plan["claims"].items()}

    @property
    def plan_hash(self) -> str:
        """Fingerprint of the plan's meaning: comments and layout do not count, the tasks' versions do."""
        meaning = json.dumps([self.plan, Forecast.version], sort_keys=True)
        return hashlib.sha256(meaning.encode()).hexdigest()[:12]

    @cached_property
    def record(self) -> dict[str, Any]:
        """The stored record, as `compute` made it."""
        return json.loads(_data(f"records/{self.name}.json"))

    @property
    def words(self) -> dict[str, str]:
        """Claim id → the record's word."""
        return {claim["id"]: claim["word"] for claim in self.record["claims"]}

    @property
    def verdict(self) -> str:
        """The record's word on the tip's first claim."""
        return next(iter(self.words.values()))

    def live(self) -> tuple[Recipe, Recipe, str]:
        """Baseline, variant and setting of the default live comparison."""
        live = self.plan["live"]
        base = Recipe(**self.plan["recipe"]).but(lr=live["lr"])
        return (
            base.but(**{live["field"]: live["baseline"]}),
            base.but(**{live["field"]: live["variant"]}),
            live["setting"],
        )

    def cost(self, tuning: int = 5) -> tuple[int, float]:
        """(runs, TFLOP) of the planned record, tuning included."""
        runs, flop = 0, 0.0
        for recipes in _work(self).values():
            for recipe in recipes:
                grid = len(half_decades(-4, -1)) * tuning
                channels = max(1, difference_lags(recipe.features or "levels"))
                gates = GATES[recipe.cell] * recipe.width
                products = recipe.batch_size * recipe.past * gates * (recipe.width + channels)
                runs += grid + self.plan["seeds"]
                flop += 3 * 2 * products * recipe.updates * (grid + self.plan["seeds"])
        return runs, flop / 1e12


class Tips(Mapping):
    """Name → Tip, for every plan in the package."""

    def __getitem__(self, name: str) -> Tip:
        if name not in self._names():
            raise unknown_name("tip", name, self._names())
        return Tip(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._names())

    def __len__(self) -> int:
        return len(self._names())

    def __repr__(self) -> str:
        return "\n".join(f"{name:20} {self[name].question}" for name in self)

    @staticmethod
    def _names() -> list[str]:
        folder = resources.files("rnntips").joinpath("data/plans")
        return sorted(file.name.removesuffix(".toml") for file in folder.iterdir() if file.name.endswith(".toml"))


def _data(path: str) -> str:
    return resources.files("rnntips").joinpath("data", path).read_text(encoding="utf-8")


def _claim(name: str, fields: dict, base: Recipe) -> Claim:
    fields = dict(fields)
    recipe = base.but(**fields.pop("recipe", {}))
    usual = {"baseline": None, "variant": None, "among": (), "condition": None}
    claim = Claim(id=name, **usual | fields | {"recipe": recipe, "settings": tuple(fields["settings"])})
    for setting in claim.settings:
        if setting not in SETTINGS:
            raise unknown_name("setting", setting, SETTINGS)
    return claim


def _work(tip: Tip) -> dict[str, list[Recipe]]:
    """Setting → the recipes that its claims need, each once."""
    work: dict[str, list[Recipe]] = {}
    for claim in tip.plans.values():
        for setting in claim.settings:
            for side in claim.sides:
                if side not in work.setdefault(setting, []):
                    work[setting].append(side)
    return work


def liveness(tip: Tip, say: Callable[[str], None] = print) -> list[dict]:
    """For each setting and side: how far tuning seeds get from trivial (0) to the floor (1), at the tuned rate."""
    rows = []
    for setting, sides in _work(tip).items():
        task = SETTINGS[setting]()
        picks = tune_sides(sides, task, {"lr": half_decades(-4, -1)})
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
    for setting, sides in _work(tip).items():
        task = SETTINGS[setting]()
        if retune:
            chosen = tune_sides(sides, task, {"lr": half_decades(-4, -1)}, device)
        else:
            chosen = [_stored_pick(tip, setting, side) for side in sides]
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
    d, live, chosen = {}, {}, {}
    for setting in claim.settings:
        sides = claim.sides
        if claim.among:
            sides = sorted(sides, key=lambda side: picks[setting][side].score)
        pair = sides[0], sides[-1]
        baseline, variant = (results[setting][side] for side in pair)
        d[setting] = effects(variant.test_score, baseline.test_score, baseline.trivial)
        live[setting] = any(trained(r.test_score, r.trivial, r.floor) for r in (baseline, variant))
        chosen[setting] = {
            "baseline": getattr(pair[0], claim.field),
            "variant": getattr(pair[1], claim.field),
        }
    overall = find(pooled(list(d.values())), any(live.values()), smallest)
    alone = {setting: find(d[setting], live[setting], smallest) for setting in d}
    condition, gap = None, None
    if claim.condition:
        level = {setting: claim.condition[setting] for setting in d}
        first, second = dict.fromkeys(level.values())
        sides = [pooled([d[s] for s in d if level[s] == which]) for which in (first, second)]
        gap = interval(sides[0] - sides[1])
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


def _stored_pick(tip: Tip, setting: str, side: Recipe) -> Pick:
    for stored in tip.record["settings"].get(setting, []):
        if (stored["features"], stored["input_scaling"]) == (side.features, side.input_scaling):
            return Pick({"lr": stored["lr"]}, stored["tuning_score"])
    raise BadArgument(f"The stored record has no learning rate for {setting}, {side.input_scaling}. Use --retune.")


def _digits(value: float) -> float:
    """Six significant digits: what a stored number is worth across machines."""
    return float(f"{value:.6g}")
