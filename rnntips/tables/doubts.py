"""What is doubtful in columns of numbers: missing steps, repeated extremes."""

from collections.abc import Sequence

import numpy as np

from rnntips.errors import counted
from rnntips.tables.table import Doubt

__all__ = ["gaps", "marks"]

NAMED = 5  # gaps that a message names
MARKS = *(10**k - 1 for k in range(1, 10)), 32767, 32768, 65535, 2**31 - 1, 2**31  # often missing values, even once
FAR = 99  # a mark below 0 among values of at least 0 is at least so far from 0
USUAL = 10  # different values that a column needs before one of them can stand out


def marks(values: np.ndarray, title: str) -> Doubt | None:
    """Values that look like marks of missing ones: the same number again and again, far from all others.

    A number stands out if it is the smallest or the largest, occurs twice or is one of MARKS, and lies further from
    the nearest other value than these lie from each other; or if it is the only one below 0, at −99 or lower. Zero
    never does.

    Args:
        values: One column, (n,); NaN where a value is missing.
    """
    rest = values[~np.isnan(values)]
    found: list[float] = []
    for _ in range(4):
        distinct, times = np.unique(rest, return_counts=True)
        if len(distinct) < 4:
            break
        inner = distinct[1:-1]
        spread = inner[-1] - inner[0]
        for place, near in ((0, 1), (-1, -2)):
            value, count = distinct[place], times[place]
            away = abs(value - distinct[near])
            repeated = _usual(value) or (count >= 2 and len(distinct) >= USUAL)
            negative = value <= -FAR and distinct[1] >= 0 and place == 0
            if value != 0 and repeated and count <= len(rest) / 2 and (away > spread or negative):
                found.append(float(value))
        if not (new := np.isin(rest, found)).any():
            break
        rest = rest[~new]
    if not found:
        return None
    rows = np.flatnonzero(np.isin(values, found))
    listed = ", ".join(f"{value:g}" for value in sorted(found))
    often = counted(len(rows), "row")
    return Doubt(
        f"{title} is {listed} in {often}, and from {rest.min():g} to {rest.max():g} elsewhere: a mark of "
        "missing values?",
        f"Pass missing=[{listed}]; or missing=[] if these are values.",
        rows,
    )


def _usual(value: float) -> bool:
    return any(round(abs(value) * factor, 6) in MARKS for factor in (1, 10, 100))


def gaps(values: np.ndarray, titles: Sequence[str], when: Sequence[str], there: np.ndarray) -> Doubt | None:
    """Missing steps and values, with places and sizes.

    Args:
        values: (N, C), NaN where something is missing.
        when: (N,) what to call each step: its time or line.
        there: (N,) whether a step has a row at all.
    """
    missing = np.isnan(values).any(1)
    if not missing.any():
        return None
    edges = np.flatnonzero(np.diff(np.concatenate([[0], missing, [0]])))
    runs = list(zip(edges[::2], edges[1::2], strict=True))
    longest = sorted(runs, key=lambda run: run[0] - run[1])[:NAMED]
    named = [f"{when[first]}" + (f" to {when[last - 1]} ({counted(last - first, 'step')})" if last - first > 1 else "")
             for first, last in sorted(longest)]  # fmt: skip
    more = f", and {counted(len(runs) - NAMED, 'shorter one')}" if len(runs) > NAMED else ""
    steps, empty = int((~there).sum()), {title: int(np.isnan(values[there, c]).sum()) for c, title in enumerate(titles)}
    what = [f"{counted(steps, 'step')} without a row"] * bool(steps)
    what += [f"{title} has no value in {counted(count, 'row')}" for title, count in empty.items() if count]
    return Doubt(
        f"{' and '.join(what)}, in {counted(len(runs), 'gap')}: {', '.join(named)}{more}.",
        'Pass gaps="fill" for straight lines between the neighbours, or cut the table there.',
        np.flatnonzero(missing),
        gap=True,
    )
