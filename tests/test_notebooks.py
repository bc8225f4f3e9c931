"""The notebooks: their form, their results, and that their checks can fail."""

import json
import re
import time

import books
import nbformat
import numpy as np
import pytest
import torch

import rnntips as rt

BOOKS = books.books()
PANELS = [path for path in BOOKS if "Panel(" in path.read_text(encoding="utf-8")]
CORE = {"cells": 35, "words": 900, "lines": 120}
SIZES = {"core": CORE, "own": CORE, "short": {"cells": 20, "words": 450, "lines": 120}}
TAGS = {"exercise"}
NOTHING_LEARNS = (
    "columns = rt.update._columns\n"
    "rt.update._columns = lambda record: (columns(record) * [0, 1, 1, 1]).astype('float32')\n"  # the rate first
    "rates = rt.update.Rates.__call__\n"  # and where it has a course
    "rt.update.Rates.__call__ = lambda self, update: 0 * rates(self, update)"
)
SABOTAGE = {
    "00_start_here": {
        "nothing learns": NOTHING_LEARNS,
        "the seed is ignored": "from numpy import random\nmake = random.default_rng\n"
        "random.default_rng = lambda key=None: make([0, *key[1:]] if isinstance(key, list) else key)",
    },
    "01_scaling": {
        "nothing learns": NOTHING_LEARNS,
        "the field compared is ignored": "rt.windows.SCALINGS.update(dict.fromkeys(rt.windows.SCALINGS, "
        "rt.windows.SCALINGS['standard']))",
    },
    "02_batch_size": {
        "nothing learns": NOTHING_LEARNS,
        "the field compared is ignored": "real = rt.tuning.train_groups\n"
        "rt.tuning.train_groups = lambda groups, *how: real("
        "[([side.but(batch_size=10) for side in sides], seeds) for sides, seeds in groups], *how)",
    },
    "03_learning_rate": {
        "nothing learns": NOTHING_LEARNS,
        "the field compared is ignored": "rt.update.planned = lambda schedule: lambda done, updates: 1",
    },
    "04_momentum": {
        "nothing learns": NOTHING_LEARNS,
        "the field compared is ignored": "columns = rt.update._columns\n"
        "rt.update._columns = lambda record: (columns(record) * [1, 0, 1, 1]).astype('float32')",
    },
    "05_shuffling": {
        "nothing learns": NOTHING_LEARNS,
        "the field compared is ignored": "batches = rt.feed.batches\n"
        "rt.feed.batches = lambda order, *rest: batches('shuffled', *rest)",
    },
    "06_deep_recurrence": {
        "nothing learns": NOTHING_LEARNS,
        # networks of one layer pass for what was asked
        "the field compared is ignored": "groups = rt.tuning.train_groups\n"
        "def flat(work, *how):\n"
        "    found = groups([([r.but(layers=1, width=16) for r in some], seeds) for some, seeds in work], *how)\n"
        "    for runs, (recipes, _) in zip(found, work):\n"
        "        runs.recipes = tuple(recipes)\n"
        "    return found\n"
        "rt.tuning.train_groups = flat",
    },
    "07_sliding_windows": {
        "nothing learns": NOTHING_LEARNS,
        "the field compared is ignored": "cut = rt.tasks.forecasts.cut\n"
        "rt.tasks.forecasts.cut = lambda values, past, *some, **more: cut(values, 52, *some, **more)",
    },
    "08_truncated_bptt": {
        # its learning rates are scheduled, so they are not those of the columns
        "nothing learns": "rt.update.Rates.__call__ = lambda rates, update: (0 * rates.lr).astype('float32')",
        "the field compared is ignored": "make = rt.lanes.Lanes.__init__\n"
        "def begin(self, record, examples):\n    make(self, record, examples)\n    self.carry = False\n"
        "rt.lanes.Lanes.__init__ = begin",
    },
    "09_gradient_clipping": {
        "nothing learns": NOTHING_LEARNS,
        "the field compared is ignored": "columns = rt.update._columns\n"
        "rt.update._columns = lambda record: (columns(record) + [0, 0, 0, float('inf')]).astype('float32')",
    },
}
CASES = [(path, name) for path in BOOKS for name in SABOTAGE.get(path.stem, {})]


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
    assert max(cell.source.count("\n") + 1 for cell in code(book)) <= 12


def test_cells_hide_nothing_and_ignore_nothing(book):
    for cell in code(book):
        tags = set(cell.metadata.get("tags", []))
        assert tags <= TAGS
        assert "NBVAL" not in cell.source and "%run" not in cell.source and "import *" not in cell.source
        assert "exercise" in tags or not re.search(r"^(def|class) ", cell.source, re.M)
        assert not cell.source.rstrip().endswith(";")


def test_nothing_above_the_question_shows_a_result_and_results_below_start_folded(book):
    """The question is the panel, or on the first page the cell that takes an answer."""
    cells = code(book)
    first = next(i for i, cell in enumerate(cells) if "Panel(" in cell.source or "commit(" in cell.source)
    for cell in cells[:first]:
        assert not any(word in cell.source for word in ("compare(", "study", "record", "seed", "assert"))
    for cell in cells[first:]:
        if any(word in cell.source for word in ("Panel(", "study", "compare(", "tip.", "figures.")):
            assert cell.metadata.get("jupyter", {}).get("outputs_hidden"), cell.source


def test_the_first_check_stands_in_the_first_third(book):
    first = next(i for i, cell in enumerate(book.cells) if cell.cell_type == "code" and "\nassert " in cell.source)
    assert first < len(book.cells) / 3


def test_every_figure_and_every_printed_check_was_stored(book):
    for cell in code(book):
        kinds = {kind for output in cell.outputs for kind in output.get("data", {})}
        if cell.source.endswith((".figure", "study", "both(study)")):
            assert "image/png" in kinds, cell.source
        if "print(" in cell.source:
            assert any(output.get("text", "").strip() for output in cell.outputs)


def test_no_claim_codes_on_the_readers_page(book):
    shown = json.dumps([[cell.source, cell.get("outputs", [])] for cell in book.cells])
    shown = re.sub(r'"image/png": "[^"]*"', "", shown)
    assert not re.search(r"\bC\d{1,2}\b", shown)


def test_front_matter_names_difficulty_minutes_and_prerequisites_that_exist(book):
    front = book.metadata["rnntips"]
    assert front["difficulty"] in (1, 2, 3) and front["form"] in SIZES
    assert set(front["prerequisites"]) <= {path.stem for path in BOOKS}
    assert f"about {front['minutes']} minutes" in book.cells[0].source


def test_every_lesson_but_those_of_their_own_form_has_a_panel():
    without = [path for path in BOOKS if path not in PANELS]
    assert all(nbformat.read(path, as_version=4).metadata["rnntips"]["form"] == "own" for path in without)


def test_the_first_page_asks_before_anything_gives_its_answer_away():
    """Until the reader has committed, no word says that the two networks have anything in common."""
    cells = nbformat.read(books.FOLDER / "00_start_here.ipynb", as_version=4).cells
    asked = next(i for i, cell in enumerate(cells) if "commit(" in cell.source)
    above = " ".join(cell.source for cell in cells[1:asked]).lower()
    assert "cannot tell" in above and not re.search(r"\b(seeds?|same|equal|recipes?|chance)\b", above)
    assert not cells[asked - 2].metadata.get("jupyter")  # the two curves are to be seen


@pytest.mark.parametrize("path", PANELS, ids=lambda path: path.stem)
def test_each_panel_takes_a_guess_shows_itself_twice_while_it_trains_and_stops(path):
    cells = code(nbformat.read(path, as_version=4))
    for source in [cell.source for cell in cells if "Panel(" in cell.source]:
        names = {"rt": rt}
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


def test_every_notebook_has_its_sabotages(path):
    """That nothing learns, and one more: that what it compares makes no difference to the engine."""
    assert "nothing learns" in SABOTAGE[path.stem] and len(SABOTAGE[path.stem]) >= 2


@pytest.mark.parametrize(("path", "name"), CASES, ids=[f"{path.stem}: {name}" for path, name in CASES])
def test_sabotage_is_seen_by_the_first_check(path, tmp_path, name):
    """The unharmed notebook passes by the same command (`test_nbval_passes`)."""
    cells = code(nbformat.read(path, as_version=4))
    first = next(i for i, cell in enumerate(cells) if "\nassert " in cell.source)
    copied = books.sabotaged(path, SABOTAGE[path.stem][name], tmp_path)
    result = books.check([copied], "-x")
    assert result.returncode == 1, result.stdout
    assert re.search(rf"::Cell {first}\b", result.stdout), result.stdout
    assert re.search(r"AssertionError|differ|mismatch", result.stdout), result.stdout
