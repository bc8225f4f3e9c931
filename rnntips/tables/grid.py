"""Times as steps of a regular grid: weekends, holidays, month lengths and daylight-saving hours are no gaps."""

from dataclasses import dataclass

import numpy as np

from rnntips.errors import counted

__all__ = ["Grid", "Irregular", "grid_of", "grid_of_numbers", "without_daylight_saving"]

NANOSECONDS = {"day": 86_400 * 10**9, "hour": 3600 * 10**9, "minute": 60 * 10**9, "second": 10**9}
DAY, HOUR = NANOSECONDS["day"], NANOSECONDS["hour"]
TOLERANCE = 0.25  # of a step: how far a time may lie from its place
HOLIDAYS = 10  # working days in a row without a value that are no gap where weekends have none either
RARE = 0.02  # share of weeks; a weekday on which fewer have a row is a day off
SEASONS = {"hour": 24, "day": 7, "weekday": 5, "week": 52, "month": 12, "quarter": 4}  # steps of the usual season
MANY_NIGHTS = 0.6  # share of the days that must end with a pause


class Irregular(ValueError):
    """Times without a common step; the text says where."""

    def __init__(self, place: int, words: str):
        super().__init__(words)
        self.place = place


@dataclass(frozen=True, eq=False)
class Grid:
    """Which step of a regular grid each row is.

    Args:
        places: (n,) ascending, from 0; where neighbours differ by more than 1, steps are missing.
        step: In words: "1 hour", "1 weekday"; "" for numbers.
        period: Steps of the usual season, or None.
        notes: What is no gap, in sentences.
    """

    places: np.ndarray
    step: str
    period: int | None
    notes: tuple[str, ...] = ()


def grid_of(times: np.ndarray) -> Grid:
    """The grid of ascending times, (n,) datetime64[ns].

    Raises:
        Irregular: There is no common step.
    """
    moments = times.astype("datetime64[ns]").view("i8")
    if len(moments) < 3:
        return Grid(np.arange(len(moments)), "", None)
    if (moments % DAY == moments[0] % DAY).all():
        return _of_days(times, moments // DAY)
    return _of_moments(moments)


def grid_of_numbers(numbers: np.ndarray) -> Grid:
    """The same for ascending numbers, (n,): a count of rows, seconds since the start."""
    if len(numbers) < 3:
        return Grid(np.arange(len(numbers)), "", None)
    places = _multiples(numbers, _usual(np.diff(numbers)), "")
    return Grid(places, "", None)


def _usual(steps: np.ndarray) -> float:
    """The step that occurs most often; of several the smallest."""
    rounded, times = np.unique(np.round(steps, 9) if steps.dtype.kind == "f" else steps, return_counts=True)
    return rounded[times.argmax()] if times.max() > 0.3 * len(steps) else np.median(steps)


def _multiples(moments: np.ndarray, step: float, unit: str) -> np.ndarray:
    """Places on a grid of multiples of a step."""
    steps = np.diff(moments) / step
    whole = np.maximum(np.round(steps), 1)
    off = np.abs(steps - whole) > TOLERANCE
    if off.any() or (whole == 1).mean() < 0.5:
        place = int(off.argmax()) if off.any() else int(whole.argmax())
        raise Irregular(place, f"steps between {steps.min() * step:g} and {steps.max() * step:g}{unit}")
    return np.concatenate([[0], whole.cumsum()]).astype(int)


def _of_days(times: np.ndarray, days: np.ndarray) -> Grid:
    steps = np.diff(days)
    months = times.astype("datetime64[M]").view("i8")
    if steps.min() >= 27 and (jumps := np.diff(months)).min() >= 1:
        base = int(_usual(jumps))
        if (jumps % base == 0).all() and base in (1, 2, 3, 4, 6, 12):
            name = {1: "month", 3: "quarter", 12: "year"}.get(base)
            return Grid((months - months[0]) // base, f"1 {name}" if name else f"{base} months",
                        SEASONS.get(name) or (12 // base if base < 12 else None))  # fmt: skip
    base = int(_usual(steps))
    if base == 7:
        weeks = np.round(steps / 7)
        if (np.abs(steps - 7 * weeks) <= 2).all() and weeks.min() >= 1:
            return Grid(np.concatenate([[0], weeks.cumsum()]).astype(int), "1 week", SEASONS["week"])
    if base == 1:
        return _of_single_days(days)
    places = _multiples(days, base, " days")
    return Grid(places, f"{base} days", None)


def _of_single_days(days: np.ndarray) -> Grid:
    """Places of days: weekdays on which there is never a row are days off, and so are then single holidays."""
    weekdays = (days + 3) % 7
    weeks = (days[-1] - days[0]) / 7
    off = [day for day in range(7) if (weekdays == day).sum() < max(1, RARE * weeks)] if weeks >= 2 else []
    if not off or len(off) > 4:
        return Grid(days - days[0], "1 day", SEASONS["day"])
    every = np.arange(days[0], days[-1] + 1)
    working = every[~np.isin((every + 3) % 7, off) | np.isin(every, days)]
    places = np.searchsorted(working, days)
    missing = np.diff(places) - 1
    holidays = (missing > 0) & (missing <= HOLIDAYS)
    names = ["Mondays", "Tuesdays", "Wednesdays", "Thursdays", "Fridays", "Saturdays", "Sundays"]
    notes = [f"{' and '.join(names[day] for day in off)} have no rows; that is no gap."]
    if missing[holidays].sum() > 0.15 * len(working):
        return Grid(places, "1 weekday", 7 - len(off), tuple(notes))
    if holidays.any():
        notes.append(f"{counted(missing[holidays].sum(), 'other day')} without a row: taken as holidays.")
        places = places - np.concatenate([[0], np.where(holidays, missing, 0).cumsum()])
    return Grid(places, "1 weekday", 7 - len(off), tuple(notes))


def _of_moments(moments: np.ndarray) -> Grid:
    steps = np.diff(moments)
    base = int(_usual(steps))
    unit = next((name for name in ("day", "hour", "minute", "second") if base % NANOSECONDS[name] == 0), None)
    step = f"{base // NANOSECONDS[unit]} {unit}" if unit else f"{base / 1e9:g} seconds"
    step += "s" if unit and base != NANOSECONDS[unit] else ""
    notes: list[str] = []
    pauses = _pauses(moments, base)
    if pauses.any():
        notes.append("Rows stop for nights or weekends; the pause until the next row is no gap.")
        moments = moments - np.concatenate([[0], np.where(pauses, steps - base, 0).cumsum()])
    try:
        places = _multiples(moments, base, "")
    except Irregular as error:
        least, most = (f"{np.diff(moments).min() / 6e10:g}", f"{np.diff(moments).max() / 6e10:g}")
        raise Irregular(error.place, f"steps between {least} and {most} minutes") from None
    per_day = DAY / base
    period = int(per_day) if per_day == int(per_day) and 2 <= per_day <= 288 and not pauses.any() else None
    return Grid(places, step, period, tuple(notes))


def _pauses(moments: np.ndarray, base: int) -> np.ndarray:
    """Which steps are the nights or weekends of a series that has rows at some hours of the week alone, (n − 1,)."""
    days = moments // DAY
    crossing = (np.diff(days) > 0) & (np.diff(moments) > 1.5 * base) & (np.diff(days) <= HOLIDAYS + 5)
    if crossing.sum() >= max(2, MANY_NIGHTS * (len(np.unique(days)) - 1)):
        return crossing
    free = days[:-1] + (5 - (days[:-1] + 3) % 7) % 7 + ((days[:-1] + 3) % 7 == 5) * 7  # the next Saturday
    no_saturdays = not ((days + 3) % 7 == 5).any()
    return crossing & no_saturdays & (free < days[1:]) & (np.diff(days) <= 3)


def without_daylight_saving(times: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """Times in file order, (n,) datetime64[ns], as if clocks were never changed, and notes.

    A clock is put forward or back by an hour in the first hours of a Sunday in spring or autumn: then an hour is
    missing or comes twice. Times that are not ascending otherwise are given back as they are.
    """
    moments = times.view("i8")
    steps = np.diff(moments)
    if not len(steps) or np.isnat(times).any():
        return times, []
    base = _usual(steps)
    if not 0 < base <= HOUR:
        return times, []
    days = moments[1:] // DAY
    early = (moments[1:] % DAY <= 4 * HOUR) & np.isin((days + 3) % 7, [6])
    changes = np.isin(times[1:].astype("datetime64[M]").view("i8") % 12 + 1, [3, 4, 9, 10, 11])
    back = early & changes & (steps == base - HOUR)
    forward = early & changes & (steps == base + HOUR)
    if not (steps + HOUR * back > 0).all() or not (back.any() or forward.any()):
        return times, []
    shifts = np.concatenate([[0], (HOUR * back.astype("i8") - HOUR * forward.astype("i8")).cumsum()])
    notes = []
    if back.any():
        notes.append(f"Clocks were put back {counted(back.sum(), 'time')}: an hour that comes twice is no repeat.")
    if forward.any():
        notes.append(f"Clocks were put forward {counted(forward.sum(), 'time')}: an hour that is missing is no gap.")
    return (moments + shifts).view("datetime64[ns]"), notes
