"""Sharpness against exact Hessians in float64, against its law on a bowl, and against what training does with it."""

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

import rnntips as rt
from rnntips.errors import BadArgument
from rnntips.lessons.learning_rate.sharpness import edge, sharpness, sharpness_along

TINY = rt.Recipe(updates=6, width=3, batch_size=5, past=4, lr=0.03)
SINES = rt.series.sines(600)
DIGITS = rt.tasks.digits(rows=True)
TORCH = {"gru": torch.nn.GRU, "lstm": torch.nn.LSTM, "tanh": torch.nn.RNN}
WINDOWS = 8


def exact(runs, task, row):
    """The Hessian of one run's training loss, (P', P'), from `torch.nn` and `torch.autograd.functional` in float64."""
    recipe = runs.recipes[row]
    example = rt.tasks.as_settings(task).popitem()[1].examples(recipe, int(runs.seeds[row]))
    chosen = example.of(0, WINDOWS)
    inputs, targets = torch.tensor(example.inputs(chosen)).double(), torch.tensor(example.targets[chosen]).double()
    rnn = TORCH[recipe.cell](example.channels, recipe.width, batch_first=True).double()
    H, gates = recipe.width, rnn.weight_ih_l0.shape[0]
    shapes = [(example.channels, gates), (H, gates), (gates,), (gates,), (H, example.outputs), (example.outputs,)]
    sizes = [int(np.prod(shape)) for shape in shapes]

    def loss(flat):
        parts = [part.view(shape) for part, shape in zip(flat.split(sizes), shapes, strict=True)]
        names = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")
        given = {name: part.T if part.dim() == 2 else part for name, part in zip(names, parts, strict=False)}
        states, _ = torch.func.functional_call(rnn, given, (inputs,))
        outputs = states[:, -1] @ parts[4] + parts[5]
        return cross_entropy(outputs, targets) if example.classes else (outputs - targets).square().mean()

    flat = torch.tensor(runs.weights[row, : sum(sizes)]).double()
    return torch.autograd.functional.hessian(loss, flat).numpy()


def top(matrix):
    return np.linalg.eigvalsh(matrix)[-1]


@pytest.mark.parametrize("task", [SINES, DIGITS], ids=["values", "classes"])
@pytest.mark.parametrize("cell", TORCH)
def test_it_is_the_largest_eigenvalue_of_the_exact_hessian(task, cell):
    runs = rt.train(TINY.but(cell=cell, optimizer="sgd"), task, range(3))
    found = sharpness(runs, task, windows=WINDOWS, products=40)
    np.testing.assert_allclose(found, [top(exact(runs, task, row)) for row in range(3)], rtol=1e-5)


def test_a_dozen_products_come_within_a_percent():
    runs = rt.train(TINY.but(optimizer="sgd", width=6), DIGITS, range(3))
    found = sharpness(runs, DIGITS, windows=WINDOWS)
    np.testing.assert_allclose(found, [top(exact(runs, DIGITS, row)) for row in range(3)], rtol=0.01)


def test_with_adam_the_hessian_is_looked_at_in_its_stretched_weights():
    runs = rt.train(TINY, SINES, range(3))
    found = sharpness(runs, SINES, windows=WINDOWS, products=40)
    for row in range(3):
        hessian = exact(runs, SINES, row)
        square = runs.optimizer_state["square"][row, : len(hessian)].astype(float) / (1 - 0.999**6)
        root = np.sqrt(np.sqrt(square) + 1e-8)
        assert found[row] == pytest.approx(top(hessian / np.outer(root, root)), rel=1e-5)


def test_a_saddle_s_steepest_way_down_is_not_taken_for_its_way_up():
    """At the start of training the lowest eigenvalue may be the largest in size."""
    from rnntips.lessons.learning_rate.sharpness import _largest

    values = torch.tensor([[-9.0, -2.0, 0.0, 1.0, 3.0], [-1.0, 0.0, 0.5, 0.7, 8.0]], dtype=torch.float64)
    turn = torch.linalg.qr(torch.randn(2, 5, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64))[0]
    matrices = turn @ torch.diag_embed(values) @ turn.transpose(1, 2)
    found = _largest(lambda v: (matrices @ v[:, :, None])[:, :, 0], values, 5)
    np.testing.assert_allclose(found, [3, 8])


def test_of_a_run_that_diverged_nothing_is_known():
    runs = rt.train(TINY, SINES, range(2))
    runs.weights[0, 0] = np.nan
    found = sharpness(runs, SINES, windows=WINDOWS)
    assert np.isnan(found[0])
    np.testing.assert_allclose(found[1:], sharpness(runs.only([1]), SINES, windows=WINDOWS), rtol=1e-8)


def test_a_run_does_not_depend_on_its_company():
    runs = rt.train(TINY, SINES, range(4))
    alone = sharpness(runs.only([2]), SINES, windows=WINDOWS)
    np.testing.assert_allclose(alone, sharpness(runs, SINES, windows=WINDOWS)[[2]], rtol=1e-8)


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_a_training_in_pieces_is_the_undivided_one(optimizer):
    """A warm-up too: its updates are counted through."""
    recipe = TINY.but(optimizer=optimizer, schedule="warmup:5", updates=9)
    other = recipe.but(schedule=None, lr=0.1)
    found = sharpness_along([recipe, other], SINES, range(3), [2, 5, 9], windows=WINDOWS)
    for one, rows in found.items():
        whole = rt.train(one, SINES, range(3))
        np.testing.assert_allclose(rows[:, -1], sharpness(whole, SINES, windows=WINDOWS), rtol=1e-8)
    assert list(found) == [recipe, other] and found[other].shape == (3, 3)


@pytest.mark.parametrize(
    "recipe",
    [TINY.but(optimizer="sgd"), TINY.but(optimizer="sgd", momentum=0.8), TINY],
    ids=["sgd", "momentum", "adam"],
)
def test_beyond_the_edge_steps_on_a_bowl_grow(recipe):
    """By the update rules themselves: on h w² / 2 in one weight, Adam's square held at 1."""
    from rnntips.optimizers import RULES, numbers_of

    for factor, grows in ((0.95, False), (1.05, True)):
        rule, weight = RULES[recipe.rule], torch.ones(1, 1, dtype=torch.float64)
        state = {name: torch.zeros_like(weight) for name in rule.states}
        numbers = numbers_of([recipe])._replace(lr=torch.full((1, 1), 0.1).double())
        bend = factor * edge(recipe) / 0.1
        for _ in range(2000):
            if "square" in state:
                state["square"].fill_(0.999**-1 * (1 - 0.001 * (bend * weight.item()) ** 2))
                count = 10**9  # all of it long ago, so that nothing is corrected
            else:
                count = 1
            weight = weight + rule.step(state, bend * weight, numbers, count)
            if abs(weight.item()) > 1e3 or abs(weight.item()) < 1e-3:
                break
        assert (abs(weight.item()) > 1) == grows


@pytest.mark.parametrize(
    ("recipe", "task", "words"),
    [(TINY.but(optimizer="rmsprop"), SINES, "RMSprop"), (TINY, rt.tasks.leaky(3), "every step")],
)
def test_what_it_cannot_tell_is_refused_in_words(recipe, task, words):
    with pytest.raises(BadArgument, match=words):
        sharpness(rt.train(recipe, task, [0]), task)


def test_other_bad_questions_are_refused_in_words():
    runs = rt.train(TINY, SINES, [0])
    with pytest.raises(BadArgument, match="2 came"):
        sharpness(runs, {"a": SINES, "b": SINES})
    with pytest.raises(BadArgument, match="windows=0"):
        sharpness(runs, SINES, windows=0)
    with pytest.raises(BadArgument, match="rescue looks back"):
        sharpness_along([TINY.but(rescue="lower")], SINES, [0], [3])
    with pytest.raises(BadArgument, match="each number of updates"):
        sharpness_along([TINY], SINES, [0], [3, 3])
    with pytest.raises(BadArgument, match="edge"):
        edge(TINY.but(optimizer="rmsprop"))
