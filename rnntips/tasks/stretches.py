"""Whether the stretch of a recorded series that each seed gets can be scaled and scored: asked before any training."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from rnntips.errors import BadData
from rnntips.series import SHORTEST, Series
from rnntips.tasks.forecasts import Forecast
from rnntips.tasks.task import Task, stream
from rnntips.windows import SCORED, difference_lags, evenly, fitted, seen, split

__all__ = ["need_spread"]

NAMED = 8  # seeds that a message names
PARTS = ("training", "validation", "test")
SAME = 1e-9  # largest relative distance of numbers that differ by rounding alone


class Place(NamedTuple):
    """Steps of a column, from one to before another: its values there, or its changes in so many steps."""

    column: int
    within: int
    begin: int
    end: int

    def numbers(self, series: Series) -> np.ndarray:
        """The values or changes, (end − begin,)."""
        column = series.values[:, self.column]
        values = column[self.begin : self.end]
        return values - column[self.begin - self.within : self.end - self.within] if self.within else values


class Flaw(NamedTuple):
    """What is wrong in a part of a stretch: what stands there, the part's name, why that is no use, and what to do."""

    says: str
    part: str
    why: str
    do: str


def need_spread(recipes: Sequence, task: Task, seeds: Sequence[int], tuning: Sequence[int] = ()) -> None:
    """Raise `BadData` if some seed's stretch has a part that cannot be scaled, or in which the naive forecast is right.

    Only recorded series are looked at: a simulator takes time, and what it draws is checked when it is trained on.

    Args:
        tuning: Further seeds; their validation part is looked at too.
    """
    if not isinstance(task, Forecast) or task.series.simulator is not None:
        return
    stretches = {seed: task.series.stretch(stream("data", task.series.name, seed)) for seed in (*seeds, *tuning)}
    found: dict[tuple[str, str], tuple[Flaw, list[int]]] = {}  # what in which part → the flaw, and who has it
    in_time = [recipe for recipe in recipes if recipe.split == "time"]  # shuffled parts are looked at when they are cut
    for choices in {tuple(task.choices(recipe).items()): None for recipe in in_time}:
        flaws: dict[tuple[int, bool], list[Flaw]] = {}  # seeds with the same stretch share them
        for seed, stretch in stretches.items():
            key = stretch.start, seed in tuning
            if key not in flaws:
                flaws[key] = list(_flaws(task.series, stretch, (1, 2) if seed in tuning else (2,), **dict(choices)))
            for flaw in flaws[key]:
                _, whose = found.setdefault((flaw.says, flaw.part), (flaw, []))
                whose += [seed] * (seed not in whose)
    if found:
        raise BadData(f"{task.name}: " + " ".join(
            f"{flaw.says} {flaw.part} part of {_named(whose, len(stretches))}. There {flaw.why}. {flaw.do}"
            for flaw, whose in found.values()))  # fmt: skip


def _flaws(
    series: Series, stretch: slice, scored: Sequence[int], *, features: str, input_scaling: str, target_scaling: str,
    target: str, horizon: int, **sizes: Any,
) -> Iterator[Flaw]:  # fmt: skip
    """What is wrong with a stretch."""
    begin, n, lags = stretch.start, stretch.stop - stretch.start, difference_lags(features)
    first, *ends = *(begin + end for end in split(n, features=features, horizon=horizon, **sizes)), stretch.stop
    flat = fitted(input_scaling, seen(series.values[begin : ends[0]], lags))[2]
    for channel in np.flatnonzero(flat).tolist():
        place = Place(channel - max(lags - 1, 0), 0, begin + lags, ends[0])
        if channel < lags:
            place = Place(0, 1, begin + lags - channel, ends[0] - channel)
        yield _unscaled(series, place, "input_scaling", input_scaling)
    place = Place(0, horizon if target == "change" else 0, first, ends[0])
    if fitted(target_scaling, place.numbers(series)[:, None])[2].any():
        yield _unscaled(series, place, "target_scaling", target_scaling)
    for part in scored:
        place = Place(0, horizon, ends[part - 1], ends[part])
        if not evenly(place.numbers(series), SCORED[part]).any():
            why = "the naive forecast makes no error, so nothing is left to learn"
            if run := _run(series, place):
                yield Flaw(_said(series, run), PARTS[part], why, _left_out(series, run))
            else:
                says = f"With horizon={horizon} the last value is right at every step that is scored in the"
                yield Flaw(says, PARTS[part], why, "Forecast another column or horizon, or use a longer record.")


def _unscaled(series: Series, place: Place, field: str, kind: str) -> Flaw:
    """The flaw of a training part that cannot be divided by its spread."""
    why = f'{field}="{kind}" would divide by its spread, which is 0'
    run = _run(series, place)
    if run is None:
        says = f"Most {'changes' if place.within else 'values'} of {_name(place)} are equal in the"
        return Flaw(says, PARTS[0], why, f'Set {field}="standard".')
    if place.column:
        return Flaw(_said(series, run), PARTS[0], why, 'Leave this input out, or set input_scaling="centre".')
    return Flaw(_said(series, run), PARTS[0], why, _left_out(series, run))


def _run(series: Series, place: Place) -> Place | None:
    """The longest run of equal values around a place, or else of equal changes; None if they are not equal there."""
    for run in (place._replace(within=0, begin=place.begin - place.within), place):
        value, whole = run.numbers(series)[0], run._replace(begin=run.within, end=len(series))
        others = run.within + np.flatnonzero(np.abs(whole.numbers(series) - value) > SAME * np.abs(value))
        before, after = others[others < run.begin], others[others >= run.begin]
        end = after[0] if len(after) else len(series)
        if end >= run.end:
            return run._replace(begin=before[-1] + 1 if len(before) else run.within, end=end)
    return None


def _said(series: Series, run: Place) -> str:
    """What stays the same in a run, with its first and last step, and their dates where they are known."""
    first, last, value = run.begin - run.within, run.end - 1, run.numbers(series)[0]
    dates = "" if series.times is None else " ({} to {})".format(
        *np.datetime_as_string(series.times[[first, last]], unit="auto"))  # fmt: skip
    what = f"is {value:g}"
    if run.within:
        steps = f"{run.within} step{'s' * (run.within > 1)}"
        what = f"changes by {value:g} in {steps}" if value else f"is what it was {steps} before"
    return f"{_name(run).capitalize()} {what} from step {first} to step {last}{dates}: the whole"


def _name(place: Place) -> str:
    return f"input column {place.column}" if place.column else "the target"


def _left_out(series: Series, run: Place) -> str:
    """Advice to leave a run out, if enough is left before or after it."""
    before, after = run.begin - run.within, len(series) - run.end
    if max(before, after) < SHORTEST:
        return "Forecast another column or horizon, or use a longer record."
    rest = f":{before}" if before > after else f"{run.end}:"
    return f"Leave these steps out, rt.series.from_array(series.values[{rest}]), or forecast another column."


def _named(seeds: Sequence[int], of: int) -> str:
    """Seeds in words, the first of them if there are many: "seeds 0, 3 and 5 (3 of 10)"."""
    *most, last = [*map(str, seeds[:NAMED]), *[f"{len(seeds) - NAMED} more"] * (len(seeds) > NAMED)]
    return f"seed{'s' * bool(most)} {' and '.join([', '.join(most), last]) if most else last} ({len(seeds)} of {of})"
