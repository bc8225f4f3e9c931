"""Pre-training: what is predicted, which layers are kept, what is left of it, and what cannot be pre-trained."""

from threading import Event

import numpy as np
import pytest
import torch
from oracles import Twin

import rnntips as rt
from rnntips.errors import BadArgument
from rnntips.loader import rebuilt

TASK = rt.tasks.digits(rows=True)
WAVE = rt.tasks.forecast(rt.series.wave())
FROZEN = rt.Recipe(updates=32, width=6, batch_size=5, train_size=20, pretrain="next step:30", frozen="recurrent")
BEFORE = rt.Recipe(updates=30, width=6, batch_size=5)


@pytest.mark.parametrize(("task", "past"), [(TASK, 8), (WAVE, 9)], ids=lambda value: getattr(value, "name", value))
def test_every_step_asks_for_the_inputs_of_the_next_one(task, past):
    recipe = BEFORE.but(past=past)
    given, made = task.examples(recipe, 3), rt.tasks.next_step(task).examples(recipe, 3)
    windows = given.inputs(np.arange(len(given.starts)))
    assert made.steps == past - 1
    np.testing.assert_array_equal(made.inputs(np.arange(len(windows))), windows[:, :-1])
    np.testing.assert_array_equal(made.answers(made.of(2)), windows[given.of(2), 1:].reshape(-1, windows.shape[2]))
    assert [set(made.of(part)) for part in range(3)] == [set(given.of(part)) for part in range(3)]


def test_shuffled_windows_have_the_same_steps_in_an_order_of_their_own():
    plain, mixed = (rt.tasks.next_step(TASK, shuffled=some).examples(BEFORE, 3) for some in (False, True))

    def whole(examples):
        inputs = examples.inputs(np.arange(len(examples.starts)))
        return np.concatenate([inputs, examples.targets.reshape(inputs.shape)[:, -1:]], 1)

    before, after = whole(plain), whole(mixed)
    np.testing.assert_array_equal(np.sort(before, 1), np.sort(after, 1))
    moved = (before != after).any(2).mean()
    assert 0.5 < moved < 1
    again, other = (rt.tasks.next_step(TASK, shuffled=True).examples(BEFORE, seed) for seed in (3, 4))
    assert np.array_equal(mixed.signal, again.signal) and not np.array_equal(mixed.signal, other.signal)


@pytest.mark.parametrize("change", [{}, {"dense": (4,), "dense_after": (3,), "cell": "lstm", "lr": 0.3}], ids=str)
def test_layers_up_to_the_recurrent_ones_are_those_of_a_network_trained_on_the_next_step(change):
    """Bit for bit, with a learning rate, a readout and all training windows of its own; and nothing is left out."""
    runs = rt.train(FROZEN.but(**change), TASK, [3, 4])
    change = {name: value for name, value in change.items() if name not in ("lr", "dense_after")}
    before = rt.train(BEFORE.but(**change), rt.tasks.next_step(TASK), [3, 4])
    below = rebuilt(before.recipes, before.seeds, rt.tasks.next_step(TASK), lambda one: one.of(0)[:1]).network.below
    np.testing.assert_array_equal(runs.weights[:, :below], before.weights[:, :below])
    assert runs.updates == 2 and before.updates == 30
    np.testing.assert_allclose(runs.pretext, before.test_scores[:, [2, 2]], rtol=1e-5)


def test_a_readout_begins_as_without_pre_training_and_the_task_has_the_updates_that_are_left():
    alone = FROZEN.but(pretrain=None, frozen=None, updates=1, lr=1e-12)
    fine, scratch = rt.train(FROZEN.but(frozen=None, updates=31, lr=1e-12), TASK, [3]), rt.train(alone, TASK, [3])
    first = rebuilt(scratch.recipes, scratch.seeds, TASK, lambda one: one.of(0)[:1]).network.below
    np.testing.assert_allclose(fine.weights[:, first:], scratch.weights[:, first:], atol=1e-6)
    assert np.abs(fine.weights[:, :first] - scratch.weights[:, :first]).max() > 0.01
    assert fine.train_loss.shape == (1, 1) and not scratch.pretext.size


def test_stages_go_on_where_the_last_one_stopped_with_more_windows():
    pretext, seeds = rt.tasks.next_step(TASK), [3, 4]
    windows = len(pretext.examples(BEFORE, 3).of(0))
    first = rt.train(BEFORE.but(updates=15, train_size=windows // 2), pretext, seeds)
    second = rt.train(BEFORE.but(updates=15), pretext, seeds, start=first)
    runs = rt.train(FROZEN.but(pretrain="next step:30:2"), TASK, seeds)
    below = 3 * 6 * (8 + 6 + 2)
    np.testing.assert_array_equal(runs.weights[:, :below], second.weights[:, :below])


def test_what_is_left_of_pre_training_is_the_old_readout_on_the_new_layers():
    """In float64, step by step, as torch.nn computes it."""
    runs = rt.train(FROZEN.but(frozen=None, updates=60, lr=0.1), TASK, [3])
    before = rt.train(BEFORE, rt.tasks.next_step(TASK), [3])
    weights, below = before.weights.copy(), 3 * 6 * (8 + 6 + 2)
    weights[:, :below] = runs.weights[:, :below]
    network, (example,), (chosen,), inputs = rebuilt(
        before.recipes, before.seeds, rt.tasks.next_step(TASK), lambda one: one.scored(2), weights
    )
    answers = Twin(network)(inputs[0].double())[0]
    wanted = torch.tensor(example.answers(chosen)).view(answers.shape)
    error = (answers - wanted).square().mean().sqrt().item()
    assert runs.pretext[0, 1] == pytest.approx(error, rel=1e-5)
    assert runs.pretext[0, 1] > 1.05 * runs.pretext[0, 0]


def test_runs_do_not_depend_on_their_company_and_come_back_from_a_store(tmp_path):
    recipe = FROZEN.but(frozen=None, updates=40)
    both, one = rt.train(recipe, TASK, [3, 4]), rt.train(recipe, TASK, [4])
    np.testing.assert_array_equal(both.weights[1], one.weights[0])
    studies = [rt.compare(recipe.but(pretrain=None), recipe, TASK, range(3, 5), store=tmp_path) for _ in range(2)]
    for study in studies:
        np.testing.assert_array_equal(study.runs[TASK.name][1].pretext, both.pretext)
        np.testing.assert_array_equal(study.runs[TASK.name][1].weights, both.weights)


def test_pre_training_can_be_stopped():
    class Later(Event):
        """Set once it has been asked so many times."""

        asked = 0

        def is_set(self):
            self.asked += 1
            return self.asked > 10

    stop = Later()
    runs = rt.train(FROZEN.but(pretrain="next step:30:2"), TASK, [3], stop=stop)
    assert runs.stopped and runs.reached == 0 and stop.asked < 15 and not runs.pretext.size


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        *(({"pretrain": bad}, r"is not of the form .next step:300.") for bad in
          ("next step", "next step:0", "next step:2.5", "next step:x", "next step:2:3", "next step:9:0", "next:9",
           "next step:9+cosine", "next step:9:2:1", "")),
        ({"pretrain": 300}, "a short text such as"),
        ({"pretrain": "next step:300"}, "leaves none of updates=300"),
        ({"pretrain": "next step:9", "workers": 2}, "pretrain=.* and workers=2 cannot be combined.*Leave one"),
        ({"pretrain": "next step:9", "budget": rt.epochs(3)}, "and budget=3 epochs cannot be combined"),
    ],
)  # fmt: skip
def test_what_cannot_be_pre_trained_is_refused(fields, words):
    with pytest.raises(BadArgument, match=words):
        rt.Recipe(**fields)


@pytest.mark.parametrize("task", [rt.tasks.leaky(5), rt.tasks.characters()], ids=lambda task: task.name)
def test_tasks_with_answers_at_every_step_are_refused_before_anything_is_trained(task):
    recipe = rt.Recipe(pretrain="next step:30", past=9, updates=40)
    with pytest.raises(BadArgument, match=r"windows with one answer, and .* has answers at every step"):
        rt.train(recipe, task, [0])
    with pytest.raises(BadArgument, match="has answers at every step"):
        rt.compare(recipe.but(pretrain=None), recipe, task, range(2))
