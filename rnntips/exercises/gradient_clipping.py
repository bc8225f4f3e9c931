"""Exercises of the clipping lesson: clip a gradient by its norm, and read a threshold from a log of norms."""

import numpy as np

from rnntips.exercises._exercise import Exercise

__all__ = ["by_norm", "from_the_log"]


def _solution(gradients, limit):
    norm = np.sqrt(sum((part**2).sum() for part in gradients))
    return [part * min(1, limit / norm) for part in gradients]


def _judge(answer) -> str | None:
    for size, limit in ((3.0, 1.0), (3.0, 0.5), (0.02, 1.0), (0.0, 1.0)):
        rng = np.random.default_rng(int(100 * size))
        gradients = [size * rng.normal(size=shape) for shape in ((4, 3), (3,))]
        with np.errstate(all="ignore"):  # of the zeros, by which a right answer may divide
            returned = answer([part.copy() for part in gradients], limit)
        if not isinstance(returned, list | tuple) or len(returned) != 2:
            return "return a list with the two gradients, clipped."
        mine = [np.asarray(part, dtype=float) for part in returned]
        if [part.shape for part in mine] != [(4, 3), (3,)]:
            return f"the shapes (4, 3) and (3,) must stay; yours are {' and '.join(str(part.shape) for part in mine)}."
        if size == 0 and np.all([np.array_equal(part, 0 * part) for part in mine]):
            continue
        if wrong := _diagnose(gradients, mine, limit, size):
            return wrong
    return None


def _diagnose(gradients, mine, limit: float, size: float) -> str | None:
    if size == 0:
        return "a gradient of zeros must stay zeros; yours became NaN. Divide only where the norm exceeds the limit."

    def norm(parts):
        return np.sqrt(sum((part**2).sum() for part in parts))

    def same(*others):
        return all(np.allclose(one, other, rtol=1e-4) for one, other in zip(mine, others, strict=True))

    right, total = _solution(gradients, limit), norm(gradients)
    if same(*right):
        return None
    if total <= limit:
        if np.isclose(norm(mine), limit, rtol=1e-3):
            return f"a gradient of norm {total:.2g} was lengthened to {limit:g}. Clipping only shortens."
        return f"a gradient of norm {total:.2g} is below the limit {limit:g} and must stay as it is."
    known = [
        (gradients, f"the norm is {total:.3g}, the limit {limit:g}, and nothing was clipped."),
        ([part * min(1, limit / norm([part])) for part in gradients],
         "each part was clipped by a norm of its own. Take one norm over all parts: the direction must stay."),
        ([np.clip(part, -limit, limit) for part in gradients],
         "each value was cut by itself. That turns the direction; shorten the whole gradient instead."),
        ([part * min(1, limit / total**2) for part in gradients], "the root of the sum is missing."),
        ([part / total for part in gradients], "every gradient ends with norm 1. It should end with the limit."),
        ([part * limit for part in gradients], "the norm is missing: multiply by limit / norm."),
        ([part * min(1, limit / np.mean([norm([p]) for p in gradients])) for part in gradients],
         "the norm of all is not the mean of the parts' norms. Add up all squares, then take the root."),
        ([part * min(1, limit / sum(norm([p]) for p in gradients)) for part in gradients],
         "norms do not add up. Add up all squares, then take the root."),
    ]  # fmt: skip
    for parts, message in known:
        if same(*parts):
            return message
    return f"the clipped gradient should have norm {norm(right):.3g}, and yours has {norm(mine):.3g}."


by_norm = Exercise(
    "by_norm",
    _judge,
    hints=(
        "One norm for all parts together: how long would they be as one vector?",
        "norm = np.sqrt(sum((part**2).sum() for part in gradients)).",
        "Multiply every part by min(1, limit / norm). What is short already stays as it is.",
    ),
    solution=_solution,
)


def _solution_from_the_log(norms):
    return np.percentile(norms[np.isfinite(norms)], 90)


def _judge_from_the_log(answer) -> str | None:
    for seed in range(2):
        rng = np.random.default_rng(seed)
        norms = np.exp(rng.normal(-0.5, 1, (4, 300)))
        for run, at in ((1, 150), (3, 260)):  # two runs explode, and then have no norm any more
            norms[run, at : at + 20] = 10.0 ** np.arange(20)
            norms[run, at + 20 : at + 25] = np.inf
            norms[run, at + 25 :] = np.nan
        returned = answer(norms.copy())
        try:
            mine = float(returned)
        except (TypeError, ValueError):
            return f"return one number, the threshold, not {type(returned).__name__}."
        if wrong := _diagnose_from_the_log(norms, mine):
            return wrong
    return None


def _diagnose_from_the_log(norms, mine: float) -> str | None:
    finite = norms[np.isfinite(norms)]
    right = _solution_from_the_log(norms)
    if np.isclose(mine, right, rtol=0.02):
        return None
    if np.isnan(mine):
        return "the result is NaN: runs that broke have no norms afterwards. Leave out what is not finite."
    if np.isinf(mine):
        return "the result is infinite: leave out what is not finite."
    each = [np.percentile(row[np.isfinite(row)], 90) for row in norms]
    known = [
        (finite.max(), "that is the largest norm. It would never clip, and an explosion would set it."),
        (finite.mean(), "that is a mean, and two explosions carry it away. A percentile ignores their size."),
        (np.median(finite), "that is the median: half of all updates would be clipped. One in ten was asked for."),
        (np.percentile(finite, 10), "nine in ten norms lie above yours. One in ten was asked for."),
        (np.percentile(finite, 99), "one in a hundred lies above yours. One in ten was asked for."),
        (np.mean(each), "take all finite norms together, not the mean of each run's percentile."),
        (np.nanpercentile(norms, 90), "infinite norms count in yours. Leave them out, too."),
        (0.9 * finite.max(), "that is 90 % of the largest norm. One norm in ten should lie above the threshold."),
        (0.9, "0.9 is a share. The threshold is a norm: the one that nine in ten stay below."),
    ]
    for value, message in known:
        if np.isclose(mine, value, rtol=1e-6):
            return message
    return f"{np.mean(finite > mine):.0%} of the finite norms lie above your threshold; it should be one in ten."


from_the_log = Exercise(
    "from_the_log",
    _judge_from_the_log,
    hints=(
        "Runs that broke left infinite norms and NaN behind. np.isfinite says which norms can be used.",
        "Which norm do nine in ten stay below? np.percentile knows.",
        "np.percentile(norms[np.isfinite(norms)], 90).",
    ),
    solution=_solution_from_the_log,
)
