"""Fast ways to run `cells.scan`: which one serves a given problem is chosen here.

Without Numba or Triton, in other types than float32 and on other devices `cells.scan` itself serves.
"""

import sys
from functools import cache

from torch import Tensor, float32

from rnntips import cells
from rnntips.cells import State
from rnntips.kernels.recording import Recorder

__all__ = ["Recorder", "dense", "layer", "scan", "update"]


def _missing(package: str, error: ImportError) -> None:
    print(f"rnntips trains more slowly here, because {package} is missing ({error}): pip install {package.lower()}.",
          file=sys.stderr)  # fmt: skip


@cache
def _cpu():
    """The compiled module, or None; which is said once."""
    try:
        from rnntips.kernels import cpu
    except ImportError as error:
        return _missing("Numba", error)
    return cpu


@cache
def _cuda():
    """The same for a GPU. PyTorch brings Triton along where it knows CUDA, but not on every platform."""
    try:
        from rnntips.kernels import cuda
    except ImportError as error:
        return _missing("Triton", error)
    return cuda


def _fast(inputs: Tensor, *others: Tensor | None):
    """The module that serves these tensors, or None."""
    given = [inputs, *(value for value in others if value is not None)]
    device = inputs.device.type
    if device not in ("cpu", "cuda") or not inputs.numel():
        return None
    if any(value.dtype != float32 or value.device.type != device for value in given):
        return None
    return _cpu() if device == "cpu" else _cuda()


def scan(
    cell: str, inputs: Tensor, weight: Tensor, bias: Tensor | None = None, state: State | None = None, *,
    mask: Tensor | None = None, reset: Tensor | None = None,
) -> tuple[Tensor, State]:  # fmt: skip
    """The recurrence over time, as `cells.scan` defines it, by the fastest means at hand.

    Float32 is compiled and differentiable once; float64 can be differentiated twice.
    """
    cells.check(cell, inputs, weight, bias, state, mask, reset)
    parts = state if isinstance(state, tuple) else (state,)
    fast = _fast(inputs, weight, bias, mask, *parts)
    if fast is None:
        return cells.scan(cell, inputs, weight, bias, state, mask=mask, reset=reset)
    return fast.scan(cell, inputs, weight, bias, state, mask, reset)


def layer(
    cell: str, x: Tensor, input_weight: Tensor, input_bias: Tensor, weight: Tensor, bias: Tensor,
    state: State | None = None,
) -> tuple[Tensor, State]:  # fmt: skip
    """A scan of x (R, B, T, C) through the input weight (R, C, G·H) and bias (R, G·H)."""
    parts = state if isinstance(state, tuple) else (state,)
    fast = _fast(x, input_weight, input_bias, weight, bias, *parts)
    if fast is not None:
        return fast.layer(cell, x, input_weight, input_bias, weight, bias, state)
    return cells.scan(cell, cells.contributions(x, input_weight, input_bias), weight, bias, state)


def dense(x: Tensor, weight: Tensor, bias: Tensor, relu: bool = True) -> Tensor:
    """x (R, B, T, C) times weight (R, C, K) plus bias (R, K), through ReLU or not: (R, B, T, K)."""
    fast = _fast(x, weight, bias)
    if fast is not None and x.device.type == "cpu":
        return fast.dense(x, weight, bias, relu)
    out = cells.contributions(x, weight, bias)
    return out.relu() if relu else out


def update():
    """`cpu.Update`, the whole update of a network compiled, or None where it is not to be had."""
    fast = _cpu()
    return fast and fast.Update
