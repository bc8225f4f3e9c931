"""Handwritten digits, read pixel by pixel or row by row."""

import gzip
from dataclasses import dataclass
from functools import cache
from importlib import resources

import numpy as np

from rnntips.errors import need, unknown_name
from rnntips.tasks.task import SequenceTask, separate
from rnntips.windows import TRAIN, VALID, Examples

__all__ = ["Digits", "digits"]

NEIGHBOUR = 0.988  # share of digits that the nearest neighbour classifies correctly


@dataclass(frozen=True)
class Digits(SequenceTask):
    """Classify a handwritten digit of 8 × 8 pixels: ten classes, 1,797 real images.

    Every seed draws its own split, 60/20/20. Naive are the classes' frequencies in the training part, about ln 10
    nats. No floor is known. It is estimated by a predictor that is right in 98.8 % of cases, as the nearest neighbour
    is, gives its answer that probability, and divides the rest equally:
    −(0.988 ln 0.988 + 0.012 ln(0.012 / 9)) ≈ 0.091 nats.

    Args:
        rows: 8 steps of one row instead of 64 steps of one pixel. `Recipe.past` has no effect.
        scored: In `"nats"`, or by the share of images that are `"wrong"`, whatever the outputs mean: then naive always
            answers the most frequent class.

    Source: Alpaydin and Kaynak (1998), Optical Recognition of Handwritten Digits, UCI Machine Learning Repository;
    for provenance, licence and checksum see `rnntips/data/README.md`.
    """

    rows: bool = False
    scored: str = "nats"

    def __post_init__(self):
        need("rows", self.rows, bool, "True or False")
        if self.scored not in ("nats", "wrong"):
            raise unknown_name("scored", self.scored, ["nats", "wrong"])

    @property
    def name(self) -> str:
        return "digits" + " by rows" * self.rows + ", counted" * (self.scored == "wrong")

    @property
    def unit(self) -> str:
        return "nats" if self.scored == "nats" else "share wrong"

    def draw(self, past: int, rng: np.random.Generator) -> Examples:
        """All images in a random order; pixels between 0 and 1."""
        table = _table()
        chosen = rng.permutation(table)
        train, valid = int(TRAIN * len(table)), int(VALID * len(table))
        pixels = chosen[:, :64].reshape(len(table), *((8, 8) if self.rows else (64, 1))) / 16
        counts = train, valid - train, len(table) - valid
        return separate(pixels, np.eye(10)[chosen[:, 64]], counts, head="softmax+nll", classes=True)

    def guess(self, examples: Examples) -> np.ndarray:
        """Logarithms of the classes' shares in the training part."""
        return np.log(examples.targets[examples.of(0)].mean(0, dtype=float))

    def score(self, predictions: np.ndarray, truth: np.ndarray) -> np.ndarray:
        """Error per run; logits and one-hot truth (R, n, 10); returns (R,)."""
        if self.scored == "nats":
            return super().score(predictions, truth)
        wrong = np.mean(predictions.argmax(2) != truth.argmax(2), axis=1)
        return np.where(np.isfinite(predictions).all((1, 2)), wrong, np.nan)

    def floor(self, examples: Examples) -> float:
        """Expected score of the predictor that the class's docstring describes."""
        wrong = 1 - NEIGHBOUR
        if self.scored == "wrong":
            return wrong
        return float(-(NEIGHBOUR * np.log(NEIGHBOUR) + wrong * np.log(wrong / 9)))


@cache
def _table() -> np.ndarray:
    """One image a row: 64 pixels from 0 to 16, row after row, and the digit."""
    packed = resources.files("rnntips").joinpath("data/digits.csv.gz").read_bytes()
    table = np.array([line.split(",") for line in gzip.decompress(packed).decode("ascii").splitlines()], dtype=np.uint8)
    table.flags.writeable = False
    return table


digits = Digits  # the name that users write: rt.tasks.digits()
