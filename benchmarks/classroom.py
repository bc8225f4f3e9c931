"""A class on one machine: the JupyterHub of `hub/`, a server and a kernel a student, and all press at once.

    .venv/bin/pip install jupyterhub && npm install configurable-http-proxy@4
    export PATH="$PWD/node_modules/.bin:$PATH"
    .venv/bin/python -m benchmarks.classroom

prints a table. The students' browsers are imitated by one process on the same machine, which hears everything that a
kernel sends and draws nothing.
"""

import json
import os
import re
import secrets
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import click
import psutil

from tools.kernels import ask, connect_kernel, send
from tools.pages import write_between

ROOT = Path(__file__).resolve().parent.parent
PATIENCE = 300  # seconds
CURVE, ANSWER = r' run\\" d=\\"M[^"]*L', "rnntips-verdict"  # in a message's JSON
ENABLED = r'"disabled": false'
ENDLESS = "panel.baseline = panel.baseline.but(updates=20_000)"
CONFIGURATION = """
load_subconfig("{root}/hub/jupyterhub_config.py")
c.JupyterHub.bind_url = "http://127.0.0.1:{proxy}"
c.JupyterHub.hub_bind_url = "http://127.0.0.1:{hub}"
c.ConfigurableHTTPProxy.api_url = "http://127.0.0.1:{api}"
c.JupyterHub.db_url = "sqlite://"
c.JupyterHub.services = [{{"name": "class", "api_token": "{token}"}}]
c.JupyterHub.load_roles = [
    {{"name": "class", "scopes": ["admin:users", "admin:servers", "access:servers"], "services": ["class"]}}
]
"""
OPEN = """import rnntips as rt
panel = rt.panels.Panel({tip!r}, seat={seat})
print("OPEN", panel.just_run.model_id, panel.stop_button.model_id)
panel"""


class Hub:
    """A running JupyterHub: its address, and requests to it with a token that may do everything."""

    def __init__(self, address: str, token: str, process: psutil.Process):
        self.address, self.token, self.process = address, token, process

    def ask(self, method: str, path: str, content: dict | None = None):
        return ask(self.address + path, self.token, method, content, PATIENCE)

    def memory(self) -> float:
        """Of hub, proxy, servers and kernels, MB; what processes share counts once."""
        everything = [self.process, *self.process.children(recursive=True)]
        return sum(process.memory_full_info().pss for process in everything) / 1e6


@contextmanager
def hub(home: Path) -> Iterator[Hub]:
    """A hub that is stopped at the end, with everything that it started."""
    ports = dict(zip(("proxy", "hub", "api"), free_ports(3), strict=True))
    token = secrets.token_hex(16)
    configuration = home / "jupyterhub_config.py"
    configuration.write_text(CONFIGURATION.format(**ports, root=ROOT, token=token))
    search = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = os.environ | {"PATH": search, "CLASS_HOMES": str(home), "CLASS_PASSWORD": secrets.token_hex(16)}
    with (home / "log.txt").open("w") as log:
        command = [sys.executable, "-m", "jupyterhub", f"--config={configuration}"]
        process = subprocess.Popen(command, cwd=home, env=environment, stdout=log, stderr=log)
    running = Hub(f"http://127.0.0.1:{ports['proxy']}", token, psutil.Process(process.pid))
    try:
        wait_until(lambda: answers(running), process, home / "log.txt")
        yield running
    finally:
        children = running.process.children(recursive=True)
        process.terminate()
        psutil.wait_procs(children, timeout=20)
        for child in filter(psutil.Process.is_running, children):
            child.kill()
        process.wait()


def free_ports(count: int) -> list[int]:
    probes = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return ports


def answers(running: Hub) -> bool:
    try:
        return running.ask("GET", "/hub/api/users") is not None
    except OSError:
        return False


def wait_until(true: Callable[[], bool], process: subprocess.Popen, log: Path) -> None:
    until = time.monotonic() + PATIENCE
    while not true():
        if process.poll() is not None or time.monotonic() > until:
            sys.exit(log.read_text()[-3000:])
        time.sleep(0.2)


class Student:
    """A server, a kernel with a panel, and what came from it when."""

    def __init__(self, running: Hub, seat: int):
        self.hub, self.seat, self.name = running, seat, f"student{seat}"

    def log_in(self) -> None:
        self.hub.ask("POST", f"/hub/api/users/{self.name}")
        self.hub.ask("POST", f"/hub/api/users/{self.name}/server", {})
        while not self.hub.ask("GET", f"/hub/api/users/{self.name}")["servers"].get("", {}).get("ready"):
            time.sleep(0.3)

    def open(self, tip: str) -> float:
        """Start a kernel and run a lesson's first cells; seconds until the panel is there."""
        began = time.perf_counter()
        self.kernel = connect_kernel(f"{self.hub.address}/user/{self.name}", self.hub.token, PATIENCE)
        send(self.kernel, "execute_request", code=OPEN.format(tip=tip, seat=self.seat))
        while '"OPEN ' not in (message := self.kernel.recv()):
            assert '"msg_type": "error"' not in message, message
        _, self.run_button, self.stop_button = json.loads(message)["content"]["text"].split()
        return time.perf_counter() - began

    def run(self, code: str) -> None:
        send(self.kernel, "execute_request", code=code)
        self._hear('"execution_state": "idle"')

    def press(self, all_ready: threading.Barrier) -> tuple[float, float]:
        """Train to the end; seconds to the first curve and to the answer."""
        all_ready.wait()
        began = time.perf_counter()
        self._click(self.run_button)
        self._hear(CURVE)
        curve = time.perf_counter() - began
        self._hear(ANSWER)
        answer = time.perf_counter() - began
        self._hear(ENABLED)
        return curve, answer

    def press_and_stop(self, all_ready: threading.Barrier) -> float:
        """Press, and stop at the first curve; seconds from Stop to the answer."""
        all_ready.wait()
        self._click(self.run_button)
        self._hear(CURVE)
        began = time.perf_counter()
        self._click(self.stop_button)
        self._hear(ANSWER)
        return time.perf_counter() - began

    def close(self) -> None:
        self.kernel.close()
        kernels = f"/user/{self.name}/api/kernels"
        for kernel in self.hub.ask("GET", kernels):
            self.hub.ask("DELETE", f"{kernels}/{kernel['id']}")

    def _click(self, button: str) -> None:
        send(self.kernel, "comm_msg", comm_id=button, data={"method": "custom", "content": {"event": "click"}})

    def _hear(self, pattern: str) -> None:
        while not re.search(pattern, self.kernel.recv()):
            pass


def together(students: list[Student], what: Callable) -> list:
    """What each student's call returns, all begun at the same moment."""
    ready = threading.Barrier(len(students))
    with ThreadPoolExecutor(len(students)) as everybody:
        return list(everybody.map(lambda student: what(student, ready), students))


def spread(seconds: Sequence[float]) -> str:
    return f"{median(seconds):.1f} ({max(seconds):.1f})"


@contextmanager
def most_memory(running: Hub) -> Iterator[list[float]]:
    """The list fills with the hub's memory in MB, taken from what the machine has left, ten times a second."""
    ended, found = threading.Event(), [running.memory()]
    before = psutil.virtual_memory().available

    def look() -> None:
        while not ended.wait(0.1):
            found.append(found[0] + (before - psutil.virtual_memory().available) / 1e6)

    looking = threading.Thread(target=look)
    looking.start()
    try:
        yield found
    finally:
        ended.set()
        looking.join()


def lesson(running: Hub, students: list[Student], tip: str) -> list[str]:
    """One row of the table."""
    opened = together(students, lambda student, ready: (ready.wait(), student.open(tip))[1])
    idle = running.memory()
    with most_memory(running) as most:
        pressed = together(students, Student.press)
        again = together(students, Student.press)
    after = running.memory()
    for student in students:
        student.run(ENDLESS)
    stopped = together(students, Student.press_and_stop)
    for student in students:
        student.close()
    curves, ends = zip(*pressed, strict=True)
    seconds = [opened, curves, ends, [end for _, end in again], stopped]
    return [
        str(len(students)),
        tip,
        *map(spread, seconds),
        *(f"{size / 1000:.1f}" for size in (idle, max(most), after)),
    ]


HEAD = ["students", "lesson", "panel is there", "first curve", "answer", "answer again", "Stop", "GB before", "at most",
        "GB after"]  # fmt: skip


@click.command()
@click.option("--students", multiple=True, type=int, default=(1, 5, 10, 20, 30), show_default=True)
@click.option("--lesson", "tips", multiple=True, default=("gradient_clipping", "long_sequences"), show_default=True)
@click.option("--write", is_flag=True, help="Put the table into docs/deploying.md.")
def main(students: tuple[int, ...], tips: tuple[str, ...], write: bool) -> None:
    """Time classes of these sizes: seconds of the median student and, in brackets, of the slowest."""
    rows, there = [HEAD, ["---"] * len(HEAD)], []
    with TemporaryDirectory() as home, hub(Path(home)) as running:
        machine = f"{psutil.cpu_count()} cores, {psutil.virtual_memory().total / 1e9:.0f} GB"
        for count in students:
            for seat in range(len(there) + 1, count + 1):
                there.append(Student(running, seat))
                there[-1].log_in()
            for tip in tips:
                rows.append(lesson(running, there[:count], tip))
                click.echo(" | ".join(rows[-1]), err=True)
    table = "\n".join(f"| {' | '.join(row)} |" for row in rows) + f"\n\nMeasured on {machine}."
    click.echo(table)
    if write:
        write_between(ROOT / "docs" / "deploying.md", table, "classroom")


if __name__ == "__main__":
    main(prog_name="python -m benchmarks.classroom")
