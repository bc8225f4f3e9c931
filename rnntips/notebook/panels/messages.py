"""What a panel says: its question, how far it is, what happened, and the line of code that rebuilds it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rnntips import __version__
from rnntips.notebook.labbook import GUESSES, right
from rnntips.runs import length_in_words
from rnntips.study import Study
from rnntips.templates import render

__all__ = ["QUARTERS", "TUNED", "Asked", "progress", "question", "result"]

QUARTERS = ("Training has begun.", "A quarter is done.", "Half is done.", "Three quarters are done.", "Done.")
TUNED = "tuned"


@dataclass(frozen=True)
class Asked:
    """What a panel's controls stand at."""

    setting: str  # a name in `rnntips.tasks.settings.SETTINGS`, or a CSV file
    value: Any  # the variant's, of the field under test
    column: str | None = None  # of the CSV file
    lr: float | str = TUNED  # of both sides; TUNED: each side's own
    seat: int = 0
    device: str = "auto"

    @property
    def own(self) -> bool:
        """Whether the setting is a reader's file."""
        return str(self.setting).lower().endswith(".csv")

    def code(self, tip: str, field: str, usual: "Asked") -> str:
        """The call that builds such a panel; only what differs from the usual one is named."""
        changed = {name: value for name, value in vars(self).items() if value != getattr(usual, name)}
        named = [f"{field if name == 'value' else name}={value!r}" for name, value in changed.items()]
        return f"Panel({', '.join([repr(tip), *named])})"


def progress(reached: int, updates: int, seconds: float) -> str:
    """How far training is, and how long it will still take if it goes on as in these seconds."""
    return f"Training: {reached} of {updates} updates, about {seconds * (updates / reached - 1):.0f} s left."


def question(why: str, field: str, before: Any, asked: Asked, seeds: Sequence[int], gpu: bool) -> str:
    """The question that the guess buttons answer; `why` leads to it, `before` is the baseline's value."""
    values = {"field": field, "before": str(before), "after": str(asked.value), "setting": asked.setting}
    return render("notebook/panels/question.html", why=why, seeds=seeds, gpu=gpu, **values)


def result(study: Study, guess: str | None, chosen: str, added: bool, lost: bool, not_kept: str) -> str:
    """The sentence, the guess and whether it was right, and where the numbers come from.

    Args:
        chosen: How the learning rates were chosen, in words.
        added: Whether seeds were added after a look at the result.
        lost: Whether seeds that were to be added were stopped.
        not_kept: Why the lab book has no line of it; "" if it has.
    """
    (sides,) = study.runs.values()
    return render(
        "notebook/panels/result.html",
        study=study,
        runs=sides[0],
        rates=" and ".join(f"{side.recipes[0].lr:g}" for side in sides),
        length=length_in_words(*sides),
        versions={"rnntips": __version__, **sides[0].versions},
        guess=GUESSES.get(guess),
        right=right(guess, study),
        chosen=chosen,
        added=added,
        lost=lost,
        not_kept=not_kept,
    )
