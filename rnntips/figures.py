"""Figures that all lessons use: they draw records and return matplotlib `Axes`. Nothing is trained here.

Figures are drawn without pyplot, whose global state a panel in another thread would disturb.
"""

import warnings
from collections.abc import Mapping, Sequence
from io import BytesIO
from textwrap import fill

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.ticker import FuncFormatter, NullFormatter
from PIL import Image

from rnntips.errors import BadArgument
from rnntips.runs import Runs, length_in_words
from rnntips.study import Study
from rnntips.tasks import Forecast
from rnntips.templates import render
from rnntips.ticks import log_ticks
from rnntips.training import predict
from rnntips.verdict import LEAST, NEAR, interval, middle, spoken
from rnntips.windows import TRAIN

__all__ = ["COLORS", "DASHES", "GREY", "Still", "axes", "band", "both", "curves", "findings", "forecasts",
           "forest", "log_ticks", "loss_bands", "paired", "plain", "series", "show"]  # fmt: skip

# Figures have no ground of their own, so every colour has to hold on a white page and on a dark one. No colour has
# more contrast than 4.34 with both white and JupyterLab's dark #111111: GREY has it, lines have 3 and more.
# Blue and orange of Okabe and Ito (2008), the orange darkened; the line style says the same as the colour.
COLORS = {"baseline": "#1B7FBF", "variant": "#C65A12"}
DASHES = {"baseline": "-", "variant": (0, (5, 2))}
GREY = "#797979"  # of all text as well
DPI = 90
PALETTE = 256  # colours of a stored figure: its file is a third as large, and looks the same
FAR = 2.0  # beyond this factor, up or down, an axis of changes is one of factors, and logarithmic
ROOM = 1.15  # factor by which that axis extends beyond the data
PAGE = 7.6  # inches that a figure is wide: 684 pixels
WIDE = 60  # characters that fit under its plot


class Still(Figure):
    """A figure that notebooks show without pyplot, on whatever ground they have.

    Its texts may be anybody's: no letter of them is a formula's.
    """

    def draw(self, renderer) -> None:
        """Texts are grey where they have matplotlib's own colour; letters that cannot be drawn are spaces or boxes."""
        for text in self.findobj(Text):
            text.set(parse_math=False, text=legible(text.get_text()))
            if text.get_color() == "black":
                text.set_color(GREY)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Glyph .* missing from font")
            super().draw(renderer)

    def _repr_png_(self) -> bytes:
        drawn, small = BytesIO(), BytesIO()
        self.savefig(drawn, format="png")
        few = Image.open(drawn).quantize(PALETTE, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
        few.save(small, format="png", optimize=True)
        return small.getvalue()


def legible(text: str) -> str:
    """A text of lines without control characters and lone surrogates, which no font can draw."""
    return "".join(letter if letter.isprintable() or letter == "\n" else " " for letter in text)


def axes(count: int, width: float, height: float, rows: int = 1, **grid) -> list[Axes]:
    """Empty axes, `count` in each of so many rows, on one canvas of so many inches, without a ground."""
    figure = Still(figsize=(width, height), dpi=DPI, layout="constrained", facecolor="none")
    FigureCanvasAgg(figure)
    found = figure.subplots(rows, count, squeeze=False, gridspec_kw=grid).ravel()
    for ax in found:
        ax.set_facecolor("none")
        ax.spines[:].set_color(GREY)
        ax.tick_params(which="both", colors=GREY)
        ax.spines[["top", "right"]].set_visible(False)
    return list(found)


def band(ax: Axes, side: str, x: np.ndarray, scores: np.ndarray, label: str) -> None:
    """Curves of one arm, scores (R, n): median, middle 80 %, every run faintly behind; a single run is a line."""
    color = COLORS[side]
    if len(scores) > 1:
        low, high = np.percentile(scores, [10, 90], axis=0)
        ax.plot(x, scores.T, color=color, alpha=0.15, linewidth=0.7)
        ax.fill_between(x, low, high, color=color, alpha=0.15, linewidth=0)
    ax.plot(x, np.median(scores, axis=0), color=color, linestyle=DASHES[side], linewidth=2, label=label)


def plain(axis) -> None:
    """Numbers as people write them; the default labels of log axes are mathtext, which is not thread-safe."""
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.5g}"))
    axis.set_minor_formatter(NullFormatter())


def curves(sides: Mapping[str, Runs], ax: Axes | None = None) -> Axes:
    """Validation error over updates, as a share of each run's own naive error; a band where an arm has several runs.

    Args:
        sides: One or two arms by name, with their runs.
    """
    ax = ax or axes(1, PAGE, 3.1)[0]
    for side, (name, runs) in zip(COLORS, sides.items(), strict=False):
        share = runs.valid_score[:, 1:] / runs.valid_naive[:, None]
        band(ax, side, runs.evaluations[1:], share, name)
    ax.axhline(1, color=GREY, linewidth=0.8, linestyle=":")
    place = {"xycoords": ("axes fraction", "data"), "ha": "right", "va": "bottom"}
    ax.annotate("naive", (0.99, 1), color=GREY, size=8, **place)
    ax.set(xscale="log", xlabel="updates", ylabel="validation error\n(share of naive)")
    plain(ax.xaxis)
    ax.legend(frameon=False)
    return ax


def show(study: Study) -> None:
    """A study in a notebook: its sentence, its figure, and where the numbers come from."""
    from IPython.display import display

    sides = next(iter(study.runs.values()))
    seconds = sum({side.seconds for pair in study.runs.values() for side in pair})  # trained together: one duration
    about = {"runs": sides[0], "seeds": _span(sides[0].seeds), "length": length_in_words(*sides), "seconds": seconds}
    display({"text/plain": repr(study), "text/html": render("study.html", study=study, **about)}, raw=True)
    for setting in study.runs:
        still = both(study, setting)._repr_png_()
        display({"text/plain": f"<figure: {study.label} on {setting}>", "image/png": still}, raw=True)


def both(study: Study, setting: str | None = None, title: str = "") -> Figure:
    """The loss bands (left) and paired differences (right) of one setting."""
    left, right = axes(2, PAGE, 3.5 if title else 3.1, width_ratios=[3, 2])
    loss_bands(study, setting, left)
    paired(study, setting, right)
    left.figure.suptitle(fill(title, 100), size=10)
    return left.figure


def _span(seeds: np.ndarray) -> str:
    consecutive = len(seeds) > 1 and np.all(np.diff(seeds) == 1)
    return f"{seeds[0]} to {seeds[-1]}" if consecutive else ", ".join(map(str, seeds))


def series(task: Forecast, steps: int = 336, seed: int = 0, ax: Axes | None = None) -> Axes:
    """The last steps of the training part of the series that one seed gets."""
    ax = ax or axes(1, PAGE, 2.2)[0]
    values = task.values(seed)[:, 0]
    values = values[: int(TRAIN * len(values))][-steps:]
    ax.plot(np.arange(len(values)), values, color=COLORS["baseline"])
    ax.set(xlabel="step", ylabel=f"{task.series.name} ({task.unit})")
    plain(ax.yaxis)
    return ax


def loss_bands(study: Study, setting: str | None = None, ax: Axes | None = None) -> Axes:
    """Validation error over updates: median, the middle 80 %, and every run faintly behind; log axes."""
    ax = ax or axes(1, 5.2, 3.1)[0]
    setting = setting or next(iter(study.runs))
    for side, name, runs in zip(COLORS, study.names, study.runs[setting], strict=True):
        x, scores = runs.evaluations[1:], runs.valid_score[:, 1:]
        scores = np.where(np.isfinite(scores), scores, runs.valid_score[:, :1])  # a failed run stays at its first score
        scores = np.maximum(scores, LEAST * runs.valid_naive[:, None])  # a log axis has no 0
        band(ax, side, x, scores, name)
    _bounds(ax, study.runs[setting][0])
    ax.set(xscale="log", yscale="log", xlabel="updates", ylabel=f"validation error ({runs.unit})")
    plain(ax.xaxis), plain(ax.yaxis)
    ax.set_yticks(log_ticks(*ax.get_ylim()))
    ax.legend(frameon=False, title=study.field.replace("_", " "))
    return ax


def forecasts(study: Study, on, steps: int = 96, ax: Axes | None = None) -> Axes:
    """The first steps of the test part, and what each arm's first network forecasts there.

    Args:
        study: A finished study.
        on: The Task or Series it was run on.
        steps: How many targets to show.
    """
    ax = ax or axes(1, PAGE, 2.4)[0]
    for side, name, runs in zip(COLORS, study.names, next(iter(study.runs.values())), strict=True):
        predicted, truth = predict(runs.only([0]), on, steps)
        if side == "baseline":
            ax.plot(truth[0], color="#8C8C8C", linewidth=5, label="what came")
        ax.plot(predicted[0], color=COLORS[side], linestyle=DASHES[side], linewidth=1.5, label=name)
    ax.set(xlabel="steps of the test part", ylabel=f"{runs.setting} ({runs.unit})")
    plain(ax.yaxis)
    ax.legend(frameon=False, ncols=3, loc="upper left", bbox_to_anchor=(0, 1.2))
    return ax


def _bounds(ax: Axes, runs: Runs) -> None:
    bounds = {"naive": runs.valid_naive.mean()}
    if runs.floor.mean() < (1 - NEAR) * runs.naive.mean():  # else the two lines are one
        bounds["floor"] = runs.floor.mean()
    for name, value in bounds.items():
        place = {"color": GREY, "size": 8, "ha": "right"}
        if value > 0:
            ax.axhline(value, color=GREY, linewidth=0.8, linestyle=":")
            ax.annotate(name, (0.99, value), xycoords=("axes fraction", "data"), va="bottom", **place)
        else:  # a log axis has no 0
            ax.annotate("↓ floor: no error", (0.99, 0.02), xycoords="axes fraction", va="bottom", **place)


def paired(study: Study, setting: str | None = None, ax: Axes | None = None) -> Axes:
    """One dot per seed: the variant's change of the test error; diamond and bar: median and 95 % interval."""
    ax = ax or axes(1, 3.4, 3.1)[0]
    d = study.effects(setting or next(iter(study.runs)))
    low, high = interval(d)
    reach = 1.15 * max(0.1, np.abs([*d, low, high]).max())
    unit = "times" if reach > np.log(10) else spoken(np.expm1(middle(d)), "%")  # as the sentence; long numbers overlap
    same = _drawn(np.array([1 / (1 + study.smallest) - 1, study.smallest]), unit)
    ax.axvspan(*same, color=GREY, alpha=0.15, linewidth=0)
    ax.axvline(_drawn(0, unit), color=GREY, linewidth=0.8)
    for where, marker in ((d <= 0, "o"), (d > 0, "^")):
        ax.plot(_drawn(np.expm1(d[where]), unit), len(d) - np.flatnonzero(where), marker, color=COLORS["variant"])
    ax.plot(_drawn(np.expm1([low, high]), unit), [0, 0], color=GREY, linewidth=2)
    ax.plot(_drawn(np.expm1(middle(d)), unit), 0, "D", color=GREY)
    ax.set(xlim=100 * np.expm1(reach) * np.array([-1, 1]))
    if unit == "times":
        _factors(ax, np.exp(-reach), np.exp(reach))
    ax.set(yticks=[]), ax.set_xlabel(fill("error of “{1}” against “{0}” ({2})".format(*study.names, unit), 40), size=9)
    ax.set_title("← lower    higher →", size=9, color=GREY)
    ax.spines["left"].set_visible(False)
    return ax


def forest(tip, claims: Sequence[str] | None = None, ax: Axes | None = None) -> Axes:
    """A tip's record: every claim with its word, and the typical change in each of its settings, with 95 % intervals.

    Claims that measure different things have axes of their own, one under the other; `ax.figure` holds them all.

    Args:
        tip: A `Tip` with a record.
        claims: Ids of the claims to draw; None: all.
    """
    alike: dict[tuple, list[tuple]] = {}
    for claim in (claim for claim in tip.record["claims"] if claims is None or claim["id"] in claims):
        rows = alike.setdefault((claim["unit"], claim["what"]), [])
        rows.append((tip.texts[claim["id"]], claim["word"].lower(), None, None))
        for name, found in claim["settings"].items():
            if found["tested"]:
                label = name + ", working size" * (found["size"] == "working" and "working size" not in name)
                rows.append((label, found["typical"], found["interval"], found["smallest"]))
    if ax is not None and len(alike) > 1:
        measured = ", ".join(what for *_, what in alike)
        raise BadArgument(f"One plot cannot hold {measured}. Name claims that measure the same, or leave out ax=.")
    heights = [_height(rows) for rows in alike.values()]
    places = [ax] if ax or len(alike) == 1 else axes(1, PAGE, sum(heights), len(alike), height_ratios=heights)
    return [findings(rows, *of, one) for one, (of, rows) in zip(places, alike.items(), strict=True)][-1]


def _height(rows: Sequence[tuple]) -> float:
    return 0.24 * len(rows) + 0.8


def findings(rows: Sequence[tuple], unit: str = "%", what: str = "error", ax: Axes | None = None) -> Axes:
    """Findings under each other, the first on top: dots with 95 % intervals.

    Args:
        rows: Label, typical change, its interval (relative: −0.4 is 40 % less), and the smallest change that matters
            there, for the grey band. For a heading: label, a word, None, None.
        unit, what: As in `rnntips.verdict.Finding`.
    """
    ax, rows = ax or axes(1, PAGE, _height(rows))[0], rows[::-1]
    reach = [1 + end for _, _, ends, _ in rows if ends for end in ends]
    if unit == "%" and (max(reach, default=1) > FAR or min(reach, default=1) < 1 / FAR):
        unit = "times"  # as sentences have them
    ax.axvline(_drawn(0, unit), color=GREY, linewidth=0.8)
    for row, (_, typical, ends, smallest) in enumerate(rows):
        if ends is None:
            place = {"xycoords": ("axes fraction", "data"), "va": "center"}
            ax.annotate(legible(typical), (0.01, row), **place, size=8, color=GREY)
        else:
            least = 1 / (1 + smallest) - 1 if unit == "times" else -smallest
            band = [_drawn(least, unit), _drawn(smallest, unit)]
            ax.fill_between(band, row - 0.5, row + 0.5, color=GREY, alpha=0.15, linewidth=0)
            ax.plot([_drawn(value, unit) for value in ends], [row, row], color=COLORS["variant"], linewidth=1.2)
            ax.plot(_drawn(typical, unit), row, "o", color=COLORS["variant"], markersize=5)
    ax.set(yticks=range(len(rows)), yticklabels=[legible(row[0]) for row in rows], ylim=(-0.7, len(rows) - 0.3))
    for label, (_, _, ends, _) in zip(ax.get_yticklabels(), rows, strict=True):
        label.set(fontweight="bold" if ends is None else "normal", size=9 if ends is None else 8)
    if unit == "times":
        _factors(ax, max(LEAST, min([0.8, *reach])) / ROOM, max([1.25, *reach]) * ROOM)
    shown = {"times": "times the baseline's", "points": "points of a hundred runs"}.get(unit, unit)
    compared = f"{what} of the variant against the baseline ({shown}), median and 95\u00a0% interval"
    ax.set(xlabel=fill(f"{compared}; grey: too small to matter", WIDE))
    return ax


def _drawn(change, unit: str):
    """Where an axis of this unit has a change, or an array of them."""
    return 1 + change if unit == "times" else 100 * change if unit in ("%", "points") else change


def _factors(ax: Axes, low: float, high: float) -> None:
    ax.set(xscale="log", xlim=(low, high), xticks=log_ticks(low, high)), plain(ax.xaxis)
