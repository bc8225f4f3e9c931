"""`Network`: recurrent layers and a linear readout for R runs at once.

All weights of a run are one row of `flat` (R, P), so that clipping and optimizers see a run as a
vector; the named parameters are views of it.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from rnntips import kernels
from rnntips.cells import GATES, affine, initialiser
from rnntips.tasks import stream

__all__ = ["ALIGNMENT", "Network", "initial_weights", "shapes"]

ALIGNMENT = 32  # float32 values that torch handles at once on any CPU; remainders take another code path


def shapes(cell: str, layers: int, width: int, channels: int, outputs: int) -> dict[str, tuple[int, ...]]:
    """Name and shape of one run's parameters, in the order they stand in `flat`. Matrices are (in, out)."""
    out: dict[str, tuple[int, ...]] = {}
    gates = GATES[cell] * width
    for layer in range(layers):
        out[f"input_weight_{layer}"] = (width if layer else channels, gates)
        out[f"recurrent_weight_{layer}"] = (width, gates)
        out[f"input_bias_{layer}"] = (gates,)
        out[f"recurrent_bias_{layer}"] = (gates,)
    out["readout_weight"] = (width, outputs)
    out["readout_bias"] = (outputs,)
    return out


class Network:
    """R networks of one shape.

    Args:
        cell, layers, width: As in `Recipe`.
        channels: C of the inputs.
        outputs: K of the predictions.
        flat: Weights, (R, P), as `initial_weights` makes them.
    """

    def __init__(self, cell: str, layers: int, width: int, channels: int, outputs: int, flat: Tensor):
        self.cell, self.layers, self.width = cell, layers, width
        self.flat = flat
        self.parameters: dict[str, Tensor] = {}
        self.slices: dict[str, slice] = {}
        first = 0
        for name, shape in shapes(cell, layers, width, channels, outputs).items():
            where = slice(first, first := first + int(np.prod(shape)))
            self.slices[name] = where
            self.parameters[name] = flat[:, where].view(len(flat), *shape).detach().requires_grad_()
        self.count = first

    def __call__(self, inputs: Tensor, masks: Sequence[Tensor] = ()) -> Tensor:
        """Predictions (R, B, K) from windows (R, B, T, C); see `states` for the masks."""
        last = self._layers(inputs, masks)[1]
        return affine(last, self.parameters["readout_weight"], self.parameters["readout_bias"])

    def states(self, inputs: Tensor, masks: Sequence[Tensor] = ()) -> Tensor:
        """The last layer's states (R, B, T, H); `masks` (R, B, 1, H), one per layer, multiply its states."""
        return self._layers(inputs, masks)[0]

    def _layers(self, inputs: Tensor, masks: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """The last layer's states and the last of them, (R, B, H)."""
        p, hidden = self.parameters, inputs
        for layer in range(self.layers):
            names = (f"{kind}_{layer}" for kind in ("input_weight", "input_bias", "recurrent_weight", "recurrent_bias"))
            hidden, state = kernels.layer(self.cell, hidden, *(p[name] for name in names))
            last = state[0] if self.cell == "lstm" else state
            if masks:
                hidden, last = hidden * masks[layer], last * masks[layer][:, :, 0]
        return hidden, last

    def gradient(self, loss: Tensor) -> Tensor:
        """Gradient of a summed loss with respect to `flat`, (R, P)."""
        parts = torch.autograd.grad(loss, list(self.parameters.values()))
        gradient = torch.zeros_like(self.flat)
        torch.cat([part.flatten(1) for part in parts], 1, out=gradient[:, : self.count])
        return gradient


def initial_weights(recipes: Sequence, setting: str, seeds: Sequence[int], channels: int, outputs: int) -> np.ndarray:
    """Starting weights, (R, P) float32: `init` for matrices, PyTorch's ±1/√H for biases and the readout.

    Each parameter has a stream of its own, so that a wider or deeper network leaves the others' draws alone.
    """
    rows = []
    for recipe, seed in zip(recipes, seeds, strict=True):
        draw, usual = initialiser(recipe.init), initialiser("uniform")
        row = []
        for name, shape in shapes(recipe.cell, recipe.layers, recipe.width, channels, outputs).items():
            recurrent_matrix = name.startswith(("input_weight", "recurrent_weight"))
            rule = draw if recurrent_matrix else usual
            row.append(rule(shape, recipe.width, stream(f"init {name}", setting, seed)).ravel())
        rows.append(np.concatenate(row))
    weights = np.array(rows, dtype=np.float32)
    # filled up to whole vector registers, so that a run's bits do not depend on its place in the stack
    return np.pad(weights, [(0, 0), (0, -weights.shape[1] % ALIGNMENT)])
