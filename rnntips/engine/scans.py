"""`time_loops` over many runs: the compiled functions that `numba_ops` calls."""

import numpy as np

from rnntips.engine import time_loops
from rnntips.engine.compiling import ALLOCATING, FAST, compiled, njit
from rnntips.engine.gates import GRU
from rnntips.engine.tiles import FLUSH, flush, take

__all__ = ["backward", "forward"]

F2, F3, F4, F5, ANY2, ANY3, ANY4, B2 = (
    "f4[:,::1]", "f4[:,:,::1]", "f4[:,:,:,::1]", "f4[:,:,:,:,::1]", "f4[:,:]", "f4[:,:,:]", "f4[:,:,:,:]", "b1[:,:]",
)  # fmt: skip


def _signature(*arrays: str) -> str:
    return f"void(i8[::1],i8,i8,i8,i8,{','.join(arrays)})"


@njit(**FAST)
def _gate(cell, gate):
    """The column block of the inputs' contribution to a gate."""
    return 3 if cell == GRU and gate == 2 else gate


@njit(**FAST)
def _place(cell, out, given, width, H):
    """Write contributions (batch, T, G·width) into the blocks of the gates (T, M, B)."""
    out[:] = 0
    for t in range(len(out)):
        for gate in range(given.shape[2] // width):
            for j in range(width):
                for b in range(given.shape[0]):
                    out[t, _gate(cell, gate) * H + j, b] = given[b, t, gate * width + j]


@compiled(_signature(ANY4, ANY4, ANY3, ANY2, ANY3, ANY2, ANY3, ANY3, ANY4, B2, F2, F2, F2, F2, F3, F3), **ALLOCATING)
def forward(counter, cell, width, H, B, x, given, input_weight, input_bias, weight, bias, h, c, mask, reset,
            turned, states, cs, gates, h_last, c_last):  # fmt: skip
    """All steps of every run that this thread takes from the counter. See `numba_ops` for the arrays."""
    n, T, C = H * B, states.shape[1] // (H * B), x.shape[3]
    K, Q = time_loops.rows(cell, C, H)
    panels = np.empty((Q * H + 15) // 16 * 16 * K, np.float32)
    scratch = np.empty((K + Q * H + H) * B, np.float32)
    inputs, more = np.empty((T, C, B), np.float32), np.empty((T if given.size else 0, Q * H, B), np.float32)
    first, mine = np.empty((2, 1, H, B), np.float32), np.empty((mask.shape[2], H, B), np.float32)
    usual, r = flush(FLUSH), take(counter, 0)
    while r < len(states):
        time_loops.pack(panels, turned[r], input_weight[r], input_bias[r], weight[r], bias[r], width, H, cell)
        time_loops.blocks(inputs, x[r])
        if len(more):
            _place(cell, more, given[r], width, H)
        time_loops.blocks(first[0], np.expand_dims(h[r], 1))
        time_loops.blocks(first[1], np.expand_dims(c[r], 1))
        time_loops.blocks(mine, mask[r])
        time_loops.forward(cell, C, H, B, inputs, more, first[0].reshape(-1), first[1].reshape(-1), mine, reset,
                           panels, states[r], cs[r], gates[r], scratch)  # fmt: skip
        time_loops.spread(h_last[r], states[r, -n:].reshape((H, B)))
        if cs.shape[1]:
            time_loops.spread(c_last[r], cs[r, -n:].reshape((H, B)))
        r = take(counter, 0)
    flush(usual)


@compiled(_signature(ANY4, ANY3, ANY3, ANY4, B2, F2, F2, F2, F2, ANY4, ANY3, ANY3, F4, F4, ANY3, ANY2, ANY3, ANY2,
                     ANY3, ANY3, F4), **ALLOCATING)  # fmt: skip
def backward(counter, cell, width, H, B, x, h, c, mask, reset, turned, states, cs, gates, dstates, dh_last, dc_last,
             dx, dgiven, dinput_weight, dinput_bias, dweight, dbias, dh_first, dc_first, dmask):  # fmt: skip
    """Gradients of every run that this thread takes from the counter. Size 0: not computed, or zero if given."""
    T, C = states.shape[1] // (H * B), x.shape[3]
    K, Q = time_loops.rows(cell, C, H)
    scratch, sums = np.empty(time_loops.room(cell, C, H, B), np.float32), np.empty(K * Q * H, np.float32)
    inputs, first = np.empty((T, C, B), np.float32), np.empty((4, 1, H, B), np.float32)
    dabove, mine = np.empty((dstates.shape[2], H, B), np.float32), np.empty((mask.shape[2], H, B), np.float32)
    h_first, c_first, dh, dc = (first[0].reshape(-1), first[1].reshape(-1), first[2].reshape(-1),
                                first[3].reshape(-1))  # fmt: skip
    usual, r = flush(FLUSH), take(counter, 0)
    while r < len(states):
        time_loops.blocks(inputs, x[r])
        time_loops.blocks(dabove, dstates[r])
        time_loops.blocks(mine, mask[r])
        time_loops.blocks(first[0], np.expand_dims(h[r], 1))
        time_loops.blocks(first[1], np.expand_dims(c[r], 1))
        time_loops.blocks(first[2], np.expand_dims(dh_last[r], 1))
        time_loops.blocks(first[3], np.expand_dims(dc_last[r], 1))
        sums[:] = 0
        time_loops.backward(cell, C, H, B, inputs, h_first, c_first, mine, reset, turned[r], states[r], cs[r],
                            gates[r], dabove, dh, dc, dx[r], dgiven[r], dmask[r], sums, scratch)  # fmt: skip
        time_loops.unpack(sums, dinput_weight[r], dinput_bias[r], dweight[r], dbias[r], width, H, cell)
        time_loops.spread(dh_first[r], first[2, 0])
        time_loops.spread(dc_first[r], first[3, 0])
        r = take(counter, 0)
    flush(usual)
