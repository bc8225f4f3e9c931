"""The lab book to read: a page of HTML that needs nothing beside itself, lines for a terminal, links in a notebook.

Notes, names and every other value of a book may be anybody's text. Templates escape all of it, and `plain` takes
control characters out of what a terminal gets.
"""

from base64 import b64encode
from collections.abc import Iterable, Sequence
from typing import Any

from rnntips.notebook.labbook.book import Entry, LabBook, counted, current, own_book, score, scored
from rnntips.notebook.labbook.guesses import GUESSES
from rnntips.notebook.templates import render

__all__ = ["change", "data_uri", "lines", "page", "plain", "show", "skipped"]


def plain(text: str) -> str:
    """A text as one line of a terminal, which control characters cannot command."""
    return "".join(letter if letter.isprintable() else " " for letter in text)


def data_uri(content: bytes, kind: str) -> str:
    """An address that holds the content itself; `kind` is its media type."""
    return f"data:{kind};base64,{b64encode(content).decode()}"


def skipped(damaged: int) -> str:
    """Says how many lines could not be read; nothing if none."""
    return f"{damaged} damaged line{'s were' if damaged > 1 else ' was'} skipped." if damaged else ""


def contents(book: LabBook) -> dict[str, Any]:
    """All that is shown of a book: its score, and its runs, exercises and notes in the order of their time."""
    entries = book.entries()
    scoring = counted(entries)
    exercises, notes = ([e for e in in_time(entries) if e.get("kind") == kind] for kind in ("exercise", "note"))
    return {
        "score": score(entries).sentence,
        "runs": [run(entry, scoring) for entry in in_time(current(entries))],
        "exercises": [{"time": when(e), "name": e.get("name"), "how": how_solved(e)} for e in exercises],
        "notes": [{"time": when(e), "text": e.get("text")} for e in notes],
        "skipped": skipped(book.damaged),
    }


def in_time(entries: Iterable[Entry]) -> list[Entry]:
    """By the time they were written; the file's order where that is the same."""
    return sorted(entries, key=lambda entry: str(entry.get("time")))


def run(entry: Entry, scoring: Sequence[Entry]) -> dict[str, Any]:
    """What is shown of one run; `scoring` are the runs whose guesses count."""
    guess = entry.get("guess")
    if not any(entry is one for one in scoring):
        outcome = "asked before, so not counted"
    elif scored(entry):
        outcome = "right" if entry["right"] else "not this time"
    else:
        outcome = "not scored"
    return {
        "time": when(entry),
        "tip": entry.get("tip"),
        "heading": str(entry.get("tip") or "Studies of your own"),
        "change": change(entry),
        "sentence": entry.get("sentence"),
        "guess": GUESSES.get(guess, "") if isinstance(guess, str) else "",
        "outcome": outcome,
        "provenance": provenance(entry),
    }


def when(entry: Entry) -> str:
    """An entry's time as people write it."""
    return str(entry.get("time")).replace("T", " ").replace("+00:00", " UTC")


def change(entry: Entry) -> str:
    """What was changed, on what."""
    sides = [entry.get(name) for name in ("field", "baseline", "variant", "setting")]
    return "{}: {} → {} on {}".format(*sides)


def how_solved(entry: Entry) -> str:
    """How an exercise went, in words."""
    tries = f"after {entry.get('tries')} tr{'y' if entry.get('tries') == 1 else 'ies'}"
    if entry.get("passed") is not True:
        return f"solution opened {tries}"
    return f"passed {tries}" + (", the solution had been opened" if entry.get("solution_opened") is True else "")


def provenance(entry: Entry) -> str:
    """Where a run's numbers come from."""
    parts = {
        "seeds": listed(entry.get("seeds")),
        "learning rates": listed(entry.get("rates")),
        "updates": f"{entry.get('reached')} of {entry.get('updates')}",
        "seconds": entry.get("seconds"),
        "device": entry.get("device"),
        "versions": f"rnntips {entry.get('version')}, {listed(entry.get('versions'))}",
        "seat": entry.get("seat"),
        "ended": entry.get("state"),
    }
    return " · ".join(f"{name} {value}" for name, value in parts.items() if value not in ("", None))


def listed(value: Any) -> str:
    """A list, or a mapping, in a line; anything else as it is."""
    if isinstance(value, dict):
        return ", ".join(f"{name} {part}" for name, part in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def page(book: LabBook) -> str:
    """The whole book as one page of HTML, without scripts and without anything to load."""
    return render("labbook/lab-book.html", **contents(book))


def lines(book: LabBook) -> list[str]:
    """The book for a terminal."""
    found = contents(book)
    said = [found["score"]]
    for one in found["runs"]:
        guess = f" You guessed: {one['guess']}; {one['outcome']}." if one["guess"] else ""
        said.append(f"{one['time']}  {one['tip']}: {one['change']}. {one['sentence']}{guess}")
    said += [f"{one['time']}  {one['name']}: {one['how']}" for one in found["exercises"]]
    said += [f"{one['time']}  note: {one['text']}" for one in found["notes"]]
    return [plain(line) for line in [*said, found["skipped"]] if line]


def show(book: LabBook | None = None) -> None:
    """Your lab book in a notebook: your score, and links that save the page and the file.

    Args:
        book: Your own if None.
    """
    from IPython.display import display

    book = own_book() if book is None else book
    entries = book.entries()
    try:
        raw = book.path.read_bytes() if book.path and entries else b""
    except OSError:
        raw = b""
    html = render(
        "labbook/links.html",
        score=score(entries).sentence,
        page=data_uri(page(book).encode(), "text/html"),
        file=data_uri(raw, "application/octet-stream") if raw else "",
    )
    display({"text/plain": repr(book), "text/html": html}, raw=True)
