"""What a reader does in JupyterLab, and what a reader sees there."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import nbformat
from serving import Server

if TYPE_CHECKING:  # where playwright is missing the tests say so themselves
    from playwright.sync_api import Locator, Page

SECONDS = 1000  # Playwright counts milliseconds
LONG = 120 * SECONDS
PANEL = "import rnntips as rt\npanel = rt.panels.Panel('scaling')\npanel"
ENDLESS = "panel.baseline = panel.baseline.but(updates=20_000)"
SHORT = "panel.baseline = panel.baseline.but(updates=60)"

CURRENT = "window.jupyterapp.shell.currentWidget"
READY = """() => {
    const panel = window.jupyterapp?.shell?.currentWidget;
    const session = panel?.sessionContext;
    return session?.isReady && session.session?.kernel?.connectionStatus === 'connected'
        && session.session.kernel.status === 'idle' && panel.content?.widgets.length > 0;
}"""
RUN_ONE = """async index => {
    const cells = window.jupyterapp.shell.currentWidget.content;
    cells.activeCellIndex = index;
    cells.deselectAll();
    await window.jupyterapp.commands.execute('notebook:run-cell');
    return cells.widgets[index].model.outputs.toJSON();
}"""
SELECT = """index => {
    const cells = window.jupyterapp.shell.currentWidget.content;
    cells.activeCellIndex = index;
    cells.mode = 'command';
    cells.activate();
}"""
# The kernel's answer to code of which the notebook knows nothing.
ASK = """async code => {
    const kernel = window.jupyterapp.shell.currentWidget.sessionContext.session.kernel;
    const asked = kernel.requestExecute({code, store_history: false});
    let said = '';
    asked.onIOPub = message => {
        said += message.content.text ?? '';
        if (message.header.msg_type === 'error') said += message.content.traceback.join('\\n');
    };
    await asked.done;
    return said;
}"""
CELLS = """() => window.jupyterapp.shell.currentWidget.content.widgets
    .map(cell => [cell.model.type, cell.model.sharedModel.getSource()])"""
# From now on: when it was clicked, when pictures came and which had a curve, what it said when, what was read out.
WATCH = """panel => {
    const seen = {clicks: [], pictures: [], curves: [], said: [], heard: []};
    const watch = (name, note) => {
        const place = panel.querySelector(`.rnntips-${name} .widget-html-content`);
        new MutationObserver(() => note(place)).observe(place, {childList: true, subtree: true, characterData: true});
    };
    panel.addEventListener('click', () => seen.clicks.push(performance.now()), {capture: true});
    watch('picture', place => {
        seen.pictures.push(performance.now());
        if (place.querySelector('path.run[d*=L]')) seen.curves.push(performance.now());
    });
    watch('status', place => seen.said.push([performance.now(), place.innerText]));
    watch('said', place => seen.heard.push(place.innerText));
    panel.seen = seen;
}"""


@dataclass(frozen=True)
class Panel:
    """One panel on the page."""

    place: "Locator"

    def part(self, name: str) -> "Locator":
        """By its class without the prefix: `stop`, `higher`, `status`, ..."""
        return self.place.locator(f".rnntips-{name}")

    @property
    def picture(self) -> "Locator":
        return self.part("picture").get_by_role("img")

    def label(self) -> str:
        """What a screen reader says of the picture."""
        return self.picture.get_attribute("aria-label")

    def reach(self, name: str) -> None:
        """Press Tab until a part has the focus."""
        for _ in range(20):
            if self.part(name).evaluate("part => part === document.activeElement"):
                return
            self.place.page.keyboard.press("Tab")
        raise AssertionError(f"Tab does not lead to {name}")

    def stop(self) -> None:
        self.part("stop").click()
        self.wait_until_it_says("Stopped at update")

    def watch(self) -> None:
        self.place.evaluate(WATCH)

    def seen(self) -> dict:
        return self.place.evaluate("panel => panel.seen")

    def wait_for_pictures(self, more: int = 2) -> None:
        """Until so many further pictures have come."""
        self._wait("seen.pictures.length", more)

    def wait_for_curve(self) -> None:
        self._wait("seen.curves.length", 1)

    def wait_for_progress(self) -> None:
        """Until it has said twice more how far it is."""
        self._wait("seen.said.filter(([, words]) => words.startsWith('Training: ')).length", 2)

    def wait_for_end(self) -> None:
        self.wait_until_it_says("You guessed")

    def wait_until_it_says(self, words: str) -> None:
        self.part("status").filter(has_text=words).wait_for(timeout=LONG)

    def run(self, guess: str = "same") -> None:
        """Guess, and wait until all is done; the panel must be watched."""
        self.part(guess).click()
        self._wait("seen.said.filter(([, words]) => words.includes('You guessed')).length", 1)

    def _wait(self, count: str, more: int) -> None:
        node = self.place.element_handle()
        wanted = node.evaluate(f"({{seen}}) => {count}") + more
        self.place.page.wait_for_function(f"([{{seen}}, wanted]) => {count} >= wanted", arg=[node, wanted],
                                          timeout=LONG)  # fmt: skip


@dataclass(frozen=True)
class Reader:
    """Somebody with a browser, a server and a kernel's name."""

    page: "Page"
    server: Server
    kernel: str = "python3"

    def write(self, name: str, *sources: str) -> Path:
        """A notebook of these cells."""
        book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in sources])
        book.metadata["kernelspec"] = {"display_name": self.kernel, "language": "python", "name": self.kernel}
        place = self.server.folder / f"{name}.ipynb"
        nbformat.write(book, place)
        return place

    def open(self, name: str) -> None:
        """A notebook in JupyterLab, until its kernel waits for work."""
        self.page.goto(f"{self.server.address}/lab/workspaces/{name}/tree/{name}.ipynb?reset")
        self.wait_for_kernel()

    def open_in_notebook(self, name: str) -> None:
        """The same in Notebook 7."""
        self.page.goto(f"{self.server.address}/notebooks/{name}.ipynb")
        self.wait_for_kernel()

    def wait_for_kernel(self) -> None:
        self.page.wait_for_function(READY, timeout=LONG)

    def panels(self, name: str, *sources: str) -> list[Panel]:
        """Write and open a notebook, run all of it, and watch the panels it shows."""
        self.write(name, *sources)
        self.open(name)
        return self.run_all()

    def panel(self, name: str, *sources: str) -> Panel:
        """The one panel of a notebook that begins with it."""
        (panel,) = self.panels(name, PANEL, *sources)
        return panel

    def run_all(self) -> list[Panel]:
        self.do("notebook:run-all-cells")
        self.wait_for_kernel()
        return self.shown()

    def shown(self) -> list[Panel]:
        """The panels on the page, watched from now on."""
        places = self.page.locator(".rnntips-panel")
        places.first.locator(".rnntips-higher").wait_for(timeout=LONG)
        panels = [Panel(places.nth(i)) for i in range(places.count())]
        for panel in panels:
            panel.watch()
        return panels

    def run_cell(self, index: int) -> list[dict]:
        """Its outputs."""
        return self.page.evaluate(RUN_ONE, index)

    def select_cell(self, index: int) -> None:
        """As a click on its margin does."""
        self.page.evaluate(SELECT, index)

    def first_widget(self, book: str) -> "tuple[list[list[str]], Locator, Locator]":
        """Open a notebook and run its first code cell: its cells before, the widget that came, and its picture."""
        self.open(book)
        before = self.cells()
        self.run_cell(next(i for i, (kind, _) in enumerate(before) if kind == "code"))
        panel = self.page.locator(".rnntips-panel")
        return before, panel, panel.get_by_role("img")

    def ask(self, code: str) -> str:
        """What the kernel prints."""
        return self.page.evaluate(ASK, code).strip()

    def do(self, command: str, **arguments) -> None:
        self.page.evaluate(f"window.jupyterapp.commands.execute('{command}', {json.dumps(arguments)})")

    def cells(self) -> list[list[str]]:
        """Kind and source of each."""
        return self.page.evaluate(CELLS)

    def kernel_size(self) -> float:
        """MB of the kernel in memory."""
        return int(self.ask("print(open('/proc/self/status').read().split('VmRSS:')[1].split()[0])")) / 1024

    def page_size(self) -> float:
        """MB of JavaScript objects alive in the page."""
        session = self.page.context.new_cdp_session(self.page)
        session.send("HeapProfiler.collectGarbage")
        used = session.send("Runtime.getHeapUsage")["usedSize"]
        session.detach()
        return used / 2**20

    def shut_down(self) -> None:
        """End the kernel, so that the next one has the machine to itself."""
        self.page.evaluate(f"{CURRENT}?.sessionContext?.shutdown()")
