"""Measures of runs: closed forms, laws, and coverage counted case by case."""

from itertools import combinations
from math import comb

import numpy as np
import pytest

import rnntips as rt
from rnntips.errors import BadArgument
from rnntips.evidence import find, sentence
from rnntips.measures import MEASURES, find_share, interaction, settled
from rnntips.readings import best_of, failed, regret, score, updates_to, usable_window
from rnntips.runs import Runs
from rnntips.words import word


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


def test_who_never_got_there_counts_with_its_budget_and_wins_nothing_by_a_small_one():
    mine, theirs = settled(np.array([10.0, -300, -300, -300, -30]), np.array([20.0, 20, -300, -30, 100]))
    np.testing.assert_array_equal(mine, [10, 300, 300, 300, 100])
    np.testing.assert_array_equal(theirs, [20, 20, 300, 300, 100])
    back = settled(np.array([20.0, 20, -300, -30, 100]), np.array([10.0, -300, -300, -300, -30]))
    np.testing.assert_array_equal(back, (theirs, mine))


def test_a_run_without_a_number_counts_with_the_highest_of_both_sides():
    mine, theirs = settled(np.array([1.0, np.nan, 3.0]), np.array([2.0, 7.0, np.nan]))
    np.testing.assert_array_equal(mine, [1, 7, 3])
    np.testing.assert_array_equal(theirs, [2, 7, 7])
    nothing = np.full(3, np.nan)
    np.testing.assert_array_equal(settled(nothing, nothing), np.ones((2, 3)))


def rich(rng, n=20, level=0.3):
    """Runs with something to read for every measure, some of them diverged."""
    losses = np.exp(0.4 * rng.normal(size=(n, 100))) * np.linspace(2, level, 100)
    diverged = rng.random(n) < 0.1
    losses[diverged, 60:] = np.nan
    scores = np.where(diverged, np.nan, np.clip(level + 0.1 * rng.normal(size=n), 0.05, 0.95))
    valid = np.linspace(1, level, 12) * np.exp(0.05 * rng.normal(size=(n, 12)))
    some = runs(scores, valid=valid, evaluations=(1, 2, 3, 5, 7, 10, 15, 25, 40, 60, 80, 100))
    some.train_loss, some.gradient_norm, some.reached = losses, losses**4, 100
    some.test_scores = scores[:, None]
    some.readings["seconds per update"] = 0.01 * np.exp(0.2 * rng.normal(size=n))
    return some


def tried(rng, level):
    steps = rng.permutation([0.0, 0.02, 0.1])
    return {rate: rich(rng, level=level + step) for rate, step in zip((0.001, 0.01, 0.1), steps, strict=True)}


def sides_of(measure, rng, levels=(0.3, 0.35)):
    return measure.pair(*(tried(rng, level) if measure.over else rich(rng, level=level) for level in levels))


PAIRED = [measure for measure in MEASURES.values() if measure.over != "baseline"]


@pytest.mark.parametrize("measure", PAIRED, ids=lambda measure: measure.name)
def test_swapping_the_sides_mirrors_every_measure(measure):
    rng = np.random.default_rng(3)
    baseline, variant = sides_of(measure, rng)
    d, back = measure.compare(baseline, variant), measure.compare(variant, baseline)
    np.testing.assert_allclose(d, -back, atol=1e-12)
    assert np.isfinite(d).all() and d.any()
    there, here = (measure.judge([pair], True, measure.smallest) for pair in ((baseline, variant), (variant, baseline)))
    assert {str(there.verdict), str(here.verdict)} in ({"BETTER", "WORSE"}, {"SAME"}, {"UNCLEAR"})
    assert (there.wins, there.losses) == (here.losses, here.wins) and there.strength == pytest.approx(-here.strength)
    assert there.interval[0] <= there.typical <= there.interval[1]


@pytest.mark.parametrize("measure", PAIRED, ids=lambda measure: measure.name)
def test_the_order_of_the_seeds_changes_no_finding(measure):
    baseline, variant = sides_of(measure, np.random.default_rng(4))
    order = np.random.default_rng(5).permutation(20)
    one, other = (measure.judge([pair], True, measure.smallest)
                  for pair in ((baseline, variant), (baseline.only(order), variant.only(order))))  # fmt: skip
    for name, value in vars(one).items():
        assert getattr(other, name) == (pytest.approx(value) if isinstance(value, float) else value), name


@pytest.mark.parametrize("name", ["score", "training loss", "updates to target", "seconds per update", "spikes"])
def test_a_change_of_unit_changes_no_finding(name):
    measure = MEASURES[name]
    baseline, variant = sides_of(measure, np.random.default_rng(6))
    before = measure.compare(baseline, variant)
    for side in (baseline, variant):
        for field in ("test_scores", "trivial", "floor", "valid_score", "valid_trivial", "train_loss"):
            setattr(side, field, 1000 * getattr(side, field))
        side.readings["seconds per update"] = 1000 * side.readings["seconds per update"]
    np.testing.assert_allclose(measure.compare(baseline, variant), before)


GOODNESS = {"BETTER": 2, "SAME": 1, "UNCLEAR": 1, "NOT TRAINED": 1, "WORSE": 0}


@pytest.mark.parametrize("name", ["score", "training loss", "spikes", "solved share", "updates to target",
                                  "failure share", "seconds to target", "spiking share"])  # fmt: skip
@pytest.mark.parametrize("seed", range(5))
def test_failures_of_the_variant_never_speak_for_it(name, seed):
    """With each further run that diverges at once its verdict is as good as before, or less."""
    rng = np.random.default_rng(seed)
    measure = MEASURES[name]
    baseline, variant = rich(rng, level=0.5), rich(rng, level=0.3)
    before = 2
    for row in range(20):
        variant.train_loss[row] = np.where(np.arange(100) < 1, variant.train_loss[row], np.nan)
        variant.test_scores[row] = np.nan
        variant.valid_score[row, 1:] = np.nan
        found = measure.judge([(baseline, variant)], True, measure.smallest)
        assert GOODNESS[found.verdict] <= before, (row, found)
        before = GOODNESS[found.verdict]
    assert found.verdict != "BETTER"


def with_spikes(counts):
    """Runs of 1,020 updates whose loss jumps so many times."""
    losses = np.ones((len(counts), 1020))
    for row, count in enumerate(counts):
        losses[row, 30 : 30 + 3 * count : 3] = 5
    some = runs([0.1] * len(counts))
    some.train_loss, some.reached = losses, 1020
    return some


def test_spikes_are_compared_as_rates_since_most_runs_have_none():
    calm, wild = with_spikes([0] * 20), with_spikes([3, 4, 5, 6] * 5)
    found = MEASURES["spikes"].judge([(calm, wild)], True, 1.0)
    assert (found.verdict, found.typical, found.effect) == ("WORSE", pytest.approx(4.5), pytest.approx(4.5))
    assert sentence(found).startswith("Higher rate of loss spikes in 20 of 20 runs: +4.5 per 1,000 updates (+4 to +5).")
    nothing = MEASURES["spikes"].judge([(calm, calm)], True, 1.0)
    assert (nothing.verdict, nothing.typical) == ("SAME", 0)
    assert sentence(nothing).startswith("About the same: +0 per 1,000 updates (+0 to +0), within ± 1 per 1,000")


def test_two_sides_are_not_the_same_where_a_few_runs_jump_all_the_time():
    """The median of the differences is 0 and so is its interval; the average is not."""
    found = MEASURES["spikes"].judge([(with_spikes([0] * 20), with_spikes([0] * 15 + [100] * 5))], True, 1.0)
    assert (found.verdict, found.typical, found.effect) == ("UNCLEAR", 0, pytest.approx(25))
    assert sentence(found) == ("Undecided: +0 per 1,000 updates (+0 to +0). On average +25 per 1,000 updates, since a "
                               "few runs differ far more.")  # fmt: skip


def test_a_lead_that_the_average_denies_is_none():
    """In eleven of twenty runs a spike less, in nine a hundred more."""
    d = np.array([-2.0] * 16 + [100.0] * 4)
    assert find(d, True, 1.0, unit="per 1,000 updates").verdict == "UNCLEAR"
    assert find(d[:16], True, 1.0, unit="per 1,000 updates").verdict == "BETTER"


def test_differences_of_counts_are_called_different_by_chance_in_at_most_one_of_twenty():
    """Counts as networks have them: none in most runs, many in some; both sides follow one law."""
    rng = np.random.default_rng(0)
    seen = []
    for _ in range(2000):
        counts = rng.poisson(rng.gamma(0.3, 10, size=(2, 20)))
        seen.append(find((counts[1] - counts[0]).astype(float), True, 1.0, unit="per 1,000 updates").verdict)
    assert np.mean([verdict in ("BETTER", "WORSE") for verdict in seen]) < 0.05


def test_more_solved_runs_are_better_and_are_shown_as_more():
    few, many = runs([0.4] * 30 + [0.9] * 70), runs([0.4] * 80 + [0.9] * 20)
    found = MEASURES["solved share"].judge([(few, many)], True, 0.1)
    assert (found.verdict, found.typical, found.wins) == ("BETTER", pytest.approx(0.5), 50)
    assert 0.3 < found.interval[0] < 0.5 < found.interval[1] < 0.7 and found.strength == pytest.approx(-5)
    assert sentence(found).startswith("Higher share of solved runs in 50 of 100 runs: +50 points (+")
    assert found.worst == pytest.approx(-found.interval[0] / 0.1)


def test_words_know_what_is_better():
    few, many = runs([0.4] * 30 + [0.9] * 70), runs([0.4] * 80 + [0.9] * 20)
    measure = MEASURES["solved share"]
    more, less = (measure.judge([pair], True, 0.1) for pair in ((few, many), (many, few)))
    for claimed in ("BETTER", "NO WORSE"):
        assert word(claimed, more, [more], [more, more]) == "SUPPORTED"
        assert word(claimed, less, [less], [less, less]) == "CONTRADICTED"
    assert word("WORSE", less, [less], [less, less]) == "SUPPORTED"
    alike = measure.judge([(few, few)], True, 0.1)
    assert word("NO WORSE", alike, [alike], [alike, alike]) == "SUPPORTED"
    assert word("BETTER", alike, [alike], [alike, alike]) == "NO DIFFERENCE"


def test_a_setting_says_something_of_solved_runs_if_a_tenth_are_solved():
    """Half a side's runs need not have learned, as for errors; but where none is solved nothing is the same."""
    solved, rare, none = (runs([0.4] * k + [1.0] * (100 - k)) for k in (40, 5, 0))
    alive = MEASURES["solved share"].alive
    assert alive(none, solved, 0.1) and alive(solved, none, 0.1) and not alive(none, rare, 0.1)
    assert not MEASURES["score"].alive(none, solved, 0.05)


def test_a_wider_range_of_rates_is_better_and_a_rate_is_neither():
    narrow = {0.001: runs([0.9] * 20), 0.01: runs([0.30] * 20), 0.1: runs([np.nan] * 20)}
    wide = {0.001: runs([0.31] * 20), 0.01: runs([0.32] * 20), 0.1: runs([0.9] * 20)}
    measure = MEASURES["range of rates"]
    found = measure.judge([measure.pair(narrow, wide)], True, measure.smallest)
    assert (found.verdict, found.typical) == ("BETTER", pytest.approx(9))
    assert sentence(found) == "Wider range of usable learning rates in 20 of 20 runs: × 10 (10 to 10)."
    measure = MEASURES["best rate"]
    for side in (*narrow.values(), *wide.values()):
        errors = 0.2 if side is narrow[0.01] or side is wide[0.001] else 0.6
        side.readings["validation error"] = np.full(20, errors)
    found = measure.judge([measure.pair(narrow, wide)], True, measure.smallest)
    assert (found.verdict, found.typical, found.better) == ("BETTER", pytest.approx(-0.9), "")
    assert sentence(found) == "Lower best learning rate in 20 of 20 runs: × 0.1 (0.1 to 0.1)."


def test_a_half_decade_matters_and_none_does_not():
    for measure in (MEASURES["best rate"], MEASURES["range of rates"]):
        steps = np.diff(np.log(rt.tuning.half_decades(-4, 0)))
        assert (steps > np.log1p(measure.smallest)).all()
        for step in steps:
            assert find(np.full(20, step), True, measure.smallest, unit="times").verdict == "WORSE"
        assert find(np.zeros(20), True, measure.smallest, unit="times").verdict == "SAME"


def test_regret_compares_with_the_value_that_proved_best():
    measure = MEASURES["regret"]
    tried = {0.01: runs([0.4, 0.2] * 10), 0.1: runs([0.8, 0.2] * 10)}
    baseline, variant = measure.pair(tried, runs([0.6, 0.3] * 10))
    assert baseline is tried[0.01]
    assert measure.judge([(baseline, variant)], True, 0.05).typical == pytest.approx(0.5)
    np.testing.assert_allclose(measure.compare(*measure.pair(tried, tried[0.1])), regret(tried, 0.1))


def test_time_for_an_update_has_nothing_to_do_with_failures():
    quick, slow = runs([np.nan] * 20), runs([0.1] * 20)
    quick.readings["seconds per update"] = np.linspace(1, 1.1, 20)
    slow.readings["seconds per update"] = 2 * np.linspace(1, 1.1, 20)
    found = MEASURES["seconds per update"].judge(
        [(quick, slow)], MEASURES["seconds per update"].alive(quick, quick, 1), 0.1
    )
    assert (found.verdict, found.typical) == ("WORSE", pytest.approx(1))
    assert sentence(found).startswith("Longer time for an update in 20 of 20 runs: +100 %")


@pytest.mark.parametrize("measure", MEASURES.values(), ids=lambda measure: measure.name)
def test_every_measure_says_what_it_is(measure):
    assert MEASURES[measure.name] is measure and measure.what and measure.smallest > 0
    assert measure.better in ("lower", "higher", "")
    assert measure.unit in ("%", "points", "times", "per 1,000 updates")
    assert measure.share == (measure.unit == "points")
