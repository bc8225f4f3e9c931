"""How far the gradient of a loss reaches, in time and through the layers, and how an answer depends on each step."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from rnntips.engine.losses import HEADS, losses
from rnntips.engine.settings import own_settings
from rnntips.errors import BadArgument, need_whole, unknown_name
from rnntips.loader import Rebuilt, rebuilt
from rnntips.models import Network
from rnntips.recipe import Recipe
from rnntips.runs import Runs
from rnntips.tasks import one_task
from rnntips.windows import Examples

__all__ = ["answer_by_lag", "gradient_by_lag", "gradient_by_layer"]

PLACES = ("inputs", "states")
LAYERS = {
    "dense": "dense",
    "input": "recurrent",
    "recurrent": "recurrent",
    "after": "dense after",
    "readout": "readout",
}


@own_settings()
def gradient_by_lag(
    runs: Runs, on, lags: Sequence[int], *, of: str = "states", windows: int = 64, weights: np.ndarray | None = None
) -> np.ndarray:
    """Norm of the gradient of the last step's loss, lag by lag, cut off as in the runs' own training.

    Gradients go through validation windows: with `chunk` they go back `chunk` steps, and the state before these is
    zero, or with `carry` that of all earlier steps; without `chunk` they go back to the beginning of the window.

    Args:
        runs: Trained networks, all with answers after a window's last step.
        on: The Task or Series they were trained on.
        lags: Steps before the last one, 0 for the last itself.
        of: `"states"`: with respect to the states of all layers (h, and c of the LSTM) as the next step reads them, or
            for lag 0 as the readout does; `"inputs"`: with respect to the step's inputs.
        windows: At most so many validation windows.
        weights: Weights in place of the trained ones, (R, P); `first_weights` for example.

    Returns:
        Norms averaged over windows, (R, lags), in loss units per unit of state or input. Zero from lag `chunk` on.

    Raises:
        BadArgument: A lag outside the window, an unknown `of`, several settings.

    Source: Bengio, Simard and Frasconi (1994), "Learning long-term dependencies with gradient descent is difficult";
    Pascanu, Mikolov and Bengio (2013), "On the difficulty of training recurrent neural networks".
    """
    if of not in PLACES:
        raise unknown_name("place", of, PLACES)
    network, examples, chosen, inputs = _shown(runs, on, windows, weights)
    recipe, first = runs.recipes[0], examples[0]
    lags = _checked(lags, first.steps)
    targets = np.stack([_last(example, some) for example, some in zip(examples, chosen, strict=True)])
    norms = _norms(network, recipe, inputs, torch.tensor(targets), first.head, of)
    return np.pad(norms, [(0, 0), (0, first.steps - norms.shape[1])])[:, lags]


@own_settings()
def answer_by_lag(
    runs: Runs, on, lags: Sequence[int], *, windows: int = 64, weights: np.ndarray | None = None
) -> np.ndarray:
    """How much the last answer changes if the input so many steps before is replaced.

    Validation windows are read whole, as in an evaluation: once unchanged, and once for each lag with that step's
    inputs taken from the next window. It does not matter how the networks were trained.

    Args:
        runs, on, lags, windows, weights: As for `gradient_by_lag`; at least two windows.

    Returns:
        Root mean square of the change over windows and outputs, (R, lags): of values, in scaled units, or of classes'
        probabilities where the readout gives classes.

    Raises:
        BadArgument: A lag outside the window, fewer than two windows, several settings.
    """
    need_whole("windows", windows, 2)
    network, examples, _, inputs = _shown(runs, on, windows, weights)
    lags, changes = _checked(lags, examples[0].steps), []

    def answers(inputs: Tensor) -> Tensor:
        return HEADS[examples[0].head].activation(network(inputs))

    with torch.no_grad():
        usual = answers(inputs)
        for lag in lags:
            other, step = inputs.clone(), inputs.shape[2] - 1 - lag
            other[:, :, step] = inputs[:, :, step].roll(1, 1)
            changes.append((answers(other) - usual).square().mean((1, 2)).sqrt())
    return torch.stack(changes, 1).numpy()


@own_settings()
def gradient_by_layer(runs: Runs, on, *, windows: int = 64, weights: np.ndarray | None = None) -> dict[str, np.ndarray]:
    """The norm of each layer's loss gradient divided by the norm of the layer's weights, biases included.

    It is computed for each whole validation window alone, with all its answers, and then averaged over windows.

    Args:
        runs, on, windows, weights: As for `gradient_by_lag`.

    Returns:
        Layer → (R,), from the inputs up: `"dense 0"`, `"recurrent 0"`, `"dense after 0"`, …, `"readout"`.
    """
    network, examples, chosen, inputs = _shown(runs, on, windows, weights)
    parts: dict[str, list[str]] = {}
    for name in network.parameters:
        kind, _, number = name.rpartition("_") if name[-1].isdigit() else (name, "", "")
        parts.setdefault(f"{LAYERS[kind.partition('_')[0]]} {number}".strip(), []).append(name)
    sums = {layer: np.zeros(len(runs)) for layer in parts}
    targets = torch.tensor(np.stack([_all(example, some) for example, some in zip(examples, chosen, strict=True)]))
    count = inputs.shape[1]
    for i in range(count):
        every, skip = examples[0].loss_at == "every", examples[0].skip
        one = inputs[:, i : i + 1]
        outputs = network.sequence(one)[0][:, :, skip:] if every else network(one)
        loss = losses(examples[0].head, outputs, targets[:, i : i + 1]).sum()
        found = torch.autograd.grad(loss, list(network.parameters.values()))
        gradient = dict(zip(network.parameters, found, strict=True))
        for layer, names in parts.items():
            sums[layer] += _norm([gradient[name] for name in names])
    sizes = {layer: _norm([network.parameters[name].detach() for name in names]) for layer, names in parts.items()}
    return {layer: total / count / sizes[layer] for layer, total in sums.items()}


def _shown(runs: Runs, on, windows: int, weights: np.ndarray | None) -> Rebuilt:
    """The runs' networks with these weights or with those at the end of training, and some validation windows."""
    need_whole("windows", windows, 1)
    task, weights = one_task(on, "Gradients are looked at in"), runs.weights if weights is None else weights
    found = rebuilt(runs.recipes, runs.seeds, task, lambda example: example.of(1, windows), weights)
    if found.examples[0].counted is not None:
        raise BadArgument(f"{task.name} has sequences of unequal length. Gradients are looked at in whole windows.")
    return found


def _norm(tensors: Sequence[Tensor]) -> np.ndarray:
    """The norm of several tensors (R, …) taken together, (R,)."""
    return torch.cat([tensor.flatten(1) for tensor in tensors], 1).norm(dim=1).numpy()


def _all(example: Examples, chosen: np.ndarray) -> np.ndarray:
    """Targets of all answers that count, (n, K), or (n, T', K)."""
    if example.loss_at == "last":
        return example.targets[chosen]
    found = example.targets[example.starts[chosen][:, None] + np.arange(example.skip, example.steps)]
    return np.eye(example.symbols, dtype=np.float32)[found[..., 0]] if example.symbols else found


def _norms(network: Network, recipe: Recipe, inputs: Tensor, targets: Tensor, head: str, of: str) -> np.ndarray:
    """Norms (R, steps that the gradient reaches), lag 0 first."""
    before, state = max(0, inputs.shape[2] - (recipe.chunk or inputs.shape[2])), None
    if before and recipe.carry:
        with torch.no_grad():
            state = network.sequence(inputs[:, :, :before])[1]
    steps, held = [step.requires_grad_() for step in inputs[:, :, before:].split(1, 2)], []
    for step in steps:  # one by one, since a gradient is needed with respect to each state between
        outputs, after = network.sequence(step, state=state)
        state = [_handed_on(layer) for layer in after]
        held.append([part for layer in state for part in (layer if isinstance(layer, tuple) else (layer,))])
    loss = losses(head, outputs[:, :, 0], targets).sum()
    if of == "inputs":
        found = [[gradient] for gradient in torch.autograd.grad(loss, steps)]
    else:  # only the readout reads the last states
        asked, parts = [part for parts in held[:-1] for part in parts], len(held[0])
        last, *earlier = torch.autograd.grad(loss, [outputs, *asked])
        found = [earlier[i : i + parts] for i in range(0, len(earlier), parts)]
        found.append([last.flatten(2) @ network.parameters["readout_weight"].detach().transpose(1, 2)])
    squares = [sum(gradient.flatten(2).square().sum(2) for gradient in parts) for parts in found]  # (R, B) each
    return torch.stack([square.sqrt().mean(1) for square in reversed(squares)], 1).numpy()


def _handed_on(state):
    """A copy of a layer's state for the next step alone: the layer above may have read the same tensor."""
    return tuple(part.clone() for part in state) if isinstance(state, tuple) else state.clone()


def _last(example: Examples, chosen: np.ndarray) -> np.ndarray:
    """Targets of windows' last steps, (n, K)."""
    if example.loss_at == "last":
        return example.targets[chosen]
    found = example.targets[example.starts[chosen] + example.steps - 1]
    return np.eye(example.symbols, dtype=np.float32)[found[:, 0]] if example.symbols else found


def _checked(lags: Sequence[int], steps: int) -> list[int]:
    """Lags as a list; at least one, each of a window's steps."""
    try:
        lags = list(lags)
    except TypeError:
        raise BadArgument(f"lags={lags!r}: several are needed, for example lags=range({steps}).") from None
    for lag in lags:
        need_whole("lag", lag, 0)
        if lag >= steps:
            raise BadArgument(f"lag={lag}: windows have {steps} steps, so the largest lag is {steps - 1}.")
    if not lags:
        raise BadArgument(f"lags is empty; give at least one, for example lags=range({steps}).")
    return lags
