"""A series of the reader's own: from its file in the browser to a verdict, and `rt.look` in a cell."""

import numpy as np
import pytest

pytest.importorskip("playwright")

from measure import turn
from playwright.sync_api import expect
from reader import SHORT

pytestmark = [pytest.mark.browser, pytest.mark.parametrize("reader", ["python3"], indirect=True)]


def csv(steps: int = 600, gap: range = range(300, 320)) -> str:
    """Hours of two columns; some rows are missing."""
    rng, start = np.random.default_rng(0), np.datetime64("2024-01-01T00:00")
    rows = [f"{start + np.timedelta64(i, 'h')},{200 + 30 * np.sin(i / 4) + rng.normal(0, 5):.2f},{rng.normal(5):.2f}"
            for i in range(steps) if i not in gap]  # fmt: skip
    return "\n".join(["time,load,wind", *rows])


def test_a_file_with_a_gap_and_two_columns_comes_to_a_verdict(reader, name, screenshot):
    panel = reader.panel(name, SHORT)
    panel.part("more").click()
    with reader.page.expect_file_chooser() as chooser:
        panel.place.get_by_role("button", name="Your CSV").click()
    chooser.value.set_files({"name": "hours.csv", "mimeType": "text/csv", "buffer": csv().encode()})
    panel.wait_until_it_says("20 steps without a row, in 1 gap: 2024-01-13 12:00 to 2024-01-14 07:00")
    screenshot(reader.page, "own-refused")
    assert not (reader.server.folder / "hours.csv").exists()
    panel.part("fill").click()
    panel.wait_until_it_says("Choose the one to forecast")
    expect(panel.part("higher")).to_be_disabled()
    screenshot(reader.page, "own-column")
    panel.part("column").locator("select").select_option("load")
    panel.wait_until_it_says("hours.csv, column load is chosen.")
    expect(panel.part("question").get_by_text("hours.csv, column load")).to_be_visible()
    expect(panel.part("plan").get_by_text("20 steps filled by straight lines.")).to_be_visible()
    screenshot(reader.page, "own-asked")
    panel.run("higher")
    assert "You guessed" in panel.part("status").inner_text()
    screenshot(reader.page, "own-done")
    code = panel.place.locator(".rnntips-code").inner_text()
    assert code == "rt.panels.Panel('scaling', setting='hours.csv', column='load', gaps='fill')"
    assert reader.ask(f"print(({code}).asked == panel.asked)") == "True"


def test_a_look_is_text_and_a_picture(reader, name, screenshot):
    (reader.server.folder / "looked.csv").write_text(csv())
    reader.write(name, "import rnntips as rt\nrt.look('looked.csv', 'load')")
    reader.open(name)
    reader.do("notebook:run-all-cells")
    reader.wait_for_kernel()
    picture = reader.page.locator(".jp-OutputArea img").first
    expect(picture).to_be_visible()
    assert picture.evaluate("image => image.naturalWidth") > 500
    expect(reader.page.get_by_text("To begin with:")).to_be_visible()
    screenshot(reader.page, "look")
    turn(reader, "Dark")
    screenshot(reader.page, "look-dark")
