"""Print the processor compiled for, and a hash of every result of some scans and trainings, one a line."""

from hashlib import sha256

import numpy as np
import torch
from drawn import SEQUENCES, TASK, did
from numba import config
from oracles import begun

import rnntips as rt
from rnntips import cells, engine
from rnntips.engine import compiling  # noqa: F401 (it chooses the processor)
from rnntips.engine.losses import HEADS
from rnntips.engine.update import updater

SIZES = (5, 3), (24, 16), (33, 33), (128, 16)  # width, batch
RULES = (
    {"optimizer": "adam"}, {"optimizer": "sgd", "momentum": 0.9}, {"optimizer": "rmsprop", "momentum": 0.9},
    {"optimizer": "sgd", "momentum": 0.9, "nesterov": True}, {"optimizer": "adamw", "clip": "tensor", "clip_norm": 0.1},
    {"optimizer": "adagrad", "clip": "value", "clip_norm": 0.1}, {"optimizer": "adadelta", "clip_norm": 0.1},
    {"optimizer": "adam", "clip": "weights", "clip_norm": 0.1},
)  # fmt: skip
EXTRAS = {
    "plain": {},
    "dense": {"dense": (7,), "dense_after": (18,), "noise": 0.2, "noise_between": 0.2},
    "dropout": {"layers": 2, "dropout": 0.3, "dropout_at": "inputs and outputs"},
    "masks": {"layers": 2, "dropout": 0.3, "dropout_at": "between steps, new masks"},
}
CHUNKS = {"chunk": 5, "stride": 4, "carry": True, "past": 12}


def show(name: str, *arrays) -> None:
    print(name, *(sha256(np.ascontiguousarray(array).tobytes()).hexdigest()[:12] for array in arrays), sep="  ")


def scans(cell: str, H: int, B: int) -> None:
    g = torch.Generator().manual_seed(0)
    gates = cells.GATES[cell] * H
    x, weight, bias = (torch.randn(*shape, generator=g) / 4 for shape in ((2, B, 9, gates), (2, H, gates), (2, gates)))
    given = [value.requires_grad_() for value in (x, weight, bias)]
    states, _ = engine.scan(cell, *given)
    gradients = torch.autograd.grad((states * torch.linspace(-1, 1, H)).sum(), given)
    show(f"scan {cell} {H} {B}: states, gradients", states.detach(), *gradients)


def trainings(name: str, task, **fields) -> None:
    recipe = rt.Recipe(updates=4, weight_decay=0.01, **fields)
    record, network, loader, state = begun([recipe] * 2, task, [0, 1])
    step = updater(record, network, loader, state)
    for update in range(recipe.updates):
        stats = did(step, update)
        show(f"{name}, update {update}: loss, norm, ratio, weights, averages, states", *stats, network.flat,
             *state.values(), step.compiled.kept)  # fmt: skip


print(config.CPU_NAME)
for c, cell in enumerate(cells.CELLS):
    for n, (H, B) in enumerate(SIZES):
        scans(cell, H, B)
        for e, (extra, more) in enumerate(EXTRAS.items()):
            rule = RULES[(c + n + e) % len(RULES)]
            sizes = {"cell": cell, "width": H, "batch_size": B, "past": 9}
            trainings(f"{cell} {H} {B} {extra} {rule}", TASK, **sizes | more | rule)
            late = {name: value for name, value in more.items() if name != "noise_between"}
            for task in [*SEQUENCES.values()][e :: len(EXTRAS)]:
                trainings(f"{cell} {H} {B} {extra} {rule} {task.name}", task, **sizes | late | rule | CHUNKS)
for rule in RULES:
    trainings(f"{rule}", TASK, past=9, width=11, **rule)
for head in HEADS:
    task = SEQUENCES["leaky 5" if "values" in HEADS[head].fits else "recall stream 4"]
    trainings(f"{head}", task, past=12, width=11, head=head)
