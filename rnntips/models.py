"""`Network`: dense layers, recurrent layers, dense layers and a linear readout for R runs at once.

All weights of a run are one row of `flat` (R, P), so that clipping and optimizers get one vector per run; the named
parameters are views of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import zip_longest
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from rnntips import engine
from rnntips.cells import CELLS, GATES, State, affine, initialiser, kept_bias
from rnntips.recipe import Layer, stack
from rnntips.tasks import stream
from rnntips.windows import evenly

if TYPE_CHECKING:  # shapes are for readers and type checkers
    from jaxtyping import Float

__all__ = ["ALIGNMENT", "Layer", "Network", "initial_weights", "network_for"]

SEGMENT = 2**24  # bytes that one run keeps for backpropagation in one segment of time steps
KEPT = 3 * 2**27  # bytes that all runs keep together; the rest is computed again
SAMPLE = 2000  # steps of the inputs that a start from data looks at
PARTS = ("inputs", "bias", "recurrent", "bias")  # what each of a recurrent layer's weights is to `initialiser`
ALIGNMENT = 32  # float32 values that torch computes together on any CPU; it rounds a remainder differently


class Network:
    """R networks of one shape: dense ReLU layers, recurrent layers, dense ReLU layers, a linear readout.

    Long sequences are computed in segments of time steps. As many segments as fit in `KEPT` keep their values for
    backpropagation; the others are computed again from the states they began with (gradient checkpointing). A run's
    segments do not depend on the other runs, and computing one again changes no value.

    Args:
        cell, layers, width, dense, dense_after: As in `Recipe`.
        between: Whether dropout acts between steps, and not on outputs.
        channels: C of the inputs.
        outputs: K of the predictions.
        flat: Weights, (R, P), as `initial_weights` makes them.
    """

    def __init__(
        self, cell: str, layers: int, width: int, channels: int, outputs: int, flat: Tensor,
        dense: Sequence[int] = (), dense_after: Sequence[int] = (), between: bool = False,
    ):  # fmt: skip
        self.cell, self.layers, self.width, self.dense, self.dense_after = cell, layers, width, dense, dense_after
        self.stack = stack(cell, layers, width, channels, outputs, dense, dense_after)
        self.above = len(dense) + layers  # the first layer above the recurrent ones in `stack`
        self.flat, self.between = flat, between
        self.parameters: dict[str, Tensor] = {}
        self.slices: dict[str, slice] = {}
        first = 0
        for name, shape in (pair for layer in self.stack for pair in layer.shapes().items()):
            where = slice(first, first := first + int(np.prod(shape)))
            self.slices[name] = where
            self.parameters[name] = flat[:, where].view(len(flat), *shape).detach().requires_grad_()
        self.count = first
        self.below = self.slices[self.stack[self.above].weights[0]].start  # weights up to the last recurrent layer's
        # float32 values that backpropagation needs of one window and step: gates and states
        each = {cell: gates + 3 for cell, gates in GATES.items()} | {"dense": 1}
        self.kept_values = max(1, sum(layer.width * each[layer.cell] for layer in self.stack[:-1]))

    def __call__(
        self, inputs: Float[Tensor, "R B T C"], masks: Sequence[Tensor] = (), noise: Sequence[Tensor] = ()
    ) -> Float[Tensor, "R B K"]:
        """Predictions (R, B, K) from windows (R, B, T, C); see `sequence` for the masks and the noise."""
        for hidden, after in self._segments(inputs, masks, noise=noise):
            last = hidden[:, :, -1] if not after else after[-1][0] if self.cell == "lstm" else after[-1]
        noise = [added[:, :, -1:] for added in noise]
        last = last[:, :, None] + noise[self.above - 1] if noise else last[:, :, None]
        last = last * masks[-1] if masks and not self.between else last
        last, _ = self._through(slice(self.above, -1), last, noise=noise)
        return affine(last[:, :, 0], *(self.parameters[name] for name in self.stack[-1].weights))

    def sequence(
        self, inputs: Float[Tensor, "R B T C"], masks: Sequence[Tensor] = (), state: list[State] | None = None,
        noise: Sequence[Tensor] = (),
    ) -> tuple[Float[Tensor, "R B T K"], list[State]]:  # fmt: skip
        """Predictions at every step (R, B, T, K), and each recurrent layer's last state; `state` has the first ones.

        `masks` has (R, B, 1, H) for every recurrent layer, or (R, B, T, H), and multiplies its outputs, or, with
        `between`, its h[t−1] where step t's weights read it. `noise` has (R, B, T, width) for every layer: dense,
        recurrent, dense after. It is added to the layer's output, before the mask, but not to the state that the
        layer's own next step reads.
        """
        parts = []
        for hidden, after in self._segments(inputs, masks, state, noise, slice(-1)):  # noqa: B007
            parts.append(self._through(slice(-1, None), hidden)[0])
        return torch.cat(parts, 2), after

    def states(self, inputs: Float[Tensor, "R B T C"]) -> Float[Tensor, "R B T H"]:
        """The last recurrent layer's states (R, B, T, H)."""
        return torch.cat([hidden for hidden, _ in self._segments(inputs)], 2)

    def _segments(
        self, inputs: Tensor, masks: Sequence[Tensor] = (), state: list | None = None, noise: Sequence[Tensor] = (),
        which: slice | None = None,
    ):  # fmt: skip
        """Segment by segment: outputs (R, B, t, H) of the layers `which`, and every recurrent layer's last state.

        None: of those up to the last recurrent layer.
        """
        R, B = inputs.shape[:2]
        steps = max(1, SEGMENT // (4 * B * self.kept_values))
        parts = inputs.split(steps, 2)
        cut = [[each.split(steps, 2) if each.shape[2] > 1 else [each] * len(parts) for each in some]
               for some in (masks, noise)]  # fmt: skip
        keep = KEPT // (4 * R * B * self.kept_values * steps)
        for number, part in enumerate(parts):
            masks, noise = ([pieces[number] for pieces in some] for some in cut)
            work = which or slice(self.above), part, masks, state, noise
            if torch.is_grad_enabled() and number < len(parts) - max(1, keep):
                hidden, state = checkpoint(self._through, *work, use_reentrant=False, preserve_rng_state=False)
            else:
                hidden, state = self._through(*work)
            yield hidden, state

    def _through(
        self, which: slice, hidden: Tensor, masks: Sequence[Tensor] = (), state: list | None = None,
        noise: Sequence[Tensor] = (),
    ) -> tuple[Tensor, list[State]]:  # fmt: skip
        """Outputs (R, B, t, H) of the layers `which` of the stack, and the last states of the recurrent among them."""
        after: list[State] = []
        for layer, added in list(zip_longest(self.stack, noise))[which]:
            weights, mask = [self.parameters[name] for name in layer.weights], None
            if layer.cell in CELLS:
                mask = masks[len(after)] if masks else None
                read = mask.squeeze(2) if masks and self.between else None
                hidden, last = engine.layer(layer.cell, hidden, *weights, state and state[len(after)], mask=read)
                after.append(last)
            else:
                hidden = engine.dense(hidden, *weights, relu=layer.cell == "dense")
            hidden = hidden if added is None else hidden + added
            hidden = hidden if mask is None or self.between else hidden * mask
        return hidden, after

    def copies(self, count: int) -> Network:
        """So many networks of every run, one after the other, with the same weights."""
        sizes = self.layers, self.width, self.stack[0].inputs, self.stack[-1].width
        flat = self.flat.repeat_interleave(count, 0)
        return Network(self.cell, *sizes, flat, self.dense, self.dense_after, self.between)

    def gradient(self, loss: Float[Tensor, ""]) -> Float[Tensor, "R P"]:
        """Gradient of a summed loss with respect to `flat`, (R, P)."""
        parts = torch.autograd.grad(loss, list(self.parameters.values()))
        gradient = torch.zeros_like(self.flat)
        torch.cat([part.flatten(1) for part in parts], 1, out=gradient[:, : self.count])
        return gradient


def network_for(recipe, example, flat: Tensor) -> Network:
    """The network that a recipe makes for examples such as this one, with these weights (R, P)."""
    cell, layers, width, channels, outputs, *dense = _sizes(recipe, example.channels, example.outputs)
    return Network(cell, layers, width, channels, outputs, flat, *dense, recipe.dropout_at.startswith("between"))


def _sizes(recipe, channels: int, outputs: int) -> tuple:
    """The arguments of `stack`."""
    return recipe.cell, recipe.layers, recipe.width, channels, outputs, recipe.dense, recipe.dense_after


def initial_weights(
    recipes: Sequence, setting: str, seeds: Sequence[int], channels: int, outputs: int, examples: Sequence = ()
) -> np.ndarray:
    """Initial weights, (R, P) float32: as `init` and `forget_bias` say, else PyTorch's ±1/√H.

    Layers after the recurrent ones use the number of their inputs in place of H, as PyTorch does.

    Each parameter has a random stream of its own, so that a wider or deeper network does not change what others draw.

    Args:
        examples: Of each run; only starts from data need them.
    """
    rows = []
    for r, (recipe, seed) in enumerate(zip(recipes, seeds, strict=True)):
        row, steps = [], partial(_steps, examples, r)
        for layer in stack(*_sizes(recipe, channels, outputs)):
            fan = layer.inputs if layer.name.startswith(("dense after", "readout")) else recipe.width
            values = {}
            for name, shape in layer.shapes().items():
                part = PARTS[layer.weights.index(name)] if layer.cell in CELLS else "other"
                rule = initialiser(recipe.init, part, steps if layer.name == "layer 0" else None)
                values[name] = rule(shape, fan, stream(f"init {name}", setting, seed))
            if recipe.forget_bias is not None and layer.cell in CELLS:
                _open(layer, values, recipe.forget_bias, stream(f"forget_bias {layer.name}", setting, seed))
            row += [value.ravel() for value in values.values()]
        rows.append(np.concatenate(row))
    weights = np.array(rows, dtype=np.float32)
    # padded to whole vector registers, so that a run's bits do not depend on its row
    return np.pad(weights, [(0, 0), (0, -weights.shape[1] % ALIGNMENT)])


def _steps(examples: Sequence, run: int) -> np.ndarray:
    """Inputs of a run at up to `SAMPLE` steps of up to `SAMPLE` training windows, evenly spread, (n, C)."""
    example = examples[run]
    steps = example.inputs(example.of(0, SAMPLE)).reshape(-1, example.channels)
    return evenly(steps, SAMPLE).astype(np.float64)


def _open(layer: Layer, values: dict[str, np.ndarray], given: float | str, rng: np.random.Generator) -> None:
    """Set the bias of the gate that keeps a state, the second in the order of gates, and with chrono the LSTM's first.

    A gate has two biases, which are added: the recurrent one becomes 0.
    """
    bias, recurrent = values[layer.weights[1]], values[layer.weights[3]]
    kept, H = kept_bias(given)(layer.width, rng), layer.width
    bias[H : 2 * H], recurrent[H : 2 * H] = kept, 0
    if layer.cell == "lstm" and isinstance(given, str):
        bias[:H], recurrent[:H] = -kept, 0
