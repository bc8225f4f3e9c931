"""`check`: what is wrong with a model, a batch and a loss before a loop is written around them."""

import math
import warnings
from collections.abc import Callable, Sequence
from time import monotonic
from typing import Any

import torch
from torch import Tensor

from rnntips.doctor.copies import same_random
from rnntips.doctor.report import Report, Seen, report, wrong
from rnntips.doctor.trial import LEAST, TINY, Trial, best_constant, changed, is_float
from rnntips.errors import BadArgument

__all__ = ["check"]

FEW, RATES, UPDATES, SECONDS = 4, (0.01, 0.03), 300, 3.0  # examples to learn by heart; how, how long, at most
NOTHING = 1e-6  # of the largest answer: a change that rounding makes
WILD = (10.0, 100.0)  # sizes of random weights with which an answer's limits are looked for
START = 3  # steps that are read twice


def check(
    model: Callable, inputs: Tensor | Sequence[Tensor], targets: Tensor, loss: Callable, *,
    lengths: Tensor | None = None, batch_first: bool = True,
) -> Report:  # fmt: skip
    """Test a model with one batch, as the training loop would use them; takes seconds on a CPU.

    Everything is done with copies: weights, buffers, gradients, mode and random states stay as they are.

    Args:
        model: Any `nn.Module` or function that is called with the inputs. If it returns a tuple, the first part is the
            answers.
        inputs: (B, T, C), or (B, T) of whole numbers; or a tuple of tensors, the sequence first, for a model with
            several arguments. At least 3 examples; a usual batch is best.
        targets: What `loss` compares with; its first axis is the batch, or batch times steps.
        loss: Called as loss(answers, targets), gives a number.
        lengths: Steps of each example that are not padding, (B,); without it nothing is said about padding. In a tuple
            of inputs the second tensor is taken for it if it has B whole numbers, behind which all steps are alike.
        batch_first: False if the sequence is (T, B, C).

    Raises:
        BadArgument: Something is not a tensor, or the examples of inputs and targets are not equally many.
    """
    with same_random(0), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch's about shapes: the report says it
        trial = Trial(model, inputs, targets, loss, lengths, batch_first)
        try:
            trial.answers, trial.loss_now  # noqa: B018
        except BadArgument:
            raise
        except Exception as error:  # whatever the model raises is the finding
            text = f"{type(error).__name__}: {error}".splitlines()[0]
            return report({"does-not-run": Seen(1, f"{trial.shapes}, and this error: {text}")})
        scale = _seen(_input_scale, trial)
        if isinstance(scale, Seen) and math.isinf(scale.value):  # nothing else can be measured
            return report({"input-scale": scale})
        return report({code: _seen(rule, trial) for code, rule in RULES.items()})


def _seen(rule: Callable, trial: Trial) -> Seen | str:
    try:
        return rule(trial)
    except NotImplementedError as error:
        return str(error) or "not supported by PyTorch"
    except Exception as error:  # a model with a fixed batch size, for example: other people's code raises anything
        return f"the model does not accept what the test needs: {(str(error).splitlines() or [''])[0][:80]}"


def _input_scale(trial: Trial) -> Seen | str:
    sequence = trial.sequence
    if not is_float(sequence):
        return "the inputs are whole numbers"
    values = sequence[torch.arange(trial.T) <= trial.ends[:, None]] if trial.lengths is not None else (
        sequence.flatten(0, 1))  # fmt: skip
    values = values.double().reshape(len(values), -1)
    size, spread = values.square().mean(0).sqrt(), values.std(0)
    two = torch.stack([channel.unique().numel() <= torch.tensor(2) for channel in values.T])  # marks, one-hot
    largest = float(size.max())
    live = spread[(spread > TINY * (1 + largest)) & ~two]
    uneven = float(live.max() / live.min()) if len(live) > 1 else 1.0
    small = 0.0 if two.all() else 0.1 / max(largest, TINY)
    worst = max(largest, small, uneven / 10)
    if not math.isfinite(largest):
        return Seen(math.inf, "the inputs have values that are infinite or missing (NaN)")
    if worst == uneven / 10:
        return Seen(worst, f"the largest spread of a channel is {uneven:,.3g} times the smallest")
    channel = int(size.argmax())
    mean, each = float(values[:, channel].mean()), float(spread[channel])
    name = f"channel {channel} of the inputs has" if len(size) > 1 else "the inputs have"
    return Seen(worst, f"{name} a mean of {mean:.3g} and a standard deviation of {each:.3g}")


def _future_seen(trial: Trial) -> Seen | str:
    leak = _leak(trial)
    if not trial.every_step:
        return leak or "there is one answer an example, or it is not clear that there is one at every step"
    if any(isinstance(part, Tensor) and part.dim() > 1 for part in trial.inputs[1:]):
        return "the model reads several sequences"
    middle = (trial.T - 1) // 2
    before = trial.steps_of(trial.answered())
    later = (torch.arange(trial.T) > middle).expand(trial.B, trial.T)
    now = trial.steps_of(trial.answered(trial.replaced(later)))
    change = changed(now[:, : middle + 1], before[:, : middle + 1])
    if leak and change:
        return "the targets are the inputs, and whole sequences are read: an autoencoder"
    return leak or Seen(change, f"answers up to step {middle + 1} change when only later steps change")


def _leak(trial: Trial) -> Seen | None:
    """Whether an input of a step is that step's target, in another unit perhaps."""
    sequence, targets = trial.sequence, trial.by_example(trial.targets)
    if targets.shape == sequence.shape and torch.equal(targets, sequence):
        return Seen(1.0, "every target is the input of the same step: they are not shifted")
    if not (is_float(sequence) and is_float(targets)) or sequence.dim() != 3 or trial.B < 8:
        return None
    steps = trial.every_step
    inputs = (sequence if steps else sequence[torch.arange(trial.B), trial.ends]).reshape(-1, sequence.shape[-1])
    targets = targets.reshape(len(inputs), -1) if targets.numel() % len(inputs) == 0 else targets[:0]
    for number, channel in enumerate(inputs.T.double()):
        for target in targets.T.double():
            if min(channel.std(), target.std()) > 0:
                known = float(torch.corrcoef(torch.stack([channel, target]))[0, 1])
                if 1 - known**2 < 1e-10:
                    return Seen(1.0, f"channel {number} of the last step's inputs is the target itself")
    return None


def _shapes_broadcast(trial: Trial) -> Seen | str:
    answers, targets = trial.answers.detach(), trial.targets
    words = f"answers have shape {tuple(answers.shape)} and targets {tuple(targets.shape)}"
    if answers.shape == targets.shape:
        return Seen(0.0, words)
    if answers.numel() == targets.numel():
        aligned = float(trial.cost(answers, targets.reshape(answers.shape)))
        away = abs(trial.loss_now - aligned) / (abs(aligned) + TINY)
        return Seen(away, f"{words}: the loss is {trial.loss_now:.4g}, with equal shapes it would be {aligned:.4g}")
    if trial.classes or not is_float(targets):
        return Seen(0.0, words)
    other = targets.clone()
    other[0] += targets.std() + 1
    leaf = answers.clone().requires_grad_()
    first, second = (torch.autograd.grad(trial.cost(leaf, given), leaf)[0] for given in (targets, other))
    try:
        first, second = trial.by_example(first)[1:], trial.by_example(second)[1:]
    except NotImplementedError:
        return Seen(math.inf, f"{words}: the answers have no axis of {trial.B} examples")
    return Seen(changed(second, first), f"{words}: a target changes what other examples are asked to answer")


def _batch_mixed(trial: Trial) -> Seen | str:
    worst = Seen(0.0, "no example's answer depends on another")
    for training in (False, True):
        before = trial.answered(training=training)
        for row in (0, trial.B - 1):
            only = torch.zeros(trial.B, trial.T, dtype=torch.bool)
            only[row] = True
            now, others = trial.answered(trial.replaced(only), training), torch.arange(trial.B) != row
            mode = " in training mode" if training else ""
            mode += " (there is batch norm)" if training and trial.batch_norm else ""
            found = Seen(changed(now[others], before[others]),
                         f"when the inputs of one example change, answers of others change{mode}")  # fmt: skip
            worst = found if found.value > max(worst.value, LEAST / 10) else worst
    kept = Seen(_kept(trial), "the same batch, read twice, is answered differently: a state is kept between calls")
    return max(worst, kept)


def _kept(trial: Trial) -> float:
    """How much the second of two calls differs; of the first steps alone, since a state fades in long windows."""
    call, _ = trial.copy(False)
    sequence = trial.sequence[:, :START] if len(trial.inputs) == 1 else trial.sequence
    with torch.no_grad():
        try:
            first, second = trial.called(call, sequence), trial.called(call, sequence)
        except (RuntimeError, ValueError, IndexError):  # it wants whole windows
            call, _ = trial.copy(False)
            first, second = trial.called(call), trial.called(call)
    return changed(second, first) if first.shape == second.shape else 0.0


def _past_ignored(trial: Trial) -> Seen | str:
    if trial.T == 1:
        return Seen(0.0, f"inputs {tuple(trial.inputs[0].shape)} have a single step")
    made = trial.inside.steps
    if made and max(made.values()) == 1:
        return Seen(0.0, f"the recurrent layer is given windows of {trial.T} steps as a single step")
    steps = torch.arange(trial.T).expand(trial.B, trial.T)

    def answered(where: Tensor) -> Tensor:
        return trial.last(trial.answered(trial.replaced(where), nudged=True))

    before = answered(steps < 0)
    most = changed(answered(steps >= 0), before)
    if most < NOTHING:
        return "the answers do not depend on the inputs at all"
    found = []
    for words, others in ((f"the last of {trial.T} steps", steps != trial.ends[:, None]),
                          (f"the first of {trial.T} steps", steps != 0)):  # fmt: skip
        change = changed(answered(others), before)
        found.append(Seen(change / most, f"the last answer depends on nothing but {words}"))
    return min(found)


def _padding_read(trial: Trial) -> Seen | str:
    if trial.lengths is None:
        return "no lengths were given"
    padding = torch.arange(trial.T) > trial.ends[:, None]
    if not padding.any():
        return "no example is padded"
    behind = trial.sequence[padding.to(trial.sequence.device)]
    if not bool((behind == behind[0]).all()):
        return "the steps behind the lengths are not alike; padding is looked for at the end"
    before, now = trial.answered(), trial.answered(trial.replaced(padding))
    if trial.every_step:
        before, now = (trial.steps_of(some) for some in (before, now))
        before, now = before[~padding], now[~padding]
    return Seen(changed(now, before), f"answers change when the padding of {int(padding.any(1).sum())} of {trial.B} "
                "examples changes")  # fmt: skip


def _softmax_twice(trial: Trial) -> Seen | str:
    answers, targets = trial.answers.detach(), trial.targets
    with torch.no_grad():
        if trial.classes and answers.dim() > 1:
            sums = bool((answers.sum(trial.class_axis) - 1).abs().max() < LEAST and answers.min() >= 0)
            again = abs(float(trial.cost(answers + 3)) - trial.loss_now) < LEAST * (1 + abs(trial.loss_now))
            return Seen(float(sums and again), "answers are probabilities, and the loss applies softmax to them again")
        if answers.shape == targets.shape and is_float(targets) and set(targets.unique().tolist()) <= {0.0, 1.0}:
            exact, beyond = float(trial.cost(targets)), float(trial.cost(20 * targets - 10))
            inside = bool(answers.min() >= 0 and answers.max() <= 1) and not _unbounded(trial)
            wants = math.isfinite(exact) and beyond < exact / 2
            return Seen(
                float(inside and wants), "answers are probabilities, and the loss applies sigmoid to them again"
            )
    return "targets are not classes"


def _limits(trial: Trial) -> list[tuple[float, float]]:
    """The smallest and largest answer with random weights of each size in `WILD`."""
    found = []
    for size in WILD:
        values = []
        for number in range(6):
            call, modules = trial.copy(False)
            torch.manual_seed(number // 2)
            with torch.no_grad():
                for weight in modules.parameters():
                    weight.copy_((-size if number % 2 else size) * torch.randn_like(weight))
                values.append(trial.called(call))
        values = torch.stack(values)
        values = values[values.isfinite()]
        found.append((float(values.min()), float(values.max())) if values.numel() else (-math.inf, math.inf))
    return found


def _unbounded(trial: Trial) -> bool:
    (low, high), (lower, higher) = _limits(trial)
    return higher > 2 * abs(high) + 1 and lower < -2 * abs(low) - 1


def _target_unreachable(trial: Trial) -> Seen | str:
    if not is_float(trial.targets) or not is_float(trial.answers):
        return "targets are not numbers to be reached"
    if not trial.has_weights:
        return "the function's weights are not known"
    if not trial.answers.requires_grad:
        return "the answers have no gradient"
    (low, high), (lower, higher) = _limits(trial)
    margin = 0.05 * float(trial.targets.std())
    top = higher if higher <= 2 * abs(high) + TINY else math.inf
    bottom = lower if lower >= -2 * abs(low) - TINY else -math.inf
    beyond = float(((trial.targets > top + margin) | (trial.targets < bottom - margin)).double().mean())
    limits = [f"above {bottom:.3g}"] * (bottom > -math.inf) + [f"below {top:.3g}"] * (top < math.inf)
    said = " and ".join(limits) or "anywhere"
    return Seen(beyond, f"with any weights the answers lie {said}, and {100 * beyond:.0f} % of the targets do not")


def _alike(targets: Tensor) -> bool:
    return bool((targets == targets.flatten()[0]).all())


def _loss_at_start(trial: Trial) -> Seen | str:
    if _alike(trial.targets):
        return "all targets of the batch are the same"
    best = trial.constant
    if not math.isfinite(trial.loss_now):
        return Seen(math.inf, f"the loss of the first batch is {trial.loss_now}")
    if not math.isfinite(best) or best < -1e4:
        return Seen(math.inf, f"the loss is {trial.loss_now:.4g} and has no lower end: it does not fit these answers")
    if best <= 0:
        return "the loss of the best constant answer is not positive"
    share = trial.loss_now / best
    return Seen(share, f"the first loss is {trial.loss_now:.4g}, {share:.3g} times that of the best constant answer")


def _gates_saturated(trial: Trial) -> Seen | str:
    shares = [sum(found) / len(found) for found in trial.inside.at_end.values()]
    if not shares:
        return "no recurrent layer of torch.nn with gates was found"
    return Seen(max(shares), f"{100 * max(shares):.0f} % of a recurrent layer's gates and states are at their ends")


def _dead_units(trial: Trial) -> Seen | str:
    if not trial.inside.alive:
        return "no ReLU was found"
    width, alive = min(trial.inside.alive.items(), key=lambda pair: pair[1].double().mean())
    dead = int((~alive).sum())
    return Seen(dead / width, f"{dead} of {width} ReLU units answer 0 for every example and step")


def _gradient_vanishes(trial: Trial) -> Seen | str:
    norms = trial.reach
    if isinstance(norms, str):
        return norms
    if not norms.max() > 0:
        return Seen(0, "no gradient of the last answer reaches the inputs")
    rest = norms[1:]  # the last step may have a way of its own, around the recurrent layer
    reach = 1
    if rest.max() > LEAST**2 * norms.max():
        reach += int((rest >= LEAST * rest.max()).nonzero().max()) + 1
    return Seen(reach, f"the gradient of the last answer falls below a thousandth after {reach} of {trial.T} steps")


def _gradient_explodes(trial: Trial) -> Seen | str:
    norms = trial.reach
    if isinstance(norms, str):
        return norms
    near = float(norms[:3].max())
    times = float(norms[3:].max()) / near if near else 0.0
    return Seen(times, f"the gradient at earlier steps is {times:,.3g} times as large as at the last three")


def _test_mode_differs(trial: Trial) -> Seen | str:
    with torch.no_grad():
        one, other = (trial.called(trial.copy(False)[0], seed=seed) for seed in (1, 2))
    change = changed(other, one)
    return Seen(change, f"after model.eval() answers differ from call to call, by {100 * change:.3g} % of the largest")


def _cannot_fit(trial: Trial) -> Seen | str:
    if not trial.has_weights:
        return "the function's weights are not known"
    if not trial.answers.requires_grad:
        return Seen(math.inf, "the answers have no gradient, so nothing can be learned")
    inputs, targets = _few(trial)
    if _alike(targets):
        return "the targets of the first examples are the same"
    best, end = math.inf, monotonic() + SECONDS
    for rate in RATES:
        call, modules = trial.copy()
        weights = [weight for weight in modules.parameters() if weight.requires_grad]
        first = trial.called(call, inputs=inputs).detach()
        start = abs(best_constant(lambda made: trial.cost(made, targets), first, targets,
                              trial.class_axis if trial.classes else None))  # fmt: skip
        start = start if TINY < start < 1e4 * (1 + abs(trial.loss_now)) else abs(float(trial.cost(first, targets)))
        optimizer = torch.optim.Adam(weights, lr=rate)
        for update in range(UPDATES):
            if monotonic() > end and wrong("cannot-fit-one-batch", best):
                return f"four examples could not be trained on for long enough in {SECONDS:.0f} seconds"
            cost = trial.cost(trial.called(call, inputs=inputs, seed=update), targets)
            if not cost.isfinite():
                break
            best = min(best, float(cost.detach()) / max(start, TINY))
            if best < 0.1:
                break
            for weight, gradient in zip(weights, torch.autograd.grad(cost, weights, allow_unused=True), strict=True):
                weight.grad = gradient
            optimizer.step()
        if best < 0.5:
            break
    return Seen(best, f"trained on {min(FEW, trial.B)} examples alone, the loss is still {100 * best:.0f} % of that of "
                "the best constant answer")  # fmt: skip


def _few(trial: Trial) -> tuple[tuple[Any, ...], Tensor]:
    """Inputs and targets of the first examples, or of all where the model accepts no fewer."""
    rows = min(FEW, trial.B)
    inputs = tuple(_rows(part, trial, rows) if isinstance(part, Tensor) else part for part in trial.inputs)
    targets = trial.targets
    each = targets.shape[0] // trial.B
    if targets.shape[:2] == (trial.T, trial.B) and trial.batch:
        targets = targets[:, :rows]
    elif trial.batch and each > 1:
        targets = targets.reshape(each, trial.B, *targets.shape[1:])[:, :rows].flatten(0, 1)
    else:
        targets = targets[: rows * each]
    try:
        trial.cost(trial.called(trial.copy()[0], inputs=inputs), targets)
    except (RuntimeError, ValueError, IndexError):
        return trial.inputs, trial.targets
    return inputs, targets


def _rows(part: Tensor, trial: Trial, rows: int) -> Tensor:
    axis = trial.batch if part.dim() > trial.batch and part.shape[trial.batch] == trial.B else 0
    return part.narrow(axis, 0, rows) if part.dim() and part.shape[axis] == trial.B else part


RULES: dict[str, Callable[[Trial], Seen | str]] = {
    "input-scale": _input_scale,
    "future-seen": _future_seen,
    "shapes-broadcast": _shapes_broadcast,
    "batch-mixed": _batch_mixed,
    "past-ignored": _past_ignored,
    "padding-read": _padding_read,
    "softmax-twice": _softmax_twice,
    "target-unreachable": _target_unreachable,
    "gates-saturated": _gates_saturated,
    "dead-units": _dead_units,
    "gradient-vanishes": _gradient_vanishes,
    "gradient-explodes": _gradient_explodes,
    "loss-at-start": _loss_at_start,
    "test-mode-differs": _test_mode_differs,
    "cannot-fit-one-batch": _cannot_fit,
}
