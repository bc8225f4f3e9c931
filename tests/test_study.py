"""`compare` and `sweep`: one change, the same seeds, an honest budget."""

import re
import threading
from dataclasses import replace

import numpy as np
import pytest

import rnntips as rt
from rnntips.errors import BadArgument, TwoChanges
from rnntips.optimizers import RULES
from rnntips.study import Study
from rnntips.tuning import TUNING_SEEDS, half_decades, tune_arms, tuning_grids
from rnntips.verdict import Finding, Verdict, sentence

BASE = rt.Recipe(updates=100, past=16, width=8, batch_size=8, lr=0.03)


@pytest.fixture(scope="module")
def sines():
    return rt.series.sines(steps=1500)


@pytest.fixture(scope="module")
def study(sines):
    return rt.compare(BASE, BASE.but(lr=1e-5), on=sines, seeds=range(10))


def test_a_rate_that_cannot_move_the_weights_is_worse(study):
    assert study.verdict == "WORSE" and study.n == 10 and study.win_rate == 0
    assert study.interval[0] < study.typical < study.interval[1]
    assert study.label == "lr: 0.03 → 1e-05"
    assert re.match(r"Higher error in (9|10) of 10 runs: \+", study.sentence)  # where both sides are naive, neither is


def test_both_sides_are_what_training_them_alone_gives(study, sines):
    for side, recipe in zip(study.runs["sines"], (study.baseline, study.variant), strict=True):
        np.testing.assert_array_equal(side.test_score, rt.train(recipe, sines, range(10)).test_score)


def test_the_effect_is_the_geometric_mean_of_capped_ratios_and_typical_their_median(study):
    baseline, variant = study.runs["sines"]
    ratio = np.minimum(variant.test_score, variant.naive) / np.minimum(baseline.test_score, baseline.naive)
    assert study.effect == pytest.approx(np.exp(np.log(ratio).mean()) - 1)
    assert study.typical == pytest.approx(np.exp(np.median(np.log(ratio))) - 1)
    assert study.interval[0] <= study.typical <= study.interval[1]


def test_swapping_the_sides_mirrors_the_finding(study, sines):
    back = rt.compare(study.variant, study.baseline, on=sines, seeds=range(10))
    assert 1 + back.effect == pytest.approx(1 / (1 + study.effect))
    assert back.verdict == "BETTER"


def test_fewer_than_ten_seeds_decide_nothing(sines):
    assert rt.compare(BASE, BASE.but(lr=1e-5), on=sines, seeds=range(9)).verdict == "UNCLEAR"


def test_two_sides_that_cannot_learn_are_not_compared(sines):
    study = rt.compare(BASE.but(lr=1e-6), BASE.but(lr=1e-5), on=sines, seeds=range(10))
    assert study.verdict == "NOT TRAINED"
    assert study.sentence.startswith("Neither side learned enough to be compared. With “learning rate 1e-06”, ")
    assert study.sentence.endswith("Worth a try: raise the learning rate (lr=0.01).")


def test_a_side_that_diverges_is_named_with_its_runs_and_what_is_not_yet_done():
    """Clipping is no advice to a side that has it, nor to the other, if it did not help there."""
    steep = rt.Recipe(cell="tanh", width=24, init="radius:2", optimizer="sgd", lr=0.1, batch_size=32, updates=50)
    study = rt.compare(steep, steep.but(clip_norm=1.0, lr=30.0), rt.tasks.adding(16), range(10), allow=["lr"])
    plain, _ = study.runs["adding 16"]
    lost = plain.diverged_at[plain.diverged_at > 0]
    assert study.verdict == "NOT TRAINED" and len(lost) > 5
    assert f"With “no clipping”, {len(lost)} of 10 runs diverged" in study.sentence
    assert f"first at update {lost.min()}." in study.sentence and "clip" not in study.sentence.split("Worth a try")[1]
    calm = rt.compare(steep, steep.but(init="radius:0.5"), rt.tasks.adding(16), range(10))
    assert "runs diverged" in calm.sentence and calm.diagnosis.findings[0].code == "diverged"


def test_two_changes_are_refused_and_allowed_by_name(sines):
    with pytest.raises(TwoChanges, match=r"lr \(0.03 → 0.1\).*clip_norm|clip_norm.*lr \(0.03 → 0.1\)"):
        rt.compare(BASE, BASE.but(lr=0.1, clip_norm=1.0), on=sines, seeds=range(2))
    rt.compare(BASE, BASE.but(lr=0.1, clip_norm=1.0), on=sines, seeds=range(2), allow=["lr"])
    with pytest.raises(BadArgument, match="equal"):
        rt.compare(BASE, BASE, on=sines, seeds=range(2))


def test_settings_are_trained_apart_and_pooled_with_equal_weight(sines):
    both = {"short": sines, "shorter": rt.series.sines(steps=1200)}
    study = rt.compare(BASE, BASE.but(lr=1e-5), on=both, seeds=range(10))
    alone = [study.finding_in(name) for name in both]
    assert np.log1p(study.effect) == pytest.approx(np.mean([np.log1p(one.effect) for one in alone]))
    assert np.log1p(study.typical) == pytest.approx(np.mean([np.log1p(one.typical) for one in alone]))
    assert (study.n, study.finding.runs) == (10, 20)


def kept(scores):
    """Finished runs with these test scores, between a naive error of 1 and a floor of 0."""
    n = len(scores)
    return rt.Runs((BASE,) * n, seeds=np.arange(n), test_scores=np.array(scores)[:, None], naive=np.ones(n),
                   floor=np.zeros(n), train_loss=np.zeros((n, 1)), reached=1)  # fmt: skip


def test_settings_in_which_neither_side_trained_are_left_out_and_named():
    """Runs at the naive error would pull the pooled effect towards none."""
    lively, dead = kept([0.4 + 0.001 * i for i in range(10)]), kept([0.99] * 10)
    worse = kept([0.5 + 0.001 * i for i in range(10)])
    alone = Study(BASE, BASE.but(lr=1), {"a": (lively, worse)})
    both = Study(BASE, BASE.but(lr=1), {"a": (lively, worse), "b, c": (dead, dead)})
    assert both.finding == alone.finding and both.comparison.untrained == ["b, c"]
    assert alone.sentence.endswith(" Medians: 0.40 of naive against 0.50 of naive.")
    whole = alone.sentence.partition(" Medians")[0]  # which are one setting's
    assert both.sentence == whole + " Left out, since neither side learned there: b, c."
    assert both.finding_in("b, c").verdict == "NOT TRAINED"
    assert both.comparison.finding_of(["a", "b, c"]).verdict == "NOT TRAINED"
    nowhere = Study(BASE, BASE.but(lr=1), {"a": (dead, dead), "b": (dead, dead)})
    told = nowhere.sentence.removeprefix("Neither side learned enough to be compared. ").split(". ")
    assert [words.split(",")[0] for words in told[:4]] == [f"With “learning rate {lr}” on {name}" for name in "ab"
                                                          for lr in (0.03, 1)]  # fmt: skip
    one_side = Study(BASE, BASE.but(lr=1), {"a": (dead, worse)})
    assert one_side.comparison.untrained == [] and one_side.verdict == "BETTER"


def test_a_sweep_trains_its_baseline_once_and_equals_single_comparisons(sines):
    sweep = rt.sweep(BASE, on=sines, seeds=range(3), width=[8, 4, 6])
    assert list(sweep.studies) == [4, 6]
    one = rt.compare(BASE, BASE.but(width=4), on=sines, seeds=range(3))
    assert sweep[4].effect == one.effect
    assert sweep[4].runs["sines"][0] is sweep[6].runs["sines"][0]
    with pytest.raises(TwoChanges, match="varies one field; 2 came"):
        rt.sweep(BASE, on=sines, seeds=range(3), width=[4], lr=[0.1])


def test_tuning_picks_the_rate_with_the_lowest_validation_error_on_seeds_of_its_own(sines):
    task = rt.tasks.forecast(sines)
    grid = [1e-5, 1e-3, 0.01]
    (pick,) = tune_arms([BASE], task, {"lr": grid})
    scores = [rt.train(BASE.but(lr=lr), task, TUNING_SEEDS).valid_score[:, -3:].mean() for lr in grid]
    assert pick.values["lr"] >= 0.01
    assert scores[2] < scores[1] < scores[0]
    assert not set(TUNING_SEEDS) & set(range(1000))


def test_a_rate_picked_at_the_edge_widens_its_grid(sines):
    (pick,) = tune_arms([BASE], rt.tasks.forecast(sines), {"lr": half_decades(-4, -3)}, search=True)
    assert pick.values["lr"] > 1e-3 and pick.tried[0] < pick.values["lr"] < pick.tried[-1]


@pytest.mark.parametrize("shift", [0.0, 0.3])
@pytest.mark.parametrize("best", [0.0123, 0.5, 3e-5])
def test_a_search_finds_the_lowest_point_of_a_parabola_wherever_it_lies(best, shift):
    """Errors fall and rise with the squared log of the rate, as near a minimum all smooth curves do."""

    def train(sides, task, seeds, *_):
        found = [kept([1.0] * len(seeds)) for _ in sides]
        for side, runs in zip(sides, found, strict=True):
            error = 0.1 * np.exp(3 * np.log10(side.lr / best) ** 2)
            runs.valid_score, runs.valid_naive = np.full((len(seeds), 3), error), np.ones(len(seeds))
        return found

    (pick,) = tune_arms([BASE], None, {"lr": half_decades(-4, -1)}, train=train, search=True, shift=shift)
    assert pick.values["lr"] == pytest.approx(best, rel=0.01) and pick.tried[0] < pick.values["lr"] < pick.tried[-1]
    steps = np.diff(np.log10(pick.tried))
    assert 0.11 < steps.min() < 0.26 and len(pick.tried) >= 9 + (best != 0.0123)
    assert (np.log10(pick.tried[0]) - shift + 0.25) % 0.5 == pytest.approx(0.25, abs=0.01)


def test_a_pick_at_an_end_that_no_search_leaves_is_known():
    def train(sides, task, seeds, *_):
        found = [kept([1.0] * len(seeds)) for _ in sides]
        for side, runs in zip(sides, found, strict=True):
            runs.valid_score, runs.valid_naive = np.full((len(seeds), 3), side.lr**-0.01), np.full(len(seeds), 9.0)
        return found

    (pick,) = tune_arms([BASE], None, {"lr": half_decades(-4, -1)}, train=train, search=True)
    assert pick.values["lr"] == pick.tried[-1] > 1


def test_tuned_fields_may_differ_and_are_kept(sines):
    study = rt.compare(BASE, BASE.but(input_scaling="minmax"), on=sines, seeds=range(2), tune={"lr": [0.003, 0.01]})
    for side, picked in zip(study.runs["sines"], study.tuned["sines"], strict=True):
        assert side.recipes[0].lr == picked["lr"]
    with pytest.raises(BadArgument, match="tune='width'"):
        rt.compare(BASE, BASE.but(lr=0.1), on=sines, seeds=range(2), tune="width")


def test_a_stopped_study_decides_nothing_and_says_where_it_stood(sines):
    stop = threading.Event()
    stop.set()
    study = rt.compare(BASE, BASE.but(lr=1e-5), on=sines, seeds=range(10), stop=stop)
    assert study.verdict == "UNCLEAR"
    assert study.sentence == "Stopped at update 0 of 100: nothing is decided."


def test_half_decades_have_two_digits():
    assert half_decades(-2, 0) == [0.01, 0.032, 0.1, 0.32, 1.0]


def test_sentences_say_direction_count_size_and_rule():
    finding = Finding(Verdict.BETTER, -0.41, -0.41, (-0.52, -0.28), 9, 1, 10, 10, 0.05, 0.2)
    assert sentence(finding) == "Lower error in 9 of 10 runs: −41 % (−52 to −28)."
    assert sentence(replace(finding, verdict=Verdict.WORSE)).startswith("Higher error in 1 of 10 runs")
    assert sentence(replace(finding, verdict=Verdict.SAME)).endswith("within ± 5 %.")
    assert "can show differences of 20 % or more" in sentence(replace(finding, verdict=Verdict.UNCLEAR))


def test_what_is_tuned_cannot_be_under_test_and_tuning_seeds_are_nobody_elses(sines):
    with pytest.raises(BadArgument, match="lr is tuned on each side"):
        rt.compare(BASE, BASE.but(lr=1e-5), on=sines, seeds=range(10), tune="lr")
    with pytest.raises(BadArgument, match="are for tuning"):
        rt.compare(BASE, BASE.but(width=4), on=sines, seeds=TUNING_SEEDS, tune="lr")
    with pytest.raises(BadArgument, match="same horizon"):
        rt.compare(BASE, BASE.but(horizon=3), on=sines, seeds=range(2))


@pytest.mark.parametrize("optimizer", sorted(RULES.keys() - {"nesterov"}))
def test_the_learning_rate_of_every_optimizer_can_be_searched(optimizer):
    rates = tuning_grids("lr", rt.Recipe(optimizer=optimizer))["lr"]
    assert len(rates) > 5 and rates == sorted(rates)


def test_a_grid_of_the_callers_own_is_not_widened(sines):
    study = rt.compare(BASE, BASE.but(width=4), on=sines, seeds=range(2), tune={"lr": [0.0005, 0.001]})
    assert {pick["lr"] for picks in study.tuned.values() for pick in picks} <= {0.0005, 0.001}


def test_tuning_a_side_that_overflows_is_no_error(sines):
    """Its errors are infinite, and lose to finite ones."""

    def train(sides, task, seeds, *_):
        found = []
        for side in sides:
            error = {0.1: np.inf, 0.01: 5.0, 0.001: 0.5}[side.lr]
            runs = kept([1.0] * len(seeds))
            runs.valid_score, runs.valid_naive = np.full((len(seeds), 3), error), np.ones(len(seeds))
            found.append(runs)
        return found

    (pick,) = tune_arms([BASE], None, {"lr": [0.1, 0.01, 0.001]}, train=train)
    assert pick.values == {"lr": 0.001}
    (pick,) = tune_arms([BASE], None, {"lr": [0.1, 0.01]}, train=train)  # both count as naive, and 5 is less
    assert pick.values == {"lr": 0.01}


def test_tuning_never_looks_at_the_test_part(sines, monkeypatch):
    task = rt.tasks.forecast(sines)
    grid = {"lr": [1e-4, 1e-3, 0.01]}
    (before,) = tune_arms([BASE], task, grid)
    monkeypatch.setattr(rt.Runs, "test_score", property(lambda self: 1 / self.seeds))
    monkeypatch.setattr(rt.Runs, "latest_score", property(lambda self: 1 / self.seeds))
    (after,) = tune_arms([BASE], task, grid)
    assert before == after


def test_a_setting_that_cannot_be_trained_is_refused_before_any_other_is(sines, monkeypatch):
    monkeypatch.setattr("rnntips.jobs.execute.train_jobs", lambda *_, **__: pytest.fail("something was trained"))
    both = {"long": sines, "short": rt.series.sines(steps=60)}
    with pytest.raises(BadArgument, match="largest window that fits"):
        rt.compare(BASE, BASE.but(lr=1e-4), on=both, seeds=range(2))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"witdh": [3]}, "Did you mean 'width'"),
        ({"lr": 0.1}, "a list of values"),
        ({"lr": [0.1], "tune": {"lr": 0.1}}, "list"),
    ],
)
def test_a_sweep_names_what_it_cannot_use(sines, arguments, words):
    with pytest.raises(BadArgument, match=words):
        rt.sweep(BASE, on=sines, seeds=range(2), **arguments)
