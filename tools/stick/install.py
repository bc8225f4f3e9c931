"""Install the workbook from this folder, without a network: python install.py [FOLDER]"""

import platform
import shutil
import subprocess
import sys
import venv
from pathlib import Path

STICK = Path(__file__).resolve().parent
SYSTEM = {"linux": "linux_", "darwin": "macosx_", "win32": "win_"}


def main(folder=None):
    python, machine = "cp{}{}".format(*sys.version_info), platform.machine().lower()
    wheels = [wheel.stem.split("-") for wheel in STICK.glob("wheels/torch-*.whl")]
    kind = SYSTEM.get(sys.platform, sys.platform)
    if not any(python == tag and kind in system and machine in system for _, _, tag, _, system in wheels):
        there = ", ".join(sorted(f"{tag} on {system}" for _, _, tag, _, system in wheels))
        sys.exit(
            f"This is Python {platform.python_version()} on {sys.platform} ({machine}), and the packages here are for "
            f"{there} (cp311 is Python 3.11). Install such a Python, and run install.py with it, as READ_ME_FIRST.txt "
            "says."
        )
    home = Path(folder or Path.home() / "rnntips").resolve()
    if not (home / "pyproject.toml").exists():
        print("Copying the workbook to", home)
        part = home.with_name(f"{home.name}.part")  # so that an interrupted copy is no workbook
        shutil.rmtree(part, ignore_errors=True)
        shutil.copytree(STICK / "workbook", part)
        try:
            part.rename(home)
        except OSError as error:
            sys.exit(f"{home} cannot be used ({error.strerror}). Name another folder: install.py FOLDER")
    print("Installing; this takes some minutes.")
    venv.create(home / ".venv", clear=True, with_pip=True)
    programs = home / ".venv" / ("Scripts" if sys.platform == "win32" else "bin")
    run = [str(programs / "python"), "-m", "pip", "install", "--disable-pip-version-check", "--quiet", "--no-index"]
    found = ["--find-links", str(STICK / "wheels"), "-c", str(home / "constraints.txt")]
    subprocess.run([*run, *found, "-e", str(home)], check=True)
    print("Compiling the engine, once.")
    subprocess.run([str(programs / "python"), "-c", "import rnntips.engine.numba_ops"], cwd=str(home), check=True)
    subprocess.run([str(programs / "rnntips"), "check"], check=True)
    print(f"\nDone. To open the workbook, now and later:\n\n    {programs / 'rnntips'} lab")


if __name__ == "__main__":
    main(*sys.argv[1:2])
