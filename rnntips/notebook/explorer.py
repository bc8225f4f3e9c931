"""Sliders over a picture that is drawn anew at every step of one; nothing is trained while they move."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import ipywidgets as widgets

from rnntips.errors import BadArgument
from rnntips.notebook.drawing import Label, Line, mimebundle, svg
from rnntips.notebook.panels.view import styled

__all__ = ["Explorer"]

WIDTH = 760


class Explorer(widgets.VBox):
    """Sliders over a picture.

    `sliders` holds them by name, `said` is what a screen reader reads out.

    Args:
        draw: The sliders' values, in order → (what is seen, in a sentence; the picture, 760 × `height`).
        choices: Slider's name → its values, or (label, value) pairs.
        start: Slider's name → the value that is shown first; else it is the first one.
        height: Of the picture.

    Raises:
        BadArgument: A slider without values, or a start that is none of them.
    """

    def __init__(
        self, draw: Callable[..., tuple[str, Sequence[Line | Label]]], choices: Mapping[str, Sequence[Any]],
        start: Mapping[str, Any] | None = None, height: int = 330,
    ):  # fmt: skip
        if empty := [name for name, values in choices.items() if not len(values)]:
            raise BadArgument(f"The slider {empty[0]!r} has no values. Give it some, or leave it out.")
        self._draw, self._height = draw, height
        wide = {"layout": {"width": "460px"}, "style": {"description_width": "130px"}}
        self.sliders = {name: widgets.SelectionSlider(options=values, description=name, **wide)
                        for name, values in choices.items()}  # fmt: skip
        for name, value in (start or {}).items():
            if value not in dict(_pairs(choices.get(name, ()))).values():
                raise BadArgument(f"start={{{name!r}: {value!r}}}: no slider of that name has that value.")
            self.sliders[name].value = value
        self.picture = widgets.HTML()
        for slider in self.sliders.values():
            slider.observe(lambda _: self._redraw(), "value")
        self._redraw()
        super().__init__([styled(), *self.sliders.values(), self.picture])
        self.add_class("rnntips-panel")

    def _redraw(self) -> None:
        self.said, self._parts = self._draw(*(slider.value for slider in self.sliders.values()))
        self.picture.value = svg(self._parts, self.said, WIDTH, self._height)

    def _repr_mimebundle_(self, **_) -> dict[str, str]:
        """The widget, and its picture for where there is no kernel."""
        return super()._repr_mimebundle_() | mimebundle(self._parts, self.said, WIDTH, self._height)


def _pairs(values: Sequence[Any]) -> list[tuple[str, Any]]:
    """Values with their labels, as a slider takes them."""
    return [value if isinstance(value, tuple) else (str(value), value) for value in values]
