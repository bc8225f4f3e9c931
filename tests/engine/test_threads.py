"""How many threads there are, by affinity, control groups and the user's word."""

import pytest
import torch

from rnntips import engine
from rnntips.engine import threads as threads_module

V1 = "12:pids:/one\n4:cpu,cpuacct:/one/two\n1:name=systemd:/else\n"
V2 = "0::/one/two\n"


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """Cores counted on a machine of 16 with these files below /sys/fs/cgroup and in /proc/self/cgroup."""

    def call(own, files):
        for name, text in {**files, "own": own}.items():
            if text is not None:
                (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
                (tmp_path / name).write_text(text)
        monkeypatch.setattr(threads_module, "CGROUPS", tmp_path)
        monkeypatch.setattr(threads_module, "OWN_CGROUPS", tmp_path / "own")
        monkeypatch.setattr(threads_module.os, "sched_getaffinity", lambda _: set(range(16)), raising=False)
        threads_module._machine.cache_clear()
        return threads_module._machine()

    yield call
    threads_module._machine.cache_clear()
    threads_module._pool.cache_clear()


@pytest.mark.parametrize(("text", "cores"), [
    ("max 100000\n", 16), ("150000 100000\n", 2), ("10000 100000\n", 1), ("9900000 100000\n", 16),
])  # fmt: skip
@pytest.mark.parametrize("place", ["", "one/", "one/two/"])
def test_quota_of_version_2_here_and_above(machine, place, text, cores):
    assert machine(V2, {f"{place}cpu.max": text}) == cores


@pytest.mark.parametrize(("quota", "cores"), [("-1\n", 16), ("150000\n", 2), ("10000\n", 1)])
@pytest.mark.parametrize("place", ["", "one/", "one/two/"])
def test_quota_of_version_1_here_and_above(machine, place, quota, cores):
    files = {"cpu.cfs_quota_us": quota, "cpu.cfs_period_us": "100000\n"}
    assert machine(V1, {f"cpu/{place}{name}": text for name, text in files.items()}) == cores


def test_the_least_quota_counts(machine):
    assert machine(V2, {"one/cpu.max": "300000 100000", "one/two/cpu.max": "500000 100000"}) == 3


@pytest.mark.parametrize("own", [V1, V2, "", None])
def test_without_quotas_the_affinity_counts(machine, own):
    assert machine(own, {}) == 16


def test_where_the_process_cannot_see_its_groups_the_top_ones_count(machine):
    assert machine(None, {"cpu.max": "200000 100000"}) == 2


def test_another_groups_quota_does_not_count(machine):
    assert machine(V2, {"three/cpu.max": "100000 100000"}) == 16


@pytest.mark.parametrize(("wanted", "threads"), [("1", 1), ("2", 2), ("8", 3), ("", 3)])
def test_the_user_may_have_fewer(machine, monkeypatch, wanted, threads):
    machine(V2, {"cpu.max": "300000 100000"})
    monkeypatch.setenv("RNNTIPS_THREADS", wanted)
    assert threads_module.threads() == threads


@pytest.mark.parametrize("runs", [1, 2, 7, 20])
def test_every_run_is_served_whatever_the_threads(machine, monkeypatch, runs):
    machine(V2, {})
    g = torch.Generator().manual_seed(0)
    inputs, weight = torch.randn(runs, 3, 5, 16, generator=g), torch.randn(runs, 4, 16, generator=g)
    states = []
    for wanted in ("1", "2", "8"):
        monkeypatch.setenv("RNNTIPS_THREADS", wanted)
        threads_module._pool.cache_clear()
        states.append(engine.scan("lstm", inputs, weight)[0])
    assert torch.equal(states[0], states[1]) and torch.equal(states[0], states[2])
    assert (states[0] != 0).any((1, 2, 3)).all()
