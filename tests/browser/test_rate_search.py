"""The search of a learning rate, worked by keyboard in a browser, in both themes."""

import re

import pytest

pytest.importorskip("playwright")

from measure import in_both_themes
from playwright.sync_api import expect
from reader import LONG

pytestmark = pytest.mark.browser

BOOK = "03_learning_rate"


@pytest.mark.parametrize("reader", ["python3"], indirect=True)
def test_learning_rates_are_tried_by_keyboard_and_stored_runs_come_after_three(reader, screenshot):
    before, panel, picture = reader.first_widget(BOOK)
    expect(picture).to_have_attribute("aria-label", re.compile("^Nothing tried with Adam yet"), timeout=LONG)
    handle, button = panel.locator(".noUi-handle"), panel.get_by_role("button", name="Train five networks")
    show = panel.get_by_role("button", name="Show stored runs")
    for tries in (1, 2, 3):
        expect(show).to_be_disabled()
        handle.focus()
        for _ in range(5):
            reader.page.keyboard.press("ArrowRight")
        button.focus()
        reader.page.keyboard.press("Enter")
        said = re.compile(f"^{tries} tr(y|ies) with Adam. Lowest median error: [0-9.]+ of naive, at 0.0")
        expect(picture).to_have_attribute("aria-label", said, timeout=LONG)
    expect(show).to_be_enabled()
    assert picture.locator("path.baseline").count() == 18  # five dots and a bar for each
    show.focus()
    reader.page.keyboard.press("Enter")
    expect(picture.locator("path.baseline")).to_have_count(19, timeout=LONG)
    for key in ("a", "d", "d"):
        reader.page.keyboard.press(key)
    assert reader.cells() == before
    in_both_themes(reader, screenshot, panel, "rate-search")
