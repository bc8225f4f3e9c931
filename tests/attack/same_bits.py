"""A run depends on its recipe, task and seed alone: whatever else differs, its numbers are the same bits."""

import json
import os
import subprocess
import sys
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial

import numpy as np
import torch
from interruptions import digest
from tally import Tally
from test_pins import KINDS

import rnntips as rt
from rnntips.training import Job, prepare, train_jobs

SEEDS = [3, 11, 12, 40]
CHILD = "import json, sys; sys.path[:0] = {}; from same_bits import whole; print(json.dumps(whole()))"


# What a reader's own code may have left behind: contexts, and settings with what they are set to, and set back to.
SETTINGS = [
    torch.no_grad, torch.inference_mode, partial(torch.autocast, "cpu", torch.bfloat16),
    partial(torch.autograd.set_detect_anomaly, True), partial(np.errstate, all="raise"),
    partial(warnings.catch_warnings, action="error"), (torch.set_default_device, "meta", None),
    (torch.set_default_dtype, torch.float64, torch.float32), (torch.use_deterministic_algorithms, True, False),
    (torch.set_float32_matmul_precision, "medium", "highest"), (torch.set_flush_denormal, True, False),
    (torch.set_num_threads, 1, 2), (sys.setswitchinterval, 1e-6, 5e-3), (torch.manual_seed, 7, 0),
]  # fmt: skip


def whole() -> dict[str, str]:
    """Kind of run → the hash of its numbers."""
    warnings.simplefilter("ignore")
    return {name: digest(rt.train(recipe, task, SEEDS)) for name, (recipe, task, *_) in KINDS.items()}


def determinism(tally: Tally) -> None:
    """Other processes, hash seeds, threads, company, order, settings of torch and NumPy, and interruptions."""
    right, pick = whole(), tally.rng.choice
    for number in tally.times():
        if number % 8 == 0:
            tally.attempt("another process", partial(in_another_process, tally), right, seconds=180)
        name, how = pick(list(KINDS)), pick([surroundings, surroundings, company, interrupted, beside_another])
        recipe, task, *_ = KINDS[name]
        tally.attempt(f"{name}: {how.__name__}", partial(how, tally, recipe, task), right[name])


def in_another_process(tally: Tally) -> dict[str, str]:
    pick, odd = tally.rng.choice, {"PYTHONHASHSEED": str(tally.rng.randrange(2**32)), "TZ": "Asia/Kolkata"}
    odd |= {"RNNTIPS_THREADS": pick("123"), "OMP_NUM_THREADS": pick("127"), "LC_ALL": pick(["C", "C.UTF-8"])}
    code = [sys.executable, "-c", CHILD.format([*sys.path])]
    return json.loads(subprocess.check_output(code, env=os.environ | odd, text=True))


def surroundings(tally: Tally, recipe, task) -> str:
    with ExitStack() as stack:
        for setting in tally.rng.sample(SETTINGS, tally.rng.randint(1, 3)):
            if callable(setting):
                stack.enter_context(setting())
            else:
                setting[0](setting[1])
                stack.callback(setting[0], setting[2])
        return digest(rt.train(recipe, task, SEEDS))


def company(tally: Tally, recipe, task) -> str:
    """In one job with runs of another learning rate, and in another order."""
    other, more = recipe.but(lr=recipe.lr * tally.rng.uniform(0.5, 2)), range(tally.rng.randint(0, 9))
    mine, others = prepare([recipe, other], task, SEEDS)
    order = tally.rng.sample(range(len(SEEDS)), len(SEEDS))
    recipes, seeds = [mine] * len(SEEDS) + [others] * len(more), [*(SEEDS[i] for i in order), *more]
    (runs,) = train_jobs([Job(recipes, seeds, task)], [rt.Runs()])
    return digest(runs.only(np.argsort(order)))


def interrupted(tally: Tally, recipe, task) -> str:
    """Stopped at any moment: what there is is a part of the whole, and the next training is as if nothing was."""
    stop, record = threading.Event(), rt.Runs()
    threading.Timer(tally.rng.uniform(0, 0.1), stop.set).start()
    rt.train(recipe, task, SEEDS, record=record, stop=stop)
    after = rt.train(recipe, task, SEEDS)
    np.testing.assert_array_equal(record.train_loss[:, : record.reached], after.train_loss[:, : record.reached])
    return digest(after)


def beside_another(tally: Tally, recipe, task) -> str:
    """While another thread trains something else."""
    stop, busy = threading.Event(), rt.Recipe(updates=100_000, width=5, cell=tally.rng.choice(["tanh", "lstm"]))
    with ThreadPoolExecutor(1) as other:
        other.submit(rt.train, busy, rt.series.sines(300), [1], stop=stop)
        try:
            return digest(rt.train(recipe, task, SEEDS))
        finally:
            stop.set()
