"""Groups of runs of one shape: read from a store, trained here or by an executor's workers.

A run that ends in an exception is a failed run; it ends no other. A GPU that fails ends everything, since its failures
say nothing of the runs.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import BrokenExecutor, CancelledError, Executor, Future
from contextlib import contextmanager
from threading import Event, Lock

import numpy as np
import torch

from rnntips.arguments import resolve_device
from rnntips.errors import DeviceFailed, NoDevice, OutOfMemory
from rnntips.kernels.pool import ALONE
from rnntips.recipe import Recipe
from rnntips.runs import Runs, failed, joined
from rnntips.store import Store
from rnntips.training import train_stack

__all__ = ["AWAY", "GROUP", "ON_GPU", "train_group", "train_groups"]

# Runs in a group: what a kill or a lost worker can cost. On a CPU a run is no slower in a small group; a worker uses
# one thread, so its groups are smaller still, and the work is shared more evenly. A GPU is filled by runs alone, so its
# groups are as large as they come, and halved where its memory ends.
GROUP, AWAY, ON_GPU = 20, 10, 1024
ONE_AT_A_TIME = Lock()  # on a GPU: memory cannot be given back while another thread records a graph
PATIENCE = 0.2  # seconds between looks at the stop

Group = tuple[Sequence[Recipe], Sequence[int]]  # a recipe and a seed for each run


def train_groups(
    groups: Sequence[Group], task, device: str, stop: Event | None, executor: Executor | None, store: Store | None,
    done: Callable[[int, int], None] | None,
) -> list[Runs]:  # fmt: skip
    """A record for each group; see `rnntips.tuning.train_sides`."""
    if executor is not None:
        futures = [_submitted(executor, *group, task, device, store) for group in groups]
    # Processes that share a folder each begin somewhere else, so that they seldom train the same run.
    order = np.random.default_rng().permutation(len(groups)) if store and executor is None else range(len(groups))
    found: list[Runs] = [Runs()] * len(groups)
    try:
        for g in order:
            recipes, seeds = groups[g]
            if executor is None:
                found[g], trained = train_group(recipes, seeds, task, device, store, stop)
            else:
                found[g], trained = _received(futures[g], recipes, seeds, task, stop)
            if done is not None:
                done(len(seeds), trained)
    finally:
        for future in futures if executor is not None else ():
            future.cancel()  # those that were not waited for
    return found


def train_group(
    recipes: Sequence[Recipe], seeds: Sequence[int], task, device: str, store: Store | None, stop: Event | None = None
) -> tuple[Runs, int]:
    """The record of runs of one shape, and how many of them were not in the store and had to be trained."""
    device = resolve_device(device)
    if store is None:
        return _trained(recipes, seeds, task, device, store, stop), len(seeds)
    kept = [store.read(recipe, task, seed, device) for recipe, seed in zip(recipes, seeds, strict=True)]
    there = [k for k, run in enumerate(kept) if run is not None]
    missing = [k for k, run in enumerate(kept) if run is None]
    parts = [kept[k] for k in there]
    if missing:
        parts.append(_trained([recipes[k] for k in missing], [seeds[k] for k in missing], task, device, store, stop))
    return joined(parts).only(np.argsort(there + missing)), len(missing)


def _trained(recipes, seeds, task, device: str, store: Store | None, stop: Event | None) -> Runs:
    """Train and keep a group. If that fails its halves are tried, down to the single runs that cannot be trained.

    A run that finds no memory is not one of them: elsewhere it would train, so it must not count as naive.
    """
    try:
        with _turn(device):
            runs = train_stack(recipes, task, seeds, device=device, stop=stop)
    except Exception as error:
        if len(seeds) == 1 and isinstance(error, OutOfMemory):
            raise
        why = _words(error)
        if device == "cuda" and isinstance(error, RuntimeError):
            raise DeviceFailed(
                f'The GPU failed ({why}). Use fewer processes on it, or device "cpu". '
                "Finished runs are in the store, if one was named."
            ) from error
    else:
        if store is not None:
            store.write(runs, task)
        return runs
    if len(seeds) == 1:
        return failed(recipes[0], task, seeds[0], why)
    half = len(seeds) // 2
    halves = (recipes[:half], seeds[:half]), (recipes[half:], seeds[half:])
    return joined([_trained(*some, task, device, store, stop) for some in halves])


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


def _submitted(executor: Executor, *work) -> Future:
    try:
        return executor.submit(_in_worker, *work)
    except BrokenExecutor as error:
        future: Future = Future()
        future.set_exception(error)
        return future


def _in_worker(*work) -> tuple[Runs, int]:
    token = ALONE.set(True)
    try:
        return train_group(*work)
    finally:
        ALONE.reset(token)


def _received(future: Future, recipes, seeds, task, stop: Event | None) -> tuple[Runs, int]:
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
                return train_stack(recipes, task, seeds, device="cpu", stop=stop), 0
        except KeyboardInterrupt:
            if stop is None:
                raise
            stop.set()
    if error is None or isinstance(error, NoDevice | DeviceFailed | OutOfMemory):
        return future.result()
    return joined([failed(recipe, task, seed, _words(error)) for recipe, seed in zip(recipes, seeds, strict=True)]), 0


def _words(error: BaseException) -> str:
    """One line: what kind of exception, and the beginning of its message."""
    return f"{type(error).__name__}: {error}".splitlines()[0].strip(": ")[:200]
