"""Named errors, and the checks of arguments that raise them. A message says what came, what was needed, what to do."""

import math
import tomllib
from collections.abc import Iterable
from contextlib import suppress
from difflib import get_close_matches
from functools import cache
from importlib import resources
from math import inf, isfinite
from numbers import Integral, Real
from typing import Any

LONGEST = 100  # letters of a value in a message


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


class TrainingFailed(RnntipsError):
    """An exception, a lost worker or a GPU ended runs before their training was done. Such runs are no result."""


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


def shown(value: object) -> str:
    """A value for a message: short, and without an error whatever it is."""
    try:
        text = repr(value)
    except Exception:  # Python refuses to write very long whole numbers; other types may do anything
        text = f"a value of type {type(value).__name__}"
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


def counted(number: int, noun: str) -> str:
    """A number of things: "1 step", "2,000 steps"."""
    return f"{number:,} {noun}{'s' if number != 1 else ''}"


def unknown_name(what: str, came: object, known: Iterable[str]) -> BadArgument:
    """The error for a name that is not among the known ones; it suggests the most similar of these.

    A word of other libraries gets the sentence that `rnntips/data/words.toml` has for it.
    """
    if isinstance(came, str) and (hint := words().get(what.split()[0].rpartition("_")[2], {}).get(came.lower())):
        return BadArgument(f"{what} {shown(came)} is not known. {hint}")
    known = sorted(map(str, known))
    near = get_close_matches(came.lower()[:LONGEST], known, n=1) if isinstance(came, str) else []
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return BadArgument(f"{what} {shown(came)} is not known.{hint} Choose one of: {', '.join(known)}.")


@cache
def words() -> dict[str, dict[str, str]]:
    """Words of other libraries: kind of name → word → what to write here, in a sentence."""
    table = tomllib.loads(resources.files("rnntips").joinpath("data/words.toml").read_text(encoding="utf-8"))
    return {kind: {word: hint for group, hint in hints.items() for word in group.split()}
            for kind, hints in table.items()}  # fmt: skip


def need(name: str, value: Any, kind: Any, words: str) -> None:
    """Raise `BadArgument` unless `value` is of a type (or one of a union of types), which `words` name."""
    if not isinstance(value, kind):
        raise BadArgument(f"{name}={shown(value)}: {words} is needed.")


def members(values: Any) -> list | None:
    """What a list, an array and the like hold; None for a text, and for what has no members."""
    with suppress(TypeError):  # an array without dimensions only looks as if it had some
        return None if isinstance(values, str) else list(values)


def need_whole(name: str, value: Any, least: int, most: int = 10**18) -> int:
    """`value` as Python's int.

    Raises:
        BadArgument: It is no whole number, Python's or NumPy's, from `least` to `most`. True and False are none.
    """
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise BadArgument(f"{name}={shown(value)}: a whole number of at least {least} is needed.")
    if not least <= value <= most:
        upto = f"from {least} to {most:,}" if value > most else f"of at least {least}"
        raise BadArgument(f"{name}={shown(value)}: a whole number {upto} is needed.")
    return int(value)


def need_number(name: str, value: Any, above: float = -inf, below: float = inf, low: float = -inf) -> float:
    """`value` as a number of Python's.

    Raises:
        BadArgument: It is no number, Python's or NumPy's, above `above`, at least `low` and below `below`.
    """
    number = math.nan
    if isinstance(value, Real) and not isinstance(value, bool):
        with suppress(OverflowError):
            number = float(value)
    if not (above < number < below and low <= number):
        limits = [f"above {above:g}"] * isfinite(above) + [f"of at least {low:g}"] * isfinite(low)
        limits += [f"below {below:g}"] * isfinite(below)
        raise BadArgument(f"{name}={shown(value)}: a number {' and '.join(limits)} is needed.")
    return value if type(value) is int else number + 0.0  # a reader sees the 1 that was written; −0 becomes 0


def need_text(name: str, value: Any, least: int = 0) -> str:
    """`value` as Python's str.

    Raises:
        BadArgument: It is no text, one shorter than `least`, or none that a file can hold.
    """
    need(name, value, str, "a text")
    if len(value) < least:
        raise BadArgument(f"{name}={shown(value)}: a text of at least {least} letters is needed.")
    if value.encode("utf-8", "replace").decode() != value:
        raise BadArgument(f"{name}={shown(value)}: it holds letters that no file can hold. Leave them out.")
    return str(value)


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
