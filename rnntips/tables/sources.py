"""A file or a data frame as a source of columns: texts, numbers or times."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from numbers import Real
from typing import Protocol

import numpy as np
import pandas as pd

from rnntips.errors import BadData
from rnntips.tables.files import File, Texts

__all__ = ["Frame", "Opened", "Source", "title_of", "titles_of"]

Sample = list[str] | np.ndarray  # texts, or numbers or times


class Source(Protocol):
    """A file or a frame: columns by their places."""

    name: str
    titles: list[str]
    notes: list[str]
    first: str  # what a row's number counts: "line" of a file, "row" of a frame

    def sample(self, column: int) -> Sample:
        """Its first values, as texts or as numbers or times."""

    def load(self, columns: Sequence[int]) -> tuple[np.ndarray, list]:
        """Numbers of all rows, (n,), and whole columns: `Texts`, or arrays of numbers or times."""


@dataclass(frozen=True, eq=False)
class Opened:
    """A file as a source."""

    file: File
    first: str = "line"
    name = property(lambda self: self.file.name)
    titles = property(lambda self: self.file.titles)
    notes = property(lambda self: self.file.notes)

    def sample(self, column: int) -> list[str]:
        return [row[column].strip() for row in self.file.looked_at]

    def load(self, columns: Sequence[int]) -> tuple[np.ndarray, list[Texts]]:
        return self.file.load(columns)


@dataclass(frozen=True, eq=False)
class Frame:
    """A data frame as a source; its index is a column if it has a name or holds dates."""

    name: str
    titles: list[str]
    columns: list[pd.Series]
    notes: list[str] = field(default_factory=list)
    first: str = "row"

    @classmethod
    def of(cls, frame: pd.DataFrame | pd.Series) -> "Frame":
        if isinstance(frame, pd.Series):
            frame = frame.to_frame("value" if frame.name is None else frame.name)
        if isinstance(frame.index, pd.MultiIndex) or frame.index.name is not None or not _counts(frame.index):
            index = [name if name is not None else f"index {i}" if frame.index.nlevels > 1 else "index"
                     for i, name in enumerate(frame.index.names)]  # fmt: skip
            levels = [pd.Series(frame.index.get_level_values(i)) for i in range(frame.index.nlevels)]
        else:
            index, levels = [], []
        columns = [frame.iloc[:, i].reset_index(drop=True) for i in range(frame.shape[1])]
        titles = [*map(title_of, index), *titles_of(frame)]
        return cls("the frame", titles, [*levels, *columns])

    def sample(self, column: int) -> Sample:
        return self._values(column, 500)

    def load(self, columns: Sequence[int]) -> tuple[np.ndarray, list]:
        loaded = [self._values(column) for column in columns]
        rows = np.arange(len(self.columns[0])) if self.columns else np.empty(0, int)
        return rows, [value if isinstance(value, np.ndarray) else Texts([np.array([text.encode() for text in value])])
                      for value in loaded]  # fmt: skip

    def _values(self, column: int, most: int | None = None) -> Sample:
        values, title = self.columns[column].iloc[:most], self.titles[column]
        kind = values.dtype
        if isinstance(kind, pd.CategoricalDtype):
            values = values.astype(kind.categories.dtype)
            kind = values.dtype
        if isinstance(kind, pd.PeriodDtype):
            return values.dt.to_timestamp().to_numpy("datetime64[ns]")
        if isinstance(kind, pd.DatetimeTZDtype):
            local = values.dt.tz_localize(None)
            regular = (local.dt.normalize() == local).all()
            return (local if regular else values.dt.tz_convert("UTC").dt.tz_localize(None)).to_numpy("datetime64[ns]")
        if kind.kind == "M":
            return values.to_numpy("datetime64[ns]")
        if kind.kind in "iub" or (kind.kind == "f"):
            return _floats(values, title, self.name)
        if kind.kind == "O" or isinstance(kind, pd.StringDtype):
            known = values.dropna()
            if len(known) and all(isinstance(one, Real) or type(one).__name__ == "Decimal" for one in known):
                return _floats(values, title, self.name)
            if len(known) and all(hasattr(one, "isoformat") for one in known):
                return pd.to_datetime(values).to_numpy("datetime64[ns]")
            return ["" if missing else str(one).strip() for one, missing in zip(values, values.isna(), strict=True)]
        raise BadData(f"{self.name}: column {title!r} holds {kind} values, and numbers are needed. Convert or drop it.")


def titles_of(frame: pd.DataFrame | pd.Series) -> list[str]:
    """What a frame's columns are called here: texts, and one for the levels of a MultiIndex."""
    if isinstance(frame, pd.Series):
        return ["value" if frame.name is None else title_of(frame.name)]
    return [title_of(title) for title in frame.columns]


def title_of(title: object) -> str:
    """A title as text."""
    return " ".join(str(part) for part in title if str(part)) if isinstance(title, tuple) else str(title)


def _counts(index: pd.Index) -> bool:
    """Whether an index only counts rows, or is what is left of such a count."""
    return index.dtype.kind in "iu"


def _floats(values: pd.Series, title: str, name: str) -> np.ndarray:
    """Numbers as float64, NaN where they are missing."""
    missing = values.isna().to_numpy()
    known = values[~missing]
    if len(known) and known.dtype.kind in "iuO" and max(abs(int(known.max())), abs(int(known.min()))) > 2**53:
        raise BadData(f"{name}: column {title!r} holds whole numbers above 2**53, which cannot be kept exactly. Scale "
                      "them first.")  # fmt: skip
    out = np.full(len(values), np.nan)
    out[~missing] = [float(one) for one in known] if known.dtype.kind == "O" else known.to_numpy(np.float64)
    return out
