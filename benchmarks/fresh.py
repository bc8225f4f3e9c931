"""What needs a process of its own; the machine's ceiling does, as libraries choose their kernels when they load."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import torch

from benchmarks.rounds import contestant
from rnntips.engine.threads import threads

__all__ = ["ceiling", "printed", "products"]


def printed(code: str) -> str:
    """What the code prints in a fresh process, whose NumPy may use its kernels for this processor."""
    free = {name: value for name, value in os.environ.items() if name != "OPENBLAS_CORETYPE"}
    environment = free | {"OPENBLAS_NUM_THREADS": str(threads())}
    root = Path(__file__).resolve().parent.parent
    return subprocess.check_output([sys.executable, "-c", code], cwd=root, env=environment, text=True)


def ceiling(size: int, turns: int) -> dict[str, float]:
    """`products` in a fresh process."""
    code = f"import json; from benchmarks.fresh import products; print(json.dumps(products({size}, {turns})))"
    return json.loads(printed(code))


def products(size: int, turns: int) -> dict[str, float]:
    """GFLOP/s of torch's and NumPy's product of two float32 matrices, size × size, with all threads; of so many turns
    the best. First one library and then the other: idle threads of the one would keep the other from its cores.
    """
    torch.set_num_threads(threads())
    both = np.ones((2, size, size), np.float32)
    libraries = {"torch": (torch.matmul, torch.from_numpy(both)), "NumPy": (np.matmul, both)}
    found = {}
    for name, (multiply, (matrix, out)) in libraries.items():
        turn = contestant(lambda: multiply(matrix, matrix, out=out))  # noqa: B023 - called before the loop goes on
        found[name] = 2 * size**3 / min(turn() for _ in range(turns)) / 1e6
    return found
