"""What may come between a press and the end of a run: other presses, panels, cells, kernels and front ends."""

import pytest

pytest.importorskip("playwright")

from playwright.sync_api import expect
from reader import ENDLESS, LONG, PANEL, SHORT
from serving import SUBSHELLS

pytestmark = [pytest.mark.browser, pytest.mark.slow]

# Which of this package's threads were started.
STARTED = """import threading
started, start = [], threading.Thread.start
def note(thread):
    if getattr(thread._target, "__module__", "").startswith("rnntips"):
        started.append(thread)
    start(thread)
threading.Thread.start = note"""


def test_a_double_click_starts_one_run(reader, name):
    presses = "presses = []\npanel.guess_buttons['higher'].on_click(presses.append)"
    panel = reader.panel(name, ENDLESS, STARTED, presses)
    for run in (1, 2):
        panel.part("higher").dblclick()
        panel.wait_for_progress()
        assert reader.ask("print(len(presses), len(started))") == f"{2 * run} {run}"
        panel.part("stop").click()
        expect(panel.part("higher")).to_be_enabled(timeout=LONG)


def test_a_control_changed_in_mid_run_changes_nothing_in_that_run(reader, name):
    panel = reader.panel(name, "panel.baseline = panel.baseline.but(updates=1000)")
    panel.part("higher").click()
    panel.wait_for_progress()
    for control in panel.place.locator("select").all():
        expect(control).to_be_disabled()
    panel.part("stop").focus()
    for key in ("ArrowDown", "ArrowUp", "Shift+Tab", "ArrowDown", "PageDown", "s"):
        reader.page.keyboard.press(key)
    was = reader.ask("print(panel.state, panel.asked.value, panel.asked.setting)")
    assert was == "running none demand"
    asked = panel.label().split(":")[0]
    reader.ask("panel.controls['value'].value = 'robust'\npanel.controls['setting'].value = 'CO2'")
    panel.wait_for_progress()
    panel.wait_for_end()
    assert panel.label().startswith(f"{asked}: 1000 of 1000")
    assert "none" in asked and "robust" not in asked


FIGURE = """import threading, time
import matplotlib.pyplot as plt
plt.figure(figsize=(3, 2))
until, enough = time.monotonic() + 60, len(writers) + 2
while panel.state == "running" and len(writers) < enough and time.monotonic() < until:
    time.sleep(0.005)  # so that the other thread draws between the two lines of this one
plt.plot([1, 3, 2])"""
LOG = """import threading
writers = []
def note(change):
    if change["new"].startswith("Training: "):
        writers.append(threading.current_thread().name)
panel.status.observe(note, "value")"""
MEDDLE = "panel.status.observe(lambda _: plt.figure(figsize=(1, 1)), 'value')"


def test_a_pyplot_cell_shows_the_same_figure_while_a_panel_trains(reader, name):
    panel = reader.panel(name, ENDLESS, LOG, FIGURE)
    alone = pictures(reader.run_cell(3))
    panel.part("higher").click()
    panel.wait_for_progress()
    for _ in range(10):
        drawn = reader.ask("print(len(writers))")
        assert pictures(reader.run_cell(3)) == alone
        assert int(reader.ask("print(len(writers))")) >= int(drawn) + 2, "the other thread did not draw meanwhile"
    assert reader.ask("print(threading.current_thread().name, panel.state)") == "MainThread running"
    assert "MainThread" not in reader.ask("print(set(writers))")
    reader.ask(MEDDLE)  # now that thread uses pyplot, and the very same comparison has to see it
    assert pictures(reader.run_cell(3)) != alone
    panel.stop()


def pictures(outputs):
    return [output["data"]["image/png"] for output in outputs if "image/png" in output.get("data", {})]


def test_a_second_panel_waits_its_turn_and_says_so(reader, name):
    second = PANEL.replace("panel =", "second =").replace("\npanel", "\nsecond")
    first, second = reader.panels(name, PANEL, second, ENDLESS)
    first.part("higher").click()
    first.wait_for_progress()
    second.part("lower").click()
    second.wait_until_it_says("Another panel is training")
    first.wait_for_progress()
    first.stop()
    second.part("same").click()
    second.wait_for_end()


def test_interrupting_the_kernel_does_not_end_a_run(reader, name):
    """An interrupt reaches the main thread alone; Stop is what ends a panel's run."""
    panel = reader.panel(name, ENDLESS)
    panel.part("higher").click()
    panel.wait_for_progress()
    reader.do("notebook:interrupt-kernel")
    panel.wait_for_progress()
    assert reader.ask("print(panel.state)") == "running"
    panel.stop()


def test_after_a_restart_in_mid_run_the_cells_give_a_new_panel(reader, name):
    panel = reader.panel(name, ENDLESS)
    panel.part("higher").click()
    panel.wait_for_progress()
    before = reader.ask("import os; print(os.getpid())")
    reader.page.evaluate("void window.jupyterapp.commands.execute('notebook:restart-kernel')")
    reader.page.locator(".jp-Dialog .jp-mod-accept").click()
    reader.page.locator(".jp-Dialog").wait_for(state="detached")
    reader.page.wait_for_function("window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.status"
                                  " === 'idle'", timeout=LONG)  # fmt: skip
    (panel,) = reader.run_all()
    assert reader.ask("import os; print(os.getpid())") != before
    panel.part("higher").click()
    panel.wait_for_progress()
    panel.stop()


def test_thirty_runs_in_a_row_let_neither_kernel_nor_page_grow(reader, name):
    """What leaks grows with every ten runs; some library takes 28 MB once, in any one of them."""
    panel = reader.panel(name, SHORT)
    kernel, page = [], []
    for run in range(1, 31):
        panel.run(("lower", "same", "higher")[run % 3])
        if run % 10 == 0:
            kernel.append(reader.kernel_size())
            page.append(reader.page_size())
    assert min(kernel[1] - kernel[0], kernel[2] - kernel[1]) <= 5
    assert kernel[2] - kernel[0] <= 40
    assert page[2] - page[0] <= 3


# Notebook 7.6.5 says these of itself, with any notebook.
NOTEBOOKS_OWN = (
    "Cannot read properties of undefined (reading 'schema')", "Command 'filebrowser:open-path' not registered.",
)  # fmt: skip


def test_notebook_7_shows_a_run_as_jupyterlab_does(reader, name, errors):
    errors.known = NOTEBOOKS_OWN
    reader.write(name, PANEL)
    reader.open_in_notebook(name)
    (panel,) = reader.run_all()
    panel.run("same")
    assert "Higher error in 10 of 10 runs" in panel.part("status").inner_text()
    assert "300 of 300 updates" in panel.label()


@pytest.fixture
def without_subshells(server):
    server.set(SUBSHELLS, commsOverSubshells="disabled")
    yield
    server.set(SUBSHELLS)


@pytest.mark.parametrize("reader", ["python3"], indirect=True)
def test_a_panel_works_without_subshells(without_subshells, reader, name):
    panel = reader.panel(name, "import threading")
    panel.run("same")
    assert "Higher error in 10 of 10 runs" in panel.part("status").inner_text()
    reader.ask(ENDLESS)
    panel.part("higher").click()
    panel.wait_for_progress()
    panel.stop()
    assert "subshell" not in reader.ask("print([thread.name for thread in threading.enumerate()])")
