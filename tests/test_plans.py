"""What a plan can say, on a made-up one: sides, settings, tuning, costs; its record computed, stored and read again."""

import json
import re
import shutil
import tomllib
from collections import Counter
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from test_tips import alike

import rnntips as rt
from rnntips import figures, ledger, plans, records
from rnntips.errors import BadArgument
from rnntips.evidence import change, size
from rnntips.findings import lines, page, plan_lines
from rnntips.measures import MEASURES
from rnntips.progress import expected
from rnntips.sides import UNTUNED, Side, restored
from rnntips.tips import Tip
from rnntips.tuning import TUNING_SEEDS, Pick, half_decades

TIPS = import_module("rnntips.tips")  # `rnntips.tips` is the registry
FILE = Path(__file__).parent / "made_up.toml"
KNOWN = ("sines", "demand")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A data folder with the made-up plan, its texts, and its record, computed."""
    where = tmp_path_factory.mktemp("data")
    for name in ("plans", "records", "texts"):
        (where / name).mkdir()
    shutil.copy(FILE, where / "plans" / "made.toml")
    texts = (f'[{claim}]\nshort = "{claim}"\n' for claim in tomllib.loads(FILE.read_text())["claims"])
    (where / "texts" / "made.toml").write_text("".join(texts))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TIPS, "DATA", where)
        record = records.compute(Tip("made"), retune=True, device="cpu", say=lambda line: None)
    (where / "records" / "made.json").write_text(json.dumps(record))
    return where


@pytest.fixture
def made(folder, monkeypatch):
    monkeypatch.setattr(TIPS, "DATA", folder)
    monkeypatch.setattr(ledger, "_path", lambda tip: folder / f"{tip}.jsonl")
    return Tip("made")


def claims(**changes):
    """The made-up plan's claims, with changes to the one named `rate`, or to the whole plan under `plan`."""
    plan = tomllib.loads(FILE.read_text(encoding="utf-8")) | changes.pop("plan", {})
    plan["claims"] = {"rate": {key: value for key, value in (plan["claims"]["rate"] | changes).items()
                               if value is not None}}  # fmt: skip
    return plans.claims_of(plan, KNOWN)


# ── what stands ─────────────────────────────────────────────────────────────


def test_the_scaling_plan_its_seeds_and_its_words_are_what_they_were():
    tip = rt.tips["scaling"]
    assert (tip.plan_hash, tip.version) == ("5074a77cfaa4", 3)
    assert tip.parts()["fresh"][1][:5] == [145080, 537833, 806561, 918145, 434089]
    assert [claim["word"] for claim in tip.record["claims"]] == list(tip.words.values()) == [
        "DEPENDS ON where the raw numbers lie", "SUPPORTED", "CONTRADICTED", "SUPPORTED"]  # fmt: skip
    again = records.parts_of(tip)
    assert [records.judge(claim, again)["word"] for claim in tip.plans.values()] == list(tip.words.values())
    assert set(tip.meaning) == {"plan", "task", "data"} and "| typical change in error |" in tip.table()


# ── sides and settings ──────────────────────────────────────────────────────


def test_fields_that_move_together_are_one_value_called_by_the_field_under_test(made):
    claim = made.plans["together"]
    baseline, variant = claim.sides
    assert baseline.diff(variant) == {"batch_size": (8, 16), "updates": (40, 20)}
    assert [claim.shown(value) for value in claim.values] == [8, 16]
    one, other = made.plans["epochs"].sides
    assert (one.budget, other.budget, one.updates) == (rt.epochs(1), rt.epochs(1), None)


def test_a_setting_brings_its_own_fields_and_the_data_are_those_it_names(made):
    sides = made.sides()
    assert {side.recipe.cell for side in sides["sines, tanh"]} == {"tanh"}
    assert {side.recipe.horizon for side in sides["sines, ten ahead"]} == {10}
    assert {side.recipe.horizon for side in sides["sines"]} == {1}
    np.testing.assert_array_equal(made.task("sines, tanh").record(3), made.task("sines, GRU").record(3))
    baseline, variant, setting = made.live()
    assert (baseline.cell, variant.cell, setting) == ("tanh", "tanh", "sines, tanh")
    assert made.fields("sines, ten ahead") == {"horizon": 10} and made.fields("sines") == {}


def test_one_condition_can_ask_whether_a_claim_holds_for_both_cells(made):
    """The same data and change with two cells, as two settings."""
    claim = made.plans["deep"]
    levels = {claim.condition[setting]: claim.needs(setting)[0][0.01].recipe.cell for setting in claim.settings}
    assert levels == {"tanh": "tanh", "GRU": "gru"}
    found = records.judge(claim, records.parts_of(made))
    assert set(found["settings"]) == set(claim.settings) and len(found["gap"]) == 2


def test_a_choice_of_one_value_is_that_value_and_tuning_scores_it(made):
    """So the learning rate itself can be among several, and tuning seeds name its best and its worst value."""
    claim, stored = made.plans["crucial"], {claim["id"]: claim for claim in made.record["claims"]}["crucial"]
    assert [claim.shown(value) for value in claim.values] == [0.0001, 0.01, 0.001]
    assert [side.lr for side in claim.sides] == [0.0001, 0.01, 0.001]
    picks = [made.pick("sines", needed[None]) for needed in claim.needs("sines")]
    assert [pick.values["lr"] for pick in picks] == [0.0001, 0.01, 0.001]
    best, *_, worst = sorted(picks, key=lambda pick: pick.score)
    found = stored["settings"]["sines"]
    assert (found["baseline"], found["variant"]) == (best.values["lr"], worst.values["lr"])


def rates_part(claim, best):
    """A part of a record in which these rates come out best: setting → (baseline's, variant's)."""
    results = {}
    for setting in claim.settings:
        results[setting] = {}
        for tried, favoured in zip(claim.needs(setting), best[setting], strict=True):
            for rate, side in tried.items():
                error = 0.3 + 0.1 * abs(np.log10(rate / favoured))
                scores = [error * (1 + 0.001 * k) for k in range(20)]
                row = {"test_score": scores, "trivial": [1.0] * 20, "floor": [0.0] * 20}
                results[setting][side] = restored(side.recipe, row | {"readings": {"validation error": scores}})
    return results, {}


@pytest.mark.parametrize(
    ("tanh", "gru", "word"),
    [((0.1, 0.01), (0.1, 0.01), "SUPPORTED"), ((0.1, 0.01), (0.01, 0.01), "DEPENDS ON the cell"),
     ((0.01, 0.1), (0.01, 0.1), "CONTRADICTED"), ((0.01, 0.01), (0.1, 0.1), "NO DIFFERENCE"),
     ((0.1, 0.01), (0.01, 0.1), "DEPENDS ON the cell")],
)  # fmt: skip
def test_a_claim_about_the_best_rate_gets_its_word_cell_by_cell(made, tanh, gru, word):
    claim = made.plans["deep"]
    part = rates_part(claim, {"sines, tanh": tanh, "sines, GRU": gru})
    found = records.judge(claim, [part, part])
    assert found["word"] == word and found["unit"] == "times" and found["what"] == "best learning rate"


# ── tuning and cost ─────────────────────────────────────────────────────────


def test_what_is_tuned_is_the_claims_or_the_plans(made):
    tuned = {name: {(side.tuned, side.choices) for tried in claim.needs(claim.settings[0]) for side in tried.values()}
             for name, claim in made.plans.items()}  # fmt: skip
    assert tuned["together"] == tuned["solved"] == {("lr", ())}
    assert tuned["rate"] == tuned["deep"] == tuned["usable"] == {(UNTUNED, ())}
    assert tuned["clipped"] == {("clip_norm", (None, 1.0))}
    assert [side.clip_norm for side in made.plans["usable"].sides] == [None, 1.0]
    assert tuned["momentum"] == {("momentum", (0.0, 0.5, 0.9))}
    assert tuned["coarse"] == {("lr", (0.1, 0.01, 0.001, 0.0001)), ("lr", (0.1, 0.001, 1e-6))}
    assert tuned["regret"] == {(UNTUNED, ()), ("lr", (0.1, 0.001, 1e-6))}


def test_work_counts_every_product_and_no_window_that_is_left_out():
    """By hand: a tanh layer of 4 on one input, 10 steps; then 5 and 3 units once a window; three passes of 2 FLOP."""
    task = rt.tasks.forecast(rt.series.sines(steps=400))
    recipe = rt.Recipe(cell="tanh", width=4, past=10, batch_size=8, updates=7)
    above = recipe.but(**plans.typed({"dense_after": [5, 3]}))
    assert 6 * 8 * 7 * 10 * 4 * (4 + 1) == plans.work(recipe, task)
    assert 6 * 8 * 7 * (10 * 4 * (4 + 1) + 4 * 5 + 5 * 3) == plans.work(above, task)
    few = recipe.but(budget=rt.epochs(3), train_size=80)
    assert 6 * 8 * 30 * 10 * 4 * (4 + 1) == plans.work(few, task)


def test_the_cost_follows_what_is_tuned(made):
    """Both parts: ten seeds of each side, and three tuning seeds at every value where something is tuned."""

    def runs(name):
        return made.cost([made.plans[name]])[0]

    assert runs("rate") == 2 * 2 * 20  # nothing is tuned
    assert runs("solved") == 2 * (20 + 2 * 7 * 3)  # seven half-decades
    assert runs("momentum") == 2 * (20 + 2 * 3 * 3)
    assert runs("coarse") == 20 + 2 * 4 * 3 + 20 + 2 * 3 * 3
    assert runs("regret") == 4 * 20 + 20 + 2 * 3 * 3
    assert runs("deep") == 2 * 2 * 3 * 20  # two settings, two sides, three rates
    assert runs("beyond") == runs("solved")
    assert made.cost([made.plans["beyond"], made.plans["solved"]])[0] == runs("solved") + 2 * 20  # tuned once for both
    both = made.cost([made.plans["rate"], made.plans["regret"]])[0]
    assert both == runs("rate") + runs("regret") - 2 * 20  # 0.01 and 0.001 untuned are in both
    assert made.cost() == made.cost(made.plans.values())


def test_progress_expects_the_runs_that_come(made, monkeypatch):
    done = []
    monkeypatch.setattr("rnntips.tuning.half_decades", lambda low, high: [0.01])  # an edge on both sides, and stays
    counted = Counter()

    def train(sides, task, seeds, *_, **__):
        counted["runs"] += len(sides) * len(seeds)
        done.append(len(seeds))
        row = {"trivial": [1.0] * len(seeds), "floor": [0.0] * len(seeds), "test_score": [0.5] * len(seeds)}
        found = [restored(side, row) for side in sides]
        for some in found:
            some.valid_score, some.valid_trivial = np.full((len(seeds), 3), 0.5), np.ones(len(seeds))
        return found

    monkeypatch.setattr("rnntips.records.train_sides", train)
    monkeypatch.setattr("rnntips.tuning.train_sides", train)
    monkeypatch.setattr("rnntips.records._calibrate", lambda *_: None)
    monkeypatch.setattr("rnntips.records._readings", lambda *_: {})
    monkeypatch.setattr("rnntips.records.judge", lambda *_: {})
    records.compute(made, retune=True, say=lambda line: None)
    assert counted["runs"] == expected(made, None, True) == made.cost()[0]
    counted.clear()
    records.compute(made, seeds=range(4), retune=True, say=lambda line: None)
    assert counted["runs"] == expected(made, range(4), True)


def test_values_that_a_plan_lists_are_all_that_tuning_chooses_from(made, monkeypatch):
    """Even where they look like a grid that may be widened."""
    listed = half_decades(-4, -3)

    def train(sides, task, seeds, *_, **__):
        found = []
        for side in sides:
            row = {"trivial": [1.0] * len(seeds), "floor": [0.0] * len(seeds), "test_score": [0.5] * len(seeds)}
            some = restored(side, row)
            some.valid_score, some.valid_trivial = np.full((len(seeds), 3), 1 / side.lr), np.full(len(seeds), 1e9)
            found.append(some)
        return found

    monkeypatch.setattr("rnntips.tuning.train_sides", train)
    own, usual = Side(made.base, "lr", tuple(listed)), Side(made.base)
    picks = records._tuned([own, usual], None, "auto", TUNING_SEEDS)
    assert picks[own].values == {"lr": listed[-1]} and picks[usual].values["lr"] > 0.1
    assert records._tuned([Side(made.base, UNTUNED)], None, "auto", TUNING_SEEDS)[Side(made.base, UNTUNED)].values == {}


# ── what cannot be ──────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"measure": "spiks"}, "Did you mean 'spikes'"),
        ({"settings": ["sine"]}, "Did you mean 'sines'"),
        ({"field": "lrr"}, "Did you mean 'lr'"),
        ({"claimed": "BETER"}, "Choose one of: BETTER, HIGHER"),
        ({"tuned": "momentun"}, "Did you mean 'momentum'"),
        ({"smalest": 0.1}, "Did you mean 'smallest'"),
        ({"baseline": {"lr": 0.1, "witdh": 3}, "variant": {"lr": 0.01, "witdh": 4}}, "Did you mean 'width'"),
        ({"tuned": "lr"}, "lr is tuned, so it cannot be under test"),
        ({"tuned": "dropout"}, r"dropout is tuned.*\[grids\]"),
        ({"claimed": "LOWER"}, "BETTER, WORSE or NO WORSE"),
        ({"measure": "best rate", "tuned": None}, "LOWER or HIGHER"),
        ({"measure": "best rate", "tuned": None, "claimed": "LOWER"}, "lr cannot be under test"),
        ({"measure": "best rate", "tuned": "lr", "claimed": "LOWER"}, "leave tuned out"),
        ({"measure": "regret"}, "needs baseline = { one_of"),
        ({"variant": 0.01}, "its sides are equal"),
        ({"baseline": {"lr": 0.1, "width": 4}}, "the same fields as the others"),
        ({"among": [0.1, 0.01]}, "here nothing is tuned"),
        ({"condition": {"name": "x"}}, "a level for each of its settings"),
        ({"times": 2}, "here it chooses none"),
        ({"recipe": {"lr": 0.5}}, "lr is given twice"),
        ({"settings": ["sines, tanh"], "recipe": {"cell": "gru"}}, "cell is given twice"),
        ({"settings": ["sines, tanh"], "field": "cell", "baseline": "gru", "variant": "lstm"}, "cell is given twice"),
        ({"field": "batch_size", "baseline": {"batch_size": 8, "budget": "five epochs"},
          "variant": {"batch_size": 4, "budget": "5 epochs"}}, "an amount and its unit"),
        ({"measure": "seconds per update", "recipe": {"grow": "4:0.5"}}, "growing windows do not"),
        ({"plan": {"settings": {"x": {"on": "sinus"}}}}, "Did you mean 'sines'"),
        ({"plan": {"settings": {"demand": {"cel": "gru"}}}}, "Did you mean 'cell'"),
    ],
    ids=str,
)  # fmt: skip
def test_what_a_plan_cannot_mean_is_said_before_anything_is_trained(changes, words):
    with pytest.raises(BadArgument, match=words):
        claims(**changes)


def test_what_a_measure_leaves_open_is_its_own_and_the_plans_hash_knows_it(made, monkeypatch):
    assert claims(measure="spikes")["rate"].smallest == MEASURES["spikes"].smallest == 1
    assert claims()["rate"].smallest == 0.05 and claims(smallest=0.2)["rate"].smallest == 0.2
    before = made.plan_hash
    monkeypatch.setitem(MEASURES, "spikes", replace(MEASURES["spikes"], smallest=2))
    assert Tip("made").plan_hash != before
    monkeypatch.undo()


def test_a_settings_fields_are_part_of_the_plans_meaning(made):
    before, changed = made.plan_hash, Tip("made")
    changed.plan["settings"]["sines, ten ahead"]["horizon"] = 12
    assert changed.plan_hash != before


def test_the_page_on_plans_names_every_measure_and_every_entry():
    page = (Path(rt.__file__).parents[1] / "docs" / "plans.md").read_text(encoding="utf-8")
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in page.splitlines() if line.startswith("| ")
    ]
    listed = {row[0].strip("`"): row[1:3] for row in rows if len(row) == 4}
    assert {name: [measure.unit, size(measure.smallest, measure.unit)] for name, measure in MEASURES.items()} == {
        name: cells for name, cells in listed.items() if name in MEASURES}  # fmt: skip
    explained = {word for row in rows for word in re.findall(r"`\[*(?:claims\.X\.)?(\w+)", row[0])}
    file = tomllib.loads(FILE.read_text(encoding="utf-8"))
    assert set(file) - {"claims"} | {entry for claim in file["claims"].values() for entry in claim} <= explained


# ── a record of it ──────────────────────────────────────────────────────────


def test_a_stored_record_is_judged_again_as_it_was(made):
    parts = records.parts_of(made)
    for claim, stored in zip(made.plans.values(), made.record["claims"], strict=True):
        alike(records.judge(claim, parts), stored, rel=1e-3)


def test_every_side_has_one_entry_in_each_part(made):
    for number, part in enumerate(made.record["parts"]):
        for setting, sides in made.sides().items():
            entries = [made.stored(setting, side, number) for side in sides]
            assert entries == part["settings"][setting]
            for side, entry in zip(sides, entries, strict=True):
                tuned = {} if side.tuned == UNTUNED else {side.tuned: entry[side.tuned]}
                assert made.pick(setting, side, number).values == tuned


def test_beyond_the_tuned_rate_the_same_pick_is_multiplied(made):
    for beyond, tuned in zip(made.plans["beyond"].needs("sines"), made.plans["solved"].needs("sines"), strict=True):
        pick = made.pick("sines", tuned[None])
        assert made.pick("sines", beyond[None]) == pick
        assert beyond[None].picked(pick).lr == 30 * tuned[None].picked(pick).lr == 30 * pick.values["lr"]
        one, other = (made.stored("sines", side[None]) for side in (beyond, tuned))
        assert (one["times"], one["lr"]) == (30, other["lr"]) and one["test_score"] != other["test_score"]


def test_a_record_keeps_the_readings_that_its_claims_rest_on_and_no_others(made):
    entries = made.record["parts"][0]["settings"]["sines"]
    kept = Counter(name for entry in entries for name in entry.get("readings", {}))
    assert kept == {"updates to target (30 % of the way)": 2, "spikes": 4, "training loss": 2, "seconds per update": 2,
                    "seconds to target (20 % of the way)": 2, "gradient jumps": 2}  # fmt: skip
    tanh = made.record["parts"][0]["settings"]["sines, tanh"]
    best_rate = [entry for entry in tanh if entry["width"] in (5, 8)]
    assert best_rate and all((("readings" in entry) == (entry in best_rate)) for entry in tanh)
    assert "timed on" in made.record


def test_without_tuning_the_stored_picks_are_used_again(made, monkeypatch):
    trained = []
    real = records.train_sides
    monkeypatch.setattr(records, "train_sides", lambda sides, *rest, **how: trained.append(sides) or real(sides, *rest))
    records.compute(made, seeds=[3, 5], say=lambda line: None)
    for sides, (setting, planned) in zip(trained, made.sides().items(), strict=True):
        for recipe, side in zip(sides, planned, strict=True):
            assert recipe == side.picked(made.pick(setting, side))


def test_what_is_live_is_found_in_the_record_and_keeps_its_own_rates(made):
    *recipes, setting = made.live()
    assert [side.recipe.lr for side in made.live_sides()] == [0.01, 0.001]
    assert made.learning_rate(setting, recipes[1]) == 0.001
    assert 0 <= records.live_share(made, subsets=20) <= 1


def test_liveness_covers_every_side_of_every_setting(made, monkeypatch):
    monkeypatch.setattr(records, "TUNING_SEEDS", range(2))
    monkeypatch.setattr(
        records,
        "_tuned",
        lambda sides, *_: {
            side: Pick({} if side.tuned == UNTUNED else {side.tuned: (side.choices or (0.01,))[0]}, 1.0)
            for side in sides
        },
    )
    said = []
    rows = records.liveness(made, say=said.append)
    assert len(rows) == len(said) == sum(map(len, made.sides().values()))
    assert json.loads(json.dumps(rows)) == rows and {row["tuned"] for row in rows if row["tuned"] == "none"}


# ── how it is shown ─────────────────────────────────────────────────────────


def test_a_plan_on_a_terminal_says_what_is_not_as_usual(made):
    text = "\n".join(plan_lines(made))
    for said in (
        "batch_size: 8 (updates 40) → 16 (updates 20); score",
        "updates to target (30 % of the way), claimed WORSE, smallest 25 %",
        "best rate, claimed LOWER, smallest a factor of 1.8; on sines, tanh; sines, GRU",
        "every side at every learning rate of 0.001, 0.01, 0.1",
        "condition: the cell (tanh: sines, tanh | GRU: sines, GRU)",
        "nothing is tuned",
        "lr: one of 0.1, 0.01, 0.001, 0.0001 → one of 0.1, 0.001, 1e-06",
        "tuning chooses each side's lr, and nothing else is tuned",
        "the baseline is the value that proves best on the seeds themselves",
        "with optimizer sgd, lr 0.1",
        "tuned: momentum out of 0.0, 0.5, 0.9",
        "clip_norm: none → 1.0; range of rates",
        "tuned: clip_norm out of none, 1.0",
        "smallest 10 points",
        "smallest 1 per 1,000 updates",
        "only ratios mean something",
        "sines, ten ahead: sines with horizon 10",
        "trained at 30 times the learning rate that tuning picks",
    ):
        assert said in text, said


def test_a_record_on_a_terminal_has_each_claims_own_unit(made):
    made.record["claims"][2] |= {"verdict": "BETTER", "typical": -0.68, "interval": [-0.9, 0.0]}
    made.record["claims"][2]["settings"]["sines, tanh"] |= {"verdict": "BETTER", "typical": -0.68}
    text = lines(made.record)
    row = {line.split()[0]: line for line in text if not line.startswith(" ")}
    assert "best learning rate  × 0.32 (0.1 to 1)" in row["deep"]
    assert "per 1,000 updates" in row["jumps"] and "points" in row["solved"] and "training time" in row["seconds"]
    assert " LOWER " in "".join(text) and " BETTER " not in next(line for line in text if "LOWER" in line)


def test_page_and_table_name_what_was_measured_where_it_is_no_error(made):
    made.record["version"] = 1
    text = page({"made": made})
    for claim in made.record["claims"]:
        (row,) = [line for line in text.splitlines() if line.startswith(f"| {made.plans[claim['id']].says} |")]
        assert change(claim["typical"], claim["unit"]) in row
        assert (f"({claim['what']})" in row) == (claim["what"] != "error")
    assert "typical change |" in made.table() and "(share of solved runs)" in made.table()


def test_a_forest_gives_what_is_measured_alike_axes_of_its_own(made):
    ax = figures.forest(made)
    axes = ax.figure.axes
    alike = {tuple(claim[name] for name in ("smallest", "unit", "what")) for claim in made.record["claims"]}
    assert len(axes) == len(alike)
    rows = [label.get_text() for one in axes for label in one.get_yticklabels()]
    assert len(rows) == sum(1 + len(claim["settings"]) for claim in made.record["claims"])
    shown = {" ".join(one.get_xlabel().split()).split(", median")[0]: one for one in axes}
    assert "best learning rate of the variant against the baseline (times the baseline's)" in shown
    assert "share of solved runs of the variant against the baseline (points of a hundred runs)" in shown
    assert "rate of loss spikes of the variant against the baseline (per 1,000 updates)" in shown
    rates = shown["best learning rate of the variant against the baseline (times the baseline's)"]
    (diamond,) = [line.get_xdata()[0] for line in rates.get_lines() if line.get_marker() == "D"]
    assert rates.get_xscale() == "log" and diamond == pytest.approx(1 + made.record["claims"][2]["typical"])
    assert ax.figure._repr_png_().startswith(b"\x89PNG")
    one = figures.forest(made, ["rate"])
    assert len(one.figure.axes) == 1
    with pytest.raises(BadArgument, match="One plot cannot hold number of updates, error"):
        figures.forest(made, ["rate", "epochs"], ax=one)
