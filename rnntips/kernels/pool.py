"""A few threads for compiled loops that let go of Python's lock, each taking run after run."""

import os
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

import numpy as np

from rnntips.errors import BadArgument

__all__ = ["over_runs", "threads"]


@cache
def _machine() -> int:
    """Cores this process may use: its affinity and its control group's quota, whichever is less."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    for folder, names in {"": ["cpu.max"], "cpu": ["cpu.cfs_quota_us", "cpu.cfs_period_us"]}.items():
        try:
            words = " ".join((Path("/sys/fs/cgroup") / folder / name).read_text() for name in names).split()
        except OSError:
            continue
        if words[0] not in ("max", "-1"):
            cores = min(cores, -(-int(words[0]) // int(words[1])))
    return max(1, cores)


def threads() -> int:
    """How many threads to use: the machine's cores, or fewer if the variable RNNTIPS_THREADS says so.

    Raises:
        BadArgument: The variable holds no whole number of at least 1.
    """
    wanted = os.environ.get("RNNTIPS_THREADS", "")
    if wanted and not (wanted.isdecimal() and int(wanted)):
        raise BadArgument(f"RNNTIPS_THREADS={wanted!r}: a whole number of at least 1 is needed.")
    return min(_machine(), int(wanted)) if wanted else _machine()


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(max(1, _machine() - 1), thread_name_prefix="rnntips")


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pool.cache_clear)  # threads do not survive a fork


def over_runs(function, runs: int, *arguments) -> None:
    """Call `function(counter, *arguments)` in several threads; each takes run after run from the counter.

    A second counter numbers the threads, for functions that want to know. A thread that wakes late, or
    whose core is lent to somebody else, holds nobody up.
    """
    counter = np.zeros(2, np.int64)
    others = [_pool().submit(function, counter, *arguments) for _ in range(min(threads(), runs) - 1)]
    try:
        function(counter, *arguments)
    finally:
        for other in others:
            if not other.cancel():  # nothing is left for one that has not begun
                other.result()
