"""`rt.tips`: each tip's question, claims and default comparison, and what its stored record says.

Records are computed by the project's `evidence` folder, from a checkout; here they are only read.
"""

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib import resources
from math import comb
from typing import Any

import numpy as np
from markupsafe import Markup

from rnntips.errors import RnntipsError, unknown_name
from rnntips.notebook.lessons import lessons
from rnntips.recipe import FIELDS, Recipe, typed
from rnntips.tasks import Task
from rnntips.tasks.settings import SETTINGS
from rnntips.verdict import Comparison, Scores, against, change, of_naive, size, spoken

__all__ = ["ABOUT", "ELSEWHERE", "REPEATED", "UNTUNED", "Claim", "StoredArm", "Tip", "Tips", "by_budget",
           "expected_best", "shown", "stored_scores", "tips"]  # fmt: skip

UNTUNED = "none"
ELSEWHERE = ("cell", "past", "updates")  # what a comparison keeps of its setting on a series of the reader's own
ABOUT = ("on", "size", "smallest")  # what a plan says of a setting beside its recipe fields
REPEATED = {True: "yes", False: "no", None: "–"}  # None: nothing was decided, or no fresh seeds were tried
NEITHER = {"best learning rate": {"BETTER": "lower", "WORSE": "higher"}}  # no more of it is better, or worse
SCORES = ("test_score", "naive", "floor")
SIDES, SOLVED = ("baseline", "variant"), "share of solved runs"
LINE = str(Markup("<br>"))  # between lines of one cell of a table
RULE = {"do": "Do", "start": "Start with", "not_when": "Not when", "check": "Check"}  # the parts of a rule


class Markdown(str):
    """Text that a notebook shows as Markdown and a terminal as it is."""

    def _repr_markdown_(self) -> str:
        return str(self)

    def __repr__(self) -> str:
        return str(self)


@dataclass(frozen=True)
class Claim:
    """One claim of a source: what it says, where, and the settings that test it."""

    id: str
    says: str
    source: str
    settings: tuple[str, ...]


@dataclass(frozen=True)
class StoredArm:
    """One arm of a record on one setting, from every part of it: the first seeds, and the fresh ones.

    Args:
        recipe: With the tuned field at its default.
        tuned: The field whose value tuning chose, or `"none"`.
        times: It was trained at so many times the value that tuning chose.
        entries: What each part keeps of it.
    """

    recipe: Recipe
    tuned: str
    times: float
    entries: tuple[Mapping[str, Any], ...]

    @property
    def scores(self) -> Scores:
        """Of all parts' seeds, one part after the other."""
        return stored_scores(*self.entries)


def stored_scores(*entries: Mapping[str, Any]) -> Scores:
    """The numbers that a record keeps of an arm, of several parts in a row."""

    def joined(values: Sequence[Sequence[float | None]]) -> np.ndarray:
        return np.array([value for part in values for value in part], dtype=float)  # None becomes NaN

    readings = {name: joined([entry["readings"][name] for entry in entries]) for name in entries[0].get("readings", {})}
    return Scores(*(joined([entry[name] for entry in entries]) for name in SCORES), readings)


def expected_best(count: int, valid: np.ndarray, errors: np.ndarray) -> np.ndarray:
    """The mean error of the best of `count` tries, (n,), over all choices of so many of K; each seed by itself.

    Args:
        valid: Validation errors, (K, n), of which the lowest chooses; infinite where a run diverged.
        errors: What a try counts with, (K, n).

    Source: Dodge et al. (2019), "Show your work: improved reporting of experimental results", EMNLP.
    """
    many = len(valid)
    ranked = np.take_along_axis(errors, np.argsort(valid, axis=0, kind="stable"), 0)
    # number i is the best of a choice if the others come from those behind it
    return np.array([comb(many - 1 - i, count - 1) / comb(many, count) for i in range(many)]) @ ranked


def by_budget() -> dict[int, dict[str, str]]:
    """What the shared long run says: number of updates → the best learning rates, and errors, in words."""
    stored = json.loads(resources.files("rnntips").joinpath("data", "long_run.json").read_text(encoding="utf-8"))
    found: dict[int, dict[str, str]] = {}
    for updates in dict.fromkeys(run["updates"] for run in stored["runs"]):
        for schedule in ("constant", "decayed"):
            shares = {run["lr"]: float(np.median(np.array(run["errors"], float) / run["naive"]))
                      for run in stored["runs"]
                      if (run["updates"], run["schedule"]) == (updates, schedule)}  # fmt: skip
            lr = min(shares, key=lambda one: np.inf if np.isnan(shares[one]) else shares[one])
            found.setdefault(updates, {}).update({schedule: of_naive(shares[lr]), f"{schedule} lr": f"{lr:g}"})
    return found


def shown(setting: str, found: Mapping[str, Any], claim: Mapping[str, Any]) -> str:
    """What a claim's setting shows, in words: the verdict, both sides' errors, and what else was measured."""
    if not found["tested"]:
        return f"{setting}: not tested ({found['why_not'].rstrip('.')})"
    words = _in_words(found, claim)
    unclear = found["verdict"] == "UNCLEAR"
    fine = found["detectable"] < found["smallest"]  # then the difference is about as large as the smallest that matters
    why = f"{words['smallest']} would matter" if fine else f"{words['detectable']} could be seen"
    verdict = f"undecided ({why})" if unclear else words["verdict"]
    size = ", working size" * ("working size" not in setting) + f", {found['n']} seeds"
    size = size if found["size"] == "working" else ""
    both, capped = "", ""
    if claim["what"] in ("error", "share of wrong answers"):
        sides = found["baseline"], found["variant"]
        both = f"{against(*sides)}; "
        capped = ", errors above naive counted as naive" if any(side is None or side > 1 for side in sides) else ""
    elif claim["what"] == SOLVED:
        both = f"{words['baseline share']} against {words['variant share']}; "
    return f"{setting}{size}: {verdict}; {both}{claim['what']} {words['typical']} ({words['interval']}){capped}"


def _in_words(found: Mapping[str, Any], claim: Mapping[str, Any]) -> dict[str, str]:
    """A setting's numbers as sentences have them."""
    n = found["n"]
    solved = [f"{share * n:.0f} of {n}" for share in found["checks"]["learned"]] if claim["what"] == SOLVED else ()
    said, unit = NEITHER.get(claim["what"], {}), spoken(found["typical"], claim["unit"])
    low, high = (change(end, unit, bare=True) for end in found["interval"])
    return {
        "verdict": said.get(found["verdict"], found["verdict"].lower()),
        "baseline": of_naive(found["baseline"]), "variant": of_naive(found["variant"]),
        "sides": " and ".join(found["sides"]),
        "typical": change(found["typical"], unit), "interval": f"{low} to {high}",
        "detectable": size(found["detectable"], claim["unit"]), "smallest": size(found["smallest"], claim["unit"]),
        **{f"{side} lr": _range(some) for side, some in zip(SIDES, found["tuned"], strict=True)},
        **{f"{side} share": some for side, some in zip(SIDES, solved, strict=False)},
    }  # fmt: skip


def _range(values: Sequence) -> str:
    """Numbers that tuning chose in several parts: "0.0094 to 0.012"."""
    return " to ".join(dict.fromkeys(f"{value:.2g}" for value in sorted(v for v in values if isinstance(v, float))))


class Tip:
    """A named tip: what its lesson's file says, and what was found."""

    def __init__(self, name: str):
        self.name = name
        self.lesson = next(lesson for lesson in lessons() if lesson.name == name)
        self.question = self.lesson.question
        self.plan: dict[str, Any] = {"question": self.question} | self.lesson.toml["plan"]
        self.base = Recipe(**typed(self.plan["recipe"]))  # what all arms start from

    def __repr__(self) -> str:
        return f"Tip({self.name!r}: {self.question})"

    @cached_property
    def plans(self) -> dict[str, Claim]:
        """Claim id → what the source says, and where it is tested."""
        return {name: Claim(name, given["says"], given["source"], tuple(given["settings"]))
                for name, given in self.plan["claims"].items()}  # fmt: skip

    def task(self, setting: str) -> Task:
        """What a setting of the plan trains on."""
        return SETTINGS[self.plan.get("settings", {}).get(setting, {}).get("on", setting)]()

    def fields(self, setting: str) -> dict[str, Any]:
        """Recipe fields that a setting of the plan brings along."""
        own = self.plan.get("settings", {}).get(setting, {})
        return {name: value for name, value in own.items() if name not in ABOUT}

    @cached_property
    def record(self) -> dict[str, Any]:
        """The stored record, as it was computed.

        Raises:
            RnntipsError: None is stored.
        """
        record = self.lesson.stored("record")
        if record is None:
            raise RnntipsError(f"No record of {self.name} is stored. Compute it, from a checkout, with "
                               f"`python -m evidence run {self.name} --retune --write`.")  # fmt: skip
        return record

    @property
    def has_record(self) -> bool:
        """Whether a record is stored, or this tip was given another."""
        return "record" in vars(self) or (self.lesson.folder / "record.json").is_file()

    @property
    def words(self) -> dict[str, str]:
        """Claim id → the record's word."""
        return {claim["id"]: claim["word"] for claim in self.record["claims"]}

    @property
    def verdict(self) -> str:
        """The record's word on the tip's first claim."""
        return next(iter(self.words.values()))

    @property
    def texts(self) -> dict[str, Any]:
        """What readers are told, claim by claim: a short title."""
        return self.lesson.toml["texts"]

    def rule(self) -> Markdown:
        """The record in sentences, one paragraph a claim."""
        return Markdown("\n\n".join(self._sentence(claim) for claim in self.record["claims"]))

    def _sentence(self, claim: Mapping[str, Any]) -> str:
        plan = self.plans[claim["id"]]
        settings = ". ".join(shown(name, found, claim) for name, found in claim["settings"].items())
        fresh = f" Fresh seeds alone say: {claim['fresh_word'].lower()}." if claim["repeated"] is False else ""
        return f"{plan.says} ({plan.source}) **{claim['word'].capitalize()}.** {settings}.{fresh}"

    def table(self, claims: Sequence[str] | None = None) -> Markdown:
        """Claims (all, if None) with their word, both sides in every setting, seeds and repetition, in Markdown."""
        rows = ["| claim | source | what the record says | baseline against variant | seeds | repeated |",
                "|---|---|---|---|---|---|"]  # fmt: skip
        for claim in self.record["claims"]:
            if claims is not None and claim["id"] not in claims:
                continue
            plan = self.plans[claim["id"]]
            settings = LINE.join(shown(name, found, claim) for name, found in claim["settings"].items())
            cells = [plan.says, plan.source, f"**{claim['word'].lower()}**", settings, str(claim["n"]),
                     REPEATED[claim["repeated"]]]  # fmt: skip
            rows.append(f"| {' | '.join(cells)} |")
        said = f"Provisional: {self.record['provisional']}" if self.record["provisional"] else ""
        said = said or f"Plan version {self.record['version']} ({self.record['plan']})"
        return Markdown("\n".join(rows) + f"\n\n{said}.")

    def numbers(self) -> dict[str, dict[str, dict[str, str]]]:
        """Claim id → setting → what the record says there, in words, for texts that are filled in from it.

        Under "long" what the shared long run says, by the number of updates.
        """
        return {"long": by_budget()} | {
            claim["id"]: {name: _in_words(found, claim) for name, found in claim["settings"].items()}
            for claim in self.record["claims"]}  # fmt: skip

    @property
    def headlines(self) -> list[str]:
        """Ids of the claims that the lesson shows; all of them stand on the page of findings."""
        return self.lesson.toml.get("headlines", list(self.plans))

    @property
    def rule_box(self) -> Markdown:
        """What to do, what to start with, when not to, and how to check it: a table, its numbers from the record.

        Raises:
            RnntipsError: The lesson has none.
        """
        rule = self.lesson.toml.get("rule")
        if rule is None:
            raise RnntipsError(f"The lesson {self.name} has no table of its rule yet. See tips[{self.name!r}].rule().")
        cells = (rule[name].format_map(self.numbers()) for name in RULE)
        return Markdown(f"| {' | '.join(RULE.values())} |\n|---|---|---|---|\n| {' | '.join(cells)} |")

    def live(self) -> tuple[Recipe, Recipe, str]:
        """Baseline, variant and setting of the default live comparison: the plan's, or what the panel names."""
        live = self.plan["live"] | self.lesson.toml.get("panel", {})
        setting = live["setting"]
        base = self.base.but(**typed(self.fields(setting)), **typed(live.get("recipe", {}))).but(lr=live["lr"])
        values = (live[name] for name in ("baseline", "variant"))
        sides = (value if isinstance(value, Mapping) else {live["field"]: value} for value in values)
        baseline, variant = (base.but(**typed(side)) for side in sides)
        return baseline, variant, setting

    def without(self, setting: str, kept: Collection[str] = ()) -> dict[str, Any]:
        """The plan's own values of the fields that a setting brings along, but for those to be kept."""
        return {name: getattr(self.base, name) for name in self.fields(setting) if name not in kept}

    def elsewhere(self) -> tuple[Recipe, Recipe]:
        """Both sides of the live comparison for another series: of what its setting brings, they have `ELSEWHERE`."""
        baseline, variant, setting = self.live()
        plain = self.without(setting, ELSEWHERE)
        return baseline.but(**plain), variant.but(**plain)

    @property
    def recorded(self) -> float:
        """Change of the error from baseline to variant of the live comparison, in the record, relative."""
        *sides, setting = self.live()
        baseline, variant = (self._stored(setting, side).scores for side in sides)
        return Comparison({setting: (baseline, variant)}).finding.typical

    @property
    def live_tuned(self) -> str:
        """The field that tuning chose for the live comparison; none where the learning rate is under test."""
        baseline, variant, _ = self.live()
        return self.plan["live"].get("tuned", "lr" if baseline.lr == variant.lr else UNTUNED)

    def arms(self, setting: str) -> list[StoredArm]:
        """What the stored record trained on a setting; nothing if none is stored."""
        if not self.has_record:
            return []
        parts = [part["settings"].get(setting, []) for part in self.record["parts"]]
        return [self._arm(entries) for entries in zip(*parts, strict=True)]

    def _arm(self, entries: Sequence[Mapping[str, Any]]) -> StoredArm:
        first = entries[0]
        tuned = first["tuned"] if isinstance(first["tuned"], str) else next(iter(first["tuned"]))
        fields = {name: value for name, value in first.items() if name in FIELDS and name != tuned}
        default = {} if tuned == UNTUNED else {tuned: FIELDS[tuned]}
        return StoredArm(self.base.but(**typed(fields) | default), tuned, first.get("times", 1), tuple(entries))

    def learning_rate(self, setting: str, recipe: Recipe) -> float:
        """The rate that tuning chose for this arm, or the live default where none is stored; its own if untuned."""
        if self.live_tuned == UNTUNED:
            return recipe.lr
        arm = self._stored(setting, recipe)
        return self.plan["live"]["lr"] if arm is None else arm.entries[0]["lr"]

    def _stored(self, setting: str, recipe: Recipe) -> StoredArm | None:
        """The arm of this recipe whose learning rate was tuned, or taken as it is, as the live comparison's is."""
        tuned, grid = self.live_tuned, self.plan.get("grids", {}).get("lr")
        alike = recipe if tuned == UNTUNED else recipe.but(lr=FIELDS["lr"])
        tuned = {"lr": grid} if grid and tuned != UNTUNED else tuned  # a claim of its own may choose among fewer
        return next((arm for arm in self.arms(setting)
                     if arm.entries[0]["tuned"] == tuned and arm.times == 1 and arm.recipe == alike), None)  # fmt: skip


class Tips(Mapping):
    """Name → Tip, for every lesson that has a plan; `on` tries them on a series of one's own."""

    def on(self, series, only: Sequence[str] | None = None, **how):
        """See `rnntips.notebook.on_series.on_series`."""
        from rnntips.notebook.on_series import on_series  # it imports this file

        return on_series(series, only, **how)

    def __getitem__(self, name: str) -> Tip:
        if not isinstance(name, str) or name not in self._names():
            raise unknown_name("tip", name, self._names())
        return Tip(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._names())

    def __len__(self) -> int:
        return len(self._names())

    def __repr__(self) -> str:
        return "\n".join(f"{name:20} {self[name].question}" for name in self)

    @staticmethod
    def _names() -> list[str]:
        return sorted(lesson.name for lesson in lessons() if "plan" in lesson.toml)


tips = Tips()
