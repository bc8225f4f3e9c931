"""Windows: what they hold, what their scalers have seen, and the order in which they come."""

import re
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rnntips.errors import BadArgument, BadData
from rnntips.recipe import Recipe
from rnntips.windows import SCALINGS, TARGETS, batches, cut, fit_scaler

N, FIRST, VALID, TEST = 240, 30, 144, 192  # steps; first target, and where the later parts begin
DIVIDING = sorted(set(SCALINGS) - {"none", "centre"})
AFFINE = ["standard", "minmax", "symmetric", "robust"]  # these take both place and size out of the numbers
FEATURES = ["levels", "differences:1", "differences:5"]

quick = settings(max_examples=60, deadline=None, derandomize=True, database=None)


def record(seed: int = 0, channels: int = 2) -> np.ndarray:
    return 20 + np.random.default_rng(seed).normal(size=(N, channels)).cumsum(0)


def channels_of(values: np.ndarray, features: str) -> np.ndarray:
    """What a network may see at every time, computed plainly: (N, C), NaN where it does not exist yet."""
    if features == "levels":
        return values
    lags = int(features.split(":")[1])
    seen = np.full((len(values), lags), np.nan)
    for t in range(len(values)):
        for k in range(lags):
            if t - k - 1 >= 0:
                seen[t, k] = values[t - k, 0] - values[t - k - 1, 0]
    return np.hstack([seen, values[:, 1:]])


# --- nothing from the future


later_values = st.dictionaries(
    st.tuples(st.integers(VALID, N - 1), st.integers(0, 1)),
    st.floats(-1e9, 1e9, allow_subnormal=False),
    min_size=1,
    max_size=20,
)


@quick
@given(
    seed=st.integers(0, 3),
    later=later_values,
    past=st.integers(1, 12),
    horizon=st.integers(1, 9),
    features=st.sampled_from(FEATURES),
    input_scaling=st.sampled_from(sorted(SCALINGS)),
    target_scaling=st.sampled_from(sorted(SCALINGS)),
    target=st.sampled_from(TARGETS),
    spiked=st.booleans(),
)
def test_no_later_value_reaches_a_scaler_or_a_training_window(seed, later, past, horizon, spiked, **choices):
    """Whatever stands in the validation and test parts, everything about training is the same, bit for bit."""
    values = record(seed)
    changed = values.copy()
    for place, value in later.items():
        changed[place] = value
    spikes = np.where(np.arange(N) % 11 == 0, 8.0, 0.0) if spiked else None
    before, after = (cut(v, past, horizon, spikes=spikes, **choices) for v in (values, changed))
    train = before.of(0)
    np.testing.assert_array_equal(train, after.of(0))
    np.testing.assert_array_equal(before.inputs(train), after.inputs(train))
    for name in ("targets", "offset", "truth", "times", "starts"):
        np.testing.assert_array_equal(getattr(before, name)[train], getattr(after, name)[train], err_msg=name)
    assert before.spread == after.spread


@pytest.mark.parametrize("features", FEATURES)
@pytest.mark.parametrize("target", TARGETS)
def test_a_training_value_does_reach_the_scalers(features, target):
    """The law above can fail: one value just before the validation part changes spread and inputs."""
    values = record()
    changed = values.copy()
    changed[VALID - 2, 0] += 50.0
    before, after = (cut(v, 4, features=features, target=target) for v in (values, changed))
    assert before.spread != after.spread
    assert not np.array_equal(before.inputs(before.of(0)[:1]), after.inputs(after.of(0)[:1]))


@pytest.mark.parametrize("horizon", [1, 7])
@pytest.mark.parametrize("features", FEATURES)
def test_parts_follow_one_another_and_windows_end_before_their_targets(features, horizon):
    """Training, validation, test by target time; a window's last step lies `horizon` before its target."""
    found = cut(record(), 6, horizon, features=features)
    for part, expected in enumerate([range(FIRST, VALID), range(VALID, TEST), range(TEST, N)]):
        np.testing.assert_array_equal(expected, found.times[found.of(part)])
    earliest = N - len(found.signal)  # time of the signal's first row
    np.testing.assert_array_equal(found.times - horizon, earliest + found.starts + found.steps - 1)
    assert found.starts.min() >= 0


# --- what a window is


@pytest.mark.parametrize("target", TARGETS)
def test_a_window_is_named_by_the_time_of_its_target(target):
    """However far a window looks back, targets, times and parts are the same."""
    short, long = (cut(record(), past, 3, target=target) for past in (2, 20))
    for name in ("targets", "offset", "truth", "times", "part"):
        np.testing.assert_array_equal(getattr(short, name), getattr(long, name), err_msg=name)
    np.testing.assert_array_equal(short.inputs(np.arange(9)), long.inputs(np.arange(9))[:, -2:])


@quick
@given(
    past=st.integers(1, 12),
    horizon=st.integers(1, 9),
    scaling=st.sampled_from(sorted(SCALINGS)),
    features=st.sampled_from(FEATURES),
)
def test_inputs_are_the_record_from_t_minus_horizon_minus_past_plus_1_to_t_minus_horizon(
    past, horizon, scaling, features
):
    """Scaled back, a window is exactly that stretch of the record, or of its differences."""
    values = record()
    seen = channels_of(values, features)
    train = seen[:VALID][np.isfinite(seen[:VALID]).all(1)]
    shift, spread = fit_scaler(scaling, train)
    found = cut(values, past, horizon, features=features, input_scaling=scaling)
    for i in (0, 1, len(found.times) // 2, len(found.times) - 1):
        t = found.times[i]
        expected = (seen[t - horizon - past + 1 : t - horizon + 1] - shift) / spread
        np.testing.assert_array_equal(expected.astype(np.float32), found.inputs(np.array([i]))[0])


@pytest.mark.parametrize("features", FEATURES)
def test_a_network_reads_the_target_first_and_then_the_inputs_whatever_the_features_are(features):
    """Without inputs the same numbers, bit for bit, but for the channels that are theirs."""
    with_inputs, without = (cut(record(channels=3)[:, :n], 6, features=features) for n in (3, 1))
    own = without.channels
    assert (own + 2, own) == (with_inputs.channels, max(1, int(features.partition(":")[2] or 1)))
    np.testing.assert_array_equal(with_inputs.signal[:, :own], without.signal)
    for name in ("starts", "targets", "offset", "truth", "spread"):
        np.testing.assert_array_equal(getattr(with_inputs, name), getattr(without, name), err_msg=name)


@quick
@given(
    steps=st.integers(1, 4),
    patch=st.integers(1, 3),
    lags=st.lists(st.integers(1, 7), max_size=2),
    horizon=st.integers(1, 3),
    scaling=st.sampled_from(sorted(SCALINGS)),
    features=st.sampled_from(FEATURES),
)
def test_patches_and_lags_show_more_of_the_same_record_for_the_same_targets(
    steps, patch, lags, horizon, scaling, features
):
    """Step k has the rows of its times side by side, each with the first column as it was so many steps before."""
    values, plain = record(), {"features": features, "input_scaling": scaling}
    found, usual = (
        cut(values, steps * patch, horizon, lags=lags, patch=patch, **plain),
        cut(values, 1, horizon, **plain),
    )
    for name in ("targets", "offset", "truth", "times", "part", "spread", "last"):
        np.testing.assert_array_equal(getattr(found, name), getattr(usual, name), err_msg=name)
    assert (found.steps, found.channels) == (steps, patch * (usual.channels + len(lags)))
    seen = channels_of(values, features)
    shift, spread = fit_scaler(scaling, seen[:VALID][np.isfinite(seen[:VALID]).all(1)])
    rows = ((seen - shift) / spread).astype(np.float32)
    for i in (0, len(found.times) // 2, len(found.times) - 1):
        end, window = found.times[i] - horizon, []
        for time in range(end - steps * patch + 1, end + 1):
            window.append([*rows[time], *(rows[time - lag, 0] for lag in lags)])
        np.testing.assert_array_equal(np.reshape(window, (steps, -1)), found.inputs(np.array([i]))[0])


def test_a_shuffled_split_has_the_same_windows_in_other_parts():
    """So many in each as by time; scalers learn from all of the series, and from the training windows' targets."""
    values, (by_time, shuffled) = (
        record(),
        (cut(record(), 4, 3, shuffled=rng) for rng in (None, np.random.default_rng(0))),
    )
    np.testing.assert_array_equal(np.bincount(shuffled.part), np.bincount(by_time.part))
    assert 0.3 < np.mean(shuffled.part == by_time.part) < 0.6
    for name in ("starts", "times", "truth", "last"):
        np.testing.assert_array_equal(getattr(shuffled, name), getattr(by_time, name), err_msg=name)
    np.testing.assert_allclose(shuffled.signal, (values - values.mean(0)) / values.std(0), atol=1e-5)
    train = shuffled.targets[shuffled.of(0)]
    assert abs(train.mean()) < 1e-6 and train.std() == pytest.approx(1)
    np.testing.assert_allclose(shuffled.targets * shuffled.spread + shuffled.offset, shuffled.truth, rtol=1e-5)


def test_a_window_of_patches_is_one_of_whole_patches():
    with pytest.raises(BadArgument, match=r"past=10 is no multiple of patch=4.*past=12"):
        cut(record(), 10, patch=4)
    with pytest.raises(BadArgument, match=r"past=10 is no multiple of patch=4.*past=12"):
        Recipe(past=10, patch=4)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("scaling", sorted(SCALINGS))
@pytest.mark.parametrize("horizon", [1, 5])
def test_a_perfect_prediction_scaled_back_is_the_truth(target, scaling, horizon):
    """targets × spread + offset is the record's value at each target time, in the record's unit."""
    values = record()
    found = cut(values, 4, horizon, target=target, target_scaling=scaling)
    np.testing.assert_array_equal(values[found.times, :1], found.truth)
    back = found.targets.astype(float) * found.spread + found.offset
    np.testing.assert_allclose(back, found.truth, rtol=0, atol=1e-4)


def test_a_change_is_counted_from_the_windows_last_value():
    """With `target="change"`, predicting nothing repeats the value `horizon` steps before the target."""
    values = record()
    found = cut(values, 4, 3, target="change", target_scaling="none")
    np.testing.assert_array_equal(values[found.times - 3, :1], found.offset)


def test_history_moves_the_first_target():
    """`history` is the first target time, so that a longer window fits."""
    found = cut(record(), 50, history=60)
    np.testing.assert_array_equal(np.arange(60, N), found.times)
    np.testing.assert_array_equal(np.arange(10, N - 50), found.starts)


@pytest.mark.parametrize("at_most", [1, 7, 48, 1000])
def test_a_subset_of_a_part_is_spread_over_it(at_most):
    """`of(part, n)` gives at most n different windows of that part, from its first to its last."""
    found = cut(record(), 4)
    whole, some = found.of(1), found.of(1, at_most)
    assert min(at_most, len(whole)) == len(some) == len(set(some)) and set(some) <= set(whole)
    if at_most > 1:
        assert (whole[0], whole[-1]) == (some[0], some[-1])
        assert np.ptp(np.diff(some)) <= 1


# --- spikes


@pytest.mark.parametrize("features", FEATURES)
def test_spikes_are_added_to_training_inputs_alone(features):
    """Each feature moves by spike × its deviation at the times hit before the validation part, nothing else does."""
    values = record()
    spikes = np.where(np.arange(N) % 10 == 7, -3.0, 0.0)  # also behind the training part, where they must not count
    plain, hit = (cut(values, 4, features=features, input_scaling="none", spikes=s) for s in (None, spikes))
    for name in ("targets", "offset", "truth", "times", "starts", "spread"):
        np.testing.assert_array_equal(getattr(plain, name), getattr(hit, name), err_msg=name)
    earliest = N - len(plain.signal)
    deviation = channels_of(values, features)[earliest:VALID].std(0)
    expected = np.zeros_like(plain.signal)
    expected[: VALID - earliest] = spikes[earliest:VALID, None] * deviation
    np.testing.assert_allclose(expected, hit.signal.astype(float) - plain.signal, atol=1e-4)
    np.testing.assert_array_equal(plain.signal[VALID - earliest :], hit.signal[VALID - earliest :])


# --- scalers


SKEWED = np.array([[0.0], [1.0], [2.0], [3.0], [9.0]])  # mean 3, deviation √10, quartiles 1, 2 and 3


@pytest.mark.parametrize(
    ("kind", "shift", "spread"),
    [("none", 0, 1), ("centre", 3, 1), ("scale", 0, 10**0.5), ("standard", 3, 10**0.5), ("minmax", 0, 9),
     ("symmetric", 4.5, 4.5), ("robust", 2, 2)],
)  # fmt: skip
def test_scalers_have_their_closed_forms_column_by_column(kind, shift, spread):
    """On 0, 1, 2, 3, 9 and on 10 times that plus 100, each scaler subtracts and divides by what it is named for."""
    found = fit_scaler(kind, np.hstack([SKEWED, 10 * SKEWED + 100]))
    far = (0 if kind in ("none", "scale") else 10 * shift + 100, 1 if kind in ("none", "centre") else 10 * spread)
    np.testing.assert_allclose([[shift, far[0]], [spread, far[1]]], found, rtol=1e-12)


@pytest.mark.parametrize(("kind", "low", "high"), [("minmax", 0, 1), ("symmetric", -1, 1)])
def test_training_inputs_fill_the_range_they_are_scaled_to(kind, low, high):
    """The training part reaches both ends and passes neither."""
    seen = cut(record(), 4, input_scaling=kind).signal[:VALID]
    np.testing.assert_allclose([[low] * 2, [high] * 2], [seen.min(0), seen.max(0)], atol=1e-6)


@quick
@given(
    factor=st.floats(0.01, 1000),
    shift=st.floats(-1e4, 1e4),
    scaling=st.sampled_from(AFFINE),
    features=st.sampled_from(FEATURES),
    target=st.sampled_from(TARGETS),
)
def test_units_do_not_matter_once_scaled(factor, shift, scaling, features, target):
    """Shifting or multiplying the record leaves scaled windows and targets alone, and takes truth and spread along."""
    choices = {"features": features, "target": target, "input_scaling": scaling, "target_scaling": scaling}
    plain, other = (cut(v, 4, 2, **choices) for v in (record(), factor * record() + shift))
    np.testing.assert_allclose(plain.signal, other.signal, atol=1e-4)
    np.testing.assert_allclose(plain.targets, other.targets, atol=1e-4)
    np.testing.assert_allclose(factor * plain.spread, other.spread, rtol=1e-6)
    np.testing.assert_allclose(factor * plain.truth + shift, other.truth, rtol=1e-9)


# --- order


LABELS = np.arange(40) % 7  # of as many windows as a test has


@pytest.mark.parametrize("order", ["shuffled", "once", "time", "class"])
@pytest.mark.parametrize("count", [1, 10, 37])
def test_every_epoch_has_every_window_once(order, count):
    """Each stretch of `count` numbers is a permutation of all windows."""
    stream = batches(order, count, 5 * count, np.random.default_rng(0), LABELS[:count]).reshape(5, count)
    np.testing.assert_array_equal(np.tile(np.arange(count), (5, 1)), np.sort(stream, 1))


def test_orders_are_what_they_are_named():
    """`time` keeps time order, `once` repeats one permutation, `shuffled` draws a new one every epoch."""
    epochs = {o: batches(o, 50, 200, np.random.default_rng(0)).reshape(4, 50) for o in ("time", "once", "shuffled")}
    np.testing.assert_array_equal(np.tile(np.arange(50), (4, 1)), epochs["time"])
    assert [1, 1, 4] == [len(np.unique(found, axis=0)) for found in epochs.values()]
    assert not np.array_equal(epochs["time"], epochs["once"])


def test_sorted_by_class_is_shuffled_within_each():
    """Every epoch has class after class, and another order within each; without classes there is nothing to sort."""
    first, second = batches("class", 40, 80, np.random.default_rng(0), LABELS).reshape(2, 40)
    assert np.array_equal(LABELS[first], np.sort(LABELS)) and np.array_equal(LABELS[second], np.sort(LABELS))
    assert not np.array_equal(first, second) and not np.array_equal(first, LABELS.argsort(kind="stable"))
    with pytest.raises(BadArgument, match=r'order="class".*this task has none'):
        batches("class", 40, 80, np.random.default_rng(0))


@quick
@given(
    order=st.sampled_from(["shuffled", "once", "time", "class"]), short=st.integers(1, 100), more=st.integers(0, 100)
)
def test_a_longer_stream_begins_with_the_shorter_one(order, short, more):
    """Any batch size and any number of updates cut the same stream of windows."""
    few, many = (batches(order, 23, n, np.random.default_rng(7), LABELS[:23]) for n in (short, short + more))
    assert short == len(few) and short + more == len(many)
    np.testing.assert_array_equal(few, many[:short])


# --- errors


@pytest.mark.parametrize(
    ("past", "horizon", "features", "lags"),
    [(31, 1, "levels", ()), (30, 5, "levels", ()), (400, 1, "levels", ()), (28, 1, "differences:8", ()),
     (9, 20, "differences:4", ()), (23, 3, "differences:4", (2, 7))],
)  # fmt: skip
def test_too_short_a_record_names_the_largest_window_and_that_one_fits(past, horizon, features, lags):
    """The message has length, window, horizon and the largest past; one step more than that is refused."""
    fits = partial(cut, record(), horizon=horizon, features=features, lags=lags)
    with pytest.raises(BadData) as refused:
        fits(past, name="mine")
    words = str(refused.value)
    assert not [w for w in ("mine", str(N), f"past={past}", f"horizon={horizon}", str(FIRST)) if w not in words]
    largest = int(re.search(r"fits is past=(\d+)", words)[1])
    assert largest == fits(largest).steps
    with pytest.raises(BadData, match=f"past={largest}"):
        fits(largest + 1)


@pytest.mark.parametrize("choice", [{"horizon": 40}, {"features": "differences:64"}])
def test_a_record_too_short_for_any_window_asks_for_a_longer_one(choice):
    """Where no past would fit, none is suggested."""
    with pytest.raises(BadData, match="longer record") as refused:
        cut(record(), 1, **choice)
    assert "largest window" not in str(refused.value)


@pytest.mark.parametrize("history", [VALID, N, N + 50])
def test_targets_that_begin_behind_the_training_part_are_refused(history):
    """`history` must leave training windows; the message has both numbers."""
    with pytest.raises(BadData, match=rf"{history}.*{VALID}|{VALID}.*{history}"):
        cut(record(), 4, history=history)


@pytest.mark.parametrize(
    ("asked", "came", "nearest"),
    [
        (lambda: fit_scaler("standart", SKEWED), "'standart'", "'standard'"),
        (lambda: cut(record(), 4, input_scaling="min-max"), "'min-max'", "'minmax'"),
        (lambda: cut(record(), 4, target_scaling="center"), "'center'", "'centre'"),
        (lambda: cut(record(), 4, target="levels"), "'levels'", "'level'"),
        (lambda: batches("shuffle", 9, 9, np.random.default_rng(0)), "'shuffle'", "'shuffled'"),
    ],
    ids=["scaler", "input scaling", "target scaling", "target", "order"],
)
def test_an_unknown_name_gets_the_nearest_known_one(asked, came, nearest):
    """The message repeats what came and suggests what may have been meant."""
    with pytest.raises(BadArgument) as refused:
        asked()
    assert came in str(refused.value) and f"Did you mean {nearest}?" in str(refused.value)


@pytest.mark.parametrize("features", ["differences", "differences:", "differences:0", "differences:-3", "diffs:4"])
def test_features_that_cannot_be_read_say_how_to_write_them(features):
    """Both forms are shown."""
    with pytest.raises(BadArgument, match=r'"levels".*"differences:K"') as refused:
        cut(record(), 4, features=features)
    assert repr(features) in str(refused.value)


@pytest.mark.parametrize("choice", [{"past": 0}, {"past": -3}, {"horizon": 0}, {"horizon": -1}], ids=str)
def test_a_window_without_past_or_future_is_refused(choice):
    """A horizon of 0 would put the target into its own window."""
    (name, value), = choice.items()  # fmt: skip
    with pytest.raises(BadArgument, match=rf"{name}={value}\b.*at least 1"):
        cut(record(), **({"past": 4} | choice))


@pytest.mark.parametrize("level", [0.0, 5.0, 0.1, 1 / 3])
@pytest.mark.parametrize("kind", DIVIDING)
def test_a_column_without_spread_in_training_is_refused(kind, level):
    """Rounding does not hide it: the deviation of many 0.1 is 1e-17, not 0."""
    values = record()
    values[:VALID, 1] = level
    with pytest.raises(BadData, match=rf"'{kind}'.*column 1.*training part.*another scaling"):
        cut(values, 4, input_scaling=kind)
    cut(values, 4, input_scaling="none")
    cut(values, 4, input_scaling="centre")


@pytest.mark.parametrize("kind", ["none", "centre"])
def test_scalers_that_do_not_divide_take_numbers_of_any_size(kind):
    """Only what divides by a spread can lack one: amounts of 10¹² pass unscaled."""
    found = cut(1e12 * record(), 4, input_scaling=kind, target_scaling=kind)
    assert 1.0 == found.spread


@pytest.mark.parametrize("slope", [1.0, 0.1])
def test_changes_of_a_straight_line_have_no_spread(slope):
    """A ramp changes by the same amount at every step, so its changes cannot be scaled."""
    with pytest.raises(BadData, match="spread"):
        cut(slope * np.arange(N)[:, None], 4, target="change")
