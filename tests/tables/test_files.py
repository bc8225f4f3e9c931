"""Files of many shapes are read exactly, or refused in words that lead to an exact reading."""

import re

import numpy as np
import pytest
from files import HEALTHY, TROUBLE, File

import rnntips as rt
from rnntips.errors import BadData
from rnntips.tables.reading import numeric_columns

COUNTING = {*" no date datum year month day hour time timestamp open_time mess_datum #".split(" ")}
every = pytest.mark.parametrize("file", TROUBLE, ids=lambda file: file.name)


def write(file: File, folder) -> str:
    path = folder / file.file
    path.write_bytes(file.content)
    return str(path)


def follow(file: File, path: str) -> tuple[rt.series.Series, list[str]]:
    """The series that a reader gets who does what each message says, and the messages."""
    given, said = dict(file.given), []
    while True:
        try:
            return rt.series.from_csv(path, **given), said
        except BadData as error:
            said.append(str(error))
            named = {key: value for key, value in file.settles.items() if f"{key}=" in said[-1]}
            assert given | named != given, f"a dead end after {given}: {said[-1]}"
            given |= named


def assert_exact(series: rt.series.Series, file: File) -> None:
    """What was written, straight lines where nothing was, ascending times."""
    known, steps = np.isfinite(file.values), np.arange(len(file.values))
    assert series.values.shape == file.values.shape
    np.testing.assert_array_equal(series.values[known], file.values[known])
    for column, there in zip(range(file.values.shape[1]), known.T, strict=True):
        lines = np.interp(steps, steps[there], file.values[there, column])
        np.testing.assert_allclose(series.values[:, column], lines, rtol=1e-12)
    if not known.all():
        assert series.notes
    if series.times is not None:
        assert len(series.times) == len(steps)
        back = np.diff(series.times) < np.timedelta64(0)
        assert not back.any() or (back.sum() == 1 and "put back 1 time:" in " ".join(series.notes))
    for expected, row in ((file.first, 0), (file.last, -1)):
        if expected is not None:
            assert series.times[row] == np.datetime64(expected)
    for pattern in file.notes:
        assert re.search(pattern, " ".join(series.notes), re.IGNORECASE)


@every
def test_a_troubled_file_is_read_exactly_or_refused_in_words(file, tmp_path):
    path = write(file, tmp_path)
    if file.values is None:
        with pytest.raises(BadData) as error:
            rt.series.from_csv(path, **file.given)
        said = [str(error.value)]
    elif file.verdict == "reads" or file.settles:
        series, said = follow(file, path)
        assert_exact(series, file)
    else:
        try:
            assert_exact(rt.series.from_csv(path, **file.given), file)
            said = []
        except BadData as error:
            said = [str(error)]
    assert {"reads": not said, "refuses": bool(said), "either": True}[file.verdict], said
    for pattern in file.says if said else ():
        assert re.search(pattern, said[0], re.IGNORECASE), (pattern, said[0])


@pytest.mark.parametrize("file", HEALTHY, ids=lambda file: file.name)
def test_a_healthy_file_is_read_with_nothing_but_its_target(file, tmp_path):
    assert_exact(rt.series.from_csv(write(file, tmp_path), **file.given), file)


@every
def test_what_may_be_the_target_holds_no_dates_years_and_row_numbers(file, tmp_path):
    try:
        titles = numeric_columns(write(file, tmp_path))
    except BadData:
        return
    assert not COUNTING & {title.lower() for title in titles}
    target = file.given.get("target")
    if file.verdict == "reads" and target and target.lower() not in COUNTING:
        assert target in titles


@pytest.mark.parametrize(
    "argument", [{"sep": ";"}, {"sep": "\t"}, {"decimal": ","}, {"date": "load"}, {"encoding": "utf-16"}]
)
def test_an_argument_that_contradicts_the_file_is_an_error(argument, tmp_path):
    path = write(HEALTHY[0], tmp_path)
    with pytest.raises(BadData):
        rt.series.from_csv(path, target="load", **argument)


@pytest.mark.parametrize(
    "argument",
    [
        {"inputs": ["none"]}, {"inputs": "load"}, {"inputs": ["load"]}, {"date": "none"}, {"where": {"none": 1}},
        {"where": {"date": "none"}}, {"where": "A"}, {"sep": ""}, {"decimal": ",,"}, {"decimal": ".", "thousands": "."},
        {"missing": -999}, {"gaps": "drop"}, {"header": 1000}, {"header": -1}, {"encoding": "no such"}, {"dayfirst": 3},
        {"target": 1.5}, {"period": 0}, {"trending": "yes"},
    ],
    ids=str,
)  # fmt: skip
def test_an_argument_of_another_kind_is_an_error_in_words(argument, tmp_path):
    path = write(HEALTHY[0], tmp_path)
    with pytest.raises(rt.errors.RnntipsError):
        rt.series.from_csv(path, **{"target": "load"} | argument)


def test_home_is_expanded(tmp_path, monkeypatch):
    write(HEALTHY[0], tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert_exact(rt.series.from_csv("~/x.csv", target="load"), HEALTHY[0])


def test_marks_that_are_numbers_can_be_kept(tmp_path):
    """`missing=[]` ends the suspicion: the values stay."""
    file = next(file for file in TROUBLE if file.name == "DWD with -999")
    values = rt.series.from_csv(write(file, tmp_path), **file.given, missing=[]).values
    expected = np.where(np.isnan(file.values), -999, file.values)
    np.testing.assert_array_equal(values, expected)
