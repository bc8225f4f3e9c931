"""A JupyterHub for one class on one machine. docs/deploying.md says how to start it and how many students it holds.

All students' programs run as the user who starts the hub, each in a folder of its own: for a machine that has nothing
else on it.
"""

import os
import shutil
from pathlib import Path

c = get_config()  # noqa: F821
ROOT = Path(__file__).resolve().parents[1]
HOMES = Path(os.environ.get("CLASS_HOMES", "/srv/class"))

c.JupyterHub.authenticator_class = "shared-password"  # any name, and the class's password
c.SharedPasswordAuthenticator.user_password = os.environ["CLASS_PASSWORD"]
c.Authenticator.allow_all = True
c.Authenticator.username_pattern = r"[a-z0-9][a-z0-9_-]{0,30}"  # it is a folder's name
c.JupyterHub.spawner_class = "simple"
c.SimpleLocalProcessSpawner.home_dir_template = f"{HOMES}/{{username}}"
c.JupyterHub.concurrent_spawn_limit = 5
c.Spawner.start_timeout = c.Spawner.http_timeout = 300  # seconds, for thirty who log in at once
c.Spawner.default_url = "/lab/tree/notebooks/00_start_here.ipynb"
c.Spawner.environment = {
    "RNNTIPS_LABBOOK": lambda spawner: str(HOMES / f"{spawner.user.name}/{spawner.user.name}.jsonl")
}
c.Spawner.args = [
    "--KernelManager.transport=ipc",  # with ports, kernels that start at the same moment take each other's
    f"--config={ROOT / 'binder' / 'jupyter_server_config.py'}",  # as on Binder: idle kernels end, tables of 100 MB pass
    f"--LabApp.app_settings_dir={ROOT / 'rnntips' / 'cli' / 'jupyterlab'}",
    *(["--allow-root"] if os.getuid() == 0 else []),
]


def give_notebooks(spawner) -> None:
    """A copy of the notebooks, and of the pages that they link to, for each student at the first login."""
    for name in ("notebooks", "docs"):
        place = HOMES / spawner.user.name / name
        if not place.exists():
            shutil.copytree(ROOT / name, place)


c.Spawner.pre_spawn_hook = give_notebooks
