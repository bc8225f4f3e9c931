"""`make attack`: whatever can be given, killed, filled up or set, for twenty minutes; a table of what survived.

A kind is attacked in a process of its own, for its share of the minutes, while a panel is pressed all the time.
"""

import json
import random
import subprocess
import sys
from pathlib import Path

import click
from inputs import arguments, class_books, damaged, panels, tables
from interruptions import file_operations, kills, lost_workers
from same_bits import determinism
from soak import pressed_panel
from tally import Tally

# What is attacked, with its share of the minutes; the last, all the time.
SHARES = {arguments: 14, tables: 12, damaged: 10, class_books: 8, panels: 16, file_operations: 8, kills: 10,
          lost_workers: 10, determinism: 12, pressed_panel: 0}  # fmt: skip
KINDS = {kind.__name__.replace("_", " "): kind for kind in SHARES}
START, PATIENCE = 10, 240  # seconds until a process is ready, and that it may take longer than its share


@click.command()
@click.option("--minutes", default=20.0, show_default=True)
@click.option("--seed", type=int, default=random.SystemRandom().getrandbits(32), help="Repeats an attack's choices.")
@click.option("--kind", "kinds", type=click.Choice(list(KINDS)), multiple=True, help="Of these alone.")
@click.option("--seconds", type=float, hidden=True, help="In the process of one kind.")
def main(minutes: float, seed: int, kinds: tuple[str, ...], seconds: float | None) -> None:
    """Attack the package, and print a table; exits with 1 if something did not survive."""
    if seconds:
        tally = Tally(random.Random(f"{seed} {kinds[0]}"), seconds)
        KINDS[kinds[0]](tally)
        print(json.dumps([tally.tries, tally.survived, tally.failures, tally.notes]))
        return
    chosen = {name: SHARES[kind] for name, kind in KINDS.items() if not kinds or name in kinds}
    each = minutes * 60 / max(1, sum(chosen.values()))
    pressed = [begun(name, minutes * 60 - START, seed) for name, share in chosen.items() if not share]
    click.echo(f"Seed {seed}, {minutes:g} minutes\n\n| kind | tries | survived |\n| --- | --- | --- |")
    said, lost = [], 0
    for name, share in chosen.items():
        process = begun(name, share * each - START, seed) if share else pressed.pop()
        tries, survived, failures, notes = ended(process, share * each)
        click.echo(f"| {name} | {tries:,} | {survived:,} |")
        said += [f"{name}: {note}" for note in notes] + [f"{name}: {what}\n    {by}" for what, by in failures.items()]
        lost += tries - survived
    click.echo("\n" + "\n".join(said))
    sys.exit(lost > 0)


def begun(name: str, seconds: float, seed: int) -> subprocess.Popen:
    command = [sys.executable, Path(__file__).parent, f"--kind={name}", f"--seconds={seconds}", f"--seed={seed}"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def ended(process: subprocess.Popen, seconds: float) -> list:
    """What it found; if it ended before it could say something, that is a failure as well."""
    try:
        out, wrong = process.communicate(timeout=seconds + PATIENCE)
        return json.loads(out.splitlines()[-1])
    except (IndexError, ValueError):
        return [1, 0, {f"the process ended with {process.returncode}": wrong[-1500:]}, []]
    except subprocess.TimeoutExpired:
        process.kill()
        return [1, 0, {"no end": f"after {seconds + PATIENCE:.0f} s"}, []]


if __name__ == "__main__":
    main(prog_name="make attack")
