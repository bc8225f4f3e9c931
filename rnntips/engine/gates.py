"""The elementwise part of every cell and its derivative, on blocks (H, B) of one run and step."""

import numpy as np

from rnntips.engine.compiling import FAST, njit

__all__ = ["CODES", "DENSE", "GRU", "LINEAR", "LSTM", "activate", "differentiate"]

LINEAR, DENSE, TANH, RELU, SIGMOID, GRU, LSTM = range(-2, 5)  # LINEAR and DENSE (with ReLU) have no recurrence
CODES = {"linear": LINEAR, "dense": DENSE, "tanh": TANH, "relu": RELU, "sigmoid": SIGMOID, "gru": GRU, "lstm": LSTM}


@njit(**FAST)
def _tanh(x):
    """Rational approximation with an error of at most 3e-7, fitted by reweighted least squares in x² (minimax)."""
    c = np.float32(8.0) if x > np.float32(8.0) else x
    c = np.float32(-8.0) if c < np.float32(-8.0) else c  # NaN stays NaN
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


@njit(**FAST)
def _sigmoid(x):
    return np.float32(0.5) + np.float32(0.5) * _tanh(np.float32(0.5) * x)


# Each loop writes to one array: LLVM vectorises a loop only if it can check that its arrays do not overlap.


@njit(**FAST)
def _activate_gru(gates, r, recurrent, new, z, before, h):
    for i in range(2 * h.size):
        gates[i] = _sigmoid(gates[i])
    for i in range(h.size):
        new[i] = _tanh(new[i] + r[i] * recurrent[i])
    for i in range(h.size):
        h[i] = new[i] + z[i] * (before[i] - new[i])


@njit(**FAST)
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


@njit(**FAST)
def _activate_plain(cell, gate, h):
    if cell == TANH:
        for i in range(h.size):
            h[i] = _tanh(gate[i])
    elif cell == LINEAR:
        for i in range(h.size):
            h[i] = gate[i]
    elif cell == RELU or cell == DENSE:
        for i in range(h.size):
            h[i] = np.float32(0) if gate[i] < 0 else gate[i]
    else:
        for i in range(h.size):
            h[i] = _sigmoid(gate[i])


@njit(**FAST)
def activate(cell, gates, before, c, h):
    """Apply the activations to `gates` in place, and write the new state to `h` and `c`.

    `before` is what the step before left of the state that gates keep a part of: the LSTM's c, the GRU's h.
    """
    n = h.size
    if cell == GRU:
        _activate_gru(gates, gates[:n], gates[2 * n : 3 * n], gates[3 * n :], gates[n : 2 * n], before, h)
    elif cell == LSTM:
        _activate_lstm(gates, gates[:n], gates[n : 2 * n], gates[2 * n : 3 * n], gates[3 * n :], before, c, h)
    else:
        _activate_plain(cell, gates, h)


@njit(**FAST)
def _differentiate_gru(dh, r, z, recurrent, new, before, dr, dz, drecurrent, dnew, direct):
    one = np.float32(1)
    for i in range(dh.size):
        dnew[i] = dh[i] * (one - z[i]) * (one - new[i] * new[i])
    for i in range(dh.size):
        dr[i] = dnew[i] * recurrent[i] * r[i] * (one - r[i])
    for i in range(dh.size):
        dz[i] = dh[i] * (before[i] - new[i]) * z[i] * (one - z[i])
    for i in range(dh.size):
        drecurrent[i] = dnew[i] * r[i]
    for i in range(dh.size):
        direct[i] = dh[i] * z[i]


@njit(**FAST)
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


@njit(**FAST)
def _differentiate_plain(cell, dh, h, d):
    if cell == TANH:
        for i in range(dh.size):
            d[i] = dh[i] * (np.float32(1) - h[i] * h[i])
    elif cell == LINEAR:
        for i in range(dh.size):
            d[i] = dh[i]
    elif cell == RELU or cell == DENSE:
        for i in range(dh.size):
            d[i] = dh[i] if h[i] > 0 else np.float32(0)
    else:
        for i in range(dh.size):
            d[i] = dh[i] * h[i] * (np.float32(1) - h[i])


@njit(**FAST)
def differentiate(cell, dh, dc, gates, before, h, c, d, direct):
    """Write the gates' gradients before activation to `d`, and the GRU's dh · z, a part of dh[t−1], to `direct`."""
    n = dh.size
    if cell == GRU:
        _differentiate_gru(dh, gates[:n], gates[n : 2 * n], gates[2 * n : 3 * n], gates[3 * n :], before,
                           d[:n], d[n : 2 * n], d[2 * n : 3 * n], d[3 * n :], direct)  # fmt: skip
    elif cell == LSTM:
        _differentiate_lstm(dh, dc, gates[:n], gates[n : 2 * n], gates[2 * n : 3 * n], gates[3 * n :], before, c,
                            d[:n], d[n : 2 * n], d[2 * n : 3 * n], d[3 * n :], direct)  # fmt: skip
    else:
        _differentiate_plain(cell, dh, h, d)
