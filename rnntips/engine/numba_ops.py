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
from rnntips.engine import numba_update, scans
from rnntips.engine.gates import DENSE, GRU, LINEAR, LSTM
from rnntips.engine.threads import over_runs, threads
from rnntips.engine.tiles import COLUMNS, ROWS
from rnntips.errors import differentiated_once

__all__ = ["Update", "dense", "layer", "scan"]

CODES = {"linear": LINEAR, "dense": DENSE, "tanh": 0, "relu": 1, "sigmoid": 2, "gru": GRU, "lstm": LSTM}
NOTHING = np.empty((0, 0, 0), np.float32)
NEVER = np.empty((0, 0), bool)
SHELVES = 8  # sizes of arrays whose memory is kept for reuse


def scan(cell: str, inputs: Tensor, weight: Tensor, bias: Tensor | None, state: State | None,
         mask: Tensor | None, reset: Tensor | None) -> tuple[Tensor, State]:  # fmt: skip
    """See `rnntips.engine.scan`."""
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


def _whole_tiles(H: int, B: int) -> tuple[int, int]:
    return -(-H // ROWS) * ROWS, -(-B // COLUMNS) * COLUMNS


def _batch_last(R: int, B: int, T: int, n: int) -> Tensor:
    """An empty tensor (R, B, T, n), stored as (R, T, n, B)."""
    return torch.from_numpy(_spare(R, T * n * B)).view(R, T, n, B).permute(0, 3, 1, 2)


class _Layer(torch.autograd.Function):
    @staticmethod
    def forward(ctx, cell, x, given, input_weight, input_bias, weight, bias, h, c, mask, reset):
        R, B, T = (given if x is None else x).shape[:3]
        gates, columns = GATES.get(cell, 1), (input_weight if weight is None else weight).shape[2]
        H, C = columns // gates, 0 if x is None else x.shape[3]
        high, wide = _whole_tiles(H, B)
        needed, n = any(ctx.needs_input_grad), high * wide
        gates = 4 if gates > 1 else 1  # the GRU's third gate is stored in two parts, see `time_loops`
        if x is None:
            x = _empty(R, B, T, 0)
        seen = _read(h, R, 3), _read(c, R, 3), _read(mask, R, 4), NEVER if reset is None else reset.numpy()
        packed = np.empty((R, (high + -(-(1 + C) // ROWS) * ROWS) * gates * high), np.float32)
        kept = (packed, _spare(R, T * n), _spare(R, T * n if cell == "lstm" else 0),
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
        gradients = [
            _batch_last(R, B, T, C if x else 0),
            _batch_last(R, B, T, columns if given else 0),
            _empty(R, C if input_weight else 0, columns),
            _empty(R, columns if input_bias else 0),
            _empty(R, H if weight else 0, columns),
            _empty(R, columns if bias else 0),
            _empty(R, B, H if h else 0),
            _empty(R, B, H if c else 0),
            _batch_last(R, B, T, H if mask else 0),
        ]
        given_gradients = _read(dstates, R, 4), _read(dh, R, 3), _read(dc, R, 3)
        over_runs(scans.backward, R, ctx.code, H, high, wide, *seen, ctx.reset, *kept, *given_gradients,
                  *(gradient.numpy() for gradient in gradients))  # fmt: skip
        if mask and seen[3].shape[2] == 1:
            gradients[-1] = gradients[-1].sum(2, keepdim=True)
        wanted = zip(gradients, ctx.needs_input_grad[1:-1], strict=True)
        return None, *(gradient if need else None for gradient, need in wanted), None


class Update:
    """The compiled update of R runs; see `numba_update.update` for the arguments, which are NumPy's arrays."""

    def __init__(self, head: int, cell: str, layers: int, width: int, steps: int, batch: int, signal, begins, targets,
                 flat, averages, tensors, rule: int, how: int, hyper):  # fmt: skip
        code, (high, wide) = CODES[cell], _whole_tiles(width, batch)
        self.before = head, code, high, wide, steps, layers, width, batch
        self.between = signal, begins, targets, flat, averages[0], averages[-1], tensors, rule, how
        self.runs, self.threads = len(flat), threads()
        sizes = high, wide, steps, layers, signal.shape[1], targets.shape[2], tensors[-1, 1]
        work = numba_update.workspace(self.threads, code, *sizes)
        self.after = hyper, NOTHING, NEVER, *work

    def __call__(self, at: int, count: int) -> np.ndarray:
        """Update number `count`, with the mini-batch at column `at`: (R, 3) loss, gradient norm, step ratio."""
        out = np.empty((self.runs, 3), np.float32)
        over_runs(numba_update.update, self.runs, *self.before, at, *self.between, count, *self.after, out,
                  most=self.threads)  # fmt: skip
        return out
