"""One module per lesson: what it asks, checks that say what is off, staged hints, and solutions."""

from rnntips.exercises import batch_size, momentum, scaling, start

__all__ = ["batch_size", "momentum", "scaling", "start"]
