"""Recipes: frozen choices, what differs between two of them, how long and how wide, and what is refused."""

import dataclasses
import inspect
import json
import pickle
import re
from itertools import pairwise, product

import numpy as np
import pytest
import torch
from oracles import KINDS, assert_same

import rnntips as rt
from evidence.plans import work
from evidence.timing import speeds_of
from rnntips.engine.calibration import speeds
from rnntips.errors import BadArgument, RnntipsError, words
from rnntips.jobs.execute import Resources
from rnntips.jobs.store import Store, key
from rnntips.loader import sized
from rnntips.models import initial_weights
from rnntips.recipe import CALLED, FIELDS, _choice, called, count, typed, worded
from rnntips.tuning import train_arms

RECIPE = rt.Recipe()
SINES = rt.tasks.forecast(rt.series.sines(steps=600))
EXAMPLES = {
    "cell": "lstm", "layers": 2, "width": 7, "dense": (6, 5), "dense_after": (4,),
    "past": 8, "patch": 4, "lags": (3, 5), "grow": "8:0.5", "horizon": 3, "features": "differences:4",
    "input_scaling": "none", "target_scaling": "minmax", "target": "change", "split": "shuffled", "train_size": 40,
    "batch_size": 5,
    "order": "time", "head": "softmax+nll", "chunk": 9, "stride": 3, "carry": True, "reset": False,
    "accumulate": True, "test_past": 5, "mask": False, "pooled": False, "solved": True,
    "optimizer": "sgd", "lr": 0.5, "schedule": "warmup:30+cosine",
    "rescue": "restore", "early_stopping": 3, "momentum": 0.9, "nesterov": True, "clip": "value", "clip_norm": 2.0,
    "beta1": 0.5, "beta2": 0.9, "epsilon": 1e-4, "weight_decay": 0.1, "decay_on": "all but recurrent",
    "dropout_at": "between steps, one mask", "dropout_test": "unscaled", "dropout": 0.2,
    "noise": 0.1, "noise_between": 0.3,
    "init": "orthogonal", "forget_bias": 1.0, "frozen": "recurrent", "pretrain": "next step:7:2",
    "workers": 3, "average_every": 5, "average_moments": True, "shards": "unlike", "updates": 17,
    "budget": rt.epochs(3),
}  # fmt: skip
NEEDS = {  # a field → what must be set for it to have a meaning
    "momentum": {"optimizer": "rmsprop"}, "nesterov": {"optimizer": "sgd", "momentum": 0.5}, "clip": {"clip_norm": 1.0},
    "stride": {"chunk": 8}, "carry": {"chunk": 8}, "reset": {"chunk": 8, "carry": True},
    "accumulate": {"chunk": 8, "carry": True},
    "decay_on": {"weight_decay": 0.2}, "solved": {"layers": 0},
    **{name: {"workers": 2} for name in ("average_every", "average_moments", "shards")},
    "dropout_at": {"dropout": 0.5}, "dropout_test": {"dropout": 0.5},
}  # fmt: skip


APART = (
    "frozen",
    "pretrain",
    "solved",
    "workers",
    "average_every",
    "average_moments",
    "shards",
    "reset",
    "accumulate",
    "updates",
    "grow",
    "beta1",
    "beta2",
    "epsilon",
)  # cannot be combined with the other examples


def ready(name):
    """A recipe in which this field may be changed alone."""
    return RECIPE.but(**NEEDS.get(name, {}))


# --- fields


@pytest.mark.parametrize("field", dataclasses.fields(rt.Recipe), ids=lambda field: field.name)
def test_every_field_says_what_it_means_in_the_classs_own_description(field):
    """And has an example here: the tests below speak of all fields, new ones included."""
    doc, said = " ".join(rt.Recipe.__doc__.split()), " ".join(field.metadata["doc"].split())
    assert len(said) > 8 and said.endswith(".") and f" {field.name}: {said} " in doc
    assert field.name in EXAMPLES and EXAMPLES.keys() == FIELDS.keys()


@dataclasses.dataclass(frozen=True, kw_only=True, repr=False)
class Later(rt.Recipe):
    """A recipe of some day that has one more field."""

    warmth: float = _choice(0.0, "What nobody asked for yet.", per_run=True, number={"low": 0})


def test_a_new_field_at_its_default_changes_no_name_of_a_stored_run_and_no_words():
    for given in ({}, {"lr": 0.02, "dense": (3,), "budget": rt.epochs(2)}, {"width": 5, "updates": 300}):
        old, new = rt.Recipe(**given), Later(**given)
        assert repr(new) == repr(old) and new.chosen() == old.chosen()
        assert key(new, SINES, 3, "cpu") == key(old, SINES, 3, "cpu") != key(new.but(warmth=1.0), SINES, 3, "cpu")
    assert repr(RECIPE) == "Recipe()" and repr(new.but(warmth=1.0)) == "Recipe(width=5, warmth=1.0)"


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_value_comes_back_from_a_file(name):
    """A budget and a number of parameters are words there, a tuple is a list."""
    values = [EXAMPLES[name], *{"width": [rt.parameters(2000)], "budget": [rt.seconds(0.5)]}.get(name, [])]
    for value in values:
        assert typed(json.loads(json.dumps({name: worded(value)}))) == {name: value}


@pytest.mark.parametrize(
    ("given", "words"),
    [({"widht": 3}, "Did you mean 'width'"), ({"budget": "five epochs"}, 'such as "5 epochs"'),
     *(({"width": bad}, 'such as "2000 parameters"') for bad in ("many parameters", "2000 weights", "2000"))],
    ids=str,
)  # fmt: skip
def test_what_a_file_cannot_mean_is_refused(given, words):
    with pytest.raises(BadArgument, match=words):
        typed(given)


@pytest.mark.parametrize("name", sorted(EXAMPLES.keys() - {"budget"}))
def test_but_changes_one_field_and_diff_names_it(name):
    """One change is one difference: name → (mine, theirs), and the other way round from the other side."""
    recipe = ready(name)
    other = recipe.but(**{name: EXAMPLES[name]})
    pair = getattr(recipe, name), EXAMPLES[name]
    assert EXAMPLES[name] == getattr(other, name)
    assert {name: pair} == recipe.diff(other)
    assert {name: pair[::-1]} == other.diff(recipe)
    assert ready(name) == recipe  # the original is as it was


def test_what_differs_is_named_and_how_long_is_one_choice():
    """Nothing differs from a copy, or from defaults spelt out; 300 updates against 3 epochs are one difference."""
    for other in (RECIPE, RECIPE.but(), RECIPE.but(lr=RECIPE.lr), rt.Recipe(budget=rt.updates(300))):
        assert {} == RECIPE.diff(other) and RECIPE == other
    assert {"lr": (0.01, 0.1), "width": (24, 8)} == RECIPE.diff(RECIPE.but(lr=0.1).but(width=8))
    assert {"budget": (rt.updates(300), rt.epochs(3))} == RECIPE.diff(RECIPE.but(budget=rt.epochs(3)))


def test_a_recipe_is_frozen_hashable_and_travels():
    """Fields cannot be set; equal recipes are one key; a pickled copy is equal."""
    with pytest.raises(dataclasses.FrozenInstanceError):
        RECIPE.lr = 1.0
    twin = rt.Recipe().but(lr=0.1).but(lr=0.01)
    assert 1 == len({RECIPE: 1, twin: 2}) and 2 == len({RECIPE, RECIPE.but(lr=0.1)})
    whole = rt.Recipe(**{name: value for name, value in EXAMPLES.items() if name not in APART})
    assert whole == pickle.loads(pickle.dumps(whole)) and hash(whole) == hash(pickle.loads(pickle.dumps(whole)))


@pytest.mark.parametrize("name", sorted(EXAMPLES.keys() - {"budget"}))
def test_only_fields_that_are_numbers_of_a_run_share_a_stack(name):
    """Sides that differ in learning rate or scaling train together; other layers, lengths or rules do not."""
    alone = {"cell", "layers", "width", "dense", "dense_after", "past", "patch", "lags", "grow", "features", "head",
             "train_size",
             "batch_size", "optimizer", "nesterov", "clip", "dropout", "dropout_at", "dropout_test", "noise",
             "noise_between", "pretrain", "workers", "average_every", "average_moments", "shards",
             "updates", "chunk", "stride", "carry", "reset", "accumulate", "test_past", "mask", "pooled",
             "solved"}  # fmt: skip
    base = ready(name)
    assert (name not in alone) == (base.shape() == base.but(**{name: EXAMPLES[name]}).shape())


@pytest.mark.parametrize("name", sorted(EXAMPLES))
def test_every_field_has_a_part_in_the_name_of_a_stored_run(name):
    """A run that was stored is read for its own recipe alone."""
    base = ready(name)
    assert key(base, SINES, 0, "cpu") != key(base.but(**{name: EXAMPLES[name]}), SINES, 0, "cpu")


# --- budgets


@pytest.mark.parametrize(
    ("budget", "expected"),
    [(rt.updates(70), 70), (rt.epochs(5), 5 * 1000 // 20), (rt.tokens(64_000), 64_000 // (20 * 32)), (rt.epochs(1), 50),
     (rt.tokens(1), 1)],
    ids=repr,
)  # fmt: skip
def test_a_budget_in_updates(budget, expected):
    """With batches of 20 windows of 32 steps out of 1,000: epochs × windows / batch, tokens / (batch × steps)."""
    recipe = rt.Recipe(budget=budget, batch_size=20, past=32)
    assert expected == recipe.updates_for(1000)
    if budget.of == "epochs":  # which stay epochs when other fields change
        assert [2 * expected, expected / 5] == [recipe.but(batch_size=size).updates_for(1000) for size in (10, 100)]


@pytest.mark.parametrize(
    ("steps", "skip", "fields", "each"),
    [(32, 0, {"chunk": 8}, 4), (32, 0, {"chunk": 8, "stride": 2}, 16), (33, 0, {"chunk": 8}, 5),
     (32, 8, {"chunk": 8}, 3), (32, 9, {"chunk": 8, "stride": 4}, 6), (32, 31, {"chunk": 32}, 1)],
    ids=str,
)  # fmt: skip
def test_a_budget_in_updates_that_read_a_chunk_each(steps, skip, fields, each):
    """A pass over the sequences takes so many updates a batch, and reads every step once as a new one."""
    for budget in (rt.epochs(3), rt.tokens(3 * 1000 * steps)):
        recipe = rt.Recipe(budget=budget, batch_size=20, **fields)
        assert 3 * 50 * each == recipe.updates_for(1000, steps, skip)


def test_the_later_of_updates_and_budget_wins():
    """`but` replaces one way of saying how long by the other."""
    by_epochs, by_updates = rt.Recipe(budget=rt.epochs(4)), rt.Recipe(updates=50)
    assert rt.Recipe(updates=60) == by_epochs.but(updates=60) == by_updates.but(budget=rt.updates(60))
    assert by_epochs == by_updates.but(budget=rt.epochs(4))
    assert rt.Recipe() == by_epochs.but(budget=None) == by_updates.but(updates=None)
    assert 200 == rt.Recipe(updates=200, budget=rt.updates(200)).updates_for(1)


@pytest.mark.parametrize("unit", [rt.updates, rt.epochs, rt.tokens, rt.parameters, rt.seconds])
def test_an_amount_is_a_whole_positive_number_and_of_seconds_any_positive_one(unit):
    """The message has the unit and the value; an unknown unit gets the nearest."""
    wrong = [2.5, 0, -3, "5", True] if unit is not rt.seconds else [float("nan"), float("inf"), 0, -3, "5", True, None]
    for amount in wrong:
        needed = "above 0" if unit is rt.seconds else "whole number of at least 1"
        with pytest.raises(BadArgument, match=rf"{unit.__name__}={amount!r}.*{needed}"):
            unit(amount)
    assert unit(2) == unit(2) and repr(unit(2)) == f"2 {unit.__name__}"
    with pytest.raises(BadArgument, match=r"'epoch'.*'epochs'"):
        rt.Budget(5, "epoch")


# --- seconds

SHAPE = {"cell": "gru", "layers": 1, "width": 24, "optimizer": "adam", "steps": 32, "channels": 1, "outputs": 1}


@pytest.fixture
def calibrated(monkeypatch):
    """An engine whose update takes 1 ms with 10 windows, 2 ms with 20, 6 ms with 100."""
    row = {"machine": "a test", "shape": SHAPE, "seconds": {"10": 0.001, "20": 0.002, "100": 0.006}}
    monkeypatch.setattr("rnntips.engine.calibration.speeds", lambda: [row])


@pytest.mark.parametrize(
    ("batch_size", "amount", "expected"),
    [(10, 0.5, 500), (20, 0.5, 250), (100, 0.5, 83), (15, 0.5, 333), (40, 1, 333), (10, 1e-9, 1), (100, 3, 500)],
)
def test_a_budget_in_seconds_is_a_number_of_updates_by_the_stored_speeds(calibrated, batch_size, amount, expected):
    """Seconds / seconds per update; between two sizes that were timed on the straight line, 3 ms with 40."""
    recipe = rt.Recipe(batch_size=batch_size, budget=rt.seconds(amount), past=32)
    assert expected == recipe.updates_for(1000) == recipe.updates_for(77, 32, channels=1, outputs=1)


@pytest.mark.parametrize(
    ("fields", "size", "words"),
    [({"width": 48}, {}, "No seconds were calibrated for .*width 48.*rt.updates.*width 24"),
     ({"cell": "lstm"}, {}, "calibrated for cell lstm"), ({"past": 16}, {}, "steps 16"),
     ({"dropout": 0.2}, {}, "dropout True"), ({"dense": (8,)}, {}, r"dense \[8\]"),
     ({"optimizer": "sgd"}, {}, "optimizer sgd"),
     *(({}, {name: 32}, f"{name} 32") for name in ("channels", "outputs", "answers")),
     ({"batch_size": 5}, {}, "batch_size=5.*batches of 10 to 100.*rt.updates"),
     ({"batch_size": 101}, {}, "batches of 10 to 100")],
    ids=str,
)  # fmt: skip
def test_seconds_that_were_not_calibrated_are_refused(calibrated, fields, size, words):
    """What changes an update's time is named, and so is what was timed."""
    recipe = rt.Recipe(**{"batch_size": 10, "past": 32, "budget": rt.seconds(1)} | fields)
    with pytest.raises(BadArgument, match=words):
        recipe.updates_for(1000, recipe.past, **size)


def test_what_costs_no_time_asks_for_no_calibration_of_its_own(calibrated):
    """Rates, scales and seeds of any kind; and a run trains for so many updates."""
    free = {"lr": 0.1, "input_scaling": "robust", "weight_decay": 0.1, "init": "orthogonal", "train_size": 100}
    recipe = rt.Recipe(batch_size=10, past=32, budget=rt.seconds(0.02), **free)
    assert 20 == recipe.updates_for(100) == rt.train(recipe, SINES, range(2)).updates


def test_runs_of_another_calibration_are_other_runs(calibrated, monkeypatch):
    recipe = rt.Recipe(batch_size=10, past=32, budget=rt.seconds(0.02))
    before = key(recipe, SINES, 0, "cpu"), key(recipe.but(updates=20), SINES, 0, "cpu")
    monkeypatch.setattr("rnntips.engine.calibration.speeds", lambda: [])
    monkeypatch.setattr("rnntips.jobs.store.speeds", lambda: [])
    assert before[0] != key(recipe, SINES, 0, "cpu") and before[1] == key(recipe.but(updates=20), SINES, 0, "cpu")


def test_larger_batches_take_no_less_time_and_no_more_per_window():
    """In every stored row; five per cent are left to the clock."""
    for row in speeds():
        sizes = sorted(map(int, row["seconds"]))
        taken = np.array([row["seconds"][str(size)] for size in sizes])
        assert row["machine"] and sizes[0] >= 1 and (taken > 0).all()
        each = taken / sizes
        assert (taken[1:] > 0.95 * taken[:-1]).all() and (each[1:] < 1.05 * each[:-1]).all()


def test_the_row_of_a_shape_is_what_its_budgets_ask_for(monkeypatch):
    """Medians of rounds, sizes halfway between included; an even share of the batch makes a straight line."""
    taken = {1: 2.0, 4: 5.0, 16: 17.0}

    def rounds(recipes, task, seeds, device):
        return [taken[recipe.batch_size] * np.array([0.5, 1, 1, 1, 9.0]) for recipe in recipes]

    monkeypatch.setattr("evidence.timing.calibrate", rounds)
    recipe = rt.Recipe(past=8, width=4, budget=rt.seconds(100))
    row = speeds_of(recipe, SINES, [16, 1, 16])
    assert row["seconds"] == {"1": 2.0, "4": 5.0, "16": 17.0} and row["machine"]
    monkeypatch.setattr("rnntips.engine.calibration.speeds", lambda: [row])
    updates = {size: recipe.but(batch_size=size).updates_for(1000) for size in (1, 4, 10, 16)}
    assert updates == {1: 50, 4: 20, 10: round(100 / 11), 16: round(100 / 17)}
    digits = speeds_of(recipe.but(cell="lstm"), rt.tasks.digits(rows=True), [1])["shape"]
    assert (digits["cell"], digits["steps"], digits["channels"], digits["outputs"]) == ("lstm", 8, 8, 10)


# --- a width in parameters

COUNTED = rt.Recipe(width=rt.parameters(400), past=8, batch_size=4, updates=5)
LETTERS, RECALL = rt.tasks.characters(), rt.tasks.recall(4)
INPUTS = rt.tasks.forecast(rt.series.from_array(np.random.default_rng(0).normal(size=(99, 3)), "three", trending=True))


def in_torch(cell, layers, width, channels, outputs, dense, after):
    linear = [*pairwise([channels, *dense]), *pairwise([width, *after, outputs])]
    modules = [torch.nn.Linear(*sizes) for sizes in linear] + [KINDS[cell]([channels, *dense][-1], width, layers)]
    return sum(tensor.numel() for module in modules for tensor in module.parameters())


SIZES = [((1, 1), (), ()), ((11, 8), (16, 8), ()), ((1, 1), (), (12,)), ((11, 8), (16, 8), (12,))]


@pytest.mark.parametrize(("cell", "layers", "more"), [*product(("gru", "lstm", "tanh"), (1, 3), SIZES)])
def test_the_nearest_width_by_torchs_count(cell, layers, more):
    sizes, dense, after = more
    found = rt.parameters(3000).width(cell, layers, *sizes, dense, after)
    counts = [in_torch(cell, layers, width, *sizes, dense, after) for width in (found - 1, found, found + 1)]
    assert np.argmin(np.abs(np.array(counts) - 3000)) == 1
    assert count(cell, layers, found, *sizes, dense, after) == counts[1]


@pytest.mark.parametrize("task", [SINES, RECALL, LETTERS, INPUTS], ids=lambda task: task.name)
@pytest.mark.parametrize("change", [{}, {"layers": 2, "cell": "tanh"}, {"dense": (5,), "dense_after": (4,)}], ids=str)
def test_a_run_is_the_run_of_that_width(task, change):
    """The same record, bit for bit, and with the weights that the number stands for."""
    recipe = COUNTED.but(width=rt.parameters(1500), **change)
    runs = rt.train(recipe, task, [3, 5], device="cpu")
    width = runs.recipes[0].width
    plain = rt.train(recipe.but(width=width), task, [3, 5], device="cpu")
    assert_same(runs, plain)
    example = task.examples(recipe, 3)
    start = initial_weights(runs.recipes, task.name, [3, 5], example.channels, example.outputs)
    assert abs(np.count_nonzero(start[0]) - 1500) <= 150
    assert sized(runs.recipes[0], task) is runs.recipes[0]


def test_layers_are_compared_at_equal_parameters_without_another_change(tmp_path):
    """One field differs; every task has widths of its own; what is printed names them."""
    study = rt.compare(COUNTED, COUNTED.but(layers=2), {"sines": SINES, "recall": RECALL}, range(2), device="cpu")
    assert list(study.baseline.diff(study.variant)) == [study.field] == ["layers"]
    widths = {name: [side.recipes[0].width for side in sides] for name, sides in study.runs.items()}
    assert {"sines": [10, 6], "recall": [6, 4]} == widths
    assert study.label == "layers: 1 → 2, width: 10 → 6 on sines, width: 6 → 4 on recall"


def test_a_stored_run_is_found_by_either_name_of_its_width(tmp_path):
    new, store = [], Store(tmp_path)
    how = Resources.of(store=store, done=lambda runs, trained: new.append(trained))
    width = sized(COUNTED, SINES).width
    assert work(COUNTED, SINES) == work(COUNTED.but(width=width), SINES)
    for recipe in (COUNTED, COUNTED.but(width=width), COUNTED.but(width=width + 1)):
        train_arms([sized(recipe, SINES)], SINES, range(3), how)
        assert store.read(sized(recipe, SINES), SINES, 0, "cpu") is not None
    assert new == [3, 0, 3]


@pytest.mark.parametrize(
    ("change", "words"),
    [({"width": rt.parameters(5)}, r"width=5 parameters: a gru network.*1 channels and 1.*Nearest: 14 \(width 1\)"),
     ({"width": rt.parameters(40), "layers": 4}, "Nearest: 50.*fewer layers"),
     ({"width": rt.parameters(300), "dense": (64, 32)}, r"dense=\(64, 32\).*cannot have about that many")],
    ids=str,
)  # fmt: skip
def test_a_number_that_no_width_gives_is_refused_before_training(change, words):
    with pytest.raises(BadArgument, match=words):
        rt.compare(COUNTED, COUNTED.but(**change), SINES, range(2), allow=("width", "layers", "dense"))


# --- what is refused


@pytest.mark.parametrize("name", ["width", "past", "horizon", "batch_size", "updates", "train_size", "chunk",
                                  "stride", "test_past", "dense", "dense_after"])  # fmt: skip
def test_sizes_are_whole_numbers_of_at_least_1(name):
    """The message has the field, what came and what is needed; a width of dense layers is one of a tuple."""
    more = {"chunk": 8} if name == "stride" else {"batch_size": 1}
    for value in (0, -1, 2.0, "8", True):
        given = (4, value) if name.startswith("dense") else value
        named = f"each of the widths in {name}" if name.startswith("dense") else name
        with pytest.raises(BadArgument, match=re.escape(f"{named}={value!r}") + ".*whole number of at least 1"):
            rt.Recipe(**more | {name: given})
    least = (1,) if name.startswith("dense") else 1
    assert least == getattr(rt.Recipe(**more | {name: least}), name)


def test_layers_may_be_none_at_all():
    assert rt.Recipe(layers=0).layers == 0
    for value in (-1, 1.0, "2", True):
        with pytest.raises(BadArgument, match=re.escape(f"layers={value!r}") + ".*whole number of at least 0"):
            rt.Recipe(layers=value)


@pytest.mark.parametrize(
    ("name", "bad", "good", "words"),
    [
        ("lr", [0, -0.1, float("inf"), float("nan"), "0.1", None], [1e-9, 5.0], "above 0"),
        ("clip_norm", [0, -1.0, float("nan"), "1"], [None, 1e-3, 100.0], "above 0"),
        ("weight_decay", [-1e-3, float("inf"), float("nan"), None], [0, 2.0], "at least 0 and below"),
        ("momentum", [-0.1, 1, 1.5, float("nan"), None], [0, 0.99], "at least 0 and below 1"),
        ("noise", [-0.1, float("inf"), float("nan"), None, True], [0, 0.5, 3], "at least 0 and below"),
        ("noise_between", [-0.1, float("inf"), "0.1"], [0, 0.5, 3], "at least 0 and below"),
        ("dropout", [-0.1, 1, 1.5, float("nan"), None], [0, 0.99], "at least 0 and below 1"),
    ],
)
def test_rates_lie_in_their_ranges(name, bad, good, words):
    """The message has the field, what came and the range; the range's inside is accepted."""
    for value in bad:
        with pytest.raises(BadArgument, match=re.escape(f"{name}={value!r}: ") + f".*{words}"):
            rt.Recipe(optimizer="sgd", **{name: value})
    for value in good:
        assert value == getattr(rt.Recipe(optimizer="sgd", **{name: value}), name)


@pytest.mark.parametrize(
    ("name", "came", "nearest"),
    [("cell", "lsmt", "lstm"), ("cell", "GRU", "gru"), ("input_scaling", "standart", "standard"),
     ("target_scaling", "min-max", "minmax"), ("target", "changes", "change"), ("order", "shuffle", "shuffled"),
     ("optimizer", "nadam", "adam"), ("cell", "LSTM", "lstm"),
     ("optimizer", "SGD", "sgd"), ("clip", "norm", None), ("init", "ortogonal", "orthogonal"),
     *((name, no_text, None) for name in ("cell", "order", "optimizer", "target") for no_text in (["gru"], {}, 3))],
    ids=str,
)  # fmt: skip
def test_an_unknown_name_gets_its_field_the_nearest_and_all_known(name, came, nearest):
    """The message has the field, what came, one suggestion, and the names there are; whatever came."""
    with pytest.raises(BadArgument) as refused:
        rt.Recipe(**{name: came})
    words = str(refused.value)
    assert name in words and repr(came) in words and "Choose one of" in words
    assert nearest is None or f"Did you mean {nearest!r}?" in words


@pytest.mark.parametrize(("came", "nearest"), [("witdh", "width"), ("rate", None), ("batchsize", "batch_size")])
@pytest.mark.parametrize("make", [rt.Recipe, RECIPE.but], ids=["Recipe", "but"])
def test_an_unknown_field_gets_the_nearest(make, came, nearest):
    """Misspelt fields are named with a suggestion, by `but` and by `Recipe` alike."""
    with pytest.raises(BadArgument, match=f"'{came}'" + (f".*Did you mean '{nearest}'" if nearest else "")):
        make(**{came: 3})


HINTS = [(kind, word, hint) for kind, hints in words().items() for word, hint in hints.items()]
OF_TRAINING = {name for call in (rt.train, rt.compare) for name in inspect.signature(call).parameters}


@pytest.mark.parametrize(("kind", "word", "hint"), HINTS, ids=str)
def test_a_word_of_other_libraries_gets_a_hint_that_can_be_written(kind, word, hint):
    """Its own hint, in any case of letters; what the hint says to write makes a recipe, or is given to training."""
    name = next((name for name in FIELDS if name.rpartition("_")[2] == kind), None)
    for came in (word, word.upper()):
        with pytest.raises(BadArgument, match=f"{came!r} is not known. {re.escape(hint)}$"):
            rt.Recipe(**({came: 3} if kind == "field" else {name: came}))
    written = re.findall(r'(\w+)=("[^"]*"|\w+(?:\.\w+)*(?:\(\d+\))?)', hint)
    here = {field: eval(value, {"rt": rt}) for field, value in written if field in FIELDS}
    assert {field for field, _ in written} - here.keys() <= OF_TRAINING
    assert rt.Recipe(**here) and (written or kind != "field" or "eave it out" in hint)


@pytest.mark.parametrize("call", [lambda: typed({"units": 3}), lambda: RECIPE.but(units=3),
    lambda: rt.sweep(RECIPE, SINES, range(2), units=[3]),
    lambda: rt.compare(RECIPE, RECIPE.but(lr=0.1), SINES, range(2), allow=["units"])])  # fmt: skip
def test_such_words_are_understood_wherever_a_field_is_named(call):
    with pytest.raises(BadArgument, match="width=24, the units of each layer"):
        call()


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        *(({"features": bad}, r'"levels".*"differences:K"')
          for bad in ("level", "differences:0", "differences:x", "differences", "differences:1+levels")),
        *(({"init": bad}, re.escape(f"{bad!r}") + '.*"?normal:0.1"?')
          for bad in ("normal:", "normal:wide", "normal:-1", "normal:nan", "normal:inf", "normal:1+uniform")),
        *(({"init": init, "dense": (4,)}, f"init='{init}' and dense=.*the inputs.*Leave one")
          for init in ("pca", "kmeans")),
        *(({"forget_bias": bad}, re.escape(f"forget_bias={bad!r}") + '.*"chrono:50"')
          for bad in ("chrono", "chrono:2", "chrono:x", "chrono:5+chrono:5", "1.0")),
        ({"solved": True}, "solved=True is for linear networks, and layers=1. Set layers=0"),
        *(({"layers": 0, "solved": True} | wrong, f"solved=True and {name}=.* what is solved is linear")
          for name, wrong in (("dense_after", {"dense_after": (3,)}), ("head", {"head": "linear+mae"}),
                              ("workers", {"workers": 2}), ("noise", {"noise": 0.1}),
                              ("early_stopping", {"early_stopping": 3}))),
        *(({"layers": 0, name: EXAMPLES[name]}, f"layers=0 and {name}=.*without a recurrent layer there is no {name}")
          for name in ("dense", "dropout", "noise_between", "chunk", "pretrain")),
        *(({"workers": 2, name: EXAMPLES[name]}, f"workers=2 and {name}=.* cannot be combined")
          for name in ("chunk", "rescue", "dropout", "noise", "noise_between")),
        *(({name: EXAMPLES[name]}, f"{name}=.* needs workers")
          for name in ("average_every", "average_moments", "shards")),
        ({"frozen": "recurrent", "clip": "weights", "clip_norm": 1.0}, "frozen='recurrent' and clip='weights'.*Leave"),
        ({"forget_bias": 1.0, "cell": "tanh"}, 'forget_bias=1.0 and cell=.*only "lstm" and "gru" have such a gate'),
        ({"forget_bias": float("nan")}, "forget_bias=nan"), ({"forget_bias": True}, "forget_bias=True"),
        *(({name: bad}, f"{name}.*a tuple of .*widths") for name in ("dense", "dense_after") for bad in (4, {4}, None)),
        *(({"clip": clip}, rf"clip='{clip}' needs clip_norm.*clip_norm=1") for clip in ("tensor", "value", "weights")),
        ({"updates": 100, "budget": rt.epochs(5)}, "updates=100.*5 epochs.*Give one"),
        ({"updates": 100, "budget": rt.updates(200)}, "updates=100.*200 updates.*disagree.*Give one"),
        ({"budget": 100}, r"budget=100: an amount with its unit.*rt\.updates.*rt\.epochs.*rt\.tokens.*rt\.seconds"),
        ({"budget": "5 epochs"}, r"'5 epochs': an amount with its unit"),
        ({"train_size": 15}, "batch_size=16 is larger than train_size=15"),
        ({"stride": 4}, "stride=4 says how chunks follow.*none: set chunk"), ({"carry": True}, "carry=True.*set chunk"),
        ({"chunk": 4, "stride": 5}, "stride=5 is more than chunk=4.*stride=4 or less"),
        ({"chunk": 4, "carry": 1}, "carry=1: True or False"), ({"chunk": 4, "carry": None}, "carry=None: True or"),
        ({"chunk": 4, "grow": "2:0.5"}, "drop grow or chunk"), ({"order": "scrambled"}, "chunks of a sequence.*set ch"),
        ({"order": "scrambled", "chunk": 4, "stride": 2}, "leave stride out"),
        *(({"nesterov": True} | bad, r'nesterov=True.*optimizer="sgd", momentum=0\.9')
          for bad in ({"optimizer": "rmsprop", "momentum": 0.9}, {"optimizer": "sgd"}, {})),
        ({"optimizer": "sgd", "momentum": 0.9, "nesterov": 1}, "nesterov=1: True or False"),
        ({"optimizer": "adam", "momentum": 0.9}, r'momentum.*"sgd".*"rmsprop".*"adam" has none'),
        ({"optimizer": "sgd", "beta2": 0.9}, r'beta2.*"rmsprop" or "adam" or "adamw" or "adadelta"; "sgd" has none'),
        ({"optimizer": "adadelta", "beta1": 0.0}, "beta1 belongs to"),
        ({"optimizer": "sgd", "epsilon": 1.0}, "epsilon belongs to"),
        ({"decay_on": "all but recurrent"}, "decay_on.*needs weight_decay: set it"),
        ({"dropout_at": "inputs and outputs"}, "dropout_at.*needs dropout"),
        ({"dropout_test": "on"}, "_test.*needs dropout"),
        ({"dropout_test": "on", "dropout": 0.5, "test_past": 4}, "test_past=4 cannot be combined.*Leave one"),
    ],
    ids=str,
)  # fmt: skip
def test_what_has_no_meaning_alone_or_together_is_refused_in_words(fields, words):
    with pytest.raises(BadArgument, match=words):
        rt.Recipe(**fields)


def test_a_change_is_checked_like_a_new_recipe_and_a_bad_one_can_be_caught_as_a_value_error():
    """Callers need not know this package's errors."""
    with pytest.raises(ValueError, match="momentum") as refused:
        rt.Recipe(optimizer="sgd", momentum=0.9).but(optimizer="adam")
    assert isinstance(refused.value, RnntipsError)


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [("batch_size", 1000, "batches of 1,000"), ("batch_size", 1, "batches of 1"), ("layers", 1, "1 layer"),
     ("layers", 3, "3 layers"), ("past", 52, "52 steps"), ("momentum", 0.0, "no momentum"),
     ("momentum", 0.9, "momentum 0.9"), ("input_scaling", "none", "no scaling"), ("input_scaling", "minmax", "minmax"),
     ("carry", False, "state reset"), ("average_moments", True, "averaged moments"), ("clip_norm", None, "no clipping"),
     ("clip_norm", 1.0, "clip at 1"), ("schedule", None, "constant rate"), ("weight_decay", 0.0, "weight decay 0"),
     ("width", rt.parameters(2000), "width 2000 parameters")],
)  # fmt: skip
def test_a_side_of_a_comparison_is_called_in_words(field, value, words):
    assert called(field, value) == words


def test_every_switch_says_what_it_is_called_on_and_off():
    assert all(CALLED[name] for name, default in FIELDS.items() if isinstance(default, bool))
