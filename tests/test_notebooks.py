"""The notebooks: their form, their results, and that their checks can fail."""

import json
import re
import subprocess
import sys
import time
from itertools import pairwise
from urllib.parse import unquote

import books
import nbformat
import numpy as np
import pytest
import torch

import rnntips as rt
from rnntips import study, training
from rnntips.jobs import execute
from rnntips.notebook.panels.first import ANSWER_FIRST

BOOKS = books.books()
PLAIN = (
    books.FOLDER / "00a_an_rnn_in_ten_minutes.ipynb"
)  # it explains: it asks for no guess, and trains in plain PyTorch
BUGS = books.FOLDER / "21_bugs_in_the_loop.ipynb"  # its guess is on paper, and its loops are plain PyTorch as well
ASKING = [path for path in BOOKS if path not in (PLAIN, BUGS)]
PANELS = [path for path in BOOKS if "Panel(" in path.read_text(encoding="utf-8")]
CORE = {"cells": 35, "words": 900, "lines": 120}
SIZES = {"core": CORE, "own": CORE, "short": {"cells": 20, "words": 550, "lines": 120}}
TAGS = {"exercise", "check", "loop"}
LONGEST = {"loop": 20, "exercise": 18}  # lines of a cell, by its tag
PRESS = "# Press your guess; then run this cell."
VERDICT = re.compile(r'"(BETTER|WORSE|SAME|UNCLEAR)"')


@pytest.fixture(params=BOOKS, ids=lambda path: path.stem)
def path(request):
    return request.param


@pytest.fixture
def book(path):
    return nbformat.read(path, as_version=4)


def code(book):
    return [cell for cell in book.cells if cell.cell_type == "code"]


def words(book):
    return " ".join(cell.source for cell in book.cells if cell.cell_type == "markdown").split()


def test_a_stored_notebook_is_in_the_normal_form(path, book):
    assert nbformat.writes(books.normal(book)) + "\n" == path.read_text(encoding="utf-8")
    assert path.stat().st_size < 500_000


def test_whatever_starts_folded_is_stored_under_a_line_that_says_nothing(book):
    for cell in code(book):
        folded = cell.metadata.get("jupyter", {}).get("outputs_hidden", False)
        covers = [output == books.COVER for output in cell.outputs]
        assert covers == [folded, *[False] * (len(covers) - 1)][: len(covers)], cell.source


def test_every_cell_was_executed_without_errors_or_warnings(book):
    for cell in code(book):
        assert cell.execution_count is not None
        for output in cell.outputs:
            assert output.output_type != "error"
            assert output.get("name") != "stderr"


def test_a_lesson_keeps_its_size(book):
    size = SIZES[book.metadata["rnntips"]["form"]]
    assert len(book.cells) <= size["cells"]
    assert len(words(book)) <= size["words"]
    assert sum(cell.source.count("\n") + 1 for cell in code(book)) <= size["lines"]
    for cell in code(book):
        tags = cell.metadata.get("tags", [])
        assert cell.source.count("\n") < max([12, *(LONGEST.get(tag, 0) for tag in tags)]), cell.source


def test_cells_hide_nothing_and_ignore_nothing(book):
    for cell in code(book):
        tags = set(cell.metadata.get("tags", []))
        assert tags <= TAGS
        assert "NBVAL" not in cell.source and "%run" not in cell.source and "import *" not in cell.source
        assert tags & {"exercise", "loop"} or not re.search(r"^(def|class) ", cell.source, re.M)
        assert not cell.source.rstrip().endswith(";")
        assert "check" not in tags or cell.metadata["jupyter"]["source_hidden"]


@pytest.mark.parametrize("path", ASKING, ids=lambda path: path.stem)
def test_nothing_above_the_question_shows_a_result_and_results_below_start_folded(book):
    """The question is the panel, or on the first page the two curves."""
    cells = code(book)
    first = next(i for i, cell in enumerate(cells) if "Panel(" in cell.source or ".ask()" in cell.source)
    for cell in cells[:first]:
        assert not any(word in cell.source for word in ("compare(", "study", "record", "seed", "assert"))
    for cell in cells[first:]:
        if any(word in cell.source for word in ("Panel(", "study", "compare(", "tip.", "figures.")):
            assert cell.metadata.get("jupyter", {}).get("outputs_hidden"), cell.source


@pytest.mark.parametrize("path", PANELS, ids=lambda path: path.stem)
def test_what_a_panels_run_must_say_is_folded_away_and_prints_nothing(path):
    """From the first panel to the section that explains: there the reader is still to guess."""
    cells = nbformat.read(path, as_version=4).cells
    panel = next(i for i, cell in enumerate(cells) if "Panel(" in cell.source)
    why = next(i for i, cell in enumerate(cells) if cell.source.startswith("## Why"))
    checks = [cell for cell in cells[panel:why] if cell.cell_type == "code" and VERDICT.search(cell.source)]
    assert checks
    for cell in checks:
        assert cell.metadata.get("jupyter", {}).get("source_hidden") and "print(" not in cell.source
        assert cell.source.startswith("# A check: open it after your guess\n")  # of its source JupyterLab shows this


@pytest.mark.parametrize("path", PANELS, ids=lambda path: path.stem)
def test_a_stored_panel_asks_and_shows_its_result_in_a_fold_alone(path):
    """Not all that show a notebook fold outputs (GitHub does not)."""
    for cell in code(nbformat.read(path, as_version=4)):
        if "Panel(" in cell.source:
            (panel,) = books.uncovered(cell)
            assert panel.data.keys() == {"text/plain", "text/html"}
            asks, fold, result = panel.data["text/html"].partition("<details>")
            assert "What happens to the error?" in asks and asks.count("<li>") == 2 and "<img" not in asks
            assert fold and result.rstrip().endswith("</details>") and "<img" in result


@pytest.mark.parametrize("path", PANELS, ids=lambda path: path.stem)
def test_under_a_panel_that_nobody_pressed_stands_how_to_get_its_answer(path):
    cells = code(nbformat.read(path, as_version=4))
    for cell, below in pairwise(cells):
        if "Panel(" in cell.source:
            assert below.source == f"{PRESS}\nstudy = panel.study()\nstudy"
            (asked,) = books.uncovered(below)
            assert all(words.startswith("Press a guess in the panel above first") for words in asked.data.values())


@pytest.mark.parametrize("path", PANELS, ids=lambda path: path.stem)
def test_a_reader_may_begin_at_the_first_panel(path, tmp_path):
    """No panel needs another cell, and no cell below needs one above the first panel."""
    book = nbformat.read(path, as_version=4)
    panels = [i for i, cell in enumerate(book.cells) if "Panel(" in cell.source]
    for i in panels:
        names: dict = {}
        exec(book.cells[i].source, names)
        assert isinstance(names["panel"], rt.panels.Panel)
    book.cells = book.cells[panels[0] :]
    nbformat.write(book, tmp_path / path.name)
    ruff = [sys.executable, "-m", "ruff", "check", "--isolated", "--no-cache", "--select", "F821", str(tmp_path)]
    found = subprocess.run(ruff, capture_output=True, text=True)
    assert found.returncode == 0, found.stdout + found.stderr


def test_every_link_leads_to_a_file_of_the_checkout(book):
    shown = [cell.source for cell in book.cells if cell.cell_type == "markdown"]
    given = [output.get("data", {}) for cell in code(book) for output in cell.outputs]
    shown += [data.get("text/markdown", "") for data in given]
    links = [link for data in given for link in re.findall('href="(?!data:)([^"]*)"', data.get("text/html", ""))]
    for link in [*re.findall(r"\]\(([^)\s]+)\)", "\n".join(shown)), *links]:
        if link.startswith("#"):  # a heading of this page
            assert f"## {link[1:].replace('-', ' ')}\n" in "\n".join(shown) + "\n", link
            continue
        file = (books.FOLDER / unquote(link.partition("#")[0])).resolve()
        assert not link.startswith("/") and file.is_file() and file.is_relative_to(books.ROOT), link


def test_the_first_check_stands_in_the_first_third(book):
    first = next(i for i, cell in enumerate(book.cells) if cell.cell_type == "code" and "\nassert " in cell.source)
    assert first < len(book.cells) / 3


def test_every_figure_and_every_printed_check_was_stored(book):
    for cell in code(book):
        kinds = {kind for output in cell.outputs for kind in output.get("data", {})}
        if cell.source.endswith((".figure", "both(study)")):
            assert "image/png" in kinds, cell.source
        if "print(" in cell.source:
            assert any(output.get("text", "").strip() for output in cell.outputs)


def test_no_claim_codes_on_the_readers_page(book):
    shown = json.dumps([[cell.source, cell.get("outputs", [])] for cell in book.cells])
    shown = re.sub(r'"image/png": "[^"]*"|base64,[\w+/=]*', "", shown)
    assert not re.search(r"\bC\d{1,2}\b", shown)


def test_front_matter_names_difficulty_minutes_and_prerequisites_that_exist(book):
    front = book.metadata["rnntips"]
    assert front["difficulty"] in (1, 2, 3) and front["form"] in SIZES
    assert set(front["prerequisites"]) <= {path.stem for path in BOOKS}
    title = next(cell for cell in book.cells if cell.cell_type == "markdown")
    assert f"about {front['minutes']} minutes" in title.source


def test_every_lesson_but_those_of_their_own_form_has_a_panel():
    without = [path for path in BOOKS if path not in PANELS]
    assert all(nbformat.read(path, as_version=4).metadata["rnntips"]["form"] == "own" for path in without)


def test_the_first_page_begins_with_a_question_whose_answer_counts():
    """Its first cell says how a cell is run; until the answer no word says what the networks have in common."""
    cells = nbformat.read(books.FOLDER / "00_start_here.ipynb", as_version=4).cells
    first, title, below = cells[:3]
    assert first.source.startswith("# To run a cell, click into it and press Shift+Enter.")
    assert not first.metadata.get("jupyter")  # the two curves are to be seen
    (shown,) = first.outputs
    assert shown.data.keys() == {"text/plain", "image/png"}
    names: dict = {}
    exec(first.source, names)
    asked = " ".join(
        [
            first.source,
            title.source,
            names["question"].question.value,
            *(each.description for each in names["question"].buttons.values()),
        ]
    )
    assert not re.search(r"\b(seeds?|same|equal|recipes?|chance|identical)\b", asked.lower())
    (unanswered,) = books.uncovered(below)
    assert set(unanswered.data.values()) == {ANSWER_FIRST}


NUMBERS = re.compile(r"in \d+ of \d+ runs|About the same:|Undecided:|Neither side learned|Medians: |\d of naive")


def test_run_all_gives_no_answer_away_beside_a_question(book):
    """What is stored is what “Run All Cells” leaves: no error, and no number at, above or directly below a panel."""
    cells = code(book)
    asked = [i for i, cell in enumerate(cells) if "Panel(" in cell.source or ".ask()" in cell.source]
    first = asked[0] if asked else 0
    near = [*cells[:first], *(cells[i + below] for i in asked for below in (0, 1))]
    for cell in near:
        for output in books.uncovered(cell):
            assert output.output_type != "error"
            shown = [output.get("text", ""), *output.get("data", {}).get("text/markdown", "").splitlines()]
            shown.append(output.get("data", {}).get("text/html", "").partition("<details>")[0])
            assert not NUMBERS.search(" ".join(shown)), cell.source


def test_nothing_on_a_page_moves_it(book):
    """No cell scrolls, takes the focus or opens another page; stored HTML has no script but a panel's own style."""
    for cell in code(book):
        assert not re.search(r"scrollIntoView|\.focus\(|Javascript\(|display\.HTML|IFrame", cell.source)
        for output in cell.outputs:
            html = output.get("data", {}).get("text/html", "")
            assert (
                "<script" not in html
                and "autofocus" not in html
                and "application/javascript" not in output.get("data", {})
            )


@pytest.mark.parametrize("path", PANELS, ids=lambda path: path.stem)
def test_each_panel_takes_a_guess_shows_itself_twice_while_it_trains_and_stops(path):
    cells = code(nbformat.read(path, as_version=4))
    for source in [cell.source for cell in cells if "Panel(" in cell.source]:
        names: dict = {}
        exec(source.rpartition("\n")[0], names)
        panel = names["panel"]
        largest = max(side.batch_size for side in panel._sides(panel.asked))
        updates = min(20_000, 2_000_000 // largest)  # so that it is stopped, not done; what is read is drawn beforehand
        panel.baseline = panel.baseline.but(updates=updates)
        panel.guess_buttons["same"].click()
        seen = {}
        until = time.monotonic() + 60
        while len({some for _, some in seen.values()}) < 2:
            assert panel.state == "running" and time.monotonic() < until
            time.sleep(0.01)  # or the training thread would wait for this one whenever numpy gives the lock away
            if (picture := panel.picture.value) and picture not in seen:
                sides = panel.records  # one, or two that take turns
                evaluated = sum(int(np.isfinite(side.valid_score).sum()) for side in sides)
                seen[picture] = sum(side.reached for side in sides), evaluated
        panel.stop_button.click()
        study = panel.study()
        (first, some), *_, (later, more) = seen.values()
        assert 0 < first < later < updates * len(panel.records) and some < more
        assert panel.state == "stopped" and study.stopped and panel.picture.value not in seen


def test_nbval_passes(path):
    result = books.check([path])
    assert result.returncode == 0, result.stdout
    assert re.search(rf"{len(code(nbformat.read(path, as_version=4)))} passed", result.stdout)


@pytest.mark.gpu
def test_nbval_passes_on_a_gpu(path):
    """What is printed may round differently; assertions hold."""
    result = books.check([path], device="cuda")
    assert result.returncode == 0, result.stdout


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_the_device_of_a_check_reaches_the_trainings_of_a_notebook():
    result = books.check([books.FOLDER / "04_momentum.ipynb"], "-x", device="cuda")
    assert result.returncode == 1 and "RNNTIPS_DEVICE=cuda: PyTorch sees no GPU here" in result.stdout


def test_nbval_sees_a_check_that_fails(tmp_path):
    copied = books.changed(books.FOLDER / "04_momentum.ipynb", "rt.compare = lambda *_, **__: rt.Recipe()", tmp_path)
    result = books.check([copied], "-x")
    assert result.returncode == 1 and "AttributeError" in result.stdout


def nothing_learns(monkeypatch):
    """Every learning rate is nearly zero."""
    real = training.train_jobs

    def stuck(jobs, *rest):
        return real([job._replace(recipes=[one.but(lr=1e-30) for one in job.recipes]) for job in jobs], *rest)

    for module in (training, execute):
        monkeypatch.setattr(module, "train_jobs", stuck)


def both_sides_are_the_baseline(monkeypatch):
    """What is compared makes no difference."""
    real = study.train_arms
    monkeypatch.setattr(study, "train_arms", lambda arms, *rest: real([arms[0]] * len(arms), *rest))


@pytest.mark.parametrize("path", ASKING, ids=lambda path: path.stem)
@pytest.mark.parametrize("sabotage", [nothing_learns, both_sides_are_the_baseline])
def test_a_sabotaged_engine_is_seen_by_a_check(path, sabotage, monkeypatch):
    """The unharmed notebook passes (`test_nbval_passes`); panels and what follows the failing check are left out."""
    sabotage(monkeypatch)
    names: dict = {"rt": rt}
    with pytest.raises(AssertionError):
        for cell in code(nbformat.read(path, as_version=4)):
            if "panel" not in cell.source and "exercise" not in cell.metadata.get("tags", []):
                exec(cell.source, names)
    assert "check" in names or "study" in names or sabotage is nothing_learns


@pytest.mark.parametrize("harm", ["nothing is learned", "no loop has a fault"])
def test_a_check_sees_when_the_loops_of_the_lesson_on_bugs_do_not_differ(monkeypatch, harm):
    from rnntips.lessons.bugs_in_the_loop import figure

    real = figure.trained
    if harm == "nothing is learned":
        monkeypatch.setattr(torch.optim.Adam, "step", lambda self, closure=None: None)
    else:
        monkeypatch.setattr(figure, "trained", lambda: dict.fromkeys(real(), figure.Loop("loop.py").train()))
    cells = [
        cell for cell in code(nbformat.read(BUGS, as_version=4)) if "exercise" not in cell.metadata.get("tags", [])
    ]
    with pytest.raises(AssertionError):
        names: dict = {}
        for cell in cells:
            exec(cell.source, names)


def test_what_the_lesson_on_bugs_measures_is_folded_until_the_guess():
    cells = code(nbformat.read(BUGS, as_version=4))
    measured = next(i for i, cell in enumerate(cells) if "trained()" in cell.source)
    assert measured == 1 and cells[measured].metadata["jupyter"]["outputs_hidden"]


def test_the_loop_on_the_page_is_the_file_and_a_check_sees_when_it_learns_nothing(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)  # where its checkpoint is written
    cells, names = code(nbformat.read(PLAIN, as_version=4)), {}
    loop = [cell.source for cell in cells if "loop" in cell.metadata.get("tags", [])]
    file = (books.FOLDER / "loop.py").read_text(encoding="utf-8")
    assert re.sub(r"\n+", "\n", "\n".join(loop)) == re.sub(r"\n+", "\n", file).rstrip()
    with pytest.raises(AssertionError, match="the network learned too little"):
        for cell in cells:
            exec(cell.source.replace("lr=LEARNING_RATE", "lr=1e-30"), names)
