"""The heads of `rnntips.engine.losses` for one run, compiled: the loss of its answers, and their gradient."""

import numpy as np

from rnntips.engine.compiling import FAST, njit

__all__ = ["HEADS", "loss"]

LINEAR, SOFTMAX, SIGMOID, RELU = range(4)
SQUARED, ROOT, ABSOLUTE, HUBER, LIKELIHOOD, BINARY = range(6)
HEADS = {  # name of a head → what is done to the outputs, and the loss of what comes of it
    "linear+mse": (LINEAR, SQUARED), "softmax+nll": (LINEAR, LIKELIHOOD), "softmax+mse": (SOFTMAX, SQUARED),
    "softmax twice+nll": (SOFTMAX, LIKELIHOOD), "sigmoid+bce": (LINEAR, BINARY), "linear+rmse": (LINEAR, ROOT),
    "linear+mae": (LINEAR, ABSOLUTE), "linear+huber": (LINEAR, HUBER), "sigmoid+mse": (SIGMOID, SQUARED),
    "relu+mse": (RELU, SQUARED),
}  # fmt: skip
ZERO, ONE = np.float32(0), np.float32(1)


@njit(**FAST)
def _log_softmax(rows):
    """The logarithm of the softmax of each column, in place of rows (K, B)."""
    for b in range(rows.shape[1]):
        top, total = rows[0, b], ZERO
        for k in range(1, len(rows)):
            top = rows[k, b] if rows[k, b] > top else top
        for k in range(len(rows)):  # minus the largest, so that no exponential overflows
            total += np.exp(rows[k, b] - top)
        rest = np.log(total)
        for k in range(len(rows)):
            rows[k, b] = rows[k, b] - top - rest


@njit(**FAST)
def _activate(kind, rows):
    if kind == SOFTMAX:
        _log_softmax(rows)
    for k in range(len(rows)):
        for b in range(rows.shape[1]):
            value = rows[k, b]
            if kind == SOFTMAX:
                rows[k, b] = np.exp(value)
            elif kind == SIGMOID:
                rows[k, b] = ONE / (ONE + np.exp(-value))
            elif kind == RELU:
                rows[k, b] = value if value > ZERO else ZERO


@njit(**FAST)
def _differentiate(kind, rows, d):
    """Turn the gradient `d` of an activation's results `rows` (K, B) into that of what it was applied to."""
    for b in range(rows.shape[1] if kind != LINEAR else 0):
        mean = ZERO
        for k in range(len(rows) if kind == SOFTMAX else 0):
            mean += rows[k, b] * d[k, b]
        for k in range(len(rows)):
            y = rows[k, b]
            if kind == SOFTMAX:
                d[k, b] = (d[k, b] - mean) * y
            elif kind == SIGMOID:
                d[k, b] *= y * (ONE - y)
            elif not y > ZERO:
                d[k, b] = 0


@njit(**FAST)
def _one(kind, y, target):
    """Loss of one value, and its derivative."""
    error = y - target
    if kind == ABSOLUTE:
        return abs(error), np.sign(error)
    if kind == HUBER:
        far = abs(error) > ONE
        return (abs(error) - np.float32(0.5), np.sign(error)) if far else (np.float32(0.5) * error * error, error)
    if kind == BINARY:  # of a logit, in a form that no exponential overflows
        small = np.exp(-abs(y))
        positive = ONE / (ONE + small) if y > ZERO else small / (ONE + small)
        return max(y, ZERO) - y * target + np.log(ONE + small), positive - target
    return error * error, 2 * error


@njit(**FAST)
def loss(activation, kind, outputs, d, wanted, counted, share):
    """The loss of a segment of time, in float64.

    Args:
        activation, kind: From `HEADS`.
        outputs: Blocks (T, K or more, B); spoilt.
        d: Gets their gradient, (T, K or more, B).
        wanted: Targets, (T, K, B).
        counted: 1 for an answer that counts, else 0, (T, B).
        share: One over the number of those in the whole mini-batch.

    For `ROOT` it is the mean square, whose root is taken by who knows all segments.
    """
    K, B = wanted.shape[1], wanted.shape[2]
    total, each = 0.0, share if kind == LIKELIHOOD else share / np.float32(K)
    d[:] = 0
    for t in range(len(outputs)):
        y, gradient = outputs[t, :K], d[t, :K]
        _activate(activation, y)
        if kind == LIKELIHOOD:
            for k in range(K):
                for b in range(B):
                    gradient[k, b] = y[k, b]
            _log_softmax(gradient)
            for k in range(K):
                for b in range(B):
                    likely, aim = gradient[k, b], wanted[t, k, b]
                    gradient[k, b] = each * (np.exp(likely) - aim) if counted[t, b] else ZERO
                    if counted[t, b] and aim:
                        total -= np.float64(each * aim * likely)
        else:
            for k in range(K):
                for b in range(B):
                    if counted[t, b]:
                        value, slope = _one(kind, y[k, b], wanted[t, k, b])
                        total += np.float64(each * value)
                        gradient[k, b] = each * slope
        _differentiate(activation, y, gradient)
    return total
