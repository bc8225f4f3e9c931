"""Tuning a nuisance field alike for every side, and training sides on the same seeds."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rnntips.arguments import resolve_device
from rnntips.errors import BadArgument
from rnntips.evidence import cap
from rnntips.feed import sized
from rnntips.groups import AWAY, GROUP, ON_GPU, train_groups
from rnntips.recipe import Recipe
from rnntips.runs import Runs, joined
from rnntips.store import Store
from rnntips.training import train_stacks

__all__ = ["TUNING_SEEDS", "Pick", "half_decades", "train_sides", "tune_sides", "tuning_grids"]

LR_GRID = {"adam": (-4, -1), "rmsprop": (-4, -1), "sgd": (-3, 0)}  # decades, stepped through by halves
TUNING_SEEDS = range(10_000, 10_010)
MOST_AT_ONCE = 160  # runs in one stack, to bound memory, where nothing can be lost


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


def tune_sides(
    sides, task, grids, device="auto", stop=None, seeds=TUNING_SEEDS, train=None, widen=True, **how
) -> list[Pick]:
    """For every side the values with the lowest validation score, geometric mean over tuning seeds.

    `how` goes to `train_sides`: executor, store, done.

    A learning rate picked at the edge of a grid of half-decades widens it by two more, twice at most, if it may.
    """
    if len(grids) != 1:
        raise BadArgument(f"tune= takes one field, and {len(grids)} came ({', '.join(grids)}).")
    ((name, values),) = grids.items()
    scores: list[dict[Any, tuple[float, float]]] = [{} for _ in sides]
    for _ in range(3):
        wanted = [(i, v) for i in range(len(sides)) for v in values if v not in scores[i]]
        asked = [sides[i].but(**{name: v}) for i, v in wanted]
        found = (train or train_sides)(asked, task, list(seeds), device, stop, **how)
        for (i, v), runs in zip(wanted, found, strict=True):
            errors = runs.valid_score[:, -3:].mean(1)
            capped = float(np.exp(np.log(cap(errors, runs.valid_trivial)).mean()))
            scores[i][v] = (
                capped,
                float(np.nan_to_num(errors, nan=np.inf, posinf=np.inf).mean()),
            )  # ties: the uncapped one
        picks = [min(tried, key=tried.get) for tried in scores]
        if not widen or name != "lr":  # other fields may hold names, None or 0
            break
        edges = {edge for edge in (min(values), max(values)) if edge in picks}
        low, high = (round(2 * np.log10(edge)) / 2 for edge in (min(values), max(values)))
        if not edges or values != half_decades(low, high):  # a grid of the caller's own stays
            break
        values = half_decades(low - (min(values) in edges), high + (max(values) in edges))
    return [Pick({name: pick}, tried[pick][0]) for pick, tried in zip(picks, scores, strict=True)]


def train_sides(
    sides, task, seeds, device="auto", stop=None, record=None, *, executor=None, store=None, done=None
) -> list[Runs]:
    """Every side on every seed, one record a side: all training for studies and records goes through here.

    Args:
        record: An empty `Runs()` to watch, or one for each side if their shapes differ, which then train in turns;
            an exception is raised.
        executor, store: See `rnntips.study.compare`. With them runs train in small groups, so that little is lost
            with one; else in stacks of up to 160. On a GPU groups are as large as they come, whoever trains them.
        done: Called after each group with the number of its runs, and how many of them were not in the store.
    """
    store = store if store is None or isinstance(store, Store) else Store(store)
    device = resolve_device(device, away=executor is not None)  # "auto" is one device, whatever workers have
    sides = [sized(side, task) for side in sides]
    most = AWAY if executor is not None else GROUP if store is not None else MOST_AT_ONCE
    groups = _groups(sides, list(seeds), ON_GPU if device == "cuda" else most)
    work = [([sides[i] for i, _ in group], [seed for _, seed in group]) for group in groups]
    records = [record] if isinstance(record, Runs) else list(record or ())
    if record is None:
        found = train_groups(work, task, device, stop, executor, store, done)
    elif executor is None and store is None and len(work) == len(records):
        found = train_stacks(work, task, device=device, records=records, stop=stop)
    else:
        raise BadArgument(
            "record= is for training in this process, without executor= and store=, and with one record a shape: "
            f"{len(records)} came, and {len(work)} would be needed here."
        )
    rows = [[[row for row, (i, _) in enumerate(group) if i == side] for group in groups] for side in range(len(sides))]
    runs = [joined([f.only(some) for f, some in zip(found, mine, strict=True) if some]) for mine in rows]
    _bound_failures(runs)
    return runs


def _groups(sides: Sequence[Recipe], seeds: list[int], most: int) -> list[list[tuple[int, int]]]:
    """(side, seed) of all runs, those of one shape together, at most so many."""
    shapes, groups = [side.shape() for side in sides], []
    for shape in dict.fromkeys(shapes):
        alike = [(i, seed) for i, other in enumerate(shapes) if other == shape for seed in seeds]
        groups += [alike[first : first + most] for first in range(0, len(alike), most)]
    return groups


def _bound_failures(sides: Sequence[Runs]) -> None:
    """Give runs whose task failed the bounds of another side on the same seed; if there are none, no bounds matter."""
    for side in sides:
        for row in np.flatnonzero(np.isnan(side.trivial)):
            known = next((other for other in sides if np.isfinite(other.trivial[row])), None)
            for name, any_other in (("trivial", 1.0), ("floor", 0.0), ("valid_trivial", 1.0)):
                getattr(side, name)[row] = any_other if known is None else getattr(known, name)[row]
