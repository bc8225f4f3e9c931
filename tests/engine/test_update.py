"""Updates: their laws, on the device and by several workers. `test_compiled_update` holds them against float64."""

from itertools import pairwise
from threading import Event

import numpy as np
import pytest
import torch
from drawn import TASK, Levels, did, made, task_of, windows
from hypothesis import given, settings
from oracles import begun

import rnntips as rt
from rnntips import training
from rnntips.engine.update import CUDAGraphUpdate, TorchUpdate, updater
from rnntips.errors import BadArgument
from rnntips.loader import Masks
from rnntips.recipe import DROPOUTS

pytest.importorskip("numba")


def trained(make, recipes, task=TASK):
    """The statistics of each update (U, 3, R), the weights and the optimizer's averages."""
    record, network, loader, state = made(recipes, task)
    step = make(record, network, loader, state)
    stats = np.array([did(step, update) for update in range(record.updates)])
    return stats, network.flat[:, : network.count].numpy(), [s[:, : network.count].numpy() for s in state.values()]


@pytest.mark.parametrize("make", [updater, TorchUpdate])
def test_likelihood_bears_logits_that_no_exponential_does(make):
    """A readout bias of 300 against −300: the loss is their distance, and its gradient is a whole class's."""
    record, network, loader, state = made([rt.Recipe(updates=1, past=9, optimizer="sgd", lr=0.1)], Levels(2))
    loader.targets[:] = torch.tensor([0.0, 1.0])
    network.flat[0, network.slices["readout_weight"]] = 0
    network.flat[0, network.slices["readout_bias"]] = torch.tensor([300.0, -300.0])
    assert did(make(record, network, loader, state), 0).loss[0] == pytest.approx(600, rel=1e-6)
    np.testing.assert_allclose(network.flat[0, network.slices["readout_bias"]], [299.9, -299.9], rtol=1e-6)


def test_runs_with_and_without_a_limit_stand_side_by_side():
    plain = rt.Recipe(updates=5, width=6, past=9)
    both = trained(updater, [plain, plain.but(clip_norm=0.01)])
    alone = trained(updater, [plain])
    assert np.array_equal(both[0][:, :, 0], alone[0][:, :, 0]) and np.isfinite(both[0]).all()
    for make in (updater, TorchUpdate):
        stats = trained(make, [plain.but(optimizer="sgd", lr=1.0, clip_norm=limit) for limit in (None, 1e-3)])[0]
        assert np.isfinite(stats).all() and (stats[:, 2, 1] < stats[:, 2, 0]).all()


@pytest.mark.parametrize("make", [updater, TorchUpdate])
def test_weights_are_cut_back_to_their_runs_own_limit(make):
    """No limit, one that cuts most weights, and one that cuts few; a weight that is no number stays one."""
    plain = rt.Recipe(updates=3, width=6, past=9, optimizer="sgd", lr=0.5)
    recipes = [plain, *(plain.but(clip="weights", clip_norm=limit) for limit in (0.1, 0.3))]
    recipes[0] = plain.but(clip="weights", clip_norm=1e9)
    weights = trained(make, recipes)[1]
    assert np.array_equal(weights[0], trained(make, [plain])[1][0])
    for row, limit in zip(weights[1:], (0.1, 0.3), strict=True):
        assert np.abs(row).max() == np.float32(limit) and (np.abs(row) < np.float32(limit)).any()
    record, network, loader, state = made(recipes)
    network.flat[1, 0] = float("nan")
    make(record, network, loader, state)(0)
    assert torch.isnan(network.flat[1]).any() and not torch.isnan(network.flat[2]).any()


@pytest.mark.parametrize("rule", [{"optimizer": "sgd"}, {"optimizer": "adamw"}], ids=str)
def test_decay_spares_the_recurrent_matrices_of_the_run_that_asks_for_it(rule):
    """The first step of two runs differs by lr times decay times the weights, in these matrices alone."""
    plain = rt.Recipe(updates=1, width=6, past=9, layers=2, dense=(4,), lr=0.1, weight_decay=0.5, **rule)
    record, network, loader, state = begun([plain, plain.but(decay_on="all but recurrent")], TASK, [0, 0])
    before = network.flat.clone()
    updater(record, network, loader, state)(0)
    for name, where in network.slices.items():
        decayed = 0.1 * 0.5 * before[1, where] if name.startswith("recurrent_weight") else torch.zeros(())
        difference = network.flat[1, where] - network.flat[0, where]
        torch.testing.assert_close(difference, decayed.expand_as(difference), rtol=0, atol=1e-6)


WORKERS = rt.Recipe(updates=6, width=6, past=9, batch_size=5, lr=0.1, optimizer="sgd")


@pytest.mark.parametrize(
    "change", [{}, {"momentum": 0.9, "weight_decay": 0.1}, {"schedule": "cosine", "grow": "4:0.5"}]
)
def test_workers_that_are_averaged_at_every_update_are_one_with_all_their_windows(change):
    """Mean gradient, mean step, the same windows; with answers at every step too."""
    one = WORKERS.but(batch_size=20, **change)
    for task in (TASK, rt.tasks.leaky(5)) if "grow" not in change else (TASK,):
        apart = rt.train(one.but(workers=4, batch_size=5), task, [3, 4])
        whole = rt.train(one, task, [3, 4])
        for name in ("train_loss", "valid_score", "test_scores", "weights"):
            np.testing.assert_allclose(getattr(apart, name), getattr(whole, name), rtol=1e-4, atol=1e-5, err_msg=name)


@pytest.mark.parametrize("moments", [False, True])
def test_workers_go_alone_between_two_averages_and_their_mean_is_what_is_scored(moments):
    recipe = WORKERS.but(optimizer="adam", workers=3, average_every=2, average_moments=moments)
    record, network, loader, state = made([recipe] * 2)
    step = updater(record, network, loader, state)
    alone = network.copies(3), loader, {name: value.repeat_interleave(3, 0) for name, value in state.items()}
    apart = TorchUpdate(record.only([0, 0, 0, 1, 1, 1]), *alone)
    for update in range(4):
        stats, each = did(step, update), did(apart, update)
        np.testing.assert_allclose(stats.loss, each.loss.reshape(2, 3).mean(1), rtol=1e-4)
        means = [value.view(2, 3, -1).mean(1) for value in (alone[0].flat, *alone[2].values())]
        for mine, theirs in zip((network.flat, *state.values()), means, strict=True):
            torch.testing.assert_close(mine, theirs, rtol=1e-3, atol=1e-5)
        rows = step.copies.flat.view(2, 3, -1)
        assert (update % 2 == 1) == torch.equal(rows[:, 0], rows[:, 1]) and not torch.equal(rows[0], rows[1])
        if update % 2:
            shared = [alone[0].flat, *(alone[2].values() if moments else ())]
            for value, mean in zip(shared, means, strict=moments):
                value.copy_(mean.repeat_interleave(3, 0))


def test_unlike_workers_read_consecutive_parts_and_alike_ones_read_all_of_it():
    for shards in ("alike", "unlike"):
        recipe = WORKERS.but(workers=3, shards=shards, updates=40)
        record, network, loader, state = made([recipe])
        read = loader.begins.numpy()
        assert np.isfinite(did(updater(record, network, loader, state), 0)).all()
        spans = [np.ptp(row) for row in read]
        assert len(read) == 3 and (max(spans) < np.ptp(read) / 2) == (shards == "unlike")
        assert shards == "alike" or all(one.max() < two.min() for one, two in pairwise(read))


def test_unlike_workers_read_different_classes_where_windows_have_one():
    for shards in ("alike", "unlike"):
        recipe = rt.Recipe(workers=5, batch_size=8, updates=40, shards=shards)
        _, _, loader, _ = begun([recipe], rt.tasks.digits(rows=True), [3])
        (example,) = loader.examples
        place = {start: window for window, start in enumerate(example.starts)}
        labels = [example.labels(np.array([place[start] for start in row])) for row in loader.begins.tolist()]
        assert {len(set(row)) for row in labels} <= ({2, 3, 4} if shards == "unlike" else {10})
        assert shards == "alike" or all(one.max() <= two.min() for one, two in pairwise(labels))


def test_workers_cannot_go_on_from_their_mean_nor_read_more_windows_than_there_are():
    begun = rt.train(WORKERS, TASK, [0])
    with pytest.raises(BadArgument, match="workers=2 cannot go on from another record"):
        rt.train(WORKERS.but(workers=2), TASK, [0], start=begun)
    with pytest.raises(BadArgument, match="batch_size=100 for each of workers=10 is larger"):
        rt.train(WORKERS.but(workers=10, batch_size=100), TASK, [0])
    epochs = {workers: WORKERS.but(workers=workers, budget=rt.epochs(2)).updates_for(1000) for workers in (1, 4)}
    assert epochs == {1: 400, 4: 100}


@pytest.mark.parametrize("rule", [{"optimizer": "sgd", "momentum": 0.9}, {}, {"optimizer": "adamw"}], ids=str)
def test_what_is_frozen_stays_and_what_is_above_gets_the_gradient_alone(rule):
    """Even where averages of an earlier training would still move it; the run beside it is trained as a whole."""
    plain = rt.Recipe(updates=3, width=6, past=9, dense=(4,), dense_after=(5,), weight_decay=0.1, **rule)
    record, network, loader, state = begun([plain, plain.but(frozen="recurrent")], TASK, [0, 0])
    for average in state.values():
        average.fill_(0.1)
    before, first = network.flat.clone(), network.slices["after_weight_0"].start
    inputs, targets, _ = loader.batch(0, loader.spec(0))
    losses = (network(inputs) - targets).square().mean(2) * loader.share
    gradient = network.gradient(losses.sum())
    stats = did(updater(record, network, loader, state), 0)
    np.testing.assert_allclose(stats.gradient_norm, [gradient[0].norm(), gradient[1, first:].norm()], rtol=1e-4)
    changed = (network.flat != before)[:, : network.count]
    assert changed[0, :first].any() and not changed[1, :first].any() and stats.step_ratio[1] < stats.step_ratio[0]
    assert torch.equal(network.flat[0, first:], network.flat[1, first:])


@pytest.mark.parametrize("where", DROPOUTS)
def test_an_updates_loss_is_that_of_the_network_with_the_masks_of_its_stream(where):
    recipe = rt.Recipe(updates=1, width=6, past=9, layers=2, dropout=0.5, dropout_at=where)
    record, network, loader, state = made([recipe])
    inputs, targets, _ = loader.batch(0, loader.spec(0))
    mask, layers = Masks(record).draw(*inputs.shape[1:])
    outputs = network(inputs if mask is None else inputs * mask, layers.unbind(1))
    expected = (outputs - targets).square()[:, : recipe.batch_size].mean().item()
    assert did(updater(record, network, loader, state), 0).loss[0] == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("where", ["loss", "weights"])
def test_a_run_that_breaks_leaves_nothing_in_the_thread_that_ran_it(where, monkeypatch):
    monkeypatch.setenv("RNNTIPS_THREADS", "1")
    recipe = rt.Recipe(updates=4, width=6, past=9, cell="relu", optimizer="sgd", clip_norm=1.0)
    alone = trained(updater, [recipe] * 3)
    record, network, loader, state = made([recipe] * 3)
    (loader.targets if where == "loss" else network.flat)[1] = float("nan" if where == "loss" else "inf")
    step = updater(record, network, loader, state)
    stats = np.array([did(step, update) for update in range(4)])
    assert not np.isfinite(stats[0, 0, 1])
    assert np.array_equal(stats[:, :, [0, 2]], alone[0][:, :, [0, 2]])


def test_threads_that_become_more_in_mid_training_write_in_no_strange_place(monkeypatch):
    """Each thread has a workspace, made once."""
    monkeypatch.setenv("RNNTIPS_THREADS", "1")
    recipe = rt.Recipe(updates=3, width=6, past=9)
    alone = trained(updater, [recipe] * 8)
    step = updater(*made([recipe] * 8))
    assert len(step.compiled.memory) == 1
    monkeypatch.setenv("RNNTIPS_THREADS", "2")
    monkeypatch.setattr("rnntips.engine.threads._machine", lambda: 2)
    assert np.array_equal(np.array([did(step, update) for update in range(3)]), alone[0])


@settings(max_examples=25, deadline=None)
@given(windows())
def test_an_update_whose_number_stays_on_the_device_is_the_same(drawn):
    """What a GPU records, here without a recording."""
    task, recipes = task_of(drawn[0]), [drawn[1].but(updates=4)] * 2
    mine, theirs = (trained(make, recipes, task) for make in (CUDAGraphUpdate, TorchUpdate))
    for one, two in zip([mine[0], mine[1], *mine[2]], [theirs[0], theirs[1], *theirs[2]], strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-5, atol=1e-7)


def test_statistics_on_the_device_arrive_together_and_once():
    step = CUDAGraphUpdate(*made([rt.Recipe(updates=7, past=9)] * 2))
    for update in range(3):
        step(update)
    assert [update for update, _ in step.arrived()] == [0, 1, 2] and step.arrived() == []


class Stopping(CUDAGraphUpdate):
    """Training is stopped while the thirtieth update is made."""

    def __init__(self, stop: Event, *given):
        super().__init__(*given)
        self.stop = stop

    def __call__(self, update):
        super().__call__(update)
        if update == 29:
            self.stop.set()


def test_training_notes_the_same_when_statistics_come_later(monkeypatch):
    recipe = rt.Recipe(updates=40, past=9, dense=(4,))
    at_once = rt.train(recipe, TASK, range(2))
    monkeypatch.setattr(training, "updater", CUDAGraphUpdate)
    later = rt.train(recipe, TASK, range(2))
    for name in ("train_loss", "gradient_norm", "valid_score", "step_ratio"):
        np.testing.assert_allclose(getattr(later, name), getattr(at_once, name), rtol=1e-4, err_msg=name)
    stop = Event()
    monkeypatch.setattr(training, "updater", lambda *given: Stopping(stop, *given))
    stopped = rt.train(recipe, TASK, range(2), stop=stop)
    assert np.isfinite(stopped.train_loss[:, :30]).all() and np.isnan(stopped.train_loss[:, 30:]).all()
