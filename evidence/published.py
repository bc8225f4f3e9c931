"""S2's experiment beside its record: training losses epoch by epoch, at the record's length or at S2's own.

The record says which side is better; this says how the losses fall, what an epoch takes, and how much memory.
"""

import resource
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from evidence.arms import six_digits
from evidence.plans import Plan
from evidence.timing import clocked, milliseconds
from rnntips.jobs.execute import Resources, run_jobs
from rnntips.notebook.tips import tips
from rnntips.recipe import Recipe, epochs
from rnntips.training import Job, prepare

__all__ = ["compute", "sides", "timed"]

SETTINGS = ("as printed", "repaired")
CHUNKS = 100  # of a sequence at first
TOGETHER = 2  # runs of a job: if a process is killed, its current job is lost
NAMES = {"sgd": "SGD", "rmsprop": "RMSprop", "adam": "Adam"}


def sides(setting: str, steps: int | None = None) -> dict[str, Recipe]:
    """The sides of S2's experiment by their names; with sequences of so many steps, None: the record's."""
    found = {}
    for arm in Plan(tips["long_sequences"]).arms()[setting]:
        recipe = arm.recipe
        if recipe.chunk and not recipe.grow:
            continue  # chunks of one length, which S2 does not have
        parts = [NAMES[recipe.optimizer], "clipped" * (recipe.clip_norm is not None), "schedule" * bool(recipe.grow)]
        name = ", ".join(filter(None, parts)) + " by tensor" * (recipe.clip == "tensor")
        if steps is not None:
            recipe = recipe.but(past=steps, chunk=recipe.chunk and steps // CHUNKS)
        found[name] = recipe
    return found


def compute(how: Resources, seeds: list[int], steps: int | None, count: int | None, say: Callable[[str], None]) -> dict:
    """Setting → side → training loss of every epoch: median, lowest and highest of the runs.

    Args:
        how: With a store, finished runs are read from there, and an interrupt loses one job.
        steps: Of a sequence; None: the record's.
        count: Epochs; None: the record's.
    """
    found: dict[str, Any] = {}
    for setting in SETTINGS:
        task, found[setting] = tips["long_sequences"].task(setting), {}
        for name, side in sides(setting, steps).items():
            (recipe,) = prepare([side if count is None else side.but(budget=epochs(count))], task, seeds)
            began = time.perf_counter()
            parts = [seeds[first : first + TOGETHER] for first in range(0, len(seeds), TOGETHER)]
            jobs = [Job([recipe] * len(part), part, task, how.device) for part in parts]
            losses = np.concatenate([runs.train_loss for runs in run_jobs(jobs, how)])
            losses = losses.reshape(len(losses), recipe.budget.amount, -1).mean(2)
            levels = {"low": losses.min(0), "median": np.median(losses, 0), "high": losses.max(0)}
            found[setting][name] = {which: [*map(six_digits, row)] for which, row in levels.items()}
            say(f"{setting:10} {name:25} loss {levels['median'][0]:.3f} → {levels['median'][-1]:.3f}, "
                f"{time.perf_counter() - began:.0f} s")  # fmt: skip
    return {"plan": Plan(tips["long_sequences"]).plan_hash, "seeds": seeds, "settings": found}


def timed(steps: int, say: Callable[[str], None]) -> None:
    """Say what an epoch of every side takes with sequences of so many steps: one run, one core, without evaluations."""
    for setting in SETTINGS:
        task = tips["long_sequences"].task(setting)
        for name, recipe in sides(setting, steps).items():
            each = CHUNKS if recipe.chunk else 1  # updates of an epoch
            times = clocked(Job([recipe.but(updates=2 * each + 1)], [0], task, "cpu"))
            seconds = milliseconds(times) * each / 1e3
            most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            say(f"{setting:10} {name:25} {seconds:7.2f} s an epoch, {seconds * 100 / 60:6.1f} minutes for 100; "
                f"most memory so far {most:,.0f} MB")  # fmt: skip
