"""pip, conda and Binder install the same versions: those of constraints.txt."""

import sys
import tomllib
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def constraints() -> dict[str, str]:
    pins = (line.split("==") for line in read("constraints.txt").splitlines() if not line.startswith("#"))
    return {canonicalize_name(name): version for name, version in pins}


def declared(extra: str = "") -> list[Requirement]:
    project = tomllib.loads(read("pyproject.toml"))["project"]
    chosen = project["optional-dependencies"][extra] if extra else project["dependencies"]
    return [Requirement(text) for text in chosen]


def test_conda_brings_python_and_pip_alone():
    """And pip the package, all else in the constrained versions, PyTorch in the build that `make` takes."""
    *conda, rest = yaml.safe_load(read("environment.yml"))["dependencies"]
    assert conda == yaml.safe_load(read("binder/environment.yml"))["dependencies"] == ["python=3.11", "pip"]
    (index,) = [line.split(" = ")[1] for line in read("Makefile").splitlines() if line.startswith("CPU_INDEX")]
    assert rest == {"pip": [f"--extra-index-url {index}", "--constraint constraints.txt", "--editable ."]}


def test_constraints_lie_within_the_declared_ranges():
    everything = [*declared(), *declared("test"), *declared("bench"), *declared("stick")]
    outside = [str(each) for each in everything if constraints()[each.name] not in each.specifier]
    assert not outside


@pytest.mark.skipif(
    sys.platform != "linux" or sys.version_info[:2] != (3, 11), reason="constraints are made on Linux, Python 3.11"
)
def test_constraints_name_every_package_that_gets_installed():
    """Whatever the dependencies bring along is fixed too, but for what PyTorch's CUDA build fixes itself."""
    bench = declared("bench") if find_spec("optax") else []  # only `make bench` installs these
    seen, waiting = set(), [*declared(), *declared("test"), *bench]
    while waiting:
        requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        for extra in {"", *requirement.extras}:
            if (name, extra) in seen or name.startswith(("nvidia-", "cuda-")):
                continue
            seen.add((name, extra))
            brought = map(Requirement, metadata.requires(name) or [])
            waiting += [each for each in brought if each.marker is None or each.marker.evaluate({"extra": extra})]
    names = {name for name, _ in seen}
    assert names == constraints().keys() if bench else names <= constraints().keys()
