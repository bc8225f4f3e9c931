"""Results that start folded: what a reader sees of them before a guess, and after “Run All Cells”."""

import re

import nbformat
import pytest

pytest.importorskip("playwright")

from reader import CURRENT
from serving import ROOT

pytestmark = [pytest.mark.browser, pytest.mark.parametrize("reader", ["python3"], indirect=True)]

BOOKS = [pytest.param(path, id=path.stem, marks=[pytest.mark.slow] * (path.stem != "01_scaling"))
         for path in sorted((ROOT / "notebooks").glob("*.ipynb"))]  # fmt: skip
TRACKER = "@jupyterlab/notebook-extension:tracker"
SIZES = (1280, 800), (768, 1024)
THEMES = {"light": "JupyterLab Light", "dark": "JupyterLab Dark"}
ANSWER = re.compile(r"in \d+ of \d+ runs|About the same:|Undecided:|Neither side learned|[+−]\d+ %")
SIDEWAYS = f"""() => {{
    const page = {CURRENT}.content.node.querySelector('.jp-WindowedPanel-outer');
    return page.scrollWidth - page.clientWidth;
}}"""
# Of each cell: its kind, its source, what is seen of its outputs, and whether an error is among them.
CELLS = f"""() => {CURRENT}.content.widgets.map(cell => [
    cell.model.type, cell.model.sharedModel.getSource(),
    cell.node.querySelector('.jp-Cell-outputWrapper')?.innerText ?? '',
    cell.model.outputs?.toJSON().some(output => output.output_type === 'error') ?? false])"""


@pytest.fixture(autouse=True)
def whole_pages(server):
    """Every cell is on the page, not only those near the screen."""
    server.set(TRACKER, windowingMode="none")
    yield
    server.set(TRACKER)


def looks(reader):
    """Show the page in every size and theme."""
    for theme, title in THEMES.items():
        reader.page.evaluate(f"window.jupyterapp.commands.execute('apputils:change-theme', {{theme: '{title}'}})")
        for width, height in SIZES:
            reader.page.set_viewport_size({"width": width, "height": height})
            reader.page.wait_for_timeout(500)  # until it has laid itself out
            yield f"{theme}-{width}"


@pytest.mark.parametrize("path", BOOKS)
def test_what_starts_folded_shows_dots_alone_and_nothing_is_wider_than_the_page(path, reader, screenshot):
    cells = nbformat.read(path, as_version=4).cells
    folded = sum(bool(cell.metadata.get("jupyter", {}).get("outputs_hidden")) for cell in cells)
    reader.open(path.stem)
    outputs, inputs = (reader.page.locator(f".jp-{part}Placeholder") for part in ("Output", "Input"))
    for look in looks(reader):
        outputs.nth(1).scroll_into_view_if_needed()
        screenshot(reader.page, f"{path.stem}-opened-{look}")
        assert outputs.count() == folded > 0
        assert [text for text in outputs.all_inner_texts() if text.strip()] == []
        assert [text for text in inputs.all_inner_texts() if not text.startswith("# A check:")] == []
        assert reader.page.evaluate(SIDEWAYS) <= 0
    assert not ANSWER.search(" ".join(seen for _, _, seen, _ in reader.page.evaluate(CELLS)))


@pytest.mark.slow
def test_run_all_leaves_panels_asking_and_gives_no_answer_under_them(reader, name, screenshot):
    book = nbformat.read(ROOT / "notebooks" / "04_momentum.ipynb", as_version=4)
    book.cells = book.cells[: next(i for i, cell in enumerate(book.cells) if cell.source.startswith("## Why"))]
    nbformat.write(book, reader.server.folder / f"{name}.ipynb")
    reader.open(name)
    assert len(reader.run_all()) == 1
    cells = reader.page.evaluate(CELLS)
    assert not any(failed for *_, failed in cells)
    assert not any(ANSWER.search(seen) for _, _, seen, _ in cells)
    studies = [seen for _, source, seen, _ in cells if "panel.study()" in source]
    assert len(studies) == 1 and all("Press a guess in the panel above first" in seen for seen in studies)
    for look in looks(reader):
        reader.page.get_by_text("Press a guess in the panel above first").first.scroll_into_view_if_needed()
        screenshot(reader.page, f"run-all-{look}")
