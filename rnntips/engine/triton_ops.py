"""The recurrence on a GPU as a differentiable operation of torch, which launches the kernels of `triton_kernels.py`.

`precision` says how products are rounded.
"""

from functools import cache

import torch
import triton
from torch import Tensor

from rnntips import cells
from rnntips.cells import GATES, State
from rnntips.engine import triton_kernels
from rnntips.errors import differentiated_once

__all__ = ["layer", "padded", "precision", "scan", "shared", "warps"]

KEPT = {"gru": 4, "lstm": 5}  # values per unit and step stored for the gradient; plain cells need only their states
PRECISION: str | None = None  # if set, the answer of `precision` on every GPU
LEAST = 16  # the fewest rows and columns of a product in Triton
CHANNELS = 32  # the most input channels whose contributions a kernel computes itself
TILE = 16  # windows of one program
WEIGHTS = 16_384  # the most recurrent weights whose gradients fit into registers


def precision(device: torch.device) -> str:
    """How float32 products are computed: "ieee" as on a CPU; "tf32x3", by three tensor-core products, is as exact.

    "tf32" keeps ten bits. It is used only if torch's own products use it too, for example after
    `torch.set_float32_matmul_precision("high")`.
    """
    if PRECISION is not None:
        return PRECISION
    if device.type != "cuda" or torch.version.hip or torch.cuda.get_device_capability(device) < (8, 0):
        return "ieee"
    products = torch.backends.cuda.matmul
    name = getattr(products, "fp32_precision", None)  # from PyTorch 2.9 on; right however it was set
    ten_bits = products.allow_tf32 if name is None else name == "tf32"
    return "tf32" if ten_bits else "tf32x3"


def _padded(size: int) -> int:
    return max(LEAST, triton.next_power_of_2(size))


def padded(H: int, C: int) -> dict[str, int]:
    """Sizes of a program's blocks."""
    return {"HIGH": _padded(H), "WIDE": _padded(C), "ROWS": TILE}


def shared(cell: str, H: int, C: int, rounding: str) -> int:
    """The most bytes of shared memory that a program needs, with C channels; C is 0 where contributions are given.

    It holds the weights, in two parts each for "tf32x3", and a few states of a tile. "tf32" needs less.
    """
    high, wide = _padded(H), _padded(C) if C else 0
    parts = 1 if rounding == "ieee" else 2
    return 4 * parts * high * (GATES[cell] * high + max(GATES[cell] * wide + TILE, 4 * TILE))


def warps(H: int) -> int:
    """Warps of a program: one is enough for a tile of 16 × 16; wide weights fill the registers of eight."""
    return {16: 1, 32: 4}.get(_padded(H), 8)


@cache
def _there_is(device: torch.device) -> int:
    """Bytes of shared memory that a program may have; under Triton's interpreter those of a Hopper GPU."""
    return torch.cuda.get_device_properties(device).shared_memory_per_block_optin if device.type == "cuda" else 232448


def _rounding(cell: str, H: int, C: int, device: torch.device) -> str | None:
    """`precision` for this layer, or "ieee", which needs less shared memory; None where neither fits."""
    fitting = [name for name in (precision(device), "ieee") if shared(cell, H, C, name) <= _there_is(device)]
    return fitting[0] if fitting and GATES[cell] * _padded(H) ** 2 <= WEIGHTS else None


def scan(cell: str, inputs: Tensor, weight: Tensor, bias: Tensor | None, state: State | None,
         mask: Tensor | None, reset: Tensor | None) -> tuple[Tensor, State]:  # fmt: skip
    """See `rnntips.engine.layer` for masks. They, resets and wide layers use the plain operations of `cells.scan`."""
    if mask is not None or reset is not None or not _rounding(cell, weight.shape[1], 0, inputs.device):
        return cells.scan(cell, inputs, weight, bias, state, mask=mask, reset=reset, mask_carried=False)
    bias = inputs.new_zeros(len(weight), weight.shape[2]) if bias is None else bias
    return _run(cell, inputs, None, None, weight, bias, state)


def layer(cell: str, x: Tensor, input_weight: Tensor, input_bias: Tensor, weight: Tensor, bias: Tensor,
          state: State | None, mask: Tensor | None = None) -> tuple[Tensor, State]:  # fmt: skip
    """See `rnntips.engine.layer`. With few channels and no gradient of x, the kernel computes the contributions."""
    H, C = weight.shape[1], x.shape[3]
    if mask is not None or x.requires_grad or not 0 < C <= CHANNELS or not _rounding(cell, H, C, x.device):
        return scan(cell, cells.contributions(x, input_weight, input_bias), weight, bias, state, mask, None)
    return _run(cell, x, input_weight, input_bias, weight, bias, state)


def _run(cell, x, input_weight, input_bias, weight, bias, state):
    h, c = state if isinstance(state, tuple) else (state, None)
    h, c = (x.new_zeros(len(weight), x.shape[1], weight.shape[1]) if part is None else part for part in (h, c))
    keep = KEPT.get(cell, 0) if torch.is_grad_enabled() else 0  # within `apply` gradients are off
    states, h, c = _Scan.apply(cell, keep, x, input_weight, input_bias, weight, bias, h, c)
    return states, ((h, c) if cell == "lstm" else h)


def _launch(kernel, cell: str, x: Tensor, fused: bool, states: Tensor, keep: int, *arrays: Tensor, **more) -> None:
    """Run a kernel for every run and tile; all arrays are contiguous but x, whose last axis is."""
    R, T, B, H = states.shape
    C = x.shape[3] if fused else 0
    kernel[(R * triton.cdiv(B, TILE),)](
        x, *arrays, *x.stride()[:3], B, T, H, C, CELL=triton_kernels.CODES[cell], G=GATES[cell], **padded(H, C),
        FUSED=fused, KEEP=keep, PRECISION=_rounding(cell, H, C, x.device), num_warps=warps(H), num_stages=1, **more,
    )  # fmt: skip


class _Scan(torch.autograd.Function):
    @staticmethod
    def forward(ctx, cell, keep, x, input_weight, input_bias, weight, bias, h, c):
        (R, B, T, _), H, fused = x.shape, h.shape[2], input_weight is not None
        x = x if x.stride(3) == 1 else x.contiguous()
        weight, bias, first, first_c = (part.contiguous() for part in (weight, bias, h, c))
        input_weight, input_bias = (input_weight.contiguous(), input_bias.contiguous()) if fused else (weight, bias)
        states, last_c = x.new_empty(R, T, B, H), torch.empty_like(first_c)
        kept = x.new_empty(R, T, keep, B, H)
        _launch(triton_kernels.forward, cell, x, fused, states, keep, input_weight, input_bias, weight, bias, first,
                first_c, states, kept, last_c)  # fmt: skip
        ctx.cell, ctx.fused, ctx.keep = cell, fused, keep
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(x, weight, first, states, kept)
        out = states.transpose(1, 2)
        return out, out[:, :, -1].clone(), last_c if cell == "lstm" else None

    @staticmethod
    def backward(ctx, dstates, dh, dc):
        if torch.is_grad_enabled():
            raise differentiated_once("The GPU's")
        cell, fused, (x, weight, first, states, kept) = ctx.cell, ctx.fused, ctx.saved_tensors
        (R, T, B, H), G = states.shape, GATES[ctx.cell]
        tiles, C = triton.cdiv(B, TILE), x.shape[3] if fused else 0
        every = dstates is not None
        dstates = dstates.transpose(1, 2).contiguous() if every else states
        dh, dc = (torch.zeros_like(first) if part is None else part.contiguous() for part in (dh, dc))
        dx = x.new_empty(R, 0 if fused else T, B, G * H)
        dinput_weight, dweight = (x.new_empty(R, tiles, rows, G * H) for rows in (C, H))
        dbias, dfirst, dfirst_c = x.new_empty(R, tiles, (G + 1) * H), torch.empty_like(first), torch.empty_like(first)
        _launch(triton_kernels.backward, cell, x, fused, states, ctx.keep, weight, first, states, kept, dstates, dh, dc,
                dx, dinput_weight, dweight, dbias, dfirst, dfirst_c, EVERY=every)  # fmt: skip
        dbias, dinput_bias = dbias.sum(1), None
        if fused:  # only the GRU's new value has an input bias whose gradient differs
            gates = [0, 1, 3] if cell == "gru" else range(G)
            dinput_bias = torch.cat([dbias[:, gate * H : (gate + 1) * H] for gate in gates], 1)
        return (None, None, None if fused else dx.transpose(1, 2), dinput_weight.sum(1) if fused else None, dinput_bias,
                dweight.sum(1), dbias[:, : G * H], dfirst, dfirst_c if cell == "lstm" else None)  # fmt: skip
