"""The benchmark: its peers learn the same thing, its ratios are taken within rounds, its table can be read back.

No time is asserted here: these machines are never quiet.
"""

import json
import time
from contextlib import contextmanager
from copy import deepcopy
from threading import Event
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

import benchmarks
from benchmarks import __main__ as command
from benchmarks import fresh, peak_memory, peers, rounds, rows
from benchmarks.peers import CELLS, Size
from benchmarks.table import number, table
from evidence import timing
from rnntips.errors import BadArgument
from rnntips.recipe import Recipe

TINY = Size(R=3, B=4, T=5, H=8)
EVERY, DENSE, DROPOUT, NOISE = rows.EXTRAS
FIELDS = {"row", "name", "value", "unit", "target", "met", "parts", "parts_unit"}


@pytest.fixture
def jax():
    """JAX, if it is there."""
    if why := peers.why_no_jax():
        pytest.skip(why)
    return pytest.importorskip("jax")


@pytest.fixture
def tiny(monkeypatch):
    """One short round of small contestants."""
    axes = {"T": ("step", TINY, (3, 700), (700, 3), 1.15), "R": ("run", TINY, (2, 3), (3, 2), 1)}
    small = {"SIZES": {"small": TINY, "wide": TINY}, "SMALL": TINY, "LARGE": TINY, "CELLS": ["gru", "lstm"],
             "UPDATES": 3, "LONGEST": 700, "LONG_STEPS": 200, "AXES": axes, "CEILING": 64,
             "memory": lambda: 12.5}  # fmt: skip
    monkeypatch.setitem(rows.EXTRAS, EVERY, {"past": 4 * TINY.T, "chunk": TINY.T, "carry": True})
    for name, value in small.items():
        monkeypatch.setattr(rows, name, value)
    monkeypatch.setattr(fresh, "ceiling", lambda size, turns: {"torch": 1.0, "NumPy": 2.0})
    monkeypatch.setattr(rounds, "FILL", 0.0)
    monkeypatch.setattr(peers, "why_no_jax", lambda device="cpu": "JAX is left out.")


def weights(nets):
    return [weight.detach() for net in nets for weight in net.parameters()]


def agree(mine, theirs, **tolerance):
    torch.testing.assert_close(list(mine), list(theirs), **tolerance)


# --- peers


@pytest.mark.parametrize("cell", CELLS)
def test_loop_and_pool_learn_the_same_from_the_same_weights(cell):
    nets, x, y = peers.problem(cell, TINY)
    others, before = deepcopy(nets), deepcopy(weights(nets))
    looped, pooled = peers.loop(nets, x, y), peers.pool(others, x, y)
    for _ in range(2):
        looped(), pooled()
    agree(weights(nets), weights(others))
    assert all((new != old).any() for new, old in zip(weights(nets), before, strict=True))


def test_an_update_of_the_loop_is_clipped_adam_on_the_mean_squared_error():
    """By hand from the gradient: Adam's first step is lr · g / (|g| + eps)."""
    nets, x, y = peers.problem("lstm", TINY)
    y = y + 100  # so that the gradient is clipped
    expected = []
    for net, x_r, y_r in zip(deepcopy(nets), x, y, strict=True):
        gradients = torch.autograd.grad(((net(x_r) - y_r) ** 2).mean(), list(net.parameters()))
        norm = torch.cat([g.flatten() for g in gradients]).norm()
        assert norm > peers.CLIP
        scaled = [g / norm * peers.CLIP for g in gradients]
        expected += [w - peers.LR * g / (g.abs() + 1e-8) for w, g in zip(weights([net]), scaled, strict=True)]
    peers.loop(nets, x, y)()
    agree(weights(nets), expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize("cell", CELLS)
def test_updates_in_jax_are_those_in_torch_and_compiled_once(cell, jax, monkeypatch):
    """Large steps, so that the gradients' norms change: under a constant factor Adam's steps would stay the same."""
    monkeypatch.setattr(peers, "LR", 0.1)
    nets, x, y = peers.problem(cell, TINY)
    y = 5 * y
    losses = jax.vmap(peers.jax_loss(cell))(peers.jax_weights(nets), x.numpy(), y.numpy())
    expected = [((net(x_r) - y_r) ** 2).mean().item() for net, x_r, y_r in zip(nets, x, y, strict=True)]
    assert losses.tolist() == pytest.approx(expected, rel=1e-5)
    update, looped = peers.jax_update(cell, nets, x, y), peers.loop(nets, x, y)
    for _ in range(5):
        found = update()
        looped()
    peers.jax_wait(found)
    for name, value in peers.jax_weights(nets).items():
        agree([torch.tensor(value)], [torch.tensor(found[name].tolist())], atol=1e-4, rtol=0)
    compiled = dict(zip(update.__code__.co_freevars, update.__closure__, strict=True))["everyone"].cell_contents
    assert 1 == compiled._cache_size()  # else a turn would time the compiler


# --- rounds


def test_every_round_times_every_contestant():
    order = []
    contestants = {name: lambda name=name: order.append(name) or len(order) for name in "abc"}
    assert {"a": [1, 4], "b": [2, 5], "c": [3, 6]} == rounds.interleaved(contestants, 2)
    assert list("abcabc") == order


def test_ratios_are_taken_within_rounds_before_the_median():
    """A machine that is ten times slower in one round changes nothing; the ratio of medians would be 4.4."""
    assert rounds.ratio([20, 220, 44], [10, 100, 11]) == pytest.approx(2.2)


def test_a_turn_is_filled_with_calls_that_are_waited_for_and_averaged(monkeypatch):
    """Calls follow each other, 1, 1, 2, 4 of them, and every wait is for the last one's result."""
    done, calls, clock = [], iter(range(1000)), iter(range(1000))
    monkeypatch.setattr(rounds.time, "perf_counter", lambda: next(clock) / 1e3)  # a millisecond each time it is asked
    monkeypatch.setattr(rounds, "FILL", 4.0)
    turn = rounds.contestant(lambda: next(calls), done.append)
    assert [0] == done  # the one that does not count
    assert 4 / 8 == pytest.approx(turn()) and [0, 1, 2, 4, 8] == done


@pytest.fixture
def clock(monkeypatch):
    """Trainings of three updates that take a second each, 10 s an evaluation and 5 s to be set up; the seconds so far,
    and how many updates had been made whenever a GPU was waited for."""
    now, made, waited = [0], [0], []

    def begin(job, record):
        record.seeds, record.train_loss, record.evaluations = np.arange(1), np.empty((1, 3)), np.arange(4)

        def updates():
            now[0] += 5
            for made[0] in range(4):
                now[0] += 10 * (made[0] in record.evaluations)
                if made[0] < 3:
                    now[0] += 1
                    yield made[0] + 1

        return updates()

    monkeypatch.setattr(timing, "begin", begin)
    monkeypatch.setattr(timing, "time", SimpleNamespace(perf_counter=lambda: now[0]))
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: waited.append(made[0] + 1))
    return waited


def test_evaluations_are_timed_on_top_of_updates_the_last_one_too(clock, monkeypatch):
    monkeypatch.setattr(rows, "UPDATES", 3)
    assert 100 * 4 * 10 / 3 == pytest.approx(rows._evaluations(rounds.job("gru", TINY, rows.demand(), 3)))


def test_our_updates_are_timed_without_evaluations_and_set_up_each_turn_in_its_context(clock):
    entered = []

    @contextmanager
    def under():
        entered.append("in")
        yield
        entered.append("out")

    turn = rounds.ours("tanh", TINY, None, "cuda", under)
    entered.clear(), clock.clear()
    assert 1000 == turn() and ["in", "out"] == entered
    assert [1, 3] == clock  # a GPU is waited for after the first update, which makes what is made once, and the last


def test_windows_are_drawn_once_for_a_seed_and_are_the_same():
    task, recipe = rows.demand(), Recipe()
    kept = rounds.Drawn(task)
    for seed in (0, 1):
        found = kept.examples(recipe, seed)
        assert (found.signal == task.examples(recipe, seed).signal).all()
        assert kept.bounds(recipe, seed, found) == kept.bounds(recipe, seed) == task.bounds(recipe, seed)
        assert kept.examples(recipe.but(cell="lstm"), seed) is found
    assert kept.name == task.name


# --- rows


def test_rows_have_the_documented_fields_and_say_what_was_left_out(tiny):
    names = ["update", "recurrence", "extras", "evaluation", "growth", "memory"]
    found = benchmarks.measure(names, rounds=1)
    assert json.loads(json.dumps(found)) == found
    assert names == list(dict.fromkeys(row["row"] for row in found["rows"]))
    assert "JAX is left out." in found["notes"]
    assert {"CPU", "vectors", "cores", "threads", "Python", "torch", "numpy", "numba", "jax"} == found["machine"].keys()
    for row in found["rows"]:
        assert FIELDS == row.keys() and (row["met"] is None) == (row["target"] == "")
        assert bool(row["parts"]) == bool(row["parts_unit"])
    first = found["rows"][0]
    assert {"loop", "pool", "ours"} == first["parts"].keys()
    by_hand = min(first["parts"][peer] for peer in ("loop", "pool")) / first["parts"]["ours"]
    assert by_hand == pytest.approx(first["value"])  # one round, so its ratio is the reach


def test_a_comparison_is_timed_to_its_first_evaluation_to_its_end_and_from_stop_to_the_end(monkeypatch):
    """Of two comparisons, after one that is not timed: 1 s to the first evaluation, then 6 s to the end, or 2 s."""
    now, reads, called, looked = [0], [], [], Event()

    def read():
        reads.append(now[0])
        if len(reads) % 3 == 2:  # after the one at the beginning, and before that at the end
            looked.set()
        return now[0]

    def compare(*_, record=None, stop=None, **__):
        called.append(record)
        if record is not None:
            now[0] += 1
            record[-1].valid_score = np.full((2, 3), 0.5)
            assert looked.wait(20) and (stop.wait(20) if len(called) == 3 else not stop.is_set())
            looked.clear()
            now[0] += 2 if stop.is_set() else 6

    monkeypatch.setattr(rows, "time", SimpleNamespace(perf_counter=read, sleep=time.sleep))
    monkeypatch.setattr(rows, "compare", compare)
    assert (1, 7, 2) == rows._watched("deep_recurrence")
    assert [None, 2, 2] == [record and len(record) for record in called]  # one for each shape


def test_the_slowest_panels_are_named(monkeypatch):
    order = {name: float(i) for i, name in enumerate(rows.tips)}
    monkeypatch.setattr(rows, "_watched", lambda name: (order[name], -order[name], 0.1))
    first, whole, stop = rows.live(1)
    assert [*order][:-4:-1] == [*first["parts"]] and [*order][:3] == [*whole["parts"]]
    assert (len(order) - 1, 0, 0.1) == tuple(each["value"] for each in (first, whole, stop))
    assert (False, True, True) == tuple(each["met"] for each in (first, whole, stop))


@pytest.mark.parametrize("fields", [{}, {"layers": 2}, rows.EXTRAS[DENSE], rows.EXTRAS[EVERY]])
def test_multiply_adds_are_those_that_torch_counts(fields):
    """One window's steps in plain torch operations, in which the state has a gradient from the first step on."""
    recipe, T = Recipe(cell="gru", width=8, **fields), 3
    sizes = [1, *recipe.dense]
    before = nn.Sequential(*map(nn.Linear, sizes, recipe.dense))
    layers = [nn.GRUCell(sizes[-1] if layer == 0 else 8, 8) for layer in range(recipe.layers)]
    after = nn.Sequential(*map(nn.Linear, [8, *recipe.dense_after], [*recipe.dense_after, 1]))
    states, answers = [torch.zeros(1, 8, requires_grad=True) for _ in layers], []
    with FlopCounterMode(display=False) as counter:
        for step in range(T):
            value = before(torch.ones(1, 1))
            for i, layer in enumerate(layers):
                states[i] = value = layer(value, states[i])
            if recipe.chunk or step == T - 1:
                answers.append(after(value))
        torch.cat(answers).sum().backward()
    assert counter.get_total_flops() == 2 * rows.multiply_adds(recipe, T)


def test_an_extra_is_held_against_the_arithmetic_it_adds(monkeypatch):
    """A contestant twice as slow with any of them: it does about twice the work with dense layers, else the same."""
    taken = []

    def ours(cell, size, task, **fields):
        taken.append((size, task.name, fields))
        return lambda: 6.0 if fields else 3.0

    monkeypatch.setattr(rounds, "ours", ours)
    monkeypatch.setattr(rows, "CELLS", ["lstm"])
    found = {name: row["value"] for name, row in zip(rows.EXTRAS, rows.extras(2), strict=True)}
    assert [2, 1, 2, 2] == [round(found[name], 1) for name in (EVERY, DENSE, DROPOUT, NOISE)]
    assert found[DENSE] > 1 and found[EVERY] < 2 == found[NOISE]
    chunked = [(name, fields["chunk"]) for size, name, fields in taken if "chunk" in fields]
    assert [("leaky 20", rows.LARGE.T)] == chunked and {rows.LARGE} == {size for size, *_ in taken}


def test_the_ceiling_is_measured_where_no_variable_holds_numpy_back(monkeypatch):
    monkeypatch.setenv("OPENBLAS_CORETYPE", "Nehalem")
    assert "False\n" == fresh.printed("import os; print('OPENBLAS_CORETYPE' in os.environ)")
    assert ["torch", "NumPy"] == [name for name, speed in fresh.ceiling(32, 1).items() if speed > 0]


def test_a_ceiling_is_the_best_that_was_seen_and_says_whose_it_is(tiny, monkeypatch):
    seen = iter([{"torch": 10.0, "NumPy": 20.0}, {"torch": 30.0, "NumPy": 20.0}])
    monkeypatch.setattr(fresh, "ceiling", lambda size, turns: next(seen))
    monkeypatch.setattr(rounds, "ours", lambda cell, size, task: lambda: 2.0)
    first, *others = rows.recurrence(1)
    assert 30 == first["value"] and "torch's" in first["name"] and {"torch": 30, "NumPy": 20} == first["parts"]
    R, B, T, H = TINY
    shares = [100 * 3 * 2 * R * B * T * H * G * H / 30e6 / 2.0 for G in (3, 4)]
    assert 2 * shares == pytest.approx([row["value"] for row in others])
    assert ["", "", "≥ 50", "≥ 50"] == [row["target"] for row in others]


def test_an_import_counts_beyond_torch_s(monkeypatch):
    monkeypatch.setattr(rounds, "contestant", lambda function: lambda: {"import torch": 2.0}.get(*function.args, 5.0))
    assert 3 == rows.imports(2)[0]["value"]


def test_what_meets_a_target():
    met = [rows.row("x", "x", 2.0, "×", **limit)["met"] for limit in
           ({}, {"least": 2}, {"least": 2.1}, {"most": 2}, {"most": 1.9})]  # fmt: skip
    assert [None, True, False, True, False] == met


def test_only_the_rows_asked_for_are_measured(monkeypatch):
    groups = {"memory": lambda count: [count], "live": lambda count: pytest.fail("measured")}
    monkeypatch.setattr(rows, "GROUPS", groups)
    threads = torch.get_num_threads()
    assert [4] == benchmarks.measure(["memory"], rounds=4)["rows"]
    assert threads == torch.get_num_threads()


def test_unknown_rows_devices_and_no_rounds_are_refused():
    for wrong in ({"rows": ["memori"]}, {"device": "tpu"}, {"rounds": 0}):
        with pytest.raises(BadArgument):
            benchmarks.measure(**wrong)


def test_memory_is_measured_in_a_fresh_process():
    """Whatever this process holds; it is at least the batch, and what is loaded with the package does not count."""
    held = torch.ones(100_000_000)
    assert peak_memory.BATCH * 500 * peak_memory.CHANNELS * 4 / 1e6 < peak_memory.memory(500) < 100
    assert len(held)


# --- table and command


RESULT = {
    "device": "cpu", "machine": {"CPU": "some", "cores": 2}, "rounds": 1, "notes": ["No JAX."],
    "rows": [rows.row("update", "gru", 2.25, "×", least=2, parts={"loop": 1234.5, "ours": 9.0}),
             rows.row("memory", "lstm", 75.0, "MB")],
}  # fmt: skip


def test_the_table_can_be_read_back():
    text = table(RESULT)
    lines = [line for line in text.splitlines() if line.startswith("|")]
    head, rule, *body = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert set("".join(rule)) == {"-"} and {len(head)} == {len(cells) for cells in [rule, *body]}
    assert ["gru", "2.25 ×", "≥ 2", "yes", "loop: 1,234, ours: 9.00 ms"] == body[0]
    assert ["lstm", "75.0 MB", "", "", ""] == body[1]
    assert "CPU some, cores 2" in text and text.endswith("No JAX.")


def test_numbers_have_three_digits():
    assert ["1,234", "100", "12.3", "-0.0512"] == [number(value) for value in (1234.4, 100, 12.345, -0.0512)]


def test_a_table_is_written_between_the_page_s_markers_and_json_is_the_whole_result(tmp_path, monkeypatch):
    for device in ("cpu", "cuda"):
        content = command.ENGINE.read_text(encoding="utf-8")
        assert 1 == content.count(f"<!-- bench {device} -->") == content.count(f"<!-- end of bench {device} -->")
    page = tmp_path / "engine.md"
    above, below = "# Title\n\n<!-- bench cpu -->", "<!-- end of bench cpu -->\n\nMore | text.\n"
    page.write_text(f"{above}\nold\n{below}", encoding="utf-8")
    monkeypatch.setattr(command, "ENGINE", page)
    monkeypatch.setattr(benchmarks, "measure", lambda *_, **__: RESULT)
    for _ in range(2):
        shown = CliRunner().invoke(command.main, ["--write"])
        assert 0 == shown.exit_code and table(RESULT) in shown.output
        assert f"{above}\n{table(RESULT)}\n{below}" == page.read_text(encoding="utf-8")
    assert RESULT == json.loads(CliRunner().invoke(command.main, ["--json"]).output)
    page.write_text("<!-- end of bench cpu --><!-- bench cpu -->", encoding="utf-8")
    shown = CliRunner().invoke(command.main, ["--write"])
    assert 1 == shown.exit_code and "each once" in shown.output
    assert "<!-- end of bench cpu --><!-- bench cpu -->" == page.read_text(encoding="utf-8")


@pytest.mark.parametrize(("call", "words"), [(["--device", "cuda"], "no GPU"),
                                             (["--write", "--rows", "memory"], "--rows")])  # fmt: skip
def test_what_cannot_be_done_is_said(call, words, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    shown = CliRunner().invoke(command.main, call)
    assert 1 == shown.exit_code and words in shown.output
