"""Plans: claims with their source, settings, sides, measure and condition, read from a file and checked.

A value under test is a number or a name; or a table of fields that move together; or `{ one_of = [...] }`, values of
which tuning chooses one, so that ways of choosing can be compared.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from rnntips.budget import Budget
from rnntips.cells import GATES
from rnntips.errors import BadArgument, unknown_name
from rnntips.feed import examples_of, sized
from rnntips.measures import MEASURES, Measure
from rnntips.recipe import Recipe
from rnntips.schedule import mean_length
from rnntips.sides import FIELDS, UNTUNED, Side, plain
from rnntips.tuning import tuning_grids
from rnntips.weights import Parameters
from rnntips.words import CLAIMED

__all__ = ["Claim", "Setting", "base_recipe", "choices_of", "claims_of", "settings_of", "typed", "updates_of",
           "work"]  # fmt: skip

ONE_OF = "one_of"


@dataclass(frozen=True)
class Setting:
    """Data to train on, under a name of the plan's own, and recipe fields that belong to it."""

    on: str  # a name of `rnntips.settings.SETTINGS`
    fields: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Claim:
    """One claim of a source, and the comparison that tests it."""

    id: str
    says: str
    source: str
    claimed: str  # a name in `rnntips.words.CLAIMED`
    settings: tuple[str, ...]
    field: str  # the field under test; sides are called by its value
    baseline: Any
    variant: Any
    among: tuple  # instead of baseline and variant: the best and the worst of these on tuning seeds
    condition: Mapping[str, str] | None
    recipe: Recipe
    smallest: float  # change that matters
    measure: str = "score"  # a name in MEASURES
    large: bool = False  # too much work for a CPU, and not counted as such
    tuned: str = "lr"  # the field that tuning chooses for each side, or "none"
    choices: tuple = ()  # its values; (): the usual grid of the learning rate
    times: float = 1.0  # each side trains at so many times the rate that tuning chose for it
    rates: tuple = ()  # learning rates, where the measure looks at each; (): the usual grid
    reach: float = 0.5  # share of the way from naive to the floor, where the measure asks for one
    places: Mapping[str, Setting] = field(default_factory=dict)  # settings that have fields of their own

    @property
    def values(self) -> tuple:
        """What is compared: baseline and variant, or all of `among`."""
        return tuple(self.among) or (self.baseline, self.variant)

    @property
    def measured(self) -> Measure:
        return replace(MEASURES[self.measure], reach=self.reach)

    def shown(self, value: Any) -> Any:
        """What a side with this value is called."""
        if not self.changes(value):
            return f"one of {', '.join(map(str, value[ONE_OF]))}"
        return plain(self.changes(value)[self.field])

    def changes(self, value: Any) -> dict[str, Any]:
        """The fields that a value stands for; a choice among several for none."""
        if _several(value):
            return {self.field: value[ONE_OF][0]} if len(value[ONE_OF]) == 1 else {}
        return dict(value) if isinstance(value, Mapping) else {self.field: value}

    @property
    def sides(self) -> list[Recipe]:
        """The recipes compared, on the first setting: there are values that mean nothing without what it adds."""
        start = self._start(self.settings[0])
        return [start.but(**typed(self.changes(value))) for value in self.values]

    def _start(self, setting: str) -> Recipe:
        """What all sides have there."""
        return self.recipe.but(**typed(self.places[setting].fields if setting in self.places else {}))

    @cached_property
    def _needed(self) -> dict[str, list[dict[Any, Side]]]:
        return {setting: self._sides(setting) for setting in self.settings}

    def needs(self, setting: str) -> list[dict[Any, Side]]:
        """For each value compared the sides to train there: learning rate or value → side, or None → the only one."""
        return self._needed[setting]

    def _sides(self, setting: str) -> list[dict[Any, Side]]:
        start = self._start(setting)
        recipes = [start.but(**typed(self.changes(value))) for value in self.values]
        if self.measured.over == "both":
            rates = self.rates or tuning_grids("lr", *recipes)["lr"]
            return [{rate: Side(recipe.but(lr=rate), UNTUNED) for rate in rates} for recipe in recipes]
        needed = []
        for recipe, value in zip(recipes, self.values, strict=True):
            if not _several(value):
                needed.append({None: Side(recipe, self.tuned, self.choices, self.times)})
                continue
            options = tuple(typed({self.field: option})[self.field] for option in value[ONE_OF])
            if self.measured.over == "baseline" and not needed:
                needed.append({option: Side(recipe.but(**{self.field: option}), UNTUNED) for option in options})
            else:
                needed.append({None: Side(recipe, self.field, options)})
        return needed

    def pair(self, setting: str, trained: Mapping[Side, Any], chosen: tuple[int, int] = (0, -1)) -> tuple:
        """(baseline's, variant's) records from those of all sides."""
        baseline, variant = (
            trained[side[None]] if None in side else {value: trained[one] for value, one in side.items()}
            for side in (self.needs(setting)[i] for i in chosen)
        )
        return self.measured.pair(baseline, variant)


def base_recipe(plan: Mapping[str, Any]) -> Recipe:
    """What all sides of a plan start from."""
    return Recipe(**typed(plan["recipe"]))


def choices_of(plan: Mapping[str, Any], tuned: str) -> tuple:
    """The values that the plan lists for a field that is tuned; () if none."""
    return tuple(typed({tuned: value})[tuned] for value in plan.get("grids", {}).get(tuned, ()))


def settings_of(plan: Mapping[str, Any], known: Collection[str]) -> dict[str, Setting]:
    """The plan's own settings: name → data and fields; `on` names the data, unless they are called the same.

    Raises:
        BadArgument: Unknown data or fields.
    """
    places = {}
    for name, given in plan.get("settings", {}).items():
        own = {key: value for key, value in given.items() if key != "on"}
        on = given.get("on", name)
        if on not in known:
            raise unknown_name(f"setting in on= of {name!r}", on, known)
        Recipe(**typed(own))
        places[name] = Setting(on, own)
    return places


def claims_of(plan: Mapping[str, Any], known: Collection[str]) -> dict[str, Claim]:
    """Claim id → claim.

    Args:
        plan: As its file says; the claims' `measure`, `smallest` and `tuned` are the plan's unless they have their own.
        known: Names of data.

    Raises:
        BadArgument: An unknown name, or choices that do not fit together.
    """
    base, places = base_recipe(plan), settings_of(plan, known)
    return {name: _claim(name, fields, base, plan, places, known) for name, fields in plan["claims"].items()}


def _claim(name: str, given: dict, base: Recipe, plan: Mapping, places: Mapping[str, Setting], known) -> Claim:
    given = dict(given)
    fixed = given.pop("recipe", {})
    measure = given.get("measure", plan.get("measure", "score"))
    if measure not in MEASURES:
        raise unknown_name("measure", measure, MEASURES)
    usual = {"baseline": None, "variant": None, "among": (), "condition": None, "measure": measure}
    usual["smallest"] = plan["smallest"] if measure == plan.get("measure") else MEASURES[measure].smallest
    usual["tuned"] = UNTUNED if MEASURES[measure].over == "both" else plan.get("tuned", "lr")
    given = usual | given | {"recipe": base.but(**typed(fixed)), "settings": tuple(given["settings"])}
    for key in given.keys() - Claim.__dataclass_fields__.keys():
        raise unknown_name(f"entry in {name}", key, Claim.__dataclass_fields__)
    given["rates"] = tuple(given.get("rates", choices_of(plan, "lr")))
    claim = Claim(id=name, choices=choices_of(plan, given["tuned"]), places=places, **given)
    _check(claim, fixed, known)
    return claim


def _check(claim: Claim, fixed: Mapping[str, Any], known: Collection[str]) -> None:
    """That a claim's parts are known, and fit together."""
    for setting in claim.settings:
        if setting not in {*known, *claim.places}:
            raise unknown_name("setting", setting, [*known, *claim.places])
    if claim.field not in FIELDS:
        raise unknown_name("field", claim.field, FIELDS)
    if claim.tuned != UNTUNED and claim.tuned not in FIELDS:
        raise unknown_name("field in tuned=", claim.tuned, [UNTUNED, *FIELDS])
    if claim.claimed not in CLAIMED:
        raise unknown_name(f"word in claimed= of {claim.id}", claim.claimed, CLAIMED)
    if (claim.claimed in ("LOWER", "HIGHER")) != (claim.measured.better == ""):
        fitting = "LOWER or HIGHER" if claim.measured.better == "" else "BETTER, WORSE or NO WORSE"
        raise _wrong(claim, f'claimed = "{claim.claimed}", and of {claim.measure} a claim says {fitting}')
    if claim.tuned not in ("lr", UNTUNED) and not claim.choices:
        raise _wrong(claim, f"{claim.tuned} is tuned, and the plan has no values to try: add it under [grids]")
    if claim.condition and set(claim.condition) != {"name", *claim.settings}:
        raise _wrong(claim, "its condition needs a name, and a level for each of its settings")
    if claim.times != 1 and (claim.tuned != "lr" or claim.measured.over or any(map(_several, claim.values))):
        raise _wrong(claim, "times = ... multiplies the learning rate that tuning chooses, and here it chooses none")
    if claim.among and (claim.tuned == UNTUNED or claim.measured.over):
        raise _wrong(claim, "among = [...] lets tuning name the best and the worst, and here nothing is tuned")
    if claim.measured.over == "both" and claim.tuned != UNTUNED:
        raise _wrong(claim, f'{claim.measure} looks at every learning rate: leave tuned out, or write tuned = "none"')
    several = [_several(value) for value in claim.values]
    if claim.measured.over == "baseline" and not several[0]:
        raise _wrong(claim, f"{claim.measure} needs baseline = {{ one_of = [...] }}, the values that might be best")
    _check_fields(claim, fixed, several)


def _check_fields(claim: Claim, fixed: Mapping[str, Any], several: list[bool]) -> None:
    """That no field is given twice, and that the sides differ in the field under test."""
    tables = [claim.changes(value) for value, one_of in zip(claim.values, several, strict=True) if not one_of]
    for table in tables:
        if claim.field not in table or set(table) != set(tables[0]):
            raise _wrong(claim, f"every side needs a value of {claim.field}, and the same fields as the others")
    under_test = {claim.field, *(name for table in tables for name in table)}
    if claim.tuned in under_test - ({claim.field} if all(several) else set()):
        raise _wrong(claim, f'{claim.tuned} is tuned, so it cannot be under test; write tuned = "none"')
    if claim.measured.over == "both" and "lr" in under_test:
        raise _wrong(claim, f"{claim.measure} looks at every learning rate, so lr cannot be under test")
    for setting in claim.settings:
        own = set(claim.places[setting].fields) if setting in claim.places else set()
        twice = (own & set(fixed)) | (own & under_test) | (set(fixed) & under_test)
        if twice:
            raise _wrong(claim, f"{', '.join(sorted(twice))} is given twice: by setting, recipe or sides; keep one")
    for setting in claim.settings:
        baseline, *_, variant = needed = claim.needs(setting)
        if baseline == variant:
            raise _wrong(claim, "its sides are equal")
        if claim.measured.timed and any(side.recipe.grow for tried in needed for side in tried.values()):
            raise _wrong(claim, f"{claim.measure} needs updates that all take as long, and growing windows do not")


def _several(value: Any) -> bool:
    return isinstance(value, Mapping) and ONE_OF in value


def _wrong(claim: Claim, why: str) -> BadArgument:
    return BadArgument(f"{claim.id}: {why}.")


def work(recipe: Recipe, task) -> float:
    """Floating-point operations of one run, about: products of the recurrent and dense layers, forward and back."""
    recipe, example = sized(recipe, task), examples_of(recipe, task, 0)
    inputs, gates, per_step = example.channels, GATES[recipe.cell] * recipe.width, 0
    for wide in recipe.dense:
        per_step, inputs = per_step + inputs * wide, wide
    for _ in range(recipe.layers):
        per_step, inputs = per_step + gates * (recipe.width + inputs), recipe.width
    per_window = (recipe.chunk or mean_length(recipe.grow, example.steps)) * per_step
    for wide in recipe.dense_after:
        answers = example.steps if example.loss_at == "every" else 1
        per_window, inputs = per_window + answers * inputs * wide, wide
    updates = updates_of(recipe, task)
    return 3 * 2.0 * recipe.batch_size * per_window * updates


def updates_of(recipe: Recipe, task) -> int:
    """How many updates a run of a recipe has on a task."""
    recipe, example = sized(recipe, task), examples_of(recipe, task, 0)
    return recipe.updates_for(len(example.of(0)), **example.sizes)


def typed(given: Mapping[str, Any]) -> dict[str, Any]:
    """Recipe fields from what a file can hold: `dense = [64, 32]`, `budget = "5 epochs"`, `width = "2000 parameters"`,
    `clip_norm = "none"`.

    Raises:
        BadArgument: A name that is no field, or a budget or width that cannot be read.
    """
    typed = dict(given)
    for name in typed.keys() - FIELDS.keys():
        raise unknown_name("field", name, FIELDS)
    typed |= {name: None for name, value in typed.items() if value == "none" and FIELDS[name] is None}
    for name in ("dense", "dense_after"):
        if isinstance(typed.get(name), list):
            typed[name] = tuple(typed[name])
    for name, example in (("budget", "5 epochs"), ("width", "2000 parameters")):
        if isinstance(typed.get(name), str):
            amount, _, of = typed[name].partition(" ")
            whole = amount.replace(".", "", of == "seconds")
            if not whole.isdigit() or (name == "width" and of != "parameters"):
                raise BadArgument(f'{name} = "{typed[name]}": an amount and its unit are needed, such as "{example}".')
            number = float(amount) if of == "seconds" else int(amount)
            typed[name] = Budget(number, of) if name == "budget" else Parameters(number)
    return typed
