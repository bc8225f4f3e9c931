"""The whole rule on data whose truth is known: search of learning rates, checks, verdicts, words, fresh seeds alone.

Networks are replaced by a law of errors (`World.train_arms`); everything after training is the package's own code,
from `tune_arms` to the claim's word. The law's numbers are those of the stored records: paired log ratios spread by
0.01 to 0.14; errors rise by 0.1 to 10 for a squared decade from the best learning rate, faster above it, and fail more
often there.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from evidence.arms import grid
from evidence.claims import Claim
from evidence.records import judge
from rnntips.recipe import Recipe
from rnntips.runs import Runs
from rnntips.tuning import tune_arms
from rnntips.verdict import MANY

__all__ = ["KINDS", "TRUTHS", "kind", "simulate", "table"]

SMALLEST = 0.05
TWICE = float(np.log1p(2 * SMALLEST))
QUARTER = float(np.log(1.25))
FIELD, BASELINE, VARIANT = "input_scaling", "standard", "none"
KINDS = ("SUPPORTED", "PARTLY", "NO DIFFERENCE", "NEVER BETTER", "CONTRADICTED", "DEPENDS ON x", "MIXED", "UNDECIDED",
         "NOT TESTED")  # fmt: skip
OPEN = ("UNDECIDED", "NOT TESTED")


@dataclass(frozen=True)
class Law:
    """How errors fall in one setting, in logarithms; a naive guess errs by 1."""

    depth: float = 0.7  # from naive to what training reaches at the best learning rate
    curve: float = 0.35  # for a squared decade below the best learning rate
    above: float = 1.0  # times as much above it
    shared: float = 0.05  # spread over seeds that both sides share
    own: float = 0.07  # spread that each run has of its own, at the best learning rate; grows above it
    floor: float = 0.2  # below what training reaches


PLAIN, LOOSE, DEEP, SHALLOW = Law(), Law(own=0.1), Law(depth=2.0, own=0.05), Law(0.25, 0.12, 1.0, 0.03, 0.03)
FOUR = (PLAIN, PLAIN, DEEP, SHALLOW)
UNEQUAL = (Law(own=0.02), PLAIN, Law(depth=2.5, own=0.09), SHALLOW)
DEAD, SOLVED = Law(depth=0.01, own=0.02, floor=2.0), Law(depth=2.0, floor=0.0005, own=0.07)


@dataclass(frozen=True)
class Truth:
    """What is so, what is claimed, and which words would then be right or wrong."""

    says: str
    right: str | None  # a name in KINDS; None: a true word is not to be had from so few seeds
    laws: tuple[Law, ...] = (PLAIN,)
    effect: tuple[float, ...] = (0.0,)  # the variant's log error less the baseline's, one for all settings or each
    fails: tuple[float, float] = (0.0, 0.0)  # baseline's and variant's share of failures at their best learning rates
    size: float = 2.0  # factor on a failed run's error; NaN: it diverges
    rising: float = 1.0  # decades by which failures rise with a decade more than the best learning rate
    seeds: int = 100  # first ones, and as many fresh
    allowed: tuple[str, ...] = ()  # words that say less than the right one, and nothing false
    more: Mapping[str, Any] = field(default_factory=dict)  # fields of the claim

    @property
    def wrong(self) -> tuple[str, ...]:
        """Words that say something false."""
        return tuple(set(KINDS) - {self.right, *self.allowed, *OPEN})


def _no_difference(says: str, *laws: Law, **more) -> Truth:
    return Truth(f"no difference: {says}", "NO DIFFERENCE", laws, **more)


def _twice(says: str, *laws: Law, **more) -> Truth:
    return Truth(f"twice the smallest: {says}", "SUPPORTED", laws, (TWICE,), allowed=("PARTLY",), **more)


def _steep(curve: float, above: float = 1.0) -> Law:
    return Law(curve=curve, above=above)


RARE = {"measure": "failure share", "smallest": MANY}
OPPOSED = (QUARTER, QUARTER, -QUARTER, -QUARTER)
HALVES = {"condition": {"name": "x", 0: "low", 1: "low", 2: "high", 3: "high"}}
TRUTHS = (
    _no_difference("one setting", PLAIN),
    _no_difference("one with a wide spread", LOOSE, seeds=200),
    _no_difference("four settings", *FOUR),
    _no_difference("four, and a condition", *FOUR, more=HALVES),
    _no_difference("four unequal settings", *UNEQUAL),
    _no_difference("steep learning rates (3 a decade²)", _steep(3)),
    _no_difference("as steep, three times as steep above", _steep(3, 3)),
    _no_difference("very steep (10 a decade²)", _steep(10)),
    _no_difference("very steep, three times above, two settings", _steep(10, 3), _steep(10, 3)),
    _no_difference("four, 5 % of both fail, × 2", *FOUR, fails=(0.05, 0.05)),
    _no_difference("four, 10 % of both fail, × 5", *FOUR, fails=(0.1, 0.1), size=5),
    _no_difference("one, 5 % of both diverge", PLAIN, fails=(0.05, 0.05), size=np.nan),
    _no_difference("two of four do not learn", PLAIN, DEAD, PLAIN, DEAD),
    _no_difference("two of four are solved by both", PLAIN, SOLVED, PLAIN, SOLVED, more={"checks": ("room",)}),
    _no_difference("5 % of both fail, their share", PLAIN, fails=(0.05, 0.05), rising=0, more=RARE),
    Truth("no difference in error, 20 % of the variant diverge", None, (PLAIN,), fails=(0, 0.2), size=np.nan,
          allowed=("CONTRADICTED",), more={"claimed": "BETTER"}),
    Truth("20 points more fail, their share", "SUPPORTED", (PLAIN,), fails=(0.05, 0.25), rising=0, more=RARE),
    _twice("one setting", PLAIN),
    _twice("one with a wide spread", LOOSE, seeds=200),
    _twice("two settings", PLAIN, DEEP),
    _twice("four settings", *FOUR),
    _twice("four unequal settings", *UNEQUAL),
    _twice("steep (3 a decade²)", _steep(3)),
    _twice("very steep (10), three times above", _steep(10, 3)),
    _twice("four, 10 % of both fail, × 2", *FOUR, fails=(0.1, 0.1)),
    _twice("two of four do not learn", PLAIN, DEAD, PLAIN, DEAD),
    Truth("a quarter more in two of four", "PARTLY", FOUR, (QUARTER, QUARTER, 0.0, 0.0), more=HALVES),
    Truth("a quarter more in two, less in two, a condition", "DEPENDS ON x", FOUR, OPPOSED, allowed=("MIXED",),
          more=HALVES),
    Truth("a quarter more in two, less in two", "MIXED", FOUR, OPPOSED),
    Truth("no worse, and is not", "SUPPORTED", (PLAIN,) * 2, allowed=("NO DIFFERENCE",), more={"claimed": "NO WORSE"}),
    Truth("no worse? worse by the smallest", None, (PLAIN,) * 2, (float(np.log1p(SMALLEST)),),
          allowed=("CONTRADICTED", "NEVER BETTER"), more={"claimed": "NO WORSE"}),
)  # fmt: skip


class World:
    """One draw of everything that a claim's seeds share: where each side's best learning rate lies in each setting."""

    def __init__(self, truth: Truth, rng: np.random.Generator):
        self.truth, self.rng, k = truth, rng, len(truth.laws)
        first = rng.uniform(-2.5, -1.5, k)
        self.best = np.stack([first, first + rng.uniform(-0.5, 0.5, k)])  # decades; baseline's, variant's
        self.effect = np.broadcast_to(truth.effect, k)

    def errors(self, setting: int, variant: bool, lr: float, common: np.ndarray) -> np.ndarray:
        """Validation and test errors of one side, a row each, on seeds with these shared parts, shape (n,)."""
        law, off = self.truth.laws[setting], np.log10(lr) - self.best[int(variant), setting]
        lost = law.curve * off**2 * (law.above if off > 0 else 1)
        spread = law.own * 10 ** (0.5 * max(off, 0))
        logs = self.effect[setting] * variant - law.depth + lost + law.shared * common
        logs = logs + spread * self.rng.standard_normal((2, len(common)))
        failed = self.rng.random(len(common)) < min(self.truth.fails[variant] * 10 ** (self.truth.rising * off), 1)
        diverges = np.isnan(self.truth.size) or "measure" in self.truth.more
        return np.where(failed, np.nan if diverges else self.truth.size, 1) * np.exp(logs)

    def train_arms(self, sides, task, seeds, *_) -> list[Runs]:
        """Stands in for training: what `tuning.train_arms` would return."""
        n, law = len(seeds), self.truth.laws[task]
        common, found = self.rng.standard_normal(n), []
        for side in sides:
            valid, test = self.errors(task, getattr(side, FIELD) == VARIANT, side.lr, common)
            found.append(Runs(
                (side,) * n, seeds=np.array(seeds), valid_score=np.tile(valid, (3, 1)).T, test_scores=test[:, None],
                train_loss=np.zeros((n, 1)), reached=1,
                naive=np.ones(n), floor=np.full(n, np.exp(-law.depth - law.floor)), valid_naive=np.ones(n),
            ))  # fmt: skip
        return found


def experiment(world: World, claim: Claim, seeds: int, tuning: int, shift: float) -> tuple:
    """Tune and train once. Returns the part: setting → side → scores, and setting → side → pick."""
    results, picks = {}, {}
    for setting in claim.settings:
        sides = [needed[None] for needed in claim.needs(setting)]
        recipes = [side.recipe for side in sides]
        chosen = tune_arms(recipes, setting, grid(sides), None, range(tuning), world.train_arms, True, shift)
        tuned = [recipe.but(**pick.values) for recipe, pick in zip(recipes, chosen, strict=True)]
        picks[setting] = dict(zip(sides, chosen, strict=True))
        found = world.train_arms(tuned, setting, range(seeds))
        results[setting] = {side: runs.scores for side, runs in zip(sides, found, strict=True)}
    return results, picks


def trial(truth: Truth, rng: np.random.Generator, tuning: int) -> tuple[str, bool | None]:
    """First seeds, then fresh ones with learning rates shifted and tuned anew: the word, and whether it repeated."""
    usual = {"claimed": "WORSE", "condition": None, "smallest": SMALLEST}
    claim = Claim(id="", says="", source="", settings=tuple(range(len(truth.laws))), field=FIELD, baseline=BASELINE,
                  variant=VARIANT, among=(), recipe=Recipe(), **usual | dict(truth.more))  # fmt: skip
    world = World(truth, rng)
    parts = [experiment(world, claim, truth.seeds, tuning, shift) for shift in (0.0, rng.uniform(0, 0.5))]
    record = judge(claim, parts)
    return record["word"], record["repeated"]


def kind(word: str) -> str:
    """A word without its numbers."""
    return word.partition(":")[0].partition(",")[0].replace("NEVER WORSE", "NEVER BETTER")


def simulate(
    rounds: int = 300,
    tuning: int = 10,
    truths: Mapping[int, Truth] | None = None,
    say: Callable[[str], None] = print,
) -> list[dict[str, Any]]:
    """How often each word comes in `rounds` records of every truth, is wrong or right, and is repeated; in %.

    Args:
        tuning: Tuning seeds of each part.
        truths: Number → truth, which also keys its random numbers; all if None.
    """
    rows = []
    for number, truth in (dict(enumerate(TRUTHS)) if truths is None else truths).items():
        rng = np.random.default_rng([0, number])
        words, repeated = zip(*(trial(truth, rng, tuning) for _ in range(rounds)), strict=True)
        share = {name: 100 * sum(kind(word) == name for word in words) / rounds for name in KINDS}
        known = [one for one in repeated if one is not None]
        rows.append({
            "truth": truth.says, "seeds": truth.seeds, **share, "wrong": sum(share[name] for name in truth.wrong),
            "right": share[truth.right] if truth.right else None,
            "repeated": 100 * float(np.mean(known)) if known else None,
        })  # fmt: skip
        say(row(rows[-1]))
    return rows


HEAD = f"| what is true | seeds | {' | '.join(name.lower() for name in KINDS)} | wrong | right | repeated |"


def row(found: Mapping[str, Any]) -> str:
    """One truth's line of the table."""
    numbers = [*(found[name] for name in KINDS), *(found[name] for name in ("wrong", "right", "repeated"))]
    cells = [
        found["truth"],
        f"{found['seeds']} + {found['seeds']}",
        *("" if v is None else f"{v:.0f}" for v in numbers),
    ]
    return f"| {' | '.join(cells)} |"


def table(rows: Sequence[Mapping[str, Any]], rounds: int, tuning: int) -> str:
    """All lines, in Markdown, with what was simulated."""
    said = f"In % of {rounds} records each, {tuning} tuning seeds in each part."
    return "\n".join([said, "", HEAD, "| --- |" + " --- |" * (HEAD.count("|") - 2), *map(row, rows)])
