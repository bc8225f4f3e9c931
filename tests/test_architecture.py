"""The listing is the pipeline: a module imports only modules above it."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "rnntips"
PIPELINE = (
    "errors series windows tasks settings cells kernels models weights schedule budget recipe optimizers runs memory "
    "rescue feed lanes update arguments training reach sharpness gradients store groups evidence words readings "
    "measures tuning timing study ledger sides plans tips records agreement simulation findings figures labbook panels "
    "exercises bench executors progress commands cli"
).split()
OUTSIDE = {
    "errors": set(), "series": {"numpy"}, "windows": {"numpy"}, "tasks": {"numpy"}, "settings": set(),
    "cells": {"numpy", "torch"},
    "kernels": {"numpy", "torch", "numba", "llvmlite", "triton"},
    "models": {"numpy", "torch"}, "weights": set(), "schedule": set(), "budget": set(), "recipe": set(),
    "optimizers": {"torch"},
    "runs": {"numpy", "torch"}, "memory": {"torch"}, "rescue": {"numpy", "torch"},
    "feed": {"numpy", "torch"}, "lanes": {"numpy", "torch"}, "reach": {"numpy", "torch"},
    "sharpness": {"numpy", "torch"},
    "gradients": {"numpy", "torch"},
    "update": {"numpy", "torch"}, "arguments": {"torch"}, "training": {"numpy", "torch"}, "evidence": {"numpy"},
    "store": {"numpy"}, "groups": {"numpy", "torch"}, "executors": {"distributed"}, "progress": set(),
    "words": {"numpy"}, "readings": {"numpy"}, "measures": {"numpy"}, "timing": {"numpy", "torch"},
    "ledger": set(), "sides": {"numpy"}, "plans": set(), "simulation": {"numpy"},
    "findings": {"numpy"}, "commands": {"click"},
    "tuning": {"numpy"}, "study": {"numpy"},
    "tips": set(), "records": {"numpy"}, "agreement": {"numpy"}, "figures": {"numpy", "matplotlib", "PIL", "IPython"},
    "labbook": {"numpy", "IPython"}, "panels": {"numpy", "ipywidgets"}, "exercises": {"numpy"},
    "bench": {"numpy", "torch", "jax", "optax", "flashrnn"}, "cli": {"click"},
}  # fmt: skip
LONGEST = 300
LONGEST_KERNEL = 350


def modules():
    return [p for p in sorted(PACKAGE.rglob("*.py")) if p.parent.name != "data" and p != PACKAGE / "__init__.py"]


def imported(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name}: imports are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def room(path):
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


@pytest.mark.parametrize("path", modules(), ids=lambda p: p.relative_to(PACKAGE).as_posix())
def test_a_module_imports_only_what_stands_above_it(path):
    here = PIPELINE.index(room(path))
    for name in imported(path):
        top, *rest = name.split(".")
        if top == "rnntips":
            there = rest[0] if rest else "cli"
            if there in PIPELINE and room(path) != there:
                assert PIPELINE.index(there) < here, f"{path.name} imports {there}, which stands below it"
        elif top not in sys.stdlib_module_names:
            assert top in OUTSIDE[room(path)], f"{path.name} may not import {top}"


def test_the_listing_holds_every_module():
    assert set(PIPELINE) == {room(path) for path in modules()}


@pytest.mark.parametrize("path", modules(), ids=lambda p: p.relative_to(PACKAGE).as_posix())
def test_modules_stay_short(path):
    longest = LONGEST_KERNEL if room(path) == "kernels" else LONGEST
    assert len(path.read_text(encoding="utf-8").splitlines()) <= longest


def test_importing_the_package_loads_neither_matplotlib_nor_ipywidgets():
    code = "import sys, rnntips; print([m for m in ('matplotlib', 'ipywidgets', 'IPython') if m in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert found.strip() == "[]"


def test_figures_panels_and_exercises_load_when_asked_for():
    code = "import rnntips as rt; print(rt.figures.COLORS is not None, rt.panels.Panel, rt.exercises.scaling)"
    subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
