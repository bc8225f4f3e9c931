"""What needs a process of its own: the machine's ceiling, and how long an import takes."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from rnntips.engine.threads import threads

__all__ = ["ceiling", "imported", "printed", "products"]


def printed(code: str) -> str:
    """What the code prints in a fresh process, whose NumPy may use the kernels made for this processor."""
    free = {name: value for name, value in os.environ.items() if name != "OPENBLAS_CORETYPE"}
    environment = free | {"OPENBLAS_NUM_THREADS": str(threads())}
    root = Path(__file__).resolve().parent.parent
    return subprocess.check_output([sys.executable, "-c", code], cwd=root, env=environment, text=True)


def ceiling(size: int, calls: int) -> dict[str, float]:
    """`products` in a fresh process."""
    code = f"import json; from benchmarks.fresh import products; print(json.dumps(products({size}, {calls})))"
    return json.loads(printed(code))


def products(size: int, calls: int) -> dict[str, float]:
    """GFLOP/s of torch's and of NumPy's product of two float32 matrices, size × size; the best of so many calls."""
    torch.set_num_threads(threads())
    left, out = np.ones((size, size), np.float32), np.empty((size, size), np.float32)
    torchs, taken = (torch.from_numpy(left), torch.from_numpy(out)), {"torch": [], "NumPy": []}
    for _ in range(calls):
        taken["torch"].append(_seconds(lambda: torch.matmul(torchs[0], torchs[0], out=torchs[1])))
        taken["NumPy"].append(_seconds(lambda: np.matmul(left, left, out=out)))
    return {name: 2 * size**3 / min(times) / 1e9 for name, times in taken.items()}


def imported(module: str) -> float:
    """Seconds of a fresh process that imports a module."""
    return _seconds(lambda: printed(f"import {module}"))


def _seconds(function: Callable[[], object]) -> float:
    began = time.perf_counter()
    function()
    return time.perf_counter() - began
