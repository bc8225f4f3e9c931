"""What six loops lead to; and how often the doctor names a fault first."""

import json
import warnings
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from matplotlib.axes import Axes

from rnntips.figures import COLORS, GREY, axes, plain
from rnntips.lessons.bugs_in_the_loop.loops import NAMES, RIGHT, Loop

__all__ = ["first_findings", "losses", "trained", "tried"]


def trained() -> dict[str, Loop]:
    """All six loops, trained, without what PyTorch warns of: in a long log nobody reads it."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # networks as small as these are fastest on one core
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return {name: Loop(name).train() for name in (RIGHT, *NAMES)}
    finally:
        torch.set_num_threads(threads)


def losses(loops: Mapping[str, Loop]) -> Axes:
    """Left: the training loss of every loop, a running median of 21 updates. Right: the error of its forecasts."""
    left, right = axes(2, 7.6, 3.4)
    ends = {}
    for name, loop in loops.items():
        curve = np.median(np.lib.stride_tricks.sliding_window_view(loop.losses, 21), axis=1)
        style = {"color": COLORS["variant"], "linewidth": 4} if name == RIGHT else {"color": COLORS["baseline"]}
        left.plot(range(11, 11 + len(curve)), curve, **{"linewidth": 1} | style)
        ends[name] = curve[-1]
    heights = np.log10([*ends.values()])
    for name, height in zip(ends, _apart(heights, 0.07 * np.ptp(heights)), strict=True):
        left.annotate(name, (len(curve) + 11, 10**height), (4, 0), textcoords="offset points", va="center", size=9)
    left.set(yscale="log", xlabel="update", ylabel="training loss (squared, scaled)", xlim=(0, len(curve) + 70))
    for row, (name, loop) in enumerate(loops.items()):
        kind = {"color": COLORS["variant"], "marker": "D"} if name == RIGHT else {"color": COLORS["baseline"]}
        right.plot(loop.error(), row, **{"marker": "o", "markersize": 8} | kind)
    right.axvline(1, color=GREY, linestyle=":")
    right.annotate("naive", (1, -0.65), (3, 0), textcoords="offset points", size=8, color=GREY)
    right.set(yticks=range(len(loops)), xscale="log", xlabel="error of the next value (share of naive)")
    right.set_yticklabels([*loops])
    right.set_xticks([0.5, 1, 2, 5], ["0.5", "1", "2", "5"])
    right.minorticks_off()
    right.set(xlim=(0.45, 8), ylim=(len(loops) - 0.5, -0.9))
    right.grid(axis="y", color=GREY, alpha=0.2)
    plain(left.yaxis)
    return right


def _apart(heights: np.ndarray, least: float) -> np.ndarray:
    """The heights, moved up where two are closer than this."""
    moved, order = heights.copy(), np.argsort(heights)
    for below, above in pairwise(order):
        moved[above] = max(moved[above], moved[below] + least)
    return moved


def tried() -> dict:
    """What the doctor said of programs whose fault is known, as `python -m evidence doctor` stored it."""
    return json.loads(Path(__file__).with_name("doctor.json").read_text(encoding="utf-8"))


def first_findings(found: Mapping) -> Axes:
    """Of faults that were not always named and repaired: the share of programs in which they were.

    Args:
        found: From `tried`.
    """
    some = {name: row for name, row in found["faults"].items() if min(row["first"], row["repaired"]) < row["n"]}
    (ax,) = axes(1, 7, 0.3 * len(some) + 1.1)
    kinds = {"first": ("the first finding names it", "baseline", "o"), "repaired": ("repaired", "variant", "D")}
    for key, (label, color, marker) in kinds.items():
        shares = [100 * row[key] / row["n"] for row in some.values()]
        ax.plot(
            shares, range(len(some)), marker, color=COLORS[color], label=label, markersize=9 if key == "first" else 5
        )
    ax.set(yticks=range(len(some)), xlabel="% of the 20 programs with this fault", xlim=(-3, 103))
    ax.set_yticklabels([*some])
    ax.set_ylim(len(some) - 0.5, -0.5)
    ax.grid(axis="y", color=GREY, alpha=0.2)
    ax.set_title(f"the other {len(found['faults']) - len(some)} faults: always named and repaired", loc="left", size=9)
    ax.legend(frameon=False, fontsize=8)
    return ax
