"""Exercises: right answers pass, wrong ones are told what is wrong, help comes step by step."""

import copy
import math

import numpy as np
import pytest

import rnntips as rt
from rnntips.exercises import (
    batch_size,
    deep_recurrence,
    gradient_clipping,
    learning_rate,
    momentum,
    scaling,
    shuffling,
    sliding_windows,
    start,
    truncated_bptt,
)


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


# ── shuffling ───────────────────────────────────────────────────────────────


def pieces_mixed(sequences, count, chunk, rng):
    """The stub: as a loader with shuffle=True does it."""
    return rng.permutation(sequences.reshape(-1, chunk)).reshape(-1, count, chunk)


def fed(sequences, count, chunk, rng, rows=lambda all, rng: rng.permutation(all), starts=sorted):
    rows, found = rows(sequences, rng), []
    for first in range(0, len(rows), count):
        for t in starts(range(0, sequences.shape[1], chunk)):
            found.append(rows[first : first + count, t : t + chunk])
    return found


def but(**change):
    return lambda *given: fed(*given, **change)


def in_place(sequences, count, chunk, rng):
    rng.shuffle(sequences)
    return fed(sequences, count, chunk, rng, rows=lambda all, _: all)


def by_columns(sequences, count, chunk, rng):
    """Chunks outside, groups inside: every lane meets all sequences before the second chunk of any."""
    mixed = rng.permutation(sequences)
    return [mixed[i : i + count, t : t + chunk] for t in range(0, sequences.shape[1], chunk)
            for i in range(0, len(mixed), count)]  # fmt: skip


LANES = [
    ("Right.", fed),
    ("Right.", lambda *given: np.array(fed(*given))),
    ("Right.", lambda *given: iter(fed(*given))),
    ("another sequence before its own has ended", pieces_mixed),
    ("another sequence before its own has ended", by_columns),
    ("out of order. Shuffle sequences, never their chunks", but(starts=lambda all: list(all)[::-1])),
    ("come as they were given", but(rows=lambda all, _: all)),
    ("same for every rng", but(rows=lambda all, _: np.random.default_rng(7).permutation(all))),
    ("read twice", but(rows=lambda all, rng: all[rng.integers(0, len(all), len(all))])),
    ("changes the array", in_place),
    ("steps must follow each other", but(rows=lambda all, rng: rng.permutation(all, axis=1))),
    ("is needed: lanes, steps", lambda sequences, count, chunk, rng: rng.permutation(sequences)),
    ("24 such batches, and 4 came", lambda *given: fed(*given)[:4]),
    ("list of arrays", lambda *given: None),
]


@pytest.mark.parametrize(("words", "answer"), LANES)
def test_lanes_take_shuffled_sequences_and_read_their_chunks_in_order(capsys, words, answer):
    copy.copy(shuffling.lanes).check(answer)
    assert words in capsys.readouterr().out


def test_the_lanes_that_are_asked_for_are_those_of_the_engine():
    """Sequence by sequence, chunk by chunk, as `rnntips.lanes` documents; only the permutation is another."""
    sequences = 1000 * np.arange(6)[:, None] + np.arange(4)
    read = shuffling._solution(sequences, 2, 2, np.random.default_rng(0))
    assert [batch.shape for batch in read] == [(2, 2)] * 6
    for first, second in zip(read[::2], read[1::2], strict=True):
        np.testing.assert_array_equal(first + 2, second)
    assert sorted(np.concatenate(read).ravel()) == sorted(sequences.ravel())


# ── sliding windows ─────────────────────────────────────────────────────────


def sliding(newest, past_of=lambda past: past, step=1):
    """An answer whose window for the target at t ends with the value at t − newest(past, horizon)."""

    def answer(values, past, horizon, first):
        ends = first - newest(past, horizon) + 1 + step * np.arange(len(values) - first)
        return np.array([values[end - past_of(past) : end] for end in np.minimum(ends, len(values))]), values[first:]

    return answer


def in_torch(values, past, horizon, first):
    import torch

    every = torch.tensor(values).unfold(0, past, 1)
    begin = first - horizon - past + 1
    return every[begin : begin + len(values) - first].numpy(), values[first:]


def by_window(values, past, horizon, first):
    """All windows there are, whatever `first` says: other targets for every length."""
    count = len(values) - past - horizon + 1
    return np.array([values[i : i + past] for i in range(count)]), values[past + horizon - 1 :]


CUT = [
    ("Right.", sliding(lambda past, horizon: horizon)),
    ("Right.", in_torch),
    ("peek: with horizon=3", sliding(lambda past, horizon: 1)),
    ("peek: with horizon=3", sliding(lambda past, horizon: horizon - 1)),
    ("hold their own targets", sliding(lambda past, horizon: 0)),
    ("end too early", sliding(lambda past, horizon: horizon + 1)),
    ("end too early", sliding(lambda past, horizon: horizon + past)),
    ("hold 5 values, and yours hold 6", sliding(lambda past, horizon: horizon, lambda past: past + 1)),
    ("one step apart", sliding(lambda past, horizon: horizon, step=0)),
    ("Name windows by their target", by_window),
    ("yours of shape (20,) are others", lambda v, p, h, f: (in_torch(v, p, h, f)[0], v[f:] + 9)),
    ("yours of shape () are others", lambda v, p, h, f: (in_torch(v, p, h, f)[0], v[f])),
    ("you returned 17", lambda v, p, h, f: (in_torch(v, p, h, f)[0][:-3], v[f:-3])),
    ("shape (20, 5), not (17, 5)", lambda v, p, h, f: (in_torch(v, p, h, f)[0][:-3], v[f:])),
    ("oldest comes first", lambda v, p, h, f: (in_torch(v, p, h, f)[0][:, ::-1], v[f:])),
    ("no stretch of the series", lambda v, p, h, f: (in_torch(v, p, h, f)[0] * 2, v[f:])),
    ("two arrays", lambda v, p, h, f: in_torch(v, p, h, f)[0]),
]


@pytest.mark.parametrize(("words", "answer"), CUT)
def test_windows_cut_by_hand(capsys, words, answer):
    said = says(capsys, copy.copy(sliding_windows.cut).check, answer)
    assert said == "Right.\n" if words == "Right." else said.startswith("Not yet: ") and words in said


def test_the_windows_that_are_asked_for_are_the_packages():
    from rnntips.windows import cut

    values = rt.series.demand(weeks=2).values
    found = cut(values, 7, 4, input_scaling="none", target_scaling="none")
    inputs, targets = sliding_windows._solution(values[:, 0].astype(np.float32), 7, 4, int(found.times[0]))
    np.testing.assert_array_equal(found.inputs(np.arange(len(targets)))[..., 0], inputs)
    np.testing.assert_array_equal(found.targets[:, 0], targets)


def median_of(errors):
    return {length: np.median(found) for length, found in errors.items()}


def good_by(errors, typical):
    found = {length: typical(some) for length, some in errors.items()}
    return [length for length, error in found.items() if error <= 1.05 * min(found.values())]


def shortest_by(errors, typical):
    return min(good_by(errors, typical))


CHOOSE = [
    ("Right.", lambda e: shortest_by(e, np.median)),
    ("104 has the lowest error, and 52 is shorter", lambda e: min(e, key=lambda n: e[n].mean())),
    ("so is 52. Take the shortest", lambda e: max(good_by(e, np.median))),
    ("13 is the shortest of all", min),
    ("52 is shorter still", lambda e: shortest_by(e, np.mean)),
    ("208 has the lowest error", lambda e: shortest_by(e, np.min) if 13 in e else 48),
    ("a single network may be lucky or fail", lambda e: shortest_by(e, np.min if 24 in e else np.median)),
    ("return one of the lengths", lambda e: 0),
    ("return one of the lengths", lambda e: median_of(e)),
    ("return one of the lengths", lambda e: None),
]  # fmt: skip


@pytest.mark.parametrize(("words", "answer"), CHOOSE)
def test_the_shortest_window_that_is_good_enough(capsys, words, answer):
    said = says(capsys, copy.copy(sliding_windows.choose).check, answer)
    assert said == "Right.\n" if words == "Right." else said.startswith("Not yet: ") and words in said


@pytest.mark.parametrize("name", ["cut", "choose"])
def test_the_printed_solutions_of_sliding_windows_pass(capsys, name):
    exercise = copy.copy(getattr(sliding_windows, name))
    for _ in range(3):
        exercise.check(lambda *arguments: None)
    namespace = {}
    exec(says(capsys, exercise.solution), {"np": np}, namespace)
    (solution,) = namespace.values()
    assert "Right." in says(capsys, exercise.check, solution)


# --- deep recurrence


def counting(gates=3, below=None, own=True, biases=2, readout=True, outputs_bias=True, layers=None):
    """A count of weights with one mistake."""

    def weights(L, width, channels, outputs):
        total = 0
        for layer in range(layers or L):
            reads = below(layer, width, channels) if below else width if layer else channels
            total += gates * (width * reads + own * width * width + biases * width)
        return total + readout * (width * outputs + outputs_bias * outputs)

    return weights


COUNTS = [
    ("Right.", counting()),
    ("Right.", lambda L, H, C, K: float(3 * H * (C + (L - 1) * H + L * H + 2 * L) + K * (H + 1))),
    ("only the first layer reads the channels", counting(below=lambda layer, width, channels: channels)),
    ("the first layer reads the channels", counting(below=lambda layer, width, channels: width)),
    ("layer to layer are missing", counting(below=lambda layer, width, channels: 0 if layer else channels)),
    ("also reads its own past", counting(own=False)),
    ("one width × width is missing", lambda L, H, C, K: counting()(L, H, C, K) - 3 * H * H),
    ("the readout is missing", counting(readout=False)),
    ("the readout's biases are missing", counting(outputs_bias=False)),
    ("the biases are missing", counting(biases=0)),
    ("two biases", counting(biases=1)),
    ("biases and readout", counting(biases=0, readout=False)),
    ("three of everything", counting(gates=1)),
    ("that is an LSTM", counting(gates=4)),
    ("that is one layer", counting(layers=1)),
    ("one layer's matrices", lambda L, H, C, K: 3 * H * (H + C)),
    ("return one number", lambda *sizes: None),
    ("you count 7", lambda *sizes: 7),
]


@pytest.mark.parametrize(("words", "answer"), COUNTS)
def test_the_weights_of_a_stack(capsys, words, answer):
    copy.copy(deep_recurrence.count_weights).check(answer)
    assert words in capsys.readouterr().out


def test_the_weights_that_are_asked_for_are_the_packages():
    for sizes in deep_recurrence.CASES:
        assert deep_recurrence._solution(*sizes) == rt.weights.count("gru", *sizes)


# ── truncated backpropagation ───────────────────────────────────────────────


def starting(start, ends=lambda steps, k1, k2: range(k1, steps + 1, k1)):
    return lambda steps, k1, k2: [(start(end, k1, k2), end) for end in ends(steps, k1, k2)]


def read_back(end, k1, k2):
    return max(0, end - k2)


UPDATES = [
    ("Right.", starting(read_back)),
    ("Right.", lambda steps, k1, k2: np.array([[max(0, end - k2), end] for end in range(k1, steps + 1, k1)])),
    ("only over the new steps", starting(lambda end, k1, k2: end - k1)),
    ("before the sequence", starting(lambda end, k1, k2: end - k2)),
    ("order is (start, end)", lambda steps, k1, k2: [(end, max(0, end - k2)) for end in range(k1, steps + 1, k1)]),
    ("is not read", lambda steps, k1, k2: [(max(0, end - k2), end - 1) for end in range(k1, steps + 1, k1)]),
    ("not every k2", starting(read_back, lambda steps, k1, k2: range(k2, steps + 1, k2))),
    ("k1 and k2 are swapped", starting(lambda end, k1, k2: max(0, end - k1), lambda s, k1, k2: range(k2, s + 1, k2))),
    ("at every step", starting(read_back, lambda steps, k1, k2: range(1, steps + 1))),
    ("to the beginning", starting(lambda end, k1, k2: 0)),
    ("last update is missing", starting(read_back, lambda steps, k1, k2: range(k1, steps, k1))),
    ("would read nothing", lambda s, k1, k2: [(max(0, start - k2), start) for start in range(0, s, k1)]),
    ("one step too few", starting(lambda end, k1, k2: max(0, end - k2 + 1))),
    ("a list of pairs", lambda steps, k1, k2: None),
    ("a list of pairs", lambda steps, k1, k2: list(range(k1, steps + 1, k1))),
    ("pair of two numbers", lambda steps, k1, k2: [(0, 1, 2)]),
    ("3 updates, and you return 1", lambda steps, k1, k2: [(0, steps)]),
    ("and yours are", lambda steps, k1, k2: [(0, 3), (1, 5), (2, steps)]),
]


@pytest.mark.parametrize(("words", "answer"), UPDATES, ids=[words for words, _ in UPDATES])
def test_the_steps_that_updates_read(capsys, words, answer):
    copy.copy(truncated_bptt.updates).check(answer)
    assert words in capsys.readouterr().out


@pytest.mark.parametrize(("steps", "k1", "k2"), [(12, 4, 4), (12, 3, 6), (20, 5, 20), (32, 1, 7)])
def test_updates_read_what_the_engines_do(steps, k1, k2):
    recipe = rt.Recipe(chunk=k2, stride=k1)
    assert truncated_bptt._solution(steps, k1, k2) == [(c.start, c.end) for c in rt.lanes.chunks(recipe, steps)]


def walked(forget=lambda h, slope: (h, 0.0), shift=0, grow=lambda h, slope, a, value: h + a * slope):
    """Walks through x, forgets something k steps before the end, and lets the slope grow in some way."""

    def answer(a, x, k):
        h = slope = 0.0
        for t, value in enumerate(x):
            if t == len(x) - k + shift:
                h, slope = forget(h, slope)
            slope = grow(h, slope, a, value)
            h = a * h + value
        return slope

    return answer


SLOPES = [
    ("Right.", walked()),
    ("the whole slope", walked(lambda h, slope: (h, slope))),
    ("set to zero as well", walked(lambda h, slope: (0.0, 0.0))),
    ("one step too many", walked(shift=-1)),
    ("one step too few", walked(shift=1)),
    ("does not fade", walked(grow=lambda h, slope, a, value: h + slope)),
    ("one factor a too many", walked(grow=lambda h, slope, a, value: a * (h + slope))),
    ("the state *before* it", walked(grow=lambda h, slope, a, value: a * h + value + a * slope)),
    ("that is the last state", lambda a, x, k: x @ a ** np.arange(len(x))[::-1]),
    ("return one number", lambda a, x, k: None),
    ("and yours is 7", lambda a, x, k: 7),
]


@pytest.mark.parametrize(("words", "answer"), SLOPES, ids=[words for words, _ in SLOPES])
def test_a_slope_that_is_cut(capsys, words, answer):
    copy.copy(truncated_bptt.cut_slope).check(answer)
    assert words in capsys.readouterr().out


def test_a_cut_slope_is_what_detach_leaves():
    import torch

    x = np.random.default_rng(1).normal(size=9)
    for k in (1, 4, 9):
        a, h = torch.tensor(0.8, dtype=torch.float64, requires_grad=True), torch.zeros((), dtype=torch.float64)
        for t, value in enumerate(x):
            h = a * (h.detach() if t == 9 - k else h) + value
        h.backward()
        assert truncated_bptt._solution_cut_slope(0.8, x, k) == pytest.approx(a.grad.item())


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


# ── learning rate ───────────────────────────────────────────────────────────


def going(rise, fall):
    """An answer from two factors: of updates done and the warm-up, and of the share of the updates that is done."""
    return lambda done, updates, lr, warmup: lr * rise(done, warmup) * fall(done / updates)


def rising(done, warmup):
    return min((done + 1) / warmup, 1)


def falling(share):
    return (1 + math.cos(math.pi * share)) / 2


def after_the_warmup(done, updates, lr, warmup):
    share = max(done - warmup, 0) / max(updates - warmup, 1)
    return lr * rising(done, warmup) * falling(share)


COURSE = [
    ("Right.", going(rising, falling)),
    ("Right.", lambda done, updates, lr, warmup: lr * np.clip((done + 1) / warmup, 0, 1) * falling(done / updates)),
    ("never changes", lambda done, updates, lr, warmup: lr),
    ("other half is missing", going(rising, lambda share: 1)),
    ("does not rise first", going(lambda *_: 1, falling)),
    ("Multiply them by lr", lambda done, updates, lr, warmup: rising(done, warmup) * falling(done / updates)),
    ("Count it", going(lambda done, warmup: min(done / warmup, 1), falling)),
    ("no end", going(lambda done, warmup: (done + 1) / warmup, falling)),
    ("turns negative", going(rising, lambda share: math.cos(math.pi * share))),
    ("Halve it", going(rising, lambda share: 1 + math.cos(math.pi * share))),
    ("comes back", going(rising, lambda share: (1 + math.cos(2 * math.pi * share)) / 2)),
    ("half-way down", going(rising, lambda share: (1 + math.cos(math.pi / 2 * share)) / 2)),
    ("quarter of a wave", going(rising, lambda share: math.cos(math.pi / 2 * share))),
    ("straight line", going(rising, lambda share: 1 - share)),
    ("begins after the warm-up", after_the_warmup),
    ("return one number", lambda done, updates, lr, warmup: None),
    ("return one number", lambda done, updates, lr, warmup: np.full(3, lr)),
    ("after 0 of 100 updates", lambda done, updates, lr, warmup: lr / 7),
    ("after 99 of 100 updates", lambda done, updates, lr, warmup: (done < 99) * going(rising, falling)(
        done, updates, lr, warmup)),
]  # fmt: skip


@pytest.mark.parametrize(("words", "answer"), COURSE)
def test_a_course_of_the_rate(capsys, words, answer):
    copy.copy(learning_rate.course).check(answer)
    assert words in capsys.readouterr().out


def test_the_course_that_is_asked_for_is_torchs():
    """The falling half against PyTorch's scheduler, the rising one against its own."""
    import torch

    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.3)
    parts = (torch.optim.lr_scheduler.LinearLR(optimizer, 1 / 10, 1, 9),
             torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 50))  # fmt: skip
    both = torch.optim.lr_scheduler.ChainedScheduler(list(parts))
    for done in range(50):
        assert optimizer.param_groups[0]["lr"] == pytest.approx(learning_rate._solution(done, 50, 0.3, 10))
        optimizer.step()
        both.step()


def powers(count, normal=True, number=lambda vector, image: 2 / (vector @ image)):
    """An answer by so many products, and what it makes of the last vector and its image."""

    def answer(times, start):
        vector = start / np.linalg.norm(start)
        for _ in range(count):
            image = times(vector)
            before, vector = vector, image / np.linalg.norm(image) if normal else image
        return number(before, image)

    return answer


HIGHEST = [
    ("Right.", powers(200)),
    ("Right.", powers(300, number=lambda vector, image: 2 / np.linalg.norm(image))),
    ("never asked", lambda times, start: 0.1),
    ("never asked", lambda times, start: 2 / np.linalg.norm(start)),
    ("left the range", powers(3000, normal=False, number=lambda vector, image: 2 / np.linalg.norm(image))),
    ("too few", powers(1)),
    ("That is the sharpness".lower(), powers(200, number=lambda vector, image: vector @ image)),
    ("reaches the bottom", powers(200, number=lambda vector, image: 1 / (vector @ image))),
    ("squared", powers(200, number=lambda vector, image: 2 / (image @ image))),
    ("sum of all bends", lambda times, start: 2 / sum(times(row) @ row for row in np.eye(len(start)))),
    ("mean bend", lambda times, start: 2 / np.mean([times(row) @ row for row in np.eye(len(start))])),
    ("the highest rate is", powers(200, number=lambda vector, image: 0.3 / (vector @ image))),
    ("return one number", powers(200, number=lambda vector, image: vector)),
    ("return one number", lambda times, start: None),
]


@pytest.mark.parametrize(("words", "answer"), HIGHEST)
def test_the_highest_rate_on_a_bowl(capsys, words, answer):
    copy.copy(learning_rate.highest).check(answer)
    assert words in capsys.readouterr().out


@pytest.mark.parametrize("exercise", [learning_rate.course, learning_rate.highest], ids=["course", "highest"])
def test_the_printed_solutions_of_the_learning_rate_lesson_pass(capsys, exercise):
    exercise = copy.copy(exercise)
    for _ in range(3):
        exercise.check(lambda *arguments: None)
    namespace = {}
    exec(says(capsys, exercise.solution), {"np": np, "math": math}, namespace)
    (solution,) = namespace.values()
    assert "Right." in says(capsys, exercise.check, solution)


# ── gradient clipping ───────────────────────────────────────────────────────


def length(parts):
    return np.sqrt(sum((part**2).sum() for part in parts))


def shortened(scale):
    """An answer from what it multiplies every part by."""
    return lambda gradients, limit: [part * scale(part, gradients, limit) for part in gradients]


def exact(part, gradients, limit):
    return min(1, limit / length(gradients)) if length(gradients) else 1


def where_it_exceeds(gradients, limit):
    norm = np.linalg.norm(np.concatenate([part.ravel() for part in gradients]))
    return [part * limit / norm for part in gradients] if norm > limit else gradients


BY_NORM = [
    ("Right.", shortened(exact)),
    ("Right.", shortened(lambda part, g, limit: min(1, limit / (length(g) + 1e-6)))),
    ("Right.", where_it_exceeds),
    ("nothing was clipped", lambda gradients, limit: gradients),
    ("one norm over all parts", shortened(lambda part, g, limit: min(1, limit / length([part])))),
    ("turns the direction", lambda gradients, limit: [np.clip(part, -limit, limit) for part in gradients]),
    ("only shortens", shortened(lambda part, g, limit: limit / length(g))),
    ("root of the sum", shortened(lambda part, g, limit: min(1, limit / length(g) ** 2))),
    ("end with the limit", shortened(lambda part, g, limit: 1 / length(g) if length(g) > limit else 1)),
    ("norm is missing", shortened(lambda part, g, limit: limit if limit < 1 else exact(part, g, limit))),
    ("norms do not add up", shortened(lambda part, g, limit: min(1, limit / sum(length([p]) for p in g)))),
    ("must stay as it is", lambda g, limit: shortened(exact)(g, limit) if length(g) > limit else [0 * p for p in g]),
    ("should have norm", shortened(lambda part, g, limit: 0.5 * exact(part, g, limit))),
    ("return a list", lambda gradients, limit: length(gradients)),
    ("shapes", lambda gradients, limit: [part.ravel() for part in gradients]),
    ("zeros must stay zeros",
     lambda g, limit: shortened(exact)(g, limit) if length(g) else [np.full_like(p, np.nan) for p in g]),
]  # fmt: skip


@pytest.mark.parametrize(("words", "answer"), BY_NORM)
def test_clipping_by_norm(capsys, words, answer):
    copy.copy(gradient_clipping.by_norm).check(answer)
    assert words in capsys.readouterr().out


def test_the_clipping_that_is_asked_for_is_pytorchs():
    import torch

    rng = np.random.default_rng(3)
    gradients = [rng.normal(size=(4, 3)), rng.normal(size=3)]
    theirs = [torch.nn.Parameter(torch.zeros(part.shape)) for part in gradients]
    for parameter, part in zip(theirs, gradients, strict=True):
        parameter.grad = torch.tensor(part, dtype=torch.float32)
    torch.nn.utils.clip_grad_norm_(theirs, 0.7)
    for parameter, part in zip(theirs, gradient_clipping._solution(gradients, 0.7), strict=True):
        np.testing.assert_allclose(parameter.grad.numpy(), part, rtol=1e-5)


FROM_THE_LOG = [
    ("Right.", lambda norms: np.percentile(norms[np.isfinite(norms)], 90)),
    ("Right.", lambda norms: np.nanquantile(np.where(np.isinf(norms), np.nan, norms), 0.9)),
    ("NaN", lambda norms: np.percentile(norms, 90)),
    ("infinite", lambda norms: np.nanmax(norms)),
    ("would never clip", lambda norms: norms[np.isfinite(norms)].max()),
    ("carry it away", lambda norms: norms[np.isfinite(norms)].mean()),
    ("half of all updates", lambda norms: np.median(norms[np.isfinite(norms)])),
    ("nine in ten norms lie above", lambda norms: np.percentile(norms[np.isfinite(norms)], 10)),
    ("one in a hundred", lambda norms: np.percentile(norms[np.isfinite(norms)], 99)),
    ("all finite norms together",
     lambda norms: np.mean([np.percentile(row[np.isfinite(row)], 90) for row in norms])),
    ("return one number", lambda norms: norms[norms < 1]),
    ("a share", lambda norms: 0.9),
    ("lie above your threshold", lambda norms: 0.5),
]  # fmt: skip


@pytest.mark.parametrize(("words", "answer"), FROM_THE_LOG)
def test_a_threshold_from_the_log(capsys, words, answer):
    copy.copy(gradient_clipping.from_the_log).check(answer)
    assert words in capsys.readouterr().out
