"""A run depends on its recipe, task and seed alone: whatever else differs, its numbers are the same bits."""

import json
import os
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from threading import Event

import numpy as np
import torch
from interruptions import digest
from tally import Tally
from test_pins import KINDS

import rnntips as rt
from rnntips.training import Job, prepare, train_jobs

SEEDS = [3, 11, 12, 40]
CHILD = "import json, sys; sys.path[:0] = {}; from same_bits import whole; print(json.dumps(whole()))"


@contextmanager
def left(change: Callable, value, back) -> Iterator[None]:
    """A setting that is left behind."""
    change(value)
    try:
        yield
    finally:
        change(back)


SETTINGS = [
    torch.no_grad, torch.inference_mode, partial(torch.autocast, "cpu", torch.bfloat16),
    partial(torch.autograd.set_detect_anomaly, True), partial(np.errstate, all="raise"),
    partial(warnings.catch_warnings, action="error"), partial(left, torch.set_default_device, "meta", None),
    partial(left, torch.set_default_dtype, torch.float64, torch.float32), partial(left, torch.manual_seed, 7, 0),
    partial(left, torch.use_deterministic_algorithms, True, False), partial(left, torch.set_flush_denormal, True, False),
    partial(left, torch.set_float32_matmul_precision, "medium", "highest"), partial(left, np.random.seed, 7, 0),
    partial(left, torch.set_num_threads, 1, torch.get_num_threads()), partial(left, sys.setswitchinterval, 1e-6, 5e-3),
]  # fmt: skip


def trained(recipe, task, seeds=SEEDS, **how) -> rt.Runs:
    return rt.train(recipe, task, seeds, device="cpu", **how)


def whole() -> dict[str, str]:
    """Kind of run → the hash of its numbers."""
    warnings.simplefilter("ignore")
    return {name: digest(trained(recipe, task)) for name, (recipe, task, *_) in KINDS.items()}


def determinism(tally: Tally) -> None:
    """Other processes, hash seeds, threads, company, order, settings of torch and NumPy, and interruptions."""
    right, pick = whole(), tally.rng.choice
    for number in tally.times():
        if number % 8 == 0:
            tally.attempt("another process", partial(in_another_process, tally, right), seconds=180)
        name, how = pick(list(KINDS)), pick([surroundings, surroundings, company, interrupted, beside_another])
        recipe, task, *_ = KINDS[name]
        tally.attempt(f"{name}: {how.__name__}", partial(how, tally, recipe, task, right[name]))


def in_another_process(tally: Tally, right: dict[str, str]) -> None:
    pick, odd = tally.rng.choice, {"PYTHONHASHSEED": str(tally.rng.randrange(2**32)), "TZ": "Asia/Kolkata"}
    odd |= {"RNNTIPS_THREADS": pick("123"), "OMP_NUM_THREADS": pick("127"), "LC_ALL": pick(["C", "C.UTF-8"])}
    code = [sys.executable, "-c", CHILD.format([*sys.path])]
    assert json.loads(subprocess.check_output(code, env=os.environ | odd, text=True)) == right, odd


def surroundings(tally: Tally, recipe, task, right: str) -> None:
    """Some settings that a reader's own code may have left behind."""
    chosen = tally.rng.sample(SETTINGS, tally.rng.randint(1, 3))
    with ExitStack() as stack:
        for setting in chosen:
            stack.enter_context(setting())
        assert digest(trained(recipe, task)) == right, chosen


def company(tally: Tally, recipe, task, right: str) -> None:
    """In one job with runs of another learning rate, and in another order."""
    other, more = recipe.but(lr=recipe.lr * tally.rng.uniform(0.5, 2)), range(tally.rng.randint(0, 9))
    mine, others = prepare([recipe, other], task, SEEDS)
    order = tally.rng.sample(range(len(SEEDS)), len(SEEDS))
    recipes, seeds = [mine] * len(SEEDS) + [others] * len(more), [*(SEEDS[i] for i in order), *more]
    (runs,) = train_jobs([Job(recipes, seeds, task)], [rt.Runs()])
    assert digest(runs.only(np.argsort(order))) == right


def interrupted(tally: Tally, recipe, task, right: str) -> None:
    """Stopped at some update: what there is is a part of the whole, and the next training is as if nothing was."""
    stop, record, at = Event(), rt.Runs(), tally.rng.randrange(recipe.updates)

    def watch() -> None:
        while record.reached < at:
            pass
        stop.set()

    (watcher := threading.Thread(target=watch, daemon=True)).start()
    trained(recipe, task, record=record, stop=stop)
    watcher.join()
    after = trained(recipe, task)
    np.testing.assert_array_equal(record.train_loss[:, : record.reached], after.train_loss[:, : record.reached])
    assert digest(after) == right


def beside_another(tally: Tally, recipe, task, right: str) -> None:
    """While another thread trains something else."""
    stop, busy = Event(), rt.Recipe(updates=100_000, width=5, cell=tally.rng.choice(["tanh", "lstm"]))
    other = threading.Thread(target=rt.train, args=(busy, rt.series.sines(300), [1]), kwargs={"stop": stop})
    other.start()
    try:
        assert digest(trained(recipe, task)) == right
    finally:
        stop.set()
        other.join()
