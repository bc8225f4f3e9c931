"""The form of a lesson's second edition: its sections in order, short, with a rule from the record and a loop that runs
without the package. A lesson is of the second edition if its `lesson.toml` has the table of its rule."""

import re
import subprocess
import sys

import books
import nbformat
import pytest

import rnntips as rt
from rnntips.notebook.lessons import lessons
from rnntips.notebook.tips import RULE

SECOND = [lesson for lesson in lessons() if "rule" in lesson.toml]
SECTIONS = {  # title → words at most; the last two figures of a section's text are those of its table or loop
    "The setting": 60,
    "Guess": 90,
    "What it means": 50,
    "Why": 140,
    "Guess again": 100,
    "The rule": 20,
    "In your own loop": 90,
    "Find the fault": 90,
    "One question": 110,
    "The evidence": 210,
}
SHORT = ("Guess", "Why", "The rule", "In your own loop", "One question", "The evidence")
WORDS = {"core": 900, "short": 550}
RULE_WORDS = 45  # in a cell of the rule's table
# Made-up windows of a memory task in place of a task's tensors; one channel, or three.
TENSORS = """
import sys
sys.modules['rnntips'] = None  # so that importing it fails
import torch
torch.manual_seed(0)
inputs = torch.randn(512, 16, {channels})
targets = inputs[:, -1].mean(1, keepdim=True)
"""
AT_EVERY_STEP = """
targets = (inputs + inputs.roll(1, 1)).mean(2, keepdim=True)
"""  # for a loop that reads `targets.shape[2]`
FALLS = """
last = float(torch.as_tensor(loss).detach())
before = float(targets.square().mean())
assert last < before / 2, (last, before)
"""


@pytest.fixture(params=SECOND, ids=lambda lesson: lesson.name)
def lesson(request):
    return request.param


@pytest.fixture
def book(lesson):
    return nbformat.read(books.FOLDER / f"{lesson.notebook}.ipynb", as_version=4)


def sections(book):
    """Title → the cells of that section, the heading's included."""
    found, title = {}, ""
    for cell in book.cells:
        for heading in re.findall(r"(?m)^## (.+)$", cell.source) if cell.cell_type == "markdown" else ():
            title = heading
        found.setdefault(title, []).append(cell)
    return found


def words(cells):
    return len(" ".join(cell.source for cell in cells if cell.cell_type == "markdown").split())


def test_the_sections_come_in_order_and_are_short(lesson, book):
    found = sections(book)
    kept = [title for title in SECTIONS if lesson.form == "core" or title in SHORT]
    assert [title for title in found if title] == kept
    for title, most in SECTIONS.items():
        assert words(found.get(title, [])) <= most, title
    assert words(book.cells) <= WORDS[lesson.form]


def test_the_first_cell_names_the_symptom_and_leads_to_the_rule(book):
    first = book.cells[0].source
    assert "**Symptom:**" in first and "**In a hurry:** [the rule](#The-rule)" in first
    assert len(first.split()) <= 55


def test_the_rule_is_a_table_whose_numbers_come_from_the_record(lesson):
    tip, rule = rt.tips[lesson.name], lesson.toml["rule"]
    assert set(rule) == set(RULE) and "{" not in str(tip.rule_box)
    filled = [cell.strip() for cell in str(tip.rule_box).splitlines()[2].strip("|").split("|")]
    for cell in filled:
        assert len(cell.split()) <= RULE_WORDS, cell
    assert len(re.findall(r"\{\w+\[", "".join(rule.values()))) >= 2


def test_a_readers_cells_assert_nothing_and_print_no_bare_truth(book):
    for cell in book.cells:
        if cell.cell_type == "code":
            check = "check" in cell.metadata.get("tags", [])
            assert check == ("assert " in cell.source), cell.source
            assert not any(output.get("text", "").strip() in ("True", "False", "None") for output in cell.outputs)


def test_the_evidence_is_folded_and_its_figure_and_table_have_the_same_rows(lesson, book):
    evidence = sections(book)["The evidence"]
    assert evidence[0].metadata["jp-MarkdownHeadingCollapsed"] is True
    source = "\n".join(cell.source for cell in evidence if cell.cell_type == "code")
    assert "tip.table(tip.headlines)" in source and "forest(tip, tip.headlines)" in source
    headlines = rt.tips[lesson.name].headlines
    assert set(headlines) <= set(rt.tips[lesson.name].plans) and len(headlines) <= 6


@pytest.mark.parametrize("channels", [1, 3])
def test_the_loop_trains_without_the_package(book, channels):
    cells = [cell.source for cell in book.cells if "loop" in cell.metadata.get("tags", [])]
    (loop,) = cells
    assert loop.count("\n") < 20 and "rt." not in loop and "# changed" in loop
    more = AT_EVERY_STEP if "targets.shape[2]" in loop else ""
    script = TENSORS.format(channels=channels) + more + loop + FALLS
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert found.returncode == 0, found.stderr


def test_a_record_has_both_sizes_and_its_plan_says_what_was_expected(lesson):
    record = rt.tips[lesson.name].record
    sizes = {found["size"] for claim in record["claims"] for found in claim["settings"].values()}
    assert sizes == {"small", "working"}
    assert "# Expected" in (lesson.folder / "lesson.toml").read_text(encoding="utf-8")
