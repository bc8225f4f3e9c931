"""A series cut into several, so that a comparison is repeated where nothing was tested before."""

from dataclasses import replace

from rnntips.errors import BadData, need, need_whole
from rnntips.series import SHORTEST, Series
from rnntips.tasks.forecasts import Forecast, forecast

__all__ = ["origins"]

TESTED = 0.36  # of a part, from its end: where the test parts of all seeds lie, see `Series.stretch`


def origins(series: Series, count: int = 5) -> dict[str, Forecast]:
    """Name → task: stretches of a recorded series, one after the other, whose test parts do not overlap.

    Seeds on one split differ in the networks' start and in the order of the data, and share what happened to be in its
    test part. How sure a comparison is on a series, only several such parts can say ("rolling origins").

    Args:
        count: How many; of five, each has 41 % of the series.

    Raises:
        BadData: The series is simulated, so that every seed has a test part of its own, or too short.
    """
    need("series", series, Series, "a series, such as rt.series.co2(),")
    count = need_whole("count", count, 2, 100)
    if series.simulator is not None:
        raise BadData(f"{series.name} is simulated: every seed draws it anew. Rolling origins are for recorded series.")
    length = int(len(series) / (1 + TESTED * (count - 1)))
    if length < 2 * SHORTEST:
        raise BadData(
            f"{series.name} has {len(series)} steps, and {count} origins leave {length} for each. "
            f"{2 * SHORTEST} are needed: take fewer origins."
        )
    begins = [round(k * (len(series) - length) / (count - 1)) for k in range(count)]
    found = {}
    for k, first in enumerate(begins, 1):
        some, name = slice(first, first + length), f"{series.name}, origin {k}"
        times = None if series.times is None else series.times[some]
        found[name] = forecast(replace(series, name=name, values=series.values[some], times=times))
    return found
