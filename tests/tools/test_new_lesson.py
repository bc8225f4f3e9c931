"""A lesson that the tool starts: its files can be read, its exercise judges, its notebook has the form of others."""

import re
import tomllib

import nbformat
import pytest
from test_second_edition import SECTIONS, sections

from rnntips.notebook import lessons
from rnntips.notebook.tips import RULE
from rnntips.recipe import Recipe, typed
from tools.new_lesson import make, without


@pytest.mark.parametrize("lesson", lessons.planned(), ids=lambda lesson: lesson.notebook)
def test_a_lesson_that_is_started_leaves_the_map_but_its_row_as_it_was(lesson):
    before = lessons.MAP.read_text(encoding="utf-8")
    whole, left = (tomllib.loads(text) for text in (before, without(lesson.notebook, before)))
    rows = [row for row in whole.pop("planned") if row["notebook"] != lesson.notebook]
    assert left.pop("planned", []) == rows and left == whole


@pytest.mark.parametrize("lesson", lessons.planned(), ids=lambda lesson: lesson.notebook)
def test_a_lesson_that_is_started_has_what_a_lesson_needs(lesson, monkeypatch, tmp_path):
    monkeypatch.setattr(lessons, "FOLDER", tmp_path)
    book = nbformat.read(make(lesson, tmp_path), as_version=4)
    nbformat.validate(book)
    told = tomllib.loads((lesson.folder / "lesson.toml").read_text(encoding="utf-8"))
    assert (told["notebook"], told["question"]) == (lesson.notebook, lesson.question)
    assert tuple(told["prerequisites"]) == lesson.prerequisites and set(told["texts"]) == set(told["plan"]["claims"])
    assert Recipe(**typed(told["plan"]["recipe"]))
    names: dict = {"__name__": f"rnntips.lessons.{lesson.name}.exercises"}
    exec((lesson.folder / "exercises.py").read_text(encoding="utf-8"), names)
    names["passes"].check(names["_solution"])
    assert names["passes"].passed and names["passes"].name == f"{lesson.name}.passes"
    code = [cell for cell in book.cells if cell.cell_type == "code"]
    assert f'Panel("{lesson.name}")' in code[1].source and f"about {lesson.minutes} minutes" in book.cells[0].source
    panel, study, _, check = code[1:5]
    assert panel.source.startswith("import rnntips as rt\n") and study.source.startswith("# Press your guess")
    assert check.metadata["jupyter"] == {"source_hidden": True} and check.metadata["tags"] == ["check"]
    assert [title for title in sections(book) if title] == list(SECTIONS) and set(told["rule"]) == set(RULE)
    assert not re.search(r"\{\w+\}", "".join(cell.source for cell in book.cells))
    assert sum("exercise" in cell.metadata.get("tags", []) for cell in code) == 1
