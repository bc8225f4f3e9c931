"""Figures hold what the record holds; tested on their data, not their pixels."""

import threading
from itertools import pairwise

import numpy as np
import pytest

import rnntips as rt
from rnntips import figures
from rnntips.gradients import GradientNoise
from rnntips.reach import answer_by_lag, gradient_by_lag


@pytest.fixture(scope="module")
def study():
    baseline = rt.Recipe(updates=60, past=16, width=8, batch_size=8, lr=0.03)
    return rt.compare(baseline, baseline.but(lr=0.003), on=rt.series.sines(steps=800), seeds=range(10))


def png(ax):
    data = ax.figure._repr_png_()
    assert data.startswith(b"\x89PNG")
    return data


def test_loss_bands_show_every_run_and_both_medians(study):
    ax = figures.loss_bands(study)
    baseline, _ = study.runs["sines"]
    lines = ax.get_lines()
    assert len(lines) == 2 * (10 + 1) + 2
    np.testing.assert_allclose(np.median(baseline.valid_score[:, 1:], 0), lines[10].get_ydata())
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["0.03", "0.003"]
    assert "units" in ax.get_ylabel() and ax.get_xlabel() == "updates"
    assert lines[10].get_linestyle() != lines[21].get_linestyle()
    png(ax)


def test_a_floor_of_0_and_runs_without_error_fit_on_the_axis():
    """No line can be drawn at 0; a note says where it is, and an error of 0 stands at a thousandth of naive."""
    baseline = rt.Recipe(updates=30, width=6, batch_size=8, lr=0.03)
    study = rt.compare(baseline, baseline.but(lr=0.01), on=rt.tasks.adding(3), seeds=range(10))
    for runs in study.runs["adding 3"]:
        runs.valid_score[:, -2:] = runs.test_scores[:] = 0
        runs.valid_score[0, 5] = np.inf
    ax = figures.loss_bands(study)
    assert ["naive = 100 %", "↓ floor = 0 %: no error"] == [text.get_text() for text in ax.texts]
    low, high = ax.get_ylim()
    least = 1e-3 * study.runs["adding 3"][0].valid_trivial.mean()
    assert 0 < low < least < high < 10
    assert ax.get_lines()[10].get_ydata()[-1] == pytest.approx(least, rel=0.1)
    png(ax), png(figures.paired(study))
    assert (study.verdict, study.typical) == ("SAME", 0) and "infinity" not in study.sentence


def test_paired_marks_are_the_effects_and_point_by_direction(study):
    ax = figures.paired(study)
    marks = {line.get_marker(): line.get_xdata() for line in ax.get_lines()}
    effects = 100 * np.expm1(study.effects("sines"))
    np.testing.assert_allclose(sorted([*marks["o"], *marks["^"]]), np.sort(effects))
    assert (np.array(marks["o"]) <= 0).all() and (np.array(marks["^"]) > 0).all()
    np.testing.assert_allclose(marks["D"], [100 * study.typical])
    bar = next(line.get_xdata() for line in ax.get_lines() if line.get_linewidth() == 2 and len(line.get_xdata()) == 2)
    np.testing.assert_allclose(bar, 100 * np.array(study.interval))
    png(ax)


def test_forest_has_a_row_for_every_claim_and_setting():
    tip = rt.tips["scaling"]
    ax = figures.forest(tip)
    labels = [label.get_text() for label in ax.get_yticklabels()]
    assert len(labels) == sum(1 + len(claim["settings"]) for claim in tip.record["claims"])
    assert labels[-1] == tip.texts["C1"]["short"]
    diamonds = [line.get_xdata()[0] for line in ax.get_lines() if line.get_marker() == "D"]
    np.testing.assert_allclose(diamonds[::-1], [100 * claim["typical"] for claim in tip.record["claims"]])
    png(ax)


def test_scaled_inputs_shows_what_the_network_is_fed():
    recipe, task = rt.Recipe(past=8, width=4), rt.tasks.forecast(rt.series.sines(steps=400, offset=1000.0))
    ax = figures.scaled_inputs({"raw": (recipe.but(input_scaling="none"), task), "scaled": (recipe, task)}, range(3))
    left, right = ax.figure.axes
    raw = left.get_lines()[2].get_xdata()
    assert 990 < raw[0] < raw[1] < 1010
    spreads = [np.median(line.get_xdata()) for line in right.get_lines()]
    assert spreads[0] > 10 * spreads[1]  # rows run upwards: scaled first
    png(ax)


def test_showing_a_study_gives_a_sentence_and_a_picture(study, monkeypatch):
    import IPython.display

    shown = []
    monkeypatch.setattr(IPython.display, "display", lambda bundle, raw: shown.append(bundle))
    study._ipython_display_()
    assert shown[0]["text/plain"] == "Study(lr: 0.03 → 0.003; on sines)"
    assert study.sentence in shown[0]["text/html"] and "seeds 0 to 9" in shown[0]["text/html"]
    assert shown[1]["image/png"].startswith(b"\x89PNG")


def test_colours_have_a_contrast_of_at_least_four_and_a_half_on_white():
    for color in [*figures.COLORS.values(), figures.GREY]:
        channels = np.array([int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)])
        linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
        assert 1.05 / (linear @ [0.2126, 0.7152, 0.0722] + 0.05) >= 4.5, color


def test_figures_can_be_drawn_by_several_threads_at_once(study):
    alone = png(figures.loss_bands(study))
    found, threads = [], []
    for _ in range(4):
        threads.append(threading.Thread(target=lambda: found.append(png(figures.loss_bands(study)))))
        threads[-1].start()
    for thread in threads:
        thread.join()
    assert found == [alone] * 4


def test_log_ticks_lie_between_their_ends():
    assert figures.log_ticks(3, 600) == [5, 10, 20, 50, 100, 200, 500]
    assert figures.log_ticks(1, 20_000) == [1, 10, 100, 1000, 10_000]
    assert len(figures.log_ticks(0.35, 0.75)) >= 3


@pytest.fixture(scope="module")
def ten():
    """Ten short runs on the record that the first page shows."""
    task = rt.tasks.forecast(rt.series.co2())
    return task, rt.train(rt.exercises.start.A.but(updates=30), task, seeds=range(10))


def test_curves_are_shares_of_each_run_s_own_naive_error(ten):
    _, runs = ten
    ax = figures.curves({"A": runs, "B": runs.only([3])})
    lines = ax.get_lines()
    assert len(lines) == 10 + 1 + 1 + 1  # ten faint runs and their median, a single run, the naive line
    share = 100 * runs.valid_score[:, 1:] / runs.valid_trivial[:, None]
    np.testing.assert_allclose(lines[10].get_ydata(), np.median(share, 0))
    np.testing.assert_allclose(lines[11].get_ydata(), share[3])
    assert lines[10].get_linestyle() != lines[11].get_linestyle()
    assert set(lines[12].get_ydata()) == {100}
    png(ax)


def test_the_pipeline_is_drawn_from_what_the_first_run_really_saw(ten):
    task, runs = ten
    ax = figures.pipeline(task, runs)
    record, window, updates, seeds = ax.figure.axes
    examples = task.examples(runs.recipes[0], 0)
    np.testing.assert_array_equal(record.get_lines()[0].get_ydata(), task.record(0)[:, 0])
    marked = {line.get_marker(): line for line in window.get_lines() if line.get_label()[0] != "_"}
    shown = examples.inputs(examples.of(2)[:1])[0, -10:, 0]
    read = next(line for line in window.get_lines() if line.get_label() == "changes read")
    np.testing.assert_array_equal(read.get_ydata(), shown)
    came = next(line for line in window.get_lines() if line.get_label() == "what came")
    np.testing.assert_allclose(came.get_ydata(), examples.targets[examples.of(2)[0]], atol=1e-4)
    assert marked["D"].get_label() == "forecast"
    dots = updates.get_lines()[0].get_xydata()
    first_epoch = dots[: len(examples.of(0)), 1]  # every training window, once
    np.testing.assert_array_equal(np.sort(first_epoch), examples.times[examples.of(0)])
    assert (np.unique(dots[:, 0], return_counts=True)[1] == runs.recipes[0].batch_size).all()
    shares = 100 * (runs.test_score - runs.floor) / (runs.trivial - runs.floor)
    np.testing.assert_allclose(seeds.get_lines()[2].get_xdata(), np.minimum(shares, 100))
    png(ax)


def test_no_text_of_the_pipeline_is_cut_off_or_in_the_way_of_another(ten):
    ax = figures.pipeline(*ten)
    ax.figure.canvas.draw()
    whole = ax.figure.bbox
    assert [len(each.get_title("left")) > 5 for each in ax.figure.axes] == [True] * 4
    for each in ax.figure.axes:
        legend = each.get_legend().get_texts() if each.get_legend() else []
        titles = [title for title in (each.xaxis.label, each.yaxis.label) if title.get_text()]
        texts = [*each.texts, *legend, *titles]
        boxes = [text.get_window_extent() for text in texts]
        for text, box in zip(texts, boxes, strict=True):
            assert whole.x0 <= box.x0 and box.x1 <= whole.x1 and whole.y0 <= box.y0 and box.y1 <= whole.y1, text
        for i, box in enumerate(boxes):
            for j in range(i):
                assert not box.overlaps(boxes[j]), (texts[i], texts[j])


def test_the_order_of_reading_is_drawn_from_the_losses_as_recorded():
    """Losses that repeat every ten updates, and chunks whose losses are known."""
    epoch, rng = 10, np.random.default_rng(0)
    teeth, noise = np.tile(np.arange(10.0), 5), rng.random((4, 50))
    runs = {name: rt.train(rt.Recipe(updates=50, width=2, past=4), rt.tasks.leaky(2), range(4)) for name in "ab"}
    runs["a"].train_loss[:], runs["b"].train_loss[:] = noise, teeth + 3
    chunked = rt.train(rt.Recipe(updates=30, width=2, past=6, chunk=2), rt.tasks.leaky(2), range(3))
    chunked.train_loss[:] = np.tile([1.0, 2.0, 4.0], 10) + (np.arange(30) < 20) * 100  # the first two thirds
    ax = figures.orders(runs, {"in order": chunked}, epoch)
    left, middle, right = ax.figure.axes
    np.testing.assert_allclose(left.get_lines()[-1].get_ydata(), 3 + np.arange(10))
    np.testing.assert_allclose(left.get_lines()[-1].get_xdata(), np.arange(41, 51) / 10)
    lags = middle.get_lines()[-2]
    assert lags.get_ydata()[9] == pytest.approx(1) and lags.get_xdata()[9] == 1
    assert abs(middle.get_lines()[4].get_ydata()[9]) < 0.6 < 0.9 < lags.get_ydata()[9]
    np.testing.assert_allclose(right.get_lines()[0].get_ydata(), [1, 2, 4])
    np.testing.assert_array_equal(right.get_lines()[0].get_xdata(), [1, 2, 3])
    assert left.get_lines()[4].get_linestyle() != left.get_lines()[-1].get_linestyle()
    png(ax)


def test_equal_factors_take_equal_room_where_findings_are_far_apart():
    """From half to one, from one to two and from two to four; the band of what matters can be seen."""
    rows = [("big", 8.0, (7.0, 9.0), True), ("small", -0.06, (-0.08, -0.04), False)]
    ax = figures.findings(rows, 0.05)
    places = ax.transData.transform([(change, 0) for change in (-50, 0, 100, 300)])[:, 0]
    np.testing.assert_allclose(np.diff(places), np.diff(places)[0])
    low, high = ax.get_xlim()
    assert low < -8 and high > 900 and set(ax.get_xticks()) == {0, 25, 50, 100, 200, 400, 800}
    assert [line.get_xdata()[0] for line in ax.get_lines()[2::2]] == [-6, 800]
    png(ax)
    wide = figures.findings([*rows, ("less", -0.97, (-0.98, -0.9), False), ("more", 50.0, (40.0, 60.0), False)], 0.05)
    wide.figure.canvas.draw()
    boxes = [label.get_window_extent() for label in wide.get_xticklabels()]
    assert len(boxes) > 5 and all(one.x1 < other.x0 for one, other in pairwise(boxes))
    assert 0 in wide.get_xticks() and -100 < wide.get_xlim()[0] < -98


def test_lengths_show_stored_networks_linear_forecasts_and_gradients():
    tip, reached = rt.tips["sliding_windows"], {"CO2": np.geomspace(1, 1e-8, 208)[None].repeat(3, 0) * [[1], [2], [3]]}
    ax = figures.lengths(tip, reached)
    above, below = ax.figure.axes
    tried = tip.plans["C39"].needs("CO2")[0]
    stored = [[tip.stored("CO2", side, part) for part in (0, 1)] for side in tried.values()]
    score, trivial, floor = (
        np.array([[value for entry in both for value in entry[name]] for both in stored], float)
        for name in ("test_score", "trivial", "floor")
    )
    way = 100 * (trivial - np.minimum(score, trivial)) / (trivial - floor)
    networks, linear = (line for line in above.get_lines() if line.get_label()[0] != "_")
    np.testing.assert_allclose(networks.get_ydata(), np.median(way, 1))
    assert networks.get_xdata().tolist() == linear.get_xdata().tolist() == [13, 26, 52, 104, 208]
    assert networks.get_linestyle() != linear.get_linestyle()
    assert linear.get_ydata()[0] < 50 < 80 < linear.get_ydata()[2]  # a quarter of the season, and the whole
    np.testing.assert_allclose(below.get_lines()[-1].get_ydata(), np.geomspace(1, 1e-8, 208))
    assert below.get_xlabel() == "steps back"


def test_depths_show_the_pull_before_training_and_the_way_after_each_evaluation():
    """One point for each layer of each network, the answer's own layer at the right; medians over seeds."""
    task = rt.tasks.forecast(rt.series.sines(steps=800))
    base = rt.Recipe(updates=20, past=8, width=rt.parameters(300), batch_size=8)
    networks = {"one": base, "three": base.but(layers=3), "dense": base.but(dense=(5,), dense_after=(4,))}
    networks = {name: rt.train(recipe, task, range(3)) for name, recipe in networks.items()}
    ax = figures.depths({"sines": (task, networks)}, windows=4)
    pull, way = ax.figure.axes
    assert [list(line.get_xdata()) for line in pull.get_lines()] == [[1, 0], [3, 2, 1, 0], [3, 2, 1, 0]]
    assert pull.get_xlim()[0] > pull.get_xlim()[1]
    untrained = rt.train(networks["three"].recipes[0].but(lr=1e-12, updates=1), task, range(3))
    expected = [np.median(values) for values in rt.reach.gradient_by_layer(untrained, task, windows=4).values()]
    np.testing.assert_allclose(pull.get_lines()[1].get_ydata(), expected, rtol=1e-4)
    for runs, line in zip(networks.values(), way.get_lines(), strict=False):
        score = np.minimum(runs.valid_score, runs.valid_trivial[:, None])
        come = (runs.valid_trivial[:, None] - score) / (runs.valid_trivial - runs.floor)[:, None]
        np.testing.assert_allclose(line.get_ydata(), 100 * np.median(come, 0)[1:])
    assert len({line.get_linestyle() for line in pull.get_lines()}) == 3
    assert [text.get_text() for text in pull.get_legend().get_texts()] == list(networks)
    png(ax)


def test_the_edge_figure_multiplies_by_the_rate_of_the_next_update():
    """Of the last point too, after which no update comes; and its errors are shares of each run's naive one."""
    base = rt.Recipe(updates=40, past=8, width=4, batch_size=8, optimizer="sgd", lr=0.1)
    recipes = [base, base.but(schedule="warmup:20"), base.but(lr=0.3, schedule="cosine")]
    points, series = [1, 10, 40], rt.series.sines(600)
    bends = {recipe: 3.0 + np.arange(6.0).reshape(2, 3) for recipe in recipes}
    errors = [rt.train(recipe, series, range(3)) for recipe in recipes[:2]]
    right = figures.edge(bends, points, errors)
    left = right.figure.axes[0]
    middle, factors = np.array([4.5, 5.5, 6.5]), {"none": [1, 1, 1], "warmup:20": [2 / 20, 11 / 20, 1]}
    shown = {line.get_label(): line for line in left.get_lines()}
    for name, factor in factors.items():
        np.testing.assert_allclose(shown[f"rate 0.1, {name}"].get_ydata(), 0.1 * middle * factor / 2)
    falling = (1 + np.cos(np.pi * np.array([1, 10, 39]) / 40)) / 2
    np.testing.assert_allclose(shown["rate 0.3, cosine"].get_ydata(), 0.3 * middle * falling / 2)
    for line, runs in zip(right.get_lines(), errors, strict=True):
        share = 100 * np.median(runs.valid_score / runs.valid_trivial[:, None], 0)
        np.testing.assert_allclose(line.get_ydata(), share)
    marks = [shown[name].get_marker() for name in ("rate 0.1, none", "rate 0.1, warmup:20", "rate 0.3, cosine")]
    assert len(set(marks)) == 3 and left.get_ylabel() and "naive" in right.get_ylabel()
    png(right)


def test_what_training_sees_ends_at_the_chunk_and_what_the_network_uses_does_not():
    """Two axes a task; the drawn medians are the measured ones, gradients as shares of each network's largest."""
    short = rt.Recipe(width=6, past=12, updates=40, chunk=12, stride=3, carry=True)
    tasks = {"sum": rt.tasks.leaky(5), "stream": rt.tasks.recall_stream(3)}
    tried = {name: (task, {f"{k} steps": rt.train(short.but(chunk=k), task, range(3)) for k in (12, 3)})
             for name, task in tasks.items()}  # fmt: skip
    last = figures.reach(tried, range(10))
    places = last.figure.axes
    assert len(places) == 4 and last is places[-1]
    for left, right, (task, sides) in zip(places[::2], places[1::2], tried.values(), strict=True):
        for row, runs in enumerate(sides.values()):
            seen, used = (
                [line.get_ydata() for line in ax.lines if line.get_linewidth() == 2][row] for ax in (left, right)
            )
            found = gradient_by_lag(runs, task, range(10), of="inputs")
            np.testing.assert_allclose(seen, np.median(found / found.max(1, keepdims=True), axis=0))
            np.testing.assert_allclose(used, np.median(answer_by_lag(runs, task, range(10)), axis=0))
            assert (seen[3:] == 0).all() == (row == 1) and (used[3:] > 0).all()
    png(last)


def test_batch_sizes_show_their_updates_their_noise_and_the_stored_errors():
    tip, sizes = rt.tips["batch_size"], np.array([1, 10, 100])
    noise = {name: GradientNoise(sizes, level / np.sqrt(sizes) * np.ones((4, 1)), np.ones(4), np.ones(4))
             for name, level in (("before", 2.0), ("after", 4.0))}  # fmt: skip
    held = {"5 epochs": "demand, equal epochs", "200 updates": "demand, equal updates"}
    counts, noises, errors = figures.batches(tip, held, noise).figure.axes
    shown = {line.get_label(): line.get_xydata().T.tolist() for line in counts.get_lines()}
    assert shown["5 epochs"] == [[1, 10, 100, 1000], [5000, 500, 50, 5]]
    assert shown["200 updates"] == [[1, 10, 100, 1000], [200] * 4]
    named = {line.get_label(): line for line in noises.get_lines()}
    np.testing.assert_allclose(named["after"].get_ydata(), [4, 4 / 10**0.5, 0.4])
    assert named["after"].get_linestyle() != named["before"].get_linestyle()
    stored = [entry for part in tip.record["parts"] for entry in part["settings"]["demand, equal updates"]
              if entry["batch_size"] == 1000 and "times" not in entry]  # fmt: skip
    share = [min(s / t, 1) for e in stored for s, t in zip(e["test_score"], e["trivial"], strict=True)]
    assert len(share) == 40
    assert errors.get_lines()[1].get_ydata()[-1] == pytest.approx(100 * np.median(share))
    assert "%" in errors.get_title() and {ax.get_xlabel() for ax in (counts, noises, errors)} == {"windows in a batch"}
    png(errors)


def test_gradients_show_norms_of_all_runs_and_clipping_as_one_factor_for_all_lags():
    """A run that breaks has no norms any more: its line leaves the frame, and a mark says when."""
    runs = rt.train(rt.Recipe(updates=60, width=6, batch_size=8), rt.series.sines(), range(5))
    runs.gradient_norm[:] = np.geomspace(0.1, 10, 5)[:, None]
    runs.gradient_norm[0, 7] = 50.0
    runs.gradient_norm[4, 30:], runs.diverged_at[4] = np.nan, 31
    by_lag = np.array([[1.0, 0.1, 0.01]] * 5)
    left, right = figures.gradients({"sines": runs}, {"sines": (by_lag, np.full(5, 4.0))}, 1.0)
    *each, middle, lost, limit = left.get_lines()
    assert len(each) == 5 and each[0].get_ydata().max() == 50 and np.isinf(each[4].get_ydata()[-1])
    assert np.median(middle.get_ydata()) == pytest.approx(1.0) and np.isfinite(middle.get_ydata()).all()
    assert lost.get_xdata().tolist() == [31] and set(limit.get_ydata()) == {1.0}
    before, after = (line.get_ydata() for line in right.get_lines())
    np.testing.assert_allclose(before, by_lag[0])
    np.testing.assert_allclose(after, by_lag[0] / 4)
    assert [text.get_text() for text in right.get_legend().get_texts()] == ["as it comes", "after clipping"]
    png(left)
