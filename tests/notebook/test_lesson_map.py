"""The map of lessons: it agrees with the notebooks, and shows a reader nobody's answers but their own."""

import re
from pathlib import Path

import nbformat
import pytest

import rnntips as rt
from rnntips.notebook.labbook import LabBook
from rnntips.notebook.labbook.lesson_map import CLASS, by_symptom, by_time, lesson_map, outcome_of
from rnntips.notebook.lessons import class_path, lessons, planned, symptoms

ROOT = Path(__file__).parents[2]
NAMES = (
    "00_start_here 00a_an_rnn_in_ten_minutes 01_scaling 02_batch_size 03_learning_rate 04_momentum 05_shuffling "
    "06_deep_recurrence 07_sliding_windows 08_truncated_bptt 09_gradient_clipping 10_initialization 11_activations "
    "12_optimizers 13_output_and_loss 14_width 15_dropout 16_weight_decay 17_long_sequences 18_pretraining "
    "19_parameter_averaging 20_your_own_series 21_bugs_in_the_loop"
).split()
READY = lessons()
ALL = (*lessons(), *planned())
SCALING = next(lesson for lesson in lessons() if lesson.name == "scaling")
ASKED = {"tip": "scaling", "setting": "demand", "field": "input_scaling", "baseline": "standard", "variant": "none"}


def run(press: str, guess: str | None, right: bool | None, **more):
    """A line of a lab book: one press of a panel."""
    told = {"sentence": "Higher error in 10 of 10 runs: +76 %.", "verdict": "WORSE", "typical": 0.76}
    about = {"kind": "run", "experiment": press, "state": "done", "guess": guess, "right": right}
    return about | told | ASKED | more


def test_the_book_has_these_lessons_in_this_order():
    assert [lesson.notebook for lesson in ALL] == NAMES


def test_a_lesson_is_ready_if_its_notebook_is_there():
    assert [lesson.notebook for lesson in READY] == sorted(file.stem for file in (ROOT / "notebooks").glob("*.ipynb"))


@pytest.mark.parametrize("lesson", READY, ids=lambda lesson: lesson.notebook)
def test_the_file_agrees_with_the_front_matter_of_the_notebook(lesson):
    book = nbformat.read(ROOT / "notebooks" / f"{lesson.notebook}.ipynb", as_version=4)
    front = book.metadata["rnntips"]
    assert (lesson.name, lesson.form, lesson.difficulty) == (front["lesson"], front["form"], front["difficulty"])
    assert (lesson.minutes, list(lesson.prerequisites)) == (front["minutes"], front["prerequisites"])
    title = next(cell for cell in book.cells if cell.cell_type == "markdown")
    assert title.source.startswith(f"# {lesson.title}\n")
    if lesson.name in set(rt.tips):
        assert lesson.question == rt.tips[lesson.name].question


@pytest.mark.parametrize("lesson", READY, ids=lambda lesson: lesson.notebook)
def test_the_readme_lists_every_lesson_that_is_ready(lesson):
    row = f"| [`{lesson.notebook}`](notebooks/{lesson.notebook}.ipynb) | {lesson.question} | {lesson.minutes} |"
    assert row in (ROOT / "README.md").read_text(encoding="utf-8")


def test_prerequisites_stand_earlier_in_the_book_and_on_the_class_s_path():
    for lesson in ALL:
        assert set(lesson.prerequisites) <= set(NAMES[: NAMES.index(lesson.notebook)])
    way = [lesson.notebook for lesson in class_path()]
    for place, lesson in enumerate(class_path()):
        assert set(lesson.prerequisites) <= set(way[:place])


def test_a_class_gets_from_the_first_page_to_truncated_backpropagation_in_ninety_minutes():
    way = [lesson.name for lesson in class_path()]
    assert way == ["start_here", "scaling", "batch_size", "gradient_clipping", "truncated_bptt"]
    assert sum(class_path().values()) <= CLASS
    assert all(minutes <= lesson.minutes for lesson, minutes in class_path().items())


def test_the_page_for_teachers_keeps_to_the_path_and_its_minutes():
    text = (ROOT / "docs" / "teaching.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\d+)–(\d+) \| `(\w+)`", text, re.MULTILINE)
    assert {name: int(end) - int(begin) for begin, end, name in rows} == {
        lesson.notebook: minutes for lesson, minutes in class_path().items()
    }
    begins, ends = [int(row[0]) for row in rows], [int(row[1]) for row in rows]
    assert begins == [0, *ends[:-1]]
    questions = [int(minute) for minute in re.findall(r"^\| (\d+) \| ", text, re.MULTILINE)]
    assert questions == sorted(questions) and set(begins) <= set(questions) and max(questions) < ends[-1]


def test_every_symptom_is_measured_answered_by_a_first_action_and_leads_to_a_lesson():
    """In the words that people use; what makes a loss NaN is checked in an order."""
    says = [each.says for each in symptoms()]
    for words in ("NaN", "jumps", "always answers the same", "repeats the last value", "new data do not",
                  "*Trying to backward through the graph a second time*", "Every epoch gets slower"):  # fmt: skip
        assert any(words in each for each in says), words
    for each in symptoms():
        assert each.measure and each.first and any(lesson.ready for lesson in each.lessons), each.says
        assert "|" not in each.says + each.measure + each.first
    nan = next(each.first for each in symptoms() if each.name == "NaN")
    places = [nan.index(word) for word in ("finite", "scaled", "learning rate", "Log the norm", "Clip")]
    assert places == sorted(places)
    rows = by_symptom().splitlines()[2:]
    assert [re.match(r"\| \*\*(.+?)\*\* \|", row)[1] for row in rows] == says


def test_only_lessons_that_are_there_are_links():
    links = set(re.findall(r"\]\(([^)]+)\)", by_symptom() + by_time([])))
    assert links == {f"{lesson.notebook}.ipynb" for lesson in READY}
    assert all(lesson.title in by_time([]) for lesson in READY)


def test_the_readme_leads_to_the_map_as_a_page():
    assert "docs/symptoms.md" in (ROOT / "README.md").read_text(encoding="utf-8")
    page = (ROOT / "docs" / "symptoms.md").read_text(encoding="utf-8")
    assert by_symptom("../notebooks/") in page


@pytest.mark.parametrize(
    ("entries", "shown"),
    [
        ([], "?"),
        ([run("a", "same", True, tip="momentum")], "?"),
        ([run("a", None, None)], "run, no guess"),
        ([run("a", "same", None)], "not decided"),
        ([run("a", "higher", True)], "1 of 1 right"),
        ([run("a", "same", False), run("b", "higher", True)], "0 of 1 right"),  # the second time the answer is known
        ([run("a", "same", False), run("b", "higher", True, setting="CO2")], "1 of 2 right"),
    ],
)
def test_the_map_shows_what_became_of_a_reader_s_own_guesses(entries, shown):
    assert outcome_of(SCALING, entries) == shown
    row = next(line for line in by_time(entries).splitlines() if line.startswith(f"| {SCALING.link} |"))
    assert row.endswith(f"| {shown} |")


def test_the_map_tells_no_result_and_repeats_nobody_s_text():
    """Lines of a lab book may be anybody's; what the map says of them is chosen here."""
    strange = run("a", "same", False, sentence="<script>", seat="<b>", tip="scaling", setting="<i>")
    text = by_time([run("b", "higher", True), strange, {"kind": "run", "tip": "<img>", "guess": "lower"}])
    assert "<" not in text and "WORSE" not in text and "76" not in text and "Higher error" not in text


def test_the_map_is_shown_as_markdown_with_words_that_never_change_beside_it(monkeypatch, tmp_path):
    import IPython.display

    shown = []
    monkeypatch.setattr(IPython.display, "display", lambda bundle, raw: shown.append(bundle))
    book = LabBook(tmp_path / "book.jsonl")
    assert book.add("run", **{name: value for name, value in run("a", "higher", True).items() if name != "kind"}) == ""
    lesson_map(book)
    lesson_map(LabBook(""))
    assert [bundle["text/plain"] for bundle in shown] == ["<map of lessons>"] * 2
    assert "1 of 1 right" in shown[0]["text/markdown"] and "of 1 right" not in shown[1]["text/markdown"]
