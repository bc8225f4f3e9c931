"""Related series, pooled or one alone, and rolling origins of one series."""

from itertools import pairwise

import numpy as np
import pytest

import rnntips as rt
from rnntips.errors import BadArgument, BadData
from rnntips.tasks import stream

TASK = rt.tasks.related(6, 120)
RECIPE = rt.Recipe(past=12, updates=3, batch_size=8, width=5)


def test_pooled_windows_are_those_of_all_series_and_only_the_first_is_scored():
    """Its windows, scaled by its own training part, give its values back; the others' never reach its later times."""
    pooled, alone = (TASK.examples(RECIPE.but(pooled=some), 3) for some in (True, False))
    values = TASK._values(stream("data", TASK.name, 3))
    series = np.repeat(np.arange(6), 108)
    assert set(series[pooled.of(0)]) == set(range(6)) and set(series[alone.of(0)]) == {0}
    for part in (1, 2):
        assert set(series[pooled.of(part)]) == {0} and np.array_equal(pooled.of(part), alone.of(part))
    for one, other in pairwise([pooled.times[pooled.of(part)] for part in range(3)]):
        assert one.max() < other.min()
    test = pooled.of(2)
    shown = pooled.inputs(test)[..., 0] * pooled.spread + pooled.offset[0]
    np.testing.assert_allclose(shown, [values[0, t - 12 : t] for t in pooled.times[test]], rtol=1e-4)
    np.testing.assert_allclose(pooled.truth[test, 0], values[0, pooled.times[test]])
    every = pooled.inputs(np.arange(len(series)))[series == 4][:, 0, 0]
    np.testing.assert_allclose(every, (values[4, :108] - values[4, :72].mean()) / values[4, :72].std(), rtol=1e-4)


def test_naive_repeats_the_last_value_and_the_floor_is_below_it():
    naive, floor, valid = TASK.bounds(RECIPE, 3)
    examples, values = TASK.examples(RECIPE, 3), TASK._values(stream("data", TASK.name, 3))[0]
    for part, found in ((1, valid), (2, naive)):
        times = examples.times[examples.scored(part)]
        assert found == pytest.approx(np.sqrt(np.mean((values[times] - values[times - 1]) ** 2)))
    assert floor < naive


def test_the_floor_is_the_error_of_who_knows_all_but_the_next_shock():
    """The first series' shape is that of a series of the same seed without noise."""
    task = rt.tasks.related(2, 20_000)
    values = task._values(np.random.default_rng(0))[0]
    season = values[: len(values) // 24 * 24].reshape(-1, 24).mean(0)
    rest = values - np.resize(season, len(values))
    assert np.std(rest[1:] - 0.5 * rest[:-1]) == pytest.approx(task.bounds(RECIPE, 0)[1], rel=0.02)


def test_pooling_helps_where_series_are_short_and_one_change_is_what_a_study_needs():
    sides = RECIPE.but(past=24, width=16, updates=600, pooled=False), RECIPE.but(past=24, width=16, updates=600)
    study = rt.compare(*sides, rt.tasks.related(20, 200), range(20))
    assert study.verdict == "BETTER" and study.names == ("one series alone", "all series pooled")
    with pytest.raises(BadArgument, match="pooled changes nothing on sines"):
        rt.compare(RECIPE.but(pooled=False), RECIPE, rt.series.sines(), range(10))


@pytest.mark.parametrize(("sizes", "words"), [((1, 100), "series=1.*at least 2"), ((5, 30), "steps=30.*at least 48")])
def test_sizes_that_cannot_be_are_refused(sizes, words):
    with pytest.raises(BadArgument, match=words):
        rt.tasks.related(*sizes)
    with pytest.raises(BadArgument, match=r"past=40 is too long.*at most 35"):
        rt.train(RECIPE.but(past=40), TASK, [0])


@pytest.mark.parametrize("count", [2, 5])
def test_test_parts_of_different_origins_do_not_overlap_whatever_the_seed(count):
    series = rt.series.from_array(np.arange(2000.0) + np.random.default_rng(0).normal(size=2000))
    tasks, reached = rt.tasks.origins(series, count), []
    assert len(tasks) == count and all(name == task.name for name, task in tasks.items())
    for task in tasks.values():
        tested = [example.truth[example.of(2)] for example in (task.examples(RECIPE, seed) for seed in range(20))]
        reached.append((min(one.min() for one in tested), max(one.max() for one in tested)))
        assert len(task.series) == int(2000 / (1 + 0.36 * (count - 1)))
    assert all(mine[1] < theirs[0] + 10 for mine, theirs in pairwise(reached))
    assert reached[-1][1] > 1900


def test_what_has_no_origins_is_refused():
    with pytest.raises(BadData, match="simulated: every seed draws it anew"):
        rt.tasks.origins(rt.series.demand())
    with pytest.raises(BadData, match=r"5 origins leave 61 for each. 64 are needed"):
        rt.tasks.origins(rt.series.from_array(np.random.default_rng(0).normal(size=150)))
    with pytest.raises(BadArgument, match="count=1"):
        rt.tasks.origins(rt.series.co2(), 1)
