"""The panel as a reader meets it: JupyterLab in a real browser."""

import os
from pathlib import Path

import nbformat
import pytest

expect = pytest.importorskip("playwright.sync_api").expect
pytestmark = pytest.mark.browser

READY = """() => {
    const panel = window.jupyterapp?.shell?.currentWidget;
    const session = panel?.sessionContext;
    return session?.isReady && session.session?.kernel?.connectionStatus === 'connected'
        && session.session.kernel.status === 'idle' && panel.content.widgets.length > 0;
}"""
COUNT = """() => {
    const place = document.querySelector('.rnntips-picture .widget-html-content');
    window.pictures = new Set();
    new MutationObserver(() => window.pictures.add(place.innerHTML)).observe(place, {childList: true, subtree: true});
}"""
SECONDS = 1000  # Playwright counts milliseconds
LONG = 60 * SECONDS


@pytest.fixture
def page(browser, server):
    """A fresh page whose console errors fail the test."""
    context = browser.new_context(viewport={"width": 1280, "height": 1000})
    page = context.new_page()
    errors = []
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    page.on("dialog", lambda dialog: dialog.accept())
    yield page
    context.close()
    assert errors == []


def opened(page, server, name, sources):
    """A notebook of these cells, open and ready."""
    address, folder = server
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in sources])
    book.metadata["kernelspec"] = {"display_name": "Python 3", "language": "python", "name": "python3"}
    nbformat.write(book, folder / f"{name}.ipynb")
    page.goto(f"{address}/lab/workspaces/{name}/tree/{name}.ipynb?reset")
    page.wait_for_function(READY, timeout=LONG)


def run_all(page):
    page.evaluate("window.jupyterapp.commands.execute('notebook:run-all-cells')")


def screenshot(seen, name):
    """Of a page or an element; kept where RNNTIPS_SCREENSHOTS says, to be looked at."""
    if folder := os.environ.get("RNNTIPS_SCREENSHOTS"):
        seen.screenshot(path=Path(folder) / f"{name}.png")


def test_a_guess_trains_and_stop_leaves_the_last_picture(page, server):
    opened(page, server, "stopped", ["import rnntips as rt\npanel = rt.panels.Panel('scaling')\npanel",
                                     "panel.baseline = panel.baseline.but(updates=20_000)"])  # fmt: skip
    run_all(page)
    page.locator(".rnntips-higher").wait_for(timeout=LONG)
    page.wait_for_function(READY, timeout=LONG)
    page.evaluate(COUNT)
    page.locator(".rnntips-higher").click()
    page.wait_for_function("window.pictures.size >= 3", timeout=LONG)
    screenshot(page, "panel-running")
    page.locator(".rnntips-stop").click()
    page.locator(".rnntips-status", has_text="Stopped at update").wait_for(timeout=LONG)
    last = page.locator(".rnntips-picture svg").inner_html()
    assert "path" in last
    expect(page.locator(".rnntips-stop")).to_be_disabled()
    expect(page.locator(".rnntips-run")).to_be_enabled()
    screenshot(page, "panel-stopped")


def test_a_run_to_the_end_says_what_happened(page, server):
    opened(page, server, "finished", ["import rnntips as rt\npanel = rt.panels.Panel('scaling')\npanel"])
    run_all(page)
    page.locator(".rnntips-same").wait_for(timeout=LONG)
    page.wait_for_function(READY, timeout=LONG)
    page.locator(".rnntips-same").click()
    status = page.locator(".rnntips-status", has_text="You guessed: about the same")
    status.wait_for(timeout=2 * LONG)
    assert "Higher error in 10 of 10 runs" in status.inner_text()
    picture = page.locator(".rnntips-picture svg")
    assert picture.get_attribute("role") == "img"
    assert "300 of 300 updates" in picture.get_attribute("aria-label")
    screenshot(page, "panel-finished")
    panel = page.locator(".rnntips-panel")
    screenshot(panel, "panel")  # the README's picture
    assert panel.bounding_box()["height"] <= 560, "the panel should fit on one screen"


def test_the_stored_lesson_opens_with_its_results_folded_and_shows_them_when_run(page, server):
    address, _ = server
    page.goto(f"{address}/lab/workspaces/lesson/tree/01_scaling.ipynb?reset")
    page.wait_for_function(READY, timeout=LONG)
    cells = "window.jupyterapp.shell.currentWidget.content.widgets"
    folded = f"() => {cells}.map(cell => cell.model.type === 'code' && cell.outputHidden)"
    before = page.evaluate(folded)
    assert sum(before) >= 6
    screenshot(page, "lesson-opened")
    run_all(page)
    page.locator(".rnntips-same").first.wait_for(timeout=LONG)
    page.wait_for_function(READY, timeout=2 * LONG)
    assert sum(page.evaluate(folded)) == 0
