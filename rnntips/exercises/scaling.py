"""Exercise of the scaling lesson: scale without looking ahead."""

import numpy as np

from rnntips.exercises._exercise import Exercise

__all__ = ["no_peeking"]


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
    _judge,
    hints=(
        "Two numbers describe the scaler. Which array may they be computed from?",
        "Compute train.mean() and train.std() once, and use those same two numbers for both arrays.",
        "return (train - mean) / deviation, and the same for test, with the same mean and deviation.",
    ),
    solution=_solution,
)
