"""`docs/findings.md` is what the records say."""

import re
from pathlib import Path

import numpy as np
import pytest

import rnntips as rt
from evidence.findings import lines, page, q_values
from evidence.plans import Plan, plans
from rnntips.notebook.tips import Tip

ROOT = Path(rt.__file__).parents[1]


@pytest.fixture(scope="module")
def text():
    return page(plans())


def test_the_page_is_what_the_records_say(text):
    assert (ROOT / "docs" / "findings.md").read_text(encoding="utf-8") == text


def test_every_claim_is_on_the_page_with_its_word_and_interval(text):
    for tip in rt.tips.values():
        for claim in tip.record["claims"]:
            (line,) = [line for line in text.splitlines() if line.startswith(f"| {tip.plans[claim['id']].says} |")]
            cells = [cell.strip() for cell in line.strip("|").split("|")]
            assert cells[2] == claim["word"].lower() and cells[8] == str(claim["n"])
            assert cells[10] == str(tip.record["version"])


def test_ten_seeds_give_the_live_settings_stored_verdict(text):
    """What a reader sees in a live run should be what the record says, in 95 of 100 cases."""
    shares = re.findall(r"gives its stored verdict in ([\d.]+) % of random sets of ten seeds", text)
    assert len(shares) == len(rt.tips) and min(map(float, shares)) >= 95


def test_a_finding_that_did_not_repeat_says_so_everywhere():
    plan = Plan(Tip("scaling"))
    plan.tip.record["claims"][0] |= {"repeated": False, "first": "SUPPORTED"}
    said = [row.split(" | ")[9] for row in page({"scaling": plan}).splitlines() if " | S" in row]
    assert said == ["no", "yes", "yes", "yes"]
    assert "not repeated (first: SUPPORTED)" in lines(plan.tip.record)[0]
    assert "The first seeds had said: supported." in str(plan.tip.rule()).split("\n\n")[0]
    assert "| no |" in plan.tip.table().splitlines()[2]


def test_q_values_are_the_rates_of_benjamini_and_hochberg():
    """By their definition: the smallest level at which the step-up procedure rejects a claim."""
    p = np.random.default_rng(0).random(12) ** 3
    q = q_values(p)
    for level in np.linspace(0.001, 0.999, 400):
        ordered = np.sort(p)
        passed = np.flatnonzero(ordered <= level * np.arange(1, 13) / 12)
        rejected = p <= ordered[passed[-1]] if len(passed) else np.zeros(12, dtype=bool)
        np.testing.assert_array_equal(rejected, q <= level)


def test_readers_are_led_to_the_page_without_its_answers():
    readme, notebook = (
        (ROOT / name).read_text(encoding="utf-8") for name in ("README.md", "notebooks/01_scaling.ipynb")
    )
    assert "docs/findings.md" in readme and "docs/findings.md" in notebook
    for tip in rt.tips.values():
        assert not [claim["word"] for claim in tip.record["claims"] if claim["word"].lower() in readme.lower()]
