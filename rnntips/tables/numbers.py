"""Texts as numbers: decimal and thousands marks, missing marks, signs and units that stand with a number."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from rnntips.errors import BadArgument, BadData, shown

__all__ = ["MISSING", "Marks", "Style", "as_numbers", "is_number", "style_of"]

MISSING = frozenset(  # in small letters
    ["", "na", "n/a", "#n/a", "#na", "n.a.", "nan", "null", "none", "nil", "nat", "missing", "-", "--", "---", "–", "—",
     ".", "..", "...", "?", "*", "**", "***", "\\n", "#value!", "#ref!", "#div/0!", "#num!", "<na>"]
)  # fmt: skip
SPACES = " \u00a0\u2007\u2009\u202f"  # between groups of three digits, as are the two apostrophes
APOSTROPHES = "'’"
LARGE = {"k": "e3", "m": "e6", "b": "e9", "bn": "e9"}
BODY = rf"\d[\d.,{SPACES}{APOSTROPHES}]*|[.,]\d+"
WRITTEN = re.compile(
    rf"(?P<minus>[-−+(]?)\s?[$€£¥]?\s?(?P<minus2>[-−+]?)(?P<body>{BODY})(?P<power>[eE][-+]?\d+)?\s?"
    r"(?P<unit>%|[$€£¥]|[kKmMbB]|[bB]n)?(?P<close>\)?)"
)
ONE = r"[-+]?(?:[0-9]++(?:\.[0-9]*+)?|\.[0-9]++)(?:[eE][-+]?[0-9]++)?"
PLAIN, ALL_PLAIN = re.compile(ONE), re.compile(rf"{ONE}(?:\n{ONE})*")
LONGEST = 40  # letters of an example in a message
GROUPED = re.compile(r"\d{1,3}(?:,\d{3})+|\d{1,2}(?:,\d{2})*,\d{3}")  # the second as in India


def is_number(text: str) -> bool:
    """Whether a text may be a number, whatever its marks mean."""
    found = WRITTEN.fullmatch(text)
    return bool(found) and (found["minus"] == "(") == bool(found["close"])


@dataclass(frozen=True)
class Style:
    """How numbers are written: "." or "," before the decimals, and what groups thousands ("" for nothing)."""

    decimal: str = "."
    thousands: str = ""


@dataclass
class Marks:
    """What the numbers of a column show about their marks, one text after another."""

    decimals: dict[str, str] = field(default_factory=dict)  # mark → a number in which it can be nothing else
    thousands: dict[str, str] = field(default_factory=dict)
    open: dict[str, str] = field(default_factory=dict)  # mark → a number in which it may be either, as in 1.234
    bare: str = ""  # a number without marks
    long: str = ""  # one of four digits and more: thousands are not grouped
    zero: dict[str, str] = field(default_factory=dict)  # mark → a number that may be either, and ends in 0

    def see(self, texts: Iterable[str]) -> None:
        """Look at these texts too."""
        for text in texts:
            if "." in self.decimals and PLAIN.fullmatch(text):
                continue  # nothing new
            if (found := WRITTEN.fullmatch(text)) is None:
                continue
            body, powered = found["body"].strip(), found["power"]
            for mark in {" " if c in SPACES else "'" for c in body if c in SPACES + APOSTROPHES}:
                self.thousands.setdefault(mark, text)
            grouped = len(body) > len(body := re.sub(rf"[{SPACES}{APOSTROPHES}]", "", body))
            last = max(body.rfind("."), body.rfind(","))
            if last < 0:
                self.bare = self.bare or text
                self.long = self.long or (text if len(body) > 3 and not grouped else "")
                continue
            mark, left, right = body[last], body[:last], body[last + 1 :]
            other = "," if mark == "." else "."
            if other in left:
                self.decimals.setdefault(mark, text)
                self.thousands.setdefault(other, text)
            elif mark in left:
                self.thousands.setdefault(mark, text)
            elif len(right) != 3 or not 1 <= len(left) <= 3 or left[0] == "0" or powered or grouped:
                self.decimals.setdefault(mark, text)
            else:
                self.open.setdefault(mark, text)
                if right.endswith("0"):
                    self.zero.setdefault(mark, text)


def style_of(
    marks: Marks, title: str, elsewhere: Marks, decimal: str | None = None, thousands: str | None = None
) -> tuple[Style, list[str]]:
    """How a column's numbers are written, and a note where that was inferred.

    Args:
        marks: What the column shows.
        title: The column's, for messages.
        elsewhere: What the other columns of the file show.
        decimal, thousands: What the reader has said.

    Raises:
        BadData: It can be one or the other; both readings are shown.
    """
    if decimal is not None or thousands is not None:
        if decimal is None:
            decimal = "," if thousands == "." else "."
        return Style(decimal, thousands or ""), []
    decimals, groups = dict(marks.decimals), dict(marks.thousands)
    why = ""
    for mark, example in marks.open.items():
        other = "," if mark == "." else "."
        if mark in decimals or mark in groups:
            continue
        if other in decimals:
            groups[mark] = example
        elif other in groups or marks.long:
            decimals[mark] = example
        elif marks.bare and mark in marks.zero and len(marks.open) == 1:
            # decimals that are cut have no 0 at their end, and decimals that are not cut leave no number bare
            groups[mark], why = example, f", since it also has {marks.bare} and {marks.zero[mark]}"
        elif len(elsewhere.decimals) == 1 and len(marks.open) == 1:
            (known,) = elsewhere.decimals
            (decimals if mark == known else groups)[mark] = example
            why = f", since another column has {elsewhere.decimals[known]}"
        else:
            digits = example.replace(mark, "")
            raise BadData(
                f"column {title!r} holds {example}, which may be {example.replace(mark, '.')} or {digits}. Pass "
                f'decimal="{mark}" or thousands="{mark}".'
            )
    if len(decimals) > 1 or len(groups) > 1 or decimals.keys() & groups.keys():
        both = " and ".join(map(_short, dict.fromkeys([*decimals.values(), *groups.values()])))
        raise BadData(f"column {title!r} holds {both}, which are written in different ways. Mend it, or name decimal= "
                      "and thousands=.")  # fmt: skip
    style = Style(next(iter(decimals), "," if "." in groups else "."), next(iter(groups), ""))
    taken = [(mark, example, "to group thousands") for mark, example in groups.items()]
    taken += [(",", decimals[","], "as the decimal mark")] if "," in decimals else []
    notes = []
    for mark, example, how in taken:
        if (number := _number(example, style)) is not None:  # else its row is named, later
            notes.append(f"{title}: “{mark}” was taken {how} ({_short(example)} = {number:.12g}){why}.")
    return style, notes


def _short(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


def as_numbers(texts: Sequence[str], style: Style, missing: frozenset[str]) -> tuple[np.ndarray, set[str]]:
    """Numbers, (n,), NaN where a text is a missing mark, and the units that stood with them ("" for none).

    Raises:
        NotANumber: One of the texts is none; it has its place.
    """
    if style.decimal == "." and ALL_PLAIN.fullmatch("\n".join(texts)):
        return np.array(texts).astype(np.float64), {""}
    units: set[str] = set()
    known: dict[str, float | None] = {}
    out = np.empty(len(texts))
    for i, text in enumerate(texts):
        if text not in known:
            small = text.casefold()
            known[text] = np.nan if small in MISSING or small in missing else _number(text, style, units)
            if known[text] is None:
                raise NotANumber(i, text)
        out[i] = known[text]
    return out, units


class NotANumber(BadArgument):
    """A text that is no number; `place` is its place among the texts."""

    def __init__(self, place: int, text: str):
        super().__init__(f"{shown(text)} is not a number")
        self.place, self.text = place, text


def _number(text: str, style: Style, units: set[str] | None = None) -> float | None:
    """The number that a text stands for in this style, or None."""
    found = WRITTEN.fullmatch(text)
    if found is None or (found["minus"] == "(") != bool(found["close"]) or (found["minus"] and found["minus2"]):
        return None
    body = found["body"].strip()
    spaces = style.thousands if style.thousands in (" ", "'") else ""
    if spaces:
        body = re.sub(f"[{SPACES if spaces == ' ' else APOSTROPHES}]", " ", body)
    whole, *decimals = body.split(style.decimal)
    if len(decimals) > 1:
        return None
    mark = " " if spaces else style.thousands
    if mark and mark in whole:
        if not GROUPED.fullmatch(whole.replace(mark, ",")):
            return None
        whole = whole.replace(mark, "")
    if not all(part.isascii() and (part.isdigit() or not part) for part in (whole, *decimals)):
        return None
    unit = (found["unit"] or "").lower()
    if found["power"] and unit in LARGE:
        return None
    if units is not None:
        units.add(unit)
    sign = "-" if found["minus"] in ("-", "−", "(") or found["minus2"] in ("-", "−") else ""
    return float(f"{sign}{whole or 0}.{''.join(decimals) or 0}{found['power'] or LARGE.get(unit, '')}")
