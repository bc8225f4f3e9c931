"""The panel through its own objects: a guess trains, Stop stops, and the picture follows the record."""

import html
import json
import re
import sys
import threading
import time
from base64 import b64decode
from dataclasses import replace
from datetime import UTC, datetime
from io import BytesIO
from math import inf
from pathlib import Path
from unittest.mock import Mock
from xml.etree import ElementTree

import numpy as np
import pytest
import torch

import rnntips as rt
from rnntips.errors import BadArgument, NoDevice
from rnntips.jobs import execute
from rnntips.notebook.labbook import GUESSES, outcome
from rnntips.notebook.panels import panel as module
from rnntips.notebook.panels.live import Screen
from rnntips.notebook.panels.messages import progress
from rnntips.notebook.panels.picture import draw
from rnntips.notebook.tips import UNTUNED
from rnntips.verdict import Comparison

PATIENCE = 60


def wait(condition):
    until = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < until, "nothing happened"
        time.sleep(0.01)


def pressed(panel, *actions):
    for action in actions:
        action()
        assert panel._ended.wait(PATIENCE)


def rebuilt(panel):
    """A panel from the line of code that a panel shows."""
    return eval(html.unescape(re.search("<code[^>]*>(.*)</code>", panel.code.value)[1]), {"rt": rt})


def kept(file):
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


@pytest.fixture
def panel():
    made = rt.panels.Panel("scaling")
    made.baseline = made.baseline.but(updates=60, width=8, past=16)
    yield made
    made.stop()
    wait(lambda: made.state != "running")


def test_a_shown_panel_asks_before_it_trains_and_after_a_reset_again(panel):
    panel._repr_mimebundle_()
    for actions in ((), (panel.press, panel.reset)):
        pressed(panel, *actions[:1])
        if actions:
            assert panel.study().n == 10
        pressed(panel, *actions[1:])
        said = panel.study()
        assert said._repr_markdown_() == module.GUESS_FIRST and panel.state == "idle"
    pressed(panel, lambda: panel.press("same"))
    assert panel.study().n == 10


def test_what_would_be_trained_stands_in_the_pictures_place_until_the_question_is_answered(panel):
    def asks():
        return "rnntips-asks" in panel._dom_classes

    panel._ask()
    assert asks() and "“standard”: 60 updates, learning rate 0.01." in panel.plan.value
    assert "“no scaling”: 60 updates, learning rate 0.01." in panel.plan.value
    assert "GRU, 8 units, Adam" in panel.question.value and "New question" not in panel.plan.value
    panel.press()
    assert not asks()
    assert panel._ended.wait(PATIENCE) and not asks()
    panel.fails_button.click()
    assert asks() and "New question: guess." in panel.plan.value and panel.picture.value
    panel.ask(panel._usual)
    assert not asks(), "its answer is still there"


def test_each_sides_own_learning_rate_is_named_beforehand_and_its_updates_where_they_are_no_answer():
    panel = rt.panels.Panel("batch_size")
    for name, runs in zip(("batches of 10", "batches of 1,000"), panel.study().runs["demand"], strict=True):
        assert f"“{name}”: 5 epochs, learning rate {runs.recipes[0].lr:g}." in panel.plan.value
    assert "200 updates, learning rate" in rt.panels.Panel("batch_size", setting="demand, equal updates").plan.value


@pytest.mark.parametrize("tip", rt.tips)
def test_a_panel_speaks_in_words_whatever_is_chosen(tip):
    panel = rt.panels.Panel(tip)
    field, setting = panel.controls["value"], panel.controls["setting"]
    said = [field.description, setting.description, *setting.options]
    for label, value in field.options:
        panel.ask(replace(panel.asked, value=value))
        said += [label, panel.question.value, panel.plan.value]
    for label in setting.options:
        panel.ask(replace(panel._usual, setting=label))
        said += [panel.question.value, panel.plan.value]
    panel.where_it_fails()
    said += [panel.question.value, panel.plan.value]
    said = " ".join(re.sub("<[^>]*>", "", words) for words in said)
    assert not re.findall(r".{20}(?:\b(?:True|False|None)\b|_).{20}", said)


def test_the_time_left_is_told_once_the_speed_is_known():
    assert progress(100, 1000, now=9.0, since=0.0, before=90) == "Training: 100 of 1000 updates."
    assert progress(250, 1000, now=9.0, since=7.0, before=50) == "Training: 250 of 1000 updates, about 8 s left."


def test_building_and_showing_trains_nothing_and_starts_no_thread():
    threads = threading.active_count()
    made = rt.panels.Panel("scaling", setting="CO2", input_scaling="minmax")
    assert made._repr_mimebundle_()["text/plain"] == "Panel('scaling', setting='CO2', input_scaling='minmax')"
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
    assert "You guessed: higher by more than a half" in panel.status.value
    assert "learning rates" in panel.status.value and "tuned for each side" in panel.status.value


def test_a_lessons_own_guesses_are_offered_for_its_question_alone_and_judged_by_their_limits(tmp_path, monkeypatch):
    monkeypatch.setenv("RNNTIPS_LABBOOK", str(tmp_path / "book.jsonl"))
    panel = rt.panels.Panel("batch_size")
    own = panel.tip.lesson.toml["panel"]["guesses"]
    assert [button.description for button in panel.guess_buttons.values()] == list(own)
    panel.controls["value"].value = 100
    assert [button.description for button in panel.guess_buttons.values()] == list(GUESSES.values())
    panel.reset()
    first, second, third = panel.guess_buttons.values()
    for button in (third, first):
        pressed(panel, button.click)
        assert f"You guessed: {button.description}." in panel.status.value
        entry = kept(tmp_path / "book.jsonl")[-1]
        assert entry["guess"] == button.description and list(entry["guesses"]) == list(own)
        low, high = (1 + end for end in panel.study().interval)
        assert own[third.description] > high > low > own[second.description], "so the third is right"
        assert entry["right"] is (button is third)
        assert ("Right." if button is third else "Not this time.") in panel.status.value
    monkeypatch.setattr(panel, "_guesses", dict.fromkeys(panel._guesses, own | {second.description: (low + high) / 2}))
    pressed(panel, third.click)
    assert "Not scored: the interval holds two guesses." in panel.status.value
    assert kept(tmp_path / "book.jsonl")[-1]["right"] is None


def recorded(panel):
    """What the stored record found for the panel's question; None if it did not compare these sides."""
    arms = [(arm, arm.entries[0]["lr"]) for arm in panel.tip.arms(panel.asked.setting)
            if arm.times == 1 and "lr" in arm.entries[0]]  # fmt: skip
    stored = {arm.recipe.but(lr=lr): arm for arm, lr in arms}
    trained = [stored.get(side) for side in panel._sides(panel.asked)]
    if None in trained:
        return None
    pair = tuple(arm.scores for arm in trained)
    return Comparison({"": pair}, smallest=panel.tip.plan["smallest"]).finding


@pytest.mark.parametrize("tip", [name for name, tip in rt.tips.items() if tip.has_record])
def test_of_the_guesses_that_a_panel_offers_the_record_makes_one_right(tip):
    panel, seen = rt.panels.Panel(tip), []
    for show in (lambda: None, panel.where_it_fails):
        show()
        if own := panel.own_guesses:
            limits = list(own.values())
            assert len(own) == len(GUESSES) and limits == sorted(limits) and limits[-1] == inf
        if found := recorded(panel):
            assert outcome(found, own) in (own or GUESSES)
            seen.append(found)
    assert seen


def test_a_rate_that_the_plan_fixed_is_not_called_tuned(monkeypatch):
    monkeypatch.setattr(type(rt.tips["scaling"]), "live_tuned", UNTUNED)
    made = rt.panels.Panel("scaling")
    assert made.controls["lr"].options[0] == ("fixed by the plan", "tuned")


def test_a_record_that_is_just_being_begun_is_not_looked_at(panel):
    screen = Screen(panel, panel.field, 0.05, 1, None)
    screen.records[0].seeds = np.arange(20)  # as another thread leaves it before all rooms are made
    screen.refresh()
    assert panel.status.value == panel.picture.value == ""


def test_stop_keeps_the_curves_and_decides_nothing(panel):
    panel.baseline = panel.baseline.but(updates=100_000)
    panel.press(panel.offered[1])
    wait(lambda: panel.picture.value.count("<path") > 20)
    panel.stop_button.click()
    wait(lambda: panel.state == "stopped")
    assert panel.picture.value.count("<path") > 20
    assert "nothing is decided" in panel.status.value and "Not scored" in panel.status.value
    assert panel.study().stopped


def test_while_a_panel_trains_nothing_else_does(panel):
    panel.baseline = panel.baseline.but(updates=100_000)
    panel.press("same")
    panel.press("lower")
    assert [thread.name for thread in threading.enumerate()].count(module.THREAD) == 1
    assert panel.guess == "same" and "Another panel" not in panel.status.value
    other = rt.panels.Panel("scaling")
    other.press()
    assert other.state == "idle" and "Another panel is training" in other.status.value
    with pytest.raises(rt.errors.Busy, match="Another panel is training"):
        other.study()


def test_a_failure_is_shown_leaves_no_older_study_and_the_panel_stays_usable(panel, monkeypatch):
    pressed(panel, panel.press)
    older = panel.study()
    for error, traced in ((BadArgument("seeds <ran> out"), False), (RuntimeError("seeds <ran> out"), True)):
        monkeypatch.setattr(module, "compare", Mock(side_effect=error))
        pressed(panel, panel.press)
        assert panel.state == "failed"
        assert "seeds &lt;ran&gt; out" in panel.status.value and ("<details>" in panel.status.value) == traced
    monkeypatch.undo()
    assert panel.study() is not older
    monkeypatch.setattr(type(panel.tip), "learning_rate", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        panel.press()
    assert panel.state == "failed"
    monkeypatch.undo()
    pressed(panel, panel.press)
    assert panel.state == "done"


def test_study_without_a_run_is_the_comparison_as_it_stands(panel):
    study = panel.study()
    assert study is panel.study()
    assert study.baseline.but(lr=1, input_scaling="none") == study.variant.but(lr=1)


def test_each_side_gets_its_stored_learning_rate_unless_one_is_chosen():
    made = rt.panels.Panel("scaling", setting="demand, spiked", input_scaling="symmetric")
    stored = {side["input_scaling"]: side["lr"] for side in made.tip.record["parts"][0]["settings"]["demand, spiked"]}
    assert [side.lr for side in made._sides(made.asked)] == [stored["standard"], stored["symmetric"]]
    made.controls["lr"].value = 0.001
    assert [side.lr for side in made._sides(made.asked)] == [0.001, 0.001]


def test_a_setting_brings_its_fields_and_leaves_a_changed_baseline_alone():
    made = rt.panels.Panel("momentum")
    made.baseline = made.baseline.but(updates=60)
    baseline, variant = made._sides(made.asked)
    assert (baseline.updates, baseline.batch_size, baseline.momentum, variant.momentum) == (60, 8, 0.0, 0.9)
    made.controls["setting"].value = "sines, batches of 128"
    assert [(side.updates, side.batch_size) for side in made._sides(made.asked)] == [(300, 128), (300, 128)]
    assert list(module.Panel("sliding_windows")._changes) == [336, 96, 192], "none that tuning replaces"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [({"tip": "scalin"}, "Did you mean 'scaling'"), ({"setting": "demandd"}, "Did you mean 'demand'"),
     ({"input_scaling": "minmx"}, "Did you mean 'minmax'"), ({"width": 3}, "panel field 'width'"),
     ({"seat": -1}, "seat=-1"), ({"seat": 100}, "seats 0 to 99"), ({"seat": "7"}, "seat='7'"),
 ({"device": "tpu"}, "device='tpu'"), ({"lr": -1}, "lr"), ({"setting": "none.csv"}, "No file at 'none.csv'")],
)  # fmt: skip
def test_unknown_names_are_answered_with_the_nearest(arguments, words):
    with pytest.raises(BadArgument, match=words):
        rt.panels.Panel(**{"tip": "scaling"} | arguments)


@pytest.mark.parametrize(
    ("tip", "value"),
    [("momentum", 0.5), ("momentum", np.float64(0.5)), ("batch_size", 37), ("batch_size", np.int64(37)), ("layers", 2),
     ("past", 40), ("clip_norm", 2), ("clip_norm", 0.25), ("rescue", "lower")],
)  # fmt: skip
def test_a_field_takes_what_a_recipe_takes(tip, value):
    field, tip = tip, {made.plan["live"]["field"]: name for name, made in rt.tips.items()}[tip]
    made = rt.panels.Panel(tip, **{field: value})
    assert rebuilt(made).asked == made.asked and made.asked.value == value
    assert getattr(made._sides(made.asked)[1], field) == value


ODD = [None, "", -1, 0, 1.5, True, float("nan"), float("inf"), "x", [], {}, (), b"x", object(), 10**30, "/", "<b>",
       np.array([1, 2]), np.datetime64("2000"), "a\0b.csv", "x" * 5000 + ".csv", "\ud800.csv",
       Path("none.csv")]  # fmt: skip


@pytest.mark.parametrize("tip", rt.tips)
def test_odd_arguments_are_answered_in_words(tip):
    common = ("setting", "column", "cell", "lr", "seat", "device", "bogus") if tip == "scaling" else ()
    for name in (rt.tips[tip].plan["live"]["field"], *common):
        for value in ODD:
            try:
                made = rt.panels.Panel(tip, **{name: value})
            except rt.errors.RnntipsError:
                continue
            assert made.asked == made._first


def test_the_picture_is_small_well_formed_and_says_in_words_what_it_shows():
    baseline, filled = rt.Recipe(updates=40, past=8, width=4, batch_size=4), rt.Runs()
    study = rt.compare(baseline, baseline.but(lr=1e-4), rt.series.sines(steps=400), range(10), record=filled)
    (sides,) = study.runs.values()
    text = draw(*sides, ("0.01", "<0.0001>"), 0.05, "<0.0001> did worse")
    root = ElementTree.fromstring(text)
    assert root.get("role") == "img" and root.get("aria-label") == "<0.0001> did worse"
    assert len(text) < 25_000 and "nan" not in text
    middles = re.findall(r'class="\w+ median" d="M([^"]*)"', text)
    heights = [[float(point.split()[1]) for point in path.split("L")] for path in middles]
    first, second = (curve for curve in heights if len(curve) > 2)  # the legend has two points
    assert first[-1] > second[-1] + 20  # further down the page: the side that learned errs less


def test_a_run_that_diverged_is_drawn_at_the_top_not_as_a_gap():
    task = rt.tasks.forecast(rt.series.sines(steps=400))
    wild = rt.Recipe(updates=20, past=8, width=4, batch_size=4, cell="relu", optimizer="sgd", lr=1e18)
    runs = rt.train(wild, task, [0, 1])
    assert not np.isfinite(runs.valid_score).all()
    text = draw(runs, runs, ("a", "b"), 0.05, "")
    assert "nan" not in text and "inf" not in text


def test_choices_that_cannot_be_combined_are_named_and_no_guess_is_taken():
    panel = rt.panels.Panel("shuffling")
    panel.controls["value"].value = "scrambled"
    assert "mixes the chunks" in panel.status.value and panel.just_run.disabled and panel.plan.value == ""
    panel.controls["setting"].value = "sum, state kept"
    assert not panel.just_run.disabled and panel.plan.value and "mixes" not in panel.status.value


# ── ten more seeds, where it fails, reset ───────────────────────────────────


@pytest.mark.parametrize("field", ["input_scaling", "batch_size"])
def test_ten_and_ten_more_seeds_are_the_study_of_twenty(panel, monkeypatch, field):
    """Also where the sides differ in shape: then each has a record of its own, and they train in turns."""
    if field == "batch_size":
        sides = [panel.baseline, panel.baseline.but(batch_size=4)]
        monkeypatch.setattr(panel, "_sides", lambda asked: sides)
        monkeypatch.setattr(panel, "field", field)
    apart = []
    panel.picture.observe(lambda _: apart.append(np.ptp([record.reached for record in panel.records])), "value")
    pressed(panel, panel.press)
    assert "after a look" not in panel.status.value
    pressed(panel, panel.more_seeds)
    at_once = rt.compare(*panel._sides(panel.asked), rt.series.demand(), range(20), allow=("lr",))
    (mine,), (theirs,) = panel.study().runs.values(), at_once.runs.values()
    for one, other in zip(mine, theirs, strict=True):
        assert np.array_equal(one.weights, other.weights) and np.array_equal(one.test_scores, other.test_scores)
    assert panel.study().sentence == at_once.sentence and panel.study().n == 20
    assert "20 runs a side, seeds 0 to 19" in panel.status.value
    assert "Seeds were added after a look." in panel.status.value
    assert panel.picture.value.count('class="seed"') == 20
    assert len(panel.records) == (2 if field == "batch_size" else 1) and max(apart) <= 1


def test_ten_more_seeds_wait_for_a_result_to_add_to(panel):
    assert panel.again_button.disabled
    pressed(panel, panel.more_seeds)
    assert panel.state == "idle"
    pressed(panel, panel.press)
    assert not panel.again_button.disabled
    panel.controls["value"].value = "minmax"
    assert panel.again_button.disabled, "the result that is shown answers another question"


def test_ten_more_seeds_that_are_stopped_leave_the_first_ten(panel):
    panel.baseline = panel.baseline.but(updates=3000)
    pressed(panel, panel.press)
    first = panel.study()
    panel.more_seeds()
    wait(lambda: "of 3000 updates" in panel.status.value)
    pressed(panel, panel.stop)
    assert panel.state == "stopped" and panel.study() is first
    assert "do not count" in panel.status.value and first.sentence in panel.status.value


def test_a_seat_has_seeds_of_its_own_below_those_for_tuning():
    seeds = [set(range(100 * seat, 100 * seat + 100)) for seat in range(100)]
    assert len(set.union(*seeds)) == 10_000 and max(map(max, seeds)) < min(rt.study.TUNING_SEEDS)
    made = rt.panels.Panel("scaling", seat=7)
    assert "seeds 700 to 709" in made.question.value
    assert list(made._seeds(made.asked, 90)) == [*range(790, 800)]


def test_where_it_fails_asks_another_question_and_reset_sets_all_back(panel):
    panel.fails_button.click()
    assert (panel.controls["setting"].value, panel.controls["value"].value) == ("demand, spiked", "symmetric")
    assert panel.tip.lesson.toml["fails"]["says"] in panel.question.value and panel.state == "idle"
    pressed(panel, panel.press)
    panel.reset_button.click()
    assert panel.asked == panel._usual and panel.state == "idle" and panel.again_button.disabled
    assert panel.picture.value == panel.status.value == ""


# ── on a GPU ────────────────────────────────────────────────────────────────


@pytest.fixture
def asked_for(monkeypatch):
    """Devices that training was asked to use, on a machine that seems to have a GPU."""
    found, real = [], execute.train_jobs
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)

    def on_cpu(jobs, *rest):
        found.append(jobs[0].device)
        return real([job._replace(device="cpu") for job in jobs], *rest)

    monkeypatch.setattr(execute, "train_jobs", on_cpu)
    return found


def test_without_a_gpu_there_is_no_device_to_choose(panel, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    made = rt.panels.Panel("scaling")
    assert made.controls["device"].layout.display == "none" and made.controls["device"].options == ("auto", "cpu")
    with pytest.raises(NoDevice, match="sees no GPU here"):
        rt.panels.Panel("scaling", device="cuda")


def test_a_gpu_is_used_when_it_was_chosen_and_only_then(asked_for, panel):
    made = rt.panels.Panel("scaling")
    made.baseline = panel.baseline
    assert made.controls["device"].layout.display is None and made.controls["device"].options == ("auto", "cpu", "cuda")
    assert "GPU" not in made.question.value
    pressed(made, made.press)
    made.controls["device"].value = "cuda"
    assert "seeds 0 to 9, on the GPU." in made.question.value and "device='cuda'" in repr(rebuilt(made))
    assert made.again_button.disabled, "seeds from two devices are not put together"
    pressed(made, made.press, made.more_seeds, made.fails_button.click, made.press)
    assert asked_for == ["cpu", "cuda", "cuda", "cuda"]
    made.reset()
    assert made.asked.device == "auto"


def test_the_environment_moves_all_that_was_left_to_it(asked_for, panel, monkeypatch):
    monkeypatch.setenv("RNNTIPS_DEVICE", "cuda")
    panel._ask()
    assert "on the GPU" in panel.question.value
    panel.study()
    assert asked_for == ["cuda"]


def test_out_of_memory_is_said_in_words_and_the_next_press_trains(panel, monkeypatch):
    batch = rt.loader.Loader.predict
    monkeypatch.setattr(rt.loader.Loader, "predict", Mock(side_effect=torch.OutOfMemoryError("CUDA out of memory.")))
    panel.press()
    wait(lambda: panel.state == "failed")
    assert panel._ended.wait(PATIENCE)
    assert "train 10 runs at once instead of 20" in panel.status.value and "<details>" not in panel.status.value
    assert panel.stop_button.disabled and not any(each.disabled for each in panel.guess_buttons.values())
    monkeypatch.setattr(rt.loader.Loader, "predict", batch)
    pressed(panel, lambda: panel.press("same"))
    assert panel.state == "done"


@pytest.mark.gpu
def test_a_panel_trains_on_the_gpu(panel):
    made = rt.panels.Panel("scaling", device="cuda")
    made.baseline = panel.baseline
    pressed(made, made.press)
    (sides,) = made.study().runs.values()
    assert made.state == "done" and {side.device for side in sides} == {"cuda"} and " s on cuda" in made.status.value


# ── what it says, and where ─────────────────────────────────────────────────


@pytest.mark.parametrize("more", [
    {}, {"setting": "CO2"}, {"input_scaling": "minmax", "seat": 12}, {"lr": 0.001, "device": "cpu"}, {"lr": 0.007},
])  # fmt: skip
def test_the_line_of_code_builds_the_same_panel_again(more):
    made = rt.panels.Panel("scaling", **more)
    again = rebuilt(made)
    assert again.asked == made.asked and repr(again) == repr(made)
    assert all(f"{name}={value!r}" in repr(again) for name, value in more.items())


def test_a_long_run_sends_no_more_pictures_and_is_announced_in_quarters(panel):
    sent, said = [], []
    panel.picture.observe(lambda change: sent.append(change["new"]), "value")
    panel.said.observe(lambda change: said.append(change["new"]), "value")
    panel.baseline = panel.baseline.but(updates=6000)
    pressed(panel, panel.press)
    record = next(iter(panel.study().runs.values()))[0]
    assert 3 <= len(sent) <= len(record.evaluations) + 1 and sum(map(len, sent)) < 500_000
    assert said == ["Training has begun.", "A quarter is done.", "Half is done.", "Three quarters are done.",
                    panel.study().sentence]  # fmt: skip


def test_guesses_are_kept_with_their_outcome_and_ten_more_seeds_supersede_them(panel, tmp_path, monkeypatch):
    book = tmp_path / "book.jsonl"
    monkeypatch.setenv("RNNTIPS_LABBOOK", str(book))
    guess = panel.offered[2]
    pressed(panel, lambda: panel.press(guess), panel.more_seeds)
    first, second = kept(book)
    assert first["experiment"] == second["experiment"] and (first["n"], second["n"]) == (10, 20)
    assert {first["guess"], second["guess"]} == {guess}
    assert second["seeds"] == list(range(20)) and second["sentence"] == panel.study().sentence
    pressed(panel, panel.press)
    assert kept(book)[2]["guess"] is None and kept(book)[2]["experiment"] != first["experiment"]
    panel.note.value = "spikes?"
    assert kept(book)[3]["text"] == "spikes?" and panel.note.value == ""


def test_a_book_that_cannot_be_written_costs_no_result(panel, tmp_path, monkeypatch):
    monkeypatch.setenv("RNNTIPS_LABBOOK", str(tmp_path))
    pressed(panel, panel.press)
    assert panel.state == "done" and panel.study().sentence in panel.status.value
    assert "was not kept" in panel.status.value


def test_where_there_is_no_kernel_stands_the_question_and_the_stored_run_is_folded_away():
    from PIL import Image

    for more in ({}, {"setting": "demand, spiked", "input_scaling": "symmetric"}):
        panel = rt.panels.Panel("scaling", **more)
        shown = panel._repr_mimebundle_()
        assert not [kind for kind in shown if kind.startswith("image")]
        above, fold, below = shown["text/html"].partition("<details>")
        assert panel.question.value in above and "“standard”: 300 updates, learning rate" in above and fold
        assert not re.search(r"<img|<svg|in \d+ of 10 runs", above)
        (held,) = re.findall('src="data:image/png;base64,([^"]*)"', below)
        (address,) = re.findall('href="([^"]*)"', below)
        stored = (Path(rt.__file__).parents[1] / "notebooks" / address).read_bytes()
        assert b64decode(held) == stored and Image.open(BytesIO(stored)).width > 500
    assert "details" not in rt.panels.Panel("scaling", seat=3)._repr_mimebundle_()["text/html"]


def test_on_colab_a_panel_is_a_plain_call(monkeypatch):
    from IPython.core.formatters import DisplayFormatter

    monkeypatch.setitem(sys.modules, "google.colab", object())
    monkeypatch.setattr(module.View, "_ipython_display_", lambda _: pytest.fail("shown as a widget"), raising=False)
    shown, _ = DisplayFormatter().format(rt.panels.Panel("scaling", seat=3))
    assert set(shown) == {"text/plain", "text/html"}
    line = shown["text/plain"].splitlines()[1]
    assert line == "study = rt.panels.Panel('scaling', seat=3).study()"


def test_the_plain_calls_that_the_readme_shows_do_what_they_say():
    """One trains what the panel of that lesson trains, the others a comparison without any."""
    text = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    names = {"rt": rt}
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    studies = [exec(block, names) or names["study"] for block in blocks]
    panel = rt.panels.Panel("momentum")
    assert len(blocks) == 2 and all(study.n == 10 and not study.stopped for study in studies)
    assert [studies[1].baseline, studies[1].variant] == panel._sides(panel.asked)


# ── the reader's own data ───────────────────────────────────────────────────


def table(rows=400, columns=("load",)):
    values = np.random.default_rng(0).normal(np.sin(np.arange(rows) / 5), 0.1, (len(columns), rows)).T
    return "\n".join([",".join(columns), *(",".join(f"{value:.4f}" for value in row) for row in values)]).encode()


def uploaded(panel, name, content):
    panel.upload.value = ({"name": name, "type": "text/csv", "size": len(content), "content": memoryview(content),
                           "last_modified": datetime.now(UTC)},)  # fmt: skip


def test_an_uploaded_table_is_trained_on_and_the_line_of_code_finds_it_again(panel, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    uploaded(panel, "own.csv", table())
    assert (tmp_path / "own.csv").is_file() and panel.asked.setting == "own.csv"
    pressed(panel, panel.press)
    assert panel.state == "done" and "own.csv" in panel.question.value
    assert rebuilt(panel).asked == panel.asked


def test_of_several_columns_none_is_taken_before_the_reader_takes_one(panel, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    uploaded(panel, "own.csv", table(columns=("load", "wind")))
    assert panel.controls["column"].options == (("choose", None), ("load", "load"), ("wind", "wind"))
    assert "Choose the one to forecast" in panel.status.value and panel.controls["column"].index == 0
    assert all(button.disabled for button in (*panel.guess_buttons.values(), panel.just_run))
    pressed(panel, panel.press)
    assert panel.state == "idle" and panel.asked.column is None
    with pytest.raises(BadArgument, match="Choose the one to forecast"):
        panel.study()
    panel.controls["column"].value = "wind"
    assert "on <b>own.csv, column wind</b>" in panel.question.value and not panel.just_run.disabled
    assert panel.status.value == "own.csv, column wind is chosen."
    assert repr(rebuilt(panel)) == "Panel('scaling', setting='own.csv', column='wind')"
    assert rebuilt(panel).controls["column"].options == panel.controls["column"].options


def test_every_file_keeps_its_own_columns_and_a_verdict_comes_back_with_its_question(panel, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    uploaded(panel, "one.csv", table())
    pressed(panel, panel.press)
    verdict = panel.status.value
    uploaded(panel, "two.csv", table(columns=("load", "wind")))
    assert "Choose" in panel.status.value
    panel.controls["setting"].value = "one.csv"
    assert panel.controls["column"].layout.display == "none" and panel.status.value == verdict
    panel.controls["setting"].value = "two.csv"
    assert [title for title, _ in panel.controls["column"].options] == ["choose", "load", "wind"]


def holed(content, *rows, column=0):
    """The table with empty fields."""
    lines = [line.split(b",") for line in content.splitlines()]
    for row in rows:
        lines[row][column] = b""
    return b"\n".join(b",".join(line) for line in lines)


def test_a_file_with_gaps_is_refused_and_one_press_fills_them(panel, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before, content = panel.asked, holed(table(columns=("load", "wind")), *(40, 41, 200), column=0)
    content = holed(content, 90, column=1)
    uploaded(panel, "own.csv", content)
    assert panel.asked == before and not [*tmp_path.iterdir()] and panel.fill_button.layout.display is None
    assert all(place in panel.status.value for place in ("line 41 to line 42 (2 steps)", "line 201")), (
        panel.status.value
    )
    panel.fill_button.click()
    assert panel.asked.setting == "own.csv" and (tmp_path / "own.csv").read_bytes() == content
    panel.controls["column"].value = "load"
    assert panel.fill_button.layout.display == "none"
    assert repr(rebuilt(panel)) == "Panel('scaling', setting='own.csv', column='load', gaps='fill')"
    assert rebuilt(panel).asked == panel.asked and "filled" in panel.plan.value
    pressed(panel, panel.press)
    assert panel.state == "done"


def test_gaps_of_one_column_alone_are_filled_once_it_is_chosen(panel, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    uploaded(panel, "own.csv", holed(table(columns=("load", "wind")), 40, column=1))
    panel.controls["column"].value = "load"
    assert not panel.just_run.disabled and panel.fill_button.layout.display == "none"
    panel.controls["column"].value = "wind"
    assert panel.just_run.disabled and panel.fill_button.layout.display is None
    panel.fill_button.click()
    assert not panel.just_run.disabled and "gaps='fill'" in html.unescape(panel.code.value)


def test_a_column_that_only_counts_is_forecast_if_it_is_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    lines = table().decode().splitlines()
    Path("own.csv").write_text("\n".join([f"row,{lines[0]}", *(f"{i},{line}" for i, line in enumerate(lines[1:]))]))
    assert "on <b>own.csv, column load</b>" in rt.panels.Panel("scaling", setting="own.csv").question.value
    assert rt.panels.Panel("scaling", setting="own.csv", column="load").asked.column == "load"
    made = rt.panels.Panel("scaling", setting="own.csv", column="row", input_scaling="robust")
    assert "The target changes by 1 in 1 step" in made.status.value and made.just_run.disabled
    assert rebuilt(made).asked == made.asked and made.controls["column"].layout.display is None


def test_how_a_file_is_read_stands_in_the_line_of_code(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = "".join(f"{shop};{np.sin(i / 5) + 0.1 * np.sin(i * i):.3f}\n" for i in range(300) for shop in "AB")
    Path("own.csv").write_text(f"shop;load\n{rows}")
    made = rt.panels.Panel("scaling", setting="own.csv", where={"shop": "A"}, gaps="fill")
    assert repr(made) == "Panel('scaling', setting='own.csv', where={'shop': 'A'}, gaps='fill')"
    assert rebuilt(made).asked == made.asked
    with pytest.raises(BadArgument, match="where= is for a CSV file"):
        rt.panels.Panel("scaling", where={"shop": "A"})


@pytest.mark.parametrize("tip", rt.tips)
def test_a_lesson_takes_a_file_or_says_before_the_guess_why_it_cannot(tip, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("mine.csv").write_bytes(table(3000))
    made = rt.panels.Panel(tip)
    before = made.asked
    uploaded(made, "own.csv", table(3000))
    if tip in ("long_sequences", "shuffling", "truncated_bptt"):
        assert "This lesson&#39;s comparison cannot be made on a series of your own" in made.status.value
        assert made.asked == before and not Path("own.csv").exists()
        with pytest.raises(BadArgument, match="cannot be made on a series of your own"):
            rt.panels.Panel(tip, setting="mine.csv")
    else:
        assert made.asked.setting == "own.csv" and not made.just_run.disabled
        assert "mine.csv" in rt.panels.Panel(tip, setting="mine.csv").question.value


@pytest.mark.parametrize(("tip", "said"), [
    ("scaling", "A window has 14 steps instead of 24"), ("batch_size", "A batch has 55 windows instead of 1000"),
])  # fmt: skip
def test_on_a_short_file_windows_and_batches_are_as_large_as_fits(tip, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made = rt.panels.Panel(tip)
    uploaded(made, "own.csv", table(144))
    assert said in made.plan.value and not made.just_run.disabled
    pressed(made, made.press)
    assert made.state == "done" and made.study().baseline.past == 14


def test_a_file_on_which_both_sides_would_be_the_same_is_no_question(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made = rt.panels.Panel("sliding_windows")
    uploaded(made, "own.csv", table(100))
    assert made.just_run.disabled and "Both sides would be the same" in made.status.value


STRETCH = np.sin(np.arange(600) / 5)


@pytest.mark.parametrize(("values", "words", "trains"), [
    (np.r_[STRETCH[:500], STRETCH[:100] + 9], "The level", True),
    (np.r_[STRETCH[:200], np.ones(60), STRETCH[:340]], "60 values in a row", True),
    (np.cumsum(np.random.default_rng(0).normal(size=600)), "Nothing easy beats naive", True),
    (np.r_[STRETCH[:300], np.ones(300)], "othing is left to learn", False),
])  # fmt: skip
def test_what_may_surprise_in_a_file_stands_there_before_the_guess(values, words, trains, panel, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    uploaded(panel, "own.csv", "\n".join(["load", *(f"{value:.5f}" for value in values)]).encode())
    where = panel.plan if trains else panel.status
    assert words in where.value and panel.just_run.disabled != trains and panel.state == "idle"


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"", "header line"), (b"a\nx\ny\n", "0 numeric columns"), (table(10), "own.csv"), (b"\xff\x00", "header line")],
)
def test_a_table_that_cannot_be_used_leaves_nothing_behind_and_its_mended_successor_is_taken(
    panel, tmp_path, monkeypatch, content, words
):
    monkeypatch.chdir(tmp_path)
    before = panel.asked
    uploaded(panel, "own.csv", content)
    assert words in panel.status.value and panel.asked == before and not [*tmp_path.iterdir()]
    uploaded(panel, "own.csv", table())
    assert panel.asked.setting == "own.csv" and [path.name for path in tmp_path.iterdir()] == ["own.csv"]


@pytest.mark.parametrize("name", [
    "numpy.py", "00_start_here.ipynb", "lab-book.jsonl", "noext", "../own.csv", "/tmp/own.csv", "..\\own.csv", "",
    ".", "..", "/", ".own.csv", "-own.csv", "~own.csv", "a\0b.csv", "a\nb.csv", "\u202egnp.csv", "\ud800.csv",
    "<img src=x>.csv", "x" * 300 + ".csv", "é" * 99 + ".csv",
])  # fmt: skip
def test_a_name_that_is_no_csv_files_is_refused_in_words(panel, tmp_path, monkeypatch, name):
    (inside := tmp_path / "inside").mkdir()
    monkeypatch.chdir(inside)
    uploaded(panel, name, table())
    assert "Rename the file." in panel.status.value and [*tmp_path.rglob("*")] == [inside]


def test_no_upload_replaces_a_file_or_follows_a_link(panel, tmp_path, monkeypatch):
    (inside := tmp_path / "inside").mkdir()
    monkeypatch.chdir(inside)
    (inside / "own.csv").write_text("mine")
    (inside / "link.csv").symlink_to(tmp_path / "outside.csv")
    for sent, taken in (("own.csv", "own-2.csv"), ("own.csv", "own-2.csv"), ("link.csv", "link-2.csv")):
        uploaded(panel, "other.csv", table())
        uploaded(panel, sent, table())
        assert (
            panel.asked.setting == taken and f"{taken} is chosen, since there was another {sent}" in panel.status.value
        )
    assert (inside / "own.csv").read_text() == "mine" and not (tmp_path / "outside.csv").exists()
    assert sorted(path.name for path in inside.iterdir()) == ["link-2.csv", "link.csv", "other.csv", "own-2.csv",
                                                              "own.csv"]  # fmt: skip


def test_a_file_that_is_too_large_says_so(panel, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("rnntips.notebook.panels.own.MAX_CSV_BYTES", 2_000_000)
    uploaded(panel, "own.csv", b"a\n" + b"1\n" * 1_500_000)
    assert "own.csv has 3 MB, and up to 2 MB are read" in panel.status.value and not [*tmp_path.iterdir()]


def test_with_a_table_of_ones_own_the_cell_can_be_chosen(panel, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    cell = panel.controls["cell"]
    assert cell.layout.display == "none"
    uploaded(panel, "own.csv", table())
    assert cell.layout.display is None and "GRU, 8 units, Adam, 60 updates" in panel.question.value
    cell.value = "lstm"
    assert "LSTM, 8 units, Adam, 60 updates" in panel.question.value
    assert repr(rebuilt(panel)) == "Panel('scaling', setting='own.csv', cell='lstm')"
    pressed(panel, panel.press)
    assert {side.recipes[0].cell for side in panel.study().runs["own"]} == {"lstm"}
    panel.controls["setting"].value = "demand"
    assert cell.layout.display == "none" and "GRU" in panel.question.value and "cell" not in repr(rebuilt(panel))
