"""One update of all runs: loss, gradients, clipping, optimizer. Compiled where it can be, else in torch.

All kinds are called with the number of an update, and change the network's weights and the optimizer's averages.
`arrived` gives what happened since it was last asked, update by update. On a GPU asking takes as long as an update.
"""

from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from rnntips import kernels
from rnntips.feed import Feed, Masks, Noise, Reading
from rnntips.models import KEPT, Network
from rnntips.optimizers import RULES, clip_gradient, clip_weights
from rnntips.recipe import CLIPS
from rnntips.runs import Runs
from rnntips.schedule import RESCUES, planned
from rnntips.windows import HEADS

__all__ = ["Happened", "updater"]


class Happened(NamedTuple):
    """Each (R,)."""

    loss: np.ndarray
    gradient_norm: np.ndarray  # before clipping
    step_ratio: np.ndarray  # length of the step over the weights'


def updater(record: Runs, network: Network, feed: Feed, state: dict[str, Tensor]):
    """A function update → `Happened`, for runs whose weights are the network's and whose averages are `state`."""
    recipe = record.recipes[0]
    if network.flat.device.type != "cpu":
        return Repeated(record, network, feed, state)
    random = any(recipe.dropout or recipe.noise or recipe.noise_between for recipe in record.recipes)
    usual = feed.loss_at == "last" and not network.dense and not network.dense_after and not random
    small = 4 * recipe.batch_size * feed.steps * network.kept_values < KEPT
    fused = kernels.update() if usual and small else None
    if fused is not None:
        return Compiled(fused, record, network, feed, state)
    return InTorch(record, network, feed, state)


def losses(head: str, outputs: Tensor, targets: Tensor) -> Tensor:
    """The loss of every window (R, B), from outputs and targets (R, B, K); the mean over steps of (R, B, T, K)."""
    if head == "softmax+nll":
        each = -(targets * outputs.log_softmax(-1)).sum(-1)
    else:
        each = (outputs - targets).square().mean(-1)
    return each.mean(2) if each.dim() == 3 else each


class Rates:
    """Each run's learning rate at an update, (R,) float32: `lr` times what its schedule and its rescue ask for.

    Of a run that goes on from another, schedules count the updates of both.
    """

    def __init__(self, record: Runs):
        self.record, self.lr = record, np.array([recipe.lr for recipe in record.recipes])
        before, total = record.updates_before, record.updates_before + record.updates
        schedules = [recipe.schedule for recipe in record.recipes]
        courses = {schedule: planned(schedule) for schedule in schedules}
        factors = [[course(done, total) for done in range(before, total)] for course in courses.values()]
        self.factors, self.rows = np.array(factors, float), [[*courses].index(schedule) for schedule in schedules]
        self.vary = any(schedules) or any(recipe.rescue for recipe in record.recipes)

    def __call__(self, update: int) -> np.ndarray:
        factors, record = self.factors[self.rows, update], self.record
        for row in np.flatnonzero(record.rescued_at):
            since = record.updates_before + update - int(record.rescued_at[row])
            factors[row] *= RESCUES[record.recipes[row].rescue](since)
        return (self.lr * factors).astype(np.float32)


def _columns(record: Runs) -> np.ndarray:
    """Learning rate, momentum, weight decay and limit of clipping, (R, 4)."""
    rows = [(r.lr, r.momentum, r.weight_decay, np.inf if r.clip_norm is None else r.clip_norm) for r in record.recipes]
    return np.array(rows, np.float32)


class Updates:
    """What happened is known at once."""

    prompt = True
    happened: list[tuple[int, Happened]]

    def __init__(self):
        self.happened = []

    def arrived(self) -> list[tuple[int, Happened]]:
        """Updates with what happened in them, since the last call."""
        arrived, self.happened = self.happened, []
        return arrived


class InTorch(Updates):
    """For any device and network, with plain operations of torch."""

    def __init__(self, record: Runs, network: Network, feed: Feed, state: dict[str, Tensor]):
        super().__init__()
        self.network, self.feed, self.state, self.recipe = network, feed, state, record.recipes[0]
        self.masks, self.noise, self.before = Masks(record), Noise(record), record.updates_before
        hyper = torch.tensor(_columns(record), device=network.flat.device)
        self.lr, self.momentum, self.decay, self.limit = hyper.split(1, 1)
        self.rates = Rates(record)

    def __call__(self, update: int) -> None:
        reading = self.feed.reading(update)
        given = {name: value.to(self.network.flat.device) for name, value in self._given(update, reading).items()}
        happened = self._do(reading, update, self.before + update + 1, **given)
        self.happened.append((update, Happened(*happened.cpu().numpy())))

    def _given(self, update: int, reading: Reading) -> dict[str, Tensor]:
        """What the host says of an update, if anything."""
        B, T, C = self.feed.shape(reading)
        rates = torch.from_numpy(self.rates(update))[:, None] if self.rates.vary else None
        noise, between = self.noise.draw(B, T, C)
        given = {"rates": rates, "masks": self.masks.draw(B), "noise": noise, "between": between}
        return {name: value for name, value in given.items() if value is not None}

    def _do(
        self, reading: Reading, update: int | Tensor, count: int | Tensor, *, rates: Tensor | None = None,
        masks: Tensor | None = None, noise: Tensor | None = None, between: Tensor | None = None,
    ) -> Tensor:  # fmt: skip
        """One update, by its place in this record and its number in all; the three parts of `Happened`, (3, R)."""
        inputs, targets = self.feed.batch(update, reading)
        inputs = inputs if noise is None else inputs + noise
        masks = () if masks is None else masks.unbind(1)
        between = () if between is None else between.split(self.noise.widths, 3)
        outputs = self.feed.trained(reading, self.network, inputs, masks, between)
        loss = (losses(self.feed.head, outputs, targets) * self.feed.share).sum(1)
        gradient = self.network.gradient(loss.sum())
        with torch.no_grad():
            weights, norm = self.network.flat, gradient.norm(dim=1)
            clip_gradient(gradient, self.limit, self.recipe.clip, self.network.slices.values())
            gradient += self.decay * weights
            lr = self.lr if rates is None else rates
            step = RULES[self.recipe.rule].step(self.state, gradient, lr, self.momentum, count)
            weights += step
            clip_weights(weights, self.limit, self.recipe.clip)
            return torch.stack([loss.detach(), norm, step.norm(dim=1) / weights.norm(dim=1)])


class Repeated(InTorch):
    """The same for a GPU, which records each kind of update once and repeats it without Python.

    The update's number stays on the device, as does what happened, unless a rescue may have to follow.
    """

    def __init__(self, record: Runs, network: Network, feed: Feed, state: dict[str, Tensor]):
        super().__init__(record, network, feed, state)
        self.prompt = any(recipe.rescue for recipe in record.recipes)
        self.number = torch.zeros((), dtype=torch.long, device=network.flat.device)
        self.waiting: list[tuple[int, Tensor]] = []
        self.recorder = kernels.Recorder([network.flat, *state.values(), *feed.kept])

    def __call__(self, update: int) -> None:
        reading = self.feed.reading(update)
        self.number.fill_(update)
        happened = self.recorder(reading, partial(self._numbered, reading), self._given(update, reading))
        self.waiting.append((update, happened.clone()))

    def _numbered(self, reading: Reading, **given: Tensor) -> Tensor:
        return self._do(reading, self.number, (self.before + self.number + 1).double(), **given)

    def arrived(self) -> list[tuple[int, Happened]]:
        if not self.waiting:
            return []
        updates, values = zip(*self.waiting, strict=True)
        self.waiting = []
        return [*zip(updates, (Happened(*each) for each in torch.stack(values).cpu().numpy()), strict=True)]


class Compiled(Updates):
    """For the usual network on a CPU."""

    def __init__(self, fused, record: Runs, network: Network, feed: Feed, state: dict[str, Tensor]):
        super().__init__()
        recipe = record.recipes[0]
        self.batch_size, self.before = recipe.batch_size, record.updates_before
        self.rates, self.hyper = Rates(record), _columns(record)
        sizes = HEADS.index(feed.head), network.cell, network.layers, network.width
        arrays = (
            feed.signal.numpy(), feed.begins.numpy(), feed.targets.numpy(), network.flat.numpy(),
            [average.numpy() for average in state.values()],
            np.array([(columns.start, columns.stop) for columns in network.slices.values()]),
            list(RULES).index(recipe.rule), CLIPS.index(recipe.clip), self.hyper,
        )  # fmt: skip
        self.lengths = feed.lengths
        self.updates = {steps: fused(*sizes, steps, recipe.batch_size, *arrays) for steps in set(feed.lengths)}

    def __call__(self, update: int) -> None:
        if self.rates.vary:
            self.hyper[:, 0] = self.rates(update)
        numbers = self.updates[self.lengths[update]](update * self.batch_size, self.before + update + 1)
        self.happened.append((update, Happened(*numbers.T)))
