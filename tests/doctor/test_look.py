"""`rt.look`: what it says of a series is so, its errors are a comparison's, and its recipe is no worse than usual."""

import numpy as np
import pytest

import rnntips as rt

RNG, N = np.random.default_rng(7), 1200
T = np.arange(N)


def season(period, height=3.0):
    return height * np.sin(2 * np.pi * T / period)


def made(values, **more):
    return rt.series.from_array(values, **more)


WALK = np.cumsum(RNG.normal(0, 1, N))
PLAIN = 10 + season(24) + RNG.normal(0, 0.5, N)


def spiked(size, count=8):
    values = PLAIN.copy()
    values[np.random.default_rng(3).choice(N, count, replace=False)] += size
    return values


def said(seen):
    return " ".join(f"{one.says} {one.do}" for one in seen.warnings)


@pytest.mark.parametrize("series", [made(PLAIN, period=24), made(WALK), rt.series.co2(), rt.series.demand(2)],
                         ids=lambda series: series.name)  # fmt: skip
def test_its_errors_are_those_that_runs_are_compared_with(series):
    seen = rt.look(series)
    runs = rt.train(seen.recipe.but(updates=1), series, range(10))
    assert seen.errors["naive"] == pytest.approx(np.median(runs.naive))
    if series.simulator is None:
        known = np.minimum([rt.doctor.series_checks._errors(series, seed)["linear"] for seed in range(10)], runs.naive)
        assert runs.floor == pytest.approx(known)


def test_the_seasonal_naive_error_is_that_of_the_value_of_a_season_before():
    series = made(season(24) + np.linspace(0, 50, N), period=24)
    per_season = 24 * 50 / (N - 1)
    assert rt.look(series).errors["seasonal naive"] == pytest.approx(per_season)
    assert "seasonal naive" not in rt.look(made(PLAIN)).errors


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (WALK, "Nothing easy beats naive"),
        (np.r_[PLAIN[:1000], PLAIN[1000:] + 30], "The level shifts: 83 % of the test part (the last fifth) lies above"),
        (np.r_[PLAIN[:1000], PLAIN[1000:] - 30], "lies below 99 % of the training part"),
        (np.r_[PLAIN[:300], np.full(99, 7.0), PLAIN[399:]], "99 values in a row, from step 300 to step 398,"),
        (spiked(300), "8 values lie more than 5 interquartile ranges from the median: the farthest, 3"),
        (5 + 2.0 * T, "The target only counts: every value is +2 from the one before."),
    ],
)  # fmt: skip
def test_it_says_what_may_surprise(values, words):
    assert words in said(rt.look(made(values)))


@pytest.mark.parametrize("series", [
    made(PLAIN, period=24), rt.series.demand(4), rt.series.sines(), rt.series.weather(),
    made(np.maximum(0, RNG.normal(-1, 2, N))), made(RNG.poisson(3, N).astype(float) + season(7)),
])  # fmt: skip
def test_of_healthy_series_it_says_nothing(series):
    assert said(rt.look(series)) in ("", said_of_naive(series))


def said_of_naive(series):
    return " ".join(f"{one.says} {one.do}" for one in rt.look(series).warnings if "naive" in one.says)


# ── what to begin with ──────────────────────────────────────────────────────


def score(study):
    (sides,) = study.runs.values()
    return [float(np.median(side.test_score / side.naive)) for side in sides]


@pytest.mark.parametrize(
    ("series", "fields", "better"),
    [
        (made(100 + 0.05 * T + season(12, 5) + RNG.normal(0, 1, N), period=12), {"target", "features", "past"}, 0.5),
        (made(PLAIN + 20.0 * (T > 950), period=24), {"target", "features", "past", "clip_norm"}, 0.5),
        (made(WALK + season(24, 8), period=24), {"target", "features", "past"}, 1.0),
        (made(10 + season(12) + RNG.normal(0, 0.5, N), period=12), {"past"}, 1.0),
        (made(10 + season(7) + RNG.normal(0, 0.5, N), period=7), {"past"}, 1.0),
        (made(spiked(40), period=24), {"past", "clip_norm"}, 1.0),
        (made(spiked(400), period=24), {"past", "clip_norm", "input_scaling", "target_scaling"}, 1.0),
    ],
    ids=["trend", "shift", "walk", "months", "days", "extremes", "far extremes"],
)  # fmt: skip
def test_its_recipe_does_no_worse_than_the_usual_one(series, fields, better):
    seen = rt.look(series)
    assert {*seen.recipe.chosen()} == fields
    study = rt.compare(rt.Recipe(), seen.recipe, series, range(10), allow=sorted(fields))
    usual_error, first_error = score(study)
    assert study.verdict != "WORSE" and first_error <= 1.02 * better * usual_error


@pytest.mark.parametrize("steps", [32, 40, 64, 100, 144])
def test_on_a_short_series_its_recipe_has_a_shorter_window_and_trains(steps):
    series = made((10 + season(12))[:steps] + RNG.normal(0, 0.5, steps), period=12)
    with pytest.raises(rt.errors.BadData, match="largest window"):
        rt.train(rt.Recipe(), series, [0])
    seen = rt.look(series)
    runs = rt.train(seen.recipe, series, range(10))
    assert np.isfinite(runs.test_score).all() and "the most that this short series allows" in seen.why[1]
