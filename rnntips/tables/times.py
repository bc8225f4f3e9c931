"""Texts and numbers as times: which formats read all of them, and which of two readings is meant."""

import re
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import product

import numpy as np
import pandas as pd

from rnntips.errors import BadData, shown
from rnntips.tables.grid import Irregular, grid_of

__all__ = ["FIRST_YEAR", "LAST_YEAR", "is_clock", "is_dated", "is_time", "times_of", "times_of_numbers"]

DAYS = [
    *"%Y-%m-%d %Y/%m/%d %Y.%m.%d %Y%m%d %y-%m-%d %y/%m/%d %y.%m.%d %d.%m.%Y %d.%m.%y %d-%m-%Y %m-%d-%Y %d-%m-%y "
    "%m-%d-%y %d/%m/%Y %m/%d/%Y %d/%m/%y %m/%d/%y %d-%b-%Y %d-%b-%y %d/%b/%Y %d-%B-%Y %Y-%b-%d %d%b%Y".split(),
    "%d %b %Y", "%d %B %Y", "%d. %B %Y", "%d. %b %Y", "%b %d, %Y", "%B %d, %Y", "%b %d %Y", "%B %d %Y",
    "%Y %b %d", "%a, %d %b %Y", "%a %b %d %Y", "%A, %d %B %Y", "%A, %B %d, %Y", "%a %d %b %Y",
]  # fmt: skip
MONTHS = [*"%Y-%m %Y/%m %Y.%m %m/%Y %m.%Y %m-%Y %YM%m %Ym%m %b-%Y %B-%Y %b-%y %Y-%b %Y-%B %b/%Y %Y%b %b%Y".split(),
          "%b %Y", "%B %Y", "%b, %Y", "%B, %Y", "%Y %b", "%Y %B", "%b %y", "%Y M%m", "%Y %m"]  # fmt: skip
CLOCKS = ["%H:%M", "%H:%M:%S", "%H:%M:%S.%f", "%I:%M %p", "%I:%M:%S %p", "%I:%M%p", "%I:%M:%S%p", "%I %p", "%H.%M",
          "%H.%M.%S", "%H:%M h", "%H:%M Uhr", "%Hh", "%H", "%H%M", "%H%M UTC", "%Hh%M", "%H:%M UTC"]  # fmt: skip
CLOCK = re.compile(
    r"\d{1,2}(:\d{2}){1,2}([.,]\d+)?( ?[apAP][mM])?( h| Uhr| UTC)?|\d{1,2}(\.\d{2}){1,2}|\d{1,2}h(\d{2})?|\d{4} UTC"
)
QUARTER = re.compile(r"(?P<year>\d{4})[-: ]?[QqKT](?P<part>[1-4])|[QqKT](?P<part2>[1-4])[- /]?(?P<year2>\d{4})")
WEEK = re.compile(r"(\d{4})-?[WwK]W?-?(\d{1,2})(?:-(\d))?")
NAMES = r"[^\W\d_]{3,9}"
DATED = re.compile(
    rf"\d{{4}}[-/.]\d{{1,2}}([-/.]\d{{1,2}})?([T ]\S.*)?|\d{{1,2}}[-/.]\d{{1,2}}[-/.]\d{{2,4}}([T ,]+\S.*)?|"
    rf"\d{{1,2}}[-/.]\d{{4}}|\d{{4}} ?[Mm]\d{{1,2}}|"
    rf"({NAMES},? )?({NAMES},?[-/ ](\d{{1,2}},?[-/ ])?(\d{{4}}|\d{{2}})|"
    rf"\d{{1,2}}[-/.]?[-/ ]?{NAMES}[-/ ]?(\d{{4}}|\d{{2}})|"
    rf"\d{{4}}[-/ ]{NAMES}([-/ ]\d{{1,2}})?)( \d{{1,2}}:.*)?"
)
SAMPLE = 200  # texts on which formats are tried first
FIRST_YEAR, LAST_YEAR = 1500, 2200  # whole numbers outside are no years


def is_time(text: str) -> bool:
    """Whether a text looks like a date, a time of day, a month, a quarter or a week."""
    if not text[:1].isalnum() or not any(letter.isdigit() for letter in text):
        return False
    if DATED.fullmatch(text):
        named = re.search(NAMES, text)
        # "1.2024" and "2020.10" are numbers, unless all of a column are months: a column decides, not one text
        return not re.fullmatch(r"\d+\.\d+", text) and (named is None or _month(named[0]) or ":" in text or "T" in text)
    return bool((CLOCK.fullmatch(text) and not re.fullmatch(r"\d+\.\d+", text)) or QUARTER.fullmatch(text)
                or WEEK.fullmatch(text))  # fmt: skip


def is_clock(text: str) -> bool:
    """Whether a text may be a time of day without a date; 10.03.04 may be either."""
    return bool(CLOCK.fullmatch(text))


def is_dated(text: str) -> bool:
    """Whether a text may be a date, with or without a time of day."""
    return is_time(text) and not (is_clock(text) and not DATED.fullmatch(text))


def _month(word: str) -> bool:
    return word[:3].lower() in "jan feb mar apr may jun jul aug sep oct nov dec mon tue wed thu fri sat sun".split()


def times_of(texts: Sequence[str], dayfirst: bool | None = None, clock: bool = False) -> tuple[np.ndarray, str]:
    """Times, (n,) datetime64[ns] in the file's own order, and how they were understood where that was inferred.

    Args:
        texts: Dates, with or without a time of day; empty ones become NaT.
        dayfirst: Whether 05/01/2024 is in January; None: as the texts show.
        clock: They are times of day alone, and 24:00 is the next day's begin.

    Raises:
        BadData: Not all of them can be read in one format, or several readings are left.
    """
    places, distinct = pd.factorize(np.array(texts, dtype=object))
    filled = pd.Index([text for text in distinct if text])
    if not len(filled):
        raise BadData("it is empty")
    readings = {name: found for name, found in _readings(filled, clock) if _allowed(name, dayfirst)}
    if not readings:
        at = _misfit(filled, clock)
        first = next(i for i, text in enumerate(texts) if text == at)
        raise NotATime(first, at)
    all_times = {}
    for name, found in readings.items():
        times = np.full(len(distinct), np.datetime64("NaT"), dtype="datetime64[ns]")
        times[[bool(text) for text in distinct]] = found
        all_times[name] = times[places]
    left = all_times
    if len(all_times) > 1:
        disorder = {name: _disorder(times) for name, times in all_times.items()}
        left = {name: all_times[name] for name in disorder if disorder[name] == min(disorder.values())}
    if len({times.tobytes() for times in left.values()}) > 1:
        shown_at = next(i for i, text in enumerate(texts) if text and len({str(t[i]) for t in left.values()}) > 1)
        both = " or ".join(dict.fromkeys(str(times[shown_at])[:10] for times in left.values()))
        raise BadData(f"{texts[shown_at]!r} may be {both}; pass dayfirst=True or dayfirst=False")
    name, times = next(iter(left.items()))
    two_digits = "%y" in name
    if two_digits:
        known = times[~np.isnat(times)]
        if known.max() > np.datetime64("now") + np.timedelta64(366, "D") or _back_and_forth(known):
            raise BadData(f"{texts[0]!r} has a year of two digits, whose century is not clear; write years with four")
    example = next(i for i, text in enumerate(texts) if text)
    inferred = len(readings) > 1 or two_digits
    return times, f"{texts[example]} is {str(times[example])[:10]}" if inferred else ""


def _misfit(texts: pd.Index, clock: bool) -> str:
    """The text that keeps a format from reading all of them."""
    common = pd.Series([_skeleton(text) for text in texts[:SAMPLE]]).mode()[0]
    read = [~_parsed(texts, form).isna() for form in _formats(clock).get(common, ())]
    most = max(read, key=lambda one: one.sum(), default=np.array([is_time(text) for text in texts]))
    return texts[0] if most.all() else texts[int(np.argmin(most))]


class NotATime(BadData):
    """A text that is no date; `place` is its place among the texts."""

    def __init__(self, place: int, text: str):
        super().__init__(f"{shown(text)} is not a date that can be read")
        self.place, self.text = place, text


def _allowed(name: str, dayfirst: bool | None) -> bool:
    if dayfirst is None or not name.startswith(("%d", "%m")) or re.match("%d[.]|%d.?%[bB]|%m.%Y", name):
        return True
    return name.startswith("%d") == dayfirst


def _disorder(times: np.ndarray) -> tuple[bool, int]:
    """How little the times look like a series: whether they go back and forth, and how many steps are missing."""
    known = times[~np.isnat(times)]
    try:
        places = grid_of(np.unique(known)).places
    except Irregular:
        return _back_and_forth(known), len(times) ** 2
    return _back_and_forth(known), int(places[-1]) + 1 - len(places)


def _back_and_forth(times: np.ndarray) -> bool:
    steps = np.diff(times.view("i8"))
    return bool((steps > 0).any() and (steps < 0).any())


def _readings(texts: pd.Index, clock: bool) -> Iterator[tuple[str, np.ndarray]]:
    """All readings of texts that are not empty: a name, and the times, (n,)."""
    some = texts[:: max(1, len(texts) // SAMPLE)]
    quarters, weeks = [QUARTER.fullmatch(text) for text in some], [WEEK.fullmatch(text) for text in some]
    if all(quarters):
        found = [QUARTER.fullmatch(text) for text in texts]
        if all(found):
            parts = [(one["year"] or one["year2"], one["part"] or one["part2"]) for one in found]
            yield "quarter", np.array([f"{year}-{3 * int(part) - 2:02d}" for year, part in parts], "datetime64[ns]")
        return
    if all(weeks):
        found = [WEEK.fullmatch(text) for text in texts]
        iso = pd.to_datetime([f"{m[1]}-{int(m[2]):02d}-{m[3] or 1}" if m else "" for m in found],
                             format="%G-%V-%u", errors="coerce")  # fmt: skip
        if not iso.isna().any():
            yield "week", iso.to_numpy("datetime64[ns]")
        return
    if all(re.fullmatch(r"\d{4}", text) for text in some):
        years = [int(text) if re.fullmatch(r"\d{4}", text) else 0 for text in texts]
        if all(FIRST_YEAR <= year <= LAST_YEAR for year in years):
            yield "%Y", np.array([str(year) for year in years], "datetime64[ns]")
        return
    if not clock and (some.str.contains(r"\d[T ]?\d*:?\d*(?:Z|[-+]\d\d:?\d\d| UTC)$", regex=True).all()
                      and some.str.contains(":").all() and some.str.match(r"\d{4}-\d\d-\d\d[T ]").all()):  # fmt: skip
        yield from _with_zone(texts)
        return
    plain = some.str.replace("T", " ", regex=False) if some.str.match(r"\d{4}\D?\d\d\D?\d\dT").all() else some
    whole = texts.str.replace("T", " ", regex=False) if plain is not some else texts
    for form in _formats(clock).get(_skeleton(plain[0]), ()):
        if pd.isna(_parsed(plain, form)).any():
            continue
        found = _parsed(whole, form)
        if not pd.isna(found).any():
            yield form, found.to_numpy("datetime64[ns]")


@cache
def _formats(clock: bool) -> dict[str, list[str]]:
    """Formats by the skeleton of the texts that they read."""
    forms = CLOCKS if clock else [
        *DAYS, *MONTHS, *(f"{day}{between}{time}" for day, between, time in product(DAYS, (" ", ", "), CLOCKS)),
        "%Y%m%d%H", "%Y%m%d%H%M", "%Y%m%d%H%M%S", "%Y%m%d:%H%M", "%Y-%m-%d:%H", "%Y-%m-%d-%H", "%Y%m%d%H:%M",
        "%d%b%Y:%H:%M:%S",
    ]  # fmt: skip
    found: dict[str, list[str]] = {}
    for form in forms:
        found.setdefault(_skeleton(re.sub("%[bBaAp]", "a", re.sub("%[YymdHIMSf]", "0", form))), []).append(form)
    return found


def _skeleton(text: str) -> str:
    """A text with one 0 for every run of digits and one a for every run of letters."""
    return re.sub(r"[^\W\d_]+", "a", re.sub(r"\d+", "0", text))


def _parsed(texts: pd.Index, form: str) -> pd.DatetimeIndex:
    digits = form.replace("%Y", "0000").replace("%m", "00").replace("%d", "00").replace("%H", "00")
    digits = digits.replace("%M", "00").replace("%S", "00")
    if digits.isdigit() and len(digits) > 4 and (texts.str.len() != len(digits)).any():
        return pd.DatetimeIndex([pd.NaT])  # the parser would take 2024111 as a date
    found = pd.to_datetime(texts, format=form, errors="coerce")
    if "%H" in form and found.isna().any():
        midnight = r"(^|[ T,])24(?=[:.h]00|$| ?Uhr|h)"  # the end of a day
        late = texts.str.contains(midnight.replace("(^", "(?:^"), regex=True)
        earlier = texts.str.replace(midnight, r"\g<1>00", regex=True)
        return pd.to_datetime(earlier, format=form, errors="coerce") + pd.to_timedelta(late.astype(int), unit="D")
    return found


def _with_zone(texts: pd.Index) -> Iterator[tuple[str, np.ndarray]]:
    """Times with their distance from UTC: as clocks on the spot showed them if these are regular days, else in UTC."""
    plain = texts.str.replace(" UTC", "Z", regex=False).str.replace(r" (?=[-+]\d\d:?\d\d$)", "", regex=True)
    universal = pd.to_datetime(plain, format="ISO8601", utc=True, errors="coerce")
    if universal.isna().any():
        return
    local = pd.to_datetime(plain.str.replace(r"(Z|[-+]\d\d:?\d\d)$", "", regex=True), format="ISO8601", errors="coerce")
    if not local.isna().any() and local.normalize().equals(local):
        yield "local", local.to_numpy("datetime64[ns]")
    else:
        yield "UTC", universal.tz_localize(None).to_numpy("datetime64[ns]")


def times_of_numbers(numbers: np.ndarray) -> tuple[np.ndarray | None, str]:
    """Whole numbers as times: years, 20240131 and longer, or seconds or milliseconds since 1970; else None, ""."""
    known = numbers[~np.isnan(numbers)]
    if not len(known) or (known != np.round(known)).any() or known.min() < FIRST_YEAR:
        return None, ""
    texts = np.array(["" if np.isnan(number) else f"{number:.0f}" for number in numbers], dtype=object)
    lengths = {len(text) for text in texts if text}
    if len(lengths) > 1:
        return None, ""
    if lengths <= {4} and known.max() <= LAST_YEAR:
        return np.array([text or "NaT" for text in texts], "datetime64[ns]"), ""
    form = {6: "%Y%m", 8: "%Y%m%d", 10: "%Y%m%d%H", 12: "%Y%m%d%H%M", 14: "%Y%m%d%H%M%S"}.get(min(lengths))
    if form and FIRST_YEAR <= int(f"{known.min():.0f}"[:4]) and int(f"{known.max():.0f}"[:4]) <= LAST_YEAR:
        found = pd.to_datetime(pd.Index(texts), format=form, errors="coerce")
        if (found.isna() == (texts == "")).all():
            return found.to_numpy("datetime64[ns]"), f"{texts[texts != ''][0]} is {str(found[texts != ''][0])[:16]}"
    steps = np.diff(known)  # large numbers are times if they never go back and most are equally far apart
    one_way = (steps >= 0).all() or (steps <= 0).all()
    regular = len(steps) > 1 and one_way and (steps == np.median(steps)).mean() > 0.5
    for length, unit in ((10, "s"), (13, "ms")):
        if lengths == {length} and regular:
            found = pd.to_datetime(pd.Index(numbers), unit=unit, errors="coerce")
            return found.to_numpy("datetime64[ns]"), f"{texts[texts != ''][0]} is {found.dropna()[0]}"
    return None, ""
