"""The lessons, found as folders of `rnntips.lessons`: what each says of itself, and what lies beside it."""

import json
import tomllib
from dataclasses import dataclass
from functools import cache
from importlib import import_module, resources
from pathlib import Path
from types import ModuleType
from typing import Any

__all__ = ["FOLDER", "MAP", "Lesson", "Symptom", "class_path", "lessons", "planned", "symptoms"]

FOLDER = Path(str(resources.files("rnntips"))) / "lessons"
MAP = FOLDER / "map.toml"  # symptoms, a class's path, lessons to come


@dataclass(frozen=True)
class Lesson:
    """One lesson, as its `lesson.toml` says."""

    notebook: str
    title: str
    question: str
    form: str
    difficulty: int
    minutes: int
    prerequisites: tuple[str, ...]
    ready: bool = True

    @property
    def name(self) -> str:
        """The notebook's without its number, which is also its folder's and its tip's."""
        return self.notebook.partition("_")[2]

    @property
    def folder(self) -> Path:
        """Where its files lie."""
        return FOLDER / self.name

    @property
    def link(self) -> str:
        """Its title; as a link, for Markdown beside the notebooks, once there is something to open."""
        return f"[{self.title}]({self.notebook}.ipynb)" if self.ready else self.title

    @property
    def toml(self) -> dict[str, Any]:
        """The whole `lesson.toml`."""
        return _toml(self.folder / "lesson.toml")

    def stored(self, name: str) -> Any:
        """A JSON file that lies beside it; None if there is none."""
        path = self.folder / f"{name}.json"
        return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None

    def module(self, name: str) -> ModuleType:
        """Its `exercises` or its `figure`."""
        return import_module(f"rnntips.lessons.{self.name}.{name}")


@dataclass(frozen=True)
class Symptom:
    """What goes wrong, in the words that people use, and what to do about it. All texts are Markdown."""

    name: str
    says: str
    measure: str
    first: str  # what to do first
    lessons: tuple[Lesson, ...]  # that say more


def _toml(path: Path) -> dict[str, Any]:
    return tomllib.loads(path.read_text(encoding="utf-8"))


def _lesson(row: dict[str, Any], ready: bool) -> Lesson:
    named = {name: row[name] for name in ("notebook", "title", "question", "form", "difficulty", "minutes")}
    return Lesson(**named, prerequisites=tuple(row["prerequisites"]), ready=ready)


@cache
def lessons() -> tuple[Lesson, ...]:
    """Those that are there, in the order of the book."""
    found = (_lesson(_toml(path), True) for path in FOLDER.glob("*/lesson.toml"))
    return tuple(sorted(found, key=lambda lesson: lesson.notebook))


@cache
def planned() -> tuple[Lesson, ...]:
    """Those to come."""
    return tuple(_lesson(row, False) for row in _toml(MAP).get("planned", ()))


@cache
def symptoms() -> tuple[Symptom, ...]:
    """What goes wrong, with measures, first actions and lessons, those to come among them."""
    named = {each.notebook: each for each in (*lessons(), *planned())}
    rows = _toml(MAP)["symptom"]
    return tuple(Symptom(**row | {"lessons": tuple(named[name] for name in row["lessons"])}) for row in rows)


def class_path() -> dict[Lesson, int]:
    """What a class of ninety minutes does, in order: lesson → minutes."""
    named = {each.notebook: each for each in lessons()}
    return {named[notebook]: minutes for notebook, minutes in _toml(MAP)["class"].items()}
