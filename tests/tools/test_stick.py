"""The folder from which a room without a network installs."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
OFFLINE = ["unshare", "--map-root-user", "--net", "sh", "-c", 'ip link set lo up; exec "$@"', "sh"]


def test_another_python_hears_which_one_is_needed(tmp_path):
    shutil.copy(ROOT / "tools" / "stick" / "install.py", tmp_path)
    (tmp_path / "wheels").mkdir()
    (tmp_path / "wheels" / "torch-2.13.0-cp39-cp39-win_amd64.whl").touch()
    done = subprocess.run([sys.executable, tmp_path / "install.py", tmp_path / "home"], capture_output=True, text=True)
    assert done.returncode == 1 and not (tmp_path / "home").exists()
    assert f"This is Python {sys.version.split()[0]}" in done.stderr and "for cp39 on win_amd64" in done.stderr


@pytest.mark.slow
@pytest.mark.skipif(
    sys.platform != "linux" or not shutil.which("unshare"), reason="a machine without network is made by unshare"
)
def test_a_stick_installs_where_there_is_no_network(tmp_path):
    pytest.importorskip("uv")
    python = "{}.{}".format(*sys.version_info)
    command = [sys.executable, "-m", "tools.stick", f"--folder={tmp_path / 'stick'}", f"--python={python}"]
    subprocess.run([*command, "--system=linux"], cwd=ROOT, check=True)
    install = [sys.executable, tmp_path / "stick" / "install.py", tmp_path / "home"]
    done = subprocess.run([*OFFLINE, *install], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "Everything is here." in done.stdout
    assert subprocess.run([*OFFLINE, "ping", "-c1", "1.1.1.1"], capture_output=True).returncode != 0
