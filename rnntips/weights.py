"""`Parameters`: how many weights a network has, from which the width of its recurrent layers follows."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from rnntips.errors import BadArgument, need_whole
from rnntips.models import shapes

__all__ = ["Parameters", "count", "parameters"]

NEAR = 0.1  # a network that is further off does not have "as many weights"


@dataclass(frozen=True)
class Parameters:
    """A width in weights: recurrent layers are made so wide that the whole network has about so many."""

    amount: int

    def __post_init__(self):
        need_whole("parameters", self.amount, 1)

    def __repr__(self) -> str:
        return f"{self.amount} parameters"

    def width(
        self, cell: str, layers: int, channels: int, outputs: int, dense: Sequence[int] = (),
        dense_after: Sequence[int] = (),
    ) -> int:  # fmt: skip
        """The width with the nearest number of weights, biases and readout included; the smaller of two as near.

        Raises:
            BadArgument: No width comes within a tenth of that number.
        """

        def weights(width: int) -> int:
            return count(cell, layers, width, channels, outputs, dense, dense_after)

        above = 1
        while weights(above) < self.amount:
            above += 1
        near = sorted({max(1, above - 1), above})
        best = min(near, key=lambda width: abs(weights(width) - self.amount))
        if abs(weights(best) - self.amount) > NEAR * self.amount:
            listed = " and ".join(f"{weights(width)} (width {width})" for width in near)
            beside = "".join(
                f", {name}={wide}" for name, wide in (("dense", dense), ("dense_after", dense_after)) if wide
            )
            raise BadArgument(
                f"width={self!r}: a {cell} network with layers={layers}{beside} for {channels} channels and {outputs} "
                f"outputs cannot have about that many. Nearest: {listed}. Take one of these numbers, or fewer layers."
            )
        return best


def parameters(amount: int) -> Parameters:
    """A width in weights: `Recipe(width=rt.parameters(2000))`."""
    return Parameters(amount)


def count(
    cell: str, layers: int, width: int, channels: int, outputs: int, dense: Sequence[int] = (),
    dense_after: Sequence[int] = (),
) -> int:  # fmt: skip
    """Weights of one run, biases and readout included."""
    return sum(map(prod, shapes(cell, layers, width, channels, outputs, dense, dense_after).values()))
