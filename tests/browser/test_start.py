"""The first page in JupyterLab: a visitor's first minute by keyboard, what starts folded, and where the map leads."""

import re

import pytest

pytest.importorskip("playwright")

from reader import CURRENT, LONG

pytestmark = [pytest.mark.browser, pytest.mark.parametrize("reader", ["python3"], indirect=True)]

FOLDED = f"() => {CURRENT}.content.widgets.filter(cell => cell.model.type === 'code').map(cell => cell.outputHidden)"
SCROLLED = f"() => {CURRENT}.content.node.querySelector('.jp-WindowedPanel-outer').scrollTop"
WIDTH, HEIGHT = 1280, 800


def on_the_screen(part) -> bool:
    box = part.bounding_box()
    return box["y"] >= 0 and box["y"] + box["height"] <= HEIGHT


@pytest.mark.parametrize("key", ["a", "B", "c"])
def test_two_keys_after_the_page_has_opened_twenty_networks_have_trained_and_a_verdict_stands(reader, key, screenshot):
    """Shift+Enter runs the first cell, and one more key answers; nothing else is touched, and nothing scrolls."""
    page = reader.page
    page.set_viewport_size({"width": WIDTH, "height": HEIGHT})
    reader.open("00_start_here")
    cells = reader.cells()
    screenshot(page, f"start-opened-{key}")
    page.keyboard.press("Shift+Enter")
    panel = page.locator(".rnntips-first")
    for name in ("a", "b", "c"):
        panel.locator(f".rnntips-answer-{name}:enabled").wait_for(timeout=LONG)
    screenshot(page, f"start-asked-{key}")
    screenshot(panel, "first")  # the README's picture, its foot cut off
    assert all(map(on_the_screen, panel.locator("button").all())) and on_the_screen(panel.get_by_role("img"))
    page.keyboard.press(key)
    verdict = panel.locator(".rnntips-verdict")
    verdict.wait_for(timeout=LONG)
    screenshot(page, f"start-answered-{key}")
    said = {"a": "You said: A. Not this time", "b": "You said: B. Not this time", "c": "You said: cannot tell. Right."}
    assert said[key.lower()] in verdict.inner_text() and "of 100 pairs" in verdict.inner_text()
    assert "300 of 300 updates done, 10 of each" in panel.get_by_role("img").get_attribute("aria-label")
    assert on_the_screen(verdict) and page.evaluate(SCROLLED) == 0
    assert reader.cells() == cells, "a key changed the notebook"
    kept = "import json; print([json.loads(line)['guess'] for line in open('lab-book.jsonl')][-1])"
    assert reader.ask(kept) == {"a": "A", "b": "B", "c": "cannot tell"}[key.lower()]


FAILED = f"() => {CURRENT}.content.widgets.filter(cell => cell.model.outputs?.toJSON()" \
         ".some(output => output.output_type === 'error')).length"  # fmt: skip


@pytest.mark.parametrize("book", ["00_start_here", pytest.param("02_batch_size", marks=pytest.mark.slow)])
def test_run_all_fails_nowhere_moves_nothing_and_shows_no_number_on_the_screen(reader, book, screenshot):
    page = reader.page
    page.set_viewport_size({"width": WIDTH, "height": HEIGHT})
    reader.open(book)
    reader.do("notebook:run-all-cells")
    reader.wait_for_kernel()
    page.wait_for_timeout(1000)  # what moves late
    screenshot(page, f"{book}-run-all")
    assert page.evaluate(SCROLLED) == 0 and page.evaluate(FAILED) == 0
    seen = [output.inner_text() for output in page.locator(".jp-Cell-outputWrapper").all() if output.is_visible()
            and output.bounding_box()["y"] < HEIGHT]  # fmt: skip
    assert seen and not any(re.search(r"\d of naive", text) for text in seen)
    assert not page.locator(".rnntips-verdict").count()


def test_who_only_presses_shift_enter_is_not_held_up_by_the_question(reader):
    page = reader.page
    reader.open("00_start_here")
    for place in (1, 2, 3):
        page.keyboard.press("Shift+Enter")
        page.wait_for_function(f"{CURRENT}.content.activeCellIndex === {place}", timeout=LONG)
    panel = page.locator(".rnntips-first")
    panel.locator(".rnntips-answer-c:enabled").wait_for(timeout=LONG)
    assert not panel.locator(".rnntips-verdict").count()


def test_the_first_page_shows_its_two_curves_folds_what_follows_and_links_to_a_lesson(reader, screenshot):
    reader.open("00_start_here")
    before = reader.page.evaluate(FOLDED)
    assert before[:3] == [False, True, True] and sum(before) >= 6
    reader.do("notebook:run-all-cells")
    reader.wait_for_kernel()
    assert sum(reader.page.evaluate(FOLDED)) == 0
    link = reader.page.get_by_role("link", name="Scaling", exact=True).first
    link.scroll_into_view_if_needed()
    screenshot(reader.page, "start-map")
    link.click()
    reader.page.wait_for_function(f"{CURRENT}.title.label === '01_scaling.ipynb'", timeout=LONG)
