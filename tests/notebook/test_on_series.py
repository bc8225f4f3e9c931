"""Tips on a series of one's own: against comparisons by hand; the table, the cheat sheet, and the script."""

import re
import subprocess
import sys
from dataclasses import dataclass, field

import numpy as np
import pytest

import rnntips as rt
from rnntips.errors import BadArgument, BadData
from rnntips.notebook.on_series import WRITTEN, OnSeries

NOISE = np.random.default_rng(0).normal(size=1200)
SERIES = rt.series.from_array(np.sin(np.arange(1200) / 4) + 0.1 * NOISE, name="mine", period=25)
ONLY = ["optimizers", "width", "shuffling"]


@pytest.fixture(scope="module")
def found():
    return rt.tips.on(SERIES, only=ONLY, seeds=2)


def test_each_origin_has_what_a_comparison_by_hand_gives(found):
    row, tip = found["width"], rt.tips["width"]
    baseline, variant = tip.elsewhere()
    parts = rt.tasks.origins(SERIES)
    for name, effect in zip(parts, row.here, strict=True):
        study = rt.compare(
            baseline.but(past=row.sides[0].past), variant.but(past=row.sides[0].past), parts[name], [0, 1]
        )
        assert np.expm1(np.median(study.effects(name))) == pytest.approx(effect)
    assert row.lower == sum(effect < 0 for effect in row.here) and row.typical == pytest.approx(np.median(row.here))


@pytest.mark.parametrize("tip", rt.tips)
def test_what_the_record_says_is_the_still_of_the_panel_on_all_its_seeds(tip):
    """Of the sides that the panel asks for, found among the stored ones."""
    tip = rt.tips[tip]
    assert (np.isfinite(tip.recorded) and tip.recorded != 0) or tip.name in ("weight_decay",)


def changed(row, *here):
    return type(row)(row.tip, row.sides, row.recorded, here)


def test_a_tip_is_sure_only_where_all_origins_agree(found):
    row = found["width"]  # six units do worse in the record
    assert changed(row, 0.2, 0.3, 0.1, 0.06, 0.5).sure == 1 and changed(row, 0.2, 0.3, 0.1, 0.06, 0.5).agrees == "yes"
    assert changed(row, -0.2, -0.3, -0.1, -0.06, -0.5).agrees == "opposite"
    assert changed(row, 0.2, 0.3, 0.1, -0.01, 0.5).agrees == "undecided"
    assert changed(row, 0.01, 0.0, -0.02, 0.03, 0.04).agrees == "hardly changes"


def test_the_table_has_a_row_for_each_tip_and_names_those_left_out(found):
    table = found._repr_markdown_()
    rows = table.split("\n\n")[0].splitlines()
    assert len(rows) == 4 and "Width" in rows[3] and f"{found['width'].lower} of 5 origins" in rows[3]
    assert "Not for such a series: Shuffling." in table
    sheet = found.cheat_sheet
    assert rt.tips["width"].lesson.toml["rule"]["do"] in sheet and "on mine" in sheet
    with pytest.raises(BadArgument, match=r"shuffling.*optimizers.*width"):
        found["shuffling"]


def test_the_recipe_takes_variants_that_are_sure_and_lower_and_no_others(found):
    row = found["optimizers"]
    assert row.names == ("sgd", "adam")
    better = type(found)(SERIES, 2, (changed(found["width"], *[-0.2] * 5),), {})
    assert better.recipe == better.first.but(width=6)
    for here in ([0.2] * 5, [-0.2, -0.2, -0.2, -0.2, 0.1]):
        assert type(found)(SERIES, 2, (changed(found["width"], *here),), {}).recipe == better.first


def ran(made, place):
    """The script's answers in a folder, without the package and NumPy: shares of naive, of the network and linear."""
    files = made.save(place)
    block = "import sys; sys.modules['rnntips'] = sys.modules['numpy'] = None; exec(open('forecast.py').read())"
    done = subprocess.run([sys.executable, "-c", block], cwd=files[0].parent, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return [float(share) for share in re.findall(r"([\d.]+) of naive", done.stdout)], files[0].read_text()


@pytest.mark.parametrize("trending", [False, True])
def test_the_script_needs_torch_alone_and_beats_naive(trending, tmp_path):
    """It says of the same split what a training of the package reaches."""
    series = rt.series.from_array(SERIES.values[:, 0] + trending * np.arange(1200) / 50, name="mine", trending=trending)
    made = rt.tips.on(series, only=["width"], seeds=1)
    (share, linear), text = ran(made, tmp_path / "own")
    runs = rt.train(made.recipe, series, range(5))
    assert share < 0.75 and share < 1.5 * np.median(runs.test_score / runs.naive)
    solved = rt.train(rt.Recipe(layers=0, past=made.recipe.past, patch=made.recipe.past, solved=True), series, range(5))
    assert linear == pytest.approx(np.median(solved.test_score / solved.naive), rel=0.25)
    assert all(f"{name.upper()} = {getattr(made.recipe, name)!r}" in text for name in WRITTEN)
    with pytest.raises(BadArgument, match=r"forecast.py is there already"):
        made.save(tmp_path / "own")


@dataclass(frozen=True, eq=False)
class Chosen(OnSeries):
    """With a recipe whose fields some tips might have chosen."""

    fields: dict = field(default_factory=dict)
    recipe = property(lambda self: self.first.but(**self.fields))


@pytest.mark.parametrize("fields", [{"cell": "relu", "layers": 2}, {"cell": "lstm", "clip_norm": 1.0, "dropout": 0.1},
                                    {"cell": "tanh", "optimizer": "sgd", "lr": 0.1}], ids=str)  # fmt: skip
def test_the_script_runs_with_whatever_a_tip_may_say(fields, tmp_path):
    """On a series with a value so far off that scaling must be robust."""
    values = SERIES.values[:, 0].copy()
    values[100] = 500
    made = Chosen(rt.series.from_array(values, name="mine", period=25), 1, (), {}, fields)
    (share, _), text = ran(made, tmp_path)
    assert share < 1 and "ROBUST = True" in text


def test_a_series_that_is_simulated_or_short_is_refused_before_anything_is_trained():
    with pytest.raises(BadData, match="simulated"):
        rt.tips.on(rt.series.demand())
    with pytest.raises(BadData, match="take fewer origins"):
        rt.tips.on(rt.series.from_array(NOISE[:100]))
    with pytest.raises(BadArgument, match="tip"):
        rt.tips.on(SERIES, only=["scalling"])
    for seeds in (0, 1.5, range(2)):
        with pytest.raises(BadArgument, match=re.escape(f"seeds={seeds!r}")):
            rt.tips.on(SERIES, only=["width"], seeds=seeds)
