"""Jobs are runs of one shape: read from a store, trained here or by an executor's workers.

A run that ends in an exception is a failed run; it ends no other. A GPU that fails ends everything, since its failures
say nothing of the runs.
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
from rnntips.engine.pool import ALONE
from rnntips.errors import BadArgument, DeviceFailed, NoDevice, OutOfMemory
from rnntips.jobs.store import Store
from rnntips.runs import Runs, failed_run, joined
from rnntips.training import Job, train_jobs

__all__ = ["Resources", "run_jobs", "train_job"]

# Runs in a job: what a kill or a lost worker can cost. On a CPU a run is no slower in a small job; a worker uses one
# thread, so its jobs are smaller still, and the work is shared more evenly. A GPU is filled by runs alone, so its jobs
# are as large as they come, and halved where its memory ends. Where nothing can be lost, memory is the bound.
KEPT, AWAY, ON_GPU, HERE = 20, 10, 1024, 160
ONE_AT_A_TIME = Lock()  # on a GPU: memory cannot be given back while another thread records a graph
PATIENCE = 0.2  # seconds between looks at the stop


@dataclass(frozen=True)
class Resources:
    """Where runs are trained, and where they are kept.

    Args:
        device: `"cpu"` or `"cuda"`, as `resolve_device` gives it.
        executor: Whose workers train; None: this process.
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
        """From what a caller may give: a device's name, a store's folder; without a `stop` it makes one.

        Raises:
            BadArgument, NoDevice: An unknown device, or one that is not there; a store that is no folder.
        """
        store = store if store is None or isinstance(store, Store) else Store(store)
        # "auto" is one device, whatever workers have
        return cls(resolve_device(device, away=executor is not None), executor, store, stop or Event(), done)

    @property
    def most(self) -> int:
        """The most runs in a job."""
        here = AWAY if self.executor is not None else KEPT if self.store is not None else HERE
        return ON_GPU if self.device == "cuda" else here


def run_jobs(jobs: Sequence[Job], how: Resources, records: Sequence[Runs] | None = None) -> list[Runs]:
    """A record for each job.

    Args:
        records: Empty ones to watch, one for each job; the jobs then train in turns, and an exception is raised.
    """
    if records is not None:
        if how.executor is not None or how.store is not None or len(jobs) != len(records):
            raise BadArgument(
                "record= is for training in this process, without executor= and store=, and with one record a shape: "
                f"{len(records)} came, and {len(jobs)} would be needed here."
            )
        return train_jobs(jobs, records, how.stop)
    futures = [_submitted(how.executor, job, how.store) for job in jobs] if how.executor is not None else []
    # Processes that share a folder each begin somewhere else, so that they seldom train the same run.
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
    """The record of a job, and how many of its runs were not in the store and had to be trained."""
    if store is None:
        return _trained(job, store, stop), len(job.seeds)
    kept = [store.read(recipe, job.task, seed, job.device) for recipe, seed in zip(job.recipes, job.seeds, strict=True)]
    there = [k for k, run in enumerate(kept) if run is not None]
    missing = [k for k, run in enumerate(kept) if run is None]
    parts = [kept[k] for k in there]
    if missing:
        parts.append(_trained(_some(job, missing), store, stop))
    return joined(parts).only(np.argsort(there + missing)), len(missing)


def _some(job: Job, rows: Sequence[int]) -> Job:
    return job._replace(recipes=[job.recipes[k] for k in rows], seeds=[job.seeds[k] for k in rows])


def _trained(job: Job, store: Store | None, stop: Event | None) -> Runs:
    """Train and keep a job. If that fails its halves are tried, down to the single runs that cannot be trained.

    A run that finds no memory is not one of them: elsewhere it would train, so it must not count as naive.
    """
    n = len(job.seeds)
    try:
        with _turn(job.device):
            (runs,) = train_jobs([job], [Runs()], stop)
    except Exception as error:
        if n == 1 and isinstance(error, OutOfMemory):
            raise
        why = _words(error)
        if job.device == "cuda" and isinstance(error, RuntimeError):
            raise DeviceFailed(
                f'The GPU failed ({why}). Use fewer processes on it, or device "cpu". '
                "Finished runs are in the store, if one was named."
            ) from error
    else:
        if store is not None:
            store.write(runs, job.task)
        return runs
    if n == 1:
        return failed_run(job.recipes[0], job.task, job.seeds[0], why)
    return joined([_trained(_some(job, half), store, stop) for half in (range(n // 2), range(n // 2, n))])


@contextmanager
def _turn(device: str) -> Iterator[None]:
    """One training at a time on a GPU, whose memory is given back: other processes may wait for it."""
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
    resolve_device(job.device)  # a worker's machine may have none such
    token = ALONE.set(True)
    try:
        return train_job(job, store)
    finally:
        ALONE.reset(token)


def _received(future: Future, job: Job, stop: Event | None) -> tuple[Runs, int]:
    """What a worker found; runs that failed if it was lost, and runs that never began if training is stopped."""
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
    """One line: what kind of exception, and the beginning of its message."""
    return f"{type(error).__name__}: {error}".splitlines()[0].strip(": ")[:200]
