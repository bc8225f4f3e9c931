"""Jobs: their sizes and threads, what becomes of runs that end in an exception, GPUs that are shared, and stopping."""

import os
import sys
import threading
import time
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context

import numpy as np
import pytest
import torch
from oracles import assert_same
from test_store import BASE, TASK

import rnntips as rt
from rnntips.engine import threads as threads_module
from rnntips.errors import BadArgument, DeviceFailed, NoDevice, OutOfMemory
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
                raise error or MemoryError("no room for <this>")

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


# --- failures


@pytest.mark.parametrize("threaded", [False, True])
def test_an_exception_in_one_run_is_a_failed_run(jobs, threaded, tmp_path):
    jobs.refuse(lambda asked: (WORSE, 7) in asked)
    with ThreadPoolExecutor(2) as executor:
        study = rt.compare(
            BASE, WORSE, TASK, range(12), **{"executor": executor, "store": tmp_path} if threaded else {}
        )
    good, bad = study.runs["sines"]
    others = [s for s in range(12) if s != 7]
    assert_same(good, rt.train(BASE, TASK, range(12)))
    np.testing.assert_array_equal(bad.test_score[others], rt.train(WORSE, TASK, others).test_score)
    assert [o.name for o in bad.outcome] == ["FINISHED"] * 7 + ["FAILED"] + ["FINISHED"] * 4
    assert bad.message(7) == "Failed: MemoryError: no room for <this>" and np.isnan(bad.test_score[7])
    assert bad.naive[7] == good.naive[7]
    assert study.effects("sines")[7] == pytest.approx(np.log(good.naive / np.minimum(good.naive, good.test_score))[7])
    for words in (study.sentence, repr(study)):
        assert "1 of 24 runs failed" in words and "no room" in words
    assert repr(bad) == "Runs(12 on sines: 1 FAILED, 11 FINISHED)"
    assert len(list(tmp_path.glob("*.npz"))) == (23 if threaded else 0)


@pytest.mark.parametrize("device", ["cpu", "cuda"])
@pytest.mark.parametrize("error", [MemoryError("no room"), OutOfMemory("no room")], ids=repr)
def test_a_job_too_large_for_the_memory_is_halved(jobs, error, device):
    jobs.refuse(lambda asked: len(asked) > 3, error)
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


@pytest.mark.parametrize("change", [{"width": 3}, {"budget": rt.epochs(1)}], ids=str)
def test_a_side_that_fails_wholly_counts_as_naive(jobs, change):
    variant = BASE.but(**change)
    jobs.refuse(lambda asked: asked[0][0] == variant)
    study = rt.compare(BASE, variant, TASK, range(10))
    good, bad = study.runs["sines"]
    assert set(bad.outcome) == {rt.Outcome.FAILED} and "10 of 20 runs failed" in study.sentence
    np.testing.assert_array_equal(study.effects("sines"), np.log(good.naive / np.minimum(good.test_score, good.naive)))


class Faulty:
    """A task whose data cannot be had for one seed."""

    name, unit = "faulty", "units"

    def __getattr__(self, name: str):
        return getattr(TASK, name)

    def examples(self, recipe, seed: int):
        if seed == 3:
            raise ValueError("row 17 is missing")
        return TASK.examples(recipe, seed)

    def bounds(self, recipe, seed: int, examples=None):
        return TASK.bounds(recipe, seed, examples or self.examples(recipe, seed))


def test_bad_data_in_one_setting_leaves_the_others_alone():
    study = rt.compare(BASE, WORSE, {"faulty": Faulty(), "sound": TASK}, range(10))
    assert study.effects("faulty")[3] == 0 and "ValueError: row 17" in study.sentence
    assert study.finding_in("sound") == rt.compare(BASE, WORSE, TASK, range(10)).finding


def test_tuning_counts_a_failed_run_as_naive(jobs):
    jobs.refuse(lambda asked: any(recipe.lr == 0.01 for recipe, _ in asked))
    study = rt.compare(BASE, BASE.but(width=3), TASK, range(2), tune={"lr": [0.01, 0.02]})
    assert [pick["lr"] for pick in study.tuned["sines"]] == [0.02, 0.02]


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


def test_workers_that_are_lost_for_good_leave_failed_runs():
    study = rt.compare(BASE, WORSE, TASK, range(10), executor=Away(lost))
    assert study.verdict == "NOT TRAINED"
    assert study.sentence.endswith("20 of 20 runs failed and count as naive (RuntimeError: worker lost).")
    assert len(np.unique(study.runs["sines"][0].naive)) == 10


@pytest.mark.skipif(sys.platform == "win32", reason="kills by signal")
def test_a_pool_that_broke_does_not_end_the_study():
    with ProcessPoolExecutor(1, get_context("spawn")) as executor:
        assert executor.submit(os._exit, 1).exception()
        assert "BrokenProcessPool" in rt.compare(BASE, WORSE, TASK, range(2), executor=executor).sentence


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
    with ThreadPoolExecutor(2) as executor, pytest.raises(DeviceFailed, match=f"{words}.*fewer processes"):
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
    trained([BASE], range(3), asked, executor=Away(lambda job: devices.append(job.device) or lost(job)))
    assert devices == [told]


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
        assert there.device == "cuda" and not any(there.failures)
        np.testing.assert_allclose(there.test_score, here.test_score, rtol=1e-3)


# --- stopping


def never(then):
    """Work is taken and never done; whoever waits for it stops or interrupts first."""

    class Waiting(Future):
        def exception(self, timeout=None):
            then()
            raise TimeoutError

    return Away(lambda job: Waiting())


def interrupt():
    raise KeyboardInterrupt


def test_stop_ends_the_waiting_for_workers():
    stop = threading.Event()
    executor = never(stop.set)
    study = rt.compare(BASE, BASE.but(width=3), TASK, range(10), executor=executor, stop=stop)
    assert study.stopped and study.sentence.startswith("Stopped at update 0 of 30")
    assert all(future.cancelled() for future in executor.given)


def test_an_interrupt_stops_a_study_and_is_raised_where_nobody_could_be_told():
    raised = []
    once = never(lambda: raised or raised.append(1) or interrupt())
    assert rt.compare(BASE, BASE.but(width=3), TASK, range(10), executor=once).stopped
    with pytest.raises(KeyboardInterrupt):
        train_arms([BASE], TASK, range(3), Resources(executor=never(interrupt)))
