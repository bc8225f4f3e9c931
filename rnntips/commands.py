"""The commands that measure, those that make and compare what is stored, and those that read lab books:
`rnntips agree · bench · freeze · findings · seconds · simulate · stills · labbook · classbook`."""

import json
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

import click

__all__ = ["DATA", "agree", "bench", "classbook", "findings", "freeze", "labbook", "seconds", "simulate", "stills"]

DOCS = Path(__file__).resolve().parent.parent / "docs"
DATA = Path(__file__).resolve().parent / "data"
ENGINE = DOCS / "engine.md"


@click.command()
@click.option("--rows", multiple=True, metavar="NAME", help="Measure these rows only; may be given several times.")
@click.option("--rounds", default=7, show_default=True, help="How often everything has its turn.")
@click.option("--device", default="cpu", show_default=True, help="cpu, cuda or auto.")
@click.option("--plan", "only_plan", is_flag=True, help="Only count what a GPU would have to do; needs none.")
@click.option("--bandwidth", type=float, help="Of the chip that --plan counts for, TB/s; an H200's if not given.")
@click.option("--flops", type=float, help="Its float32 products, TFLOP/s; an H200's if not given.")
@click.option("--write", is_flag=True, help="Put the table into docs/engine.md.")
@click.option("--json", "as_json", is_flag=True, help="Machine-readable.")
def bench(rows, rounds, device, only_plan, bandwidth, flops, write, as_json) -> None:
    """Time the training engine against what would be run instead; takes minutes, on a machine that rests."""
    from rnntips import bench as benchmark
    from rnntips.errors import RnntipsError

    chip = {name: value for name, value in (("bandwidth", bandwidth), ("flops", flops)) if value is not None}
    if write and (rows or chip):
        raise click.ClickException("--write stores the whole table; leave out --rows, --bandwidth and --flops.")
    if (only_plan and (device != "cuda" or rows or as_json)) or (chip and not only_plan):
        usage = "rnntips bench --device cuda --plan [--bandwidth TB/s] [--flops TFLOP/s] [--write]"
        raise click.ClickException(f"Only updates on a GPU are counted: {usage}")
    try:
        if only_plan:
            name, shown = "bench cuda plan", (text := benchmark.plan(**chip))
        else:
            found = benchmark.measure(rows, device, rounds, say=lambda line: click.echo(line, err=True))
            text, name = benchmark.table(found), f"bench {found['device']}"
            shown = json.dumps(found) if as_json else text
        click.echo(shown)
        if write:
            benchmark.write(ENGINE, text, name)
    except RnntipsError as error:
        raise click.ClickException(str(error)) from None


@click.command()
@click.argument("folder")
@click.argument("other", required=False)
@click.option("--json", "as_json", is_flag=True, help="Machine-readable.")
def agree(folder: str, other: str | None, as_json: bool) -> None:
    """Compare a folder's records with those of OTHER, or the stored ones, claim by claim; exit 1 if a claim differs."""
    from rnntips.agreement import agreement, lines, read
    from rnntips.errors import RnntipsError
    from rnntips.tips import Tips

    try:
        here = read(folder)
        there = read(other) if other else {name: tip for name, tip in Tips().items() if tip.has_record}
        for name in here.keys() - there.keys():
            raise click.ClickException(f"There is no other record of {name} to compare with.")
        found = agreement({name: (here[name], there[name]) for name in here})
    except RnntipsError as error:
        raise click.ClickException(str(error)) from None
    click.echo(json.dumps(found) if as_json else "\n".join(lines(found)))
    if any(claim["agrees"] is False for tip in found for claim in tip["claims"]):
        sys.exit(1)


@click.command()
@click.argument("tip")
def freeze(tip: str) -> None:
    """Write a tip's plan into the ledger, before its record is computed."""
    from rnntips.errors import RnntipsError
    from rnntips.tips import Tips

    try:
        line = Tips()[tip].freeze()
    except RnntipsError as error:
        raise click.ClickException(str(error)) from None
    click.echo(f"{tip}: plan version {line['version']} ({line['plan']}), frozen {line['frozen']}")


@click.command()
@click.option("--write", is_flag=True, help="Store it as docs/findings.md.")
def findings(write: bool) -> None:
    """Show every claim with its word and numbers, as a page. It gives the answers away."""
    from rnntips.findings import page
    from rnntips.tips import Tips

    text = page(Tips())
    if write:
        (DOCS / "findings.md").write_text(text, encoding="utf-8")
    else:
        click.echo(text)


@click.command()
@click.argument("tip")
@click.option("--write", is_flag=True, help="Store them beside those of other plans.")
def seconds(tip: str, write: bool) -> None:
    """Time what a plan's budgets in seconds need, one thread, on a machine that rests. Frozen plans keep theirs."""
    from rnntips.budget import speeds
    from rnntips.errors import RnntipsError
    from rnntips.kernels.pool import ALONE
    from rnntips.timing import speeds_of
    from rnntips.tips import Tips

    token = ALONE.set(True)
    try:
        registry = Tips()
        if write and registry[tip].version is not None:
            raise click.ClickException(f"The plan of {tip} is frozen, and its budgets with it.")
        rows = [speeds_of(*each) for each in registry[tip].timed()]
    except RnntipsError as error:
        raise click.ClickException(str(error)) from None
    finally:
        ALONE.reset(token)
    others = [row for row in speeds() if row["shape"] not in [one["shape"] for one in rows]]
    if write:
        (DATA / "seconds.json").write_text(json.dumps(others + rows, indent=1) + "\n", encoding="utf-8")
    click.echo(json.dumps(rows, indent=1))


@click.command()
@click.argument("tip")
def stills(tip: str) -> None:
    """Run a tip's panel and its case that fails, and store the pictures, which are shown where there is no kernel."""
    from rnntips.errors import RnntipsError
    from rnntips.figures import both
    from rnntips.panels import Panel

    try:
        panels = [Panel(tip), Panel(tip)]
        panels[1].where_it_fails()
        for panel in panels:
            study = panel.study()
            panel.still.parent.mkdir(exist_ok=True)
            panel.still.write_bytes(both(study, title=study.sentence)._repr_png_())
            click.echo(f"wrote {panel.still.name}", err=True)
    except RnntipsError as error:
        raise click.ClickException(str(error)) from None


@click.command()
@click.option("--rounds", default=400, show_default=True, type=click.IntRange(1), help="Records of every truth.")
@click.option(
    "--seeds", default=20, show_default=True, type=click.IntRange(10), help="First, and as many fresh, seeds."
)
@click.option("--write", is_flag=True, help="Put the table into docs/rule.md.")
def simulate(rounds: int, seeds: int, write: bool) -> None:
    """Try the rule on made-up runs whose truth is known; takes minutes."""
    from rnntips import simulation
    from rnntips.bench.table import write as write_between

    text = simulation.table(simulation.simulate(rounds, seeds, say=click.echo), rounds, seeds)
    if write:
        write_between(DOCS / "rule.md", text, "rnntips simulate")


@click.command()
@click.argument("file", required=False)
@click.option("--html", metavar="OUT", help="Write it as a page that needs nothing beside itself.")
def labbook(file: str | None, html: str | None) -> None:
    """Show a lab book: guesses, runs, exercises and notes. It stays on this machine."""
    from rnntips.errors import RnntipsError
    from rnntips.labbook import LabBook, page
    from rnntips.labbook.book import FILE, read

    book = LabBook(file or LabBook().path or FILE)
    try:
        read(book.path)  # says what is wrong with a file that cannot be read
    except RnntipsError as error:
        raise click.ClickException(str(error)) from None
    click.echo("\n".join(page.lines(book)))
    if html:
        _write_page(html, page.page(book), [book.path])


@click.command()
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option("--html", metavar="OUT", help="Write it as a page that needs nothing beside itself, with figures.")
def classbook(files: Sequence[str], html: str | None) -> None:
    """Pool a class's lab books: every reader's finding, and that of all their seeds together."""
    from rnntips.errors import RnntipsError
    from rnntips.labbook import classbook as pooling

    try:
        click.echo("\n".join(pooling.lines(files)))
        if html:
            _write_page(html, pooling.page(files), files)
    except RnntipsError as error:
        raise click.ClickException(str(error)) from None


def _write_page(name: str, content: str, sources: Sequence[str | Path]) -> None:
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
