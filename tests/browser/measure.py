"""How fast a panel answers, how much it sends, how large its kernel grows, and how it looks.

    .venv/bin/python tests/browser/measure.py [FOLDER] [KERNEL]

prints the figures and, with a folder, leaves screenshots and the accessibility tree there.
"""

import sys
from collections.abc import Callable
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from playwright.sync_api import Locator, sync_playwright
from reader import ENDLESS, SECONDS, SHORT, Panel, Reader
from serving import FLAGS, chromium, serving

TIMES = 10
RUNS = 30
SENT = """import ipykernel
sent = []
panel.picture.observe(lambda change: sent.append(len(change["new"].encode())), "value")"""


def answers(reader: Reader) -> None:
    """From a click to what it brings about."""
    panel = reader.panel("answers", ENDLESS)
    starts, stops = [], []
    for _ in range(TIMES):
        panel.watch()
        panel.part("higher").click()
        panel.wait_for_curve()
        panel.stop()
        seen = panel.seen()
        guessed, stopped = seen["clicks"]
        starts.append((seen["curves"][0] - guessed) / SECONDS)
        stops.append((next(at for at, words in seen["said"] if words.startswith("Stopped")) - stopped) / SECONDS)
    for what, seconds in (("from a guess to the first curve", starts), ("from Stop to Stopped", stops)):
        print(f"{what}: {median(seconds):.2f} s, median of {TIMES} ({min(seconds):.2f} to {max(seconds):.2f}; "
              f"the first {seconds[0]:.2f})")  # fmt: skip
    reader.shut_down()


def whole_run(reader: Reader) -> Panel:
    """Pictures and bytes of one run to the end."""
    panel = reader.panel("whole", SENT)
    print(f"ipykernel {reader.ask('print(ipykernel.__version__)')}")
    panel.run("same")
    times = panel.seen()["pictures"]
    seconds = (times[-1] - panel.seen()["clicks"][0]) / SECONDS
    sent = reader.ask("print(len(sent), sum(sent), max(sent))").split()
    print(f"a whole run: {len(times)} pictures in {seconds:.2f} s, {len(times) / seconds:.1f} a second; "
          f"{int(sent[1]) / 1000:.0f} kB of pictures sent, the largest {int(sent[2]) / 1000:.1f} kB")  # fmt: skip
    return panel


def look(reader: Reader, panel: Panel, folder: Path) -> None:
    """The finished run in both themes, on a phone, on a screen at the front of a room, and in words."""
    page = reader.page
    (folder / "panel.aria.txt").write_text(panel.place.aria_snapshot() + "\n", encoding="utf-8")
    panel.place.screenshot(path=folder / "light.png")
    panel.part("more").click()
    panel.part("extras").wait_for()
    panel.place.screenshot(path=folder / "more.png")
    panel.part("more").click()
    panel.part("big").click()
    page.locator(".rnntips-enlarged").wait_for()
    panel.place.screenshot(path=folder / "big.png")
    panel.part("big").click()
    page.locator(".rnntips-enlarged").wait_for(state="detached")
    turn(reader, "Dark")
    panel.place.screenshot(path=folder / "dark.png")
    turn(reader, "Light")
    reader.do("application:toggle-left-area")
    page.set_viewport_size({"width": 390, "height": 844})
    panel.part("question").scroll_into_view_if_needed()
    page.screenshot(path=folder / "narrow.png")
    panel.place.screenshot(path=folder / "narrow-panel.png")


def turn(reader: Reader, theme: str) -> None:
    """Change the theme, and wait until its curtain is gone."""
    reader.do("apputils:change-theme", theme=f"JupyterLab {theme}")
    reader.page.locator(f"body[data-jp-theme-name='JupyterLab {theme}']").wait_for(state="attached")
    reader.page.locator("#jupyterlab-splash").wait_for(state="detached")


def in_both_themes(reader: Reader, screenshot: Callable[..., None], place: Locator, name: str) -> None:
    """Pictures of a part of the page, light and dark."""
    for theme in ("Light", "Dark"):
        turn(reader, theme)
        screenshot(place, f"{name}-{theme.lower()}")
    turn(reader, "Light")


def growth(reader: Reader) -> None:
    """Memory after many runs."""
    panel = reader.panel("growth", SHORT)
    for run in range(1, RUNS + 1):
        panel.run("same")
        if run % 10 == 0:
            print(f"after {run} runs: kernel {reader.kernel_size():.0f} MB, page {reader.page_size():.1f} MB")
    reader.shut_down()


def main(folder: str = "", kernel: str = "python3") -> None:
    found = chromium() or sys.exit("No browser here.")
    with TemporaryDirectory() as home, serving(Path(home)) as server, sync_playwright() as playwright:
        page = playwright.chromium.launch(executable_path=found, args=FLAGS).new_page()
        page.set_viewport_size({"width": 1280, "height": 1000})
        page.on("dialog", lambda dialog: dialog.accept())
        reader = Reader(page, server, kernel)
        panel = whole_run(reader)
        if folder:
            Path(folder).mkdir(parents=True, exist_ok=True)
            look(reader, panel, Path(folder))
            page.set_viewport_size({"width": 1280, "height": 1000})
        reader.shut_down()
        answers(reader)
        growth(reader)


if __name__ == "__main__":
    main(*sys.argv[1:])
