"""What went wrong, from logs that were made to show it and from training that does."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import rnntips as rt
from rnntips.diagnosis import compared, diagnose
from rnntips.runs import evaluation_points

UPDATES = 200


def healthy(runs, scale, rng):
    """Logs that fall to a plateau well below naive, in any unit."""
    at = evaluation_points(UPDATES)

    def falling(times):
        noise = 1 + 0.005 * rng.standard_normal((runs, len(times)))
        return scale * (0.3 + np.exp(-np.asarray(times) / 12)) * noise

    valid = falling(at)
    return {"train_loss": falling(range(1, UPDATES + 1)), "gradient_norm": np.ones((runs, UPDATES)), "at": at,
            "valid_loss": valid, "score": valid[:, -1], "naive": scale * np.ones(runs), "floor": 0.2 * scale,
            "spread": np.full(runs, 0.9), "from_last": np.full(runs, 0.8)}  # fmt: skip


def diverged(log, rows, rng):
    first = int(rng.integers(1, UPDATES))
    log["train_loss"][rows, first - 1 :] = rng.choice([np.nan, np.inf])
    log["valid_loss"][np.ix_(rows, log["at"] >= first)] = np.nan
    for name in ("score", "spread", "from_last"):
        log[name][rows] = np.nan


def constant(log, rows, rng):
    log["spread"][rows] = 0.01
    log["score"][rows] = rng.choice([0.5, 1.1]) * log["naive"][rows]


def repeats(log, rows, rng):
    log["from_last"][rows] = 0.03
    log["score"][rows] = 0.99 * log["naive"][rows]


def overfits(log, rows, rng):
    log["valid_loss"][rows] *= 1 + np.maximum(0, (log["at"] - 60) / UPDATES)
    log["train_loss"][rows] *= np.linspace(1, 0.5, UPDATES)
    log["score"] = log["valid_loss"][:, -1].copy()


def falls(log, rows, rng):
    log["valid_loss"][rows] *= 1.5 - np.minimum(1, log["at"] / UPDATES)
    log["score"] = log["valid_loss"][:, -1].copy()


def unmoved(log, rows, rng):
    log["valid_loss"][rows] = rng.choice([0.995, 1.02, 7.0]) * log["naive"][rows, None]
    log["score"] = log["valid_loss"][:, -1].copy()


FAULTS = {"diverged": diverged, "constant-answers": constant, "repeats-last-value": repeats,
          "overfits": overfits, "still-falling": falls, "worse-than-naive": unmoved}  # fmt: skip
MAJORITY = ("overfits", "still-falling")
RECIPES = st.fixed_dictionaries({
    "clip": st.sampled_from(["global", "value"]), "clip_norm": st.sampled_from([None, 0.3, 1.0, 5.0]),
    "lr": st.sampled_from([1e-6, 1e-4, 0.01, 0.1]), "init": st.sampled_from(["uniform", "radius:1", "radius:2"]),
    "input_scaling": st.sampled_from(["none", "standard"]), "dropout": st.sampled_from([0.0, 0.2]),
    "target": st.sampled_from([None, "change"]), "updates": st.just(UPDATES), "train_size": st.sampled_from([None, 64]),
    "tuned": st.sampled_from([(), ("lr",)]),
})  # fmt: skip


def made(code, runs, hit, seed, scale=1.0):
    rng = np.random.default_rng(seed)
    log, rows = healthy(runs, scale, rng), np.sort(rng.permutation(runs)[:hit])
    if code:
        FAULTS[code](log, rows, rng)
    return log, rows


@pytest.mark.parametrize("code", [None, *FAULTS])
@given(runs=st.integers(1, 12), share=st.floats(0, 1), seed=st.integers(0, 99), scale=st.sampled_from([1e-3, 1, 1e4]))
@settings(max_examples=30, deadline=None)
def test_a_log_gets_the_code_of_the_fault_it_was_made_with_and_a_healthy_one_none(code, runs, share, seed, scale):
    hit = max(1, round(share * runs)) if code not in MAJORITY else -(-runs // 2)
    log, rows = made(code, runs, hit, seed, scale)
    found = diagnose(**log)
    assert [one.code for one in found.findings] == ([code] if code else []) and found.ok == (code is None)
    if code:
        (one,) = found.findings
        assert one.runs == tuple(rows) and one.do.startswith("Worth a try: ") and one.do.endswith(".")
        assert str(one).startswith("The run " if runs == 1 else f"{hit} of {runs} runs ")


@pytest.mark.parametrize("code", MAJORITY)
def test_what_a_noisy_curve_shows_by_chance_takes_half_of_the_runs(code):
    assert diagnose(**made(code, 10, 4, 0)[0]).ok and not diagnose(**made(code, 10, 5, 0)[0]).ok


@pytest.mark.parametrize("code", FAULTS)
@given(seed=st.integers(0, 99), recipe=RECIPES)
@settings(max_examples=60, deadline=None)
def test_nothing_is_advised_that_is_already_done_or_was_tried_in_vain(code, seed, recipe):
    """Nor to lower a learning rate that is tiny, or, before any weight has changed, to change how weights do."""
    log, _ = made(code, 2, 2, seed)
    for given_, tried in ((recipe, ()), (recipe | {"clip_norm": 9, "lr": 0.5}, [recipe])):
        for one in diagnose(tried, recipe=given_, **log).findings:
            for name, value in recipe.items():
                alone = one.do.count("=") == 1 or name != "clip"
                assert not (alone and f"({name}={value})" in one.do.replace('"', "")), one.do
    do = "".join(one.do for one in diagnose(recipe=recipe, **log).findings)
    assert recipe["lr"] > 1e-4 or "lower" not in do
    if code == "diverged":
        log["diverged_at"] = np.ones(2)
        do = diagnose(recipe=recipe, **log).findings[0].do
        assert "clip" not in do and "learning rate" not in do and do


def test_of_what_is_not_given_nothing_is_said():
    log, _ = made("diverged", 3, 2, 0)
    assert diagnose().ok and diagnose(naive=[1.0], score=[0.5]).ok and diagnose(train_loss=np.ones(10)).ok
    for name in ("train_loss", "gradient_norm"):
        (one,) = diagnose(**{name: log["train_loss"]}).findings
        assert one.code == "diverged" and len(one.runs) == 2
    everything = healthy(2, 1.0, np.random.default_rng(0))
    for name in everything.keys() - {"at"}:  # without it evaluations are evenly spaced, and these are not
        assert diagnose(**{other: value for other, value in everything.items() if other != name}).ok, name
    log, _ = made("overfits", 1, 1, 0)
    one_run = {name: log[name][0] for name in ("valid_loss", "train_loss")}
    assert [one.code for one in diagnose(**one_run).findings] == ["overfits"]
    assert "=" not in repr(diagnose(**one_run))  # other people's loops have no fields of a recipe


def test_a_loss_that_recovers_did_not_diverge():
    losses = np.ones((2, 9))
    losses[0, 3:5], losses[1, 6:] = np.inf, np.nan
    (one,) = diagnose(train_loss=losses).findings
    assert one.runs == (1,) and "at update 7" in one.measured


def test_where_a_linear_forecast_is_naive_nobody_is_told_to_train_longer():
    log, _ = made("worse-than-naive", 4, 4, 0)
    log["floor"] = log["naive"]
    log["score"] = 1.02 * log["naive"]
    (one,) = diagnose(**log).findings
    assert "a linear one does not either" in one.do


def test_answers_are_compared_with_the_truth_and_the_last_value():
    truth = np.arange(12.0).reshape(2, 6, 1)
    last = truth - 1
    np.testing.assert_allclose(compared(truth, truth, last, np.ones(2)), [[1, 1], [1, 1]])
    np.testing.assert_allclose(compared(last, truth, last, np.ones(2)), [[1, 1], [0, 0]])
    spread, away = compared(0 * truth, truth, None, np.ones(2))
    assert (spread == 0).all() and np.isnan(away).all()
    assert np.isnan(compared(np.nan * truth, truth, last, np.ones(2))).all()


WALK = rt.series.from_array(100 + np.cumsum(np.random.default_rng(0).normal(0, 1, 800)), name="walk")
SMALL = rt.Recipe(width=8, past=8, batch_size=8, updates=60)
STEEP = rt.Recipe(cell="tanh", width=24, init="radius:2", optimizer="sgd", lr=0.1, batch_size=32, updates=50)


@pytest.mark.parametrize(
    ("code", "recipe", "on"),
    [
        ("diverged", STEEP, rt.tasks.adding(16)),
        ("constant-answers", SMALL.but(optimizer="sgd", lr=1e-6, init="radius:0.01", past=24), rt.tasks.adding(16)),
        ("repeats-last-value", SMALL.but(target="change"), WALK),
        ("overfits", SMALL.but(width=24, train_size=8, lr=0.03, updates=400), rt.series.demand(weeks=3)),
        ("still-falling", SMALL.but(lr=0.003), rt.series.sines(steps=800)),
        ("worse-than-naive", SMALL.but(lr=1e-6), rt.series.sines(steps=800)),
    ],
    ids=FAULTS,
)  # fmt: skip
def test_training_that_goes_wrong_is_told(code, recipe, on):
    found = rt.train(recipe, on, seeds=range(4)).diagnosis
    assert code in [one.code for one in found.findings], found


def test_training_that_goes_well_is_told_nothing():
    recipe = SMALL.but(width=16, past=24, updates=1000, schedule="drop:0.1:0.5")
    runs = rt.train(recipe, rt.series.sines(steps=1500, noise=0.3), seeds=range(4))
    assert runs.diagnosis.ok, (runs.diagnosis, runs.scores)
