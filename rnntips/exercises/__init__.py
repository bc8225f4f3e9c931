"""One module per lesson: what it asks, checks that say what is off, staged hints, and solutions."""

from rnntips.exercises import momentum, scaling, shuffling, start

__all__ = ["momentum", "scaling", "shuffling", "start"]
