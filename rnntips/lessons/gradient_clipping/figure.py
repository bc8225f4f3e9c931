"""What clipping meets: gradients that grow while runs train, how far back they reach, and which thresholds matter."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, NullFormatter

from rnntips.figures import COLORS, DASHES, GREY, axes, log_ticks, plain
from rnntips.notebook.tips import UNTUNED, Tip
from rnntips.runs import Runs
from rnntips.study import Study
from rnntips.training import predict

__all__ = ["answers", "example", "gradients", "of_thresholds", "thresholds"]

LOOKS = tuple({"color": COLORS[side], "linestyle": DASHES[side]} for side in ("baseline", "variant"))
SHADES = ("-", (0, (6, 2)), (0, (3, 1.5)), (0, (1, 1.5)))  # of thresholds, the lowest first
STRETCHES = 12  # of a training, evenly long on a logarithmic axis
HIGHEST, LARGEST = 1e3, 1e6  # norms and losses above leave the frame
SHOWN = 300  # updates: an explosion takes no longer
FAILED = 1.0  # share of naive that a run counts with that failed


def example(inputs: np.ndarray, target: float) -> Axes:
    """One window of the adding task (T, 2), numbers and marks, and its right answer."""
    (ax,) = axes(1, 7.0, 1.9)
    numbers, marked = np.asarray(inputs)[:, 0], np.asarray(inputs)[:, 1] > 0
    for some, look, label in ((~marked, {"color": GREY, "alpha": 0.5}, "not marked"),
                              (marked, {"color": COLORS["variant"], "hatch": "//"}, "marked")):  # fmt: skip
        ax.bar(np.flatnonzero(some) + 1, numbers[some], width=0.6, label=label, **look)
    two = " + ".join(f"{number:.2f}" for number in numbers[marked])
    ax.set(xlabel="step", ylabel="number", ylim=(0, 1.05), title=f"right answer: {two} ≈ {target:.2f}")
    ax.title.set_fontsize(10)
    ax.legend(frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(1, 1))
    return ax


def answers(study: Study, on, windows: int = 100) -> Axes:
    """Training losses of all runs until they end or are infinite (×), and what each side's first network answers."""
    left, right = axes(2, 7.6, 3.0, width_ratios=(1.2, 1))
    for name, runs, look in zip(study.names, next(iter(study.runs.values())), LOOKS, strict=True):
        for losses, lost in zip(runs.train_loss, runs.diverged_at, strict=True):
            ended = int(lost) - 1 if lost else len(losses)
            smooth = _stretches(losses[:ended])
            left.plot(*smooth, linewidth=1, alpha=0.7, label=name, **look)
            if lost:
                left.plot(smooth[0][-1], min(smooth[1][-1], LARGEST / 3), "x", color=look["color"], markersize=6)
        predicted, truth = predict(runs.only([0]), on, windows)
        if np.isfinite(predicted).all():
            right.plot(truth[0], predicted[0], "o", color=look["color"], markersize=3, label=name)
        else:
            right.annotate(f"“{name}”: the weights are NaN,\nso there is no answer", (0.03, 0.97), va="top",
                           xycoords="axes fraction", fontsize=8, color=look["color"])  # fmt: skip
    right.plot([0, 2], [0, 2], color=GREY, linewidth=0.8, linestyle=":")
    left.set(
        xscale="log",
        yscale="log",
        ylim=(0.01, LARGEST),
        xlabel="update",
        ylabel="training loss",
        title="× : the loss becomes infinite",
    )
    right.set(xlabel="right answer", ylabel="answer of the network", xlim=(0, 2), ylim=(0, 2.3), title="a hundred sums")
    left.legend(*_once(left), frameon=False, fontsize=8, loc="upper right")
    if right.get_legend_handles_labels()[0]:  # none where no network answers
        right.legend(frameon=False, fontsize=8, loc="lower right")
    return _written(left, right)


def gradients(study: Study, reach: Mapping[str, np.ndarray], limit: float) -> Axes:
    """Gradient norms before clipping in the first updates, and gradients lag by lag before any training.

    Args:
        reach: Name → gradients by lag (R, lags), two at most, see `gradient_by_lag`.
        limit: The threshold.
    """
    left, right = axes(2, 7.6, 3.0, width_ratios=(1.2, 1))
    for name, runs, look in zip(study.names, next(iter(study.runs.values())), LOOKS, strict=True):
        for norms, lost in zip(runs.gradient_norm[:, :SHOWN], runs.diverged_at, strict=True):
            finite = norms[: int(lost) - 1] if lost else norms
            left.plot(np.arange(1, len(finite) + 1), finite, linewidth=0.8, alpha=0.7, label=name, **look)
            if lost:
                left.plot(len(finite), HIGHEST / 2, "x", color=look["color"], markersize=6)
    left.axhline(limit, color=GREY, linewidth=1)
    left.annotate("threshold", (1, limit), (2, 3), xycoords=("axes fraction", "data"), textcoords="offset points",
                  ha="right", va="bottom", fontsize=8)  # fmt: skip
    left.set(xscale="log", yscale="log", ylim=(0.1, HIGHEST), xlabel="update", ylabel="gradient norm, before clipping",
             title="ten networks a side (×: infinite loss)")  # fmt: skip
    left.legend(*_once(left), frameon=False, fontsize=8, loc="upper right")
    for (name, by_lag), color, marker in zip(reach.items(), (COLORS["baseline"], GREY), "os", strict=False):
        middle = np.exp(np.log(by_lag).mean(0))
        for factor, dashes, suffix in ((1, "-", ""), (1 / 3, ":", ", shortened to a third")):
            right.plot(range(len(middle)), factor * middle, color=color, linestyle=dashes, linewidth=1.8,
                       marker=marker, markersize=3, label=name + suffix)  # fmt: skip
    right.set(yscale="log", xlabel="steps back from the answer", ylabel="gradient arriving there",
              title="before training")  # fmt: skip
    right.legend(frameon=False, fontsize=7, loc="lower left")
    return _written(left, right)


def thresholds(logs: Mapping[str, Runs], limits: Sequence[float], errors: Mapping[float | None, np.ndarray]) -> Axes:
    """How often thresholds would clip while networks train, and the errors that thresholds lead to.

    Args:
        logs: Title → runs that went well, one pair of axes each, whose norms were logged before clipping.
        limits: Thresholds, four at most.
        errors: Threshold, or None for no clipping → errors as shares of naive, from `of_thresholds`.
    """
    *places, last = axes(len(logs) + 1, 7.7, 2.9)
    for ax, (title, runs) in zip(places, logs.items(), strict=True):
        for limit, dashes in zip(limits, SHADES, strict=False):
            over = (runs.gradient_norm > limit).mean(0)
            ax.plot(*_stretches(100 * over), color=COLORS["baseline"], linestyle=dashes, linewidth=1.8,
                    marker="o", markersize=2.5, label=f"{limit:g}")  # fmt: skip
        ax.set(xscale="log", ylim=(-3, 103), xlabel="update", title=title)
    places[0].set_ylabel("updates above the threshold (%)")
    places[-1].legend(frameon=False, fontsize=8, title="threshold", title_fontsize=8, loc="upper right")
    names = [f"{limit:g}" if limit else "none" for limit in errors]
    low, middle, high = np.percentile(list(errors.values()), [10, 50, 90], axis=1)
    last.vlines(range(len(names)), low, high, color=COLORS["variant"], linewidth=2, alpha=0.5)
    last.plot(range(len(names)), middle, "D", color=COLORS["variant"], markersize=6)
    last.axhline(FAILED, color=GREY, linewidth=0.8, linestyle=":")
    last.set(xticks=range(len(names)), ylim=(0, 1.08), xlabel="threshold", ylabel="test error, in naive errors",
             title=f"{len(next(iter(errors.values())))} stored runs each")  # fmt: skip
    last.set_xticklabels(names)
    for ax in (*places, last):
        ax.title.set_fontsize(10)
    for ax in places:
        plain(ax.xaxis)
    return last


def of_thresholds(tip: Tip, setting: str, lr: float) -> dict[float | None, np.ndarray]:
    """Threshold → stored errors as shares of naive at one learning rate, the lowest threshold first, and no clipping
    (None) last; a run that failed counts as naive."""
    found = {}
    for arm in tip.arms(setting):
        if arm.tuned == UNTUNED and arm.recipe.lr == lr and arm.recipe.clip == "global":
            found[arm.recipe.clip_norm] = np.minimum(arm.scores.shares, FAILED)
    return dict(sorted(found.items(), key=lambda pair: pair[0] or np.inf))


def _stretches(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Last update of each stretch, and the mean of the values in it."""
    edges = np.unique(np.geomspace(1, len(values), STRETCHES).round().astype(int))
    return edges, np.array([part.mean() for part in np.split(values, edges[:-1])])


def _once(ax: Axes) -> tuple[list, list]:
    """Legend entries, each name once."""
    entries = dict(zip(*reversed(ax.get_legend_handles_labels()), strict=True))
    return list(entries.values()), list(entries)


def _written(*places: Axes) -> Axes:
    """The last of these axes; titles small, logarithmic axes with numbers as people write them."""
    for ax in places:
        ax.title.set_fontsize(10)
        for axis in (ax.xaxis, ax.yaxis):
            if axis.get_scale() == "log":
                axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.7f}".rstrip("0").rstrip(".")))
                axis.set_minor_formatter(NullFormatter())
    places[0].set_yticks(log_ticks(*places[0].get_ylim()))
    return places[-1]
