"""Effects, intervals, and the rule that makes findings and sentences of them."""

from math import comb

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rnntips import verdict
from rnntips.errors import BadArgument
from rnntips.verdict import LEAST, Comparison, Scores, effects, failures, find, interval, middle, progress, sentence

NAN = np.nan


def test_a_failed_run_counts_as_naive_and_runs_without_error_are_equally_good():
    """Where the floor is 0, a thousandth of naive is as good as nothing, and ratios stay finite."""
    np.testing.assert_array_equal(verdict.cap(np.array([3.0, NAN, np.inf, 50.0]), np.full(4, 10.0)), [3, 10, 10, 10])
    scores, naive = np.array([0.0, 1e-30, LEAST, 0.01]), np.ones(4)
    np.testing.assert_array_equal(verdict.cap(scores, naive), [LEAST, LEAST, LEAST, 0.01])
    np.testing.assert_allclose(effects(scores, scores[::-1], naive), [-np.log(10), 0, 0, np.log(10)], atol=1e-12)
    np.testing.assert_allclose(progress(scores, naive, np.zeros(4)), [1, 1, 1 - LEAST, 0.99])


def test_effects_are_log_ratios_that_mirror():
    variant, baseline, naive = np.array([2.0, 8.0]), np.array([4.0, 4.0]), np.full(2, 100.0)
    np.testing.assert_allclose(np.exp(effects(variant, baseline, naive)), [0.5, 2])
    np.testing.assert_allclose(effects(variant, baseline, naive), -effects(baseline, variant, naive))


def test_progress_runs_from_naive_to_floor():
    way = progress(np.array([10.0, 6.0, 2.0, 99.0]), np.full(4, 10.0), np.full(4, 2.0))
    np.testing.assert_allclose(way, [0, 0.5, 1, 0])
    for second, expected in ((8.0, True), (9.0, False)):
        assert verdict.trained(np.array([8.0, second, 9.9, NAN]), np.full(4, 10.0), np.zeros(4)) == expected


@given(st.floats(0, 1), st.floats(0, 1.5), st.floats(0.1, 100))
@settings(max_examples=100, deadline=None)
def test_a_floor_near_naive_makes_the_way_no_shorter_than_a_tenth_of_naive(share, error, naive):
    """Nothing is divided by zero, and who counts as trained is decided as if the floor were nine tenths of naive."""
    scores, naive = np.full(3, error * naive), np.full(3, naive)
    found = progress(scores, naive, share * naive)
    assert np.isfinite(found).all() and (found >= 0).all()
    np.testing.assert_allclose(found, progress(scores, naive, np.minimum(share, 0.9) * naive))
    if error > 1 - 0.0199:
        assert not verdict.trained(scores, naive, share * naive)


@pytest.mark.parametrize(("n", "out", "covers"), [(5, -1, 1), (6, 0, 0.96875), (10, 1, 0.978516), (20, 5, 0.958611)])
def test_values_left_out_of_the_interval_are_those_of_the_sign_test(n, out, covers):
    assert verdict.left_out(n) == out
    assert 1 - 2 * verdict.tail(out, n) == pytest.approx(covers, abs=1e-6)
    assert n == 5 or 1 - 2 * verdict.tail(out + 1, n) < 0.95


@pytest.mark.parametrize("level", [0.9, 0.95, 0.99, 0.999])
def test_as_many_values_are_left_out_as_tails_of_the_coin_allow(level):
    """Against the definition, tail by tail; the sum that runs along is one of whole numbers, for thousands as well."""
    for n in [*range(60), 200, 1023, 1024, 1025]:
        out, most = verdict.left_out(n, level), (1 - level) / 2
        assert (out < 0 or verdict.tail(out, n) <= most) and verdict.tail(out + 1, n) > most
    assert abs(verdict.left_out(100_000) - (50_000 - 1.96 * 100_000**0.5 / 2)) < 2


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


@pytest.mark.parametrize(("n", "k", "p", "sides"), [(10, 1, 0.2, 1), (10, 4, 0.2, 2), (20, 1, 0, 1), (20, 4, 0, 1),
                                                    (20, 4, 0.05, 2), (20, 4, 0.2, 1)])  # fmt: skip
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


def around(mean, deviation, n=20):
    """So many effects of exactly this mean and deviation."""
    d = np.random.default_rng(0).normal(size=n)
    return mean + deviation * (d - d.mean()) / d.std()


def failing(variant, baseline, n=20):
    return np.repeat([1, -1, 0], [variant, baseline, n - variant - baseline])


@pytest.mark.parametrize(
    ("expected", "d", "any_trained", "failed"),
    [
        ("WORSE", around(0.4, 0.1), True, None), ("BETTER", around(-0.4, 0.1), True, None),
        ("SAME", around(0.0, 0.02), True, None),
        ("SAME", around(0.03, 0.005), True, None),  # apart from 0, but wholly within what does not matter
        ("UNCLEAR", around(0.0, 0.5), True, None), ("UNCLEAR", around(0.4, 0.1, n=9), True, None),
        ("NOT TRAINED", around(0.4, 0.1), False, None),
        # failures can only take a verdict back
        ("SAME", around(0, 0.02), True, failing(1, 0)), ("UNCLEAR", around(0, 0.02), True, failing(2, 0)),
        ("UNCLEAR", around(0, 0.02), True, failing(0, 2)), ("SAME", around(0, 0.02), True, failing(4, 4)),
        ("BETTER", around(-0.4, 0.1), True, failing(5, 0)),
        ("UNCLEAR", around(-0.4, 0.1), True, failing(6, 0)),  # six tosses all heads: 3 %
        ("UNCLEAR", around(0.4, 0.1), True, failing(0, 6)), ("BETTER", around(-0.4, 0.1), True, failing(0, 6)),
    ],
)  # fmt: skip
def test_findings_follow_the_rule(expected, d, any_trained, failed):
    assert find(d, any_trained, failed=failed).verdict == expected


def test_failures_are_those_of_one_side_alone():
    naive = np.full(4, 10.0)
    found = failures(np.array([1.0, 10.0, NAN, 99.0]), np.array([1.0, 5.0, NAN, 5.0]), naive)
    np.testing.assert_array_equal(found, [0, 1, 0, 1])
    np.testing.assert_array_equal(failures(np.full(4, 5.0), np.array([1, 10, NAN, 2.0]), naive), [0, -1, -1, 0])
    with pytest.raises(BadArgument, match="cap the scores"):
        find(np.array([0.1, NAN]), True)


def test_a_finding_is_in_relative_numbers_and_mirrors_when_sides_swap():
    d = around(np.log(1.5), 0.1)
    there, back = find(d, True), find(-d, True)
    assert there.effect == pytest.approx(0.5) and there.typical == pytest.approx(np.exp(np.median(d)) - 1)
    mirrored = zip((there.effect, there.typical, *there.interval), (back.effect, back.typical, *back.interval[::-1]),
                   strict=True)  # fmt: skip
    assert [(1 + one) * (1 + other) for one, other in mirrored] == pytest.approx([1] * 4)
    assert (there.wins, there.losses) == (back.losses, back.wins)
    assert there.wins + there.losses == there.n == there.runs == 20
    assert there.interval[0] < there.typical < there.interval[1]
    assert there.strength == pytest.approx(-back.strength) == pytest.approx(np.median(d) / np.log(1.05))


def test_a_difference_called_detectable_is_found_four_times_out_of_five():
    noise = np.random.default_rng(5).normal(0, 0.2, (300, 20))
    typical = np.median([find(row, True).detectable for row in noise[:100]])
    found = [find(row + np.log1p(typical), True).verdict == "WORSE" for row in noise]
    assert 0.72 < np.mean(found) < 0.9


def test_settings_weigh_equally_and_a_failure_in_one_moves_no_median():
    d = np.array([around(0.1, 0.02), around(0.3, 0.05)])
    d[1, 0] += 50
    found, alone = find(d, True), [find(row, True) for row in d]
    assert np.log1p(found.typical) == pytest.approx(np.mean([np.log1p(one.typical) for one in alone]))
    assert np.log1p(found.effect) == pytest.approx(d.mean())
    assert found.typical < 0.25 < 1 < found.effect
    assert (found.n, found.runs) == (20, 40)


def test_ties_are_neither_wins_nor_losses():
    d = np.array([0.0] * 2 + [0.5] * 8)
    found = find(d, True)
    assert (found.wins, found.losses, found.n) == (0, 8, 10)
    assert found.verdict == "UNCLEAR"  # two ties: the second smallest of ten is 0
    d[1] = 0.5
    assert all("in 9 of 10 runs" in sentence(find(sign * d, True)) for sign in (1, -1))


def test_a_sentence_tells_the_average_where_it_is_not_typical_and_that_runs_are_too_few():
    d = around(np.log(1.1), 0.01)
    assert "average" not in sentence(find(d, True))
    d[:2] += 5
    assert "On average +81 %, since 2 runs failed." in sentence(find(d, True, failed=failing(2, 0)))
    assert "On average +81 %, since a few runs differ far more." in sentence(find(d, True))
    assert sentence(find(d, True)).startswith("Higher error in 20 of 20 runs: +1")
    assert sentence(find(d[:2], True)) == "Undecided: 2 runs a side are too few; 10 are needed."


@pytest.mark.parametrize("end", [-1e-15, 0.0, 1.5e-6])
def test_an_interval_that_ends_at_0_decides_nothing_however_it_was_rounded(end):
    """Counts lie on a lattice, so an end of exactly 0 is common; a record's six digits must not make it a verdict."""
    assert verdict.decide(4.0, end, 5.0, 1.0, 40, True) == verdict.decide(-4.0, -5.0, -end, 1.0, 40, True) == "UNCLEAR"
    assert (
        verdict.decide(4.0, 0.01, 5.0, 1.0, 40, True) == "WORSE"
        and verdict.decide(-4.0, -5.0, -0.01, 1.0, 40, True) == "BETTER"
    )


def scores(middle, n=12, seed=0):
    """Scores around a middle, between a naive error of 1 and a floor of 0."""
    return Scores(middle * np.exp(0.01 * np.random.default_rng(seed).normal(size=n)), np.ones(n), np.zeros(n))


def test_some_of_the_scores_keep_everything_that_belongs_to_them():
    some = Scores(*np.arange(15.0).reshape(3, 5), {"spikes": np.arange(5) ** 2}).only([3, 1])
    found = [some.score, some.naive, some.floor, some.readings["spikes"]]
    np.testing.assert_array_equal(found, [[3, 1], [8, 6], [13, 11], [9, 1]])
    assert len(some) == 2


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
    there, order = Comparison(pairs), np.random.default_rng(6).permutation(12)
    turned = Comparison({name: tuple(side.only(order) for side in pairs[name]) for name in reversed(pairs)})
    np.testing.assert_array_equal(turned.effects("a"), there.effects("a")[order])
    for name, value in vars(there.finding).items():
        close = pytest.approx(value, rel=1e-12) if isinstance(value, float | tuple) else value
        assert getattr(turned.finding, name) == close, name
    assert set(turned.counted) == set(there.counted) == {"a", "b"}


def test_a_comparison_counts_lone_failures_and_knows_the_smallest_that_matters():
    calm, wild = scores(0.4, n=20), scores(0.4, n=20)
    wild.score[:2] = NAN, 3.0
    assert Comparison({"a": (calm, calm)}).finding.verdict == "SAME"
    found = Comparison({"a": (calm, wild)}).finding
    assert (found.verdict, found.failed, found.failing) == ("UNCLEAR", 2, pytest.approx(0.1))
    slightly = {"a": (calm, Scores(1.04 * calm.score, calm.naive, calm.floor))}
    assert [Comparison(slightly, smallest=least).finding.verdict for least in (0.05, 0.02)] == ["SAME", "WORSE"]


def test_errors_beyond_twice_naive_are_worded_as_factors():
    for pair, said in [((0.6, 6.5), "0.60 of naive against 6.5 times naive"),
                       ((1.996, 12345.0), "2.00 of naive against 12,000 times naive"),
                       ((np.inf, 1.0), "divergence against 1.00 of naive"),
                       ((np.nan, None), "divergence against divergence")]:  # fmt: skip
        assert verdict.against(*pair) == said


def test_factors_have_two_digits_however_large():
    assert [verdict.change(value, "times") for value in (0.78, 119.0, 1499.0)] == ["× 1.8", "× 120", "× 1,500"]
    assert verdict.size(119.0, "times") == "a factor of 120"
