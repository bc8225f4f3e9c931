"""The lab book: one reader's guesses, runs, exercises and notes in one small local file, and a class's books pooled."""

from rnntips.notebook.labbook.book import LabBook, note, own_book, run_entry, score
from rnntips.notebook.labbook.guesses import GUESSES, Limits, Score, outcome, right
from rnntips.notebook.labbook.lesson_map import lesson_map
from rnntips.notebook.labbook.page import show

__all__ = ["GUESSES", "LabBook", "Limits", "Score", "lesson_map", "note", "outcome", "own_book", "right", "run_entry",
           "score", "show"]  # fmt: skip
