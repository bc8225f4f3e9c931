"""What every figure is drawn on: a canvas without pyplot, so that a panel in another thread is never disturbed."""

from io import BytesIO

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter
from PIL import Image

__all__ = ["COLORS", "DASHES", "GREY", "Still", "axes", "band", "log_ticks", "plain"]

# Blue and orange of Okabe and Ito (2008), the orange darkened to a contrast of 4.5 on white;
# the line style says the same as the colour.
COLORS = {"baseline": "#0072B2", "variant": "#B34700"}
DASHES = {"baseline": "-", "variant": (0, (5, 2))}
GREY = "#595959"
DPI = 90
PALETTE = 64  # colours of a stored figure: a third of the size, and no difference to see


class Still(Figure):
    """A figure that notebooks show without pyplot."""

    def _repr_png_(self) -> bytes:
        drawn, small = BytesIO(), BytesIO()
        self.savefig(drawn, format="png")
        few = Image.open(drawn).convert("RGB").quantize(PALETTE, dither=Image.Dither.NONE)
        few.save(small, format="png", optimize=True)
        return small.getvalue()


def axes(count: int, width: float, height: float, rows: int = 1, **grid) -> list[Axes]:
    """Empty axes, `count` in each of so many rows, on one white canvas of so many inches."""
    figure = Still(figsize=(width, height), dpi=DPI, layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    found = figure.subplots(rows, count, squeeze=False, gridspec_kw=grid).ravel()
    for ax in found:
        ax.spines[["top", "right"]].set_visible(False)
    return list(found)


def band(ax: Axes, side: str, x: np.ndarray, scores: np.ndarray, label: str) -> None:
    """Curves of one side, scores (R, n): median, middle 80 %, every run faintly behind; a single run is a line."""
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


def log_ticks(low: float, high: float) -> list[float]:
    """1, 2 and 5 times powers of ten between two positive numbers; fewer over many decades, more within one."""
    powers = np.arange(np.floor(np.log10(low)), np.ceil(np.log10(high)) + 1)
    factors = [1, 1.5, 2, 3, 4, 5, 7] if high / low < 8 else [1, 2, 5] if high / low < 3000 else [1]
    return [tick for power in powers for tick in 10**power * np.array(factors) if low <= tick <= high]
