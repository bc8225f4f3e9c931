"""The bundled CO2 record is the one that its README describes."""

import csv
import hashlib
import re
from datetime import date, timedelta
from pathlib import Path

DATA = Path(__file__).parents[1] / "rnntips" / "data"


def rows() -> list[dict[str, str]]:
    with (DATA / "co2.csv").open(encoding="ascii", newline="") as file:
        return list(csv.DictReader(file))


def test_checksum_is_the_one_in_the_readme():
    stated = re.findall(r"\b[0-9a-f]{64}\b", (DATA / "README.md").read_text(encoding="utf-8"))
    assert hashlib.sha256((DATA / "co2.csv").read_bytes()).hexdigest() in stated


def test_every_week_has_a_row():
    days = [date.fromisoformat(row["date"]) for row in rows()]
    assert days == [date(1958, 3, 29) + timedelta(weeks=week) for week in range(2284)]


def test_weeks_that_were_not_measured_stay_empty():
    values = [row["co2_ppm"] for row in rows()]
    assert values.count("") == 59
    assert all(310 < float(value) < 380 for value in values if value)
