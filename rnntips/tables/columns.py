"""Which column is what: the one to forecast, and those that say when a row was."""

import re
from collections.abc import Sequence
from contextlib import suppress
from itertools import combinations, takewhile

import numpy as np
import pandas as pd

from rnntips.errors import BadData, shown
from rnntips.tables.contents import listed
from rnntips.tables.how import How
from rnntips.tables.numbers import MISSING, is_number
from rnntips.tables.sources import Sample, Source
from rnntips.tables.times import FIRST_YEAR, LAST_YEAR, is_clock, is_dated, is_time, times_of_numbers

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
FRACTIONS = {*PARTS[0], "date", "decimal", "time", "years", "jahre"}  # in titles of years such as 1958.25
STAMP_TITLES = set("timestamp unix epoch unixtime seconds elapsed".split())
OF_TIME = set("weekday dayofweek wochentag day tag month monat quarter season".split())
OTHERS = 50  # columns that are looked at
MOSTLY = 0.8  # share of a column's fields that are numbers, where the rest may be marks of missing values


def find(source: Source, title: str) -> int:
    """A column's place."""
    places = [i for i, one in enumerate(source.titles) if one == title]
    if not places:
        close = [one for one in source.titles if one.casefold().strip() == title.casefold().strip()]
        hint = f" Did you mean {close[0]!r}?" if close else ""
        raise BadData(f"{source.name} has no column {shown(title)}.{hint} Its columns are: {listed(source.titles)}.")
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
    """Whether a column of numbers holds years, dates without marks, or time stamps."""
    numbers, words = numbers_in(source.sample(column)), set(re.split(r"[\W_]+", source.titles[column].casefold()))
    if len(numbers) < 3 or np.ptp(numbers) == 0:
        return False
    if numbers.min() >= 1e7 and times_of_numbers(numbers)[0] is not None:
        return True  # in whatever order
    years = numbers.min() >= FIRST_YEAR and numbers.max() <= LAST_YEAR
    whole = (numbers == np.round(numbers)).all()
    distinct = np.unique(numbers)
    steps, once = np.diff(distinct), len(distinct) > 0.9 * len(numbers)  # some rows may be there twice
    if years and whole and (words & {*PARTS[0], *DATE_TITLES} or (once and steps.max() <= 3)):
        return True
    never_back = (np.diff(numbers) >= 0).all() or (np.diff(numbers) <= 0).all()
    if years and never_back and (words & FRACTIONS or (whole and steps.max() <= 1)):
        return True
    return bool(never_back and words & STAMP_TITLES)


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
    parts = (next((i for i in free if titles[i] in names and looks(source.sample(i)) == "numbers"), None)
             for names in PARTS)  # fmt: skip
    together = list(takewhile(lambda part: part is not None, parts))
    kinds = {}
    for column in free[:200]:
        kinds[column] = looks(source.sample(column))
        if kinds[column] == "times" and len(set(map(str, source.sample(column)))) > 1:
            clock = None
            if _repeated(source.sample(column)):
                clock = next((i for i in free[:200] if i != column and _clock(source, i)), None)
            return [column] if clock is None else [column, clock]
    if len(together) >= 2:
        return together
    for column in free[:200]:
        if kinds[column] == "texts" and titles[column] in DATE_TITLES:
            return [column]  # it has to be read, or named otherwise
        if kinds[column] == "numbers" and _of_time(source, column):
            return [column]
    return []


def _clock(source: Source, column: int) -> bool:
    """Whether a column holds times of day: written as such, or hours under a title that says so."""
    sample = source.sample(column)
    if not isinstance(sample, np.ndarray) and all(is_clock(text) for text in sample if text):
        return True
    numbers, title = numbers_in(sample), source.titles[column].casefold().strip()
    return title in CLOCK_TITLES and len(numbers) == len(sample) and bool(np.isin(numbers, range(25)).all())


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
    found = {}
    for column in [i for i in range(len(source.titles)) if i not in taken][:OTHERS]:
        sample, title = source.sample(column), source.titles[column]
        words = set(re.split(r"[\W_]+", title.casefold()))
        named = not words & OF_TIME and (words & SERIES_TITLES or looks(sample) == "texts")
        if title in (how.where or ()) or len(set(map(str, sample))) > len(sample) / 8 or not (times or named):
            continue
        numbers, (values,) = source.load([column])
        texts = np.array([str(one) for one in (values if isinstance(values, np.ndarray) else values.rows())])
        groups, names = pd.factorize(texts[np.isin(numbers, rows)])
        if 2 <= len(names) <= len(groups) / 8:
            found[column] = groups, names
    for several in [*combinations(found, 1), *(combinations(found, 2) if times else ())]:
        groups = pd.factorize(pd.MultiIndex.from_arrays([found[column][0] for column in several]))[0]
        if stamps is not None:
            apart = not pd.DataFrame({"group": groups, "time": stamps}).duplicated().any()
        else:
            apart = np.ptp(np.bincount(groups)) <= 1
        if apart:
            titles = " and ".join(repr(source.titles[column]) for column in several)
            first = {source.titles[column]: _plain(found[column][1][0]) for column in several}
            return f" Column {titles} seems to tell {groups.max() + 1} series apart; choose one, such as where={first}."
    return ""


def _plain(text: str) -> str | int | float:
    """A number as such, for a message."""
    with suppress(ValueError):
        return int(float(text)) if float(text).is_integer() else float(text)
    return str(text)
