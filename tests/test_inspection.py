"""The GPU's programs compiled for chips that are not here."""

import os
import subprocess
import sys

import pytest

from rnntips.bench import counts
from rnntips.bench.rows import LARGE

pytest.importorskip("triton")
# capability → bytes of shared memory that a program may have
CHIPS = {75: 65_536, 80: 166_912, 89: 101_376, 90: 232_448, 120: 101_376}


def compiled(calls: list[tuple]) -> list:
    """Of every call of `inspection.compiled` both programs; in a process of its own, where nothing is interpreted."""
    code = (
        "from rnntips.kernels import cuda, inspection\n"
        f"for call in {calls!r}:\n"
        "    print([*map(tuple, inspection.compiled(*call)), cuda.shared(*call[:3], call[4])])"
    )
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    child = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert not child.returncode, child.stderr
    return [eval(line) for line in child.stdout.splitlines()]


@pytest.mark.skipif(sys.platform != "linux", reason="Triton compiles on Linux alone")
def test_programs_compile_for_every_chip_and_fit_its_registers_and_shared_memory():
    calls = [("gru", 32, 1, chip, "ieee" if chip < 80 else "tf32x3") for chip in CHIPS]
    calls += [(*size, 90, "tf32x3") for size in (("lstm", 32, 0), ("tanh", 128, 0), ("lstm", 5, 3), ("lstm", 64, 32))]
    calls += [("lstm", 64, 1, 89, "ieee"), ("gru", 64, 0, 75, "ieee"), ("lstm", 64, 0, 90, "tf32")]
    for call, (*programs, needed) in zip(calls, compiled(calls), strict=True):
        assert needed <= CHIPS[call[3]], call
        for registers, spilled, shared, instructions in programs:
            assert registers <= 255 and shared <= needed and instructions > 100, call
            assert spilled <= 64 or call[1] != 32, call


@pytest.mark.skipif(sys.platform != "linux", reason="Triton compiles on Linux alone")
def test_the_instructions_that_predictions_rest_on_are_those_compiled():
    found = compiled([(cell, LARGE.H, 1, 90, "tf32x3") for cell in counts.INSTRUCTIONS])
    for (forward, backward, _), counted in zip(found, counts.INSTRUCTIONS.values(), strict=True):
        assert [forward[3], backward[3]] == pytest.approx(counted, rel=0.05)
