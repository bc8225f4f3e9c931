"""Capture repeated GPU work once as a CUDA graph, and replay it without Python."""

import gc
import sys
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache, partial
from threading import Lock

import torch
from torch import Tensor

__all__ = ["Recorder"]

_ONE_AT_A_TIME = Lock()  # a capture takes in all work on its stream, also that of other threads


@cache
def _aside(device: torch.device) -> torch.cuda.Stream:
    """The stream for warm-ups and captures: what libraries allocate for a stream must exist before a capture on it."""
    return torch.cuda.Stream(device)


@contextmanager
def _uncollected() -> Iterator[None]:
    """Turn garbage collection off: freeing a compiled kernel or another CUDA graph would break the capture."""
    on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if on:
            gc.enable()


def _first(error: BaseException) -> BaseException:
    """The first error of a failed capture; ending the capture then raises another one."""
    return error if error.__context__ is None else _first(error.__context__)


class Recorder:
    """Captures functions as CUDA graphs and replays them, with the memory and the host values of the capture.

    Args:
        changed: All tensors that the functions change in place, on one device. On a CPU functions are simply called.
    """

    def __init__(self, changed: Sequence[Tensor]):
        self.changed, self.device = list(changed), changed[0].device
        self.known: dict[Hashable, tuple] = {}  # key → inputs on the device, CUDA graph, output
        if self.device.type != "cpu":
            self.pool = torch.cuda.graph_pool_handle()  # shared by its CUDA graphs, which never run at the same time

    def __call__(self, key: Hashable, function: Callable[..., Tensor], given: Mapping[str, Tensor]) -> Tensor:
        """The result of `function(**given)`; the next call overwrites it.

        Args:
            key: Functions with equal keys do the same operations and differ only in the values of `given`.
            function: No reference to it is kept, so that its CUDA graph is freed together with this recorder.
            given: Tensors on the host, of the same shapes for the same key.
        """
        if self.device.type == "cpu":
            return function(**given)
        if key not in self.known:
            inputs = {name: value.to(self.device) for name, value in given.items()}
            self.known[key] = inputs, *self._recorded(partial(function, **inputs))
        inputs, graph, out = self.known[key]
        for name, value in given.items():
            inputs[name].copy_(value.pin_memory(), non_blocking=True)
        if graph is None:
            return function(**inputs)
        graph.replay()
        return out

    def _recorded(self, work: Callable[[], Tensor]) -> tuple[torch.cuda.CUDAGraph | None, Tensor | None]:
        """The CUDA graph and its output; (None, None) after a message on stderr, if it cannot be captured."""
        aside, graph = _aside(self.device), torch.cuda.CUDAGraph()
        now = torch.cuda.current_stream(self.device)  # a failed capture does not return to it
        with _ONE_AT_A_TIME:
            self._try(work, aside, now)
            recording = torch.cuda.graph(graph, pool=self.pool, stream=aside, capture_error_mode="thread_local")
            try:
                with torch.cuda.stream(now), _uncollected(), recording:
                    return graph, work()
            except RuntimeError as error:
                first = _first(error)
                if isinstance(first, torch.OutOfMemoryError):
                    raise first from None
                why = str(first).partition("\n")[0]
                print(
                    f"rnntips trains more slowly here, because the GPU did not record an update: {why}", file=sys.stderr
                )
                return None, None

    def _try(self, work: Callable[[], Tensor], aside: torch.cuda.Stream, now: torch.cuda.Stream) -> None:
        """Warm-up: do the work once, so that the capture compiles and allocates nothing, and undo its changes."""
        before = [value.clone() for value in self.changed]
        aside.wait_stream(now)
        try:
            with torch.cuda.stream(aside):
                work()
        finally:
            now.wait_stream(aside)
            torch._foreach_copy_(self.changed, before)
