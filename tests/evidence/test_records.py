"""How a record is computed, part by part, and how its claims are judged; nothing is trained here."""

import json

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
    tuned = []

    def tune(arms, task, grids, how, seeds, widen):
        tuned.append(seeds)
        return [Pick({"lr": 10.0 ** -len(tuned)}, float(i)) for i, _ in enumerate(arms)]

    monkeypatch.setattr("evidence.records.tune_arms", tune)
    record = compute(plan, retune=True, say=lambda line: None)
    half, parts = len(plan.work()), plan.parts()
    assert tuned == [parts["first"][0]] * half + [parts["fresh"][0]] * half
    assert [seeds for seeds, _ in trained] == [parts["first"][1]] * half + [parts["fresh"][1]] * half
    assert [{arm.lr for arm in arms} for _, arms in trained] == [{10.0 ** -(i + 1)} for i in range(2 * half)]
    assert record["provisional"] is None and record["version"] == plan.version
    assert [part["seeds"] for part in record["parts"]] == [parts["first"][1], parts["fresh"][1]]
    json.dumps(record)


def test_without_tuning_each_part_takes_the_rates_that_it_was_stored_with(plan, trained):
    """Rates are moved first, so that the parts differ."""
    for part, factor in zip(plan.tip.record["parts"], (2, 3), strict=True):
        for arm in (arm for arms in part["settings"].values() for arm in arms):
            arm["lr"] *= factor
    compute(plan, say=lambda line: None)
    seeds = {name: these for name, (_, these) in plan.parts().items()}
    assert [(of, [(arm.features, arm.input_scaling, arm.lr) for arm in arms]) for of, arms in trained] == [
        (seeds[part["name"]], [(arm["features"], arm["input_scaling"], arm["lr"]) for arm in arms])
        for part in plan.tip.record["parts"] for arms in part["settings"].values()
    ]  # fmt: skip


def test_other_seeds_make_a_provisional_record_which_says_where_it_was_computed(plan, trained, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.get_device_name", lambda: "a chip")
    there, here = (compute(plan, [3, 5], device=device, say=lambda line: None) for device in ("cuda", "auto"))
    assert (there["device"], there["machine"], here["device"], "machine" in here) == ("cuda", "a chip", "cpu", False)
    assert here["seeds"] == [3, 5] and "no fresh seeds were tried" in here["provisional"]
    assert [seeds for seeds, _ in trained] == [[3, 5]] * len(plan.work()) * 2
    assert {(claim["repeated"], claim["verdict"]) for claim in here["claims"]} == {(None, "UNCLEAR")}
    assert [claim["id"] for claim in here["claims"]] == list(plan.claims)


def test_a_stored_record_is_judged_again_as_it_was(made):
    """Whatever is measured, on the made-up plan: its numbers were rounded when they were stored."""
    parts = parts_of(made)
    for claim, stored in zip(made.claims.values(), made.tip.record["claims"], strict=True):
        alike(judge(claim, parts), stored, rel=1e-3)


def made_up(claim, ratio=1.1, dead=()):
    """A part of a record in which the variant errs so many times as much; in dead settings nothing learned."""
    results = {}
    for setting in claim.settings:
        errors = [0.99, 0.99] if setting in dead else [0.3, 0.3 * ratio]
        arms = [needed[None] for needed in claim.needs(setting)]
        results[setting] = {arm: scores([error * (1 + 0.001 * k) for k in range(20)])
                            for arm, error in zip(arms, errors, strict=True)}  # fmt: skip
    return results, {}


def test_the_best_and_the_worst_side_are_named_by_the_first_part_and_kept(plan):
    """Else the two parts would test different pairs."""
    claim = next(claim for claim in plan.claims.values() if claim.among)
    arms = [needed[None] for needed in claim.needs(claim.settings[0])]
    found = {arm: scores([0.2 + 0.1 * i + 0.001 * k for k in range(20)]) for i, arm in enumerate(arms)}

    def part(order):
        picks = {arm: Pick({"lr": 0.01}, float(rank)) for arm, rank in zip(arms, order, strict=True)}
        return dict.fromkeys(claim.settings, found), dict.fromkeys(claim.settings, picks)

    found = judge(claim, [part([0, 1, 2, 3]), part([3, 2, 1, 0])])
    assert {(f["baseline"], f["variant"]) for f in found["settings"].values()} == {(claim.among[0], claim.among[3])}
    assert found["word"] == "SUPPORTED" and found["repeated"] and found["parts"][0] == pytest.approx(found["parts"][1])


@pytest.mark.parametrize(
    ("ratios", "word", "first", "repeated"),
    [((1.1, 1.1), "SUPPORTED", "SUPPORTED", True), ((1.1, 1.03), "UNDECIDED", "SUPPORTED", False),
     ((1.01, 1.0), "NO DIFFERENCE", "NO DIFFERENCE", True), ((1.01, 1.2), "UNDECIDED", "NO DIFFERENCE", False),
     ((1.1,), "SUPPORTED", "SUPPORTED", None)],
)  # fmt: skip
def test_a_finding_has_repeated_if_fresh_seeds_leave_its_word_standing(plan, ratios, word, first, repeated):
    claim = next(claim for claim in plan.claims.values() if claim.claimed == "WORSE")
    found = judge(claim, [made_up(claim, ratio) for ratio in ratios])
    assert (found["word"], found["first"], found["repeated"]) == (word, first, repeated)
    assert found["parts"] == pytest.approx([ratio - 1 for ratio in ratios], abs=1e-6)


def test_a_setting_that_trained_in_one_part_alone_is_left_out_of_both(plan):
    claim = plan.claims["C1"]
    found = judge(claim, [made_up(claim), made_up(claim, dead=["CO2"])])
    assert found["left_out"] == ["CO2"] and found["settings"]["CO2"]["verdict"] == "NOT TRAINED"
    assert found["word"] == "SUPPORTED" and found["n"] == 40 and found["runs"] == 120
    assert found["parts"] == pytest.approx([0.1, 0.1], abs=1e-3)
    assert found["p"] == pytest.approx(2 / 2**120, rel=1e-5, abs=0)
    nowhere = judge(claim, [made_up(claim, dead=claim.settings)] * 2)
    assert (nowhere["verdict"], nowhere["word"]) == ("NOT TRAINED", "UNDECIDED")
