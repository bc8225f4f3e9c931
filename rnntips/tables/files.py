"""Text as rows of fields: separator, titles, values, and lines that are neither."""

import csv
import io
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from pathlib import Path

import numpy as np

from rnntips.errors import BadData, need_whole, shown
from rnntips.tables.contents import contents, listed
from rnntips.tables.numbers import MISSING, is_number
from rnntips.tables.times import is_time

__all__ = ["File", "Texts", "opened"]

MAX_ROWS = 10_000_000
HEAD, TAIL = 2_000_000, 50_000  # bytes that are looked at to find out how a file is written
LOOKED_AT = 500  # rows, for the same
CHUNK = 100_000  # rows that are kept together
SEPARATORS = {";": "semicolons", "\t": "tabs", ",": "commas", "|": "vertical bars", " ": "spaces"}
Row = tuple[int, list[str]]  # number of its line in the file, and fields


@dataclass(frozen=True, eq=False)
class Texts:
    """One column: the fields of n rows in parts, each an array of UTF-8 bytes, which takes little memory."""

    parts: list[np.ndarray]

    def __iter__(self) -> Iterator[list[str]]:
        """Part after part as a list of texts."""
        for part in self.parts:
            yield [text.decode() for text in part.tolist()]

    def rows(self) -> list[str]:
        """All n texts."""
        return [text for part in self for text in part]

    def filled(self) -> np.ndarray:
        """Which rows have a text, (n,)."""
        return np.concatenate([part != b"" for part in self.parts] or [np.empty(0, bool)])

    def only(self, chosen: np.ndarray) -> "Texts":
        """The rows where `chosen`, (n,), is true."""
        ends = np.cumsum([len(part) for part in self.parts])[:-1]
        return Texts([part[some] for part, some in zip(self.parts, np.split(chosen, ends), strict=True)])


@dataclass(frozen=True, eq=False)
class File:
    """A file that was looked at: how it is written, its titles, and its first and last rows of values."""

    name: str
    titles: list[str]
    notes: list[str]
    text: bytes = field(repr=False)  # in UTF-8
    sep: str
    first: int  # line of the first values
    last: int

    def rows(self) -> Iterator[tuple[np.ndarray, list[list[str]]]]:
        """All rows of values in parts: the numbers of their lines, and as many fields each as there are titles.

        Raises:
            BadData: A line with more fields than there are titles, or a quotation that never ends.
        """
        wide = len(self.titles)
        reader = _reader(_lines(self.text), self.sep)
        try:
            while True:
                before = reader.line_num
                rows = list(islice(reader, CHUNK))
                lines = before + np.arange(1, len(rows) + 1)
                if reader.line_num - before != len(rows):  # fields with line breaks
                    lines = before + np.cumsum([1 + "".join(row).count("\n") for row in rows]).astype(int)
                if not rows:
                    return
                if lines[0] < self.first or lines[-1] > self.last or {*map(len, rows)} != {wide}:
                    kept = [(line, _fitted(row, wide, line, self.name)) for line, row in zip(lines, rows, strict=True)
                            if self.first <= line <= self.last and (row or wide == 1)]  # fmt: skip
                    lines, rows = np.array([line for line, _ in kept], int), [row for _, row in kept]
                yield lines, rows
        except csv.Error as error:
            raise BadData(f"{self.name} cannot be read as a table ({error}). Save it as CSV in UTF-8.") from None

    @cached_property
    def looked_at(self) -> list[list[str]]:
        """The first rows, and of a long file the last ones too."""
        parts = (rows for _, rows in self.rows())
        first = list(islice((row for rows in parts for row in rows), LOOKED_AT))
        if len(self.text) <= HEAD:
            return first
        return first + [row for _, row in _rows(_tail(self.text), self.sep, self.name) if len(row) == len(self.titles)]

    def load(self, columns: Sequence[int]) -> tuple[np.ndarray, list[Texts]]:
        """The line numbers of all rows, (n,), and these columns."""
        numbers: list[np.ndarray] = []
        parts: list[list[np.ndarray]] = [[] for _ in columns]
        for lines, rows in self.rows():
            numbers.append(lines)
            for part, column in zip(parts, columns, strict=True):
                part.append(np.array([row[column].strip().encode() for row in rows], dtype=bytes))
        return np.concatenate([*numbers, np.empty(0, int)]).astype(int), [Texts(part) for part in parts]


def _fitted(row: list[str], wide: int, line: int, name: str) -> list[str]:
    if len(row) > wide and any(field.strip() for field in row[wide:]):
        raise BadData(
            f"{name}: line {line} has {len(row)} fields, and there are {wide} titles. Mend the line; or, if its "
            "commas are decimal marks or belong to a text, save the file with semicolons or quotes; sep= names the "
            "separator."
        )
    return row[:wide] + [""] * (wide - len(row))


def opened(path: str | Path, sep: str | None, header: int | None, encoding: str | None) -> File:
    """Look at a file's first and last lines to find out how it is written.

    Raises:
        BadData: No such file, a huge one, one that is no table of text, or titles that cannot be told from values.
    """
    if sep is not None and (not isinstance(sep, str) or len(sep) != 1 or sep in '"\r\n'):
        raise BadData(f"sep={shown(sep)}: one letter that separates fields is needed, such as ',' or ';'.")
    if not (header is None or isinstance(header, bool)):
        header = need_whole("header", header, 0)
    name, text, notes = contents(path, encoding)
    head = list(islice(_lines(text[:HEAD]), LOOKED_AT + 100))
    named = re.fullmatch(r'"?sep=(.)"?', head[0].strip("\r\n")) if head else None  # written by Excel, and for it
    sep = sep or (named[1] if named else _separator(head, name))
    rows = _rows(head, sep, name)
    titles, first, more = _titles(name, rows[1:] if named else rows, sep, header)
    last, below = _footer(text, sep, len(titles))
    if last - first > MAX_ROWS:
        raise BadData(f"{name} has more than {MAX_ROWS:,} rows. Cut it to those that you need.")
    notes += [f"Fields are separated by {SEPARATORS.get(sep, sep)}."] * (sep != "," and len(titles) > 1)
    file = File(name, titles, [*notes, *more, *below], text, sep, first, last)
    if not file.looked_at:
        raise BadData(f"{name} has no line of values; a header line and one line for every step are needed.")
    return file


def _lines(text: bytes) -> Iterator[str]:
    """Lines with their ends, of bytes in UTF-8."""
    return io.TextIOWrapper(io.BytesIO(text), "utf-8-sig", "replace", newline="")


def _tail(text: bytes) -> list[str]:
    """The last lines."""
    lines = list(_lines(text[-TAIL:]))
    return lines[1:] if len(text) > TAIL else lines


def _reader(lines: Iterable[str], sep: str):
    """A reader of rows of fields."""
    if sep == " ":
        lines = (line.replace("\t", " ").strip() + "\n" for line in lines)
    return csv.reader(lines, delimiter=sep, skipinitialspace=sep in " ,;|")


def _rows(lines: list[str], sep: str, name: str) -> list[Row]:
    """Rows that are not empty, without those in which a quotation never ends."""
    try:
        reader = _reader(lines, sep)
        return [(reader.line_num, row) for row in reader if any(field.strip() for field in row)]
    except csv.Error as error:
        raise BadData(f"{name} cannot be read as a table of text ({error}). Save it as CSV in UTF-8.") from None


def _kind(field: str) -> str:
    """What a field looks like: "missing", "time", "number" or "text"."""
    field = field.strip()
    if field.casefold() in MISSING:
        return "missing"
    return "time" if is_time(field) else "number" if is_number(field) else "text"


def _kinds(rows: list[list[str]], column: int) -> str:
    """What most fields of a column look like that are not missing."""
    found = Counter(_kind(row[column]) for row in rows if column < len(row))
    del found["missing"]
    return found.most_common(1)[0][0] if found else "missing"


def _width(rows: list[list[str]]) -> tuple[int, float]:
    """The number of fields that most rows have, and the share of rows that have so many."""
    wide, times = Counter(map(len, rows)).most_common(1)[0]
    return wide, times / len(rows)


def _separator(lines: list[str], name: str) -> str:
    """The separator that makes the most columns of numbers and times, in rows of one length."""
    best, found = 0.0, ","
    for sep in SEPARATORS:
        rows = []
        with suppress(BadData):  # a line without this separator may be too long for a field
            rows = [row for _, row in _rows(lines, sep, name) if not row[0].startswith("#")]
        if not rows:
            continue
        wide, share = _width(rows)
        alike = [row for row in rows if len(row) == wide][-50:]
        some = range(0, wide, max(1, wide // 50))
        readable = sum(_kinds(alike, column) != "text" for column in some) / len(some)
        if wide > 1 and (score := share * (0.01 + readable)) > best + 1e-9:
            best, found = score, sep
    return found


def _titles(name: str, filled: list[Row], sep: str, header: int | None) -> tuple[list[str], int, list[str]]:
    """Titles, the number of the first line of values, and what was inferred from the filled rows."""
    if len(filled) < 2:
        raise BadData(f"{name} has {len(filled)} line(s); a header line and one line for every step are needed.")
    body = [row for _, row in filled if not row[0].startswith("#")] or [row for _, row in filled]
    wide = _width(body[-100:])[0]
    alike = [row for row in body if len(row) == wide][-100:]
    kinds = [_kinds(alike[min(3, len(alike) // 2) :], column) for column in range(wide)]
    while wide > 1 and kinds[-1] == "missing" and any(len(row) < wide for _, row in filled[:1]):
        wide, kinds = wide - 1, kinds[:-1]  # every row ends with a separator
    if header is not None and not header:
        first = next(line for line, row in filled if len(row) >= wide and not row[0].startswith("#"))
        return [f"column {c + 1}" for c in range(wide)], first, []
    if header is None:
        place = _title_line(name, filled, wide, kinds)
    else:
        place = next((i for i, (line, _) in enumerate(filled) if line == int(header)), None)
        if place is None or place + 1 == len(filled):
            raise BadData(f"{name}: header={header} is the number of no line that values follow.")
    line, row = filled[place]
    titles = [field.strip() for field in row]
    titles[0] = titles[0].lstrip("# ") or titles[0]
    notes = []
    if before := [row for _, row in filled[:place]]:
        notes.append(f"Before the titles in line {line} there is: {shown(_joined(before))}")
    more = [] if wide == 1 else _more_titles(filled[place + 1 :], kinds)
    if more:
        notes.append(f"More of the titles were found below line {line}: {shown(_joined(more))}")
        twice = Counter(titles)
        for lower in more:
            titles = [f"{title} {field.strip()}".strip() if twice[title] > 1 else title
                      for title, field in zip(titles, lower, strict=False)]  # fmt: skip
    if len(titles) == wide - 1 and _row_names(filled[place + 1 + len(more) :], sep):
        titles = ["", *titles]
        notes.append("The first field of every line was taken as the name of its row.")
    while len(titles) > wide and not titles[-1]:
        titles.pop()
    if len(titles) != wide:
        at, row = next(both for both in filled[place + 1 :] if len(both[1]) == wide)
        cure = "Mend one of them"
        if sep == "," and len(titles) < wide:
            cure = "If its commas are decimal marks, "
            cure += "pass sep=';'" if len(titles) == 1 else "save the file with semicolons between the fields"
        raise BadData(f"{name}: line {at} has {wide} fields, and the titles in line {line} are {len(titles)} "
                      f"({listed(titles)}). {cure}; sep= names the separator, header= the line of titles.")  # fmt: skip
    titles = [title or f"column {c + 1}" for c, title in enumerate(titles)]
    return titles, filled[place + len(more)][0] + 1, notes


def _title_line(name: str, filled: list[Row], wide: int, kinds: list[str]) -> int:
    """The place of the line with the titles: the first with as many fields as the values have, or one fewer."""
    for i, (line, row) in enumerate(filled):
        while len(row) != wide and row and not row[-1].strip():
            row = row[:-1]
        after = next((later for _, later in filled[i + 1 :]), [])
        fewer = len(row) == wide - 1 and not (len(after) == wide and _all_texts(after))
        if not (len(row) == wide or fewer):
            continue
        comment = row[0].startswith("#")
        if comment and (len(row) != wide or not after or after[0].startswith("#") or _all_texts(after)):
            continue
        looks = [_kind(field) for field in row]
        if len(row) == wide:
            above = {look for look, kind in zip(looks, kinds, strict=True) if kind in ("number", "time")}
            if "time" in above or "text" not in (above if "number" in above else looks):
                raise BadData(
                    f"{name}: line {line} holds values and not titles, or titles that are numbers: "
                    f"{shown(_joined([row]))} If these are values, pass header=0: the columns are then called "
                    f"'column 1', 'column 2' and so on; if they are titles, pass header={line}."
                )
        return i
    raise BadData(f"{name}: no line of titles was found. Pass header= with its number, or header=0 if there is none.")


def _all_texts(row: list[str]) -> bool:
    looks = {_kind(field) for field in row}
    return "text" in looks and looks <= {"text", "missing"}


def _more_titles(after: list[Row], kinds: list[str]) -> list[list[str]]:
    """Lines below the titles that hold texts alone, such as units: some above numbers or times, none above texts."""
    found = []
    for _, row in after[:5]:
        looks = [_kind(field) for field in row]
        if len(row) != len(kinds) or not _all_texts(row):
            break
        above = {kind for look, kind in zip(looks, kinds, strict=True) if look == "text"}
        if not above & {"number", "time"} or "text" in above:
            break
        found.append(row)
    return found


def _row_names(rows: list[Row], sep: str) -> bool:
    """Whether the first fields can be names of rows, which R writes without a title."""
    names = [row[0].strip() for _, row in rows if row]
    counted = names[:50] == [str(i + 1) for i in range(len(names[:50]))]
    return counted if sep == "," else counted or not any(is_number(one) for one in names)


def _footer(text: bytes, sep: str, wide: int) -> tuple[int, list[str]]:
    """The number of the last line of values, and a note of the texts below it, such as a source."""
    lines, foot = _tail(text), []
    last = max(text.count(b"\n"), text.count(b"\r")) + (not text.endswith((b"\n", b"\r")))
    for line in reversed(lines if wide > 1 else []):
        row = next(csv.reader([line], delimiter=sep), [])
        if len(row) >= wide or not (_all_texts(row) or not row):
            break
        foot, last = [row, *foot] if row else foot, last - 1
    return last, [f"Below the values there is: {shown(_joined(foot))}"] * bool(foot)


def _joined(rows: Iterable[Sequence[str]]) -> str:
    return " / ".join(", ".join(field.strip() for field in row if field.strip()) for row in rows)
