"""What changes over the updates: the learning rate, as planned and after a spike, and the length of windows.

Sources: Loshchilov and Hutter (2017), "SGDR", for the cosine; an old list of advice for `"lower, then raise"`, which
has no numbers: "turn the learning rate way down, and gradually bring it back up" is a hundredth, and then a tenth.
"""

import math
from collections.abc import Callable

from rnntips.errors import BadArgument

__all__ = ["RESCUES", "lengths", "mean_length", "planned"]

Course = Callable[[int, int], float]  # (updates done before, length of the budget) → factor of this update
WAYS = '"warmup:30", "cosine" or "drop:0.1:0.5", or some of them joined by "+"'
RAISED = 100  # updates over which a rate that was lowered is raised
# What is done at a spike → factor of the learning rate in the update that follows so many others after it.
RESCUES: dict[str, Callable[[int], float]] = {
    "lower": lambda since: 0.1,
    "lower, then raise": lambda since: 0.01 + (0.1 - 0.01) * min(since / RAISED, 1),
    "restore": lambda since: 0.5,
}


def planned(schedule: str | None) -> Course:
    """A function (updates done before this one, updates of the whole budget) → factor of the learning rate.

    `"warmup:30"` rises in equal steps from 1/30 at the first update to 1 at the 30th; `"cosine"` falls from 1 along
    half a wave, to reach 0 where the budget ends; `"drop:0.1:0.5"` multiplies by 0.1 from half of the budget on.
    Those joined by `+` are multiplied: `"warmup:30+cosine"`.

    Raises:
        BadArgument: A schedule that cannot be read.
    """
    courses = [_course(part.strip(), schedule) for part in str(schedule).split("+")] if schedule is not None else []
    return lambda done, updates: math.prod(course(done, updates) for course in courses)


def _course(part: str, schedule: object) -> Course:
    kind, *numbers = part.split(":")
    if kind == "cosine" and not numbers:
        return lambda done, updates: (1 + math.cos(math.pi * done / updates)) / 2
    if kind == "warmup" and len(numbers) == 1 and numbers[0].isdecimal() and int(numbers[0]) >= 1:
        length = int(numbers[0])
        return lambda done, updates: min((done + 1) / length, 1)
    if kind == "drop" and len(numbers) == 2:
        factor, share = map(_number, numbers)
        if 0 < factor < 1 and 0 < share < 1:
            return lambda done, updates: factor if done / updates >= share else 1
    raise BadArgument(
        f"schedule={schedule!r} is not {WAYS}: a warm-up of a whole number of updates, or a drop by a factor at a share"
        " of the budget, both above 0 and below 1."
    )


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def lengths(grow: str | None, past: int, updates: int) -> list[int]:
    """Steps of the windows at every update: all `past`, unless they grow.

    With `"24:0.5"` they have 24 steps at first, then twice as many, and so on while that is below `past`; each of these
    lengths has an equal part of the first half of the updates. From then on they have `past` steps.

    Raises:
        BadArgument: A growth that cannot be read, or one that begins above `past`.
    """
    stages, share = _stages(grow, past)
    ends = [round(share * updates * (i + 1) / len(stages)) for i in range(len(stages))]
    found: list[int] = []
    for steps, end in zip([*stages, past], [*ends, updates], strict=True):
        found += [steps] * (end - len(found))
    return found


def mean_length(grow: str | None, past: int) -> float:
    """Of the windows of all updates."""
    stages, share = _stages(grow, past)
    return past + share * (sum(stages) / len(stages) - past) if stages else past


def _stages(grow: str | None, past: int) -> tuple[list[int], float]:
    """Lengths below `past`, shortest first, and the share of the updates that they have together."""
    if grow is None:
        return [], 0.0
    first, _, share = str(grow).partition(":")
    if not (first.isdecimal() and 1 <= int(first) and 0 < _number(share) < 1):
        raise BadArgument(
            f'grow={grow!r} is not "24:0.5": windows of so many steps at first, doubled over so large a share of the '
            "updates, above 0 and below 1."
        )
    if int(first) > past:
        raise BadArgument(f"grow={grow!r} begins with windows longer than past={past}. Begin with {past} or less.")
    stages = [int(first)]
    while 2 * stages[-1] < past:
        stages.append(2 * stages[-1])
    return [steps for steps in stages if steps < past], float(share)
