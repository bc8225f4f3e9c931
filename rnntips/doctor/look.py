"""`look`: what a series is, before anything is trained on it: what was read, what is doubtful, what to begin with."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from inspect import signature
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING, Any

from rnntips.doctor.first_recipe import first_recipe
from rnntips.doctor.series_checks import NOWHERE, SEEDS, easy_errors, place, seeds_for, warnings
from rnntips.errors import BadArgument, RnntipsError, unknown_name
from rnntips.recipe import Recipe
from rnntips.series import Series, from_array, from_csv, from_frame
from rnntips.tables import Doubt, Table
from rnntips.tasks import forecast
from rnntips.templates import render
from rnntips.training import prepare

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["OF_SERIES", "READING", "Look", "look"]

WIDE = 100  # letters of a line
READING = [*signature(from_csv).parameters][2:]  # arguments that say how a file is read
OF_SERIES = ("gaps", "trending", "period", "name", "unit")  # arguments of `from_csv` that reading a table does not take


@dataclass(frozen=True, eq=False)
class Look:
    """What a series is. In a notebook: text and picture; as text: one screen.

    Args:
        source: Where it came from: "shop.csv, column sales".
        series: As read. Gaps that are not settled are filled with straight lines, for the picture.
        step: Time from one value to the next; "" without dates.
        doubts: What keeps it from being used, each with what settles it. Nothing is computed while something else than
            gaps is doubtful.
        warnings: What may surprise.
        errors: Forecast → its test error in the series' unit, see `rnntips.doctor.series_checks.easy_errors`.
        recipe: What to begin with; None while there are doubts beside gaps.
        why: A reason for each of its choices.
        code: A line that trains it; "" without a recipe.
    """

    source: str
    series: Series
    step: str
    doubts: tuple[Doubt, ...]
    warnings: tuple[Doubt, ...]
    errors: Mapping[str, float]
    recipe: Recipe | None
    why: tuple[str, ...]
    code: str

    @property
    def notes(self) -> tuple[str, ...]:
        """What was done to the data and what was inferred, in sentences."""
        return self.series.notes

    @property
    def read(self) -> str:
        """What was read, in a sentence."""
        steps = f"{len(self.series):,} steps" + (f" of {self.step}" if self.step else "")
        if self.series.times is not None:
            steps += f", from {place(self.series, 0)} to {place(self.series, len(self.series) - 1)}"
        return f"{self.source}: {steps}."

    @property
    def forecasts(self) -> list[str]:
        """Every easy forecast with its error, and that as a share of naive's."""
        naive, unit = self.errors.get("naive", 0), f" {self.series.unit}".rstrip()
        shares = {name: f", {error / naive:.2f} of naive" if naive and name != "naive" else ""
                  for name, error in self.errors.items()}  # fmt: skip
        return [f"{name}: {error:.4g}{unit}{shares[name]}" for name, error in self.errors.items()]

    @property
    def measured(self) -> str:
        """The heading of the errors."""
        seeds = seeds_for(self.series)
        of = f"medians over seeds 0 to {seeds[-1]}" if seeds[-1] else "of seed 0, since the series is long"
        return f"Test errors without a network ({of}):"

    @property
    def unsettled(self) -> str:
        """The heading of the doubts."""
        return f"To be settled before it is used{'' if self.errors else '; then look again'}:"

    def __repr__(self) -> str:
        numbered = [f"{number}. {one.says} {one.do}" for number, one in enumerate((*self.doubts, *self.warnings), 1)]
        kept, seen = numbered[: len(self.doubts)], numbered[len(self.doubts) :]
        parts = {
            self.read: [],
            self.unsettled: kept,
            "To know:": [*seen, *self.notes],
            self.measured: self.forecasts,
            "To begin with: " + "; ".join(self.why) + ".": [self.code] if self.code else [],
        }
        return "\n".join(_paragraph(head, lines) for head, lines in parts.items() if lines or head == self.read)

    def _ipython_display_(self) -> None:
        from IPython.display import display

        display({"text/plain": repr(self), "text/html": render("doctor/look.html", look=self)}, raw=True)
        display({"text/plain": f"<figure: {self.source}>", "image/png": self.picture()._repr_png_()}, raw=True)

    def picture(self) -> "Figure":
        """The series with the places that doubts and warnings are about."""
        from rnntips.doctor.look_picture import draw  # so that matplotlib is loaded only to draw

        return draw(self.series, [one.rows for one in (*self.doubts, *self.warnings)])


def look(data: str | Path | Series | Any, target: str | None = None, **how: Any) -> Look:
    """Look at a series before anything is trained on it.

    Args:
        data: A file, as for `rnntips.series.from_csv`; a data frame; an array, as for `from_array`; or a Series.
        target: Column to forecast. Not needed if only one may be.
        how: Further arguments of `from_csv`, `from_frame` or `from_array`.

    Raises:
        BadData: No series can be made of it, whatever is settled: no file, no such column, several that may be meant.
    """
    if isinstance(data, Series):
        return _seen(data, data.name, "", (), "series")
    frame = hasattr(data, "iloc")  # pandas is not loaded to ask
    if not frame and not isinstance(data, str | Path):
        if target is not None:
            raise BadArgument(f"target={target!r}: an array has no names; its first column is forecast. Drop target=.")
        series = from_array(data, **how)
        return _seen(series, series.name, "", (), _call("from_array(values", how))
    from rnntips.tables.reading import read_csv, read_frame  # so that pandas is loaded only for a table

    read, make = (read_frame, from_frame) if frame else (read_csv, from_csv)
    for name in how.keys() - (known := [*signature(make).parameters][2:]):
        raise unknown_name("argument", name, known)
    if not isinstance(how.get("gaps", ""), str) or how.get("gaps", "refuse") not in ("refuse", "fill"):
        raise unknown_name("gaps", how["gaps"], ["refuse", "fill"])
    table = read(data, target, **{name: value for name, value in how.items() if name not in OF_SERIES})
    doubts = tuple(one for one in table.doubts if not (one.gap and how.get("gaps") == "fill"))
    filled = how | {"gaps": "fill"} if doubts else how
    named = {"target": target} if target is not None else {}
    call = _call("from_frame(frame" if frame else f"from_csv({str(data)!r}", named | filled)
    series = make(data, target, **filled) if all(one.gap for one in doubts) else _drawn(table)
    source = f"{'frame' if frame else Path(data).name}, column {table.titles[0]}"
    return _seen(series, source, table.step, doubts, call)


def _seen(series: Series, source: str, step: str, doubts: tuple[Doubt, ...], call: str) -> Look:
    if not all(one.gap for one in doubts):
        return Look(source, series, step, doubts, (), {}, None, (), "")
    errors = easy_errors(series)
    found, (recipe, why) = warnings(series, errors), first_recipe(series)
    try:
        prepare([recipe], forecast(series), range(SEEDS))
    except RnntipsError as error:  # such as a test part that is constant for one seed
        return Look(source, series, step, doubts, (*found, Doubt(str(error), "", NOWHERE)), errors, None, (), "")
    code = f"runs = rt.train(rt.{recipe!r}, {call}, seeds=range({SEEDS}))"
    return Look(source, series, step, doubts, tuple(found), errors, recipe, tuple(why), code)


def _call(begin: str, arguments: Mapping[str, Any]) -> str:
    """The call that makes the series."""
    return f"rt.series.{', '.join([begin, *(f'{name}={value!r}' for name, value in arguments.items())])})"


def _drawn(table: Table) -> Series:
    """The target of a table that cannot be used yet."""
    return from_array(table.filled()[:, 0], name=table.titles[0], times=table.times, notes=table.notes)


def _paragraph(head: str, lines: Sequence[str]) -> str:
    """A heading, with what belongs to it indented below; code is not broken, so that it can be pasted."""
    said = [line if line.startswith("runs = ") else fill(line, WIDE, initial_indent="  ", subsequent_indent="    ")
            for line in lines]  # fmt: skip
    return "\n".join([fill(head, WIDE), *said])
