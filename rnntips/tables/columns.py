"""Which column is what: the one to forecast, and those that say when a row was."""

import re
from collections.abc import Sequence
from contextlib import suppress

import numpy as np
import pandas as pd

from rnntips.errors import BadData
from rnntips.tables.files import listed
from rnntips.tables.how import How
from rnntips.tables.numbers import MISSING, is_number
from rnntips.tables.sources import Sample, Source
from rnntips.tables.times import is_clock, is_dated, is_time, times_of_numbers

__all__ = ["candidates", "dates_of", "find", "looks", "mixed_by", "numbers_in"]

DATE_TITLES = set("date dates datetime date_time timestamp datum fecha data time zeit zeitstempel day".split())
CLOCK_TITLES = set("time hour hora uhrzeit zeit heure stunde hr ora".split())
PARTS = [  # of a time, each in a column of its own
    set("year jahr año ano anno année annee yr yyyy".split()), set("month monat mes mois mo mm".split()),
    set("day tag día dia jour dd dy".split()), set("hour stunde hora heure hr hh".split()), {"minute", "min", "minuto"},
]  # fmt: skip
SERIES_TITLES = set(  # of columns that name the series that a row belongs to
    "store shop id station item product sensor country region symbol ticker customer household meter series city state "
    "name location site code entity filiale standort land artikel".split()
)
OF_TIME = set("weekday dayofweek wochentag day tag month monat quarter season".split())
OTHERS = 50  # columns that are looked at
MOSTLY = 0.8  # share of a column's fields that are numbers, where the rest may be marks of missing values


def find(source: Source, title: str) -> int:
    """A column's place."""
    places = [i for i, one in enumerate(source.titles) if one == title]
    if not places:
        close = [one for one in source.titles if one.casefold().strip() == title.casefold().strip()]
        hint = f" Did you mean {close[0]!r}?" if close else ""
        raise BadData(f"{source.name} has no column {title!r}.{hint} Its columns are: {listed(source.titles)}.")
    if len(places) > 1:
        raise BadData(f"{source.name} has the column {title!r} {len(places)} times. Rename all but one.")
    return places[0]


def looks(sample: Sample) -> str:
    """What a column holds: "times", "clock", "numbers", "texts" or "nothing"."""
    if isinstance(sample, np.ndarray):
        kind = "times" if sample.dtype.kind == "M" else "numbers"
        return "nothing" if pd.isna(sample).all() else kind
    filled = [text for text in sample if text.casefold() not in MISSING]
    if not filled:
        return "nothing"
    if all(map(is_time, filled)):
        return "times" if all(map(is_dated, filled)) else "clock"
    return "numbers" if sum(map(is_number, filled)) >= MOSTLY * len(filled) else "texts"


def numbers_in(sample: Sample) -> np.ndarray:
    """The numbers of a sample that can be read whatever their marks mean, without missing ones."""
    if isinstance(sample, np.ndarray):
        return sample[~np.isnan(sample)]
    found = []
    for text in sample:
        with suppress(ValueError):
            found.append(float(text))
    return np.array([number for number in found if np.isfinite(number)])


def _counting(sample: Sample) -> bool:
    """Whether a column goes up, or down, by the same step from row to row."""
    numbers = numbers_in(sample)
    steps = np.diff(numbers)
    return len(steps) > 1 and steps[0] != 0 and bool(np.allclose(steps, steps[0], rtol=1e-6, atol=1e-9 * abs(steps[0])))


def _of_time(source: Source, column: int) -> bool:
    """Whether a column of numbers holds years or time stamps: they never go back, and their title or form says so."""
    sample = source.sample(column)
    numbers, title = numbers_in(sample), source.titles[column].casefold()
    if len(numbers) < 3 or (not (np.diff(numbers) >= 0).all() and not (np.diff(numbers) <= 0).all()):
        return False
    words = set(re.split(r"[\W_]+", title))
    years = 1500 <= numbers.min() and numbers.max() <= 2200
    if years and words & (PARTS[0] | {"date", "decimal", "time", "jahre", "years"}):
        return True
    if (years and len(np.unique(numbers)) > 1 and np.isin(np.diff(numbers), [-1, 0, 1]).all()
            and (numbers == np.round(numbers)).all()):  # fmt: skip
        return True
    long = numbers.min() >= 1e7 and times_of_numbers(numbers)[0] is not None
    return long or bool(
        words & {"timestamp", "unix", "epoch", "unixtime", "seconds", "elapsed"} and len(np.unique(numbers)) > 2
    )


def candidates(source: Source, how: How, dates: Sequence[int]) -> list[int]:
    """Columns that may be the target."""
    taken = {*dates, *(find(source, title) for title in [*how.inputs, *(how.where or ())])}
    found, empty, constant = [], [], []
    for column in range(len(source.titles)):
        if column in taken:
            continue
        sample = source.sample(column)
        kind = looks(sample)
        if kind == "nothing":
            empty.append(column)
        elif kind == "numbers" and not _counting(sample) and not _of_time(source, column):
            numbers = numbers_in(sample)
            if len(numbers) < len(sample) or np.ptp(numbers) > 0:
                found.append(column)
            else:
                empty.append(column)  # constant in the sample
    if len(found) <= 1 and empty:
        _, columns = source.load(empty[:50])
        for column, values in zip(empty, columns, strict=False):
            texts = values if isinstance(values, np.ndarray) else values.rows()
            if looks(texts) == "numbers" and not _counting(texts):
                (constant if len(np.unique(numbers_in(texts))) == 1 else found).append(column)
    return sorted(found or constant)


def dates_of(source: Source, how: How) -> list[int]:
    """The columns that say when a row was: as named, or the first that holds dates, or year, month and day."""
    if how.date is False:
        return []
    if how.date is not None:
        return [find(source, title) for title in ([how.date] if isinstance(how.date, str) else how.date)]
    titles = [title.casefold().strip() for title in source.titles]
    taken = {how.target, *how.inputs}
    free = [i for i, title in enumerate(source.titles) if title not in taken]
    parts = [
        next((i for i in free if titles[i] in names and looks(source.sample(i)) == "numbers"), None) for names in PARTS
    ]
    together = [part for part in parts[: parts.index(None)] if part is not None] if None in parts else parts
    kinds = {}
    for column in free[:200]:
        kinds[column] = looks(source.sample(column))
        if kinds[column] == "times":
            clock = next((i for i in free if i != column and titles[i] in CLOCK_TITLES
                          and (_clock(source.sample(i)) or _hours(source.sample(i)))), None)  # fmt: skip
            return [column, clock] if clock is not None and _repeated(source.sample(column)) else [column]
    if len(together) >= 2:
        return together
    for column in free[:200]:
        if kinds[column] == "texts" and titles[column] in DATE_TITLES:
            return [column]  # it has to be read, or named otherwise
        if kinds[column] == "numbers" and _of_time(source, column):
            return [column]
    return []


def _clock(sample: Sample) -> bool:
    return not isinstance(sample, np.ndarray) and all(is_clock(text) for text in sample if text)


def _hours(sample: Sample) -> bool:
    numbers = numbers_in(sample)
    return len(numbers) == len(sample) and bool(np.isin(numbers, range(25)).all())


def _repeated(sample: Sample) -> bool:
    return len(set(map(str, sample))) < len(sample)


def mixed_by(source: Source, how: How, rows: np.ndarray, times: Sequence[Sample], taken: set[int]) -> str:
    """A sentence that names the column by which several series in one table differ, or "".

    Args:
        rows: Those that `where` leaves, (n,).
        times: Columns that say when a row was, each (n,): within one series none comes twice. Without them, a column
            tells series apart if its title says so or it holds texts, and each of them is there equally often.
        taken: Columns that are something else.
    """
    if how.where is not None and not times:
        return ""
    stamps = None
    if times:
        stamps = pd.factorize(pd.MultiIndex.from_arrays([pd.Index(list(map(str, column))) for column in times]))[0]
    for column in [i for i in range(len(source.titles)) if i not in taken][:OTHERS]:
        title = source.titles[column]
        if title in (how.where or ()) or _counting(source.sample(column)):
            continue
        numbers, (values,) = source.load([column])
        texts = np.array([str(one) for one in (values if isinstance(values, np.ndarray) else values.rows())])
        texts = texts[np.isin(numbers, rows)]
        groups, names = pd.factorize(texts)
        counts = np.bincount(groups)
        if not 2 <= len(names) <= len(texts) / 8:
            continue
        if stamps is not None:
            apart = not pd.DataFrame({"group": groups, "time": stamps}).duplicated().any()
        else:
            words = set(re.split(r"[\W_]+", title.casefold()))
            named = bool(words & SERIES_TITLES) or looks(list(texts[:500])) == "texts"
            apart = named and not words & OF_TIME and counts.max() - counts.min() <= 1
        if apart:
            first = names[0] if looks(list(names)) != "numbers" else float(names[0])
            shown_first = f"{first:g}" if isinstance(first, float) else repr(str(first))
            return (f" Column {title!r} seems to tell {len(names)} series apart; choose one, for example "
                    f"where={{{title!r}: {shown_first}}}.")  # fmt: skip
    return ""
