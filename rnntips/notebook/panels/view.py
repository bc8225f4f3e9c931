"""A panel's widgets and their arrangement; what a press does is `Panel`'s."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from importlib import resources

import ipywidgets as widgets
from markupsafe import Markup

from rnntips.cells import CELLS
from rnntips.engine.devices import devices
from rnntips.notebook.labbook import GUESSES
from rnntips.notebook.labbook.book import SEATS
from rnntips.notebook.panels.messages import Asked
from rnntips.notebook.panels.own import File
from rnntips.recipe import called

__all__ = ["READ_OUT", "View", "button", "named", "row", "show", "styled"]

# A stylesheet is the one part of an HTML widget that runs something when it has arrived. Keys pressed inside a panel
# then no longer insert, cut or move the notebook's cells (Ctrl-S still saves), announcements are read out, and the
# verdict gets the focus if the panel had it: a button loses it, to the page's body, when it is disabled.
SET_UP = """
const panel = this.closest('.rnntips-panel');
for (const kind of ['focusin', 'keydown', 'keyup']) panel.addEventListener(kind, event =>
    event.target.toggleAttribute('data-lm-suppress-shortcuts',
        event.shiftKey || event.altKey || !(event.ctrlKey || event.metaKey)));
panel.addEventListener('focusin', () => panel.used = true);
panel.addEventListener('focusout', event => panel.used = panel.contains(event.relatedTarget ?? panel));
panel.addEventListener('rnntips-verdict', () => {
    if (panel.used && [document.body, ...panel.querySelectorAll('*')].includes(document.activeElement))
        panel.querySelector('.rnntips-verdict').focus({preventScroll: true});
});
"""
READ_OUT = Markup("<style onload=\"this.closest('.rnntips-said').setAttribute('role', 'status')\"></style>")
AUTO = {"width": "auto"}


class View(widgets.VBox):
    """Every control of a panel.

    Args:
        choices: The variant's values of the field under test.
        rates: Learning rates, each with a label.
        files: The reader's own, by name.
    """

    def __init__(
        self, field: str, choices: Sequence, settings: Sequence[str], rates: Sequence[tuple], files: dict[str, File],
        asked: Asked,
    ):  # fmt: skip
        self.offered = tuple(GUESSES)
        self.guess_buttons = {
            name: button(name, label, lambda place=place: self.press(self.offered[place]), "primary")
            for place, (name, label) in enumerate(GUESSES.items())
        }
        self.just_run = button("run", "just run", self.press)
        self.stop_button = button("stop", "Stop", self.stop)
        self.again_button = button("again", "10 more seeds", self.more_seeds)
        self.fails_button = button("fails", "Where it fails", self.where_it_fails)
        self.reset_button = button("reset", "Reset", self.reset)
        self.more = _toggle("more", "More", "Own data, learning rate, seat, device, note, code")
        self.big = _toggle("big", "Big", "Readable from the back of a room")
        values = [(called(field, value), value) for value in choices]
        controls = self.controls = {
            "setting": _dropdown("setting", "data", settings, settings[0]),
            "value": _dropdown("variant", field.replace("_", " "), values, asked.value),
            "column": _dropdown("column", "column", [("choose", None)], None),
            "cell": _dropdown("cell", "cell", [("as in this lesson", None), *((cell, cell) for cell in CELLS)], None),
            "lr": _dropdown("lr", "learning rate", rates, asked.lr),
            "seat": named("seat", widgets.BoundedIntText(asked.seat, min=0, max=SEATS, description="seat")),
            "device": _dropdown("device", "device", ["auto", *devices()], "auto"),
        }
        show(controls["device"], len(devices()) > 1)
        self.files = files
        self.upload = widgets.FileUpload(accept=".csv", description="Your CSV", layout=AUTO)
        self.fill_button = button("fill", "Fill with straight lines", self.fill)
        placeholder = "Enter keeps it in your lab book"
        self.note = named("note", widgets.Text(description="note", placeholder=placeholder, continuous_update=False))
        texts = ("question", "plan", "picture", "status", "line")
        self.question, self.plan, self.picture, self.status, self.code = (named(it, widgets.HTML()) for it in texts)
        self.said = named("said", widgets.HTML(READ_OUT))
        data = row(self.upload, self.fill_button, controls["column"], controls["cell"], controls["seat"])
        training = row(controls["lr"], controls["device"], self.note)
        extras = named("extras", widgets.VBox([data, training, self.code], layout={"display": "none"}))
        asks = row(controls["value"], controls["setting"])
        guesses = row(*self.guess_buttons.values(), self.just_run)
        stage = named("stage", widgets.Box([self.plan, self.picture]))
        buttons = row(self.stop_button, self.again_button, self.fails_button, self.reset_button, self.more, self.big)
        super().__init__([styled(), self.question, asks, guesses, stage, self.status, buttons, extras, self.said])
        self.add_class("rnntips-panel")
        controls["setting"].observe(lambda _: self._offer(), "value")
        self.ask(asked)
        self.more.observe(lambda change: show(extras, change["new"]), "value")
        self.big.observe(lambda change: self._mark("enlarged", change["new"]), "value")

    def _mark(self, state: str, on: bool) -> None:
        (self.add_class if on else self.remove_class)(f"rnntips-{state}")

    @property
    def asked(self) -> Asked:
        """What the controls stand at."""
        asked = Asked(**{name: control.value for name, control in self.controls.items()})
        if not asked.own:
            return replace(asked, column=None, cell=None)
        return replace(asked, reading=self.files[asked.setting].reading)

    def ask(self, asked: Asked) -> None:
        """Set the controls; a file of the reader's must be in `files`."""
        settings = self.controls["setting"]
        if asked.setting not in settings.options:
            settings.options = (*settings.options, asked.setting)
        settings.value = asked.setting
        self._offer()
        for name, control in self.controls.items():
            if (value := getattr(asked, name)) is None:  # by its value it would be shown as an empty line
                values = [option[-1] for option in control.options if isinstance(option, tuple)]
                control.index = values.index(None) if None in values else 0
            else:
                control.value = value

    def offer_guesses(self, guesses: Iterable[str]) -> None:
        """Let the three buttons stand for these guesses."""
        self.offered = tuple(guesses)
        for button, name in zip(self.guess_buttons.values(), self.offered, strict=True):
            button.description = GUESSES.get(name, name)

    def _offer(self) -> None:
        """The columns of the file that is chosen; none of several is taken before the reader takes one."""
        file = self.files.get(self.controls["setting"].value)
        columns = file.columns if file else ()
        self.controls["column"].options = [("choose", None), *((title, title) for title in columns)]

    def enable(self, running: bool, ready: bool, can_add: bool, asks: bool) -> None:
        """While training runs, only Stop and what changes no run can be pressed.

        Args:
            ready: Whether what is asked can be trained.
            can_add: Whether seeds can be added to the result that is shown.
            asks: Whether the question has no answer yet; then what would be trained is shown, above an older picture.
        """
        self._mark("asks", asks)
        show(self.controls["column"], len(self.controls["column"].options) > 2)
        show(self.controls["cell"], self.asked.own)
        for widget in (*self.guess_buttons.values(), self.just_run):
            widget.disabled = running or not ready
        for widget in (self.fails_button, self.reset_button, self.upload, self.fill_button, *self.controls.values()):
            widget.disabled = running
        self.stop_button.disabled = not running
        self.again_button.disabled = running or not can_add


def styled() -> widgets.HTML:
    """What gives colours, and keys of their own, to the box of class `rnntips-panel` that holds it."""
    sheet = resources.files(__package__).joinpath("style.css").read_text(encoding="utf-8")
    style = Markup('<style onload="{}">{}</style>').format(SET_UP, Markup(sheet))
    return widgets.HTML(style, layout={"display": "block", "height": "0"})


def named(name: str, widget: widgets.DOMWidget) -> widgets.DOMWidget:
    """The widget, with a class by which the stylesheet and tests in a browser find it."""
    widget.add_class(f"rnntips-{name}")
    return widget


def button(name: str, label: str, action: Callable[[], None], style: str = "") -> widgets.Button:
    made = named(name, widgets.Button(description=label, button_style=style, layout=AUTO))
    made.on_click(lambda _: action())
    return made


def _toggle(name: str, label: str, tooltip: str) -> widgets.ToggleButton:
    return named(name, widgets.ToggleButton(description=label, tooltip=tooltip, layout=AUTO))


def _dropdown(name: str, label: str, options: Sequence, value) -> widgets.Dropdown:
    style = {"description_width": "initial"}
    return named(name, widgets.Dropdown(options=options, value=value, description=label, style=style))


def row(*children: widgets.DOMWidget) -> widgets.HBox:
    return widgets.HBox(children, layout={"flex_flow": "row wrap"})


def show(widget: widgets.DOMWidget, shown: bool) -> None:
    """Show or hide a widget."""
    widget.layout.display = None if shown else "none"
