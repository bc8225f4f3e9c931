"""The map of lessons: by symptom, by time, and what became of a reader's own guesses. Never what a record says."""

from collections.abc import Sequence

from rnntips.notebook.labbook.book import Entry, LabBook, counted, current, own_book, scored
from rnntips.notebook.lessons import Lesson, class_path, lessons, planned, symptoms

__all__ = ["CLASS", "by_symptom", "by_time", "lesson_map", "outcome_of"]

CLASS = 90  # minutes


def outcome_of(lesson: Lesson, entries: Sequence[Entry]) -> str:
    """What became of a reader's guesses in a lesson; "?" if nothing was run there."""
    if lesson == lessons()[0]:
        return "you are here"
    guesses = [entry for entry in counted(entries) if entry.get("tip") == lesson.name]
    decided = [entry for entry in guesses if scored(entry)]
    if decided:
        return f"{sum(entry['right'] for entry in decided)} of {len(decided)} right"
    if guesses:
        return "not decided"
    return "run, no guess" if any(entry.get("tip") == lesson.name for entry in current(entries)) else "?"


def by_symptom() -> str:
    """Where to look, as a table in Markdown."""
    rows = ["| symptom | what you see | lessons worth a look |", "|---|---|---|"]
    for key, says in symptoms().items():
        links = [each.link for each in (*lessons(), *planned()) if key in each.symptoms]
        rows.append(f"| **{key}** | {says} | {', '.join(links)} |")
    return "\n".join(rows)


def by_time(entries: Sequence[Entry]) -> str:
    """A class's path, and every lesson with its minutes and the reader's own guesses, in Markdown."""
    whole, way = (*lessons(), *planned()), class_path()
    steps = " → ".join(f"{each.link} {minutes}" for each, minutes in way.items())
    rows = [f"| {each.link} | {each.question} | {each.minutes} | {outcome_of(each, entries)} |" for each in whole]
    return "\n".join([
        f"**{CLASS} minutes, alone or in a class:** {steps} ({sum(way.values())} together)\n",
        f"**All of it**, about {sum(each.minutes for each in whole) / 60:.0f} hours:\n",
        "| lesson | question | minutes | your guesses |",
        "|---|---|---|---|",
        *rows,
    ])  # fmt: skip


def lesson_map(book: LabBook | None = None) -> None:
    """The map of lessons in a notebook, with the guesses of a lab book, your own if none is named."""
    from IPython.display import display

    parts = [by_symptom(), by_time((own_book() if book is None else book).entries())]
    if planned():
        parts.append("Lessons without a link are still to come.")
    display({"text/plain": "<map of lessons>", "text/markdown": "\n\n".join(parts) + "\n"}, raw=True)
