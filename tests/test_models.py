"""The network against a `torch.nn` model with the same weights."""

import numpy as np
import pytest
import torch

from rnntips.models import ALIGNMENT, Network, initial_weights, shapes
from rnntips.recipe import Recipe

SEEDS, C, K = [4, 9, 2], 3, 2


def made(recipe, dtype=torch.float32):
    flat = torch.tensor(initial_weights([recipe] * len(SEEDS), "a setting", SEEDS, C, K), dtype=dtype)
    return Network(recipe.cell, recipe.layers, recipe.width, C, K, flat)


@pytest.mark.parametrize("layers", [1, 2, 3])
@pytest.mark.parametrize(("cell", "kind"), [("gru", torch.nn.GRU), ("lstm", torch.nn.LSTM), ("tanh", torch.nn.RNN)])
def test_predictions_and_gradients_equal_torch_modules(cell, kind, layers):
    network = made(Recipe(cell=cell, layers=layers, width=5), torch.float64)
    x = torch.randn(len(SEEDS), 4, 6, C, dtype=torch.float64)
    predictions = network(x)
    gradient = network.gradient(predictions.square().sum())
    for r in range(len(SEEDS)):
        rnn, readout = kind(C, 5, layers, batch_first=True).double(), torch.nn.Linear(5, K).double()
        pairs = {"readout_weight": readout.weight, "readout_bias": readout.bias}
        for layer in range(layers):
            for mine, theirs in (("input_weight", "weight_ih"), ("recurrent_weight", "weight_hh"),
                                 ("input_bias", "bias_ih"), ("recurrent_bias", "bias_hh")):  # fmt: skip
                pairs[f"{mine}_{layer}"] = getattr(rnn, f"{theirs}_l{layer}")
        with torch.no_grad():
            for name, theirs in pairs.items():
                mine = network.parameters[name][r]
                theirs.copy_(mine.T if mine.dim() == 2 else mine)
        expected = readout(rnn(x[r])[0][:, -1])
        torch.testing.assert_close(predictions[r], expected)
        expected.square().sum().backward()
        for name, theirs in pairs.items():
            mine = gradient[r, network.slices[name]].view(network.parameters[name][r].shape)
            torch.testing.assert_close(mine, theirs.grad.T if mine.dim() == 2 else theirs.grad)


def test_every_parameter_gets_a_gradient():
    network = made(Recipe(cell="lstm", layers=2, width=4))
    gradient = network.gradient(network(torch.randn(len(SEEDS), 4, 6, C)).square().sum())
    for name, where in network.slices.items():
        assert (gradient[:, where] != 0).any(), f"no gradient reaches {name}"
    assert (gradient[:, network.count :] == 0).all()


def test_parameters_are_views_of_one_row_per_run():
    network = made(Recipe(width=5))
    network.flat[1] += 1.0
    before = initial_weights([Recipe(width=5)] * len(SEEDS), "a setting", SEEDS, C, K)
    where = network.slices["readout_bias"]
    torch.testing.assert_close(network.parameters["readout_bias"][1], torch.tensor(before[1, where]) + 1.0)


def test_starts_depend_on_seed_and_setting_and_not_on_the_other_runs():
    recipe = Recipe(width=5)
    together = initial_weights([recipe] * 3, "s", [0, 1, 2], C, K)
    alone = initial_weights([recipe], "s", [1], C, K)
    np.testing.assert_array_equal(together[1], alone[0])
    assert not np.array_equal(together[0], together[1])
    assert not np.array_equal(alone, initial_weights([recipe], "another", [1], C, K))
    assert together.shape[1] % ALIGNMENT == 0


def test_a_second_layer_leaves_the_first_ones_start_alone():
    one, two = (Recipe(width=5, layers=n) for n in (1, 2))
    first, both = (initial_weights([r], "s", [3], C, K)[0] for r in (one, two))
    size = sum(int(np.prod(s)) for name, s in shapes("gru", 1, 5, C, K).items() if name.endswith("_0"))
    np.testing.assert_array_equal(first[:size], both[:size])
