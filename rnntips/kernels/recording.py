"""What a GPU does again and again is recorded once, as a CUDA graph, and then repeated without Python."""

import gc
import sys
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache, partial
from threading import Lock

import torch
from torch import Tensor

__all__ = ["Recorder"]

_ONE_AT_A_TIME = Lock()  # whatever is put on a stream while it is recorded becomes part of the recording


@cache
def _aside(device: torch.device) -> torch.cuda.Stream:
    """The stream for trials and recordings: what libraries set up for a stream is then there when they record on it."""
    return torch.cuda.Stream(device)


@contextmanager
def _uncollected() -> Iterator[None]:
    """Nothing is collected meanwhile: freeing a compiled kernel or another recording would break this one."""
    on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if on:
            gc.enable()


def _first(error: BaseException) -> BaseException:
    """What broke a recording; that it cannot be ended then is another error."""
    return error if error.__context__ is None else _first(error.__context__)


class Recorder:
    """Repeats functions on a GPU, each with the memory and the values on the host that it was recorded with.

    Args:
        changed: What they change in place, all on one device. On a CPU they are called as they are.
    """

    def __init__(self, changed: Sequence[Tensor]):
        self.changed, self.device = list(changed), changed[0].device
        self.known: dict[Hashable, tuple] = {}  # key → inputs on the device, recording, what it returns
        if self.device.type != "cpu":
            self.pool = torch.cuda.graph_pool_handle()  # of all its recordings, since they never run at once

    def __call__(self, key: Hashable, function: Callable[..., Tensor], given: Mapping[str, Tensor]) -> Tensor:
        """What `function(**given)` returns; to be read before the next call.

        Args:
            key: Functions with the same key do the same, but for the values of what is given.
            function: Is not kept, so that a recording goes with its recorder.
            given: From the host, shaped alike for the same key.
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
        """A recording and what it returns; None if the GPU refuses, which is said."""
        aside, graph = _aside(self.device), torch.cuda.CUDAGraph()
        now = torch.cuda.current_stream(self.device)  # which a recording that breaks does not come back to by itself
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
        """Do it once: what is compiled or allocated at first must be there before. What it changed is put back."""
        before = [value.clone() for value in self.changed]
        aside.wait_stream(now)
        try:
            with torch.cuda.stream(aside):
                work()
        finally:
            now.wait_stream(aside)
            torch._foreach_copy_(self.changed, before)
