"""Runs on disk: what comes back is what was trained, and whatever happens to a file or a process costs little."""

import errno
import json
import os
import pickle
import signal
import subprocess
import sys
import time
from dataclasses import fields
from hashlib import sha256
from io import BytesIO

import numpy as np
import pytest
from click.testing import CliRunner
from oracles import assert_same

import rnntips as rt
from rnntips.errors import BadArgument
from rnntips.jobs import execute
from rnntips.jobs import store as store_module
from rnntips.jobs.execute import KEPT, Resources
from rnntips.jobs.store import Store, key
from rnntips.tuning import train_arms

BASE = rt.Recipe(updates=30, past=8, width=4, batch_size=4)
TASK = rt.tasks.forecast(rt.series.sines(steps=400))


def trained(recipe, seeds, device="cpu", **how) -> rt.Runs:
    return train_arms([recipe], TASK, seeds, Resources.of(device, **how))[0]


@pytest.fixture(scope="module")
def fresh():
    return rt.train(BASE, TASK, range(3), device="cpu")


@pytest.fixture
def kept(tmp_path, fresh):
    """A store with three runs in it, and the file of the first."""
    store = Store(tmp_path / "runs")
    store.write(fresh, TASK)
    return store, store.folder / f"{key(BASE, TASK, 0, 'cpu')}.npz"


def trained_again(store, monkeypatch) -> list[int]:
    """Seeds that are trained when three runs are asked for; what comes back is as if nothing had been stored."""
    seeds, real = [], execute.train_jobs
    with monkeypatch.context() as patch:
        patch.setattr(execute, "train_jobs", lambda jobs, *more: seeds.extend(jobs[0].seeds) or real(jobs, *more))
        found = trained(BASE, range(3), store=store)
    assert_same(found, rt.train(BASE, TASK, range(3), device="cpu"))
    return seeds


# --- what is stored is what was trained


@pytest.mark.parametrize(
    "change",
    [{}, {"optimizer": "sgd", "lr": 1e6}, {"dropout": 0.3}, {"budget": rt.epochs(1)}, {"features": "differences:3"}],
    ids=str,
)
def test_a_stored_run_is_the_fresh_one_bit_for_bit(tmp_path, change):
    recipe = BASE.but(**change)
    first, again = trained(recipe, range(3), store=tmp_path), trained(recipe, [2, 0, 1], store=tmp_path)
    assert_same(first, rt.train(recipe, TASK, range(3)))
    assert_same(again.only([1, 2, 0]), first)
    assert len(list(tmp_path.glob("*.npz"))) == 3


def test_a_run_that_was_stored_before_its_answers_were_compared_is_read_and_joined(tmp_path, fresh, monkeypatch):
    """What is said of answers is left out then; all else is as it was."""
    with monkeypatch.context() as patch:
        patch.setattr(store_module, "ROWS", [name for name in store_module.ROWS if name not in ("spread", "from_last")])
        patch.setattr(
            store_module, "fields", lambda kind: [f for f in fields(kind) if f.name not in ("spread", "from_last")]
        )
        Store(tmp_path).write(fresh.only([0]), TASK)
    assert fresh.from_last.shape == fresh.spread.shape == (3,) and np.isfinite(fresh.spread).all()
    found = trained(BASE, range(3), store=tmp_path)
    assert not len(found.spread) and not len(found.from_last)
    np.testing.assert_array_equal(found.weights, fresh.weights)
    codes = [[one.code for one in runs.diagnosis.findings] for runs in (found, fresh)]
    assert set(codes[0]) <= {*codes[1], "worse-than-naive"}


def test_training_goes_on_from_stored_runs(kept, fresh):
    store, _ = kept
    read = store.read(BASE, TASK, 0, "cpu")
    assert_same(rt.train(BASE, TASK, [0], start=read), rt.train(BASE, TASK, [0], start=fresh.only([0])))


def test_stored_runs_are_not_trained_again_and_missing_ones_are(kept, monkeypatch):
    store, path = kept
    assert trained_again(store, monkeypatch) == []
    path.unlink()
    assert trained_again(store, monkeypatch) == [0]


def test_a_run_that_did_not_end_is_not_stored(tmp_path):
    store = Store(tmp_path)
    runs = rt.train(BASE, TASK, range(2))
    runs.reached = 29
    store.write(runs, TASK)
    assert not list(tmp_path.iterdir())


def test_nothing_is_read_or_written_without_a_store(monkeypatch):
    monkeypatch.setattr(Store, "read", lambda *_: pytest.fail("read"))
    monkeypatch.setattr(Store, "write", lambda *_: pytest.fail("written"))
    rt.compare(BASE, BASE.but(width=3), TASK, range(2))


@pytest.mark.parametrize("name", ["file", "file/below", "a\0b", "x" * 5000, "~no-such-user/x", "\ud800", 3, b"x", True])
def test_what_cannot_be_a_store_is_refused_before_anything_is_trained(tmp_path, name, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(BadArgument, match="store="):
        rt.compare(BASE, BASE.but(width=3), TASK, range(2), store=name)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
@pytest.mark.parametrize("put", [os.mkdir, getattr(os, "mkfifo", None)], ids=["folder", "pipe"])
def test_what_is_no_file_is_moved_aside_and_its_run_trained(tmp_path, put):
    before = rt.compare(BASE, BASE.but(width=3), TASK, range(2), store=tmp_path)
    path = next(tmp_path.glob("*.npz"))
    path.unlink()
    put(path)
    with pytest.warns(RuntimeWarning, match="no file"):
        after = rt.compare(BASE, BASE.but(width=3), TASK, range(2), store=tmp_path)
    for mine, theirs in zip(before.runs["sines"], after.runs["sines"], strict=True):
        assert_same(mine, theirs)
    assert path.is_file()


# --- names


def test_a_name_tells_apart_all_that_makes_a_run_another():
    series = rt.series.sines(steps=400)
    tasks = [
        TASK, rt.tasks.forecast(series, spikes=0.1), rt.tasks.forecast(series, spikes=0.2),
        rt.tasks.forecast(series, history=60),
        rt.tasks.forecast(rt.series.sines(steps=400, noise=0.2)), rt.tasks.forecast(rt.series.sines(steps=401)),
        rt.tasks.forecast(rt.series.co2()), rt.tasks.forecast(rt.series.from_array(series.values)),
    ]  # fmt: skip
    recipes = [BASE, BASE.but(lr=0.02), BASE.but(updates=31), BASE.but(dense=(3,)), BASE.but(budget=rt.epochs(2))]
    names = [key(BASE, task, 0, "cpu") for task in tasks] + [key(recipe, TASK, 0, "cpu") for recipe in recipes[1:]]
    same_data = rt.tasks.forecast(rt.series.Series("fixed", "", series.values, simulator=lambda rng: series.values))
    names += [key(BASE, same_data, seed, device) for seed in (0, 1) for device in ("cpu", "cuda")]
    assert len(set(names)) == len(names) == 16
    again = rt.tasks.forecast(rt.series.sines(steps=400))
    assert key(rt.Recipe(updates=30, past=8, width=np.int64(4), batch_size=4), again, 0, "cpu") == names[0]


def test_runs_of_another_engine_are_not_read(kept, monkeypatch):
    store, _ = kept
    monkeypatch.setattr(store_module, "ENGINE", store_module.ENGINE + 1)
    assert trained_again(store, monkeypatch) == [0, 1, 2]
    assert len(list(store.folder.glob("*.npz"))) == 6


# --- damage


def signed(**changes) -> bytes:
    """A file with a right checksum whose contents are somebody else's."""
    buffer = BytesIO()
    np.savez(buffer, **changes)
    return buffer.getvalue() + sha256(buffer.getvalue()).digest()


def about(**entries) -> np.ndarray:
    return np.array(json.dumps(entries))


FOREIGN = {
    "empty": b"",
    "text": b"hello, world\n",
    "image": b"\x89PNG\r\n\x1a\n" + bytes(500),
    "no run": signed(x=np.arange(3)),
    "pickle": signed(about=np.array([{"schema": 1}], dtype=object)),
    "other schema": signed(about=about(schema=store_module.SCHEMA + 1, key="", run={})),
    "other key": signed(about=about(schema=store_module.SCHEMA, key="0" * 64, run={})),
}


@pytest.mark.parametrize("kind", [*FOREIGN, "another run"])
def test_a_foreign_file_is_moved_aside_and_its_run_trained_again(kept, monkeypatch, kind):
    store, path = kept
    other = store.folder / f"{key(BASE, TASK, 1, 'cpu')}.npz"
    before = FOREIGN[kind] if kind in FOREIGN else other.read_bytes()
    path.write_bytes(before)
    with pytest.warns(RuntimeWarning, match="moved to"):
        assert trained_again(store, monkeypatch) == [0]
    aside = sorted((store.folder / "aside").iterdir())
    assert aside[-2].read_bytes() == before and aside[-1].read_text().strip()
    assert trained_again(store, monkeypatch) == []


def test_any_flipped_bit_and_any_truncation_is_found_out(kept):
    store, path = kept
    whole, rng = path.read_bytes(), np.random.default_rng(0)
    damaged = [whole[:length] for length in rng.integers(0, len(whole), 100)] + [whole[:-1], whole + b"\0"]
    for place in [0, len(whole) - 1, *rng.integers(0, len(whole), 200)]:
        damaged.append(whole[:place] + bytes([whole[place] ^ 1 << int(rng.integers(8))]) + whole[place + 1 :])
    for raw in damaged:
        path.write_bytes(raw)
        with pytest.warns(RuntimeWarning, match="moved to"):
            assert store.read(BASE, TASK, 0, "cpu") is None
        assert not path.exists()
    path.write_bytes(whole)
    assert store.read(BASE, TASK, 0, "cpu") is not None


def test_a_full_disk_costs_a_warning_and_no_result(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.warns(RuntimeWarning, match="No space left"):
        found = trained(BASE, range(3), store=tmp_path)
    assert_same(found, rt.train(BASE, TASK, range(3)))
    assert not list(tmp_path.iterdir())


def test_what_a_killed_process_left_half_written_is_cleared_away_later(tmp_path):
    for name, age in {"old": 10_000, "new": 10}.items():
        (tmp_path / f"{name}.part").write_bytes(b"half")
        stamp = (tmp_path / f"{name}.part").stat().st_mtime - age
        os.utime(tmp_path / f"{name}.part", (stamp, stamp))
    Store(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["new.part"]


# --- processes

STUDY = """
import os, sys
import rnntips as rt, rnntips.jobs.execute, rnntips.engine.numba_ops

def study(store):
    base = rt.Recipe(updates=200, past=16, width=8, batch_size=8)
    return rt.compare(base, base.but(width=6), on=rt.series.sines(steps=800), seeds=range(30), store=store)

def logged(path):
    '''Begun runs are counted in a file, before anything is trained.'''
    log, real = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND), rnntips.jobs.execute.train_jobs
    def train_jobs(jobs, *more):
        os.write(log, b"x" * len(jobs[0].seeds))
        return real(jobs, *more)
    rnntips.jobs.execute.train_jobs = train_jobs
"""


def scores(store) -> list[np.ndarray]:
    space: dict = {}
    exec(STUDY, space)
    return [side.test_score for side in space["study"](store).runs["sines"]]


# All processes are forked from one that has imported everything and done nothing.
FORKS = (
    STUDY
    + """
import json, pathlib, random, signal, time
kills, root = int(sys.argv[1]), pathlib.Path(sys.argv[2])
chance, lost, whole, attempt = random.Random(kills), [], 0, 0
def child(folder, log):
    process = os.fork()
    if not process:
        logged(log)
        study(folder)
        os._exit(0)
    return process
both = [child(root / "both", root / "both.log") for _ in range(2)]
codes = [os.waitpid(process, 0)[1] for process in both]
while len(lost) < kills:
    folder, log = root / str(whole), root / f"{whole}-{attempt}.log"
    folder.mkdir(exist_ok=True)
    before, attempt = len(list(folder.glob("*.npz"))), attempt + 1
    process = child(folder, log)
    time.sleep(chance.uniform(0, 0.6))
    os.kill(process, signal.SIGKILL)
    ended = os.waitpid(process, 0)[1] == 0
    whole += ended
    if not ended:
        begun = log.stat().st_size if log.exists() else 0
        lost.append(begun - (len(list(folder.glob("*.npz"))) - before))
print(json.dumps({"codes": codes, "lost": lost}))
"""
)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
@pytest.mark.parametrize("kills", [5, pytest.param(50, marks=pytest.mark.slow)])
def test_two_processes_fill_one_folder_and_a_kill_at_any_moment_loses_at_most_one_job(tmp_path, kills):
    command = [sys.executable, "-W", "error", "-c", FORKS, str(kills), tmp_path]
    found = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    print(found)
    assert found["codes"] == [0, 0]
    assert len(list(tmp_path.glob("both/*.npz"))) == 60 <= (tmp_path / "both.log").stat().st_size
    assert len(found["lost"]) == kills and all(0 <= lost <= KEPT for lost in found["lost"])
    assert max(found["lost"]) > 0  # some kill came while something was trained
    assert not list(tmp_path.glob("both/*.part")) and not list(tmp_path.glob("*/aside"))
    uninterrupted = scores(None)
    for folder in (path for path in tmp_path.iterdir() if path.is_dir()):
        np.testing.assert_array_equal(scores(folder), uninterrupted)
    assert not list(tmp_path.glob("*/aside"))


# The command line, with plans of short runs. What a shell starts in the background is deaf to Ctrl-C, and must not be.
SHORTER = """
import signal, tomllib
from evidence.__main__ import main
from rnntips.notebook import lessons
def short(path):
    found = tomllib.loads(path.read_text(encoding="utf-8").replace("updates = 300", "updates = 20"))
    if path.parent.name == "scaling":  # one claim, and nothing tuned, so that nothing stored is asked for
        claim = found["plan"]["claims"]["C1"]
        found["plan"] |= {"tuned": "none", "claims": {"C1": claim | {"settings": ["demand"]}}}
    return found
"""
HEARS = "signal.signal(signal.SIGINT, signal.default_int_handler); lessons._toml = short; main()"


@pytest.mark.skipif(sys.platform == "win32", reason="sends an interrupt")
def test_an_interrupted_command_goes_on_where_it_stood(tmp_path, monkeypatch):
    """Ctrl-C: exit 130, what is done is said to be kept and is; the same command then trains the rest alone."""
    given = ["run", "scaling", "--seeds", "0:20", "--store", str(tmp_path / "runs")]
    with subprocess.Popen(
        [sys.executable, "-c", SHORTER + HEARS, *given], stderr=subprocess.PIPE, text=True
    ) as process:
        while not list(tmp_path.glob("runs/*.npz")) and process.poll() is None:
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate()
    kept = len(list(tmp_path.glob("runs/*.npz")))
    assert process.returncode == 130, said
    assert "goes on" in said and str(tmp_path / "runs") in said
    assert 0 < kept < 40
    space: dict = {}
    exec(SHORTER, space)
    monkeypatch.setattr("rnntips.notebook.lessons._toml", space["short"])
    record = json.loads(CliRunner().invoke(space["main"], [*given, "--json"], catch_exceptions=False).stdout)
    assert record["seeds"] == list(range(20)) and len(list(tmp_path.glob("runs/*.npz"))) == 40


# --- what is sent to workers


@pytest.mark.parametrize("name", ["array", "csv", "co2", "demand", "sines", "sines_as_printed"])
def test_tasks_recipes_and_runs_can_be_sent_to_other_processes(tmp_path, name, fresh):
    (tmp_path / "a.csv").write_text("x\n" + "\n".join(map(str, np.arange(80) % 7)))
    made = {"array": lambda: rt.series.from_array(np.arange(80) % 7),
            "csv": lambda: rt.series.from_csv(tmp_path / "a.csv")}  # fmt: skip
    task = rt.tasks.forecast(made.get(name, getattr(rt.series, name, None))(), spikes=True)
    sent, recipe, runs = pickle.loads(pickle.dumps((task, BASE, fresh)))
    assert sent.meaning(BASE, 5) == task.meaning(BASE, 5) and recipe == BASE
    assert sent.bounds(BASE, 5) == task.bounds(BASE, 5)
    assert_same(runs, fresh)
