"""The panel: a guess starts the training, and the training draws itself.

A press starts one daemon thread that calls the same `compare` a cell would. Building or showing a
panel trains nothing, starts no thread and reads no stored run.
"""

import threading
import time
import traceback
from html import escape
from typing import Any

import ipywidgets as widgets

from rnntips.errors import Busy, unknown_name
from rnntips.panels.picture import draw
from rnntips.runs import Runs
from rnntips.study import Study, compare
from rnntips.tips import SETTINGS, Tips

__all__ = ["GUESSES", "Panel"]

GUESSES = {"lower": "≥ 5 % lower error", "same": "about the same", "higher": "≥ 5 % higher error"}
FRAME = 0.2  # seconds between two pictures at least
SEEDS = range(10)
_training = threading.Lock()  # one training at a time per kernel


class Watched(Runs):
    """A record that tells its panel how far it has come."""

    panel: "Panel"

    def advance(self, updates: int) -> None:
        super().advance(updates)
        self.panel.frame(self)


class Panel(widgets.VBox):
    """Guess, train ten runs a side, see what happened.

    Args:
        tip: Name of a tip, as in `rnntips tips`.
        setting: Data to train on, a name in `rnntips.tips.SETTINGS`; the plan's default if None.
        fields: The variant's value of the field under test, for example `input_scaling="symmetric"`.

    Raises:
        BadArgument: Unknown tip, setting, field or value.
    """

    def __init__(self, tip: str, *, setting: str | None = None, **fields: Any):
        self.tip = Tips()[tip]
        self.baseline, variant, default = self.tip.live()
        (self.field,) = self.baseline.diff(variant)
        if unknown := set(fields) - {self.field}:
            raise unknown_name("panel field", unknown.pop(), [self.field, "setting"])
        value = fields.get(self.field, getattr(variant, self.field))
        offered = next(iter(self.tip.plans.values())).settings
        sides = [side for side in self.tip.work()[default] if self.field in self.baseline.but(lr=side.lr).diff(side)]
        choices = [getattr(side, self.field) for side in sides]
        for what, came, known in (("setting", setting or default, offered), (self.field, value, choices)):
            if came not in known:
                raise unknown_name(what, came, known)
        self._asked = f"Panel({tip!r}" + (f", setting={setting!r}" if setting else "")
        self._asked += "".join(f", {name}={chosen!r}" for name, chosen in fields.items()) + ")"
        self.state = "idle"
        self.guess: str | None = None
        self._study: Study | None = None
        self._stop, self._ended = threading.Event(), threading.Event()
        self._ended.set()
        self._pressed = threading.Lock()
        self._last_frame = 0.0
        self._build(choices, value, offered, setting or default)

    def _build(self, choices, value, offered, setting) -> None:
        def button(label, action, style=""):
            made = widgets.Button(description=label, button_style=style, layout={"width": "auto"})
            made.on_click(lambda _: action())
            return made

        self.variant_choice = widgets.Dropdown(options=choices, value=value, description=self.field,
                                               style={"description_width": "initial"})  # fmt: skip
        self.setting_choice = widgets.Dropdown(options=offered, value=setting, description="data")
        self.guess_buttons = {name: button(label, lambda name=name: self.press(name), "info")
                              for name, label in GUESSES.items()}  # fmt: skip
        self.just_run = button("just run", self.press)
        self.stop_button = button("Stop", self.stop, "warning")
        self.question, self.picture, self.status = widgets.HTML(), widgets.HTML(), widgets.HTML()
        for choice in (self.variant_choice, self.setting_choice):
            choice.observe(lambda _: self._ask(), "value")
        for name, widget in {"picture": self.picture, "status": self.status, "stop": self.stop_button,
                             "run": self.just_run, **self.guess_buttons}.items():  # fmt: skip
            widget.add_class(f"rnntips-{name}")
        controls = widgets.HBox([self.variant_choice, self.setting_choice])
        run = widgets.HBox(
            [*self.guess_buttons.values(), self.just_run, self.stop_button], layout={"flex_flow": "row wrap"}
        )
        super().__init__([self.question, controls, run, self.picture, self.status])
        self.add_class("rnntips-panel")
        self._ask()
        self._enable()

    def __repr__(self) -> str:
        return self._asked

    def _sides(self):
        """Baseline and variant as the controls stand, each at its stored learning rate where one is stored."""
        setting = self.setting_choice.value
        variant = self.baseline.but(**{self.field: self.variant_choice.value})
        rates = [self.tip.learning_rate(setting, side) for side in (self.baseline, variant)]
        return self.baseline.but(lr=rates[0]), variant.but(lr=rates[1]), setting

    def _ask(self) -> None:
        before, after = getattr(self.baseline, self.field), self.variant_choice.value
        self.question.value = (
            f"<b>{escape(self.tip.question)}</b> Change <code>{self.field}</code> from <b>{before}</b> to "
            f"<b>{after}</b> on <b>{self.setting_choice.value}</b>. What happens to the error? "
            f"Your guess starts {len(SEEDS)} runs a side."
        )

    def _enable(self) -> None:
        running = self.state == "running"
        for widget in (*self.guess_buttons.values(), self.just_run, self.variant_choice, self.setting_choice):
            widget.disabled = running
        self.stop_button.disabled = not running

    def press(self, guess: str | None = None) -> None:
        """Start training, with a guess or without; does nothing while this panel is training."""
        with self._pressed:
            if self.state == "running":
                return
            sides = self._sides()
            if not _training.acquire(blocking=False):
                self.status.value = "Another panel is training. Stop it, or wait until it is done."
                return
            self.state, self.guess, self._study = "running", guess, None
            self._stop.clear()
            self._ended.clear()
            self._enable()
            self.status.value = "Training…"
            threading.Thread(target=self._run, args=sides, daemon=True).start()

    def stop(self) -> None:
        """End training after the current update; what was recorded stays on the screen."""
        self._stop.set()

    def _run(self, baseline, variant, setting) -> None:
        record = Watched()
        record.panel = self
        self._began, self._last_frame = time.perf_counter(), 0.0
        ended = "failed"
        try:
            self._study = self._compare(baseline, variant, setting, self._stop, record)
            ended = "stopped" if self._study.stopped else "done"
            self.frame(record, last=True)
            self.status.value = self._result(self._study)
        except Exception as error:  # a thread's exception would be seen by nobody
            self.status.value = (
                f"<b>Training failed: {escape(str(error))}</b><details><summary>Details</summary>"
                f"<pre>{escape(traceback.format_exc())}</pre></details>"
            )
        finally:
            self.state = ended
            _training.release()
            self._enable()
            self._ended.set()

    @staticmethod
    def _compare(baseline, variant, setting, stop=None, record=None) -> Study:
        return compare(baseline, variant, SETTINGS[setting](), SEEDS, allow=("lr",), stop=stop, record=record)

    def frame(self, record: Runs, last: bool = False) -> None:
        """Draw the record, at most five times a second. Called by the thread that trains."""
        now = time.perf_counter()
        if not last and now - self._last_frame < FRAME:
            return
        self._last_frame = now
        names = [str(getattr(record.recipes[i], self.field)) for i in (0, -1)]
        self.picture.value = draw(record, names, self.tip.plan["smallest"])
        if record.reached and not last:
            left = (now - self._began) * (record.updates / record.reached - 1)
            self.status.value = f"Training: {record.reached} of {record.updates} updates, about {left:.0f} s left."

    def _result(self, study: Study) -> str:
        words = f'<span style="font-size:1.4em">{study.sentence}</span>'
        if self.guess and study.verdict not in ("UNCLEAR", "NOT TRAINED"):
            right = self.guess == outcome(study)
            words += f" You guessed: {GUESSES[self.guess]}. " + ("<b>Right.</b>" if right else "<b>Not this time.</b>")
        elif self.guess:
            words += f" You guessed: {GUESSES[self.guess]}; not scored."
        (sides,) = study.runs.values()
        rates = " and ".join(f"{side.recipes[0].lr:g}" for side in sides)
        return (
            f"{words}<br><small>{study.n} runs a side, seeds 0 to {study.n - 1}; learning rates {rates}, each tuned "
            f"for its side; {sides[0].reached} updates in {sides[0].seconds:.1f} s on {sides[0].device}. "
            "An error above the naive one counts as the naive one.</small>"
        )

    def study(self) -> Study:
        """What you ran; if nothing was run, the comparison as it stands, now. An interrupt stops the training.

        Raises:
            Busy: Another panel is training.
        """
        try:
            self._ended.wait()
        except KeyboardInterrupt:
            self.stop()
            self._ended.wait()
        if self._study is None:
            if not _training.acquire(blocking=False):
                raise Busy("Another panel is training. Stop it, or wait until it is done.")
            try:
                self._study = self._compare(*self._sides())
            finally:
                _training.release()
        return self._study


def outcome(study: Study) -> str:
    """Which guess a decided study makes right."""
    if abs(study.typical) < study.smallest or study.verdict == "SAME":
        return "same"
    return "lower" if study.typical < 0 else "higher"
