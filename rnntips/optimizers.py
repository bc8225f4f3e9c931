"""Update rules and gradient clipping with one hyperparameter value per run.

Every function treats the R runs as the rows of (R, P) tensors; values agree with `torch.optim`. Rules work on float32
and take their βs in float64, as `torch.optim` does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

if TYPE_CHECKING:  # shapes are for readers and type checkers
    from jaxtyping import Float

__all__ = ["RULES", "Numbers", "Rule", "clip_gradient", "clip_weights", "numbers_of", "step"]


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


class Numbers(NamedTuple):
    """What R runs set of a rule, each (R, 1)."""

    lr: Tensor
    momentum: Tensor
    beta1: Tensor  # float64, as the next
    beta2: Tensor
    epsilon: Tensor


def numbers_of(recipes: Sequence, device: torch.device | str = "cpu") -> Numbers:
    """The numbers of these recipes, which have one rule; its defaults where a recipe leaves one open."""
    columns, defaults = [], RULES[recipes[0].rule].defaults
    for name in Numbers._fields:
        given = [getattr(recipe, name) for recipe in recipes]
        kind = torch.float64 if name.startswith("beta") else torch.float32
        found = [defaults.get(name, 0.0) if value is None else value for value in given]
        columns.append(torch.tensor(found, dtype=kind, device=device)[:, None])
    return Numbers(*columns)


def step(
    rule: str, state: dict[str, Tensor], weights: Float[Tensor, "R P"], gradient: Float[Tensor, "R P"],
    decay: Float[Tensor, "R Q"], numbers: Numbers, count: int | Tensor,
) -> Float[Tensor, "R P"]:  # fmt: skip
    """What update `count` (from 1) adds to the weights; changes the averages in `state`.

    `decay`, (R, 1) or (R, P), times the weights is added to the gradient (L2); with a decoupled rule, lr times that is
    taken off the weights instead.
    """
    if RULES[rule].decoupled:
        return RULES[rule].step(state, gradient, numbers, count) - numbers.lr * decay * weights
    return RULES[rule].step(state, gradient + decay * weights, numbers, count)


def _sgd(state: dict[str, Tensor], gradient: Tensor, numbers: Numbers, count: int) -> Tensor:
    """Gradient descent with heavy-ball momentum."""
    # torch starts the velocity at the first gradient; starting at zero gives the same
    velocity = state["velocity"].mul_(numbers.momentum).add_(gradient)
    return -numbers.lr * velocity


def _nesterov(state: dict[str, Tensor], gradient: Tensor, numbers: Numbers, count: int) -> Tensor:
    """Nesterov's momentum: the step that heavy-ball momentum would make next if the gradient stayed the same.

    Source: Sutskever, Martens, Dahl and Hinton (2013), "On the importance of initialization and momentum in deep
    learning", in the form of `torch.optim.SGD(nesterov=True)`.
    """
    velocity = state["velocity"].mul_(numbers.momentum).add_(gradient)
    return -numbers.lr * (gradient + numbers.momentum * velocity)


def _rmsprop(state: dict[str, Tensor], gradient: Tensor, numbers: Numbers, count: int) -> Tensor:
    """Gradient over the root of its running mean square, with momentum on the result."""
    square = _mean_square(state["square"], numbers.beta2, gradient)
    velocity = state["velocity"].mul_(numbers.momentum).add_(gradient / (square.sqrt() + numbers.epsilon))
    return -numbers.lr * velocity


def _adam(state: dict[str, Tensor], gradient: Tensor, numbers: Numbers, count: int) -> Tensor:
    """Kingma and Ba (2015), "Adam: a method for stochastic optimization"."""
    mean = state["mean"].mul_(numbers.beta1.float()).addcmul_((1 - numbers.beta1).float(), gradient)
    square = _mean_square(state["square"], numbers.beta2, gradient)
    root = square.sqrt().div_((1 - numbers.beta2**count).sqrt().float()).add_(numbers.epsilon)
    return (mean / root).mul_(-numbers.lr / (1 - numbers.beta1**count).float())


def _adagrad(state: dict[str, Tensor], gradient: Tensor, numbers: Numbers, count: int) -> Tensor:
    """Duchi, Hazan and Singer (2011), "Adaptive subgradient methods for online learning"."""
    square = state["square"].addcmul_(gradient, gradient)
    return -numbers.lr * gradient / (square.sqrt() + numbers.epsilon)


def _adadelta(state: dict[str, Tensor], gradient: Tensor, numbers: Numbers, count: int) -> Tensor:
    """Zeiler (2012), "ADADELTA: an adaptive learning rate method"; its learning rate is 1."""
    square = _mean_square(state["square"], numbers.beta2, gradient)
    change = gradient * ((state["change"] + numbers.epsilon) / (square + numbers.epsilon)).sqrt()
    _mean_square(state["change"], numbers.beta2, change)
    return -numbers.lr * change


def _mean_square(mean: Tensor, beta: Tensor, values: Tensor) -> Tensor:
    """Move a running mean square in place towards the squares of new values, by one minus its β."""
    return mean.mul_(beta.float()).addcmul_((1 - beta).float() * values, values)


class Rule(NamedTuple):
    """How an update follows from the gradients so far."""

    step: Callable[[dict[str, Tensor], Tensor, Numbers, int], Tensor]
    states: tuple[str, ...]  # names of its running averages
    defaults: dict[str, float]  # the numbers that it has beside its learning rate, as PyTorch sets them
    decoupled: bool = False  # whether weight decay stays out of the averages


ADAM = {"beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8}
RULES = {
    "sgd": Rule(_sgd, ("velocity",), {"momentum": 0.0}),
    "rmsprop": Rule(_rmsprop, ("square", "velocity"), {"momentum": 0.0, "beta2": 0.99, "epsilon": 1e-8}),
    "adam": Rule(_adam, ("mean", "square"), ADAM),
    "nesterov": Rule(_nesterov, ("velocity",), {"momentum": 0.0}),
    "adamw": Rule(_adam, ("mean", "square"), ADAM, decoupled=True),
    "adagrad": Rule(_adagrad, ("square",), {"epsilon": 1e-10}),
    "adadelta": Rule(_adadelta, ("square", "change"), {"beta2": 0.9, "epsilon": 1e-6}),
}


def initial_state(rule: str, flat: Tensor) -> dict[str, Tensor]:
    """Zeros for every running average of the rule, each (R, P)."""
    return {name: torch.zeros_like(flat) for name in RULES[rule].states}
