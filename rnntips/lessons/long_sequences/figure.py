"""Long sequences: what is asked, what networks answer, their error over epochs and over updates, and S2's figures."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from matplotlib.axes import Axes

from rnntips.figures import COLORS, DASHES, GREY, PAGE, axes, log_ticks, plain
from rnntips.loader import rebuilt
from rnntips.notebook.tips import Tip
from rnntips.recipe import Recipe
from rnntips.runs import Runs
from rnntips.tasks import Task

__all__ = ["answers", "asked", "figures_of_s2", "progress", "way", "ways"]

LOOKS = {  # how a sequence is trained on → color, marker
    "whole sequences": (COLORS["baseline"], "o"),
    "chunks, one update for all": ("#117733", "s"),
    "chunks, state reset": ("#AA4499", "v"),
    "chunks": (COLORS["variant"], "^"),
    "chunks that grow": ("#882255", "D"),
    "ten values a step": (GREY, "P"),
}


def way(recipe: Recipe) -> str:
    """How a recipe trains on a sequence: a name in `LOOKS`."""
    if recipe.chunk is None:
        return "whole sequences" if recipe.patch == 1 else "ten values a step"
    if recipe.accumulate:
        return "chunks, one update for all"
    return "chunks that grow" if recipe.grow else "chunks" if recipe.carry else "chunks, state reset"


def asked(task: Task, recipe: Recipe, steps: int = 200, seed: int = 0) -> Axes:
    """The first steps of a test sequence: the newest change that a network reads, and what it shall answer."""
    places, example = axes(1, PAGE, 3.2, rows=2), task.examples(recipe, seed)
    window = example.of(2)[:1]
    read, wanted = example.inputs(window)[0, :steps, 0], example.answers(window)[:steps, 0]
    for ax, values, what, side in zip(places, (read, wanted), ("input: last change", "answer: next 10 steps"), COLORS,
                                      strict=True):  # fmt: skip
        ax.plot(np.arange(1, steps + 1), values, color=COLORS[side], linewidth=1.5)
        ax.set_title(what, size=9, loc="left")
    places[0].set_ylabel("standard deviations")
    places[1].set(xlabel="step", ylabel="price units")
    return places[1]


def answers(sides: Mapping[str, Runs], task: Task, steps: int = 200) -> Axes:
    """The right answers at the last steps of one test sequence, and those of each side's first network.

    Args:
        sides: Name → runs, up to two.
    """
    (ax,) = axes(1, PAGE, 2.6)
    for side, (name, runs) in zip(COLORS, sides.items(), strict=False):
        network, (example,), (chosen,), inputs = rebuilt(
            runs.recipes[:1], runs.seeds[:1], task, lambda example: example.of(2)[:1], runs.weights[:1]
        )
        last = np.arange(example.steps - steps, example.steps)
        if side == "baseline":
            ax.plot(last + 1, example.answers(chosen)[last, 0], color="#8C8C8C", linewidth=5, alpha=0.6, label="right")
        with torch.no_grad():
            said = network.sequence(inputs)[0][0, 0, last, 0].numpy() * example.spread
        ax.plot(last + 1, said, color=COLORS[side], linestyle=DASHES[side], linewidth=1.5, label=name)
    ax.set(xlabel="step", ylabel="price units")
    ax.legend(frameon=False, ncols=3, loc="lower left", bbox_to_anchor=(0, 1))
    return ax


def progress(runs: Sequence[Runs]) -> Axes:
    """Validation errors, as shares of naive, over epochs and over updates: medians over the runs of each record.

    Returns:
        The second of two axes.
    """
    places = axes(2, PAGE, 3.0)
    for one in runs:
        recipe = one.recipes[0]
        color, marker = LOOKS[way(recipe)]
        shares = np.median(np.fmin(one.valid_score / one.valid_naive[:, None], 2), 0)[1:]
        updates = one.evaluations[1:].astype(float)
        for ax, x in zip(places, (updates * (recipe.new or recipe.steps) / recipe.steps, updates), strict=True):
            ax.plot(x, shares, color=color, marker=marker, markersize=3, linewidth=1.5, label=way(recipe))
    for ax, what in zip(places, ("epochs", "updates"), strict=True):
        ax.set(xscale="log", xlabel=what)
        ax.set_xticks(log_ticks(*ax.get_xlim())), plain(ax.xaxis)
        ax.axhline(1, color=GREY, linewidth=0.8, linestyle=":")
        ax.set_ylim(bottom=0)
    places[0].set_xlim(left=0.09)
    places[0].set_ylabel("validation error (share of naive)")
    places[0].figure.legend(*places[0].get_legend_handles_labels(), frameon=False, fontsize=9, ncols=3,
                            loc="outside upper center")  # fmt: skip
    return places[1]


def ways(tip: Tip, settings: Mapping[str, str]) -> Axes:
    """Test errors in the record by the way that sequences were trained on: medians, and the middle 80 % of runs.

    Args:
        settings: Setting → its name, from the top down.
    """
    (ax,) = axes(1, PAGE, 0.8 + 0.62 * len(settings))
    for row, setting in enumerate(settings):
        for arm in tip.arms(setting):
            if arm.recipe.chunk not in (None, 10):
                continue
            name = way(arm.recipe)
            color, marker = LOOKS[name]
            y = -row - 0.13 * ([*LOOKS].index(name) - 2.5)
            low, middle, high = np.percentile(np.fmin(arm.scores.shares, 1.5), [10, 50, 90]).clip(1e-3)
            ax.plot([low, high], [y, y], color=color, linewidth=1.2, alpha=0.6)
            ax.plot(middle, y, marker, color=color, markersize=6)
    for name, (color, marker) in LOOKS.items():
        ax.plot([], [], marker, color=color, label=name)
    ax.axvline(1, color=GREY, linewidth=0.8, linestyle=":")
    ax.annotate("naive", (1, 1), xycoords=("data", "axes fraction"), color=GREY, size=8, ha="center", va="bottom")
    ax.set(yticks=[-row for row in range(len(settings))], yticklabels=list(settings.values()), xscale="log")
    ax.set(ylim=(-len(settings) + 0.45, 0.55), xlabel="test error (share of naive)")
    ax.set_xticks([0.001, 0.01, 0.1, 1], ["≤0.001", "0.01", "0.1", "1"])
    ax.minorticks_off()
    ax.figure.legend(*ax.get_legend_handles_labels(), frameon=False, fontsize=9, ncols=3, loc="outside upper center")
    return ax


SHOWN = {  # S2's figures: title → sides as `evidence.published` names them
    "SGD": ["SGD"],
    "optimizers": ["SGD", "RMSprop", "Adam"],
    "clipped": ["RMSprop, clipped", "Adam, clipped", "Adam, clipped by tensor"],
    "schedule": ["SGD", "SGD, schedule"],
    "all together": ["SGD", "Adam, clipped", "Adam, clipped, schedule"],
}
LINES = {  # side → color, dashes
    "SGD": (COLORS["baseline"], "-"), "RMSprop": ("#117733", "--"), "Adam": (COLORS["variant"], "-."),
    "RMSprop, clipped": ("#117733", ":"), "Adam, clipped": ("#882255", "-"), "Adam, clipped by tensor": (GREY, "--"),
    "SGD, schedule": ("#AA4499", "--"), "Adam, clipped, schedule": ("#999933", ":"),
}  # fmt: skip


def figures_of_s2(tip: Tip) -> Axes:
    """S2's five figures: the training loss over epochs, as printed and repaired; medians, and all runs between."""
    stored = tip.lesson.stored("curves")
    places = axes(len(SHOWN), 9.4, 4.4, rows=2, hspace=0.1)
    for row, (setting, sides) in enumerate(stored["settings"].items()):
        for ax, (title, names) in zip(places[row * len(SHOWN) :], SHOWN.items(), strict=False):
            for name in names:
                color, dashes = LINES[name]
                low, middle, high = (np.array(sides[name][which]) for which in ("low", "median", "high"))
                epochs = np.arange(1, len(middle) + 1)
                ax.fill_between(epochs, low, high, color=color, alpha=0.15, linewidth=0)
                ax.plot(epochs, middle, color=color, linestyle=dashes, linewidth=1.5)
            ax.set(yscale="log", ylim=(0.45, 3) if row == 0 else (0.001, 3))
            ax.set_yticks([0.5, 1, 2] if row == 0 else [0.001, 0.01, 0.1, 1]), plain(ax.yaxis)
            if row == 0:
                ax.set_title(title, size=10)
                ax.set_xticklabels([])
            if ax is places[row * len(SHOWN)]:
                ax.set_ylabel(f"{setting}: training loss")
            else:
                ax.set_yticklabels([])
    for ax in places[len(SHOWN) :]:
        ax.set_xlabel("epochs")
    for name, (color, dashes) in LINES.items():
        places[0].plot([], [], color=color, linestyle=dashes, label=name)
    places[0].figure.legend(*places[0].get_legend_handles_labels(), frameon=False, fontsize=8, ncols=4,
                            loc="outside upper center")  # fmt: skip
    return places[-1]
