"""Binder and conda without either: what repo2docker makes of `binder/`, and what pip makes of the lines for both."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
import venv
from contextlib import closing
from pathlib import Path

import pytest
import yaml
from jupyter_server.serverapp import ServerApp
from jupyter_server.services.kernels.kernelmanager import MappingKernelManager
from repo2docker.app import Repo2Docker
from repo2docker.buildpacks import CondaBuildPack
from traitlets.config import PyFileConfigLoader

from rnntips.cli.lab import MESSAGE_BYTES
from tools.kernels import connect_kernel, hear, send

ROOT = Path(__file__).parents[1]
INDEX = "https://download.pytorch.org/whl/cpu"
CONFIGURATION = ROOT / "binder" / "jupyter_server_config.py"
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Binder is Linux: bash, and files that may be executed")


@pytest.fixture
def buildpack(monkeypatch):
    monkeypatch.chdir(ROOT)
    pack = next(each for each in (kind("debian") for kind in Repo2Docker().buildpacks) if each.detect())
    pack.platform = "linux/amd64"
    return pack


def test_binder_builds_python_3_11_and_runs_post_build(buildpack):
    assert isinstance(buildpack, CondaBuildPack)
    assert buildpack.python_version == "3.11"
    dockerfile = buildpack.render()
    assert '--file "binder/environment.yml"' in dockerfile
    assert "RUN ./binder/postBuild" in dockerfile


def test_post_build_is_executable():
    script = ROOT / "binder" / "postBuild"
    assert script.read_bytes().startswith(b"#!/bin/bash\n")
    assert os.access(script, os.X_OK)


def run_post_build(folder: Path, pip: str) -> subprocess.CompletedProcess:
    """Run postBuild with a pip and a python that only note their arguments; pip then does what `pip` says."""
    for name, end in {"pip": pip, "python": "exit 0"}.items():
        fake = folder / name
        fake.write_text(f'#!/bin/sh\necho "$@"\n{end}\n')
        fake.chmod(0o755)
    search = f"{folder}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": search, "NB_PYTHON_PREFIX": str(folder)}
    command = [ROOT / "binder" / "postBuild"]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)


def test_post_build_installs_in_the_constrained_versions_and_sets_jupyter_up(tmp_path):
    done = run_post_build(tmp_path, "exit 0")
    torch, package, compiling = done.stdout.splitlines()
    assert torch == f"install --no-cache-dir --no-deps --constraint constraints.txt --index-url {INDEX} torch"
    assert package == "install --no-cache-dir --constraint constraints.txt --editable ."
    assert (done.returncode, compiling) == (0, "-c import rnntips.engine.numba_ops")
    assert (tmp_path / "etc/jupyter" / CONFIGURATION.name).read_text() == CONFIGURATION.read_text()
    overrides = json.loads((tmp_path / "share/jupyter/lab/settings/overrides.json").read_text())
    for plugin, settings in overrides.items():
        extension, name = plugin.split(":")
        schema = json.loads(Path(sys.prefix, "share/jupyter/lab/schemas", extension, f"{name}.json").read_text())
        assert settings.keys() <= schema["properties"].keys()


def test_post_build_stops_at_the_first_error(tmp_path):
    assert run_post_build(tmp_path, "exit 3").returncode == 3


def test_the_configuration_sets_what_jupyter_knows():
    """Busy kernels are kept, as they are by default, and a series of one's own passes as under `rnntips lab`."""
    found = PyFileConfigLoader(str(CONFIGURATION)).load_config()
    known = {"ServerApp": ServerApp, "MappingKernelManager": MappingKernelManager}
    assert all(settings.keys() <= known[name].class_traits(config=True).keys() for name, settings in found.items())
    assert found["ServerApp"]["tornado_settings"]["websocket_max_message_size"] == MESSAGE_BYTES
    assert "cull_busy" not in found["MappingKernelManager"]


@pytest.mark.slow
def test_an_idle_kernel_is_culled_and_one_that_computes_is_not(tmp_path):
    """With Binder's configuration, but for its half hour."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        host = f"http://127.0.0.1:{probe.getsockname()[1]}"
    command = [sys.executable, "-m", "jupyter_server", f"--config={CONFIGURATION}", f"--port={host.split(':')[2]}",
               "--IdentityProvider.token=here", "--no-browser", "--allow-root",
               "--MappingKernelManager.cull_idle_timeout=5", "--MappingKernelManager.cull_interval=1"]  # fmt: skip
    folders = {f"JUPYTER_{kind}_DIR": str(tmp_path / kind) for kind in ("CONFIG", "DATA", "RUNTIME")}
    with (tmp_path / "log").open("w") as log:
        server = subprocess.Popen(command, env=os.environ | folders, cwd=tmp_path, stdout=log, stderr=log)
    try:
        wait_until(lambda: answers(f"{host}/api?token=here"))
        with closing(connect_kernel(host, "here")) as idle, closing(connect_kernel(host, "here")) as busy:
            for kernel, code in {idle: "print('begun')", busy: "print('begun')\nwhile True: pass"}.items():
                send(kernel, "execute_request", code=code, silent=False)
                assert "begun" in hear(kernel, "stream")["text"]
            wait_until(lambda: len(kernels(host)) < 2)
            time.sleep(8)  # longer than an idle one would be left
            assert [each["execution_state"] for each in kernels(host)] == ["busy"]
    finally:
        server.terminate()
        server.wait()


def kernels(host: str) -> list[dict]:
    with urllib.request.urlopen(f"{host}/api/kernels?token=here", timeout=60) as answer:
        return json.load(answer)


def answers(address: str) -> bool:
    try:
        urllib.request.urlopen(address, timeout=10).close()
    except OSError:
        return False
    return True


def wait_until(holds) -> None:
    until = time.monotonic() + 120
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.2)


def pip_lines(way: str, checkout: Path) -> Path:
    """The file that tells pip what to install; conda makes one out of its own, beside it."""
    if way == "Binder":
        return checkout / "binder" / "postBuild"
    lines = yaml.safe_load((checkout / "environment.yml").read_text())["dependencies"][-1]["pip"]
    written = checkout / "requirements.txt"
    written.write_text("\n".join(lines))
    return written


@pytest.mark.slow
@pytest.mark.parametrize("way", ["conda", "Binder"])
def test_a_fresh_environment_of_exactly_these_lines_runs_a_lesson(way, tmp_path, capsys):
    """On a copy of the checkout. An index of PyTorch that does not answer is left out, and that is said."""
    begun, checkout, prefix = time.monotonic(), tmp_path / "checkout", tmp_path / "prefix"
    shutil.copytree(ROOT, checkout, ignore=shutil.ignore_patterns(".*", "__pycache__", "*.egg-info"))
    venv.create(prefix, with_pip=True)
    path = f"{prefix / 'bin'}{os.pathsep}{os.environ['PATH']}"
    environment = os.environ | {"PATH": path, "NB_PYTHON_PREFIX": str(prefix)}
    environment.pop("PYTHONPATH", None)

    def run(*command) -> None:
        done = subprocess.run(command, cwd=checkout, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]

    lines, reached = pip_lines(way, checkout), answers(f"{INDEX}/torch/")
    if not reached:
        lines.write_text(re.sub(f"--(extra-)?index-url {INDEX}", "", lines.read_text()))
    run(*(["pip", "install", "-r", lines] if way == "conda" else [lines]))
    (packages,) = prefix.glob("lib/python*/site-packages")
    megabytes = sum(each.stat().st_size for each in packages.rglob("*")) / 1e6
    with capsys.disabled():
        print(f"\n{way}: {time.monotonic() - begun:.0f} s, {megabytes:.0f} MB", "" if reached else f"without {INDEX}")
    assert not (reached and list(packages.glob("nvidia*")))
    run("rnntips", "check")
    run("jupyter", "nbconvert", "--execute", "--to", "notebook", "--output-dir", tmp_path, "notebooks/01_scaling.ipynb")
