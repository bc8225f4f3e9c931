"""Exercises: right answers pass, wrong ones are told what is wrong, help comes step by step."""

import copy

import numpy as np
import pytest

import rnntips as rt
from rnntips.exercises import batch_size, momentum, scaling, start


def by_training_part(train, test):
    mean, deviation = train.mean(), train.std()
    return (train - mean) / deviation, (test - mean) / deviation


def with_sample_deviation(train, test):
    scaled = [(part - np.mean(train)) / np.std(train, ddof=1) for part in (train, test)]
    return scaled[0], scaled[1]


def in_plain_python(train, test):
    mean = sum(train) / len(train)
    deviation = (sum((x - mean) ** 2 for x in train) / len(train)) ** 0.5
    return [(x - mean) / deviation for x in train], [(x - mean) / deviation for x in test]


RIGHT = [by_training_part, with_sample_deviation, in_plain_python]


def unchanged(train, test):
    return train, test


def unwritten(train, test):
    raise NotImplementedError("write me")


def joint(train, test):
    both = np.concatenate([train, test])
    return (train - both.mean()) / both.std(), (test - both.mean()) / both.std()


def each_by_itself(train, test):
    return by_training_part(train, train)[0], by_training_part(test, test)[0]


def by_variance(train, test):
    return (train - train.mean()) / train.var(), (test - train.mean()) / train.var()


def centred(train, test):
    return train - train.mean(), test - train.mean()


def divided(train, test):
    return train / train.std(), test / train.std()


def untouched_test(train, test):
    return by_training_part(train, test)[0], test


def centred_test(train, test):
    return by_training_part(train, test)[0], test - train.mean()


def joint_test(train, test):
    return by_training_part(train, test)[0], joint(train, test)[1]


def untouched_train(train, test):
    return train, by_training_part(train, test)[1]


def in_place(train, test):
    mean, deviation = train.mean(), train.std()
    for part in (train, test):
        part -= mean
        part /= deviation
    return train, test


def in_place_and_forgotten(train, test):
    test -= train.mean()
    test /= train.std()
    return (train - train.mean()) / train.std(), test


WRONG = {
    unchanged: ["nothing was scaled"],
    unwritten: ["NotImplementedError", "write me"],
    joint: ["seen the test part", "training part alone"],
    each_by_itself: ["test part", "own mean and deviation"],
    by_variance: ["variance", "standard deviation"],
    centred: ["centred", "divide", "deviation"],
    divided: ["mean 0"],
    untouched_test: ["test part"],
    centred_test: ["test part"],
    joint_test: ["test part"],
    untouched_train: ["training part", "mean 0 and deviation 1"],
    in_place: ["changes the arrays", "new ones"],
    in_place_and_forgotten: ["changes the arrays", "new ones"],
    lambda train, test: None: ["return two arrays"],
    lambda train, test: by_training_part(train, test)[0]: ["return two arrays"],
    lambda train, test: (*by_training_part(train, test), 1): ["return two arrays"],
    lambda train, test: by_training_part(train, test)[::-1]: ["shapes", "(200,)", "(80,)"],
    lambda train, test: (train.mean(), train.std()): ["shapes", "()"],
    lambda train, test: (train * np.nan, test * np.nan): ["nan"],
    lambda train: train: ["TypeError"],
    "no function": ["TypeError"],
}


@pytest.fixture
def exercise():
    """The exercise as a reader finds it: no test here leaves a trace in it."""
    return copy.copy(scaling.no_peeking)


def says(capsys, step, *arguments) -> str:
    capsys.readouterr()
    step(*arguments)
    return capsys.readouterr().out


@pytest.mark.parametrize("answer", RIGHT, ids=lambda a: a.__name__)
def test_a_right_answer_passes_however_it_is_written(exercise, capsys, answer):
    """Array code, the sample deviation and plain Python are all right."""
    assert "Right." == says(capsys, exercise.check, answer).strip()
    assert exercise.passed


@pytest.mark.parametrize(("answer", "words"), WRONG.items(), ids=lambda a: getattr(a, "__name__", ""))
def test_a_wrong_answer_is_told_what_is_wrong_with_it(exercise, capsys, answer, words):
    """Each mistake has its own message, and none of them passes or stops the notebook."""
    said = says(capsys, exercise.check, answer)
    assert said.startswith("Not yet: ") and not [word for word in words if word not in said]
    assert not exercise.passed


def test_hints_come_one_at_a_time_and_the_last_one_stays(exercise, capsys):
    """They go from a question to nearly the answer."""
    said = [says(capsys, exercise.hint) for _ in range(4)]
    assert 3 == len(set(said)) and said[2] == said[3]
    assert "Which array" in said[0] and "train.mean()" in said[1] and "return" in said[2]
    assert ["return" in hint for hint in said[:2]] == [False, False]


def test_the_solution_waits_for_three_tries(exercise, capsys):
    """It counts down, and gives nothing away before."""
    for left in ("3 more answers", "2 more answers", "1 more answer "):
        said = says(capsys, exercise.solution)
        assert left in said and "def" not in said
        exercise.check(unchanged)
    assert "def" in says(capsys, exercise.solution)


def test_the_solution_waits_for_nothing_after_a_pass(exercise, capsys):
    """A later wrong answer does not take the pass back."""
    exercise.check(by_training_part)
    exercise.check(unchanged)
    assert exercise.passed and "def" in says(capsys, exercise.solution)


def test_what_is_printed_as_the_solution_passes_the_check(exercise, capsys):
    """A reader may paste it and be right."""
    exercise.check(by_training_part)
    namespace = {}
    exec(says(capsys, exercise.solution), {"np": np}, namespace)
    (solution,) = namespace.values()
    assert "Right." in says(capsys, copy.copy(exercise).check, solution)


# --- in its unit


def rms(errors):
    return np.sqrt(np.mean(errors**2))


IN_ITS_UNIT = {
    "right": [
        lambda p, t, m, d: rms(p * d + m - t),
        lambda p, t, m, d: d * rms(p - (t - m) / d),
        lambda p, t, m, d: (sum((a * d + m - b) ** 2 for a, b in zip(p, t, strict=True)) / len(p)) ** 0.5,
    ],
    "deviations": [lambda p, t, m, d: rms(p - (t - m) / d)],
    "unscaled truth": [lambda p, t, m, d: rms(p - t)],
    "the mean is not": [lambda p, t, m, d: rms(p * d - t)],
    "the deviation is not": [lambda p, t, m, d: rms(p + m - t)],
    "wrong order": [lambda p, t, m, d: rms((p + m) * d - t)],
    "once more": [lambda p, t, m, d: rms((p - m) / d - t)],
    "root is missing": [lambda p, t, m, d: np.mean((p * d + m - t) ** 2)],
    "absolute": [lambda p, t, m, d: np.mean(np.abs(p * d + m - t))],
    "added up": [lambda p, t, m, d: np.sum((p * d + m - t) ** 2) ** 0.5],
    "cancel": [lambda p, t, m, d: np.mean(p * d + m - t)],
    "one number": [lambda p, t, m, d: p * d + m, lambda p, t, m, d: None],
    "yours is 0": [lambda p, t, m, d: 0.0],
    "yours is nan": [lambda p, t, m, d: np.nan],
}


@pytest.mark.parametrize(("words", "answer"), [(w, a) for w, answers in IN_ITS_UNIT.items() for a in answers])
def test_a_score_in_the_series_own_unit(capsys, words, answer):
    exercise = copy.copy(scaling.in_its_unit)
    said = says(capsys, exercise.check, answer)
    assert said == "Right.\n" if words == "right" else said.startswith("Not yet: ") and words in said


def test_its_printed_solution_passes(capsys):
    exercise = copy.copy(scaling.in_its_unit)
    for _ in range(3):
        exercise.check(lambda *arguments: 0.0)
    namespace = {}
    exec(says(capsys, exercise.solution), {"np": np}, namespace)
    (solution,) = namespace.values()
    assert "Right." in says(capsys, exercise.check, solution)


# --- the first page


def test_the_two_networks_of_the_first_page_are_one_recipe_on_other_seeds():
    assert start.A == start.B and start.A.diff(start.B) == {}
    assert not set(start.SEEDS["A"]) & set(start.SEEDS["B"])


def test_the_two_curves_are_the_lowest_end_of_one_and_the_highest_of_the_other():
    """As the lesson confesses; and they are apart by more than the difference that matters."""
    task = rt.tasks.forecast(rt.series.co2())
    chosen = start.two_curves(task)
    for pick, recipe, seeds, choose in zip(chosen, (start.A, start.B), start.SEEDS.values(), (min, max), strict=True):
        ten = rt.train(recipe, task, seeds)
        ends = dict(zip(seeds, ten.valid_score[:, -1] / ten.valid_trivial, strict=True))
        assert pick.seeds.tolist() == [choose(ends, key=ends.get)]
    low, high = (run.valid_score[0, -1] / run.valid_trivial[0] for run in chosen)
    assert high > 1.05 * low


@pytest.mark.parametrize("answer", start.ANSWERS)
def test_an_answer_is_kept_before_the_reader_knows_better(answer, monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("RNNTIPS_LABBOOK", str(tmp_path / "book.jsonl"))
    start.commit(answer)
    assert capsys.readouterr().out == f"You said: {answer}. Now let us see.\n"
    (kept,) = rt.labbook.LabBook().entries()
    assert kept["kind"] == "note" and answer in kept["text"]


def test_no_answer_yet_is_told_what_to_do_and_keeps_nothing(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("RNNTIPS_LABBOOK", str(tmp_path / "book.jsonl"))
    start.commit("?")
    assert "cannot tell" in capsys.readouterr().out
    assert rt.labbook.LabBook().entries() == []


@pytest.mark.parametrize("answer", ["a", "C", "", None, 1])
def test_another_answer_is_refused_with_those_that_are_taken(answer):
    with pytest.raises(rt.errors.BadArgument, match="'A', 'B', 'cannot tell'"):
        start.commit(answer)


# ── momentum ────────────────────────────────────────────────────────────────


def stepping(velocity, step):
    """An answer from how it renews the velocity, and what the weights then follow."""

    def answer(weights, before, gradient, lr, momentum):
        after = velocity(before, gradient, lr, momentum)
        return weights - step(after, before, gradient, lr, momentum), after

    return answer


def usual(v, g, lr, m):
    return m * v + g


def by_velocity(after, before, g, lr, m):
    return lr * after


MOMENTUM = [
    ("Right.", stepping(usual, by_velocity)),
    ("old velocity was forgotten", stepping(lambda v, g, lr, m: g, by_velocity)),
    ("Multiply it by momentum", stepping(lambda v, g, lr, m: v + g, by_velocity)),
    ("running mean", stepping(lambda v, g, lr, m: m * v + (1 - m) * g, by_velocity)),
    ("out of the velocity", stepping(lambda v, g, lr, m: m * v + lr * g, lambda after, *_: after)),
    ("out of the velocity", stepping(lambda v, g, lr, m: m * v - lr * g, lambda after, *_: -after)),
    ("the velocity you return is the old one", lambda w, v, g, lr, m: (w - lr * g, v)),
    ("follow the gradient alone", stepping(usual, lambda after, before, g, lr, m: lr * g)),
    ("follow the old velocity", stepping(usual, lambda after, before, g, lr, m: lr * before)),
    ("uphill", stepping(usual, lambda after, before, g, lr, m: -lr * after)),
    ("learning rate is missing", stepping(usual, lambda after, *_: after)),
    ("Nesterov", stepping(usual, lambda after, before, g, lr, m: lr * (g + m * after))),
    ("return two arrays", lambda w, v, g, lr, m: w - lr * g),
    ("velocity should be", stepping(lambda v, g, lr, m: 0.5 * g, by_velocity)),
    ("shape (4,)", lambda w, v, g, lr, m: (0.0, 0.0)),
]


@pytest.mark.parametrize(("words", "answer"), MOMENTUM)
def test_a_step_of_momentum(capsys, words, answer):
    copy.copy(momentum.one_step).check(answer)
    assert words in capsys.readouterr().out


def test_the_step_that_is_asked_for_is_pytorchs():
    import torch

    rng = np.random.default_rng(3)
    weights, gradients = rng.normal(size=4), rng.normal(size=(6, 4))
    theirs = torch.tensor(weights, requires_grad=True)
    optimizer, velocity = torch.optim.SGD([theirs], lr=0.1, momentum=0.9), np.zeros(4)
    for gradient in gradients:
        theirs.grad = torch.tensor(gradient)
        optimizer.step()
        weights, velocity = momentum._solution(weights, velocity, gradient, 0.1, 0.9)
    np.testing.assert_allclose(theirs.detach().numpy(), weights)


# ── batch size ──────────────────────────────────────────────────────────────

HOW_MANY = [
    ("Right.", lambda n, b, e: e * -(-n // b)),
    ("Right.", lambda n, b, e: sum(len(range(0, n, b)) for _ in range(e))),
    ("counts windows", lambda n, b, e: n * e),
    ("one epoch", lambda n, b, e: n // b),
    ("How many batches does an epoch have", lambda n, b, e: e),
    ("smaller batch", lambda n, b, e: e * (n // b)),
    ("no part of an update", lambda n, b, e: e * n / b if n % b else e * n // b),
    ("round up before you multiply", lambda n, b, e: -(-e * n // b)),
    ("nothing is left over", lambda n, b, e: e * (n // b + 1)),
    ("upside down", lambda n, b, e: e * b / n),
    ("not str", lambda n, b, e: "many"),
    ("not NoneType", lambda n, b, e: None),
    ("yours is 3", lambda n, b, e: 3),
]


@pytest.mark.parametrize(("words", "answer"), HOW_MANY)
def test_updates_are_counted(capsys, words, answer):
    copy.copy(batch_size.how_many).check(answer)
    assert words in capsys.readouterr().out


def test_the_updates_that_are_counted_are_pytorchs():
    import torch

    for windows, size, epochs in [(1000, 300, 3), (7, 2, 4), (5, 8, 2)]:
        loader = torch.utils.data.DataLoader(torch.zeros(windows), batch_size=size)
        assert batch_size.how_many._answer(windows, size, epochs) == epochs * len(list(loader))


def spread_of(gradients):
    return ((gradients - gradients.mean(0)) ** 2).sum(1).mean()


def length_of(gradients):
    return np.linalg.norm(gradients.mean(0))


NOISE_OF = [
    ("Right.", lambda g, b: (spread_of(g) / b) ** 0.5 / length_of(g)),
    ("Right.", lambda g, b: np.sqrt(np.trace(np.cov(g.T)) / b) / length_of(g)),
    ("subtract the mean", lambda g, b: ((g**2).sum(1).mean() / b) ** 0.5 / length_of(g)),
    ("noise of a single window", lambda g, b: spread_of(g) ** 0.5 / length_of(g)),
    ("falls with the root", lambda g, b: spread_of(g) ** 0.5 / b / length_of(g)),
    ("squared", lambda g, b: spread_of(g) / b / length_of(g) ** 2),
    ("divide by the length", lambda g, b: (spread_of(g) / b) ** 0.5),
    ("averages over the weights", lambda g, b: (((g - g.mean(0)) ** 2).mean() / b) ** 0.5 / length_of(g)),
    ("Turn it over", lambda g, b: length_of(g) / (spread_of(g) / b) ** 0.5),
    ("one number", lambda g, b: g.mean(0)),
    ("yours is 0", lambda g, b: 0.0),
    ("yours is nan", lambda g, b: np.nan),
]


@pytest.mark.parametrize(("words", "answer"), NOISE_OF)
def test_noise_is_predicted(capsys, words, answer):
    copy.copy(batch_size.noise_of).check(answer)
    assert words in capsys.readouterr().out


def test_the_noise_that_is_asked_for_is_that_of_batches_drawn():
    rng = np.random.default_rng(0)
    gradients = rng.normal(0.3, 1, (50, 5))
    drawn = [gradients[rng.integers(0, 50, 8)].mean(0) - gradients.mean(0) for _ in range(20_000)]
    measured = np.sqrt(np.mean(np.sum(np.square(drawn), 1))) / length_of(gradients)
    assert batch_size.noise_of._answer(gradients, 8) == pytest.approx(measured, rel=0.02)
