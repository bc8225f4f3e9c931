"""Of every exercise: its stub fails, its solution passes, each mistake gets its own message. And the class itself."""

import ast
import copy
import functools
import json
import math
import re
import string
from pathlib import Path

import numpy as np
import pytest
import torch

import rnntips as rt
from rnntips.notebook.exercise import TRIES, Exercise, exercises
from rnntips.notebook.labbook import LabBook

FOUND = {value.name: value for lesson in dir(exercises) for value in vars(getattr(exercises, lesson)).values()
         if isinstance(value, Exercise)}  # fmt: skip
SOLUTION = {name: exercise._solution for name, exercise in FOUND.items()}
MISTAKES = [(name, wrong, text) for name, exercise in FOUND.items() for *wrongs, text in exercise.mistakes
            for wrong in wrongs]  # fmt: skip


def said(capsys, step, *arguments) -> str:
    capsys.readouterr()
    step(*arguments)
    return capsys.readouterr().out.removesuffix("\n")


def check(capsys, name, answer) -> str:
    return said(capsys, copy.copy(FOUND[name]).check, answer)  # of a copy, as for a reader who comes first


def pattern(*messages) -> str:
    """A regular expression for messages whose fields have been filled."""
    parts = string.Formatter().parse("".join(messages))
    return "".join(re.escape(text) + (".+" if field else "") for text, field, *_ in parts)


def stubs() -> dict:
    found = {}  # exercise → the function that stands in its notebook
    for path in (Path(rt.__file__).parents[1] / "notebooks").glob("*.ipynb"):
        for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
            if "exercise" in cell["metadata"].get("tags", ()):
                source, space = "".join(cell["source"]), {}
                body = [part for part in ast.parse(source).body if isinstance(part, ast.FunctionDef | ast.Import)]
                exec(compile(ast.Module(body, []), str(path), "exec"), space)
                ((name, function),) = re.findall(r"exercises\.(\w+\.\w+)\.check\((\w+)\)", source)
                found[name] = space[function]
    return found


# --- the exercises of all lessons


def test_each_exercise_stands_in_a_notebook():
    assert stubs().keys() == FOUND.keys() and len(FOUND) > 9


@pytest.mark.parametrize("name", FOUND)
def test_a_stub_fails_and_the_printed_solution_passes(name, capsys):
    exercise, stub = copy.copy(FOUND[name]), stubs()[name]
    for _ in range(TRIES):
        assert said(capsys, exercise.check, stub).startswith("Not yet: ")
    namespace = {}
    exec(
        said(capsys, exercise.solution),
        {"np": np, "math": math, "ceil": math.ceil, "torch": torch, "nn": torch.nn},
        namespace,
    )
    (solution,) = namespace.values()
    assert said(capsys, exercise.check, solution) == "Right."


@pytest.mark.parametrize(("name", "wrong", "message"), MISTAKES, ids=[f"{name}: {text}" for name, _, text in MISTAKES])
def test_a_mistake_gets_its_own_message(name, wrong, message, capsys):
    assert re.fullmatch("Not yet: " + pattern(FOUND[name]._case, message), check(capsys, name, wrong))
    cases = FOUND[name].cases
    with np.errstate(all="ignore"):
        for case in cases() if callable(cases) else cases:  # the judge may run it in any of them, so it must not raise
            wrong(*copy.deepcopy(case))


@pytest.mark.parametrize("exercise", FOUND.values(), ids=FOUND)
def test_messages_and_hints_of_an_exercise_differ(exercise):
    messages = [pattern(text) for *_, text in exercise.mistakes] + [pattern(exercise._otherwise)]
    assert len(set(messages)) == len(messages) > 3
    assert len(set(exercise._hints)) == len(exercise._hints) == 3


class Hostile:
    """Raises whatever it is asked."""

    def __getattr__(self, name):
        raise RuntimeError(name)

    __len__ = __iter__ = __eq__ = __float__ = __array__ = __repr__ = __bool__ = lambda self, *_, **__: self.no


def half_way():
    yield 1.0
    raise ValueError("half-way")


RESULTS = [None, "3", b"", [], (), {}, object(), Hostile(), np.nan, -np.inf, 1j, True, 10**400, [[1.0], [1.0, 2.0]], 7,
           [None], (None, None), ("a", "b"), ([], []), [(0, 1, 2)], [(np.nan, 1)], np.ones(3), np.ones((0, 2)), len,
           np.ones((2, 3, 4)), np.array(None), (np.ones((2, 2)), np.nan), half_way(), iter([1]), int,
           torch.ones(2, requires_grad=True), [np.full((4, 3), np.nan)] * 24, (np.ones((0, 5)), [])]  # fmt: skip


@pytest.mark.parametrize("name", FOUND)
def test_nothing_that_an_answer_returns_stops_the_judge(name, capsys):
    exercise = copy.copy(FOUND[name])
    first = next(iter(exercise.cases() if callable(exercise.cases) else exercise.cases))
    right = exercise._solution(*copy.deepcopy(first))  # once, since some of them train a network
    exercise._solution = functools.wraps(exercise._solution)(lambda *_: right)
    for result in RESULTS:
        answer = said(capsys, copy.copy(exercise).check, lambda *_, result=result: result)
        assert answer.startswith("Not yet: ")


# --- other right answers, and wrong ones that are no known mistake


def plain_scaling(train, test):
    mean = sum(train) / len(train)
    deviation = (sum((x - mean) ** 2 for x in train) / (len(train) - 1)) ** 0.5
    return [[(x - mean) / deviation for x in part] for part in (train, test)]


def one_by_one(values, past, horizon):
    values = values.float().tolist()
    pairs = [(values[t - horizon - past + 1 : t - horizon + 1], values[t])
             for t in range(past + horizon - 1, len(values))]  # fmt: skip
    return [[np.array(part) for part in zip(*some, strict=True)] for some in (pairs[:3000], pairs[3000:])]


OTHERS = [
    ("scaling.no_peeking", plain_scaling, "Right."),
    ("sliding_windows.cut", one_by_one, "Right."),
    ("batch_size.how_many", lambda n, b, e: torch.tensor(e * -(-n // b)), "Right."),
    ("gradient_clipping.from_the_log", lambda x: np.nanquantile(np.where(np.isinf(x), np.nan, x), 0.9), "Right."),
    ("scaling.in_use", lambda *_: [0.0], "return a forecast for each of the 100 windows; yours are 1."),
    ("scaling.in_use", lambda *given: np.array(SOLUTION["scaling.in_use"](*given)), "Right."),
]  # fmt: skip


def through_the_graph(**more):
    """The loop over chunks that hands on the history of its state; `more`: arguments of backward."""

    def train(model, inputs, targets):
        optimizer, state, losses = torch.optim.Adam(model.parameters(), lr=0.01), None, []
        for x, y in zip(inputs.split(4, 1), targets.split(4, 1), strict=True):
            answers, state = model(x, state)
            loss = torch.nn.functional.mse_loss(answers, y)
            optimizer.zero_grad(), loss.backward(**more), optimizer.step()
            losses.append(loss.item())
        return losses

    return train


def test_errors_of_pytorch_are_explained(capsys):
    loops = through_the_graph(), through_the_graph(retain_graph=True)
    twice, kept = (check(capsys, "truncated_bptt.train", loop) for loop in loops)
    assert "Trying to backward through the graph a second time" in twice and twice.endswith("and what must end?")
    assert "modified by an inplace operation" in kept and kept.endswith("End the history instead.")


@pytest.mark.parametrize(("name", "answer", "words"), OTHERS, ids=[f"{name}: {words}" for name, _, words in OTHERS])
def test_other_answers_are_judged_by_what_they_return(name, answer, words, capsys):
    assert check(capsys, name, answer).removeprefix("Not yet: ") == words


# --- the class, and where exercises are found


def total(values, scale):
    return {"total": scale * sum(values), "parts": [part * scale for part in values]}


def unscaled(values, scale):
    return total(values, 1)


def removing(values, scale):
    return {"parts": [values.pop(0) * scale for _ in values[:]], "total": 0}


@pytest.fixture
def exercise():
    mistakes = [(unscaled, "multiply by {scale}: {right[parts][1]}, not {yours[parts][1]:.2f}.")]
    cases = [([1.0, np.nan], 2), ([1, 2, 3], 1), ([1, 2, 3], 3)]
    return Exercise("total", total, cases, ("a?", "b.", "c!"), mistakes=mistakes, kind="a {type} came.")


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (lambda values, scale: dict(reversed(total(values, scale).items())), "Right."),
        (unscaled, "Not yet: multiply by 2: nan, not nan."),
        (lambda values, scale: total(values, min(scale, 2)), "Not yet: with values=[1, 2, 3], scale=3: {total: 18, "
         "parts: [3, 6, 9]} is right, and yours is {total: 12, parts: [2, 4, 6]}."),
        (lambda values, scale: total(values, 1 if scale == 3 else scale), "Not yet: multiply by 3: 6, not 2.00."),
        (removing, "Not yet: your function changes the arrays it was given. Compute new ones instead."),
        (lambda values, scale: {"total": 2}, "Not yet: a dict came."),
        (lambda values, scale: {"total": "2", "parts": values}, "Not yet: a dict came."),
        (lambda values, scale: {"total": True, "parts": values}, "Not yet: a dict came."),
        (lambda values, scale: {"total": np.True_, "parts": values}, "Not yet: a dict came."),
        (lambda values: None, "Not yet: your function raised TypeError: "),
        ("no function", "Not yet: your function raised TypeError: 'str' object is not callable"),
        (lambda values, scale: half_way(), "Not yet: your function raised ValueError: half-way"),
    ],
)  # fmt: skip
def test_the_first_case_that_fails_is_what_the_message_is_about(exercise, answer, words, capsys):
    assert said(capsys, exercise.check, answer).startswith(words)
    assert exercise.passed == (words == "Right.")


def test_a_mistake_that_is_right_within_the_tolerance_is_not_what_is_wrong(capsys):
    made = Exercise("total", sum, [([1, 2],)], (), mistakes=[(lambda values: 3.2, "A")], tolerance=0.1, otherwise="B")
    assert said(capsys, made.check, lambda values: 3.4) == "Not yet: B"


def test_hints_come_one_at_a_time_and_the_last_one_stays(exercise, capsys):
    assert [said(capsys, exercise.hint) for _ in range(4)] == ["a?", "b.", "c!", "c!"]


def test_the_solution_waits_for_three_tries_or_a_pass(exercise, capsys):
    """It counts down; a later wrong answer does not take a pass back."""
    passed = copy.copy(exercise)
    for left in ("3 more answers", "2 more answers", "1 more answer"):
        assert said(capsys, exercise.solution) == f"Try {left} first; the solution waits here."
        exercise.check(unscaled)
    assert said(capsys, exercise.solution).startswith("def total(values, scale):")
    passed.check(total)
    passed.check(unscaled)
    assert passed.passed and said(capsys, passed.solution).startswith("def total(values, scale):")


def test_the_lab_book_gets_a_first_pass_and_a_solution_opened_before_it(exercise, monkeypatch, tmp_path):
    monkeypatch.setenv("RNNTIPS_LABBOOK", str(tmp_path / "book.jsonl"))
    other = copy.copy(exercise)
    for _ in range(TRIES):
        exercise.check(unscaled)
        exercise.hint()
    assert LabBook().entries() == []
    for step in (exercise.solution, lambda: exercise.check(total), exercise.solution):
        step(), step()
    kept = [{key: entry[key] for key in ("kind", "name", "tries", "passed", "solution_opened")}
            for entry in LabBook().entries()]  # fmt: skip
    whole = {"kind": "exercise", "name": "test_exercises.total", "solution_opened": True}
    assert kept == [whole | {"tries": 3, "passed": False}, whole | {"tries": 4, "passed": True}]
    other.check(total)
    other.solution()
    assert [entry["solution_opened"] for entry in LabBook().entries()] == [True, True, False]


def test_the_lessons_with_exercises_are_the_folders_that_have_some():
    folders = {path.parent.name for path in (Path(rt.__file__).parent / "lessons").glob("*/exercises.py")}
    assert set(dir(exercises)) == folders and "start_here" in folders
    assert exercises.scaling.no_peeking.name == "scaling.no_peeking"
    with pytest.raises(AttributeError, match=r"'scalings' is no lesson with exercises\. .* batch_size, "):
        _ = exercises.scalings
