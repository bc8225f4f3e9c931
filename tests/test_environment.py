"""pip, conda and Binder each read their own file: all of them must name the same versions."""

import re
import sys
import tomllib
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
ENVIRONMENTS = ["environment.yml", "binder/environment.yml"]
ON_CONDA = {"torch": "pytorch", "matplotlib": "matplotlib-base"}


def lines(name: str) -> list[str]:
    text = (ROOT / name).read_text(encoding="utf-8")
    return [line.rstrip() for line in text.splitlines() if line.strip() and not line.startswith("#")]


def constraints() -> dict[str, str]:
    pins = (line.split("==") for line in lines("constraints.txt"))
    return {canonicalize_name(name): version for name, version in pins}


def conda_pins(name: str) -> dict[str, str]:
    """Package -> version of an environment file, the CPU variant under the plain name."""
    pins = dict(re.findall(r"^  - ([\w-]+)=([\w.]+)$", "\n".join(lines(name)), flags=re.MULTILINE))
    return {package.removesuffix("-cpu"): version for package, version in pins.items()}


def declared(extra: str = "") -> list[Requirement]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    chosen = project["optional-dependencies"][extra] if extra else project["dependencies"]
    return [Requirement(text) for text in chosen]


def test_environment_files_differ_in_the_pytorch_variant_alone():
    plain, binder = (lines(name) for name in ENVIRONMENTS)
    differing = [pair for pair in zip(plain, binder, strict=True) if pair[0] != pair[1]]
    assert differing == [(f"  - pytorch={constraints()['torch']}", f"  - pytorch-cpu={constraints()['torch']}")]


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_environment_holds_the_dependencies_at_the_constrained_versions(name):
    wanted = {ON_CONDA.get(each.name, each.name): constraints()[each.name] for each in declared()}
    assert conda_pins(name) == {"python": "3.11", **wanted}


def test_constraints_lie_within_the_declared_ranges():
    everything = [*declared(), *declared("test"), *declared("bench")]
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
