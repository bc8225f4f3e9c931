"""One module per lesson: a check that says what is off, staged hints, and the solution."""

from rnntips.exercises import scaling

__all__ = ["scaling"]
