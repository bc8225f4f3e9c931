"""How a record is computed, part by part, and how its claims are judged; nothing is trained here."""

import json
from dataclasses import replace

import pytest
from making import alike, runs_of, scores

from evidence.plans import Plan
from evidence.records import compute, judge, parts_of
from rnntips.notebook.tips import Tip
from rnntips.tuning import Pick


@pytest.fixture
def plan():
    return Plan(Tip("scaling"))


@pytest.fixture
def trained(monkeypatch):
    """What would have been trained: (seeds, recipes) call by call."""
    asked = []

    def train(arms, task, seeds, how):
        asked.append((seeds, list(arms)))
        errors = [0.4 + 0.01 * i for i in range(len(seeds))]
        return [runs_of(arm, scores(errors, floor=0.1)) for arm in arms]

    monkeypatch.setattr("evidence.records.train_arms", train)
    return asked


def test_a_record_is_tuned_and_trained_part_by_part_on_seeds_of_its_own(plan, trained, monkeypatch):
    assert plan.version  # before all but one claim, whose arms are all tuned on as many seeds, are left out
    plan.claims = {"C3": plan.claims["C3"]}
    tuned = []

    shifts = []

    def tune(arms, task, grids, how, seeds, search, shift):
        tuned.append(seeds)
        shifts.append(shift)
        return [Pick({"lr": 10.0 ** -len(tuned)}, float(i)) for i, _ in enumerate(arms)]

    monkeypatch.setattr("evidence.records.tune_arms", tune)
    record = compute(plan, retune=True, say=lambda line: None)
    half, parts = len(plan.work()), plan.parts()
    assert tuned == [parts["first"].tuning] * half + [parts["fresh"].tuning] * half
    assert shifts == [0.0] * half + [parts["fresh"].shift] * half and 0 < parts["fresh"].shift < 0.5
    assert [seeds for seeds, _ in trained] == [parts["first"].seeds] * half + [parts["fresh"].seeds] * half
    assert [{arm.lr for arm in arms} for _, arms in trained] == [{10.0 ** -(i + 1)} for i in range(2 * half)]
    assert record["provisional"] is None and record["version"] == plan.version
    assert [part["seeds"] for part in record["parts"]] == [parts["first"].seeds, parts["fresh"].seeds]
    json.dumps(record)


def test_without_tuning_each_part_takes_the_rates_that_it_was_stored_with(plan, trained):
    """Rates are moved first, so that the parts differ."""
    for part, factor in zip(plan.tip.record["parts"], (2, 3), strict=True):
        for arm in (arm for arms in part["settings"].values() for arm in arms if arm["tuned"] == "lr"):
            arm["lr"] *= factor
    compute(plan, say=lambda line: None)
    seeds = {name: part.seeds for name, part in plan.parts().items()}
    assert [(of, [(arm.features, arm.input_scaling, arm.lr) for arm in arms]) for of, arms in trained] == [
        (seeds[part["name"]][: len(arms[0]["test_score"])],
         [(arm["features"], arm["input_scaling"], arm.get("lr", 0.01)) for arm in arms])
        for part in plan.tip.record["parts"] for arms in part["settings"].values()
    ]  # fmt: skip


def test_other_seeds_make_a_provisional_record_which_says_where_it_was_computed(plan, trained, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.get_device_name", lambda: "a chip")
    there, here = (compute(plan, [3, 5], device=device, say=lambda line: None) for device in ("cuda", "auto"))
    assert (there["device"], there["machine"], here["device"], "machine" in here) == ("cuda", "a chip", "cpu", False)
    assert here["seeds"] == [3, 5] and "no fresh seeds were tried" in here["provisional"]
    assert [seeds for seeds, _ in trained] == [[3, 5]] * len(plan.work()) * 2
    assert {(claim["repeated"], claim["fresh_word"], claim["word"]) for claim in here["claims"]} == {
        (None, None, "UNDECIDED")}  # fmt: skip
    assert [claim["id"] for claim in here["claims"]] == list(plan.claims)


def test_a_stored_record_is_judged_again_as_it_was(made):
    """Whatever is measured, on the made-up plan: its numbers were rounded when they were stored."""
    parts = parts_of(made)
    for claim, stored in zip(made.claims.values(), made.tip.record["claims"], strict=True):
        alike(judge(claim, parts), stored, rel=1e-3)


def made_up(claim, ratio=1.1, spread=0.0, dead=()):
    """A part of a record in which the variant errs so many times as much; in dead settings nothing learned."""
    results = {}
    for setting in claim.settings:
        errors = [0.99, 0.99] if setting in dead else [0.3, 0.3 * ratio]
        arms = [needed[None] for needed in claim.needs(setting)]
        results[setting] = {arm: scores([error * (1 + width * (k - 9.5) / 9.5) for k in range(20)])
                            for arm, error, width in zip(arms, errors, (0, spread), strict=True)}  # fmt: skip
    return results, {}


def test_the_best_and_the_worst_side_are_named_by_the_first_part_and_kept(plan):
    """Else the two parts would test different pairs, and fresh seeds alone another claim."""
    claim = next(claim for claim in plan.claims.values() if claim.among)
    arms = [needed[None] for needed in claim.needs(claim.settings[0])]
    found = {arm: scores([0.2 + 0.1 * i + 0.001 * k for k in range(20)]) for i, arm in enumerate(arms)}

    def part(order):
        picks = {arm: Pick({"lr": 0.1 / (1 + rank)}, float(rank)) for arm, rank in zip(arms, order, strict=True)}
        return dict.fromkeys(claim.settings, found), dict.fromkeys(claim.settings, picks)

    found = judge(claim, [part([0, 1, 2, 3]), part([3, 2, 1, 0])])
    for setting in found["settings"].values():
        assert setting["sides"] == [claim.among[0], claim.among[3]]
        assert setting["tuned"] == [[0.1, 0.025], [0.025, 0.1]], "side by side what tuning chose in each part"
        assert setting["parts"][0] == setting["parts"][1]
    assert found["word"] == found["fresh_word"] == "SUPPORTED" and found["repeated"]


@pytest.mark.parametrize(
    ("parts", "word", "fresh", "repeated"),
    [([(1.1, 0), (1.1, 0)], "SUPPORTED", "SUPPORTED", True),
     ([(1.1, 0), (1.1, 0.25)], "SUPPORTED", "UNDECIDED", False),
     ([(1.1, 0), (1.03, 0)], "UNDECIDED", "NO DIFFERENCE", None),
     ([(1.01, 0), (1.0, 0)], "NO DIFFERENCE", "NO DIFFERENCE", True),
     ([(1.1, 0)], "SUPPORTED", None, None)],
)  # fmt: skip
def test_a_word_is_repeated_if_fresh_seeds_alone_give_it(plan, parts, word, fresh, repeated):
    claim = replace(plan.claims["C1"], smallest=0.05)
    found = judge(claim, [made_up(claim, *part) for part in parts])
    assert (found["word"], found["fresh_word"], found["repeated"]) == (word, fresh, repeated)
    for setting in found["settings"].values():
        assert setting["parts"] == pytest.approx([ratio - 1 for ratio, _ in parts], abs=0.002)


def test_a_setting_says_both_sides_errors_and_what_it_could_not_test(plan):
    """Where nothing learned it is not tested, and has no part in the word; nor does a word come of nothing."""
    claim = plan.claims["C1"]
    found = judge(claim, [made_up(claim, dead=["CO2"])] * 2)
    assert not found["settings"]["CO2"]["tested"] and "Neither side learned" in found["settings"]["CO2"]["why_not"]
    demand = found["settings"]["demand"]
    assert (demand["baseline"], demand["variant"]) == pytest.approx((0.3, 0.33))
    assert (demand["verdict"], demand["n"], demand["losses"]) == ("WORSE", 40, 40) and demand["tested"]
    assert (found["word"], found["n"], found["repeated"]) == ("SUPPORTED", 40, True)
    nowhere = judge(claim, [made_up(claim, dead=claim.settings)] * 2)
    assert (nowhere["word"], nowhere["repeated"]) == ("NOT TESTED", None)


@pytest.mark.parametrize(("needed", "tested"), [(40, True), (41, False)])
def test_shares_of_runs_need_their_seeds_of_the_whole_record_and_not_of_the_fresh_part_alone(
    made, monkeypatch, needed, tested
):  # fmt: skip
    monkeypatch.setattr("evidence.checks.RARE", needed)
    claim = next(claim for claim in made.claims.values() if claim.measure == "solved share")
    found = judge(claim, [made_up(claim), made_up(claim)])  # twenty seeds each
    assert (found["word"] != "NOT TESTED") == tested and found["fresh_word"] != "NOT TESTED"
