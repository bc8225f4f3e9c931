"""What the first lesson asks about. This text gives its answer away: read it after the lesson.

Recipes A and B are equal, field by field; only their seeds differ. The question shows A's run with the lowest end of
ten and B's with the highest, so nobody should learn anything from it but that.
"""

import rnntips.series
from rnntips.notebook.panels.first import FirstQuestion
from rnntips.recipe import Recipe
from rnntips.tasks import forecast

__all__ = ["CHOSEN", "SEEDS", "A", "B", "ask"]

SEEDS = {"A": range(10), "B": range(10, 20)}
CHOSEN = {"A": 7, "B": 15}  # by the validation error at the end, as a share of naive: A's lowest and B's highest
A = Recipe(cell="gru", width=24, past=48, batch_size=16, lr=0.01, updates=300)
B = Recipe(lr=0.01, updates=300, past=48, batch_size=16, cell="gru", width=24)


def ask() -> FirstQuestion:
    """Which of two networks is better? Two are trained at once; an answer trains all twenty."""
    return FirstQuestion([A, B], forecast(rnntips.series.co2()), [*SEEDS.values()], [*CHOSEN.values()])
