"""Exercises of the lesson on sliding windows: cut them without looking ahead, and choose their length."""

import numpy as np

from rnntips.exercises._exercise import Exercise

__all__ = ["choose", "cut"]


def _solution(values, past, horizon, first):
    times = range(first, len(values))
    inputs = np.array([values[t - horizon - past + 1 : t - horizon + 1] for t in times])
    return inputs, values[first:]


def _judge(answer) -> str | None:
    for seed, (past, horizon) in enumerate([(5, 3), (8, 3), (2, 6), (4, 1)]):
        values = np.random.default_rng(seed).normal(size=40).cumsum()
        returned = answer(values.copy(), past, horizon, 20)
        if not isinstance(returned, tuple) or len(returned) != 2:
            return "return two arrays: the windows and their targets."
        try:
            inputs, targets = (np.asarray(part, dtype=float) for part in returned)
        except ValueError:
            return "the windows are not all equally long."
        right = _solution(values, past, horizon, 20)
        if wrong := _diagnose(values, past, horizon, inputs, targets, *right):
            return wrong
    return None


def _diagnose(values, past, horizon, inputs, targets, right_inputs, right_targets) -> str | None:
    n = len(right_targets)
    if targets.shape != (n,) or not np.array_equal(targets, right_targets):
        if targets.ndim == 1 and len(targets) and np.isin(targets, values[:20]).any():
            return "some targets come before values[first]. Name windows by their target, and begin at first."
        if targets.ndim == 1 and 0 < len(targets) < n:
            return f"there are {n} targets from values[first] to the last value, and you returned {len(targets)}."
        return f"the targets should be values[first:], and yours of shape {targets.shape} are others."
    if inputs.ndim != 2 or len(inputs) != n:
        return f"the windows should have shape ({n}, {past}), not {inputs.shape}."
    if inputs.shape[1] != past:
        return f"windows should hold {past} values, and yours hold {inputs.shape[1]}."
    if np.array_equal(inputs, right_inputs):
        return None
    if np.array_equal(inputs, right_inputs[:, ::-1]):
        return "the values are right, in the wrong order: the oldest comes first."
    begins = {values[i : i + past].tobytes(): i for i in range(len(values) - past + 1)}
    found = begins.get(np.ascontiguousarray(inputs[0]).tobytes())
    if found is None:
        return "your first window is no stretch of the series. Take values[begin : begin + past]."
    last = found + past - 1  # the newest value that the first window holds
    if last >= 20:
        return "your windows hold their own targets. Where a forecast is made, these are not known yet."
    if last > 20 - horizon:
        return (
            f"your windows peek: with horizon={horizon} the newest value is {horizon} steps older than the target, and "
            f"yours is {20 - last}."
        )
    if last < 20 - horizon:
        return (
            f"your windows end too early: with horizon={horizon} the newest value is {horizon} steps before the target."
        )
    return "the first window is right. Let the others follow one step apart."


cut = Exercise(
    "cut",
    _judge,
    hints=(
        "For the target at time t, which is the newest value that is known? Begin with that one.",
        "The newest value is values[t - horizon], and the window holds `past` values up to it.",
        "values[t - horizon - past + 1 : t - horizon + 1] for every t from first to the end.",
    ),
    solution=_solution,
)


def _solution_choose(errors, within=0.05):
    typical = {length: np.median(found) for length, found in errors.items()}
    good = [length for length, error in typical.items() if error <= (1 + within) * min(typical.values())]
    return min(good)


_CASES = (  # length → errors of networks on the validation part
    {13: [5.0, 5.2, 5.1], 52: [2.05, 2.0, 2.02], 104: [1.99, 1.98, 2.0], 208: [2.0, 1.99, 2.01]},
    {208: [0.30, 0.31, 0.32], 104: [0.318, 0.319, 0.32], 52: [0.317, 0.316, 0.90], 13: [0.34, 0.35, 0.36]},
    {24: [80.0, 81.0, 82.0], 48: [66.0, 90.0, 91.0], 96: [70.0, 71.0, 72.0]},
)


def _judge_choose(answer) -> str | None:
    for case in _CASES:
        errors = {length: np.array(found) for length, found in case.items()}
        mine, right = answer({length: found.copy() for length, found in errors.items()}), _solution_choose(errors)
        if mine != right:
            return _diagnose_choose(errors, mine, right)
    return None


def _diagnose_choose(errors, mine, right) -> str:
    if not np.isscalar(mine) or mine not in errors:
        return f"return one of the lengths, {', '.join(map(str, errors))}; yours is {mine!r}."
    typical = {length: np.median(found) for length, found in errors.items()}
    best = min(typical, key=typical.get)
    if mine == best:
        return f"{mine} has the lowest error, and {right} is shorter and within 5 % of it."
    if mine == max(length for length in errors if typical[length] <= 1.05 * typical[best]):
        return f"{mine} is within 5 % of the best, and so is {right}. Take the shortest."
    if typical[mine] <= 1.05 * typical[best]:
        return f"{mine} is within 5 % of the best, and {right} is shorter still."
    if mine == min(errors):
        return (
            f"{mine} is the shortest of all, and its error is {typical[mine] / typical[best] - 1:.0%} above the best."
        )
    return (
        f"the typical error with {mine} is {typical[mine] / typical[best] - 1:.0%} above the best. Take the median: a "
        "single network may be lucky or fail."
    )


choose = Exercise(
    "choose",
    _judge_choose,
    hints=(
        "One number for each length first: what is typical of its networks, whatever a single one did?",
        "Find the lowest median. Which lengths have a median of at most 1.05 times that?",
        "Collect those lengths in a list, and return the min() of it.",
    ),
    solution=_solution_choose,
)
