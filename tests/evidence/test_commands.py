"""`python -m evidence`: what it shows, what it refuses, and where it writes. `agree` has tests of its own."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from making import MadeUp, run

import rnntips
from evidence import __main__ as commands
from evidence import simulation
from evidence.plans import Plan
from rnntips.notebook.tips import Tip

ROOT = Path(rnntips.__file__).parents[1]


@pytest.fixture
def plan():
    return Plan(Tip("scaling"))


@pytest.fixture
def no_training(monkeypatch):
    """Training anything fails the test."""
    for name in ("rnntips.training.begin", "evidence.records.train_arms", "evidence.records.tune_arms"):
        monkeypatch.setattr(name, lambda *_, **__: pytest.fail("something was trained"))


@pytest.fixture
def no_writing(monkeypatch):
    monkeypatch.setattr(commands, "_write", lambda *_: pytest.fail("something was written"))


def planned_runs(given) -> int:
    """Counted from the lesson's file: different arms × (in each part the rates tried × tuning seeds, and its seeds)."""
    runs, usual = {}, {"input_scaling": "standard", "target_scaling": "standard"}
    for claim in given["claims"].values():
        for setting in claim["settings"]:
            working = given["settings"].get(setting, {}).get("size") == "working"
            seeds = given["seeds"]["working"] if working else given["seeds"]
            rates = 0 if claim.get("tuned") == "none" else 6 if working else 9
            for value in claim.get("among") or (claim["baseline"], claim["variant"]):
                side = value if isinstance(value, dict) else {claim["field"]: value}
                side = {name: one for name, one in (side | claim.get("recipe", {})).items() if usual.get(name) != one}
                arm = setting, json.dumps(side, sort_keys=True)
                runs[arm] = 2 * (rates * seeds["tuning"] + seeds["first"])
    return sum(runs.values())


def test_a_plan_is_shown_with_its_cost_and_nothing_is_trained(no_training, plan):
    """Every claim with its source, field and settings, the fresh seeds, and how many runs all of them take.

    As JSON nothing of the lesson's file is lost.
    """
    said, given = run("run", "scaling", "--plan").output, plan.given
    for name, claim in given["claims"].items():
        assert f"{name} ({claim['source']}) {claim['says']}" in said and "; ".join(claim["settings"]) in said
    assert f"{planned_runs(given):,} runs" in said and "TFLOP" in said and given["question"] in said
    assert ", ".join(map(str, plan.parts()["fresh"].seeds)) in said
    shown = json.loads(run("run", "scaling", "--plan", "--json").output)
    assert given == {name: shown[name] for name in given}
    assert ("scaling", planned_runs(given)) == (shown["tip"], shown["runs"]) and 0 < shown["tflop"] < 50


def test_a_stored_record_is_shown_with_what_other_programs_rely_on(no_training, plan):
    """A list under `claims`, one for each claim of the plan, with id and word, and under its settings the numbers.

    Readable: a line for each claim, and the settings under it.
    """
    record = json.loads(run("run", "scaling", "--stored", "--json").output)
    lines, counts = run("run", "scaling", "--stored").output.splitlines(), plan.given["seeds"]
    assert list(plan.claims) == [claim["id"] for claim in record["claims"]]
    for claim in record["claims"]:
        assert len(set(record["seeds"])) == claim["n"] == counts["first"] + counts["fresh"]
        for setting, found in claim["settings"].items():
            assert found["verdict"] in {"BETTER", "WORSE", "SAME", "UNCLEAR", "NO WORSE"}
            low, high = found["interval"]
            assert -1 < low <= found["typical"] <= high and -1 < found["effect"]
            assert found["n"] == 2 * plan.size_of(setting).first and found["tested"] == (found["why_not"] is None)
        (line,) = [line for line in lines if line.startswith(claim["id"] + " ")]
        assert claim["word"] in line and line.endswith(f"n = {claim['n']}")
        assert all(any(setting in line for line in lines) for setting in claim["settings"])


@pytest.mark.parametrize(("text", "seeds"), [("0:20", range(20)), (":3", range(3)), ("5:7", [5, 6]), ("3,5", [3, 5])])
def test_seeds_are_a_range_or_a_list(monkeypatch, text, seeds):
    """What is typed is what is computed."""
    asked = []
    monkeypatch.setattr(commands, "compute", lambda plan, seeds, *_, **__: asked.append(seeds) or {"claims": []})
    assert 0 == run("run", "scaling", "--seeds", text, "--json").exit_code
    assert [list(seeds)] == asked


@pytest.mark.parametrize(
    ("text", "words"),
    [("abc", ["'abc'", "0:20", "3,5,8"]), ("0:x", ["'0:x'", "0:20"]), ("1:2:3", ["'1:2:3'"]), ("1.5", ["'1.5'"]),
     ("", ["0:20"]), ("5:2", ["seeds", "at least one"]), ("-1", ["seed=-1", "at least 0"]),
      ("3,4,3", ["seed 3", "2 times"])],
)  # fmt: skip
def test_bad_seeds_are_refused_before_anything_is_trained(no_training, text, words):
    """The message repeats what came and shows how to write it."""
    found = run("run", "scaling", "--seeds", text)
    assert 0 != found.exit_code and not [word for word in words if word not in found.output]


@pytest.mark.parametrize("command", [["run"], ["run", "--plan"], ["run", "--stored"], ["freeze"]], ids=" ".join)
def test_an_unknown_tip_gets_the_nearest(no_training, command):
    """A misspelt tip is named with a suggestion and an exit status that is not 0."""
    found = run(*command, "scalling")
    assert 0 != found.exit_code and "'scalling'" in found.output and "Did you mean 'scaling'?" in found.output


@pytest.mark.parametrize("what", [[], ["--liveness"]])
@pytest.mark.parametrize("device", ["cuda", "auto"])
def test_a_gpus_record_never_becomes_the_stored_one(monkeypatch, no_training, no_writing, device, what):
    """What is stored is a CPU's, also where `auto` means a GPU."""
    monkeypatch.setenv("RNNTIPS_DEVICE", "cuda")
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    found = run("run", "scaling", "--write", "--device", device, *what)
    assert 1 == found.exit_code and "evidence agree DIR" in found.output and "--device cpu" in found.output


def test_a_folder_for_records_that_is_a_file_is_found_before_anything_is_trained(no_training, tmp_path):
    (tmp_path / "file").write_text("")
    found = run("run", "scaling", "--records", str(tmp_path / "file"))
    assert 1 == found.exit_code and "--records=" in found.output and "no folder" in found.output


def test_a_record_beside_the_stored_one_is_the_one_that_was_computed(monkeypatch, no_training, tmp_path, plan):
    """`--records` makes the folder, and leaves the lesson's own alone."""
    gpus, stored = plan.tip.record | {"device": "cuda", "seconds": 1}, plan.tip.lesson.folder / "record.json"
    before = stored.read_bytes()
    monkeypatch.setattr(commands, "compute", lambda *_, **__: gpus)
    assert 0 == run("run", "scaling", "--device", "cpu", "--records", str(tmp_path / "gpu")).exit_code
    assert gpus == json.loads((tmp_path / "gpu" / "scaling.json").read_text(encoding="utf-8"))
    assert before == stored.read_bytes() and 0 == run("agree", str(tmp_path / "gpu")).exit_code


def test_what_is_computed_is_stored_beside_its_lesson_once_its_plan_is_frozen(monkeypatch, made, tmp_path):
    """Not before, and from the plan's own seeds alone; what is frozen keeps its version, and its budgets.

    It is frozen after its liveness was looked at, and if nothing stands in its way.
    """
    record, rows = {"claims": [], "provisional": None, "version": 1, "plan": "x", "seconds": 2}, [{"a": [1, 2]}]
    why = ["It takes too long."]
    monkeypatch.setattr(MadeUp, "folder", tmp_path)
    monkeypatch.setattr(commands, "compute", lambda *_, **__: record)
    monkeypatch.setattr(commands, "liveness", lambda *_, **__: rows)
    monkeypatch.setattr(
        commands.pipeline, "obstacles", lambda plan, found: why if found == rows else pytest.fail("other rows")
    )
    monkeypatch.setattr(commands, "speeds_of", lambda *_: pytest.fail("something was timed"))
    assert "python -m evidence run made" in run("run", "made", "--stored").output, "no record is stored"
    assert "python -m evidence freeze made" in run("run", "made", "--write").output
    assert "evidence run made --liveness --write" in run("freeze", "made").output
    (tmp_path / "liveness.json").write_text(json.dumps({"plan": "another", "arms": rows}))
    assert "evidence run made --liveness --write" in run("freeze", "made").output
    assert 0 == run("run", "made", "--liveness", "--write").exit_code
    assert (tmp_path / "liveness.json").read_text(encoding="utf-8") == (
        f'{{\n "plan": "{made.plan_hash}",\n "arms": [\n  {{\n   "a": [1, 2]\n  }}\n ]\n}}\n'
    )
    assert "not frozen. It takes too long." in run("freeze", "made").output and made.version is None
    why.clear()
    assert "plan version 1" in run("freeze", "made").output == run("freeze", "made").output
    assert "leave out --seeds" in run("run", "made", "--write", "--seeds", "0:20").output
    assert "frozen, and its budgets with it" in run("seconds", "made", "--write").output
    assert {path.name for path in tmp_path.iterdir()} == {"ledger.jsonl", "liveness.json"}
    assert 0 == run("run", "made", "--write").exit_code
    assert record == json.loads((tmp_path / "record.json").read_text(encoding="utf-8"))


def test_a_record_is_judged_again_without_training_and_its_first_words_are_kept(monkeypatch, no_training, made):
    """However often; stored with --write alone."""
    file, stored = made.tip.lesson.folder / "record.json", []
    monkeypatch.setattr(commands, "_write", lambda target, content: stored.append((target, content)))
    before = made.tip.words
    monkeypatch.setattr(Tip, "record", made.tip.record)
    made.tip.record["claims"][0]["word"] = "OLD"
    assert "together UNDECIDED" in run("judge", "made").output and not stored
    run("judge", "made", "--write")
    ((target, record),) = stored
    assert target == file and record["words before"] == before | {"together": "OLD"}
    assert {claim["id"]: claim["word"] for claim in record["claims"]} == before and "parts" in record
    monkeypatch.setattr(Tip, "record", record)
    run("judge", "made", "--write")
    assert stored[1][1]["words before"] == before | {"together": "OLD"}


@pytest.mark.parametrize(("store", "words"), [([], "Nothing was kept"), (["--store", "x"], "Finished runs are in x")])
def test_an_interrupt_says_what_is_kept(monkeypatch, store, words):
    monkeypatch.setattr(commands, "compute", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
    found = run("run", "scaling", *store)
    assert found.exit_code == 130 and words in found.output


def test_the_evidence_of_a_gpu_is_made_beside_the_stored_one_and_compared():
    """`make evidence` writes a CPU's records into the package, step by step, and no other device's."""
    if shutil.which("make") is None:
        pytest.skip("this machine has no make")
    said = {device: subprocess.run(["make", "-n", "evidence", f"DEVICE={device}"], cwd=ROOT, capture_output=True,
                                   text=True, check=True).stdout for device in ("cpu", "cuda")}  # fmt: skip
    assert "evidence make all" in said["cpu"] and "agree" not in said["cpu"]
    assert "--write" not in said["cuda"] and "--device cuda" in said["cuda"] and "agree records-cuda" in said["cuda"]


def test_findings_and_simulation_are_shown_and_stored(monkeypatch, tmp_path, no_training, made):
    """Without --write nothing is touched; with it the pages are made, and of rule.md only the table."""
    page = "before\n<!-- evidence simulate -->\nmade before\n<!-- end of evidence simulate -->\nafter\n"
    rule, findings = tmp_path / "rule.md", tmp_path / "findings.md"
    rule.write_text(page, encoding="utf-8")
    monkeypatch.setattr(commands, "DOCS", tmp_path)
    monkeypatch.setattr(simulation, "TRUTHS", simulation.TRUTHS[1:2])
    assert "# Findings" in run("findings").output and not findings.exists()
    assert simulation.TRUTHS[0].says in run("simulate", "--rounds", "2").output
    assert page == rule.read_text(encoding="utf-8")
    run("findings", "--write"), run("simulate", "--rounds", "2", "--write")
    assert findings.read_text(encoding="utf-8").startswith("# Findings")
    text = rule.read_text(encoding="utf-8")
    assert text.startswith("before\n<!-- evidence simulate -->\nIn % of 2 records")
    assert text.endswith("<!-- end of evidence simulate -->\nafter\n")
    assert "made before" not in text and simulation.TRUTHS[0].says in text
