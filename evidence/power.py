"""Whether a plan can find out what it asks, before it is frozen: its power, and what it costs."""

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from evidence.arms import same
from evidence.claim_word import setting_verdict, word
from evidence.claims import Claim
from evidence.plans import Plan
from evidence.timing import calibrate, cores_time
from rnntips.loader import examples_of, sized, updates_of
from rnntips.recipe import FIELDS, Recipe
from rnntips.runs import Runs
from rnntips.training import Job, begin
from rnntips.verdict import RATIOS, cap

__all__ = ["minutes", "obstacles", "shares", "spread"]

MOST_MINUTES = {"core": 25, "short": 10}  # of a lesson's record, by its form, on two cores
LONG = 256  # steps of a sequence: beyond it an update of two runs is enough to be timed
READ = {"score": np.log, "wrong answers": lambda error: 100 * error}  # measures of errors → what is compared of them
ENOUGH = 0.8  # of records, for either word
ROUNDS = 300


def minutes(plan: Plan) -> float:
    """What the record takes on this machine: an update of every kind is timed, and counted as often as it will be made.

    By the processor's time over the number of cores, so that whatever else the machine does now does not count.
    """
    total = 0.0
    for setting in plan.arms():
        task = plan.tip.task(setting)
        long = max(examples_of(recipe, task, 0).steps for recipe in plan.work()[setting]) > LONG
        seeds = range(max(2, os.cpu_count() or 1) if long else 20)

        def turn(recipe: Recipe, updates: int, task=task, seeds=seeds) -> float:
            record = Runs()
            run = begin(Job([sized(recipe.but(updates=updates + 1), task)] * len(seeds), seeds, task, "cpu"), record)
            record.evaluations = record.evaluations[:0]
            next(run)
            began = cores_time()
            for _ in run:
                pass
            return (cores_time() - began) / updates / len(seeds)

        planned: Counter[Recipe] = Counter()
        for where, recipe, runs in plan.planned():
            if where == setting:
                # two that cost no time, and one whose updates cost what others do
                planned[recipe.but(lr=FIELDS["lr"], schedule=None, pretrain=None)] += runs
        seconds = calibrate(list(planned), task, range(3), turn=turn)
        total += sum(runs * updates_of(recipe, task) * float(np.median(one))
                     for (recipe, runs), one in zip(planned.items(), seconds, strict=True))  # fmt: skip
    return total / 60


def shares(claim: Claim, spreads: Mapping[str, float], seeds: Mapping[str, int]) -> tuple[float, float]:
    """Shares of made-up records with the word NO DIFFERENCE where there is none, and with SUPPORTED where the variant
    is as claimed by twice the smallest difference.

    Args:
        spreads: Setting → standard deviation of the paired effects there, log ratios or differences.
        seeds: Setting → first seeds, and as many fresh ones.
    """
    sign = -1 if claim.claimed in ("BETTER", "NO WORSE", "LOWER") else 1
    rng, found = np.random.default_rng(0), []
    for times in (0, 2 * sign):
        said = [_drawn(claim, spreads, seeds, times, rng) for _ in range(ROUNDS)]
        right = ("SUPPORTED",) if times or claim.claimed == "NO WORSE" else ("NO DIFFERENCE",)
        found.append(float(np.mean([one.startswith(right) for one in said])))
    return found[0], found[1]


def _drawn(claim: Claim, spreads: Mapping[str, float], seeds: Mapping[str, int], times: float, rng) -> str:
    verdicts = {}
    for setting in claim.settings:
        smallest = claim.smallest_in(setting)
        effect = times * smallest
        if claim.measured.unit in RATIOS:
            effect = np.sign(times) * np.log1p(abs(effect))
        d = effect + spreads[setting] * rng.standard_normal((2, seeds[setting]))
        together, *alone = (claim.measured.find(some, True, smallest) for some in (d, d[:1], d[1:]))
        verdicts[setting] = setting_verdict(claim.claimed, together, alone)
    return word(claim.claimed, verdicts, claim.condition, claim.modality, claim.named)


def spread(claim: Claim, plan: Plan, setting: str, rows: Sequence[Mapping[str, Any]]) -> float:
    """The largest standard deviation of paired effects of two sides, on the validation part of tuning seeds."""
    arms = {arm for tried in claim.needs(setting) for arm in tried.values()}
    read = [
        READ[claim.measure](cap(np.array(row["errors"], dtype=float), np.array(row["naive"])))
        for row in rows
        if row["setting"] == setting and any(same(row, arm, plan.base) for arm in arms)
    ]
    return max(float(np.std(a - b, ddof=1)) for a in read for b in read if a is not b)


def obstacles(plan: Plan, rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Why the plan must not be frozen, in sentences; none if it may.

    Args:
        rows: What `evidence.records.liveness` found.
    """
    why, counts = [], plan.given["seeds"]
    if counts["first"] != counts["fresh"]:
        why.append(f"There are {counts['first']} first and {counts['fresh']} fresh seeds; take as many of both.")
    most, needed = MOST_MINUTES[plan.tip.lesson.form], minutes(plan)
    if needed > most:
        why.append(f"The record would take {needed:.0f} minutes here, and {most} are allowed: shorten its runs.")
    for setting, place in plan.places.items():
        if place.smallest is not None and not any(setting in claim.smallest_there for claim in plan.claims.values()):
            why.append(
                f"{setting}: no claim takes its smallest = {place.smallest:g}, since none has the plan's measure."
            )
    seeds = {setting: plan.size_of(setting).first for setting in plan.arms()}
    for claim in plan.claims.values():
        if claim.measure not in READ:
            continue
        spreads = {setting: spread(claim, plan, setting, rows) for setting in claim.settings}
        null, twice = shares(claim, spreads, seeds)
        if min(null, twice) < ENOUGH:
            scale, unit = (100, "%") if claim.measured.unit in RATIOS else (1, claim.measured.unit)
            told = ", ".join(f"{setting} {scale * value:.2g} {unit}" for setting, value in spreads.items())
            why.append(
                f"{claim.id}: its word would be right in {null:.0%} of records without a difference and in {twice:.0%} "
                f"with twice the smallest, and {ENOUGH:.0%} are needed. Pairs of runs spread by {told}: take more "
                "seeds, or a larger smallest difference."
            )
    return why
