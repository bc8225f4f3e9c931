"""Named errors. Each message says what came, what was needed, and what to do."""

from collections.abc import Iterable
from difflib import get_close_matches


class RnntipsError(Exception):
    """Base of everything this package raises on purpose."""


class BadArgument(RnntipsError, ValueError):
    """A value that cannot be used: wrong size, wrong range, unknown name."""


class BadData(BadArgument):
    """A series or file that cannot be used: gaps, text, too short, constant."""


class TwoChanges(BadArgument):
    """A comparison whose two sides differ in more than the one field under test."""


class NoDevice(BadArgument):
    """A device that was asked for and is not there."""


class DeviceFailed(RnntipsError):
    """A GPU that broke off: no outcome of its runs, which must not count as one."""


class NotReached(BadArgument):
    """A cluster that does not answer, or the package that would speak to it."""


class OutOfMemory(RnntipsError):
    """A training that found no memory. `record` has what was done until then; nothing else is left of it."""

    record = None


class Busy(RnntipsError):
    """A second training asked for while one is running in this kernel."""


def differentiated_once(what: str) -> BadArgument:
    """The error of a compiled operation that is asked for the gradient of its gradient."""
    return BadArgument(
        f"{what} float32 kernels can be differentiated once, and create_graph=True asks for more. Convert the inputs "
        "and weights to float64: those can be differentiated twice."
    )


def unknown_name(what: str, came: object, known: Iterable[str]) -> BadArgument:
    """The error for a name outside a closed set, with the nearest known one."""
    known = sorted(known)
    near = get_close_matches(str(came).lower(), known, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return BadArgument(f"{what} {came!r} is not known.{hint} Choose one of: {', '.join(known)}.")


def need_whole(name: str, value: object, least: int) -> None:
    """Raise unless `value` is a whole number of at least `least`; True is none."""
    if isinstance(value, bool) or not hasattr(value, "__index__") or value < least:
        raise BadArgument(f"{name}={value!r}: a whole number of at least {least} is needed.")
