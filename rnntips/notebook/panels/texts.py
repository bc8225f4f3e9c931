"""What a panel says: its question, how far it is, what happened, and the line of code that rebuilds it."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

from rnntips import __version__
from rnntips.notebook.labbook import GUESSES, right
from rnntips.notebook.templates import render
from rnntips.runs import Runs, length_in_words
from rnntips.study import Study

__all__ = ["QUARTERS", "TUNED", "Asked", "labelled", "progress", "result"]

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
        mine = {f.name: getattr(self, f.name) for f in fields(self)}
        changed = {name: value for name, value in mine.items() if value != getattr(usual, name)}
        named = [f"{field if name == 'value' else name}={value!r}" for name, value in changed.items()]
        return f"Panel({', '.join([repr(tip), *named])})"


def progress(reached: int, updates: int, seconds: float) -> str:
    """How far training is, and how long it will still take if it goes on as in these seconds."""
    return f"Training: {reached} of {updates} updates, about {seconds * (updates / reached - 1):.0f} s left."


def labelled(sides: Sequence[Runs], names: Sequence[str]) -> str:
    """The picture in words."""
    reached, updates = min((side.reached, side.updates) for side in sides)
    return f"{names[0]} against {names[1]}: {reached} of {updates} updates done, {len(sides[0])} runs a side"


def result(study: Study, guess: str | None, chosen: str, looks: int, lost: bool, not_kept: str) -> str:
    """The sentence, the guess and whether it was right, and where the numbers come from.

    Args:
        chosen: How the learning rates were chosen, in words.
        looks: How often seeds were judged; more than once when some were added after a look.
        lost: Whether seeds that were to be added were stopped.
        not_kept: Why the lab book has no line of it; "" if it has.
    """
    (sides,) = study.runs.values()
    return render(
        "panels/result.html",
        study=study,
        guess=GUESSES[guess] if guess else None,
        right=right(guess, study),
        runs=sides[0],
        rates=[f"{side.recipes[0].lr:g}" for side in sides],
        length=length_in_words(*sides),
        versions={"rnntips": __version__, **sides[0].versions},
        chosen=chosen,
        looks=looks,
        lost=lost,
        not_kept=not_kept,
    )
