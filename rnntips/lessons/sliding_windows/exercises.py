"""Exercises of the lesson on sliding windows: cut them without looking ahead, and choose their length."""

import numpy as np

from rnntips.notebook.exercise import Exercise

__all__ = ["choose", "cut"]


def _cut(values, past, horizon, first):
    times = range(first, len(values))
    inputs = np.array([values[t - horizon - past + 1 : t - horizon + 1] for t in times])
    return inputs, values[first:]


def _windows(*given):
    return _cut(*given)[0]


cut = Exercise(
    "cut", _cut, cases=[(np.random.default_rng(seed).normal(size=40).cumsum(), past, horizon, 20)
                        for seed, (past, horizon) in enumerate([(5, 3), (8, 3), (2, 6), (4, 1)])],
    hints=("For the target at time t, which is the newest value that is known? Begin with that one.",
           "The newest value is values[t - horizon], and the window holds `past` values up to it.",
           "values[t - horizon - past + 1 : t - horizon + 1] for every t from first to the end."),
    mistakes=(  # of values v, past p, horizon h and first target f
        (lambda v, p, h, f: _cut(v, p, h, p + h - 1), lambda v, p, h, f: _cut(v, p, h, f - h),
         lambda v, p, h, f: (_windows(v, p, h, f), v[f - h : -h]),
         "some targets come before values[first]. Name windows by their target, and begin at first."),
        (lambda v, p, h, f: (_windows(v[:-h], p, h, f), v[f:-h]), lambda v, p, h, f: _cut(v, p, h, f + h),
         "there are {right[1].size} targets from values[first] to the last value, and you returned {yours[1].size}."),
        (lambda v, p, h, f: (_windows(v, p + 1, h, f), v[f:]), lambda v, p, h, f: (_windows(v, p - 1, h, f), v[f:]),
         "windows should hold {past} values, and yours hold {yours[0].shape[1]}."),
        (lambda v, p, h, f: (_windows(v, p, h, f)[:, ::-1], v[f:]),
         "the values are right, in the wrong order: the oldest comes first."),
        (lambda v, p, h, f: (_windows(v, p, 0, f), v[f:]),
         "your windows hold their own targets. Where a forecast is made, these are not known yet."),
        (lambda v, p, h, f: (_windows(v, p, 1, f), v[f:]), lambda v, p, h, f: (_windows(v, p, h - 1, f), v[f:]),
         "your windows peek: with horizon={horizon} the newest value is {horizon} steps older than the target, and "
         "yours is newer."),
        (lambda v, p, h, f: (_windows(v, p, h + 1, f), v[f:]), lambda v, p, h, f: (_windows(v, p, h + p, f), v[f:]),
         "your windows end too early: with horizon={horizon} the newest value is {horizon} steps before the target."),
        (lambda v, p, h, f: (_windows(v, p, h, f)[[0] * len(v[f:])], v[f:]),
         "the first window is right. Let the others follow one step apart.")),
    kind="return two arrays: the windows, all equally long, and their targets.",
    otherwise="windows and targets should be {right[0]}, of shape {right[0].shape}, and {right[1]}; "
              "yours are {yours[0]}, of shape {yours[0].shape}, and {yours[1]}.",
)  # fmt: skip


def _choose(errors, within=0.05):
    typical = {length: np.median(found) for length, found in errors.items()}
    good = [length for length, error in typical.items() if error <= (1 + within) * min(typical.values())]
    return min(good)


CASES = (  # length → errors of networks on the validation part
    {24: [80.0, 81.0, 82.0], 48: [66.0, 90.0, 91.0], 96: [70.0, 71.0, 72.0]},
    {13: [5.0, 5.2, 5.1], 52: [2.05, 2.0, 2.02], 104: [1.99, 1.98, 2.0], 208: [2.0, 1.99, 2.01]},
    {208: [0.30, 0.31, 0.32], 104: [0.318, 0.319, 0.32], 52: [0.317, 0.316, 0.90], 13: [0.34, 0.35, 0.36]},
)


def _good(errors, typical):
    found = {length: typical(some) for length, some in errors.items()}
    return [length for length, error in found.items() if error <= 1.05 * min(found.values())]


choose = Exercise(
    "choose", _choose, [({length: np.array(found) for length, found in errors.items()},) for errors in CASES],
    hints=("One number for each length first: what is typical of its networks, whatever a single one did?",
           "Find the lowest median. Which lengths have a median of at most 1.05 times that?",
           "Collect those lengths in a list, and return the min() of it."),
    check=lambda yours, errors: (
        None if yours in errors else f"return one of the lengths, {', '.join(map(str, errors))}; yours is {yours:g}."),
    mistakes=(
        (lambda errors: min(errors, key=lambda length: np.median(errors[length])),
         "{yours} has the lowest error, and {right} is shorter and within 5 % of it."),
        (lambda errors: max(_good(errors, np.median)),
         "{yours} is within 5 % of the best, and so is {right}. Take the shortest."),
        (lambda errors: min(errors), "{yours} is the shortest of all, and its error is more than 5 % above the best."),
        (lambda errors: min(_good(errors, np.mean)), lambda errors: min(_good(errors, np.min)),
         "{right} is the shortest within 5 % of the best, and yours is {yours}. Take the median: a single network may "
         "be lucky or fail.")),
    kind="return one of the lengths, not {type}.",
    otherwise="{right} is the shortest within 5 % of the best, and yours is {yours}.",
)  # fmt: skip
