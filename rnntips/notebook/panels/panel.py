"""The panel: a guess starts the training, and the training draws itself.

A press starts one daemon thread that calls the same `compare` a cell would. Building or showing a panel trains
nothing and starts no thread.
"""

import secrets
import sys
import threading
import traceback
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import replace
from pathlib import Path
from typing import Any

from rnntips.doctor.look import READING
from rnntips.engine.devices import resolve_device
from rnntips.engine.memory import give_back
from rnntips.errors import BadArgument, BadData, Busy, RnntipsError, need_whole, unknown_name
from rnntips.notebook.labbook import GUESSES, Limits, own_book, run_entry
from rnntips.notebook.labbook.book import SEAT, SEATS
from rnntips.notebook.panels.live import LOOK, Screen, after
from rnntips.notebook.panels.messages import (
    QUARTERS,
    TUNED,
    Asked,
    Side,
    described,
    plan,
    question,
    result,
    static,
    words,
)
from rnntips.notebook.panels.own import File, Fit, Gaps, candidates, fit, keep, read, refusal
from rnntips.notebook.panels.view import View, show
from rnntips.notebook.tips import ELSEWHERE, UNTUNED, Markdown, tips
from rnntips.recipe import Recipe, typed
from rnntips.study import Study, compare
from rnntips.templates import render
from rnntips.tuning import tuning_grids

__all__ = ["Panel"]

SEEDS = 10  # of each side, for every press
THREAD = "rnntips panel"
FIXED = ("setting", "column", "cell", "lr", "seat", "device")
WAIT = "Another panel is training. Stop it, or wait until it is done."
CHOOSE = "Several columns hold numbers. Choose the one to forecast: “column” under More."
GUESS_FIRST = "Press a guess in the panel above first, or “just run”. Then run this cell."
_training = threading.Lock()  # one training at a time per kernel


class Panel(View):
    """Guess, train ten runs a side, see what happened.

    Args:
        tip: Name of a tip, as in `rnntips tips`.
        setting: Data to train on: one of the plan's settings, or a CSV file; the plan's default if None.
        column: Of the CSV file; needed if several hold numbers.
        cell: For the CSV file, of both sides; None: the lesson's.
        lr: Learning rate of both sides; `"tuned"`: what the record's tuning chose for each, or what the plan fixed.
        seat: In a class, so that everybody runs other seeds: seat 7 has 700 to 799.
        device: As for `rnntips.train`.
        fields: The variant's value of the field under test, for example `input_scaling="symmetric"`, and how the CSV
            file is read, as for `rnntips.series.from_csv`: `gaps="fill"`.

    Raises:
        BadArgument: Unknown tip, setting, field, value or device, a seat beyond 99, or a file that cannot be used.
    """

    _ipython_display_ = None  # ipywidgets 7, which Colab has, would show a widget and ask for nothing else

    def __init__(
        self, tip: str, *, setting: str | None = None, column: str | None = None, cell: str | None = None,
        lr: float | str = TUNED, seat: int = 0, device: str = "auto", **fields: Any,
    ):  # fmt: skip
        self.tip = tips[str(tip)]
        live = self.tip.plan["live"]
        self.field: str = live["field"]
        reading = {name: fields.pop(name) for name in READING if name in fields}
        if unknown := set(fields) - {self.field}:
            raise unknown_name("panel field", unknown.pop(), [self.field, *FIXED, *READING])
        self.baseline, variant, default = self.tip.live()
        self._usual = Asked(default, getattr(variant, self.field))
        value = fields.get(self.field, self._usual.value)
        self._first = Asked(default if setting is None else setting, value, column, cell, lr, seat, device, reading)
        self._changes = self._choices(variant)
        self._beside = self._changes[self._usual.value]  # what changes along with a value that is not among them
        settings = live.get("settings") or next(iter(self.tip.plans.values())).settings
        self._own: tuple[Asked, Recipe, Fit] | None = None  # what was fitted to the reader's file last
        files = self._check(self._first, settings)
        self._changes.setdefault(self._first.value, self._beside | {self.field: self._first.value})
        fails = self.tip.lesson.toml.get("fails", {})  # a case where the advice fails, and what to say of it
        self._says, own = fails.pop("says", ""), fails.pop("guesses", None)
        self._failing = replace(self._usual, **fails)
        self._changes.setdefault(self._failing.value, self._beside | {self.field: self._failing.value})
        panel = self.tip.lesson.toml.get("panel", {})
        self._guesses = {_what(self._failing): own, _what(self._usual): panel.get("guesses")}
        self._stop, self._ended, self._pressed = threading.Event(), threading.Event(), threading.Lock()
        self._ended.set()
        self._shown_to_reader = False
        self._forget()
        self._rates = "fixed by the plan" if self.tip.live_tuned == UNTUNED else "tuned for each side"
        rates = sorted({*tuning_grids("lr", self.baseline)["lr"], self._first.lr} - {TUNED})
        labelled = [(self._rates, TUNED), *((f"{rate:g}", rate) for rate in rates)]
        super().__init__(self.field, list(self._changes), settings, labelled, files, self._first)
        show(self.fails_button, bool(self._says))
        for control in self.controls.values():
            control.observe(lambda _: self._ask(), "value")
        self.upload.observe(lambda _: self._take_file(), "value")
        self.note.observe(lambda _: self._take_note(), "value")
        self._ask()

    def _choices(self, variant: Recipe) -> dict[Any, dict[str, Any]]:
        """Value of the field under test → all fields that change with it; the record's values, and the plan's."""
        stored = [arm.recipe for arm in self.tip.arms(self._usual.setting) if arm.tuned != self.field]
        choices: dict[Any, dict[str, Any]] = {}
        for side in (variant, *stored):
            same = {} if self.field == "lr" else {"lr": side.lr}
            changed = {name: theirs for name, (_, theirs) in self.baseline.but(**same).diff(side).items()}
            if self.field in changed:
                choices.setdefault(changed[self.field], changed)
        if all(isinstance(value, int | float) for value in choices):
            choices = dict(sorted(choices.items()))
        for value in self.tip.plan["live"].get("values", ()):
            choices.setdefault(value, {self.field: value})
        return choices

    def _check(self, asked: Asked, settings: Sequence[str]) -> dict[str, File]:
        """Raise what is wrong with a question; the reader's file, if it is about one, by its name."""
        files = {}
        need_whole("seat", asked.seat, 0)
        if asked.seat > SEATS:
            raise BadArgument(f"seat={asked.seat}: there are seats 0 to {SEATS}, so that no seed is used twice.")
        resolve_device(asked.device)
        if asked.own:
            read(asked.setting, asked.column, asked.reading)
            columns = dict.fromkeys([*candidates(asked.setting, asked.reading), *filter(None, [asked.column])])
            files[asked.setting] = File(asked.setting, tuple(columns), asked.reading)
        elif asked.setting not in settings:
            raise unknown_name("setting", asked.setting, [*settings, "or a CSV file"])
        elif given := [name for name in ("column", "cell") if getattr(asked, name) is not None] + [*asked.reading]:
            raise BadArgument(f"{given[0]}= is for a CSV file of your own. Name it with setting=, or drop {given[0]}=.")
        baseline, variant = self._sides(asked)  # raises for what a recipe cannot have there
        if not baseline.diff(variant).keys() - ({"lr"} - {self.field}):
            raise BadArgument(f"{self.field}={asked.value!r}: the baseline has that too. Choose another value.")
        if asked.own:
            self._need_forecast([baseline, variant])
        return files

    def _need_forecast(self, sides: Sequence[Recipe]) -> None:
        if why := refusal(sides):
            raise BadData(f"This lesson's comparison cannot be made on a series of your own: {why}")

    def _forget(self) -> None:
        """As before the first press."""
        self.state = "idle"
        self.guess: str | None = None
        self._study: Study | None = None
        self._shown: tuple | None = None  # the question that the study answers
        self._why = ""  # a sentence that leads to the question
        self._answer = ""  # the verdict, as HTML
        self._refused: tuple[str, bytes] | None = None  # an upload that straight lines would mend

    def __repr__(self) -> str:
        return self._line(self._first)

    def _line(self, asked: Asked) -> str:
        """The call that builds a panel with these controls."""
        return asked.code(self.tip.name, self.field, self._usual)

    def _repr_mimebundle_(self, **_) -> dict[str, str]:
        """The widget; where there is no kernel its question, and the stored run in a fold; on Colab words and code."""
        if "google.colab" in sys.modules:  # its widgets show what a thread did only when the next cell runs
            first = "Panels do not move on Colab. Guess first, then run this:"
            code = f"study = rt.panels.{self!r}.study()\nstudy"
            html = render("notebook/panels/colab.html", words=first, code=code)
            return {"text/plain": f"{first}\n{code}", "text/html": html}
        self._shown_to_reader = True
        shown = super()._repr_mimebundle_()
        shown["text/html"] = static(self.question.value, self._described(self._fitted), self.still)
        return shown

    @property
    def own_guesses(self) -> Limits | None:
        """The guesses that the lesson names for what is asked; None: `labbook.GUESSES` are offered."""
        return self._guesses.get(_what(self.asked))

    @property
    def still(self) -> Path | None:
        """Where the picture of this panel's run is stored, if it is one of those that are."""
        cases = {self._failing: "still-fails.png", self._usual: "still.png"}
        return self.tip.lesson.folder / cases[self.asked] if self.asked in cases else None

    def _ask(self) -> None:
        asked, self._refused = self.asked, None
        why = self._why if _what(asked) == _what(self._failing) and self._why else self.tip.question
        self.offer_guesses(self.own_guesses or GUESSES)
        fitted = self._fitted = self._fit(asked)
        self.question.value, self.plan.value = self._asks(asked, fitted, why) if fitted.sides else (words(why), "")
        self.code.value = render("notebook/panels/code.html", line=f"rt.panels.{self._line(asked)}")
        if self._shown == (asked, self.baseline) and self._answer:
            self.status.value = self._answer
        elif asked.own or fitted.problem:
            self.status.value = words(fitted.problem or f"{self._data(asked)} is chosen.", wrong=bool(fitted.problem))
        elif self.status.value != self._answer:  # an older question's answer keeps its room, unseen
            self.status.value = ""
        self._enable()

    def _asks(self, asked: Asked, fitted: Fit, why: str) -> tuple[str, str]:
        """The question, and what would be trained, as HTML."""
        seeds, gpu = self._seeds(asked, 0), resolve_device(asked.device) == "cuda"
        return (
            question(why, self.field, fitted.sides, self._data(asked), seeds, gpu),
            plan(self._described(fitted), bool(self.picture.value), fitted.told),
        )

    def _described(self, fitted: Fit) -> list[Side]:
        return described(self.field, fitted.sides) if fitted.sides else []

    def _data(self, asked: Asked) -> str:
        """What is forecast, in words."""
        columns = self.files[asked.setting].columns if asked.own else ()
        column = asked.column or (columns[0] if len(columns) == 1 else None)
        return f"{asked.setting}, column {column}" if column else asked.setting

    def _fit(self, asked: Asked) -> Fit:
        """What a press would train: on a file, recipes that it has room for."""
        try:
            sides = self._sides(asked)
        except BadArgument as error:  # each choice is possible, and both together are not
            return Fit([], problem=str(error))
        if not asked.own:
            return Fit(sides)
        if asked.column is None and len(self.files[asked.setting].columns) > 1:
            return Fit(sides, problem=CHOOSE)
        if self._own is None or self._own[:2] != (asked, self.baseline):
            try:
                found = fit(sides, read(asked.setting, asked.column, asked.reading), self._seeds(asked, 0))
            except RnntipsError as error:
                found = Fit(sides, problem=str(error), fills=isinstance(error, Gaps))
            self._own = asked, self.baseline, found
        return self._own[2]

    def _enable(self) -> None:
        running, shown, fitted = self.state == "running", self._shown == (self.asked, self.baseline), self._fitted
        answered = shown and self._study is not None and not self._study.stopped
        can_add = answered and self._study.n + SEEDS <= SEAT
        self.enable(running, not fitted.problem, can_add, asks=not running and not shown)
        show(self.fill_button, fitted.fills or self._refused is not None)

    @staticmethod
    def _seeds(asked: Asked, done: int) -> range:
        first = SEAT * asked.seat + done
        return range(first, first + SEEDS)

    def _sides(self, asked: Asked) -> list[Recipe]:
        """Baseline and variant, each at its stored learning rate where one is stored and none was chosen."""
        baseline = self.baseline
        if asked.setting != self._usual.setting:  # whose fields the baseline has
            planned = any(asked.setting in claim.settings for claim in self.tip.plans.values())
            there = self.tip.without(self._usual.setting, () if planned else ELSEWHERE)
            baseline = baseline.but(**there | typed(self.tip.fields(asked.setting)))
        baseline = baseline.but(cell=asked.cell or baseline.cell)
        sides = baseline, baseline.but(**self._changes.get(asked.value, self._beside | {self.field: asked.value}))
        tuned = asked.lr == TUNED
        return [side.but(lr=self.tip.learning_rate(asked.setting, side) if tuned else asked.lr) for side in sides]

    # ── what buttons do ─────────────────────────────────────────────────────

    def press(self, guess: str | None = None) -> None:
        """Start training, with a guess or without; does nothing while this panel is training."""
        self._start(guess, None)

    def more_seeds(self) -> None:
        """Train ten more seeds of the comparison that is shown, and judge all together."""
        self._enable()
        if not self.again_button.disabled:
            self._start(self.guess, self._study)

    def stop(self) -> None:
        """End training after the current update; what was recorded stays on the screen."""
        self._stop.set()

    def where_it_fails(self) -> None:
        """Set the controls to a case where the advice fails, and ask again; seat and device stay."""
        if self._says:
            self._why = self._says
            self.ask(replace(self._failing, seat=self.asked.seat, device=self.asked.device))

    def reset(self) -> None:
        """Forget the run, and set the controls as they were at first."""
        with self._pressed:
            if self.state == "running":
                return
            self._forget()
        self.picture.value = self.status.value = ""
        self.ask(self._first)
        self._ask()

    def _take_file(self) -> None:
        for file in self.upload.value:
            self._keep(file["name"], bytes(file["content"]), {})

    def fill(self) -> None:
        """Fill gaps with straight lines: of the upload that was just refused for them, or else of the chosen file."""
        filled = {"gaps": "fill"}
        if self._refused is not None:
            self._keep(*self._refused, filled)
        elif (file := self.files.get(self.asked.setting)) is not None:
            self.files[file.name] = file._replace(reading={**file.reading, **filled})
            self._ask()

    def _keep(self, name: str, content: bytes, reading: Mapping[str, Any]) -> None:
        """Keep an uploaded CSV beside the notebook, where the line of code finds it again, and choose it."""
        self._refused = None
        try:
            self._need_forecast(self._sides(replace(self.asked, setting="own.csv")))
            file = keep(name, content, reading)
        except (RnntipsError, OSError) as error:
            self._refused = (name, content) if isinstance(error, Gaps) else None
            self.status.value = words(error, wrong=True)
            self._enable()
            return
        self.files[file.name] = file
        self.ask(replace(self.asked, setting=file.name, column=None))
        self._ask()
        if file.name != name:
            other = f"{file.name} is chosen, since there was another {name} here. {self._fit(self.asked).problem}"
            self.status.value = words(other.strip())

    def _take_note(self) -> None:
        if self.note.value:
            self.status.value = words(own_book().add("note", text=self.note.value, tip=self.tip.name) or "Noted.")
            self.note.value = ""

    # ── training ────────────────────────────────────────────────────────────

    def _start(self, guess: str | None, earlier: Study | None) -> None:
        with self._pressed:
            if self.state == "running":
                return
            asked = self.asked
            fitted, seeds = self._fit(asked), self._seeds(asked, earlier.n if earlier else 0)
            if fitted.problem:
                return
            if not _training.acquire(blocking=False):
                self.status.value = WAIT
                return
            self.state, self.guess, self._shown = "running", guess, (asked, self.baseline)
            self._experiment = self._experiment if earlier else secrets.token_hex(6)
            self._study, self._answer = earlier, ""
            self._stop.clear()
            self._ended.clear()
            self._enable()
            self.status.value, self.said.value = "Training…", QUARTERS[0]
            threading.Thread(target=self._run, name=THREAD, args=(asked, fitted, seeds, earlier), daemon=True).start()

    def _run(self, asked: Asked, fitted: Fit, seeds: range, earlier: Study | None) -> None:
        ended, shapes = "failed", {side.shape() for side in fitted.sides}
        screen = Screen(self, self.field, self.tip.plan["smallest"], len(shapes), earlier)
        self.records = screen.records
        try:
            study = self._watched(screen, asked, fitted, seeds)
            ended = "stopped" if study.stopped else "done"
            lost = study.stopped and earlier is not None
            if lost:
                study = earlier
            elif earlier is not None:
                study = replace(study, runs={name: after(earlier, pair) for name, pair in study.runs.items()})
            self._study = study
            screen.show(*study.runs.values(), study.sentence)
            guesses = self._guesses.get(_what(asked))
            who = {"guess": self.guess, "guesses": guesses, "seat": asked.seat, "experiment": self._experiment}
            not_kept = own_book().add("run", **run_entry(study, self.tip.name, asked.setting, **who))
            chosen = self._rates if asked.lr == TUNED else "chosen by hand"
            self._answer = result(study, self.guess, guesses, chosen, study.n > SEEDS, lost, not_kept)
            self.status.value = self._answer
        except Exception as error:  # a thread's exception would be seen by nobody
            failed, trace = (
                f"Training failed: {error}",
                "" if isinstance(error, RnntipsError) else traceback.format_exc(),
            )
            self.said.value, self.status.value = words(failed), words(failed, wrong=True, trace=trace)
        finally:
            _training.release()
            self.state = ended
            self._enable()  # last, since whoever sees the buttons may press them
            self._ended.set()
            give_back()

    def _watched(self, screen: Screen, asked: Asked, fitted: Fit, seeds: range) -> Study:
        """The comparison, trained in a thread of its own while this one draws it."""
        with ThreadPoolExecutor(1) as trainer:
            training = trainer.submit(self._compare, asked, fitted, seeds, self._stop, screen.records)
            try:
                while not wait([training], timeout=LOOK).done:
                    screen.refresh()
            except BaseException:
                self._stop.set()  # or leaving this block would wait for the end
                raise
            return training.result()

    def _compare(self, asked: Asked, fitted: Fit, seeds: range, stop=None, record=None) -> Study:
        if fitted.problem:
            raise BadData(fitted.problem)
        task, allow = fitted.task or self.tip.task(asked.setting), {"lr", *self._changes[asked.value]} - {self.field}
        return compare(*fitted.sides, task, seeds, allow=tuple(allow), device=asked.device, stop=stop, record=record)

    def study(self) -> Study | Markdown:
        """What you ran. An interrupt stops the training.

        If nothing was run: where the panel is shown, a text that asks to guess first; else the comparison as it stands,
        trained now.

        Raises:
            Busy: Another panel is training.
        """
        try:
            self._ended.wait()
        except KeyboardInterrupt:
            self.stop()
            self._ended.wait()
        if self._study is None and self._shown_to_reader:
            return Markdown(GUESS_FIRST)
        if self._study is None:
            if not _training.acquire(blocking=False):
                raise Busy(WAIT)
            try:
                asked = self.asked
                self._study = self._compare(asked, self._fit(asked), self._seeds(asked, 0))
            finally:
                _training.release()
        return self._study


def _what(asked: Asked) -> tuple[str, Any]:
    """What a question is about, whoever asks it, at whichever learning rate."""
    return asked.setting, asked.value
