"""Series: what arrays and files are accepted, what is refused and how, and what the simulators promise."""

import csv
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import rnntips as rt
from rnntips.errors import BadData
from rnntips.tables import contents

DATA = Path(rt.__file__).parent / "data"
DAYS = [f"2024-01-{day:02}" for day in range(1, 32)] + [f"2024-02-{day:02}" for day in range(1, 10)]
SIMULATORS = {
    "demand": rt.series.demand(weeks=2),
    "sines": rt.series.sines(steps=300),
    "sines as printed": rt.series.sines_as_printed(steps=300),
    "wave": rt.series.wave(steps=300, drift=1.0),
}


def table(**changes: str) -> list[list[str]]:
    """A good file of 40 days (lines 2 to 41): date, load, wind. `load_7="x"` puts x into line 7 of load."""
    header = ["date", "load", "wind"]
    rows = [header] + [[day, str(100 + i % 7), str(i % 5)] for i, day in enumerate(DAYS)]
    for place, text in changes.items():
        column, line = place.split("_")
        rows[int(line) - 1][header.index(column)] = text
    return rows


@pytest.fixture
def written(tmp_path):
    def write(rows: list[list[str]], encoding: str = "utf-8") -> Path:
        path = tmp_path / "load.csv"
        path.write_bytes("\n".join(",".join(row) for row in rows).encode(encoding))
        return path

    return write


def one_column(rows: list[list[str]]) -> list[list[str]]:
    return [row[:2] for row in rows]


# --- arrays


def test_an_array_becomes_a_column_of_float64():
    """Numbers of shape (N,) become one channel, and the length is that of the record."""
    series = rt.series.from_array(range(40), name="steps", unit="m")
    assert ("steps", "m", 40) == (series.name, series.unit, len(series))
    np.testing.assert_array_equal(np.arange(40.0)[:, None], series.values)
    assert np.float64 == series.values.dtype


def test_values_are_read_only_and_the_callers_array_is_not_touched():
    """A Series cannot be changed, neither through its values nor through the array it came from."""
    for shape in [(40,), (40, 2)]:
        mine = np.random.default_rng(0).normal(size=shape)
        series = rt.series.from_array(mine)
        before = series.values.copy()
        with pytest.raises(ValueError, match="read-only"):
            series.values[0, 0] = 5.0
        mine[3] = 99.0  # raises if the caller's own array was locked
        np.testing.assert_array_equal(before, series.values)


def grid(row: int, value: float) -> np.ndarray:
    values = np.random.default_rng(0).normal(size=(40, 3))
    values[row, 2] = value
    return values


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (grid(17, np.nan), ["row 17", "column 2", "nan", "1 value", "Fill"]),
        (grid(0, -np.inf), ["row 0", "column 2", "-inf"]),
        (np.full(40, 7.5), ["column 0", "7.5", "constant"]),
        (np.arange(31.0), ["31 steps", "at least 32"]),
        ([], ["0 steps", "at least 32"]),
        (np.zeros((40, 2, 3)), ["(40, 2, 3)", "(N,)", "(N, C)"]),
        (5.0, ["()", "(N, C)"]),
        (np.zeros((40, 0)), ["(40, 0)"]),
        (["one"] * 40, ["numbers", "'one'"]),
        ([[1.0, 2.0], [3.0]] * 20, ["numbers"]),
    ],
    ids=["nan", "inf", "constant", "short", "empty", "3-D", "0-D", "no column", "text", "ragged"],
)
def test_an_array_that_cannot_be_used_is_refused_in_words(values, words):
    """The message has the place, what was found there, and what was needed."""
    with pytest.raises(BadData) as refused:
        rt.series.from_array(values, name="mine")
    assert not [word for word in words if word not in str(refused.value)]


WAVE = np.sin(np.arange(60.0))


@pytest.mark.parametrize(
    ("values", "words"),
    [(np.ma.masked_less(WAVE, 0), "masked"), (WAVE + 1j, "complex"), (2**60 + np.arange(60), r"2\*\*53"),
     ([2**60 + i for i in range(60)], r"2\*\*53"), (np.arange("2024-01-01", 60, dtype="datetime64[D]"), "datetime64")],
    ids=["masked", "complex", "large", "Python's large", "dates"],
)  # fmt: skip
def test_what_cannot_be_kept_exactly_is_refused_wherever_a_series_is_made(values, words):
    """By `from_array`, by `Series` itself and by what a simulator draws; nothing is dropped or rounded silently."""
    with pytest.raises(BadData, match=words):
        rt.series.from_array(values)
    with pytest.raises(BadData, match=words):
        replace(rt.series.from_array(WAVE), values=values)
    with pytest.raises(BadData, match=words):
        replace(rt.series.from_array(WAVE), simulator=lambda rng: values).draw(np.random.default_rng(0))


def test_a_series_of_pandas_is_put_in_order_of_its_dates():
    days = pd.date_range("2024-01-01", periods=60)
    series = rt.series.from_array(pd.Series(WAVE, days)[::-1], name="wave")
    np.testing.assert_array_equal(series.values[:, 0], WAVE)
    np.testing.assert_array_equal(series.times, days.to_numpy("datetime64[ns]"))
    assert series.name == "wave" and not series.trending
    frame = pd.DataFrame({"a": WAVE, "b": WAVE**2}, days)
    np.testing.assert_array_equal(rt.series.from_array(frame).values, frame.to_numpy())
    with pytest.raises(BadData, match="0 numeric columns"):
        rt.series.from_array(pd.DataFrame())


# --- files


def test_a_single_numeric_column_needs_no_target(written):
    """Of a date column and one column of numbers, the numbers are forecast."""
    series = rt.series.from_csv(written(one_column(table())), unit="MW")
    np.testing.assert_array_equal(100 + np.arange(40.0)[:, None] % 7, series.values)
    assert ("load", "MW") == (series.name, series.unit)


@pytest.mark.parametrize("inputs", [("wind",), ["wind"]])
def test_the_target_comes_first_and_inputs_follow(written, inputs):
    """The target is channel 0 wherever it stands in the file."""
    series = rt.series.from_csv(written(table()), target="load", inputs=inputs)
    np.testing.assert_array_equal(np.stack([100 + np.arange(40) % 7, np.arange(40) % 5], 1), series.values)
    turned = rt.series.from_csv(written(table()), target="wind", inputs=["load"])
    np.testing.assert_array_equal(series.values[:, ::-1], turned.values)


def test_a_numeric_date_column_is_left_out_when_named(written):
    """Years are numbers; `date=` says that they are not data."""
    rows = [["year", "load"]] + [[str(1980 + i), str(i % 7)] for i in range(40)]
    series = rt.series.from_csv(written(rows), date="year")
    np.testing.assert_array_equal(np.arange(40.0)[:, None] % 7, series.values)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_a_byte_order_mark_is_no_part_of_the_first_title(written, encoding):
    """Files that spreadsheets wrote read like any other, spaces around titles included."""
    rows = [["load", " wind "], *([row[1], row[2]] for row in table()[1:])]
    series = rt.series.from_csv(written(rows, encoding), target="load", inputs=["wind"])
    assert (40, 2) == series.values.shape


def test_a_first_value_that_is_missing_is_reported_as_a_gap(written):
    """Which column is numeric does not hang on its first value, and a series begins with a value."""
    series = rt.series.from_csv(written(one_column(table(load_2="NA"))))
    np.testing.assert_array_equal(100 + np.arange(1, 40)[:, None] % 7, series.values)
    assert "1 step without a value" in " ".join(series.notes)


GAP = r"load has no value in 1 row,.*2024-01-06 \(line 7\).*gaps=\"fill\""


@pytest.mark.parametrize(
    ("rows", "options", "words"),
    [
        (table(load_7=""), {"target": "load"}, GAP),
        (table(load_7="  "), {"target": "load"}, GAP),
        (table(load_7="nan"), {"target": "load"}, GAP),
        (table(wind_9="inf"), {"target": "load", "inputs": ["wind"]}, r"line 9 .*'wind' holds 'inf', not a number"),
        (table(load_7="n/a"), {"target": "load"}, GAP),
        (table(load_7="T"), {"target": "load"}, r"line 7 .*'load' holds 'T', not a number.*missing=\['T'\]"),
        (table(), {"target": "date"}, r"line 2 .*'date' holds '2024-01-01', not a number.*another column"),
        (table(), {"target": "date", "inputs": ["load"]}, "'date' holds"),
        (table(), {}, r"2 numeric columns .*\(load, wind\).*target="),
        ([row[:1] for row in table()], {}, r"0 numeric columns"),
        (table(), {"target": "laod"}, r"no column 'laod'.*date, load, wind"),
        (table(), {"target": "load", "inputs": ["rain"]}, r"no column 'rain'.*date, load, wind"),
        (table(), {"target": "load", "date": "day"}, r"no column 'day'"),
        (table(), {"target": "load", "inputs": "wind"}, r"inputs='wind'"),
        (table()[:1], {"target": "load"}, r"1 line.*header"),
        ([], {}, r"0 line.*header"),
        (table()[:20], {"target": "load"}, r"19 steps.*at least 32"),
        ([[row[0], "5"] if i else row[:2] for i, row in enumerate(table())], {}, r"load is 5 in every row.*constant"),
        ([*table()[:6], ["2024-01-06"], *table()[7:]], {"target": "load"}, GAP),
        ([*table()[:6], ["2024-01-06", "1", "5", "3"], *table()[7:]], {"target": "load"}, r"line 7\b.*4.*3"),
        ([["load", "load"], *([r[1], r[2]] for r in table()[1:])], {"target": "load"}, r"'load'.*(twice|2 times)"),
        ([*table()[:4], [], *table(load_6="")[4:]], {"target": "load"}, GAP.replace("06", "05")),
    ],
    ids=["gap", "blank", "nan", "inf", "n/a", "word", "date as target", "date and more", "several", "none", "typo",
         "unknown input", "unknown date", "inputs as text", "header only", "empty file", "short", "constant",
         "line too short", "line too long", "title twice", "gap after a blank line"],
)  # fmt: skip
def test_a_file_that_cannot_be_used_is_refused_in_words(written, rows, options, words):
    """The message names the file, and the line of the file and the column where there is one."""
    with pytest.raises(BadData, match=re.compile(words)) as refused:
        rt.series.from_csv(written(rows), **options)
    assert "load.csv" in str(refused.value) or "inputs=" in str(refused.value)


def test_a_missing_file_says_where_it_was_looked_for(tmp_path, monkeypatch):
    """A relative path means nothing without the folder."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BadData) as refused:
        rt.series.from_csv("laod.csv")
    assert "'laod.csv'" in str(refused.value) and str(tmp_path) in str(refused.value)
    with pytest.raises(BadData, match="No file"):
        rt.series.from_csv(tmp_path)


def test_a_huge_file_is_refused_unread(written, monkeypatch):
    """Its size and the cap are stated, and the file is not opened."""
    path = written(table())
    monkeypatch.setattr(contents, "MAX_CSV_BYTES", 100)
    monkeypatch.setattr(Path, "open", lambda *_, **__: pytest.fail("the file was opened"))
    with pytest.raises(BadData, match=r"load\.csv has .* MB; up to .* MB"):
        rt.series.from_csv(path)
    monkeypatch.undo()
    monkeypatch.setattr(contents, "MAX_CSV_BYTES", path.stat().st_size)
    assert 40 == len(rt.series.from_csv(path, target="load"))


@pytest.mark.parametrize(
    "content", ["date,µ\n2024,5\n".encode("latin-1"), bytes(range(256)) * 20, b'date,load\n"' + b"a" * 200_000]
)
def test_a_file_that_is_no_utf8_table_is_refused_in_words(tmp_path, content):
    """Other encodings, binary files and runaway quotes end in the package's own error, with the file's name."""
    path = tmp_path / "odd.csv"
    path.write_bytes(content)
    with pytest.raises(BadData, match=r"odd\.csv"):
        rt.series.from_csv(path)


# --- simulators


@pytest.mark.parametrize("name", SIMULATORS)
def test_a_seed_names_one_draw(name):
    """The same seed gives the same record, another seed another one, of the same length."""
    first, again, other = (SIMULATORS[name].draw(np.random.default_rng(seed)) for seed in (3, 3, 4))
    np.testing.assert_array_equal(first, again)
    assert first.shape == other.shape == (len(SIMULATORS[name]), 1)
    assert not np.array_equal(first, other)


def test_global_random_state_is_neither_read_nor_touched():
    """Making and drawing a series leaves numpy's global generator where it was, and does not depend on it."""
    draws = []
    for seed in (0, 1):
        np.random.seed(seed)
        before = np.random.get_state()[1].copy()
        made = [rt.series.demand(weeks=1), rt.series.sines(100), rt.series.sines_as_printed(100)]
        draws.append(np.concatenate([series.draw(np.random.default_rng(5)) for series in made]))
        np.testing.assert_array_equal(before, np.random.get_state()[1])
    np.testing.assert_array_equal(*draws)


@pytest.fixture(scope="module")
def weather():
    """What is left of 400 weeks of demand once the mean of every half hour of the week is taken away."""
    demand = rt.series.demand(weeks=400).draw(np.random.default_rng(1)).reshape(400, 336)
    return (demand - demand.mean(0)).ravel()


@pytest.mark.parametrize("horizon", [1, 4, 48])
def test_the_floor_of_demand_is_what_a_forecaster_that_knows_the_season_reaches(weather, horizon):
    """Weekly means and the best multiple of the last residual, both found in the data, err by the floor."""
    now, later = weather[:-horizon], weather[horizon:]
    best = now @ later / (now @ now)
    reached = np.sqrt(np.mean((later - best * now) ** 2))
    assert rt.series.demand().floor(horizon) == pytest.approx(reached, rel=0.03)


def test_the_floor_of_sines_is_the_noise():
    """A record with noise differs from its noiseless twin by the floor."""
    noisy, clean = (rt.series.sines(20_000, noise=noise).draw(np.random.default_rng(2)) for noise in (0.3, 0.0))
    assert rt.series.sines(noise=0.3).floor(5) == pytest.approx(np.std(noisy - clean), rel=0.03)


def test_sines_have_periods_50_and_17():
    """Without noise nearly all power lies around these two frequencies, and both have some."""
    steps = 50 * 17 * 10
    power = np.abs(np.fft.rfft(rt.series.sines(steps, noise=0.0).draw(np.random.default_rng(0))[:, 0])) ** 2
    shares = [power[steps // period - 8 : steps // period + 9].sum() / power.sum() for period in (50, 17)]
    assert min(shares) > 0.01 and sum(shares) > 0.95


@pytest.mark.parametrize("drift", [0, 1, -1])
def test_a_wave_s_period_grows_by_a_factor_of_two_to_the_power_of_its_drift(drift):
    """Steps between upward crossings, first and last; the geometric mean in the middle. The floor is the noise."""
    clean, noisy = (rt.series.wave(4000, drift, noise).draw(np.random.default_rng(4))[:, 0] for noise in (0, 0.2))
    rises = np.flatnonzero((clean[:-1] < 0) & (clean[1:] >= 0))
    rises = rises - clean[rises] / (clean[rises + 1] - clean[rises])
    periods, middles = np.diff(rises), (rises[1:] + rises[:-1]) / 2
    np.testing.assert_allclose(periods, 10 * 2 ** (drift * middles / 3999), rtol=0.02)
    assert rt.series.wave(noise=0.2).floor(3) == pytest.approx(np.std(noisy - clean), rel=0.05)


def test_an_offset_shifts_the_draw_and_nothing_else():
    """`offset` is added to every value of the same draw."""
    near, far = (rt.series.sines(500, offset=offset).draw(np.random.default_rng(0)) for offset in (0.0, 1024.0))
    np.testing.assert_allclose(near + 1024.0, far, rtol=0, atol=1e-9)


def test_the_printed_sines_have_two_decimals_and_hardly_move():
    """Rounded to hundredths, and within the two amplitudes of 100."""
    values = rt.series.sines_as_printed().draw(np.random.default_rng(0))
    np.testing.assert_allclose(np.round(100 * values), 100 * values, rtol=0, atol=1e-6)
    assert np.abs(values - 100).max() < 1.1


# --- records


def test_a_record_is_drawn_as_a_stretch_of_four_fifths_from_anywhere():
    """Every draw is consecutive, 80 % long, and every beginning that fits turns up."""
    series = rt.series.from_array(np.arange(100.0))
    draws = [series.draw(np.random.default_rng(seed))[:, 0] for seed in range(400)]
    for draw in draws:
        np.testing.assert_array_equal(draw[0] + np.arange(80), draw)
    assert set(range(21)) == {int(draw[0]) for draw in draws}


def test_co2_has_its_gaps_filled_by_straight_lines():
    """Measured weeks are as in the file; the 59 others lie on lines between their measured neighbours."""
    with (DATA / "co2.csv").open(encoding="ascii", newline="") as file:
        texts = [row["co2_ppm"] for row in csv.DictReader(file)]
    expected = [float(text) if text else None for text in texts]
    filled = 0
    for week, value in enumerate(expected):
        if texts[week]:
            continue
        end = next(w for w in range(week, len(texts)) if texts[w])
        expected[week] = expected[week - 1] + (float(texts[end]) - expected[week - 1]) / (end - week + 1)
        filled += value is None
    series = rt.series.co2()
    assert (2284, 59) == (len(series), filled)
    np.testing.assert_allclose(expected, series.values[:, 0], rtol=0, atol=1e-9)
    assert "59" in series.notes[0] and series.trending and series.unit == "ppm"


def test_a_draw_of_co2_is_a_stretch_of_the_record():
    """A seed sees 1,827 consecutive weeks, and different seeds begin elsewhere."""
    series = rt.series.co2()
    draws = [series.draw(np.random.default_rng(seed)) for seed in range(5)]
    places = []
    for draw in draws:
        starts = [s for s in range(len(series) - 1826) if np.array_equal(series.values[s : s + 1827], draw)]
        places += starts
    assert 5 == len(places) and len(set(places)) > 1


def test_weather_is_the_file_and_a_network_can_do_better_than_yesterday():
    """Changes are forecast by default, and most runs beat the last value, which a linear forecast does not."""
    with (DATA / "weather.csv").open(encoding="ascii", newline="") as file:
        expected = [float(row["max_celsius"]) for row in csv.DictReader(file)]
    series = rt.series.weather()
    np.testing.assert_array_equal(expected, series.values[:, 0])
    assert (series.name, series.unit, series.period, series.trending) == ("weather", "°C", 365, True)
    runs = rt.train(rt.Recipe(past=16, lr=0.003, updates=300), series, range(10))
    assert np.median(runs.test_score / runs.naive) < 0.97 and (runs.floor > 0.95 * runs.naive).all()
