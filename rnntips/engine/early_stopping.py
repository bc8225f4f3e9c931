"""Early stopping: a run keeps what it was at its best evaluation, until so many in a row were no better."""

import numpy as np
import torch
from torch import Tensor

from rnntips.runs import Runs

__all__ = ["EarlyStopping"]


class EarlyStopping:
    """Copies weights and optimizer averages of the runs whose recipe has `early_stopping`, and puts the best back.

    Each run stops for itself, by its own validation scores. A stopped run goes on beside the others, so that their
    numbers do not depend on it; what it does then is dropped at the end.

    Args:
        record: The `Runs` that are being trained; `best_at` is kept up to date.
        weights: (R, P).
        state: The optimizer's averages by name, (R, P) each.
    """

    def __init__(self, record: Runs, weights: Tensor, state: dict[str, Tensor]):
        self.record, self.now = record, [weights, *state.values()]
        self.patience = np.array([recipe.early_stopping or 0 for recipe in record.recipes])
        self.rows = self.patience > 0
        self.best = [value.clone() for value in self.now] if self.rows.any() else []
        self.score, self.waited = np.full(len(record), np.inf), np.zeros(len(record), int)
        self.seen = np.zeros(len(record), int)  # the last update that a run was given
        record.best_at[self.rows] = 0

    def evaluated(self, update: int, scores: np.ndarray) -> None:
        """Note the validation scores (R,) after so many updates."""
        going = self.rows & (self.waited < self.patience)
        better = going & (scores < self.score)
        self.seen[going], self.waited[going] = update, self.waited[going] + 1
        self.waited[better] = 0
        self.score[better], self.record.best_at[better] = scores[better], update
        self._copy(better, self.now, self.best)

    def restore(self) -> None:
        """Put the weights and averages of the best evaluations back; that a run diverged afterwards is forgotten."""
        self.record.diverged_at[self.rows & (self.record.diverged_at > self.seen)] = 0
        self._copy(self.rows, self.best, self.now)

    def _copy(self, rows: np.ndarray, values: list[Tensor], to: list[Tensor]) -> None:
        chosen = torch.from_numpy(np.flatnonzero(rows))
        for value, target in zip(values, to, strict=False):
            where = chosen.to(target.device)
            target[where] = value[where]
