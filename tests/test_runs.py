"""Records: which seeds they may have, a run that failed, and how long they were in words."""

import numpy as np
import pytest

import rnntips as rt
from rnntips.errors import BadArgument
from rnntips.runs import check_seeds, failed_run, length_in_words

SINES = rt.tasks.forecast(rt.series.sines(600))


@pytest.mark.parametrize(
    ("seeds", "words"),
    [([], "seeds is empty"), ([1, 1], "seed 1 appears 2 times"), ([-1], "seed -1"), ([0.5], "seed 0.5"),
     ([True], "seed True"), ([2**63], "below"), (5, r"range\(10\)")],
    ids=str,
)  # fmt: skip
def test_seeds_are_different_whole_numbers_of_at_least_0(seeds, words):
    with pytest.raises(BadArgument, match=words):
        check_seeds(seeds)
    assert [3, 0] == check_seeds(iter([np.int64(3), 0]))


def test_a_run_that_failed_for_want_of_a_calibration_has_a_record():
    recipe = rt.Recipe(width=7, budget=rt.seconds(1))
    record = failed_run(recipe, SINES, 3, "why")
    assert record.recipes == (recipe,) and record.updates == 1 and record.failures == ("why",)
    assert record.naive[0] == SINES.bounds(recipe, 3)[0]


def test_lengths_are_told_as_they_were_asked_for_and_as_they_came_out():
    def told(*amounts, **fields):
        records = [failed_run(rt.Recipe(updates=amount), SINES, 0, "") for amount in amounts]
        for record in records:
            record.recipes = (rt.Recipe(**fields),)
        return length_in_words(*records)

    assert told(10, 5, budget=rt.seconds(0.01)) == "10 and 5 updates (0.01 seconds on this engine)"
    assert told(4, 4, updates=4) == "4 updates"
    assert told(4, 2, budget=rt.epochs(1)) == "4 and 2 updates (1 epochs)"
