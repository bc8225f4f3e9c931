"""One reader's lab book: a local file to which lines are only ever added.

Every line is a JSON object with its kind, time and version. Whatever happens to the file, the lines that are whole
can be read. Nothing here sends anything anywhere.
"""

import json
import os
import stat
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from math import isfinite
from pathlib import Path
from typing import Any, BinaryIO

from rnntips import __version__
from rnntips.errors import BadArgument, BadData
from rnntips.notebook.labbook.guesses import GUESSES, Limits, Score, guessed, right
from rnntips.study import Study
from rnntips.verdict import failures, progress

__all__ = ["FILE", "SEAT", "SEATS", "VARIABLE", "LabBook", "counted", "current", "each_line", "note", "own_book",
           "read", "run_entry", "score", "scored"]  # fmt: skip

Entry = dict[str, Any]
FILE, VARIABLE = "lab-book.jsonl", "RNNTIPS_LABBOOK"
LARGEST = 1_000_000  # bytes of a line; a comparison of ten runs a side takes about 2,500
SEATS, SEAT = 99, 100  # seats 1 to 99, each with 100 seeds of its own, seat 7 with 700 to 799; seat 0 is everybody's
QUESTION = ("tip", "setting", "field", "baseline", "variant")  # two runs that agree in these ask the same


class LabBook:
    """A lab book. Building one touches no file.

    Args:
        path: The file; None: what RNNTIPS_LABBOOK names, or `lab-book.jsonl` in this folder. Empty: keep no book.
    """

    def __init__(self, path: str | Path | None = None):
        chosen = os.environ.get(VARIABLE, FILE) if path is None else path
        self.path = Path(chosen) if str(chosen) else None
        self.damaged = 0  # lines that the last reading skipped

    def __repr__(self) -> str:
        return "<lab book>"

    def add(self, kind: str, **fields: Any) -> str:
        """Add one line. Returns "" if it was kept, and otherwise what was not, and what to do; never raises for that.

        Numbers that JSON does not know (NaN, infinite) become null.
        """
        if self.path is None:
            return ""
        about = {"kind": kind, "time": datetime.now(UTC).isoformat(timespec="seconds"), "version": __version__}
        text = json.dumps(strict(about | fields), allow_nan=False, ensure_ascii=False)
        try:
            _append(self.path, text.encode("utf-8", "backslashreplace") + b"\n")
        except (OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or error
            return f"This {kind} was not kept in {self.path} ({why}): make room there, or name a file in {VARIABLE}."
        return ""

    def entries(self) -> list[Entry]:
        """All whole lines, the oldest first; `damaged` then counts the others. No file, no entries."""
        try:
            found, self.damaged = read(self.path) if self.path else ([], 0)
        except BadData:
            found, self.damaged = [], 0
        return found


def read(path: str | Path) -> tuple[list[Entry], int]:
    """The whole lines of a file, and how many others it has. Raises BadData as `each_line` does."""
    found = [entry for _, entry in each_line(path)]
    entries = [entry for entry in found if entry is not None]
    return entries, len(found) - len(entries)


def each_line(path: str | Path) -> Iterator[tuple[int, Entry | None]]:
    """Number and entry of every line that is not blank, one in memory at a time; None for a damaged one.

    Raises:
        BadData: There is no such file, or it cannot be read.
    """
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):  # a pipe would be waited for, and a device has no end
            raise OSError(0, "it is not a file")
        with open(path, "rb") as file:
            for number, line in enumerate(_pieces(file), 1):
                if line.strip():
                    yield number, _entry(line.removeprefix(b"\xef\xbb\xbf"))
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise BadData(f"{path} cannot be read ({why}). Name a lab book, such as {FILE}.") from None


def _pieces(file: BinaryIO) -> Iterator[bytes]:
    """Line by line; of one that is too long only its begin, which no longer is a whole line."""
    while line := file.readline(LARGEST):
        rest = line
        while not rest.endswith(b"\n") and (rest := file.readline(LARGEST)):
            pass
        yield line


def _entry(line: bytes) -> Entry | None:
    """The entry on a line, None if it holds none."""
    try:
        entry = json.loads(line.decode("utf-8"), parse_constant=_refuse)
    except (ValueError, RecursionError):
        return None
    whole = isinstance(entry, dict) and isinstance(entry.get("kind"), str)
    return entry if whole else None


def _refuse(name: str):
    raise ValueError(f"{name} is not JSON")


def _append(path: Path, line: bytes) -> None:
    """One write, so that lines of several processes never mix; a torn line before it is ended first."""
    descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o666)
    try:
        if os.fstat(descriptor).st_size:
            os.lseek(descriptor, -1, os.SEEK_END)
            line = line if os.read(descriptor, 1) == b"\n" else b"\n" + line
        if os.write(descriptor, line) < len(line):
            raise OSError(0, "the disk is full")
    finally:
        os.close(descriptor)


def strict(value: Any) -> Any:
    """A value as JSON can hold it: NumPy's numbers and arrays as Python's, NaN and infinite ones as None."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, Mapping):
        return {str(name): strict(item) for name, item in value.items()}
    if isinstance(value, (list, tuple, range)):
        return [strict(item) for item in value]
    if isinstance(value, float):
        return float(value) if isfinite(value) else None
    return value if value is None or isinstance(value, (bool, int)) else str(value)


def own_book() -> LabBook:
    """The reader's own book: kept in a Jupyter kernel, or where RNNTIPS_LABBOOK is set; elsewhere none is kept."""
    return LabBook() if _in_kernel() or VARIABLE in os.environ else LabBook("")


def _in_kernel() -> bool:
    """Whether this process answers a notebook. IPython is asked only if somebody has loaded it."""
    ask: Callable | None = getattr(sys.modules.get("IPython"), "get_ipython", None)
    return "ipykernel" in sys.modules and ask is not None and getattr(ask(), "kernel", None) is not None


def note(text: str) -> None:
    """Put a note into your lab book."""
    book = own_book()
    if book.path is None:
        print(f"Not noted: no lab book is kept here. Name a file in {VARIABLE}.")
    else:
        print(book.add("note", text=str(text)) or "Noted.")


def run_entry(
    study: Study, tip: str | None, setting: str, *, experiment: str, guess: str | None = None,
    guesses: Limits | None = None, seat: str | int = "",
) -> Entry:  # fmt: skip
    """What the book keeps of one comparison, for `book.add("run", **run_entry(...))`.

    Args:
        study: Of one setting.
        setting: What the reader calls it.
        experiment: Any text that no other comparison has; a later entry with the same one supersedes this entry.
        guess: A name in GUESSES, or in `guesses`; None if none was made.
        guesses: The lesson's own, if it has any.
        seat: Where in a class the reader sits; it chooses the seeds.

    Raises:
        BadArgument: An unknown guess.
    """
    if guess is not None and guess not in (guesses or GUESSES):
        raise BadArgument(f"guess={guess!r}: one of {', '.join(guesses or GUESSES)} is needed, or None.")
    ((name, sides),) = study.runs.items()
    baseline, variant = sides
    found = ("field", "n", "verdict", "typical", "interval", "smallest", "sentence")
    about = ("seeds", "reached", "updates", "device", "versions")
    return {
        "experiment": experiment,
        "state": "stopped" if study.stopped else "done",
        "seat": str(seat),
        "tip": tip,
        "setting": setting,
        "baseline": str(getattr(study.baseline, study.field)),
        "variant": str(getattr(study.variant, study.field)),
        "recipes": [repr(side.recipes[0]) for side in sides],
        "rates": [side.recipes[0].lr for side in sides],
        "guess": guess,
        "guesses": guesses,
        "right": right(guess, study, guesses),
        "effects": study.effects(name),
        "failures": failures(variant.latest_score, baseline.latest_score, baseline.naive),
        "progress": [progress(side.latest_score, side.naive, side.floor) for side in sides],
        "seconds": round(sum({side.seconds for side in sides}), 3),  # sides that trained together share theirs
        **{each: getattr(study, each) for each in found},
        **{each: getattr(baseline, each) for each in about},
    }


def current(entries: Iterable[Entry]) -> list[Entry]:
    """One run of each experiment, in the file's order: the last that was finished, or the last if none was."""
    runs = [entry for entry in entries if entry.get("kind") == "run"]
    stands: dict[Any, int] = {}  # experiment → where its run is
    for i, entry in enumerate(runs):
        name = entry.get("experiment")
        name = name if isinstance(name, str) and name else i  # without a name it supersedes nothing
        if name not in stands or entry.get("state") == "done" or runs[stands[name]].get("state") != "done":
            stands[name] = i
    return [runs[i] for i in sorted(stands.values())]


def counted(entries: Iterable[Entry]) -> list[Entry]:
    """The runs whose guesses count: of each question the first that was scored, or the first if none was.

    Whoever asks the same again has seen the answer.
    """
    first: dict[Any, Entry] = {}
    for i, entry in enumerate(current(entries)):
        if guessed(entry):
            asked = tuple(str(entry[name]) for name in QUESTION) if entry.keys() >= set(QUESTION) else i
            if asked not in first or (scored(entry) and not scored(first[asked])):
                first[asked] = entry
    return list(first.values())


def score(entries: Iterable[Entry]) -> Score:
    """How many guesses count, were scored, and were right."""
    guesses = counted(entries)
    decided = [entry["right"] for entry in guesses if scored(entry)]
    return Score(len(guesses), len(decided), sum(decided))


def scored(entry: Entry) -> bool:
    """Whether a run's guess was right or wrong; neither if nothing was decided."""
    return isinstance(entry.get("right"), bool)
