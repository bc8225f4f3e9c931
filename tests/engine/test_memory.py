"""What a kernel holds: thirty of them share a class's machine."""

import platform
import subprocess
import sys

import pytest

FREED = """
import ctypes, psutil
from rnntips.engine.memory import give_back
libc = ctypes.CDLL("libc.so.6")
libc.malloc.restype, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
held = [libc.malloc(2000) for _ in range(100_000)]
for place in held:
    ctypes.memset(place, 1, 2000)
libc.malloc(2000)  # at the end of the heap, so that what lies before it stays
for place in held:
    libc.free(place)
before = psutil.Process().memory_info().rss
give_back()
print((before - psutil.Process().memory_info().rss) // 1_000_000)
"""
SHOWN = """
import sys
import rnntips as rt
panel = rt.panels.Panel("scaling")
panel.baseline = panel.baseline.but(updates=2)
panel.press()
assert panel._ended.wait(60) and panel.state == "done"
print(*{"pandas", "matplotlib"} & set(sys.modules))
"""


def printed(code: str) -> str:
    return subprocess.check_output([sys.executable, "-c", code], text=True).strip()


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries keep less")
def test_what_was_freed_is_given_back_to_the_system():
    assert int(printed(FREED)) > 150


def test_a_panel_that_was_pressed_has_loaded_neither_pandas_nor_matplotlib():
    """Each takes a tenth of a kernel's memory."""
    assert printed(SHOWN) == ""
