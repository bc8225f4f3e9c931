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


def by_symptom(folder: str = "") -> str:
    """What to measure, what to do first and where to look, as a table in Markdown; `folder` leads to the notebooks."""
    rows = ["| what you see | measure | do first | then read |", "|---|---|---|---|"]
    for each in symptoms():
        links = ", ".join(lesson.link.replace("](", f"]({folder}") for lesson in each.lessons if lesson.ready)
        rows.append(f"| **{each.says}** | {each.measure} | {each.first} | {links} |")
    return "\n".join(rows)


def by_time(entries: Sequence[Entry]) -> str:
    """A class's path, and every lesson with its minutes and the reader's own guesses, in Markdown."""
    whole, way = lessons(), class_path()
    steps = " → ".join(f"{each.link} {minutes}" for each, minutes in way.items())
    rows = [f"| {each.link} | {each.question} | {each.minutes} | {outcome_of(each, entries)} |" for each in whole]
    return "\n".join([
        f"**{CLASS} minutes, alone or in a class:** {steps} ({sum(way.values())} together)\n",
        f"**All lessons**, about {sum(each.minutes for each in whole) / 60:.0f} hours:\n",
        "| lesson | question | minutes | your guesses |",
        "|---|---|---|---|",
        *rows,
    ])  # fmt: skip


def lesson_map(book: LabBook | None = None) -> None:
    """The map of lessons in a notebook, with the guesses of a lab book, your own if none is named."""
    from IPython.display import display

    parts = [by_symptom(), by_time((own_book() if book is None else book).entries())]
    if planned():
        parts.append(f"Still to come: {', '.join(lesson.title for lesson in planned())}.")
    display({"text/plain": "<map of lessons>", "text/markdown": "\n\n".join(parts) + "\n"}, raw=True)
