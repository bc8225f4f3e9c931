"""The lab book to read: a page of HTML that needs nothing beside itself, lines for a terminal, a view in notebooks.

Notes, names and every other value of a book are other people's text: all of it is escaped.
"""

from base64 import b64encode
from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

from rnntips.labbook.book import Entry, LabBook, counted, current, own_book, score, scored
from rnntips.labbook.guesses import GUESSES

__all__ = ["LOCAL", "data_uri", "lines", "page", "plain", "shell", "show", "skipped", "table", "text"]

LOCAL = "This page needs no network. Nothing of it ever leaves this machine unless you send it."
STYLE = """
:root { color-scheme: light dark; --faint: #59595933; --quiet: #595959; --back: #fff; --ink: #1a1a1a; }
@media (prefers-color-scheme: dark) { :root { --faint: #a6a6a655; --quiet: #a6a6a6; --back: #161616; --ink: #eee; } }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60em; margin: 2em auto; padding: 0 1em;
       background: var(--back); color: var(--ink); }
table { border-collapse: collapse; width: 100%; } caption { text-align: left; font-weight: bold; }
th, td { text-align: left; vertical-align: top; padding: .2em .8em .2em 0; border-top: 1px solid var(--faint); }
small, .quiet { color: var(--quiet); } .note { white-space: pre-wrap; } .big { font-size: 1.3em; }
td, dd, p, h2, h3 { overflow-wrap: break-word; } img { max-width: 100%; background: #fff; }
"""
ALONE = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"  # what a browser may load for the page: nothing


def text(value: Any) -> str:
    """Any value as text in HTML; None is a dash."""
    shown = "–" if value is None else str(value)
    return escape(shown.encode("utf-8", "replace").decode())


def plain(value: Any) -> str:
    """Any value as one line of a terminal, which control characters cannot command."""
    shown = "–" if value is None else str(value)
    return "".join(letter if letter.isprintable() else " " for letter in shown)


def shell(title: str, body: str) -> str:
    """A whole page around a body."""
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{text(title)}</title>\n'
        f'<meta http-equiv="Content-Security-Policy" content="{ALONE}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<style>{STYLE}</style></head>\n<body><main>\n<h1>{text(title)}</h1>\n{body}\n"
        f'<p class="quiet">{LOCAL}</p>\n</main></body></html>\n'
    )


def table(caption: str, heads: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Rows of plain values as a table."""
    head = "".join(f'<th scope="col">{text(name)}</th>' for name in heads)
    body = "\n".join("<tr>" + "".join(f"<td>{text(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><caption>{text(caption)}</caption>\n<tr>{head}</tr>\n{body}\n</table>"


def data_uri(content: bytes, kind: str) -> str:
    """Content as an address that holds it."""
    return f"data:{kind};base64,{b64encode(content).decode()}"


def skipped(damaged: int) -> str:
    """Says how many lines could not be read; nothing if none."""
    return f"{damaged} damaged line{'s were' if damaged > 1 else ' was'} skipped." if damaged else ""


def in_time(entries: Iterable[Entry]) -> list[Entry]:
    """By the time they were written; the file's order where that is the same."""
    return sorted(entries, key=lambda entry: str(entry.get("time")))


def when(entry: Entry) -> str:
    """An entry's time as people write it."""
    return str(entry.get("time")).replace("T", " ").replace("+00:00", " UTC")


def change(entry: Entry) -> str:
    """What was changed, on what."""
    sides = [entry.get(name) for name in ("field", "baseline", "variant", "setting")]
    return "{}: {} → {} on {}".format(*sides)


def guessed(entry: Entry) -> str:
    """A run's guess as its button said it; "" if none was made."""
    guess = entry.get("guess")
    return GUESSES.get(guess, "") if isinstance(guess, str) else ""


def judged(entry: Entry, bets: Sequence[Entry]) -> str:
    """What became of a guess; `bets` are those that count."""
    if not any(entry is bet for bet in bets):
        return "asked before, so not counted"
    return ("right" if entry["right"] else "not this time") if scored(entry) else "not scored"


def exercise(entry: Entry) -> str:
    """An exercise's line in words."""
    tries = f"after {entry.get('tries')} tr{'y' if entry.get('tries') == 1 else 'ies'}"
    if entry.get("passed") is not True:
        return f"solution opened {tries}"
    return f"passed {tries}" + (", the solution had been opened" if entry.get("solution_opened") is True else "")


def several(value: Any) -> str:
    """A list, or a mapping, in a line; anything else as it is."""
    if isinstance(value, dict):
        return ", ".join(f"{name} {part}" for name, part in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def provenance(entry: Entry) -> str:
    """Where a run's numbers come from."""
    parts = {
        "seeds": several(entry.get("seeds")), "learning rates": several(entry.get("rates")),
        "updates": f"{entry.get('reached')} of {entry.get('updates')}", "seconds": entry.get("seconds"),
        "device": entry.get("device"), "versions": f"rnntips {entry.get('version')}, {several(entry.get('versions'))}",
        "seat": entry.get("seat"), "ended": entry.get("state"),
    }  # fmt: skip
    return " · ".join(f"{name} {value}" for name, value in parts.items() if value not in ("", None))


def of_kind(entries: Iterable[Entry], kind: str) -> list[Entry]:
    """The entries of one kind, in time."""
    return in_time(entry for entry in entries if entry.get("kind") == kind)


def page(book: LabBook) -> str:
    """The whole book as one page of HTML, without scripts and without anything to load."""
    entries = book.entries()
    runs, notes, done = in_time(current(entries)), of_kind(entries, "note"), of_kind(entries, "exercise")
    parts = [f'<p class="big">{text(score(entries).sentence)}</p>']
    if bets := counted(entries):
        rows = [(when(e), e.get("tip"), change(e), guessed(e), judged(e, bets)) for e in runs if guessed(e)]
        parts.append(table("Guesses", ("time", "tip", "change", "you guessed", "outcome"), rows))
    for tip in dict.fromkeys(str(entry.get("tip") or "Studies of your own") for entry in runs):
        parts.append(f"<h2>Runs: {text(tip)}</h2>")
        parts += [_run(entry) for entry in runs if str(entry.get("tip") or "Studies of your own") == tip]
    if done:
        rows = [(when(entry), entry.get("name"), exercise(entry)) for entry in done]
        parts.append(table("Exercises", ("time", "exercise", "how it went"), rows))
    if notes:
        parts.append("<h2>Notes</h2>")
        parts += [f'<p class="note"><small>{text(when(e))}</small>\n{text(e.get("text"))}</p>' for e in notes]
    parts.append(f"<p>{text(skipped(book.damaged))}</p>" if book.damaged else "")
    return shell("Lab book", "\n".join(filter(None, parts)))


def _run(entry: Entry) -> str:
    return (
        f"<h3>{text(change(entry))}</h3>\n<p>{text(entry.get('sentence'))}</p>\n"
        f"<p><small>{text(when(entry))} · {text(provenance(entry))}</small></p>"
    )


def lines(book: LabBook) -> list[str]:
    """The book for a terminal."""
    entries = book.entries()
    said, bets = [score(entries).sentence], counted(entries)
    for entry in in_time(current(entries)):
        bet = f" You guessed: {guessed(entry)}; {judged(entry, bets)}." if guessed(entry) else ""
        said.append(f"{when(entry)}  {entry.get('tip')}: {change(entry)}. {entry.get('sentence')}{bet}")
    said += [f"{when(entry)}  {entry.get('name')}: {exercise(entry)}" for entry in of_kind(entries, "exercise")]
    said += [f"{when(entry)}  note: {entry.get('text')}" for entry in of_kind(entries, "note")]
    return [plain(line) for line in [*said, skipped(book.damaged)] if line]


def show(book: LabBook | None = None) -> None:
    """Your lab book in a notebook: your score, and links that save the page and the file.

    Args:
        book: Your own if None.
    """
    from IPython.display import display

    book = own_book() if book is None else book
    entries, whole = book.entries(), page(book)
    html = f"<p>{text(score(entries).sentence)} {_link('Save the lab book as a page', 'lab-book.html', whole)}"
    try:
        raw = book.path.read_bytes() if book.path and entries else b""
    except OSError:
        raw = b""
    html += f" · {_link('Save the file, for a class', 'lab-book.jsonl', raw)}</p>" if raw else "</p>"
    display({"text/plain": repr(book), "text/html": html}, raw=True)


def _link(label: str, name: str, content: str | bytes) -> str:
    """A link that holds what it saves, so that it works wherever the notebook is served from."""
    raw = content.encode() if isinstance(content, str) else content
    kind = "text/html" if name.endswith("html") else "application/octet-stream"
    return f'<a download="{name}" href="{data_uri(raw, kind)}">{text(label)}</a>'
