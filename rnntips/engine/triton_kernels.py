"""Triton kernels for a GPU: one program computes all steps of one run and a tile of its windows.

Weights stay in shared memory and the state in registers; a step loads its inputs and stores what the gradient needs.
Going backward, a program also adds up the gradients of the weights in registers. `triton_ops.py` launches these.
"""

import triton
import triton.language as tl

__all__ = ["CODES", "backward", "forward"]

CODES = {"tanh": 0, "relu": 1, "sigmoid": 2, "gru": 3, "lstm": 4}
GRU, LSTM = tl.constexpr(3), tl.constexpr(4)


@triton.jit
def _sigmoid(x):
    return 1 / (1 + tl.exp(-x))


@triton.jit
def _tanh(x):
    small, square = tl.exp(-2 * tl.abs(x)), x * x
    size = (1 - small) / (1 + small)
    series = x * (1 - square * (1 / 3 - square * (2 / 15 - square * (17 / 315))))  # near 0, 1 - small loses digits
    return tl.where(square < 0.01, series, tl.where(x < 0, -size, size))


@triton.jit
def _plain(x, CELL: tl.constexpr):
    if CELL == 0:
        y = _tanh(x)
    elif CELL == 1:
        y = tl.where(x < 0, 0.0, x)  # a maximum would drop NaN, which shows that a run diverged
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
def _mine(B, HIGH: tl.constexpr, WIDE: tl.constexpr, ROWS: tl.constexpr):
    """This program's run, and the indices of its windows, units and channels."""
    tiles = tl.cdiv(B, ROWS)
    rows = tl.program_id(0) % tiles * ROWS + tl.arange(0, ROWS)
    return (tl.program_id(0) // tiles).to(tl.int64), rows, tl.arange(0, HIGH), tl.arange(0, WIDE)


@triton.jit
def _both(rows, many, columns, wide):
    """The mask of a block's valid values; blocks are padded to powers of two."""
    return (rows < many)[:, None] & (columns < wide)[None, :]


@triton.jit
def _bias(inside, outside, at, known, FUSED: tl.constexpr):
    b = tl.load(inside + at, known, 0.0)
    if FUSED:
        b += tl.load(outside + at, known, 0.0)
    return b


@triton.jit
def _input(x, inside, now, weight, FUSED: tl.constexpr, PRECISION: tl.constexpr):
    """The input's contribution to a gate: computed from the step's channels if `FUSED`, else loaded."""
    if FUSED:
        part = tl.dot(now, weight, input_precision=PRECISION)
    else:
        part = tl.load(x, inside, 0.0)
    return part


@triton.jit
def _gate(x, inside, now, v, h, w, b, FUSED: tl.constexpr, PRECISION: tl.constexpr):
    return _input(x, inside, now, v, FUSED, PRECISION) + tl.dot(h, w, input_precision=PRECISION) + b


@triton.jit
def forward(x, input_weight, input_bias, weight, bias, first, first_c, states, kept, last_c, x_run, x_window, x_step,
             B, T, H, C, CELL: tl.constexpr, G: tl.constexpr, HIGH: tl.constexpr, WIDE: tl.constexpr,
             ROWS: tl.constexpr, FUSED: tl.constexpr, KEEP: tl.constexpr, PRECISION: tl.constexpr):  # fmt: skip
    """Write states (R, T, B, H) of one run and tile, and `kept` (R, T, KEEP, B, H) if a gradient will be needed.

    x is (R, B, T, C) if `FUSED`, else the contributions (R, B, T, G·H).
    """
    run, rows, units, channels = _mine(B, HIGH, WIDE, ROWS)
    known, inside, square = (units < H)[None, :], _both(rows, B, units, H), _both(units, H, units, H)
    there, wide = _both(rows, B, channels, C), _both(channels, C, units, H)
    weight += run * H * G * H + units[:, None] * (G * H) + units[None, :]
    input_weight += run * C * G * H + channels[:, None] * (G * H) + units[None, :]
    bias, input_bias = bias + run * G * H + units[None, :], input_bias + run * G * H + units[None, :]
    w0, b0 = tl.load(weight, square, 0.0), _bias(bias, input_bias, 0, known, FUSED)
    v0 = tl.load(input_weight, wide, 0.0) if FUSED else w0
    if CELL >= GRU:
        w1, b1 = tl.load(weight + H, square, 0.0), _bias(bias, input_bias, H, known, FUSED)
        w2, b2 = tl.load(weight + 2 * H, square, 0.0), _bias(bias, input_bias, 2 * H, known, FUSED and CELL == LSTM)
        v1 = tl.load(input_weight + H, wide, 0.0) if FUSED else w0
        v2 = tl.load(input_weight + 2 * H, wide, 0.0) if FUSED else w0
        outside = tl.load(input_bias + 2 * H, known, 0.0) if FUSED else b2  # the GRU's new value needs both biases
    if CELL == LSTM:
        w3, b3 = tl.load(weight + 3 * H, square, 0.0), _bias(bias, input_bias, 3 * H, known, FUSED)
        v3 = tl.load(input_weight + 3 * H, wide, 0.0) if FUSED else w0
    place, n = rows[:, None] * H + units[None, :], B * H  # place in a state; values in a state
    at = rows[:, None] * x_window + (channels if FUSED else units)[None, :]
    x, states, kept = x + run * x_run, states + run * T * n, kept + run * T * n * KEEP
    h = tl.load(first + run * n + place, inside, 0.0)
    c = tl.load(first_c + run * n + place, inside, 0.0) if CELL == LSTM else h
    for _ in range(T):
        now = tl.load(x + at, there, 0.0) if FUSED else h
        a = _gate(x + at, inside, now, v0, h, w0, b0, FUSED, PRECISION)
        if CELL < GRU:
            h = _plain(a, CELL)
        else:
            b = _gate(x + H + at, inside, now, v1, h, w1, b1, FUSED, PRECISION)
            a, b = _sigmoid(a), _sigmoid(b)
            new = _input(x + 2 * H + at, inside, now, v2, FUSED, PRECISION)
            d = tl.dot(h, w2, input_precision=PRECISION) + b2
            if CELL == GRU:  # a is the reset gate, b the update gate, d the recurrent part of the new value
                if FUSED:
                    new += outside
                new = _tanh(new + a * d)
                h = new + b * (h - new)
                if KEEP:
                    tl.store(kept + place, a, inside)
                    tl.store(kept + n + place, b, inside)
                    tl.store(kept + 2 * n + place, new, inside)
                    tl.store(kept + 3 * n + place, d, inside)
            else:  # a is the input gate, b the forget gate, new the new value, o the output gate
                o = _gate(x + 3 * H + at, inside, now, v3, h, w3, b3, FUSED, PRECISION)
                new, o, before = _tanh(new + d), _sigmoid(o), c
                c = b * before + a * new
                h = o * _tanh(c)
                if KEEP:
                    tl.store(kept + place, a, inside)
                    tl.store(kept + n + place, b, inside)
                    tl.store(kept + 2 * n + place, new, inside)
                    tl.store(kept + 3 * n + place, o, inside)
                    tl.store(kept + 4 * n + place, before, inside)
        tl.store(states + place, h, inside)
        x += x_step
        states += n
        kept += n * KEEP
    if CELL == LSTM:
        tl.store(last_c + run * n + place, c, inside)


@triton.jit
def _learn(dw, dv, db, seen, now, d, FUSED: tl.constexpr, PRECISION: tl.constexpr):
    """Add a step's part to the gradients of a gate's weights and bias; `seen` and `now` are transposed."""
    dw += tl.dot(seen, d, input_precision=PRECISION)
    if FUSED:
        dv += tl.dot(now, d, input_precision=PRECISION)
    return dw, dv, db + d


@triton.jit
def backward(x, weight, first, states, kept, dstates, dh_last, dc_last, dx, dinput_weight, dweight, dbias, dfirst,
              dfirst_c, x_run, x_window, x_step, B, T, H, C, CELL: tl.constexpr, G: tl.constexpr, HIGH: tl.constexpr,
              WIDE: tl.constexpr, ROWS: tl.constexpr, FUSED: tl.constexpr, KEEP: tl.constexpr,
              PRECISION: tl.constexpr, EVERY: tl.constexpr):  # fmt: skip
    """Write the gradients of one run and tile, from the last step to the first.

    dx (R, T, B, G·H) is that of the contributions, unless `FUSED`; then dinput_weight is (R, tiles, C, G·H). dweight is
    (R, tiles, H, G·H), dbias (R, tiles, (G + 1)·H): its last H are those of the input bias of the GRU's new value.
    """
    run, rows, units, channels = _mine(B, HIGH, WIDE, ROWS)
    inside, square = _both(rows, B, units, H), _both(units, H, units, H)
    there, wide = _both(rows, B, channels, C), _both(channels, C, units, H)
    transposed = weight + run * H * G * H + units[:, None] + units[None, :] * (G * H)
    w0 = tl.load(transposed, square, 0.0)
    dw0, db0 = tl.zeros((HIGH, HIGH), tl.float32), tl.zeros((ROWS, HIGH), tl.float32)
    dv0 = tl.zeros((WIDE, HIGH), tl.float32)
    if CELL >= GRU:
        w1, w2 = tl.load(transposed + H, square, 0.0), tl.load(transposed + 2 * H, square, 0.0)
        dw1, dv1, db1, dw2, dv2, db2, db3 = dw0, dv0, db0, dw0, dv0, db0, db0
    if CELL == LSTM:
        w3, dw3, dv3 = tl.load(transposed + 3 * H, square, 0.0), dw0, dv0
    place, n = rows[:, None] * H + units[None, :], B * H
    at, to = rows[:, None] * x_window + channels[None, :], rows[:, None] * (G * H) + units[None, :]
    end = (run + 1) * T * n
    x, states, dstates, kept = x + run * x_run + T * x_step, states + end, dstates + end, kept + end * KEEP
    dx, first = dx + end * G, first + run * n
    dh = tl.load(dh_last + run * n + place, inside, 0.0)
    dc = tl.load(dc_last + run * n + place, inside, 0.0) if CELL == LSTM else dh
    y = tl.load(states - n + place, inside, 0.0)
    for back in range(T):
        x -= x_step
        states, dstates, kept, dx = states - n, dstates - n, kept - n * KEEP, dx - n * G
        # before the first step it is the initial state
        before = tl.load((states - n if back < T - 1 else first) + place, inside, 0.0)
        seen = tl.trans(before)
        now = tl.trans(tl.load(x + at, there, 0.0)) if FUSED else seen
        if EVERY:  # else only the last state has a gradient
            dh += tl.load(dstates + place, inside, 0.0)
        if CELL < GRU:
            da = dh * _slope(y, CELL)
            dh = tl.zeros((ROWS, HIGH), tl.float32)
        else:
            a, b = tl.load(kept + place, inside, 0.0), tl.load(kept + n + place, inside, 0.0)
            d, o = tl.load(kept + 2 * n + place, inside, 0.0), tl.load(kept + 3 * n + place, inside, 0.0)
            if CELL == GRU:
                db = dh * (before - d) * b * (1 - b)
                outer = dh * (1 - b) * (1 - d * d)
                da, dd, dh = outer * o * a * (1 - a), outer * a, dh * b
                db3 += outer
                if FUSED:
                    dv2 += tl.dot(now, outer, input_precision=PRECISION)
                else:
                    tl.store(dx + 2 * H + to, outer, inside)
                dw2, _, db2 = _learn(dw2, dv2, db2, seen, now, dd, False, PRECISION)
            else:
                c_before = tl.load(kept + 4 * n + place, inside, 0.0)
                c = _tanh(b * c_before + a * d)
                do = dh * c * o * (1 - o)
                dc += dh * o * (1 - c * c)
                da, db, dd = dc * d * a * (1 - a), dc * c_before * b * (1 - b), dc * a * (1 - d * d)
                dc = dc * b
                if not FUSED:
                    tl.store(dx + 2 * H + to, dd, inside)
                    tl.store(dx + 3 * H + to, do, inside)
                dw2, dv2, db2 = _learn(dw2, dv2, db2, seen, now, dd, FUSED, PRECISION)
                dw3, dv3, db3 = _learn(dw3, dv3, db3, seen, now, do, FUSED, PRECISION)
                dh = tl.dot(do, w3, input_precision=PRECISION)
            dw1, dv1, db1 = _learn(dw1, dv1, db1, seen, now, db, FUSED, PRECISION)
            dh += tl.dot(db, w1, input_precision=PRECISION)
            dh += tl.dot(dd, w2, input_precision=PRECISION)
            if not FUSED:
                tl.store(dx + H + to, db, inside)
        if not FUSED:
            tl.store(dx + to, da, inside)
        dw0, dv0, db0 = _learn(dw0, dv0, db0, seen, now, da, FUSED, PRECISION)
        dh += tl.dot(da, w0, input_precision=PRECISION)
        y = before
    tl.store(dfirst + run * n + place, dh, inside)
    if CELL == LSTM:
        tl.store(dfirst_c + run * n + place, dc, inside)
    part = tl.program_id(0).to(tl.int64)
    dweight += part * H * G * H + units[:, None] * (G * H) + units[None, :]
    dinput_weight += part * C * G * H + channels[:, None] * (G * H) + units[None, :]
    dbias += part * (G + 1) * H + units
    tl.store(dweight, dw0, square)
    tl.store(dbias, tl.sum(db0, 0), units < H)
    if FUSED:
        tl.store(dinput_weight, dv0, wide)
    if CELL >= GRU:
        tl.store(dweight + H, dw1, square)
        tl.store(dweight + 2 * H, dw2, square)
        tl.store(dbias + H, tl.sum(db1, 0), units < H)
        tl.store(dbias + 2 * H, tl.sum(db2, 0), units < H)
        tl.store(dbias + 3 * H, tl.sum(db3, 0), units < H)
        if FUSED:
            tl.store(dinput_weight + H, dv1, wide)
            tl.store(dinput_weight + 2 * H, dv2, wide)
    if CELL == LSTM:
        tl.store(dweight + 3 * H, dw3, square)
        if FUSED:
            tl.store(dinput_weight + 3 * H, dv3, wide)
