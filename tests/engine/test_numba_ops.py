"""The compiled recurrence against `cells.scan` in float64, and what a run's bits may depend on."""

import builtins
import os
import subprocess
import sys
import threading
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import rnntips as rt
from rnntips import cells, engine
from rnntips.errors import BadArgument

numba_ops = pytest.importorskip("rnntips.engine.numba_ops", exc_type=ImportError)
ALL = list(cells.CELLS)
reference = partial(cells.scan, mask_carried=False)


def compiled(*given, mask, reset):
    return numba_ops.scan(*given, mask, reset)


def problem(cell, R, B, T, H, seed=0):
    """Inputs, weight, bias, h, c, mask, which can all be differentiated, and reset."""
    g = torch.Generator().manual_seed(seed)
    gates = cells.GATES[cell] * H

    def draw(*shape):
        return torch.randn(*shape, generator=g) * 0.5

    tensors = [draw(R, B, T, gates), draw(R, H, gates) / H**0.5, draw(R, gates), draw(R, B, H), draw(R, B, H),
               torch.rand(R, B, T, H, generator=g) + 0.2]  # fmt: skip
    return tensors, torch.rand(B, T, generator=g) < 0.1


def outcome(scan, cell, tensors, reset, dtype=torch.float32):
    """States and every gradient of a sum that weighs the values of one run differently."""
    tensors = [t.detach().to(dtype).requires_grad_() for t in tensors]
    inputs, weight, bias, h, c, mask = tensors
    state = (h, c) if cell == "lstm" else h
    states, last = scan(cell, inputs, weight, bias, state, mask=mask, reset=reset)
    g = torch.Generator().manual_seed(1)
    weighed = (states * torch.rand(states.shape[1:], generator=g).to(dtype)).sum()
    loss = weighed + sum(part.square().sum() for part in (last if cell == "lstm" else [last]))
    used = tensors if cell == "lstm" else [t for t in tensors if t is not c]
    return [states.detach(), *torch.autograd.grad(loss, used)]


def error(mine, exact):
    """Norm-wise; a norm below 0.01, where large terms cancel, counts as 0.01."""
    return float((mine - exact).norm() / exact.norm().clamp(min=1e-2))


def agree(mine, exact, most=1e-5):
    for one, other in zip(mine, exact, strict=True):
        assert one.shape == other.shape and error(one, other) <= most


def test_a_grus_mask_multiplies_all_it_reads_in_a_scan_and_what_its_weights_read_in_a_layer():
    (inputs, weight, bias, h, _, mask), _ = problem("gru", 2, 3, 5, 4)
    for scan, carried in ((engine.scan, True), (partial(as_a_layer, 4), False)):
        exact = cells.scan("gru", inputs.double(), weight.double(), bias.double(), h.double(), mask=mask.double(),
                           mask_carried=carried)[0]  # fmt: skip
        torch.testing.assert_close(
            scan("gru", inputs, weight, bias, h, mask=mask)[0].double(), exact, rtol=0, atol=1e-5
        )


def as_a_layer(H, cell, inputs, weight, bias, state, mask):
    """A layer whose inputs are the contributions themselves."""
    eye = torch.eye(inputs.shape[3]).expand(len(inputs), -1, -1)
    return engine.layer(cell, inputs, eye, torch.zeros(len(inputs), 3 * H), weight, bias, state, mask=mask)


@settings(max_examples=30, deadline=None)
@given(st.sampled_from(ALL), st.integers(1, 4), st.integers(1, 35), st.integers(1, 64), st.integers(1, 34),
       st.integers(0, 9))  # fmt: skip
def test_values_and_gradients_agree_with_the_reference_in_float64(cell, R, B, T, H, seed):
    tensors, reset = problem(cell, R, B, T, H, seed)
    exact = outcome(reference, cell, tensors, reset, torch.float64)
    agree(outcome(compiled, cell, tensors, reset), exact)


@pytest.mark.parametrize("cell", ALL)
@pytest.mark.parametrize(("B", "H"), [(33, 130), (49, 44), (5, 28), (64, 100)])
def test_tiles_of_every_height_agree_with_the_reference_in_float64(cell, B, H):
    """Rows are multiplied 16, 8 or 4 at a time, and columns 16: widths and batches that need several of each."""
    tensors, reset = problem(cell, 2, B, 7, H)
    exact = outcome(reference, cell, tensors, reset, torch.float64)
    agree(outcome(compiled, cell, tensors, reset), exact)


@pytest.mark.parametrize("relu", [True, False])
@pytest.mark.parametrize(("B", "C", "K"), [(33, 130, 44), (5, 3, 130), (49, 28, 1)])
def test_a_dense_layer_agrees_with_a_product_in_float64(relu, B, C, K):
    g = torch.Generator().manual_seed(0)
    tensors = [torch.randn(*shape, generator=g) / C**0.5 for shape in ((2, B, 7, C), (2, C, K), (2, K))]
    weighed = torch.rand(7, K, generator=g)

    def gradients(dtype):
        given = [value.to(dtype).requires_grad_() for value in tensors]
        found = engine.dense(*given, relu=relu)
        return [found.detach(), *torch.autograd.grad((found * weighed.to(dtype)).sum(), given)]

    agree(gradients(torch.float32), gradients(torch.float64))


@pytest.mark.parametrize("cell", ALL)
@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (2, 3, 4, 5), (1, 32, 70, 8)])
def test_fixed_shapes_and_everything_optional_left_out(cell, shape):
    (inputs, weight, *_), _ = problem(cell, *shape)
    mine, last = engine.scan(cell, inputs, weight)
    exact, _ = cells.scan(cell, inputs.double(), weight.double())
    assert error(mine, exact) <= 1e-5
    torch.testing.assert_close((last[0] if cell == "lstm" else last), mine[:, :, -1])


@pytest.mark.parametrize("cell", ALL)
def test_views_and_masks_of_one_step_are_taken_as_they_are(cell):
    tensors, reset = problem(cell, 3, 5, 6, 7)
    tensors[5] = tensors[5][:, :, 2]
    spread = [t.transpose(0, 1).contiguous().transpose(0, 1) for t in tensors]
    assert not spread[0].is_contiguous()
    found = outcome(compiled, cell, spread, reset)
    assert all(map(torch.equal, found, outcome(compiled, cell, tensors, reset)))
    agree(found, outcome(reference, cell, tensors, reset, torch.float64))


@pytest.mark.parametrize("cell", ALL)
@pytest.mark.parametrize(("B", "C", "H"), [(18, 5, 6), (35, 130, 44)])
def test_a_layer_equals_a_scan_of_its_contributions(cell, B, C, H):
    R, T = 3, 9
    gates = cells.GATES[cell] * H
    g = torch.Generator().manual_seed(0)
    shapes = [(R, B, T, C), (R, C, gates), (R, gates), (R, H, gates), (R, gates)]
    tensors = [torch.randn(*shape, generator=g) / max(2, shape[-2] ** 0.5) for shape in shapes]

    def gradients(dtype):
        x, *rest = (t.to(dtype).requires_grad_() for t in tensors)
        states, _ = engine.layer(cell, x, *rest)
        return [states.detach(), *torch.autograd.grad(states.square().sum(), [x, *rest])]

    agree(gradients(torch.float32), gradients(torch.float64))


@pytest.mark.parametrize("cell", ALL)
def test_a_runs_bits_depend_neither_on_company_nor_on_threads(cell, monkeypatch):
    tensors, reset = problem(cell, 20, 5, 12, 7)
    monkeypatch.setenv("RNNTIPS_THREADS", "1")
    whole = outcome(compiled, cell, tensors, reset)
    monkeypatch.delenv("RNNTIPS_THREADS")
    for rows in ([7], [3, 7], [7, 1, 12], list(range(20))):
        some = outcome(compiled, cell, [t[rows] for t in tensors], reset)
        assert all(map(torch.equal, some, (theirs[rows] for theirs in whole)))


@pytest.mark.parametrize("cell", ALL)
@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_what_breaks_one_run_stays_there(cell, bad):
    tensors, reset = problem(cell, 3, 5, 6, 7)
    calm = outcome(compiled, cell, tensors, reset)
    tensors[1][1] = bad
    wild = outcome(compiled, cell, tensors, reset)
    assert all(map(torch.equal, (mine[[0, 2]] for mine in wild), (theirs[[0, 2]] for theirs in calm)))
    exact = outcome(reference, cell, tensors, reset)
    assert torch.equal(torch.isnan(wild[0]), torch.isnan(exact[0]))


def test_two_threads_at_once_disturb_nothing():
    tensors, reset = problem("lstm", 6, 9, 20, 12)
    alone, found = outcome(compiled, "lstm", tensors, reset), []

    def work():
        for _ in range(10):
            found.append(outcome(compiled, "lstm", tensors, reset))

    workers = [threading.Thread(target=work) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len(found) == 30
    for result in found:
        assert all(torch.equal(mine, theirs) for mine, theirs in zip(result, alone, strict=True))


def test_states_that_are_kept_are_not_written_over():
    tensors, _ = problem("gru", 2, 3, 4, 5)
    with torch.no_grad():
        kept = engine.scan("gru", *tensors[:2])[0]
        before = kept.clone()
        for _ in range(5):
            engine.scan("gru", tensors[0] + 1, tensors[1])
    assert torch.equal(kept, before)


def test_a_second_derivative_is_refused_in_float32_and_given_in_float64():
    (inputs, weight, *_), _ = problem("tanh", 1, 2, 3, 4)
    for dtype in (torch.float64, torch.float32):
        w = weight.to(dtype).requires_grad_()
        states, _ = engine.scan("tanh", inputs.to(dtype), w)
        if dtype == torch.float64:
            (first,) = torch.autograd.grad(states.square().sum(), w, create_graph=True)
            torch.autograd.grad(first.sum(), w)
        else:
            with pytest.raises(BadArgument, match=r"create_graph=True.*float64"):
                torch.autograd.grad(states.square().sum(), w, create_graph=True)


def test_where_numba_may_not_compile_the_reference_serves_and_it_is_said():
    trained = "rt.train(rt.Recipe(updates=3, width=3, past=4), rt.series.sines(99), [0]).test_score"
    code = f"import rnntips as rt; print({trained})"
    ran = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | {"NUMBA_DISABLE_JIT": "1"}, capture_output=True, text=True
    )
    assert ran.returncode == 0 and ran.stderr.count("NUMBA_DISABLE_JIT is set") == 1
    here = rt.train(rt.Recipe(updates=3, width=3, past=4), rt.series.sines(99), [0]).test_score
    np.testing.assert_allclose(float(ran.stdout.strip("[]\n")), here[0], rtol=1e-4)


def test_without_numba_the_reference_serves_and_it_is_said_once(monkeypatch, capsys):
    import_module = builtins.__import__

    def without(name, *arguments, **more):
        if "numba_ops" in (arguments[2] or ()) and name == "rnntips.engine":
            raise ImportError("No module named 'numba'")
        return import_module(name, *arguments, **more)

    tensors, reset = problem("gru", 2, 3, 4, 5)
    monkeypatch.setattr(builtins, "__import__", without)
    engine._cpu.cache_clear()
    try:
        outcome(engine.scan, "gru", tensors, reset)
        found = outcome(engine.scan, "gru", tensors, reset)
    finally:
        monkeypatch.undo()
        engine._cpu.cache_clear()
    assert capsys.readouterr().err.count("pip install numba") == 1
    assert all(torch.equal(*pair) for pair in zip(found, outcome(cells.scan, "gru", tensors, reset), strict=True))


@pytest.mark.parametrize("wrong", ["bias", "mask", "reset"])
def test_shapes_that_do_not_fit_are_named(wrong):
    (inputs, weight, *_), _ = problem("gru", 2, 3, 4, 5)
    with pytest.raises(BadArgument, match=f"{wrong} has shape"):
        engine.scan("gru", inputs, weight, **{wrong: torch.zeros(1, 1)})


def test_an_unreadable_number_of_threads_is_named(monkeypatch):
    (inputs, weight, *_), _ = problem("gru", 2, 3, 4, 5)
    monkeypatch.setenv("RNNTIPS_THREADS", "many")
    with pytest.raises(BadArgument, match="RNNTIPS_THREADS='many'"):
        engine.scan("gru", inputs, weight)


def test_numbers_too_small_to_keep_stay_what_they_are_outside_of_compiled_code():
    """Compiled code takes them for 0, which is much faster; whoever called it does not."""
    weight = torch.eye(4)[None]
    states, _ = engine.scan("relu", torch.full((1, 1, 3, 4), 1e-40), weight)
    small = torch.full((3,), 1e-20) * 1e-20
    assert not states.any() and (small > 0).all() and np.float32(1e-20) * np.float32(1e-20) > 0
