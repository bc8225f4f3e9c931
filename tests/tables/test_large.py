"""Large files: their time is printed, their memory is bounded. Each is read in a process of its own."""

import subprocess
import sys

import numpy as np
import pytest

READ = """
import resource, sys, time
import rnntips as rt
rt.series.from_csv  # loaded before the clock starts
import pandas
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024  # MiB; Linux counts in KiB
before, began = peak(), time.perf_counter()
try:
    series = rt.series.from_csv(sys.argv[1], target=sys.argv[2])
    done = f"{series.values.shape} {series.values[0, 0]!r} {series.values[-1, 0]!r}"
except rt.errors.BadData as error:
    done = f"BadData: {error}"
print(f"{time.perf_counter() - began:.1f} s, {peak() - before:.0f} MiB more, {done}")
"""
WAVE = np.round(20 + 5 * np.sin(np.arange(10_000) / 50) + np.random.default_rng(3).normal(0, 0.3, 10_000), 2)
TEXTS = [f"{x:.2f}" for x in WAVE]


def one_column(file) -> int:
    block = "".join(f"{text}0000\n" for text in TEXTS)  # just under ten million rows
    file.write("load\n")
    return _repeat(file, lambda _: block)


def dates(file) -> int:
    start = np.datetime64("2010-01-01T00:00")

    def block(i: int) -> str:
        minutes = np.datetime_as_string(start + np.arange(i * 10_000, (i + 1) * 10_000))
        return "".join(f"{t.replace('T', ' ')}:00,{x}\n" for t, x in zip(minutes, TEXTS, strict=True))

    file.write("date,load\n")
    return _repeat(file, block)


def ten_columns(file) -> int:
    block = "".join(",".join([text] * 10) + "\n" for text in TEXTS)
    file.write(",".join(["load", *"abcdefghi"]) + "\n")
    return _repeat(file, lambda _: block)


def wide(file) -> int:
    file.write(",".join(["load", *(f"c{i}" for i in range(40_000))]) + "\n")
    for i in range(60):
        file.write(TEXTS[i] + "," + ",".join(TEXTS[:10_000] * 4) + "\n")
    return 60


def _repeat(file, block) -> int:
    blocks = 0
    while file.tell() < 98_500_000:
        file.write(block(blocks))
        blocks += 1
    return blocks * len(TEXTS)


@pytest.mark.slow
@pytest.mark.parametrize("make", [one_column, dates, ten_columns, wide], ids=lambda make: make.__name__)
def test_a_large_file_is_read_in_bounded_memory(make, tmp_path):
    path = tmp_path / "x.csv"
    with path.open("w", newline="") as file:
        rows = make(file)
    said = subprocess.run([sys.executable, "-c", READ, path, "load"], capture_output=True, text=True, check=True).stdout
    print(f"{make.__name__}, {path.stat().st_size / 1e6:.0f} MB, {rows} rows: {said}")
    last = TEXTS[(rows - 1) % len(TEXTS)]
    assert f"({rows}, 1) {np.float64(TEXTS[0])!r} {np.float64(last)!r}" in said
    assert float(said.split(" s, ")[1].split(" MiB")[0]) < 1_500
