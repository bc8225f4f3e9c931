"""A panel's widgets and their arrangement; what a press does is `Panel`'s."""

from collections.abc import Sequence
from importlib import resources

import ipywidgets as widgets

from rnntips.notebook.labbook import GUESSES
from rnntips.notebook.panels.texts import TUNED, Asked

__all__ = ["SEATS", "View"]

SEATS = 99
# A stylesheet is the one part of an HTML widget that runs something when it has arrived. Keys pressed inside a panel
# then no longer insert, cut or move the notebook's cells (Ctrl-S still saves), and announcements are read out.
SET_UP = (
    "for (const kind of ['focusin', 'keydown', 'keyup']) this.closest('.rnntips-panel').addEventListener(kind, event =>"
    " event.target.toggleAttribute('data-lm-suppress-shortcuts',"
    " event.shiftKey || event.altKey || !(event.ctrlKey || event.metaKey)))"
)
READ_OUT = "<style onload=\"this.closest('.rnntips-said').setAttribute('role', 'status')\"></style>"
WRAP = {"flex_flow": "row wrap"}


class View(widgets.VBox):
    """Every control of a panel.

    Args:
        field: The field under test.
        choices: The variant's values of it.
        settings: Names of data to train on.
        rates: Learning rates to choose from.
        usual: What the rates are called that no reader chose.
        devices: Those to choose from; with only one there is nothing to choose.
        fails: Whether there is a case where the advice fails.
        asked: What the controls stand at first.
    """

    def __init__(self, field: str, choices: Sequence, settings: Sequence[str], rates: Sequence[float], usual: str,
                 devices: Sequence[str], fails: bool, asked: Asked):  # fmt: skip
        def button(label, name, action, style=""):
            made = widgets.Button(description=label, button_style=style, layout={"width": "auto"})
            made.on_click(lambda _: action())
            made.add_class(f"rnntips-{name}")
            return made

        def toggle(label, name, tooltip):
            made = widgets.ToggleButton(description=label, tooltip=tooltip, layout={"width": "auto"})
            made.add_class(f"rnntips-{name}")
            return made

        def dropdown(label, name, options, value):
            made = widgets.Dropdown(options=options, value=value, description=label,
                                    style={"description_width": "initial"})  # fmt: skip
            made.add_class(f"rnntips-{name}")
            return made

        def text(name, value=""):
            made = widgets.HTML(value)
            made.add_class(f"rnntips-{name}")
            return made

        self.guess_buttons = {name: button(label, name, lambda name=name: self.press(name), "primary")
                              for name, label in GUESSES.items()}  # fmt: skip
        self.just_run = button("just run", "run", self.press)
        self.stop_button = button("Stop", "stop", self.stop, "warning")
        self.again_button = button("10 more seeds", "again", self.more_seeds)
        self.fails_button = button("Where it fails", "fails", self.where_it_fails)
        self.fails_button.layout.display = None if fails else "none"
        self.reset_button = button("Reset", "reset", self.reset)
        self.more = toggle("More", "more", "Own data, learning rate, seat, device, note, code")
        self.big = toggle("Big", "big", "Readable from the back of a room")
        self.variant_choice = dropdown(field, "variant", choices, asked.value)
        self.setting_choice = dropdown("data", "setting", settings, settings[0])
        rates = [
            (usual, TUNED),
            *((f"{rate:g}", rate) for rate in sorted({*rates, asked.lr} - {TUNED})),
        ]
        self.lr_choice = dropdown("learning rate", "lr", rates, asked.lr)
        self.device_choice = dropdown("device", "device", ["auto", *devices], "auto")
        self.device_choice.layout.display = None if len(devices) > 1 else "none"
        self.seat_choice = widgets.BoundedIntText(asked.seat, min=0, max=SEATS, description="seat")
        self.seat_choice.add_class("rnntips-seat")
        self.upload = widgets.FileUpload(accept=".csv", description="Your CSV", layout={"width": "auto"})
        self.column_choice = dropdown("column", "column", [None], None)
        self.controls = {"setting": self.setting_choice, "value": self.variant_choice, "column": self.column_choice,
                         "lr": self.lr_choice, "seat": self.seat_choice, "device": self.device_choice}  # fmt: skip
        self.note = widgets.Text(
            description="note", placeholder="Enter keeps it in your lab book", continuous_update=False
        )
        self.note.add_class("rnntips-note")
        self.question, self.picture, self.status = text("question"), text("picture"), text("status")
        self.code, self.said = text("line"), text("said", READ_OUT)
        sheet = resources.files(__package__).joinpath("style.css").read_text(encoding="utf-8")
        style = widgets.HTML(f'<style onload="{SET_UP}">{sheet}</style>', layout={"display": "block", "height": "0"})
        self.extras = widgets.VBox([
            widgets.HBox([self.upload, self.column_choice, self.seat_choice], layout=WRAP),
            widgets.HBox([self.lr_choice, self.device_choice, self.note], layout=WRAP),
            self.code,
        ], layout={"display": "none"})  # fmt: skip
        self.extras.add_class("rnntips-extras")
        super().__init__([
            style, self.question, widgets.HBox([self.variant_choice, self.setting_choice], layout=WRAP),
            widgets.HBox([*self.guess_buttons.values(), self.just_run], layout=WRAP), self.picture, self.status,
            widgets.HBox([self.stop_button, self.again_button, self.fails_button, self.reset_button, self.more,
                          self.big], layout=WRAP),
            self.extras, self.said,
        ])  # fmt: skip
        self.add_class("rnntips-panel")
        self.ask(asked)
        self.more.observe(lambda change: self._show_extras(change["new"]), "value")
        self.big.observe(lambda change: self._enlarge(change["new"]), "value")

    def _show_extras(self, shown: bool) -> None:
        self.extras.layout.display = None if shown else "none"

    def _enlarge(self, big: bool) -> None:
        (self.add_class if big else self.remove_class)("rnntips-enlarged")

    @property
    def asked(self) -> Asked:
        """What the controls stand at."""
        return Asked(**{name: control.value for name, control in self.controls.items()})

    def ask(self, asked: Asked, columns: Sequence[str] = ()) -> None:
        """Set the controls; `columns` of a CSV file are offered if there are several."""
        if asked.setting not in self.setting_choice.options:
            self.setting_choice.options = (*self.setting_choice.options, asked.setting)
        self.column_choice.options = tuple(columns) or (asked.column,)
        self.column_choice.layout.display = None if columns else "none"
        for name, control in self.controls.items():
            control.value = getattr(asked, name)

    def enable(self, running: bool, can_add: bool) -> None:
        """While training runs, only Stop and what changes no run can be pressed."""
        for widget in (*self.guess_buttons.values(), self.just_run, self.fails_button, self.reset_button, self.upload,
                       *self.controls.values()):  # fmt: skip
            widget.disabled = running
        self.stop_button.disabled = not running
        self.again_button.disabled = running or not can_add
