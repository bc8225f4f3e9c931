"""How long one run's update takes: the stored calibration that budgets in seconds rest on."""

import json
from collections.abc import Mapping
from functools import cache
from importlib import resources
from itertools import pairwise
from typing import Any

from rnntips.errors import BadArgument

__all__ = ["seconds_per_update", "speeds"]


@cache
def speeds() -> list[dict[str, Any]]:
    """The stored calibration: for each kind of update the machine, and seconds of one run's update by batch size.

    Made by `python -m evidence seconds --write`: medians over rounds, in each of which every kind ran on one core.
    """
    return json.loads(resources.files("rnntips").joinpath("data/update_seconds.json").read_text(encoding="utf-8"))


def seconds_per_update(costs: Mapping[str, Any], batch_size: int) -> float:
    """Calibrated seconds of one run's update; interpolated linearly between two batch sizes that were timed.

    Args:
        costs: As `Recipe.costs` gives it.

    Raises:
        BadArgument: Nothing was calibrated for this kind of update, or for batches as small or as large.
    """
    known = {_listed(row["shape"]): row["seconds"] for row in speeds()}
    if _listed(costs) not in known:
        listed = "; ".join(sorted(known)) or "nothing yet"
        raise BadArgument(
            f"No seconds were calibrated for {_listed(costs)}. Use rt.updates or rt.epochs, or one of: {listed}."
        )
    timed = {int(size): value for size, value in known[_listed(costs)].items()}
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


def _listed(costs: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {list(value) if isinstance(value, tuple) else value}" for name, value in costs.items())
