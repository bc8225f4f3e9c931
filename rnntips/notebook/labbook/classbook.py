"""A class's lab books, pooled: every reader's finding, and that of all their seeds together, by the same rule."""

import os
import warnings
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from io import BytesIO
from pathlib import Path

import numpy as np

from rnntips.errors import BadArgument, BadData
from rnntips.notebook.labbook.book import Entry, current, read
from rnntips.notebook.labbook.guesses import GUESSES, right
from rnntips.notebook.labbook.page import change, data_uri, plain, skipped
from rnntips.templates import render
from rnntips.verdict import Finding, find, percent, sentence, trained

__all__ = ["ClassBook", "Group", "Reader", "gather", "lines", "page"]

SAME = ("tip", "setting", "field", "baseline", "variant", "recipes", "updates", "smallest")  # within one experiment
TEXTS = ("tip", "setting", "field", "baseline", "variant", "seat")
LONGEST = 32  # letters of a reader's label in a figure
FAR = 50.0  # logarithms; no effect is so large

# What a seed gave: the effect (log ratio), 1 if the variant alone failed and −1 if the baseline alone did, and how far
# the baseline and the variant got, as shares of the way from the naive error to the floor.
Seed = tuple[float, int, float, float]


@dataclass(frozen=True)
class Reader:
    """One reader's runs of one experiment, or those of all readers together: seed → what it gave."""

    label: str
    seeds: dict[int, Seed]
    guess: str | None  # the first, since whoever runs it again has seen the answer
    smallest: float

    @cached_property
    def finding(self) -> Finding:
        """By the rule of every study; fewer than ten seeds decide nothing."""
        d, failed, *progress = np.array([self.seeds[seed] for seed in sorted(self.seeds)]).T
        any_trained = any(trained(-share, 0.0, -1.0) for share in progress)  # errors from naive at 0 to floor at −1
        return find(d, any_trained, self.smallest, failed.astype(int))


@dataclass(frozen=True)
class Group:
    """One experiment, and everybody who made it."""

    title: str
    recipes: tuple[str, ...]
    readers: tuple[Reader, ...]

    @cached_property
    def pool(self) -> Reader:
        """All seeds, each once: the first reader's by label, so that the files' order changes nothing."""
        seeds = {seed: reader.seeds[seed] for reader in reversed(self.readers) for seed in reader.seeds}
        return Reader(f"all {len(seeds)} seeds", seeds, None, self.readers[0].smallest)

    @property
    def repeated(self) -> int:
        """Seeds that came again with another reader; they are no new evidence."""
        return sum(len(reader.seeds) for reader in self.readers) - len(self.pool.seeds)

    @property
    def tally(self) -> str:
        """How the class guessed, and how many are right by the pooled seeds."""
        guesses = [reader.guess for reader in self.readers if reader.guess]
        if not guesses:
            return "Nobody guessed."
        listed = ", ".join(f"{label}: {guesses.count(name)}" for name, label in GUESSES.items())
        won = [right(guess, self.pool.finding) for guess in guesses]
        scored = "They are not scored" if None in won else f"{sum(won)} were right, by all seeds together"
        return f"Guesses: {listed}. {scored}."

    @property
    def words(self) -> list[str]:
        """The pool in plain sentences."""
        readers = f"{len(self.readers)} reader{'s' if len(self.readers) > 1 else ''}"
        said = [f"{readers}, {len(self.pool.seeds)} seeds together. {sentence(self.pool.finding)}", self.tally]
        if self.repeated:
            times = Counter(seed for reader in self.readers for seed in reader.seeds)
            same = [reader.label for reader in self.readers if any(times[seed] > 1 for seed in reader.seeds)]
            said.append(
                f"{self.repeated} seeds were repeated and counted once. "
                f"These readers ran the same seeds: {', '.join(same)}. Give each a seat of its own."
            )
        return said


@dataclass(frozen=True)
class ClassBook:
    """What several lab books hold together."""

    readers: tuple[str, ...]
    groups: tuple[Group, ...]
    damaged: int  # lines that could not be read
    unusable: int  # finished runs that lack what pooling needs

    @property
    def words(self) -> list[str]:
        """What was read, and what was not."""
        said = [f"{len(self.readers)} lab book{'s' if len(self.readers) > 1 else ''} read.", skipped(self.damaged)]
        if self.unusable:
            said.append(f"{self.unusable} finished runs cannot be pooled: their lines lack seeds or effects.")
        if not self.groups:
            said.append("They hold no finished runs. Press a guess in a notebook and wait for its sentence.")
        return [line for line in said if line]


def gather(files: Iterable[str | Path]) -> ClassBook:
    """Read lab books and group their finished runs by experiment; the order of the files has no influence.

    Raises:
        BadArgument: No file came.
        BadData: A file is missing, empty, or no lab book; the message names it.
    """
    paths = sorted({Path(os.path.abspath(file)) for file in files})
    if not paths:
        raise BadArgument("No lab book came. Name at least one file.")
    runs: dict[tuple, dict[str, list[Entry]]] = {}  # experiment → reader → that reader's runs of it
    damaged = unusable = 0
    labels = _labels(paths)
    for label, path in sorted(zip(labels, paths, strict=True)):
        entries, torn = read(path)
        if not entries:
            why = f"holds no line of a lab book, but {torn} others" if torn else "is empty"
            raise BadData(f"{path} {why}. Name the files that readers saved from their lab books.")
        damaged += torn
        for entry in current(entries):
            if entry.get("state") == "done" and _usable(entry):
                experiment = tuple(str(entry.get(name)) for name in SAME)
                runs.setdefault(experiment, {}).setdefault(label, []).append(entry)
            elif entry.get("state") == "done":
                unusable += 1
    groups = tuple(_group(runs[experiment]) for experiment in sorted(runs))
    return ClassBook(tuple(sorted(labels)), groups, damaged, unusable)


def _labels(paths: Sequence[Path]) -> list[str]:
    """What readers are called: the file's name, with its folder's, then a number, where names are the same."""
    stems = Counter(path.stem for path in paths)
    names = [path.stem if stems[path.stem] == 1 else f"{path.parent.name}/{path.stem}" for path in paths]
    times = [names[: i + 1].count(name) for i, name in enumerate(names)]
    return [plain(f"{name} ({n})" if n > 1 else name) for name, n in zip(names, times, strict=True)]


def _group(runs: dict[str, list[Entry]]) -> Group:
    """One experiment, from every reader's runs of it."""
    readers = []
    for label, entries in runs.items():
        seats = dict.fromkeys(plain(entry["seat"]) for entry in entries if entry.get("seat"))
        name = f"{label} (seat {', '.join(seats)})" if seats else label
        seeds: dict[int, Seed] = {}
        for entry in entries:
            values = zip(entry["effects"], entry["failures"], *entry["progress"], strict=True)
            seeds = dict(zip(entry["seeds"], values, strict=True)) | seeds  # the first of a seed stands
        guess = next((entry["guess"] for entry in entries if entry.get("guess")), None)
        readers.append(Reader(name, seeds, guess, entries[0]["smallest"]))
    one = next(iter(runs.values()))[0]
    title = f"{one.get('tip') or 'a study'}, {change(one)}, {one.get('updates')} updates"
    return Group(title, tuple(one["recipes"]), tuple(readers))


def _usable(entry: Entry) -> bool:
    """Whether a finished run has all that pooling needs; anybody may have written its line."""
    seeds, progress, recipes = (entry.get(name) for name in ("seeds", "progress", "recipes"))
    if not (seeds and progress and all(isinstance(each, list) for each in (seeds, progress, recipes))):
        return False
    columns = [entry.get("effects"), entry.get("failures"), *progress]
    return (
        all(type(seed) is int and 0 <= seed < 2**63 for seed in seeds)
        and len(set(seeds)) == len(seeds)
        and len(columns) == 4
        and all(isinstance(column, list) and len(column) == len(seeds) for column in columns)
        and all(_is_number(value) for column in columns for value in column)
        and set(entry["failures"]) <= {-1, 0, 1}
        and _is_number(entry.get("smallest"))
        and entry["smallest"] > 0
        and all(isinstance(recipe, str) for recipe in recipes)
        and all(isinstance(entry.get(name), str | None) for name in TEXTS)
        and entry.get("guess") in (None, *GUESSES)
    )


def _is_number(value) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < FAR


def lines(book: ClassBook) -> list[str]:
    """The class for a terminal."""
    said = book.words
    for group in book.groups:
        said += ["", group.title, *(f"  {line}" for line in group.words)]
        for reader in group.readers:
            said.append(f"    {reader.label}: {len(reader.seeds)} seeds. {sentence(reader.finding)}")
    return [plain(line) for line in said]


def page(book: ClassBook) -> str:
    """The class as one page of HTML, figures included, without scripts and without anything to load."""
    shown = {"words": book.words, "groups": book.groups, "sentence": sentence, "percent": percent}
    return render("notebook/labbook/class-book.html", figure=lambda group: data_uri(png(group), "image/png"), **shown)


def forest(group: Group):
    """Matplotlib's axes: a dot a reader, and below them the pool, a diamond in black."""
    from rnntips.figures import findings

    rows = []
    for one in (*group.readers, group.pool):
        label = one.label if len(one.label) <= LONGEST else one.label[: LONGEST - 1] + "…"
        rows.append((label, one.finding.typical, one.finding.interval, one is group.pool))
    return findings(rows, group.pool.smallest)


def png(group: Group) -> bytes:
    """The figure of a group. Letters that the font lacks are drawn as boxes; the table has them all."""
    buffer = BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        forest(group).figure.savefig(buffer, format="png")
    return buffer.getvalue()
