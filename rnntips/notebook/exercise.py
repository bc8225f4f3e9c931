"""Exercises as data: a right function, cases, and known mistakes with their messages. One judge serves all of them."""

import copy
import inspect
import string
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from importlib import import_module, resources
from numbers import Real
from typing import Any

import numpy as np

from rnntips.notebook.labbook import own_book

__all__ = ["TRIES", "Exercise", "exercises"]

TRIES = 3
DATA = Real, np.ndarray, tuple, list, dict  # what is compared and shown; other arguments are functions and generators


class Exercise:
    """Judges an answer and prints what is wrong with it.

    The reader's lab book gets the first pass, and a solution opened before it; answers that fail are not kept.
    Messages may hold fields of `str.format`: `{right}`, `{yours}` and the arguments by the solution's names for them.

    Args:
        name: What it is called in its lesson, which is the folder of the solution's module.
        solution: A right function; its source is what the reader is shown.
        cases: Tuples of arguments, or a function that makes them.
        hints: Shown one by one.
        mistakes: Each is one or more wrong functions, followed by the message for what they return.
        accept: Further right functions.
        tolerance: A share of the largest number. With None only `check` decides; mistakes are then its examples.
        check: Takes what the answer returned and the case; returns a message, or None where nothing is wrong.
        kind: The message for a result of another type or with other dimensions; `{type}` is its type.
        case: Stands before the messages for wrong values.
        otherwise: The message for a value that no mistake returns; `{case}` shows all arguments.
        raises: Part of an exception's text → what is said after it.
    """

    def __init__(
        self, name: str, solution: Callable, cases: Sequence[tuple] | Callable[[], Iterable[tuple]],
        hints: Sequence[str], *, mistakes: Sequence[tuple] = (), accept: Sequence[Callable] = (),
        tolerance: float | None = 1e-6, check: Callable[..., str | None] = lambda *_: None,
        kind: str = "return one number, not {type}.", case: str = "",
        otherwise: str = "with {case}: {right} is right, and yours is {yours}.",
        raises: Mapping[str, str] | None = None,
    ):  # fmt: skip
        self.name = f"{solution.__module__.removesuffix('.exercises').rpartition('.')[2]}.{name}"
        self.cases, self.mistakes, self._hints, self._solution = cases, mistakes, hints, solution
        self._accept, self._tolerance, self._check = accept, tolerance, check
        self._kind, self._case, self._otherwise = kind, f"{case}: " if case else "", otherwise
        self._raises = raises or {}
        self._tries, self._shown, self._opened, self.passed = 0, 0, False, False

    def check(self, answer: Callable) -> None:
        """Print whether the answer is right, or what is wrong with it."""
        self._tries += 1
        with np.errstate(all="ignore"):  # a right answer may divide by zero on the way
            cases = self.cases() if callable(self.cases) else self.cases
            wrong = next(filter(None, (self._judge(answer, case) for case in cases)), None)
        print(f"Not yet: {wrong}" if wrong else "Right.")
        if not wrong and not self.passed:
            self.passed = True
            self._keep()

    def hint(self) -> None:
        """Print the next hint."""
        print(self._hints[min(self._shown, len(self._hints) - 1)])
        self._shown += 1

    def solution(self) -> None:
        """Print a solution, once the check has passed or three answers were tried."""
        left = TRIES - self._tries
        if self.passed or left <= 0:
            print(inspect.getsource(self._solution))
            if not (self.passed or self._opened):
                self._opened = True
                self._keep()
        else:
            print(f"Try {left} more answer{'s' if left > 1 else ''} first; the solution waits here.")

    def _keep(self) -> None:
        kept = {"name": self.name, "tries": self._tries, "passed": self.passed, "solution_opened": self._opened}
        if trouble := own_book().add("exercise", **kept):
            print(trouble)

    def _judge(self, answer: Callable, case: tuple) -> str | None:
        """What is wrong with the answer in one case, in words."""
        right, given = self._solution(*copy.deepcopy(case)), copy.deepcopy(case)
        try:
            returned = answer(*given)
            returned = list(returned) if isinstance(returned, Iterator) else returned
        except Exception as error:  # a reader's answer may do anything; what it raised is the feedback
            advice = "".join(f" {advice}" for part, advice in self._raises.items() if part in str(error))
            return f"your function raised {type(error).__name__}: {error}{advice}"
        if not all(_same(after, before) for after, before in zip(given, case, strict=True)):
            return "your function changes the arrays it was given. Compute new ones instead."
        try:
            yours = _like(returned, right)
        except Exception:  # it may also return anything
            return self._kind.format(type=type(returned).__name__)
        message = self._check(yours, *given) or self._known(yours, right, case)
        names = dict(zip(inspect.signature(self._solution).parameters, case, strict=False))
        shown = ", ".join(f"{name}={_short(value)}" for name, value in names.items() if isinstance(value, DATA))
        fields = names | {"right": right, "yours": yours, "case": shown}
        return _Words().vformat(self._case + message, (), fields) if message else None

    def _known(self, yours: Any, right: Any, case: tuple) -> str | None:
        """The message for what was returned, its fields not yet filled; None if it is right."""
        near = self._tolerance
        if near is None or any(_same(yours, f(*copy.deepcopy(case)), near) for f in (self._solution, *self._accept)):
            return None
        for *functions, message in self.mistakes:
            for theirs in (function(*copy.deepcopy(case)) for function in functions):
                if _same(theirs, yours, near) and not _same(theirs, right, near):
                    return message
        return self._otherwise


def _like(value: Any, right: Any) -> Any:
    """The value in the form of the right one, its numbers floats; raises an exception where it has another form."""
    if isinstance(right, dict) and value.keys() == right.keys():
        return {key: _like(value[key], part) for key, part in right.items()}
    if isinstance(right, tuple | list) and isinstance(value, tuple | list | np.ndarray):
        if isinstance(right, tuple) and len(value) != len(right):  # a list may have any length
            raise TypeError
        return type(right)(_like(part, right[min(i, len(right) - 1)]) for i, part in enumerate(value))
    array = np.asarray(float(value) if isinstance(value, Real) and not isinstance(value, bool) else value)
    if array.dtype.kind not in "iuf" or array.ndim != np.ndim(right):
        raise TypeError
    return array.astype(float) if array.ndim else float(array)


def _same(value: Any, right: Any, near: float = 0.0) -> bool:
    """Whether a value equals the right one. Functions and random generators are not compared."""
    if not isinstance(right, DATA):
        return True
    try:
        value = _like(value, right)
    except Exception:
        return False
    if isinstance(right, dict):
        value, right = [*value.values()], [*right.values()]
    if isinstance(right, tuple | list):
        return len(value) == len(right) and all(_same(*pair, near) for pair in zip(value, right, strict=True))
    largest = np.max(np.abs(right), where=np.isfinite(right), initial=0)
    return np.shape(value) == np.shape(right) and np.allclose(value, right, 0, near * largest, equal_nan=True)


class _Words(string.Formatter):
    """Like `str.format`, but shows briefly what has no format of its own."""

    def format_field(self, value: Any, spec: str) -> str:
        return format(value, spec) if spec or isinstance(value, str) else _short(value)


def _short(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_short(part)}" for key, part in value.items()) + "}"
    if isinstance(value, Real):
        return f"{value:.10g}" if float(value).is_integer() else f"{value:.4g}"
    most = 2 if isinstance(value, np.ndarray) and value.ndim > 1 else 5
    parts = [_short(part) for part in value[:most]] + ["…"] * (len(value) > most)
    return ("({})" if isinstance(value, tuple) else "[{}]").format(", ".join(parts))


class _Lessons:
    """`exercises.scaling` is the module with the exercises of the lesson on scaling, imported when it is asked for."""

    def __dir__(self) -> list[str]:
        lessons = resources.files("rnntips.lessons").iterdir()
        return sorted(lesson.name for lesson in lessons if lesson.joinpath("exercises.py").is_file())

    def __getattr__(self, name: str) -> Any:
        if name in dir(self):
            return import_module(f"rnntips.lessons.{name}.exercises")
        raise AttributeError(f"{name!r} is no lesson with exercises. These are: {', '.join(dir(self))}.")


exercises = _Lessons()
