"""Effects, intervals and the rules that turn them into words."""

import itertools

import numpy as np
import pytest

from rnntips.errors import BadArgument
from rnntips.evidence import Finding, cap, effects, find, interval, pooled, progress, sentence, trained, word


def test_a_failed_run_counts_as_trivial_and_is_never_dropped():
    scores, trivial = np.array([3.0, np.nan, np.inf, 50.0]), np.full(4, 10.0)
    np.testing.assert_array_equal(cap(scores, trivial), [3, 10, 10, 10])


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


def test_the_interval_holds_what_a_sign_flip_test_does_not_reject():
    d = np.random.default_rng(0).normal(0.3, 1, 9)
    signs = np.array(list(itertools.product([-1, 1], repeat=9)))

    def p_value(mean):
        shifted = d - mean
        return np.mean(np.abs(signs @ shifted) >= abs(shifted.sum()) - 1e-12)

    low, high = interval(d)
    inside, outside = np.linspace(low, high, 41)[1:-1], [low - 0.02, high + 0.02]
    assert min(p_value(mean) for mean in inside) > 0.05 - 2 / 512
    assert max(p_value(mean) for mean in outside) < 0.05 + 2 / 512


@pytest.mark.parametrize("n", [10, 20])
@pytest.mark.parametrize("shape", ["normal", "uniform", "heavy"])
def test_the_interval_covers_the_mean_as_often_as_it_says(n, shape):
    rng = np.random.default_rng(n)
    draw = {"normal": rng.normal, "uniform": lambda size: rng.uniform(-1, 1, size),
            "heavy": lambda size: rng.standard_t(3, size)}[shape]  # fmt: skip
    rounds = 400
    covered = 0
    for _ in range(rounds):
        low, high = interval(draw(size=n))
        covered += low <= 0 <= high
    assert covered / rounds > 0.95 - 3 * np.sqrt(0.05 * 0.95 / rounds)


def test_the_interval_moves_and_stretches_with_the_data():
    d = np.random.default_rng(1).normal(size=20)
    low, high = interval(d)
    np.testing.assert_allclose(interval(3 * d + 5), (3 * low + 5, 3 * high + 5))
    assert low < d.mean() < high
    assert interval(d) == interval(d)


def spread_around(mean, deviation, n=20):
    d = np.random.default_rng(0).normal(size=n)
    return mean + deviation * (d - d.mean()) / d.std()


@pytest.mark.parametrize(
    ("expected", "d", "any_trained"),
    [
        ("WORSE", spread_around(0.4, 0.1), True),
        ("BETTER", spread_around(-0.4, 0.1), True),
        ("SAME", spread_around(0.0, 0.02), True),
        ("SAME", spread_around(0.01, 0.005), True),  # apart from 0, but less than half of what matters
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
    assert back.effect == pytest.approx(1 / 1.5 - 1)
    assert (there.wins, there.losses) == (back.losses, back.wins)
    assert there.wins + there.losses == there.n == 20
    assert there.interval[0] < there.effect < there.interval[1]


def test_a_difference_called_detectable_is_found_four_times_out_of_five():
    rng = np.random.default_rng(5)
    noise = rng.normal(0, 0.2, (300, 20))
    typical = np.median([find(row, True).detectable for row in noise[:100]])
    found = [find(row + np.log1p(typical), True).verdict == "WORSE" for row in noise]
    assert 0.72 < np.mean(found) < 0.9


def test_uncapped_failures_are_refused():
    with pytest.raises(BadArgument, match="cap the scores"):
        find(np.array([0.1, np.nan]), True)


def test_pooling_weighs_settings_equally():
    np.testing.assert_allclose(pooled([np.array([1.0, 2.0]), np.array([3.0, 6.0])]), [2, 4])
    with pytest.raises(BadArgument, match="different numbers of seeds"):
        pooled([np.zeros(3), np.zeros(4)])


def finding(verdict, effect=0.0, interval=(-0.01, 0.01)):
    return Finding(verdict, effect, interval, 0, 20, 20, 0.05, 0.03)


APART, AROUND_ZERO = (0.2, 0.4), (-0.1, 0.1)
LEVELS = {"a": "low", "b": "high"}


@pytest.mark.parametrize(
    ("expected", "claimed", "overall", "alone", "gap"),
    [
        ("SUPPORTED", "BETTER", "BETTER", ("BETTER", "SAME"), None),
        ("UNDECIDED", "BETTER", "BETTER", ("BETTER", "WORSE"), None),
        ("CONTRADICTED", "BETTER", "WORSE", ("WORSE", "UNCLEAR"), None),
        ("UNDECIDED", "BETTER", "WORSE", ("WORSE", "BETTER"), None),
        ("NO DIFFERENCE", "WORSE", "SAME", ("SAME", "UNCLEAR"), None),
        ("UNDECIDED", "WORSE", "UNCLEAR", ("SAME", "UNCLEAR"), None),
        ("UNDECIDED", "BETTER", "NOT TRAINED", ("NOT TRAINED", "NOT TRAINED"), None),
        ("DEPENDS ON size", "WORSE", "WORSE", ("WORSE", "SAME"), APART),
        ("DEPENDS ON size", "BETTER", "UNCLEAR", ("WORSE", "BETTER"), APART),
        ("SUPPORTED", "WORSE", "WORSE", ("WORSE", "SAME"), AROUND_ZERO),
        ("SUPPORTED", "WORSE", "WORSE", ("WORSE", "WORSE"), APART),
        ("NO DIFFERENCE", "WORSE", "SAME", ("SAME", "SAME"), APART),
        ("SUPPORTED", "NO WORSE", "SAME", ("SAME", "BETTER"), None),
        ("CONTRADICTED", "NO WORSE", "WORSE", ("WORSE", "SAME"), None),
    ],
)  # fmt: skip
def test_the_records_word_follows_the_rule(expected, claimed, overall, alone, gap):
    ends = (0.2, 0.3) if overall == "WORSE" else (-0.01, 0.01)
    settings = dict(zip(LEVELS, (finding(v) for v in alone), strict=True))
    condition = None if gap is None else ("size", LEVELS, gap)
    assert word(claimed, finding(overall, interval=ends), settings, condition) == expected


def test_ties_are_neither_wins_nor_losses():
    d = np.array([0.0] * 4 + [0.5] * 6)
    there, back = find(d, True), find(-d, True)
    assert (there.wins, there.losses, there.n) == (0, 6, 10)
    assert "in 6 of 10 runs" in sentence(there) and "in 6 of 10 runs" in sentence(back)


def test_too_few_runs_say_so_and_support_nothing():
    few = find(np.array([0.001, -0.001]), True)
    assert sentence(few) == "Undecided: 2 runs a side are too few; 10 are needed."
    assert word("NO WORSE", few, {"a": few}) == "UNDECIDED"
