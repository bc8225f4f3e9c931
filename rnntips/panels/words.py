"""What a panel says: its question, how far it is, what happened, and the line of code that rebuilds it."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from html import escape
from importlib.metadata import version
from typing import Any

from rnntips.labbook import GUESSES, right
from rnntips.runs import Runs, lengths
from rnntips.study import Study
from rnntips.tips import Tip

__all__ = ["TUNED", "Asked", "announced", "labelled", "progress", "question", "result"]

QUARTERS = ("Training has begun.", "A quarter is done.", "Half is done.", "Three quarters are done.", "Done.")
TUNED = "tuned"
SCORED = {True: "<b>Right.</b>", False: "<b>Not this time.</b>", None: "Not scored: nothing is decided."}
LOOKS = (
    " Seeds were added after a look. Whoever adds seeds until something shows will find it by chance at last; the "
    "record's number of seeds was fixed beforehand."
)


@dataclass(frozen=True)
class Asked:
    """What a panel's controls stand at."""

    setting: str  # a name in `rnntips.settings.SETTINGS`, or a CSV file
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


def question(tip: Tip, field: str, before: Any, asked: Asked, seeds: Sequence[int], device: str, why: str) -> str:
    """The question that the guess buttons answer.

    Args:
        before: The baseline's value.
        device: `"cpu"` or `"cuda"`.
        why: A sentence that leads to this question; may be empty.
    """
    return (
        f"<b>{escape(why or tip.question)}</b> Change <code>{escape(field)}</code> from <b>{escape(str(before))}</b> "
        f"to <b>{escape(str(asked.value))}</b> on <b>{escape(asked.setting)}</b>. What happens to the error? "
        f"Your guess starts {len(seeds)} runs a side, seeds {seeds[0]} to {seeds[-1]}"
        f"{', on the GPU' if device == 'cuda' else ''}."
    )


def progress(reached: int, updates: int, seconds: float) -> str:
    """How far training is, and how long it will still take if it goes on as in these seconds."""
    left = f", about {seconds * (updates / reached - 1):.0f} s left" if reached else ""
    return f"Training: {reached} of {updates} updates{left}."


def announced(quarter: int) -> str:
    """What is read out when so many quarters are done."""
    return QUARTERS[quarter]


def labelled(sides: Sequence[Runs], names: Sequence[str]) -> str:
    """The picture in words."""
    reached, updates = min((side.reached, side.updates) for side in sides)
    return f"{names[0]} against {names[1]}: {reached} of {updates} updates done, {len(sides[0])} runs a side"


def result(study: Study, guess: str | None, rates: str, looks: int) -> str:
    """The sentence, the guess and whether it was right, and where the numbers come from.

    Args:
        rates: Whence the learning rates come, in words.
        looks: How often seeds were judged; more than once when some were added after a look.
    """
    words = f'<span class="rnntips-sentence">{escape(study.sentence)}</span>'
    if guess:
        words += f" You guessed: {GUESSES[guess]}. {SCORED[right(guess, study)]}"
    return f"{words}<br><small>{escape(_provenance(study, rates) + LOOKS * (looks > 1))}</small>"


def _provenance(study: Study, how: str) -> str:
    (sides,) = study.runs.values()
    runs = sides[0]
    rates = [f"{side.recipes[0].lr:g}" for side in sides]
    versions = {"rnntips": version("rnntips"), **runs.versions}
    return (
        f"{study.n} runs a side, seeds {runs.seeds[0]} to {runs.seeds[-1]}; "
        f"learning rates {' and '.join(rates)}, {how}; {lengths(*sides)} in {runs.seconds:.1f} s on "
        f"{runs.device}; {', '.join(f'{name} {number}' for name, number in versions.items())}. "
        "An error above the naive one counts as the naive one."
    )
