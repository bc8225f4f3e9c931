"""Exercises of the batch size lesson: count updates, and predict how noisy a batch's gradient is."""

from math import ceil

import numpy as np

from rnntips.notebook.exercise import Exercise

__all__ = ["how_many", "noise_of"]


def _how_many(windows, batch_size, epochs):
    return epochs * ceil(windows / batch_size)


how_many = Exercise(
    "how_many", _how_many, cases=[(1000, 10, 5), (1000, 1000, 5), (1000, 300, 2), (7, 2, 4), (5, 8, 2)],
    hints=("How many batches does one epoch have? Try 7 windows in batches of 2 on paper.",
           "PyTorch's DataLoader gives a smaller batch at the end of an epoch if windows are left over.",
           "Round windows / batch_size up with math.ceil, then multiply by the epochs."),
    mistakes=(  # of n windows, batch size b, and e epochs
        (lambda n, b, e: ceil(n / b), "that is one epoch. There are several."),
        (lambda n, b, e: n * e, "that counts windows. An update takes a whole batch of them."),
        (lambda n, b, e: e * b, "that multiplies epochs by the batch size. How many batches does an epoch have?"),
        (lambda n, b, e: e, "that counts epochs. How many batches does an epoch have?"),
        (lambda n, b, e: e * (n // b),
         "the windows left over at the end of an epoch are a smaller batch. Count it too."),
        (lambda n, b, e: e * n / b, "there is no part of an update. What is left over at the end is a batch as well."),
        (lambda n, b, e: ceil(e * n / b), lambda n, b, e: round(e * n / b),
         "every epoch ends with its own smaller batch: round up before you multiply."),
        (lambda n, b, e: e * (n // b + 1), "nothing is left over where the batch size divides the number of windows."),
        (lambda n, b, e: b / n, lambda n, b, e: e * b / n, "the fraction stands upside down.")),
    kind="return a number of updates, not {type}.",
    case="{windows} windows in batches of {batch_size}, {epochs} epochs",
    otherwise="that makes {right} updates, and yours is {yours}.",
)  # fmt: skip


def _noise_of(gradients, batch_size):
    mean = gradients.mean(axis=0)
    spread = ((gradients - mean) ** 2).sum(axis=1).mean()
    return np.sqrt(spread / batch_size) / np.sqrt((mean**2).sum())


def _cases():
    for seed, (size, length, scatter) in enumerate([(1, 1.0, 1.0), (4, 3.0, 0.5), (100, 0.2, 2.0)]):
        rng = np.random.default_rng(seed)
        yield length * rng.normal(0, 1, 6) + scatter * rng.normal(0, 1, (60, 6)), size


def _length(gradients):
    return np.linalg.norm(gradients.mean(0))


noise_of = Exercise(
    "noise_of", _noise_of, _cases,
    hints=("Start with batches of one: how far is a row from the mean of all rows?",
           "Square the distances, (gradients - mean) ** 2, add them up over the weights, average over the windows.",
           "The mean of batch_size windows has that over batch_size. Take the root, and divide by the mean's length."),
    accept=(lambda g, b: _noise_of(g, b) * np.sqrt(len(g) / (len(g) - 1)),),  # the other divisor of a variance
    mistakes=(  # of gradients g and batch size b
        (lambda g, b: _noise_of(g, 1), "that is the noise of a single window. A mean of several has less."),
        (lambda g, b: _noise_of(g, 1) / b, "that falls as 1 / batch_size. Squares do; noise falls with the root."),
        (lambda g, b: _noise_of(g, 1 / b), "noise should fall with the batch size, and yours grows."),
        (lambda g, b: _noise_of(g, b) ** 2, "that is squared. Take the root at the end."),
        (lambda g, b: _noise_of(g, b) ** 2 * _length(g),
         "the spread is squared and the gradient is not. Take the spread's root."),
        (lambda g, b: _noise_of(g, b) * _length(g), "divide by the length of the mean gradient."),
        (lambda g, b: np.sqrt(((g - g.mean(0)) ** 2).mean() / b) / _length(g),
         "that averages over the weights. The length of a vector adds their squares up."),
        (lambda g, b: _noise_of(g, b) * np.sqrt(g.shape[1]),
         "the mean gradient's length adds up squares over the weights; yours averages them."),
        (lambda g, b: np.sqrt((g**2).sum(1).mean() / b) / _length(g),
         "subtract the mean gradient first: noise is the distance from it."),
        (lambda g, b: _noise_of(g, b / len(g)), "that adds up over the windows. Average over them."),
        (lambda g, b: 1 / _noise_of(g, b), "that is gradient over noise. Turn it over.")),
    case="with batches of {batch_size}", otherwise="the noise is {right} gradients, and yours is {yours}.",
)  # fmt: skip
