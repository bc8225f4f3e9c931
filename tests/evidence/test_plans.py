"""What a plan can say, on a made-up one: arms, settings, tuning, costs; its record computed, stored and read again."""

import json
import re
import tomllib
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from making import FILE, runs_of, scores

import evidence
import rnntips as rt
from evidence import records
from evidence.arms import Arm
from evidence.checks import CHECKS
from evidence.claim_word import MODALITIES
from evidence.claims import claims_of, tries
from evidence.findings import lines, page, plan_lines
from evidence.measures import MEASURES
from evidence.plans import Plan, work
from rnntips import figures
from rnntips.errors import BadArgument
from rnntips.jobs.execute import Resources
from rnntips.notebook.tips import ABOUT, UNTUNED, Tip
from rnntips.recipe import typed
from rnntips.tuning import TUNING_SEEDS, Pick, half_decades
from rnntips.verdict import size

FILE_OF_IT = tomllib.loads(FILE.read_text(encoding="utf-8"))["plan"]


def claims(**changes):
    """The made-up plan's claims, with changes to the one named `rate`, or to the whole plan under `plan`."""
    plan = FILE_OF_IT | changes.pop("plan", {})
    rate = {key: value for key, value in (plan["claims"]["rate"] | changes).items() if value is not None}
    return claims_of(plan | {"claims": {"rate": rate}}, ("sines", "demand"))


# ── arms and settings ───────────────────────────────────────────────────────


def test_the_tries_of_a_search_space_are_spread_evenly_on_a_log_scale(made):
    """Each part of a range once; a part of one range meets any part of the other; 1 − momentum counts."""
    some = tries({"optimizer": "sgd", "lr": {"between": [0.01, 1.0]}, "momentum": {"between": [0.0, 0.99]}}, 8)
    rates, left = np.log10([[one["lr"], 1 - one["momentum"]] for one in some]).T
    np.testing.assert_allclose(rates, -2 + 2 * (np.arange(8) + 0.5) / 8, atol=0.005)
    np.testing.assert_allclose(sorted(left), -2 + 2 * (np.arange(8) + 0.5) / 8, atol=0.03)
    assert abs(np.corrcoef(rates, left)[0, 1]) < 0.7 and some == tries({"lr": {"between": [0.01, 1.0]},
        "momentum": {"between": [0.0, 0.99]}}, 8)  # fmt: skip
    sides = made.claims["effort"].needs("sines")
    assert [len(side) for side in sides] == [4, 4]
    assert {arm.recipe.optimizer for arm in sides[1].values()} == {"adam"} and all(
        dict(key)["lr"] == arm.recipe.lr for side in sides for key, arm in side.items())  # fmt: skip


def test_fields_that_move_together_are_one_value_called_by_the_field_under_test(made):
    claim = made.claims["together"]
    baseline, variant = claim.sides
    assert baseline.diff(variant) == {"batch_size": (8, 16), "updates": (32, 16)}
    assert [claim.shown(value) for value in claim.values] == [8, 16]
    one, other = made.claims["epochs"].sides
    assert (one.budget, other.budget, one.updates) == (rt.epochs(1), rt.epochs(1), None)


def test_a_setting_brings_its_own_fields_and_the_data_are_those_it_names(made):
    arms = made.arms()
    assert {arm.recipe.cell for arm in arms["sines, tanh"]} == {"tanh"}
    assert {arm.recipe.horizon for arm in arms["sines, ten ahead"]} == {10}
    assert {arm.recipe.horizon for arm in arms["sines"]} == {1}
    one, other = (made.tip.task(setting) for setting in ("sines, tanh", "sines, GRU"))
    np.testing.assert_array_equal(one.values(3), other.values(3))
    baseline, variant, setting = made.tip.live()
    assert (baseline.cell, variant.cell, setting) == ("tanh", "tanh", "sines, tanh")
    assert made.tip.fields("sines, ten ahead") == {"horizon": 10} and made.tip.fields("sines") == {}


def test_a_choice_of_one_value_is_that_value_and_tuning_scores_it(made):
    """So the learning rate itself can be among several, and tuning seeds name its best and its worst value."""
    claim, (stored,) = made.claims["crucial"], [one for one in made.tip.record["claims"] if one["id"] == "crucial"]
    assert [claim.shown(value) for value in claim.values] == [0.0001, 0.01, 0.001]
    assert [side.lr for side in claim.sides] == [0.0001, 0.01, 0.001]
    picks = [made.pick("sines", needed[None]) for needed in claim.needs("sines")]
    assert [pick.values["lr"] for pick in picks] == [0.0001, 0.01, 0.001]
    best, *_, worst = sorted(picks, key=lambda pick: pick.score)
    found = stored["settings"]["sines"]
    assert found["sides"] == [str(side.values["lr"]) for side in (best, worst)]
    assert found["tuned"] == [[side.values["lr"]] * 2 for side in (best, worst)]


def rates_part(claim, best):
    """A part of a record in which these rates come out best: setting → (baseline's, variant's)."""

    def found(rate, favoured):
        errors = (0.3 + 0.1 * abs(np.log10(rate / favoured))) * (1 + 0.001 * np.arange(20))
        return scores(errors, validation_error=errors)

    return {setting: {arm: found(rate, favoured)
                      for tried, favoured in zip(claim.needs(setting), best[setting], strict=True)
                      for rate, arm in tried.items()} for setting in claim.settings}, {}  # fmt: skip


@pytest.mark.parametrize(
    ("tanh", "gru", "word"),
    [((0.1, 0.01), (0.1, 0.01), "SUPPORTED"), ((0.1, 0.01), (0.01, 0.01), "PARTLY: lower in 1 of 2, never higher"),
     ((0.01, 0.1), (0.01, 0.1), "CONTRADICTED"), ((0.01, 0.01), (0.1, 0.1), "NO DIFFERENCE"),
     ((0.1, 0.01), (0.01, 0.1), "DEPENDS ON the cell")],
)  # fmt: skip
def test_a_claim_about_the_best_rate_gets_its_word_cell_by_cell(made, tanh, gru, word):
    """The same data and change with two cells, as two settings, which are the levels of a condition."""
    claim = made.claims["deep"]
    levels = {claim.condition[setting]: claim.needs(setting)[0][0.01].recipe.cell for setting in claim.settings}
    assert levels == {"tanh": "tanh", "GRU": "gru"}
    part = rates_part(claim, {"sines, tanh": tanh, "sines, GRU": gru})
    found = records.judge(claim, [part, part])
    assert found["word"] == word and found["unit"] == "times" and found["what"] == "best learning rate"
    assert set(found["settings"]) == set(claim.settings) and found["repeated"]


# ── tuning and cost ─────────────────────────────────────────────────────────


def test_work_counts_every_product_and_no_window_that_is_left_out():
    """By hand: a tanh layer of 4 on one input, 10 steps; then 5 and 3 units once a window; three passes of 2 FLOP."""
    task = rt.tasks.forecast(rt.series.sines(steps=400))
    recipe = rt.Recipe(cell="tanh", width=4, past=10, batch_size=8, updates=7)
    above = recipe.but(**typed({"dense_after": [5, 3]}))
    assert 6 * 8 * 7 * 10 * 4 * (4 + 1) == work(recipe, task)
    assert 6 * 8 * 7 * (10 * 4 * (4 + 1) + 4 * 5 + 5 * 3) == work(above, task)
    few = recipe.but(budget=rt.epochs(3), train_size=80)
    assert 6 * 8 * 30 * 10 * 4 * (4 + 1) == work(few, task)


def test_the_cost_follows_what_is_tuned(made):
    """Both parts: ten seeds of each arm, and three tuning seeds at every value where something is tuned.

    At working size six seeds of each arm, two tuning seeds, and a search that begins with fewer rates.
    """

    def runs(*names):
        return made.cost([made.claims[name] for name in names])[0]

    assert runs("rate") == 2 * 2 * 20  # nothing is tuned
    assert runs("solved") == runs("beyond") == 2 * (20 + 2 * 9 * 3)  # seven half-decades, two quarters
    assert runs("together") == 2 * (2 * (20 + 2 * 9 * 3) + (12 + 2 * 6 * 2))
    assert runs("momentum") == 2 * (20 + 2 * 3 * 3)
    assert runs("coarse") == 20 + 2 * 4 * 3 + 20 + 2 * 3 * 3
    assert runs("regret") == 4 * 20 + 20 + 2 * 3 * 3
    assert runs("effort") == 2 * 4 * 20  # four tries of each side
    assert runs("deep") == 2 * 2 * 3 * 20  # two settings, two sides, three rates
    assert runs("beyond", "solved") == runs("solved") + 2 * 20  # tuned once for both
    assert runs("rate", "regret") == runs("rate") + runs("regret") - 2 * 20  # 0.01 and 0.001 untuned are in both
    assert made.cost() == made.cost(made.claims.values())


def standing_in(monkeypatch, valid=lambda arm: 0.5, seen=lambda arms, seeds: None):
    """Instead of training: runs with a validation error that follows from the recipe."""

    def train(arms, _task, seeds, *_):
        seen(arms, seeds)
        return [runs_of(arm, scores([0.5] * len(seeds)), valid(arm)) for arm in arms]

    for where in ("evidence.records", "rnntips.tuning"):
        monkeypatch.setattr(f"{where}.train_arms", train)


def near_a_hundredth(arm):
    """A validation error that is lowest at 0.01, flat enough for quarter-decades, and no search ends at an end."""
    return 0.5 + 0.01 * abs(np.log10(arm.lr) + 2)


def test_as_many_runs_are_expected_as_come(made, monkeypatch):
    counted = []
    standing_in(monkeypatch, near_a_hundredth, seen=lambda arms, seeds: counted.append(len(arms) * len(seeds)))
    monkeypatch.setattr("evidence.records._calibrated", lambda *_: {})
    monkeypatch.setattr("evidence.records._readings", lambda *_: {})
    monkeypatch.setattr("evidence.records.judge", lambda *_: {})
    for seeds, retune in ((None, True), (range(4), True), (range(4), False)):
        counted.clear()
        records.compute(made, seeds, retune, say=lambda line: None)
        assert sum(counted) == made.expected(seeds, retune)
    assert made.expected(None, True) == made.cost()[0]


def test_values_that_a_plan_lists_are_all_that_tuning_chooses_from(made, monkeypatch):
    """Even where they look like learning rates of a search, which would go beyond them."""
    standing_in(monkeypatch, valid=lambda arm: 0.01 / arm.lr)
    listed = half_decades(-4, -3)
    own, usual, untuned = Arm(made.base, "lr", tuple(listed)), Arm(made.base), Arm(made.base, UNTUNED)
    monkeypatch.setattr("rnntips.tuning.cap", lambda errors, _naive: errors)
    picks = records._tuned([own, usual, untuned], made.tip.task("sines"), Resources(), TUNING_SEEDS)
    assert picks[own].values == {"lr": listed[-1]} and picks[usual].values["lr"] > 0.1 and picks[untuned].values == {}


# ── what cannot be ──────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"measure": "spiks"}, "Did you mean 'spikes'"), ({"settings": ["sine"]}, "Did you mean 'sines'"),
        ({"modality": "typicaly"}, "Did you mean 'typically'"), ({"checks": ["rooom"]}, "Did you mean 'room'"),
        ({"named": None}, "needs named ="), ({"named": "sines, GRU"}, "needs named ="),
        ({"modality": "suggests"}, "needs named ="),
        ({"field": "lrr"}, "Did you mean 'lr'"), ({"claimed": "BETER"}, "Choose one of: BETTER, HIGHER"),
        ({"tuned": "momentun"}, "Did you mean 'momentum'"), ({"smalest": 0.1}, "Did you mean 'smallest'"),
        ({"baseline": {"lr": 0.1, "witdh": 3}, "variant": {"lr": 0.01, "witdh": 4}}, "Did you mean 'width'"),
        ({"tuned": "lr"}, "lr is tuned, so it cannot be under test"),
        ({"tuned": "dropout"}, r"dropout is tuned.*\[grids\]"), ({"claimed": "LOWER"}, "BETTER, WORSE or NO WORSE"),
        ({"measure": "best rate", "tuned": None}, "LOWER or HIGHER"),
        ({"measure": "best rate", "tuned": None, "claimed": "LOWER"}, "lr cannot be under test"),
        ({"measure": "best rate", "tuned": "lr", "claimed": "LOWER"}, "leave tuned out"),
        ({"measure": "best of 3 tries", "tuned": None}, "needs a side with ranges"),
        ({"field": "width", "baseline": {"width": 3, "lr": {"between": [0.1, 1]}}, "measure": "best of 3 tries",
          "variant": {"width": 4, "lr": {"between": [0.1, 1]}}, "tuned": None, "tries": 2}, "needs as many tries"),
        ({"measure": "best of 3 tries", "tuned": "lr"}, "looks at every try"),
        ({"baseline": {"lr": 0.1, "width": {"between": [1, 2]}}}, "use best of 3 tries"),
        ({"field": "width", "baseline": {"width": 3, "lr": {"between": [0.1]}}, "measure": "best of 3 tries",
          "variant": {"width": 4, "lr": {"between": [0.1, 1]}}, "tuned": None}, "two ends are needed"),
        ({"field": "width", "baseline": {"width": 3, "lr": {"between": [0, 1]}}, "measure": "best of 3 tries",
          "variant": {"width": 4, "lr": {"between": [0.1, 1]}}, "tuned": None}, "the lower first, above 0"),
        ({"measure": "regret"}, "needs baseline = { one_of"), ({"variant": 0.01}, "its sides are equal"),
        ({"baseline": {"lr": 0.1, "width": 4}}, "the same fields as the others"),
        ({"among": [0.1, 0.01]}, "here nothing is tuned"), ({"times": 2}, "here it chooses none"),
        ({"condition": {"name": "x"}}, "a level for each of its settings"),
        ({"recipe": {"lr": 0.5}}, "lr is given twice"),
        ({"settings": ["sines, tanh"], "recipe": {"cell": "gru"}}, "cell is given twice"),
        ({"settings": ["sines, tanh"], "field": "cell", "baseline": "gru", "variant": "lstm"}, "cell is given twice"),
        ({"field": "batch_size", "baseline": {"batch_size": 8, "budget": "five epochs"},
          "variant": {"batch_size": 4, "budget": "5 epochs"}}, "an amount and its unit"),
        ({"measure": "seconds per update", "recipe": {"grow": "4:0.5"}}, "growing windows do not"),
        ({"plan": {"settings": {"x": {"on": "sinus"}}}}, "Did you mean 'sines'"),
        ({"plan": {"settings": {"demand": {"cel": "gru"}}}}, "Did you mean 'cell'"),
        ({"plan": {"settings": {"sines": {"size": "workin"}}}}, "Did you mean 'working'"),
        ({"plan": {"settings": {"sines": {"size": "working"}}, "seeds": {"tuning": 3}}}, r"under \[seeds\]"),
    ],
    ids=str,
)  # fmt: skip
def test_what_a_plan_cannot_mean_is_said_before_anything_is_trained(changes, words):
    with pytest.raises(BadArgument, match=words):
        claims(**changes)


def test_what_a_measure_leaves_open_is_its_own_and_the_plans_hash_knows_it(made, monkeypatch):
    assert claims(measure="spikes")["rate"].smallest == MEASURES["spikes"].smallest == 1
    assert claims()["rate"].smallest == 0.05 and claims(smallest=0.2)["rate"].smallest == 0.2
    there = {"plan": {"settings": {"sines": {"smallest": 0.02}}}, "settings": ["sines", "demand"], "named": "sines"}
    for own, smallest in (({}, 0.02), ({"smallest": 0.2}, 0.2), ({"measure": "spikes"}, 1)):
        assert claims(**own, **there)["rate"].smallest_in("sines") == smallest, "a setting's is the plan's there"
    changed, before = Plan(Tip("made")), made.plan_hash
    changed.given["settings"]["sines, ten ahead"]["horizon"] = 12
    assert changed.plan_hash != before, "fields that a setting brings along are part of the meaning"
    monkeypatch.setitem(MEASURES, "spikes", replace(MEASURES["spikes"], smallest=2))
    assert Plan(Tip("made")).plan_hash != before


def test_the_read_me_names_every_measure_and_every_entry():
    text = (Path(evidence.__file__).parent / "README.md").read_text(encoding="utf-8")
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line[:2] == "| "]
    listed = {row[0].strip("`"): row[1:3] for row in rows if len(row) == 4}
    for name, measure in MEASURES.items():
        assert listed[name] == [measure.unit, size(measure.smallest, measure.unit)]
    explained = {word for row in rows for word in re.findall(r"`\[*(?:plan\.)?(?:claims\.X\.)?(\w+)", row[0])}
    entries = {entry for claim in FILE_OF_IT["claims"].values() for entry in claim}
    assert all(f"`{entry}`" in text or f"`{entry} = " in text for entry in (*ABOUT[1:], *FILE_OF_IT["seeds"]))
    assert all(f"| `{check}` " in text for check in CHECKS) and all(f'`"{one}"`' in text for one in MODALITIES)
    assert set(FILE_OF_IT) - {"claims"} | entries <= explained


# ── a record of it ──────────────────────────────────────────────────────────


def test_every_arm_has_one_entry_in_each_part_and_the_notebook_reads_the_same(made):
    for number, part in enumerate(made.tip.record["parts"]):
        for setting, arms in made.arms().items():
            entries = [made.stored(setting, arm, number) for arm in arms]
            assert entries == part["settings"][setting]
            for arm, entry, stored in zip(arms, entries, made.tip.arms(setting), strict=True):
                picked = {} if arm.tuned == UNTUNED else {arm.tuned: entry[arm.tuned]}
                assert made.pick(setting, arm, number).values == picked
                assert (stored.recipe, stored.tuned, stored.times) == (arm.recipe, arm.tuned, arm.times)
                assert stored.entries[number] == entry and len(entry["test_score"]) == made.size_of(setting).first


def test_a_setting_at_working_size_has_fewer_seeds_and_its_own_smallest_change(made):
    """The first of the plan's, in each part."""
    claim, (stored,) = made.claims["together"], [one for one in made.tip.record["claims"] if one["id"] == "together"]
    small, working = (stored["settings"][name] for name in ("sines", "sines, twenty ahead"))
    assert (small["size"], small["n"], small["smallest"]) == ("small", 20, 0.05)
    assert (working["size"], working["n"], working["smallest"]) == ("working", 12, 0.02) and stored["n"] == 20
    setting, arm = "sines, twenty ahead", claim.needs("sines, twenty ahead")[0][None]
    for number, part in enumerate(made.parts().values()):
        errors, recipe = made.stored(setting, arm, number)["test_score"], arm.picked(made.pick(setting, arm, number))
        again = rt.train(recipe, made.tip.task(setting), part.seeds[5:6])
        assert len(errors) == 6 and errors[5] == pytest.approx(again.test_score[0], rel=1e-4)
    assert "sines, twenty ahead, working size, 12 seeds: " in made.tip.rule()


def test_the_notebook_takes_the_rate_that_tuning_chose_out_of_the_whole_grid(made):
    """Not one of those that another claim lets be chosen out of a few, nor the live comparison's."""
    made.tip.plan["live"] |= {"field": "width", "baseline": 4, "variant": 8}
    for width in (4, 8):
        arm = Arm(made.base.but(width=width))
        assert made.tip.learning_rate("sines", arm.recipe) == made.pick("sines", arm).values["lr"]
    assert made.tip.learning_rate("sines", made.base.but(width=5)) == made.tip.plan["live"]["lr"] == 0.01


def test_beyond_the_tuned_rate_the_same_pick_is_multiplied(made):
    for beyond, tuned in zip(made.claims["beyond"].needs("sines"), made.claims["solved"].needs("sines"), strict=True):
        pick = made.pick("sines", tuned[None])
        assert made.pick("sines", beyond[None]) == pick
        assert beyond[None].picked(pick).lr == 30 * tuned[None].picked(pick).lr == 30 * pick.values["lr"]
        one, other = (made.stored("sines", arm[None]) for arm in (beyond, tuned))
        assert (one["times"], one["lr"]) == (30, other["lr"]) and one["test_score"] != other["test_score"]


def test_a_record_keeps_the_readings_that_its_claims_rest_on_and_no_others(made):
    record = made.tip.record
    kept = Counter(name for entry in record["parts"][0]["settings"]["sines"] for name in entry.get("readings", {}))
    axes = {f"{axis} to target ({way} % of the way)": 2 for way in (20, 30)
            for axis in ("updates", "examples", "seconds", "share of the budget")}  # fmt: skip
    assert kept == axes | {"spikes": 4, "training loss": 2, "seconds per update": 4, "validation error": 4 + 8}
    tanh = record["parts"][0]["settings"]["sines, tanh"]
    best_rate = [entry for entry in tanh if entry["width"] in (5, 8)]
    assert best_rate and all((("readings" in entry) == (entry in best_rate)) for entry in tanh)
    assert "timed on" in record and "machine" not in record


def test_what_is_live_is_found_in_the_record_and_keeps_its_own_rates(made):
    *recipes, setting = made.tip.live()
    assert [arm.recipe.lr for arm in made.live_arms()] == [0.01, 0.001]
    assert made.tip.learning_rate(setting, recipes[1]) == 0.001
    assert sum(records.live_shares(made, subsets=20).values()) == pytest.approx(1)


def test_liveness_covers_every_arm_of_every_setting_and_an_interrupt_ends_it(made, monkeypatch):
    monkeypatch.setattr(records, "TUNING_SEEDS", range(2))
    monkeypatch.setattr(records, "tune_arms", lambda arms, _task, grids, *_, **__: [
        Pick({name: values[0] for name, values in grids.items()}, 1.0)] * len(arms))  # fmt: skip
    said = []
    rows = records.liveness(made, say=said.append)
    assert len(rows) == len(said) == sum(map(len, made.arms().values()))
    assert json.loads(json.dumps(rows)) == rows and [row for row in rows if row["tuned"] == "none"]
    assert all(row["naive"] > row["floor"] > 0 for row in rows)
    assert max(row["progress"] for row in rows) > 0.3 > min(row["progress"] for row in rows)

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("rnntips.training._evaluate", interrupted)
    with pytest.raises(KeyboardInterrupt):
        records.liveness(made, say=said.append)


# ── how it is shown ─────────────────────────────────────────────────────────


def test_a_plan_on_a_terminal_says_what_is_not_as_usual(made):
    text = "\n".join(plan_lines(made))
    for said in (
        "batch_size: 8 (updates 32) → 16 (updates 16); score", "smallest 10 points", "smallest 1 per 1,000 updates",
        "updates to target (30 % of the way), claimed WORSE, smallest 25 %", "only ratios mean something",
        "best rate, claimed LOWER, smallest a factor of 1.8; on sines, tanh; sines, GRU", "nothing is tuned",
        "every side at every learning rate of 0.001, 0.01, 0.1", "tuned: momentum out of 0.0, 0.5, 0.9",
        "condition: the cell (tanh: sines, tanh | GRU: sines, GRU)", "tuned: clip_norm out of none, 1.0",
        "lr: one of 0.1, 0.01, 0.001, 0.0001 → one of 0.1, 0.001, 1e-06", "with optimizer sgd, lr 0.1",
        "tuning chooses each side's lr, and nothing else is tuned", "clip_norm: none → 1.0; range of rates",
        "the baseline is the value that proves best on the seeds themselves", "sines, ten ahead: sines with horizon 10",
        "trained at 30 times the learning rate that tuning picks",
    ):  # fmt: skip
        assert said in text, said


def test_a_record_in_words_has_each_claims_own_unit(made):
    """On a terminal, in the notebook and on the page; more of the best rate is neither better nor worse."""
    for claim in made.tip.record["claims"]:
        for found in claim["settings"].values():
            found |= {"tested": True, "verdict": "BETTER", "typical": -0.68}
    texts = "\n".join(lines(made.tip.record)), made.tip.table(), made.tip.rule(), page({"made": made})
    for text in texts:
        assert "sines, tanh: lower; best learning rate × 0.32" in text, "only of errors both sides' are shown"
        assert re.search(r"sines: better; \d+ of \d+ against \d+ of \d+; share of solved runs −68 points", text)
        assert "rate of loss spikes −0.7 per 1,000 updates" in text and "training time × 0.32" in text
    numbers = made.tip.numbers()
    assert (numbers["deep"]["sines, tanh"]["verdict"], numbers["rate"]["sines"]["verdict"]) == ("lower", "better")
    assert numbers["rate"]["sines"]["typical"] == "× 0.32"


def test_a_forest_gives_what_is_measured_alike_axes_of_its_own(made):
    """A row for each claim's word, and one for each setting that tested it."""
    record, ax = made.tip.record, figures.forest(made.tip)
    for claim in record["claims"]:
        for number, found in enumerate(claim["settings"].values()):
            found["tested"] = number == 0
    axes = {" ".join(one.get_xlabel().split()): one for one in figures.forest(made.tip).figure.axes}
    alike = {(claim["unit"], claim["what"]) for claim in record["claims"]}
    assert len(axes) == len(alike)
    rows = [label.get_text() for one in axes.values() for label in one.get_yticklabels()]
    assert len(rows) == 2 * len(record["claims"])

    def shown(what, unit):
        return next(axes[label] for label in axes if label.startswith(f"{what} of the variant") and unit in label)

    assert shown("rate of loss spikes", "(per 1,000 updates)")
    assert shown("share of solved runs", "(points of a hundred runs)")
    rates, (first, *_) = shown("best learning rate", "(times the baseline's)"), record["claims"][2]["settings"].values()
    (dot,) = [line.get_xdata()[0] for line in rates.get_lines() if line.get_marker() == "o"]
    assert rates.get_xscale() == "log" and dot == pytest.approx(1 + first["typical"])
    for found in record["claims"][4]["settings"].values():
        found["tested"] = False
    alone = figures.forest(made.tip, ["rate"])
    (label,), (said,) = alone.get_yticklabels(), alone.texts
    assert (label.get_text(), said.get_text()) == ("rate", record["claims"][4]["word"].lower()), "no setting tested it"
    with pytest.raises(BadArgument, match="One plot cannot hold number of updates, error"):
        figures.forest(made.tip, ["rate", "epochs"], ax=ax)
