"""A result of `measure` as a table, and the table's place in a page."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from rnntips.errors import BadData

__all__ = ["aligned", "number", "table", "write"]


def number(value: float) -> str:
    """Three digits."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:#.3g}".rstrip(".")


def table(result: Mapping) -> str:
    """Markdown with aligned columns, so that it is read in a terminal too; machine and notes are below."""
    lines = [["what", "measured", "to reach", "met", "from"]]
    for row in result["rows"]:
        parts = ", ".join(f"{name}: {number(value)}" for name, value in row["parts"].items())
        met = {None: "", True: "yes", False: "no"}[row["met"]]
        measured = f"{number(row['value'])} {row['unit']}"
        lines.append([row["name"], measured, row["target"], met, f"{parts} {row['parts_unit']}".strip()])
    machine = ", ".join(f"{name} {value}" for name, value in result["machine"].items())
    return "\n\n".join([aligned(lines), f"Measured on: {machine}.", *result["notes"]])


def aligned(lines: Sequence[Sequence[str]]) -> str:
    """Markdown of a table, head first, whose columns stand below each other."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    head, *body = lines
    return "\n".join(
        f"| {' | '.join(cell.ljust(width) for cell, width in zip(line, widths, strict=True))} |".rstrip()
        for line in [head, ["-" * width for width in widths], *body]
    )


def write(page: Path, text: str, name: str) -> None:
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
