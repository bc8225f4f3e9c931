"""What the GPU's programs become as machine code, for any chip and without one: Triton brings the compiler along."""

import re
import subprocess
import tempfile
from pathlib import Path
from typing import NamedTuple

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from rnntips.cells import GATES
from rnntips.kernels import cuda, programs

__all__ = ["Compiled", "compiled"]

TOOLS = Path(triton.__file__).parent / "backends" / "nvidia" / "bin"
KINDS = {"x_run": "i32", "x_window": "i32", "x_step": "i32", "B": "i32", "T": "i32", "H": "i32", "C": "i32"}
EVEN = "x_run", "x_window", "B", "T", "H"  # at the sizes of the benchmark multiples of 16, which a launch notices


class Compiled(NamedTuple):
    registers: int  # of a thread
    spilled: int  # bytes of a thread that found no register
    shared: int  # bytes of a program
    instructions: int  # of a warp in one step


def compiled(cell: str, H: int, C: int, capability: int = 90, precision: str = "tf32x3") -> tuple[Compiled, Compiled]:
    """The programs of both directions, with C channels or, if C is 0, given contributions.

    Args:
        capability: The chip's, such as 90 for Hopper's 9.0.
    """
    sizes = {"CELL": programs.CODES[cell], "G": GATES[cell], **cuda.padded(H, C), "FUSED": C > 0,
             "KEEP": cuda.KEPT.get(cell, 0), "PRECISION": precision}  # fmt: skip
    both = (programs.forward, sizes), (programs.backward, sizes | {"EVERY": False})
    return tuple(_compiled(program, constants, H, capability) for program, constants in both)


def _compiled(program, constants: dict, H: int, capability: int) -> Compiled:
    kinds = {name: "constexpr" if name in constants else KINDS.get(name, "*fp32") for name in program.arg_names}
    aligned = {(i,): [["tt.divisibility", 16]] for i, name in enumerate(kinds) if name in EVEN or "*" in kinds[name]}
    source = ASTSource(program, kinds, constants, aligned)
    options = {"num_warps": cuda.warps(H), "num_stages": 1}
    binary = triton.compile(source, target=GPUTarget("cuda", capability, 32), options=options)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "program.cubin")
        path.write_bytes(binary.asm["cubin"])
        used = re.search(r"REG:(\d+) STACK:(\d+)", _said("cuobjdump", "-res-usage", path))
        steps = _longest_loop(_said("nvdisasm", "-c", path))
    return Compiled(int(used[1]), int(used[2]), binary.metadata.shared, steps)


def _said(tool: str, option: str, path: Path) -> str:
    return subprocess.run([TOOLS / tool, option, path], check=True, capture_output=True, text=True).stdout


def _longest_loop(text: str) -> int:
    """Instructions from a label to the last branch back to it, of the longest such stretch."""
    labels: dict[str, int] = {}
    longest = count = 0
    for line in text.splitlines():
        if label := re.match(r"(\.L_x_\d+):", line):
            labels[label[1]] = count
        elif re.match(r"\s*/\*[0-9a-f]{4,}\*/\s+\S", line):
            count += 1
            back = re.search(r"\bBRA\b.*`\((\.L_x_\d+)\)", line)
            if back and back[1] in labels:
                longest = max(longest, count - labels[back[1]])
    return longest
