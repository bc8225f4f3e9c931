"""Turn a training's out-of-memory errors into `OutOfMemory`, which says what to halve, and free its memory."""

import gc
import re
from collections.abc import Iterator, Set
from contextlib import contextmanager
from traceback import clear_frames

import torch

from rnntips.errors import OutOfMemory
from rnntips.recipe import Recipe
from rnntips.runs import Runs

__all__ = ["bounded"]

# Messages of libraries that have no error class of their own: PyTorch on a CPU, CUDA, Triton, cuBLAS.
WORDS = re.compile("out of memory|can't allocate memory|ALLOC_FAILED", re.IGNORECASE)
WANTED, FREE = re.compile(r"allocate ([\d.]+ \w+)"), re.compile(r"([\d.]+ \w+) is free")


@contextmanager
def bounded(record: Runs, ignored: Set[str]) -> Iterator[None]:
    """Context for drawing data and training: out of memory becomes `OutOfMemory`, and its tensors are freed.

    Args:
        record: Is filled meanwhile; empty until the data are drawn.
        ignored: Recipe fields that have no effect on the task, so that halving them would not help.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        chain = _chain(error)
        cause = next((each for each in chain if _is_exhausted(each)), None)
        if cause is None:
            raise
        record.stopped = True
        told = OutOfMemory(_words(str(cause), record, ignored))
        told.record = record
        for each in chain:
            clear_frames(each.__traceback__)  # else a kept error would keep every tensor of the training
        _release()
        raise told from None


def _chain(error: BaseException) -> list[BaseException]:
    """An exception and its causes: a failed capture of a CUDA graph hides the first error."""
    found = [error]
    while (before := found[-1].__cause__ or found[-1].__context__) is not None:
        found.append(before)
    return found


def _is_exhausted(error: BaseException) -> bool:
    known = isinstance(error, MemoryError | torch.OutOfMemoryError)
    return known or (isinstance(error, RuntimeError) and WORDS.search(str(error)) is not None)


def _release() -> None:
    gc.collect()  # frees tensors in reference cycles, also those of the user
    if torch.cuda.is_initialized():
        torch.cuda.set_stream(torch.cuda.default_stream())  # a failed capture leaves its own stream
        torch.cuda.empty_cache()


def _words(cause: str, record: Runs, ignored: Set[str]) -> str:
    where, runs = ("The GPU" if record.device == "cuda" else "This machine"), len(record)
    if not runs:
        return f"{where} ran out of memory while data were drawn. Take shorter data or windows, or fewer seeds."
    wanted, free = (pattern.search(cause) for pattern in (WANTED, FREE))
    much = [f"{wanted[1]} more were needed"] if wanted else []
    much += [f"{free[1]} were free"] if free else []
    few = f"train {-(-runs // 2)} runs at once instead of {runs}" if runs > 1 else _halved(record.recipes[0], ignored)
    told = f"{where} ran out of memory{': ' * bool(much)}{', '.join(much)}. Halve what it holds: {few}."
    if record.device == "cuda":
        told += " Or use the CPU."
    return f"{told} What was done until then is kept: {record.reached} of {record.updates} updates."


def _halved(recipe: Recipe, ignored: Set[str]) -> str:
    """Advice for a single run: halve the largest of the fields that its memory grows with."""
    steps = "chunk" if recipe.chunk else "past"
    sizes = {name: getattr(recipe, name) for name in ("batch_size", "width", steps) if name not in ignored}
    name = max(sizes, key=sizes.get)
    return f"use {name}={max(1, sizes[name] // 2)} instead of {sizes[name]}, which is another experiment"
