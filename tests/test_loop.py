"""`notebooks/loop.py`, the training loop that lessons change: it learns, and given tensors it needs nothing of ours."""

import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
import torch

import rnntips as rt

LOOP = Path(__file__).parents[1] / "notebooks" / "loop.py"
SOURCE = LOOP.read_text(encoding="utf-8")
# Ten numbers, of which the first is to be remembered; naive answers 0.
MADE_UP = """
drawn = torch.Generator().manual_seed(0)
several = [(some, some[:, 0]) for some in torch.randn(60, BATCH_SIZE, 4, 1, generator=drawn)]
train, valid, test, naive = iter(several * UPDATES), several[:9], several[9:19], {"valid": 1.0, "test": 1.0}
"""
# The page's code for a reader's own array; the first of two columns says what the second was two steps before.
PAGE = nbformat.read(LOOP.with_name("00a_an_rnn_in_ten_minutes.ipynb"), as_version=4)
(OWN,) = [cell.source for cell in PAGE.cells if cell.source.startswith("values = ")]
COLUMNS = """
import numpy as np
drawn = np.random.default_rng(0).normal(50, 9, 3000)
values = np.stack([np.roll(drawn, 2), drawn], 1)
"""
OWN_ARRAY = COLUMNS + OWN.partition("\n")[2]
WITHOUT = "import sys\nsys.modules['rnntips'] = None  # so that importing it fails\n"


def lines(source, folder):
    """What a script prints."""
    found = subprocess.run([sys.executable, "-c", source], cwd=folder, capture_output=True, text=True)
    assert found.returncode == 0, found.stderr
    assert (folder / "best.pt").is_file()
    return found.stdout.splitlines()


def shares(printed):
    """Validation errors and the test error, as shares of naive."""
    *valid, test = [float(re.search(r"error (\d+\.\d+) of naive$", line)[1]) for line in printed]
    return valid, test


def test_it_is_short():
    assert len([line for line in SOURCE.splitlines() if line.strip()]) <= 40


def test_it_learns_and_its_test_error_is_that_of_its_checkpoint(tmp_path):
    valid, test = shares(lines(SOURCE, tmp_path))
    assert test < 0.7 and max(valid) < 1
    best = tmp_path / "best.pt"
    names: dict = {}
    exec(re.search(r"^SEED, .*$", SOURCE, re.M)[0], names)
    task, recipe, weights = rt.tasks.forecast(rt.series.demand()), rt.Recipe(past=names["PAST"]), torch.load(best)
    cell = torch.nn.GRU(1, names["WIDTH"], batch_first=True)
    cell.load_state_dict({name: weights[f"cell.{name}"] for name in cell.state_dict()})
    for part, expected in (("valid", min(valid)), ("test", test)):
        inputs, targets = map(torch.cat, zip(*task.batches(recipe, names["SEED"], part), strict=True))
        answers = cell(inputs)[0][:, -1] @ weights["readout.weight"].T + weights["readout.bias"]
        found = (answers - targets).square().mean().sqrt().item() / task.naive(part, recipe, names["SEED"])
        assert found == pytest.approx(expected, abs=0.006)


@pytest.mark.parametrize(("given", "channels"), [(MADE_UP, 1), (OWN_ARRAY, 2)])
def test_given_tensors_or_an_array_it_needs_nothing_of_ours(given, channels, tmp_path):
    head, data, rest = re.split(r"(?ms)^(# Data: .*?\n)\n\n", SOURCE)
    assert "rt." not in rest and data.count("\n") == 5
    head = head.replace("import rnntips as rt\n", "")
    rest = rest.replace("Model()", f"Model(channels={channels})")
    valid, test = shares(lines(WITHOUT + head + given + "\n\n" + rest, tmp_path))
    assert test < 0.5 and valid[-1] < 0.5
