"""Write digits.csv.gz from the copy of the handwritten digits that the scikit-learn package carries.

pip download --no-deps "scikit-learn==1.9.*"
python rnntips/data/extract_digits.py scikit_learn-*.whl            # writes digits.csv.gz, prints its text's sha256
python rnntips/data/extract_digits.py scikit_learn-*.whl --check    # compares instead; exit status 1 if they differ
"""

import argparse
import gzip
import hashlib
import sys
import zipfile
from pathlib import Path

TARGET = Path(__file__).with_name("digits.csv.gz")
MEMBER = "sklearn/datasets/data/digits.csv.gz"


def extract(wheel: str) -> bytes:
    """The whole csv: 64 pixels and the digit in whole numbers, one image a line; nothing else is changed."""
    with zipfile.ZipFile(wheel) as package:
        printed = gzip.decompress(package.read(MEMBER)).decode("ascii")  # as 0.000000000000000000e+00
    lines = (",".join(str(int(float(value))) for value in line.split(",")) for line in printed.splitlines())
    return ("\n".join(lines) + "\n").encode("ascii")


def main() -> int:
    parser = argparse.ArgumentParser(description="Extract digits.csv.gz from scikit-learn's wheel.")
    parser.add_argument("wheel", help="the downloaded file; it is not installed")
    parser.add_argument("--check", action="store_true", help="compare with the file instead of writing it")
    arguments = parser.parse_args()
    content = extract(arguments.wheel)
    print(hashlib.sha256(content).hexdigest())
    if not arguments.check:
        TARGET.write_bytes(gzip.compress(content, mtime=0))
    elif not TARGET.exists() or gzip.decompress(TARGET.read_bytes()) != content:
        print(f"{TARGET.name} is not what scikit-learn holds: run this without --check", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
