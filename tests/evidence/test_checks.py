"""Checks: each on made-up scores and runs where it holds and where it fails, with the numbers in its sentence."""

from dataclasses import replace

import numpy as np
import pytest
from making import scores

import rnntips as rt
from evidence.checks import CHECKS, due
from evidence.measures import MEASURES
from rnntips import series, tasks
from rnntips.runs import Runs
from rnntips.tasks.forecasts import linear_error

NAN, INF = np.nan, np.inf
SCORE, SPEED = MEASURES["score"], MEASURES["updates to target"]


def found(name, baseline, variant, measure=SCORE):
    return CHECKS[name].found(baseline, variant, measure)


def read(name, *sides, score=0.5, measure=SCORE):
    """What a check finds where these are the sides' readings."""
    label = CHECKS[name].label(measure)
    baseline, variant = (replace(scores([score] * len(side)), readings={label: np.array(side)}) for side in sides)
    return found(name, baseline, variant, measure)


def trained(recipe, **given):
    """Made-up runs of a recipe."""
    n, updates = 2, recipe.updates
    columns = {"train_loss": np.zeros((n, updates)), "gradient_norm": np.ones((n, updates)), "reached": updates}
    return Runs((recipe,) * n, seeds=np.arange(n), **columns | given)


def test_a_side_learned_if_half_its_runs_came_a_fifth_of_the_way():
    much, little = scores([0.7, 0.7, 0.9, 0.9]), scores([0.7, 0.81, NAN, 7])
    assert found("learned", little, much) == ((0.25, 0.5), True, "")
    why = "Neither side learned: 25 % and 25 % of their runs came a fifth of the way to the floor."
    assert found("learned", little, little) == ((0.25, 0.25), False, why)
    solved = MEASURES["solved share"]
    assert found("learned", scores([0.4] + [0.9] * 9), little, solved) == ((0.1, 0), True, "")
    assert found("learned", little, little, solved).why_not.endswith("0 % and 0 % of their runs solved the task.")


def test_there_is_room_unless_a_sides_median_is_at_the_floor():
    """One beyond it shows that it was no floor."""
    far, near, beyond = (scores([error] * 3, floor=0.5) for error in (0.51, 0.504, 0.4))
    assert found("room", far, beyond).ok and found("room", far, beyond).values == pytest.approx((0.98, 1.2))
    why = "There is no room: the sides came 98.0 % and 99.2 % of the way to the floor."
    assert found("room", far, near).why_not == why and not found("room", near, beyond).ok


def test_a_target_is_reached_by_the_faster_side_after_ten_to_ninety_per_cent_of_its_budget():
    assert read("target", [0.1, 0.1, -1, -1], [-1.0] * 4, measure=SPEED) == ((0.1, INF), True, "")
    early = read("target", [0.02, 0.003, 0.9], [0.5] * 3, measure=SPEED)
    assert early.values == (0.02, 0.5) and early.why_not == (
        "The faster side reaches the target after 2.0 % of its budget; 10 to 90 % are needed."
    )
    assert not read("target", [0.91] * 3, [1.0] * 3, measure=SPEED).ok
    never = read("target", [0.5, -1, -1, -1], [-1.0] * 4, measure=SPEED)
    assert never.why_not == "The target is reached by 25 % and 0 % of runs." and np.isinf(never.values).all()


def test_the_share_of_the_budget_is_kept_for_the_measures_own_target():
    runs = trained(rt.Recipe(updates=100), valid_score=np.array([[0.9, 0.5, 0.1], [0.9, 0.8, NAN]]), naive=np.ones(2),
                   floor=np.zeros(2), valid_naive=np.ones(2), evaluations=np.array([0, 10, 100]))  # fmt: skip
    kept = [CHECKS["target"].keep(runs, None, replace(SPEED, reach=reach)) for reach in (0.5, 0.85)]
    np.testing.assert_array_equal(kept[0]["share of the budget to target (50 % of the way)"], [0.1, -1])
    np.testing.assert_array_equal(kept[1]["share of the budget to target (85 % of the way)"], [1, -1])


def test_a_linear_forecast_on_the_same_windows_is_beaten_by_a_side():
    """By more than the worse of both sides' forecasts."""
    assert read("linear", [0.6, 0.6], [0.55, 0.6]).ok
    lost = read("linear", [0.4, 0.4], [0.6, 0.6])
    assert lost.values == pytest.approx((1.25, 1.25))
    assert lost.why_not == "No side beats the better linear forecast from these windows: 1.25 and 1.25 times its error."
    assert not read("linear", [0.6, 0.6], [0.6, 0.6], score=NAN).ok
    assert read("linear", [NAN, NAN], [NAN, NAN]).ok, "no forecast, nothing to beat"


def test_linear_errors_are_kept_of_forecasts_alone_and_see_the_windows_values():
    task, recipe = tasks.forecast(series.sines(steps=400)), rt.Recipe(past=6, horizon=2)
    kept = CHECKS["linear"].keep(trained(recipe), task, SCORE)["linear error"]
    expected = [linear_error(task.values(s)[:, 0], task.examples(recipe, s), 6, 2) for s in (0, 1)]
    np.testing.assert_array_equal(kept, expected)
    naive = [task.bounds(recipe, s)[0] for s in (0, 1)]
    assert (kept < naive).all() and kept[0] != kept[1]
    assert np.isnan(CHECKS["linear"].keep(trained(recipe), tasks.adding(8), SCORE)["linear error"]).all()


def test_clipping_bites_where_it_acts_on_a_thousandth_to_half_of_the_updates():
    assert read("clips", [NAN, NAN], [0.0, 0.002]) == (pytest.approx((NAN, 0.001), nan_ok=True), True, "")
    much = read("clips", [0.6, 0.5], [0.1, 0.1])
    assert much.values == pytest.approx((0.55, 0.1))
    assert much.why_not == "Clipping acts on 55.00 % and 10.00 % of updates or weights; 0.1 to 50 % are needed."
    assert read("clips", [NAN, NAN], [0.0, 0.001]).why_not.startswith("Clipping acts on 0.05 % of")
    assert read("clips", [NAN], [NAN]).why_not == "Neither side is known to clip."


def test_clipped_is_an_update_whose_gradient_was_longer_than_allowed_or_a_weight_at_the_limit():
    recipe = rt.Recipe(updates=4)
    runs = trained(recipe, gradient_norm=np.array([[1, 2, 3, 4], [1.5, INF, NAN, NAN]]),
                   weights=np.float32([[0.1, -0.1, 0.05, 0], [0.1, 0, 0, 0]]))  # fmt: skip
    for change, expected in [
        ({"clip_norm": 2.0}, [0.5, 0.5]), ({"clip_norm": 0.5}, [1, 1]),
        ({"clip_norm": 0.1, "clip": "weights"}, [0.5, 0.25]), ({}, [NAN, NAN]),
        ({"clip_norm": 2.0, "clip": "value"}, [NAN, NAN]),
    ]:  # fmt: skip
        runs.recipes = (recipe.but(**change),) * 2
        np.testing.assert_array_equal(CHECKS["clips"].keep(runs, None, SCORE)["clipped share"], expected)


def test_sides_read_different_amounts_of_data():
    assert read("reads", [1000, 1000], [1100, 1100]).ok
    why = "The sides read 1,000 and 1,050 different windows; one must read 1.1 times as many."
    assert read("reads", [1000, 1000], [1050, 1050]) == ((1000, 1050), False, why)


def test_windows_read_are_those_of_all_batches_but_no_more_than_there_are():
    task, recipe = tasks.forecast(series.sines(steps=400)), rt.Recipe(past=8, batch_size=4, updates=10)
    there = len(task.examples(recipe, 0).of(0))
    stream, chunks = tasks.recall_stream(8), rt.Recipe(chunk=16, batch_size=4, updates=10)
    example = stream.examples(chunks, 0)
    each = -(-example.steps // 16) - example.skip // 16
    for task_, one, expected in [
        (task, recipe, 40), (task, recipe.but(workers=2), 80), (task, recipe.but(updates=1000), there),
        (task, recipe.but(train_size=30), 30), (stream, chunks, 4 * -(-10 // each)),
    ]:  # fmt: skip
        kept = CHECKS["reads"].keep(trained(one), task_, SCORE)["windows read"]
        np.testing.assert_array_equal(kept, [expected] * 2)
    assert each > 1


def test_a_baseline_overfits_if_its_validation_error_is_half_as_high_again_as_its_training_loss():
    assert read("overfits", [1.4, 1.5, 9.0], [1.0] * 3) == ((1.5, 1.0), True, "")
    why = "The baseline's validation error is 1.40 times its training loss; 1.5 are needed."
    assert read("overfits", [1.4] * 3, [9.0] * 3).why_not == why
    assert not read("overfits", [NAN] * 3, [NAN] * 3).ok

    digits = tasks.digits(rows=True)
    few = rt.Recipe(width=16, train_size=50, batch_size=10, updates=400, lr=0.01)
    found_on = {}
    for size, updates in ((50, 400), (1000, 60)):
        runs = rt.train(few.but(train_size=size, updates=updates, early_stopping=2), digits, range(3))
        found_on[size] = CHECKS["overfits"].keep(runs, digits, SCORE)["validation error over training loss"]
        last = runs.train_loss[:, -updates // 10 :].mean(1)
        np.testing.assert_allclose(found_on[size] * last, runs.valid_score[:, -1], rtol=1e-6)
    assert np.median(found_on[50]) > 3 and np.median(found_on[1000]) < 1.5
    forecast, other = tasks.forecast(series.sines()), few.but(train_size=None, updates=20)
    for recipe, task in ((other, forecast), (other.but(head="softmax+mse"), digits)):
        unknown = rt.train(recipe, task, range(2))
        assert np.isnan(CHECKS["overfits"].keep(unknown, task, SCORE)["validation error over training loss"]).all()


def test_shares_of_runs_need_a_hundred_seeds():
    many, few = scores([0.5] * 100), scores([0.5] * 99)
    assert found("rare", many, many) == ((100, 100), True, "")
    assert found("rare", many, few).why_not == "Shares of runs need 100 seeds, and these are 99."


def test_what_was_not_kept_cannot_pass():
    for name in ("target", "linear", "clips", "reads", "overfits"):
        lost = found(name, scores([0.5]), scores([0.5]), SPEED)
        assert not lost.ok and lost.why_not.startswith("The record does not keep the ") and np.isnan(lost.values).all()
    assert CHECKS["room"].keep(trained(rt.Recipe()), None, SCORE) == {}


def test_a_measure_brings_the_checks_that_it_needs_and_a_claim_names_others():
    for name, named, expected in [
        ("score", (), ["learned"]), ("score", ("room", "clips"), ["learned", "room", "clips"]),
        ("tokens to target", (), ["learned", "target"]), ("solved share", ("rare",), ["learned", "rare"]),
    ]:  # fmt: skip
        assert [check.name for check in due(MEASURES[name], named)] == expected
