"""Run jobs, groups of runs of one shape: read their runs from a store, or train them here or in an executor's workers.

A run that ends in an exception is recorded as failed, and other runs go on. An error of a GPU ends everything, since it
shows nothing about the runs.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import BrokenExecutor, CancelledError, Executor, Future
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Lock

import numpy as np
import torch

from rnntips.engine.devices import resolve_device
from rnntips.engine.threads import ALONE
from rnntips.errors import BadArgument, DeviceFailed, NoDevice, OutOfMemory
from rnntips.jobs.store import Store
from rnntips.runs import Runs, failed_run, joined
from rnntips.training import Job, train_jobs

__all__ = ["Resources", "run_jobs", "train_job"]

# The most runs in a job. If a process is killed, its current job is lost, so jobs are small where finished runs are
# kept (KEPT) or workers train (AWAY); that makes no run slower on a CPU. Only many runs keep a GPU busy (ON_GPU); its
# jobs are halved if they need too much memory. Without store and workers only memory is a limit (HERE).
KEPT, AWAY, ON_GPU, HERE = 20, 10, 1024, 160
ONE_AT_A_TIME = Lock()  # on a GPU: no memory can be freed while another thread captures a CUDA graph
PATIENCE = 0.2  # seconds between looks at `stop`


@dataclass(frozen=True)
class Resources:
    """Where runs are trained, and where they are kept.

    Args:
        device: `"cpu"` or `"cuda"`, as `resolve_device` gives it.
        executor: Its workers train; None: this process.
        store: Where finished runs are kept and looked for; None: nowhere.
        stop: Set from another thread to end early.
        done: Called after each job with the number of its runs, and how many of them were not in the store.
    """

    device: str = "cpu"
    executor: Executor | None = None
    store: Store | None = None
    stop: Event | None = None
    done: Callable[[int, int], None] | None = None

    @classmethod
    def of(
        cls, device: str = "auto", executor: Executor | None = None, store: str | Path | Store | None = None,
        stop: Event | None = None, done: Callable[[int, int], None] | None = None,
    ) -> "Resources":  # fmt: skip
        """Resources from a device's name and a store's folder; without `stop` a new Event is made.

        Raises:
            BadArgument, NoDevice: An unknown device, or one that does not exist; a store that is no folder.
        """
        store = store if store is None or isinstance(store, Store) else Store(store)
        # resolved here, so that all workers use the same device
        return cls(resolve_device(device, away=executor is not None), executor, store, stop or Event(), done)

    @property
    def most(self) -> int:
        """The most runs in a job."""
        here = AWAY if self.executor is not None else KEPT if self.store is not None else HERE
        return ON_GPU if self.device == "cuda" else here


def run_jobs(jobs: Sequence[Job], how: Resources, records: Sequence[Runs] | None = None) -> list[Runs]:
    """A record for each job.

    Args:
        records: Empty ones to fill, one for each job; the jobs then train in turns, and errors of runs are raised.
    """
    if records is not None:
        if how.executor is not None or how.store is not None or len(jobs) != len(records):
            raise BadArgument(
                "record= is for training in this process, without executor= and store=, and with one record a shape: "
                f"{len(records)} came, and {len(jobs)} would be needed here."
            )
        return train_jobs(jobs, records, how.stop)
    futures = [_submitted(how.executor, job, how.store) for job in jobs] if how.executor is not None else []
    # Processes that share a store each take another order, so that they seldom train the same run.
    order = np.random.default_rng().permutation(len(jobs)) if how.store and not futures else range(len(jobs))
    found: list[Runs] = [Runs()] * len(jobs)
    try:
        for j in order:
            if futures:
                found[j], trained = _received(futures[j], jobs[j], how.stop)
            else:
                found[j], trained = train_job(jobs[j], how.store, how.stop)
            if how.done is not None:
                how.done(len(jobs[j].seeds), trained)
    finally:
        for future in futures:
            future.cancel()  # those that were not waited for
    return found


def train_job(job: Job, store: Store | None = None, stop: Event | None = None) -> tuple[Runs, int]:
    """The record of a job, and how many of its runs were not in the store and had to be trained.

    If training fails, the halves of the job are tried, down to the single runs that fail.
    """
    pairs = list(zip(job.recipes, job.seeds, strict=True))
    kept = [store and store.read(recipe, job.task, seed, job.device) for recipe, seed in pairs]
    there, missing = ([k for k, run in enumerate(kept) if (run is None) == new] for new in (False, True))
    parts = [kept[k] for k in there]
    if missing:
        wanted = _some(job, missing)
        try:
            with _turn(job.device):
                (runs,) = train_jobs([wanted], [Runs()], stop)
        except Exception as error:
            runs, why = None, _reason(error, wanted)
        else:
            if store is not None:
                store.write(runs, job.task)
        # here the exception is gone, and with it the memory that its traceback held
        parts.append(_halved(wanted, why, store, stop) if runs is None else runs)
    found = joined(parts)
    return (found.only(np.argsort(there + missing)) if there else found), len(missing)


def _some(job: Job, rows: Sequence[int]) -> Job:
    return job._replace(recipes=[job.recipes[k] for k in rows], seeds=[job.seeds[k] for k in rows])


def _reason(error: Exception, job: Job) -> str:
    """Why the training of a job failed, in words; raises what says nothing about its runs.

    A single run that is out of memory is no failed run: a larger machine would train it, so it must not count as naive.
    """
    if len(job.seeds) == 1 and isinstance(error, OutOfMemory):
        raise error
    why = _words(error)
    if job.device == "cuda" and isinstance(error, RuntimeError):
        raise DeviceFailed(
            f'The GPU failed ({why}). Use fewer processes on it, or device "cpu". '
            "Finished runs are in the store, if one was named."
        ) from error
    return why


def _halved(job: Job, why: str, store: Store | None, stop: Event | None) -> Runs:
    """The record of a job that failed: its halves are trained; a single run is a failed run."""
    n = len(job.seeds)
    if n == 1:
        return failed_run(job.recipes[0], job.task, job.seeds[0], why)
    return joined([train_job(_some(job, half), store, stop)[0] for half in (range(n // 2), range(n // 2, n))])


@contextmanager
def _turn(device: str) -> Iterator[None]:
    """Train one job at a time on a GPU, and free its cached memory: other processes may wait for it."""
    if device != "cuda":
        yield
        return
    with ONE_AT_A_TIME:
        try:
            yield
        finally:
            torch.cuda.empty_cache()


def _submitted(executor: Executor, job: Job, store: Store | None) -> Future:
    try:
        return executor.submit(_in_worker, job, store)
    except BrokenExecutor as error:
        future: Future = Future()
        future.set_exception(error)
        return future


def _in_worker(job: Job, store: Store | None) -> tuple[Runs, int]:
    resolve_device(job.device)  # raises if the worker's machine has no such device
    token = ALONE.set(True)
    try:
        return train_job(job, store)
    finally:
        ALONE.reset(token)


def _received(future: Future, job: Job, stop: Event | None) -> tuple[Runs, int]:
    """A worker's records; if the worker was lost, failed runs; if training is stopped, runs without updates."""
    while True:
        ended = stop is not None and stop.is_set()
        try:
            error = future.exception(timeout=0 if ended else PATIENCE)
            break
        except CancelledError as cancelled:
            error = cancelled
            break
        except TimeoutError:
            if ended:
                return train_jobs([job._replace(device="cpu")], [Runs()], stop)[0], 0
        except KeyboardInterrupt:
            if stop is None:
                raise
            stop.set()
    if error is None or isinstance(error, NoDevice | DeviceFailed | OutOfMemory):
        return future.result()
    why = _words(error)
    failed = [failed_run(recipe, job.task, seed, why) for recipe, seed in zip(job.recipes, job.seeds, strict=True)]
    return joined(failed), 0


def _words(error: BaseException) -> str:
    """One line: the kind of exception, and the beginning of its message."""
    return f"{type(error).__name__}: {error}".splitlines()[0].strip(": ")[:200]
