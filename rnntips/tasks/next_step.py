"""Predict the next step of another task's windows: what a network can learn without labels."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from rnntips.errors import BadArgument
from rnntips.tasks.task import SequenceTask, Task, separate, stream
from rnntips.windows import Examples

__all__ = ["NextStep", "next_step"]


@dataclass(frozen=True)
class NextStep(SequenceTask):
    """At every step but the last, predict the inputs of the step after it: (T − 1, C) answers a window.

    Windows and their parts are those of the other task, so that what is pre-trained on the training part has seen no
    window of the others. Naive is the mean of the training part; no floor is known, and it is 0.

    Args:
        of: The task whose windows are read; it has one answer a window.
        shuffled: Each window's steps are in a random order, which is all that such a task can lack.
    """

    of: Task
    shuffled: bool = False
    unit = "scaled units"

    @property
    def ignores(self) -> frozenset[str]:
        return self.of.ignores

    @property
    def name(self) -> str:
        return f"{self.of.name}, next step" + ", shuffled" * self.shuffled

    def examples(self, recipe, seed: int) -> Examples:
        """Windows and targets of one seed.

        Raises:
            BadArgument: The other task has answers at every step, or windows of one step.
        """
        given = self.of.examples(recipe, seed)
        if given.loss_at == "every" or given.steps < 2:
            has = "answers at every step" if given.loss_at == "every" else "windows of one step"
            raise BadArgument(f"The next step is predicted in windows with one answer, and {self.of.name} has {has}.")
        windows = given.inputs(np.arange(len(given.starts)))
        if self.shuffled:
            order = stream("shuffled steps", self.of.name, seed).random(windows.shape[:2]).argsort(1)
            windows = np.take_along_axis(windows, order[:, :, None], 1)
        made = separate(windows[:, :-1], windows[:, 1:], (len(windows), 0, 0))
        return replace(made, part=given.part)

    def values(self, seed: int) -> np.ndarray:
        """See `Task.values`."""
        return self.of.values(seed)

    def meaning(self, recipe, seed: int) -> list[Any]:
        """See `Task.meaning`."""
        return [type(self).__name__, self.version, self.shuffled, *self.of.meaning(recipe, seed)]

    def guess(self, examples: Examples) -> np.ndarray:
        """The mean of the training part's answers, (K,)."""
        return examples.answers(examples.of(0)).mean(0)


next_step = NextStep  # the name that users write: rt.tasks.next_step(task)
