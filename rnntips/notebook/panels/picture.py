"""The live picture: two sides as SVG text, in a few milliseconds. Stored pictures are matplotlib's (`rnntips.figures`).

Lines are named here and get their colours from `style.css`, which follows the notebook's theme.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from rnntips.runs import Runs
from rnntips.templates import render
from rnntips.ticks import log_ticks
from rnntips.verdict import LEAST, NEAR, effects, interval, middle

__all__ = ["BOTTOM", "DIFFERENCES", "HEIGHT", "TOP", "WIDTHS", "Part", "curves", "draw", "line", "shape", "text"]

HEIGHT, TOP, BOTTOM = 300, 18, 250  # of a drawing, and of its frame
WIDTHS = {"curves": 540, "differences": 320}
CURVES, DIFFERENCES = (84, 522), (30, 300)  # left and right of the frame
LETTER = 13.5  # width of a name's letter at most, in any size


def draw(baseline: Runs, variant: Runs, names: Sequence[str], smallest: float, words: str) -> str:
    """Both sides of a comparison, n runs each, as HTML of about 15 kB.

    Args:
        baseline, variant: On the same seeds; begun, not necessarily finished.
        names: What the baseline and the variant are called.
        smallest: Relative difference that matters, shaded around zero.
        words: The picture's label, for those who cannot see it.
    """
    sides = (baseline, variant)
    parts = (curves(sides, names), _differences(sides, names, smallest))
    drawings = [(*kind, drawn) for kind, drawn in zip(WIDTHS.items(), parts, strict=True)]
    return render("notebook/panels/picture.html", words=words, height=HEIGHT, drawings=drawings)


Part = tuple[str, dict[str, Any], str]  # of a drawing: tag, attributes, text


def text(x: float, y: float, words: str, anchor: str = "middle", **more: str) -> Part:
    return "text", {"x": f"{x:.0f}", "y": f"{y:.0f}", "text-anchor": anchor, **more}, words


def shape(kind: str, d: str) -> Part:
    return "path", {"class": kind, "d": d}, ""


def line(kind: str, x0: float, y0: float, x1: float, y1: float) -> Part:
    return shape(kind, f"M{x0:.0f} {y0:.0f}L{x1:.0f} {y1:.0f}")


def _path(x: np.ndarray, y: np.ndarray) -> str:
    return "M" + "L".join(f"{a:.0f} {b:.0f}" for a, b in zip(x, y, strict=True))


def curves(sides: Sequence[Runs], names: Sequence[str]) -> list[Part]:
    """Validation error over updates: medians with the middle 80 %, every run faintly behind, both axes logarithmic."""
    left, right = CURVES
    center, naive, floor = (TOP + BOTTOM) / 2, float(sides[0].valid_naive.mean()), float(sides[0].floor.mean())
    began, seen = (np.concatenate([side.valid_score[:, part].ravel() for side in sides]) for part in (0, slice(None)))
    highest = 1.15 * max(naive, float(np.max(began[np.isfinite(began)], initial=naive)))
    least = max(LEAST * naive, float(np.min(seen[np.isfinite(seen)], initial=naive)))
    lowest = min(0.9 * floor, least) if floor else 0.9 * least  # the axis has no 0
    longest = max(side.updates for side in sides)

    def across(updates):
        return left + (right - left) * np.log(updates) / np.log(max(2, longest))

    def down(errors):
        share = np.log(np.clip(errors, lowest, highest) / lowest) / np.log(highest / lowest)
        return BOTTOM - (BOTTOM - TOP) * share

    parts = [line("axis", left, BOTTOM, right, BOTTOM), line("axis", left, TOP, left, BOTTOM)]
    parts += [text(across(tick), BOTTOM + 18, f"{tick:,.5g}") for tick in log_ticks(1, longest)]
    parts += [text(left - 6, down(tick) + 4, f"{tick:,.5g}", "end") for tick in log_ticks(lowest, highest)]
    bounds = {"naive": naive}
    if floor < (1 - NEAR) * sides[0].naive.mean():  # else the two lines are one
        bounds["floor" if floor else "↓ floor: no error"] = floor or lowest
    for name, value in bounds.items():
        parts += [line("bound", left, down(value), right, down(value)), text(right, down(value) - 4, name, "end")]
    turned = {"class": "title", "transform": f"rotate(-90 14 {center:.0f})"}
    parts.append(text((left + right) / 2, BOTTOM + 38, "updates"))
    unit = f" ({sides[0].unit})" if sides[0].unit else ""
    parts.append(text(14, center, f"validation error{unit}", **turned))
    legends = (left, left + LETTER * len(names[0]) + 50)
    for kind, side, name, legend in zip(("baseline", "variant"), sides, names, legends, strict=True):
        parts += _side(kind, side, across, down)
        parts.append(line(f"{kind} median", legend, TOP - 8, legend + 28, TOP - 8))
        parts.append(text(legend + 34, TOP - 4, name, "start", **{"class": "ink"}))
    return parts


def _side(kind: str, runs: Runs, across: Callable, down: Callable) -> list[Part]:
    """One side: the middle eight of ten, every run, and the median, as far as it has come."""
    done = runs.evaluations <= runs.reached
    done[0] = False  # there is no place for update 0 on a logarithmic axis
    if not done.any():
        return []
    x, scores, began = across(runs.evaluations[done]), runs.valid_score[:, done], runs.valid_score[:, :1]
    began = np.where(np.isfinite(began), began, runs.valid_naive[:, None])
    scores = np.where(np.isfinite(scores), scores, began)  # a run that failed is where it began, or at the naive error
    low, median, high = down(np.percentile(scores, [10, 50, 90], axis=0))
    band = _path(np.concatenate([x, x[::-1]]), np.concatenate([low, high[::-1]])) + "Z"
    shapes = {"band": band, "run": "".join(_path(x, down(row)) for row in scores), "median": _path(x, median)}
    return [shape(f"{kind} {name}", drawn) for name, drawn in shapes.items()]


def _differences(sides: Sequence[Runs], names: Sequence[str], smallest: float) -> list[Part]:
    """Variant against baseline, one mark a seed, around zero; median and interval once training has ended."""
    left, right = DIFFERENCES

    def across(change):  # from no error at all, on the left, to twice the error
        return (left + right) / 2 + (right - left) / 2 * np.clip(change, -1, 1)

    low, high = across(1 / (1 + smallest) - 1), across(smallest)
    parts = [
        shape("same", f"M{low:.0f} {TOP}H{high:.0f}V{BOTTOM}H{low:.0f}Z"),
        line("axis", across(0), TOP, across(0), BOTTOM),
        line("axis", left, BOTTOM, right, BOTTOM),
        text(across(-1), BOTTOM + 18, "−100 %"),
        text(across(-0.5), BOTTOM + 18, "−50 %"),
        text(across(0), BOTTOM + 18, "0"),
        text(across(0.5), BOTTOM + 18, "+50 %"),
        text(across(0), BOTTOM + 38, f"error of “{names[1]}” against “{names[0]}”"),
        text(across(-0.5), TOP - 4, "← lower"),
        text(across(0.5), TOP - 4, "higher →"),
    ]
    scores = [side.latest_score for side in sides]
    if not np.isfinite(scores).any():
        return parts
    d = effects(scores[1], scores[0], sides[0].naive)
    for i, change in enumerate(np.expm1(d)):
        x, y = across(change), TOP + 12 + (BOTTOM - TOP - 50) * (i + 0.5) / len(d)
        disc, triangle = f"M{x - 4:.0f} {y:.0f}a4 4 0 1 0 8 0a4 4 0 1 0-8 0", f"M{x - 5:.0f} {y + 4:.0f}h10l-5-9z"
        parts.append(shape("seed", triangle if change > 0 else disc))
    if all(side.reached == side.updates for side in sides):
        low, high, median = across(np.expm1([*interval(d), middle(d)]))
        parts.append(line("interval", low, BOTTOM - 18, high, BOTTOM - 18))
        parts.append(shape("ink", f"M{median - 6:.0f} {BOTTOM - 18}l6-7 6 7-6 7z"))
    return parts
