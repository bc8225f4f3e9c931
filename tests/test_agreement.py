# ruff: noqa: F811 (fixtures are imported)
"""Two records of one plan: other arithmetic agrees, another learning rate does not; what cannot be compared is said."""

import json
from copy import deepcopy
from importlib import import_module

import numpy as np
import pytest
import torch
from test_cli import run
from test_plans import folder, made  # noqa: F401

import rnntips as rt
from rnntips import kernels, records, update
from rnntips.agreement import agreement, lines, read
from rnntips.errors import BadArgument
from rnntips.measures import MEASURES
from rnntips.tips import Tip

TIMED = {"seconds"}  # the made-up plan's claims in seconds


def again(made, **how):
    """Its record computed again, with the stored rates."""
    return records.compute(made, device="cpu", say=lambda line: None, **how)


def holding(record) -> Tip:
    tip = Tip("made")
    vars(tip)["record"] = record
    return tip


def compared(made, record):
    (found,) = agreement({"made": (holding(record), made)})
    return found


def answers(found) -> dict:
    return {claim["id"]: claim["agrees"] for claim in found["claims"]}


@pytest.fixture(scope="module")
def in_torch(folder):
    """The record by plain operations of torch: another order of sums, as on a GPU."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(import_module("rnntips.tips"), "DATA", folder)
        patch.setattr(kernels, "update", lambda: None)
        return again(Tip("made"))


@pytest.fixture(scope="module")
def at_three_times_the_rate(folder):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(import_module("rnntips.tips"), "DATA", folder)
        columns = update._columns
        patch.setattr(update, "_columns", lambda record: columns(record) * np.array([3, 1, 1, 1], np.float32))
        return again(Tip("made"))


def test_a_record_agrees_with_itself(made):
    found = compared(made, deepcopy(made.record))
    assert answers(found) == {claim: None if claim in TIMED else True for claim in made.plans}
    for claim, stored in zip(found["claims"], made.record["claims"], strict=True):
        assert claim["here"] == claim["there"] and claim["difference"]["typical"] == 0
        assert (claim["id"], claim["here"]["word"], claim["here"]["n"]) == (stored["id"], stored["word"], stored["n"])
    assert found["runs"] | {"twins": 0} == {"twins": 0, "median": 0, "largest": 0, "diverged alone": 0}
    assert found["tuned otherwise"] == []


def test_other_arithmetic_agrees_claim_by_claim(made, in_torch):
    found = compared(made, in_torch)
    assert all(agrees is not False for agrees in answers(found).values())
    assert found["runs"]["median"] < 1e-3 and found["runs"]["largest"] > 1e-2, (
        "single runs part, or the arithmetic was the same"
    )
    exact = [claim for claim in found["claims"] if claim["id"] not in TIMED and claim["unit"] in ("%", "times")]
    assert {claim["difference"]["verdict"] for claim in exact} == {"same"}


GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="this machine has no GPU")


@GPU
@pytest.mark.gpu
def test_a_gpu_agrees_claim_by_claim(made):
    record = records.compute(made, device="cuda", say=lambda line: None)
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


def test_another_learning_rate_is_found_out(made, at_three_times_the_rate):
    found = compared(made, at_three_times_the_rate)
    assert found["runs"]["median"] > 0.05
    apart = [
        claim for claim in found["claims"] if claim["difference"]["verdict"] == "APART" and claim["id"] not in TIMED
    ]
    assert apart and not any(claim["agrees"] for claim in apart)
    other = [claim for claim in found["claims"] if claim["here"]["word"] != claim["there"]["word"]]
    assert other and not any(claim["agrees"] for claim in other)


def test_the_difference_is_that_of_the_paired_log_ratios(made):
    """3 % less of what is measured on every seed is 3 % less of the ratio, and the interval has no width."""
    claim, record = made.plans["fitted"], deepcopy(made.record)
    variant = claim.needs("sines")[1][None]
    for number in range(2):
        readings = holding(record).stored("sines", variant, number)["readings"]
        readings[claim.measured.label] = [0.97 * value for value in readings[claim.measured.label]]
    (found,) = [found for found in compared(made, record)["claims"] if found["id"] == "fitted"]
    assert found["difference"]["typical"] == pytest.approx(-0.03, abs=1e-5)
    assert found["difference"]["interval"] == pytest.approx([-0.03, -0.03], abs=1e-5)
    assert found["difference"]["verdict"] == "same", "less than the 5 % that matter"


def test_runs_are_paired_by_their_seeds_whatever_their_order(made):
    record = deepcopy(made.record)
    for part in record["parts"]:
        part["seeds"] = part["seeds"][::-1]
        for entry in (entry for sides in part["settings"].values() for entry in sides):
            rows = [entry, entry.get("readings", {})]
            for row in rows:
                row |= {name: value[::-1] for name, value in row.items()
                        if isinstance(value, list) and len(value) == len(part["seeds"])}  # fmt: skip
    assert compared(made, record)["runs"]["largest"] == 0


def test_records_on_some_seeds_are_compared_on_those(made):
    few = again(made, seeds=range(4, 12))
    found = compared(made, few)
    assert found["seeds"] == 6, "the plan's first seeds are 0 to 9"
    assert found["runs"]["largest"] < 1e-4 and all(claim["here"]["n"] == 6 for claim in found["claims"])
    with pytest.raises(BadArgument, match="share no seed"):
        compared(made, again(made, seeds=[77]))


def test_other_data_are_no_disagreement(made):
    record = deepcopy(made.record)
    for entry in record["parts"][0]["settings"]["sines, tanh"]:
        entry["trivial"] = [1.01 * value for value in entry["trivial"]]
    left_open = {claim["id"]: claim["left open"] for claim in compared(made, record)["claims"]}
    for name, claim in made.plans.items():
        expected = "timed" if name in TIMED else "other data" if "sines, tanh" in claim.settings else None
        assert left_open[name] == expected


def test_another_pick_is_named(made):
    record = deepcopy(made.record)
    entry = record["parts"][1]["settings"]["sines"][0]
    before = entry["lr"]
    entry["lr"] = 2 * before
    (row,) = compared(made, record)["tuned otherwise"]
    assert row == {"part": 1, "setting": "sines", "here": {"lr": 2 * before}, "there": {"lr": before}}


def test_chance_calls_any_of_all_claims_apart_once_in_twenty_comparisons(made):
    """Twins that differ by noise alone, in as many claims as the plan has."""
    claims = compared(made, made.record)["claims"]
    untimed, rng = len(claims) - len(TIMED), np.random.default_rng(0)
    (level,) = {claim["difference"]["level"] for claim in claims}

    def any_apart(level):
        found = (MEASURES["score"].find(rng.normal(size=20), True, 0.05, level=level) for _ in range(untimed))
        return any(one.verdict in ("BETTER", "WORSE") for one in found)

    assert np.mean([any_apart(level) for _ in range(400)]) < 0.07
    assert np.mean([any_apart(0.95) for _ in range(100)]) > 0.3


def test_a_share_is_compared_by_its_mean():
    """Three runs in ten that fail on one side alone: a median would not see them."""
    d = np.tile([1, 1, 1, 0, 0, 0, 0, 0, 0, 0], 10)
    share = MEASURES["failure share"]
    assert share.find(d, True, 0.1, level=0.999).verdict == "WORSE"
    assert share.find(2 * d, True, 0.1, level=0.999).effect == pytest.approx(0.6)
    ends = [share.find(d, True, 0.1, level=level).interval for level in (0.95, 0.999)]
    assert ends[1][0] < ends[0][0] < 0.3 < ends[0][1] < ends[1][1]


def test_a_claim_on_the_edge_differs_though_its_effect_does_not(made, monkeypatch):
    """Another word is reported even where the difference is called the same: rounding alone turned it."""
    record = deepcopy(made.record)
    words = iter(["SUPPORTED", "UNDECIDED"] * len(made.plans))
    monkeypatch.setattr("rnntips.agreement.judge", lambda *given: records.judge(*given) | {"word": next(words)})
    found = compared(made, record)
    (fitted,) = [claim for claim in found["claims"] if claim["id"] == "fitted"]
    assert fitted["agrees"] is False and fitted["difference"]["verdict"] == "same"
    assert [line for line in lines([found]) if line.startswith("fitted DIFFERS") and "there UNDECIDED" in line]


# --- the command


@pytest.fixture
def kept(made, tmp_path, monkeypatch):
    """A folder that holds the made-up record."""
    (tmp_path / "made.json").write_text(json.dumps(made.record))
    return tmp_path


def test_agree_says_every_claim_and_ends_in_nought(made, kept):
    found = run("agree", str(kept))
    assert found.exit_code == 0 and "cpu against cpu" in found.output
    for claim in made.plans:
        assert [line for line in found.output.splitlines() if line.startswith(f"{claim:4} ")]
    (tip,) = json.loads(run("agree", str(kept), str(kept), "--json").output)
    assert [claim["id"] for claim in tip["claims"]] == list(made.plans)


def test_agree_needs_two_records(kept, monkeypatch):
    monkeypatch.setattr(Tip, "has_record", False)
    found = run("agree", str(kept))
    assert found.exit_code == 1 and "no other record of made" in found.output


def test_agree_ends_in_one_where_a_claim_differs(kept, at_three_times_the_rate):
    (kept / "made.json").write_text(json.dumps(at_three_times_the_rate))
    found = run("agree", str(kept))
    assert found.exit_code == 1 and "DIFFERS" in found.output and "APART" in found.output


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", "is no record"),
        ("[]", "is no record"),
        ('{"plan": "old"}', "belongs to plan old"),
        (None, "holds no record"),
    ],
)
def test_what_is_no_record_of_this_plan_is_refused_in_words(kept, content, words):
    if content is None:
        (kept / "made.json").unlink()
    else:
        (kept / "made.json").write_text(content)
    with pytest.raises(BadArgument, match=words):
        read(kept)
    found = run("agree", str(kept))
    assert found.exit_code == 1 and words in found.output
