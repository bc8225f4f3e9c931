"""A JupyterLab server on loopback and a real browser."""

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync"]  # fmt: skip
PATIENCE = 120  # seconds
CONFIGURATION = """
c.ServerApp.open_browser = False
c.ServerApp.port_retries = 0
c.ServerApp.disable_check_xsrf = True
c.IdentityProvider.token = ""
c.PasswordIdentityProvider.hashed_password = ""
c.LabApp.expose_app_in_browser = True
c.LabApp.check_for_updates_class = "jupyterlab.NeverCheckForUpdate"
"""


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    """Address and folder of a test server without a token, on a copy of the notebooks."""
    home = tmp_path_factory.mktemp("jupyter")
    folder = home / "work"
    shutil.copytree(NOTEBOOKS, folder)
    (home / "config.py").write_text(CONFIGURATION)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    places = ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "JUPYTERLAB_SETTINGS_DIR",
              "JUPYTERLAB_WORKSPACES_DIR")  # fmt: skip
    settings = Path(__file__).resolve().parents[2] / "rnntips" / "data" / "lab"
    log = (home / "log.txt").open("w")
    process = subprocess.Popen(
        [sys.executable, "-m", "jupyterlab", f"--config={home / 'config.py'}", f"--ServerApp.root_dir={folder}",
         "--ServerApp.ip=127.0.0.1", f"--ServerApp.port={port}", f"--LabApp.app_settings_dir={settings}",
         "--allow-root"],
        env=os.environ | {place: str(home / place.lower()) for place in places},
        stdout=log, stderr=log,
    )  # fmt: skip
    address = f"http://127.0.0.1:{port}"
    until = time.monotonic() + PATIENCE
    while True:
        try:
            urllib.request.urlopen(f"{address}/api/status", timeout=5).close()
            break
        except OSError:
            assert process.poll() is None and time.monotonic() < until, (home / "log.txt").read_text()
            time.sleep(0.2)
    yield address, folder
    process.terminate()
    process.wait()
    log.close()


@pytest.fixture(scope="session")
def browser():
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        reason = f"no browser here (looked for {', '.join(BROWSERS)})"
        if os.environ.get("RNNTIPS_REQUIRE_BROWSER"):
            pytest.fail(reason)
        pytest.skip(reason)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=found, args=FLAGS)
        yield chromium
        chromium.close()
