"""A thread pool for compiled loops that release the GIL; each thread takes one run after the other."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from functools import cache
from itertools import count
from pathlib import Path

import numpy as np

from rnntips.errors import BadArgument

__all__ = ["ALONE", "each", "over_runs", "threads"]


# True in an executor's worker: workers share the machine, so each uses one thread.
ALONE: ContextVar[bool] = ContextVar("ALONE", default=False)
CGROUPS, OWN_CGROUPS = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")


def _quotas():
    """Cores allowed by this process's control groups (cgroups, version 1 or 2) and by their parents."""
    try:
        lines = OWN_CGROUPS.read_text().splitlines()
    except OSError:
        lines = ["0::/", "1:cpu:/"]
    for line in lines:
        _, kinds, path = line.split(":", 2)
        if kinds and "cpu" not in kinds.split(","):
            continue
        root = CGROUPS / "cpu" if kinds else CGROUPS
        names = ["cpu.cfs_quota_us", "cpu.cfs_period_us"] if kinds else ["cpu.max"]
        for group in (Path(path), *Path(path).parents):
            try:
                quota, period = " ".join((root / group.relative_to("/") / name).read_text() for name in names).split()
            except OSError:  # a container sees its own group as the top one
                continue
            if quota not in ("max", "-1"):
                yield -(-int(quota) // int(period))


@cache
def _machine() -> int:
    """Cores this process may use: the smallest of its affinity and its control groups' quotas."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min([cores, *_quotas()]))


def threads() -> int:
    """How many threads to use: what RNNTIPS_THREADS says, else the machine's cores, or one in an executor's worker.

    Raises:
        BadArgument: The variable holds no whole number of at least 1.
    """
    wanted = os.environ.get("RNNTIPS_THREADS", "")
    if wanted and not (wanted.isdecimal() and int(wanted)):
        raise BadArgument(f"RNNTIPS_THREADS={wanted!r}: a whole number of at least 1 is needed.")
    return min(_machine(), int(wanted)) if wanted else 1 if ALONE.get() else _machine()


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(max(1, _machine() - 1), thread_name_prefix="rnntips")


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pool.cache_clear)  # threads do not survive a fork


def over_runs(function, runs: int, *arguments, most: int | None = None) -> None:
    """Call `function(counter, *arguments)` in several threads; each takes run after run from the counter.

    `counter` (2,) holds the next run and the next thread's number. There are at most `most` threads; None: `threads()`.
    A thread that starts late, or whose core is busy, takes fewer runs, so the others do not wait for it.
    """
    counter = np.zeros(2, np.int64)
    others = [_pool().submit(function, counter, *arguments) for _ in range(min(most or threads(), runs) - 1)]
    try:
        function(counter, *arguments)
    finally:
        for other in others:
            if not other.cancel():  # no run is left for a thread that has not begun
                other.result()


def each(function: Callable[[int], None], runs: int) -> None:
    """Call `function` of every run's number in several threads; it should let go of the GIL, as NumPy's draws do."""
    numbers = count()

    def take(_) -> None:
        while (number := next(numbers)) < runs:
            function(number)

    over_runs(take, runs)
