"""`rnntips lab · check · tips · run`, and the commands of `rnntips.commands`."""

import importlib
import json
import os
import re
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from importlib import metadata, resources
from pathlib import Path

import click

from rnntips.commands import DATA, agree, bench, classbook, findings, freeze, labbook, seconds, simulate, stills

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = ROOT / "notebooks"
START = "00_start_here.ipynb"
NEEDED = ("numpy", "torch", "matplotlib", "ipywidgets", "jupyterlab", "ipykernel")
FIRST_PORT, PORTS = 8888, 50
PATIENCE = 120  # seconds for the server to answer


@click.group()
@click.version_option(package_name="rnntips")
def main() -> None:
    """Train recurrent networks, many at once, and find out what the folklore is worth."""
    for stream in (sys.stdout, sys.stderr):  # Windows pipes know no arrows and no minus sign
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")


for command in (agree, bench, labbook, classbook, freeze, findings, seconds, simulate, stills):
    main.add_command(command)


@main.command()
@click.option("--no-browser", is_flag=True, help="Only print the address.")
def lab(no_browser: bool) -> None:
    """Open the workbook in JupyterLab, on this machine alone and behind a token."""
    if not NOTEBOOKS.is_dir():
        raise click.ClickException(
            f"No notebooks at {NOTEBOOKS}. Run this from a clone of the repository, installed with `make lab` "
            "or `pip install -e .`."
        )
    token, port = secrets.token_hex(24), _free_port()
    # the token goes through the environment: command lines are visible to every user of the machine
    environment = os.environ | {"JUPYTER_TOKEN": token}
    settings = resources.files("rnntips") / "data" / "lab"
    server = subprocess.Popen(
        [sys.executable, "-m", "jupyterlab", f"--ServerApp.root_dir={NOTEBOOKS}",
         "--ServerApp.ip=127.0.0.1", f"--ServerApp.port={port}", "--ServerApp.port_retries=0",
         f"--LabApp.default_url=/lab/tree/{START}", *(["--no-browser"] if no_browser else []),
         *(["--allow-root"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []),
         f"--LabApp.app_settings_dir={settings}", "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
         "--ServerApp.log_level=WARN"],
        env=environment,
    )  # fmt: skip
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # however this ends, the server ends with it
    try:
        _wait_for(server, port, token)
        address = f"http://127.0.0.1:{port}/lab/tree/{START}?token={token}"
        click.echo(f"The workbook is open at\n\n    {address}\n\nEnd it with Ctrl-C.")
        code = server.wait()
    except KeyboardInterrupt:
        code = 0
    finally:
        server.terminate()
        server.wait()
    sys.exit(code)


def _free_port() -> int:
    for port in range(FIRST_PORT, FIRST_PORT + PORTS):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise click.ClickException(
        f"No free port from {FIRST_PORT} to {FIRST_PORT + PORTS - 1}. Close another server first."
    )


def _wait_for(server: subprocess.Popen, port: int, token: str) -> None:
    request = urllib.request.Request(f"http://127.0.0.1:{port}/api/status", headers={"Authorization": f"token {token}"})
    directly = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # no proxy ever sees the token
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        if server.poll() is not None:
            raise click.ClickException(
                f"JupyterLab ended at once (exit status {server.returncode}); its message is above."
            )
        try:
            with directly.open(request, timeout=5):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    raise click.ClickException(f"JupyterLab did not answer within {PATIENCE} s. Try `rnntips check`.")


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
    if not NOTEBOOKS.is_dir():
        problems.append(f"There are no notebooks at {NOTEBOOKS}. Clone the repository and run from there.")
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
@click.option("--json", "as_json", is_flag=True, help="Machine-readable.")
def tips(as_json: bool) -> None:
    """List the tips and what the record says of each claim."""
    from rnntips.tips import Tips

    registry = Tips()
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
@click.option("--records", metavar="DIR", help="Keep the record in this folder; see `rnntips agree`.")
@click.option("--device", default="auto", show_default=True, help="cpu, cuda or auto.")
@click.option("--executor", metavar="WHERE", help="dask:ADDRESS of a scheduler, or processes:N on this machine.")
@click.option("--store", metavar="DIR", help="Keep finished runs in this folder, and go on from those that are there.")
@click.option("--json", "as_json", is_flag=True, help="Machine-readable.")
def run(tip, seeds, only_plan, stored, only_liveness, retune, write, records, device, executor, store, as_json) -> None:
    """Compute a tip's findings (`all`: every tip's), or show its plan or stored record."""
    from rnntips.arguments import resolve_device
    from rnntips.errors import RnntipsError
    from rnntips.executors import opened
    from rnntips.tips import Tips

    registry = Tips()
    try:
        if write and resolve_device(device, away=executor is not None) != "cpu":
            raise click.ClickException(
                "What is stored is a CPU's, and the notebooks show it. Keep a GPU's beside it with --records DIR and "
                "compare the two with `rnntips agree DIR`, or add --device cpu."
            )
        for name in registry if tip == "all" else [tip]:
            one = registry[name]
            if only_plan:
                _show_plan(one, as_json)
            elif only_liveness:
                _show_liveness(one, write, device, as_json)
            else:
                with opened(None if stored else executor) as workers:
                    how = {"executor": workers, "store": store}
                    _show_record(one, seeds, stored, retune, write, records, device, as_json, how)
    except RnntipsError as error:
        raise click.ClickException(str(error)) from None
    except KeyboardInterrupt:
        kept = f"Finished runs are in {store}; the same command goes on from them." if store else (
            "Nothing was kept. With --store DIR the same command would go on from here.")  # fmt: skip
        click.echo(f"\nStopped. {kept}", err=True)
        sys.exit(130)


def _show_plan(tip, as_json: bool) -> None:
    from rnntips.findings import plan_lines

    if not as_json:
        click.echo("\n".join(plan_lines(tip)))
        return
    runs, tflop = tip.cost()
    of = {"tip": tip.name, "plan": tip.plan_hash, "version": tip.version, "runs": runs, "tflop": tflop}
    click.echo(json.dumps(of | tip.plan))


def _show_liveness(tip, write: bool, device: str, as_json: bool) -> None:
    from rnntips.records import liveness

    rows = liveness(tip, device, say=lambda line: click.echo(line, err=True))
    if as_json:
        click.echo(json.dumps(rows))
    if write:
        _write(DATA / "liveness" / f"{tip.name}.json", rows)


def _show_record(tip, seeds, stored: bool, retune, write: bool, records, device: str, as_json: bool, how: dict) -> None:
    from rnntips.findings import lines
    from rnntips.progress import Progress, expected
    from rnntips.records import compute

    if write and seeds is not None:
        raise click.ClickException("--write stores the plan's own seeds; leave out --seeds.")
    if write and tip.version is None:
        raise click.ClickException(f"This plan is not in the ledger. Freeze it first: rnntips freeze {tip.name}.")
    if stored:
        record = tip.record
    else:
        progress = Progress(expected(tip, seeds, retune))
        record = compute(tip, seeds, retune, device, say=progress.say, done=progress.done, **how)
    if write:
        _write(DATA / "records" / f"{tip.name}.json", record)
    if records:
        _write(Path(records) / f"{tip.name}.json", record)
    click.echo(json.dumps(record) if as_json else "\n".join(lines(record)))


def _write(target: Path, content) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    text = re.sub(r"\[\s+([^][{}]*?)\s+\]", lambda row: f"[{' '.join(row[1].split())}]", json.dumps(content, indent=1))
    target.write_text(text + "\n", encoding="utf-8")  # a list of numbers on one line
    click.echo(f"wrote {target.name}", err=True)
