"""Jobs: their sizes and threads, what becomes of runs that end in an exception, GPUs that are shared, and stopping."""

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
from rnntips.engine import pool
from rnntips.errors import BadArgument, DeviceFailed, NoDevice, OutOfMemory
from rnntips.jobs import run
from rnntips.jobs.executors import opened
from rnntips.jobs.run import AWAY, KEPT, Resources
from rnntips.tuning import train_arms

REAL = run.train_jobs


def trained(arms, seeds, device="auto", **how) -> list[rt.Runs]:
    return train_arms(arms, TASK, seeds, Resources.of(device, **how))


def test_jobs_are_small_where_one_can_be_lost_and_an_executors_use_one_thread(monkeypatch, tmp_path):
    seen = []
    monkeypatch.setattr("rnntips.engine.pool._machine", lambda: 4)
    monkeypatch.delenv("RNNTIPS_THREADS", raising=False)
    monkeypatch.setattr(
        run, "train_jobs", lambda jobs, *more: seen.append((len(jobs[0].seeds), pool.threads())) or REAL(jobs, *more)
    )
    with ThreadPoolExecutor(2) as executor:
        trained([BASE], range(45), executor=executor)
    assert sorted(seen) == [(5, 1), *[(AWAY, 1)] * 4] and pool.threads() == 4
    trained([BASE], range(45))
    assert seen[-1] == (45, 4)
    trained([BASE], range(45), store=tmp_path)
    assert sorted(seen[-3:]) == [(5, 4), *[(KEPT, 4)] * 2]


# --- failures


@pytest.fixture
def broken(monkeypatch):
    """Trains nothing whose recipes or seeds a test calls broken."""

    def make(why):
        def train_jobs(jobs, *more):
            if why(jobs[0].recipes, jobs[0].seeds):
                raise MemoryError("no room for <this>")
            return REAL(jobs, *more)

        monkeypatch.setattr(run, "train_jobs", train_jobs)

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
    assert bad.naive[7] == good.naive[7]
    assert study.effects("sines")[7] == pytest.approx(np.log(good.naive / np.minimum(good.naive, good.test_score))[7])
    for words in (study.sentence, repr(study)):
        assert "1 of 24 runs failed" in words and "no room" in words
    assert repr(bad) == "Runs(12 on sines: 1 FAILED, 11 FINISHED)"
    assert len(list(tmp_path.glob("*.npz"))) == (23 if threaded else 0)


def test_a_job_too_large_for_the_memory_is_halved(broken):
    broken(lambda recipes, seeds: len(seeds) > 3)
    (runs,) = trained([BASE], range(10))
    broken(lambda recipes, seeds: False)
    assert_same(runs, trained([BASE], range(10))[0])


@pytest.mark.parametrize("change", [{"width": 3}, {"budget": rt.epochs(1)}], ids=str)
def test_a_side_that_fails_wholly_counts_as_naive(broken, change):
    variant = BASE.but(**change)
    broken(lambda recipes, seeds: recipes[0] == variant)
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
    assert len(np.unique(study.runs["sines"][0].naive)) == 10


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
    """Jobs that a GPU was asked to train, and whatever a test lets happen there beforehand."""

    def train_jobs(jobs, records, stop=None):
        (job,) = jobs
        train_jobs.asked.append(list(zip(job.recipes, job.seeds, strict=True)))
        train_jobs.first(job.seeds)
        (runs,) = REAL([job._replace(device="cpu")], records, stop)
        runs.device = job.device
        return [runs]

    train_jobs.first, train_jobs.asked = lambda seeds: None, []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(run, "train_jobs", train_jobs)
    return train_jobs


@pytest.mark.parametrize("most", [7, 1024])
@pytest.mark.parametrize("how", ["here", "store", "threads"])
def test_a_gpus_jobs_hold_every_run_once_and_change_none(pretended, monkeypatch, tmp_path, most, how):
    monkeypatch.setattr(run, "ON_GPU", most)
    sides = [BASE, BASE.but(lr=1e-3), BASE.but(width=3)]
    with ThreadPoolExecutor(2) as executor:
        given = {"here": {}, "store": {"store": tmp_path}, "threads": {"executor": executor}}[how]
        found = trained(sides, range(12), "cuda", **given)
    alike, other = -(-24 // most), -(-12 // most)
    assert len(pretended.asked) == alike + other and max(map(len, pretended.asked)) == min(most, 24)
    each = [(recipe, seed) for group in pretended.asked for recipe, seed in group]
    assert len(each) == len(set(each)) and set(each) == {(side, seed) for side in sides for seed in range(12)}
    for side, runs in zip(sides, found, strict=True):
        assert runs.device == "cuda"
        runs.device = "cpu"
        assert_same(runs, rt.train(side, TASK, range(12), device="cpu"))


def test_a_store_keeps_the_runs_of_two_devices_apart(pretended, tmp_path):
    for device, missing in (("cpu", 3), ("cuda", 3), ("cpu", 0), ("cuda", 0), ("auto", 0)):
        pretended.asked.clear()
        (runs,) = trained([BASE], range(3), device, store=tmp_path)
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
        trained([BASE], range(10), "cuda", store=tmp_path, executor=executor if threaded else None)
    assert len(pretended.asked) == 1


def test_a_job_that_a_gpu_has_no_room_for_is_halved_and_a_run_is_not_given_up(pretended):
    room = 3

    def allocate(seeds):
        if len(seeds) > room:
            raise OutOfMemory("no room")

    pretended.first = allocate
    (runs,) = trained([BASE], range(10), "cuda")
    np.testing.assert_array_equal(runs.test_score, rt.train(BASE, TASK, range(10), device="cpu").test_score)
    room = 0
    with pytest.raises(OutOfMemory, match="no room"):
        trained([BASE], range(10), "cuda")
    with ThreadPoolExecutor(1) as executor, pytest.raises(OutOfMemory, match="no room"):
        trained([BASE], range(10), "cuda", executor=executor)


def test_a_worker_without_the_gpu_that_was_asked_for_leaves_no_failed_runs(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with ThreadPoolExecutor(1) as executor, pytest.raises(NoDevice, match="no GPU"):
        trained([BASE], range(3), "cuda", executor=executor)


class Told(Executor):
    """A worker whose device is noted, and which always trains on the CPU."""

    def __init__(self):
        self.devices = []

    def submit(self, _work, job, _store):
        self.devices.append(job.device)
        future: Future = Future()
        future.set_result((REAL([job._replace(device="cpu")], [rt.Runs()])[0], len(job.seeds)))
        return future


@pytest.mark.parametrize(("asked", "named", "told"), [("auto", "cuda", "cuda"), ("auto", "", "cpu"),
                                                      ("cuda", "", "cuda"), ("cpu", "cuda", "cpu")])  # fmt: skip
def test_a_device_is_decided_once_for_all_workers(monkeypatch, asked, named, told):
    """Theirs may be another environment; and they may have the GPU that this process has not."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setenv("RNNTIPS_DEVICE", named)
    executor = Told()
    trained([BASE], range(3), asked, executor=executor)
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
        trained([BASE.but(width=width) for width in (1, 2, 3, 4)], range(2), "cuda", executor=executor)
    assert len(given_back) == 4 and not busy


@pytest.mark.skipif(not torch.cuda.is_available(), reason="this machine has no GPU")
@pytest.mark.gpu
def test_processes_share_a_gpu(tmp_path):
    sides = [BASE, BASE.but(width=3)]
    with opened("processes:2") as executor:
        found = trained(sides, range(20), "cuda", executor=executor, store=tmp_path)
    for there, here in zip(found, trained(sides, range(20), "cuda"), strict=True):
        assert there.device == "cuda" and not any(there.failures)
        np.testing.assert_allclose(there.test_score, here.test_score, rtol=1e-3)


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
        train_arms([BASE], TASK, range(3), Resources(executor=Never(interrupt)))
