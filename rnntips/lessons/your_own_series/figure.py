"""The figure of the lesson 'Your own series'."""

from collections.abc import Mapping

from matplotlib.axes import Axes

from rnntips.figures import curves
from rnntips.runs import Runs

__all__ = ["draw"]


def draw(sides: Mapping[str, Runs]) -> Axes:
    """Validation error over updates.

    Args:
        sides: One or two names with their runs.
    """
    return curves(sides)
