"""Plans: what a tip's claims need to be tested, what that costs, and the plan's place in the ledger."""

from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Any, NamedTuple

from evidence import ledger
from evidence.arms import UNPICKED, Arm, grid, grouped, pick_of, same
from evidence.claims import Claim, Setting, choices_of, claims_of, settings_of
from rnntips.cells import GATES
from rnntips.errors import BadArgument
from rnntips.loader import examples_of, sized, updates_of
from rnntips.notebook.tips import UNTUNED, Tip, tips
from rnntips.recipe import Recipe
from rnntips.schedule import mean_length
from rnntips.tasks import Forecast
from rnntips.tasks.settings import SETTINGS, VERSIONS
from rnntips.tuning import TUNING_SEEDS, Pick

__all__ = ["Plan", "plans", "work"]


class Seeds(NamedTuple):
    """A part's tuning seeds and seeds, and by how many decades its learning rates are moved."""

    tuning: list[int]
    seeds: list[int]
    shift: float


class Size(NamedTuple):
    """So many tuning seeds, and so many of each part; `narrow`: fewer learning rates to begin with."""

    tuning: int
    first: int
    narrow: bool = False


class Plan:
    """What a tip's claims need to be tested: their arms, seeds and cost, and the plan's place in the ledger."""

    def __init__(self, tip: Tip):
        self.tip, self.name, self.given, self.base = tip, tip.name, tip.plan, tip.base

    @cached_property
    def claims(self) -> dict[str, Claim]:
        """Claim id → the comparison that tests it."""
        return claims_of(self.given, SETTINGS)

    @cached_property
    def places(self) -> dict[str, Setting]:
        """The plan's own settings by their names."""
        return settings_of(self.given, SETTINGS)

    @property
    def recorded(self) -> bool:
        """Whether the stored record is this plan's."""
        return self.tip.has_record and self.tip.record["plan"] == self.plan_hash

    @cached_property
    def meaning(self) -> dict[str, Any]:
        """What a plan's hash stands for: the plan, the tasks' versions, and the data that its first seed sees.

        What a claim measures otherwise than by the score, it may leave to the measure to say; that counts too.
        """
        usual = {claim.id: [claim.smallest, claim.reach] for claim in self.claims.values() if claim.measure != "score"}
        tasks = {setting: self.tip.task(setting) for setting in sorted(self.work())}
        data = {setting: ledger.digest(task.values(0).ravel().tolist()) for setting, task in tasks.items()}
        kinds: Any = {}
        for task in tasks.values():
            kind, version = type(task).__name__, VERSIONS.get(task.name, task.version)
            kinds[kind] = max(version, kinds.get(kind, 0))
        if kinds.keys() == {Forecast.__name__}:  # as it was written when there were no others
            kinds = kinds[Forecast.__name__]
        meaning = {"plan": self.given, "task": kinds, "data": data}
        meaning |= {"smallest and reach": usual} if usual else {}
        if seconds := self._in_seconds():
            meaning["seconds in updates"] = {
                f"{setting}: {recipe.batch_size}": updates_of(recipe, tasks[setting]) for setting, recipe in seconds
            }
        return meaning

    def _in_seconds(self) -> list[tuple[str, Recipe]]:
        """Settings and recipes whose budget is in seconds."""
        return [(setting, recipe) for setting, recipes in self.work().items() for recipe in recipes
                if recipe.budget is not None and recipe.budget.of == "seconds"]  # fmt: skip

    def timed(self) -> list[tuple[Recipe, Any, list[int]]]:
        """What must be timed for budgets in seconds: for every shape a recipe, its task and the batch sizes."""
        found: dict[tuple, tuple[Recipe, Any, list[int]]] = {}
        for setting, recipe in self._in_seconds():
            alike = setting, recipe.but(batch_size=1)
            found.setdefault(alike, (recipe, self.tip.task(setting), []))[2].append(recipe.batch_size)
        return list(found.values())

    @property
    def plan_hash(self) -> str:
        """Fingerprint of the plan's meaning; comments and layout do not count."""
        return ledger.fingerprint(self.meaning)

    @property
    def version(self) -> int | None:
        """Which of the ledger's versions the plan is; None until it is frozen."""
        return next((line["version"] for line in ledger.versions(self.name) if line["plan"] == self.plan_hash), None)

    def freeze(self) -> dict[str, Any]:
        """Write the plan into the ledger, unless it stands there; its line."""
        return ledger.freeze(self.name, self.meaning, self.tip.words if self.tip.has_record else None)

    def parts(self) -> dict[str, Seeds]:
        """Part of the record → its seeds. Fresh ones follow from the plan's hash."""
        counts = self.given["seeds"]
        fresh = ledger.fresh_seeds(self.plan_hash, counts["fresh"] + counts["tuning"])
        shift = 0.5 * int(self.plan_hash, 16) / 16 ** len(self.plan_hash)
        return {
            "first": Seeds([TUNING_SEEDS[0] + i for i in range(counts["tuning"])], list(range(counts["first"])), 0.0),
            "fresh": Seeds(fresh[counts["fresh"] :], fresh[: counts["fresh"]], round(shift, 3)),
        }

    def size_of(self, setting: str) -> Size:
        """How many seeds a setting has; at working size fewer than the plan, which says how many."""
        counts = self.given["seeds"]
        if setting in self.places and self.places[setting].size == "working":
            return Size(**counts["working"], narrow=True)
        return Size(counts["tuning"], counts["first"])

    def live_arms(self) -> list[Arm]:
        """Both arms of the live comparison as the record keeps them; untuned where the learning rate is under test."""
        *recipes, _ = self.tip.live()
        tuned = self.tip.live_tuned
        return [Arm(recipe, tuned, choices_of(self.given, tuned)) for recipe in recipes]

    def arms(self, claims: Iterable[Claim] | None = None) -> dict[str, list[Arm]]:
        """Setting → the arms to train that its claims (all, if None) need, each once."""
        needed: dict[str, dict[Arm, None]] = {}
        for claim in self.claims.values() if claims is None else claims:
            for setting in claim.settings:
                for tried in claim.needs(setting):
                    needed.setdefault(setting, {}).update(dict.fromkeys(tried.values()))
        return {setting: list(arms) for setting, arms in needed.items()}

    def work(self, claims: Iterable[Claim] | None = None) -> dict[str, list[Recipe]]:
        """Setting → the recipes of these arms, each once."""
        return {setting: list(dict.fromkeys(arm.recipe for arm in arms))
                for setting, arms in self.arms(claims).items()}  # fmt: skip

    def stored(self, setting: str, arm: Arm, part: int = 0) -> dict[str, Any] | None:
        """What a part of the stored record keeps of an arm, None if nothing."""
        if not self.tip.has_record:
            return None
        entries = self.tip.record["parts"][part]["settings"].get(setting, [])
        return next((entry for entry in entries if same(entry, arm, self.base)), None)

    def pick(self, setting: str, arm: Arm, part: int = 0) -> Pick:
        """What tuning chose for this arm when a part of the stored record was made.

        Raises:
            BadArgument: The record has no such arm.
        """
        if arm.tuned == UNTUNED:
            return UNPICKED
        entry = self.stored(setting, arm, part)
        if entry is None:
            called = {name: value for name, (_, value) in self.base.diff(arm.recipe).items() if name != arm.tuned}
            words = ", ".join(f"{name} {value}" for name, value in called.items()) or "the plan's own recipe"
            raise BadArgument(f"No {arm.tuned} is stored for {setting}, {words}. Use --retune.")
        return pick_of(entry, arm)

    def cost(self, claims: Iterable[Claim] | None = None) -> tuple[int, float]:
        """(runs, TFLOP) of the planned record, or of some claims; both parts and their tuning included."""
        planned = [(runs, work(recipe, self.tip.task(setting))) for setting, recipe, runs in self.planned(claims)]
        return sum(runs for runs, _ in planned), sum(runs * flop for runs, flop in planned) / 1e12

    def planned(self, claims: Iterable[Claim] | None = None) -> list[tuple[str, Recipe, int]]:
        """Setting, recipe and number of runs of all that is trained, as long as no search goes beyond its grid."""
        found = []
        for setting, arms in self.arms(claims).items():
            size = self.size_of(setting)
            for (tuned, choices), group in grouped(arms).items():
                values = sum(map(len, grid(group, size.narrow).values()))
                values += 2 * (tuned == "lr" and not choices)  # quarter-decades around the pick
                recipes = [arm.recipe for arm in group]
                found += [(setting, recipe, 2 * (values * size.tuning + recipes.count(recipe) * size.first))
                          for recipe in dict.fromkeys(recipes)]  # fmt: skip
        return found

    def expected(self, seeds: Sequence[int] | None, retune: bool) -> int:
        """Runs of `evidence.records.compute`, as long as no search goes beyond its grid."""
        arms = {setting: len(arms) for setting, arms in self.arms().items()}
        planned = sum(2 * self.size_of(setting).first * some for setting, some in arms.items())
        tuning = (self.cost()[0] - planned) // (2 if seeds is not None else 1)  # given seeds are one part, not two
        return (planned if seeds is None else sum(arms.values()) * len(seeds)) + (tuning if retune else 0)


def plans() -> dict[str, Plan]:
    """Name → plan, for every tip."""
    return {name: Plan(tip) for name, tip in tips.items()}


def work(recipe: Recipe, task) -> float:
    """Floating-point operations of one run, about: products of the recurrent and dense layers, forward and back."""
    recipe, example = sized(recipe, task), examples_of(recipe, task, 0)
    inputs, gates, per_step = example.channels, GATES[recipe.cell] * recipe.width, 0
    for wide in recipe.dense:
        per_step, inputs = per_step + inputs * wide, wide
    for _ in range(recipe.layers):
        per_step, inputs = per_step + gates * (recipe.width + inputs), recipe.width
    per_window = ((recipe.new and recipe.chunk) or mean_length(recipe.grow, example.steps)) * per_step
    for wide in recipe.dense_after:
        answers = example.steps if example.loss_at == "every" else 1
        per_window, inputs = per_window + answers * inputs * wide, wide
    updates = updates_of(recipe, task)
    return 3 * 2.0 * recipe.batch_size * per_window * updates
