"""The house: which room may know which, what may be loaded, and that nothing dead or patched stays."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "rnntips"
TOP = ("errors series windows recipe schedule cells models optimizers runs loader training tuning verdict study "
       "diagnosis figures templates ticks")  # fmt: skip
BELOW = {"tables", "tasks", "engine", "jobs"}  # what the top level is made of, beside its own files
ABOVE = {"doctor", "notebook", "lessons", "cli"}  # what is made of the top level
MAY_KNOW = {  # room → rooms above the top level that it may know
    "doctor": set(),
    "notebook": {"doctor"},
    "lessons": {"doctor", "notebook"},
    "cli": {"doctor", "notebook"},
}
OUTSIDE = {  # what may be imported beside the standard library
    "top": {"jaxtyping", "numpy", "torch", "matplotlib", "PIL", "IPython", "jinja2"},
    "tables": {"numpy", "pandas"},
    "tasks": {"numpy", "torch"},
    "engine": {"jaxtyping", "numpy", "psutil", "torch", "numba", "llvmlite", "triton"},
    "jobs": {"numpy", "torch", "distributed"},
    "doctor": {"numpy", "torch", "matplotlib", "IPython"},
    "notebook": {"numpy", "markupsafe", "ipywidgets", "IPython", "fastjsonschema"},
    "lessons": {"numpy", "torch", "matplotlib"},
    "cli": {"click", "jupyterlab", "traitlets"},
}
LONG_LINES = 4_880  # of the whole top level, which is to be read in one evening


def modules(folder=PACKAGE):
    return [path for path in sorted(folder.rglob("*.py")) if path != PACKAGE / "__init__.py"]


def imported(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name}: imports are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def room(path):
    first, *rest = path.relative_to(PACKAGE).parts
    return first if rest else "top"


def name(path):
    return path.relative_to(ROOT).as_posix()


def test_the_top_level_is_the_pipeline():
    files = sorted(path.stem for path in PACKAGE.glob("*.py"))
    assert files == sorted(["__init__", *TOP.split()])
    assert len(files) <= 19
    assert sum(len(path.read_text(encoding="utf-8").splitlines()) for path in PACKAGE.glob("*.py")) <= LONG_LINES


@pytest.mark.parametrize("path", modules(), ids=name)
def test_a_room_knows_only_rooms_that_it_may(path):
    here, rooms = room(path), {folder.name for folder in PACKAGE.iterdir() if folder.is_dir()}
    for what in imported(path):
        top, *rest = what.split(".")
        assert top not in ("evidence", "benchmarks", "tools", "tests"), f"{what}: the package never imports it"
        if top == "rnntips":
            there = rest[0] if rest and rest[0] in rooms else "top"
            if there in ABOVE and there != here:
                assert there in MAY_KNOW.get(here, set()), f"{here} may not know {there}"
                assert there != "lessons", "nobody imports a lesson"
        elif top not in sys.stdlib_module_names:
            assert top in OUTSIDE[here], f"{here} may not import {top}"


@pytest.mark.parametrize("path", modules(PACKAGE / "lessons"), ids=name)
def test_a_lesson_knows_no_other(path):
    """What several of them need lies beside them, in one file."""
    own = path.relative_to(PACKAGE / "lessons").parts[0]
    known = [what.split(".")[2] for what in imported(path) if what.startswith("rnntips.lessons.")]
    assert set(known) <= {own, "forecaster"}


def test_everything_in_the_house_has_a_room():
    assert {path.name for path in PACKAGE.iterdir() if path.is_dir()} - {"__pycache__"} == {*BELOW, *ABOVE, "data"}


@pytest.mark.parametrize("folder", ["rnntips", "evidence", "tools"])
def test_nobody_is_patched(folder):
    """No statement gives an attribute to a class or module that was imported."""
    for path in modules(ROOT / folder):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        names = {alias.asname or alias.name for node in ast.walk(tree)
                 if isinstance(node, ast.Import | ast.ImportFrom) for alias in node.names}  # fmt: skip
        for node in ast.walk(tree):
            targets = node.targets if isinstance(node, ast.Assign) else []
            for target in targets:
                if isinstance(target, ast.Attribute) and isinstance(target.value, ast.Name):
                    allowed = target.value.id == "config"  # Numba's own settings
                    assert allowed or target.value.id not in names, f"{path.name}: {ast.unparse(target)} is patched"


def test_importing_the_package_loads_neither_matplotlib_nor_pandas_nor_ipywidgets():
    heavy = ("matplotlib", "pandas", "ipywidgets", "IPython")
    code = f"import sys, rnntips; print([m for m in {heavy} if m in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert found.strip() == "[]"


def test_what_is_lazy_loads_when_asked_for():
    code = ("import rnntips as rt; print(rt.figures.COLORS, rt.panels.Panel, rt.exercises.scaling, rt.labbook.show, "
            "rt.tips, rt.doctor, rt.look, rt.kernels.scan)")  # fmt: skip
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
