"""The panel as a reader meets it: JupyterLab in a real browser, on ipykernel 7 and 6."""

import pytest

pytest.importorskip("playwright")

from measure import turn
from playwright.sync_api import expect
from reader import ENDLESS, LONG, SHORT

import rnntips as rt

pytestmark = pytest.mark.browser

RUNNING = "Training: "
# They insert, cut, delete, merge, move and retype cells, or let them be edited, when a cell is selected.
SHORTCUTS = ("a", "b", "d", "d", "x", "v", "m", "y", "ArrowUp", "ArrowDown", "Shift+M", "Control+Shift+ArrowDown")
SCREENS = [(1280, 800), (768, 1024)]
PLACES = """panel => [...panel.querySelectorAll('button'), panel].filter(part => part.offsetParent).map(part => {
    const box = part.getBoundingClientRect(), from = panel.getBoundingClientRect();
    return [part === panel ? 'panel' : part.innerText, Math.round(box.top - from.top), Math.round(box.height)];
})"""
# Texts whose contrast with what is behind them (WCAG 2) is below 4.5, as [contrast, text]. A picture that is dimmed
# since it answers an earlier question is no text to be read.
FAINT = """panel => {
    const rgba = text => { const [r, g, b, a = 1] = text.match(/[\\d.]+/g).map(Number); return [r, g, b, a]; };
    const over = ([r, g, b, a], ground) => [r, g, b].map((one, i) => one * a + ground[i] * (1 - a));
    const luminance = color => color.map(one => one / 255)
        .map(one => one <= 0.04045 ? one / 12.92 : ((one + 0.055) / 1.055) ** 2.4)
        .reduce((sum, one, i) => sum + one * [0.2126, 0.7152, 0.0722][i], 0);
    const ground = part => {
        const under = part.parentElement ? ground(part.parentElement) : [255, 255, 255];
        return over(rgba(getComputedStyle(part).backgroundColor), under);
    };
    const opacity = part => part ? Number(getComputedStyle(part).opacity) * opacity(part.parentElement) : 1;
    const parts = new Set(panel.querySelectorAll('select, input'));
    const texts = document.createTreeWalker(panel, NodeFilter.SHOW_TEXT);
    while (texts.nextNode()) if (texts.currentNode.data.trim()) parts.add(texts.currentNode.parentElement);
    return [...parts].filter(part => part.checkVisibility({visibilityProperty: true}) && part.getClientRects().length
            && !part.closest('style, option, .rnntips-said, .rnntips-asks .rnntips-plots')).map(part => {
        const style = getComputedStyle(part), [r, g, b, a] = rgba(part.closest('svg') ? style.fill : style.color);
        const behind = ground(part), front = over([r, g, b, a * opacity(part)], behind);
        const [dark, light] = [luminance(front), luminance(behind)].sort((one, other) => one - other);
        return [(light + 0.05) / (dark + 0.05), part.innerHTML.slice(0, 40)];
    }).filter(([contrast]) => window.everything || !(contrast >= 4.5));
}"""
SHOWN = "window.jupyterapp.shell.currentWidget.content.widgets"


def test_a_run_to_the_end_says_what_happened(reader, name, screenshot):
    panel = reader.panel(name)
    major = reader.ask("import ipykernel; print(ipykernel.__version__)").split(".")[0]
    assert major == {"python3": "7", "ipykernel6": "6"}[reader.kernel]
    panel.run("same")
    said = panel.part("status").inner_text()
    assert "Higher error in 10 of 10 runs" in said and "You guessed: higher, by up to a half" in said
    assert "300 of 300 updates" in panel.label()
    heard = panel.seen()["heard"]
    assert heard[0] == "Training has begun." and heard[-1] in said
    assert panel.part("said").get_attribute("role") == "status"
    screenshot(reader.page, "panel-finished")
    screenshot(panel.place, "panel")
    assert panel.place.bounding_box()["height"] <= 560, "the panel should fit on one screen"


@pytest.mark.parametrize("reader", ["python3"], indirect=True)
def test_a_lessons_own_guesses_are_on_its_buttons_and_the_sentence_judges_them_by_the_study(reader, name, screenshot):
    own = rt.tips["batch_size"].lesson.toml["panel"]["guesses"]
    (panel,) = reader.panels(name, "import rnntips as rt\npanel = rt.panels.Panel('batch_size')\npanel")
    buttons = dict(zip(("lower", "same", "higher"), own, strict=True))
    assert [panel.part(button).inner_text() for button in buttons] == list(own)
    asks = panel.part("plan").inner_text()
    assert "“batches of 10”: 5 epochs" in asks and "“batches of 1,000”: 5 epochs" in asks
    for theme in ("Light", "Dark"):
        turn(reader, theme)
        screenshot(panel.place, f"own-guesses-before-{theme}")
    judged = {}
    for button, guess in buttons.items():
        panel.run(button)
        said = panel.part("status").inner_text()
        assert f"You guessed: {guess}." in said
        judged[guess] = "Right." in said, "Not this time." in said
    for theme in ("Light", "Dark"):
        turn(reader, theme)
        screenshot(panel.place, f"own-guesses-after-{theme}")
    low, high = (1 + float(end) for end in reader.ask("print(*panel.study().interval)").split())
    (found,) = {next(guess for guess, limit in own.items() if end < limit) for end in (low, high)}
    assert judged == {guess: (guess == found, guess != found) for guess in own}


@pytest.mark.parametrize("reader", ["python3"], indirect=True)
@pytest.mark.parametrize(
    "screen", [pytest.param(each, marks=[pytest.mark.slow] * (each != SCREENS[0]), id="x".join(map(str, each)))
               for each in SCREENS],
)  # fmt: skip
def test_no_button_moves_from_the_first_look_to_the_next_question(reader, name, screen):
    width, height = screen
    reader.page.set_viewport_size({"width": width, "height": height})
    panel = reader.panel(name, "panel.baseline = panel.baseline.but(updates=400)")
    before = panel.place.evaluate(PLACES)
    assert "“standard”: 300 updates, learning rate 0.0137." in panel.part("plan").inner_text()
    panel.part("higher").click()
    panel.wait_for_pictures()
    assert panel.place.evaluate(PLACES) == before and "Stop" in [text for text, *_ in before]
    panel.wait_for_end()
    assert panel.place.evaluate(PLACES) == before
    expect(panel.part("plan").locator(".rnntips-words")).to_be_hidden()
    panel.part("fails").click()
    expect(panel.part("plan").get_by_text("New question: guess.")).to_be_visible()
    expect(panel.part("sentence")).to_be_hidden()
    after = panel.place.evaluate(PLACES)  # that question has other guesses
    assert [place for _, *place in after] == [place for _, *place in before]


@pytest.mark.parametrize("reader", ["python3"], indirect=True)
@pytest.mark.parametrize("theme", ["Light", pytest.param("Dark", marks=pytest.mark.slow)])
def test_every_text_has_enough_contrast(reader, name, theme):
    panel = reader.panel(name, ENDLESS)
    turn(reader, theme)
    panel.part("more").click()
    reader.ask("panel.controls['device'].layout.display = None\npanel.controls['cell'].layout.display = None")
    seen = {"asks": panel.place.evaluate(FAINT)}
    panel.part("higher").click()
    panel.wait_for_pictures()
    seen["runs"] = panel.place.evaluate(FAINT)
    panel.stop()
    reader.ask(SHORT)
    panel.part("higher").click()
    panel.wait_for_end()
    expect(panel.part("again")).to_be_enabled()  # the last thing to change, so that no click meets a button that moves
    seen["done"] = panel.place.evaluate(FAINT)
    panel.part("fails").click()
    expect(panel.part("plan").get_by_text("New question: guess.")).to_be_visible()
    seen["asks again"] = panel.place.evaluate(FAINT)
    assert not any(seen.values()), seen
    every = panel.place.evaluate(f"panel => {{ window.everything = true; return ({FAINT})(panel); }}")
    assert len(every) > 25, "it looks at something"
    arrow = "select => [getComputedStyle(select).backgroundImage, getComputedStyle(select).appearance]"
    assert panel.part("setting").locator("select").evaluate(arrow) == ["none", "auto"]


@pytest.mark.parametrize("reader", ["python3"], indirect=True)
def test_run_all_trains_nothing_below_a_panel_and_the_cell_gives_the_study_after_a_press(reader, name):
    panel = reader.panel(name, SHORT, "study = panel.study()\nstudy")
    (asked,) = reader.run_cell(2)
    assert "Press a guess in the panel above first" in "".join(asked["data"]["text/markdown"])
    assert reader.ask("print(panel.state, panel._study)") == "idle None"
    panel.run("same")
    words = "".join(output["data"].get("text/html", "") for output in reader.run_cell(2))
    assert panel.part("sentence").inner_text() in words
    panel.part("reset").click()
    (asked,) = reader.run_cell(2)
    assert "Press a guess in the panel above first" in "".join(asked["data"]["text/markdown"])


def test_stop_leaves_the_last_picture(reader, name, screenshot):
    panel = reader.panel(name, ENDLESS)
    panel.part("higher").click()
    panel.wait_for_pictures()
    screenshot(reader.page, "panel-running")
    panel.stop()
    assert panel.picture.locator("path").count() > 10
    expect(panel.part("stop")).to_be_disabled()
    expect(panel.part("run")).to_be_enabled()
    screenshot(reader.page, "panel-stopped")


def test_reloading_the_page_in_mid_run_brings_the_picture_back_and_it_goes_on(reader, name):
    panel = reader.panel(name, ENDLESS)
    panel.part("higher").click()
    panel.wait_for_pictures()
    reader.do("docmanager:save")
    reader.page.reload()
    reader.page.locator(".rnntips-picture").get_by_role("img").wait_for(timeout=LONG)
    (panel,) = reader.shown()
    panel.wait_for_progress()
    panel.wait_for_pictures(1)
    panel.stop()


def test_the_keyboard_alone_guesses_and_stops(reader, name):
    panel = reader.panel(name, ENDLESS)
    reader.select_cell(0)
    panel.reach("higher")
    reader.page.keyboard.press("Space")
    panel.wait_until_it_says(RUNNING)
    panel.reach("stop")
    reader.page.keyboard.press("Enter")
    panel.wait_until_it_says("Stopped at update")
    assert "Stopped at update" in panel.seen()["heard"][-1]
    expect(panel.part("verdict")).to_be_focused()
    panel.reach("reset")


@pytest.mark.parametrize("reader", ["python3"], indirect=True)
def test_the_verdict_gets_the_focus_of_those_who_are_in_the_panel_and_of_nobody_else(reader, name):
    panel = reader.panel(name, SHORT, "2")
    reader.select_cell(0)
    panel.reach("higher")
    before = panel.place.bounding_box()
    reader.page.keyboard.press("Space")
    panel.wait_for_end()
    expect(panel.part("verdict")).to_be_focused()
    assert panel.place.bounding_box() == before, "the page does not scroll"
    reader.ask(ENDLESS.replace("20_000", "600"))
    panel.part("same").click()
    panel.wait_for_pictures()
    reader.select_cell(2)
    panel.wait_for_end()
    expect(panel.part("verdict")).not_to_be_focused()


def test_keys_pressed_in_the_panel_change_no_cell(reader, name):
    panel = reader.panel(name, "1", ENDLESS, "2")
    before = reader.cells()
    reader.select_cell(0)
    for part in ("lower", "run"):
        panel.reach(part)
        for key in SHORTCUTS:
            reader.page.keyboard.press(key)
            assert reader.cells() == before, f"{key} on {part}"
    reader.page.keyboard.press("Control+s")
    reader.page.wait_for_function("!window.jupyterapp.shell.currentWidget.model.dirty", timeout=LONG)


@pytest.mark.parametrize("reader", ["python3"], indirect=True)
def test_the_stored_lesson_opens_with_its_results_folded_and_shows_them_when_run(reader, screenshot):
    reader.open("01_scaling")
    folded = f"() => {SHOWN}.map(cell => cell.model.type === 'code' && cell.outputHidden)"
    assert sum(reader.page.evaluate(folded)) >= 6
    screenshot(reader.page, "lesson-opened")
    reader.do("notebook:run-all-cells")
    reader.page.locator(".rnntips-same").first.wait_for(timeout=LONG)
    reader.wait_for_kernel()
    assert sum(reader.page.evaluate(folded)) == 0
