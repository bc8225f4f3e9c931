"""Training where weights live on another device than NumPy's arrays: nothing is mixed, and all that leaves is moved.

No GPU is needed: tensors are fake ones, which have a shape and a device and no values. Mixing devices is an error there
as it is on a GPU. They stand on torch's `meta` device, since a build without CUDA differentiates no other.
"""

import numpy as np
import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode

import rnntips as rt
from rnntips import update

TASK = rt.tasks.forecast(rt.series.sines(steps=400))
BASE = rt.Recipe(updates=3, past=4, width=4, batch_size=4)
TYPES = {torch.float32: np.float32, torch.float64: np.float64}
NUMPY = torch.Tensor.numpy

SMALL = {
    "usual": {}, "lstm": {"cell": "lstm"}, "dense": {"dense": (3,), "dense_after": (4,)},
    "clipped": {"clip": "tensor", "clip_norm": 1.0}, "scheduled": {"schedule": "cosine"}, "momentum": {
        "optimizer": "sgd", "momentum": 0.9},
}  # fmt: skip
OTHERS = {
    "dropout": {"dropout": 0.2}, "noise": {"noise": 0.1}, "noise between layers": {"noise_between": 0.1},
    "growing windows": {"grow": "2:0.5"},
}  # fmt: skip
CHUNKS = {"chunks": {}, "carried": {"carry": True}, "scrambled": {"order": "scrambled"}}


def numpy(tensor):
    """As `Tensor.numpy`; what would be an error for a GPU's tensor is one here."""
    if not isinstance(tensor, FakeTensor):
        return NUMPY(tensor)
    assert tensor.device.type == "cpu", "a tensor that NumPy cannot see"
    return np.zeros(tuple(tensor.shape), TYPES[tensor.dtype])


@pytest.fixture(autouse=True)
def elsewhere(monkeypatch):
    monkeypatch.setattr("rnntips.training.resolve_device", lambda device: device)
    monkeypatch.setattr(torch.Tensor, "numpy", numpy)


def train(recipe, on=TASK, **how) -> rt.Runs:
    with FakeTensorMode(allow_non_fake_inputs=False):
        return rt.train(recipe, on, range(2), device="meta", **how)


@pytest.mark.parametrize("change", [*SMALL.values(), *OTHERS.values()], ids=[*SMALL, *OTHERS])
def test_training_mixes_no_devices(change):
    runs = train(BASE.but(**change))
    assert (runs.device, runs.reached) == ("meta", 3)
    whole = [runs.weights, *runs.optimizer_state.values(), runs.train_loss, runs.valid_score, runs.test_scores]
    assert all(isinstance(array, np.ndarray) and np.isfinite(array).all() for array in whole)


def test_restoring_a_run_mixes_none_either(monkeypatch):
    monkeypatch.setattr("rnntips.rescue.WATCHED_AFTER", 1)
    monkeypatch.setattr("rnntips.rescue.spikes", lambda losses, update: np.array([update == 1, False]))
    assert train(BASE.but(rescue="restore")).rescued_at.tolist() == [2, 0]


@pytest.mark.parametrize("change", SMALL.values(), ids=SMALL)
def test_an_update_whose_number_stays_on_the_device_mixes_none_either(monkeypatch, change):
    made = []

    class Repeated(update.Repeated):
        def __init__(self, *given):
            super().__init__(*given)
            made.append(self)

    monkeypatch.setattr(update, "InTorch", Repeated)
    runs = train(BASE.but(**change))
    assert made and np.isfinite(runs.train_loss).all()


@pytest.mark.parametrize("change", CHUNKS.values(), ids=CHUNKS)
def test_chunks_mix_none_either(change):
    runs = train(BASE.but(chunk=4, past=8, **change), rt.tasks.leaky(2))
    assert np.isfinite(runs.train_loss).all()


@pytest.mark.parametrize("task", [rt.tasks.digits(), rt.tasks.characters()], ids=lambda task: task.name)
def test_classes_mix_none_either(task):
    assert np.isfinite(train(BASE.but(head="softmax+nll"), task).train_loss).all()


def test_training_goes_on_from_a_record_there():
    first = train(BASE)
    assert train(BASE, start=first).updates_before == 3
