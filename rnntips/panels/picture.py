"""The live picture: a record as SVG text, in a few milliseconds. Stills are matplotlib's (`figures`)."""

from collections.abc import Sequence
from html import escape

import numpy as np

from rnntips.evidence import effects, interval, middle
from rnntips.figures import COLORS, GREY, log_ticks
from rnntips.runs import Runs

__all__ = ["draw"]

WIDTH, HEIGHT = 860, 300
LEFT = (70, 18, 520, 250)  # x0, y0, x1, y1 of the curves
RIGHT = (600, 18, 840, 250)  # of the paired differences
DASHES = {"baseline": "", "variant": "7 4"}
REACH = 100  # per cent shown on either side of zero


def draw(record: Runs, sides: Sequence[str], smallest: float) -> str:
    """A record of 2n runs, baseline's first, as an SVG document of about 10 kB.

    Args:
        record: Begun, not necessarily finished.
        sides: What the baseline and the variant are called.
        smallest: Relative difference that matters, shaded around zero.
    """
    n = len(record) // 2
    words = f"{sides[0]} against {sides[1]}: {record.reached} of {record.updates} updates done"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="100%" style="max-width:'
        f'{WIDTH}px" role="img" aria-label="{escape(words)}" font-family="sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
        *_curves(record, n, sides),
        *_differences(record, n, sides, smallest),
        "</svg>",
    ]
    return "".join(parts)


def _text(x: float, y: float, words: str, anchor: str = "middle", color: str = GREY, more: str = "") -> str:
    return f'<text x="{x:.0f}" y="{y:.0f}" text-anchor="{anchor}" fill="{color}" {more}>{escape(words)}</text>'


def _line(x0: float, y0: float, x1: float, y1: float, color: str = GREY, width: float = 1, dash: str = "") -> str:
    style = f' stroke-dasharray="{dash}"' if dash else ""
    return f'<path d="M{x0:.0f} {y0:.0f}L{x1:.0f} {y1:.0f}" stroke="{color}" stroke-width="{width}"{style}/>'


def _path(x: np.ndarray, y: np.ndarray) -> str:
    return "M" + "L".join(f"{a:.0f} {b:.0f}" for a, b in zip(x, y, strict=True))


def _curves(record: Runs, n: int, sides: Sequence[str]) -> list[str]:
    """Validation error over updates: medians with the middle 80 %, every run faintly behind, both axes logarithmic."""
    x0, y0, x1, y1 = LEFT
    trivial, floor = float(record.valid_trivial.mean()), float(record.floor.mean())
    scores = record.valid_score[:, 1:]
    with np.errstate(invalid="ignore"):
        first = record.valid_score[:, 0]
        top = 1.15 * max(trivial, float(np.max(first[np.isfinite(first)], initial=trivial)))
    bottom = 0.9 * floor

    def across(updates):
        return x0 + (x1 - x0) * np.log(updates) / np.log(max(2, record.updates))

    def down(errors):
        share = (np.log(np.clip(errors, bottom, top)) - np.log(bottom)) / np.log(top / bottom)
        return y1 - (y1 - y0) * share

    parts = [_line(x0, y1, x1, y1), _line(x0, y0, x0, y1)]
    for tick in log_ticks(1, record.updates):
        parts.append(_text(across(tick), y1 + 16, f"{tick:,.5g}"))
    for tick in log_ticks(bottom, top):
        parts.append(_text(x0 - 6, down(tick) + 4, f"{tick:,.5g}", "end"))
    for name, value in (("naive = 100 %", trivial), ("floor = 0 %", floor)):
        parts += [_line(x0, down(value), x1, down(value), dash="2 3"), _text(x1, down(value) - 4, name, "end")]
    parts.append(_text((x0 + x1) / 2, y1 + 34, "updates"))
    parts.append(_text(16, (y0 + y1) / 2, f"validation error ({record.unit})",
                       more=f'transform="rotate(-90 16 {(y0 + y1) / 2:.0f})"'))  # fmt: skip
    done = record.evaluations[1:] <= record.reached
    x = across(record.evaluations[1:][done])
    for i, (side, color) in enumerate(COLORS.items()):
        rows = scores[i * n : (i + 1) * n, done]
        usable = np.where(np.isfinite(rows), rows, record.valid_score[i * n : (i + 1) * n, :1])
        if usable.shape[1]:
            faint = "".join(_path(x, down(row)) for row in usable)
            low, middle, high = np.percentile(usable, [10, 50, 90], axis=0)
            band = _path(np.concatenate([x, x[::-1]]), np.concatenate([down(low), down(high)[::-1]])) + "Z"
            style = f'fill="none" stroke="{color}"'
            parts.append(f'<path d="{band}" fill="{color}" opacity="0.15"/><path d="{faint}" {style} opacity="0.2"/>')
            parts.append(f'<path d="{_path(x, down(middle))}" {style} stroke-width="2.5" '
                         f'stroke-dasharray="{DASHES[side]}"/>')  # fmt: skip
        parts.append(_line(x1 - 150, y0 + 4 + 18 * i, x1 - 122, y0 + 4 + 18 * i, color, 2.5, DASHES[side]))
        parts.append(_text(x1 - 116, y0 + 8 + 18 * i, sides[i], "start", "black"))
    return parts


def _differences(record: Runs, n: int, sides: Sequence[str], smallest: float) -> list[str]:
    """Variant against baseline, one mark a seed, around zero; median and interval once training has ended."""
    x0, y0, x1, y1 = RIGHT

    def across(percent):
        return (x0 + x1) / 2 + (x1 - x0) / 2 * np.clip(percent, -REACH, REACH) / REACH

    low = across(100 * (1 / (1 + smallest) - 1))
    parts = [
        f'<rect x="{low:.0f}" y="{y0}" width="{across(100 * smallest) - low:.0f}" height="{y1 - y0}" opacity="0.09"/>',
        _line(across(0), y0, across(0), y1),
        _line(x0, y1, x1, y1),
        *(
            _text(across(tick), y1 + 16, f"{tick:+d} %".replace("-", "−") if tick else "0")
            for tick in (-100, -50, 0, 50)
        ),
        _text((x0 + x1) / 2, y1 + 34, f"error of “{sides[1]}” against “{sides[0]}”"),
        _text(across(-50), y0 - 4, "← lower"),
        _text(across(50), y0 - 4, "higher →"),
    ]
    scores = record.latest_score
    if not np.isfinite(scores).any():
        return parts
    d = effects(scores[n:], scores[:n], record.trivial[:n])
    for i, percent in enumerate(100 * np.expm1(d)):
        x, y = across(percent), y0 + 12 + (y1 - y0 - 50) * (i + 0.5) / n
        shape = (
            f"M{x - 5:.0f} {y + 4:.0f}h10l-5-9z" if percent > 0 else f"M{x - 4:.0f} {y:.0f}a4 4 0 1 0 8 0a4 4 0 1 0-8 0"
        )
        parts.append(f'<path d="{shape}" fill="{COLORS["variant"]}" opacity="0.75"/>')
    if record.reached == record.updates:
        ends, center = (across(100 * np.expm1(value)) for value in (np.array(interval(d)), middle(d)))
        parts.append(_line(*(ends[0], y1 - 18, ends[1], y1 - 18), "black", 3))
        parts.append(f'<path d="M{center - 6:.0f} {y1 - 18}l6-7 6 7-6 7z"/>')
    return parts
