"""Data for loops of one's own: against the package's loader, its losses and its scores; naive against a loop."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from oracles import LOSSES, Twin, begun
from torch.nn import functional

import rnntips as rt
from rnntips.errors import BadArgument
from rnntips.loader import examples_of

SHORT = rt.Recipe(updates=7, past=12, width=5, batch_size=6)
SINES = rt.tasks.forecast(rt.series.sines(steps=600))
DEMAND = rt.tasks.forecast(rt.series.demand())
STREAM, PADDED = rt.tasks.recall_stream(4), rt.tasks.padded_adding(11)
TASKS = [SINES, rt.tasks.forecast(rt.series.co2()), rt.tasks.digits(rows=True), rt.tasks.characters(),
         rt.tasks.adding(6), PADDED, rt.tasks.recall(5), STREAM,
         rt.tasks.leaky(5), rt.tasks.opposing(6)]  # fmt: skip
CHANGES = [(SINES, {"grow": "3:0.5"}), (SINES, {"workers": 3, "shards": "unlike"}), (SINES, {"train_size": 30}),
           (SINES, {"order": "time", "patch": 3, "lags": (2,)}), (rt.tasks.digits(), {"order": "class"}),
           (STREAM, {"chunk": 5}), (STREAM, {"chunk": 4, "stride": 3, "carry": True}), (PADDED, {"mask": False}),
           (rt.tasks.leaky(5), {"chunk": 4, "order": "scrambled"}), (PADDED, {"chunk": 5})]  # fmt: skip


@dataclass(frozen=True)
class Plain:
    """A task of somebody's own, with nothing but what a task must have."""

    name, unit, version, ignores = "plain", "units", 1, frozenset()
    of = SINES

    def examples(self, recipe, seed):
        return replace(self.of.examples(recipe, seed), last=None)

    def bounds(self, recipe, seed, examples=None):
        return self.of.bounds(recipe, seed, examples)

    def score(self, predictions, truth):
        return self.of.score(predictions, truth)

    def values(self, seed):
        return self.of.values(seed)

    def meaning(self, recipe, seed):
        return self.of.meaning(recipe, seed)


def mean_loss(head, outputs, targets):
    """A torch loss of those answers that count."""
    if targets.dtype == torch.int64:
        return functional.cross_entropy(outputs.flatten(0, -2), targets.flatten())
    return LOSSES[head](outputs[~targets.isnan()], targets[~targets.isnan()])


@pytest.mark.parametrize("task, change", [*((task, {}) for task in TASKS), *CHANGES], ids=str)
def test_batches_are_the_loaders_bit_for_bit_and_go_on_after_the_recipes_updates(task, change):
    recipe = SHORT.but(**change)
    found = task.batches(recipe, 3)
    for before in (0, 7):
        _, _, loader, _ = begun([recipe], task, [3], before)
        for update in range(7):
            spec = loader.spec(update)
            inputs, targets, weights = (part[:, :6] if part.dim() > 2 else part for part in loader.batch(update, spec))
            mine, wanted = next(found)
            assert mine.dtype == torch.float32
            inputs = inputs[:, :, spec.burn_in :].flatten(0, 1)
            assert mine.numpy().tobytes() == inputs.numpy().tobytes() and mine.shape == inputs.shape
            targets = targets.flatten(0, 1)
            if wanted.dim() > 1 and loader.loss_at == "every":
                skipped, wanted = wanted[:, : -targets.shape[1]], wanted[:, -targets.shape[1] :]
                counts = weights[0] > 0 if weights.dim() == 3 else torch.ones(targets.shape[:2], dtype=bool)
                left_out = wanted == -100 if wanted.dim() == 2 else wanted[..., 0].isnan()
                assert (left_out == ~counts).all() and ((skipped == -100) | skipped.isnan()).all()
                wanted, targets = wanted[counts], targets[counts]
            if loader.examples[0].classes:
                wanted = functional.one_hot(wanted, targets.shape[-1])
            torch.testing.assert_close(wanted.float(), targets, rtol=0, atol=0)


@pytest.mark.parametrize("task", [*TASKS, Plain()], ids=lambda task: task.name)
def test_a_torch_loop_has_the_losses_of_the_package(task):
    """Of the starting weights, batch after batch; and on parts that are scored whole its score and naive error."""
    recipe = SHORT.but(lr=1e-30)
    runs, network = rt.train(recipe, task, [3]), begun([recipe], task, [3])[1]
    twin, example = Twin(network), examples_of(recipe, task, 3)

    def answers(inputs):
        hidden = twin(inputs.double())[0].detach()
        return hidden if example.loss_at == "every" else hidden[:, -1]

    batches = rt.tasks.batches(task, recipe, 3)
    losses = [mean_loss(example.head, answers(x), y) for (x, y), _ in zip(batches, range(7), strict=False)]
    np.testing.assert_allclose(runs.train_loss[0], losses, rtol=1e-5)
    for number, part, theirs in ((1, "valid", runs.valid_naive), (2, "test", runs.naive)):
        if len(example.of(number)) == len(example.scored(number)):
            pairs = zip(*rt.tasks.batches(task, recipe, 3, part), strict=True)
            inputs, targets = map(torch.cat, pairs)
            error = mean_loss("linear+rmse", answers(inputs), targets).item()
            score = runs.valid_score[0, -1] if part == "valid" else runs.test_score[0]
            assert score == pytest.approx(error * example.spread, rel=1e-5)
            assert rt.tasks.naive(task, part, recipe, 3) * example.spread == pytest.approx(theirs[0])


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
@pytest.mark.parametrize("part", ["valid", "test"])
def test_a_part_comes_once_and_whole(task, part):
    found, example = list(task.batches(SHORT, 3, part)), examples_of(SHORT, task, 3)
    windows = example.of(["train", "valid", "test"].index(part))
    assert [len(x) for x, _ in found[:-1]] == [6] * (len(found) - 1) and 0 < len(found[-1][0]) <= 6
    np.testing.assert_array_equal(torch.cat([x for x, _ in found]), example.inputs(windows))
    assert sum(len(y) for _, y in found) == len(windows)


@pytest.mark.parametrize("change", [{}, {"horizon": 3}, {"target": "change"}, {"target_scaling": "minmax"}], ids=str)
@pytest.mark.parametrize("part", ["valid", "test"])
def test_naive_is_the_error_of_the_last_value_in_the_unit_of_the_targets(change, part):
    """From tensors alone; the scaled error is the same one in another unit."""
    recipe = SHORT.but(**change)
    x, y = (torch.cat(parts).double() for parts in zip(*DEMAND.batches(recipe, 3, part, scaled=False), strict=True))
    last = 0 if recipe.target == "change" else x[:, -1, :1]
    assert DEMAND.naive(part, recipe, 3, scaled=False) == pytest.approx((y - last).square().mean().sqrt().item())
    scaled = torch.cat([y for _, y in DEMAND.batches(recipe, 3, part)]).double()
    slope = y.std() / scaled.std()
    torch.testing.assert_close(scaled * slope + (y - scaled * slope).mean(), y, rtol=1e-4, atol=1e-4)
    assert DEMAND.naive(part, recipe, 3) == pytest.approx(DEMAND.naive(part, recipe, 3, scaled=False) / slope.item())


def test_without_recipe_and_seed_naive_is_that_of_the_defaults():
    assert SINES.naive("test") == SINES.naive("test", rt.Recipe(), 0) != SINES.naive("test", seed=1)
    digits = rt.tasks.digits()
    assert digits.naive() == digits.naive("valid") != digits.naive("test")


@pytest.mark.parametrize("given, says", [
    (dict(part="training"), "part 'training' is not known. Did you mean 'train'"),
    (dict(seed=-1), "seed=-1: a whole number of at least 0"),
    (dict(recipe={"past": 3}), "a Recipe, made with rt.Recipe"),
    (dict(recipe=SHORT.but(batch_size=9999)), "batch_size=9999 is larger than the training part"),
    (dict(recipe=SHORT.but(chunk=3)), "chunk=3 cuts sequences"),
    (dict(scaled="no"), "scaled='no': True or False is needed"),
])  # fmt: skip
def test_what_a_loop_cannot_train_on_is_refused_at_once(given, says):
    with pytest.raises(BadArgument, match=says):
        SINES.batches(**{"recipe": SHORT, "seed": 0} | given)


def test_a_task_of_ones_own_has_a_naive_error_where_it_says_one():
    with pytest.raises(BadArgument, match='plain says its naive error for "valid" and "test" alone'):
        rt.tasks.naive(Plain(), "train")
    with pytest.raises(BadArgument, match="a task or a series"):
        rt.tasks.batches(rt.tasks.adding, SHORT, 0)
