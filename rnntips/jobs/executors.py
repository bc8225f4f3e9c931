"""Executors by name, for the command line: a Dask cluster, or processes on this machine."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import BrokenExecutor, Executor, Future, ProcessPoolExecutor
from contextlib import contextmanager

from rnntips.errors import BadArgument, NotReached, need_whole

__all__ = ["opened"]

PATIENCE = 10  # seconds for a scheduler to answer
EACH = 8  # processes for every core at most: more only fill the memory


@contextmanager
def opened(name: str | None) -> Iterator[Executor | None]:
    """`dask:ADDRESS` or `processes:N` as an executor that is closed at the end; None for None.

    Raises:
        BadArgument: Another name.
        NotReached: No scheduler answers, or Dask is not installed.
    """
    kind, _, where = (name or "").partition(":")
    if name is None:
        yield None
    elif kind == "processes" and where.isdecimal():
        pool = Processes(need_whole("processes in --executor", int(where[:9]), 1, EACH * (os.cpu_count() or 1)))
        try:
            yield pool
        finally:
            pool.shutdown(cancel_futures=True)
    elif kind == "dask" and where:
        with _client(where) as client:
            yield client.get_executor()
    else:
        raise BadArgument(f"--executor {name!r}: dask:ADDRESS (dask:tcp://127.0.0.1:8786) or processes:N is needed.")


class Processes(Executor):
    """Processes on this machine. If one is killed, all jobs in them are lost, and the next job starts new ones."""

    def __init__(self, count: int):
        self._count, self._pool = count, self._started(count)

    @staticmethod
    def _started(count: int) -> ProcessPoolExecutor:
        return ProcessPoolExecutor(count, multiprocessing.get_context("spawn"), _begin)  # threads survive no fork

    def submit(self, work, /, *args, **kwargs) -> Future:
        try:
            return self._pool.submit(work, *args, **kwargs)
        except BrokenExecutor:
            self._pool = self._started(self._count)
            return self._pool.submit(work, *args, **kwargs)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        self._pool.shutdown(wait, cancel_futures=cancel_futures)


def _begin() -> None:
    """What a worker does first: it ignores Ctrl-C, so that begun jobs are finished and kept, and ends with its parent,
    however that ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def watch() -> None:
        multiprocessing.parent_process().join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _client(address: str):
    try:
        from distributed import Client
    except ImportError:
        raise NotReached("Dask is not installed here. Run: pip install 'rnntips[dask]'.") from None
    try:
        return Client(address, timeout=PATIENCE, set_as_default=False)
    except (OSError, ValueError) as error:  # a time-out is an OSError
        raise NotReached(
            f"No Dask scheduler answers at {address} ({error}). Start one with `dask scheduler`, "
            "and workers with `dask worker ADDRESS --nthreads 1`."
        ) from None
