"""`Runs`: the record of R runs, filled while they train and read by everything after."""

import platform
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from enum import Enum
from types import SimpleNamespace

import numpy as np
import torch

from rnntips.errors import BadArgument
from rnntips.recipe import Recipe

__all__ = ["Outcome", "Runs", "evaluation_points", "failed", "joined", "last_points", "lengths"]

EVALUATIONS = 24  # spread geometrically over the updates
LAST = (0.9, 0.95, 1.0)  # shares of the budget at which the test part is scored; their mean is the score
ROWS = (
    "seeds train_loss gradient_norm valid_score step_ratio test_scores trivial floor valid_trivial "
    "diverged_at rescued_at weights"
).split()


def _nothing() -> np.ndarray:
    return np.empty(0)


class Outcome(Enum):
    """How a run ended; the value is the sentence a reader gets."""

    RUNNING = "Still training."
    FINISHED = "Trained to the end of its budget."
    DIVERGED = "The loss became infinite at update {at}. Try a smaller lr, or set clip_norm=1."
    FAILED = "Failed: {why}"
    STOPPED = "Stopped at update {at}; what was recorded until then is kept."


@dataclass(eq=False)
class Runs:
    """R runs: what they were and what happened. Begun and filled by `train`; NaN where nothing has happened yet.

    E evaluations, U updates, P parameters. Scores are in the task's unit.
    """

    recipes: tuple[Recipe, ...] = ()  # R
    setting: str = ""
    unit: str = ""
    seeds: np.ndarray = field(default_factory=_nothing)  # (R,)
    evaluations: np.ndarray = field(default_factory=_nothing)  # (E,) updates done at each evaluation
    train_loss: np.ndarray = field(default_factory=_nothing)  # (R, U) of each batch, in scaled units, or nats
    gradient_norm: np.ndarray = field(default_factory=_nothing)  # (R, U) before clipping
    valid_score: np.ndarray = field(default_factory=_nothing)  # (R, E)
    step_ratio: np.ndarray = field(default_factory=_nothing)  # (R, E) length of the last update over the weights'
    test_scores: np.ndarray = field(default_factory=_nothing)  # (R, 3) at the last evaluations
    trivial: np.ndarray = field(default_factory=_nothing)  # (R,)
    floor: np.ndarray = field(default_factory=_nothing)  # (R,)
    valid_trivial: np.ndarray = field(default_factory=_nothing)  # (R,) on the validation part
    diverged_at: np.ndarray = field(default_factory=_nothing)  # (R,) update of the first non-finite loss, 0 if none
    rescued_at: np.ndarray = field(default_factory=_nothing)  # (R,) like `diverged_at`, `updates_before` counted too
    reached: int = 0  # updates done
    stopped: bool = False
    seconds: float = 0.0
    device: str = "cpu"
    weights: np.ndarray = field(default_factory=_nothing)  # (R, P)
    optimizer_state: dict[str, np.ndarray] = field(default_factory=dict, repr=False)
    updates_before: int = 0  # of the record that training went on from
    versions: dict[str, str] = field(default_factory=dict)
    failures: tuple[str, ...] = ()  # R messages of the exceptions that ended runs, "" where there was none
    readings: dict[str, np.ndarray] = field(default_factory=dict, repr=False)  # (R,) each: what else is known

    def __post_init__(self):
        self.failures = self.failures or ("",) * len(self)

    def begin(
        self, recipes: Sequence[Recipe], task, seeds: Sequence[int], windows: int, device: str,
        steps: int | None = None, skip: int = 0, **size: int,
    ) -> None:  # fmt: skip
        """Make room for runs that have so many training windows; see `Recipe.updates_for` for the lengths."""
        if len(self):
            raise BadArgument("record= needs an empty Runs(); this one has been filled before.")
        updates = recipes[0].updates_for(windows, steps, skip, **size)
        bounds = [task.bounds(recipe, seed) for recipe, seed in zip(recipes, seeds, strict=True)]
        self.recipes, self.setting, self.unit, self.device = tuple(recipes), task.name, task.unit, device
        self.seeds = np.array(seeds, dtype=int)
        self.evaluations = evaluation_points(updates)
        self.trivial, self.floor, self.valid_trivial = np.array(bounds).T
        self.diverged_at, self.rescued_at = np.zeros((2, len(recipes)), dtype=int)
        self.failures = ("",) * len(recipes)
        columns = {"train_loss": updates, "gradient_norm": updates, "valid_score": len(self.evaluations),
                   "step_ratio": len(self.evaluations), "test_scores": len(LAST)}  # fmt: skip
        for name, count in columns.items():
            setattr(self, name, np.full((len(recipes), count), np.nan))
        self.weights = np.empty((len(recipes), 0), np.float32)  # until training ends
        self.versions = {
            "python": platform.python_version(),
            "numpy": np.__version__,
            "torch": torch.__version__,
        }

    @property
    def updates(self) -> int:
        """Length of the budget."""
        return self.train_loss.shape[1] if len(self) else 0

    @property
    def test_score(self) -> np.ndarray:
        """Test score of the state at the end of the budget, averaged over the last evaluations, (R,)."""
        return self.test_scores.mean(1)

    @property
    def latest_score(self) -> np.ndarray:
        """Test score of a finished run, the newest validation score of any other, (R,)."""
        seen = int(np.searchsorted(self.evaluations, self.reached, side="right"))
        return self.test_score if self.reached == self.updates else self.valid_score[:, max(seen - 1, 0)]

    @property
    def outcome(self) -> list[Outcome]:
        """How each run ended, or that it has not."""
        if self.stopped:
            rest = Outcome.STOPPED
        else:
            rest = Outcome.FINISHED if self.reached == self.updates else Outcome.RUNNING
        ends = [Outcome.DIVERGED if at else rest for at in self.diverged_at]
        return [Outcome.FAILED if why else end for end, why in zip(ends, self.failures, strict=True)]

    def message(self, run: int) -> str:
        """One run's outcome as a sentence."""
        return self.outcome[run].value.format(at=int(self.diverged_at[run] or self.reached), why=self.failures[run])

    def advance(self, updates: int) -> None:
        """Training calls this after every update; a view that is a record may redraw itself here."""
        self.reached = updates

    def only(self, rows: Sequence[int]) -> "Runs":
        """A record of some of the runs."""
        picked = {name: getattr(self, name)[rows] for name in ROWS if len(getattr(self, name))}
        state, readings = (
            {name: value[rows] for name, value in some.items()} for some in (self.optimizer_state, self.readings)
        )
        rest = {f.name: getattr(self, f.name) for f in fields(Runs)}
        recipes = tuple(self.recipes[r] for r in rows)
        failures = tuple(self.failures[r] for r in rows)
        taken = {"recipes": recipes, "failures": failures, "optimizer_state": state, "readings": readings}
        return Runs(**rest | picked | taken)

    def __len__(self) -> int:
        return len(self.seeds)

    def __repr__(self) -> str:
        ended = [o.name for o in self.outcome]
        return (
            f"Runs({len(self)} on {self.setting}: "
            + ", ".join(f"{ended.count(n)} {n}" for n in sorted(set(ended)))
            + ")"
        )


def failed(recipe: Recipe, task, seed: int, why: str) -> Runs:
    """The record of a run that an exception ended. It counts as naive; bounds are NaN if the task cannot give them."""

    def bounds(*_) -> tuple[float, float, float]:
        try:
            return task.bounds(recipe, seed)
        except Exception:
            return (np.nan,) * 3

    record = Runs()
    begun = recipe if recipe.updates else recipe.but(updates=1)
    record.begin([begun], SimpleNamespace(name=task.name, unit=task.unit, bounds=bounds), [seed], 1, "cpu")
    record.recipes = (recipe,)
    record.failures = (why,)
    record.advance(record.updates)
    return record


def lengths(*sides: Runs) -> str:
    """How many updates these sides did, in words, and what had been asked for if it was not a number of updates."""
    asked = sides[0].recipes[0].budget
    words = " and ".join(dict.fromkeys(str(side.reached) for side in sides)) + " updates"
    on = " on this engine" if asked and asked.of == "seconds" else ""
    return f"{words} ({asked}{on})" if asked and all(side.recipes[0].budget == asked for side in sides) else words


def joined(parts: Sequence[Runs]) -> Runs:
    """One record of several of one shape, in their order. Runs that failed may have fewer columns: the rest is NaN."""
    if len(parts) == 1:
        return parts[0]
    longest = max(parts, key=lambda part: (not any(part.failures), part.updates))
    rows = {name: _stacked([getattr(part, name) for part in parts], getattr(longest, name)) for name in ROWS}
    state = {
        name: _stacked([part.optimizer_state.get(name, np.empty((len(part), 0))) for part in parts], value)
        for name, value in longest.optimizer_state.items()
    }
    return replace(
        longest,
        **rows,
        optimizer_state=state,
        recipes=tuple(recipe for part in parts for recipe in part.recipes),
        failures=tuple(why for part in parts for why in part.failures),
        reached=min((part.reached for part in parts if part.reached < part.updates), default=longest.reached),
        stopped=any(part.stopped for part in parts),
        seconds=sum(part.seconds for part in parts),
    )


def _stacked(parts: Sequence[np.ndarray], like: np.ndarray) -> np.ndarray:
    """Rows under each other, narrower ones filled up with NaN, in the type and width of `like`."""
    if like.ndim == 1:
        return np.concatenate(parts)
    out = np.full((sum(map(len, parts)), like.shape[1]), np.nan, like.dtype)
    first = 0
    for part in parts:
        out[first : first + len(part), : part.shape[1]] = part
        first += len(part)
    return out


def evaluation_points(updates: int) -> np.ndarray:
    """Updates after which to evaluate: 0, a geometric ladder, and the last tenth's three."""
    ladder = np.geomspace(1, updates, EVALUATIONS).round()
    return np.unique(np.concatenate([[0], ladder, last_points(updates)]).astype(int))


def last_points(updates: int) -> list[int]:
    """Updates after which the test part is scored; a very short budget names some twice."""
    return [max(1, round(share * updates)) for share in LAST]
