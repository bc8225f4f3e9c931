"""The command line: what it shows, what it refuses, and that its server is locked and leaves nothing behind."""

import json
import os
import signal
import socket
import subprocess
import sys
import tomllib
import urllib.error
import urllib.request
from contextlib import closing, suppress
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import psutil
import pytest
from click.testing import CliRunner

import rnntips
from rnntips.cli import main
from tools.kernels import connect_kernel, hear, send

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


@pytest.fixture
def hours(tmp_path):
    """A file of two columns, with a gap."""
    path, rng = tmp_path / "hours.csv", np.random.default_rng(0)
    rows = [f"{i:.2f},{9 + np.sin(i / 4) + rng.normal(0, 0.1):.2f}" for i in rng.normal(5, 1, 300)]
    rows[100] = "3,"
    path.write_text("\n".join(["wind,load", *rows]))
    return str(path)


def test_look_says_what_a_table_is(hours, tmp_path):
    """The text of `rt.look`; its picture in a file; what settles a doubt as NAME=VALUE."""
    picture = str(tmp_path / "hours.png")
    found = run("look", hours, "--target", "load", "--picture", picture)
    assert 0 == found.exit_code, found.output
    assert repr(rnntips.look(hours, "load")) in found.output and 'gaps="fill"' in found.output
    assert (tmp_path / "hours.png").read_bytes().startswith(b"\x89PNG")
    settled = run("look", hours, "--target=load", "gaps=fill", "missing=[-999]", "inputs=['wind']", "unit=MW")
    how = {"gaps": "fill", "missing": [-999], "inputs": ["wind"], "unit": "MW"}
    assert settled.output.strip() == repr(rnntips.look(hours, "load", **how))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [((), "2 numeric columns to forecast"), (("--target", "loat"), "loat"), (("bogus=1",), "NAME=VALUE is needed"),
     (("gaps",), "NAME=VALUE is needed"), (("--target", "load", "gaps=1"), "gaps 1 is not known"),
     (("--target", "load", "--picture", "{file}"), "the file that is read"),
     (("--target", "load", "--picture", "no/such/folder.png"), "cannot be written")],
)  # fmt: skip
def test_look_refuses_in_words(hours, arguments, words):
    """Exit status 1 or 2, no trace, and the file as it was."""
    before = Path(hours).read_bytes()
    found = run("look", hours, *(argument.format(file=hours) for argument in arguments))
    assert found.exit_code in (1, 2) and words in found.output and "Traceback" not in found.output
    assert Path(hours).read_bytes() == before


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
    monkeypatch.setattr("rnntips.cli.checkout", lambda: None)
    found = run("check")
    assert 1 == found.exit_code and str(LAB.INSTALLED) in found.output and "Clone" in found.output


def test_check_sees_that_training_does_not_learn(monkeypatch):
    """An engine that runs but does not lower the error is a problem too."""
    flat = SimpleNamespace(seconds=0.0, valid_score=np.ones((3, 5)))
    monkeypatch.setattr(rnntips, "train", lambda *_, **__: flat)
    found = run("check")
    assert 1 == found.exit_code and "did not lower the error" in found.output and "make env" in found.output


def make_checkout(folder: Path) -> Path:
    """Something that looks like this project."""
    for name in (LAB.START, "rnntips/__init__.py"):
        (folder / name).parent.mkdir(parents=True)
        (folder / name).touch()
    return folder


@pytest.mark.parametrize("inside", [".", "notebooks", "rnntips"])
def test_the_checkout_is_that_of_the_current_folder(monkeypatch, tmp_path, inside):
    """Wherever in it one stands; elsewhere it is the one that the package came from, if there are notebooks."""
    here = make_checkout(tmp_path / "here")
    monkeypatch.chdir(here / inside)
    assert here == LAB.checkout()
    monkeypatch.chdir(tmp_path)
    assert LAB.INSTALLED == LAB.checkout() == Path(rnntips.__file__).parents[1]
    monkeypatch.setattr(LAB, "INSTALLED", tmp_path / "nowhere")
    assert LAB.checkout() is None


def test_lab_outside_a_clone_says_where_it_looked(monkeypatch, tmp_path):
    """No server is started without notebooks."""
    monkeypatch.setattr(LAB, "INSTALLED", tmp_path / "nowhere")
    monkeypatch.chdir(tmp_path)
    found = run("lab", "--no-browser")
    assert 0 != found.exit_code and "nowhere" in found.output and "clone" in found.output


# a shell may have told its children to ignore Ctrl-C, which a user's terminal does not
START = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); from rnntips.cli import main; main()"
# what a user may have allowed for servers of their own
OPEN = """
from jupyter_server.auth.identity import IdentityProvider, User
from jupyter_server.auth.login import LegacyLoginHandler

class Anyone(IdentityProvider):
    def get_user(self, handler):
        return User("anyone")

class Legacy(LegacyLoginHandler):
    @classmethod
    def get_user(cls, handler):
        return "anyone"

c.IdentityProvider.token = c.ServerApp.token = c.PasswordIdentityProvider.token = ""
c.ServerApp.PasswordIdentityProvider.token = ""
c.ServerApp.identity_provider_class, c.ServerApp.login_handler_class = Anyone, Legacy
c.ServerApp.ip, c.ServerApp.root_dir, c.ServerApp.allow_origin = "0.0.0.0", "/", "*"
c.ServerApp.disable_check_xsrf = c.ServerApp.allow_remote_access = True
c.ServerApp.tornado_settings = {"websocket_max_message_size": 100}
"""


@pytest.fixture
def lab(tmp_path):
    """`rnntips lab --no-browser` as a process of its own, its first port in use, and the address it printed."""
    folders = {f"JUPYTER_{kind}_DIR": str(tmp_path / kind) for kind in ("CONFIG", "DATA", "RUNTIME")}
    (tmp_path / "CONFIG").mkdir()
    (tmp_path / "CONFIG" / "jupyter_server_config.py").write_text(OPEN)
    with (tmp_path / "messages").open("w") as messages, socket.socket() as busy:
        with suppress(OSError):  # or somebody else uses it
            busy.bind(("127.0.0.1", LAB.FIRST_PORT))
            busy.listen()
        process = subprocess.Popen(
            [sys.executable, "-c", START, "lab", "--no-browser"],
            stdout=subprocess.PIPE, stderr=messages, text=True, start_new_session=True, env=os.environ | folders,
        )  # fmt: skip
        address = next((line.strip() for line in process.stdout if "http://" in line), None)
        family = [psutil.Process(process.pid)]
        try:
            assert address, (tmp_path / "messages").read_text()
            yield process, address, family
        finally:
            for member in alive(family):
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


TRAINING = "import rnntips as rt; print('begun')\nwhile True: rt.train(rt.Recipe(), rt.series.sines(), device='cpu')"


@pytest.mark.skipif(os.name == "nt", reason="signals are sent the way Unix does")
@pytest.mark.parametrize("end", ["SIGINT", *(pytest.param(f"SIG{end}", marks=pytest.mark.slow)
                                             for end in ("TERM", "HUP", "KILL"))])  # fmt: skip
def test_lab_answers_to_its_token_alone_and_leaves_nothing_behind(lab, end):
    """The printed address opens, whatever the user's configuration allows; a signal ends server and kernels."""
    process, address, family = lab
    page, token = address.split("?token=")
    host = page.split("/lab/")[0]
    assert host.startswith("http://127.0.0.1:") and len(token) >= 32
    assert LAB.FIRST_PORT <= int(host.rpartition(":")[2]) <= LAB.FIRST_PORT + LAB.PORTS

    assert (200, address) == status(address)
    assert 200 == status(f"{host}/api/contents/{LAB.START}?token={token}")[0]
    assert 403 == status(f"{host}/api/contents")[0] == status(f"{host}/api/contents?token={'0' * len(token)}")[0]
    assert "/login" in status(page)[1]
    listening = {place.laddr.ip for place in family[0].net_connections() if place.status == psutil.CONN_LISTEN}
    assert {"127.0.0.1"} == listening

    with closing(connect_kernel(host, token)) as kernel:
        send(kernel, "kernel_info_request", padding="x" * 11_000_000)  # a page's server takes 10 MB unless told
        assert "ok" == hear(kernel, "kernel_info_reply")["status"]
        send(kernel, "execute_request", code=TRAINING, silent=False)
        assert "begun" in hear(kernel, "stream")["text"]
        family += family[0].children(recursive=True)
        assert 2 <= len(family) and not [member for member in family if token in " ".join(member.cmdline())]
        process.send_signal(getattr(signal, end))
        code = process.wait(timeout=60)
        psutil.wait_procs(family, timeout=60)
    assert not alive(family)
    if end == "SIGINT":
        assert 0 == code


def test_the_command_is_there_for_every_way_of_installing():
    """The script that pip makes is this module's `main`."""
    project = tomllib.loads((Path(rnntips.__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8"))
    assert {"rnntips": "rnntips.cli:main"} == project["project"]["scripts"]
    assert {"lab", "check", "look", "doctor", "tips", "labbook", "classbook"} == set(main.commands)
