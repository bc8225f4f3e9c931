"""The benchmark of a GPU, without one: its counts, its peer `flashrnn`, and its rows on a CPU at tiny sizes."""

from copy import deepcopy
from types import SimpleNamespace

import pytest
import torch
from click.testing import CliRunner
from test_bench import FIELDS, TINY, agree
from torch.utils.flop_counter import FlopCounterMode

from rnntips import bench, cells, cli, commands, kernels
from rnntips.bench import counts, gpu, heads, memory, peers, rounds, rows
from rnntips.bench.peers import CELLS, Size

# --- counts


@pytest.mark.parametrize("cell", CELLS)
def test_operations_are_those_of_an_update_in_plain_torch(cell):
    """Torch's own count of the readable reference, which leaves out the gradient of the first state."""
    size = R, B, T, H = Size(2, 3, 5, 4)
    gates = cells.GATES[cell] * H
    shapes = [(R, 1, gates), (R, gates), (R, H, gates), (R, gates), (R, H, 1), (R, 1)]
    given, given_bias, own, bias, readout, readout_bias = parts = [torch.rand(s, requires_grad=True) for s in shapes]
    with FlopCounterMode(display=False) as counter:
        _, last = cells.scan(cell, cells.contributions(torch.rand(R, B, T, 1), given, given_bias), own, bias)
        last = last[0] if cell == "lstm" else last
        torch.autograd.grad(cells.affine(last, readout, readout_bias).sum(), parts)
    assert counts.operations(cell, size) == counter.get_total_flops() + 2 * R * B * H * gates


@pytest.mark.parametrize("cell", CELLS)
def test_bytes_are_those_of_the_arrays(cell):
    """The arrays by name and shape, each as often as it is read or written."""
    size = R, B, T, H = Size(3, 40, 5, 8)
    G, kept, tiles = cells.GATES[cell], {"tanh": 0, "gru": 4, "lstm": 5}[cell], 3
    windows, states = torch.empty(R, B, T, 1), torch.empty(R, T, B, H)
    gates = torch.empty(R, T, kept, B, H)
    flat = torch.empty(R, (1 + H + 2) * G * H + H + 1)
    partial = torch.empty(R, tiles, (H + 1 + 1) * G * H + (H if cell == "gru" else 0))
    own = torch.empty(R, H, G * H + 1)
    places = torch.empty(R, B, T, dtype=torch.long)
    moved = {
        "feed": [places, places, windows, windows],
        "forward": [windows, flat, states, gates],
        "backward": [windows, own, states, gates, partial],
        "sum": [partial, flat],
        "step": 8 * [flat],
    }
    assert {part: sum(array.nbytes for array in arrays) for part, arrays in moved.items()} == counts.traffic(cell, size)


@pytest.mark.skipif(torch.cuda.is_available(), reason="counted under Triton's interpreter")
@pytest.mark.parametrize("cell", CELLS)
def test_bytes_of_both_passes_are_what_the_kernels_touch(cell, monkeypatch):
    """Every number they load or store, once a kernel: the formula's, and the states at both ends of the windows."""
    cuda = pytest.importorskip("rnntips.kernels.cuda")
    size = R, B, T, H = Size(2, 20, 3, 5)
    gates, state = cells.GATES[cell] * H, 4 * R * B * H
    touched = watched(monkeypatch)
    x = torch.randn(R, B, T, 1)
    weights = [
        torch.randn(shape, requires_grad=True) for shape in ((R, 1, gates), (R, gates), (R, H, gates), (R, gates))
    ]
    _, last = cuda.layer(cell, x, *weights, None)
    forward = 4 * len(touched)
    touched.clear()
    torch.autograd.grad((last[0] if cell == "lstm" else last).sum(), weights)
    counted, readout = counts.traffic(cell, size), 4 * R * H
    first_and_last = 3 if cell == "lstm" else 1  # the state before, and the cell's before and after
    assert forward == counted["forward"] - readout - 4 * R + first_and_last * state
    assert 4 * len(touched) == counted["backward"] - readout + (first_and_last + 2) * state  # and both gradients


def watched(monkeypatch):
    """A set that fills with what Triton's interpreter loads and stores, as (load or store, address)."""
    interpreter = pytest.importorskip("triton.runtime.interpreter").InterpreterBuilder
    touched = set()

    def watch(name, mask):
        do = getattr(interpreter, name)

        def noted(self, *given):
            touched.update((name, at) for at in given[0].data[given[mask].data.astype(bool)].tolist())
            return do(self, *given)

        monkeypatch.setattr(interpreter, name, noted)

    watch("create_masked_load", mask=1)
    watch("create_masked_store", mask=2)
    return touched


def test_predictions_grow_with_what_they_are_made_of():
    few, many = Size(1, 32, 64, 32), Size(2048, 32, 64, 32)
    assert counts.predicted("gru", few) == pytest.approx(counts.OTHERS + 64 * counts.STEP)  # a step after the other
    twice = 2 * 1e3 * counts.instructions("lstm", many) / counts.BEGUN
    assert counts.predicted("lstm", many) == pytest.approx(counts.OTHERS + twice)
    assert counts.instructions("gru", many) == 2048 * 2 * counts.WARPS * 64 * (551 + 781)


def test_counts_grow_as_they_must():
    """With the runs everything; with steps and windows the feed and both passes; and operations with H²."""
    size = Size(4, 32, 64, 32)
    once = counts.traffic("gru", size)
    assert {part: 8 * moved for part, moved in once.items()} == counts.traffic("gru", size._replace(R=32))
    longer = counts.traffic("gru", size._replace(T=128))
    assert longer["feed"] == 2 * once["feed"] and longer["step"] == once["step"]
    assert 1.9 < longer["forward"] / once["forward"] < 2
    both = [counts.operations("lstm", size._replace(H=H)) for H in (1000, 2000)]
    assert both[1] / both[0] == pytest.approx(4, rel=1e-2)


def test_what_is_kept_is_what_the_kernels_keep():
    cuda = pytest.importorskip("rnntips.kernels.cuda")
    assert counts.KEPT == cuda.KEPT and counts.TILE == cuda.TILE


def test_the_least_time_is_bytes_over_bandwidth_and_operations_over_speed():
    size = rows.LARGE
    found = counts.least("gru", size, 2.0, 10.0)
    assert found["bytes"] == pytest.approx(1e3 * sum(counts.traffic("gru", size).values()) / 2e12)
    assert found["operations"] == pytest.approx(1e3 * counts.operations("gru", size) / 10e12)


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


@pytest.fixture(params=["formula", "package"])
def flashrnn(request, monkeypatch):
    """The function in the peer's place for it: by its formula, or the package where it is installed."""
    if request.param == "formula":
        monkeypatch.setattr(heads, "_package", lambda: lstm)
    elif why := heads.why_no_flashrnn():
        pytest.skip(why)


def test_heads_learn_what_a_loop_of_modules_learns(flashrnn, monkeypatch):
    """Large steps and targets, so that clipping counts and its factors differ from run to run and step to step."""
    monkeypatch.setattr(heads, "LR", 0.1)
    monkeypatch.setattr(peers, "LR", 0.1)
    nets, x, y = peers.problem("lstm", TINY)
    y = y * torch.tensor([1.0, 5.0, 50.0])[:, None, None]
    made = []
    monkeypatch.setattr(heads, "_stacked", lambda *given, stacked=heads._stacked: made.extend(stacked(*given)) or made)
    update = heads.flashrnn_update(deepcopy(nets), x, y, "vanilla")
    looped = peers.loop(nets, x, y)
    for _ in range(4):
        expected = [(net(x_r) - y_r).square().mean() for net, x_r, y_r in zip(nets, x, y, strict=True)]
        torch.testing.assert_close(update(), torch.stack(expected).detach(), atol=1e-4, rtol=1e-4)
        looped()
    agree([part.detach() for part in made], [part.detach() for part in heads_of(nets)], atol=1e-4, rtol=0)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="this machine has no GPU")
def test_a_recorded_update_of_heads_goes_on_as_an_unrecorded_one(monkeypatch):
    """On a GPU, where two updates are made before the recording, which makes none."""
    if why := heads.why_no_flashrnn():
        pytest.skip(why)
    nets, x, y = peers.problem("lstm", Size(3, 16, 5, 16), "cuda")
    plain, recorded = (heads.flashrnn_update(deepcopy(nets), x, y, record=record) for record in (False, True))
    plain(), plain()
    for _ in range(3):
        torch.testing.assert_close(recorded(), plain(), atol=1e-4, rtol=1e-3)


def heads_of(nets):
    """The networks' weights as the peer holds them: R first, and of matrices the inputs before the outputs."""
    for kind in ("weight_ih_l0", "bias_ih_l0"):
        yield torch.stack([getattr(net.recurrent, kind).view(1, 4, 1, -1) for net in nets])
    yield torch.stack([net.recurrent.weight_hh_l0.view(4, TINY.H, TINY.H).mT for net in nets])
    yield torch.stack([net.recurrent.bias_hh_l0.view(4, TINY.H) for net in nets])
    yield torch.stack([net.readout.weight.T for net in nets])
    yield torch.stack([net.readout.bias[None] for net in nets])


def test_a_missing_flashrnn_is_said(monkeypatch):
    def missing():
        raise ImportError("No module named 'flashrnn'")

    monkeypatch.setattr(heads, "_package", missing)
    assert "pip install flashrnn" in heads.why_no_flashrnn()


# --- rows


@pytest.fixture
def tiny(monkeypatch):
    """The rows of a GPU on this CPU: small, short, and without packages that may be missing."""
    for name, value in {"DEVICE": "cpu", "RUNS": (2, 3), "NAMED": 3, "REMEMBERED": (3,), "LOOPED": 2, "COPIED": 64,
                        "CEILING": 8, "LARGE": TINY}.items():  # fmt: skip
        monkeypatch.setattr(gpu, name, value)
    monkeypatch.setattr(rounds, "FILL", 0.0)
    monkeypatch.setattr(peers, "why_no_jax", lambda device="cpu": "JAX is left out.")
    monkeypatch.setattr(heads, "_package", lambda: lstm)
    monkeypatch.setattr(gpu, "_peak", lambda function: [function(), {"tensors": 3.0, "taken": 5.0}][1])
    monkeypatch.setattr(memory, "STEPS", 3)


def measured(*names, count=1):
    said, notes = [], []
    groups = gpu.groups(said.append, notes.append)
    return [row for name in names for row in groups[name](count)], said, notes


CELLWISE = [f"gpu-{cell}" for cell in CELLS]


def test_rows_of_updates(tiny):
    found, said, notes = measured("gpu-limits", *CELLWISE, count=2)
    assert not notes and 6 == len(said)
    assert 2 == sum(row["row"] == "gpu-limits" for row in found)
    for row in found:
        assert FIELDS == row.keys() and row["value"] > 0
    assert {"gpu-limits", *CELLWISE} == {row["row"] for row in found}
    parts = {row["name"].removesuffix(": whole update"): set(row["parts"]) for row in found if "whole" in row["name"]}
    ours, flash, loop = {"ours", "plain graph"}, {"flashrnn", "flashrnn graph"}, {"cuDNN loop up to R 2"}
    assert parts["gru, R = 2"] == ours | loop and parts["lstm, R = 2"] == ours | loop | flash
    assert parts["gru, R = 3"] == ours | set(gpu.PRECISIONS)
    assert parts["lstm, R = 3"] == ours | set(gpu.PRECISIONS) | flash
    assert ["≤ 2"] * 3 == [row["target"] for row in found if "R = 3: whole" in row["name"]]


def test_shares_are_the_counted_least_times_over_the_measured(tiny, monkeypatch):
    monkeypatch.setattr(gpu, "_ceilings", lambda count: {"bandwidth": 1e-6, "flops": 1e-6})
    size = TINY._replace(R=3)
    found = gpu._compared("gru", size, {"ours": [2.0, 4.0, 3.0], "jax": [9.0, 9.0, 9.0]}, gpu._ceilings(1))
    by_name = {row["name"].split(": ")[1]: row for row in found}
    least = counts.least("gru", size, 1e-6, 1e-6)
    share = by_name["share of the chip's limit"]
    assert share["value"] == pytest.approx(100 * max(least.values()) / 3)
    assert share["parts"] == pytest.approx({name: 100 * ms / 3 for name, ms in least.items()})
    assert by_name["JAX's time over ours"]["value"] == pytest.approx(3) and by_name["JAX's time over ours"]["met"]


def test_ceilings_are_bytes_read_and_written_and_operations_in_time(tiny, monkeypatch):
    """The best round of each counts."""
    monkeypatch.setattr(rounds, "interleaved", lambda turns, count: {"bandwidth": [4.0, 2.0], "flops": [1.0, 8.0]})
    found = gpu._ceilings(2)
    assert found["bandwidth"] == pytest.approx(2 * 4 * 64 / 2e-3 / 1e12)
    assert found["flops"] == pytest.approx(2 * 8**3 / 1e-3 / 1e12)


def test_a_contestant_that_fails_is_a_note_and_the_others_go_on(tiny, monkeypatch):
    def broken(*_, **__):
        raise torch.OutOfMemoryError("CUDA out of memory.\nTried to allocate")

    monkeypatch.setattr(gpu, "flashrnn_update", broken)  # at its set-up
    calls = iter("abcd")  # three for the first cell, and one to set up the second
    monkeypatch.setattr(peers, "loop", lambda *_: lambda: next(calls))  # which fails in its turn
    monkeypatch.setattr(gpu, "_ceilings", broken)
    found, _, notes = measured(*CELLWISE, count=2)
    assert "the chip's limits failed: OutOfMemoryError: CUDA out of memory." in notes
    assert "lstm, R = 2: flashrnn graph failed: OutOfMemoryError: CUDA out of memory." in notes
    assert any(note.startswith("gru, R = 2: cuDNN loop up to R 2 failed: StopIteration") for note in notes)
    parts = {row["name"].removesuffix(": whole update"): set(row["parts"]) for row in found if "whole" in row["name"]}
    assert {"ours", "plain graph", "cuDNN loop up to R 2"} == parts["tanh, R = 2"]
    assert {"ours", "plain graph"} == parts["lstm, R = 2"] and not any("limit" in row["name"] for row in found)


def test_without_a_time_of_ours_there_is_nothing_to_compare(tiny, monkeypatch):
    monkeypatch.setattr(rounds, "ours", lambda *_: 1 / 0)
    found, said, notes = measured("gpu-gru")
    assert {"gpu-limits"} == {row["row"] for row in found} and 2 == len(said)
    assert "gru, R = 2: ours failed: ZeroDivisionError: division by zero" in notes


def test_contexts_leave_out_the_kernels_and_round_their_products():
    """So that a kernel's new name is seen here."""
    cuda = pytest.importorskip("rnntips.kernels.cuda")
    before = cuda.PRECISION
    with gpu.rounded("tf32"):
        assert "tf32" == cuda.PRECISION
    assert before == cuda.PRECISION
    there = SimpleNamespace(device=torch.device("cuda"), dtype=torch.float32, numel=lambda: 1)  # as a tensor would be
    assert kernels._fast(there) is cuda
    with gpu.plain():
        assert kernels._fast(there) is None and kernels._fast(torch.ones(1)) is kernels._cpu()
    assert kernels._fast(there) is cuda


def test_memory_and_a_published_epoch(tiny):
    found, _, notes = measured("gpu-memory")
    assert not notes and ["tanh, R = 3: memory of an update", "gru", "lstm"] == [
        found[0]["name"], *(row["name"].split(",")[0] for row in found[1:])]  # fmt: skip
    assert {"tensors": 3.0, "taken": 5.0} == found[0]["parts"]
    found, _, notes = measured("gpu-published")
    assert not notes and ["", "", "≤ 0.5", ""] == [row["target"] for row in found]
    assert "R = 112, an epoch of 15 × 3 steps" in found[2]["name"]


def test_peaks_are_read_after_what_lay_unused_is_given_back(tiny, monkeypatch):
    monkeypatch.undo()
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
    together, alone = memory.training(3), memory.training(1)
    among, single = (closure(function)["weights"][0] for function in (together, alone))
    before = single.clone()
    together(4), alone(4)
    torch.testing.assert_close(among, single, atol=1e-6, rtol=0)
    assert (before != single).any()


def closure(function):
    return dict(zip(function.__code__.co_freevars, (cell.cell_contents for cell in function.__closure__), strict=True))


# --- command


def test_the_plan_needs_no_gpu_and_is_in_the_page():
    shown = CliRunner().invoke(cli.main, ["bench", "--device", "cuda", "--plan"])
    assert 0 == shown.exit_code
    page = commands.ENGINE.read_text(encoding="utf-8")
    begin, end = "<!-- bench cuda plan -->\n", "\n<!-- end of bench cuda plan -->"
    assert shown.output.strip() == page[page.index(begin) + len(begin) : page.index(end)]
    assert 1 == page.count("<!-- bench cuda -->") == page.count("<!-- end of bench cuda -->")


def test_the_plan_counts_for_another_chip():
    call = ["bench", "--device", "cuda", "--plan", "--bandwidth", "0.3", "--flops", "8"]
    shown = CliRunner().invoke(cli.main, call).output
    assert "0.3 TB/s" in shown and "8 TFLOP/s" in shown and "H200" not in shown
    assert "H200" in bench.plan()


@pytest.mark.parametrize("call", [["--plan"], ["--flops", "3"], ["--device", "cuda", "--plan", "--rows", "gpu-gru"],
                                  ["--device", "cuda", "--plan", "--write", "--flops", "3"],
                                  ["--device", "cuda", "--plan", "--flops", "-3"]])  # fmt: skip
def test_a_plan_that_makes_no_sense_is_refused(call):
    shown = CliRunner().invoke(cli.main, ["bench", *call])
    assert 1 == shown.exit_code and "Error" in shown.output


def test_notes_of_a_gpu_say_once_what_took_no_part(monkeypatch):
    def failing(say, note):
        return {"gpu-gru": lambda count: note("jax failed") or note("jax failed") or []}

    monkeypatch.setattr(bench.gpu, "groups", failing)
    monkeypatch.setattr(bench, "resolve_device", lambda device: "cuda")
    monkeypatch.setattr(bench, "why_no_jax", lambda device: None)
    monkeypatch.setattr(bench, "why_no_flashrnn", lambda: "No flashrnn.")
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "some chip")
    monkeypatch.setattr(bench, "_busy", lambda: "")
    found = bench.measure(device="cuda", rounds=1)
    assert ["No flashrnn.", "jax failed"] == found["notes"]
    assert "some chip" == found["machine"]["GPU"] and {"CUDA", "triton", "flashrnn"} < found["machine"].keys()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="this machine has no GPU")
def test_the_groups_run_on_a_gpu(monkeypatch):
    """Few runs and rounds: whether everything is measured, never how fast."""
    for name, value in {
        "RUNS": (2, 3),
        "NAMED": 3,
        "REMEMBERED": (3,),
        "COPIED": 2**20,
        "CEILING": 512,
        "SEEDS": 1,
    }.items():
        monkeypatch.setattr(gpu, name, value)
    monkeypatch.setattr(rounds, "FILL", 1.0)
    monkeypatch.setattr(memory, "STEPS", 600)
    found = bench.measure(device="cuda", rounds=1)
    assert not [note for note in found["notes"] if "failed" in note]
    assert {"gpu-limits", *CELLWISE, "gpu-memory", "gpu-published"} == {row["row"] for row in found["rows"]}
    assert all(row["value"] > 0 for row in found["rows"])
