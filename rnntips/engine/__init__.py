"""The computations of `rnntips.cells`, compiled: by Numba for a CPU, by Triton for a GPU.

The functions here choose the implementation for the tensors that they get. `cells.scan` is used without Numba or
Triton, for other types than float32 and on other devices.
"""

from __future__ import annotations

import sys
from functools import cache
from typing import TYPE_CHECKING

from torch import Tensor, float32

from rnntips import cells
from rnntips.cells import State
from rnntips.engine.cuda_graph import Recorder

if TYPE_CHECKING:  # shapes are for readers and type checkers
    from jaxtyping import Bool, Float

__all__ = ["Recorder", "compiled_update", "dense", "layer", "scan"]


def _missing(package: str, error: ImportError) -> None:
    install = "" if "NUMBA_DISABLE_JIT" in str(error) else f" pip install {package.lower()}."
    print(f"rnntips trains more slowly here, because {package} cannot be used: {error}.{install}", file=sys.stderr)


@cache
def _cpu():
    """The module that Numba compiles; where it cannot be used None, after one message on stderr."""
    try:
        from rnntips.engine import numba_ops
    except ImportError as error:
        return _missing("Numba", error)
    return numba_ops


@cache
def _cuda():
    """The same for a GPU and Triton. PyTorch for CUDA brings Triton along, but not on every platform."""
    try:
        from rnntips.engine import triton_ops
    except ImportError as error:
        return _missing("Triton", error)
    return triton_ops


def _fast(inputs: Tensor, *others: Tensor | None):
    """The compiled module for these tensors, or None."""
    given = [inputs, *(value for value in others if value is not None)]
    device = inputs.device.type
    if device not in ("cpu", "cuda") or not inputs.numel():
        return None
    if any(value.dtype != float32 or value.device.type != device for value in given):
        return None
    return _cpu() if device == "cpu" else _cuda()


def scan(
    cell: str, inputs: Float[Tensor, "R B T GH"], weight: Float[Tensor, "R H GH"],
    bias: Float[Tensor, "R GH"] | None = None, state: State | None = None, *,
    mask: Float[Tensor, "R B *T H"] | None = None, reset: Bool[Tensor, "B T"] | None = None,
) -> tuple[Float[Tensor, "R B T H"], State]:  # fmt: skip
    """The recurrence over time, as `cells.scan` defines it, by the fastest implementation for these tensors.

    Float32 is compiled and differentiable once; float64, and a GRU with a mask, can be differentiated twice.
    """
    cells.check(cell, inputs, weight, bias, state, mask, reset)
    parts = state if isinstance(state, tuple) else (state,)
    fast = _fast(inputs, weight, bias, mask, *parts)
    if fast is None or (cell == "gru" and mask is not None):  # compiled code leaves what a GRU carries unmasked
        return cells.scan(cell, inputs, weight, bias, state, mask=mask, reset=reset)
    return fast.scan(cell, inputs, weight, bias, state, mask, reset)


def layer(
    cell: str, x: Float[Tensor, "R B T C"], input_weight: Float[Tensor, "R C GH"], input_bias: Float[Tensor, "R GH"],
    weight: Float[Tensor, "R H GH"], bias: Float[Tensor, "R GH"], state: State | None = None, *,
    mask: Float[Tensor, "R B *T H"] | None = None,
) -> tuple[Float[Tensor, "R B T H"], State]:  # fmt: skip
    """`scan` of the contributions of x (R, B, T, C) through the input weight (R, C, G·H) and bias (R, G·H).

    A GRU's mask multiplies what its weights read, and not what it carries over.
    """
    parts = state if isinstance(state, tuple) else (state,)
    fast = _fast(x, input_weight, input_bias, weight, bias, mask, *parts)
    if fast is not None:
        return fast.layer(cell, x, input_weight, input_bias, weight, bias, state, mask)
    inputs = cells.contributions(x, input_weight, input_bias)
    return cells.scan(cell, inputs, weight, bias, state, mask=mask, mask_carried=False)


def dense(
    x: Float[Tensor, "R B T C"], weight: Float[Tensor, "R C K"], bias: Float[Tensor, "R K"], relu: bool = True
) -> Float[Tensor, "R B T K"]:
    """x (R, B, T, C) times weight (R, C, K) plus bias (R, K), with ReLU or without: (R, B, T, K)."""
    fast = _fast(x, weight, bias)
    if fast is not None and x.device.type == "cpu":
        return fast.dense(x, weight, bias, relu)
    out = cells.contributions(x, weight, bias)
    return out.relu() if relu else out


def compiled_update():
    """`CompiledUpdate`, a whole update of a network in compiled code; None without Numba."""
    fast = _cpu()
    return fast and fast.CompiledUpdate
