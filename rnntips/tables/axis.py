"""When each row was: columns as times or numbers, brought into order, and placed on a grid."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from rnntips.errors import BadData, counted
from rnntips.tables.columns import numbers_in
from rnntips.tables.grid import Grid, Irregular, grid_of, grid_of_numbers, without_daylight_saving
from rnntips.tables.sources import Sample
from rnntips.tables.times import NotATime, times_of, times_of_numbers

__all__ = ["Ordered", "moments_of", "ordered"]

MOST_MISSING = 20  # steps for each row that there is


@dataclass(frozen=True, eq=False)
class Ordered:
    """Rows in order of time.

    Args:
        order: (n,) which row comes when.
        times: (n,) what they were, datetime64[ns] or numbers, as written.
        grid: Which step each is.
        notes: What was done.
    """

    order: np.ndarray
    times: np.ndarray
    grid: Grid
    notes: list[str]


def moments_of(columns: Sequence[Sample], titles: Sequence[str], dayfirst: bool | None) -> tuple[np.ndarray, list[str]]:
    """What the date columns say, (n,): datetime64[ns], or numbers that count steps; and notes.

    Args:
        columns: One of dates; one of dates and one of clock times; or year, month and so on, each a column of numbers.

    Raises:
        BadData: A field that is no date.
        NotATime: The same, with its place.
    """
    as_arrays = [_numbers(column) for column in columns]
    named = " and ".join(titles)
    if len(columns) > 1 and all(column is not None for column in as_arrays) and len(str(_first(as_arrays[0]))) <= 6:
        return _composed(as_arrays, named)
    times, note = _times(columns[0], as_arrays[0], dayfirst)
    notes = [f"{titles[0]}: {note}."] if note else []
    if len(columns) == 1:
        return times, notes
    if as_arrays[1] is not None:
        hours = as_arrays[1] / (100 if np.nanmax(as_arrays[1]) > 24 else 1)
        later = pd.to_timedelta(np.floor(hours), unit="h") + pd.to_timedelta((hours % 1 * 100).round(), unit="min")
    else:
        clock, _ = times_of(columns[1], clock=True)
        later = pd.to_timedelta(clock - np.datetime64("1900-01-01", "ns"))
    return times + later.to_numpy("timedelta64[ns]"), [*notes, f"{named} together say when a row was."]


def _first(numbers: np.ndarray) -> int:
    known = numbers[~np.isnan(numbers)]
    return int(known[0]) if len(known) else 0


def _numbers(column: Sample) -> np.ndarray | None:
    """A column of plain numbers as such, NaN where it is empty; None if it holds anything else."""
    if isinstance(column, np.ndarray):
        return None if column.dtype.kind == "M" else column
    filled = [text for text in column if text]
    if not filled or len(numbers_in(filled[:100])) < len(filled[:100]) or len(numbers_in(filled)) < len(filled):
        return None
    return np.array([float(text) if text else np.nan for text in column])


def _times(column: Sample, numbers: np.ndarray | None, dayfirst: bool | None) -> tuple[np.ndarray, str]:
    if isinstance(column, np.ndarray) and column.dtype.kind == "M":
        return column, ""
    if numbers is None:
        return times_of(column, dayfirst)
    times, note = times_of_numbers(numbers)
    return (numbers, "") if times is None else (times, note)


def _composed(parts: Sequence[np.ndarray], named: str) -> tuple[np.ndarray, list[str]]:
    """Times of year, month, day, hour and minute, each (n,)."""
    names = ["year", "month", "day", "hour", "minute"][: len(parts)]
    frame = pd.DataFrame(dict(zip(names, parts, strict=True)) | ({"day": 1} if len(parts) == 2 else {}))
    late = frame["hour"] == 24 if "hour" in frame else pd.Series(False, index=frame.index)
    if "hour" in frame:
        frame["hour"] = frame["hour"].where(~late, 0)
    found = pd.to_datetime(frame, errors="coerce") + pd.to_timedelta(late.astype(int), unit="D")
    bad = (found.isna() & frame.notna().any(axis=1)).to_numpy()
    if bad.any():
        place = int(bad.argmax())
        raise NotATime(place, "-".join(f"{part[place]:g}" for part in parts))
    return found.to_numpy("datetime64[ns]"), [f"{named} together say when a row was."]


def ordered(times: np.ndarray) -> Ordered:
    """Bring rows into order of time, and find their grid.

    Raises:
        BadData: Times that repeat, or that have no common step; `place` is that of a row.
    """
    n = len(times)
    order, notes = np.arange(n), []
    if n > 1 and (_steps(times) <= 0).mean() > 0.5:
        order = order[::-1]
        notes.append("Rows were newest first, and were put in order of time.")
    even = times[order]
    if times.dtype.kind == "M":
        even, more = without_daylight_saving(even)
        notes += more
    if (_steps(even) < 0).any():
        sorting = np.argsort(even, kind="stable")
        order, even = order[sorting], even[sorting]
        notes = [*notes, "Rows were not in order of time, and were put in it."]
    again = _steps(even) == 0
    if again.any():
        raise Repeated(order[int(again.argmax())], int(again.sum()))
    try:
        grid = grid_of(even) if times.dtype.kind == "M" else grid_of_numbers(even)
    except Irregular as error:
        raise Uneven(*order[error.place : error.place + 2], str(error)) from None
    missing = np.diff(grid.places) - 1
    if missing.sum() > MOST_MISSING * n:
        most = int(missing.argmax())
        raise Uneven(*order[most : most + 2], f"{counted(missing.sum(), 'step')} missing for {n:,} rows")
    return Ordered(order, times[order], grid, [*notes, *grid.notes])


def _steps(times: np.ndarray) -> np.ndarray:
    """From each time or number to the next, (n − 1,)."""
    return np.diff(times.view("i8") if times.dtype.kind == "M" else times)


class Repeated(BadData):
    """Times that are there more than once: the first such row, and how many rows."""

    def __init__(self, place: int, count: int):
        super().__init__("times are repeated")
        self.place, self.count = int(place), count


class Uneven(BadData):
    """Times without a common step: the two rows between which it shows."""

    def __init__(self, place: int, after: int, words: str):
        super().__init__(words)
        self.place, self.after, self.words = int(place), int(after), words
