"""`compare` and `sweep`: the same seeds on every side, tuned alike, judged by the same rule."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from threading import Event
from typing import Any, ClassVar

import numpy as np

from rnntips.errors import BadArgument, TwoChanges
from rnntips.evidence import Finding, Verdict, cap, effects, find, pooled, sentence, trained
from rnntips.recipe import Recipe
from rnntips.runs import Runs
from rnntips.tasks import as_settings
from rnntips.training import check_seeds, train_stack

__all__ = ["LR_GRID", "Study", "Sweep", "compare", "sweep", "tune_sides"]

LR_GRID = {"adam": (-4, -1), "rmsprop": (-4, -1), "sgd": (-3, 0)}  # decades, stepped through by halves
TUNING_SEEDS = range(10_000, 10_005)
MOST_AT_ONCE = 160  # runs in one stack, to bound memory


@dataclass(frozen=True, eq=False)
class Study:
    """One comparison: a baseline and a variant on the same seeds.

    `effect` is relative: −0.41 means that the variant errs 41 % less (geometric mean over seeds).
    """

    baseline: Recipe
    variant: Recipe
    runs: Mapping[str, tuple[Runs, Runs]] = field(repr=False)  # setting → (baseline's, variant's)
    tuned: Mapping[str, tuple[dict, dict]] = field(default_factory=dict, repr=False)
    allow: tuple[str, ...] = ()
    smallest: float = 0.05

    # How a notebook shows a study; set by the package, since figures are further down the pipeline.
    draw: ClassVar[Any] = None

    @property
    def finding(self) -> Finding:
        """All settings pooled. Nothing is decided by a study that was stopped."""
        found = find(pooled([self.effects(name) for name in self.runs]), self._any_trained(self.runs), self.smallest)
        return replace(found, verdict=Verdict.UNCLEAR) if self.stopped else found

    def finding_in(self, setting: str) -> Finding:
        """One setting alone."""
        return find(self.effects(setting), self._any_trained([setting]), self.smallest)

    @property
    def stopped(self) -> bool:
        """Whether some of its runs were ended early."""
        return any(side.stopped for sides in self.runs.values() for side in sides)

    def effects(self, setting: str) -> np.ndarray:
        """log(variant / baseline), seed by seed, (n,)."""
        baseline, variant = self.runs[setting]
        return effects(variant.latest_score, baseline.latest_score, baseline.trivial)

    def _any_trained(self, settings: Iterable[str]) -> bool:
        sides = [side for name in settings for side in self.runs[name]]
        return any(trained(side.latest_score, side.trivial, side.floor) for side in sides)

    verdict = property(lambda self: self.finding.verdict)
    effect = property(lambda self: self.finding.effect)
    interval = property(lambda self: self.finding.interval)
    win_rate = property(lambda self: self.finding.win_rate)
    n = property(lambda self: self.finding.n)

    @property
    def field(self) -> str:
        """The field under test: what differs and was neither tuned nor merely allowed to."""
        changed = self.baseline.diff(self.variant)
        nuisance = {*self.allow, *(name for picks in self.tuned.values() for name in picks[0])}
        return next((name for name in changed if name not in nuisance), next(iter(changed)))

    @property
    def label(self) -> str:
        """What was changed, from the recipes themselves."""
        changed = self.baseline.diff(self.variant)
        return ", ".join(f"{name}: {mine} → {theirs}" for name, (mine, theirs) in changed.items()) or "no change"

    @property
    def sentence(self) -> str:
        """The finding in words."""
        if self.stopped:
            reached, updates = next((s.reached, s.updates) for sides in self.runs.values() for s in sides if s.stopped)
            return f"Stopped at update {reached} of {updates}: nothing is decided."
        return sentence(self.finding) + self._capped()

    def _capped(self) -> str:
        """Says so where most runs of a side were no better than naive, since they count as naive."""
        words = ""
        for name, side in zip(self.names, zip(*self.runs.values(), strict=True), strict=True):
            failed = sum(int(np.sum(~(runs.latest_score < runs.trivial))) for runs in side)
            total = sum(len(runs) for runs in side)
            if self.verdict in ("BETTER", "WORSE") and failed > total / 2:
                words += f" With {name}, {failed} of {total} did no better than naive; they count as naive."
        return words

    @property
    def names(self) -> tuple[str, str]:
        """What each side is called: its value of the field under test."""
        return str(getattr(self.baseline, self.field)), str(getattr(self.variant, self.field))

    def __repr__(self) -> str:
        return f"Study({self.label}; on {', '.join(self.runs)})"

    def _ipython_display_(self) -> None:
        type(self).draw(self)


@dataclass(frozen=True, eq=False)
class Sweep:
    """One field, many values, each compared with the baseline."""

    studies: Mapping[Any, Study]  # value (or tuple of values) → Study

    def __getitem__(self, value: Any) -> Study:
        return self.studies[value]

    def __repr__(self) -> str:
        rows = [f"{value!s:>12}  {study.verdict:11} {study.effect:+7.1%}  "
                f"({study.interval[0]:+.1%} to {study.interval[1]:+.1%})  n = {study.n}"
                for value, study in self.studies.items()]  # fmt: skip
        return "\n".join(rows)


def compare(
    baseline: Recipe,
    variant: Recipe,
    on,
    seeds: Sequence[int],
    *,
    tune: str | Mapping[str, Sequence] | None = None,
    allow: Sequence[str] = (),
    device: str = "auto",
    stop: Event | None = None,
    record: Runs | None = None,
) -> Study:
    """Train both sides on the same seeds and settings, and judge the difference.

    Args:
        baseline, variant: Two recipes that differ in one field.
        on: A Task, a Series, or a dict of named ones.
        seeds: One run a side each; at least ten for a verdict.
        tune: A nuisance field (`"lr"`, over half-decades) or `{field: values}`, chosen per side and setting on
            tuning seeds of its own; such fields may differ between the sides.
        allow: Further fields that may differ.
        stop: Set it from another thread to end early; what was recorded is kept.
        record: An empty `Runs()` to watch; both sides of one setting must then fit in one stack.

    Raises:
        TwoChanges: The sides differ in more than one field.
        BadArgument: They do not differ at all, or an argument cannot be used.
    """
    grids, stop = tuning_grids(tune, baseline, variant), stop or Event()
    _one_change(baseline, variant, {*grids, *allow})
    sides = (baseline, variant)
    runs, tuned = _experiment(sides, as_settings(on), check_seeds(seeds), grids, device, stop, record)
    pairs = {name: (found[0], found[1]) for name, found in runs.items()}
    picks = {name: (pick[0], pick[1]) for name, pick in tuned.items()}
    return Study(baseline, variant, pairs, picks, tuple(allow))


def sweep(
    baseline: Recipe,
    on,
    seeds: Sequence[int],
    *,
    tune: str | Mapping[str, Sequence] | None = None,
    device: str = "auto",
    stop: Event | None = None,
    **values: Sequence,
) -> Sweep:
    """Compare every value of one field with the baseline, which is trained once.

    Raises:
        TwoChanges: More than one field is varied.
    """
    if len(values) != 1:
        raise TwoChanges(f"A sweep varies one field; {len(values)} came ({', '.join(values) or 'none'}).")
    ((name, tried),) = values.items()
    variants = [baseline.but(**{name: value}) for value in tried if value != getattr(baseline, name)]
    grids, stop = tuning_grids(tune, baseline, *variants), stop or Event()
    sides = (baseline, *variants)
    runs, tuned = _experiment(sides, as_settings(on), check_seeds(seeds), grids, device, stop, None)
    studies = {}
    for i, variant in enumerate(variants, 1):
        pairs = {setting: (found[0], found[i]) for setting, found in runs.items()}
        picked = {setting: (t[0], t[i]) for setting, t in tuned.items()}
        studies[getattr(variant, name)] = Study(baseline, variant, pairs, picked)
    return Sweep(studies)


def _one_change(baseline: Recipe, variant: Recipe, exempt: set[str]) -> None:
    changed = baseline.diff(variant)
    under_test = [name for name in changed if name not in exempt]
    if len(under_test) > 1:
        listed = " and ".join(f"{name} ({changed[name][0]} → {changed[name][1]})" for name in under_test)
        raise TwoChanges(
            f"These recipes differ in {listed}. A study tests one change: split it in two, or pass "
            f"allow={tuple(under_test[1:])} if you mean both."
        )
    if not changed:
        raise BadArgument("The two recipes are equal. Change one field with baseline.but(...).")


def tuning_grids(tune: str | Mapping[str, Sequence] | None, *sides: Recipe) -> dict[str, list]:
    """Field → values to try. `"lr"` means half-decades over the optimizer's usual range."""
    if tune is None:
        return {}
    if isinstance(tune, Mapping):
        return {name: list(values) for name, values in tune.items()}
    if tune != "lr":
        raise BadArgument(f'tune={tune!r}: "lr" or a dict such as {{"{tune}": [value, value]}} is needed.')
    low = min(LR_GRID[side.optimizer][0] for side in sides)
    high = max(LR_GRID[side.optimizer][1] for side in sides)
    return {"lr": half_decades(low, high)}


def half_decades(low: float, high: float) -> list[float]:
    """10**low … 10**high in half-decades, two significant digits."""
    return [float(f"{10**exponent:.2g}") for exponent in np.arange(low, high + 0.1, 0.5)]


def _experiment(sides, settings, seeds, grids, device, stop, record):
    """Tune, then train every side on every setting. Returns setting → Runs per side, and setting → picks per side."""
    runs, tuned = {}, {}
    for setting, task in settings.items():
        chosen = sides
        if grids:
            tuned[setting] = [pick.values for pick in tune_sides(sides, task, grids, device, stop)]
            chosen = [side.but(**pick) for side, pick in zip(sides, tuned[setting], strict=True)]
        runs[setting] = train_sides(chosen, task, seeds, device, stop, record)
    return runs, tuned


@dataclass(frozen=True)
class Pick:
    """What tuning chose for one side, and its validation score there (geometric mean, capped)."""

    values: dict[str, Any]
    score: float


def tune_sides(sides, task, grids, device="auto", stop=None, seeds=TUNING_SEEDS) -> list[Pick]:
    """For every side the values with the lowest validation score, geometric mean over tuning seeds.

    A learning rate picked at the edge of its grid widens the grid by two half-decades, twice at most.
    """
    if len(grids) != 1:
        raise BadArgument(f"tune= takes one field, and {len(grids)} came ({', '.join(grids)}).")
    ((name, values),) = grids.items()
    scores: list[dict[Any, tuple[float, float]]] = [{} for _ in sides]
    for _ in range(3):
        wanted = [(i, v) for i in range(len(sides)) for v in values if v not in scores[i]]
        found = train_sides([sides[i].but(**{name: v}) for i, v in wanted], task, list(seeds), device, stop, None)
        for (i, v), runs in zip(wanted, found, strict=True):
            errors = runs.valid_score[:, -3:].mean(1)
            capped = float(np.exp(np.log(cap(errors, runs.trivial)).mean()))
            scores[i][v] = (capped, float(np.nan_to_num(errors, nan=np.inf).mean()))  # ties: the uncapped one
        picks = [min(tried, key=tried.get) for tried in scores]
        edges = {edge for edge in (min(values), max(values)) if edge in picks}
        if name != "lr" or not edges:
            break
        low, high = np.log10(min(values)), np.log10(max(values))
        values = half_decades(low - (min(values) in edges), high + (max(values) in edges))
    return [Pick({name: pick}, tried[pick][0]) for pick, tried in zip(picks, scores, strict=True)]


def train_sides(sides, task, seeds, device="auto", stop=None, record=None) -> list[Runs]:
    """Every side on every seed, one record a side. Sides of one shape train in one stack."""
    found: list[Runs | None] = [None] * len(sides)
    shapes = [side.shape() for side in sides]
    for shape in dict.fromkeys(shapes):
        alike = [i for i, other in enumerate(shapes) if other == shape]
        at_once = max(1, MOST_AT_ONCE // len(seeds))
        for first in range(0, len(alike), at_once):
            some = alike[first : first + at_once]
            if record is not None and len(some) < len(sides):
                raise BadArgument("record= can watch one stack, and these sides need more than one.")
            recipes = [sides[i] for i in some for _ in seeds]
            stack = train_stack(recipes, task, list(seeds) * len(some), device=device, stop=stop, record=record)
            for k, i in enumerate(some):
                found[i] = stack.only(range(k * len(seeds), (k + 1) * len(seeds)))
    return found
