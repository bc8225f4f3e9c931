"""What the first lesson shows and asks."""

import pytest

import rnntips as rt
from rnntips.errors import BadArgument
from rnntips.lessons.start_here import exercises as start
from rnntips.notebook.labbook import LabBook


def test_the_two_networks_of_the_first_page_are_one_recipe_on_other_seeds():
    assert start.A == start.B and start.A.diff(start.B) == {}
    assert not set(start.SEEDS["A"]) & set(start.SEEDS["B"])


def test_the_two_curves_are_the_lowest_end_of_one_and_the_highest_of_the_other():
    """As the lesson confesses; and they are apart by more than the difference that matters."""
    task = rt.tasks.forecast(rt.series.co2())
    chosen = start.two_curves(task)
    for pick, recipe, seeds, choose in zip(chosen, (start.A, start.B), start.SEEDS.values(), (min, max), strict=True):
        ten = rt.train(recipe, task, seeds)
        ends = dict(zip(seeds, ten.valid_score[:, -1] / ten.valid_naive, strict=True))
        assert pick.seeds.tolist() == [choose(ends, key=ends.get)]
    low, high = (run.valid_score[0, -1] / run.valid_naive[0] for run in chosen)
    assert high > 1.05 * low


@pytest.mark.parametrize("answer", start.ANSWERS)
def test_an_answer_is_kept_before_the_reader_knows_better(answer, monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("RNNTIPS_LABBOOK", str(tmp_path / "book.jsonl"))
    start.commit(answer)
    assert capsys.readouterr().out == f"You said: {answer}. Now let us see.\n"
    (kept,) = LabBook().entries()
    assert kept["kind"] == "note" and answer in kept["text"]


def test_no_answer_yet_is_told_what_to_do_and_keeps_nothing(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("RNNTIPS_LABBOOK", str(tmp_path / "book.jsonl"))
    start.commit("?")
    assert "cannot tell" in capsys.readouterr().out
    assert LabBook().entries() == []


@pytest.mark.parametrize("answer", ["a", "C", "", None, 1])
def test_another_answer_is_refused_with_those_that_are_taken(answer):
    with pytest.raises(BadArgument, match="'A', 'B', 'cannot tell'"):
        start.commit(answer)
