"""What reading a table gives: numbers on a regular grid of times, what was inferred, and what is doubtful."""

from dataclasses import dataclass

import numpy as np

from rnntips.errors import counted

__all__ = ["Doubt", "Table"]


@dataclass(frozen=True, eq=False)
class Doubt:
    """Something that keeps a table from being used as it is.

    Args:
        says: What was found, with numbers, places and sizes, in one sentence.
        do: What settles it, with the argument's name, in one sentence.
        rows: Steps of the grid that it is about, (k,).
        gap: Whether it is about missing steps or values, which straight lines can fill.
    """

    says: str
    do: str
    rows: np.ndarray
    gap: bool = False


@dataclass(frozen=True, eq=False)
class Table:
    """Columns of numbers, the target first, one row for every step of a regular grid of times.

    Args:
        titles: Of the C columns.
        values: (N, C) float64; NaN where a value or a whole step is missing.
        times: (N,) datetime64[ns], as written: ascending, but for an hour that comes twice when clocks are put back.
            None if the table has no dates.
        step: Time from one row to the next, in words: "1 hour", "1 month", "1 weekday"; "" without dates.
        period: Steps of the usual season at such a step (24 for hours), or None.
        notes: What was inferred, in sentences.
        doubts: What has to be settled before the values are used; empty if nothing is doubtful.
    """

    titles: tuple[str, ...]
    values: np.ndarray
    times: np.ndarray | None
    step: str
    period: int | None
    notes: tuple[str, ...]
    doubts: tuple[Doubt, ...]

    def filled(self) -> np.ndarray:
        """The values with straight lines where they are missing, (N, C); at the ends the nearest value."""
        out, steps = self.values.copy(), np.arange(len(self.values))
        for column in out.T:
            known = ~np.isnan(column)
            if known.any():
                column[~known] = np.interp(steps[~known], steps[known], column[known])
        return out

    def filled_note(self) -> list[str]:
        """What `filled` does, if it does anything."""
        count = int(np.isnan(self.values).any(1).sum())
        return [f"{counted(count, 'step')} filled by straight lines."] * bool(count)
