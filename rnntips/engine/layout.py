"""`CompiledUpdate`: lays out a network for `numba_update` in the memory of each thread, and calls it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from rnntips.engine import time_loops
from rnntips.engine.gates import CODES, GRU, LSTM
from rnntips.engine.numba_update import CELL, COUNT, HIGH, INPUTS, OUTPUTS, update
from rnntips.engine.threads import over_runs, threads
from rnntips.engine.tiles import COLUMNS, PANEL, ROWS, whole

if TYPE_CHECKING:
    from torch import Tensor

    from rnntips.loader import BatchSpec
    from rnntips.recipe import Layer

__all__ = ["CompiledUpdate"]

SEGMENT = 2**28  # bytes of a thread for one segment of time
NEVER = np.empty((0, 0), bool)
NO_NOISE, NO_MASKS = np.empty((1, 0, 0, 0), np.float32), np.zeros((1, 1, 1, 1, 1), np.float32)


class Layout(NamedTuple):
    """Where everything lies for updates of so many steps."""

    network: np.ndarray  # (layers, END + 1)
    segments: np.ndarray  # (S + 1,)
    pieces: np.ndarray  # (10,)


class CompiledUpdate:
    """The compiled update of R runs of one network; `update` says what its arrays hold.

    Args:
        stack: The layers, as `rnntips.recipe.stack` gives them.
        tensors: First column of each parameter in a run's weights, and the one after its last, (n, 2).
        runs, batch: R, and the windows in a mini-batch.
        every: Whether there is an answer at every step; else the layers after the recurrent ones read the last alone.
        head, rule, how: Numbers from `HEADS`, and from `numba_rules.RULES` and `CLIPS`.
        symbols: Whether signal and targets hold symbols.
        masked: Whether recurrent layers have masks, and where: `OUTPUTS`, `STEPS` or None.
        noisy: Whether there is noise on the layers' outputs.
    """

    def __init__(self, stack: Sequence[Layer], tensors: np.ndarray, *, runs: int, batch: int, every: bool, head: int,
                 rule: int, how: int, symbols: bool, masked: int | None, noisy: bool):  # fmt: skip
        self.stack, self.tensors, self.runs, self.batch, self.every = stack, tensors, runs, batch, every
        self.masked, self.noisy, self.threads = masked, noisy, threads()
        self.B, self.highs = whole(batch, COLUMNS), [whole(layer.width, ROWS) for layer in stack]
        self.plan = np.array([self.B, head, rule, how, masked or 0, symbols, *[0] * 5])
        self.layouts: dict[tuple[int, int], Layout] = {}
        self.memory = np.empty((self.threads, 0), np.float32)
        self.kept = np.zeros((runs, len(stack), 2, max(self.highs) * self.B), np.float32)

    def layout(self, steps: int, burn_in: int) -> Layout:
        """The layout for windows of so many steps, the first of which are read without a gradient."""
        if (steps, burn_in) not in self.layouts:
            bounds = [0, *_cuts(burn_in, steps - burn_in, max(1, SEGMENT // (4 * self._floats(1)[1])))]
            most = max(np.diff(bounds))
            (network, pieces), size = self._floats(most, len(bounds) - 1)
            if size > self.memory.shape[1]:
                self.memory = np.zeros((self.threads, size), np.float32)
            self.layouts[steps, burn_in] = Layout(network, np.array(bounds), pieces)
        return self.layouts[steps, burn_in]

    def _floats(self, steps: int, segments: int = 1):
        """The network's table and the pieces for segments of so many steps, and the float32 values of them all."""
        rows, size, column, recurrent, B = [], 0, 0, 0, self.B

        def piece(values: int) -> int:
            nonlocal size
            first, size = size, size + whole(values, PANEL)
            return first

        for layer, high in zip(self.stack, self.highs, strict=True):
            code, n = CODES[layer.cell], high * B
            last = not self.every and code < 0 and recurrent > 0
            T, Q = 1 if last else steps, 4 if code >= GRU else 1
            mask = recurrent if self.masked is not None and code >= 0 else -1
            noise = column if self.noisy and layer is not self.stack[-1] else -1
            matrices = [piece(values) for values in time_loops.sizes(code, layer.inputs, high)]
            row = [code, layer.inputs, layer.width, high, self._tensor(layer), last, mask, noise, *matrices,
                   states := piece(T * n), piece(T * n if code == LSTM else 0),
                   piece(T * Q * n if Q > 1 else 0)]  # fmt: skip
            apart = noise >= 0 or (mask >= 0 and self.masked == OUTPUTS)
            rows.append([*row, size, piece(T * n) if apart else states])
            column, recurrent = column + layer.width, recurrent + (code >= 0)
        C, K, n, L = self.stack[0].inputs, self.stack[-1].width, max(self.highs) * B, len(rows)
        room = max(time_loops.room(row[CELL], row[INPUTS], row[HIGH], B) for row in rows)
        answers = steps if self.every else 1
        pieces = [piece(values) for values in (steps * C * B, answers * K * B, answers * B, 2 * steps * n,
                                               segments * L * 2 * n, L * 2 * n, L * 2 * n, room,
                                               self.tensors[-1, 1], 0)]  # fmt: skip
        return (np.array(rows), np.array(pieces)), size

    def _tensor(self, layer: Layer) -> int:
        before = self.stack[: self.stack.index(layer)]
        return sum(len(each.weights) for each in before)

    def drawn(self, noise: Tensor | None, between: Tensor | None, masks: Tensor | None) -> tuple[np.ndarray, ...]:
        """What was drawn for an update, as `update` wants it; masks come as (R, masks, batch, T or 1, width)."""
        blocks = NO_MASKS
        if masks is not None:
            rows = masks.numpy().transpose(0, 1, 3, 4, 2)
            high = whole(rows.shape[3], ROWS)
            blocks = np.zeros((*rows.shape[:3], high, self.B), np.float32)
            blocks[:, :, :, : rows.shape[3], : self.batch] = rows
        return *(NO_NOISE if value is None else value.numpy() for value in (noise, between)), blocks

    def __call__(self, spec: BatchSpec, count: int, arrays, draws) -> np.ndarray:
        """Make an update; returns loss, gradient norm and step ratio, (R, 3)."""
        layout, out = self.layout(spec.steps, spec.burn_in), np.empty((self.runs, 3), np.float32)
        plan = self.plan.copy()
        plan[COUNT:] = count, spec.skip, spec.burn_in, spec.keep_after and spec.burn_in + spec.keep_after, spec.carried
        over_runs(update, self.runs, layout.network, self.tensors, layout.segments, plan, layout.pieces, *arrays,
                  *draws, self.kept, NEVER, self.memory, out, most=self.threads)  # fmt: skip
        return out


def _cuts(burn_in: int, steps: int, most: int) -> list[int]:
    """Ends of segments of at most so many steps, about equally long; one ends with the burn-in."""
    parts = [np.array_split(np.arange(n), -(-n // most)) for n in (burn_in, steps) if n]
    return np.cumsum([len(part) for some in parts for part in some]).tolist()
