"""The contents of a file as text in UTF-8: found, unpacked, decoded; what is no text is named."""

import bz2
import gzip
import io
import lzma
import os
import re
import zipfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from rnntips.errors import BadData, need, need_text, shown
from rnntips.series import MAX_CSV_BYTES

__all__ = ["contents", "listed"]

UNREADABLE = {  # how a file begins → what it is
    b"PAR1": "a Parquet file: read it with pandas.read_parquet, and pass the frame to rt.series.from_frame",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook: save the sheet as CSV",
    b"%PDF": "a PDF document: save the table as CSV",
    b"\x89HDF": "an HDF5 file: read it with its own package, and pass a frame to rt.series.from_frame",
    b"\x28\xb5\x2f\xfd": "compressed with Zstandard: unpack it",
}
JSON = re.compile(rb"\s*(\{|\[\s*[\[{])")
BOMS = {b"\xff\xfe\x00\x00": "utf-32", b"\x00\x00\xfe\xff": "utf-32", b"\xef\xbb\xbf": "utf-8-sig",
        b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}  # fmt: skip


def contents(path: str | Path, encoding: str | None) -> tuple[str, bytes, list[str]]:
    """The file's name, its text in UTF-8, and what was inferred.

    Raises:
        BadData: No such file, a huge one, or one that holds no text.
    """
    need("path", path, str | Path, "a file's name")
    there = False
    with suppress(OSError, RuntimeError, ValueError):  # of a name that is too long, or an unknown user's folder
        path = Path(path).expanduser()
        there = path.is_file()
    if not there:
        raise BadData(f"No file at {shown(str(path))} (looked from {os.getcwd()}). Check the spelling and the folder.")
    _bounded(path.name, path.stat().st_size)
    try:
        raw = _unpacked(path.name, path.read_bytes())
    except (OSError, EOFError, lzma.LZMAError, zipfile.BadZipFile, RuntimeError, NotImplementedError) as error:
        raise BadData(f"{path.name} cannot be read ({error}). Save it again, as CSV in UTF-8.") from None
    return path.name, *_as_utf8(path.name, raw, encoding)


def _bounded(name: str, size: int) -> None:
    if size > MAX_CSV_BYTES:
        raise BadData(
            f"{name} has {size / 1e6:.0f} MB; up to {MAX_CSV_BYTES / 1e6:.0f} MB are read. Cut it to the rows and "
            "columns that you need."
        )


def _unpacked(name: str, raw: bytes) -> bytes:
    for begin, what in UNREADABLE.items():
        if raw.startswith(begin):
            raise BadData(f"{name} is {what}.")
    if raw.startswith(b"PK\x03\x04"):
        with zipfile.ZipFile(io.BytesIO(raw)) as archive:
            inside = [one for one in archive.infolist() if not one.is_dir() and "__MACOSX" not in one.filename]
            if any(one.filename == "[Content_Types].xml" for one in inside):
                raise BadData(f"{name} is an Excel workbook. Save the sheet as CSV, or read it with pandas.read_excel "
                              "and pass the frame to rt.series.from_frame.")  # fmt: skip
            if len(inside) != 1:
                names = listed([one.filename for one in inside])
                raise BadData(f"{name} holds {len(inside)} files ({names}). Unpack it, and name one of them.")
            _bounded(inside[0].filename, inside[0].file_size)
            return archive.read(inside[0])
    for begin, module in ((b"\x1f\x8b", gzip), (b"BZh", bz2), (b"\xfd7zXZ", lzma)):
        if raw.startswith(begin):
            with module.open(io.BytesIO(raw)) as packed:
                found = packed.read(MAX_CSV_BYTES + 1)
            _bounded(name, len(found))
            return found
    return raw


def _as_utf8(name: str, raw: bytes, encoding: str | None) -> tuple[bytes, list[str]]:
    """The file in UTF-8, and a note if its encoding was inferred."""
    notes = []
    if encoding is not None:
        need_text("encoding", encoding, 1)
    elif bom := next((bom for bom in BOMS if raw.startswith(bom)), None):
        encoding = BOMS[bom]
    elif max(zeros := (raw[:1000:2].count(0), raw[1:1000:2].count(0))) > 4 * min(zeros) + len(raw[:1000]) / 8:
        encoding = "utf-16-be" if zeros[0] > zeros[1] else "utf-16-le"
        notes.append(f"The file was taken to be {encoding.upper()} (encoding=).")
    try:
        text = raw if encoding == "utf-8" else raw.decode(encoding or "utf-8").encode("utf-8")
    except UnicodeError as error:
        if encoding is None:
            raw, more = _as_utf8(name, raw, "cp1252")
            return raw, [*more, "Letters that are not ASCII were read as Windows-1252 (encoding=)."]
        raise BadData(
            f"{name} cannot be read as a table of text ({error}). Save it as CSV in UTF-8, or name its encoding with "
            "encoding=."
        ) from None
    except (LookupError, ValueError):  # a name that no codec can have
        raise BadData(f"encoding={shown(encoding)} is not known. Use, for example, 'utf-8' or 'cp1252'.") from None
    if JSON.match(text):
        raise BadData(f"{name} is JSON. Read it with pandas.read_json, and pass the frame to rt.series.from_frame.")
    if text.lstrip(b"\xef\xbb\xbf \r\n\t").startswith(b"<") or b"\0" in text:
        what = "not a table of text" if b"\0" in text else "a web page (HTML) or XML"
        raise BadData(f"{name} is {what}. Save the table itself as CSV in UTF-8.")
    return text, notes


def listed(names: Sequence[str], most: int = 20) -> str:
    """Names for a message; of very many only the first."""
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(shown(name).strip("'") for name in names[:most]) + more
