"""`rnntips lab`: the workbook in JupyterLab, on this machine alone."""

import secrets
from pathlib import Path

import click

from rnntips.series import MAX_CSV_BYTES

__all__ = ["checkout", "lab"]

SETTINGS = Path(__file__).with_name("jupyterlab")  # JupyterLab's
INSTALLED = Path(__file__).resolve().parents[2]
START = "notebooks/00_start_here.ipynb"
FIRST_PORT, PORTS = 8888, 50  # how many further ones Jupyter tries
MESSAGE_BYTES = MAX_CSV_BYTES + 1_000_000  # a series travels to a panel as one message; the server's own limit is 10 MB


@click.command()
@click.option("--no-browser", is_flag=True, help="Only print the address.")
def lab(no_browser: bool) -> None:
    """Open the workbook of the checkout you are in, in JupyterLab, on this machine alone and behind a token."""
    root = checkout()
    if root is None:
        raise click.ClickException(
            f"No notebooks in {Path.cwd()} or above it, nor in {INSTALLED}. Run this from a clone of the repository, "
            "installed with `make lab` or `pip install -e .`."
        )
    if root != INSTALLED:
        click.echo(f"The notebooks are those of {root}; they import the package from {INSTALLED}.", err=True)
    from jupyterlab.labapp import LabApp
    from traitlets.config import Config

    token = secrets.token_hex(24)
    # In this very process: whatever ends it ends the server, and a kernel ends itself when its server is gone.
    server = LabApp.initialize_server(argv=[], config=Config(_settings(root, token, not no_browser)))
    address = f"{server.connection_url}lab/tree/{START}?token={token}"
    said = f"The workbook is open at\n\n    {address}\n\nEnd it with Ctrl-C."
    server.io_loop.add_callback(click.echo, said)  # it begins to listen by such a callback too, and before this one
    server.start()


def checkout() -> Path | None:
    """The checkout of this project that holds the current folder, else the one that the package came from."""
    here = Path.cwd()
    for folder in (here, *here.parents, INSTALLED):
        if (folder / START).is_file() and (folder / "rnntips" / "__init__.py").is_file():
            return folder
    return None


def _settings(root: Path, token: str, browser: bool) -> dict:
    """Jupyter's, above the user's own, of which none may weaken the lock; where two are listed, the inner one wins."""
    return {
        "ServerApp": {
            "root_dir": str(root),
            "ip": "127.0.0.1",
            "sock": "",
            "port": FIRST_PORT,
            "port_retries": PORTS,
            "allow_root": True,
            "allow_remote_access": False,
            "allow_origin": "",
            "allow_origin_pat": "",
            "disable_check_xsrf": False,
            "login_handler_class": "jupyter_server.auth.login.LoginHandler",
            "identity_provider_class": "jupyter_server.auth.identity.PasswordIdentityProvider",
            "PasswordIdentityProvider": {"token": token, "hashed_password": "", "password_required": False},
            "tornado_settings": {"websocket_max_message_size": MESSAGE_BYTES},
            "open_browser": browser,
            "answer_yes": True,  # to whether Ctrl-C was meant
            "log_level": "WARN",
        },
        "LabApp": {
            "default_url": f"/lab/tree/{START}",
            "app_settings_dir": str(SETTINGS),
            "check_for_updates_class": "jupyterlab.NeverCheckForUpdate",
        },
    }
