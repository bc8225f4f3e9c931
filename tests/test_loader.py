"""What an update reads: windows that grow, against a loop in plain torch; fewer of them; dropout's masks; noise."""

import re
from itertools import islice

import numpy as np
import pytest
import torch
from oracles import assert_same, begun, trained

import rnntips as rt
from evidence.plans import work
from rnntips.errors import BadArgument
from rnntips.loader import Loader, Masks, Noise, examples_of
from rnntips.runs import to_target, tokens_to
from rnntips.schedule import mean_length, window_lengths
from rnntips.tasks import forecast

SHORT = rt.Recipe(updates=12, past=9, width=6, batch_size=5)
GROWN = SHORT.but(grow="2:0.5")


@pytest.fixture(scope="module")
def sines():
    return rt.series.sines(steps=600)


@pytest.mark.parametrize("more", [{}, {"lr": 0.05}, {"dense": (4,)}, {"past": 27, "patch": 3, "lags": (2,)}], ids=str)
def test_growing_equals_training_on_the_last_steps_by_hand(sines, more):
    """Compiled, and in torch where there are dense layers."""
    recipe = GROWN.but(**more)
    losses, _, weights = trained(recipe, forecast(sines), 3, lengths=[2, 2, 4, 4, 8, 8, 9, 9, 9, 9, 9, 9])
    found, whole = (rt.train(recipe.but(grow=how), sines, [3]) for how in ("2:0.5", None))
    np.testing.assert_allclose(found.train_loss[0], losses, rtol=1e-4)
    np.testing.assert_allclose(found.weights[0, : len(weights)], weights, rtol=2e-3, atol=2e-5)
    assert np.abs(whole.weights[0, : len(weights)] - weights).max() > 1e-3


@pytest.mark.parametrize("grow", ["9:0.5", "9:0.9"])
@pytest.mark.parametrize("dense", [(), (4,)], ids=["compiled", "torch"])
def test_growing_to_the_same_length_changes_nothing(sines, grow, dense):
    plain, grown = (rt.train(SHORT.but(dense=dense, grow=how), sines, [1, 2]) for how in (None, grow))
    assert_same(plain, grown, "recipes")
    np.testing.assert_array_equal(tokens_to(plain), tokens_to(grown))


def test_growth_that_hardly_ends_is_training_on_short_windows(sines):
    """Nearly all of the budget at two steps: the same batches, targets and updates as with past=2."""
    short = rt.train(SHORT.but(past=2), sines, [4])
    grown = rt.train(SHORT.but(past=3, grow="2:0.99"), sines, [4])
    np.testing.assert_array_equal(short.train_loss, grown.train_loss)
    np.testing.assert_array_equal(short.weights, grown.weights)


def test_windows_of_a_memory_task_grow_to_their_own_length():
    """Read by hand: the last 3 of 6 steps, then all; the mini-batches are those without growth."""
    task, recipe = rt.tasks.recall(4), SHORT.but(past=6, updates=4)
    grown, whole = (
        [inputs for inputs, _ in islice(task.batches(recipe.but(grow=how), 1), 4)] for how in ("3:0.5", None)
    )
    assert [inputs.shape[1] for inputs in grown] == [3, 3, 6, 6]
    for short, inputs in zip(grown, whole, strict=True):
        assert torch.equal(short, inputs[:, -short.shape[1] :])
    runs = rt.train(recipe.but(grow="3:0.5"), task, [1])
    assert abs(tokens_to(runs, reach=0.999)) == 5 * (3 + 3 + 6 + 6)


def test_evaluations_read_the_whole_window(sines):
    """The first evaluation comes before any training."""
    first = [rt.train(SHORT.but(grow=how), sines, [1]).valid_score[0, 0] for how in (None, "2:0.5")]
    assert first[0] == first[1]
    assert first[0] != rt.train(SHORT.but(past=2), sines, [1]).valid_score[0, 0]


def test_lengths_double_and_share_the_updates():
    assert window_lengths("24:0.5", 336, 16) == [24] * 2 + [48] * 2 + [96] * 2 + [192] * 2 + [336] * 8
    assert window_lengths("4:0.5", 16, 8) == [4, 4, 8, 8, 16, 16, 16, 16]
    assert window_lengths(None, 16, 3) == [16, 16, 16]
    assert window_lengths("16:0.5", 16, 3) == [16, 16, 16]
    for updates in (1, 2, 7, 300, 970):
        found = window_lengths("3:0.7", 50, updates)
        assert len(found) == updates and found == sorted(found) and {*found} <= {3, 6, 12, 24, 48, 50}
        assert 0.7 * updates - 0.5 <= sum(steps < 50 for steps in found) <= 0.7 * updates + 0.5


@pytest.mark.parametrize("grow", ["4:0.5", "7:0.9", "30:0.3", "40:0.5"])
def test_an_equal_budget_of_steps_gives_more_updates(grow):
    recipe = rt.Recipe(past=40, grow=grow, batch_size=8, budget=rt.tokens(200_000))
    updates = recipe.updates_for(1000)
    read = 8 * sum(window_lengths(grow, 40, updates))
    assert read == pytest.approx(200_000, rel=0.01)
    assert np.mean(window_lengths(grow, 40, 10_000)) == pytest.approx(mean_length(grow, 40), rel=1e-3)
    assert updates > 200_000 // 320 or grow == "40:0.5"


@pytest.mark.parametrize("size", [{}, {"past": 27, "patch": 3}], ids=str)
def test_tokens_to_target_are_the_steps_that_were_read(sines, size):
    """Counted batch by batch as the loader cuts them."""
    recipe = SHORT.but(grow="2:0.8", updates=60, lr=0.03, **size)
    runs, target = rt.train(recipe, sines, [1, 2, 3]), 0.2
    loader = Loader(runs, [forecast(sines).examples(recipe, seed) for seed in (1, 2, 3)])
    batches = [loader.batch(update, loader.spec(update))[0] for update in range(60)]
    for read, updates in zip(tokens_to(runs, target), to_target(runs, target), strict=True):
        assert read == np.sign(updates) * sum(batch[0, :5].shape[:2].numel() for batch in batches[: abs(updates)])
    assert (to_target(runs, target) > 0).any()


def test_going_on_from_a_record_goes_on_growing(sines):
    whole, first = rt.train(GROWN, sines, [1, 2]), rt.train(SHORT.but(past=2, updates=2), sines, [1, 2])
    second = rt.train(GROWN.but(updates=10), sines, [1, 2], start=first)
    np.testing.assert_array_equal(whole.weights, second.weights)


def test_planned_work_counts_the_steps_read(sines):
    whole, grown = (work(SHORT.but(past=16, grow=how), forecast(sines)) for how in (None, "4:0.5"))
    assert grown / whole == pytest.approx(mean_length("4:0.5", 16) / 16)


@pytest.mark.parametrize("grow", ["24", "x:0.5", "0:0.5", "2:0", "2:1", "2:1.5", "2:nan", "-2:0.5", "", 24])
def test_a_growth_that_cannot_be_read_is_refused(grow):
    with pytest.raises(BadArgument, match=re.escape(f"grow={grow!r}") + '.*"24:0.5"'):
        rt.Recipe(grow=grow)


def test_impossible_combinations_are_refused(sines):
    with pytest.raises(BadArgument, match="longer than 9 steps"):
        SHORT.but(grow="10:0.5")
    with pytest.raises(BadArgument, match="drop grow or chunk"):
        SHORT.but(grow="2:0.5", chunk=4)
    for task, words in ((rt.tasks.digits(), "windows of 64 steps.*Set past=64"), (rt.tasks.leaky(5), "every step")):
        with pytest.raises(BadArgument, match=f"(?s){re.escape(task.name)}.*{words}"):
            rt.train(GROWN, task, [0])


@pytest.mark.parametrize("horizon", [1, 48])
def test_windows_of_all_lengths_have_the_same_targets_in_every_part(horizon):
    """Training, validation and test part: so a comparison of lengths is one of what was read, and of nothing else."""
    task = forecast(rt.series.demand())
    drawn = [task.examples(rt.Recipe(past=past, horizon=horizon), 3) for past in (1, 24, 48, 336, 448)]
    for other in drawn[1:]:
        np.testing.assert_array_equal(other.times, drawn[0].times)
        np.testing.assert_array_equal(other.targets, drawn[0].targets)
        np.testing.assert_array_equal(other.truth, drawn[0].truth)
        np.testing.assert_array_equal(other.part, drawn[0].part)
        assert [len(other.of(part)) for part in (0, 1, 2)] == [1915, 806, 807]
        for part in (1, 2):
            np.testing.assert_array_equal(other.scored(part), drawn[0].scored(part))
        ends = other.starts + other.steps - 1
        np.testing.assert_array_equal(ends, other.times - horizon)


# --- fewer windows, dropout, noise


def test_dropout_silences_its_share_and_keeps_the_mean(sines):
    """One mask a window, or a step; inputs have their own. Layers have the same ones wherever the masks act."""
    plain = SHORT.but(dropout=0.3, width=32, layers=2)

    def drawn(**changes):
        return Masks(begun([plain.but(**changes)] * 2, forecast(sines), [0, 1])[0]).draw(64, 9, 3)

    nothing, masks = drawn()
    inputs, same = drawn(dropout_at="inputs and outputs")
    each = drawn(dropout_at="between steps, new masks")[1]
    assert nothing is None and torch.equal(masks, same) and drawn(dropout=0.0) == (None, None)
    assert torch.equal(masks, drawn(dropout_at="between steps, one mask")[1])
    assert [found.shape for found in (masks, inputs, each)] == [(2, 2, 64, 1, 32), (2, 64, 9, 3), (2, 2, 64, 9, 32)]
    for found in (masks, inputs, each):
        assert found.unique().tolist() == pytest.approx([0.0, 1 / 0.7])
        assert found.mean().item() == pytest.approx(1.0, abs=0.03)
        assert not torch.equal(found[0], found[1])
    assert (each.std(3) > 0).any()
    torch.testing.assert_close(drawn(dropout_test="unscaled")[1], masks * 0.7)


@pytest.mark.parametrize("where", ["outputs", "inputs and outputs", "between steps, new masks"])
def test_dropout_that_is_left_on_silences_in_every_score_alike(sines, where):
    """Predictions are the network's with the masks drawn by hand; off, or unscaled, they are the whole network's."""
    recipe = SHORT.but(dropout=0.5, dropout_at=where)
    found = {test: begun([recipe.but(dropout_test=test)], forecast(sines), [3]) for test in ("off", "on", "unscaled")}
    scores = {test: loader.predict(network, 1)[0][0] for test, (_, network, loader, _) in found.items()}
    np.testing.assert_array_equal(scores["off"], scores["unscaled"])
    record, network, loader, _ = found["on"]
    masks, rows = Masks(record, 1), []
    for begins in loader._scored[1][0]:
        inputs = loader._windows(begins)
        first, layers = masks.draw(*inputs.shape[1:])
        rows.append(network(inputs if first is None else inputs * first, layers.unbind(1)).detach())
    _, spread, offset, truth, _ = loader._scored[1]
    by_hand = torch.cat(rows, 1)[:, : len(truth[0])].double().numpy() * spread + offset
    np.testing.assert_allclose(scores["on"], by_hand, rtol=1e-6)
    np.testing.assert_array_equal(scores["on"], loader.predict(network, 1)[0][0])
    assert np.abs(scores["on"] - scores["off"]).max() > 0.01


@pytest.mark.parametrize("order", ["shuffled", "time"])
def test_so_many_windows_are_trained_on_and_fewer_are_among_more(sines, order):
    """Every update's windows lie in the choice; a run of another batch size has the same one, another seed has not."""
    task = forecast(sines)

    def read(size, seed=3, **changes):
        recipe = SHORT.but(train_size=size, order=order, budget=rt.epochs(3), **changes)
        runs = rt.train(recipe, sines, [seed])
        loader = Loader(runs, [examples_of(recipe, task, seed)])
        assert runs.updates == 3 * size // recipe.batch_size
        return loader.begins[0].tolist()

    whole = examples_of(SHORT, task, 3)
    few, many = read(40), read(80)
    assert 40 == len(set(few)) and 3 * 40 == len(few) and 80 == len(set(many))
    assert set(few) < set(many) < set(whole.starts[whole.of(0)])
    assert set(few) == set(read(40, batch_size=8)) != set(read(40, seed=4))
    if order == "time":
        assert few[:40] == sorted(set(few))
    assert max(few) - min(few) > 0.7 * np.ptp(whole.starts[whole.of(0)])


def test_fewer_windows_change_neither_scales_nor_what_scores_are_read_between(sines):
    digits = rt.tasks.digits()
    for task in (sines, digits):
        all_of_them, few = (rt.train(SHORT.but(train_size=size), task, [3]) for size in (None, 30))
        for name in ("naive", "floor", "valid_naive"):
            np.testing.assert_array_equal(getattr(all_of_them, name), getattr(few, name))
        assert all_of_them.valid_score[0, 0] == few.valid_score[0, 0]
        assert (all_of_them.train_loss != few.train_loss).any()


def test_noise_has_its_deviation_and_pairs_sides_of_any_noise_and_width(sines):
    """Inputs and layers each have a stream; windows that only fill the batch up get none."""
    fields = {"noise": 0.5, "noise_between": 0.2, "width": 16, "layers": 2, "dense": (8,), "batch_size": 200}

    def drawn(seeds=(0, 1), **changes):
        recipe = SHORT.but(**fields | changes)
        noise, updates = Noise(*begun([recipe] * len(seeds), forecast(sines), seeds)[:2]), []
        for _ in range(2):
            inputs, between = noise.draw(203, 9, 1)
            layers = [] if between is None else between.split(noise.widths, 3)
            updates.append([part for part in (inputs, *layers) if part is not None])
        assert all((place[:, 200:] == 0).all() for places in updates for place in places)
        return [[place[:, :200] for place in places] for places in updates]

    first, second = drawn()
    assert [place.shape[3] for place in first] == [1, 8, 16, 16]
    for place, deviation in zip(first, [0.5, 0.2, 0.2, 0.2], strict=True):
        assert place.std().item() == pytest.approx(deviation, rel=0.05)
        assert abs(place.mean().item()) < 0.05 * deviation + 0.01
    different = [*first[2:], *second[2:]]
    assert len({place[r].sum().item() for place in different for r in range(2)}) == 8
    stronger = drawn([1, 5], noise=1.0, width=4)[0]
    torch.testing.assert_close(stronger[0][0], 2 * first[0][1])
    torch.testing.assert_close(stronger[1][0], first[1][1])
    assert len(drawn(noise=0.0)[0]) == 3 and len(drawn(noise_between=0.0)[0]) == 1
