"""The sliders over what a cell is fed, moved by keyboard, in both themes."""

import re

import pytest

pytest.importorskip("playwright")

from measure import in_both_themes
from playwright.sync_api import expect
from reader import LONG

pytestmark = pytest.mark.browser

BOOK = "01_scaling"


@pytest.mark.parametrize("reader", ["python3"], indirect=True)
def test_arrow_keys_move_the_sliders_and_no_cell_of_the_notebook(reader, screenshot):
    reader.open(BOOK)
    before = reader.cells()
    (cell,) = [i for i, (kind, source) in enumerate(before) if kind == "code" and "fed_cell(" in source]
    first = next(i for i, (kind, _) in enumerate(before) if kind == "code")
    reader.run_cell(first)
    reader.run_cell(cell)
    panel = reader.page.locator(".rnntips-panel", has_text="scaler").last
    picture = panel.get_by_role("img")
    expect(picture).to_have_attribute("aria-label", re.compile("fed −1.9 to 1.3"), timeout=LONG)
    offset, spread, outlier, scaler = panel.locator(".noUi-handle").all()
    steps = ((offset, "End", "fed 98 to 101"), (spread, "Home", "fed 100 to 100"), (scaler, "ArrowRight", "fed −0.0"),
             (scaler, "ArrowRight", None), (scaler, "ArrowRight", "fed −1.9 to 1.3"),
             (outlier, "End", "fed −1."))  # fmt: skip
    for handle, key, said in steps:
        handle.focus()
        reader.page.keyboard.press(key)
        if said:
            expect(picture).to_have_attribute("aria-label", re.compile(said), timeout=LONG)
    assert reader.cells() == before
    in_both_themes(reader, screenshot, panel, "sliders")
