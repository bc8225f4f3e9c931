"""Named errors, and the checks of arguments that raise them. A message says what came, what was needed, what to do."""

import math
from collections.abc import Iterable
from difflib import get_close_matches


class RnntipsError(Exception):
    """Base of everything this package raises on purpose."""


class BadArgument(RnntipsError, ValueError):
    """A value that cannot be used: wrong size, wrong range, unknown name."""


class BadData(BadArgument):
    """A series or file that cannot be used: gaps, text, too short, constant."""


class TwoChanges(BadArgument):
    """A comparison whose two arms differ in more than the one field under test."""


class NoDevice(BadArgument):
    """A device that was asked for and does not exist on this machine."""


class DeviceFailed(RnntipsError):
    """A GPU failed while it trained. That says nothing about its runs, so they do not count as failed."""


class NotReached(BadArgument):
    """A cluster does not answer, or the package that connects to it is not installed."""


class OutOfMemory(RnntipsError):
    """Training ran out of memory. `record` is the `Runs` as filled until then; all tensors have been freed."""

    record = None


class Busy(RnntipsError):
    """Training was asked for while another training is running in this notebook kernel."""


def differentiated_once(what: str) -> BadArgument:
    """The error of a compiled operation when the gradient of its gradient is asked for."""
    return BadArgument(
        f"{what} float32 kernels can be differentiated once, and create_graph=True asks for more. Convert the inputs "
        "and weights to float64: those can be differentiated twice."
    )


def unknown_name(what: str, came: object, known: Iterable[str]) -> BadArgument:
    """The error for a name that is not among the known ones; it suggests the most similar of these."""
    known = sorted(known)
    near = get_close_matches(str(came).lower(), known, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return BadArgument(f"{what} {came!r} is not known.{hint} Choose one of: {', '.join(known)}.")


def need_whole(name: str, value: object, least: int) -> None:
    """Raise `BadArgument` unless `value` is an integer of at least `least`; True and False are not integers."""
    if isinstance(value, bool) or not hasattr(value, "__index__") or value < least:
        raise BadArgument(f"{name}={value!r}: a whole number of at least {least} is needed.")


def spelled(text: object) -> list[tuple[str, list[float]]]:
    """Parse an option with numbers: `"warmup:30+cosine"` → `[("warmup", [30.0]), ("cosine", [])]`.

    Recipes write schedules, growing windows, initialisers and features this way. What is not a number becomes NaN.
    """
    parts = (part.strip().split(":") for part in str(text).split("+"))
    return [(name, [_number(one) for one in numbers]) for name, *numbers in parts]


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
