"""How the loss's gradient goes back through time, and what a trained network forecasts."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from matplotlib.axes import Axes
from torch import Tensor, nn

from rnntips.figures import COLORS, DASHES, GREY, axes, plain

__all__ = ["forecast", "gradient_by_step", "way_back"]

SHOWN = 5  # states that are drawn
DAY = 48  # half-hours


def gradient_by_step(inputs: Tensor, targets: Tensor, width: int = 24) -> np.ndarray:
    """Norm of the loss's gradient for the state of so many steps before the last one, (T,), last step first.

    Of an untrained tanh network as PyTorch starts it, averaged over the windows.

    Args:
        inputs: (B, T, C).
        targets: (B, K).
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        cell, readout = nn.RNNCell(inputs.shape[2], width), nn.Linear(width, targets.shape[1])
    states = [torch.zeros(len(inputs), width)]
    for step in inputs.unbind(1):
        states.append(cell(step, states[-1]))
    loss = (readout(states[-1]) - targets).square().sum()  # summed, so that each window has a gradient of its own
    gradients = torch.autograd.grad(loss, states[:0:-1])
    return torch.stack(gradients).norm(dim=2).mean(1).numpy()


def way_back(inputs: Tensor, targets: Tensor) -> Axes:
    """The chain of states that the gradient goes back along, each step's factor, and its length at each state.

    Returns:
        The lower axes; `ax.figure` holds both.
    """
    norms = gradient_by_step(inputs, targets)
    left = norms / norms[0]
    chain, ax = axes(1, 8.6, 4.8, rows=2, height_ratios=[1, 2])
    chain.axis("off")
    title = {"loc": "left", "size": 10, "color": GREY}
    chain.set_title("From the loss the gradient goes back, from state to state, against time", **title)
    chain.set(xlim=(-SHOWN - 0.6, 1.6), ylim=(-1, 1))
    names = ["loss", "last state", *(f"state −{k}" for k in range(1, SHOWN))]
    box = {"boxstyle": "round,pad=0.4", "facecolor": "none", "edgecolor": GREY}
    for place, name in enumerate(names):
        chain.text(1 - place, 0, name, ha="center", va="center", size=9, bbox=box)
    arrow = {"arrowstyle": "->", "color": COLORS["variant"], "linewidth": 1.5}
    for place in range(SHOWN + 1):
        begin, end = 1 - place - 0.33, 1 - place - 0.67
        chain.annotate("", (end, 0), (begin, 0), arrowprops=arrow)
        if place:
            factor = norms[place] / norms[place - 1]
            chain.text((begin + end) / 2, 0.35, f"× {factor:.2f}", ha="center", size=9, color=COLORS["variant"])
    chain.text(-SHOWN, 0, "…", ha="center", va="center")
    ax.plot(-np.arange(len(left)), left, "o-", color=COLORS["variant"], markersize=4)
    ax.set_title("How long is the loss's gradient with respect to each state?", **title)
    ax.set(yscale="log", xlabel="state, counted from the last one (time goes to the right)")
    ax.set_ylabel("length, as a share of the last state's\n(log axis: each mark is a tenth\nof the one above)")
    ax.set_xticks(-np.arange(0, len(left), 4), [f"−{k}" if k else "last" for k in range(0, len(left), 4)])
    plain(ax.yaxis)
    ax.yaxis.set_major_formatter(lambda share, _: "1" if share >= 1 else f"1/{1 / share:,.0f}")
    return ax


def forecast(model: Callable[[Tensor], Tensor], batches: Sequence[tuple[Tensor, Tensor]]) -> Axes:
    """What came on a part's first day, and what a network and the naive forecast had said half an hour before.

    Args:
        batches: Of a part, in the order of time.
    """
    inputs, targets = (torch.cat(each)[:DAY] for each in zip(*batches, strict=True))
    with torch.no_grad():
        found = model(inputs)[:, 0].numpy()
    came = targets[:, 0].numpy()
    hours = np.arange(len(came)) / 2
    (ax,) = axes(1, 8.6, 3.6)
    ax.plot(hours[1:], came[:-1], color=GREY, linestyle=":", linewidth=2, label="naive: the value before")
    ax.plot(hours, came, color=COLORS["baseline"], linestyle=DASHES["baseline"], linewidth=2, label="what came")
    ax.plot(hours, found, color=COLORS["variant"], linestyle=DASHES["variant"], linewidth=2, label="network's forecast")
    ax.set(xlabel="hours since the test part began", ylabel="demand (scaled: 0 the mean,\n1 a spread above it)")
    ax.set_xticks(range(0, DAY // 2 + 1, 4))
    ax.legend(frameon=False, ncols=3, loc="upper left")
    ax.set_ylim(top=came.max() + 0.3 * np.ptp(came))
    return ax
