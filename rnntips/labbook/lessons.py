"""The lessons: by symptom, by time, and what became of a reader's own guesses. Never what a record says."""

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources

from rnntips.labbook.book import Entry, LabBook, counted, current, own_book, scored

__all__ = ["CLASS", "Lesson", "by_symptom", "by_time", "lesson_map", "lessons", "outcome_of", "path", "symptoms"]

CLASS = 90  # minutes


@dataclass(frozen=True)
class Lesson:
    """One notebook; `data/lessons.toml` explains the fields."""

    notebook: str
    title: str
    question: str
    form: str
    difficulty: int
    minutes: int
    symptoms: tuple[str, ...]
    prerequisites: tuple[str, ...]
    ready: bool

    @property
    def name(self) -> str:
        """The notebook's without its number, which is also its tip's."""
        return self.notebook.partition("_")[2]

    @property
    def link(self) -> str:
        """Its title; as a link, for Markdown beside the notebooks, once there is something to open."""
        return f"[{self.title}]({self.notebook}.ipynb)" if self.ready else self.title


@cache
def _file() -> dict:
    return tomllib.loads(resources.files("rnntips").joinpath("data/lessons.toml").read_text(encoding="utf-8"))


def lessons() -> tuple[Lesson, ...]:
    """All of them, in the order of the book."""
    return tuple(
        Lesson(row["notebook"], row["title"], row["question"], row["form"], row["difficulty"], row["minutes"],
               tuple(row["symptoms"]), tuple(row["prerequisites"]), row.get("ready", False))
        for row in _file()["lesson"]
    )  # fmt: skip


def symptoms() -> dict[str, str]:
    """Key → what one sees."""
    return dict(_file()["symptoms"])


def outcome_of(lesson: Lesson, entries: Sequence[Entry]) -> str:
    """What became of a reader's guesses in a lesson; "?" if nothing was run there."""
    if lesson == lessons()[0]:
        return "you are here"
    bets = [entry for entry in counted(entries) if entry.get("tip") == lesson.name]
    decided = [entry for entry in bets if scored(entry)]
    if decided:
        return f"{sum(entry['right'] for entry in decided)} of {len(decided)} right"
    if bets:
        return "not decided"
    return "run, no guess" if any(entry.get("tip") == lesson.name for entry in current(entries)) else "?"


def by_symptom() -> str:
    """Where to look, as a table in Markdown."""
    rows = [f"| **{key}** | {says} | {', '.join(each.link for each in lessons() if key in each.symptoms)} |"
            for key, says in symptoms().items()]  # fmt: skip
    return "\n".join(["| symptom | what you see | lessons worth a look |", "|---|---|---|", *rows])


def path() -> dict[Lesson, int]:
    """What a class of ninety minutes does, in order: lesson → minutes."""
    named = {each.notebook: each for each in lessons()}
    return {named[notebook]: minutes for notebook, minutes in _file()["path"].items()}


def by_time(entries: Sequence[Entry]) -> str:
    """A class's path, and every lesson with its minutes and the reader's own guesses, in Markdown."""
    way = " → ".join(f"{each.link} {minutes}" for each, minutes in path().items())
    rows = [f"| {each.link} | {each.question} | {each.minutes} | {outcome_of(each, entries)} |" for each in lessons()]
    hours = sum(each.minutes for each in lessons()) / 60
    return "\n".join([
        f"**{CLASS} minutes, alone or in a class:** {way} ({sum(path().values())} together)\n",
        f"**All of it**, about {hours:.0f} hours:\n",
        "| lesson | question | minutes | your guesses |", "|---|---|---|---|", *rows,
    ])  # fmt: skip


def lesson_map(book: LabBook | None = None) -> None:
    """The map of lessons in a notebook.

    Args:
        book: Your own if None.
    """
    from IPython.display import display

    parts = [by_symptom(), by_time((own_book() if book is None else book).entries())]
    if not all(each.ready for each in lessons()):
        parts.append("Lessons without a link are still to come.")
    display({"text/plain": "<map of lessons>", "text/markdown": "\n\n".join(parts) + "\n"}, raw=True)
