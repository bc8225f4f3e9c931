"""The panel as a reader meets it: JupyterLab in a real browser, on ipykernel 7 and 6."""

import pytest

pytest.importorskip("playwright")

from playwright.sync_api import expect
from reader import ENDLESS, LONG

pytestmark = pytest.mark.browser

RUNNING = "Training: "
# They insert, cut, delete, merge, move and retype cells, or let them be edited, when a cell is selected.
SHORTCUTS = ("a", "b", "d", "d", "x", "v", "m", "y", "ArrowUp", "ArrowDown", "Shift+M", "Control+Shift+ArrowDown")
SHOWN = "window.jupyterapp.shell.currentWidget.content.widgets"


def test_a_run_to_the_end_says_what_happened(reader, name, screenshot):
    panel = reader.panel(name)
    major = reader.ask("import ipykernel; print(ipykernel.__version__)").split(".")[0]
    assert major == {"python3": "7", "ipykernel6": "6"}[reader.kernel]
    panel.run("same")
    said = panel.part("status").inner_text()
    assert "Higher error in 10 of 10 runs" in said and "You guessed: about the same" in said
    assert "300 of 300 updates" in panel.label()
    heard = panel.seen()["heard"]
    assert heard[0] == "Training has begun." and heard[-1] in said
    assert panel.part("said").get_attribute("role") == "status"
    screenshot(reader.page, "panel-finished")
    screenshot(panel.place, "panel")  # the README's picture
    assert panel.place.bounding_box()["height"] <= 560, "the panel should fit on one screen"


def test_stop_leaves_the_last_picture(reader, name, screenshot):
    panel = reader.panel(name, ENDLESS)
    panel.part("higher").click()
    panel.wait_for_pictures()
    screenshot(reader.page, "panel-running")
    panel.stop()
    assert panel.picture.locator("path").count() > 10
    expect(panel.part("stop")).to_be_disabled()
    expect(panel.part("run")).to_be_enabled()
    screenshot(reader.page, "panel-stopped")


def test_reloading_the_page_in_mid_run_brings_the_picture_back_and_it_goes_on(reader, name):
    panel = reader.panel(name, ENDLESS)
    panel.part("higher").click()
    panel.wait_for_pictures()
    reader.do("docmanager:save")
    reader.page.reload()
    reader.page.locator(".rnntips-picture").get_by_role("img").wait_for(timeout=LONG)
    (panel,) = reader.shown()
    panel.wait_for_progress()
    panel.wait_for_pictures(1)
    panel.stop()


def test_the_keyboard_alone_guesses_and_stops(reader, name):
    panel = reader.panel(name, ENDLESS)
    reader.select_cell(0)
    panel.reach("higher")
    reader.page.keyboard.press("Space")
    panel.wait_until_it_says(RUNNING)
    panel.reach("stop")
    reader.page.keyboard.press("Enter")
    panel.wait_until_it_says("Stopped at update")
    assert "Stopped at update" in panel.seen()["heard"][-1]
    panel.reach("reset")


def test_keys_pressed_in_the_panel_change_no_cell(reader, name):
    panel = reader.panel(name, "1", ENDLESS, "2")
    before = reader.cells()
    reader.select_cell(0)
    for part in ("lower", "run"):
        panel.reach(part)
        for key in SHORTCUTS:
            reader.page.keyboard.press(key)
            assert reader.cells() == before, f"{key} on {part}"
    reader.page.keyboard.press("Control+s")
    reader.page.wait_for_function("!window.jupyterapp.shell.currentWidget.model.dirty", timeout=LONG)


@pytest.mark.parametrize("reader", ["python3"], indirect=True)
def test_the_stored_lesson_opens_with_its_results_folded_and_shows_them_when_run(reader, screenshot):
    reader.open("01_scaling")
    folded = f"() => {SHOWN}.map(cell => cell.model.type === 'code' && cell.outputHidden)"
    assert sum(reader.page.evaluate(folded)) >= 6
    screenshot(reader.page, "lesson-opened")
    reader.do("notebook:run-all-cells")
    reader.page.locator(".rnntips-same").first.wait_for(timeout=LONG)
    reader.wait_for_kernel()
    assert sum(reader.page.evaluate(folded)) == 0
