"""The ledger: append-only, complete, and the source of fresh seeds."""

import json
import subprocess
from pathlib import Path

import pytest

import rnntips as rt
from rnntips import ledger
from rnntips.tuning import TUNING_SEEDS

ROOT = Path(rt.__file__).parents[1]
LEDGER = ROOT / "rnntips" / "data" / "ledger"


@pytest.fixture(params=list(rt.tips))
def tip(request):
    return rt.tips[request.param]


def git(*arguments):
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, encoding="utf-8")


@pytest.mark.parametrize("path", sorted(LEDGER.glob("*.jsonl")), ids=lambda path: path.stem)
def test_what_was_committed_is_the_beginning_of_what_is_there(path):
    if not (ROOT / ".git").exists():
        pytest.skip("no history here")
    name = path.relative_to(ROOT).as_posix()
    commits = git("log", "--format=%H", "--", name).stdout.split()
    present = path.read_text(encoding="utf-8")
    for commit in commits:
        assert present.startswith(git("show", f"{commit}:{name}").stdout), commit


def test_every_stored_record_has_its_whole_plan_in_the_ledger(tip):
    lines = ledger.versions(tip.name)
    assert [line["version"] for line in lines] == list(range(1, len(lines) + 1))
    assert len({line["plan"] for line in lines}) == len(lines)
    (line,) = [line for line in lines if line["plan"] == tip.record["plan"]]
    assert line["version"] == tip.record["version"]
    assert line["meaning"] == tip.meaning and line["meaning"]["plan"] == tip.plan


def test_every_hash_follows_from_its_line(tip):
    for line in ledger.versions(tip.name):
        assert line["plan"] == ledger.fingerprint(line["meaning"]) or "before there was a ledger" in line["note"]


def test_freezing_appends_once_and_changes_nothing_that_stands_there(monkeypatch, tmp_path):
    monkeypatch.setattr(ledger, "_path", lambda tip: tmp_path / tip)
    first, second = {"a": [1.5, "é"]}, {"a": [1.5, "e"]}
    line = ledger.freeze("x", first)
    before = (tmp_path / "x").read_bytes()
    assert ledger.freeze("x", json.loads(json.dumps(first))) == line
    assert (tmp_path / "x").read_bytes() == before
    assert ledger.freeze("x", second)["version"] == 2
    assert (tmp_path / "x").read_bytes().startswith(before)
    assert ledger.freeze("x", first) == line == ledger.versions("x")[0]


def test_fresh_seeds_follow_from_the_hash_alone_and_are_nobody_elses(tip):
    seeds = ledger.fresh_seeds("abc", 500)
    assert seeds == ledger.fresh_seeds("abc", 500) and seeds[:7] == ledger.fresh_seeds("abc", 7)
    assert len(set(seeds)) == 500 and set(map(len, map(str, seeds))) == {6}
    assert len(set(seeds) & set(ledger.fresh_seeds("abd", 500))) < 10
    assert abs(sum(seeds) / 500 - 550_000) < 5 * 260_000 / 500**0.5  # spread evenly, as chance would
    counts = tip.plan["seeds"]
    used = [seed for part in tip.parts().values() for some in part for seed in some]
    assert len(set(used)) == len(used) == 2 * counts["tuning"] + counts["first"] + counts["fresh"]
    assert tip.parts()["first"] == (list(TUNING_SEEDS)[: counts["tuning"]], list(range(counts["first"])))


def test_digests_follow_the_numbers_to_six_digits():
    assert ledger.digest([1.0, 2.0]) == ledger.digest([1.0 + 1e-9, 2.0]) != ledger.digest([1.00002, 2.0])
