"""The network against a `torch.nn` model with the same weights."""

import numpy as np
import pytest
import torch
from oracles import KINDS, Twin, begun, trained

import rnntips as rt
from rnntips import models
from rnntips.errors import BadArgument
from rnntips.models import ALIGNMENT, Network, initial_weights, network_for
from rnntips.recipe import Recipe, shapes

SEEDS, C, K = [4, 9, 2], 3, 2


class Sizes:
    channels, outputs = C, K


def made(recipe, dtype=torch.float32):
    flat = torch.tensor(initial_weights([recipe] * len(SEEDS), "a setting", SEEDS, C, K), dtype=dtype)
    return Network(recipe.cell, recipe.layers, recipe.width, C, K, flat, recipe.dense, recipe.dense_after)


@pytest.mark.parametrize(("dense", "after"), [((), ()), ((7, 4), ()), ((), (3,)), ((7,), (8, 6))])
@pytest.mark.parametrize("layers", [1, 2, 3])
@pytest.mark.parametrize("cell", KINDS)
def test_predictions_and_gradients_equal_torch_modules(cell, layers, dense, after):
    """At the end and everywhere; with noise, which reaches every layer above and no step of its own layer."""
    network = made(Recipe(cell=cell, layers=layers, width=5, dense=dense, dense_after=after), torch.float64)
    x = torch.randn(len(SEEDS), 4, 6, C, dtype=torch.float64)
    noise = [torch.randn(*x.shape[:3], wide, dtype=torch.float64) for wide in (*dense, *[5] * layers, *after)]
    predictions, (everywhere, last) = network(x), network.sequence(x)
    noisy, noisy_everywhere = network(x, noise=noise), network.sequence(x, noise=noise)[0]
    gradient = network.gradient(predictions.square().sum())
    for r in range(len(SEEDS)):
        twin = Twin(network, r)
        (expected, ends), disturbed = twin(x[r]), twin(x[r], noise=[added[r] for added in noise])[0]
        torch.testing.assert_close(everywhere[r], expected)
        torch.testing.assert_close(predictions[r], expected[:, -1])
        for mine, theirs in zip(last, ends, strict=True):
            pairs = zip(mine, theirs, strict=True) if cell == "lstm" else [(mine, theirs)]
            assert all(torch.allclose(part[r], other[0]) for part, other in pairs)
        torch.testing.assert_close(noisy_everywhere[r], disturbed)
        torch.testing.assert_close(noisy[r], disturbed[:, -1])
        expected[:, -1].square().sum().backward()
        np.testing.assert_allclose(gradient[r, : network.count], twin.gradient(), rtol=1e-7, atol=1e-9)


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


@pytest.mark.parametrize("cell", ["gru", "lstm"])
@pytest.mark.parametrize("given", [1.5, "chrono:40"])
def test_the_gate_that_keeps_a_state_starts_where_it_is_told_and_nothing_else_changes(cell, given):
    """Both biases together; chrono's forget gates forget about 1/U, U from 1 to 39, and input gates mirror them."""
    plain, told = (made(Recipe(cell=cell, layers=2, width=500, forget_bias=some)).parameters for some in (None, given))
    assert all(torch.equal(plain[name], told[name]) for name in plain if "bias" not in name or "readout" in name)
    for layer in range(2):
        before, after = (p[f"input_bias_{layer}"] + p[f"recurrent_bias_{layer}"] for p in (plain, told))
        first, kept, *others = (gate.double() for gate in after.split(500, 1))
        assert all(torch.equal(*pair) for pair in zip(others, before.double().split(500, 1)[2:], strict=True))
        if given == 1.5:
            assert (kept == 1.5).all() and torch.equal(first, before[:, :500].double())
            continue
        assert (first == -kept).all() if cell == "lstm" else torch.equal(first, before[:, :500].double())
        spans = kept.exp()
        assert spans.min() > 0.999 and spans.max() < 39.001 and spans.mean().item() == pytest.approx(20, rel=0.05)


def test_units_that_start_alike_stay_alike():
    runs = rt.train(Recipe(width=5, init="constant:0.05", past=9, updates=30), rt.series.sines(600), [3])
    row, first = torch.tensor(runs.weights), torch.tensor(initial_weights(runs.recipes, runs.setting, [3], 1, 1))
    network = Network("gru", 1, 5, 1, 1, row)
    assert (first[:, : network.count] == np.float32(0.05)).all() and (row != first).any()
    weight = network.parameters["recurrent_weight_0"][0]
    for gate in weight.split(5, 1):
        torch.testing.assert_close(gate, gate[:1, :1].expand(5, 5), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("init", ["pca", "kmeans"])
def test_a_start_from_the_inputs_is_of_the_runs_own_training_part(init):
    task, recipe = rt.tasks.digits(rows=True), Recipe(width=9, layers=2, init=init)
    alone, company, usual = (
        begun([some] * len(seeds), task, seeds)[1].parameters
        for some, seeds in ((recipe, [3]), (recipe, [1, 3]), (recipe.but(init="uniform"), [3]))
    )
    changed = [name for name in alone if not torch.equal(alone[name], usual[name])]
    assert changed == ["input_weight_0"]
    assert torch.equal(company["input_weight_0"][1], alone["input_weight_0"][0])
    assert not torch.equal(company["input_weight_0"][0], alone["input_weight_0"][0])


def test_dense_layers_above_leave_the_others_starts_alone_and_begin_as_in_torch():
    """Whatever stands on them, recurrent layers begin the same; a bound is one over the root of the layer below."""
    plain, more = (made(Recipe(width=5, dense_after=after)) for after in ((), (400, 100)))
    for name, value in plain.parameters.items():
        assert name.startswith("readout") or torch.equal(value, more.parameters[name])
    for name, below in (("after_weight_0", 5), ("after_weight_1", 400), ("after_bias_1", 400), ("readout_weight", 100)):
        assert more.parameters[name].abs().max().item() == pytest.approx(below**-0.5, rel=0.05)


@pytest.mark.parametrize("cell", KINDS)
@pytest.mark.parametrize("each", [1, 6], ids=["one mask", "new masks"])
def test_dropout_between_steps_multiplies_what_the_next_steps_weights_read(cell, each, monkeypatch):
    """Against a loop over `torch.nn`'s steps; what the LSTM's and the GRU's gates carry over is left alone. Also in
    two-step segments; compiled.
    """
    recipe = Recipe(cell=cell, layers=2, width=5, dense_after=(4,), dropout=0.5, dropout_at="between steps, new masks")
    network = network_for(recipe, Sizes, made(recipe, torch.float64).flat)
    x = torch.randn(len(SEEDS), 4, 6, C, dtype=torch.float64)
    masks = [2.0 * (torch.rand(len(SEEDS), 4, each, 5, dtype=torch.float64) < 0.5) for _ in range(2)]
    for r in range(len(SEEDS)):
        twin, hidden = Twin(network, r), x[r]
        for layer, mask in zip(twin.recurrent, masks, strict=True):
            state, outputs = None, []
            for t in range(6):
                now, before = mask[r, :, t % each][None], state
                if state is not None:
                    state = (state[0] * now, state[1]) if cell == "lstm" else state * now
                output, after = layer(hidden[:, t : t + 1], state)
                if cell == "gru" and state is not None:
                    gates = hidden[:, t] @ layer.weight_ih_l0.T + layer.bias_ih_l0
                    gates = gates + state[0] @ layer.weight_hh_l0.T + layer.bias_hh_l0
                    kept = torch.sigmoid(gates[:, 5:10]) * (before - state)[0]
                    output, after = output + kept[:, None], after + kept
                state = after
                outputs.append(output)
            hidden = torch.cat(outputs, 1)
        expected = twin.readout(twin.after[0](hidden).relu())
        for segment in (models.SEGMENT, 2 * 4 * 4 * network.kept_values):
            monkeypatch.setattr(models, "SEGMENT", segment)
            torch.testing.assert_close(network.sequence(x, masks)[0][r], expected)
            torch.testing.assert_close(network(x, masks)[r], expected[:, -1])
        monkeypatch.undo()
    single = network_for(recipe, Sizes, network.flat.float())
    for predict in ("__call__", "sequence"):
        gradients = []
        for some in (network, single):
            given = x.to(some.flat.dtype), [mask.to(some.flat.dtype) for mask in masks]
            found = getattr(some, predict)(*given)
            gradients.append(some.gradient((found if predict == "__call__" else found[0]).square().sum()).double())
        torch.testing.assert_close(*gradients, rtol=1e-4, atol=1e-4)


def outcome(network, x, state=None, noise=()):
    predictions, after = network.sequence(x, state=state, noise=noise)
    return [predictions.detach(), network.gradient(predictions.square().sum()), *after[-1]]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_segments_and_what_is_computed_again_change_nothing(dtype, monkeypatch):
    x = torch.randn(len(SEEDS), 4, 23, C, dtype=dtype)
    recipe = Recipe(cell="lstm", layers=2, width=5, dense=(7, 4), dense_after=(3,))
    noise = [0.1 * torch.randn(*x.shape[:3], wide, dtype=dtype) for wide in (7, 4, 5, 5, 3)]
    whole = outcome(made(recipe, dtype), x, noise=noise)
    monkeypatch.setattr(models, "SEGMENT", 5 * 4 * 4 * made(recipe).kept_values)  # five steps
    kept = outcome(made(recipe, dtype), x, noise=noise)
    monkeypatch.setattr(models, "KEPT", 0)
    again = outcome(made(recipe, dtype), x, noise=noise)
    for one, two, three in zip(whole, kept, again, strict=True):
        assert torch.equal(two, three)
        torch.testing.assert_close(one, two, rtol=1e-4 if dtype == torch.float32 else 1e-9, atol=1e-5)
    torch.testing.assert_close(made(recipe, dtype)(x, noise=noise), whole[0][:, :, -1])


def test_recomputing_keeps_less(monkeypatch):
    """What autograd holds on to after the forward pass, counted by its own hooks."""

    def held(kept):
        monkeypatch.setattr(models, "KEPT", kept)
        sizes = {}

        def note(tensor):
            storage = tensor.untyped_storage()
            sizes[storage.data_ptr()] = storage.nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
            made(recipe).sequence(x)
        return sum(sizes.values())

    recipe, x = Recipe(cell="lstm", width=16), torch.randn(len(SEEDS), 16, 400, C)
    monkeypatch.setattr(models, "SEGMENT", 40 * 4 * 16 * made(recipe).kept_values)
    assert held(0) < 0.3 * held(2**29)


def test_a_sequence_goes_on_from_the_state_of_the_one_before():
    network, x = made(Recipe(cell="gru", layers=2, width=5)), torch.randn(len(SEEDS), 4, 12, C)
    whole, _ = network.sequence(x)
    first, state = network.sequence(x[:, :, :7])
    second, _ = network.sequence(x[:, :, 7:], state=state)
    torch.testing.assert_close(torch.cat([first, second], 2), whole)


@pytest.mark.parametrize("rows", [[1], [1, 2], [0, 1, 2, 1, 0]])
def test_dense_layers_give_a_run_the_same_bits_in_any_company(rows):
    network, x = made(Recipe(cell="gru", width=5, dense=(7, 4), dense_after=(3, 9))), torch.randn(len(SEEDS), 4, 9, C)
    all_of_them = outcome(network, x)
    some = Network("gru", 1, 5, C, K, network.flat[rows], (7, 4), (3, 9))
    for mine, theirs in zip(outcome(some, x[rows])[:2], all_of_them[:2], strict=True):
        assert torch.equal(mine, theirs[rows])


@pytest.mark.parametrize("dense_after", [(), (5,), (5, 4)])
@pytest.mark.parametrize("patch", [9, 3], ids=["a window is a step", "the last of three"])
def test_without_a_recurrent_layer_a_network_is_that_of_its_last_step(dense_after, patch):
    """A training as layers of torch.nn make it, in float64: of linear ones, or an MLP."""
    task = rt.tasks.forecast(rt.series.sines(steps=600))
    recipe = Recipe(layers=0, past=9, patch=patch, dense_after=dense_after, updates=40, lr=0.02)
    runs = rt.train(recipe, task, [3])
    losses, _, weights = trained(recipe, task, 3)
    assert (
        runs.weights.shape[1]
        >= len(weights)
        == sum(map(np.prod, shapes("gru", 0, 24, patch, 1, (), dense_after).values()))
    )
    np.testing.assert_allclose(runs.train_loss[0], losses, rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(runs.weights[0, : len(weights)], weights, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("past", [9, 30])
def test_what_is_solved_is_a_ridge_regression_on_all_training_windows(past):
    """In closed form, in float64; updates change nothing, whatever the learning rate."""
    task = rt.tasks.forecast(rt.series.sines(steps=600))
    recipe = Recipe(layers=0, past=past, patch=past, solved=True, updates=40, lr=3.0)
    runs = rt.train(recipe, task, [3, 4])
    assert np.isfinite(runs.train_loss).all() and (runs.valid_score == runs.valid_score[:, :1]).all()
    for seed, score in zip([3, 4], runs.test_score, strict=True):
        example = task.examples(recipe, seed)
        x = example.inputs(np.arange(len(example.starts)))[:, 0].astype(float)
        size, train, test = x[example.of(0)].std(0), example.of(0), example.scored(2)
        scaled = np.column_stack([x / size, np.ones(len(x))])
        gram = scaled[train].T @ scaled[train] + 1e-4 * len(train) * np.eye(past + 1)
        weights = np.linalg.solve(gram, scaled[train].T @ example.targets[train])
        answers = (scaled[test] @ weights) * example.spread + example.offset[test]
        assert score == pytest.approx(np.sqrt(np.mean((answers - example.truth[test]) ** 2)), rel=1e-4)
    few = rt.train(recipe.but(train_size=40), task, [3])
    assert few.test_score[0] > runs.test_score[0]


@pytest.mark.parametrize("task", [rt.tasks.digits(rows=True), rt.tasks.leaky(5)], ids=lambda task: task.name)
def test_only_values_at_a_windows_end_can_be_solved(task):
    with pytest.raises(BadArgument, match="solved=True is for one value a window"):
        rt.train(Recipe(layers=0, past=9, solved=True), task, [3])
