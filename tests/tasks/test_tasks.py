"""Tasks: their random streams, spikes, scores and the two errors between which a score is read."""

import re
from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import rnntips as rt
from rnntips.engine.losses import LEAST, as_scored
from rnntips.errors import BadArgument
from rnntips.models import initial_weights
from rnntips.tasks import Forecast, as_settings, forecast, stream
from rnntips.tasks.forecasts import SPIKE_SIZE
from rnntips.tasks.task import nats
from rnntips.windows import SCORED

RAW = rt.Recipe(past=9, horizon=2, input_scaling="none", updates=2, width=4, batch_size=4)
STEPS, VALID, TEST = 600, 360, 480


@pytest.fixture(scope="module")
def sines():
    return rt.series.sines(steps=STEPS)


def fixed(values: np.ndarray) -> rt.series.Series:
    """A series of which every seed sees the same record."""
    return rt.series.Series("fixed", "m", values, simulator=lambda rng: values)


# --- random streams


def test_a_stream_is_named_by_purpose_setting_and_seed():
    """Change any of the three and the numbers are others; keep them and they are the same."""
    keys = list(product(["data", "order", "init", "noise"], ["demand", "CO2", "demand, spiked"], [0, 1, 10_000]))
    draws = [tuple(stream(*key).integers(0, 2**62, 4)) for key in keys]
    assert len(keys) == len(set(draws))
    assert draws == [tuple(stream(*key).integers(0, 2**62, 4)) for key in keys]


@pytest.mark.parametrize(
    "change",
    [{"lr": 0.5}, {"input_scaling": "robust"}, {"target_scaling": "minmax"}, {"cell": "lstm"}, {"past": 3}],
    ids=str,
)
def test_both_sides_of_a_comparison_see_the_same_record(sines, change):
    """What a seed is to forecast does not depend on the recipe, and differs from seed to seed."""
    task = forecast(sines)
    truths = [task.examples(recipe, seed).truth for recipe in (RAW, RAW.but(**change)) for seed in (0, 1)]
    np.testing.assert_array_equal(truths[0], truths[2])
    np.testing.assert_array_equal(truths[1], truths[3])
    assert not np.array_equal(truths[0], truths[1])


def test_both_sides_start_alike_and_read_alike(sines):
    """Sides that differ in the learning rate have the same first loss: same data, same order, same start."""
    sides = [rt.train(RAW.but(lr=lr), sines, [0, 1]) for lr in (1e-6, 0.5)]
    np.testing.assert_array_equal(sides[0].train_loss[:, 0], sides[1].train_loss[:, 0])
    assert sides[0].train_loss[0, 0] != sides[0].train_loss[1, 0]


def test_starting_weights_depend_on_setting_and_seed_alone():
    """Two recipes of one shape start with the same weights; another setting or seed starts elsewhere."""
    sides = [RAW, RAW.but(lr=0.5, order="time", batch_size=7)]
    same = initial_weights(sides, "demand", [3, 3], 1, 1)
    np.testing.assert_array_equal(same[0], same[1])
    others = [initial_weights([RAW], *key, 1, 1)[0] for key in [("demand", [4]), ("CO2", [3])]]
    assert not any(np.array_equal(same[0], other) for other in others)


# --- what is forecast


def test_a_trending_series_is_read_and_forecast_in_changes_unless_the_recipe_says_otherwise():
    """CO2 gets one-step differences and the change to its target; a recipe's own fields win."""
    task = forecast(rt.series.co2())
    record = task.values(0)
    found = task.examples(RAW.but(target_scaling="none"), 0)
    np.testing.assert_allclose(np.diff(record[:, 0]), found.signal[:, 0], rtol=0, atol=1e-5)
    np.testing.assert_array_equal(record[found.times - 2], found.offset)
    level = task.examples(RAW.but(target_scaling="none", features="levels", target="level"), 0)
    np.testing.assert_array_equal(record.astype(np.float32), level.signal)
    np.testing.assert_array_equal(np.zeros_like(level.offset), level.offset)


@settings(max_examples=25, deadline=None, derandomize=True, database=None)
@given(
    later=st.dictionaries(st.integers(VALID, STEPS - 1), st.floats(-1e6, 1e6), min_size=1),
    spikes=st.sampled_from([0.0, 0.02]),
    scaling=st.sampled_from(["standard", "minmax", "robust"]),
    target=st.sampled_from(["level", "change"]),
)
def test_nothing_behind_the_training_part_changes_what_is_trained_on(later, spikes, scaling, target):
    """The law of the windows holds for whole tasks, spikes included."""
    values = 5 + np.random.default_rng(0).normal(size=(STEPS, 1))
    changed = values.copy()
    changed[list(later), 0] = list(later.values())
    recipe = RAW.but(input_scaling=scaling, target_scaling=scaling, target=target)
    before, after = (forecast(fixed(v), spikes=spikes).examples(recipe, 0) for v in (values, changed))
    train = before.of(0)
    np.testing.assert_array_equal(before.inputs(train), after.inputs(train))
    np.testing.assert_array_equal(before.targets[train], after.targets[train])
    assert before.spread == after.spread


# --- spikes


@pytest.mark.parametrize("share", [0.005, 0.1])
@pytest.mark.parametrize("seed", [0, 5])
def test_spikes_hit_their_share_of_the_training_inputs_and_nothing_else(sines, share, seed):
    """The right number of steps moves by ± 8 deviations; targets, and all later steps, stay bit-identical."""
    clean, spiked = (task.examples(RAW, seed) for task in (forecast(sines), forecast(sines, spikes=share)))
    for name in ("targets", "spread", "offset", "truth", "times", "part", "starts"):
        np.testing.assert_array_equal(getattr(clean, name), getattr(spiked, name), err_msg=name)
    moved = (spiked.signal.astype(float) - clean.signal)[:, 0]
    hit = np.flatnonzero(moved)
    assert round(share * VALID) == len(hit) and hit.max() < VALID
    np.testing.assert_allclose(SPIKE_SIZE * clean.signal[:VALID].std(), np.abs(moved[hit]), rtol=1e-4)
    if share == 0.1:
        assert 0 < np.sum(moved[hit] > 0) < len(hit)  # both signs


@pytest.mark.parametrize("scaling", ["none", "standard", "minmax"])
def test_later_windows_of_a_spiked_task_are_the_clean_ones_but_for_the_scaler(sines, scaling):
    """One affine map, the same everywhere, takes test windows and wholly later validation windows to clean ones."""
    recipe = RAW.but(input_scaling=scaling)
    clean, spiked = (task.examples(recipe, 1) for task in (forecast(sines), forecast(sines, spikes=0.05)))
    later = np.flatnonzero(clean.starts >= VALID)
    assert set(clean.of(2)) <= set(later)
    x, y = clean.inputs(later).ravel().astype(float), spiked.inputs(later).ravel().astype(float)
    if scaling == "none":
        np.testing.assert_array_equal(x, y)
    slope, intercept = np.polyfit(x, y, 1)
    np.testing.assert_allclose(slope * x + intercept, y, atol=1e-5)
    assert scaling == "none" or slope < 0.99  # the spikes did widen the scaler


def test_a_spiked_task_says_so_and_sees_the_clean_record(sines):
    """Its name is its own, its data are the clean task's, and other seeds are hit elsewhere."""
    clean, spiked = forecast(sines), forecast(sines, spikes=True)
    assert ("sines", "sines, spiked", 0.005) == (clean.name, spiked.name, spiked.spikes)
    np.testing.assert_array_equal(clean.values(3), spiked.values(3))
    moved = [np.flatnonzero(spiked.examples(RAW, s).signal - clean.examples(RAW, s).signal) for s in (0, 1)]
    assert not np.array_equal(*moved)


# --- scores


def test_the_score_is_the_root_mean_squared_error_of_each_run():
    """One run is right, one is off by 3, one mixes 1 and 7; a run that blew up scores infinity without a warning."""
    truth = np.zeros((4, 2, 1))
    predictions = np.array([[0, 0], [3, -3], [1, 7], [1e200, np.inf]])[:, :, None]
    np.testing.assert_array_equal([0, 3, 5, np.inf], forecast(rt.series.sines(100)).score(predictions, truth))


def test_nats_are_the_mean_negative_log_likelihood():
    """Of three classes: no preference costs ln 3 nats, certainty nothing or the distance; what is not finite, NaN."""
    truth = np.array([[[1, 0, 0], [0, 1, 0]]] * 4, dtype=float)
    even, sure, wrong = np.zeros((2, 3)), 1000 * truth[0], np.array([[5.0, 0, 0], [1000, 0, 0]])
    found = nats(np.array([even, sure, wrong, even + np.inf]), truth)
    np.testing.assert_allclose([np.log(3), 0, (1000 + np.log1p(2 * np.exp(-5))) / 2, np.nan], found, rtol=1e-12)


def test_nats_equal_torchs_cross_entropy():
    """And adding a constant to a window's logits changes nothing."""
    rng = np.random.default_rng(0)
    scores, chosen = 5 * rng.normal(size=(3, 20, 7)), rng.integers(0, 7, (3, 20))
    expected = [
        float(torch.nn.functional.cross_entropy(torch.tensor(mine), torch.tensor(labels)))
        for mine, labels in zip(scores, chosen, strict=True)
    ]
    np.testing.assert_allclose(nats(scores, np.eye(7)[chosen]), expected, rtol=1e-12)
    np.testing.assert_allclose(nats(scores + 300 * rng.normal(size=(3, 20, 1)), np.eye(7)[chosen]), expected, rtol=1e-9)


def test_linear_outputs_of_classes_are_read_as_shares():
    """Shares that sum to 1 are their own likelihoods; less than a thousandth counts as that."""
    given = [as_scored("linear+mse", np.array([[row]]), True) for row in ([0.7, 0.2, 0.1], [1.3, -0.4])]
    assert nats(given[0], np.array([[[0, 1, 0]]])) == pytest.approx(-np.log(0.2))
    found = nats(given[1], np.array([[[0, 1]]]))
    assert found == pytest.approx(-np.log(LEAST / (1 + LEAST)))


def test_a_forecast_refuses_a_readout_of_classes(sines):
    """The message names both, and what to do."""
    with pytest.raises(BadArgument, match=r"sines asks for values in units. Use one of \"linear\+mse\""):
        rt.train(RAW.but(head="softmax+nll"), sines, [0])


def test_spikes_that_a_shuffled_split_would_put_into_every_part_are_refused(sines):
    with pytest.raises(BadArgument, match='split="shuffled" would put spikes into every part, and sines, spiked has'):
        rt.train(RAW.but(split="shuffled"), forecast(sines, spikes=True), [0])


def scored(steps: int) -> np.ndarray:
    """Times of the test part that are scored: so many at most, evenly spread over the last fifth."""
    test = np.arange(int(0.8 * steps), steps)
    return test[np.linspace(0, len(test) - 1, min(SCORED[2], len(test))).round().astype(int)]


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize(("name", "horizon"), [("sines", 1), ("sines", 5), ("CO2", 1), ("CO2", 3)])
def test_trivial_is_the_error_of_repeating_the_last_value_on_the_test_part(name, horizon, seed):
    """Computed from the record alone; the window, the target and spikes make no difference."""
    series = {"sines": rt.series.sines(STEPS), "CO2": rt.series.co2()}[name]
    values = forecast(series).values(seed)[:, 0]
    squares = [(values[t] - values[t - horizon]) ** 2 for t in scored(len(values))]
    expected = np.sqrt(sum(squares) / len(squares))
    for recipe in (RAW, RAW.but(past=20), RAW.but(target="level"), RAW.but(target="change")):
        for spikes in (0.0, 0.1):
            naive, *_ = forecast(series, spikes=spikes).bounds(recipe.but(horizon=horizon), seed)
            assert naive == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("horizon", [1, 6])
def test_the_floor_is_the_generators_where_it_is_known(horizon):
    """`bounds` passes the series' own floor on, for the recipe's horizon."""
    series = rt.series.demand(weeks=2)
    assert series.floor(horizon) == forecast(series).bounds(RAW.but(horizon=horizon), 0)[1]


@pytest.mark.parametrize("horizon", [1, 3])
def test_where_no_floor_is_known_a_linear_forecast_comes_close_to_the_best_there_is(horizon):
    """Where changes follow d[t] = 0.8 d[t−1] + noise, the stand-in errs hardly more than who knows the 0.8."""
    rng, changes = np.random.default_rng(0), [0.0]
    for shock in rng.normal(0, 2.0, 7999):
        changes.append(0.8 * changes[-1] + shock)
    record, test = np.cumsum(changes), scored(8000)
    ahead = sum(0.8**k for k in range(1, horizon + 1)) * np.array(changes)[test - horizon]
    best = np.sqrt(np.mean((record[test] - record[test - horizon] - ahead) ** 2))
    _, floor, _ = forecast(fixed(record[:, None])).bounds(RAW.but(horizon=horizon), 0)
    assert floor == pytest.approx(best, rel=0.02)


def test_no_floor_is_invented(sines):
    """A walk's floor is naive's own; elsewhere it is the linear forecast's, however near that is to naive."""
    walk = np.cumsum(np.random.default_rng(3).normal(0, 1, 1500))
    naive, floor, _ = forecast(fixed(walk[:, None])).bounds(RAW, 0)
    assert 0.99 * naive < floor <= naive  # by chance a linear forecast gains a little, or loses
    noisy = walk + np.random.default_rng(4).normal(0, 0.3, 1500)  # its changes turn back a little
    naive, floor, _ = forecast(fixed(noisy[:, None])).bounds(RAW, 0)
    assert 0.9 * naive < floor < naive
    linear = [forecast(fixed(record[:, None])).meaning(RAW, 0)[-2] for record in (walk, noisy)]
    assert len({*linear, forecast(sines).meaning(RAW, 0)[-2]}) == 2  # a stored run's name tells which kind it has


# --- settings and errors


def test_a_task_a_series_or_a_mapping_of_either_become_named_settings(sines):
    """A Series becomes its forecast, a task stays itself, and a mapping's names are kept."""
    spiked = forecast(sines, spikes=0.1)
    assert {"sines": forecast(sines)} == as_settings(sines)
    assert {"sines, spiked": spiked} == as_settings(spiked)
    both = as_settings({"plain": sines, "hit": spiked})
    assert ["plain", "hit"] == list(both)
    assert isinstance(both["plain"], Forecast) and spiked is both["hit"]


@pytest.mark.parametrize(
    ("on", "words"),
    [({}, r"on=\{\}.*Series.*Task.*dict"), ("demand", r"on='demand': a task or a series.*from_array"),
     ([1.0, 2.0], r"on=\[1.0, 2.0\]: a task or a series"), (None, "on=None: a task or a series"),
     ({"mine": 3}, r"on=3: a task or a series.*from_array")],
    ids=["empty", "name", "list", "nothing", "inside a mapping"],
)  # fmt: skip
def test_what_is_no_setting_is_refused_in_words(on, words):
    """The message repeats what came and names a maker."""
    with pytest.raises(BadArgument, match=words):
        as_settings(on)


@pytest.mark.parametrize("share", [-0.1, 1, float("nan"), "some", None])
def test_what_is_no_share_of_spikes_is_refused(sines, share):
    """The message has the value and the range."""
    with pytest.raises(BadArgument, match="at least 0 and below 1") as refused:
        forecast(sines, spikes=share)
    assert f"spikes={share!r}" in str(refused.value)


def test_too_short_a_series_is_named_before_any_training():
    """Training a network on a record that is too short ends in a message with the series' name and lengths."""
    short = rt.series.from_array(np.random.default_rng(0).normal(size=100), name="mine")
    with pytest.raises(BadArgument, match=re.compile(r"mine.*past=32.*\b80\b.*largest window.*past=10")):
        rt.train(rt.Recipe(past=32), short, [0])
    assert 1 == len(rt.train(rt.Recipe(past=10, updates=1), short, [0]))
