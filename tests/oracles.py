"""What trainings are held against: the same one in plain torch, run by run in float64, or another record bit by bit."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import fields
from functools import partial
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn

import rnntips as rt
from rnntips.engine.tbptt import loader_for
from rnntips.loader import examples_of
from rnntips.models import initial_weights, network_for
from rnntips.optimizers import initial_state
from rnntips.windows import batches

KINDS = {"gru": nn.GRU, "lstm": nn.LSTM, "tanh": nn.RNN, "relu": partial(nn.RNN, nonlinearity="relu")}
LOSSES = {  # head → of outputs and targets, (n, K)
    "linear+mse": nn.MSELoss(),
    "softmax+nll": lambda outputs, targets: nn.CrossEntropyLoss()(outputs, targets.argmax(1)),
    "softmax+mse": lambda outputs, targets: nn.MSELoss()(nn.Softmax(1)(outputs), targets),
    "softmax twice+nll": lambda outputs, targets: nn.CrossEntropyLoss()(nn.Softmax(1)(outputs), targets.argmax(1)),
    "sigmoid+bce": nn.BCEWithLogitsLoss(),
    "linear+rmse": lambda outputs, targets: nn.MSELoss()(outputs, targets).sqrt(),
    "linear+mae": nn.L1Loss(),
    "linear+huber": nn.HuberLoss(delta=1.0),
    "sigmoid+mse": lambda outputs, targets: nn.MSELoss()(nn.Sigmoid()(outputs), targets),
    "relu+mse": lambda outputs, targets: nn.MSELoss()(nn.ReLU()(outputs), targets),
}
OPTIMIZERS = {"sgd": torch.optim.SGD, "rmsprop": torch.optim.RMSprop, "adam": torch.optim.Adam,
              "adamw": torch.optim.AdamW, "adagrad": torch.optim.Adagrad, "adadelta": torch.optim.Adadelta}  # fmt: skip


def assert_same(one: rt.Runs, other: rt.Runs, *but: str) -> None:
    """Every bit of two records, but for how long they took and what a test leaves out."""
    assert one.optimizer_state.keys() == other.optimizer_state.keys()
    pairs = {name: (value, other.optimizer_state[name]) for name, value in one.optimizer_state.items()}
    pairs |= {f.name: (getattr(one, f.name), getattr(other, f.name)) for f in fields(rt.Runs)}
    for name in pairs.keys() - {"seconds", "optimizer_state", *but}:
        mine, theirs = pairs[name]
        if isinstance(mine, np.ndarray):
            assert (mine.dtype, mine.shape, mine.tobytes()) == (theirs.dtype, theirs.shape, theirs.tobytes()), name
        else:
            assert mine == theirs, name


def begun(recipes: Sequence[rt.Recipe], task, seeds: Sequence[int], before: int = 0):
    """What `train` would begin with: record, network, loader and the optimizer's averages.

    Args:
        before: Updates of the record from which it goes on.
    """
    examples = [examples_of(recipe, task, seed) for recipe, seed in zip(recipes, seeds, strict=True)]
    record, first, recipe = rt.Runs(), examples[0], recipes[0]
    updates = recipe.updates_for(len(first.of(0)), **first.sizes)
    record.begin(recipes, task, seeds, [(1, 0, 1)] * len(recipes), updates, "cpu")
    record.updates_before = before
    flat = torch.tensor(initial_weights(recipes, task.name, seeds, first.channels, first.outputs, examples))
    return record, network_for(recipe, first, flat), loader_for(record, examples), initial_state(recipe.rule, flat)


def turned(value: Tensor) -> Tensor:
    """A weight of `torch.nn` as the engine has it, and back: matrices are (in, out) here."""
    return value.T if value.dim() == 2 else value


def flat(values: Iterable[Tensor]) -> np.ndarray:
    return np.concatenate([turned(value).detach().numpy().ravel() for value in values])


class Twin:
    """One run of a network in layers of `torch.nn` with the same weights, float64. `named`: our names → theirs."""

    def __init__(self, network, run: int = 0):
        mine = network.parameters
        below = [network.stack[0].inputs, *network.dense]
        above = [network.width if network.layers else below[0], *network.dense_after]
        self.before, self.after = ([nn.Linear(*sizes).double() for sizes in pairwise(some)] for some in (below, above))
        widths = pairwise([below[-1], *[network.width] * network.layers])
        self.recurrent = [KINDS[network.cell](*sizes, batch_first=True).double() for sizes in widths]
        self.readout = nn.Linear(above[-1], mine["readout_bias"].shape[1]).double()
        linear = {f"{place}_{kind}_{j}": getattr(layer, kind)
                  for place, some in (("dense", self.before), ("after", self.after))
                  for j, layer in enumerate(some) for kind in ("weight", "bias")}  # fmt: skip
        linear |= {"readout_weight": self.readout.weight, "readout_bias": self.readout.bias}
        pairs = {"input_weight": "weight_ih_l0", "recurrent_weight": "weight_hh_l0",
                 "input_bias": "bias_ih_l0", "recurrent_bias": "bias_hh_l0"}  # fmt: skip
        known = linear | {f"{ours}_{j}": getattr(layer, theirs)
                          for j, layer in enumerate(self.recurrent) for ours, theirs in pairs.items()}  # fmt: skip
        self.named = {name: known[name] for name in mine}
        with torch.no_grad():
            for name, value in self.named.items():
                value.copy_(turned(mine[name][run]))

    def __call__(self, inputs: Tensor, state: Sequence | None = None, noise: Sequence[Tensor] = ()):
        """Answers at every step (B, T, K), and each layer's last state; noise is added to what leaves each layer."""
        added, hidden, last = iter(noise), inputs, []
        for layer in self.before:
            hidden = layer(hidden).relu() + next(added, 0.0)
        for j, layer in enumerate(self.recurrent):
            hidden, after = layer(hidden, state and state[j])
            hidden = hidden + next(added, 0.0)
            last.append(after)
        for layer in self.after:
            hidden = layer(hidden).relu() + next(added, 0.0)
        return self.readout(hidden), last

    def gradient(self) -> np.ndarray:
        """(P,), as the engine's rows are laid out."""
        return flat(value.grad for value in self.named.values())


def value_of(state: Sequence) -> list:
    """A state without its history."""
    return [tuple(part.detach() for part in each) if isinstance(each, tuple) else each.detach() for each in state]


def trained(recipe, task, seed: int, factors: Sequence[float] = (), lengths: Sequence[int] = ()):
    """Each update's loss and gradient norm, and the weights at the end (P,), of a training as the recipe says.

    Args:
        factors: Of the learning rate, update by update; ones if empty.
        lengths: Steps of the windows, update by update; all if empty.
    """
    example, twin = examples_of(recipe, task, seed), Twin(begun([recipe], task, [seed])[1])
    parameters, losses, norms = [*twin.named.values()], [], []
    more = {"momentum": recipe.momentum} if recipe.momentum else {}
    more |= {"nesterov": True} if recipe.nesterov else {}
    optimizer = OPTIMIZERS[recipe.optimizer](parameters, recipe.lr, weight_decay=recipe.weight_decay, **more)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda done: [*factors, 1][min(done, len(factors))])
    for outputs, targets in answered(twin, recipe, task, seed, example, lengths):
        loss = LOSSES[example.head](outputs, targets)
        optimizer.zero_grad()
        loss.backward()
        losses.append(loss.item())
        norms.append(np.linalg.norm(twin.gradient()))
        groups = {"global": [parameters], "tensor": [[one] for one in parameters]}.get(recipe.clip, [])
        for group in groups if recipe.clip_norm else []:
            nn.utils.clip_grad_norm_(group, recipe.clip_norm)
        if recipe.clip == "value":
            nn.utils.clip_grad_value_(parameters, recipe.clip_norm)
        optimizer.step()
        scheduler.step()
        for one in parameters if recipe.clip == "weights" else []:
            one.data.clamp_(-recipe.clip_norm, recipe.clip_norm)
    return losses, norms, flat(parameters)


def answered(twin, recipe, task, seed, example, lengths) -> Iterator[tuple[Tensor, Tensor]]:
    """Outputs and targets (n, K) of update after update, each computed with the weights of its time."""
    train, size, done = example.of(0), recipe.batch_size, 0
    order = batches(recipe.order, len(train), recipe.updates * size, rt.tasks.stream("order", task.name, seed))
    mixing, ends = rt.tasks.stream("chunks", task.name, seed), [None]
    for chosen in train[order].reshape(-1, size):
        inputs = torch.tensor(example.inputs(chosen)).double()
        if example.loss_at == "last":
            steps = lengths[done] if lengths else example.steps
            yield twin(inputs[:, -steps:])[0][:, -1], torch.tensor(example.targets[chosen]).double()
            done += 1
            continue
        truth = torch.tensor(example.answers(chosen)).double().unflatten(0, (size, -1))
        for outputs, first in chunked(twin, recipe, inputs, example.skip, mixing, ends):
            if done == recipe.updates:
                return
            first -= example.skip
            yield outputs.flatten(0, 1), truth[:, first : first + outputs.shape[1]].flatten(0, 1)
            done += 1


def chunked(twin, recipe, inputs: Tensor, skip: int, mixing, before: list) -> Iterator[tuple[Tensor, int]]:
    """Answers to the new steps (B, t, K) of chunk after chunk, and the step they begin at: with `detach`, by hand.

    Args:
        before: The state at the end of the sequences read before, which is replaced by that of these, see `reset`.
    """
    steps = inputs.shape[1]
    back = recipe.chunk or steps
    ends = [(begin, min(begin + (recipe.stride or back), steps)) for begin in range(0, steps, recipe.stride or back)]
    spans = [(max(0, end - back), max(begin, skip), end) for begin, end in ends if end > skip]
    mixed = recipe.order == "scrambled"
    states, last = {0: None if recipe.reset else before[0]}, None  # step → the state before it, as last computed
    for begin, first, end in [spans[i] for i in mixing.permutation(len(spans))] if mixed else spans:
        if recipe.carry and not mixed and begin not in states:
            with torch.no_grad():
                states[begin] = twin(inputs[:, :begin])[1]
        state, outputs = (last if mixed else states[begin]) if recipe.carry else None, []
        for step in range(begin, end):
            output, state = twin(inputs[:, step : step + 1], state)
            states[step + 1] = last = value_of(state)
            outputs.append(output)
        before[0] = last
        yield torch.cat(outputs, 1)[:, first - begin :], first
