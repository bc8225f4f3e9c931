"""Effects, intervals, and the rule that makes findings and sentences of them."""

from math import comb

import numpy as np
import pytest

from rnntips.errors import BadArgument
from rnntips.verdict import (
    LEAST,
    Comparison,
    Scores,
    cap,
    decide,
    effects,
    failures,
    find,
    interval,
    left_out,
    middle,
    progress,
    sentence,
    tail,
    trained,
)


def test_a_failed_run_counts_as_naive_and_is_never_dropped():
    scores, naive = np.array([3.0, np.nan, np.inf, 50.0]), np.full(4, 10.0)
    np.testing.assert_array_equal(cap(scores, naive), [3, 10, 10, 10])


def test_runs_without_error_are_equally_good():
    """Where the floor is 0, a thousandth of naive is as good as nothing, and ratios stay finite."""
    scores, naive = np.array([0.0, 1e-30, LEAST, 0.01]), np.ones(4)
    np.testing.assert_array_equal(cap(scores, naive), [LEAST, LEAST, LEAST, 0.01])
    np.testing.assert_allclose(effects(scores, scores[::-1], naive), [-np.log(10), 0, 0, np.log(10)], atol=1e-12)
    np.testing.assert_allclose(progress(scores, naive, np.zeros(4)), [1, 1, 1 - LEAST, 0.99])


def test_effects_are_log_ratios_and_their_mean_a_geometric_one():
    variant, baseline = np.array([2.0, 8.0]), np.array([4.0, 4.0])
    d = effects(variant, baseline, np.full(2, 100.0))
    np.testing.assert_allclose(np.exp(d.mean()), 1.0)
    np.testing.assert_allclose(d, -effects(baseline, variant, np.full(2, 100.0)))


def test_progress_runs_from_naive_to_floor():
    way = progress(np.array([10.0, 6.0, 2.0, 99.0]), np.full(4, 10.0), np.full(4, 2.0))
    np.testing.assert_allclose(way, [0, 0.5, 1, 0])
    assert trained(np.array([8.0, 8.0, 9.9, np.nan]), np.full(4, 10.0), np.full(4, 0.0))
    assert not trained(np.array([8.0, 9.0, 9.9, np.nan]), np.full(4, 10.0), np.full(4, 0.0))


@pytest.mark.parametrize(("n", "out", "covers"), [(5, -1, 1), (6, 0, 0.96875), (10, 1, 0.978516), (20, 5, 0.958611)])
def test_values_left_out_of_the_interval_are_those_of_the_sign_test(n, out, covers):
    assert left_out(n) == out
    assert 1 - 2 * tail(out, n) == pytest.approx(covers, abs=1e-6)
    assert n == 5 or 1 - 2 * tail(out + 1, n) < 0.95


def test_the_interval_holds_what_a_sign_test_does_not_reject():
    d = np.random.default_rng(0).normal(0.3, 1, 20)

    def p_value(m):
        fewer = min(np.sum(d > m), np.sum(d < m))
        return min(1, 2 * sum(comb(20, i) for i in range(fewer + 1)) / 2**20)

    low, high = interval(d)
    assert min(p_value(m) for m in np.linspace(low, high, 201)[1:-1]) > 0.05
    assert max(p_value(m) for m in (low - 1e-9, high + 1e-9)) <= 0.05


def test_intervals_move_stretch_and_mirror_with_the_data():
    d = np.random.default_rng(1).normal(size=(3, 20))
    low, high = interval(d)
    assert low < middle(d) < high
    np.testing.assert_allclose(interval(3 * d + 5), (3 * low + 5, 3 * high + 5))
    np.testing.assert_allclose(interval(-d), (-high, -low))
    np.testing.assert_allclose(interval(d[0]), interval(d[:1]))
    np.testing.assert_allclose(interval(d[:, ::-1]), (low, high))


@pytest.mark.parametrize(
    ("n", "k", "p", "sides"),
    [(10, 1, 0.2, 1), (10, 4, 0.2, 2), (20, 1, 0, 1), (20, 4, 0, 1), (20, 4, 0.05, 2), (20, 4, 0.2, 1)],
)
def test_the_interval_covers_as_often_as_it_says_where_runs_fail(n, k, p, sides):
    """A share p of the runs of one side, or of both, errs twice as much; k settings of different spread."""
    rng, rounds = np.random.default_rng([n, k, int(100 * p), sides]), 600
    deviation = np.array([0.05, 0.1, 0.03, 0.15])[:k, None]

    def draw(*shape):
        d = deviation * rng.normal(size=shape) + np.log(2) * (rng.random(shape) < p)
        return d - np.log(2) * (rng.random(shape) < p) if sides == 2 else d

    true = middle(draw(k, 100_000))
    held = np.mean([low <= true <= high for low, high in map(interval, draw(rounds, k, n))])
    assert held > 0.95 - 3 * np.sqrt(0.05 * 0.95 / rounds)


def spread_around(mean, deviation, n=20):
    d = np.random.default_rng(0).normal(size=n)
    return mean + deviation * (d - d.mean()) / d.std()


@pytest.mark.parametrize(
    ("expected", "d", "any_trained"),
    [
        ("WORSE", spread_around(0.4, 0.1), True),
        ("BETTER", spread_around(-0.4, 0.1), True),
        ("SAME", spread_around(0.0, 0.02), True),
        ("SAME", spread_around(0.03, 0.005), True),  # apart from 0, but wholly within what does not matter
        ("UNCLEAR", spread_around(0.0, 0.5), True),
        ("UNCLEAR", spread_around(0.4, 0.1, n=9), True),
        ("NOT TRAINED", spread_around(0.4, 0.1), False),
    ],
)
def test_findings_follow_the_rule(expected, d, any_trained):
    assert find(d, any_trained).verdict == expected


def test_a_finding_is_in_relative_numbers_and_mirrors_when_sides_swap():
    d = spread_around(np.log(1.5), 0.1)
    there, back = find(d, True), find(-d, True)
    assert there.effect == pytest.approx(0.5)
    assert there.typical == pytest.approx(np.exp(np.median(d)) - 1)
    for one, other in (
        (there.effect, back.effect),
        (there.typical, back.typical),
        (there.interval[0], back.interval[1]),
    ):
        assert (1 + one) * (1 + other) == pytest.approx(1)
    assert (there.wins, there.losses) == (back.losses, back.wins)
    assert there.wins + there.losses == there.n == there.runs == 20
    assert there.interval[0] < there.typical < there.interval[1]
    assert there.strength == pytest.approx(-back.strength) == pytest.approx(np.median(d) / np.log(1.05))


def test_a_difference_called_detectable_is_found_four_times_out_of_five():
    rng = np.random.default_rng(5)
    noise = rng.normal(0, 0.2, (300, 20))
    typical = np.median([find(row, True).detectable for row in noise[:100]])
    found = [find(row + np.log1p(typical), True).verdict == "WORSE" for row in noise]
    assert 0.72 < np.mean(found) < 0.9


def test_uncapped_failures_are_refused():
    with pytest.raises(BadArgument, match="cap the scores"):
        find(np.array([0.1, np.nan]), True)


def test_settings_weigh_equally_and_a_failure_in_one_moves_no_median():
    d = np.array([spread_around(0.1, 0.02), spread_around(0.3, 0.05)])
    d[1, 0] += 50
    found, alone = find(d, True), [find(row, True) for row in d]
    assert np.log1p(found.typical) == pytest.approx(np.mean([np.log1p(one.typical) for one in alone]))
    assert np.log1p(found.effect) == pytest.approx(d.mean())
    assert found.typical < 0.25 < 1 < found.effect
    assert (found.n, found.runs) == (20, 40)


def failing(variant, baseline, n=20):
    failed = np.zeros(n, dtype=int)
    failed[:variant], failed[variant : variant + baseline] = 1, -1
    return failed


@pytest.mark.parametrize(
    ("expected", "d", "failed"),
    [
        ("SAME", spread_around(0, 0.02), failing(1, 0)),
        ("UNCLEAR", spread_around(0, 0.02), failing(2, 0)),
        ("UNCLEAR", spread_around(0, 0.02), failing(0, 2)),
        ("SAME", spread_around(0, 0.02), failing(4, 4)),
        ("BETTER", spread_around(-0.4, 0.1), failing(5, 0)),
        ("UNCLEAR", spread_around(-0.4, 0.1), failing(6, 0)),  # six tosses all heads: 3 %
        ("UNCLEAR", spread_around(0.4, 0.1), failing(0, 6)),
        ("BETTER", spread_around(-0.4, 0.1), failing(0, 6)),
    ],
)
def test_failures_can_only_take_a_verdict_back(expected, d, failed):
    assert find(d, True, failed=failed).verdict == expected


def test_failures_are_those_of_one_side_alone():
    naive, nan = np.full(4, 10.0), np.nan
    found = failures(np.array([1.0, 10.0, nan, 99.0]), np.array([1.0, 5.0, nan, 5.0]), naive)
    np.testing.assert_array_equal(found, [0, 1, 0, 1])
    np.testing.assert_array_equal(failures(np.full(4, 5.0), np.array([1, 10, nan, 2.0]), naive), [0, -1, -1, 0])


def test_ties_are_neither_wins_nor_losses():
    d = np.array([0.0] * 2 + [0.5] * 8)
    there, back = find(d, True), find(-d, True)
    assert (there.wins, there.losses, there.n) == (0, 8, 10)
    assert there.verdict == "UNCLEAR"  # two ties: the second smallest of ten is 0
    d[1] = 0.5
    there, back = find(d, True), find(-d, True)
    assert "in 9 of 10 runs" in sentence(there) and "in 9 of 10 runs" in sentence(back)


def test_a_sentence_tells_the_average_where_it_is_not_typical():
    d = spread_around(np.log(1.1), 0.01)
    assert "average" not in sentence(find(d, True))
    d[:2] += 5
    assert "On average +81 %, since 2 runs failed." in sentence(find(d, True, failed=failing(2, 0)))
    assert "On average +81 %, since a few runs differ far more." in sentence(find(d, True))
    assert sentence(find(d, True)).startswith("Higher error in 20 of 20 runs: +1")


def test_too_few_runs_say_so():
    assert sentence(find(np.array([0.001, -0.001]), True)) == "Undecided: 2 runs a side are too few; 10 are needed."


@pytest.mark.parametrize("end", [-1e-15, 0.0, 1.5e-6])
def test_an_interval_that_ends_at_0_decides_nothing_however_it_was_rounded(end):
    """Counts lie on a lattice, so an end of exactly 0 is common; a record's six digits must not make it a verdict."""
    assert decide(4.0, end, 5.0, 1.0, 40, True) == decide(-4.0, -5.0, -end, 1.0, 40, True) == "UNCLEAR"
    assert decide(4.0, 0.01, 5.0, 1.0, 40, True) == "WORSE" and decide(-4.0, -5.0, -0.01, 1.0, 40, True) == "BETTER"


# ── comparisons of scores ───────────────────────────────────────────────────


def scores(middle, n=12, seed=0, **readings):
    """Scores around a middle, between a naive error of 1 and a floor of 0."""
    rng = np.random.default_rng(seed)
    return Scores(middle * np.exp(0.01 * rng.normal(size=n)), np.ones(n), np.zeros(n), readings)


def test_some_of_the_scores_keep_everything_that_belongs_to_them():
    whole = Scores(*np.arange(15.0).reshape(3, 5), {"spikes": np.arange(5) ** 2})
    some = whole.only([3, 1])
    assert len(whole) == 5 and len(some) == 2
    for name, expected in {"score": [3, 1], "naive": [8, 6], "floor": [13, 11]}.items():
        np.testing.assert_array_equal(getattr(some, name), expected)
    np.testing.assert_array_equal(some.readings["spikes"], [9, 1])


def test_settings_in_which_neither_side_trained_are_left_out():
    """Runs at the naive error would pull what is pooled towards nothing. One trained side is enough to count."""
    lively, worse, dead = scores(0.4), scores(0.5, seed=1), scores(0.99, seed=2)
    alone, both = Comparison({"a": (lively, worse)}), Comparison({"a": (lively, worse), "b": (dead, dead)})
    assert both.finding == alone.finding and both.finding.verdict == "WORSE"
    assert (both.untrained, both.counted) == (["b"], ["a"])
    assert both.finding_of(["b"]).verdict == both.finding_of(["a", "b"]).verdict == "NOT TRAINED"
    nowhere = Comparison({"a": (dead, dead), "b": (dead, dead)})
    assert nowhere.counted == ["a", "b"] and nowhere.finding.verdict == "NOT TRAINED"
    one_side = Comparison({"a": (dead, lively)})
    assert (one_side.untrained, one_side.finding.verdict) == ([], "BETTER")


def test_a_comparison_depends_on_the_order_of_neither_settings_nor_seeds():
    pairs = {"a": (scores(0.4), scores(0.5, seed=1)), "b": (scores(0.6, seed=2), scores(0.61, seed=3)),
             "c": (scores(0.99, seed=4), scores(1.2, seed=5))}  # fmt: skip
    order = np.random.default_rng(6).permutation(12)
    there = Comparison(pairs)
    turned = Comparison({name: tuple(side.only(order) for side in pairs[name]) for name in reversed(pairs)})
    np.testing.assert_array_equal(turned.effects("a"), there.effects("a")[order])
    for name, value in vars(there.finding).items():
        close = pytest.approx(value, rel=1e-12) if isinstance(value, float | tuple) else value
        assert getattr(turned.finding, name) == close, name
    assert set(turned.counted) == set(there.counted) == {"a", "b"}


def test_a_comparison_counts_lone_failures_and_knows_the_smallest_that_matters():
    calm, wild = scores(0.4, n=20), scores(0.4, n=20)
    wild.score[:2] = np.nan, 3.0
    assert Comparison({"a": (calm, calm)}).finding.verdict == "SAME"
    found = Comparison({"a": (calm, wild)}).finding
    assert (found.verdict, found.failed, found.failing) == ("UNCLEAR", 2, pytest.approx(0.1))
    slightly = {"a": (calm, Scores(1.04 * calm.score, calm.naive, calm.floor))}
    assert [Comparison(slightly, smallest=least).finding.verdict for least in (0.05, 0.02)] == ["SAME", "WORSE"]
