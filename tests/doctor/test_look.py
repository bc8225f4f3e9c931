"""`rt.look`: what it says of a series is so, its errors are a comparison's, and its recipe is no worse than usual."""

import html
from io import BytesIO

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

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


# ── files and frames ────────────────────────────────────────────────────────

HOURS = pd.DataFrame({"time": pd.date_range("2024-01-01", periods=N, freq="h"), "load": PLAIN.round(3),
                      "wind": RNG.normal(5, 1, N).round(3)})  # fmt: skip


def written(frame, path):
    frame.to_csv(path, index=False)
    return path


def test_of_a_file_it_says_what_was_read(tmp_path):
    seen = rt.look(written(HOURS[::-1], tmp_path / "hours.csv"), "load")
    assert seen.read == f"hours.csv, column load: {N:,} steps of 1 hour, from 2024-01-01 to 2024-02-19 23:00."
    assert seen.notes == seen.series.notes and "newest first" in seen.notes[0] and not seen.doubts
    assert np.array_equal(seen.series.values[:, 0], HOURS["load"])


@pytest.mark.parametrize("kind", ["file", "frame", "array", "series"])
def test_its_line_of_code_runs_and_trains_on_what_was_looked_at(kind, tmp_path):
    gap = HOURS.drop(index=range(300, 320))
    given = {"file": str(tmp_path / "hours.csv"), "frame": gap, "array": PLAIN, "series": made(PLAIN, period=24)}[kind]
    written(gap, tmp_path / "hours.csv")
    seen = rt.look(given, **({"target": "load"} if kind in ("file", "frame") else {}))
    names = {"rt": rt, "frame": given, "values": given, "series": given}
    exec(seen.code.replace("seeds=range(10)", "seeds=range(2)"), names)
    assert names["runs"].recipes[0].but(updates=300) == seen.recipe and "\n" not in seen.code
    task = rt.tasks.forecast(seen.series)
    assert names["runs"].naive == pytest.approx([task.bounds(seen.recipe, seed)[0] for seed in range(2)])


def test_gaps_are_shown_with_what_settles_them_and_filled_for_the_picture(tmp_path):
    path = written(HOURS.drop(index=range(300, 320)), tmp_path / "hours.csv")
    seen = rt.look(path, "load")
    (doubt,) = seen.doubts
    assert 'gaps="fill"' in doubt.do and doubt.rows.tolist() == [*range(300, 320)] and "gaps='fill'" in seen.code
    settled = rt.look(path, "load", gaps="fill")
    assert not settled.doubts and settled.code == seen.code and settled.errors == seen.errors


def test_while_something_else_is_doubtful_nothing_is_computed(tmp_path):
    marked = HOURS.copy()
    marked.loc[[100, 200, 900], "load"] = -999
    seen = rt.look(written(marked, tmp_path / "hours.csv"), "load")
    assert "missing=[-999]" in seen.doubts[0].do and seen.doubts[0].rows.tolist() == [100, 200, 900]
    assert (seen.errors, seen.recipe, seen.code) == ({}, None, "") and "then look again" in repr(seen)
    assert seen.picture().axes and rt.look(tmp_path / "hours.csv", "load", missing=[-999], gaps="fill").code


@pytest.mark.parametrize(
    ("given", "how", "words"),
    [
        ("none.csv", {}, "No file at"),
        (HOURS, {}, "2 numeric columns to forecast"),
        (HOURS, {"target": "load", "sep": ";"}, "argument 'sep' is not known"),
        (PLAIN, {"target": "load"}, "an array has no names"),
        ("text", {"bogus": 1}, "argument 'bogus' is not known"),
        (np.r_[PLAIN, np.nan], {}, "not finite"),
    ],
)
def test_what_no_series_can_be_made_of_is_raised_in_words(given, how, words):
    with pytest.raises(rt.errors.BadArgument, match=words):
        rt.look(given, **how)


def test_a_stretch_that_cannot_be_trained_on_is_named_in_place_of_a_recipe():
    seen = rt.look(made(np.r_[PLAIN[:600], np.full(600, 7.0)]))
    assert seen.recipe is None and seen.code == "" and "nothing is left to learn" in said(seen).casefold()


# ── how it is shown ─────────────────────────────────────────────────────────


def test_it_is_one_screen_of_text_and_in_a_notebook_text_and_a_picture(monkeypatch):
    shown = []
    monkeypatch.setattr("IPython.display.display", lambda data, raw: shown.append(data))
    seen = rt.look(made(spiked(40), name="<load>", period=24, notes=["A $\\frac{note."]))
    assert len(repr(seen).splitlines()) <= 30 and max(map(len, repr(seen).splitlines()[:-1])) <= 100
    seen._ipython_display_()
    text, picture = shown
    assert "&lt;load&gt;" in text["text/html"] and "<load>" not in text["text/html"]
    for words in (seen.read, *seen.forecasts, *(one.says for one in seen.warnings), *seen.notes):
        assert words in html.unescape(text["text/html"]) and words.split(":")[0] in " ".join(repr(seen).split())
    drawn = Image.open(BytesIO(picture["image/png"])).convert("RGBA")
    assert drawn.width > 500 and drawn.getpixel((1, 1))[3] == 0, "it has no ground of its own"


def test_doubtful_places_are_marked_in_the_picture_with_their_numbers():
    values = np.r_[PLAIN[:300], np.full(99, 7.0), PLAIN[399:1000], PLAIN[1000:] + 30]
    seen = rt.look(made(values, times=np.datetime64("2024-01-01", "ns") + T * np.timedelta64(1, "h")))
    (ax,) = seen.picture().axes
    assert {text.get_text() for text in ax.texts} == {"training", "validation", "test", "1", "2", "3"}
    plain = rt.look(made(PLAIN)).picture().axes[0]
    assert len(ax.patches) > len(plain.patches) == 0


def test_a_long_series_is_drawn_with_its_extremes():
    values = np.tile(PLAIN, 40)
    values[12_345] = 99.0
    (line,) = [line for line in rt.look(made(values)).picture().axes[0].lines if len(line.get_xdata()) > 100]
    assert len(line.get_xdata()) <= 4000 and line.get_ydata().max() == 99.0


@settings(max_examples=60, deadline=None)
@given(
    values=arrays(np.float64, st.integers(1, 120), elements=st.one_of(
        st.sampled_from([0.0, 1.0, -999.0, np.nan]), st.floats(-1e6, 1e6), st.floats(allow_nan=False, width=32))),
    period=st.sampled_from([None, 1, 2, 7, 365]),
    trending=st.booleans(),
)  # fmt: skip
def test_whatever_the_numbers_it_says_something_in_words_or_raises_a_named_error(values, period, trending):
    try:
        seen = rt.look(values, period=period, trending=trending)
    except rt.errors.BadData:
        return
    assert len(repr(seen).splitlines()) <= 40 and seen.picture().axes
    assert (seen.recipe is None) == (seen.code == "") and all(np.isfinite([*seen.errors.values()]))
