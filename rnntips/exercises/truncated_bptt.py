"""Exercises of the lesson on truncated backpropagation: which steps an update reads, and what a cut gradient knows."""

import numpy as np

from rnntips.exercises._exercise import Exercise

__all__ = ["cut_slope", "updates"]


def _solution(steps, k1, k2):
    ends = range(k1, steps + 1, k1)
    return [(max(0, end - k2), end) for end in ends]


def _judge(answer) -> str | None:
    for steps, k1, k2 in [(12, 4, 4), (12, 3, 6), (20, 5, 20), (8, 2, 5)]:
        returned = answer(steps, k1, k2)
        try:
            mine = [tuple(map(int, pair)) for pair in returned]
        except (TypeError, ValueError):
            return "return a list of pairs (start, end), one for each update."
        if wrong := _diagnose(mine, steps, k1, k2):
            return f"steps={steps}, k1={k1}, k2={k2}: {wrong}"
    return None


def _diagnose(mine: list[tuple], steps: int, k1: int, k2: int) -> str | None:
    right = _solution(steps, k1, k2)
    if mine == right:
        return None
    if any(len(pair) != 2 for pair in mine):
        return "each update is a pair of two numbers, (start, end)."
    if mine == [(end, start) for start, end in right]:
        return "the order is (start, end): the earlier step comes first."
    if mine == [(start, end - 1) for start, end in right]:
        return "step `end` itself is not read, so it is one more than the last step that is."
    if any(start < 0 for start, _ in mine):
        return "a start lies before the sequence. Nothing comes before step 0."
    if mine == [(end - k1, end) for _, end in right]:
        return "the gradient goes back only over the new steps, k1. It should go back k2."
    if mine == [(max(0, end - k1), end) for end in range(k2, steps + 1, k2)]:
        return "k1 and k2 are swapped: an update comes every k1 steps and looks back k2."
    if mine == [(max(0, end - k2), end) for end in range(k2, steps + 1, k2)]:
        return "an update comes every k1 steps, not every k2."
    if mine == [(max(0, end - k2), end) for end in range(1, steps + 1)]:
        return "that updates at every step. An update comes every k1 steps."
    if mine == [(0, end) for _, end in right]:
        return "every gradient goes back to the beginning. Cut it after k2 steps."
    if mine == [(max(0, end - k2), end) for end in range(k1, steps, k1)]:
        return "the last update is missing: the sequence's last step counts too."
    if mine == [(max(0, start - k2), start) for start in range(0, steps, k1)]:
        return "the first update would read nothing. It comes when k1 steps have been read."
    if mine == [(max(0, end - k2 + 1), end) for _, end in right]:
        return "one step too few: from start to end are k2 steps, the end itself not counted."
    if len(mine) != len(right):
        return f"there are {len(right)} updates, and you return {len(mine)}."
    return f"the updates are {right}, and yours are {mine}."


updates = Exercise(
    "updates",
    _judge,
    hints=(
        "Where do updates end? And where does the second one's walk back end?",
        "Updates end at k1, 2·k1, 3·k1 and so on. Each looks back k2 steps.",
        "max(0, end - k2) is the start, for end in range(k1, steps + 1, k1).",
    ),
    solution=_solution,
)


def _solution_cut_slope(a, x, k):
    h, slope = 0.0, 0.0
    for t, value in enumerate(x):
        if t == len(x) - k:
            slope = 0.0  # what h owes to a before this step is forgotten; h itself is kept
        slope = h + a * slope
        h = a * h + value
    return slope


def _judge_cut_slope(answer) -> str | None:
    for seed, (a, steps, k) in enumerate([(0.9, 10, 10), (0.9, 12, 2), (0.8, 9, 1), (0.95, 30, 4)]):
        x = np.random.default_rng(seed).normal(0, 1, steps)
        returned = answer(a, x.copy(), k)
        try:
            mine = float(returned)
        except (TypeError, ValueError):
            return f"return one number, the slope, not {type(returned).__name__}."
        if not np.isclose(mine, _solution_cut_slope(a, x, k), rtol=1e-6, atol=1e-9):
            return f"a={a}, {steps} steps, k={k}: {_diagnose_cut_slope(a, x, k, mine)}"
    return None


def _diagnose_cut_slope(a: float, x: np.ndarray, k: int, mine: float) -> str:
    steps, states = len(x), [0.0]
    for value in x:
        states.append(a * states[-1] + value)
    right = _solution_cut_slope(a, x, k)
    known = [
        (_solution_cut_slope(a, x, steps), "that is the whole slope, over all steps. Cut it k steps before the end."),
        (
            _solution_cut_slope(a, x[-k:], k),
            "the state was set to zero as well. Only its history is cut; its value stays.",
        ),
        (_solution_cut_slope(a, x, min(k + 1, steps)), "the slope goes back one step too many."),
        (_solution_cut_slope(a, x, k - 1) if k > 1 else 0.0, "the slope goes back one step too few."),
        (sum(states[-2 - j] for j in range(k)), "every step back multiplies by a once more; yours does not fade."),
        (sum(a ** (j + 1) * states[-2 - j] for j in range(k)), "one factor a too many: h[t−1] itself counts in full."),
        (sum(a**j * states[-1 - j] for j in range(k)), "each step multiplies the state *before* it by a."),
        (states[-1], "that is the last state, not how it changes with a."),
    ]
    for value, message in known:
        if np.isclose(mine, value, rtol=1e-6, atol=1e-9):
            return message
    return f"the slope is {right:.4g}, and yours is {mine:.4g}."


cut_slope = Exercise(
    "cut_slope",
    _judge_cut_slope,
    hints=(
        "The walk forward is right already. At which step must `slope` forget what came before?",
        "slope[t] = h[t−1] + a·slope[t−1]. The cut sets one of its two parts to zero, at one step.",
        "Walk through x. At step len(x) - k set the slope to 0, and leave h as it is.",
    ),
    solution=_solution_cut_slope,
)
