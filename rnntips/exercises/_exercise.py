"""What every exercise has: a check, hints one at a time, and a solution after a pass or three tries."""

import inspect
from collections.abc import Callable, Sequence

from rnntips.labbook import own_book

TRIES = 3


class Exercise:
    """Judges an answer and prints what is off.

    The reader's lab book gets the first pass, and a solution opened before it; answers that fail are nobody's business.

    Args:
        name: What it is called in its lesson; the lesson is the module of the solution.
        judge: Takes the answer; returns None if it is right, otherwise what is wrong, in words.
        hints: Shown one by one.
        solution: A right answer; its source is what the reader is shown.
    """

    def __init__(self, name: str, judge: Callable[[Callable], str | None], hints: Sequence[str], solution: Callable):
        self.name = f"{solution.__module__.rpartition('.')[2]}.{name}"
        self._judge, self._hints, self._answer = judge, hints, solution
        self._tries, self._shown, self._opened, self.passed = 0, 0, False, False

    def check(self, answer: Callable) -> None:
        """Print whether the answer is right, or what is wrong with it."""
        self._tries += 1
        try:
            wrong = self._judge(answer)
        except Exception as error:  # a reader's answer may do anything; what it raised is the feedback
            wrong = f"your function raised {type(error).__name__}: {error}"
        print("Right." if wrong is None else f"Not yet: {wrong}")
        if wrong is None and not self.passed:
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
            print(inspect.getsource(self._answer))
            if not (self.passed or self._opened):
                self._opened = True
                self._keep()
        else:
            print(f"Try {left} more answer{'s' if left > 1 else ''} first; the solution waits here.")

    def _keep(self) -> None:
        fields = {"name": self.name, "tries": self._tries, "passed": self.passed, "solution_opened": self._opened}
        if trouble := own_book().add("exercise", **fields):
            print(trouble)
