"""A reader's CSV file, sent by the browser: checked first, and only then kept beside the notebook."""

import os
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

from rnntips.errors import BadData
from rnntips.series import from_csv
from rnntips.tables import MAX_BYTES, numeric_columns

__all__ = ["keep"]

LONGEST = 100  # letters of a name, which file systems count in bytes, of which 255 are allowed
SPECIAL = set('/\\<>:"|?*')  # in no name on some system


def keep(name: str, content: bytes) -> tuple[str, list[str]]:
    """Write a table into this folder, if a series can be made of it. No file is replaced, and no link followed.

    Returns:
        The name it has here, which is another where this one is taken, and its columns of numbers.

    Raises:
        BadData: Not a name for a CSV file, or not a table that can be used; nothing was written.
        OSError: This folder cannot be written to.
    """
    plain = name.isprintable() and len(name.encode("utf-8", "replace")) <= 2 * LONGEST and len(name) <= LONGEST
    if not (plain and name.lower().endswith(".csv") and name[0] not in ".-~ ") or SPECIAL & set(name):
        raise BadData(
            f"{name[:LONGEST]!r} was not taken: a name is needed that ends in .csv, begins with a letter or a number, "
            f"has at most {LONGEST} letters and none of {' '.join(sorted(SPECIAL))}. Rename the file."
        )
    if len(content) > MAX_BYTES:
        raise BadData(
            f"{name} has {len(content) / 1e6:.0f} MB, and up to {MAX_BYTES / 1e6:.0f} MB are read. Cut it to the "
            "rows and columns you need."
        )
    with TemporaryDirectory() as elsewhere:
        tried = Path(elsewhere) / name
        tried.write_bytes(content)
        columns = numeric_columns(tried)
        from_csv(tried, target=columns[0] if columns else None)
    place = Path(name)
    names = (place.with_stem(f"{place.stem}-{number}") if number > 1 else place for number in count(1))
    chosen = next(path for path in names if not os.path.lexists(path) or _same(path, content))
    part = chosen.with_name(f".{chosen.name}.{os.getpid()}.part")
    part.write_bytes(content)
    os.replace(part, chosen)
    return chosen.name, columns


def _same(path: Path, content: bytes) -> bool:
    return path.is_file() and not path.is_symlink() and path.read_bytes() == content
