"""`Budget`: how long to train, in updates, epochs, tokens, or seconds on this engine."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from itertools import pairwise
from math import isfinite
from numbers import Real
from typing import Any

from rnntips.errors import BadArgument, need_whole, unknown_name

__all__ = ["Budget", "epochs", "seconds", "seconds_per_update", "speeds", "tokens", "updates"]

UNITS = ("epochs", "seconds", "tokens", "updates")


@dataclass(frozen=True)
class Budget:
    """How long to train: an amount of updates, epochs (passes over the training windows), tokens (steps read), or
    seconds, which need not be whole.

    Seconds are those of a stored calibration, see `seconds_per_update`: no clock runs while a run trains, so its
    updates do not depend on the machine or its mood.
    """

    amount: int | float
    of: str

    def __post_init__(self):
        if self.of not in UNITS:
            raise unknown_name("unit", self.of, UNITS)
        if self.of != "seconds":
            need_whole(f"budget in {self.of}", self.amount, 1)
            return
        number = isinstance(self.amount, Real) and not isinstance(self.amount, bool)
        if not (number and isfinite(self.amount) and self.amount > 0):
            raise BadArgument(f"budget in seconds={self.amount!r}: a number above 0 is needed.")
        object.__setattr__(self, "amount", float(self.amount))

    def __repr__(self) -> str:
        return f"{self.amount:g} {self.of}" if self.of == "seconds" else f"{self.amount} {self.of}"

    def in_updates(
        self, batch_size: int, steps: float, windows: int, each: int = 1, shape: Mapping[str, Any] | None = None
    ) -> int:
        """Updates for batches of this size, windows of this length, so many training windows and updates a batch.

        Args:
            shape: What else an update's time depends on, see `seconds_per_update`; only seconds ask for it.
        """
        if self.of == "updates":
            return self.amount
        if self.of == "seconds":
            return max(1, round(self.amount / seconds_per_update(shape or {}, batch_size)))
        windows_seen = self.amount * windows if self.of == "epochs" else self.amount / steps
        return max(1, round(windows_seen * each / batch_size))


def updates(amount: int) -> Budget:
    """A budget in updates."""
    return Budget(amount, "updates")


def epochs(amount: int) -> Budget:
    """A budget in passes over the training windows."""
    return Budget(amount, "epochs")


def tokens(amount: int) -> Budget:
    """A budget in time steps read, windows counted with their overlap, steps of a chunk when they are new."""
    return Budget(amount, "tokens")


def seconds(amount: float) -> Budget:
    """A budget in seconds on this engine: what one run took of one core of the machine that was calibrated."""
    return Budget(amount, "seconds")


@cache
def speeds() -> list[dict[str, Any]]:
    """The stored calibration, made by `rnntips seconds --write`: shape by shape the machine, and the seconds of one
    run's update at several batch sizes, medians over rounds in which all of them took turns on one core."""
    return json.loads(resources.files("rnntips").joinpath("data/seconds.json").read_text(encoding="utf-8"))


def seconds_per_update(shape: Mapping[str, Any], batch_size: int) -> float:
    """Calibrated seconds of one run's update; between two batch sizes that were timed, on the line through them.

    Args:
        shape: As `Recipe.costs` gives it.

    Raises:
        BadArgument: Nothing was calibrated for this shape, or for batches as small or as large.
    """
    known = {_words(row["shape"]): row["seconds"] for row in speeds()}
    if _words(shape) not in known:
        listed = "; ".join(sorted(known)) or "nothing yet"
        raise BadArgument(
            f"No seconds were calibrated for {_words(shape)}. Use rt.updates or rt.epochs, or one of: {listed}."
        )
    timed = {int(size): value for size, value in known[_words(shape)].items()}
    if batch_size in timed:
        return timed[batch_size]
    for below, above in pairwise(sorted(timed)):
        if below < batch_size < above:
            share = (batch_size - below) / (above - below)
            return (1 - share) * timed[below] + share * timed[above]
    raise BadArgument(
        f"batch_size={batch_size}: seconds were calibrated for batches of {min(timed)} to {max(timed)} windows. "
        "Stay within these, or use rt.updates or rt.epochs."
    )


def _words(shape: Mapping[str, Any]) -> str:
    """A shape for people, and to compare by."""
    return ", ".join(f"{name} {list(value) if isinstance(value, tuple) else value}" for name, value in shape.items())
