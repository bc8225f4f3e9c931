"""Figures of single lessons hold what the record holds; tested on their data, not their pixels."""

import numpy as np
import pytest

import rnntips as rt
from rnntips.doctor.gradient_noise import GradientNoise
from rnntips.doctor.gradients import answer_by_lag, gradient_by_lag, gradient_by_layer
from rnntips.lessons.batch_size.figure import batches
from rnntips.lessons.deep_recurrence.figure import depths
from rnntips.lessons.gradient_clipping.figure import gradients
from rnntips.lessons.learning_rate.figure import edge
from rnntips.lessons.scaling.figure import scaled_inputs
from rnntips.lessons.shuffling.figure import orders
from rnntips.lessons.sliding_windows.figure import lengths
from rnntips.lessons.start_here.figure import pipeline
from rnntips.lessons.truncated_bptt.figure import reach


def png(ax):
    assert ax.figure._repr_png_().startswith(b"\x89PNG")


@pytest.fixture(scope="module")
def ten():
    task = rt.tasks.forecast(rt.series.co2())
    return task, rt.train(rt.exercises.start_here.A.but(updates=30), task, seeds=range(10))


def test_scaled_inputs_shows_what_the_network_is_fed():
    recipe, task = rt.Recipe(past=8, width=4), rt.tasks.forecast(rt.series.sines(steps=400, offset=1000.0))
    ax = scaled_inputs({"raw": (recipe.but(input_scaling="none"), task), "scaled": (recipe, task)}, range(3))
    left, right = ax.figure.axes
    raw = left.get_lines()[2].get_xdata()
    assert 990 < raw[0] < raw[1] < 1010
    spreads = [np.median(line.get_xdata()) for line in right.get_lines()]
    assert spreads[0] > 10 * spreads[1]  # rows run upwards: scaled first
    png(ax)


def test_the_pipeline_is_drawn_from_what_the_first_run_really_saw(ten):
    task, runs = ten
    ax = pipeline(task, runs)
    record, window, updates, seeds = ax.figure.axes
    examples = task.examples(runs.recipes[0], 0)
    np.testing.assert_array_equal(record.get_lines()[0].get_ydata(), task.values(0)[:, 0])
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
    shares = 100 * (runs.test_score - runs.floor) / (runs.naive - runs.floor)
    np.testing.assert_allclose(seeds.get_lines()[2].get_xdata(), np.minimum(shares, 100))
    png(ax)


def test_no_text_of_the_pipeline_is_cut_off_or_in_the_way_of_another(ten):
    ax = pipeline(*ten)
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
    ax = orders(runs, {"in order": chunked}, epoch)
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


def test_lengths_show_stored_networks_linear_forecasts_and_gradients():
    tip, reached = rt.tips["sliding_windows"], {"CO2": np.geomspace(1, 1e-8, 208)[None].repeat(3, 0) * [[1], [2], [3]]}
    ax = lengths(tip, reached)
    above, below = ax.figure.axes
    stored = [
        [part["settings"]["CO2"][row] for part in tip.record["parts"]]
        for row, entry in enumerate(tip.record["parts"][0]["settings"]["CO2"])
        if entry["tuned"] == "none"
    ]
    score, naive, floor = (
        np.array([[value for entry in both for value in entry[name]] for both in stored], float)
        for name in ("test_score", "naive", "floor")
    )
    way = 100 * (naive - np.minimum(score, naive)) / (naive - floor)
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
    ax = depths({"sines": (task, networks)}, windows=4)
    pull, way = ax.figure.axes
    assert [list(line.get_xdata()) for line in pull.get_lines()] == [[1, 0], [3, 2, 1, 0], [3, 2, 1, 0]]
    assert pull.get_xlim()[0] > pull.get_xlim()[1]
    untrained = rt.train(networks["three"].recipes[0].but(lr=1e-12, updates=1), task, range(3))
    expected = [np.median(values) for values in gradient_by_layer(untrained, task, windows=4).values()]
    np.testing.assert_allclose(pull.get_lines()[1].get_ydata(), expected, rtol=1e-4)
    for runs, line in zip(networks.values(), way.get_lines(), strict=False):
        score = np.minimum(runs.valid_score, runs.valid_naive[:, None])
        come = (runs.valid_naive[:, None] - score) / (runs.valid_naive - runs.floor)[:, None]
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
    right = edge(bends, points, errors)
    left = right.figure.axes[0]
    middle, factors = np.array([4.5, 5.5, 6.5]), {"none": [1, 1, 1], "warmup:20": [2 / 20, 11 / 20, 1]}
    shown = {line.get_label(): line for line in left.get_lines()}
    for name, factor in factors.items():
        np.testing.assert_allclose(shown[f"rate 0.1, {name}"].get_ydata(), 0.1 * middle * factor / 2)
    falling = (1 + np.cos(np.pi * np.array([1, 10, 39]) / 40)) / 2
    np.testing.assert_allclose(shown["rate 0.3, cosine"].get_ydata(), 0.3 * middle * falling / 2)
    for line, runs in zip(right.get_lines(), errors, strict=True):
        share = 100 * np.median(runs.valid_score / runs.valid_naive[:, None], 0)
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
    last = reach(tried, range(10))
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
    counts, noises, errors = batches(tip, held, noise).figure.axes
    shown = {line.get_label(): line.get_xydata().T.tolist() for line in counts.get_lines()}
    assert shown["5 epochs"] == [[1, 10, 100, 1000], [5000, 500, 50, 5]]
    assert shown["200 updates"] == [[1, 10, 100, 1000], [200] * 4]
    named = {line.get_label(): line for line in noises.get_lines()}
    np.testing.assert_allclose(named["after"].get_ydata(), [4, 4 / 10**0.5, 0.4])
    assert named["after"].get_linestyle() != named["before"].get_linestyle()
    stored = [entry for part in tip.record["parts"] for entry in part["settings"]["demand, equal updates"]
              if entry["batch_size"] == 1000 and "times" not in entry]  # fmt: skip
    share = [min(s / t, 1) for e in stored for s, t in zip(e["test_score"], e["naive"], strict=True)]
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
    left, right = gradients({"sines": runs}, {"sines": (by_lag, np.full(5, 4.0))}, 1.0)
    *each, middle, lost, limit = left.get_lines()
    assert len(each) == 5 and each[0].get_ydata().max() == 50 and np.isinf(each[4].get_ydata()[-1])
    assert np.median(middle.get_ydata()) == pytest.approx(1.0) and np.isfinite(middle.get_ydata()).all()
    assert lost.get_xdata().tolist() == [31] and set(limit.get_ydata()) == {1.0}
    before, after = (line.get_ydata() for line in right.get_lines())
    np.testing.assert_allclose(before, by_lag[0])
    np.testing.assert_allclose(after, by_lag[0] / 4)
    assert [text.get_text() for text in right.get_legend().get_texts()] == ["as it comes", "after clipping"]
    png(left)
