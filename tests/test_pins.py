"""Runs are what they were before the package was rebuilt: data, order, first weights, and one run of each kind.

Whoever changes these on purpose raises `rnntips.training.ENGINE` or a task's version, and writes the new numbers here.
Weights are compared to four digits: processors round differently, and training magnifies that.
"""

import hashlib

import numpy as np
import pytest

import rnntips as rt
from rnntips.models import initial_weights
from rnntips.recipe import Recipe as R

SINES, DIGITS, LEAKY = rt.tasks.forecast(rt.series.sines()), rt.tasks.digits(rows=True), rt.tasks.leaky(20)
KINDS = {  # recipe and task → mean size of the weights, and validation error, after 20 updates of seed 3
    "compiled, Adam": (R(updates=20), SINES, 0.12597, 0.16641),
    "LSTM, clipped, RMSprop": (R(cell="lstm", optimizer="rmsprop", clip_norm=1.0, updates=20), SINES, 0.14327, 0.14334),
    "tanh, Nesterov": (
        R(cell="tanh", optimizer="sgd", lr=0.1, momentum=0.9, nesterov=True, updates=20), SINES, 0.10848, 0.1725
    ),
    "classes, sorted": (R(batch_size=14, order="class", updates=20), DIGITS, 0.11829, 3.2208),
    "growing, schedule, rescue": (
        R(grow="8:0.5", schedule="warmup:5+cosine", rescue="lower", updates=20), SINES, 0.10864, 0.3574
    ),
    "dense, dropout": (R(dense=(8,), dense_after=(8,), dropout=0.3, updates=20), SINES, 0.11929, 0.36242),
    "two layers, noise": (R(layers=2, noise=0.1, noise_between=0.1, updates=20), SINES, 0.12223, 0.1514),
    "chunks, state carried": (R(width=16, past=32, chunk=4, carry=True, updates=20), LEAKY, 0.13859, 0.68807),
    "chunks that overlap": (R(width=16, past=32, chunk=8, stride=4, updates=20), LEAKY, 0.13872, 0.65246),
}  # fmt: skip


def digest(values) -> str:
    return hashlib.sha256((" ".join(["%.6g"] * values.size) % tuple(values.ravel())).encode()).hexdigest()[:12]


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_of_each_kind_ends_where_it_did(kind):
    recipe, task, size, error = KINDS[kind]
    runs = rt.train(recipe, task, [3], device="cpu")
    assert float(np.abs(runs.weights).mean()) == pytest.approx(size, rel=2e-4)
    assert float(runs.valid_score[0, -1]) == pytest.approx(error, rel=2e-3)


def test_data_order_and_first_weights_are_what_they_were():
    known = {"sines": "2fc87596ad9a", "digits by rows": "ca5e17f1080f", "leaky 20": "ca390a23d060"}
    assert {task.name: digest(task.values(3)) for task in (SINES, DIGITS, LEAKY)} == known
    assert digest(initial_weights([R(layers=2)], "sines", [3], 1, 1)) == "31213c3c2944"
    order = rt.windows.batches("shuffled", 50, 200, rt.tasks.stream("order", "sines", 3)).astype("<i8")
    assert hashlib.sha256(order.tobytes()).hexdigest()[:12] == "176e8c3e94e3"
