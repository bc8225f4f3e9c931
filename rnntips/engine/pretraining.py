"""What a network learns before its task: to predict the next step of its windows, see `Recipe.pretrain`."""

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import torch

from rnntips.loader import examples_of, rebuilt
from rnntips.models import Network
from rnntips.recipe import FIELDS, Recipe
from rnntips.runs import Runs
from rnntips.schedule import pretraining
from rnntips.tasks import NextStep, Task

__all__ = ["Pretraining", "need_next_step"]

# Fields that belong to the task alone.
APART = ("pretrain", "lr", "schedule", "rescue", "early_stopping", "train_size", "order", "head", "dense_after",
         "frozen")  # fmt: skip


def need_next_step(recipe: Recipe, task: Task, seed: int) -> None:
    """Raise `BadArgument` if the recipe asks for pre-training and the task's windows have no next step to predict."""
    if recipe.pretrain:
        NextStep(task).examples(recipe, seed)


class Pretraining:
    """Pre-trains the runs whose recipes say so, and looks at the end at what is left of it.

    Args:
        record: The `Runs` that are being trained.
        train: A function (recipes, task, record to continue from or None) → a record of the same seeds.
    """

    def __init__(self, record: Runs, task: Task, train: Callable[[list[Recipe], Task, Runs | None], Runs]):
        self.record, self.done = record, None
        goes_on = record.updates_before > 0  # with weights that were pre-trained, if at all
        shuffled, updates, stages = pretraining(None if goes_on else record.recipes[0].pretrain)
        self.pretext = NextStep(task, shuffled)
        if not updates:
            return
        recipes = [recipe.but(**{name: FIELDS[name] for name in APART}) for recipe in record.recipes]
        windows = len(examples_of(recipes[0], self.pretext, int(record.seeds[0])).of(0))
        ends = [updates * stage // stages for stage in range(stages + 1)]
        for stage, (first, end) in enumerate(pairwise(ends), 1):
            some = None if stage == stages else windows * stage // stages
            sized = [recipe.but(updates=end - first, train_size=some) for recipe in recipes]
            if self.done is None or not self.done.stopped:
                self.done = train(sized, self.pretext, self.done)

    def begin(self, network: Network) -> None:
        """Give the network the layers that were pre-trained, the recurrent ones and those below."""
        if self.done is not None:
            below = torch.from_numpy(self.done.weights[:, : network.below])
            network.flat[:, : network.below] = below.to(network.flat.device)

    def end(self, network: Network) -> None:
        """Note the pretext's test errors, after pre-training and with these layers as they are now."""
        if self.done is None:
            return
        below = network.flat[:, : network.below].cpu().numpy()
        now = self._errors(np.concatenate([below, self.done.weights[:, network.below :]], 1))
        self.record.pretext = np.stack([self.done.test_scores[:, -1], now], 1)

    def _errors(self, weights: np.ndarray) -> np.ndarray:
        """Test errors of networks with these weights, (R,)."""
        done = self.done
        network, examples, chosen, inputs = rebuilt(
            done.recipes, done.seeds, self.pretext, lambda example: example.scored(2), weights
        )
        with torch.no_grad():
            answers = network.sequence(inputs)[0].flatten(1, 2).double().numpy()
        truth = [example.answers(some) for example, some in zip(examples, chosen, strict=True)]
        return self.pretext.score(answers, np.stack(truth))
