"""Counts tries, and keeps the first failure of each kind."""

import random
import signal
import time
import traceback
from collections.abc import Callable, Iterator
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.strategies import SearchStrategy

from rnntips.errors import RnntipsError

DRAWN = settings(max_examples=25, database=None, deadline=None, suppress_health_check=list(HealthCheck),
                 phases=[Phase.generate])  # fmt: skip


class Hang(BaseException):
    """Raised by the alarm; no library catches it."""


class Tally:
    """The tries of one kind, for so many seconds."""

    def __init__(self, rng: random.Random, seconds: float):
        self.rng, self.seconds, self.began = rng, seconds, time.monotonic()
        self.tries, self.survived, self.failures, self.notes = 0, 0, {}, []
        signal.signal(signal.SIGALRM, _hang)

    def times(self) -> Iterator[int]:
        """0, 1, 2 and so on, while there is time."""
        number = 0
        while time.monotonic() < self.began + self.seconds:
            yield number
            number += 1

    def attempt(self, label: str, act: Callable, right: object = None, seconds: int = 60) -> None:
        """One try: it survives if `act` returns what is right, in time, or raises an error of this package in words."""
        self.tries += 1
        signal.alarm(seconds)
        try:
            found = act()
            assert right in (None, found), "it is not what it is otherwise"
        except BaseException as error:
            signal.alarm(0)
            if right is not None or not isinstance(error, RnntipsError) or not 10 < len(str(error)) < 3000:
                frames = traceback.extract_tb(error.__traceback__)
                last = ([frame for frame in frames if "/rnntips/" in frame.filename] or frames)[-1]
                where = f"{type(error).__name__} at {last.filename.rpartition('/')[2]}:{last.lineno}"
                self.failures.setdefault(f"{where}: {str(error)[:300]}", label[:300])
                return
        signal.alarm(0)
        self.survived += 1

    def attempt_drawn(self, strategy: SearchStrategy, label: Callable[[Any], str], act: Callable) -> None:
        """Tries with values that Hypothesis draws."""
        for _ in self.times():
            draw = given(strategy)(lambda value: self.attempt(label(value), lambda: act(value)))
            seed(self.rng.getrandbits(64))(DRAWN(draw))()


def _hang(*_):
    raise Hang("no end")
