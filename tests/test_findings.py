"""`docs/findings.md` is what the records say."""

from pathlib import Path

import numpy as np
import pytest

import rnntips as rt
from rnntips.findings import lines, page, q_values

DOCS = Path(rt.__file__).parents[1] / "docs"


def test_the_page_is_what_the_records_say():
    assert (DOCS / "findings.md").read_text(encoding="utf-8") == page(rt.tips)


def test_a_changed_record_changes_the_page():
    tip = rt.tips["scaling"]
    before = page({"scaling": tip})
    tip.record["claims"][1]["repeated"] = False
    changed = page({"scaling": tip})
    assert changed != before and "| no |" in changed and "| no |" not in before
    assert "Repeated on fresh seeds: " in changed


def test_every_claim_is_on_the_page_with_its_word_and_interval():
    text = page(rt.tips)
    for tip in rt.tips.values():
        for claim in tip.record["claims"]:
            (line,) = [line for line in text.splitlines() if line.startswith(f"| {tip.plans[claim['id']].says} |")]
            cells = [cell.strip() for cell in line.strip("|").split("|")]
            assert cells[2] == claim["word"].lower() and cells[8] == str(claim["n"])
            assert cells[10] == str(tip.record["version"])


def test_q_values_are_the_rates_of_benjamini_and_hochberg():
    """By their definition: the smallest level at which the step-up procedure rejects a claim."""
    p = np.random.default_rng(0).random(12) ** 3
    q = q_values(p)
    for level in np.linspace(0.001, 0.999, 400):
        ordered = np.sort(p)
        passed = np.flatnonzero(ordered <= level * np.arange(1, 13) / 12)
        rejected = p <= ordered[passed[-1]] if len(passed) else np.zeros(12, dtype=bool)
        np.testing.assert_array_equal(rejected, q <= level)


def test_a_finding_that_did_not_repeat_says_so_everywhere():
    tip = rt.tips["scaling"]
    tip.record["claims"][0] |= {"repeated": False, "first": "SUPPORTED"}
    assert "not repeated (first: SUPPORTED)" in lines(tip.record)[0]
    assert "The first seeds had said: supported." in str(tip.rule()).split("\n\n")[0]
    assert "| no |" in tip.table().splitlines()[2]


@pytest.mark.parametrize("path", ["README.md", "notebooks/01_scaling.ipynb"])
def test_readers_are_led_to_the_page_without_its_answers(path):
    text = (DOCS.parent / path).read_text(encoding="utf-8")
    assert "docs/findings.md" in text
    if path == "README.md":
        for tip in rt.tips.values():
            assert not [claim["word"] for claim in tip.record["claims"] if claim["word"].lower() in text.lower()]
