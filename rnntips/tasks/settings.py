"""The settings of the plans: name → a function that makes the task with the sizes that all plans use."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from rnntips import series, tasks
from rnntips.tasks import Task, adding, characters, digits, forecast, leaky, opposing, recall, recall_stream

__all__ = ["SETTINGS", "VERSIONS"]


def _co2(origin: int) -> Task:
    return tasks.origins(series.co2())[f"CO2, origin {origin}"]


SETTINGS: dict[str, Callable[[], Task]] = {
    "demand": lambda: forecast(series.demand()),
    "demand, spiked": lambda: forecast(series.demand(), spikes=True),
    "CO2": lambda: forecast(series.co2()),
    "CO2, spiked": lambda: forecast(series.co2(), spikes=True),
    "weather": lambda: forecast(series.weather()),
    "sines": lambda: forecast(series.sines()),
    "sines at 100": lambda: forecast(replace(series.sines(offset=100.0), name="sines at 100")),
    "sines as printed": lambda: forecast(series.sines_as_printed()),
    "wave, steady": lambda: forecast(replace(series.wave(), name="wave, steady")),
    "wave, drifting": lambda: forecast(replace(series.wave(drift=1.0), name="wave, drifting")),
    "digits": digits,
    "digits by rows": lambda: digits(rows=True),
    "digits by rows, counted": lambda: digits(rows=True, scored="wrong"),
    "characters": characters,
    "adding 8": lambda: adding(8),
    "adding 10": lambda: adding(10),
    "adding 20": lambda: adding(20),
    "adding 50": lambda: adding(50),
    "padded adding 20": lambda: tasks.padded_adding(20),
    "leaky 20": lambda: leaky(20),
    "recall 8": lambda: recall(8),
    "recall 20": lambda: recall(20),
    "recall 40": lambda: recall(40),
    "recall 200": lambda: recall(200),
    "leaky 1": lambda: leaky(1),
    "leaky 16": lambda: leaky(16),
    "opposing 16": lambda: opposing(16),
    "recall stream 4": lambda: recall_stream(4),
    "recall stream 8": lambda: recall_stream(8),
    **{f"CO2, origin {k}": partial(_co2, k) for k in range(1, 6)},
    "20 related": lambda: tasks.related(20, 200),
    "20 related, longer": lambda: tasks.related(20, 2000),
    "returns": tasks.returns,
    "returns as printed": lambda: tasks.returns(printed=True, lags=128),
    "cue 100": lambda: tasks.cue(100),
    "cue 500": lambda: tasks.cue(500),
    "leaky 500": lambda: leaky(500),
}
# Task's name → its version, where it alone changed and not its kind. 3: a linear forecast is hardly better than naive
# there, and the floor had been set at nine tenths of naive.
VERSIONS = {"sines as printed": 3, "weather": 3}
