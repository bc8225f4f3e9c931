"""The gradient of the last answer by lag, and of all by layer, against `torch.nn` and their laws."""

import numpy as np
import pytest
import torch

import rnntips as rt
from rnntips.doctor.gradients import answer_by_lag, gradient_by_lag, gradient_by_layer
from rnntips.errors import BadArgument
from rnntips.models import Network

SHORT = rt.Recipe(updates=5, width=6, batch_size=5, past=12)
LEAKY = rt.tasks.leaky(5)
TASKS = (LEAKY, rt.tasks.recall_stream(3), rt.tasks.characters(), rt.tasks.recall(4), rt.series.sines(600))
TORCH = {"gru": torch.nn.GRU, "lstm": torch.nn.LSTM, "tanh": torch.nn.RNN}


def with_torch(runs, task, row, windows):
    """Norms by lag with respect to states and inputs, each (T,), from `torch.nn` in float64, window by window."""
    recipe, seed = runs.recipes[row], int(runs.seeds[row])
    example = rt.tasks.as_settings(task).popitem()[1].examples(recipe, seed)
    rnn = TORCH[recipe.cell](example.channels, recipe.width, recipe.layers, batch_first=True).double()
    weights = torch.tensor(runs.weights[[row]])
    network = Network(recipe.cell, recipe.layers, recipe.width, example.channels, example.outputs, weights)
    names = [f"{kind}_l{k}" for k in range(recipe.layers) for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]
    with torch.no_grad():
        for name, mine in zip(names, network.parameters.values(), strict=False):
            getattr(rnn, name).copy_(mine[0].T if mine.dim() == 3 else mine[0])
    weight, bias = (network.parameters[f"readout_{part}"][0].detach().double() for part in ("weight", "bias"))
    norms = []
    for window in example.of(1, windows):
        chosen = np.array([window])
        if example.loss_at == "every":
            target = torch.tensor(example.answers(chosen)[-1])
        else:
            target = torch.tensor(example.targets[window]).double()
        inputs = torch.tensor(example.inputs(chosen)).double().requires_grad_()
        state, held = None, []
        for step in inputs.unbind(1):
            output, state = rnn(step[:, None], state)
            held.append(state if isinstance(state, tuple) else (state,))
        held[-1] = (output,)
        answer = output[0, 0] @ weight + bias
        if example.head == "softmax+nll":
            loss = torch.nn.functional.cross_entropy(answer, target)
        else:
            loss = (answer - target).square().mean()
        by_input = torch.autograd.grad(loss, inputs, retain_graph=True)[0][0].norm(dim=1)
        by_state = [sum(g.square().sum() for g in torch.autograd.grad(loss, parts, retain_graph=True)).sqrt().item()
                    for parts in held]  # fmt: skip
        norms.append([by_state[::-1], by_input.flip(0).tolist()])
    return np.mean(norms, axis=0)


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
@pytest.mark.parametrize("change", [{}, {"cell": "lstm", "layers": 2}, {"cell": "tanh", "layers": 2}], ids=str)
def test_whole_training_has_the_gradients_of_torch(task, change):
    runs = rt.train(SHORT.but(**change), task, [1, 4])
    steps = 6 if task.name == "recall 4" else 12
    for row in range(2):
        for of, expected in zip(("states", "inputs"), with_torch(runs, task, row, 7), strict=True):
            found = gradient_by_lag(runs, task, range(steps), of=of, windows=7)
            assert found.shape == (2, steps)
            np.testing.assert_allclose(found[row], expected, rtol=2e-3, atol=1e-7)


@pytest.mark.parametrize("of", ["states", "inputs"])
@pytest.mark.parametrize("cell", TORCH)
def test_truncated_training_sees_exactly_nothing_beyond_its_chunk(cell, of):
    """Within the chunk it sees what whole training would, if the state was handed on; else from another state."""
    whole = rt.train(SHORT.but(cell=cell), LEAKY, range(3))
    full = gradient_by_lag(whole, LEAKY, range(12), of=of)
    assert (full > 0).all()
    for carry in (False, True):
        runs = rt.train(SHORT.but(cell=cell, chunk=5, stride=2, carry=carry), LEAKY, range(3))
        found = gradient_by_lag(runs, LEAKY, range(12), of=of, weights=whole.weights)
        assert (found[:, :5] > 0).all() and (found[:, 5:] == 0).all()
        assert carry == np.allclose(found[:, :5], full[:, :5], rtol=1e-4)


def test_lags_come_as_they_are_asked_for_and_a_run_does_not_depend_on_its_company():
    runs = rt.train(SHORT, LEAKY, range(5))
    found = gradient_by_lag(runs, LEAKY, range(12))
    np.testing.assert_array_equal(gradient_by_lag(runs, LEAKY, [7, 0, 3]), found[:, [7, 0, 3]])
    np.testing.assert_allclose(gradient_by_lag(runs.only([2]), LEAKY, range(12))[0], found[2], rtol=1e-5)


@pytest.mark.parametrize("cell", TORCH)
def test_without_compiled_kernels_the_gradients_are_the_same(cell, monkeypatch):
    runs = rt.train(SHORT.but(cell=cell, layers=2), LEAKY, range(2))
    found = gradient_by_lag(runs, LEAKY, range(12))
    monkeypatch.setattr(rt.kernels, "_fast", lambda *values: None)
    np.testing.assert_allclose(gradient_by_lag(runs, LEAKY, range(12)), found, rtol=1e-3)


def leaky_rule(runs, tau=5):
    """Weights that are the task's own rule, in one ReLU unit far above zero."""
    fade = np.exp(-1 / tau)
    rule = {"input_weight_0": np.sqrt(1 - fade**2), "recurrent_weight_0": fade, "input_bias_0": 50.0,
            "recurrent_bias_0": 0.0, "readout_weight": 1.0, "readout_bias": 0.0}  # fmt: skip
    weights = np.zeros_like(runs.weights)
    weights[0, : len(rule)] = list(rule.values())
    return weights, fade


def test_a_linear_sum_fades_as_its_rule_says():
    """Each lag counts exp(−1/τ) of the last."""
    runs = rt.train(rt.Recipe(cell="relu", width=1, past=12, updates=1), LEAKY, [0])
    weights, fade = leaky_rule(runs)
    for of in ("states", "inputs"):
        found = gradient_by_lag(runs, LEAKY, range(12), of=of, weights=weights)[0]
        np.testing.assert_allclose(found / found[0], fade ** np.arange(12), rtol=1e-4)


def test_the_answer_of_a_linear_sum_owes_each_input_what_its_rule_says():
    """The change is the inputs' own, times √(1 − a²)·aᵏ for lag k, however short the gradients were in training."""
    runs = rt.train(rt.Recipe(cell="relu", width=1, past=12, updates=1, chunk=3, carry=True), LEAKY, [0])
    weights, fade = leaky_rule(runs)
    example = LEAKY.examples(runs.recipes[0], 0)
    inputs = example.inputs(example.of(1, 40))[:, ::-1, 0]
    swapped = np.sqrt(np.mean((np.roll(inputs, 1, axis=0) - inputs) ** 2, axis=0))
    found = answer_by_lag(runs, LEAKY, range(12), windows=40, weights=weights)[0]
    np.testing.assert_allclose(found, np.sqrt(1 - fade**2) * fade ** np.arange(12) * swapped, rtol=1e-3)


def test_an_answer_about_one_step_changes_with_that_step_alone():
    """A network that has learned to say what came three steps ago; probabilities change by √½ if half are swapped."""
    task = rt.tasks.recall_stream(3)
    runs = rt.train(rt.Recipe(width=12, past=12, updates=600, lr=0.02), task, [0])
    found = answer_by_lag(runs, task, range(12))[0]
    assert found[3] == pytest.approx(np.sqrt(0.5), abs=0.1) and np.delete(found, 3).max() < 0.1
    np.testing.assert_array_equal(answer_by_lag(runs, task, [7, 3])[0], found[[7, 3]])


@pytest.mark.parametrize(
    ("lags", "more", "words"),
    [([12], {}, "lag=12: windows have 12 steps.*largest lag is 11"), ([-1], {}, "lag=-1"), ([], {}, "lags is empty"),
     (3, {}, "lags=3: several"), ([0], {"of": "state"}, "Did you mean 'states'"), ([0], {"windows": 0}, "windows=0")],
    ids=str,
)  # fmt: skip
def test_bad_questions_are_refused_in_words(lags, more, words):
    runs = rt.train(SHORT, LEAKY, [0])
    with pytest.raises(BadArgument, match=words):
        gradient_by_lag(runs, LEAKY, lags, **more)


def test_an_answer_needs_another_window_to_take_inputs_from():
    runs = rt.train(SHORT, LEAKY, [0])
    with pytest.raises(BadArgument, match="windows=1: a whole number of at least 2"):
        answer_by_lag(runs, LEAKY, [0], windows=1)
    with pytest.raises(BadArgument, match="largest lag is 11"):
        answer_by_lag(runs, LEAKY, [12])


def test_several_settings_are_refused():
    runs = rt.train(SHORT, LEAKY, [0])
    with pytest.raises(BadArgument, match="in one setting, and 2 came"):
        gradient_by_lag(runs, {"a": LEAKY, "b": LEAKY}, [0])


# --- layer by layer

DEEP = [{"layers": 3}, {"cell": "lstm", "layers": 2}, {"cell": "tanh", "dense": (7, 5), "dense_after": (4,)}]


def by_layer_in_torch(runs, task, row, windows):
    """The same from modules of `torch.nn` in float64: layer → norm of the gradient over the norm of the weights."""
    recipe, seed = runs.recipes[row], int(runs.seeds[row])
    example = rt.tasks.as_settings(task).popitem()[1].examples(recipe, seed)
    weights = torch.tensor(runs.weights[[row]])
    sizes = recipe.layers, recipe.width, example.channels, example.outputs
    flat = iter(Network(recipe.cell, *sizes, weights, recipe.dense, recipe.dense_after).parameters.values())
    modules, wide = {}, example.channels
    for name, units in [(f"dense {j}", units) for j, units in enumerate(recipe.dense)]:
        modules[name] = torch.nn.Linear(wide, units).double()
        wide = units
    for j in range(recipe.layers):
        modules[f"recurrent {j}"] = TORCH[recipe.cell](wide, recipe.width, batch_first=True).double()
        wide = recipe.width
    for j, units in enumerate(recipe.dense_after):
        modules[f"dense after {j}"] = torch.nn.Linear(wide, units).double()
        wide = units
    modules["readout"] = torch.nn.Linear(wide, example.outputs).double()
    for module in modules.values():
        mine = dict(module.named_parameters())
        order = list(mine) if "weight" in mine else ["weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0"]
        for name in order:
            with torch.no_grad():
                value = next(flat)[0]
                mine[name].copy_(value.T if value.dim() == 2 else value)
    found = {name: 0.0 for name in modules}
    for window in example.of(1, windows):
        hidden = torch.tensor(example.inputs(np.array([window]))).double()
        for name, module in modules.items():
            if name == "readout" and example.loss_at == "last":
                hidden = hidden[:, -1:]
            hidden = module(hidden)[0] if "recurrent" in name else module(hidden)
            hidden = torch.relu(hidden) if "dense" in name else hidden
        answers = hidden[0, example.skip :] if example.loss_at == "every" else hidden[0]
        target = torch.tensor(example.answers(np.array([window])) if example.classes or example.loss_at == "every"
                              else example.targets[[window]]).double()  # fmt: skip
        if example.head == "softmax+nll":
            loss = torch.nn.functional.cross_entropy(answers, target)
        else:
            loss = (answers - target).square().mean()
        for module in modules.values():
            module.zero_grad()
        loss.backward()
        for name, module in modules.items():
            found[name] += torch.cat([p.grad.flatten() for p in module.parameters()]).norm().item() / windows
    return {name: value / torch.cat([p.detach().flatten() for p in modules[name].parameters()]).norm().item()
            for name, value in found.items()}  # fmt: skip


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
@pytest.mark.parametrize("change", DEEP, ids=str)
def test_the_pull_at_each_layer_is_that_of_torch(task, change):
    runs = rt.train(SHORT.but(**change), task, [1, 4])
    found = gradient_by_layer(runs, task, windows=5)
    for row in range(2):
        expected = by_layer_in_torch(runs, task, row, 5)
        assert list(found) == list(expected)
        np.testing.assert_allclose([found[name][row] for name in found], list(expected.values()), rtol=2e-3)


def test_a_layer_that_nothing_leads_to_feels_nothing():
    """Without weights into the second layer the first one has no part in the answer."""
    runs = rt.train(SHORT.but(layers=2), LEAKY, range(3))
    weights = runs.weights.copy()
    network = Network("gru", 2, 6, 1, 1, torch.tensor(weights))
    weights[:, network.slices["input_weight_1"]] = 0
    found = gradient_by_layer(runs, LEAKY, weights=weights)
    assert (found["recurrent 0"] == 0).all() and (found["recurrent 1"] > 0).all()
    with pytest.raises(BadArgument, match="one setting, and 2 came"):
        gradient_by_layer(runs, {"a": LEAKY, "b": LEAKY})
