"""A `Series` and its makers: simulators, bundled real data, arrays and CSV files.

Windows, splits and scaling follow in `rnntips.windows`.
"""

import csv
import os
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from importlib import resources
from pathlib import Path

import numpy as np

from rnntips.errors import BadData, need, need_number, need_text, need_whole, shown

__all__ = ["Series", "co2", "csv_columns", "demand", "from_array", "from_csv", "sines", "sines_as_printed"]

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

    def __len__(self) -> int:
        return len(self.values)

    def draw(self, rng: np.random.Generator) -> np.ndarray:
        """The values that one seed gets, (n, C).

        A simulator draws a fresh realisation. A recorded series gives a stretch of four fifths of its length
        that begins at a random place, so that the split is different for every seed. These stretches overlap,
        so results that many seeds agree on still describe one recording.
        """
        if self.simulator is not None:
            return self.simulator(rng)
        length = max(SHORTEST, int(0.8 * len(self)))
        first = int(rng.integers(0, len(self) - length + 1))
        return self.values[first : first + length]


def from_array(values: Sequence | np.ndarray, name: str = "series", unit: str = "", **more) -> Series:
    """A Series from numbers, shape (N,) or (N, C) with the target in the first column.

    Raises:
        BadData: Not numeric, not one- or two-dimensional, non-finite, constant or too short.
    """
    name = need_text("name", name, 1)
    try:
        array = np.array(values, dtype=np.float64, order="C")
    except Exception as error:  # whatever the values' own type raises
        raise BadData(f"{name}: a series needs numbers, and this could not be read as numbers ({error}).") from None
    if array.ndim == 1:
        array = array[:, None]
    if array.ndim != 2 or not array.shape[1]:
        raise BadData(f"{name}: a series has shape (N,) or (N, C); this one has shape {array.shape}.")
    _check(array, name, [f"column {c}" for c in range(array.shape[1])])
    array.flags.writeable = False
    return Series(name=name, unit=unit, values=array, **more)


def from_csv(
    path: str | Path,
    target: str | None = None,
    date: str | None = None,
    inputs: Sequence[str] = (),
    name: str | None = None,
    unit: str = "",
) -> Series:
    """A Series from a CSV file with a header line.

    Args:
        path: File to read, at most 100 MB.
        target: Column to forecast. Not needed if exactly one column is numeric.
        date: Column of dates or times; it is left out of the inputs.
        inputs: Further columns the network may look at.

    Raises:
        BadData: Missing or huge file, unknown or text column, empty field; the message names the row and column.
    """
    need("path", path, str | Path, "a file's name")
    for option, value in {"target": target, "date": date, "name": name}.items():
        need(option, value, str | None, "a text, or None")
    path = Path(path)
    there = False
    with suppress(OSError):  # of a name that is too long
        there = path.is_file()
    if not there:
        raise BadData(f"No file at {shown(str(path))} (looked from {os.getcwd()}). Check the spelling and the folder.")
    if (size := path.stat().st_size) > MAX_CSV_BYTES:
        allowed = f"up to {MAX_CSV_BYTES / 1e6:.0f} MB are read. Cut it to the rows and columns you need."
        raise BadData(f"{path.name} has {size / 1e6:.0f} MB; {allowed}")
    header, lines = _read(path)
    column = {title: i for i, title in enumerate(header)}
    if target is None:
        numeric = [title for title in _numeric(header, lines) if title != date]
        if len(numeric) != 1:
            raise BadData(
                f"{path.name} has {len(numeric)} numeric columns ({', '.join(numeric) or 'none'}); "
                "say which one to forecast with target=."
                + (" Are its fields separated by semicolons? Save it with commas." if ";" in header[0] else "")
            )
        target = numeric[0]
    if not isinstance(inputs, list | tuple) or not all(isinstance(title, str) for title in inputs):
        raise BadData(f"inputs={shown(inputs)}: a list of columns is needed, for example inputs=[{header[0]!r}].")
    wanted = [target, *inputs]
    for title in [*wanted, *([date] if date else [])]:
        if title not in column:
            raise BadData(f"{path.name} has no column {title!r}. Its columns are: {', '.join(header)}.")
    fields = [[(row[column[title]], line, title, path.name) for title in wanted] for line, row in lines]
    values = np.array([[_number(*field) for field in row] for row in fields])
    _check(values, path.name, wanted)
    return from_array(values, name=name or path.stem, unit=unit)


def _read(path: Path) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """Titles, and every row with its line number in the file; short rows are padded with empty fields."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file)
            rows = [(reader.line_num, row) for row in reader if row]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise BadData(f"{path.name} cannot be read as a table of text ({error}). Save it as CSV in UTF-8.") from None
    if len(rows) < 2:
        raise BadData(f"{path.name} has {len(rows)} line(s); a header line and one line per step are needed.")
    header = [title.strip() for title in rows[0][1]]
    title, times = Counter(header).most_common(1)[0]
    if times > 1:
        raise BadData(f"{path.name} has the column {title!r} {times} times. Rename all but one.")
    for line, row in rows[1:]:
        if len(row) > len(header):
            raise BadData(f"{path.name}: line {line} has {len(row)} fields, and the header has {len(header)}. Mend it.")
    return header, [(line, row + [""] * (len(header) - len(row))) for line, row in rows[1:]]


def csv_columns(path: str | Path) -> list[str]:
    """Titles of a CSV file's columns that hold numbers.

    Raises:
        BadData: Not a table.
    """
    return _numeric(*_read(Path(path)))


def _numeric(header: list[str], lines: list[tuple[int, list[str]]]) -> list[str]:
    """Columns whose first field that is not empty is a number."""
    first = [next((row[i] for _, row in lines if row[i].strip()), "") for i in range(len(header))]
    return [title for title, field in zip(header, first, strict=True) if _is_number(field)]


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _number(text: str, line: int, title: str, file: str) -> float:
    mend = "Fill the gap (a straight line between neighbours is a start) or cut the file there."
    if not text.strip():
        raise BadData(f"{file}: line {line} of column {title!r} is empty. {mend}")
    if not _is_number(text):
        raise BadData(f"{file}: line {line} of column {title!r} holds {text!r}, not a number. Choose another column.")
    if not np.isfinite(float(text)):
        raise BadData(f"{file}: line {line} of column {title!r} holds {text.strip()}. {mend}")
    return float(text)


def _check(values: np.ndarray, name: str, titles: Sequence[str]) -> None:
    if len(values) < SHORTEST:
        raise BadData(f"{name} has {len(values)} steps; at least {SHORTEST} are needed.")
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
