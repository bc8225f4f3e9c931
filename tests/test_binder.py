"""What Binder would make of `binder/`, asked of repo2docker's own classes: no Docker is needed."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from repo2docker.app import Repo2Docker
from repo2docker.buildpacks import CondaBuildPack

from rnntips.cli.lab import NOTEBOOKS, START

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Binder is Linux: bash, and files that may be executed")


@pytest.fixture
def buildpack(monkeypatch):
    monkeypatch.chdir(ROOT)
    pack = next(each for each in (kind("debian") for kind in Repo2Docker().buildpacks) if each.detect())
    pack.platform = "linux/amd64"
    return pack


def test_binder_builds_python_3_11_with_pytorch_for_cpus(buildpack):
    assert isinstance(buildpack, CondaBuildPack)
    assert buildpack.python_version == "3.11"
    packages = buildpack.environment_yaml["dependencies"]
    assert [each.split("=")[0] for each in packages if "torch" in each] == ["pytorch-cpu"]


def test_binder_runs_post_build(buildpack):
    dockerfile = buildpack.render()
    assert '--file "binder/environment.yml"' in dockerfile
    assert "RUN ./binder/postBuild" in dockerfile


def test_post_build_is_executable_and_parses():
    script = ROOT / "binder" / "postBuild"
    assert script.read_bytes().startswith(b"#!/bin/bash\n")
    assert os.access(script, os.X_OK)
    subprocess.run(["bash", "-n", script], check=True)


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


def test_post_build_installs_the_package_and_quietens_jupyterlab(tmp_path):
    done = run_post_build(tmp_path, "exit 0")
    assert (done.returncode, done.stdout) == (0, "install --no-deps -e .\n-c import rnntips.engine.numba_ops\n")
    overrides = json.loads((tmp_path / "share/jupyter/lab/settings/overrides.json").read_text())
    for plugin, settings in overrides.items():
        extension, name = plugin.split(":")
        schema = json.loads(Path(sys.prefix, "share/jupyter/lab/schemas", extension, f"{name}.json").read_text())
        assert settings.keys() <= schema["properties"].keys()


def test_post_build_stops_at_the_first_error(tmp_path):
    assert run_post_build(tmp_path, "exit 3").returncode == 3


def test_binder_s_address_in_the_readme_opens_where_rnntips_lab_does():
    assert (NOTEBOOKS / START).is_file()
    opened = {word for word in re.findall(r"urlpath=([^\s`)]+)", (ROOT / "README.md").read_text(encoding="utf-8"))}
    assert opened == {f"lab/tree/notebooks/{START}"}
