"""Whatever is given to a public function, it works or raises an error of this package: nothing else, and no hang."""

import datetime
import decimal
import fractions
import tempfile
import threading
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import rnntips as rt
from rnntips.errors import RnntipsError
from rnntips.recipe import FIELDS


class Hostile:
    """It raises whatever is asked of it, but for its hash."""

    def __eq__(self, _):
        raise RuntimeError("eq")

    def __repr__(self):
        raise RuntimeError("repr")

    __hash__ = object.__hash__


class Index:
    def __index__(self):
        return 3


SERIES = rt.series.sines(400)
BASE = rt.Recipe(updates=2, width=2, past=4, batch_size=4)
VARIANT = BASE.but(lr=0.03)
NUMBERS = [
    0, 1, -1, 2, 3, 10**9, 10**18, 10**400, -0.0, 0.5, 1e308, 1e-320, float("nan"), float("inf"), 3 + 0j,
    np.int64(3), np.uint8(7), np.float32(0.01), np.bool_(True), np.ma.masked, np.datetime64("2020-01-01"),
    fractions.Fraction(1, 2), decimal.Decimal("0.5"), decimal.Decimal("snan"), datetime.timedelta(1),
]  # fmt: skip
TEXTS = [
    "", " ", "gru", "lr", "levels", "differences:" + "9" * 5000, "warmup:²", "drop:nan:0.5", "9" * 5000 + ":0.5",
    "24:0.5", "normal:1e400", "radius:", "a\0b", "\ud800", "x" * 5000, "/dev/null", "<b>", b"gru", np.str_("gru"),
]  # fmt: skip
SEVERAL = [
    (), [], {}, {1: 2}, {1, 2}, (64, 32), [64], (0,), (1.5,), ("a",), ((1,),), range(3), ["lr"], {"lr": [0.1]},
    np.array(3), np.array([1, 2]), np.array([[1.0]]), np.array(["gru"]), torch.tensor(3), torch.tensor([1, 2]),
    np.asfortranarray(np.random.default_rng(0).normal(size=(100, 2))), np.full(100, 1e200), [[1], [2, 3]],
]  # fmt: skip
THINGS = [
    None, True, False, object(), Hostile(), Index(), int, len, Ellipsis, threading.Event(), BASE, VARIANT, SERIES,
    rt.tasks.adding, rt.tasks.adding(4), rt.Runs(), [rt.Runs()], rt.parameters(30), rt.epochs(1), rt.seconds(0.01),
]  # fmt: skip
ANY = st.sampled_from([*NUMBERS, *TEXTS, *SEVERAL, *THINGS]) | st.integers() | st.floats() | st.text(max_size=5)

ROWS = {"date": pd.date_range("2024-01-01", periods=99).strftime("%Y-%m-%d"), "shop": ["A", "B", "B"] * 33,
        "load": [day % 7 for day in range(99)]}  # fmt: skip
READING = ["date", "inputs", "decimal", "thousands", "dayfirst", "missing", "where"]
CSV = Path(tempfile.mkdtemp()) / "load.csv"
pd.DataFrame(ROWS).to_csv(CSV)

LINEAR = torch.nn.Linear(2, 1)
PUBLIC = {  # a call that works → the arguments that are replaced, some at a time
    "Recipe": (rt.Recipe, {}, list(FIELDS)),
    "but": (BASE.but, {}, list(FIELDS)),
    "diff": (BASE.diff, {"other": VARIANT}, ["other"]),
    **{name: (getattr(rt, name), {"amount": 3}, ["amount"])
       for name in ("epochs", "parameters", "seconds", "tokens", "updates")},
    "train": (rt.train, {"recipe": BASE, "on": SERIES, "seeds": [0]},
              ["recipe", "on", "seeds", "device", "record", "stop", "start"]),
    "compare": (rt.compare, {"baseline": BASE, "variant": VARIANT, "on": SERIES, "seeds": [0]},
                ["baseline", "variant", "on", "seeds", "tune", "allow", "device", "executor", "stop", "record"]),
    "sweep": (rt.sweep, {"baseline": BASE, "on": SERIES, "seeds": [0], "lr": [0.03]},
              ["baseline", "on", "seeds", "tune", "allow", "device", "executor", "stop", "lr", "width", "dense"]),
    "from_array": (rt.series.from_array, {"values": np.arange(99.0)},
                   ["values", "name", "unit", "period", "trending", "notes"]),
    **{name: (function, {first: table, "target": "load"}, [first, "target", *READING, *more])
       for name, function, first, table, more in (
           ("from_csv", rt.series.from_csv, "path", CSV, ["sep", "header", "encoding", "gaps", "name", "unit"]),
           ("from_frame", rt.series.from_frame, "frame", pd.DataFrame(ROWS), ["gaps", "trending", "period", "name"]),
           ("look", rt.look, "data", pd.DataFrame(ROWS), ["gaps", "trending", "period", "name"]))},
    "demand": (rt.series.demand, {}, ["weeks"]),
    "sines": (rt.series.sines, {}, ["steps", "offset", "noise"]),
    "sines_as_printed": (rt.series.sines_as_printed, {}, ["steps"]),
    "wave": (rt.series.wave, {}, ["steps", "drift", "noise"]),
    "forecast": (rt.tasks.forecast, {"series": SERIES}, ["series", "spikes", "history"]),
    "adding": (rt.tasks.adding, {"T": 4}, ["T"]),
    "recall": (rt.tasks.recall, {"L": 4}, ["L", "symbols"]),
    "recall_stream": (rt.tasks.recall_stream, {"L": 4}, ["L"]),
    "leaky": (rt.tasks.leaky, {"tau": 4}, ["tau"]),
    "opposing": (rt.tasks.opposing, {"tau": 4}, ["tau"]),
    "digits": (rt.tasks.digits, {}, ["rows"]),
    "check": (rt.doctor.check, {"model": LINEAR, "inputs": torch.ones(4, 3, 2), "targets": torch.ones(4, 3, 1),
                                "loss": torch.nn.functional.mse_loss},
              ["model", "inputs", "targets", "loss", "lengths", "batch_first"]),
    "read": (rt.doctor.read, {"train_loss": [3.0, 2.0, 1.0]}, ["train_loss", "valid_loss", "gradient_norm", "naive"]),
    "watch": (rt.doctor.watch, {"model": LINEAR, "optimizer": torch.optim.SGD(LINEAR.parameters(), 0.1)},
              ["model", "optimizer", "batch_first"]),
    "tips": (rt.tips.__getitem__, {"name": "scaling"}, ["name"]),
}  # fmt: skip


def call(name: str, strange: dict) -> None:
    """The call that works, with some arguments replaced; what it makes can be shown."""
    function, usual, _ = PUBLIC[name]
    given = usual | strange
    for argument in ("record", "start"):  # a record is filled once
        if isinstance(given.get(argument), rt.Runs):
            given[argument] = rt.Runs()
    repr(function(*given.values()) if name == "tips" else function(**given))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", PUBLIC)
@settings(max_examples=100, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_no_public_function_raises_a_foreign_exception(name, data):
    chosen = data.draw(st.lists(st.sampled_from(PUBLIC[name][2]), min_size=1, max_size=3, unique=True))
    strange = {argument: data.draw(ANY, label=argument) for argument in chosen}
    try:
        call(name, strange)
    except RnntipsError as error:
        assert str(error) and len(str(error)) < 2000


@pytest.mark.parametrize(
    "value", [2**63, 2**64, -1, 1.0, True, "1", np.float64(1), torch.tensor(1), None, [1]], ids=repr
)
def test_a_seed_is_a_whole_number_of_63_bits(value):
    with pytest.raises(RnntipsError, match="a seed="):
        rt.train(BASE, SERIES, [value])


@pytest.mark.parametrize("kind", [np.int64, np.int32, np.uint8])
@pytest.mark.parametrize("name", ["layers", "width", "past", "batch_size", "updates", "horizon", "train_size", "dense"])
def test_numpys_whole_numbers_are_whole_numbers(name, kind):
    value = {"layers": 2, "train_size": 100}.get(name, 3)
    given = (kind(value),) if name == "dense" else kind(value)
    plain = BASE.but(**{name: (value,) if name == "dense" else value})
    recipe = BASE.but(**{name: given}) if name != "batch_size" else BASE.but(batch_size=given)
    assert recipe == plain and repr(recipe) == repr(plain) and hash(recipe) == hash(plain)
    np.testing.assert_array_equal(rt.train(recipe, SERIES, [0]).weights, rt.train(plain, SERIES, [0]).weights)


@pytest.mark.parametrize("order", ["F", "C"])
def test_the_order_of_an_array_in_memory_changes_no_run(order):
    values = np.random.default_rng(0).normal(size=(300, 2)).cumsum(0)
    given = rt.series.from_array(np.array(values, order=order))
    strided = rt.series.from_array(np.repeat(values, 2, 0)[::2])
    for recipe in (BASE, BASE.but(features="differences:2"), BASE.but(dense=(2,))):
        runs = [rt.train(recipe, series, [0, 1]) for series in (given, strided, rt.series.from_array(values))]
        for other in runs[1:]:
            np.testing.assert_array_equal(runs[0].weights, other.weights)


@pytest.mark.parametrize(
    ("fields", "number"),
    [({"layers": 10**9}, "1000000000"), ({"past": 10**9}, "1000000000"), ({"updates": 10**9}, "1000000000"),
     ({"updates": 10**8, "batch_size": 200}, "updates=100000000"), ({"width": 10_000, "layers": 100}, "width=10000"),
     ({"budget": rt.epochs(10**12)}, "updates="), ({"batch_size": 10**6}, "batch_size=1000000")],
    ids=str,
)  # fmt: skip
def test_what_the_machine_cannot_hold_is_refused_before_anything_is_trained(fields, number, monkeypatch):
    monkeypatch.setattr("rnntips.training._updates", lambda *_: pytest.fail("trained"))
    with pytest.raises(RnntipsError, match=number):
        rt.train(rt.Recipe(**fields), SERIES, range(10))


def test_series_whose_squares_are_no_numbers_are_refused():
    values = np.arange(100.0)
    for scale in (1e160, 1e-160):
        with pytest.raises(RnntipsError, match="Choose a unit"):
            rt.series.from_array(values * scale)
    rt.series.from_array(values * 1e90)


@pytest.mark.parametrize(
    ("act", "words"),
    [(lambda: rt.compare(BASE, VARIANT, SERIES, [0], allow=np.array(3)), "a list of fields"),
     (lambda: rt.sweep(BASE, SERIES, [0], lr=torch.tensor(3)), "a list of values"),
     (lambda: rt.train(BASE, SERIES, [0], device="x" * 5000), "is needed"),
     (lambda: rt.series.from_csv(CSV, "load", encoding="a\0b"), "is not known"),
     (lambda: rt.doctor.watch(np.array(3), None), "model"),
     (lambda: rt.doctor.read([10**400]), "numbers are needed")],
    ids=["allow", "sweep", "device", "encoding", "watch", "read"],
)  # fmt: skip
def test_what_an_attack_found_is_refused_in_words(act, words):
    with pytest.raises(RnntipsError, match=words) as raised:
        act()
    assert len(str(raised.value)) < 300


def test_no_noise_may_be_written_with_a_minus():
    drawn = [rt.series.wave(noise=noise).draw(np.random.default_rng(3)) for noise in (-0.0, 0.0)]
    np.testing.assert_array_equal(*drawn)
