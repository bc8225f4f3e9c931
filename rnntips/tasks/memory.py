"""Memory tasks with known answers, drawn anew for every seed."""

from dataclasses import dataclass, replace

import numpy as np

from rnntips.errors import BadArgument, need_number, need_whole
from rnntips.tasks.task import OF_OTHERS, OF_PADDED, OWN_LENGTH, SequenceTask, separate
from rnntips.windows import SCORED, Examples

__all__ = ["Adding", "Cue", "Leaky", "Opposing", "PaddedAdding", "Recall", "RecallStream", "adding", "cue", "leaky",
           "opposing", "padded_adding", "recall", "recall_stream"]  # fmt: skip

WINDOWS = (3000, SCORED[1], SCORED[2])  # of each part; validation and test have only those that are scored
SEQUENCES = (1000, SCORED[1], SCORED[2])  # the same for tasks with many answers per window
LONGEST = 10**5  # steps


@dataclass(frozen=True)
class Adding(SequenceTask):
    """Add the two marked ones of T numbers.

    At every step the network reads a number between 0 and 1 and a mark, which is 1 at one step of the first half
    and at one of the second half, else 0. Its answer after the last step is scored by RMSE. Naive is always
    answering 1, about √(1/6) = 0.41; below 0.1 the task counts as solved; the floor is 0. Every seed draws 3,000
    windows to train on. `Recipe.past` has no effect: windows have T steps.

    Raises:
        BadArgument: T is less than 2.

    Source: Hochreiter and Schmidhuber (1997), "Long short-term memory", experiment 4; one mark per half as in
    Arjovsky, Shah and Bengio (2016), "Unitary evolution recurrent neural networks".
    """

    T: int
    unit = "units"

    def __post_init__(self):
        object.__setattr__(self, "T", need_whole("T", self.T, 2, LONGEST))

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


@dataclass(frozen=True)
class PaddedAdding(SequenceTask):
    """Add the two marked ones of a sequence's numbers, where sequences have T/2 to T steps and zeros behind.

    As `Adding` in all else; one mark is in each half of a sequence's own steps.

    With `Recipe.mask` the answer after a sequence's own last step counts; without, the one after all T steps, when the
    network has read the zeros too.

    Raises:
        BadArgument: T is less than 4.
    """

    T: int
    unit = "units"
    ignores = OWN_LENGTH - OF_PADDED

    def __post_init__(self):
        object.__setattr__(self, "T", need_whole("T", self.T, 4, LONGEST))

    @property
    def name(self) -> str:
        return f"padded adding {self.T}"

    def draw(self, past: int, rng: np.random.Generator) -> Examples:
        """Numbers and marks, (N, T, 2), and the sums of two, (N, T, 1), of which one step counts."""
        n, steps = sum(WINDOWS), np.arange(self.T)
        lengths = rng.integers(self.T // 2, self.T + 1, n)
        numbers, marks = rng.random((n, self.T)) * (steps < lengths[:, None]), np.zeros((n, self.T))
        for first, after in ((np.zeros(n, int), lengths // 2), (lengths // 2, lengths)):
            marks[np.arange(n), rng.integers(first, after)] = 1
        sums = np.repeat((numbers * marks).sum(1)[:, None, None], self.T, 1)
        ends = (steps == lengths[:, None] - 1).ravel()
        return separate(np.stack([numbers, marks], 2), sums, WINDOWS, counted=ends)

    def examples(self, recipe, seed: int) -> Examples:
        """See `Task.examples`."""
        found = super().examples(recipe, seed)
        if recipe.mask:
            return found
        last = slice(self.T - 1, None, self.T)
        return replace(found, targets=found.targets[last], truth=found.truth[last], offset=found.offset[last],
                       counted=None, loss_at="last")  # fmt: skip

    def guess(self, examples: Examples) -> np.ndarray:
        """1, the mean of two numbers' sum."""
        return np.ones(1)


@dataclass(frozen=True)
class Recall(SequenceTask):
    """Remember one symbol for L steps.

    The first step shows one of so many symbols, then come L steps of two distractors in random order, then the
    signal to answer with the symbol. L + 2 steps, one channel for each symbol, distractor and the signal. Scored in
    nats; naive is ln(symbols), the score of equal probabilities; the floor is 0. Every seed draws 3,000 windows to
    train on. `Recipe.past` has no effect.

    Raises:
        BadArgument: L below 1, or fewer than 2 symbols.

    Source: after Hochreiter and Schmidhuber (1997), "Long short-term memory", experiment 2.
    """

    L: int
    symbols: int = 8

    def __post_init__(self):
        object.__setattr__(self, "L", need_whole("L", self.L, 1, LONGEST))
        object.__setattr__(self, "symbols", need_whole("symbols", self.symbols, 2, 1000))

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


@dataclass(frozen=True)
class RecallStream(SequenceTask):
    """Answer at every step which of two symbols came L steps ago.

    The symbols, −1 and 1, come in random order. Windows have `Recipe.past` steps; the first L of each do not count,
    since no symbol came L steps before. Scored in nats; naive is ln 2, the score of equal probabilities; the floor is
    0. A network must hold L symbols at once, so it needs about L units. Every seed draws 1,000 windows to train on.

    Raises:
        BadArgument: L below 1; later, a recipe whose `past` is not longer than L.

    Source: the delay line of Jaeger (2002), "Short term memory in echo state networks", with two symbols.
    """

    L: int
    ignores = OF_OTHERS

    def __post_init__(self):
        object.__setattr__(self, "L", need_whole("L", self.L, 1, LONGEST))

    @property
    def name(self) -> str:
        return f"recall stream {self.L}"

    def draw(self, past: int, rng: np.random.Generator) -> Examples:
        """Symbols (N, T, 1) and which of the two came L steps before, (N, T, 2)."""
        if past <= self.L:
            raise BadArgument(f"{self.name}: windows of past={past} end before the first answer. "
                              f"Use past={self.L + 1} or more, {2 * self.L} for example.")  # fmt: skip
        symbols = rng.integers(0, 2, (sum(SEQUENCES), past))
        before = np.roll(symbols, self.L, axis=1)  # the end wraps round to the first L steps, which do not count
        return separate(2.0 * symbols[:, :, None] - 1, np.eye(2)[before], SEQUENCES, skip=self.L,
                        head="softmax+nll", classes=True)  # fmt: skip

    def guess(self, examples: Examples) -> np.ndarray:
        """No preference: both symbols come equally often."""
        return np.zeros(2)


@dataclass(frozen=True)
class Leaky(SequenceTask):
    """Answer at every step the sum of all inputs so far, whose weights fall by the factor a = exp(−1/τ) per step.

    Inputs are standard normal; y[t] = a·y[t−1] + √(1 − a²)·x[t] from y = 0 at a window's beginning, so that late
    targets have variance 1. Windows have `Recipe.past` steps, and all count. Scored by RMSE; naive is always
    answering 0, the mean; one linear unit is exact, so the floor is 0. Every seed draws 1,000 windows to train on.

    Args:
        tau: Steps after which the weight of an input has fallen to 1/e.

    Raises:
        BadArgument: tau is no positive number.
    """

    tau: float
    unit = "units"
    ignores = OF_OTHERS - {"patch"}

    def __post_init__(self):
        object.__setattr__(self, "tau", need_number("tau", self.tau, above=0, below=LONGEST))

    @property
    def name(self) -> str:
        return f"leaky {self.tau:g}"

    def draw(self, past: int, rng: np.random.Generator) -> Examples:
        """Inputs and sums, each (N, T, 1)."""
        inputs, keep = rng.normal(size=(sum(SEQUENCES), past)), np.exp(-1 / self.tau)
        return separate(inputs[:, :, None], _faded(inputs, keep, np.sqrt(1 - keep**2))[:, :, None], SEQUENCES)

    def guess(self, examples: Examples) -> np.ndarray:
        """0, the mean."""
        return np.zeros(1)


@dataclass(frozen=True)
class Opposing(SequenceTask):
    """Answer at every step a sum in which recent inputs have positive weights, and earlier inputs negative ones.

    Inputs are standard normal. An input of k steps ago has the weight 2·exp(−4k/τ) − exp(−k/τ) times a constant:
    positive before k = τ·ln(2)/3, about 0.23·τ, then negative. The negative weights have the larger sum, so a network
    that looks back fewer steps learns the wrong sign for a constant input. The constant gives late targets variance 1.
    Windows have `Recipe.past` steps, and all count. Scored by RMSE; naive is always answering 0, the mean; two
    linear units are exact, so the floor is 0. Every seed draws 1,000 windows to train on.

    Args:
        tau: Steps after which the weight of an earlier input has fallen to 1/e.

    Raises:
        BadArgument: tau is less than 2; then the negative weights would not have the larger sum.

    Source: the balancing of influences in Tallec and Ollivier (2017), "Unbiasing truncated backpropagation through
    time", section 5, with a new input at every step.
    """

    tau: float
    unit = "units"
    ignores = OF_OTHERS - {"patch"}

    def __post_init__(self):
        object.__setattr__(self, "tau", need_number("tau", self.tau, low=2, below=LONGEST))

    @property
    def name(self) -> str:
        return f"opposing {self.tau:g}"

    def draw(self, past: int, rng: np.random.Generator) -> Examples:
        """Inputs and sums, each (N, T, 1)."""
        inputs, far = rng.normal(size=(sum(SEQUENCES), past)), np.exp(-1 / self.tau)
        near = far**4
        variance = 4 / (1 - near**2) - 4 / (1 - near * far) + 1 / (1 - far**2)
        sums = _faded(inputs, near, 2 / np.sqrt(variance)) - _faded(inputs, far, 1 / np.sqrt(variance))
        return separate(inputs[:, :, None], sums[:, :, None], SEQUENCES)

    def guess(self, examples: Examples) -> np.ndarray:
        """0, the mean."""
        return np.zeros(1)


def _faded(inputs: np.ndarray, keep: float, gain: float) -> np.ndarray:
    """Sums of all inputs so far (N, T), each times `gain`, and times `keep` for every step since."""
    sums = np.zeros((len(inputs), inputs.shape[1] + 1))
    for t in range(inputs.shape[1]):
        sums[:, t + 1] = keep * sums[:, t] + gain * inputs[:, t]
    return sums[:, 1:]


@dataclass(frozen=True)
class Cue(SequenceTask):
    """Name, at the end, which of two symbols was shown at the first step, L steps ago.

    The first step shows −1 or 1, all others 0. Windows have `Recipe.past` steps, and those after the first L are
    answered. Scored in nats; naive is ln 2, the score of equal probabilities; the floor is 0. Every seed draws 1,000
    windows to train on. Where a chunk is shorter than L, no gradient connects the answer with the symbol.

    Raises:
        BadArgument: L below 1; later, a recipe whose `past` is not longer than L.
    """

    L: int
    ignores = OF_OTHERS - {"patch"}

    def __post_init__(self):
        object.__setattr__(self, "L", need_whole("L", self.L, 1, LONGEST))

    @property
    def name(self) -> str:
        return f"cue {self.L}"

    @property
    def sampled(self) -> int:
        return self.L + 1

    def draw(self, past: int, rng: np.random.Generator) -> Examples:
        """Steps (N, T, 1), and the first step's symbol at all of them (N, T, 2)."""
        if past <= self.L:
            raise BadArgument(f"{self.name}: windows of past={past} end before the first answer. "
                              f"Use past={self.L + 1} or more.")  # fmt: skip
        symbols, shown = rng.integers(0, 2, sum(SEQUENCES)), np.zeros((sum(SEQUENCES), past, 1))
        shown[:, 0, 0] = 2 * symbols - 1
        wanted = np.repeat(np.eye(2)[symbols][:, None], past, 1)
        counted = np.tile(np.arange(past) >= self.L, sum(SEQUENCES))
        return separate(shown, wanted, SEQUENCES, counted=counted, head="softmax+nll", classes=True)

    def guess(self, examples: Examples) -> np.ndarray:
        """No preference: both symbols come equally often."""
        return np.zeros(2)


# The names that users write: rt.tasks.adding(10).
adding, padded_adding, recall, recall_stream = Adding, PaddedAdding, Recall, RecallStream
leaky, opposing, cue = Leaky, Opposing, Cue
