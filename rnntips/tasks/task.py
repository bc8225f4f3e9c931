"""What a task is, and what tasks share: random streams, scores, and examples for tasks other than forecasts."""

from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any, Protocol
from zlib import crc32

import numpy as np

from rnntips.engine.losses import HEADS, heads_for
from rnntips.engine.memory import need_room
from rnntips.errors import BadArgument
from rnntips.recipe import FIELDS
from rnntips.tasks import own_loop
from rnntips.windows import Examples

__all__ = ["SequenceTask", "Task", "nats", "need_fit", "patched", "regressed", "ridge", "rmse", "separate", "stream"]

OF_PADDED = frozenset({"mask"})
OF_SEVERAL = frozenset({"pooled"})
OF_FORECASTS = frozenset({"horizon", "features", "input_scaling", "target_scaling", "target", "patch", "lags", "split"})
OF_OTHERS = OF_FORECASTS | OF_PADDED | OF_SEVERAL
OWN_LENGTH = OF_OTHERS | {"past"}


class Task(Protocol):
    """What a network is trained and judged on, drawn anew for every seed.

    The tasks of `rnntips.tasks` also have the methods `batches` and `naive`, for loops of one's own. A task that has
    not is the first argument of `rt.tasks.batches` and `rt.tasks.naive`.
    """

    name: str
    unit: str  # of its scores
    version: int  # raised by hand when the meaning of the task changes
    ignores: frozenset[str]  # recipe fields that have no effect on it

    def examples(self, recipe, seed: int) -> Examples:
        """Windows and targets of one seed, as the recipe's data fields say."""

    def bounds(self, recipe, seed: int, examples: Examples | None = None) -> tuple[float, float, float]:
        """(naive, floor, naive on the validation part): the errors between which scores lie, in `unit`.

        Args:
            examples: What `examples` gives for this recipe and seed, if the caller has it.
        """

    def score(self, predictions: np.ndarray, truth: np.ndarray) -> np.ndarray:
        """Error per run, whatever the training loss is; both (R, n, K); returns (R,)."""

    def values(self, seed: int) -> np.ndarray:
        """All numbers that a seed gets, to be hashed for a plan's fingerprint."""

    def meaning(self, recipe, seed: int) -> list[Any]:
        """What a run depends on besides recipe and seed, with a hash of its data; part of a stored run's name."""


def stream(purpose: str, setting: str, seed: int) -> np.random.Generator:
    """The random stream of one purpose ("data", "order", "init", "noise") for one setting and seed.

    It does not depend on the recipe, so that both arms get the same data, order and initial weights.
    """
    return np.random.default_rng([seed, crc32(purpose.encode()), crc32(setting.encode(errors="surrogatepass"))])


def rmse(predictions: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Root mean squared error of each run; both (R, n, K) in one unit; returns (R,)."""
    with np.errstate(over="ignore", invalid="ignore"):  # a run that diverged scores infinity or NaN
        return np.sqrt(np.mean((predictions - truth) ** 2, axis=(1, 2)))


def nats(logits: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Mean negative log likelihood of each run in nats; one-hot truth, both of shape (R, n, K); returns (R,)."""
    with np.errstate(over="ignore", invalid="ignore"):
        relative = logits - logits.max(2, keepdims=True)
        likely = relative - np.log(np.exp(relative).sum(2, keepdims=True))
        return -np.where(truth > 0, likely, 0).sum(2).mean(1)


def ridge(train: np.ndarray, test: np.ndarray, wanted: np.ndarray, truth: np.ndarray) -> float:
    """RMSE on test of a ridge regression: inputs (n, I), what they shall give in training and test (n, K)."""
    weights, bias = regressed(train, wanted)
    return float(np.sqrt(np.mean((np.einsum("ni,ik->nk", test.astype(np.float64), weights) + bias - truth) ** 2)))


def regressed(inputs: np.ndarray, wanted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Weights (I, K) and bias (K,) of a ridge regression: inputs (n, I), what they shall give (n, K).

    The penalty is 1e-4 on inputs of standard deviation 1, and on the bias.
    """
    inputs = np.column_stack([inputs, np.ones(len(inputs))]).astype(np.float64)
    spread = inputs.std(0)
    spread[-1] = 1.0
    spread = np.where(spread > 0, spread, 1.0)
    scaled = inputs / spread
    # Without BLAS: its last bits depend on its threads, and these are a hundred times slower while runs train.
    gram = np.einsum("ni,nj->ij", scaled, scaled) + 1e-4 * len(scaled) * np.eye(scaled.shape[1])
    weights = _solved(gram, np.einsum("ni,nk->ik", scaled, wanted)) / spread[:, None]
    return weights[:-1], weights[-1]


def _solved(matrix: np.ndarray, right: np.ndarray) -> np.ndarray:
    """x of matrix · x = right by elimination, for a positive definite matrix."""
    rows = np.column_stack([matrix, right])
    for k in range(len(rows)):
        row = rows[k, k:] / rows[k, k]
        rows[:, k:] -= rows[:, k, None] * row
        rows[k, k:] = row
    return rows[:, len(matrix) :]


def need_fit(recipe, name: str, unit: str, classes: bool = False) -> None:
    """Raise `BadArgument` if the recipe's head is for classes where values are asked for, or the other way round."""
    asked, of = ("classes", "") if classes else ("values", f" in {unit or 'units'}")
    if recipe.head not in (None, *heads_for(asked)):
        listed = ", ".join(f'"{head}"' for head in heads_for(asked))
        raise BadArgument(
            f'head="{recipe.head}" is for {" and ".join(HEADS[recipe.head].fits)}, and {name} asks for {asked}{of}. '
            f"Use one of {listed}, or leave head out."
        )


@dataclass(frozen=True)
class SequenceTask:
    """A task that is not a forecast: it makes its own windows, and its numbers are not scaled.

    Classes are scored in nats, values by RMSE in the task's unit, whatever the training loss is. Recipe fields in
    `ignores` have no effect: no scaling, no horizon, and no `past` where the task has a length of its own.
    A subclass defines its sizes, its name, `draw`, `guess` and `floor`.
    """

    version = 1  # raised by hand when the meaning of the task changes
    unit = "nats"
    ignores = OWN_LENGTH
    sampled = 32  # steps of the windows whose numbers are hashed for a plan
    batches, naive = own_loop.batches, own_loop.naive

    def draw(self, past: int, rng: np.random.Generator) -> Examples:
        """One seed's windows; they have `past` steps, unless the task has a length of its own."""
        raise NotImplementedError

    def guess(self, examples: Examples) -> np.ndarray:
        """What the naive predictor always answers, (K,): logits or values."""
        raise NotImplementedError

    def floor(self, examples: Examples) -> float:
        """Score of the best possible predictor; 0 if the inputs determine the targets."""
        return 0.0

    def examples(self, recipe, seed: int) -> Examples:
        """Windows and targets of one seed.

        Raises:
            BadArgument: The recipe sets a field that only forecasts have.
        """
        for name in ("features", "target", "patch", "lags", "split"):
            if (value := getattr(recipe, name)) != FIELDS[name] and (name != "patch" or name in self.ignores):
                raise BadArgument(f"{name}={value!r} is for forecasts, and {self.name} is none. Leave {name} out.")
        if "past" not in self.ignores:
            need_room(32 * 1000 * recipe.past, f"{self.name} with past={recipe.past}")
        examples = self.draw(recipe.past, stream("data", self.name, seed))
        need_fit(recipe, self.name, self.unit, examples.classes)
        examples = examples if recipe.patch == 1 else patched(examples, recipe.patch, self.name)
        return replace(examples, head=recipe.head or examples.head)

    def values(self, seed: int) -> np.ndarray:
        """All numbers that a seed gets, inputs and then targets, to be hashed for a plan's fingerprint."""
        examples = self.draw(self.sampled, stream("data", self.name, seed))
        return np.concatenate([examples.signal.ravel(), examples.targets.ravel()])

    def meaning(self, recipe, seed: int) -> list:
        """What a run depends on besides recipe and seed, with a hash of its data; part of a stored run's name."""
        examples = self.draw(recipe.past, stream("data", self.name, seed))
        parts = examples.signal, examples.targets, *([] if examples.counted is None else [examples.counted])
        data = sha256(b"".join(part.tobytes() for part in parts)).hexdigest()
        return [type(self).__name__, self.version, self.name, self.unit, examples.steps, data]

    def score(self, predictions: np.ndarray, truth: np.ndarray) -> np.ndarray:
        """Error per run; logits or values and truth (R, n, K); returns (R,)."""
        return nats(predictions, truth) if self.unit == "nats" else rmse(predictions, truth)

    def bounds(self, recipe, seed: int, examples: Examples | None = None) -> tuple[float, float, float]:
        """See `Task.bounds`; errors on the windows that are scored."""
        examples = examples or self.examples(recipe, seed)
        guess = self.guess(examples)

        def naive_error(part: int) -> float:
            truth = examples.answers(examples.scored(part))
            return float(self.score(np.broadcast_to(guess, truth.shape)[None], truth[None])[0])

        return naive_error(2), self.floor(examples), naive_error(1)


def patched(examples: Examples, patch: int, name: str) -> Examples:
    """Sequences whose steps read `patch` steps side by side, and answer for the last of them.

    Raises:
        BadArgument: Their steps, or those that do not count, cannot be divided into so many.
    """
    if examples.steps % patch or examples.skip % patch:
        skipped = f", of which the first {examples.skip} do not count" if examples.skip else ""
        raise BadArgument(
            f"patch={patch} does not divide a sequence of {name}, which has {examples.steps} steps{skipped}. "
            "Change patch or past."
        )
    last = slice(patch - 1, None, patch)
    return replace(
        examples, signal=examples.signal.reshape(len(examples.signal) // patch, -1), starts=examples.starts // patch,
        steps=examples.steps // patch, skip=examples.skip // patch, targets=examples.targets[last],
        truth=examples.truth[last], offset=examples.offset[last],
        counted=None if examples.counted is None else examples.counted[last],
    )  # fmt: skip


def separate(inputs: np.ndarray, targets: np.ndarray, counts: tuple[int, int, int], **more) -> Examples:
    """Examples of windows that do not overlap: inputs (N, T, C), targets (N, K), and how many are in each part.

    Targets of shape (N, T, K) ask for an answer at every step.
    """
    n, steps, channels = inputs.shape
    if targets.ndim == 3:
        targets, more = targets.reshape(n * steps, -1), more | {"loss_at": "every"}
    return Examples(
        signal=inputs.reshape(n * steps, channels).astype(np.float32, copy=False),
        starts=steps * np.arange(n),
        steps=steps,
        targets=targets.astype(np.float32),
        spread=1.0,
        offset=np.zeros(targets.shape),
        truth=targets.astype(np.float64),
        times=np.arange(n),
        part=np.repeat([0, 1, 2], counts),
        **more,
    )
