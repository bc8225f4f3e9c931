"""What the first lesson shows and asks."""

from dataclasses import replace

import numpy as np
import pytest

import rnntips as rt
from rnntips.lessons.start_here import exercises as start
from rnntips.notebook.labbook import LabBook, score
from rnntips.notebook.labbook.book import strict
from rnntips.notebook.labbook.schema import fault
from rnntips.notebook.panels.first import ANSWER_FIRST, ANSWERS, Pairs


@pytest.fixture(scope="module")
def ten():
    """All runs of A, and of B."""
    task = rt.tasks.forecast(rt.series.co2())
    return [
        rt.train(recipe, task, seeds) for recipe, seeds in zip((start.A, start.B), start.SEEDS.values(), strict=True)
    ]


def test_the_two_networks_of_the_first_page_are_one_recipe_on_other_seeds():
    assert start.A == start.B and start.A.diff(start.B) == {}
    assert not set(start.SEEDS["A"]) & set(start.SEEDS["B"])


def test_the_two_curves_are_the_lowest_end_of_one_and_the_highest_of_the_other(ten):
    """As the lesson confesses; and they are apart by more than the difference that matters."""
    ends = [dict(zip(runs.seeds.tolist(), runs.valid_score[:, -1] / runs.valid_naive, strict=True)) for runs in ten]
    assert [*start.CHOSEN.values()] == [min(ends[0], key=ends[0].get), max(ends[1], key=ends[1].get)]
    assert max(ends[1].values()) > 1.05 * min(ends[0].values())


def test_of_a_hundred_pairs_most_are_close_and_nobody_can_tell(ten):
    pairs = Pairs(*ten)
    counted = [(b / a) for a in pairs.shares[0] for b in pairs.shares[1]]
    assert pairs.counts == {"A": sum(r > 1.05 for r in counted), "B": sum(r < 1 / 1.05 for r in counted),
                            "near": sum(1 / 1.05 <= r <= 1.05 for r in counted)}  # fmt: skip
    assert sum(pairs.counts.values()) == 100 and pairs.right == "cannot tell"
    assert f"in {pairs.counts['near']} of 100 pairs" in pairs.sentence and "of naive" in pairs.sentence


def test_where_one_is_better_that_one_is_right(ten):
    """The answer follows from the runs, not from what the lesson knows."""
    better = replace(ten[1], test_scores=0.8 * ten[1].test_scores)
    assert Pairs(ten[0], better).right == "B" and Pairs(better, ten[0]).right == "A"


@pytest.mark.parametrize("answer", ANSWERS.values())
def test_an_answer_trains_twenty_networks_says_what_came_and_counts(answer, ten, monkeypatch, tmp_path):
    monkeypatch.setenv("RNNTIPS_LABBOOK", str(tmp_path / "book.jsonl"))
    question = start.ask()
    assert str(question.result()) == ANSWER_FIRST and not LabBook().entries()
    before = question.picture.value
    key = next(key for key, says in ANSWERS.items() if says == answer)
    question.buttons[key].click()
    question.press("A")  # the first answer stands
    assert question._ended.wait(60) and question.state == "done"
    assert all(each.disabled for each in question.buttons.values()) and question.picture.value != before
    for mine, theirs in zip((question.pairs.a, question.pairs.b), ten, strict=True):
        np.testing.assert_allclose(mine.test_score, theirs.test_score, rtol=1e-4)
    right = answer == "cannot tell"
    assert f"You said: {answer}." in question.status.value
    assert ("Right." if right else "Not this time: cannot tell.") in question.status.value
    assert question.pairs.sentence in str(question.result())
    (kept,) = LabBook().entries()
    assert (kept["kind"], kept["guess"], kept["right"]) == ("run", answer, right)
    assert fault(strict(kept)) == "" and score([kept]).right == right


def test_a_training_that_fails_says_so(monkeypatch):
    question = start.ask()
    monkeypatch.setattr("rnntips.notebook.panels.first.train", lambda *_, **__: 1 / 0)
    question.press("A")
    assert question._ended.wait(60)
    assert question.state == "failed" and "division by zero" in question.status.value
    assert str(question.result()) == "Training failed; see above."
