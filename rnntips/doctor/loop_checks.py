"""`watch`: what is wrong in a training loop, seen by hooks while it runs."""

import math
from collections.abc import Sequence
from functools import partial
from statistics import median

import torch
from torch import Tensor, nn

from rnntips.doctor.copies import held, tensors, unregistered
from rnntips.doctor.report import Report, Seen, report
from rnntips.errors import BadArgument, members, need

__all__ = ["Watch", "watch"]

MARK = "rnntips update"  # on a node of the autograd graph: the update that made it
FIRST, EVERY = 10, 10  # updates that are all looked at closely, and then one in so many
FEWEST, MANY = 8, 25  # updates without which nothing is said of a share or a median; of usual clipping
NODES = 20_000  # of a graph that are searched at most
DROPOUT = nn.modules.dropout._DropoutNd
SECOND_TIME = ("backward through the graph a second time", "modified by an inplace operation")


def watch(
    model: nn.Module | Sequence[nn.Module], optimizer: torch.optim.Optimizer, *, batch_first: bool = True
) -> "Watch":
    """Watch a training loop: `with rt.doctor.watch(model, optimizer) as seen: …`, and then `seen.report`.

    Nothing of the loop changes, and no random number is drawn. Some measures are taken at the first ten updates and
    then at one in ten. If the loop ends with an error that the doctor knows, its finding is added to the error's text.

    Args:
        model: The module that is trained, or several; each is called by the loop.
        optimizer: The one whose step changes its weights.
        batch_first: False if the first argument of the model is (T, B, C).

    Raises:
        BadArgument: Something else than modules and an optimizer.
    """
    return Watch(model, optimizer, batch_first)


class Watch:
    """A training loop that is watched; `report` says what was seen so far."""

    def __init__(self, model, optimizer, batch_first=True):
        self.models = [model] if isinstance(model, nn.Module) else members(model)
        if not self.models or not all(isinstance(one, nn.Module) for one in self.models):
            raise BadArgument(f"model: {type(model).__name__}. An nn.Module is needed, or a list of them.")
        need("batch_first", batch_first, bool, "True or False")
        if not isinstance(optimizer, torch.optim.Optimizer):
            raise BadArgument(f"optimizer: {type(optimizer).__name__}. One of torch.optim is needed.")
        self.optimizer, self.time = optimizer, 1 if batch_first else 0
        named = [(f"{number}." * (len(self.models) > 1) + name, weight) for number, one in enumerate(self.models)
                 for name, weight in one.named_parameters() if weight.requires_grad]  # fmt: skip
        self.weights = dict(named)
        mine = {id(weight) for group in optimizer.param_groups for weight in group["params"]}
        self.outside = {name: weight.detach().clone() for name, weight in named if id(weight) not in mine}
        self.update, self.calls, self.hooks = 0, 0, []
        self.stepped = False  # since the last backward pass
        self.added, self.late, self.clipped = [], [], []  # whether, update by update
        self.ratios: list[float] = []  # gradient norm at the step, divided by that after backward
        self.moves: dict[str, list[float]] = {}
        self.no_gradient: dict[str, int] = {}
        self.jumps: list[float] = []
        self.pending: bool | None = None  # whether a backward pass finds old gradients, until it adds its own
        self.grown = self.broken = ""
        self.modes = [0, 0, 0]  # training calls; those in eval mode; calls without gradients in training mode
        self.random = any(isinstance(part, DROPOUT) and part.p > 0 for one in self.models for part in one.modules())
        self.norms: dict[str, Tensor] = {}
        self.kept: list[Tensor] = []  # states that the last call gave or kept
        self.last: Tensor | None = None  # the last inputs
        self.after: dict[str, tuple[Tensor, int]] = {}  # gradients and their versions after the step
        self.before: dict[str, Tensor] = {}  # weights before the step

    @property
    def close(self) -> bool:
        """Whether this update is looked at closely."""
        return self.update < FIRST or self.update % EVERY == 0

    def __enter__(self) -> "Watch":
        for one in self.models:
            self.hooks.append(one.register_forward_pre_hook(self._called, with_kwargs=True))
            self.hooks.append(one.register_forward_hook(self._answered, with_kwargs=True))
        for name, weight in self.weights.items():
            self.hooks.append(weight.register_hook(partial(self._arriving, name)))
            self.hooks.append(weight.register_post_accumulate_grad_hook(partial(self._arrived, name)))
        self.hooks.append(self.optimizer.register_step_pre_hook(self._stepping))
        self.hooks.append(self.optimizer.register_step_post_hook(self._has_stepped))
        self.zero_grad = self.optimizer.zero_grad
        self.optimizer.zero_grad = self._zeroing
        return self

    def __exit__(self, kind, error, trace) -> None:
        for hook in self.hooks:
            hook.remove()
        self.hooks.clear()
        del self.optimizer.zero_grad  # the class's own is found again
        self._look_back()
        if error is not None and any(text in str(error) for text in SECOND_TIME):
            self.grown = self.grown or f"at update {self.update + 1} PyTorch raised: {str(error).split('.')[0]}"
        if error is not None and not self.report.ok:
            error.add_note(f"\nThe doctor's finding:\n{self.report.findings[0]}")

    def _called(self, module: nn.Module, args, kwargs) -> None:
        """Before a call: gradients may have been changed since the step; a state may have been handed on."""
        if not torch.is_grad_enabled():
            self.modes[2] += module.training
            return
        self._look_back()
        self.modes[0] += 1
        self.modes[1] += not module.training
        self.calls += 1
        first, *rest = tensors([args, kwargs])
        if self.close and self.last is not None and len(self.models) == 1:
            self._carried(first, [*rest, *held(module)])
        self.last = first.detach()

    def _carried(self, first: Tensor, states: list[Tensor]) -> None:
        """If a state of the call before is used: how far the new inputs are from where the old ones ended."""
        known = [state for state in states if state.numel() and any(_same(state, old) for old in self.kept)]
        if not known or not first.is_floating_point() or first.shape != self.last.shape or first.dim() < 2:
            return
        old, new = (values if self.time else values.transpose(0, 1) for values in (self.last, first.detach()))
        steps, spread = (old[:, 1:] - old[:, :-1]).square().mean(), old.var(unbiased=False)
        if old.shape[1] > 1 and 0 < steps < spread / 2:  # else values do not tell whether they go on
            self.jumps.append(float(((new[:, 0] - old[:, -1]).square().mean() / steps).sqrt()))

    def _answered(self, module: nn.Module, args, kwargs, output) -> None:
        """After a call: does the answer depend on an update before, and is it finite?"""
        if not torch.is_grad_enabled():
            return
        found = tensors(output)
        states = [state for state in held(module) if state.dim() > 1]
        made = [one.grad_fn for one in [*found, *states] if one.grad_fn is not None]
        if self.update and not self.grown and (self.update < FIRST or self.update % 50 == 0):
            earlier = _earlier(made, self.update)
            if earlier is not None:
                self.grown = f"at update {self.update + 1} the answers depend on the graph of update {earlier + 1}"
        for node in made:
            node.metadata[MARK] = self.update
        self.kept = [one.detach() for one in [*found, *states]]
        if found and not self.broken and not bool(found[0].detach().sum().isfinite()):
            self.broken = self._first_broken(tensors([args, kwargs]))

    def _first_broken(self, inputs: list[Tensor]) -> str:
        if any(not bool(one.detach().isfinite().all()) for one in inputs if one.is_floating_point()):
            return f"at update {self.update + 1} the inputs were not finite"
        for name, weight in self.weights.items():
            if not bool(weight.detach().isfinite().all()):
                return f"after update {self.update} {name} was no longer finite"
        return f"at update {self.update + 1} the answers were no longer finite, while all weights were"

    def _arriving(self, name: str, gradient: Tensor) -> None:
        """Before a gradient is added to what is there."""
        if self.stepped:  # the first one of a backward pass
            self._look_back()
            self.stepped = False
            old = [weight.grad for name, weight in self.weights.items() if name not in self.outside]
            self.pending = any(bool(one.any()) for one in old if one is not None)

    def _arrived(self, name: str, weight: Tensor) -> None:
        if self.pending is not None:  # it was added, and not taken out by torch.autograd.grad
            self.added.append(self.pending)
            self.pending = None
        if self.close:
            self.norms[name] = weight.grad.norm()

    def _stepping(self, optimizer, args, kwargs) -> None:
        self.stepped = False
        gradients = [(name, weight) for name, weight in self.weights.items() if weight.grad is not None]
        if not gradients:
            return
        if not self.broken and not bool(gradients[-1][1].grad.sum().isfinite()):
            self.broken = f"at update {self.update + 1} the gradient of {gradients[-1][0]} was not finite"
        if not self.close:
            return
        if self.norms:
            now = torch.stack([weight.grad.norm() for name, weight in gradients if name in self.norms])
            then = torch.stack([self.norms[name] for name, _ in gradients if name in self.norms])
            if bool(then.norm() > 0):
                self.ratios.append(float(now.norm() / then.norm()))
        self.before = {name: weight.detach().clone() for name, weight in self.weights.items() if weight.dim() > 1}

    def _has_stepped(self, optimizer, args, kwargs) -> None:
        for name, weight in self.before.items():
            size = float(weight.norm())
            if size:
                moved = float((self.weights[name].detach() - weight).norm()) / size
                self.moves.setdefault(name, []).extend([moved] if math.isfinite(moved) else [])
        for name, weight in self.weights.items() if self.close else ():
            self.no_gradient[name] = 0 if weight.grad is not None else self.no_gradient.get(name, 0) + 1
        self.after = {name: (weight.grad, weight.grad._version) for name, weight in self.weights.items()
                      if weight.grad is not None} if self.close else {}  # fmt: skip
        self.before, self.norms, self.stepped = {}, {}, True
        self.update += 1

    def _look_back(self) -> None:
        """Were the gradients changed after the step? Only the first look after a step can tell."""
        if self.after:
            self.late.append(any(gradient._version != version and bool(gradient.any())
                                 for gradient, version in self.after.values()))  # fmt: skip
        self.after = {}

    def _zeroing(self, *args, **kwargs) -> None:
        self._look_back()
        self.zero_grad(*args, **kwargs)

    @property
    def report(self) -> Report:
        """What was seen so far."""
        few = f"fewer than {FEWEST} updates were seen"
        seen: dict[str, Seen | str] = {
            "graph-grows": Seen(1, self.grown) if self.grown else Seen(0) if self.update > 1 else "no second update",
            "gradients-not-zeroed": _share(self.added, "of {n} updates added to the gradient of the one before"),
            "clipped-after-step": _share(self.late, "times in {n} the gradient was changed after the step"),
            "weights-not-moving": self._unmoved(),
            "state-crosses-shuffled-batches": "no state was carried from batch to batch, or the values do not tell",
            "test-mode-differs": self._mode(),
            "mostly-clipped": few,
            "step-too-large": few,
            "diverged": Seen(1, self.broken) if self.broken else Seen(0) if self.calls else "the model was not called",
        }
        if len(self.jumps) >= 3:
            jump = median(self.jumps)
            seen["state-crosses-shuffled-batches"] = Seen(
                jump, "a state is carried from batch to batch, and between batches the inputs jump "
                f"{jump:.3g} times as far as between two steps of a window")  # fmt: skip
        scaled = self.ratios and max(self.ratios) - min(self.ratios) < 1e-3 * max(self.ratios)  # by a constant
        clipped = [ratio < 0.999 and not scaled for ratio in self.ratios]
        if len(clipped) >= MANY or (len(clipped) >= FEWEST and all(clipped) and median(self.ratios) < 0.1):
            seen["mostly-clipped"] = _share(clipped, "of {n} gradients were clipped")
        early = {name: max(moves[:3]) for name, moves in self.moves.items() if len(moves) >= 3}
        if early:  # later a weight that was thrown far away is large, and so moves less
            name, move = max(early.items(), key=lambda pair: pair[1])
            seen["step-too-large"] = Seen(move, f"one of the first three updates changes {name} by {100 * move:.3g} % "
                                          "of its size")  # fmt: skip
        return report(seen)

    def _mode(self) -> Seen | str:
        """With dropout: is it on in training, and off where no gradients are asked for?"""
        if not self.random:
            return "no dropout module was found"
        calls, off, on = self.modes
        if calls >= FEWEST and off == calls:
            return Seen(1, "dropout was off in all training calls: the model was in eval mode")
        return Seen(float(on > 0), f"dropout was on in {on} calls without gradients: the model was in training mode")

    def _typical(self) -> dict[str, float]:
        """Weight matrix → how much of its size it moves in an update, the median of those looked at."""
        return {name: median(moves) for name, moves in self.moves.items() if len(moves) >= FEWEST}

    def _unmoved(self) -> Seen | str:
        lost = [name for one in self.models for name in unregistered(one)]
        if lost:
            return Seen(0, f"{_listed(lost)} is a plain list or dictionary of layers, which is no part of the model "
                        "(use nn.ModuleList)")  # fmt: skip
        if not self.weights:
            return Seen(0, "no weight of the model asks for a gradient")
        still = [name for name, start in self.outside.items() if torch.equal(self.weights[name].detach(), start)]
        if still and self.update >= FEWEST:  # else another optimizer moves them
            return Seen(0, f"the optimizer was not given {_listed(still)} of this model, and they did not change")
        if self.calls >= FEWEST and not self.update:
            return Seen(0, f"the model was called {self.calls} times, and optimizer.step() never")
        cut = [name for name, times in self.no_gradient.items() if times >= FEWEST]
        if cut:
            return Seen(0, f"{_listed(cut)} had no gradient in {self.update} updates")
        typical = self._typical()
        if not typical:
            return f"fewer than {FEWEST} updates were seen"
        name, move = max(typical.items(), key=lambda pair: pair[1])
        return Seen(move, f"the matrix that moves most, {name}, changes by {100 * move:.2g} % of its size in an update")


def _same(one: Tensor, other: Tensor) -> bool:
    """Whether these are the same numbers, not all zero, at the same place or copied."""
    if one.shape != other.shape or one.dtype != other.dtype:
        return False
    return (one.data_ptr() == other.data_ptr() or torch.equal(one.detach(), other)) and bool(one.any())


def _earlier(nodes: list, update: int) -> int | None:
    """The update that marked a node of this graph earlier than this one."""
    seen = set(nodes)
    nodes = list(nodes)
    while nodes and len(seen) < NODES:
        node = nodes.pop()
        if node.metadata.get(MARK, update) < update:
            return node.metadata[MARK]
        for following, _ in node.next_functions:
            if following is not None and following not in seen:
                seen.add(following)
                nodes.append(following)
    return None


def _share(found: list[bool], words: str) -> Seen | str:
    if len(found) < FEWEST:
        return f"fewer than {FEWEST} updates were seen"
    return Seen(sum(found) / len(found), f"{sum(found)} {words.format(n=len(found))}")


def _listed(names: list[str]) -> str:
    return ", ".join(names[:2]) + (f" and {len(names) - 2} more" if len(names) > 2 else "")
