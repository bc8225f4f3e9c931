"""A page or picture that a command writes: never in place of what was read, and its place is checked first."""

import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

import click

__all__ = ["check_page", "write_page"]


def check_page(name: str, sources: Sequence[str | Path]) -> None:
    """Say what is wrong with a page's place before anything is computed for it."""
    target = Path(name)
    try:
        if target.resolve() in [Path(source).resolve() for source in sources]:
            raise click.ClickException(f"{name} is the file that is read. Name another one.")
        if target.is_dir():
            raise click.ClickException(f"{name} is a folder. Name a file in it, such as {target / 'page.html'}.")
        if not os.access(target.parent, os.W_OK):
            why = "its folder is read-only" if target.parent.is_dir() else f"there is no folder {target.parent}"
            raise click.ClickException(f"{name} cannot be written ({why}). Name another file.")
    except (OSError, ValueError) as error:  # such as a name that is too long
        why = getattr(error, "strerror", None) or error
        raise click.ClickException(f"{name!r} cannot be written ({why}). Name another file.") from None


def write_page(name: str, content: str | bytes) -> None:
    """The page is there wholly or not at all."""
    part = Path(name).with_name(f"{uuid4().hex}.part")
    try:
        part.write_bytes(content.encode() if isinstance(content, str) else content)
        os.replace(part, name)
    except OSError as error:
        with suppress(OSError):
            part.unlink()
        raise click.ClickException(f"{name} cannot be written ({error.strerror}). Name another file.") from None
    click.echo(f"wrote {name}", err=True)
