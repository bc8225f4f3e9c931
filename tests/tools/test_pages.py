"""The README's generated parts: they are up to date, and the repository's owner stands in one place."""

import re
import shutil
from pathlib import Path

import pytest

from rnntips.cli.lab import INSTALLED, START
from rnntips.errors import BadData
from tools import pages


def test_the_readme_is_what_make_docs_writes(tmp_path):
    page = Path(shutil.copy(pages.README, tmp_path))
    pages.write_readme(page, pages.repository())
    assert page.read_text(encoding="utf-8") == pages.README.read_text(encoding="utf-8")


def test_the_cheat_sheet_and_the_map_are_what_make_docs_writes():
    assert pages.SHEET.read_text(encoding="utf-8") == pages.cheatsheet()
    assert pages.SYMPTOMS.read_text(encoding="utf-8") == pages.symptoms_page()


@pytest.mark.parametrize("page", [pages.SHEET, pages.SYMPTOMS], ids=lambda page: page.stem)
def test_every_link_of_a_generated_page_leads_to_a_file(page):
    for link in re.findall(r"\]\(([^)\s#]+)", page.read_text(encoding="utf-8")):
        assert (page.parent / link).is_file(), link


def test_the_cheat_sheet_has_every_rule_with_its_numbers():
    sheet = pages.cheatsheet()
    for each in pages.lessons():
        assert each.form == "own" or f"[{each.title}](../notebooks/{each.notebook}.ipynb)" in sheet
    assert "{" not in sheet and " of naive" in sheet
    assert "| 32 windows, with Adam" in sheet


def test_another_owner_stands_in_every_address(tmp_path):
    """Binder, Colab and pip are sent to that owner's repository, the first two to the page that the workbook opens."""
    page = Path(shutil.copy(pages.README, tmp_path))
    pages.write_readme(page, "https://github.com/ada/rnns")
    text = page.read_text(encoding="utf-8")
    assert "OWNER" not in text
    assert (INSTALLED / START).is_file()
    assert set(re.findall(r"[^\s(]*(?:mybinder.org/v2|colab[^\s(]*/github/|github.com)[^\s)]*", text)) == {
        f"https://mybinder.org/v2/gh/ada/rnns/HEAD?urlpath=lab/tree/{START}",
        f"https://colab.research.google.com/github/ada/rnns/blob/HEAD/{START}",
        "git+https://github.com/ada/rnns",
    }


@pytest.mark.parametrize("address", ["", "ada", "https://github.com/ada", "https://github.com/ada/rnns/", "git@x:a/b"])
def test_what_is_no_address_of_a_repository_is_refused(tmp_path, monkeypatch, address):
    (tmp_path / "pyproject.toml").write_text(f'[project.urls]\nRepository = "{address}"\n')
    monkeypatch.setattr(pages, "ROOT", tmp_path)
    with pytest.raises(BadData, match="must be like"):
        pages.repository()
