"""Exercises of the scaling lesson: forecast with the scaler of the training part, and scale without looking ahead."""

from collections.abc import Callable
from functools import cache

import numpy as np
import torch
from torch import nn

from rnntips import series
from rnntips.engine.settings import own_settings
from rnntips.lessons.forecaster import Forecaster
from rnntips.notebook.exercise import Exercise

__all__ = ["in_use", "no_peeking"]


def _no_peeking(train, test):
    mean, deviation = train.mean(), train.std()
    return (train - mean) / deviation, (test - mean) / deviation


def _parts():
    for seed, (level, spread, drift) in enumerate([(0, 1, 0), (30_000, 4_000, 0), (350, 5, 40)]):
        rng = np.random.default_rng(seed)
        yield rng.normal(level, spread, 200), rng.normal(level + drift, 1.5 * spread, 80)


def _by(values, *parts, ddof=0):
    """Parts, scaled by mean and deviation of some values; both usual divisors, n and n − 1, are right."""
    return tuple((part - values.mean()) / values.std(ddof=ddof) for part in parts)


no_peeking = Exercise(
    "no_peeking", _no_peeking, _parts, accept=(lambda a, b: _by(a, a, b, ddof=1),), tolerance=1e-4,
    hints=("Two numbers describe the scaler. Which array may they be computed from?",
           "Compute train.mean() and train.std() once, and use those same two numbers for both arrays.",
           "return (train - mean) / deviation, and the same for test, with the same mean and deviation."),
    mistakes=(  # of training part a and test part b
        (lambda a, b: (*_by(a, a), *_by(b, b)), lambda a, b: (*_by(a, a, ddof=1), *_by(b, b, ddof=1)),
         "the test part was scaled by its own mean and deviation. In use, the future has none yet."),
        (lambda a, b: (*_by(a, a), b), lambda a, b: (*_by(a, a), b - a.mean()), lambda a, b: (*_by(a, a), b / a.std()),
         lambda a, b: (*_by(a, a), *_by(np.append(a, b), b)),
         "the training part is right. Scale the test part by the same two numbers."),
        (lambda a, b: _by(np.append(a, b), a, b), lambda a, b: _by(np.append(a, b), a, b, ddof=1),
         "the scaler has seen the test part: mean and deviation must come from the training part alone."),
        (lambda a, b: (a, b), "nothing was scaled: what goes in comes out."),
        (lambda a, b: (a - a.mean(), b - a.mean()),
         "centred, but not scaled: divide by the standard deviation as well."),
        (lambda a, b: ((a - a.mean()) / a.var(), (b - a.mean()) / a.var()),
         "you divided by the variance; the standard deviation is its square root."),
        (lambda a, b: (a / a.std(), b / a.std()), "divided, but not centred: subtract the training part's mean first."),
        (lambda a, b: (a, *_by(a, b)), "the test part is right. Scale the training part, too.")),
    kind="return two arrays: the scaled training part and the scaled test part.",
    otherwise="the training part should be {right[0]}, with mean 0 and deviation 1, and the test part {right[1]}; "
              "yours are {yours[0]} and {yours[1]}.",
)  # fmt: skip


PAST, WINDOWS = 24, 100
TRAIN = 2000  # values of the series that the network learns from


@cache
@own_settings()
def _trained() -> tuple[Callable[[np.ndarray], float], np.ndarray, np.ndarray, np.ndarray]:
    """A network, from a scaled window (T,) to the next value; what it learned from, later windows (N, T) and what
    followed them, all in megawatts."""
    values = series.demand().values[:, 0]
    rows = np.lib.stride_tricks.sliding_window_view(values, PAST + 1)
    learned, later = rows[: TRAIN - PAST], rows[TRAIN :: (len(rows) - TRAIN) // WINDOWS][:WINDOWS]
    scaled = (torch.tensor(learned, dtype=torch.float32) - values[:TRAIN].mean()) / values[:TRAIN].std()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network, choose = Forecaster(), torch.Generator().manual_seed(0)
        optimizer = torch.optim.Adam(network.parameters(), lr=0.01)
        for _ in range(200):
            batch = scaled[torch.randint(len(scaled), (32,), generator=choose)]
            loss = nn.functional.mse_loss(network(batch[:, :-1, None])[:, 0], batch[:, -1])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

    def model(window: np.ndarray) -> float:
        with torch.no_grad():
            return network(torch.as_tensor(np.array(window), dtype=torch.float32)[None, :, None]).item()

    return model, values[:TRAIN], later[:, :-1].copy(), later[:, -1]


def _in_use(model, train, windows):
    mean, deviation = train.mean(), train.std()
    return [model((window - mean) / deviation) * deviation + mean for window in windows]


def _by_own(model, train, windows):
    return [model((window - window.mean()) / window.std()) * window.std() + window.mean() for window in windows]


def _as_it_was(model, train, windows):
    return [model((window - window.mean()) / window.std()) * train.std() + train.mean() for window in windows]


def _by_train(scale, back):
    """Forecasts, for a way to scale and one to undo it, both from the training part's mean m and deviation d."""

    def forecasts(model, train, windows):
        m, d = train.mean(), train.std()
        return [back(model(scale(window, m, d)), m, d) for window in windows]

    return forecasts


def _standard(x, m, d):
    return (x - m) / d


def _of_all(model, train, windows):
    m, d = windows.mean(), windows.std()
    return [model((window - m) / d) * d + m for window in windows]


DAMAGE = "the error is {times} times that of repeating the last value. "
HALF = "The way back uses the training part's mean and standard deviation. Whose numbers scale the window?"
OWN = "Scaled by its own mean and standard deviation, every window looks alike: its level is lost."
ORDER = "In the wrong order: scaling divided last, so multiply first, then add the mean."
UNDONE = "These are scaled numbers. Bring them back into megawatts."
RAW = "The network has never seen megawatts. Scale the window first."
PEEKED = "These numbers come from all windows together, and in use the later ones have not come yet."
OTHER = "Print what the network is fed for one window, here and in training: mean and spread."


def _damage(forecasts, model, train, windows):
    """What is wrong with forecasts: the damage, and the mistake that makes the same ones."""
    right, _, _, truth = _in_use(model, train, windows), *_trained()[1:]
    if len(forecasts) == len(right) and np.allclose(forecasts, right, rtol=1e-4):
        return None
    if len(forecasts) != len(right):
        return f"return a forecast for each of the {len(right)} windows; yours are {len(forecasts)}."
    naive = np.sqrt(np.mean((windows[:, -1] - truth) ** 2))
    times = np.sqrt(np.mean((np.array(forecasts) - truth) ** 2)) / naive
    known = ((wrong(model, train, windows), why) for *wrongs, why in MISTAKES for wrong in wrongs)
    why = next((why for theirs, why in known if np.allclose(forecasts, theirs, rtol=1e-4)), DAMAGE + OTHER)
    return why.format(times=f"{times:,.2f}")


MISTAKES = (
    (_as_it_was, DAMAGE + HALF),
    (_by_own, DAMAGE + OWN),
    (_by_train(_standard, lambda x, m, d: (x + m) * d), DAMAGE + ORDER),
    (_by_train(_standard, lambda x, m, d: x), DAMAGE + UNDONE),
    (_by_train(lambda x, m, d: x, lambda x, m, d: x * d + m), DAMAGE + RAW),
    (_of_all, DAMAGE + PEEKED),
)
in_use = Exercise(
    "in_use", _in_use, lambda: [_trained()[:3]], tolerance=None, check=_damage, mistakes=MISTAKES,
    hints=("Print the mean of what the network is fed for a window at night, and for one at noon.",
           "The network knows demand in one scale: that of the training part's mean and standard deviation.",
           "Use train.mean() and train.std() for every window, and for the way back."),
    kind="return a list of forecasts, one for each window, not {type}.",
)  # fmt: skip
