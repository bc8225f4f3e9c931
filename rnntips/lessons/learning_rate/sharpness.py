"""How sharply the training loss bends: the largest curvature at a run's weights, which bounds its learning rate."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from rnntips.engine.losses import loss
from rnntips.engine.settings import own_settings
from rnntips.errors import BadArgument, need_whole
from rnntips.loader import rebuilt, sized
from rnntips.models import Network
from rnntips.recipe import Recipe
from rnntips.runs import Runs
from rnntips.tasks import one_task
from rnntips.training import Job, train_jobs

__all__ = ["edge", "sharpness", "sharpness_along"]

ADAM = 0.9, 0.999  # betas
EPS = 1e-8


def sharpness(runs: Runs, on, *, windows: int = 64, products: int = 12) -> np.ndarray:
    """Largest eigenvalue of the Hessian of the training loss, in the geometry of the runs' optimizer, (R,).

    With plain gradient descent it is that of the loss itself. Adam divides every weight's step by the root of its
    squared gradients' mean, so there the loss is looked at in weights stretched by the square root of that root.

    Args:
        runs: Trained networks, with answers after a window's last step.
        on: The Task or Series they were trained on.
        windows: At most so many training windows, evenly spread.
        products: Of the Hessian with a vector, one after the other; more are more exact, and more than the weights
            are never needed.

    Returns:
        In loss units per squared weight; NaN for a run that diverged.

    Raises:
        BadArgument: Answers at every step, several settings, RMSprop, or Adam before its first update.

    Source: Lanczos (1950), whose vectors are those of power iteration, kept apart: the largest eigenvalue is found in
    far fewer products, and never the lowest one in its place. Products by Pearlmutter (1994).
    """
    need_whole("windows", windows, 1)
    need_whole("products", products, 1)
    task = one_task(on, "sharpness looks at")
    network, examples, chosen, inputs = rebuilt(
        runs.recipes, runs.seeds, task, lambda example: example.of(0, windows), runs.weights, torch.float64
    )
    if any(recipe.early_stopping for recipe in runs.recipes):
        raise BadArgument("sharpness looks at runs that have done the same updates. Leave early_stopping out.")
    if examples[0].loss_at == "every":
        raise BadArgument(f"{task.name} asks for an answer at every step. Sharpness is for one answer a window.")
    targets = np.stack([example.targets[some] for example, some in zip(examples, chosen, strict=True)])
    with own_settings():
        slope = _slope(network, examples[0].head, inputs, torch.tensor(targets, dtype=torch.float64))
        stretch = 1 / _step_sizes(runs)[:, : network.count].sqrt()
        found = _largest(lambda v: _times(network, slope, v / stretch) / stretch, stretch, products)
    return found.numpy()


def sharpness_along(
    recipes: Sequence[Recipe], on, seeds: Sequence[int], updates: Sequence[int], **how: int
) -> dict[Recipe, np.ndarray]:
    """Sharpness after so many updates of a training: recipe → (R, n), for n numbers of updates and R seeds.

    Training is done in pieces, each going on from the one before; its runs are those of an undivided one.

    Args:
        recipes: They train side by side, so they may differ in numbers, schedules and the like, not in shape.
        how: For `sharpness`.
    """
    if any(recipe.rescue or recipe.early_stopping for recipe in recipes):
        raise BadArgument("A rescue looks back further than a piece of training, and so does early stopping. Leave "
                          "rescue and early_stopping out here.")  # fmt: skip
    task, many = one_task(on, "sharpness looks at"), [*seeds] * len(recipes)
    each, found, start, done = [sized(recipe, task) for recipe in recipes for _ in seeds], [], None, 0
    for point in updates:
        need_whole("each number of updates", point, done + 1)
        job = Job([recipe.but(updates=point - done) for recipe in each], many, task)
        (start,) = train_jobs([job], [Runs()], start=start)
        found.append(sharpness(start, on, **how))
        done = point
    rows = np.stack(found, 1).reshape(len(recipes), len(seeds), len(updates))
    return dict(zip(recipes, rows, strict=True))


def edge(recipe: Recipe) -> float:
    """The learning rate times sharpness above which steps on a bowl grow instead of shrinking.

    2 for plain gradient descent; momentum β moves it to 2 (1 + β); Adam's mean of gradients to 2 (1 + β) / (1 − β).

    Source: Cohen and others (2021), "Gradient descent on neural networks typically occurs at the edge of stability";
    Cohen and others (2022), "Adaptive gradient methods at the edge of stability".
    """
    if recipe.optimizer == "adam":
        return 2 * (1 + ADAM[0]) / (1 - ADAM[0])
    if recipe.nesterov or recipe.optimizer == "rmsprop":
        raise BadArgument("The edge is known here for plain gradient descent, its usual momentum, and Adam.")
    return 2 * (1 + recipe.momentum)


def _step_sizes(runs: Runs) -> Tensor:
    """What the optimizer multiplies each weight's gradient by, beside the learning rate, (R, P)."""
    rule = runs.recipes[0].optimizer
    if rule == "rmsprop":
        raise BadArgument("Sharpness is known here for gradient descent and Adam, not for RMSprop.")
    if rule == "sgd":
        return torch.ones(runs.weights.shape, dtype=torch.float64)
    count = runs.updates_before + runs.reached
    if not count:
        raise BadArgument("Adam has seen no gradient yet, so it has no geometry. Train for an update at least.")
    square = torch.tensor(runs.optimizer_state["square"], dtype=torch.float64)
    return 1 / ((square / (1 - ADAM[1] ** count)).sqrt() + EPS)


def _slope(network: Network, head: str, inputs: Tensor, targets: Tensor) -> Tensor:
    """Gradient of each run's mean loss, (R, P'), which can be differentiated again."""
    share = torch.full(inputs.shape[1:2], 1 / inputs.shape[1], dtype=inputs.dtype)
    total = loss(head, network(inputs), targets, share).sum()
    return _flat(torch.autograd.grad(total, list(network.parameters.values()), create_graph=True))


def _times(network: Network, slope: Tensor, vector: Tensor) -> Tensor:
    """Each run's Hessian times its vector, (R, P'): runs do not know of each other, so one sum serves all."""
    along = (slope * vector).sum()
    return _flat(torch.autograd.grad(along, list(network.parameters.values()), retain_graph=True)).detach()


def _flat(parts: Sequence[Tensor]) -> Tensor:
    return torch.cat([part.flatten(1) for part in parts], 1)


def _largest(times, like: Tensor, products: int) -> Tensor:
    """Largest eigenvalue of R symmetric matrices, (R,), by so many products with R vectors shaped `like`."""
    rng = torch.Generator().manual_seed(0)
    vector = torch.randn(like.shape[1], generator=rng, dtype=like.dtype).expand_as(like)
    basis, rows = [], []
    for _ in range(min(products, like.shape[1])):
        for other in [*basis, *basis]:  # twice, or rounding brings back what was taken out
            vector = vector - (vector * other).sum(1, keepdim=True) * other
        norm = vector.norm(dim=1, keepdim=True)
        vector = vector / norm.clamp(min=torch.finfo(like.dtype).tiny)
        basis.append(vector)
        vector = times(vector)
        rows.append(vector)
    q, images = torch.stack(basis, 1), torch.stack(rows, 1)  # (R, products, P') each
    small = q @ images.transpose(1, 2)
    known = small.isfinite().all(2).all(1)
    small = torch.where(known[:, None, None], (small + small.transpose(1, 2)) / 2, 0)
    return torch.where(known, torch.linalg.eigvalsh(small)[:, -1], torch.nan)
