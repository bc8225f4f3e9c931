"""The panel through its own objects: a guess trains, Stop stops, and the picture follows the record."""

import re
import threading
import time

import numpy as np
import pytest

import rnntips as rt
from rnntips.errors import BadArgument
from rnntips.panels import panel as module
from rnntips.panels.picture import draw

PATIENCE = 60


def wait(condition):
    until = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < until, "nothing happened"
        time.sleep(0.01)


@pytest.fixture
def panel():
    made = rt.panels.Panel("scaling")
    made.baseline = made.baseline.but(updates=60, width=8, past=16)
    yield made
    made.stop()
    wait(lambda: made.state != "running")


def test_building_and_showing_trains_nothing_and_starts_no_thread():
    threads = threading.active_count()
    made = rt.panels.Panel("scaling", setting="CO2", input_scaling="minmax")
    shown = made._repr_mimebundle_()
    assert shown["text/plain"] == "Panel('scaling', setting='CO2', input_scaling='minmax')"
    assert threading.active_count() == threads
    assert made.state == "idle" and made.picture.value == ""


def test_a_guess_trains_draws_and_ends_with_a_sentence(panel):
    pictures = set()
    panel.guess_buttons["higher"].click()
    assert panel.state == "running" and not panel.stop_button.disabled and panel.just_run.disabled
    wait(lambda: pictures.add(panel.picture.value) or panel.state != "running")
    assert len(pictures - {""}) >= 2
    assert panel.state == "done" and panel.stop_button.disabled and not panel.just_run.disabled
    assert panel.study().sentence in panel.status.value
    assert "You guessed: ≥ 5 % higher error" in panel.status.value


def test_stop_keeps_the_curves_and_decides_nothing(panel):
    panel.baseline = panel.baseline.but(updates=100_000)
    panel.press("same")
    wait(lambda: panel.picture.value.count("<path") > 20)
    panel.stop_button.click()
    wait(lambda: panel.state == "stopped")
    assert panel.picture.value.count("<path") > 20
    assert "nothing is decided" in panel.status.value and "not scored" in panel.status.value
    assert panel.study().stopped


def test_pressing_twice_starts_one_run(panel):
    threads = threading.active_count()
    panel.press("same")
    panel.press("lower")
    assert threading.active_count() == threads + 1
    assert panel.guess == "same"


def test_a_second_panel_waits_its_turn_in_words(panel):
    other = rt.panels.Panel("scaling")
    panel.press()
    other.press()
    assert other.state == "idle" and "Another panel is training" in other.status.value


def test_a_failure_is_shown_and_the_panel_stays_usable(panel, monkeypatch):
    def broken(*_arguments, **_more):
        raise BadArgument("seeds <ran> out")

    monkeypatch.setattr(module, "compare", broken)
    panel.press()
    wait(lambda: panel.state == "failed")
    assert "seeds &lt;ran&gt; out" in panel.status.value and "<details>" in panel.status.value
    monkeypatch.undo()
    panel.press()
    wait(lambda: panel.state == "done")


def test_study_without_a_run_is_the_comparison_as_it_stands(panel):
    study = panel.study()
    assert study is panel.study()
    assert study.baseline.but(lr=1, input_scaling="none") == study.variant.but(lr=1)


def test_each_side_gets_its_stored_learning_rate():
    made = rt.panels.Panel("scaling", setting="demand, spiked", input_scaling="symmetric")
    baseline, variant, setting = made._sides()
    stored = {side["input_scaling"]: side["lr"] for side in made.tip.record["parts"][0]["settings"][setting]}
    assert (baseline.lr, variant.lr) == (stored["standard"], stored["symmetric"])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [({"tip": "scalin"}, "Did you mean 'scaling'"), ({"setting": "demandd"}, "Did you mean 'demand'"),
     ({"input_scaling": "minmx"}, "Did you mean 'minmax'"), ({"width": 3}, "panel field 'width'")],
)  # fmt: skip
def test_unknown_names_are_answered_with_the_nearest(arguments, words):
    with pytest.raises(BadArgument, match=words):
        rt.panels.Panel(**{"tip": "scaling"} | arguments)


@pytest.mark.parametrize(
    ("expected", "typical", "verdict"),
    [("lower", -0.3, "BETTER"), ("same", -0.03, "BETTER"), ("higher", 0.06, "WORSE"), ("same", 0.01, "SAME")],
)
def test_the_right_guess_is_the_one_whose_range_holds_what_is_typical(expected, typical, verdict):
    class Decided:
        smallest = 0.05

    Decided.typical, Decided.verdict = typical, verdict
    assert module.outcome(Decided) == expected


def test_the_picture_is_small_well_formed_and_says_in_words_what_it_shows():
    from xml.etree import ElementTree

    filled = rt.Runs()
    baseline = rt.Recipe(updates=40, past=8, width=4, batch_size=4)
    rt.compare(baseline, baseline.but(lr=1e-4), on=rt.series.sines(steps=400), seeds=range(10), record=filled)
    text = draw(filled, ("0.01", "<0.0001>"), 0.05)
    root = ElementTree.fromstring(text)
    assert root.get("role") == "img" and "40 of 40 updates" in root.get("aria-label")
    assert len(text) < 25_000
    middles = re.findall(r'd="M([^"]*)" fill="none" stroke="#\w+" stroke-width="2.5"', text)
    heights = [[float(point.split()[1]) for point in path.split("L")] for path in middles]
    assert len(heights) == 2
    assert heights[0][-1] > heights[1][-1] + 20  # further down the page: the side that learned errs less
    assert "nan" not in text


def test_a_diverged_run_is_drawn_at_the_top_not_as_a_gap():
    filled = rt.Runs()
    wild = rt.Recipe(updates=20, past=8, width=4, batch_size=4, cell="relu", optimizer="sgd", lr=1e18)
    rt.train(wild, rt.series.sines(steps=400), [0, 1], record=filled)
    assert np.isnan(filled.valid_score).any() or np.isinf(filled.valid_score).any()
    text = draw(filled, ("a", "b"), 0.05)
    assert "nan" not in text and "inf" not in text


def test_a_panel_that_cannot_start_holds_up_no_other(panel, monkeypatch):
    monkeypatch.setattr(type(panel.tip), "learning_rate", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        panel.press()
    assert panel.state == "idle"
    monkeypatch.undo()
    panel.press()
    wait(lambda: panel.state == "done")


def test_one_training_at_a_time_holds_for_plain_studies_too(panel):
    panel.baseline = panel.baseline.but(updates=100_000)
    panel.press()
    with pytest.raises(rt.errors.Busy, match="Another panel is training"):
        rt.panels.Panel("scaling").study()


def test_a_failed_run_leaves_no_older_study_behind(panel, monkeypatch):
    panel.press()
    wait(lambda: panel.state == "done")
    older = panel.study()
    monkeypatch.setattr(module, "compare", lambda *_, **__: 1 / 0)
    panel.press()
    wait(lambda: panel.state == "failed")
    monkeypatch.undo()
    assert panel.study() is not older
