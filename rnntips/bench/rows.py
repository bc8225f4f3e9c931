"""The rows of the benchmark: what is timed, against what, and the number to reach."""

import time
from collections.abc import Callable
from statistics import median

import torch

from rnntips import kernels, series
from rnntips.bench import peers, rounds
from rnntips.bench.memory import memory
from rnntips.bench.peers import CELLS, Size
from rnntips.cells import GATES
from rnntips.settings import SETTINGS
from rnntips.study import compare
from rnntips.tasks import forecast
from rnntips.tips import Tips

__all__ = ["CPU", "LARGE", "medians", "row"]

SMALL, LARGE = Size(20, 16, 32, 24), Size(16, 32, 64, 32)
SIZES = {"small": SMALL, "large": LARGE}
CEILING = 2048  # rows and columns of the matrix product that counts as the machine's ceiling
LEAST_OVER_LOOP = {"tanh": 10, "gru": 25, "lstm": 3.5}
UPDATES, SEEDS = 300, range(10)  # of a training with a recipe's defaults, and of a panel's side
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


def medians(times: dict) -> dict[str, float]:
    return {str(name): median(taken) for name, taken in times.items()}


def _contest(cell: str, size: Size, count: int) -> tuple[dict[str, float], dict[str, float]]:
    """Every peer's time over ours, and the milliseconds of all."""
    make = {"loop": peers.loop, "pool": peers.pool}
    contestants = {name: rounds.clocked(peer(*peers.problem(cell, size))) for name, peer in make.items()}
    if peers.why_no_jax() is None:
        contestants["jax"] = rounds.clocked(peers.jax_update(cell, *peers.problem(cell, size)), peers.jax_wait)
    found = rounds.interleaved(contestants | {"ours": rounds.ours(cell, size, series.demand())}, count)
    return {name: rounds.ratio(found[name], found["ours"]) for name in contestants}, medians(found)


def update(count: int) -> list[dict]:
    """Whole updates against what a user would run instead."""
    rows, best = [], []
    for where, size in SIZES.items():
        for cell in CELLS:
            over, taken = _contest(cell, size, count)
            best.append(min(over.values()))
            rows.append(row("update", f"{cell}, {where}: the best peer's time over ours", best[-1], "×", least=2,
                            parts=taken))  # fmt: skip
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
        last = (kernels.scan(cell, *before, *own) if given else kernels.layer(cell, x, *before, *own))[1]
        last = last[0] if cell == "lstm" else last
        torch.autograd.grad(last, before + own, torch.ones_like(last))

    turn = rounds.clocked(both_ways)
    return rounds.alone(turn)


def recurrence(count: int) -> list[dict]:
    """The recurrence alone, as a share of what a large matrix product reaches."""
    big, times = torch.ones(CEILING, CEILING), {}
    ceiling = rounds.clocked(lambda: big @ big)
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
    """What a training adds to the recurrence: feed, loss, clipping, optimizer, record; and evaluations."""
    rows, on = [], series.demand()
    for cell in CELLS:
        times = rounds.interleaved({"ours": rounds.ours(cell, SMALL, on), "layer": _bare(cell, SMALL)}, count)
        more = median(ours - layer for ours, layer in zip(*times.values(), strict=True))
        limit = {"most": 1.5} if cell == "gru" else {}
        rows.append(row("overhead", f"{cell}, small: whole update over bare recurrence",
                        rounds.ratio(times["ours"], times["layer"]), "×", **limit, parts=medians(times)))  # fmt: skip
        if cell != "gru":
            rows.append(row("overhead", f"{cell}, small: whole update beyond bare recurrence", more, "ms", most=1))
        rows.append(_evaluations(cell, count))
    return rows


def _evaluations(cell: str, count: int) -> dict:
    """Time that evaluations add to the updates of a training of default length; set-up is in neither."""
    shares = []
    for _ in range(count):
        bare, whole = (
            rounds.alone(lambda kind=kind: rounds.timed_training(cell, SMALL, series.demand(), UPDATES, record=kind))()
            for kind in (rounds.Undisturbed, rounds.Timed)
        )
        shares.append(100 * (whole.seconds - bare.seconds) / (bare.times[-1] - bare.times[0]))
    return row("overhead", f"{cell}, small: evaluations on top of {UPDATES} updates", median(shares), "%", most=20)


def growth(count: int) -> list[dict]:
    """Cost of a run, a step, a window and a weight as there are more of them."""
    rows = []
    for letter, (per, size, values, (above, below), most) in AXES.items():
        long = forecast(series.demand(weeks=2 * LONGEST // 336), history=LONGEST + 1)  # a week has 336 steps
        on = long if letter == "T" else series.demand()
        for cell in CELLS:
            sizes = {value: size._replace(**{letter: value}) for value in values}
            times = rounds.interleaved({v: rounds.ours(cell, some, on) for v, some in sizes.items()}, count)
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

    def seconds(*sides) -> tuple[float, float]:
        record, began = rounds.Timed(), time.perf_counter()
        compare(*sides, SETTINGS[setting](), SEEDS, device="cpu", record=record)
        return record.times[0] - began, time.perf_counter() - began

    seconds(baseline.but(updates=3), variant.but(updates=3))
    first, whole = seconds(baseline, variant)
    return [row("live", "guess pressed to first evaluation", first, "s", most=1),
            row("live", "the whole default live comparison", whole, "s", most=10)]  # fmt: skip


CPU = {"update": update, "recurrence": recurrence, "overhead": overhead, "growth": growth, "memory": peak,
       "live": live}  # fmt: skip
