"""One module per lesson: what it asks, checks that say what is off, staged hints, and solutions."""

from rnntips.exercises import (
    momentum,
    scaling,
    shuffling,
    sliding_windows,
    start,
    truncated_bptt,
)

__all__ = ["momentum", "scaling", "shuffling", "sliding_windows", "start", "truncated_bptt"]
