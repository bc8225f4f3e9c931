"""The time loops of every cell for float32 on a CPU, forward and backward, compiled by Numba.

Inside, the batch is innermost and filled up to `COLUMNS`, units to `ROWS`: H and B below are those
sizes, and a block is H·B values. Every step multiplies one matrix `seen` (K, B), whose rows are
h[t−1] (H), a one for the bias, and the C inputs, by one `weight` (K, Q·H), whose column blocks are
the gates; the GRU has four, r z n n', since r multiplies n, the recurrent part of the new state,
before n', the part of the inputs, is added. Runs share nothing, so their bits do not depend on
each other or on threads.
"""

import numpy as np
from numba import njit

from rnntips.kernels.tiles import COLUMNS, ROWS, dots, product

__all__ = ["GRU", "LSTM", "backward", "forward"]

TANH, RELU, SIGMOID, GRU, LSTM = range(5)
BLOCK = 1024  # values of one row over the steps of one weight-gradient product: its parts stay in cache
FLAGS = {"contract", "nsz"}  # no nnan, no ninf: divergence is data
_fast = {"fastmath": FLAGS, "error_model": "numpy", "nogil": True}


@njit(**_fast)
def _tanh(x):
    """Rational approximation, 3e-7 at most off; least squares in x² reweighted towards the least largest error."""
    c = np.float32(8.0) if x > np.float32(8.0) else x
    c = np.float32(-8.0) if c < np.float32(-8.0) else c  # NaN passes both
    u = c * c
    p = np.float32(2.350872e-11) * u - np.float32(1.47042616e-08)
    p = p * u + np.float32(9.87867314e-06)
    p = p * u + np.float32(0.00298586331)
    p = p * u + np.float32(0.129792247)
    p = p * u + np.float32(0.999999981)
    q = np.float32(0.000237203428) * u + np.float32(0.0240279301)
    q = q * u + np.float32(0.463125407)
    q = q * u + np.float32(1.0)
    return c * p / q


@njit(**_fast)
def _sigmoid(x):
    return np.float32(0.5) + np.float32(0.5) * _tanh(np.float32(0.5) * x)


@njit(**_fast)
def _see(seen, at, before, start, mask, keep, x, t, H, B):
    """Write `seen` of step t: h[t−1] from `before[start:]` under mask and reset, then the inputs."""
    n = H * B
    for i in range(n):
        seen[at + i] = before[start + i]
    if mask.shape[0]:
        row = mask[t % mask.shape[0]]
        for k in range(row.shape[0]):
            for b in range(row.shape[1]):
                seen[at + k * B + b] *= row[k, b]
    if keep.shape[0]:
        for b in range(keep.shape[1]):
            if keep[t, b] == 0:
                for k in range(H):
                    seen[at + k * B + b] = 0
    if x.shape[0]:
        for c in range(x.shape[1]):
            for b in range(x.shape[2]):
                seen[at + n + (1 + c) * B + b] = x[t, c, b]


@njit(**_fast)
def _multiply(weight, columns, k0, k1, seen, out, start, m0, m1, B):
    """out[m] = Σk weight[k, m] · seen[k] for m0 ≤ m < m1, k0 ≤ k < k1."""
    for b in range(0, B, COLUMNS):
        for m in range(m0, m1, ROWS):
            product(weight, k0 * columns + m, 1, columns, seen, k0 * B + b, B, out, start + m * B + b, B, k1 - k0)


@njit(**_fast)
def _add_given(pre, start, given, t, width, H, B, cell):
    """Add input contributions (G·H, B) of one step to the gates."""
    rows = given[t]
    for g in range(rows.shape[0]):
        gate = g // width
        if cell == GRU and gate == 2:
            gate = 3
        place = start + (gate * H + g % width) * B
        for b in range(rows.shape[1]):
            pre[place + b] += rows[g, b]


# LLVM vectorises a loop only if it can check that no store meets another array, hence one store a loop


@njit(**_fast)
def _activate_gru(gates, r, recurrent, new, z, seen, h):
    for i in range(2 * h.size):
        gates[i] = _sigmoid(gates[i])
    for i in range(h.size):
        new[i] = _tanh(new[i] + r[i] * recurrent[i])
    for i in range(h.size):
        h[i] = new[i] + z[i] * (seen[i] - new[i])


@njit(**_fast)
def _activate_lstm(gates, enter, forget, new, out, before, c, h):
    for i in range(2 * h.size):
        gates[i] = _sigmoid(gates[i])
    for i in range(h.size):
        new[i] = _tanh(new[i])
    for i in range(h.size):
        out[i] = _sigmoid(out[i])
    for i in range(h.size):
        c[i] = forget[i] * before[i] + enter[i] * new[i]
    for i in range(h.size):
        h[i] = out[i] * _tanh(c[i])


@njit(**_fast)
def _activate_plain(cell, gate, h):
    if cell == TANH:
        for i in range(h.size):
            h[i] = _tanh(gate[i])
    elif cell == RELU:
        for i in range(h.size):
            h[i] = np.float32(0) if gate[i] < 0 else gate[i]
    else:
        for i in range(h.size):
            h[i] = _sigmoid(gate[i])


@njit(**_fast)
def _activate(cell, gates, seen, before, c, h):
    """Gates in place, and the new state from them."""
    n = h.size
    if cell == GRU:
        _activate_gru(gates, gates[:n], gates[2 * n : 3 * n], gates[3 * n :], gates[n : 2 * n], seen[:n], h)
    elif cell == LSTM:
        _activate_lstm(gates, gates[:n], gates[n : 2 * n], gates[2 * n : 3 * n], gates[3 * n :], before, c, h)
    else:
        _activate_plain(cell, gates, h)


@njit(**_fast)
def _c_before(c_first, cs, t, n, keep, scratch, H, B):
    """Write c[t−1] under reset into `scratch`."""
    for i in range(n):
        scratch[i] = cs[(t - 1) * n + i] if t else c_first[i]
    if keep.shape[0]:
        for b in range(keep.shape[1]):
            if keep[t, b] == 0:
                for k in range(H):
                    scratch[k * B + b] = 0


SIGNATURE_FORWARD = (
    "void(i8,i8,i8,i8,i8,i8,i8,f4[:,:,:,::1],f4[:,:,:,::1],f4[:,::1],f4[:,::1],f4[:,::1],"
    "f4[:,:,:,::1],u1[:,::1],f4[:,::1],f4[:,::1],f4[:,::1])"
)


@njit(SIGNATURE_FORWARD, cache=True, **_fast)
def forward(first, end, cell, width, H, B, T, x, given, weight, h_first, c_first, mask, keep, states, cs, gates):
    """Runs first … end − 1. See `rnntips.kernels.cpu` for the arrays; `gates` of one step only are not kept."""
    n, Q = H * B, 4 if cell >= GRU else 1
    columns = Q * H
    K = weight.shape[1] // columns
    kept = gates.shape[1] > 1
    one = H + 1 + x.shape[2]
    seen, before = np.zeros(K * B, np.float32), np.empty(n, np.float32)
    scratch = np.empty(Q * n, np.float32)
    for r in range(first, end):
        seen[n : n + B] = 1
        for t in range(T):
            pre = gates[r] if kept else scratch
            p = t * Q * n if kept else 0
            if t:
                _see(seen, 0, states[r], (t - 1) * n, mask[r], keep, x[r], t, H, B)
            else:
                _see(seen, 0, h_first[r], 0, mask[r], keep, x[r], t, H, B)
            if cell == GRU:
                _multiply(weight[r], columns, 0, one, seen, pre, p, 0, 2 * H, B)
                _multiply(weight[r], columns, 0, H + 1, seen, pre, p, 2 * H, 3 * H, B)
                _multiply(weight[r], columns, H, one, seen, pre, p, 3 * H, 4 * H, B)
            else:
                _multiply(weight[r], columns, 0, one, seen, pre, p, 0, columns, B)
            if given.shape[1]:
                _add_given(pre, p, given[r], t, width, H, B, cell)
            if cell == LSTM:
                _c_before(c_first[r], cs[r], t, n, keep, before, H, B)
            c = cs[r, t * n : (t + 1) * n] if cell == LSTM else before
            _activate(cell, pre[p : p + Q * n], seen, before, c, states[r, t * n : (t + 1) * n])


@njit(**_fast)
def _differentiate_gru(dh, r, z, recurrent, new, seen, dr, dz, drecurrent, dnew, direct):
    one = np.float32(1)
    for i in range(dh.size):
        dnew[i] = dh[i] * (one - z[i]) * (one - new[i] * new[i])
    for i in range(dh.size):
        dr[i] = dnew[i] * recurrent[i] * r[i] * (one - r[i])
    for i in range(dh.size):
        dz[i] = dh[i] * (seen[i] - new[i]) * z[i] * (one - z[i])
    for i in range(dh.size):
        drecurrent[i] = dnew[i] * r[i]
    for i in range(dh.size):
        direct[i] = dh[i] * z[i]


@njit(**_fast)
def _differentiate_lstm(dh, dc, enter, forget, new, out, before, c, denter, dforget, dnew, dout, y):
    one = np.float32(1)
    for i in range(dh.size):
        y[i] = _tanh(c[i])
    for i in range(dh.size):
        dout[i] = dh[i] * y[i] * out[i] * (one - out[i])
    for i in range(dh.size):
        dc[i] += dh[i] * out[i] * (one - y[i] * y[i])
    for i in range(dh.size):
        denter[i] = dc[i] * new[i] * enter[i] * (one - enter[i])
    for i in range(dh.size):
        dforget[i] = dc[i] * before[i] * forget[i] * (one - forget[i])
    for i in range(dh.size):
        dnew[i] = dc[i] * enter[i] * (one - new[i] * new[i])
    for i in range(dh.size):
        dc[i] *= forget[i]
        y[i] = 0


@njit(**_fast)
def _differentiate_plain(cell, dh, h, d):
    if cell == TANH:
        for i in range(dh.size):
            d[i] = dh[i] * (np.float32(1) - h[i] * h[i])
    elif cell == RELU:
        for i in range(dh.size):
            d[i] = dh[i] if h[i] > 0 else np.float32(0)
    else:
        for i in range(dh.size):
            d[i] = dh[i] * h[i] * (np.float32(1) - h[i])


@njit(**_fast)
def _differentiate(cell, dh, dc, gates, seen, before, h, c, d, direct):
    """Gradient of the gates before activation into `d`, and of h[t−1] past the product into `direct`."""
    n = dh.size
    if cell == GRU:
        _differentiate_gru(dh, gates[:n], gates[n : 2 * n], gates[2 * n : 3 * n], gates[3 * n :], seen,
                           d[:n], d[n : 2 * n], d[2 * n : 3 * n], d[3 * n :], direct)  # fmt: skip
    elif cell == LSTM:
        _differentiate_lstm(dh, dc, gates[:n], gates[n : 2 * n], gates[2 * n : 3 * n], gates[3 * n :], before, c,
                            d[:n], d[n : 2 * n], d[2 * n : 3 * n], d[3 * n :], direct)  # fmt: skip
    else:
        _differentiate_plain(cell, dh, h, d)


@njit(**_fast)
def _weigh(dweight, columns, seen, seen_step, d, d_step, steps, k0, k1, m0, m1, B, eight):
    """dweight[k, m] += Σ over steps and batch of seen[k] · d[m]."""
    for m in range(m0, m1, 2):
        for k in range(k0, k1, 4):
            dots(seen, k * B, B, seen_step, d, m * B, B, d_step, steps, B, eight)
            for i in range(min(4, k1 - k)):
                for j in range(2):
                    dweight[(k + i) * columns + m + j] += eight[2 * i + j]


SIGNATURE_BACKWARD = (
    "void(i8,i8,i8,i8,i8,i8,i8,f4[:,:,:,::1],f4[:,::1],f4[:,::1],f4[:,::1],f4[:,:,:,::1],u1[:,::1],f4[:,::1],"
    "f4[:,::1],f4[:,::1],f4[:,:,:,::1],f4[:,::1],f4[:,::1],f4[:,::1],f4[:,:,:,::1],f4[:,:,:,::1],f4[:,:,:,::1])"
)


@njit(SIGNATURE_BACKWARD, cache=True, **_fast)
def backward(first, end, cell, width, H, B, T, x, weight, h_first, c_first, mask, keep, states, cs, gates,
             dstates, dh_last, dc_last, dweight, dx, dgiven, dmask):  # fmt: skip
    """Gradients of runs first … end − 1; empty ones are skipped. `dh_last`, `dc_last` become the first state's."""
    n, Q = H * B, 4 if cell >= GRU else 1
    columns = Q * H
    K, C = weight.shape[1] // columns, x.shape[2]
    one = H + 1 + C
    some = max(1, BLOCK // B)
    # sixteen values more a step, or the same row of all steps would compete for the same cache lines
    seen_step, d_step = K * B + 16, columns * B + 16
    seen, d = np.zeros(some * seen_step, np.float32), np.empty(some * d_step, np.float32)
    back, direct = np.empty(K * B, np.float32), np.zeros(n, np.float32)
    old, eight = np.empty(n, np.float32), np.empty(8, np.float32)
    for r in range(first, end):
        dh, dc = dh_last[r], dc_last[r]
        count = (T - 1) % some + 1  # steps of the block at the end
        for t in range(T - 1, -1, -1):
            slot = t % some
            s, e = slot * seen_step, slot * d_step
            if t:
                _see(seen, s, states[r], (t - 1) * n, mask[r], keep, x[r], t, H, B)
            else:
                _see(seen, s, h_first[r], 0, mask[r], keep, x[r], t, H, B)
            seen[s + n : s + n + B] = 1
            if dstates.shape[1]:
                rows = dstates[r, t]
                for k in range(rows.shape[0]):
                    for b in range(rows.shape[1]):
                        dh[k * B + b] += rows[k, b]
            if cell == LSTM:
                _c_before(c_first[r], cs[r], t, n, keep, old, H, B)
            now = slice(t * n, (t + 1) * n)
            step = gates[r, t * Q * n : (t + 1) * Q * n] if cell >= GRU else states[r, now]
            c = cs[r, now] if cell == LSTM else old
            _differentiate(cell, dh, dc, step, seen[s : s + n], old, states[r, now], c, d[e : e + Q * n], direct)
            reach = 3 * H if cell == GRU else columns
            for b in range(0, B, COLUMNS):
                for k in range(0, H, ROWS):
                    product(weight[r], k * columns, columns, 1, d, e + b, B, back, k * B + b, B, reach)
                if dx.shape[1]:
                    for k in range(H, K, ROWS):
                        product(weight[r], k * columns, columns, 1, d, e + b, B, back, k * B + b, B, columns)
            for i in range(n):
                dh[i] = back[i] + direct[i]
            if dx.shape[1]:
                for c in range(C):
                    for b in range(dx.shape[3]):
                        dx[r, t, c, b] = back[n + (1 + c) * B + b]
            if dgiven.shape[1]:
                for g in range(dgiven.shape[2]):
                    gate = g // width
                    if cell == GRU and gate == 2:
                        gate = 3
                    for b in range(dgiven.shape[3]):
                        dgiven[r, t, g, b] = d[e + (gate * H + g % width) * B + b]
            if keep.shape[0]:
                for b in range(keep.shape[1]):
                    if keep[t, b] == 0:
                        for k in range(H):
                            dh[k * B + b] = 0
                            dc[k * B + b] = 0
            if mask.shape[1]:
                row = mask[r, t % mask.shape[1]]
                for k in range(row.shape[0]):
                    for b in range(row.shape[1]):
                        if dmask.shape[1]:
                            before = states[r, (t - 1) * n + k * B + b] if t else h_first[r, k * B + b]
                            if keep.shape[0] and keep[t, b] == 0:
                                before = np.float32(0)
                            dmask[r, t, k, b] = dh[k * B + b] * before
                        dh[k * B + b] *= row[k, b]
            if slot == 0:
                if cell == GRU:
                    _weigh(dweight[r], columns, seen, seen_step, d, d_step, count, 0, one, 0, 2 * H, B, eight)
                    _weigh(dweight[r], columns, seen, seen_step, d, d_step, count, 0, H + 1, 2 * H, 3 * H, B, eight)
                    _weigh(dweight[r], columns, seen, seen_step, d, d_step, count, H, one, 3 * H, columns, B, eight)
                else:
                    _weigh(dweight[r], columns, seen, seen_step, d, d_step, count, 0, one, 0, columns, B, eight)
                count = some
