"""Sequences read chunk by chunk in parallel lanes: truncated backpropagation through time, its state handed on."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from rnntips.cells import State
from rnntips.errors import BadArgument
from rnntips.feed import Feed, Reading
from rnntips.models import Network
from rnntips.recipe import Recipe
from rnntips.runs import Runs
from rnntips.tasks import stream
from rnntips.windows import Examples

__all__ = ["Chunk", "Lanes", "check_chunk", "chunks", "feed_for"]


class Chunk(NamedTuple):
    """What one update reads of a sequence, as steps of the sequence: answers from `counts` to `end`, which is not read.

    Its gradient reaches back to `start`, where the state is the one handed on, or zero.
    """

    start: int
    counts: int
    end: int


def chunks(recipe: Recipe, steps: int, skip: int = 0) -> list[Chunk]:
    """The updates that read a sequence of so many steps, of which the first `skip` do not count.

    New steps are those from one multiple of `stride` (k1) to the next, so every step that counts does so in one
    update and no other. Gradients reach back `chunk` (k2) steps from the end of the new ones, or to the sequence's
    beginning, if that is nearer. Where none of the new steps counts there is nothing to learn, and they are read
    together with the next. The last update of a sequence may have fewer new steps; it looks back as far.
    """
    new, found = recipe.stride or recipe.chunk, []
    for begin in range(skip // new * new, steps, new):
        end = min(begin + new, steps)
        found.append(Chunk(max(0, end - recipe.chunk), max(begin, skip), end))
    return found


def feed_for(record: Runs, examples: list[Examples]) -> Feed:
    """Whole windows, or sequences in chunks, as the recipes say."""
    return (Lanes if record.recipes[0].chunk else Feed)(record, examples)


def check_chunk(recipe: Recipe, task, example: Examples) -> None:
    """Raise unless the task's windows can be read in chunks of this length, and tested from so many steps.

    Raises:
        BadArgument: The task is answered once a window, its windows are shorter, there is noise between layers, or
            chunks are to be scrambled and are not all equally long.
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
    if recipe.chunk is not None and recipe.noise_between:
        raise BadArgument("noise_between works on whole windows, not on chunks. Leave one of the two out.")
    if recipe.order == "scrambled" and (example.steps % recipe.chunk or example.skip % recipe.chunk):
        counts = f", of which the first {example.skip} do not count" if example.skip else ""
        raise BadArgument(
            f'order="scrambled" needs chunks that are equally long, and a sequence of {task.name} has {example.steps} '
            f"steps{counts}: chunk={recipe.chunk} does not divide them. Change chunk or past."
        )


class Lanes(Feed):
    """B parallel sequences of each run, read from their beginning to their end, one chunk an update.

    A sequence is a window of the training part, and a lane is a place in the batch. All lanes begin their sequences
    together, from a zero state. At the end of them each takes the next one of its run's stream, which `order` mixes:
    whole sequences, never the chunks in them. Every update counts its new steps, as `chunks` says, and is their mean.
    The validation and test parts are read whole, like those of any recipe.

    With `carry` a chunk begins with the state that the lanes were left in at its first step, as a value: computed by
    the update before with the weights of that time, and no gradient goes through it. Steps that are read again
    (k1 < k2) are computed again with the weights of now. Steps that lead to the first chunk, or to one in the middle
    at which training goes on from a record, are read without a gradient. Without `carry` a chunk begins with zeros.

    With `order="scrambled"` the chunks of a batch of sequences come in an order drawn anew for every batch, the same in
    all its lanes. What is carried then is what the chunk before left in the order of reading. No steps lead to the
    first chunk, or to one at which training goes on: it begins with zeros. Steps that do not count are not read.

    Source: Williams and Peng (1990), "An efficient gradient-based algorithm for on-line training of recurrent network
    trajectories"; step by step in S1.
    """

    def __init__(self, record: Runs, examples: list[Examples]):
        recipe, first = record.recipes[0], examples[0]
        self.carry, self.chunks = recipe.carry, chunks(recipe, first.steps, first.skip)
        self.turn = record.updates_before % len(self.chunks)  # the place in its sequence of this record's first update
        self.moved = self._scrambled(record) if recipe.order == "scrambled" else None
        super().__init__(record, examples)
        self.starts = torch.tensor([chunk.start for chunk in self.chunks], device=self.device)
        if self.carry:  # every layer's state at the start of the next chunk; of the LSTM h and c
            parts = recipe.layers * (2 if recipe.cell == "lstm" else 1)
            shape = len(record), len(self.share), recipe.width
            self.kept = [torch.zeros(shape, device=self.device) for _ in range(parts)]

    def _scrambled(self, record: Runs) -> Tensor:
        """Steps from the chunk whose turn it is to the one that is read in its place, (R, batches · chunks)."""
        done, after = self.batches_read(record)
        in_turn, mixed = np.arange(len(self.chunks)), []
        for seed in record.seeds.tolist():
            rng = stream("chunks", record.setting, seed)
            mixed.append(np.stack([rng.permutation(in_turn) for _ in range(after)])[done:])
        return record.recipes[0].chunk * torch.tensor(np.stack(mixed) - in_turn, device=record.device).flatten(1)

    def batches_read(self, record: Runs) -> tuple[int, int]:
        """Batches of sequences ended before this record, and begun before its end."""
        n = len(self.chunks)
        return record.updates_before // n, -(-(record.updates_before + record.updates) // n)

    def reading(self, update: int) -> Reading:
        """Of the chunk whose turn it is; with the steps that lead to it, if its state should be there and is not."""
        place = (self.turn + update) % len(self.chunks)
        now, later = self.chunks[place], self.chunks[place + 1 :]
        begun = self.carry and now.start > 0  # the chunk before began earlier, and left its state
        carried = begun and update > 0 and place > 0
        lead = now.start if begun and not carried and self.moved is None else 0
        onward = later[0].start - now.start if later and self.carry else 0
        return Reading(lead + now.end - now.start, lead + now.counts - now.start, lead, onward, carried)

    def _begins(self, update: int | Tensor, reading: Reading) -> tuple[Tensor, Tensor]:
        at = self.turn + update + torch.zeros_like(self.starts[:1])  # on the device, whether or not the update is
        columns = at // len(self.chunks) * self.batch_size + self.columns
        begins = self.begins[:, columns] + self.starts[at % len(self.chunks)] - reading.lead
        return (begins if self.moved is None else begins + self.moved[:, at]), columns

    def trained(
        self, reading: Reading, network: Network, inputs: Tensor, masks: Sequence[Tensor] = (),
        noise: Sequence[Tensor] = (),
    ) -> Tensor:  # fmt: skip
        """What a network answers to `batch(…, reading)`, shaped like its targets; keeps the state for the next."""
        state = self._carried(network) if reading.carried else None
        if reading.lead:
            with torch.no_grad():
                state = network.sequence(inputs[:, :, : reading.lead], masks)[1]
        parts = [inputs[:, :, reading.lead :]]
        if reading.onward:  # the next update's gradient begins so many steps later
            parts = [part for part in parts[0].tensor_split([reading.onward], 2) if part.shape[2]]
        outputs = []
        for part in parts:
            answers, state = network.sequence(part, masks, state)
            if reading.onward and not outputs:
                self._keep(state)
            outputs.append(answers)
        return torch.cat(outputs, 2)[:, :, reading.silent - reading.lead :]

    def _carried(self, network: Network) -> list[State]:
        """Every layer's state as it was kept, in memory of its own: what is kept next must not change it."""
        parts = [part.clone() for part in self.kept]
        return [*zip(parts[::2], parts[1::2], strict=True)] if network.cell == "lstm" else parts

    def _keep(self, state: list[State]) -> None:
        """The state of every layer without its history."""
        parts = [part for layer in state for part in (layer if isinstance(layer, tuple) else [layer])]
        for kept, part in zip(self.kept, parts, strict=True):
            kept.copy_(part.detach())
