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

import torch

from rnntips.bench.peers import CLIP, LR, Size
from rnntips.recipe import Recipe
from rnntips.timing import Timed, Undisturbed
from rnntips.training import train

__all__ = ["Drawn", "Timed", "Undisturbed", "alone", "clocked", "interleaved", "ours", "ratio", "timed_training"]

FILL = 60.0  # milliseconds that one contestant's turn lasts at least
_OWN = ThreadPoolExecutor(1, initializer=torch.set_num_threads, initargs=(1,))


def alone(function: Callable) -> Callable:
    """The function in a thread of its own.

    `train` sets torch's number of threads to one meanwhile; that is a thread's own setting, and changing it to and
    fro in the main thread would slow down the loop over torch modules.
    """
    return lambda: _OWN.submit(function).result()


class Drawn:
    """A task whose windows are drawn and cut once for each seed, for recipes that would cut them alike.

    Else the set-up of two thousand runs would take longer than all that is to be timed.
    """

    def __init__(self, task):
        self._task, self._found = task, {}

    def __getattr__(self, name: str):
        return getattr(self._task, name)

    def examples(self, recipe: Recipe, seed: int):
        return self._once("examples", recipe, seed)

    def bounds(self, recipe: Recipe, seed: int):
        return self._once("bounds", recipe, seed)

    def _once(self, what: str, recipe: Recipe, seed: int):
        if (what, seed) not in self._found:
            self._found[what, seed] = getattr(self._task, what)(recipe, seed)
        return self._found[what, seed]


def timed_training(cell: str, size: Size, on, updates: int, device: str = "cpu", record: type[Timed] = Undisturbed):
    """A finished record of R runs trained on `on`."""
    recipe = Recipe(cell=cell, width=size.H, past=size.T, batch_size=size.B, lr=LR, clip_norm=CLIP, updates=updates)
    return train(recipe, on, range(size.R), device=device, record=record())


def ours(
    cell: str, size: Size, on, device: str = "cpu", under: Callable[[], AbstractContextManager] = nullcontext
) -> Callable[[], float]:
    """`train` as a contestant: whole updates, feed and record included, set-up and evaluations not.

    Every turn is a training from its start to its end, in the context that `under` makes.
    """

    def turn(updates: int) -> float:
        with under():
            return alone(lambda: timed_training(cell, size, on, updates, device))().milliseconds

    turn(3)
    updates = 1 + max(2, ceil(FILL / turn(3)))
    return lambda: turn(updates)


def clocked(update: Callable[[], object], wait: Callable[[object], object] | None = None) -> Callable[[], float]:
    """A function as a contestant: as many calls as fill a turn, after one that is not counted.

    A function that returns before its work is done needs `wait`, which is given what the last call returned and waits
    for it before the clock is read. In between, calls follow each other as in a training: 1, 1, 2, 4 and so on.
    """

    def several(calls: int) -> None:
        for _ in range(calls):
            done = update()
        if wait is not None:
            wait(done)

    def turn() -> float:
        calls, began, taken = 0, time.perf_counter(), 0.0
        while not calls or taken < FILL:
            more = max(1, calls) if wait else 1
            several(more)
            calls, taken = calls + more, (time.perf_counter() - began) * 1e3
        return taken / calls

    several(1)
    return turn


def interleaved(contestants: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """Milliseconds of every contestant in every round."""
    times: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(rounds):
        for name, turn in contestants.items():
            times[name].append(turn())
    return times


def ratio(above: Sequence[float], below: Sequence[float]) -> float:
    """Median over the rounds of one contestant's time over another's."""
    return median(a / b for a, b in zip(above, below, strict=True))
