"""A result of `measure` as a table."""

from collections.abc import Mapping

__all__ = ["number", "table"]


def number(value: float) -> str:
    """Three digits."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:#.3g}".rstrip(".")


def table(result: Mapping) -> str:
    """Markdown with aligned columns, so that it is read in a terminal too; machine and notes are below."""
    head, body = ["what", "measured", "to reach", "met", "from"], []
    for row in result["rows"]:
        parts = ", ".join(f"{name}: {number(value)}" for name, value in row["parts"].items())
        met = {None: "", True: "yes", False: "no"}[row["met"]]
        measured = f"{number(row['value'])} {row['unit']}"
        body.append([row["name"], measured, row["target"], met, f"{parts} {row['parts_unit']}".strip()])
    widths = [max(map(len, column)) for column in zip(head, *body, strict=True)]
    lines = [
        f"| {' | '.join(cell.ljust(width) for cell, width in zip(line, widths, strict=True))} |"
        for line in [head, ["-" * width for width in widths], *body]
    ]
    machine = ", ".join(f"{name} {value}" for name, value in result["machine"].items())
    return "\n\n".join(["\n".join(lines), f"Measured on: {machine}.", *result["notes"]])
