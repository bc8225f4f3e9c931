"""Figures of single lessons hold what the record holds; tested on their data, not their pixels."""

import re

import numpy as np
import pytest
import torch
from oracles import Twin

import rnntips as rt
from evidence import readings
from evidence.plans import Plan
from rnntips.doctor.gradient_noise import GradientNoise
from rnntips.doctor.gradients import answer_by_lag, gradient_by_lag
from rnntips.engine.update import Rates
from rnntips.lessons.batch_size.figure import errors, updates_and_noise
from rnntips.lessons.deep_recurrence.figure import LETTERS, before_and_early, next_characters
from rnntips.lessons.gradient_clipping.figure import answers, gradients, of_thresholds, thresholds
from rnntips.lessons.learning_rate.figure import after_a_jump, failed_shares, of_rates, steps_in_a_bowl, u_curves
from rnntips.lessons.momentum.figure import in_a_valley, rates
from rnntips.lessons.optimizers import figure as optimizers
from rnntips.lessons.scaling.figure import errors as errors_of_scalers
from rnntips.lessons.scaling.figure import fed, fed_cell, of_scalers
from rnntips.lessons.shuffling.figure import orders, splits
from rnntips.lessons.sliding_windows import figure as windows
from rnntips.lessons.start_here.figure import pipeline
from rnntips.lessons.truncated_bptt.figure import chunks, followed, reach, sequence
from rnntips.loader import rebuilt
from rnntips.tasks.text import _text


def png(ax):
    assert ax.figure._repr_png_().startswith(b"\x89PNG")


@pytest.fixture(scope="module")
def ten():
    task = rt.tasks.forecast(rt.series.co2())
    return task, rt.train(rt.exercises.start_here.A.but(updates=30), task, seeds=range(10))


def test_what_a_cell_is_fed_is_the_series_with_that_offset_spread_and_outlier_scaled():
    values = np.array([3.0, 5.0, 7.0, 9.0, 11.0])  # standardised: −√2, −√½, 0, √½, √2
    shape = np.array([-(2**0.5), -(0.5**0.5), 0.0, 0.5**0.5, 2**0.5])
    np.testing.assert_allclose(fed(values, 30, 4, 0, "none"), 30 + 4 * shape)
    outlying = shape + 8 * np.eye(5)[2]
    np.testing.assert_allclose(fed(values, 30, 4, 8, "centre"), 4 * (outlying - outlying.mean()))
    np.testing.assert_allclose(fed(values, 30, 4, 8, "standard"), (outlying - outlying.mean()) / outlying.std())
    np.testing.assert_allclose(fed(values, 30, 4, 8, "symmetric")[[0, 2]], [-1, 1])


def test_the_sliders_of_the_cell_show_what_it_is_fed_and_how_its_states_move():
    explorer = fed_cell(rt.series.demand(weeks=1).values[:96, 0])
    moved = {}
    for offset, scaler in ((0, "none"), (100, "none"), (100, "standard"), (0, "standard")):
        explorer.sliders["offset"].value, explorer.sliders["scaler"].value = offset, scaler
        moved[offset, scaler] = float(re.search(r"states move by (\d\.\d+)\.$", explorer.said)[1])
    assert moved[100, "none"] < moved[0, "none"] / 3
    assert moved[100, "standard"] == moved[0, "standard"] == moved[0, "none"]
    explorer.sliders["spread"].value = 0.01
    explorer.sliders["scaler"].value = "none"
    assert explorer.said.startswith("The cell is fed −0.0")


def test_errors_of_scalers_are_those_of_the_record():
    tip = rt.tips["scaling"]
    found = of_scalers(tip, "demand")
    assert list(found) == ["none", "centre", "scale", "standard", "minmax", "symmetric", "robust"]
    said = tip.numbers()["C1"]["demand"]
    assert [float(re.match(r"[\d.]+", said[side])[0]) for side in ("baseline", "variant")] == [
        pytest.approx(np.median(found[kind]), rel=0.01) for kind in ("standard", "none")
    ]
    ax = errors_of_scalers(tip, {"demand": "demand", "with spikes": "demand, spiked"})
    left, _ = ax.figure.axes
    assert [text.get_text() for text in left.get_yticklabels()] == [*found][::-1]
    drawn = {line.get_ydata()[0]: line.get_xdata()[0] for line in left.get_lines()[1:-1:2]}
    assert [drawn[6 - row] for row in range(7)] == [np.median(shares) for shares in found.values()]
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
    np.testing.assert_allclose(seeds.get_lines()[2].get_xdata(), runs.test_score / runs.naive)
    linear, naive = (line.get_xdata()[0] for line in seeds.get_lines()[:2])
    assert naive == 1 and linear == np.median(runs.floor / runs.naive) < 1
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
    """The last two epochs of the first networks, where classes begin, and chunks whose losses are known."""
    digits, recipe = rt.tasks.digits(rows=True), rt.Recipe(width=2, batch_size=14, budget=rt.epochs(3))
    runs = {name: rt.train(recipe.but(order=name), digits, range(2)) for name in ("shuffled", "class")}
    chunked = rt.train(rt.Recipe(updates=30, width=2, past=6, chunk=2), rt.tasks.leaky(2), range(3))
    chunked.train_loss[:] = np.tile([1.0, 2.0, 4.0], 10) + (np.arange(30) < 20) * 100  # the first two thirds
    left, right = orders(runs, digits, {"in order": chunked}).figure.axes
    drawn = {line.get_label(): line for line in (*left.get_lines(), *right.get_lines())}
    for name, some in runs.items():
        np.testing.assert_allclose(drawn[name].get_ydata(), some.train_loss[0, -154:])
        np.testing.assert_allclose(drawn[name].get_xdata(), (np.arange(77, 231) + 0.5) / 77)
    example = digits.examples(recipe, 0)
    read = np.sort(example.labels(example.of(0)))  # sorted, as the second side reads them in each epoch
    begins = sorted(line.get_xdata()[0] for line in left.get_lines() if len({*line.get_xdata()}) == 1)
    np.testing.assert_allclose(begins[10:], 2 + np.searchsorted(read, range(10)) / len(read))
    np.testing.assert_allclose(drawn["in order"].get_ydata(), [1, 2, 4])
    np.testing.assert_array_equal(drawn["in order"].get_xdata(), [1, 2, 3])
    assert drawn["shuffled"].get_linestyle() != drawn["class"].get_linestyle()
    png(right)


def test_splits_show_which_targets_are_in_which_part_and_every_test_error():
    task, late = rt.tasks.forecast(rt.series.co2()), rt.Recipe(past=8, width=2, updates=3)
    sides = {name: rt.train(late.but(split=name), task, range(3)) for name in ("shuffled", "time")}
    shuffled, in_time, right = splits(sides, task).figure.axes
    for ax in (shuffled, in_time):
        drawn = [line.get_xdata() for line in ax.get_lines()]
        assert sorted(np.concatenate(drawn)) == [*task.examples(late, 0).times]
        for line in ax.get_lines():
            np.testing.assert_array_equal(line.get_ydata(), task.values(0)[line.get_xdata(), 0])
        training, _, test = drawn
        assert (training.max() < test.min()) == (ax is in_time)
    for line, runs in zip(right.get_lines(), sides.values(), strict=False):
        np.testing.assert_allclose(line.get_xdata(), runs.test_score / runs.naive)
    png(right)


def test_the_reach_of_a_window_is_its_gradient_against_the_newest_values():
    norms = np.geomspace(2, 2e-8, 100)[None] * [[1], [2], [3]]
    ax = windows.reach(norms, {"a week": 70}, unit="hour")
    *_, middle, mark = ax.get_lines()
    np.testing.assert_allclose(middle.get_ydata(), np.geomspace(1, 1e-8, 100))
    assert mark.get_xdata()[0] == 70 and ax.get_xlim()[0] > ax.get_xlim()[1], "the newest value stands at the right"
    assert ax.get_xlabel() == "hours back from the newest value"
    png(ax)


def test_ways_to_read_a_window_are_the_stored_errors_of_their_arms():
    tip = rt.tips["sliding_windows"]
    rows = {"a week": ("demand", {"past": 336, "patch": 1}), "an input": ("demand", {"past": 48, "lags": (288,)})}
    ax = windows.ways(tip, rows)
    stored = [entry for part in tip.record["parts"] for entry in part["settings"]["demand"] if entry["lags"] == [288]]
    share = [s / t for entry in stored for s, t in zip(entry["test_score"], entry["naive"], strict=True)]
    assert len(share) == len(tip.record["seeds"])
    medians = [line.get_xdata()[0] for line in ax.get_lines() if line.get_marker() == "o"]
    crosses = [line.get_xdata()[0] for line in ax.get_lines() if line.get_marker() == "x" and len(line.get_xdata())]
    assert medians[1] == pytest.approx(np.median(share)) and len(crosses) == 1 and crosses[0] < medians[0]
    assert [label.get_text() for label in ax.get_yticklabels()] == list(rows)
    png(ax)


def test_depths_show_what_first_answers_depend_on_and_the_errors_after_each_evaluation():
    """Medians over seeds; every depth has a look of its own."""
    task = rt.tasks.characters()
    base = rt.Recipe(updates=20, past=8, width=4, batch_size=4)
    networks = {name: rt.train(base.but(layers=layers), task, range(3)) for name, layers in (("one", 1), ("three", 3))}
    ax = before_and_early(networks, task, until=15)
    left, right = ax.figure.axes
    untrained = rt.train(networks["three"].recipes[0].but(lr=1e-12, updates=1), task, range(3))
    expected = 100 * np.median(answer_by_lag(untrained, task, range(8)), axis=0)
    for line in left.get_lines():
        assert list(line.get_xdata()) == list(range(8))
    np.testing.assert_allclose(left.get_lines()[1].get_ydata(), expected, rtol=1e-3)
    assert left.get_lines()[0].get_ydata()[0] > left.get_lines()[1].get_ydata()[0]
    for runs, line in zip(networks.values(), right.get_lines(), strict=True):
        shown = (runs.evaluations >= 10) & (runs.evaluations <= 15)
        share = (runs.valid_score / runs.valid_naive[:, None])[:, shown]
        np.testing.assert_allclose(line.get_ydata(), np.median(share, 0))
    assert len({line.get_linestyle() for line in left.get_lines()}) == 2
    assert [text.get_text() for text in right.get_legend().get_texts()] == list(networks)
    png(ax)


def test_next_characters_marks_those_that_are_right():
    task = rt.tasks.characters()
    base = rt.Recipe(past=8, width=8, batch_size=8, lr=0.03)
    study = rt.compare(base.but(updates=100), base.but(updates=1), on=task, seeds=range(2), tune=None)
    ax = next_characters(study, task, ("trained", "not"), steps=30)
    said = [[text for text in ax.texts if text.get_position()[1] == row] for row in (0, -1, -2)]
    assert [len(row) for row in said] == [30, 30, 30]
    for row, label in zip(said[1:], ax.get_yticklabels()[1:], strict=True):
        right = [one.get_text() == theirs.get_text() for one, theirs in zip(row, said[0], strict=True)]
        assert [text.get_color() == "white" for text in row] == right
        assert label.get_text().endswith(f", {sum(right)} right")
    assert "".join(text.get_text() for text in said[0]) in "".join(LETTERS[i] for i in _text()).replace(" ", "␣")
    png(ax)


def test_steps_in_a_bowl_are_those_of_gradient_descent():
    ax = steps_in_a_bowl({"creeps": 0.1, "jumps": 2.05}, steps=3)
    path = ax.get_lines()[1].get_xdata()
    x = torch.tensor(1.0, requires_grad=True)
    for expected in path:
        assert float(x.detach()) == pytest.approx(expected)
        x.grad = None
        (x**2 / 2).backward()
        x.data -= 2.05 * x.grad
    png(ax)


def test_steps_in_a_valley_are_those_of_pytorch():
    ax = in_a_valley({"none": (0.018, 0.0), "momentum": (0.006, 0.9)}, steps=5)
    path = next(line for line in ax.get_lines() if line.get_marker() == "o").get_xydata()
    weights = torch.tensor(path[0], requires_grad=True)
    optimizer = torch.optim.SGD([weights], lr=0.006, momentum=0.9)
    for expected in path:
        np.testing.assert_allclose(weights.detach(), expected)
        optimizer.zero_grad()
        (weights**2 @ torch.tensor([0.5, 50.0], dtype=torch.float64)).backward()
        optimizer.step()
    png(ax)


def test_errors_over_learning_rates_are_medians_of_the_runs():
    recipe, task = rt.Recipe(optimizer="sgd", width=4, updates=5), rt.tasks.forecast(rt.series.sines(600))
    runs = [rt.train(recipe.but(lr=lr), task, seeds=range(3)) for lr in (0.01, 0.1)]
    ax = rates({"sines": {"plain": runs, "again": runs[:1]}})
    (line,) = [line for line in ax.get_lines() if line.get_label() == "plain"]
    assert line.get_xdata().tolist() == [0.01, 0.1]
    np.testing.assert_allclose(line.get_ydata(), [np.median(np.minimum(one.test_score / one.naive, 1)) for one in runs])
    png(ax)


def test_after_a_jump_the_losses_are_the_runs_and_the_learning_rate_is_what_was_used():
    recipe = rt.Recipe(cell="tanh", updates=150, past=9, width=6, batch_size=3, optimizer="sgd", lr=0.05, momentum=0.5)
    full = recipe.but(rescue="lower, then full")
    study = rt.compare(full, full.but(rescue="lower"), rt.series.sines(600), range(2))
    ((setting, sides),) = study.runs.items()
    losses, rates = after_a_jump(study, setting).figure.axes
    first = int(np.argmin(sides[0].rescued_at))
    at = int(sides[0].rescued_at[first])
    assert 20 < at < 150
    for line, runs in zip(losses.get_lines(), sides, strict=False):
        np.testing.assert_array_equal(line.get_ydata(), runs.train_loss[first])
    up, down = (line.get_ydata() for line in rates.get_lines()[:2])
    used = [np.array([Rates(runs)(update)[first] for update in range(at, 150)]) for runs in sides]
    np.testing.assert_allclose([up[at:], down[at:]], used, rtol=1e-5)
    assert (up[:at] == 0.05).all() and (down[:at] == 0.05).all()
    png(losses)


def test_the_curves_and_failed_shares_of_learning_rates_are_the_records():
    tip = rt.tips["learning_rate"]
    ax = u_curves(tip, {"demand": {"Adam": "demand", "SGD": "demand, SGD"}})
    for line, setting in zip(ax.get_lines(), ("demand", "demand, SGD"), strict=False):
        errors = of_rates(tip, setting)
        assert line.get_xdata().tolist() == sorted(errors) and len(errors) >= 8
        np.testing.assert_allclose(line.get_ydata(), [np.median(errors[rate]) for rate in errors])
    places = {"demand at 0.32": "GRU", "demand, tanh, at 0.1": "tanh"}
    shares = failed_shares(tip, places)
    dots = [line for line in shares.get_lines() if len(line.get_xdata()) == 1]
    assert len(dots) == sum(len(tip.arms(setting)) for setting in places)
    for setting in places:
        for arm in tip.arms(setting):
            failed = np.mean(~(arm.scores.score < arm.scores.naive))
            assert any(line.get_xdata()[0] == pytest.approx(100 * failed) for line in dots)
    png(ax), png(shares)


def test_what_training_sees_ends_at_the_chunk_and_what_the_network_uses_does_not():
    """The drawn medians are the measured ones, gradients as shares of each network's largest."""
    task, short = rt.tasks.leaky(5), rt.Recipe(width=6, past=12, updates=40, chunk=12, stride=3, carry=True)
    sides = {f"{k} steps": rt.train(short.but(chunk=k), task, range(3)) for k in (12, 3)}
    last = reach(task, sides, range(10))
    left, right = last.figure.axes
    assert last is right
    for row, runs in enumerate(sides.values()):
        seen, used = ([line.get_ydata() for line in ax.lines if line.get_linewidth() == 2][row] for ax in (left, right))
        found = gradient_by_lag(runs, task, range(10), of="inputs")
        np.testing.assert_allclose(seen, np.median(found / found.max(1, keepdims=True), axis=0))
        np.testing.assert_allclose(used, np.median(answer_by_lag(runs, task, range(10)), axis=0))
        assert (seen[3:] == 0).all() == (row == 1) and (used[3:] > 0).all()
    png(last)


def test_answers_to_a_sequence_stand_beside_the_right_ones():
    """Their root mean square distance, over all sequences, is the test score; here of one sequence."""
    task, short = rt.tasks.leaky(5), rt.Recipe(width=6, past=12, updates=40)
    runs = rt.train(short, task, [3, 4])
    example = task.examples(short, 3)
    right = example.answers(example.of(2)[:1])[:, 0]
    drawn = {line.get_label(): line.get_ydata() for line in followed({"whole": runs}, task).lines}
    np.testing.assert_allclose(drawn["right"], right)
    assert 0 < np.sqrt(np.mean((drawn["whole"] - right) ** 2)) < 2 * runs.test_score[0]
    bars = sequence(task, short, 3)
    np.testing.assert_allclose([bar.get_height() for bar in bars.patches], example.inputs(example.of(2)[:1])[0, :, 0])
    png(bars)


def test_chunks_are_drawn_with_the_records_shares_of_solved_runs_and_errors():
    tip, lags = rt.tips["truncated_bptt"], {"recall 4, chunks": 4, "recall 8, chunks": 8}
    left, right = chunks(tip, lags).figure.axes
    for solved, medians, (setting, lag) in zip(left.lines, right.lines, lags.items(), strict=True):
        assert [*solved.get_xdata()] == [*medians.get_xdata()] == [0.5, 1, 1.25, 2, 4]
        arms = {arm.recipe.chunk: arm.scores for arm in tip.arms(setting)}
        of = [arms[lag * x] for x in solved.get_xdata()]
        np.testing.assert_allclose(solved.get_ydata(), [100 * np.mean(readings.solved(scores)) for scores in of])
        np.testing.assert_allclose(medians.get_ydata(), [np.median(scores.score / scores.naive) for scores in of])
    png(right)


def test_batch_sizes_show_their_updates_and_their_noise():
    sizes = np.array([1, 10, 100])
    noise = {name: GradientNoise(sizes, level / np.sqrt(sizes) * np.ones((4, 1)), np.ones(4), np.ones(4))
             for name, level in (("before", 2.0), ("after", 4.0))}  # fmt: skip
    counts, noises = updates_and_noise(1000, 5, noise).figure.axes
    (line,) = counts.get_lines()
    updates = dict(line.get_xydata().tolist())
    assert (updates[1], updates[10], updates[1000]) == (5000, 500, 5)
    named = {line.get_label(): line for line in noises.get_lines()}
    np.testing.assert_allclose(named["after"].get_ydata(), [4, 4 / 10**0.5, 0.4])
    assert named["after"].get_linestyle() != named["before"].get_linestyle()
    assert {ax.get_xlabel() for ax in (counts, noises)} == {"windows in a batch"}
    png(noises)


def test_batch_sizes_are_drawn_with_the_records_errors_for_every_budget():
    tip = rt.tips["batch_size"]
    ax, _ = errors(tip, {"demand": "demand", "digits": "digits"}).figure.axes
    shown = {line.get_label(): line for line in ax.get_lines()}
    stored = [entry for part in tip.record["parts"] for entry in part["settings"]["demand, equal updates"]
              if entry["batch_size"] == 1000 and "times" not in entry]  # fmt: skip
    share = [s / t for entry in stored for s, t in zip(entry["test_score"], entry["naive"], strict=True)]
    assert len(share) == len(tip.record["seeds"])
    assert shown["equal updates"].get_ydata()[-1] == pytest.approx(np.median(share))
    assert shown["equal epochs"].get_xdata().tolist() == [1, 10, 32, 100, 1000]
    png(ax)


@pytest.fixture
def exploded():
    """A study of which the first baseline run broke at update 31."""
    study = rt.compare(rt.Recipe(updates=60, width=6, batch_size=8), rt.Recipe(updates=60, width=6, batch_size=8,
                       clip_norm=1.0), on=rt.series.sines(), seeds=range(10))  # fmt: skip
    (sides,) = study.runs.values()
    for values in (sides[0].gradient_norm, sides[0].train_loss):
        values[:] = np.geomspace(0.2, 0.9, 10)[:, None]
        values[0, 30:] = np.nan
    sides[0].diverged_at[0] = 31
    return study


def lines(ax, marker):
    return [line for line in ax.get_lines() if (line.get_marker() == "x") == marker and line.get_label() != "limit"]


def test_a_run_that_breaks_has_a_line_that_ends_there_with_a_cross(exploded):
    by_lag = np.array([[1.0, 0.1, 0.01]] * 5)
    right = gradients(exploded, {"radius 2": by_lag}, 1.0)
    left = right.figure.axes[0]
    first, (cross,) = left.get_lines()[0], lines(left, True)
    assert len(first.get_xdata()) == 30 and cross.get_xdata() == [30]
    assert np.isfinite(first.get_ydata()).all()
    whole, third = (line.get_ydata() for line in right.get_lines())
    np.testing.assert_allclose(whole, by_lag[0])
    np.testing.assert_allclose(third, by_lag[0] / 3)
    png(left)
    left = answers(exploded, rt.series.sines(), 20).figure.axes[0]
    assert len(lines(left, True)) == 1 and left.get_lines()[0].get_xdata()[-1] == 30
    assert [text.get_text() for text in left.get_legend().get_texts()] == ["no clipping", "clip at 1"]
    png(left)


def test_shares_of_updates_above_thresholds_fall_with_the_threshold(exploded):
    (sides,) = exploded.runs.values()
    sides[1].gradient_norm[:] = np.geomspace(0.1, 10, 10)[:, None]
    errors = {0.3: np.full(10, 0.6), None: np.ones(10)}
    right = thresholds({"sines": sides[1]}, [0.3, 1, 3], errors)
    left = right.figure.axes[0]
    shares = [line.get_ydata()[-1] for line in left.get_lines()]
    assert shares == [70, 50, 30] and [label.get_text() for label in right.get_xticklabels()] == ["0.3", "none"]
    png(right)


def test_thresholds_come_with_the_records_errors():
    tip = rt.tips["gradient_clipping"]
    found = of_thresholds(tip, "adding, large radius", lr=0.1)
    assert list(found) == [0.3, 1.0, 3.0, 10.0, None] and {len(errors) for errors in found.values()} == {100}
    assert (found[None] <= 1).all() and max(errors.max() for errors in found.values()) <= 1


@pytest.mark.parametrize("setting", ["demand", "text, 128 units"])
def test_what_some_tries_come_to_is_what_the_records_claims_are_judged_by(setting):
    """The first, third and eighth point are the medians that "best of 1, 3 and 8 tries" compare."""
    tip = rt.tips["optimizers"]
    drawn = {line.get_label(): line for line in optimizers.by_tries(tip, {setting: "x"}).get_lines()}
    claims, clipped = Plan(tip).claims, "SGD, momentum 0.9, clipped at 1"
    for name, claim, side in (("SGD", "C63", 0), ("Adam", "C63", -1), (clipped, "clipped", -1)):
        arms = claims[claim].needs(setting)[side].values()
        tried = {arm.recipe.lr: one.scores for arm in arms for one in tip.arms(setting) if one.recipe == arm.recipe}
        naive = next(iter(tried.values())).naive
        assert drawn[name].get_xdata().tolist() == [*range(1, 9)]
        for count in (1, 3, 8):
            expected = np.median(readings.best_of(count, tried)[0] / naive)
            assert drawn[name].get_ydata()[count - 1] == pytest.approx(expected), (name, count)


def test_errors_over_the_learning_rates_of_optimizers_are_the_records():
    tip = rt.tips["optimizers"]
    ax = optimizers.by_rate(tip, {"demand": "demand", "recall": "recall"}).figure.axes[0]
    (line,) = [line for line in ax.get_lines() if line.get_label() == "Adagrad"]
    arms = {arm.recipe.lr: arm.scores for arm in tip.arms("demand")
            if arm.recipe.optimizer == "adagrad" and arm.tuned == "none"}  # fmt: skip
    assert line.get_xdata().tolist() == sorted(arms) and len(arms) == 8
    medians = [np.median(np.fmin(arms[rate].shares, 1)) for rate in sorted(arms)]
    np.testing.assert_allclose(line.get_ydata(), medians)
    png(ax)


def test_gradients_of_weights_are_those_of_pytorch():
    task = rt.tasks.forecast(rt.series.sines(600))
    runs = rt.train(rt.Recipe(width=5, past=8, updates=4), task, range(2))
    found = optimizers.sizes(runs, task, runs.weights)
    network, examples, chosen, inputs = rebuilt(runs.recipes, runs.seeds, task, lambda one: one.of(0, 64), runs.weights)
    twin = Twin(network, 1)
    targets = torch.tensor(examples[1].targets[chosen[1]], dtype=torch.float64)
    (twin(inputs[1].double())[0][:, -1] - targets).square().mean().backward()
    squares = {kind: [] for kind in found}
    for name, value in twin.named.items():
        squares[optimizers.PARTS.get(name.removesuffix("_0"), "biases")].append(value.grad.flatten() ** 2)
    for kind, some in squares.items():
        assert found[kind][1] == pytest.approx(float(torch.cat(some).mean().sqrt()), rel=1e-3), kind
    png(optimizers.gradient_sizes(runs, task))
