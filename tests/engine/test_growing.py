"""Chunks that grow on a plateau, and chunks whose gradients are summed: against loops of `torch.nn`."""

import numpy as np
import pytest
import torch
from oracles import LOSSES, OPTIMIZERS, Twin, assert_same, begun, flat, value_of

import rnntips as rt
from rnntips import engine
from rnntips.errors import BadArgument
from rnntips.loader import examples_of
from rnntips.windows import batches

SHORT = rt.Recipe(updates=7, width=6, batch_size=5, past=12, optimizer="adam", lr=0.03, chunk=4, carry=True)
TASK = rt.tasks.leaky(5)
CELLS = ("gru", "lstm", "tanh")
every_way = pytest.mark.parametrize("compiled", [True, False], ids=["compiled", "in torch"])


@pytest.fixture
def way(compiled, monkeypatch):
    if not compiled:
        monkeypatch.setattr(engine, "compiled_update", lambda: None)


def read(recipe, task, seed):
    """Inputs and targets (B, T, ·) of mini-batch after mini-batch of whole sequences."""
    example = examples_of(recipe, task, seed)
    train = example.of(0)
    order = batches(recipe.order, len(train), 200 * recipe.batch_size, rt.tasks.stream("order", task.name, seed))
    for chosen in train[order].reshape(-1, recipe.batch_size):
        truth = example.answers(chosen).reshape(recipe.batch_size, example.steps, -1)
        yield torch.tensor(example.inputs(chosen)).double(), torch.tensor(truth).double()


def begin(recipe, seed):
    twin = Twin(begun([recipe], TASK, [seed])[1])
    parameters = [*twin.named.values()]
    return twin, OPTIMIZERS[recipe.optimizer](parameters, recipe.lr)


@every_way
@pytest.mark.parametrize(
    "change", [{}, {"chunk": 5}, {"chunk": 12}, {"chunk": 1}, {"layers": 2, "dense": (4,)}], ids=str
)
@pytest.mark.parametrize("cell", CELLS)
def test_accumulated_chunks_equal_backward_calls_before_one_step(change, cell, way):
    """`backward` after every chunk, its state detached, and one `step` for all of them."""
    recipe = SHORT.but(cell=cell, accumulate=True, **change)
    twin, optimizer = begin(recipe, 3)
    losses, source = [], read(recipe, TASK, 3)
    for _ in range(recipe.updates):
        inputs, targets = next(source)
        optimizer.zero_grad()
        state, total = None, 0.0
        for first in range(0, 12, recipe.chunk):
            those = slice(first, first + recipe.chunk)
            outputs, state = twin(inputs[:, those], state)
            state = value_of(state)
            loss = ((outputs - targets[:, those]) ** 2).sum() / targets.numel()
            loss.backward()
            total += loss.item()
        optimizer.step()
        losses.append(total)
    runs = rt.train(recipe, TASK, [3])
    np.testing.assert_allclose(runs.train_loss[0], losses, rtol=2e-5)
    np.testing.assert_allclose(runs.weights[0, : len(flat(twin.named.values()))], flat(twin.named.values()), atol=2e-5)
    whole = rt.train(recipe.but(accumulate=False, carry=False, chunk=None), TASK, [3])
    assert np.allclose(whole.train_loss, runs.train_loss, rtol=1e-6) == (recipe.chunk == 12)  # the cut is seen


@every_way
@pytest.mark.parametrize("cell", CELLS)
def test_chunks_grow_once_the_loss_of_an_epoch_no_longer_falls(cell, way):
    """With so large a learning rate that it does not: each run by a loop of its own, update by update."""
    recipe = SHORT.but(cell=cell, lr=0.1, chunk=2, grow="plateau:1:2:6", updates=120, past=12, train_size=10)
    runs = rt.train(recipe, TASK, [3, 4])
    grown = []
    for r, seed in enumerate((3, 4)):
        twin, optimizer = begin(recipe, seed)
        lengths, losses, source = [2, 4, 12], [], read(recipe, TASK, seed)
        place, best, waited, at = 0, np.inf, 0, []
        while len(losses) < 120:
            epoch = []
            for inputs, targets in (next(source), next(source)):  # 10 sequences, 5 together
                state = None
                for first in range(0, 12, lengths[place]):
                    those = slice(first, first + lengths[place])
                    outputs, state = twin(inputs[:, those], state)
                    state = value_of(state)
                    loss = LOSSES["linear+mse"](outputs, targets[:, those])
                    optimizer.zero_grad()
                    loss.backward()
                    optimizer.step()
                    waiting = lengths[place] // 2 - 1
                    losses += [losses[-1] if losses else np.nan] * waiting + [loss.item()]
                    epoch.append(loss.item())
            mean = np.mean(epoch)
            waited, best = (0, mean) if mean < best else (waited + 1, best)
            if waited >= 1 and place < 2:
                place, best, waited = place + 1, np.inf, 0
                at.append(len(losses))
        np.testing.assert_allclose(runs.train_loss[r], losses[:120], rtol=2e-3)
        grown.append(at)
    assert all(len(at) == 2 for at in grown) and grown[0] != grown[1]  # each run in its own time
    assert_same(runs.only([1]), rt.train(recipe, TASK, [4]))  # whatever its company


def test_growing_chunks_read_as_much_as_others_for_as_many_updates():
    recipe = SHORT.but(chunk=2, grow="plateau:1:6", budget=rt.epochs(3), train_size=20)
    runs = rt.train(recipe, TASK, [0])
    assert runs.updates == 3 * 4 * 6  # epochs, batches, chunks of the first length
    assert rt.train(recipe.but(grow=None), TASK, [0]).updates == runs.updates


def test_noise_between_layers_is_drawn_for_chunks_too():
    """A chunk as long as the sequence is training on whole ones; compiled or not, the noise is the same."""
    noisy = SHORT.but(noise_between=0.3, dense=(4,), layers=2, chunk=12)
    whole = rt.train(noisy.but(chunk=None, carry=False), TASK, [0, 1])
    assert_same(whole, rt.train(noisy, TASK, [0, 1]), "recipes")
    short = noisy.but(chunk=4)
    compiled = rt.train(short, TASK, [0, 1])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine, "compiled_update", lambda: None)
        np.testing.assert_allclose(rt.train(short, TASK, [0, 1]).train_loss, compiled.train_loss, rtol=1e-4)
    silent = rt.train(short.but(noise_between=0.0), TASK, [0, 1])
    assert not np.allclose(silent.train_loss, compiled.train_loss, rtol=1e-2)


@pytest.mark.parametrize(
    ("change", "words"),
    [({"grow": "plateau:20:2:3"}, "each factor a multiple"), ({"grow": "plateau:0:2"}, "is not of the form"),
     ({"grow": "plateau:5:2"}, "chunks of 8 steps divide"), ({"grow": "6:0.5"}, "drop grow or chunk"),
     ({"grow": "plateau:5:3", "chunk": None, "carry": False}, "set chunk"),
     ({"grow": "plateau:5:3", "schedule": "cosine"}, "schedule='cosine'"),
     ({"accumulate": True, "carry": False}, "needs carry"), ({"accumulate": True, "stride": 2}, "stride=2"),
     ({"accumulate": True, "grow": "plateau:5:3"}, "grow")],
    ids=str,
)  # fmt: skip
def test_what_does_not_fit_together_is_refused(change, words):
    with pytest.raises(BadArgument, match=words):
        rt.train(SHORT.but(**change), TASK, [0])


def test_growing_chunks_do_not_go_on_from_another_record():
    begun_with = rt.train(SHORT, TASK, [0])
    with pytest.raises(BadArgument, match="cannot go on"):
        rt.train(SHORT.but(grow="plateau:5:3"), TASK, [0], start=begun_with)


@pytest.mark.parametrize("change", [{"noise": 0.1}, {"noise_between": 0.1}, {"dropout": 0.2}], ids=str)
def test_noise_goes_on_where_it_was_when_chunks_grow(change):
    """Alone or in company: the others grow at other times, and nothing is drawn twice."""
    recipe = SHORT.but(lr=0.1, chunk=2, grow="plateau:1:2:6", updates=120, train_size=10, **change)
    company = rt.train(recipe, TASK, range(4))
    for r in (1, 3):
        assert_same(company.only([r]), rt.train(recipe, TASK, [r]))
