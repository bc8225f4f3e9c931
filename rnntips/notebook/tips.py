"""`rt.tips`: each tip's question, claims and default comparison, and what its stored record says.

Records are computed by the project's `evidence` folder, from a checkout; here they are only read.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from rnntips.errors import RnntipsError, unknown_name
from rnntips.notebook.lessons import lessons
from rnntips.recipe import FIELDS, Recipe, typed
from rnntips.tasks import Task
from rnntips.tasks.settings import SETTINGS
from rnntips.verdict import Scores, change, size

__all__ = ["REPEATED", "UNTUNED", "Claim", "StoredArm", "Tip", "Tips", "stored_scores", "tips"]

UNTUNED = "none"
REPEATED = {True: "yes", False: "no", None: "–"}  # None: the first seeds decided nothing, or no fresh ones were tried
SCORES = ("test_score", "naive", "floor")


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
        return {name: value for name, value in own.items() if name != "on"}

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
        """What readers are told, claim by claim: a short title, and a sentence for each word the record may say."""
        return self.lesson.toml["texts"]

    def rule(self) -> Markdown:
        """The record in sentences, one paragraph a claim; filled in from its numbers."""
        return Markdown("\n\n".join(self._sentence(claim) for claim in self.record["claims"]))

    def _sentence(self, claim: Mapping[str, Any]) -> str:
        numbers = {name: change(found["typical"], claim["unit"]) for name, found in claim["settings"].items()}
        numbers |= {"typical": change(claim["typical"], claim["unit"])}
        numbers |= {"detectable": size(claim["detectable"], claim["unit"])}
        kind = "DEPENDS" if claim["word"].startswith("DEPENDS") else claim["word"]
        said = self.texts[claim["id"]][kind].format_map(numbers)
        return said + (f" The first seeds had said: {claim['first'].lower()}." if claim["repeated"] is False else "")

    def table(self) -> Markdown:
        """Every claim with its word, typical change, interval, number of seeds and repetition, in Markdown."""
        measured = {claim["what"] for claim in self.record["claims"]}
        what = next(iter(measured)) if len(measured) == 1 else ""
        rows = [
            f"| claim | source | what the record says | typical change{what and f' in {what}'} | 95 % interval | seeds "
            "| repeated |",
            "|---|---|---|---|---|---|---|",
        ]
        for claim in self.record["claims"]:
            plan, (low, high) = self.plans[claim["id"]], (change(value, claim["unit"]) for value in claim["interval"])
            typical = change(claim["typical"], claim["unit"]) + ("" if what else f" ({claim['what']})")
            cells = [plan.says, plan.source, f"**{claim['word'].lower()}**", typical,
                     f"{low} to {high}", str(claim["n"]), REPEATED[claim["repeated"]]]  # fmt: skip
            rows.append(f"| {' | '.join(cells)} |")
        said = f"Provisional: {self.record['provisional']}" if self.record["provisional"] else ""
        said = said or f"Plan version {self.record['version']} ({self.record['plan']})"
        return Markdown("\n".join(rows) + f"\n\n{said}.")

    def live(self) -> tuple[Recipe, Recipe, str]:
        """Baseline, variant and setting of the default live comparison."""
        live = self.plan["live"]
        base = self.base.but(**typed(self.fields(live["setting"]))).but(lr=live["lr"])
        values = (live[name] for name in ("baseline", "variant"))
        sides = (value if isinstance(value, Mapping) else {live["field"]: value} for value in values)
        baseline, variant = (base.but(**typed(side)) for side in sides)
        return baseline, variant, live["setting"]

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
        alike, grid = recipe.but(lr=FIELDS["lr"]), self.plan.get("grids", {}).get("lr")
        tuned = {"lr": grid} if grid else "lr"  # as entries say it; a claim of its own may choose among fewer
        rates = (arm.entries[0]["lr"] for arm in self.arms(setting)
                 if arm.entries[0]["tuned"] == tuned and arm.times == 1 and arm.recipe == alike)  # fmt: skip
        return next(rates, self.plan["live"]["lr"])


class Tips(Mapping):
    """Name → Tip, for every lesson that has a plan."""

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
