"""Write co2.csv from the copy of the Mauna Loa record that the statsmodels package carries.

pip install "statsmodels==0.15.*"
python rnntips/data/extract_co2.py            # writes co2.csv and prints its sha256
python rnntips/data/extract_co2.py --check    # compares instead; exit status 1 if they differ
"""

import argparse
import hashlib
import sys
from pathlib import Path

TARGET = Path(__file__).with_name("co2.csv")


def extract() -> bytes:
    """The whole csv: one line a week, an empty value where the station has no mean for that week."""
    from statsmodels.datasets import co2

    weekly = co2.load_pandas().data["co2"]
    lines = ["date,co2_ppm"]
    for day, ppm in weekly.items():
        lines.append(f"{day:%Y-%m-%d}," + ("" if ppm != ppm else f"{ppm:.1f}"))  # NaN is unequal to itself
    return ("\n".join(lines) + "\n").encode("ascii")


def main() -> int:
    parser = argparse.ArgumentParser(description="Extract co2.csv from statsmodels.")
    parser.add_argument("--check", action="store_true", help="compare with the file instead of writing it")
    check = parser.parse_args().check
    content = extract()
    print(hashlib.sha256(content).hexdigest())
    if not check:
        TARGET.write_bytes(content)
    elif not TARGET.exists() or TARGET.read_bytes() != content:
        print(f"{TARGET.name} is not what statsmodels holds: run this without --check", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
