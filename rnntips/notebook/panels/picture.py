"""The live picture: two sides as SVG text, in a few milliseconds. Stored pictures are matplotlib's (`rnntips.figures`).

Here are the places of what is drawn, in pixels; `picture.html` draws it.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from rnntips.figures import log_ticks
from rnntips.notebook.templates import render
from rnntips.runs import Runs
from rnntips.verdict import LEAST, effects, interval, middle

__all__ = ["draw"]

TOP, BOTTOM = 18, 250  # of both frames
CURVES = (84, 522)  # left and right of the frame
DIFFERENCES = (30, 300)
REACH = 100  # per cent shown on either side of zero
LETTER = 13.5  # pixels that a letter of a name takes at most, in any size


def draw(baseline: Runs, variant: Runs, names: Sequence[str], smallest: float, words: str) -> str:
    """Both sides of a comparison, n runs each, as HTML of about 15 kB.

    Args:
        baseline, variant: On the same seeds; begun, not necessarily finished.
        names: What the baseline and the variant are called.
        smallest: Relative difference that matters, shaded around zero.
        words: The picture's label, for those who cannot see it.
    """
    sides = (baseline, variant)
    drawings = {"curves": _curves(sides, names), "differences": _differences(sides, smallest)}
    return render("panels/picture.html", words=words, names=names, top=TOP, bottom=BOTTOM, **drawings)


def _pixels(place: np.ndarray | float) -> np.ndarray:
    return np.rint(place).astype(int)


def _path(x: np.ndarray, y: np.ndarray) -> str:
    return "M" + "L".join(f"{a} {b}" for a, b in zip(x, y, strict=True))


def _curves(sides: Sequence[Runs], names: Sequence[str]) -> dict[str, Any]:
    """Validation error over updates: medians with the middle 80 %, every run faintly behind, both axes logarithmic."""
    left, right = CURVES
    naive, floor = float(sides[0].valid_naive.mean()), float(sides[0].floor.mean())
    began, seen = (np.concatenate([side.valid_score[:, part].ravel() for side in sides]) for part in (0, slice(None)))
    highest = 1.15 * max(naive, float(np.max(began[np.isfinite(began)], initial=naive)))
    least = max(LEAST * naive, float(np.min(seen[np.isfinite(seen)], initial=naive)))
    lowest, longest = 0.9 * (floor or least), max(side.updates for side in sides)  # the axis has no 0

    def across(updates):
        return _pixels(left + (right - left) * np.log(updates) / np.log(max(2, longest)))

    def down(errors):
        share = np.log(np.clip(errors, lowest, highest) / lowest) / np.log(highest / lowest)
        return _pixels(BOTTOM - (BOTTOM - TOP) * share)

    legends = (left, left + 50 + LETTER * len(names[0]))
    return {
        "frame": CURVES,
        "updates": [(across(tick), f"{tick:,.5g}") for tick in log_ticks(1, longest)],
        "errors": [(down(tick), f"{tick:,.5g}") for tick in log_ticks(lowest, highest)],
        "bounds": [
            (down(naive), "naive = 100 %"),
            (down(floor or lowest), "floor = 0 %" if floor else "↓ floor = 0 %"),
        ],
        "unit": sides[0].unit,
        "sides": [
            {"kind": kind, "name": name, "legend": _pixels(legend), "shapes": _shapes(side, across, down)}
            for kind, name, legend, side in zip(("baseline", "variant"), names, legends, sides, strict=True)
        ],
    }


def _shapes(runs: Runs, across: Callable, down: Callable) -> dict[str, str]:
    """One side's paths, as far as it has come: the band of the middle 80 %, every run, and the median."""
    done = runs.evaluations <= runs.reached
    done[0] = False  # there is no place for update 0 on a logarithmic axis
    if not done.any():
        return {}
    x, scores = across(runs.evaluations[done]), runs.valid_score[:, done]
    scores = np.where(np.isfinite(scores), scores, runs.valid_score[:, :1])  # a run that failed is where it began
    low, center, high = down(np.percentile(scores, [10, 50, 90], axis=0))
    return {
        "band": _path(np.concatenate([x, x[::-1]]), np.concatenate([low, high[::-1]])) + "Z",
        "run": "".join(_path(x, down(row)) for row in scores),
        "median": _path(x, center),
    }


def _differences(sides: Sequence[Runs], smallest: float) -> dict[str, Any]:
    """Variant against baseline, one mark a seed, around zero; interval and median once training has ended."""
    left, right = DIFFERENCES

    def across(change):
        percent = np.clip(100 * change, -REACH, REACH)
        return _pixels((left + right) / 2 + (right - left) / 2 * percent / REACH)

    drawn = {
        "frame": DIFFERENCES,
        "same": (across(1 / (1 + smallest) - 1), across(smallest)),
        "percents": [(across(-1), "−100 %"), (across(-0.5), "−50 %"), (across(0), "0"), (across(0.5), "+50 %")],
        "directions": [(across(-0.5), "← lower"), (across(0.5), "higher →")],
        "seeds": [],
        "interval": None,
    }
    scores = [side.latest_score for side in sides]
    if np.isfinite(scores).any():
        d = effects(scores[1], scores[0], sides[0].naive)
        heights = TOP + 12 + (BOTTOM - TOP - 50) * (np.arange(len(d)) + 0.5) / len(d)
        drawn["seeds"] = zip(across(np.expm1(d)), _pixels(heights), d > 0, strict=True)
        if all(side.reached == side.updates for side in sides):
            drawn["interval"] = across(np.expm1([*interval(d), middle(d)])).tolist()
    return drawn
