"""The recurrence on a GPU: one Triton program takes one run and a tile of its windows through all steps.

The state stays in registers, and only a step's inputs and what the gradient needs go through memory. Gradients of the
weights are one batched product over all steps, left to PyTorch. Products are float32; `PRECISION` says how they are
made: "ieee" rounds as a CPU does, "tf32x3" comes near it on tensor cores, "tf32" has ten bits and is never chosen here.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from rnntips import cells
from rnntips.cells import GATES, State
from rnntips.errors import BadArgument

__all__ = ["scan"]

CODES = {"tanh": 0, "relu": 1, "sigmoid": 2, "gru": 3, "lstm": 4}
GRU, LSTM = tl.constexpr(3), tl.constexpr(4)
KEPT = {"gru": 4, "lstm": 5}  # values a step leaves for the gradient; plain cells need their states alone
PRECISION = "ieee"
LEAST = 16  # rows and columns of a product
WIDEST = 256  # beyond, a program's tiles no longer fit a processor, and `cells.scan` serves
TILE = 16  # windows of one program


@triton.jit
def _sigmoid(x):
    return 1 / (1 + tl.exp(-x))


@triton.jit
def _tanh(x):
    small = tl.exp(-2 * tl.abs(x))
    size = (1 - small) / (1 + small)
    return tl.where(x < 0, -size, size)


@triton.jit
def _plain(x, CELL: tl.constexpr):
    if CELL == 0:
        y = _tanh(x)
    elif CELL == 1:
        y = tl.where(x < 0, 0.0, x)  # a maximum would lose NaN, and divergence is data
    else:
        y = _sigmoid(x)
    return y


@triton.jit
def _slope(y, CELL: tl.constexpr):
    """The derivative of `_plain` where its value is y."""
    if CELL == 0:
        d = 1 - y * y
    elif CELL == 1:
        d = tl.where(y > 0, 1.0, 0.0)
    else:
        d = y * (1 - y)
    return d


@triton.jit
def _seen(h, mask, reset, at_mask, at_reset, inside, rows, B, MASKED: tl.constexpr, RESET: tl.constexpr):
    """h before a step as the step sees it."""
    if MASKED:
        h = h * tl.load(mask + at_mask, inside, 0.0)
    if RESET:
        cleared = tl.load(reset + at_reset, rows < B, 0)
        h = tl.where(cleared[:, None] != 0, 0.0, h)
    return h


@triton.jit
def _forward(x, weight, bias, first, first_c, mask, reset, states, kept, x_run, x_window, x_step, mask_run,
             mask_window, mask_step, B, T, H, CELL: tl.constexpr, G: tl.constexpr, HIGH: tl.constexpr,
             ROWS: tl.constexpr, MASKED: tl.constexpr, RESET: tl.constexpr, KEEP: tl.constexpr,
             PRECISION: tl.constexpr):  # fmt: skip
    """States (R, T, B, H) of one run and tile; `kept` (R, T, K, B, H) where a gradient will be asked for."""
    run, rows, units = tl.program_id(0).to(tl.int64), tl.program_id(1) * ROWS + tl.arange(0, ROWS), tl.arange(0, HIGH)
    inside = (rows < B)[:, None] & (units < H)[None, :]
    square = (units < H)[:, None] & (units < H)[None, :]
    place = rows[:, None] * H + units[None, :]  # of a state
    n = B * H
    x += run * x_run + rows[:, None] * x_window + units[None, :]
    weight += run * H * G * H + units[:, None] * (G * H) + units[None, :]
    bias += run * G * H + units[None, :]
    mask += run * mask_run + rows[:, None] * mask_window + units[None, :]
    states += run * T * n + place
    kept += run * T * n * KEEP + place
    h = tl.load(first + run * n + place, inside, 0.0)
    c = h
    if CELL == LSTM:
        c = tl.load(first_c + run * n + place, inside, 0.0)
    for t in range(T):
        h = _seen(h, mask, reset, t * mask_step, rows * T + t, inside, rows, B, MASKED, RESET)
        if CELL == LSTM:
            c = _seen(c, mask, reset, 0, rows * T + t, inside, rows, B, False, RESET)
        a = tl.load(bias, (units < H)[None, :], 0.0) + tl.dot(h, tl.load(weight, square, 0.0),
                                                              input_precision=PRECISION)  # fmt: skip
        if CELL < GRU:
            h = _plain(tl.load(x, inside, 0.0) + a, CELL)
        else:
            b = tl.load(bias + H, (units < H)[None, :], 0.0) + tl.dot(h, tl.load(weight + H, square, 0.0),
                                                                      input_precision=PRECISION)  # fmt: skip
            d = tl.load(bias + 2 * H, (units < H)[None, :], 0.0) + tl.dot(h, tl.load(weight + 2 * H, square, 0.0),
                                                                          input_precision=PRECISION)  # fmt: skip
            a, b = _sigmoid(tl.load(x, inside, 0.0) + a), _sigmoid(tl.load(x + H, inside, 0.0) + b)
            if CELL == GRU:  # a is the reset gate, b the update gate, d what the state says to the new value
                new = _tanh(tl.load(x + 2 * H, inside, 0.0) + a * d)
                h = new + b * (h - new)
                if KEEP:
                    tl.store(kept, a, inside)
                    tl.store(kept + n, b, inside)
                    tl.store(kept + 2 * n, new, inside)
                    tl.store(kept + 3 * n, d, inside)
            else:  # a is the input gate, b the forget gate, d the new value, o the output gate
                o = tl.load(bias + 3 * H, (units < H)[None, :], 0.0) + tl.dot(h, tl.load(weight + 3 * H, square, 0.0),
                                                                              input_precision=PRECISION)  # fmt: skip
                d, o = _tanh(tl.load(x + 2 * H, inside, 0.0) + d), _sigmoid(tl.load(x + 3 * H, inside, 0.0) + o)
                before = c
                c = b * before + a * d
                h = o * _tanh(c)
                if KEEP:
                    tl.store(kept, a, inside)
                    tl.store(kept + n, b, inside)
                    tl.store(kept + 2 * n, d, inside)
                    tl.store(kept + 3 * n, o, inside)
                    tl.store(kept + 4 * n, before, inside)
        tl.store(states, h, inside)
        x += x_step
        states += n
        kept += n * KEEP
    if CELL == LSTM:  # `first_c` is a copy, and now holds the last
        tl.store(first_c + run * n + place, c, inside)


@triton.jit
def _backward(weight, first, mask, reset, states, kept, dstates, dh_last, dc_last, dx, drecurrent, dmask, mask_run,
              mask_window, mask_step, B, T, H, CELL: tl.constexpr, G: tl.constexpr, HIGH: tl.constexpr,
              ROWS: tl.constexpr, MASKED: tl.constexpr, RESET: tl.constexpr, KEEP: tl.constexpr,
              PRECISION: tl.constexpr, EVERY: tl.constexpr):  # fmt: skip
    """Gradients of one run and tile from the last step to the first: dx (R, T, B, G·H), dmask (R, T, B, H).

    Of the GRU, `drecurrent` (R, T, B, H) is that of the state's part of the new value. `dh_last` and `dc_last` are
    copies, and in the end hold the gradient of the first state.
    """
    run, rows, units = tl.program_id(0).to(tl.int64), tl.program_id(1) * ROWS + tl.arange(0, ROWS), tl.arange(0, HIGH)
    inside = (rows < B)[:, None] & (units < H)[None, :]
    square = (units < H)[:, None] & (units < H)[None, :]
    place, n = rows[:, None] * H + units[None, :], B * H
    end = (run + 1) * T * n + place
    weight += run * H * G * H + units[:, None] + units[None, :] * (G * H)  # transposed
    mask += run * mask_run + rows[:, None] * mask_window + units[None, :] + (T - 1) * mask_step
    states, dstates, drecurrent, dmask = states + end, dstates + end, drecurrent + end, dmask + end
    kept += (run + 1) * T * n * KEEP + place
    dx += ((run + 1) * T * B + rows[:, None]) * (G * H) + units[None, :]
    first += run * n + place
    dh_last, dc_last = dh_last + run * n + place, dc_last + run * n + place
    dh = tl.load(dh_last, inside, 0.0)
    dc = dh
    if CELL == LSTM:
        dc = tl.load(dc_last, inside, 0.0)
    y = tl.load(states - n, inside, 0.0)
    for back in range(T):
        t = T - 1 - back
        states, dstates, drecurrent, dmask = states - n, dstates - n, drecurrent - n, dmask - n
        kept -= n * KEEP
        dx -= B * G * H
        # of the step before the first it is the first state
        before = tl.load(tl.where(t > 0, states - n, first), inside, 0.0)
        if EVERY:  # else the loss sees the last state alone
            dh += tl.load(dstates, inside, 0.0)
        if CELL < GRU:
            da = dh * _slope(y, CELL)
            tl.store(dx, da, inside)
            dh = tl.dot(da, tl.load(weight, square, 0.0), input_precision=PRECISION)
        else:
            a, b, d = tl.load(kept, inside, 0.0), tl.load(kept + n, inside, 0.0), tl.load(kept + 2 * n, inside, 0.0)
            o = tl.load(kept + 3 * n, inside, 0.0)
            if CELL == GRU:
                seen = _seen(before, mask, reset, 0, rows * T + t, inside, rows, B, MASKED, RESET)
                db = dh * (seen - d) * b * (1 - b)
                dd = dh * (1 - b) * (1 - d * d)
                da = dd * o * a * (1 - a)
                dh = dh * b
                tl.store(dx + 2 * H, dd, inside)
                dd = dd * a
                tl.store(drecurrent, dd, inside)
            else:
                c_before = tl.load(kept + 4 * n, inside, 0.0)
                c = _tanh(b * c_before + a * d)
                do = dh * c * o * (1 - o)
                dc += dh * o * (1 - c * c)
                da, db, dd = dc * d * a * (1 - a), dc * c_before * b * (1 - b), dc * a * (1 - d * d)
                dc = _seen(dc * b, mask, reset, 0, rows * T + t, inside, rows, B, False, RESET)
                tl.store(dx + 2 * H, dd, inside)
                tl.store(dx + 3 * H, do, inside)
                dh = tl.dot(do, tl.load(weight + 3 * H, square, 0.0), input_precision=PRECISION)
            tl.store(dx, da, inside)
            tl.store(dx + H, db, inside)
            dh += tl.dot(da, tl.load(weight, square, 0.0), input_precision=PRECISION)
            dh += tl.dot(db, tl.load(weight + H, square, 0.0), input_precision=PRECISION)
            dh += tl.dot(dd, tl.load(weight + 2 * H, square, 0.0), input_precision=PRECISION)
        if MASKED:
            unmasked = _seen(dh, mask, reset, 0, rows * T + t, inside, rows, B, False, RESET)
            tl.store(dmask, unmasked * before, inside)
        dh = _seen(dh, mask, reset, 0, rows * T + t, inside, rows, B, MASKED, RESET)
        mask -= mask_step
        y = before
    tl.store(dh_last, dh, inside)
    if CELL == LSTM:
        tl.store(dc_last, dc, inside)


def scan(cell: str, inputs: Tensor, weight: Tensor, bias: Tensor | None, state: State | None,
         mask: Tensor | None, reset: Tensor | None) -> tuple[Tensor, State]:  # fmt: skip
    """See `rnntips.kernels.scan`."""
    R, B, _, columns = inputs.shape
    H = columns // GATES[cell]
    if H > WIDEST:
        return cells.scan(cell, inputs, weight, bias, state, mask=mask, reset=reset)
    h, c = state if isinstance(state, tuple) else (state, None)
    bias = inputs.new_zeros(R, columns) if bias is None else bias
    h, c = (inputs.new_zeros(R, B, H) if part is None else part for part in (h, c))
    mask = mask if mask is None or mask.dim() == 4 else mask[:, :, None].expand(-1, -1, inputs.shape[2], -1)
    states, h, c = _Scan.apply(cell, inputs, weight, bias, h, c, mask, reset)
    return states, ((h, c) if cell == "lstm" else h)


def _launch(kernel, cell: str, sizes: tuple[int, ...], mask: Tensor | None, reset: Tensor | None, keep: int, *arrays,
            **more):  # fmt: skip
    """Run a kernel for every run and tile; all arrays are contiguous but the inputs and the mask."""
    R, B, T, H = sizes
    high = max(LEAST, triton.next_power_of_2(H))
    kernel[(R, triton.cdiv(B, TILE))](
        *arrays, B, T, H, CELL=CODES[cell], G=GATES[cell], HIGH=high, ROWS=TILE, MASKED=mask is not None,
        RESET=reset is not None, KEEP=keep, PRECISION=PRECISION, num_warps=4 if high <= 64 else 8, **more,
    )  # fmt: skip


def _rows(value: Tensor | None) -> tuple[Tensor | None, list[int]]:
    """A tensor (R, B, T, n) whose last axis is contiguous, and its other strides; nothing's are 0."""
    if value is None:
        return None, [0, 0, 0]
    value = value if value.stride(3) == 1 or value.shape[3] == 1 else value.contiguous()
    return value, list(value.stride()[:3])


def _time_major(like: Tensor, R: int, T: int, *rest: int) -> Tensor:
    return torch.empty(R, T, *rest, dtype=like.dtype, device=like.device)


class _Scan(torch.autograd.Function):
    @staticmethod
    def forward(ctx, cell, inputs, weight, bias, h, c, mask, reset):
        R, B, T, _ = inputs.shape
        H, keep = h.shape[2], KEPT.get(cell, 0) if any(ctx.needs_input_grad) else 0
        (x, x_strides), (seen, mask_strides) = _rows(inputs), _rows(mask)
        weight, first, last_c = weight.contiguous(), h.contiguous(), c.clone(memory_format=torch.contiguous_format)
        states, kept = _time_major(inputs, R, T, B, H), _time_major(inputs, R, T, keep, B, H)
        flags = None if reset is None else reset.to(torch.uint8).contiguous()
        nothing = states  # a pointer that is not followed
        _launch(_forward, cell, (R, B, T, H), seen, flags, keep, x, weight, bias.contiguous(), first, last_c,
                nothing if seen is None else seen, nothing if flags is None else flags, states, kept,
                *x_strides, *mask_strides)  # fmt: skip
        ctx.cell, ctx.keep = cell, keep
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(weight, first, seen, flags, states, kept)
        out = states.transpose(1, 2)
        return out, out[:, :, -1].clone(), last_c if cell == "lstm" else None

    @staticmethod
    def backward(ctx, dstates, dh, dc):
        if torch.is_grad_enabled():
            raise BadArgument(
                "The GPU's float32 kernels can be differentiated once, and create_graph=True asks for more. "
                "Convert the inputs and weights to float64: those can be differentiated twice."
            )
        cell, (weight, first, mask, reset, states, kept) = ctx.cell, ctx.saved_tensors
        R, T, B, H = states.shape
        gates = GATES[cell]
        every = dstates is not None
        dstates = dstates.transpose(1, 2).contiguous() if every else states
        dh, dc = (torch.zeros_like(first) if part is None else part.clone(memory_format=torch.contiguous_format)
                  for part in (dh, dc))  # fmt: skip
        dx = _time_major(states, R, T, B, gates * H)
        drecurrent = _time_major(states, R, T, B, H) if cell == "gru" else dx
        dmask = None if mask is None else _time_major(states, R, T, B, H)
        _, strides = _rows(mask)
        nothing = states
        _launch(_backward, cell, (R, B, T, H), mask, reset, ctx.keep, weight, first, nothing if mask is None else mask,
                nothing if reset is None else reset, states, kept, dstates, dh, dc, dx, drecurrent,
                nothing if mask is None else dmask, *strides, EVERY=every)  # fmt: skip
        seen = torch.cat([first[:, None], states[:, :-1]], 1)
        seen = seen if mask is None else seen * mask.transpose(1, 2)
        seen = seen if reset is None else seen.masked_fill(reset.T[..., None] != 0, 0.0)
        parts = [dx.flatten(1, 2)]
        if cell == "gru":
            parts = [parts[0][..., : 2 * H], drecurrent.flatten(1, 2)]
        dweight = torch.cat([seen.flatten(1, 2).mT @ part for part in parts], 2)
        dbias = torch.cat([part.sum(1) for part in parts], 1)
        return (None, dx.transpose(1, 2), dweight, dbias, dh, dc if cell == "lstm" else None,
                None if dmask is None else dmask.transpose(1, 2), None)  # fmt: skip
