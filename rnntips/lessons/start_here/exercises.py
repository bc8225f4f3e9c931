"""What the first lesson asks about. This text gives its answer away: read it after the lesson.

Recipes A and B are equal, field by field; only their seeds differ. `two_curves` shows A's run with the lowest end of
ten and B's with the highest, so nobody should learn anything from it but that.
"""

import numpy as np

from rnntips.errors import BadArgument
from rnntips.notebook.labbook import own_book
from rnntips.recipe import Recipe
from rnntips.runs import Runs
from rnntips.training import train

__all__ = ["ANSWERS", "SEEDS", "A", "B", "commit", "two_curves"]

ANSWERS = ("A", "B", "cannot tell")
SEEDS = {"A": range(10), "B": range(10, 20)}
A = Recipe(cell="gru", width=24, past=48, batch_size=16, lr=0.01, updates=300)
B = Recipe(lr=0.01, updates=300, past=48, batch_size=16, cell="gru", width=24)


def two_curves(on) -> tuple[Runs, Runs]:
    """One run of A and one of B on a task or series: A's that ends lowest of ten, and B's that ends highest.

    What ends is the validation error, relative to the naive one of the same weeks.
    """
    ten_a, ten_b = train(A, on, SEEDS["A"]), train(B, on, SEEDS["B"])
    low, high = (runs.valid_score[:, -1] / runs.valid_naive for runs in (ten_a, ten_b))
    return ten_a.only([int(np.argmin(low))]), ten_b.only([int(np.argmax(high))])


def commit(answer: str) -> None:
    """Keep an answer in the lab book, before the reader knows better.

    Raises:
        BadArgument: Not one of the three answers, nor the "?" that stands there at first.
    """
    if answer == "?":
        print('Write "A", "B" or "cannot tell" in place of "?", and run this cell again.')
        return
    if answer not in ANSWERS:
        raise BadArgument(f"{answer!r}: one of {', '.join(map(repr, ANSWERS))} is needed.")
    trouble = own_book().add(
        "note", text=f"Which of the two networks is better? My answer: {answer}.", tip="start_here"
    )
    print(trouble or f"You said: {answer}. Now let us see.")
