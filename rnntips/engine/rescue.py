"""Rescue: at the first spike of a run's training loss its learning rate falls, or its weights are put back."""

import numpy as np
import torch
from torch import Tensor

from rnntips.runs import Runs

__all__ = ["HIGH", "USUAL", "WATCHED_AFTER", "Rescue", "spikes"]

WATCHED_AFTER = 20  # updates without a check, since the loss falls too steeply there
USUAL = 50  # updates whose median loss is compared with
HIGH = 2  # a loss above so many times that median is a spike


def spikes(losses: np.ndarray, update: int) -> np.ndarray:
    """Whether each run's loss at an update is above twice the median of the 50 before it: losses (R, U) → (R,).

    Updates are counted from 0; there is no spike in the first 20.
    """
    if update < WATCHED_AFTER:
        return np.zeros(len(losses), dtype=bool)
    return losses[:, update] > HIGH * np.median(losses[:, max(0, update - USUAL) : update], axis=1)


class Rescue:
    """Finds spikes of the loss in runs whose recipe has a `rescue`, notes them in the record, and restores weights.

    `rnntips.engine.update.Rates` reads the record and lowers the learning rate. A spike depends on the run's own losses
    alone, so runs with and without a rescue can train together.

    Args:
        record: The `Runs` that are being trained.
        weights: (R, P).
        state: The optimizer's averages by name, (R, P) each.
    """

    def __init__(self, record: Runs, weights: Tensor, state: dict[str, Tensor]):
        self.record, self.now = record, {"weights": weights, **state}
        self.asked = np.array([recipe.rescue is not None for recipe in record.recipes])
        self.restored = np.array([recipe.rescue == "restore" for recipe in record.recipes])
        self.kept: list[tuple[int, dict[str, Tensor]]] = []  # of the last two evaluations

    def keep(self, update: int) -> None:
        """Copy weights and averages as they are after so many updates."""
        if self.restored.any():
            copies = {name: value.clone() for name, value in self.now.items()}
            self.kept = [*self.kept[-1:], (update, copies)]

    def after(self, update: int) -> np.ndarray:
        """Rescue the runs whose loss spiked in this update; returns which had their weights restored, (R,)."""
        record, losses = self.record, self.record.train_loss
        watched = self.asked & (record.rescued_at == 0) & (record.diverged_at == 0)
        if update < WATCHED_AFTER or not watched.any():
            return np.zeros_like(watched)
        broken = ~np.isfinite(losses[:, update])  # a lower learning rate cannot repair NaN
        spiked = watched & np.where(broken, self.restored, spikes(losses, update))
        record.rescued_at[spiked] = record.updates_before + update + 1
        rows = spiked & self.restored
        if rows.any():
            # an evaluation right before this update had the weights that gave the spike, so the one before it is used
            copies = next(copies for done, copies in reversed(self.kept) if done < update)
            chosen = torch.from_numpy(np.flatnonzero(rows)).to(self.now["weights"].device)
            for name, value in self.now.items():
                value[chosen] = copies[name][chosen]
        return rows
