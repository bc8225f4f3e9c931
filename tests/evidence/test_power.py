"""Whether a plan can find out what it asks: shares of made-up records, spreads against NumPy, and its obstacles."""

from dataclasses import replace

import numpy as np
import pytest

from evidence import power
from rnntips.recipe import FIELDS, worded


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(power, "ROUNDS", 40)
    monkeypatch.setattr(power, "minutes", lambda plan: 9.0)


def rows_of(plan, width=0.001):
    """What liveness might find: every arm of the plan's claims about errors, tuning seeds spread by so much."""
    rng, rows = np.random.default_rng(0), []
    claims = [claim for claim in plan.claims.values() if claim.measure == "score"]
    for setting, arms in plan.arms(claims).items():
        for arm in arms:
            about = {name: worded(getattr(arm.recipe, name)) for name in FIELDS}
            tuned = {arm.tuned: list(arm.choices)} if arm.choices else arm.tuned
            errors = list(np.exp(-1 + width * rng.normal(size=8)))
            rows.append({"setting": setting} | about | {"tuned": tuned, "errors": errors, "naive": 1.0})
    return rows


def test_little_spread_finds_either_word_and_much_spread_neither(made, quick):
    """Of a claim on three settings; at working size with a change that matters of its own, on fewer seeds."""
    claim = made.claims["together"]
    seeds = dict.fromkeys(claim.settings, 20)

    def found(width):
        return power.shares(claim, dict.fromkeys(claim.settings, width), seeds)

    assert found(0.005) == (1, 1)
    assert max(found(1.0)) < 0.2
    assert max(power.shares(claim, dict.fromkeys(claim.settings, 0.005), dict.fromkeys(claim.settings, 4))) == 0
    _, worse = power.shares(made.claims["crucial"], {"sines": 0.005}, {"sines": 20})
    assert worse == 1, "a claim of WORSE is tried with a variant that is worse"


def test_wrong_answers_are_drawn_and_spread_in_answers_of_a_hundred(made):
    """Two sides whose errors differ by chance by 2 of a hundred; a change of 1 that matters is seen on 200 seeds."""
    claim = replace(made.claims["rate"], measure="wrong answers", smallest=1.0, settings=("sines",),
                    modality="typically", named=None)  # fmt: skip
    arms, rng = [arm for tried in claim.needs("sines") for arm in tried.values()], np.random.default_rng(0)
    errors = 0.3 + 0.02 / np.sqrt(2) * rng.normal(size=(len(arms), 400))
    rows = []
    for arm, row in zip(arms, errors, strict=True):
        about = {name: worded(getattr(arm.recipe, name)) for name in FIELDS}
        rows.append({"setting": "sines"} | about | {"tuned": arm.tuned, "errors": list(row), "naive": 0.9})
    one, other = 100 * errors
    assert power.spread(claim, made, "sines", rows) == pytest.approx(np.std(one - other, ddof=1))
    assert min(power.shares(claim, {"sines": 2.0}, {"sines": 100})) > 0.9
    assert max(power.shares(claim, {"sines": 20.0}, {"sines": 100})) < 0.5


def test_a_smallest_difference_of_a_setting_that_no_claim_takes_is_in_the_way(made, quick):
    made.given["seeds"]["working"] = {"tuning": 2, "first": 10}
    named = [name for name, place in made.places.items() if place.smallest is not None]
    assert named and power.obstacles(made, rows_of(made)) == []
    made.claims = {name: replace(claim, smallest_there={}) for name, claim in made.claims.items()}
    told = [line for line in power.obstacles(made, rows_of(made)) if "no claim takes its smallest" in line]
    assert [line.split(":")[0] for line in told] == named


def test_the_spread_is_that_of_the_log_ratios_of_two_sides(made):
    """Capped at naive, as in records; of several sides the largest; other settings and arms have no part in it."""
    claim, rows = made.claims["rate"], rows_of(made, 0.3)
    mine = [row for row in rows if row["setting"] == "sines" and row["tuned"] == "none" and row["batch_size"] == 8]
    mine[0]["errors"][0] = None  # diverged
    one, other = (np.log(np.minimum([1 if error is None else error for error in row["errors"]], 1)) for row in mine)
    assert power.spread(claim, made, "sines", rows) == pytest.approx(np.std(one - other, ddof=1))
    claim, logs = made.claims["crucial"], []
    for row in rows:
        if row["setting"] == "sines" and row["tuned"] in [{"lr": [rate]} for rate in (0.0001, 0.01, 0.001)]:
            logs.append(np.log(np.minimum(row["errors"], 1)))
    pairs = [np.std(a - b, ddof=1) for a in logs for b in logs if a is not b]
    assert len(logs) == 3 and power.spread(claim, made, "sines", rows) == pytest.approx(max(pairs))


def test_what_stands_in_the_way_of_a_plan_is_said_and_nothing_of_a_good_one(made, quick, monkeypatch):
    """Claims that measure no error are not simulated."""
    counts, rows = made.given["seeds"], rows_of(made)
    counts["working"] = {"tuning": 2, "first": 10}
    assert power.obstacles(made, rows) == []
    few = power.obstacles(made, rows_of(made, 1.0))
    named = {line.split(":")[0] for line in few}
    assert named == {claim.id for claim in made.claims.values() if claim.measure == "score"}
    assert all("take more seeds" in line and "80% are needed" in line for line in few)
    counts["fresh"] = 12
    (line,) = power.obstacles(made, rows)
    assert "10 first and 12 fresh seeds" in line
    counts["fresh"] = 10
    monkeypatch.setattr(power, "minutes", lambda plan: 10.6)
    (line,) = power.obstacles(made, rows)
    assert "11 minutes here, and 10 are allowed" in line, "a short lesson"


def test_minutes_are_those_of_all_planned_updates(made, monkeypatch):
    """At a thousandth of a second an update, and half the runs of 32 updates, half of 16."""
    monkeypatch.setattr(power, "calibrate", lambda recipes, *_, **__: [np.array([1e-3])] * len(recipes))
    planned = made.planned([made.claims["together"]])
    runs = sum(some for *_, some in planned)
    monkeypatch.setattr(made, "planned", lambda: planned)
    assert power.minutes(made) == pytest.approx(24 * runs * 1e-3 / 60)
