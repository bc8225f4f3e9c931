"""A record that shows itself in a panel while it is filled."""

import time
from collections.abc import Sequence
from html import escape

import numpy as np

from rnntips.panels.picture import draw
from rnntips.panels.view import View
from rnntips.panels.words import announced, labelled, progress
from rnntips.runs import Runs, joined
from rnntips.study import Study

__all__ = ["Live", "show"]

FRAME = 0.2  # seconds between two messages at least


class Live(Runs):
    """Both sides of a comparison; a panel's picture, time left and announcements follow it.

    A picture is sent only when there is a new evaluation to see, so that a long run sends no more than a short one.
    """

    view: View
    field: str  # under test
    smallest: float
    earlier: Study | None  # whose seeds are shown too

    def watched_by(self, view: View, field: str, smallest: float, earlier: Study | None) -> "Live":
        """This record, shown in a view."""
        self.view, self.field, self.smallest, self.earlier = view, field, smallest, earlier
        self.began, self.sent, self.seen, self.quarter = time.perf_counter(), 0.0, 0, 0
        return self

    def advance(self, updates: int) -> None:
        """Called by the thread that trains, after every update."""
        super().advance(updates)
        now = time.perf_counter()
        if not updates or now - self.sent < FRAME:
            return
        self.sent = now
        self.view.status.value = progress(updates, self.updates, now - self.began)
        if (seen := int(np.sum(self.evaluations <= updates))) > self.seen:
            self.seen, n = seen, len(self) // 2
            sides = self.only(range(n)), self.only(range(n, 2 * n))
            show(self.view, after(self.earlier, sides), self.field, self.smallest)
        if (quarter := 4 * updates // self.updates) > self.quarter:
            self.quarter = quarter
            self.view.said.value = announced(quarter)


def after(earlier: Study | None, sides: Sequence[Runs]) -> tuple[Runs, ...]:
    """Both sides, with those of an earlier study in front."""
    if earlier is None:
        return tuple(sides)
    (before,) = earlier.runs.values()
    return tuple(joined(side) for side in zip(before, sides, strict=True))


def show(view: View, sides: Sequence[Runs], field: str, smallest: float, sentence: str = "") -> None:
    """Draw both sides; the sentence, if there is one, is read out and becomes part of the picture's label."""
    names = [str(getattr(side.recipes[0], field)) for side in sides]
    view.picture.value = draw(*sides, names, smallest, f"{labelled(sides, names)}. {sentence}".strip())
    if sentence:
        view.said.value = escape(sentence)
