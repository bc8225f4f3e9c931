"""The command line: what it shows, what it refuses, and that the server it starts is locked and ends with it."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tomllib
import urllib.error
import urllib.request
from importlib import import_module, resources
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import psutil
import pytest
from click.testing import CliRunner

import rnntips
from rnntips.cli import NOTEBOOKS, main

PLAN = tomllib.loads(resources.files("rnntips").joinpath("data/plans/scaling.toml").read_text(encoding="utf-8"))


def run(*arguments: str):
    """The result of `rnntips ARGUMENTS`; what was raised inside is raised here."""
    found = CliRunner().invoke(main, arguments)
    if found.exception is not None and not isinstance(found.exception, SystemExit):
        raise found.exception
    return found


@pytest.fixture
def no_training(monkeypatch):
    """Training anything fails the test."""
    for name in ("training.train_stack", "groups.train_stack", "records.train_sides", "records.tune_sides"):
        monkeypatch.setattr(f"rnntips.{name}", lambda *_, **__: pytest.fail("something was trained"))


# --- tips


def test_tips_lists_every_tip_with_its_claims_and_words():
    """One paragraph a tip: its question, and under it each claim with what the record says."""
    found = run("tips")
    assert 0 == found.exit_code
    assert set(rnntips.tips) == {line.split(":")[0] for line in found.output.splitlines() if line[0] != " "}
    assert PLAN["question"] in found.output
    words = {claim["id"]: claim["word"] for claim in rnntips.tips["scaling"].record["claims"]}
    for name, claim in PLAN["claims"].items():
        (line,) = [line for line in found.output.splitlines() if claim["says"] in line]
        assert [name, words[name]] == [line.split()[0], line.split(maxsplit=1)[1][: len(words[name])]]


def test_tips_as_json_says_the_same():
    """A list with name, question, and each claim's word."""
    (scaling,) = [row for row in json.loads(run("tips", "--json").output) if row["tip"] == "scaling"]
    assert PLAN["question"] == scaling["question"]
    assert {claim["id"]: claim["word"] for claim in rnntips.tips["scaling"].record["claims"]} == scaling["claims"]


# --- run


def planned_runs() -> int:
    """Counted from the plan file: different sides × (in each part seven rates × tuning seeds, and its seeds)."""
    sides = set()
    for claim in PLAN["claims"].values():
        for setting in claim["settings"]:
            for value in claim.get("among") or (claim["baseline"], claim["variant"]):
                sides.add((setting, claim["field"], value, json.dumps(claim.get("recipe"))))
    seeds = PLAN["seeds"]
    return len(sides) * (2 * 7 * seeds["tuning"] + seeds["first"] + seeds["fresh"])


def test_a_plan_is_shown_with_its_cost_and_nothing_is_trained(no_training):
    """Every claim with its source, field and settings, the fresh seeds, and how many runs all of them take."""
    found = run("run", "scaling", "--plan")
    assert 0 == found.exit_code and PLAN["question"] in found.output
    for name, claim in PLAN["claims"].items():
        assert f"{name} ({claim['source']}) {claim['says']}" in found.output
        assert "; ".join(claim["settings"]) in found.output
    assert f"{planned_runs():,} runs" in found.output and "TFLOP" in found.output
    assert ", ".join(map(str, rnntips.tips["scaling"].parts()["fresh"][1])) in found.output


def test_a_plan_as_json_is_the_plan_file_with_its_cost(no_training):
    """Nothing of the file is lost."""
    shown = json.loads(run("run", "scaling", "--plan", "--json").output)
    assert PLAN == {name: shown[name] for name in PLAN}
    assert ("scaling", planned_runs()) == (shown["tip"], shown["runs"]) and 0 < shown["tflop"] < 25


def test_a_stored_record_as_json_has_what_other_programs_rely_on(no_training):
    """A list under `claims`, one for each claim of the plan, with id, verdict, effect, interval and n."""
    record = json.loads(run("run", "scaling", "--stored", "--json").output)
    assert list(PLAN["claims"]) == [claim["id"] for claim in record["claims"]]
    for claim in record["claims"]:
        assert claim["verdict"] in {"BETTER", "WORSE", "SAME", "UNCLEAR", "NOT TRAINED"}
        low, high = claim["interval"]
        assert -1 < low <= claim["typical"] <= high and -1 < claim["effect"]
        assert len(set(record["seeds"])) == claim["n"] == PLAN["seeds"]["first"] + PLAN["seeds"]["fresh"]


def test_a_stored_record_in_words_has_every_claim_and_its_seeds(no_training):
    """The same record, readable: a line for each claim, and the settings under it."""
    lines = run("run", "scaling", "--stored").output.splitlines()
    for claim in rnntips.tips["scaling"].record["claims"]:
        (line,) = [line for line in lines if line.startswith(claim["id"] + " ")]
        assert claim["word"] in line and line.endswith(f"n = {claim['n']}")
        assert all(any(setting in line for line in lines) for setting in claim["settings"])


def test_a_tip_without_a_record_says_so(monkeypatch, no_training):
    """Asking for a record that was never computed ends in words, with the command that computes it."""
    tips = import_module("rnntips.tips")
    read = tips._data

    def without_records(path: str) -> str:
        if path.startswith("records/"):
            raise FileNotFoundError(path)
        return read(path)

    monkeypatch.setattr(tips, "_data", without_records)
    found = run("run", "scaling", "--stored")
    assert 0 != found.exit_code
    assert "no" in found.output.lower() and "record" in found.output and "rnntips run scaling" in found.output


@pytest.mark.parametrize(("text", "seeds"), [("0:20", range(20)), (":3", range(3)), ("5:7", [5, 6]), ("3,5", [3, 5])])
def test_seeds_are_a_range_or_a_list(monkeypatch, text, seeds):
    """What is typed is what is computed."""
    asked = []
    monkeypatch.setattr("rnntips.records.compute", lambda tip, seeds, *_, **__: asked.append(seeds) or {"claims": []})
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


@pytest.mark.parametrize("options", [["--plan"], ["--stored"], []], ids=str)
def test_an_unknown_tip_gets_the_nearest(no_training, options):
    """A misspelt tip is named with a suggestion and an exit status that is not 0."""
    found = run("run", "scalling", *options)
    assert 0 != found.exit_code and "'scalling'" in found.output and "Did you mean 'scaling'?" in found.output


@pytest.mark.parametrize(
    ("arguments", "version", "words"),
    [(["--seeds", "0:20"], 2, "leave out --seeds"), ([], None, "rnntips freeze scaling")],
)
def test_nothing_is_stored_that_was_not_frozen_before(monkeypatch, no_training, arguments, version, words):
    """Other seeds than the plan's, or a plan that is not in the ledger, are refused before anything is trained."""
    monkeypatch.setattr(import_module("rnntips.tips").Tip, "version", version)
    monkeypatch.setattr("rnntips.cli._write", lambda *_: pytest.fail("something was written"))
    found = run("run", "scaling", "--write", *arguments)
    assert 0 != found.exit_code and words in found.output


@pytest.mark.parametrize("what", [[], ["--liveness"]])
@pytest.mark.parametrize("device", ["cuda", "auto"])
def test_a_gpus_record_never_becomes_the_stored_one(monkeypatch, no_training, device, what):
    """What is stored is a CPU's, also where `auto` means a GPU."""
    monkeypatch.setenv("RNNTIPS_DEVICE", "cuda")
    monkeypatch.setattr("rnntips.arguments.torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("rnntips.cli._write", lambda *_: pytest.fail("something was written"))
    found = run("run", "scaling", "--write", "--device", device, *what)
    assert 1 == found.exit_code and "rnntips agree DIR" in found.output and "--device cpu" in found.output


def test_a_record_beside_the_stored_one_is_the_one_that_was_computed(monkeypatch, tmp_path):
    """`--records` makes the folder, and leaves the package's data alone."""
    stored = rnntips.tips["scaling"].record
    monkeypatch.setattr("rnntips.records.compute", lambda tip, *_, **__: tip.record | {"device": "cuda", "seconds": 1})
    assert 0 == run("run", "scaling", "--device", "cpu", "--records", str(tmp_path / "gpu")).exit_code
    kept = json.loads((tmp_path / "gpu" / "scaling.json").read_text(encoding="utf-8"))
    assert stored | {"device": "cuda", "seconds": 1} == kept
    assert stored == rnntips.tips["scaling"].record
    assert 0 == run("agree", str(tmp_path / "gpu")).exit_code


def test_the_evidence_of_a_gpu_is_made_beside_the_stored_one_and_compared():
    """`make evidence` writes a CPU's records into the package, and no other device's."""
    if shutil.which("make") is None:
        pytest.skip("this machine has no make")
    root = Path(rnntips.__file__).parents[1]
    said = {device: subprocess.run(["make", "-n", "evidence", f"DEVICE={device}"], cwd=root, capture_output=True,
                                   text=True, check=True).stdout for device in ("cpu", "cuda")}  # fmt: skip
    assert "run all --retune --device cpu --write" in said["cpu"] and "agree" not in said["cpu"]
    assert "--write" not in said["cuda"] and "--device cuda" in said["cuda"] and "agree records-cuda" in said["cuda"]


def test_freezing_a_frozen_plan_says_its_version():
    """The ledger is left as it is."""
    tip = rnntips.tips["scaling"]
    before = resources.files("rnntips").joinpath("data/ledger/scaling.jsonl").read_bytes()
    assert f"plan version {tip.version} ({tip.plan_hash})" in run("freeze", "scaling").output
    assert before == resources.files("rnntips").joinpath("data/ledger/scaling.jsonl").read_bytes()
    assert "Did you mean 'scaling'" in run("freeze", "scalling").output


def test_findings_and_simulation_are_shown_and_stored(monkeypatch, tmp_path, no_training):
    """Without --write nothing is touched; with it the pages are made, and of rule.md only the table."""
    from rnntips import commands, simulation

    page = "before\n<!-- rnntips simulate -->\nmade before\n<!-- end of rnntips simulate -->\nafter\n"
    (tmp_path / "rule.md").write_text(page, encoding="utf-8")
    monkeypatch.setattr(commands, "DOCS", tmp_path)
    monkeypatch.setattr(simulation, "TRUTHS", simulation.TRUTHS[1:2])
    assert "# Findings" in run("findings").output and not (tmp_path / "findings.md").exists()
    assert simulation.TRUTHS[0].says in run("simulate", "--rounds", "2").output
    assert page == (tmp_path / "rule.md").read_text(encoding="utf-8")
    run("findings", "--write")
    assert (tmp_path / "findings.md").read_text(encoding="utf-8").startswith("# Findings")
    run("simulate", "--rounds", "2", "--write")
    text = (tmp_path / "rule.md").read_text(encoding="utf-8")
    assert text.startswith("before\n<!-- rnntips simulate -->\nIn % of 2 records") and text.endswith(
        "<!-- end of rnntips simulate -->\nafter\n"
    )
    assert "made before" not in text and simulation.TRUTHS[0].says in text


# --- check


def test_check_finds_everything_here():
    """In the environment the tests run in nothing is missing, and a short training learns."""
    found = run("check")
    assert 0 == found.exit_code, found.output
    assert "Everything is here." in found.output
    assert f"torch        {rnntips.training.torch.__version__}" in found.output


@pytest.mark.parametrize("name", ["ipywidgets", "jupyterlab", "matplotlib"])
def test_check_names_what_is_missing_and_how_to_mend_it(monkeypatch, name):
    """A package that cannot be imported gives exit status 1, its name, and commands."""
    monkeypatch.setitem(sys.modules, name, None)
    found = run("check")
    assert 1 == found.exit_code
    (problem,) = [line for line in found.output.splitlines() if line.startswith("Problem")]
    assert f"{name} is missing" in problem and "make env" in problem and "pip install" in problem


def test_check_sees_that_there_are_no_notebooks(monkeypatch, tmp_path):
    """Outside a clone the folder is named, and what to do."""
    monkeypatch.setattr("rnntips.cli.NOTEBOOKS", tmp_path / "nowhere")
    found = run("check")
    assert 1 == found.exit_code and "nowhere" in found.output and "Clone" in found.output


def test_check_sees_that_training_does_not_learn(monkeypatch):
    """An engine that runs but does not lower the error is a problem too."""
    flat = SimpleNamespace(seconds=0.0, valid_score=np.ones((3, 5)))
    monkeypatch.setattr(rnntips, "train", lambda *_, **__: flat)
    found = run("check")
    assert 1 == found.exit_code and "did not lower the error" in found.output and "make env" in found.output


# --- lab


def test_lab_outside_a_clone_says_where_it_looked(monkeypatch, tmp_path):
    """No server is started without notebooks."""
    monkeypatch.setattr("rnntips.cli.NOTEBOOKS", tmp_path / "nowhere")
    monkeypatch.setattr("rnntips.cli.subprocess.Popen", lambda *_, **__: pytest.fail("a server was started"))
    found = run("lab", "--no-browser")
    assert 0 != found.exit_code and "nowhere" in found.output and "clone" in found.output


# a shell may have told its children to ignore Ctrl-C, which a user's terminal does not
LAB = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); from rnntips.cli import main; main()"


@pytest.fixture
def lab(tmp_path):
    """`rnntips lab --no-browser` as a process of its own, and the address it printed."""
    folders = {f"JUPYTER_{kind}_DIR": str(tmp_path / kind) for kind in ("CONFIG", "DATA", "RUNTIME")}
    with (tmp_path / "messages").open("w") as messages:
        process = subprocess.Popen(
            [sys.executable, "-c", LAB, "lab", "--no-browser"],
            stdout=subprocess.PIPE, stderr=messages, text=True, start_new_session=True, env=os.environ | folders,
        )  # fmt: skip
        address = next((line.strip() for line in process.stdout if "http://" in line), None)
        family = psutil.Process(process.pid).children(recursive=True)
        try:
            assert address, (tmp_path / "messages").read_text()
            yield process, address, family
        finally:
            for member in [process, *alive(family)]:
                member.kill()
            process.communicate()


def alive(family: list[psutil.Process]) -> list[psutil.Process]:
    """Those that still run; a child that ended and was not waited for does not."""
    return [member for member in family if member.is_running() and member.status() != psutil.STATUS_ZOMBIE]


def status(address: str) -> tuple[int, str]:
    """HTTP status, and the address that answered after redirects."""
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with direct.open(address, timeout=30) as answer:
            return answer.status, answer.url
    except urllib.error.HTTPError as refused:
        return refused.code, address


@pytest.mark.skipif(os.name == "nt", reason="signals are sent the way Unix does")
@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
def test_lab_answers_to_its_token_alone_and_leaves_nothing_behind(lab, end):
    """The printed address opens; without its token nothing does; a signal ends the server and all its children."""
    process, address, family = lab
    page, token = address.split("?token=")
    host = page.split("/lab/")[0]
    assert host.startswith("http://127.0.0.1:") and len(token) >= 32
    assert NOTEBOOKS.joinpath(page.rsplit("/", 1)[1]).is_file()

    assert (200, address) == status(address)
    assert 200 == status(f"{host}/api/contents?token={token}")[0]
    assert 403 == status(f"{host}/api/contents")[0] == status(f"{host}/api/contents?token={'0' * len(token)}")[0]
    assert "/login" in status(page)[1]

    family = alive(family)
    assert family and not [member for member in family if token in " ".join(member.cmdline())]
    process.send_signal(end)
    code = process.wait(timeout=30)
    psutil.wait_procs(family, timeout=10)
    assert not alive(family)
    if end == signal.SIGINT:
        assert 0 == code


def test_lab_passes_over_ports_in_use():
    """The first free port is taken; where none is, the message has the range."""
    import socket

    from rnntips import cli

    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        taken = busy.getsockname()[1]
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(cli, "FIRST_PORT", taken)
            patch.setattr(cli, "PORTS", 1)
            patch.setattr("rnntips.cli.subprocess.Popen", lambda *_, **__: pytest.fail("a server was started"))
            found = run("lab", "--no-browser")
    assert 0 != found.exit_code and f"No free port from {taken} to {taken}" in found.output


def test_the_command_is_there_for_every_way_of_installing():
    """The script that pip makes is this module's `main`."""
    project = tomllib.loads((Path(rnntips.__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8"))
    assert {"rnntips": "rnntips.cli:main"} == project["project"]["scripts"]
    assert {"lab", "check", "tips", "run", "freeze", "findings", "simulate"} <= set(main.commands)
