"""The compiled update against the same in torch and in float64, in one piece of time or in segments.

`test_training` and `test_tbptt` hold trainings against `torch.nn` and `torch.optim`.
"""

from unittest.mock import patch

import numpy as np
import pytest
import torch
from drawn import SEQUENCES, TASK, did, sequences, task_of, unlike, windows
from hypothesis import example, given, settings
from hypothesis import strategies as st
from oracles import begun

import rnntips as rt

pytest.importorskip("numba")
from rnntips.engine import layout
from rnntips.engine.update import NumbaUpdate, TorchUpdate, updater
from rnntips.models import network_for

SEGMENTS = st.sampled_from([None, None, 1, 2, 5])  # steps; None: all at once


@pytest.fixture(scope="module", autouse=True)
def one_thread_of_torch():
    """Its threads would wait for each other at every small product."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def in_float64(record, network, loader, state):
    """The update in torch with everything in float64, its weights and the optimizer's averages."""
    read, network = loader.batch, network_for(record.recipes[0], loader.examples[0], network.flat.double())
    loader.batch = lambda *given: tuple(value.double() for value in read(*given))
    loader.kept = [value.double() for value in loader.kept]
    state = {name: value.double() for name, value in state.items()}
    return TorchUpdate(record, network, loader, state), {"weights": network.flat, **state}


def in_segments(steps):
    """As if a thread had room for so many steps at once; None: for all."""
    return patch.object(layout, "_cuts", lambda parts, most: CUTS(parts, steps or most))


CUTS = layout._cuts


def equal_those_in_float64(drawn, recipe, before, segment):
    """Each from the same weights: of a gradient of nearly zero, dividing by its size makes whole steps of rounding."""
    task, recipes = task_of(drawn), unlike(recipe)
    record, network, loader, state = begun(recipes, task, range(3), before)
    mine, step = {"weights": network.flat, **state}, updater(record, network, loader, state)
    exact, theirs = in_float64(*begun(recipes, task, range(3), before))
    assert type(step) is NumbaUpdate
    with in_segments(segment):
        for update in range(recipe.updates):
            np.testing.assert_allclose(did(step, update), did(exact, update), rtol=1e-4, atol=1e-5)
            size = theirs.get("square", torch.ones(())).sqrt()
            clear = (size > 1e-3 * size.max()).expand_as(mine["weights"])
            for name, value in theirs.items():
                near = 1e-3 * value.abs().max().item()
                if name == "weights":
                    near = 3e-6 if recipe.optimizer == "sgd" else 0.01 * recipe.lr
                torch.testing.assert_close(mine[name].double()[clear], value[clear], rtol=1e-3, atol=near)
                value.copy_(mine[name])


@settings(max_examples=60, deadline=None)
@given(windows(), SEGMENTS)
def test_three_updates_equal_those_in_float64(drawn, segment):
    equal_those_in_float64(*drawn, 0, segment)


@settings(max_examples=60, deadline=None)
@given(sequences(), SEGMENTS)
@example(("leaky 5", rt.Recipe(updates=5, past=12, chunk=3, carry=True, optimizer="sgd"), 1), None)
@example(("leaky 5", rt.Recipe(updates=5, past=12, chunk=5, stride=2, carry=True, cell="lstm", layers=2), 2), 2)
def test_updates_with_answers_at_every_step_equal_those_in_float64(drawn, segment):
    """Whole sequences, chunks and scrambled ones; states carried on; begun in the middle of a sequence."""
    equal_those_in_float64(*drawn, segment)


EVERYTHING = {  # at the end; at every step, in chunks
    "windows": (TASK, rt.Recipe(
        updates=3, cell="lstm", layers=2, width=21, past=9, batch_size=19, dense=(7,), dense_after=(5, 18), lags=(2,),
        noise=0.2, noise_between=0.2, dropout=0.3, dropout_at="inputs and outputs", optimizer="adamw", clip="tensor",
        clip_norm=0.1, weight_decay=0.05, decay_on="all but recurrent", schedule="cosine")),
    "masks of every step": (TASK, rt.Recipe(
        updates=3, cell="relu", layers=2, width=13, past=9, batch_size=35, grow="2:0.5", noise=0.2, dropout=0.3,
        dropout_at="between steps, new masks", optimizer="rmsprop", momentum=0.9, clip="value", clip_norm=0.1)),
    "chunks": (SEQUENCES["leaky 5"], rt.Recipe(
        updates=6, cell="gru", layers=2, width=14, past=12, batch_size=17, chunk=6, stride=4, carry=True, dense=(7,),
        dense_after=(5,), noise=0.2, dropout=0.3, dropout_at="between steps, new masks", frozen="recurrent",
        optimizer="adadelta", clip_norm=0.1)),
    "symbols": (SEQUENCES["characters"], rt.Recipe(
        updates=6, cell="lstm", width=19, past=12, batch_size=5, chunk=4, carry=True, order="scrambled", dropout=0.3,
        optimizer="sgd", momentum=0.9, nesterov=True)),
    "answers that count": (SEQUENCES["last three"], rt.Recipe(
        updates=3, cell="tanh", layers=2, width=30, past=12, batch_size=16, noise_between=0.2, dropout=0.3,
        head="linear+huber", optimizer="adagrad")),
}  # fmt: skip


def elsewhere(values, shift):
    """A copy that begins so many values after where an array would begin."""
    room = np.empty(values.size + shift, values.dtype)[shift:].reshape(values.shape)
    room[:] = values
    return room


def results(name, seeds, shift=0, before=0):
    """Of every run: the statistics of all updates, weights, the optimizer's averages and the states that were kept."""
    task, recipe = EVERYTHING[name]
    step = updater(*begun([recipe] * len(seeds), task, seeds, before))
    step.arrays = *(elsewhere(array, shift) for array in step.arrays[:4]), *step.arrays[4:]
    step.compiled.memory = elsewhere(np.zeros((step.compiled.threads, 10**6), np.float32), shift)
    stats = np.array([did(step, update) for update in range(recipe.updates)])
    return [stats.transpose(2, 0, 1), *step.arrays[:3], step.compiled.kept], step.compiled


@pytest.mark.parametrize("name", EVERYTHING)
def test_a_runs_bits_depend_neither_on_company_nor_on_threads_nor_on_where_memory_lies(name, monkeypatch):
    monkeypatch.setattr("rnntips.engine.threads._machine", lambda: 2)
    monkeypatch.setenv("RNNTIPS_THREADS", "1")
    alone, _ = results(name, [3])
    for threads, shift in (("1", 1), ("2", 0), ("2", 7)):
        monkeypatch.setenv("RNNTIPS_THREADS", threads)
        company, compiled = results(name, [4, 2, 3, 1, 0], shift)
        assert len(compiled.memory) == int(threads)
        for one, some in zip(alone, company, strict=True):
            assert one[0].tobytes() == some[2].tobytes()
        assert all(np.isfinite(some).all() for some in company) and len(np.unique(company[1], axis=0)) == 5


@pytest.mark.parametrize("before", [0, 1])
@pytest.mark.parametrize("name", EVERYTHING)
def test_a_thread_without_room_for_all_steps_computes_the_same_in_segments(name, before, monkeypatch):
    whole, _ = results(name, [3, 4], before=before)
    for steps in (1, 3):
        with in_segments(steps):
            found, compiled = results(name, [3, 4], before=before)
        assert max(len(each.segments) for each in compiled.layouts.values()) > 2
        for one, other in zip(found, whole, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-5)
    monkeypatch.setattr(layout, "SEGMENT", 1)
    least = [each.segments for each in results(name, [3], before=before)[1].layouts.values()]
    assert all((np.diff(segments) == 1).all() for segments in least)
