"""`rnntips lab`: the workbook in JupyterLab, on this machine alone."""

import os
import secrets
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import suppress
from pathlib import Path

import click

__all__ = ["NOTEBOOKS", "lab"]

SETTINGS = Path(__file__).with_name("jupyterlab")  # JupyterLab's
NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"
START = "00_start_here.ipynb"
FIRST_PORT, PORTS = 8888, 50  # how many further ones Jupyter tries
PATIENCE = 120  # seconds for the server to answer


@click.command()
@click.option("--no-browser", is_flag=True, help="Only print the address.")
def lab(no_browser: bool) -> None:
    """Open the workbook in JupyterLab, on this machine alone and behind a token."""
    if not NOTEBOOKS.is_dir():
        raise click.ClickException(
            f"No notebooks at {NOTEBOOKS}. Run this from a clone of the repository, installed with `make lab` "
            "or `pip install -e .`."
        )
    token = secrets.token_hex(24)
    # the token goes through the environment: command lines are visible to every user of the machine
    environment = os.environ | {"JUPYTER_TOKEN": token}
    server = subprocess.Popen(
        [sys.executable, "-m", "jupyterlab", f"--ServerApp.root_dir={NOTEBOOKS}",
         "--ServerApp.ip=127.0.0.1", f"--ServerApp.port={FIRST_PORT}", f"--ServerApp.port_retries={PORTS}",
         f"--LabApp.default_url=/lab/tree/{START}", *(["--no-browser"] if no_browser else []),
         *(["--allow-root"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []),
         f"--LabApp.app_settings_dir={SETTINGS}", "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
         "--ServerApp.log_level=WARN"],
        env=environment,
    )  # fmt: skip
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # however this ends, the server ends with it
    try:
        address = f"{_answering(server, token)}lab/tree/{START}?token={token}"
        click.echo(f"The workbook is open at\n\n    {address}\n\nEnd it with Ctrl-C.")
        code = server.wait()
    except KeyboardInterrupt:
        code = 0
    finally:
        server.terminate()
        server.wait()
    sys.exit(code)


def _answering(server: subprocess.Popen, token: str) -> str:
    """The address of the server, once it answers there; Jupyter chooses a port that is free, and notes which."""
    from jupyter_server.serverapp import list_running_servers

    directly = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # no proxy ever sees the token
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        if server.poll() is not None:
            raise click.ClickException(
                f"JupyterLab ended at once (exit status {server.returncode}); its message is above."
            )
        for noted in list_running_servers():
            if noted["pid"] == server.pid:
                headers = {"Authorization": f"token {token}"}
                status = urllib.request.Request(f"{noted['url']}api/status", headers=headers)
                with suppress(urllib.error.URLError, OSError), directly.open(status, timeout=5):
                    return noted["url"]
        time.sleep(0.2)
    raise click.ClickException(f"JupyterLab did not answer within {PATIENCE} s. Try `rnntips check`.")
