"""Early stopping: a run is the one that was trained with exactly so many updates; the test part has no say."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
from oracles import assert_same

import rnntips as rt
from rnntips.errors import BadArgument
from rnntips.tasks import Forecast
from rnntips.training import Job, train_jobs

WAVE = np.sin(np.arange(300) / 3) + np.random.default_rng(0).normal(size=300)
NOISY = rt.series.from_array(WAVE, "noisy wave", trending=False)
TASK = rt.tasks.forecast(NOISY)
LONG = rt.Recipe(updates=200, width=12, past=8, batch_size=5, lr=0.03)
SEEDS = range(4)


@pytest.fixture(scope="module")
def plain():
    return rt.train(LONG, TASK, SEEDS)


def best(scores, patience):
    """Where the lowest of these scores is, before so many in a row were no lower."""
    lowest = 0
    for i, score in enumerate(scores):
        if i - lowest > patience:
            break
        lowest = i if score < scores[lowest] else lowest
    return lowest


@pytest.mark.parametrize("patience", [1, 3, 1000])
def test_a_run_is_that_of_its_best_evaluation_before_patience_ends(plain, patience):
    """Every run for itself; the curve of the validation score is the usual one."""
    runs = rt.train(LONG.but(early_stopping=patience), TASK, SEEDS)
    for name in ("train_loss", "gradient_norm", "valid_score", "naive"):
        np.testing.assert_array_equal(getattr(runs, name), getattr(plain, name))
    expected = [plain.evaluations[best(row, patience)] for row in plain.valid_score]
    np.testing.assert_array_equal(runs.tuning_score, [row[best(row, patience)] for row in plain.valid_score])
    assert runs.best_at.tolist() == expected and len({*expected}) > 1 and (plain.best_at == 200).all()


@pytest.mark.parametrize("change", [{}, {"dense": (4,), "dropout": 0.2, "noise": 0.1}, {"optimizer": "sgd"}], ids=str)
def test_scores_weights_and_averages_are_those_of_a_run_with_so_many_updates(change):
    recipe = LONG.but(**change, early_stopping=9)
    runs = rt.train(recipe, TASK, SEEDS)
    assert runs.reached == 200 > runs.best_at.min() and runs.best_at.all()
    for row, (seed, updates) in enumerate(zip(SEEDS, runs.best_at.tolist(), strict=True)):
        short = rt.train(recipe.but(early_stopping=None, updates=updates), TASK, [seed])
        np.testing.assert_array_equal(runs.weights[row], short.weights[0])
        np.testing.assert_array_equal(runs.test_scores[row], short.test_scores[0, [2, 2, 2]])
        np.testing.assert_array_equal(runs.spread[row], short.spread[0])
        for name, values in short.optimizer_state.items():
            np.testing.assert_array_equal(runs.optimizer_state[name][row], values[0])


def test_a_run_with_early_stopping_changes_none_beside_it(plain):
    recipes = [LONG, LONG.but(early_stopping=1), LONG, LONG.but(early_stopping=5)]
    mixed = train_jobs([Job(recipes, SEEDS, TASK)], [rt.Runs()])[0]
    assert_same(mixed.only([0, 2]), plain.only([0, 2]))
    assert_same(mixed.only([3]), rt.train(recipes[3], TASK, [3]))


@dataclass(frozen=True)
class Elsewhere(Forecast):
    """The same forecasts, but for the test part."""

    def examples(self, recipe, seed):
        found = super().examples(recipe, seed)
        return replace(found, truth=found.truth + 100.0 * (found.part == 2)[:, None])


def test_the_test_part_does_not_decide():
    recipe = LONG.but(early_stopping=3)
    ours, theirs = (rt.train(recipe, task, SEEDS) for task in (TASK, Elsewhere(NOISY)))
    np.testing.assert_array_equal(ours.best_at, theirs.best_at)
    np.testing.assert_array_equal(ours.weights, theirs.weights)
    assert (np.abs(ours.test_scores - theirs.test_scores) > 1).all()


def test_a_run_diverges_only_before_it_stops():
    """At update 2; the run that stopped after the first has not. Both results are those of the first weights."""
    recipe = LONG.but(optimizer="sgd", lr=1e10, cell="relu")
    for patience, lost in ((None, 2), (3, 2), (1, 0)):
        runs = rt.train(recipe.but(early_stopping=patience), TASK, SEEDS)
        assert (runs.diverged_at == lost).all()
        assert np.isfinite(runs.test_scores).all() == (patience is not None) == (runs.best_at == 0).all()


def test_no_training_goes_on_from_runs_of_different_lengths():
    runs = rt.train(LONG.but(updates=5, early_stopping=1), TASK, SEEDS)
    with pytest.raises(BadArgument, match="start= was stopped early"):
        rt.train(LONG, TASK, SEEDS, start=runs)
