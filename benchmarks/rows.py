"""The rows of the benchmark on a CPU: what is timed, against what, and the number to reach."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from statistics import median

import numpy as np
import torch

from benchmarks import peers, rounds
from benchmarks.peak_memory import memory
from benchmarks.peers import CELLS, Size
from benchmarks.rounds import medians
from evidence.timing import clocked, milliseconds
from rnntips import engine, series
from rnntips.cells import GATES
from rnntips.notebook.tips import Tips
from rnntips.runs import Runs
from rnntips.study import compare
from rnntips.tasks import forecast
from rnntips.tasks.settings import SETTINGS

__all__ = ["GROUPS", "LARGE", "demand", "row"]

SMALL, LARGE = Size(20, 16, 32, 24), Size(16, 32, 64, 32)
SIZES = {"small": SMALL, "large": LARGE}
CEILING = 2048  # rows and columns of the matrix product that counts as the machine's ceiling
LEAST_OVER_LOOP = {"tanh": 10, "gru": 25, "lstm": 3.5}
UPDATES, SEEDS = 300, range(10)  # of a training with a recipe's defaults, and of a panel's side
LOOK = 0.001  # seconds between looks at a record
LONGEST = 20_000
# letter → (what the cost is divided by, the size, the letter's values, the two that are compared, at most)
AXES = {
    "R": ("run", SMALL, (2, 4, 16, 64, 256), (256, 16), 1.3),
    "T": ("step", Size(2, 16, 32, 24), (20, 200, 2_000, LONGEST), (LONGEST, 200), 1.15),
    "B": ("window", SMALL, (1, 8, 16, 32, 64), (64, 16), None),
    "H": ("H²", SMALL, (8, 16, 24, 32, 64, 128), (128, 24), None),
}


def row(group: str, name: str, value: float, unit: str, *, least=None, most=None, parts=None, of="ms") -> dict:
    """One row; `parts`, in the unit `of`, are what the value was made of."""
    target = f"≥ {least:g}" if least is not None else f"≤ {most:g}" if most is not None else ""
    met = (value >= least if least is not None else value <= most) if target else None
    return {"row": group, "name": name, "value": value, "unit": unit, "target": target, "met": met,
            "parts": parts or {}, "parts_unit": of if parts else ""}  # fmt: skip


def demand():
    """The task that is trained on."""
    return forecast(series.demand())


def update(count: int) -> list[dict]:
    """Whole updates against what a user would run instead."""
    rows, best = [], []
    for where, size in SIZES.items():
        for cell in CELLS:
            turns = {name: rounds.contestant(make(*peers.problem(cell, size)))
                     for name, make in {"loop": peers.loop, "pool": peers.pool}.items()}  # fmt: skip
            if peers.why_no_jax() is None:
                turns["jax"] = rounds.contestant(peers.jax_update(cell, *peers.problem(cell, size)), peers.jax_wait)
            times = rounds.interleaved(turns | {"ours": rounds.ours(cell, size, demand())}, count)
            over = {name: rounds.ratio(times[name], times["ours"]) for name in turns}
            best.append(min(over.values()))
            rows.append(row("update", f"{cell}, {where}: the best peer's time over ours", best[-1], "×", least=2,
                            parts=medians(times)))  # fmt: skip
            rows.append(row("update", f"{cell}, {where}: the loop's time over ours", over["loop"], "×",
                            least=LEAST_OVER_LOOP[cell]))  # fmt: skip
    return [*rows, row("update", "the best peer's time over ours, median of the above", median(best), "×", least=2.5)]


def _bare(cell: str, size: Size, given: bool = False) -> Callable[[], float]:
    """The recurrence alone as a contestant, forward and backward from the last state to weights.

    Inputs have one channel; or the contributions to the gates are given, and have gradients too.
    """
    R, B, T, H = size
    g, gates = torch.Generator().manual_seed(0), GATES[cell] * H

    def weights(*shape: int) -> torch.Tensor:
        return torch.empty(shape).uniform_(-(H**-0.5), H**-0.5, generator=g).requires_grad_()

    own, x = [weights(R, H, gates), weights(R, gates)], torch.randn(R, B, T, 1, generator=g)
    before = [weights(R, B, T, gates)] if given else [weights(R, 1, gates), weights(R, gates)]

    def both_ways() -> None:
        last = (engine.scan(cell, *before, *own) if given else engine.layer(cell, x, *before, *own))[1]
        last = last[0] if cell == "lstm" else last
        torch.autograd.grad(last, before + own, torch.ones_like(last))

    turn = rounds.contestant(both_ways)
    return lambda: rounds.alone(turn)


def recurrence(count: int) -> list[dict]:
    """The recurrence alone, as a share of what a large matrix product reaches."""
    big, times = torch.ones(CEILING, CEILING), {}
    ceiling = rounds.contestant(lambda: big @ big)
    for where, size in SIZES.items():
        for cell in CELLS:
            bare = {"layer": _bare(cell, size), "scan": _bare(cell, size, given=True)}
            times[where, cell] = rounds.interleaved({"ceiling": ceiling, **bare}, count)
    speed = 2 * CEILING**3 / min(min(taken["ceiling"]) for taken in times.values())  # FLOP a millisecond
    rows = [row("recurrence", f"a {CEILING}³ matrix product, the ceiling", speed / 1e6, "GFLOP/s")]
    for (where, cell), taken in times.items():
        R, B, T, H = SIZES[where]
        least = 3 * 2 * R * B * T * H * GATES[cell] * H / speed
        for name in ("layer", "scan"):
            reach = 35 if (where, name) == ("large", "layer") and cell != "tanh" else None
            rows.append(row("recurrence", f"{cell}, {where}: {name}, share of the ceiling",
                            100 * least / median(taken[name]), "%", least=reach,
                            parts={name: median(taken[name]), "ceiling": least}))  # fmt: skip
    return rows


def overhead(count: int) -> list[dict]:
    """What a training adds to the recurrence: data loader, loss, clipping, optimizer, record; and evaluations."""
    rows, task = [], demand()
    for cell in CELLS:
        times = rounds.interleaved({"ours": rounds.ours(cell, SMALL, task), "layer": _bare(cell, SMALL)}, count)
        rows.append(row("overhead", f"{cell}, small: whole update over bare recurrence",
                        rounds.ratio(times["ours"], times["layer"]), "×", most=1.5 if cell == "gru" else None,
                        parts=medians(times)))  # fmt: skip
        if cell != "gru":
            more = median(ours - layer for ours, layer in zip(*times.values(), strict=True))
            rows.append(row("overhead", f"{cell}, small: whole update beyond bare recurrence", more, "ms", most=1))
        shares = [_evaluations(rounds.job(cell, SMALL, task, UPDATES)) for _ in range(count)]
        rows.append(row("overhead", f"{cell}, small: evaluations on top of {UPDATES} updates", median(shares), "%",
                        most=20))  # fmt: skip
    return rows


def _evaluations(job) -> float:
    """Time that evaluations add to the updates, in percent; set-up, which both trainings have, cancels."""
    bare, whole = (rounds.alone(clocked, job, evaluate) for evaluate in (False, True))
    more = (whole[-1] - whole[0]) - (bare[-1] - bare[0])
    return 100 * more / (UPDATES * milliseconds(bare) / 1e3)


def growth(count: int) -> list[dict]:
    """Cost of a run, a step, a window and a weight as there are more of them."""
    rows = []
    for letter, (per, size, values, (above, below), most) in AXES.items():
        long = forecast(series.demand(weeks=2 * LONGEST // 336), history=LONGEST + 1)  # a week has 336 steps
        task = long if letter == "T" else demand()
        for cell in CELLS:
            sizes = {value: size._replace(**{letter: value}) for value in values}
            times = rounds.interleaved({v: rounds.ours(cell, some, task) for v, some in sizes.items()}, count)
            cost = {v: [1e3 * t / (v**2 if letter == "H" else v) for t in taken] for v, taken in times.items()}
            rows.append(row("growth", f"{cell}: cost per {per}, {letter} = {above:,} over {below:,}",
                            rounds.ratio(cost[above], cost[below]), "×", most=most,
                            parts=medians(cost), of="µs"))  # fmt: skip
    return rows


def peak(count: int) -> list[dict]:
    """Memory of one training update of one run on a long sequence; once, since it hardly varies."""
    name = "memory of an update: dense 64, 32, LSTM 32, 32; 15 × 20,000 steps, 128 channels"
    return [row("memory", name, memory(), "MB", most=1000)]


def live(count: int) -> list[dict]:
    """The first panel's default comparison in a process that has trained before; once, whatever the rounds."""
    baseline, variant, setting = Tips()["scaling"].live()
    task = SETTINGS[setting]()
    compare(baseline.but(updates=3), variant.but(updates=3), task, SEEDS, device="cpu")
    first, whole = _watched(baseline, variant, task)
    return [row("live", "guess pressed to first evaluation", first, "s", most=1),
            row("live", "the whole default live comparison", whole, "s", most=10)]  # fmt: skip


def _watched(baseline, variant, task) -> tuple[float, float]:
    """Seconds until a comparison's record has its first evaluation, looked at from here as a panel does; and all."""
    record, began = Runs(), time.perf_counter()
    with ThreadPoolExecutor(1) as trainer:
        training = trainer.submit(compare, baseline, variant, task, SEEDS, device="cpu", record=record)
        while not training.done() and not np.isfinite(record.valid_score[..., :1]).any():
            time.sleep(LOOK)
        first = time.perf_counter() - began
        training.result()
    return first, time.perf_counter() - began


GROUPS = {"update": update, "recurrence": recurrence, "overhead": overhead, "growth": growth, "memory": peak,
          "live": live}  # fmt: skip
