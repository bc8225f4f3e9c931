"""Executors by name, for the command line: a Dask cluster, or processes on this machine."""

import multiprocessing
import signal
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import contextmanager

from rnntips.errors import BadArgument, NotReached

__all__ = ["opened"]

PATIENCE = 10  # seconds for a scheduler to answer


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
    elif kind == "processes" and where.isdecimal() and int(where):
        with _processes(int(where)) as pool:
            yield pool
    elif kind == "dask" and where:
        with _client(where) as client:
            yield client.get_executor()
    else:
        raise BadArgument(f"--executor {name!r}: dask:ADDRESS (dask:tcp://127.0.0.1:8786) or processes:N is needed.")


@contextmanager
def _processes(count: int) -> Iterator[Executor]:
    # Spawned, since threads do not survive a fork. Workers ignore Ctrl-C, so begun jobs are finished and kept.
    pool = ProcessPoolExecutor(
        count, multiprocessing.get_context("spawn"), signal.signal, (signal.SIGINT, signal.SIG_IGN)
    )
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


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
