"""Records: which seeds they may have, and how long they were in words."""

import numpy as np
import pytest

import rnntips as rt
from rnntips.errors import BadArgument
from rnntips.runs import check_seeds, length_in_words


@pytest.mark.parametrize(
    ("seeds", "words"),
    [([], "at least one is needed"), ([1, 1], "seed 1 appears 2 times"), ([-1], "seed=-1"), ([0.5], "seed=0.5"),
     ([True], "seed=True"), ([2**63], "from 0 to 9,223"), (5, r"range\(10\)")],
    ids=str,
)  # fmt: skip
def test_seeds_are_different_whole_numbers_of_at_least_0(seeds, words):
    with pytest.raises(BadArgument, match=words):
        check_seeds(seeds)
    assert [3, 0] == check_seeds(iter([np.int64(3), 0]))


def test_lengths_are_told_as_they_were_asked_for_and_as_they_came_out():
    def told(*amounts, **fields):
        records = [rt.Runs(recipes=(rt.Recipe(**fields),), reached=amount) for amount in amounts]
        return length_in_words(*records)

    assert told(10, 5, budget=rt.seconds(0.01)) == "10 and 5 updates (0.01 seconds on this engine)"
    assert told(4, 4, updates=4) == "4 updates"
    assert told(4, 2, budget=rt.epochs(1)) == "4 and 2 updates (1 epochs)"
