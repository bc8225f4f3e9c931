"""The registry, its plans, and that record, texts and code still agree."""

import json

import numpy as np
import pytest

import rnntips as rt
from rnntips.evidence import effects, find, interval, pooled
from rnntips.records import compute
from rnntips.tips import SETTINGS, Tip

TIPS = list(rt.tips)
MOST_TFLOP = 25


@pytest.fixture(params=TIPS)
def tip(request):
    return rt.tips[request.param]


def test_the_registry_is_a_mapping_that_knows_its_names():
    assert "scaling" in rt.tips and len(rt.tips) == len(TIPS)
    with pytest.raises(rt.errors.BadArgument, match="Did you mean 'scaling'"):
        rt.tips["scalling"]


def test_plans_are_complete_and_change_one_field(tip):
    for claim in tip.plans.values():
        first, *others = claim.sides
        for other in others:
            assert list(first.diff(other)) == [claim.field]
        assert claim.claimed in ("BETTER", "WORSE", "NO WORSE")
        if claim.condition:
            assert set(claim.condition) == {"name", *claim.settings}


def test_planned_work_is_bounded(tip):
    runs, tflop = tip.cost()
    assert tflop <= MOST_TFLOP and runs > 0


def test_the_plans_fingerprint_follows_its_meaning_and_not_its_layout(tip, monkeypatch):
    before = tip.plan_hash
    changed = Tip(tip.name)
    changed.plan = json.loads(json.dumps(tip.plan))
    assert changed.plan_hash == before
    changed.plan["seeds"] += 1
    assert changed.plan_hash != before


def test_the_record_was_computed_under_the_plan_as_it_stands(tip):
    assert tip.record["plan"] == tip.plan_hash


def test_the_records_findings_follow_from_its_scores(tip):
    record = tip.record
    for claim, stored in zip(tip.plans.values(), record["claims"], strict=True):
        d = {}
        for setting, found in stored["settings"].items():
            sides = {
                side[claim.field]: side
                for side in record["settings"][setting]
                if side["features"] == claim.recipe.features
            }
            baseline, variant = (
                {name: np.array(sides[found[which]][name]) for name in ("test_score", "trivial")}
                for which in ("baseline", "variant")
            )
            d[setting] = effects(variant["test_score"], baseline["test_score"], baseline["trivial"])
            assert np.expm1(d[setting].mean()) == pytest.approx(found["effect"], abs=1e-4)
            assert find(d[setting], True).verdict == found["verdict"]
        overall = pooled(list(d.values()))
        assert np.expm1(overall.mean()) == pytest.approx(stored["effect"], abs=1e-4)
        np.testing.assert_allclose(np.expm1(interval(overall)), stored["interval"], atol=1e-4)
        assert stored["n"] == len(record["seeds"])


def test_every_setting_of_every_plan_is_alive(tip):
    """In each setting some side's tuned runs get a fifth of the way from naive to floor, and beat naive."""
    for setting, sides in tip.record["settings"].items():
        best = min(sides, key=lambda side: np.mean(side["test_score"]))
        score, trivial, floor = (np.mean(best[name]) for name in ("test_score", "trivial", "floor"))
        assert (trivial - score) / (trivial - floor) > 0.2, setting


def test_the_baseline_beats_persistence_in_every_setting(tip):
    for claim in tip.plans.values():
        for setting, found in tip.record["claims"][list(tip.plans).index(claim.id)]["settings"].items():
            for side in tip.record["settings"][setting]:
                if (side["input_scaling"], side["features"]) == (found["baseline"], claim.recipe.features):
                    assert np.mean(np.array(side["test_score"]) < np.array(side["trivial"])) > 0.8, (claim.id, setting)


def test_every_word_the_record_may_say_has_its_sentence(tip):
    for claim in tip.plans:
        assert {"short", "SUPPORTED", "CONTRADICTED", "NO DIFFERENCE", "UNDECIDED"} <= set(tip.texts[claim])
    for stored in tip.record["claims"]:
        assert tip.plans[stored["id"]].says in tip.table()
    assert str(tip.rule()).count("\n\n") == len(tip.plans) - 1
    assert "{" not in tip.rule()


def test_a_changed_record_changes_the_sentences(tip):
    before = str(tip.rule())
    tip.record["claims"][0]["word"] = "UNDECIDED"
    assert str(tip.rule()) != before and "undecided" in tip.rule()


def test_the_live_default_is_a_stored_setting(tip):
    baseline, variant, setting = tip.live()
    assert setting in tip.record["settings"]
    stored = {side["input_scaling"] for side in tip.record["settings"][setting]}
    assert {baseline.input_scaling, variant.input_scaling} <= stored


def test_some_stored_runs_trained_again_give_the_stored_scores(tip):
    """Within 2 %: other processors round differently, and 300 updates carry that along."""
    baseline, variant, setting = tip.live()
    for recipe in (baseline, variant):
        (stored,) = (s for s in tip.record["settings"][setting]
                     if (s["input_scaling"], s["features"]) == (recipe.input_scaling, recipe.features))  # fmt: skip
        again = rt.train(recipe.but(lr=stored["lr"]), SETTINGS[setting](), tip.record["seeds"][:2])
        np.testing.assert_allclose(again.test_score, stored["test_score"][:2], rtol=0.02)
        np.testing.assert_allclose(again.trivial, stored["trivial"][:2], rtol=1e-4)


def test_the_settings_are_still_what_the_record_was_computed_on(tip):
    """Naive errors and floors of the first seed, for every setting: a changed generator shows here."""
    for setting, sides in tip.record["settings"].items():
        recipe = next(iter(tip.work()[setting]))
        found = SETTINGS[setting]().bounds(recipe, tip.record["seeds"][0])
        np.testing.assert_allclose(found[:2], [sides[0]["trivial"][0], sides[0]["floor"][0]], rtol=1e-4)


def test_compute_takes_other_seeds_and_a_stored_rate(tip, monkeypatch):
    monkeypatch.setitem(tip.plan["recipe"], "updates", 2)
    monkeypatch.setattr(Tip, "pick", lambda *_: rt.tuning.Pick({"lr": 0.01}, 1.0))
    record = compute(tip, seeds=[3, 5], say=lambda line: None)
    assert record["seeds"] == [3, 5]
    assert {claim["verdict"] for claim in record["claims"]} == {"UNCLEAR"}
    assert [claim["id"] for claim in record["claims"]] == list(tip.plans)
    json.dumps(record)
