"""Write weather.csv from the copy of Seattle's weather that the vega_datasets package carries.

pip download --no-deps "vega_datasets==0.9.0"
python rnntips/data/extract_weather.py vega_datasets-*.whl            # writes weather.csv and prints its sha256
python rnntips/data/extract_weather.py vega_datasets-*.whl --check    # compares instead; exit status 1 if they differ
"""

import argparse
import csv
import hashlib
import sys
import zipfile
from pathlib import Path

TARGET = Path(__file__).with_name("weather.csv")
MEMBER = "vega_datasets/_data/seattle-weather.csv"


def extract(wheel: str) -> bytes:
    """Date and maximum temperature of every day, as the package prints them but for the date's dashes."""
    with zipfile.ZipFile(wheel) as package:
        rows = csv.DictReader(package.read(MEMBER).decode("ascii").splitlines())
    lines = ["date,max_celsius", *(f"{row['date'].replace('/', '-')},{row['temp_max']}" for row in rows)]
    return ("\n".join(lines) + "\n").encode("ascii")


def main() -> int:
    parser = argparse.ArgumentParser(description="Extract weather.csv from vega_datasets' wheel.")
    parser.add_argument("wheel", help="the downloaded file; it is not installed")
    parser.add_argument("--check", action="store_true", help="compare with the file instead of writing it")
    arguments = parser.parse_args()
    content = extract(arguments.wheel)
    print(hashlib.sha256(content).hexdigest())
    if not arguments.check:
        TARGET.write_bytes(content)
    elif not TARGET.exists() or TARGET.read_bytes() != content:
        print(f"{TARGET.name} is not what vega_datasets holds: run this without --check", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
