"""Heads: their losses against `torch.nn`'s in float64, what is scored, and which task they fit."""

import numpy as np
import pytest
import torch
from oracles import LOSSES
from torch import nn

import rnntips as rt
from rnntips.engine.losses import HEADS, as_scored, heads_for, loss, losses
from rnntips.errors import BadArgument
from rnntips.tasks.task import nats

ONE_HOT = nn.functional.one_hot
TASKS = {"classes": rt.tasks.digits(rows=True), "values": rt.tasks.adding(4)}
SHORT = rt.Recipe(updates=4, width=5, past=9, batch_size=5)


def drawn(head, *shape, classes=4):
    rng = torch.Generator().manual_seed(1)
    outputs = (3 * torch.randn(*shape, classes, generator=rng, dtype=torch.float64)).requires_grad_()
    targets = torch.randn(*shape, classes, generator=rng, dtype=torch.float64)
    return outputs, ONE_HOT(targets.argmax(-1), classes).double() if "classes" in HEADS[head].fits else targets


@pytest.mark.parametrize("shape", [(3, 6), (3, 6, 5)], ids=["last", "every"])
@pytest.mark.parametrize("head", HEADS)
def test_a_mini_batchs_loss_and_gradient_are_torchs(head, shape):
    """Of each run alone, over its windows and, if there are such, its steps; a window of weight 0 has no part in it."""
    outputs, targets = drawn(head, *shape)
    weights = torch.tensor([0.2] * 5 + [0.0], dtype=torch.float64)
    mine = loss(head, outputs, targets, weights)
    flat = [(outputs[r, :5].flatten(0, -2), targets[r, :5].flatten(0, -2)) for r in range(3)]
    theirs = torch.stack([LOSSES[head](*one) for one in flat])
    torch.testing.assert_close(mine, theirs, rtol=1e-12, atol=0)
    slopes = [torch.autograd.grad(value.sum(), outputs)[0] for value in (mine, theirs)]
    torch.testing.assert_close(*slopes, rtol=1e-10, atol=1e-14)
    each = torch.stack([torch.stack([LOSSES[head](outputs[r, b : b + 1].flatten(0, -2), targets[r, b : b + 1].flatten(
        0, -2)) for b in range(6)]) for r in range(3)])  # fmt: skip
    torch.testing.assert_close(losses(head, outputs, targets), each, rtol=1e-12, atol=0)


@pytest.mark.parametrize("head", HEADS)
def test_weights_of_single_answers_leave_the_others_out(head):
    """As with torch's `ignore_index`: the mean over the answers that count, of all windows together."""
    outputs, targets = drawn(head, 2, 4, 5)
    counted = torch.rand(2, 4, 5, generator=torch.Generator().manual_seed(2)) < 0.4
    mine = loss(head, outputs, targets, counted / counted.sum((1, 2), keepdim=True).double())
    theirs = torch.stack([LOSSES[head](outputs[r][counted[r]], targets[r][counted[r]]) for r in range(2)])
    torch.testing.assert_close(mine, theirs, rtol=1e-12, atol=0)
    slopes = [torch.autograd.grad(value.sum(), outputs)[0] for value in (mine, theirs)]
    torch.testing.assert_close(*slopes, rtol=1e-10, atol=1e-14)


def test_what_is_scored_is_the_output_after_its_activation():
    """Values as they are answered; classes by the probabilities that are answered, in logits."""
    outputs, truth = drawn("softmax+nll", 1, 6)
    given, truth = outputs.detach().numpy(), truth.numpy()
    usual = nn.CrossEntropyLoss()(outputs[0], torch.tensor(truth[0]).argmax(1)).item()
    for head in ("softmax+nll", "softmax+mse", "softmax twice+nll"):
        assert nats(as_scored(head, given, True), truth)[0] == pytest.approx(usual)
    shares = torch.sigmoid(outputs[0]).clamp(0.001, 1)
    shares = (shares / shares.sum(1, keepdim=True))[torch.tensor(truth[0]) == 1]
    assert nats(as_scored("sigmoid+bce", given, True), truth)[0] == pytest.approx(-shares.log().mean().item())
    for head, activation in (("linear+huber", nn.Identity()), ("sigmoid+mse", nn.Sigmoid()), ("relu+mse", nn.ReLU())):
        np.testing.assert_array_equal(as_scored(head, given, False), activation(outputs).detach().numpy())


@pytest.mark.parametrize("head", HEADS)
def test_a_head_trains_the_tasks_that_it_fits_and_no_other(head):
    """The score is the task's own: naive and unit do not depend on the head."""
    for kind, task in TASKS.items():
        if head in heads_for(kind):
            runs, usual = (rt.train(SHORT.but(head=one, updates=30), task, [0, 1]) for one in (head, None))
            assert np.isfinite(runs.test_score).all() and np.array_equal(runs.naive, usual.naive)
            assert head in ("linear+mse", "softmax+nll") or not np.array_equal(runs.weights, usual.weights)
        else:
            with pytest.raises(
                BadArgument, match=rf'head="{head.replace("+", ".")}" is for .*{task.name} asks for {kind}'
            ):
                rt.train(SHORT.but(head=head), task, [0])


@pytest.mark.parametrize("head", ["sigmoid+mse", "relu+mse"])
def test_an_output_that_cannot_reach_a_standardised_target_stays_above_its_mean(head):
    sines = rt.tasks.forecast(rt.series.sines(steps=600))
    runs = rt.train(SHORT.but(head=head, updates=60), sines, [0])
    example = sines.examples(SHORT, 0)
    answers = rt.training.predict(runs, sines, 50)[0]
    assert example.truth.min() < example.offset[0, 0] - example.spread < answers.min() + 1e-6 - example.spread
