"""Recurrent layers on a CPU: torch tensors in and out, the time loops in `loops`.

The loops' arrays have the batch innermost: states are (R, T, H', B') in memory, H' and B' filled up
to whole tiles, and leave as views (R, B, T, H). All weights of a layer go in as one matrix.
"""

from weakref import finalize

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from rnntips.cells import GATES, State
from rnntips.kernels import loops
from rnntips.kernels.pool import over_runs
from rnntips.kernels.tiles import COLUMNS, ROWS

__all__ = ["layer", "scan"]

CODES = {"tanh": 0, "relu": 1, "sigmoid": 2, "gru": loops.GRU, "lstm": loops.LSTM}
NOTHING = torch.empty(0)
SHELVES = 8  # sizes of which memory is kept


def scan(cell: str, inputs: Tensor, weight: Tensor, bias: Tensor | None, state: State | None,
         mask: Tensor | None, reset: Tensor | None) -> tuple[Tensor, State]:  # fmt: skip
    """See `rnntips.kernels.scan`."""
    return _run(cell, None, inputs, None, None, weight, bias, state, mask, reset)


def layer(cell: str, x: Tensor, input_weight: Tensor, input_bias: Tensor, weight: Tensor,
          bias: Tensor) -> tuple[Tensor, State]:  # fmt: skip
    """A scan that makes the input contributions itself, from x (R, B, T, C): they need no memory."""
    return _run(cell, x, None, input_weight, input_bias, weight, bias, None, None, None)


def _run(cell, x, given, input_weight, input_bias, weight, bias, state, mask, reset):
    h, c = (state if cell == "lstm" else (state, None)) if state is not None else (None, None)
    if mask is not None and mask.dim() == 3:
        mask = mask[:, :, None]
    states, h, c = _Layer.apply(cell, x, given, input_weight, input_bias, weight, bias, h, c, mask, reset)
    return states, ((h, c) if cell == "lstm" else h)


_shelf: dict[int, list[Tensor]] = {}


def _spare(*shape: int):
    """An array that goes back on a shelf when nobody needs it: fresh pages cost more than the sums put there."""
    size = shape[0] * shape[1]
    try:
        memory = _shelf[size].pop()
    except (KeyError, IndexError):
        memory = torch.empty(size)
    array = memory.view(shape).numpy()
    finalize(array, _put_back, memory).atexit = False
    return array


def _put_back(memory: Tensor) -> None:
    """May run at any time and in any thread, so it uses only operations that cannot be interrupted."""
    if len(_shelf) > SHELVES:
        _shelf.clear()
    waiting = _shelf.setdefault(len(memory), [])
    if len(waiting) < 2:
        waiting.append(memory)


def _batch_last(x: Tensor | None, runs: int):
    """(R, B, T, n) as a contiguous array (R, T, n, B); empty if None."""
    return (NOTHING.view(runs, 0, 0, 0) if x is None else x.detach().permute(0, 2, 3, 1).contiguous()).numpy()


def _filled(x: Tensor | None, R: int, H: int, B: int):
    """(R, B, H) filled up and laid out as the loops want a state, (R, H'·B')."""
    out = torch.zeros(R, H, B)
    if x is not None:
        out[:, : x.shape[2], : x.shape[1]] = x.transpose(1, 2)
    return out.view(R, H * B)


class _Layer(torch.autograd.Function):
    @staticmethod
    def forward(ctx, cell, x, given, input_weight, input_bias, weight, bias, h, c, mask, reset):
        source = given if x is None else x
        R, B, T = source.shape[:3]
        H, C, G = weight.shape[1], 0 if x is None else x.shape[3], GATES[cell]
        high, wide = -(-H // ROWS) * ROWS, -(-B // COLUMNS) * COLUMNS
        Q, n = max(G, 4) if G > 1 else 1, high * wide
        packed = _pack(R, H, C, G, Q, high, input_weight, input_bias, weight, bias)
        keep = torch.empty(0, 0, dtype=torch.uint8)
        if reset is not None:
            keep = (~reset).T.contiguous().to(torch.uint8)
        sizes = (CODES[cell], H, high, wide, T)
        xs = torch.empty(R, T, 0, B).numpy() if x is None else _batch_last(x, R)
        first = [_filled(h, R, high, wide), _filled(c, R, high, wide)]
        needed = any(ctx.needs_input_grad)
        gates = _spare(R, T * Q * n if G > 1 and needed else 1)
        cs = _spare(R, T * n if cell == "lstm" else 1)
        states = _spare(R, T * n)
        arrays = (xs, packed, *(f.numpy() for f in first), _batch_last(mask, R), keep.numpy(),
                  states, cs, gates)  # fmt: skip
        over_runs(loops.forward, R, *sizes, xs, _batch_last(given, R), *arrays[1:])
        ctx.cell, ctx.sizes, ctx.arrays = cell, sizes, arrays
        ctx.shape = (R, B, C, Q)
        ctx.has = [value is not None for value in (x, given, input_weight, input_bias, weight, bias, h, c, mask, reset)]
        ctx.mask_steps = 0 if mask is None else mask.shape[2]
        ctx.set_materialize_grads(False)
        out = torch.from_numpy(states).view(R, T, high, wide)[:, :, :H, :B].permute(0, 3, 1, 2)
        if needed:
            ctx.save_for_backward(out, x, mask)  # so that torch notices when somebody writes into them
        c = None
        if cell == "lstm":
            c = torch.from_numpy(cs).view(R, T, high, wide)[:, -1, :H, :B].transpose(1, 2).clone()
        return out, out[:, :, -1].clone(memory_format=torch.contiguous_format), c

    @staticmethod
    @once_differentiable
    def backward(ctx, dstates, dh, dc):
        _ = ctx.saved_tensors
        _, H, high, wide, T = ctx.sizes
        R, B, C, Q = ctx.shape
        G = GATES[ctx.cell]
        x, given, input_weight, input_bias, _, bias, h, c, mask, _ = (
            has and need for has, need in zip(ctx.has, ctx.needs_input_grad[1:], strict=True)
        )
        first = [_filled(dh, R, high, wide), _filled(dc, R, high, wide)]
        dweight = torch.zeros(R, ctx.arrays[1].shape[1])
        dx, dgiven, dmask = (
            torch.empty(R, T, rows, B) if needed else torch.empty(R, 0, 0, 0)
            for rows, needed in ((C, x), (G * H, given), (H, mask))
        )
        over_runs(loops.backward, R, *ctx.sizes, *ctx.arrays, _batch_last(dstates, R), *(f.numpy() for f in first),
                  *(a.numpy() for a in (dweight, dx, dgiven, dmask)))  # fmt: skip
        din, dbias_in, drec, dbias = _unpack(dweight, R, H, C, G, Q, high)
        dh, dc = (f.view(R, high, wide)[:, :H, :B].transpose(1, 2) for f in first)
        dmask = dmask.permute(0, 3, 1, 2)
        if mask and ctx.mask_steps == 1:
            dmask = dmask.sum(2, keepdim=True)
        values = [(x, dx.permute(0, 3, 1, 2)), (given, dgiven.permute(0, 3, 1, 2)), (input_weight, din),
                  (input_bias, dbias_in), (True, drec), (bias, dbias), (h, dh), (c, dc), (mask, dmask)]  # fmt: skip
        return None, *(value if needed else None for needed, value in values), None


def _pack(R, H, C, G, Q, high, input_weight, input_bias, weight, bias):
    """All weights as the loops want them, (R, K·Q·H')."""
    packed = torch.zeros(R, high + -(-(1 + C) // ROWS) * ROWS, Q, high)
    packed[:, :H, :G, :H] = weight.view(R, H, G, H)
    if bias is not None:
        packed[:, high, :G, :H] = bias.view(R, G, H)
    for rows, value in ((slice(high, high + 1), input_bias), (slice(high + 1, high + 1 + C), input_weight)):
        if value is not None:
            value, shared = value.view(R, -1, G, H), min(G, 2) if G == 3 else G
            packed[:, rows, :shared, :H] += value[:, :, :shared]
            packed[:, rows, 3:, :H] += value[:, :, shared:] if G == 3 else 0
    return packed.view(R, -1).numpy()


def _unpack(packed: Tensor, R, H, C, G, Q, high):
    """Gradients of the input weight and bias, the recurrent weight and bias."""
    packed = packed.view(R, -1, Q, high)[..., :H]
    recurrent = packed[:, :, :G]
    inputs = packed[:, high : high + 1 + C]
    inputs = torch.cat([inputs[:, :, :2], inputs[:, :, 3:]], 2) if G == 3 else inputs
    return (inputs[:, 1:].reshape(R, C, G * H), inputs[:, 0].reshape(R, G * H),
            recurrent[:, :H].reshape(R, H, G * H), recurrent[:, high].reshape(R, G * H))  # fmt: skip
