"""Which runs, and where: what callers of `train` and of all that trains may ask for."""

from collections.abc import Sequence

import torch

from rnntips.errors import BadArgument, NoDevice

__all__ = ["check_seeds", "resolve_device"]


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


def resolve_device(device: str) -> str:
    """`"cpu"` or `"cuda"`: what `"auto"` means on this machine.

    Raises:
        BadArgument: An unknown device, or one that is not there.
    """
    if device not in ("auto", "cpu", "cuda"):
        raise BadArgument(f'device={device!r}: "auto", "cpu" or "cuda" is needed.')
    if device == "cuda" and not torch.cuda.is_available():
        raise NoDevice('device="cuda": PyTorch sees no GPU here. Use device="cpu"; these networks are small.')
    return ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device
