"""Tasks of memory with known answers, drawn afresh for every seed."""

from dataclasses import dataclass

import numpy as np

from rnntips.errors import need_whole
from rnntips.tasks.task import Probe, separate
from rnntips.windows import SCORED, Examples

__all__ = ["Adding", "Recall", "adding", "recall"]

WINDOWS = (3000, SCORED[1], SCORED[2])  # of each part; more than are scored would be drawn for nothing


def adding(T: int) -> "Adding":
    """Add the two marked ones of T numbers.

    At every step the network reads a number between 0 and 1 and a mark, which is 1 at one step of the first half
    and at one of the second half, else 0. Its answer after the last step is scored by RMSE. Trivial is always
    answering 1, about √(1/6) = 0.41; below 0.1 the task counts as solved; the floor is 0. Every seed draws 3,000
    windows to train on. `Recipe.past` says nothing here: windows have T steps.

    Raises:
        BadArgument: T is less than 2.

    Source: Hochreiter and Schmidhuber (1997), "Long short-term memory", experiment 4; one mark a half as in
    Arjovsky, Shah and Bengio (2016), "Unitary evolution recurrent neural networks".
    """
    need_whole("T", T, 2)
    return Adding(int(T))


@dataclass(frozen=True)
class Adding(Probe):
    """See `adding`."""

    T: int
    unit = "units"

    @property
    def name(self) -> str:
        return f"adding {self.T}"

    def draw(self, past: int, rng: np.random.Generator) -> Examples:
        """Numbers and marks, (N, T, 2), and the sums of two, (N, 1)."""
        n, half = sum(WINDOWS), self.T // 2
        numbers, marks = rng.random((n, self.T)), np.zeros((n, self.T))
        for first, after in ((0, half), (half, self.T)):
            marks[np.arange(n), rng.integers(first, after, n)] = 1
        return separate(np.stack([numbers, marks], 2), (numbers * marks).sum(1, keepdims=True), WINDOWS)

    def guess(self, examples: Examples) -> np.ndarray:
        """1, the mean of two numbers' sum."""
        return np.ones(1)


def recall(L: int, symbols: int = 8) -> "Recall":
    """Keep one symbol in mind for L steps.

    The first step shows one of so many symbols, then come L steps of two distractors in random order, then the
    signal to answer: name the symbol. L + 2 steps, one channel for each symbol, distractor and the signal. Scored in
    nats; trivial is ln(symbols), the price of any guess; the floor is 0. Every seed draws 3,000 windows to train on.
    `Recipe.past` says nothing here.

    Raises:
        BadArgument: L below 1, or fewer than 2 symbols.

    Source: after Hochreiter and Schmidhuber (1997), "Long short-term memory", experiment 2.
    """
    need_whole("L", L, 1)
    need_whole("symbols", symbols, 2)
    return Recall(int(L), int(symbols))


@dataclass(frozen=True)
class Recall(Probe):
    """See `recall`."""

    L: int
    symbols: int = 8

    @property
    def name(self) -> str:
        return f"recall {self.L}" + (f" of {self.symbols}" if self.symbols != 8 else "")

    def draw(self, past: int, rng: np.random.Generator) -> Examples:
        """One-hot steps (N, L + 2, symbols + 3) and symbols (N, symbols)."""
        n, K = sum(WINDOWS), self.symbols
        shown = rng.integers(0, K, n)
        between = rng.integers(K, K + 2, (n, self.L))
        steps = np.column_stack([shown, between, np.full(n, K + 2)])
        one_hot = np.eye(K + 3, dtype=np.float32)
        return separate(one_hot[steps], np.eye(K)[shown], WINDOWS, head="softmax+nll", classes=True)

    def guess(self, examples: Examples) -> np.ndarray:
        """No preference, since all symbols come equally often."""
        return np.zeros(self.symbols)
