"""Tune a field alike for every arm (a baseline, its variants), and train the arms on the same seeds."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rnntips.errors import BadArgument, shown, unknown_name
from rnntips.jobs.execute import Resources, run_jobs
from rnntips.recipe import FIELDS, Recipe
from rnntips.runs import Runs, joined
from rnntips.tasks import Task
from rnntips.training import Job
from rnntips.verdict import cap

__all__ = ["TUNING_SEEDS", "Pick", "half_decades", "several", "train_arms", "tune_arms", "tuning_grids"]

LR_GRID = {"adam": (-4, -1), "rmsprop": (-4, -1), "sgd": (-3, 0)}  # powers of ten, from and to
TUNING_SEEDS = range(10_000, 10_010)


def tuning_grids(tune: str | Mapping[str, Sequence] | None, *arms: Recipe) -> dict[str, list]:
    """Field → values to try. `"lr"` means learning rates in half-decades over the optimizer's usual range."""
    if tune is None:
        return {}
    if isinstance(tune, Mapping) and len(tune) == 1:
        ((name, values),) = tune.items()
        tried = [getattr(arms[0].but(**{name: value}), name) for value in several(name, values)]
        return {name: list(dict.fromkeys(tried))}
    if not (isinstance(tune, str) and tune == "lr"):
        raise BadArgument(f'tune={shown(tune)}: "lr" is needed, or a dict with one field, {{"lr": [0.01, 0.03]}}.')
    low = min(LR_GRID[arm.optimizer][0] for arm in arms)
    high = max(LR_GRID[arm.optimizer][1] for arm in arms)
    return {"lr": half_decades(low, high)}


def several(name: str, values: Iterable) -> list:
    """The values of a field, as a list.

    Raises:
        BadArgument: There is no such field, or no value.
    """
    if name not in FIELDS:
        raise unknown_name("field", name, FIELDS)
    if isinstance(values, str) or not isinstance(values, Iterable) or not (tried := list(values)):
        raise BadArgument(f"{name}={shown(values)}: a list of values is needed, for example {name}=[{FIELDS[name]!r}].")
    return tried


def half_decades(low: float, high: float) -> list[float]:
    """Learning rates from 10**low to 10**high in half-decades, with two significant digits."""
    return [float(f"{10**exponent:.2g}") for exponent in np.arange(low, high + 0.1, 0.5)]


@dataclass(frozen=True)
class Pick:
    """The values that tuning chose for an arm, and its validation score with them (geometric mean, capped at naive)."""

    values: dict[str, Any]
    score: float


def tune_arms(
    arms: Sequence[Recipe], task: Task, grids: Mapping[str, list], how: Resources | None = None,
    seeds: Sequence[int] = TUNING_SEEDS, train: Callable[..., list[Runs]] | None = None, widen: bool = True,
) -> list[Pick]:  # fmt: skip
    """For every arm the values with the lowest validation score, geometric mean over tuning seeds.

    With `widen`, a grid of half-decades gets two more learning rates at an edge that was picked, twice at most.

    Args:
        train: A function to call in place of `train_arms`.
    """
    if len(grids) != 1:
        raise BadArgument(f"tune= takes one field, and {len(grids)} came ({', '.join(grids)}).")
    ((name, values),) = grids.items()
    scores: list[dict[Any, tuple[float, float]]] = [{} for _ in arms]
    for _ in range(3):
        wanted = [(i, v) for i in range(len(arms)) for v in values if v not in scores[i]]
        asked = [arms[i].but(**{name: v}) for i, v in wanted]
        found = (train or train_arms)(asked, task, list(seeds), how or Resources())
        for (i, v), runs in zip(wanted, found, strict=True):
            errors = runs.tuning_score
            capped = float(np.exp(np.log(cap(errors, runs.valid_naive)).mean()))
            scores[i][v] = (
                capped,
                float(np.nan_to_num(errors, nan=np.inf, posinf=np.inf).mean()),
            )  # among equals the uncapped mean decides
        picks = [min(tried, key=tried.get) for tried in scores]
        if not widen or name != "lr":  # values of other fields may be names, None or 0
            break
        edges = {edge for edge in (min(values), max(values)) if edge in picks}
        low, high = (round(2 * np.log10(edge)) / 2 for edge in (min(values), max(values)))
        if not edges or values != half_decades(low, high):  # a grid given by the caller is not widened
            break
        values = half_decades(low - (min(values) in edges), high + (max(values) in edges))
    return [Pick({name: pick}, tried[pick][0]) for pick, tried in zip(picks, scores, strict=True)]


def train_arms(
    arms: Sequence[Recipe], task: Task, seeds: Sequence[int], how: Resources,
    record: Runs | Sequence[Runs] | None = None,
) -> list[Runs]:  # fmt: skip
    """Train every arm on every seed, one record an arm. All training of studies and evidence calls this function.

    Args:
        arms: As `rnntips.training.prepare` made them.
        record: An empty `Runs()` to fill while others look at it, or one for each shape among the arms.
    """
    groups = _grouped(arms, list(seeds), how.most)
    jobs = [Job([arms[i] for i, _ in group], [seed for _, seed in group], task, how.device) for group in groups]
    found = run_jobs(jobs, how, [record] if isinstance(record, Runs) else record and list(record))
    rows = [[[row for row, (i, _) in enumerate(group) if i == arm] for group in groups] for arm in range(len(arms))]
    return [joined([f.only(some) for f, some in zip(found, mine, strict=True) if some]) for mine in rows]


def _grouped(arms: Sequence[Recipe], seeds: list[int], most: int) -> list[list[tuple[int, int]]]:
    """The (arm, seed) pairs of all runs, in groups of one shape and of at most so many runs."""
    shapes, groups = [arm.shape() for arm in arms], []
    for shape in dict.fromkeys(shapes):
        alike = [(i, seed) for i, other in enumerate(shapes) if other == shape for seed in seeds]
        groups += [alike[first : first + most] for first in range(0, len(alike), most)]
    return groups
