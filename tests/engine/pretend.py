"""A GPU made of CPU tensors, to find without one what a CUDA graph could not record or would not repeat.

Its tensors are on a device of their own, `DEVICE`, and hold CPU tensors, so values are right and can be compared.
Operations that mix devices raise as they would on a GPU. While a graph is recorded, everything raises that waits for
the device or reads the host's memory. A recorded graph repeats its operations with the memory they were recorded
with, and Python is not asked again: a number that was frozen, or memory that has been freed, shows as a wrong value.
"""

import weakref
from contextlib import contextmanager

import pytest
import torch
from torch.utils import backend_registration
from torch.utils._python_dispatch import TorchDispatchMode

__all__ = ["DEVICE", "Gpu", "NotRecordable"]

DEVICE = "pretend"
MOVES = ("_to_copy", "copy_")  # may see both devices
WAITS = ("_local_scalar_dense", "nonzero", "masked_select", "_unique2", "equal")  # for what the device finds


class NotRecordable(RuntimeError):
    """What breaks a recording on a GPU, or poisons what it repeats."""


class There(torch.Tensor):
    """A tensor on the device; `here` holds its values."""

    @staticmethod
    def __new__(cls, here: torch.Tensor):
        out = torch.Tensor._make_wrapper_subclass(
            cls, here.shape, strides=here.stride(), storage_offset=here.storage_offset(), dtype=here.dtype,
            device=f"{DEVICE}:0",
        )  # fmt: skip
        out.here, out.handle = here, Handle()
        return out

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        raise RuntimeError(f"{func} outside of the pretended GPU")

    def __repr__(self):
        return f"There({self.here!r})"


class Handle:
    """Lives as long as its tensor."""


class Graph:
    """Stands for `torch.cuda.CUDAGraph`."""

    def __init__(self):
        self.calls, self.made, self.outside = [], set(), {}  # memory made in it, and what uses other memory

    def note(self, name, func, args, kwargs, found):
        """An operation with its arguments and what it returned."""
        taken = {_memory(value) for value in _tensors((args, kwargs))}
        self.outside |= {memory: name for memory in taken - self.made}
        self.made |= {_memory(value) for value in found} - taken

        def call():
            for old, new in zip(found, _tensors(func(*args, **kwargs)), strict=True):
                if old.data_ptr() != new.data_ptr() and not name.startswith(("empty", "new_empty")):
                    old.copy_(new)

        self.calls.append(call)

    def replay(self):
        gpu = Gpu.now
        for memory, name in self.outside.items():
            if not gpu.tensors.get(memory):
                raise NotRecordable(f"{name} reads memory that has been freed since")
        gpu.replays += 1
        for call in self.calls:
            call()


class Stream:
    """Stands for `torch.cuda.Stream`: everything here is done in turn."""

    def wait_stream(self, other):
        pass

    synchronize = wait_stream


class Gpu(TorchDispatchMode):
    """While it is entered there is a device `DEVICE`, and `torch.cuda`'s graphs record what happens on it.

    A process has one kind of accelerator, so this is for machines without a GPU.
    """

    now = None

    def __init__(self):
        super().__init__()
        if not hasattr(torch, DEVICE):
            backend = backend_registration._DummyBackendModule()
            backend.get_amp_supported_dtype = lambda: [torch.float16]  # asked from now on, for CPU tensors too
            backend_registration._setup_privateuseone_for_python_backend(DEVICE, backend)
        self.moves: list[str] = []  # between it and the host, or what waits for it
        self.recording: Graph | None = None
        self.stream = Stream()
        self.recorded, self.replays, self.graphs = 0, 0, weakref.WeakSet()
        self.tensors: dict[int, weakref.WeakSet] = {}  # memory → handles of what is in it
        self.bytes: dict[int, torch.Tensor] = {}

    def __enter__(self):
        Gpu.now, self.patches = self, pytest.MonkeyPatch()
        fakes = {"CUDAGraph": self._graph, "graph": self._record, "Stream": lambda *_, **__: Stream(),
                 "current_stream": lambda *_: self.stream, "stream": self._on,
                 "graph_pool_handle": lambda: (0, 1)}  # fmt: skip
        for name, fake in fakes.items():
            self.patches.setattr(torch.cuda, name, fake)
        self.lifted = torch._C._only_lift_cpu_tensors()
        torch._C._set_only_lift_cpu_tensors(True)  # torch.tensor(…, device=…) then moves where this mode sees it
        self.threads = torch.autograd.set_multithreading_enabled(False)
        return super().__enter__()

    def __exit__(self, *error):
        super().__exit__(*error)
        self.threads.__exit__(*error)
        torch._C._set_only_lift_cpu_tensors(self.lifted)
        self.patches.undo()
        Gpu.now = None

    def _graph(self):
        graph = Graph()
        self.graphs.add(graph)
        return graph

    @contextmanager
    def _on(self, stream):
        before, self.stream = self.stream, stream
        try:
            yield
        finally:
            self.stream = before

    @contextmanager
    def _record(self, graph, stream=None, **_):
        """Recording does nothing: what there was before stays, and what is new is nonsense until it is repeated.

        One that breaks cannot be ended, which is another error, and leaves its stream behind.
        """
        values, before = {memory: whole.clone() for memory, whole in self._wholes()}, self.stream
        self.recording, self.stream = graph, stream
        try:
            yield
            self.recorded += 1
            self.stream = before
        except RuntimeError:
            raise RuntimeError("a recording that broke before cannot be ended")  # noqa: B904
        finally:
            self.recording = None
            for memory, whole in self._wholes():
                whole.copy_(values[memory]) if memory in values else whole.fill_(0xFF)

    def _wholes(self):
        """All memory in use, as bytes."""
        for memory, handles in self.tensors.items():
            if handles:
                yield memory, self.bytes[memory]

    def _wrap(self, here: torch.Tensor) -> There:
        out, memory = There(here), _memory(here)
        if not self.tensors.get(memory):
            self.tensors[memory] = weakref.WeakSet()
            self.bytes[memory] = torch.empty(0, dtype=torch.uint8).set_(here.untyped_storage())
        self.tensors[memory].add(out.handle)
        return out

    def _moves(self, what: str) -> None:
        if self.recording is not None:
            raise NotRecordable(what)
        self.moves.append(what)

    def launch(self, kernel, args, kwargs) -> None:
        """A kernel that is no operation of torch."""
        if any(not isinstance(value, There) for value in _tensors((args, kwargs))):
            raise NotRecordable(f"{kernel} is given memory of the host")
        args, kwargs = _mapped(_here, args), _mapped(_here, kwargs)
        kernel(*args, **kwargs)
        if self.recording is not None:
            self.recording.note("a kernel", lambda *a, **k: kernel(*a, **k) and None, args, kwargs, [])

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs, name = dict(kwargs or {}), func.overloadpacket.__name__
        given = _tensors((args, kwargs))
        there = [value for value in given if isinstance(value, There)]
        to = kwargs.get("device") and torch.device(kwargs["device"]).type
        if name in ("is_pinned", "_pin_memory"):
            return False if name == "is_pinned" else args[0].clone()
        if not there and to != DEVICE:
            return func(*args, **kwargs)
        mixed = [value for value in given if not isinstance(value, There) and value.dim()]
        if name in WAITS or (name == "index" and any(value.dtype in (torch.bool, torch.uint8) for value in given[1:])):
            self._moves(f"{name} waits for the device")
        elif name in MOVES and (to == "cpu" or len(there) < len(given)):
            to_host = to == "cpu" or (not isinstance(args[0], There) and name == "copy_")
            self._moves(f"{name} {'to the host' if to_host else 'from the host'}")
        elif mixed and there:
            raise NotRecordable(f"{name} mixes devices: {[tuple(value.shape) for value in mixed]} is on the host")
        if "device" in kwargs:
            kwargs["device"] = "cpu"
        args, kwargs = _mapped(_here, args), _mapped(_here, kwargs)
        out = func(*args, **kwargs)
        if self.recording is not None:
            self.recording.note(name, func, args, kwargs, _tensors(out))
        if to == "cpu":
            return out
        known = {id(value.here): value for value in there}
        return _mapped(lambda value: known[id(value)] if id(value) in known else self._wrap(value), out)


def _mapped(function, tree):
    """Nested lists, tuples and dictionaries with every tensor replaced."""
    if isinstance(tree, torch.Tensor):
        return function(tree)
    if isinstance(tree, dict):
        return {name: _mapped(function, value) for name, value in tree.items()}
    return type(tree)(_mapped(function, value) for value in tree) if isinstance(tree, (list, tuple)) else tree


def _tensors(tree) -> list[torch.Tensor]:
    found = []
    _mapped(found.append, tree)
    return found


def _here(value):
    return value.here if isinstance(value, There) else value


def _memory(value: torch.Tensor) -> int:
    return value.untyped_storage().data_ptr()
