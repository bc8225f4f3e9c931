"""Forecasting a series."""

from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any

import numpy as np

from rnntips.engine.memory import need_room
from rnntips.errors import BadArgument, need, need_number, need_whole
from rnntips.series import Series
from rnntips.tasks import own_loop
from rnntips.tasks.task import OF_PADDED, OF_SEVERAL, need_fit, ridge, rmse, stream
from rnntips.windows import TRAIN, Examples, cut

__all__ = ["SPIKE_SIZE", "Forecast", "forecast"]

SPIKE_SIZE = 8.0  # standard deviations


@dataclass(frozen=True)
class Forecast:
    """Forecast a series. One input window per target; scored by RMSE in the series' unit on the test part.

    Args:
        series: What to forecast.
        spikes: Share of training steps at which the network's input, not the target, is hit by a spike of
            8 standard deviations. Validation and test parts have none, as if a broken sensor had been repaired.
        history: First target time, if the default eighth of the series is too short for a window.
    """

    series: Series
    spikes: float = 0.0
    history: int | None = None
    version = 2  # raised by hand when the meaning of the task changes; 2: fewer windows are scored
    ignores = OF_PADDED | OF_SEVERAL
    batches, naive = own_loop.batches, own_loop.naive

    @property
    def name(self) -> str:
        return self.series.name + (", spiked" if self.spikes else "")

    @property
    def unit(self) -> str:
        return self.series.unit

    def values(self, seed: int) -> np.ndarray:
        """The series of one seed, (N, C)."""
        return self.series.draw(stream("data", self.series.name, seed))

    def meaning(self, recipe, seed: int) -> list:
        """What a run depends on besides recipe and seed, with a hash of its data; part of a stored run's name."""
        floor = self.series.floor(recipe.horizon) if self.series.floor else "linear or naive"
        data = sha256(np.ascontiguousarray(self.values(seed)).tobytes()).hexdigest()
        return [type(self).__name__, self.version, self.name, self.unit, self.spikes, self.history,
                self.series.name, self.series.period, self.series.trending, floor, data,
                *["inputs are read"] * (self.series.values.shape[1] > 1)]  # fmt: skip

    def examples(self, recipe, seed: int) -> Examples:
        """Scaled windows and targets of one seed, cut as the recipe's data fields say."""
        need_fit(recipe, self.name, self.unit)
        values = self.values(seed)
        columns = min(recipe.patch, len(values)) * (values.shape[1] + len(recipe.lags))
        need_room(4 * len(values) * columns, f"{self.name} with patch={recipe.patch}")
        spikes = self._spikes(len(values), seed) if self.spikes else None
        shuffled = stream("split", self.series.name, seed) if recipe.split == "shuffled" else None
        if shuffled and self.spikes:
            raise BadArgument(
                f'split="shuffled" would put spikes into every part, and {self.name} has them in training alone. '
                'Use split="time", or a task without spikes.'
            )
        examples = cut(values, spikes=spikes, patch=recipe.patch, shuffled=shuffled, **self.choices(recipe))
        return replace(examples, head=recipe.head or examples.head)

    def choices(self, recipe) -> dict[str, Any]:
        """The recipe's data fields, as arguments of `cut`; whether the level drifts decides what it leaves open."""
        kinds = ("differences:1", "change") if self.series.trending else ("levels", "level")
        return {
            "past": recipe.past,
            "horizon": recipe.horizon,
            "features": recipe.features or kinds[0],
            "input_scaling": recipe.input_scaling,
            "target_scaling": recipe.target_scaling,
            "target": recipe.target or kinds[1],
            "lags": recipe.lags,
            "history": self.history,
            "name": self.name,
        }

    def _spikes(self, steps: int, seed: int) -> np.ndarray:
        rng = stream("spikes", self.series.name, seed)
        train = int(TRAIN * steps)
        spikes = np.zeros(steps)
        hit = rng.permutation(train)[: max(1, round(self.spikes * train))]
        spikes[hit] = SPIKE_SIZE * rng.choice([-1.0, 1.0], len(hit))
        return spikes

    def score(self, predictions: np.ndarray, truth: np.ndarray) -> np.ndarray:
        """Root mean squared error per run; both in the task's unit, shape (R, n, K); returns (R,)."""
        return rmse(predictions, truth)

    def bounds(self, recipe, seed: int, examples: Examples | None = None) -> tuple[float, float, float]:
        """See `Task.bounds`; errors on the windows that are scored.

        Naive repeats the last value. The floor is the error of the simulator's own noise where that is known. Elsewhere
        it is estimated by a ridge regression on two seasons of lags; where that does no better than naive, no better
        forecast is known, and the floor is naive's own error.
        """
        values, examples = self.values(seed)[:, 0], examples or self.examples(recipe, seed)

        def naive_error(part: int) -> float:
            times = examples.times[examples.scored(part)]
            return float(np.sqrt(np.mean((values[times] - values[times - recipe.horizon]) ** 2)))

        whole = naive_error(2)
        if self.series.floor is not None:
            return whole, self.series.floor(recipe.horizon), naive_error(1)
        lags = min(2 * (self.series.period or 16), int(examples.times[0]) - recipe.horizon + 1)
        return whole, min(linear_error(values, examples, lags, recipe.horizon), whole), naive_error(1)


def forecast(series: Series, spikes: float | bool = 0.0, history: int | None = None) -> Forecast:
    """A `Forecast`; `spikes=True` means half a percent of the training steps.

    Raises:
        BadArgument: Not a Series, or a share of spikes that is not from 0 to below 1.
    """
    need("on", series, Series, "a task or a series, such as rt.series.from_array(values),")
    share = 0.005 * spikes if isinstance(spikes, bool) else need_number("spikes", spikes, low=0, below=1)
    return Forecast(series, float(share), None if history is None else need_whole("history", history, 1))


def linear_error(values: np.ndarray, examples: Examples, lags: int, horizon: int) -> float:
    """Test RMSE of a ridge regression, fitted on the training part, from the last `lags` values to the change ahead."""
    times = examples.times
    past = values[(times - horizon)[:, None] - np.arange(lags)]
    change = values[times] - past[:, 0]
    past = past - past[:, :1]  # relative to the last value, so that a drifting level does no harm
    train, test = examples.of(0), examples.scored(2)
    inputs, wanted = past[:, 1:], change[:, None]
    return ridge(inputs[train], inputs[test], wanted[train], wanted[test])
