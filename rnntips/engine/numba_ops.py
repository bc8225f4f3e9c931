"""Recurrent layers on a CPU as differentiable operations of torch; `scans` has their compiled loops.

The batch is the innermost axis of the states: memory holds them as (R, T, H', B'), where H' and B' are padded to whole
tiles, and they are returned as views (R, B, T, H). All other arrays are used in place, without a copy.
"""

from functools import partial
from weakref import finalize

import numpy as np
import torch
from torch import Tensor

from rnntips.cells import GATES, State
from rnntips.engine import scans, time_loops
from rnntips.engine.gates import CODES, GRU, LSTM
from rnntips.engine.layout import NEVER, CompiledUpdate
from rnntips.engine.threads import over_runs
from rnntips.engine.tiles import COLUMNS, ROWS, whole
from rnntips.errors import differentiated_once

__all__ = ["CompiledUpdate", "dense", "layer", "scan"]

SHELVES = 8  # sizes of arrays whose memory is kept for reuse


def scan(cell: str, inputs: Tensor, weight: Tensor, bias: Tensor | None, state: State | None,
         mask: Tensor | None, reset: Tensor | None) -> tuple[Tensor, State]:  # fmt: skip
    """See `rnntips.engine.scan`; a GRU's mask as in `rnntips.engine.layer`."""
    return _run(cell, None, inputs, None, None, weight, bias, state, mask, reset)


def layer(cell: str, x: Tensor, input_weight: Tensor, input_bias: Tensor, weight: Tensor, bias: Tensor,
          state: State | None, mask: Tensor | None = None) -> tuple[Tensor, State]:  # fmt: skip
    """See `rnntips.engine.layer`. The input contributions of x (R, B, T, C) are never stored."""
    return _run(cell, x, None, input_weight, input_bias, weight, bias, state, mask, None)


def dense(x: Tensor, weight: Tensor, bias: Tensor, relu: bool) -> Tensor:
    """See `rnntips.engine.dense`."""
    return _run("dense" if relu else "linear", x, None, weight, bias, None, None, None, None, None)[0]


def _run(cell, x, given, input_weight, input_bias, weight, bias, state, mask, reset):
    h, c = state if isinstance(state, tuple) else (state, None)
    if mask is not None and mask.dim() == 3:
        mask = mask[:, :, None]
    states, h, c = _Layer.apply(cell, x, given, input_weight, input_bias, weight, bias, h, c, mask, reset)
    return states, ((h, c) if cell == "lstm" else h)


_shelf: dict[int, list[Tensor]] = {}


# named, since a notebook may have set others as the default
_empty = partial(torch.empty, dtype=torch.float32, device="cpu")


def _spare(*shape: int):
    """An array whose memory is reused after it is freed: writing to new memory takes longer than the arithmetic."""
    size = shape[0] * shape[1]
    if not size:
        return np.empty(shape, np.float32)
    try:
        memory = _shelf[size].pop()
    except (KeyError, IndexError):
        memory = _empty(size)
    array = memory.view(shape).numpy()
    finalize(array, _put_back, memory).atexit = False
    return array


def _put_back(memory: Tensor) -> None:
    """Can be called at any time and in any thread, so it uses only operations that cannot be interrupted."""
    if len(_shelf) > SHELVES:
        _shelf.clear()
    waiting = _shelf.setdefault(len(memory), [])
    if len(waiting) < 2:
        waiting.append(memory)


def _read(value: Tensor | None, R: int, dims: int):
    """A tensor as an array whose first axis is the runs; for None an array of size 0."""
    return np.empty((R, *[0] * (dims - 1)), np.float32) if value is None else value.detach().numpy()


class _Layer(torch.autograd.Function):
    @staticmethod
    def forward(ctx, cell, x, given, input_weight, input_bias, weight, bias, h, c, mask, reset):
        R, B, T = (given if x is None else x).shape[:3]
        gates, columns = GATES.get(cell, 1), (input_weight if weight is None else weight).shape[2]
        H, C = columns // gates, 0 if x is None else x.shape[3]
        high, wide = whole(H, ROWS), whole(B, COLUMNS)
        needed, n = any(ctx.needs_input_grad), high * wide
        gates = 4 if gates > 1 else 1  # the GRU's third gate is stored in two parts, see `time_loops`
        if x is None:
            x = _empty(R, B, T, 0)
        seen = _read(h, R, 3), _read(c, R, 3), _read(mask, R, 4), NEVER if reset is None else reset.numpy()
        turned = np.empty((R, time_loops.sizes(CODES[cell], C, high)[1] if needed else 0), np.float32)
        kept = (turned, _spare(R, T * n), _spare(R, T * n if cell == "lstm" else 0),
                _spare(R, T * gates * n if gates > 1 and needed else 0))  # fmt: skip
        last = [np.empty((R, B, H if there else 0), np.float32) for there in (True, cell == "lstm")]
        weights = ((input_weight, 3), (input_bias, 2), (weight, 3), (bias, 2))
        over_runs(scans.forward, R, CODES[cell], H, high, wide, _read(x, R, 4), _read(given, R, 4),
                  *(_read(value, R, dims) for value, dims in weights), *seen, *kept, *last)  # fmt: skip
        out = torch.from_numpy(kept[1]).view(R, T, high, wide)[:, :, :H, :B].permute(0, 3, 1, 2)
        if needed:
            ctx.code, ctx.sizes, ctx.reset = CODES[cell], (R, B, T, C, H, high, wide, columns), seen[3]
            ctx.set_materialize_grads(False)
            # saved like this, torch frees them early and detects if they are changed in place
            ctx.save_for_backward(out, x, h, c, mask, *map(torch.from_numpy, kept))
        return out, torch.from_numpy(last[0]), torch.from_numpy(last[1]) if cell == "lstm" else None

    @staticmethod
    def backward(ctx, dstates, dh, dc):
        if torch.is_grad_enabled():
            raise differentiated_once("The compiled")
        _, *saved = ctx.saved_tensors
        R, B, T, C, H, high, wide, columns = ctx.sizes
        seen = [_read(value, R, dims) for value, dims in zip(saved[:4], (4, 3, 3, 4), strict=True)]
        kept = [value.numpy() for value in saved[4:]]
        _, x, given, input_weight, input_bias, weight, bias, h, c, mask, _ = ctx.needs_input_grad
        M = 4 * high if ctx.code >= GRU else high
        blocks = [_spare(R, T * rows * wide).reshape(R, T if rows else 0, rows, wide)
                  for rows in (C if x else 0, M if given else 0, high if mask else 0)]  # fmt: skip
        gradients = [
            _empty(R, C if input_weight else 0, columns),
            _empty(R, columns if input_bias else 0),
            _empty(R, H if weight else 0, columns),
            _empty(R, columns if bias else 0),
            _empty(R, B, H if h else 0),
            _empty(R, B, H if c else 0),
        ]
        given_gradients = _read(dstates, R, 4), _read(dh, R, 3), _read(dc, R, 3)
        over_runs(scans.backward, R, ctx.code, H, high, wide, *seen, ctx.reset, *kept, *given_gradients, *blocks[:2],
                  *(gradient.numpy() for gradient in gradients), blocks[2])  # fmt: skip
        dx, dgiven, dmask = (torch.from_numpy(block).permute(0, 3, 1, 2)[:, :B] for block in blocks)
        if given:
            dgiven = torch.cat([dgiven[..., first : first + H] for first in _firsts(ctx.code, high)], 3)
        dmask = dmask[..., :H]
        if mask and seen[3].shape[2] == 1:
            dmask = dmask.sum(2, keepdim=True)
        wanted = zip([dx, dgiven, *gradients, dmask], ctx.needs_input_grad[1:-1], strict=True)
        return None, *(gradient if need else None for gradient, need in wanted), None


def _firsts(code: int, high: int) -> list[int]:
    """First column of every gate's contributions in the blocks of the gates."""
    return [0, high, 3 * high] if code == GRU else [gate * high for gate in range(4 if code == LSTM else 1)]
