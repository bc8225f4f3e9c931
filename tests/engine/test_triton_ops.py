"""The GPU's kernels against plain operations in float64: on a GPU, or else under Triton's interpreter.

`pytest -m gpu` runs on the chip what runs here without one, at more and larger shapes.
"""

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from test_numba_ops import ALL, agree, error, outcome, problem

pytest.importorskip("triton")
GPU = torch.cuda.is_available()
from rnntips import cells, engine  # noqa: E402
from rnntips.cells import GATES  # noqa: E402
from rnntips.engine import triton_ops  # noqa: E402
from rnntips.errors import BadArgument  # noqa: E402

DEVICE = "cuda" if GPU else "cpu"
pytestmark = [pytest.mark.gpu] if GPU else []


def plain_layer(cell, x, input_weight, input_bias, weight, bias, state):
    return cells.scan(cell, cells.contributions(x, input_weight, input_bias), weight, bias, state)


def draw(seed, *shapes):
    g = torch.Generator().manual_seed(seed)
    return [(torch.randn(*shape, generator=g) * 0.5).to(DEVICE) for shape in shapes]


def a_layer(cell, R, B, T, H, C, seed=0):
    """x, which needs no gradient, and all that a gradient is asked of: weights, biases, h, c."""
    gates = GATES[cell] * H
    x, *others = draw(seed, (R, B, T, C), (R, C, gates), (R, gates), (R, H, gates), (R, gates), (R, B, H), (R, B, H))
    others[2] /= H**0.5
    return x, others


def learned(layer, cell, x, others, dtype=torch.float32, last_alone=False):
    """States and gradients of a sum that weighs runs, windows and steps differently."""
    x, others = x.to(dtype), [value.detach().to(dtype).requires_grad_() for value in others]
    *weights, h, c = others
    states, last = layer(cell, x, *weights, (h, c) if cell == "lstm" else h)
    ends = last if cell == "lstm" else (last,)
    (weighing,) = draw(1, states.shape)
    loss = sum(part.square().sum() for part in ends)
    loss = loss if last_alone else loss + (states * weighing.to(dtype)).sum()
    return [states.detach(), *torch.autograd.grad(loss, others if cell == "lstm" else others[:-1])]


def cast(state, dtype):
    return tuple(part.to(dtype) for part in state) if isinstance(state, tuple) else state.to(dtype)


CELL, SEED = st.sampled_from(ALL), st.integers(0, 9)
RUNS, WINDOWS, STEPS, UNITS = (st.integers(1, most) for most in ((40, 70, 200, 130) if GPU else (3, 20, 5, 34)))


@settings(max_examples=200 if GPU else 15, deadline=None)
@given(CELL, RUNS, WINDOWS, STEPS, UNITS, st.integers(1, triton_ops.CHANNELS + 1), SEED, st.booleans())
@example("gru", 2, 2 * triton_ops.TILE + 1, 3, 5, 1, 0, False)  # several tiles, the last of one window
@example("lstm", 2, 3, 2, 40, 20, 0, False)  # more than the least product
def test_a_layer_agrees_with_plain_operations_in_float64(cell, R, B, T, H, C, seed, last_alone):
    x, others = a_layer(cell, R, B, T, H, C, seed)
    exact = learned(plain_layer, cell, x, others, torch.float64, last_alone)
    agree(learned(triton_ops.layer, cell, x, others, last_alone=last_alone), exact)


@settings(max_examples=100 if GPU else 10, deadline=None)
@given(CELL, RUNS, WINDOWS, STEPS, UNITS, SEED, st.booleans())
@example("gru", 1, 1, 1, 1, 0, True)
def test_a_layer_whose_inputs_need_a_gradient_agrees(cell, R, B, T, H, seed, last_alone):
    """As the layers of a deep network do: the contributions to the gates are given, and have a gradient."""
    x, others = a_layer(cell, R, B, T, H, 3, seed)
    found = []
    for layer, dtype in ((triton_ops.layer, torch.float32), (plain_layer, torch.float64)):
        inputs, *values = (value.to(dtype).requires_grad_() for value in (x, *others))
        *weights, h, c = values
        states, last = layer(cell, inputs, *weights, (h, c) if cell == "lstm" else h)
        loss = (last[0] if cell == "lstm" else last).square().sum() + (0 if last_alone else states.square().sum())
        used = [inputs, *(values if cell == "lstm" else values[:-1])]
        found.append([states.detach(), *torch.autograd.grad(loss, used)])
    agree(*found)


@pytest.mark.parametrize("cell", ALL)
def test_everything_optional_left_out(cell):
    (inputs, weight, *_), _ = problem(cell, 2, 3, 4, 5)
    inputs, weight = (tensor.to(DEVICE).requires_grad_() for tensor in (inputs, weight))
    mine, last = triton_ops.scan(cell, inputs, weight, None, None, None, None)
    exact, _ = cells.scan(cell, inputs.double(), weight.double())
    assert error(mine.detach(), exact.detach()) <= 1e-5
    torch.testing.assert_close((last[0] if cell == "lstm" else last), mine[:, :, -1])
    both = (torch.autograd.grad(states.square().sum(), [inputs, weight]) for states in (mine, exact))
    agree(*both)


@pytest.mark.parametrize("cell", ["tanh", "gru", "lstm"])
def test_states_near_zero_keep_their_digits(cell):
    x, others = a_layer(cell, 1, 3, 4, 5, 1)
    weights, before = [value if value.dim() > 2 else 0 * value for value in others[:4]], 1e-5 * others[4]
    state = (before, before) if cell == "lstm" else before
    mine, exact = (layer(cell, 1e-5 * x.to(dtype), *(w.to(dtype) for w in weights), cast(state, dtype))[0]
                   for layer, dtype in ((triton_ops.layer, torch.float32), (plain_layer, torch.float64)))  # fmt: skip
    torch.testing.assert_close(mine.double(), exact, rtol=2e-6, atol=1e-12)


@pytest.mark.parametrize("cell", ["tanh", "gru", "lstm"])
def test_views_are_taken_as_they_are(cell):
    (inputs, weight, bias, *_), _ = problem(cell, 2, 3, 4, 5)
    inputs, weight, bias = inputs.to(DEVICE), weight.to(DEVICE), bias.to(DEVICE)
    exact, _ = cells.scan(cell, inputs.double(), weight.double(), bias.double())
    spread = [t.transpose(0, -1).contiguous().transpose(0, -1) for t in (inputs, weight, bias)]
    one_for_all = inputs[:, :1].expand(-1, 3, -1, -1)
    assert not spread[0].is_contiguous()
    assert error(triton_ops.scan(cell, *spread, None, None, None)[0], exact) <= 1e-5
    agree([triton_ops.scan(cell, one_for_all, weight, bias, None, None, None)[0][:, 2]],
          [triton_ops.scan(cell, inputs, weight, bias, None, None, None)[0][:, 0]], most=0)  # fmt: skip


def test_masks_and_resets_go_through_plain_operations():
    x, (*weights, h, c) = a_layer("lstm", 2, 3, 4, 5, 1)
    for steps in ((), (4,)):
        mask = torch.randint(2, (2, 3, *steps, 5)).float().to(DEVICE)
        exact = cells.scan("lstm", cells.contributions(x, *weights[:2]), *weights[2:], (h, c), mask=mask)[0]
        torch.testing.assert_close(triton_ops.layer("lstm", x, *weights, (h, c), mask)[0], exact)
    tensors, reset = problem("lstm", 2, 3, 4, 5)
    tensors, reset = [tensor.to(DEVICE) for tensor in tensors], reset.to(DEVICE)
    exact = outcome(cells.scan, "lstm", tensors, reset, torch.float64)
    agree(outcome(lambda *given, mask, reset: triton_ops.scan(*given, mask, reset), "lstm", tensors, reset), exact)


@pytest.mark.parametrize("cell", ["tanh", "lstm"])
def test_what_no_processor_holds_goes_through_plain_operations(monkeypatch, cell):
    monkeypatch.setattr(triton_ops, "_launch", None)
    x, others = a_layer(cell, 1, 2, 3, 5 if cell == "tanh" else 65, 2)
    monkeypatch.setattr(
        triton_ops, "_there_is", lambda device: triton_ops.shared(cell, 4 if cell == "tanh" else 64, 0, "ieee") - 1
    )
    agree(learned(triton_ops.layer, cell, x, others), learned(plain_layer, cell, x, others, torch.float64))


def test_where_both_parts_of_a_weight_do_not_fit_products_are_rounded_as_on_a_cpu(monkeypatch):
    chip = torch.device("cuda")
    monkeypatch.setattr(triton_ops, "precision", lambda device: "tf32x3")
    for bytes_there, rounding in ((232_448, "tf32x3"), (101_376, "ieee"), (49_152, None)):
        monkeypatch.setattr(triton_ops, "_there_is", lambda device, there=bytes_there: there)
        assert triton_ops._rounding("gru", 64, 1, chip) == rounding
        assert triton_ops._rounding("gru", 65, 1, chip) is None


def test_a_run_that_diverges_stays_nonfinite_and_leaves_the_others_alone():
    x, (*weights, h, _) = a_layer("relu", 2, 3, 4, 5, 1)
    x[0, 0, 1] = float("nan")
    mine, exact = (layer("relu", x, *weights, h)[0] for layer in (triton_ops.layer, plain_layer))
    assert torch.equal(mine.isnan(), exact.isnan()) and mine[0].isnan().any() and mine[1].isfinite().all()


def test_nothing_is_kept_where_no_gradient_is_asked_for(monkeypatch):
    kept, launch = [], triton_ops._launch
    monkeypatch.setattr(triton_ops, "_launch", lambda *args, **more: (kept.append(args[5]), launch(*args, **more)))
    x, (*weights, h, _) = a_layer("gru", 1, 2, 3, 4, 1)
    weights = [weight.requires_grad_() for weight in weights]
    states = triton_ops.layer("gru", x, *weights, h)[0]
    with torch.no_grad():
        assert torch.equal(triton_ops.layer("gru", x, *weights, h)[0], states)
    assert kept == [4, 0]


def test_differentiating_twice_says_what_to_do():
    x, (*weights, h, _) = a_layer("gru", 1, 2, 3, 4, 1)
    weights = [weight.requires_grad_() for weight in weights]
    with pytest.raises(BadArgument, match="float64"):
        torch.autograd.grad(triton_ops.layer("gru", x, *weights, h)[0].sum(), weights, create_graph=True)


# Products of tensor cores: what "tf32x3" and "tf32" round, put into the interpreter's product.


def tensor_core(value):
    """The ten bits that are left of a float32's 23, to nearest."""
    return ((value.view(np.int32) + 0x1000) & ~0x1FFF).view(np.float32)


def rounded(a, b, precision):
    if precision == "ieee":
        return a @ b
    high_a, high_b = tensor_core(a), tensor_core(b)
    if precision == "tf32":
        return high_a @ high_b
    low_a, low_b = tensor_core(a - high_a), tensor_core(b - high_b)
    return low_a @ high_b + high_a @ low_b + high_a @ high_b


@pytest.fixture
def products(monkeypatch):
    """Under the interpreter, products that are rounded as asked for."""
    if GPU:
        return
    from triton.runtime import interpreter

    names = {getattr(interpreter._ir.INPUT_PRECISION, n): p
             for n, p in (("IEEE", "ieee"), ("TF32", "tf32"), ("TF32x3", "tf32x3"))}  # fmt: skip

    def create_dot(self, a, b, d, input_precision, max_num_imprecise_acc):
        value = rounded(*map(np.ascontiguousarray, (a.data, b.data)), names[input_precision])
        return interpreter.TensorHandle(value + d.data, d.dtype.scalar)

    monkeypatch.setattr(interpreter.InterpreterBuilder, "create_dot", create_dot)


@pytest.mark.parametrize("cell", ["tanh", "gru", "lstm"])
def test_three_products_of_tensor_cores_are_as_good_as_float32_and_one_is_not(products, monkeypatch, cell):
    if GPU and torch.cuda.get_device_capability() < (8, 0):
        pytest.skip("no tensor cores for tf32")
    x, others = a_layer(cell, 2, 16, 12, 32, 3)
    exact = learned(plain_layer, cell, x, others, torch.float64)
    worst = {}
    for name in ("ieee", "tf32x3", "tf32"):
        monkeypatch.setattr(triton_ops, "PRECISION", name)
        pairs = zip(learned(triton_ops.layer, cell, x, others), exact, strict=True)
        worst[name] = max(error(mine, theirs) for mine, theirs in pairs)
    assert worst["ieee"] <= 1e-6 and worst["tf32x3"] <= 2e-6 and 1e-4 < worst["tf32"] < 1e-2


def test_ten_bits_are_never_taken_unasked(monkeypatch):
    chip, other, products = torch.device("cuda"), torch.device("cpu"), torch.backends.cuda.matmul
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device=None: (9, 0))
    assert triton_ops.precision(other) == "ieee" and triton_ops.precision(chip) == "tf32x3"
    try:
        torch.set_float32_matmul_precision("high")
        assert triton_ops.precision(other) == "ieee" and triton_ops.precision(chip) == "tf32"
    finally:
        torch.set_float32_matmul_precision("highest")
    assert triton_ops.precision(chip) == "tf32x3"
    if before := getattr(products, "fp32_precision", None):
        try:
            products.fp32_precision = "tf32"
            assert triton_ops.precision(chip) == "tf32"
        finally:
            products.fp32_precision = before
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device=None: (7, 5))
    assert triton_ops.precision(chip) == "ieee"


def test_the_dispatch_takes_a_layer_to_the_gpus_kernels(monkeypatch):
    """As `engine.layer` would on a GPU."""
    monkeypatch.setattr(engine, "_cpu", lambda: triton_ops)
    x, others = a_layer("gru", 2, 3, 4, 5, 1)
    agree(learned(engine.layer, "gru", x, others), learned(plain_layer, "gru", x, others, torch.float64))
