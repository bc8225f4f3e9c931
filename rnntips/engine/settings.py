"""What training needs of torch and NumPy, whatever the reader's kernel has set; afterwards all is as it was."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from threading import Lock

import numpy as np
import torch

__all__ = ["own_settings"]

_before: list[tuple[int, str]] = []  # threads and precision of the reader, once per training that is running
_lock = Lock()


@contextmanager
def own_settings() -> Iterator[None]:
    """Context with gradients, on the CPU unless told otherwise, in full precision, without autocast, in one thread.

    More threads would slow small operations and change their last bits. The default dtype is left alone, since it
    holds for all threads of the process: this package names the dtype of every tensor that it makes.
    """
    with ExitStack() as stack, np.errstate(divide="warn", over="warn", under="ignore", invalid="warn"):
        if torch.is_inference_mode_enabled():
            stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.enable_grad())
        if torch.is_autocast_enabled("cpu"):
            stack.enter_context(torch.autocast("cpu", enabled=False))
        if torch.is_autocast_enabled("cuda"):
            stack.enter_context(torch.autocast("cuda", enabled=False))
        if torch.get_default_device().type != "cpu":  # asked first, since this context slows every operation
            stack.enter_context(torch.device("cpu"))
        stack.enter_context(_of_the_process())
        yield


@contextmanager
def _of_the_process() -> Iterator[None]:
    """These hold for the whole process, so they are restored when the last of several trainings ends."""
    with _lock:
        _before.append(_before[0] if _before else (torch.get_num_threads(), torch.get_float32_matmul_precision()))
        torch.set_num_threads(1)
        torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        with _lock:
            threads, precision = _before.pop()
            if not _before:
                torch.set_num_threads(threads)
                torch.set_float32_matmul_precision(precision)
