"""What an update costs: the rounds, with a clock of the test's own. No test looks at real seconds."""

import numpy as np

import rnntips as rt
from rnntips.timing import calibrate, machine

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
    lengths = []
    calibrate([SMALL], None, range(5), turn=lambda recipe, updates: lengths.append(updates) or 0.0001)
    assert lengths[:2] == [3, 3] and set(lengths[2:]) == {2 + 120}  # 60 ms for five runs side by side
    lengths.clear()
    calibrate([SMALL], None, range(5), turn=lambda recipe, updates: lengths.append(updates) or 10.0)
    assert set(lengths[2:]) == {4}


def test_real_updates_are_timed_whatever_the_budget_is_in():
    task = rt.tasks.forecast(rt.series.sines(600))
    sides = [SMALL, SMALL.but(budget=rt.epochs(1)), SMALL.but(lr=1e6, optimizer="sgd")]
    found = calibrate(sides, task, range(2))
    assert all(np.isfinite(side).all() and (side > 0).all() for side in found)
    assert machine()
