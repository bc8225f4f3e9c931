"""Heads: what becomes of a readout's outputs, and the training loss. A score is the task's, whatever the loss is."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

__all__ = ["HEADS", "Head", "as_scored", "heads_for", "loss", "losses"]

LEAST = 0.001  # smallest probability of a class that an answer stands for


class Head(NamedTuple):
    """One way to end a network.

    Args:
        activation: From the readout's outputs to a network's answers, (…, K).
        loss: From outputs and targets (…, K) to the loss of each answer, (…).
        fits: Kinds of targets: one-hot `"classes"`, scaled `"values"`.
        whole: Of the mini-batch's mean.
    """

    activation: Callable[[Tensor], Tensor]
    loss: Callable[[Tensor, Tensor], Tensor]
    fits: tuple[str, ...]
    whole: Callable[[Tensor], Tensor] = torch.positive


def _softmax(outputs: Tensor) -> Tensor:
    return outputs.softmax(-1)


def _nll(outputs: Tensor, targets: Tensor) -> Tensor:
    return -(targets * outputs.log_softmax(-1)).sum(-1)


def _squared(outputs: Tensor, targets: Tensor) -> Tensor:
    return (outputs - targets).square().mean(-1)


def _root(mean: Tensor) -> Tensor:
    """The root, with slope 0 at 0: where no answer counts there is nothing to learn."""
    return torch.where(mean == 0, 1, mean).sqrt() * (mean != 0)


def _averaged(loss: Callable[..., Tensor]) -> Callable[[Tensor, Tensor], Tensor]:
    """A loss of `torch.nn.functional`, averaged over outputs."""
    return lambda outputs, targets: loss(outputs, targets, reduction="none").mean(-1)


def _after(activation: Callable[[Tensor], Tensor], loss: Callable[[Tensor, Tensor], Tensor]):
    return lambda outputs, targets: loss(activation(outputs), targets)


_BCE, _MAE, _HUBER = map(_averaged, (nn.functional.binary_cross_entropy_with_logits, nn.functional.l1_loss,
                                     nn.functional.huber_loss))  # fmt: skip
CLASSES, VALUES = ("classes",), ("values",)
HEADS = {  # name → Head; of "activation+loss"
    "linear+mse": Head(torch.positive, _squared, CLASSES + VALUES),
    "softmax+nll": Head(_softmax, _nll, CLASSES),
    "softmax+mse": Head(_softmax, _after(_softmax, _squared), CLASSES),
    "softmax twice+nll": Head(_softmax, _after(_softmax, _nll), CLASSES),
    "sigmoid+bce": Head(torch.sigmoid, _BCE, CLASSES),
    "linear+rmse": Head(torch.positive, _squared, VALUES, _root),
    "linear+mae": Head(torch.positive, _MAE, VALUES),
    "linear+huber": Head(torch.positive, _HUBER, VALUES),
    "sigmoid+mse": Head(torch.sigmoid, _after(torch.sigmoid, _squared), VALUES),
    "relu+mse": Head(torch.relu, _after(torch.relu, _squared), VALUES),
}


def heads_for(targets: str) -> list[str]:
    """The heads for `"classes"` or `"values"`."""
    return [name for name, head in HEADS.items() if targets in head.fits]


def losses(head: str, outputs: Tensor, targets: Tensor) -> Tensor:
    """The loss of every window alone, (R, B), from outputs and targets (R, B, K); for (R, B, T, K) over all steps."""
    return HEADS[head].whole(_means(head, outputs, targets))


def loss(head: str, outputs: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
    """The loss of a mini-batch, (R,), from outputs and targets (R, B, K), or (R, B, T, K).

    Args:
        weights: Of the windows, (B,), or of every run's answers, (R, B, T). Their sum is 1.
    """
    if weights.dim() == 1:
        return HEADS[head].whole((_means(head, outputs, targets) * weights).sum(1))
    return HEADS[head].whole((HEADS[head].loss(outputs, targets) * weights).sum((1, 2)))


def _means(head: str, outputs: Tensor, targets: Tensor) -> Tensor:
    """Every window's loss (R, B): the mean over its steps."""
    each = HEADS[head].loss(outputs, targets)
    return each.mean(2) if each.dim() == 3 else each


def as_scored(head: str, outputs: np.ndarray, classes: bool) -> np.ndarray:
    """What a task scores, from outputs (…, K): values in scaled units, or logits of classes.

    Linear and sigmoid outputs are read as probabilities, as far as they lie between `LEAST` and 1; their sum need not
    be 1, since a task's score divides by it.
    """
    activation = HEADS[head].activation
    if activation is _softmax:
        return outputs
    answers = activation(torch.from_numpy(outputs)).numpy()
    return np.log(np.clip(answers, LEAST, 1)) if classes else answers
