"""What an update costs: the rounds, with a clock of the test's own. No test looks at real seconds."""

import numpy as np
import pytest

import rnntips as rt
from evidence.timing import calibrate, clocked, machine, milliseconds
from rnntips.training import Job

SMALL = rt.Recipe(updates=30, past=8, width=4, batch_size=4)


def test_every_round_times_every_side_and_every_other_goes_backwards():
    sides, asked = [SMALL, SMALL.but(width=8), SMALL.but(batch_size=8)], []

    def turn(recipe, updates):
        asked.append((sides.index(recipe), updates))
        return 0.001 * len(asked)

    found = calibrate(sides, None, range(4), turn=turn)
    assert [i for i, _ in asked[:6]] == [0, 0, 1, 1, 2, 2]  # compiled, then measured for the length of a turn
    assert [i for i, _ in asked[6:]] == [0, 1, 2, 2, 1, 0, 0, 1, 2, 2, 1, 0]
    assert [side.shape for side in found] == [(4,)] * 3
    np.testing.assert_allclose(found[0], 0.001 * np.array([7, 12, 13, 18]))
    np.testing.assert_allclose(found[2], 0.001 * np.array([9, 10, 15, 16]))


def test_a_turn_is_long_enough_to_be_timed_and_no_longer():
    for seconds, length in ((0.0001, 2 + 120), (10.0, 4)):  # 60 ms for five runs side by side
        lengths = []
        calibrate([SMALL], None, range(5), turn=lambda _, updates: lengths.append(updates) or seconds)  # noqa: B023
        assert lengths[:2] == [3, 3] and set(lengths[2:]) == {length}


def test_the_clock_is_read_around_every_update_and_evaluations_take_no_part(monkeypatch):
    """By a clock that an evaluation moves on by a second, and a reading by a millisecond."""
    now, task = [0.0], rt.tasks.forecast(rt.series.sines(600))
    monkeypatch.setattr("evidence.timing.time.perf_counter", lambda: now.append(now[-1] + 0.001) or now[-1])
    monkeypatch.setattr("rnntips.training._evaluate", lambda *_: now.append(now[-1] + 1))
    job = Job([SMALL.but(updates=5)] * 2, [0, 1], task)
    times = clocked(job)
    assert len(times) == 6
    np.testing.assert_allclose(np.diff(times), 0.001)
    assert milliseconds([0.0, 9.0, 9.001, 9.003]) == pytest.approx(1.5)  # without the first
    np.testing.assert_allclose(np.diff(clocked(job, evaluate=True)), [1.001] * 4 + [2.002])


def test_real_updates_are_timed_whatever_the_budget_is_in():
    task = rt.tasks.forecast(rt.series.sines(600))
    sides = [SMALL, SMALL.but(budget=rt.epochs(1)), SMALL.but(lr=1e6, optimizer="sgd")]
    found = calibrate(sides, task, range(2))
    assert all(np.isfinite(side).all() and (side > 0).all() for side in found)
    assert machine()
