"""What a panel shows of records while they are filled."""

import time
from collections.abc import Sequence

import numpy as np

from rnntips.notebook.panels.messages import QUARTERS, progress, words
from rnntips.notebook.panels.picture import draw
from rnntips.notebook.panels.view import View
from rnntips.recipe import called
from rnntips.runs import Runs, joined
from rnntips.study import Study

__all__ = ["LOOK", "Screen", "after"]

FRAME, LOOK = 0.2, 0.04  # seconds between two pictures at least, and between two looks at the records


class Screen:
    """Picture, time left and announcements of a comparison, in a panel's view.

    A picture is sent only when there is a new evaluation to see, so that a long run sends no more than a short one.
    The comparison fills one record of both sides, or one each if their shapes differ. The seeds of an earlier study
    are shown in front of these.
    """

    def __init__(self, view: View, field: str, smallest: float, count: int, earlier: Study | None):
        self.view, self.field, self.smallest, self.earlier = view, field, smallest, earlier
        self.records = [Runs() for _ in range(count)]
        self.began: tuple[float, int] | None = None  # when updates were seen first, and how many
        self.sent, self.seen, self.quarter = 0.0, 0, 0

    def refresh(self) -> None:
        """Look at the records, and draw what is new, if the last picture was long enough ago."""
        now = time.perf_counter()
        begun = [record for record in self.records if record.reached]  # another thread may still be filling the others
        if not begun or now - self.sent < FRAME:
            return
        self.sent, record = now, max(begun, key=lambda record: record.updates)
        self.began = self.began or (now, record.reached)
        self.view.status.value = progress(record.reached, record.updates, now, *self.began)
        if (seen := sum(int(np.sum(each.evaluations <= each.reached)) for each in begun)) > self.seen:
            self.seen = seen
            self.show(after(self.earlier, self._sides()))
        if (quarter := 4 * record.reached // record.updates) > self.quarter:
            self.quarter = quarter
            self.view.said.value = QUARTERS[quarter]

    def _sides(self) -> Sequence[Runs]:
        if len(self.records) > 1:
            return self.records
        (both,), n = self.records, len(self.records[0]) // 2
        return both.only(range(n)), both.only(range(n, 2 * n))

    def show(self, sides: Sequence[Runs], sentence: str = "") -> None:
        """Draw both sides; the sentence, if there is one, is read out and becomes part of the picture's label."""
        names = [called(self.field, getattr(side.recipes[0], self.field)) for side in sides]
        reached, updates = min((side.reached, side.updates) for side in sides)
        done = f"{reached} of {updates} updates done, {len(sides[0])} runs a side"
        label = f"“{names[0]}” against “{names[1]}”: {done}. {sentence}".strip()
        self.view.picture.value = draw(*sides, names, self.smallest, label)
        if sentence:
            self.view.said.value = words(sentence)


def after(earlier: Study | None, sides: Sequence[Runs]) -> tuple[Runs, ...]:
    """Both sides, with those of an earlier study in front."""
    if earlier is None:
        return tuple(sides)
    (before,) = earlier.runs.values()
    return tuple(joined(side) for side in zip(before, sides, strict=True))
