"""Peak memory of one training update, in a process of its own.

The network and batch are those of a published long-sequence study, which has a loss at every step.
"""

import subprocess
import sys
from pathlib import Path

__all__ = ["BATCH", "CHANNELS", "STEPS", "growth", "memory"]

BATCH, STEPS, CHANNELS, DENSE, WIDTH, LAYERS = 15, 20_000, 128, (64, 32), 32, 2


def memory(steps: int = STEPS) -> float:
    """Megabytes that a fresh process grows by at its peak, as one run draws its batch and is trained on it once."""
    code = f"from rnntips.bench.memory import growth; print(growth({steps}))"
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    if child.returncode:
        raise RuntimeError(f"The process that measures memory failed:\n{child.stderr}")
    return float(child.stdout)


def growth(steps: int) -> float:
    """The same in this process."""
    update = _update()
    update(4)  # what is loaded once is no part of an update
    before = _peak()
    update(steps)
    return (_peak() - before) / 1e6


def _update():
    """A function that makes a batch of so many steps and trains one run on it once."""
    import torch

    from rnntips.models import Network, initial_weights
    from rnntips.optimizers import RULES, initial_state
    from rnntips.recipe import Recipe

    recipe = Recipe(cell="lstm", layers=LAYERS, width=WIDTH, dense=DENSE)
    weights = torch.tensor(initial_weights([recipe], "memory", [0], CHANNELS, 1))
    network, state = Network("lstm", LAYERS, WIDTH, CHANNELS, 1, weights, DENSE), initial_state("adam", weights)

    def update(steps: int) -> None:
        x, y = torch.ones(1, BATCH, steps, CHANNELS), torch.ones(1, BATCH, steps, 1)
        gradient = network.gradient((network.sequence(x)[0] - y).square().mean())
        with torch.no_grad():
            weights.add_(RULES["adam"].step(state, gradient, torch.tensor([[1e-3]]), torch.tensor([[0.0]]), 1))

    return update


def _peak() -> int:
    """Most bytes of memory that this process ever had."""
    try:  # on Linux getrusage begins with the peak of the process that started this one
        status = Path("/proc/self/status").read_text(encoding="ascii")
        return int(status.split("VmHWM:")[1].split()[0]) * 1024
    except (OSError, IndexError):
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
