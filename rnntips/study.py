"""`compare` and `sweep`: the same seeds on every side, tuned alike, judged by the same rule."""

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from threading import Event
from typing import Any, ClassVar

import numpy as np

from rnntips.arguments import check_seeds
from rnntips.errors import BadArgument, TwoChanges, unknown_name
from rnntips.evidence import Finding, Verdict, sentence
from rnntips.measures import MEASURES, Measure
from rnntips.recipe import Recipe
from rnntips.runs import Runs
from rnntips.tasks import as_settings
from rnntips.training import check_trainable
from rnntips.tuning import TUNING_SEEDS, train_sides, tune_sides, tuning_grids
from rnntips.weights import Parameters

__all__ = ["Study", "Sweep", "compare", "sweep"]


@dataclass(frozen=True, eq=False)
class Study:
    """One comparison: a baseline and a variant on the same seeds.

    `effect` is relative: −0.41 means that the variant errs 41 % less on average (geometric mean over seeds).
    `typical` is the same by the median; `interval` and `verdict` belong to it.
    """

    baseline: Recipe
    variant: Recipe
    runs: Mapping[str, tuple[Runs, Runs]] = field(repr=False)  # setting → (baseline's, variant's)
    tuned: Mapping[str, tuple[dict, dict]] = field(default_factory=dict, repr=False)
    allow: tuple[str, ...] = ()
    smallest: float = 0.05
    measure: str = "score"
    reach: float = 0.5  # share of the way from naive to the floor, where the measure asks for one

    # How a notebook shows a study; set by the package, since figures are further down the pipeline.
    draw: ClassVar[Any] = None

    @cached_property
    def finding(self) -> Finding:
        """All settings in which a side trained, pooled. Nothing is decided by a study that was stopped."""
        return self.finding_of([name for name in self.runs if name not in self.untrained] or self.runs)

    @cached_property
    def untrained(self) -> list[str]:
        """Settings in which neither side trained; they say nothing and are left out of the pooling."""
        return [name for name, sides in self.runs.items() if not self.measured.alive(*sides, self.smallest)]

    @property
    def measured(self) -> Measure:
        """What is measured, as far as this study asks runs to come."""
        return replace(MEASURES[self.measure], reach=self.reach)

    def finding_in(self, setting: str) -> Finding:
        """One setting alone."""
        return self.finding_of([setting])

    def finding_of(self, settings: Iterable[str]) -> Finding:
        """Some settings pooled; a verdict needs a trained side in each."""
        settings = list(settings)
        any_trained = not set(settings) & set(self.untrained)
        pairs = [self.runs[name] for name in settings]
        found = self.measured.judge(pairs, any_trained, self.smallest)
        return replace(found, verdict=Verdict.UNCLEAR) if self.stopped else found

    @property
    def stopped(self) -> bool:
        """Whether some of its runs were ended early."""
        return any(side.stopped for sides in self.runs.values() for side in sides)

    def effects(self, setting: str) -> np.ndarray:
        """How much more the variant has of what is measured, seed by seed, (n,): log ratios, or differences."""
        return self.measured.compare(*self.runs[setting])

    verdict = property(lambda self: self.finding.verdict)
    effect = property(lambda self: self.finding.effect)
    typical = property(lambda self: self.finding.typical)
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
        """What was changed, from the recipes themselves; and the widths that their numbers of parameters mean."""
        changed = [f"{name}: {mine} → {theirs}" for name, (mine, theirs) in self.baseline.diff(self.variant).items()]
        for name, sides in self.runs.items() if isinstance(self.variant.width, Parameters) else ():
            widths = " → ".join(str(side.recipes[0].width) for side in sides)
            changed.append(f"width: {widths}" + (f" on {name}" if len(self.runs) > 1 else ""))
        return ", ".join(changed) or "no change"

    @property
    def sentence(self) -> str:
        """The finding in words."""
        if self.stopped:
            reached, updates = next((s.reached, s.updates) for sides in self.runs.values() for s in sides if s.stopped)
            return f"Stopped at update {reached} of {updates}: nothing is decided."
        return sentence(self.finding) + self._capped() + self._left_out() + _failed(self)

    def _left_out(self) -> str:
        """Names settings that were not pooled, where others were."""
        some = 0 < len(self.untrained) < len(self.runs)
        return f" Left out, since neither side learned there: {'; '.join(self.untrained)}." if some else ""

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
        return f"Study({self.label}; on {', '.join(self.runs)}){_failed(self)}"

    def _ipython_display_(self) -> None:
        type(self).draw(self)


def _failed(study: Study) -> str:
    """How many runs ended in an exception, and the first one's message; nothing if none did."""
    sides = [side for pair in study.runs.values() for side in pair]
    why = [words for side in sides for words in side.failures if words]
    return f" {len(why)} of {sum(map(len, sides))} runs failed and count as naive ({why[0]})." if why else ""


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
    executor: Executor | None = None,
    store: str | Path | None = None,
    stop: Event | None = None,
    record: Runs | Sequence[Runs] | None = None,
) -> Study:
    """Train both sides on the same seeds and settings, and judge the difference.

    Args:
        baseline, variant: Two recipes that differ in one field.
        on: A Task, a Series, or a dict of named ones.
        seeds: One run a side each; at least ten for a verdict.
        tune: A nuisance field (`"lr"`, over half-decades) or `{field: values}`, chosen per side and setting on
            tuning seeds of its own; such fields may differ between the sides.
        allow: Further fields that may differ.
        executor: Any of `concurrent.futures`, a Dask cluster's `client.get_executor()` among them. Its workers train
            groups of 10 runs, each group in one thread unless RNNTIPS_THREADS says otherwise; none: this process.
        store: A folder to keep finished runs in and to take them from, which all workers and machines may share;
            none: nothing is read or written.
        stop: Set it from another thread to end early; what was recorded is kept. Groups that workers have begun end
            on their own, and are kept in the store.
        record: An empty `Runs()` to watch one setting; two, one a side, if the sides differ in shape.

    Raises:
        TwoChanges: The sides differ in more than one field.
        BadArgument: They do not differ at all, or an argument cannot be used.
    """
    grids, stop = tuning_grids(tune, baseline, variant), stop or Event()
    _one_change(baseline, variant, grids, allow)
    sides = (baseline, variant)
    how = {"executor": executor, "store": store}
    runs, tuned = _experiment(sides, as_settings(on), check_seeds(seeds), grids, device, stop, record, **how)
    pairs = {name: (found[0], found[1]) for name, found in runs.items()}
    picks = {name: (pick[0], pick[1]) for name, pick in tuned.items()}
    return Study(baseline, variant, pairs, picks, tuple(allow))


def sweep(
    baseline: Recipe,
    on,
    seeds: Sequence[int],
    *,
    tune: str | Mapping[str, Sequence] | None = None,
    allow: Sequence[str] = (),
    device: str = "auto",
    executor: Executor | None = None,
    store: str | Path | None = None,
    stop: Event | None = None,
    **values: Sequence,
) -> Sweep:
    """Compare every value of one field with the baseline, which is trained once. Arguments are those of `compare`.

    Args:
        allow: Fields that change along with the one under test, value by value: `width=[8, 16], lr=[0.1, 0.03]`.

    Raises:
        TwoChanges: More than one field is varied, and `allow` does not name the others.
    """
    under_test = [name for name in values if name not in allow]
    if len(under_test) != 1:
        raise TwoChanges(f"A sweep varies one field; {len(under_test)} came ({', '.join(under_test) or 'none'}).")
    for name, tried in values.items():
        if name not in Recipe.__dataclass_fields__:
            raise unknown_name("field", name, Recipe.__dataclass_fields__)
        if isinstance(tried, str) or not isinstance(tried, Iterable):
            raise BadArgument(f"{name}={tried!r}: several values are needed, for example {name}=[{tried!r}].")
    values = {name: list(tried) for name, tried in values.items()}
    if len({len(tried) for tried in values.values()}) > 1:
        raise BadArgument(f"{' and '.join(values)} change together, so each needs as many values as the others.")
    rows = [dict(zip(values, row, strict=True)) for row in zip(*values.values(), strict=True)]
    rows = [row for row in rows if row[under_test[0]] != getattr(baseline, under_test[0])]
    asked, variants = [row[under_test[0]] for row in rows], [baseline.but(**row) for row in rows]
    for variant in variants:
        _one_change(baseline, variant, tuning_grids(tune, baseline), allow)
    grids, stop = tuning_grids(tune, baseline, *variants), stop or Event()
    sides, how = (baseline, *variants), {"executor": executor, "store": store}
    runs, tuned = _experiment(sides, as_settings(on), check_seeds(seeds), grids, device, stop, None, **how)
    studies = {}
    for i, (value, variant) in enumerate(zip(asked, variants, strict=True), 1):
        pairs = {setting: (found[0], found[i]) for setting, found in runs.items()}
        picked = {setting: (t[0], t[i]) for setting, t in tuned.items()}
        studies[value] = Study(baseline, variant, pairs, picked, tuple(allow))
    return Sweep(studies)


def _one_change(baseline: Recipe, variant: Recipe, grids: Mapping, allow: Sequence[str]) -> None:
    for side in (baseline, variant):
        if not isinstance(side, Recipe):
            raise BadArgument(f"{side!r} is not a Recipe. Make one with rt.Recipe(...).")
    for name in allow:
        if name not in Recipe.__dataclass_fields__:
            raise unknown_name("field in allow=", name, Recipe.__dataclass_fields__)
    changed = baseline.diff(variant)
    if changed and changed.keys() <= grids.keys():
        raise BadArgument(f"{', '.join(changed)} is tuned on each side, so it cannot be under test. Leave out tune=.")
    if "horizon" in changed:
        raise BadArgument(
            "Errors at different horizons are different tasks. Compare two recipes with the same horizon."
        )
    under_test = [name for name in changed if name not in {*grids, *allow}]
    if len(under_test) > 1:
        listed = " and ".join(f"{name} ({changed[name][0]} → {changed[name][1]})" for name in under_test)
        raise TwoChanges(
            f"These recipes differ in {listed}. A study tests one change: split it in two, or pass "
            f"allow={tuple(under_test[1:])} if you mean both."
        )
    if not changed:
        raise BadArgument("The two recipes are equal. Change one field with baseline.but(...).")


def _experiment(sides, settings, seeds, grids, device, stop, record, **how):
    """Tune, then train every side on every setting. Returns setting → Runs per side, and setting → picks per side."""
    if grids and set(seeds) & set(TUNING_SEEDS):
        raise BadArgument(f"Seeds {TUNING_SEEDS[0]} to {TUNING_SEEDS[-1]} are for tuning; choose others.")
    for task in settings.values():
        check_trainable(sides, task, seeds[0])
    runs, tuned = {}, {}
    for setting, task in settings.items():
        chosen = sides
        if grids:
            tuned[setting] = [pick.values for pick in tune_sides(sides, task, grids, device, stop, **how)]
            chosen = [side.but(**pick) for side, pick in zip(sides, tuned[setting], strict=True)]
        runs[setting] = train_sides(chosen, task, seeds, device, stop, record, **how)
    return runs, tuned
