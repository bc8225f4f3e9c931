"""The time loops of every cell for float32 on a CPU, forward and backward, compiled by Numba.

The batch is the innermost axis. Below, B is the batch size padded to a multiple of `COLUMNS`, H the width padded to a
multiple of `ROWS`, `width` the width itself, and a block is an (H, B) array, stored flat. Every step multiplies one
matrix `weight` (K, Q·H), whose column blocks are the gates, by one matrix `seen` (K, B), whose rows are h[t−1], ones
for the bias, and the C inputs. The GRU has four column blocks, r z n n': r multiplies n, the recurrent part of the new
state, before n', the part of the inputs, is added. Each function works on one run. Runs share nothing, so a run's bits
do not depend on other runs or on threads.
"""

from rnntips.engine.compiling import njit
from rnntips.engine.gates import FAST, GRU, LSTM, activate, differentiate
from rnntips.engine.tiles import COLUMNS, LEFT, RIGHT, ROWS, dots, product

__all__ = ["backward", "fill", "forward", "pack", "rows", "spill", "unpack"]

BLOCK = 1024  # B × steps that one product for the weights' gradient sums over: its factors stay in cache


@njit(**FAST)
def rows(cell, C, H):
    """(K, Q): the rows of `seen`, padded, and the gates."""
    return H + (C + ROWS) // ROWS * ROWS, 4 if cell >= GRU else 1


@njit(**FAST)
def pack(packed, input_weight, input_bias, weight, bias, width, H, cell):
    """Write one run's weights into the matrix `packed` (K, Q·H); weights of size 0 count as zeros."""
    packed[:] = 0
    C = input_weight.shape[0]
    columns = (4 if cell >= GRU else 1) * H
    for gate in range(3 if cell == GRU else 4 if cell == LSTM else 1):
        g, m = gate * width, gate * H
        into = 3 * H if cell == GRU and gate == 2 else m  # where the inputs' part of this gate goes
        for k in range(weight.shape[0]):
            for j in range(width):
                packed[k * columns + m + j] = weight[k, g + j]
        for j in range(bias.shape[0] and width):
            packed[H * columns + m + j] = bias[g + j]
        for j in range(input_bias.shape[0] and width):
            packed[H * columns + into + j] += input_bias[g + j]
        for c in range(C):
            for j in range(width):
                packed[(H + 1 + c) * columns + into + j] = input_weight[c, g + j]


@njit(**FAST)
def unpack(packed, dinput_weight, dinput_bias, dweight, dbias, width, H, cell):
    """The reverse of `pack` for gradients; those of size 0 are skipped."""
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
def fill(block, values, B):
    """Write values (batch, width) into a block; its padding is 0, and so is all of it if `values` has size 0."""
    block[:] = 0
    for b in range(values.shape[0]):
        for k in range(values.shape[1]):
            block[k * B + b] = values[b, k]


@njit(**FAST)
def spill(block, values, B):
    """The reverse of `fill`."""
    for b in range(values.shape[0]):
        for k in range(values.shape[1]):
            values[b, k] = block[k * B + b]


@njit(**FAST)
def _forget(block, reset, t, H, B):
    """Set a block to 0 for the windows that are reset at step t."""
    for b in range(reset.shape[0]):
        if reset[b, t]:
            for k in range(H):
                block[k * B + b] = 0


@njit(**FAST)
def _see(seen, before, mask, reset, x, t, H, B):
    """Fill `seen` for step t: h[t−1] from `before` after mask and reset, a row of ones, then the inputs."""
    n = H * B
    seen[:n] = before
    seen[n : n + B] = 1
    if mask.shape[1]:
        for b in range(mask.shape[0]):
            for k in range(mask.shape[2]):
                seen[k * B + b] *= mask[b, t % mask.shape[1], k]
    _forget(seen, reset, t, H, B)
    for c in range(x.shape[2]):
        for b in range(x.shape[0]):
            seen[n + (1 + c) * B + b] = x[b, t, c]


@njit(**FAST)
def _part(part, cell, one, H, columns):
    """(k0, k1, m0, m1): rows and columns of a part of the weight that is not all zeros; the GRU has three parts."""
    if cell < 0:
        return H, one, 0, columns
    if cell != GRU:
        return 0, one, 0, columns
    if part == 0:
        return 0, one, 0, 2 * H
    return (0, H + 1, 2 * H, 3 * H) if part == 1 else (H, one, 3 * H, columns)


@njit(**FAST)
def _multiply(weight, columns, k0, k1, seen, out, m0, m1, B):
    """out[m] = Σk weight[k, m] · seen[k] for m0 ≤ m < m1, k0 ≤ k < k1."""
    for b in range(0, B, COLUMNS):
        for m in range(m0, m1, ROWS):
            product(weight, k0 * columns + m, 1, columns, seen, k0 * B + b, B, out, m * B + b, B, k1 - k0)


@njit(**FAST)
def _add_given(pre, given, t, width, H, B, cell):
    """Add input contributions (batch, T, G·width) of one step to the gates."""
    for gate in range(given.shape[2] // width):
        place = (3 if cell == GRU and gate == 2 else gate) * H * B
        for b in range(given.shape[0]):
            for j in range(width):
                pre[place + j * B + b] += given[b, t, gate * width + j]


@njit(**FAST)
def forward(cell, H, B, x, given, width, h, c, mask, reset, weight, states, cs, gates, scratch):
    """All time steps of one run.

    Args:
        x: Inputs, (batch, T, C).
        given: Input contributions, (batch, T, G·width), of size 0 where they are computed from `x`.
        h, c: The state before the first step, as blocks.
        mask, reset: (batch, T or 1, width) and (batch, T), of size 0 if there is none.
        weight: As `pack` makes it.
        states, cs, gates: Filled, unless of size 0: one block a step, Q blocks in `gates`; `cs` is c of the LSTM.
        scratch: Scratch memory, see `room`.
    """
    T, C = x.shape[1], x.shape[2]
    n, one = H * B, H + 1 + C
    K, Q = rows(cell, C, H)
    columns = Q * H
    seen, spare, c_before = scratch[: K * B], scratch[K * B : (K + columns) * B], scratch[(K + columns) * B :][:n]
    seen[:] = 0
    for t in range(T):
        now, last = slice(t * n, (t + 1) * n), slice((t - 1) * n, t * n)
        pre = gates[t * Q * n : (t + 1) * Q * n] if gates.size else spare
        _see(seen, states[last] if t else h, mask, reset, x, t, H, B)
        for part in range(3 if cell == GRU else 1):
            k0, k1, m0, m1 = _part(part, cell, one, H, columns)
            _multiply(weight, columns, k0, k1, seen, pre, m0, m1, B)
        _add_given(pre, given, t, width, H, B, cell)
        if cell == LSTM:
            c_before[:] = cs[last] if t else c
            _forget(c_before, reset, t, H, B)
        activate(cell, pre, seen, c_before, cs[now] if cell == LSTM else c_before, states[now])


@njit(**FAST)
def _weigh(dweight, columns, seen, seen_step, d, d_step, steps, k0, k1, m0, m1, B, tile):
    """dweight[k, m] += Σ over steps and batch of seen[k] · d[m]."""
    for m in range(m0, m1, RIGHT):
        for k in range(k0, k1, LEFT):
            dots(seen, k * B, B, seen_step, d, m * B, B, d_step, steps, B, tile)
            for i in range(min(LEFT, k1 - k)):
                for j in range(RIGHT):
                    dweight[(k + i) * columns + m + j] += tile[RIGHT * i + j]


@njit(**FAST)
def backward(cell, H, B, x, width, h, c, mask, reset, weight, states, cs, gates, dstates, dh, dc,
             dx, dgiven, dmask, dweight, scratch):  # fmt: skip
    """Gradients of one run. `dh` and `dc` are those of the last state at first, and of the first state at the end.

    Args:
        dstates: (batch, T, width), of size 0 if only the last state has a gradient.
        dx, dgiven, dmask: (batch, T, C), (batch, T, G·width), (batch, T, width); those of size 0 are not computed.
        dweight: Gradient of `weight`; zero before.
        scratch: Scratch memory, see `room`.
    """
    T, C = x.shape[1], x.shape[2]
    n, one = H * B, H + 1 + C
    K, Q = rows(cell, C, H)
    columns = Q * H
    some = max(1, BLOCK // B)
    # 16 extra values per step: otherwise the same row of all steps would compete for the same cache lines
    seen_step, d_step = K * B + 16, columns * B + 16
    seen, rest = scratch[: some * seen_step], scratch[some * seen_step :]
    d, rest = rest[: some * d_step], rest[some * d_step :]
    back, rest = rest[: K * B], rest[K * B :]
    direct, c_before, tile = rest[:n], rest[n : 2 * n], rest[2 * n : 2 * n + LEFT * RIGHT]
    seen[:] = 0
    direct[:] = 0
    back[:] = 0
    count = (T - 1) % some + 1  # steps of the last group, for one product of `_weigh`
    for t in range(T - 1, -1, -1):
        now, last, slot = slice(t * n, (t + 1) * n), slice((t - 1) * n, t * n), t % some
        before, see, d_now = states[last] if t else h, seen[slot * seen_step :], d[slot * d_step :][: Q * n]
        _see(see, before, mask, reset, x, t, H, B)
        for k in range(dstates.shape[2]):
            for b in range(dstates.shape[0]):
                dh[k * B + b] += dstates[b, t, k]
        if cell == LSTM:
            c_before[:] = cs[last] if t else c
            _forget(c_before, reset, t, H, B)
        step = gates[t * Q * n : (t + 1) * Q * n] if cell >= GRU else states[now]
        differentiate(cell, dh, dc, step, see, c_before, states[now], cs[now] if cell == LSTM else c_before,
                      d_now, direct)  # fmt: skip
        reach = 3 * H if cell == GRU else columns
        for b in range(0, B, COLUMNS):
            for k in range(0, H if cell >= 0 else 0, ROWS):
                product(weight, k * columns, columns, 1, d_now, b, B, back, k * B + b, B, reach)
            if dx.size:
                for k in range(H, K, ROWS):
                    product(weight, k * columns, columns, 1, d_now, b, B, back, k * B + b, B, columns)
        for i in range(n):
            dh[i] = back[i] + direct[i]
        for i in range(dx.shape[2]):
            for b in range(dx.shape[0]):
                dx[b, t, i] = back[n + (1 + i) * B + b]
        for g in range(dgiven.shape[2]):
            gate = g // width
            row = (3 if cell == GRU and gate == 2 else gate) * H + g % width
            for b in range(dgiven.shape[0]):
                dgiven[b, t, g] = d_now[row * B + b]
        _forget(dh, reset, t, H, B)
        _forget(dc, reset, t, H, B)
        for b in range(dmask.shape[0]):
            for k in range(dmask.shape[2]):
                dmask[b, t, k] = dh[k * B + b] * before[k * B + b]
        if mask.shape[1]:
            for b in range(mask.shape[0]):
                for k in range(width):
                    dh[k * B + b] *= mask[b, t % mask.shape[1], k]
        if slot == 0:
            for part in range(3 if cell == GRU else 1):
                k0, k1, m0, m1 = _part(part, cell, one, H, columns)
                _weigh(dweight, columns, seen, seen_step, d, d_step, count, k0, k1, m0, m1, B, tile)
            count = some


@njit(**FAST)
def room(cell, C, H, B):
    """float32 values of `scratch` that `backward` needs; `forward` needs fewer."""
    K, Q = rows(cell, C, H)
    return max(1, BLOCK // B) * ((K + Q * H) * B + 32) + (K + Q * H + 2 * H) * B + LEFT * RIGHT
