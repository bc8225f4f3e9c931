"""Exercises of the batch size lesson: count updates, and predict how noisy a batch's gradient is."""

from math import ceil

import numpy as np

from rnntips.exercises._exercise import Exercise

__all__ = ["how_many", "noise_of"]


def _solution_how_many(windows, batch_size, epochs):
    return epochs * ceil(windows / batch_size)


def _judge_how_many(answer) -> str | None:
    for windows, size, epochs in [(1000, 10, 5), (1000, 1000, 5), (1000, 300, 2), (7, 2, 4), (5, 8, 2)]:
        mine, right = answer(windows, size, epochs), _solution_how_many(windows, size, epochs)
        if isinstance(mine, bool) or not isinstance(mine, int | float | np.number):
            return f"return a number of updates, not {type(mine).__name__}."
        if mine != right:
            case = f"{windows} windows in batches of {size}, {epochs} epochs"
            return f"{case}: {_diagnose_how_many(windows, size, epochs, mine)}"
    return None


def _diagnose_how_many(windows: int, size: int, epochs: int, mine: float) -> str:
    known = [
        (ceil(windows / size), "that is one epoch. There are several."),
        (windows * epochs, "that counts windows. An update takes a whole batch of them."),
        (epochs * size, "that multiplies epochs by the batch size. How many batches does an epoch have?"),
        (epochs, "that counts epochs. How many batches does an epoch have?"),
        (epochs * (windows // size), "the windows left over at the end of an epoch are a smaller batch. Count it too."),
        (epochs * windows / size, "there is no part of an update. What is left over at the end is a batch as well."),
        (ceil(epochs * windows / size), "every epoch ends with its own smaller batch: round up before you multiply."),
        (round(epochs * windows / size), "every epoch ends with its own smaller batch: round up before you multiply."),
        (epochs * (windows // size + 1), "nothing is left over where the batch size divides the number of windows."),
        (size / windows, "the fraction stands upside down."),
        (epochs * size / windows, "the fraction stands upside down."),
    ]
    for value, message in known:
        if np.isclose(mine, value):
            return message
    return f"that makes {_solution_how_many(windows, size, epochs)} updates, and yours is {mine:g}."


how_many = Exercise(
    "how_many",
    _judge_how_many,
    hints=(
        "How many batches does one epoch have? Try 7 windows in batches of 2 on paper.",
        "PyTorch's DataLoader gives a smaller batch at the end of an epoch if windows are left over.",
        "Round windows / batch_size up with math.ceil, then multiply by the epochs.",
    ),
    solution=_solution_how_many,
)


def _solution_noise_of(gradients, batch_size):
    mean = gradients.mean(axis=0)
    spread = ((gradients - mean) ** 2).sum(axis=1).mean()
    return np.sqrt(spread / batch_size) / np.sqrt((mean**2).sum())


def _judge_noise_of(answer) -> str | None:
    for seed, (size, length, scatter) in enumerate([(1, 1.0, 1.0), (4, 3.0, 0.5), (100, 0.2, 2.0)]):
        rng = np.random.default_rng(seed)
        gradients = length * rng.normal(0, 1, 6) + scatter * rng.normal(0, 1, (60, 6))
        returned = answer(gradients.copy(), size)
        try:
            mine = float(returned)
        except (TypeError, ValueError):
            return f"return one number, not {type(returned).__name__}."
        if not any(np.isclose(mine, right, rtol=1e-6) for right in _both_divisors(gradients, size)):
            return f"with batches of {size}: {_diagnose_noise_of(gradients, size, mine)}"
    return None


def _both_divisors(gradients: np.ndarray, size: int) -> list[float]:
    """Both usual divisors of a variance, n and n − 1, are right."""
    n, right = len(gradients), _solution_noise_of(gradients, size)
    return [right, right * np.sqrt(n / (n - 1))]


def _diagnose_noise_of(gradients: np.ndarray, size: int, mine: float) -> str:
    right = _solution_noise_of(gradients, size)
    mean, entries = gradients.mean(0), np.sqrt(gradients.shape[1])
    norm = np.sqrt((mean**2).sum())
    long = np.sqrt((gradients**2).sum(1).mean() / size) / norm
    known = [
        (right * np.sqrt(size), "that is the noise of a single window. A mean of several has less."),
        (right / np.sqrt(size), "that falls as 1 / batch_size. Squares do; noise falls with the root."),
        (right * size, "noise should fall with the batch size, and yours grows."),
        (right**2, "that is squared. Take the root at the end."),
        (right**2 * norm, "the spread is squared and the gradient is not. Take the spread's root."),
        (right * norm, "divide by the length of the mean gradient."),
        (right / entries, "that averages over the weights. The length of a vector adds their squares up."),
        (right * entries, "the mean gradient's length adds up squares over the weights; yours averages them."),
        (long, "subtract the mean gradient first: noise is the distance from it."),
        (right * np.sqrt(len(gradients)), "that adds up over the windows. Average over them."),
        (1 / right, "that is gradient over noise. Turn it over."),
    ]
    for value, message in known:
        if np.isclose(mine, value, rtol=1e-6):
            return message
    return f"the noise is {right:.4g} gradients, and yours is {mine:.4g}."


noise_of = Exercise(
    "noise_of",
    _judge_noise_of,
    hints=(
        "Start with batches of one: how far is a row from the mean of all rows?",
        "Square the distances, (gradients - mean) ** 2, add them up over the weights, average over the windows.",
        "The mean of batch_size windows has that over batch_size. Take the root, and divide by the mean's length.",
    ),
    solution=_solution_noise_of,
)
