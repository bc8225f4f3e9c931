"""Readings of single runs: closed forms on hand-made records, and laws."""

import numpy as np
import pytest

import rnntips as rt
from rnntips import readings
from rnntips.errors import BadArgument
from rnntips.runs import Runs

NAN, INF = np.nan, np.inf


def losses(rows, **more):
    """A finished record of these training losses, one row a run."""
    rows = np.array(rows, dtype=float)
    n = len(rows)
    given = {"test_scores": np.full((n, 1), 0.5), "trivial": np.ones(n), "floor": np.zeros(n)} | more
    return Runs((rt.Recipe(),) * n, seeds=np.arange(n), train_loss=rows, reached=rows.shape[1], **given)


def scored(tests, valid=None, trivial=1.0, floor=0.0):
    """A finished record of these test errors; validation errors are the same unless given."""
    tests = np.array(tests, dtype=float)
    valid = tests if valid is None else np.array(valid, dtype=float)
    n = len(tests)
    return losses(np.zeros((n, 1)), test_scores=tests[:, None], valid_score=np.tile(valid, (3, 1)).T,
                  valid_trivial=np.full(n, trivial), trivial=np.full(n, trivial), floor=np.full(n, floor))  # fmt: skip


def flat(updates=120, spikes=(), height=2.01, level=1.0):
    row = np.full(updates, level)
    row[list(spikes)] *= height
    return row


def test_a_jump_is_a_loss_above_twice_the_median_of_the_fifty_before_it():
    rows = [flat(), flat(spikes=[20]), flat(spikes=[50, 119]), flat(spikes=[50], height=2.0), flat(spikes=[0, 5, 19])]
    np.testing.assert_allclose(readings.spikes(losses(rows)), np.array([0, 1, 2, 0, 0]) * 1000 / 100)
    np.testing.assert_array_equal(readings.spiky(losses(rows)), [0, 1, 1, 0, 0])


def test_the_median_looks_back_fifty_updates_and_no_further():
    """After a lasting step by 3, the first 25 losses are above twice the median of what came before; then no more."""
    step = np.concatenate([np.ones(60), np.full(60, 3.0)])
    np.testing.assert_allclose(readings.spikes(losses([step])), [25 * 10])  # at 25 of 50 the median is 2, and 3 < 4
    long_ago = np.concatenate([np.full(60, 9.0), np.ones(60), [2.5]])
    assert readings.spikes(losses([long_ago])) == pytest.approx(1000 / 101)


def test_from_divergence_on_every_update_is_a_jump():
    for bad in (NAN, INF):
        row = flat(120)
        row[70:] = bad
        np.testing.assert_allclose(readings.spikes(losses([row])), [500])
    np.testing.assert_allclose(readings.spikes(losses([np.full(120, NAN)])), [1000])  # an exception ended it


def test_what_repeats_every_epoch_is_found_at_its_lag_under_a_fall():
    """A sawtooth of period 20 on a straight fall: 1 at whole periods; a sine: cos(2π lag / period)."""
    t = np.arange(200)
    teeth, wave = t % 20 - 9.5, np.sin(2 * np.pi * t / 20)
    runs = losses([3 - 0.01 * t + 0.1 * teeth, 5 - 0.02 * t + wave])
    found = readings.repeating(runs, [20, 40, 10, 5], epoch=20)
    np.testing.assert_allclose(found[:, :2], 1)
    np.testing.assert_allclose(found[1], np.cos(np.pi * np.array([4, 8, 2, 1]) / 2), atol=0.02)
    assert found[0, 2] == pytest.approx(-0.5, abs=0.02)  # of teeth: 1 − 6 s (1 − s) at a share s of the period
    np.testing.assert_allclose(found, readings.repeating(losses(7 * runs.train_loss), [20, 40, 10, 5], 20))


def test_the_mean_that_is_taken_off_is_that_of_the_epoch_around_an_update():
    """So a fall that slows down changes nothing: a parabola differs from its centred mean by a constant."""
    t = np.arange(210)
    teeth = t % 21 * 0.1
    plain, falling = losses([teeth]), losses([teeth + 1e-3 * (210 - t) ** 2])
    lags = [21, 10, 4]
    np.testing.assert_allclose(readings.repeating(falling, lags, 21), readings.repeating(plain, lags, 21), atol=1e-6)


def test_noise_repeats_nothing_and_a_repeated_order_of_it_does():
    """Two standard errors of a thousand runs' mean; and noise of the same strength on what repeats leaves a half."""
    rng = np.random.default_rng(0)
    noise, fixed = rng.normal(size=(1000, 300)), np.tile(rng.normal(size=(1000, 20)), 15)
    assert abs(readings.repeating(losses(noise), [20], 20).mean()) < 0.01
    assert readings.repeating(losses(noise), [60], 20).mean() == pytest.approx(0, abs=0.01)
    assert readings.repeating(losses(noise + fixed), [20], 20).mean() == pytest.approx(0.5, abs=0.03)


def test_a_repetition_needs_finite_losses_and_enough_updates():
    rows = [flat(60), np.where(np.arange(60) == 50, INF, flat(60))]
    assert np.isnan(readings.repeating(losses(rows), [20], 20)).all()
    assert np.isfinite(readings.repeating(losses([np.arange(43.0) ** 2]), [20], 20)).all()
    with pytest.raises(BadArgument, match="need 43 updates, and these runs did 42"):
        readings.repeating(losses([np.arange(42.0)]), [20], 20)


def test_jumps_of_a_run_know_neither_the_unit_of_the_loss_nor_the_other_runs():
    rng = np.random.default_rng(0)
    rows = np.exp(rng.normal(size=(6, 200)))
    found = readings.spikes(losses(rows))
    assert (found > 0).all()
    np.testing.assert_array_equal(readings.spikes(losses(7 * rows)), found)
    order = rng.permutation(6)
    np.testing.assert_array_equal(readings.spikes(losses(rows[order])), found[order])
    np.testing.assert_array_equal(readings.spikes(losses(rows).only([4])), found[4:5])


def test_jumps_need_more_than_twenty_updates():
    with pytest.raises(BadArgument, match="after update 20, and these runs did 20"):
        readings.spikes(losses([flat(20)]))
    assert readings.spikes(losses([flat(21)])) == [0]


def test_a_high_rate_jumps_more_in_real_runs():
    recipe = rt.Recipe(updates=60, past=16, width=8, batch_size=32, optimizer="sgd")
    calm, wild = (rt.train(recipe.but(lr=lr), rt.series.sines(800), range(6)) for lr in (0.03, 3.0))
    assert readings.spikes(wild).mean() > readings.spikes(calm).mean() + 10


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


def test_a_gradient_explodes_above_ten_times_the_median_before_it():
    """By the gradient's length alone; without a number from some update on, all that come after count."""
    rows = [flat(), flat(spikes=[50], height=10.0), flat(spikes=[30, 70], height=10.1), flat(spikes=[5], height=99)]
    some = losses(np.ones((4, 120)), gradient_norm=np.array(rows))
    np.testing.assert_allclose(readings.gradient_jumps(some), [0, 0, 20, 0])
    lost = flat()
    lost[70:] = NAN
    assert readings.gradient_jumps(losses(np.ones((1, 120)), gradient_norm=np.array([lost]))) == [500]


def test_a_run_is_solved_when_it_has_come_far_enough():
    some = scored([0.5, 0.51, 1.2, NAN, 0.0], floor=0.0)
    np.testing.assert_array_equal(readings.solved(some), [1, 0, 0, 0, 1])
    np.testing.assert_array_equal(readings.solved(some, 0.9), [0, 0, 0, 0, 1])
    np.testing.assert_array_equal(readings.solved(scored([5.0, 5.2], trivial=10, floor=0)), [1, 0])


def test_what_was_never_reached_is_marked_and_steps_are_updates_times_windows_times_their_length():
    valid = [[0.9, 0.5, 0.1], [0.9, 0.8, NAN], [0.4, 0.9, 0.9]]
    some = losses(np.zeros((3, 100)), valid_score=np.array(valid), evaluations=np.array([0, 10, 100]),
                  valid_trivial=np.ones(3))  # fmt: skip
    np.testing.assert_array_equal(readings.to_target(some), [10, -100, 1])
    np.testing.assert_array_equal(readings.to_target(some, 0.85), [100, -100, -100])
    recipe = some.recipes[0]
    np.testing.assert_array_equal(readings.tokens_to(some), np.array([10, -100, 1]) * recipe.batch_size * recipe.past)
    for change, new in (({"chunk": 8}, 8), ({"chunk": 8, "stride": 2}, 2)):
        some.recipes = (recipe.but(**change),) * 3
        np.testing.assert_array_equal(readings.tokens_to(some), np.array([10, -100, 1]) * recipe.batch_size * new)


def test_seconds_are_the_calibrations_and_never_the_runs_own():
    valid = np.array([[0.9, 0.5], [0.9, 0.8]])
    some = losses(np.zeros((2, 100)), valid_score=valid, evaluations=np.array([0, 100]), valid_trivial=np.ones(2),
                  seconds=123.0)  # fmt: skip
    for read in (readings.seconds_per_update, readings.seconds_per_window, readings.seconds_to):
        with pytest.raises(BadArgument, match="calibrated"):
            read(some)
    some.readings[readings.CALIBRATED] = np.array([0.002, 0.003])
    np.testing.assert_allclose(readings.seconds_to(some), [0.2, -0.3])
    np.testing.assert_allclose(readings.seconds_per_window(some), np.array([0.002, 0.003]) / 16)
    np.testing.assert_allclose(readings.seconds_per_window(some.only([1])), [0.003 / 16])


def test_the_usable_range_is_a_factor_that_every_rate_within_a_tenth_of_the_best_widens():
    mine = {0.001: scored([0.9, 0.30]), 0.01: scored([0.5, 0.32]), 0.1: scored([0.55, NAN])}
    theirs = {rate: scored([0.8, 0.4]) for rate in mine}
    np.testing.assert_allclose(readings.usable_range(mine, theirs), [100, 100])
    np.testing.assert_allclose(readings.usable_range(theirs, mine), [1, 1])
    better = theirs | {0.01: scored([0.4, 0.2])}
    np.testing.assert_allclose(readings.usable_range(mine, better), [1, 1])  # the best is that of both sides
    halves = {rate: scored([0.5]) for rate in rt.tuning.half_decades(-3, -1)}
    np.testing.assert_allclose(readings.usable_range(halves, halves), [10**2.5], rtol=1e-6)
    with pytest.raises(BadArgument, match="evenly spaced"):
        readings.usable_range({0.1: scored([0.5])}, halves)


def test_a_side_that_is_naive_everywhere_has_no_usable_rate():
    """All its errors are equal, so all would be within a tenth of the best."""
    naive = {rate: scored([1.0, NAN, 7.0]) for rate in (0.01, 0.1, 1.0)}
    np.testing.assert_array_equal(readings.usable_range(naive, naive), [1, 1, 1])


def test_the_best_rate_is_read_off_the_validation_part_seed_by_seed():
    tried = {0.1: scored([0.1, 0.1, 0.1, 0.1], valid=[0.5, NAN, 0.3, INF]),
             0.001: scored([0.9] * 4, valid=[0.4, 0.9, 0.3, NAN])}  # fmt: skip
    np.testing.assert_array_equal(readings.best_rates(tried), [0.001, 0.001, 0.001, 0.001])
    tried[0.01] = scored([0.9] * 4, valid=[0.41, 0.8, 0.2, 2.0])
    np.testing.assert_array_equal(readings.best_rates(tried), [0.001, 0.01, 0.01, 0.01])
    kept = {rate: scored([0.0] * 4) for rate in tried}
    for rate, runs in tried.items():
        kept[rate].readings["validation error"] = readings.validation_error(runs)
        kept[rate].valid_score = np.zeros((4, 0))
    np.testing.assert_array_equal(readings.best_rates(kept), readings.best_rates(tried))
