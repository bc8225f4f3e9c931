"""From a checkout: `python -m benchmarks`."""

import json
from pathlib import Path

import click

import benchmarks
from benchmarks.table import table
from rnntips.errors import RnntipsError
from tools.pages import write_between

ENGINE = Path(__file__).resolve().parent.parent / "docs" / "engine.md"


@click.command()
@click.option("--rows", multiple=True, metavar="NAME", help="Measure these rows only; may be given several times.")
@click.option("--rounds", default=benchmarks.ROUNDS, show_default=True, help="How often everything has its turn.")
@click.option("--device", default="cpu", show_default=True, help="cpu, cuda or auto.")
@click.option("--write", is_flag=True, help="Put the table into docs/engine.md.")
@click.option("--json", "as_json", is_flag=True, help="Machine-readable.")
def main(rows, rounds, device, write, as_json) -> None:
    """Time the training engine against what would be run instead; takes minutes, on a machine that rests."""
    if write and rows:
        raise click.ClickException("--write stores the whole table; leave out --rows.")
    try:
        found = benchmarks.measure(rows, device, rounds, say=lambda line: click.echo(line, err=True))
        click.echo(json.dumps(found) if as_json else table(found))
        if write:
            write_between(ENGINE, table(found), f"bench {found['device']}")
    except RnntipsError as error:
        raise click.ClickException(str(error)) from None


if __name__ == "__main__":
    main(prog_name="python -m benchmarks")
