"""What a reader has said about a table: the arguments of `from_csv` and `from_frame` that say how it is meant."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from numbers import Real
from typing import Any

from rnntips.errors import BadData, need, shown

__all__ = ["How"]


@dataclass(frozen=True)
class How:
    """What the reader has said about a table."""

    target: str | None = None
    date: str | Sequence[str] | bool | None = None
    inputs: Sequence[str] = ()
    decimal: str | None = None
    thousands: str | None = None
    dayfirst: bool | None = None
    missing: Sequence[Any] | None = None
    where: Mapping[str, Any] | None = None

    def __post_init__(self):
        need("target", self.target, str | None, "a column's title, or None,")
        if not isinstance(self.inputs, list | tuple) or not all(isinstance(title, str) for title in self.inputs):
            raise BadData(f"inputs={shown(self.inputs)}: a list of columns is needed, for example inputs=['wind'].")
        several = isinstance(self.date, list | tuple) and self.date and all(isinstance(one, str) for one in self.date)
        if not (self.date is None or self.date is False or isinstance(self.date, str) or several):
            raise BadData(f"date={shown(self.date)}: a column's title is needed, a list of them, or False for none.")
        for name in ("decimal", "thousands"):
            value, allowed = getattr(self, name), (".", ",") if name == "decimal" else (".", ",", " ", "'", "")
            if not (value is None or (isinstance(value, str) and value in allowed)):
                raise BadData(f"{name}={shown(value)}: one of {', '.join(map(repr, allowed))} is needed.")
        if self.decimal is not None and self.decimal == self.thousands:
            raise BadData(f"decimal= and thousands= are both {self.decimal!r}. They have to differ.")
        need("dayfirst", self.dayfirst, bool | None, "True, False or None")
        marks = self.missing
        if not (marks is None or (isinstance(marks, list | tuple | set | frozenset)
                and all(isinstance(mark, str | Real) for mark in marks))):  # fmt: skip
            raise BadData(f"missing={shown(marks)}: a list of marks is needed, for example missing=[-999].")
        need("where", self.where, Mapping | None, 'a dict such as {"shop": "A"}')
        if not all(isinstance(title, str) for title in self.where or ()):
            raise BadData(f"where={shown(self.where)}: columns' titles are needed, such as {{'shop': 'A'}}.")

    @property
    def texts_missing(self) -> frozenset[str]:
        """Further marks of missing values, in small letters."""
        return frozenset(mark.strip().casefold() for mark in self.missing or () if isinstance(mark, str))

    @property
    def numbers_missing(self) -> set[float]:
        """Numbers that mark missing values."""
        found = {float(mark) for mark in self.missing or () if isinstance(mark, Real)}
        for text in self.texts_missing:
            with suppress(ValueError):
                found.add(float(text))
        return found
