"""`Network`: dense layers, recurrent layers, dense layers and a linear readout for R runs at once.

All weights of a run are one row of `flat` (R, P), so that clipping and optimizers see a run as a
vector; the named parameters are views of it.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from rnntips import kernels
from rnntips.cells import GATES, State, affine, initialiser
from rnntips.tasks import stream

__all__ = ["ALIGNMENT", "Network", "initial_weights", "network_for", "shapes"]

SEGMENT = 2**24  # bytes one run keeps for the gradient of one segment of time
KEPT = 3 * 2**27  # bytes all runs keep together; what is more is computed again
ALIGNMENT = 32  # float32 values that torch handles at once on any CPU; remainders take another code path


def shapes(
    cell: str,
    layers: int,
    width: int,
    channels: int,
    outputs: int,
    dense: Sequence[int] = (),
    dense_after: Sequence[int] = (),
) -> dict[str, tuple[int, ...]]:
    """Name and shape of one run's parameters, in the order they stand in `flat`. Matrices are (in, out)."""
    out: dict[str, tuple[int, ...]] = {}
    gates = GATES[cell] * width
    for j, wide in enumerate(dense):
        out[f"dense_weight_{j}"] = (channels, wide)
        out[f"dense_bias_{j}"] = (wide,)
        channels = wide
    for layer in range(layers):
        out[f"input_weight_{layer}"] = (width if layer else channels, gates)
        out[f"recurrent_weight_{layer}"] = (width, gates)
        out[f"input_bias_{layer}"] = (gates,)
        out[f"recurrent_bias_{layer}"] = (gates,)
    for j, wide in enumerate(dense_after):
        out[f"after_weight_{j}"] = (width, wide)
        out[f"after_bias_{j}"] = (wide,)
        width = wide
    out["readout_weight"] = (width, outputs)
    out["readout_bias"] = (outputs,)
    return out


class Network:
    """R networks of one shape: dense ReLU layers, recurrent layers, dense ReLU layers, a linear readout.

    Long sequences go through the whole network segment by segment. For the gradient the values of as many
    segments as fit in `KEPT` are kept, and the others are computed once more from the states they began with.
    A run's segments do not depend on the other runs, and which of them are kept changes no value.

    Args:
        cell, layers, width, dense, dense_after: As in `Recipe`.
        channels: C of the inputs.
        outputs: K of the predictions.
        flat: Weights, (R, P), as `initial_weights` makes them.
    """

    def __init__(
        self, cell: str, layers: int, width: int, channels: int, outputs: int, flat: Tensor,
        dense: Sequence[int] = (), dense_after: Sequence[int] = (),
    ):  # fmt: skip
        self.cell, self.layers, self.width, self.dense, self.dense_after = cell, layers, width, dense, dense_after
        self.flat = flat
        self.parameters: dict[str, Tensor] = {}
        self.slices: dict[str, slice] = {}
        first = 0
        for name, shape in shapes(cell, layers, width, channels, outputs, dense, dense_after).items():
            where = slice(first, first := first + int(np.prod(shape)))
            self.slices[name] = where
            self.parameters[name] = flat[:, where].view(len(flat), *shape).detach().requires_grad_()
        self.count = first
        # float32 values that the gradient needs of one window and step: gates and states
        self.kept_values = layers * width * (GATES[cell] + 3) + sum(dense) + sum(dense_after)

    def __call__(self, inputs: Tensor, masks: Sequence[Tensor] = (), noise: Sequence[Tensor] = ()) -> Tensor:
        """Predictions (R, B, K) from windows (R, B, T, C); see `states` for the masks and `sequence` for the noise."""
        for _, after in self._segments(inputs, masks, noise=noise):
            last = after[-1][0] if self.cell == "lstm" else after[-1]
        noise = [added[:, :, -1:] for added in noise]
        last = last + noise[len(self.dense) + self.layers - 1][:, :, 0] if noise else last
        last = last * masks[-1][:, :, 0] if masks else last
        last = self._above(last[:, :, None], noise)[:, :, 0]
        return affine(last, self.parameters["readout_weight"], self.parameters["readout_bias"])

    def sequence(
        self, inputs: Tensor, masks: Sequence[Tensor] = (), state: list | None = None, noise: Sequence[Tensor] = ()
    ) -> tuple[Tensor, list[State]]:
        """Predictions at every step (R, B, T, K) and each layer's last state; `state` is what they begin with.

        `noise` (R, B, T, width of the layer), one per layer, dense ones first, is added to what leaves the layer,
        before the mask; its own next step sees none of it.
        """
        parts, weight, bias = [], self.parameters["readout_weight"], self.parameters["readout_bias"]
        for hidden, after in self._segments(inputs, masks, state, noise, above=True):  # noqa: B007
            parts.append(kernels.dense(hidden, weight, bias, relu=False))
        return torch.cat(parts, 2), after

    def states(self, inputs: Tensor, masks: Sequence[Tensor] = ()) -> Tensor:
        """The last layer's states (R, B, T, H); `masks` (R, B, 1, H), one per layer, multiply its states."""
        return torch.cat([hidden for hidden, _ in self._segments(inputs, masks)], 2)

    def _segments(
        self, inputs: Tensor, masks: Sequence[Tensor], state: list | None = None, noise: Sequence[Tensor] = (),
        above: bool = False,
    ):  # fmt: skip
        """The last recurrent layer's states (R, B, t, H) and every one's last state, segment by segment.

        With `above` what the dense layers above it make of the states.
        """
        R, B = inputs.shape[:2]
        steps = max(1, SEGMENT // (4 * B * self.kept_values))
        parts, noises = inputs.split(steps, 2), [added.split(steps, 2) for added in noise]
        keep = KEPT // (4 * R * B * self.kept_values * steps)
        for number, part in enumerate(parts):
            work = part, masks, state, [added[number] for added in noises], above
            if torch.is_grad_enabled() and number < len(parts) - max(1, keep):
                hidden, state = checkpoint(self._segment, *work, use_reentrant=False, preserve_rng_state=False)
            else:
                hidden, state = self._segment(*work)
            yield hidden, state

    def _segment(
        self, hidden: Tensor, masks: Sequence[Tensor], state: list | None, noise: Sequence[Tensor], above: bool
    ) -> tuple[Tensor, list[State]]:
        p, after = self.parameters, []
        for j in range(len(self.dense)):
            hidden = kernels.dense(hidden, p[f"dense_weight_{j}"], p[f"dense_bias_{j}"])
            hidden = hidden + noise[j] if noise else hidden
        for layer in range(self.layers):
            names = (f"{kind}_{layer}" for kind in ("input_weight", "input_bias", "recurrent_weight", "recurrent_bias"))
            hidden, last = kernels.layer(self.cell, hidden, *(p[name] for name in names), state and state[layer])
            hidden = hidden + noise[len(self.dense) + layer] if noise else hidden
            hidden = hidden * masks[layer] if masks else hidden
            after.append(last)
        return self._above(hidden, noise) if above else hidden, after

    def _above(self, hidden: Tensor, noise: Sequence[Tensor]) -> Tensor:
        """What the readout sees of the recurrent layers' outputs (R, B, t, H)."""
        p, first = self.parameters, len(self.dense) + self.layers
        for j in range(len(self.dense_after)):
            hidden = kernels.dense(hidden, p[f"after_weight_{j}"], p[f"after_bias_{j}"])
            hidden = hidden + noise[first + j] if noise else hidden
        return hidden

    def gradient(self, loss: Tensor) -> Tensor:
        """Gradient of a summed loss with respect to `flat`, (R, P)."""
        parts = torch.autograd.grad(loss, list(self.parameters.values()))
        gradient = torch.zeros_like(self.flat)
        torch.cat([part.flatten(1) for part in parts], 1, out=gradient[:, : self.count])
        return gradient


def network_for(recipe, example, flat: Tensor) -> Network:
    """The network that a recipe makes for examples such as this one, with these weights (R, P)."""
    sizes = recipe.layers, recipe.width, example.channels, example.outputs
    return Network(recipe.cell, *sizes, flat, recipe.dense, recipe.dense_after)


def initial_weights(recipes: Sequence, setting: str, seeds: Sequence[int], channels: int, outputs: int) -> np.ndarray:
    """Starting weights, (R, P) float32: `init` for matrices, PyTorch's ±1/√H for biases and the readout.

    What comes after dense layers starts in ±1/√(their width), as in PyTorch too.

    Each parameter has a stream of its own, so that a wider or deeper network leaves the others' draws alone.
    """
    rows = []
    for recipe, seed in zip(recipes, seeds, strict=True):
        draw, usual = initialiser(recipe.init), initialiser("uniform")
        row, fan = [], recipe.width
        named = shapes(recipe.cell, recipe.layers, recipe.width, channels, outputs, recipe.dense, recipe.dense_after)
        for name, shape in named.items():
            recurrent_matrix = name.startswith(("input_weight", "recurrent_weight"))
            rule = draw if recurrent_matrix else usual
            fan = shape[0] if name.startswith(("after_weight", "readout_weight")) else fan
            row.append(rule(shape, fan, stream(f"init {name}", setting, seed)).ravel())
        rows.append(np.concatenate(row))
    weights = np.array(rows, dtype=np.float32)
    # filled up to whole vector registers, so that a run's bits do not depend on its place in the stack
    return np.pad(weights, [(0, 0), (0, -weights.shape[1] % ALIGNMENT)])
