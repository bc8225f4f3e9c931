"""Tune a field alike for every arm (a baseline, its variants), and train the arms on the same seeds."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rnntips.errors import BadArgument, members, shown, unknown_name
from rnntips.jobs.execute import Resources, run_jobs
from rnntips.recipe import FIELDS, Recipe
from rnntips.runs import Runs, joined
from rnntips.tasks import Task
from rnntips.training import Job
from rnntips.verdict import cap

__all__ = ["TUNING_SEEDS", "Pick", "half_decades", "several", "train_arms", "tune_arms", "tuning_grids"]

LR_GRID = {"sgd": (-3, 0), "adagrad": (-3, 0), "adadelta": (-2, 1)}  # powers of ten, from and to
USUAL_GRID = -4, -1  # of the others
TUNING_SEEDS = range(10_000, 10_010)
STEEP = 1.1  # times the error at the best learning rate: where both neighbours err so much, the search goes on
WIDER = 4  # half-decades that a search goes beyond its first learning rates, on either side


def tuning_grids(tune: str | Mapping[str, Sequence] | None, *arms: Recipe) -> dict[str, list]:
    """Field → values to try. `"lr"` means learning rates in half-decades over the optimizer's usual range, where a
    search begins (`tune_arms`)."""
    if tune is None:
        return {}
    if isinstance(tune, Mapping) and len(tune) == 1:
        ((name, values),) = tune.items()
        tried = [getattr(arms[0].but(**{name: value}), name) for value in several(name, values)]
        return {name: list(dict.fromkeys(tried))}
    if not (isinstance(tune, str) and tune == "lr"):
        raise BadArgument(f'tune={shown(tune)}: "lr" is needed, or a dict with one field, {{"lr": [0.01, 0.03]}}.')
    lows, highs = zip(*(LR_GRID.get(arm.optimizer, USUAL_GRID) for arm in arms), strict=True)
    return {"lr": half_decades(min(lows), max(highs))}


def several(name: str, values: Iterable) -> list:
    """The values of a field, as a list.

    Raises:
        BadArgument: There is no such field, or no value.
    """
    if name not in FIELDS:
        raise unknown_name("field", name, FIELDS)
    if not (tried := members(values)):
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
    tried: tuple = ()  # learning rates that were tried, the lowest first; () for other fields


def tune_arms(
    arms: Sequence[Recipe], task: Task, grids: Mapping[str, list], how: Resources | None = None,
    seeds: Sequence[int] = TUNING_SEEDS, train: Callable[..., list[Runs]] | None = None,
    search: bool = False, shift: float = 0.0,
) -> list[Pick]:  # fmt: skip
    """For every arm the value with the lowest validation score, geometric mean over tuning seeds.

    With `search` the values are learning rates in half-decades, where a search begins: half-decades more until no pick
    lies at an end, quarter-decades around the pick, eighths where both neighbours err a tenth more, and of the parabola
    through the pick and its two neighbours (log error over log rate) the lowest point. Where a task is steep, coarser
    grids find differences between sides that are none (`evidence.simulation`).

    Args:
        train: A function to call in place of `train_arms`.
        shift: Decades by which the first learning rates are moved, so that two searches try different ones.
    """
    if len(grids) != 1:
        raise BadArgument(f"tune= takes one field, and {len(grids)} came ({', '.join(grids)}).")
    ((name, values),) = grids.items()
    scores: list[dict[Any, tuple[float, float]]] = [{} for _ in arms]

    def try_out(wanted: Sequence[Sequence]) -> None:
        asked = [(i, v) for i, some in enumerate(wanted) for v in some if v not in scores[i]]
        recipes = [arms[i].but(**{name: v}) for i, v in asked]
        for (i, v), runs in zip(
            asked, (train or train_arms)(recipes, task, list(seeds), how or Resources()), strict=True
        ):
            scores[i][v] = _tuning_score(runs)

    try_out([[_rate(np.log10(v) + shift) for v in values] if shift else values] * len(arms))
    if not search:
        return [Pick({name: pick}, tried[pick][0]) for tried in scores for pick in [_best(tried)]]
    for _ in range(WIDER):
        beyond = [[_rate(np.log10(end) + step) for end, step in ((min(tried), -0.5), (max(tried), 0.5))
                   if end == _best(tried)] for tried in scores]  # fmt: skip
        if not any(beyond):
            break
        try_out(beyond)
    try_out([_beside(tried, 0.25) for tried in scores])
    try_out([_beside(tried, 0.125) if _is_steep(tried) else [] for tried in scores])
    return [Pick({name: _lowest(tried)}, tried[_best(tried)][0], tuple(sorted(tried))) for tried in scores]


def _tuning_score(runs: Runs) -> tuple[float, float]:
    """Of one arm; among equals the mean that is not capped decides."""
    errors = runs.tuning_score
    capped = float(np.exp(np.log(cap(errors, runs.valid_naive)).mean()))
    return capped, float(np.nan_to_num(errors, nan=np.inf, posinf=np.inf).mean())


def _best(tried: Mapping[Any, tuple[float, float]]) -> Any:
    return min(tried, key=tried.get)


def _beside(tried: Mapping[float, Any], step: float) -> list[float]:
    """The learning rates so many decades below and above the best."""
    return [_rate(np.log10(_best(tried)) + side) for side in (-step, step)]


def _near(tried: Mapping[float, tuple[float, float]]) -> tuple[np.ndarray, np.ndarray]:
    """Log rates and log errors of the best learning rate and its neighbours, (3,) each; (2,) where it is at an end."""
    rates = sorted(tried)
    at = rates.index(_best(tried))
    near = rates[max(at - 1, 0) : at + 2]
    return np.log10(near), np.log([tried[rate][0] for rate in near])


def _is_steep(tried: Mapping[float, tuple[float, float]]) -> bool:
    """Whether both neighbours of the best learning rate err a tenth more."""
    return np.sort(_near(tried)[1])[1] - np.min(_near(tried)[1]) > np.log(STEEP)


def _lowest(tried: Mapping[float, tuple[float, float]]) -> float:
    """The vertex of the parabola through the best learning rate and its neighbours; itself if it lies at an end."""
    (x, y), best = _near(tried), _best(tried)
    if len(x) < 3:
        return best
    curve, slope, _ = np.polyfit(x - x[1], y, 2)
    return _rate(x[1] - slope / (2 * curve)) if curve > 1e-9 else best


def _rate(exponent: float) -> float:
    """Ten to this power, with three significant digits."""
    return float(f"{10**exponent:.3g}")


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
