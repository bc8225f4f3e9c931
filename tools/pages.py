"""Generated parts of pages, each between two comments: `python -m tools.pages` writes the README's table of lessons."""

from pathlib import Path

from rnntips.errors import BadData
from rnntips.notebook.lessons import lessons

__all__ = ["README", "lessons_table", "write_between"]

README = Path(__file__).resolve().parents[1] / "README.md"


def lessons_table() -> str:
    """The lessons that are there, for the README."""
    rows = [f"| [`{each.notebook}`](notebooks/{each.notebook}.ipynb) | {each.question} | {each.minutes} |"
            for each in lessons()]  # fmt: skip
    return "\n".join(["| notebook | question | minutes |", "| --- | --- | --- |", *rows])


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


if __name__ == "__main__":
    write_between(README, lessons_table(), "lessons")
