"""Budgets in seconds: a stored table of speeds makes them updates, and what it does not know is refused."""

import numpy as np
import pytest

import rnntips as rt
from rnntips.budget import speeds
from rnntips.errors import BadArgument
from rnntips.runs import failed, lengths
from rnntips.store import key
from rnntips.timing import speeds_of

SHAPE = {"cell": "gru", "layers": 1, "width": 24, "optimizer": "adam", "steps": 32, "channels": 1, "outputs": 1}


@pytest.fixture
def calibrated(monkeypatch):
    """An engine whose update takes 1 ms with 10 windows, 2 ms with 20, 6 ms with 100."""
    row = {"machine": "a test", "shape": SHAPE, "seconds": {"10": 0.001, "20": 0.002, "100": 0.006}}
    monkeypatch.setattr("rnntips.budget.speeds", lambda: [row])


@pytest.mark.parametrize(
    ("batch_size", "amount", "expected"),
    [(10, 0.5, 500), (20, 0.5, 250), (100, 0.5, 83), (15, 0.5, 333), (40, 1, 333), (10, 1e-9, 1), (100, 3, 500)],
)
def test_a_budget_in_seconds_is_a_number_of_updates_by_the_stored_speeds(calibrated, batch_size, amount, expected):
    """Seconds / seconds per update; between two sizes that were timed on the straight line, 3 ms with 40."""
    recipe = rt.Recipe(batch_size=batch_size, budget=rt.seconds(amount), past=32)
    assert expected == recipe.updates_for(1000) == recipe.updates_for(77, 32, channels=1, outputs=1)


@pytest.mark.parametrize(
    ("fields", "size", "words"),
    [
        ({"width": 48}, {}, "No seconds were calibrated for .*width 48.*rt.updates.*width 24"),
        ({"cell": "lstm"}, {}, "calibrated for cell lstm"),
        ({"past": 16}, {}, "steps 16"),
        ({"dropout": 0.2}, {}, "dropout True"),
        ({"dense": (8,)}, {}, r"dense \[8\]"),
        ({"optimizer": "sgd"}, {}, "optimizer sgd"),
        ({}, {"channels": 3}, "channels 3"),
        ({}, {"outputs": 10}, "outputs 10"),
        ({}, {"answers": 32}, "answers 32"),
        ({"batch_size": 5}, {}, "batch_size=5.*batches of 10 to 100.*rt.updates"),
        ({"batch_size": 101}, {}, "batches of 10 to 100"),
    ],
)
def test_seconds_that_were_not_calibrated_are_refused(calibrated, fields, size, words):
    """What changes an update's time is named, and so is what was timed."""
    recipe = rt.Recipe(**{"batch_size": 10, "past": 32, "budget": rt.seconds(1)} | fields)
    with pytest.raises(BadArgument, match=words):
        recipe.updates_for(1000, recipe.past, **size)


def test_what_costs_no_time_asks_for_no_calibration_of_its_own(calibrated):
    """Rates, scales and seeds of any kind; and a run trains for so many updates."""
    free = {"lr": 0.1, "input_scaling": "robust", "weight_decay": 0.1, "init": "orthogonal", "train_size": 100}
    recipe = rt.Recipe(batch_size=10, past=32, budget=rt.seconds(0.02), **free)
    assert 20 == recipe.updates_for(100) == rt.train(recipe, rt.series.sines(600), range(2)).updates


def test_runs_of_another_calibration_are_other_runs(calibrated, monkeypatch):
    task = rt.tasks.forecast(rt.series.sines(600))
    recipe = rt.Recipe(batch_size=10, past=32, budget=rt.seconds(0.02))
    before = key(recipe, task, 0, "cpu"), key(recipe.but(updates=20), task, 0, "cpu")
    monkeypatch.setattr("rnntips.budget.speeds", lambda: [])
    monkeypatch.setattr("rnntips.store.speeds", lambda: [])
    assert before[0] != key(recipe, task, 0, "cpu") and before[1] == key(recipe.but(updates=20), task, 0, "cpu")


def test_a_run_that_failed_for_want_of_a_calibration_has_a_record():
    task = rt.tasks.forecast(rt.series.sines(600))
    recipe = rt.Recipe(width=7, budget=rt.seconds(1))
    record = failed(recipe, task, 3, "why")
    assert record.recipes == (recipe,) and record.updates == 1 and record.failures == ("why",)


def test_larger_batches_take_no_less_time_and_no_more_per_window():
    """In every stored row; five per cent are left to the clock."""
    for row in speeds():
        sizes = sorted(map(int, row["seconds"]))
        taken = np.array([row["seconds"][str(size)] for size in sizes])
        assert row["machine"] and sizes[0] >= 1 and (taken > 0).all()
        each = taken / sizes
        assert (taken[1:] > 0.95 * taken[:-1]).all() and (each[1:] < 1.05 * each[:-1]).all()


@pytest.mark.parametrize("amount", [0, -1.5, float("nan"), float("inf"), "5", True, None])
def test_seconds_are_a_number_above_nought(amount):
    with pytest.raises(BadArgument, match=rf"seconds={amount!r}.*above 0"):
        rt.seconds(amount)
    assert repr(rt.seconds(0.25)) == "0.25 seconds" and rt.seconds(2) == rt.seconds(2.0)


def test_lengths_are_told_as_they_were_asked_for_and_as_they_came_out(calibrated):
    series, small = rt.series.sines(600), rt.Recipe(past=32)

    def told(**fields):
        return lengths(*(rt.train(small.but(batch_size=size, **fields), series, [0]) for size in (10, 20)))

    assert told(budget=rt.seconds(0.01)) == "10 and 5 updates (0.01 seconds on this engine)"
    assert told(updates=4) == "4 updates"
    assert told(budget=rt.epochs(1), train_size=40) == "4 and 2 updates (1 epochs)"


def test_the_row_of_a_shape_is_what_its_budgets_ask_for(monkeypatch):
    """Medians of rounds, sizes halfway between included; an even share of the batch makes a straight line."""
    taken = {1: 2.0, 4: 5.0, 16: 17.0}

    def rounds(recipes, task, seeds, device):
        return [taken[recipe.batch_size] * np.array([0.5, 1, 1, 1, 9.0]) for recipe in recipes]

    monkeypatch.setattr("rnntips.timing.calibrate", rounds)
    recipe = rt.Recipe(past=8, width=4, budget=rt.seconds(100))
    row = speeds_of(recipe, rt.tasks.forecast(rt.series.sines(600)), [16, 1, 16])
    assert row["seconds"] == {"1": 2.0, "4": 5.0, "16": 17.0} and row["machine"]
    monkeypatch.setattr("rnntips.budget.speeds", lambda: [row])
    updates = {size: recipe.but(batch_size=size).updates_for(1000) for size in (1, 4, 10, 16)}
    assert updates == {1: 50, 4: 20, 10: round(100 / 11), 16: round(100 / 17)}
    digits = speeds_of(recipe.but(cell="lstm"), rt.tasks.digits(rows=True), [1])["shape"]
    assert (digits["cell"], digits["steps"], digits["channels"], digits["outputs"]) == ("lstm", 8, 8, 10)
