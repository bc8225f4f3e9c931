"""`CompiledUpdate`: lays out a network for `numba_update` in the memory of each thread, and calls it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from rnntips.engine import time_loops
from rnntips.engine.gates import CODES, GRU, LSTM
from rnntips.engine.numba_losses import HEADS
from rnntips.engine.numba_rules import CLIPS, RULES
from rnntips.engine.numba_update import CELL, COUNT, HIGH, INPUTS, OUTPUTS, STEPS
from rnntips.engine.numba_update import update as update_runs
from rnntips.engine.threads import over_runs, threads
from rnntips.engine.tiles import COLUMNS, PANEL, ROWS, whole

if TYPE_CHECKING:
    from torch import Tensor

    from rnntips.loader import BatchSpec, Loader
    from rnntips.models import Network
    from rnntips.runs import Runs

__all__ = ["CompiledUpdate"]

SEGMENT = 2**28  # bytes of a thread for one segment of time
NEVER, ALL = np.empty((0, 0), bool), np.empty(0, bool)
NO_AIMS, NO_TARGETS = np.empty((0, 0, 0), np.float32), np.empty((0, 1), np.float32)
NO_NOISE, NO_MASKS = np.empty((1, 0, 0, 0), np.float32), np.zeros((1, 1, 1, 1, 1), np.float32)


class Layout(NamedTuple):
    """Where everything lies for updates of so many steps."""

    network: np.ndarray  # (layers, 16)
    segments: np.ndarray  # (S + 1,)
    pieces: np.ndarray  # (9,)


class CompiledUpdate:
    """The compiled update of R runs of one network; `numba_update.update` says what its arrays hold."""

    def __init__(self, network: Network, record: Runs, loader: Loader):
        recipe, self.loader = record.recipes[0], loader
        self.stack, self.runs, self.batch = network.stack, len(record), recipe.batch_size
        self.tensors = np.array([(columns.start, columns.stop) for columns in network.slices.values()])
        self.every, self.noisy, self.threads = loader.loss_at == "every", recipe.noise_between > 0, threads()
        self.masked = (STEPS if recipe.dropout_at.startswith("between") else OUTPUTS) if recipe.dropout else None
        self.B, self.highs = whole(self.batch, COLUMNS), [whole(layer.width, ROWS) for layer in self.stack]
        rule, how = [*RULES].index(recipe.rule), CLIPS.index(recipe.clip)
        self.plan = np.array([self.B, *HEADS[loader.head], rule, how, self.masked or 0, bool(loader.symbols),
                              loader.stride, *[0] * 6])  # fmt: skip
        self.layouts: dict[tuple[int, int, int], Layout] = {}
        self.memory = np.empty((self.threads, 0), np.float32)
        self.kept = np.zeros((self.runs, len(self.stack), 2, max(self.highs) * self.B), np.float32)
        self.signal, targets = (value.float().numpy() for value in (loader.signal, loader.targets))  # symbols are bytes
        self.aims, self.targets = (NO_AIMS, targets) if self.every else (targets, NO_TARGETS)
        self.flags = ALL if loader.counted is None else loader.counted.numpy().astype(bool)

    def layout(self, steps: int, burn_in: int, cut: int) -> Layout:
        """The layout for windows of so many steps, the first of which are read without a gradient.

        Args:
            cut: A segment ends at every multiple of so many steps; 0: at none of them.
        """
        if (steps, burn_in, cut) not in self.layouts:
            each = self._floats(2)[1] - self._floats(1)[1]  # float32 values of one more step
            parts = [min(cut, steps - first) for first in range(0, steps, cut)] if cut else [burn_in, steps - burn_in]
            bounds = [0, *_cuts(parts, max(1, SEGMENT // (4 * each)))]
            most = max(np.diff(bounds))
            (network, pieces), size = self._floats(most, len(bounds) - 1)
            if size > self.memory.shape[1]:
                self.memory = np.zeros((self.threads, size), np.float32)
            self.layouts[steps, burn_in, cut] = Layout(network, np.array(bounds), pieces)
        return self.layouts[steps, burn_in, cut]

    def _floats(self, steps: int, segments: int = 1):
        """The network's table and the pieces for segments of so many steps, and the float32 values of them all."""
        rows, size, tensor, column, recurrent, B = [], 0, 0, 0, 0, self.B
        recurrences = sum(CODES[layer.cell] >= 0 for layer in self.stack)

        def piece(values: int) -> int:
            nonlocal size
            first, size = size, size + whole(values, PANEL)
            return first

        for layer, high in zip(self.stack, self.highs, strict=True):
            code, n = CODES[layer.cell], high * B
            last = not self.every and code < 0 and recurrent == recurrences
            T, Q = 1 if last else steps, 4 if code >= GRU else 1
            mask = recurrent if self.masked is not None and code >= 0 else -1
            noise = column if self.noisy and layer is not self.stack[-1] else -1
            matrices = [piece(values) for values in time_loops.sizes(code, layer.inputs, high)]
            row = [code, layer.inputs, layer.width, high, tensor, last, mask, noise, *matrices,
                   states := piece(T * n), piece(T * n if code == LSTM else 0),
                   piece(T * Q * n if Q > 1 else 0)]  # fmt: skip
            apart = noise >= 0 or (mask >= 0 and self.masked == OUTPUTS)
            rows.append([*row, size, piece(T * n) if apart else states])
            tensor, column, recurrent = tensor + len(layer.weights), column + layer.width, recurrent + (code >= 0)
        C, K, n, L = self.stack[0].inputs, self.stack[-1].width, max(self.highs) * B, len(rows)
        room = max(time_loops.room(row[CELL], row[INPUTS], row[HIGH], B) for row in rows)
        answers = steps if self.every else 1
        pieces = [piece(values) for values in (steps * C * B, answers * K * B, answers * B, 2 * steps * n,
                                               segments * L * 2 * n, L * 2 * n, L * 2 * n, room,
                                               self.tensors[-1, 1])]  # fmt: skip
        return (np.array(rows), np.array(pieces)), size

    def __call__(self, spec: BatchSpec, update: int, count: int, arrays: Sequence[np.ndarray],
                 draws: Sequence[Tensor | None]) -> np.ndarray:  # fmt: skip
        """Make update `update` of the loader, `count` of all; returns loss, gradient norm and step ratio, (R, 3).

        Args:
            arrays: `flat` … `frozen`.
            draws: Noise of the inputs and between layers; masks of the inputs and of the recurrent layers.
        """
        layout, out, plan = (
            self.layout(spec.steps, spec.burn_in, spec.cut),
            np.empty((self.runs, 3), np.float32),
            self.plan.copy(),
        )
        keep = spec.keep_after and spec.burn_in + spec.keep_after
        plan[COUNT:] = count, spec.skip, spec.burn_in, keep, spec.carried, spec.cut
        begins, columns = self.loader.places(update, spec)
        aims = self.aims if self.every else self.aims[:, columns]
        noises = [NO_NOISE if value is None else value.numpy()[:, : self.batch] for value in draws[:3]]
        over_runs(update_runs, self.runs, layout.network, self.tensors, layout.segments, plan, layout.pieces,
                  self.signal, begins, aims, self.targets, self.flags, *arrays, *noises, self._blocks(draws[3]),
                  self.kept, NEVER, self.memory, out, most=self.threads)  # fmt: skip
        return out

    def _blocks(self, masks: Tensor | None) -> np.ndarray:
        """Masks (R, masks, batch or more, T or 1, width) in blocks, (R, masks, T or 1, H, B)."""
        if masks is None:
            return NO_MASKS
        rows = masks.numpy()[:, :, : self.batch].transpose(0, 1, 3, 4, 2)
        blocks = np.zeros((*rows.shape[:3], whole(rows.shape[3], ROWS), self.B), np.float32)
        blocks[:, :, :, : rows.shape[3], : self.batch] = rows
        return blocks


def _cuts(parts: Sequence[int], most: int) -> list[int]:
    """Ends of segments of at most so many steps, about equally long in each part; one ends with every part."""
    cut = [np.array_split(np.arange(n), -(-n // most)) for n in parts if n]
    return np.cumsum([len(segment) for some in cut for segment in some]).tolist()
