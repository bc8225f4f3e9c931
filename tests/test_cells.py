"""The recurrent step and its loop: a formula, derivatives and laws; `test_models` holds them against `torch.nn`."""

import numpy as np
import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck

from rnntips.cells import CELLS, GATES, initialiser, scan
from rnntips.errors import BadArgument

R, B, T, C, H = 3, 5, 7, 2, 4


def contributions(cell):
    """Inputs x (R, B, T, C), weights and biases; and what the inputs contribute to the gates (R, B, T, G·H)."""
    g = torch.Generator().manual_seed(1)
    shapes = (R, B, T, C), (R, C, GATES[cell] * H), (R, H, GATES[cell] * H), (R, GATES[cell] * H)
    x, input_weight, weight, bias = (torch.randn(*shape, generator=g, dtype=torch.float64) / 2 for shape in shapes)
    return (x, input_weight, weight, bias), torch.einsum("rbtc,rcg->rbtg", x, input_weight)


def test_the_sigmoid_cell_follows_its_formula():
    (x, input_weight, weight, bias), inputs = contributions("sigmoid")
    states, _ = scan("sigmoid", inputs, weight, bias)
    h = torch.zeros(R, B, H, dtype=torch.float64)
    for t in range(T):
        h = torch.sigmoid(x[:, :, t] @ input_weight + h @ weight + bias[:, None])
        torch.testing.assert_close(states[:, :, t], h)


@pytest.mark.parametrize("carried", [True, False])
def test_a_grus_mask_follows_its_formula(carried):
    """Without `mask_carried` as Gal and Ghahramani (2016): on what the matrices read alone."""
    (*_, weight, bias), inputs = contributions("gru")
    g = torch.Generator().manual_seed(3)
    mask = torch.rand(R, B, T, H, generator=g, dtype=torch.float64) + 0.5
    states, _ = scan("gru", inputs, weight, bias, mask=mask, mask_carried=carried)
    h = torch.zeros(R, B, H, dtype=torch.float64)
    for t in range(T):
        seen = h * mask[:, :, t]
        r, z, n = (seen @ weight + bias[:, None]).chunk(3, -1)
        x_r, x_z, x_n = inputs[:, :, t].chunk(3, -1)
        z = torch.sigmoid(x_z + z)
        h = (1 - z) * torch.tanh(x_n + torch.sigmoid(x_r + r) * n) + z * (seen if carried else h)
        torch.testing.assert_close(states[:, :, t], h)


@pytest.mark.parametrize("cell", [c for c in CELLS if c != "relu"])
def test_first_and_second_derivatives_agree_with_differences(cell):
    g = torch.Generator().manual_seed(2)
    gates = GATES[cell] * 2
    shapes = [(2, 1, 3, gates), (2, 2, gates), (2, gates)]
    args = [torch.randn(*shape, generator=g, dtype=torch.float64).requires_grad_() for shape in shapes]
    assert gradcheck(lambda *a: scan(cell, *a)[0], args)
    assert gradgradcheck(lambda *a: scan(cell, *a)[0], args)


@pytest.mark.parametrize("cell", CELLS)
def test_a_scan_cut_in_two_equals_the_whole(cell):
    (_, _, weight, _), inputs = contributions(cell)
    whole, _ = scan(cell, inputs, weight)
    first, state = scan(cell, inputs[:, :, :3], weight)
    second, _ = scan(cell, inputs[:, :, 3:], weight, state=state)
    torch.testing.assert_close(whole, torch.cat([first, second], 2))


def test_shapes_that_do_not_fit_are_named():
    with pytest.raises(BadArgument, match=r"gru: inputs \(1, 2, 3, 8\).*needed.*3·H"):
        scan("gru", torch.zeros(1, 2, 3, 8), torch.zeros(1, 4, 8))
    with pytest.raises(BadArgument, match="Did you mean 'lstm'"):
        scan("lstn", torch.zeros(1, 2, 3, 8), torch.zeros(1, 4, 8))


def test_starts_from_the_inputs_point_where_the_inputs_do_and_are_as_long_as_uniform_ones():
    """Components: the covariance's eigenvectors, then uniform; centres: of clusters that lie far apart."""
    rng, C, H = np.random.default_rng(0), 4, 6
    centres = 9 * np.linalg.qr(rng.normal(size=(C, C)))[0][:3]
    steps = np.concatenate([center + 0.1 * rng.normal(size=(50, C)) for center in centres])
    vectors = np.linalg.eigh(np.cov(steps.T))[1].T[::-1]
    for name, expected, along in (("pca", vectors, range(C)), ("kmeans", centres / 9, None)):
        drawn = initialiser(name, "inputs", lambda: steps)((C, 3 * H), H, rng)
        for gate in np.split(drawn, 3, axis=1):
            known = gate[:, : len(along) if along else H]
            lengths = np.linalg.norm(known, axis=0)
            np.testing.assert_allclose(lengths, np.sqrt(C / (3 * H)))
            cosines = expected @ (known / lengths)
            found = np.abs(np.diag(cosines)) if along else cosines.max(0)
            assert (found > 0.999).all() and known.shape == (C, C if along else H)
        assert len({gate.tobytes() for gate in np.split(drawn, 3, axis=1)}) == 3
    for part, seen in (("inputs", None), ("recurrent", lambda: steps)):
        both = [initialiser(name, part, seen)((H, 3 * H), H, np.random.default_rng(1)) for name in ("pca", "uniform")]
        np.testing.assert_array_equal(*both)


def test_initialisers_keep_their_laws():
    rng = np.random.default_rng(0)
    uniform = initialiser("uniform")((200, 300), 25, rng)
    assert 0.199 < np.abs(uniform).max() <= 0.2
    orthogonal = initialiser("orthogonal")((6, 18), 6, rng)
    for gate in np.split(orthogonal, 3, axis=1):
        np.testing.assert_allclose(gate @ gate.T, np.eye(6), atol=1e-12)
    tall = initialiser("orthogonal")((9, 4), 4, rng)
    np.testing.assert_allclose(tall.T @ tall, np.eye(4), atol=1e-12)
    glorot = initialiser("glorot")((300, 600), 300, rng)
    assert 0.099 < np.abs(glorot).max() <= 0.1
    assert initialiser("normal:0.3")((300, 300), 300, rng).std() == pytest.approx(0.3, rel=0.02)
    for gate in np.split(initialiser("radius:1.3")((6, 18), 6, rng), 3, axis=1):
        assert np.abs(np.linalg.eigvals(gate)).max() == pytest.approx(1.3)
        assert np.linalg.norm(np.linalg.matrix_power(gate, 400), 2) ** (1 / 400) == pytest.approx(1.3, rel=0.02)
    wide = [initialiser(init)((2, 6), 6, np.random.default_rng(1)) for init in ("radius:1.3", "uniform")]
    np.testing.assert_array_equal(*wide)  # inputs are no square blocks
    for gate in np.split(initialiser("identity", "recurrent")((6, 18), 6, rng), 3, axis=1):
        np.testing.assert_array_equal(gate, np.eye(6))
    assert initialiser("identity")((300, 300), 300, rng).std() == pytest.approx(0.001, rel=0.02)
    assert (initialiser("identity", "bias")((9,), 9, rng) == 0).all()
    assert all((initialiser("constant:0.05", part)((9,), 9, rng) == 0.05).all() for part in ("bias", "other"))
    with pytest.raises(BadArgument, match=r"spectral radius.*radius:0\.1"):
        initialiser("radius:-1")
    with pytest.raises(BadArgument, match="Did you mean 'orthogonal'"):
        initialiser("orthogonl")
    with pytest.raises(BadArgument, match=r"normal:0\.1"):
        initialiser("normal:small")
