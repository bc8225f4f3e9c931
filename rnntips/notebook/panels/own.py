"""A reader's own CSV file in a panel: it is kept beside the notebook, and a lesson's two recipes are fitted to it."""

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from rnntips.doctor.first_recipe import longest_window
from rnntips.doctor.look import OF_SERIES, READING
from rnntips.doctor.series_checks import easy_errors, warnings
from rnntips.errors import BadData, RnntipsError, shown
from rnntips.recipe import Recipe
from rnntips.series import MAX_CSV_BYTES, Series, from_csv, sines
from rnntips.tasks import Task, forecast
from rnntips.training import prepare

__all__ = ["File", "Fit", "Gaps", "candidates", "fit", "keep", "read", "refusal"]

IN_CODE = "A panel takes such an argument in code: put the file beside this notebook, and name both in rt.panels.Panel."
LONGEST = 100  # letters of a name, which file systems count in bytes, of which 255 are allowed
SPECIAL = set('/\\<>:"|?*')  # in no name on some system


class File(NamedTuple):
    """A table beside the notebook."""

    name: str
    columns: tuple[str, ...]  # that may be forecast
    reading: Mapping[str, Any]  # arguments of `from_csv`


class Fit(NamedTuple):
    """What a press would train."""

    sides: list[Recipe]  # none, if no recipe can be what is asked
    task: Task | None = None
    told: Sequence[str] = ()  # what to know before the guess
    problem: str = ""  # why nothing can be trained; "" if it can
    fills: bool = False  # whether straight lines across gaps would settle that


class Gaps(BadData):
    """A file with gaps, and nothing else that keeps it from being used."""


def keep(name: str, content: bytes, reading: Mapping[str, Any]) -> File:
    """Write a table into this folder, if a series can be made of it. No file is replaced, and no link followed.

    Returns:
        The file, which has another name where this one is taken.

    Raises:
        BadData: Not a name for a CSV file, or not a table that can be used; nothing was written.
        OSError: This folder cannot be written to.
    """
    _check(name, content)
    with TemporaryDirectory() as elsewhere:
        tried = Path(elsewhere) / name
        tried.write_bytes(content)
        columns = _columns(tried, reading)
    place = Path(name)
    names = (place.with_stem(f"{place.stem}-{number}") if number > 1 else place for number in count(1))
    chosen = next(path for path in names if not os.path.lexists(path) or _same(path, content))
    part = chosen.with_name(f".{chosen.name}.{os.getpid()}.part")
    part.write_bytes(content)
    os.replace(part, chosen)
    return File(chosen.name, columns, reading)


def _check(name: str, content: bytes) -> None:
    plain = name.isprintable() and len(name.encode("utf-8", "replace")) <= 2 * LONGEST and len(name) <= LONGEST
    if not (plain and name.lower().endswith(".csv") and name[0] not in ".-~ ") or SPECIAL & set(name):
        raise BadData(
            f"{name[:LONGEST]!r} was not taken: a name is needed that ends in .csv, begins with a letter or a number, "
            f"has at most {LONGEST} letters and none of {' '.join(sorted(SPECIAL))}. Rename the file."
        )
    if len(content) > MAX_CSV_BYTES:
        raise BadData(
            f"{name} has {len(content) / 1e6:.0f} MB, and up to {MAX_CSV_BYTES / 1e6:.0f} MB are read. Cut it to the "
            "rows and columns you need."
        )


def _same(path: Path, content: bytes) -> bool:
    return path.is_file() and not path.is_symlink() and path.read_bytes() == content


def _columns(path: Path, reading: Mapping[str, Any]) -> tuple[str, ...]:
    """Those that may be forecast; raises what is wrong with one of them if none makes a series."""
    columns, wrong = candidates(path, reading), []
    for column in columns or (None,):
        try:
            read(path, column, reading)
            return columns
        except RnntipsError as error:
            wrong.append(error)
    for error in wrong:
        if isinstance(error, Gaps):
            raise error
    by_code = any(f"{name}=" in str(wrong[0]) for name in READING)
    raise BadData(f"{wrong[0]} {IN_CODE if by_code else ''}".strip())


def candidates(path: str | Path, reading: Mapping[str, Any]) -> tuple[str, ...]:
    """Columns of a file that may be forecast."""
    from rnntips.tables.reading import numeric_columns  # pandas is loaded for those who have a table

    of_table = {name: given for name, given in reading.items() if name not in OF_SERIES}
    return tuple(numeric_columns(path, **of_table))


def read(path: str | Path, column: str | None, reading: Mapping[str, Any]) -> Series:
    """A series from a file.

    Raises:
        Gaps: It has gaps, and nothing else is wrong with it.
        BadData: It cannot be used.
    """
    try:
        return from_csv(path, column, **reading)
    except OSError as error:
        raise BadData(f"setting={shown(str(path))}: {error.strerror}. Check the name and the folder.") from None
    except BadData as error:
        if "gaps" in reading or not _fills(path, column, reading):
            raise
        raise Gaps(f"{error} Here: press “Fill with straight lines”.") from None


def _fills(path: str | Path, column: str | None, reading: Mapping[str, Any]) -> bool:
    with suppress(BadData):
        from_csv(path, column, gaps="fill", **reading)
        return True
    return False


def refusal(sides: Sequence[Recipe]) -> str:
    """Why two recipes cannot be compared on any series of a reader's; "" if they can."""
    try:
        prepare(sides, forecast(replace(sines(), name="a series of your own")), [0])
    except RnntipsError as error:
        return str(error).partition(". ")[0] + "."
    return ""


def fit(sides: Sequence[Recipe], series: Series, seeds: Sequence[int]) -> Fit:
    """Both recipes, with windows and batches that the series has room for.

    Raises:
        BadArgument: They cannot be compared on it, with one of these seeds.
    """
    task = forecast(series)
    fitted, told = zip(*(_fitted(side, task, seeds[0]) for side in sides), strict=True)
    told = list(dict.fromkeys(sentence for each in told for sentence in each))
    if fitted[0] == fitted[1]:
        raise BadData(f"Both sides would be the same: {' '.join(told)} Choose another value, or a longer series.")
    prepare(fitted, task, seeds)
    surprises = [f"{one.says} {one.do}" for one in warnings(series, easy_errors(series))]
    return Fit(list(fitted), task, [*told, *surprises, *series.notes])


def _fitted(recipe: Recipe, task: Task, seed: int) -> tuple[Recipe, list[str]]:
    """A recipe that fits a series, and what was changed for that."""
    changes, told = {}, []
    longest = longest_window(task, recipe)
    if 1 <= longest < recipe.past:
        changes |= {"past": longest} | ({"patch": longest} if recipe.patch == recipe.past else {})
        told.append(f"A window has {longest} steps instead of {recipe.past}, the most that this short series allows.")
    unscaled = {"input_scaling": "none", "target_scaling": "none"}  # what cannot be scaled is said of all seeds, later
    windows = len(task.examples(recipe.but(**changes, **unscaled), seed).of(0))
    if recipe.train_size and recipe.train_size > windows:
        changes["train_size"] = None
        told.append(f"There are {windows} windows to train on instead of {recipe.train_size}.")
    if recipe.batch_size > windows:
        changes["batch_size"] = windows
        told.append(f"A batch has {windows} windows instead of {recipe.batch_size}: these are all.")
    return recipe.but(**changes), told
