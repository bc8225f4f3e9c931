"""A width in parameters: as `torch.nn` counts them, found once for each task, and the same everywhere after."""

from itertools import product

import numpy as np
import pytest
import torch

import rnntips as rt
from rnntips.errors import BadArgument
from rnntips.feed import sized
from rnntips.models import initial_weights
from rnntips.plans import typed, work
from rnntips.sides import Side, described, kept, same
from rnntips.store import Store
from rnntips.training import first_states
from rnntips.tuning import Pick, train_sides
from rnntips.weights import Parameters, count

TORCH = {"gru": torch.nn.GRU, "lstm": torch.nn.LSTM, "tanh": torch.nn.RNN}
RECIPE = rt.Recipe(width=rt.parameters(400), past=8, batch_size=4, updates=5)
SINES, LETTERS, RECALL = rt.tasks.forecast(rt.series.sines(steps=400)), rt.tasks.characters(), rt.tasks.recall(4)


def in_torch(cell, layers, width, channels, outputs, dense, after):
    modules, wide = [], channels
    for units in dense:
        modules.append(torch.nn.Linear(wide, units))
        wide = units
    modules.append(TORCH[cell](wide, width, layers))
    for units in (*after, outputs):
        modules.append(torch.nn.Linear(width, units))
        width = units
    return sum(tensor.numel() for module in modules for tensor in module.parameters())


SHAPES = list(product(TORCH, (1, 3), [(1, 1), (11, 8)], [(), (16, 8)], [(), (12,)]))


@pytest.mark.parametrize(("cell", "layers", "sizes", "dense", "after"), SHAPES)
def test_the_nearest_width_by_torchs_count(cell, layers, sizes, dense, after):
    found = rt.parameters(3000).width(cell, layers, *sizes, dense, after)
    off = [abs(in_torch(cell, layers, width, *sizes, dense, after) - 3000) for width in range(1, 80)]
    assert found == 1 + int(np.argmin(off))
    assert count(cell, layers, found, *sizes, dense, after) == in_torch(cell, layers, found, *sizes, dense, after)


@pytest.mark.parametrize("task", [SINES, RECALL, LETTERS], ids=lambda task: task.name)
@pytest.mark.parametrize("change", [{}, {"layers": 2, "cell": "tanh"}, {"dense": (5,), "dense_after": (4,)}], ids=str)
def test_a_run_is_the_run_of_that_width(task, change):
    """The same record, bit for bit, and with the weights that the number stands for."""
    recipe = RECIPE.but(width=rt.parameters(1500), **change)
    runs = rt.train(recipe, task, [3, 5], device="cpu")
    width = runs.recipes[0].width
    plain = rt.train(recipe.but(width=width), task, [3, 5], device="cpu")
    assert runs.recipes == plain.recipes and runs.weights.tobytes() == plain.weights.tobytes()
    example = task.examples(recipe, 3)
    start = initial_weights(runs.recipes, task.name, [3, 5], example.channels, example.outputs)
    assert abs(np.count_nonzero(start[0]) - 1500) <= 150
    assert sized(runs.recipes[0], task) is runs.recipes[0]


def test_layers_are_compared_at_equal_parameters_without_another_change(tmp_path):
    """One field differs; every task has widths of its own; what is printed names them."""
    study = rt.compare(RECIPE, RECIPE.but(layers=2), {"sines": SINES, "recall": RECALL}, range(2), device="cpu")
    assert list(study.baseline.diff(study.variant)) == [study.field] == ["layers"]
    widths = {name: [side.recipes[0].width for side in sides] for name, sides in study.runs.items()}
    assert {"sines": [10, 6], "recall": [6, 4]} == widths
    assert study.label == "layers: 1 → 2, width: 10 → 6 on sines, width: 6 → 4 on recall"


def test_a_stored_run_is_found_by_either_name_of_its_width(tmp_path):
    (runs,) = train_sides([RECIPE], SINES, range(3), "cpu", store=tmp_path)
    width, new = runs.recipes[0].width, []
    for recipe in (RECIPE, RECIPE.but(width=width), RECIPE.but(width=width + 1)):
        train_sides([recipe], SINES, range(3), "cpu", store=tmp_path, done=lambda runs, trained: new.append(trained))
        assert (Store(tmp_path).read(sized(recipe, SINES), SINES, 0, "cpu")) is not None
    assert new == [0, 0, 3]


def test_what_looks_at_recipes_sees_the_width():
    plain = sized(RECIPE, SINES)
    assert work(RECIPE, SINES) == work(plain, SINES)
    np.testing.assert_array_equal(first_states(RECIPE, SINES, [0]), first_states(plain, SINES, [0]))


def test_plans_and_records_say_it_in_words():
    assert {"width": rt.parameters(2000)} == typed({"width": "2000 parameters"}) == {"width": Parameters(2000)}
    for words in ("many parameters", "2000 weights", "2000"):
        with pytest.raises(BadArgument, match='such as "2000 parameters"'):
            typed({"width": words})
    base, side = rt.Recipe(past=8, batch_size=4, updates=5), Side(RECIPE)
    entry = kept(side, described([side], base), rt.train(RECIPE, SINES, [0]), Pick({"lr": 0.01}, 0.5), {})
    assert ("400 parameters", 10) == (entry["width"], entry["units"])
    assert same(entry, side, base, [side]) and not same(entry, Side(RECIPE.but(width=10)), base, [side])


@pytest.mark.parametrize(
    ("change", "words"),
    [({"width": rt.parameters(5)}, r"width=5 parameters: a gru network.*1 channels and 1.*Nearest: 14 \(width 1\)"),
     ({"width": rt.parameters(40), "layers": 4}, "Nearest: 50.*fewer layers"),
     ({"width": rt.parameters(300), "dense": (64, 32)}, r"dense=\(64, 32\).*cannot have about that many")],
    ids=str,
)  # fmt: skip
def test_a_number_that_no_width_gives_is_refused_before_training(change, words):
    with pytest.raises(BadArgument, match=words):
        rt.compare(RECIPE, RECIPE.but(**change), SINES, range(2), allow=("width", "layers", "dense"))


@pytest.mark.parametrize("amount", [0, -3, 2.5, True, "many"])
def test_parameters_are_a_whole_positive_number(amount):
    with pytest.raises(BadArgument, match="parameters="):
        rt.parameters(amount)
