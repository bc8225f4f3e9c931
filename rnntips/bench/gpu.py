"""The rows of the benchmark on a GPU: more and more runs, the chip's limit, memory, and a published network.

What fails, for want of memory or because a package does not fit, becomes a note, and the rest goes on.
"""

import gc
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from unittest.mock import patch

import torch

from rnntips import kernels, series
from rnntips.bench import counts, memory, peers, rounds
from rnntips.bench.heads import flashrnn_update, why_no_flashrnn
from rnntips.bench.peers import CELLS, Size
from rnntips.bench.rows import LARGE, medians, row
from rnntips.tasks import forecast

__all__ = ["RUNS", "groups"]

DEVICE = "cuda"
RUNS = (1, 16, 64, 256, 1024, 2048)
NAMED = 256  # runs that the numbers to reach are about
REMEMBERED = (256, 2048)  # runs whose memory is looked at
LOOPED = 64  # runs up to which a loop over cuDNN modules is timed; more take as long each
PRECISIONS = ("ieee", "tf32x3", "tf32")
COPIED, CEILING = 2**28, 8192  # numbers in the copy, rows and columns of the product that count as the chip's limits
VARIANTS, SEEDS = 7, 16  # of a published network


def groups(say: Callable[[str], None], note: Callable[[str], None]) -> dict[str, Callable[[int], list[dict]]]:
    """Name → a function from the number of rounds to rows.

    Args:
        say: Told every contest's times as soon as they are known.
        note: Told what took no part, and why.
    """
    one = _Benchmark(say, note)
    return {"gpu-limits": one.ceilings, **{f"gpu-{cell}": partial(one.updates, cell) for cell in CELLS},
            "gpu-memory": one.peaks, "gpu-published": one.published}  # fmt: skip


class _Benchmark:
    """Groups that share what is drawn and measured once."""

    def __init__(self, say: Callable[[str], None], note: Callable[[str], None]):
        self.say, self.note, self.on = say, note, rounds.Drawn(forecast(series.demand()))
        self.limits: dict[str, float] | None = None

    def tried(self, what: str, function: Callable):
        """What the function returns; if it fails, None, and a note."""
        try:
            return function()
        except Exception as error:  # CUDA, Triton, XLA and packages each have errors of their own
            lines = str(error).strip().splitlines() or [""]
            self.note(f"{what} failed: {type(error).__name__}: {lines[0][:200]}")
        _tidied()
        return None

    def ceilings(self, count: int) -> list[dict]:
        """What the chip can do at most."""
        self.limits = self.tried("the chip's limits", partial(_ceilings, count))
        if not self.limits:
            return []
        return [row("gpu-limits", "a copy within the chip's memory", self.limits["bandwidth"], "TB/s"),
                row("gpu-limits", f"a {CEILING}³ product in float32", self.limits["flops"], "TFLOP/s")]  # fmt: skip

    def updates(self, cell: str, count: int) -> list[dict]:
        """Whole updates of more and more runs, against what would be run instead, and as shares of the limits."""
        rows = [] if self.limits else self.ceilings(count)
        for R in RUNS:
            size = LARGE._replace(R=R)
            times = self.contest(cell, size, count)
            taken = ", ".join(f"{name} {ms:.4g}" for name, ms in medians(times).items())
            self.say(f"{cell}, R = {R:,}, ms: {taken}")
            rows += _compared(cell, size, times, self.limits) if "ours" in times else []
        return rows

    def contest(self, cell: str, size: Size, count: int) -> dict[str, list[float]]:
        """Milliseconds of every contestant in every round, of those that came through."""
        _tidied()
        turns = {}
        for name, make in _contestants(cell, size, self.on).items():
            what = f"{cell}, R = {size.R:,}: {name}"
            if (turn := self.tried(what, make)) is not None:
                turns[name] = partial(self.tried, what, turn)
        return {name: taken for name, taken in rounds.interleaved(turns, count).items() if None not in taken}

    def peaks(self, count: int) -> list[dict]:
        """Memory of a training of many runs, recording included; once, since it does not vary."""
        rows = []
        for cell in CELLS:
            for R in REMEMBERED:
                what = f"{cell}, R = {R:,}: memory of an update"
                training = partial(rounds.timed_training, cell, LARGE._replace(R=R), self.on, 2, DEVICE)
                if found := self.tried(what, partial(_peak, rounds.alone(training))):
                    rows.append(row("gpu-memory", what, found["tensors"], "MB", parts=found, of="MB"))
        return rows

    def published(self, count: int) -> list[dict]:
        """An epoch of a published study with all its sequences in one batch, of one run, and of variants × seeds.

        Its noise layers are left out, and all runs read the same sequences.
        """
        rows = []
        for R, most in ((1, None), (VARIANTS * SEEDS, 0.5)):
            what = f"a published network, R = {R}, an epoch of {memory.BATCH} × {memory.STEPS:,} steps"
            if found := self.tried(what, partial(_epoch, R, count)):
                seconds, held = found
                rows.append(row("gpu-published", f"{what}: time", seconds, "s", most=most))
                rows.append(row("gpu-published", f"{what}: memory", held["tensors"], "MB", parts=held, of="MB"))
        return rows


def _wait(done: object = None) -> None:
    """Return when the GPU has done what PyTorch asked of it."""
    if DEVICE == "cuda":
        torch.cuda.synchronize()


def _tidied() -> None:
    """Give back what lies unused, so that no contestant suffers from another's memory."""
    if DEVICE == "cuda":
        gc.collect()
        torch.cuda.empty_cache()


def plain() -> AbstractContextManager:
    """A context in which a GPU trains with plain operations, recorded as a CUDA graph, without the Triton kernels."""
    return patch.object(kernels, "_cuda", lambda: None)


def rounded(precision: str) -> AbstractContextManager:
    """A context in which the Triton kernels make their products like this."""
    from rnntips.kernels import cuda

    return patch.object(cuda, "PRECISION", precision)


def _contestants(cell: str, size: Size, on) -> dict[str, Callable[[], Callable[[], float]]]:
    """Name → what makes the contestant."""
    ours = partial(rounds.ours, cell, size, on, DEVICE)
    make = {"ours": ours, "plain graph": lambda: ours(plain)}
    if size.R == NAMED:
        make |= {name: partial(ours, partial(rounded, name)) for name in PRECISIONS}

    def peer(update: Callable, wait: Callable = _wait, **how):
        return lambda: rounds.clocked(update(*peers.problem(cell, size, DEVICE), **how), wait)

    if size.R <= LOOPED:
        make[f"cuDNN loop up to R {LOOPED}"] = peer(peers.loop)
    if peers.why_no_jax(DEVICE) is None:
        make["jax"] = peer(partial(peers.jax_update, cell), peers.jax_wait)
    if cell == "lstm" and why_no_flashrnn() is None:
        make |= {"flashrnn": peer(flashrnn_update), "flashrnn graph": peer(flashrnn_update, record=True)}
    return make


def _ceilings(count: int) -> dict[str, float]:
    """Best of a large copy, TB/s read and written, and of a large product of float32 matrices, TFLOP/s."""
    torch.set_float32_matmul_precision("highest")  # PyTorch's default: no tf32
    source, target = torch.randn(2, COPIED, device=DEVICE)
    square, out = torch.randn(2, CEILING, CEILING, device=DEVICE)
    turns = {"bandwidth": rounds.clocked(lambda: target.copy_(source), _wait),
             "flops": rounds.clocked(lambda: torch.mm(square, square, out=out), _wait)}  # fmt: skip
    best = {name: min(taken) * 1e9 for name, taken in rounds.interleaved(turns, count).items()}
    return {"bandwidth": 2 * 4 * COPIED / best["bandwidth"], "flops": 2 * CEILING**3 / best["flops"]}


def _compared(cell: str, size: Size, times: dict[str, list[float]], limits: dict[str, float] | None) -> list[dict]:
    """Rows of one cell and number of runs."""
    what, named, taken = f"{cell}, R = {size.R:,}", size.R == NAMED, medians(times)
    add = partial(row, f"gpu-{cell}")
    rows = [add(f"{what}: whole update", taken["ours"], "ms", most=2 if named else None, parts=taken)]
    others = [name for name in times if name not in ("ours", "plain graph", *PRECISIONS)]
    over = {name: rounds.ratio(times[name], times["ours"]) for name in others}
    if over:
        best = min(over, key=over.__getitem__)
        rows.append(add(f"{what}: the best peer's time over ours ({best})", over[best], "×"))
    if named and "jax" in over:
        rows.append(add(f"{what}: JAX's time over ours", over["jax"], "×", least=3))
    if limits:
        share = {name: 100 * ms / taken["ours"] for name, ms in counts.least(cell, size, **limits).items()}
        rows.append(add(f"{what}: share of the chip's limit", max(share.values()), "%", parts=share, of="%"))
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
    epoch = partial(memory.training(runs, DEVICE), memory.STEPS)
    megabytes = _peak(epoch)
    times = rounds.interleaved({"epoch": rounds.clocked(epoch, _wait)}, count)
    return medians(times)["epoch"] / 1e3, megabytes
