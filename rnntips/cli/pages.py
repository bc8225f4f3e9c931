"""A page that a command writes."""

import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

import click

__all__ = ["write_page"]


def write_page(name: str, content: str, sources: Sequence[str | Path]) -> None:
    """The page is there wholly or not at all, and never in place of a book."""
    target = Path(name)
    if target.resolve() in [Path(source).resolve() for source in sources]:
        raise click.ClickException(f"{name} is a lab book itself. Give the page another name.")
    part = target.with_name(f"{uuid4().hex}.part")
    try:
        part.write_text(content, encoding="utf-8", newline="\n")
        os.replace(part, target)
    except OSError as error:
        with suppress(OSError):
            part.unlink()
        raise click.ClickException(f"{name} cannot be written ({error.strerror}). Name another file.") from None
    click.echo(f"wrote {name}", err=True)
