"""Whatever a name says, a page has the tags that it has with any other name, and the name is read as it was written."""

import ast
import copy
import re
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace

import IPython.display
import ipywidgets
import numpy as np
import pytest
from matplotlib.text import Text

import rnntips as rt
from rnntips import figures
from rnntips.errors import RnntipsError
from rnntips.notebook.labbook import LabBook, classbook, page, run_entry
from rnntips.notebook.panels.messages import Asked, described, plan, question, result, static
from rnntips.notebook.panels.picture import draw
from rnntips.templates import render

PACKAGE = Path(rt.__file__).parent
BENIGN = "a name"
TAGS = re.compile(r"<(a|b|br|code|details|div|i|img|p|path|pre|rect|script|small|span|style|summary|svg|table|text)\b")
HOSTILE = [
    "<img src=x onerror=alert(1)>",
    "</text></svg><script>alert(1)</script>",
    '"><svg onload=alert(1)>',
    "' onmouseover='alert(1)",
    "</title></style></pre><!-- <base href=//x>",
    "&lt;script&gt;",
    "{{7*7}}{% raw %}${7*7}",
    r"$\frac{$",
    "a\x00\x1b[2J\x07b",
    "\ud800",
    "读者 \U0001f600",
]


class Read(HTMLParser):
    """The tags of HTML with the names of their attributes, comments, and the words."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.words = [], ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, [name for name, _ in attrs]))

    def handle_comment(self, data):
        self.tags.append(("comment", []))

    def handle_data(self, data):
        self.words += data


@pytest.fixture(scope="module")
def study():
    baseline = rt.Recipe(updates=20, past=8, width=4, batch_size=8)
    return rt.compare(baseline, baseline.but(lr=0.03), on=rt.series.sines(steps=400), seeds=range(10))


def named(study, name):
    """The study as if its setting and its unit were called so."""
    sides = [copy.copy(side) for side in next(iter(study.runs.values()))]
    for side in sides:
        side.setting = side.unit = name
        side.versions = {name: name}
    return replace(study, runs={name: tuple(sides)})


def shown(call, monkeypatch):
    """The bundles that a call displays."""
    bundles = []
    monkeypatch.setattr(IPython.display, "display", lambda bundle, raw: bundles.append(bundle))
    call()
    return bundles


def of_study(study, name, tmp_path, monkeypatch):
    return [b["text/html"] for b in shown(named(study, name)._ipython_display_, monkeypatch) if "text/html" in b]


def of_panel_parts(study, name, tmp_path, monkeypatch):
    (sides,) = named(study, name).runs.values()
    if storable(name):
        asked = Asked(name, name, name)
    else:  # no file and no line of code can hold it
        with pytest.raises(RnntipsError, match="no file can hold"):
            Asked(name, 0.03)
        asked = Asked(BENIGN, 0.03)
    recipes = [side.recipes[0] for side in sides]
    told = result(named(study, name), name, {name: 1, BENIGN: None}, name, True, True, name)
    return [question(name, "lr", recipes, asked.setting, range(10), False), told,
            plan(described("lr", recipes), True, [name]), draw(*sides, [name, name], 0.05, name),
            static("<b>?</b>", [("baseline", name, name)], None)]  # fmt: skip


def storable(name):
    return name.encode("utf-8", "ignore").decode() == name


def of_books(study, name, tmp_path, monkeypatch):
    """Every field of every kind of line holds the name that can, in one reader's book and in a class's."""
    texts = ("tip", "setting", "field", "baseline", "variant", "sentence", "device", "experiment", "verdict")
    entry = run_entry(study, "x", "x", experiment="x", guess="lower") | dict.fromkeys(texts, name)
    entry |= {"recipes": [name, name], "versions": {name: name}}
    (tmp_path / name.translate({ord(c): "_" for c in "/\x00\ud800"})).mkdir()
    books = [LabBook(tmp_path / name.translate({ord(c): "_" for c in "/\x00\ud800"}) / f"{i}.jsonl") for i in range(2)]
    for book in books:
        book.add("run", **entry)
        book.add("run", **entry | {"seat": name, name: name})  # unusable for a class
        book.add("note", text=name)
        book.add("exercise", name=name, tries=name, passed=True, solution_opened=True)
    files = [book.path for book in books] + [books[0].path.parent]
    bundles = shown(lambda: page.show(books[0]), monkeypatch)
    return [page.page(books[0]), classbook.page(classbook.gather(files)), bundles[0]["text/html"]]


@pytest.mark.parametrize("pages", [of_study, of_panel_parts, of_books])
@pytest.mark.parametrize("name", HOSTILE)
def test_a_name_is_read_as_written_and_adds_no_tag_and_no_attribute(name, pages, study, tmp_path, monkeypatch):
    found = [Read(html) for html in pages(study, name, tmp_path, monkeypatch)]
    (tmp_path / "benign").mkdir()
    usual = [Read(html) for html in pages(study, BENIGN, tmp_path / "benign", monkeypatch)]
    assert len(found) == len(usual) > 0
    for read, as_usual in zip(found, usual, strict=True):
        assert read.tags == as_usual.tags
        if BENIGN in as_usual.words:
            written = name.replace("\ud800", "?")
            assert written in read.words.replace("\ud800", "?")


def values(widget):
    """The HTML of a widget and of all inside it."""
    own = [widget.value] if isinstance(widget, ipywidgets.HTML) else []
    return own + [html for child in getattr(widget, "children", ()) for html in values(child)]


def of_a_panel(name, tmp_path, monkeypatch):
    """All that a panel shows of a file with such names: asked, run, noted, on Colab, and its study."""
    monkeypatch.chdir(tmp_path)
    file = f"{name.replace('/', '_')}.csv"
    rows = np.sin(np.arange(500) / 3) + 0.1 * np.random.default_rng(0).normal(size=500)
    quoted = name.replace('"', '""')
    Path(file).write_text("\n".join([f'"{quoted}",other', *(f"{y},{i}" for i, y in enumerate(rows))]), "utf-8")
    panel = rt.panels.Panel("scaling", setting=file, column=name)
    panel.baseline = panel.baseline.but(updates=20, width=4, past=8)
    found = values(panel)
    panel.press("lower")
    assert panel._ended.wait(120) and panel.state == "done"
    found += values(panel)
    panel.note.value = name
    found += values(panel)
    monkeypatch.setitem(sys.modules, "google.colab", SimpleNamespace())
    found.append(panel._repr_mimebundle_()["text/html"])
    found += [b["text/html"] for b in shown(panel.study()._ipython_display_, monkeypatch) if "text/html" in b]
    return found


def test_a_panel_shows_a_file_s_names_as_words(tmp_path, monkeypatch):
    monkeypatch.setenv("RNNTIPS_LABBOOK", str(tmp_path / "book.jsonl"))
    evil = of_a_panel("".join(HOSTILE[:4]) + HOSTILE[6] + HOSTILE[7], tmp_path, monkeypatch)
    usual = of_a_panel(BENIGN, tmp_path, monkeypatch)
    # seeds follow from the name, so that a picture may have more marks, but none of another kind
    assert len(evil) == len(usual)
    for one, other in zip(evil, usual, strict=True):
        assert {str(tag) for tag in Read(one).tags} == {str(tag) for tag in Read(other).tags}


def test_the_map_of_lessons_shows_nothing_that_a_book_says(tmp_path, monkeypatch):
    book = LabBook(tmp_path / "book.jsonl")
    for name in HOSTILE:
        book.add("run", tip=name, guess="lower", right=True, experiment=name)
    (bundle,) = shown(lambda: rt.labbook.lesson_map(book), monkeypatch)
    (usual,) = shown(lambda: rt.labbook.lesson_map(LabBook("")), monkeypatch)
    assert bundle == usual


def test_templates_know_no_value_that_was_not_given():
    with pytest.raises(Exception, match="undefined"):
        render("study.html")


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_only_templates_make_tags(path):
    """No other text of the package has a tag, but for arguments of `Markup`, whose `format` escapes as templates do."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    escaped = {id(part) for node in ast.walk(tree) if isinstance(node, ast.Call) and ast.unparse(node.func) == "Markup"
               for argument in node.args if isinstance(argument, ast.Constant) for part in [argument]}  # fmt: skip
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in escaped:
            assert not TAGS.search(node.value), f"line {node.lineno}: {node.value}"


# ── figures ─────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", HOSTILE)
def test_a_figure_draws_a_name_as_it_is(name, study):
    """No formula, no exception, no warning; wherever a lesson puts a name."""
    of = named(study, name)
    (sides,) = of.runs.values()
    name_or = name if storable(name) else BENIGN  # a series refuses what no file can hold
    series = rt.tasks.forecast(rt.series.from_array(np.sin(np.arange(300.0)), name=name_or, unit=name_or))
    drawn = [figures.both(of, title=name).axes[0], figures.curves({name: sides[0], name + " ": sides[1]}),
             figures.series(series), figures.findings([(name, 0.1, (0.0, 0.2), 0.05)], what=name)]  # fmt: skip
    (ax,) = figures.axes(1, 9, 6)
    ax.plot([1, 2], label=name)
    ax.set(title=name, xlabel=name, ylabel=name)
    ax.set_xticks([0, 1], [figures.legible(name)] * 2)
    ax.annotate(name, (0.5, 1)), ax.legend(title=name), ax.figure.suptitle(name)
    for figure in {one.figure for one in [*drawn, ax]}:
        assert figure._repr_png_().startswith(b"\x89PNG")
        texts = figure.findobj(Text)
        assert not any(text.get_parse_math() for text in texts)
        assert any(figures.legible(one).strip()[:9] in text.get_text() for text in texts for one in (name, name_or))
