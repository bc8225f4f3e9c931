"""Recipes: frozen choices, what differs between two of them, budgets, and what is refused at construction."""

import dataclasses
import pickle
import re

import pytest

import rnntips as rt
from rnntips.errors import BadArgument, RnntipsError
from rnntips.store import key

RECIPE = rt.Recipe()
EXAMPLES = {
    "cell": "lstm", "layers": 2, "width": 7, "dense": (6, 5), "dense_after": (4,),
    "past": 9, "grow": "8:0.5", "horizon": 3, "features": "differences:4",
    "input_scaling": "none", "target_scaling": "minmax", "target": "change", "train_size": 40, "batch_size": 5,
    "order": "time", "head": "softmax+nll", "chunk": 9, "stride": 3, "carry": True, "test_past": 5,
    "optimizer": "sgd", "lr": 0.5, "schedule": "warmup:30+cosine",
    "rescue": "restore", "momentum": 0.9, "nesterov": True, "clip": "value", "clip_norm": 2.0,
    "weight_decay": 0.1, "dropout": 0.2, "noise": 0.1, "noise_between": 0.3,
    "init": "orthogonal", "updates": 17, "budget": rt.epochs(3),
}  # fmt: skip


# --- values


def test_every_field_has_an_example_here():
    """The tests below speak of all fields, new ones included."""
    assert EXAMPLES.keys() == {field.name for field in dataclasses.fields(rt.Recipe)}


@pytest.mark.parametrize("name", sorted(EXAMPLES.keys() - {"momentum", "nesterov", "budget"}))
def test_but_changes_one_field_and_diff_names_it(name):
    """One change is one difference: name → (mine, theirs), and the other way round from the other side."""
    needed = {"clip_norm": 1.0}  # else `clip` has nothing to say, nor `stride` and `carry` without chunks
    needed |= {"chunk": 8} if name != "grow" else {}
    recipe = RECIPE.but(**needed)
    other = recipe.but(**{name: EXAMPLES[name]})
    pair = getattr(recipe, name), EXAMPLES[name]
    assert EXAMPLES[name] == getattr(other, name)
    assert {name: pair} == recipe.diff(other)
    assert {name: pair[::-1]} == other.diff(recipe)
    assert rt.Recipe(**needed) == recipe  # the original is as it was


def test_how_long_is_one_choice():
    """300 updates against 3 epochs is one difference, though two fields can say how long."""
    (pair,) = RECIPE.diff(RECIPE.but(budget=rt.epochs(3))).items()
    assert ("budget", rt.epochs(3)) == (pair[0], pair[1][1])


def test_no_change_is_no_difference():
    """A recipe differs in nothing from itself, from a copy, or from one that spells its defaults out."""
    for other in (RECIPE, RECIPE.but(), RECIPE.but(lr=RECIPE.lr), rt.Recipe(budget=rt.updates(300))):
        assert {} == RECIPE.diff(other) and RECIPE == other


def test_two_changes_are_two_differences():
    """`diff` names every field that differs, in any order."""
    assert {"lr": (0.01, 0.1), "width": (24, 8)} == RECIPE.diff(RECIPE.but(lr=0.1).but(width=8))


def test_a_recipe_is_frozen_hashable_and_travels():
    """Fields cannot be set; equal recipes are one key; a pickled copy is equal."""
    with pytest.raises(dataclasses.FrozenInstanceError):
        RECIPE.lr = 1.0
    twin = rt.Recipe().but(lr=0.1).but(lr=0.01)
    assert 1 == len({RECIPE: 1, twin: 2}) and 2 == len({RECIPE, RECIPE.but(lr=0.1)})
    whole = rt.Recipe(**{name: value for name, value in EXAMPLES.items() if name not in ("updates", "grow")})
    assert whole == pickle.loads(pickle.dumps(whole)) and hash(whole) == hash(pickle.loads(pickle.dumps(whole)))


@pytest.mark.parametrize("name", sorted(EXAMPLES.keys() - {"budget"}))
def test_only_fields_that_are_numbers_of_a_run_share_a_stack(name):
    """Sides that differ in learning rate or scaling train together; other layers, lengths or rules do not."""
    alone = {"cell", "layers", "width", "dense", "dense_after", "past", "grow", "features", "head", "train_size",
             "batch_size", "optimizer", "nesterov", "clip", "dropout", "noise", "noise_between", "updates", "chunk",
             "stride", "carry", "test_past"}  # fmt: skip
    base = RECIPE.but(optimizer="sgd" if name == "nesterov" else "rmsprop", momentum=0.5, clip_norm=1.0)
    base = base if name.startswith(("noise", "grow")) else base.but(chunk=8)
    assert (name not in alone) == (base.shape() == base.but(**{name: EXAMPLES[name]}).shape())


@pytest.mark.parametrize("name", sorted(EXAMPLES.keys() - {"nesterov"}))
def test_every_field_has_a_part_in_the_name_of_a_stored_run(name):
    """A run that was stored is read for its own recipe alone."""
    task = rt.tasks.forecast(rt.series.sines(steps=400))
    base = RECIPE.but(optimizer="rmsprop", clip_norm=1.0, chunk=8 if name in ("stride", "carry") else None)
    assert key(base, task, 0, "cpu") != key(base.but(**{name: EXAMPLES[name]}), task, 0, "cpu")


# --- budgets


@pytest.mark.parametrize(
    ("budget", "expected"),
    [(rt.updates(70), 70), (rt.epochs(5), 5 * 1000 // 20), (rt.tokens(64_000), 64_000 // (20 * 32)), (rt.epochs(1), 50),
     (rt.tokens(1), 1)],
    ids=repr,
)  # fmt: skip
def test_a_budget_in_updates(budget, expected):
    """With batches of 20 windows of 32 steps out of 1,000: epochs × windows / batch, tokens / (batch × steps)."""
    assert expected == rt.Recipe(budget=budget, batch_size=20, past=32).updates_for(1000)


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


def test_an_epoch_is_longer_with_smaller_batches():
    """The budget stays in its own unit when other fields change."""
    recipe = rt.Recipe(budget=rt.epochs(4), batch_size=20)
    assert [200, 400, 40] == [recipe.but(batch_size=size).updates_for(1000) for size in (20, 10, 100)]


def test_the_later_of_updates_and_budget_wins():
    """`but` replaces one way of saying how long by the other."""
    by_epochs, by_updates = rt.Recipe(budget=rt.epochs(4)), rt.Recipe(updates=50)
    assert rt.Recipe(updates=60) == by_epochs.but(updates=60) == by_updates.but(budget=rt.updates(60))
    assert by_epochs == by_updates.but(budget=rt.epochs(4))
    assert rt.Recipe() == by_epochs.but(budget=None) == by_updates.but(updates=None)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"updates": 100, "budget": rt.epochs(5)}, "updates=100.*5 epochs.*Give one"),
        ({"updates": 100, "budget": rt.tokens(5)}, "updates=100.*5 tokens.*Give one"),
        ({"updates": 100, "budget": rt.updates(200)}, "updates=100.*200 updates.*disagree.*Give one"),
        ({"budget": 100}, r"budget=100 has no unit.*rt\.updates.*rt\.epochs.*rt\.tokens"),
        ({"budget": "5 epochs"}, r"'5 epochs' has no unit"),
    ],
)
def test_budgets_that_conflict_or_have_no_unit_are_refused(fields, words):
    """The message has both amounts, or the ways to write one."""
    with pytest.raises(BadArgument, match=words):
        rt.Recipe(**fields)
    assert 200 == rt.Recipe(updates=200, budget=rt.updates(200)).updates_for(1)


@pytest.mark.parametrize("unit", [rt.updates, rt.epochs, rt.tokens])
@pytest.mark.parametrize("amount", [0, -3, 2.5, "5", True])
def test_a_budget_is_a_whole_positive_number(unit, amount):
    """The message has the unit and the value."""
    with pytest.raises(BadArgument, match=rf"{unit.__name__}.*{amount!r}.*whole number of at least 1"):
        unit(amount)


def test_a_budget_in_an_unknown_unit_is_refused():
    """Anything but updates, epochs and tokens gets the nearest of them."""
    with pytest.raises(BadArgument, match=r"'epoch'.*'epochs'"):
        rt.Budget(5, "epoch")


# --- what is refused


@pytest.mark.parametrize("name", ["layers", "width", "past", "horizon", "batch_size", "updates"])
@pytest.mark.parametrize("value", [0, -1, 2.0, "8", True])
def test_sizes_are_whole_numbers_of_at_least_1(name, value):
    """The message has the field, what came and what is needed."""
    with pytest.raises(BadArgument, match=re.escape(f"{name}={value!r}") + ".*whole number of at least 1"):
        rt.Recipe(**{name: value})
    assert 1 == getattr(rt.Recipe(**{name: 1}), name)


@pytest.mark.parametrize(
    ("name", "bad", "good", "words"),
    [
        ("lr", [0, -0.1, float("inf"), float("nan"), "0.1", None], [1e-9, 5.0], "above 0"),
        ("clip_norm", [0, -1.0, float("nan"), "1"], [None, 1e-3, 100.0], "above 0"),
        ("weight_decay", [-1e-3, float("inf"), float("nan"), None], [0, 2.0], "0 or more"),
        ("momentum", [-0.1, 1, 1.5, float("nan"), None], [0, 0.99], "0 or more and below 1"),
        ("noise", [-0.1, float("inf"), float("nan"), None, True], [0, 0.5, 3], "0 or more"),
        ("noise_between", [-0.1, float("inf"), "0.1"], [0, 0.5, 3], "0 or more"),
        ("dropout", [-0.1, 1, 1.5, float("nan"), None], [0, 0.99], "0 or more and below 1"),
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
     ("optimizer", "adamw", "adam"), ("clip", "norm", None), ("init", "ortogonal", "orthogonal")],
)  # fmt: skip
def test_an_unknown_name_gets_its_field_the_nearest_and_all_known(name, came, nearest):
    """The message has the field, what came, one suggestion, and the names there are."""
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


@pytest.mark.parametrize("features", ["level", "differences:0", "differences:x", "differences", 3])
def test_features_that_cannot_be_read_are_refused(features):
    """Both ways to write them are shown."""
    with pytest.raises(BadArgument, match=r'"levels".*"differences:K"'):
        rt.Recipe(features=features)


@pytest.mark.parametrize("init", ["normal:", "normal:wide", "normal:-1", "normal:nan", "normal:inf", 5])
def test_an_initialiser_that_cannot_draw_is_refused_at_construction(init):
    """A deviation must be a number of at least 0, and the message shows one."""
    with pytest.raises(BadArgument, match=re.escape(f"{init!r}") + '.*"?normal:0.1"?'):
        rt.Recipe(init=init)


@pytest.mark.parametrize("name", ["cell", "order", "optimizer", "target"])
@pytest.mark.parametrize("value", [["gru"], {}, 3], ids=repr)
def test_a_name_that_is_no_text_is_refused_like_any_other(name, value):
    """Whatever is given where a name belongs ends in the package's own error."""
    with pytest.raises(BadArgument, match=name):
        rt.Recipe(**{name: value})


@pytest.mark.parametrize("size", [0, -1, 2.0, "8", True])
def test_a_part_of_the_training_windows_is_a_whole_number_of_batches_size_or_more(size):
    """None are all; fewer than a batch are none."""
    with pytest.raises(BadArgument, match=re.escape(f"train_size={size!r}") + ".*whole number of at least 1"):
        rt.Recipe(train_size=size)
    with pytest.raises(BadArgument, match="batch_size=16 is larger than train_size=15"):
        rt.Recipe(train_size=15)
    assert 16 == rt.Recipe(train_size=16).train_size


@pytest.mark.parametrize("name", ["dense", "dense_after"])
@pytest.mark.parametrize("widths", [4, [4], (4, 0), (2.0,), ("4",), None], ids=repr)
def test_dense_layers_are_a_tuple_of_widths(name, widths):
    """One width is a tuple of one."""
    with pytest.raises(BadArgument, match=f"{name}.*(a tuple of widths|whole number of at least 1)"):
        rt.Recipe(**{name: widths})


@pytest.mark.parametrize("clip", ["tensor", "value", "weights"])
def test_clipping_without_a_limit_is_refused(clip):
    """It would do nothing, and a comparison of it would find no difference."""
    with pytest.raises(BadArgument, match=rf'"{clip}" needs a limit.*clip_norm'):
        rt.Recipe(clip=clip)


@pytest.mark.parametrize(
    ("fields", "words"),
    [({"stride": 4}, "stride=4 says how chunks follow.*none: set chunk"), ({"carry": True}, "carry=True.*set chunk"),
     ({"chunk": 4, "stride": 5}, "stride=5 is more than chunk=4.*stride=4 or less"), ({"chunk": 0}, "chunk=0"),
     ({"chunk": 2.5}, "chunk=2.5: a whole"), ({"chunk": True}, "chunk=True"), ({"chunk": 4, "stride": 0}, "stride=0"),
     ({"chunk": 4, "carry": 1}, "carry=1: True or False"), ({"chunk": 4, "carry": None}, "carry=None: True or False")],
    ids=str,
)  # fmt: skip
def test_chunks_that_cannot_be_are_refused(fields, words):
    with pytest.raises(BadArgument, match=words):
        rt.Recipe(**fields)


@pytest.mark.parametrize("wrong", [{"optimizer": "rmsprop", "momentum": 0.9}, {"optimizer": "sgd"}, {}], ids=str)
def test_nesterov_is_a_momentum_of_sgd(wrong):
    """Any other optimizer, or no momentum, is refused with an example; and so is what is neither yes nor no."""
    with pytest.raises(BadArgument, match=r'nesterov=True.*optimizer="sgd", momentum=0\.9'):
        rt.Recipe(nesterov=True, **wrong)
    with pytest.raises(BadArgument, match=r"nesterov=1: True or False"):
        rt.Recipe(optimizer="sgd", momentum=0.9, nesterov=1)
    heavy = rt.Recipe(optimizer="sgd", momentum=0.9)
    assert {"nesterov": (False, True)} == heavy.diff(heavy.but(nesterov=True))


def test_momentum_and_adam_do_not_go_together():
    """Adam has a momentum of its own; the message says which optimizers take one."""
    with pytest.raises(BadArgument, match=r'momentum.*"sgd".*"rmsprop".*Adam'):
        rt.Recipe(optimizer="adam", momentum=0.9)
    with pytest.raises(BadArgument, match="momentum"):
        rt.Recipe(optimizer="sgd", momentum=0.9).but(optimizer="adam")
    assert 0.9 == rt.Recipe(optimizer="rmsprop", momentum=0.9).momentum


def test_a_bad_recipe_can_be_caught_as_a_value_error():
    """Callers need not know this package's errors."""
    with pytest.raises(ValueError) as refused:
        rt.Recipe(lr=-1)
    assert isinstance(refused.value, RnntipsError)
