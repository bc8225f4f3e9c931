"""Sides of a record: what is stored of them, and that each is found again and no other."""

import json

import numpy as np
import pytest

import rnntips as rt
from rnntips.feed import sized
from rnntips.sides import UNPICKED, UNTUNED, Side, described, grid, grouped, kept, pick_of, restored, same
from rnntips.tips import Tip
from rnntips.tuning import Pick

BASE = rt.Recipe(past=8, width=4, updates=30)
SIDES = [
    Side(BASE), Side(BASE.but(width=8)), Side(BASE.but(dense=(8, 4))), Side(BASE.but(budget=rt.epochs(2))),
    Side(BASE.but(batch_size=8, budget=rt.epochs(2))), Side(BASE, UNTUNED), Side(BASE.but(lr=0.1), UNTUNED),
    Side(BASE, "lr", (0.1, 0.01)), Side(BASE, "clip_norm", (None, 1.0)), Side(BASE.but(cell="tanh", features="levels")),
    Side(BASE, times=2.0), Side(BASE.but(width=rt.parameters(90))), Side(BASE.but(width=rt.parameters(60))),
]  # fmt: skip


def runs(recipe, n=3):
    """Of trained networks: a width in parameters has become one in units."""
    recipe = sized(recipe, rt.tasks.forecast(rt.series.sines()))
    return restored(recipe, {"test_score": [0.1, None, 0.123456789], "trivial": [1.0] * n, "floor": [0.0] * n})


def stored(sides=SIDES):
    names = described(sides, BASE)
    picks = {side: Pick({side.tuned: side.choices[0] if side.choices else 0.032}, 0.5) if side.tuned != UNTUNED
             else UNPICKED for side in sides}  # fmt: skip
    entries = [kept(side, names, runs(side.recipe), picks[side], {"spikes": [1.0, np.inf, 2.0]}) for side in sides]
    return json.loads(json.dumps(entries)), picks


def test_every_side_finds_its_own_entry_and_no_other():
    entries, picks = stored()
    for side, entry in zip(SIDES, entries, strict=True):
        assert [other for other in entries if same(other, side, BASE, SIDES)] == [entry]
        assert pick_of(entry, side).values == picks[side].values


def test_a_side_that_was_never_trained_finds_nothing():
    entries, _ = stored()
    strangers = [Side(BASE.but(width=16)), Side(BASE.but(horizon=2)), Side(BASE.but(lr=0.3), UNTUNED),
                 Side(BASE, "lr", (0.1,)), Side(BASE.but(width=8), UNTUNED)]  # fmt: skip
    assert not [entry for side in strangers for entry in entries if same(entry, side, BASE, [*SIDES, *strangers])]


def test_a_tuned_field_is_no_part_of_what_a_side_is():
    assert Side(BASE.but(lr=0.5)) == Side(BASE) != Side(BASE.but(lr=0.5), UNTUNED)
    assert Side(BASE.but(clip_norm=3.0), "clip_norm", (1.0,)) == Side(BASE, "clip_norm", (1.0,))


def test_an_entry_names_what_differs_from_the_plans_recipe_and_nothing_else():
    assert described(SIDES, BASE) == ["cell", "width", "dense", "features", "batch_size", "lr", "updates", "budget"]
    entries, _ = stored()
    assert (
        entries[4]["budget"] == "2 epochs"
        and entries[2]["dense"] == [8, 4]
        and entries[7]["tuned"] == {"lr": [0.1, 0.01]}
    )
    assert entries[0]["test_score"] == [0.1, None, 0.123457] and entries[0]["readings"] == {"spikes": [1, None, 2]}


def test_restored_runs_are_what_was_kept_and_parts_follow_each_other():
    entries, _ = stored()
    found = restored(BASE, entries[0], entries[1])
    np.testing.assert_allclose(found.test_score, [0.1, np.nan, 0.123457] * 2)
    np.testing.assert_allclose(found.readings["spikes"], [1, np.nan, 2] * 2)
    np.testing.assert_allclose(found.only([2, 3]).readings["spikes"], [2, 1])


def test_what_is_tuned_alike_is_tuned_together_over_one_grid():
    sides = [Side(BASE), Side(BASE.but(optimizer="sgd")), Side(BASE, UNTUNED), Side(BASE, "lr", (0.1, 0.01))]
    groups = list(grouped(sides).values())
    assert [len(group) for group in groups] == [2, 1, 1]
    half = rt.tuning.half_decades(-4, 0)
    assert [grid(group) for group in groups] == [{"lr": half}, {}, {"lr": [0.1, 0.01]}]


def test_the_scaling_record_is_read_as_it_was_written():
    """Its entries name two fields only. Every entry is one side's, every side has one entry, in the plan's order."""
    tip = Tip("scaling")
    for number, part in enumerate(tip.record["parts"]):
        for setting, sides in tip.sides().items():
            assert [tip.stored(setting, side, number) for side in sides] == part["settings"][setting]
            for side in sides:
                assert tip.pick(setting, side.recipe.but(lr=0.7), number) == tip.pick(setting, side, number)
    with pytest.raises(rt.errors.BadArgument, match=r"No lr is stored for demand, width 8\. Use --retune"):
        tip.pick("demand", tip.base.but(width=8))
