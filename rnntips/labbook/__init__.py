"""The lab book: one reader's guesses, runs, exercises and notes in one small local file, and a class's books pooled."""

from rnntips.labbook.book import LabBook, new_experiment, note, own_book, run_entry, score
from rnntips.labbook.guesses import GUESSES, Score, outcome, right
from rnntips.labbook.lessons import lesson_map
from rnntips.labbook.page import show

__all__ = ["GUESSES", "LabBook", "Score", "lesson_map", "new_experiment", "note", "outcome", "own_book", "right",
           "run_entry", "score", "show"]  # fmt: skip
