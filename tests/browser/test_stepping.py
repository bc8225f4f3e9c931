"""The cell that is stepped through by hand, by keyboard and in both themes; its numbers against numpy's."""

import re

import numpy as np
import pytest

pytest.importorskip("playwright")

from measure import in_both_themes
from playwright.sync_api import expect
from reader import LONG

import rnntips as rt

pytestmark = pytest.mark.browser

BOOK = "00a_an_rnn_in_ten_minutes"


def expected(T=24):
    """Step after step: input, state before, new state, forecast, as the page's first code cell chooses them."""
    x = next(rt.tasks.forecast(rt.series.demand()).batches(rt.Recipe(past=T), seed=0))[0][0].numpy().astype(float)
    rng = np.random.default_rng(9)
    W, U, b, v = (rng.normal(0, 0.6, size) for size in ((4, 1), (4, 4), 4, 4))
    h, rows = np.zeros(4), []
    for number in x:
        before, h = h, np.array([np.tanh(sum(W[i] * number) + sum(U[i] * h) + b[i]) for i in range(4)])
        rows.append([*number, *before, *h, sum(v * h)])
    return rows


def shown(picture):
    """The numbers under the bars, from left to right, and those that are read out."""
    texts = picture.locator("text").all_text_contents()
    bars = [float(text.replace("−", "-")) for text in texts if re.fullmatch(r"−?\d+\.\d\d", text)]
    said = picture.get_attribute("aria-label").replace("−", "-")
    return bars, [float(number) for number in re.findall(r"-?\d+\.\d\d", said)]


@pytest.mark.parametrize("reader", ["python3"], indirect=True)
def test_arrow_keys_step_through_the_cell_and_touch_no_cell_of_the_notebook(reader, screenshot):
    before, panel, picture = reader.first_widget(BOOK)
    expect(picture).to_be_visible(timeout=LONG)
    handle = panel.locator(".noUi-handle")
    handle.focus()
    for step, keys in ((1, ""), (2, "ArrowRight"), (3, "ArrowRight"), (2, "ArrowLeft"), (24, "End"), (1, "Home")):
        if keys:
            reader.page.keyboard.press(keys)
        expect(picture).to_have_attribute("aria-label", re.compile(f"^Step {step} of 24: "), timeout=LONG)
        for numbers in shown(picture):
            np.testing.assert_allclose(numbers, expected()[step - 1], atol=0.0051)
    for key in ("a", "d", "d", "ArrowDown"):
        reader.page.keyboard.press(key)
    assert reader.cells() == before
    for _ in range(5):
        reader.page.keyboard.press("ArrowRight")
    expect(picture).to_have_attribute("aria-label", re.compile("^Step 6 of 24: "), timeout=LONG)
    in_both_themes(reader, screenshot, panel, "cell-steps")
