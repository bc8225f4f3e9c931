"""The lab book: lines that are only ever added, pages that carry nobody's code, and a class pooled by the same rule."""

import copy
import itertools
import json
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from click.testing import CliRunner

import rnntips as rt
from rnntips import verdict as evidence
from rnntips.cli import main
from rnntips.errors import BadArgument, BadData, RnntipsError
from rnntips.lessons.scaling import exercises as scaling
from rnntips.notebook.exercise import Exercise
from rnntips.notebook.labbook import (
    GUESSES,
    LabBook,
    Score,
    classbook,
    outcome,
    own_book,
    page,
    right,
    run_entry,
    score,
)
from rnntips.notebook.labbook import book as module
from rnntips.notebook.labbook.guesses import by_chance

ROOT = Path(rt.__file__).parents[1]
EVIL = '<script>alert("&")</script>\x1b[2J\ud800'
READERS = {"anna": range(10), "ben": range(10, 14), "cleo": range(14, 26)}


def compared(seeds, lr=3e-4):
    baseline = rt.Recipe(updates=80, past=8, width=8, batch_size=8, lr=0.03)
    return rt.compare(baseline, baseline.but(lr=lr), on=rt.series.sines(steps=400), seeds=seeds)


@pytest.fixture(scope="module")
def studies():
    """One study a reader, and the one of all their seeds."""
    return {name: compared(seeds) for name, seeds in READERS.items()} | {"all": compared(range(26))}


@pytest.fixture(scope="module")
def entry(studies):
    return run_entry(studies["anna"], tip="scaling", setting="sines", guess="higher", experiment="a" * 12)


@pytest.fixture
def book(tmp_path):
    return LabBook(tmp_path / "lab-book.jsonl")


@pytest.fixture
def books(studies, tmp_path):
    """A file a reader, in a class where everybody has seeds of their own."""
    for name in READERS:
        said = LabBook(tmp_path / f"{name}.jsonl").add(
            "run", **run_entry(studies[name], tip="scaling", setting="sines", guess="higher")
        )
        assert said == ""
    return [tmp_path / f"{name}.jsonl" for name in READERS]


def child(code, **options):
    return subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, text=True, stdin=subprocess.PIPE,
                            stdout=subprocess.PIPE, **options)  # fmt: skip


def notes(book):
    return [entry["text"] for entry in book.entries() if entry["kind"] == "note"]


# ── the file ────────────────────────────────────────────────────────────────

WRITER = """
import sys
from rnntips.notebook.labbook import LabBook
book = LabBook(sys.argv[1]) if len(sys.argv) > 1 else LabBook({path!r})
print("ready", flush=True); sys.stdin.readline()
for i in range({count}):
    assert book.add("note", text="{name} %d " % i + "x" * (i % 97)) == ""
    print(i, flush=True)
"""


def test_two_processes_lose_no_line(book):
    started = [child(WRITER.format(path=str(book.path), count=400, name=name)) for name in "ab"]
    for process in started:
        assert process.stdout.readline() == "ready\n"
    for process in started:
        process.stdin.write("\n")
        process.stdin.flush()
    for process in started:
        process.communicate()
    found = [text.rsplit(" ", 1)[0] for text in notes(book)]
    assert sorted(found) == sorted(f"{name} {i}" for name in "ab" for i in range(400)) and book.damaged == 0
    assert [text for text in found if text[0] == "a"] == [f"a {i}" for i in range(400)]


def test_a_line_that_another_process_adds_meanwhile_stays(book, monkeypatch):
    """However unlucky the moment: here it is the last one before the write."""
    book.add("note", text="first")
    other, reading = LabBook(book.path), os.read

    def interrupted(*arguments):
        monkeypatch.setattr(os, "read", reading)
        assert other.add("note", text="another's") == ""
        return reading(*arguments)

    monkeypatch.setattr(os, "read", interrupted)
    assert book.add("note", text="mine") == ""
    assert notes(book) == ["first", "another's", "mine"] and book.damaged == 0


def test_a_process_killed_while_it_writes_loses_nothing_that_it_had_written(book):
    process = child(WRITER.format(path=str(book.path), count=10**6, name="a"))
    process.stdin.write("\n")
    process.stdin.flush()
    said = [process.stdout.readline() for _ in range(50)]
    process.kill()
    said += process.communicate()[0].splitlines()
    kept = [int(text.split()[1]) for text in notes(book)]
    assert kept == list(range(len(kept))) and len(kept) >= len(said) - 2 >= 48
    assert book.add("note", text="after") == "" and notes(book)[-1] == "after"


def test_a_line_torn_at_any_byte_costs_only_itself(book):
    for text in ("first", "second – ü", "third 😀 ü"):
        book.add("note", text=text)
    raw = book.path.read_bytes()
    begin = raw[:-1].rindex(b"\n") + 1
    for end in range(begin, len(raw)):
        book.path.write_bytes(raw[:end])
        whole = end == len(raw) - 1  # only its newline is missing
        assert notes(book) == ["first", "second – ü"] + ["third 😀 ü"] * whole
        assert book.damaged == (begin < end and not whole)
        assert book.add("note", text="next") == ""
        assert notes(book) == ["first", "second – ü"] + ["third 😀 ü"] * whole + ["next"]
        assert book.path.read_bytes().startswith(raw[:end])


@pytest.mark.parametrize(
    "line",
    [b"\xff\xfe", b"{", b"[1]", b"3", b"{}", b'{"kind": 3}', b'{"kind": "note", "text": NaN}', b"[" * 100_000,
     b"9" * 5000, b"\0" * 50, b'{"kind": "note", "text": "a"}{"kind": "note", "text": "b"}'],
)  # fmt: skip
def test_a_damaged_line_is_skipped_and_counted_wherever_it_stands(book, line):
    whole = [b'{"kind": "note", "text": "%d"}' % i for i in range(3)]
    for at in range(4):
        book.path.write_bytes(b"\n".join([*whole[:at], line, *whole[at:]]) + b"\n")
        assert notes(book) == ["0", "1", "2"] and book.damaged == 1


def test_an_editor_of_another_system_harms_nothing(book):
    book.path.write_bytes(b'\xef\xbb\xbf{"kind": "note", "text": "a"}\r\n\r\n{"kind": "note", "text": "b"}\r\n')
    assert notes(book) == ["a", "b"] and book.damaged == 0


def test_json_is_strict_and_comes_back(book):
    given = {
        "none": None, "yes": np.True_, "three": np.int64(3), "half": np.float32(0.5), "nan": float("nan"),
        "infinite": [np.inf, -np.inf, 1.5], "array": np.array([[1.0, np.nan], [2.0, 3.0]]), "pair": (1, "ü\n\u2028"),
        "inner": {"nan": np.nan, 3: Path("x")}, "evil": EVIL, "tenth": 0.1,
    }  # fmt: skip
    assert book.add("note", **given) == ""
    (line,) = book.path.read_text(encoding="utf-8").split("\n")[:-1]
    json.loads(line, parse_constant=lambda name: pytest.fail(name))
    (found,) = book.entries()
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", found.pop("time"))
    assert (found.pop("kind"), found.pop("version")) == ("note", rt.__version__)
    assert found == {
        "none": None, "yes": True, "three": 3, "half": 0.5, "nan": None, "infinite": [None, None, 1.5],
        "array": [[1.0, None], [2.0, 3.0]], "pair": [1, "ü\n\u2028"], "inner": {"nan": None, "3": "x"}, "evil": EVIL,
        "tenth": 0.1,
    }  # fmt: skip


def test_building_and_reading_a_book_touch_no_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(module.VARIABLE, raising=False)
    made = LabBook()
    assert made.entries() == [] and made.path.name == "lab-book.jsonl" and not list(tmp_path.iterdir())
    monkeypatch.setenv(module.VARIABLE, str(tmp_path / "mine"))
    assert LabBook().path == tmp_path / "mine" and LabBook(tmp_path / "other").path == tmp_path / "other"
    monkeypatch.setenv(module.VARIABLE, "")
    assert LabBook().path is None and LabBook().add("note", text="x") == "" and not list(tmp_path.iterdir())


def test_where_nothing_can_be_written_a_sentence_says_so(tmp_path):
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file" / "book", tmp_path / "no" / "book", tmp_path, "nul\0"):
        said = LabBook(path).add("note", text="x")
        assert said.startswith("This note was not kept in ") and said.endswith(f"name a file in {module.VARIABLE}.")
        assert LabBook(path).entries() == []


@pytest.mark.parametrize("room", [0, 1, 20])
def test_a_full_disk_costs_one_line(book, room):
    resource = pytest.importorskip("resource")
    book.add("note", text="before")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (book.path.stat().st_size + room, hard))
    try:
        said = book.add("note", text="lost")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "was not kept" in said and notes(book) == ["before"] and book.damaged == (room > 0)
    assert book.add("note", text="after") == "" and notes(book) == ["before", "after"]


def test_a_file_far_too_large_is_no_book(book, monkeypatch):
    monkeypatch.setattr(module, "LARGEST", 1000)
    book.path.write_bytes(b"{}" * 600)
    with pytest.raises(BadData, match="no lab book"):
        module.read(book.path)


# ── whose book, and what is kept ────────────────────────────────────────────


def unscaled(train, test):
    return train, test


def scaled(train, test):
    return (train - train.mean()) / train.std(), (test - train.mean()) / train.std()


@pytest.fixture
def exercise():
    return Exercise("no_peeking", scaling._no_peeking, scaling._parts, ["?"])


def test_only_a_first_pass_and_an_opened_solution_are_kept(exercise, book, monkeypatch):
    monkeypatch.setenv(module.VARIABLE, str(book.path))
    for _ in range(3):
        exercise.check(unscaled)
        assert not book.path.exists()
        exercise.hint()
    exercise.solution()
    exercise.solution()
    exercise.check(scaled)
    exercise.check(scaled)
    exercise.solution()
    kept = [{k: e[k] for k in ("kind", "name", "tries", "passed", "solution_opened")} for e in book.entries()]
    whole = {"kind": "exercise", "name": "scaling.no_peeking", "solution_opened": True}
    assert kept == [whole | {"tries": 3, "passed": False}, whole | {"tries": 4, "passed": True}]
    other = copy.copy(scaling.no_peeking)
    other.check(scaled)
    other.solution()
    assert [e["solution_opened"] for e in book.entries()] == [True, True, False]


def test_exercises_of_a_lesson_have_names_of_their_own():
    assert [scaling.no_peeking.name, scaling.in_its_unit.name] == ["scaling.no_peeking", "scaling.in_its_unit"]


def test_outside_a_kernel_nothing_is_written(exercise, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(module.VARIABLE, raising=False)
    exercise.check(scaled)
    rt.labbook.note("x")
    assert not list(tmp_path.iterdir()) and "Not noted" in capsys.readouterr().out
    import IPython

    monkeypatch.setitem(sys.modules, "ipykernel", SimpleNamespace())
    for shell in (None, SimpleNamespace()):  # loaded, but no notebook asks; IPython in a terminal
        monkeypatch.setattr(IPython, "get_ipython", lambda shell=shell: shell)
        assert own_book().path is None
    monkeypatch.setattr(IPython, "get_ipython", lambda: SimpleNamespace(kernel=object()))
    rt.labbook.note("x")
    assert notes(own_book()) == ["x"] and [path.name for path in tmp_path.iterdir()] == ["lab-book.jsonl"]
    monkeypatch.setenv(module.VARIABLE, "")
    assert own_book().path is None


def test_in_a_real_kernel_a_pass_and_a_note_are_kept(tmp_path, monkeypatch):
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    monkeypatch.delenv(module.VARIABLE, raising=False)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    cells = [
        "import rnntips as rt\nrt.exercises.scaling.no_peeking.check(lambda train, test: (train, test))",
        "import os; print(os.path.exists('lab-book.jsonl'))",
        "rt.labbook.note('seen')\nrt.labbook.show()",
    ]
    made = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    nbclient.NotebookClient(made, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}).execute()
    assert made.cells[1].outputs[0].text == "False\n"
    said, shown = made.cells[2].outputs
    assert said.text == "Noted.\n" and shown.data["text/plain"] == "<lab book>"
    assert notes(LabBook(tmp_path / "lab-book.jsonl")) == ["seen"]
    looked_at(shown.data["text/html"])


def test_a_run_is_kept_with_all_that_its_sentence_rests_on(studies, entry, book):
    study = studies["anna"]
    assert book.add("run", **entry) == ""
    (kept,) = book.entries()
    np.testing.assert_array_equal(kept["effects"], study.effects("sines"))
    assert [eval(text, vars(rt)) for text in kept["recipes"]] == [study.baseline, study.variant]
    assert kept["seeds"] == list(range(10)) and (kept["reached"], kept["updates"], kept["state"]) == (80, 80, "done")
    assert (kept["verdict"], kept["guess"], kept["right"]) == ("WORSE", "higher", True)
    assert kept["typical"] == study.typical and tuple(kept["interval"]) == study.interval
    assert (kept["field"], kept["baseline"], kept["variant"]) == ("lr", "0.03", "0.0003")
    assert kept["rates"] == [0.03, 0.0003] and kept["sentence"] == study.sentence and kept["smallest"] == 0.05
    for share, side in zip(kept["progress"], study.runs["sines"], strict=True):
        np.testing.assert_array_equal(share, evidence.progress(side.test_score, side.naive, side.floor))


def test_what_cannot_be_kept_is_refused_in_words(studies):
    from dataclasses import replace

    study = studies["anna"]
    with pytest.raises(BadArgument, match="lower, same, higher"):
        run_entry(study, tip=None, setting="sines", guess="best")
    with pytest.raises(BadArgument, match="this study has a, b"):
        run_entry(replace(study, runs=dict.fromkeys("ab", study.runs["sines"])), tip=None, setting="c")


# ── guesses ─────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("expected", "typical", "verdict"),
    [("lower", -0.3, "BETTER"), ("same", -0.03, "BETTER"), ("higher", 0.06, "WORSE"), ("same", 0.01, "SAME")],
)
def test_the_right_guess_is_the_one_whose_range_holds_what_is_typical(expected, typical, verdict):
    decided = SimpleNamespace(smallest=0.05, typical=typical, verdict=verdict)
    assert outcome(decided) == expected
    assert {guess: right(guess, decided) for guess in GUESSES} == {guess: guess == expected for guess in GUESSES}
    assert right(None, decided) is None
    for undecided in ("UNCLEAR", "NOT TRAINED"):
        assert right(expected, SimpleNamespace(smallest=0.05, typical=typical, verdict=undecided)) is None


def made(experiment, guess="lower", won=True, tip="scaling", state="done", **more):
    asked = {"tip": tip, "setting": "s", "field": "f", "baseline": "0", "variant": "1"}
    fields = {"kind": "run", "experiment": experiment, "guess": guess, "right": won, "state": state}
    return asked | fields | more


@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        ([], (0, 0, 0)),
        ([{"kind": "note", "text": "x"}, made("a", guess=None, won=None)], (0, 0, 0)),
        ([made("a"), made("b", tip="clipping", won=False), made("c", tip="noise", won=None)], (3, 2, 1)),
        ([made("a", won=None), made("a", won=False)], (1, 1, 0)),  # ten more seeds decided
        ([made("a", won=True), made("a", won=None, state="stopped")], (1, 1, 1)),  # they were stopped: the first stand
        ([made("a", won=None, state="stopped"), made("a", won=True)], (1, 1, 1)),
        ([made("a", won=False), made("b", won=True)], (1, 1, 0)),  # the same question once more is no guess
        ([made("a", won=None), made("b", won=True)], (1, 1, 1)),  # unless the first time decided nothing
        ([made("a", guess="best"), made("b", guess=["lower"]), made("c", won="yes")], (1, 0, 0)),
        ([made(None, tip="x"), made(None, tip="y"), {"kind": "run", "guess": "same", "right": True}], (3, 3, 3)),
    ],
)
def test_scores_of_books_made_by_hand(entries, expected):
    assert score(entries) == Score(*expected)


def test_chance_by_counting_every_way_to_guess():
    for n in range(1, 9):
        found = np.array([sum(ways) for ways in itertools.product([1, 0, 0], repeat=n)])
        usual = [k for k in range(n + 1) if (found <= k).mean() > 0.025 and (found >= k).mean() > 0.025]
        assert by_chance(n) == (usual[0], usual[-1])
        assert Score(n, n, 0).chance == pytest.approx(found.mean())
        for k in range(n + 1):
            where = "within" if k in usual else "more than" if k > found.mean() else "less than"
            assert f"{k} right" in Score(n, n, k).sentence and f"is {where} that" in Score(n, n, k).sentence
    assert by_chance(3000)[0] < 1000 < by_chance(3000)[1]


# ── pages ───────────────────────────────────────────────────────────────────

ALLOWED = set(
    "html head meta title style body main h1 h2 h3 p small table caption tr th td img a ul li details summary".split()
)


class Looking(HTMLParser):
    """Sees what a browser would see; tags must be closed in their order."""

    def __init__(self):
        super().__init__()
        self.open, self.data, self.addresses, self.style = [], "", [], ""

    def handle_starttag(self, tag, attributes):
        assert tag in ALLOWED, tag
        for name, value in attributes:
            assert not name.startswith("on") and name not in ("style", "background")
            if name in ("src", "href"):
                self.addresses.append(value)
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open[-1:] == ["style"]:
            self.style += data
        else:
            self.data += data


def looked_at(html):
    seen = Looking()
    seen.feed(html)
    seen.close()
    assert seen.open == [] and all(address.startswith("data:") for address in seen.addresses)
    assert not re.search(r"url\(|@import", seen.style)
    html.encode("utf-8")
    return seen


def test_the_page_holds_the_book_and_nobodys_code(book, entry):
    book.add("run", **entry)
    book.add("run", **entry | {"experiment": "b", "variant": EVIL, "tip": EVIL, "guess": "lower", "right": False})
    book.add("run", **entry | {"experiment": "c"})
    book.add("exercise", name=f"scaling.{EVIL}", tries=1, passed=True, solution_opened=False)
    book.add("note", text=f"a note {EVIL}")
    with book.path.open("ab") as file:
        file.write(b"damaged\n")
    html = page.page(book)
    seen = looked_at(html)
    assert "<script" not in html and seen.data.count("<script>alert") >= 4 and seen.addresses == []
    provenance = ["learning rates 0.03, 0.0003", "seeds 0, 1, 2", "updates 80 of 80", "device cpu", "numpy"]
    others = ["1 damaged", "2 guesses, 2 scored, 1 right", "not this time", "passed after 1 try", "leaves this machine",
              "asked before, so not counted"]  # fmt: skip
    for words in (entry["sentence"], *provenance, *others):
        assert words in seen.data, words


HOSTILE = [None, True, -1, 1e308, EVIL, [], [EVIL], [[EVIL]], {}, {EVIL: EVIL}, [1] * 10, [True] * 10, [1e99] * 10]


def test_no_value_of_any_field_breaks_a_page(book, entry):
    fields = [*entry, "time", "version", "text", "name", "tries", "passed"]
    for name in fields:
        book.path.unlink(missing_ok=True)
        for value in HOSTILE:
            for kind in ("run", "exercise", "note"):
                book.add(kind, **entry | {"experiment": None} | {name: value})
        book.add("run", **entry)
        assert len(book.entries()) == 3 * len(HOSTILE) + 1
        looked_at(page.page(book))
        assert "\x1b" not in "".join(page.lines(book) + classbook.lines([book.path]))
        found = classbook.gather([book.path])
        for group in found.groups:
            assert np.isfinite(group.pool.interval).all()


def test_a_notebook_shows_the_score_and_links_that_save_the_book(book, entry, monkeypatch):
    import IPython.display

    shown = []
    monkeypatch.setattr(IPython.display, "display", lambda bundle, raw: shown.append(bundle))
    book.add("run", **entry)
    page.show(book)
    (bundle,) = shown
    assert bundle["text/plain"] == "<lab book>" == repr(book) and "1 guess, 1 scored, 1 right" in bundle["text/html"]
    saved, file = looked_at(bundle["text/html"]).addresses
    assert file == page.data_uri(book.path.read_bytes(), "application/octet-stream")
    assert saved == page.data_uri(page.page(book).encode(), "text/html")


# ── a class ─────────────────────────────────────────────────────────────────


def test_the_pool_is_the_study_of_all_seeds(studies, books):
    """Runs are independent, so readers' seeds together are what one person's study of them all gives."""
    found = classbook.gather(books)
    (group,) = found.groups
    assert found.readers == tuple(READERS) and group.repeated == 0
    assert group.pool == studies["all"].finding
    effects = np.concatenate([studies[name].effects("sines") for name in READERS])
    assert group.pool.interval == evidence.find(effects, True).interval
    for reader in group.readers:
        assert reader.finding == studies[reader.label].finding
    assert [str(reader.finding.verdict) for reader in group.readers] == ["WORSE", "UNCLEAR", "WORSE"]
    assert group.tally == (
        "Guesses: ≥ 5 % lower error: 0, about the same: 0, ≥ 5 % higher error: 3. 3 were right, by all seeds together."
    )


def test_a_pool_in_which_nobody_trained_says_so_and_failures_count(entry, tmp_path):
    def pooled(**changes):
        path = tmp_path / "x.jsonl"
        path.unlink(missing_ok=True)
        LabBook(path).add("run", **entry | changes)
        (group,) = classbook.gather([path]).groups
        return group.pool.verdict

    same = {"effects": [0.01, -0.01] * 5}
    assert pooled(progress=[[0.19] * 10, [0.2] * 4 + [0.1] * 6]) == "NOT TRAINED"
    assert pooled(progress=[[0.19] * 10, [0.2] * 5 + [0.1] * 5]) == "WORSE"
    assert pooled(**same, failures=[0] * 10) == "SAME" and pooled(**same, failures=[1] + [0] * 9) == "UNCLEAR"


def test_the_order_of_files_changes_nothing(books):
    pages = {classbook.page(files) for files in itertools.permutations(books)}
    assert len(pages) == 1
    assert classbook.lines(books) == classbook.lines([*reversed(books), books[0]])


def test_seeds_that_come_again_count_once_and_are_reported(studies, books, tmp_path):
    again = tmp_path / "dora.jsonl"
    other = run_entry(studies["all"], tip="scaling", setting="sines", seat=3)
    LabBook(again).add("run", **other)
    (group,) = classbook.gather([*books, again]).groups
    assert group.pool == studies["all"].finding and group.repeated == 26
    assert group.readers[-1].label == "dora (seat 3)"
    said = "26 seeds were repeated and counted once. These readers ran the same seeds: anna, ben, cleo, dora (seat 3)."
    assert said in " ".join(group.words)
    assert any("26 seeds were repeated" in line for line in classbook.lines([*books, again]))
    assert "26 seeds were repeated" not in " ".join(classbook.lines(books))


def test_whose_value_of_a_repeated_seed_counts_does_not_depend_on_the_order(entry, tmp_path):
    paths = [tmp_path / f"{name}.jsonl" for name in "ab"]
    for path, effect in zip(paths, (0.1, 0.2), strict=True):
        LabBook(path).add("run", **entry | {"effects": [effect] * 10})
    pools = {classbook.gather(files).groups[0].pool.typical for files in (paths, paths[::-1])}
    assert len(pools) == 1 and np.allclose([*pools], np.expm1(0.1))


def test_other_experiments_stopped_ones_and_superseded_ones_stay_apart(entry, studies, tmp_path):
    first, second = (LabBook(tmp_path / f"{name}.jsonl") for name in "ab")
    first.add("run", **entry | {"effects": [0.5] * 10})
    first.add("run", **run_entry(studies["all"], tip="scaling", setting="sines", experiment=entry["experiment"]))
    second.add("run", **entry | {"experiment": "b", "state": "stopped"})
    for i, (name, value) in enumerate({"tip": "x", "setting": "x", "updates": 41, "variant": "x"}.items()):
        second.add("run", **entry | {"experiment": f"c{i}", name: value})
    second.add("run", **entry | {"experiment": "d", "recipes": ["Recipe(a)", "Recipe(b)"]})
    found = classbook.gather([first.path, second.path])
    assert sorted(len(group.seeds) for group in found.groups) == [10] * 5 + [26]
    assert all(len(group.readers) == 1 for group in found.groups)
    assert studies["all"].finding in [group.pool for group in found.groups]


def test_readers_of_one_file_name_are_told_apart(entry, tmp_path):
    paths = [tmp_path / room / name / "lab-book.jsonl" for room in "xy" for name in ("anna", "ben")]
    for path in paths:
        path.parent.mkdir(parents=True)
        LabBook(path).add("run", **entry)
    assert classbook.gather(paths).readers == (
        "anna/lab-book", "anna/lab-book (2)", "ben/lab-book", "ben/lab-book (2)",
    )  # fmt: skip


def test_the_figure_has_a_row_for_each_of_thirty_readers_and_the_pool(entry, tmp_path):
    for i in range(30):
        seeds = {"seeds": list(range(10 * i, 10 * i + 10)), "effects": list(np.linspace(-0.3, 0.1, 10) + i / 100)}
        LabBook(tmp_path / f"reader {i:02} $x_ 读者 {'long ' * 9}.jsonl").add("run", **entry | seeds)
    files = list(tmp_path.iterdir())
    (group,) = classbook.gather(files).groups
    ax = classbook.forest(group)
    marks = [line for line in ax.get_lines() if line.get_marker() in ("o", "D")]
    drawn = [line.get_xdata()[0] for line in marks]
    findings = [group.pool, *(reader.finding for reader in reversed(group.readers))]
    np.testing.assert_allclose(drawn, [100 * finding.typical for finding in findings])
    assert [line.get_marker() for line in marks] == ["D"] + ["o"] * 30 and marks[0].get_color() == "black"
    bars = [line.get_xdata() for line in ax.get_lines() if len(line.get_xdata()) == 2 and line.get_marker() == "None"]
    np.testing.assert_allclose(bars[-31:], [100 * np.array(finding.interval) for finding in findings])
    assert ax.get_yticklabels()[0].get_text() == "all 300 seeds"
    assert ax.figure.get_figheight() / 31 > 0.2  # inches a row
    seen = looked_at(classbook.page(files))
    (address,) = seen.addresses
    assert address.startswith("data:image/png;base64,iVBOR") and "读者" in seen.data


def test_a_page_of_a_class_carries_nobodys_code(entry, books, tmp_path):
    evil = tmp_path / "<script>&.jsonl"
    LabBook(evil).add("run", **entry | {"variant": EVIL, "seat": EVIL, "recipes": [EVIL, EVIL]})
    html = classbook.page([*books, evil])
    seen = looked_at(html)
    assert "<script" not in html and seen.data.count("<script>") >= 4
    assert re.search(r'alt="One row for each of 3 readers, and the pool. Higher error', html)


def test_files_that_are_no_lab_books_are_named(books, tmp_path):
    (tmp_path / "empty.jsonl").write_text("")
    (tmp_path / "foreign.jsonl").write_bytes(bytes(range(256)) * 9)
    for name, words in {"missing": "cannot be read", "empty": "is empty", "foreign": "no line of a lab book"}.items():
        with pytest.raises(RnntipsError, match=rf"{name}\.jsonl.*{words}"):
            classbook.gather([*books, tmp_path / f"{name}.jsonl"])
    with pytest.raises(RnntipsError, match="at least one"):
        classbook.gather([])
    with books[0].open("ab") as file:
        file.write(b'{"kind": "run", "state": "done"}\ntorn')
    found = classbook.gather(books)
    assert (found.damaged, found.unusable) == (1, 1) and len(found.groups[0].readers) == 3
    assert "1 damaged line was skipped." in found.words


def test_books_without_runs_say_what_to_do(book):
    book.add("note", text="x")
    assert "no finished runs" in " ".join(classbook.lines([book.path]))
    looked_at(classbook.page([book.path]))


# ── commands ────────────────────────────────────────────────────────────────


def called(*arguments):
    done = CliRunner().invoke(main, [*map(str, arguments)])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.output


def test_the_commands_print_the_books_and_write_pages(books, tmp_path, monkeypatch):
    monkeypatch.delenv(module.VARIABLE, raising=False)
    monkeypatch.chdir(tmp_path)
    out = tmp_path / "out.html"
    code, said = called("labbook", books[0], "--html", out)
    assert code == 0 and "1 guess, 1 scored, 1 right" in said and looked_at(out.read_text("utf-8")).data
    code, said = called("classbook", *books, "--html", out)
    assert code == 0 and "3 readers, 26 seeds together. Higher error" in said
    assert out.read_text("utf-8") == classbook.page(books)
    assert called("labbook")[0] == 1
    books[0].rename("lab-book.jsonl")
    assert called("labbook")[0] == 0
    assert not list(tmp_path.glob("*.part"))


def test_a_page_never_replaces_a_book_and_failures_are_said(books, tmp_path):
    before = books[0].read_bytes()
    for arguments in (("labbook", books[0]), ("classbook", *books)):
        code, said = called(*arguments, "--html", os.path.join(tmp_path, "..", tmp_path.name, books[0].name))
        assert code == 1 and "lab book itself" in said and books[0].read_bytes() == before
        code, said = called(*arguments, "--html", tmp_path / "no" / "out.html")
        assert code == 1 and "cannot be written" in said
        code, said = called(arguments[0], tmp_path / "no.jsonl")
        assert code == 1 and "no.jsonl cannot be read" in said
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(path.name for path in books)


def test_the_book_loads_no_figures():
    code = "import sys, rnntips as rt; rt.labbook.LabBook; print([m for m in ('matplotlib', 'ipywidgets', 'IPython') " \
           "if m in sys.modules])"  # fmt: skip
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True).stdout == "[]\n"


def test_no_book_is_ever_committed():
    ignored = (ROOT / ".gitignore").read_text(encoding="utf-8").split()
    assert module.FILE in ignored and os.sep not in module.FILE
