"""The rule on made-up runs whose truth is known, and the page that shows its table."""

import re
from pathlib import Path

import numpy as np
import pytest

import rnntips
from evidence.simulation import FIELD, KINDS, TRUTHS, VARIANT, World, kind, row, simulate
from rnntips.recipe import Recipe

PAGE = (Path(rnntips.__file__).parents[1] / "docs" / "rule.md").read_text(encoding="utf-8")
WEAK = {"no difference: four, 10 % of both fail, × 5": 60, "twice the smallest: four, 10 % of both fail, × 2": 60}
AGREES = 6  # truths of which a few records are drawn again: number in TRUTHS
CELLS = len(KINDS) + 2  # the words, wrong and right


@pytest.fixture(scope="module")
def stored():
    """Truth → its cells on the page, without the seeds."""
    lines = PAGE.split("<!-- evidence simulate -->")[1].split("<!-- end of evidence simulate -->")[0].splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("| ")]
    return {first: rest for first, _, *rest in cells if first not in ("what is true", "---")}


def numbers(cells):
    return np.array([float(cell or "nan") for cell in cells[:CELLS]])


def test_the_pages_table_has_every_truth_and_keeps_what_the_rule_promises(stored):
    """A wrong word in at most 5 %; the right one in 80 %, or as WEAK says."""
    assert list(stored) == [truth.says for truth in TRUTHS]
    for truth in TRUTHS:
        *words, wrong, right = numbers(stored[truth.says])
        assert wrong <= 5, truth.says
        assert not truth.right or right >= WEAK.get(truth.says, 80), truth.says
        assert sum(words) == pytest.approx(100, abs=5)


def simulated(number, rounds):
    (again,) = simulate(rounds, truths={number: TRUTHS[number]}, say=lambda line: None)
    says, _, *cells = row(again).strip("| ").split(" | ")
    assert says == TRUTHS[number].says
    return numbers(cells)


def test_a_few_rounds_agree_with_a_line_of_the_page(stored):
    """Within three and a half standard errors of forty records."""
    share = numbers(stored[TRUTHS[AGREES].says])
    error = np.abs(simulated(AGREES, 40) - share)
    assert np.nanmax(error / (3.5 * np.sqrt(np.maximum(share * (100 - share), 100) / 40))) < 1


@pytest.mark.slow
@pytest.mark.parametrize("number", [0, 17, 26])
def test_a_line_of_the_page_comes_again(stored, number):
    """To the digit, where numpy draws the same numbers."""
    rounds = int(re.search(r"In % of (\d+) records", PAGE)[1])
    np.testing.assert_allclose(simulated(number, rounds), numbers(stored[TRUTHS[number].says]), atol=3, equal_nan=True)


def test_a_word_is_one_of_the_kinds():
    said = ("PARTLY: better in 1 of 2, never worse", "NO DIFFERENCE, 1 of 4 undecided", "NEVER WORSE: better in 1 of 2",
            "DEPENDS ON x", "SUPPORTED")  # fmt: skip
    assert [kind(word) for word in said] == ["PARTLY", "NO DIFFERENCE", "NEVER BETTER", "DEPENDS ON x", "SUPPORTED"]


def test_the_worlds_errors_follow_their_law():
    truth = next(truth for truth in TRUTHS if "as steep" in truth.says)
    world = World(truth, np.random.default_rng(0))
    common = world.rng.standard_normal(20_000)
    for setting, law in enumerate(truth.laws):
        for variant in (False, True):
            best = 10 ** world.best[int(variant), setting]
            near, low, high = (np.log(world.errors(setting, variant, lr, common)[1])
                               for lr in (best, best / 2, best * 2))  # fmt: skip
            square = np.log10(2) ** 2
            assert np.median(near) == pytest.approx(-law.depth, abs=0.01)
            assert np.median(low) - np.median(near) == pytest.approx(law.curve * square, abs=0.02)
            assert np.median(high) - np.median(near) == pytest.approx(law.above * law.curve * square, abs=0.02)
            assert np.std(near) == pytest.approx(np.hypot(law.shared, law.own), rel=0.05)


def test_a_worlds_failures_are_as_frequent_as_its_truth_says():
    truth = next(truth for truth in TRUTHS if "20 % of the variant diverge" in truth.says)
    world = World(truth, np.random.default_rng(0))
    arms = [Recipe(lr=10 ** world.best[i, 0], **{FIELD: name}) for i, name in enumerate(("standard", VARIANT))]
    mine, theirs = world.train_arms(arms, 0, range(20_000))
    assert np.isfinite(mine.test_score).all()
    assert np.mean(~np.isfinite(theirs.test_score)) == pytest.approx(0.2, abs=0.02)
