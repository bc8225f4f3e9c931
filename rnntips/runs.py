"""`Runs`: the record of R runs. Training fills it; scores, verdicts and figures read it."""

import platform
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from enum import Enum

import numpy as np
import torch

from rnntips.diagnosis import Diagnosis, diagnose
from rnntips.errors import BadArgument, members, need_whole, shown
from rnntips.recipe import Recipe
from rnntips.schedule import window_lengths
from rnntips.verdict import Scores, way

__all__ = ["Outcome", "Runs", "check_seeds", "evaluation_points", "joined", "last_points", "length_in_words",
           "to_target", "tokens_to"]  # fmt: skip

EVALUATIONS = 24  # spread geometrically over the updates
LAST = (0.9, 0.95, 1.0)  # shares of the budget at which the test part is scored; their mean is the score
ROWS = (  # fields with one row per run
    "seeds train_loss gradient_norm valid_score step_ratio test_scores naive floor valid_naive "
    "spread from_last diverged_at rescued_at best_at pretext weights"
).split()


def _nothing() -> np.ndarray:
    return np.empty(0)


class Outcome(Enum):
    """How a run ended; the value is the sentence that users see."""

    RUNNING = "Still training."
    FINISHED = "Trained to the end of its budget."
    DIVERGED = "The loss became infinite or NaN at update {at}."
    STOPPED = "Stopped at update {at}; what was recorded until then is kept."


@dataclass(eq=False)
class Runs:
    """The record of R runs: what was trained, and what was measured. `train` fills it; NaN: not measured yet.

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
    step_ratio: np.ndarray = field(default_factory=_nothing)  # (R, E) norm of the last step over that of the weights
    test_scores: np.ndarray = field(default_factory=_nothing)  # (R, 3) at the last evaluations
    naive: np.ndarray = field(default_factory=_nothing)  # (R,) error of the obvious guess
    floor: np.ndarray = field(default_factory=_nothing)  # (R,) lowest possible error
    valid_naive: np.ndarray = field(default_factory=_nothing)  # (R,) `naive` on the validation part
    spread: np.ndarray = field(default_factory=_nothing)  # (R,) of test answers, see `rnntips.diagnosis.compared`
    from_last: np.ndarray = field(default_factory=_nothing)  # (R,) their distance from the last value
    diverged_at: np.ndarray = field(default_factory=_nothing)  # (R,) update of the first non-finite loss, 0 if none
    rescued_at: np.ndarray = field(default_factory=_nothing)  # (R,) spike's update, `updates_before` included, or 0
    best_at: np.ndarray = field(default_factory=_nothing)  # (R,) updates that the result is from; all, or fewer
    pretext: np.ndarray = field(default_factory=_nothing)  # (R, 2) its error after pre-training, and at the end
    reached: int = 0  # updates done
    stopped: bool = False
    seconds: float = 0.0
    device: str = "cpu"
    weights: np.ndarray = field(default_factory=_nothing)  # (R, P)
    optimizer_state: dict[str, np.ndarray] = field(default_factory=dict, repr=False)
    updates_before: int = 0  # updates of the record from which training was continued
    versions: dict[str, str] = field(default_factory=dict)

    def begin(
        self, recipes: Sequence[Recipe], task, seeds: Sequence[int], bounds: Sequence[tuple], updates: int, device: str
    ) -> None:
        """Make room for runs of so many updates; `bounds` has (naive, floor, naive on validation) of each run."""
        if len(self):
            raise BadArgument("record= needs an empty Runs(); this one has been filled before.")
        self.recipes, self.setting, self.unit, self.device = tuple(recipes), task.name, task.unit, device
        self.seeds = np.array(seeds, dtype=int)
        self.evaluations = evaluation_points(updates)
        self.naive, self.floor, self.valid_naive = np.array(bounds).T
        self.diverged_at, self.rescued_at = np.zeros((2, len(recipes)), dtype=int)
        self.best_at = np.full(len(recipes), updates)
        self.spread, self.from_last = np.full((2, len(recipes)), np.nan)
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
        """Updates of the whole budget."""
        return self.train_loss.shape[1] if len(self) else 0

    @property
    def test_score(self) -> np.ndarray:
        """Test score averaged over the last evaluations, (R,); with early stopping that of the best one alone."""
        return self.test_scores.mean(1)

    @property
    def tuning_score(self) -> np.ndarray:
        """Validation score of the last evaluations, or with early stopping of the best one, (R,)."""
        found = self.valid_score[:, -3:].mean(1)
        rows = np.flatnonzero([recipe.early_stopping is not None for recipe in self.recipes])
        found[rows] = self.valid_score[rows, np.searchsorted(self.evaluations, self.best_at[rows])]
        return found

    @property
    def latest_score(self) -> np.ndarray:
        """Test score of a finished run, the newest validation score of any other, (R,)."""
        seen = int(np.searchsorted(self.evaluations, self.reached, side="right"))
        return self.test_score if self.reached == self.updates else self.valid_score[:, max(seen - 1, 0)]

    @property
    def outcome(self) -> list[Outcome]:
        """How each run ended, or that it is still training."""
        if self.stopped:
            rest = Outcome.STOPPED
        else:
            rest = Outcome.FINISHED if self.reached == self.updates else Outcome.RUNNING
        return [Outcome.DIVERGED if at else rest for at in self.diverged_at]

    def message(self, run: int) -> str:
        """One run's outcome in words."""
        ended = self.outcome[run]
        more = [" " + self.only([run]).diagnosis.findings[0].do] if ended is Outcome.DIVERGED else []
        return "".join([ended.value.format(at=int(self.diverged_at[run] or self.reached)), *more])

    @property
    def diagnosis(self) -> Diagnosis:
        """What went wrong, as far as these runs came, and what is worth a try."""
        return self.diagnosed()

    def diagnosed(self, tried: Sequence[Recipe] = (), tuned: Sequence[str] = ()) -> Diagnosis:
        """`diagnosis`, which advises nothing that other recipes tried in vain, nor to tune what was tuned."""
        log = {"train_loss": self.train_loss[:, : self.reached], "diverged_at": self.diverged_at}
        if self.reached == self.updates:
            log |= {"valid_loss": self.valid_score, "at": self.evaluations, "score": self.test_score}
            log |= {name: getattr(self, name) for name in ("naive", "floor", "spread", "from_last")}
        return diagnose([vars(one) for one in tried], recipe=vars(self.recipes[0]) | {"tuned": tuned}, **log)

    @property
    def scores(self) -> Scores:
        """The newest score of each run with its naive error and its floor, for a verdict."""
        return Scores(self.latest_score, self.naive, self.floor)

    def only(self, rows: Sequence[int]) -> "Runs":
        """A record of some of the runs."""
        # first, since another thread may be filling this record: what is read later is at least as new
        rest = {f.name: getattr(self, f.name) for f in fields(Runs)}
        picked = {name: getattr(self, name)[rows] for name in ROWS if len(getattr(self, name))}
        state = {name: value[rows] for name, value in self.optimizer_state.items()}
        recipes = tuple(self.recipes[r] for r in rows)
        return Runs(**rest | picked | {"recipes": recipes, "optimizer_state": state})

    def __len__(self) -> int:
        return len(self.seeds)

    def __repr__(self) -> str:
        ended = [o.name for o in self.outcome]
        return (
            f"Runs({len(self)} on {self.setting}: "
            + ", ".join(f"{ended.count(n)} {n}" for n in sorted(set(ended)))
            + ")"
        )


def length_in_words(*sides: Runs) -> str:
    """How many updates these arms did, in words; with their budget, if that is not in updates."""
    asked = sides[0].recipes[0].budget
    words = " and ".join(dict.fromkeys(str(side.reached) for side in sides)) + " updates"
    on = " on this engine" if asked and asked.of == "seconds" else ""
    return f"{words} ({asked}{on})" if asked and all(side.recipes[0].budget == asked for side in sides) else words


def to_target(runs: Runs, reach: float = 0.5) -> np.ndarray:
    """Updates until the validation error first came this share of the way from naive to the floor, (R,).

    Negative where it never did: −300 says "not within 300". A run that diverges later still counts as having reached
    it. The result is as exact as the evaluations are dense, a factor of about 1.3.
    """
    target = runs.valid_naive - reach * way(runs.valid_naive, runs.floor)
    with np.errstate(invalid="ignore"):
        there = runs.valid_score <= target[:, None]
    first = np.where(there.any(1), there.argmax(1), len(runs.evaluations) - 1)
    return np.where(there.any(1), 1, -1) * np.maximum(runs.evaluations[first], 1)


def tokens_to(runs: Runs, reach: float = 0.5) -> np.ndarray:
    """Like `to_target`, in time steps read by all windows of the mini-batches, (R,); of chunks only the new steps."""
    updates, total = to_target(runs, reach), runs.updates_before + runs.updates
    new = [recipe.new or recipe.steps for recipe in runs.recipes]
    read = [window_lengths(recipe.grow, n, total)[runs.updates_before :]
            for recipe, n in zip(runs.recipes, new, strict=True)]  # fmt: skip
    steps = [sum(some[: abs(n)]) for some, n in zip(read, updates, strict=True)]
    return np.sign(updates) * np.array([recipe.windows_per_update for recipe in runs.recipes]) * steps


def joined(parts: Sequence[Runs]) -> Runs:
    """One record of several records of one shape, in their order. It has the weights once all parts have theirs."""
    if len(parts) == 1:
        return parts[0]
    columns = {name: [getattr(part, name) for part in parts] for name in ROWS}
    rows = {name: _stacked(each) if all(map(len, each)) else _nothing() for name, each in columns.items()}
    states = [part.optimizer_state for part in parts]
    names = states[0] if all(states) else ()
    return replace(
        parts[0],
        **rows,
        optimizer_state={name: np.concatenate([state[name] for state in states]) for name in names},
        recipes=tuple(recipe for part in parts for recipe in part.recipes),
        reached=min(part.reached for part in parts),
        stopped=any(part.stopped for part in parts),
        seconds=sum(part.seconds for part in parts),
    )


def _stacked(parts: Sequence[np.ndarray]) -> np.ndarray:
    """Rows under each other, with the columns that all of them have."""
    if parts[0].ndim == 1:
        return np.concatenate(parts)
    columns = min(part.shape[1] for part in parts)
    return np.concatenate([part[:, :columns] for part in parts])


def check_seeds(seeds: Sequence[int]) -> list[int]:
    """Seeds as a list of different whole numbers of at least 0.

    Raises:
        BadArgument: None given, repeated, negative or not whole.
    """
    if not (listed := members(seeds)):
        raise BadArgument(f"seeds={shown(seeds)}: a list of at least one is needed, for example seeds=range(10).")
    seeds = [need_whole("a seed", seed, 0, 2**63 - 1) for seed in listed]
    twice, times = Counter(seeds).most_common(1)[0]
    if times > 1:
        raise BadArgument(f"seed {twice} appears {times} times; a repeated run is no new evidence.")
    return seeds


def evaluation_points(updates: int) -> np.ndarray:
    """Updates after which to evaluate: 0, up to 24 in geometric progression, and `last_points`."""
    ladder = np.geomspace(1, updates, EVALUATIONS).round()
    return np.unique(np.concatenate([[0], ladder, last_points(updates)]).astype(int))


def last_points(updates: int) -> list[int]:
    """The three updates after which the test part is scored; for a very short budget some are equal."""
    return [max(1, round(share * updates)) for share in LAST]
