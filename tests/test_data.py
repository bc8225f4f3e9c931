"""The bundled data are those that their README describes."""

import csv
import gzip
import hashlib
import re
from datetime import date, timedelta
from pathlib import Path

DATA = Path(__file__).parents[1] / "rnntips" / "data"


def rows() -> list[dict[str, str]]:
    with (DATA / "co2.csv").open(encoding="ascii", newline="") as file:
        return list(csv.DictReader(file))


def test_checksum_is_the_one_in_the_readme():
    """A file's section has its checksum, of a packed file that of the text inside."""
    sections = (DATA / "README.md").read_text(encoding="utf-8").split("\n## ")[1:]
    stated = {text.split("\n")[0]: re.findall(r"\b[0-9a-f]{64}\b", text) for text in sections}
    found = {path.name: path.read_bytes() for path in (*DATA.glob("*.csv"), *DATA.glob("*.gz"))}
    plain = {name: gzip.decompress(text) if name.endswith(".gz") else text for name, text in found.items()}
    assert {name: [hashlib.sha256(text).hexdigest()] for name, text in plain.items()} == stated
    assert sum(map(len, found.values())) < 200_000


def test_every_week_has_a_row():
    days = [date.fromisoformat(row["date"]) for row in rows()]
    assert days == [date(1958, 3, 29) + timedelta(weeks=week) for week in range(2284)]


def test_weeks_that_were_not_measured_stay_empty():
    values = [row["co2_ppm"] for row in rows()]
    assert values.count("") == 59
    assert all(310 < float(value) < 380 for value in values if value)


def test_digits_are_as_many_as_the_readme_says():
    lines = gzip.decompress((DATA / "digits.csv.gz").read_bytes()).decode("ascii").splitlines()
    table = [[int(value) for value in line.split(",")] for line in lines]
    assert {65} == {len(row) for row in table} and all(0 <= value <= 16 for row in table for value in row[:64])
    digits = [row[64] for row in table]
    counts = ", ".join(str(digits.count(digit)) for digit in range(9)) + f" and {digits.count(9)}"
    assert f"{len(table):,} images: {counts} of the digits 0 to 9" in (DATA / "README.md").read_text(encoding="utf-8")


def test_every_day_of_the_weather_has_a_row_and_a_temperature():
    with (DATA / "weather.csv").open(encoding="ascii", newline="") as file:
        days = list(csv.DictReader(file))
    assert [row["date"] for row in days] == [str(date(2012, 1, 1) + timedelta(days=day)) for day in range(1461)]
    values = [float(row["max_celsius"]) for row in days]
    assert min(values) == -1.6 and max(values) == 35.6
    july, january = ([value for row, value in zip(days, values, strict=True) if f"-{month}-" in row["date"]]
                     for month in ("07", "01"))  # fmt: skip
    assert sum(july) / len(july) > 15 + sum(january) / len(january)
