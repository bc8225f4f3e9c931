"""A learning rate is searched by hand: each that is tried trains five networks and adds their errors to a curve."""

from collections.abc import Mapping
from math import log10

import ipywidgets as widgets
import numpy as np

from rnntips.notebook.drawing import Label, Line, mimebundle, svg
from rnntips.notebook.panels.view import styled
from rnntips.recipe import Recipe
from rnntips.tasks import Task
from rnntips.training import train

__all__ = ["RateSearch"]

WIDTH, HEIGHT = 760, 300
LEFT, RIGHT, TOP, BOTTOM = 80, 740, 30, 250  # of the plot
RATES = [float(f"{10 ** (quarter / 4):.1e}") for quarter in range(-24, 5)]  # 0.000001 to 10 in quarter-decades
ERRORS = 0.5, 5.0  # lowest and highest error that is drawn, in naive errors
FEW = 3  # tries before stored runs are shown
OPTIMIZERS = {"Adam": ("adam", "baseline"), "SGD": ("sgd", "variant")}  # name → recipe's name, and colour


def _number(rate: float) -> str:
    return np.format_float_positional(rate, precision=2, fractional=False, trim="-")


class RateSearch(widgets.VBox):
    """Choose an optimizer and a learning rate, train five networks, and see where their errors lie.

    `tries` maps (optimizer, learning rate) to test errors in naive errors, (5,), infinite where a run diverged.

    Args:
        task, recipe: What is trained; its optimizer and learning rate are the reader's choice.
        stored: Optimizer → learning rate → errors in naive errors, (n,), to be shown after three tries.
    """

    def __init__(self, task: Task, recipe: Recipe, stored: Mapping[str, Mapping[float, np.ndarray]]):
        self.task, self.recipe, self.stored = task, recipe, stored
        self.tries: dict[tuple[str, float], np.ndarray] = {}
        style = {"description_width": "100px"}
        self.optimizer = widgets.ToggleButtons(
            options=list(OPTIMIZERS), description="optimizer", style=style | {"button_width": "90px"}
        )
        options = [(_number(rate), rate) for rate in RATES]
        self.rate = widgets.SelectionSlider(options=options, description="learning rate", style=style)
        self.rate.layout.width = "460px"
        self.try_button = widgets.Button(description="Train five networks")
        self.show_button = widgets.Button(description="Show stored runs", disabled=True)
        self.shown: set[str] = set()
        self.picture = widgets.HTML()
        self.try_button.on_click(lambda _: self.train())
        self.show_button.on_click(lambda _: self.show())
        self.optimizer.observe(lambda _: self._draw(), "value")
        self._draw()
        buttons = widgets.HBox([self.try_button, self.show_button])
        super().__init__([styled(), self.optimizer, self.rate, buttons, self.picture])
        self.add_class("rnntips-panel")

    def train(self) -> None:
        """Train five networks at the learning rate that is chosen, and add their errors."""
        name, rate = self.optimizer.value, self.rate.value
        self.try_button.disabled = True
        runs = train(self.recipe.but(optimizer=OPTIMIZERS[name][0], lr=rate), self.task, range(5))
        self.tries[name, rate] = runs.scores.shares
        self.try_button.disabled = False
        self._draw()

    def show(self) -> None:
        """Add the curve of the stored runs with this optimizer."""
        self.shown.add(self.optimizer.value)
        self._draw()

    def _draw(self) -> None:
        name = self.optimizer.value
        mine = {rate: float(np.median(errors)) for (one, rate), errors in self.tries.items() if one == name}
        self.show_button.disabled = len(mine) < FEW or name in self.shown
        if mine:
            best = min(mine, key=mine.get)
            ending = "try" if len(mine) == 1 else "tries"
            lowest = f"{mine[best]:.2f} of naive, at {_number(best)}" if mine[best] < np.inf else "all diverged"
            self.said = f"{len(mine)} {ending} with {name}. Lowest median error: {lowest}."
        else:
            self.said = f"Nothing tried with {name} yet. Stored runs can be shown after {FEW} tries."
        self._parts = self._parts_of()
        self.picture.value = svg(self._parts, self.said, WIDTH, HEIGHT)

    def _parts_of(self) -> list[Line | Label]:
        """Axes, stored curves, and what was tried."""
        found: list[Line | Label] = [Line("axis", [(LEFT, TOP), (LEFT, BOTTOM), (RIGHT, BOTTOM)])]
        found.append(Label(4, 16, "test error, in naive errors", anchor="start"))
        found.append(Label(RIGHT, 16, self.said, "ink", "end"))
        found.append(Label((LEFT + RIGHT) / 2, HEIGHT - 8, "learning rate"))
        for decade in range(-6, 2):
            found.append(Label(_x(10.0**decade), BOTTOM + 18, _number(10.0**decade)))
        for error in (0.5, 1, 2, 5):
            beyond = "≥ " * (error == ERRORS[1])
            found.append(Label(LEFT - 8, _y(error) + 4, f"{beyond}{error:g}", anchor="end"))
        found += [Line("bound", [(LEFT, _y(1)), (RIGHT, _y(1))]), Label(RIGHT, _y(1) - 6, "naive", anchor="end")]
        for name in sorted(self.shown):
            curve = {rate: float(np.median(errors)) for rate, errors in self.stored[name].items()}
            points = [(_x(rate), _y(error)) for rate, error in sorted(curve.items())]
            found.append(Line(OPTIMIZERS[name][1], points, 1.5))
            found.append(Label(*points[-1], name, "ink", "start"))
        for (name, rate), errors in self.tries.items():
            kind, x, middle = OPTIMIZERS[name][1], _x(rate), _y(float(np.median(errors)))
            found += [Line(kind, [(x - 2, y), (x + 2, y)], 4) for y in map(_y, errors)]
            if name == "Adam":
                found.append(Line(kind, [(x - 8, middle), (x + 8, middle)], 4))
            else:  # a cross, so that colour is not all that tells
                found += [Line(kind, [(x - 6, middle - 6 * way), (x + 6, middle + 6 * way)], 3) for way in (1, -1)]
        found.append(Label(LEFT, HEIGHT - 8, "bar: Adam, cross: SGD (median of five)", anchor="start"))
        return found

    def _repr_mimebundle_(self, **_) -> dict[str, str]:
        """The widget, and its picture for where there is no kernel."""
        return super()._repr_mimebundle_() | mimebundle(self._parts, self.said, WIDTH, HEIGHT)


def _x(rate: float) -> float:
    return LEFT + (RIGHT - LEFT) * (log10(rate) - log10(RATES[0])) / log10(RATES[-1] / RATES[0])


def _y(error: float) -> float:
    """Errors beyond the axis lie at its end."""
    low, high = ERRORS
    return BOTTOM - (BOTTOM - TOP) * log10(min(max(error, low), high) / low) / log10(high / low)
