"""Effects, intervals and the rules that turn them into words."""

from math import comb

import numpy as np
import pytest

from rnntips.errors import BadArgument
from rnntips.evidence import (
    LEAST,
    Finding,
    cap,
    decide,
    effects,
    failures,
    find,
    gap,
    interval,
    left_out,
    middle,
    progress,
    sentence,
    tail,
    trained,
)
from rnntips.words import Condition, word


def test_a_failed_run_counts_as_trivial_and_is_never_dropped():
    scores, trivial = np.array([3.0, np.nan, np.inf, 50.0]), np.full(4, 10.0)
    np.testing.assert_array_equal(cap(scores, trivial), [3, 10, 10, 10])


def test_runs_without_error_are_equally_good():
    """Where the floor is 0, a thousandth of trivial is as good as nothing, and ratios stay finite."""
    scores, trivial = np.array([0.0, 1e-30, LEAST, 0.01]), np.ones(4)
    np.testing.assert_array_equal(cap(scores, trivial), [LEAST, LEAST, LEAST, 0.01])
    np.testing.assert_allclose(effects(scores, scores[::-1], trivial), [-np.log(10), 0, 0, np.log(10)], atol=1e-12)
    np.testing.assert_allclose(progress(scores, trivial, np.zeros(4)), [1, 1, 1 - LEAST, 0.99])


def test_effects_are_log_ratios_and_their_mean_a_geometric_one():
    variant, baseline = np.array([2.0, 8.0]), np.array([4.0, 4.0])
    d = effects(variant, baseline, np.full(2, 100.0))
    np.testing.assert_allclose(np.exp(d.mean()), 1.0)
    np.testing.assert_allclose(d, -effects(baseline, variant, np.full(2, 100.0)))


def test_progress_runs_from_trivial_to_floor():
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
    (a, b), (c, e) = gap(d[:2], d[2:]), gap(d[2:], d[:2])
    np.testing.assert_allclose((a, b), (-e, -c))


@pytest.mark.parametrize("n", [10, 20])
@pytest.mark.parametrize("k", [1, 4])
@pytest.mark.parametrize("p", [0, 0.05, 0.2])
@pytest.mark.parametrize("sides", [1, 2])
def test_the_interval_covers_as_often_as_it_says_where_runs_fail(n, k, p, sides):
    """A share p of the runs of one side, or of both, errs twice as much; k settings of different spread."""
    rng, rounds = np.random.default_rng([n, k, int(100 * p), sides]), 1000
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
    trivial, nan = np.full(4, 10.0), np.nan
    found = failures(np.array([1.0, 10.0, nan, 99.0]), np.array([1.0, 5.0, nan, 5.0]), trivial)
    np.testing.assert_array_equal(found, [0, 1, 0, 1])
    np.testing.assert_array_equal(failures(np.full(4, 5.0), np.array([1, 10, nan, 2.0]), trivial), [0, -1, -1, 0])


def finding(verdict, typical=0.0, interval=(-0.01, 0.01), failing=0.0):
    return Finding(verdict, typical, typical, interval, 0, 20, 20, 20, 0.05, 0.03, failing=failing)


APART, AROUND_ZERO = (0.2, 0.4), (-0.1, 0.1)


@pytest.mark.parametrize(
    ("expected", "claimed", "overall", "alone", "parts"),
    [
        ("SUPPORTED", "BETTER", "BETTER", ("BETTER", "SAME"), (-0.2, -0.1)),
        ("SUPPORTED", "BETTER", "BETTER", ("BETTER", "SAME"), (-0.2,)),
        ("UNDECIDED", "BETTER", "BETTER", ("BETTER", "SAME"), (-0.2, -0.04)),
        ("UNDECIDED", "BETTER", "BETTER", ("BETTER", "WORSE"), (-0.2, -0.1)),
        ("CONTRADICTED", "BETTER", "WORSE", ("WORSE", "UNCLEAR"), (0.2, 0.1)),
        ("UNDECIDED", "BETTER", "WORSE", ("WORSE", "UNCLEAR"), (0.2, 0.04)),
        ("UNDECIDED", "BETTER", "WORSE", ("WORSE", "BETTER"), (0.2, 0.1)),
        ("CONTRADICTED", "WORSE", "BETTER", ("BETTER", "SAME"), (-0.2, -0.1)),
        ("NO DIFFERENCE", "WORSE", "SAME", ("SAME", "UNCLEAR"), (0.02, -0.03)),
        ("UNDECIDED", "WORSE", "SAME", ("SAME", "UNCLEAR"), (-0.02, 0.06)),
        ("UNDECIDED", "WORSE", "UNCLEAR", ("SAME", "UNCLEAR"), (0.2, 0.1)),
        ("UNDECIDED", "BETTER", "NOT TRAINED", ("NOT TRAINED", "NOT TRAINED"), (-0.2, -0.1)),
        ("SUPPORTED", "NO WORSE", "SAME", ("SAME", "BETTER"), (0.02, -0.3)),
        ("NO DIFFERENCE", "NO WORSE", "SAME", ("SAME", "WORSE"), (0.02, 0.01)),
        ("UNDECIDED", "NO WORSE", "SAME", ("SAME", "SAME"), (0.06, 0.01)),
        ("CONTRADICTED", "NO WORSE", "WORSE", ("WORSE", "SAME"), (0.1, 0.1)),
        ("UNDECIDED", "NO WORSE", "WORSE", ("WORSE", "BETTER"), (0.1, 0.1)),
    ],
)  # fmt: skip
def test_the_records_word_follows_the_rule(expected, claimed, overall, alone, parts):
    ends = (0.2, 0.3) if overall == "WORSE" else (-0.01, 0.01)
    found = word(claimed, finding(overall, interval=ends), map(finding, alone), [finding("", part) for part in parts])
    assert found == expected


@pytest.mark.parametrize(
    ("expected", "claimed", "levels", "gap", "gaps"),
    [
        ("DEPENDS ON size", "WORSE", ("WORSE", "SAME"), APART, (0.2, 0.1)),
        ("DEPENDS ON size", "WORSE", ("SAME", "WORSE"), (-0.4, -0.2), (-0.2, -0.1)),
        ("DEPENDS ON size", "BETTER", ("BETTER", "WORSE"), (-0.4, -0.2), (-0.2, -0.1)),
        ("UNDECIDED", "WORSE", ("WORSE", "SAME"), AROUND_ZERO, (0.2, 0.1)),
        ("UNDECIDED", "WORSE", ("WORSE", "SAME"), APART, (0.2, 0.04)),  # the gap did not repeat
        ("UNDECIDED", "WORSE", ("WORSE", "WORSE"), APART, (0.2, 0.1)),
        ("UNDECIDED", "WORSE", ("WORSE", "NOT TRAINED"), APART, (0.2, 0.1)),
        ("UNDECIDED", "WORSE", ("SAME", "UNCLEAR"), APART, (0.2, 0.1)),
        ("UNDECIDED", "NO WORSE", ("BETTER", "SAME"), APART, (0.2, 0.1)),
    ],
)  # fmt: skip
def test_a_claim_depends_on_a_condition_whose_gap_repeats(expected, claimed, levels, gap, gaps):
    condition = Condition("size", tuple(map(finding, levels)), gap, gaps)
    parts = [finding("", 0.1)] * 2
    assert word(claimed, finding("UNCLEAR", interval=(-0.2, 0.3)), [], parts, condition) == expected


def test_a_claim_and_its_mirror_get_the_same_word():
    rng = np.random.default_rng(0)
    seen = set()
    for effect in rng.normal(0, 0.1, 60):
        d = effect + 0.05 * rng.normal(size=(2, 20))
        there, back = ([find(sign * d, True), [find(sign * row, True) for row in d]] for sign in (1, -1))
        words = word("WORSE", there[0], there[1], there[1]), word("BETTER", back[0], back[1], back[1])
        assert words[0] == words[1]
        seen.add(words[0])
    assert seen == {"SUPPORTED", "CONTRADICTED", "NO DIFFERENCE", "UNDECIDED"}


def test_more_failures_make_no_variant_no_worse():
    parts = [finding("", 0.0)] * 2
    assert word("NO WORSE", finding("SAME"), [], parts) == "SUPPORTED"
    assert word("NO WORSE", finding("SAME", failing=0.1), [], parts) == "NO DIFFERENCE"
    assert find(spread_around(0, 0.01), True, failed=failing(2, 0)).verdict == "UNCLEAR"  # so that is not said either


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


def test_too_few_runs_say_so_and_support_nothing():
    few = find(np.array([0.001, -0.001]), True)
    assert sentence(few) == "Undecided: 2 runs a side are too few; 10 are needed."
    assert word("NO WORSE", few, [few], [few]) == "UNDECIDED"


@pytest.mark.parametrize("end", [-1e-15, 0.0, 1.5e-6])
def test_an_interval_that_ends_at_0_decides_nothing_however_it_was_rounded(end):
    """Counts lie on a lattice, so an end of exactly 0 is common; a record's six digits must not make it a verdict."""
    assert decide(4.0, end, 5.0, 1.0, 40, True) == decide(-4.0, -5.0, -end, 1.0, 40, True) == "UNCLEAR"
    assert decide(4.0, 0.01, 5.0, 1.0, 40, True) == "WORSE" and decide(-4.0, -5.0, -0.01, 1.0, 40, True) == "BETTER"
