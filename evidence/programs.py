"""Small training programs in plain PyTorch, whole or with one fault, on which the doctor is calibrated and tried."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

import rnntips as rt

__all__ = ["FAULTS", "REMEDIES", "TASKS", "UNSEEN", "Fault", "Program", "Training", "healthy", "task_of"]

TASKS = ("demand", "digits", "characters", "adding")  # thresholds were set on these
UNSEEN = ("co2", "recall")  # and never on these
CELLS, WIDTHS, KINDS = ("RNN", "GRU", "LSTM"), (16, 32), ("plain", "stacked", "bidirectional", "packed")
BATCH, VALID = 32, 20  # VALID: evaluations
UPDATES = {"demand": 400, "digits": 1000, "characters": 400, "adding": 1500, "co2": 400, "recall": 1000, "walk": 400,
           "sines": 400}  # fmt: skip
EVERY = ("characters",)  # tasks with an answer at every step
NUMBERS = ("demand", "adding", "co2", "walk", "sines")  # tasks whose targets are numbers


@cache
def task_of(name: str):
    """A task, and the recipe whose batches it gives."""
    found = {"demand": lambda: (rt.tasks.forecast(rt.series.demand()), rt.Recipe(past=24, batch_size=BATCH)),
             "co2": lambda: (rt.tasks.forecast(rt.series.co2()),
                             rt.Recipe(past=26, batch_size=BATCH, target="change")),
             "sines": lambda: (rt.tasks.forecast(rt.series.sines()), rt.Recipe(past=24, batch_size=BATCH)),
             "digits": lambda: (rt.tasks.digits(rows=True), rt.Recipe(batch_size=BATCH)),
             "characters": lambda: (rt.tasks.characters(), rt.Recipe(past=24, batch_size=BATCH)),
             "adding": lambda: (rt.tasks.adding(8), rt.Recipe(batch_size=BATCH)),
             "walk": lambda: (rt.tasks.forecast(_walk()), rt.Recipe(past=8, batch_size=BATCH, target="level")),
             "recall": lambda: (rt.tasks.recall(8), rt.Recipe(batch_size=BATCH))}  # fmt: skip
    return found[name]()


def _walk() -> rt.series.Series:
    """Nothing but the last value tells anything of the next."""
    return rt.series.from_array(np.cumsum(np.random.default_rng(0).normal(0, 1, 2000)), name="walk")


@dataclass(frozen=True)
class Program:
    """One training program. Every field behind `kind` has its healthy value by default."""

    task: str = "demand"
    cell: str = "GRU"
    width: int = 16
    seed: int = 0
    kind: str = "plain"  # or stacked, bidirectional, packed
    axes: str = "right"  # or "forgotten" batch_first, "reshaped" in place of transposed
    answer: str = "last"  # or the "first" step
    steps: str = "several"  # or the window as "one" step, or made one "inside" the model
    memory: str = "handed on"  # or "lost": a loop that starts each step anew
    state: str = "reset"  # or "kept" inside, "carried", "graph" (carried with it), "retained"
    norm: bool = False  # batch norm
    padding: str = "packed"  # or "read"
    shape: str = "equal"  # or "flat": targets (B,) against answers (B, 1)
    inputs: str = "scaled"  # or "raw", "tiny", "leak", "gap", "outliers"
    targets: str = "scaled"  # or "raw", "other": of other examples
    output: str = "linear"  # or sigmoid, tanh, relu, softmax
    loss: str = "right"  # or "nll" on raw answers, "negative"
    start: str = "usual"  # or large, small, shut, dead, steep, zero
    dropout: str = "none"  # or "always"
    gradient: str = "whole"  # or "cut" behind the recurrent layer, "argmax"
    zeroed: bool = True
    clip: str = "no"  # or "right", "late", "tiny"
    rate: float = 0.01
    stepped: str = "yes"  # or "never", "other": the optimizer of another model
    optimizer: str = "adam"
    examples: int | None = None  # to train on; None: all
    updates: int = 0  # 0: those of `UPDATES`
    decay: bool = True  # the learning rate falls over the last third

    def __post_init__(self):
        object.__setattr__(self, "updates", self.updates or UPDATES[self.task])

    @property
    def every(self) -> bool:
        return self.task in EVERY

    @property
    def numbers(self) -> bool:
        return self.task in NUMBERS


class Model(nn.Module):
    """A recurrent layer and a readout, with a program's faults."""

    def __init__(self, program: Program, channels: int, outputs: int, steps: int):
        super().__init__()
        one, H, self.program, self.kept = program.steps == "inside", program.width, program, None
        relu = {"nonlinearity": "relu"} if program.start in ("dead", "steep") and program.cell == "RNN" else {}
        self.turned = program.axes in ("forgotten", "reshaped")
        if program.memory == "lost":
            self.cell = getattr(nn, program.cell + "Cell")(channels, H)
        else:
            layers = 2 if program.kind == "stacked" else 1
            self.cell = getattr(nn, program.cell)(
                channels * steps if one else channels, H, layers, batch_first=not self.turned,
                bidirectional=program.kind == "bidirectional", **relu)  # fmt: skip
        both = 2 * H if program.kind == "bidirectional" else H
        self.norm = nn.BatchNorm1d(both) if program.norm else nn.Identity()
        self.readout = nn.Linear(both, outputs)
        _start(self, program)

    def forward(self, inputs: Tensor, lengths: Tensor | None = None, state: Any = None):
        program = self.program
        B, T, C = inputs.shape
        if program.memory == "lost":
            states = torch.stack([self._first(self.cell(inputs[:, t])) for t in range(T)], 1)
            return self._answers(states, lengths), None
        if program.axes == "reshaped":
            inputs = inputs.reshape(T, B, C)
        if program.steps == "inside":
            inputs = inputs.reshape(B, 1, T * C)
        if program.state == "kept":
            state = self.kept if self.kept is None or self._first(self.kept).shape[1] == B else None
        if lengths is not None and program.padding == "packed":
            packed = nn.utils.rnn.pack_padded_sequence(inputs, lengths, True, False)
            states, after = self.cell(packed, state)
            states, _ = nn.utils.rnn.pad_packed_sequence(states, True, total_length=T)
        else:
            states, after = self.cell(inputs, state)
        if program.axes == "reshaped":
            states = states.transpose(0, 1)
        after = tuple(part.detach() for part in after) if isinstance(after, tuple) else after.detach()  # see `_carried`
        self.kept = after if program.state == "kept" else None
        return self._answers(states, lengths), after

    @staticmethod
    def _first(state):
        return state[0] if isinstance(state, tuple) else state

    def _answers(self, states: Tensor, lengths: Tensor | None) -> Tensor:
        program = self.program
        if not program.every:
            if program.answer == "first":
                states = states[:, 0]
            elif lengths is not None and program.padding == "packed":
                states = states[torch.arange(len(states)), lengths - 1]
            else:
                states = states[:, -1]
        if program.gradient == "cut":
            states = states.detach()
        if program.dropout == "always":
            states = nn.functional.dropout(states, 0.5)
        states = self.norm(states.transpose(1, 2)).transpose(1, 2) if states.dim() == 3 else self.norm(states)
        found = self.readout(states)
        if program.gradient == "argmax":
            return found.argmax(-1, keepdim=True).float().expand(found.shape)
        activations = {"sigmoid": torch.sigmoid, "tanh": torch.tanh, "relu": torch.relu,
                       "softmax": lambda values: values.softmax(-1)}  # fmt: skip
        return activations.get(program.output, lambda values: values)(found)


class Carrying(Model):
    """The same, but its state keeps its graph."""

    def forward(self, inputs, lengths=None, state=None):
        states, after = self.cell(inputs, state)
        return self._answers(states, lengths), after


@torch.no_grad()
def _start(model: Model, program: Program) -> None:
    recurrent = dict(model.cell.named_parameters())
    H = program.width
    for name, weight in recurrent.items():
        if program.start == "large":
            weight.normal_(0, 3)
        elif program.start == "small":
            weight.normal_(0, 0.001)
        elif program.start == "shut" and name.startswith("bias_ih") and program.cell == "LSTM":
            weight[: 2 * H] = -8  # input and forget gate
        elif program.start == "dead" and name.startswith("bias_ih"):
            weight -= 6
        elif program.start == "steep" and name.startswith("weight_hh"):
            weight.copy_(2.2 * nn.init.orthogonal_(torch.empty(H, H)))
        elif program.start == "zero":
            weight.zero_()
    if program.start == "zero":
        model.readout.weight.zero_()


@dataclass
class Training:
    """A program with its data; `train` runs it."""

    program: Program

    def __post_init__(self):
        program = self.program
        torch.manual_seed(program.seed)
        self.random = np.random.default_rng(program.seed)
        task, recipe = task_of(program.task)
        recipe = recipe.but(train_size=program.examples, batch_size=8) if program.examples else recipe
        self.batches = task.batches(recipe, program.seed)
        valid = task.batches(recipe.but(batch_size=128, train_size=None), program.seed, "valid")
        self.valid = [batch for batch, _ in zip(valid, range(4), strict=False)]
        self.naive = task.naive("valid", recipe, program.seed)
        inputs, targets = self.valid[0]
        inputs = inputs.flatten(1)[:, None] if program.steps == "one" else inputs
        outputs = targets.shape[-1] if program.numbers else 32 if program.every else 10
        outputs = int(targets.max()) + 1 if program.task == "recall" else outputs
        kind = Carrying if program.state in ("graph", "retained") else Model
        self.model = kind(program, inputs.shape[2] + (program.inputs == "leak"), outputs, inputs.shape[1])
        mine = self.model if program.stepped != "other" else kind(program, inputs.shape[2], outputs, inputs.shape[1])
        rules = {"adam": torch.optim.Adam, "sgd": torch.optim.SGD}
        self.optimizer = rules[program.optimizer](mine.parameters(), lr=program.rate)
        decay = [
            lambda done: min(1.0, 3 * (1 - done / program.updates)) if program.decay else 1.0
        ]  # the usual end of a training
        self.schedule = torch.optim.lr_scheduler.LambdaLR(self.optimizer, decay)

    def seen(self, inputs: Tensor, targets: Tensor, random=None) -> tuple[tuple, Tensor]:
        """A batch as the program sees it: the model's arguments, and targets."""
        program, random = self.program, random or self.random
        lengths = None
        if program.inputs == "leak":
            inputs = torch.cat([inputs, targets[:, None].expand(-1, inputs.shape[1], -1)], 2)
        if program.kind == "packed":
            lengths = torch.tensor(random.integers(inputs.shape[1] // 2, inputs.shape[1] + 1, len(inputs)))
            inputs = nn.utils.rnn.pad_sequence([row[-n:] for row, n in zip(inputs, lengths, strict=True)], True)
            inputs = nn.functional.pad(inputs, (0, 0, 0, self.valid[0][0].shape[1] - inputs.shape[1]))
        if program.steps == "one":
            inputs = inputs.flatten(1)[:, None]
        if program.inputs == "raw":
            inputs = 100 * inputs + 300
        elif program.inputs == "tiny":
            inputs = inputs / 1000
        if program.targets == "raw":
            targets = 100 * targets + 1000
        if program.shape == "flat":
            targets = targets[:, 0]
        return (inputs, lengths), targets

    def cost(self, answers: Tensor, targets: Tensor) -> Tensor:
        if self.program.numbers:
            found = nn.functional.mse_loss(answers, targets)
            return -found if self.program.loss == "negative" else found
        answers = answers.transpose(1, 2) if answers.dim() == 3 else answers
        if self.program.loss == "nll":
            return nn.functional.nll_loss(answers, targets)
        return nn.functional.cross_entropy(answers, targets)

    def first_batch(self) -> tuple[tuple, Tensor]:
        """What the doctor's check is given."""
        return self.seen(*next(self.batches))

    def train(self) -> Iterator[float]:
        """Run the loop; gives the loss of every update. `errors` and `answers` are filled on the way."""
        program, state = self.program, None
        self.errors, clip = [], nn.utils.clip_grad_norm_
        for update in range(program.updates):
            inputs, targets = next(self.batches)
            if program.inputs == "gap" and update == 30:
                inputs = inputs.clone()
                inputs[3, 2] = float("nan")
            if program.inputs == "outliers" and update % 50 == 49:
                targets = 30 * targets
            if program.targets == "other":
                targets = targets[torch.randperm(len(targets))]
            (inputs, lengths), targets = self.seen(inputs, targets)
            handed = state if program.state in ("carried", "graph", "retained") else None
            answers, state = self.model(inputs, lengths, handed)
            cost = self.cost(answers, targets)
            if program.zeroed:
                self.optimizer.zero_grad()
            cost.backward(retain_graph=program.state == "retained")
            if program.clip in ("right", "tiny"):
                clip(self.model.parameters(), 1.0 if program.clip == "right" else 1e-3)
            if program.stepped != "never":
                self.optimizer.step()
                self.schedule.step()
            if program.clip == "late":
                clip(self.model.parameters(), 1.0)
            if (update + 1) % (program.updates // VALID) == 0:
                self.errors.append(self.error())
            yield float(cost.detach())

    @torch.no_grad()
    def error(self) -> float:
        """The validation error in the unit of `naive`; keeps the answers and the targets."""
        self.model.eval()
        answers, targets = [], []
        for batch in self.valid:
            (inputs, lengths), wanted = self.seen(*batch, np.random.default_rng(self.program.seed))
            answers.append(self.model(inputs, lengths)[0])
            targets.append(wanted)
        self.model.train()
        self.answers, self.targets = torch.cat(answers), torch.cat(targets)
        if not self.program.numbers:
            flat = self.answers.flatten(0, -2), self.targets.flatten()
            return float(nn.functional.cross_entropy(*flat))
        unit = 100.0 if self.program.targets == "raw" else 1.0
        return float((self.answers.squeeze() - self.targets.squeeze()).square().mean().sqrt()) / unit


def healthy(tasks=TASKS, seeds=range(20)) -> list[Program]:
    """Programs without a fault: every task, cell and width, with the kind of network changing from seed to seed."""
    found = []
    for task in tasks:
        for cell in CELLS:
            for width in WIDTHS:
                for seed in seeds:
                    kind = KINDS[seed % len(KINDS)]
                    kind = "plain" if task in EVERY and kind in ("bidirectional", "packed") else kind
                    clip = ("no", "right")[seed // 4 % 2]
                    by = {"optimizer": "sgd", "rate": 0.1} if seed % 5 == 4 else {}
                    found.append(Program(task, cell, width, seed, kind, clip=clip, **by))
    return found


@dataclass(frozen=True)
class Fault:
    """A fault: what it changes in a program, the codes that name it, and where it can be made."""

    changes: Mapping[str, Any]
    codes: tuple[str, ...]
    tasks: tuple[str, ...] = TASKS + UNSEEN
    cells: tuple[str, ...] = CELLS
    on: Mapping[str, Any] = field(default_factory=dict)  # a program without the fault has this, too

    def programs(self, seeds) -> list[Program]:
        """One program a seed; tasks, cells and widths take turns."""
        found = []
        for seed in seeds:
            task = self.tasks[seed % len(self.tasks)]
            cell, width = self.cells[seed // 2 % len(self.cells)], WIDTHS[seed // 3 % 2]
            found.append(replace(Program(task, cell, width, seed), **self.on, **self.changes))
        return found


LAST, MANY = ("demand", "digits", "adding", "co2", "recall"), ("demand", "digits", "co2")
CLASSES, SERIES = ("digits", "characters", "recall"), ("demand", "co2")
FAULTS = {
    "batch_first forgotten": Fault({"axes": "forgotten"}, ("batch-mixed",), MANY),
    "reshape in place of transpose": Fault({"axes": "reshaped"}, ("batch-mixed",), LAST),
    "state kept between calls": Fault({"state": "kept"}, ("batch-mixed",)),
    "batch norm": Fault({"norm": True}, ("batch-mixed",)),
    "(B,) against (B, 1)": Fault({"shape": "flat"}, ("shapes-broadcast",), ("demand", "adding", "co2")),
    "first step read": Fault({"answer": "first"}, ("past-ignored",), LAST),
    "window as one step": Fault({"steps": "one"}, ("past-ignored",), LAST),
    "window as one step inside the model": Fault({"steps": "inside"}, ("past-ignored",), LAST),
    "state not handed on": Fault({"memory": "lost"}, ("past-ignored",)),
    "padding read": Fault({"padding": "read"}, ("padding-read",), LAST, on={"kind": "packed"}),
    "two directions, answers at every step": Fault({"kind": "bidirectional"}, ("future-seen",), EVERY),
    "target among the inputs": Fault({"inputs": "leak"}, ("future-seen",), ("demand", "adding", "co2")),
    "inputs not scaled": Fault({"inputs": "raw"}, ("input-scale",)),
    "inputs tiny": Fault({"inputs": "tiny"}, ("input-scale",), ("demand", "co2")),
    "targets not scaled": Fault({"targets": "raw"}, ("loss-at-start",), ("demand", "adding", "co2")),
    "sigmoid at the end": Fault({"output": "sigmoid"}, ("target-unreachable",), SERIES),
    "tanh at the end": Fault({"output": "tanh"}, ("target-unreachable",), SERIES),
    "ReLU at the end": Fault({"output": "relu"}, ("target-unreachable",), SERIES),
    "softmax before cross entropy": Fault({"output": "softmax"}, ("softmax-twice",), CLASSES),
    "NLLLoss on raw answers": Fault({"loss": "nll"}, ("loss-at-start",), CLASSES),
    "loss with the wrong sign": Fault(
        {"loss": "negative"}, ("loss-at-start", "cannot-fit-one-batch"), ("demand", "adding", "co2")
    ),
    "large start": Fault({"start": "large"}, ("gates-saturated",)),
    "tiny start": Fault({"start": "small"}, ("gradient-vanishes",), cells=("RNN",)),
    "gates shut": Fault({"start": "shut"}, ("gradient-vanishes", "gates-saturated"), cells=("LSTM",)),
    "all weights zero": Fault({"start": "zero"}, ("gradient-vanishes", "cannot-fit-one-batch")),
    "ReLU start with radius 2.2": Fault(
        {"start": "steep"}, ("gradient-explodes",), ("demand", "characters", "co2"), ("RNN",)
    ),
    "ReLU units dead": Fault({"start": "dead"}, ("dead-units",), cells=("RNN",)),
    "dropout always on": Fault({"dropout": "always"}, ("test-mode-differs",)),
    "gradient cut": Fault({"gradient": "cut"}, ("gradient-vanishes", "weights-not-moving")),
    "argmax in the model": Fault({"gradient": "argmax"}, ("gradient-vanishes", "cannot-fit-one-batch")),
    "zero_grad forgotten": Fault({"zeroed": False}, ("gradients-not-zeroed",)),
    "clipped after the step": Fault({"clip": "late"}, ("clipped-after-step",)),
    "state not detached": Fault({"state": "graph"}, ("graph-grows",), LAST),
    "retain_graph": Fault({"state": "retained"}, ("graph-grows",), LAST),
    "optimizer of another model": Fault({"stepped": "other"}, ("weights-not-moving",)),
    "step forgotten": Fault({"stepped": "never"}, ("weights-not-moving",)),
    "learning rate 1e-6": Fault({"rate": 1e-6}, ("weights-not-moving",)),
    "learning rate 0.3": Fault({"rate": 0.3}, ("step-too-large",)),
    "SGD at 30": Fault({"rate": 30.0, "optimizer": "sgd"}, ("step-too-large", "diverged")),
    "a gap in the data": Fault({"inputs": "gap"}, ("diverged",)),
    "clipped at 0.001": Fault({"clip": "tiny"}, ("mostly-clipped",)),
    "state carried across shuffled batches": Fault(
        {"state": "carried"}, ("state-crosses-shuffled-batches",), ("demand", "sines")
    ),
    "targets of other examples": Fault(
        {"targets": "other"}, ("flat", "constant-answers", "worse-than-naive", "repeats-last-value")
    ),
    "an outlier in one batch of fifty": Fault({"inputs": "outliers"}, ("spikes",), ("demand", "adding", "co2")),
    "a random walk": Fault(
        {}, ("repeats-last-value", "worse-than-naive"), ("walk",), on={"updates": 2000, "rate": 0.003}
    ),
    "sixty updates": Fault({"updates": 60, "rate": 0.003, "decay": False}, ("still-falling",), ("demand", "digits")),
    "24 examples": Fault({"examples": 24}, ("overfits",), ("demand", "digits", "co2"), on={"updates": 1000}),
}
REMEDIES: dict[str, Mapping[str, Any]] = {  # code → what its advice changes in a program
    "input-scale": {"inputs": "scaled"},
    "future-seen": {"inputs": "scaled", "kind": "plain"},
    "shapes-broadcast": {"shape": "equal"},
    "batch-mixed": {"axes": "right", "state": "reset", "norm": False},
    "past-ignored": {"answer": "last", "steps": "several", "memory": "handed on"},
    "padding-read": {"padding": "packed"},
    "softmax-twice": {"output": "linear"},
    "target-unreachable": {"output": "linear"},
    "loss-at-start": {"targets": "scaled", "loss": "right"},
    "gates-saturated": {"start": "usual", "inputs": "scaled"},
    "dead-units": {"start": "usual"},
    "gradient-vanishes": {"start": "usual", "gradient": "whole"},
    "gradient-explodes": {"start": "usual", "clip": "right"},
    "test-mode-differs": {"dropout": "none"},
    "cannot-fit-one-batch": {"gradient": "whole", "loss": "right", "start": "usual"},
    "graph-grows": {"state": "reset"},
    "gradients-not-zeroed": {"zeroed": True},
    "clipped-after-step": {"clip": "right"},
    "weights-not-moving": {"stepped": "yes", "gradient": "whole", "rate": 0.01},
    "state-crosses-shuffled-batches": {"state": "reset"},
    "mostly-clipped": {"clip": "right"},
    "step-too-large": {},  # the learning rate divided by ten, as often as the doctor asks for it
    "diverged": {"inputs": "scaled", "clip": "right"},
    "spikes": {"clip": "right"},
    "flat": {"targets": "scaled"},
    "repeats-last-value": {"targets": "scaled"},
    "constant-answers": {"targets": "scaled"},
    "worse-than-naive": {"targets": "scaled"},
    "still-falling": {"updates": 0, "rate": 0.01, "decay": True},
    "overfits": {"examples": None},
}
