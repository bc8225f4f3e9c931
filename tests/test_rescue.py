"""Rescues at a run's first spike, against the same runs stopped there by hand and gone on with."""

from dataclasses import replace
from statistics import median

import numpy as np
import pytest
import torch

import rnntips as rt
from rnntips import readings, training
from rnntips.errors import BadArgument
from rnntips.rescue import spikes
from rnntips.training import train_stack
from rnntips.tuning import train_sides

JUMPY = rt.Recipe(cell="tanh", updates=150, past=9, width=6, batch_size=3, optimizer="sgd", lr=0.05, momentum=0.5)
SEEDS = range(4)
RESCUES = ["lower", "lower, then raise", "restore"]


@pytest.fixture(scope="module")
def sines():
    return rt.series.sines(steps=600)


@pytest.fixture(scope="module")
def plain(sines):
    return rt.train(JUMPY, sines, SEEDS)


def first_spike(losses):
    """The number of the first update whose loss is above twice the median of the 50 before, the definition by hand."""
    for done in range(20, len(losses)):
        if losses[done] > 2 * median(losses[max(0, done - 50) : done]):
            return done + 1
    return 0


def test_a_spike_is_twice_the_median_of_the_fifty_losses_before(plain):
    losses = plain.train_loss
    first = [next((u + 1 for u in range(150) if spikes(losses, u)[r]), 0) for r in range(4)]
    assert first == [first_spike(row.tolist()) for row in losses]
    fallen = np.repeat([9.0, 1.0, 3.0], [60, 54, 1])
    assert spikes(fallen[None], 114).all()  # most losses were nine, and none of the last 50
    flat = np.ones((2, 90))
    flat[:, 80] = 2.0, 2.001
    flat[:, 10] = 99
    assert [80] == [u for u in range(90) if spikes(flat, u)[1]] and not any(spikes(flat, u)[0] for u in range(90))


@pytest.mark.parametrize("rescue", RESCUES)
def test_it_comes_at_the_first_spike_and_changes_nothing_before(sines, plain, rescue):
    runs = rt.train(JUMPY.but(rescue=rescue), sines, SEEDS)
    assert runs.rescued_at.tolist() == [first_spike(row.tolist()) for row in plain.train_loss]
    assert runs.rescued_at.all() and not plain.rescued_at.any()
    assert readings.spiky(plain).tolist() == (runs.rescued_at > 0).tolist()  # measures count the same spikes
    for mine, theirs, at in zip(runs.train_loss, plain.train_loss, runs.rescued_at, strict=True):
        np.testing.assert_array_equal(mine[:at], theirs[:at])
        assert not np.array_equal(mine[at:], theirs[at:])


FACTORS = {"lower": lambda since: 0.1, "restore": lambda since: 0.5,
           "lower, then raise": lambda since: 0.01 + 0.09 * since / 100 if since < 100 else 0.1}  # fmt: skip


@pytest.mark.parametrize("rescue", RESCUES)
def test_what_follows_is_what_going_on_by_hand_gives(sines, plain, rescue):
    """Runs of one update each, the first from the spike (or from the evaluation before it), at the rates promised."""
    runs = rt.train(JUMPY.but(rescue=rescue), sines, [0])
    at = int(runs.rescued_at[0])
    here = rt.train(JUMPY.but(updates=at), sines, [0])
    if rescue == "restore":
        seen = max(point for point in runs.evaluations if point < at - 1)
        before = rt.train(JUMPY.but(updates=int(seen)), sines, [0])
        here = replace(here, weights=before.weights, optimizer_state=before.optimizer_state)
    for since in range(min(110, 150 - at)):
        there = rt.train(JUMPY.but(updates=1, lr=0.05 * FACTORS[rescue](since)), sines, [0], start=here)
        assert runs.train_loss[0, at + since] == there.train_loss[0, 0]
        here = there


def test_an_evaluation_right_before_the_spike_is_not_gone_back_to(sines, monkeypatch):
    """It has seen the very weights whose loss was the spike."""
    at = int(rt.train(JUMPY.but(rescue="restore"), sines, [0]).rescued_at[0])
    runs = {}
    for points in ([0, 5, 150], [0, 5, at - 1, 150], [0, at - 2, 150]):
        monkeypatch.setattr("rnntips.runs.evaluation_points", lambda _, points=points: np.array(points))
        runs[len(runs)] = rt.train(JUMPY.but(rescue="restore"), sines, [0])
    assert at == runs[0].rescued_at[0] == runs[1].rescued_at[0] == runs[2].rescued_at[0]
    np.testing.assert_array_equal(runs[0].weights, runs[1].weights)
    assert not np.array_equal(runs[0].weights, runs[2].weights)


@pytest.mark.parametrize("dense", [(), (4,)], ids=["compiled", "torch"])
def test_runs_that_are_rescued_and_runs_that_are_not_stand_in_one_stack(sines, dense):
    recipes = [JUMPY.but(dense=dense, rescue=rescue) for rescue in (None, *RESCUES)]
    stack = train_stack(recipes, sines, [2] * 4)
    for row, recipe in enumerate(recipes):
        alone = rt.train(recipe, sines, [2])
        assert alone.rescued_at[0] == stack.rescued_at[row]
        np.testing.assert_array_equal(alone.weights[0], stack.weights[row])
        np.testing.assert_array_equal(alone.valid_score[0], stack.valid_score[row])
    assert 4 == len(np.unique(stack.weights, axis=0)) and stack.rescued_at.tolist()[0] == 0


@pytest.mark.parametrize(("rescue", "at"), [("restore", 0), ("lower", 31), (None, 31)])
def test_a_loss_that_is_no_number_is_only_mended_by_other_weights(sines, monkeypatch, rescue, at):
    """The weights of one run break at update 31; a lower rate cannot help those."""
    real = training.updater

    def breaking(record, network, feed, state):
        step = real(record, network, feed, state)

        class Breaking:
            prompt, arrived = step.prompt, step.arrived

            def __call__(self, update):
                if update == 30:
                    network.flat[1] = torch.nan
                step(update)

        return Breaking()

    calm = JUMPY.but(rescue=rescue, lr=0.01, batch_size=40)
    whole = rt.train(calm, sines, [0])
    monkeypatch.setattr(training, "updater", breaking)
    runs = rt.train(calm, sines, [0, 1])
    assert runs.diverged_at.tolist() == [0, at] and np.isnan(runs.train_loss[1, 30])
    assert np.isfinite(runs.weights[1]).all() == (rescue == "restore")
    assert (runs.rescued_at[1] == 31) == (rescue == "restore")
    np.testing.assert_array_equal(whole.weights[0], runs.weights[0])


@pytest.mark.parametrize("rescue", RESCUES)
def test_going_on_from_a_run_that_was_rescued_equals_training_without_a_break(sines, rescue):
    recipe = JUMPY.but(rescue=rescue)
    whole = rt.train(recipe, sines, SEEDS)
    for rows in ([row] for row in SEEDS):
        at = int(whole.rescued_at[rows[0]]) + 3
        first = rt.train(recipe.but(updates=at), sines, rows)
        second = rt.train(recipe.but(updates=150 - at), sines, rows, start=first)
        assert first.rescued_at == second.rescued_at == whole.rescued_at[rows]
        if rescue != "restore":  # shorter runs are evaluated at other updates
            np.testing.assert_array_equal(whole.weights[rows], second.weights)
    assert rt.train(JUMPY.but(updates=3), sines, rows, start=first).rescued_at.tolist() == [0]


def test_a_record_keeps_when_it_came(sines, tmp_path):
    sides = [JUMPY, JUMPY.but(rescue="lower")]
    task = rt.tasks.forecast(sines)
    plain, rescued = train_sides(sides, task, SEEDS, store=tmp_path)
    again = train_sides(sides, task, SEEDS, store=tmp_path)
    assert rescued.rescued_at.all() and plain.rescued_at.tolist() == [0] * 4
    assert again[1].rescued_at.tolist() == rescued.rescued_at.tolist()


@pytest.mark.parametrize("rescue", ["lover", "lower then raise", 3, "", ["lower"]], ids=repr)
def test_an_unknown_rescue_is_refused_with_the_known_ones(rescue):
    with pytest.raises(BadArgument, match=r"rescue .*lower, lower, then raise, restore"):
        rt.Recipe(rescue=rescue)
