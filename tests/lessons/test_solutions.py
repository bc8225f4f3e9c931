"""What the solutions of exercises compute is what the package does, and PyTorch."""

import numpy as np
import pytest
import torch

import rnntips as rt
from rnntips.engine.tbptt import chunks
from rnntips.notebook.exercise import exercises
from rnntips.recipe import count
from rnntips.schedule import planned
from rnntips.windows import cut


def test_solutions_agree_with_the_package():
    for sizes in exercises.deep_recurrence.count_weights.cases:
        assert exercises.deep_recurrence.count_weights._solution(*sizes) == count("gru", *sizes)
    for steps, k1, k2 in [(12, 4, 4), (12, 3, 6), (20, 5, 20), (32, 1, 7)]:
        read = [(chunk.start, chunk.end) for chunk in chunks(rt.Recipe(chunk=k2, stride=k1), steps)]
        assert exercises.truncated_bptt.updates._solution(steps, k1, k2) == read
    for done in range(50):
        rate = 0.3 * planned("warmup:10+cosine")(done, 50)
        assert exercises.learning_rate.course._solution(done, 50, 0.3, 10) == pytest.approx(rate)
    values = rt.series.demand(weeks=2).values
    found = cut(values, 7, 4, input_scaling="none", target_scaling="none")
    windows, targets = exercises.sliding_windows.cut._solution(values[:, 0].astype("f4"), 7, 4, int(found.times[0]))
    np.testing.assert_array_equal(found.inputs(np.arange(len(targets)))[..., 0], windows)
    np.testing.assert_array_equal(found.targets[:, 0], targets)


def test_solutions_agree_with_pytorch():
    rng = np.random.default_rng(3)
    for windows, size, epochs in [(1000, 300, 3), (7, 2, 4), (5, 8, 2)]:
        loader = torch.utils.data.DataLoader(torch.zeros(windows), batch_size=size)
        assert exercises.batch_size.how_many._solution(windows, size, epochs) == epochs * len(list(loader))
    weights, velocity, theirs = np.ones(4), np.zeros(4), torch.ones(4, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.SGD([theirs], lr=0.1, momentum=0.9)
    for gradient in rng.normal(size=(6, 4)):
        theirs.grad = torch.tensor(gradient)
        optimizer.step()
        weights, velocity = exercises.momentum.one_step._solution(weights, velocity, gradient, 0.1, 0.9)
    np.testing.assert_allclose(theirs.detach().numpy(), weights)
    theirs.grad = torch.tensor(gradient)
    torch.nn.utils.clip_grad_norm_([theirs], 0.7)
    (clipped,) = exercises.gradient_clipping.by_norm._solution([gradient], 0.7)
    np.testing.assert_allclose(theirs.grad.numpy(), clipped, rtol=1e-5)
    x = rng.normal(size=9)
    for k in (1, 4, 9):
        a, h = torch.tensor(0.8, dtype=torch.float64, requires_grad=True), torch.zeros((), dtype=torch.float64)
        for t, value in enumerate(x):
            h = a * (h.detach() if t == 9 - k else h) + value
        h.backward()
        assert exercises.truncated_bptt.cut_slope._solution(0.8, x, k) == pytest.approx(a.grad.item())


def test_the_noise_that_is_asked_for_is_that_of_batches_drawn():
    rng = np.random.default_rng(0)
    gradients = rng.normal(0.3, 1, (50, 5))
    drawn = [gradients[rng.integers(0, 50, 8)].mean(0) - gradients.mean(0) for _ in range(20_000)]
    measured = np.sqrt(np.mean(np.sum(np.square(drawn), 1))) / np.linalg.norm(gradients.mean(0))
    assert exercises.batch_size.noise_of._solution(gradients, 8) == pytest.approx(measured, rel=0.02)
