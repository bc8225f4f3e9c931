"""Exercises of the learning-rate lesson: a course of the rate, and the highest rate that a bowl allows."""

import math

import numpy as np

from rnntips.exercises._exercise import Exercise
from rnntips.schedule import planned

__all__ = ["course", "highest"]


def _solution(done, updates, lr, warmup):
    rise = min((done + 1) / warmup, 1)
    fall = (1 + math.cos(math.pi * done / updates)) / 2
    return lr * rise * fall


def _judge(answer) -> str | None:
    for lr, warmup, updates in ((0.03, 10, 100), (2.0, 30, 300), (1.0, 1, 7)):
        right = planned(f"warmup:{warmup}+cosine")
        mine = []
        for done in range(updates):
            returned = answer(done, updates, lr, warmup)
            try:
                mine.append(float(returned))
            except (TypeError, ValueError):
                return f"return one number, the rate of this update, not {type(returned).__name__}."
        rates = np.array([lr * right(done, updates) for done in range(updates)])
        if not np.allclose(mine, rates, rtol=1e-6, atol=1e-9 * lr):
            return _diagnose(np.array(mine), rates, lr, warmup, updates)
    return None


def _diagnose(mine: np.ndarray, right: np.ndarray, lr: float, warmup: int, updates: int) -> str:
    done = np.arange(updates)
    rise, fall = np.minimum((done + 1) / warmup, 1), (1 + np.cos(math.pi * done / updates)) / 2
    late = np.clip((done - warmup) / max(updates - warmup, 1), 0, 1)
    known = [
        (lr + 0 * fall, "the rate never changes."),
        (lr * rise, "it rises, and then it stays. The other half is missing."),
        (lr * fall, "it falls, but it does not rise first."),
        (rise * fall, "these are the factors. Multiply them by lr."),
        (lr * np.minimum(done / warmup, 1) * fall, "the first update has rate 0 and is lost. Count it: (done + 1)."),
        (lr * (done + 1) / warmup * fall, "the warm-up has no end: min(…, 1) stops it."),
        (lr * rise * np.cos(math.pi * done / updates),
         "the rate turns negative. A cosine goes from 1 to −1: add 1, and halve."),
        (lr * rise * (1 + np.cos(math.pi * done / updates)), "the wave begins at 2. Halve it."),
        (lr * rise * (1 + np.cos(2 * math.pi * done / updates)) / 2,
         "it falls, and comes back. Half a wave: π, not 2 π."),
        (lr * rise * (1 + np.cos(math.pi / 2 * done / updates)) / 2, "it ends half-way down: π, not π / 2."),
        (lr * rise * np.cos(math.pi / 2 * done / updates),
         "a quarter of a wave falls too, but half of one was asked for: (1 + cos(π …)) / 2."),
        (lr * rise * (1 - done / updates), "that is a straight line. Half a cosine was asked for."),
        (lr * rise * (1 + np.cos(math.pi * late)) / 2,
         "your wave begins after the warm-up. Here it runs over all updates, and both factors are multiplied."),
    ]  # fmt: skip
    for value, message in known:
        if np.allclose(mine, value, rtol=1e-6, atol=1e-9 * lr) and not np.allclose(value, right):
            return message
    off = int(np.argmax(~np.isclose(mine, right, rtol=1e-6, atol=1e-9 * lr)))
    return f"after {off} of {updates} updates, lr {lr:g}, warm-up {warmup}: {right[off]:.4g}; yours is {mine[off]:.4g}."


course = Exercise(
    "course",
    _judge,
    hints=(
        "Two factors between 0 and 1. Which one matters early, and which late?",
        "min((done + 1) / warmup, 1) rises. (1 + math.cos(…)) / 2 falls from 1 to 0.",
        "The cosine's angle goes from 0 to π: math.pi * done / updates. Return lr times both.",
    ),
    solution=_solution,
)


def _solution_highest(times, start):
    vector = start
    for _ in range(200):
        vector = vector / np.linalg.norm(vector)
        image = times(vector)
        sharpness, vector = vector @ image, image
    return 2 / sharpness


def _judge_highest(answer) -> str | None:
    for seed, values in enumerate([[5.0, 1.0, 0.5, 0.1], [40.0, 30.0, 2.0, 1.0, 0.0, 0.0], [0.02, 0.001, 0.0]]):
        rng = np.random.default_rng(seed)
        turn = np.linalg.qr(rng.normal(size=(len(values), len(values))))[0]
        matrix, asked = turn @ np.diag(values) @ turn.T, []

        def times(vector, matrix=matrix, asked=asked):
            asked.append(1)
            return matrix @ vector

        with np.errstate(over="ignore", invalid="ignore"):
            returned = answer(times, rng.normal(size=len(values)))
        try:
            mine = float(returned)
        except (TypeError, ValueError):
            return f"return one number, the highest rate, not {type(returned).__name__}."
        if not np.isclose(mine, 2 / max(values), rtol=0.01):
            return _diagnose_highest(mine, np.array(values), matrix, len(asked))
    return None


def _diagnose_highest(mine: float, values: np.ndarray, matrix: np.ndarray, products: int) -> str:
    top = values.max()
    if not products:
        return "times(vector) was never asked. It is all you can know of the bowl."
    if not np.isfinite(mine):
        return "the vector left the range of numbers. Divide it by its length before every product."
    known = [
        (top, "that is the sharpness. Steps of a bowl shrink as long as rate × sharpness is below 2."),
        (1 / top, "there a single step reaches the bottom. Steps shrink up to twice that rate."),
        (2 / values.mean(), "that is the mean bend. The steepest direction decides."),
        (2 / np.trace(matrix), "that is the sum of all bends. The steepest direction decides."),
        (2 / top**2, "the sharpness was squared: vector @ times(vector) has length 1 twice, and the matrix once."),
    ]
    for value, message in known:
        if np.isclose(mine, value, rtol=0.01):
            return message
    if mine > 2 / top:
        return f"the sharpness is {top:g}; yours is {2 / mine:.3g}. {products} products are too few, or lead elsewhere."
    return f"the highest rate is {2 / top:.4g}, and yours is {mine:.4g}."


highest = Exercise(
    "highest",
    _judge_highest,
    hints=(
        "What becomes of a vector that is multiplied by the same matrix again and again?",
        "It turns towards the steepest direction. Divide by its length each time, some 200 times.",
        "With a vector of length 1, the sharpness is vector @ times(vector). Return 2 over that.",
    ),
    solution=_solution_highest,
)
