"""A whole update in compiled code, one run after the other: windows, layers, loss, gradients, clipping, optimizer.

A run's values stay in its core's cache during the update, and Python is called once per update. A sequence that is too
long for that is computed in segments of time: forward through all of them, and then backward from the last, whose
values are still there; those of each other segment are computed once more from the states that it began with.

`rnntips.engine.update` describes the network and calls this; elsewhere it does the same in torch.
"""

import numpy as np

from rnntips.engine import time_loops
from rnntips.engine.compiling import ALLOCATING, FAST, compiled, njit
from rnntips.engine.gates import LSTM
from rnntips.engine.numba_losses import ROOT, loss
from rnntips.engine.numba_rules import WEIGHTS, clip, cut, norm, step
from rnntips.engine.tiles import FLUSH, copy, flush, take

__all__ = ["COUNT", "OUTPUTS", "STEPS", "update"]

ONE = np.float32(1)
# What a row of `network` says of a layer: its cell; channels, units and padded units; the index of its first tensor;
# whether it reads the last step alone; its mask and its first column of noise, or −1; and where its pieces of a
# thread's memory begin: the matrix in panels, the same turned, its gradient, states, the LSTM's c, gates, and what the
# layer above reads, which are the states unless there is noise or a mask.
CELL, INPUTS, WIDTH, HIGH, TENSOR, LAST, MASK, NOISE, PANELS, TURNED, SUMS, STATES, CS, GATES, END, OUT = range(16)
OUTPUTS, STEPS = range(2)  # whether masks multiply what the layer above reads, or the state that the next step reads


@njit(**ALLOCATING)
def _weights(row, tensors, layer):
    """A layer's input weight and bias, recurrent weight and bias in one run's weights or gradient."""
    at, bias = layer[TENSOR], layer[TENSOR] + (2 if layer[CELL] >= 0 else 1)
    columns = tensors[bias, 1] - tensors[bias, 0]
    (w0, w1), (b0, b1) = (0, 0), (0, 0)  # of size 0 without a recurrence
    if layer[CELL] >= 0:
        (w0, w1), (b0, b1) = (tensors[at + 1, 0], tensors[at + 1, 1]), (tensors[at + 3, 0], tensors[at + 3, 1])
    return (row[tensors[at, 0] : tensors[at, 1]].reshape((-1, columns)), row[tensors[bias, 0] : tensors[bias, 1]],
            row[w0:w1].reshape((-1, columns)), row[b0:b1])  # fmt: skip


@njit(**FAST)
def _cut(out, signal, places, first, stride, symbols):
    """Write windows of the signal, from their step `first` on, into blocks (T, C, B); symbols become one-hot rows."""
    out[:] = 0
    for b in range(len(places)):
        for t in range(len(out)):
            at = places[b] + stride * (first + t)
            if symbols:
                out[t, int(signal[at, 0]), b] = 1
            else:
                for c in range(signal.shape[1]):
                    out[t, c, b] = signal[at, c]


@njit(**FAST)
def _add(out, noise, first, column, width):
    """Add noise (batch, T, n), from step `first` and a column on, to blocks (t, H, B)."""
    for t in range(len(out)):
        for b in range(len(noise)):
            for k in range(width):
                out[t, k, b] += noise[b, first + t, column + k]


@njit(**FAST)
def _scale(out, mask):
    """Multiply blocks (T, H, B) by a mask (1, H, B)."""
    factors = mask.reshape(-1)
    for t in range(len(out)):
        values = out[t].reshape(-1)
        for i in range(values.size):
            values[i] *= factors[i]


@njit(**ALLOCATING)
def _inputs(memory, network, j, windows, B):
    """What layer j reads, in blocks: all steps, or the last one."""
    if j == 0:
        found = windows
    else:
        below = network[j - 1]
        steps = 1 if below[LAST] else len(windows)
        found = memory[below[OUT] :][: steps * below[HIGH] * B].reshape((steps, below[HIGH], B))
    return found[len(found) - 1 :] if network[j, LAST] else found


@njit(**ALLOCATING)
def _mask(masks, layer, first, steps, where, place):
    """A layer's mask for these steps if masks are in this place, else one of size 0."""
    if layer[MASK] < 0 or place != where:
        return masks[0, :0]
    own = masks[layer[MASK]]
    return own[first : first + steps] if len(own) > 1 else own


@njit(**ALLOCATING)
def _forward(memory, network, windows, B, state, masks, place, between, first, last, never, scratch):
    """The layers on steps `first` … of these windows; `state` (layers, 2, n) has theirs before, and then after.

    Layers that read the last step alone are left out unless `last`.
    """
    for j in range(len(network)):
        layer = network[j]
        if layer[LAST] and not last:
            return
        x = _inputs(memory, network, j, windows, B)
        T, H, n = len(x), layer[HIGH], layer[HIGH] * B
        states, cs = memory[layer[STATES] :][: T * n], memory[layer[CS] : layer[GATES]]
        time_loops.forward(layer[CELL], layer[INPUTS], H, B, x, windows[:0], state[j, 0, :n], state[j, 1, :n],
                           _mask(masks, layer, first, T, STEPS, place), never, memory[layer[PANELS] : layer[TURNED]],
                           states, cs, memory[layer[GATES] : layer[END]], scratch)  # fmt: skip
        copy(state[j, 0], 0, n, states, (T - 1) * n, 1, n)
        if layer[CELL] == LSTM:
            copy(state[j, 1], 0, n, cs, (T - 1) * n, 1, n)
        if layer[OUT] != layer[STATES]:
            out = memory[layer[OUT] :][: T * n]
            copy(out, 0, n, states, 0, T, n)
            if layer[NOISE] >= 0:
                _add(out.reshape((T, H, B)), between, first + len(windows) - T, layer[NOISE], layer[WIDTH])
            if layer[MASK] >= 0 and place == OUTPUTS:
                _scale(out.reshape((T, H, B)), masks[layer[MASK]])


@njit(**FAST)
def _keep(kept, memory, network, steps, B):
    """Copy the states after so many steps of what `_forward` computed last."""
    for j in range(len(network)):
        layer = network[j]
        n = layer[HIGH] * B
        if not layer[LAST]:
            copy(kept[j, 0], 0, n, memory, layer[STATES] + (steps - 1) * n, 1, n)
        if layer[CELL] == LSTM:
            copy(kept[j, 1], 0, n, memory, layer[CS] + (steps - 1) * n, 1, n)


@njit(**ALLOCATING)
def _backward(memory, network, windows, B, before, masks, place, first, last, gradients, past, never, scratch):
    """Gradients of the layers on the windows that `_forward` computed last, added to those of their matrices.

    Args:
        before: (layers, 2, n), the states that it began with.
        gradients: Of what the readout answered, (T, H, B), flat, at first; and as much room again, (2, …).
        past: (layers, 2, n), those of the layers' last states at first, and of `before` at the end.
    """
    above = 0  # which half of `gradients` the layer above wrote
    whole = last or not network[-1, LAST]  # whether the layer above gave a gradient for all of these steps
    for j in range(len(network) - 1, -1, -1):
        layer = network[j]
        if layer[LAST] and not last:
            whole = False
            continue
        x = _inputs(memory, network, j, windows, B)
        T, H, n = len(x), layer[HIGH], layer[HIGH] * B
        given = gradients[above, : T * n].reshape((T, H, B))
        if not whole:  # no layer above reads these steps
            given = given[:0]
        elif T > 1 and j + 1 < len(network) and network[j + 1, LAST]:  # the layer above reads the last step alone
            given, only = given[:0], gradients[above, :n].reshape((1, H, B))
            if layer[MASK] >= 0 and place == OUTPUTS:
                _scale(only, masks[layer[MASK]])
            for i in range(n):
                past[j, 0, i] += gradients[above, i]
        elif layer[MASK] >= 0 and place == OUTPUTS:
            _scale(given, masks[layer[MASK]])
        whole = True
        rows = network[j - 1, HIGH] if j else 0
        dx = gradients[1 - above, : T * rows * B].reshape((T if j else 0, rows, B))
        time_loops.backward(layer[CELL], layer[INPUTS], H, B, x, before[j, 0, :n], before[j, 1, :n],
                            _mask(masks, layer, first, T, STEPS, place), never, memory[layer[TURNED] : layer[SUMS]],
                            memory[layer[STATES] :][: T * n], memory[layer[CS] : layer[GATES]],
                            memory[layer[GATES] : layer[END]], given, past[j, 0, :n], past[j, 1, :n], dx,
                            windows[:0], windows[:0], memory[layer[SUMS] : layer[STATES]], scratch)  # fmt: skip
        above = 1 - above


# What an update is, beside its arrays: padded batch; two numbers from `HEADS`, one from `RULES` and from `CLIPS`; the
# place of the masks; whether the signal, and the targets, hold symbols; rows from one step of a window to the next;
# updates done, this one included; the first steps that do not count; how many are read without a gradient; after how
# many the state is kept (0: it is not); whether it begins with the kept one; the multiple of steps, at which segments
# end too, that no gradient passes (0: it passes all)
BATCH, ACTIVATION, LOSS, RULE, HOW, PLACE, SYMBOLS, STRIDE, COUNT, SKIP, BURN_IN, KEEP, CARRIED, CUT = range(14)
# Where a thread's memory holds windows, wanted answers and which of them count, gradients, states (those that each
# segment began with, the present ones, and their gradients), scratch memory and the gradient of the weights.
WINDOWS, WANTED, COUNTED, GRADIENTS, BEFORE, STATE, PAST, SCRATCH, GRADIENT = range(9)


@njit(**ALLOCATING)
def _read(windows, r, first, plan, signal, begins, noise, mask):
    """Windows with their noise and mask."""
    _cut(windows, signal, begins[r], first, plan[STRIDE], plan[SYMBOLS])
    if noise.size:
        _add(windows, noise[r], first, 0, windows.shape[1])
    if mask.size:
        for t in range(len(windows)):
            for b in range(begins.shape[1]):
                for c in range(windows.shape[1]):
                    windows[t, c, b] *= mask[r, b, first + t, c]


@njit(**ALLOCATING)
def _aim(wanted, counted, r, first, plan, begins, aims, targets, flags):
    """The targets of the readout's answers, in blocks, and which of these count; without `aims` those at every step."""
    counted[:] = 0
    if len(aims):
        wanted[:] = 0
        for b in range(aims.shape[1]):
            counted[0, b] = 1
            for k in range(aims.shape[2]):
                wanted[0, k, b] = aims[r, b, k]
        return
    _cut(wanted, targets, begins[r], first, plan[STRIDE], plan[SYMBOLS])
    for t in range(max(0, plan[SKIP] - first), len(counted)):
        for b in range(begins.shape[1]):
            counted[t, b] = flags[begins[r, b] + plan[STRIDE] * (first + t)] if len(flags) else ONE


@njit(**FAST)
def _total(r, T, plan, begins, aims, flags):
    """How many answers count, at least 1."""
    if len(aims) or not len(flags):
        return begins.shape[1] * (1 if len(aims) else T - plan[SKIP])
    total = 0
    for b in range(begins.shape[1]):
        for t in range(plan[SKIP], T):
            total += flags[begins[r, b] + plan[STRIDE] * t]
    return max(1, total)


@compiled(
    "void(i8[::1],i8[:,::1],i8[:,::1],i8[::1],i8[::1],i8[::1],f4[:,::1],i8[:,:],f4[:,:,:],f4[:,::1],b1[::1],"
    "f4[:,::1],f4[:,::1],f4[:,::1],f4[:,::1],f8[:,::1],f4[::1],i8[::1],f4[:,:,:,:],f4[:,:,:,:],f4[:,:,:,:],"
    "f4[:,:,:,:,::1],f4[:,:,:,::1],b1[:,:],f4[:,::1],f4[:,::1])",
    **ALLOCATING,
)
def update(counter, network, tensors, segments, plan, pieces, signal, begins, aims, targets, flags, flat, one, two,
           decay, numbers, limits, frozen, noise, between, dropped, masks, kept, never, memory, out):  # fmt: skip
    """One update of every run that this thread takes from the counter.

    Args:
        counter: The next run and the next thread's number, see `rnntips.engine.threads.over_runs`.
        network: (layers, 16), see above.
        tensors: First column of each parameter in `flat`, and the one after its last.
        segments: Step at which each segment of time begins, and the number of steps; one begins after the burn-in.
        plan, pieces: See above.
        signal: (L, C), the signals of all runs, or (L, 1) symbols; windows begin at `begins` (R, batch).
        aims: Targets of the windows' last steps (R, batch, K), of size 0 if there is one at every step, in
            `targets` (L, K) or (L, 1); `flags` (L,) says which of these count, and has size 0 if all do.
        flat, one, two: Weights and the optimizer's averages, (R, P or more).
        decay, numbers: See `numba_rules.step`, (R, P) and (R, 5).
        limits: Of clipping, (R,).
        frozen: How many of a run's first weights stay as they are, (R,).
        noise, between: On the inputs (R, batch, T, C), on the layers' outputs (R, batch, T, ΣH), or of size 0.
        dropped, masks: Masks of the inputs (R, batch, T, C), or of size 0; of layers, (R, masks, T or 1, H, B).
        kept: States between updates, (R, layers, 2, n).
        never: A reset of size 0.
        memory: Of each thread.
        out: Gets the loss, the gradient's norm before clipping, and the step's norm over the weights', (R, 3).
    """
    mine, B, L, P = memory[take(counter, 1)], plan[BATCH], len(network), tensors[-1, 1]
    S, T, n = len(segments) - 1, segments[-1], kept.shape[3]
    C, K, high, most = network[0, INPUTS], network[-1, WIDTH], network[-1, HIGH], 0
    for s in range(S):
        most = max(most, segments[s + 1] - segments[s])
    windows = mine[pieces[WINDOWS] :][: most * C * B].reshape((most, C, B))
    answers = 1 if len(aims) else most
    wanted = mine[pieces[WANTED] :][: answers * K * B].reshape((answers, K, B))
    counted = mine[pieces[COUNTED] :][: answers * B].reshape((answers, B))
    gradients = mine[pieces[GRADIENTS] : pieces[BEFORE]].reshape((2, -1))
    before = mine[pieces[BEFORE] :][: S * L * 2 * n].reshape((S, L, 2, n))
    state = mine[pieces[STATE] :][: L * 2 * n].reshape((L, 2, n))
    past = mine[pieces[PAST] :][: L * 2 * n].reshape((L, 2, n))
    usual = flush(FLUSH)
    scratch, gradient = mine[pieces[SCRATCH] : pieces[GRADIENT]], mine[pieces[GRADIENT] :][:P]
    r = take(counter, 0)
    while r < len(flat):
        weights, own = flat[r, :P], masks[r if len(masks) > 1 else 0]
        extra = between[r if len(between) > 1 else 0]
        for j in range(L):
            layer = network[j]
            time_loops.pack(mine[layer[PANELS] : layer[TURNED]], mine[layer[TURNED] : layer[SUMS]],
                            *_weights(weights, tensors, layer), layer[WIDTH], layer[HIGH], layer[CELL])  # fmt: skip
            mine[layer[SUMS] : layer[STATES]] = 0
        state[:] = 0
        if plan[CARRIED]:
            copy(state, 0, state.size, kept, r * state.size, 1, state.size)
        for s in range(S):
            first, steps = segments[s], segments[s + 1] - segments[s]
            copy(before, s * state.size, state.size, state, 0, 1, state.size)
            _read(windows[:steps], r, first, plan, signal, begins, noise, dropped)
            _forward(mine, network, windows[:steps], B, state, own, plan[PLACE], extra, first, s == S - 1, never,
                     scratch)  # fmt: skip
            if first < plan[KEEP] <= first + steps:
                _keep(kept[r], mine, network, plan[KEEP] - first, B)
        past[:] = 0
        share, total = ONE / np.float32(_total(r, T, plan, begins, aims, flags)), 0.0
        for s in range(S - 1, -1, -1):
            first, steps = segments[s], segments[s + 1] - segments[s]
            if first < plan[BURN_IN]:
                break
            now, last = windows[:steps], s == S - 1
            if plan[CUT] and segments[s + 1] % plan[CUT] == 0:
                past[:] = 0
            if not last:
                copy(state, 0, state.size, before, s * state.size, 1, state.size)
                _read(now, r, first, plan, signal, begins, noise, dropped)
                _forward(mine, network, now, B, state, own, plan[PLACE], extra, first, False, never, scratch)
            if last or not len(aims):
                some = 1 if len(aims) else steps
                _aim(wanted[:some], counted[:some], r, first, plan, begins, aims, targets, flags)
                total += loss(plan[ACTIVATION], plan[LOSS],
                              mine[network[-1, OUT] :][: some * high * B].reshape((some, high, B)),
                              gradients[0, : some * high * B].reshape((some, high, B)), wanted[:some],
                              counted[:some], share)  # fmt: skip
            _backward(mine, network, now, B, before[s], own, plan[PLACE], first, last, gradients, past, never,
                      scratch)  # fmt: skip
        for j in range(L):
            layer = network[j]
            time_loops.unpack(mine[layer[SUMS] : layer[STATES]], *_weights(gradient, tensors, layer), layer[WIDTH],
                              layer[HIGH], layer[CELL])  # fmt: skip
        gradient[: frozen[r]] = 0
        if plan[LOSS] == ROOT:
            total = np.sqrt(total)
            slope = np.float32(0) if total == 0 else np.float32(0.5 / total)  # 0: no answer counts
            for i in range(P):
                gradient[i] *= slope
        out[r, 0], out[r, 1] = total, norm(gradient)
        clip(gradient, limits[r], plan[HOW], tensors)
        step(plan[RULE], gradient, weights, one[r], two[r], decay[r], numbers[r], frozen[r], plan[COUNT])
        if plan[HOW] == WEIGHTS:
            cut(weights, limits[r])
        out[r, 2] = norm(gradient) / norm(weights)
        r = take(counter, 0)
    flush(usual)
