"""How far back the gradient of a loss reaches: what a network at step t learns about step t − lag."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from rnntips.errors import BadArgument, need_whole, unknown_name
from rnntips.models import Network
from rnntips.recipe import Recipe
from rnntips.runs import Runs
from rnntips.tasks import as_settings
from rnntips.update import losses
from rnntips.windows import Examples

__all__ = ["gradient_by_lag"]

PLACES = ("inputs", "states")


def gradient_by_lag(
    runs: Runs, on, lags: Sequence[int], *, of: str = "states", windows: int = 64, weights: np.ndarray | None = None
) -> np.ndarray:
    """Norm of the last step's loss gradient, lag by lag, as the runs' own training sees it.

    Validation windows are read as the last chunk of a sequence is: the gradient goes back `chunk` steps, and with
    `carry` the values before them come from all the steps before. Without `chunk` it goes back to the beginning.

    Args:
        runs: Trained networks, all with answers after a window's last step.
        on: The Task or Series they were trained on.
        lags: Steps before the last one, 0 for the last itself.
        of: `"states"`: with respect to what all layers hand on to the next step (h, and c of the LSTM), or, after
            the last step, to the readout; `"inputs"`: with respect to the step's inputs.
        windows: At most so many validation windows.
        weights: Others than those at the end of training, (R, P); `initial_weights` for example.

    Returns:
        Norms averaged over windows, (R, lags), in loss units per unit of state or input. Zero from lag `chunk` on.

    Raises:
        BadArgument: A lag outside the window, an unknown place, several settings.

    Source: Bengio, Simard and Frasconi (1994), "Learning long-term dependencies with gradient descent is difficult";
    Pascanu, Mikolov and Bengio (2013), "On the difficulty of training recurrent neural networks".
    """
    if of not in PLACES:
        raise unknown_name("place", of, PLACES)
    need_whole("windows", windows, 1)
    settings, recipe = as_settings(on), runs.recipes[0]
    if len(settings) > 1:
        raise BadArgument(f"gradient_by_lag looks at one setting, and {len(settings)} came ({', '.join(settings)}).")
    (task,) = settings.values()
    pairs = zip(runs.recipes, runs.seeds.tolist(), strict=True)
    examples = [task.examples(recipe, seed) for recipe, seed in pairs]
    first = examples[0]
    lags = _checked(lags, first.steps)
    flat = torch.tensor(runs.weights if weights is None else weights)
    network = Network(recipe.cell, recipe.layers, recipe.width, first.channels, first.outputs, flat, recipe.dense)
    chosen = [example.of(1, windows) for example in examples]
    inputs = torch.tensor(np.stack([example.inputs(some) for example, some in zip(examples, chosen, strict=True)]))
    targets = np.stack([_last(example, some) for example, some in zip(examples, chosen, strict=True)])
    norms = _norms(network, recipe, inputs, torch.tensor(targets), first.head, of)
    return np.pad(norms, [(0, 0), (0, first.steps - norms.shape[1])])[:, lags]


def _norms(network: Network, recipe: Recipe, inputs: Tensor, targets: Tensor, head: str, of: str) -> np.ndarray:
    """Norms (R, steps that the gradient reaches), lag 0 first."""
    before, state = max(0, inputs.shape[2] - (recipe.chunk or inputs.shape[2])), None
    if before and recipe.carry:
        with torch.no_grad():
            state = network.sequence(inputs[:, :, :before])[1]
    steps, held = [step.requires_grad_() for step in inputs[:, :, before:].split(1, 2)], []
    for step in steps:  # one by one, so that the states between are there to be asked
        outputs, after = network.sequence(step, state=state)
        state = [_handed_on(layer) for layer in after]
        held.append([part for layer in state for part in (layer if isinstance(layer, tuple) else (layer,))])
    loss = losses(head, outputs[:, :, 0], targets).sum()
    if of == "inputs":
        found = [[gradient] for gradient in torch.autograd.grad(loss, steps)]
    else:  # the last states go nowhere but into the readout
        asked, parts = [part for parts in held[:-1] for part in parts], len(held[0])
        last, *earlier = torch.autograd.grad(loss, [outputs, *asked])
        found = [earlier[i : i + parts] for i in range(0, len(earlier), parts)]
        found.append([last.flatten(2) @ network.parameters["readout_weight"].detach().transpose(1, 2)])
    squares = [sum(gradient.flatten(2).square().sum(2) for gradient in parts) for parts in found]  # (R, B) each
    return torch.stack([square.sqrt().mean(1) for square in reversed(squares)], 1).numpy()


def _handed_on(state):
    """A layer's state as only the next step sees it: the layer above may have been given the same tensor."""
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
