"""What a price will bring, at every step of long sequences: an experiment of a report on long sequences (S2)."""

from dataclasses import dataclass, replace

import numpy as np

from rnntips.errors import need, need_whole
from rnntips.series import sines, sines_as_printed
from rnntips.tasks.task import OF_OTHERS, SequenceTask, ridge, separate
from rnntips.windows import FEWEST_SCORED, Examples, evenly, lagged_differences

__all__ = ["Returns", "returns"]

SEQUENCES = (15, FEWEST_SCORED[1], FEWEST_SCORED[2])  # S2 has 15 to train on, and none to validate or test
AHEAD = 10  # steps of the repaired return
DISCOUNT, COUNTED = 0.5, 50  # of S2's values of an action; steps behind a sequence whose changes still count
NOISE = 0.01  # standard deviation
FITTED = 20_000  # steps, at most, from which the floor is estimated


@dataclass(frozen=True)
class Returns(SequenceTask):
    """Answer at every step what a price will bring. The input are its last changes.

    The price is a sum of two sine waves whose amplitudes drift against each other, and noise of 0.01. Sequences have
    `Recipe.past` steps, and every seed draws 15 to train on. Inputs are standardized, and scores are RMSE in units of
    the price. Naive is always answering the training part's mean.

    Repaired: periods of 50 and 17 steps, and the answer is the change over the next 10 steps. The floor is the noise.

    Args:
        printed: As S2 prints it: both waves have the same frequency, and a cycle takes 31,416 steps. The answers are
            the values of buying and of selling by Bellman's equation: the next change, or its opposite, and half of
            the better value of the next step. That better value is known from the future, so no trader could earn it.
            S2 gives neither discount nor fees nor the number of outputs: these are our choices. With a discount of
            0.99 a ridge regression on the inputs errs by 0.5 % less than naive, with a half by 19 %. That is the floor.
        lags: How many changes a step reads; 128 in S2.

    Source: "Training Recurrent Neural Networks on Long Sequences", S2 in the lessons.
    """

    printed: bool = False
    lags: int = 16
    unit = "units"
    ignores = OF_OTHERS - {"patch"}

    def __post_init__(self):
        need("printed", self.printed, bool, "True or False")
        object.__setattr__(self, "lags", need_whole("lags", self.lags, 1, 10_000))

    @property
    def name(self) -> str:
        return "returns" + " as printed" * self.printed + f", {self.lags} lags" * (self.lags != 16)

    def draw(self, past: int, rng: np.random.Generator) -> Examples:
        """Changes (N, T, lags), and returns (N, T, 1) or values of two actions (N, T, 2)."""
        steps = self.lags + past + (COUNTED if self.printed else AHEAD)
        make = (sines_as_printed(steps) if self.printed else sines(steps, noise=NOISE)).simulator
        prices = np.stack([make(rng)[:, 0] for _ in range(sum(SEQUENCES))])
        now = slice(self.lags, self.lags + past)
        inputs = np.empty((len(prices), past, self.lags), np.float32)  # at once, since they may fill the memory
        for read, row in zip(inputs, prices, strict=True):
            read[:] = lagged_differences(row, self.lags)[now]
        answers = np.stack([self._answers(row)[now] for row in prices])
        answers -= answers[: SEQUENCES[0]].mean((0, 1))
        train = inputs[: SEQUENCES[0]]
        inputs -= train.mean((0, 1))
        inputs /= train.std((0, 1))
        spread = float(answers[: SEQUENCES[0]].std())
        found = separate(inputs, answers, SEQUENCES)
        return replace(found, targets=found.targets / spread, spread=spread)

    def _answers(self, price: np.ndarray) -> np.ndarray:
        """(N, 1) or (N, 2); at the last steps, whose future is not known, they mean nothing."""
        if not self.printed:
            return (np.roll(price, -AHEAD) - price)[:, None]
        change = np.diff(price, append=price[-1])  # from every step to the next
        better, later = np.zeros(len(price)), 0.0
        for t in range(len(price) - 1, -1, -1):
            better[t] = DISCOUNT * later
            later = abs(change[t]) + better[t]
        return np.stack([change + better, better - change], 1)

    def guess(self, examples: Examples) -> np.ndarray:
        """0, the mean."""
        return np.zeros(examples.outputs)

    def floor(self, examples: Examples) -> float:
        """The noise, or as printed the error of a ridge regression on the scored steps."""
        if not self.printed:
            return NOISE
        rows = [examples.rows(some).ravel() for some in (examples.of(0), examples.scored(2))]
        rows[0] = evenly(rows[0], FITTED)
        inputs, truth = (([value[some] for some in rows]) for value in (examples.signal, examples.truth))
        return ridge(*inputs, *truth)


returns = Returns  # the name that users write: rt.tasks.returns()
