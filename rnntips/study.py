"""`compare` and `sweep`: the same seeds for every arm, tuned alike, judged by the same rule."""

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np

from rnntips.diagnosis import Diagnosis
from rnntips.errors import BadArgument, TwoChanges, members, need, shown, unknown_name
from rnntips.jobs.execute import Resources
from rnntips.recipe import FIELDS, Parameters, Recipe, called
from rnntips.runs import Runs, check_seeds
from rnntips.tasks import as_settings
from rnntips.training import prepare
from rnntips.tuning import TUNING_SEEDS, several, train_arms, tune_arms, tuning_grids
from rnntips.verdict import SMALLEST, Comparison, Finding, Verdict, against, medians, sentence

__all__ = ["Study", "Sweep", "compare", "sweep"]


@dataclass(frozen=True, eq=False)
class Study:
    """One comparison: a baseline and a variant on the same seeds.

    `effect` is relative: −0.41 means that the variant has 41 % less error on average (geometric mean over seeds).
    `typical` is the same by the median; `interval` and `verdict` belong to it.
    """

    baseline: Recipe
    variant: Recipe
    runs: Mapping[str, tuple[Runs, Runs]] = field(repr=False)  # setting → (baseline's, variant's)
    tuned: Mapping[str, tuple[dict, dict]] = field(default_factory=dict, repr=False)
    allow: tuple[str, ...] = ()
    smallest: float = SMALLEST

    @cached_property
    def comparison(self) -> Comparison:
        """The scores of both arms, and the findings that follow from them."""
        pairs = {name: (baseline.scores, variant.scores) for name, (baseline, variant) in self.runs.items()}
        return Comparison(pairs, smallest=self.smallest)

    @cached_property
    def finding(self) -> Finding:
        """The finding of all settings in which an arm trained, pooled; UNCLEAR if the study was stopped."""
        return self._unless_stopped(self.comparison.finding)

    def finding_in(self, setting: str) -> Finding:
        """The finding of one setting; UNCLEAR if the study was stopped."""
        return self._unless_stopped(self.comparison.finding_of([setting]))

    def _unless_stopped(self, found: Finding) -> Finding:
        return replace(found, verdict=Verdict.UNCLEAR) if self.stopped else found

    @property
    def stopped(self) -> bool:
        """Whether some of its runs were ended early."""
        return any(side.stopped for sides in self.runs.values() for side in sides)

    def effects(self, setting: str) -> np.ndarray:
        """Log ratios of the variant's errors over the baseline's, seed by seed, (n,)."""
        return self.comparison.effects(setting)

    verdict = property(lambda self: self.finding.verdict)
    effect = property(lambda self: self.finding.effect)
    typical = property(lambda self: self.finding.typical)
    interval = property(lambda self: self.finding.interval)
    win_rate = property(lambda self: self.finding.win_rate)
    n = property(lambda self: self.finding.n)

    @property
    def field(self) -> str:
        """The field under test: it differs, and it was neither tuned nor named in `allow`."""
        changed = self.baseline.diff(self.variant)
        nuisance = {*self.allow, *(name for picks in self.tuned.values() for name in picks[0])}
        return next((name for name in changed if name not in nuisance), next(iter(changed)))

    @property
    def label(self) -> str:
        """The fields that differ, in words; with the widths in units where they are given in parameters."""
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
        return sentence(self.finding) + self._errors() + self._went_wrong() + self._left_out()

    def _errors(self) -> str:
        """A sentence with both sides' median errors, which are not capped at naive; of one setting."""
        if len(self.runs) > 1 or self.verdict == "NOT TRAINED":
            return ""
        (sides,) = self.comparison.pairs.values()
        return f" Medians: {against(*medians(*sides))}."

    def _left_out(self) -> str:
        """A sentence that names the settings that were not pooled, if some were."""
        untrained = self.comparison.untrained
        some = 0 < len(untrained) < len(self.runs)
        return f" Left out, since neither side learned there: {'; '.join(untrained)}." if some else ""

    @cached_property
    def diagnosis(self) -> Diagnosis:
        """What went wrong on each side, and what is worth a try."""
        found = []
        for setting, runs in self.runs.items():
            on = f" on {setting}" if len(self.runs) > 1 else ""
            tuned = tuple(*self.tuned.get(setting, ())[:1])
            for name, mine, theirs in zip(self.names, runs, runs[::-1], strict=True):
                in_vain = () if theirs.scores.trained else theirs.recipes[:1]
                seen = mine.diagnosed(in_vain, tuned).findings
                found += [replace(one, side=f"with “{name}”{on}, ") for one in seen]
        return Diagnosis(tuple(found))

    def _went_wrong(self) -> str:
        """Sentences on sides of which runs diverged, or most failed; if no side learned, on why, and what to try."""
        idle, told, count = self.verdict == "NOT TRAINED", [], Counter()
        for one in self.diagnosis.findings:
            count[one.side] += 1
            if one.code == "diverged" or (idle and count[one.side] <= (2 if len(self.runs) == 1 else 1)):
                told.append(str(one))
        if idle:
            told += [one.do for one in self.diagnosis.findings if one.do][:1]
        for side in zip(*self.runs.values(), strict=True):
            failed = sum(int(np.sum(~(runs.latest_score < runs.naive))) for runs in side)
            lost = sum(int(np.sum(runs.diverged_at > 0)) for runs in side)
            total = sum(len(runs) for runs in side)
            if self.verdict in ("BETTER", "WORSE") and failed > total / 2:
                told.append("They count as naive." if lost == failed else "Errors above naive count as naive.")
        return "".join(f" {one}" for one in told)

    @property
    def names(self) -> tuple[str, str]:
        """What each arm is called, by its value of the field under test."""
        baseline, variant = (called(self.field, getattr(side, self.field)) for side in (self.baseline, self.variant))
        return baseline, variant

    def __repr__(self) -> str:
        return f"Study({self.label}; on {', '.join(self.runs)})"

    def _ipython_display_(self) -> None:
        from rnntips.figures import show  # so that matplotlib is loaded only to draw

        show(self)


@dataclass(frozen=True, eq=False)
class Sweep:
    """One field, many values, each compared with the baseline."""

    studies: Mapping[Any, Study]  # value (or tuple of values) → Study

    def __getitem__(self, value: Any) -> Study:
        if isinstance(value, Hashable) and value in self.studies:
            return self.studies[value]
        raise unknown_name("value", value, self.studies)

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
    """Train both arms on the same seeds and settings, and judge the difference.

    Args:
        baseline, variant: Two recipes that differ in one field.
        on: A Task, a Series, or a dict of named ones.
        seeds: One run per arm each; at least ten for a verdict.
        tune: A field to tune: `"lr"` (see `tune_arms`) or `{field: values}`. Its value is chosen for each arm and
            setting on separate tuning seeds, so it may differ between the arms.
        allow: Further fields that may differ.
        executor: Any of `concurrent.futures`, or a Dask cluster's `client.get_executor()`. Its workers train groups
            of 10 runs, each group in one thread unless RNNTIPS_THREADS says otherwise; None: this process.
        store: A folder to keep finished runs in and to take them from, which all workers and machines may share; None:
            nothing is read or written.
        stop: Set it from another thread to end early; what was recorded is kept. Groups that workers have begun are
            trained to the end, and kept in the store.
        record: An empty `Runs()` to look at while one setting trains; two, one per arm, if the arms differ in shape.

    Raises:
        TwoChanges: The arms differ in more than one field.
        BadArgument: They do not differ at all, or an argument cannot be used.
    """
    for name, side in (("baseline", baseline), ("variant", variant)):
        need(name, side, Recipe, "a Recipe, made with rt.Recipe(...),")
    need("record", record, Runs | Sequence | None, "an empty rt.Runs(), or one for each shape,")
    allow = _allowed(allow)
    _one_change(baseline, variant, tuning_grids(tune, baseline), allow)
    how = Resources.of(device, executor, store, stop)
    [(runs, tuned)] = _experiment([baseline, variant], as_settings(on), check_seeds(seeds), tune, how, record)
    return Study(baseline, variant, runs, tuned, allow)


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
    need("baseline", baseline, Recipe, "a Recipe, made with rt.Recipe(...),")
    allow = _allowed(allow)
    under_test = [name for name in values if name not in allow]
    if len(under_test) != 1:
        raise TwoChanges(f"A sweep varies one field; {len(under_test)} came ({', '.join(under_test) or 'none'}).")
    values = {name: several(name, tried) for name, tried in values.items()}
    if len({len(tried) for tried in values.values()}) > 1:
        raise BadArgument(f"{' and '.join(values)} change together, so each needs as many values as the others.")
    rows = [dict(zip(values, row, strict=True)) for row in zip(*values.values(), strict=True)]
    variants = {getattr(variant, under_test[0]): variant for variant in (baseline.but(**row) for row in rows)}
    variants.pop(getattr(baseline, under_test[0]), None)
    for variant in variants.values():
        _one_change(baseline, variant, tuning_grids(tune, baseline), allow)
    if not variants:
        raise BadArgument(f"{under_test[0]} has no other value than the baseline's. Name at least one.")
    how = Resources.of(device, executor, store, stop)
    found = _experiment([baseline, *variants.values()], as_settings(on), check_seeds(seeds), tune, how)
    studies = zip(variants.items(), found, strict=True)
    return Sweep({value: Study(baseline, variant, *of, allow) for (value, variant), of in studies})


def _allowed(allow: Sequence[str]) -> tuple[str, ...]:
    """The fields in `allow`; raises `BadArgument` for others."""
    names = [allow] if isinstance(allow, str) else members(allow)
    if names is None:
        raise BadArgument(f'allow={shown(allow)}: a list of fields, for example ["lr"], is needed.')
    for name in names:
        if not (isinstance(name, str) and name in FIELDS):
            raise unknown_name("field in allow=", name, FIELDS)
    return tuple(names)


def _one_change(baseline: Recipe, variant: Recipe, grids: Mapping, allow: Sequence[str]) -> None:
    changed = baseline.diff(variant)
    if changed and changed.keys() <= grids.keys():
        raise BadArgument(f"{', '.join(changed)} is tuned on each side, so it cannot be under test. Leave out tune=.")
    if "horizon" in changed:
        raise BadArgument("Errors at different horizons are different tasks. Compare recipes with the same horizon.")
    under_test = [name for name in changed if name not in {*grids, *allow}]
    if len(under_test) > 1:
        listed = " and ".join(f"{name} ({changed[name][0]} → {changed[name][1]})" for name in under_test)
        raise TwoChanges(
            f"These recipes differ in {listed}. A study tests one change: split it in two, or pass "
            f"allow={tuple(under_test[1:])} if you mean both."
        )
    if not changed:
        raise BadArgument("The two recipes are equal. Change one field with baseline.but(...).")


def _experiment(
    arms: Sequence[Recipe], settings: Mapping[str, Any], seeds: list[int], tune: Any, how: Resources,
    record: Runs | Sequence[Runs] | None = None,
) -> list[tuple[dict, dict]]:  # fmt: skip
    """Tune and train every arm on every setting. For each variant: setting → both arms' runs, setting → their picks."""
    grids = tuning_grids(tune, *arms)
    if grids and set(seeds) & set(TUNING_SEEDS):
        raise BadArgument(f"Seeds {TUNING_SEEDS[0]} to {TUNING_SEEDS[-1]} are for tuning; choose others.")
    tuning = TUNING_SEEDS if grids else ()
    prepared = {name: prepare(arms, task, seeds, tuning) for name, task in settings.items()}
    runs, tuned = {}, {}
    for name, task in settings.items():
        chosen = prepared[name]
        if grids:
            tuned[name] = [pick.values for pick in tune_arms(chosen, task, grids, how, search=tune == "lr")]
            chosen = [arm.but(**pick) for arm, pick in zip(chosen, tuned[name], strict=True)]
        runs[name] = train_arms(chosen, task, seeds, how, record)

    def pairs(found: Mapping[str, list], i: int) -> dict[str, tuple]:
        return {name: (each[0], each[i]) for name, each in found.items()}

    return [(pairs(runs, i), pairs(tuned, i)) for i in range(1, len(arms))]
