"""The benchmark of the training engine, `rnntips bench`: everything in it is measured, nothing is typed by hand."""

import os
import platform
from collections.abc import Callable, Sequence
from importlib import metadata
from pathlib import Path

import torch

from rnntips.arguments import resolve_device
from rnntips.bench import counts, gpu
from rnntips.bench import rows as _rows
from rnntips.bench.heads import why_no_flashrnn
from rnntips.bench.peers import why_no_jax
from rnntips.bench.table import table, write
from rnntips.errors import BadArgument, need_whole, unknown_name
from rnntips.kernels.pool import threads

__all__ = ["ROUNDS", "machine", "measure", "plan", "table", "write"]

ROUNDS = 7
BUSY = 1.0  # load average of the last minute from which on a note is made


def measure(
    rows: Sequence[str] = (), device: str = "cpu", rounds: int = ROUNDS, say: Callable[[str], None] = lambda line: None
) -> dict:
    """Time the engine and what a user would run instead on this machine.

    Args:
        rows: Groups to measure, all if empty: update, recurrence, overhead, growth, memory, live; on a GPU:
            gpu-limits, gpu-tanh, gpu-gru, gpu-lstm, gpu-memory, gpu-published.
        device: As for `rnntips.train`.
        rounds: How often every contestant has its turn.
        say: Told what is being measured.

    Returns:
        Plain values: `device`, `rounds`, `notes`; `machine`, name → value; and `rows`, each with `row` (its group),
        `name`, `value`, `unit`, `target` (such as "≥ 2", or empty), `met` (None without a target), and what the value
        was made of: `parts`, name → number, and `parts_unit`.

    Raises:
        BadArgument: An unknown device or group, or no round.
        NoDevice: There is no GPU.
    """
    need_whole("rounds", rounds, 1)
    device = resolve_device(device)
    notes: list[str] = []
    groups = _rows.CPU if device == "cpu" else gpu.groups(say, notes.append)
    for name in rows:
        if name not in groups:
            raise unknown_name("row", name, groups)
    found, busy, before = [], _busy(), torch.get_num_threads()
    torch.set_num_threads(threads())
    try:
        for name, group in groups.items():
            if name in (rows or groups):
                say(f"Measuring: {name}.")
                found += group(rounds)
    finally:
        torch.set_num_threads(before)
    whys = busy, why_no_jax(device), why_no_flashrnn() if device == "cuda" else None
    notes = [*filter(None, whys), *dict.fromkeys(notes)]
    return {"device": device, "machine": machine(device), "rounds": rounds, "notes": notes, "rows": found}


def plan(bandwidth: float = counts.CHIP["bandwidth"], flops: float = counts.CHIP["flops"]) -> str:
    """What the updates that are timed on a GPU must move and multiply, counted, as a table; runs nothing.

    Args:
        bandwidth: Of the chip's memory, TB/s.
        flops: Of products in float32, TFLOP/s.

    Raises:
        BadArgument: A number that is not positive.
    """
    for name, value in (("bandwidth", bandwidth), ("flops", flops)):
        if not value > 0:
            raise BadArgument(f"{name}={value!r}: a positive number is needed.")
    return counts.plan(_rows.LARGE, gpu.RUNS, bandwidth, flops)


def _busy() -> str:
    """A warning if other work runs here: peers with several threads suffer from it most."""
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    return f"The machine was busy when this began (load {load:.1f}): measure again." if load > BUSY else ""


def machine(device: str = "cpu") -> dict[str, str | int]:
    """What the numbers depend on, without a date."""
    versions = {}
    for name in ("torch", "numpy", "numba", "jax", *(("triton", "flashrnn") if device == "cuda" else ())):
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            versions[name] = "missing"
    chip = {"GPU": torch.cuda.get_device_name(), "CUDA": torch.version.cuda} if device == "cuda" else {}
    return {"CPU": _cpu(), "cores": os.cpu_count() or 1, "threads": threads(), **chip,
            "Python": platform.python_version(), **versions}  # fmt: skip


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
