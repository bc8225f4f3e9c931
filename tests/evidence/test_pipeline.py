"""From a plan to its page: the order of steps, what an interrupt leaves done, and a plan that must not be frozen."""

import json
from types import SimpleNamespace

import pytest
from making import MadeUp

from evidence import pipeline
from evidence.plans import Plan
from rnntips.errors import BadArgument
from rnntips.notebook.tips import Tip

STEPS = ["liveness", "freeze", "record", "stills", "findings", "check"]


@pytest.fixture
def make(made, monkeypatch, tmp_path):
    """Makes the tip with cheap stand-ins: what they `took` and `said`, where it `fails`, `why` no plan is frozen."""
    stand = SimpleNamespace(took=[], said=[], why=[], fails=None)

    def took(step, result=None):
        stand.took.append(step)
        if stand.fails == step:
            raise KeyboardInterrupt
        return result

    def computed(plan, retune, **_):
        assert retune and plan.version == 1, "frozen before its record is computed"
        return took("record", {"plan": plan.plan_hash, "claims": []})

    def obstacles(plan, rows):
        assert rows == [{"a": 1}], "what liveness found"
        return stand.why

    monkeypatch.setattr(MadeUp, "folder", tmp_path)
    monkeypatch.setattr(pipeline, "liveness", lambda *_, **__: took("liveness", [{"a": 1}]))
    monkeypatch.setattr(pipeline, "obstacles", obstacles)
    monkeypatch.setattr(pipeline, "compute", computed)
    monkeypatch.setattr(pipeline.subprocess, "run", lambda command, **_: took("check") or stand.said.append(command))

    def make():
        stand.took.clear(), stand.said.clear()
        pipeline.make(Plan(Tip("made")), lambda target, content: target.write_text(json.dumps(content)),
                      lambda name: took("stills"), lambda: took("findings"), stand.said.append)  # fmt: skip

    stand.make, stand.folder = make, tmp_path
    return stand


def frozen():
    return Plan(Tip("made")).version is not None


def test_the_steps_are_taken_in_order_and_each_says_what_is_left(make):
    make.make()
    assert make.took == [step for step in STEPS if step != "freeze"] and frozen()
    *said, command = make.said
    assert said == [f"made: {step}" + f"; left: {', '.join(STEPS[i + 1 :])}" * (i < 5) for i, step in enumerate(STEPS)]
    assert "made" in command and all((pipeline.ROOT / test).is_file() for test in pipeline.CHECKS)
    stored = {path.name: json.loads(path.read_text()) for path in make.folder.glob("*.json")}
    assert stored.keys() == {"liveness.json", "record.json"}
    assert {one["plan"] for one in stored.values()} == {Plan(Tip("made")).plan_hash}
    make.make()
    assert make.took == ["stills", "findings", "check"] and "made: record is done; left: stills" in make.said[2]


def test_after_an_interrupt_it_goes_on_where_it_was(make):
    make.fails = "record"
    with pytest.raises(KeyboardInterrupt):
        make.make()
    assert make.took == ["liveness", "record"] and frozen()
    make.fails = None
    make.make()
    assert make.took == ["record", "stills", "findings", "check"]
    assert [line.split(";")[0] for line in make.said[:3]] == ["made: liveness is done", "made: freeze is done",
                                                              "made: record"]  # fmt: skip


def test_a_plan_with_obstacles_is_not_frozen_and_nothing_is_computed(make):
    make.why = ["It takes too long.", "It has too few seeds."]
    with pytest.raises(BadArgument, match=r"The plan is not frozen\. It takes too long\. It has too few seeds\."):
        make.make()
    assert make.took == ["liveness"] and not frozen()


def test_another_plan_begins_with_its_own_liveness(make):
    """What is stored of an earlier plan, or in an earlier form, is not its own."""
    for stored in ({"plan": "another", "arms": []}, [{"a": 1}]):
        make.why = ["No."]
        (make.folder / "liveness.json").write_text(json.dumps(stored))
        with pytest.raises(BadArgument):
            make.make()
        assert make.took == ["liveness"]
