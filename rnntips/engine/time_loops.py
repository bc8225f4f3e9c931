"""The time loops of every cell for float32 on a CPU, forward and backward, compiled by Numba.

The batch is the innermost axis. Below, B is the batch size padded to a multiple of `COLUMNS`, H the width padded to a
multiple of `ROWS`, `width` the width itself, and a block is an (H, B) array; blocks of all steps are (T, H, B). Every
step multiplies one matrix (K, M = Q·H), whose column blocks are the gates, by one matrix `seen` (K, B), whose rows are
h[t−1], ones for the bias, and the C inputs. The GRU has four column blocks, r z n n': r multiplies n, the recurrent
part of the new state, before n', the part of the inputs, is added. Each function works on one run. Runs share nothing,
so a run's bits do not depend on other runs or on threads.
"""

import numpy as np

from rnntips.engine.compiling import FAST, njit
from rnntips.engine.gates import GRU, LSTM, activate, differentiate
from rnntips.engine.tiles import PANEL, ROWS, copy, dots, product, whole

__all__ = ["backward", "blocks", "forward", "pack", "room", "rows", "spread", "unpack"]

BLOCK = 512  # B × steps that one product for the weights' gradient sums over: its factors stay in cache


@njit(**FAST)
def rows(cell, C, H):
    """(K, Q): the rows of `seen`, padded, and the gates."""
    return H + (C + ROWS) // ROWS * ROWS, 4 if cell >= GRU else 1


def sizes(cell, C, H):
    """Values of the two matrices that `pack` writes, and of the gradient."""
    K, Q = rows.py_func(cell, C, H)
    return whole(Q * H, PANEL) * K, whole(K, PANEL) * Q * H, K * Q * H


@njit(**FAST)
def _put(panels, turned, K, M, k, m, value):
    panels[(m // PANEL * K + k) * PANEL + m % PANEL] = value
    if turned.size:
        turned[(k // PANEL * M + m) * PANEL + k % PANEL] = value


@njit(**FAST)
def pack(panels, turned, input_weight, input_bias, weight, bias, width, H, cell):
    """Write one run's weights in panels, as `tiles.product` reads them: the matrix (K, M), and, unless of size 0,
    the same turned (M, K). Weights of size 0 count as zeros.
    """
    panels[:] = 0
    turned[:] = 0
    C = input_weight.shape[0]
    K, Q = rows(cell, C, H)
    M = Q * H
    for gate in range(3 if cell == GRU else 4 if cell == LSTM else 1):
        g, m = gate * width, gate * H
        into = 3 * H if cell == GRU and gate == 2 else m  # where the inputs' part of this gate goes
        for k in range(weight.shape[0]):
            for j in range(width):
                _put(panels, turned, K, M, k, m + j, weight[k, g + j])
        for j in range(width if input_bias.shape[0] or bias.shape[0] else 0):
            outside = input_bias[g + j] if input_bias.shape[0] else np.float32(0)
            inside = bias[g + j] if bias.shape[0] else np.float32(0)
            if into == m:
                _put(panels, turned, K, M, H, m + j, inside + outside)
            else:
                _put(panels, turned, K, M, H, m + j, inside)
                _put(panels, turned, K, M, H, into + j, outside)
        for c in range(C):
            for j in range(width):
                _put(panels, turned, K, M, H + 1 + c, into + j, input_weight[c, g + j])


@njit(**FAST)
def unpack(packed, dinput_weight, dinput_bias, dweight, dbias, width, H, cell):
    """Take the gradients of one run's weights from those of the matrix (K, M); those of size 0 are skipped."""
    columns = (4 if cell >= GRU else 1) * H
    for gate in range(3 if cell == GRU else 4 if cell == LSTM else 1):
        g, m = gate * width, gate * H
        into = 3 * H if cell == GRU and gate == 2 else m
        for k in range(dweight.shape[0]):
            for j in range(width):
                dweight[k, g + j] = packed[k * columns + m + j]
        for j in range(dbias.shape[0] and width):
            dbias[g + j] = packed[H * columns + m + j]
        for j in range(dinput_bias.shape[0] and width):
            dinput_bias[g + j] = packed[H * columns + into + j]
        for c in range(dinput_weight.shape[0]):
            for j in range(width):
                dinput_weight[c, g + j] = packed[(H + 1 + c) * columns + into + j]


@njit(**FAST)
def blocks(out, values):
    """Write values (batch, T, n) into blocks (T, H, B), whose padding is 0; all is 0 if `values` has size 0."""
    out[:] = 0
    for t in range(values.shape[1]):
        for k in range(values.shape[2]):
            for b in range(values.shape[0]):
                out[t, k, b] = values[b, t, k]


@njit(**FAST)
def spread(values, block):
    """Write a block (H, B) into values (batch, n)."""
    for b in range(values.shape[0]):
        for k in range(values.shape[1]):
            values[b, k] = block[k, b]


@njit(**FAST)
def _forget(block, reset, t, H, B):
    """Set a block to 0 for the windows that are reset at step t."""
    for b in range(reset.shape[0]):
        if reset[b, t]:
            for k in range(H):
                block[k * B + b] = 0


@njit(**FAST)
def _see(seen, states, first, mask, reset, x, C, t, H, B):
    """Fill `seen` for step t: h[t−1], the block of `states` from `first` on, after mask and reset; ones; the inputs."""
    n = H * B
    copy(seen, 0, n, states, first, 1, n)
    if len(mask):
        now = mask[t % len(mask)].reshape(-1)
        for i in range(n):
            seen[i] *= now[i]
    _forget(seen, reset, t, H, B)
    for b in range(B):
        seen[n + b] = 1
    copy(seen, n + B, B, x, t * x.shape[1] * B, C, B)


@njit(**FAST)
def _keep(before, kept, first, reset, t, H, B):
    """Fill a block with what gates keep a part of: the block of `kept` before step t, or `first`, after resets."""
    if t:
        copy(before, 0, H * B, kept, (t - 1) * H * B, 1, H * B)
    else:
        copy(before, 0, H * B, first, 0, 1, H * B)
    _forget(before, reset, t, H, B)


@njit(**FAST)
def _part(part, cell, K, H, M):
    """(k0, k1, m0, m1): rows and columns of a part of the matrix that is not all zeros; the GRU has three parts."""
    if cell < 0:
        return H, K, 0, M
    if cell != GRU:
        return 0, K, 0, M
    if part == 0:
        return 0, K, 0, 2 * H
    return (0, H + ROWS, 2 * H, 3 * H) if part == 1 else (H, K, 3 * H, M)


@njit(**FAST)
def _row(B):
    """Values from one row of a block of steps to the next: 16 more than needed, or rows would share cache lines."""
    return max(BLOCK // B * B, B) + 16


@njit(**FAST)
def forward(cell, C, H, B, x, given, h, c, mask, reset, panels, states, cs, gates, scratch):
    """All time steps of one run.

    Args:
        x: Inputs in the first C rows of blocks, (T, C or more, B).
        given: Contributions to the gates, (T, M, B), of size 0 where they are computed from `x`.
        h, c: The state before the first step, as blocks, flat.
        mask, reset: (T or 1, H, B) and (batch, T), of size 0 if there is none.
        panels: As `pack` makes it.
        states, cs, gates: Filled, flat, unless of size 0: one block a step, Q blocks in `gates`; `cs` is the LSTM's c.
        scratch: Scratch memory, see `room`.
    """
    T, n = len(x), H * B
    K, Q = rows(cell, C, H)
    M = Q * H
    seen, spare, before = scratch[: K * B], scratch[K * B : (K + M) * B], scratch[(K + M) * B :][:n]
    seen[:] = 0
    for t in range(T):
        now = slice(t * n, (t + 1) * n)
        pre = gates[t * M * B : (t + 1) * M * B] if gates.size else spare
        if t:
            _see(seen, states, (t - 1) * n, mask, reset, x, C, t, H, B)
        else:
            _see(seen, h, 0, mask, reset, x, C, t, H, B)
        for part in range(3 if cell == GRU else 1):
            k0, k1, m0, m1 = _part(part, cell, K, H, M)
            product(panels, K, k0, k1, seen, B, pre, m0, m1)
        if len(given):
            more = given[t].reshape(-1)
            for i in range(M * B):
                pre[i] += more[i]
        if cell == LSTM:
            _keep(before, cs, c, reset, t, H, B)
        elif cell == GRU:
            _keep(before, states, h, reset, t, H, B)
        activate(cell, pre, before, cs[now] if cell == LSTM else before, states[now])


@njit(**FAST)
def backward(cell, C, H, B, x, h, c, mask, reset, turned, states, cs, gates, dstates, dh, dc,
             dx, dgiven, dmask, dweight, scratch):  # fmt: skip
    """Gradients of one run. `dh` and `dc` are those of the last state at first, and of the first state at the end.

    Args:
        turned: As `pack` makes it.
        dstates: (T, H, B), of size 0 if only the last state has a gradient.
        dx, dgiven, dmask: (T, C or more, B), (T, M, B), (T, H, B); those of size 0 are not computed. Rows of `dx` from
            C on get 0.
        dweight: Gradient of the matrix, (K, M), flat; zero before.
        scratch: Scratch memory, see `room`.
    """
    T, n = len(x), H * B
    K, Q = rows(cell, C, H)
    M = Q * H
    some, row = max(1, BLOCK // B), _row(B)
    seens, ds, rest = scratch[: K * row], scratch[K * row :][: M * row], scratch[(K + M) * row :]
    see, d_now, rest = rest[: K * B], rest[K * B :][: M * B], rest[(K + M) * B :]
    back, direct, before = rest[: K * B], rest[K * B :][:n], rest[K * B + n :][:n]
    see[:] = 0
    direct[:] = 0
    back[:] = 0
    count = (T - 1) % some + 1  # steps of the last group, for one product of the weights' gradient
    for t in range(T - 1, -1, -1):
        now, slot = slice(t * n, (t + 1) * n), t % some
        if t:
            _see(see, states, (t - 1) * n, mask, reset, x, C, t, H, B)
        else:
            _see(see, h, 0, mask, reset, x, C, t, H, B)
        for k in range(H if len(dstates) else 0):
            for b in range(B):
                dh[k * B + b] += dstates[t, k, b]
        if cell == LSTM:
            _keep(before, cs, c, reset, t, H, B)
        elif cell == GRU:
            _keep(before, states, h, reset, t, H, B)
        step = gates[t * M * B : (t + 1) * M * B] if cell >= GRU else states[now]
        differentiate(cell, dh, dc, step, before, states[now], cs[now] if cell == LSTM else before, d_now, direct)
        if cell >= 0:
            product(turned, M, 0, 3 * H if cell == GRU else M, d_now, B, back, 0, H)
        if len(dx):
            product(turned, M, 0, M, d_now, B, back, H, K)
            copy(dx, t * dx.shape[1] * B, B, back, n + B, C, B)
            dx[t, C:] = 0  # padding: a run that diverged may have left NaN there, and 0 × NaN is NaN
        if len(dgiven):
            copy(dgiven, t * M * B, B, d_now, 0, M, B)
        _forget(back, reset, t, H, B)
        _forget(direct, reset, t, H, B)
        _forget(dc, reset, t, H, B)
        if len(dmask):
            factor = states[(t - 1) * n : t * n] if t else h
            for i in range(n):
                dmask[t].reshape(-1)[i] = back[i] * factor[i]
        if len(mask):
            scale = mask[t % len(mask)].reshape(-1)
            for i in range(n):
                back[i] *= scale[i]
        for i in range(n):
            dh[i] = back[i] + direct[i]
        copy(seens, slot * B, row, see, 0, K, B)
        copy(ds, slot * B, row, d_now, 0, M, B)
        if slot == 0:
            for part in range(3 if cell == GRU else 1):
                k0, k1, m0, m1 = _part(part, cell, K, H, M)
                dots(seens, ds, row, count * B, dweight, M, k0, k1, m0, m1)
            count = some


@njit(**FAST)
def room(cell, C, H, B):
    """float32 values of `scratch` that `backward` needs; `forward` needs fewer."""
    K, Q = rows(cell, C, H)
    return (K + Q * H) * (_row(B) + B) + (K + 2 * H) * B
