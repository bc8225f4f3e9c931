"""The first page's question: two curves, three answers, and an answer trains every network of both sides."""

import secrets
import threading
import traceback
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import ipywidgets as widgets
import numpy as np
from markupsafe import Markup

from rnntips import figures
from rnntips.errors import RnntipsError
from rnntips.notebook.labbook import Limits, outcome, own_book
from rnntips.notebook.panels.messages import words
from rnntips.notebook.panels.picture import BOTTOM, DIFFERENCES, HEIGHT, TOP, WIDTHS, Part, curves, line, shape, text
from rnntips.notebook.panels.view import READ_OUT, button, named, row, styled
from rnntips.notebook.tips import Markdown
from rnntips.recipe import Recipe
from rnntips.runs import Runs
from rnntips.tasks import Task
from rnntips.templates import render
from rnntips.training import train
from rnntips.verdict import SMALLEST, Finding, effects, failures, find, of_naive, progress, trained

__all__ = ["ANSWERS", "ANSWER_FIRST", "FirstQuestion", "Pairs"]

NAMES = ("A", "B")
FRAME = 0.2  # seconds between two pictures
ANSWERS = {"a": "A", "b": "B", "c": "cannot tell"}  # key → what it says
LIMITS: Limits = {"B": 1 / (1 + SMALLEST), "cannot tell": 1 + SMALLEST, "A": float("inf")}  # of B's errors over A's
ANSWER_FIRST = "First answer above: press A, B or C on your keyboard, or its button. Then run this cell."
# The keys A, B and C answer while the question is on the screen and nobody is writing: in JupyterLab they would insert
# cells. Nothing takes the focus, so that nothing moves, and Shift+Enter goes on running cells.
KEYS = """
const panel = this.closest('.rnntips-panel');
if (!panel.answersKeys) window.addEventListener('keydown', event => {
    const {top, bottom} = panel.getBoundingClientRect();
    const asks = panel.isConnected && bottom > 0 && top < window.innerHeight && panel.offsetParent !== null;
    const writes = event.target.closest?.('input, textarea, select, [contenteditable="true"]');
    if (!asks || writes || event.ctrlKey || event.metaKey || event.altKey) return;
    const answer = panel.querySelector(`button.rnntips-answer-${CSS.escape(event.key.toLowerCase())}:enabled`);
    if (!answer) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    answer.click();
}, {capture: true});
panel.answersKeys = true;
"""


@dataclass(frozen=True)
class Pairs:
    """Finished runs of A and of B on one task: every pair of one A with one B, as a reader may have drawn it."""

    a: Runs
    b: Runs

    @cached_property
    def shares(self) -> tuple[np.ndarray, np.ndarray]:
        """Test errors as shares of naive, of A's runs and of B's."""
        return tuple(runs.test_score / runs.naive for runs in (self.a, self.b))

    @cached_property
    def counts(self) -> dict[str, int]:
        """In how many pairs A or B has less error by at least the smallest difference that matters, or neither."""
        a, b = self.shares
        ratios = b[None, :] / a[:, None]
        lower = {"A": int(np.sum(ratios > 1 + SMALLEST)), "B": int(np.sum(ratios < 1 / (1 + SMALLEST)))}
        return lower | {"near": ratios.size - sum(lower.values())}

    @cached_property
    def effects(self) -> np.ndarray:
        """Log ratios of B's errors over A's, as shares of naive, first with first, second with second, (n,)."""
        a, b = self.shares
        return effects(b, a, np.ones(len(a)))

    @property
    def finding(self) -> Finding:
        """What these pairs say of B against A, by the rule of every comparison."""
        learned = any(trained(side.test_score, side.naive, side.floor) for side in (self.a, self.b))
        return find(self.effects, learned, failed=failures(self.b.test_score, self.a.test_score, self.a.naive))

    @property
    def right(self) -> str:
        """The right answer; where nothing is decided nobody can tell."""
        return outcome(self.finding, LIMITS) or "cannot tell"

    @property
    def sentence(self) -> str:
        """What the pairs show, in words."""
        (a, b), counts = map(np.median, self.shares), self.counts
        return (
            f"Ten of A end at {of_naive(a)}, ten of B at {of_naive(b)} (medians). Take one A and one B at random: "
            f"in {counts['near']} of {sum(counts.values())} pairs they are within {100 * SMALLEST:.0f} % of each "
            f"other, in {counts['A']} A is lower, in {counts['B']} B."
        )

    def entry(self, guess: str) -> dict[str, Any]:
        """What a lab book keeps of it, as of a panel's run."""
        finding, sides = self.finding, (self.a, self.b)
        found = {name: getattr(finding, name) for name in ("n", "verdict", "typical", "interval", "smallest")}
        about = {name: getattr(self.a, name) for name in ("seeds", "reached", "updates", "device", "versions")}
        return {
            "experiment": secrets.token_hex(6), "state": "done", "seat": "", "tip": "start_here",
            "setting": self.a.setting, "field": "network", "baseline": "A", "variant": "B",
            "recipes": [repr(side.recipes[0]) for side in sides], "rates": [side.recipes[0].lr for side in sides],
            "guess": guess, "guesses": LIMITS, "right": guess == self.right,
            "effects": self.effects,
            "failures": failures(self.b.test_score, self.a.test_score, self.a.naive),
            "progress": [progress(side.test_score, side.naive, side.floor) for side in sides],
            "seconds": round(self.a.seconds, 3), "sentence": self.sentence, **found, **about,
        }  # fmt: skip


class FirstQuestion(widgets.VBox):
    """One run of A and one of B; the answer trains all of both, draws them meanwhile, and says who was right.

    Args:
        sides: Recipes of A and B.
        on: What both are trained on.
        seeds: Of all runs of A, and of B.
        chosen: The seeds of the two that are shown before the answer.
    """

    def __init__(self, sides: Sequence[Recipe], on: Task, seeds: Sequence[range], chosen: Sequence[int]):
        self.sides, self.on, self.seeds = sides, on, seeds
        self.two = [train(side, on, [seed]) for side, seed in zip(sides, chosen, strict=True)]
        self.answer, self.pairs, self.state = "", None, "idle"
        self._pressed, self._ended = threading.Lock(), threading.Event()
        self.buttons = {
            key: button(f"answer-{key}", key.upper() + (f": {says}" if says not in NAMES else ""),
                        lambda says=says: self.press(says), "primary")
            for key, says in ANSWERS.items()
        }  # fmt: skip
        self.question, self.picture, self.status = (
            named(name, widgets.HTML()) for name in ("question", "picture", "status")
        )
        self.said = named("said", widgets.HTML(READ_OUT))
        self.question.value = render("notebook/panels/first.html", setting=on.name)
        keys = widgets.HTML(Markup('<style onload="{}"></style>').format(KEYS), layout={"height": "0"})
        self._show(self.two)
        parts = [styled(), self.question, row(*self.buttons.values()), self.picture, self.status, self.said, keys]
        super().__init__(parts)
        self.add_class("rnntips-panel")
        self.add_class("rnntips-first")

    def _show(self, sides: Sequence[Runs]) -> None:
        drawings = [("curves", WIDTHS["curves"], curves([_of_naive(side) for side in sides], NAMES)),
                    ("differences", WIDTHS["differences"], _ends(sides))]  # fmt: skip
        reached, updates, count = sides[0].reached, sides[0].updates, len(sides[0])
        label = f"“A” and “B”: {reached} of {updates} updates done, {count} of each"
        self.picture.value = render("notebook/panels/picture.html", words=label, height=HEIGHT, drawings=drawings)

    def press(self, answer: str) -> None:
        """Keep the answer, and train every network in a thread; does nothing once one was given."""
        with self._pressed:
            if self.answer:
                return
            self.answer, self.state = answer, "running"
        for each in self.buttons.values():
            each.disabled = True
        self.status.value = self.said.value = f"Your answer: {answer}. Training ten of each…"
        threading.Thread(target=self._run, name="rnntips first question", daemon=True).start()

    def _run(self) -> None:
        record, seeds, count = Runs(), [*self.seeds[0], *self.seeds[1]], len(self.seeds[0])
        try:
            with ThreadPoolExecutor(1) as trainer:
                training = trainer.submit(train, self.sides[0], self.on, seeds, record=record)
                while not wait([training], timeout=FRAME).done:
                    if record.reached:
                        self._show([record.only(range(count)), record.only(range(count, len(seeds)))])
                        self.status.value = f"Training: {record.reached} of {record.updates} updates."
                training.result()
            self.pairs = Pairs(record.only(range(count)), record.only(range(count, len(seeds))))
            self._show([self.pairs.a, self.pairs.b])
            not_kept = own_book().add("run", **self.pairs.entry(self.answer))
            told = {"sentence": self.pairs.sentence, "answer": self.answer, "right": self.pairs.right}
            self.said.value, self.state = words(self.pairs.sentence), "done"
            self.status.value = render("notebook/panels/first-result.html", **told, runs=record, not_kept=not_kept)
        except Exception as error:  # a thread's exception would be seen by nobody
            trace = "" if isinstance(error, RnntipsError) else traceback.format_exc()
            self.state, self.status.value = "failed", words(f"Training failed: {error}", wrong=True, trace=trace)
        finally:
            self._ended.set()

    def result(self) -> Markdown:
        """What was answered and what came, once it has; before, a text that asks to answer first."""
        if not self.answer:
            return Markdown(ANSWER_FIRST)
        self._ended.wait()
        told = f"You said: {self.answer}. {self.pairs.sentence}" if self.pairs else "Training failed; see above."
        return Markdown(told)

    def _repr_mimebundle_(self, **_) -> dict[str, Any]:
        """The widget, and the question with its picture for where there is no kernel."""
        ax = figures.curves(dict(zip(NAMES, self.two, strict=True)))
        ax.set_title("Which of these two networks would you keep?  A, B, or can you not tell?", size=10, loc="left")
        return super()._repr_mimebundle_() | {"text/plain": "a question", "image/png": ax.figure._repr_png_()}


def _of_naive(runs: Runs) -> Runs:
    """The same runs with every error a share of its own naive one."""
    ones = np.ones(len(runs))
    scores = {"valid_score": runs.valid_score / runs.valid_naive[:, None],
              "test_scores": runs.test_scores / runs.naive[:, None]}  # fmt: skip
    return replace(runs, **scores, naive=ones, floor=ones, valid_naive=ones, unit="share of naive")


def _ends(sides: Sequence[Runs]) -> list[Part]:
    """A mark for every finished network: its test error as a share of naive, A's above B's, with both medians."""
    left, right_ = DIFFERENCES
    low, high = 0.75, 1.05

    def across(share: np.ndarray) -> np.ndarray:
        return left + (right_ - left) * (np.clip(share, low, high) - low) / (high - low)

    parts = [line("axis", left, BOTTOM, right_, BOTTOM), line("bound", across(1), TOP, across(1), BOTTOM),
             text(across(1), TOP - 4, "naive")]  # fmt: skip
    parts += [text(across(tick), BOTTOM + 18, f"{tick:g}") for tick in (0.8, 0.9, 1)]
    parts.append(text((left + right_) / 2, BOTTOM + 38, "test error (share of naive)"))
    for kind, name, side, y in zip(("baseline", "variant"), NAMES, sides, (100, 190), strict=True):
        parts.append(text(left - 16, y + 4, name, **{"class": "ink"}))
        if side.reached < side.updates:
            continue
        shares = across(side.test_score / side.naive)
        for place, x in enumerate(shares):
            dy = y + (place % 5 - 2) * 9 * (len(shares) > 1)
            mark = (
                f"M{x - 4:.0f} {dy:.0f}a4 4 0 1 0 8 0a4 4 0 1 0-8 0"
                if kind == "baseline"
                else f"M{x - 4:.0f} {dy - 4:.0f}h8v8h-8z"
            )
            parts.append(shape(f"{kind} dot", mark))
        if len(shares) > 1:
            middle = float(np.median(shares))
            parts.append(shape("ink", f"M{middle - 6:.0f} {y + 40}l6-12 6 12z"))
    return parts
