"""The command line: what it shows, what it refuses, and that the server it starts is locked and ends with it."""

import json
import os
import signal
import socket
import subprocess
import sys
import tomllib
import urllib.error
import urllib.request
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import psutil
import pytest
from click.testing import CliRunner

import rnntips
from rnntips.cli import NOTEBOOKS, main

LAB = import_module("rnntips.cli.lab")  # the module; the package has a command of that name


def run(*arguments: str):
    """The result of `rnntips ARGUMENTS`; what was raised inside is raised here."""
    found = CliRunner().invoke(main, arguments)
    if found.exception is not None and not isinstance(found.exception, SystemExit):
        raise found.exception
    return found


def test_tips_lists_every_tip_with_its_claims_and_words():
    """One paragraph a tip: its question, and under it each claim with what the record says."""
    found, tip = run("tips"), rnntips.tips["scaling"]
    assert 0 == found.exit_code
    assert set(rnntips.tips) == {line.split(":")[0] for line in found.output.splitlines() if line[0] != " "}
    assert tip.question in found.output
    for name, claim in tip.plans.items():
        (line,) = [line for line in found.output.splitlines() if claim.says in line]
        assert [name, tip.words[name]] == [line.split()[0], line.split(maxsplit=1)[1][: len(tip.words[name])]]


def test_tips_as_json_says_the_same():
    """A list with name, question, and each claim's word."""
    tip, rows = rnntips.tips["scaling"], json.loads(run("tips", "--json").output)
    (scaling,) = [row for row in rows if row["tip"] == "scaling"]
    assert (tip.question, tip.words) == (scaling["question"], scaling["claims"])


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


def test_lab_outside_a_clone_says_where_it_looked(monkeypatch, tmp_path):
    """No server is started without notebooks."""
    monkeypatch.setattr(LAB, "NOTEBOOKS", tmp_path / "nowhere")
    monkeypatch.setattr(LAB.subprocess, "Popen", lambda *_, **__: pytest.fail("a server was started"))
    found = run("lab", "--no-browser")
    assert 0 != found.exit_code and "nowhere" in found.output and "clone" in found.output


# a shell may have told its children to ignore Ctrl-C, which a user's terminal does not
START = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); from rnntips.cli import main; main()"


@pytest.fixture
def lab(tmp_path):
    """`rnntips lab --no-browser` as a process of its own, its first port in use, and the address it printed."""
    folders = {f"JUPYTER_{kind}_DIR": str(tmp_path / kind) for kind in ("CONFIG", "DATA", "RUNTIME")}
    with (tmp_path / "messages").open("w") as messages, socket.socket() as busy:
        with suppress(OSError):  # or somebody else uses it
            busy.bind(("127.0.0.1", LAB.FIRST_PORT))
            busy.listen()
        process = subprocess.Popen(
            [sys.executable, "-c", START, "lab", "--no-browser"],
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
@pytest.mark.parametrize(
    "end",
    [pytest.param(signal.SIGINT, id="Ctrl-C"), pytest.param(signal.SIGTERM, id="SIGTERM", marks=pytest.mark.slow)],
)
def test_lab_answers_to_its_token_alone_and_leaves_nothing_behind(lab, end):
    """The printed address opens; without its token nothing does; a signal ends the server and all its children."""
    process, address, family = lab
    page, token = address.split("?token=")
    host = page.split("/lab/")[0]
    assert host.startswith("http://127.0.0.1:") and len(token) >= 32
    assert LAB.FIRST_PORT < int(host.rpartition(":")[2]) <= LAB.FIRST_PORT + LAB.PORTS
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


def test_a_server_that_does_not_start_is_no_workbook(monkeypatch):
    """It ended at once, or does not answer in time; either way nothing is left of it."""
    ended = []
    server = SimpleNamespace(pid=-1, returncode=3, poll=lambda: 3, terminate=lambda: ended.append(True), wait=int)
    monkeypatch.setattr(LAB.subprocess, "Popen", lambda *_, **__: server)
    monkeypatch.setattr(LAB.signal, "signal", lambda *_: None)
    found = run("lab", "--no-browser")
    assert 1 == found.exit_code and "ended at once (exit status 3)" in found.output
    server.poll = lambda: None
    monkeypatch.setattr(LAB, "PATIENCE", 0.1)
    found = run("lab", "--no-browser")
    assert 1 == found.exit_code and "did not answer" in found.output and len(ended) == 2


def test_the_command_is_there_for_every_way_of_installing():
    """The script that pip makes is this module's `main`."""
    project = tomllib.loads((Path(rnntips.__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8"))
    assert {"rnntips": "rnntips.cli:main"} == project["project"]["scripts"]
    assert {"lab", "check", "tips", "labbook", "classbook"} == set(main.commands)
