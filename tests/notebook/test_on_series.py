"""Tips on a series of one's own: against comparisons by hand; the table, the cheat sheet, and the script."""

import subprocess
import sys

import numpy as np
import pytest

import rnntips as rt
from rnntips.errors import BadArgument, BadData
from rnntips.notebook.on_series import WRITTEN

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
    assert changed(row, 0.2, 0.3, 0.1, 0.06, 0.5).sure == 1 and changed(row, 0.2, 0.3, 0.1, 0.06, 0.5).agrees is True
    assert changed(row, -0.2, -0.3, -0.1, -0.06, -0.5).agrees is False
    assert changed(row, 0.2, 0.3, 0.1, -0.01, 0.5).agrees is None
    assert changed(row, 0.01, 0.0, -0.02, 0.03, 0.04).sure == 0


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


@pytest.mark.parametrize("trending", [False, True])
def test_the_script_needs_torch_alone_and_beats_naive(trending, tmp_path):
    """It says of the same split what a training of the package reaches."""
    series = rt.series.from_array(SERIES.values[:, 0] + trending * np.arange(1200) / 50, name="mine", trending=trending)
    made = rt.tips.on(series, only=["width"], seeds=1)
    files = made.save(tmp_path / "own")
    block = "import sys; sys.modules['rnntips'] = sys.modules['numpy'] = None; exec(open('forecast.py').read())"
    ran = subprocess.run([sys.executable, "-c", block], cwd=files[0].parent, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    share = float(ran.stdout.split(", ")[1].split()[0])
    runs = rt.train(made.recipe, series, range(5))
    assert share < 0.75 and share < 1.5 * np.median(runs.test_score / runs.naive)
    text = files[0].read_text()
    assert all(f"{name.upper()} = {getattr(made.recipe, name)!r}" in text for name in WRITTEN)
    with pytest.raises(BadArgument, match=r"forecast\.py is there already"):
        made.save(tmp_path / "own")


def test_a_series_that_is_simulated_or_short_is_refused_before_anything_is_trained():
    with pytest.raises(BadData, match="simulated"):
        rt.tips.on(rt.series.demand())
    with pytest.raises(BadData, match="take fewer origins"):
        rt.tips.on(rt.series.from_array(NOISE[:100]))
    with pytest.raises(BadArgument, match="tip"):
        rt.tips.on(SERIES, only=["scalling"])
