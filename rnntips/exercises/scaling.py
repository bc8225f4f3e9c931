"""Exercises of the scaling lesson: scale without looking ahead, and score in the series' own unit."""

import numpy as np

from rnntips.exercises._exercise import Exercise

__all__ = ["in_its_unit", "no_peeking"]


def _solution(train, test):
    mean, deviation = train.mean(), train.std()
    return (train - mean) / deviation, (test - mean) / deviation


def _judge(answer) -> str | None:
    for seed, (level, spread, drift) in enumerate([(0, 1, 0), (30_000, 4_000, 0), (350, 5, 40)]):
        rng = np.random.default_rng(seed)
        train, test = rng.normal(level, spread, 200), rng.normal(level + drift, 1.5 * spread, 80)
        given = train.copy(), test.copy()
        returned = answer(train, test)
        if not (np.array_equal(train, given[0]) and np.array_equal(test, given[1])):
            return "your function changes the arrays it was given. Compute new ones instead."
        if not isinstance(returned, tuple) or len(returned) != 2:
            return "return two arrays: the scaled training part and the scaled test part."
        mine, right = [np.asarray(part, dtype=float) for part in returned], _solution(train, test)
        if [part.shape for part in mine] != [part.shape for part in right]:
            return (
                f"the shapes should be {right[0].shape} and {right[1].shape}, not {mine[0].shape} and {mine[1].shape}."
            )
        if wrong := _diagnose(train, test, *mine):
            return wrong
    return None


def _diagnose(train, test, my_train, my_test) -> str | None:
    def is_scaled(mine, part, by):
        """By mean and deviation of `by`; both usual divisors of a deviation, n and n − 1, are right."""
        return any(np.allclose(mine, (part - by.mean()) / by.std(ddof=d), rtol=1e-4, atol=1e-6) for d in (0, 1))

    both = np.concatenate([train, test])
    if is_scaled(my_train, train, train):
        if is_scaled(my_test, test, train):
            return None
        if is_scaled(my_test, test, test):
            return "the test part was scaled by its own mean and deviation. In use, the future has none yet."
        return "the training part is right. Scale the test part by the same two numbers."
    if is_scaled(my_train, train, both):
        return "the scaler has seen the test part: mean and deviation must come from the training part alone."
    if np.allclose(my_train, train) and np.allclose(my_test, test):
        return "nothing was scaled: what goes in comes out."
    if np.allclose(my_train, train - train.mean()):
        return "centred, but not scaled: divide by the standard deviation as well."
    if np.allclose(my_train, (train - train.mean()) / train.var(), rtol=1e-2):
        return "you divided by the variance; the standard deviation is its square root."
    mean, deviation = my_train.mean(), my_train.std()
    return f"the training part should end with mean 0 and deviation 1; yours has {mean:.3g} and {deviation:.3g}."


no_peeking = Exercise(
    "no_peeking",
    _judge,
    hints=(
        "Two numbers describe the scaler. Which array may they be computed from?",
        "Compute train.mean() and train.std() once, and use those same two numbers for both arrays.",
        "return (train - mean) / deviation, and the same for test, with the same mean and deviation.",
    ),
    solution=_solution,
)


def _solution_in_its_unit(predictions, truth, mean, deviation):
    errors = predictions * deviation + mean - truth
    return np.sqrt(np.mean(errors**2))


def _judge_in_its_unit(answer) -> str | None:
    for seed, (mean, deviation) in enumerate([(30_000.0, 4_000.0), (-2.0, 0.5)]):
        rng = np.random.default_rng(seed)
        predictions, truth = rng.normal(0, 1, 50), rng.normal(mean, deviation, 50)
        returned = answer(predictions.copy(), truth.copy(), mean, deviation)
        try:
            mine = float(returned)
        except (TypeError, ValueError):
            return f"return one number, the error of all forecasts together, not {type(returned).__name__}."
        if not np.isclose(mine, _solution_in_its_unit(predictions, truth, mean, deviation), rtol=1e-4):
            return _diagnose_in_its_unit(predictions, truth, mean, deviation, mine)
    return None


def _diagnose_in_its_unit(predictions, truth, mean, deviation, mine: float) -> str:
    def rms(errors):
        return np.sqrt(np.mean(errors**2))

    errors = predictions * deviation + mean - truth
    known = [
        (rms(errors) / deviation, "that is the error in deviations. A reader wants it in the series' own unit."),
        (rms(predictions - truth), "scaled forecasts were compared with unscaled truth. Bring both to one unit first."),
        (rms(predictions * deviation - truth), "the deviation is back, the mean is not: add it."),
        (rms(predictions + mean - truth), "the mean is back, the deviation is not: multiply by it first."),
        (rms((predictions + mean) * deviation - truth), "in the wrong order: scaling divided last, so multiply first."),
        (rms((predictions - mean) / deviation - truth), "that scales the forecasts once more instead of undoing it."),
        (np.mean(errors**2), "that is the mean square, in squared units. Its root is missing."),
        (np.mean(np.abs(errors)), "that is the mean absolute error. Square, average, and take the root."),
        (rms(errors) * np.sqrt(len(errors)), "the squares were added up; take their mean."),
        (np.mean(errors), "errors above and below cancel: square them before you average."),
    ]  # fmt: skip
    for value, message in known:
        if np.isclose(mine, value, rtol=1e-4):
            return message
    return f"for one set of forecasts the error is {rms(errors):.4g}, and yours is {mine:.4g}."


in_its_unit = Exercise(
    "in_its_unit",
    _judge_in_its_unit,
    hints=(
        "The forecasts are scaled, the truth is not. Which of the two steps of scaling is undone first?",
        "predictions * deviation + mean are forecasts in the series' own unit.",
        "Subtract the truth, square, take the mean, and return its root with np.sqrt.",
    ),
    solution=_solution_in_its_unit,
)
