"""`train`: the only training loop. It fills a `Runs` record; figures and notebooks come later."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import repeat
from threading import Event
from typing import NamedTuple

import numpy as np
import torch

from rnntips.diagnosis import compared
from rnntips.engine.devices import resolve_device
from rnntips.engine.early_stopping import EarlyStopping
from rnntips.engine.least_squares import need_values, solution
from rnntips.engine.losses import as_scored
from rnntips.engine.memory import need_room_for
from rnntips.engine.out_of_memory import bounded
from rnntips.engine.pretraining import Pretraining, need_next_step
from rnntips.engine.rescue import Rescue
from rnntips.engine.settings import own_settings
from rnntips.engine.tbptt import check_chunk, loader_for
from rnntips.engine.update import UpdateStats, updater
from rnntips.errors import BadArgument, BadData, RnntipsError, TrainingFailed, need, shown
from rnntips.loader import Loader, examples_of, rebuilt, sized
from rnntips.models import Network, initial_weights, network_for
from rnntips.optimizers import initial_state
from rnntips.recipe import Recipe
from rnntips.runs import Runs, check_seeds, last_points
from rnntips.tasks import Task, need_spread, one_task
from rnntips.windows import Examples, need_labels

__all__ = ["ENGINE", "Job", "begin", "named", "predict", "prepare", "train", "train_jobs"]

ENGINE = 2  # raised by hand when a run's numbers change; runs stored under another number are not read


class Job(NamedTuple):
    """Runs of one `Recipe.shape` on one task that are trained together: a recipe and a seed for each.

    The recipes come from `prepare`; they may differ in the fields that `Recipe` marks `per_run`.
    """

    recipes: Sequence[Recipe]
    seeds: Sequence[int]
    task: Task
    device: str = "cpu"


def train(
    recipe: Recipe,
    on,
    seeds: Sequence[int],
    *,
    device: str = "auto",
    record: Runs | None = None,
    stop: Event | None = None,
    start: Runs | None = None,
) -> Runs:
    """Train one recipe once per seed, all runs at once.

    Args:
        recipe: What to train.
        on: A Task or a Series.
        seeds: One run each. A run depends on its recipe, task and seed alone, not on the other runs.
        device: `"cpu"` or `"cuda"`; `"auto"`: what the environment variable RNNTIPS_DEVICE names, else the CPU.
        record: An empty `Runs()` to fill, so that another thread can look at it meanwhile.
        stop: Set it from another thread to end training after the current update. An interrupted kernel does the
            same; what was recorded until then is kept.
        start: A finished record of the same seeds; training continues from its weights and optimizer state.

    Returns:
        The record. A loss that becomes non-finite is an outcome, never an exception.

    Raises:
        BadArgument: Bad seeds, a batch larger than the training part, a device that does not exist.
        OutOfMemory: Its message says what to halve; its `record` has what was done until then.
    """
    need("recipe", recipe, Recipe, "a Recipe, made with rt.Recipe(...),")
    need("record", record, Runs | None, "an empty rt.Runs(), or None")
    need("stop", stop, Event | None, "a threading.Event, or None")
    need("start", start, Runs | None, "a finished record, or None")
    seeds, task = check_seeds(seeds), one_task(on, "train works on", " Use rt.compare.")
    with named([Job([recipe], seeds, task)]):
        need_spread([recipe], task, seeds)
    job = Job([sized(recipe, task)] * len(seeds), seeds, task, resolve_device(device))
    return train_jobs([job], [Runs() if record is None else record], stop or Event(), start)[0]


def prepare(recipes: Sequence[Recipe], task: Task, seeds: Sequence[int], tuning: Sequence[int] = ()) -> list[Recipe]:
    """The recipes with widths in units.

    Args:
        tuning: Further seeds, on which values of fields are chosen.

    Raises:
        BadArgument, BadData: The task's windows do not fit the recipes, or some seed cannot be trained or scored.
    """
    changed = {name for recipe in recipes for name in recipes[0].diff(recipe)}
    for name in sorted(changed & task.ignores):
        raise BadArgument(
            f"{name} changes nothing on {task.name}, which makes its own windows. Compare another field, or leave "
            f"{task.name} out."
        )
    with named([Job(recipes, seeds[:1], task)]), bounded(Runs(), task.ignores):
        need_spread(recipes, task, seeds, tuning)
        found = [sized(recipe, task) for recipe in recipes]
        for recipe in found:
            (examples,) = _draw([recipe], task, seeds[:1])
            _bounds(recipe, task, seeds[0], examples)
    return found


def train_jobs(
    jobs: Sequence[Job], records: Sequence[Runs], stop: Event | None = None, start: Runs | None = None
) -> list[Runs]:
    """The training loop for several jobs: the one with the smallest share of its updates done makes the next one.

    Args:
        records: An empty one for each job.
        stop, start: As for `train`. A KeyboardInterrupt sets `stop`, or is raised if there is none.
    """
    going: dict[Iterator[int], Runs] = {}  # a job's updates → its record
    with own_settings(), named(jobs):
        try:
            going |= {begin(*both, stop, start): both[1] for both in zip(jobs, records, strict=True)}
            while going:
                updates = min(going, key=lambda updates: going[updates].reached / going[updates].updates)
                began = time.perf_counter()
                ended = next(updates, None) is None
                going[updates].seconds += time.perf_counter() - began
                if ended:
                    del going[updates]
        except KeyboardInterrupt:
            if stop is None:
                raise
            stop.set()
            for record in going.values():
                record.stopped = True
        finally:
            for updates in going:
                updates.close()
    return list(records)


@contextmanager
def named(jobs: Sequence[Job]) -> Iterator[None]:
    """Context in which an exception of a task, a library or a GPU becomes `TrainingFailed`, which says whose it is."""
    try:
        yield
    except RnntipsError:
        raise
    except Exception as error:
        words = f"{type(error).__name__}: {error}".splitlines()[0].strip(": ")[:200]
        on = ", ".join(dict.fromkeys(f"{job.task.name} (seeds {shown(list(job.seeds))})" for job in jobs))
        on_gpu = any(job.device == "cuda" for job in jobs)
        advice = ' Use fewer processes on the GPU, or device "cpu".' if on_gpu else ""
        raise TrainingFailed(
            f"Training on {on} failed ({words}), so these runs have no result.{advice} "
            "Finished runs are in the store, if one was named."
        ) from error


def begin(job: Job, record: Runs, stop: Event | None = None, start: Runs | None = None) -> Iterator[int]:
    """Draw a job's data and make room in its record. Each `next` makes one update and gives how many are done."""
    recipes, seeds, task, device = job
    if len({recipe.shape() for recipe in recipes}) != 1:
        raise BadArgument("These recipes differ in shape; train them one shape at a time.")
    with bounded(record, task.ignores):
        examples = _draw(recipes, task, seeds)
        bounds = [_bounds(recipe, task, *drawn) for recipe, *drawn in zip(recipes, seeds, examples, strict=True)]
        updates = recipes[0].updates_for(len(examples[0].of(0)), **examples[0].sizes)
        record.begin(recipes, task, seeds, bounds, updates, device)
    return _train(record, examples, task, stop, start)


def _train(record: Runs, examples: list[Examples], task, stop: Event | None, start: Runs | None) -> Iterator[int]:
    """Make updates, and yield how many are done. It holds no tensor itself, so that an error can free all of them."""
    with bounded(record, task.ignores):
        yield from _updates(record, examples, task, stop, start)


def _updates(record: Runs, examples: list[Examples], task, stop: Event | None, start: Runs | None) -> Iterator[int]:
    weights, state = _initial(record, examples, start)
    if record.recipes[0].solved:
        weights[:] = solution(examples, weights.shape[1])
    network, loader = network_for(record.recipes[0], examples[0], weights), loader_for(record, examples)
    before = Pretraining(record, task, partial(_again, record, stop))
    before.begin(network)
    step, rescue, stats = updater(record, network, loader, state), Rescue(record, network.flat, state), None
    early = EarlyStopping(record, network.flat, state)
    try:
        for update in range(record.updates + 1):
            if update in record.evaluations:
                _evaluate(record, network, loader, task, update, stats, early)
                rescue.keep(update)
            record.reached = update
            if update == record.updates:
                break
            if stop is not None and stop.is_set():
                record.stopped = True
                break
            step(update)
            if step.prompt or update + 1 in record.evaluations:
                stats = _note(record, rescue, step.arrived())
            yield update + 1
    finally:  # after an interrupt too
        _note(record, rescue, step.arrived())
        record.weights = weights.cpu().numpy()
        record.optimizer_state = {name: value.cpu().numpy() for name, value in state.items()}
    if record.reached == record.updates:
        before.end(network)


def _again(record: Runs, stop: Event | None, recipes: list[Recipe], task: Task, start: Runs | None) -> Runs:
    """A record of other recipes with this one's seeds."""
    return train_jobs([Job(recipes, record.seeds.tolist(), task, record.device)], [Runs()], stop, start)[0]


def _note(record: Runs, rescue: Rescue, arrived: list[tuple[int, UpdateStats]]) -> UpdateStats | None:
    """Write down the statistics of these updates; returns those of the last one."""
    stats = None
    for update, stats in arrived:
        record.train_loss[:, update] = stats.loss
        record.gradient_norm[:, update] = stats.gradient_norm
        lost = ~np.isfinite(stats.loss) & ~rescue.after(update)
        record.diverged_at[lost & (record.diverged_at == 0)] = update + 1
    return stats


@own_settings()
def predict(runs: Runs, on, windows: int) -> tuple[np.ndarray, np.ndarray]:
    """Forecasts of trained networks for the first windows of the test part, and the truth, in the task's unit.

    Returns:
        Two arrays (R, windows).

    Raises:
        BadArgument: The task does not ask for one value a window.
    """
    task = one_task(on, "predict works on")
    network, examples, chosen, inputs = rebuilt(
        runs.recipes, runs.seeds, task, lambda example: example.of(2)[:windows], runs.weights
    )
    if examples[0].outputs > 1 or examples[0].loss_at == "every":
        raise BadArgument(f"{task.name} does not ask for one value a window, so there is no forecast to look at.")
    with torch.no_grad():
        scaled = as_scored(examples[0].head, network(inputs).double().numpy(), False)
    rows = list(zip(scaled, examples, chosen, strict=True))
    predictions = [outputs * example.spread + example.offset[some] for outputs, example, some in rows]
    return np.stack(predictions)[..., 0], np.stack([example.truth[some] for _, example, some in rows])[..., 0]


def _initial(record: Runs, examples: list[Examples], start: Runs | None) -> tuple[torch.Tensor, dict]:
    """Initial weights and optimizer state, each (R, P); those of `start` if training continues from it."""
    sizes = examples[0].channels, examples[0].outputs
    rows = initial_weights(record.recipes, record.setting, record.seeds.tolist(), *sizes, examples)
    if start is None:
        weights = torch.tensor(rows, device=record.device)
        return weights, initial_state(record.recipes[0].rule, weights)
    shared = ("cell", "layers", "width", "dense", "dense_after", "features", "patch", "lags", "optimizer", "nesterov")
    pairs = zip(start.recipes, record.recipes, strict=False)
    alike = all(getattr(mine, name) == getattr(theirs, name) for mine, theirs in pairs for name in shared)
    if any(recipe.early_stopping for recipe in start.recipes):
        raise BadArgument("start= was stopped early, so its runs have not all done the same updates. Train it without.")
    if start.seeds.tolist() != record.seeds.tolist() or start.weights.shape != rows.shape or start.stopped or not alike:
        raise BadArgument(f"start= needs a finished record of the same seeds, in order, and equal {', '.join(shared)}.")
    record.updates_before = start.updates_before + start.updates
    same = [mine.rescue == theirs.rescue for mine, theirs in zip(start.recipes, record.recipes, strict=True)]
    record.rescued_at = np.where(same, start.rescued_at, 0)
    state = {name: torch.tensor(rows, device=record.device) for name, rows in start.optimizer_state.items()}
    return torch.tensor(start.weights, device=record.device), state


def _evaluate(
    record: Runs, network: Network, loader: Loader, task: Task, update: int, stats: UpdateStats | None,
    early: EarlyStopping,
) -> None:  # fmt: skip
    where = int(np.searchsorted(record.evaluations, update))
    record.valid_score[:, where] = _scores(task, loader.predict(network, 1))
    early.evaluated(update, record.valid_score[:, where])
    if update == record.updates:
        early.restore()
    if stats is not None:
        record.step_ratio[:, where] = stats.step_ratio
    columns = [column for column, point in enumerate(last_points(record.updates)) if point == update]
    if columns:
        pairs, last = loader.predict(network, 2), loader.last(2)
        record.test_scores[:, columns] = scores = _scores(task, pairs)[:, None]
        record.test_scores[early.rows] = scores[early.rows]
        if not loader.examples[0].classes:
            naive = record.naive.reshape(len(pairs), -1)
            rows = [compared(*pair, last, those) for pair, those in zip(pairs, naive, strict=True)]
            record.spread, record.from_last = np.concatenate(rows, 1)


def _scores(task: Task, pairs: list[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """Every run's score, (R,), of predictions and truth as `Loader.predict` gives them."""
    return np.concatenate([task.score(*pair) for pair in pairs])


def _bounds(recipe: Recipe, task, seed: int, examples: Examples) -> tuple[float, float, float]:
    """Naive error, floor, and naive error on validation, from all windows, whatever `train_size` leaves out.

    Raises:
        BadData: The naive error is 0.
    """
    found = task.bounds(recipe, seed, examples if recipe.train_size is None else None)
    if not found[0] > 0:
        raise BadData(
            f"{task.name}: the naive guess makes no error in the test part of seed {seed}. Nothing is left to learn. "
            "Choose data that change there."
        )
    return found


def _draw(recipes: Sequence[Recipe], task, seeds: Sequence[int]) -> list[Examples]:
    examples = [examples_of(recipes[0], task, seeds[0])]
    need_values(recipes[0], examples[0], task)
    need_next_step(recipes[0], task, seeds[0])
    need_room_for(recipes, examples[0], task)
    examples += [examples_of(*drawn) for drawn in zip(recipes[1:], repeat(task), seeds[1:])]
    if any(recipe.order == "class" for recipe in recipes):
        need_labels(examples[0].labels(examples[0].of(0)))
    check_chunk(recipes[0], task, examples[0])
    windows = len(examples[0].of(0))
    if recipes[0].windows_per_update > windows:
        workers = f" for each of workers={recipes[0].workers}" if recipes[0].workers > 1 else ""
        raise BadArgument(
            f"batch_size={recipes[0].batch_size}{workers} is larger than the training part of {task.name}, which has "
            f"{windows} windows. Use at most {windows}."
        )
    return examples
