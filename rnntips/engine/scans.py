"""`time_loops` over many runs: the compiled functions that `numba_ops` calls."""

import numpy as np

from rnntips.engine import time_loops
from rnntips.engine.compiling import compiled
from rnntips.engine.gates import FAST
from rnntips.engine.tiles import take

__all__ = ["backward", "forward"]

F1, F2, F3, F4, B2 = "f4[:,::1]", "f4[:,:]", "f4[:,:,:]", "f4[:,:,:,:]", "b1[:,:]"


def _signature(*arrays: str) -> str:
    return f"void(i8[::1],i8,i8,i8,i8,{','.join(arrays)})"


@compiled(_signature(F4, F4, F3, F2, F3, F2, F3, F3, F4, B2, F1, F1, F1, F1, F3, F3), **FAST)
def forward(counter, cell, width, H, B, x, given, input_weight, input_bias, weight, bias, h, c, mask, reset,
            packed, states, cs, gates, h_last, c_last):  # fmt: skip
    """All steps of every run that this thread takes from the counter. See `numba_ops` for the arrays."""
    n = H * B
    scratch = np.empty(time_loops.room(cell, x.shape[3], H, B), np.float32)
    h_first, c_first = np.empty(n, np.float32), np.empty(n, np.float32)
    r = take(counter, 0)
    while r < len(packed):
        time_loops.pack(packed[r], input_weight[r], input_bias[r], weight[r], bias[r], width, H, cell)
        time_loops.fill(h_first, h[r], B)
        time_loops.fill(c_first, c[r], B)
        time_loops.forward(cell, H, B, x[r], given[r], width, h_first, c_first, mask[r], reset, packed[r],
                      states[r], cs[r], gates[r], scratch)  # fmt: skip
        time_loops.spill(states[r, -n:], h_last[r], B)
        time_loops.spill(cs[r, -n:], c_last[r], B)
        r = take(counter, 0)


@compiled(_signature(F4, F3, F3, F4, B2, F1, F1, F1, F1, F4, F3, F3, F4, F4, F3, F2, F3, F2, F3, F3, F4),
      **FAST)  # fmt: skip
def backward(counter, cell, width, H, B, x, h, c, mask, reset, packed, states, cs, gates, dstates, dh_last, dc_last,
             dx, dgiven, dinput_weight, dinput_bias, dweight, dbias, dh_first, dc_first, dmask):  # fmt: skip
    """Gradients of every run that this thread takes from the counter. Size 0: not computed, or zero if given."""
    n = H * B
    scratch, sums = np.empty(time_loops.room(cell, x.shape[3], H, B), np.float32), np.empty(packed.shape[1], np.float32)
    h_first, c_first = np.empty(n, np.float32), np.empty(n, np.float32)
    dh, dc = np.empty(n, np.float32), np.empty(n, np.float32)
    r = take(counter, 0)
    while r < len(packed):
        time_loops.fill(h_first, h[r], B)
        time_loops.fill(c_first, c[r], B)
        time_loops.fill(dh, dh_last[r], B)
        time_loops.fill(dc, dc_last[r], B)
        sums[:] = 0
        time_loops.backward(cell, H, B, x[r], width, h_first, c_first, mask[r], reset, packed[r], states[r], cs[r],
                       gates[r], dstates[r], dh, dc, dx[r], dgiven[r], dmask[r], sums, scratch)  # fmt: skip
        time_loops.unpack(sums, dinput_weight[r], dinput_bias[r], dweight[r], dbias[r], width, H, cell)
        time_loops.spill(dh, dh_first[r], B)
        time_loops.spill(dc, dc_first[r], B)
        r = take(counter, 0)
