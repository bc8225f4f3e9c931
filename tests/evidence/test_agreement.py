"""Two records of one plan: other arithmetic agrees, another learning rate does not; what cannot be compared is said."""

import itertools
import json
from copy import deepcopy

import numpy as np
import pytest
import torch
from making import run

import rnntips as rt
from evidence import records
from evidence.agreement import agreement, lines
from evidence.arms import Arm
from evidence.measures import MEASURES
from evidence.plans import Plan
from rnntips.errors import BadArgument
from rnntips.notebook.tips import Tip

TIMED = {"seconds"}  # the made-up plan's claims in seconds


def again(plan, seeds=range(10), **how):
    """Its record computed again, with the stored rates; on the first seeds alone, for the sake of speed."""
    return records.compute(plan, seeds, say=lambda line: None, **{"device": "cpu"} | how)


def holding(record) -> Plan:
    plan = Plan(Tip("made"))
    vars(plan.tip)["record"] = record
    return plan


def compared(made, record):
    (found,) = agreement({"made": (holding(record), made)})
    return found


def answers(found) -> dict:
    return {claim["id"]: claim["agrees"] for claim in found["claims"]}


def verdicts(claim) -> list:
    """Of the differences, setting by setting."""
    return [found["verdict"] for found in claim["differences"].values()]


def entries(record):
    """Every arm of every part."""
    return [entry for part in record["parts"] for arms in part["settings"].values() for entry in arms]


@pytest.fixture(scope="module")
def at_five_times_the_rate(made_up):
    with pytest.MonkeyPatch.context() as patch:
        made_up(patch)
        picked = Arm.picked
        patch.setattr(Arm, "picked", lambda arm, pick: (one := picked(arm, pick)).but(lr=5 * one.lr))
        return again(Plan(Tip("made")))


def test_a_record_agrees_with_itself(made):
    found, record = compared(made, deepcopy(made.tip.record)), made.tip.record
    assert answers(found) == {claim: None if claim in TIMED else True for claim in made.claims}
    for claim, stored in zip(found["claims"], record["claims"], strict=True):
        assert claim["differences"].keys() == stored["settings"].keys()
        assert {found["typical"] for found in claim["differences"].values()} == {0}
        assert claim["id"] == stored["id"] and claim["here"] == claim["there"] == stored["word"]
    twins = sum(len(entry["test_score"]) for entry in entries(record))
    assert found["runs"] == {"twins": twins, "median": 0, "largest": 0, "diverged alone": 0}
    assert found["tuned otherwise"] == [] and found["seeds"] == 20


def test_other_arithmetic_agrees_claim_by_claim(made, monkeypatch):
    """By plain operations of torch: another order of sums, as on a GPU."""
    monkeypatch.setattr("rnntips.engine.compiled_update", lambda: None)
    found = compared(made, again(made))
    assert all(agrees is not False for agrees in answers(found).values())
    assert found["runs"]["median"] < 1e-3 and found["runs"]["largest"] > 1e-2, "runs part, or the arithmetic was alike"
    exact = [claim for claim in found["claims"] if claim["id"] not in TIMED and claim["unit"] in ("%", "times")]
    small = [setting for setting in made.arms() if made.size_of(setting).first == 10]
    assert {claim["differences"][setting]["verdict"] for claim in exact for setting in small
            if setting in claim["differences"]} == {"same"}  # fmt: skip


def test_another_learning_rate_is_found_out(made, at_five_times_the_rate):
    found = compared(made, at_five_times_the_rate)
    assert found["runs"]["median"] > 0.05
    other = [claim for claim in found["claims"] if claim["here"] != claim["there"] and claim["id"] not in TIMED]
    assert other and not any(claim["agrees"] for claim in other)


GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="this machine has no GPU")


@GPU
@pytest.mark.gpu
def test_a_gpu_agrees_claim_by_claim(made):
    record = again(made, seeds=None, device="cuda")
    assert record["device"] == "cuda" and record["machine"] == torch.cuda.get_device_name()
    found = compared(made, record)
    assert all(agrees is not False for agrees in answers(found).values()), "\n".join(lines([found]))
    assert found["runs"]["median"] < 1e-3 and found["runs"]["largest"] > 0, "single runs part at once, or not at all"


@GPU
@pytest.mark.gpu
@pytest.mark.parametrize("cell", ["tanh", "gru", "lstm"])
def test_the_first_updates_of_a_gpu_are_the_cpus(cell):
    recipe, series = rt.Recipe(cell=cell, updates=5, past=16, width=8, batch_size=8), rt.series.sines(steps=800)
    here, there = (rt.train(recipe, series, range(3), device=device) for device in ("cpu", "cuda"))
    for name in ("train_loss", "gradient_norm", "valid_score", "test_scores", "weights"):
        np.testing.assert_allclose(getattr(there, name), getattr(here, name), rtol=1e-4, atol=1e-5, err_msg=name)


def test_the_difference_is_that_of_the_paired_log_ratios_setting_by_setting(made):
    """3 % less error of a setting's variant is 3 % less of its ratio, and the interval has no width; 20 % likewise."""
    claim, here = made.claims["rate"], deepcopy(made.tip.record)
    for entry in entries(here) + entries(made.tip.record):
        entry["naive"] = [10 * naive for naive in entry["naive"]]  # so that no error is capped
    times = {"sines": 0.97, "sines, tanh": 0.8}
    for number, setting in itertools.product(range(2), times):
        variant = holding(here).stored(setting, claim.needs(setting)[1][None], number)
        variant["test_score"] = [times[setting] * score for score in variant["test_score"]]
    (found,) = [found for found in compared(made, here)["claims"] if found["id"] == "rate"]
    for setting, difference in found["differences"].items():
        numbers = [difference["typical"], *difference["interval"]]
        assert numbers == pytest.approx([times[setting] - 1] * 3, abs=1e-5)
    assert verdicts(found) == ["same", "APART"] and found["agrees"] is False, "5 % matter"


def test_runs_are_paired_by_their_seeds_whatever_their_order(made):
    """At working size a record has the first of a part's seeds."""
    record, order = deepcopy(made.tip.record), [5, 4, 3, 2, 1, 0, 9, 8, 7, 6]
    for part in record["parts"]:
        part["seeds"] = [part["seeds"][i] for i in order]
    for entry in entries(record):
        for row in (entry, entry.get("readings", {})):
            row |= {name: [value[i] for i in order if i < len(value)]
                    for name, value in row.items() if isinstance(value, list) and len(value) in (6, 10)}  # fmt: skip
    assert compared(made, record)["runs"]["largest"] == 0


def test_records_on_some_seeds_are_compared_on_those(made):
    """The seeds are the plan's first, 0 to 9, and at working size 0 to 5."""
    few = deepcopy(made.tip.record)
    few["parts"] = few["parts"][:1]
    few["parts"][0]["seeds"] = [77, *range(1, 7), 78, 79, 80]
    found = compared(made, few)
    assert found["seeds"] == 6 and found["runs"]["largest"] < 1e-4
    assert found["runs"]["twins"] == sum(min(6, len(e["test_score"]) - 1) for e in entries(few))
    few["parts"][0]["seeds"] = list(range(70, 80))
    with pytest.raises(BadArgument, match="share no seed"):
        compared(made, few)


def test_other_data_are_no_disagreement(made):
    record = deepcopy(made.tip.record)
    for entry in record["parts"][0]["settings"]["sines, tanh"]:
        entry["naive"] = [1.01 * value for value in entry["naive"]]
    left_open = {claim["id"]: claim["left open"] for claim in compared(made, record)["claims"]}
    for name, claim in made.claims.items():
        expected = "timed" if name in TIMED else "other data" if "sines, tanh" in claim.settings else None
        assert left_open[name] == expected


def test_another_pick_is_named(made):
    record = deepcopy(made.tip.record)
    entry = record["parts"][1]["settings"]["sines"][0]
    before = entry["lr"]
    entry["lr"] = 2 * before
    (row,) = compared(made, record)["tuned otherwise"]
    assert row == {"part": 1, "setting": "sines", "here": {"lr": 2 * before}, "there": {"lr": before}}


def test_chance_calls_any_of_all_claims_apart_once_in_twenty_comparisons(made, monkeypatch):
    """Twins that differ by noise alone, in as many settings as the plan's claims have."""
    levels, rng = [], np.random.default_rng(0)
    monkeypatch.setattr("evidence.agreement._difference",
                        lambda *given: levels.append(given[-1]) or {"verdict": "same"})  # fmt: skip
    compared(made, made.tip.record)
    (level,), untimed = set(levels), len(levels) - len(TIMED)

    def any_apart(level):
        found = (MEASURES["score"].find(rng.normal(size=20), True, 0.05, level=level) for _ in range(untimed))
        return any(one.verdict in ("BETTER", "WORSE") for one in found)

    assert np.mean([any_apart(level) for _ in range(200)]) < 0.08
    assert np.mean([any_apart(0.95) for _ in range(50)]) > 0.3


def test_a_claim_on_the_edge_differs_though_its_effect_does_not(made, monkeypatch):
    """Another word is reported even where the difference is called the same: rounding alone turned it."""
    words = iter(["SUPPORTED", "UNDECIDED"] * len(made.claims))
    monkeypatch.setattr("evidence.agreement.judge", lambda *given: records.judge(*given) | {"word": next(words)})
    found = compared(made, deepcopy(made.tip.record))
    (fitted,) = [claim for claim in found["claims"] if claim["id"] == "fitted"]
    assert fitted["agrees"] is False and verdicts(fitted) == ["same"]
    assert [line for line in lines([found]) if line.startswith("fitted DIFFERS") and "there UNDECIDED" in line]


@pytest.fixture
def kept(made, tmp_path):
    """A folder that holds the made-up record."""
    (tmp_path / "made.json").write_text(json.dumps(made.tip.record))
    return tmp_path


def test_agree_says_every_claim_and_ends_in_zero_unless_a_claim_differs(made, kept, at_five_times_the_rate):
    found = run("agree", str(kept))
    assert found.exit_code == 0 and "cpu against cpu" in found.output
    assert [line.split()[0] for line in found.output.splitlines() if line[0] != " "][1:-1] == list(made.claims)
    (tip,) = json.loads(run("agree", str(kept), str(kept), "--json").output)
    assert [claim["id"] for claim in tip["claims"]] == list(made.claims)
    (kept / "made.json").write_text(json.dumps(at_five_times_the_rate))
    found = run("agree", str(kept))
    assert found.exit_code == 1 and "DIFFERS" in found.output and "there " in found.output


def test_agree_needs_two_records(kept, monkeypatch):
    monkeypatch.setattr(Tip, "has_record", False)
    found = run("agree", str(kept))
    assert found.exit_code == 1 and "no other record of made" in found.output


@pytest.mark.parametrize(("content", "words"), [("{", "is no record"), ("[]", "is no record"),
                                                ('{"plan": "old"}', "belongs to plan old")])  # fmt: skip
def test_what_is_no_record_of_this_plan_is_refused_in_words(kept, content, words):
    (kept / "made.json").write_text(content)
    found = run("agree", str(kept))
    assert found.exit_code == 1 and words in found.output
    assert "holds no record" in run("agree", str(kept / "nowhere")).output
