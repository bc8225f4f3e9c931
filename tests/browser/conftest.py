"""A JupyterLab server on loopback, a real browser, and a reader in front of it on each ipykernel."""

import os
from pathlib import Path

import pytest
from reader import Reader
from serving import BROWSERS, FLAGS, OLDER, chromium, serving

KERNELS = [pytest.param("python3", id="ipykernel7"), pytest.param("ipykernel6", marks=pytest.mark.slow)]


def missing(reason: str) -> None:
    """Skip, or fail where nothing of this may be skipped."""
    if os.environ.get("RNNTIPS_REQUIRE_BROWSER"):
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    # One arena, so that a kernel's size tells what it holds: glibc keeps about 25 MB for each of up to 16 threads.
    with serving(tmp_path_factory.mktemp("jupyter"), MALLOC_ARENA_MAX="1") as server:
        yield server


@pytest.fixture(scope="session")
def browser():
    found = chromium()
    if found is None:
        missing(f"no browser here (looked for {', '.join(BROWSERS)})")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium_ = playwright.chromium.launch(executable_path=found, args=FLAGS)
        yield chromium_
        chromium_.close()


@pytest.fixture
def errors():
    """What the page's console called an error. A journey may name those of the front end itself."""
    return Errors()


class Errors(list):
    known: tuple[str, ...] = ()


@pytest.fixture
def page(browser, server, errors):
    """A fresh page whose console errors fail the test."""
    context = browser.new_context(viewport={"width": 1280, "height": 1000})
    page = context.new_page()
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("dialog", lambda dialog: dialog.accept())  # that the notebook has changed
    yield page
    context.close()
    assert [each for each in errors if each not in errors.known] == []


@pytest.fixture(params=KERNELS)
def reader(page, server, request):
    """Somebody in front of that page, whose notebooks run on each of the ipykernels in turn."""
    if request.param == "ipykernel6" and not OLDER.is_dir():
        missing(f"no ipykernel 6 in {OLDER}: `make test-all` puts it there")
    reader = Reader(page, server, request.param)
    yield reader
    reader.shut_down()


@pytest.fixture
def name(request):
    """Of the test's notebook."""
    return "".join(letter if letter.isalnum() else "-" for letter in request.node.name)


@pytest.fixture
def screenshot():
    """Takes one of a page or an element where RNNTIPS_SCREENSHOTS names a folder, to be looked at."""

    def take(seen, name):
        if folder := os.environ.get("RNNTIPS_SCREENSHOTS"):
            seen.screenshot(path=Path(folder) / f"{name}.png")

    return take
