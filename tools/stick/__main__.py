"""`make stick`: a folder from which a room without network installs the workbook."""

import os
import shutil
import subprocess
import sys
import tarfile
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import click

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
PATCH = 9  # 3.11.9 is the last that has installers; some packages take no Python before 3.11.5
CPU_INDEX = "https://download.pytorch.org/whl/cpu"  # on Linux, pip's own index has the CUDA build only


class System(NamedTuple):
    """An operating system, as uv calls it, and the platforms of wheels that it takes."""

    target: str
    platforms: tuple[str, ...]


SYSTEMS = {
    "linux": System("x86_64-manylinux_2_28", (*(f"manylinux_2_{n}_x86_64" for n in (28, 27, 26, 24, 17, 12, 5)),
                                              "manylinux2014_x86_64", "linux_x86_64")),
    "macos": System("aarch64-apple-darwin", ("macosx_14_0_arm64", "macosx_14_0_universal2")),
    "windows": System("x86_64-pc-windows-msvc", ("win_amd64",)),
}  # fmt: skip


@click.command()
@click.option("--folder", type=click.Path(path_type=Path), default=Path("stick"), show_default=True)
@click.option("--system", "systems", type=click.Choice(list(SYSTEMS)), multiple=True, help="All three if left out.")
@click.option("--python", "pythons", multiple=True, default=["3.11"], show_default=True, metavar="VERSION")
def main(folder: Path, systems: tuple[str, ...], pythons: tuple[str, ...]) -> None:
    """Put what is committed here and all that it needs into a folder; wheels that lie there are not fetched again."""
    wheels, workbook = folder / "wheels", folder / "workbook"
    wheels.mkdir(parents=True, exist_ok=True)
    for python in pythons:
        for name in systems or SYSTEMS:
            click.echo(f"Wheels for Python {python} on {name}")
            gather(wheels, name, python)
    shutil.rmtree(workbook, ignore_errors=True)
    packed = subprocess.run(["git", "archive", "HEAD"], cwd=ROOT, check=True, capture_output=True).stdout
    tarfile.open(fileobj=BytesIO(packed)).extractall(workbook, filter="data")
    for name in ("install.py", "READ_ME_FIRST.txt"):
        shutil.copy(HERE / name, folder)
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    click.echo(f"{folder.resolve()}: {size / 1e6:,.0f} MB. Copy it onto a stick; READ_ME_FIRST.txt says how to go on.")


def gather(wheels: Path, name: str, python: str) -> None:
    """Fetch the wheels of everything that the package needs there, in the versions of constraints.txt."""
    system, constraints = SYSTEMS[name], (ROOT / "constraints.txt").read_text()
    torch = next(line for line in constraints.splitlines() if line.startswith("torch=="))
    download = [sys.executable, "-m", "pip", "download", "--disable-pip-version-check", "--quiet", "--no-deps",
                "--only-binary=:all:", "--implementation=cp", f"--python-version={python}.{PATCH}", f"--dest={wheels}",
                *(f"--platform={platform}" for platform in system.platforms)]  # fmt: skip
    from_pytorch = [f"--index-url={CPU_INDEX}", "--retries=0", "--timeout=10"]
    if name != "linux" or subprocess.run([*download, *from_pytorch, torch], stderr=subprocess.DEVNULL).returncode:
        subprocess.run([*download, torch], check=True)
    # uv resolves for other systems than this one, which pip cannot; it finds the PyTorch that was just fetched.
    compiled = [sys.executable, "-m", "uv", "pip", "compile", "--quiet", "--no-header", "--no-annotate",
                "--only-binary=:all:", "--index-strategy=unsafe-best-match", f"--find-links={wheels.resolve()}",
                "--constraints=constraints.txt", f"--python-platform={system.target}",
                f"--python-version={python}.{PATCH}", "pyproject.toml"]  # fmt: skip
    macos = os.environ | {"MACOSX_DEPLOYMENT_TARGET": "14.0"}  # uv has an older one in mind than PyTorch needs
    needed = subprocess.run(compiled, cwd=ROOT, env=macos, check=True, stdout=subprocess.PIPE, text=True).stdout
    build = [] if "setuptools==" in needed else ["setuptools"]  # builds the package itself
    subprocess.run([*download, f"--find-links={wheels}", *needed.split(), *build], check=True)


if __name__ == "__main__":
    main(prog_name="python -m tools.stick")
