"""Exercises of the clipping lesson: clip a gradient by its norm, and read a threshold from a log of norms."""

import numpy as np

from rnntips.notebook.exercise import Exercise

__all__ = ["by_norm", "from_the_log"]


def _by_norm(gradients, limit):
    norm = np.sqrt(sum((part**2).sum() for part in gradients))
    return [part * min(1, limit / norm) for part in gradients]


def _gradients():
    for size, limit in ((3.0, 0.5), (3.0, 1.0), (0.02, 2.0), (0.0, 2.0)):
        rng = np.random.default_rng(int(100 * size))
        yield [size * rng.normal(size=shape) for shape in ((4, 3), (3,))], limit


def _norm(*parts):
    return np.sqrt(sum((part**2).sum() for part in parts))


by_norm = Exercise(
    "by_norm", _by_norm, _gradients, tolerance=1e-4,  # PyTorch adds a millionth to the norm
    hints=("One norm for all parts together: how long would they be as one vector?",
           "norm = np.sqrt(sum((part**2).sum() for part in gradients)).",
           "Multiply every part by min(1, limit / norm). What is short already stays as it is."),
    mistakes=(  # of gradients g; the first differs from the solution only where all are zeros
        (lambda g, limit: [part / _norm(*g) * min(_norm(*g), limit) for part in g],
         "a gradient of zeros must stay zeros; yours became NaN. Divide only where the norm exceeds the limit."),
        (lambda g, limit: g, "the norm is above the limit, {limit}, and nothing was clipped."),
        (lambda g, limit: [part * min(1, limit / _norm(part)) for part in g],
         "each part was clipped by a norm of its own. Take one norm over all parts: the direction must stay."),
        (lambda g, limit: [np.clip(part, -limit, limit) for part in g],
         "each value was cut by itself. That turns the direction; shorten the whole gradient instead."),
        (lambda g, limit: [part * min(1, limit / _norm(*g) ** 2) for part in g], "the root of the sum is missing."),
        (lambda g, limit: [part / _norm(*g) for part in g],
         "every gradient ends with norm 1. It should end with the limit."),
        (lambda g, limit: [part * limit for part in g], "the norm is missing: multiply by limit / norm."),
        (lambda g, limit: [part * min(1, limit / np.mean([*map(_norm, g)])) for part in g],
         "the norm of all is not the mean of the parts' norms. Add up all squares, then take the root."),
        (lambda g, limit: [part * min(1, limit / sum(map(_norm, g))) for part in g],
         "norms do not add up. Add up all squares, then take the root."),
        (lambda g, limit: [part * limit / _norm(*g) for part in g],
         "a gradient below the limit was lengthened to {limit}. Clipping only shortens."),
        (lambda g, limit: _by_norm(g, limit) if _norm(*g) > limit else [0 * part for part in g],
         "a gradient below the limit, {limit}, must stay as it is.")),
    kind="return a list with the two gradients, clipped; their shapes stay.",
    otherwise="the clipped gradients should be {right}, and yours are {yours}.",
)  # fmt: skip


def _from_the_log(norms):
    return np.percentile(norms[np.isfinite(norms)], 90)


def _logs():
    for seed in range(2):
        norms = np.exp(np.random.default_rng(seed).normal(-0.5, 1, (4, 300)))
        for run, at in ((1, 150), (3, 260)):  # two runs explode, and then have no norm any more
            norms[run, at : at + 20] = 10.0 ** np.arange(20)
            norms[run, at + 20 : at + 25] = np.inf
            norms[run, at + 25 :] = np.nan
        yield (norms,)


def _finite(norms):
    return norms[np.isfinite(norms)]


from_the_log = Exercise(
    "from_the_log", _from_the_log, _logs, tolerance=0.02,  # a percentile can be placed between two values in many ways
    hints=("Runs that broke left infinite norms and NaN behind. np.isfinite says which norms can be used.",
           "Which norm do nine in ten stay below? np.percentile knows.",
           "np.percentile(norms[np.isfinite(norms)], 90)."),
    mistakes=(
        (lambda norms: norms.max(),
         "the result is NaN: runs that broke have no norms afterwards. Leave out what is not finite."),
        (lambda norms: np.nanmax(norms), "the result is infinite: leave out what is not finite."),
        (lambda norms: _finite(norms).max(),
         "that is the largest norm. It would never clip, and an explosion would set it."),
        (lambda norms: _finite(norms).mean(),
         "that is a mean, and two explosions carry it away. A percentile ignores their size."),
        (lambda norms: np.median(_finite(norms)),
         "that is the median: half of all updates would be clipped. One in ten was asked for."),
        (lambda norms: np.percentile(_finite(norms), 10),
         "nine in ten norms lie above yours. One in ten was asked for."),
        (lambda norms: np.percentile(_finite(norms), 99),
         "one in a hundred lies above yours. One in ten was asked for."),
        (lambda norms: np.mean([_from_the_log(run) for run in norms]),
         "take all finite norms together, not the mean of each run's percentile."),
        (lambda norms: np.nanpercentile(norms, 90), "infinite norms count in yours. Leave them out, too."),
        (lambda norms: 0.9 * _finite(norms).max(),
         "that is 90 % of the largest norm. One norm in ten should lie above the threshold."),
        (lambda norms: 0.9, "0.9 is a share. The threshold is a norm: the one that nine in ten stay below.")),
    kind="return one number, the threshold, not {type}.",
    otherwise="the threshold should be {right}, so that one in ten finite norms lies above it. Yours is {yours}.",
)  # fmt: skip
