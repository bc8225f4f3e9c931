"""How Numba compiles the engine: for which processor, with which cache on disk, and what is done without a cache.

A function that a process compiles is linked with what the process compiled before. Its results can differ in the last
bits from the same function loaded from disk. Therefore a child process compiles, and this process always loads.

Numba fixes the processor at the first `njit` of a process, so the engine's files import `njit` from here.
"""

import os
import subprocess
import sys
from functools import cache
from hashlib import sha256
from pathlib import Path

from numba import config, njit
from numba.core.codegen import get_host_cpu_features

__all__ = ["ALLOCATING", "FAST", "WIDE", "compiled", "njit"]

# without nnan and ninf, since a run that diverges must give NaN or infinity
FAST = {"fastmath": {"contract", "nsz"}, "error_model": "numpy", "nogil": True, "_nrt": False}
ALLOCATING = FAST | {"_nrt": True}  # others make no arrays, and so need not count who refers to one
# levels of x86-64 as its ABI defines them, and what else Numba is told; LLVM would use half of AVX-512's registers
V3 = {f"+{name}" for name in ("sse3 ssse3 sse4.1 sse4.2 popcnt cx16 sahf "
                              "avx avx2 bmi bmi2 f16c fma lzcnt movbe xsave").split()}  # fmt: skip
V4 = V3 | {f"+avx512{name}" for name in ("f", "bw", "cd", "dq", "vl")}
LEVELS = {"x86-64-v4": (V4, "-prefer-256-bit"), "x86-64-v3": (V3, "")}


def _choose_processor() -> None:
    """Compile for the highest level of x86-64 that this machine supports, if the user's settings name no processor.

    Numba's cache belongs to one processor name and set of features, and so holds code for each level. With those of
    this machine, a container image would be compiled again on every other machine. Naming a set, even an empty one,
    keeps Numba from adding this machine's features.
    """
    if config.CPU_NAME is not None or config.CPU_FEATURES is not None:
        return
    found = set(get_host_cpu_features().split(","))
    for name, (needed, features) in LEVELS.items():
        if found >= needed:
            config.CPU_NAME, config.CPU_FEATURES = name, features
            return


def _fingerprint(folder: Path) -> str:
    """A hash of the files that hold compiled code."""
    texts = [path.read_bytes() for path in sorted(folder.glob("*.py"))]
    marks = b"from numba", b"compiling import"
    return sha256(b"".join(text for text in texts if any(mark in text for mark in marks))).hexdigest()[:12]


if config.DISABLE_JIT:
    raise ImportError("NUMBA_DISABLE_JIT is set")
_choose_processor()
WIDE = config.CPU_NAME == "x86-64-v4"  # vectors of 16 float32 values, 32 registers
SOURCES = _fingerprint(Path(__file__).parent)
CHILD = "RNNTIPS_COMPILES"  # environment variable; it is set in the process that compiles


@cache
def _say_once() -> None:
    print("rnntips compiles for a minute or two at every start, because there is no folder to keep the result in: "
          "set NUMBA_CACHE_DIR to one with room that you can write to.", file=sys.stderr)  # fmt: skip


def _kept(engine, signature) -> bool:
    try:
        return engine._cache.load_overload(signature, engine.targetctx) is not None  # `compile` does the same first
    except Exception:  # unpickling a damaged file can raise any
        return False


def _compile_in_a_child(module: str) -> None:
    """Compile a module by importing it in another process; if that fails, this process compiles it."""
    if CHILD not in os.environ:
        command = [sys.executable, "-c", f"import {module}"]
        subprocess.run(command, env=os.environ | {CHILD: "yes"}, stdin=subprocess.DEVNULL, capture_output=True)


def compiled(signature, **options):
    """Like `njit(signature, cache=True, **options)`, but a stale, damaged or unwritable cache does no harm."""

    def decorate(function):
        # the name is in the cache file's name: Numba itself checks the function's own file, but not what it calls
        function.__qualname__ += f"_{SOURCES}"
        engine = njit(**options)(function)
        try:
            engine.enable_caching()
            if not _kept(engine, signature):
                _compile_in_a_child(function.__module__)
            try:
                engine.compile(signature)
            except Exception:  # unpickling a damaged file can raise any
                if engine.overloads:
                    raise
                engine.recompile()  # nothing is compiled yet, so this only empties the cache
                engine.compile(signature)
        except Exception:  # no folder to write to, or no room there
            if CHILD in os.environ:
                raise  # without a cache file the parent cannot load the result
            if not engine.overloads:
                engine = njit(**options)(function)
                engine.compile(signature)
            _say_once()
        engine.disable_compile()
        return engine

    return decorate
