"""Exercises of the learning-rate lesson: a course of the rate, and the highest rate that a bowl allows."""

import math

import numpy as np

from rnntips.notebook.exercise import Exercise

__all__ = ["course", "highest"]


def _course(done, updates, lr, warmup):
    rise = min((done + 1) / warmup, 1)
    fall = (1 + math.cos(math.pi * done / updates)) / 2
    return lr * rise * fall


def _rise(done, warmup):
    return min((done + 1) / warmup, 1)


course = Exercise(
    "course", _course,
    cases=[(done, 100, 0.03, 10) for done in (60, 4, 0, 9, 10, 99)]  # most mistakes differ most after the warm-up
          + [(20, 300, 2.0, 30), (200, 300, 2.0, 30), (0, 7, 1.0, 1), (6, 7, 1.0, 1)],
    hints=("Two factors between 0 and 1. Which one matters early, and which late?",
           "min((done + 1) / warmup, 1) rises. (1 + math.cos(…)) / 2 falls from 1 to 0.",
           "The cosine's angle goes from 0 to π: math.pi * done / updates. Return lr times both."),
    mistakes=(  # of t updates done, n updates and a warm-up of w; with w = 1 the course is the wave alone
        (lambda t, n, lr, w: lr, lambda t, n, lr, w: lr * _rise(t, w),
         "after the warm-up the rate never changes. The falling half is missing."),
        (lambda t, n, lr, w: _course(t, n, lr, 1), "it falls, but it does not rise first."),
        (lambda t, n, lr, w: _course(t, n, 1, w), "these are the factors. Multiply them by lr."),
        (lambda t, n, lr, w: _course(t, n, lr, 1) * min(t / w, 1),
         "the first update has rate 0 and is lost. Count it: (done + 1)."),
        (lambda t, n, lr, w: _course(t, n, lr, 1) * (t + 1) / w, "the warm-up has no end: min(…, 1) stops it."),
        (lambda t, n, lr, w: lr * _rise(t, w) * math.cos(math.pi * t / n),
         "the rate turns negative. A cosine goes from 1 to −1: add 1, and halve."),
        (lambda t, n, lr, w: 2 * _course(t, n, lr, w), "the wave begins at 2. Halve it."),
        (lambda t, n, lr, w: _rise(t, w) * _course(2 * t, n, lr, 1),
         "it falls, and comes back. Half a wave: π, not 2 π."),
        (lambda t, n, lr, w: _rise(t, w) * _course(t / 2, n, lr, 1), "it ends half-way down: π, not π / 2."),
        (lambda t, n, lr, w: lr * _rise(t, w) * math.cos(math.pi / 2 * t / n),
         "a quarter of a wave falls too, but half of one was asked for: (1 + cos(π …)) / 2."),
        (lambda t, n, lr, w: lr * _rise(t, w) * (1 - t / n), "that is a straight line. Half a cosine was asked for."),
        (lambda t, n, lr, w: _rise(t, w) * _course(max(t - w, 0), n - w, lr, 1),
         "your wave begins after the warm-up. Here it runs over all updates, and both factors are multiplied.")),
    kind="return one number, the rate of this update, not {type}.",
    otherwise="after {done} of {updates} updates, lr {lr}, warm-up {warmup}: {right}; yours is {yours}.",
)  # fmt: skip


def _highest(times, start):
    vector = start
    for _ in range(200):
        vector = vector / np.linalg.norm(vector)
        image = times(vector)
        sharpness, vector = vector @ image, image
    return 2 / sharpness


class _Bowl:
    """Multiplies by the matrix of a bowl, and knows whether it was asked to."""

    def __init__(self, matrix):
        self.matrix, self.asked = matrix, False

    def __call__(self, vector):
        self.asked = True
        return self.matrix @ vector


def _bowls():
    for seed, values in enumerate([[5.0, 1.0, 0.5, 0.1], [40.0, 30.0, 2.0, 1.0, 0.0, 0.0], [0.02, 0.001, 0.0]]):
        rng = np.random.default_rng(seed)
        turn = np.linalg.qr(rng.normal(size=(len(values), len(values))))[0]
        yield _Bowl(turn @ np.diag(values) @ turn.T), rng.normal(size=len(values))


def _bends(times, start):
    return [times(row) @ row for row in np.eye(len(start))]


def _never_divided(times, start):
    for _ in range(1000):
        start = times(start)
    return start @ start / (start @ times(start))


highest = Exercise(
    "highest", _highest, _bowls, tolerance=0.01,
    hints=("What becomes of a vector that is multiplied by the same matrix again and again?",
           "It turns towards the steepest direction. Divide by its length each time, some 200 times.",
           "With a vector of length 1, the sharpness is vector @ times(vector). Return 2 over that."),
    check=lambda yours, times, start: (
        None if times.asked else "times(vector) was never asked. It is all you can know of the bowl."),
    mistakes=(
        (_never_divided, lambda times, start: np.inf * times(start)[0] ** 2,
         "the vector left the range of numbers. Divide it by its length before every product."),
        (lambda times, start: 2 / _highest(times, start),
         "that is the sharpness. Steps of a bowl shrink as long as rate × sharpness is below 2."),
        (lambda times, start: _highest(times, start) / 2,
         "there a single step reaches the bottom. Steps shrink up to twice that rate."),
        (lambda times, start: 2 / np.mean(_bends(times, start)),
         "that is the mean bend. The steepest direction decides."),
        (lambda times, start: 2 / np.sum(_bends(times, start)),
         "that is the sum of all bends. The steepest direction decides."),
        (lambda times, start: _highest(times, start) ** 2 / 2,
         "the sharpness was squared: vector @ times(vector) has length 1 twice, and the matrix once."),
        (lambda times, start: 2 * (start @ start) / (start @ times(start)),
         "one product is too few: the vector has to turn towards the steepest direction first.")),
    kind="return one number, the highest rate, not {type}.",
    otherwise="the highest rate is {right}, and yours is {yours}.",
)  # fmt: skip
