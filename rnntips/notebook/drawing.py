"""Pictures of lines and words that widgets draw anew at every change: SVG in the page, PNG where no kernel runs."""

from base64 import b64encode
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from rnntips.figures import COLORS, GREY, axes
from rnntips.templates import render

__all__ = ["Label", "Line", "mimebundle", "signed", "svg"]


class Line(NamedTuple):
    """A line through points (x, y), y downwards; `kind` is a class of `style.css`."""

    kind: str
    points: Sequence[tuple[float, float]]
    width: float = 1


class Label(NamedTuple):
    """Words with their middle at x; or their beginning or end, with `anchor` "start" or "end"."""

    x: float
    y: float
    words: str
    kind: str = ""
    anchor: str = "middle"


def signed(value: float, digits: int = 2) -> str:
    """A number with a minus sign, not a hyphen."""
    return f"{value:.{digits}f}".replace("-", "−")


def svg(parts: Sequence[Line | Label], said: str, width: int, height: int) -> str:
    """The picture as HTML; `said` is what a screen reader reads out."""
    drawings = [("steps", width, [_element(part) for part in parts])]
    return render("notebook/panels/picture.html", words=said, height=height, drawings=drawings)


def mimebundle(parts: Sequence[Line | Label], said: str, width: int, height: int) -> dict[str, str]:
    """The picture in the notebook's file, for where there is no kernel; in colours for light and dark pages."""
    (ax,) = axes(1, width / 90, height / 90)
    ax.set(xlim=(0, width), ylim=(height, 0))
    ax.axis("off")
    for part in parts:
        if isinstance(part, Label):
            side = {"middle": "center", "start": "left", "end": "right"}[part.anchor]
            ax.text(part.x, part.y, part.words, ha=side, va="baseline", size=8.5, color=GREY)
        else:
            points = np.array(part.points).T
            ax.plot(*points, color=COLORS.get(part.kind, GREY), linewidth=0.72 * part.width, solid_capstyle="butt")
    return {"text/plain": said, "image/png": b64encode(ax.figure._repr_png_()).decode()}


def _element(part: Line | Label) -> tuple[str, dict[str, str], str]:
    """Tag, attributes and text."""
    if isinstance(part, Label):
        at = {"x": f"{part.x:.0f}", "y": f"{part.y:.0f}", "text-anchor": part.anchor, "class": part.kind}
        return "text", at, part.words
    path = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in part.points)
    return "path", {"class": part.kind, "stroke-width": f"{part.width:g}", "d": path}, ""
