"""The devices that can train: a CPU, or a GPU where there is one."""

import os

import torch

from rnntips.errors import BadArgument, NoDevice, need, shown

__all__ = ["devices", "resolve_device"]


def devices() -> list[str]:
    """The devices of this machine."""
    return ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]


def resolve_device(device: str, away: bool = False) -> str:
    """`"cpu"` or `"cuda"`. `"auto"` is what the environment variable RNNTIPS_DEVICE names; if nothing, the CPU.

    Small networks gain little on a GPU, and the stored evidence is from a CPU. So a GPU is used only on request.

    Args:
        away: Whether workers on other machines train; then a GPU is accepted even if this machine has none.

    Raises:
        BadArgument: An unknown device.
        NoDevice: A device that this machine does not have.
    """
    need("device", device, str, '"auto", "cpu" or "cuda"')
    named = os.environ.get("RNNTIPS_DEVICE") if device == "auto" else None
    came, known = (f"RNNTIPS_DEVICE={named}", '"cpu"') if named else (f"device={shown(device)}", '"auto", "cpu"')
    asked = named or ("cpu" if device == "auto" else device)
    if asked not in ("cpu", "cuda"):
        raise BadArgument(f'{came}: {known} or "cuda" is needed.')
    if asked not in devices() and not away:
        raise NoDevice(f"{came}: PyTorch sees no GPU here. Use the CPU; these networks are small.")
    return asked
