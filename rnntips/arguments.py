"""Which runs, and where: what callers of `train` and of all that trains may ask for."""

import os
from collections.abc import Sequence

import torch

from rnntips.errors import BadArgument, NoDevice

__all__ = ["check_seeds", "devices", "resolve_device"]


def check_seeds(seeds: Sequence[int]) -> list[int]:
    """Seeds as a list of different whole numbers of at least 0.

    Raises:
        BadArgument: None given, repeated, negative or not whole.
    """
    try:
        seeds = list(seeds)
    except TypeError:
        raise BadArgument(f"seeds={seeds!r}: several are needed, for example seeds=range(10).") from None
    if not seeds:
        raise BadArgument("seeds is empty; give at least one, for example seeds=range(10).")
    for seed in seeds:
        if isinstance(seed, bool) or not hasattr(seed, "__index__") or not 0 <= seed < 2**63:
            raise BadArgument(f"seed {seed!r}: whole numbers of at least 0, and below 2**63, are needed.")
    if len(set(seeds)) < len(seeds):
        twice = next(s for s in seeds if seeds.count(s) > 1)
        raise BadArgument(f"seed {twice} appears {seeds.count(twice)} times; a repeated run is no new evidence.")
    return [int(s) for s in seeds]


def devices() -> list[str]:
    """What can be chosen on this machine."""
    return ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]


def resolve_device(device: str, away: bool = False) -> str:
    """`"cpu"` or `"cuda"`. `"auto"` is what the environment variable RNNTIPS_DEVICE names; if nothing, the CPU.

    Small networks gain little on a GPU, and the stored evidence is a CPU's. So nobody gets one without asking.

    Args:
        away: Workers elsewhere compute, so a GPU that is asked for need not be here.

    Raises:
        BadArgument: An unknown device.
        NoDevice: One that is not there.
    """
    named = os.environ.get("RNNTIPS_DEVICE") if device == "auto" else None
    came, known = (f"RNNTIPS_DEVICE={named}", '"cpu"') if named else (f"device={device!r}", '"auto", "cpu"')
    asked = named or ("cpu" if device == "auto" else device)
    if asked not in ("cpu", "cuda"):
        raise BadArgument(f'{came}: {known} or "cuda" is needed.')
    if asked not in devices() and not away:
        raise NoDevice(f"{came}: PyTorch sees no GPU here. Use the CPU; these networks are small.")
    return asked
