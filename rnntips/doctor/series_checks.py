"""What to know of a series before anything is trained on it: easy forecasts and their errors, and warnings."""

from collections.abc import Mapping

import numpy as np

from rnntips.recipe import Recipe
from rnntips.series import Series
from rnntips.tables import Doubt
from rnntips.tasks import forecast
from rnntips.tasks.forecasts import linear_error
from rnntips.windows import TRAIN, VALID

__all__ = ["FAR", "NOWHERE", "SEEDS", "drift", "easy_errors", "extremes", "place", "seeds_for", "stretches", "warnings"]

SEEDS, LONG = 10, 100_000  # seeds that errors are medians of; a longer series is too slow for more than one
BETTER = 0.98  # below this share of the naive error a forecast is better than naive
OUTSIDE = 0.1  # share of the test part that lies outside the training part's range where the level shifts
FAR, FEW = 5.0, 0.01  # interquartile ranges from the median beyond which a value is extreme, and share of them at most
NOWHERE = np.array([], int)
STUCK, SHORTEST = 0.05, 8  # share of a series, and steps, from which on a constant stretch is one


def easy_errors(series: Series) -> dict[str, float]:
    """Test errors of forecasts that need no network, in the series' unit: medians over seeds 0 to 9, or of seed 0
    where a series is long.

    Split and scored windows are those of `rnntips.tasks.forecast`, so that these are the errors that its runs are
    compared with. "naive": the last value. "seasonal naive": the value of a season before, if a period is known.
    "linear": a ridge regression on two seasons of values.
    """
    found = [_errors(series, seed) for seed in seeds_for(series)]
    return {name: float(np.median([errors[name] for errors in found])) for name in found[0]}


def seeds_for(series: Series) -> range:
    """Seeds over which errors are medians."""
    return range(SEEDS if len(series) <= LONG else 1)


def _errors(series: Series, seed: int) -> dict[str, float]:
    task, plain = forecast(series), {"input_scaling": "none", "target_scaling": "none", "features": "levels"}
    values, examples = task.values(seed)[:, 0], task.examples(Recipe(past=1, target="level", **plain), seed)
    times = examples.times[examples.scored(2)]

    def repeated(steps: int) -> float:
        return float(np.sqrt(np.mean((values[times] - values[times - steps]) ** 2)))

    found, period = {"naive": repeated(1)}, series.period or 0
    if 1 < period <= times[0]:
        found["seasonal naive"] = repeated(period)
    return found | {"linear": linear_error(values, examples, min(2 * (period or 16), int(examples.times[0])), 1)}


def warnings(series: Series, errors: Mapping[str, float]) -> list[Doubt]:
    """What may surprise in a series that can be trained on as it is.

    Args:
        errors: As from `easy_errors`.
    """
    values = series.values[:, 0]
    found = [_counting(values), _constant(series, values), _extremes(series), drift(series), _naive(errors)]
    return [one for one in found if one]


def _naive(errors: Mapping[str, float]) -> Doubt | None:
    naive = errors["naive"]
    others = {name: error / naive for name, error in errors.items() if name != "naive" and naive}
    if not others or min(others.values()) < BETTER:
        return None
    listed = " and ".join(f"a {name} forecast has {share:.2f} of its error" for name, share in others.items())
    return Doubt(
        f"Nothing easy beats naive, which repeats the last value: {listed}.",
        "A network will hardly do better, unless inputs help it.",
        NOWHERE,
    )


def _counting(values: np.ndarray) -> Doubt | None:
    steps = np.diff(values)
    if np.ptp(steps) > 1e-9 * np.abs(steps).max():
        return None
    return Doubt(
        f"The target only counts: every value is {steps[0]:+g} from the one before.",
        "Name another column with target=.",
        np.arange(len(values)),
    )


def _constant(series: Series, values: np.ndarray) -> Doubt | None:
    ends = np.flatnonzero(np.diff(values, append=np.nan) != 0)  # last step of each stretch
    lengths = np.diff(ends, prepend=-1)
    length, last = int(lengths.max()), int(ends[lengths.argmax()])
    if length < max(SHORTEST, STUCK * len(values)):
        return None
    first = last - length + 1
    return Doubt(
        f"{length} values in a row, from {place(series, first)} to {place(series, last)}, are all {values[last]:g}.",
        "If a sensor was stuck there, cut the table to the longer side of them.",
        np.arange(first, last + 1),
    )


def extremes(series: Series) -> tuple[np.ndarray, float]:
    """Steps of values far from all others, and how many interquartile ranges the farthest lies from the median.

    Where the level shifts changes are looked at, which are then read in place of levels. Where many are far, as rain
    is on a few days, none is extreme.
    """
    values = series.values[:, 0]
    seen = np.diff(values, prepend=values[0]) if _changes(series) else values
    quarter, middle, other = np.percentile(seen, [25, 50, 75])
    if other - quarter <= 1e-12 * np.abs(seen).max():  # most are equal, and nothing tells what is far
        return NOWHERE, 0.0
    distance = np.abs(seen - middle) / (other - quarter)
    rows = np.flatnonzero(distance > FAR)
    if not 0 < len(rows) <= FEW * len(values):
        return NOWHERE, 0.0
    return rows, float(distance.max())


def _extremes(series: Series) -> Doubt | None:
    (rows, far), values, changes = extremes(series), series.values[:, 0], _changes(series)
    if not len(rows):
        return None
    seen = np.diff(values, prepend=values[0]) if changes else values
    most = rows[np.abs(seen[rows] - np.median(seen)).argmax()]
    largest = f"{seen[most]:+g}" if changes else f"{seen[most]:g}"
    what = ("change" if changes else "value") + ("s lie" if len(rows) > 1 else " lies")
    return Doubt(
        f"{len(rows):,} {what} more than {FAR:g} interquartile ranges from the median: the farthest, {largest} at "
        f"{place(series, most)}, lies {far:.0f} away.",
        "Take out those that are errors of measurement; missing=[...] names them.",
        rows,
    )


def _changes(series: Series) -> bool:
    return series.trending or drift(series) is not None


def drift(series: Series) -> Doubt | None:
    """A level that shifts between the training part and the test part of the whole record."""
    values = series.values[:, 0]
    trained, tested = values[: int(TRAIN * len(values))], values[int(VALID * len(values)) :]
    low, high = np.percentile(trained, [1, 99])
    above, below = np.mean(tested > high), np.mean(tested < low)
    if max(above, below) <= OUTSIDE:
        return None
    share, where = max((above, "above"), (below, "below"))
    do = "Changes are read and forecast" if series.trending else "Forecast changes (trending=True does)"
    return Doubt(
        f"The level shifts: {100 * share:.0f} % of the test part (the last fifth) lies {where} 99 % of the training "
        "part (the first three fifths).",
        f"{do} in place of levels.",
        np.arange(int(VALID * len(values)), len(values)),
    )


def place(series: Series, step: int) -> str:
    """A step in words: its time if times are known, else its number."""
    return f"step {step:,}" if series.times is None else written(series.times[step])


def written(time: np.datetime64) -> str:
    """A time as people write it: without what is zero."""
    text = str(time.astype("datetime64[s]")).replace("T", " ")
    return text.removesuffix(" 00:00:00").removesuffix(":00")


def stretches(rows: np.ndarray) -> list[tuple[int, int]]:
    """First and last of each stretch of consecutive rows."""
    parts = np.split(rows, np.flatnonzero(np.diff(rows) > 1) + 1)
    return [(int(part[0]), int(part[-1])) for part in parts if len(part)]
