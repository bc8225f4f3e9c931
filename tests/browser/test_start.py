"""The first page in JupyterLab: what is seen before anything is run, and where its map leads."""

import pytest

pytest.importorskip("playwright")

from reader import CURRENT, LONG

pytestmark = pytest.mark.browser

FOLDED = f"() => {CURRENT}.content.widgets.filter(cell => cell.model.type === 'code').map(cell => cell.outputHidden)"


@pytest.mark.parametrize("reader", ["python3"], indirect=True)
def test_the_first_page_shows_its_two_curves_folds_what_follows_and_links_to_a_lesson(reader, screenshot):
    reader.open("00_start_here")
    before = reader.page.evaluate(FOLDED)
    assert before[:3] == [False, False, True] and sum(before) >= 6
    screenshot(reader.page, "start-opened")
    reader.do("notebook:run-all-cells")
    reader.wait_for_kernel()
    assert sum(reader.page.evaluate(FOLDED)) == 0
    link = reader.page.get_by_role("link", name="Scaling", exact=True).first
    link.scroll_into_view_if_needed()
    screenshot(reader.page, "start-map")
    link.click()
    reader.page.wait_for_function(f"{CURRENT}.title.label === '01_scaling.ipynb'", timeout=LONG)
