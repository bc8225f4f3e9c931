"""The GPU's programs compiled for chips that are not here."""

import os
import subprocess
import sys

import pytest

pytest.importorskip("triton")
CHIPS = {(75, "ieee"): 65_536, (80, "tf32x3"): 166_912, (89, "tf32x3"): 101_376, (90, "tf32x3"): 232_448,
         (120, "tf32x3"): 101_376}  # capability and rounding → bytes of shared memory of a program  # fmt: skip


def compiled(calls: list[tuple]) -> list:
    """Of every call of `inspection.compiled` both programs; in a process of its own, where nothing is interpreted."""
    code = (
        "from rnntips.kernels import cuda, inspection\n"
        f"for call in {calls!r}:\n"
        "    print([*map(tuple, inspection.compiled(*call)), cuda.shared(*call[:3])])"
    )
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    child = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert not child.returncode, child.stderr
    return [eval(line) for line in child.stdout.splitlines()]


@pytest.mark.skipif(sys.platform != "linux", reason="Triton compiles on Linux alone")
def test_programs_compile_for_every_chip_and_fit_its_registers_and_shared_memory():
    hopper = 90, "tf32x3"
    calls = [("gru", 32, 1, *chip) for chip in CHIPS]
    calls += [("lstm", 32, 0, *hopper), ("tanh", 128, 0, *hopper), ("lstm", 5, 3, *hopper), ("lstm", 64, 32, *hopper)]
    for call, (*programs, needed) in zip(calls, compiled(calls), strict=True):
        assert needed <= CHIPS[call[3:]], call
        for registers, spilled, shared, instructions in programs:
            assert registers <= 255 and shared <= needed and 100 < instructions < 2500, call
            assert spilled <= 64 or call[1] != 32, call
