"""The shared long run, and S2's experiment beside its record: what they keep, and that they go on from a store."""

import numpy as np
import pytest
from click.testing import CliRunner

import rnntips as rt
from evidence import __main__ as command
from evidence import long_run, published
from rnntips.jobs.execute import Resources


@pytest.fixture
def short(monkeypatch):
    monkeypatch.setattr(long_run, "RECIPE", rt.Recipe(cell="lstm", width=4, past=16, batch_size=4))
    monkeypatch.setattr(long_run, "BUDGETS", (3, 6))
    monkeypatch.setattr(long_run, "RATES", (0.01, 0.03))


def test_the_long_run_keeps_every_error_of_every_side(short, tmp_path):
    found = long_run.compute(Resources.of("cpu", store=tmp_path), lambda line: None)
    sides = [(run["updates"], run["schedule"], run["lr"]) for run in found["runs"]]
    assert sides == [(u, s, lr) for u in (3, 6) for s in ("constant", "decayed") for lr in (0.01, 0.03)]
    seeds = found["first seeds"] + found["fresh seeds"]
    assert seeds[:3] == [0, 1, 2] and len(set(seeds)) == 6
    for run in found["runs"]:
        recipe = long_run.RECIPE.but(updates=run["updates"], lr=run["lr"],
                                     schedule=None if run["schedule"] == "constant" else "cosine")  # fmt: skip
        alone = rt.train(recipe, rt.tasks.characters(), seeds)
        np.testing.assert_allclose(run["errors"], alone.test_score, rtol=1e-5)
    trained = []
    again = long_run.compute(Resources.of("cpu", store=tmp_path, done=lambda runs, new: trained.append(new)), print)
    assert again == found and sum(trained) == 0


def test_s2s_sides_are_named_by_what_they_differ_in():
    for setting in published.SETTINGS:
        sides = published.sides(setting, 500)
        assert list(sides) == list(dict.fromkeys(sides)) and len(sides) == 8
        assert {"SGD", "RMSprop", "Adam, clipped by tensor", "SGD, schedule", "Adam, clipped, schedule"} < set(sides)
        assert all(side.past == 500 and side.chunk in (None, 5) and side.lr == 0.01 for side in sides.values())
        assert sides["SGD, schedule"].grow == "plateau:20:2:10:50:100"  # 100, 50, 10, 2 and 1 parts of a sequence


def test_curves_are_epoch_means_of_the_training_loss(tmp_path):
    how = Resources.of("cpu", store=tmp_path)
    found = published.compute(how, [0, 1, 2], 100, 2, lambda line: None)
    for name, side in published.sides("repaired", 100).items():
        runs = rt.train(side.but(budget=rt.epochs(2)), rt.tasks.returns(), [0, 1, 2])
        each = runs.train_loss.reshape(3, 2, -1).mean(2)
        stored = found["settings"]["repaired"][name]
        np.testing.assert_allclose(stored["median"], np.median(each, 0), rtol=1e-5)
        np.testing.assert_allclose([stored["low"], stored["high"]], [each.min(0), each.max(0)], rtol=1e-5)


def test_a_length_that_cannot_be_cut_into_a_hundred_parts_is_refused():
    said = CliRunner().invoke(command.main, ["published", "--steps", "250"])
    assert said.exit_code == 2 and "take a multiple of 100" in said.output
