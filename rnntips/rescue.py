"""What is done to a run at the first spike of its training loss.

A spike follows from the run's own losses alone, so runs that are rescued and runs that are not stay in one stack.
"""

import numpy as np
import torch
from torch import Tensor

from rnntips.models import Network
from rnntips.runs import Runs

__all__ = ["Rescue", "spikes"]

WATCHED_AFTER = 20  # updates: the first losses fall too steeply to have a usual size
MEMORY = 50  # updates whose median loss is the usual one
HIGH = 2  # times the usual


def spikes(losses: np.ndarray, update: int) -> np.ndarray:
    """Which runs' loss at an update is above twice the median of the 50 before it, (R,), from losses (R, U).

    Updates are counted from 0; there is no spike in the first 20.
    """
    if update < WATCHED_AFTER:
        return np.zeros(len(losses), dtype=bool)
    return losses[:, update] > HIGH * np.median(losses[:, max(0, update - MEMORY) : update], axis=1)


class Rescue:
    """Watches the runs whose recipe has a `rescue`; notes in the record when it came, and does what `"restore"` asks.

    The learning rate follows from the record; see `rnntips.update.Rates`.
    """

    def __init__(self, record: Runs, network: Network, state: dict[str, Tensor]):
        self.record, self.now = record, {"weights": network.flat, **state}
        self.asked = np.array([recipe.rescue is not None for recipe in record.recipes])
        self.restored = np.array([recipe.rescue == "restore" for recipe in record.recipes])
        self.kept: list[tuple[int, dict[str, Tensor]]] = []  # of the last two evaluations

    def keep(self, update: int) -> None:
        """Copy weights and averages as they are when so many updates are done."""
        if self.restored.any():
            copies = {name: value.clone() for name, value in self.now.items()}
            self.kept = [*self.kept[-1:], (update, copies)]

    def after(self, update: int) -> np.ndarray:
        """Rescue the runs that spiked in this update; which of them had their weights restored, (R,)."""
        record, losses = self.record, self.record.train_loss
        watched = self.asked & (record.rescued_at == 0) & (record.diverged_at == 0)
        if update < WATCHED_AFTER or not watched.any():
            return np.zeros_like(watched)
        broken = ~np.isfinite(losses[:, update])  # weights that are no numbers can only be replaced
        spiked = watched & np.where(broken, self.restored, spikes(losses, update))
        record.rescued_at[spiked] = record.updates_before + update + 1
        rows = spiked & self.restored
        if rows.any():
            # an evaluation just before this update has seen the weights that spiked
            copies = next(copies for done, copies in reversed(self.kept) if done < update)
            chosen = torch.from_numpy(np.flatnonzero(rows)).to(self.now["weights"].device)
            for name, value in self.now.items():
                value[chosen] = copies[name][chosen]
        return rows
