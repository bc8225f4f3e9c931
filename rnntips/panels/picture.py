"""The live picture: two sides as SVG text, in a few milliseconds. Stills are matplotlib's (`figures`).

Lines are named here and get their colours from `data/panel/style.css`, which follows the notebook's theme.
"""

from collections.abc import Sequence
from html import escape

import numpy as np

from rnntips.evidence import LEAST, effects, interval, middle
from rnntips.figures import log_ticks
from rnntips.runs import Runs

__all__ = ["draw"]

HEIGHT, TOP, BOTTOM = 300, 18, 250  # of a drawing, and of its frame
CURVES = (540, 84, 522)  # width of the drawing, left and right of the frame
DIFFERENCES = (320, 30, 300)
REACH = 100  # per cent shown on either side of zero
SIDES = ("baseline", "variant")


def draw(baseline: Runs, variant: Runs, names: Sequence[str], smallest: float, words: str) -> str:
    """Both sides of a comparison, n runs each, as HTML of about 15 kB.

    Args:
        baseline, variant: On the same seeds; begun, not necessarily finished.
        names: What the baseline and the variant are called.
        smallest: Relative difference that matters, shaded around zero.
        words: The picture's label, for those who cannot see it.
    """
    sides = (baseline, variant)
    drawings = {"curves": (CURVES[0], _curves(sides, names)),
                "differences": (DIFFERENCES[0], _differences(sides, names, smallest))}  # fmt: skip
    pictures = "".join(
        f'<svg xmlns="http://www.w3.org/2000/svg" class="{kind}" viewBox="0 0 {width} {HEIGHT}" aria-hidden="true">'
        f"{''.join(parts)}</svg>"
        for kind, (width, parts) in drawings.items()
    )
    return f'<div class="rnntips-plots" role="img" aria-label="{escape(words)}">{pictures}</div>'


def _text(x: float, y: float, words: str, anchor: str = "middle", more: str = "") -> str:
    return f'<text x="{x:.0f}" y="{y:.0f}" text-anchor="{anchor}" {more}>{escape(words)}</text>'


def _line(kind: str, x0: float, y0: float, x1: float, y1: float) -> str:
    return f'<path class="{kind}" d="M{x0:.0f} {y0:.0f}L{x1:.0f} {y1:.0f}"/>'


def _path(x: np.ndarray, y: np.ndarray) -> str:
    return "M" + "L".join(f"{a:.0f} {b:.0f}" for a, b in zip(x, y, strict=True))


def _curves(sides: Sequence[Runs], names: Sequence[str]) -> list[str]:
    """Validation error over updates: medians with the middle 80 %, every run faintly behind, both axes logarithmic."""
    _, left, right = CURVES
    first = sides[0]
    trivial, floor = float(first.valid_trivial.mean()), float(first.floor.mean())
    began, seen = (np.concatenate([side.valid_score[:, part].ravel() for side in sides]) for part in (0, slice(None)))
    top = 1.15 * max(trivial, float(np.max(began[np.isfinite(began)], initial=trivial)))
    least = max(LEAST * trivial, float(np.min(seen[np.isfinite(seen)], initial=trivial)))
    bottom, longest = 0.9 * (floor or least), max(side.updates for side in sides)  # the axis has no 0

    def across(updates):
        return left + (right - left) * np.log(updates) / np.log(max(2, longest))

    def down(errors):
        share = (np.log(np.clip(errors, bottom, top)) - np.log(bottom)) / np.log(top / bottom)
        return BOTTOM - (BOTTOM - TOP) * share

    parts = [_line("axis", left, BOTTOM, right, BOTTOM), _line("axis", left, TOP, left, BOTTOM)]
    parts += [_text(across(tick), BOTTOM + 18, f"{tick:,.5g}") for tick in log_ticks(1, longest)]
    parts += [_text(left - 6, down(tick) + 4, f"{tick:,.5g}", "end") for tick in log_ticks(bottom, top)]
    for name, value in (("naive = 100 %", trivial), ("floor = 0 %" if floor else "↓ floor = 0 %", floor or bottom)):
        parts += [_line("bound", left, down(value), right, down(value)), _text(right, down(value) - 4, name, "end")]
    middle_height = (TOP + BOTTOM) / 2
    parts.append(_text((left + right) / 2, BOTTOM + 38, "updates"))
    parts.append(_text(14, middle_height, f"validation error ({first.unit})",
                       more=f'class="title" transform="rotate(-90 14 {middle_height:.0f})"'))  # fmt: skip
    for i, (kind, runs, name) in enumerate(zip(SIDES, sides, names, strict=True)):
        parts += _band(kind, runs, across, down)
        start = left + i * (0.025 * CURVES[0] * len(names[0]) + 50)  # as wide as the first name at most, in any size
        parts.append(_line(f"{kind} median", start, TOP - 8, start + 28, TOP - 8))
        parts.append(_text(start + 34, TOP - 4, name, "start", 'class="ink"'))
    return parts


def _band(kind: str, runs: Runs, across, down) -> list[str]:
    """One side: the middle eight of ten, every run, and the median, as far as it has come."""
    done = runs.evaluations <= runs.reached
    done[0] = False  # there is no place for update 0 on a logarithmic axis
    if not done.any():
        return []
    x, scores = across(runs.evaluations[done]), runs.valid_score[:, done]
    scores = np.where(np.isfinite(scores), scores, runs.valid_score[:, :1])  # a run that failed is where it began
    low, center, high = np.percentile(scores, [10, 50, 90], axis=0)
    band = _path(np.concatenate([x, x[::-1]]), np.concatenate([down(low), down(high)[::-1]])) + "Z"
    every = "".join(_path(x, down(row)) for row in scores)
    shapes = {"band": band, "run": every, "median": _path(x, down(center))}
    return [f'<path class="{kind} {name}" d="{shape}"/>' for name, shape in shapes.items()]


def _differences(sides: Sequence[Runs], names: Sequence[str], smallest: float) -> list[str]:
    """Variant against baseline, one mark a seed, around zero; median and interval once training has ended."""
    _, left, right = DIFFERENCES

    def across(percent):
        return (left + right) / 2 + (right - left) / 2 * np.clip(percent, -REACH, REACH) / REACH

    low, high = across(100 * (1 / (1 + smallest) - 1)), across(100 * smallest)
    parts = [
        f'<rect class="same" x="{low:.0f}" y="{TOP}" width="{high - low:.0f}" height="{BOTTOM - TOP}"/>',
        _line("axis", across(0), TOP, across(0), BOTTOM),
        _line("axis", left, BOTTOM, right, BOTTOM),
        *(_text(across(tick), BOTTOM + 18, f"{tick:+d} %".replace("-", "−") if tick else "0")
          for tick in (-100, -50, 0, 50)),
        _text((left + right) / 2, BOTTOM + 38, f"error of “{names[1]}” against “{names[0]}”"),
        _text(across(-50), TOP - 4, "← lower"),
        _text(across(50), TOP - 4, "higher →"),
    ]  # fmt: skip
    scores = [side.latest_score for side in sides]
    if not np.isfinite(scores).any():
        return parts
    d = effects(scores[1], scores[0], sides[0].trivial)
    for i, percent in enumerate(100 * np.expm1(d)):
        x, y = across(percent), TOP + 12 + (BOTTOM - TOP - 50) * (i + 0.5) / len(d)
        parts.append(f'<path class="seed" d="{_triangle(x, y) if percent > 0 else _disc(x, y)}"/>')
    if all(side.reached == side.updates for side in sides):
        ends, center = (across(100 * np.expm1(value)) for value in (np.array(interval(d)), middle(d)))
        parts.append(_line("interval", ends[0], BOTTOM - 18, ends[1], BOTTOM - 18))
        parts.append(f'<path class="ink" d="M{center - 6:.0f} {BOTTOM - 18}l6-7 6 7-6 7z"/>')
    return parts


def _triangle(x: float, y: float) -> str:
    return f"M{x - 5:.0f} {y + 4:.0f}h10l-5-9z"


def _disc(x: float, y: float) -> str:
    return f"M{x - 4:.0f} {y:.0f}a4 4 0 1 0 8 0a4 4 0 1 0-8 0"
