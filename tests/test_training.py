"""The training loop: what a run depends on, and what may happen to it."""

from threading import Event

import numpy as np
import pytest
import torch
from oracles import LOSSES, assert_same, trained

import rnntips as rt
from rnntips import training
from rnntips.engine.losses import HEADS
from rnntips.errors import BadArgument
from rnntips.loader import Loader, examples_of
from rnntips.training import Job, begin, predict, train_jobs

SHORT = rt.Recipe(updates=12, past=9, width=6, batch_size=5)


@pytest.fixture(scope="module")
def sines():
    return rt.series.sines(steps=600)


@pytest.fixture(params=["compiled", "torch"])
def kind(request, monkeypatch):
    """Both ways of a CPU to make an update."""
    if request.param == "torch":
        monkeypatch.setattr("rnntips.engine.compiled_update", lambda: None)


def stack(recipes, series, seeds) -> rt.Runs:
    return train_jobs([Job(recipes, seeds, rt.tasks.forecast(series))], [rt.Runs()])[0]


# --- against plain torch

RULES = {"sgd": {"optimizer": "sgd", "momentum": 0.9}, "rmsprop": {"optimizer": "rmsprop", "momentum": 0.9}, "adam": {},
         "nesterov": {"optimizer": "sgd", "momentum": 0.9, "nesterov": True},
         **{name: {"optimizer": name} for name in ("adamw", "adagrad", "adadelta")}}  # fmt: skip


def equals_torch(recipe, task, seed=3, **by_hand):
    losses, norms, weights = trained(recipe, task, seed, **by_hand)
    runs = rt.train(recipe, task, [seed])
    np.testing.assert_allclose(runs.train_loss[0], losses, rtol=1e-4)
    np.testing.assert_allclose(runs.gradient_norm[0], norms, rtol=1e-3)
    np.testing.assert_allclose(runs.weights[0, : len(weights)], weights, atol=2e-4)


@pytest.mark.parametrize("clip", ["global", "tensor", "value", "weights"])
@pytest.mark.parametrize("rule", RULES)
def test_the_whole_loop_equals_torch_with_clipping_decay_and_momentum(sines, rule, clip, kind):
    limit = 0.2 if clip == "weights" else 0.02
    more = RULES[rule] | {"weight_decay": 0.1, "clip": clip, "clip_norm": limit}
    equals_torch(SHORT.but(updates=3, lr=0.05, **more), rt.tasks.forecast(sines))


@pytest.mark.parametrize("rule", ["sgd", "adam"])
def test_updates_by_a_schedule_equal_torchs(sines, rule, kind):
    recipe = SHORT.but(updates=8, lr=0.02, schedule="warmup:3+drop:0.2:0.75", **RULES[rule])
    equals_torch(recipe, rt.tasks.forecast(sines), factors=[1 / 3, 2 / 3, 1, 1, 1, 1, 0.2, 0.2])


@pytest.mark.parametrize("head", ["softmax+nll", "linear+mse"])
@pytest.mark.parametrize("change", [*RULES.values(), {"cell": "lstm", "layers": 2, "dense": (4,)}], ids=str)
def test_updates_on_classes_equal_torchs(change, head, kind):
    """By their likelihood, and by the squared error of one-hot rows."""
    equals_torch(SHORT.but(updates=3, head=head, **change), rt.tasks.digits(rows=True))


@pytest.mark.parametrize("head", LOSSES)
def test_updates_by_every_loss_equal_torchs(sines, head):
    task = rt.tasks.forecast(sines) if "values" in HEADS[head].fits else rt.tasks.digits(rows=True)
    equals_torch(SHORT.but(updates=3, head=head), task)


@pytest.mark.parametrize("change", [{"patch": 3}, {"lags": (4, 9)}, {"patch": 9, "lags": (4,), "layers": 2}], ids=str)
def test_updates_on_patches_and_lags_equal_torchs(sines, change, kind):
    """Without them the losses are others."""
    equals_torch(SHORT.but(updates=3, **change), rt.tasks.forecast(sines))
    usual, other = (rt.train(SHORT.but(updates=1, **some), sines, [3]).train_loss for some in ({}, change))
    assert usual[0, 0] != other[0, 0]


@pytest.mark.parametrize("spikes", [0.0, 0.05])
@pytest.mark.parametrize("features", ["levels", "differences:1", "differences:5"])
def test_updates_on_a_series_with_inputs_equal_torchs(features, spikes, kind):
    """Every kind of features has the inputs beside it: another input column, another run."""
    columns = np.random.default_rng(0).normal(size=(200, 3)).cumsum(0)
    task, other = (rt.tasks.forecast(rt.series.from_array(values), spikes) for values in (columns, columns[:, :2]))
    equals_torch(SHORT.but(updates=3, features=features), task)
    assert 1 == task.examples(SHORT.but(features=features), 3).channels - other.examples(
        SHORT.but(features=features), 3).channels  # fmt: skip


# --- what a run depends on


@pytest.mark.parametrize(
    "change",
    [{}, {"width": 7, "past": 13}, {"width": 1, "batch_size": 1}, {"cell": "lstm", "layers": 2, "width": 5},
     {"cell": "tanh", "clip_norm": 0.1}, {"width": 24, "batch_size": 16}, {"dropout": 0.3}, {"width": 3}, {"width": 11},
     {"width": 25}, {"noise": 0.3}, {"noise_between": 0.3, "layers": 2},
     {"noise_between": 0.1, "dense": (4,), "width": 7},
     {"dense_after": (7,), "width": 5}, {"dense_after": (3, 9), "noise_between": 0.1, "layers": 2},
     {"train_size": 20}, {"train_size": 7, "order": "time"}],
    ids=str,
)  # fmt: skip
def test_a_run_alone_equals_the_same_run_in_company_bit_for_bit(sines, change):
    recipe = SHORT.but(**change)
    company = rt.train(recipe, sines, range(20))
    for seeds in ([7], [13], [7, 3], [1, 7, 12]):
        assert_same(rt.train(recipe, sines, seeds), company.only(seeds))


def test_a_run_does_not_depend_on_the_recipes_beside_it(sines):
    shuffled = SHORT.but(split="shuffled")
    others = [SHORT.but(lr=0.1), SHORT.but(input_scaling="none"), SHORT, SHORT.but(target="change"), shuffled]
    found = stack(others, sines, [5, 5, 5, 6, 5])
    for row in (2, 4):
        assert_same(found.only([row]), rt.train(others[row], sines, [5]))
    assert found.test_score[2] != found.test_score[4]
    with pytest.raises(BadArgument, match="differ in shape"):
        stack([SHORT, SHORT.but(width=7)], sines, [5, 5])


def test_the_number_of_threads_changes_nothing_and_is_given_back(sines, monkeypatch):
    before = torch.get_num_threads()
    try:
        results = []
        for threads in (1, 2):
            torch.set_num_threads(threads)
            monkeypatch.setenv("RNNTIPS_THREADS", str(threads))
            results.append(rt.train(SHORT, sines, range(3)))
            assert torch.get_num_threads() == threads
        assert_same(*results)
    finally:
        torch.set_num_threads(before)


def test_global_random_state_is_left_alone(sines):
    np.random.seed(0)
    torch.manual_seed(0)
    before = np.random.get_state()[1].copy(), torch.get_rng_state()
    rt.train(SHORT.but(dropout=0.2), sines, [0])
    assert np.array_equal(before[0], np.random.get_state()[1])
    assert torch.equal(before[1], torch.get_rng_state())


def test_training_learns(sines):
    runs = rt.train(rt.Recipe(updates=150, past=32, lr=0.01), sines, range(4))
    assert (runs.valid_score[:, -1] < 0.3 * runs.valid_score[:, 0]).all()
    assert (runs.floor < runs.test_score).all() and (runs.test_score < runs.naive).all()
    assert all(outcome is rt.Outcome.FINISHED for outcome in runs.outcome)


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "rmsprop"])
def test_going_on_from_a_record_equals_training_without_a_break(sines, optimizer):
    recipe = SHORT.but(optimizer=optimizer, lr=0.01)
    whole = rt.train(recipe.but(updates=12), sines, [1, 2])
    first = rt.train(recipe.but(updates=5), sines, [1, 2])
    second = rt.train(recipe.but(updates=7), sines, [1, 2], start=first)
    np.testing.assert_array_equal(whole.weights, second.weights)
    np.testing.assert_array_equal(whole.train_loss, np.hstack([first.train_loss, second.train_loss]))
    with pytest.raises(BadArgument, match="same seeds"):
        rt.train(recipe, sines, [1, 3], start=first)


def test_a_run_that_diverges_is_an_outcome_at_its_update_and_touches_no_other(sines):
    wild = SHORT.but(optimizer="sgd", lr=1e18, cell="relu")
    calm = wild.but(lr=0.01)
    runs = stack([calm, wild, calm], sines, [0, 0, 1])
    at = runs.diverged_at[1]
    assert at > 0 and runs.diverged_at[0] == runs.diverged_at[2] == 0
    assert np.isfinite(runs.train_loss[1, : at - 1]).all() and not np.isfinite(runs.train_loss[1, at - 1])
    assert runs.outcome[1] is rt.Outcome.DIVERGED
    assert f"update {at}" in runs.message(1) and "lr=0.01" in runs.message(1)
    assert_same(runs.only([0, 2]), rt.train(calm, sines, [0, 1]))


# --- what ends it


def at_five(patch, then):
    """Let something happen before the sixth update of any training."""
    real = training.updater

    def updater(*given):
        step = real(*given)

        class Watched:
            prompt, arrived = step.prompt, step.arrived

            def __call__(self, update):
                if update == 5:
                    then()
                step(update)

        return Watched()

    patch.setattr(training, "updater", updater)


def interrupt():
    raise KeyboardInterrupt


def test_stop_keeps_what_was_recorded(sines, monkeypatch):
    whole, stop = rt.train(SHORT, sines, [0, 1]), Event()
    at_five(monkeypatch, stop.set)
    runs = rt.train(SHORT, sines, [0, 1], stop=stop)
    assert runs.reached == 6 and all(outcome is rt.Outcome.STOPPED for outcome in runs.outcome)
    np.testing.assert_array_equal(whole.train_loss[:, :6], runs.train_loss[:, :6])
    assert np.isnan(runs.train_loss[:, 6:]).all() and np.isfinite(runs.latest_score).all()


def test_an_interrupted_kernel_keeps_the_partial_record(sines, monkeypatch):
    at_five(monkeypatch, interrupt)
    runs = rt.train(SHORT, sines, [0, 1])
    assert runs.stopped and runs.reached == 5 and np.isfinite(runs.train_loss[:, :5]).all() and runs.weights.size
    study = rt.compare(SHORT, SHORT.but(lr=1e-4), on=sines, seeds=range(10), record=rt.Runs())
    assert study.stopped and study.verdict == "UNCLEAR"
    with pytest.raises(KeyboardInterrupt):
        stack([SHORT], sines, [0])


def test_jobs_take_turns_and_each_is_as_it_would_be_alone(sines):
    """The one that is furthest behind in its budget makes the next update."""
    task, recipes, records = rt.tasks.forecast(sines), [SHORT, SHORT.but(width=7, updates=4)], [rt.Runs(), rt.Runs()]
    jobs, seen, real = [Job([recipe], [3], task) for recipe in recipes], [], training._note
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "_note", lambda record, *given: seen.append(
            [record.reached / record.updates for record in records]) or real(record, *given))  # fmt: skip
        train_jobs(jobs, records)
    assert len(seen) > 16 and all(abs(one - other) <= 0.25 for one, other in seen)
    for recipe, record in zip(recipes, records, strict=True):
        assert_same(record, rt.train(recipe, sines, [3]))


def test_updates_are_made_one_by_one_by_whoever_asks_for_them(sines):
    record = rt.Runs()
    updates = begin(Job([SHORT], [3], rt.tasks.forecast(sines)), record)
    assert len(record) == 1 and record.reached == 0
    assert [next(updates) for _ in range(5)] == [1, 2, 3, 4, 5] and np.isfinite(record.train_loss[0, :4]).all()
    assert [*updates] == [*range(6, 13)]
    assert_same(record, rt.train(SHORT, sines, [3]))


def test_predictions_are_those_of_the_record_that_was_scored(sines):
    runs = rt.train(SHORT, sines, [1, 4])
    found, truth = predict(runs, sines, 20)
    task = rt.tasks.forecast(sines)
    loader = Loader(runs, [examples_of(SHORT, task, seed) for seed in (1, 4)])
    network = rt.models.network_for(SHORT, loader.examples[0], torch.tensor(runs.weights))
    ((scored, answers),) = loader.predict(network, 2)
    np.testing.assert_array_equal(task.score(scored, answers), runs.test_scores[:, -1])
    np.testing.assert_allclose(found[:, 0], scored[:, 0, 0], rtol=1e-5)  # both begin with the first of the part
    np.testing.assert_array_equal(truth[:, 0], answers[:, 0, 0])
    assert found.shape == truth.shape == (2, 20)


# --- what is refused


@pytest.mark.parametrize(
    ("arguments", "words"),
    [({"seeds": []}, "at least one is needed"),
     ({"recipe": SHORT.but(batch_size=5000)}, "larger than the training part.*at most"),
     ({"recipe": SHORT.but(train_size=5000)}, "train_size=5000.*sines has [0-9]+ windows"),
     ({"device": "tpu"}, "'tpu'.*\"cpu\""), ({"on": [1, 2, 3]}, "from_array")],
)  # fmt: skip
def test_bad_arguments_are_named_before_any_training(sines, arguments, words):
    with pytest.raises(BadArgument, match=words):
        rt.train(**{"recipe": SHORT, "on": sines, "seeds": [0]} | arguments)


# --- noise, and starts


@pytest.mark.parametrize("changes", [{"noise": 0.3}, {"noise_between": 0.3, "layers": 2, "dense": (4,)}], ids=str)
def test_training_is_noisy_and_evaluation_is_not(sines, changes):
    """Without any learning the scores of all evaluations are those of a calm network; the losses are not."""
    calm = SHORT.but(lr=1e-30, **{name: value for name, value in changes.items() if "noise" not in name})
    louder = calm.but(**changes | {name: 0.6 for name in changes if "noise" in name})
    noisy, quiet = stack([calm.but(**changes), louder], sines, [3, 3]), rt.train(calm, sines, [3])
    np.testing.assert_allclose(noisy.valid_score, quiet.valid_score.repeat(2, 0), rtol=1e-5)
    losses = [quiet.train_loss[0], *noisy.train_loss]
    assert not any(np.isclose(losses[i], losses[j], rtol=1e-5).any() for i, j in ((0, 1), (0, 2), (1, 2)))


def test_a_start_that_does_not_fit_and_a_used_record_are_refused(sines):
    first = rt.train(SHORT, sines, [1, 2])
    for other in (SHORT.but(width=8), SHORT.but(cell="tanh"), SHORT.but(optimizer="sgd"), SHORT.but(layers=2),
                  SHORT.but(dense_after=(1,))):  # fmt: skip
        with pytest.raises(BadArgument, match="start= needs"):
            rt.train(other, sines, [1, 2], start=first)
    with pytest.raises(BadArgument, match="filled before"):
        rt.train(SHORT, sines, [1, 2], record=first)
    with pytest.raises(BadArgument, match="a Recipe, made with"):
        rt.train("gru", sines, [1])
