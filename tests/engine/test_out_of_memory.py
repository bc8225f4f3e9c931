"""Out of memory, wherever it comes: an error that says what to halve, a record kept, and every tensor let go."""

import gc
import weakref

import numpy as np
import pytest
import torch

import rnntips as rt
from rnntips import training
from rnntips.engine.out_of_memory import bounded
from rnntips.engine.update import CUDAGraphUpdate, TorchUpdate
from rnntips.errors import OutOfMemory, TrainingFailed
from rnntips.loader import Loader

TASK = rt.tasks.forecast(rt.series.sines(steps=600))
RECIPE = rt.Recipe(updates=12, past=9, width=6, batch_size=5, dense=(4,))  # dense layers go through torch
CUDA = (
    "CUDA out of memory. Tried to allocate 20.00 GiB. GPU 0 has a total capacity of 79.15 GiB of which 10.06 GiB is "
    "free. Process 1 has 69.09 GiB memory in use."
)


@pytest.fixture
def tensors(monkeypatch):
    """Weak references to the weights of every network that is trained."""
    found, make = [], training.network_for

    def noted(*arguments):
        network = make(*arguments)
        found.append(weakref.ref(network.flat))
        return network

    monkeypatch.setattr(training, "network_for", noted)
    return found


def fill(patch, owner, name, call, error):
    """Let a function find no memory at its n-th call, with what it had made in its hands."""
    real, calls = getattr(owner, name), iter(range(1, call + 1))

    def function(*arguments):
        made = real(*arguments)
        if next(calls, None) == call:
            raise error
        return made

    patch.setattr(owner, name, function)


# what fails, at which call, and how many updates were done by then
PLACES = {"set-up": (training, "loader_for", 1, 0), "first update": (Loader, "spec", 1, 0),
          "middle": (Loader, "spec", 6, 5), "evaluation": (Loader, "predict", 4, 2)}  # fmt: skip


@pytest.mark.parametrize("updater", [TorchUpdate, CUDAGraphUpdate])
@pytest.mark.parametrize("place", PLACES)
def test_the_record_is_kept_the_tensors_are_not_and_the_next_training_is_as_ever(place, updater, tensors, monkeypatch):
    owner, name, call, reached = PLACES[place]
    monkeypatch.setattr(training, "updater", updater)
    expected, record = rt.train(RECIPE, TASK, range(3)), rt.Runs()
    with monkeypatch.context() as patch, pytest.raises(OutOfMemory) as raised:
        fill(patch, owner, name, call, torch.OutOfMemoryError(CUDA))
        rt.train(RECIPE, TASK, range(3), record=record)
    assert len(tensors) == 2 and all(tensor() is None for tensor in tensors)  # while the error is held
    assert raised.value.record is record and record.stopped
    assert record.reached == reached and f"{reached} of 12 updates" in str(raised.value)
    np.testing.assert_array_equal(record.train_loss[:, :reached], expected.train_loss[:, :reached])
    assert (record.weights.shape == expected.weights.shape) == (place != "set-up")
    np.testing.assert_array_equal(rt.train(RECIPE, TASK, range(3)).weights, expected.weights)


def test_of_two_stacks_in_turns_neither_is_held(tensors, monkeypatch):
    records = [rt.Runs(), rt.Runs()]
    with monkeypatch.context() as patch, pytest.raises(OutOfMemory) as raised:
        fill(patch, Loader, "spec", 6, torch.OutOfMemoryError(CUDA))
        rt.compare(RECIPE, RECIPE.but(batch_size=4), TASK, range(3), record=records)
    assert len(tensors) == 2 and all(tensor() is None for tensor in tensors)
    assert raised.value.record in records and [record.reached for record in records] == [2, 2]


@pytest.mark.parametrize("updater", [None, TorchUpdate, CUDAGraphUpdate], ids=["compiled", "in torch", "repeated"])
def test_a_training_that_ends_leaves_nothing_to_the_garbage_collector(updater, tensors, monkeypatch):
    """Which does not know how full a GPU is."""
    if updater:
        monkeypatch.setattr(training, "updater", updater)
    gc.collect()
    gc.disable()
    try:
        rt.train(RECIPE.but(dense=()), TASK, range(3))
        assert len(tensors) == 1 and tensors[0]() is None
    finally:
        gc.enable()


# ── what it says ────────────────────────────────────────────────────────────


def told(error: Exception, runs: int = 20, device: str = "cuda", ignored=frozenset(), **changes) -> str:
    record, recipe = rt.Runs(), RECIPE.but(updates=300, **changes)
    record.begin([recipe] * runs, TASK, range(runs), [(1, 0, 1)] * runs, 300, device)
    record.reached = 40
    with pytest.raises(OutOfMemory) as raised, bounded(record, ignored):
        raise error
    return str(raised.value)


def test_it_says_how_much_was_needed_what_to_halve_and_what_is_kept():
    assert told(torch.OutOfMemoryError(CUDA)) == (
        "The GPU ran out of memory: 20.00 GiB more were needed, 10.06 GiB were free. Halve what it holds: train 10 "
        "runs at once instead of 20. Or use the CPU. What was done until then is kept: 40 of 300 updates."
    )
    assert "train 4 runs at once instead of 7" in told(torch.OutOfMemoryError(CUDA), runs=7)


@pytest.mark.parametrize(
    ("how", "words"),
    [({"batch_size": 256}, "use batch_size=128 instead of 256, which is another experiment."),
     ({"width": 128}, "width=64 instead of 128"), ({"past": 2001}, "past=1000 instead of 2001"),
     ({"past": 512, "width": 40, "ignored": frozenset({"past"})}, "width=20 instead of 40"),
     ({"past": 512, "chunk": 8, "carry": True, "batch_size": 32, "order": "time"}, "batch_size=16 instead of 32")],
)  # fmt: skip
def test_of_a_single_run_the_largest_factor_is_named_with_its_half(how, words):
    assert words in told(torch.OutOfMemoryError(CUDA), runs=1, **how)


def test_a_cpu_says_it_too():
    for make in (torch.empty, np.empty):
        with pytest.raises((RuntimeError, MemoryError)) as raised:
            make(10**16)
        words = told(raised.value, device="cpu")
        assert words.startswith("This machine ran out of memory: ") and " more were needed. Halve" in words
        assert "CPU" not in words


@pytest.mark.parametrize("words", ["Triton Error [CUDA]: out of memory", "CUDA error: out of memory",
                                   "CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"])  # fmt: skip
def test_libraries_without_a_class_for_it_are_understood(words):
    assert told(RuntimeError(words)).startswith("The GPU ran out of memory. Halve")


def test_a_recording_that_cannot_be_ended_does_not_hide_why():
    hidden = RuntimeError("operation failed due to a previous error during capture")
    hidden.__context__ = torch.OutOfMemoryError(CUDA)
    assert "20.00 GiB" in told(hidden)


def test_other_errors_are_not_called_out_of_memory(monkeypatch):
    fill(monkeypatch, Loader, "spec", 1, RuntimeError("size mismatch"))
    with pytest.raises(TrainingFailed, match="RuntimeError: size mismatch"):
        rt.train(RECIPE, TASK, range(3))


# ── on a GPU ────────────────────────────────────────────────────────────────


@pytest.mark.gpu
@pytest.mark.parametrize("past", [200, 2000], ids=["recorded", "not recorded"])
def test_a_gpu_that_is_full_is_usable_again(past):
    """Full, since this process may take only a little more than it has."""
    wide = rt.Recipe(updates=3, past=past, width=128, batch_size=64, layers=2)
    series = rt.series.sines(steps=20_000)
    rt.train(RECIPE, TASK, range(3), device="cuda")
    gc.collect()
    torch.cuda.empty_cache()
    before, total = torch.cuda.memory_allocated(), torch.cuda.get_device_properties(0).total_memory
    torch.cuda.set_per_process_memory_fraction((torch.cuda.memory_reserved() + 2**27) / total)
    try:
        with pytest.raises(OutOfMemory, match=r"The GPU ran out of memory: .* more were needed"):
            rt.train(wide, series, range(20), device="cuda")
        assert torch.cuda.memory_allocated() <= before
        assert rt.train(RECIPE, TASK, range(3), device="cuda").reached == 12
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
