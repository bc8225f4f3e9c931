"""Copies of models and functions that can be called, trained and broken while the original stays as it is."""

import copy
import functools
import random
import types
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

__all__ = ["copied", "held", "same_random", "tensors", "unregistered"]


def tensors(value: Any) -> list[Tensor]:
    """All tensors in nested tuples, lists and dictionaries."""
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, dict):
        value = value.values()
    elif not isinstance(value, tuple | list):
        return []
    return [tensor for part in value for tensor in tensors(part)]


def held(module: nn.Module) -> list[Tensor]:
    """Tensors that a module and its children keep as plain attributes: a state between calls, for example."""
    return [tensor for part in module.modules() for name, value in vars(part).items()
            if not name.startswith("_") for tensor in tensors(value)]  # fmt: skip


def unregistered(module: nn.Module) -> list[str]:
    """Attributes that hold layers in a plain list, tuple or dictionary, where PyTorch does not find their weights."""
    found = []
    for where, part in module.named_modules():
        known = {id(one) for one in part.modules()}
        for name, value in vars(part).items():
            inner = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ()
            if not name.startswith("_") and any(isinstance(one, nn.Module) and id(one) not in known for one in inner):
                found.append(f"{where}.{name}".lstrip("."))
    return found


def copied(called: Callable) -> tuple[Callable, nn.ModuleList]:
    """A copy of a module, or of a function together with the modules that it calls; and these modules.

    A function's modules are looked for among its defaults, its closure, `functools.partial` arguments, the object of a
    bound method, and the globals that it and the functions it calls name. Tensors that are part of an autograd graph
    are copied without it; gradients are left behind.
    """
    done: dict[int, Any] = {}
    found = _copy(called, done)
    modules = [value for value in done.values() if isinstance(value, nn.Module)]
    inner = {id(part) for module in modules for part in module.modules() if part is not module}
    for module in modules:
        for weight in module.parameters():
            weight.grad = None
    return found, nn.ModuleList([module for module in modules if id(module) not in inner])


def _copy(value: Any, done: dict[int, Any]) -> Any:
    if id(value) in done:
        return done[id(value)]
    if isinstance(value, types.FunctionType):
        return _function(value, done)
    if isinstance(value, functools.partial):
        arguments = {name: _copy(part, done) for name, part in value.keywords.items()}
        return functools.partial(_copy(value.func, done), *(_copy(part, done) for part in value.args), **arguments)
    if isinstance(value, types.MethodType):
        return types.MethodType(value.__func__, _copy(value.__self__, done))
    if not isinstance(value, nn.Module | Tensor) and not hasattr(value, "__dict__"):
        return value
    if isinstance(value, types.ModuleType | type | types.BuiltinFunctionType):
        return value
    if isinstance(value, nn.Module):
        done |= {id(tensor): tensor.detach().clone() for tensor in held(value) if not tensor.is_leaf}
    try:
        return copy.deepcopy(value, done)
    except (TypeError, RuntimeError):  # an open file, a generator: not a model
        return value


def _function(called: types.FunctionType, done: dict[int, Any]) -> types.FunctionType:
    if (called.__module__ or "").partition(".")[0] in ("torch", "numpy"):
        return called
    done[id(called)] = called  # a function that calls itself
    named = {name: called.__globals__[name] for name in called.__code__.co_names if name in called.__globals__}
    copies = {name: _copy(value, done) for name, value in named.items()
              if isinstance(value, nn.Module | types.FunctionType | functools.partial | types.MethodType)}  # fmt: skip
    cells = tuple(types.CellType(_copy(cell.cell_contents, done)) for cell in called.__closure__ or ())
    defaults = tuple(_copy(value, done) for value in called.__defaults__ or ()) or None
    found = types.FunctionType(called.__code__, called.__globals__ | copies, called.__name__, defaults, cells)
    found.__kwdefaults__ = called.__kwdefaults__
    done[id(called)] = found
    return found


@contextmanager
def same_random(seed: int | None = None) -> Iterator[None]:
    """The random states of Python, NumPy and PyTorch are afterwards what they were before; `seed` sets them inside."""
    states = random.getstate(), np.random.get_state()
    devices = range(torch.cuda.device_count())
    with torch.random.fork_rng(devices=devices):
        if seed is not None:
            torch.manual_seed(seed)
            random.seed(seed)
            np.random.seed(seed)
        try:
            yield
        finally:
            random.setstate(states[0])
            np.random.set_state(states[1])
