"""Update rules and gradient clipping with one hyperparameter value per run.

Every function treats the R runs as the rows of (R, P) tensors; values agree with `torch.optim`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:  # shapes are for readers and type checkers
    from jaxtyping import Float

__all__ = ["RULES", "clip_gradient", "clip_weights"]

EPS = 1e-8


def clip_gradient(
    gradient: Float[Tensor, "R P"], limit: Float[Tensor, "R 1"], how: str, tensors: Iterable[slice]
) -> None:
    """Clip each run's gradient in place, by its own norm; a run that explodes does not change the others.

    Args:
        gradient: (R, P).
        limit: Largest norm or value of each run, (R, 1).
        how: `"global"` norm, norm of each `"tensor"`, or each `"value"`; `"weights"` leave the gradient as it is.
        tensors: Columns of each parameter tensor.

    Source: Pascanu, Mikolov and Bengio (2013), algorithm 1, for the global norm.
    """
    if how == "value":
        gradient.clamp_(-limit, limit)
    elif how != "weights":
        for columns in tensors if how == "tensor" else [slice(None)]:
            part = gradient[:, columns]
            part *= (limit / (part.norm(dim=1, keepdim=True) + 1e-6)).clamp(max=1.0)


def clip_weights(weights: Float[Tensor, "R P"], limit: Float[Tensor, "R 1"], how: str) -> None:
    """Clip each run's weights (R, P) in place to ± its limit (R, 1), if `how` is `"weights"`. NaN stays NaN."""
    if how == "weights":
        weights.clamp_(-limit, limit)


class SGD:
    """Gradient descent with heavy-ball momentum."""

    states = ("velocity",)

    def step(self, state: dict[str, Tensor], gradient: Tensor, lr: Tensor, momentum: Tensor, count: int) -> Tensor:
        # torch starts the velocity at the first gradient; starting at zero gives the same
        velocity = state["velocity"].mul_(momentum).add_(gradient)
        return -lr * velocity


class Nesterov:
    """Nesterov's momentum: the step that heavy-ball momentum would make next if the gradient stayed the same.

    Source: Sutskever, Martens, Dahl and Hinton (2013), "On the importance of initialization and momentum in deep
    learning", in the form of `torch.optim.SGD(nesterov=True)`.
    """

    states = ("velocity",)

    def step(self, state: dict[str, Tensor], gradient: Tensor, lr: Tensor, momentum: Tensor, count: int) -> Tensor:
        velocity = state["velocity"].mul_(momentum).add_(gradient)
        return -lr * (gradient + momentum * velocity)


class RMSprop:
    """Gradient over the root of its running mean square (alpha 0.99), with momentum on the result."""

    states = ("square", "velocity")

    def step(self, state: dict[str, Tensor], gradient: Tensor, lr: Tensor, momentum: Tensor, count: int) -> Tensor:
        square = state["square"].mul_(0.99).addcmul_(gradient, gradient, value=0.01)
        velocity = state["velocity"].mul_(momentum).add_(gradient / (square.sqrt() + EPS))
        return -lr * velocity


class Adam:
    """Kingma and Ba (2015), betas 0.9 and 0.999."""

    states = ("mean", "square")

    def step(self, state: dict[str, Tensor], gradient: Tensor, lr: Tensor, momentum: Tensor, count: int) -> Tensor:
        mean = state["mean"].mul_(0.9).add_(gradient, alpha=0.1)
        square = state["square"].mul_(0.999).addcmul_(gradient, gradient, value=0.001)
        root = square.sqrt().div_((1 - 0.999**count) ** 0.5).add_(EPS)
        return (mean / root).mul_(-lr / (1 - 0.9**count))


RULES = {"sgd": SGD(), "rmsprop": RMSprop(), "adam": Adam(), "nesterov": Nesterov()}


def initial_state(rule: str, flat: Tensor) -> dict[str, Tensor]:
    """Zeros for every running average of the rule, each (R, P)."""
    return {name: torch.zeros_like(flat) for name in RULES[rule].states}
