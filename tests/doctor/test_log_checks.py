"""`rt.doctor.read`: logs that were made to show a fault, in any unit; and files of Lightning and Keras."""

import numpy as np
import pytest
import torch
from click.testing import CliRunner

import rnntips as rt
from rnntips.cli import main
from rnntips.errors import BadArgument, BadData

U, E = 400, 20


def log(scale=1.0, seed=0):
    random, at = np.random.default_rng(seed), np.arange(1, U + 1)

    def fall(times, noise):
        return scale * (0.3 + np.exp(-times / 30)) * (1 + noise * random.standard_normal(len(times)))

    return {"train_loss": fall(at, 0.05), "valid_loss": fall(at[U // E - 1 :: U // E], 0.005), "naive": scale}


def answers(kind, seed=0, n=300):
    random = np.random.default_rng(seed)
    truth = np.cumsum(random.standard_normal(n))
    last = np.concatenate([truth[:1], truth[:-1]])
    return {"right": truth + 0.2 * random.standard_normal(n), "constant": np.full(n, truth.mean()), "last": last,
            }[kind], truth  # fmt: skip


def diverged(log):
    log["train_loss"][50:] = np.nan


def spikes(log):
    log["train_loss"][40::50] *= 40


def flat(log):
    log["train_loss"][:] = log["train_loss"][0] * np.random.default_rng(0).uniform(0.97, 1.03, U)
    del log["valid_loss"], log["naive"]


def falling(log):
    log["valid_loss"] *= np.linspace(2.6, 0.6, E)


def overfits(log):
    log["valid_loss"] *= np.linspace(0.7, 1.6, E)
    log["train_loss"] *= np.linspace(1, 0.4, U)


def bad(log):
    log["valid_loss"] *= 4


FAULTS = {"diverged": diverged, "spikes": spikes, "flat": flat, "still-falling": falling, "overfits": overfits,
          "worse-than-naive": bad}  # fmt: skip


@pytest.mark.parametrize("scale", [1e-4, 1.0, 1e5])
@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_of_a_log_gets_its_code_in_any_unit(fault, scale):
    for seed in range(5):
        assert rt.doctor.read(**log(scale, seed)).ok
        given = log(scale, seed)
        FAULTS[fault](given)
        assert [one.code for one in rt.doctor.read(**given).findings][:1] == [fault]


@pytest.mark.parametrize(
    ("kind", "code"), [("right", None), ("constant", "constant-answers"), ("last", "repeats-last-value")]
)
def test_answers(kind, code):
    for shape in (lambda values: values, lambda values: values[:, None], torch.tensor):
        predictions, targets = (shape(values) for values in answers(kind))
        report = rt.doctor.read(predictions=predictions, targets=targets)
        assert [one.code for one in report.findings] == ([code] if code else [])


def test_answers_of_classes():
    random = np.random.default_rng(0)
    targets = random.integers(0, 5, 300)
    right = np.eye(5)[targets] + 0.3 * random.standard_normal((300, 5))
    always = np.tile([0.3, 0.2, 0.2, 0.2, 0.1], (300, 1))
    assert rt.doctor.read(predictions=right, targets=targets).ok
    assert [one.code for one in rt.doctor.read(predictions=always, targets=targets).findings] == ["constant-answers"]
    assert rt.doctor.read(predictions=always, targets=np.zeros(300)).ok  # they are all of one class
    steps = always.reshape(30, 10, 5), targets.reshape(30, 10)
    assert not rt.doctor.read(predictions=steps[0], targets=steps[1]).ok
    assert "constant-answers" in rt.doctor.read(predictions=always[:5], targets=targets[:5]).untested


def test_losses_that_were_kept_without_item():
    weight = torch.ones(1, requires_grad=True)
    losses = [loss * weight.sum() for loss in log()["train_loss"].tolist()]
    assert rt.doctor.read(losses).ok and rt.doctor.read([*losses[:60], *[loss * torch.nan for loss in losses]]).findings


def test_of_what_is_not_given_nothing_is_said():
    everything = log()
    for name in everything:
        report = rt.doctor.read(**{other: value for other, value in everything.items() if other != name})
        assert report.ok and report.untested
    assert rt.doctor.read(gradient_norm=np.ones(50)).ok
    assert "worse-than-naive" in rt.doctor.read(valid_loss=np.ones(30)).untested
    assert rt.doctor.read(gradient_norm=[1.0] * 30 + [np.nan] * 9).findings[0].code == "diverged"


@pytest.mark.parametrize(
    ("given", "words"),
    [({}, "Nothing to read"), ({"train_loss": "x"}, "numbers"), ({"train_loss": []}, "empty"),
     ({"valid_loss": np.ones((2, 9))}, "of one run"), ({"train_loss": [1.0], "naive": -1}, "positive"),
     ({"predictions": [1.0]}, "both"), ({"predictions": np.ones(30), "targets": np.ones(31)}, "equally many")],
)  # fmt: skip
def test_what_cannot_be_read_is_refused_in_words(given, words):
    with pytest.raises(BadArgument, match=words):
        rt.doctor.read(**given)


def lightning(path, train, valid):
    """Training and validation in rows of their own, as Lightning's CSVLogger writes them."""
    rows = ["epoch,step,train_loss,val_loss"] + [f"{i // 20},{i},{loss}," for i, loss in enumerate(train)]
    rows += [f"{i},{20 * i},,{loss}" for i, loss in enumerate(valid)]
    path.write_text("\n".join(rows), encoding="utf-8")


def keras(path, train, valid, separator=","):
    rows = ["epoch,accuracy,loss,val_loss"] + [
        f"{i},0.5,{a},{b}" for i, (a, b) in enumerate(zip(train, valid, strict=True))
    ]
    path.write_text("\n".join(rows).replace(",", separator), encoding="utf-8")


def cli(*arguments):
    return CliRunner().invoke(main, ["doctor", *map(str, arguments)])


def test_files_of_lightning_and_keras(tmp_path):
    path, given = tmp_path / "metrics.csv", log()
    lightning(path, given["train_loss"], given["valid_loss"])
    result = cli(path, "naive=1")
    assert result.exit_code == 0 and result.output.startswith("Nothing unusual."), result.output
    lightning(path, [*given["train_loss"][:50], *["nan"] * 30], given["valid_loss"][:3])
    assert "1. diverged" in cli(path).output and "update 51" in cli(path).output
    for separator in (",", ";"):
        keras(path, given["valid_loss"], given["valid_loss"] * np.linspace(0.7, 1.6, E), separator)
        assert "1. overfits" in cli(path).output
    path.write_text("step;my loss\n" + "\n".join(f"{i};{1 + i % 2 / 99}" for i in range(40)), encoding="utf-8")
    assert "train_loss=COLUMN" in cli(path).output and "my loss" in cli(path).output
    assert "1. flat" in cli(path, "train_loss=my loss").output


@pytest.mark.parametrize(
    ("text", "arguments", "words"),
    [(None, [], "cannot be read"), ("", [], "no column"), ("loss\nx\n", [], "Line 2, column loss"),
     ("loss\n1\n", ["naive=many"], "positive number|a number"), ("loss\n1\n", ["valid_loss=b"], "loss"),
     ("loss\n1\n", ["what=loss"], "NAME=VALUE")],
)  # fmt: skip
def test_a_file_that_cannot_be_read_is_refused_in_words(tmp_path, text, arguments, words):
    import re

    path = tmp_path / "log.csv"
    if text is not None:
        path.write_text(text, encoding="utf-8")
    result = cli(path, *arguments)
    assert result.exit_code and re.search(words, result.output), result.output
    with pytest.raises((BadData, BadArgument)):
        from rnntips.doctor.log_checks import read_file

        read_file(path, **({"naive": -1} if arguments else {}))
