"""The rows of the benchmark on a CPU: what is timed, against what, and the number to reach."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from math import prod
from statistics import median
from threading import Event

import numpy as np
import torch

from benchmarks import fresh, peak_memory, peers, rounds
from benchmarks.peak_memory import memory
from benchmarks.peers import CELLS, CLIP, LR, Size
from benchmarks.rounds import medians
from evidence.timing import clocked, milliseconds
from rnntips import series
from rnntips.cells import GATES
from rnntips.engine.threads import threads
from rnntips.notebook.tips import tips
from rnntips.recipe import Recipe, shapes
from rnntips.runs import Runs
from rnntips.study import compare
from rnntips.tasks import forecast, leaky, returns
from rnntips.training import Job

__all__ = ["GROUPS", "LARGE", "demand", "row"]

SMALL, LARGE, WIDE = Size(20, 16, 32, 24), Size(16, 32, 64, 32), Size(8, 32, 64, 128)
SIZES = {"small": SMALL, "large": LARGE, "wide": WIDE}
OVER_PEERS = {"wide": {"tanh": 1.5, "gru": 1.5, "lstm": 1}}  # the best peer's time over ours, at least; elsewhere 4
SHARES = {"large": 35, "wide": 50}  # of the ceiling, at least, in percent
CEILING = 2048  # rows and columns of the matrix products that count as the machine's ceiling
# what a recipe has besides → its fields; all steps of a chunk are answered, and every chunk has as many as LARGE
EXTRAS = {
    "an answer at every step": {"past": 4 * LARGE.T, "chunk": LARGE.T, "carry": True},
    "two dense layers": {"dense": (32,), "dense_after": (32,)},
    "dropout": {"dropout": 0.2},
    "noise": {"noise": 0.1},
}
UPDATES, SEEDS = 300, range(10)  # of a training with a recipe's defaults, and of a panel's side
LOOK = 0.001  # seconds between looks at a record
LONGEST = 20_000
LONG_STEPS = 2_000  # of S2's sequences, a tenth of what it has
# letter → (what the cost is divided by, the size, the letter's values, the two that are compared, at most)
AXES = {
    "R": ("run", SMALL, (2, 4, 16, 64, 256), (256, 16), 1.3),
    "T": ("step", Size(2, 16, 32, 24), (20, 200, 2_000, LONGEST), (LONGEST, 200), 1.15),
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
    rows = []
    for where, size in SIZES.items():
        for cell in CELLS:
            turns = {name: rounds.contestant(make(*peers.problem(cell, size)))
                     for name, make in {"loop": peers.loop, "pool": peers.pool}.items()}  # fmt: skip
            if peers.why_no_jax() is None:
                turns["jax"] = rounds.contestant(peers.jax_update(cell, *peers.problem(cell, size)), peers.jax_wait)
            times = rounds.interleaved(turns | {"ours": rounds.ours(cell, size, demand())}, count)
            over = min(rounds.ratio(times[name], times["ours"]) for name in turns)
            rows.append(row("update", f"{cell}, {where}: the best peer's time over ours", over, "×",
                            least=OVER_PEERS.get(where, {}).get(cell, 4), parts=medians(times)))  # fmt: skip
    return rows


def recurrence(count: int) -> list[dict]:
    """The recurrence's products in a whole update, as a share of the best large matrix product, measured in between."""
    times, reached, task = {}, [], demand()
    for where, size in SIZES.items():
        reached.append(fresh.ceiling(CEILING, count + 1))
        turns = {(where, cell): rounds.ours(cell, size, task) for cell in CELLS}
        times |= rounds.interleaved(turns, count)
    best = {name: max(each[name] for each in reached) for name in reached[0]}
    winner = max(best, key=best.__getitem__)
    rows = [row("recurrence", f"the ceiling, a {CEILING}³ matrix product: {winner}'s", best[winner], "GFLOP/s",
                parts=best, of="GFLOP/s")]  # fmt: skip
    for (where, cell), taken in times.items():
        R, B, T, H = SIZES[where]
        least = 3 * 2 * R * B * T * H * GATES[cell] * H / best[winner] / 1e6
        rows.append(row("recurrence", f"{cell}, {where}: share of the ceiling", 100 * least / median(taken), "%",
                        least=SHARES.get(where), parts={"update": median(taken), "ceiling": least}))  # fmt: skip
    return rows


def extras(count: int) -> list[dict]:
    """The large recipe with something besides against without it, by the arithmetic that this adds.

    With an answer at every step it reads other sequences, but as many steps of one channel an update as without: what
    is added is a readout of each, the loss there, and the state that is carried from chunk to chunk.
    """
    rows, tasks = [], {True: leaky(20), False: demand()}  # whether there is an answer at every step → what is read
    for cell in CELLS:
        given = {"": {}, **EXTRAS}
        turns = {name: rounds.ours(cell, LARGE, tasks["chunk" in some], **some) for name, some in given.items()}
        times = rounds.interleaved(turns, count)
        work = {name: multiply_adds(Recipe(cell=cell, width=LARGE.H, **some)) for name, some in given.items()}
        for name in EXTRAS:
            more = work[name] / work[""]
            rows.append(row("extras", f"{cell}, large: with {name}, over {more:.2f} × without",
                            rounds.ratio(times[name], times[""]) / more, "×", most=1.3,
                            parts={"with": median(times[name]), "without": median(times[""])}))  # fmt: skip
    return rows


def multiply_adds(recipe: Recipe, steps: int = LARGE.T) -> int:
    """Of a window's update with one input channel: every matrix once forward and twice backward, for its gradient and
    that of its inputs, which the first does without. Gates, the optimizer and random numbers are left out.
    """
    answers, once = steps if recipe.chunk else 1, ("after", "readout")
    weights = shapes(recipe.cell, recipe.layers, recipe.width, 1, 1, recipe.dense, recipe.dense_after)
    matrices = [(answers if name.startswith(once) else steps) * prod(shape)
                for name, shape in weights.items() if "weight" in name]  # fmt: skip
    return 3 * sum(matrices) - matrices[0]


def evaluation(count: int) -> list[dict]:
    """What the evaluations of a training add to its updates."""
    task, what = demand(), f"small: evaluations on top of {UPDATES} updates"
    shares = {cell: [_evaluations(rounds.job(cell, SMALL, task, UPDATES)) for _ in range(count)] for cell in CELLS}
    return [row("evaluation", f"{cell}, {what}", median(each), "%", most=20) for cell, each in shares.items()]


def _evaluations(job) -> float:
    """Time that evaluations add to the updates, in percent; set-up, which both trainings have, cancels."""
    bare, whole = (rounds.alone(clocked, job, evaluate) for evaluate in (False, True))
    more = (whole[-1] - whole[0]) - (bare[-1] - bare[0])
    return 100 * more / (UPDATES * milliseconds(bare) / 1e3)


def growth(count: int) -> list[dict]:
    """Cost of a run and a step as there are more of them."""
    rows = []
    for letter, (per, size, values, (above, below), most) in AXES.items():
        long = forecast(series.demand(weeks=2 * LONGEST // 336), history=LONGEST + 1)  # a week has 336 steps
        task = long if letter == "T" else demand()
        for cell in CELLS:
            sizes = {value: size._replace(**{letter: value}) for value in values}
            times = rounds.interleaved({v: rounds.ours(cell, some, task) for v, some in sizes.items()}, count)
            cost = {v: [1e3 * t / v for t in taken] for v, taken in times.items()}
            rows.append(row("growth", f"{cell}: cost per {per}, {letter} = {above:,} over {below:,}",
                            rounds.ratio(cost[above], cost[below]), "×", most=most,
                            parts=medians(cost), of="µs"))  # fmt: skip
    return rows


def peak(count: int) -> list[dict]:
    """Memory of one training update of one run on a long sequence; once, since it hardly varies."""
    name = "memory of an update: dense 64, 32, LSTM 32, 32; 15 × 20,000 steps, 128 channels"
    return [row("memory", name, memory(), "MB", most=1000)]


def published(count: int) -> list[dict]:
    """An epoch of S2's network on whole sequences and in chunks, against a loop over torch.nn: one run a core."""
    rows, task, net = [], returns(printed=True, lags=peak_memory.CHANNELS), peak_memory
    recipe = Recipe(cell="lstm", layers=net.LAYERS, width=net.WIDTH, dense=net.DENSE, noise_between=0.1, lr=LR,
                    past=LONG_STEPS, batch_size=net.BATCH, clip_norm=CLIP)  # fmt: skip
    example = task.examples(recipe, 0)
    chosen, cores = example.of(0), threads()
    x, y = torch.tensor(example.inputs(chosen)), torch.tensor(example.targets).view(-1, LONG_STEPS, 2)[chosen]
    for chunk, what in ((LONG_STEPS, "whole"), (LONG_STEPS // 100, "100 chunks")):
        nets = [peers.LongNet(net.CHANNELS, net.DENSE, net.WIDTH, 2, 0.1) for _ in range(cores)]
        each = LONG_STEPS // chunk
        ours = recipe.but(chunk=chunk, carry=True, updates=2 * each + 1)
        job = Job([ours] * cores, range(cores), task)
        turns = {"loop": rounds.contestant(peers.epoch(nets, x, y, chunk)),
                 "ours": lambda job=job, each=each: each * milliseconds(rounds.alone(clocked, job))}  # fmt: skip
        times = rounds.interleaved(turns, count)
        name = f"an epoch of 15 × {LONG_STEPS:,} steps, {what}, {cores} runs: a loop over torch.nn's time over ours"
        over = rounds.ratio(times["loop"], times["ours"])
        rows.append(row("published", name, over, "×", least=1, parts=medians(times)))
    return rows


def live(count: int) -> list[dict]:
    """Every panel's default comparison in a process that has trained before; once, whatever the rounds."""
    found = {name: _watched(name) for name in tips}
    targets = {"guess pressed to first evaluation": 1, "the whole live comparison": 3, "Stop pressed to the end": 0.2}
    rows = []
    for i, (what, most) in enumerate(targets.items()):
        slowest = dict(sorted(((name, each[i]) for name, each in found.items()), key=lambda pair: -pair[1])[:3])
        rows.append(row("live", f"{what}, slowest panel", max(slowest.values()), "s", most=most, parts=slowest, of="s"))
    return rows


def _watched(name: str) -> tuple[float, float, float]:
    """Seconds of a tip's live comparison until its record has its first evaluation, looked at from here as a panel
    does; until its end; and, trained once more and stopped at that evaluation, from then to the end.
    """
    baseline, variant, setting = tips[name].live()
    task = tips[name].task(setting)
    allow = [*baseline.diff(variant)][1:]
    compare(baseline.but(updates=3), variant.but(updates=3), task, SEEDS, allow=allow, device="cpu")

    def seen(press: Callable[[Event], None]) -> tuple[float, float]:
        records, stop = [Runs() for _ in {baseline.shape(), variant.shape()}], Event()
        with ThreadPoolExecutor(1) as trainer:
            began = time.perf_counter()
            training = trainer.submit(compare, baseline, variant, task, SEEDS, allow=allow, device="cpu", stop=stop,
                                      record=records)  # fmt: skip
            while not (training.done() or any(np.isfinite(each.valid_score[..., :1]).any() for each in records)):
                time.sleep(LOOK)
            first = time.perf_counter()
            press(stop)
            training.result()
        return first - began, time.perf_counter() - first

    (first, rest), (_, stopped) = seen(lambda stop: None), seen(Event.set)
    return first, first + rest, stopped


def imports(count: int) -> list[dict]:
    """What importing the package takes beyond torch, which it imports."""
    modules = {name: rounds.contestant(partial(fresh.printed, f"import {name}")) for name in ("rnntips", "torch")}
    times = rounds.interleaved(modules, count)
    more = median(ours - torchs for ours, torchs in zip(*times.values(), strict=True))
    return [row("import", "import rnntips beyond import torch", more, "ms", most=400, parts=medians(times))]


GROUPS = {"update": update, "recurrence": recurrence, "extras": extras, "evaluation": evaluation, "growth": growth,
          "memory": peak, "published": published, "live": live, "import": imports}  # fmt: skip
