"""From a lesson's plan to its page, step by step; what is done already is not done again."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from evidence.plans import Plan
from evidence.power import obstacles
from evidence.records import compute, liveness
from rnntips.errors import BadArgument

__all__ = ["freeze", "look", "make"]

ROOT = Path(__file__).resolve().parent.parent
CHECKS = ("tests/evidence/test_plan_of_a_tip.py", "tests/test_notebooks.py")


def look(plan: Plan, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """What a lesson's `liveness.json` holds: the rows, and which plan they are of."""
    return {"plan": plan.plan_hash, "arms": rows}


def looked(plan: Plan) -> list[dict[str, Any]] | None:
    """The rows that are stored of this plan's liveness; None where they are another's, or in an earlier form."""
    stored = plan.tip.lesson.stored("liveness")
    return stored["arms"] if isinstance(stored, dict) and stored["plan"] == plan.plan_hash else None


def freeze(plan: Plan) -> dict[str, Any]:
    """The plan's line in the ledger, written if it does not stand there yet.

    Raises:
        BadArgument: Its liveness was not looked at, or something stands in its way.
    """
    if plan.version is None:
        if (rows := looked(plan)) is None:
            how = f"python -m evidence run {plan.name} --liveness --write"
            raise BadArgument(f"Look at the liveness of {plan.name} first: {how}")
        if why := obstacles(plan, rows):
            raise BadArgument(" ".join(["The plan is not frozen.", *why]))
    return plan.freeze()


def make(
    plan: Plan, write: Callable[[Path, Any], None], stills: Callable[[str], None], page: Callable[[], None],
    say: Callable[[str], None], **where: Any,
) -> None:  # fmt: skip
    """Liveness, freeze, record, stills, findings and the lesson's tests; the first three are done once for each plan.

    Args:
        write: Writes JSON to a file of the lesson.
        stills: Draws the panel's stored pictures.
        page: Writes `docs/findings.md`.
        where: As for `evidence.records.compute`; with `store=` finished runs outlive an interrupt.

    Raises:
        BadArgument: The plan must not be frozen as it is.
    """
    lesson = plan.tip.lesson

    def alive() -> None:
        write(lesson.folder / "liveness.json", look(plan, liveness(plan, "cpu", say, **where)))

    def record() -> None:
        write(lesson.folder / "record.json", compute(plan, retune=True, device="cpu", say=say, **where))

    def check() -> None:
        subprocess.run([sys.executable, "-m", "pytest", "-q", "-k", plan.name, *CHECKS], cwd=ROOT, check=False)

    frozen = plan.version is not None
    steps = {
        "liveness": (frozen or looked(plan) is not None, alive),
        "freeze": (frozen, lambda: freeze(plan)),
        "record": (plan.recorded, record),
        "stills": (False, lambda: stills(plan.name)),
        "findings": (False, page),
        "check": (False, check),
    }
    for number, (name, (done, take)) in enumerate(steps.items()):
        left = ", ".join(list(steps)[number + 1 :])
        say(f"{plan.name}: {name}{' is done' if done else ''}" + f"; left: {left}" * bool(left))
        if not done:
            take()
