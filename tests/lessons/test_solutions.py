"""What the solutions of exercises compute is what the package does, and PyTorch."""

import numpy as np
import torch

import rnntips as rt
from rnntips.notebook.exercise import exercises
from rnntips.windows import cut


def test_solutions_agree_with_the_package():
    values = rt.series.demand(weeks=2).values
    found = cut(values, 7, 4, input_scaling="none", target_scaling="none", history=10)
    parts = exercises.sliding_windows.cut._solution(torch.tensor(values[:, 0], dtype=torch.float32), 7, 4)
    windows, targets = (np.concatenate(some) for some in zip(*parts, strict=True))
    np.testing.assert_array_equal(found.inputs(np.arange(len(targets)))[..., 0], windows)
    np.testing.assert_array_equal(found.targets[:, 0], targets)


def test_solutions_agree_with_pytorch():
    for windows, size, epochs in [(1000, 300, 3), (7, 2, 4), (5, 8, 2)]:
        loader = torch.utils.data.DataLoader(torch.zeros(windows), batch_size=size)
        assert exercises.batch_size.how_many._solution(windows, size, epochs) == epochs * len(list(loader))
