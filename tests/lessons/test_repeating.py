"""How much of a loss's ups and downs comes back: closed forms, and noise."""

import numpy as np
import pytest

import rnntips as rt
from rnntips.errors import BadArgument
from rnntips.lessons.shuffling.figure import repeating


def losses(rows):
    """A finished record of these training losses, one row a run."""
    rows = np.array(rows, dtype=float)
    return rt.Runs((rt.Recipe(),) * len(rows), seeds=np.arange(len(rows)), train_loss=rows, reached=rows.shape[1])


def test_what_repeats_every_epoch_is_found_at_its_lag_under_a_fall():
    """A sawtooth of period 20 on a straight fall: 1 at whole periods; a sine: cos(2π lag / period)."""
    t = np.arange(200)
    teeth, wave = t % 20 - 9.5, np.sin(2 * np.pi * t / 20)
    runs = losses([3 - 0.01 * t + 0.1 * teeth, 5 - 0.02 * t + wave])
    found = repeating(runs, [20, 40, 10, 5], epoch=20)
    np.testing.assert_allclose(found[:, :2], 1)
    np.testing.assert_allclose(found[1], np.cos(np.pi * np.array([4, 8, 2, 1]) / 2), atol=0.02)
    assert found[0, 2] == pytest.approx(-0.5, abs=0.02)  # of teeth: 1 − 6 s (1 − s) at a share s of the period
    np.testing.assert_allclose(found, repeating(losses(7 * runs.train_loss), [20, 40, 10, 5], 20))


def test_the_mean_that_is_taken_off_is_that_of_the_epoch_around_an_update():
    """So a fall that slows down changes nothing: a parabola differs from its centred mean by a constant."""
    t = np.arange(210)
    teeth = t % 21 * 0.1
    plain, falling = losses([teeth]), losses([teeth + 1e-3 * (210 - t) ** 2])
    lags = [21, 10, 4]
    np.testing.assert_allclose(repeating(falling, lags, 21), repeating(plain, lags, 21), atol=1e-6)


def test_noise_repeats_nothing_and_a_repeated_order_of_it_does():
    """Two standard errors of a thousand runs' mean; and noise of the same strength on what repeats leaves a half."""
    rng = np.random.default_rng(0)
    noise, fixed = rng.normal(size=(1000, 300)), np.tile(rng.normal(size=(1000, 20)), 15)
    assert abs(repeating(losses(noise), [20], 20).mean()) < 0.01
    assert repeating(losses(noise), [60], 20).mean() == pytest.approx(0, abs=0.01)
    assert repeating(losses(noise + fixed), [20], 20).mean() == pytest.approx(0.5, abs=0.03)


def test_a_repetition_needs_finite_losses_and_enough_updates():
    rows = [np.ones(60), np.where(np.arange(60) == 50, np.inf, 1.0)]
    assert np.isnan(repeating(losses(rows), [20], 20)).all()
    assert np.isfinite(repeating(losses([np.arange(43.0) ** 2]), [20], 20)).all()
    with pytest.raises(BadArgument, match="need 43 updates, and these runs did 42"):
        repeating(losses([np.arange(42.0)]), [20], 20)
