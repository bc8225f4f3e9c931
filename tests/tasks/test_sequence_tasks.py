"""Tasks that are no forecasts: their data, the naive score, the floor, and that networks learn them."""

import pickle
import re
import sys
from collections import Counter
from pydoc_data.topics import topics

import numpy as np
import pytest
import torch

import rnntips as rt
from rnntips.errors import BadArgument, BadData
from rnntips.jobs.store import key
from rnntips.runs import Runs
from rnntips.tasks import Digits, as_settings, text
from rnntips.tasks.text import ALPHABET
from rnntips.training import Job, train_jobs

SHORT = rt.Recipe(updates=6, width=6, batch_size=5, past=9)
ARRAYS = ("train_loss", "valid_score", "test_scores", "gradient_norm", "weights", "naive", "floor")
TASKS = {
    "digits": rt.tasks.digits(),
    "digits by rows": rt.tasks.digits(rows=True),
    "adding 2": rt.tasks.adding(2),
    "adding 11": rt.tasks.adding(11),
    "padded adding 9": rt.tasks.padded_adding(9),
    "digits by rows, counted": rt.tasks.digits(rows=True, scored="wrong"),
    "recall 4": rt.tasks.recall(4),
    "recall 5": rt.tasks.recall(5),
    "recall 5 of 3": rt.tasks.recall(5, symbols=3),
    "recall stream 3": rt.tasks.recall_stream(3),
    "recall stream 4": rt.tasks.recall_stream(4),
    "leaky 2.5": rt.tasks.leaky(2.5),
    "leaky 8": rt.tasks.leaky(8),
    "opposing 6": rt.tasks.opposing(6),
    "cue 4": rt.tasks.cue(4),
    "returns": rt.tasks.returns(),
    "returns as printed, 3 lags": rt.tasks.returns(printed=True, lags=3),
    "characters": rt.tasks.characters(),
}
CLASSES = {name for name in TASKS if TASKS[name].unit in ("nats", "share wrong")}
STREAMS = {
    name for name in TASKS if name.startswith(("recall stream", "leaky", "opposing", "cue", "returns", "characters"))
}  # past is theirs
every_task = pytest.mark.parametrize("name", TASKS)


def same(a, b):
    return all(np.array_equal(getattr(a, name), getattr(b, name), equal_nan=True) for name in ARRAYS)


# --- what holds for all of them


@every_task
def test_a_task_is_named_by_its_settings_and_travels(name):
    """As `on=` it is a setting of its own name, and a pickled copy is equal."""
    assert [name] == list(as_settings(TASKS[name]))
    assert pickle.loads(pickle.dumps(TASKS[name])) == TASKS[name]


@every_task
def test_data_belong_to_the_seed_and_not_to_the_recipe(name):
    """Both sides see the same windows and targets; another seed sees others."""
    otherwise = SHORT.but(cell="lstm", width=9, lr=0.5, horizon=4)
    first, again, other = (TASKS[name].examples(r, seed) for r, seed in [(SHORT, 3), (otherwise, 3), (SHORT, 4)])
    for part in ("signal", "starts", "targets", "truth", "part"):
        np.testing.assert_array_equal(getattr(first, part), getattr(again, part))
    assert not np.array_equal(first.signal, other.signal) or not np.array_equal(first.targets, other.targets)


@every_task
def test_no_window_is_in_two_parts(name):
    """All windows are drawn for one part, the parts follow each other, and none reaches into the next."""
    found = TASKS[name].examples(SHORT, 0)
    assert np.array_equal(found.part, np.sort(found.part)) and {0, 1, 2} == set(found.part.tolist())
    ends = [found.starts[found.of(part)].max() + found.steps for part in (0, 1)]
    begins = [found.starts[found.of(part)].min() for part in (1, 2)]
    assert ends[0] <= begins[0] and ends[1] <= begins[1]
    inputs = found.inputs(found.of(2))
    assert np.isfinite(inputs).all() and np.abs(inputs).max() < 6


@every_task
@pytest.mark.parametrize("change", [{}, {"dropout": 0.3}, {"cell": "tanh", "layers": 2}], ids=str)
def test_a_run_alone_equals_the_same_run_in_company_bit_for_bit(name, change):
    recipe = SHORT.but(**change)
    company = rt.train(recipe, TASKS[name], range(12))
    for seeds in ([7], [7, 3], [1, 7, 11]):
        found = rt.train(recipe, TASKS[name], seeds)
        for row, seed in enumerate(seeds):
            assert same(found.only([row]), company.only([seed]))


@every_task
def test_sides_start_alike_and_read_alike(name):
    """Sides that differ in the learning rate have the same first loss, and each is what it is alone."""
    sides = [SHORT.but(lr=1e-6), SHORT.but(lr=0.1)]
    (stack,) = train_jobs([Job([side for side in sides for _ in range(2)], [0, 1, 0, 1], TASKS[name])], [Runs()])
    np.testing.assert_array_equal(stack.train_loss[:2, 0], stack.train_loss[2:, 0])
    assert stack.train_loss[0, 0] != stack.train_loss[1, 0]
    assert same(stack.only([2, 3]), rt.train(sides[1], TASKS[name], [0, 1]))


@every_task
def test_runs_are_stored_under_names_of_their_own(name):
    """Tasks, seeds, heads and lengths are told apart; the same run has the same name."""
    head = "softmax+nll" if name in CLASSES else "linear+mse"
    keys = [key(SHORT, task, 0, "cpu") for task in TASKS.values()]
    keys += [key(SHORT, TASKS[name], 1, "cpu"), key(SHORT.but(head=head), TASKS[name], 0, "cpu")]
    keys += [key(SHORT.but(past=10), TASKS[name], 0, "cpu")]
    assert len(keys) == len(set(keys))
    assert key(SHORT, TASKS[name], 0, "cpu") in keys


@every_task
def test_the_floor_lies_below_trivial_and_a_network_between(name):
    """Before training nobody is at the floor; the bounds do not depend on the network."""
    task = TASKS[name]
    naive, floor, valid = task.bounds(SHORT, 2)
    assert 0 <= floor < naive and floor < valid
    assert (naive, floor, valid) == task.bounds(SHORT.but(cell="tanh", width=3, head=None), 2)
    runs = rt.train(SHORT.but(lr=1e-6), task, [2])
    assert runs.test_score[0] > floor and np.isfinite(runs.valid_score).all()
    assert (runs.naive, runs.floor, runs.valid_naive) == ([naive], [floor], [valid])


def test_counted_digits_are_scored_by_the_share_that_is_wrong():
    """Whatever the outputs mean, as long as their order stays; a run that diverged has no score."""
    task, truth = TASKS["digits by rows, counted"], np.eye(10)[[3, 1, 4, 1]][None]
    outputs = np.eye(10)[[3, 1, 5, 9]][None] - 0.2
    assert task.score(outputs, truth) == task.score(7 * outputs, truth) == 0.5
    assert np.isnan(task.score(np.full_like(outputs, np.nan), truth))
    found = task.examples(SHORT, 0)
    often = found.answers(found.of(0)).sum(0).argmax()
    assert task.bounds(SHORT, 0)[0] == 1 - found.answers(found.scored(2))[:, often].mean()
    with pytest.raises(BadArgument, match="nats"):
        rt.tasks.digits(scored="accuracy")


@pytest.mark.parametrize("name", sorted(CLASSES - {"digits by rows, counted"}))
def test_trivial_is_the_best_that_one_answer_to_all_windows_can_do(name):
    """Trained without inputs, on many windows, a readout bias comes to the naive score of the scored windows."""
    found = TASKS[name].examples(SHORT, 0)
    guess = TASKS[name].guess(found)
    truth = found.answers(found.scored(2))
    share = np.exp(guess) / np.exp(guess).sum()
    assert TASKS[name].bounds(SHORT, 0)[0] == pytest.approx(-np.mean(np.log(share[truth.argmax(1)])))
    np.testing.assert_allclose(share, found.answers(found.of(0)).mean(0), atol=0.02)


@every_task
@pytest.mark.parametrize(
    ("field", "value"),
    [("features", "differences:1"), ("target", "change"), ("patch", 3), ("lags", (2,)), ("split", "shuffled")],
)
def test_what_only_forecasts_have_is_refused(name, field, value):
    """The message names the field, the task and what to do."""
    if field == "patch" and field not in TASKS[name].ignores:
        pytest.skip("its steps can be read side by side")
    with pytest.raises(BadArgument, match=rf"{field}=.* is for forecasts, and {name} is none. Leave {field} out"):
        rt.train(SHORT.but(**{field: value}), TASKS[name], [0])


@every_task
@pytest.mark.parametrize("change", [{"input_scaling": "none"}, {"target_scaling": "none"}])
def test_a_field_that_changes_nothing_cannot_be_compared(name, change):
    with pytest.raises(BadArgument, match=rf"{next(iter(change))} changes nothing on {name}"):
        rt.compare(SHORT, SHORT.but(**change), TASKS[name], range(2))


# --- digits


def test_a_digit_by_pixels_and_by_rows_is_the_same_image():
    """64 steps of one value or 8 of eight, between 0 and 1, in reading order."""
    pixels, rows = (rt.tasks.digits(rows=r).draw(9, np.random.default_rng(5)) for r in (False, True))
    assert (pixels.steps, pixels.signal.shape[1], rows.steps, rows.signal.shape[1]) == (64, 1, 8, 8)
    images = rows.inputs(np.arange(1797))
    np.testing.assert_array_equal(pixels.inputs(np.arange(1797)).reshape(1797, 8, 8), images)
    np.testing.assert_array_equal(pixels.targets, rows.targets)
    assert (images.min(), images.max()) == (0, 1)
    counts = [len(rows.of(part)) for part in range(3)]
    assert counts == [1078, 359, 360] and rows.targets.sum() == 1797


def test_the_nearest_other_digit_is_right_as_often_as_the_floor_supposes():
    images = rt.tasks.digits().draw(9, np.random.default_rng(0))
    flat, labels = images.signal.reshape(1797, 64).astype(float), images.labels(np.arange(1797))
    squares = np.sum(flat**2, axis=1)
    distances = squares[:, None] + squares - 2 * np.einsum("ik,jk->ij", flat, flat)
    np.fill_diagonal(distances, np.inf)
    right = np.mean(labels == labels[distances.argmin(1)])
    assert right == pytest.approx(0.988, abs=0.0005)
    assert Digits().floor(images) == pytest.approx(
        -(right * np.log(right) + (1 - right) * np.log((1 - right) / 9)), rel=0.03
    )


def test_class_frequencies_of_digits_cost_about_ln_10():
    for seed in range(3):
        assert rt.tasks.digits().bounds(SHORT, seed)[0] == pytest.approx(np.log(10), abs=0.03)


def test_sorting_digits_by_class_feeds_class_after_class():
    """Every epoch has every window once, in the classes' order, and not twice in the same order within a class."""
    recipe = rt.Recipe(batch_size=11, updates=196, order="class", past=9)  # 196 · 11 = 2 · 1078
    task = rt.tasks.digits(rows=True)
    record, example = rt.Runs(), task.examples(recipe, 0)
    record.begin([recipe], task, [0], [task.bounds(recipe, 0)], 196, "cpu")
    begins = rt.loader.Loader(record, [example]).begins[0].reshape(2, 1078).numpy() // 8
    for epoch in begins:
        assert np.array_equal(np.sort(epoch), example.of(0))
        assert (np.diff(example.labels(epoch)) >= 0).all()
    assert not np.array_equal(*begins)


def test_windows_without_classes_cannot_be_sorted_by_them():
    with pytest.raises(BadArgument, match=r'order="class" sorts windows by class, and this task has none'):
        rt.compare(SHORT, SHORT.but(order="class"), rt.series.sines(600), range(2))


def test_sorted_digits_are_learned_worse_than_shuffled_ones():
    shuffled = rt.Recipe(updates=150, width=16, batch_size=16)
    study = rt.compare(shuffled, shuffled.but(order="class"), rt.tasks.digits(rows=True), range(10))
    assert study.verdict == "WORSE"


# --- adding


@pytest.mark.parametrize("length", [2, 3, 10])
def test_the_two_marked_numbers_of_adding_make_its_target(length):
    """Two marks, one in each half, and the target is their sum: read off the windows, one by one."""
    task = rt.tasks.adding(length)
    found = task.examples(SHORT, 1)
    windows = found.inputs(np.arange(len(found.starts)))
    assert windows.shape == (3000 + 64 + 192, length, 2)
    for window, target in zip(windows[::50], found.truth[::50], strict=True):
        first, second = np.flatnonzero(window[:, 1])
        assert 0 <= first < length // 2 <= second < length
        assert target[0] == pytest.approx(window[first, 0] + window[second, 0], abs=1e-6)
    where = windows[:, :, 1].sum(0)
    assert where.sum() == 2 * len(windows) and (where > 0).all()
    assert 0 <= windows.min() and windows.max() <= 1


def test_always_answering_1_errs_by_about_the_root_of_a_sixth():
    bounds = np.array([rt.tasks.adding(10).bounds(SHORT, seed) for seed in range(20)])
    np.testing.assert_allclose(bounds[:, [0, 2]].mean(0), np.sqrt(1 / 6), rtol=0.02)
    assert (bounds[:, 1] == 0).all()
    found = rt.tasks.adding(10).examples(SHORT, 0)
    assert bounds[0, 0] == pytest.approx(np.sqrt(np.mean((found.truth[found.scored(2)] - 1) ** 2)))


@pytest.mark.parametrize("length", [1, 0, -3, 2.5, True, "10", None])
def test_a_length_that_has_no_halves_is_refused(length):
    with pytest.raises(BadArgument, match=r"T=.*a whole number of at least 2"):
        rt.tasks.adding(length)


def test_values_cannot_be_named_by_classes():
    with pytest.raises(BadArgument, match=r"adding 2 asks for values in units. Use one of \"linear\+mse\""):
        rt.train(SHORT.but(head="softmax+nll"), TASKS["adding 2"], [0])
    with pytest.raises(BadArgument, match='order="class"'):
        rt.train(SHORT.but(order="class"), TASKS["adding 2"], [0])


# --- recall


@pytest.mark.parametrize(("length", "symbols"), [(1, 2), (5, 8), (12, 3)])
def test_recall_shows_its_symbol_first_and_nowhere_else(length, symbols):
    """A symbol, distractors, the signal; the target is the first step; one thing at a time."""
    found = rt.tasks.recall(length, symbols).examples(SHORT, 2)
    windows = found.inputs(np.arange(len(found.starts)))
    assert windows.shape == (3256, length + 2, symbols + 3)
    assert {0, 1} == set(np.unique(windows)) and (windows.sum(2) == 1).all()
    np.testing.assert_array_equal(windows[:, 0, :symbols], found.targets)
    assert (windows[:, -1, -1] == 1).all()
    distractors = windows[:, 1:-1, symbols : symbols + 2]
    assert (distractors.sum(2) == 1).all() and abs(distractors[..., 0].mean() - 0.5) < 0.05
    np.testing.assert_allclose(found.targets.mean(0), 1 / symbols, atol=0.03)


def test_a_guess_at_recall_costs_the_logarithm_of_the_symbols():
    for symbols in (2, 8):
        naive, floor, valid = rt.tasks.recall(3, symbols).bounds(SHORT, 0)
        assert (naive, valid) == pytest.approx([np.log(symbols)] * 2) and floor == 0


@pytest.mark.parametrize(
    ("arguments", "words"), [((0,), "L=0"), ((2.5,), "L=2.5"), ((5, 1), "symbols=1"), ((5, "a"), "symbols='a'")]
)
def test_recall_refuses_what_is_no_length(arguments, words):
    with pytest.raises(BadArgument, match=f"{words}: a whole number of at least"):
        rt.tasks.recall(*arguments)


# --- answers at every step


@pytest.mark.parametrize(("length", "past"), [(1, 2), (3, 9), (8, 24)])
def test_a_stream_asks_for_what_came_so_many_steps_ago(length, past):
    """Windows of −1 and 1; from step L on the answer is the input L steps before, and earlier ones do not count."""
    found = rt.tasks.recall_stream(length).examples(SHORT.but(past=past), 1)
    chosen = found.of(2)[:20]
    windows = found.inputs(chosen)[..., 0]
    answers = found.answers(chosen).reshape(20, past - length, 2)
    assert windows.shape == (20, past) and {-1, 1} == set(np.unique(windows))
    np.testing.assert_array_equal(windows[:, : past - length] > 0, answers.argmax(2) == 1)
    assert abs(found.signal.mean()) < 4 / np.sqrt(found.signal.size)
    naive, floor, _ = rt.tasks.recall_stream(length).bounds(SHORT.but(past=past), 1)
    assert (naive, floor) == (pytest.approx(np.log(2)), 0)


@pytest.mark.parametrize("tau", [0.5, 2.5, 20])
def test_a_leaky_sum_fades_by_its_factor(tau):
    """Every answer from the window's inputs, weighed one by one; late ones have variance 1."""
    found = rt.tasks.leaky(tau).examples(SHORT.but(past=80), 1)
    chosen = found.of(2)[:20]
    windows, answers = found.inputs(chosen)[..., 0], found.answers(chosen).reshape(20, 80)
    fade = np.exp(-1 / tau)
    for t in (0, 1, 7, 79):
        weights = np.sqrt(1 - fade**2) * fade ** np.arange(t, -1, -1)
        np.testing.assert_allclose(answers[:, t], windows[:, : t + 1] @ weights, atol=1e-4)
    assert found.answers(found.of(0)).reshape(-1, 80)[:, -1].std() == pytest.approx(1, abs=0.1)
    naive = rt.tasks.leaky(tau).bounds(SHORT.but(past=80), 1)[0]
    assert naive == pytest.approx(np.sqrt(np.mean(found.answers(found.scored(2)) ** 2)))


@pytest.mark.parametrize("tau", [2, 2.5, 16])
def test_far_inputs_oppose_near_ones_and_outweigh_them(tau):
    """Every answer from the window's inputs, weighed one by one; a level that lasts turns the sign; variance is 1."""
    task, lags = rt.tasks.opposing(tau), np.arange(80)
    found = task.examples(SHORT.but(past=80), 1)
    chosen = found.of(2)[:20]
    windows, answers = found.inputs(chosen)[..., 0], found.answers(chosen).reshape(20, 80)
    weights = 2 * np.exp(-4 * lags / tau) - np.exp(-lags / tau)
    weights /= np.sqrt(np.sum(weights**2))
    turn = tau * np.log(2) / 3
    assert (weights[lags < turn] > 0).all() and (weights[lags > turn] < 0).all() and weights.sum() < -0.2
    for t in (0, 1, 7, 79):
        np.testing.assert_allclose(answers[:, t], windows[:, : t + 1] @ weights[t::-1], atol=1e-3)
    assert found.answers(found.of(0)).reshape(-1, 80)[:, -1].std() == pytest.approx(1, abs=0.1)
    naive, floor, _ = task.bounds(SHORT.but(past=80), 1)
    assert naive == pytest.approx(np.sqrt(np.mean(found.answers(found.scored(2)) ** 2))) and floor == 0


def test_characters_are_those_of_this_pythons_documentation():
    """A window reads on in the text, and each answer is the next character; nothing but 32 symbols occurs."""
    found = rt.tasks.characters().examples(SHORT.but(past=40), 0)
    window, number = found.inputs(found.of(0)[100:101])[0], np.arange(32)
    text = "".join((ALPHABET + "?")[int(n)] for n in window @ number)
    assert window.shape == (40, 32) and (window.sum(1) == 1).all()
    answers = found.answers(found.of(0)[100:101]) @ number
    np.testing.assert_array_equal(window[11:] @ number, answers[:-1])  # the first ten do not count
    pages = re.sub(r"\s+", " ", " ".join(topics[name] for name in sorted(topics)).lower())
    assert text in re.sub(f"[^{re.escape(ALPHABET)}]", "?", pages)
    naive, floor, _ = rt.tasks.characters().bounds(SHORT.but(past=40), 0)
    assert 2.7 < naive < 3.1 and 1.2 < floor < 1.8


def test_the_floor_of_characters_is_an_n_gram_of_the_training_part():
    """Counted with a dictionary, one scored character after the other."""
    found = rt.tasks.characters().examples(SHORT.but(past=12), 3)
    train = found.signal[: found.starts[found.of(0)[-1]] + 12, 0].tobytes()
    counts = Counter(train[i : i + 4] for i in range(len(train) - 3))
    before = Counter(train[i : i + 3] for i in range(len(train) - 3))
    text, costs = found.signal[:, 0].tobytes() + found.targets[-1].tobytes(), []
    for start in found.starts[found.scored(2)]:
        for place in range(start + 4, start + 13):  # a quarter of 12 does not count
            gram = text[place - 3 : place + 1]
            costs.append(-np.log((counts[gram] + 1) / (before[gram[:3]] + 32)))
    assert rt.tasks.characters().floor(found) == pytest.approx(np.mean(costs))


@pytest.mark.parametrize(
    ("name", "head", "change"),
    [("recall stream 3", None, {}), ("recall stream 3", "linear+mse", {}), ("leaky 2.5", None, {"layers": 2}),
     ("characters", None, {"past": 12})],
    ids=str,
)  # fmt: skip
def test_updates_with_answers_at_every_step_equal_torch(name, head, change):
    """Two updates against `torch.nn` and `torch.optim` in float64; the loss is the mean over the steps that count."""
    recipe = SHORT.but(updates=2, optimizer="sgd", lr=0.1, momentum=0.9, head=head, **change)
    example = TASKS[name].examples(recipe, 3)
    order = rt.windows.batches("shuffled", len(example.of(0)), 10, rt.tasks.stream("order", name, 3))
    rnn = torch.nn.GRU(example.channels, 6, recipe.layers, batch_first=True).double()
    readout = torch.nn.Linear(6, example.outputs).double()
    start = torch.tensor(rt.models.initial_weights([recipe], name, [3], example.channels, example.outputs))
    network = rt.models.Network("gru", recipe.layers, 6, example.channels, example.outputs, start)
    names = [f"{kind}_l{k}" for k in range(recipe.layers) for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]
    parameters = [*(getattr(rnn, each) for each in names), readout.weight, readout.bias]
    with torch.no_grad():
        for theirs, mine in zip(parameters, network.parameters.values(), strict=True):
            theirs.copy_(mine[0].T if mine.dim() == 3 else mine[0])
    oracle = torch.optim.SGD(parameters, 0.1, momentum=0.9)
    runs = rt.train(recipe, TASKS[name], [3])
    for update in range(2):
        chosen = example.of(0)[order[5 * update : 5 * update + 5]]
        states, _ = rnn(torch.tensor(example.inputs(chosen)).double())
        outputs = readout(states[:, example.skip :]).flatten(0, 1)
        targets = torch.tensor(example.answers(chosen)).double()
        if name in CLASSES and head is None:
            loss = torch.nn.functional.cross_entropy(outputs, targets.argmax(1))
        else:
            loss = torch.nn.functional.mse_loss(outputs, targets)
        oracle.zero_grad()
        loss.backward()
        oracle.step()
        assert runs.train_loss[0, update] == pytest.approx(loss.item(), rel=1e-4)
    for theirs, where in zip(parameters, network.slices.values(), strict=True):
        expected = (theirs.T if theirs.dim() == 2 else theirs).detach().numpy().ravel()
        np.testing.assert_allclose(runs.weights[0, where], expected, atol=1e-5)


@pytest.mark.parametrize("name", ["recall stream 3", "leaky 2.5", "characters"])
def test_every_answer_that_counts_is_scored(name):
    """The score of a trained record, computed again from its weights, window by window."""
    recipe, task = SHORT.but(past=11), TASKS[name]
    runs, found = rt.train(recipe, task, [2]), task.examples(recipe, 2)
    network = rt.models.Network("gru", 1, 6, found.channels, found.outputs, torch.tensor(runs.weights))
    outputs, truth = [], []
    for window in found.scored(2):
        with torch.no_grad():
            states = network.states(torch.tensor(found.inputs(np.array([window]))[None]))[0, 0]
        weight, bias = (network.parameters[f"readout_{part}"][0].detach() for part in ("weight", "bias"))
        outputs.append((states @ weight + bias)[found.skip :].numpy())
        truth.append(found.answers(np.array([window])))
    score = task.score(np.concatenate(outputs)[None].astype(float), np.concatenate(truth)[None])
    assert runs.test_scores[0, -1] == pytest.approx(score[0], rel=1e-5)


def test_no_more_answers_are_scored_than_there_is_time_for():
    """Windows of 32 answers or fewer are scored as many as others; of longer ones fewer, but never below twelve."""

    def count(past):
        return len(rt.tasks.leaky(3).examples(SHORT.but(past=past), 0).scored(2))

    assert (count(5), count(32), count(64), count(1000), count(10_000)) == (192, 192, 96, 12, 12)


@pytest.mark.parametrize(
    ("make", "words"),
    [(lambda: rt.tasks.recall_stream(0), "L=0: a whole number of at least 1"),
     (lambda: rt.tasks.leaky(0), "tau=0: a number above 0"),
     (lambda: rt.tasks.opposing(-1), "tau=-1: a number of at least 2"),
     (lambda: rt.tasks.opposing(1.9), "tau=1.9: a number of at least 2"),
     (lambda: rt.tasks.leaky(float("inf")), "tau=inf: a number"),
     (lambda: rt.tasks.leaky("9"), "tau='9': a number"),
     (lambda: rt.train(SHORT, rt.tasks.recall_stream(9), [0]), "past=9 end before the first answer.*past=10 or"),
     (lambda: rt.train(SHORT.but(past=200_000), rt.tasks.characters(), [0]), "do not fit.*Use past=[0-9]+ or less"),
     (lambda: rt.train(SHORT.but(order="class"), rt.tasks.recall_stream(3), [0]), 'order="class"'),
     (lambda: rt.training.predict(rt.train(SHORT, TASKS["leaky 8"], [0]), TASKS["leaky 8"], 5), "one value a window")],
    ids=range(10),
)  # fmt: skip
def test_streams_refuse_in_words(make, words):
    with pytest.raises(BadArgument, match=words):
        make()


def test_a_python_without_its_documentation_is_told_so(monkeypatch):
    text._text.cache_clear()
    monkeypatch.setitem(sys.modules, "pydoc_data.topics", None)
    with pytest.raises(BadData, match=r"comes without its documentation"):
        rt.train(SHORT, rt.tasks.characters(), [0])


# --- learning


@pytest.mark.parametrize(
    ("task", "past", "reach"),
    [(rt.tasks.recall_stream(4), 12, 0.3), (rt.tasks.leaky(5), 24, 0.2), (rt.tasks.characters(), 24, 0.8)],
    ids=lambda value: getattr(value, "name", ""),
)
def test_a_small_network_learns_to_answer_at_every_step(task, past, reach):
    runs = rt.train(rt.Recipe(updates=200, width=24, lr=0.02, past=past), task, range(3))
    assert (runs.test_score < reach * runs.naive).all() and (runs.test_score >= runs.floor).all()


def test_a_small_network_recalls_a_symbol_over_five_steps():
    runs = rt.train(rt.Recipe(updates=300, width=24, lr=0.02), rt.tasks.recall(5), range(4))
    assert (runs.test_score < 0.1 * np.log(8)).all() and runs.unit == "nats"


def test_a_small_network_solves_adding_of_ten_numbers():
    runs = rt.train(rt.Recipe(updates=300, width=24, lr=0.01), rt.tasks.adding(10), range(4))
    assert (runs.test_score < 0.1).all() and runs.unit == "units"


@pytest.mark.parametrize("head", [None, "linear+mse"])
def test_a_small_network_learns_digits_by_rows(head):
    """A quarter of the naive loss after 300 updates; a linear readout is judged by likelihood as well."""
    runs = rt.train(rt.Recipe(updates=300, width=24, lr=0.01, head=head), TASKS["digits by rows"], range(4))
    assert (runs.test_score < 0.27 * runs.naive).all() and (runs.test_score > runs.floor).all()
    assert runs.unit == "nats"


def test_two_readouts_of_classes_are_compared_by_one_score():
    """The losses differ, the nats do not: naive is the same, and the linear side's score is a likelihood too."""
    plain = rt.Recipe(updates=100, width=16, lr=0.01, head="softmax+nll")
    study = rt.compare(plain, plain.but(head="linear+mse"), TASKS["digits by rows"], range(10))
    ours, theirs = study.runs["digits by rows"]
    np.testing.assert_array_equal(ours.naive, theirs.naive)
    assert ours.train_loss[:, 0].mean() == pytest.approx(np.log(10), abs=0.2) and theirs.train_loss[0, 0] < 0.5
    assert study.verdict in ("BETTER", "WORSE", "SAME", "UNCLEAR") and study.label == "head: softmax+nll → linear+mse"


# --- lengths


def test_tokens_count_the_tasks_own_steps():
    """10,000 steps are 10,000 / (5 · 64) updates on pixels and 10,000 / (5 · 8) on rows, whatever `past` is."""
    recipe = rt.Recipe(budget=rt.tokens(10_000), width=4, batch_size=5, past=1)
    for name, steps in (("digits", 64), ("digits by rows", 8), ("adding 2", 2), ("leaky 8", 1)):
        assert rt.train(recipe, TASKS[name], [0]).updates == round(10_000 / 5 / steps)


@pytest.mark.parametrize("name", sorted(TASKS.keys() - STREAMS))
def test_past_changes_nothing_where_the_task_has_its_own_length(name):
    assert same(*(rt.train(SHORT.but(past=past), TASKS[name], [0]) for past in (1, 50)))
    with pytest.raises(BadArgument, match=f"past changes nothing on {name}, which makes its own windows"):
        rt.compare(SHORT, SHORT.but(past=20), TASKS[name], range(2))


def test_classes_are_not_shown_as_a_forecast():
    runs = rt.train(SHORT, TASKS["digits by rows"], [0])
    with pytest.raises(BadArgument, match="digits by rows does not ask for one value a window"):
        rt.training.predict(runs, TASKS["digits by rows"], 5)
