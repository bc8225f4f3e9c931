"""What to begin with on a series: a few rules, each of which was tried on made-up series in the tests."""

from rnntips.doctor.series_checks import drift, extremes
from rnntips.recipe import FIELDS, Recipe
from rnntips.series import Series
from rnntips.tasks import Forecast, forecast
from rnntips.windows import HISTORY, difference_lags

__all__ = ["first_recipe", "longest_window"]

SEASON = 16, 200  # steps of a window: at least so many, and no season longer than this
ROBUST = 50  # interquartile ranges from the median to the farthest value


def first_recipe(series: Series) -> tuple[Recipe, list[str]]:
    """A recipe to begin with, and a reason for each choice.

    1. Changes where the level shifts between the training and the test part, or the series is trending; else levels.
    2. A window of one season, or as many as 16 steps need; the default where no season is known or it is longer than
       200 steps. Never longer than the series allows.
    3. A clipped gradient where a few values lie more than 5 interquartile ranges from the median, and robust scaling
       beside it where one lies more than 50 away: there clipping alone was not enough.
    """
    task, chosen, why = forecast(series), {}, []
    changes = series.trending or drift(series) is not None
    if changes:
        chosen |= {"features": "differences:1", "target": "change"}
    why.append("changes, since the level shifts" if changes else "levels, since the level stays where it was")

    past, season = FIELDS["past"], series.period or 0
    reason = f"a window of {past} steps, the usual one, since no season of up to {SEASON[1]} steps is known"
    if 1 < season <= SEASON[1]:
        seasons = -(-SEASON[0] // season)
        past = seasons * season
        reason = f"a window of {past} steps: {'one season' if seasons == 1 else f'{seasons} seasons'}"
    examples = task.examples(Recipe(past=1, input_scaling="none", target_scaling="none", **chosen), 0)
    longest = longest_window(task, Recipe(**chosen))
    if longest < past:
        past, reason = longest, f"a window of {longest} steps, the most that this short series allows"
    chosen["past"] = past
    why.append(reason)

    _, far = extremes(series)
    if far > ROBUST:
        chosen |= {"input_scaling": "robust", "target_scaling": "robust"}
    if far:
        chosen |= {"clip_norm": 1.0}
    scaling = "robust scaling and a clipped gradient" if far > ROBUST else "standard scaling and a clipped gradient"
    far_off = f"{scaling}, since a value lies {far:.0f} interquartile ranges from the median"
    why.append(far_off if far else "standard scaling, since no value is extreme")

    if (windows := len(examples.of(0))) < FIELDS["batch_size"]:
        chosen["batch_size"] = windows
        why.append(f"batches of {windows} windows, which are all")
    return Recipe(**chosen), why


def longest_window(task: Forecast, recipe: Recipe) -> int:
    """The largest `past` for which there are values before the first target; below 1 if there is none."""
    lags = difference_lags(task.choices(recipe)["features"])
    return int(len(task.values(0)) * HISTORY) - recipe.horizon + 1 - lags
