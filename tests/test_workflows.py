"""What GitHub is told to run: nothing but commands that the Makefile or the README has."""

import os
import re
import shlex
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
FILES = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
JOBS = [(path, name) for path in FILES for name in yaml.safe_load(path.read_text(encoding="utf-8"))["jobs"]]
README, MAKEFILE = ((ROOT / name).read_text(encoding="utf-8") for name in ("README.md", "Makefile"))


def jobs() -> dict[str, dict]:
    return {name: yaml.safe_load(path.read_text(encoding="utf-8"))["jobs"][name] for path, name in JOBS}


def commands() -> list[str]:
    """Every line that is run, in all jobs."""
    steps = [step for job in jobs().values() for step in job["steps"]]
    return [line.strip() for step in steps for line in step.get("run", "").splitlines() if line.strip()]


def test_every_command_exists_in_the_makefile_or_the_readme():
    assert len(commands()) >= len(jobs())
    for command in commands():
        program, *arguments = shlex.split(command)
        if program == "make":
            targets = [word for word in arguments if "=" not in word]
            settings = [word.split("=")[0] for word in arguments if "=" in word]
            assert targets and all(re.search(rf"^{target}:", MAKEFILE, re.MULTILINE) for target in targets), command
            assert all(re.search(rf"^{name} \?=", MAKEFILE, re.MULTILINE) for name in settings), command
        elif (script := ROOT / program).is_file():
            assert os.name == "nt" or os.access(script, os.X_OK), command
        else:
            assert f"{command}`" in README, command


@pytest.mark.parametrize("name", [name for _, name in JOBS])
def test_every_job_ends_in_time_and_keeps_what_pip_downloads(name):
    job = jobs()[name]
    assert 10 <= job["timeout-minutes"] <= 60
    (setup,) = [step for step in job["steps"] if step.get("uses", "").startswith("actions/setup-python@")]
    assert setup["with"]["cache"] == "pip"
    assert (ROOT / setup["with"]["cache-dependency-path"]).is_file()


def python_of(job: dict) -> set[tuple[str, str]]:
    """System and Python of each run of a job, its matrix spelled out."""
    (version,) = [step["with"]["python-version"] for step in job["steps"] if "with" in step]
    matrix = job.get("strategy", {}).get("matrix", {})
    rows = matrix.get("include") or [{"python": each} for each in matrix.get("python", [version])]
    return {(row.get("os", job["runs-on"]).partition("-")[0], row.get("python", version)) for row in rows}


def test_three_systems_and_the_oldest_and_newest_python_are_tried():
    tried = set().union(*map(python_of, jobs().values()))
    assert tried == {(system, python) for system in ("ubuntu", "macos", "windows") for python in ("3.11", "3.14")}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["requires-python"] == ">=3.11"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_an_older_run_of_a_pull_request_is_cancelled_and_none_may_write(path):
    flow = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert flow["permissions"] == {"contents": "read"}
    assert "github.event.pull_request.number" in flow["concurrency"]["group"]
    assert "pull_request" in flow["concurrency"]["cancel-in-progress"]


def test_no_browser_is_looked_for_outside_the_reference_job():
    for name, job in jobs().items():
        if name != "test":
            assert "not browser" in job["env"]["PYTEST_ADDOPTS"]
