"""The ledger: append-only, complete, and the source of fresh seeds."""

import json
import subprocess
from pathlib import Path

import pytest

import rnntips as rt
from evidence import ledger
from evidence.plans import Plan
from rnntips.notebook.lessons import FOLDER
from rnntips.notebook.tips import Tip

ROOT = Path(rt.__file__).parents[1]


@pytest.fixture(params=list(rt.tips))
def plan(request):
    return Plan(Tip(request.param))


def git(*arguments):
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, encoding="utf-8")


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*/ledger.jsonl")), ids=lambda path: path.parent.name)
def test_what_was_committed_is_the_beginning_of_what_is_there(path):
    if not (ROOT / ".git").exists():
        pytest.skip("no history here")
    present = path.read_text(encoding="utf-8")
    formerly = f"rnntips/data/ledger/{path.parent.name}.jsonl"
    for name in (path.relative_to(ROOT).as_posix(), formerly):
        for commit in git("log", "--format=%H", "--diff-filter=d", "--", name).stdout.split():
            then = git("show", f"{commit}:{name}")
            assert then.returncode == 0 and then.stdout and present.startswith(then.stdout), commit


def test_every_stored_record_has_its_whole_plan_in_the_ledger(plan):
    lines, record = ledger.versions(plan.name), plan.tip.record
    assert [line["version"] for line in lines] == list(range(1, len(lines) + 1))
    assert len({line["plan"] for line in lines}) == len(lines)
    (line,) = [line for line in lines if line["plan"] == record["plan"]]
    assert line["version"] == record["version"]
    assert line["meaning"] == plan.meaning and line["meaning"]["plan"] == plan.given
    for line in lines:
        assert line["plan"] == ledger.fingerprint(line["meaning"]) or "before there was a ledger" in line["note"]


def test_freezing_appends_once_and_changes_nothing_that_stands_there(monkeypatch, tmp_path):
    monkeypatch.setattr(ledger, "FOLDER", tmp_path)
    (tmp_path / "x").mkdir()
    first, second, file = {"a": [1.5, "é"]}, {"a": [1.5, "e"]}, tmp_path / "x" / "ledger.jsonl"
    line = ledger.freeze("x", first)
    before = file.read_bytes()
    assert ledger.freeze("x", json.loads(json.dumps(first))) == line
    assert file.read_bytes() == before
    assert ledger.freeze("x", second)["version"] == 2
    assert file.read_bytes().startswith(before)
    assert ledger.freeze("x", first) == line == ledger.versions("x")[0]


def test_fresh_seeds_follow_from_the_hash_alone():
    seeds = ledger.fresh_seeds("abc", 500)
    assert seeds == ledger.fresh_seeds("abc", 500) and seeds[:7] == ledger.fresh_seeds("abc", 7)
    assert len(set(seeds)) == 500 and set(map(len, map(str, seeds))) == {6}
    assert len(set(seeds) & set(ledger.fresh_seeds("abd", 500))) < 10
    assert abs(sum(seeds) / 500 - 550_000) < 5 * 260_000 / 500**0.5  # spread evenly, as chance would


def test_digests_follow_the_numbers_to_six_digits():
    assert ledger.digest([1.0, 2.0]) == ledger.digest([1.0 + 1e-9, 2.0]) != ledger.digest([1.00002, 2.0])
