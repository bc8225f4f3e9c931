"""What a seed's stretch of a recorded series may hold: asked of all seeds at once, before anything is trained."""

import re
import warnings
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import rnntips as rt
from rnntips.errors import BadData
from rnntips.tasks import forecast, need_spread, stream
from rnntips.tuning import TUNING_SEEDS
from rnntips.windows import SCALINGS, TARGETS

N = 300
RECIPE = rt.Recipe(past=5, width=4, updates=2, batch_size=4)
NOISE = np.random.default_rng(0).normal(size=(N, 2)).round(2)
DAYS = np.datetime64("2024-01-01") + np.arange(N)


def flat(first: int, last: int, column: int = 0, value: float = -999, slope: float = 0) -> rt.series.Series:
    """Noise that stays the same, or rises steadily, from one step to another."""
    values = NOISE.copy()
    values[first : last + 1, column] = value + slope * np.arange(last + 1 - first)
    return replace(rt.series.from_array(values, name="mine"), times=DAYS)


def unfit(series: rt.series.Series, recipe: rt.Recipe, seed: int) -> bool:
    """Whether to draw what the seed gets fails, or leaves nothing to learn."""
    task = forecast(series)
    try:
        return task.bounds(recipe, seed, task.examples(recipe, seed))[0] == 0
    except BadData:
        return True


@settings(max_examples=150, deadline=None, derandomize=True, database=None)
@given(
    first=st.integers(0, 220), length=st.integers(30, 200), column=st.integers(0, 1),
    value=st.sampled_from([0.0, -999.0, 1 / 3]), slope=st.sampled_from([0, 0, 0.1]), horizon=st.integers(1, 5),
    features=st.sampled_from(["levels", "differences:1", "differences:9"]), target=st.sampled_from(TARGETS),
    input_scaling=st.sampled_from(sorted(SCALINGS)), target_scaling=st.sampled_from(sorted(SCALINGS)),
)  # fmt: skip
def test_those_seeds_are_named_whose_stretch_cannot_be_drawn_or_learned_from(
    first, length, column, value, slope, **choices
):
    """All of them and no other, whatever is read and forecast and however it is scaled."""
    series, recipe = flat(first, min(first + length, N) - 1, column, value, slope), RECIPE.but(**choices)
    wrong = [seed for seed in range(8) if unfit(series, recipe, seed)]
    found = ""
    try:
        need_spread([recipe], forecast(series), range(8))
    except BadData as refused:
        found = " ".join(re.findall(r"seeds? ([\d, and]+) \(\d of 8\)", str(refused)))
    assert set(map(str, wrong)) == set(re.findall(r"\d", found))


@pytest.mark.parametrize(
    ("series", "change", "words"),
    [
        (flat(0, 159), {}, "The target is -999 from step 0 to step 159 (2024-01-01 to 2024-06-08): the whole training "
         'part of seeds {}. There input_scaling="standard" would divide by its spread, which is 0. Leave these steps'),
        (flat(240, 299, value=7), {}, "The target is 7 from step 240 to step 299 (2024-08-28 to 2024-10-26): the whole "
         "test part of seeds {}. There the naive forecast makes no error, so nothing is left to learn. Leave these"),
        (flat(0, 159, 1), {}, "Input column 1 is -999 from step 0 to step 159 (2024-01-01 to 2024-06-08): the whole "
         'training part of seeds {}. There input_scaling="standard" would divide by its spread, which is 0. Leave this '
         'input out, or set input_scaling="centre".'),
        (flat(0, 159, slope=0.1), {"features": "differences:2"}, "The target changes by 0.1 in 1 step from step 0 to "
         "step 159 (2024-01-01 to 2024-06-08): the whole training part of seeds {}."),
    ],
    ids=["training part", "test part", "input", "straight line"],
)  # fmt: skip
def test_the_message_has_place_value_seeds_and_a_cure_that_works(series, change, words):
    recipe, seeds = RECIPE.but(**change), range(20)
    with pytest.raises(BadData) as refused:
        need_spread([recipe], forecast(series), seeds)
    said = str(refused.value)
    wrong = [str(seed) for seed in seeds if unfit(series, recipe, seed)]
    named = f"{', '.join(wrong[:-1])} and {wrong[-1]} ({len(wrong)} of 20)"
    assert len(wrong) <= 8 and said.startswith("mine: " + words.format(named))
    if rest := re.search(r"rt\.series\.from_array\(series\.values\[.*\]\)", said):
        need_spread([recipe], forecast(eval(rest[0], {"rt": rt, "series": series})), seeds)
    else:
        need_spread([recipe.but(input_scaling="centre")], forecast(series), seeds)


@pytest.mark.parametrize(
    ("values", "change", "words"),
    [
        (np.where(np.arange(N) % 5 == 0, NOISE[:, 0], 0), {"input_scaling": "robust"},
         'Most values of the target are equal in the training part.*2 more.*Set input_scaling="standard"'),
        (np.tile(NOISE[:12, 0], N // 12), {"horizon": 12}, "The target is what it was 12 steps before from "
         "step 0 to step 299.*naive forecast makes no error.*another column or horizon"),
    ],
)  # fmt: skip
def test_what_is_not_constant_but_no_use_is_said_as_it_is(values, change, words):
    with pytest.raises(BadData, match=words):
        need_spread([RECIPE.but(**change)], forecast(rt.series.from_array(values)), range(10))


def test_every_lag_and_no_step_but_those_that_are_scored_are_looked_at():
    """The oldest of nine differences ends eight steps before the newest; a long test part is scored at some steps."""
    task, nine = forecast(flat(0, 159)), RECIPE.but(features="differences:9", target_scaling="none")
    begin = task.series.stretch(stream("data", "mine", 0)).start
    early = flat(begin, begin + 135)
    assert unfit(early, nine, 0) and not unfit(early, nine.but(features="differences:1"), 0)
    with pytest.raises(BadData, match=rf"from step {begin} to step {begin + 135} .*training part of seed 0"):
        need_spread([nine], forecast(early), [0])
    values = np.random.default_rng(0).normal(size=3000)
    task = forecast(rt.series.from_array(values, name="long"))
    example, begin = task.examples(RECIPE, 0), task.series.stretch(stream("data", "long", 0)).start
    scored = begin + example.times[example.scored(2)]
    assert len(scored) < len(example.of(2))
    for step in scored:
        values[step] = values[step - 1]
    with pytest.raises(BadData, match="With horizon=1 the last value is right at every step that is scored"):
        need_spread([RECIPE], forecast(rt.series.from_array(values, name="long")), [0])


@pytest.mark.parametrize(
    "call",
    [
        lambda on: rt.train(RECIPE, on, range(10)),
        lambda on: rt.train(RECIPE.but(width=rt.parameters(500)), on, range(10)),
        lambda on: rt.compare(RECIPE, RECIPE.but(input_scaling="none"), on, range(10)),
        lambda on: rt.compare(RECIPE.but(input_scaling="none"), RECIPE, on, range(10)),
        lambda on: rt.sweep(RECIPE, on, range(10), lr=[0.1]),
    ],
)
def test_nothing_is_trained_unless_all_seeds_can_be(call, monkeypatch):
    for place in ("training", "jobs.execute"):
        monkeypatch.setattr(f"rnntips.{place}.train_jobs", lambda *_, **__: pytest.fail("something was trained"))
    assert not unfit(flat(0, 159), RECIPE, 0)
    with pytest.raises(BadData, match="from step 0 to step 159"):
        call(flat(0, 159))


def test_tuning_seeds_are_asked_about_their_validation_part_too():
    """Where the naive forecast is right there, no value of a field could be chosen; scores are not read there."""
    series, seeds = flat(150, 229), range(4)
    need_spread([RECIPE], forecast(series), seeds)
    with pytest.raises(BadData, match=r"whole validation part of seeds 100\d\d.* of 14\)"):
        rt.compare(RECIPE, RECIPE.but(clip_norm=1), series, seeds, tune={"lr": [0.1, 0.2]})
    with pytest.raises(BadData, match="whole validation part"):
        need_spread([RECIPE], forecast(series), seeds, TUNING_SEEDS)


def test_a_simulators_draw_is_refused_when_it_is_trained_on_and_not_drawn_before():
    """In words, without a warning of NumPy's."""
    drawn = []
    values = np.where(np.arange(N)[:, None] < 200, NOISE[:, :1], 1)
    series = rt.series.Series("sim", "m", values, simulator=lambda rng: drawn.append(1) or values)
    need_spread([RECIPE], forecast(series), range(100))
    assert not drawn
    with (
        warnings.catch_warnings(),
        pytest.raises(BadData, match="no error in the test part of seed 3"),
    ):
        warnings.simplefilter("error")
        rt.train(RECIPE, series, [3])
