"""Whole trainings on a pretended GPU, which records and repeats as CUDA graphs do, against plain torch on the CPU.

At the end the same on a GPU, where there is one.
"""

import gc
from threading import Thread

import numpy as np
import pytest
import torch
from pretend import DEVICE, Gpu, NotRecordable
from torch.utils import backend_registration

import rnntips as rt
from rnntips import engine, models, training
from rnntips.engine import update
from rnntips.engine.update import CUDAGraphUpdate, TorchUpdate
from rnntips.runs import last_points

TASK = rt.tasks.forecast(rt.series.sines(steps=600))
EVERY = rt.tasks.leaky(5)
SHORT = rt.Recipe(updates=4, past=4, width=5, batch_size=4)
CASES = {name: (TASK, SHORT.but(**changes)) for name, changes in {
    "tanh": dict(cell="tanh", optimizer="sgd", momentum=0.9), "gru": dict(layers=2, clip_norm=0.01),
    "relu": dict(cell="relu", optimizer="rmsprop", momentum=0.5, weight_decay=0.1),
    "sigmoid": dict(cell="sigmoid", optimizer="sgd", momentum=0.9, nesterov=True, layers=2),
    "lstm": dict(cell="lstm", optimizer="rmsprop", layers=2, clip_norm=0.1),
    "clip tensors": dict(clip="tensor", clip_norm=0.01), "clip values": dict(clip="value", clip_norm=0.01),
    "clip weights": dict(clip="weights", clip_norm=0.1), "schedule": dict(schedule="warmup:3+cosine"),
    "dense": dict(dense=(3,), dense_after=(4,), features="differences:2"),
    "dropout": dict(dropout=0.3, layers=2), "noise": dict(noise=0.2),
    "noise between": dict(noise_between=0.2, dense=(3,), layers=2, dense_after=(4,)),
    "growing": dict(grow="2:0.8", cell="lstm"),
    "patches": dict(patch=2, lags=(3,), early_stopping=1), "shuffled": dict(split="shuffled", head="relu+mse"),
    "root": dict(head="linear+rmse"), "absolute": dict(head="linear+mae"), "huber": dict(head="linear+huber"),
    "growing noise": dict(grow="2:0.8", noise=0.2, dropout=0.1, schedule="drop:0.1:0.5"),
}.items()} | {name: (EVERY, SHORT.but(past=6, **changes)) for name, changes in {
    "every": dict(), "test past": dict(test_past=3), "chunks": dict(chunk=3),
    "carried": dict(chunk=3, carry=True, layers=2),
    "carried lstm": dict(chunk=3, stride=2, carry=True, cell="lstm"),
    "carried noise": dict(chunk=3, carry=True, noise=0.2, dropout=0.2),
    "scrambled": dict(chunk=3, carry=True, order="scrambled"),
}.items()} | {"likelihood": (rt.tasks.recall(2, 3), SHORT), "symbols": (rt.tasks.characters(), SHORT)} | {
    f"padded{more}": (rt.tasks.padded_adding(6), SHORT.but(**more)) for more in ({}, dict(chunk=3, carry=True))
} | {head: (rt.tasks.recall(2, 3), SHORT.but(head=head)) for head in ("softmax twice+nll", "sigmoid+bce")}  # fmt: skip


@pytest.fixture
def gpu(monkeypatch):
    """A pretended one; what trains on the CPU does so in plain torch."""
    if torch.cuda.is_available() or not hasattr(backend_registration, "_setup_privateuseone_for_python_backend"):
        pytest.skip("this machine has a GPU, or a torch that lets nobody pretend")
    monkeypatch.setattr(engine, "_cpu", lambda: None)
    monkeypatch.setattr(training, "resolve_device", lambda device: device)
    with Gpu() as gpu:
        yield gpu


def both(recipe, task=TASK, **more):
    """Trained on the CPU and on the device."""
    return [rt.train(recipe, task, range(2), device=device, **more) for device in ("cpu", DEVICE)]


def alike(theirs, mine, rtol=1e-4, atol=1e-6):
    assert mine.reached == theirs.reached
    for name in ("train_loss", "gradient_norm", "valid_score", "test_scores", "step_ratio", "weights", "rescued_at"):
        np.testing.assert_allclose(getattr(mine, name), getattr(theirs, name), rtol=rtol, atol=atol, err_msg=name)
    for name, value in theirs.optimizer_state.items():
        np.testing.assert_allclose(mine.optimizer_state[name], value, rtol=10 * rtol, atol=atol, err_msg=name)


def near(theirs, mine):
    """As two machines that round differently; some rules turn a gradient of nearly zero into a whole step."""
    alike(theirs, mine, 5e-3, 2 * theirs.recipes[0].lr)
    np.testing.assert_allclose(mine.train_loss, theirs.train_loss, rtol=2e-3, atol=1e-4)


# --- every kind of training


@pytest.mark.parametrize("name", CASES)
def test_a_training_whose_updates_are_recorded_equals_one_in_plain_torch(name, gpu):
    """Nothing may wait for the device or read the host's memory while recording: that raises, and is not repeated."""
    task, recipe = CASES[name]
    alike(*both(recipe, task))
    assert gpu.replays == recipe.updates


def test_going_on_within_a_sequence_and_after_a_schedule_began(gpu):
    recipe = SHORT.but(past=9, chunk=3, carry=True, schedule="warmup:9")
    theirs, mine = both(recipe.but(updates=4), EVERY)
    alike(*(rt.train(recipe, EVERY, range(2), device=run.device, start=run) for run in (theirs, mine)))


def test_segments_that_are_computed_again_for_the_gradient_are_recorded_too(gpu, monkeypatch):
    monkeypatch.setattr(models, "SEGMENT", 4 * 4 * 5 * 6 * 2)
    monkeypatch.setattr(models, "KEPT", 1)
    calls = []
    checkpoint = models.checkpoint
    monkeypatch.setattr(models, "checkpoint", lambda *args, **more: calls.append(1) or checkpoint(*args, **more))
    alike(*both(SHORT.but(past=6, batch_size=32)))
    assert calls


@pytest.mark.parametrize("rescue", ["lower, then raise", "restore"])
def test_a_rescue_follows_the_update_that_spiked(rescue, gpu):
    recipe = SHORT.but(updates=60, past=2, optimizer="sgd", lr=0.3, rescue=rescue, momentum=0.95)
    theirs, mine = both(recipe)
    alike(theirs, mine, 1e-2)
    assert theirs.rescued_at.all()


def test_kernels_are_recorded_with_all_else(gpu, monkeypatch):
    """A first layer that takes inputs, and a second that takes contributions."""
    pytest.importorskip("triton")
    from triton.runtime.interpreter import InterpretedFunction

    from rnntips.engine import triton_ops

    launched, run = [], InterpretedFunction.run

    def launch(kernel, *args, **more):
        launched.append(kernel.__name__)
        gpu.launch(lambda *a, **k: run(kernel, *a, **k), args, more)

    monkeypatch.setattr(InterpretedFunction, "run", launch)
    recipe = SHORT.but(updates=2, past=2, cell="lstm", layers=2)
    task = rt.tasks.forecast(rt.series.sines(steps=100))
    theirs = rt.train(recipe, task, [0], device="cpu")
    monkeypatch.setattr(engine, "_fast", lambda *tensors: triton_ops if tensors[0].device.type == DEVICE else None)
    alike(theirs, rt.train(recipe, task, [0], device=DEVICE))
    assert launched


# --- what moves, what stays, what is freed


def test_statistics_and_predictions_move_once_an_evaluation(gpu):
    theirs, runs = both(SHORT.but(updates=40, past=2, schedule="cosine"))
    alike(theirs, runs)
    to_host = sum("to the host" in move for move in gpu.moves)
    evaluated, tested = len(runs.evaluations), len(set(last_points(40)))
    end = 1 + len(runs.optimizer_state)
    assert evaluated < 30 and to_host == evaluated + tested + (evaluated - 1) + end
    assert not any("waits" in move for move in gpu.moves)


def test_chunks_have_three_recordings_and_windows_that_grow_one_for_each_length(gpu):
    for task, changes, count in [(EVERY, {"past": 12, "chunk": 3, "carry": True}, 3),
                                 (TASK, {"past": 9, "grow": "2:0.5"}, 4)]:  # fmt: skip
        gpu.recorded = 0
        runs = rt.train(SHORT.but(updates=10, **changes), task, [0], device=DEVICE)
        assert gpu.recorded == count and np.isfinite(runs.train_loss).all()


def test_recordings_go_with_their_training_and_leave_nothing_for_the_collector(gpu):
    gc.disable()
    try:
        rt.train(SHORT.but(grow="2:0.8"), TASK, range(2), device=DEVICE)
        assert gpu.replays and not gpu.graphs and not any(gpu.tensors.values())
    finally:
        gc.enable()


def unrecordable(patch):
    """Let every update wait for the device."""
    real = TorchUpdate._do

    def waiting(self, *args, **more):
        stats = real(self, *args, **more)
        stats.sum().item()
        return stats

    patch.setattr(TorchUpdate, "_do", waiting)


def test_an_update_that_cannot_be_recorded_is_done_without_which_is_said(gpu, monkeypatch, capsys):
    unrecordable(monkeypatch)
    usual = torch.cuda.current_stream()
    alike(*both(SHORT))
    said = capsys.readouterr().err
    assert gpu.replays == 0 and "more slowly" in said and "waits for the device" in said
    assert torch.cuda.current_stream() is usual


@pytest.mark.parametrize("full_at", [1, 2])
def test_too_little_memory_is_raised_and_leaves_what_was(full_at, gpu):
    """In the trial, or while recording."""
    weights, calls = torch.ones(3, device=DEVICE), []

    def work():
        calls.append(weights.add_(1))
        if len(calls) == full_at:
            raise torch.OutOfMemoryError
        return weights

    with pytest.raises(torch.OutOfMemoryError):
        engine.Recorder([weights])("key", work, {})
    assert len(calls) == full_at and weights.cpu().tolist() == [1, 1, 1]


# --- that the pretended GPU notices


def test_the_pretended_gpu_refuses_what_breaks_a_recording(gpu):
    there, here = torch.ones(3, device=DEVICE), torch.ones(3)
    for work, why in [
        (lambda: there * here.to(DEVICE), "from the host"),
        (lambda: there * torch.tensor([1.0, 2.0, 3.0], device=DEVICE), "from the host"),
        (lambda: there.cpu(), "to the host"),
        (lambda: there * there.sum().item(), "waits"),
        (lambda: there[there > 0], "waits"),
        (lambda: there[0] if there.sum() > 0 else there, "waits"),
        (lambda: there + here, "mixes devices"),
        (lambda: there.copy_(here), "from the host"),
    ]:
        graph = torch.cuda.CUDAGraph()
        with pytest.raises(RuntimeError) as raised, torch.cuda.graph(graph):
            work()
        assert why in str(raised.value.__context__)


def test_the_pretended_gpu_repeats_what_was_recorded_and_nothing_else(gpu):
    """A number of Python's is frozen; memory that was freed is not read; recording itself changes nothing."""
    total, step = torch.zeros((), device=DEVICE), 1
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        total += step
        out = total * 10
    assert total.item() == 0 and out.isnan().item()
    step = 100
    graph.replay()
    graph.replay()
    assert (total.item(), out.item()) == (2, 20)
    short_lived, graph = torch.ones((), device=DEVICE), torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        total += short_lived
    del short_lived
    with pytest.raises(NotRecordable, match="freed"):
        graph.replay()


# --- on a GPU


def on_chip(recipe, task=TASK, seeds=range(2), **more):
    return rt.train(recipe, task, seeds, device="cuda", **more)


@pytest.mark.gpu
@pytest.mark.parametrize("name", CASES)
def test_on_a_gpu_what_is_recorded_equals_what_is_not_and_the_cpu(name, monkeypatch, capsys):
    task, recipe = CASES[name][0], CASES[name][1].but(updates=20)
    mine = on_chip(recipe, task)
    assert not capsys.readouterr().err
    near(rt.train(recipe, task, range(2), device="cpu"), mine)
    monkeypatch.setattr(update, "CUDAGraphUpdate", TorchUpdate)
    alike(on_chip(recipe, task), mine)


@pytest.mark.gpu
def test_on_a_gpu_nothing_waits_between_evaluations(monkeypatch):
    real, seen = CUDAGraphUpdate.__call__, []

    def unwaited(self, number):
        seen.append(bool(self.recorder.known))
        torch.cuda.set_sync_debug_mode("error" if seen[-1] else "default")
        try:
            real(self, number)
        finally:
            torch.cuda.set_sync_debug_mode("default")

    monkeypatch.setattr(CUDAGraphUpdate, "__call__", unwaited)
    on_chip(SHORT.but(updates=20, schedule="cosine", noise=0.1, dropout=0.2))
    assert seen == [False] + 19 * [True]


@pytest.mark.gpu
def test_on_a_gpu_threads_train_while_others_compute_and_train(capsys):
    recipe = SHORT.but(updates=50, grow="2:0.8")
    alone, records = on_chip(recipe), [rt.Runs(), rt.Runs()]
    threads = [Thread(target=on_chip, args=(recipe,), kwargs={"record": record}, daemon=True) for record in records]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        other = torch.ones(512, 512, device="cuda")
        assert (other @ other).eq(512).all().item()  # waits for its own stream
    for record in records:
        alike(alone, record)
    assert not capsys.readouterr().err


@pytest.mark.gpu
def test_on_a_gpu_trainings_one_after_another_free_their_memory():
    recipe, held = SHORT.but(updates=20, width=32, batch_size=32, grow="2:0.8"), []
    gc.collect()
    gc.disable()
    try:
        for _ in range(4):
            on_chip(recipe, seeds=range(64))
            torch.cuda.empty_cache()
            held.append((torch.cuda.memory_allocated(), torch.cuda.memory_reserved()))
    finally:
        gc.enable()
    assert len(set(held[1:])) == 1  # the first brings what libraries keep


@pytest.mark.gpu
def test_on_a_gpu_two_thousand_runs_are_the_runs_they_would_be_in_small_company():
    recipe = SHORT.but(updates=20, width=16, batch_size=16)
    many, few = on_chip(recipe, seeds=range(2048)), on_chip(recipe, seeds=[0, 2047])
    near(few, many.only([0, 2047]))


@pytest.mark.gpu
def test_on_a_gpu_an_update_that_cannot_be_recorded_is_done_without(monkeypatch, capsys):
    alone = on_chip(SHORT)
    with monkeypatch.context() as patch:
        unrecordable(patch)
        alike(alone, on_chip(SHORT))
    assert "more slowly" in capsys.readouterr().err
    alike(alone, on_chip(SHORT))
    assert not capsys.readouterr().err
