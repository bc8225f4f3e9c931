"""Readings of single runs: closed forms on hand-made records and scores, and laws."""

import numpy as np
import pytest
from making import scores

import rnntips as rt
from evidence import readings
from rnntips.errors import BadArgument
from rnntips.runs import Runs, to_target, tokens_to

NAN, INF = np.nan, np.inf


def losses(rows, **more):
    """A finished record of these training losses, one row a run."""
    rows = np.array(rows, dtype=float)
    given = {"naive": np.ones(len(rows)), "floor": np.zeros(len(rows)), "valid_naive": np.ones(len(rows))} | more
    return Runs((rt.Recipe(),) * len(rows), seeds=np.arange(len(rows)), train_loss=rows, reached=rows.shape[1], **given)


def flat(updates=120, spikes=(), height=2.01):
    row = np.ones(updates)
    row[list(spikes)] *= height
    return row


def test_a_jump_is_a_loss_above_twice_the_median_of_the_fifty_before_it():
    rows = [flat(), flat(spikes=[20]), flat(spikes=[50, 119]), flat(spikes=[50], height=2.0), flat(spikes=[0, 5, 19])]
    np.testing.assert_allclose(readings.spikes(losses(rows)), np.array([0, 1, 2, 0, 0]) * 1000 / 100)
    np.testing.assert_array_equal(readings.spiky(losses(rows)), [0, 1, 1, 0, 0])
    with pytest.raises(BadArgument, match="after update 20, and these runs did 20"):
        readings.spikes(losses([flat(20)]))
    assert readings.spikes(losses([flat(21)])) == [0]


def test_the_median_looks_back_fifty_updates_and_no_further():
    """After a lasting step by 3, the first 25 losses are above twice the median of what came before; then no more."""
    step = np.concatenate([np.ones(60), np.full(60, 3.0)])
    np.testing.assert_allclose(readings.spikes(losses([step])), [25 * 10])  # at 25 of 50 the median is 2, and 3 < 4
    long_ago = np.concatenate([np.full(60, 9.0), np.ones(60), [2.5]])
    assert readings.spikes(losses([long_ago])) == pytest.approx(1000 / 101)


def test_from_divergence_on_every_update_is_a_jump():
    for bad in (NAN, INF):
        rows = [flat(), np.full(120, NAN)]  # an exception ended the second
        rows[0][70:] = bad
        np.testing.assert_allclose(readings.spikes(losses(rows)), [500, 1000])
        gradients = losses(np.ones((2, 120)), gradient_norm=np.array(rows))
        np.testing.assert_allclose(readings.gradient_jumps(gradients), [500, 1000])
        np.testing.assert_array_equal(readings.exploding(gradients), [1, 1])


def test_a_gradient_explodes_above_ten_times_the_median_of_the_fifty_before_it():
    rows = [flat(), flat(spikes=[50], height=9.9), flat(spikes=[50], height=10.1), flat(spikes=[10], height=99.0)]
    gradients = losses(np.ones((4, 120)), gradient_norm=np.array(rows))
    np.testing.assert_array_equal(readings.exploding(gradients), [0, 0, 1, 0])


def test_jumps_of_a_run_know_neither_the_unit_of_the_loss_nor_the_other_runs():
    rows = np.exp(np.random.default_rng(0).normal(size=(6, 200)))
    found = readings.spikes(losses(rows))
    assert (found > 0).all()
    np.testing.assert_array_equal(readings.spikes(losses(7 * rows)), found)
    np.testing.assert_array_equal(readings.spikes(losses(rows).only([4, 1])), found[[4, 1]])


def test_a_gradient_explodes_above_ten_times_the_median_before_it():
    """By the gradient's length alone."""
    rows = [flat(), flat(spikes=[50], height=10.0), flat(spikes=[30, 70], height=10.1), flat(spikes=[5], height=99)]
    some = losses(np.ones((4, 120)), gradient_norm=np.array(rows))
    np.testing.assert_allclose(readings.gradient_jumps(some), [0, 0, 20, 0])


def test_training_loss_is_the_mean_of_the_last_tenth_and_untrained_for_what_diverged():
    rows = np.full((4, 100), 5.0)
    rows[:, 0] = [4.0, 8.0, 6.0, 6.0]  # mean 6
    rows[0, 90:] = np.arange(10)
    rows[1, 95:] = NAN
    rows[2, 99] = 1e9
    rows[3, 50] = INF  # and back
    np.testing.assert_allclose(readings.training_loss(losses(rows)), [4.5, 6, 6, 5])
    np.testing.assert_allclose(readings.training_loss(losses(3 * rows)), 3 * np.array([4.5, 6, 6, 5]))
    assert np.isnan(readings.training_loss(losses(np.full((2, 100), NAN)))).all()


def test_what_was_never_reached_is_marked_and_steps_are_updates_times_windows_times_their_length():
    valid = [[0.9, 0.5, 0.1], [0.9, 0.8, NAN], [0.4, 0.9, 0.9]]
    some = losses(np.zeros((3, 100)), valid_score=np.array(valid), evaluations=np.array([0, 10, 100]))
    np.testing.assert_array_equal(to_target(some), [10, -100, 1])
    np.testing.assert_array_equal(to_target(some, 0.85), [100, -100, -100])
    recipe = some.recipes[0]
    np.testing.assert_array_equal(readings.examples_to(some), np.array([10, -100, 1]) * recipe.batch_size)
    for change, new in (({}, recipe.past), ({"chunk": 8}, 8), ({"chunk": 8, "stride": 2}, 2)):
        some.recipes = (recipe.but(**change),) * 3
        np.testing.assert_array_equal(tokens_to(some), np.array([10, -100, 1]) * recipe.batch_size * new)
    some.recipes = (recipe.but(workers=4),) * 3
    np.testing.assert_array_equal(readings.examples_to(some), np.array([10, -100, 1]) * 4 * recipe.batch_size)


def test_seconds_are_the_calibrations_and_never_the_runs_own():
    some = losses(np.zeros((2, 100)), valid_score=np.array([[0.9, 0.5], [0.9, 0.8]]), evaluations=np.array([0, 100]),
                  seconds=123.0)  # fmt: skip
    seconds = np.array([0.002, 0.003])
    np.testing.assert_allclose(readings.seconds_per_update(some, seconds), seconds)
    np.testing.assert_allclose(readings.seconds_per_window(some, seconds), seconds / 16)
    np.testing.assert_allclose(readings.seconds_to(some, seconds), [0.2, -0.3])
    np.testing.assert_allclose(readings.seconds_to(some, seconds, 0.1), [0.002, 0.003])


def test_the_validation_error_is_the_mean_of_the_last_evaluations_and_infinite_without():
    some = losses(np.zeros((3, 1)), valid_score=np.array([[9, 1, 2, 3], [NAN, 1, 2, 3], [0, 1, NAN, 3.0]]))
    np.testing.assert_array_equal(readings.validation_error(some), [2, 2, INF])


def test_a_failed_run_scores_like_the_naive_guess_and_is_counted():
    some = scores([0.5, 1.0, 3.0, NAN, INF])
    np.testing.assert_array_equal(readings.score(some), [0.5, 1, 1, 1, 1])
    np.testing.assert_array_equal(readings.failed(some), [0, 1, 1, 1, 1])


def test_a_run_is_solved_when_it_has_come_far_enough():
    some = scores([0.5, 0.51, 1.2, NAN, 0.0])
    np.testing.assert_array_equal(readings.solved(some), [1, 0, 0, 0, 1])
    np.testing.assert_array_equal(readings.solved(some, 0.9), [0, 0, 0, 0, 1])
    np.testing.assert_array_equal(readings.solved(scores([5.0, 5.2], naive=10)), [1, 0])


def test_a_rate_is_usable_within_a_tenth_of_its_sides_own_best_for_the_seed():
    """So what the other side reaches has no part in it; no usable rate at all is a step below the lowest."""
    some = {0.001: scores([0.9, 0.30, 0.9, 1.0]), 0.01: scores([0.5, 0.32, 0.2, NAN]),
            0.1: scores([0.55, NAN, 0.3, 7])}  # fmt: skip
    found, ended = readings.usable_range(some)
    np.testing.assert_allclose(found, [100, 100, 10, 1])
    np.testing.assert_array_equal(ended, [1, 1, 0, 1])
    found, ended = readings.highest_usable(some)
    np.testing.assert_allclose(found, [0.1, 0.01, 0.01, 0.0001])
    np.testing.assert_array_equal(ended, [1, 0, 0, 1])
    halves = {rate: scores([0.5]) for rate in rt.tuning.half_decades(-3, -1)}
    np.testing.assert_allclose(readings.usable_range(halves)[0], [10**2.5], rtol=1e-6)
    for uneven in ([0.1], [0.1, 0.01, 0.0001]):
        for read in (readings.usable_range, readings.highest_usable):
            with pytest.raises(BadArgument, match="evenly spaced"):
                read({rate: scores([0.5]) for rate in uneven})


def test_the_best_rate_is_read_off_the_validation_part_seed_by_seed():
    """Of equals it is the lower rate; and whatever was tested has no part in it."""
    tried = {0.1: scores([0.1] * 4, validation_error=[0.5, NAN, 0.3, INF]),
             0.001: scores([0.9] * 4, validation_error=[0.4, 0.9, 0.3, NAN])}  # fmt: skip
    np.testing.assert_array_equal(readings.best_rates(tried), [[0.001] * 4, [1] * 4])
    tried[0.01] = scores([0.9] * 4, validation_error=[0.41, 0.8, 0.2, 2.0])
    np.testing.assert_array_equal(readings.best_rates(tried), [[0.001, 0.01, 0.01, 0.01], [1, 0, 0, 0]])
