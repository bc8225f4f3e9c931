"""What an update costs, timed side by side: for claims about time, which no run's own duration can answer.

A side trained in the morning and one trained at noon met different machines. So all sides have short turns one after
the other, round by round, and what is compared is compared within a round.
"""

import os
import platform
import time
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from math import ceil
from typing import Any

import numpy as np
import torch

from rnntips.engine.settings import own_settings
from rnntips.loader import examples_of, sized
from rnntips.recipe import Recipe
from rnntips.runs import Runs
from rnntips.training import Job, begin

__all__ = ["calibrate", "clocked", "cores_time", "machine", "milliseconds", "speeds_of"]

FILL = 0.06  # seconds that one side's turn lasts at least
SIDE_BY_SIDE = 20  # runs in one stack at most, as live comparisons have them


def cores_time() -> float:
    """Seconds of all cores at work for this process, so that what else the machine does now does not count."""
    return time.process_time() / (os.cpu_count() or 1)


def clocked(job: Job, evaluate: bool = False) -> list[float]:
    """Train a job, and read the clock before its first update and after each one.

    A GPU is waited for at the start, after the first update and after the last, whose times `milliseconds` needs.
    Waiting in between would take time that no training spends, so there the times say when an update was asked for.

    Args:
        evaluate: Whether its evaluations take place, and their time counts.
    """
    record, times = Runs(), [0.0]
    updates = begin(job, record)
    if not evaluate:
        record.evaluations = record.evaluations[:0]
    with own_settings():
        times[0] = time.perf_counter()
        for done in updates:
            if job.device == "cuda" and done in (1, record.updates):
                torch.cuda.synchronize()
            times.append(time.perf_counter())
        if evaluate:
            times[-1] = time.perf_counter()  # the last evaluation follows the last update
    return times


def milliseconds(times: Sequence[float]) -> float:
    """Of one update; the first is left out, since memory is new to it."""
    return (times[-1] - times[1]) * 1e3 / (len(times) - 2)


def calibrate(
    recipes: Sequence[Recipe],
    task,
    seeds: Sequence[int],
    device: str = "cpu",
    turn: Callable[[Recipe, int], float] | None = None,
) -> list[np.ndarray]:
    """Seconds of one run's update, for every recipe an array with one number a round, (n,); as many rounds as seeds.

    Whole updates, loader and optimizer included; evaluations and set-up are not. Ratios between recipes mean something,
    seconds only on the machine they were taken on. Every other round goes backwards, so that a machine that slows
    down steadily harms no side.

    Args:
        turn: (recipe, updates) → seconds of one update; by training if None.
    """
    stack = list(seeds)[:SIDE_BY_SIDE]

    def trained(recipe: Recipe, updates: int) -> float:
        job = Job([sized(recipe.but(updates=updates), task)] * len(stack), stack, task, device)
        return milliseconds(clocked(job)) / 1e3 / len(stack)

    turn = turn or trained
    lengths = []
    for recipe in recipes:
        turn(recipe, 3)  # what is compiled at first use is not counted
        lengths.append(2 + max(2, ceil(FILL / max(turn(recipe, 3) * len(stack), 1e-9))))
    rounds = np.empty((len(recipes), len(seeds)))
    for number in range(len(seeds)):
        order = range(len(recipes)) if number % 2 == 0 else reversed(range(len(recipes)))
        for i in order:
            rounds[i, number] = turn(recipes[i], lengths[i])
    return list(rounds)


def speeds_of(recipe: Recipe, task, sizes: Iterable[int], rounds: int = 11) -> dict[str, Any]:
    """A row of the calibration that budgets in seconds rest on, see `rnntips.engine.calibration.seconds_per_update`.

    The sizes halfway between those asked for are timed as well: between neighbours a budget follows the straight line.
    """
    asked = sorted(set(sizes))
    between = {round((a * b) ** 0.5) for a, b in pairwise(asked)}
    timed = sorted({*asked, *between})
    recipe = sized(recipe, task)
    recipes = [recipe.but(updates=1, batch_size=size) for size in timed]
    found = calibrate(recipes, task, range(rounds), device="cpu")
    example = examples_of(recipe, task, 0)
    shape = recipe.costs(**{name: value for name, value in example.sizes.items() if name != "skip"})
    seconds = {str(size): float(f"{np.median(each):.4g}") for size, each in zip(timed, found, strict=True)}
    return {"machine": machine(), "shape": shape, "seconds": seconds}


def machine(device: str = "cpu") -> str:
    """Where something was computed, in words. A GPU that workers elsewhere have is not known here."""
    if device == "cuda":
        return torch.cuda.get_device_name() if torch.cuda.is_available() else "a GPU elsewhere"
    return f"{platform.processor() or platform.machine()}, {platform.system()}"
