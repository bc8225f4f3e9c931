"""A task's data for a training loop of one's own: its mini-batches as tensors, and the naive error to compare with."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from rnntips.errors import BadArgument, need, need_whole, unknown_name
from rnntips.recipe import Recipe
from rnntips.windows import Examples

if TYPE_CHECKING:
    from rnntips.tasks.task import Task

__all__ = ["batches", "naive"]

PARTS = {"train": 0, "valid": 1, "test": 2}
IGNORED = -100  # of a class: `torch.nn.CrossEntropyLoss` leaves such targets out


def batches(
    task: Task, recipe: Recipe, seed: int, part: str = "train", scaled: bool = True
) -> Iterator[tuple[Tensor, Tensor]]:
    """Mini-batches of a part, each a pair of tensors: inputs (B, T, C) float32, and targets.

    Targets are values (B, K) float32, or classes (B,) int64; with an answer at every step (B, T, K) or (B, T). Steps
    whose answer does not count have NaN there, or the class −100, which PyTorch's cross entropy leaves out.

    The training part never ends. Its windows and their order are those of `rt.train` with this recipe and seed: `grow`,
    `chunk` and `train_size` included, all `workers` of an update in one batch, and beyond the recipe's updates as with
    `start=`. Noise, dropout and states that are carried from chunk to chunk are left to the loop. The validation and
    the test part come once, each window once and whole, in the order of time; the last batch may be smaller.

    Args:
        task: A task or a series; as a method, the task itself.
        part: `"train"`, `"valid"` or `"test"`.
        scaled: As the recipe's scalings say; else in the data's own unit.

    Raises:
        BadArgument, BadData: What `rt.train` refuses, or an unknown part.
    """
    task, recipe, number = _asked(task, recipe, seed, part, scaled)
    from rnntips.loader import examples_of  # it imports tasks
    from rnntips.training import prepare

    (recipe,) = prepare([recipe], task, [seed])
    examples = examples_of(recipe, task, seed)
    return _trained(task.name, recipe, seed, examples) if number == 0 else _once(examples, number, recipe.batch_size)


def naive(task: Task, part: str = "valid", recipe: Recipe | None = None, seed: int = 0, scaled: bool = True) -> float:
    """The error of the obvious answer (last value, most frequent class) on all windows that `batches` gives of a part.

    It is in the unit of its targets: for values the root of their mean squared error, for classes nats, as
    `torch.nn.CrossEntropyLoss` gives them. A task that has neither last values nor a `guess` takes it from its
    `bounds`, which are those of the windows that `rt.train` scores.

    Args:
        recipe: The loop's; None: `rt.Recipe()`. The horizon matters, and `past` where windows have that length.
        seed: The loop's.

    Raises:
        BadArgument, BadData: An unknown part, or a recipe that does not fit the task.
    """
    task, recipe, number = _asked(task, Recipe() if recipe is None else recipe, seed, part, scaled)
    examples = task.examples(recipe, seed)
    if examples.last is None and not hasattr(task, "guess"):
        if number == 0:
            raise BadArgument(f'part="train": {task.name} says its naive error for "valid" and "test" alone.')
        whole, _, valid = task.bounds(recipe, seed, examples)
        return (valid if number == 1 else whole) / examples.spread
    windows = examples.of(number)
    truth = examples.answers(windows)
    guess = task.guess(examples) if examples.last is None else examples.last[windows]
    return float(task.score(np.broadcast_to(guess, truth.shape)[None], truth[None])[0]) / examples.spread


def _asked(task: Task, recipe: Recipe, seed: int, part: str, scaled: bool) -> tuple[Task, Recipe, int]:
    """The task, the recipe without its scalings if they are not wanted, and the part's number, once all are checked."""
    from rnntips.tasks import one_task

    need("recipe", recipe, Recipe, "a Recipe, made with rt.Recipe(...),")
    need_whole("seed", seed, 0, 2**63 - 1)
    need("scaled", scaled, bool, "True or False")
    if not (isinstance(part, str) and part in PARTS):
        raise unknown_name("part", part, PARTS)
    if not scaled:
        recipe = recipe.but(input_scaling="none", target_scaling="none")
    return one_task(task, "a loop trains on"), recipe, PARTS[part]


def _trained(setting: str, recipe: Recipe, seed: int, examples: Examples) -> Iterator[tuple[Tensor, Tensor]]:
    """What `rt.train` reads, update by update; after its last update what a training reads that goes on from there."""
    from rnntips.engine.tbptt import loader_for
    from rnntips.runs import Runs

    done, updates = 0, recipe.updates_for(len(examples.of(0)), **examples.sizes)
    while True:
        room = np.empty((1, updates))  # tells a record how long it is
        record = Runs((recipe,), setting, seeds=np.array([seed]), train_loss=room, updates_before=done)
        loader = loader_for(record, [examples])
        for update in range(updates):
            spec = loader.spec(update)
            inputs, targets, weights = loader.batch(update, spec)  # (workers, B, …), B padded
            B, counted = recipe.batch_size, None
            if examples.loss_at == "every":
                shape = len(inputs), len(loader.share), targets.shape[2]
                counted = (weights if weights.dim() == 3 else loader.share[:, None]).expand(shape)[:, :B].flatten(0, 1)
            inputs = inputs[:, :B, spec.burn_in :].flatten(0, 1)
            targets = targets[:, :B].flatten(0, 1)
            yield inputs, _targets(targets, inputs.shape[1], counted, examples.classes)
        done += updates
        updates = done


def _once(examples: Examples, part: int, size: int) -> Iterator[tuple[Tensor, Tensor]]:
    """All windows of a part."""
    windows = examples.of(part)
    for some in np.split(windows, range(size, len(windows), size)):
        targets, counted = examples.targets[some], None
        if examples.loss_at == "every":
            rows = examples.rows(some, examples.skip)
            targets, counted = examples.targets[rows], np.ones(rows.shape, bool)
            if examples.symbols:
                targets = np.eye(examples.symbols, dtype=np.float32)[targets[..., 0]]
            if examples.counted is not None:
                counted = examples.counted[rows]
            counted = torch.from_numpy(counted)
        found = torch.from_numpy(targets), examples.steps, counted, examples.classes
        yield torch.from_numpy(examples.inputs(some)), _targets(*found)


def _targets(targets: Tensor, steps: int, counted: Tensor | None, classes: bool) -> Tensor:
    """Targets as torch's losses want them, see `batches`, from (B, K) or (B, T', K), the last T' steps of a window.

    Args:
        counted: Which of these steps count, (B, T'); None: there is one answer a window.
    """
    found = targets.argmax(-1) if classes else targets
    if counted is None:
        return found
    nothing = IGNORED if classes else torch.nan
    found = torch.where(counted > 0 if classes else counted[..., None] > 0, found, nothing)
    before = steps - found.shape[1]
    return functional.pad(found, (before, 0) if classes else (0, 0, before, 0), value=nothing)
