"""What this machine's memory can hold, asked before anything is made, and giving back what was freed."""

from collections.abc import Sequence
from contextlib import suppress
from ctypes import CDLL
from functools import cache

import numpy as np
import psutil

from rnntips.engine.threads import CGROUPS
from rnntips.errors import BadArgument
from rnntips.recipe import Recipe, count
from rnntips.windows import Examples

__all__ = ["give_back", "need_room", "need_room_for"]


@cache
def _memory() -> int:
    """Bytes of this machine, or of the container that this process is in."""
    limits = [psutil.virtual_memory().total]
    for name in ("memory.max", "memory/memory.limit_in_bytes"):  # control groups, version 2 and 1
        with suppress(OSError, ValueError):
            limits.append(int((CGROUPS / name).read_text()))
    return min(limits)


def need_room(size: float, what: str) -> None:
    """Raise `BadArgument` if `what` needs more bytes than this machine has."""
    if size > _memory():
        raise BadArgument(
            f"{what} would need {size / 1e9:,.0f} GB of memory, and this machine has {_memory() / 1e9:,.0f} GB. "
            "Use smaller numbers."
        )


def give_back() -> None:
    """Return what was freed to the system: glibc keeps it for itself, and a machine may have thirty such processes."""
    with suppress(OSError):  # another C library
        CDLL("libc.so.6").malloc_trim(0)


def need_room_for(recipes: Sequence[Recipe], example: Examples, task) -> None:
    """Raise `BadArgument` if the data, weights or records of so many runs do not fit into this machine's memory."""
    recipe, runs = recipes[0], len(recipes)
    sizes = recipe.layers, recipe.width, example.channels, example.outputs, recipe.dense, recipe.dense_after
    updates = recipe.updates_for(len(example.of(0)), **example.sizes)
    weights = count(recipe.cell, *sizes)
    read = 4 * example.outputs * (example.loss_at == "last") + 8  # bytes of a window in the order of the mini-batches
    need_room(runs * sum(value.nbytes for value in vars(example).values() if isinstance(value, np.ndarray)),
              f"The data of {runs} runs on {task.name}")  # fmt: skip
    need_room(
        runs * recipe.workers * 16 * weights,
        f"{runs * recipe.workers} networks of {weights:,} weights (layers={recipe.layers}, width={recipe.width})",
    )
    need_room(runs * updates * (16 + read * recipe.windows_per_update),
              f"{runs} runs of updates={updates} with batch_size={recipe.batch_size}")  # fmt: skip
