"""From a checkout: `python -m evidence run · agree · freeze · findings · long · published · seconds · simulate · …`."""

import json
import re
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import click

from evidence import agreement, long_run, pipeline, simulation
from evidence import doctor as calibration
from evidence import findings as pages
from evidence import published as s2
from evidence.plans import Plan, plans
from evidence.records import compute, liveness, parts_of
from evidence.records import judge as judged
from evidence.timing import speeds_of
from rnntips.engine.calibration import speeds
from rnntips.engine.devices import resolve_device
from rnntips.engine.threads import ALONE
from rnntips.errors import RnntipsError
from rnntips.jobs.execute import Resources
from rnntips.jobs.executors import opened
from rnntips.jobs.store import folder
from rnntips.notebook.tips import tips
from tools.pages import write_between

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
LONG = ROOT / "rnntips" / "data" / "long_run.json"
SECONDS = ROOT / "rnntips" / "data" / "update_seconds.json"


class InWords(click.Group):
    """Commands whose errors end them with a sentence."""

    def invoke(self, context: click.Context):
        try:
            return super().invoke(context)
        except RnntipsError as error:
            raise click.ClickException(str(error)) from None


@click.group(cls=InWords)
def main() -> None:
    """Compute, compare and show what the lessons' records say."""
    for stream in (sys.stdout, sys.stderr):  # Windows pipes know no arrows and no minus sign
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")


def _plan(name: str) -> Plan:
    return Plan(tips[name])


def _seeds(_context, _parameter, text: str | None) -> list[int] | None:
    """`0:20`, or `3,5,8`."""
    if text is None:
        return None
    try:
        if ":" in text:
            first, end = text.split(":")
            return list(range(int(first or 0), int(end)))
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise click.BadParameter(f"{text!r}: write a range such as 0:20 or a list such as 3,5,8.") from None


@main.command()
@click.argument("tip")
@click.option(
    "--seeds", callback=_seeds, help="Seeds to run, for example 0:20; the plan's first and fresh seeds if not given."
)
@click.option("--plan", "only_plan", is_flag=True, help="Show what would be run and what it costs; run nothing.")
@click.option("--stored", is_flag=True, help="Show the stored record; run nothing.")
@click.option("--liveness", "only_liveness", is_flag=True, help="Only see how far each setting and side gets.")
@click.option("--retune", is_flag=True, help="Choose learning rates anew instead of taking the stored ones.")
@click.option("--write", is_flag=True, help="Make the result the stored record, which is a CPU's.")
@click.option("--records", metavar="DIR", help="Keep the record in this folder; see `agree`.")
@click.option("--device", default="auto", show_default=True, help="cpu, cuda or auto.")
@click.option("--executor", metavar="WHERE", help="dask:ADDRESS of a scheduler, or processes:N on this machine.")
@click.option("--store", metavar="DIR", help="Keep finished runs in this folder, and go on from those that are there.")
@click.option("--json", "as_json", is_flag=True, help="Machine-readable.")
def run(tip, seeds, only_plan, stored, only_liveness, retune, write, records, device, executor, store, as_json) -> None:
    """Compute a tip's findings (`all`: every tip's), or show its plan or stored record."""
    if write and resolve_device(device, away=executor is not None) != "cpu":
        raise click.ClickException(
            "What is stored is a CPU's, and the notebooks show it. Keep a GPU's beside it with --records DIR and "
            "compare the two with `python -m evidence agree DIR`, or add --device cpu."
        )
    records = records and folder("--records", records)  # before hours are spent on what goes there
    try:
        for plan in plans().values() if tip == "all" else [_plan(tip)]:
            if only_plan:
                _show_plan(plan, as_json)
            elif only_liveness:
                _show_liveness(plan, write, device, as_json, store)
            elif stored:
                _show(plan.tip.record, as_json)
            else:
                with opened(executor) as workers:
                    record = _computed(plan, seeds, retune, write, device, {"executor": workers, "store": store})
                for file in [plan.tip.lesson.folder / "record.json"] * write + [_in(records, plan)] * bool(records):
                    _write(file, record)
                _show(record, as_json)
    except KeyboardInterrupt:
        kept = f"Finished runs are in {store}; the same command goes on from them." if store else (
            "Nothing was kept. With --store DIR the same command would go on from here.")  # fmt: skip
        click.echo(f"\nStopped. {kept}", err=True)
        sys.exit(130)


def _in(records: Path | None, plan: Plan) -> Path:
    return Path(records or "") / f"{plan.name}.json"


def _show_plan(plan: Plan, as_json: bool) -> None:
    if not as_json:
        click.echo("\n".join(pages.plan_lines(plan)))
        return
    runs, tflop = plan.cost()
    of = {"tip": plan.name, "plan": plan.plan_hash, "version": plan.version, "runs": runs, "tflop": tflop}
    click.echo(json.dumps(of | plan.given))


def _show_liveness(plan: Plan, write: bool, device: str, as_json: bool, store: str | None) -> None:
    rows = liveness(plan, device, say=_told, store=store)
    if as_json:
        click.echo(json.dumps(rows))
    if write:
        _write(plan.tip.lesson.folder / "liveness.json", pipeline.look(plan, rows))


def _computed(plan: Plan, seeds: Sequence[int] | None, retune: bool, write: bool, device: str, where: dict) -> dict:
    if write and seeds is not None:
        raise click.ClickException("--write stores the plan's own seeds; leave out --seeds.")
    if write and plan.version is None:
        raise click.ClickException(
            f"This plan is not in the ledger. Freeze it first: python -m evidence freeze {plan.name}."
        )
    # shown on a terminal alone; elsewhere what is said after each setting tells how far it is
    with click.progressbar(length=plan.expected(seeds, retune), label="runs", show_pos=True, file=sys.stderr) as bar:
        return compute(plan, seeds, retune, device, say=lambda line: click.echo(f"\n{line}", err=True),
                       done=lambda runs, trained: bar.update(runs), **where)  # fmt: skip


def _show(record: dict, as_json: bool) -> None:
    click.echo(json.dumps(record) if as_json else "\n".join(pages.lines(record)))


def _write(target: Path, content) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    text = re.sub(r"\[\s+([^][{}]*?)\s+\]", lambda row: f"[{' '.join(row[1].split())}]", json.dumps(content, indent=1))
    target.write_text(text + "\n", encoding="utf-8")  # a list of numbers on one line
    click.echo(f"wrote {target.parent.name}/{target.name}", err=True)


@main.command()
@click.argument("records", metavar="FOLDER")
@click.argument("other", required=False)
@click.option("--json", "as_json", is_flag=True, help="Machine-readable.")
def agree(records: str, other: str | None, as_json: bool) -> None:
    """Compare a folder's records with those of OTHER, or the stored ones, claim by claim; exit 1 if a claim differs."""
    here = agreement.read(records)
    there = agreement.read(other) if other else {name: plan for name, plan in plans().items() if plan.tip.has_record}
    for name in here.keys() - there.keys():
        raise click.ClickException(f"There is no other record of {name} to compare with.")
    found = agreement.agreement({name: (here[name], there[name]) for name in here})
    click.echo(json.dumps(found) if as_json else "\n".join(agreement.lines(found)))
    if any(claim["agrees"] is False for tip in found for claim in tip["claims"]):
        sys.exit(1)


@main.command()
@click.argument("tip")
@click.option(
    "--store", default="records-cpu/runs", show_default=True, metavar="DIR", help="Where finished runs are kept."
)
def make(tip: str, store: str) -> None:
    """Take a tip (`all`: every tip) from its plan to its page; after an interrupt the same command goes on."""
    for plan in plans().values() if tip == "all" else [_plan(tip)]:
        try:
            pipeline.make(plan, _write, stills.callback, lambda: findings.callback(write=True), say=_told, store=store)
        except KeyboardInterrupt:
            _told(f"Stopped. Finished runs are in {store}; the same command goes on from them.")
            sys.exit(130)


def _told(line: str) -> None:
    click.echo(line, err=True)


@main.command()
@click.option("--steps", type=click.IntRange(100), help="Of a sequence, a multiple of 100; S2 has 20,000.")
@click.option("--epochs", "count", type=click.IntRange(1), help="The record's if not given.")
@click.option("--seeds", callback=_seeds, default="0:10", show_default=True, help="One run each.")
@click.option("--time", "only_time", is_flag=True, help="Only time an epoch of every side, with one run.")
@click.option("--write", is_flag=True, help="Store the curves for the lesson's figure.")
@click.option("--device", default="auto", show_default=True, help="cpu, cuda or auto.")
@click.option("--store", metavar="DIR", help="Keep finished runs in this folder, and go on from those that are there.")
def published(steps, count, seeds, only_time, write, device, store) -> None:
    """Train S2's experiment, as printed and repaired, at the record's length or another; losses epoch by epoch."""
    if steps and steps % 100:
        raise click.BadParameter(f"--steps {steps}: S2's schedule begins with a hundredth, so take a multiple of 100.")
    if only_time:
        s2.timed(steps or 2_000, click.echo)
        return
    found = s2.compute(replace(Resources.of(device, store=store), stop=None), seeds, steps, count, click.echo)
    if write:
        _write(tips["long_sequences"].lesson.folder / "curves.json", found)


@main.command()
@click.option("--write", is_flag=True, help="Store it, for the texts of lessons.")
@click.option("--device", default="auto", show_default=True, help="cpu, cuda or auto.")
@click.option("--store", metavar="DIR", help="Keep finished runs in this folder, and go on from those that are there.")
def long(write: bool, device: str, store: str | None) -> None:
    """Compute the shared long run: learning rates for 300, 1,500 and 6,000 updates on text."""
    found = long_run.compute(replace(Resources.of(device, store=store), stop=None), click.echo)
    if write:
        _write(LONG, found)


@main.command()
@click.argument("tip")
@click.option("--write", is_flag=True, help="Store the words.")
def judge(tip: str, write: bool) -> None:
    """Judge the runs of a tip's stored record (`all`: every tip's) again, after the rule changed; train nothing."""
    for plan in plans().values() if tip == "all" else [_plan(tip)]:
        if plan.recorded:
            parts = parts_of(plan)
            before = plan.tip.record.get("words before", plan.tip.words)
            record = plan.tip.record | {
                "words before": before,
                "claims": [judged(claim, parts) for claim in plan.claims.values()],
            }
            click.echo(f"{plan.name}:")
            _show(record, False)
            if write:
                _write(plan.tip.lesson.folder / "record.json", record)


@main.command()
@click.argument("tip")
def freeze(tip: str) -> None:
    """Write a tip's plan into the ledger, before its record is computed."""
    line = pipeline.freeze(_plan(tip))
    click.echo(f"{tip}: plan version {line['version']} ({line['plan']}), frozen {line['frozen']}")


@main.command()
@click.option("--write", is_flag=True, help="Store it as docs/findings.md.")
def findings(write: bool) -> None:
    """Show every claim with its word and numbers, as a page. It gives the answers away."""
    text = pages.page(plans())
    if write:
        (DOCS / "findings.md").write_text(text, encoding="utf-8")
    else:
        click.echo(text)


@main.command()
@click.option("--write", is_flag=True, help="Store it, with docs/doctor.md and the ranges that findings name.")
@click.option("--stored", is_flag=True, help="Write page and ranges of what is stored; examine nothing.")
@click.option("--store", default="records-cpu/doctor.jsonl", show_default=True, help="Where finished ones are kept.")
def doctor(write: bool, stored: bool, store: str) -> None:
    """Try the doctor on healthy programs and on programs with one fault; takes most of an hour on two cores."""
    kept = ROOT / "rnntips" / "lessons" / "bugs_in_the_loop" / "doctor.json"
    if stored:
        found = json.loads(kept.read_text(encoding="utf-8"))
    else:
        Path(store).parent.mkdir(parents=True, exist_ok=True)
        found = calibration.compute(Path(store), _told)
    if write:
        _write(kept, found)
        (ROOT / "rnntips" / "doctor" / "healthy.toml").write_text(calibration.healthy_toml(found), encoding="utf-8")
        (DOCS / "doctor.md").write_text(calibration.page(found), encoding="utf-8")
    else:
        click.echo(calibration.page(found))


@main.command()
@click.argument("tip")
@click.option("--write", is_flag=True, help="Store them beside those of other plans.")
def seconds(tip: str, write: bool) -> None:
    """Time what a plan's budgets in seconds need, one thread, on a machine that rests. Frozen plans keep theirs."""
    plan = _plan(tip)
    if write and plan.version is not None:
        raise click.ClickException(f"The plan of {tip} is frozen, and its budgets with it.")
    token = ALONE.set(True)
    try:
        rows = [speeds_of(*each) for each in plan.timed()]
    finally:
        ALONE.reset(token)
    others = [row for row in speeds() if row["shape"] not in [one["shape"] for one in rows]]
    if write:
        SECONDS.write_text(json.dumps(others + rows, indent=1) + "\n", encoding="utf-8")
    click.echo(json.dumps(rows, indent=1))


@main.command()
@click.argument("tip")
def stills(tip: str) -> None:
    """Run a tip's panel and its case that fails, and store the pictures, which are shown where there is no kernel."""
    from rnntips.figures import both
    from rnntips.notebook.panels import Panel

    panels = [Panel(tip), Panel(tip)]
    panels[1].where_it_fails()
    for panel in panels:
        study = panel.study()
        panel.still.write_bytes(both(study, title=study.sentence)._repr_png_())
        click.echo(f"wrote {panel.still.name}", err=True)


@main.command()
@click.option("--rounds", default=300, show_default=True, type=click.IntRange(1), help="Records of every truth.")
@click.option("--tuning", default=10, show_default=True, type=click.IntRange(1), help="Tuning seeds of each part.")
@click.option("--write", is_flag=True, help="Put the table into docs/rule.md.")
def simulate(rounds: int, tuning: int, write: bool) -> None:
    """Try the rule on made-up runs whose truth is known; takes minutes."""
    text = simulation.table(simulation.simulate(rounds, tuning, say=click.echo), rounds, tuning)
    if write:
        write_between(DOCS / "rule.md", text, "evidence simulate")


if __name__ == "__main__":
    main(prog_name="python -m evidence")
