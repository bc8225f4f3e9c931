"""A class's lab books, pooled: every reader's finding, and that of all their seeds together, by the same rule."""

import os
import warnings
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from io import BytesIO
from math import isfinite
from pathlib import Path

import numpy as np

from rnntips.errors import BadArgument, BadData
from rnntips.evidence import Finding, find, percent, sentence, trained
from rnntips.labbook.book import Entry, current, read
from rnntips.labbook.guesses import GUESSES, right
from rnntips.labbook.page import change, data_uri, plain, shell, skipped, table, text

__all__ = ["ClassBook", "Group", "Reader", "gather", "lines", "page"]

SAME = ("tip", "setting", "field", "baseline", "variant", "recipes", "updates", "smallest")
TEXTS = ("tip", "setting", "field", "baseline", "variant", "seat")
LONGEST = 32  # letters of a reader's label in a figure
FAR = 50.0  # logarithms; no effect is so large

Seed = tuple[float, int, float, float]  # effect (log ratio), lone failure, the baseline's and the variant's progress


@dataclass(frozen=True)
class Reader:
    """One reader's runs of one experiment: seed → what it gave."""

    label: str
    seeds: dict[int, Seed]
    guess: str | None  # the first: who presses again knows the answer
    smallest: float

    @cached_property
    def finding(self) -> Finding:
        """By the rule of every study; fewer than ten seeds decide nothing."""
        return judge(self.seeds, self.smallest)


@dataclass(frozen=True)
class Group:
    """One experiment, and everybody who made it."""

    entry: Entry  # one of them: what was compared
    readers: tuple[Reader, ...]

    @cached_property
    def seeds(self) -> dict[int, Seed]:
        """All seeds, each once: the first reader's by label, so that the files' order changes nothing."""
        return {seed: reader.seeds[seed] for reader in reversed(self.readers) for seed in reader.seeds}

    @cached_property
    def pool(self) -> Finding:
        """The finding of all seeds together."""
        return judge(self.seeds, self.readers[0].smallest)

    @property
    def repeated(self) -> int:
        """Seeds that came again with another reader; they are no new evidence."""
        return sum(len(reader.seeds) for reader in self.readers) - len(self.seeds)

    @property
    def tally(self) -> str:
        """How the class guessed, and how many are right by the pooled seeds."""
        guesses = Counter(reader.guess for reader in self.readers if reader.guess)
        if not guesses:
            return "Nobody guessed."
        listed = ", ".join(f"{label}: {guesses[name]}" for name, label in GUESSES.items())
        won = {guess: right(guess, self.pool) for guess in guesses}
        outcome = f"{sum(guesses[guess] for guess in guesses if won[guess])} were right, by all seeds together"
        outcome = "They are not scored" if None in won.values() else outcome
        return f"Guesses: {listed}. {outcome}."

    @property
    def words(self) -> list[str]:
        """The pool in plain sentences."""
        readers = f"{len(self.readers)} reader{'s' if len(self.readers) > 1 else ''}"
        said = [f"{readers}, {len(self.seeds)} seeds together. {sentence(self.pool)}", self.tally]
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


def judge(seeds: dict[int, Seed], smallest: float) -> Finding:
    """The finding of some seeds, as a study of them all would give it."""
    d, failed, *progress = np.array([seeds[seed] for seed in sorted(seeds)]).T
    any_trained = any(trained(-share, 0.0, -1.0) for share in progress)  # errors from naive at 0 to floor at −1
    return find(d, any_trained, smallest, failed.astype(int))


def gather(files: Iterable[str | Path]) -> ClassBook:
    """Read lab books and group their finished runs by experiment; the order of the files has no influence.

    Raises:
        BadArgument: No file came.
        BadData: A file is missing, empty, or no lab book; the message names it.
    """
    paths = sorted({Path(os.path.abspath(file)) for file in files})
    if not paths:
        raise BadArgument("No lab book came. Name at least one file.")
    runs: dict[tuple, dict[str, list[Entry]]] = {}
    damaged = unusable = 0
    labels = _labels(paths)
    for path, label in sorted(zip(paths, labels, strict=True), key=lambda pair: pair[1]):
        entries, torn = read(path)
        if not entries:
            why = f"holds no line of a lab book, but {torn} others" if torn else "is empty"
            raise BadData(f"{path} {why}. Name the files that readers saved from their lab books.")
        damaged += torn
        done = [entry for entry in current(entries) if entry.get("state") == "done"]
        usable = [entry for entry in done if _usable(entry)]
        unusable += len(done) - len(usable)
        for entry in usable:
            experiment = tuple(str(entry.get(name)) for name in SAME)
            runs.setdefault(experiment, {}).setdefault(label, []).append(entry)
    groups = [_group(runs[experiment]) for experiment in sorted(runs)]
    return ClassBook(tuple(sorted(labels)), tuple(groups), damaged, unusable)


def _labels(paths: Sequence[Path]) -> list[str]:
    """What readers are called: the file's name, with its folder's, then a number, where names are the same."""
    stems = Counter(path.stem for path in paths)
    names = [p.stem if stems[p.stem] == 1 else f"{p.parent.name}/{p.stem}" for p in paths]
    seen: Counter[str] = Counter()
    for i, name in enumerate(names):
        seen[name] += 1
        names[i] = plain(name if seen[name] == 1 else f"{name} ({seen[name]})")
    return names


def _group(found: dict[str, list[Entry]]) -> Group:
    readers = []
    for label, entries in found.items():
        seats = dict.fromkeys(plain(entry["seat"]) for entry in entries if entry.get("seat"))
        name = f"{label} (seat {', '.join(seats)})" if seats else label
        seeds: dict[int, Seed] = {}
        for entry in entries:
            values = zip(entry["effects"], entry["failures"], *entry["progress"], strict=True)
            seeds = dict(zip(entry["seeds"], values, strict=True)) | seeds  # the first of a seed stands
        guess = next((entry["guess"] for entry in entries if entry.get("guess")), None)
        readers.append(Reader(name, seeds, guess, entries[0]["smallest"]))
    return Group(next(iter(found.values()))[0], tuple(readers))


def _usable(entry: Entry) -> bool:
    """Whether a line has what pooling needs; anybody may have written it."""
    seeds, recipes, smallest = entry.get("seeds"), entry.get("recipes"), entry.get("smallest")
    if not isinstance(seeds, list) or not seeds or not all(type(seed) is int and 0 <= seed < 2**63 for seed in seeds):
        return False
    both = entry.get("progress")
    columns = [entry.get("effects"), entry.get("failures"), *(both if isinstance(both, list) else [None])]
    return (
        len(set(seeds)) == len(seeds)
        and len(columns) == 4
        and all(isinstance(column, list) and len(column) == len(seeds) for column in columns)
        and all(_number(value) for column in columns for value in column)
        and set(entry["failures"]) <= {-1, 0, 1}
        and _number(smallest) and smallest > 0
        and isinstance(recipes, list) and all(isinstance(recipe, str) for recipe in recipes)
        and all(isinstance(entry.get(name), (str, type(None))) for name in TEXTS)
        and (entry.get("guess") is None or (isinstance(entry["guess"], str) and entry["guess"] in GUESSES))
    )  # fmt: skip


def _number(value) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and isfinite(value) and abs(value) < FAR


def lines(files: Iterable[str | Path]) -> list[str]:
    """The class for a terminal."""
    found = gather(files)
    said = [*found.words]
    for group in found.groups:
        said += ["", _title(group), *(f"  {line}" for line in group.words)]
        said += [f"    {reader.label}: {len(reader.seeds)} seeds. {sentence(reader.finding)}"
                 for reader in group.readers]  # fmt: skip
    return [plain(line) for line in said]


def _title(group: Group) -> str:
    return f"{group.entry.get('tip') or 'a study'}, {change(group.entry)}, {group.entry.get('updates')} updates"


def page(files: Iterable[str | Path]) -> str:
    """The class as one page of HTML, figures included, without scripts and without anything to load."""
    found = gather(files)
    parts = [f"<p>{text(' '.join(found.words))}</p>"]
    for group in found.groups:
        first, *rest = group.words
        parts.append(f'<h2>{text(_title(group))}</h2>\n<p class="big">{text(first)}</p>')
        parts += [f"<p>{text(line)}</p>" for line in rest]
        alt = f"One row for each of {len(group.readers)} readers, and the pool. {sentence(group.pool)}"
        parts.append(f'<p><img alt="{text(alt)}" src="{data_uri(png(group), "image/png")}"></p>')
        heads = ("reader", "seeds", "typical", "95 % interval", "by itself")
        parts.append(table("Reader by reader", heads, [_row(reader) for reader in group.readers]))
        recipes = "</li><li>".join(map(text, group.entry["recipes"]))
        parts.append(f"<details><summary>Both recipes</summary><ul><li>{recipes}</li></ul></details>")
    return shell("Class book", "\n".join(parts))


def _row(reader: Reader) -> tuple:
    found = reader.finding
    ends = " to ".join(percent(end) for end in found.interval)
    return reader.label, len(reader.seeds), percent(found.typical), ends, sentence(found)


def forest(group: Group):
    """Matplotlib's axes: a dot a reader, and below them the pool, a diamond in black."""
    from rnntips.figures import findings

    rows = [(_short(reader.label), reader.finding.typical, reader.finding.interval, False) for reader in group.readers]
    pool = (f"all {len(group.seeds)} seeds", group.pool.typical, group.pool.interval, True)
    return findings([*rows, pool], group.readers[0].smallest)


def _short(label: str) -> str:
    return label if len(label) <= LONGEST else label[: LONGEST - 1] + "…"


def png(group: Group) -> bytes:
    """The figure of a group. Letters that the font lacks are drawn as boxes; the table has them all."""
    buffer = BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        forest(group).figure.savefig(buffer, format="png")
    return buffer.getvalue()
