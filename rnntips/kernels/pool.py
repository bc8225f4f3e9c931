"""A few threads for compiled loops that let go of Python's lock, each taking a range of runs."""

import os
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import pairwise
from pathlib import Path

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
    """Call `function(first, end, *arguments)` for ranges that cover the runs; this thread takes one of them."""
    parts = min(threads(), runs)
    bounds = [runs * part // parts for part in range(parts + 1)]
    others = [_pool().submit(function, *pair, *arguments) for pair in pairwise(bounds[1:])]
    try:
        function(0, bounds[1], *arguments)
    finally:
        for other in others:
            other.result()
