"""The registry: each tip's plans (read from `data/plans`), settings, and stored record (`data/records`).

A plan is data: claims with their source, settings, one-field diff and condition, fixed before the runs.
"""

import json
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib import resources
from typing import Any

from rnntips import series
from rnntips.cells import GATES
from rnntips.errors import BadArgument, RnntipsError, unknown_name
from rnntips.evidence import percent
from rnntips.ledger import digest, fingerprint, freeze, fresh_seeds, versions
from rnntips.measures import MEASURES
from rnntips.recipe import Recipe
from rnntips.tasks import Forecast, Probe, characters, digits, forecast
from rnntips.tuning import TUNING_SEEDS, Pick, tuning_grids

__all__ = ["SETTINGS", "Claim", "Tip", "Tips"]

SETTINGS: dict[str, Callable[[], Forecast | Probe]] = {
    "demand": lambda: forecast(series.demand()),
    "demand, spiked": lambda: forecast(series.demand(), spikes=True),
    "CO2": lambda: forecast(series.co2()),
    "CO2, spiked": lambda: forecast(series.co2(), spikes=True),
    "weather": lambda: forecast(series.weather()),
    "sines": lambda: forecast(series.sines()),
    "sines as printed": lambda: forecast(series.sines_as_printed()),
    "digits": digits,
    "digits by rows": lambda: digits(rows=True),
    "characters": characters,
}


REPEATED = {True: "yes", False: "no", None: "–"}  # None: the first seeds decided nothing, or no fresh ones were tried


class Words(str):
    """Text that a notebook shows as Markdown and a terminal as it is."""

    def _repr_markdown_(self) -> str:
        return str(self)

    def __repr__(self) -> str:
        return str(self)


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
    smallest: float  # change that matters
    measure: str = "score"  # a name in MEASURES
    large: bool = False  # too much work for a CPU, and not counted as such

    @property
    def sides(self) -> list[Recipe]:
        """Every recipe this claim needs trained."""
        return [self.recipe.but(**{self.field: value}) for value in self.among or (self.baseline, self.variant)]


class Tip:
    """A named tip: its plan file, and what was found."""

    def __init__(self, name: str):
        self.name = name
        self.plan = tomllib.loads(_data(f"plans/{name}.toml"))
        self.question: str = self.plan["question"]

    def __repr__(self) -> str:
        return f"Tip({self.name!r}: {self.question})"

    @cached_property
    def plans(self) -> dict[str, Claim]:
        """Claim id → its plan."""
        base = Recipe(**self.plan["recipe"])
        return {name: _claim(name, fields, base, self.plan) for name, fields in self.plan["claims"].items()}

    @property
    def meaning(self) -> dict[str, Any]:
        """What a plan's hash stands for: the plan, the tasks' versions, and the data that its first seed sees."""
        tasks = {setting: SETTINGS[setting]() for setting in sorted(self.work())}
        data = {setting: digest(task.record(0).ravel()) for setting, task in tasks.items()}
        kinds: Any = {type(task).__name__: task.version for task in tasks.values()}
        if kinds.keys() == {Forecast.__name__}:  # as it was written when there were no others
            kinds = Forecast.version
        return {"plan": self.plan, "task": kinds, "data": data}

    @property
    def plan_hash(self) -> str:
        """Fingerprint of the plan's meaning; comments and layout do not count."""
        return fingerprint(self.meaning)

    @property
    def version(self) -> int | None:
        """Which of the ledger's versions the plan is; None until it is frozen."""
        return next((line["version"] for line in versions(self.name) if line["plan"] == self.plan_hash), None)

    def freeze(self) -> dict[str, Any]:
        """Write the plan into the ledger, unless it stands there; its line."""
        return freeze(self.name, self.meaning)

    def parts(self) -> dict[str, tuple[list[int], list[int]]]:
        """Part of the record → its tuning seeds and its seeds. Fresh ones follow from the plan's hash."""
        counts = self.plan["seeds"]
        fresh = fresh_seeds(self.plan_hash, counts["fresh"] + counts["tuning"])
        first = [TUNING_SEEDS[0] + i for i in range(counts["tuning"])], list(range(counts["first"]))
        return {"first": first, "fresh": (fresh[counts["fresh"] :], fresh[: counts["fresh"]])}

    @cached_property
    def record(self) -> dict[str, Any]:
        """The stored record, as `compute` made it.

        Raises:
            RnntipsError: None is stored.
        """
        try:
            return json.loads(_data(f"records/{self.name}.json"))
        except FileNotFoundError:
            raise RnntipsError(
                f"No record of {self.name} is stored. Compute it with `rnntips run {self.name} --retune --write`."
            ) from None

    @property
    def has_record(self) -> bool:
        """Whether a record is stored."""
        return resources.files("rnntips").joinpath(f"data/records/{self.name}.json").is_file()

    @property
    def words(self) -> dict[str, str]:
        """Claim id → the record's word."""
        return {claim["id"]: claim["word"] for claim in self.record["claims"]}

    @property
    def verdict(self) -> str:
        """The record's word on the tip's first claim."""
        return next(iter(self.words.values()))

    @cached_property
    def texts(self) -> dict[str, Any]:
        """What readers are told, claim by claim: a short title, and a sentence for each word the record may say."""
        return tomllib.loads(_data(f"texts/{self.name}.toml"))

    def rule(self) -> "Words":
        """The record in sentences, one paragraph a claim; filled in from its numbers."""
        return Words("\n\n".join(self._sentence(claim) for claim in self.record["claims"]))

    def _sentence(self, claim: Mapping[str, Any]) -> str:
        numbers = {name: percent(found["typical"]) for name, found in claim["settings"].items()}
        numbers |= {"typical": percent(claim["typical"]), "detectable": f"{100 * claim['detectable']:.0f} %"}
        kind = "DEPENDS" if claim["word"].startswith("DEPENDS") else claim["word"]
        said = self.texts[claim["id"]][kind].format_map(numbers)
        return said + (f" The first seeds had said: {claim['first'].lower()}." if claim["repeated"] is False else "")

    def table(self) -> "Words":
        """Every claim with its word, typical change, interval, number of seeds and repetition, in Markdown."""
        rows = [
            "| claim | source | what the record says | typical change in error | 95 % interval | seeds | repeated |",
            "|---|---|---|---|---|---|---|",
        ]
        for claim in self.record["claims"]:
            plan, (low, high) = self.plans[claim["id"]], (percent(value) for value in claim["interval"])
            cells = [plan.says, plan.source, f"**{claim['word'].lower()}**", percent(claim["typical"]),
                     f"{low} to {high}", str(claim["n"]), REPEATED[claim["repeated"]]]  # fmt: skip
            rows.append(f"| {' | '.join(cells)} |")
        said = f"Provisional: {self.record['provisional']}" if self.record["provisional"] else ""
        said = said or f"Plan version {self.record['version']} ({self.record['plan']})"
        return Words("\n".join(rows) + f"\n\n{said}.")

    def live(self) -> tuple[Recipe, Recipe, str]:
        """Baseline, variant and setting of the default live comparison."""
        live = self.plan["live"]
        base = Recipe(**self.plan["recipe"]).but(lr=live["lr"])
        return (
            base.but(**{live["field"]: live["baseline"]}),
            base.but(**{live["field"]: live["variant"]}),
            live["setting"],
        )

    def work(self, claims: Iterable[Claim] | None = None) -> dict[str, list[Recipe]]:
        """Setting → the recipes that its claims (all, if None) need, each once."""
        work: dict[str, list[Recipe]] = {}
        for claim in self.plans.values() if claims is None else claims:
            for setting in claim.settings:
                for side in claim.sides:
                    if side not in work.setdefault(setting, []):
                        work[setting].append(side)
        return work

    def pick(self, setting: str, side: Recipe, part: int = 0) -> Pick:
        """What tuning chose for this side when a part of the stored record was made.

        Raises:
            BadArgument: The record has no such side.
        """
        for stored in self.record["parts"][part]["settings"].get(setting, []) if self.has_record else []:
            if (stored["features"], stored["input_scaling"]) == (side.features, side.input_scaling):
                return Pick({"lr": stored["lr"]}, stored["tuning_score"])
        raise BadArgument(f"No learning rate is stored for {setting}, {side.input_scaling}. Use --retune.")

    def learning_rate(self, setting: str, side: Recipe) -> float:
        """The rate that tuning chose for this side, or the live default where none is stored."""
        try:
            return self.pick(setting, side).values["lr"]
        except BadArgument:
            return self.plan["live"]["lr"]

    def cost(self, claims: Iterable[Claim] | None = None) -> tuple[int, float]:
        """(runs, TFLOP) of the planned record, or of some claims; both parts and their tuning included."""
        runs, flop, counts = 0, 0.0, self.plan["seeds"]
        for setting, recipes in self.work(claims).items():
            task = SETTINGS[setting]()
            for recipe in recipes:
                example = task.examples(recipe, 0)
                each = 2 * len(tuning_grids("lr", recipe)["lr"]) * counts["tuning"] + counts["first"] + counts["fresh"]
                gates = GATES[recipe.cell] * recipe.width
                products = recipe.batch_size * example.steps * gates * (recipe.width + example.channels)
                runs += each
                flop += 3 * 2 * products * recipe.updates_for(len(example.of(0)), example.steps) * each
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


def _claim(name: str, fields: dict, base: Recipe, plan: Mapping) -> Claim:
    fields = dict(fields)
    recipe = base.but(**fields.pop("recipe", {}))
    usual = {"baseline": None, "variant": None, "among": (), "condition": None}
    usual |= {key: plan[key] for key in ("smallest", "measure")}
    claim = Claim(id=name, **usual | fields | {"recipe": recipe, "settings": tuple(fields["settings"])})
    for what, given, known in (
        *(("setting", s, SETTINGS) for s in claim.settings),
        ("measure", claim.measure, MEASURES),
    ):
        if given not in known:
            raise unknown_name(what, given, known)
    return claim
