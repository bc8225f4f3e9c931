"""`Trial`: a model with one batch, called in many ways on fresh copies."""

from collections.abc import Callable
from functools import cached_property

import torch
from torch import Tensor, nn

from rnntips.doctor.copies import copied
from rnntips.doctor.gates import Inside, watched
from rnntips.errors import BadArgument, need

__all__ = ["LEAST", "TINY", "Trial", "best_constant", "changed", "is_float"]

LEAST, TINY = 1e-3, 1e-12  # a share that is little; a number that is none
STEPS = 8  # windows shorter than this say nothing about gradients in time


class Trial:
    """A model with a batch. Every call works on a fresh copy and with the same random numbers."""

    def __init__(self, model, inputs, targets, loss, lengths, batch_first):
        need("batch_first", batch_first, bool, "True or False")
        self.inputs = tuple(inputs) if isinstance(inputs, tuple | list) else (inputs,)
        if isinstance(inputs, nn.utils.rnn.PackedSequence):
            raise BadArgument("inputs: a PackedSequence. Give the padded tensor (with lengths=), and as the model a "
                              "function that packs it.")  # fmt: skip
        for name, value in [("inputs", self.inputs[0] if self.inputs else None), ("targets", targets)]:
            if not isinstance(value, Tensor) or value.dim() < (2 if name == "inputs" else 1):
                came = f"of shape {tuple(value.shape)}" if isinstance(value, Tensor) else f"{type(value).__name__}"
                raise BadArgument(f"{name}: {came}. A tensor is needed, inputs (B, T, C) and targets (B, …).")
        for name, value in (("model", model), ("loss", loss)):
            if not callable(value):
                raise BadArgument(f"{name}: {type(value).__name__}. A module or function is needed.")
        self.inputs = tuple(part.detach().clone() if isinstance(part, Tensor) else part for part in self.inputs)
        self.model, self.targets, self.loss = model, targets.detach().clone(), loss
        sequence = self.inputs[0]
        self.batch, self.time = (0, 1) if batch_first else (1, 0)
        self.B, self.T = sequence.shape[self.batch], sequence.shape[self.time]
        if self.B < 3:
            raise BadArgument(f"inputs {tuple(sequence.shape)}: {self.B} examples. Give a batch of at least 3.")
        if targets.shape[0] % self.B and targets.shape[:2] != (self.T, self.B):
            raise BadArgument(f"inputs {tuple(sequence.shape)} have {self.B} examples and targets "
                              f"{tuple(targets.shape)} have {targets.shape[0]}. "
                              "If your inputs are (T, B, C), pass batch_first=False.")  # fmt: skip
        self.lengths = self._lengths() if lengths is None else lengths

    def _lengths(self) -> Tensor | None:
        """The second input, if it has a whole number for each example behind which all steps are alike."""
        second = self.inputs[1] if len(self.inputs) > 1 else None
        if not isinstance(second, Tensor) or second.shape != (self.B,) or is_float(second):
            return None
        if second.min() < 1 or second.max() > self.T:
            return None
        behind = self.sequence[(torch.arange(self.T) >= second.cpu()[:, None]).to(self.sequence.device)]
        return second if len(behind) == 0 or bool((behind == behind[0]).all()) else None

    @property
    def batch_norm(self) -> bool:
        """Whether the model has batch norm."""
        return any(isinstance(part, nn.modules.batchnorm._BatchNorm) for part in self.copy()[1].modules())

    @property
    def shapes(self) -> str:
        return f"inputs {tuple(self.inputs[0].shape)}, targets {tuple(self.targets.shape)}"

    @cached_property
    def sequence(self) -> Tensor:
        """The inputs, (B, T, …)."""
        return self.inputs[0].transpose(0, 1) if self.batch else self.inputs[0]

    def copy(self, training: bool = True, nudged: bool = False) -> tuple[Callable, nn.ModuleList]:
        """A copy of the model, and its modules.

        Nudged: matrices that start at zero, as a last layer may on purpose, are small numbers; unless most are zero.
        """
        call, modules = copied(self.model)
        modules.train(training)
        matrices = [weight for weight in modules.parameters() if weight.dim() > 1]
        zeros = [weight for weight in matrices if not bool(weight.any())]
        if nudged and 2 * len(zeros) < len(matrices):
            with torch.no_grad():
                for weight in zeros:
                    weight.normal_(0, 0.05)
        return call, modules

    def called(self, call: Callable, sequence: Tensor | None = None, seed: int = 0, inputs=None) -> Tensor:
        """What it answers if its sequence is this one, (B, T, …)."""
        first, *rest = inputs or self.inputs
        if sequence is not None:
            first = sequence.transpose(0, 1) if self.batch else sequence
        torch.manual_seed(seed)
        found = call(first, *rest)
        while isinstance(found, tuple | list):
            found = found[0]
        if not isinstance(found, Tensor):
            raise BadArgument(f"The model's answers are {type(found).__name__}. A tensor, or a tuple that begins with "
                              "one, is needed: wrap the model in a function that takes it out.")  # fmt: skip
        return found

    def answered(self, sequence: Tensor | None = None, training: bool = False, nudged: bool = False) -> Tensor:
        """The answers of a fresh copy, (B, …)."""
        with torch.no_grad():
            return self.by_example(self.called(self.copy(training, nudged)[0], sequence).detach())

    @cached_property
    def answers(self) -> Tensor:
        """The answers in training mode, with their graph."""
        return self.called(self.copy()[0])

    @cached_property
    def inside(self) -> Inside:
        """What happens inside the layers while the batch is answered, in eval mode."""
        call, modules = self.copy(False)
        with torch.no_grad(), watched(modules) as seen:
            self.called(call)
        return seen

    @cached_property
    def has_weights(self) -> bool:
        """Whether the model's weights are known."""
        return any(True for _ in self.copy()[1].parameters())

    @cached_property
    def reach(self) -> Tensor | str:
        """The norm of the last answer's gradient with respect to each step's inputs, (T,), or why it is not known.

        The last step comes first.
        """
        if self.T < STEPS:
            return f"windows have fewer than {STEPS} steps"
        if self.lengths is not None and not (self.ends == self.T - 1).any():
            return "no example has the full length"
        full = self.ends == self.T - 1
        call, modules = self.copy(nudged=True)
        sequence = self.sequence.clone()
        with watched(modules) as inside:
            if is_float(sequence):
                sequence.requires_grad_()
            found = self.last(self.by_example(self.called(call, sequence)))[full]
        leaves = [sequence] if is_float(sequence) else inside.embedded[:1]
        if not leaves or leaves[0].shape[:2] != (self.B, self.T):
            return "the inputs are whole numbers, and no embedding layer was found"
        gradient = None
        if found.requires_grad:
            gradient = torch.autograd.grad((found * torch.randn_like(found)).sum(), leaves, allow_unused=True)[0]
        if gradient is None:
            return torch.zeros(self.T)
        return gradient[full].double().reshape(int(full.sum()), self.T, -1).norm(dim=2).mean(0).flip(0)

    @cached_property
    def loss_now(self) -> float:
        return float(self.cost(self.answers).detach())

    def cost(self, answers: Tensor, targets: Tensor | None = None) -> Tensor:
        """The loss of these answers; a loss for each example is averaged."""
        return self.loss_copy(answers, self.targets if targets is None else targets).mean()

    @cached_property
    def loss_copy(self) -> Callable:
        return copied(self.loss)[0]

    def by_example(self, values: Tensor) -> Tensor:
        """Answers or targets as (B, …), with an axis of steps where there are several answers an example."""
        B, T, first = self.B, self.T, values.shape[0] if values.dim() else 0
        if values.dim() > 1 and values.shape[1] == B and (first == 1 or (self.batch and first == T)):
            return values[0] if first == 1 else values.transpose(0, 1)
        if not first or first % B:
            raise NotImplementedError(f"answers {tuple(values.shape)} have no axis of {B} examples")
        if first == B:
            return values
        if self.batch:
            return values.reshape(first // B, B, *values.shape[1:]).transpose(0, 1)
        return values.reshape(B, first // B, *values.shape[1:])

    @property
    def classes(self) -> bool:
        """Whether targets are numbers of classes, and answers have one more axis."""
        return not is_float(self.targets) and self.answers.dim() == self.targets.dim() + 1

    @property
    def class_axis(self) -> int:
        """The axis of the answers that has one number a class: PyTorch's is the second."""
        last = self.answers.dim() - 1
        return last if self.answers.shape[:-1] == self.targets.shape else min(1, last)

    @property
    def every_step(self) -> bool:
        """Whether it is clear that there is an answer at every step."""
        found, targets = self.by_example(self.answers.detach()), self.by_example(self.targets)
        if self.T == 1 or targets.dim() < 2 or targets.shape[1] != self.T:
            return False
        flat = self.answers.shape[0] == self.B * self.T
        named = self.classes and self.targets.dim() == 2
        return flat or named or (found.dim() > 2 and found.shape[1] == self.T)

    def steps_of(self, found: Tensor) -> Tensor:
        """Answers at every step, (B, T, …), from `by_example`."""
        second = self.classes and self.answers.dim() == 3 and self.class_axis == 1
        return found.transpose(1, 2) if second else found

    def last(self, found: Tensor) -> Tensor:
        """The answers at the last step, (B, …)."""
        return self.steps_of(found)[:, -1] if self.every_step else found

    def replaced(self, where: Tensor) -> Tensor:
        """The sequence with other values at these examples and steps, (B, T) bool: usual ones of other examples."""
        old = self.sequence
        if is_float(old):
            spread = old.flatten(0, 1).std(0) + LEAST * old.abs().max() + TINY
            other = old.roll(1, 0) + spread * torch.randn(old.shape, device=old.device, dtype=old.dtype)
        else:
            other = (old + 1) % (old.max() + 1)
        return torch.where(where.reshape(where.shape + (1,) * (old.dim() - 2)).to(old.device), other, old)

    @cached_property
    def ends(self) -> Tensor:
        """The last step of each example, (B,)."""
        return torch.full((self.B,), self.T - 1) if self.lengths is None else self.lengths.cpu() - 1

    @cached_property
    def constant(self) -> float:
        """The loss of the best constant answer; NaN if it is not known."""
        return best_constant(self.cost, self.answers.detach(), self.targets, self.class_axis if self.classes else None)


def is_float(values: Tensor) -> bool:
    return values.is_floating_point()


def best_constant(cost: Callable, answers: Tensor, targets: Tensor, classes: int | None) -> float:
    """The loss of the constant that minimises it, by L-BFGS; `classes` is the axis of classes, if there is one."""
    answers = answers if answers.dtype == torch.float64 else answers.float()  # half precision is too coarse
    axis = answers.dim() - 1 if classes is None else classes
    shape = [size if i == axis and (i or classes is not None) else 1 for i, size in enumerate(answers.shape)]
    normalised = classes is not None and _normalised(answers, axis)

    def made(value: Tensor) -> Tensor:  # of logarithms of probabilities the constant must be such, too
        return (value.log_softmax(axis) if normalised else value).expand(answers.shape)

    value = torch.zeros(shape, dtype=answers.dtype, device=answers.device, requires_grad=True)
    if classes is None and is_float(targets) and targets.numel() == answers.numel():
        with torch.no_grad():
            value += targets.reshape(answers.shape).mean(tuple(range(answers.dim() - 1))) if answers.dim() > 1 else (
                targets.mean())  # fmt: skip
            value += 0.1 * (value.abs() + 1)  # a loss with the wrong sign has its maximum there
    optimizer = torch.optim.LBFGS([value], max_iter=50, line_search_fn="strong_wolfe")

    def closure():
        found = cost(made(value))
        (value.grad,) = torch.autograd.grad(found, value)  # of this alone: a loss may know weights of a model
        return found

    with torch.enable_grad():
        optimizer.step(closure)
        return float(cost(made(value)))


def _normalised(answers: Tensor, axis: int) -> bool:
    """Whether the answers are logarithms of probabilities along this axis."""
    return answers.shape[axis] > 1 and bool((answers.exp().sum(axis) - 1).abs().max() < LEAST)


def changed(now: Tensor, before: Tensor) -> float:
    """The largest change, as a share of the largest answer."""
    now, before = now.double(), before.double()
    return float((now - before).abs().max() / (before.abs().max() + TINY)) if now.numel() else 0.0
