"""What is compiled, kept and found again, and what happens where nothing can be kept."""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("numba")
from llvmlite import binding
from numba import config

from rnntips.engine import compiling, numba_ops  # noqa: F401 (compiled before any test names another folder)

ROOT = Path(__file__).parents[2]
ENGINE = ROOT / "rnntips" / "engine"
SAID = "rnntips compiles for a minute or two at every start"
SMALL = """
from rnntips.engine.compiling import compiled

@compiled("void(f4[::1],f4[::1])", fastmath={"contract"}, error_model="numpy")
def grow(a, b):
    for i in range(a.size):
        a[i] += a[i] * b[i]
"""
SCAN = """
import torch
from rnntips import engine
g = torch.Generator().manual_seed(0)
inputs, weight = torch.randn(2, 3, 5, 16, generator=g), torch.randn(2, 4, 16, generator=g).requires_grad_()
states, _ = engine.scan("lstm", inputs, weight)
states.sum().backward()
print(states.double().sum().item().hex(), weight.grad.double().sum().item().hex())
"""
TRAINED = """
import rnntips as rt
runs = rt.train(rt.Recipe(updates=40), rt.series.sines(steps=600), seeds=range(3), device="cpu")
print(runs.weights.tobytes().hex())
"""
STATS = """
import sys
from numba.extending import is_jitted
from rnntips.engine import numba_ops
from rnntips.engine.compiling import SOURCES
modules = [module for name, module in sys.modules.items() if name.startswith("rnntips.engine.")]
found = {value for module in modules for value in vars(module).values() if is_jitted(value)}
engine = [value for value in found if value.py_func.__qualname__.endswith(SOURCES)]
hits, misses = (sum(sum(getattr(f.stats, kind).values()) for f in engine) for kind in ("cache_hits", "cache_misses"))
print(hits == len(engine), misses == len(engine))
"""
FOUND, COMPILED = "True False", "False True"


@pytest.fixture
def kept(tmp_path, monkeypatch):
    """The folder of compiled code."""
    folder = tmp_path / "kept"
    monkeypatch.setattr(config, "CACHE_DIR", str(folder))
    return folder


@pytest.fixture
def start(tmp_path, capsys):
    """Import a small compiled function as a new process does, and try it; gives cache hits and the output."""
    file = tmp_path / "small.py"
    file.write_text(SMALL)

    def call(afresh=True):
        if afresh:
            compiling._say_once.cache_clear()
        spec = importlib.util.spec_from_file_location("small", file)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        a = np.arange(20, dtype=np.float32)
        module.grow(a, np.full(20, 2, np.float32))
        assert a.tolist() == [3 * i for i in range(20)]
        call.function = module.grow
        return sum(module.grow.stats.cache_hits.values()), "".join(capsys.readouterr())

    return call


def engine():
    """Every function of the engine that is compiled by itself."""
    names = {}
    exec(STATS.rpartition("print")[0], names)
    return names["engine"]


def environment(**changes):
    return {name: value for name, value in os.environ.items() if not name.startswith("NUMBA_")} | changes


def process(code, prefix=(), cwd=ROOT, **options):
    return subprocess.Popen([*prefix, sys.executable, "-c", code], cwd=cwd, text=True, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, **options)  # fmt: skip


def outcome(process):
    out, err = process.communicate()
    assert process.returncode == 0, err
    return out.splitlines(), err


def run(code, folder):
    """Lines from a new process that keeps compiled code in `folder`."""
    return outcome(process(code, env=environment(NUMBA_CACHE_DIR=str(folder))))[0]


def listing(folder):
    return {path.name: (path.stat().st_mtime_ns, path.stat().st_size) for path in folder.rglob("*.nb?")}


# ── for which processor ─────────────────────────────────────────────────────


def choice(monkeypatch, features, name=None, chosen=None):
    """What is chosen on a machine with these features."""
    monkeypatch.setattr(binding, "get_host_cpu_features", lambda: binding.FeatureMap(features))
    monkeypatch.setattr(config, "CPU_NAME", name)
    monkeypatch.setattr(config, "CPU_FEATURES", chosen)
    monkeypatch.setattr(config, "ENABLE_AVX", features.pop("enabled", 1))
    compiling._choose_processor()
    return config.CPU_NAME, config.CPU_FEATURES


V3 = "sse3 ssse3 sse4.1 sse4.2 popcnt cx16 sahf avx avx2 bmi bmi2 f16c fma lzcnt movbe xsave".split()
V4 = "avx512f avx512bw avx512cd avx512dq avx512vl".split()
HASWELL = dict.fromkeys(["64bit", *V3], True) | dict.fromkeys(V4, False)
SKYLAKE = HASWELL | dict.fromkeys(V4, True)
OTHERS = {f"no {name}": SKYLAKE | {name: False} for name in V3} | {
    "avx switched off": SKYLAKE | {"enabled": 0}, "arm": {"neon": True, "fp-armv8": True}, "unknown": {},
}  # fmt: skip
LEVELS = {"x86-64-v3": "", "x86-64-v4": "-prefer-256-bit"}
HOST = {name for name, there in binding.get_host_cpu_features().items() if there}
needs_avx512 = pytest.mark.skipif(not HOST >= {*V3, *V4}, reason="this machine has no AVX-512")


@pytest.mark.parametrize("kind", OTHERS)
def test_machines_that_cannot_share_a_levels_code_get_their_own(kind, monkeypatch):
    assert choice(monkeypatch, dict(OTHERS[kind])) == (None, None)


def test_a_level_is_chosen_where_all_of_it_is_there(monkeypatch):
    """With vectors of 512 bits, which LLVM would rather not use; whatever else a machine has."""
    for more in ({}, {"amx-tile": True}):
        assert choice(monkeypatch, SKYLAKE | more) == ("x86-64-v4", "-prefer-256-bit")
        assert choice(monkeypatch, HASWELL | more) == ("x86-64-v3", "")
        for name in V4:
            assert choice(monkeypatch, SKYLAKE | more | {name: False}) == ("x86-64-v3", "")


def test_what_somebody_chose_stays(monkeypatch):
    assert choice(monkeypatch, SKYLAKE, "skylake") == ("skylake", None)
    assert choice(monkeypatch, SKYLAKE, None, "+avx") == (None, "+avx")


def test_the_code_is_that_of_the_level(kept, start):
    """Name without features: numba would add this machine's; features without name: no tuning, and another key."""
    if any(name.startswith("NUMBA_CPU") for name in os.environ) or not HOST >= {*V3}:
        pytest.skip("another processor is wanted here")
    level = "x86-64-v4" if HOST >= {*V4} else "x86-64-v3"
    assert engine()[0].targetctx.codegen().magic_tuple()[1:] == (level, LEVELS[level])
    assert start() == (0, "")
    code = "".join(start.function.inspect_asm().values())
    assert "ymm" in code and "vfmadd" in code and ("zmm" in code) == compiling.WIDE == (level == "x86-64-v4")


def at_level(level, **changes):
    """The environment of a process that compiles for this level, where it is not the highest too."""
    return environment(NUMBA_CPU_NAME=level, NUMBA_CPU_FEATURES=LEVELS[level], **changes)


@needs_avx512
def test_code_for_both_levels_lies_side_by_side(tmp_path):
    """As in a folder that machines share: neither loads the other's, nor takes its place."""
    (tmp_path / "small.py").write_text(SMALL)
    for level, files in (("x86-64-v3", 1), ("x86-64-v4", 2), ("x86-64-v3", 2)):
        env = at_level(level, NUMBA_CACHE_DIR=str(tmp_path / "kept"), PYTHONPATH=f"{ROOT}{os.pathsep}{tmp_path}")
        loaded = "import small; print(*small.grow.stats.cache_hits.values(), *small.grow.stats.cache_misses.values())"
        assert outcome(process(loaded, env=env))[0] == ["1"]
        assert len([*tmp_path.rglob("*.nbc")]) == files


@needs_avx512
def test_avx2_and_avx512_give_the_same_bits():
    """Values, gradients, losses, weights, averages and carried states, of every cell and much else; see `bits`."""
    paths = os.pathsep.join(map(str, (ROOT, ROOT / "tests", ROOT / "tests" / "engine")))
    folder = {name: value for name, value in os.environ.items() if name == "NUMBA_CACHE_DIR"}
    started = [
        process("import bits", env=at_level(level, PYTHONPATH=paths, OMP_NUM_THREADS="1", **folder)) for level in LEVELS
    ]
    narrow, wide = (outcome(one)[0] for one in started)
    assert [narrow.pop(0), wide.pop(0)] == [*LEVELS] and len(narrow) == len(wide) > 500
    assert not [pair for pair in zip(narrow, wide, strict=True) if len({*pair}) > 1]


# ── what is kept ────────────────────────────────────────────────────────────


def test_a_second_start_compiles_nothing(kept, start):
    assert start() == (0, "")
    before = listing(kept)
    assert start() == (1, "")
    assert before and listing(kept) == before


@pytest.mark.parametrize("damage", ["empty", "text", "zeros", "cut"])
@pytest.mark.parametrize("ending", ["nbi", "nbc"])
def test_a_damaged_file_is_replaced(ending, damage, kept, start):
    start()
    (file,) = kept.rglob(f"*.{ending}")
    size = file.stat().st_size
    left = {"empty": b"", "text": b"no\n", "zeros": bytes(size), "cut": file.read_bytes()[: size // 2]}
    file.write_bytes(left[damage])
    assert start() == (0, "")
    assert start() == (1, "")


def test_without_a_folder_to_write_to_it_compiles_every_time_and_says_so_once(tmp_path, monkeypatch, start):
    """Files and devices stand where folders should: not even root can write there."""
    monkeypatch.setattr(config, "CACHE_DIR", "")
    monkeypatch.setenv("XDG_CACHE_HOME", os.devnull)
    (tmp_path / "__pycache__").write_text("")
    hits, said = start()
    assert (hits, said.count(SAID)) == (0, 1)
    assert start(afresh=False) == (0, "")


def test_a_full_disk_and_somebody_elses_folder_harm_nothing(kept, start):
    """A folder in place of the index can be neither read nor replaced."""
    resource = pytest.importorskip("resource")
    start()
    (index,) = kept.rglob("*.nbi")
    index.unlink()
    index.mkdir()
    hits, said = start()
    assert (hits, said.count(SAID)) == (0, 1)
    shutil.rmtree(kept)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        hits, said = start()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert (hits, said.count(SAID), listing(kept)) == (0, 1, {})


def test_compiled_code_is_known_by_all_the_files_that_hold_it(tmp_path):
    """And all that is compiled is compiled this way."""
    assert len(engine()) >= 2
    for path in ENGINE.glob("*.py"):
        shutil.copy(path, tmp_path)
    seen = {compiling._fingerprint(tmp_path)}
    assert seen == {compiling.SOURCES}
    for path in tmp_path.glob("*.py"):
        text = path.read_text(encoding="utf-8")
        path.write_text(text + "\n", encoding="utf-8")
        known = compiling._fingerprint(tmp_path) not in seen
        assert known == bool(re.search("^(from|import) (numba|rnntips.engine.compiling)", text, re.M)), path.name
        seen.add(compiling._fingerprint(tmp_path))
        assert path.name == "compiling.py" or not re.search("cache=True|from numba import .*jit", text), path.name


# ── the engine itself ───────────────────────────────────────────────────────


def warm_up():
    """What an installation and Binder's image run."""
    commands = [re.search(r"-c (['\"])(import rnntips.*?)\1", (ROOT / name).read_text())[2]
                for name in ("Makefile", "binder/postBuild")]  # fmt: skip
    assert commands[0] == commands[1]
    return commands[0]


OTHER_MACHINE = f"""
from llvmlite import binding
if {compiling.config.CPU_NAME in LEVELS}:  # it has the same level, and nothing else
    features = dict.fromkeys({V3 + V4 if compiling.WIDE else V3}, True)
    binding.get_host_cpu_name = lambda: "znver4"
    binding.get_host_cpu_features = lambda: binding.FeatureMap(features)
import numba
"""


def test_what_is_kept_serves_every_later_start_also_on_another_machine(capsys):
    """This process had the engine compiled, if nobody had before, and loads it; so does that one, to the same bits."""
    assert all(function.stats.cache_hits and not function.stats.cache_misses for function in engine())
    exec(TRAINED, {})
    assert outcome(process(OTHER_MACHINE + TRAINED + STATS))[0] == [capsys.readouterr().out.strip(), FOUND]


@pytest.mark.slow
def test_what_an_installation_warms_is_all_that_a_training_needs(tmp_path):
    """And the first process, which had it compiled, trains to the same bits as one that only loads it."""
    first = run(warm_up() + TRAINED + STATS, tmp_path)
    before = listing(tmp_path)
    assert run(OTHER_MACHINE + TRAINED + STATS, tmp_path) == first
    assert first[1] == FOUND
    assert len(before) == 2 * len(engine()) and listing(tmp_path) == before


def test_an_installation_and_a_binders_image_warm_the_same():
    assert warm_up() == "import rnntips.engine.numba_ops"


@pytest.mark.slow
def test_two_first_starts_at_once(tmp_path):
    started = [process(SCAN, env=environment(NUMBA_CACHE_DIR=str(tmp_path))) for _ in range(2)]
    (one, said), (other, also) = map(outcome, started)
    assert (one, said, also) == (other, "", "")
    assert run(SCAN + STATS, tmp_path) == [*one, FOUND]
    assert not list(tmp_path.rglob("*.tmp.*"))


@pytest.mark.slow
def test_a_process_killed_while_it_compiles_leaves_nothing_that_harms(tmp_path):
    for files in range(2 * len(engine())):  # that many lie there when it is killed
        started = process(SCAN, env=environment(NUMBA_CACHE_DIR=str(tmp_path)))
        time.sleep(0 if files else 4)
        while started.poll() is None and len(listing(tmp_path)) < files:
            time.sleep(0.001)
        started.kill()
        started.communicate()
    first, second = (run(SCAN + STATS, tmp_path) for _ in range(2))
    assert first[0] == second[0] and second[1] == FOUND


@pytest.mark.slow
def test_code_that_the_user_compiled_before_does_no_harm(tmp_path):
    """The processor is settled then, and the engine is compiled and kept for that one."""
    mine = "from numba import njit\nprint(njit('f8(f8)')(lambda x: x + 1)(1.0))\n"
    assert [run(mine + SCAN + STATS, tmp_path)[2] for _ in range(2)] == [COMPILED, FOUND]


# root, but permissions hold
UNPRIVILEGED = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]


@pytest.mark.slow
@pytest.mark.parametrize("writable", [True, False])
def test_an_installation_that_nobody_may_change(writable, tmp_path):
    """Compiled code goes into the user's own folder, or nowhere."""
    prefix = []
    if os.geteuid() == 0:
        prefix = UNPRIVILEGED
        if not shutil.which("setpriv") or subprocess.run([*prefix, "true"]).returncode:
            pytest.skip("root can write everywhere")
    installed, home = tmp_path / "installed", tmp_path / "home"
    shutil.copytree(ROOT / "rnntips", installed / "rnntips", ignore=shutil.ignore_patterns("__pycache__"))
    home.mkdir(0o755 if writable else 0o555)
    folders = [path for path in (installed, *installed.rglob("*")) if path.is_dir()]
    env = environment(PYTHONPATH=str(installed), HOME=str(home), XDG_CACHE_HOME=str(home / "cache"))
    try:
        for folder in folders:
            folder.chmod(0o555)
        starts = [outcome(process(SCAN + STATS, prefix, cwd=installed, env=env)) for _ in range(2)]
        assert not list(installed.rglob("__pycache__"))
    finally:
        for folder in folders:
            folder.chmod(0o755)
    assert [lines[1] for lines, _ in starts] == [FOUND if writable else COMPILED] * 2
    assert [said.count(SAID) for _, said in starts] == ([0, 0] if writable else [1, 1])


@pytest.mark.slow
def test_no_kernel_reads_or_writes_beyond_its_arrays(tmp_path):
    """The kernels' own tests once more, compiled so that every index is looked at."""
    checked = environment(NUMBA_BOUNDSCHECK="1", NUMBA_CACHE_DIR=str(tmp_path))
    names = "engine/test_numba_ops", "engine/test_update", "engine/test_compiled_update", "test_models"
    tests = [f"tests/{name}.py" for name in names]
    subprocess.run([sys.executable, "-m", "pytest", "-q", "-x", *tests], cwd=ROOT, env=checked, check=True)
