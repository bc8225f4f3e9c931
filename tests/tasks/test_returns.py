"""What a price will bring: the data against their definition, and what can be learned of them."""

import numpy as np
import pytest

import rnntips as rt
from rnntips.errors import BadArgument
from rnntips.tasks import prices

RECIPE = rt.Recipe(past=400)


def prices_of(task, past, seed=0):
    """The first sequence's prices, (lags + past + more,)."""
    make = rt.series.sines_as_printed if task.printed else rt.series.sines
    more = {} if task.printed else {"noise": 0.01}
    steps = task.lags + past + (50 if task.printed else 10)
    return make(steps=steps, **more).simulator(rt.tasks.stream("data", task.name, seed))[:, 0]


@pytest.mark.parametrize("printed", [False, True])
def test_a_step_reads_the_last_changes_newest_first(printed):
    task = rt.tasks.returns(printed=printed, lags=5)
    example, price = task.examples(RECIPE, 0), prices_of(task, 400)
    read = example.inputs(example.of(0)[:1])[0]
    for step in (0, 7, 399):
        now = task.lags + step
        wanted = price[now - np.arange(5)] - price[now - np.arange(5) - 1]
        # standardized by all training sequences: the same straight line for every step of a channel
        slope = read[:, 0].std() / np.diff(price)[4:404].std()
        np.testing.assert_allclose(np.diff(read[step]), np.diff(wanted) * slope, atol=0.05)
    train = example.inputs(example.of(0)).reshape(-1, 5)
    np.testing.assert_allclose(train.mean(0), 0, atol=1e-3)
    np.testing.assert_allclose(train.std(0), 1, atol=1e-3)


def test_the_repaired_answer_is_the_change_over_ten_steps():
    task = rt.tasks.returns()
    example, price = task.examples(RECIPE, 3), prices_of(task, 400, 3)
    truth = example.truth[:400, 0]
    wanted = price[task.lags + 10 : task.lags + 410] - price[task.lags : task.lags + 400]
    np.testing.assert_allclose(truth - truth[0], wanted - wanted[0], atol=1e-12)
    np.testing.assert_allclose(example.targets * example.spread, example.truth, rtol=1e-5, atol=1e-6)


def test_the_printed_answers_obey_bellmans_equation():
    """Buying and selling: the next change or its opposite, and the discounted better value of the next step."""
    price = np.random.default_rng(0).normal(size=60).cumsum()
    buy, sell = rt.tasks.returns(printed=True)._answers(price).T
    change = np.diff(price)
    better = prices.DISCOUNT * np.maximum(buy, sell)[1:]
    np.testing.assert_allclose(buy[:-1], change + better, atol=1e-12)
    np.testing.assert_allclose(sell[:-1], -change + better, atol=1e-12)
    assert buy[-1] == sell[-1] == 0


def test_with_a_discount_near_one_nothing_could_be_learned(monkeypatch):
    task = rt.tasks.returns(printed=True, lags=128)

    def share():
        naive, floor, _ = task.bounds(RECIPE.but(past=2000), 0)
        return floor / naive

    half = share()
    monkeypatch.setattr(prices, "DISCOUNT", 0.99)
    monkeypatch.setattr(prices, "COUNTED", 1000)
    assert half < 0.82 and share() > 0.98


def test_a_patch_reads_its_steps_side_by_side_and_answers_for_the_last():
    for task in (rt.tasks.returns(), rt.tasks.leaky(5), rt.tasks.cue(30)):
        plain, patched = (task.examples(rt.Recipe(past=40, patch=patch), 1) for patch in (1, 10))
        some = plain.of(0)[:3]
        np.testing.assert_array_equal(patched.inputs(some), plain.inputs(some).reshape(3, 4, -1))
        np.testing.assert_array_equal(patched.truth[:4], plain.truth[9:40:10])
        if plain.counted is not None:
            np.testing.assert_array_equal(patched.counted, plain.counted[9::10])
    with pytest.raises(BadArgument, match="patch=7"):
        rt.tasks.leaky(5).examples(rt.Recipe(past=40, patch=7), 0)


def test_a_cue_is_seen_once_and_asked_for_after_its_lag():
    example = rt.tasks.cue(30).examples(rt.Recipe(past=40), 2)
    windows, answers = example.inputs(example.of(0)), example.answers(example.of(0)).reshape(1000, 10, 2)
    assert (windows[:, 1:] == 0).all() and set(windows[:, 0].ravel()) == {-1, 1}
    np.testing.assert_array_equal(answers[:, 0, 1], windows[:, 0, 0] == 1)
    assert (answers == answers[:, :1]).all()
    with pytest.raises(BadArgument, match="end before the first answer"):
        rt.tasks.cue(30).examples(rt.Recipe(past=30), 0)
