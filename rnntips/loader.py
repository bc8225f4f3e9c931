"""Data loader: windows and targets of R runs on the device, cut into mini-batches; dropout masks and noise."""

from collections.abc import Callable, Sequence
from copy import copy
from math import gcd
from typing import NamedTuple

import numpy as np
import torch

from rnntips.engine.losses import as_scored
from rnntips.engine.threads import each
from rnntips.errors import BadArgument
from rnntips.models import ALIGNMENT, Network, initial_weights, network_for
from rnntips.recipe import Parameters, Recipe
from rnntips.runs import Runs
from rnntips.schedule import window_lengths
from rnntips.tasks import stream
from rnntips.windows import Examples, batches

__all__ = ["BatchSpec", "Loader", "Masks", "Noise", "Rebuilt", "examples_of", "rebuilt", "sized",
           "updates_of"]  # fmt: skip

PASS, FEW = 64, 16  # windows of one pass in an evaluation, and where there are fewer a multiple of this; for any R


def examples_of(recipe: Recipe, task, seed: int) -> Examples:
    """The windows that a task gives to one seed; `train_size` leaves some out, after all were cut and scaled.

    Raises:
        BadArgument: `grow` does not fit the task's windows, or `train_size` is too large.
    """
    examples = task.examples(recipe, seed)
    growing = recipe.grow and not recipe.chunk
    if growing and examples.loss_at == "every":
        raise BadArgument(
            f"grow={recipe.grow!r} needs one answer at the end of a window, and {task.name} has answers at every step. "
            "Leave grow out."
        )
    if growing and recipe.steps != examples.steps:
        raise BadArgument(
            f"grow={recipe.grow!r}: {task.name} has windows of {examples.steps} steps, and past={recipe.past} would "
            f"count others. Set past={examples.steps}."
        )
    if recipe.train_size is None:
        return examples
    return examples.fewer(recipe.train_size, stream("train_size", task.name, seed), task.name)


def sized(recipe: Recipe, task) -> Recipe:
    """The recipe with its width in units. A width in parameters depends on the task, but not on the seed.

    Training, counting work and naming stored runs need recipes in this form.

    Raises:
        BadArgument: No width gives about so many parameters.
    """
    if not isinstance(recipe, Recipe) or not isinstance(recipe.width, Parameters):
        return recipe
    example = task.examples(recipe, 0)
    given = recipe.cell, recipe.layers, example.channels, example.outputs, recipe.dense, recipe.dense_after
    return recipe.but(width=recipe.width.width(*given))


def updates_of(recipe: Recipe, task) -> int:
    """The number of updates of a recipe's run on a task."""
    recipe, example = sized(recipe, task), examples_of(recipe, task, 0)
    return recipe.updates_for(len(example.of(0)), **example.sizes)


class Rebuilt(NamedTuple):
    """The networks of R runs, and some windows of the data that they were made for."""

    network: Network
    examples: list[Examples]  # one per run
    chosen: list[np.ndarray]  # per run the indices of its windows, (n,)
    inputs: torch.Tensor  # (R, n, T, C)


def rebuilt(
    recipes: Sequence[Recipe], seeds: Sequence[int], task, choose: Callable[[Examples], np.ndarray],
    weights: np.ndarray | None = None, dtype: torch.dtype = torch.float32,
) -> Rebuilt:  # fmt: skip
    """The networks of these runs, and the windows of each that `choose` picks.

    Args:
        recipes: With widths in units, as finished runs have them.
        weights: (R, P); None: the initial weights.
    """
    examples = [examples_of(recipe, task, int(seed)) for recipe, seed in zip(recipes, seeds, strict=True)]
    first = examples[0]
    if weights is None:
        sizes = first.channels, first.outputs
        weights = initial_weights(recipes, task.name, [int(seed) for seed in seeds], *sizes, examples)
    chosen = [choose(example) for example in examples]
    inputs = np.stack([example.inputs(some) for example, some in zip(examples, chosen, strict=True)])
    network = network_for(recipes[0], first, torch.tensor(weights, dtype=dtype))
    return Rebuilt(network, examples, chosen, torch.tensor(inputs, dtype=dtype))


class BatchSpec(NamedTuple):
    """The kind of mini-batch that an update reads; updates with equal specs do the same operations."""

    steps: int  # time steps of the inputs
    skip: int  # the first steps; their answers do not count
    burn_in: int = 0  # the first steps, read without a gradient, for a state to begin with
    keep_after: int = 0  # steps after the burn-in, where the next update begins and the state is kept; 0: none is
    carried: bool = False  # whether the update begins with the state that was kept
    cut: int = 0  # the gradient goes back to the last multiple of so many steps; 0: to the first step


class Loader:
    """The data loader of R runs: it cuts the windows of each mini-batch from each run's signal, on the device."""

    def __init__(self, record: Runs, examples: list[Examples]):
        recipe, device, self.record = record.recipes[0], record.device, record
        self.batch_size, self.device, self.examples = recipe.batch_size, device, examples
        self.test_past = recipe.test_past
        first = examples[0]
        self.steps, self.head, self.loss_at = first.steps, first.head, first.loss_at
        self.skip, self.symbols = first.skip, first.symbols
        self.classes = torch.arange(self.symbols, device=device)
        sizes = [len(e.signal) for e in examples]
        self.base = np.concatenate([[0], np.cumsum(sizes)[:-1]])
        signals = [e.signal for e in examples]  # of one run as it is: a long sequence has hundreds of megabytes
        whole = np.concatenate(signals) if len(signals) > 1 else np.require(signals[0], requirements="CW")
        self.signal = torch.from_numpy(whole).to(device)
        self.counted = None
        if first.counted is not None:  # (ΣL,)
            self.counted = torch.from_numpy(np.concatenate([e.counted for e in examples])).float().to(device)
        self.stride = first.stride
        self.columns = torch.arange(recipe.batch_size, device=device)  # of a mini-batch in `begins`, `targets`
        self.time = first.stride * torch.arange(self.steps, device=device)[:, None]  # rows after a window's first
        padded = aligned(recipe.batch_size, recipe.width)
        self.share = torch.full((padded,), 1 / recipe.batch_size, dtype=torch.float32, device=device)
        self.share[recipe.batch_size :] = 0.0
        self.kept: list[torch.Tensor] = []  # states that one update keeps for the next
        self._scored: dict[int, tuple] = {}
        total = record.updates_before + record.updates
        self.lengths = window_lengths(recipe.grow, self.steps, total)[record.updates_before :]  # steps, by update
        begins, targets = [], []
        for r, (example, seed) in enumerate(zip(examples, record.seeds.tolist(), strict=True)):
            dealt = self._dealt(record, record.recipes[r], example, seed)
            begins += [self.base[r] + example.starts[chosen] for chosen in dealt]
            targets += [example.targets] if self.loss_at == "every" else [example.targets[chosen] for chosen in dealt]
        shorter = first.stride * (self.steps - np.array(self.lengths))
        left_out = np.repeat(shorter, recipe.batch_size) if recipe.grow and not recipe.chunk else 0
        self.begins = torch.from_numpy(np.stack(begins) + left_out).to(device)  # (R, U·B)
        put = np.concatenate if self.loss_at == "every" else np.stack
        # (R, U·B, K), or all runs' signals, (ΣL, K)
        self.targets = torch.from_numpy(put(targets)).contiguous().to(device)

    def _dealt(self, record: Runs, recipe: Recipe, example: Examples, seed: int) -> list[np.ndarray]:
        """The windows of each worker of a run in the order that it reads them, (U·B,) each.

        Alike workers share what one worker would read with a batch of all their windows; an unlike one reads its part.
        """
        (done, after), dealt = self.batches_read(record), []
        parts = [example.of(0)]
        if recipe.shards == "unlike":
            labels = example.labels(parts[0])
            rows = parts[0] if labels is None else parts[0][labels.argsort(kind="stable")]
            parts = np.array_split(rows, recipe.workers)
        each = recipe.workers // len(parts)  # workers of a part
        for number, part in enumerate(parts):
            size = each * recipe.batch_size
            rng = stream(f"order of worker {number}" if number else "order", record.setting, seed)
            chosen = part[batches(recipe.order, len(part), after * size, rng, example.labels(part))[done * size :]]
            dealt += [*chosen.reshape(after - done, each, -1).swapaxes(0, 1).reshape(each, -1)]
        return dealt

    def batches_read(self, record: Runs) -> tuple[int, int]:
        """(mini-batches read before this record's updates, mini-batches read at its end)."""
        return record.updates_before, record.updates_before + record.updates

    def _windows(self, begins: torch.Tensor, steps: int | None = None) -> torch.Tensor:
        """Windows that begin at these places, (R, B), as inputs (R, B, T, C); T is `steps`, or all if None."""
        return self._cut(self.signal, begins[:, None, :] + self.time[:steps]).transpose(1, 2)

    def _cut(self, signal: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
        found = signal[places]
        return (found == self.classes).float() if self.symbols else found

    def _fill(self, rows: torch.Tensor, width: int) -> torch.Tensor:
        """Repeat the last window of every run until there are `width`."""
        missing = width - rows.shape[1]
        return torch.cat([rows, rows[:, -1:].expand(-1, missing, *rows.shape[2:])], 1) if missing else rows

    def shape(self, spec: BatchSpec) -> tuple[int, int, int]:
        """B, T and C of the inputs."""
        return len(self.share), spec.steps, self.symbols or self.signal.shape[1]

    def spec(self, update: int) -> BatchSpec:
        """The `BatchSpec` of an update."""
        return BatchSpec(self.lengths[update], self.skip)

    def batch(self, update: int | torch.Tensor, spec: BatchSpec) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Inputs (R, B, T, C), targets, and weights in the loss; B is padded with windows whose weight is 0.

        Targets are (R, B, K), or (R, B, T', K) if T' steps of a window count. Weights are (B,), or (R, B, T') if only
        some of these steps count: equal for all that do in this mini-batch, and all 0 if none does. `update` may be a
        tensor on the device.
        """
        begins, columns = self._begins(update, spec)
        begins = self._fill(begins, len(self.share))
        inputs = self._windows(begins, spec.steps)
        if self.loss_at == "last":
            return inputs, self._fill(self.targets[:, columns], len(self.share)), self.share
        places = begins[:, :, None] + self.time[spec.skip : spec.steps, 0]
        targets = self._cut(self.targets, places)
        if self.counted is None:
            return inputs, targets, self.share
        counted = self.counted[places] * (self.share > 0)[:, None]
        return inputs, targets, counted / counted.sum((1, 2), keepdim=True).clamp(min=1)

    def _begins(self, update: int | torch.Tensor, spec: BatchSpec) -> tuple[torch.Tensor, torch.Tensor]:
        """Where an update's windows begin, (R, B), and which columns of `begins` they are, (B,)."""
        columns = update * self.batch_size + self.columns
        return self.begins[:, columns], columns

    def places(self, update: int, spec: BatchSpec) -> tuple[np.ndarray, slice]:
        """As `_begins`, for compiled code: where an update's windows begin, (R, B), and their columns of `begins`."""
        columns = slice(update * self.batch_size, (update + 1) * self.batch_size)
        return self.begins.numpy()[:, columns], columns

    def outputs(
        self, network: Network, inputs: torch.Tensor, masks: Sequence[torch.Tensor] = (),
        noise: Sequence[torch.Tensor] = (),
    ) -> torch.Tensor:  # fmt: skip
        """A network's predictions, shaped like the targets."""
        if self.loss_at == "last":
            return network(inputs, masks, noise)
        return network.sequence(inputs, masks, noise=noise)[0][:, :, self.skip :]

    def trained(
        self, spec: BatchSpec, network: Network, inputs: torch.Tensor, masks: Sequence[torch.Tensor] = (),
        noise: Sequence[torch.Tensor] = (),
    ) -> torch.Tensor:  # fmt: skip
        """A network's predictions for `batch(…, spec)` in training, shaped like the targets."""
        return self.outputs(network, inputs, masks, noise)

    def _tested(self, network: Network, inputs: torch.Tensor, masks: "Masks | None" = None) -> torch.Tensor:
        """A network's predictions when it is scored, shaped like the targets; with dropout, where it is left on."""
        if masks is not None:
            drawn = masks.draw(*inputs.shape[1:])
            mask, layers = (each if each is None else each.to(inputs.device) for each in drawn)
            return self.outputs(network, inputs if mask is None else inputs * mask, layers.unbind(1))
        if self.test_past is None:
            return self.outputs(network, inputs)
        first = [network.sequence(inputs[:, :, : self.test_past])[0]]
        ends = range(self.test_past + 1, self.steps + 1)
        later = [network(inputs[:, :, end - self.test_past : end])[:, :, None] for end in ends]
        return torch.cat(first + later, 2)[:, :, self.skip :]

    def predict(self, network: Network, part: int) -> list[tuple[np.ndarray, np.ndarray]]:
        """Predictions and truth of a part's scored windows, in the task's unit (logits of classes), each (R, n, K).

        If a window has answers at many steps, n counts the answers; where only some of them count, runs come one by
        one, each (1, n, K).
        """
        if part not in self._scored:
            self._scored[part] = self._score(part)
        passes, spread, offset, truth, counted = self._scored[part]
        masks = Masks(self.record, part) if self.record.recipes[0].dropout_test == "on" else None
        with torch.no_grad():
            found = [self._tested(network, self._windows(begins), masks) for begins in passes]
        scaled = torch.cat([outputs.flatten(1, -2) for outputs in found], 1)
        outputs = scaled[:, : counted.shape[1]].cpu().numpy().astype(np.float64)
        answers = as_scored(self.head, outputs, self.examples[0].classes) * spread + offset
        if self.counted is None:
            return [(answers, np.stack(truth))]
        return [(row[None, some], true[None]) for row, some, true in zip(answers, counted, truth, strict=True)]

    def last(self, part: int) -> np.ndarray | None:
        """The last value seen before each of a part's answers, (R, n, K), if the task has such values."""
        rows = [None if one.last is None else one.last[one.scored(part)] for one in self.examples]
        return None if rows[0] is None else np.stack(rows)

    def _score(self, part: int) -> tuple[list[torch.Tensor], np.ndarray, np.ndarray, list[np.ndarray], np.ndarray]:
        """Of a part's scored windows: their places, pass by pass; scale and offset of the predictions; truth (n, K).

        Truth is a list, one array a run. The last array, (R, n), says which answers count.
        """
        indices = [e.scored(part) for e in self.examples]
        places = [base + e.starts[i] for base, e, i in zip(self.base, self.examples, indices, strict=True)]
        width = min(PASS, -(-places[0].size // FEW) * FEW)
        passes = [self._fill(some, width) for some in torch.tensor(np.stack(places), device=self.device).split(PASS, 1)]
        spread = np.array([e.spread for e in self.examples])[:, None, None]
        pairs = list(zip(self.examples, indices, strict=True))
        truth = [e.answers(i) for e, i in pairs]
        offset = np.stack([e.offset[i] for e, i in pairs]) if self.loss_at == "last" else np.zeros(())
        counted = np.ones((len(truth), len(truth[0])), bool)
        if self.counted is not None:
            counted = np.stack([e.counted[e.rows(i, self.skip)].ravel() for e, i in pairs])
        return passes, spread, offset, truth, counted


class Masks:
    """Dropout masks for the recurrent layers and for the inputs, from one random stream each per run.

    Args:
        part: Of the data, for masks to score it with; None: for training.
    """

    def __init__(self, record: Runs, part: int | None = None):
        self.recipes = record.recipes
        when = f"from update {record.updates_before}" if part is None else f"when part {part} is scored"
        self.layers, self.inputs = ([stream(f"{what} {when}", record.setting, seed) for seed in record.seeds.tolist()]
                                    for what in ("noise", "dropout of inputs"))  # fmt: skip

    def draw(self, windows: int, steps: int, channels: int) -> tuple[torch.Tensor | None, torch.Tensor | None]:
        """Masks on the host: of the inputs, (R, B, T, C), and of all layers, (R, layers, B, 1 or T, H).

        None where a recipe has none. Kept values are scaled in training ("inverted dropout"), see `dropout_test`.
        """
        recipe, inputs = self.recipes[0], None
        if not recipe.dropout:
            return None, None
        if recipe.dropout_at == "inputs and outputs":
            inputs = self._draw(self.inputs, (windows, steps, channels))
        masks = steps if recipe.dropout_at == "between steps, new masks" else 1
        return inputs, self._draw(self.layers, (recipe.layers, windows, masks, recipe.width))

    def only(self, rows: Sequence[int]) -> "Masks":
        """Those of some runs, from the same streams."""
        found = copy(self)
        found.recipes = tuple(self.recipes[r] for r in rows)
        found.layers, found.inputs = ([rngs[r] for r in rows] for rngs in (self.layers, self.inputs))
        return found

    def _draw(self, rngs: list[np.random.Generator], shape: Sequence[int]) -> torch.Tensor:
        keep = [1 - recipe.dropout for recipe in self.recipes]
        kept = [1 if recipe.dropout_test == "unscaled" else 1 - recipe.dropout for recipe in self.recipes]
        rows = [(rng.random(shape) < some) / scale for rng, some, scale in zip(rngs, keep, kept, strict=True)]
        return torch.from_numpy(np.array(rows, np.float32))


class Noise:
    """Gaussian noise for the inputs and for every layer's output, from one random stream per run and place.

    It is drawn with standard deviation 1, without B's padding, and then scaled: arms that differ in standard deviation
    or padding get the same draws.
    """

    def __init__(self, record: Runs, network: Network):
        recipe, self.record = record.recipes[0], record
        self.inputs = self._place("inputs") if recipe.noise else None
        layers = network.stack[:-1] if recipe.noise_between else []
        self.between = [(self._place(layer.name), layer.width) for layer in layers]
        self.widths = [layer.width for layer in layers]

    def only(self, rows: Sequence[int]) -> "Noise":
        """That of some runs, from the same streams."""
        found = copy(self)
        found.record, found.inputs = self.record.only(rows), self.inputs and [self.inputs[r] for r in rows]
        found.between = [([rngs[r] for r in rows], width) for rngs, width in self.between]
        return found

    def _place(self, name: str) -> list[np.random.Generator]:
        purpose = f"noise of {name} from update {self.record.updates_before}"
        return [stream(purpose, self.record.setting, seed) for seed in self.record.seeds.tolist()]

    def draw(self, windows: int, steps: int, channels: int) -> tuple[torch.Tensor | None, torch.Tensor | None]:
        """An update's noise on the host: for inputs (R, B, T, C), and for the layers, dense ones first, (R, B, T, ΣH).

        None where a recipe has no noise.
        """
        shape = (len(self.record), windows, steps)
        inputs = None if self.inputs is None else self._draw("noise", [(self.inputs, channels)], shape)
        return inputs, self._draw("noise_between", self.between, shape) if self.between else None

    def _draw(
        self, field: str, places: list[tuple[list[np.random.Generator], int]], shape: Sequence[int]
    ) -> torch.Tensor:  # fmt: skip
        """Noise of several places side by side, (R, B, T, their widths together); each from its own streams."""
        ends = np.cumsum([0, *(wide for _, wide in places)])
        drawn, windows = np.zeros((*shape, ends[-1]), np.float32), self.record.recipes[0].batch_size

        def draw(r: int) -> None:
            scale = np.float32(getattr(self.record.recipes[r], field))
            for (rngs, wide), first in zip(places, ends, strict=False):
                row = rngs[r].standard_normal((windows, shape[2], wide), dtype=np.float32)
                np.multiply(row, scale, out=drawn[r, :windows, :, first : first + wide])

        each(draw, shape[0])
        return torch.from_numpy(drawn)


def aligned(batch: int, width: int) -> int:
    """The batch size, rounded up until batch × width is a multiple of `ALIGNMENT`."""
    step = ALIGNMENT // gcd(ALIGNMENT, width)
    return -(-batch // step) * step
