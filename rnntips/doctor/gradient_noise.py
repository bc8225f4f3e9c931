"""Gradient noise: how much the gradient of a mini-batch differs from the gradient of all training windows."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from rnntips.engine.losses import losses
from rnntips.engine.settings import own_settings
from rnntips.errors import BadArgument, need_whole
from rnntips.loader import examples_of, rebuilt
from rnntips.models import network_for
from rnntips.runs import Runs
from rnntips.tasks import one_task, stream

__all__ = ["GradientNoise", "first_weights", "gradient_noise"]

AT_ONCE = 256  # windows whose gradients are computed together: bounds memory


@dataclass(frozen=True, eq=False)
class GradientNoise:
    """Gradient noise of mini-batches of several sizes. R runs, S sizes.

    With G the mean gradient of all N training windows, and g that of a batch of B: noise is the root mean square of
    |g − G|, relative to |G|. At 1 a batch's error is as long as the gradient itself. It falls as 1/√B.
    """

    batch_sizes: np.ndarray  # (S,)
    noise: np.ndarray  # (R, S), relative to the gradient's length
    norm: np.ndarray  # (R,) |G|
    scale: np.ndarray  # (R,) the batch size at which noise would be 1 if there were infinitely many windows


@own_settings()
def gradient_noise(
    runs: Runs, on, batch_sizes: Sequence[int], *, batches: int = 200, weights: np.ndarray | None = None
) -> GradientNoise:
    """Draw batches of each size from the training windows, without training on them, and compare their gradients.

    Args:
        runs: Networks with one answer per window, as `train` leaves them.
        on: The Task or Series they were trained on.
        batch_sizes: Up to the number of training windows; a batch of all of them has no noise.
        batches: How many are drawn of each size, each without repetition, as in an epoch.
        weights: Weights in place of the trained ones, (R, P); `first_weights` for example.

    Raises:
        BadArgument: A batch larger than the training part, answers at every step, dropout or noise, several settings.

    Source: McCandlish and others (2018), "An empirical model of large-batch training", arXiv 1812.06162: the scale is
    their tr(S) / |G|², S the covariance of single windows' gradients.
    """
    need_whole("batches", batches, 2)
    task = one_task(on, "gradient_noise looks at")
    sizes, rows = [*batch_sizes], []
    flat = runs.weights if weights is None else weights
    for row, (recipe, seed) in enumerate(zip(runs.recipes, runs.seeds.tolist(), strict=True)):
        example = examples_of(recipe, task, seed)
        random = recipe.dropout or recipe.noise or recipe.noise_between
        if example.loss_at == "every" or random or recipe.head == "linear+rmse":
            raise BadArgument(
                "gradient_noise asks for one answer a window, for a recipe without dropout and noise, and for a loss "
                "that is a mean over windows, which a root is not."
            )
        each = window_gradients(recipe, example, flat[row])
        for size in sizes:
            need_whole("batch size", size, 1)
            if size > len(each):
                raise BadArgument(f"batch size {size}: there are {len(each)} training windows. Use at most so many.")
        rows.append(_noise(each, sizes, batches, stream("gradient noise", task.name, seed)))
    noise, norm, scale = (np.array(part) for part in zip(*rows, strict=True))
    return GradientNoise(np.array(sizes), noise, norm, scale)


def first_weights(runs: Runs, on) -> np.ndarray:
    """The initial weights of these runs, (R, P)."""
    task = one_task(on, "first_weights looks at")
    return rebuilt(runs.recipes, runs.seeds, task, lambda example: example.of(0, 1)).network.flat.numpy()


@own_settings()
def window_gradients(recipe, example, flat: np.ndarray) -> np.ndarray:
    """The loss gradient of every training window with respect to one run's weights, (N, P), float64.

    Every window has its own copy of the network; the copies are computed together as if they were runs.
    """
    train, found = example.of(0), []
    for first in range(0, len(train), AT_ONCE):
        some = train[first : first + AT_ONCE]
        network = network_for(recipe, example, torch.tensor(flat).repeat(len(some), 1))
        inputs = torch.tensor(example.inputs(some))[:, None]
        loss = losses(example.head, network(inputs), torch.tensor(example.targets[some])[:, None]).sum()
        found.append(network.gradient(loss).numpy()[:, : network.count])
    return np.concatenate(found).astype(np.float64)


def _noise(each: np.ndarray, sizes: Sequence[int], batches: int, rng: np.random.Generator):
    """Relative noise of batches of these sizes, |G|, and the scale, from single windows' gradients (N, P)."""
    mean = each.mean(0)
    apart = each - mean
    norm = float(np.linalg.norm(mean))
    spread = float((apart**2).sum() / (len(each) - 1))  # trace of the covariance
    noise = []
    for size in sizes:
        chosen = (rng.permutation(len(each))[:size] for _ in range(batches))
        noise.append(np.sqrt(np.mean([((apart[some].mean(0)) ** 2).sum() for some in chosen])) / norm)
    return noise, norm, spread / norm**2
