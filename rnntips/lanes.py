"""Sequences read chunk by chunk in parallel lanes: truncated backpropagation through time, its state handed on."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from rnntips.errors import BadArgument
from rnntips.feed import Feed
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
        self.before = record.updates_before
        self.carried: list | None = None  # every layer's state at the next chunk's start; None at a sequence's start
        self.moved = self._scrambled(record) if recipe.order == "scrambled" else None
        super().__init__(record, examples)

    def _scrambled(self, record: Runs) -> Tensor:
        """Steps from the chunk whose turn it is to the one that is read in its place, (R, batches, chunks)."""
        done, after = self.batches_read(record)
        in_turn, mixed = np.arange(len(self.chunks)), []
        for seed in record.seeds.tolist():
            rng = stream("chunks", record.setting, seed)
            mixed.append(np.stack([rng.permutation(in_turn) for _ in range(after)])[done:])
        return record.recipes[0].chunk * torch.tensor(np.stack(mixed) - in_turn, device=record.device)

    def batches_read(self, record: Runs) -> tuple[int, int]:
        """Batches of sequences ended before this record, and begun before its end."""
        n = len(self.chunks)
        return record.updates_before // n, -(-(record.updates_before + record.updates) // n)

    def batch(self, update: int) -> tuple[Tensor, Tensor]:
        """Inputs (R, B, t, C) that end with the new steps of an update, and targets (R, B, t', K) that count."""
        turn, place = divmod(self.before % len(self.chunks) + update, len(self.chunks))
        now = self.chunks[place]
        columns = slice(turn * self.batch_size, (turn + 1) * self.batch_size)
        begins = self._fill(self.begins[:, columns], len(self.share))[:, :, None]
        first = 0 if self.carry and self.carried is None else now.start
        if self.moved is not None:
            begins, first = begins + self.moved[:, turn, place, None, None], now.start
        inputs = self._cut(self.signal, begins.transpose(1, 2) + self.time[first : now.end]).transpose(1, 2)
        return inputs, self._cut(self.targets, begins + self.time[now.counts : now.end, 0])

    def trained(
        self, update: int, network: Network, inputs: Tensor, masks: Sequence[Tensor] = (), noise: Sequence[Tensor] = ()
    ) -> Tensor:
        """What a network answers to `batch(update)`, shaped like its targets; keeps the state for the next update."""
        place = (self.before + update) % len(self.chunks)
        now, state = self.chunks[place], self.carried
        before = inputs.shape[2] - (now.end - now.start)
        if before:
            with torch.no_grad():
                state = network.sequence(inputs[:, :, :before], masks)[1]
        parts = [inputs[:, :, before:]]
        ends = place + 1 == len(self.chunks)
        on = 0 if ends or not self.carry else self.chunks[place + 1].start - now.start
        if on:  # the next update's gradient begins so many steps later
            parts = [part for part in parts[0].tensor_split([on], 2) if part.shape[2]]
        outputs, self.carried = [], None
        for part in parts:
            answers, state = network.sequence(part, masks, state)
            outputs.append(answers)
            if on and self.carried is None:
                self.carried = [_value(layer) for layer in state]
        return torch.cat(outputs, 2)[:, :, now.counts - now.start :]


def _value(state):
    """A layer's state without its history: h, or (h, c)."""
    return tuple(part.detach() for part in state) if isinstance(state, tuple) else state.detach()
