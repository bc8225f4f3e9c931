"""A task that asks for three values at every step."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from oracles import LOSSES, Twin, begun
from oracles import trained as by_hand

import rnntips as rt
from rnntips.doctor.gradients import gradient_by_lag, gradient_by_layer
from rnntips.engine.losses import heads_for
from rnntips.errors import BadArgument
from rnntips.tasks.task import SequenceTask, separate

COUNTS = (60, 20, 30)
SHORT = rt.Recipe(updates=5, width=6, batch_size=5, past=12)


@dataclass(frozen=True)
class Three(SequenceTask):
    """Answer with the last three inputs."""

    name = "three"
    unit = "units"
    ignores = frozenset()

    def draw(self, past, rng):
        inputs = rng.normal(size=(sum(COUNTS), past, 1))
        before = [np.roll(inputs, lag, 1) * (np.arange(past) >= lag)[:, None] for lag in range(3)]
        return separate(inputs, np.concatenate(before, 2), COUNTS)

    def guess(self, examples):
        return np.zeros(3)


@pytest.mark.parametrize("change", [{}, {"chunk": 4, "carry": True}, {"chunk": 6, "stride": 3, "layers": 2}], ids=str)
@pytest.mark.parametrize("head", heads_for("values"))
def test_training_equals_torchs(head, change):
    recipe = SHORT.but(head=head, **change)
    losses, norms, weights = by_hand(recipe, Three(), 3)
    runs = rt.train(recipe, Three(), [3])
    np.testing.assert_allclose(runs.train_loss[0], losses, rtol=1e-4)
    np.testing.assert_allclose(runs.gradient_norm[0], norms, rtol=1e-3)
    np.testing.assert_allclose(runs.weights[0, : len(weights)], weights, atol=2e-4)


def test_scores_naive_and_floor_are_over_all_three():
    task, runs = Three(), rt.train(SHORT, Three(), [1, 2])
    example = task.examples(SHORT, 2)
    truth = example.answers(example.scored(2))
    assert truth.shape == (len(example.of(2)) * 12, 3)
    assert runs.naive[1] == pytest.approx(np.sqrt((truth**2).mean())) and (runs.floor == 0).all()
    _, network, _, _ = begun([SHORT], task, [2])
    network.flat.copy_(torch.tensor(runs.weights[1:]))
    with torch.no_grad():
        answers = Twin(network)(torch.tensor(example.inputs(example.scored(2))).double())[0].flatten(0, 1)
    expected = LOSSES["linear+rmse"](answers, torch.tensor(truth)).item()
    assert runs.test_scores[1, -1] == pytest.approx(expected, rel=1e-5)
    assert rt.train(SHORT.but(updates=200, width=16, lr=0.02), task, [1]).test_score < 0.5 * runs.naive[0]


def test_gradients_are_looked_at_and_a_forecast_is_refused_in_words():
    runs = rt.train(SHORT, Three(), [1, 2])
    assert (gradient_by_lag(runs, Three(), [0, 5]) > 0).all()
    assert all((value > 0).all() for value in gradient_by_layer(runs, Three()).values())
    with pytest.raises(BadArgument, match="three does not ask for one value a window"):
        rt.training.predict(runs, Three(), 5)
    with pytest.raises(BadArgument, match=r'head="softmax\+nll" is for classes, and three asks for values in units'):
        rt.train(SHORT.but(head="softmax+nll"), Three(), [0])
    assert rt.compare(SHORT, SHORT.but(lr=0.03), Three(), range(3)).verdict
