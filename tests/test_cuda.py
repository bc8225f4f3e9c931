"""The GPU's kernels against `cells.scan` in float64: on a GPU, or else under Triton's interpreter."""

import os

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from test_kernels import ALL, error, outcome, problem

pytest.importorskip("triton")
GPU = torch.cuda.is_available()
if not GPU:
    os.environ["TRITON_INTERPRET"] = "1"
from rnntips import cells  # noqa: E402
from rnntips.errors import BadArgument  # noqa: E402
from rnntips.kernels import cuda  # noqa: E402

DEVICE = "cuda" if GPU else "cpu"


def scan(cell, inputs, weight, bias=None, state=None, *, mask=None, reset=None):
    return cuda.scan(cell, inputs, weight, bias, state, mask, reset)


def moved(tensors, reset):
    return [tensor.to(DEVICE) for tensor in tensors], reset.to(DEVICE)


@settings(max_examples=200 if GPU else 12, deadline=None)
@given(st.sampled_from(ALL), st.integers(1, 3), st.integers(1, 20), st.integers(1, 5), st.integers(1, 34),
       st.integers(0, 9))  # fmt: skip
def test_values_and_gradients_agree_with_the_reference_in_float64(cell, R, B, T, H, seed):
    tensors, reset = moved(*problem(cell, R, B, T, H, seed))
    exact = outcome(cells.scan, cell, tensors, reset, torch.float64)
    for mine, theirs in zip(outcome(scan, cell, tensors, reset), exact, strict=True):
        assert error(mine, theirs) <= 1e-5


@pytest.mark.parametrize("cell", ALL)
def test_everything_optional_left_out(cell):
    (inputs, weight, *_), _ = problem(cell, 2, 3, 4, 5)
    inputs, weight = (tensor.to(DEVICE).requires_grad_() for tensor in (inputs, weight))
    mine, last = scan(cell, inputs, weight)
    exact, _ = cells.scan(cell, inputs.double(), weight.double())
    assert error(mine.detach(), exact.detach()) <= 1e-5
    torch.testing.assert_close((last[0] if cell == "lstm" else last), mine[:, :, -1])
    for loss in (lambda states: states.square().sum(), lambda states: states[:, :, -1].square().sum()):
        both = (torch.autograd.grad(loss(states), [inputs, weight], retain_graph=True) for states in (mine, exact))
        for one, other in zip(*both, strict=True):
            assert error(one, other) <= 1e-5


@pytest.mark.parametrize("cell", ALL)
def test_a_loss_of_the_last_state_alone(cell):
    (inputs, weight, *_), _ = problem(cell, 2, 3, 4, 5)
    found = []
    for function, dtype in ((scan, torch.float32), (cells.scan, torch.float64)):
        given = [tensor.to(DEVICE, dtype).requires_grad_() for tensor in (inputs, weight)]
        last = function(cell, *given)[1]
        loss = sum(part.square().sum() for part in (last if cell == "lstm" else [last]))
        found.append(torch.autograd.grad(loss, given))
    for mine, exact in zip(*found, strict=True):
        assert error(mine, exact) <= 1e-5


@pytest.mark.parametrize("cell", ["tanh", "gru", "lstm"])
def test_views_and_masks_of_one_step_are_taken_as_they_are(cell):
    tensors, reset = moved(*problem(cell, 2, 3, 4, 5))
    tensors[5] = tensors[5][:, :, 2]
    spread = [t.transpose(0, 1).contiguous().transpose(0, 1) for t in tensors]
    assert not spread[0].is_contiguous()
    exact = outcome(cells.scan, cell, tensors, reset, torch.float64)
    for mine, theirs in zip(outcome(scan, cell, spread, reset), exact, strict=True):
        assert error(mine, theirs) <= 1e-5


def test_windows_of_several_tiles_and_wide_states():
    tensors, reset = moved(*problem("gru", 2, 2 * cuda.TILE + 1, 2, 70))
    exact = outcome(cells.scan, "gru", tensors, reset, torch.float64)
    for mine, theirs in zip(outcome(scan, "gru", tensors, reset), exact, strict=True):
        assert error(mine, theirs) <= 1e-5


def test_what_no_processor_holds_goes_through_plain_operations(monkeypatch):
    monkeypatch.setattr(cuda, "WIDEST", 4)
    monkeypatch.setattr(cuda, "_launch", None)
    (inputs, weight, *_), _ = problem("tanh", 1, 2, 3, 5)
    torch.testing.assert_close(scan("tanh", inputs, weight)[0], cells.scan("tanh", inputs, weight)[0])


def test_a_run_that_diverges_stays_nonfinite_and_leaves_the_others_alone():
    (inputs, weight, *_), _ = moved(*problem("relu", 2, 3, 4, 5))
    inputs[0, 0, 1] = float("nan")
    mine, _ = scan("relu", inputs, weight)
    exact, _ = cells.scan("relu", inputs, weight)
    assert torch.equal(mine.isnan(), exact.isnan()) and mine[0].isnan().any() and mine[1].isfinite().all()


def test_differentiating_twice_says_what_to_do():
    (inputs, weight, *_), _ = moved(*problem("gru", 1, 2, 3, 4))
    weight.requires_grad_()
    (gradient,) = torch.autograd.grad(scan("gru", inputs, weight)[0].sum(), weight, create_graph=False)
    assert gradient.isfinite().all()
    with pytest.raises(BadArgument, match="float64"):
        torch.autograd.grad(scan("gru", inputs, weight)[0].sum(), weight, create_graph=True)


@pytest.mark.skipif(not GPU, reason="this machine has no GPU")
@pytest.mark.gpu
def test_no_product_is_rounded_to_tensor_cores_ten_bits():
    """Values that ten bits cannot hold, on the shapes that tensor cores like best."""
    (inputs, weight, *_), _ = moved(*problem("tanh", 4, 64, 32, 64))
    exact, _ = cells.scan("tanh", inputs.double(), weight.double())
    assert error(scan("tanh", inputs, weight)[0], exact) <= 1e-5
