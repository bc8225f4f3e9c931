"""The benchmark: its peers learn the same thing, its ratios are taken within rounds, its table can be read back.

No time is asserted here: these machines are never quiet.
"""

import json
from contextlib import contextmanager
from copy import deepcopy

import pytest
import torch
from click.testing import CliRunner

from rnntips import bench, cli, commands
from rnntips.bench import memory, peers, rounds, rows
from rnntips.bench.peers import CELLS, Size
from rnntips.bench.table import number
from rnntips.errors import BadArgument, BadData
from rnntips.recipe import Recipe
from rnntips.tasks import forecast

TINY = Size(R=3, B=4, T=5, H=8)
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
    monkeypatch.setattr(rounds, "FILL", 0.0)
    monkeypatch.setattr(rows, "SIZES", {"small": TINY, "large": TINY})
    monkeypatch.setattr(rows, "SMALL", TINY)
    monkeypatch.setattr(rows, "CELLS", ["gru", "lstm"])
    monkeypatch.setattr(rows, "UPDATES", 3)
    monkeypatch.setattr(rows, "LONGEST", 700)
    monkeypatch.setattr(
        rows, "AXES", {"T": ("step", TINY, (3, 700), (700, 3), 1.15), "R": ("run", TINY, (2, 3), (3, 2), 1)}
    )
    monkeypatch.setattr(rows, "CEILING", 64)
    monkeypatch.setattr(rows, "memory", lambda: 12.5)
    monkeypatch.setattr(peers, "why_no_jax", lambda device="cpu": "JAX is left out.")
    monkeypatch.setattr(bench, "why_no_jax", lambda device="cpu": "JAX is left out.")


def weights(nets):
    return [weight.detach() for net in nets for weight in net.parameters()]


def agree(mine, theirs, **tolerance):
    torch.testing.assert_close(list(mine), list(theirs), **tolerance)


# --- peers


@pytest.mark.parametrize("cell", CELLS)
def test_loop_and_pool_learn_the_same_from_the_same_weights(cell):
    nets, x, y = peers.problem(cell, TINY)
    others = deepcopy(nets)
    before = deepcopy(weights(nets))
    looped, pooled = peers.loop(nets, x, y), peers.pool(others, x, y)
    for _ in range(2):
        looped(), pooled()
    agree(weights(nets), weights(others))
    assert all((new != old).any() for new, old in zip(weights(nets), before, strict=True))


@pytest.mark.parametrize("cell", CELLS)
def test_an_update_of_the_loop_is_clipped_adam_on_the_mean_squared_error(cell):
    """By hand from the gradient: Adam's first step is lr · g / (|g| + eps)."""
    nets, x, y = peers.problem(cell, TINY)
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
def test_the_loss_in_jax_is_that_in_torch(cell, jax):
    """With copied weights, for every run."""
    nets, x, y = peers.problem(cell, TINY)
    losses = jax.vmap(peers.jax_loss(cell))(peers.jax_weights(nets), x.numpy(), y.numpy())
    with torch.no_grad():
        expected = [((net(x_r) - y_r) ** 2).mean() for net, x_r, y_r in zip(nets, x, y, strict=True)]
    assert losses.tolist() == pytest.approx(torch.stack(expected).tolist(), rel=1e-5)


def test_updates_in_jax_are_those_in_torch(jax, monkeypatch):
    """Large steps, so that the gradients' norms change: under a constant factor Adam's steps would stay the same."""
    monkeypatch.setattr(peers, "LR", 0.1)
    nets, x, y = peers.problem("gru", TINY)
    y = 5 * y
    update, looped = peers.jax_update("gru", nets, x, y), peers.loop(nets, x, y)
    for _ in range(5):
        found = update()
        looped()
    for name, value in peers.jax_weights(nets).items():
        agree([torch.tensor(value)], [torch.tensor(found[name].tolist())], atol=1e-4, rtol=0)


def test_an_update_in_jax_is_compiled_once(jax):
    """Else a turn would time the compiler."""
    update = peers.jax_update("tanh", *peers.problem("tanh", TINY))
    compiled = dict(zip(update.__code__.co_freevars, update.__closure__, strict=True))["everyone"].cell_contents
    peers.jax_wait(update()), peers.jax_wait(update())
    assert 1 == compiled._cache_size()


# --- rounds


def test_every_round_times_every_contestant():
    order = []
    contestants = {name: lambda name=name: order.append(name) or len(order) for name in "abc"}
    assert {"a": [1, 4], "b": [2, 5], "c": [3, 6]} == rounds.interleaved(contestants, 2)
    assert list("abcabc") == order


def test_ratios_are_taken_within_rounds_before_the_median():
    """A machine that is ten times slower in one round changes nothing; the ratio of medians would be 4.4."""
    assert rounds.ratio([20, 220, 44], [10, 100, 11]) == pytest.approx(2.2)


def test_a_turn_is_filled_with_calls_and_averaged(monkeypatch):
    clock = iter(range(1000))
    monkeypatch.setattr(rounds.time, "perf_counter", lambda: next(clock) / 1e3)  # a millisecond each time it is asked
    monkeypatch.setattr(rounds, "FILL", 5.0)
    calls = []
    turn = rounds.clocked(lambda: calls.append(1))
    assert 1 == len(calls)  # the one that does not count
    assert 1.0 == pytest.approx(turn()) and 6 == len(calls)


def test_what_returns_early_is_waited_for_before_the_clock_is_read(monkeypatch):
    """Calls follow each other, 1, 1, 2, 4 of them, and every wait is for the last one's result."""
    done, calls, clock = [], iter(range(1000)), iter(range(1000))
    monkeypatch.setattr(rounds.time, "perf_counter", lambda: next(clock) / 1e3)
    monkeypatch.setattr(rounds, "FILL", 4.0)
    turn = rounds.clocked(lambda: next(calls), done.append)
    assert [0] == done
    assert 4 / 8 == pytest.approx(turn()) and [0, 1, 2, 4, 8] == done


def test_a_gpu_is_waited_for_where_the_clock_counts(monkeypatch):
    """At the start, after the first update, which makes what is made once, and after the last."""
    waited = []
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: waited.append(len(record.times)))
    record = rounds.Undisturbed()
    record.begin([Recipe()], rounds.Drawn(forecast(rows.series.demand())), [0], 500, "cuda", steps=32)
    for update in range(record.updates + 1):
        record.advance(update)
    assert [0, 1, record.updates] == waited


def test_every_turn_of_ours_is_trained_in_its_context(monkeypatch):
    monkeypatch.setattr(rounds, "FILL", 0.0)
    entered = []

    @contextmanager
    def under():
        entered.append("in")
        yield
        entered.append("out")

    turn = rounds.ours("tanh", TINY, rows.series.demand(), under=under)
    before = len(entered)
    assert turn() > 0 and ["in", "out"] == entered[before:]


def test_windows_are_drawn_once_for_a_seed_and_are_the_same(monkeypatch):
    task, recipe = forecast(rows.series.demand()), Recipe()
    kept = rounds.Drawn(task)
    for seed in (0, 1):
        assert (kept.examples(recipe, seed).signal == task.examples(recipe, seed).signal).all()
        assert kept.bounds(recipe, seed) == task.bounds(recipe, seed)
        assert kept.examples(recipe.but(cell="lstm"), seed) is kept.examples(recipe, seed)
    assert kept.name == task.name


def test_our_updates_are_timed_without_evaluations_and_the_first():
    record = rounds.timed_training("gru", TINY, rows.series.demand(), 4)
    assert not len(record.evaluations) and 5 == len(record.times) and 4 == record.reached
    record.times = [0.0, 5.0, 5.1, 5.2, 5.3]
    assert 100 == pytest.approx(record.milliseconds)
    watched = rounds.timed_training("gru", TINY, rows.series.demand(), 4, record=rounds.Timed)
    assert len(watched.evaluations)
    assert (watched.train_loss == record.train_loss).all()  # evaluating changes nothing


# --- rows


def test_rows_have_the_documented_fields_and_say_what_was_left_out(tiny):
    found = bench.measure(["update", "recurrence", "overhead", "growth", "memory"], rounds=1)
    assert json.loads(json.dumps(found)) == found
    assert {"update", "recurrence", "overhead", "growth", "memory"} == {row["row"] for row in found["rows"]}
    assert "JAX is left out." in found["notes"]
    assert {"CPU", "cores", "threads", "Python", "torch", "numpy", "numba", "jax"} == found["machine"].keys()
    for row in found["rows"]:
        assert FIELDS == row.keys() and (row["met"] is None) == (row["target"] == "")
        assert bool(row["parts"]) == bool(row["parts_unit"])
    first = found["rows"][0]
    assert {"loop", "pool", "ours"} == first["parts"].keys()
    by_hand = min(first["parts"][peer] for peer in ("loop", "pool")) / first["parts"]["ours"]
    assert by_hand == pytest.approx(first["value"])  # one round, so its ratio is the reach


def test_what_meets_a_target():
    met = [rows.row("x", "x", 2.0, "×", **limit)["met"] for limit in
           ({}, {"least": 2}, {"least": 2.1}, {"most": 2}, {"most": 1.9})]  # fmt: skip
    assert [None, True, False, True, False] == met


def test_only_the_rows_asked_for_are_measured(monkeypatch):
    monkeypatch.setattr(rows, "CPU", {"memory": lambda count: [count], "live": lambda count: pytest.fail("measured")})
    threads = torch.get_num_threads()
    assert [4] == bench.measure(["memory"], rounds=4)["rows"]
    assert threads == torch.get_num_threads()


def test_unknown_rows_devices_and_no_rounds_are_refused():
    for wrong in ({"rows": ["memori"]}, {"device": "tpu"}, {"rounds": 0}):
        with pytest.raises(BadArgument):
            bench.measure(**wrong)


def test_memory_is_measured_in_a_fresh_process():
    """Whatever this process holds; it is at least the batch, and what is loaded with the package does not count."""
    held = torch.ones(100_000_000)
    assert memory.BATCH * 500 * memory.CHANNELS * 4 / 1e6 < memory.memory(500) < 100
    assert len(held)


# --- table


RESULT = {
    "device": "cpu", "machine": {"CPU": "some", "cores": 2}, "rounds": 1, "notes": ["No JAX."],
    "rows": [rows.row("update", "gru", 2.25, "×", least=2, parts={"loop": 1234.5, "ours": 9.0}),
             rows.row("memory", "lstm", 75.0, "MB")],
}  # fmt: skip


def test_the_table_can_be_read_back():
    text = bench.table(RESULT)
    lines = [line for line in text.splitlines() if line.startswith("|")]
    head, rule, *body = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert set("".join(rule)) == {"-"} and {len(head)} == {len(cells) for cells in [rule, *body]}
    assert ["gru", "2.25 ×", "≥ 2", "yes", "loop: 1,234, ours: 9.00 ms"] == body[0]
    assert ["lstm", "75.0 MB", "", "", ""] == body[1]
    assert "CPU some, cores 2" in text and text.endswith("No JAX.")


@pytest.mark.parametrize(("value", "text"), [(1234.4, "1,234"), (100, "100"), (12.345, "12.3"), (-0.0512, "-0.0512")])
def test_numbers_have_three_digits(value, text):
    assert text == number(value)


def test_write_replaces_only_what_stands_between_the_markers(tmp_path, monkeypatch):
    page = tmp_path / "engine.md"
    above, below = "# Title\n\n<!-- bench cpu -->", "<!-- end of bench cpu -->\n\nMore | text.\n"
    page.write_text(f"{above}\nold\n{below}", encoding="utf-8")
    monkeypatch.setattr(commands, "ENGINE", page)
    monkeypatch.setattr(bench, "measure", lambda *_, **__: RESULT)
    for _ in range(2):
        shown = CliRunner().invoke(cli.main, ["bench", "--write"])
        assert 0 == shown.exit_code
        assert f"{above}\n{bench.table(RESULT)}\n{below}" == page.read_text(encoding="utf-8")
    assert bench.table(RESULT) in shown.output


@pytest.mark.parametrize("content", ["", "<!-- bench cpu -->", "<!-- end of bench cpu --><!-- bench cpu -->"])
def test_a_page_without_its_markers_stays_as_it_is(tmp_path, content):
    page = tmp_path / "engine.md"
    page.write_text(content, encoding="utf-8")
    with pytest.raises(BadData, match="each once"):
        bench.write(page, "text", "bench cpu")
    assert content == page.read_text(encoding="utf-8")


def test_the_engine_page_has_its_markers():
    content = commands.ENGINE.read_text(encoding="utf-8")
    assert 1 == content.count("<!-- bench cpu -->") == content.count("<!-- end of bench cpu -->")


# --- command


def test_json_is_the_whole_result(monkeypatch):
    monkeypatch.setattr(bench, "measure", lambda *_, **__: RESULT)
    assert RESULT == json.loads(CliRunner().invoke(cli.main, ["bench", "--json"]).output)


def test_a_gpu_that_is_not_there_is_said_to_be_missing(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    shown = CliRunner().invoke(cli.main, ["bench", "--device", "cuda"])
    assert 1 == shown.exit_code and "no GPU" in shown.output


def test_a_part_of_the_table_is_not_written():
    shown = CliRunner().invoke(cli.main, ["bench", "--write", "--rows", "memory"])
    assert 1 == shown.exit_code and "--rows" in shown.output
