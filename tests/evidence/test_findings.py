"""`docs/findings.md` is what the records say."""

from pathlib import Path

import pytest

import rnntips as rt
from evidence.findings import lines, page
from evidence.plans import Plan, plans
from evidence.records import live_shares
from rnntips.notebook.tips import Tip
from rnntips.verdict import against

ROOT = Path(rt.__file__).parents[1]


@pytest.fixture(scope="module")
def text():
    return page(plans())


def test_the_page_is_what_the_records_say(text):
    assert (ROOT / "docs" / "findings.md").read_text(encoding="utf-8") == text


def test_every_claim_is_on_the_page_with_its_word_and_both_errors_of_every_setting(text):
    for tip in rt.tips.values():
        for claim in tip.record["claims"]:
            begins = "| " + " | ".join(
                [tip.plans[claim["id"]].says, tip.plans[claim["id"]].source, claim["word"].lower()]
            )
            (line,) = [line for line in text.splitlines() if line.startswith(f"{begins} |")]
            cells = [cell.strip() for cell in line.strip("|").split("|")]
            assert cells[2:4] == [claim["word"].lower(), (claim["fresh_word"] or "–").lower()]
            assert cells[5:] == [str(claim["n"]), str(tip.record["version"])]
            for name, found in claim["settings"].items():
                shown = against(found["baseline"], found["variant"]) if claim["what"] == "error" else claim["what"]
                assert name in cells[4] and (shown if found["tested"] else "not tested") in cells[4]


def test_ten_seeds_of_the_live_setting_do_not_contradict_the_record(text):
    """In 94 of 100 cases a reader sees the stored verdict; where it is SAME, they may see too little to tell."""
    shares = [live_shares(plan) for plan in plans().values()]
    for stored, *_ in (found := [list(each.items()) for each in shares]):
        assert f"give its stored verdict, {stored[0]}, in {100 * stored[1]:.1f} %" in text
    assert len(found) == len(rt.tips)
    for (verdict, share), *others in found:
        assert share + (dict(others).get("UNCLEAR", 0) if verdict == "SAME" else 0) >= 0.94


def test_a_finding_that_fresh_seeds_alone_do_not_repeat_says_so_everywhere():
    plan = Plan(Tip("scaling"))
    plan.tip.record["claims"][0] |= {"word": "SUPPORTED", "repeated": False, "fresh_word": "NO DIFFERENCE"}
    (row,) = [row for row in page({"scaling": plan}).splitlines() if row.startswith(f"| {plan.claims['C1'].says}")]
    assert " | supported | no difference | " in row
    assert "fresh seeds alone: NO DIFFERENCE" in lines(plan.tip.record)[0]
    assert "Fresh seeds alone say: no difference." in str(plan.tip.rule()).split("\n\n")[0]
    assert "| no |" in plan.tip.table().splitlines()[2]


def test_words_that_a_claim_once_had_stand_on_the_page():
    plan = Plan(Tip("scaling"))
    plan.tip.record["words before"] = {"C1": "CONTRADICTED"}
    assert "the first edition's rule: C1 contradicted" in page({"scaling": plan})


def test_readers_are_led_to_the_page_without_its_answers():
    readme, notebook = (
        (ROOT / name).read_text(encoding="utf-8") for name in ("README.md", "notebooks/01_scaling.ipynb")
    )
    assert "docs/findings.md" in readme and "docs/findings.md" in notebook
    for tip in rt.tips.values():
        assert not [claim["word"] for claim in tip.record["claims"] if claim["word"].lower() in readme.lower()]
