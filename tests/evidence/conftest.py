"""A made-up tip with everything that a plan can say, and its record, computed once."""

import json

import pytest
from making import MadeUp

from evidence import ledger, records, timing
from evidence.plans import Plan
from rnntips import series, tasks
from rnntips.notebook import tips
from rnntips.notebook.tips import Tip
from rnntips.tasks.settings import SETTINGS


@pytest.fixture(scope="session")
def made_up(tmp_path_factory):
    """Puts the made-up lesson in the place of all others; a function of a monkeypatch, which puts them back."""
    MadeUp.folder = tmp_path_factory.mktemp("made")
    lesson = MadeUp("99_made", "Made up", "Can a plan say this?", "short", 1, 5, (), ())

    def put(patch):
        patch.setattr(tips, "lessons", lambda: (lesson,))
        patch.setattr(ledger, "_path", lambda tip: lesson.folder / "ledger.jsonl")
        patch.setattr(timing, "FILL", 0.001)  # no test looks at real seconds
        patch.setitem(SETTINGS, "sines", lambda: tasks.forecast(series.sines(steps=600)))

    with pytest.MonkeyPatch.context() as patch:
        put(patch)
        record = records.compute(Plan(Tip("made")), retune=True, device="cpu", say=lambda line: None)
    (lesson.folder / "record.json").write_text(json.dumps(record), encoding="utf-8")
    return put


@pytest.fixture
def made(made_up, monkeypatch):
    """The made-up plan, as if there were no other."""
    made_up(monkeypatch)
    return Plan(Tip("made"))
