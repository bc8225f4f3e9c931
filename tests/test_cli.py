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
    assert set(rnntips.notebook.tips) == {line.split(":")[0] for line in found.output.splitlines() if line[0] != " "}
    assert PLAN["question"] in found.output
    words = {claim["id"]: claim["word"] for claim in rnntips.notebook.tips["scaling"].record["claims"]}
    for name, claim in PLAN["claims"].items():
        (line,) = [line for line in found.output.splitlines() if claim["says"] in line]
        assert [name, words[name]] == [line.split()[0], line.split(maxsplit=1)[1][: len(words[name])]]


def test_tips_as_json_says_the_same():
    """A list with name, question, and each claim's word."""
    (scaling,) = [row for row in json.loads(run("tips", "--json").output) if row["tip"] == "scaling"]
    assert PLAN["question"] == scaling["question"]
    assert {claim["id"]: claim["word"] for claim in rnntips.notebook.tips["scaling"].record["claims"]} == scaling[
        "claims"
    ]


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
