"""Truncated backpropagation through time: against loops of `torch.nn` with `detach`, and its laws."""

import numpy as np
import pytest
import torch
from oracles import Twin, assert_same, begun, trained

import rnntips as rt
from rnntips.engine.layout import CompiledUpdate
from rnntips.engine.tbptt import Chunk, TBPTTLoader, chunks
from rnntips.errors import BadArgument
from rnntips.loader import Loader, Masks
from rnntips.models import network_for
from rnntips.recipe import DROPOUTS
from rnntips.training import Job, begin, train_jobs
from rnntips.windows import batches

SHORT = rt.Recipe(updates=7, width=6, batch_size=5, past=13, optimizer="sgd", lr=0.1, momentum=0.9)
TASKS = {task.name: task for task in
         (rt.tasks.leaky(5), rt.tasks.recall_stream(3), rt.tasks.characters(), rt.tasks.recall_stream(4))}  # fmt: skip
CELLS = ("gru", "lstm", "tanh")
every_task = pytest.mark.parametrize("name", [*TASKS][:3])


@pytest.mark.parametrize(
    ("name", "change"),
    [("leaky 5", {"chunk": 4}), ("leaky 5", {"chunk": 5, "stride": 2}), ("leaky 5", {"chunk": 13, "stride": 1}),
     ("leaky 5", {"chunk": 1}), ("leaky 5", {"chunk": 6, "stride": 3, "layers": 2}),
     ("leaky 5", {"chunk": 6, "stride": 4, "order": "time"}), ("recall stream 3", {"chunk": 4}),
     ("recall stream 3", {"chunk": 2, "stride": 1}), ("recall stream 3", {"chunk": 5, "stride": 3}),
     ("characters", {"chunk": 7, "stride": 4}),
     ("leaky 5", {"chunk": 4, "past": 12, "order": "scrambled"}),
     ("recall stream 4", {"chunk": 4, "past": 12, "order": "scrambled"})],
    ids=str,
)  # fmt: skip
@pytest.mark.parametrize("carry", [False, True])
@pytest.mark.parametrize("cell", CELLS)
def test_updates_equal_a_loop_of_torch_that_detaches(name, change, carry, cell):
    """Seven updates, over the end of a sequence or not: losses and weights."""
    recipe = SHORT.but(cell=cell, carry=carry, **change)
    losses, _, weights = trained(recipe, TASKS[name], 3)
    runs = rt.train(recipe, TASKS[name], [3])
    np.testing.assert_allclose(runs.train_loss[0], losses, rtol=2e-5)
    np.testing.assert_allclose(runs.weights[0, : len(weights)], weights, atol=2e-5)
    # zeros instead of the carried state would be seen, and so would chunks in order instead of scrambled ones
    others = [recipe.but(carry=False)] if carry and recipe.chunk < 13 else []
    others += [recipe.but(order="shuffled")] if recipe.order == "scrambled" else []
    for other in others:
        assert not np.allclose(rt.train(other, TASKS[name], [3]).train_loss[0], losses, rtol=5e-5)


@pytest.mark.parametrize("change", [{"chunk": 4}, {"chunk": 13}, {"chunk": 5, "layers": 2}], ids=str)
@pytest.mark.parametrize("cell", CELLS)
def test_a_state_that_is_never_reset_goes_on_into_the_next_sequence(cell, change):
    recipe = SHORT.but(cell=cell, carry=True, reset=False, **change)
    losses, _, weights = trained(recipe, TASKS["leaky 5"], 3)
    runs = rt.train(recipe, TASKS["leaky 5"], [3])
    np.testing.assert_allclose(runs.train_loss[0], losses, rtol=2e-5)
    np.testing.assert_allclose(runs.weights[0, : len(weights)], weights, atol=2e-5)
    first = -(-13 // recipe.chunk)  # updates of the first sequences
    reset = rt.train(recipe.but(reset=True), TASKS["leaky 5"], [3]).train_loss[0]
    assert np.array_equal(reset[:first], runs.train_loss[0, :first])
    assert not np.allclose(reset[first:], losses[first:], rtol=5e-5)


@pytest.mark.parametrize(
    ("change", "task", "words"),
    [({}, rt.tasks.recall_stream(4), "recall stream 4 are read from step 4 on.*Leave reset out"),
     ({"carry": False}, rt.tasks.leaky(5), "reset=False needs carry"),
     ({"order": "scrambled"}, rt.tasks.leaky(5), "no chunk is the first of a sequence"),
     ({"stride": 2}, rt.tasks.leaky(5), "stride=2 reads steps of chunk=4 again")],
    ids=["skipped", "no carry", "scrambled", "read again"],
)  # fmt: skip
def test_a_state_cannot_go_on_where_sequences_are_not_read_step_by_step(change, task, words):
    with pytest.raises(BadArgument, match=words):
        rt.train(SHORT.but(**{"chunk": 4, "carry": True, "reset": False} | change), task, [0])


@every_task
@pytest.mark.parametrize("change", [{}, {"cell": "lstm", "layers": 2, "dropout": 0.3}, {"dense": (4,)}], ids=str)
def test_a_chunk_as_long_as_the_sequence_is_training_on_whole_ones_bit_for_bit(name, change):
    whole = rt.train(SHORT.but(**change), TASKS[name], [0, 1])
    for carry in (False, True):
        chunked = rt.train(SHORT.but(**change, chunk=13, carry=carry), TASKS[name], [0, 1])
        assert_same(whole, chunked, "recipes")


# --- chunks in random order

MIXED = SHORT.but(order="scrambled", past=12, chunk=4, updates=7)
DIVIDED = ("leaky 5", "recall stream 4")  # 3 chunks; 2 that count


@pytest.mark.parametrize("name", DIVIDED)
def test_every_chunk_of_an_epoch_is_read_exactly_once_in_the_lane_of_its_sequence(name):
    """Where training windows do not overlap, inputs are told apart by their place in the signal."""
    recipe = MIXED.but(batch_size=10, carry=True, budget=rt.epochs(1))
    _, _, loader, _ = begun([recipe], TASKS[name], [0])
    each, read, orders = len(loader.chunks), [], set()
    loader.signal = torch.arange(len(loader.signal))[:, None]  # a step's input is now its place
    for turn in range(100):
        updates = range(turn * each, (turn + 1) * each)
        parts = [loader.batch(update, loader.spec(update))[0][0, :10, :, 0] for update in updates]
        starts = torch.stack([part[:, 0] for part in parts], 1)  # (lanes, chunks)
        assert all((part - part[:, :1] == torch.arange(4)).all() for part in parts)
        sequence = starts // 12
        assert (sequence == sequence[:, :1]).all() and (starts % 12 == starts[:1] % 12).all()
        read.append(starts)
        orders.add(tuple((starts[0] % 12).tolist()))
    expected = 12 * np.arange(1000)[:, None] + np.arange(loader.skip, 12, 4)
    np.testing.assert_array_equal(np.sort(torch.cat(read).numpy().ravel()), expected.ravel())
    assert len(orders) == np.prod(np.arange(1, each + 1))  # all orders come


def test_without_a_carried_state_scrambling_changes_the_order_of_updates_only():
    """At a rate at which weights stand still, the losses of a batch of sequences are the same ones in another order."""
    recipe = MIXED.but(lr=1e-20, updates=30)
    kept, mixed = (rt.train(recipe.but(order=order), TASKS["leaky 5"], [0, 1]) for order in ("shuffled", "scrambled"))
    for run, seed in enumerate((0, 1)):
        rng = rt.tasks.stream("chunks", "leaky 5", seed)
        places = np.array([rng.permutation(3) for _ in range(10)])
        in_order = np.take_along_axis(kept.train_loss[run].reshape(10, 3), places, 1)
        np.testing.assert_allclose(mixed.train_loss[run].reshape(10, 3), in_order, rtol=1e-6)
    carried = rt.train(recipe.but(order="scrambled", carry=True), TASKS["leaky 5"], [0, 1])
    assert (carried.train_loss[:, ::3] == mixed.train_loss[:, ::3]).all()  # the first chunk read begins with zeros
    assert (carried.train_loss[:, 1::3] != mixed.train_loss[:, 1::3]).all()


def test_scrambled_runs_do_not_depend_on_company_and_go_on_where_a_sequence_ends():
    recipe = MIXED.but(carry=True)
    company = rt.train(recipe, TASKS["leaky 5"], range(5))
    assert_same(rt.train(recipe, TASKS["leaky 5"], [3]), company.only([3]))
    begin = rt.train(recipe.but(updates=3), TASKS["leaky 5"], range(5))
    rest = rt.train(recipe.but(updates=4), TASKS["leaky 5"], range(5), start=begin)
    np.testing.assert_array_equal(company.train_loss, np.hstack([begin.train_loss, rest.train_loss]))


def test_scrambling_is_refused_where_chunks_are_not_alike():
    with pytest.raises(BadArgument, match="leaky 5 has 12 steps: chunk=5 does not divide them"):
        rt.train(MIXED.but(chunk=5), TASKS["leaky 5"], [0])
    with pytest.raises(BadArgument, match="the first 3 do not count: chunk=4 does not"):
        rt.train(MIXED, TASKS["recall stream 3"], [0])


# --- what is read and counted


@pytest.mark.parametrize(
    ("fields", "skip", "expected"),
    [({"chunk": 4}, 0, [(0, 0, 4), (4, 4, 8), (6, 8, 10)]), ({"chunk": 10}, 3, [(0, 3, 10)]),
     ({"chunk": 6, "stride": 3}, 0, [(0, 0, 3), (0, 3, 6), (3, 6, 9), (4, 9, 10)]),
     ({"chunk": 3}, 5, [(3, 5, 6), (6, 6, 9), (7, 9, 10)])],
    ids=str,
)  # fmt: skip
def test_the_chunks_of_ten_steps(fields, skip, expected):
    assert [Chunk(*each) for each in expected] == chunks(rt.Recipe(**fields), 10, skip)


@every_task
@pytest.mark.parametrize("order", ["shuffled", "time"])
@pytest.mark.parametrize("change", [{"chunk": 4}, {"chunk": 5, "stride": 2}], ids=str)
def test_every_answer_counts_once_and_lanes_take_whole_sequences_in_order(name, order, change):
    """Targets and the inputs that led to them, put together, are the sequences that the run's stream names."""
    recipe = SHORT.but(order=order, updates=30, carry=True, **change)
    example, (_, network, loader, _) = TASKS[name].examples(recipe, 0), begun([recipe], TASKS[name], [0])
    each, stream = len(loader.chunks), rt.tasks.stream("order", name, 0)
    expected = example.of(0)[batches(order, len(example.of(0)), 5 * 3, stream)].reshape(3, 5)
    for turn, sequences in enumerate(expected):
        counted, whole = [], torch.tensor(example.inputs(sequences))
        for place, chunk in enumerate(loader.chunks):
            spec = loader.spec(turn * each + place)
            inputs, targets, _ = loader.batch(turn * each + place, spec)
            answers = loader.trained(spec, network, inputs)
            assert answers.shape[2] == targets.shape[2] == chunk.end - chunk.counts
            torch.testing.assert_close(inputs[0, :5], whole[:, chunk.end - inputs.shape[2] : chunk.end])
            counted.append(targets[0, :5])
        truth = example.answers(sequences).reshape(5, 13 - example.skip, -1)
        np.testing.assert_allclose(torch.cat(counted, 1), truth, atol=1e-6)
        assert not loader.spec((turn + 1) * each).carried  # reset at the end of a sequence


def test_sides_read_the_same_sequences_in_the_same_order_whatever_their_chunks():
    loaders = [begun([SHORT.but(updates=20, **change)], TASKS["leaky 5"], [0])[2]
               for change in ({}, {"chunk": 4}, {"chunk": 4, "stride": 1, "carry": True})]  # fmt: skip
    assert [Loader, TBPTTLoader, TBPTTLoader] == [type(loader) for loader in loaders]
    for loader in loaders[1:]:
        torch.testing.assert_close(loader.begins, loaders[0].begins[:, : loader.begins.shape[1]])


# --- how far the gradient reaches


@pytest.mark.parametrize("cell", CELLS)
def test_no_gradient_goes_further_back_than_the_chunk_but_values_come_from_there(cell):
    """Of eight steps that lead to a first chunk of four: exactly no gradient, but other answers."""
    recipe = SHORT.but(past=16, chunk=4, carry=True, cell=cell)
    _, network, loader, _ = begun([recipe], rt.tasks.recall_stream(8), [0])
    first = loader.spec(0)
    inputs = loader.batch(0, first)[0].requires_grad_()
    answers = loader.trained(first, network, inputs)
    (gradient,) = torch.autograd.grad(answers.sum(), inputs)
    assert inputs.shape[2] == 12 and (gradient[:, :, :8] == 0).all() and (gradient[:, :, 8:] != 0).all()
    other = inputs.detach().clone()
    other[:, :, 7] *= -1
    again = begun([recipe], rt.tasks.recall_stream(8), [0])[2]
    assert (again.trained(first, network, other) != answers).any(2).all()


@pytest.mark.parametrize(("change", "updates"), [({"chunk": 4}, 2), ({"chunk": 6, "stride": 2}, 4)], ids=str)
def test_what_is_carried_is_a_value_that_depends_on_all_steps_before(change, updates):
    """The first update that no longer reads a sequence's first input still answers otherwise if that was another."""
    recipe, found = SHORT.but(past=20, carry=True, **change), []
    for factor in (1, -1):
        _, network, loader, _ = begun([recipe], TASKS["leaky 5"], [0])
        for update in range(updates):
            spec = loader.spec(update)
            inputs = loader.batch(update, spec)[0].clone()
            if loader.chunks[update].start == 0:
                inputs[:, :, 0] *= factor
            inputs.requires_grad_()
            answers = loader.trained(spec, network, inputs)
        (gradient,) = torch.autograd.grad(answers.sum(), inputs)
        assert inputs.shape[2] == recipe.chunk and (gradient != 0).all()
        assert spec.carried and not any(part.requires_grad for part in loader.kept)
        found.append(answers)
    assert (found[0] != found[1]).all()


# --- what is learned


@pytest.mark.parametrize("carry", [False, True])
def test_what_came_before_the_chunk_cannot_be_learned(carry):
    """A symbol of eight steps ago: with four steps of gradient a guess, though the state is handed on."""
    recipe = rt.Recipe(past=32, width=16, lr=0.02, updates=150, chunk=4, carry=carry)
    runs = rt.train(recipe, rt.tasks.recall_stream(8), range(4))
    assert np.median(runs.test_score) == pytest.approx(np.log(2), abs=0.02)
    assert (abs(runs.test_score - np.log(2)) < 0.08).all()


@pytest.mark.parametrize("stride", [None, 8])
def test_what_came_within_the_chunk_is_learned(stride):
    recipe = rt.Recipe(past=32, width=24, lr=0.02, updates=250, chunk=16, stride=stride, carry=True)
    assert (rt.train(recipe, rt.tasks.recall_stream(8), range(4)).test_score < 0.45).all()  # a guess has 0.69


@pytest.mark.parametrize("where", DROPOUTS)
@pytest.mark.parametrize(("chunk", "stride"), [(4, 4), (6, 3)])
def test_chunks_with_masks_are_parts_of_one_sequence_with_masks(where, chunk, stride):
    """Read on from a carried state, after a burn-in, or up to where the next one begins: every step has its mask."""
    recipe = SHORT.but(past=12, chunk=chunk, stride=stride, carry=True, dropout=0.5, dropout_at=where)
    record, network, loader, _ = begun([recipe], TASKS["leaky 5"], [0])
    specs = [loader.spec(update) for update in range(len(loader.chunks))]
    loader.turn = 2
    specs.append(loader.spec(0))  # training goes on here
    assert specs[2].carried and specs[-1].burn_in
    state = None
    for spec in specs:
        inputs = torch.randn(1, *loader.shape(spec))
        mask, layers = Masks(record).draw(*inputs.shape[1:])
        inputs = inputs if mask is None else inputs * mask
        found = loader.trained(spec, network, inputs, layers.unbind(1))
        expected, _ = network.sequence(inputs, layers.unbind(1), state if spec.carried else None)
        torch.testing.assert_close(found, expected[:, :, spec.skip :])
        if spec.keep_after:
            end = spec.burn_in + spec.keep_after
            some = [part[:, :, :end] for part in layers.unbind(1)]
            state = network.sequence(inputs[:, :, :end], some, state if spec.carried else None)[1]


def test_a_rule_seen_at_short_lags_holds_at_long_ones_if_the_state_is_handed_on():
    """A sum that fades over twenty steps, gradients over four: the carried state takes most of the error away."""
    recipe = rt.Recipe(past=60, width=8, lr=0.01, updates=300, chunk=4)
    study = rt.compare(recipe, recipe.but(carry=True), rt.tasks.leaky(20), range(10))
    zeros, carried = study.runs["leaky 20"]
    assert np.median(carried.test_score / zeros.test_score) < 0.7
    assert study.verdict == "BETTER" and study.label == "carry: False → True"


# --- tested from the last steps alone


@every_task
@pytest.mark.parametrize("past", [1, 4, 13, None])
def test_an_answer_can_be_given_from_so_many_steps_and_no_more(name, past):
    """Training stays bit for bit; every answer is scored as `torch.nn` gives it from the last steps, one by one.

    Of whole sequences, if nothing is said, and always from a zero state, whatever is carried in training.
    """
    recipe, task = SHORT.but(chunk=4, carry=True), TASKS[name]
    whole, runs = rt.train(recipe, task, [1, 2]), rt.train(recipe.but(test_past=past), task, [1, 2])
    assert_same(whole, runs, "recipes", "valid_score", "test_scores", "spread", "from_last")
    assert (past in (13, None)) == np.allclose(runs.test_scores, whole.test_scores, rtol=1e-4)
    example = task.examples(recipe, 1)
    twin, chosen = Twin(network_for(recipe, example, torch.tensor(runs.weights))), example.scored(2)
    inputs = torch.tensor(example.inputs(chosen)).double()
    with torch.no_grad():
        outputs = [twin(inputs[:, max(0, end - (past or 13)) : end])[0][:, -1] for end in range(example.skip + 1, 14)]
    answers = torch.stack(outputs, 1).flatten(0, 1).numpy()
    expected = task.score(answers[None], example.answers(chosen)[None])[0]
    assert runs.test_scores[0, -1] == pytest.approx(expected, rel=1e-3)


# --- runs, records, budgets


@every_task
@pytest.mark.parametrize(
    "change",
    [{"chunk": 4}, {"chunk": 5, "stride": 2, "cell": "lstm", "layers": 2}, {"chunk": 4, "dropout": 0.3},
     {"chunk": 3, "stride": 1, "width": 11, "cell": "tanh"}],
    ids=str,
)  # fmt: skip
def test_a_run_alone_equals_the_same_run_in_company_bit_for_bit(name, change):
    recipe = SHORT.but(carry=True, **change)
    company = rt.train(recipe, TASKS[name], range(12))
    for seeds in ([7], [11, 7, 3]):
        assert_same(rt.train(recipe, TASKS[name], seeds), company.only(seeds))
    sides = [recipe.but(lr=1e18)] * 2 + [recipe] * 2  # what diverges beside a run hands nothing on to it
    [stack] = train_jobs([Job(sides, [0, 1, 0, 1], TASKS[name])], [rt.Runs()])
    assert_same(stack.only([2, 3]), company.only([0, 1]))


@every_task
@pytest.mark.parametrize("change", [{}, {"chunk": 4, "carry": True, "cell": "lstm", "layers": 2}], ids=str)
def test_what_a_threads_memory_held_before_changes_nothing(name, change, monkeypatch):
    """A run that diverged leaves NaN there for the next one, and 0 × NaN is NaN: padding too must be written."""
    recipe = SHORT.but(**change)
    clean = rt.train(recipe, TASKS[name], [0])
    update = CompiledUpdate.__call__

    def after_nan(self, spec, *rest):
        self.layout(spec.steps, spec.burn_in, spec.cut)
        self.memory[:] = np.nan
        return update(self, spec, *rest)

    monkeypatch.setattr(CompiledUpdate, "__call__", after_nan)
    assert_same(rt.train(recipe, TASKS[name], [0]), clean)


@pytest.mark.parametrize(
    ("change", "first"),
    [({"chunk": 4}, 3), ({"chunk": 4, "carry": True}, 4), ({"chunk": 4, "carry": True}, 8)],
    ids=str,
)  # fmt: skip
def test_going_on_from_a_record_equals_training_without_a_break(change, first):
    """Without carried states anywhere; with them where a sequence ends: 13 steps are 4 updates."""
    recipe = SHORT.but(**change)
    whole = rt.train(recipe.but(updates=11), TASKS["leaky 5"], [1, 2])
    begin = rt.train(recipe.but(updates=first), TASKS["leaky 5"], [1, 2])
    rest = rt.train(recipe.but(updates=11 - first), TASKS["leaky 5"], [1, 2], start=begin)
    np.testing.assert_array_equal(whole.train_loss, np.hstack([begin.train_loss, rest.train_loss]))
    np.testing.assert_array_equal(whole.weights, rest.weights)


def test_in_the_middle_of_a_sequence_its_beginning_is_read_again():
    """With the weights of now instead of those of then, which is nearly the same; and nothing like a zero state."""
    recipe = SHORT.but(chunk=4, carry=True, lr=0.01)
    whole = rt.train(recipe.but(updates=7), TASKS["leaky 5"], [1])
    begin = rt.train(recipe.but(updates=6), TASKS["leaky 5"], [1])
    rest = rt.train(recipe.but(updates=1), TASKS["leaky 5"], [1], start=begin)
    zeros = rt.train(recipe.but(updates=1, carry=False), TASKS["leaky 5"], [1], start=begin)
    gaps = [abs(runs.train_loss[0, 0] - whole.train_loss[0, 6]) for runs in (rest, zeros)]
    assert 0 < gaps[0] < 0.2 * gaps[1]


def test_a_budget_of_sequences_takes_an_update_for_every_chunk():
    """1,000 sequences in batches of 10; 13 steps, of which the first 3 do not count, are 4 chunks of 4 or 3 of 5."""
    base = rt.Recipe(past=13, width=4, batch_size=10)
    for chunk, each in ((4, 4), (5, 3), (13, 1)):
        recipe = base.but(chunk=chunk)
        for budget in (rt.epochs(1), rt.tokens(13_000)):
            begin(Job([recipe.but(budget=budget)], [0], TASKS["recall stream 3"]), record := rt.Runs())
            assert record.updates == 100 * each


@pytest.mark.parametrize(
    ("change", "task", "words"),
    [({"chunk": 14}, rt.tasks.leaky(5), "chunk=14 is longer than a sequence of leaky 5, which has 13.*chunk=13 or"),
     ({"chunk": 4}, rt.series.sines(600), "chunk=4 cuts sequences with an answer at every step.*sines has one.*Leave"),
     ({"chunk": 4}, rt.tasks.digits(), "digits has one answer a window"),
     ({"test_past": 14}, rt.tasks.leaky(5), "test_past=14 is longer than a sequence of leaky 5, which has 13"),
     ({"test_past": 4}, rt.tasks.digits(), "test_past=4 is for sequences with an answer.*Leave test_past out"),
     ({"test_past": 0}, rt.tasks.leaky(5), "test_past=0: a whole number of at least 1")],
    ids=["long", "series", "digits", "long test", "digits test", "no steps"],
)  # fmt: skip
def test_what_cannot_be_cut_is_refused_before_training(change, task, words):
    with pytest.raises(BadArgument, match=words):
        rt.train(SHORT.but(**change), task, [0])
    with pytest.raises(BadArgument, match=words):
        rt.compare(SHORT, SHORT.but(**change), task, range(2))
