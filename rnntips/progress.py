"""How far a long computation is, on the terminal: runs done, seconds since the start, time left."""

import sys
import time
from collections.abc import Sequence
from typing import TextIO

from rnntips.tips import Tip

__all__ = ["Progress", "expected"]

SPARSE = 30  # seconds between two lines where a line cannot be written over


class Progress:
    """One line that is written over on a terminal, a line now and then elsewhere.

    Args:
        total: Runs expected; tuning that widens its grid makes it more.
        stream: Where to write; standard error if None.
    """

    def __init__(self, total: int, stream: TextIO | None = None):
        self.total, self.stream = total, stream or sys.stderr
        self.runs = self.trained = 0
        self.began = time.monotonic()
        self.written = -float("inf")

    def done(self, runs: int, trained: int) -> None:
        """So many more runs are there, of which so many had to be trained; the others were in the store."""
        self.runs, self.trained = self.runs + runs, self.trained + trained
        self.total = max(self.total, self.runs)
        passed = time.monotonic() - self.began
        line = f"{self.runs} of {self.total} runs, {_duration(passed)}"
        if self.trained and self.runs < self.total:
            line += f", {_duration(passed / self.trained * (self.total - self.runs))} left"
        if self.stream.isatty():
            self._write(f"\r{line}\x1b[K")
        elif passed - self.written >= SPARSE or self.runs == self.total:
            self.written = passed
            self._write(line + "\n")

    def say(self, line: str) -> None:
        """A line that stays; the next `done` goes under it."""
        self._write(f"\r{line}\x1b[K\n" if self.stream.isatty() else line + "\n")

    def _write(self, text: str) -> None:
        self.stream.write(text)
        self.stream.flush()


def expected(tip: Tip, seeds: Sequence[int] | None, retune: bool) -> int:
    """Runs of `rnntips.records.compute`, as long as tuning widens no grid."""
    sides, counts = sum(map(len, tip.sides().values())), tip.plan["seeds"]
    planned = sides * (counts["first"] + counts["fresh"])
    tuning = (tip.cost()[0] - planned) // (2 if seeds is not None else 1)  # given seeds are one part, not two
    return (planned if seeds is None else sides * len(seeds)) + (tuning if retune else 0)


def _duration(seconds: float) -> str:
    return (
        f"{seconds:.0f} s"
        if seconds < 100
        else f"{seconds / 60:.0f} min"
        if seconds < 6000
        else f"{seconds / 3600:.1f} h"
    )
