"""What several tests of the laboratory make up."""

import tomllib
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import rnntips as rt
from evidence.__main__ import main
from rnntips.notebook.lessons import Lesson
from rnntips.verdict import Scores

FILE = Path(__file__).with_name("made_up.toml")


class MadeUp(Lesson):
    """A lesson of the made-up plan, in which a claim's title is its name."""

    folder: Path

    @property
    def toml(self):
        plan = tomllib.loads(FILE.read_text(encoding="utf-8"))["plan"]
        return {"plan": plan, "texts": {name: name for name in plan["claims"]}}


def scores(score, naive=1.0, floor=0.0, **readings):
    """Scores of runs; readings by their names, with _ for a space."""
    n = len(score)
    named = {name.replace("_", " "): np.asarray(values, dtype=float) for name, values in readings.items()}
    return Scores(np.asarray(score, dtype=float), np.full(n, naive), np.full(n, floor), named)


def runs_of(recipe, scores, valid=0.5):
    """A finished record of these runs."""
    n = len(scores)
    return rt.Runs((recipe,) * n, seeds=np.arange(n), test_scores=scores.score[:, None], naive=scores.naive,
                   floor=scores.floor, valid_score=np.full((n, 3), valid), valid_naive=np.ones(n),
                   train_loss=np.zeros((n, 1)), reached=1)  # fmt: skip


def run(*arguments: str):
    """The result of `python -m evidence ARGUMENTS`; what was raised inside is raised here."""
    found = CliRunner().invoke(main, arguments)
    if found.exception is not None and not isinstance(found.exception, SystemExit):
        raise found.exception
    return found


def alike(found, stored, rel=None):
    """Equal, numbers within a ten-thousandth, or within `rel` of their size if that is more."""
    if isinstance(stored, dict):
        assert found.keys() == stored.keys()
        for name in stored:
            alike(found[name], stored[name], rel)
    elif isinstance(stored, list):
        for one, other in zip(found, stored, strict=True):
            alike(one, other, rel)
    else:
        assert found == (stored if isinstance(stored, str | None) else pytest.approx(stored, abs=1e-4, rel=rel))
