"""The shared long run: which learning rate suits 300, 1,500 and 6,000 updates of one network on text.

It is no claim's test. Several lessons print learning rates to start with from it, by budget. The text is short: 6,000
updates read it sixty times, and the test error is then higher than after 1,500.
"""

from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np

from evidence import ledger
from evidence.arms import six_digits
from rnntips.jobs.execute import Resources, run_jobs
from rnntips.recipe import Recipe, worded
from rnntips.runs import joined
from rnntips.tasks import characters
from rnntips.training import Job
from rnntips.verdict import of_naive

__all__ = ["compute"]

RECIPE = Recipe(cell="lstm", width=128, past=64, batch_size=32)
BUDGETS = (300, 1500, 6000)  # updates; a decayed learning rate ends with its budget, so each is a training of its own
RATES = (0.0003, 0.001, 0.003, 0.01, 0.03)
SCHEDULES = {"constant": None, "decayed": "cosine"}
FIRST, FRESH = 3, 3  # seeds
TOGETHER = 4  # runs of a job: if a process is killed, its current job is lost


def compute(how: Resources, say: Callable[[str], None] = print) -> dict[str, Any]:
    """Every budget, schedule and learning rate on first and fresh seeds: test errors, in nats, and naive ones.

    Runs that are in the store of `how` are read from there.
    """
    sides = [RECIPE.but(lr=lr, schedule=schedule, updates=updates)
             for updates, schedule, lr in product(BUDGETS, SCHEDULES.values(), RATES)]  # fmt: skip
    recipes = [{name: worded(value) for name, value in side.chosen().items()} for side in sides]
    plan, task = ledger.fingerprint({"recipes": recipes, "first": FIRST}), characters()
    seeds = [*range(FIRST), *ledger.fresh_seeds(plan, FRESH)]
    entries = []
    for updates in BUDGETS:
        pairs = [pair for pair in product(sides, seeds) if pair[0].updates == updates]
        parts = [pairs[first : first + TOGETHER] for first in range(0, len(pairs), TOGETHER)]
        jobs = [Job([side for side, _ in part], [seed for _, seed in part], task, how.device) for part in parts]
        runs = joined(run_jobs(jobs, how))
        for schedule, lr in product(SCHEDULES, RATES):
            rows = [r for r, one in enumerate(runs.recipes) if (one.schedule, one.lr) == (SCHEDULES[schedule], lr)]
            errors, naive = runs.test_score[rows], runs.naive[rows]
            entries.append({"updates": updates, "schedule": schedule, "lr": lr,
                            "errors": [*map(six_digits, errors)], "naive": [*map(six_digits, naive)]})  # fmt: skip
            say(f"{updates:5} updates, {schedule:9} {lr:<7g} {of_naive(np.median(errors / naive))}")
    recipe = {name: worded(value) for name, value in RECIPE.chosen().items()}
    return {"plan": plan, "recipe": recipe, "setting": task.name, "unit": task.unit, "first seeds": seeds[:FIRST],
            "fresh seeds": seeds[FIRST:], "runs": entries}  # fmt: skip
