"""The benchmark of the training engine, `python -m benchmarks`: all its numbers are measured."""

import os
import platform
from collections.abc import Callable, Sequence
from importlib import metadata
from pathlib import Path

import torch

from benchmarks import gpu, peers
from benchmarks import rows as cpu
from benchmarks.flashrnn import why_no_flashrnn
from rnntips.engine.devices import resolve_device
from rnntips.engine.threads import threads
from rnntips.errors import need_whole, unknown_name

__all__ = ["ROUNDS", "measure"]

ROUNDS = 7
BUSY = 1.0  # load average of the last minute from which on a note is made


def measure(
    rows: Sequence[str] = (), device: str = "cpu", rounds: int = ROUNDS, say: Callable[[str], None] = lambda line: None
) -> dict:
    """Time the engine and what a user would run instead on this machine.

    Args:
        rows: Groups to measure, all if empty: update, recurrence, extras, evaluation, growth, memory, live,
            import; on a GPU: gpu-tanh, gpu-gru, gpu-lstm, gpu-memory, gpu-published.
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
    failed: list[str] = []
    groups = cpu.GROUPS if device == "cpu" else gpu.groups(say, failed.append)
    for name in rows:
        if name not in groups:
            raise unknown_name("row", name, groups)
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0  # peers with several threads suffer most from it
    busy = f"The machine was busy when this began (load {load:.1f}): measure again." if load > BUSY else None
    found, before = [], torch.get_num_threads()
    torch.set_num_threads(threads())
    try:
        for name, group in groups.items():
            if name in (rows or groups):
                say(f"Measuring: {name}.")
                found += group(rounds)
    finally:
        torch.set_num_threads(before)
    notes = busy, peers.why_no_jax(device), why_no_flashrnn() if device == "cuda" else None, *dict.fromkeys(failed)
    return {"device": device, "machine": _machine(device), "rounds": rounds, "notes": [*filter(None, notes)],
            "rows": found}  # fmt: skip


def _machine(device: str) -> dict[str, str | int]:
    """What the numbers depend on, without a date."""
    versions = {}
    for name in ("torch", "numpy", "numba", "jax", *(("triton", "flashrnn") if device == "cuda" else ())):
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            versions[name] = "missing"
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        processor = next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        processor = platform.processor() or platform.machine()
    chip = {"GPU": torch.cuda.get_device_name(), "CUDA": torch.version.cuda} if device == "cuda" else {}
    return {"CPU": processor, "vectors": _vectors(), "cores": os.cpu_count() or 1, "threads": threads(), **chip,
            "Python": platform.python_version(), **versions}  # fmt: skip


def _vectors() -> str:
    """How many values a vector of the compiled engine holds, and the vectors that torch finds in the processor."""
    try:
        from rnntips.engine import compiling
    except ImportError:
        return "none, without Numba"
    return f"of {16 if compiling.WIDE else 8} values (the processor has {torch.backends.cpu.get_cpu_capability()})"
