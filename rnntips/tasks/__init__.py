"""A task is what a network is trained and judged on, drawn anew for every seed.

It defines the score, which does not depend on the training loss, and the two errors between which a score lies:
`naive` (100 %) and `floor` (0 %).
"""

from collections.abc import Mapping

from rnntips.errors import BadArgument, need_text
from rnntips.tasks.forecasts import Forecast, forecast
from rnntips.tasks.images import Digits, digits
from rnntips.tasks.memory import (
    Adding,
    Cue,
    Leaky,
    Opposing,
    PaddedAdding,
    Recall,
    RecallStream,
    adding,
    cue,
    leaky,
    opposing,
    padded_adding,
    recall,
    recall_stream,
)
from rnntips.tasks.next_step import NextStep, next_step
from rnntips.tasks.origins import origins
from rnntips.tasks.own_loop import batches, naive
from rnntips.tasks.prices import Returns, returns
from rnntips.tasks.related import Related, related
from rnntips.tasks.stretches import need_spread
from rnntips.tasks.task import SequenceTask, Task, regressed, stream
from rnntips.tasks.text import Characters, characters

__all__ = [
    "Adding",
    "Characters",
    "Cue",
    "Digits",
    "Forecast",
    "Leaky",
    "NextStep",
    "Opposing",
    "PaddedAdding",
    "Recall",
    "RecallStream",
    "Related",
    "Returns",
    "SequenceTask",
    "Task",
    "adding",
    "as_settings",
    "batches",
    "characters",
    "cue",
    "digits",
    "forecast",
    "leaky",
    "naive",
    "need_spread",
    "next_step",
    "one_task",
    "opposing",
    "origins",
    "padded_adding",
    "recall",
    "recall_stream",
    "regressed",
    "related",
    "returns",
    "stream",
]  # fmt: skip


def as_settings(on) -> dict[str, Task]:
    """`on` as named settings: a Task, a Series, or a mapping of either."""
    items = on.items() if isinstance(on, Mapping) else [(None, on)]
    tasks = {}
    for name, item in items:
        task = item if _is_task(item) else forecast(item)
        tasks[task.name if name is None and item is on else need_text("a name in on=", name, 1)] = task
    if not tasks:
        raise BadArgument("on={} names no setting; give a Series, a Task, or a dict of them.")
    return tasks


def _is_task(item) -> bool:
    made = not isinstance(item, type)  # rt.tasks.adding is not yet a task: rt.tasks.adding(10) is
    return made and all(callable(getattr(item, name, None)) for name in ("examples", "bounds", "score"))


def one_task(on, looks: str, advice: str = "") -> Task:
    """The single task in `on`.

    Args:
        looks: How the error message begins: "gradient_noise looks at".
        advice: How it ends: what to call for several settings.

    Raises:
        BadArgument: There are several.
    """
    settings = as_settings(on)
    if len(settings) > 1:
        raise BadArgument(f"{looks} one setting, and {len(settings)} came ({', '.join(settings)}).{advice}")
    return next(iter(settings.values()))
