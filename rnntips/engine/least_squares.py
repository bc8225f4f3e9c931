"""Linear networks that are solved and not trained, see `Recipe.solved`."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from rnntips.errors import BadArgument
from rnntips.recipe import Recipe
from rnntips.tasks import Task, regressed
from rnntips.windows import Examples

__all__ = ["need_values", "solution"]


def need_values(recipe: Recipe, example: Examples, task: Task) -> None:
    """Raise `BadArgument` if the recipe is to be solved and the task does not ask for values at a window's end."""
    if recipe.solved and (example.classes or example.loss_at == "every"):
        raise BadArgument(f"solved=True is for one value a window, and {task.name} asks for others. Leave it out.")


def solution(examples: Sequence[Examples], count: int) -> Tensor:
    """The weights that a ridge regression finds on each run's training windows, (R, count); 0 behind them."""
    rows = torch.zeros((len(examples), count))
    for row, example in zip(rows, examples, strict=True):
        train = example.of(0)
        weights, bias = regressed(example.inputs(train)[:, -1], example.targets[train])
        row[: weights.size + bias.size] = torch.from_numpy(np.concatenate([weights.ravel(), bias]))
    return rows
