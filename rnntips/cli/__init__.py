"""`rnntips lab · check · look · doctor · tips · labbook · classbook`."""

import ast
import importlib
import json
import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib import metadata
from typing import Any

import click

from rnntips.cli.lab import INSTALLED, checkout, lab
from rnntips.cli.pages import check_page, write_page
from rnntips.errors import RnntipsError

NEEDED = ("numpy", "torch", "matplotlib", "ipywidgets", "jupyterlab", "ipykernel")


@click.group()
@click.version_option(package_name="rnntips")
def main() -> None:
    """Train recurrent networks, many at once, and find out what the folklore is worth."""
    for stream in (sys.stdout, sys.stderr):  # Windows pipes know no arrows and no minus sign
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")


main.add_command(lab)


@main.command()
def check() -> None:
    """See whether everything the workbook needs is here; exit 0, or say how to fix it."""
    problems = []
    for name in NEEDED:
        try:
            importlib.import_module(name)
            click.echo(f"{name:12} {metadata.version(name)}")
        except ImportError as error:
            problems.append(f"{name} is missing or broken ({error}). Run `make env`, or `pip install -e .`.")
    if checkout() is None:
        problems.append(f"There are no notebooks here, nor at {INSTALLED}. Clone the repository and run from there.")
    if not problems:
        problems += _try_training()
    for problem in problems:
        click.echo(f"Problem: {problem}", err=True)
    if problems:
        sys.exit(1)
    click.echo("Everything is here.")


def _try_training() -> list[str]:
    """Train three small networks; they must get better than they started."""
    import rnntips as rt

    runs = rt.train(rt.Recipe(updates=40), rt.series.sines(), seeds=range(3), device="cpu")
    click.echo(f"{'training':12} 3 runs of 40 updates in {runs.seconds:.1f} s")
    if (runs.valid_score[:, -1] < 0.7 * runs.valid_score[:, 0]).all():
        return []
    return ["A short training did not lower the error. Reinstall with `make env`, and report this if it stays."]


@main.command()
@click.argument("file")
@click.argument("how", nargs=-1, metavar="[NAME=VALUE]...")
@click.option("--target", metavar="COLUMN", help="Column to forecast; not needed if only one may be.")
@click.option("--picture", metavar="OUT", help="Draw it into this PNG file.")
def look(file: str, how: Sequence[str], target: str | None, picture: str | None) -> None:
    """Say what a table of numbers over time is, what is doubtful in it, and what to begin with.

    NAME=VALUE settles what is doubtful, as for rnntips.series.from_csv: gaps=fill, missing=[-999], date=day,
    "where={'shop': 'A'}".
    """
    from rnntips.doctor.look import READING
    from rnntips.doctor.look import look as look_at

    if picture:
        check_page(picture, [file])
    try:
        seen = look_at(file, target, **dict(_named(argument, READING) for argument in how))
    except RnntipsError as error:
        raise click.ClickException(str(error)) from None
    click.echo(repr(seen))
    if picture:
        write_page(picture, seen.picture()._repr_png_())


@main.command()
@click.argument("file")
@click.argument("how", nargs=-1, metavar="[NAME=VALUE]...")
def doctor(file: str, how: Sequence[str]) -> None:
    """Say what the CSV log of a training shows, as Lightning or Keras writes it.

    naive=0.4 is the error of the obvious forecast, in the unit of the validation loss. A column whose title is not
    known is named by train_loss=COLUMN, valid_loss=COLUMN or gradient_norm=COLUMN.
    """
    from rnntips.doctor.log_checks import COLUMNS, read_file

    try:
        click.echo(repr(read_file(file, **dict(_named(argument, ("naive", *COLUMNS)) for argument in how))))
    except RnntipsError as error:
        raise click.ClickException(str(error)) from None


def _named(argument: str, known: Sequence[str]) -> tuple[str, Any]:
    """A name and its value, which is Python's where it can be read as that, else text."""
    name, equals, value = argument.partition("=")
    if name not in known or not equals:
        raise click.BadParameter(f"{argument!r}: NAME=VALUE is needed, with one of these names: {', '.join(known)}.")
    with suppress(ValueError, SyntaxError):
        return name, ast.literal_eval(value)
    return name, value


@main.command()
@click.option("--json", "as_json", is_flag=True, help="Machine-readable.")
def tips(as_json: bool) -> None:
    """List the tips and what the record says of each claim."""
    from rnntips.notebook.tips import tips as registry

    if as_json:
        rows = [
            {"tip": n, "question": t.question, "claims": t.words if t.has_record else {}} for n, t in registry.items()
        ]
        click.echo(json.dumps(rows))
        return
    for name, tip in registry.items():
        click.echo(f"{name}: {tip.question}")
        for claim in tip.plans.values():
            found = tip.words[claim.id] if tip.has_record else "no record"
            click.echo(f"  {claim.id:4} {found:14} {claim.says}")


@main.command()
@click.argument("file", required=False)
@click.option("--html", metavar="OUT", help="Write it as a page that needs nothing beside itself.")
def labbook(file: str | None, html: str | None) -> None:
    """Show a lab book: guesses, runs, exercises and notes. It stays on this machine."""
    from rnntips.notebook.labbook import LabBook, page
    from rnntips.notebook.labbook.book import FILE, read

    book = LabBook(file or LabBook().path or FILE)
    if html:
        check_page(html, [book.path])
    try:
        read(book.path)  # says what is wrong with a file that cannot be read
    except RnntipsError as error:
        raise click.ClickException(str(error)) from None
    click.echo("\n".join(page.lines(book)))
    if html:
        write_page(html, page.page(book))


@main.command()
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option("--html", metavar="OUT", help="Write it as a page that needs nothing beside itself, with figures.")
def classbook(files: Sequence[str], html: str | None) -> None:
    """Pool a class's lab books: every reader's finding, and that of all their seeds together."""
    from rnntips.notebook.labbook import classbook as pooling

    if html:
        check_page(html, files)
    try:
        book = pooling.gather(files)
    except RnntipsError as error:
        raise click.ClickException(str(error)) from None
    click.echo("\n".join(pooling.lines(book)))
    if html:
        write_page(html, pooling.page(book))
