"""Exercises of the lesson on truncated backpropagation: which steps an update reads, and what a cut gradient knows."""

import numpy as np

from rnntips.notebook.exercise import Exercise

__all__ = ["cut_slope", "updates"]


def _updates(steps, k1, k2):
    ends = range(k1, steps + 1, k1)
    return [(max(0, end - k2), end) for end in ends]


updates = Exercise(
    "updates", _updates, cases=[(12, 4, 4), (12, 3, 6), (20, 5, 20), (8, 2, 5)],
    hints=("Where do updates end? And where does the second one's walk back end?",
           "Updates end at k1, 2·k1, 3·k1 and so on. Each looks back k2 steps.",
           "max(0, end - k2) is the start, for end in range(k1, steps + 1, k1)."),
    mistakes=(
        (lambda steps, k1, k2: [(end, start) for start, end in _updates(steps, k1, k2)],
         "the order is (start, end): the earlier step comes first."),
        (lambda steps, k1, k2: [(start, end - 1) for start, end in _updates(steps, k1, k2)],
         "step `end` itself is not read, so it is one more than the last step that is."),
        (lambda steps, k1, k2: [(end - k2, end) for end in range(k1, steps + 1, k1)],
         "a start lies before the sequence. Nothing comes before step 0."),
        (lambda steps, k1, k2: _updates(steps, k1, k1),
         "the gradient goes back only over the new steps, k1. It should go back k2."),
        (lambda steps, k1, k2: _updates(steps, k2, k1),
         "k1 and k2 are swapped: an update comes every k1 steps and looks back k2."),
        (lambda steps, k1, k2: _updates(steps, k2, k2), "an update comes every k1 steps, not every k2."),
        (lambda steps, k1, k2: _updates(steps, 1, k2), "that updates at every step. An update comes every k1 steps."),
        (lambda steps, k1, k2: _updates(steps, k1, steps),
         "every gradient goes back to the beginning. Cut it after k2 steps."),
        (lambda steps, k1, k2: _updates(steps, k1, k2)[:-1],
         "the last update is missing: the sequence's last step counts too."),
        (lambda steps, k1, k2: [(0, 0), *_updates(steps, k1, k2)[:-1]],
         "the first update would read nothing. It comes when k1 steps have been read."),
        (lambda steps, k1, k2: _updates(steps, k1, k2 - 1),
         "one step too few: from start to end are k2 steps, the end itself not counted.")),
    kind="return a list of pairs (start, end), one for each update.", case="steps={steps}, k1={k1}, k2={k2}",
    otherwise="the updates are {right}, and yours are {yours}.",
)  # fmt: skip


def _cut_slope(a, x, k):
    h, slope = 0.0, 0.0
    for t, value in enumerate(x):
        if t == len(x) - k:
            slope = 0.0  # what h owes to a before this step is forgotten; h itself is kept
        slope = h + a * slope
        h = a * h + value
    return slope


def _states(a, x):
    """The states, the last one first."""
    states = [0.0]
    for value in x:
        states.insert(0, a * states[0] + value)
    return states


cut_slope = Exercise(
    "cut_slope", _cut_slope, [(a, np.random.default_rng(seed).normal(0, 1, steps), k) for seed, (a, steps, k) in
                              enumerate([(0.9, 10, 10), (0.9, 12, 2), (0.8, 9, 1), (0.95, 30, 4)])],
    hints=("The walk forward is right already. At which step must `slope` forget what came before?",
           "slope[t] = h[t−1] + a·slope[t−1]. The cut sets one of its two parts to zero, at one step.",
           "Walk through x. At step len(x) - k set the slope to 0, and leave h as it is."),
    mistakes=(
        (lambda a, x, k: _cut_slope(a, x, len(x)),
         "that is the whole slope, over all steps. Cut it k steps before the end."),
        (lambda a, x, k: _cut_slope(a, x[-k:], k),
         "the state was set to zero as well. Only its history is cut; its value stays."),
        (lambda a, x, k: _cut_slope(a, x, k + 1), "the slope goes back one step too many."),
        (lambda a, x, k: _cut_slope(a, x, k - 1), "the slope goes back one step too few."),
        (lambda a, x, k: sum(_states(a, x)[1 : k + 1]),
         "every step back multiplies by a once more; yours does not fade."),
        (lambda a, x, k: sum(a ** (j + 1) * h for j, h in enumerate(_states(a, x)[1 : k + 1])),
         "one factor a too many: h[t−1] itself counts in full."),
        (lambda a, x, k: sum(a**j * h for j, h in enumerate(_states(a, x)[:k])),
         "each step multiplies the state *before* it by a."),
        (lambda a, x, k: _states(a, x)[0], "that is the last state, not how it changes with a.")),
    kind="return one number, the slope, not {type}.", case="a={a}, {x.size} steps, k={k}",
    otherwise="the slope is {right}, and yours is {yours}.",
)  # fmt: skip
