"""What an update on a GPU must move and multiply, counted, and so the least time that a chip needs for it.

The update is that of the benchmark: one recurrent layer that reads one channel, a readout of its last state, Adam. What
is counted is what `kernels/cuda.py` moves to and from the chip's memory, every array once for each kernel that reads or
writes it. All that stays in registers and caches is left out, and so are activations, clipping, and the states before
the first step and after the last.
"""

from math import ceil

from rnntips.bench.peers import CELLS, Size
from rnntips.bench.table import aligned, number
from rnntips.cells import GATES

__all__ = ["CHIP", "instructions", "least", "operations", "plan", "predicted", "traffic"]

CHIP = {"bandwidth": 4.8, "flops": 67.0}  # TB/s, and TFLOP/s in float32 without tensor cores: an H200's data sheet
KEPT = {"gru": 4, "lstm": 5}  # values that a unit leaves for the gradient at each step, beside its state
TILE = 16  # windows of one program
# of a warp in a step, forward and backward, compiled for Hopper at 32 units (`kernels/inspection.py`)
INSTRUCTIONS = {"tanh": (267, 340), "gru": (551, 781), "lstm": (767, 1029)}
WARPS = 4  # of a program
BEGUN = 132 * 4 * 1.98e9  # instructions that an H200's processors begin in a second
STEP, OTHERS = 2e-3, 0.15  # milliseconds guessed for a step there and back, and for some sixty small operations
C, FLOAT, PLACE = 1, 4, 8  # input channels; bytes of a number and of a place in a signal


def traffic(cell: str, size: Size) -> dict[str, int]:
    """Bytes that each part of an update moves.

    `feed` writes and reads the places of all steps, reads these from the signals and writes the windows. `forward`
    reads windows and weights, and writes states and what is kept for the gradient. `backward` reads windows, states,
    what was kept and the weights that states go through, and writes a gradient of the weights for each tile of
    windows. `sum` adds those up. `step` reads and writes weights, gradient and the optimizer's two averages.
    """
    R, B, T, H = size
    gates, steps = GATES[cell] * H, R * B * T
    windows, states = C * steps, (1 + KEPT.get(cell, 0)) * H * steps
    weights, own = R * ((H + C + 2) * gates + H + 1), R * H * (gates + 1)
    biases = gates + (H if cell == "gru" else 0)  # two of its new value, one within the product
    tiles = R * ceil(B / TILE) * ((H + C) * gates + biases)
    numbers = {
        "feed": 2 * windows + 2 * steps * PLACE // FLOAT,
        "forward": windows + weights + states,
        "backward": windows + own + states + tiles,
        "sum": tiles + weights,
        "step": 2 * 4 * weights,
    }
    return {part: FLOAT * count for part, count in numbers.items()}


def operations(cell: str, size: Size) -> int:
    """Multiplications and additions in an update's matrix products.

    Forward every gate is a product of the state and the input; backward the gates' gradient gives those of the state
    and of both weights, and the input needs none.
    """
    R, B, T, H = size
    recurrent, given = (2 * R * B * T * inputs * GATES[cell] * H for inputs in (H, C))
    readout = 2 * R * B * H
    return 3 * recurrent + 2 * given + 3 * readout


def least(cell: str, size: Size, bandwidth: float, flops: float) -> dict[str, float]:
    """Milliseconds that an update takes at least for its `bytes`, and for its `operations`.

    Args:
        bandwidth: Of the chip's memory, TB/s.
        flops: Of products in float32, TFLOP/s.
    """
    moved, multiplied = sum(traffic(cell, size).values()), operations(cell, size)
    return {"bytes": moved / bandwidth / 1e9, "operations": multiplied / flops / 1e9}


def instructions(cell: str, size: Size) -> int:
    """Instructions of warps in the kernels of both directions."""
    return size.R * ceil(size.B / TILE) * WARPS * size.T * sum(INSTRUCTIONS[cell])


def predicted(cell: str, size: Size) -> float:
    """Milliseconds of an update on an H200, guessed before any was measured.

    The kernels take twice the larger of what bytes and instructions take at least, but no less than their steps, one
    after the other; all else comes on top.
    """
    floors = least(cell, size, **CHIP)["bytes"], 1e3 * instructions(cell, size) / BEGUN
    return max(2 * max(floors), STEP * size.T) + OTHERS


def plan(size: Size, runs: tuple[int, ...], bandwidth: float, flops: float) -> str:
    """Markdown of all counts for a benchmark of this size with so many runs; needs no GPU."""
    known = CHIP == {"bandwidth": bandwidth, "flops": flops}
    lines = [["cell", "R", "moves", "in at least", "multiplies", "in at least"]]
    lines[0] += ["instructions", "in at least", "predicted"] if known else []
    for cell in CELLS:
        for R in runs:
            some = size._replace(R=R)
            times = {name: f"{number(1e3 * time)} µs" for name, time in least(cell, some, bandwidth, flops).items()}
            moved, multiplied = sum(traffic(cell, some).values()) / 1e6, operations(cell, some) / 1e9
            lines.append([cell, f"{R:,}", f"{number(moved)} MB", times["bytes"], f"{number(multiplied)} GFLOP",
                          times["operations"]])  # fmt: skip
            if known:
                begun = instructions(cell, some)
                lines[-1] += [f"{number(begun / 1e6)} million", f"{number(1e6 * begun / BEGUN)} µs",
                              f"{number(1e3 * predicted(cell, some))} µs"]  # fmt: skip
    per_run = [["kB of each run", *CELLS]]
    parts = {cell: traffic(cell, size._replace(R=1)) for cell in CELLS}
    for part in parts["tanh"]:
        per_run.append([part, *(number(parts[cell][part] / 1e3) for cell in CELLS)])
    chip = " (an H200 by its data sheet)" if known else ""
    counted = (
        f"Counted, not measured: B {size.B}, T {size.T}, H {size.H}, one channel, on a chip that moves {bandwidth:g}"
    )
    return "\n\n".join([aligned(lines), aligned(per_run),
                        f"{counted} TB/s and multiplies {flops:g} TFLOP/s in float32{chip}."])  # fmt: skip
