"""The benchmark of a GPU, without one: its peer `flashrnn`, and its rows on a CPU at tiny sizes."""

from copy import deepcopy
from types import SimpleNamespace

import pytest
import torch
from test_benchmarks import FIELDS, TINY, agree

import benchmarks
from benchmarks import flashrnn, gpu, peak_memory, peers, rounds
from benchmarks.peers import CELLS, Size
from rnntips import engine

CELLWISE = [f"gpu-{cell}" for cell in CELLS]

# --- flashrnn


def lstm(Wx, R, b, *, function, backend, dtype):
    """What the package's one function computes, from its documentation: inputs (B, T, 4, heads, H), weights
    (4, heads, out, in), biases (4, heads, H), gates in the order i f z o; states h and c (2, B, T, heads, H)."""
    assert (function, dtype) == ("lstm", "float32")
    h = c = Wx.new_zeros(Wx.shape[0], *Wx.shape[3:])
    states = []
    for t in range(Wx.shape[1]):
        i, f, z, o = (Wx[:, t] + torch.einsum("bni,gnoi->bgno", h, R) + b).unbind(1)
        c = f.sigmoid() * c + i.sigmoid() * z.tanh()
        h = o.sigmoid() * c.tanh()
        states.append(torch.stack([h, c]))
    return torch.stack(states, 2), states[-1][:, :, None]


@pytest.mark.parametrize("where", ["formula", "package"])
def test_flashrnn_learns_what_a_loop_of_modules_learns(where, monkeypatch):
    """Large steps and targets, so that clipping counts and its factors differ from run to run and step to step."""
    if where == "formula":
        monkeypatch.setattr(flashrnn, "_package", lambda: lstm)
    elif why := flashrnn.why_no_flashrnn():
        pytest.skip(why)
    monkeypatch.setattr(flashrnn, "LR", 0.1)
    monkeypatch.setattr(peers, "LR", 0.1)
    stacked, made = flashrnn._stacked, []
    monkeypatch.setattr(flashrnn, "_stacked", lambda *given: made.extend(stacked(*given)) or made)
    nets, x, y = peers.problem("lstm", TINY)
    y = y * torch.tensor([1.0, 5.0, 50.0])[:, None, None]
    update, looped = flashrnn.flashrnn_update(deepcopy(nets), x, y, "vanilla"), peers.loop(nets, x, y)
    for _ in range(4):
        expected = [(net(x_r) - y_r).square().mean() for net, x_r, y_r in zip(nets, x, y, strict=True)]
        torch.testing.assert_close(update(), torch.stack(expected).detach(), atol=1e-4, rtol=1e-4)
        looped()
    agree([part.detach() for part in made], [part.detach() for part in stacked(nets, x.device)], atol=1e-4, rtol=0)


@pytest.mark.gpu
def test_a_recorded_update_of_flashrnn_goes_on_as_an_unrecorded_one():
    """On a GPU, where two updates are made before the recording, which makes none."""
    if why := flashrnn.why_no_flashrnn():
        pytest.skip(why)
    nets, x, y = peers.problem("lstm", Size(3, 16, 5, 16), "cuda")
    plain, recorded = (flashrnn.flashrnn_update(deepcopy(nets), x, y, record=record) for record in (False, True))
    plain(), plain()
    for _ in range(3):
        torch.testing.assert_close(recorded(), plain(), atol=1e-4, rtol=1e-3)


def test_a_missing_flashrnn_is_said(monkeypatch):
    def missing():
        raise ImportError("No module named 'flashrnn'")

    monkeypatch.setattr(flashrnn, "_package", missing)
    assert "pip install flashrnn" in flashrnn.why_no_flashrnn()


# --- rows


@pytest.fixture
def tiny(monkeypatch):
    """The rows of a GPU on this CPU: small, short, and without packages that may be missing."""
    small = {"DEVICE": "cpu", "RUNS": (2, 3), "NAMED": 3, "REMEMBERED": (3,), "LOOPED": 2, "LARGE": TINY,
             "_wait": lambda done: None,
             "_peak": lambda function: [function(), {"tensors": 3.0, "taken": 5.0}][1]}  # fmt: skip
    for name, value in small.items():
        monkeypatch.setattr(gpu, name, value)
    monkeypatch.setattr(rounds, "FILL", 0.0)
    monkeypatch.setattr(peers, "why_no_jax", lambda device="cpu": "JAX is left out.")
    monkeypatch.setattr(flashrnn, "_package", lambda: lstm)
    monkeypatch.setattr(peak_memory, "STEPS", 3)


def measured(*names, count=1):
    said, notes = [], []
    groups = gpu.groups(said.append, notes.append)
    return [row for name in names for row in groups[name](count)], said, notes


def contestants(found):
    """What took part, for every cell and number of runs."""
    return {row["name"].removesuffix(": whole update"): set(row["parts"]) for row in found if "whole" in row["name"]}


def test_rows_of_updates(tiny):
    found, said, notes = measured(*CELLWISE, count=2)
    assert not notes and 6 == len(said)
    for row in found:
        assert FIELDS == row.keys() and row["value"] > 0
    assert CELLWISE == list(dict.fromkeys(row["row"] for row in found))
    parts = contestants(found)
    ours, flash, loop = {"ours", "plain graph"}, {"flashrnn", "flashrnn graph"}, {"cuDNN loop up to R 2"}
    assert parts["gru, R = 2"] == ours | loop and parts["lstm, R = 2"] == ours | loop | flash
    assert parts["gru, R = 3"] == ours | set(gpu.PRECISIONS)
    assert parts["lstm, R = 3"] == ours | set(gpu.PRECISIONS) | flash
    assert ["≤ 2"] * 3 == [row["target"] for row in found if "R = 3: whole" in row["name"]]


def test_peers_are_compared_with_ours(tiny):
    times = {"ours": [2.0, 4.0, 3.0], "plain graph": [1.0, 1.0, 1.0], "jax": [9.0, 9.0, 9.0], "loop": [8.0, 8.0, 8.0]}
    found = {row["name"].split(": ")[1]: (row["value"], row["met"]) for row in gpu._compared("gru", 3, times)}
    best = "the best peer's time over ours (loop)"
    assert {"whole update": (3, False), best: (8 / 3, None), "JAX's time over ours": (3, True)} == found


def test_a_contestant_that_fails_is_a_note_and_the_others_go_on(tiny, monkeypatch):
    def broken(*_, **__):
        raise torch.OutOfMemoryError("CUDA out of memory.\nTried to allocate")

    monkeypatch.setattr(gpu, "flashrnn_update", broken)  # at its set-up
    calls = iter("abcd")  # three for the first cell, and one to set up the second
    monkeypatch.setattr(peers, "loop", lambda *_: lambda: next(calls))  # which fails in its turn
    found, _, notes = measured(*CELLWISE, count=2)
    assert "lstm, R = 2: flashrnn graph failed: OutOfMemoryError: CUDA out of memory." in notes
    assert any(note.startswith("gru, R = 2: cuDNN loop up to R 2 failed: StopIteration") for note in notes)
    parts = contestants(found)
    assert {"ours", "plain graph", "cuDNN loop up to R 2"} == parts["tanh, R = 2"]
    assert {"ours", "plain graph"} == parts["lstm, R = 2"]


def test_without_a_time_of_ours_there_is_nothing_to_compare(tiny, monkeypatch):
    monkeypatch.setattr(rounds, "ours", lambda *_: 1 / 0)
    found, said, notes = measured("gpu-gru")
    assert not found and 2 == len(said)
    assert "gru, R = 2: ours failed: ZeroDivisionError: division by zero" in notes


def test_contexts_leave_out_the_kernels_and_round_their_products():
    """So that a kernel's new name is seen here."""
    kernels = pytest.importorskip("rnntips.engine.triton_ops")
    before = kernels.PRECISION
    with gpu.rounded("tf32"):
        assert "tf32" == kernels.PRECISION
    assert before == kernels.PRECISION
    there = SimpleNamespace(device=torch.device("cuda"), dtype=torch.float32, numel=lambda: 1)  # as a tensor would be
    assert engine._fast(there) is kernels
    with gpu.plain():
        assert engine._fast(there) is None and engine._fast(torch.ones(1)) is engine._cpu()
    assert engine._fast(there) is kernels


def test_memory_and_a_published_epoch(tiny):
    found, _, notes = measured("gpu-memory")
    assert not notes and [f"{cell}, R = 3: memory of an update" for cell in CELLS] == [row["name"] for row in found]
    assert {"tensors": 3.0, "taken": 5.0} == found[0]["parts"]
    found, _, notes = measured("gpu-published")
    assert not notes and ["", "", "≤ 0.5", ""] == [row["target"] for row in found]
    assert "R = 112, an epoch of 15 × 3 steps" in found[2]["name"]


def test_peaks_are_read_after_what_lay_unused_is_given_back(monkeypatch):
    happened, torch_cuda = [], {"reset_peak_memory_stats": None, "memory_allocated": 10**6,
                                "max_memory_allocated": 5 * 10**6, "max_memory_reserved": 9 * 10**6}  # fmt: skip
    for name, value in torch_cuda.items():
        monkeypatch.setattr(torch.cuda, name, lambda name=name, value=value: happened.append(name) or value)
    monkeypatch.setattr(gpu, "_tidied", lambda: happened.append("tidied"))
    assert {"tensors": 4.0, "taken": 9.0} == gpu._peak(lambda: happened.append("work"))
    assert [
        "tidied", "reset_peak_memory_stats", "memory_allocated", "work", "max_memory_allocated", "max_memory_reserved"
    ] == happened  # fmt: skip


def test_runs_of_the_published_network_learn_apart():
    """A run trained among others is the run trained alone."""
    together, alone = peak_memory.training(3), peak_memory.training(1)
    among, single = (closure(function)["weights"][0] for function in (together, alone))
    before = single.clone()
    together(4), alone(4)
    torch.testing.assert_close(among, single, atol=1e-6, rtol=0)
    assert (before != single).any()


def closure(function):
    return dict(zip(function.__code__.co_freevars, (cell.cell_contents for cell in function.__closure__), strict=True))


def test_notes_of_a_gpu_say_once_what_took_no_part(monkeypatch):
    def failing(say, note):
        return {"gpu-gru": lambda count: note("jax failed") or note("jax failed") or []}

    monkeypatch.setattr(gpu, "groups", failing)
    monkeypatch.setattr(benchmarks, "resolve_device", lambda device: "cuda")
    monkeypatch.setattr(peers, "why_no_jax", lambda device: None)
    monkeypatch.setattr(benchmarks, "why_no_flashrnn", lambda: "No flashrnn.")
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "some chip")
    monkeypatch.setattr(benchmarks, "BUSY", float("inf"))
    found = benchmarks.measure(device="cuda", rounds=1)
    assert ["No flashrnn.", "jax failed"] == found["notes"]
    assert "some chip" == found["machine"]["GPU"] and {"CUDA", "triton", "flashrnn"} < found["machine"].keys()


@pytest.mark.gpu
def test_the_groups_run_on_a_gpu(monkeypatch):
    """Few runs and rounds: whether everything is measured, never how fast."""
    for name, value in {"RUNS": (2, 3), "NAMED": 3, "REMEMBERED": (3,), "SEEDS": 1}.items():
        monkeypatch.setattr(gpu, name, value)
    monkeypatch.setattr(rounds, "FILL", 1.0)
    monkeypatch.setattr(peak_memory, "STEPS", 600)
    found = benchmarks.measure(device="cuda", rounds=1)
    assert not [note for note in found["notes"] if "failed" in note]
    assert {*CELLWISE, "gpu-memory", "gpu-published"} == {row["row"] for row in found["rows"]}
    assert all(row["value"] > 0 for row in found["rows"])
