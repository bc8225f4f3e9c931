"""Generated parts of pages, each between two comments: `python -m tools.pages` writes those of the README."""

import re
import tomllib
from pathlib import Path

from rnntips.cli.lab import START
from rnntips.errors import BadData
from rnntips.notebook.lessons import lessons

__all__ = ["README", "lessons_table", "repository", "write_between", "write_readme"]

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"


def lessons_table() -> str:
    """The lessons that are there, for the README."""
    rows = [f"| [`{each.notebook}`](notebooks/{each.notebook}.ipynb) | {each.question} | {each.minutes} |"
            for each in lessons()]  # fmt: skip
    return "\n".join(["| notebook | question | minutes |", "| --- | --- | --- |", *rows])


def repository() -> str:
    """The address on GitHub that `pyproject.toml` names, the one place where its owner stands.

    Raises:
        BadData: It is no address of a repository on GitHub.
    """
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    address = project["urls"]["Repository"]
    if not re.fullmatch(r"https://github\.com/[\w.-]+/[\w.-]+", address):
        raise BadData(f"pyproject.toml: Repository is {address!r}; it must be like https://github.com/OWNER/rnntips.")
    return address


def ways(address: str) -> str:
    """Where the repository at this address opens without an installation, for the README."""
    name = address.removeprefix("https://github.com/")
    binder = f"https://mybinder.org/v2/gh/{name}/HEAD?urlpath=lab/tree/{START}"
    on_colab = f"https://colab.research.google.com/github/{name}/blob/HEAD/{START}"
    return (
        f"[![Open in Binder](https://mybinder.org/badge_logo.svg)]({binder})\n"
        f"[![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)]({on_colab})"
    )


def colab(address: str) -> str:
    """The cell that installs from this address on Google Colab, for the README."""
    return f'    %pip install "numba>=0.61"\n    %pip install --no-deps git+{address}'


def write_between(page: Path, text: str, name: str) -> None:
    """Replace what stands in the page between the markers of this name.

    Raises:
        BadData: The page is missing or does not have both markers once, in order.
    """
    begin, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
    content = page.read_text(encoding="utf-8") if page.is_file() else ""
    before, found, rest = content.partition(begin)
    _, closed, after = rest.partition(end)
    if not (found and closed) or content.count(begin) + content.count(end) > 2:
        raise BadData(f"{page}: a page with {begin} and, below it, {end}, each once, is needed to write a table into.")
    page.write_text(f"{before}{begin}\n{text}\n{end}{after}", encoding="utf-8")


def write_readme(page: Path, address: str) -> None:
    """Write every generated part of the README, for the repository at this address."""
    for name, text in {"lessons": lessons_table(), "ways": ways(address), "colab": colab(address)}.items():
        write_between(page, text, name)


if __name__ == "__main__":
    write_readme(README, repository())
