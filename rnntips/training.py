"""`train`: the only training loop. It fills a `Runs` record and knows nothing of figures or notebooks."""

import time
from collections.abc import Iterator, Sequence
from threading import Event

import numpy as np
import torch

from rnntips.arguments import check_seeds, resolve_device
from rnntips.errors import BadArgument, BadData
from rnntips.feed import Feed, examples_of, sized
from rnntips.kernels.pool import one_thread
from rnntips.lanes import check_chunk, feed_for
from rnntips.memory import bounded
from rnntips.models import Network, initial_weights, network_for
from rnntips.optimizers import initial_state
from rnntips.recipe import Recipe
from rnntips.rescue import Rescue
from rnntips.runs import Runs, last_points
from rnntips.tasks import one_task
from rnntips.update import Happened, updater
from rnntips.windows import Examples, need_labels

__all__ = ["ENGINE", "check_trainable", "first_states", "predict", "train", "train_stack", "train_stacks"]

ENGINE = 1  # raised by hand when a run's numbers change; runs stored under another number are not read


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
        seeds: One run each. A run depends on its recipe, task and seed alone, not on its company.
        device: `"cpu"` or `"cuda"`; `"auto"`: what the environment variable RNNTIPS_DEVICE names, else the CPU.
        record: An empty `Runs()` to fill, so that another thread can look at it meanwhile.
        stop: Set it from another thread to end training after the current update. An interrupted kernel does the
            same; what was recorded until then is kept.
        start: A finished record of the same runs to go on from: its weights and optimizer state.

    Returns:
        The record. A loss that becomes non-finite is an outcome, never an exception.

    Raises:
        BadArgument: Bad seeds, a batch larger than the training part, a device that is not there.
        OutOfMemory: What to halve; its `record` has what was done until then.
    """
    seeds, stop = check_seeds(seeds), stop or Event()
    return train_stack([recipe] * len(seeds), on, seeds, device=device, record=record, stop=stop, start=start)


def train_stack(
    recipes: Sequence[Recipe],
    on,
    seeds: Sequence[int],
    *,
    device: str = "auto",
    record: Runs | None = None,
    stop: Event | None = None,
    start: Runs | None = None,
) -> Runs:
    """Like `train`, with a recipe of its own for every run; they may differ in the `PER_RUN` fields only.

    An interrupt is raised if there is no `stop` that could tell the caller of it.
    """
    records = [Runs() if record is None else record]
    return train_stacks([(recipes, seeds)], on, device=device, records=records, stop=stop, start=start)[0]


def train_stacks(
    stacks: Sequence[tuple[Sequence[Recipe], Sequence[int]]],
    on,
    *,
    device: str = "auto",
    records: Sequence[Runs],
    stop: Event | None = None,
    start: Runs | None = None,
) -> list[Runs]:
    """Several stacks in turns: the one that is furthest behind in its budget makes the next update.

    Args:
        stacks: Recipes and seeds of each, as for `train_stack`.
        records: An empty one for each.
    """
    task, device = one_task(on, "train works on", " Use rt.compare."), resolve_device(device)
    going = {}  # what is left to do → its record
    for (given, seeds), record in zip(stacks, records, strict=True):
        found = {recipe: sized(recipe, task) for recipe in given}
        recipes = [found[recipe] for recipe in given]
        examples = _draw(recipes, task, seeds)
        if len({recipe.shape() for recipe in recipes}) != 1:
            raise BadArgument("These recipes differ in shape; train them one shape at a time.")
        record.begin(recipes, task, seeds, len(examples[0].of(0)), device, **examples[0].sizes)
        going[_train(record, examples, task, stop, start)] = record
    with one_thread():
        try:
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


def _train(record: Runs, examples: list[Examples], task, stop: Event | None, start: Runs | None) -> Iterator[int]:
    """Updates one by one; yields how many are done. Holds no tensor of its own, so that an error can let go of all."""
    with bounded(record, getattr(task, "ignores", frozenset())):
        yield from _updates(record, examples, task, stop, start)


def _updates(record: Runs, examples: list[Examples], task, stop: Event | None, start: Runs | None) -> Iterator[int]:
    weights, state = _initial(record, examples[0], start)
    network, feed = network_for(record.recipes[0], examples[0], weights), feed_for(record, examples)
    step, rescue, happened = updater(record, network, feed, state), Rescue(record, network, state), None
    try:
        for update in range(record.updates + 1):
            if update in record.evaluations:
                _evaluate(record, network, feed, task, update, happened)
                rescue.keep(update)
            record.advance(update)
            if update == record.updates:
                break
            if stop is not None and stop.is_set():
                record.stopped = True
                break
            step(update)
            if step.prompt or update + 1 in record.evaluations:
                happened = _note(record, rescue, step.arrived())
            yield update + 1
    finally:  # an interrupt keeps them too
        _note(record, rescue, step.arrived())
        record.weights = weights.cpu().numpy()
        record.optimizer_state = {name: value.cpu().numpy() for name, value in state.items()}


def _note(record: Runs, rescue: Rescue, arrived: list[tuple[int, Happened]]) -> Happened | None:
    """Write down what happened in these updates; of the last of them."""
    happened = None
    for update, happened in arrived:
        record.train_loss[:, update] = happened.loss
        record.gradient_norm[:, update] = happened.gradient_norm
        lost = ~np.isfinite(happened.loss) & ~rescue.after(update)
        record.diverged_at[lost & (record.diverged_at == 0)] = update + 1
    return happened


def predict(runs: Runs, on, windows: int) -> tuple[np.ndarray, np.ndarray]:
    """Forecasts of trained networks for the first windows of the test part, and the truth, in the task's unit.

    Returns:
        Two arrays (R, windows).

    Raises:
        BadArgument: The task does not ask for one value a window.
    """
    task = one_task(on, "train works on", " Use rt.compare.")
    examples = _draw(runs.recipes, task, runs.seeds.tolist())
    if examples[0].outputs > 1 or examples[0].loss_at == "every":
        raise BadArgument(f"{task.name} does not ask for one value a window, so there is no forecast to look at.")
    chosen = [example.of(2)[:windows] for example in examples]
    network = network_for(runs.recipes[0], examples[0], torch.tensor(runs.weights))
    inputs = np.stack([example.inputs(some) for example, some in zip(examples, chosen, strict=True)])
    with one_thread(), torch.no_grad():
        scaled = network(torch.tensor(inputs)).double().numpy()
    pairs = list(zip(examples, chosen, strict=True))
    predictions = [
        out * example.spread + example.offset[some] for out, (example, some) in zip(scaled, pairs, strict=True)
    ]
    return np.stack(predictions)[..., 0], np.stack([example.truth[some] for example, some in pairs])[..., 0]


def first_states(recipe: Recipe, on, seeds: Sequence[int], windows: int = 64) -> np.ndarray:
    """What validation windows leave in networks that have not been trained: last states, (R, windows, H)."""
    seeds, task = check_seeds(seeds), one_task(on, "train works on", " Use rt.compare.")
    recipe = sized(recipe, task)
    recipes = [recipe] * len(seeds)
    examples = _draw(recipes, task, seeds)
    network = network_for(recipe, examples[0], torch.tensor(_fresh(recipes, task.name, seeds, examples[0])))
    inputs = np.stack([example.inputs(example.of(1, windows)) for example in examples])
    with one_thread(), torch.no_grad():
        return network.states(torch.tensor(inputs))[:, :, -1].numpy()


def _fresh(recipes: Sequence[Recipe], setting: str, seeds: Sequence[int], example: Examples) -> np.ndarray:
    return initial_weights(recipes, setting, seeds, example.channels, example.outputs)


def _initial(record: Runs, example: Examples, start: Runs | None) -> tuple[torch.Tensor, dict]:
    """Weights and optimizer state to begin with, each (R, P); those of `start` if training goes on from it."""
    rows = _fresh(record.recipes, record.setting, record.seeds.tolist(), example)
    if start is None:
        weights = torch.tensor(rows, device=record.device)
        return weights, initial_state(record.recipes[0].rule, weights)
    shared = ("cell", "layers", "width", "dense", "dense_after", "features", "optimizer", "nesterov")
    pairs = zip(start.recipes, record.recipes, strict=False)
    alike = all(getattr(mine, name) == getattr(theirs, name) for mine, theirs in pairs for name in shared)
    if start.seeds.tolist() != record.seeds.tolist() or start.weights.shape != rows.shape or start.stopped or not alike:
        raise BadArgument(
            f"start= needs a finished record of the same seeds, in order, and the same {', '.join(shared)}."
        )
    record.updates_before = start.updates_before + start.updates
    same = [mine.rescue == theirs.rescue for mine, theirs in zip(start.recipes, record.recipes, strict=True)]
    record.rescued_at = np.where(same, start.rescued_at, 0)
    state = {name: torch.tensor(rows, device=record.device) for name, rows in start.optimizer_state.items()}
    return torch.tensor(start.weights, device=record.device), state


def _evaluate(record: Runs, network: Network, feed: Feed, task, update: int, happened: Happened | None) -> None:
    where = int(np.searchsorted(record.evaluations, update))
    record.valid_score[:, where] = task.score(*feed.predict(network, 1))
    if happened is not None:
        record.step_ratio[:, where] = happened.step_ratio
    for column, point in enumerate(last_points(record.updates)):
        if point == update:
            record.test_scores[:, column] = task.score(*feed.predict(network, 2))


def check_trainable(recipes: Sequence[Recipe], task, seed: int) -> None:
    """Raise what drawing and cutting this task would raise, before anything is trained."""
    changed = {name for recipe in recipes for name in recipes[0].diff(recipe)}
    for name in sorted(changed & getattr(task, "ignores", frozenset())):
        raise BadArgument(
            f"{name} changes nothing on {task.name}, which makes its own windows. Compare another field, or leave "
            f"{task.name} out."
        )
    for recipe in recipes:
        _draw([sized(recipe, task)], task, [seed])
        if not task.bounds(recipe, seed)[0] > 0:
            raise BadData(f"{task.name}: the naive guess makes no error in the test part. Nothing is left to learn.")


def _draw(recipes: Sequence[Recipe], task, seeds: Sequence[int]) -> list[Examples]:
    for recipe in recipes:
        if not isinstance(recipe, Recipe):
            raise BadArgument(f"{recipe!r} is not a Recipe. Make one with rt.Recipe(...).")
    examples = [examples_of(recipe, task, seed) for recipe, seed in zip(recipes, seeds, strict=True)]
    if any(recipe.order == "class" for recipe in recipes):
        need_labels(examples[0].labels(examples[0].of(0)))
    check_chunk(recipes[0], task, examples[0])
    windows = len(examples[0].of(0))
    if recipes[0].batch_size > windows:
        raise BadArgument(
            f"batch_size={recipes[0].batch_size} is larger than the training part of {task.name}, which has "
            f"{windows} windows. Use at most {windows}."
        )
    return examples
