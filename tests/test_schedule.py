"""Learning rates: as planned, against PyTorch's schedulers, and rescued at a spike, against going on by hand."""

import re
import warnings
from dataclasses import replace
from statistics import median

import numpy as np
import pytest
import torch
from oracles import assert_same
from torch.optim import lr_scheduler

import rnntips as rt
from evidence import readings
from rnntips import training
from rnntips.engine.rescue import spikes
from rnntips.engine.update import Rates
from rnntips.errors import BadArgument
from rnntips.jobs.execute import Resources
from rnntips.schedule import planned
from rnntips.training import Job, train_jobs
from rnntips.tuning import train_arms

UPDATES = 40
SHORT = rt.Recipe(updates=12, past=9, width=6, batch_size=5)
JUMPY = rt.Recipe(cell="tanh", updates=150, past=9, width=6, batch_size=3, optimizer="sgd", lr=0.05, momentum=0.5)
SEEDS = range(4)
RESCUES = ["lower", "lower, then raise", "lower, then full", "restore"]
ORACLES = {
    "warmup:7": lambda sgd: lr_scheduler.LinearLR(sgd, 1 / 7, total_iters=6),
    "warmup:1": lambda sgd: lr_scheduler.LambdaLR(sgd, lambda done: 1.0),
    "cosine": lambda sgd: lr_scheduler.CosineAnnealingLR(sgd, UPDATES),
    "drop:0.1:0.5": lambda sgd: lr_scheduler.MultiStepLR(sgd, [20], 0.1),
    "drop:0.3:0.5 + drop:0.3:0.75": lambda sgd: lr_scheduler.MultiStepLR(sgd, [20, 30], 0.3),
    "warmup:7+cosine": lambda sgd: lr_scheduler.ChainedScheduler(
        [lr_scheduler.LinearLR(sgd, 1 / 7, total_iters=6), lr_scheduler.CosineAnnealingLR(sgd, UPDATES)]
    ),
}


@pytest.fixture(scope="module")
def sines():
    return rt.series.sines(steps=600)


def test_a_dip_falls_to_a_hundredth_and_climbs_back_to_the_full_rate():
    found = [planned("dip:150")(done, 300) for done in (0, 149, 150, 200, 250, 299)]
    np.testing.assert_allclose(found, [1, 1, 0.01, 0.505, 1, 1])


@pytest.mark.parametrize("schedule", ORACLES)
def test_factors_equal_those_of_torchs_schedulers(schedule):
    sgd = torch.optim.SGD([torch.zeros(1, requires_grad=True)], 1.0)
    with warnings.catch_warnings(action="ignore"):  # there is no gradient, so it is never asked for a step
        scheduler, expected = ORACLES[schedule](sgd), []
        for _ in range(UPDATES):
            expected.append(scheduler.get_last_lr()[0])
            scheduler.step()
    found = [planned(schedule)(done, UPDATES) for done in range(UPDATES)]
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    assert max(found) <= 1 and min(found) > 0


@pytest.mark.parametrize("updates", [30, 60, 300, 970])
@pytest.mark.parametrize("share", [0.1, 0.3, 0.7])
def test_a_drop_comes_where_its_share_ends_whatever_rounding_does(updates, share):
    """0.1 × 30 is a little above 3 for a computer."""
    factors = [planned(f"drop:0.5:{share}")(done, updates) for done in range(updates)]
    assert round(share * updates) == factors.count(1)


@pytest.mark.parametrize("dense", [(), (4,)], ids=["compiled", "torch"])
@pytest.mark.parametrize(("field", "values", "plain"), [("schedule", ["warmup:5", "cosine", "drop:0.1:0.5"], SHORT),
                                                        ("rescue", RESCUES, JUMPY)])  # fmt: skip
def test_runs_with_and_without_one_stand_in_one_stack(sines, field, values, plain, dense):
    recipes = [plain.but(dense=dense, **{field: value}) for value in (None, *values)]
    [stack] = train_jobs([Job(recipes, [2] * len(recipes), rt.tasks.forecast(sines))], [rt.Runs()])
    for row, recipe in enumerate(recipes):
        assert_same(rt.train(recipe, sines, [2]), stack.only([row]))
    assert len(np.unique(stack.weights, axis=0)) == len(recipes)
    assert stack.rescued_at.astype(bool).sum() == len(values) * (field == "rescue")


@pytest.mark.parametrize("schedule", ["warmup:8", "warmup:3"])
def test_going_on_from_a_record_goes_on_in_the_schedule(sines, schedule):
    recipe = SHORT.but(schedule=schedule)
    whole, first = rt.train(recipe, sines, [1, 2]), rt.train(recipe.but(updates=5), sines, [1, 2])
    second = rt.train(recipe.but(updates=7), sines, [1, 2], start=first)
    np.testing.assert_array_equal(whole.weights, second.weights)


def test_the_budget_of_a_run_that_goes_on_is_all_its_updates(sines):
    """The second half of a cosine: what falls from 1 to 0 over 5 + 7 updates is below 1 after 5 of them."""
    first = rt.train(SHORT.but(updates=5), sines, [1])
    second = rt.train(SHORT.but(updates=7, schedule="cosine", lr=0.5), sines, [1], start=first)
    rates = np.array([Rates(second)(update)[0] for update in range(7)])
    np.testing.assert_allclose(rates, 0.25 * (1 + np.cos(np.pi * np.arange(5, 12) / 12)), rtol=1e-6)


@pytest.mark.parametrize(
    "schedule",
    ["cosinus", "", "warmup", "warmup:0", "warmup:-3", "warmup:2.5", "drop:0.1", "drop:2:0.5", "drop:0:0.5", "drop:x:1",
     "drop:0.1:1", "drop:nan:0.5", "dip", "dip:0", "dip:2.5", "warmup:3+", "cosine:3", 5, True, ("cosine",)],
    ids=repr,
)  # fmt: skip
def test_a_schedule_that_cannot_be_read_is_refused_with_all_that_can(schedule):
    with pytest.raises(BadArgument, match=re.escape(f"schedule={schedule!r}") + '.*"warmup:30".*"cosine".*"drop:'):
        rt.Recipe(schedule=schedule)


# --- rescues at a spike


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
           "lower, then raise": lambda since: 0.01 + 0.09 * since / 100 if since < 100 else 0.1,
           "lower, then full": lambda since: 0.01 + 0.99 * since / 100 if since < 100 else 1}  # fmt: skip


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


@pytest.mark.parametrize(("rescue", "at"), [("restore", 0), ("lower", 31), (None, 31)])
def test_a_loss_that_is_no_number_is_only_mended_by_other_weights(sines, monkeypatch, rescue, at):
    """The weights of one run break at update 31; a lower rate cannot help those."""
    real = training.updater

    def breaking(record, network, *given):
        step = real(record, network, *given)

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
    given = [JUMPY, JUMPY.but(rescue="lower")], rt.tasks.forecast(sines), SEEDS, Resources.of(store=tmp_path)
    (_, rescued), (plain, again) = train_arms(*given), train_arms(*given)
    assert rescued.rescued_at.all() and plain.rescued_at.tolist() == [0] * 4
    assert again.rescued_at.tolist() == rescued.rescued_at.tolist()


@pytest.mark.parametrize("rescue", ["lover", "lower then raise", 3, "", ["lower"]], ids=repr)
def test_an_unknown_rescue_is_refused_with_the_known_ones(rescue):
    with pytest.raises(BadArgument, match=r"rescue .*lower, lower, then full, lower, then raise, restore"):
        rt.Recipe(rescue=rescue)
