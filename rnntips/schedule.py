"""What is planned over the updates: the learning rate, and what rescues do to it; windows' length; pre-training.

Sources: Loshchilov and Hutter (2017), "SGDR", for the cosine; for rescues that raise the learning rate again "Some
Advice on Training RNN's" (S0 in the lessons), which gives no numbers: the factors and the 100 updates are ours.
"""

import math
from collections.abc import Callable
from itertools import pairwise

from rnntips.errors import BadArgument, spelled

__all__ = ["RESCUES", "mean_length", "planned", "plateau", "pretraining", "window_lengths"]

Course = Callable[[int, int], float]  # (updates done before, updates in all) → factor of the learning rate
WAYS = '"warmup:30", "cosine", "drop:0.1:0.5" or "dip:150", or some of them joined by "+"'
RAISED = 100  # updates over which a lowered learning rate is raised
# Name of a rescue → a function (updates since the spike) → factor of the learning rate.
RESCUES: dict[str, Callable[[int], float]] = {
    "lower": lambda since: 0.1,
    "lower, then raise": lambda since: 0.01 + (0.1 - 0.01) * min(since / RAISED, 1),
    "lower, then full": lambda since: 0.01 + (1 - 0.01) * min(since / RAISED, 1),
    "restore": lambda since: 0.5,
}


def planned(schedule: str | None) -> Course:
    """A function (updates done before this one, updates of the whole budget) → factor of the learning rate.

    `"warmup:30"` rises in equal steps from 1/30 at the first update to 1 at the 30th; `"cosine"` falls from 1 along
    half a wave, to reach 0 where the budget ends; `"drop:0.1:0.5"` multiplies by 0.1 from half of the budget on;
    `"dip:150"` does after 150 updates what the rescue `"lower, then full"` does after a spike.
    Schedules joined by `+` are multiplied: `"warmup:30+cosine"`.

    Raises:
        BadArgument: A schedule that cannot be read.
    """
    courses = [_course(*part, schedule) for part in spelled(schedule)] if schedule is not None else []
    return lambda done, updates: math.prod(course(done, updates) for course in courses)


def _course(kind: str, numbers: list[float], schedule: object) -> Course:
    if kind == "cosine" and not numbers:
        return lambda done, updates: (1 + math.cos(math.pi * done / updates)) / 2
    if kind == "warmup" and len(numbers) == 1 and numbers[0] >= 1 and numbers[0].is_integer():
        return lambda done, updates: min((done + 1) / numbers[0], 1)
    if kind == "drop" and len(numbers) == 2 and all(0 < number < 1 for number in numbers):
        factor, share = numbers
        return lambda done, updates: factor if done / updates >= share else 1
    if kind == "dip" and len(numbers) == 1 and numbers[0] >= 1 and numbers[0].is_integer():
        return lambda done, updates: RESCUES["lower, then full"](done - numbers[0]) if done >= numbers[0] else 1
    raise BadArgument(
        f"schedule={schedule!r} is not {WAYS}: a warm-up of a whole number of updates, a dip after so many, or a"
        " drop by a factor at a share of the budget, both above 0 and below 1."
    )


def window_lengths(grow: str | None, past: int, updates: int) -> list[int]:
    """Steps of the windows at every update: all `past`, unless they grow.

    With `"24:0.5"` they have 24 steps at first, then twice as many, and so on while that is below `past`; each of these
    lengths has an equal part of the first half of the updates. From then on they have `past` steps.

    Raises:
        BadArgument: `grow` cannot be read, or begins above `past`.
    """
    stages, share = _stages(grow, past)
    ends = [round(share * updates * (i + 1) / len(stages)) for i in range(len(stages))]
    found: list[int] = []
    for steps, end in zip([*stages, past], [*ends, updates], strict=True):
        found += [steps] * (end - len(found))
    return found


def plateau(grow: str | None) -> tuple[int, list[int]] | None:
    """Epochs and factors of `"plateau:20:2:10"`, which says how chunks grow; None of any other text.

    After 20 epochs in a row without a lower training loss chunks are twice as long as at first, then ten times.

    Raises:
        BadArgument: A number that is not whole, or a factor that is no multiple of the one before it.
    """
    ((kind, numbers), *more) = spelled(grow)
    if kind != "plateau":
        return None
    factors = [1.0, *numbers[1:]]
    multiples = all(longer > length > 0 and longer % length == 0 for length, longer in pairwise(factors))
    if more or len(factors) < 2 or not (multiples and numbers[0] >= 1 and all(n.is_integer() for n in numbers)):
        raise BadArgument(
            f'grow={grow!r} is not of the form "plateau:20:2:10": after 20 epochs without a lower training loss chunks '
            "are twice as long as at first, then ten times, each factor a multiple of the one before it."
        )
    return int(numbers[0]), [int(factor) for factor in factors]


def pretraining(pretrain: str | None) -> tuple[bool, int, int]:
    """Of `"next step:300:2"`: whether steps are shuffled, updates, and stages (1 unless given); no updates if None.

    Raises:
        BadArgument: It cannot be read, or has fewer updates than stages.
    """
    if pretrain is None:
        return False, 0, 1
    ((kind, numbers), *more) = spelled(pretrain)
    updates, stages = [*numbers, 1][:2] if numbers else (0, 1)
    whole = all(math.isfinite(number) and number.is_integer() for number in numbers) and 1 <= stages <= updates
    if more or kind not in ("next step", "shuffled steps") or len(numbers) not in (1, 2) or not whole:
        raise BadArgument(
            f'pretrain={pretrain!r} is not of the form "next step:300", 300 updates, "next step:300:2", these in two '
            'stages, or "shuffled steps:300".'
        )
    return kind == "shuffled steps", int(updates), int(stages)


def mean_length(grow: str | None, past: int) -> float:
    """Steps of a window, averaged over all updates."""
    stages, share = _stages(grow, past)
    return past + share * (sum(stages) / len(stages) - past) if stages else past


def _stages(grow: str | None, past: int) -> tuple[list[int], float]:
    """Window lengths below `past`, shortest first, and the share of the updates that they have together."""
    if grow is None or plateau(grow):  # chunks grow, and not windows
        return [], 0.0
    (first, numbers), *more = spelled(grow)
    if more or len(numbers) != 1 or not (first.isdecimal() and int(first) >= 1 and 0 < numbers[0] < 1):
        raise BadArgument(
            f'grow={grow!r} is not of the form "24:0.5": windows have 24 steps at first, and their length doubles over '
            "half of the updates. The first number is whole, the second above 0 and below 1."
        )
    if int(first) > past:
        raise BadArgument(f"grow={grow!r} begins with windows longer than {past} steps. Begin with {past} or less.")
    stages = [int(first)]
    while 2 * stages[-1] < past:
        stages.append(2 * stages[-1])
    return [steps for steps in stages if steps < past], numbers[0]
