"""What a user would run instead of `train`: functions that make an `update` of R runs out of torch modules.

An update is a forward pass, the mean squared error of the last state's readout, a backward pass, clipping to
norm 1, and Adam with lr 1e-3. Every run has weights and a batch of its own.
"""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from rnntips.engine.threads import threads

__all__ = ["CELLS", "CLIP", "LR", "LongNet", "Net", "Size", "epoch", "jax_loss", "jax_update", "jax_wait",
           "jax_weights", "loop", "pool", "problem", "why_no_jax"]  # fmt: skip

CELLS = {"tanh": nn.RNN, "gru": nn.GRU, "lstm": nn.LSTM}
LR, CLIP = 1e-3, 1.0


class Size(NamedTuple):
    """R runs, B windows in a batch, T steps, H units; one input channel."""

    R: int
    B: int
    T: int
    H: int


class Net(nn.Module):
    """One recurrent layer, and a readout of its last state."""

    def __init__(self, cell: str, width: int):
        super().__init__()
        self.recurrent = CELLS[cell](1, width, batch_first=True)
        self.readout = nn.Linear(width, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.readout(self.recurrent(x)[0][:, -1])


def problem(cell: str, size: Size, device: str = "cpu") -> tuple[list[Net], Tensor, Tensor]:
    """R networks on the CPU, and their inputs (R, B, T, 1) and targets (R, B, 1) on the device; always the same."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        nets = [Net(cell, size.H) for _ in range(size.R)]
        x, y = torch.randn(size.R, size.B, size.T, 1), torch.randn(size.R, size.B, 1)
    return nets, x.to(device), y.to(device)


def _one(net: Net, x: Tensor, y: Tensor) -> Callable[[], None]:
    weights = list(net.parameters())
    adam = torch.optim.Adam(weights, LR)

    def update() -> None:
        adam.zero_grad()
        nn.functional.mse_loss(net(x), y).backward()
        nn.utils.clip_grad_norm_(weights, CLIP)
        adam.step()

    return update


def loop(nets: Sequence[Net], x: Tensor, y: Tensor) -> Callable[[], None]:
    """One network after the other, each with all of torch's threads or the GPU, to which they are moved."""
    updates = [_one(net.to(x.device), *batch) for net, *batch in zip(nets, x, y, strict=True)]

    def update() -> None:
        for one in updates:
            one()

    return update


class LongNet(nn.Module):
    """S2's network: two dense layers, two of LSTM, noise behind each, and an answer at every step."""

    def __init__(self, channels: int, dense: Sequence[int], width: int, outputs: int, noise: float):
        super().__init__()
        sizes = [channels, *dense]
        self.dense = nn.ModuleList(map(nn.Linear, sizes[:-1], sizes[1:]))
        self.recurrent = nn.ModuleList(nn.LSTM(wide, width, batch_first=True) for wide in (sizes[-1], width))
        self.readout, self.noise = nn.Linear(width, outputs), noise

    def forward(self, x: Tensor, states: Sequence) -> tuple[Tensor, list]:
        """(B, T, C), and both layers' states before it or None → (B, T, K), and those after it."""
        after = []
        for layer in self.dense:
            x = layer(x).relu()
            x = x + self.noise * torch.randn_like(x)
        for layer, state in zip(self.recurrent, states, strict=True):
            x, last = layer(x, state)
            x = x + self.noise * torch.randn_like(x)
            after.append(tuple(part.detach() for part in last))
        return self.readout(x), after


def epoch(nets: Sequence[LongNet], x: Tensor, y: Tensor, chunk: int) -> Callable[[], None]:
    """An epoch of one network after the other on (B, T, C), an update for every chunk of so many steps."""
    optimizers = [torch.optim.Adam(net.parameters(), LR) for net in nets]

    def turn() -> None:
        for net, adam in zip(nets, optimizers, strict=True):
            states: Sequence = (None, None)
            for inputs, targets in zip(x.split(chunk, 1), y.split(chunk, 1), strict=True):
                answers, states = net(inputs, states)
                adam.zero_grad()
                nn.functional.mse_loss(answers, targets).backward()
                nn.utils.clip_grad_norm_(net.parameters(), CLIP)
                adam.step()

    return turn


def pool(nets: Sequence[Net], x: Tensor, y: Tensor) -> Callable[[], None]:
    """As many networks at a time as there are threads, each with one."""
    updates = [_one(*each) for each in zip(nets, x, y, strict=True)]
    workers = ThreadPoolExecutor(threads(), initializer=torch.set_num_threads, initargs=(1,))

    def update() -> None:
        for done in [workers.submit(one) for one in updates]:
            done.result()

    return update


def why_no_jax(device: str = "cpu") -> str | None:
    """Why JAX cannot take part, or None if it can."""
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # or it takes most of a GPU's memory
    try:
        import jax
        import optax  # noqa: F401

        jax.devices(device)
    except ImportError as error:
        return f"JAX takes no part ({error}): pip install -c constraints.txt -e '.[bench]'."
    except RuntimeError as error:
        how = " It needs its build for CUDA, such as `pip install 'jax[cuda13]'`." if device == "cuda" else ""
        return f"JAX takes no part: it sees no {device} ({error}).{how}"
    return None


def jax_weights(nets: Sequence[Net]) -> dict[str, np.ndarray]:
    """Copies of the networks' weights, stacked over the runs, under torch's names and in its shapes."""
    states = [net.state_dict() for net in nets]
    return {name: np.stack([state[name].cpu().numpy() for state in states]) for name in states[0]}


def jax_loss(cell: str) -> Callable:
    """The loss of one run as a function of weights (one run's of `jax_weights`), x (B, T, 1) and y (B, 1)."""
    import jax
    from jax import numpy as jnp

    sigmoid, tanh, split = jax.nn.sigmoid, jnp.tanh, jnp.split

    def plain(h, now, recurrent):
        return tanh(now + recurrent(h))

    def gru(h, now, recurrent):
        (r, z, n), (r_h, z_h, n_h) = split(now, 3, -1), split(recurrent(h), 3, -1)
        z = sigmoid(z + z_h)
        return (1 - z) * tanh(n + sigmoid(r + r_h) * n_h) + z * h

    def lstm(state, now, recurrent):
        h, c = state
        i, f, g, o = split(now + recurrent(h), 4, -1)
        c = sigmoid(f) * c + sigmoid(i) * tanh(g)
        return sigmoid(o) * tanh(c), c

    step = {"tanh": plain, "gru": gru, "lstm": lstm}[cell]

    def loss(weights, x, y):
        given, own = (weights[f"recurrent.weight_{kind}_l0"].T for kind in ("ih", "hh"))
        bias = weights["recurrent.bias_hh_l0"]
        inside = bias if cell == "gru" else 0.0  # every step adds only what it must
        outside = weights["recurrent.bias_ih_l0"] + (0.0 if cell == "gru" else bias)
        inputs, h = jnp.swapaxes(x, 0, 1) @ given + outside, jnp.zeros((x.shape[0], own.shape[0]))
        state, _ = jax.lax.scan(
            lambda state, now: (step(state, now, lambda h: h @ own + inside), None),
            (h, h) if cell == "lstm" else h, inputs,
        )  # fmt: skip
        last = state[0] if cell == "lstm" else state
        return jnp.mean((last @ weights["readout.weight"].T + weights["readout.bias"] - y) ** 2)

    return loss


def jax_update(cell: str, nets: Sequence[Net], x: Tensor, y: Tensor) -> Callable[[], dict]:
    """All networks at once, jit(vmap(update)) with the time loop as a scan. An update returns the new weights."""
    import jax
    import optax

    rule = optax.chain(optax.clip_by_global_norm(CLIP), optax.adam(LR))
    loss = jax_loss(cell)

    def one(weights, state, x, y):
        change, state = rule.update(jax.grad(loss)(weights, x, y), state)
        return optax.apply_updates(weights, change), state

    everyone = jax.jit(jax.vmap(one), donate_argnums=(0, 1))
    device = jax.devices(x.device.type)[0]
    weights, *batch = jax.device_put((jax_weights(nets), x.cpu().numpy(), y.cpu().numpy()), device)
    # put there like the weights, or the second update would be compiled once more
    state = jax.device_put(jax.jit(jax.vmap(rule.init))(weights), device)

    def update() -> dict:
        nonlocal weights, state
        weights, state = everyone(weights, state, *batch)
        return weights

    return update


def jax_wait(weights: dict) -> None:
    """Return when JAX has made them: it computes while Python goes on."""
    import jax

    jax.block_until_ready(weights)
