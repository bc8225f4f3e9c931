"""Faults at every file operation, kills at every one and at any moment, and workers that die."""

import errno
import hashlib
import os
import resource
import signal
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Callable
from contextlib import closing, suppress
from functools import partial
from itertools import product
from pathlib import Path

import psutil
from tally import Tally
from test_executors import Cluster

import rnntips as rt
from rnntips.errors import RnntipsError
from rnntips.jobs.executors import opened
from rnntips.notebook.labbook import LabBook
from rnntips.notebook.panels.own import keep

SHORT = rt.Recipe(updates=40, width=4, past=8, batch_size=4)
LONG = SHORT.but(updates=1500)
TABLE = b"load\n" + b"\n".join(b"%d" % (i * i % 17) for i in range(99))
OPERATIONS = {"open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.listdir", "os.scandir", "os.chmod"}
MOST = 80  # operations, more than any of the programs makes


def digest(*records: rt.Runs) -> str:
    values = ((runs.weights, runs.train_loss, runs.valid_score, runs.test_score) for runs in records)
    return hashlib.sha256(b"".join(each.tobytes() for some in values for each in some)).hexdigest()


def compared(store: Path, recipe: rt.Recipe = SHORT, **how) -> str:
    """A small study with a store, as a hash of all its numbers."""
    study = rt.compare(recipe, recipe.but(lr=0.03), rt.series.sines(400), range(4), store=store, **how)
    return digest(*(side for pair in study.runs.values() for side in pair))


def noted(folder: Path) -> str:
    """Two lines in a lab book; each is there, or words say that it was not kept."""
    book = LabBook(folder / "book.jsonl")
    kept = sum(book.add("note", text=text) == "" for text in "xy")
    assert max(len(LabBook(book.path).entries()) for _ in "ab") >= kept  # one of two readings has no fault
    return ""


def uploaded(folder: Path) -> str:
    os.chdir(folder)
    return Path(keep("mine.csv", TABLE, {}).name).read_bytes().hex()


PROGRAMS = [compared, noted, uploaded]


class Watch:
    """Does something at the n-th file operation below a folder. An audit hook stays for ever, so there is one."""

    def __init__(self):
        self.at(Path(), 0, lambda: None)
        sys.addaudithook(self._hear)

    def at(self, folder: Path, number: int, act: Callable) -> None:
        self.folder, self.left, self.act = str(folder), number, act

    def _hear(self, event: str, arguments: tuple) -> None:
        if self.left and event in OPERATIONS and self.folder in str(arguments[0]):
            self.left -= 1
            self.left or self.act()


def file_operations(tally: Tally) -> None:
    """The n-th file operation fails, for every n, or no file can grow; then the same again without a fault."""
    warnings.simplefilter("ignore")  # that runs are not kept is said as a warning
    watch, right = Watch(), {program: program(Path(tempfile.mkdtemp())) for program in PROGRAMS}

    def failing() -> None:
        why = tally.rng.choice([errno.ENOSPC, errno.EIO, errno.EACCES, errno.EMFILE, errno.EROFS])
        raise OSError(why, os.strerror(why))

    def both(program: Callable, folder: Path) -> str:
        with suppress(OSError, RnntipsError):
            assert program(folder) == right[program], "it is something else with a fault"
        watch.left = 0
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
        return program(folder)

    for program, number in product(PROGRAMS, range(1, MOST)):
        watch.at(folder := Path(tempfile.mkdtemp()), number, failing)
        tally.attempt(f"{program.__name__}, operation {number}", partial(both, program, folder), right[program])
    for _ in tally.times():
        program, most = tally.rng.choice(PROGRAMS), tally.rng.randrange(12_000)
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, resource.RLIM_INFINITY))
        act = partial(both, program, Path(tempfile.mkdtemp()))
        tally.attempt(f"{program.__name__}, {most} bytes", act, right[program])


def in_child(act: Callable[[], object], ends: Callable[[int], None] = lambda child: None) -> int:
    """Exit status of a fork that does this; only for a process that has no threads, since it trained nothing."""
    child, done = os.fork(), 1
    if not child:
        try:
            warnings.simplefilter("ignore")
            act()
            done = 0
        finally:
            os._exit(done)
    ends(child)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def kills(tally: Tally) -> None:
    """Killed at every file operation of a study with a store, and at any moment; then it ends as if nothing was."""
    watch, found, right, rng = Watch(), Path(tempfile.mkdtemp()) / "found", {}, tally.rng

    def whole(folder: Path, recipe: rt.Recipe) -> str:
        found.unlink(missing_ok=True)
        assert in_child(lambda: found.write_text(compared(folder, recipe))) == 0, "it does not go on"
        return found.read_text()

    for recipe in (SHORT, LONG):
        began = time.monotonic()
        right[recipe] = whole(Path(tempfile.mkdtemp()), recipe)
        length = time.monotonic() - began
    for number in range(1, MOST):
        watch.at(folder := Path(tempfile.mkdtemp()), number, lambda: os.kill(os.getpid(), signal.SIGKILL))
        killed = in_child(partial(compared, folder))
        watch.left = 0
        tally.attempt(f"killed at operation {number}", partial(whole, folder, SHORT), right[SHORT])
        if killed == 0:
            break
    for _ in tally.times():
        folder, how = Path(tempfile.mkdtemp()), rng.choice([signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
        for after in (rng.uniform(0, length) for _ in range(rng.randint(1, 3))):
            in_child(partial(compared, folder, LONG), lambda child: (time.sleep(after), os.kill(child, how)))  # noqa: B023
        tally.attempt(how.name, partial(whole, folder, LONG), right[LONG])


def lost_workers(tally: Tally) -> None:
    """A worker of a pool of processes, or of a Dask cluster, is killed while it trains."""
    recipe = LONG.but(updates=3000)
    right = compared(Path(tempfile.mkdtemp()), recipe)

    def pool(folder: Path) -> str:
        def kill() -> None:
            workers = [child for child in psutil.Process().children() if "spawn_main" in " ".join(child.cmdline())]
            [worker.kill() for worker in workers[-1:]]

        with opened("processes:2") as executor:
            (killer := threading.Timer(tally.rng.uniform(0, 4), kill)).start()
            found = compared(folder, recipe, executor=executor)
            killer.join()
        return found

    def dask(folder: Path) -> str:
        with closing(Cluster(Path(tempfile.mkdtemp()))) as cluster:
            threading.Thread(target=cluster.kill_a_busy_worker, daemon=True).start()
            return compared(folder, recipe, executor=cluster.client.get_executor())

    for number in tally.times():
        act, folder = (pool, dask)[number % 2], Path(tempfile.mkdtemp())
        tally.attempt(act.__name__, partial(act, folder), right, seconds=120)
        tally.attempt("after a lost worker", partial(compared, folder, recipe), right)
