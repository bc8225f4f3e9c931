"""What a notebook has set in torch and NumPy changes no run, and is the same afterwards."""

import contextlib

import numpy as np
import pytest
import torch
from oracles import assert_same

import rnntips as rt
from rnntips.doctor.gradient_noise import gradient_noise
from rnntips.doctor.gradients import answer_by_lag, gradient_by_lag, gradient_by_layer
from rnntips.engine.settings import own_settings
from rnntips.training import predict

SINES = rt.tasks.forecast(rt.series.sines(steps=600))
BASE = rt.Recipe(width=4, past=8, batch_size=4, updates=12)
RUNS = {
    "compiled": (BASE, SINES),
    "readable": (BASE.but(dense=(3,), dropout=0.2, noise=0.1, noise_between=0.1, rescue="restore"), SINES),
    "chunks": (BASE.but(chunk=4, carry=True, cell="lstm"), rt.tasks.leaky(3)),
    "characters": (BASE.but(past=16), rt.tasks.characters()),
}


@contextlib.contextmanager
def changed(give, set_, to):
    before = give()
    set_(to)
    try:
        yield
        assert give() == to
    finally:
        set_(before)


AMBIENT = {
    "no_grad": torch.no_grad,
    "inference_mode": torch.inference_mode,
    "no gradients": lambda: changed(torch.is_grad_enabled, torch._C._set_grad_enabled, False),
    "float64": lambda: changed(torch.get_default_dtype, torch.set_default_dtype, torch.float64),
    "bfloat16": lambda: changed(torch.get_default_dtype, torch.set_default_dtype, torch.bfloat16),
    "another device": lambda: changed(torch.get_default_device, torch.set_default_device, torch.device("meta")),
    "autocast": lambda: torch.autocast("cpu", torch.bfloat16),
    "two threads": lambda: changed(torch.get_num_threads, torch.set_num_threads, 2),
    "low precision": lambda: changed(torch.get_float32_matmul_precision, torch.set_float32_matmul_precision, "medium"),
    "deterministic": lambda: changed(
        torch.are_deterministic_algorithms_enabled, torch.use_deterministic_algorithms, True
    ),
    "anomaly": torch.autograd.detect_anomaly,
    "errors of NumPy": lambda: np.errstate(all="raise"),
}


@pytest.fixture(scope="module")
def plain():
    return {name: rt.train(recipe, task, [0, 1]) for name, (recipe, task) in RUNS.items()}


@pytest.mark.filterwarnings("ignore:Anomaly Detection has been enabled")
@pytest.mark.parametrize("kind", RUNS)
@pytest.mark.parametrize("ambient", AMBIENT)
def test_what_a_notebook_has_set_changes_no_bit_of_a_run(plain, ambient, kind):
    recipe, task = RUNS[kind]
    torch.manual_seed(3), np.random.seed(3)
    states = torch.get_rng_state(), np.random.get_state()[1].copy()
    with AMBIENT[ambient]():
        runs = rt.train(recipe, task, [0, 1])
    assert_same(runs, plain[kind])
    assert torch.equal(states[0], torch.get_rng_state()) and np.array_equal(states[1], np.random.get_state()[1])


@pytest.mark.parametrize("ambient", AMBIENT)
@pytest.mark.filterwarnings("ignore:Anomaly Detection has been enabled")
def test_what_looks_into_trained_networks_is_as_independent(plain, ambient):
    runs = plain["compiled"]

    def looked():
        layers = gradient_by_layer(runs, SINES, windows=4).values()
        noise = gradient_noise(runs, SINES, [2, 4], batches=3)
        return [*predict(runs, SINES, 5), gradient_by_lag(runs, SINES, [0, 3]), answer_by_lag(runs, SINES, [0, 3]),
                *layers, noise.noise]  # fmt: skip

    want = looked()
    with AMBIENT[ambient]():
        found = looked()
    for mine, theirs in zip(found, want, strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_a_scan_of_ones_own_is_differentiable_only_where_gradients_are_on():
    """The settings are training's; whoever calls an operation decides for themselves."""
    inputs, weight = torch.randn(1, 2, 3, 4), torch.randn(1, 4, 4, requires_grad=True)
    with torch.no_grad():
        assert not rt.engine.scan("tanh", inputs, weight)[0].requires_grad
    assert rt.engine.scan("tanh", inputs, weight)[0].requires_grad


def test_the_last_of_several_trainings_gives_the_processs_settings_back():
    with changed(torch.get_num_threads, torch.set_num_threads, 3):
        first, second = own_settings(), own_settings()
        first.__enter__()
        second.__enter__()
        first.__exit__(None, None, None)
        assert torch.get_num_threads() == 1
        second.__exit__(None, None, None)
        assert torch.get_num_threads() == 3
