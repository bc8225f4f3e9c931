"""Noise of batches' gradients, against `torch.nn` in float64 and the law of sampling."""

import numpy as np
import pytest
import torch

import rnntips as rt
from rnntips.doctor.gradient_noise import first_weights, gradient_noise, window_gradients
from rnntips.errors import BadArgument
from rnntips.loader import examples_of
from rnntips.models import Network

RECIPE = rt.Recipe(width=6, past=9, batch_size=8, updates=15)
SERIES = rt.tasks.forecast(rt.series.sines(600))
TORCH = {"gru": torch.nn.GRU, "lstm": torch.nn.LSTM, "tanh": torch.nn.RNN}


def with_torch(recipe, example, weights, windows):
    """Gradients of single windows (n, P) from `torch.nn` in float64, in the order in which `flat` has them."""
    rnn = TORCH[recipe.cell](example.channels, recipe.width, recipe.layers, batch_first=True).double()
    readout = torch.nn.Linear(recipe.width, example.outputs).double()
    network = Network(recipe.cell, recipe.layers, recipe.width, example.channels, example.outputs,
                      torch.tensor(weights[None]))  # fmt: skip
    kinds = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    theirs = [getattr(rnn, f"{kind}_l{k}") for k in range(recipe.layers) for kind in kinds]
    theirs += [readout.weight, readout.bias]
    with torch.no_grad():
        for parameter, mine in zip(theirs, network.parameters.values(), strict=True):
            parameter.copy_(mine[0].T if mine.dim() == 3 else mine[0])
    rows = []
    for window in windows:
        states, _ = rnn(torch.tensor(example.inputs(np.array([window]))).double())
        answer, target = readout(states[0, -1]), torch.tensor(example.targets[window]).double()
        if example.head == "softmax+nll":
            loss = torch.nn.functional.cross_entropy(answer, target)
        else:
            loss = (answer - target).square().mean()
        found = torch.autograd.grad(loss, theirs)
        rows.append(np.concatenate([(g.T if g.dim() == 2 else g).reshape(-1).numpy() for g in found]))
    return np.array(rows)


@pytest.mark.parametrize("task", [SERIES, rt.tasks.digits(rows=True), rt.tasks.recall(4)], ids=lambda task: task.name)
@pytest.mark.parametrize("change", [{}, {"cell": "lstm", "layers": 2}, {"cell": "tanh"}], ids=str)
def test_every_window_has_the_gradient_of_torch(task, change):
    recipe = RECIPE.but(**change)
    runs, example = rt.train(recipe, task, [3]), examples_of(recipe, task, 3)
    mine = window_gradients(recipe, example, runs.weights[0])
    chosen = [0, 1, 100, len(mine) - 1]
    theirs = with_torch(recipe, example, runs.weights[0], example.of(0)[chosen])
    np.testing.assert_allclose(mine[chosen], theirs, rtol=1e-3, atol=2e-5 * np.abs(theirs).max())


def test_noise_falls_with_the_root_of_the_batch_size_as_sampling_says():
    """Without repetition: E|g − G|² = tr(S) / B · (N − B) / N, and nothing for the whole part. 400 batches of each."""
    recipe = RECIPE.but(train_size=256)
    runs = rt.train(recipe, SERIES, range(4))
    sizes = np.array([1, 4, 16, 64, 128, 256])
    found = gradient_noise(runs, SERIES, sizes, batches=400)
    expected = np.sqrt(found.scale[:, None] / sizes * (256 - sizes) / 256)
    np.testing.assert_allclose(found.noise[:, :-1], expected[:, :-1], rtol=0.12)
    np.testing.assert_allclose(found.noise[:, -1], 0, atol=1e-6)
    assert found.noise.shape == (4, 6) and found.norm.shape == found.scale.shape == (4,)


def test_the_gradient_is_the_one_that_training_with_one_batch_of_all_records():
    """The norm of its first update is that of the first weights' gradient."""
    recipe = RECIPE.but(train_size=100, batch_size=100, updates=1)
    runs = rt.train(recipe, SERIES, [2, 5])
    start = first_weights(runs, SERIES)
    found = gradient_noise(runs, SERIES, [1], weights=start, batches=2)
    np.testing.assert_allclose(found.norm, runs.gradient_norm[:, 0], rtol=1e-4)
    assert not np.allclose(start, runs.weights)
    assert not np.allclose(found.norm, gradient_noise(runs, SERIES, [1], batches=2).norm, rtol=1e-3)


def test_batches_are_drawn_alike_for_everybody_and_a_run_depends_on_itself_alone():
    runs = rt.train(RECIPE, SERIES, [1, 2])
    both, again = (gradient_noise(runs, SERIES, [4, 9], batches=5) for _ in range(2))
    np.testing.assert_array_equal(both.noise, again.noise)
    np.testing.assert_array_equal(both.noise[1:], gradient_noise(runs.only([1]), SERIES, [4, 9], batches=5).noise)


@pytest.mark.parametrize(
    ("fields", "on", "how", "words"),
    [
        ({}, SERIES, {"batch_sizes": [400]}, "batch size 400: there are .* Use at most"),
        ({}, SERIES, {"batch_sizes": [0]}, "batch size=0"),
        ({}, SERIES, {"batch_sizes": [4], "batches": 1}, "batches=1"),
        ({"dropout": 0.5}, SERIES, {"batch_sizes": [4]}, "without dropout"),
        ({"noise": 0.5}, SERIES, {"batch_sizes": [4]}, "without dropout and noise"),
        ({}, rt.tasks.leaky(5), {"batch_sizes": [4]}, "one answer a window"),
    ],
)
def test_what_has_no_such_noise_is_refused(fields, on, how, words):
    runs = rt.train(RECIPE.but(updates=1, **fields), on, [0])
    with pytest.raises(BadArgument, match=words):
        gradient_noise(runs, on, **how)
    with pytest.raises(BadArgument, match="one setting"):
        gradient_noise(runs, {"a": SERIES, "b": SERIES}, [4])
