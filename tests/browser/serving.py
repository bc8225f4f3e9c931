"""A Jupyter server on loopback, its kernels, and a browser to look at it with."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
OLDER = Path(sys.prefix) / "ipykernel6"  # where the Makefile puts ipykernel 6
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync", "--enable-precise-memory-info"]  # fmt: skip
PATIENCE = 120  # seconds
SUBSHELLS = "@jupyterlab/apputils-extension:kernels-settings"
# Without a token, since it listens on loopback, for minutes, and in a folder of its own.
CONFIGURATION = """
c.ServerApp.open_browser = False
c.ServerApp.port_retries = 0
c.ServerApp.disable_check_xsrf = True
c.IdentityProvider.token = ""
c.PasswordIdentityProvider.hashed_password = ""
c.LabApp.expose_app_in_browser = True
c.LabApp.check_for_updates_class = "jupyterlab.NeverCheckForUpdate"
c.JupyterNotebookApp.expose_app_in_browser = True
"""


def chromium() -> str | None:
    """The path of a browser of this machine."""
    return next(filter(None, map(shutil.which, BROWSERS)), None)


@dataclass(frozen=True)
class Server:
    """A running server: where it listens, the folder it serves, and its users' settings."""

    address: str
    folder: Path
    settings: Path

    def set(self, plugin: str, **values) -> None:
        """Write a reader's settings of a plugin of JupyterLab; without values forget them."""
        package, name = plugin.split(":")
        place = self.settings / package / f"{name}.jupyterlab-settings"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(json.dumps(values), encoding="utf-8")


@contextmanager
def serving(home: Path, **variables: str) -> Iterator[Server]:
    """A server on a copy of the notebooks, with everything it writes below `home`, and these variables set."""
    folder = home / "work"
    shutil.copytree(ROOT / "notebooks", folder)
    (home / "config.py").write_text(CONFIGURATION)
    places = ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "JUPYTERLAB_SETTINGS_DIR",
              "JUPYTERLAB_WORKSPACES_DIR")  # fmt: skip
    own = {place: home / place.lower() for place in places}
    if OLDER.is_dir():
        _offer_older_kernel(own["JUPYTER_DATA_DIR"] / "kernels" / "ipykernel6")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "jupyterlab", f"--config={home / 'config.py'}", f"--ServerApp.root_dir={folder}",
               "--ServerApp.ip=127.0.0.1", f"--ServerApp.port={port}", "--allow-root",
               f"--LabApp.app_settings_dir={ROOT / 'rnntips' / 'cli' / 'jupyterlab'}"]  # fmt: skip
    log = home / "log.txt"
    with log.open("w") as written:
        usual = {name: value for name, value in os.environ.items() if name != "RNNTIPS_LABBOOK"}  # a reader keeps one
        environment = usual | variables | {name: str(place) for name, place in own.items()}
        process = subprocess.Popen(command, env=environment, stdout=written, stderr=written)
        try:
            address = f"http://127.0.0.1:{port}"
            _wait_for(f"{address}/api/status", process, log)
            yield Server(address, folder, own["JUPYTERLAB_SETTINGS_DIR"])
        finally:
            process.terminate()
            process.wait()


def _offer_older_kernel(place: Path) -> None:
    """A kernel of this very environment, but for ipykernel, which comes from a folder searched first."""
    search = os.pathsep.join(filter(None, [str(OLDER), os.environ.get("PYTHONPATH")]))
    command = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    place.mkdir(parents=True)
    kernel = {"argv": command, "display_name": "ipykernel 6", "language": "python", "env": {"PYTHONPATH": search}}
    (place / "kernel.json").write_text(json.dumps(kernel), encoding="utf-8")


def _wait_for(address: str, process: subprocess.Popen, log: Path) -> None:
    until = time.monotonic() + PATIENCE
    while True:
        try:
            urllib.request.urlopen(address, timeout=5).close()
            return
        except OSError:
            assert process.poll() is None and time.monotonic() < until, log.read_text()
            time.sleep(0.2)
