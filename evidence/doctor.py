"""Is the doctor right? Its findings on healthy programs and on programs with one fault, and what its advice repairs."""

import json
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, replace
from functools import cache
from math import sqrt
from pathlib import Path
from statistics import median
from time import perf_counter

import numpy as np
import torch

import rnntips as rt
from evidence.programs import CELLS, FAULTS, REMEDIES, TASKS, UNSEEN, WIDTHS, Program, Training, healthy, task_of
from rnntips.doctor import check, read, watch
from rnntips.doctor.report import codes, wrong
from rnntips.notebook.tips import tips

__all__ = ["SEEDS", "compute", "examined", "healthy_toml", "page", "recorded"]

SEEDS = range(200, 220)  # thresholds and rules were set on seeds 0 to 8 and 100 to 119
TRAINED = 0.9  # share of naive: a program without a fault that ends above it is not called healthy
ROUNDS, NEAR, LITTLE = 3, 1.15, 0.02  # repaired: at most so many times the healthy twin's error, or so much more
ENGINE = {"demand": {"past": 24, "updates": 1000}, "digits": {"updates": 1000}, "adding": {"updates": 1500},
          "sines": {"past": 24, "updates": 1000}}  # fmt: skip
ENGINE_FAULTS = {  # changes of a recipe → the codes that name it
    "learning rate 1e-7": ({"lr": 1e-7}, ("flat", "constant-answers", "worse-than-naive")),
    "learning rate 3 with SGD, radius 2": ({"lr": 3.0, "optimizer": "sgd", "init": "radius:2", "cell": "tanh"},
                                           ("diverged", "spikes")),
    "sixty updates": ({"updates": 60, "lr": 0.003},
                      ("still-falling", "flat", "constant-answers", "worse-than-naive")),
}  # fmt: skip


@cache  # a program without the fault is the twin of many
def examined(program: Program) -> dict:
    """What the doctor says of a program: its three reports, one after the other, and how the training ended."""
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    training, losses = Training(program), []
    (inputs, lengths), targets = training.first_batch()
    batch = inputs if lengths is None else (inputs, lengths)
    reports = [check(training.model, batch, targets, training.cost)]
    try:
        with watch(training.model, training.optimizer) as seen:
            losses += training.train()
    except RuntimeError:  # as the fault has it; the doctor has seen it
        pass
    reports.append(seen.report)
    if training.errors:
        answers = {} if program.every else {"predictions": training.answers, "targets": training.targets}
        reports.append(read(losses, training.errors, naive=training.naive, **answers))
    error = training.errors[-1] / training.naive if training.errors else float("nan")
    return {"found": [one.code for report in reports for one in report.findings], "error": error,
            "values": {code: float(value) for report in reports for code, value in report.values.items()}}  # fmt: skip


def treated(program: Program, found: Sequence[str]) -> tuple[Program, int]:
    """The program after the doctor's first advice was followed, again while it finds something, and the rounds."""
    for done in range(ROUNDS):
        first = found[0] if found else None
        better = replace(program, **REMEDIES.get(first, {})) if first else program
        better = replace(program, rate=program.rate / 10) if first == "step-too-large" else better
        if better == program:
            return program, done
        program = better
        found = examined(program)["found"] if done + 1 < ROUNDS else []
    return program, ROUNDS


def faulty(name: str, program: Program) -> dict:
    """A program with a fault: what is found, and what following the advice leads to."""
    found = examined(program)
    usual = Program(program.task, program.cell, program.width, program.seed)
    twin = replace(program, **{name: getattr(usual, name) for name in FAULTS[name].changes})
    last, rounds = treated(program, found["found"])
    healthy_error, error = examined(twin)["error"], examined(last)["error"]
    repaired = rounds > 0 and error <= max(NEAR * healthy_error, healthy_error + LITTLE)
    return found | {"after": error, "twin": healthy_error, "repaired": bool(repaired), "rounds": rounds}


def _done(job: tuple[str, Program]) -> dict:
    name, program = job
    return {"fault": name, "program": asdict(program)} | (faulty(name, program) if name else examined(program))


def compute(store: Path, say: Callable[[str], None], workers: int = 2, seeds: Iterable[int] = SEEDS) -> dict:
    """Examine all programs and engine runs; finished ones are kept in the store, a file of lines."""
    seeds = list(seeds)
    jobs = [("", program) for program in healthy(TASKS + UNSEEN, seeds)]
    jobs += [(name, program) for name, fault in FAULTS.items() for program in fault.programs(seeds)]
    kept = [json.loads(line) for line in store.read_text(encoding="utf-8").splitlines()] if store.is_file() else []
    known = {json.dumps([row["fault"], row["program"]]) for row in kept}
    jobs = [job for job in jobs if json.dumps([job[0], asdict(job[1])]) not in known]
    with ProcessPoolExecutor(workers) as pool, store.open("a", encoding="utf-8") as file:
        for number, row in enumerate(pool.map(_done, jobs, chunksize=4), 1):
            kept.append(row)
            file.write(json.dumps(row) + "\n")
            file.flush()
            if number % 100 == 0:
                say(f"{number} of {len(jobs)} programs")
    return {"seeds": [seeds[0], seeds[-1]], **summary(kept), "engine": engine(seeds, say), "overhead": overhead()}


def summary(rows: Sequence[Mapping]) -> dict:
    """Counts of every fault and of healthy programs, and the range of every value over the healthy ones."""
    well = [row for row in rows if not row["fault"]]
    trained = [row for row in well if row["error"] < TRAINED]
    unseen = [row for row in trained if row["program"]["task"] in UNSEEN]
    found: dict = {"healthy": {
        "programs": len(well), "trained": len(trained), "alarmed": sum(bool(row["found"]) for row in trained),
        "codes": dict(Counter(code for row in trained for code in set(row["found"])).most_common()),
        "unseen": len(unseen), "alarmed unseen": sum(bool(row["found"]) for row in unseen)}}  # fmt: skip
    values = {code: [row["values"][code] for row in trained if code in row["values"]] for code in codes()}
    found["ranges"] = {code: [min(some), max(some), len(some)] for code, some in values.items() if some}
    found["faults"] = {}
    for name, fault in FAULTS.items():
        some = [row for row in rows if row["fault"] == name]
        if some:
            first = Counter(row["found"][0] if row["found"] else "nothing" for row in some)
            found["faults"][name] = {
                "n": len(some), "found": sum(bool(set(row["found"]) & set(fault.codes)) for row in some),
                "first": sum(first[code] for code in fault.codes), "firsts": dict(first.most_common()),
                "repaired": sum(row["repaired"] for row in some),
                **{name: _middle(row[name] for row in some) for name in ("error", "after", "twin")}}  # fmt: skip
    return found


def _middle(values: Iterable[float]) -> float | None:
    values = [value for value in values if np.isfinite(value)]
    return median(values) if values else None


def engine(seeds: Sequence[int], say: Callable[[str], None]) -> dict:
    """`read` on the logs of our own engine: healthy recipes, and recipes with a fault."""
    found: dict = {"n": 0, "trained": 0, "alarmed": 0, "codes": Counter(), "faults": {}}
    for name, fields in ENGINE.items():
        for cell in ("tanh", "gru", "lstm"):
            for width in WIDTHS:
                recipe = rt.Recipe(cell=cell, width=width, schedule="cosine", **fields)
                for report, error in _read(recipe, task_of(name)[0], seeds):
                    found["n"] += 1
                    if error < TRAINED:
                        found["trained"] += 1
                        found["alarmed"] += not report.ok
                        found["codes"].update(one.code for one in report.findings)
        say(f"engine: {name}")
    for fault, (changes, names) in ENGINE_FAULTS.items():
        rows = []
        for name, fields in ENGINE.items():
            recipe = rt.Recipe(**({"cell": "gru", "width": 16} | fields | changes))
            rows += [report for report, _ in _read(recipe, task_of(name)[0], seeds)]
        firsts = Counter(report.findings[0].code if report.findings else "nothing" for report in rows)
        found["faults"][fault] = {"n": len(rows), "first": sum(firsts[code] for code in names),
                                  "firsts": dict(firsts.most_common())}  # fmt: skip
    return found | {"codes": dict(found["codes"].most_common())}


def _read(recipe, task, seeds):
    runs = rt.train(recipe, task, seeds, device="cpu")
    for r in range(len(runs)):
        naive, even = float(runs.valid_naive[r]), np.linspace(0, recipe.updates, 21)[1:]
        valid = np.interp(even, runs.evaluations, runs.valid_score[r])
        yield read(runs.train_loss[r], valid, runs.gradient_norm[r], naive), float(valid[-1]) / naive


def overhead(rounds: int = 8) -> dict:
    """Seconds of watched loops over those of unwatched ones, interleaved: the median of per-round ratios."""
    torch.set_num_threads(1)
    found = {}
    for name, program in {"RNN 16": Program(cell="RNN"), "GRU 16": Program(), "LSTM 32": Program(cell="LSTM", width=32),
                          "GRU 128": Program(width=128)}.items():  # fmt: skip
        ratios = []
        for _ in range(rounds):
            taken = []
            for watched in (False, True):
                training = Training(replace(program, updates=200))
                training.error = lambda: 0.0
                start = perf_counter()
                if watched:
                    with watch(training.model, training.optimizer):
                        list(training.train())
                else:
                    list(training.train())
                taken.append(perf_counter() - start)
            ratios.append(taken[1] / taken[0])
        found[name] = median(ratios)
    return found


def recorded() -> dict[str, str]:
    """Code → what the record says of the lesson's claim that the code names."""
    found = {}
    for code, texts in codes().items():
        if "claim" in texts:
            name, _, claim = texts["claim"].partition(" ")
            tip = tips[name]
            found[code] = f"“{tip.plans[claim].says.rstrip('.')}”: {tip.words[claim]}"
    return found


def healthy_toml(found: Mapping) -> str:
    """The text of `rnntips/doctor/healthy.toml`."""
    said, lines = recorded(), ["# Written by `python -m evidence doctor --write`. Do not edit it.\n"]
    for code in codes():
        low, high, n = found["ranges"].get(code, (0, 0, 0))
        lines.append(f"[{code}]")
        counted = high > low and codes()[code].get("above") != 0  # else it is yes or no
        lines += [f"range = [{float(f'{low:.3g}')}, {float(f'{high:.3g}')}]", f"of = {n}"] if counted else []
        lines += [f"recorded = {json.dumps(said[code], ensure_ascii=False)}"] if code in said else []
    return "\n".join(lines) + "\n"


def interval(count: int, n: int) -> str:
    """A count in percent with Wilson's interval of 95 %."""
    if not n:
        return "–"
    z, share = 1.96, count / n
    middle, half = share + z * z / (2 * n), z * sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    low, high = ((middle + sign * half) / (1 + z * z / n) for sign in (-1, 1))
    return f"{100 * share:.0f} ({100 * max(low, 0):.0f}–{100 * high:.0f})"


def page(found: Mapping) -> str:
    """docs/doctor.md."""
    well, engine, first, last = found["healthy"], found["engine"], *found["seeds"]
    lines = [
        "# Is the doctor right?",
        "`python -m evidence doctor --write` computes this page. Do not edit it.",
        "",
        f"Small programs in plain PyTorch ({', '.join(TASKS)}, and {' and '.join(UNSEEN)}, on which no threshold was "
        f"set; {', '.join(f'`nn.{cell}`' for cell in CELLS)}; {' and '.join(map(str, WIDTHS))} units; one layer, two, "
        f"two directions, packed sequences; Adam and SGD; with and without clipping), seeds {first} to {last}. "
        "Thresholds and rules were set on seeds 0 to 8 and 100 to 119. `check` sees the first batch, `watch` the loop, "
        "`read` the log and the answers; a program's findings are those of all three. Numbers are percent with "
        "Wilson's interval of 95 %.",
        "",
        "## Healthy programs",
        f"Of {well['programs']} programs without a fault {well['trained']} ended below {TRAINED} of naive; the others "
        "are left out.",
        "",
        "| programs | n | with any finding |",
        "| --- | --- | --- |",
        f"| all | {well['trained']} | {interval(well['alarmed'], well['trained'])} |",
        f"| of these {' and '.join(UNSEEN)} | {well['unseen']} | {interval(well['alarmed unseen'], well['unseen'])} |",
        f"| runs of this package's engine, `read` alone | {engine['trained']} | "
        f"{interval(engine['alarmed'], engine['trained'])} |",
        "",
        f"By code: {_counts(well['codes'])}. Of the engine's runs: {_counts(engine['codes'])}.",
        "",
        "## Programs with one fault",
        "*Found*: a code that names the fault is among the findings. *First*: it is the first one. *Repaired*: the "
        f"first advice was followed, up to {ROUNDS} times while something was found, and the error is then at most "
        f"{NEAR} times that of the same program without the fault, or {LITTLE} of naive above it. Errors are medians, "
        "as shares of naive; some faults do no harm to them, and a random walk cannot be repaired.",
        "",
        "| fault | n | found | first | repaired | error → after the advice (without the fault) | first finding |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for name, row in found["faults"].items():
        n, errors = row["n"], [_error(row[key]) for key in ("error", "after", "twin")]
        lines.append(f"| {name} | {n} | {interval(row['found'], n)} | {interval(row['first'], n)} | "
                     f"{interval(row['repaired'], n)} | {errors[0]} → {errors[1]} ({errors[2]}) | "
                     f"{_counts(row['firsts'])} |")  # fmt: skip
    total = {key: sum(row[key] for row in found["faults"].values()) for key in ("n", "found", "first", "repaired")}
    lines.append(f"| **all** | {total['n']} | " + " | ".join(interval(total[key], total["n"]) for key in
                                                            ("found", "first", "repaired")) + " | | |")  # fmt: skip
    lines += ["", "Logs of this package's engine, `read` alone:", "", "| fault | n | first | first finding |",
              "| --- | --- | --- | --- |"]  # fmt: skip
    lines += [f"| {name} | {row['n']} | {interval(row['first'], row['n'])} | {_counts(row['firsts'])} |"
              for name, row in engine["faults"].items()]  # fmt: skip
    costs = ", ".join(f"{name} {100 * (ratio - 1):+.0f} %" for name, ratio in found["overhead"].items())
    lines += ["", "## What `watch` costs", f"Time of a watched loop beside an unwatched one: {costs}."]
    return "\n".join(lines) + "\n"


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{code} {count}" for code, count in counts.items()) or "none"


def _error(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}" if value < 100 else f"{value:,.0f}"


def out_of_range(found: Mapping) -> list[str]:
    """Codes whose healthy range reaches beyond their threshold."""
    return [code for code, (low, high, _) in found["ranges"].items() if wrong(code, low) or wrong(code, high)]
