"""Learning rates that change over the updates, against PyTorch's schedulers."""

import re
import warnings

import numpy as np
import pytest
import torch
from torch.optim import lr_scheduler

import rnntips as rt
from rnntips.errors import BadArgument
from rnntips.schedule import planned
from rnntips.training import train_stack
from rnntips.update import Rates

UPDATES = 40
SHORT = rt.Recipe(updates=12, past=9, width=6, batch_size=5)
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
def test_runs_with_and_without_a_schedule_stand_in_one_stack(sines, dense):
    plain = SHORT.but(dense=dense)
    recipes = [plain, *(plain.but(schedule=schedule) for schedule in ("warmup:5", "cosine", "drop:0.1:0.5"))]
    stack = train_stack(recipes, sines, [3] * 4)
    for row, recipe in enumerate(recipes):
        alone = rt.train(recipe, sines, [3])
        np.testing.assert_array_equal(alone.weights[0], stack.weights[row])
        np.testing.assert_array_equal(alone.train_loss[0], stack.train_loss[row])
    assert 4 == len(np.unique(stack.weights, axis=0))


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
     "drop:0.1:1", "drop:nan:0.5", "warmup:3+", "cosine:3", 5, True, ("cosine",)],
    ids=repr,
)  # fmt: skip
def test_a_schedule_that_cannot_be_read_is_refused_with_all_that_can(schedule):
    with pytest.raises(BadArgument, match=re.escape(f"schedule={schedule!r}") + '.*"warmup:30".*"cosine".*"drop:'):
        rt.Recipe(schedule=schedule)
