"""Jobs: their sizes and threads, exceptions and lost workers, GPUs that are shared, and stopping."""

import os
import signal
import sys
import threading
import time
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context

import numpy as np
import psutil
import pytest
import torch
from oracles import assert_same
from test_store import BASE, TASK

import rnntips as rt
from rnntips.engine import threads as threads_module
from rnntips.errors import BadArgument, NoDevice, OutOfMemory, TrainingFailed
from rnntips.jobs import execute
from rnntips.jobs.execute import AWAY, KEPT, Resources
from rnntips.jobs.executors import opened
from rnntips.tuning import train_arms

REAL = execute.train_jobs
WORSE = BASE.but(lr=1e-5)


def trained(arms, seeds, device="auto", **how) -> list[rt.Runs]:
    return train_arms(arms, TASK, seeds, Resources.of(device, **how))


class Watched:
    """In place of what trains jobs: a GPU is pretended, and whatever is asked for trains on the CPU."""

    def __init__(self):
        self.asked, self.threads, self.first = [], [], lambda asked: None

    def __call__(self, jobs, records, stop=None):
        (job,) = jobs
        self.asked.append(list(zip(job.recipes, job.seeds, strict=True)))
        self.threads.append(threads_module.threads())
        self.first(self.asked[-1])
        (runs,) = REAL([job._replace(device="cpu")], records, stop)
        runs.device = job.device
        return [runs]

    def refuse(self, when, error=None) -> None:
        """Raise an error instead of training jobs whose runs, (recipe, seed) each, a test calls broken."""

        def first(asked):
            if when(asked):
                raise error or OutOfMemory("no room for <this>")

        self.first = first


@pytest.fixture
def jobs(monkeypatch):
    watched = Watched()
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(execute, "train_jobs", watched)
    return watched


def test_jobs_are_small_where_one_can_be_lost_and_an_executors_use_one_thread(jobs, monkeypatch, tmp_path):
    monkeypatch.setattr("rnntips.engine.threads._machine", lambda: 4)
    monkeypatch.delenv("RNNTIPS_THREADS", raising=False)
    with ThreadPoolExecutor(2) as executor:
        trained([BASE], range(45), executor=executor)
    trained([BASE], range(45), store=tmp_path)
    trained([BASE], range(45))
    assert jobs.threads == [1] * 5 + [4] * 4 and threads_module.threads() == 4
    sizes = [len(asked) for asked in jobs.asked]
    assert sorted(sizes[:5]) == [5, *[AWAY] * 4] and sorted(sizes[5:8]) == [5, KEPT, KEPT] and sizes[8:] == [45]


# --- exceptions


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_a_job_too_large_for_the_memory_is_halved(jobs, device):
    jobs.refuse(lambda asked: len(asked) > 3)
    (runs,) = trained([BASE], range(8), device)
    assert [len(asked) for asked in jobs.asked] == [8, 4, 2, 2, 4, 2, 2]
    assert_same(runs, rt.train(BASE, TASK, range(8)), "device")


@pytest.mark.parametrize("threaded", [False, True])
def test_a_run_that_finds_no_memory_alone_is_no_naive_run(jobs, threaded, tmp_path):
    """What was finished before it lies in the store."""
    jobs.refuse(lambda asked: any(seed == 5 for _, seed in asked), OutOfMemory("no room"))
    with ThreadPoolExecutor(1) as executor, pytest.raises(OutOfMemory, match="no room"):
        trained([BASE], range(8), "cuda", store=tmp_path, executor=executor if threaded else None)
    assert len(list(tmp_path.glob("*.npz"))) >= 4


class Faulty:
    """A task whose data cannot be had for one seed."""

    name, unit = "faulty", "units"

    def __init__(self, seed: int = 3):
        self.missing = seed

    def __getattr__(self, name: str):
        if name.startswith("__"):  # of pickle
            raise AttributeError(name)
        return getattr(TASK, name)

    def examples(self, recipe, seed: int):
        if seed == self.missing:
            raise ValueError("row 17 is missing")
        return TASK.examples(recipe, seed)

    def bounds(self, recipe, seed: int, examples=None):
        return TASK.bounds(recipe, seed, examples or self.examples(recipe, seed))


def test_memory_that_ends_while_data_are_drawn_ends_the_study_and_names_a_cure(monkeypatch):
    def full(*_):
        raise MemoryError

    monkeypatch.setattr(type(TASK), "examples", full)
    with pytest.raises(OutOfMemory, match="ran out of memory while data were drawn"):
        rt.compare(BASE, WORSE, TASK, range(10))


@pytest.mark.parametrize("how", ["here", "record", "store", "threads", "processes", "train", "tuned", "first"])
def test_an_exception_is_no_result_and_what_was_finished_before_is_kept(how, tmp_path):
    """Whatever raises it, and wherever."""
    on, seeds = Faulty(), range(3, 13) if how == "first" else range(10)
    given = {
        "record": {"record": [rt.Runs(), rt.Runs()]},
        "store": {"store": tmp_path},
        "tuned": {"tune": {"lr": [0.01, 0.02]}},
    }
    on = Faulty(10_002) if how == "tuned" else on
    with opened("processes:1") if how == "processes" else ThreadPoolExecutor(2) as executor:
        away = {"executor": executor} if how in ("threads", "processes") else {}
        with pytest.raises(TrainingFailed, match=r"faulty.*ValueError: row 17 is missing.*no result") as raised:
            if how == "train":
                rt.train(BASE, on, seeds)
            else:
                rt.compare(BASE, BASE.but(width=3), on, seeds, **given.get(how, {}), **away)
    assert how in ("threads", "processes") or isinstance(raised.value.__cause__, ValueError)
    names = {path.name for path in tmp_path.glob("*.npz")}
    rt.compare(BASE, BASE.but(width=3), on, [0, 1, 2], store=tmp_path)
    assert names <= {path.name for path in tmp_path.glob("*.npz")}


class Away(Executor):
    """Workers elsewhere, of which a test says what becomes of a job there."""

    def __init__(self, become):
        self.become, self.given = become, []

    def submit(self, _work, job, _store) -> Future:
        self.given.append(self.become(job))
        return self.given[-1]


def lost(_job) -> Future:
    future: Future = Future()
    future.set_exception(RuntimeError("worker lost"))
    return future


def test_workers_that_are_lost_for_good_end_the_study_with_an_error():
    away = Away(lost)
    with pytest.raises(TrainingFailed, match=r"lost 3 times.*10 runs on sines.*RuntimeError: worker lost.*fewer"):
        rt.compare(BASE, WORSE, TASK, range(10), executor=away)
    assert len(away.given) == 6, "two jobs, three tries each"


def test_lost_work_is_tried_again_and_changes_nothing():
    """Every job is lost twice."""
    seen: dict = {}

    def become(job):
        key = tuple(zip(job.recipes, job.seeds, strict=True))
        seen[key] = seen.get(key, 0) + 1
        if seen[key] < 3:
            return lost(job)
        future: Future = Future()
        future.set_result(execute.train_job(job))
        return future

    study = rt.compare(BASE, WORSE, TASK, range(10), executor=Away(become))
    assert set(seen.values()) == {3}
    for here, there in zip(rt.compare(BASE, WORSE, TASK, range(10)).runs["sines"], study.runs["sines"], strict=True):
        assert_same(here, there)


@pytest.mark.skipif(sys.platform == "win32", reason="kills by signal")
def test_a_worker_that_is_killed_changes_no_finding():
    """A real process, killed while it trains."""
    variant, seeds = BASE.but(width=3), range(40)
    with opened("processes:2") as executor:
        killer = threading.Thread(target=kill_one, args=(executor,))
        killer.start()
        study = rt.compare(BASE, variant, TASK, seeds, executor=executor)
        killer.join()
    assert killed
    for here, there in zip(rt.compare(BASE, variant, TASK, seeds).runs["sines"], study.runs["sines"], strict=True):
        assert_same(here, there)


killed: list[int] = []


def kill_one(executor) -> None:
    """Kill a worker as soon as it has begun to work."""
    killed.clear()
    until = time.monotonic() + 60
    while time.monotonic() < until:
        for process in list((executor._pool._processes or {}).values()):
            if psutil.Process(process.pid).cpu_times().user > 1:  # it has imported the package
                os.kill(process.pid, signal.SIGKILL)
                killed.append(process.pid)
                return
        time.sleep(0.02)


@pytest.mark.skipif(sys.platform == "win32", reason="kills by signal")
def test_a_pool_of_somebody_elses_that_broke_is_an_error():
    with ProcessPoolExecutor(1, get_context("spawn")) as executor:
        assert executor.submit(os._exit, 1).exception()
        with pytest.raises(TrainingFailed, match="BrokenProcessPool"):
            rt.compare(BASE, WORSE, TASK, range(2), executor=executor)


@pytest.mark.parametrize(
    ("words", "more"),
    [("device='tpu'", {"device": "tpu"}), ("largest window", {"on": rt.series.sines(steps=40)}),
     ("record= is for training in this process", {"record": rt.Runs()})],
)  # fmt: skip
def test_what_can_be_known_beforehand_is_an_error(words, more):
    with pytest.raises(BadArgument, match=words):
        rt.compare(BASE, WORSE, **{"on": TASK, "seeds": range(2), "executor": Away(lost)} | more)


# --- a GPU


@pytest.mark.parametrize("most", [7, 1024])
@pytest.mark.parametrize("how", ["here", "store", "threads"])
def test_a_gpus_jobs_hold_every_run_once_and_change_none(jobs, monkeypatch, tmp_path, most, how):
    monkeypatch.setattr(execute, "ON_GPU", most)
    sides = [BASE, BASE.but(lr=1e-3), BASE.but(width=3)]
    with ThreadPoolExecutor(2) as executor:
        given = {"here": {}, "store": {"store": tmp_path}, "threads": {"executor": executor}}[how]
        found = trained(sides, range(12), "cuda", **given)
    assert len(jobs.asked) == -(-24 // most) + -(-12 // most) and max(map(len, jobs.asked)) == min(most, 24)
    each = [each for asked in jobs.asked for each in asked]
    assert len(each) == len(set(each)) and set(each) == {(side, seed) for side in sides for seed in range(12)}
    for side, runs in zip(sides, found, strict=True):
        assert runs.device == "cuda"
        assert_same(runs, rt.train(side, TASK, range(12), device="cpu"), "device")


def test_a_store_keeps_the_runs_of_two_devices_apart(jobs, tmp_path):
    for device, missing in (("cpu", 3), ("cuda", 3), ("cpu", 0), ("cuda", 0), ("auto", 0)):
        jobs.asked.clear()
        (runs,) = trained([BASE], range(3), device, store=tmp_path)
        assert sum(map(len, jobs.asked)) == missing and runs.device == ("cuda" if device == "cuda" else "cpu")
    assert len(list(tmp_path.glob("*.npz"))) == 6


@pytest.mark.parametrize("threaded", [False, True])
@pytest.mark.parametrize("words", ["CUDA error: an illegal memory access", "Cannot re-initialize CUDA"])
def test_a_gpu_that_fails_ends_the_computation_and_makes_no_run_naive(jobs, threaded, words, tmp_path):
    jobs.refuse(lambda asked: (BASE, 7) in asked, RuntimeError(words))
    with ThreadPoolExecutor(2) as executor, pytest.raises(TrainingFailed, match=f"{words}.*ewer processes"):
        trained([BASE], range(10), "cuda", store=tmp_path, executor=executor if threaded else None)
    assert len(jobs.asked) == 1


def test_a_worker_without_the_gpu_that_was_asked_for_leaves_no_failed_runs(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with ThreadPoolExecutor(1) as executor, pytest.raises(NoDevice, match="no GPU"):
        trained([BASE], range(3), "cuda", executor=executor)


@pytest.mark.parametrize(("asked", "named", "told"), [("auto", "cuda", "cuda"), ("auto", "", "cpu"),
                                                      ("cuda", "", "cuda"), ("cpu", "cuda", "cpu")])  # fmt: skip
def test_a_device_is_decided_once_for_all_workers(monkeypatch, asked, named, told):
    """Theirs may be another environment; and they may have the GPU that this process has not."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setenv("RNNTIPS_DEVICE", named)
    devices: list[str] = []
    with pytest.raises(TrainingFailed):
        trained([BASE], range(3), asked, executor=Away(lambda job: devices.append(job.device) or lost(job)))
    assert set(devices) == {told}


def test_threads_take_turns_on_a_gpu_and_its_memory_is_given_back(jobs, monkeypatch):
    busy, given_back = [], []
    monkeypatch.setattr("torch.cuda.empty_cache", lambda: given_back.append(busy.pop()))

    def first(asked):
        assert not busy
        busy.append(asked)
        time.sleep(0.02)

    jobs.first = first
    with ThreadPoolExecutor(4) as executor:
        trained([BASE.but(width=width) for width in (1, 2, 3, 4)], range(2), "cuda", executor=executor)
    assert len(given_back) == 4 and not busy


@pytest.mark.gpu
def test_processes_share_a_gpu(tmp_path):
    sides = [BASE, BASE.but(width=3)]
    with opened("processes:2") as executor:
        found = trained(sides, range(20), "cuda", executor=executor, store=tmp_path)
    for there, here in zip(found, trained(sides, range(20), "cuda"), strict=True):
        assert there.device == "cuda"
        np.testing.assert_allclose(there.test_score, here.test_score, rtol=1e-3)


# --- stopping


def never():
    """Work is taken and never done."""
    return Away(lambda job: Future())


def test_stop_ends_the_waiting_for_workers():
    stop, executor = threading.Event(), never()
    threading.Timer(0.3, stop.set).start()
    study = rt.compare(BASE, BASE.but(width=3), TASK, range(10), executor=executor, stop=stop)
    assert study.stopped and study.sentence.startswith("Stopped at update 0 of 30")
    assert all(future.cancelled() for future in executor.given)


def test_an_interrupt_stops_a_study_and_is_raised_where_nobody_could_be_told(monkeypatch):
    def interrupted(*_):
        monkeypatch.undo()
        raise KeyboardInterrupt

    monkeypatch.setattr(execute, "wait", interrupted)
    assert rt.compare(BASE, BASE.but(width=3), TASK, range(10), executor=never()).stopped
    monkeypatch.setattr(execute, "wait", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train_arms([BASE], TASK, range(3), Resources(executor=never()))
