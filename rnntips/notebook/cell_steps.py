"""A tanh cell that is stepped through by hand: what goes in, the state before and after, and the forecast."""

import ipywidgets as widgets
import numpy as np

from rnntips.errors import BadArgument
from rnntips.notebook.drawing import Label, Line, mimebundle, signed, svg
from rnntips.notebook.panels.view import styled

__all__ = ["CellSteps"]

WIDTH, HEIGHT = 760, 330
ZERO, REACH, BAR = 125, 72, 16  # where bars begin, how long the longest is, and how wide
COLUMNS = 60, 215, 530, 700  # their middles: input, state before, new state, forecast
ARROWS = (305, 435), (620, 665)
ROOM = 176  # for the bars of a state
STRIP, HIGH = 285, 20  # where the window is drawn, and half its height


class CellSteps(widgets.VBox):
    """One window through h = tanh(W x + U h + b), step by step; after every step the forecast is v · h.

    `states` (T + 1, H) begins with zeros; `forecasts` (T,) are those after each step.

    Args:
        inputs: (T, C).
        W, U, b: (H, C), (H, H), (H,).
        v: (H,).

    Raises:
        BadArgument: Shapes that do not fit together.
    """

    def __init__(self, inputs: np.ndarray, W: np.ndarray, U: np.ndarray, b: np.ndarray, v: np.ndarray):
        self.inputs, W, U, b, v = (np.asarray(each, float) for each in (inputs, W, U, b, v))
        H, (T, C) = len(b), self.inputs.shape if self.inputs.ndim == 2 else (0, 0)
        if not T or (W.shape, U.shape, b.shape, v.shape) != ((H, C), (H, H), (H,), (H,)):
            came = ", ".join(str(each.shape) for each in (self.inputs, W, U, b, v))
            raise BadArgument(f"Shapes {came} came, and (T, C), (H, C), (H, H), (H,), (H,) are needed.")
        states = [np.zeros(H)]
        for x in self.inputs:
            states.append(np.tanh(W @ x + U @ states[-1] + b))
        self.states = np.stack(states)
        self.forecasts = self.states[1:] @ v
        self._sums = np.stack([self.inputs @ W[0], self.states[:-1] @ U[0], np.full(T, b[0])], 1)  # of the first unit
        self._largest = max(1.0, np.abs(self.inputs).max(), np.abs(self.forecasts).max())
        self.step = widgets.IntSlider(1, 1, T, description="step", layout={"width": "380px"})
        self.picture = widgets.HTML()
        self.step.observe(lambda _: self._draw(), "value")
        self._draw()
        super().__init__([styled(), self.step, self.picture])
        self.add_class("rnntips-panel")

    def _draw(self) -> None:
        t = self.step.value
        names = ("input", self.inputs[t - 1]), ("state before", self.states[t - 1]), ("new state", self.states[t])
        shown = [f"{name} {' '.join(map(signed, values))}" for name, values in names]
        self.said = f"Step {t} of {len(self.inputs)}: {', '.join(shown)}, forecast {signed(self.forecasts[t - 1])}."
        self.picture.value = svg(self._parts(t), self.said, WIDTH, HEIGHT)

    def _parts(self, t: int) -> list[Line | Label]:
        """The picture of a step."""
        titles = "input xₜ", "state before, hₜ₋₁", "new state, hₜ", "forecast"
        values = self.inputs[t - 1], self.states[t - 1], self.states[t], self.forecasts[t - 1 : t]
        kinds = "baseline", "variant", "variant", "baseline"
        apart, found = ROOM / len(self.states[0]), []
        for middle, title, numbers, kind in zip(COLUMNS, titles, values, kinds, strict=True):
            found.append(Label(middle, 20, title, "ink"))
            for i, number in enumerate(numbers):
                x = middle + apart * (i - (len(numbers) - 1) / 2)
                found.append(Line("axis", [(x - BAR, ZERO), (x + BAR, ZERO)]))
                found.append(Line(kind, [(x, ZERO), (x, ZERO - REACH * number / self._largest)], BAR))
                found.append(Label(x, ZERO + REACH + 20, signed(number), "ink"))
        for begin, end in ARROWS:
            found.append(Line("axis", [(begin, ZERO), (end, ZERO), (end - 7, ZERO - 5)]))
            found.append(Line("axis", [(end, ZERO), (end - 7, ZERO + 5)]))
        found.append(Label(sum(ARROWS[0]) / 2, ZERO - 12, "tanh(Wxₜ + Uhₜ₋₁ + b)"))
        found.append(Label(sum(ARROWS[1]) / 2, ZERO - 12, "v · hₜ"))
        sources = "from the input", "from the state before", "from b"
        terms = (f"{signed(term)} {source}" for term, source in zip(self._sums[t - 1], sources, strict=True))
        inside = " + ".join(terms).replace("+ −", "− ")
        words = f"first number of the new state: tanh({inside}) = {signed(self.states[t, 0])}"
        found.append(Label(WIDTH / 2, ZERO + REACH + 50, words))
        xs = np.linspace(COLUMNS[0], COLUMNS[-1], len(self.inputs))
        first = self.inputs[:, 0]
        ys = STRIP + HIGH - 2 * HIGH * (first - first.min()) / max(np.ptp(first), 1e-9)
        found.append(Line("axis", list(zip(xs, ys, strict=True))))
        found.append(Line("baseline", [(xs[t - 1], ys[t - 1] - BAR / 2), (xs[t - 1], ys[t - 1] + BAR / 2)], BAR / 2))
        found.append(Label(WIDTH / 2, HEIGHT - 6, f"the window: step {t} of {len(xs)} is read"))
        return found

    def _repr_mimebundle_(self, **_) -> dict[str, str]:
        """The widget, and its picture for where there is no kernel."""
        return super()._repr_mimebundle_() | mimebundle(self._parts(self.step.value), self.said, WIDTH, HEIGHT)
