"""Arms of a record: what is stored of them, and that each is found again and no other."""

import json

import numpy as np
import pytest
from making import runs_of, scores

import rnntips as rt
from evidence.arms import UNPICKED, Arm, described, grid, grouped, kept, pick_of, same
from evidence.plans import Plan
from rnntips.loader import sized
from rnntips.notebook.tips import UNTUNED, Tip
from rnntips.tuning import Pick

BASE = rt.Recipe(past=8, width=4, updates=30)
ARMS = [
    Arm(BASE), Arm(BASE.but(width=8)), Arm(BASE.but(dense=(8, 4))), Arm(BASE.but(budget=rt.epochs(2))),
    Arm(BASE.but(batch_size=8, budget=rt.epochs(2))), Arm(BASE, UNTUNED), Arm(BASE.but(lr=0.1), UNTUNED),
    Arm(BASE, "lr", (0.1, 0.01)), Arm(BASE, "clip_norm", (None, 1.0)), Arm(BASE.but(cell="tanh", features="levels")),
    Arm(BASE, times=2.0), Arm(BASE.but(width=rt.parameters(90))), Arm(BASE.but(width=rt.parameters(60))),
]  # fmt: skip


@pytest.fixture(scope="module")
def picks():
    return {arm: Pick({arm.tuned: arm.choices[0] if arm.choices else 0.032}, 0.5) if arm.tuned != UNTUNED else UNPICKED
            for arm in ARMS}  # fmt: skip


@pytest.fixture(scope="module")
def entries(picks):
    """As a record's file has them. Of trained networks a width in parameters has become one in units."""
    names, task = described(ARMS, BASE), rt.tasks.forecast(rt.series.sines())
    some, spikes = scores([0.1, np.nan, 0.123456789]), {"spikes": np.array([1.0, np.inf, 2.0])}
    found = [kept(arm, names, runs_of(sized(arm.recipe, task), some), picks[arm], spikes) for arm in ARMS]
    return json.loads(json.dumps(found))


def test_every_arm_finds_its_own_entry_and_no_other(entries, picks):
    for arm, entry in zip(ARMS, entries, strict=True):
        assert [other for other in entries if same(other, arm, BASE)] == [entry]
        assert pick_of(entry, arm).values == picks[arm].values


def test_an_arm_that_was_never_trained_finds_nothing(entries):
    strangers = [Arm(BASE.but(width=16)), Arm(BASE.but(horizon=2)), Arm(BASE.but(lr=0.3), UNTUNED),
                 Arm(BASE, "lr", (0.1,)), Arm(BASE.but(width=8), UNTUNED), Arm(BASE, times=3.0)]  # fmt: skip
    assert not [entry for arm in strangers for entry in entries if same(entry, arm, BASE)]


def test_a_tuned_field_is_no_part_of_what_an_arm_is():
    assert Arm(BASE.but(lr=0.5)) == Arm(BASE) != Arm(BASE.but(lr=0.5), UNTUNED)
    assert Arm(BASE.but(clip_norm=3.0), "clip_norm", (1.0,)) == Arm(BASE, "clip_norm", (1.0,))


def test_an_entry_names_what_differs_from_the_plans_recipe_and_nothing_else(entries):
    assert described(ARMS, BASE) == ["cell", "width", "dense", "features", "batch_size", "lr", "updates", "budget"]
    assert (entries[4]["budget"], entries[2]["dense"]) == ("2 epochs", [8, 4])
    assert (entries[7]["tuned"], entries[10]["times"]) == ({"lr": [0.1, 0.01]}, 2)
    assert entries[11]["width"] == "90 parameters" and isinstance(entries[11]["units"], int)
    assert entries[0]["test_score"] == [0.1, None, 0.123457] and entries[0]["readings"] == {"spikes": [1, None, 2]}


def test_what_is_tuned_alike_is_tuned_together_over_one_grid():
    arms = [Arm(BASE), Arm(BASE.but(optimizer="sgd")), Arm(BASE, UNTUNED), Arm(BASE, "lr", (0.1, 0.01))]
    groups = list(grouped(arms).values())
    assert [len(group) for group in groups] == [2, 1, 1]
    half = rt.tuning.half_decades(-4, 0)
    assert [grid(group) for group in groups] == [{"lr": half}, {}, {"lr": [0.1, 0.01]}]


def test_where_nothing_is_stored_there_is_no_pick():
    plan = Plan(Tip("scaling"))
    with pytest.raises(rt.errors.BadArgument, match=r"No lr is stored for demand, width 8\. Use --retune"):
        plan.pick("demand", Arm(plan.base.but(width=8)))
