"""What a learning rate does: steps in a bowl, errors along learning rates, and what becomes of a loss that jumps."""

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes

from rnntips.figures import COLORS, DASHES, GREY, axes, log_ticks, plain
from rnntips.notebook.tips import Tip
from rnntips.schedule import RESCUES
from rnntips.study import Study

__all__ = ["after_a_jump", "failed_shares", "of_rates", "steps_in_a_bowl", "u_curves"]

DIVERGED = 100  # naive errors that a run counts with
COURSES = {  # recipe's (rescue, schedule) → what the reader calls it
    (None, None): "constant",
    ("lower, then full", None): "down at a jump, and up again",
    (None, "dip:120"): "the same at update 120",
    ("lower", None): "a tenth from the jump on",
    (None, "cosine"): "falls along a cosine",
    (None, "warmup:3"): "warm-up of 3 updates",
    (None, "warmup:30"): "warm-up of 30 updates",
}


def of_rates(tip: Tip, setting: str) -> dict[float, np.ndarray]:
    """Learning rate → stored errors as shares of naive, of the arms that differ in it alone."""
    found = {}
    for arm in tip.arms(setting):
        if arm.tuned == "none" and arm.recipe.schedule is None and arm.recipe.rescue is None:
            found[arm.recipe.lr] = np.nan_to_num(arm.scores.shares, posinf=DIVERGED)
    return dict(sorted(found.items()))


def steps_in_a_bowl(rates: Mapping[str, float], steps: int = 12) -> Axes:
    """Steps of gradient descent in the bowl x² / 2, from x = 1, at learning rates by what they do."""
    places = axes(len(rates), 7.0, 2.3)
    x = np.linspace(-1.5, 1.5, 100)
    for ax, (does, rate) in zip(places, rates.items(), strict=True):
        path = (1 - rate) ** np.arange(steps + 1)
        ax.plot(x, x**2 / 2, color=GREY, linewidth=1)
        ax.plot(path, path**2 / 2, "o-", color=COLORS["baseline"], markersize=4, linewidth=1)
        ax.plot(path[0], path[0] ** 2 / 2, "o", color=COLORS["variant"], markersize=8)
        ax.set(xlim=(-1.6, 1.6), ylim=(-0.05, 1.2), xlabel="weight", yticks=[], xticks=[-1, 0, 1])
        ax.set_title(f"learning rate {rate:g}: {does}", size=9)
    places[0].set(ylabel="loss")
    return places[-1]


def u_curves(tip: Tip, plots: Mapping[str, Mapping[str, str]]) -> Axes:
    """Errors in the record over the learning rate: medians, and the middle 80 % of the runs.

    Args:
        plots: Title → optimizer's name → setting; two optimizers at most.
    """
    places = axes(len(plots), 3.5 * len(plots), 3.0)
    for ax, (title, lines) in zip(places, plots.items(), strict=True):
        for (name, setting), side in zip(lines.items(), COLORS, strict=False):
            found = of_rates(tip, setting)
            low, median, high = np.percentile(list(found.values()), [10, 50, 90], axis=1)
            ax.plot(list(found), median, marker="os"[side == "variant"], markersize=4, label=name, color=COLORS[side],
                    linestyle=DASHES[side], linewidth=2)  # fmt: skip
            ax.fill_between(list(found), low, high, color=COLORS[side], alpha=0.15, linewidth=0)
        ax.axhline(1, color=GREY, linewidth=0.8, linestyle=":")
        ax.annotate("naive", (0.01, 1), xycoords=("axes fraction", "data"), color=GREY, size=8, va="bottom")
        ax.set(xscale="log", yscale="log", xlabel="learning rate", xlim=(7e-5, 3), ylim=(None, 6))
        ax.set_title(title, size=10)
        ax.set_yticks(log_ticks(*ax.get_ylim()))
        ax.set_xticks([0.0001, 0.001, 0.01, 0.1, 1], ["0.0001", "0.001", "0.01", "0.1", "1"])
        plain(ax.yaxis)
    places[0].set(ylabel="test error, in naive errors")
    places[0].legend(frameon=False, fontsize=8)
    return places[-1]


def after_a_jump(study: Study, setting: str) -> Axes:
    """Training loss (above) and learning rate (below) under the two sides of a study about `rescue`: of the run that
    jumps first."""
    jumps = study.runs[setting][0].rescued_at
    run = int(np.argmin(np.where(jumps > 0, jumps, np.inf)))
    losses, rates = axes(1, 7.0, 3.6, rows=2, height_ratios=[2, 1])
    for side, runs in zip(COLORS, study.runs[setting], strict=True):
        updates, at = np.arange(1, runs.updates + 1), int(runs.rescued_at[run])
        course = RESCUES[runs.recipes[run].rescue]
        rate = [runs.recipes[run].lr * (course(update - at - 1) if at and update > at else 1) for update in updates]
        look = {"color": COLORS[side], "linestyle": DASHES[side], "linewidth": 1.5}
        losses.plot(updates, runs.train_loss[run], label=COURSES[runs.recipes[run].rescue, None], **look)
        rates.plot(updates, rate, **look)
    place = {"xycoords": ("data", "axes fraction"), "va": "top", "ha": "right"}
    losses.annotate("first jump", (at, 0.98), color=GREY, size=8, **place)
    losses.set(yscale="log", ylabel="training loss", xticklabels=[])
    losses.set_yticks(log_ticks(*losses.get_ylim()))
    rates.set(xlabel="updates", ylabel="learning rate")
    for ax in (losses, rates):
        ax.axvline(at, color=GREY, linewidth=0.8, linestyle=":")
        plain(ax.yaxis)
    losses.legend(frameon=False, fontsize=8, loc="lower left")
    return losses


def failed_shares(tip: Tip, settings: Mapping[str, str]) -> Axes:
    """Share of stored runs that ended above the naive error, for each course of the learning rate.

    Args:
        settings: Setting → its title; two at most.
    """
    (ax,) = axes(1, 7.0, 2.8)
    for (setting, title), side, marker, shift in zip(settings.items(), COLORS, "os", (0.12, -0.12), strict=False):
        for arm in tip.arms(setting):
            name = COURSES.get((arm.recipe.rescue, arm.recipe.schedule))
            if name in COURSES.values():
                scores = arm.scores
                failed = 100 * np.mean(~(scores.score < scores.naive))
                row = list(COURSES.values()).index(name)
                margin = 196 * np.sqrt(failed / 100 * (1 - failed / 100) / len(scores.score))
                ax.errorbar(failed, -row + shift, xerr=margin, fmt=marker, color=COLORS[side], markersize=5,
                            label=title if row == 0 else None)  # fmt: skip
    ax.set(yticks=[-row for row in range(len(COURSES))], yticklabels=list(COURSES.values()), xlim=(0, 100))
    ax.set(xlabel="runs that end above the naive error (%), with 95 % intervals")
    ax.legend(frameon=False, fontsize=8)
    return ax
