"""Marks of an axis, for pictures with and without matplotlib."""

import numpy as np

__all__ = ["log_ticks"]


def log_ticks(low: float, high: float) -> list[float]:
    """1, 2 and 5 times powers of ten between two positive numbers; fewer over many decades, more within one."""
    powers = np.arange(np.floor(np.log10(low)), np.ceil(np.log10(high)) + 1)
    factors = [1, 2, 5] if high / low < 3000 else [1]
    if high / low < 8:
        factors = [1, 1.5, 2, 3, 4, 5, 7]
    if high / low < 2:
        factors = [1, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6, 1.8, 2, 2.5, 3, 3.5, 4, 4.5, 5, 6, 7, 8, 9]
    return [tick for power in powers for tick in 10**power * np.array(factors) if low <= tick <= high]
