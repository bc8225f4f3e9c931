"""Figures hold what the record holds; tested on their data, not their pixels."""

import threading
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from matplotlib.colors import to_rgba
from matplotlib.text import Text
from PIL import Image

import rnntips as rt
from rnntips import figures
from rnntips.notebook.lessons import FOLDER
from rnntips.notebook.panels.picture import draw
from rnntips.runs import to_target


@pytest.fixture(scope="module")
def study():
    baseline = rt.Recipe(updates=60, past=16, width=8, batch_size=8, lr=0.03)
    return rt.compare(baseline, baseline.but(lr=0.003), on=rt.series.sines(steps=800), seeds=range(10))


def loud(sides):
    """The same runs with a floor at half of naive."""
    return [replace(runs, floor=runs.naive / 2) for runs in sides]


def png(ax):
    data = ax.figure._repr_png_()
    assert data.startswith(b"\x89PNG")
    return data


def test_loss_bands_show_every_run_and_both_medians(study):
    ax = figures.loss_bands(study)
    baseline, _ = study.runs["sines"]
    lines = ax.get_lines()
    assert len(lines) == 2 * (10 + 1) + 2
    np.testing.assert_allclose(np.median(baseline.valid_score[:, 1:], 0), lines[10].get_ydata())
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["learning rate 0.03", "learning rate 0.003"]
    assert "units" in ax.get_ylabel() and ax.get_xlabel() == "updates"
    assert lines[10].get_linestyle() != lines[21].get_linestyle()
    png(ax)


def test_a_floor_of_0_and_runs_without_error_fit_on_the_axis():
    """No line can be drawn at 0; a note says where it is, and an error of 0 stands at a thousandth of naive."""
    baseline = rt.Recipe(updates=30, width=6, batch_size=8, lr=0.03)
    study = rt.compare(baseline, baseline.but(lr=0.01), on=rt.tasks.adding(3), seeds=range(10))
    for runs in study.runs["adding 3"]:
        runs.valid_score[:, -2:] = runs.test_scores[:] = 0
        runs.valid_score[0, 5] = np.inf
    ax = figures.loss_bands(study)
    assert ["naive", "↓ floor: no error"] == [text.get_text() for text in ax.texts]
    low, high = ax.get_ylim()
    least = 1e-3 * study.runs["adding 3"][0].valid_naive.mean()
    assert 0 < low < least < high < 10
    assert ax.get_lines()[10].get_ydata()[-1] == pytest.approx(least, rel=0.1)
    png(ax), png(figures.paired(study))
    assert (study.verdict, study.typical) == ("SAME", 0) and "infinity" not in study.sentence


def test_a_floor_that_is_naives_own_is_no_second_line():
    """The panel's picture draws none either, and no curve below it is cut off."""
    walk = rt.series.from_array(np.cumsum(np.random.default_rng(0).normal(0, 1, 500)), name="walk")
    baseline = rt.Recipe(updates=30, width=6, past=6, batch_size=8, target="change")
    study = rt.compare(baseline, baseline.but(lr=0.001), on=walk, seeds=range(10))
    assert study.verdict == "NOT TRAINED" and "a linear one does not either" in study.sentence
    assert [text.get_text() for text in figures.loss_bands(study).texts] == ["naive"]
    sides = study.runs["walk"]
    assert (to_target(sides[0]) < 0).all()
    assert "floor" not in draw(*sides, study.names, study.smallest, "")
    assert "floor" in draw(*loud(sides), study.names, study.smallest, "")


def test_paired_marks_are_the_effects_and_point_by_direction(study):
    ax = figures.paired(study)
    marks = {line.get_marker(): line.get_xdata() for line in ax.get_lines()}
    effects = 100 * np.expm1(study.effects("sines"))
    np.testing.assert_allclose(sorted([*marks["o"], *marks["^"]]), np.sort(effects))
    assert (np.array(marks["o"]) <= 0).all() and (np.array(marks["^"]) > 0).all()
    np.testing.assert_allclose(marks["D"], [100 * study.typical])
    bar = next(line.get_xdata() for line in ax.get_lines() if line.get_linewidth() == 2 and len(line.get_xdata()) == 2)
    np.testing.assert_allclose(bar, 100 * np.array(study.interval))
    png(ax)


def test_forest_has_a_row_for_every_claim_and_setting():
    """A claim's title with its word stands above its settings, each with a dot."""
    tip = rt.tips["scaling"]
    ax = figures.forest(tip)
    labels = [label.get_text() for label in ax.get_yticklabels()]
    found = [one for claim in tip.record["claims"] for one in claim["settings"].values()]
    assert len(labels) == len(tip.record["claims"]) + len(found)
    assert labels[-1] == tip.texts["C1"]
    assert [text.get_text() for text in ax.texts][::-1] == [claim["word"].lower() for claim in tip.record["claims"]]
    dots = [line.get_xdata()[0] for line in ax.get_lines() if line.get_marker() == "o"]
    np.testing.assert_allclose(dots[::-1], [100 * one["typical"] for one in found])
    png(ax)


def test_showing_a_study_gives_a_sentence_and_a_picture(study, monkeypatch):
    import IPython.display

    shown = []
    monkeypatch.setattr(IPython.display, "display", lambda bundle, raw: shown.append(bundle))
    study._ipython_display_()
    assert shown[0]["text/plain"] == "Study(lr: 0.03 → 0.003; on sines)"
    assert study.sentence in shown[0]["text/html"] and "seeds 0 to 9" in shown[0]["text/html"]
    assert shown[1]["image/png"].startswith(b"\x89PNG")


@pytest.mark.parametrize("ground", ["#ffffff", "#111111"])
def test_colours_hold_on_a_white_page_and_on_a_dark_one(ground):
    """As well as one colour can on both: 4.34 is the root of the contrast that the two grounds have."""
    assert 4.34 < contrast("#ffffff", "#111111") ** 0.5 < 4.35
    for color in [*figures.COLORS.values(), figures.GREY]:
        assert contrast(color, ground) >= 4.3, color


@pytest.mark.parametrize(
    "still", sorted(FOLDER.glob("*/still*.png")), ids=lambda path: f"{path.parent.name}-{path.stem}"
)
def test_stored_pictures_have_no_ground_of_their_own(still):
    with Image.open(still) as picture:
        alpha = np.asarray(picture.convert("RGBA"))[..., 3]
    assert alpha[0, 0] == alpha[-1, -1] == 0 and (alpha == 0).mean() > 0.5 and alpha.max() > 250


def test_what_is_drawn_in_black_by_default_is_drawn_in_grey(study):
    ax = figures.loss_bands(study)
    ax.annotate("a", (0.5, 0.5), xycoords="axes fraction")
    ax.figure.suptitle("b")
    png(ax)
    named = {text.get_text(): text.get_color() for text in ax.figure.findobj(Text) if text.get_text()}
    assert set(named.values()) == {figures.GREY} and len(named) > 10
    assert {spine.get_edgecolor() for spine in ax.spines.values()} == {to_rgba(figures.GREY)}


def contrast(one, other):
    """Of two colours, as WCAG 2 defines it."""
    dark, light = sorted(map(luminance, (one, other)))
    return (light + 0.05) / (dark + 0.05)


def luminance(color):
    channels = np.array([int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return linear @ [0.2126, 0.7152, 0.0722]


def test_figures_can_be_drawn_by_several_threads_at_once(study):
    alone = png(figures.loss_bands(study))
    found, threads = [], []
    for _ in range(4):
        threads.append(threading.Thread(target=lambda: found.append(png(figures.loss_bands(study)))))
        threads[-1].start()
    for thread in threads:
        thread.join()
    assert found == [alone] * 4


def test_log_ticks_lie_between_their_ends():
    assert figures.log_ticks(3, 600) == [5, 10, 20, 50, 100, 200, 500]
    assert figures.log_ticks(1, 20_000) == [1, 10, 100, 1000, 10_000]
    assert len(figures.log_ticks(0.35, 0.75)) >= 3


@pytest.fixture(scope="module")
def ten():
    """Ten short runs on the record that the first page shows."""
    task = rt.tasks.forecast(rt.series.co2())
    return task, rt.train(rt.exercises.start_here.A.but(updates=30), task, seeds=range(10))


def test_curves_are_shares_of_each_run_s_own_naive_error(ten):
    _, runs = ten
    ax = figures.curves({"A": runs, "B": runs.only([3])})
    lines = ax.get_lines()
    assert len(lines) == 10 + 1 + 1 + 1  # ten faint runs and their median, a single run, the naive line
    share = runs.valid_score[:, 1:] / runs.valid_naive[:, None]
    np.testing.assert_allclose(lines[10].get_ydata(), np.median(share, 0))
    np.testing.assert_allclose(lines[11].get_ydata(), share[3])
    assert lines[10].get_linestyle() != lines[11].get_linestyle()
    assert set(lines[12].get_ydata()) == {1}
    png(ax)


def test_findings_far_apart_are_drawn_as_factors_on_a_regular_logarithmic_axis():
    """Beyond a factor of two, as sentences say them; the band of what matters can be seen."""
    rows = [("a claim", "its word", None, None), ("big", 8.0, (7.0, 9.0), 0.05),
            ("small", -0.06, (-0.08, -0.04), 0.1)]  # fmt: skip
    ax = figures.findings(rows)
    low, high = ax.get_xlim()
    assert ax.get_xscale() == "log" and 0.5 < low < 0.8 and 10 < high < 12
    assert [tick for tick in ax.get_xticks() if low < tick < high] == [1, 2, 5, 10]
    assert [line.get_xdata()[0] for line in ax.get_lines()[2::2]] == pytest.approx([0.94, 9])
    assert "(times the baseline's)" in " ".join(ax.get_xlabel().split())
    bands = [np.ptp(np.log(band.get_paths()[0].vertices[:, 0])) for band in ax.collections]
    np.testing.assert_allclose(bands, 2 * np.log([1.1, 1.05]))  # the rows are drawn from below
    png(ax)
    wide = figures.findings([*rows, ("less", -0.97, (-0.98, -0.9), 0.05), ("more", 50.0, (40.0, 60.0), 0.05)])
    wide.figure.canvas.draw()
    boxes = [label.get_window_extent() for label in wide.get_xticklabels() if label.get_text()]
    assert len(boxes) >= 3 and all(one.x1 < other.x0 for one, other in pairwise(boxes))
    near = figures.findings([("near", 0.4, (0.2, 0.6), 0.05)])
    assert near.get_xscale() == "linear" and near.get_lines()[2].get_xdata()[0] == 40


@pytest.mark.parametrize("name", [name for name in rt.tips if rt.tips[name].has_record])
def test_a_lesson_s_list_of_findings_is_at_most_700_pixels_wide(name):
    tip = rt.tips[name]
    figure = figures.forest(tip, tip.headlines).figure
    assert figure.get_size_inches()[0] * figures.DPI <= 700
    figure.canvas.draw()
    assert all(ax.get_window_extent().width > 250 for ax in figure.axes), "labels leave too little room"
