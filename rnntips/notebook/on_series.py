"""What the lessons' tips do on a series of one's own; a cheat sheet, and a plain PyTorch script, to take away."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import numpy as np

from rnntips.doctor.first_recipe import first_recipe
from rnntips.errors import BadArgument, BadData, need_whole, unknown_name
from rnntips.jobs.store import folder
from rnntips.notebook.panels.own import fit, refusal
from rnntips.notebook.tips import Markdown, Tip, tips
from rnntips.recipe import Recipe, called
from rnntips.series import Series
from rnntips.study import compare
from rnntips.tasks import Forecast, origins
from rnntips.verdict import change, spoken

__all__ = ["OnSeries", "TipOnSeries", "on_series"]

OWN = "your_own_series"  # the lesson that asks for this
MATTERS = 0.05  # a change of the error that is called one
SCRIPT = Path(__file__).with_name("script.py.txt")
# Fields that the script has; others are left as the first recipe has them.
WRITTEN = ("cell", "layers", "width", "past", "batch_size", "lr", "optimizer", "clip_norm", "weight_decay", "dropout",
           "updates")  # fmt: skip


@dataclass(frozen=True)
class TipOnSeries:
    """One lesson's live comparison on a series, beside what its record says of the lesson's own.

    Args:
        tip: The lesson.
        sides: Baseline and variant, as they were trained.
        recorded: Change of the error in the lesson's record (−0.4: 40 % less with the variant).
        here: The same on the series: of each origin the median over seeds.
    """

    tip: Tip
    sides: tuple[Recipe, Recipe]
    recorded: float
    here: tuple[float, ...]

    @property
    def typical(self) -> float:
        """The median over origins."""
        return median(self.here)

    @property
    def lower(self) -> int:
        """At how many origins the variant had the lower error."""
        return sum(one < 0 for one in self.here)

    @property
    def agrees(self) -> str:
        """Whether the error changes in the record's direction, in words."""
        if self.sure is None:
            return "undecided"
        same = self.sure == _direction(self.recorded)
        return "yes" if same else "opposite" if self.sure else "hardly changes"

    @property
    def sure(self) -> int | None:
        """−1 or 1 if the error is lower or higher at every origin, 0 if it hardly changes anywhere; else None."""
        found = {_direction(one) for one in self.here}
        if found == {0}:
            return 0
        alike = {np.sign(one) for one in self.here}
        return int(alike.pop()) if len(alike) == 1 and _direction(self.typical) else None

    @property
    def field(self) -> str:
        """What is compared."""
        return self.tip.plan["live"]["field"]

    @property
    def names(self) -> tuple[str, str]:
        """What the sides are called."""
        baseline, variant = (called(self.field, getattr(side, self.field)) for side in self.sides)
        return baseline, variant


def _direction(typical: float) -> int:
    return 0 if abs(np.log1p(typical)) <= np.log1p(MATTERS) else 1 if typical > 0 else -1


@dataclass(frozen=True)
class OnSeries:
    """Tips on a series. In a notebook a table; `cheat_sheet`, and `save` a script, to take away."""

    series: Series
    seeds: int
    rows: tuple[TipOnSeries, ...]
    left_out: Mapping[str, str] = field(repr=False)  # lesson's title → why it cannot be tried on such a series

    def __getitem__(self, name: str) -> TipOnSeries:
        for row in self.rows:
            if row.tip.name == name:
                return row
        raise unknown_name("tip", name, [row.tip.name for row in self.rows])

    def _repr_markdown_(self) -> str:
        heads = "tip", "baseline → variant", "error in the record", f"on {self.series.name}", "lower at", "as recorded"
        cells = [heads, ["---"] * len(heads)]
        cells += [(row.tip.lesson.title, " → ".join(row.names), f"{_spoken(row.recorded)} on {row.tip.live()[2]}",
                   _spoken(row.typical), f"{row.lower} of {len(row.here)} origins", row.agrees)
                  for row in self.rows]  # fmt: skip
        told = (f"Medians over origins, {self.seeds} seeds each, both sides at the same learning rate. A hint, and no "
                "verdict: all of five origins agree by chance once in sixteen times.")  # fmt: skip
        out = f" Not for such a series: {', '.join(self.left_out)}." if self.left_out else ""
        return "\n".join(f"| {' | '.join(row)} |" for row in cells) + f"\n\n{told}{out}"

    @property
    def recipe(self) -> Recipe:
        """What to begin with, `rnntips.look`'s, with every variant that has the lower error at all origins, in fields
        that the script has. How these do together has not been tried: compare it.
        """
        return self.first.but(**{name: value for row in self.rows for name, value in self._taken(row).items()})

    @property
    def first(self) -> Recipe:
        """What `rnntips.look` says to begin with."""
        return first_recipe(self.series)[0]

    def _taken(self, row: TipOnSeries) -> dict:
        value = getattr(row.sides[1], row.field)
        written = row.field in WRITTEN and value != "sigmoid"  # which torch.nn.RNN does not have
        return {row.field: value} if row.sure == -1 and written else {}

    @property
    def cheat_sheet(self) -> Markdown:
        """Every tip that was tried: what its rule says to do, and what came of it here."""
        lines = [f"| tip | do | here, on {self.series.name} |", "|---|---|---|"]
        for row in self.rows:
            here = (
                f"{row.names[1]}, not {row.names[0]}: {_spoken(row.typical)}, lower at {row.lower} of {len(row.here)}"
            )
            lines.append(f"| {row.tip.lesson.title} | {row.tip.lesson.toml['rule']['do']} | {here} |")
        return Markdown("\n".join(lines))

    def save(self, path: str | Path = ".") -> list[Path]:
        """Write `forecast.py`, which needs PyTorch alone, and the values that it reads, `forecast.csv`, into a folder.

        Raises:
            BadArgument: There are such files, or the folder cannot be made.
        """
        place = folder("path", path)
        files = [place / "forecast.py", place / "forecast.csv"]
        for file in files:
            if file.exists():
                raise BadArgument(f"{file.name} is there already. Name another folder, or move it away.")
        recipe = self.recipe
        written = {name.upper(): getattr(recipe, name) for name in WRITTEN}
        written["CHANGES"] = recipe.features is not None or self.series.trending
        written["ROBUST"] = recipe.input_scaling == "robust"
        lines = "\n".join(f"{name} = {value!r}" for name, value in written.items())
        files[0].write_text(SCRIPT.read_text(encoding="utf-8").replace("SETTINGS", lines), encoding="utf-8")
        np.savetxt(files[1], self.series.values[:, 0], fmt="%.17g")
        return files


def _spoken(typical: float) -> str:
    return change(typical, spoken(typical, "%"))


def on_series(series: Series, only: Sequence[str] | None = None, seeds: int = 2, count: int = 5) -> OnSeries:
    """Every lesson's live comparison on a series, at several origins.

    Both sides are fitted to the series as in a panel, and have the same learning rate. Seeds of one origin share its
    test part; so a change is called sure only if all origins agree.

    Args:
        series: A recorded one.
        only: Names of tips; None: all.
        seeds: Of each origin.
        count: Origins, see `rnntips.tasks.origins`.

    A hint, and no verdict: all of five origins agree by chance once in sixteen times.

    Raises:
        BadData: The series is simulated, or too short.
        BadArgument: There is no such tip, or no seed.
    """
    seeds = need_whole("seeds", seeds, 1, 100)
    parts, rows, left_out = origins(series, count), [], {}
    for name in [name for name in tips if name != OWN] if only is None else only:
        tip = tips[name]
        sides = tip.elsewhere()
        why = refusal(sides)
        try:
            row = None if why or not tip.has_record else _row(tip, sides, parts, seeds)
        except (BadArgument, BadData) as error:  # parts of this length have no room for it
            row, why = None, str(error)
        if row is None:
            left_out[tip.lesson.title] = why
        else:
            rows.append(row)
    return OnSeries(series, seeds, tuple(rows), left_out)


def _row(tip: Tip, sides: Sequence[Recipe], parts: Mapping[str, Forecast], seeds: int) -> TipOnSeries:
    here, fitted = [], sides
    for name, task in parts.items():
        found = fit(sides, task.series, range(seeds))
        fitted = found.sides
        allow = tuple(fitted[0].diff(fitted[1]).keys() - {tip.plan["live"]["field"]})
        effects = compare(*fitted, found.task, range(seeds), allow=allow).effects(name)
        here.append(float(np.expm1(np.median(effects))))
    return TipOnSeries(tip, tuple(fitted), tip.recorded, tuple(here))
