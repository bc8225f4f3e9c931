"""A made-up tip with everything that a plan can say, and its record, computed once."""

import json
import shutil
import tomllib
from pathlib import Path

import pytest

from evidence import ledger, records, timing
from evidence.plans import Plan
from rnntips import series, tasks
from rnntips.notebook import tips
from rnntips.notebook.lessons import Lesson
from rnntips.notebook.tips import Tip
from rnntips.tasks.settings import SETTINGS

FILE = Path(__file__).with_name("made_up.toml")


@pytest.fixture(scope="session")
def made_up(tmp_path_factory):
    """Puts the made-up lesson in the place of all others; a function of a monkeypatch, which puts them back."""
    where = tmp_path_factory.mktemp("lessons") / "made"
    where.mkdir()
    shutil.copy(FILE, where / "lesson.toml")

    class MadeUp(Lesson):
        folder = property(lambda self: where)

    given = tomllib.loads(FILE.read_text(encoding="utf-8"))
    lesson = MadeUp("99_made", "Made up", given["question"], "short", 1, 5, (), ())

    def put(patch):
        patch.setattr(tips, "lessons", lambda: (lesson,))
        patch.setattr(ledger, "_path", lambda tip: where / "ledger.jsonl")
        patch.setattr(timing, "FILL", 0.001)  # no test looks at real seconds
        patch.setitem(SETTINGS, "sines", lambda: tasks.forecast(series.sines(steps=600)))

    with pytest.MonkeyPatch.context() as patch:
        put(patch)
        record = records.compute(Plan(Tip("made")), retune=True, device="cpu", say=lambda line: None)
    (where / "record.json").write_text(json.dumps(record), encoding="utf-8")
    return put


@pytest.fixture
def made(made_up, monkeypatch):
    """The made-up plan, as if there were no other."""
    made_up(monkeypatch)
    return Plan(Tip("made"))


@pytest.fixture
def no_training(monkeypatch):
    """Training anything fails the test."""
    for name in ("rnntips.training.begin", "evidence.records.train_arms", "evidence.records.tune_arms"):
        monkeypatch.setattr(name, lambda *_, **__: pytest.fail("something was trained"))
