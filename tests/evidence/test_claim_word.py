"""The word on a claim, from its settings' verdicts; and a setting's verdict, from all seeds and each part."""

import numpy as np
import pytest

from evidence.claim_word import CLAIMED, setting_verdict, word
from rnntips.verdict import find

LEVELS = {"name": "size", "a": "small", "b": "small", "c": "large", "d": "large"}


def settings(verdicts):
    return dict(zip("abcdefgh", verdicts.split(), strict=False))


@pytest.mark.parametrize(
    ("expected", "claimed", "verdicts"),
    [
        ("SUPPORTED", "BETTER", "BETTER BETTER"),
        ("SUPPORTED", "WORSE", "WORSE"),
        ("PARTLY: better in 1 of 3, never worse", "BETTER", "BETTER SAME SAME"),
        ("PARTLY: better in 2 of 3, 1 undecided", "BETTER", "BETTER BETTER UNCLEAR"),
        ("PARTLY: higher in 1 of 2, never lower", "HIGHER", "WORSE SAME"),
        ("NO DIFFERENCE", "WORSE", "SAME SAME SAME"),
        ("NO DIFFERENCE, 1 of 4 undecided", "WORSE", "SAME SAME SAME UNCLEAR"),
        ("NEVER BETTER: worse in 1 of 2", "BETTER", "SAME WORSE"),
        ("NEVER WORSE: better in 2 of 3, 1 undecided", "WORSE", "BETTER BETTER UNCLEAR"),
        ("CONTRADICTED", "BETTER", "WORSE WORSE"),
        ("CONTRADICTED", "LOWER", "WORSE"),
        ("MIXED: better in 1, worse in 1 of 2", "BETTER", "BETTER WORSE"),
        ("UNDECIDED", "BETTER", "BETTER UNCLEAR"),
        ("UNDECIDED", "BETTER", "UNCLEAR"),
        ("NOT TESTED", "BETTER", ""),
        ("SUPPORTED", "NO WORSE", "SAME BETTER NO WORSE".replace("NO WORSE", "NO_WORSE")),
        ("CONTRADICTED", "NO WORSE", "WORSE WORSE"),
        ("MIXED: no worse in 1, worse in 1 of 2", "NO WORSE", "SAME WORSE"),
    ],
)
def test_the_word_follows_the_table_of_the_rule(expected, claimed, verdicts):
    found = {name: verdict.replace("_", " ") for name, verdict in settings(verdicts).items()}
    assert word(claimed, found) == expected


@pytest.mark.parametrize(
    ("expected", "verdicts"),
    [
        ("DEPENDS ON size", "BETTER BETTER WORSE WORSE"),
        ("DEPENDS ON size", "BETTER SAME SAME WORSE"),
        ("MIXED: better in 2, worse in 2 of 4", "BETTER WORSE BETTER WORSE"),
        ("PARTLY: better in 2 of 4, never worse", "BETTER BETTER SAME SAME"),
        ("SUPPORTED", "BETTER BETTER BETTER BETTER"),
    ],
)
def test_a_claim_depends_on_a_condition_that_separates_better_from_worse(expected, verdicts):
    assert word("BETTER", settings(verdicts), LEVELS) == expected


def test_how_a_source_speaks_decides_what_can_be_said_of_it():
    both = {"a": "BETTER", "b": "WORSE"}
    assert word("BETTER", both, modality="can", named="a") == "SUPPORTED"
    assert word("WORSE", both, modality="can", named="a") == "NEVER WORSE: better in 1 of 1"
    assert word("BETTER", {"b": "WORSE"}, modality="can", named="a") == "NOT TESTED"
    for modality, said in (("always", "CONTRADICTED"), ("suggests", "NEVER BETTER: worse in 2 of 2")):
        assert word("BETTER", dict.fromkeys("ab", "WORSE"), modality=modality) == said


def test_a_claim_and_its_mirror_get_the_same_kind_of_word():
    rng, opposite = np.random.default_rng(0), {"BETTER": "WORSE", "WORSE": "BETTER"}
    for _ in range(200):
        verdicts = dict(enumerate(rng.choice(["BETTER", "WORSE", "SAME", "UNCLEAR"], rng.integers(1, 7))))
        turned = {name: opposite.get(verdict, verdict) for name, verdict in verdicts.items()}
        mirrored = word("WORSE", turned).lower()
        for old, new in (("better", "#"), ("worse", "better"), ("#", "worse")):
            mirrored = mirrored.replace(old, new)
        assert word("BETTER", verdicts).lower() == mirrored


def verdict(*medians, spread=0.02, claimed="BETTER", n=100):
    """Of two parts with these typical log ratios."""
    rng = np.random.default_rng(0)
    d = [median + spread * rng.standard_normal(n) for median in medians]
    return setting_verdict(claimed, find(np.array(d), True), [find(part, True) for part in d])


def test_a_setting_needs_each_part_to_show_what_all_seeds_show():
    assert [verdict(-0.1, -0.1), verdict(0.1, 0.1), verdict(0.0, 0.01)] == ["BETTER", "WORSE", "SAME"]
    assert verdict(-0.16, -0.03) == "UNCLEAR"  # the interval leaves out 0, and one part shows too little
    assert verdict(0.08, -0.06) == "UNCLEAR"  # within the smallest together, and not alone
    assert verdict(0.0, 0.0, spread=0.5) == "UNCLEAR"


def test_no_worse_needs_an_interval_that_ends_below_the_smallest_difference():
    loose = {"spread": 0.12, "n": 40}
    assert [verdict(-0.03, -0.03, claimed=claimed, **loose) for claimed in ("NO WORSE", "BETTER")] == [
        "NO WORSE", "UNCLEAR"]  # fmt: skip
    assert verdict(0.04, 0.04, claimed="NO WORSE", **loose) == "UNCLEAR"
    few = find(np.array([0.001, -0.001]), True)
    assert setting_verdict("NO WORSE", few, [few]) == "UNCLEAR"
    failing = find(np.zeros(20), True, failed=np.repeat([1, 0], [2, 18]))
    assert setting_verdict("NO WORSE", failing, [failing]) == "UNCLEAR"


def test_every_claim_has_a_mirror():
    assert {CLAIMED[name][1:] for name in ("BETTER", "WORSE")} == {("better", "worse"), ("worse", "better")}
