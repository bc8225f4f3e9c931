"""What happens inside PyTorch's recurrent layers while a model answers: gates, states, ReLU units, embeddings."""

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pad_packed_sequence
from torch.overrides import TorchFunctionMode

__all__ = ["Inside", "watched"]

GATES = {"RNN_TANH": 1, "RNN_RELU": 1, "GRU": 3, "LSTM": 4}
SHUT, OPEN, END = 0.05, 0.95, 0.97  # of gates; of a tanh
RELU = {torch.relu, torch.relu_, Tensor.relu, Tensor.relu_, torch.nn.functional.relu}
MOST = 200  # steps that are looked at


@dataclass
class Inside:
    """What was seen while a model answered.

    Args:
        at_end: Layer and direction → shares of its gates and states that are at their ends, one number a call.
        alive: Width of a ReLU layer → which of its units answered more than 0, (H,).
        steps: Recurrent layer → steps that it made.
        embedded: What embedding layers gave, as leaves that get a gradient.
    """

    at_end: dict[Hashable, list[float]] = field(default_factory=dict)
    alive: dict[int, Tensor] = field(default_factory=dict)
    steps: dict[Hashable, int] = field(default_factory=dict)
    embedded: list[Tensor] = field(default_factory=list)

    def relu(self, values: Tensor) -> None:
        """Note which units of a ReLU layer (…, H) are above 0 somewhere."""
        if values.dim():
            now = (values.detach() > 0).flatten(0, -2).any(0) if values.dim() > 1 else values.detach() > 0
            width = len(now)
            self.alive[width] = self.alive[width] | now if width in self.alive else now

    def gates(self, layer: Hashable, kind: str, raw: Tensor, hidden: Tensor) -> None:
        """Note the share of a layer's gates at their ends: `raw` (…, G·H) before the activation, `hidden` (…, H)."""
        if kind == "RNN_RELU":
            self.relu(hidden)
            return
        if kind == "RNN_TANH":
            self.at_end.setdefault(layer, []).append(float((hidden.abs() > END).float().mean()))
            return
        parts = [torch.sigmoid(part) for part in raw.chunk(GATES[kind], -1)]
        if kind == "LSTM":  # input, forget, candidate, output; an open forget gate keeps the state
            read, keep, _, out = parts
            ends = [_outside(read), (keep < SHUT).float().mean(), _outside(out)]
        else:  # reset, update; an update gate that is open keeps the state
            reset, keep, _ = parts
            ends = [_outside(reset), (keep < SHUT).float().mean()]
        self.at_end.setdefault(layer, []).append(float(torch.stack(ends).mean()))


def _outside(gate: Tensor) -> Tensor:
    return ((gate < SHUT) | (gate > OPEN)).float().mean()


class watched:
    """A context in which everything that these modules do is noted in an `Inside`."""

    def __init__(self, modules: nn.Module):
        self.modules, self.inside, self.hooks = modules, Inside(), []

    def __enter__(self) -> Inside:
        for module in self.modules.modules():
            seen = _seen(module, self.inside)
            if seen:
                self.hooks.append(module.register_forward_hook(seen, with_kwargs=True))
        self.mode = _Relu(self.inside)
        self.mode.__enter__()
        return self.inside

    def __exit__(self, *error) -> None:
        self.mode.__exit__(*error)
        for hook in self.hooks:
            hook.remove()


class _Relu(TorchFunctionMode):
    """Notes every call of ReLU, as a module or as a function."""

    def __init__(self, inside: Inside):
        super().__init__()
        self.inside = inside

    def __torch_function__(self, func, types, args=(), kwargs=None):
        found = func(*args, **(kwargs or {}))
        if func in RELU:
            self.inside.relu(found)
        return found


def _seen(module: nn.Module, inside: Inside) -> Callable | None:
    """A forward hook that notes what this module did, if it is a kind that is understood."""
    if isinstance(module, nn.Embedding):

        def leaf(_module, _args, _kwargs, output):
            if not torch.is_grad_enabled():
                return None
            inside.embedded.append(output.detach().requires_grad_())
            return inside.embedded[-1]

        return leaf
    if isinstance(module, nn.RNNCellBase):
        kinds = {nn.LSTMCell: "LSTM", nn.GRUCell: "GRU"}
        kind = next((name for one, name in kinds.items() if isinstance(module, one)), "")
        kind = kind or f"RNN_{module.nonlinearity.upper()}"

        def cell(_module, args, kwargs, output):
            hidden = args[1] if len(args) > 1 else kwargs.get("hx")
            hidden = hidden[0] if isinstance(hidden, tuple) else hidden
            weights = module.weight_ih, module.weight_hh, module.bias_ih, module.bias_hh
            now = (output[0] if isinstance(output, tuple) else output).detach()
            with torch.no_grad():
                raw = nn.functional.linear(args[0], weights[0], weights[2])
                raw = raw + nn.functional.linear(now * 0 if hidden is None else hidden, weights[1], weights[3])
            inside.gates(id(module), kind, raw, now)
            inside.steps[id(module)] = inside.steps.get(id(module), 0) + 1

        return cell
    if isinstance(module, nn.RNNBase) and module.mode in GATES and not getattr(module, "proj_size", 0):
        return lambda module, args, kwargs, output: _layers(inside, module, args[0])
    return None


@torch.no_grad()
def _layers(inside: Inside, module: nn.RNNBase, inputs: Tensor | PackedSequence) -> None:
    """All layers and directions of `nn.RNN`, `nn.GRU` or `nn.LSTM`, computed once more: PyTorch keeps gates inside."""
    if isinstance(inputs, PackedSequence):
        inputs, _ = pad_packed_sequence(inputs)  # (T, B, C)
    elif inputs.dim() == 2:
        inputs = inputs[:, None]
    elif module.batch_first:
        inputs = inputs.transpose(0, 1)
    inside.steps[id(module)] = inside.steps.get(id(module), 0) + len(inputs)
    inputs, directions = inputs[:MOST].detach(), 2 if module.bidirectional else 1
    for layer in range(module.num_layers):
        outputs = []
        for direction in range(directions):
            names = [f"{name}_l{layer}{'_reverse' * direction}" for name in
                     ("weight_ih", "weight_hh", *(("bias_ih", "bias_hh") if module.bias else ()))]  # fmt: skip
            weights = [getattr(module, name) for name in names] + [None] * (0 if module.bias else 2)
            read = inputs.flip(0) if direction else inputs
            raw, hidden = _steps(module.mode, read, *weights)
            inside.gates((id(module), layer, direction), module.mode, raw, hidden)
            outputs.append(hidden.flip(0) if direction else hidden)
        inputs = torch.cat(outputs, -1)


def _steps(kind: str, inputs: Tensor, weight: Tensor, recurrent: Tensor, bias: Tensor | None, other: Tensor | None):
    """Gates before their activation (T, B, G·H), and states (T, B, H), from a state of zero."""
    linear, width = nn.functional.linear, recurrent.shape[1]
    from_inputs = linear(inputs, weight, bias)
    hidden = memory = inputs.new_zeros(inputs.shape[1], width)
    raws, states = [], []
    for given in from_inputs:
        back = linear(hidden, recurrent, other)
        raw = given + back
        if kind == "LSTM":
            read, keep, new, out = raw.chunk(4, -1)
            memory = keep.sigmoid() * memory + read.sigmoid() * new.tanh()
            hidden = out.sigmoid() * memory.tanh()
        elif kind == "GRU":
            keep = raw[:, width : 2 * width].sigmoid()
            new = given[:, 2 * width :] + raw[:, :width].sigmoid() * back[:, 2 * width :]
            hidden = keep * hidden + (1 - keep) * new.tanh()
        else:
            hidden = raw.tanh() if kind == "RNN_TANH" else raw.relu()
        raws.append(raw)
        states.append(hidden)
    return torch.stack(raws), torch.stack(states)
