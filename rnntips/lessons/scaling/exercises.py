"""Exercises of the scaling lesson: scale without looking ahead, and score in the series' own unit."""

import numpy as np

from rnntips.notebook.exercise import Exercise

__all__ = ["in_its_unit", "no_peeking"]


def _no_peeking(train, test):
    mean, deviation = train.mean(), train.std()
    return (train - mean) / deviation, (test - mean) / deviation


def _parts():
    for seed, (level, spread, drift) in enumerate([(0, 1, 0), (30_000, 4_000, 0), (350, 5, 40)]):
        rng = np.random.default_rng(seed)
        yield rng.normal(level, spread, 200), rng.normal(level + drift, 1.5 * spread, 80)


def _by(values, *parts, ddof=0):
    """Parts, scaled by mean and deviation of some values; both usual divisors, n and n − 1, are right."""
    return tuple((part - values.mean()) / values.std(ddof=ddof) for part in parts)


no_peeking = Exercise(
    "no_peeking", _no_peeking, _parts, accept=(lambda a, b: _by(a, a, b, ddof=1),), tolerance=1e-4,
    hints=("Two numbers describe the scaler. Which array may they be computed from?",
           "Compute train.mean() and train.std() once, and use those same two numbers for both arrays.",
           "return (train - mean) / deviation, and the same for test, with the same mean and deviation."),
    mistakes=(  # of training part a and test part b
        (lambda a, b: (*_by(a, a), *_by(b, b)), lambda a, b: (*_by(a, a, ddof=1), *_by(b, b, ddof=1)),
         "the test part was scaled by its own mean and deviation. In use, the future has none yet."),
        (lambda a, b: (*_by(a, a), b), lambda a, b: (*_by(a, a), b - a.mean()), lambda a, b: (*_by(a, a), b / a.std()),
         lambda a, b: (*_by(a, a), *_by(np.append(a, b), b)),
         "the training part is right. Scale the test part by the same two numbers."),
        (lambda a, b: _by(np.append(a, b), a, b), lambda a, b: _by(np.append(a, b), a, b, ddof=1),
         "the scaler has seen the test part: mean and deviation must come from the training part alone."),
        (lambda a, b: (a, b), "nothing was scaled: what goes in comes out."),
        (lambda a, b: (a - a.mean(), b - a.mean()),
         "centred, but not scaled: divide by the standard deviation as well."),
        (lambda a, b: ((a - a.mean()) / a.var(), (b - a.mean()) / a.var()),
         "you divided by the variance; the standard deviation is its square root."),
        (lambda a, b: (a / a.std(), b / a.std()), "divided, but not centred: subtract the training part's mean first."),
        (lambda a, b: (a, *_by(a, b)), "the test part is right. Scale the training part, too.")),
    kind="return two arrays: the scaled training part and the scaled test part.",
    otherwise="the training part should be {right[0]}, with mean 0 and deviation 1, and the test part {right[1]}; "
              "yours are {yours[0]} and {yours[1]}.",
)  # fmt: skip


def _in_its_unit(predictions, truth, mean, deviation):
    errors = predictions * deviation + mean - truth
    return np.sqrt(np.mean(errors**2))


def _forecasts():
    for seed, (mean, deviation) in enumerate([(30_000.0, 4_000.0), (-2.0, 0.5)]):
        rng = np.random.default_rng(seed)
        yield rng.normal(0, 1, 50), rng.normal(mean, deviation, 50), mean, deviation


def _rms(errors):
    return np.sqrt(np.mean(errors**2))


in_its_unit = Exercise(
    "in_its_unit", _in_its_unit, _forecasts, tolerance=1e-4,
    hints=("The forecasts are scaled, the truth is not. Which of the two steps of scaling is undone first?",
           "predictions * deviation + mean are forecasts in the series' own unit.",
           "Subtract the truth, square, take the mean, and return its root with np.sqrt."),
    mistakes=(  # of predictions p, truth t, mean m and deviation d
        (lambda p, t, m, d: _rms(p - (t - m) / d),
         "that is the error in deviations. A reader wants it in the series' own unit."),
        (lambda p, t, m, d: _rms(p - t),
         "scaled forecasts were compared with unscaled truth. Bring both to one unit first."),
        (lambda p, t, m, d: _rms(p * d - t), "the deviation is back, the mean is not: add it."),
        (lambda p, t, m, d: _rms(p + m - t), "the mean is back, the deviation is not: multiply by it first."),
        (lambda p, t, m, d: _rms((p + m) * d - t), "in the wrong order: scaling divided last, so multiply first."),
        (lambda p, t, m, d: _rms((p - m) / d - t), "that scales the forecasts once more instead of undoing it."),
        (lambda p, t, m, d: _rms(p * d + m - t) ** 2,
         "that is the mean square, in squared units. Its root is missing."),
        (lambda p, t, m, d: np.mean(np.abs(p * d + m - t)),
         "that is the mean absolute error. Square, average, and take the root."),
        (lambda p, t, m, d: np.linalg.norm(p * d + m - t), "the squares were added up; take their mean."),
        (lambda p, t, m, d: np.mean(p * d + m - t), "errors above and below cancel: square them before you average.")),
    kind="return one number, the error of all forecasts together, not {type}.",
    otherwise="for one set of forecasts the error is {right}, and yours is {yours}.",
)  # fmt: skip
