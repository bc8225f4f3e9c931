"""One module per lesson: what it asks, checks that say what is off, staged hints, and solutions."""

from rnntips.exercises import scaling, start

__all__ = ["scaling", "start"]
