"""What clipping meets: gradient norms while runs train, and how much of a gradient comes from how far back."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, NullFormatter

from rnntips.figures import COLORS, DASHES, GREY, axes, plain
from rnntips.runs import Runs

__all__ = ["gradients"]

STYLES = ((COLORS["baseline"], DASHES["baseline"]), (COLORS["variant"], DASHES["variant"]), (GREY, ":"))
STRETCHES = 50  # of updates, evenly long on a logarithmic axis
HIGHEST = 1e3  # norms above leave the frame


def gradients(
    trained: Mapping[str, Runs], reach: Mapping[str, tuple[np.ndarray, np.ndarray]], limit: float
) -> Sequence[Axes]:
    """Gradient norms before clipping, update by update, and gradients lag by lag, before and after clipping.

    Args:
        trained: Name → runs, three at most; the first stretch in which most of them are infinite ends their line.
        reach: Name → gradients by lag (R, lags), see `gradient_by_lag`, and the norm of each run's
            gradient in the same place, (R,): clipping divides all lags by what that exceeds the limit.
        limit: The threshold.

    Returns:
        Both axes.
    """
    left, right = axes(2, 8.6, 3.3, width_ratios=(1.25, 1))
    for (name, runs), (color, dashes) in zip(trained.items(), STYLES, strict=False):
        updates, highest = _highest(runs.gradient_norm)
        left.plot(updates, highest.T, color=color, alpha=0.2, linewidth=0.7)
        left.plot(updates, _middle(highest), color=color, linestyle=dashes, linewidth=2, label=name)
        lost = runs.diverged_at[runs.diverged_at > 0]
        left.plot(lost, np.full(len(lost), 0.8 * HIGHEST), "x", color=color, markersize=6)
    left.axhline(limit, color=GREY, linewidth=1)
    left.annotate("threshold", (1, limit), (-2, -2), xycoords=("axes fraction", "data"), textcoords="offset points",
                  ha="right", va="top", fontsize=8)  # fmt: skip
    left.set(xscale="log", yscale="log", ylim=(0.05, HIGHEST), xlabel="update", ylabel="gradient norm, before clipping",
             title="while training (×: the loss is infinite)")  # fmt: skip
    left.legend(frameon=False, fontsize=8, loc="upper right", bbox_to_anchor=(1, 0.93))
    for name, (by_lag, norms) in reach.items():
        kept = np.minimum(1, limit / norms)[:, None]
        for values, side in ((by_lag, "baseline"), (by_lag * kept, "variant")):
            middle = np.exp(np.log(values).mean(0))
            right.plot(range(len(middle)), middle, color=COLORS[side], linestyle=DASHES[side], linewidth=2,
                       marker="o", markersize=3)  # fmt: skip
        at = len(by_lag[0]) // 2
        right.annotate(name, (at, np.exp(np.log(by_lag[:, at]).mean())), (4, 5), textcoords="offset points", fontsize=8)
    right.lines[0].set_label("as it comes")
    right.lines[1].set_label("after clipping")
    right.set(yscale="log", xlabel="steps back from the answer", ylabel="gradient arriving there",
              title="in the first update")  # fmt: skip
    right.legend(frameon=False, fontsize=8, loc="lower left")
    for ax in (left, right):
        ax.title.set_fontsize(10)
        plain(ax.xaxis)
        ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.7f}".rstrip("0").rstrip(".")))
        ax.yaxis.set_minor_formatter(NullFormatter())
    return left, right


def _highest(norms: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Last update of each stretch, and each run's largest norm in it, (R, stretches); infinite after the runs broke."""
    edges = np.unique(np.geomspace(1, norms.shape[1], STRETCHES).round().astype(int))
    finite = np.where(np.isfinite(norms), norms, np.inf)
    return edges, np.maximum.reduceat(finite, np.concatenate([[0], edges[:-1]]), axis=1)


def _middle(highest: np.ndarray) -> np.ndarray:
    """Median over runs, infinite where most are."""
    return np.sort(highest, axis=0)[len(highest) // 2]
