"""Windows that grow during training, against a loop written with PyTorch alone, and laws they must obey."""

import re

import numpy as np
import pytest
import torch
from torch import nn

import rnntips as rt
from rnntips.errors import BadArgument
from rnntips.feed import Feed
from rnntips.models import shapes
from rnntips.plans import work
from rnntips.readings import to_target, tokens_to
from rnntips.runs import Runs
from rnntips.schedule import lengths, mean_length
from rnntips.tasks import forecast, stream
from rnntips.windows import batches

SHORT = rt.Recipe(updates=12, past=9, width=6, batch_size=5)
GROWN = SHORT.but(grow="2:0.5")


@pytest.fixture(scope="module")
def sines():
    return rt.series.sines(steps=600)


def trained_in_torch(recipe, series, seed, steps_of):
    """Weights after training as the recipe says, by `nn.GRU` and `torch.optim.Adam`, on windows of so many steps."""
    task = forecast(series)
    example = task.examples(recipe, seed)
    start = rt.train(recipe.but(updates=1, lr=1e-30), series, [seed]).weights[0]
    gru, readout, at = nn.GRU(1, recipe.width, batch_first=True), nn.Linear(recipe.width, 1), 0
    mine = {"input_weight_0": gru.weight_ih_l0, "recurrent_weight_0": gru.weight_hh_l0,
            "input_bias_0": gru.bias_ih_l0, "recurrent_bias_0": gru.bias_hh_l0,
            "readout_weight": readout.weight, "readout_bias": readout.bias}  # fmt: skip
    for name, shape in shapes("gru", 1, recipe.width, 1, 1).items():
        values = torch.tensor(start[at : at + int(np.prod(shape))].reshape(shape))
        mine[name].data.copy_(values.T if values.dim() == 2 else values)
        at += int(np.prod(shape))
    adam, train = torch.optim.Adam(mine.values(), lr=recipe.lr), example.of(0)
    order = train[batches("shuffled", len(train), recipe.updates * recipe.batch_size, stream("order", task.name, seed))]
    for update in range(recipe.updates):
        some = order[update * recipe.batch_size : (update + 1) * recipe.batch_size]
        windows = torch.tensor(example.inputs(some)[:, -steps_of[update] :])
        loss = (readout(gru(windows)[0][:, -1]) - torch.tensor(example.targets[some])).square().mean()
        adam.zero_grad()
        loss.backward()
        adam.step()
    return torch.cat([value.T.flatten() if value.dim() == 2 else value for value in mine.values()]).detach().numpy()


@pytest.mark.parametrize("more", [{}, {"lr": 0.05}], ids=str)
def test_growing_equals_training_on_the_last_steps_by_hand(sines, more):
    recipe = GROWN.but(**more)
    expected = trained_in_torch(recipe, sines, 3, [2, 2, 4, 4, 8, 8, 9, 9, 9, 9, 9, 9])
    found = rt.train(recipe, sines, [3]).weights[0, : len(expected)]
    np.testing.assert_allclose(found, expected, rtol=2e-3, atol=2e-5)
    whole = rt.train(recipe.but(grow=None), sines, [3]).weights[0, : len(expected)]
    assert np.abs(whole - expected).max() > 1e-3


def test_compiled_and_plain_updates_grow_alike(sines, monkeypatch):
    compiled = rt.train(GROWN, sines, [1, 2])
    monkeypatch.setattr("rnntips.update.kernels.update", lambda: None)
    plain = rt.train(GROWN, sines, [1, 2])
    np.testing.assert_allclose(plain.train_loss, compiled.train_loss, rtol=1e-3)
    np.testing.assert_allclose(plain.weights, compiled.weights, rtol=2e-3, atol=2e-5)


@pytest.mark.parametrize("grow", ["9:0.5", "9:0.9"])
@pytest.mark.parametrize("dense", [(), (4,)], ids=["compiled", "torch"])
def test_growing_to_the_same_length_changes_nothing(sines, grow, dense):
    plain, grown = (rt.train(SHORT.but(dense=dense, grow=how), sines, [1, 2]) for how in (None, grow))
    np.testing.assert_array_equal(plain.weights, grown.weights)
    np.testing.assert_array_equal(plain.test_scores, grown.test_scores)
    np.testing.assert_array_equal(tokens_to(plain), tokens_to(grown))


def test_growth_that_hardly_ends_is_training_on_short_windows(sines):
    """Nearly all of the budget at two steps: the same batches, targets and updates as with past=2."""
    short = rt.train(SHORT.but(past=2), sines, [4])
    grown = rt.train(SHORT.but(past=3, grow="2:0.99"), sines, [4])
    np.testing.assert_array_equal(short.train_loss, grown.train_loss)
    np.testing.assert_array_equal(short.weights, grown.weights)


def test_evaluations_read_the_whole_window(sines):
    """The first evaluation comes before any training."""
    first = [rt.train(SHORT.but(grow=how), sines, [1]).valid_score[0, 0] for how in (None, "2:0.5")]
    assert first[0] == first[1]
    assert first[0] != rt.train(SHORT.but(past=2), sines, [1]).valid_score[0, 0]


def test_lengths_double_and_share_the_updates():
    assert lengths("24:0.5", 336, 16) == [24] * 2 + [48] * 2 + [96] * 2 + [192] * 2 + [336] * 8
    assert lengths("4:0.5", 16, 8) == [4, 4, 8, 8, 16, 16, 16, 16]
    assert lengths(None, 16, 3) == [16, 16, 16]
    assert lengths("16:0.5", 16, 3) == [16, 16, 16]
    for updates in (1, 2, 7, 300, 970):
        found = lengths("3:0.7", 50, updates)
        assert len(found) == updates and found == sorted(found) and {*found} <= {3, 6, 12, 24, 48, 50}
        assert 0.7 * updates - 0.5 <= sum(steps < 50 for steps in found) <= 0.7 * updates + 0.5


@pytest.mark.parametrize("grow", ["4:0.5", "7:0.9", "30:0.3", "40:0.5"])
def test_an_equal_budget_of_steps_gives_more_updates(grow):
    recipe = rt.Recipe(past=40, grow=grow, batch_size=8, budget=rt.tokens(200_000))
    updates = recipe.updates_for(1000)
    read = 8 * sum(lengths(grow, 40, updates))
    assert read == pytest.approx(200_000, rel=0.01)
    assert np.mean(lengths(grow, 40, 10_000)) == pytest.approx(mean_length(grow, 40), rel=1e-3)
    assert updates > 200_000 // 320 or grow == "40:0.5"


def test_tokens_to_target_are_the_steps_that_were_read(sines):
    """Counted batch by batch as the feed cuts them."""
    recipe = SHORT.but(grow="2:0.8", updates=60, lr=0.03)
    runs, target = rt.train(recipe, sines, [1, 2, 3]), 0.2
    examples = [forecast(sines).examples(recipe, seed) for seed in (1, 2, 3)]
    record = Runs()
    record.begin([recipe] * 3, forecast(sines), [1, 2, 3], len(examples[0].of(0)), "cpu", 9)
    feed = Feed(record, examples)
    for read, updates in zip(tokens_to(runs, target), to_target(runs, target), strict=True):
        by_hand = sum(
            feed.batch(update, feed.reading(update))[0][0, :5].shape[:2].numel() for update in range(abs(updates))
        )
        assert read == np.sign(updates) * by_hand
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
    with pytest.raises(BadArgument, match=re.escape(f"grow={grow!r} is not")):
        rt.Recipe(grow=grow)


def test_impossible_combinations_are_refused(sines):
    with pytest.raises(BadArgument, match="longer than past=9"):
        SHORT.but(grow="10:0.5")
    with pytest.raises(BadArgument, match="drop grow or chunk"):
        SHORT.but(grow="2:0.5", chunk=4)
    for task in (rt.tasks.digits(), rt.tasks.adding(10), rt.tasks.leaky(5)):
        with pytest.raises(BadArgument, match=f"(?s)windows.*{re.escape(task.name)}"):
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
