"""The one entry point to the notebooks: execute and normalise, check with nbval.

python tests/books.py refresh [BOOK]    execute and store (all books, or one)
python tests/books.py check [BOOK]      compare a fresh execution with what is stored; DEVICE=cuda: on a GPU
python tests/books.py measure [BOOK]    seconds and memory of a fresh execution
"""

import copy
import os
import platform
import subprocess
import sys
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "notebooks"
CELL_TIMEOUT = 120
IMPORT = "import rnntips as rt"
SETTINGS = str(ROOT / "tests" / "nbval.ini")
VIEW = "application/vnd.jupyter.widget-view+json"
KERNEL = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
os.environ["RNNTIPS_LABBOOK"] = ""  # whoever executes the lessons to store or check them is not their reader
DEVICE = "cpu"  # whose numbers are stored
# Live numbers differ between machines; their constant text/plain is compared instead.
NOT_COMPARED = ("text/html",)
KEPT = ("jupyter", "tags", "jp-MarkdownHeadingCollapsed")  # of a cell's metadata
# JupyterLab shows a folded output's first line that is not empty. This one hides the answer.
COVER = nbformat.v4.new_output("stream", name="stdout", text=" \n")


def pytest_collectstart(collector) -> None:
    """A hook of nbval's: this file is also its plugin."""
    if collector.path.suffix == ".ipynb":
        collector.skip_compare += NOT_COMPARED


def pytest_itemcollected(item) -> None:
    """What is compared is what a cell gives, and no cell gives a cover."""
    if item.path.suffix == ".ipynb":
        item.cell.outputs = uncovered(item.cell)


def uncovered(cell: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    """A cell's outputs without the cover."""
    return [output for output in cell.outputs if output != COVER]


def books(name: str | None = None) -> list[Path]:
    """Every notebook, or the one named so."""
    found = sorted(path for path in FOLDER.glob("*.ipynb") if name in (None, path.stem, path.name))
    if not found:
        sys.exit(f"No notebook {name!r} in {FOLDER}. There are: {', '.join(p.stem for p in books())}.")
    return found


def normal(book: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """The form in which notebooks are stored.

    No widget state, no timings, one kernel name, counts 1 … n, and a cover over whatever starts folded.
    """
    book = copy.deepcopy(book)
    book.metadata = nbformat.from_dict(
        {
            "kernelspec": KERNEL,
            "language_info": {"name": "python"},
            **({"rnntips": book.metadata["rnntips"]} if "rnntips" in book.metadata else {}),
        }
    )
    book.nbformat, book.nbformat_minor = 4, 5
    count = 0
    for cell in book.cells:
        cell.metadata = {key: cell.metadata[key] for key in KEPT if key in cell.metadata}
        if cell.cell_type != "code":
            continue
        count += 1
        cell.execution_count = count
        for output in cell.outputs:
            if "execution_count" in output:
                output["execution_count"] = count
            output.get("data", {}).pop(VIEW, None)
        cell.outputs = uncovered(cell)
        if cell.outputs and cell.metadata.get("jupyter", {}).get("outputs_hidden"):
            cell.outputs.insert(0, copy.deepcopy(COVER))
    return book


def execute(book: nbformat.NotebookNode) -> float:
    """Run every cell in a fresh kernel; returns seconds."""
    began = time.perf_counter()
    client = NotebookClient(book, timeout=CELL_TIMEOUT, resources={"metadata": {"path": str(FOLDER)}})
    client.execute(env=os.environ | {"RNNTIPS_DEVICE": DEVICE})
    return time.perf_counter() - began


def refresh(path: Path) -> str:
    """Execute a notebook in place and store it in the normal form."""
    book = nbformat.read(path, as_version=4)
    seconds = execute(book)
    nbformat.write(normal(book), path)
    return f"{seconds:.0f} s"


def measure(path: Path) -> str:
    """Seconds of an execution, and the most memory its kernel held (Linux)."""
    book = nbformat.read(path, as_version=4)
    probe = "import resource; print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)"
    book.cells.append(nbformat.v4.new_code_cell(probe))
    seconds = execute(book)
    return f"{seconds:.0f} s, kernel's peak {book.cells[-1].outputs[0]['text'].strip()} MB"


def check(paths: list[Path], *options: str, device: str = DEVICE) -> subprocess.CompletedProcess:
    """nbval on some notebooks: strict where versions and device are those of what is stored, lax elsewhere.

    Lax means that every cell has to run, its assertions included, and that what it prints is not compared.
    """
    reference = platform.system() == "Linux" and sys.version_info[:2] == (3, 11) and device == DEVICE
    command = [sys.executable, "-m", "pytest", "-p", "books", "--nbval" if reference else "--nbval-lax",
               "--nbval-current-env", f"--nbval-cell-timeout={CELL_TIMEOUT}", "-p", "no:cacheprovider",
               "-c", SETTINGS, "--nbval-sanitize-with", SETTINGS, "-q", *options, *map(str, paths)]  # fmt: skip
    search = [str(Path(__file__).parent), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(search), "RNNTIPS_DEVICE": device}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)


def changed(path: Path, change: str, folder: Path) -> Path:
    """A copy that does something to the package right after importing it."""
    book = nbformat.read(path, as_version=4)
    first = next(cell for cell in book.cells if cell.cell_type == "code")
    assert IMPORT in first.source, f"{path.name}: the first code cell does not import the package"
    first.source = first.source.replace(IMPORT, f"{IMPORT}\n{change}", 1)
    copied = folder / path.name
    nbformat.write(book, copied)
    return copied


if __name__ == "__main__":
    action, *names = sys.argv[1:] or ["check"]
    chosen = books(names[0] if names else None)
    if action in ("refresh", "measure"):
        for book_path in chosen:
            print(f"{book_path.stem}: {(refresh if action == 'refresh' else measure)(book_path)}")
    else:
        result = check(chosen, device=os.environ.get("DEVICE", DEVICE))
        print(result.stdout)
        sys.exit(result.returncode)
