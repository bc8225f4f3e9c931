"""Groups of runs through executors of every kind, and what becomes of runs that end in an exception."""

import subprocess
import sys
import threading
import time
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context

import numpy as np
import pytest
import torch
from test_store import BASE, TASK, assert_same

import rnntips as rt
from rnntips.errors import BadArgument, DeviceFailed, NoDevice, OutOfMemory
from rnntips.executors import opened
from rnntips.groups import AWAY
from rnntips.kernels import pool
from rnntips.kernels.pool import one_thread
from rnntips.progress import Progress
from rnntips.records import compute
from rnntips.tuning import train_sides

SMALL = rt.Recipe(updates=60, past=16, width=8, batch_size=8)
SERIES = rt.series.sines(steps=800)
SETTINGS = {"sines": SERIES, "CO2": rt.series.co2()}
GRID = {"lr": [0.003, 0.01]}


def small_study(**how) -> rt.Study:
    """Two settings, two shapes, tuning: everything that can differ."""
    return rt.compare(SMALL, SMALL.but(width=6), SETTINGS, range(10), tune=GRID, **how)


@pytest.fixture(scope="module")
def here():
    return small_study()


def assert_same_study(one: rt.Study, other: rt.Study) -> None:
    assert one.tuned == other.tuned and one.finding == other.finding
    for setting in SETTINGS:
        for mine, theirs in zip(one.runs[setting], other.runs[setting], strict=True):
            assert_same(mine, theirs)


# --- executors


def test_threads_compute_the_same_bits(here, tmp_path):
    with ThreadPoolExecutor(3) as executor:
        assert_same_study(small_study(executor=executor, store=tmp_path), here)
        sweep = rt.sweep(SMALL, SERIES, range(3), executor=executor, width=[6, 4])
    assert_same(sweep[4].runs["sines"][1], rt.train(SMALL.but(width=4), SERIES, range(3)))
    assert_same_study(small_study(store=tmp_path), here)


def test_processes_compute_the_same_bits(here):
    with opened("processes:2") as executor:
        assert_same_study(small_study(executor=executor), here)


class Cluster:
    """A Dask scheduler and its workers on this machine, each a process."""

    def __init__(self, folder, workers: int = 2):
        self.file = folder / "scheduler.json"
        self.log = (folder / "log").open("w")
        self.processes = [self._start("scheduler", "--port", "0")]
        self.processes += [
            self._start("worker", "--nthreads", "1", "--no-nanny", "--local-directory", folder) for _ in range(workers)
        ]
        until = time.monotonic() + 60
        while not self.file.exists() and time.monotonic() < until:
            time.sleep(0.05)
        from distributed import Client

        self.client = Client(scheduler_file=str(self.file), set_as_default=False)
        self.address = self.client.scheduler_info()["address"]
        self.client.wait_for_workers(workers, timeout=60)

    def _start(self, kind: str, *options) -> subprocess.Popen:
        return subprocess.Popen(
            [sys.executable, "-m", f"distributed.cli.dask_{kind}", "--scheduler-file", self.file,
             "--host", "127.0.0.1", "--no-dashboard", *options], stdout=self.log, stderr=self.log,
        )  # fmt: skip

    def kill_a_busy_worker(self) -> None:
        """kill -9 of one worker while it has work."""
        while not all(self.client.processing().values()):
            time.sleep(0.01)
        self.processes[-1].kill()

    def close(self) -> None:
        self.client.close()
        for process in reversed(self.processes):
            process.kill()
            process.wait()
        self.log.close()


@pytest.fixture
def cluster(tmp_path):
    pytest.importorskip("distributed")
    made = Cluster(tmp_path)
    yield made
    made.close()


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
def test_dask_computes_the_same_bits_and_survives_a_killed_worker(here, cluster, tmp_path):
    executor = cluster.client.get_executor()
    assert_same_study(small_study(executor=executor, store=tmp_path / "runs"), here)
    killer = threading.Thread(target=cluster.kill_a_busy_worker)
    killer.start()
    study = rt.compare(SMALL, SMALL.but(lr=1e-3), SERIES, range(100), executor=executor)
    killer.join()
    assert cluster.processes[-1].wait() == -9
    for side, recipe in zip(study.runs["sines"], (SMALL, SMALL.but(lr=1e-3)), strict=True):
        assert_same(side, rt.train(recipe, SERIES, range(100)))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
def test_dask_computes_the_scaling_record_with_a_worker_killed_in_the_middle(cluster, tmp_path):
    """The record of two workers, one of which dies, is that of one process, and says what the stored one does."""
    tip, times = rt.tips["scaling"], []
    killer = threading.Timer(20, cluster.kill_a_busy_worker)
    killer.start()
    with opened(f"dask:{cluster.address}") as executor:
        began = time.perf_counter()
        clustered = compute(tip, executor=executor, store=tmp_path / "runs")
        times.append(time.perf_counter() - began)
    killer.join()
    assert cluster.processes[-1].wait() == -9
    began = time.perf_counter()
    alone = compute(tip)
    times.append(time.perf_counter() - began)
    print("seconds with Dask and alone:", times)
    assert alone | {"seconds": 0} == clustered | {"seconds": 0}
    assert [claim["word"] for claim in clustered["claims"]] == list(tip.words.values())  # made with another engine


def test_an_executors_groups_are_small_and_use_one_thread(monkeypatch):
    seen = []
    real = rt.train.__globals__["train_stack"]
    monkeypatch.setattr("rnntips.kernels.pool._machine", lambda: 4)
    monkeypatch.delenv("RNNTIPS_THREADS", raising=False)
    monkeypatch.setattr(
        "rnntips.groups.train_stack",
        lambda r, t, s, **how: seen.append((len(s), pool.threads())) or real(r, t, s, **how),
    )
    with ThreadPoolExecutor(2) as executor:
        train_sides([BASE], TASK, range(45), executor=executor)
    assert sorted(seen) == [(5, 1), *[(AWAY, 1)] * 4] and pool.threads() == 4
    train_sides([BASE], TASK, range(45))
    assert seen[-1] == (45, 4)


def test_the_last_of_several_trainings_gives_torchs_threads_back():
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        first, second = one_thread(), one_thread()
        first.__enter__()
        second.__enter__()
        first.__exit__(None, None, None)
        assert torch.get_num_threads() == 1
        second.__exit__(None, None, None)
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


# --- failures


@pytest.fixture
def broken(monkeypatch):
    """Trains nothing whose seeds or recipes a test calls broken."""
    real = rt.train.__globals__["train_stack"]

    def make(why):
        def train_stack(recipes, task, seeds, **how):
            if why(recipes, seeds):
                raise MemoryError("no room for <this>")
            return real(recipes, task, seeds, **how)

        monkeypatch.setattr("rnntips.groups.train_stack", train_stack)

    return make


@pytest.mark.parametrize("threaded", [False, True])
def test_an_exception_in_one_run_is_a_failed_run(broken, threaded, tmp_path):
    variant = BASE.but(lr=1e-5)
    broken(lambda recipes, seeds: any(r.lr == 1e-5 and s == 7 for r, s in zip(recipes, seeds, strict=True)))
    with ThreadPoolExecutor(2) as executor:
        how = {"executor": executor, "store": tmp_path} if threaded else {}
        study = rt.compare(BASE, variant, TASK, range(12), **how)
    good, bad = study.runs["sines"]
    others = [s for s in range(12) if s != 7]
    assert_same(good, rt.train(BASE, TASK, range(12)))
    np.testing.assert_array_equal(bad.test_score[others], rt.train(variant, TASK, others).test_score)
    assert [o.name for o in bad.outcome] == ["FINISHED"] * 7 + ["FAILED"] + ["FINISHED"] * 4
    assert bad.message(7) == "Failed: MemoryError: no room for <this>" and np.isnan(bad.test_score[7])
    assert bad.trivial[7] == good.trivial[7]
    assert study.effects("sines")[7] == pytest.approx(
        np.log(good.trivial / np.minimum(good.trivial, good.test_score))[7]
    )
    for words in (study.sentence, repr(study)):
        assert "1 of 24 runs failed" in words and "no room" in words
    assert repr(bad) == "Runs(12 on sines: 1 FAILED, 11 FINISHED)"
    assert len(list(tmp_path.glob("*.npz"))) == (23 if threaded else 0)


def test_a_stack_too_large_for_the_memory_is_halved(broken):
    broken(lambda recipes, seeds: len(seeds) > 3)
    (runs,) = train_sides([BASE], TASK, range(10))
    broken(lambda recipes, seeds: False)
    assert_same(runs, train_sides([BASE], TASK, range(10))[0])


@pytest.mark.parametrize("change", [{"width": 3}, {"budget": rt.epochs(1)}], ids=str)
def test_a_side_that_fails_wholly_counts_as_naive(broken, change):
    variant = BASE.but(**change)
    broken(lambda recipes, seeds: recipes[0] == variant)
    study = rt.compare(BASE, variant, TASK, range(10))
    good, bad = study.runs["sines"]
    assert set(bad.outcome) == {rt.Outcome.FAILED} and "10 of 20 runs failed" in study.sentence
    np.testing.assert_array_equal(
        study.effects("sines"), np.log(good.trivial / np.minimum(good.test_score, good.trivial))
    )


class Faulty:
    """A task whose data cannot be had for one seed."""

    name, unit = "faulty", "units"

    def __getattr__(self, name: str):
        return getattr(TASK, name)

    def examples(self, recipe, seed: int):
        if seed == 3:
            raise ValueError("row 17 is missing")
        return TASK.examples(recipe, seed)

    def bounds(self, recipe, seed: int):
        self.examples(recipe, seed)
        return TASK.bounds(recipe, seed)


def test_bad_data_in_one_setting_leaves_the_others_alone():
    on = {"faulty": Faulty(), "sound": TASK}
    study = rt.compare(BASE, BASE.but(lr=1e-5), on, range(10))
    assert study.effects("faulty")[3] == 0 and "ValueError: row 17" in study.sentence
    alone = rt.compare(BASE, BASE.but(lr=1e-5), TASK, range(10))
    assert study.finding_in("sound") == alone.finding


def test_tuning_counts_a_failed_run_as_naive(broken):
    broken(lambda recipes, seeds: any(r.lr == 0.01 for r in recipes))
    study = rt.compare(BASE, BASE.but(width=3), TASK, range(2), tune={"lr": [0.01, 0.02]})
    assert [pick["lr"] for pick in study.tuned["sines"]] == [0.02, 0.02]


class Lost(Executor):
    """Every worker dies."""

    def submit(self, *_, **__):
        future: Future = Future()
        future.set_exception(RuntimeError("worker lost"))
        return future


def test_workers_that_are_lost_for_good_leave_failed_runs():
    study = rt.compare(BASE, BASE.but(lr=1e-5), TASK, range(10), executor=Lost())
    assert study.verdict == "NOT TRAINED"
    assert study.sentence.endswith("20 of 20 runs failed and count as naive (RuntimeError: worker lost).")
    assert len(np.unique(study.runs["sines"][0].trivial)) == 10


@pytest.mark.skipif(sys.platform == "win32", reason="kills by signal")
def test_a_pool_that_broke_does_not_end_the_study():
    import os

    with ProcessPoolExecutor(1, get_context("spawn")) as executor:
        assert executor.submit(os._exit, 1).exception()
        assert "BrokenProcessPool" in rt.compare(BASE, BASE.but(lr=1e-5), TASK, range(2), executor=executor).sentence


def test_what_can_be_known_beforehand_is_an_error():
    with pytest.raises(BadArgument, match="device='tpu'"):
        rt.compare(BASE, BASE.but(lr=1e-5), TASK, range(2), device="tpu")
    with pytest.raises(BadArgument, match="largest window"):
        rt.compare(BASE, BASE.but(lr=1e-5), rt.series.sines(steps=40), range(2), executor=Lost())
    with pytest.raises(BadArgument, match="record= is for training in this process"):
        rt.compare(BASE, BASE.but(lr=1e-5), TASK, range(2), executor=Lost(), record=rt.Runs())


# --- a GPU, pretended: what is asked for it trains on the CPU


@pytest.fixture
def pretended(monkeypatch):
    """Groups that a GPU was asked to train, and whatever a test lets happen there beforehand."""
    asked, real = [], rt.train.__globals__["train_stack"]

    def train_stack(recipes, task, seeds, *, device, stop=None):
        asked.append(list(zip(recipes, seeds, strict=True)))
        train_stack.first(seeds)
        runs = real(recipes, task, seeds, device="cpu", stop=stop)
        runs.device = device
        return runs

    train_stack.first = lambda seeds: None
    monkeypatch.setattr("rnntips.arguments.torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("rnntips.groups.train_stack", train_stack)
    train_stack.asked = asked
    return train_stack


@pytest.mark.parametrize("most", [7, 1024])
@pytest.mark.parametrize("how", ["here", "store", "threads"])
def test_a_gpus_groups_hold_every_run_once_and_change_none(pretended, monkeypatch, tmp_path, most, how):
    monkeypatch.setattr("rnntips.tuning.ON_GPU", most)
    sides = [BASE, BASE.but(lr=1e-3), BASE.but(width=3)]
    with ThreadPoolExecutor(2) as executor:
        given = {"here": {}, "store": {"store": tmp_path}, "threads": {"executor": executor}}[how]
        found = train_sides(sides, TASK, range(12), "cuda", **given)
    alike, other = -(-24 // most), -(-12 // most)
    assert len(pretended.asked) == alike + other and max(map(len, pretended.asked)) == min(most, 24)
    trained = [(recipe, seed) for group in pretended.asked for recipe, seed in group]
    assert len(trained) == len(set(trained)) and set(trained) == {(side, seed) for side in sides for seed in range(12)}
    for side, runs in zip(sides, found, strict=True):
        assert runs.device == "cuda"
        runs.device = "cpu"
        assert_same(runs, rt.train(side, TASK, range(12), device="cpu"))


def test_a_store_keeps_the_runs_of_two_devices_apart(pretended, tmp_path):
    for device, missing in (("cpu", 3), ("cuda", 3), ("cpu", 0), ("cuda", 0), ("auto", 0)):
        pretended.asked.clear()
        (runs,) = train_sides([BASE], TASK, range(3), device, store=tmp_path)
        assert sum(map(len, pretended.asked)) == missing and runs.device == ("cuda" if device == "cuda" else "cpu")
    assert len(list(tmp_path.glob("*.npz"))) == 6


@pytest.mark.parametrize("threaded", [False, True])
@pytest.mark.parametrize(
    "error", [RuntimeError("CUDA error: an illegal memory access"), RuntimeError("Cannot re-initialize CUDA")], ids=str
)
def test_a_gpu_that_fails_ends_the_computation_and_makes_no_run_naive(pretended, threaded, error, tmp_path):
    def broken(seeds):
        if 7 in seeds:
            raise error

    pretended.first = broken
    with ThreadPoolExecutor(2) as executor, pytest.raises(DeviceFailed, match=f"{error}.*fewer processes"):
        train_sides([BASE], TASK, range(10), "cuda", store=tmp_path, executor=executor if threaded else None)
    assert len(pretended.asked) == 1


def test_a_group_that_a_gpu_has_no_room_for_is_halved_and_a_run_is_not_given_up(pretended):
    room = 3

    def allocate(seeds):
        if len(seeds) > room:
            raise OutOfMemory("no room")

    pretended.first = allocate
    (runs,) = train_sides([BASE], TASK, range(10), "cuda")
    np.testing.assert_array_equal(runs.test_score, rt.train(BASE, TASK, range(10), device="cpu").test_score)
    room = 0
    with pytest.raises(OutOfMemory, match="no room"):
        train_sides([BASE], TASK, range(10), "cuda")
    with ThreadPoolExecutor(1) as executor, pytest.raises(OutOfMemory, match="no room"):
        train_sides([BASE], TASK, range(10), "cuda", executor=executor)


def test_a_worker_without_the_gpu_that_was_asked_for_leaves_no_failed_runs(monkeypatch):
    monkeypatch.setattr("rnntips.arguments.torch.cuda.is_available", lambda: False)
    with ThreadPoolExecutor(1) as executor, pytest.raises(NoDevice, match="no GPU"):
        train_sides([BASE], TASK, range(3), "cuda", executor=executor)


class Told(Executor):
    """A worker whose device is noted, and which always trains on the CPU."""

    def __init__(self):
        self.devices = []

    def submit(self, _work, recipes, seeds, task, device, _store):
        self.devices.append(device)
        future: Future = Future()
        future.set_result((rt.train(recipes[0], task, seeds, device="cpu"), len(seeds)))
        return future


@pytest.mark.parametrize(("asked", "named", "told"), [("auto", "cuda", "cuda"), ("auto", "", "cpu"),
                                                      ("cuda", "", "cuda"), ("cpu", "cuda", "cpu")])  # fmt: skip
def test_a_device_is_decided_once_for_all_workers(monkeypatch, asked, named, told):
    """Theirs may be another environment; and they may have the GPU that this process has not."""
    monkeypatch.setattr("rnntips.arguments.torch.cuda.is_available", lambda: False)
    monkeypatch.setenv("RNNTIPS_DEVICE", named)
    executor = Told()
    train_sides([BASE], TASK, range(3), asked, executor=executor)
    assert executor.devices == [told]


def test_threads_take_turns_on_a_gpu_and_its_memory_is_given_back(pretended, monkeypatch):
    busy, given_back = [], []
    monkeypatch.setattr("torch.cuda.empty_cache", lambda: given_back.append(busy.pop()))

    def train(seeds):
        assert not busy
        busy.append(seeds)
        time.sleep(0.02)

    pretended.first = train
    with ThreadPoolExecutor(4) as executor:
        train_sides([BASE.but(width=width) for width in (1, 2, 3, 4)], TASK, range(2), "cuda", executor=executor)
    assert len(given_back) == 4 and not busy


@pytest.mark.skipif(not torch.cuda.is_available(), reason="this machine has no GPU")
@pytest.mark.gpu
def test_processes_share_a_gpu(tmp_path):
    sides = [BASE, BASE.but(width=3)]
    with opened("processes:2") as executor:
        found = train_sides(sides, TASK, range(20), "cuda", executor=executor, store=tmp_path)
    for there, here in zip(found, train_sides(sides, TASK, range(20), "cuda"), strict=True):
        assert there.device == "cuda" and not any(there.failures)
        np.testing.assert_allclose(there.test_score, here.test_score, rtol=1e-3)


MARK: list[str] = []


def marks() -> list[str]:
    return MARK


def test_processes_begin_anew_since_a_gpu_cannot_be_used_across_a_fork():
    MARK.append("of the parent")
    with opened("processes:1") as executor:
        assert executor.submit(marks).result() == []


# --- stopping


class Never(Executor):
    """Work is taken and never done; whoever asks stops or interrupts first."""

    def __init__(self, then):
        self.then, self.given = then, []

    def submit(self, *_, **__):
        outer = self

        class Waiting(Future):
            def exception(self, timeout=None):
                outer.then()
                raise TimeoutError

        self.given.append(Waiting())
        return self.given[-1]


def interrupt():
    raise KeyboardInterrupt


def test_stop_ends_the_waiting_for_workers():
    stop = threading.Event()
    executor = Never(stop.set)
    study = rt.compare(BASE, BASE.but(width=3), TASK, range(10), executor=executor, stop=stop)
    assert study.stopped and study.sentence.startswith("Stopped at update 0 of 30")
    assert all(future.cancelled() for future in executor.given)


def test_an_interrupt_stops_a_study_and_is_raised_from_a_record():
    raised = []
    once = Never(lambda: raised or raised.append(1) or interrupt())
    assert rt.compare(BASE, BASE.but(width=3), TASK, range(10), executor=once).stopped
    with pytest.raises(KeyboardInterrupt):
        train_sides([BASE], TASK, range(3), executor=Never(interrupt))


# --- the command line


@pytest.mark.parametrize("name", ["spark:1", "processes:0", "processes:", "dask:", "dask", ""])
def test_unknown_executors_are_refused_in_words(name):
    with pytest.raises(BadArgument, match="dask:ADDRESS"), opened(name):
        pass


def test_a_missing_dask_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(BadArgument, match=r"pip install 'rnntips\[dask\]'"), opened("dask:tcp://127.0.0.1:1"):
        pass


def test_a_scheduler_that_does_not_answer_says_how_to_start_one(monkeypatch):
    pytest.importorskip("distributed")
    monkeypatch.setattr("rnntips.executors.PATIENCE", 0.5)
    with pytest.raises(BadArgument, match="dask scheduler"), opened("dask:tcp://127.0.0.1:1"):
        pass


class Terminal:
    def __init__(self, tty: bool):
        self.tty, self.text = tty, ""

    def isatty(self) -> bool:
        return self.tty

    def write(self, text: str) -> None:
        self.text += text

    def flush(self) -> None:
        pass


def test_progress_is_one_line_on_a_terminal_and_few_elsewhere(monkeypatch):
    now = [0.0]
    monkeypatch.setattr("rnntips.progress.time.monotonic", lambda: now[0])
    terminal, file = Terminal(True), Terminal(False)
    both = [Progress(100, terminal), Progress(100, file)]
    for _ in range(10):
        now[0] += 4
        for progress in both:
            progress.done(10, 5)  # half were in the store: what is left is not
    for progress in both:
        progress.say("demand: done")
    assert terminal.text.split("\x1b[K")[0] == "\r10 of 100 runs, 4 s, 72 s left"
    assert terminal.text.count("\n") == 1 and terminal.text.endswith("\rdemand: done\x1b[K\n")
    assert file.text.splitlines() == [
        "10 of 100 runs, 4 s, 72 s left", "90 of 100 runs, 36 s, 8 s left", "100 of 100 runs, 40 s", "demand: done",
    ]  # fmt: skip
