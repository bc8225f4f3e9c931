"""The registry: each tip's plans (read from `data/plans`), settings, and stored record (`data/records`).

A plan is data: claims with their source, settings, one-field diff and condition, fixed before the runs.
"""

import json
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from importlib import resources
from typing import Any

from rnntips.errors import BadArgument, RnntipsError, unknown_name
from rnntips.evidence import change, size
from rnntips.ledger import digest, fingerprint, freeze, fresh_seeds, versions
from rnntips.plans import Claim, base_recipe, choices_of, claims_of, settings_of, typed, updates_of, work
from rnntips.recipe import Recipe
from rnntips.settings import SETTINGS
from rnntips.sides import UNPICKED, UNTUNED, Side, grid, grouped, pick_of, same
from rnntips.tasks import Forecast
from rnntips.tuning import TUNING_SEEDS, Pick

__all__ = ["Claim", "Tip", "Tips"]

DATA = resources.files("rnntips").joinpath("data")

REPEATED = {True: "yes", False: "no", None: "–"}  # None: the first seeds decided nothing, or no fresh ones were tried


class Words(str):
    """Text that a notebook shows as Markdown and a terminal as it is."""

    def _repr_markdown_(self) -> str:
        return str(self)

    def __repr__(self) -> str:
        return str(self)


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
        return claims_of(self.plan, SETTINGS)

    @cached_property
    def base(self) -> Recipe:
        """What all sides of the plan start from."""
        return base_recipe(self.plan)

    def task(self, setting: str) -> Forecast:
        """What a setting of the plan trains on."""
        places = settings_of(self.plan, SETTINGS)
        return SETTINGS[places[setting].on if setting in places else setting]()

    def fields(self, setting: str) -> dict[str, Any]:
        """Recipe fields that a setting of the plan brings along."""
        places = settings_of(self.plan, SETTINGS)
        return dict(places[setting].fields) if setting in places else {}

    @property
    def meaning(self) -> dict[str, Any]:
        """What a plan's hash stands for: the plan, the tasks' versions, and the data that its first seed sees.

        What a claim measures otherwise than by the score, it may leave to the measure to say; that counts too.
        """
        usual = {claim.id: [claim.smallest, claim.reach] for claim in self.plans.values() if claim.measure != "score"}
        tasks = {setting: self.task(setting) for setting in sorted(self.work())}
        data = {setting: digest(task.record(0).ravel().tolist()) for setting, task in tasks.items()}
        kinds: Any = {type(task).__name__: task.version for task in tasks.values()}
        if kinds.keys() == {Forecast.__name__}:  # as it was written when there were no others
            kinds = Forecast.version
        meaning = {"plan": self.plan, "task": kinds, "data": data}
        meaning |= {"smallest and reach": usual} if usual else {}
        if seconds := self._in_seconds():
            meaning["seconds in updates"] = {
                f"{setting}: {recipe.batch_size}": updates_of(recipe, tasks[setting]) for setting, recipe in seconds
            }
        return meaning

    def _in_seconds(self) -> list[tuple[str, Recipe]]:
        """Settings and recipes whose budget is in seconds."""
        return [(setting, recipe) for setting, recipes in self.work().items() for recipe in recipes
                if recipe.budget is not None and recipe.budget.of == "seconds"]  # fmt: skip

    def timed(self) -> list[tuple[Recipe, Any, list[int]]]:
        """What must be timed for budgets in seconds: for every shape a recipe, its task and the batch sizes."""
        found: dict[tuple, tuple[Recipe, Any, list[int]]] = {}
        for setting, recipe in self._in_seconds():
            alike = setting, recipe.but(batch_size=1)
            found.setdefault(alike, (recipe, self.task(setting), []))[2].append(recipe.batch_size)
        return list(found.values())

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
        """Whether a record is stored, or this tip was given another."""
        return "record" in vars(self) or DATA.joinpath(f"records/{self.name}.json").is_file()

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
        numbers = {name: change(found["typical"], claim["unit"]) for name, found in claim["settings"].items()}
        numbers |= {"typical": change(claim["typical"], claim["unit"])}
        numbers |= {"detectable": size(claim["detectable"], claim["unit"])}
        kind = "DEPENDS" if claim["word"].startswith("DEPENDS") else claim["word"]
        said = self.texts[claim["id"]][kind].format_map(numbers)
        return said + (f" The first seeds had said: {claim['first'].lower()}." if claim["repeated"] is False else "")

    def table(self) -> "Words":
        """Every claim with its word, typical change, interval, number of seeds and repetition, in Markdown."""
        measured = {claim["what"] for claim in self.record["claims"]}
        what = next(iter(measured)) if len(measured) == 1 else ""
        rows = [
            f"| claim | source | what the record says | typical change{what and f' in {what}'} | 95 % interval | seeds "
            "| repeated |",
            "|---|---|---|---|---|---|---|",
        ]
        for claim in self.record["claims"]:
            plan, (low, high) = self.plans[claim["id"]], (change(value, claim["unit"]) for value in claim["interval"])
            typical = change(claim["typical"], claim["unit"]) + ("" if what else f" ({claim['what']})")
            cells = [plan.says, plan.source, f"**{claim['word'].lower()}**", typical,
                     f"{low} to {high}", str(claim["n"]), REPEATED[claim["repeated"]]]  # fmt: skip
            rows.append(f"| {' | '.join(cells)} |")
        said = f"Provisional: {self.record['provisional']}" if self.record["provisional"] else ""
        said = said or f"Plan version {self.record['version']} ({self.record['plan']})"
        return Words("\n".join(rows) + f"\n\n{said}.")

    def live(self) -> tuple[Recipe, Recipe, str]:
        """Baseline, variant and setting of the default live comparison."""
        live = self.plan["live"]
        base = self.base.but(**typed(self.fields(live["setting"]))).but(lr=live["lr"])
        values = (live[name] for name in ("baseline", "variant"))
        sides = (value if isinstance(value, Mapping) else {live["field"]: value} for value in values)
        baseline, variant = (base.but(**typed(side)) for side in sides)
        return baseline, variant, live["setting"]

    def live_sides(self) -> list[Side]:
        """Both sides of the live comparison as the record keeps them; untuned where the learning rate is under test."""
        *recipes, _ = self.live()
        tuned = "lr" if recipes[0].lr == recipes[1].lr else UNTUNED
        return [self._side(recipe, self.plan["live"].get("tuned", tuned)) for recipe in recipes]

    def _side(self, side: Side | Recipe, tuned: str = "lr") -> Side:
        """A recipe as a side of this plan."""
        return side if isinstance(side, Side) else Side(side, tuned, choices_of(self.plan, tuned))

    def sides(self, claims: Iterable[Claim] | None = None) -> dict[str, list[Side]]:
        """Setting → the sides to train that its claims (all, if None) need, each once."""
        needed: dict[str, dict[Side, None]] = {}
        for claim in self.plans.values() if claims is None else claims:
            for setting in claim.settings:
                for tried in claim.needs(setting):
                    needed.setdefault(setting, {}).update(dict.fromkeys(tried.values()))
        return {setting: list(sides) for setting, sides in needed.items()}

    def work(self, claims: Iterable[Claim] | None = None) -> dict[str, list[Recipe]]:
        """Setting → the recipes of these sides, each once."""
        return {setting: list(dict.fromkeys(side.recipe for side in sides))
                for setting, sides in self.sides(claims).items()}  # fmt: skip

    def stored(self, setting: str, side: Side | Recipe, part: int = 0) -> dict[str, Any] | None:
        """What a part of the stored record keeps of a side, None if nothing; a recipe is one whose rate was tuned."""
        side = self._side(side)
        if not self.has_record:
            return None
        entries, planned = self.record["parts"][part]["settings"].get(setting, []), self.sides().get(setting, [])
        return next((entry for entry in entries if same(entry, side, self.base, planned)), None)

    def pick(self, setting: str, side: Side | Recipe, part: int = 0) -> Pick:
        """What tuning chose for this side when a part of the stored record was made.

        Raises:
            BadArgument: The record has no such side.
        """
        side = self._side(side)
        if side.tuned == UNTUNED:
            return UNPICKED
        entry = self.stored(setting, side, part)
        if entry is None:
            called = {name: value for name, (_, value) in self.base.diff(side.recipe).items() if name != side.tuned}
            words = ", ".join(f"{name} {value}" for name, value in called.items()) or "the plan's own recipe"
            raise BadArgument(f"No {side.tuned} is stored for {setting}, {words}. Use --retune.")
        return pick_of(entry, side)

    def learning_rate(self, setting: str, side: Recipe) -> float:
        """The rate that tuning chose for this side, or the live default where none is stored; its own if untuned."""
        if self.live_sides()[0].tuned == UNTUNED:
            return side.lr
        try:
            return self.pick(setting, side).values["lr"]
        except BadArgument:
            return self.plan["live"]["lr"]

    def cost(self, claims: Iterable[Claim] | None = None) -> tuple[int, float]:
        """(runs, TFLOP) of the planned record, or of some claims; both parts and their tuning included."""
        runs, flop, counts = 0, 0.0, self.plan["seeds"]
        for setting, sides in self.sides(claims).items():
            for group in grouped(sides).values():
                tuning = 2 * sum(map(len, grid(group).values())) * counts["tuning"]
                task, recipes = self.task(setting), [side.recipe for side in group]
                for recipe in dict.fromkeys(recipes):
                    each = tuning + recipes.count(recipe) * (counts["first"] + counts["fresh"])
                    runs, flop = runs + each, flop + each * work(recipe, task)
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
        files = (file.name for file in DATA.joinpath("plans").iterdir())
        return sorted(name.removesuffix(".toml") for name in files if name.endswith(".toml"))


def _data(path: str) -> str:
    return DATA.joinpath(path).read_text(encoding="utf-8")
