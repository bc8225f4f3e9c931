"""A panel in a real kernel, whose buttons are pressed for as long as there is time; its memory stays bounded."""

import time

import psutil
from jupyter_client.manager import start_new_kernel
from tally import Tally

ALLOWED = 60  # MB that the last quarter may hold more than the second one
MAKE = """import os, tempfile, rnntips as rt
os.chdir(tempfile.mkdtemp())
panel = rt.panels.Panel({!r})
for name in ("stop_button", "just_run", "again_button", "fails_button", "reset_button"):
    print(getattr(panel, name).model_id)
panel"""
WELL = "assert panel._ended.wait(30) and 'Traceback' not in panel.status.value, panel.status.value"


def pressed_panel(tally: Tally) -> None:
    """Whatever is pressed in whatever order: an answer comes, never an error."""
    tip, said, sizes = tally.rng.choice(["scaling", "momentum", "gradient_clipping", "learning_rate"]), [], []
    manager, client = start_new_kernel()

    def run(code: str) -> None:
        reply = client.execute_interactive(code, output_hook=lambda one: said.append(one["content"]), timeout=50)
        assert reply["content"]["status"] == "ok", reply["content"]

    def presses() -> None:
        for button in (*tally.rng.choices([start, *others], k=3), stop):
            content = {"comm_id": button, "data": {"method": "custom", "content": {"event": "click"}}}
            client.shell_channel.send(client.session.msg("comm_msg", content))
            time.sleep(tally.rng.choice([0, 0.02, 0.3, 1.5]))
        run(WELL)

    try:
        run(MAKE.format(tip))
        stop, start, *others = "".join(each.get("text", "") for each in said).split()
        process = psutil.Process(manager.provisioner.pid)
        for number in tally.times():
            tally.attempt(f"{tip}, round {number}", presses)
            sizes.append(process.memory_info().rss / 1e6)
            said.clear()
    finally:
        manager.shutdown_kernel(now=True)
    quarter = max(1, len(sizes) // 4)
    second, last = max(sizes[quarter : 2 * quarter + 1]), max(sizes[-quarter:])
    tally.notes.append(f"{len(sizes)} rounds of {tip}: {second:.0f} MB in the second quarter, {last:.0f} in the last")
    tally.attempt(tally.notes[0], lambda: last < second + ALLOWED, right=True)
