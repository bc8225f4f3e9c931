"""Clipping and the rules of `rnntips.optimizers` for one run, compiled."""

import numpy as np

from rnntips.engine.compiling import FAST, njit
from rnntips.engine.tiles import squares

__all__ = ["CLIPS", "RULES", "clip", "cut", "norm", "step"]

RULES = "sgd", "rmsprop", "adam", "nesterov", "adamw", "adagrad", "adadelta"
SGD, RMSPROP, ADAM, NESTEROV, ADAMW, ADAGRAD, ADADELTA = range(7)
CLIPS = "global", "tensor", "value", "weights"
GLOBAL, TENSOR, VALUE, WEIGHTS = range(4)
ONE = np.float32(1)
# Of a sum of two products, either can be fused with the addition. LLVM decides differently in a loop of vectors and for
# the values that are left over, and how many those are depends on the processor.
UNFUSED = FAST | {"fastmath": FAST["fastmath"] - {"contract"}}


@njit(**FAST)
def norm(values):
    """The root of the sum of squares, taken in float64."""
    whole = values.size // 16
    total = squares(values, whole) if whole else 0.0
    for i in range(16 * whole, values.size):
        total += np.float64(values[i]) * np.float64(values[i])
    return np.float32(np.sqrt(total))


@njit(**FAST)
def cut(values, limit):
    for i in range(values.size):
        v = values[i]
        values[i] = limit if v > limit else -limit if v < -limit else v  # NaN stays NaN


@njit(**FAST)
def clip(gradient, limit, how, tensors):
    """See `rnntips.optimizers.clip_gradient`."""
    if how == VALUE:
        cut(gradient, limit)
    if how == VALUE or how == WEIGHTS:
        return
    for j in range(len(tensors) if how == TENSOR else 1):
        part = gradient[tensors[j, 0] : tensors[j, 1]] if how == TENSOR else gradient
        scale = limit / (norm(part) + np.float32(1e-6))
        if not scale >= ONE:
            for i in range(part.size):
                part[i] *= scale


@njit(**UNFUSED)
def step(rule, gradient, weights, one, two, decay, numbers, frozen, count):
    """Change the weights by a rule of `rnntips.optimizers`. Afterwards `gradient` holds the step.

    Args:
        one, two: Its running averages.
        decay: Weight decay of each weight, (P,).
        numbers: Learning rate, momentum, β1, β2 and ε, (5,) float64.
        frozen: How many of the first weights stay as they are.
    """
    lr, momentum, eps = np.float32(numbers[0]), np.float32(numbers[1]), np.float32(numbers[4])
    beta1, beta2 = np.float32(numbers[2]), np.float32(numbers[3])
    rest1, rest2 = np.float32(1 - numbers[2]), np.float32(1 - numbers[3])
    if rule != ADAMW:
        for i in range(gradient.size):
            gradient[i] += decay[i] * weights[i]
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
            one[i] = beta2 * one[i] + rest2 * gradient[i] * gradient[i]
            two[i] = momentum * two[i] + gradient[i] / (np.sqrt(one[i]) + eps)
            gradient[i] = -lr * two[i]
    elif rule == ADAGRAD:
        for i in range(gradient.size):
            one[i] += gradient[i] * gradient[i]
            gradient[i] = -lr * gradient[i] / (np.sqrt(one[i]) + eps)
    elif rule == ADADELTA:
        for i in range(gradient.size):
            one[i] = beta2 * one[i] + rest2 * gradient[i] * gradient[i]
            change = gradient[i] * np.sqrt((two[i] + eps) / (one[i] + eps))
            two[i] = beta2 * two[i] + rest2 * change * change
            gradient[i] = -lr * change
    else:
        first = np.float32(1 / (1 - numbers[2] ** count))
        second = np.float32(np.sqrt(1 - numbers[3] ** count))
        for i in range(gradient.size):
            one[i] = beta1 * one[i] + rest1 * gradient[i]
            two[i] = beta2 * two[i] + rest2 * gradient[i] * gradient[i]
            gradient[i] = -lr * first * one[i] / (np.sqrt(two[i]) / second + eps)
        if rule == ADAMW:
            for i in range(gradient.size):
                gradient[i] -= lr * decay[i] * weights[i]
    gradient[:frozen] = 0
    for i in range(gradient.size):
        weights[i] += gradient[i]
