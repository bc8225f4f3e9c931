"""The registry of tips, and what a notebook reads in their records: words, tables, arms, rates."""

import numpy as np
import pytest

import rnntips as rt
from rnntips.notebook.lessons import Lesson
from rnntips.notebook.tips import UNTUNED, Tip, stored_scores
from rnntips.recipe import FIELDS

TIPS = list(rt.tips)


@pytest.fixture(params=TIPS)
def tip(request):
    return Tip(request.param)


def test_the_registry_is_a_mapping_that_knows_its_names():
    assert "scaling" in rt.tips and len(rt.tips) == len(TIPS) == len(repr(rt.tips).splitlines())
    assert "start_here" not in TIPS, "a lesson without a plan is no tip"
    with pytest.raises(rt.errors.BadArgument, match="Did you mean 'scaling'"):
        rt.tips["scalling"]


def test_the_record_in_sentences_has_a_paragraph_for_every_claim(tip):
    """With its source, its word, and every setting; claims have short titles for figures."""
    paragraphs = str(tip.rule()).split("\n\n")
    for claim, stored, text in zip(tip.plans.values(), tip.record["claims"], paragraphs, strict=True):
        assert text.startswith(f"{claim.says} ({claim.source}) **{stored['word'].capitalize()}.** ")
        assert all(f"{setting}" in text for setting in claim.settings) and isinstance(tip.texts[claim.id], str)


def test_the_table_has_every_claim_with_its_source_and_word(tip):
    rows = tip.table().splitlines()[2:]
    for claim, stored, row in zip(tip.plans.values(), tip.record["claims"], rows, strict=False):
        assert claim.says == tip.plan["claims"][claim.id]["says"] and list(claim.settings) == list(stored["settings"])
        assert row.startswith(f"| {claim.says} | {claim.source} | **{stored['word'].lower()}** | ")
    assert list(tip.words) == list(tip.plans) and tip.verdict == next(iter(tip.words.values()))
    assert f"Plan version {tip.record['version']} ({tip.record['plan']})." == rows[-1]


def test_a_changed_record_changes_the_sentences():
    tip = Tip("scaling")
    before = str(tip.rule())
    tip.record["claims"][0]["word"] = "UNDECIDED"
    assert str(tip.rule()) != before and "undecided" in tip.rule()
    assert "| baseline against variant |" in tip.table() and "**undecided**" in tip.table()


def test_a_rule_has_its_numbers_from_the_record(monkeypatch):
    tip = Tip("scaling")
    demand = tip.record["claims"][0]["settings"]["demand"]
    demand |= {"baseline": 0.25, "variant": 6.5, "typical": -0.4, "tuned": [[0.01, 0.02], [0.001]]}
    rule = {"do": "Expect {C1[demand][typical]}.", "start": "{C1[demand][baseline lr]}", "not_when": "Never.",
            "check": "{C1[demand][baseline]} or {C1[demand][variant]}"}  # fmt: skip
    monkeypatch.setattr(Lesson, "toml", tip.lesson.toml | {"rule": rule})
    assert tip.rule_box.splitlines()[2] == (
        "| Expect −40 %. | 0.01 to 0.02 | Never. | 0.25 of naive or 6.5 times naive |")  # fmt: skip
    demand |= {"typical": 2.2, "interval": [1.5, 3.0]}
    counted = "error × 3.2 (2.5 to 4), errors above naive counted as naive"
    assert "Expect × 3.2." in tip.rule_box and counted in tip.table(["C1"])


def test_a_lesson_without_a_rule_says_so(monkeypatch):
    monkeypatch.setattr(Lesson, "toml", {"plan": Tip("scaling").plan})
    with pytest.raises(rt.errors.RnntipsError, match="The lesson scaling has no table of its rule"):
        _ = Tip("scaling").rule_box


def test_a_tip_without_a_record_says_how_to_make_one(monkeypatch):
    monkeypatch.setattr("rnntips.notebook.lessons.Lesson.stored", lambda lesson, name: None)
    with pytest.raises(rt.errors.RnntipsError, match="python -m evidence run scaling --retune --write"):
        _ = Tip("scaling").record


def test_scores_are_those_of_all_parts_one_after_the_other():
    """Where a run diverged there is no number."""
    one = {"test_score": [0.1, None], "naive": [1.0, 2.0], "floor": [0.0, 0.0], "readings": {"spikes": [1.0, None]}}
    other = {name: [3.0] for name in one if name != "readings"} | {"readings": {"spikes": [4.0]}}
    found = stored_scores(one, other)
    np.testing.assert_array_equal(found.score, [0.1, np.nan, 3])
    np.testing.assert_array_equal(found.naive, [1, 2, 3])
    np.testing.assert_array_equal(found.floor, [0, 0, 3])
    np.testing.assert_array_equal(found.readings["spikes"], [1, np.nan, 4])


def test_every_arm_of_a_record_is_a_recipe_with_its_tuned_field_at_the_default(tip):
    for setting in tip.record["parts"][0]["settings"]:
        arms = tip.arms(setting)
        assert len({(arm.recipe, str(arm.entries[0]["tuned"]), arm.times) for arm in arms}) == len(arms)
        for arm in arms:
            assert len(arm.scores) == sum(len(entry["test_score"]) for entry in arm.entries)
            assert len(arm.scores) <= len(tip.record["seeds"]) and len(arm.entries) == len(tip.record["parts"])
            assert arm.tuned == UNTUNED or getattr(arm.recipe, arm.tuned) == FIELDS[arm.tuned]
    assert tip.arms("nowhere") == []


def test_what_is_live_is_stored_and_trains_at_the_stored_rate(tip):
    (*recipes, setting), name = tip.live(), tip.live_tuned
    tuned = {name: tip.plan["grids"][name]} if name in tip.plan.get("grids", {}) else name
    for recipe in recipes:
        alike = recipe if name == UNTUNED else recipe.but(**{name: FIELDS[name]})
        (entry,) = [arm.entries[0] for arm in tip.arms(setting)
                    if (arm.recipe, arm.entries[0]["tuned"], arm.times) == (alike, tuned, 1)]  # fmt: skip
        if name in ("lr", UNTUNED):
            assert tip.learning_rate(setting, recipe) == (entry["lr"] if name == "lr" else recipe.lr)


def test_what_no_record_knows_trains_at_the_live_default():
    tip = Tip("scaling")
    *_, setting = tip.live()
    assert tip.learning_rate(setting, tip.base.but(width=5)) == tip.plan["live"]["lr"]
    stored = tip.arms(setting)[0]
    stored.entries[0]["lr"] = 0.0123
    assert tip.learning_rate(setting, stored.recipe.but(lr=0.5)) == 0.0123
