"""A `Series` and its makers: simulators, bundled real data, arrays and CSV files.

Windows, splits and scaling follow in `rnntips.windows`.
"""

import csv
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from importlib import resources
from operator import eq
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from rnntips.errors import BadData, counted, need, need_number, need_text, need_whole, shown, unknown_name

if TYPE_CHECKING:
    from rnntips.tables import Table

__all__ = ["Series", "co2", "demand", "drifts", "from_array", "from_csv", "from_frame", "sines",
           "sines_as_printed", "wave"]  # fmt: skip

MAX_CSV_BYTES = 100_000_000
LARGEST = 1e100  # and smallest difference, its inverse: squares must be numbers
SHORTEST = 32  # below this no split leaves a usable training part
LONGEST = 10**7  # steps of a simulation
INNOVATION, PERSISTENCE = 250.0, 0.96  # of simulated weather: noise in MW, factor per half-hour


@dataclass(frozen=True, eq=False)
class Series:
    """A regularly sampled time series; the first channel is the one to forecast.

    Args:
        name: Short name, used in figures and to key random streams.
        unit: Unit of the target, used on axes and in scores.
        values: One realisation, shape (N, C), float64.
        period: Steps of the main season, or None.
        simulator: Draws a fresh (N, C) realisation; None for a recorded series.
        floor: Horizon → error, in `unit`, of the best possible forecast; None if unknown.
        trending: Whether the level drifts; then changes, not levels, are read and forecast by default.
        notes: What was done to the data and what was inferred when they were read, in sentences.
        times: When each step was, (N,) datetime64; None if no dates are known.
    """

    name: str
    unit: str
    values: np.ndarray = field(repr=False)
    period: int | None = None
    simulator: Callable[[np.random.Generator], np.ndarray] | None = field(default=None, repr=False)
    floor: Callable[[int], float] | None = field(default=None, repr=False)
    trending: bool = False
    notes: tuple[str, ...] = ()
    times: np.ndarray | None = field(default=None, repr=False)

    def __post_init__(self):
        for name, least in (("name", 1), ("unit", 0)):
            object.__setattr__(self, name, need_text(name, getattr(self, name), least))
        need("notes", self.notes, list | tuple, 'several sentences, such as ["Gaps were filled."],')
        object.__setattr__(self, "notes", tuple(need_text("one of notes", note, 1) for note in self.notes))
        if self.period is not None:
            object.__setattr__(self, "period", need_whole("period", self.period, 1, 10**6))
        need("trending", self.trending, bool, "True or False")
        array = _columns(self.values, self.name)
        array.flags.writeable = False
        object.__setattr__(self, "values", array)

    def __len__(self) -> int:
        return len(self.values)

    def draw(self, rng: np.random.Generator) -> np.ndarray:
        """The values that one seed gets, (n, C).

        A simulator draws a fresh realisation. A recorded series gives a stretch of four fifths of its length
        that begins at a random place, so that the split is different for every seed. These stretches overlap,
        so results that many seeds agree on still describe one recording.
        """
        if self.simulator is not None:
            return _columns(self.simulator(rng), self.name)
        return self.values[self.stretch(rng)]

    def stretch(self, rng: np.random.Generator) -> slice:
        """The steps of a recorded series that one seed gets, see `draw`."""
        length = max(SHORTEST, int(0.8 * len(self)))
        first = int(rng.integers(0, len(self) - length + 1))
        return slice(first, first + length)


def from_array(values: Sequence | np.ndarray, name: str = "series", unit: str = "", **more) -> Series:
    """A Series from numbers, shape (N,) or (N, C) with the target in the first column.

    Raises:
        BadData: Not numeric, not one- or two-dimensional, masked, non-finite, constant or too short.
    """
    if hasattr(values, "iloc") and hasattr(values, "index"):  # of pandas: it may have dates
        from rnntips.tables.sources import titles_of

        target, *inputs = titles_of(values) or [None]
        return from_frame(values, target, inputs=inputs, name=name, unit=unit, **{"trending": False} | more)
    return Series(name, unit, values, **more)


def _columns(values: Sequence | np.ndarray, name: str) -> np.ndarray:
    """Numbers as a new (N, C) array of float64, in C order.

    Raises:
        BadData: They are no such numbers, or cannot be kept exactly.
    """
    try:
        given = values if isinstance(values, np.ndarray) else np.array(values)
        masked = np.ma.getmaskarray(values).sum() if np.ma.isMaskedArray(values) else 0
        array = np.array(given, dtype=np.float64, order="C") if given.dtype.kind in "biufO" else None
        large = np.zeros(1, bool) if array is None else (np.abs(array) > 2**53) & np.isfinite(array)
        exact = given.dtype.kind not in "iuO" or all(map(eq, given[large].tolist(), array[large].tolist()))
    except Exception as error:  # whatever the values' own type raises
        raise BadData(f"{name}: a series needs numbers, and this could not be read as numbers ({error}).") from None
    if array is None or masked:
        what = f"{masked} of these are masked" if masked else f"these are {given.dtype}: {shown(given.ravel()[:1])}"
        raise BadData(f"{name}: a series needs numbers, and {what}. Convert, fill or cut them first.")
    if not exact:
        raise BadData(f"{name}: whole numbers above 2**53 cannot be kept exactly. Subtract or scale first.")
    if array.ndim == 1:
        array = array[:, None]
    if array.ndim != 2 or not array.shape[1]:
        raise BadData(f"{name}: a series has shape (N,) or (N, C); this one has shape {array.shape}.")
    _check(array, name, [f"column {c}" for c in range(array.shape[1])])
    return array


def from_csv(
    path: str | Path, target: str | None = None, *, date: str | Sequence[str] | bool | None = None,
    inputs: Sequence[str] = (), sep: str | None = None, decimal: str | None = None, thousands: str | None = None,
    dayfirst: bool | None = None, missing: Sequence | None = None, where: Mapping[str, object] | None = None,
    header: int | None = None, encoding: str | None = None, gaps: str = "refuse", trending: bool | None = None,
    period: int | None = None, name: str | None = None, unit: str = "",
) -> Series:  # fmt: skip
    """A Series from a CSV file, compressed or not: its values as written, or an error that says what is doubtful.

    What is None is found out, and where that was not obvious it stands in `series.notes`.

    Args:
        path: File to read, at most 100 MB.
        target: Column to forecast. Not needed if only one can be: counts of rows, years and dates cannot.
        date: Column of dates or times, or several (a date and a time; year, month and day). Rows are put in its order.
            False: there is none, and rows are in order and steps of one length.
        inputs: Further columns the network may look at.
        sep: Letter between fields.
        decimal, thousands: Marks within numbers, such as "," and ".".
        dayfirst: Whether 05/01/2024 is in January.
        missing: Marks of missing values, numbers or texts, beside the usual ones such as an empty field or NA; with it,
            even empty, no number is suspected to be such a mark.
        where: Take only these rows, for example {"shop": "A"} where several series are in one file.
        header: Number of the line with the titles; 0: there are none.
        encoding: Of the file, for example "cp1252".
        gaps: "refuse", or "fill": straight lines where steps or values are missing.
        trending, period: See `Series`.

    Raises:
        BadData: What cannot be read or is doubtful, with its place and the argument that settles it.
    """
    from rnntips.tables.reading import read_csv  # pandas is loaded for those who have a table

    how = {"date": date, "inputs": inputs, "decimal": decimal, "thousands": thousands, "dayfirst": dayfirst,
           "missing": missing, "where": where, "sep": sep, "header": header, "encoding": encoding}  # fmt: skip
    need("path", path, str | Path, "a file's name")
    return _of(partial(read_csv, path, target, **how), gaps, trending, period, name, Path(path).name, unit)


def from_frame(
    frame, target: str | None = None, *, date: str | Sequence[str] | bool | None = None, inputs: Sequence[str] = (),
    decimal: str | None = None, thousands: str | None = None, dayfirst: bool | None = None,
    missing: Sequence | None = None, where: Mapping[str, object] | None = None, gaps: str = "refuse",
    trending: bool | None = None, period: int | None = None, name: str | None = None, unit: str = "",
) -> Series:  # fmt: skip
    """A Series from a pandas DataFrame or Series, whose index may hold the dates. Arguments are those of `from_csv`.

    Raises:
        BadData: As for `from_csv`.
    """
    from rnntips.tables.reading import read_frame

    how = {"date": date, "inputs": inputs, "decimal": decimal, "thousands": thousands, "dayfirst": dayfirst,
           "missing": missing, "where": where}  # fmt: skip
    return _of(partial(read_frame, frame, target, **how), gaps, trending, period, name, "the frame", unit)


def _of(
    read: Callable[[], "Table"], gaps: str, trending: bool | None, period: int | None, name: str | None, where: str,
    unit: str,
) -> Series:  # fmt: skip
    """The series in a table, which is read once the arguments are known to be good."""
    need("name", name, str | None, "a text, or None")
    need("trending", trending, bool | None, "True, False or None")
    if not isinstance(gaps, str) or gaps not in ("refuse", "fill"):
        raise unknown_name("gaps", gaps, ["refuse", "fill"])
    table = read()
    if doubts := [doubt for doubt in table.doubts if not (doubt.gap and gaps == "fill")]:
        raise BadData(f"{where}: " + " ".join(f"{doubt.says} {doubt.do}" for doubt in doubts))
    values, notes = table.filled(), [*table.notes, *table.filled_note()]
    _check(values, where, table.titles)
    if trending is None and (trending := drifts(values[:, 0])):
        notes.append("The level drifts, so changes are read and forecast by default (trending=).")
    if period is None and table.period and 4 * table.period <= len(values):
        period = table.period
        notes.append(f"A season of {period} steps was assumed, since a step is {table.step} (period=).")
    stem = Path(where).stem if name is None and where != "the frame" else table.titles[0]
    return Series(name or stem, unit, values, period, trending=trending, notes=tuple(notes), times=table.times)


def drifts(values: np.ndarray) -> bool:
    """Whether most of a series' last fifth, (N,), lies outside of what its first three fifths hold."""
    train, test = values[: int(0.6 * len(values))], values[int(0.8 * len(values)) :]
    return bool(np.mean((test < train.min()) | (test > train.max())) > 0.5)


def _check(values: np.ndarray, name: str, titles: Sequence[str]) -> None:
    if len(values) < SHORTEST:
        raise BadData(f"{name} has {counted(len(values), 'step')}; at least {SHORTEST} are needed.")
    bad = np.argwhere(~np.isfinite(values))
    if len(bad):
        row, column = bad[0]
        raise BadData(
            f"{name}: row {row}, {titles[column]} is {values[row, column]}; {len(bad)} value(s) are not finite. "
            "Fill or cut them first."
        )
    for column, title in enumerate(titles):
        if np.ptp(values[:, column]) == 0:
            raise BadData(f"{name}: {title} is {values[0, column]:g} in every row; a constant teaches nothing.")
        if (largest := np.abs(values[:, column]).max()) > LARGEST or np.ptp(values[:, column]) < 1 / LARGEST:
            raise BadData(
                f"{name}: {title} has values up to {largest:.3g} that differ by {np.ptp(values[:, column]):.3g}, and "
                f"their squares cannot be computed. Choose a unit in which they lie between 1e-100 and 1e100."
            )


def demand(weeks: int = 12) -> Series:
    """Half-hourly electricity demand in MW, simulated: two daily peaks, quiet weekends, slow weather.

    Level, seasons and size follow the national series of Taylor (2003), "Short-term electricity
    demand forecasting using double seasonal exponential smoothing"; no value is taken from it.
    The season repeats exactly, so the floor is the error that the random weather causes.
    """
    weeks = need_whole("weeks", weeks, 1, 1000)
    return _simulated("demand", "MW", partial(_demand, weeks), period=48, floor=_demand_floor)


# Simulators are functions of this module, so that a Series can be sent to other processes.
def _demand(weeks: int, rng: np.random.Generator) -> np.ndarray:
    half_hours = np.arange(48)
    hour = 2 * np.pi * half_hours / 48
    working = -0.9 * np.cos(hour - 0.5) - 0.42 * np.cos(2 * hour - 0.9) + 0.16 * np.cos(3 * hour)
    weekend = 0.75 * working - 0.35 * np.cos(hour) - 0.55
    week = np.concatenate([working] * 5 + [weekend - 0.1, weekend])
    hours = np.hanning(11)  # smooth the change from one day to the next over a few hours
    week = np.convolve(np.pad(week, 5, mode="wrap"), hours / hours.sum(), mode="valid")

    steps = weeks * 336
    season = np.tile(week, weeks + 1)[(start := 48 * int(rng.integers(7))) : start + steps]
    shocks = rng.normal(0, INNOVATION, steps)
    weather = np.empty(steps)
    weather[0] = shocks[0] / np.sqrt(1 - PERSISTENCE**2)
    for t in range(1, steps):
        weather[t] = PERSISTENCE * weather[t - 1] + shocks[t]
    return (30_000 + 5_000 * season + weather)[:, None]


def _demand_floor(horizon: int) -> float:
    return INNOVATION * float(np.sqrt(np.sum(PERSISTENCE ** (2 * np.arange(horizon)))))


def sines(steps: int = 4_000, offset: float = 0.0, noise: float = 0.1) -> Series:
    """Two sine waves (periods 50 and 17) whose amplitudes drift against each other, plus noise.

    Corrects the generator of `sines_as_printed`, in which both waves have the same frequency.
    """
    steps = need_whole("steps", steps, SHORTEST, LONGEST)
    offset, noise = need_number("offset", offset, -1e30, 1e30), need_number("noise", noise, low=0, below=1e30)
    return _simulated("sines", "units", partial(_sines, steps, offset, noise), period=50, floor=partial(_same, noise))


def _sines(steps: int, offset: float, noise: float, rng: np.random.Generator) -> np.ndarray:
    angle = rng.uniform(-np.pi, np.pi) + np.cumsum(rng.uniform(-0.01, 0.01, steps))
    phases = rng.uniform(0, 2 * np.pi, 2)
    t = np.arange(steps)
    waves = np.abs(np.cos(angle)) * np.sin(2 * np.pi * t / 50 + phases[0])
    waves += np.abs(np.sin(angle)) * np.sin(2 * np.pi * t / 17 + phases[1])
    return (offset + waves + rng.normal(0, noise, steps))[:, None]


def _same(noise: float, horizon: int) -> float:
    return noise


def wave(steps: int = 2_000, drift: float = 0.0, noise: float = 0.1) -> Series:
    """A sine wave in noise whose period grows from 10 steps to 10 · 2**drift at the end: a relation that drifts.

    With drift 0 what the first windows teach holds for the last; the larger it is, the sooner it is out of date.
    """
    steps = need_whole("steps", steps, SHORTEST, LONGEST)
    drift, noise = need_number("drift", drift, -2, 4), need_number("noise", noise, low=0, below=1e30)
    return _simulated("wave", "units", partial(_wave, steps, drift, noise), floor=partial(_same, noise))


def _wave(steps: int, drift: float, noise: float, rng: np.random.Generator) -> np.ndarray:
    periods = 10 * 2 ** (drift * np.arange(steps) / (steps - 1))
    phase = rng.uniform(0, 2 * np.pi) + np.cumsum(2 * np.pi / periods)
    return (np.sin(phase) + rng.normal(0, noise, steps))[:, None]


def sines_as_printed(steps: int = 4_000) -> Series:
    """The generator of a report on long sequences (S2 in the lessons), as its text prints it: with one frequency alone.

    A cycle takes 31,416 steps, noise is 0.01, and values have two decimals: a slow curve and rounding noise.
    """
    steps = need_whole("steps", steps, SHORTEST, LONGEST)
    return _simulated("sines as printed", "price", partial(_sines_as_printed, steps))


def _sines_as_printed(steps: int, rng: np.random.Generator) -> np.ndarray:
    angle = rng.uniform(-np.pi, np.pi) + np.cumsum(0.01 * rng.uniform(-1, 1, steps))
    wave = np.sin(0.0002 * np.arange(steps))
    price = 100 + (np.abs(np.sin(angle)) - np.abs(np.cos(angle))) * wave + rng.normal(0, 0.01, steps)
    return np.round(price, 2)[:, None]


def co2() -> Series:
    """Weekly CO2 above Mauna Loa in ppm, 1958 to 2001, 2,284 weeks of which 59 are missing.

    Missing weeks are filled by straight lines. Provenance, licence, checksum: `rnntips/data/README.md`.
    """
    recorded = _bundled("co2.csv", "co2_ppm")
    weeks, known = np.arange(len(recorded)), np.isfinite(recorded)
    filled, note = np.interp(weeks, weeks[known], recorded[known]), f"{(~known).sum()} missing weeks filled"
    return from_array(filled, name="CO2", unit="ppm", period=52, trending=True, notes=[f"{note} by straight lines."])


def weather() -> Series:
    """Highest temperature of every day in Seattle in °C, 2012 to 2015: 1,461 days; daily changes are mostly random.

    The level follows the seasons, so changes are forecast. Provenance, licence, checksum: `rnntips/data/README.md`.
    """
    return from_array(_bundled("weather.csv", "max_celsius"), name="weather", unit="°C", period=365, trending=True)


def _bundled(file: str, column: str) -> np.ndarray:
    """A column of numbers from the package's data, NaN where a field is empty."""
    text = resources.files("rnntips").joinpath("data", file).read_text(encoding="utf-8")
    return np.array([float(row[column] or "nan") for row in csv.DictReader(text.splitlines())])


def _simulated(name: str, unit: str, simulate: Callable, **more) -> Series:
    example = from_array(simulate(np.random.default_rng(0)), name=name, unit=unit)
    return replace(example, simulator=simulate, notes=("Simulated; every seed draws its own.",), **more)
