"""The lab book to read: a page of HTML that needs nothing beside itself, lines for a terminal, links in a notebook.

Notes, names and every other value of a book may be anybody's text. Templates escape all of it, and `plain` takes
control characters out of what a terminal gets.
"""

from base64 import b64encode
from collections.abc import Iterable, Sequence
from typing import Any

from rnntips.notebook.labbook.book import Entry, LabBook, counted, current, own_book, score, scored
from rnntips.notebook.labbook.guesses import guessed
from rnntips.recipe import FIELDS, called
from rnntips.templates import render

__all__ = ["change", "data_uri", "lines", "page", "plain", "show", "skipped"]

SWITCHES = {"True": True, "False": False, "None": None}
LINKED = 5_000_000  # bytes of a book that a notebook holds as links


def plain(text: str) -> str:
    """A text as one line of a terminal, which control characters cannot command."""
    return "".join(letter if letter.isprintable() else " " for letter in text)


def data_uri(content: bytes, kind: str) -> str:
    """An address that holds the content itself; `kind` is its media type."""
    return f"data:{kind};base64,{b64encode(content).decode()}"


def skipped(damaged: int) -> str:
    """Says how many lines could not be read; nothing if none."""
    return f"{damaged} damaged line{'s were' if damaged > 1 else ' was'} skipped." if damaged else ""


def in_time(entries: Iterable[Entry]) -> list[Entry]:
    """By the time they were written; the file's order where that is the same."""
    return sorted(entries, key=lambda entry: str(entry.get("time")))


def of_kind(entries: Iterable[Entry], kind: str) -> list[Entry]:
    """The entries of one kind, in time."""
    return in_time(entry for entry in entries if entry.get("kind") == kind)


def when(entry: Entry) -> str:
    """An entry's time as people write it."""
    return str(entry.get("time")).replace("T", " ").replace("+00:00", " UTC")


def change(entry: Entry) -> str:
    """What was changed, on what."""
    field, *sides, setting = (str(entry.get(name)) for name in ("field", "baseline", "variant", "setting"))
    if field in FIELDS:
        sides = [called(field, SWITCHES.get(side, side)) for side in sides]
        field = field.replace("_", " ")
    return f"{field}: {' → '.join(sides)} on {setting}"


def judged(run: Entry, counting: Sequence[Entry]) -> str:
    """What became of a run's guess; `counting` are the runs whose guesses count."""
    if not any(run is one for one in counting):
        return "asked before, so not counted"
    return ("right" if run["right"] else "not this time") if scored(run) else "not scored"


def how_solved(entry: Entry) -> str:
    """How an exercise went, in words."""
    tries = f"after {entry.get('tries')} tr{'y' if entry.get('tries') == 1 else 'ies'}"
    if entry.get("passed") is not True:
        return f"solution opened {tries}"
    return f"passed {tries}" + (", the solution had been opened" if entry.get("solution_opened") is True else "")


def provenance(run: Entry) -> str:
    """Where a run's numbers come from."""
    parts = {
        "seeds": listed(run.get("seeds")),
        "learning rates": listed(run.get("rates")),
        "updates": f"{run.get('reached')} of {run.get('updates')}",
        "seconds": run.get("seconds"),
        "device": run.get("device"),
        "versions": f"rnntips {run.get('version')}, {listed(run.get('versions'))}",
        "seat": run.get("seat"),
        "ended": run.get("state"),
    }
    return " · ".join(f"{name} {value}" for name, value in parts.items() if value not in ("", None))


def listed(value: Any) -> str:
    """A list, or a mapping, in a line; anything else as it is."""
    if isinstance(value, dict):
        return ", ".join(f"{name} {part}" for name, part in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


SHOWN = {each.__name__: each for each in (when, change, guessed, judged, how_solved, provenance)}  # in templates


def page(book: LabBook) -> str:
    """The whole book as one page of HTML, without scripts and without anything to load."""
    entries = book.entries()
    runs, tips = in_time(current(entries)), {}
    for run in runs:
        tips.setdefault(str(run.get("tip") or "Studies of your own"), []).append(run)
    return render(
        "notebook/labbook/lab-book.html",
        score=score(entries).sentence,
        guesses=[run for run in runs if guessed(run)],
        counting=counted(entries),
        tips=tips,
        exercises=of_kind(entries, "exercise"),
        notes=of_kind(entries, "note"),
        skipped=skipped(book.damaged),
        **SHOWN,
    )


def lines(book: LabBook) -> list[str]:
    """The book for a terminal."""
    entries = book.entries()
    said, counting = [score(entries).sentence], counted(entries)
    for run in in_time(current(entries)):
        guess = f" You guessed: {guessed(run)}; {judged(run, counting)}." if guessed(run) else ""
        said.append(f"{when(run)}  {run.get('tip')}: {change(run)}. {run.get('sentence')}{guess}")
    said += [f"{when(entry)}  {entry.get('name')}: {how_solved(entry)}" for entry in of_kind(entries, "exercise")]
    said += [f"{when(entry)}  note: {entry.get('text')}" for entry in of_kind(entries, "note")]
    return [plain(line) for line in [*said, skipped(book.damaged)] if line]


def show(book: LabBook | None = None) -> None:
    """A lab book, your own if none is named, in a notebook: the score, and links that save the page and the file."""
    from IPython.display import display

    book = own_book() if book is None else book
    entries = book.entries()
    try:
        raw = book.path.read_bytes() if book.path and entries and book.path.stat().st_size <= LINKED else b""
    except OSError:
        raw = b""
    html = render(
        "notebook/labbook/links.html",
        score=score(entries).sentence,
        page=data_uri(page(book).encode(), "text/html") if raw or not entries else "",
        file=data_uri(raw, "application/octet-stream") if raw else "",
        path=book.path,
    )
    display({"text/plain": repr(book), "text/html": html}, raw=True)
