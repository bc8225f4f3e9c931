"""A table in a random dialect, with random faults, is read as it was written or refused, never as another."""

import csv
import io
from collections import Counter
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from files import grouped
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import rnntips as rt
from rnntips.errors import BadData

FORMS = {  # frequency: how its times are written
    "D": ["%Y-%m-%d", "%d.%m.%Y", "%m/%d/%Y", "%d/%m/%Y", "%-d/%-m/%Y", "%Y%m%d", "%b %d, %Y", "%d-%b-%y", "%Y/%m/%d"],
    "B": ["%Y-%m-%d", "%d.%m.%Y", "%m/%d/%Y", "%A, %d %B %Y"],
    "h": ["%Y-%m-%d %H:%M", "%d.%m.%Y %H:%M", "%Y-%m-%dT%H:%M:%SZ", "%m/%d/%Y %I:%M %p", "%Y%m%d%H"],
    "MS": ["%Y-%m", "%Y-%m-%d", "%b %Y", "%m/%Y", "%m/%d/%Y", "%d.%m.%Y", "%YM%m", "%b-%y"],
    "ME": ["%Y-%m-%d", "%d/%m/%Y"],
    "YS": ["%Y", "%Y-%m-%d"],
}
FAULTS = ["none"] * 4 + ["drop", "repeat", "clash", "sentinel", "missing", "word"]


@dataclass(frozen=True, eq=False)
class Written:
    """A file, and what reading it may give.

    Args:
        content: Of the file.
        frame: The same rows as texts.
        target: Title of the column to read.
        values: In the order of time; NaN where a fault took one away.
        times: Of the values; None without dates.
        settles: Arguments with which reading it is right; None if nothing but an error is right.
        fault: What was done to the table.
    """

    content: bytes
    frame: pd.DataFrame
    target: str
    values: np.ndarray
    times: pd.DatetimeIndex | None
    settles: dict | None
    fault: str


@st.composite
def written(draw) -> Written:
    def pick(*choices):
        return draw(st.sampled_from(choices))

    n, decimals = draw(st.integers(40, 70)), draw(st.integers(0, 3))
    level = pick(0.5, 20, 1_500, 250_000, -10)
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    plain = [f"{x:.{decimals}f}" for x in level + rng.normal(0, abs(level) / 4 + 1, n)]
    decimal = pick(".", ",")
    thousands = pick("", "", "'", " ", "\xa0", {",": ".", ".": ","}[decimal])
    texts = grouped(plain, thousands, decimal) if thousands else [text.replace(".", decimal) for text in plain]
    frequency = pick(None, *FORMS)
    times = frequency and pd.date_range(pick("2019-01-01", "2021-03-01", "2022-11-29"), periods=n, freq=frequency)
    values = np.array(plain, float)

    columns, target = [], pick("load", "Last (MW)", "Verbrauch", "a, b", "Größe", "2")
    if frequency:
        title, form = pick("date", "Datum", "time", "when", "Date/Time"), pick(*FORMS[frequency])
        columns.append((title, list(times.strftime(form))))
    fault = pick(*FAULTS) if frequency else pick("none", "sentinel", "missing", "word")
    some = sorted(2 + rng.choice(n - 4, 4, replace=False))
    settles = {"gaps": "fill"} if fault in ("sentinel", "missing", "word", "drop") else {}
    if fault in ("sentinel", "missing", "word"):
        marks = {"sentinel": ["-9999", "-99999", "9999999"], "word": ["error", "1x"], "missing": ["NA", "", ".", "-"]}
        mark = pick(*marks[fault])
        given_mark = float(mark) if fault == "sentinel" else mark
        settles |= {} if fault == "missing" else {"missing": [given_mark]}
        values[some] = np.nan
        texts = [mark if i in some else text for i, text in enumerate(texts)]
    columns.append((target, texts))
    if draw(st.booleans()):
        columns.append(("other", [f"{x:.1f}".replace(".", decimal) for x in rng.normal(5, 2, n)]))
    if draw(st.booleans()):
        columns.append(("station", ["north"] * n))
    rows = [list(row) for row in zip(*(column for _, column in columns), strict=True)]
    titles = [title for title, _ in columns]
    index = pick(None, None, 0, 1)
    if index is not None:
        rows = [[str(i + index), *row] for i, row in enumerate(rows)]
        titles = [pick("", "No", "id"), *titles]

    row = some[0]
    if fault == "drop":
        del rows[row]
    elif fault in ("repeat", "clash"):
        again = list(rows[row])
        if fault == "clash":
            again[titles.index(target)] = texts[row - 1] if texts[row - 1] != texts[row] else texts[row] + "1"
        rows.insert(row + 1, again)
    order = pick("old", "old", "new", "mixed") if frequency else "old"
    rows = rows if order == "old" else rows[::-1] if order == "new" else [rows[i] for i in rng.permutation(len(rows))]
    if fault == "drop" and frequency == "B":  # a holiday
        values, times, settles = np.delete(values, row), times.delete(row), {}
    elif fault == "drop":
        values[row] = np.nan

    text = io.StringIO()
    sep = pick(",", ";", "\t", "|")
    quoting = pick(csv.QUOTE_MINIMAL, csv.QUOTE_ALL)
    out = csv.writer(text, delimiter=sep, quoting=quoting, lineterminator=pick("\n", "\r\n"))
    out.writerows([titles, *rows])
    before = pick("", "", "", "# invented\n", "Report of the year\n\n", f"sep={sep}\n")
    after = pick("", "", "", "\n\n", "Source: invented\n", sep * (len(titles) - 1) + "\n")
    encoding = pick("utf-8", "utf-8-sig", "utf-16", "cp1252")
    content = (before + text.getvalue() + after).encode(encoding)
    frame = pd.DataFrame(rows, columns=titles)
    return Written(content, frame, target, values, times, None if fault == "clash" else settles, fault)


def assert_as_written(series: rt.series.Series, table: Written) -> None:
    known = np.isfinite(table.values)
    assert series.values.shape == (len(known), 1)
    np.testing.assert_array_equal(series.values[known, 0], table.values[known])
    if table.times is not None and series.times is not None:
        np.testing.assert_array_equal(series.times, table.times.to_numpy())


def need_as_written(table: Written, path: Path, outcomes: Counter | None = None) -> None:
    """Read as it was written, with and without what settles it, or refused in words; from a file and from a frame."""
    path.write_bytes(table.content)
    readers = {"file": partial(rt.series.from_csv, path), "frame": partial(rt.series.from_frame, table.frame)}
    outcomes = Counter() if outcomes is None else outcomes
    for what, read in readers.items():
        for settled in ({}, table.settles) if table.settles else ({},):
            try:
                series = read(target=table.target, **settled)
            except BadData as error:
                assert len(str(error)) > 20
                outcomes[what, table.fault, "refused"] += 1
                continue
            outcomes[what, table.fault, "read"] += 1
            assert table.settles == settled, f"{table.fault} was not noticed"
            assert_as_written(series, table)


def test_a_table_is_read_as_it_was_written_or_refused(tmp_path):
    """And most tables without a fault are read, so that the law is not met by refusing."""
    outcomes = Counter()

    @settings(max_examples=300, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
    @given(written())
    def examine(table):
        need_as_written(table, tmp_path / "x.csv", outcomes)

    examine()
    assert outcomes["file", "none", "read"] > outcomes["file", "none", "refused"]


N = 64
VALUES = np.round(20 + 5 * np.sin(np.arange(N) / 3) + np.random.default_rng(7).normal(0, 1, N), 2)
DAYS = pd.date_range("2024-01-01", periods=N)
WHOLE = np.round(VALUES * 10)


def holed(values: np.ndarray) -> np.ndarray:
    values = values.copy()
    values[20:22] = np.nan
    return values


SHOPS = pd.DataFrame({"date": [*DAYS, *DAYS], "shop": ["A"] * N + ["B"] * N, "load": [*VALUES, *WHOLE]})


FRAMES = {  # name: (frame, arguments, values, or a word of the error)
    "plain": (pd.DataFrame({"date": DAYS, "load": VALUES}), {}, VALUES),
    "dates in the index": (pd.DataFrame({"load": VALUES}, index=DAYS), {}, VALUES),
    "dates in a named index": (pd.DataFrame({"load": VALUES}, index=DAYS.rename("day")), {}, VALUES),
    "named date": (pd.DataFrame({"when": DAYS, "load": VALUES}), {"date": "when"}, VALUES),
    "numbers alone": (pd.DataFrame({"load": VALUES}), {}, VALUES),
    "index of row numbers that are not in order": (pd.DataFrame({"load": VALUES}, index=range(N, 0, -1)), {}, VALUES),
    "newest first": (pd.DataFrame({"date": DAYS[::-1], "load": VALUES[::-1]}), {}, VALUES),
    "newest first, index": (pd.DataFrame({"load": VALUES[::-1]}, index=DAYS[::-1]), {}, VALUES),
    "periods": (pd.DataFrame({"load": VALUES}, index=pd.period_range("2010-01", periods=N, freq="M")), {}, VALUES),
    "time zone": (pd.DataFrame({"date": DAYS.tz_localize("UTC"), "load": VALUES}), {}, VALUES),
    "zone with summer": (
        pd.DataFrame({"load": VALUES}, index=pd.date_range("2024-03-30", periods=N, freq="h", tz="Europe/Berlin")),
        {},
        VALUES,
    ),
    "texts": (pd.DataFrame({"date": DAYS.strftime("%Y-%m-%d"), "load": [f"{x:.2f}" for x in VALUES]}), {}, VALUES),
    "texts as objects": (pd.DataFrame({"load": np.array([f"{x:.2f}" for x in VALUES], object)}), {}, VALUES),
    "numbers as objects": (pd.DataFrame({"load": VALUES.astype(object)}), {}, VALUES),
    "Int64": (pd.DataFrame({"load": pd.array(WHOLE, "Int64")}), {}, WHOLE),
    "Float64": (pd.DataFrame({"load": pd.array(VALUES, "Float64")}), {}, VALUES),
    "int32": (pd.DataFrame({"load": WHOLE.astype("int32")}), {}, WHOLE),
    "float32": (pd.DataFrame({"load": VALUES.astype("float32")}), {}, VALUES.astype("float32").astype(float)),
    "Int64 with a gap": (pd.DataFrame({"load": pd.array(holed(WHOLE), "Int64")}), {}, "gaps="),
    "Float64 with a gap": (pd.DataFrame({"load": pd.array(holed(VALUES), "Float64")}), {}, "gaps="),
    "NaN": (pd.DataFrame({"date": DAYS, "load": holed(VALUES)}), {}, "gaps="),
    "None among objects": (pd.DataFrame({"load": [*VALUES[:9], None, *VALUES[10:]]}, dtype=object), {}, "gaps="),
    "a day missing": (pd.DataFrame({"date": DAYS, "load": VALUES}).drop(30), {}, "gaps="),
    "a day missing in the index": (pd.DataFrame({"load": VALUES}, index=DAYS).drop(DAYS[30]), {}, "gaps="),
    "a day twice": (pd.DataFrame({"date": DAYS[[*range(40), *range(39, N - 1)]], "load": VALUES}), {}, "2024-02-09"),
    "NaT": (pd.DataFrame({"date": [*DAYS[:9], pd.NaT, *DAYS[10:]], "load": VALUES}), {}, "date"),
    "infinite": (pd.DataFrame({"load": [*VALUES[1:], np.inf]}), {}, "inf"),
    "categories of numbers": (pd.DataFrame({"load": pd.Categorical(WHOLE)}), {}, WHOLE),
    "categories of words": (pd.DataFrame({"load": pd.Categorical(["a", "b"] * (N // 2))}), {}, "load"),
    "words": (pd.DataFrame({"load": ["a", "b"] * (N // 2)}), {}, "load"),
    "complex": (pd.DataFrame({"load": VALUES + 1j}), {}, "complex"),
    "dates as the target": (pd.DataFrame({"load": DAYS}), {}, "load"),
    "sentinels": (pd.DataFrame({"load": [*[-999.0] * 3, *VALUES[3:]]}), {}, "missing="),
    "sentinels kept": (
        pd.DataFrame({"load": [*[-999.0] * 3, *VALUES[3:]]}),
        {"missing": []},
        np.array([*[-999.0] * 3, *VALUES[3:]]),
    ),
    "no such column": (pd.DataFrame({"date": DAYS, "lead": VALUES}), {}, "lead"),
    "a title twice": (pd.DataFrame(np.array([VALUES, VALUES]).T, columns=["load", "load"]), {}, "load"),
    "two levels of titles": (
        pd.DataFrame({("load", "XYZ"): VALUES, ("Open", "XYZ"): WHOLE}, index=DAYS),
        {"target": "load XYZ"},
        VALUES,
    ),
    "shops": (SHOPS, {}, "where="),
    "one shop": (
        SHOPS,
        {"where": {"shop": "A"}},
        VALUES,
    ),
    "shops as two index levels": (
        SHOPS.set_index(["shop", "date"]),
        {"where": {"shop": "A"}},
        VALUES,
    ),
    "empty": (pd.DataFrame({"load": []}), {}, "0"),
    "no columns": (pd.DataFrame(index=DAYS), {}, "column"),
    "numbers for titles": (pd.DataFrame(np.array([WHOLE, VALUES]).T), {"target": "1"}, VALUES),
    "titles with spaces": (pd.DataFrame({"date": DAYS, " load ": VALUES}), {"target": " load "}, VALUES),
    "weekdays": (pd.DataFrame({"load": VALUES}, index=pd.bdate_range("2024-01-01", periods=N)), {}, VALUES),
    "not sorted": (pd.DataFrame({"date": DAYS, "load": VALUES}).sample(frac=1, random_state=1), {}, VALUES),
    "year as a number": (pd.DataFrame({"year": 1900 + np.arange(N), "load": VALUES}), {"target": None}, VALUES),
    "booleans beside": (pd.DataFrame({"date": DAYS, "open": VALUES > 20, "load": VALUES}), {}, VALUES),
}  # fmt: skip


@pytest.mark.parametrize("name", FRAMES)
def test_a_frame_is_read_exactly_or_refused(name):
    """And it is left as it was."""
    frame, more, expected = FRAMES[name]
    before = frame.copy(deep=True)
    arguments = {"target": "load"} | more
    if isinstance(expected, str):
        with pytest.raises(BadData, match=f"(?i){expected}"):
            rt.series.from_frame(frame, **arguments)
    else:
        series = rt.series.from_frame(frame, **arguments)
        np.testing.assert_array_equal(series.values[:, 0], expected)
        assert series.values.dtype == np.float64
        assert not np.shares_memory(series.values, frame.to_numpy())
    pd.testing.assert_frame_equal(frame, before)


@pytest.mark.parametrize(
    "thing", [[1, 2], {"load": [1]}, "x.csv", None, VALUES], ids=lambda thing: type(thing).__name__
)
def test_what_is_no_frame_is_an_error_in_words(thing):
    with pytest.raises(rt.errors.RnntipsError, match="frame"):
        rt.series.from_frame(thing, target="load")


def test_a_frame_of_inputs_keeps_their_order():
    frame = pd.DataFrame({"a": WHOLE, "date": DAYS, "load": VALUES, "b": VALUES[::-1]})
    series = rt.series.from_frame(frame, target="load", inputs=["b", "a"])
    np.testing.assert_array_equal(series.values, np.array([VALUES, VALUES[::-1], WHOLE]).T)
    np.testing.assert_array_equal(series.times, DAYS.to_numpy())


def test_lines_fill_what_a_frame_lacks():
    frame = pd.DataFrame({"date": DAYS, "load": holed(VALUES)})
    series = rt.series.from_frame(frame, target="load", gaps="fill")
    known = np.isfinite(holed(VALUES))
    np.testing.assert_array_equal(series.values[known, 0], VALUES[known])
    np.testing.assert_allclose(series.values[:, 0], np.interp(range(N), np.flatnonzero(known), VALUES[known]))
    assert any("2" in note for note in series.notes)


def test_years_in_any_order_are_times_although_one_is_there_twice(tmp_path):
    """And a column of whole numbers in the same range, most of them more than once, stays one that can be forecast."""
    rng, years = np.random.default_rng(5), np.arange(2001, 2001 + N)
    rows = [*rng.permutation(N), 9]
    path = tmp_path / "x.csv"
    path.write_text("when,load\n" + "".join(f"{years[row]},{VALUES[row]}\n" for row in rows))
    with pytest.raises(BadData, match=f"{years[9]} in line .* is there again"):
        rt.series.from_csv(path)
    load = rng.integers(1990, 2010, N)
    path.write_text("load\n" + "".join(f"{value}\n" for value in load))
    np.testing.assert_array_equal(rt.series.from_csv(path).values[:, 0], load)


@pytest.mark.parametrize("cell", ["1,23,4,5", "1,2.3,4", "13." + "," * 3000, "9" * 400 + "x"])
def test_a_cell_that_is_no_number_is_named_with_its_line_and_shortly(tmp_path, cell):
    path = tmp_path / "x.csv"
    path.write_text('date,load\n2024-01-01,"1,234.5"\n' + "".join(
        f'{day:%Y-%m-%d},"{cell if i == 7 else i * i % 17}"\n' for i, day in enumerate(DAYS[1:])))  # fmt: skip
    with pytest.raises(BadData, match=r"line 10|in different ways") as raised:
        rt.series.from_csv(path, "load")
    assert len(str(raised.value)) < 400
