"""`Network`: dense layers, recurrent layers, dense layers and a linear readout for R runs at once.

All weights of a run are one row of `flat` (R, P), so that clipping and optimizers get one vector per run; the named
parameters are views of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from rnntips import engine
from rnntips.cells import GATES, State, affine, initialiser
from rnntips.recipe import shapes
from rnntips.tasks import stream

if TYPE_CHECKING:  # shapes are for readers and type checkers
    from jaxtyping import Float

__all__ = ["ALIGNMENT", "Network", "initial_weights", "network_for"]

SEGMENT = 2**24  # bytes that one run keeps for backpropagation in one segment of time steps
KEPT = 3 * 2**27  # bytes that all runs keep together; the rest is computed again
ALIGNMENT = 32  # float32 values that torch computes together on any CPU; it rounds a remainder differently


class Network:
    """R networks of one shape: dense ReLU layers, recurrent layers, dense ReLU layers, a linear readout.

    Long sequences are computed in segments of time steps. As many segments as fit in `KEPT` keep their values for
    backpropagation; the others are computed again from the states they began with (gradient checkpointing). A run's
    segments do not depend on the other runs, and computing one again changes no value.

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
        # float32 values that backpropagation needs of one window and step: gates and states
        self.kept_values = layers * width * (GATES[cell] + 3) + sum(dense) + sum(dense_after)

    def __call__(
        self, inputs: Float[Tensor, "R B T C"], masks: Sequence[Tensor] = (), noise: Sequence[Tensor] = ()
    ) -> Float[Tensor, "R B K"]:
        """Predictions (R, B, K) from windows (R, B, T, C); see `states` for the masks and `sequence` for the noise."""
        for _, after in self._segments(inputs, masks, noise=noise):
            last = after[-1][0] if self.cell == "lstm" else after[-1]
        noise = [added[:, :, -1:] for added in noise]
        last = last + noise[len(self.dense) + self.layers - 1][:, :, 0] if noise else last
        last = last * masks[-1][:, :, 0] if masks else last
        last = self._above(last[:, :, None], noise)[:, :, 0]
        return affine(last, self.parameters["readout_weight"], self.parameters["readout_bias"])

    def sequence(
        self, inputs: Float[Tensor, "R B T C"], masks: Sequence[Tensor] = (), state: list[State] | None = None,
        noise: Sequence[Tensor] = (),
    ) -> tuple[Float[Tensor, "R B T K"], list[State]]:  # fmt: skip
        """Predictions at every step (R, B, T, K), and each recurrent layer's last state; `state` has the first ones.

        `noise` has (R, B, T, width) for every layer: dense, recurrent, dense after. It is added to the layer's output,
        before the mask, but not to the state that the layer's own next step reads.
        """
        parts, weight, bias = [], self.parameters["readout_weight"], self.parameters["readout_bias"]
        for hidden, after in self._segments(inputs, masks, state, noise, above=True):  # noqa: B007
            parts.append(engine.dense(hidden, weight, bias, relu=False))
        return torch.cat(parts, 2), after

    def states(self, inputs: Float[Tensor, "R B T C"], masks: Sequence[Tensor] = ()) -> Float[Tensor, "R B T H"]:
        """The last recurrent layer's states (R, B, T, H); `masks` (R, B, 1, H), one per layer, multiply its states."""
        return torch.cat([hidden for hidden, _ in self._segments(inputs, masks)], 2)

    def _segments(
        self, inputs: Tensor, masks: Sequence[Tensor], state: list | None = None, noise: Sequence[Tensor] = (),
        above: bool = False,
    ):  # fmt: skip
        """Segment by segment: the last recurrent layer's states (R, B, t, H), and every recurrent layer's last state.

        With `above` the outputs of the dense layers after it instead of its states.
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
            hidden = engine.dense(hidden, p[f"dense_weight_{j}"], p[f"dense_bias_{j}"])
            hidden = hidden + noise[j] if noise else hidden
        for layer in range(self.layers):
            names = (f"{kind}_{layer}" for kind in ("input_weight", "input_bias", "recurrent_weight", "recurrent_bias"))
            hidden, last = engine.layer(self.cell, hidden, *(p[name] for name in names), state and state[layer])
            hidden = hidden + noise[len(self.dense) + layer] if noise else hidden
            hidden = hidden * masks[layer] if masks else hidden
            after.append(last)
        return self._above(hidden, noise) if above else hidden, after

    def _above(self, hidden: Tensor, noise: Sequence[Tensor]) -> Tensor:
        """Apply the dense layers after the recurrent ones to (R, B, t, H); the readout reads the result."""
        p, first = self.parameters, len(self.dense) + self.layers
        for j in range(len(self.dense_after)):
            hidden = engine.dense(hidden, p[f"after_weight_{j}"], p[f"after_bias_{j}"])
            hidden = hidden + noise[first + j] if noise else hidden
        return hidden

    def gradient(self, loss: Float[Tensor, ""]) -> Float[Tensor, "R P"]:
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
    """Initial weights, (R, P) float32: `init` for matrices, PyTorch's ±1/√H for biases and the readout.

    Layers after the recurrent ones use the number of their inputs in place of H, as PyTorch does.

    Each parameter has a random stream of its own, so that a wider or deeper network does not change what others draw.
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
    # padded to whole vector registers, so that a run's bits do not depend on its row
    return np.pad(weights, [(0, 0), (0, -weights.shape[1] % ALIGNMENT)])
