"""The record's word, from findings of all parts; and the gap that a condition rests on."""

import numpy as np
import pytest

from evidence.claim_word import Condition, gap, word
from rnntips.verdict import Finding, find

APART = (0.2, 0.4)


def finding(verdict, typical=0.0, interval=(-0.01, 0.01), failing=0.0):
    return Finding(verdict, typical, typical, interval, 0, 20, 20, 20, 0.05, 0.03, failing=failing)


@pytest.mark.parametrize(
    ("expected", "claimed", "overall", "alone", "parts"),
    [
        ("SUPPORTED", "BETTER", "BETTER", "BETTER SAME", (-0.2, -0.1)),
        ("SUPPORTED", "BETTER", "BETTER", "BETTER SAME", (-0.2,)),
        ("UNDECIDED", "BETTER", "BETTER", "BETTER SAME", (-0.2, -0.04)),
        ("UNDECIDED", "BETTER", "BETTER", "BETTER WORSE", (-0.2, -0.1)),
        ("CONTRADICTED", "BETTER", "WORSE", "WORSE UNCLEAR", (0.2, 0.1)),
        ("UNDECIDED", "BETTER", "WORSE", "WORSE UNCLEAR", (0.2, 0.04)),
        ("UNDECIDED", "BETTER", "WORSE", "WORSE BETTER", (0.2, 0.1)),
        ("CONTRADICTED", "WORSE", "BETTER", "BETTER SAME", (-0.2, -0.1)),
        ("NO DIFFERENCE", "WORSE", "SAME", "SAME UNCLEAR", (0.02, -0.03)),
        ("UNDECIDED", "WORSE", "SAME", "SAME UNCLEAR", (-0.02, 0.06)),
        ("UNDECIDED", "WORSE", "UNCLEAR", "SAME UNCLEAR", (0.2, 0.1)),
        ("UNDECIDED", "BETTER", "NOT TRAINED", "", (-0.2, -0.1)),
        ("SUPPORTED", "NO WORSE", "SAME", "SAME BETTER", (0.02, -0.3)),
        ("NO DIFFERENCE", "NO WORSE", "SAME", "SAME WORSE", (0.02, 0.01)),
        ("UNDECIDED", "NO WORSE", "SAME", "SAME SAME", (0.06, 0.01)),
        ("CONTRADICTED", "NO WORSE", "WORSE", "WORSE SAME", (0.1, 0.1)),
        ("UNDECIDED", "NO WORSE", "WORSE", "WORSE BETTER", (0.1, 0.1)),
    ],
)
def test_the_records_word_follows_the_rule(expected, claimed, overall, alone, parts):
    whole = finding(overall, interval=(0.2, 0.3) if overall == "WORSE" else (-0.01, 0.01))
    assert word(claimed, whole, map(finding, alone.split()), [finding("", part) for part in parts]) == expected


@pytest.mark.parametrize(
    ("expected", "claimed", "levels", "gap", "gaps"),
    [
        ("DEPENDS ON size", "WORSE", ("WORSE", "SAME"), APART, (0.2, 0.1)),
        ("DEPENDS ON size", "WORSE", ("SAME", "WORSE"), (-0.4, -0.2), (-0.2, -0.1)),
        ("DEPENDS ON size", "BETTER", ("BETTER", "WORSE"), (-0.4, -0.2), (-0.2, -0.1)),
        ("UNDECIDED", "WORSE", ("WORSE", "SAME"), (-0.1, 0.1), (0.2, 0.1)),
        ("UNDECIDED", "WORSE", ("WORSE", "SAME"), APART, (0.2, 0.04)),  # the gap did not repeat
        ("UNDECIDED", "WORSE", ("WORSE", "WORSE"), APART, (0.2, 0.1)),
        ("UNDECIDED", "WORSE", ("WORSE", "NOT TRAINED"), APART, (0.2, 0.1)),
        ("UNDECIDED", "WORSE", ("SAME", "UNCLEAR"), APART, (0.2, 0.1)),
        ("UNDECIDED", "NO WORSE", ("BETTER", "SAME"), APART, (0.2, 0.1)),
    ],
)
def test_a_claim_depends_on_a_condition_whose_gap_repeats(expected, claimed, levels, gap, gaps):
    condition, parts = Condition("size", tuple(map(finding, levels)), gap, gaps), [finding("", 0.1)] * 2
    assert word(claimed, finding("UNCLEAR", interval=(-0.2, 0.3)), [], parts, condition) == expected


def test_a_claim_and_its_mirror_get_the_same_word():
    rng, seen = np.random.default_rng(0), set()
    for effect in rng.normal(0, 0.1, 60):
        d = effect + 0.05 * rng.normal(size=(2, 20))
        there, back = ([find(sign * d, True), [find(sign * row, True) for row in d]] for sign in (1, -1))
        said = word("WORSE", there[0], there[1], there[1])
        assert said == word("BETTER", back[0], back[1], back[1])
        seen.add(said)
    assert seen == {"SUPPORTED", "CONTRADICTED", "NO DIFFERENCE", "UNDECIDED"}


def test_more_failures_and_too_few_seeds_make_no_variant_no_worse():
    parts = [finding("", 0.0)] * 2
    assert word("NO WORSE", finding("SAME"), [], parts) == "SUPPORTED"
    assert word("NO WORSE", finding("SAME", failing=0.1), [], parts) == "NO DIFFERENCE"
    few = find(np.array([0.001, -0.001]), True)
    assert word("NO WORSE", few, [few], [few]) == "UNDECIDED"


def test_the_gap_between_two_levels_mirrors_and_grows_with_their_spread():
    d = np.random.default_rng(1).normal(size=(3, 20))
    low, high = gap(d[:2], d[2:])
    assert low < np.median(d[:2], 1).mean() - np.median(d[2]) < high
    np.testing.assert_allclose(gap(d[2:], d[:2]), (-high, -low))
    np.testing.assert_allclose(gap(3 * d[:2] + 5, 3 * d[2:]), (3 * low + 5, 3 * high + 5))
