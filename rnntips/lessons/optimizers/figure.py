"""What gradients are like, weight by weight, and what optimizers come to with so many tries of the learning rate."""

from collections.abc import Mapping

import numpy as np
import torch
from matplotlib.axes import Axes

from rnntips.doctor.gradient_noise import first_weights
from rnntips.engine.losses import losses
from rnntips.figures import COLORS, GREY, PAGE, axes, log_ticks, plain
from rnntips.loader import rebuilt
from rnntips.notebook.tips import Tip, expected_best
from rnntips.runs import Runs
from rnntips.tasks import Task

__all__ = ["by_rate", "by_tries", "gradient_sizes"]

SHOWN = {  # name → what its recipes have, and how it is drawn
    "SGD": ({"optimizer": "sgd", "momentum": 0.0}, {"color": COLORS["baseline"], "linestyle": "-", "marker": "o"}),
    "SGD, momentum 0.9, clipped at 1": ({"optimizer": "sgd", "momentum": 0.9, "clip_norm": 1.0},
                                        {"color": "#117733", "linestyle": ":", "marker": "s"}),
    "Adam": ({"optimizer": "adam", "momentum": 0.0, "beta1": None},
             {"color": COLORS["variant"], "linestyle": "--", "marker": "^"}),
    "Adagrad": ({"optimizer": "adagrad"}, {"color": GREY, "linestyle": "-.", "marker": "D"}),
}  # fmt: skip
DEFAULT = 0.001  # Adam's learning rate as it comes: trained as well, and none of the tries
PARTS = {"input_weight": "input weights", "recurrent_weight": "recurrent weights", "readout_weight": "readout",
         "": "biases"}  # fmt: skip


def tried(tip: Tip, setting: str, name: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Learning rates of an optimizer's tries in the record, (K,), their validation errors, and their test errors as
    shares of naive, at most 1, (K, n)."""
    fields = {"clip_norm": None} | SHOWN[name][0]
    arms = [arm for arm in tip.arms(setting) if arm.tuned == "none" and "validation error" in arm.scores.readings
            and all(getattr(arm.recipe, field) == value for field, value in fields.items())]  # fmt: skip
    arms = sorted((arm for arm in arms if arm.recipe.lr != DEFAULT), key=lambda arm: arm.recipe.lr)
    valid = np.array([arm.scores.readings["validation error"] for arm in arms])
    shares = np.array([np.fmin(arm.scores.shares, 1) for arm in arms])
    return np.array([arm.recipe.lr for arm in arms]), np.nan_to_num(valid, nan=np.inf, posinf=np.inf), shares


def by_rate(tip: Tip, settings: Mapping[str, str]) -> Axes:
    """Errors in the record over the learning rate, one line an optimizer: medians over the seeds.

    Args:
        settings: Setting → its title.
    """
    places = _lines(tip, settings, "learning rate", lambda rates, _, shares: (rates, np.median(shares, 1)))
    for ax in places:
        ax.set_xscale("log")
        ax.set_xticks([0.001, 0.1, 10]), plain(ax.xaxis)
    return places[-1]


def by_tries(tip: Tip, settings: Mapping[str, str]) -> Axes:
    """What the best of 1, 2, … tries of the learning rate comes to: medians over the seeds of the expected error.

    All choices of so many tries are alike; of each the one with the lowest validation error counts.

    Args:
        settings: Setting → its title.
    """
    places = _lines(tip, settings, "tries of the learning rate", _expected)
    for ax in places:
        ax.set_xticks(range(1, 9))
    return places[-1]


def _expected(rates: np.ndarray, valid: np.ndarray, shares: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    counts = range(1, len(rates) + 1)
    return np.array(counts), np.array([np.median(expected_best(count, valid, shares)) for count in counts])


def _lines(tip: Tip, settings: Mapping[str, str], xlabel: str, line) -> list[Axes]:
    places = axes(len(settings), PAGE, 3.0)
    for ax, (setting, title) in zip(places, settings.items(), strict=True):
        for name, (_, look) in SHOWN.items():
            rates, valid, shares = tried(tip, setting, name)
            if len(rates):
                ax.plot(*line(rates, valid, shares), label=name, markersize=4, linewidth=1.5, **look)
        ax.axhline(1, color=GREY, linewidth=0.8, linestyle=":")
        ax.annotate("naive", (0.01, 1), xycoords=("axes fraction", "data"), color=GREY, size=8, va="bottom")
        ax.set(xlabel=xlabel)
        ax.set_ylim(bottom=0)
        ax.set_title(title, size=10)
        plain(ax.yaxis)
    places[0].set_ylabel("test error (share of naive)")
    places[0].figure.legend(*places[0].get_legend_handles_labels(), frameon=False, fontsize=8, ncols=4,
                            loc="outside upper center")  # fmt: skip
    return places


def gradient_sizes(runs: Runs, task: Task) -> Axes:
    """The typical size of one weight's gradient, by what the weight is of, before training and after it.

    Root mean square over the weights of a kind, of the mean loss of 64 training windows; a dot a network.
    """
    (ax,) = axes(1, PAGE, 2.5)
    for side, marker, (when, weights) in zip(
        COLORS, "o^", {"before training": first_weights(runs, task), "after it": runs.weights}.items(), strict=True
    ):
        found = sizes(runs, task, weights)
        for row, values in enumerate(found.values()):
            ax.plot(values, np.full(len(values), -row), marker, color=COLORS[side], alpha=0.5, label=when * (row == 0))
    ax.set(xscale="log", yticks=[-row for row in range(len(found))], yticklabels=list(found))
    ax.set(ylim=(-len(found) + 0.5, 0.5), xlabel="gradient of one weight")
    ax.set_xticks(log_ticks(*ax.get_xlim())), plain(ax.xaxis)
    ax.legend(frameon=False, fontsize=8)
    return ax


def sizes(runs: Runs, task: Task, weights: np.ndarray) -> dict[str, np.ndarray]:
    """Kind of weight → root mean square of the gradient over its weights, (R,)."""
    network, examples, chosen, inputs = rebuilt(runs.recipes, runs.seeds, task, lambda one: one.of(0, 64), weights)
    targets = torch.tensor(np.stack([one.targets[some] for one, some in zip(examples, chosen, strict=True)]))
    loss = losses(examples[0].head, network(inputs), targets).mean(1).sum()
    found = torch.autograd.grad(loss, list(network.parameters.values()))
    squares: dict[str, list] = {name: [] for name in PARTS.values()}
    for name, gradient in zip(network.parameters, found, strict=True):
        kind = next(part for start, part in PARTS.items() if name.startswith(start))
        squares[kind].append(gradient.flatten(1) ** 2)
    return {kind: torch.cat(some, 1).mean(1).sqrt().numpy() for kind, some in squares.items()}
