"""Arms: what a record trains, what it keeps of it, and how that is found again.

An arm is known by what its recipe differs in from the plan's; what was tuned has no part in that.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rnntips.notebook.tips import UNTUNED
from rnntips.recipe import FIELDS, Parameters, Recipe, worded
from rnntips.runs import Runs
from rnntips.tuning import Pick, tuning_grids

__all__ = ["UNPICKED", "Arm", "described", "grid", "grouped", "kept", "pick_of", "same", "six_digits"]


@dataclass(frozen=True)
class Arm:
    """One recipe on one setting as a record trains it.

    Args:
        recipe: The setting's own fields included. The tuned field stands at its default, and says nothing.
        tuned: A field whose value tuning chooses, or `"none"`.
        choices: The values to choose from; (): the usual grid of the learning rate.
        times: It trains at so many times the value that tuning chose.
    """

    recipe: Recipe
    tuned: str = "lr"
    choices: tuple = ()
    times: float = 1.0

    def __post_init__(self):
        if self.tuned != UNTUNED:
            object.__setattr__(self, "recipe", self.recipe.but(**{self.tuned: FIELDS[self.tuned]}))

    def picked(self, pick: Pick) -> Recipe:
        """The recipe that is trained, once tuning has chosen."""
        if self.times == 1:
            return self.recipe.but(**pick.values)
        return self.recipe.but(**{name: self.times * value for name, value in pick.values.items()})


UNPICKED = Pick({}, np.nan)  # where nothing is tuned


def grouped(arms: Iterable[Arm]) -> dict[tuple[str, tuple], list[Arm]]:
    """Arms that are tuned together, by what is tuned and its values."""
    groups: dict[tuple[str, tuple], list[Arm]] = {}
    for arm in arms:
        groups.setdefault((arm.tuned, arm.choices), []).append(arm)
    return groups


def grid(arms: Sequence[Arm], narrow: bool = False) -> dict[str, list]:
    """Field → values that a group of `grouped` tries; nothing where nothing is tuned.

    Args:
        narrow: Begin a search with the middle of the usual learning rates, where runs are long.
    """
    tuned, choices = arms[0].tuned, arms[0].choices
    if tuned == UNTUNED:
        return {}
    if choices:
        return {tuned: list(choices)}
    usual = tuning_grids(tuned, *(arm.recipe for arm in arms))
    return {name: values[2:-1] if narrow else values for name, values in usual.items()}


def described(arms: Iterable[Arm], base: Recipe) -> list[str]:
    """The fields that some arm differs in from the plan's recipe: a record names them for every arm."""
    differ = {name for arm in arms for name in FIELDS
              if getattr(arm.recipe, name) != getattr(base, name) and name != arm.tuned}  # fmt: skip
    return [name for name in FIELDS if name in differ]


def kept(arm: Arm, names: Sequence[str], runs: Runs, pick: Pick, readings: Mapping[str, np.ndarray]) -> dict:
    """An arm as a record stores it: what it is, what was tuned, and its numbers, seed by seed."""
    entry = {name: worded(getattr(arm.recipe, name)) for name in names}
    entry |= {"units": runs.recipes[0].width} if isinstance(arm.recipe.width, Parameters) else {}
    entry |= {"tuned": {arm.tuned: list(arm.choices)} if arm.choices else arm.tuned, **pick.values}
    entry |= {"tried": [pick.tried[0], pick.tried[-1]]} if pick.tried else {}
    entry |= {"times": arm.times} if arm.times != 1 else {}
    entry |= {"tuning_score": six_digits(pick.score), "diverged": int(np.count_nonzero(runs.diverged_at))}
    entry |= {name: [six_digits(value) for value in getattr(runs, name)] for name in ("test_score", "naive", "floor")}
    numbers = {name: [six_digits(value) for value in values] for name, values in readings.items()}
    return entry | ({"readings": numbers} if numbers else {})


def same(entry: Mapping[str, Any], arm: Arm, base: Recipe) -> bool:
    """Whether a stored entry is this arm's."""
    if entry.get("times", 1) != arm.times:
        return False
    tuned = {arm.tuned: list(arm.choices)} if arm.choices else arm.tuned
    return entry["tuned"] == tuned and all(
        worded(getattr(arm.recipe, name)) == (entry[name] if name in entry else worded(getattr(base, name)))
        for name in FIELDS
        if name != arm.tuned
    )


def pick_of(entry: Mapping[str, Any], arm: Arm) -> Pick:
    """What tuning chose for an arm, from its stored entry."""
    score = entry["tuning_score"]
    values = {} if arm.tuned == UNTUNED else {arm.tuned: entry[arm.tuned]}
    return Pick(values, np.nan if score is None else score)


def six_digits(value: float) -> float | None:
    """Six significant digits: what a stored number is worth across machines. None where a run diverged."""
    return float(f"{value:.6g}") if np.isfinite(value) else None
