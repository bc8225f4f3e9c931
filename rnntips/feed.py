"""Windows, targets, dropout masks and noise of R runs on the device, cut into batches."""

from collections.abc import Sequence
from math import gcd
from typing import NamedTuple

import numpy as np
import torch

from rnntips.errors import BadArgument
from rnntips.models import ALIGNMENT, Network
from rnntips.recipe import Recipe
from rnntips.runs import Runs
from rnntips.schedule import lengths
from rnntips.tasks import stream
from rnntips.weights import Parameters
from rnntips.windows import Examples, batches

__all__ = ["Feed", "Masks", "Noise", "Reading", "examples_of", "sized"]

LEAST = 0.001  # of a share that a linear output gives a class, since logarithms are taken
PASS = 64  # windows of one evaluation pass: bounds memory, and never depends on how many runs there are


def examples_of(recipe: Recipe, task, seed: int) -> Examples:
    """A task's windows as a run sees them: `train_size` leaves some out, after all have been cut and scaled.

    Raises:
        BadArgument: Windows are to grow that cannot be cut shorter.
    """
    examples = task.examples(recipe, seed)
    if recipe.grow and ("past" in getattr(task, "ignores", ()) or examples.loss_at == "every"):
        raise BadArgument(
            f"grow={recipe.grow!r} needs windows of any length with one answer at their end, and those of {task.name} "
            "are others. Leave grow out."
        )
    if recipe.train_size is None:
        return examples
    return examples.fewer(recipe.train_size, stream("train_size", task.name, seed), task.name)


def sized(recipe: Recipe, task) -> Recipe:
    """The recipe as it is trained: a width in parameters becomes the task's width in units, which no seed changes.

    Whatever trains, counts work or names stored runs sees recipes that have been here.

    Raises:
        BadArgument: No width gives about so many parameters.
    """
    if not isinstance(recipe, Recipe) or not isinstance(recipe.width, Parameters):
        return recipe
    example = task.examples(recipe, 0)
    given = recipe.cell, recipe.layers, example.channels, example.outputs, recipe.dense, recipe.dense_after
    return recipe.but(width=recipe.width.width(*given))


class Reading(NamedTuple):
    """What an update reads, but for where: those with the same reading do the same with the same memory."""

    steps: int  # of the inputs
    silent: int  # of these do not count, from the first one
    lead: int = 0  # of these are read without a gradient, from the first one
    onward: int = 0  # steps after these, the state is kept for the next update; 0 if it keeps none
    carried: bool = False  # whether it begins with the state that was kept


class Feed:
    """Windows of R runs on the device, gathered batch by batch from each run's own signal."""

    def __init__(self, record: Runs, examples: list[Examples]):
        recipe, device = record.recipes[0], record.device
        self.batch_size, self.device, self.examples = recipe.batch_size, device, examples
        self.test_past = recipe.test_past
        first = examples[0]
        self.steps, self.head, self.loss_at = first.steps, first.head, first.loss_at
        self.skip, self.symbols = first.skip, first.symbols
        self.classes = torch.arange(self.symbols, device=device)
        sizes = [len(e.signal) for e in examples]
        self.base = np.concatenate([[0], np.cumsum(sizes)[:-1]])
        self.signal = torch.from_numpy(np.concatenate([e.signal for e in examples])).to(device)
        self.columns = torch.arange(recipe.batch_size, device=device)  # of a batch in `begins` and `targets`
        self.time = torch.arange(self.steps, device=device)[:, None]
        self.share = torch.full((aligned(recipe.batch_size, recipe.width),), 1 / recipe.batch_size, device=device)
        self.share[recipe.batch_size :] = 0.0
        self.kept: list[torch.Tensor] = []  # what one update leaves for the next
        self._scored: dict[int, tuple] = {}
        total = record.updates_before + record.updates
        self.lengths = lengths(recipe.grow, self.steps, total)[record.updates_before :]  # of the windows, each update
        begins, targets = [], []
        for r, (example, seed) in enumerate(zip(examples, record.seeds.tolist(), strict=True)):
            train = example.of(0)
            done, after = (count * recipe.batch_size for count in self.batches_read(record))
            rng = stream("order", record.setting, seed)
            labels = example.labels(train)
            chosen = train[batches(record.recipes[r].order, len(train), after, rng, labels)[done:]]
            begins.append(self.base[r] + example.starts[chosen])
            targets.append(example.targets if self.loss_at == "every" else example.targets[chosen])
        left_out = np.repeat(self.steps - np.array(self.lengths), recipe.batch_size) if recipe.grow else 0
        self.begins = torch.from_numpy(np.stack(begins) + left_out).to(device)  # (R, U·B)
        put = np.concatenate if self.loss_at == "every" else np.stack
        self.targets = torch.from_numpy(put(targets)).to(device)  # (R, U·B, K), or of all runs' signals (ΣL, K)

    def batches_read(self, record: Runs) -> tuple[int, int]:
        """Batches of windows read before this record's updates, and after them."""
        return record.updates_before, record.updates_before + record.updates

    def _windows(self, begins: torch.Tensor, steps: int | None = None) -> torch.Tensor:
        """(R, B) places → inputs (R, B, T, C); T is so many steps, a whole window's if None."""
        return self._cut(self.signal, begins[:, None, :] + self.time[:steps]).transpose(1, 2)

    def _cut(self, signal: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
        found = signal[places]
        return (found == self.classes).float() if self.symbols else found

    def _fill(self, rows: torch.Tensor, width: int) -> torch.Tensor:
        """Repeat the last window until there are `width`."""
        missing = width - rows.shape[1]
        return torch.cat([rows, rows[:, -1:].expand(-1, missing, *rows.shape[2:])], 1) if missing else rows

    def shape(self, reading: Reading) -> tuple[int, int, int]:
        """B, T and C of the inputs."""
        return len(self.share), reading.steps, self.symbols or self.signal.shape[1]

    def reading(self, update: int) -> Reading:
        """What an update reads."""
        return Reading(self.lengths[update], self.skip)

    def batch(self, update: int | torch.Tensor, reading: Reading) -> tuple[torch.Tensor, torch.Tensor]:
        """Inputs (R, B, T, C) and targets of one update; B is filled up with windows of no weight.

        Targets are (R, B, K), or (R, B, T', K) where T' steps of a window count. The update may be a number on the
        device, ().
        """
        begins, columns = self._begins(update, reading)
        begins = self._fill(begins, len(self.share))
        inputs = self._windows(begins, reading.steps)
        if self.loss_at == "last":
            return inputs, self._fill(self.targets[:, columns], len(self.share))
        return inputs, self._cut(self.targets, begins[:, :, None] + self.time[reading.silent : reading.steps, 0])

    def _begins(self, update: int | torch.Tensor, reading: Reading) -> tuple[torch.Tensor, torch.Tensor]:
        """Where an update's windows begin, (R, B), and which columns of `begins` they are, (B,)."""
        columns = update * self.batch_size + self.columns
        return self.begins[:, columns], columns

    def outputs(
        self, network: Network, inputs: torch.Tensor, masks: Sequence[torch.Tensor] = (),
        noise: Sequence[torch.Tensor] = (),
    ) -> torch.Tensor:  # fmt: skip
        """What a network answers, shaped like the targets."""
        if self.loss_at == "last":
            return network(inputs, masks, noise)
        return network.sequence(inputs, masks, noise=noise)[0][:, :, self.skip :]

    def trained(
        self, reading: Reading, network: Network, inputs: torch.Tensor, masks: Sequence[torch.Tensor] = (),
        noise: Sequence[torch.Tensor] = (),
    ) -> torch.Tensor:  # fmt: skip
        """What a network answers to `batch(…, reading)` in training, shaped like the targets."""
        return self.outputs(network, inputs, masks, noise)

    def _tested(self, network: Network, inputs: torch.Tensor) -> torch.Tensor:
        """What a network answers when it is scored, shaped like the targets."""
        if self.test_past is None:
            return self.outputs(network, inputs)
        first = [network.sequence(inputs[:, :, : self.test_past])[0]]
        ends = range(self.test_past + 1, self.steps + 1)
        later = [network(inputs[:, :, end - self.test_past : end])[:, :, None] for end in ends]
        return torch.cat(first + later, 2)[:, :, self.skip :]

    def predict(self, network: Network, part: int) -> tuple[np.ndarray, np.ndarray]:
        """Predictions and truth of a part's fixed subset, in the task's unit (logits of classes), each (R, n, K).

        Of windows with answers at many steps, n counts the answers.
        """
        if part not in self._scored:
            self._scored[part] = self._score(part)
        passes, spread, offset, truth = self._scored[part]
        with torch.no_grad():
            scaled = torch.cat([self._tested(network, self._windows(begins)).flatten(1, -2) for begins in passes], 1)
        outputs = scaled[:, : truth.shape[1]].cpu().numpy().astype(np.float64)
        if self.examples[0].classes and self.head == "linear+mse":
            return logits(outputs), truth
        return outputs * spread + offset, truth

    def _score(self, part: int) -> tuple[list[torch.Tensor], np.ndarray, np.ndarray, np.ndarray]:
        """Places of a part's fixed subset, pass by pass; what its predictions are times and plus; and the truth."""
        indices = [e.scored(part) for e in self.examples]
        places = [base + e.starts[i] for base, e, i in zip(self.base, self.examples, indices, strict=True)]
        passes = [self._fill(some, PASS) for some in torch.tensor(np.stack(places), device=self.device).split(PASS, 1)]
        spread = np.array([e.spread for e in self.examples])[:, None, None]
        pairs = list(zip(self.examples, indices, strict=True))
        truth = np.stack([e.answers(i) for e, i in pairs])
        offset = np.stack([e.offset[i] for e, i in pairs]) if self.loss_at == "last" else np.zeros(())
        return passes, spread, offset, truth


class Masks:
    """Inverted dropout for every layer's output, from each run's noise stream."""

    def __init__(self, record: Runs):
        recipe = record.recipes[0]
        self.layers, self.width = recipe.layers if recipe.dropout else 0, recipe.width
        self.keep = [1 - recipe.dropout for recipe in record.recipes]
        purpose = f"noise from update {record.updates_before}"
        self.rngs = [stream(purpose, record.setting, seed) for seed in record.seeds.tolist()]

    def draw(self, windows: int) -> torch.Tensor | None:
        """Masks of all layers on the host, (R, layers, B, 1, H); None without dropout."""
        if not self.layers:
            return None
        shape = (self.layers, windows, 1, self.width)
        rows = [(rng.random(shape) < keep) / keep for rng, keep in zip(self.rngs, self.keep, strict=True)]
        return torch.from_numpy(np.array(rows, np.float32))


class Noise:
    """Gaussian noise for inputs and for every layer's output, from each run's noise streams, one for each place.

    It is drawn with deviation 1 for the windows of a batch alone, so that sides of any noise and width are paired.
    """

    def __init__(self, record: Runs):
        recipe, self.record = record.recipes[0], record
        self.inputs = self._place("inputs") if recipe.noise else None
        widths = {f"dense {j}": wide for j, wide in enumerate(recipe.dense)}
        widths |= {f"layer {j}": recipe.width for j in range(recipe.layers)}
        widths |= {f"dense after {j}": wide for j, wide in enumerate(recipe.dense_after)}
        self.between = [(self._place(name), wide) for name, wide in widths.items() if recipe.noise_between]
        self.widths = [wide for _, wide in self.between]

    def _place(self, name: str) -> list[np.random.Generator]:
        purpose = f"noise of {name} from update {self.record.updates_before}"
        return [stream(purpose, self.record.setting, seed) for seed in self.record.seeds.tolist()]

    def draw(self, windows: int, steps: int, channels: int) -> tuple[torch.Tensor | None, torch.Tensor | None]:
        """An update's noise on the host: for inputs (R, B, T, C), and for the layers, dense ones first, (R, B, T, ΣH).

        None without noise.
        """
        shape = (len(self.record), windows, steps)
        inputs = None if self.inputs is None else self._draw("noise", self.inputs, (*shape, channels))
        between = [self._draw("noise_between", rngs, (*shape, wide)) for rngs, wide in self.between]
        return inputs, torch.cat(between, 3) if between else None

    def _draw(self, field: str, rngs: list[np.random.Generator], shape: Sequence[int]) -> torch.Tensor:
        drawn, windows = np.zeros(shape, np.float32), self.record.recipes[0].batch_size
        for row, rng, recipe in zip(drawn, rngs, self.record.recipes, strict=True):
            row[:windows] = getattr(recipe, field) * rng.standard_normal((windows, *shape[2:]), np.float32)
        return torch.from_numpy(drawn)


def logits(outputs: np.ndarray) -> np.ndarray:
    """Least squares on one-hot rows estimates the classes' shares, (…, K); these are their logarithms."""
    return np.log(np.clip(outputs, LEAST, 1))


def aligned(batch: int, width: int) -> int:
    """The batch size, raised until batch × width is a multiple of what torch handles at once."""
    step = ALIGNMENT // gcd(ALIGNMENT, width)
    return -(-batch // step) * step
