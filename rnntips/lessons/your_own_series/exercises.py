"""The exercise of the lesson 'Your own series'."""

from rnntips.notebook.exercise import Exercise

__all__ = ["passes"]


def _solution(updates, batch_size, windows):
    return updates * batch_size / windows


passes = Exercise(
    "passes", _solution, cases=[(300, 16, 2400), (10, 5, 100)],
    hints=("What does one update read?", "How many windows do all updates read together?",
           "updates * batch_size / windows"),
    mistakes=(
        (lambda updates, batch_size, windows: updates / windows, "an update reads a whole batch."),
        (lambda updates, batch_size, windows: updates * batch_size, "that counts the windows that were read."),
        (lambda updates, batch_size, windows: windows / (updates * batch_size), "the fraction stands upside down.")),
)  # fmt: skip
