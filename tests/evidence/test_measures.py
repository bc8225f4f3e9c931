"""Measures: closed forms, laws, and coverage counted case by case."""

from dataclasses import replace
from itertools import combinations
from math import comb

import numpy as np
import pytest
from making import scores

import rnntips as rt
from evidence import readings
from evidence.claim_word import setting_verdict
from evidence.measures import MEASURES, find_share, settled
from rnntips.errors import BadArgument
from rnntips.runs import Runs
from rnntips.verdict import Scores, find, medians, sentence


def trinomial(n, ones, minuses):
    """Chance of every (ones, minuses), (n + 1, n + 1)."""
    table = np.zeros((n + 1, n + 1))
    for i in range(n + 1):
        for j in range(n + 1 - i):
            table[i, j] = comb(n, i) * comb(n - i, j) * ones**i * minuses**j * (1 - ones - minuses) ** (n - i - j)
    return table


@pytest.mark.parametrize(("n", "ones", "minuses"), [(40, 0.0, 0.02), (100, 0.02, 0.02), (40, 0.05, 0.15),
                                                    (100, 0.05, 0.15), (40, 0.1, 0.1), (40, 0.3, 0.05)])  # fmt: skip
def test_the_interval_of_a_share_covers_counted_over_every_outcome(n, ones, minuses):
    chances, covered = trinomial(n, ones, minuses), 0.0
    for i, j in zip(*np.nonzero(chances > 1e-6), strict=True):
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


def test_shares_of_settings_weigh_equally_and_any_level_can_be_asked_for():
    """Half of one setting's runs and a tenth of the other's: a median would not see the second."""
    found = find_share(np.array([np.repeat([1, 0], [20, 20]), np.repeat([1, 0], [4, 36])]), True)
    assert found.effect == pytest.approx(0.3) and (found.n, found.runs) == (40, 80)
    d = np.repeat([1, 0], [30, 70])
    ends = [MEASURES["failure share"].find(d, True, 0.1, level=level).interval for level in (0.95, 0.999)]
    assert 0.1 < ends[1][0] < ends[0][0] < 0.3 < ends[0][1] < ends[1][1]


def test_who_never_got_there_counts_with_its_budget_and_who_has_no_number_with_the_highest_of_both_sides():
    """And wins nothing by a small budget."""
    here, there = np.array([10.0, -300, -300, -300, -30]), np.array([20.0, 20, -300, -30, 100])
    expected = np.array([[10, 300, 300, 300, 100], [20, 20, 300, 300, 100]])
    np.testing.assert_array_equal(settled(here, there), expected)
    np.testing.assert_array_equal(settled(there, here), expected[::-1])
    lost = settled(np.array([1.0, np.nan, 3.0]), np.array([2.0, 7.0, np.nan]))
    np.testing.assert_array_equal(lost, [[1, 7, 3], [2, 7, 7]])
    np.testing.assert_array_equal(settled(np.full(3, np.nan), np.full(3, np.nan)), np.ones((2, 3)))


def rich(rng, level=0.3, unit=1.0, n=20):
    """Runs with something to read for every measure, some of them diverged; and calibrated seconds."""
    losses = np.exp(0.4 * rng.normal(size=(n, 100))) * np.linspace(2, level, 100)
    diverged = rng.random(n) < 0.1
    losses[diverged, 60:] = np.nan
    score = np.where(diverged, np.nan, np.clip(level + 0.1 * rng.normal(size=n), 0.05, 0.95))
    valid = np.linspace(1, level, 12) * np.exp(0.05 * rng.normal(size=(n, 12)))
    runs = Runs(
        (rt.Recipe(),) * n, seeds=np.arange(n), test_scores=unit * score[:, None], naive=np.full(n, unit),
        evaluations=np.array([1, 2, 3, 5, 7, 10, 15, 25, 40, 60, 80, 100]), valid_naive=np.full(n, unit),
        valid_score=unit * valid, floor=np.zeros(n), train_loss=unit * losses, gradient_norm=unit * losses**4,
        reached=100, pretext=unit * valid[:, -2:],
    )  # fmt: skip
    return runs, unit * 0.01 * np.exp(0.2 * rng.normal(size=n))


def kept(measure, runs, seconds):
    """The scores with what a record keeps of these runs."""
    return replace(runs.scores, readings=measure.keep(runs, seconds))


def sides_of(measure, unit=1.0):
    """Both sides' scores: of runs, or of the runs at three rates where a measure looks at those."""
    rng = np.random.default_rng(3)

    def tried(level):
        steps = zip((0.001, 0.01, 0.1), rng.permutation([0.0, 0.02, 0.1]), strict=True)
        if measure.over == "tries":
            steps = enumerate(0.02 * rng.random(9))
        return {rate: kept(measure, *rich(rng, level + step, unit)) for rate, step in steps}

    return measure.pair(
        *(tried(level) if measure.over else kept(measure, *rich(rng, level, unit)) for level in (0.3, 0.35))
    )


@pytest.mark.parametrize("name", sorted(MEASURES.keys() - {"regret", "distant picks"}))
def test_findings_mirror_with_the_sides_and_know_neither_the_order_of_seeds_nor_units(name):
    measure = MEASURES[name]
    baseline, variant = sides_of(measure)
    d, back = measure.compare(baseline, variant), measure.compare(variant, baseline)
    np.testing.assert_allclose(d, -back, atol=1e-12)
    assert np.isfinite(d).all() and d.any()
    unit = 1.0 if name == "wrong answers" else 1000.0  # a share has none
    np.testing.assert_allclose(measure.compare(*sides_of(measure, unit=unit)), d)
    there, here = (measure.judge([pair], True, measure.smallest) for pair in ((baseline, variant), (variant, baseline)))
    assert {str(there.verdict), str(here.verdict)} in ({"BETTER", "WORSE"}, {"SAME"}, {"UNCLEAR"})
    assert (there.wins, there.losses) == (here.losses, here.wins) and there.strength == pytest.approx(-here.strength)
    assert there.interval[0] <= there.typical <= there.interval[1]
    order = np.random.default_rng(5).permutation(20)
    other = measure.judge([(baseline.only(order), variant.only(order))], True, measure.smallest)
    for field, value in vars(there).items():
        assert getattr(other, field) == (pytest.approx(value) if isinstance(value, float) else value), field


GOODNESS = {"BETTER": 2, "SAME": 1, "UNCLEAR": 1, "NOT TRAINED": 1, "WORSE": 0}


@pytest.mark.parametrize("name", ["score", "training loss", "spikes", "solved share", "updates to target",
                                  "failure share", "seconds to target", "spiking share"])  # fmt: skip
@pytest.mark.parametrize("seed", range(3))
def test_failures_of_the_variant_never_speak_for_it(name, seed):
    """With each further run that diverges at once its verdict is as good as before, or less."""
    measure, rng = MEASURES[name], np.random.default_rng(seed)
    baseline, (variant, seconds) = kept(measure, *rich(rng, 0.5)), rich(rng, 0.3)
    before = 2
    for row in range(20):
        variant.train_loss[row, 1:] = variant.test_scores[row] = variant.valid_score[row, 1:] = np.nan
        found = measure.judge([(baseline, kept(measure, variant, seconds))], True, measure.smallest)
        assert GOODNESS[found.verdict] <= before, (row, found)
        before = GOODNESS[found.verdict]
    assert found.verdict != "BETTER"


def test_differences_of_counts_are_called_different_by_chance_in_at_most_one_of_twenty():
    """Counts as networks have them: none in most runs, many in some; both sides follow one law."""
    rng = np.random.default_rng(0)
    counts = rng.poisson(rng.gamma(0.3, 10, size=(1000, 2, 20))).astype(float)
    seen = [find(theirs - mine, True, 1.0, unit="per 1,000 updates").verdict for mine, theirs in counts]
    assert np.mean([verdict in ("BETTER", "WORSE") for verdict in seen]) < 0.05


def judged(name, baseline, variant, smallest=None):
    return MEASURES[name].judge([(baseline, variant)], True, smallest or MEASURES[name].smallest)


def test_a_plans_measures_compare_and_judge_pairs_of_scores():
    n, label = 20, MEASURES["updates to target"].label
    slow, quick = (replace(scores([0.1] * n), readings={label: np.full(n, updates)}) for updates in (100, 10))
    found = judged("updates to target", slow, quick, 0.05)
    assert (found.verdict, found.typical) == ("BETTER", pytest.approx(-0.9))
    assert sentence(found).startswith("Lower number of updates in 20 of 20 runs: × 0.1 ")
    found = judged("failure share", slow, scores([0.1] * 8 + [np.nan] * 12))
    assert (found.verdict, found.typical) == ("WORSE", pytest.approx(0.6))
    assert sentence(found).startswith("Higher share of failed runs in 12 of 20 runs: +60 points (")
    assert judged("score", slow, scores([0.05] * n)) == find(np.full((1, n), np.log(0.5)), True)
    assert judged("score", slow, slow).verdict == "SAME"
    assert judged("score", slow, scores([0.1] * 18 + [np.nan] * 2)).verdict == "UNCLEAR", "lone failures count"


def test_wrong_answers_are_compared_in_answers_of_a_hundred():
    found = judged("wrong answers", scores([0.1] * 20), scores([0.07] * 20))
    assert (found.verdict, found.typical) == ("BETTER", pytest.approx(-3))
    assert sentence(found).startswith("Lower share of wrong answers in 20 of 20 runs: −3 of a hundred (−3 to −3)")
    assert judged("wrong answers", scores([0.1] * 20), scores([0.105] * 20)).verdict == "SAME"


def test_spikes_are_compared_as_rates_since_most_runs_have_none():
    """Where a few runs jump all the time, the median of the differences is 0, and so is its interval."""
    calm, wild, few = (scores([0.1] * 20, spikes=row) for row in ([0] * 20, [3, 4, 5, 6] * 5, [0] * 15 + [100] * 5))
    found = judged("spikes", calm, wild)
    assert (found.verdict, found.typical, found.effect) == ("WORSE", pytest.approx(4.5), pytest.approx(4.5))
    assert sentence(found).startswith("Higher rate of loss spikes in 20 of 20 runs: +4.5 per 1,000 updates (+4 to +5).")
    nothing = judged("spikes", calm, calm)
    assert (nothing.verdict, nothing.typical) == ("SAME", 0)
    assert sentence(nothing).startswith("About the same: +0 per 1,000 updates (+0 to +0), within ± 1 per 1,000")
    found = judged("spikes", calm, few)
    assert (found.verdict, found.typical, found.effect) == ("UNCLEAR", 0, pytest.approx(25))
    assert sentence(found) == ("Undecided: +0 per 1,000 updates (+0 to +0). On average +25 per 1,000 updates, since a "
                               "few runs differ far more.")  # fmt: skip
    d = np.array([-2.0] * 16 + [100.0] * 4)  # a lead that the average denies is none
    assert find(d, True, 1.0, unit="per 1,000 updates").verdict == "UNCLEAR"
    assert find(d[:16], True, 1.0, unit="per 1,000 updates").verdict == "BETTER"


def test_more_solved_runs_are_better_are_shown_as_more_and_get_their_verdict():
    few, many = scores([0.4] * 30 + [0.9] * 70), scores([0.4] * 80 + [0.9] * 20)
    more, less, alike = (judged("solved share", *pair) for pair in ((few, many), (many, few), (few, few)))
    assert (more.verdict, more.typical, more.wins) == ("BETTER", pytest.approx(0.5), 50)
    assert 0.3 < more.interval[0] < 0.5 < more.interval[1] < 0.7 and more.strength == pytest.approx(-5)
    assert more.worst == pytest.approx(-more.interval[0] / 0.1)
    assert sentence(more).startswith("Higher share of solved runs in 50 of 100 runs: +50 points (+")
    lost = judged("solved share", few, scores([0.4] * 30 + [np.nan] * 70))
    assert (lost.typical, lost.failed, lost.failing) == (0, 70, pytest.approx(0.7)), (
        "failing is not the same as unsolved"
    )
    for found, claimed, said in [(more, "BETTER", "BETTER"), (more, "NO WORSE", "BETTER"), (less, "WORSE", "WORSE"),
                                 (less, "NO WORSE", "WORSE"), (alike, "NO WORSE", "SAME")]:  # fmt: skip
        assert setting_verdict(claimed, found, [found, found]) == said


def test_a_setting_says_something_of_solved_runs_if_a_tenth_are_solved():
    """Half a side's runs need not have learned, as for errors; but where none is solved nothing is the same."""
    solved, rare, none = (scores([0.4] * k + [1.0] * (100 - k)) for k in (40, 5, 0))
    alive = MEASURES["solved share"].alive
    assert alive(none, solved, 0.1) and alive(solved, none, 0.1) and not alive(none, rare, 0.1)
    assert not MEASURES["score"].alive(none, solved, 0.05)


def test_a_wider_range_of_rates_is_better_and_a_rate_is_neither():
    tested = {"narrow": (0.9, 0.3, np.nan), "wide": (0.31, 0.32, 0.9)}
    valid = {"narrow": (0.6, 0.2, 0.6), "wide": (0.2, 0.6, 0.6)}
    sides = [{rate: scores([test] * 20, validation_error=[error] * 20)
              for rate, test, error in zip((0.001, 0.01, 0.1), tested[name], valid[name], strict=True)}
             for name in tested]  # fmt: skip
    for name, verdict, typical, better, said in [
        ("range of rates", "BETTER", 9, "higher", "Higher range of usable learning rates in 20 of 20 runs: × 10 ("),
        ("highest usable rate", "SAME", 0, "higher", "About the same: × 1 ("),
        ("best rate", "BETTER", -0.9, "", "Lower best learning rate in 20 of 20 runs: × 0.1 (0.1 to 0.1)."),
    ]:
        found = judged(name, *MEASURES[name].pair(*sides))
        assert (found.verdict, found.typical, found.better) == (verdict, pytest.approx(typical), better)
        assert sentence(found).startswith(said)


def test_a_pick_is_distant_beyond_half_a_decade_from_the_best_rate():
    def tried(errors):
        return {rate: scores([0.5] * 3, validation_error=values) for rate, values in errors.items()}

    fine = tried({0.0032: [1, 3, 2], 0.01: [2, 1, 3], 0.032: [3, 2, 1]})  # best: 0.0032, 0.01, 0.032
    few = tried({0.001: [1, 2, 2], 0.1: [2, 1, 1]})  # picks: 0.001, 0.1, 0.1
    baseline, variant = MEASURES["distant picks"].pair(fine, few)
    np.testing.assert_array_equal(MEASURES["distant picks"].compare(baseline, variant), [0, 1, 0])


def test_a_rate_at_an_end_of_the_grid_is_marked_beside_what_was_read():
    """And what else was kept of the best rate's runs stays."""
    tried = {0.01: scores([0.2] * 4, clipped_share=[1, 2, 3, 4]), 0.1: scores([0.9, 0.9, 0.21, 0.21])}
    for name, ended in (("range of rates", [1, 1, 1, 1]), ("highest usable rate", [0, 0, 1, 1])):
        mine, _ = MEASURES[name].pair(tried, tried)
        np.testing.assert_array_equal(mine.readings[f"{name}, at an end of the grid"], ended)
        assert "clipped share" in mine.readings and MEASURES[name].label in mine.readings


@pytest.mark.parametrize("name", ["updates to target", "examples to target", "seconds to target"])
def test_a_cost_is_kept_on_three_axes_and_in_seconds_where_an_update_always_takes_as_long(name):
    measure, (runs, seconds) = replace(MEASURES[name], reach=0.4), rich(np.random.default_rng(0))
    labels = [f"{axis} to target (40 % of the way)" for axis in ("updates", "examples", "seconds")]
    found = measure.keep(runs, seconds)
    assert measure.calibrated and set(labels) < set(found) and [axis.label for axis in measure.along] == labels
    updates, examples, spent = (found[label] for label in labels)
    np.testing.assert_array_equal(examples, updates * runs.recipes[0].batch_size)
    np.testing.assert_allclose(spent, updates * seconds)
    assert not MEASURES["score"].calibrated and not MEASURES["tokens to target"].calibrated
    if name != "seconds to target":
        runs.recipes = (rt.Recipe(grow="8:0.5"),) * len(runs)
        assert set(measure.keep(runs, seconds)) == set(measure.keep(runs)) == set(labels[:2])


def test_median_errors_are_shares_of_each_runs_naive_and_uncapped():
    some = Scores(np.array([6.0, 13.0, 70.0]), np.array([1.0, 2.0, 10.0]), np.zeros(3))
    assert medians(scores([0.5, 0.6, np.nan]), some) == (0.6, 6.5)
    assert medians(scores([0.5, np.nan, np.inf]), scores([0.5, np.nan, 0.1, np.nan])) == (np.inf, np.inf)


def test_a_half_decade_matters_and_none_does_not():
    for measure in (MEASURES["best rate"], MEASURES["range of rates"], MEASURES["highest usable rate"]):
        for step in np.diff(np.log(rt.tuning.half_decades(-4, 0))):
            assert find(np.full(20, step), True, measure.smallest, unit="times").verdict == "WORSE"
        assert find(np.zeros(20), True, measure.smallest, unit="times").verdict == "SAME"


def test_joined_scores_stand_in_a_row_with_the_readings_that_all_have():
    """Two parts of a record, of unequal numbers of runs."""
    one, other = scores([0.1, np.nan], spikes=[1, 2], alone=[0, 0]), scores([0.3], naive=2.0, floor=0.1, spikes=[3])
    both = Scores.joined([one, other])
    np.testing.assert_array_equal(both.score, [0.1, np.nan, 0.3])
    assert (list(both.naive), list(both.floor)) == ([1, 1, 2], [0, 0, 0.1])
    assert {name: list(values) for name, values in both.readings.items()} == {"spikes": [1, 2, 3]}


def test_regret_compares_with_the_value_that_proved_best():
    measure = MEASURES["regret"]
    tried = {0.01: scores([0.4, 0.2] * 10), 0.1: scores([0.8, 0.2] * 10)}
    baseline, variant = measure.pair(tried, scores([0.6, 0.3] * 10))
    assert baseline is tried[0.01]
    assert judged("regret", baseline, variant).typical == pytest.approx(0.5)
    np.testing.assert_allclose(np.exp(measure.compare(*measure.pair(tried, tried[0.1]))), [2, 1] * 10)


@pytest.mark.parametrize("count", [1, 3, 4])
def test_the_best_of_some_tries_is_the_mean_over_all_choices_of_so_many(count):
    """Each seed by itself; ties go to the first, and a run that diverged is chosen last and errs like naive."""
    rng = np.random.default_rng(count)
    errors, valid = rng.random((5, 20)), rng.random((5, 20))
    valid[1] = valid[3]
    errors[2, :5] = valid[2, :5] = np.nan
    tried = {(("lr", i),): scores(errors[i], validation_error=valid[i]) for i in range(5)}
    expected = []
    for seed in range(20):
        known, capped = (
            np.where(np.isnan(valid[:, seed]), np.inf, valid[:, seed]),
            np.nan_to_num(errors[:, seed], nan=1),
        )
        expected.append(np.mean([capped[min(some, key=known.__getitem__)] for some in combinations(range(5), count)]))
    found, ended = readings.best_of(count, tried)
    np.testing.assert_allclose(found, expected)
    np.testing.assert_array_equal(ended, np.isin(np.nan_to_num(valid, nan=9).argmin(0), (0, 4)))
    if count == 3:
        side, _ = MEASURES["best of 3 tries"].pair(tried, tried)
        np.testing.assert_array_equal(side.score, found), "the errors that are shown are what is compared"
    np.testing.assert_allclose(readings.best_of(3, {(): tried[("lr", 0),]})[0], errors[0])
    with pytest.raises(BadArgument, match="best of 6 tries needs as many, and there are 5"):
        readings.best_of(6, tried)


def test_time_for_an_update_has_nothing_to_do_with_failures():
    measure, once = MEASURES["seconds per update"], np.linspace(1, 1.1, 20)
    quick, slow = (scores([error] * 20, seconds_per_update=times) for error, times in ((np.nan, once), (0.1, 2 * once)))
    assert measure.alive(quick, quick, 1)
    found = judged("seconds per update", quick, slow)
    assert (found.verdict, found.typical) == ("WORSE", pytest.approx(1))
    assert sentence(found).startswith("Higher time for an update in 20 of 20 runs: +100 %")
