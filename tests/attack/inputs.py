"""Whatever is given: arguments, tables, logs, class books, and what a browser sends to a panel."""

import datetime
import json
import os
import random
import re
import resource
import tempfile
from functools import partial
from pathlib import Path

import numpy as np
from files import HEALTHY
from hypothesis import strategies as st
from tally import Tally
from test_arguments import ANY, PUBLIC, call
from test_mutations import need_as_written, written

import rnntips as rt
from rnntips.doctor.log_checks import read_file
from rnntips.notebook.labbook import LabBook, run_entry
from rnntips.notebook.labbook.classbook import gather, page
from rnntips.notebook.panels import Panel

MEMORY = 16 << 30  # bytes of addresses that a process may use
HOSTILE = ["<img src=x onerror=alert(1)>", "</text><script>alert(1)</script>", '"><svg onload=alert(1)>', "\u202egnp",
           "a\x00b", "$\\frac{$", "'; DROP", "{{ 7*7 }}", "=cmd|' /C calc'!A0", "\ud800", "é" * 130, ""]  # fmt: skip
NAMES = ["ok.csv", "../../evil.csv", "/tmp/evil.csv", "..\\win.csv", ".hidden.csv", "..", "/", "con.csv", "numpy.py",
         "lab-book.jsonl", "-rf.csv", "x" * 300 + ".csv", "link.csv", *(f"{text}.csv" for text in HOSTILE)]  # fmt: skip
BYTES = [b"\x00", b"\xff\xfe", b'"', b"\r", b"\n\n", b",", b";", b"\t", b"1e999", b"\xe9", b"9" * 400, b"," * 3000]
# Scripts, what is loaded from elsewhere, and handlers that are not the panel's own.
FORBIDDEN = re.compile(r"<(?:script|iframe|img|object)|<(?!style )[^<>]* on\w+=", re.IGNORECASE)
LOG = "\n".join(["epoch,loss,val_loss,grad_norm", *(f"{i},{1 / (1 + i):.3f},{2 / (2 + i):.3f},1" for i in range(80))])


def arguments(tally: Tally) -> None:
    """Any value for any argument of any public function."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    names = st.sampled_from(list(PUBLIC))
    strange = names.flatmap(lambda name: st.tuples(
        st.just(name), st.dictionaries(st.sampled_from(PUBLIC[name][2]), ANY, min_size=1, max_size=3)))  # fmt: skip
    tally.attempt_drawn(strange, lambda drawn: f"{drawn[0]}, {', '.join(drawn[1])}", lambda drawn: call(*drawn))


def tables(tally: Tally) -> None:
    """Tables in random dialects with random faults: read as they were written, or refused."""
    path = Path(tempfile.mkdtemp()) / "x.csv"
    tally.attempt_drawn(written(), lambda table: repr(table.content)[:200], partial(need_as_written, path=path))


def damaged(tally: Tally) -> None:
    """Tables and logs with bytes changed, left out and added: read, or an error in words."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    folder = Path(tempfile.mkdtemp())
    for number in tally.times():
        if number % 4:
            file = tally.rng.choice(HEALTHY)
            path, content, read = folder / file.file, file.content, partial(rt.series.from_csv, **file.given)
        else:
            path, content, read = folder / "log.csv", LOG.encode(), read_file
        path.write_bytes(raw := mutated(content, tally.rng))
        tally.attempt(f"{path.name}: {raw[:200]!r}", lambda: repr(read(path)))  # noqa: B023
        path.unlink()


def mutated(content: bytes, rng: random.Random) -> bytes:
    """The content after one to four accidents."""
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(content) + 1)
        to = min(len(content), at + rng.choice([1, 1, 2, 10, 100, 1000]))
        put = rng.choice([b"", rng.choice(BYTES), rng.randbytes(rng.randint(1, 9)), content[at:to] * 2])
        content = content[:at] + (b"" if rng.random() < 0.05 else put + content[to:])
    return content


def need_harmless(*pages: str) -> None:
    found = [match.group() for text in pages for match in FORBIDDEN.finditer(text)]
    assert not found, found


def class_books(tally: Tally) -> None:
    """A class of two, of whom one file was changed by hand or by accident: the other's findings stay as they are."""
    folder, base = Path(tempfile.mkdtemp()), rt.Recipe(updates=4, width=2, past=4, batch_size=4)
    honest, other = folder / "honest.jsonl", folder / "other.jsonl"
    for seat, book in ((1, honest), (2, other)):
        study = rt.compare(base, base.but(lr=0.03), rt.series.sines(200), range(100 * seat, 100 * seat + 10))
        for name in "ab":
            LabBook(book).add("run", **run_entry(study, "scaling", name, experiment=name, guess="lower", seat=seat))
    lines, rng = other.read_text().splitlines(), tally.rng

    def pooled(*files: Path) -> list:
        """The findings of the honest one."""
        need_harmless(page(book := gather(files)))
        readers = [reader for group in book.groups for reader in group.readers]
        return [reader.finding for reader in readers if reader.label.startswith("honest")]

    right = pooled(honest)
    for _ in tally.times():
        entries = [json.loads(line) for line in lines]
        for _ in range(rng.randint(1, 4)):
            place = rng.choice(entries)
            at = rng.choice(list(place))
            if isinstance(place[at], list) and place[at] and rng.random() < 0.5:
                place, at = place[at], rng.randrange(len(place[at]))
            place[at] = rng.choice([None, -1, 0.5, 10**30, [], {}, [None], True, 1e308, *HOSTILE])
        raw = "\n".join(map(json.dumps, entries)).encode()
        other.write_bytes(raw := mutated(raw, rng) if rng.random() < 0.5 else raw)
        tally.attempt(repr(raw[:300]), partial(pooled, honest, other), right)


def panels(tally: Tally) -> None:
    """Any arguments, uploads, choices and clicks: no script in the page, and no file but tables beside the notebook."""
    outside, rng = Path(tempfile.mkdtemp()), tally.rng
    (folder := outside / "notebooks").mkdir()
    os.chdir(folder)
    (folder / "link.csv").symlink_to(outside / "elsewhere.txt")
    names = st.sampled_from(["setting", "column", "cell", "lr", "seat", "device", "width", "gaps", "missing"])
    strange = st.dictionaries(names, ANY, max_size=2) | st.just({})

    def use(given: dict) -> None:
        panel = Panel(rng.choice(list(rt.tips)), **given)
        repr(panel), panel._repr_mimebundle_()
        buttons = [panel.press, panel.stop, panel.more_seeds, panel.where_it_fails, panel.reset, panel.fill]
        for _ in range(4):
            if panel.state != "running":
                _upload(panel, rng)
                control = rng.choice([one for one in panel.controls.values() if getattr(one, "options", ())])
                control.index = rng.randrange(len(control.options))
            rng.choice(buttons)()
        panel.stop()
        assert panel._ended.wait(30), "it does not end"
        need_harmless(*(part.value for part in (panel.question, panel.plan, panel.status, panel.picture, panel.code)))
        assert "Traceback" not in panel.status.value, panel.status.value[-500:]
        assert [path.name for path in outside.iterdir()] == ["notebooks"], "a file was written elsewhere"
        assert all(path.suffix.lower() == ".csv" for path in Path().iterdir()), "a file that is no table was kept"

    tally.attempt_drawn(strange, lambda given: ", ".join(given), use)


def _upload(panel: Panel, rng: random.Random) -> None:
    titles = rng.sample(["t", "load", "other", *(text.replace(",", "") for text in HOSTILE)], 3)
    rows = "\n".join(f"{i},{np.sin(i / 3):.4f},{i % 7}" for i in range(300))
    raw = f"{','.join(titles)}\n{rows}\n".encode("utf-8", "replace")
    raw = mutated(raw, rng) if rng.random() < 0.5 else raw
    about = {"name": rng.choice(NAMES), "type": "text/csv", "size": len(raw), "content": memoryview(raw)}
    panel.upload.value = (about | {"last_modified": datetime.datetime.now()},)
