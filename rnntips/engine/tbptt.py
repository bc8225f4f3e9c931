"""Truncated backpropagation through time: parallel sequences, one chunk of each per update, with a carried state."""

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from rnntips.cells import State
from rnntips.errors import BadArgument
from rnntips.loader import BatchSpec, Loader
from rnntips.models import Network
from rnntips.recipe import Recipe
from rnntips.runs import Runs
from rnntips.schedule import plateau
from rnntips.tasks import stream
from rnntips.windows import Examples

__all__ = ["AccumulatingLoader", "Chunk", "TBPTTLoader", "check_chunk", "chunks", "loader_for"]


class Chunk(NamedTuple):
    """What one update reads of a sequence: its steps from `start` to `end`, which is not included.

    Answers count from `counts` on. The gradient goes back to `start`; the state there is the carried one, or zero.
    """

    start: int
    counts: int
    end: int


def chunks(recipe: Recipe, steps: int, skip: int = 0) -> list[Chunk]:
    """The chunks of a sequence of `steps` steps, whose first `skip` do not count; one update reads one chunk.

    New steps are those from one multiple of `stride` (k1) to the next, so every step that counts does so in one update
    alone. Gradients go back `chunk` (k2) steps from the end of the new steps, or to the sequence's beginning if that is
    nearer. New steps make no chunk if none of them counts. The last chunk may have fewer new steps; its gradient goes
    back as far.
    """
    new, found = recipe.stride or recipe.chunk, []
    for begin in range(skip // new * new, steps, new):
        end = min(begin + new, steps)
        found.append(Chunk(max(0, end - recipe.chunk), max(begin, skip), end))
    return found


def loader_for(record: Runs, examples: list[Examples]) -> Loader:
    """The data loader of a record: for chunks of sequences if the recipes set `chunk`, else for whole windows."""
    recipe = record.recipes[0]
    return (AccumulatingLoader if recipe.accumulate else TBPTTLoader if recipe.chunk else Loader)(record, examples)


def _cut(masks: Sequence[Tensor], first: int, end: int) -> list[Tensor]:
    """The masks or noise of some steps, where each step has its own."""
    return [mask[:, :, first:end] if mask.shape[2] > 1 else mask for mask in masks]


def check_chunk(recipe: Recipe, task, example: Examples) -> None:
    """Raise unless the recipe's `chunk`, `test_past` and `order` fit the task's windows.

    Raises:
        BadArgument: The task has one answer per window, its windows are shorter, chunks are to be scrambled or to grow
            and are not all equally long, or the state is never reset and first steps do not count.
    """
    for name in ("chunk", "test_past"):
        if (steps := getattr(recipe, name)) is None:
            continue
        if example.loss_at != "every":
            does = "cuts sequences" if name == "chunk" else "is for sequences"
            raise BadArgument(
                f"{name}={steps} {does} with an answer at every step, and {task.name} has one answer a window. "
                f"Leave {name} out, or use a task such as rt.tasks.leaky(20)."
            )
        if steps > example.steps:
            raise BadArgument(
                f"{name}={steps} is longer than a sequence of {task.name}, which has {example.steps} steps. "
                f"Use {name}={example.steps} or less, or a larger past."
            )
    if recipe.chunk is not None and recipe.grow is not None:
        longest = recipe.chunk * plateau(recipe.grow)[1][-1]
        if example.skip or example.steps % longest:
            counts = f", of which the first {example.skip} do not count" if example.skip else ""
            raise BadArgument(
                f"grow={recipe.grow!r} needs sequences that chunks of {longest} steps divide, and one of {task.name} "
                f"has {example.steps} steps{counts}. Change past, chunk or the last factor."
            )
    if not recipe.reset and (first := chunks(recipe, example.steps, example.skip)[0].start):
        raise BadArgument(
            f"reset=False needs sequences that are read from their beginning, and those of {task.name} are read from "
            f"step {first} on, since earlier answers do not count. Leave reset out, or use a task such as "
            "rt.tasks.leaky(20)."
        )
    if recipe.order == "scrambled" and (example.steps % recipe.chunk or example.skip % recipe.chunk):
        counts = f", of which the first {example.skip} do not count" if example.skip else ""
        raise BadArgument(
            f'order="scrambled" needs chunks that are equally long, and a sequence of {task.name} has {example.steps} '
            f"steps{counts}: chunk={recipe.chunk} does not divide them. Change chunk or past."
        )


class TBPTTLoader(Loader):
    """Data loader that reads B sequences of each run in parallel, from beginning to end, one chunk per update.

    A sequence is a window of the training part. All B sequences begin together from a zero state. When they end, the
    next B begin; `order` mixes whole sequences, but not the chunks in them. An update's loss is the mean over its new
    steps, see `chunks`. Validation and test windows are read whole, as with any recipe.

    With `carry` a chunk begins with the state that the update before computed for the chunk's first step, with the
    weights of that time; no gradient goes through it. Steps that are read again (k1 < k2) are computed with the current
    weights. Where no state was kept (a sequence's first chunk, or the chunk at which training continues from a record),
    the steps before the chunk are read without a gradient. Without `carry` a chunk begins with zeros.

    With `reset=False` only the first sequences begin with zeros: each of the next B begins with the state at the end
    of the one that was read in its place.

    With `order="scrambled"` the chunks of B sequences are read in a random order, drawn anew for every B sequences and
    the same for all of them. The carried state is then that of the chunk read before. The first chunk read, and the one
    at which training continues from a record, begin with zeros. Steps that do not count are not read.

    Source: Williams and Peng (1990), "An efficient gradient-based algorithm for on-line training of recurrent network
    trajectories"; described step by step in "Notes on training RNNs" (2017), which the lessons call S1.
    """

    def __init__(self, record: Runs, examples: list[Examples]):
        recipe, first = record.recipes[0], examples[0]
        self.carry, self.reset = recipe.carry, recipe.reset
        self.chunks = chunks(recipe, first.steps, first.skip)
        self.turn = record.updates_before % len(self.chunks)  # index of the first update's chunk in its sequence
        self.moved = self._scrambled(record) if recipe.order == "scrambled" else None
        super().__init__(record, examples)
        self.starts = torch.tensor([chunk.start for chunk in self.chunks], device=self.device)
        if self.carry:  # every layer's state at the start of the next chunk; h and c of the LSTM
            parts = recipe.layers * (2 if recipe.cell == "lstm" else 1)
            shape = len(record), len(self.share), recipe.width
            self.kept = [torch.zeros(shape, dtype=torch.float32, device=self.device) for _ in range(parts)]

    def _scrambled(self, record: Runs) -> Tensor:
        """Steps from each chunk in sequence order to the chunk that is read in its place, (R, batches · chunks)."""
        done, after = self.batches_read(record)
        in_turn, mixed = np.arange(len(self.chunks)), []
        for seed in record.seeds.tolist():
            rng = stream("chunks", record.setting, seed)
            mixed.append(np.stack([rng.permutation(in_turn) for _ in range(after)])[done:])
        return record.recipes[0].chunk * torch.tensor(np.stack(mixed) - in_turn, device=record.device).flatten(1)

    def batches_read(self, record: Runs) -> tuple[int, int]:
        """Batches of sequences that ended before this record's updates, and those begun before its end."""
        n = len(self.chunks)
        return record.updates_before // n, -(-(record.updates_before + record.updates) // n)

    def spec(self, update: int) -> BatchSpec:
        """The `BatchSpec` of an update's chunk; with a burn-in if it needs a state and none was kept."""
        place = (self.turn + update) % len(self.chunks)
        now, later = self.chunks[place], self.chunks[place + 1 :]
        begun = self.carry and now.start > 0  # the chunk begins with the state of earlier steps
        carried = update > 0 and ((begun and place > 0) or (not self.reset and place == 0))
        burn_in = now.start if begun and not carried and self.moved is None else 0
        keep_after = later[0].start - now.start if later and self.carry else 0
        if not (later or self.reset):
            keep_after = now.end - now.start
        return BatchSpec(burn_in + now.end - now.start, burn_in + now.counts - now.start, burn_in, keep_after, carried)

    def _begins(self, update: int | Tensor, spec: BatchSpec) -> tuple[Tensor, Tensor]:
        at = self.turn + update + torch.zeros_like(self.starts[:1])  # on the device, even if `update` is an int
        columns = at // len(self.chunks) * self.batch_size + self.columns
        begins = self.begins[:, columns] + self.starts[at % len(self.chunks)] - spec.burn_in
        return (begins if self.moved is None else begins + self.moved[:, at]), columns

    def places(self, update: int, spec: BatchSpec) -> tuple[np.ndarray, slice]:
        return self._begins(update, spec)[0].numpy(), slice(0)

    def trained(
        self, spec: BatchSpec, network: Network, inputs: Tensor, masks: Sequence[Tensor] = (),
        noise: Sequence[Tensor] = (),
    ) -> Tensor:  # fmt: skip
        """The predictions for `batch(…, spec)`, shaped like its targets; keeps the state for the next update."""
        state = self._carried(network) if spec.carried else None
        if spec.burn_in:
            with torch.no_grad():
                state = network.sequence(
                    inputs[:, :, : spec.burn_in], _cut(masks, 0, spec.burn_in), noise=_cut(noise, 0, spec.burn_in)
                )[1]
        # the next update's chunk begins after `keep_after` steps, so the state there is kept
        middle = spec.burn_in + spec.keep_after if spec.keep_after else spec.steps
        outputs = []
        for first, end in pairwise(sorted({spec.burn_in, middle, spec.steps})):
            those = _cut(masks, first, end), state, _cut(noise, first, end)
            answers, state = network.sequence(inputs[:, :, first:end], *those)
            if spec.keep_after and not outputs:
                self._keep(state)
            outputs.append(answers)
        return torch.cat(outputs, 2)[:, :, spec.skip - spec.burn_in :]

    def _carried(self, network: Network) -> list[State]:
        """Copies of the states that were kept, one per layer: the next `_keep` overwrites the originals."""
        parts = [part.clone() for part in self.kept]
        return [*zip(parts[::2], parts[1::2], strict=True)] if network.cell == "lstm" else parts

    def _keep(self, state: list[State]) -> None:
        """Keep the state of every layer for the next update, without its gradient history."""
        parts = [part for layer in state for part in (layer if isinstance(layer, tuple) else [layer])]
        for kept, part in zip(self.kept, parts, strict=True):
            kept.copy_(part.detach())


class AccumulatingLoader(Loader):
    """Data loader of whole sequences whose chunks make one update together (gradient accumulation).

    A chunk begins with the state at the end of the one before, through which no gradient goes. So the gradient is the
    sum of those of all chunks, all of them at the same weights.
    """

    def spec(self, update: int) -> BatchSpec:
        return super().spec(update)._replace(cut=self.record.recipes[0].chunk)

    def trained(
        self, spec: BatchSpec, network: Network, inputs: Tensor, masks: Sequence[Tensor] = (),
        noise: Sequence[Tensor] = (),
    ) -> Tensor:  # fmt: skip
        state, outputs = None, []
        for first in range(0, spec.steps, spec.cut):
            end = min(first + spec.cut, spec.steps)
            those = _cut(masks, first, end), state, _cut(noise, first, end)
            answers, state = network.sequence(inputs[:, :, first:end], *those)
            state = [tuple(part.detach() for part in layer) if isinstance(layer, tuple) else layer.detach()
                     for layer in state]  # fmt: skip
            outputs.append(answers)
        return torch.cat(outputs, 2)[:, :, spec.skip :]
