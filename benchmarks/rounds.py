"""Fair timing on a machine that is never quite quiet: every round times every contestant.

A contestant is a function that returns the milliseconds of one update. What is compared is compared within
a round, and the median is taken over rounds.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from math import ceil
from statistics import median
from typing import Any

import torch

from benchmarks.peers import CLIP, LR, Size
from evidence.timing import clocked, milliseconds
from rnntips.recipe import Recipe
from rnntips.tasks import Task
from rnntips.training import Job

__all__ = ["Drawn", "alone", "contestant", "interleaved", "job", "medians", "ours", "ratio"]

FILL = 60.0  # milliseconds that one contestant's turn lasts at least
_OWN = ThreadPoolExecutor(1, initializer=torch.set_num_threads, initargs=(1,))


def alone(function: Callable, *arguments):
    """What the function returns, called in a thread of its own.

    A training sets torch's number of threads to one meanwhile; that is a thread's own setting, and changing it to and
    fro in the main thread would slow down the loop over torch modules.
    """
    return _OWN.submit(function, *arguments).result()


class Drawn:
    """A task whose windows are drawn and cut once for each seed, for recipes that would cut them alike.

    Else the set-up of two thousand runs would take longer than all that is to be timed.
    """

    def __init__(self, task: Task):
        self._task, self.examples, self.bounds = task, _once(task.examples), _once(task.bounds)

    def __getattr__(self, name: str):
        return getattr(self._task, name)


def _once(function: Callable) -> Callable:
    """The function of (recipe, seed, …), called once for each seed."""
    found = {}

    def known(recipe: Recipe, seed: int, *more):
        if seed not in found:
            found[seed] = function(recipe, seed, *more)
        return found[seed]

    return known


def job(cell: str, size: Size, task: Task, updates: int, device: str = "cpu", **fields: Any) -> Job:
    """The training of R runs; `fields` are further ones of their recipe."""
    recipe = Recipe(cell=cell, width=size.H, past=size.T, batch_size=size.B, lr=LR, clip_norm=CLIP, updates=updates)
    return Job([recipe.but(**fields)] * size.R, range(size.R), task, device)


def ours(
    cell: str, size: Size, task: Task, device: str = "cpu",
    under: Callable[[], AbstractContextManager] = nullcontext, **fields: Any,
) -> Callable[[], float]:  # fmt: skip
    """The engine as a contestant: whole updates, data loader and record included, set-up and evaluations not.

    Every turn is a training from its start to its end, in the context that `under` makes.
    """

    def turn(updates: int) -> float:
        with under():
            return milliseconds(alone(clocked, job(cell, size, task, updates, device, **fields)))

    turn(3)
    updates = 1 + max(2, ceil(FILL / turn(3)))
    return lambda: turn(updates)


def contestant(update: Callable[[], object], wait: Callable = lambda done: None) -> Callable[[], float]:
    """A function as a contestant: as many calls as fill a turn, after one that is not counted.

    A function that returns before its work is done needs `wait`, which is given what the last call returned and waits
    for it before the clock is read. In between, calls follow each other as in a training: 1, 1, 2, 4 and so on.
    """

    def turn() -> float:
        calls, began, taken = 0, time.perf_counter(), 0.0
        while taken < FILL or not calls:
            for _ in range(max(1, calls)):
                done = update()
            wait(done)
            calls, taken = calls + max(1, calls), (time.perf_counter() - began) * 1e3
        return taken / calls

    wait(update())
    return turn


def interleaved(contestants: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """Milliseconds of every contestant in every round."""
    times: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(rounds):
        for name, turn in contestants.items():
            times[name].append(turn())
    return times


def medians(times: Mapping) -> dict[str, float]:
    return {str(name): median(taken) for name, taken in times.items()}


def ratio(above: Sequence[float], below: Sequence[float]) -> float:
    """Median over the rounds of one contestant's time over another's."""
    return median(a / b for a, b in zip(above, below, strict=True))
