"""What a panel says: its question, how far it is, what happened, and the line of code that rebuilds it."""

from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup

from rnntips import __version__
from rnntips.errors import BadArgument, need_text, shown
from rnntips.notebook.labbook import GUESSES, Limits, right
from rnntips.notebook.panels.picture import HEIGHT, WIDTHS
from rnntips.recipe import Recipe, called
from rnntips.runs import length_in_words
from rnntips.study import Study
from rnntips.templates import render

__all__ = ["QUARTERS", "TUNED", "Asked", "described", "plan", "progress", "question", "result", "static", "words"]

QUARTERS = ("Training has begun.", "A quarter is done.", "Half is done.", "Three quarters are done.", "Done.")
TUNED = "tuned"
STEADY = 0.1  # share of the updates after which the speed tells how long the rest will take
WRITTEN = {"gru": "GRU", "lstm": "LSTM", "relu": "ReLU", "adam": "Adam", "rmsprop": "RMSprop", "sgd": "SGD"}


@dataclass(frozen=True)
class Asked:
    """What a panel's controls stand at.

    Raises:
        BadArgument: A value that a line of code cannot hold.
    """

    setting: str  # a name in `rnntips.tasks.settings.SETTINGS`, or a CSV file
    value: Any  # the variant's, of the field under test
    column: str | None = None  # of the CSV file
    cell: str | None = None  # for a CSV file; None: the lesson's
    lr: float | str = TUNED  # of both sides; TUNED: each side's own
    seat: int = 0
    device: str = "auto"
    reading: Mapping[str, Any] = field(default_factory=dict, hash=False)  # how the CSV file is read: `from_csv`'s

    def __post_init__(self):
        for name in ("setting", "value", "column", "cell", "lr", "seat", "device"):
            object.__setattr__(self, name, _plain(name, getattr(self, name)))

    @property
    def own(self) -> bool:
        """Whether the setting is a reader's file."""
        return str(self.setting).lower().endswith(".csv")

    def code(self, tip: str, field: str, usual: "Asked") -> str:
        """The call that builds such a panel; only what differs from the usual one is named."""
        changed = {name: value for name, value in vars(self).items() if value != getattr(usual, name)}
        changed |= changed.pop("reading", {})
        named = [f"{field if name == 'value' else name}={value!r}" for name, value in changed.items()]
        return f"Panel({', '.join([repr(tip), *named])})"


def _plain(name: str, value: Any) -> Any:
    """The value; NumPy's numbers become Python's, and paths text."""
    value = value.item() if isinstance(value, np.generic) else str(value) if isinstance(value, Path) else value
    if not isinstance(value, str | int | float | None):
        raise BadArgument(f"{name}={shown(value)}: a number or a text is needed.")
    return need_text(name, value) if isinstance(value, str) else value


def progress(reached: int, updates: int, now: float, since: float, before: int) -> str:
    """How far training is, and how long it will still take, once that can be told.

    Args:
        now, since: The clock, and when `before` updates had been done; what came earlier says nothing of the speed.
    """
    done = reached - before
    steady = done >= STEADY * updates
    left = f", about {(now - since) * (updates - reached) / done:.0f} s left" if steady else ""
    return f"Training: {reached} of {updates} updates{left}."


def trained(recipe: Recipe) -> str:
    """A recipe's network and training: "GRU, 24 units, Adam, 300 updates"."""
    cell, optimizer = (WRITTEN.get(name, name) for name in (recipe.cell, recipe.optimizer))
    layers = f"{recipe.layers} layers" if recipe.layers > 1 else ""
    units = f"{recipe.width} units" if isinstance(recipe.width, int) else f"about {recipe.width}"
    length = str(recipe.budget or f"{recipe.updates} updates")
    return ", ".join(filter(None, (cell, layers, units, optimizer, length)))


def question(why: str, field: str, sides: Sequence[Recipe], data: str, seeds: Sequence[int], gpu: bool) -> str:
    """The question that the guess buttons answer; `why` leads to it, and `data` is what the sides are trained on."""
    name = field.replace("_", " ")
    before, after = (called(field, getattr(side, field)).removeprefix(f"{name} ") for side in sides)
    values = {"field": name, "before": before, "after": after, "data": data, "trained": trained(sides[0])}
    return render("notebook/panels/question.html", why=why, seeds=seeds, gpu=gpu, **values)


Side = tuple[str, str, str]  # "baseline" or "variant", what it is called, how it is trained


def described(field: str, sides: Sequence[Recipe]) -> list[Side]:
    """Both sides in words. How many updates a budget is may be the answer, so its own words stand there."""
    others = sides[0].diff(sides[1]).keys() - {"lr", "updates", "budget"}
    named = [name for name in ("lr", *sorted(others)) if name != field]
    rows = []
    for kind, side in zip(("baseline", "variant"), sides, strict=True):
        length = str(side.budget) if side.budget else f"{side.updates:,} updates"
        what = ", ".join([length, *(called(name, getattr(side, name)) for name in named)])
        rows.append((kind, called(field, getattr(side, field)), what))
    return rows


def plan(sides: Sequence[Side], again: bool = False, told: Sequence[str] = ()) -> str:
    """Both sides in words, in the place of the picture to come.

    Args:
        again: Whether the picture there is an earlier question's.
        told: What to know of the data before a guess.
    """
    return render("notebook/panels/plan.html", sides=sides, again=again, told=told, widths=WIDTHS, height=HEIGHT)


def static(question: str, sides: Sequence[Side], still: Path | None) -> str:
    """The panel where there is no kernel: its question, and in a fold the stored picture, which gives the answer away.

    Args:
        question: As HTML.
    """
    held = b64encode(still.read_bytes()).decode() if still and still.is_file() else ""
    address = f"../rnntips/lessons/{still.parent.name}/{still.name}" if still else ""  # from the notebooks' folder
    asked = {"question": Markup(question), "sides": sides}
    return render("notebook/panels/static.html", picture=held, address=address, **asked)


def result(
    study: Study, guess: str | None, own: Limits | None, chosen: str, added: bool, lost: bool, not_kept: str
) -> str:
    """The sentence, the guess and whether it was right, and where the numbers come from.

    Args:
        own: The lesson's own guesses, if it has any.
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
        guess=GUESSES.get(guess, guess),
        right=right(guess, study, own),
        between=own and study.verdict not in ("UNCLEAR", "NOT TRAINED"),
        chosen=chosen,
        added=added,
        lost=lost,
        not_kept=not_kept,
    )


def words(said: object, wrong: bool = False, trace: str = "") -> str:
    """A message as HTML, loud if something went `wrong`, with Python's `trace` folded below it."""
    return render("notebook/panels/words.html", words=said, wrong=wrong, trace=trace).strip()
