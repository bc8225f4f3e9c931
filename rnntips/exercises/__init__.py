"""One module per lesson: what it asks, checks that say what is off, staged hints, and solutions."""

from rnntips.exercises import (
    deep_recurrence,
    gradient_clipping,
    momentum,
    scaling,
    shuffling,
    sliding_windows,
    start,
    truncated_bptt,
)

__all__ = [
    "deep_recurrence",
    "gradient_clipping",
    "momentum",
    "scaling",
    "shuffling",
    "sliding_windows",
    "start",
    "truncated_bptt",
]
