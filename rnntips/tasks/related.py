"""Forecasting one of several short series that are related."""

from dataclasses import dataclass, replace

import numpy as np

from rnntips.errors import BadArgument, need_whole
from rnntips.tasks.task import OF_OTHERS, SequenceTask, rmse
from rnntips.windows import LEFT_OUT, TRAIN, VALID, Examples

__all__ = ["Related", "related"]

PERIOD = 24  # steps of the season
NOISE, KEPT = 0.5, 0.5  # innovations of the first series; what is left of them a step on
WARM = 100  # steps before the first, so that the noise has its usual size


@dataclass(frozen=True)
class Related(SequenceTask):
    """Forecast the next value of the first of several series, each of which has its own level, size and noise.

    All have a season of 24 steps, whose shape every seed draws; each has it up to two steps late and its finer parts up
    to a third larger, with noise that fades by half at every step. Each is scaled by its own training part. With
    `Recipe.pooled` the training windows of all series are read, else those of the first alone, of which validation and
    test part are. Naive is repeating the last value; the floor is the noise that cannot be known.

    Args:
        series: How many there are.
        steps: Of each.

    Source of pooling: Salinas, Flunkert, Gasthaus and Januschowski (2020), "DeepAR".
    """

    series: int = 20
    steps: int = 200
    unit = "units"
    ignores = OF_OTHERS - {"pooled"}

    def __post_init__(self):
        object.__setattr__(self, "series", need_whole("series", self.series, 2, 1000))
        object.__setattr__(self, "steps", need_whole("steps", self.steps, 2 * PERIOD, 10**5))

    @property
    def name(self) -> str:
        return f"{self.series} related series of {self.steps} steps"

    def draw(self, past: int, rng: np.random.Generator) -> Examples:
        """Windows of all series, one series after the other: (N, past, 1) and the values after them, (N, 1)."""
        windows, train = self.steps - past, int(TRAIN * self.steps)
        if past >= train // 2:
            raise BadArgument(f"past={past} is too long for {self.name}. Use at most {train // 2 - 1}.")
        values = self._values(rng)
        offset, spread = values[:, :train].mean(1, keepdims=True), values[:, :train].std(1, keepdims=True)
        scaled = ((values - offset) / spread).astype(np.float32)
        times = np.arange(past, self.steps)
        part = np.full((self.series, windows), LEFT_OUT)
        part[:, times < train] = 0
        part[0, times >= train] = 1
        part[0, times >= int(VALID * self.steps)] = 2
        starts = (self.steps * np.arange(self.series))[:, None] + np.arange(windows)
        truth = values[:, past:].reshape(-1, 1)
        return Examples(
            signal=scaled.reshape(-1, 1), starts=starts.ravel(), steps=past, targets=scaled[:, past:].reshape(-1, 1),
            spread=float(spread[0, 0]), offset=np.full(truth.shape, offset[0, 0]), truth=truth,
            times=np.tile(times, self.series), part=part.ravel(), last=values[:, past - 1 : -1].reshape(-1, 1),
        )  # fmt: skip

    def _values(self, rng: np.random.Generator) -> np.ndarray:
        """All series, (series, steps); the first has size 1 and noise of `NOISE`."""
        harmonics = rng.standard_normal((2, 3)) / np.arange(1, 4)
        size, speed = np.exp(0.5 * rng.standard_normal((2, self.series, 1)))
        level, late = 10 * rng.random((self.series, 1)), rng.uniform(-2, 2, (self.series, 1))
        size[0], stretched = 1, np.clip(speed, 0.75, 1.33)
        angle = 2 * np.pi / PERIOD * (np.arange(self.steps) - late)[:, None] * np.arange(1, 4)[:, None]
        weights = harmonics[:, None, :, None] * np.stack([np.ones_like(stretched), stretched, stretched], 1)
        shape = (weights[0] * np.sin(angle) + weights[1] * np.cos(angle)).sum(1)
        noise = np.zeros((self.series, WARM + self.steps))
        shocks = NOISE * rng.standard_normal(noise.shape)
        for t in range(1, noise.shape[1]):
            noise[:, t] = KEPT * noise[:, t - 1] + shocks[:, t]
        return level + size * (shape + noise[:, WARM:])

    def examples(self, recipe, seed: int) -> Examples:
        """Windows and targets of one seed; without `pooled`, no other series has any that is read."""
        found = super().examples(recipe, seed)
        if recipe.pooled:
            return found
        part = found.part.reshape(self.series, -1).copy()
        part[1:] = LEFT_OUT
        return replace(found, part=part.ravel())

    def bounds(self, recipe, seed: int, examples: Examples | None = None) -> tuple[float, float, float]:
        """See `Task.bounds`; errors on the windows that are scored."""
        examples = examples or self.examples(recipe, seed)
        valid, test = (
            float(rmse(examples.last[some][None], examples.truth[some][None])[0])
            for some in (examples.scored(1), examples.scored(2))
        )
        return test, NOISE, valid


related = Related  # the name that users write: rt.tasks.related()
