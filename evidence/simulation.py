"""The whole rule on data whose truth is known: tuning, capping, pooling, words, repetition on fresh seeds.

Networks are replaced by a law of errors (`World.train_arms`); everything after training is the package's own code,
from `tune_arms` to the record's word. The law's numbers are those of the stored records: paired log ratios spread by
0.01 to 0.11, errors rise by 0.1 to 0.45 a decade from the best rate, and fail more often above it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from evidence.arms import grid
from evidence.claims import Claim
from evidence.records import judge
from rnntips.recipe import Recipe
from rnntips.runs import Runs
from rnntips.tuning import TUNING_SEEDS, tune_arms
from rnntips.verdict import cap, middle

__all__ = ["TRUTHS", "simulate", "table"]

SMALLEST = 0.05
TWICE = np.log1p(2 * SMALLEST)
DRAWS = 1500  # to know a median's true value by
FIELD, BASELINE, VARIANT = "input_scaling", "standard", "none"


@dataclass(frozen=True)
class Law:
    """How errors fall in one setting, in logarithms; a naive guess errs by 1."""

    depth: float = 0.7  # from naive to what training reaches at the best rate
    curve: float = 0.35  # a decade away from the best rate
    shared: float = 0.05  # spread over seeds that both sides share
    own: float = 0.07  # spread that each run has of its own, at the best rate; grows above it


PLAIN, LOOSE, DEEP, SHALLOW = Law(), Law(own=0.1), Law(depth=2.0), Law(0.2, 0.12, 0.03, 0.025)
FOUR = (PLAIN, LOOSE, DEEP, SHALLOW)
WORDS = ("SUPPORTED", "CONTRADICTED", "DEPENDS ON x", "NO DIFFERENCE", "UNDECIDED")


@dataclass(frozen=True)
class Truth:
    """What is so, what is claimed, and which words would then be right or wrong."""

    says: str
    laws: tuple[Law, ...] = FOUR
    effect: tuple[float, ...] = (0.0,)  # the variant's log error less the baseline's, one for all settings or each
    fails: tuple[float, float] = (0.0, 0.0)  # baseline's and variant's share of failures at their best rates
    size: float = 2.0  # factor on a failed run's error; NaN: it diverges
    claimed: str = "WORSE"
    wrong: tuple[str, ...] = ("SUPPORTED", "CONTRADICTED")
    right: str | None = None
    condition: bool = False


def both(share: float, **more) -> dict[str, Any]:
    """The same share of failures on both sides, and further fields."""
    return {"fails": (share, share)} | more


TRUTHS = (  # those of no difference first
    Truth("no difference, one setting", (LOOSE,)),
    Truth("no difference, four settings"),
    Truth("… and a condition", condition=True, wrong=("SUPPORTED", "CONTRADICTED", "DEPENDS ON x")),
    Truth("… steep in the rate", (Law(curve=1.0),) * 4),
    *(Truth(f"… {100 * p:.0f} % of both fail, × {size}", **both(p, size=size))
      for p, size in ((0.05, 2), (0.1, 5), (0.2, 1.5))),
    *(Truth(f"one setting, {100 * p:.0f} % of both diverge", (PLAIN,), **both(p, size=np.nan))
      for p in (0.05, 0.1, 0.2)),
    *(Truth(f"same, but {100 * p:.0f} % of variant diverge", (PLAIN,), fails=(0, p), size=np.nan, claimed="BETTER",
            wrong=("SUPPORTED", "NO DIFFERENCE") if p > 0.1 else ("SUPPORTED",)) for p in (0.05, 0.1, 0.2)),
    Truth("no worse? worse by the smallest", (PLAIN,) * 2, (np.log1p(SMALLEST),), claimed="NO WORSE",
          wrong=("SUPPORTED",)),
    *(Truth(f"twice the smallest, {name}", laws, (TWICE,), wrong=("CONTRADICTED",), right="SUPPORTED")
      for name, laws in (("one", (PLAIN,)), ("one loose", (LOOSE,)), ("two loose", (LOOSE,) * 2), ("four", FOUR))),
    Truth("… better, four", effect=(-TWICE,), claimed="BETTER", wrong=("CONTRADICTED",), right="SUPPORTED"),
    *(Truth(f"… four, {100 * p:.0f} % of both fail, × 2", effect=(TWICE,), wrong=("CONTRADICTED",), right="SUPPORTED",
            **both(p))
      for p in (0.05, 0.1, 0.2)),
    Truth("… four, and a condition", effect=(TWICE,), wrong=("CONTRADICTED", "DEPENDS ON x"), right="SUPPORTED",
          condition=True),
    Truth("a quarter more in two of four", effect=(np.log(1.25),) * 2 + (0,) * 2, wrong=("CONTRADICTED",),
          right="DEPENDS ON x", condition=True),
    Truth("no worse, and is not", (PLAIN,) * 2, claimed="NO WORSE", wrong=("CONTRADICTED",), right="SUPPORTED"),
)  # fmt: skip


class World:
    """One draw of everything that a claim's seeds share: where each side's best rate lies in each setting."""

    def __init__(self, truth: Truth, rng: np.random.Generator):
        self.truth, self.rng, k = truth, rng, len(truth.laws)
        first = rng.uniform(-2.5, -1.5, k)
        self.best = np.stack([first, first + rng.uniform(-0.5, 0.5, k)])  # decades; baseline's, variant's
        self.effect = np.broadcast_to(truth.effect, k)

    def errors(self, setting: int, variant: bool, lr: float, common: np.ndarray) -> np.ndarray:
        """Validation and test errors of one side, a row each, on seeds with these shared parts, shape (n,)."""
        law, off = self.truth.laws[setting], np.log10(lr) - self.best[int(variant), setting]
        typical = self.effect[setting] * variant - law.depth + law.curve * off**2
        spread = law.own * 10 ** (0.5 * max(off, 0))
        logs = typical + law.shared * common + spread * self.rng.standard_normal((2, len(common)))
        failed = self.rng.random(len(common)) < min(self.truth.fails[variant] * 10**off, 1)
        return np.where(failed, self.truth.size, 1) * np.exp(logs)

    def train_arms(self, sides, task, seeds, *_) -> list[Runs]:
        """Stands in for training: what `tuning.train_arms` would return."""
        n, floor = len(seeds), np.exp(-self.truth.laws[task].depth - 0.2)
        common, found = self.rng.standard_normal(n), []
        for side in sides:
            valid, test = self.errors(task, getattr(side, FIELD) == VARIANT, side.lr, common)
            found.append(Runs(
                (side,) * n, seeds=np.array(seeds), valid_score=np.tile(valid, (3, 1)).T, test_scores=test[:, None],
                train_loss=np.zeros((n, 1)), reached=1,
                naive=np.ones(n), floor=np.full(n, floor), valid_naive=np.ones(n),
            ))  # fmt: skip
        return found

    def ratio(self, setting: int, rates) -> np.ndarray:
        """Many seeds' log ratios at these rates: the law that the seeds of an experiment are drawn from."""
        common = self.rng.standard_normal(DRAWS)
        mine, theirs = (self.errors(setting, side, lr, common)[1] for side, lr in enumerate(rates))
        return np.log(cap(theirs, np.ones(DRAWS)) / cap(mine, np.ones(DRAWS)))


def experiment(world: World, claim: Claim, seeds: int) -> tuple[tuple, np.ndarray]:
    """Tune and train once. Returns the part (setting → side → runs, and → picks) and each setting's true effect."""
    results, picks, true = {}, {}, []
    for setting in claim.settings:
        sides = [needed[None] for needed in claim.needs(setting)]
        recipes = [side.recipe for side in sides]
        chosen = tune_arms(recipes, setting, grid(sides), train=world.train_arms)
        tuned = [recipe.but(**pick.values) for recipe, pick in zip(recipes, chosen, strict=True)]
        picks[setting] = dict(zip(sides, chosen, strict=True))
        found = world.train_arms(tuned, setting, range(seeds))
        results[setting] = {side: runs.scores for side, runs in zip(sides, found, strict=True)}
        true.append(middle(world.ratio(setting, [pick.values["lr"] for pick in chosen])))
    return (results, picks), np.array(true)


def trial(truth: Truth, rng: np.random.Generator, seeds: int) -> tuple[str, bool | None, np.ndarray]:
    """First seeds, then fresh ones tuned anew: the word, whether it repeated, which intervals hold the truth."""
    k = len(truth.laws)
    levels = {"name": "x"} | {s: "low" if s < k / 2 else "high" for s in range(k)} if truth.condition else None
    claim = Claim("", "", "", truth.claimed, tuple(range(k)), FIELD, BASELINE, VARIANT, (), levels, Recipe(), SMALLEST)
    world = World(truth, rng)
    (first, one), (fresh, other) = experiment(world, claim, seeds), experiment(world, claim, seeds)
    record, true = judge(claim, [first, fresh]), (one + other) / 2
    shown = [record["interval"], *(found["interval"] for found in record["settings"].values())]
    held = [low <= np.expm1(t) <= high for t, (low, high) in zip([true.mean(), *true], shown, strict=True)]
    return record["word"], record["repeated"], np.array(held)


def simulate(
    rounds: int = 400,
    seeds: int = 20,
    truths: Mapping[int, Truth] | None = None,
    say: Callable[[str], None] = print,
) -> list[dict[str, Any]]:
    """How often each word comes in `rounds` records of every truth, is wrong or right, and intervals cover; in %.

    Args:
        seeds: First seeds, and as many fresh ones.
        truths: Number → truth, which also keys its random numbers; all if None.
    """
    rows = []
    for number, truth in (dict(enumerate(TRUTHS)) if truths is None else truths).items():
        rng = np.random.default_rng([0, number])
        words, repeated, held = zip(*(trial(truth, rng, seeds) for _ in range(rounds)), strict=True)
        share = {name: 100 * words.count(name) / rounds for name in WORDS}
        cover, known = 100 * np.mean(held, axis=0), [one for one in repeated if one is not None]
        rows.append({
            "truth": truth.says, **share, "wrong": max(share[name] for name in truth.wrong),
            "right": share[truth.right] if truth.right else None,
            "repeated": 100 * float(np.mean(known)) if known else None,
            "pooled": float(cover[0]), "setting": float(cover[1:].min()),
        })  # fmt: skip
        say(row(rows[-1]))
    return rows


HEAD = """| what is true | supported | contradicted | depends | no difference | undecided | wrong | right | repeated \
| interval holds the truth: all, worst setting |
| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |"""


def row(found: Mapping[str, Any]) -> str:
    """One truth's line of the table."""
    numbers = [*(found[name] for name in WORDS), *(found[name] for name in ("wrong", "right", "repeated"))]
    cells = [found["truth"], *("" if value is None else f"{value:.1f}" for value in numbers)]
    return f"| {' | '.join(cells)} | {found['pooled']:.0f}, {found['setting']:.0f} |"


def table(rows: Sequence[Mapping[str, Any]], rounds: int, seeds: int) -> str:
    """All lines, in Markdown, with what was simulated."""
    said = f"In % of {rounds} records: {seeds} first and {seeds} fresh seeds, {len(TUNING_SEEDS)} tuning seeds each."
    return "\n".join([said, "", HEAD, *map(row, rows)])
