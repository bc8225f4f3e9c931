"""Sequences of unequal length, padded: only the answers that count are trained on and scored."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from oracles import Twin, assert_same, begun

import rnntips as rt
from rnntips import training
from rnntips.doctor.gradients import gradient_by_lag
from rnntips.engine.losses import loss
from rnntips.engine.update import CUDAGraphUpdate
from rnntips.errors import BadArgument
from rnntips.tasks.memory import Leaky

SHORT = rt.Recipe(updates=4, width=5, batch_size=6, past=12)
PADDED = rt.tasks.padded_adding(11)


@dataclass(frozen=True)
class Some(Leaky):
    """A leaky sum that is asked for at some steps, of each seed its own; never at the first five."""

    def draw(self, past, rng):
        found = super().draw(past, rng)
        counted = (np.arange(past) > 4) & (rng.random((len(found.starts), past)) < 0.5)
        return replace(found, counted=counted.ravel())


def last_steps(example, windows):
    """Each window's own last step."""
    steps = example.counted[example.rows(windows)]
    assert (steps.sum(1) == 1).all()
    return steps.argmax(1)


@pytest.mark.parametrize("change", [{}, {"cell": "lstm", "layers": 2, "dense_after": (4,)}, {"batch_size": 1}], ids=str)
def test_a_padded_batch_has_the_loss_and_gradient_of_its_sequences_one_by_one(change):
    """In float64, without padding or a mask; what stands in the padding changes nothing."""
    recipe = SHORT.but(**change)
    _, network, loader, _ = begun([recipe], PADDED, [3])
    spec = loader.spec(0)
    inputs, targets, weights = loader.batch(0, spec)
    total = loss(loader.head, loader.trained(spec, network, inputs), targets, weights)
    gradient = network.gradient(total.sum())[0, : network.count]

    twin, example, size = Twin(network), loader.examples[0], recipe.batch_size
    windows = (loader.begins[0, :size] // example.steps).numpy()
    ends = last_steps(example, windows)
    assert size == 1 or len({*ends}) > 1
    each = [(twin(torch.tensor(one[: end + 1]).double()[None])[0][0, -1, 0] - one[: end + 1].prod(1).sum()).square()
            for one, end in zip(example.inputs(windows), ends, strict=True)]  # fmt: skip
    (sum(each) / size).backward()
    assert total.item() == pytest.approx(sum(each).item() / size, rel=1e-5)
    np.testing.assert_allclose(gradient, twin.gradient(), rtol=1e-4, atol=1e-6)

    outside = torch.arange(example.steps)[:, None] > torch.tensor(ends)[:, None, None]
    filled = inputs.clone()
    filled[0, :size] += 7.0 * outside
    assert torch.equal(loss(loader.head, loader.trained(spec, network, filled), targets, weights), total)


def test_lengths_are_half_to_whole_and_without_a_mask_the_answer_comes_after_the_padding():
    example, plain = (PADDED.examples(SHORT.but(mask=mask), 0) for mask in (True, False))
    lengths = last_steps(example, np.arange(len(example.times))) + 1
    assert {*lengths.tolist()} == {*range(5, 12)}
    for found in (example, plain):
        inputs = found.inputs(np.arange(len(found.times)))
        truth = found.answers(np.arange(len(found.times)))
        np.testing.assert_allclose(inputs.prod(2).sum(1), truth[:, 0], rtol=1e-5)
        assert (inputs[:, :, 1].sum(1) == 2).all()
    assert (example.inputs(np.arange(99))[np.arange(11) >= lengths[:99, None]] == 0).all()
    assert (plain.loss_at, plain.counted) == ("last", None)
    with pytest.raises(BadArgument, match="T=3: a whole number of at least 4"):
        rt.tasks.padded_adding(3)


@pytest.mark.parametrize(
    "change", [{}, {"chunk": 4}, {"chunk": 4, "stride": 2, "carry": True}, {"dropout": 0.2}], ids=str
)
def test_runs_whose_numbers_of_answers_differ_do_not_depend_on_each_other(change):
    """Their scores are those of the answers that count."""
    task, recipe = Some(3.0), SHORT.but(**change)
    counts = {len(task.examples(recipe, seed).answers(np.arange(64))) for seed in (1, 2, 3)}
    together = rt.train(recipe, task, [1, 2, 3])
    assert len(counts) > 1 and np.isfinite(together.test_scores).all() and np.isfinite(together.spread).all()
    for row, seed in enumerate((1, 2, 3)):
        assert_same(rt.train(recipe, task, [seed]), together.only([row]))
    example = task.examples(recipe, 2)
    _, network, _, _ = begun([recipe], task, [2])
    network.flat.copy_(torch.tensor(together.weights[1:2]))
    twin, windows = Twin(network), example.scored(2)
    assert len(windows) == 192
    with torch.no_grad():
        answers = twin(torch.tensor(example.inputs(windows)).double())[0].numpy()
    wrong = (answers[example.counted[example.rows(windows)]] - example.answers(windows)) ** 2
    assert together.test_scores[1, -1] == pytest.approx(np.sqrt(wrong.mean()), rel=1e-4)


def test_only_counted_steps_of_a_chunk_are_trained_on():
    """Of the mean over a batch's counted steps in it; where none counts the loss is 0, and no weight changes."""
    task, recipe = Some(3.0), SHORT.but(chunk=4, optimizer="sgd", updates=2)
    _, network, loader, _ = begun([recipe], task, [3])
    _, _, weights = loader.batch(0, loader.spec(0))
    assert (weights == 0).all()
    inputs, targets, weights = loader.batch(1, loader.spec(1))
    assert weights.sum().item() == pytest.approx(1) and (weights[:, :, 0] == 0).all()
    wrong = (Twin(network)(inputs[0, :6].double())[0] - targets[0, :6])[weights[0, :6] > 0].square().mean().item()
    runs = rt.train(recipe, task, [3])
    np.testing.assert_allclose(runs.train_loss[0], [0, wrong], rtol=1e-5)
    np.testing.assert_array_equal(runs.gradient_norm[0, 0], 0)


@pytest.mark.parametrize("change", [{}, {"chunk": 4, "carry": True, "dropout": 0.2}], ids=str)
def test_an_update_whose_number_stays_on_the_device_weighs_the_same_answers(change, monkeypatch):
    usual = rt.train(SHORT.but(**change), Some(3.0), [1, 2])
    monkeypatch.setattr(training, "updater", CUDAGraphUpdate)
    found = rt.train(SHORT.but(**change), Some(3.0), [1, 2])
    for name in ("train_loss", "weights", "valid_score"):
        np.testing.assert_allclose(getattr(found, name), getattr(usual, name), rtol=1e-4, atol=1e-6)


def test_what_is_said_of_whole_windows_is_refused():
    runs = rt.train(SHORT, PADDED, [0])
    with pytest.raises(BadArgument, match="padded adding 11 has sequences of unequal length"):
        gradient_by_lag(runs, PADDED, [0])
