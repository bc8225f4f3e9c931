"""Start a lesson: `python -m tools.new_lesson 10_initialization` makes a skeleton that passes the form tests.

The lesson must stand among those to come in `rnntips/lessons/map.toml`; its row is taken out there. What is made is a
skeleton that runs: its plan is one made-up claim, its figure and its exercise are the smallest that work. Write over
them: `lesson.toml`, `exercises.py`, `figure.py`, and the notebook.
"""

import re
import sys
from pathlib import Path

import nbformat

from rnntips.notebook.lessons import MAP, Lesson, lessons, planned
from tools.pages import README, lessons_table, write_between

ROOT = Path(__file__).resolve().parents[1]

TOML = """# The lesson "{title}": what its notebook says of itself, what the panel asks, the texts for each word that
# the record may say, and the plan that its evidence follows.

notebook = "{notebook}"
title = "{title}"
question = "{question}"
form = "{form}"
difficulty = {difficulty}
minutes = {minutes}
symptoms = {symptoms}
prerequisites = {prerequisites}

# What readers are told of the record. Numbers are filled in; a word without a sentence fails a test.

[texts.C0]
short = "a tenth of the updates"
SUPPORTED = "Training a tenth as long did worse ({{typical}})."
CONTRADICTED = "Training a tenth as long did better ({{typical}})."
"NO DIFFERENCE" = "Training a tenth as long made no difference ({{typical}})."
UNDECIDED = "Whether training a tenth as long does worse stayed undecided ({{typical}})."

[plan]
tuned = "lr"
measure = "score"
smallest = 0.05

[plan.seeds]
tuning = 10
first = 20
fresh = 20

[plan.recipe]
cell = "gru"
width = 24
past = 32

[plan.live]
field = "updates"
baseline = 300
variant = 30
setting = "sines"
lr = 0.01

[plan.claims.C0]
says = "Training a tenth as long does worse."
source = "S0"
field = "updates"
baseline = 300
variant = 30
claimed = "WORSE"
settings = ["sines"]
"""
EXERCISES = '''"""The exercise of the lesson {title!r}."""

from rnntips.notebook.exercise import Exercise

__all__ = ["passes"]


def _solution(updates, batch_size, windows):
    return updates * batch_size / windows


passes = Exercise(
    "passes", _solution, cases=[(300, 16, 2400), (10, 5, 100)],
    hints=("What does one update read?", "How many windows do all updates read together?",
           "updates * batch_size / windows"),
    mistakes=(
        (lambda updates, batch_size, windows: updates / windows, "an update reads a whole batch."),
        (lambda updates, batch_size, windows: updates * batch_size, "that counts the windows that were read."),
        (lambda updates, batch_size, windows: windows / (updates * batch_size), "the fraction stands upside down.")),
)  # fmt: skip
'''
FIGURE = '''"""The figure of the lesson {title!r}."""

from collections.abc import Mapping

from matplotlib.axes import Axes

from rnntips.figures import curves
from rnntips.runs import Runs

__all__ = ["draw"]


def draw(sides: Mapping[str, Runs]) -> Axes:
    """Validation error over updates.

    Args:
        sides: One or two names with their runs.
    """
    return curves(sides)
'''
CELLS = (
    "# {title}\n\n*{question}* An outline: about {minutes} minutes.\n\n## What do you expect?\n\n"
    "Run the next cell and press your guess: it trains ten networks a side.",
    'import rnntips as rt\n\npanel = rt.panels.Panel("{name}")\npanel',
    "# Press your guess; then run this cell.\nstudy = panel.study()\nstudy",
    '# A check: open it after your guess\nlong = rt.Recipe(cell="gru", width=24, past=32, lr=0.01, updates=300)\n'
    "check = rt.compare(long, long.but(updates=30), on=rt.series.sines(), seeds=range(10))\n"
    'assert check.verdict == "WORSE", "more training should help here"',
    "## Why",
    "from rnntips.lessons.{name}.figure import draw\n\n"
    'ax = draw(dict(zip(("300 updates", "30 updates"), check.runs["sines"], strict=True)))\nax.figure',
    '## The record\n\nOnce it is computed: `rt.tips["{name}"].rule()`, a forest plot, and the table.',
    "## Your turn",
    "def passes(updates, batch_size, windows):\n"
    '    """Exercise: return how often each window is read."""\n'
    "    return updates / windows\n\n\n"
    "rt.exercises.{name}.passes.check(passes)\n# rt.exercises.{name}.passes.hint()\n"
    "# rt.exercises.{name}.passes.solution()",
    "rt.labbook.show()",
)
CHECK = "# A check:"
FOLDED = ("panel", "study", "compare(", "figure")


def make(lesson: Lesson, notebooks: Path = ROOT / "notebooks") -> Path:
    """Write a lesson's folder and its notebook, not yet executed; returns the notebook."""
    about = {name: getattr(lesson, name) for name in
             ("notebook", "title", "question", "form", "difficulty", "minutes", "name")}  # fmt: skip
    listed = {name: str(list(getattr(lesson, name))).replace("'", '"') for name in ("symptoms", "prerequisites")}
    lesson.folder.mkdir()
    for file, text in {"lesson.toml": TOML, "exercises.py": EXERCISES, "figure.py": FIGURE}.items():
        (lesson.folder / file).write_text(text.format(**about | listed), encoding="utf-8")
    (lesson.folder / "__init__.py").touch()
    book = nbformat.v4.new_notebook(metadata={"rnntips": {
        "lesson": lesson.name, "form": lesson.form, "difficulty": lesson.difficulty, "minutes": lesson.minutes,
        "prerequisites": list(lesson.prerequisites),
    }})  # fmt: skip
    for number, source in enumerate(CELLS):
        text, source = source.startswith(("# {title}", "## ")), source.format(**about)
        if text:
            cell = nbformat.v4.new_markdown_cell(source)
        else:
            cell = nbformat.v4.new_code_cell(source)
            cell.metadata |= {"tags": ["exercise"]} if source.startswith("def ") else {}
            hidden = {"outputs_hidden": any(word in source for word in FOLDED), "source_hidden": CHECK in source}
            if any(hidden.values()):
                cell.metadata["jupyter"] = {part: True for part in hidden if hidden[part]}
        cell.id = f"cell-{number}"
        book.cells.append(cell)
    path = notebooks / f"{lesson.notebook}.ipynb"
    nbformat.write(book, path)
    return path


def main(notebook: str) -> None:
    """Make the lesson of this name, take its row out of those to come, and put it into the README."""
    lesson = next((each for each in planned() if each.notebook == notebook), None)
    if lesson is None or lesson.folder.exists():
        sys.exit(f"{notebook!r} is no lesson to come. Those are: {', '.join(each.notebook for each in planned())}.")
    make(lesson)
    rows = re.split(r"(?m)^(?=\[\[planned\]\])", MAP.read_text(encoding="utf-8"))
    MAP.write_text("".join(row for row in rows if f'"{notebook}"' not in row.split("title")[0]), encoding="utf-8")
    lessons.cache_clear()
    write_between(README, lessons_table(), "lessons")
    print(f"Made {lesson.folder} and notebooks/{notebook}.ipynb. Next: make notebooks BOOK={notebook}")


if __name__ == "__main__":
    main(*sys.argv[1:2] or [""])
