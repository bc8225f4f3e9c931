"""A class's lab books, pooled: every reader's finding, and that of all their seeds together, by the same rule.

Anybody may have written a file. What cannot be used is named and left out, and changes nothing for the others:

- A file that is no lab book, and a file whose runs have seeds of other seats than they say: no panel writes that.
- Runs that do not fit the schema (`schema.py`), and those at another seat than the file's last one: one reader, one
  seat, and so at most a hundred seeds of an experiment beside the hundred of seat 0, which is everybody's.
- Values that differ from those which most readers have for the same seed. Where no value has most readers behind it,
  nobody can know which one is right, and the seed is nobody's.
"""

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import log1p
from pathlib import Path

import numpy as np

from rnntips.errors import BadArgument, BadData
from rnntips.notebook.labbook.book import SEAT, Entry, each_line
from rnntips.notebook.labbook.guesses import GUESSES, Limits, right
from rnntips.notebook.labbook.page import change, plain
from rnntips.notebook.labbook.schema import fault
from rnntips.templates import render
from rnntips.verdict import Finding, find, percent, sentence, trained

__all__ = ["ClassBook", "Group", "Reader", "gather", "lines", "page"]

SAME = ("tip", "setting", "field", "baseline", "variant", "recipes", "updates", "smallest")  # within one experiment
WIDTH = 200  # of a finding's drawing

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
    own: Limits | None = None  # the guesses that were offered, if they were the lesson's own

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
        """All seeds that count, each once."""
        seeds = {seed: found for seed, given in self._given.items() if (found := self._settled(given))}
        return Reader(f"all {len(seeds)} seeds", seeds, None, self.readers[0].smallest)

    @cached_property
    def _given(self) -> dict[int, list[Seed]]:
        """Seed → what each reader who ran it has."""
        given: dict[int, list[Seed]] = {}
        for reader in self.readers:
            for seed, values in reader.seeds.items():
                given.setdefault(seed, []).append(values)
        return given

    def _settled(self, given: Sequence[Seed]) -> Seed | None:
        """The middle one of the values for one seed if more than half agree with it, else None."""
        middle = sorted(given)[(len(given) - 1) // 2]
        return middle if 2 * sum(self._agree(values, middle) for values in given) > len(given) else None

    def _agree(self, values: Seed, others: Seed) -> bool:
        """Whether two readers' values for one seed differ by less than the smallest difference that matters.

        One machine repeats a run bit for bit. Elsewhere the last bits differ, and training enlarges that: the compiled
        kernels and PyTorch's differ by 2e-7 in the lesson on scaling, and by 0.2 in the one on clipping. So an honest
        reader may differ, and whoever does is only said to.
        """
        near = log1p(self.readers[0].smallest)
        return all(abs(value - other) < near for value, other in zip(values, others, strict=True))

    @property
    def repeated(self) -> int:
        """Seeds that came again with another reader; they are no new evidence."""
        return sum(len(given) - 1 for given in self._given.values())

    @cached_property
    def differing(self) -> dict[str, int]:
        """Reader → how many of their seeds have other values than those that count."""
        counts = {reader.label: sum(seed not in self.pool.seeds or not self._agree(values, self.pool.seeds[seed])
                                    for seed, values in reader.seeds.items()) for reader in self.readers}  # fmt: skip
        return {label: count for label, count in counts.items() if count}

    @property
    def tally(self) -> str:
        """How the class guessed, and how many are right by the pooled seeds."""
        guessers = [reader for reader in self.readers if reader.guess]
        if not guessers:
            return "Nobody guessed."
        guesses = [reader.guess for reader in guessers]
        offered = dict.fromkeys(name for reader in guessers for name in reader.own or GUESSES)
        listed = ", ".join(f"{GUESSES.get(name, name)}: {guesses.count(name)}" for name in offered)
        pool = self.pool
        won = [right(one.guess, pool.finding, one.own) for one in guessers] if pool.seeds else [None]
        scored = "They are not scored" if None in won else f"{sum(won)} were right, by all seeds together"
        return f"Guesses: {listed}. {scored}."

    @cached_property
    def words(self) -> list[str]:
        """The pool in plain sentences."""
        readers = f"{len(self.readers)} reader{'s' if len(self.readers) > 1 else ''}"
        said = [f"{readers}, {len(self.pool.seeds)} seeds together. {told(self.pool)}", self.tally]
        if self.repeated:
            same = [one.label for one in self.readers if any(len(self._given[seed]) > 1 for seed in one.seeds)]
            said.append(
                f"{self.repeated} seeds were repeated, and a seed counts once at most. "
                f"These readers ran the same seeds: {', '.join(same)}. Give each a seat of its own."
            )
        if self.differing:
            listed = ", ".join(f"{label} ({count})" for label, count in self.differing.items())
            said.append(
                f"Values that differ from those of most readers for the same seed are not pooled: {listed}. "
                "Processors differ, and so do files that were changed."
            )
        return said


def told(reader: Reader) -> str:
    """A finding in words."""
    return sentence(reader.finding) if reader.seeds else "No seed counts: their values differ."


@dataclass(frozen=True)
class ClassBook:
    """What several lab books hold together."""

    readers: tuple[str, ...]
    groups: tuple[Group, ...]
    left_out: tuple[str, ...]  # a sentence for every file that was left out wholly or in part

    @property
    def words(self) -> list[str]:
        """What was read, and what was not."""
        said = [f"{len(self.readers)} lab book{'s' if len(self.readers) > 1 else ''} read.", *self.left_out]
        if not self.groups:
            said.append("They hold no finished runs. Press a guess in a notebook and wait for its sentence.")
        return said


def gather(files: Iterable[str | Path]) -> ClassBook:
    """Read lab books and group their finished runs by experiment; the order of the files has no influence.

    Raises:
        BadArgument: No file came.
        BadData: None of them can be used; the message says why of each.
    """
    paths = sorted({Path(os.path.abspath(file)) for file in files})
    if not paths:
        raise BadArgument("No lab book came. Name at least one file.")
    experiments: dict[tuple, dict[str, Reader]] = {}  # what was compared → reader → their runs of it
    labels, left_out = [], []
    for label, path in sorted(zip(_labels(paths), paths, strict=True)):
        try:
            runs, why = _finished(path)
        except BadData as error:
            left_out.append(f"Left out: {error}")
            continue
        labels.append(label)
        left_out += [f"{path.name}: {words}" for words in why]
        for experiment, reader in _readers(label, runs).items():
            experiments.setdefault(experiment, {})[label] = reader
    if not labels:
        raise BadData(" ".join(left_out))
    groups = tuple(_group(experiment, experiments[experiment]) for experiment in sorted(experiments, key=str))
    return ClassBook(tuple(labels), groups, tuple(left_out))


def _finished(path: Path) -> tuple[list[Entry], list[str]]:
    """The finished runs that can be pooled, the last of each experiment, and a sentence for what else there is.

    Raises:
        BadData: The file holds no line of a lab book, or has seeds of another seat than it says.
    """
    runs: dict[str | int, Entry] = {}  # by their experiment's name, or by their line where they have none
    damaged, unusable, whole = [], {}, False
    for number, entry in each_line(path):
        whole = whole or entry is not None
        if entry is None:
            damaged.append(number)
        elif entry["kind"] == "run" and entry.get("state") == "done":
            if why := fault(entry):
                unusable[number] = why
            elif outside := [seed for seed in entry["seeds"] if seed // SEAT != _seat(entry)]:
                raise BadData(f"{path} says seat {_seat(entry)} in line {number} and has seed {outside[0]}, which is "
                              f"seat {outside[0] // SEAT}'s. Ask the reader for the file as it was saved.")  # fmt: skip
            else:
                name = entry.get("experiment") or number
                runs.pop(name, None)  # the later one stands, in its own place
                runs[name] = {field: entry.get(field) for field in KEPT}
    if not whole:
        why = f"holds no line of a lab book, but {len(damaged)} others" if damaged else "is empty"
        raise BadData(f"{path} {why}. Name the files that readers saved from their lab books.")
    seat = next((_seat(run) for run in reversed(runs.values()) if _seat(run)), 0)
    at_it = [run for run in runs.values() if _seat(run) in (0, seat)]
    parts = {
        "damaged line": (len(damaged), f"the first is line {damaged[0]}" if damaged else ""),
        "unusable run": (len(unusable), "in line {}, {}".format(*next(iter(unusable.items()))) if unusable else ""),
        "run": (len(runs) - len(at_it), f"at another seat than {seat}, the last one"),
    }
    said = [f"{n} {what}{'s were' if n > 1 else ' was'} left out ({why})." for what, (n, why) in parts.items() if n]
    return at_it, said


KEPT = (*SAME, "seat", "guess", "guesses", "seeds", "effects", "failures", "progress")


def _seat(run: Entry) -> int:
    return int(run.get("seat") or 0)


def _readers(label: str, runs: Sequence[Entry]) -> dict[tuple, Reader]:
    """Experiment → one reader's runs of it; of a seed the first stands, and of the guesses."""
    found: dict[tuple, list[Entry]] = {}
    for run in runs:
        found.setdefault(tuple(tuple(run[name]) if name == "recipes" else run[name] for name in SAME), []).append(run)
    readers = {}
    for experiment, entries in found.items():
        seats = dict.fromkeys(entry["seat"] for entry in entries if entry["seat"])
        seeds: dict[int, Seed] = {}
        for entry in entries:
            values = zip(entry["effects"], entry["failures"], *entry["progress"], strict=True)
            seeds = dict(zip(entry["seeds"], values, strict=True)) | seeds
        guess, own = next(((entry["guess"], entry["guesses"]) for entry in entries if entry["guess"]), (None, None))
        name = f"{label} (seat {', '.join(seats)})" if seats else label
        readers[experiment] = Reader(name, seeds, guess, entries[0]["smallest"], own)
    return readers


def _group(experiment: tuple, readers: dict[str, Reader]) -> Group:
    what = dict(zip(SAME, experiment, strict=True))
    title = f"{what['tip'] or 'a study'}, {change(what)}, {what['updates']} updates"
    return Group(title, what["recipes"], tuple(readers.values()))


def _labels(paths: Sequence[Path]) -> list[str]:
    """What readers are called: the file's name, with its folder's, then a number, where names are the same."""
    stems = Counter(path.stem for path in paths)
    names = [path.stem if stems[path.stem] == 1 else f"{path.parent.name}/{path.stem}" for path in paths]
    times = [names[: i + 1].count(name) for i, name in enumerate(names)]
    return [plain(f"{name} ({n})" if n > 1 else name) for name, n in zip(names, times, strict=True)]


def lines(book: ClassBook) -> list[str]:
    """The class for a terminal."""
    said = book.words
    for group in book.groups:
        said += ["", group.title, *(f"  {line}" for line in group.words)]
        for reader in group.readers:
            said.append(f"    {reader.label}: {len(reader.seeds)} seeds. {sentence(reader.finding)}")
    return [plain(line) for line in said]


def page(book: ClassBook) -> str:
    """The class as one page of HTML, drawings included, without scripts and without anything to load."""
    shown = {"words": book.words, "groups": book.groups, "told": told, "percent": percent, "width": WIDTH}
    return render("notebook/labbook/class-book.html", places=places, **shown)


def places(group: Group, reader: Reader) -> tuple[float, ...]:
    """Where a finding is drawn: both ends of its interval, what is typical, both ends of what does not matter.

    Changes are drawn as logarithms around 0 in the middle; the same scale serves the whole group.
    """
    found = [one.finding for one in (*group.readers, group.pool) if one.seeds]
    reach = 1.05 * max(abs(log1p(end)) for one in found for end in (*one.interval, 2 * one.smallest))
    near = log1p(reader.smallest)
    shown = *(log1p(change) for change in (*reader.finding.interval, reader.finding.typical)), -near, near
    return tuple(round(WIDTH / 2 * (1 + value / reach), 1) for value in shown)
