"""The training loop: what a run depends on, and what may happen to it."""

import threading

import numpy as np
import pytest
import torch

import rnntips as rt
from rnntips.arguments import resolve_device
from rnntips.errors import BadArgument
from rnntips.training import first_states, train_stack

SHORT = rt.Recipe(updates=12, past=9, width=6, batch_size=5)
ARRAYS = ("train_loss", "valid_score", "test_scores", "gradient_norm", "weights", "trivial", "floor")


@pytest.fixture(scope="module")
def sines():
    return rt.series.sines(steps=600)


def same(a, b):
    return all(np.array_equal(getattr(a, name), getattr(b, name), equal_nan=True) for name in ARRAYS)


@pytest.mark.parametrize(
    "change",
    [{}, {"width": 7, "past": 13}, {"width": 1, "batch_size": 1}, {"cell": "lstm", "layers": 2, "width": 5},
     {"cell": "tanh", "clip_norm": 0.1}, {"width": 24, "batch_size": 16}, {"dropout": 0.3}, {"width": 3}, {"width": 11},
     {"width": 25}, {"noise": 0.3}, {"noise_between": 0.3, "layers": 2},
     {"noise_between": 0.1, "dense": (4,), "width": 7},
     {"dense_after": (7,), "width": 5}, {"dense_after": (3, 9), "noise_between": 0.1, "layers": 2},
     {"train_size": 20}, {"train_size": 7, "order": "time"}],
    ids=str,
)  # fmt: skip
def test_a_run_alone_equals_the_same_run_in_company_bit_for_bit(sines, change):
    recipe = SHORT.but(**change)
    company = rt.train(recipe, sines, range(20))
    for seeds in ([7], [13], [7, 3], [1, 7, 12]):
        found = rt.train(recipe, sines, seeds)
        for row, seed in enumerate(seeds):
            assert same(found.only([row]), company.only([seed]))


def test_a_run_does_not_depend_on_the_recipes_beside_it(sines):
    others = [SHORT.but(lr=0.1), SHORT.but(input_scaling="none"), SHORT, SHORT.but(target="change")]
    stack = train_stack(others, sines, [5, 5, 5, 6])
    assert same(stack.only([2]), rt.train(SHORT, sines, [5]))


def test_the_number_of_threads_changes_nothing_and_is_given_back(sines, monkeypatch):
    before = torch.get_num_threads()
    try:
        results = []
        for threads in (1, 2):
            torch.set_num_threads(threads)
            monkeypatch.setenv("RNNTIPS_THREADS", str(threads))
            results.append(rt.train(SHORT, sines, range(3)))
            assert torch.get_num_threads() == threads
        assert same(*results)
    finally:
        torch.set_num_threads(before)


def test_global_random_state_is_left_alone(sines):
    np.random.seed(0)
    torch.manual_seed(0)
    before = np.random.get_state()[1].copy(), torch.get_rng_state()
    rt.train(SHORT.but(dropout=0.2), sines, [0])
    assert np.array_equal(before[0], np.random.get_state()[1])
    assert torch.equal(before[1], torch.get_rng_state())


def test_one_update_of_sgd_is_the_hand_made_one(sines):
    recipe = SHORT.but(updates=1, optimizer="sgd", lr=0.5, batch_size=4)
    runs = rt.train(recipe, sines, [3])
    task = rt.tasks.forecast(sines)
    examples = task.examples(recipe, 3)
    order = rt.windows.batches("shuffled", len(examples.of(0)), 4, rt.tasks.stream("order", "sines", 3))
    chosen = examples.of(0)[order]
    start = torch.tensor(rt.models.initial_weights([recipe], "sines", [3], 1, 1))
    network = rt.models.Network("gru", 1, 6, 1, 1, start)
    errors = network(torch.tensor(examples.inputs(chosen))[None]) - torch.tensor(examples.targets[chosen])
    loss = errors.square().mean()
    expected = start - 0.5 * network.gradient(loss)
    loss = loss.detach()
    assert runs.train_loss[0, 0] == pytest.approx(float(loss), rel=1e-5)
    np.testing.assert_allclose(runs.weights, expected.detach().numpy(), atol=1e-6)


def test_training_learns(sines):
    runs = rt.train(rt.Recipe(updates=150, past=32, lr=0.01), sines, range(4))
    assert (runs.valid_score[:, -1] < 0.3 * runs.valid_score[:, 0]).all()
    assert (runs.floor < runs.test_score).all() and (runs.test_score < runs.trivial).all()
    assert all(outcome is rt.Outcome.FINISHED for outcome in runs.outcome)


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "rmsprop"])
def test_going_on_from_a_record_equals_training_without_a_break(sines, optimizer):
    recipe = SHORT.but(optimizer=optimizer, lr=0.01)
    whole = rt.train(recipe.but(updates=12), sines, [1, 2])
    first = rt.train(recipe.but(updates=5), sines, [1, 2])
    second = rt.train(recipe.but(updates=7), sines, [1, 2], start=first)
    np.testing.assert_array_equal(whole.weights, second.weights)
    np.testing.assert_array_equal(whole.train_loss, np.hstack([first.train_loss, second.train_loss]))
    with pytest.raises(BadArgument, match="same seeds"):
        rt.train(recipe, sines, [1, 3], start=first)


def test_a_run_that_diverges_is_an_outcome_at_its_update_and_touches_no_other(sines):
    wild = SHORT.but(optimizer="sgd", lr=1e18, cell="relu")
    calm = wild.but(lr=0.01)
    stack = train_stack([calm, wild, calm], sines, [0, 0, 1])
    at = stack.diverged_at[1]
    assert at > 0 and stack.diverged_at[0] == stack.diverged_at[2] == 0
    assert np.isfinite(stack.train_loss[1, : at - 1]).all() and not np.isfinite(stack.train_loss[1, at - 1])
    assert stack.outcome[1] is rt.Outcome.DIVERGED
    assert f"update {at}" in stack.message(1) and "smaller lr" in stack.message(1)
    assert same(stack.only([0, 2]), rt.train(calm, sines, [0, 1]))


def test_stop_keeps_what_was_recorded(sines):
    class StopsAtFive(rt.Runs):
        def advance(self, updates):
            super().advance(updates)
            if updates == 5:
                stop.set()

    stop = threading.Event()
    runs = rt.train(SHORT, sines, [0, 1], record=StopsAtFive(), stop=stop)
    assert runs.reached == 5 and all(outcome is rt.Outcome.STOPPED for outcome in runs.outcome)
    assert np.isfinite(runs.train_loss[:, :5]).all() and np.isnan(runs.train_loss[:, 5:]).all()
    assert np.isfinite(runs.latest_score).all()
    whole = rt.train(SHORT, sines, [0, 1])
    np.testing.assert_array_equal(whole.train_loss[:, :5], runs.train_loss[:, :5])


def test_an_interrupted_kernel_keeps_the_partial_record(sines):
    class Interrupted(rt.Runs):
        def advance(self, updates):
            super().advance(updates)
            if updates == 5:
                raise KeyboardInterrupt

    runs = rt.train(SHORT, sines, [0, 1], record=Interrupted())
    assert runs.stopped and runs.reached == 5 and np.isfinite(runs.train_loss[:, :5]).all() and runs.weights.size
    study = rt.compare(SHORT, SHORT.but(lr=1e-4), on=sines, seeds=range(10), record=Interrupted())
    assert study.stopped and study.verdict == "UNCLEAR"
    with pytest.raises(KeyboardInterrupt):
        train_stack([SHORT], sines, [0], record=Interrupted())


def test_first_states_of_large_raw_numbers_do_not_tell_windows_apart(sines):
    far = rt.series.sines(steps=600, offset=30_000.0)
    spread = {
        kind: first_states(SHORT.but(input_scaling=kind), far, [0, 1]).std(1).mean() for kind in ("none", "standard")
    }
    assert spread["none"] < 0.01 < 0.1 < spread["standard"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [({"seeds": []}, "seeds is empty"), ({"seeds": [1, 1]}, "seed 1 appears 2 times"), ({"seeds": [-1]}, "seed -1"),
     ({"seeds": [0.5]}, "seed 0.5"), ({"recipe": SHORT.but(batch_size=5000)}, "larger than the training part.*at most"),
     ({"recipe": SHORT.but(train_size=5000)}, "train_size=5000.*sines has [0-9]+ windows"),
     ({"device": "tpu"}, "'tpu'.*\"cpu\""), ({"on": [1, 2, 3]}, "from_array")],
)  # fmt: skip
def test_bad_arguments_are_named_before_any_training(sines, arguments, words):
    with pytest.raises(BadArgument, match=words):
        rt.train(**{"recipe": SHORT, "on": sines, "seeds": [0]} | arguments)


def test_a_gpu_that_is_not_there_is_an_error_in_words(sines, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(rt.errors.NoDevice, match="sees no GPU here"):
        rt.train(SHORT, sines, [0], device="cuda")


@pytest.mark.parametrize(
    ("asked", "named", "found"),
    [("auto", None, "cpu"), ("auto", "", "cpu"), ("auto", "cpu", "cpu"), ("auto", "cuda", "cuda"),
     ("cpu", "cuda", "cpu"), ("cuda", "cpu", "cuda"), ("cuda", None, "cuda")],
)  # fmt: skip
def test_a_gpu_is_used_by_those_who_ask_for_it(asked, named, found, monkeypatch):
    """In the call, or for all calls that ask for nothing, in the environment; a call stands above the environment."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.delenv("RNNTIPS_DEVICE", raising=False)
    if named is not None:
        monkeypatch.setenv("RNNTIPS_DEVICE", named)
    assert resolve_device(asked) == found


@pytest.mark.parametrize(("named", "words"), [("cuda", "^RNNTIPS_DEVICE=cuda: .*no GPU"),
                                              ("gpu", '^RNNTIPS_DEVICE=gpu: "cpu" or "cuda"')])  # fmt: skip
def test_the_environment_is_blamed_for_what_it_asked(named, words, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setenv("RNNTIPS_DEVICE", named)
    with pytest.raises(BadArgument, match=words):
        resolve_device("auto")
    assert resolve_device("cpu") == "cpu"


ORACLES = {
    "sgd": lambda p: torch.optim.SGD(p, 0.05, momentum=0.9, weight_decay=0.1),
    "nesterov": lambda p: torch.optim.SGD(p, 0.05, momentum=0.9, weight_decay=0.1, nesterov=True),
    "rmsprop": lambda p: torch.optim.RMSprop(p, 0.05, momentum=0.9, weight_decay=0.1),
    "adam": lambda p: torch.optim.Adam(p, 0.05, weight_decay=0.1),
}


@pytest.mark.parametrize("clip", ["global", "tensor", "value", "weights"])
@pytest.mark.parametrize("optimizer", ORACLES)
def test_the_whole_loop_equals_torch_with_clipping_decay_and_momentum(sines, optimizer, clip):
    """Three updates of a run, against `torch.nn`, `torch.optim` and `torch.nn.utils` on the same batches."""
    momentum, limit = 0.0 if optimizer == "adam" else 0.9, 0.2 if clip == "weights" else 0.02
    rule = {"optimizer": "sgd", "nesterov": True} if optimizer == "nesterov" else {"optimizer": optimizer}
    recipe = SHORT.but(updates=3, **rule, lr=0.05, momentum=momentum, weight_decay=0.1, clip=clip, clip_norm=limit)
    runs = rt.train(recipe, sines, [3])
    examples = rt.tasks.forecast(sines).examples(recipe, 3)
    order = rt.windows.batches("shuffled", len(examples.of(0)), 15, rt.tasks.stream("order", "sines", 3))
    rnn, readout = torch.nn.GRU(1, 6, batch_first=True), torch.nn.Linear(6, 1)
    start = torch.tensor(rt.models.initial_weights([recipe], "sines", [3], 1, 1)[0])
    network = rt.models.Network("gru", 1, 6, 1, 1, start[None])
    parameters = [rnn.weight_ih_l0, rnn.weight_hh_l0, rnn.bias_ih_l0, rnn.bias_hh_l0, readout.weight, readout.bias]
    with torch.no_grad():
        for theirs, mine in zip(parameters, network.parameters.values(), strict=True):
            theirs.copy_(mine[0].T if mine.dim() == 3 else mine[0])
    oracle = ORACLES[optimizer](parameters)
    for update in range(3):
        chosen = examples.of(0)[order[5 * update : 5 * update + 5]]
        states, _ = rnn(torch.tensor(examples.inputs(chosen)))
        loss = (readout(states[:, -1]) - torch.tensor(examples.targets[chosen])).square().mean()
        oracle.zero_grad()
        loss.backward()
        if clip == "value":
            torch.nn.utils.clip_grad_value_(parameters, limit)
        for group in [parameters] if clip == "global" else [[p] for p in parameters] if clip == "tensor" else []:
            torch.nn.utils.clip_grad_norm_(group, limit)
        oracle.step()
        if clip == "weights":
            with torch.no_grad():
                for parameter in parameters:
                    parameter.clamp_(-limit, limit)
        assert runs.train_loss[0, update] == pytest.approx(loss.item(), rel=1e-4)
    for theirs, where in zip(parameters, network.slices.values(), strict=True):
        expected = (theirs.T if theirs.dim() == 2 else theirs).detach().numpy().ravel()
        np.testing.assert_allclose(runs.weights[0, where], expected, atol=2e-4)


def test_dropout_silences_its_share_and_keeps_the_mean(sines):
    record = rt.Runs()
    recipe = SHORT.but(dropout=0.3, width=32, layers=2)
    record.begin([recipe] * 2, rt.tasks.forecast(sines), [0, 1], 100, "cpu")
    masks = rt.feed.Masks(record).draw(64)
    assert masks.shape == (2, 2, 64, 1, 32)
    assert masks.unique().tolist() == pytest.approx([0.0, 1 / 0.7])
    assert masks.mean().item() == pytest.approx(1.0, abs=0.03)
    assert not torch.equal(masks[0], masks[1])


@pytest.mark.parametrize("order", ["shuffled", "time"])
def test_so_many_windows_are_trained_on_and_fewer_are_among_more(sines, order):
    """Every update's windows lie in the choice; a run of another batch size has the same one, another seed has not."""
    task = rt.tasks.forecast(sines)

    def read(size, seed=3, **changes):
        recipe = SHORT.but(train_size=size, order=order, budget=rt.epochs(3), **changes)
        runs = rt.train(recipe, sines, [seed])
        feed = rt.feed.Feed(runs, [rt.feed.examples_of(recipe, task, seed)])
        assert runs.updates == 3 * size // recipe.batch_size
        return feed.begins[0].tolist()

    whole = rt.feed.examples_of(SHORT, task, 3)
    few, many = read(40), read(80)
    assert 40 == len(set(few)) and 3 * 40 == len(few) and 80 == len(set(many))
    assert set(few) < set(many) < set(whole.starts[whole.of(0)])
    assert set(few) == set(read(40, batch_size=8)) != set(read(40, seed=4))
    if order == "time":
        assert few[:40] == sorted(set(few))
    assert max(few) - min(few) > 0.7 * np.ptp(whole.starts[whole.of(0)])


def test_fewer_windows_change_neither_scales_nor_what_scores_are_read_between(sines):
    digits = rt.tasks.digits()
    for task in (sines, digits):
        all_of_them, few = (rt.train(SHORT.but(train_size=size), task, [3]) for size in (None, 30))
        for name in ("trivial", "floor", "valid_trivial"):
            np.testing.assert_array_equal(getattr(all_of_them, name), getattr(few, name))
        assert all_of_them.valid_score[0, 0] == few.valid_score[0, 0] and not same(all_of_them, few)


def test_noise_has_its_deviation_and_pairs_sides_of_any_noise_and_width(sines):
    """Inputs and layers each have a stream; windows that only fill the batch up get none."""
    fields = {"noise": 0.5, "noise_between": 0.2, "width": 16, "layers": 2, "dense": (8,), "batch_size": 200}

    def drawn(seeds=(0, 1), **changes):
        record, recipe = rt.Runs(), SHORT.but(**fields | changes)
        record.begin([recipe] * len(seeds), rt.tasks.forecast(sines), seeds, 100, "cpu")
        noise, updates = rt.feed.Noise(record), []
        for _ in range(2):
            inputs, between = noise.draw(203, 9, 1)
            layers = [] if between is None else between.split(noise.widths, 3)
            updates.append([part for part in (inputs, *layers) if part is not None])
        assert all((place[:, 200:] == 0).all() for places in updates for place in places)
        return [[place[:, :200] for place in places] for places in updates]

    first, second = drawn()
    assert [place.shape[3] for place in first] == [1, 8, 16, 16]
    for place, deviation in zip(first, [0.5, 0.2, 0.2, 0.2], strict=True):
        assert place.std().item() == pytest.approx(deviation, rel=0.05)
        assert abs(place.mean().item()) < 0.05 * deviation + 0.01
    different = [*first[2:], *second[2:]]
    assert len({place[r].sum().item() for place in different for r in range(2)}) == 8
    stronger = drawn([1, 5], noise=1.0, width=4)[0]
    torch.testing.assert_close(stronger[0][0], 2 * first[0][1])
    torch.testing.assert_close(stronger[1][0], first[1][1])
    assert len(drawn(noise=0.0)[0]) == 3 and len(drawn(noise_between=0.0)[0]) == 1


@pytest.mark.parametrize("changes", [{"noise": 0.3}, {"noise_between": 0.3, "layers": 2, "dense": (4,)}], ids=str)
def test_training_is_noisy_and_evaluation_is_not(sines, changes):
    """Without any learning the scores of all evaluations are those of a calm network; the losses are not."""
    calm = SHORT.but(lr=1e-30, **{name: value for name, value in changes.items() if "noise" not in name})
    stack = train_stack([calm.but(**changes), calm.but(**changes | {name: 0.6 for name in changes if "noise" in name})],
                        sines, [3, 3])  # fmt: skip
    quiet = rt.train(calm, sines, [3])
    for row in range(2):
        np.testing.assert_allclose(stack.valid_score[row], quiet.valid_score[0], rtol=1e-5)
        assert not np.isclose(stack.train_loss[row], quiet.train_loss[0], rtol=1e-5).any()
    assert not np.isclose(stack.train_loss[0], stack.train_loss[1], rtol=1e-5).any()


def test_a_start_that_does_not_fit_and_a_used_record_are_refused(sines):
    first = rt.train(SHORT, sines, [1, 2])
    for other in (SHORT.but(width=8), SHORT.but(cell="tanh"), SHORT.but(optimizer="sgd"), SHORT.but(layers=2),
                  SHORT.but(dense_after=(1,))):  # fmt: skip
        with pytest.raises(BadArgument, match="start= needs"):
            rt.train(other, sines, [1, 2], start=first)
    with pytest.raises(BadArgument, match="filled before"):
        rt.train(SHORT, sines, [1, 2], record=first)
    with pytest.raises(BadArgument, match="not a Recipe"):
        rt.train("gru", sines, [1])
    with pytest.raises(BadArgument, match=r"range\(10\)"):
        rt.train(SHORT, sines, 5)
