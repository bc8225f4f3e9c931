"""`python -m evidence`: what it shows, what it refuses, and where it writes. `agree` has its own tests."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from conftest import FILE
from making import run

import rnntips
from evidence import __main__ as commands
from evidence import simulation
from evidence.__main__ import main
from evidence.plans import Plan
from rnntips.notebook.tips import Tip

ROOT = Path(rnntips.__file__).parents[1]


@pytest.fixture
def plan():
    return Plan(Tip("scaling"))


def test_every_command_is_there_and_says_what_it_does():
    assert set(main.commands) == {"run", "agree", "freeze", "findings", "seconds", "simulate", "stills"}
    assert all(command.help for command in main.commands.values())


def planned_runs(given) -> int:
    """Counted from the lesson's file: different arms × (in each part seven rates × tuning seeds, and its seeds)."""
    arms = set()
    for claim in given["claims"].values():
        for setting in claim["settings"]:
            for value in claim.get("among") or (claim["baseline"], claim["variant"]):
                arms.add((setting, claim["field"], value, json.dumps(claim.get("recipe"))))
    seeds = given["seeds"]
    return len(arms) * (2 * 7 * seeds["tuning"] + seeds["first"] + seeds["fresh"])


def test_a_plan_is_shown_with_its_cost_and_nothing_is_trained(no_training, plan):
    """Every claim with its source, field and settings, the fresh seeds, and how many runs all of them take."""
    found, given = run("run", "scaling", "--plan"), plan.given
    assert 0 == found.exit_code and given["question"] in found.output
    for name, claim in given["claims"].items():
        assert f"{name} ({claim['source']}) {claim['says']}" in found.output
        assert "; ".join(claim["settings"]) in found.output
    assert f"{planned_runs(given):,} runs" in found.output and "TFLOP" in found.output
    assert ", ".join(map(str, plan.parts()["fresh"][1])) in found.output


def test_a_plan_as_json_is_the_plan_in_the_file_with_its_cost(no_training, plan):
    """Nothing of the file is lost."""
    shown = json.loads(run("run", "scaling", "--plan", "--json").output)
    assert plan.given == {name: shown[name] for name in plan.given}
    assert ("scaling", planned_runs(plan.given)) == (shown["tip"], shown["runs"]) and 0 < shown["tflop"] < 25


def test_a_stored_record_as_json_has_what_other_programs_rely_on(no_training, plan):
    """A list under `claims`, one for each claim of the plan, with id, verdict, effect, interval and n."""
    record = json.loads(run("run", "scaling", "--stored", "--json").output)
    assert list(plan.claims) == [claim["id"] for claim in record["claims"]]
    for claim in record["claims"]:
        assert claim["verdict"] in {"BETTER", "WORSE", "SAME", "UNCLEAR", "NOT TRAINED"}
        low, high = claim["interval"]
        assert -1 < low <= claim["typical"] <= high and -1 < claim["effect"]
        assert len(set(record["seeds"])) == claim["n"] == plan.given["seeds"]["first"] + plan.given["seeds"]["fresh"]


def test_a_stored_record_in_words_has_every_claim_and_its_seeds(no_training, plan):
    """The same record, readable: a line for each claim, and the settings under it."""
    lines = run("run", "scaling", "--stored").output.splitlines()
    for claim in plan.tip.record["claims"]:
        (line,) = [line for line in lines if line.startswith(claim["id"] + " ")]
        assert claim["word"] in line and line.endswith(f"n = {claim['n']}")
        assert all(any(setting in line for line in lines) for setting in claim["settings"])


def test_a_tip_without_a_record_says_so(monkeypatch, no_training):
    """Asking for a record that was never computed ends in words, with the command that computes it."""
    monkeypatch.setattr("rnntips.notebook.lessons.Lesson.stored", lambda lesson, name: None)
    found = run("run", "scaling", "--stored")
    assert 0 != found.exit_code
    assert "No record of scaling" in found.output and "python -m evidence run scaling" in found.output


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
     ("", ["0:20"]), ("5:2", ["seeds", "empty"]), ("-1", ["seed -1", "at least 0"]), ("3,4,3", ["seed 3", "2 times"])],
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


@pytest.fixture
def no_writing(monkeypatch):
    monkeypatch.setattr(commands, "_write", lambda *_: pytest.fail("something was written"))


@pytest.mark.parametrize(
    ("arguments", "version", "words"),
    [(["--seeds", "0:20"], 2, "leave out --seeds"), ([], None, "python -m evidence freeze scaling")],
)
def test_nothing_is_stored_that_was_not_frozen_before(monkeypatch, no_training, no_writing, arguments, version, words):
    """Other seeds than the plan's, or a plan that is not in the ledger, are refused before anything is trained."""
    monkeypatch.setattr(Plan, "version", version)
    found = run("run", "scaling", "--write", *arguments)
    assert 0 != found.exit_code and words in found.output


@pytest.mark.parametrize("what", [[], ["--liveness"]])
@pytest.mark.parametrize("device", ["cuda", "auto"])
def test_a_gpus_record_never_becomes_the_stored_one(monkeypatch, no_training, no_writing, device, what):
    """What is stored is a CPU's, also where `auto` means a GPU."""
    monkeypatch.setenv("RNNTIPS_DEVICE", "cuda")
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    found = run("run", "scaling", "--write", "--device", device, *what)
    assert 1 == found.exit_code and "evidence agree DIR" in found.output and "--device cpu" in found.output


def test_a_record_beside_the_stored_one_is_the_one_that_was_computed(monkeypatch, no_training, tmp_path, plan):
    """`--records` makes the folder, and leaves the lesson's own alone."""
    stored = plan.tip.record
    gpus = stored | {"device": "cuda", "seconds": 1}
    before = (plan.tip.lesson.folder / "record.json").read_bytes()
    monkeypatch.setattr(commands, "compute", lambda *_, **__: gpus)
    assert 0 == run("run", "scaling", "--device", "cpu", "--records", str(tmp_path / "gpu")).exit_code
    assert gpus == json.loads((tmp_path / "gpu" / "scaling.json").read_text(encoding="utf-8"))
    assert before == (plan.tip.lesson.folder / "record.json").read_bytes()
    assert 0 == run("agree", str(tmp_path / "gpu")).exit_code


def test_what_is_computed_with_write_is_stored_beside_its_lesson_line_by_line(monkeypatch, made, tmp_path):
    """On the made-up lesson, of which a copy is written to."""
    where = tmp_path / "made"
    where.mkdir()
    shutil.copy(FILE, where / "lesson.toml")
    monkeypatch.setattr(type(made.tip.lesson), "folder", where)
    monkeypatch.setattr("evidence.ledger._path", lambda tip: where / "ledger.jsonl")
    record, rows = {"claims": [], "provisional": None, "version": 1, "plan": "x", "seconds": 2}, [{"a": [1, 2]}]
    monkeypatch.setattr(commands, "compute", lambda *_, **__: record)
    monkeypatch.setattr(commands, "liveness", lambda *_, **__: rows)
    assert "Freeze it first" in run("run", "made", "--write").output and not (where / "record.json").exists()
    assert "plan version 1" in run("freeze", "made").output
    assert 0 == run("run", "made", "--write").exit_code == run("run", "made", "--liveness", "--write").exit_code
    assert record == json.loads((where / "record.json").read_text(encoding="utf-8"))
    text = (where / "liveness.json").read_text(encoding="utf-8")
    assert json.loads(text) == rows and '"a": [1, 2]\n' in text


@pytest.mark.parametrize("kept", [[], ["--store", "runs"]])
def test_an_interrupt_says_what_is_kept(monkeypatch, kept):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(commands, "compute", interrupted)
    found = run("run", "scaling", *kept)
    assert found.exit_code == 130
    assert ("Finished runs are in runs" in found.output) == bool(kept) != ("Nothing was kept" in found.output)


def test_the_evidence_of_a_gpu_is_made_beside_the_stored_one_and_compared():
    """`make evidence` writes a CPU's records into the package, and no other device's."""
    if shutil.which("make") is None:
        pytest.skip("this machine has no make")
    said = {device: subprocess.run(["make", "-n", "evidence", f"DEVICE={device}"], cwd=ROOT, capture_output=True,
                                   text=True, check=True).stdout for device in ("cpu", "cuda")}  # fmt: skip
    assert "evidence run all --retune --device cpu --write" in said["cpu"] and "agree" not in said["cpu"]
    assert "--write" not in said["cuda"] and "--device cuda" in said["cuda"] and "agree records-cuda" in said["cuda"]


def test_freezing_a_frozen_plan_says_its_version_and_its_budgets_stay(monkeypatch, plan):
    """The ledger is left as it is, and so are the seconds."""
    monkeypatch.setattr(commands, "speeds_of", lambda *_: pytest.fail("something was timed"))
    file = plan.tip.lesson.folder / "ledger.jsonl"
    before = file.read_bytes()
    assert f"plan version {plan.version} ({plan.plan_hash})" in run("freeze", "scaling").output
    assert before == file.read_bytes()
    assert "is frozen, and its budgets with it" in run("seconds", "scaling", "--write").output


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
    run("findings", "--write")
    assert findings.read_text(encoding="utf-8").startswith("# Findings")
    run("simulate", "--rounds", "2", "--write")
    text = rule.read_text(encoding="utf-8")
    assert text.startswith("before\n<!-- evidence simulate -->\nIn % of 2 records")
    assert text.endswith("<!-- end of evidence simulate -->\nafter\n")
    assert "made before" not in text and simulation.TRUTHS[0].says in text


def test_stills_are_written_beside_the_lesson(monkeypatch, made, tmp_path):
    """Two pictures: what the panel shows, and the case that fails."""
    written = []

    class Pictured:
        def __init__(self, tip):
            self.tip, self.still = tip, tmp_path / "still.png"

        def where_it_fails(self):
            self.still = tmp_path / "still-fails.png"

        def study(self):
            written.append(self.still.name)
            return type("Study", (), {"sentence": "said"})()

    monkeypatch.setattr("rnntips.notebook.panels.Panel", Pictured)
    monkeypatch.setattr(
        "rnntips.figures.both", lambda study, title: type("Axes", (), {"_repr_png_": lambda _: b"png"})()
    )
    assert run("stills", "made").exit_code == 0
    assert {path.name for path in tmp_path.glob("*.png")} == {"still.png", "still-fails.png"} == set(written)
