"""Generated pages and parts of pages: `python -m tools.pages` writes the README's tables, the cheat sheet and the map.

A part of a page stands between two comments.
"""

import re
import tomllib
from pathlib import Path

from rnntips.cli.lab import START
from rnntips.errors import BadData
from rnntips.notebook.labbook.lesson_map import by_symptom
from rnntips.notebook.lessons import Lesson, lessons
from rnntips.notebook.tips import RULE, tips

__all__ = ["README", "SHEET", "SYMPTOMS", "cheatsheet", "lessons_table", "repository", "symptoms_page",
           "write_between", "write_readme"]  # fmt: skip

ROOT = Path(__file__).resolve().parents[1]
README, SHEET, SYMPTOMS = ROOT / "README.md", ROOT / "docs" / "cheatsheet.md", ROOT / "docs" / "symptoms.md"
NOTEBOOKS = "../notebooks/"  # from docs/
GENERATED = "`make docs` writes this page. Do not edit it."


def lessons_table() -> str:
    """The lessons that are there, for the README."""
    rows = [f"| [`{each.notebook}`](notebooks/{each.notebook}.ipynb) | {each.question} | {each.minutes} |"
            for each in lessons()]  # fmt: skip
    return "\n".join(["| notebook | question | minutes |", "| --- | --- | --- |", *rows])


def symptoms_page() -> str:
    """What goes wrong, with measures, first actions and lessons: docs/symptoms.md."""
    return f"""# My network does not train
Find what you see. Measure before you change anything, and change one thing at a time. What to do first is common
practice; the lessons put it to the test.

{by_symptom(NOTEBOOKS)}

*Naive* is the error of the obvious answer: the last value of a series, or the most frequent class. Errors are shares
of it: at 1.0 a network has learned nothing that is of use.

For a table of your own, `rt.look("file.csv", target="column")` measures naive, a linear forecast, and what is doubtful
in the data. For a network of your own, `rt.doctor.check(model, inputs, targets, loss)` looks for faults with one batch,
`rt.doctor.watch(model, optimizer)` in the loop, and `rnntips doctor LOG.csv` in the log of a training; how often it is
right: [the doctor's record](doctor.md). All rules on one page: [the cheat sheet](cheatsheet.md).

{GENERATED}
"""


def cheatsheet() -> str:
    """All tables of rules on one page: docs/cheatsheet.md."""
    ruled = [each for each in lessons() if "rule" in each.toml and tips[each.name].has_record]
    others = [each for each in lessons() if each not in ruled and each.form != "own"]
    rules = {each: _rule(each) for each in ruled}
    start = [f"| {_link(each)} | {rules[each]['start']} | {rules[each]['do']} |" for each in ruled]
    change = [f"| {_link(each)} | {rules[each]['not_when']} | {rules[each]['check']} |" for each in ruled]
    rest = [f"- {_link(each)}: {each.question}" for each in others]
    return "\n".join([
        "# Cheat sheet",
        "Every number comes from the record of its lesson, or is called common practice. Errors are shares of *naive*,",
        "the error of the obvious answer. The networks of the records have up to 128 units, and train for up to some",
        "thousands of updates.",
        "", "## Start here",
        "Change one thing at a time, and compare on several seeds.",
        "", f"| | {RULE['start'].lower()} | {RULE['do'].lower()} |", "|---|---|---|", *start,
        "", "## Then change this, if you see that",
        "What you see may also stand on the page [My network does not train](symptoms.md).",
        "", f"| | {RULE['not_when'].lower()} | {RULE['check'].lower()} |", "|---|---|---|", *change,
        *(["", "## Lessons without a rule yet", *rest] if rest else []),
        "", GENERATED, "",
    ])  # fmt: skip


def _link(lesson: Lesson) -> str:
    return f"[{lesson.title}]({NOTEBOOKS}{lesson.notebook}.ipynb)"


def _rule(lesson: Lesson) -> dict[str, str]:
    """The parts of a lesson's rule, their numbers filled in, and their links leading from docs/ to the notebooks."""
    rule, numbers = lesson.toml["rule"], tips[lesson.name].numbers()
    return {name: re.sub(r"\]\((?=\w+\.ipynb)", f"]({NOTEBOOKS}", rule[name].format_map(numbers)) for name in RULE}


def repository() -> str:
    """The address on GitHub that `pyproject.toml` names, the one place where its owner stands.

    Raises:
        BadData: It is no address of a repository on GitHub.
    """
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    address = project["urls"]["Repository"]
    if not re.fullmatch(r"https://github\.com/[\w.-]+/[\w.-]+", address):
        raise BadData(f"pyproject.toml: Repository is {address!r}; it must be like https://github.com/OWNER/rnntips.")
    return address


def ways(address: str) -> str:
    """Where the repository at this address opens without an installation, for the README."""
    name = address.removeprefix("https://github.com/")
    binder = f"https://mybinder.org/v2/gh/{name}/HEAD?urlpath=lab/tree/{START}"
    on_colab = f"https://colab.research.google.com/github/{name}/blob/HEAD/{START}"
    return (
        f"[![Open in Binder](https://mybinder.org/badge_logo.svg)]({binder})\n"
        f"[![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)]({on_colab})"
    )


def colab(address: str) -> str:
    """The cell that installs from this address on Google Colab, for the README."""
    return f'    %pip install "numba>=0.61"\n    %pip install --no-deps git+{address}'


def write_between(page: Path, text: str, name: str) -> None:
    """Replace what stands in the page between the markers of this name.

    Raises:
        BadData: The page is missing or does not have both markers once, in order.
    """
    begin, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
    content = page.read_text(encoding="utf-8") if page.is_file() else ""
    before, found, rest = content.partition(begin)
    _, closed, after = rest.partition(end)
    if not (found and closed) or content.count(begin) + content.count(end) > 2:
        raise BadData(f"{page}: a page with {begin} and, below it, {end}, each once, is needed to write a table into.")
    page.write_text(f"{before}{begin}\n{text}\n{end}{after}", encoding="utf-8")


def write_readme(page: Path, address: str) -> None:
    """Write every generated part of the README, for the repository at this address."""
    for name, text in {"lessons": lessons_table(), "ways": ways(address), "colab": colab(address)}.items():
        write_between(page, text, name)


if __name__ == "__main__":
    write_readme(README, repository())
    SYMPTOMS.write_text(symptoms_page(), encoding="utf-8")
    SHEET.write_text(cheatsheet(), encoding="utf-8")
