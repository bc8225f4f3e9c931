"""One recurrent step for R runs at once, its loop over time, and the initialisers.

The readable reference: plain torch operations, any dtype, differentiable twice. Gates are in
PyTorch's order (GRU r z n; LSTM i f g o), so weights can be copied from and to `torch.nn`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from rnntips.errors import BadArgument, spelled, unknown_name

if TYPE_CHECKING:  # shapes are for readers and type checkers
    from jaxtyping import Bool, Float

__all__ = ["CELLS", "GATES", "affine", "initialiser", "kept_bias", "scan", "zero_state"]

State = Tensor | tuple[Tensor, Tensor]  # h (R, B, H), or (h, c) of the LSTM


def _plain(activation: Callable[[Tensor], Tensor]):
    def step(inputs: Tensor, h: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        return activation(inputs + affine(h, weight, bias))

    return step


def _gru(inputs: Tensor, h: Tensor, weight: Tensor, bias: Tensor, carried: Tensor | None = None) -> Tensor:
    recurrent = affine(h, weight, bias)
    both = 2 * h.shape[-1]
    reset, update = torch.sigmoid(inputs[..., :both] + recurrent[..., :both]).chunk(2, -1)
    new = torch.tanh(torch.addcmul(inputs[..., both:], reset, recurrent[..., both:]))
    return torch.lerp(new, h if carried is None else carried, update)


def _lstm(inputs: Tensor, state: State, weight: Tensor, bias: Tensor) -> State:
    h, c = state
    i, f, g, o = (inputs + affine(h, weight, bias)).chunk(4, -1)
    c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
    return torch.sigmoid(o) * torch.tanh(c), c


CELLS = {"tanh": _plain(torch.tanh), "relu": _plain(torch.relu), "sigmoid": _plain(torch.sigmoid),
         "gru": _gru, "lstm": _lstm}  # fmt: skip
GATES = {"tanh": 1, "relu": 1, "sigmoid": 1, "gru": 3, "lstm": 4}


def zero_state(cell: str, inputs: Tensor, width: int) -> State:
    """State before the first step for inputs (R, B, T, G·H): h, or (h, c) for the LSTM."""
    h = inputs.new_zeros(inputs.shape[0], inputs.shape[1], width)
    return (h, h) if cell == "lstm" else h


def scan(
    cell: str, inputs: Float[Tensor, "R B T GH"], weight: Float[Tensor, "R H GH"],
    bias: Float[Tensor, "R GH"] | None = None, state: State | None = None, *,
    mask: Float[Tensor, "R B *T H"] | None = None, reset: Bool[Tensor, "B T"] | None = None,
    mask_carried: bool = True,
) -> tuple[Float[Tensor, "R B T H"], State]:  # fmt: skip
    """The recurrence over all time steps.

    Args:
        cell: A name in `CELLS`.
        inputs: Input contributions to the gates, (R, B, T, G·H).
        weight: Recurrent weights, (R, H, G·H).
        bias: Recurrent bias, (R, G·H); zero if None.
        state: State before the first step: h (R, B, H), or (h, c) for the LSTM; zero if None.
        mask: Multiplies h[t−1] wherever step t uses it, (R, B, H) or (R, B, T, H).
        reset: Where true, the state is zero before that step, (B, T).
        mask_carried: Whether the mask multiplies also the h[t−1] of which a GRU's update gate carries a part over.

    Returns:
        h at every step, (R, B, T, H), and the state after the last.

    Raises:
        BadArgument: Unknown cell, or shapes that do not fit together.
    """
    check(cell, inputs, weight, bias, state, mask, reset)
    R, H, gates = weight.shape
    bias = inputs.new_zeros(R, gates) if bias is None else bias
    state = zero_state(cell, inputs, H) if state is None else state
    masks = mask.unbind(2) if mask is not None and mask.dim() == 4 else [mask] * inputs.shape[2]
    resets = [None] * inputs.shape[2] if reset is None else reset[..., None].unbind(1)
    step, states = CELLS[cell], []
    for now, mask_now, reset_now in zip(inputs.unbind(2), masks, resets, strict=True):
        carried = () if mask_carried or cell != "gru" else (_seen(state, None, reset_now),)
        state = step(now, _seen(state, mask_now, reset_now), weight, bias, *carried)
        states.append(state[0] if cell == "lstm" else state)
    return torch.stack(states, 2), state


def _seen(state: State, mask: Tensor | None, reset: Tensor | None) -> State:
    """The state that a step reads: h times its mask, and zeros where `reset` is true."""
    h, *c = state if isinstance(state, tuple) else (state,)
    h = h if mask is None else h * mask
    parts = [h, *c] if reset is None else [part.masked_fill(reset, 0.0) for part in (h, *c)]
    return tuple(parts) if c else parts[0]


def check(
    cell: str, inputs: Tensor, weight: Tensor, bias: Tensor | None, state: State | None,
    mask: Tensor | None, reset: Tensor | None,
) -> None:  # fmt: skip
    """Raise `BadArgument` unless the arguments of `scan` fit together."""
    if cell not in CELLS:
        raise unknown_name("cell", cell, CELLS)
    R, H, gates = weight.shape
    if gates != GATES[cell] * H or inputs.shape[0] != R or inputs.shape[-1] != gates:
        raise BadArgument(
            f"{cell}: inputs {tuple(inputs.shape)} and weight {tuple(weight.shape)} do not fit; needed "
            f"(R, B, T, {GATES[cell]}·H) and (R, H, {GATES[cell]}·H)."
        )
    B, T = inputs.shape[1:3]
    if state is not None and isinstance(state, tuple) != (cell == "lstm"):
        raise BadArgument(f"{cell}: the state is {'(h, c)' if cell == 'lstm' else 'h alone'}.")
    h, c = state if isinstance(state, tuple) else (state, None)
    known = {"bias": (bias, [(R, gates)]), "state h": (h, [(R, B, H)]), "state c": (c, [(R, B, H)]),
             "mask": (mask, [(R, B, H), (R, B, T, H)]), "reset": (reset, [(B, T)])}  # fmt: skip
    for name, (value, fitting) in known.items():
        if value is not None and tuple(value.shape) not in fitting:
            raise BadArgument(f"{name} has shape {tuple(value.shape)}; needed {' or '.join(map(str, fitting))}.")


def contributions(
    x: Float[Tensor, "R B T C"], weight: Float[Tensor, "R C GH"], bias: Float[Tensor, "R GH"]
) -> Float[Tensor, "R B T GH"]:
    """Input contributions (R, B, T, G·H) of x (R, B, T, C) through a weight (R, C, G·H) and bias (R, G·H)."""
    R, B, T, C = x.shape
    # time-major in memory: every step of the scan then reads one contiguous block per run
    flat = x.transpose(1, 2).reshape(R, T * B, C)
    return affine(flat, weight, bias).view(R, T, B, -1).transpose(1, 2)


def affine(
    x: Float[Tensor, "R n C"], weight: Float[Tensor, "R C K"], bias: Float[Tensor, "R K"]
) -> Float[Tensor, "R n K"]:
    """x (R, n, C) times weight (R, C, K) plus bias (R, K); a run's bits do not depend on the other runs."""
    if len(x) == 1:  # torch computes a batch of one product in another way, with other bits
        return torch.baddbmm(bias.expand(2, -1)[:, None], x.expand(2, -1, -1), weight.expand(2, -1, -1))[:1]
    return torch.baddbmm(bias[:, None], x, weight)


Rule = Callable[[tuple[int, ...], int, np.random.Generator], np.ndarray]  # (shape, H, rng) → initial values


def initialiser(init: str, part: str = "inputs", steps: Callable[[], np.ndarray] | None = None) -> Rule:
    """A function (shape, H, rng) → one run's initial values of a weight, whose columns are its outputs.

    `"uniform"` draws from ±1/√H as PyTorch's recurrent layers do; `"glorot"` from ±√(6/(in+out));
    `"orthogonal"` makes square blocks orthogonal (Saxe et al. 2014); `"normal:0.1"` has that standard deviation;
    `"radius:1.3"` draws like `"uniform"` and scales every square block of weights (H, H), such as a gate's recurrent
    weights, to that spectral radius: the growth of a state per step in the long run, if there were no activation.
    These change a recurrent layer's matrices alone; all else is uniform.

    `"identity"`: recurrent blocks are that, input weights have standard deviation 0.001, and a recurrent layer's biases
    are 0 (Le, Jaitly and Hinton 2015). `"constant:0.05"`: every weight of the network and every bias is that.
    `"pca"` and `"kmeans"`: a unit's input weights in the first recurrent layer are a principal component of the inputs
    of all steps, with a random sign, or the centre of a cluster, of the length that uniform weights have on average;
    units beyond the last component are uniform.

    Args:
        part: What the weight is: a recurrent layer's `"inputs"`, `"recurrent"` or `"bias"`, or `"other"`.
        steps: Makes the inputs of a run, (n, C), for the first recurrent layer.

    Raises:
        BadArgument: Unknown name, or a number that cannot be read.
    """
    (kind, numbers), *more = spelled(init)
    if kind in _NUMBERED:
        called, make = _NUMBERED[kind]
        if more or len(numbers) != 1 or not 0 <= numbers[0] < math.inf:
            raise BadArgument(f'init={init!r}: write a {called} of at least 0, as in "{kind}:0.1".')
        return partial(make, numbers[0]) if part in ("inputs", "recurrent") or kind == "constant" else _uniform
    if init not in _INITIALISERS:
        raise unknown_name("init", init, [*_INITIALISERS, "normal:0.1", "radius:1.3", "constant:0.05"])
    rule = _INITIALISERS[init].get(part, _uniform)
    if rule in (_components, _centres):
        return partial(rule, steps()) if steps else _uniform
    return rule


def kept_bias(given: float | str) -> Callable[[int, np.random.Generator], np.ndarray]:
    """A function (H, rng) → initial bias of the gate that keeps a state: a number, or log U(1, T − 1) of `"chrono:T"`.

    A step then forgets about one part in U, so that the H units remember between 1 and T steps.

    Source: Tallec and Ollivier (2018), "Can recurrent neural networks warp time?".

    Raises:
        BadArgument: A text that is not `"chrono:T"` with T above 2.
    """
    if not isinstance(given, str):
        return lambda width, rng: np.full(width, given)
    (kind, numbers), *more = spelled(given)
    if more or kind != "chrono" or len(numbers) != 1 or not 2 < numbers[0] < math.inf:
        raise BadArgument(f'forget_bias={given!r}: write a number, or "chrono:50" with a time span above 2.')
    return lambda width, rng: np.log(rng.uniform(1, numbers[0] - 1, width))


def _normal(deviation: float, shape: tuple[int, ...], width: int, rng: np.random.Generator) -> np.ndarray:
    return rng.normal(0, deviation, shape)


def _radius(radius: float, shape: tuple[int, ...], width: int, rng: np.random.Generator) -> np.ndarray:
    drawn = _uniform(shape, width, rng)
    for block in np.split(drawn, range(width, shape[1], width), axis=1) if shape[0] == width else []:
        block *= radius / np.abs(np.linalg.eigvals(block)).max()
    return drawn


def _uniform(shape: tuple[int, ...], width: int, rng: np.random.Generator) -> np.ndarray:
    return rng.uniform(-1, 1, shape) / math.sqrt(width)


def _glorot(shape: tuple[int, ...], width: int, rng: np.random.Generator) -> np.ndarray:
    fan_in, fan_out = shape[0], min(shape[1], width)  # of one gate
    return rng.uniform(-1, 1, shape) * math.sqrt(6 / (fan_in + fan_out))


def _orthogonal(shape: tuple[int, ...], width: int, rng: np.random.Generator) -> np.ndarray:
    rows, columns = shape
    blocks = []
    for first in range(0, columns, width):
        size = min(width, columns - first)
        q, r = np.linalg.qr(rng.normal(size=(max(rows, size), min(rows, size))))
        q *= np.sign(np.diag(r))
        blocks.append(q if q.shape == (rows, size) else q.T)
    return np.concatenate(blocks, 1)


def _identity(shape: tuple[int, ...], width: int, rng: np.random.Generator) -> np.ndarray:
    return np.tile(np.eye(width), shape[1] // width)


def _constant(value: float, shape: tuple[int, ...], width: int, rng: np.random.Generator) -> np.ndarray:
    return np.full(shape, value)


def _components(steps: np.ndarray, shape: tuple[int, ...], width: int, rng: np.random.Generator) -> np.ndarray:
    found = np.linalg.svd(steps - steps.mean(0), full_matrices=False)[2][:width].T  # (C, components)
    found = found * np.sign(found[np.abs(found).argmax(0), range(found.shape[1])])  # the library's signs are any
    drawn = _uniform(shape, width, rng)
    for first in range(0, shape[1], width):
        drawn[:, first : first + found.shape[1]] = _as_long(found, width) * rng.choice([-1, 1], found.shape[1])
    return drawn


def _centres(steps: np.ndarray, shape: tuple[int, ...], width: int, rng: np.random.Generator) -> np.ndarray:
    """Lloyd's algorithm, for every gate from other steps; a centre that loses all its steps stays where it is."""
    blocks = []
    for _ in range(0, shape[1], width):
        centres = steps[rng.choice(len(steps), width, replace=len(steps) < width)]
        for _ in range(20):
            nearest = ((centres**2).sum(1) - 2 * steps @ centres.T).argmin(1)
            member = np.eye(width)[nearest]
            counts = member.sum(0)[:, None]
            centres = np.where(counts > 0, member.T @ steps / np.maximum(counts, 1), centres)
        blocks.append(_as_long(centres.T, width))
    return np.concatenate(blocks, 1)


def _as_long(columns: np.ndarray, width: int) -> np.ndarray:
    """Columns (C, n) scaled to the root of the mean square length of columns of `_uniform`."""
    lengths = np.linalg.norm(columns, axis=0)
    return columns * math.sqrt(len(columns) / (3 * width)) / np.where(lengths > 0, lengths, 1)


def _both(rule: Rule) -> dict[str, Rule]:
    return {"inputs": rule, "recurrent": rule}


_INITIALISERS = {  # name → rule of each part; uniform where there is none
    "uniform": {}, "glorot": _both(_glorot), "orthogonal": _both(_orthogonal),
    "identity": {"inputs": partial(_normal, 0.001), "recurrent": _identity, "bias": partial(_constant, 0.0)},
    "pca": {"inputs": _components}, "kmeans": {"inputs": _centres},
}  # fmt: skip
_NUMBERED = {"normal": ("standard deviation", _normal), "radius": ("spectral radius", _radius),
             "constant": ("value", _constant)}  # fmt: skip
