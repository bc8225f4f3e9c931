"""Tuning a nuisance field alike for every side, and training sides on the same seeds."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rnntips.errors import BadArgument
from rnntips.evidence import cap
from rnntips.recipe import Recipe
from rnntips.runs import Runs
from rnntips.training import train_stack

__all__ = ["TUNING_SEEDS", "Pick", "half_decades", "train_sides", "tune_sides", "tuning_grids"]

LR_GRID = {"adam": (-4, -1), "rmsprop": (-4, -1), "sgd": (-3, 0)}  # decades, stepped through by halves
TUNING_SEEDS = range(10_000, 10_010)
MOST_AT_ONCE = 160  # runs in one stack, to bound memory


def tuning_grids(tune: str | Mapping[str, Sequence] | None, *sides: Recipe) -> dict[str, list]:
    """Field → values to try. `"lr"` means half-decades over the optimizer's usual range."""
    if tune is None:
        return {}
    if isinstance(tune, Mapping):
        for name, values in tune.items():
            if not isinstance(values, Iterable) or not (tried := list(values)):
                raise BadArgument(f"tune={{{name!r}: {values!r}}}: a list of values to try is needed.")
            return {name: tried}
    if tune != "lr":
        raise BadArgument(f'tune={tune!r}: "lr" or a dict such as {{"{tune}": [value, value]}} is needed.')
    low = min(LR_GRID[side.optimizer][0] for side in sides)
    high = max(LR_GRID[side.optimizer][1] for side in sides)
    return {"lr": half_decades(low, high)}


def half_decades(low: float, high: float) -> list[float]:
    """10**low … 10**high in half-decades, two significant digits."""
    return [float(f"{10**exponent:.2g}") for exponent in np.arange(low, high + 0.1, 0.5)]


@dataclass(frozen=True)
class Pick:
    """What tuning chose for one side, and its validation score there (geometric mean, capped)."""

    values: dict[str, Any]
    score: float


def tune_sides(sides, task, grids, device="auto", stop=None, seeds=TUNING_SEEDS, train=None) -> list[Pick]:
    """For every side the values with the lowest validation score, geometric mean over tuning seeds.

    A learning rate picked at the edge of a grid of half-decades widens it by two more, twice at most.
    """
    if len(grids) != 1:
        raise BadArgument(f"tune= takes one field, and {len(grids)} came ({', '.join(grids)}).")
    ((name, values),) = grids.items()
    scores: list[dict[Any, tuple[float, float]]] = [{} for _ in sides]
    for _ in range(3):
        wanted = [(i, v) for i in range(len(sides)) for v in values if v not in scores[i]]
        found = (train or train_sides)(
            [sides[i].but(**{name: v}) for i, v in wanted], task, list(seeds), device, stop, None
        )
        for (i, v), runs in zip(wanted, found, strict=True):
            errors = runs.valid_score[:, -3:].mean(1)
            capped = float(np.exp(np.log(cap(errors, runs.valid_trivial)).mean()))
            scores[i][v] = (
                capped,
                float(np.nan_to_num(errors, nan=np.inf, posinf=np.inf).mean()),
            )  # ties: the uncapped one
        picks = [min(tried, key=tried.get) for tried in scores]
        edges = {edge for edge in (min(values), max(values)) if edge in picks}
        low, high = (round(2 * np.log10(edge)) / 2 for edge in (min(values), max(values)))
        if name != "lr" or not edges or values != half_decades(low, high):  # a grid of the caller's own stays
            break
        values = half_decades(low - (min(values) in edges), high + (max(values) in edges))
    return [Pick({name: pick}, tried[pick][0]) for pick, tried in zip(picks, scores, strict=True)]


def train_sides(sides, task, seeds, device="auto", stop=None, record=None) -> list[Runs]:
    """Every side on every seed, one record a side. Sides of one shape train in one stack."""
    found: list[Runs | None] = [None] * len(sides)
    shapes = [side.shape() for side in sides]
    for shape in dict.fromkeys(shapes):
        alike = [i for i, other in enumerate(shapes) if other == shape]
        at_once = max(1, MOST_AT_ONCE // len(seeds))
        for first in range(0, len(alike), at_once):
            some = alike[first : first + at_once]
            if record is not None and len(some) < len(sides):
                raise BadArgument("record= can watch one stack, and these sides need more than one.")
            recipes = [sides[i] for i in some for _ in seeds]
            stack = train_stack(recipes, task, list(seeds) * len(some), device=device, stop=stop, record=record)
            for k, i in enumerate(some):
                found[i] = stack.only(range(k * len(seeds), (k + 1) * len(seeds)))
    return found
