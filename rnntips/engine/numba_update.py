"""A whole update in compiled code, one run after the other: windows, layers, loss, gradients, clipping, optimizer.

A run's values stay in its core's cache during the update, and Python is called once per update. It serves networks of
recurrent layers with a linear readout of the last state, trained by squared error or negative log likelihood.
`rnntips.engine.update` chooses it where it serves, and does the same in torch for all other networks.
"""

import numpy as np

from rnntips.engine import time_loops
from rnntips.engine.compiling import compiled, njit
from rnntips.engine.gates import FAST, LSTM
from rnntips.engine.tiles import take

__all__ = ["ADAM", "CLIPS", "HEADS", "RULES", "SGD", "update", "workspace"]

RULES = SGD, RMSPROP, ADAM, NESTEROV = range(4)
CLIPS = GLOBAL, TENSOR, VALUE, WEIGHTS = range(4)
HEADS = MSE, NLL = range(2)
EPS = np.float32(1e-8)
ONE = np.float32(1)


@njit(**FAST)
def _view(values, T, H, B, batch, width):
    """A view (batch, T, width) of values that are stored as (T, H, B)."""
    return values[: T * H * B].reshape((T, H, B)).transpose((2, 0, 1))[:batch, :, :width]


@njit(**FAST)
def _squared(last, weight, bias, target, dlast, dweight, dbias, batch, B):
    """Mean squared error of last @ weight + bias, and its gradients; `last` and `dlast` are blocks (H, B)."""
    dlast[:] = 0
    loss, share = np.float32(0), ONE / np.float32(batch * len(bias))
    for o in range(len(bias)):
        dbias[o] = 0
        for b in range(batch):
            error = bias[o] - target[b, o]
            for k in range(len(weight)):
                error += last[k * B + b] * weight[k, o]
            loss += error * error * share
            error *= 2 * share
            dbias[o] += error
            for k in range(len(weight)):
                dlast[k * B + b] += error * weight[k, o]
                dweight[k, o] = (dweight[k, o] if b else np.float32(0)) + error * last[k * B + b]
    return loss


@njit(**FAST)
def _likelihood(last, weight, bias, target, dlast, dweight, dbias, logits, batch, B):
    """Mean negative log likelihood of softmax(last @ weight + bias), and its gradients.

    `last` and `dlast` are blocks (H, B); `logits` is scratch memory, (outputs, B).
    """
    dlast[:] = 0
    loss, share, outputs = np.float32(0), ONE / np.float32(batch), len(bias)
    for o in range(outputs):
        for b in range(batch):
            logits[o * B + b] = bias[o]
        for k in range(len(weight)):
            for b in range(batch):
                logits[o * B + b] += last[k * B + b] * weight[k, o]
    for b in range(batch):
        top, total = logits[b], np.float32(0)
        for o in range(1, outputs):
            top = logits[o * B + b] if logits[o * B + b] > top else top
        for o in range(outputs):  # minus the largest, so that no exponential overflows
            logits[o * B + b] -= top
            total += np.exp(logits[o * B + b])
        rest = np.log(total)
        for o in range(outputs):
            likely = logits[o * B + b] - rest
            loss -= share * target[b, o] * likely
            logits[o * B + b] = share * (np.exp(likely) - target[b, o])
    for o in range(outputs):
        dbias[o] = 0
        for b in range(batch):
            dbias[o] += logits[o * B + b]
        for k in range(len(weight)):
            total = np.float32(0)
            for b in range(batch):
                total += logits[o * B + b] * last[k * B + b]
            dweight[k, o] = total
            for b in range(batch):
                dlast[k * B + b] += logits[o * B + b] * weight[k, o]
    return loss


@njit(**FAST)
def _loss(head, last, weight, bias, target, dlast, dweight, dbias, logits, batch, B):
    if head == NLL:
        return _likelihood(last, weight, bias, target, dlast, dweight, dbias, logits, batch, B)
    return _squared(last, weight, bias, target, dlast, dweight, dbias, batch, B)


@njit(**FAST)
def _norm(values):
    total = 0.0
    for i in range(values.size):
        total += np.float64(values[i]) * np.float64(values[i])
    return np.float32(np.sqrt(total))


@njit(**FAST)
def _cut(values, limit):
    for i in range(values.size):
        v = values[i]
        values[i] = limit if v > limit else -limit if v < -limit else v  # NaN stays NaN


@njit(**FAST)
def _clip(gradient, limit, how, tensors):
    """See `rnntips.optimizers.clip_gradient`."""
    if how == VALUE:
        _cut(gradient, limit)
    if how == VALUE or how == WEIGHTS:
        return
    for j in range(len(tensors) if how == TENSOR else 1):
        part = gradient[tensors[j, 0] : tensors[j, 1]] if how == TENSOR else gradient
        scale = limit / (_norm(part) + np.float32(1e-6))
        if not scale >= ONE:
            for i in range(part.size):
                part[i] *= scale


@njit(**FAST)
def _step(rule, gradient, weights, one, two, lr, momentum, count):
    """Change the weights by a rule of `rnntips.optimizers`. Afterwards `gradient` holds the step."""
    first, second = np.float32(1 / (1 - 0.9**count)), np.float32(np.sqrt(1 - 0.999**count))
    if rule == SGD:
        for i in range(gradient.size):
            one[i] = momentum * one[i] + gradient[i]
            gradient[i] = -lr * one[i]
    elif rule == NESTEROV:
        for i in range(gradient.size):
            one[i] = momentum * one[i] + gradient[i]
            gradient[i] = -lr * (gradient[i] + momentum * one[i])
    elif rule == RMSPROP:
        for i in range(gradient.size):
            one[i] = np.float32(0.99) * one[i] + np.float32(0.01) * gradient[i] * gradient[i]
            two[i] = momentum * two[i] + gradient[i] / (np.sqrt(one[i]) + EPS)
            gradient[i] = -lr * two[i]
    else:
        for i in range(gradient.size):
            one[i] = np.float32(0.9) * one[i] + np.float32(0.1) * gradient[i]
            two[i] = np.float32(0.999) * two[i] + np.float32(0.001) * gradient[i] * gradient[i]
            gradient[i] = -lr * first * one[i] / (np.sqrt(two[i]) / second + EPS)
    for i in range(gradient.size):
        weights[i] += gradient[i]


@njit(**FAST)
def _parts(row, tensors, layer):
    """A layer's input weight and bias, recurrent weight and bias in one run's weights or gradient."""
    at = 4 * layer
    columns = tensors[at + 2, 1] - tensors[at + 2, 0]
    return (row[tensors[at, 0] : tensors[at, 1]].reshape((-1, columns)), row[tensors[at + 2, 0] : tensors[at + 2, 1]],
            row[tensors[at + 1, 0] : tensors[at + 1, 1]].reshape((-1, columns)),
            row[tensors[at + 3, 0] : tensors[at + 3, 1]])  # fmt: skip


def workspace(threads, cell, H, B, T, layers, C, outputs, P) -> tuple[np.ndarray, ...]:
    """Scratch arrays of every thread, allocated once: writing to new memory takes longer than the arithmetic."""
    K, Q = time_loops.rows(cell, max(C, H), H)
    n = H * B
    deep = [(layers, K * Q * H), (layers, T * n), (layers, T * n if cell == LSTM else 0),
            (layers, T * Q * n if Q > 1 else 0)]  # fmt: skip
    flat = [T * C * B, T * n, n, n, n, K * Q * H, time_loops.room(cell, max(C, H), H, B), outputs * B, P]
    return tuple(np.zeros((threads, *np.atleast_1d(shape)), np.float32) for shape in deep + flat)


@compiled(
    "void(i8[::1],i8,i8,i8,i8,i8,i8,i8,i8,i8,f4[:,::1],i8[:,::1],f4[:,:,::1],f4[:,::1],f4[:,::1],f4[:,::1],"
    "i8[:,::1],i8,i8,i8,f4[:,::1],f4[:,:,:],b1[:,:]," + 4 * "f4[:,:,::1]," + 9 * "f4[:,::1]," + "f4[:,::1])",
    **FAST
)  # fmt: skip
def update(counter, head, cell, H, B, T, layers, width, batch, at, signal, begins, targets, flat, one, two,
           tensors, rule, how, count, hyper, nothing, never, packed, states, cs, gates, windows, between, zero, dh, dc,
           sums, scratch, logits, gradient, out):  # fmt: skip
    """One update of every run that this thread takes from the counter.

    Args:
        counter: The next run and the next thread's number, see `rnntips.engine.threads.over_runs`.
        head, rule, how: Numbers from `HEADS`, `RULES` and `CLIPS`.
        at: Column of `begins` (R, U·B) and `targets` (R, U·B, outputs) where this update's mini-batch begins.
        signal: (L, C), the signals of all runs; windows begin at `begins`.
        flat, one, two: Weights and the optimizer's averages, (R, P).
        tensors: First column of each parameter in `flat`, and the one after its last; `flat` may be wider.
        count: Updates done, this one included.
        hyper: Learning rate, momentum, weight decay and limit of clipping, (R, 4).
        nothing, never: Empty arrays for arguments that are not used, such as a mask or a reset.
        packed, … gradient: See `workspace`.
        out: Gets the loss, the gradient's norm before clipping, and the step's norm over the weights', (R, 3).
    """
    mine, C, P, n = take(counter, 1), signal.shape[1], tensors[-1, 1], H * B
    packed, states, cs, gates = packed[mine], states[mine], cs[mine], gates[mine]
    zero, dh, dc, sums, scratch = zero[mine], dh[mine], dc[mine], sums[mine], scratch[mine]
    logits, gradient = logits[mine], gradient[mine]
    first, below = _view(windows[mine], T, C, B, batch, C), _view(between[mine], T, H, B, batch, width)
    r = take(counter, 0)
    while r < len(flat):
        weights = flat[r, :P]
        for b in range(batch):
            for t in range(T):
                for c in range(C):
                    first[b, t, c] = signal[begins[r, at + b] + t, c]
        for j in range(layers):
            x = _view(states[j - 1], T, H, B, batch, width) if j else first
            time_loops.pack(packed[j], *_parts(weights, tensors, j), width, H, cell)
            time_loops.forward(cell, H, B, x, nothing, width, zero, zero, nothing, never, packed[j], states[j], cs[j],
                          gates[j], scratch)  # fmt: skip
        (w0, w1), (b0, b1) = tensors[-2], tensors[-1]
        out[r, 0] = _loss(head, states[-1, -n:], weights[w0:w1].reshape((width, -1)), weights[b0:b1],
                          targets[r, at:], dh, gradient[w0:w1].reshape((width, -1)), gradient[b0:b1], logits, batch,
                          B)  # fmt: skip
        for j in range(layers - 1, -1, -1):
            x = _view(states[j - 1], T, H, B, batch, width) if j else first
            dc[:] = 0
            sums[:] = 0
            time_loops.backward(cell, H, B, x, width, zero, zero, nothing, never, packed[j], states[j], cs[j], gates[j],
                           below if j < layers - 1 else nothing, dh, dc, below if j else nothing, nothing, nothing,
                           sums, scratch)  # fmt: skip
            dh[:] = 0
            time_loops.unpack(sums, *_parts(gradient, tensors, j), width, H, cell)
        lr, momentum, decay, limit = hyper[r, 0], hyper[r, 1], hyper[r, 2], hyper[r, 3]
        out[r, 1] = _norm(gradient)
        _clip(gradient, limit, how, tensors)
        for i in range(gradient.size):
            gradient[i] += decay * weights[i]
        _step(rule, gradient, weights, one[r, :P], two[r, :P], lr, momentum, count)
        if how == WEIGHTS:
            _cut(weights, limit)
        out[r, 2] = _norm(gradient) / _norm(weights)
        r = take(counter, 0)
