"""Peak memory of one training update, in a process of its own.

The network and batch are those of a published long-sequence study, which has a loss at every step.
"""

import sys
from collections.abc import Callable
from pathlib import Path

from benchmarks.fresh import printed

__all__ = ["BATCH", "CHANNELS", "STEPS", "growth", "memory", "training"]

BATCH, STEPS, CHANNELS, DENSE, WIDTH, LAYERS = 15, 20_000, 128, (64, 32), 32, 2


def memory(steps: int = STEPS) -> float:
    """Megabytes that a fresh process grows by at its peak, as one run draws its batch and is trained on it once."""
    return float(printed(f"from benchmarks.peak_memory import growth; print(growth({steps}))"))


def growth(steps: int) -> float:
    """The same in this process."""
    update = training()
    update(4)  # what is loaded once is no part of an update
    before = _peak()
    update(steps)
    return (_peak() - before) / 1e6


def training(runs: int = 1, device: str = "cpu") -> Callable[[int], None]:
    """A function that makes a batch of so many steps, one for all runs, and trains every run on it once."""
    import torch

    from rnntips.models import Network, initial_weights
    from rnntips.optimizers import RULES, clip_gradient, initial_state, numbers_of
    from rnntips.recipe import Recipe

    recipe = Recipe(cell="lstm", layers=LAYERS, width=WIDTH, dense=DENSE, lr=1e-3)
    rows = initial_weights([recipe] * runs, "memory", range(runs), CHANNELS, 1)
    weights, ones = torch.tensor(rows, device=device), torch.ones(runs, 1, device=device)
    network, state = Network("lstm", LAYERS, WIDTH, CHANNELS, 1, weights, DENSE), initial_state("adam", weights)

    def update(steps: int) -> None:
        x, y = (torch.ones(1, BATCH, steps, n, device=device).expand(runs, -1, -1, -1) for n in (CHANNELS, 1))
        gradient = network.gradient((network.sequence(x)[0] - y).square().mean((1, 2, 3)).sum())
        with torch.no_grad():
            clip_gradient(gradient, ones, "global", ())
            weights.add_(RULES["adam"].step(state, gradient, numbers_of([recipe] * runs, device), 1))

    return update


def _peak() -> int:
    """Most bytes of memory that this process ever had."""
    try:  # on Linux getrusage begins with the peak of the process that started this one
        status = Path("/proc/self/status").read_text(encoding="ascii")
        return int(status.split("VmHWM:")[1].split()[0]) * 1024
    except (OSError, IndexError):
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
