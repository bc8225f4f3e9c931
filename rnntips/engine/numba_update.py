"""A whole update in compiled code, one run after the other: windows, layers, loss, gradients, clipping, optimizer.

A run's values stay in its core's cache during the update, and Python is called once per update. A sequence that is too
long for that is computed in segments of time: forward through all of them, and then backward from the last, whose
values are still there; those of each other segment are computed once more from the state that it began with.

`rnntips.engine.update` describes the network (`NETWORK`) and calls this; it does the same in torch elsewhere.
"""

import numpy as np

from rnntips.engine import time_loops
from rnntips.engine.compiling import FAST, compiled, njit
from rnntips.engine.gates import LSTM
from rnntips.engine.numba_rules import clip, norm, step
from rnntips.engine.tiles import take

__all__ = ["HEADS", "NETWORK", "update"]

HEADS = MSE, NLL = range(2)
ONE = np.float32(1)
# what a row of `network` says of a layer: its cell; channels, units and padded units; index of its first tensor;
# whether it reads the last step alone; its mask and its first column of noise, or −1; and where its arrays lie in a
# thread's memory: the matrix in panels, the same turned, states, the LSTM's c, gates, what the layer above reads
NETWORK = (CELL, INPUTS, WIDTH, HIGH, TENSOR, LAST, MASK, NOISE, PANELS, TURNED, STATES, CS, GATES, OUT) = (
    *range(8), *range(8, 20, 2))  # fmt: skip
# whether masks multiply what the layers above read, or the state that the next step reads
OUTPUTS, STEPS = range(2)


@njit(**FAST)
def _piece(memory, layer, name):
    return memory[layer[name] : layer[name + 1]]


@njit(**FAST)
def _weights(row, tensors, layer):
    """A layer's input weight and bias, recurrent weight and bias in one run's weights or gradient."""
    at, recurrent = layer[TENSOR], layer[CELL] >= 0
    bias = at + (2 if recurrent else 1)
    columns = tensors[bias, 1] - tensors[bias, 0]
    own, last = (at + 1, at + 3) if recurrent else (at, at)  # without a recurrence both are empty
    return (row[tensors[at, 0] : tensors[at, 1]].reshape((-1, columns)), row[tensors[bias, 0] : tensors[bias, 1]],
            row[tensors[own, 0] : tensors[own, 1] if recurrent else tensors[own, 0]].reshape((-1, columns)),
            row[tensors[last, 0] : tensors[last, 1] if recurrent else tensors[last, 0]])  # fmt: skip


@njit(**FAST)
def _cut(out, signal, places, first, symbols):
    """Write the rows of the signal from `places` + `first` on into blocks (T, C, B); symbols become one-hot rows."""
    out[:] = 0
    for b in range(len(places)):
        for t in range(len(out)):
            row = signal[places[b] + first + t]
            if symbols:
                out[t, int(row[0]), b] = 1
            else:
                for c in range(len(row)):
                    out[t, c, b] = row[c]


@njit(**FAST)
def _add(out, noise, first, columns):
    """Add noise (batch, T, n), from step `first` and column `columns` on, to blocks (t, H, B)."""
    for t in range(len(out)):
        for k in range(columns[1] - columns[0]):
            for b in range(len(noise)):
                out[t, k, b] += noise[b, first + t, columns[0] + k]


@njit(**FAST)
def _scale(out, mask):
    """Multiply blocks (T, H, B) by masks (T or 1, H, B)."""
    for t in range(len(out)):
        values, factors = out[t].reshape(-1), mask[t % len(mask)].reshape(-1)
        for i in range(values.size):
            values[i] *= factors[i]


@njit(**FAST)
def _below(memory, network, j, windows, T, B):
    """The inputs of layer j, in blocks."""
    if j == 0:
        return windows[len(windows) - 1 :] if network[j, LAST] else windows[:T]
    last = network[j - 1, LAST]
    found = _piece(memory, network[j - 1], OUT).reshape((-1, network[j - 1, HIGH], B))[: 1 if last else T]
    return found[len(found) - 1 :] if network[j, LAST] else found


@njit(**FAST)
def _forward(memory, network, windows, T, B, state, masks, place, between, first, last, never, scratch):
    """Steps `first` to `first` + T of all layers; `state` (layers, 2, H·B) is theirs before, and then after."""
    none = windows[:0]
    for j in range(len(network)):
        layer = network[j]
        if layer[LAST] and not last:
            break
        cell, C, H = layer[CELL], layer[INPUTS], layer[HIGH]
        n, steps = H * B, 1 if layer[LAST] else T
        x = _below(memory, network, j, windows, T, B)
        own = masks[layer[MASK]][first if len(masks[0]) > 1 else 0 :][:, :H] if layer[MASK] >= 0 else none
        states, cs, gates = _piece(memory, layer, STATES), _piece(memory, layer, CS), _piece(memory, layer, GATES)
        mask = own if place == STEPS and cell >= 0 else none
        time_loops.forward(cell, C, H, B, x, none, state[j, 0, :n], state[j, 1, :n], mask, never,
                           _piece(memory, layer, PANELS), states, cs, gates, scratch)  # fmt: skip
        state[j, 0, :n] = states[(steps - 1) * n : steps * n]
        if cell == LSTM:
            state[j, 1, :n] = cs[(steps - 1) * n : steps * n]
        if layer[OUT] != layer[STATES]:
            out = _piece(memory, layer, OUT)[: steps * n]
            out[:] = states[: steps * n]
