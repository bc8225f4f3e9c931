"""The doctor's trial: programs are what they say, and pages say what is stored."""

import json
import tomllib
from dataclasses import fields, replace
from pathlib import Path

import pytest

from evidence import doctor
from evidence.programs import FAULTS, REMEDIES, TASKS, UNSEEN, Program, Training, healthy
from rnntips.doctor.report import codes

ROOT = Path(__file__).parents[2]
STORED = json.loads((ROOT / "rnntips" / "lessons" / "bugs_in_the_loop" / "doctor.json").read_text(encoding="utf-8"))
QUICK = {"batch_first forgotten": "batch-mixed", "clipped after the step": "clipped-after-step",
         "targets of other examples": "flat"}  # fmt: skip


def test_every_fault_is_named_by_codes_and_every_code_has_a_fault_or_a_log():
    named = {code for fault in FAULTS.values() for code in fault.codes}
    assert named <= set(codes()) and set(REMEDIES) <= set(codes())
    assert set(codes()) - named == {"does-not-run"}
    usual = Program()
    for name, fault in FAULTS.items():
        assert set(fault.changes) <= {field.name for field in fields(Program)}, name
        assert all(fault.changes[field] != getattr(usual, field) for field in fault.changes), name


def test_healthy_programs_are_of_every_task_cell_width_and_kind():
    programs = healthy(TASKS + UNSEEN, range(20))
    assert len(programs) == 6 * 3 * 2 * 20 == len(set(programs))
    assert {program.kind for program in programs} == {"plain", "stacked", "bidirectional", "packed"}
    assert {program.optimizer for program in programs} == {"adam", "sgd"} and {p.clip for p in programs} == {
        "no",
        "right",
    }


def test_a_program_trains_and_is_the_same_again():
    program = Program("digits", "GRU", 16, 3, updates=200)
    one, other = (Training(program) for _ in range(2))
    assert list(one.train()) == list(other.train()) and one.errors == other.errors
    assert one.errors[-1] < 0.6 * one.naive


@pytest.mark.parametrize("name", QUICK)
def test_a_fault_is_found_and_its_advice_followed(name):
    program = replace(FAULTS[name].programs([1])[0], updates=200)
    found = doctor.faulty(name, program)
    assert found["found"] and found["found"][0] in FAULTS[name].codes
    assert found["repaired"] and found["rounds"] == 1 and found["after"] < 1.15 * found["twin"] + 0.02


def test_wilsons_interval():
    assert doctor.interval(0, 20) == "0 (0–16)" and doctor.interval(20, 20) == "100 (84–100)"
    assert doctor.interval(10, 20) == "50 (30–70)" and doctor.interval(0, 0) == "–"


def test_pages_say_what_is_stored():
    assert doctor.page(STORED) == (ROOT / "docs" / "doctor.md").read_text(encoding="utf-8")
    text = (ROOT / "rnntips" / "doctor" / "healthy.toml").read_text(encoding="utf-8")
    assert doctor.healthy_toml(STORED) == text and set(tomllib.loads(text)) == set(codes())


def test_the_trial_is_whole_and_what_it_was_to_show_holds():
    assert set(STORED["faults"]) == set(FAULTS) and all(row["n"] >= 20 for row in STORED["faults"].values())
    well = STORED["healthy"]
    assert well["programs"] == 720 and well["alarmed"] <= 0.05 * well["trained"]


def test_the_summary_counts_what_was_found():
    program = {"task": "demand"}
    rows = [{"fault": "", "program": program, "error": 0.5, "found": [], "values": {"flat": 0.2}},
            {"fault": "", "program": {"task": "co2"}, "error": 0.5, "found": ["flat"], "values": {"flat": 0.99}},
            {"fault": "", "program": program, "error": 2.0, "found": ["flat"], "values": {"flat": 9.0}}]  # fmt: skip
    more = {"error": 5.0, "after": 0.5, "twin": 0.5, "repaired": True, "values": {}, "program": program}
    rows += [{"fault": "batch norm", "found": found} | more for found in (["batch-mixed"], ["flat", "batch-mixed"], [])]
    found = doctor.summary(rows)
    assert found["healthy"] | {"codes": {}} == {"programs": 3, "trained": 2, "alarmed": 1, "codes": {}, "unseen": 1,
                                                "alarmed unseen": 1}  # fmt: skip
    assert found["ranges"]["flat"] == [0.2, 0.99, 2]
    row = found["faults"]["batch norm"]
    assert (row["n"], row["found"], row["first"], row["firsts"]["nothing"]) == (3, 2, 1, 1)
    assert doctor.out_of_range(found) == ["flat"]
