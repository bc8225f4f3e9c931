"""From a file or a data frame to a `Table`: columns are found, read, put in order of time and on a grid."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from rnntips.errors import BadData, counted, shown
from rnntips.tables import doubts
from rnntips.tables.axis import Ordered, Repeated, Uneven, moments_of, ordered
from rnntips.tables.columns import candidates, dates_of, find, looks, mixed_by
from rnntips.tables.contents import listed
from rnntips.tables.files import Texts, opened
from rnntips.tables.how import How
from rnntips.tables.numbers import PLAIN, Marks, NotANumber, as_numbers, style_of
from rnntips.tables.sources import Frame, Opened, Sample, Source
from rnntips.tables.table import Table
from rnntips.tables.times import NotATime

__all__ = ["numeric_columns", "read_csv", "read_frame"]

OTHERS = 50  # further columns whose marks are looked at


def read_csv(
    path: str | Path, target: str | None = None, *, sep: str | None = None, header: int | None = None,
    encoding: str | None = None, **how: Any,
) -> Table:  # fmt: skip
    """A file's columns; for arguments see `rnntips.series.from_csv`.

    Raises:
        BadData: What is wrong or doubtful; the message names the file, the line and the column.
    """
    said = How(target, **how)
    return _table(Opened(opened(path, sep, header, encoding)), said)


def read_frame(frame: pd.DataFrame | pd.Series, target: str | None = None, **how: Any) -> Table:
    """A data frame's columns; for arguments see `rnntips.series.from_frame`.

    Raises:
        BadData: As for `read_csv`.
    """
    if not isinstance(frame, pd.DataFrame | pd.Series):
        raise BadData(f"frame={shown(type(frame).__name__)}: a pandas DataFrame or Series is needed.")
    return _table(Frame.of(frame), How(target, **how))


def numeric_columns(path: str | Path, *, sep=None, header=None, encoding=None, **how: Any) -> list[str]:
    """Titles of the columns that may be the target: numbers that are neither a count of rows nor times.

    Raises:
        BadData: Not a table.
    """
    source, said = Opened(opened(path, sep, header, encoding)), How(**how)
    return [source.titles[column] for column in candidates(source, said, dates_of(source, said))]


def _table(source: Source, how: How) -> Table:
    dated = dates_of(source, how)
    wanted = [_target(source, how, dated), *(find(source, title) for title in how.inputs)]
    for column in wanted:
        if wanted.count(column) > 1 or column in dated:
            title = source.titles[column]
            raise BadData(f"Column {title!r} was named twice. A column is the target, an input or the date.")
    chosen = [find(source, title) for title in how.where or ()]
    rows, columns = source.load([*wanted, *dated, *chosen])
    notes = list(source.notes)
    if how.where:
        rows, columns = _only(source, how, rows, columns)
    values, times = columns[: len(wanted)], columns[len(wanted) : len(wanted) + len(dated)]
    found = [_numbers(source, *one, rows, how, notes) for one in zip(wanted, values, strict=True)]
    numbers = np.column_stack(found)
    keep = ~np.isnan(numbers).all(1) | _filled(times, len(rows))
    if not dated:  # without dates an empty row is a step without values, but at the end
        keep = keep[::-1].cumsum()[::-1] > 0
    if left := int((~keep).sum()):
        notes.append(f"Left out: {counted(left, 'empty row')}.")
        rows, numbers, times = rows[keep], numbers[keep], [_kept(time, keep) for time in times]
    titles = [source.titles[column] for column in wanted]
    if not dated:
        _check_mixed(source, how, rows, wanted)
        notes.append("No column of dates was used: rows are taken in their order, as steps of one length.")
        return _on_grid(titles, numbers, rows, None, notes, how, source)
    placed = _placed(source, how, dated, times, rows, wanted)
    return _on_grid(titles, numbers, rows, placed, notes, how, source)


def _target(source: Source, how: How, dated: Sequence[int]) -> int:
    """The place of the column to forecast: the named one, or the only one that can be."""
    if how.target is not None:
        return find(source, how.target)
    found = candidates(source, how, dated)
    if len(found) != 1:
        names = listed([source.titles[column] for column in found]) or "none"
        many = counted(len(found), "numeric column")
        every = f" Its columns are: {listed(source.titles)}." if not found else ""
        raise BadData(f"{source.name} has {many} to forecast ({names}); say which one with target=.{every}")
    return found[0]


def _only(source: Source, how: How, rows: np.ndarray, columns: list) -> tuple[np.ndarray, list]:
    """The rows that `where` names."""
    keep = np.ones(len(rows), bool)
    for (title, value), column in zip(how.where.items(), columns[-len(how.where) :], strict=True):
        texts = [str(one) for one in column.tolist()] if isinstance(column, np.ndarray) else column.rows()
        same = np.array([_same(text, value) for text in texts], bool)
        if not same.any():
            there = listed(sorted(set(texts))[:50], 8)
            raise BadData(f"{source.name}: no row has {shown(value)} in column {title!r}, which holds: {there}.")
        keep &= same
    if not keep.any():
        raise BadData(f"{source.name}: no row has all of where={shown(dict(how.where))}.")
    return rows[keep], [_kept(column, keep) for column in columns]


def _same(text: str, value: Any) -> bool:
    if text == str(value).strip():
        return True
    try:
        return not isinstance(value, str) and float(text) == float(value)
    except (TypeError, ValueError):
        return False


def _kept(column: np.ndarray | Texts, keep: np.ndarray) -> np.ndarray | Texts:
    return column[keep] if isinstance(column, np.ndarray) else column.only(keep)


def _filled(times: Sequence[np.ndarray | Texts], n: int) -> np.ndarray:
    """Which rows say when they were, (n,)."""
    out = np.zeros(n, bool)
    for column in times:
        out |= ~pd.isna(column) if isinstance(column, np.ndarray) else column.filled()
    return out


def _place(source: Source, row: int) -> str:
    return f"{source.first} {row}"


# ── numbers ─────────────────────────────────────────────────────────────────


def _numbers(
    source: Source, column: int, values: np.ndarray | Texts, rows: np.ndarray, how: How, notes: list[str]
) -> np.ndarray:
    """A column's numbers, (n,), NaN where one is missing."""
    title, name = source.titles[column], source.name
    if isinstance(values, np.ndarray):
        if values.dtype.kind == "M":
            raise BadData(f"{name}: column {title!r} holds dates, not numbers. Choose another column.")
        out = values.astype(np.float64)
    else:
        out = _from_texts(source, column, values, rows, how, notes)
    infinite = np.isinf(out)
    if infinite.any():
        where = _place(source, rows[int(infinite.argmax())])
        raise BadData(f"{name}: {where} of column {title!r} holds {out[infinite][0]}, which is no finite number. "
                      "Mend it; if it marks a missing value, leave the field empty.")  # fmt: skip
    if how.numbers_missing:
        out[np.isin(out, sorted(how.numbers_missing))] = np.nan
    return out


def _from_texts(source: Source, column: int, values: Texts, rows: np.ndarray, how: How, notes: list[str]) -> np.ndarray:
    title, name, marks = source.titles[column], source.name, Marks()
    missing, said = how.texts_missing, how.numbers_missing
    for texts in values:
        marks.see([text for text in texts if not _marked(text, missing, said)] if missing or said else texts)
    try:
        style, inferred = style_of(
            marks, title, _elsewhere(source, column) if marks.open else Marks(), how.decimal, how.thousands
        )
    except BadData as error:
        raise BadData(f"{name}: {error}") from None
    notes += inferred
    out, units, done = [], set(), 0
    for texts in values:
        try:
            numbers, found = as_numbers(texts, style, missing)
        except NotANumber as error:
            where = _place(source, rows[done + error.place])
            if done + error.place == 0 and looks(source.sample(column)) == "texts":
                cure = "Choose another column."
            else:
                marks = f"if it marks a missing value, pass missing=[{error.text!r}]; " if len(error.text) < 50 else ""
                cure = f"Mend it; {marks}or choose another column."
            raise BadData(
                f"{name}: {where} of column {title!r} holds {shown(error.text)}, not a number. {cure}"
            ) from None
        out.append(numbers)
        units |= found
        done += len(texts)
    notes += _said_of_units(f"{name}: column {title!r}", title, units)
    return np.concatenate(out) if out else np.empty(0)


def _marked(text: str, missing: frozenset[str], numbers: set[float]) -> bool:
    """Whether a field was said to mark a missing value, so that it shows nothing of how numbers are written."""
    return text.casefold() in missing or bool(PLAIN.fullmatch(text) and float(text) in numbers)


def _said_of_units(where: str, title: str, units: set[str]) -> list[str]:
    """What was inferred from the units that stood with numbers; raises if only some were percentages."""
    if "%" in units and units != {"%"}:
        raise BadData(f"{where} holds per cent and numbers without “%”. Write them alike.")
    notes = [f"{title}: numbers are in per cent."] * ("%" in units)
    if large := sorted(units & {"k", "m", "b", "bn"}):
        letters = ", ".join(one.upper() for one in large)
        notes.append(f"{title}: {letters} after a number was taken as thousands (K), millions (M), billions (B).")
    return notes


def _elsewhere(source: Source, column: int) -> Marks:
    """What the other columns of numbers show about their marks."""
    marks = Marks()
    for other in range(min(len(source.titles), OTHERS)):
        sample = source.sample(other)
        if other != column and not isinstance(sample, np.ndarray) and looks(sample) == "numbers":
            marks.see(sample)
    return marks


# ── times ───────────────────────────────────────────────────────────────────


def _texts_of(column: np.ndarray | Texts) -> Sample:
    return column if isinstance(column, np.ndarray) else column.rows()


def _placed(
    source: Source, how: How, dated: Sequence[int], times: list, rows: np.ndarray, wanted: Sequence[int]
) -> tuple[Ordered, list[str]]:
    """The rows in order of time, and what was inferred."""
    titles, name = [source.titles[column] for column in dated], source.name
    columns = [_texts_of(column) for column in times]
    named = " and ".join(map(repr, titles))
    no_dates = "pass date=False if the rows are in order and steps of one length"
    try:
        moments, notes = moments_of(columns, titles, how.dayfirst)
    except NotATime as error:
        mixed = mixed_by(source, how, rows, columns, {*dated, *wanted})
        raise BadData(
            f"{name}: {_place(source, rows[error.place])} of column {named} holds {shown(error.text)}, which cannot be "
            f"read as a date. Write dates like 2024-01-31; or {no_dates}.{mixed}"
        ) from None
    except BadData as error:
        raise BadData(f"{name}: in column {named} {error}; or {no_dates}.") from None
    if (none := pd.isna(moments)).any():
        raise BadData(f"{name}: {_place(source, rows[int(none.argmax())])} of column {named} has no date. Mend it; or "
                      f"{no_dates}.")  # fmt: skip
    try:
        placed = ordered(moments)
    except Repeated as error:
        mixed = mixed_by(source, how, rows, columns, {*dated, *wanted})
        cure = mixed or (" Keep one row for each time: frame.drop_duplicates() or frame.groupby(...).mean() of "
                         f"pandas, and then rt.series.from_frame; or {no_dates}.")  # fmt: skip
        more = f" (and {counted(error.count - 1, 'other time')})" if error.count > 1 else ""
        where = _place(source, rows[error.place])
        raise BadData(f"{name}: {columns[0][error.place]} in {where} is there again{more}.{cure}") from None
    except Uneven as error:
        two = " and ".join(f"{columns[0][i]} ({_place(source, rows[i])})" for i in (error.place, error.after))
        raise BadData(
            f"{name}: the times in column {named} are uneven ({error.words}; look at {two}), and steps of one length "
            f"are needed. Use frame.resample(...).mean() of pandas and then rt.series.from_frame; or {no_dates}."
        ) from None
    return placed, [*notes, *placed.notes]


def _check_mixed(source: Source, how: How, rows: np.ndarray, wanted: Sequence[int]) -> None:
    """Raise if the rows seem to belong to several series."""
    if mixed := mixed_by(source, how, rows, [], set(wanted)):
        raise BadData(f"{source.name} has no column of dates.{mixed} where={{}} takes all rows as one series.")


def _on_grid(
    titles: list[str], numbers: np.ndarray, rows: np.ndarray, placed: tuple[Ordered, list[str]] | None,
    notes: list[str], how: How, source: Source,
) -> Table:  # fmt: skip
    """The table with a row for every step, and what is doubtful in it."""
    if placed is None:
        values, times, lines = numbers, None, rows
        there, step, period = np.ones(len(rows), bool), "", None
    else:
        axis, inferred = placed
        notes = [*notes, *inferred]
        places, step, period = axis.grid.places, axis.grid.step, axis.grid.period
        n = int(places[-1]) + 1 if len(places) else 0
        values, there, lines = np.full((n, numbers.shape[1]), np.nan), np.zeros(n, bool), np.full(n, -1)
        values[places], there[places], lines[places] = numbers[axis.order], True, rows[axis.order]
        times = _times_between(axis.times, places, n, step) if axis.times.dtype.kind == "M" else None
    known = np.flatnonzero(~np.isnan(values[:, 0]))
    if len(known) and (cut := len(values) - (known[-1] + 1 - known[0])):
        part = slice(known[0], known[-1] + 1)
        values, there, lines = values[part], there[part], lines[part]
        times = None if times is None else times[part]
        notes = [*notes, f"Left out: {counted(cut, 'step')} without a value of {titles[0]} at its beginning or end."]
    when = [_when(i, times, lines, source) for i in range(len(values))] if np.isnan(values).any() else []
    found = [] if how.missing is not None else [doubts.marks(values[:, c], title) for c, title in enumerate(titles)]
    found.append(doubts.gaps(values, titles, when, there))
    return Table(tuple(titles), values, times, step, period, tuple(notes), tuple(filter(None, found)))


def _times_between(times: np.ndarray, places: np.ndarray, n: int, step: str) -> np.ndarray:
    """Times of all steps, those of missing ones between their neighbours', (n,): months and days as whole ones."""
    calendar = any(word in step for word in ("month", "quarter", "year"))
    unit = "M" if calendar else "D" if any(word in step for word in ("day", "week")) else "s"
    whole = times.astype(f"datetime64[{unit}]")
    ends = calendar and (times.astype("datetime64[D]") + 1 == (whole + 1).astype("datetime64[D]")).all()
    between = np.interp(np.arange(n), places, whole.astype("i8")).round().astype("i8").astype(f"datetime64[{unit}]")
    out = ((between + 1).astype("datetime64[D]") - 1 if ends else between).astype("datetime64[ns]")
    out[places] = times
    return out


def _when(i: int, times: np.ndarray | None, lines: np.ndarray, source: Source) -> str:
    """What to call a step in a message."""
    if times is None:
        return _place(source, lines[i])
    text = str(times[i].astype("datetime64[s]")).replace("T", " ").removesuffix(":00").removesuffix(" 00:00")
    return text if lines[i] < 0 else f"{text} ({_place(source, lines[i])})"
