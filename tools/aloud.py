"""How long lessons take read aloud: `python -m tools.aloud` has espeak-ng speak them, and writes docs/teaching.md.

Spoken is what a reader sees as text: no code, no printed results, no folded evidence.
"""

import json
import re
import subprocess

from rnntips.notebook.lessons import Lesson, lessons
from tools.pages import ROOT, write_between

__all__ = ["seconds", "spoken"]

TEACHING = ROOT / "docs" / "teaching.md"
WORDS = 140  # a minute: of somebody who reads to a class
RATE = 22_050 * 2  # bytes of a second of speech
STOPS = re.compile(r"\*\*A class[^*]*stops here")
FOLDED = re.compile(r"<details.*?</details>", re.DOTALL)  # evidence and answers, for readers by themselves
MARKS = re.compile(r"```.*?```|<[^>]*>|\]\([^)]*\)|[*_`#|\[]|^\W*$", re.DOTALL | re.MULTILINE)


def spoken(lesson: Lesson) -> tuple[str, str]:
    """The text of a lesson to where a class stops, and all of it."""
    cells = json.loads((ROOT / "notebooks" / f"{lesson.notebook}.ipynb").read_text(encoding="utf-8"))["cells"]
    whole = "\n\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")
    whole = FOLDED.sub("", whole)
    return tuple(MARKS.sub(" ", part) for part in (STOPS.split(whole)[0], whole))


def seconds(text: str) -> float:
    """What speaking it takes."""
    said = subprocess.run(["espeak-ng", "-s", str(WORDS), "--stdin", "--stdout"], input=text.encode(), check=True,
                          capture_output=True)  # fmt: skip
    return len(said.stdout) / RATE


def minutes(text: str) -> str:
    return "{:.0f}:{:02.0f}".format(*divmod(round(seconds(text)), 60))


def main() -> None:
    rows = []
    for lesson in lessons():
        first, whole = spoken(lesson)
        rows.append(f"| `{lesson.notebook}` | {minutes(first)} | {minutes(whole)} |")
    head = ["| notebook | to where a class stops | all of it |", "| --- | --- | --- |"]
    write_between(TEACHING, "\n".join([*head, *rows]), "read aloud")


if __name__ == "__main__":
    main()
