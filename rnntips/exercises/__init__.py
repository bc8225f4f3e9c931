"""One module per lesson: what it asks, checks that say what is off, staged hints, and solutions."""

from rnntips.exercises import (
    batch_size,
    deep_recurrence,
    gradient_clipping,
    learning_rate,
    momentum,
    scaling,
    shuffling,
    sliding_windows,
    start,
    truncated_bptt,
)

__all__ = [
    "batch_size",
    "deep_recurrence",
    "gradient_clipping",
    "learning_rate",
    "momentum",
    "scaling",
    "shuffling",
    "sliding_windows",
    "start",
    "truncated_bptt",
]
