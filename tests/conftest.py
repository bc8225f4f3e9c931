"""What holds for all tests."""

import subprocess
import sys


def pytest_sessionstart(session):
    """Compile the engine in a process of its own: one that has compiled it computes other last bits than one that
    loaded it, and several tests compare this process with others."""
    subprocess.run([sys.executable, "-c", "import rnntips.kernels.cpu"], check=False)
