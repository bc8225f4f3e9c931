"""One update of all runs: loss, gradients, clipping, optimizer. Compiled where possible, else in torch.

An `Update` is called with the number of an update, and changes the network's weights and the optimizer's averages.
`arrived` returns the statistics since its last call; on a GPU this takes as long as an update.
"""

from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from rnntips import engine
from rnntips.cells import CELLS
from rnntips.engine import threads
from rnntips.engine.losses import loss
from rnntips.engine.tbptt import TBPTTLoader
from rnntips.errors import BadArgument
from rnntips.loader import BatchSpec, Loader, Masks, Noise
from rnntips.models import Network, network_for
from rnntips.optimizers import clip_gradient, clip_weights, numbers_of, step
from rnntips.recipe import FIELDS
from rnntips.runs import Runs
from rnntips.schedule import RESCUES, planned, plateau

__all__ = ["UpdateStats", "updater"]


class UpdateStats(NamedTuple):
    """Statistics of one update, each (R,)."""

    loss: np.ndarray
    gradient_norm: np.ndarray  # before clipping
    step_ratio: np.ndarray  # norm of the step over norm of the weights


def updater(record: Runs, network: Network, loader: Loader, state: dict[str, Tensor]):
    """The `Update` for these runs; it changes the weights of `network` and the optimizer's averages `state`."""
    recipe = record.recipes[0]
    if recipe.workers > 1:
        return AveragedUpdate(record, network, loader, state)
    if recipe.chunk and recipe.grow:
        return GrowingUpdate(record, network, loader, state)
    if network.flat.device.type != "cpu":
        return CUDAGraphUpdate(record, network, loader, state)
    compiled = engine.compiled_update()
    if compiled is not None:
        return NumbaUpdate(compiled, record, network, loader, state)
    return TorchUpdate(record, network, loader, state)


class Rates:
    """Each run's learning rate at an update, (R,) float32: `lr` times the factors of its schedule and its rescue.

    If training continues from another record, schedules count the updates of both.
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


def _limits(record: Runs) -> np.ndarray:
    """Every run's limit of clipping, (R,) float32; infinity without one."""
    limits = [np.inf if recipe.clip_norm is None else recipe.clip_norm for recipe in record.recipes]
    return np.array(limits, np.float32)


def _decay(record: Runs, network: Network) -> Tensor:
    """Weight decay of every run, (R, 1), or of every weight, (R, P), where some are spared."""
    rows = [[recipe.weight_decay] for recipe in record.recipes]
    decay = torch.tensor(rows, dtype=torch.float32, device=network.flat.device)
    sparing = [recipe.decay_on == "all but recurrent" for recipe in record.recipes]
    if any(sparing):
        decay = decay.repeat(1, network.flat.shape[1])
        for name in (layer.weights[2] for layer in network.stack if layer.cell in CELLS):
            decay[sparing, network.slices[name]] = 0
    return decay


def _frozen(record: Runs, network: Network) -> list[int]:
    """How many of each run's first weights stay as they are."""
    least = network.count if record.recipes[0].solved else 0
    return [least if recipe.frozen is None else network.below for recipe in record.recipes]


def _trained(record: Runs, network: Network) -> Tensor | None:
    """1 for every weight that is trained and 0 for one that is frozen, (R, P); None if all are trained."""
    frozen, device = _frozen(record, network), network.flat.device
    if not any(frozen):
        return None
    return (torch.arange(network.flat.shape[1], device=device) >= torch.tensor(frozen, device=device)[:, None]).float()


class Update:
    """Base class; here the statistics of an update are known as soon as it is done."""

    prompt = True  # whether statistics are fetched after every update
    stats: list[tuple[int, UpdateStats]]

    def __init__(self):
        self.stats = []

    def arrived(self) -> list[tuple[int, UpdateStats]]:
        """Updates with their statistics, since the last call."""
        arrived, self.stats = self.stats, []
        return arrived


class TorchUpdate(Update):
    """An update in plain torch operations, for any device and network."""

    def __init__(self, record: Runs, network: Network, loader: Loader, state: dict[str, Tensor]):
        super().__init__()
        self.network, self.loader, self.state, self.recipe = network, loader, state, record.recipes[0]
        self.masks, self.noise, self.before = Masks(record), Noise(record, network), record.updates_before
        self.numbers, self.decay = numbers_of(record.recipes, network.flat.device), _decay(record, network)
        self.trained = _trained(record, network)
        self.limit = torch.from_numpy(_limits(record))[:, None].to(network.flat.device)
        self.rates = Rates(record)

    def __call__(self, update: int) -> None:
        spec = self.loader.spec(update)
        given = {name: value.to(self.network.flat.device) for name, value in self._given(update, spec).items()}
        stats = self._do(spec, update, self.before + update + 1, **given)
        self.stats.append((update, UpdateStats(*stats.cpu().numpy())))

    def _given(self, update: int, spec: BatchSpec) -> dict[str, Tensor]:
        """What the host computes for an update: learning rates that vary, dropout masks, noise."""
        B, T, C = self.loader.shape(spec)
        rates = torch.from_numpy(self.rates(update))[:, None] if self.rates.vary else None
        (noise, between), (mask, masks) = self.noise.draw(B, T, C), self.masks.draw(B, T, C)
        given = {"rates": rates, "mask": mask, "masks": masks, "noise": noise, "between": between}
        return {name: value for name, value in given.items() if value is not None}

    def _do(
        self, spec: BatchSpec, update: int | Tensor, count: int | Tensor, *, rates: Tensor | None = None,
        mask: Tensor | None = None, masks: Tensor | None = None, noise: Tensor | None = None,
        between: Tensor | None = None,
    ) -> Tensor:  # fmt: skip
        """Make update `update` of this record (from 0), `count` of all (from 1); returns `UpdateStats` as (3, R)."""
        inputs, targets, share = self.loader.batch(update, spec)
        inputs = inputs if noise is None else inputs + noise
        inputs = inputs if mask is None else inputs * mask
        masks = () if masks is None else masks.unbind(1)
        between = () if between is None else between.split(self.noise.widths, 3)
        outputs = self.loader.trained(spec, self.network, inputs, masks, between)
        each = loss(self.loader.head, outputs, targets, share)
        gradient = self.network.gradient(each.sum())
        with torch.no_grad():
            gradient = gradient if self.trained is None else gradient * self.trained
            weights, norm = self.network.flat, gradient.norm(dim=1)
            clip_gradient(gradient, self.limit, self.recipe.clip, self.network.slices.values())
            numbers = self.numbers if rates is None else self.numbers._replace(lr=rates)
            change = step(self.recipe.rule, self.state, weights, gradient, self.decay, numbers, count)
            change = change if self.trained is None else change * self.trained
            weights += change
            clip_weights(weights, self.limit, self.recipe.clip)
            return torch.stack([each.detach(), norm, change.norm(dim=1) / weights.norm(dim=1)])


class CUDAGraphUpdate(TorchUpdate):
    """The same for a GPU: each kind of update (`BatchSpec`) is captured once as a CUDA graph and then replayed.

    The update's number stays on the device. So do its statistics, unless a `rescue` needs them at once.
    """

    def __init__(self, record: Runs, network: Network, loader: Loader, state: dict[str, Tensor]):
        super().__init__(record, network, loader, state)
        self.prompt = any(recipe.rescue for recipe in record.recipes)
        self.number, self.done = torch.zeros((2,), dtype=torch.long, device=network.flat.device)
        self.waiting: list[tuple[int, Tensor]] = []
        self.recorder = engine.Recorder([network.flat, *state.values(), *loader.kept])

    def __call__(self, update: int) -> None:
        spec = self.loader.spec(update)
        self.number.fill_(update)
        self.done.fill_(self.before)
        stats = self.recorder(spec, partial(self._numbered, spec), self._given(update, spec))
        self.waiting.append((update, stats.clone()))

    def _numbered(self, spec: BatchSpec, **given: Tensor) -> Tensor:
        return self._do(spec, self.number, (self.done + self.number + 1).double(), **given)

    def arrived(self) -> list[tuple[int, UpdateStats]]:
        if not self.waiting:
            return []
        updates, values = zip(*self.waiting, strict=True)
        self.waiting = []
        return [*zip(updates, (UpdateStats(*each) for each in torch.stack(values).cpu().numpy()), strict=True)]


class NumbaUpdate(Update):
    """An update in compiled code on a CPU, see `numba_update`."""

    def __init__(self, compiled, record: Runs, network: Network, loader: Loader, state: dict[str, Tensor]):
        super().__init__()
        self.loader, self.before, self.rates = loader, record.updates_before, Rates(record)
        self.masks, self.noise = Masks(record), Noise(record, network)
        self.numbers = np.concatenate([value.double().numpy() for value in numbers_of(record.recipes)], 1)
        averages = [average.numpy() for average in state.values()]
        decay = _decay(record, network).expand(network.flat.shape).contiguous().numpy()
        self.arrays = (network.flat.numpy(), averages[0], averages[-1], decay, self.numbers, _limits(record),
                       np.array(_frozen(record, network)))  # fmt: skip
        self.compiled = compiled(network, record, loader)

    def __call__(self, update: int) -> None:
        if self.rates.vary:
            self.numbers[:, 0] = self.rates(update)
        spec = self.loader.spec(update)
        sizes = self.loader.shape(spec)
        draws = *self.noise.draw(*sizes), *self.masks.draw(*sizes)
        stats = self.compiled(spec, update, self.before + update + 1, self.arrays, draws)
        self.stats.append((update, UpdateStats(*stats.T)))


class AveragedUpdate(Update):
    """An update by K workers per run: copies of its network with windows of their own, averaged every few updates.

    Between two averages the run's weights, which are scored, are the mean of its workers' weights all the same. Its
    statistics are means as well.

    Source: McDonald, Hall and Mann (2010), "Distributed training strategies for the structured perceptron", iterative
    parameter mixing.
    """

    def __init__(self, record: Runs, network: Network, loader: Loader, state: dict[str, Tensor]):
        super().__init__()
        recipe = record.recipes[0]
        if record.updates_before:
            raise BadArgument(f"workers={recipe.workers} cannot go on from another record, which has their mean alone.")
        self.every, self.count, self.copies = recipe.average_every, recipe.workers, network.copies(recipe.workers)
        states = {name: average.repeat_interleave(self.count, 0) for name, average in state.items()}
        alone = record.only(np.repeat(np.arange(len(record)), self.count))
        usual = {name: FIELDS[name] for name in ("workers", "average_every", "average_moments", "shards")}
        alone.recipes = tuple(each.but(**usual) for each in alone.recipes)
        self.inner = updater(alone, self.copies, loader, states)
        self.prompt = self.inner.prompt
        self.pairs = [(network.flat, self.copies.flat, True)]  # of runs, of workers, whether workers get the mean
        self.pairs += [(state[name], states[name], recipe.average_moments) for name in state]

    def __call__(self, update: int) -> None:
        self.inner(update)
        for mean, each, shared in self.pairs:
            mean.copy_(each.view(len(mean), self.count, -1).mean(1))
            if shared and (update + 1) % self.every == 0:
                each.copy_(mean.repeat_interleave(self.count, 0))

    def arrived(self) -> list[tuple[int, UpdateStats]]:
        return [(update, UpdateStats(*(values.reshape(-1, self.count).mean(1) for values in stats)))
                for update, stats in self.inner.arrived()]  # fmt: skip


class GrowingUpdate(Update):
    """Updates by chunks whose length grows once a run's training loss has not fallen for so many epochs.

    The record counts in updates of the first length, so that all runs and lengths read as many steps for as many
    updates: while chunks are k times as long, a run's weights change at every k-th update, and until then its
    statistics are those of the last change. The optimizer counts the changes alone.

    All runs are computed together until the first of them grows, then each by itself.

    Source: S2 in the lessons, "Training Recurrent Neural Networks on Long Sequences", batch sequence length.
    """

    def __init__(self, record: Runs, network: Network, loader: Loader, state: dict[str, Tensor]):
        super().__init__()
        recipe, example, runs = record.recipes[0], loader.examples[0], len(record)
        if record.updates_before:
            raise BadArgument(
                f"grow={recipe.grow!r} cannot go on from another record: chunks begin at their first length."
            )
        self.patience, self.lengths = plateau(recipe.grow)  # epochs; in chunks of the first length
        self.epoch = example.steps // recipe.chunk * max(1, len(example.of(0)) // recipe.batch_size)
        self.record, self.flat, self.state, self.examples = record, network.flat, state, loader.examples
        self.place, self.waited, self.changes = np.zeros((3, runs), int)  # which length; epochs; changes of the weights
        self.best, self.losses = np.full(runs, np.inf), [[] for _ in range(runs)]
        self.now = np.full((len(UpdateStats._fields), runs), np.nan, np.float32)
        self.parts = [self._begin(range(runs))]

    def _begin(self, rows: range, before: Update | None = None) -> tuple[range, Update]:
        """Some runs with their updates by chunks of their present length, which go on with the noise of others."""
        record, some = self.record.only(rows), slice(rows.start, rows.stop)
        chunk = record.recipes[0].chunk * self.lengths[self.place[rows[0]]]
        record.recipes = tuple(recipe.but(chunk=chunk, grow=None) for recipe in record.recipes)
        examples, state = self.examples[some], {name: value[some] for name, value in self.state.items()}
        network = network_for(record.recipes[0], examples[0], self.flat[some])
        inner = updater(record, network, TBPTTLoader(record, examples), state)
        if before is not None:
            inner.masks, inner.noise = before.masks, before.noise
        return rows, inner

    def __call__(self, update: int) -> None:
        if isinstance(self.parts[0][1], NumbaUpdate):
            threads.each(lambda part: self._step(*self.parts[part], update), len(self.parts))
        else:
            for part in self.parts:
                self._step(*part, update)
        self.stats.append((update, UpdateStats(*self.now.copy())))
        if (update + 1) % self.epoch == 0:
            self._end_epoch()

    def _step(self, rows: range, inner: Update, update: int) -> None:
        length = self.lengths[self.place[rows[0]]]
        if (update + 1) % length:
            return
        number = update // length  # of the update, counted in chunks of its length
        inner.before = int(self.changes[rows[0]]) - number
        inner(number)
        self.changes[rows] += 1
        ((_, stats),) = inner.arrived()
        self.now[:, rows] = stats
        for r, value in zip(rows, stats.loss, strict=True):
            self.losses[r].append(float(value))

    def _end_epoch(self) -> None:
        """Runs whose loss has not fallen for long enough go on with the next length."""
        losses, self.losses = np.array([np.mean(some) for some in self.losses]), [[] for _ in self.losses]
        fell = losses < self.best
        self.best, self.waited = np.where(fell, losses, self.best), np.where(fell, 0, self.waited + 1)
        grows = (self.waited >= self.patience) & (self.place + 1 < len(self.lengths))
        if grows.any() and len(self.parts) < len(grows):
            ((_, all_of_them),) = self.parts
            alone = [range(r, r + 1) for r in range(len(grows))]
            self.parts = [(rows, _apart(all_of_them, self._begin(rows)[1], rows)) for rows in alone]
        self.place, self.best = self.place + grows, np.where(grows, np.inf, self.best)
        self.waited = np.where(grows, 0, self.waited)
        self.parts = [self._begin(rows, inner) if grows[rows[0]] else (rows, inner) for rows, inner in self.parts]


def _apart(together: Update, alone: Update, rows: range) -> Update:
    """The updates of some runs, which go on with their noise as it was drawn for all."""
    alone.masks, alone.noise = together.masks.only(rows), together.noise.only(rows)
    return alone
