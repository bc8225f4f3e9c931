"""Claims with their source, settings, sides, measure and condition, read from a file and checked.

A value under test is a number or a name; or a table of fields that move together; or `{ one_of = [...] }`, values of
which tuning chooses one, so that ways of choosing can be compared. A table may hold ranges, `lr = { between =
[0.001, 1.0] }`: the search space of a side, of which a number of tries is trained.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from evidence.arms import Arm
from evidence.checks import CHECKS
from evidence.claim_word import CLAIMED, MODALITIES
from evidence.measures import MEASURES, Measure
from rnntips.errors import BadArgument, unknown_name
from rnntips.notebook.tips import ABOUT, UNTUNED
from rnntips.recipe import FIELDS, Recipe, typed, worded
from rnntips.tuning import tuning_grids
from rnntips.verdict import Scores

__all__ = ["ONE_OF", "Claim", "Setting", "choices_of", "claims_of", "ranges", "settings_of", "tries"]

ONE_OF = "one_of"
BETWEEN = "between"
COUNTED = ("momentum", "beta1", "beta2")  # fields of which 1 − value is spread evenly on a log scale, and not value
SIZES = ("small", "working")


@dataclass(frozen=True)
class Setting:
    """Data to train on, under a name of the plan's own, and recipe fields that belong to it."""

    on: str  # a name of `rnntips.tasks.settings.SETTINGS`
    fields: Mapping[str, Any] = field(default_factory=dict)
    size: str = "small"  # or "working": wide and long enough for real work, on fewer seeds
    smallest: float | None = None  # change that matters there, for claims that name none; None: the plan's


@dataclass(frozen=True)
class Claim:
    """One claim of a source, and the comparison that tests it."""

    id: str
    says: str
    source: str
    claimed: str  # a name in `evidence.claim_word.CLAIMED`
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
    tries: int = 12  # of each side's search space, where the measure looks at those
    reach: float = 0.5  # share of the way from naive to the floor, where the measure asks for one
    modality: str = "typically"  # how strongly the source says it, a name in `evidence.claim_word.MODALITIES`
    named: str | None = None  # for "can": the setting that decides
    checks: tuple[str, ...] = ()  # names in `evidence.checks.CHECKS`, beside `learned`
    places: Mapping[str, Setting] = field(default_factory=dict)  # settings that have fields of their own
    smallest_there: Mapping[str, float] = field(default_factory=dict)  # of settings that have their own

    @property
    def values(self) -> tuple:
        """What is compared: baseline and variant, or all of `among`."""
        return tuple(self.among) or (self.baseline, self.variant)

    @property
    def measured(self) -> Measure:
        return replace(MEASURES[self.measure], reach=self.reach)

    def size_of(self, setting: str) -> str:
        """`"small"` or `"working"`."""
        return self.places[setting].size if setting in self.places else "small"

    def smallest_in(self, setting: str) -> float:
        """The smallest change that matters in a setting."""
        return self.smallest_there.get(setting, self.smallest)

    def shown(self, value: Any) -> Any:
        """What a side with this value is called."""
        if _several(value) and len(value[ONE_OF]) > 1:
            return f"one of {', '.join(map(str, value[ONE_OF]))}"
        if self.field in (space := ranges(value)):
            return "{:g} to {:g}".format(*space[self.field])
        return worded(self.changes(value)[self.field])

    def changes(self, value: Any) -> dict[str, Any]:
        """The fields that a value stands for; a choice among several for none."""
        if _several(value):
            return {self.field: value[ONE_OF][0]} if len(value[ONE_OF]) == 1 else {}
        table = value if isinstance(value, Mapping) else {self.field: value}
        return {name: one for name, one in table.items() if name not in ranges(table)}

    @property
    def sides(self) -> list[Recipe]:
        """The recipes compared, on the first setting: there are values that mean nothing without what it adds."""
        start = self._start(self.settings[0])
        return [start.but(**typed(self.changes(value))) for value in self.values]

    def _start(self, setting: str) -> Recipe:
        """What all sides have there."""
        return self.recipe.but(**typed(self.places[setting].fields if setting in self.places else {}))

    @cached_property
    def _needed(self) -> dict[str, list[dict[Any, Arm]]]:
        return {setting: self._sides(setting) for setting in self.settings}

    def needs(self, setting: str) -> list[dict[Any, Arm]]:
        """For each value compared the sides to train there: learning rate or value → side, or None → the only one."""
        return self._needed[setting]

    def _sides(self, setting: str) -> list[dict[Any, Arm]]:
        start = self._start(setting)
        recipes = [start.but(**typed(self.changes(value))) for value in self.values]
        if self.measured.over == "both":
            rates = self.rates or tuning_grids("lr", *recipes)["lr"]
            return [{rate: Arm(recipe.but(lr=rate), UNTUNED) for rate in rates} for recipe in recipes]
        if self.measured.over == "tries":
            spaces = [tries(value, self.tries) for value in self.values]
            return [{tuple(one.items()): Arm(recipe.but(**one), UNTUNED) for one in space}
                    for recipe, space in zip(recipes, spaces, strict=True)]  # fmt: skip
        needed = []
        for recipe, value in zip(recipes, self.values, strict=True):
            if not _several(value):
                needed.append({None: Arm(recipe, self.tuned, self.choices, self.times)})
                continue
            options = tuple(typed({self.field: option})[self.field] for option in value[ONE_OF])
            if self.measured.over == "picks" or (self.measured.over == "baseline" and not needed):
                needed.append({option: Arm(recipe.but(**{self.field: option}), UNTUNED) for option in options})
            else:
                needed.append({None: Arm(recipe, self.field, options)})
        return needed

    def pair(self, setting: str, found: Mapping[Arm, Scores], chosen: tuple[int, int] = (0, -1)) -> tuple:
        """(baseline's, variant's) scores from those of all arms."""
        baseline, variant = (
            found[arms[None]] if None in arms else {value: found[one] for value, one in arms.items()}
            for arms in (self.needs(setting)[i] for i in chosen)
        )
        return self.measured.pair(baseline, variant)


def choices_of(plan: Mapping[str, Any], tuned: str) -> tuple:
    """The values that the plan lists for a field that is tuned; () if none."""
    return tuple(typed({tuned: value})[tuned] for value in plan.get("grids", {}).get(tuned, ()))


def settings_of(plan: Mapping[str, Any], known: Collection[str]) -> dict[str, Setting]:
    """The plan's own settings: name → data and fields; `on` names the data, unless they are called the same.

    Raises:
        BadArgument: Unknown data or fields, or no number of seeds for working size.
    """
    places = {}
    for name, given in plan.get("settings", {}).items():
        own = {key: value for key, value in given.items() if key not in ABOUT}
        place = Setting(given.get("on", name), own, given.get("size", "small"), given.get("smallest"))
        if place.on not in known:
            raise unknown_name(f"setting in on= of {name!r}", place.on, known)
        if place.size not in SIZES:
            raise unknown_name(f"size of {name!r}", place.size, SIZES)
        if place.size == "working" and "working" not in plan["seeds"]:
            raise BadArgument(f"{name!r} has working size: say under [seeds] how many it has, working = {{ tuning = 3, "
                              "first = 10 }.")  # fmt: skip
        Recipe(**typed(plan["recipe"])).but(**typed(own))
        places[name] = place
    return places


def claims_of(plan: Mapping[str, Any], known: Collection[str]) -> dict[str, Claim]:
    """Claim id → claim.

    Args:
        plan: As its file says; the claims' `measure`, `smallest` and `tuned` are the plan's unless they have their own.
        known: Names of data.

    Raises:
        BadArgument: An unknown name, or choices that do not fit together.
    """
    base, places = Recipe(**typed(plan["recipe"])), settings_of(plan, known)
    return {name: _claim(name, fields, base, plan, places, known) for name, fields in plan["claims"].items()}


def _claim(name: str, given: dict, base: Recipe, plan: Mapping, places: Mapping[str, Setting], known) -> Claim:
    given, named = dict(given), set(given)
    fixed = given.pop("recipe", {})
    measure = given.get("measure", plan.get("measure", "score"))
    if measure not in MEASURES:
        raise unknown_name("measure", measure, MEASURES)
    usual = {"baseline": None, "variant": None, "among": (), "condition": None, "measure": measure}
    usual["smallest"] = plan["smallest"] if measure == plan.get("measure") else MEASURES[measure].smallest
    usual["tuned"] = UNTUNED if MEASURES[measure].over in ("both", "tries") else plan.get("tuned", "lr")
    given = usual | given | {"recipe": base.but(**typed(fixed)), "settings": tuple(given["settings"])}
    given["checks"] = tuple(given.get("checks", ()))
    for key in given.keys() - Claim.__dataclass_fields__.keys():
        raise unknown_name(f"entry in {name}", key, Claim.__dataclass_fields__)
    given["rates"] = tuple(given.get("rates", choices_of(plan, "lr")))
    usual_measure = "smallest" not in named and measure == plan.get("measure", "score")
    there = {where: place.smallest for where, place in places.items() if place.smallest is not None and usual_measure}
    claim = Claim(id=name, choices=choices_of(plan, given["tuned"]), places=places, smallest_there=there, **given)
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
    if claim.modality not in MODALITIES:
        raise unknown_name(f"modality of {claim.id}", claim.modality, MODALITIES)
    for check in claim.checks:
        if check not in CHECKS:
            raise unknown_name(f"check of {claim.id}", check, CHECKS)
    if (claim.modality == "can") != (claim.named is not None) or claim.named not in (None, *claim.settings):
        raise _wrong(claim, "what can be, and it alone, needs named = ..., the one of its settings that decides")
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
    if claim.measured.over in ("both", "tries") and claim.tuned != UNTUNED:
        which = "learning rate" if claim.measured.over == "both" else "try"
        raise _wrong(claim, f'{claim.measure} looks at every {which}: leave tuned out, or write tuned = "none"')
    spaces = [ranges(value) for value in claim.values]
    if claim.measured.over == "tries" and not any(spaces):
        raise _wrong(claim, f"{claim.measure} needs a side with ranges, such as lr = {{ between = [0.001, 1.0] }}")
    if claim.measured.tried > claim.tries:
        raise _wrong(claim, f"{claim.measure} needs as many tries, and tries = {claim.tries}")
    for name, ends in [one for space in spaces for one in space.items()]:
        if not (len(ends) == 2 and ends[0] < ends[1] and (ends[1] < 1 if name in COUNTED else ends[0] > 0)):
            far = "below 1" if name in COUNTED else "above 0"
            raise _wrong(claim, f"{name} = {{ between = {list(ends)} }}: two ends are needed, the lower first, {far}")
    if claim.measured.over != "tries" and any(spaces):
        raise _wrong(claim, f"its sides have ranges, and {claim.measure} takes one value: use best of 3 tries")
    several = [_several(value) for value in claim.values]
    if claim.measured.over == "baseline" and not several[0]:
        raise _wrong(claim, f"{claim.measure} needs baseline = {{ one_of = [...] }}, the values that might be best")
    if claim.measured.over == "picks" and (claim.field != "lr" or not all(several)):
        raise _wrong(claim, f"{claim.measure} needs on both sides learning rates to pick from: {{ one_of = [...] }}")
    _check_fields(claim, fixed, several)


def _check_fields(claim: Claim, fixed: Mapping[str, Any], several: list[bool]) -> None:
    """That no field is given twice, and that the sides differ in the field under test."""
    tables = [dict(value) if isinstance(value, Mapping) else {claim.field: value}
              for value, one_of in zip(claim.values, several, strict=True) if not one_of]  # fmt: skip
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
        growing = [side.recipe for tried in needed for side in tried.values() if side.recipe.grow]
        if any(recipe.chunk for recipe in growing) and claim.measured.axes:
            raise _wrong(claim, f"{claim.measure} counts updates, and growing chunks make fewer: use tokens to target")
        if claim.measured.timed and growing:
            raise _wrong(claim, f"{claim.measure} needs updates that all take as long, and growing windows do not")


def _several(value: Any) -> bool:
    return isinstance(value, Mapping) and ONE_OF in value


def ranges(value: Any) -> dict[str, list[float]]:
    """The fields of a side that are ranges, with both ends."""
    table = value if isinstance(value, Mapping) else {}
    return {name: one[BETWEEN] for name, one in table.items() if isinstance(one, Mapping) and BETWEEN in one}


def tries(value: Mapping[str, Any], count: int) -> list[dict[str, float]]:
    """A search space's tries: each range is cut into `count` equal parts on a log scale, and the middle of each is
    tried once; the first range's in order, the others' in a fixed random order.

    Args:
        value: The fields of a side, some of them ranges; without one there is a single try, of nothing.
    """
    rng, found = np.random.default_rng(0), {}
    parts = (np.arange(count) + 0.5) / count
    for name, ends in ranges(value).items():
        low, high = (1 - end if name in COUNTED else end for end in ends)
        drawn = low * (high / low) ** (rng.permutation(parts) if found else parts)
        found[name] = [float(f"{1 - one if name in COUNTED else one:.3g}") for one in drawn]
    return [dict(zip(found, row, strict=True)) for row in zip(*found.values(), strict=True)] or [{}]


def _wrong(claim: Claim, why: str) -> BadArgument:
    return BadArgument(f"{claim.id}: {why}.")
