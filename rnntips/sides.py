"""Sides: what a record trains, what it keeps of it, and how that is found again.

A side is known by what its recipe differs in from the plan's; what was tuned has no part in that.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from rnntips.budget import Budget
from rnntips.recipe import Recipe
from rnntips.runs import Runs
from rnntips.tuning import Pick, tuning_grids
from rnntips.weights import Parameters

__all__ = ["UNPICKED", "UNTUNED", "Side", "described", "digits", "grid", "grouped", "kept", "pick_of", "plain",
           "restored", "same"]  # fmt: skip

UNTUNED = "none"
FIELDS = {field.name: field.default for field in fields(Recipe)}
SCORES = ("test_score", "trivial", "floor")
FIRST = ("features", "input_scaling")  # all that records named of a side before they said what was tuned


@dataclass(frozen=True)
class Side:
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


def grouped(sides: Iterable[Side]) -> dict[tuple[str, tuple], list[Side]]:
    """Sides that are tuned together, by what is tuned and its values."""
    groups: dict[tuple[str, tuple], list[Side]] = {}
    for side in sides:
        groups.setdefault((side.tuned, side.choices), []).append(side)
    return groups


def grid(sides: Sequence[Side]) -> dict[str, list]:
    """Field → values that a group of `grouped` tries; nothing where nothing is tuned."""
    tuned, choices = sides[0].tuned, sides[0].choices
    if tuned == UNTUNED:
        return {}
    return {tuned: list(choices)} if choices else tuning_grids(tuned, *(side.recipe for side in sides))


def plain(value: Any) -> Any:
    """A recipe's value as JSON has it: a budget or a number of parameters in words, a tuple as a list."""
    return repr(value) if isinstance(value, Budget | Parameters) else list(value) if isinstance(value, tuple) else value


def described(sides: Iterable[Side], base: Recipe) -> list[str]:
    """The fields that some side differs in from the plan's recipe: a record names them for every side."""
    differ = {name for side in sides for name in FIELDS
              if getattr(side.recipe, name) != getattr(base, name) and name != side.tuned}  # fmt: skip
    return [name for name in FIELDS if name in differ]


def kept(side: Side, names: Sequence[str], runs: Runs, pick: Pick, readings: Mapping[str, np.ndarray]) -> dict:
    """A side as a record stores it: what it is, what was tuned, and its numbers, seed by seed."""
    entry = {name: plain(getattr(side.recipe, name)) for name in names}
    entry |= {"units": runs.recipes[0].width} if isinstance(side.recipe.width, Parameters) else {}
    entry |= {"tuned": {side.tuned: list(side.choices)} if side.choices else side.tuned, **pick.values}
    entry |= {"times": side.times} if side.times != 1 else {}
    entry |= {"tuning_score": digits(pick.score), "diverged": int(np.count_nonzero(runs.diverged_at))}
    entry |= {name: [digits(value) for value in getattr(runs, name)] for name in SCORES}
    numbers = {name: [digits(value) for value in values] for name, values in readings.items()}
    return entry | ({"readings": numbers} if numbers else {})


def same(entry: Mapping[str, Any], side: Side, base: Recipe, planned: Sequence[Side]) -> bool:
    """Whether a stored entry is this side's.

    The first records did not say what was tuned, and named two fields; those tell the planned sides apart.
    """
    if "tuned" not in entry:
        alike = all(entry[name] == getattr(side.recipe, name) for name in FIRST)
        return alike and side.tuned == "lr" and side in planned
    if entry.get("times", 1) != side.times:
        return False
    tuned = {side.tuned: list(side.choices)} if side.choices else side.tuned
    return entry["tuned"] == tuned and all(
        plain(getattr(side.recipe, name)) == (entry[name] if name in entry else plain(getattr(base, name)))
        for name in FIELDS
        if name != side.tuned
    )


def pick_of(entry: Mapping[str, Any], side: Side) -> Pick:
    """What tuning chose for a side, from its stored entry."""
    score = entry["tuning_score"]
    values = {} if side.tuned == UNTUNED else {side.tuned: entry[side.tuned]}
    return Pick(values, np.nan if score is None else score)


def restored(recipe: Recipe, *entries: Mapping[str, Any]) -> Runs:
    """Runs with no more in them than a record keeps of a side; those of several parts in a row."""
    score, trivial, floor = (_joined(entries, lambda entry, name=name: entry[name]) for name in SCORES)
    n, names = len(score), entries[0].get("readings", {})
    return Runs((recipe,) * n, seeds=np.arange(n), test_scores=score[:, None], trivial=trivial, floor=floor,
                train_loss=np.zeros((n, 1)), reached=1,
                readings={name: _joined(entries, lambda entry, name=name: entry["readings"][name])
                          for name in names})  # fmt: skip


def _joined(entries, numbers) -> np.ndarray:
    return np.array([value for entry in entries for value in numbers(entry)], dtype=float)  # None becomes NaN


def digits(value: float) -> float | None:
    """Six significant digits: what a stored number is worth across machines. None where a run diverged."""
    return float(f"{value:.6g}") if np.isfinite(value) else None
