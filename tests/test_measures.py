"""Measures of runs: closed forms, laws, and coverage counted case by case."""

from itertools import combinations
from math import comb

import numpy as np
import pytest

import rnntips as rt
from rnntips.errors import BadArgument
from rnntips.evidence import find, sentence
from rnntips.measures import MEASURES, find_share, interaction
from rnntips.readings import best_of, failed, regret, score, updates_to, usable_window
from rnntips.runs import Runs


def runs(scores, trivial=1.0, valid=None, evaluations=(0, 10, 100)):
    """A finished record of these test scores."""
    n = len(scores)
    valid = np.zeros((n, len(evaluations))) if valid is None else np.array(valid, dtype=float)
    return Runs(
        (rt.Recipe(),) * n, seeds=np.arange(n), test_scores=np.array(scores, dtype=float)[:, None],
        evaluations=np.array(evaluations), valid_score=valid, valid_trivial=np.full(n, trivial),
        trivial=np.full(n, trivial), floor=np.zeros(n), train_loss=np.zeros((n, 1)), reached=1,
    )  # fmt: skip


def test_a_failed_run_scores_like_the_naive_guess_and_is_counted():
    some = runs([0.5, 1.0, 3.0, np.nan, np.inf])
    np.testing.assert_array_equal(score(some), [0.5, 1, 1, 1, 1])
    np.testing.assert_array_equal(failed(some), [False, True, True, True, True])


def test_updates_to_a_target_are_those_of_the_first_evaluation_there_and_the_budget_if_none_is():
    valid = [[0.9, 0.5, 0.1], [0.9, 0.51, 0.1], [0.9, 0.8, np.nan], [0.2, 0.9, 0.9]]
    np.testing.assert_array_equal(updates_to(runs([0.1] * 4, valid=valid)), [10, 100, 100, 1])
    np.testing.assert_array_equal(updates_to(runs([0.1] * 4, valid=valid), share=0.1), [1, 1, 1, 1])


def test_updates_to_a_target_of_a_real_run_fall_with_an_easier_target():
    found = rt.train(rt.Recipe(updates=100, past=16, width=8, batch_size=8, lr=0.03), rt.series.sines(800), range(4))
    easy, hard = updates_to(found, 0.2), updates_to(found, 0.6)
    assert (easy <= hard).all() and (easy < hard).any()
    assert set(easy) <= set(found.evaluations) | {1}


def test_the_usable_window_counts_decades_within_a_quarter_of_the_best():
    rates = {0.001: runs([0.9, 0.5]), 0.01: runs([0.5, 0.4]), 0.1: runs([0.62, np.nan])}
    np.testing.assert_allclose(usable_window(rates), [2, 2])
    np.testing.assert_allclose(usable_window(rates, best=np.array([0.1, 0.4])), [0, 2])
    halves = {lr: runs([0.5]) for lr in rt.tuning.half_decades(-3, -1)}
    np.testing.assert_allclose(usable_window(halves), [2.5], rtol=1e-6)
    for bad in ({0.1: runs([0.5])}, {0.1: runs([0.5]), 0.01: runs([0.5]), 0.0001: runs([0.5])}):
        with pytest.raises(BadArgument, match="evenly spaced"):
            usable_window(bad)


def test_regret_is_nought_for_the_best_and_a_log_ratio_for_others():
    tried = {0.01: runs([0.4, 0.2]), 0.1: runs([0.8, 0.1])}
    tried[1.0] = runs([np.nan, 0.4])
    np.testing.assert_allclose(regret(tried, 0.01), [0, 0])
    np.testing.assert_allclose(np.exp(regret(tried, 0.1)), [2, 0.5])
    np.testing.assert_allclose(np.exp(regret(tried, 1.0)), [2.5, 2])


@pytest.mark.parametrize("k", [1, 2, 3, 5])
def test_best_of_k_is_the_mean_over_all_choices_of_k(k):
    errors = np.random.default_rng(k).random((5, 3))
    expected = np.mean([errors[list(some)].min(0) for some in combinations(range(5), k)], axis=0)
    np.testing.assert_allclose(best_of(errors, k), expected)
    for bad in (0, 6):
        with pytest.raises(BadArgument, match="from 1 to 5"):
            best_of(errors, bad)


def test_an_interaction_is_the_difference_of_what_is_typical_and_mirrors():
    rng = np.random.default_rng(0)
    first, second = rng.normal(0.3, 0.1, (2, 20)), rng.normal(0, 0.1, (1, 20))
    value, (low, high) = interaction(first, second)
    assert value == pytest.approx(np.median(first, 1).mean() - np.median(second))
    assert low < value < high and low > 0
    back, (lower, higher) = interaction(second, first)
    np.testing.assert_allclose((back, lower, higher), (-value, -high, -low))


def trinomial(n, ones, minuses):
    """Chance of every (ones, minuses), (n + 1, n + 1)."""
    table = np.zeros((n + 1, n + 1))
    for i in range(n + 1):
        for j in range(n + 1 - i):
            table[i, j] = comb(n, i) * comb(n - i, j) * ones**i * minuses**j * (1 - ones - minuses) ** (n - i - j)
    return table


@pytest.mark.parametrize("n", [40, 100])
@pytest.mark.parametrize(("ones", "minuses"), [(0.0, 0.02), (0.02, 0.02), (0.05, 0.15), (0.1, 0.1), (0.3, 0.05)])
def test_the_interval_of_a_share_covers_counted_over_every_outcome(n, ones, minuses):
    chances, covered = trinomial(n, ones, minuses), 0.0
    for i, j in zip(*np.nonzero(chances > 1e-7), strict=True):
        low, high = find_share(np.repeat([1, -1, 0], [i, j, n - i - j]), True).interval
        covered += chances[i, j] * (low <= ones - minuses <= high)
    assert covered > 0.935


@pytest.mark.parametrize(
    ("expected", "ones", "minuses"),
    [("WORSE", 30, 5), ("BETTER", 5, 30), ("SAME", 2, 1), ("UNCLEAR", 10, 5), ("UNCLEAR", 25, 20)],
)
def test_a_hundred_pairs_tell_ten_points_of_failures(expected, ones, minuses):
    found = find_share(np.repeat([1, -1, 0], [ones, minuses, 100 - ones - minuses]), True)
    assert found.verdict == expected
    assert found.effect == found.typical == pytest.approx((ones - minuses) / 100)
    assert found.interval[0] < found.effect < found.interval[1]
    assert found.strength == pytest.approx((ones - minuses) / 10)
    assert find_share(np.zeros(100), False).verdict == "NOT TRAINED"


def test_shares_of_settings_weigh_equally():
    one, other = np.repeat([1, 0], [20, 20]), np.repeat([1, 0], [4, 36])
    found = find_share(np.array([one, other]), True)
    assert found.effect == pytest.approx(0.3) and (found.n, found.runs) == (40, 80)


def test_a_plans_measures_compare_and_judge_pairs_of_runs():
    n = 20
    valid = np.tile([0.9, 0.6, 0.1], (n, 1))
    slow, quick = runs([0.1] * n, valid=valid), runs([0.1] * n, valid=valid - [0, 0.2, 0])
    found = MEASURES["updates to target"].judge([(slow, quick)], True, 0.05)
    assert (found.verdict, found.typical) == ("BETTER", pytest.approx(-0.9))
    assert sentence(found).startswith("Lower number of updates in 20 of 20 runs: −90 %")
    wild = runs([0.1] * 8 + [np.nan] * 12)
    found = MEASURES["failure share"].judge([(slow, wild)], True, 0.1)
    assert (found.verdict, found.typical) == ("WORSE", pytest.approx(0.6))
    assert sentence(found).startswith("Higher share of failed runs in 12 of 20 runs: +60 points (")
    half = runs([0.05] * n)
    found = MEASURES["score"].judge([(slow, half)], True, 0.05)
    assert found == find(np.full((1, n), np.log(0.5)), True)


def test_the_score_measure_takes_lone_failures_into_account():
    level, wild = runs([0.1] * 20), runs([0.1] * 18 + [np.nan] * 2)
    assert MEASURES["score"].judge([(level, wild)], True, 0.05).verdict == "UNCLEAR"
    assert MEASURES["score"].judge([(level, level)], True, 0.05).verdict == "SAME"
