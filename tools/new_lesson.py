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

TOML = """# The lesson "{title}": what its notebook says of itself, its rule, what the panels ask, and the plan that its
# evidence follows.

notebook = "{notebook}"
title = "{title}"
question = "{question}"
form = "{form}"
difficulty = {difficulty}
minutes = {minutes}
prerequisites = {prerequisites}
headlines = ["C0"]  # the claims that the notebook shows, six at most

# The table of the rule. Its numbers are filled in from the record.
[rule]
do = "Train until the validation error stays."
start = "300 updates: {{C0[sines][baseline]}}."
not_when = "A tenth of them: {{C0[sines][variant]}}."
check = "Look at the curve."

# What the panels let their reader guess, each up to which ratio of the errors it is right (variant over baseline).
[panel.guesses]
"about the same, or lower" = 1.05
"up to twice the error" = 2.0
"more than twice the error" = inf

# What the figure of the record calls each claim.
[texts]
C0 = "a tenth of the updates"

# The first plan of this lesson. Storyboard: …
# Expected, written down before anything ran: C0 SUPPORTED.
[plan]
tuned = "lr"
measure = "score"
smallest = 0.05

[plan.seeds]
tuning = 8
first = 60
fresh = 60
working = {{ tuning = 3, first = 10 }}

[plan.recipe]
cell = "gru"
width = 24
past = 32

[plan.settings."characters, working size"]
on = "characters"
size = "working"
smallest = 0.02
width = 64
past = 64

[plan.live]
field = "updates"
baseline = 300
variant = 30
setting = "sines"
lr = 0.01

[plan.claims.C0]
says = "Training a tenth as long does worse."
source = "S0"
modality = "typically"
field = "updates"
baseline = 300
variant = 30
claimed = "WORSE"
checks = ["room"]
settings = ["sines", "characters, working size"]
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
    "# {title}\n\n*An outline · about {minutes} minutes*\n\n"
    "**Symptom:** {question} **In a hurry:** [the rule](#The-rule).",
    "## The setting",
    "import rnntips as rt\n\nsines = rt.tasks.forecast(rt.series.sines())\nax = rt.figures.series(sines)\nax.figure",
    "## Guess\n\nRun the next cell and press your guess: it trains ten networks a side.",
    'import rnntips as rt\n\npanel = rt.panels.Panel("{name}")\npanel',
    "# Press your guess; then run this cell.\nstudy = panel.study()\nstudy",
    "## What it means",
    "sines = rt.tasks.forecast(rt.series.sines())\n"
    'long = rt.Recipe(cell="gru", width=24, past=32, lr=0.01, updates=300)\n'
    "study = rt.compare(long, long.but(updates=30), on=sines, seeds=range(10))\n"
    "ax = rt.figures.forecasts(study, sines)\nax.figure",
    '# A check: open it after your guess\nassert study.verdict == "WORSE", "more training should help here"',
    "## Why",
    "from rnntips.lessons.{name}.figure import draw\n\n"
    'ax = draw(dict(zip(("300 updates", "30 updates"), study.runs["sines"], strict=True)))\nax.figure',
    "## Guess again",
    "## The rule",
    'tip = rt.tips["{name}"]\ntip.rule_box',
    "## In your own loop",
    "inputs, targets = next(sines.batches(rt.Recipe(past=16, batch_size=512), seed=0))",
    "import torch\nfrom torch import nn\n\n"
    "cell, readout = nn.GRU(inputs.shape[2], 24, batch_first=True), nn.Linear(24, targets.shape[1])\n"
    "optimizer = torch.optim.Adam([*cell.parameters(), *readout.parameters()], lr=0.01)\n"
    "for update in range(300):  # changed\n"
    "    loss = nn.functional.mse_loss(readout(cell(inputs)[0][:, -1]), targets)\n"
    "    optimizer.zero_grad()\n    loss.backward()\n    optimizer.step()",
    "## Find the fault",
    "def passes(updates, batch_size, windows):\n"
    '    """Exercise: return how often each window is read."""\n'
    "    return updates / windows\n\n\n"
    "rt.exercises.{name}.passes.check(passes)\n# rt.exercises.{name}.passes.hint()\n"
    "# rt.exercises.{name}.passes.solution()",
    "## One question",
    "rt.labbook.show()",
    "## The evidence",
    "tip.table(tip.headlines)",
    "ax = rt.figures.forest(tip, tip.headlines)\nax.figure",
)
CHECK = "# A check:"
FOLDED = ("panel", "study", "compare(", "tip.")


def make(lesson: Lesson, notebooks: Path = ROOT / "notebooks") -> Path:
    """Write a lesson's folder and its notebook, not yet executed; returns the notebook."""
    about = {name: getattr(lesson, name) for name in
             ("notebook", "title", "question", "form", "difficulty", "minutes", "name")}  # fmt: skip
    listed = {"prerequisites": str(list(lesson.prerequisites)).replace("'", '"')}
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
            cell.metadata |= {"jp-MarkdownHeadingCollapsed": True} if source == "## The evidence" else {}
        else:
            cell = nbformat.v4.new_code_cell(source)
            tag = (
                "exercise"
                if "def " in source
                else "check"
                if CHECK in source
                else "loop"
                if "# changed" in source
                else ""
            )
            cell.metadata |= {"tags": [tag]} if tag else {}
            shows = any(word in source for word in FOLDED) and tag != "check"
            hidden = {"outputs_hidden": shows, "source_hidden": tag == "check"}
            if any(hidden.values()):
                cell.metadata["jupyter"] = {part: True for part in hidden if hidden[part]}
        cell.id = f"cell-{number}"
        book.cells.append(cell)
    path = notebooks / f"{lesson.notebook}.ipynb"
    nbformat.write(book, path)
    return path


def without(notebook: str, text: str) -> str:
    """The map's text without a lesson's row among those to come."""
    rows = re.split(r"(?m)^(?=\[\[planned\]\])", text)
    return "".join(row for row in rows if not row.startswith(f'[[planned]]\nnotebook = "{notebook}"\n'))


def main(notebook: str) -> None:
    """Make the lesson of this name, take its row out of those to come, and put it into the README."""
    lesson = next((each for each in planned() if each.notebook == notebook), None)
    if lesson is None or lesson.folder.exists():
        sys.exit(f"{notebook!r} is no lesson to come. Those are: {', '.join(each.notebook for each in planned())}.")
    make(lesson)
    MAP.write_text(without(notebook, MAP.read_text(encoding="utf-8")), encoding="utf-8")
    lessons.cache_clear()
    write_between(README, lessons_table(), "lessons")
    print(f"Made {lesson.folder} and notebooks/{notebook}.ipynb. Next: make notebooks BOOK={notebook}")


if __name__ == "__main__":
    main(*sys.argv[1:2] or [""])
