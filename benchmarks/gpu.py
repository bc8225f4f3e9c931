"""The rows of the benchmark on a GPU: more and more runs, memory, and a published network.

What fails, for want of memory or because a package does not fit, becomes a note, and the rest goes on.
"""

import gc
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from unittest.mock import patch

import torch

from benchmarks import peak_memory, peers, rounds
from benchmarks.flashrnn import flashrnn_update, why_no_flashrnn
from benchmarks.peers import CELLS, Size
from benchmarks.rounds import medians
from benchmarks.rows import LARGE, demand, row
from evidence.timing import clocked
from rnntips import engine

__all__ = ["groups"]

DEVICE = "cuda"
RUNS = (1, 16, 64, 256, 1024, 2048)
NAMED = 256  # runs that the numbers to reach are about
REMEMBERED = (256, 2048)  # runs whose memory is looked at
LOOPED = 64  # runs up to which a loop over cuDNN modules is timed; more take as long each
PRECISIONS = ("ieee", "tf32x3", "tf32")
VARIANTS, SEEDS = 7, 16  # of a published network


def groups(say: Callable[[str], None], note: Callable[[str], None]) -> dict[str, Callable[[int], list[dict]]]:
    """Name → a function from the number of rounds to rows.

    Args:
        say: Told every contestant's times as soon as they are known.
        note: Told what took no part, and why.
    """
    one = _Benchmark(say, note)
    return {**{f"gpu-{cell}": partial(one.updates, cell) for cell in CELLS},
            "gpu-memory": one.peaks, "gpu-published": one.published}  # fmt: skip


class _Benchmark:
    """Groups that share a task that is drawn once."""

    def __init__(self, say: Callable[[str], None], note: Callable[[str], None]):
        self.say, self.note, self.task = say, note, rounds.Drawn(demand())

    def tried(self, what: str, function: Callable):
        """What the function returns; if it fails, None, and a note."""
        try:
            return function()
        except Exception as error:  # CUDA, Triton, XLA and packages each have errors of their own
            lines = str(error).strip().splitlines() or [""]
            self.note(f"{what} failed: {type(error).__name__}: {lines[0][:200]}")
        _tidied()
        return None

    def updates(self, cell: str, count: int) -> list[dict]:
        """Whole updates of more and more runs, against what would be run instead."""
        rows = []
        for R in RUNS:
            _tidied()
            turns = {}
            for name, make in _contestants(cell, LARGE._replace(R=R), self.task).items():
                what = f"{cell}, R = {R:,}: {name}"
                if (turn := self.tried(what, make)) is not None:
                    turns[name] = partial(self.tried, what, turn)
            times = {name: each for name, each in rounds.interleaved(turns, count).items() if None not in each}
            taken = ", ".join(f"{name} {ms:.4g}" for name, ms in medians(times).items())
            self.say(f"{cell}, R = {R:,}, ms: {taken}")
            rows += _compared(cell, R, times) if "ours" in times else []
        return rows

    def peaks(self, count: int) -> list[dict]:
        """Memory of a training of many runs, recording included; once, since it does not vary."""
        rows = []
        for cell in CELLS:
            for R in REMEMBERED:
                what = f"{cell}, R = {R:,}: memory of an update"
                training = partial(clocked, rounds.job(cell, LARGE._replace(R=R), self.task, 2, DEVICE))
                if found := self.tried(what, partial(_peak, partial(rounds.alone, training))):
                    rows.append(row("gpu-memory", what, found["tensors"], "MB", parts=found, of="MB"))
        return rows

    def published(self, count: int) -> list[dict]:
        """An epoch of a published study with all its sequences in one batch, of one run, and of variants × seeds.

        Its noise layers are left out, and all runs read the same sequences.
        """
        rows = []
        for R, most in ((1, None), (VARIANTS * SEEDS, 0.5)):
            what = f"a published network, R = {R}, an epoch of {peak_memory.BATCH} × {peak_memory.STEPS:,} steps"
            if found := self.tried(what, partial(_epoch, R, count)):
                seconds, held = found
                rows.append(row("gpu-published", f"{what}: time", seconds, "s", most=most))
                rows.append(row("gpu-published", f"{what}: memory", held["tensors"], "MB", parts=held, of="MB"))
        return rows


def _wait(done: object) -> None:
    """Return when the GPU has done what PyTorch asked of it."""
    torch.cuda.synchronize()


def _tidied() -> None:
    """Give back what lies unused, so that no contestant suffers from another's memory."""
    gc.collect()
    torch.cuda.empty_cache()


def plain() -> AbstractContextManager:
    """A context in which a GPU trains with plain operations, recorded as a CUDA graph, without the Triton kernels."""
    return patch.object(engine, "_cuda", lambda: None)


def rounded(precision: str) -> AbstractContextManager:
    """A context in which the Triton kernels make their products like this."""
    from rnntips.engine import triton_ops

    return patch.object(triton_ops, "PRECISION", precision)


def _contestants(cell: str, size: Size, task) -> dict[str, Callable[[], Callable[[], float]]]:
    """Name → what makes the contestant."""
    ours = partial(rounds.ours, cell, size, task, DEVICE)
    make = {"ours": ours, "plain graph": partial(ours, plain)}
    if size.R == NAMED:
        make |= {name: partial(ours, partial(rounded, name)) for name in PRECISIONS}

    def peer(update: Callable, wait: Callable = _wait, **how):
        return lambda: rounds.contestant(update(*peers.problem(cell, size, DEVICE), **how), wait)

    if size.R <= LOOPED:
        make[f"cuDNN loop up to R {LOOPED}"] = peer(peers.loop)
    if peers.why_no_jax(DEVICE) is None:
        make["jax"] = peer(partial(peers.jax_update, cell), peers.jax_wait)
    if cell == "lstm" and why_no_flashrnn() is None:
        make |= {"flashrnn": peer(flashrnn_update), "flashrnn graph": peer(flashrnn_update, record=True)}
    return make


def _compared(cell: str, R: int, times: dict[str, list[float]]) -> list[dict]:
    """Rows of one cell and number of runs."""
    what, named, taken = f"{cell}, R = {R:,}", R == NAMED, medians(times)
    add = partial(row, f"gpu-{cell}")
    rows = [add(f"{what}: whole update", taken["ours"], "ms", most=2 if named else None, parts=taken)]
    others = [name for name in times if name not in ("ours", "plain graph", *PRECISIONS)]
    over = {name: rounds.ratio(times[name], times["ours"]) for name in others}
    if over:
        best = min(over, key=over.get)
        rows.append(add(f"{what}: the best peer's time over ours ({best})", over[best], "×"))
    if named and "jax" in over:
        rows.append(add(f"{what}: JAX's time over ours", over["jax"], "×", least=3))
    return rows


def _peak(function: Callable[[], object]) -> dict[str, float]:
    """Most megabytes on the device, while the function runs, in tensors and taken from the driver."""
    _tidied()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    function()
    return {"tensors": (torch.cuda.max_memory_allocated() - before) / 1e6,
            "taken": torch.cuda.max_memory_reserved() / 1e6}  # fmt: skip


def _epoch(runs: int, count: int) -> tuple[float, dict[str, float]]:
    """Seconds and memory of one update of the published network."""
    epoch = partial(peak_memory.training(runs, DEVICE), peak_memory.STEPS)
    megabytes = _peak(epoch)
    times = rounds.interleaved({"epoch": rounds.contestant(epoch, _wait)}, count)
    return medians(times)["epoch"] / 1e3, megabytes
