"""Executors of every kind: what they compute, bit for bit, and how the command line names them."""

import re
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest
from oracles import assert_same

import rnntips as rt
from evidence.plans import Plan
from evidence.records import compute
from rnntips.errors import BadArgument, TrainingFailed
from rnntips.jobs.executors import opened

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


def test_threads_compute_the_same_bits(here, tmp_path):
    with ThreadPoolExecutor(3) as executor:
        assert_same_study(small_study(executor=executor, store=tmp_path), here)
        sweep = rt.sweep(SMALL, SERIES, range(3), executor=executor, width=[6, 4])
    assert_same(sweep[4].runs["sines"][1], rt.train(SMALL.but(width=4), SERIES, range(3)))
    assert_same_study(small_study(store=tmp_path), here)


MARK: list[str] = []


def marks() -> list[str]:
    return MARK


def test_processes_begin_anew_and_compute_the_same_bits(here):
    """A GPU cannot be used across a fork."""
    MARK.append("of the parent")
    with opened("processes:1") as executor:
        assert executor.submit(marks).result() == []
        assert_same_study(small_study(executor=executor), here)


@pytest.mark.skipif(sys.platform == "win32", reason="ended by signal")
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL, signal.SIGHUP])
def test_workers_end_with_their_parent_however_that_ends(how):
    code = f"""
import os, time
from rnntips.jobs.executors import opened
if __name__ == "__main__":
    with opened("processes:2") as executor:
        busy = [executor.submit(time.sleep, 600) for _ in range(2)]
        print(executor.submit(os.getpid) and executor._pool._processes.keys(), flush=True)
        while not all(future.running() for future in busy):
            time.sleep(0.05)
        time.sleep(1)
        os.kill(os.getpid(), {int(how)})
        time.sleep(600)
"""
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert parent.wait(timeout=60) == -how
    workers = [int(number) for number in re.findall(r"\d+", parent.stdout.readline())]
    parent.stdout.close()
    assert len(workers) == 2
    until = time.monotonic() + 30
    while any(psutil.pid_exists(worker) for worker in workers) and time.monotonic() < until:
        time.sleep(0.1)
    assert not [worker for worker in workers if psutil.pid_exists(worker)]


DASK = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")


@DASK
def test_dask_computes_the_same_bits(here, tmp_path):
    """A cluster whose workers are threads of this process, reached by its address."""
    distributed = pytest.importorskip("distributed")
    sizes = {"n_workers": 2, "threads_per_worker": 1, "processes": False, "dashboard_address": None}
    with distributed.LocalCluster(**sizes, protocol="tcp", host="127.0.0.1") as local:
        with opened(f"dask:{local.scheduler_address}") as executor:
            assert_same_study(small_study(executor=executor, store=tmp_path), here)


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


@pytest.mark.slow
@DASK
def test_a_dask_cluster_without_workers_ends_a_study_with_an_error(tmp_path, monkeypatch):
    pytest.importorskip("distributed")
    monkeypatch.setenv("DASK_DISTRIBUTED__SCHEDULER__NO_WORKERS_TIMEOUT", "2s")
    cluster = Cluster(tmp_path, workers=1)
    killer = threading.Thread(target=cluster.kill_a_busy_worker)
    killer.start()
    with pytest.raises(TrainingFailed, match=r"lost 3 times.*NoWorkerError"):
        rt.compare(SMALL, SMALL.but(lr=1e-3), SERIES, range(100), executor=cluster.client.get_executor())
    killer.join()
    cluster.close()


@pytest.mark.slow
@DASK
def test_a_dask_cluster_survives_a_killed_worker(cluster):
    killer = threading.Thread(target=cluster.kill_a_busy_worker)
    killer.start()
    study = rt.compare(SMALL, SMALL.but(lr=1e-3), SERIES, range(100), executor=cluster.client.get_executor())
    killer.join()
    assert cluster.processes[-1].wait() == -9
    for side, recipe in zip(study.runs["sines"], (SMALL, SMALL.but(lr=1e-3)), strict=True):
        assert_same(side, rt.train(recipe, SERIES, range(100)))


@pytest.mark.slow
@DASK
def test_dask_computes_the_scaling_record_with_a_worker_killed_in_the_middle(cluster, tmp_path):
    """The record of two workers, one of which dies, is that of one process, and says what the stored one does."""
    plan, times = Plan(rt.tips["scaling"]), []
    killer = threading.Timer(20, cluster.kill_a_busy_worker)
    killer.start()
    with opened(f"dask:{cluster.address}") as executor:
        began = time.perf_counter()
        clustered = compute(plan, executor=executor, store=tmp_path / "runs")
        times.append(time.perf_counter() - began)
    killer.join()
    assert cluster.processes[-1].wait() == -9
    began = time.perf_counter()
    alone = compute(plan)
    times.append(time.perf_counter() - began)
    print("seconds with Dask and alone:", times)
    assert alone | {"seconds": 0} == clustered | {"seconds": 0}
    assert [claim["word"] for claim in clustered["claims"]] == list(plan.tip.words.values())  # made with another engine


# --- by name


@pytest.mark.parametrize("name", ["spark:1", "processes:", "processes:-1", "dask:", "dask", ""])
def test_unknown_executors_are_refused_in_words(name):
    with pytest.raises(BadArgument, match="dask:ADDRESS"), opened(name):
        pass


@pytest.mark.parametrize("count", ["0", "99999999", "9" * 5000])
def test_more_processes_than_a_machine_can_hold_are_refused(count):
    with pytest.raises(BadArgument, match=r"processes in --executor=.*a whole number"), opened(f"processes:{count}"):
        pass


def test_a_missing_dask_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(BadArgument, match=r"pip install 'rnntips\[dask\]'"), opened("dask:tcp://127.0.0.1:1"):
        pass


def test_a_scheduler_that_does_not_answer_says_how_to_start_one(monkeypatch):
    pytest.importorskip("distributed")
    monkeypatch.setattr("rnntips.jobs.executors.PATIENCE", 0.5)
    with pytest.raises(BadArgument, match="dask scheduler"), opened("dask:tcp://127.0.0.1:1"):
        pass
