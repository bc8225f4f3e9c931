"""A fading sum and networks that follow it, how far gradients and networks look back, and which chunks are enough."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from matplotlib.axes import Axes

from rnntips.doctor.gradients import answer_by_lag, gradient_by_lag
from rnntips.figures import COLORS, DASHES, GREY, axes, band, plain
from rnntips.loader import rebuilt
from rnntips.notebook.tips import Tip
from rnntips.recipe import Recipe
from rnntips.runs import Runs
from rnntips.tasks import Task

__all__ = ["chunks", "errors", "followed", "reach", "sequence"]

HALFWAY = 0.5  # of naive, where the lowest possible error is 0


def sequence(task: Task, recipe: Recipe, seed: int = 0) -> Axes:
    """The inputs of one test sequence, and the answer to give at every step."""
    (ax,), example = axes(1, 7.6, 2.2), task.examples(recipe, seed)
    window = example.of(2)[0]
    steps = np.arange(1, example.steps + 1)
    ax.bar(steps, example.inputs([window])[0, :, 0], width=0.6, color=GREY, alpha=0.5, label="input: random numbers")
    sums = example.answers([window])[:, 0]
    ax.plot(steps, sums, color=COLORS["baseline"], linewidth=2, label="answer: their fading sum")
    return _stepped(ax)


def followed(sides: Mapping[str, Runs], task: Task, seed: int = 0) -> Axes:
    """The right answers in one test sequence, and those of each side's first network.

    Args:
        sides: Name → runs, up to two.
    """
    (ax,) = axes(1, 7.6, 2.4)
    for side, (name, runs) in zip(COLORS, sides.items(), strict=False):
        network, (example,), (chosen,), inputs = rebuilt(
            runs.recipes[:1], runs.seeds[:1], task, lambda example: example.of(2)[:1], runs.weights[:1]
        )
        steps = np.arange(1, example.steps + 1)
        if side == "baseline":
            ax.plot(steps, example.answers(chosen)[:, 0], color="#8C8C8C", linewidth=5, label="right")
        with torch.no_grad():
            answers = network.sequence(inputs)[0][0, 0, :, 0].numpy() * example.spread
        ax.plot(steps, answers, color=COLORS[side], linestyle=DASHES[side], linewidth=1.5, label=name)
    return _stepped(ax)


def _stepped(ax: Axes) -> Axes:
    ax.set(xlabel="step of a sequence", ylabel="value")
    ax.legend(frameon=False, ncols=3, loc="lower left", bbox_to_anchor=(0, 1))
    return ax


def reach(task: Task, sides: Mapping[str, Runs], lags: Sequence[int]) -> Axes:
    """By lag: the gradient that training gets from an input, and how much the trained networks' answers owe to it.

    Args:
        sides: Name → trained networks, up to two.
        lags: Steps before the answer.

    Returns:
        The second of two axes: gradients, of every network as shares of its largest; and changes of the answer when
        the input of one step is another sequence's.
    """
    (left, right), lags = axes(2, 7.6, 2.7), list(lags)
    for side, (name, runs) in zip(COLORS, sides.items(), strict=False):
        gradients = gradient_by_lag(runs, task, lags, of="inputs")
        band(left, side, np.array(lags), gradients / gradients.max(1, keepdims=True), name)
        band(right, side, np.array(lags), answer_by_lag(runs, task, lags), name)
    left.set_ylabel("gradient (share of the largest)")
    right.set_ylabel("change of the answer")
    for ax, what in ((left, "what training sees"), (right, "what the network uses")):
        ax.set_title(what, size=10)
        ax.set(xlabel="steps before the answer", xticks=[lag for lag in lags if lag % 4 == 0])
        ax.set_ylim(bottom=-0.02)
    left.legend(frameon=False, loc="upper right", title="gradient over")
    return right


def chunks(tip: Tip, lags: Mapping[str, int]) -> Axes:
    """Over the chunk, in lags: how many of the stored runs came halfway from naive to no error, and their median error.

    Args:
        lags: Setting → its lag, up to two.

    Returns:
        The second of two axes.
    """
    (left, right), ticks = axes(2, 7.6, 2.9), [0.5, 1, 1.25, 2, 4]
    for side, marker, (setting, lag) in zip(COLORS, "oD", lags.items(), strict=False):
        look = {"marker": marker, "color": COLORS[side], "linestyle": DASHES[side], "linewidth": 2}
        found = errors(tip, setting)
        x = [chunk / lag for chunk in found]
        left.plot(x, [100 * np.mean(some <= HALFWAY) for some in found.values()], **look)
        right.plot(x, [np.median(some) for some in found.values()], label=f"lag of {lag} steps", **look)
    for ax, what in ((left, "runs below half of naive (%)"), (right, "median error (share of naive)")):
        ax.set(xscale="log", xticks=ticks, xticklabels=[f"{tick:g}" for tick in ticks])
        ax.set(xlabel="length of a chunk, in lags", ylabel=what)
        ax.minorticks_off()
        plain(ax.yaxis)
    left.set_ylim(-4, 104)
    right.set_ylim(0, 1.04)
    right.legend(frameon=False, loc="upper right")
    return right


def errors(tip: Tip, setting: str) -> dict[int, np.ndarray]:
    """Chunk → test errors of the stored runs, as shares of naive; they can fall to 0."""
    found = {arm.recipe.chunk: arm.scores.score / arm.scores.naive for arm in tip.arms(setting)}
    return dict(sorted(found.items()))
