"""Run jobs, groups of runs of one shape: read their runs from a store, or train them here or in an executor's workers.

A run that was not trained to its end is no result. A job whose worker was lost is tried again; an exception ends all.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, CancelledError, Executor, Future, wait
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Lock

import numpy as np
import torch

from rnntips.engine.devices import resolve_device
from rnntips.engine.threads import ALONE
from rnntips.errors import BadArgument, OutOfMemory, RnntipsError, TrainingFailed, need
from rnntips.jobs.store import Store
from rnntips.runs import Runs, joined
from rnntips.training import Job, named, train_jobs

__all__ = ["Resources", "run_jobs", "train_job"]

# The most runs in a job. If a process is killed, its current job is lost, so jobs are small where finished runs are
# kept (KEPT) or workers train (AWAY); that makes no run slower on a CPU. Only many runs keep a GPU busy (ON_GPU); its
# jobs are halved if they need too much memory. Without store and workers only memory is a limit (HERE).
KEPT, AWAY, ON_GPU, HERE = 20, 10, 1024, 160
ONE_AT_A_TIME = Lock()  # on a GPU: no memory can be freed while another thread captures a CUDA graph
PATIENCE = 0.2  # seconds between looks at `stop`
TRIES = 3  # of a job whose worker is lost


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
            BadArgument, NoDevice: An unknown device, or one that does not exist; a store that is no folder; no
                executor; no Event.
        """
        need("executor", executor, Executor | None, "an executor of concurrent.futures, or None")
        need("stop", stop, Event | None, "a threading.Event, or None")
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
        for record in records:
            need("record", record, Runs, "an empty rt.Runs()")
        if how.executor is not None or how.store is not None or len(jobs) != len(records):
            raise BadArgument(
                "record= is for training in this process, without executor= and store=, and with one record a shape: "
                f"{len(records)} came, and {len(jobs)} would be needed here."
            )
        return train_jobs(jobs, records, how.stop)
    found: list[Runs] = [Runs()] * len(jobs)
    for j, runs, trained in _here(jobs, how) if how.executor is None else _away(jobs, how):
        found[j] = runs
        if how.done is not None:
            how.done(len(runs), trained)
    return found


def _here(jobs: Sequence[Job], how: Resources) -> Iterator[tuple[int, Runs, int]]:
    """Train in this process. For each job: its number, its record, how many of its runs were trained."""
    # Processes that share a store each take another order, so that they seldom train the same run.
    for j in np.random.default_rng().permutation(len(jobs)) if how.store else range(len(jobs)):
        yield j, *train_job(jobs[j], how.store, how.stop)


def _away(jobs: Sequence[Job], how: Resources) -> Iterator[tuple[int, Runs, int]]:
    """The same in an executor's workers, in the order in which they finish; runs without updates for jobs unfinished
    when `stop` is set."""
    tries = dict.fromkeys(range(len(jobs)), 0)
    futures: dict[Future, int] = {}  # → job's number
    try:
        waiting = list(tries)
        while waiting or futures:
            for j in waiting:
                tries[j] += 1
                futures[_submitted(how.executor, jobs[j], how.store)] = j
            waiting, stopped = [], how.stop is not None and how.stop.is_set()
            try:
                finished = wait(futures, 0 if stopped else PATIENCE, FIRST_COMPLETED).done
            except KeyboardInterrupt:
                if how.stop is None:
                    raise
                how.stop.set()
                continue
            for future in finished:
                j, error = futures.pop(future), _error(future)
                if error is None:
                    yield j, *future.result()
                elif isinstance(error, RnntipsError):
                    raise error
                elif tries[j] == TRIES:
                    raise _lost(error, jobs[j]) from error
                else:
                    waiting.append(j)
            if stopped:
                for j in (*futures.values(), *waiting):
                    yield j, train_jobs([jobs[j]._replace(device="cpu")], [Runs()], how.stop)[0], 0
                return
    finally:
        for future in futures:
            future.cancel()


def train_job(job: Job, store: Store | None = None, stop: Event | None = None) -> tuple[Runs, int]:
    """The record of a job, and how many of its runs were not in the store and had to be trained.

    A job that needs too much memory is halved, down to single runs.
    """
    pairs = list(zip(job.recipes, job.seeds, strict=True))
    with named([job]):
        kept = [store and store.read(recipe, job.task, seed, job.device) for recipe, seed in pairs]
    there, missing = ([k for k, run in enumerate(kept) if (run is None) == new] for new in (False, True))
    parts = [kept[k] for k in there]
    if missing:
        wanted = _some(job, missing)
        try:
            with named([wanted]), _turn(job.device):
                (runs,) = train_jobs([wanted], [Runs()], stop)
        except OutOfMemory:
            if len(missing) == 1:
                raise
            runs = None  # here the exception is gone, and with it the memory that its traceback held
        else:
            if store is not None:
                store.write(runs, job.task)
        parts.append(_halved(wanted, store, stop) if runs is None else runs)
    found = joined(parts)
    return (found.only(np.argsort(there + missing)) if there else found), len(missing)


def _some(job: Job, rows: Sequence[int]) -> Job:
    return job._replace(recipes=[job.recipes[k] for k in rows], seeds=[job.seeds[k] for k in rows])


def _halved(job: Job, store: Store | None, stop: Event | None) -> Runs:
    half = len(job.seeds) // 2
    parts = range(half), range(half, len(job.seeds))
    return joined([train_job(_some(job, part), store, stop)[0] for part in parts])


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
    except Exception as error:  # its workers are gone, or it was shut down
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


def _error(future: Future) -> BaseException | None:
    """What a future raises; a worker's own exceptions arrive as errors of this package, all others mean it was lost."""
    try:
        return future.exception(timeout=0)
    except CancelledError as error:
        return error


def _lost(error: BaseException, job: Job) -> TrainingFailed:
    return TrainingFailed(
        f"Workers were lost {TRIES} times while they trained {len(job.seeds)} runs on {job.task.name} "
        f"({type(error).__name__}: {error}). Perhaps their memory ended: use fewer of them. "
        "Finished runs are in the store, if one was named, and the same call goes on from them."
    )
