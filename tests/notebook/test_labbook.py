"""The lab book: lines that are only ever added, pages that carry nobody's code, and a class pooled by the same rule."""

import copy
import itertools
import json
import os
import re
import subprocess
import sys
import tracemalloc
from collections import Counter
from html import unescape
from math import inf
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from click.testing import CliRunner

import rnntips as rt
from rnntips import verdict
from rnntips.cli import main
from rnntips.errors import BadArgument, RnntipsError
from rnntips.lessons.scaling import exercises as scaling
from rnntips.notebook.exercise import Exercise
from rnntips.notebook.labbook import GUESSES, LabBook, Score, classbook, outcome, own_book, page, right, score
from rnntips.notebook.labbook import book as module
from rnntips.notebook.labbook.guesses import by_chance

ROOT = Path(rt.__file__).parents[1]
EVIL = '<script>alert("&")</script>\x1b[2J\ud800'
READERS = {"anna": range(10), "ben": range(10, 14), "cleo": range(14, 26)}
OWN = {"less": 1.05, "up to twice": 2.0, "more": inf}
COUNTS = {"a": 400, "b": 400, "c": 10**6}  # writer → lines that it would write


def compared(seeds, lr=3e-4):
    baseline = rt.Recipe(updates=80, past=8, width=8, batch_size=8, lr=0.03)
    return rt.compare(baseline, baseline.but(lr=lr), on=rt.series.sines(steps=400), seeds=seeds)


@pytest.fixture(scope="module")
def studies():
    """One study a reader, and the one of all their seeds."""
    return {name: compared(seeds) for name, seeds in READERS.items()} | {"all": compared(range(26))}


def run_entry(study, **more):
    return module.run_entry(study, "scaling", "sines", **{"experiment": "a" * 12, "guess": "higher"} | more)


@pytest.fixture(scope="module")
def entry(studies):
    return run_entry(studies["anna"])


@pytest.fixture
def book(tmp_path):
    return LabBook(tmp_path / "lab-book.jsonl")


@pytest.fixture
def books(studies, tmp_path):
    """A file a reader, in a class where everybody has seeds of their own."""
    return [written(tmp_path / f"{name}.jsonl", run_entry(studies[name])) for name in READERS]


def written(path, *entries):
    """A lab book with these runs."""
    for entry in entries:
        assert LabBook(path).add("run", **entry) == ""
    return path


def notes(book):
    return [entry["text"] for entry in book.entries() if entry["kind"] == "note"]


# ── the file ────────────────────────────────────────────────────────────────

WRITER = """
import sys
from rnntips.notebook.labbook import LabBook
print("ready", flush=True)
sys.stdin.readline()
for i in range({count}):
    assert LabBook({path!r}).add("note", text="{name} %d " % i + "x" * (i % 97)) == ""
    print(i, flush=True)
"""


def test_processes_that_write_at_once_lose_no_line_even_if_one_is_killed(book):
    codes = [WRITER.format(path=str(book.path), count=count, name=name) for name, count in COUNTS.items()]
    pipes = {"text": True, "stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    started = [subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, **pipes) for code in codes]
    assert [process.stdout.readline() for process in started] == ["ready\n"] * 3
    for process in started:
        process.stdin.write("\n")
        process.stdin.flush()
    said = [started[2].stdout.readline() for _ in range(50)]
    started[2].kill()
    said += [process.communicate()[0] for process in started][2].splitlines()
    found = {name: [int(text.split()[1]) for text in notes(book) if text[0] == name] for name in COUNTS}
    assert found == {name: list(range(len(lines))) for name, lines in found.items()} and book.damaged <= 1
    assert len(found["a"]) == len(found["b"]) == 400 and len(found["c"]) >= len(said) - 2 >= 48
    assert book.add("note", text="after") == "" and notes(book)[-1] == "after"


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
        for mark, end in ((b"", b"\n"), (b"\xef\xbb\xbf", b"\r\n\r\n")):  # as editors of other systems leave it
            book.path.write_bytes(mark + end.join([*whole[:at], line, *whole[at:]]) + end)
            assert notes(book) == ["0", "1", "2"] and book.damaged == 1


def test_json_is_strict_and_comes_back(book):
    pairs = {
        "none": (None, None), "yes": (np.True_, True), "three": (np.int64(3), 3), "half": (np.float32(0.5), 0.5),
        "nan": (float("nan"), None), "infinite": ([np.inf, -np.inf, 1.5], [None, None, 1.5]), "tenth": (0.1, 0.1),
        "array": (np.array([[1.0, np.nan], [2.0, 3.0]]), [[1.0, None], [2.0, 3.0]]), "evil": (EVIL, EVIL),
        "pair": ((1, "ü\n\u2028"), [1, "ü\n\u2028"]), "inner": ({"x": np.nan, 3: Path("x")}, {"x": None, "3": "x"}),
    }  # fmt: skip
    assert book.add("note", **{name: given for name, (given, _) in pairs.items()}) == ""
    (line,) = book.path.read_text(encoding="utf-8").split("\n")[:-1]
    json.loads(line, parse_constant=lambda name: pytest.fail(name))
    (found,) = book.entries()
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", found.pop("time"))
    assert (found.pop("kind"), found.pop("version")) == ("note", rt.__version__)
    assert found == {name: back for name, (_, back) in pairs.items()}


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


# ── whose book, and what is kept ────────────────────────────────────────────


def scaled(train, test):
    return (train - train.mean()) / train.std(), (test - train.mean()) / train.std()


@pytest.fixture
def exercise():
    return Exercise("no_peeking", scaling._no_peeking, scaling._parts, ["?"])


def test_only_a_first_pass_and_an_opened_solution_are_kept(exercise, book, monkeypatch):
    monkeypatch.setenv(module.VARIABLE, str(book.path))
    for _ in range(3):
        exercise.check(lambda train, test: (train, test))
        assert not book.path.exists()
        exercise.hint()
    for _ in range(2):
        exercise.solution()
    for _ in range(2):
        exercise.check(scaled)
    exercise.solution()
    other = copy.copy(scaling.no_peeking)
    other.check(scaled)
    other.solution()
    kept = [[e[k] for k in ("kind", "name", "tries", "passed", "solution_opened")] for e in book.entries()]
    name = ["exercise", "scaling.no_peeking"]
    assert kept == [[*name, 3, False, True], [*name, 4, True, True], [*name, 1, True, False]]
    assert scaling.in_use.name == "scaling.in_use"


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
        np.testing.assert_array_equal(share, verdict.progress(side.test_score, side.naive, side.floor))
    with pytest.raises(BadArgument, match="lower, same, higher"):
        run_entry(study, guess="best")


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


@pytest.mark.parametrize(
    ("interval", "expected"),
    [((-0.5, -0.1), "less"), ((0.06, 0.99), "up to twice"), ((1.0, 3.0), "more"), ((0.04, 0.2), None),
     ((0.9, 1.1), None)],
)  # fmt: skip
def test_an_own_guess_is_right_where_it_holds_the_whole_interval(interval, expected):
    for own in (OWN, json.loads(json.dumps(module.strict(OWN)))):  # as a lesson names them, and as a book keeps them
        decided = SimpleNamespace(smallest=0.05, typical=sum(interval) / 2, interval=interval, verdict="WORSE")
        assert outcome(decided, own) == expected
        for guess in own:
            assert right(guess, decided, own) is (None if expected is None else guess == expected)
        assert right(None, decided, own) is right("higher", decided, own) is None
        assert right("more", SimpleNamespace(**vars(decided) | {"verdict": "UNCLEAR"}), own) is None


def test_own_guesses_are_kept_in_their_words_scored_and_pooled_beside_the_usual_ones(studies, tmp_path):
    offered = {"less": 1.0, "up to thrice": 3.0, "more": inf}
    own, old = (run_entry(studies[name], **more) for name, more in
                (("anna", {"guess": "up to thrice", "guesses": offered}), ("cleo", {})))  # fmt: skip
    del old["guesses"]  # as books of an earlier version have it
    books = [written(tmp_path / "anna.jsonl", own), written(tmp_path / "old.jsonl", old)]
    assert "You guessed: up to thrice; right." in " ".join(page.lines(LabBook(books[0])))
    assert score(LabBook(books[0]).entries()) == Score(1, 1, 1)
    (group,) = classbook.gather(books).groups
    assert group.tally == (
        "Guesses: less: 0, up to thrice: 1, more: 0, ≥ 5 % lower error: 0, about the same: 0, ≥ 5 % higher error: 1. "
        "2 were right, by all seeds together."
    )
    odd = [{"guess": "best"}, {"guesses": {"a": 1}}, {"guesses": OWN | {"x" * 101: 1}}, {"guesses": None}]
    for i, change in enumerate(odd):
        found = classbook.gather([written(tmp_path / f"odd{i}.jsonl", own, own | {"experiment": "b"} | change)])
        assert f"odd{i}.jsonl: 1 unusable run was left out (in line 2, " in " ".join(found.left_out)


def test_what_was_changed_is_said_in_words():
    entry = {"field": "carry", "baseline": "False", "variant": "True", "setting": "leaky 16"}
    assert page.change(entry) == "carry: state reset → state kept on leaky 16"
    assert page.change(entry | {"field": "clip_norm", "baseline": "None", "variant": "1.0"}) == (
        "clip norm: no clipping → 1.0 on leaky 16"
    )


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
    "html head meta title style body main h1 h2 h3 p small table caption tr th td a code ul li details summary svg "
    "path".split()
)


def looked_at(html):
    """The words of a page, and the addresses it holds; fails if there is a tag or attribute that could do harm."""
    html.encode("utf-8")
    tags = re.findall(r"<(/?\w+)([^>]*)>", html.removeprefix("<!DOCTYPE html>"))
    names = Counter(name for name, _ in tags)
    assert html.count("<") - html.startswith("<!") == len(tags)
    for name in (name for name in names if not name.startswith("/")):
        assert name in ALLOWED and (name in ("meta", "path") or names[name] == names[f"/{name}"])
    attributes = [pair for _, text in tags for pair in re.findall(r'([\w-]+)="([^"]*)"', text)]
    assert not [name for name, _ in attributes if name.startswith("on") or name in ("style", "background")]
    addresses = [value for name, value in attributes if name in ("src", "href")]
    assert all(address.startswith("data:") for address in addresses) and not re.search(r"url\(|@import", html)
    return unescape(re.sub(r"<[^>]*>", " ", html)), addresses


def test_the_page_holds_the_book_and_nobodys_code(book, entry):
    evil = entry | {"experiment": "b", "variant": EVIL, "tip": EVIL, "guess": "lower", "right": False}
    written(book.path, entry, evil, entry | {"experiment": "c"})
    book.add("exercise", name=f"scaling.{EVIL}", tries=1, passed=True, solution_opened=False)
    book.add("note", text=f"a note {EVIL}")
    with book.path.open("ab") as file:
        file.write(b"damaged\n")
    html = page.page(book)
    said, addresses = looked_at(html)
    assert said.count("<script>alert") >= 4 and addresses == []
    assert "http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline';" in html
    provenance = ["learning rates 0.03, 0.0003", "seeds 0, 1, 2", "updates 80 of 80", "device cpu", "numpy"]
    others = ["1 damaged", "2 guesses, 2 scored, 1 right", "not this time", "passed after 1 try", "leaves this machine",
              "asked before, so not counted"]  # fmt: skip
    for words in (entry["sentence"], *provenance, *others):
        assert words in said, words


HOSTILE = [10**400, [10**400] * 10, [1e99] * 10, [True] * 10, [1] * 10, None, True, -1, 1e308, EVIL, [], [EVIL],
           [[EVIL]], {}, {EVIL: EVIL}]  # fmt: skip


def test_no_value_of_any_field_breaks_a_page(book, entry):
    fields = [*entry, "time", "version", "text", "name", "tries", "passed"]
    for name in fields:
        book.path.unlink(missing_ok=True)
        for value in HOSTILE:
            for kind in ("run", "exercise", "note"):
                book.add(kind, **entry | {"experiment": None} | {name: value})
        book.add("run", **entry)
        assert len(book.entries()) == 3 * len(HOSTILE) + 1
        found = classbook.gather([book.path])
        looked_at(page.page(book))
        assert "\x1b" not in "".join(page.lines(book) + classbook.lines(found))
        assert all(np.isfinite(group.pool.finding.interval).all() for group in found.groups)


def test_a_notebook_shows_the_score_and_links_that_save_the_book(book, entry, monkeypatch):
    import IPython.display

    shown = []
    monkeypatch.setattr(IPython.display, "display", lambda bundle, raw: shown.append(bundle))
    page.show(LabBook(written(book.path, entry)))
    (bundle,) = shown
    assert bundle["text/plain"] == "<lab book>" == repr(book) and "1 guess, 1 scored, 1 right" in bundle["text/html"]
    _, (saved, file) = looked_at(bundle["text/html"])
    assert file == page.data_uri(book.path.read_bytes(), "application/octet-stream")
    assert saved == page.data_uri(page.page(book).encode(), "text/html")


# ── a class ─────────────────────────────────────────────────────────────────


def only_group(*files):
    (group,) = classbook.gather(files).groups
    return group


def test_the_pool_is_the_study_of_all_seeds(studies, books):
    """Runs are independent, so readers' seeds together are what one person's study of them all gives."""
    group = only_group(*books)
    assert classbook.gather(books).readers == tuple(READERS) and group.repeated == 0
    assert group.pool.finding == studies["all"].finding
    effects = np.concatenate([studies[name].effects("sines") for name in READERS])
    assert group.pool.finding.interval == verdict.find(effects, True).interval
    assert [reader.finding for reader in group.readers] == [studies[name].finding for name in READERS]
    assert [str(reader.finding.verdict) for reader in group.readers] == ["WORSE", "UNCLEAR", "WORSE"]
    assert group.tally == (
        "Guesses: ≥ 5 % lower error: 0, about the same: 0, ≥ 5 % higher error: 3. 3 were right, by all seeds together."
    )


@pytest.mark.parametrize(
    ("changes", "verdict"),
    [
        ({"progress": [[0.19] * 10, [0.2] * 4 + [0.1] * 6]}, "NOT TRAINED"),
        ({"progress": [[0.19] * 10, [0.2] * 5 + [0.1] * 5]}, "WORSE"),
        ({"effects": [0.01, -0.01] * 5, "failures": [0] * 10}, "SAME"),
        ({"effects": [0.01, -0.01] * 5, "failures": [1] + [0] * 9}, "UNCLEAR"),
    ],
)
def test_a_pool_in_which_nobody_trained_says_so_and_failures_count(entry, tmp_path, changes, verdict):
    assert only_group(written(tmp_path / "x.jsonl", entry | changes)).pool.finding.verdict == verdict


def test_the_order_of_files_changes_nothing(books, entry, tmp_path):
    """Also where a reader ran the same seeds twice, of which the first run counts, and where readers differ."""
    runs = {effect: entry | {"experiment": str(effect), "effects": [effect] * 10, "tip": "other"}
            for effect in (0.1, 0.12, 0.3)}  # fmt: skip
    again = [written(tmp_path / "x.jsonl", runs[0.1], runs[0.3]), written(tmp_path / "y.jsonl", runs[0.12])]
    orders = [[*some, *others] for some in itertools.permutations(books) for others in (again, again[::-1])]
    found = [classbook.gather(files) for files in [*orders, [*orders[0], books[0]]]]
    assert found == found[:1] * 13
    assert found[0].groups[0].pool.finding.typical == pytest.approx(np.expm1(0.1))


def test_seeds_that_come_again_count_once_and_are_reported(studies, books, tmp_path):
    again = written(tmp_path / "dora.jsonl", run_entry(studies["all"], guess=None, seat=0))
    group = only_group(*books, again)
    assert group.pool.finding == studies["all"].finding and group.repeated == 26
    assert group.readers[-1].label == "dora (seat 0)"
    said = "26 seeds were repeated, and a seed counts once at most. "
    said += "These readers ran the same seeds: anna, ben, cleo, dora (seat 0)."
    assert said in " ".join(classbook.lines(classbook.gather([*books, again])))
    assert "seeds were repeated" not in " ".join(classbook.lines(classbook.gather(books)))


def test_other_experiments_stopped_ones_and_superseded_ones_stay_apart(entry, studies, tmp_path):
    others = {"tip": "x", "setting": "x", "updates": 41, "variant": "x", "recipes": ["Recipe(a)", "Recipe(b)"]}
    first = written(tmp_path / "a.jsonl", entry | {"effects": [0.5] * 10}, run_entry(studies["all"]))
    second = written(
        tmp_path / "b.jsonl",
        entry | {"experiment": "b", "state": "stopped"},
        *(entry | {"experiment": f"not {name}", name: value} for name, value in others.items()),
    )
    found = classbook.gather([first, second])
    assert sorted(len(group.pool.seeds) for group in found.groups) == [10] * 5 + [26]
    assert all(len(group.readers) == 1 for group in found.groups)
    assert studies["all"].finding in [group.pool.finding for group in found.groups]


def test_readers_of_one_file_name_are_told_apart(entry, tmp_path):
    paths = [tmp_path / room / name / "lab-book.jsonl" for room in "xy" for name in ("anna", "ben")]
    for path in paths:
        path.parent.mkdir(parents=True)
        written(path, entry)
    labels = ["anna/lab-book", "anna/lab-book (2)", "ben/lab-book", "ben/lab-book (2)"]
    assert list(classbook.gather(paths).readers) == labels


def test_the_page_has_a_row_for_each_of_thirty_readers_and_the_pool_on_one_scale(entry, tmp_path):
    for i in range(30):
        of = {"seat": str(i), "seeds": list(range(100 * i, 100 * i + 10))}
        effects = {"effects": list(np.linspace(-0.3, 0.1, 10) + i / 100)}
        written(tmp_path / f"reader {i:02} $x_ 读者 {'long ' * 9}.jsonl", entry | of | effects)
    group = only_group(*tmp_path.iterdir())
    html = classbook.page(classbook.gather(tmp_path.iterdir()))
    said, addresses = looked_at(html)
    assert addresses == [] and "读者" in said and "all 300 seeds" in said
    drawn = [[float(x) for x in mark] for mark in re.findall(r'"mark" d="M([\d.]+) 8H([\d.]+)M([\d.]+)', html)]
    findings = [one.finding for one in (*group.readers, group.pool)]
    changes = np.log1p([[*one.interval, one.typical] for one in findings])
    places = np.array(drawn) - classbook.WIDTH / 2 + np.array([0, 0, 4])  # the diamond begins 4 to the left
    np.testing.assert_allclose(places, changes * np.median(places / changes), atol=0.2)
    assert np.min(drawn) > 0 and np.max(drawn) < classbook.WIDTH


def test_a_page_of_a_class_carries_nobodys_code(entry, books, tmp_path):
    evil = written(tmp_path / "<script>&.jsonl", entry | {"variant": EVIL, "recipes": [EVIL, EVIL]})
    worse = written(tmp_path / "<i>.jsonl", entry | {"seat": EVIL})
    html = classbook.page(classbook.gather([*books, evil, worse]))
    assert looked_at(html)[0].count("<script>") >= 4 and "<i>.jsonl: 1 unusable run" in looked_at(html)[0]


WRONG = {
    "missing": (None, "cannot be read"),
    "empty": (b"", "is empty"),
    "foreign": (bytes(range(256)) * 9, "no line of a lab book"),
    "endless": (b"{" * 5000, "no line of a lab book, but 1 others"),
}


@pytest.mark.parametrize("name", [*WRONG, "folder", "pipe"])
def test_a_file_that_is_no_lab_book_is_named_and_the_others_are_pooled(name, books, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "LARGEST", 4000)
    path, (content, words) = tmp_path / f"{name}.jsonl", WRONG.get(name, (None, "it is not a file"))
    if name == "pipe":
        getattr(os, "mkfifo", pytest.skip)(path)
    elif name == "folder":
        path.mkdir()
    elif content is not None:
        path.write_bytes(content)
    with_it, without = classbook.gather([*books, path]), classbook.gather(books)
    assert (with_it.groups, with_it.readers) == (without.groups, without.readers)
    (said,) = with_it.left_out
    assert said.startswith(f"Left out: {path} ") and words in said and said in looked_at(classbook.page(with_it))[0]
    with pytest.raises(RnntipsError, match=rf"{name}\.jsonl .*{words}"):
        classbook.gather([path])
    assert called("classbook", *books, path)[0] == 0 and called("classbook", path)[0] == 1


def test_no_file_is_no_class():
    with pytest.raises(RnntipsError, match="at least one"):
        classbook.gather([])


def test_a_line_that_is_too_long_is_damaged_and_costs_only_itself(book, monkeypatch):
    monkeypatch.setattr(module, "LARGEST", 100)
    book.add("note", text="before")
    with book.path.open("ab") as file:
        file.write(b'{"kind": "note", "text": "' + b"x" * 999 + b'"}\n')
    book.add("note", text="after")
    assert notes(book) == ["before", "after"] and book.damaged == 1


def test_a_book_is_read_with_one_line_in_memory(tmp_path):
    """Blank megabytes, half of them in one line, between two notes: neither is ever in memory as a whole."""
    path = tmp_path / "book.jsonl"
    with path.open("wb") as file:
        file.write(b'{"kind": "note"}\n')
        for end in (b" ", b"\n"):
            for _ in range(30):
                file.write(b" " * (10**6 - 1) + end)
        file.write(b'\n{"kind": "note"}\n')
    tracemalloc.start()
    assert len(module.read(path)[0]) == 2 and path.stat().st_size > 60e6
    assert tracemalloc.get_traced_memory()[1] < 8e6
    tracemalloc.stop()


UNUSABLE = [
    *({name: 10**400} for name in ("smallest", "updates", "seat", "guess", "seeds", "effects", "progress", "recipes")),
    *({name: [10**400] * 10} for name in ("seeds", "effects", "failures", "progress", "tip")),
    {"seeds": [*range(9), 8]}, {"seeds": [*range(9), 10_000]}, {"failures": [2] * 10}, {"effects": [50.1] * 10},
    {"effects": [True] * 10}, {"smallest": 0}, {"tip": "x" * 1001}, {"seeds": list(range(101))}, {"seat": "٣"},
    {"recipes": ["x"]}, {"guess": "best"}, {"seat": "100"}, {"progress": None}, {"progress": [[0.5] * 10]},
]  # fmt: skip


@pytest.mark.parametrize("change", [*UNUSABLE, {"effects": [0.1] * 9}], ids=lambda change: str(change)[:30])
def test_a_run_that_breaks_the_schema_is_named_with_its_line_and_the_others_are_pooled(change, entry, books):
    before = classbook.gather(books)
    written(books[1], entry | {"experiment": "evil"} | change)
    found = classbook.gather(books)
    assert found.groups == before.groups and found.readers == before.readers
    (said,) = found.left_out
    assert re.match(
        rf"ben\.jsonl: 1 unusable run was left out \(in line 2, .*({next(iter(change))}|for each seed)", said
    )
    assert called("classbook", *books)[0] == 0


# ── a class in which somebody changed a file ────────────────────────────────


def seated(path, entry, seat, count=10, effect=0.2, **more):
    """A lab book of one run at a seat."""
    of = {"seat": str(seat), "seeds": [100 * seat + i for i in range(count)], "effects": [effect] * count}
    rest = {"failures": [0] * count, "progress": [[0.5] * count] * 2, "experiment": f"{seat} {effect}"}
    return written(path, entry | of | rest | more)


def test_seeds_of_another_seat_refuse_the_file(entry, tmp_path):
    honest = [seated(tmp_path / f"{seat}.jsonl", entry, seat) for seat in (1, 2)]
    forged = {"seeds": [100 * seat + i for seat in (1, 2) for i in range(10)], "effects": [-2.0] * 20}
    evil = seated(tmp_path / "0.jsonl", entry, 1, 20, **forged)
    found = classbook.gather([*honest, evil])
    assert found.groups == classbook.gather(honest).groups and found.readers == ("1", "2")
    assert "says seat 1 in line 1 and has seed 200, which is seat 2's" in found.left_out[0]


def test_whoever_moved_counts_at_the_last_seat_and_at_none(entry, tmp_path):
    path = tmp_path / "a.jsonl"
    for seat in (0, 7, 8):
        seated(path, entry, seat)
    found = classbook.gather([path])
    assert sorted(found.groups[0].pool.seeds) == [*range(10), *range(800, 810)]
    assert found.left_out == ("a.jsonl: 1 run was left out (at another seat than 8, the last one).",)


@pytest.mark.parametrize("field", ["effects", "failures", "progress"])
@pytest.mark.parametrize("honest", [1, 2, 3])
@pytest.mark.parametrize("seat", [0, 4])
def test_forged_values_change_no_pool_and_are_named(field, honest, seat, entry, tmp_path):
    """Against one honest reader nobody can know who is right; against several the forger is."""
    files = [seated(tmp_path / f"{name}.jsonl", entry, seat) for name in "bcd"[:honest]]
    other = seated(tmp_path / "e.jsonl", entry, 5)
    forged = {"effects": [-2.0] * 10, "failures": [1] * 10, "progress": [[0.0] * 10] * 2}[field]
    before = only_group(*files, other).pool
    group = only_group(*files, other, seated(tmp_path / "a.jsonl", entry, seat, **{field: forged}))
    differing = {f"a (seat {seat})": 10} | ({f"b (seat {seat})": 10} if honest == 1 else {})
    assert group.differing == differing and "a (seat" in group.words[-1] and "Processors differ" in group.words[-1]
    kept = {seed: before.seeds[seed] for seed in before.seeds if honest > 1 or seed // 100 == 5}
    assert group.pool.seeds == kept


def test_small_differences_between_processors_are_no_word_worth(entry, tmp_path):
    rng = np.random.default_rng(0)
    files = [seated(tmp_path / f"{i}.jsonl", entry, 0, effects=[*(0.2 + rng.normal(0, 1e-3, 10))]) for i in range(4)]
    group = only_group(*files)
    assert group.differing == {} and len(group.pool.seeds) == 10 and group.repeated == 30


def test_a_class_that_agrees_on_no_seed_still_has_its_page(entry, tmp_path):
    files = [seated(tmp_path / f"{i}.jsonl", entry, 0, effect=i) for i in range(2)]
    found = classbook.gather(files)
    said, _ = looked_at(classbook.page(found))
    assert "No seed counts" in said and "They are not scored" in said
    assert any("No seed counts" in line for line in classbook.lines(found))


def test_lines_that_cannot_be_pooled_are_counted_and_books_without_runs_say_what_to_do(books, book):
    with books[0].open("ab") as file:
        file.write(b'{"kind": "run", "state": "done"}\ntorn')
    found = classbook.gather(books)
    assert len(found.groups[0].readers) == 3
    damaged, unusable = found.left_out
    assert damaged == "anna.jsonl: 1 damaged line was left out (the first is line 3)."
    assert unusable.startswith("anna.jsonl: 1 unusable run was left out (in line 2, ") and "seeds" in unusable
    book.add("note", text="x")
    without = classbook.gather([book.path])
    assert "no finished runs" in " ".join(classbook.lines(without)) and looked_at(classbook.page(without))


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
    assert code == 0 and "1 guess, 1 scored, 1 right" in said
    assert out.read_text("utf-8") == page.page(LabBook(books[0]))
    code, said = called("classbook", *books, "--html", out)
    assert code == 0 and "3 readers, 26 seeds together. Higher error" in said
    assert out.read_text("utf-8") == classbook.page(classbook.gather(books)) and not list(tmp_path.glob("*.part"))
    assert called("labbook")[0] == 1
    books[0].rename("lab-book.jsonl")
    assert called("labbook")[0] == 0


def test_a_page_never_replaces_a_book_and_failures_are_said(books, tmp_path):
    before = books[0].read_bytes()
    for command in (("labbook", books[0]), ("classbook", *books)):
        itself = os.path.join(tmp_path, "..", tmp_path.name, books[0].name)
        for arguments, words in (
            ((*command, "--html", itself), "the file that is read"),
            ((*command, "--html", tmp_path / "no" / "out.html"), "there is no folder"),
            ((*command, "--html", tmp_path), "is a folder"),
            ((*command, "--html", tmp_path / ("x" * 300)), "cannot be written"),
            ((*command, "--html", "nul\0"), "cannot be written"),
            ((command[0], tmp_path / "no.jsonl"), "no.jsonl cannot be read"),
        ):
            code, said = called(*arguments)
            assert code == 1 and words in said
    assert books[0].read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(path.name for path in books)


def test_the_book_loads_no_figures_and_no_book_is_ever_committed():
    code = (
        "import sys, rnntips as rt; rt.labbook.LabBook; print({'matplotlib', 'ipywidgets', 'IPython'} & {*sys.modules})"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True).stdout == "set()\n"
    ignored = (ROOT / ".gitignore").read_text(encoding="utf-8").split()
    assert module.FILE in ignored and os.sep not in module.FILE
