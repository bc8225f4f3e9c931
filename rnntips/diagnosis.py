"""What went wrong in training, in words: rules on the log of R runs, whoever trained them.

A run that diverged is judged by nothing else. What one noisy curve can show by chance, half of all runs must.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from rnntips.verdict import TRAINED, progress

__all__ = ["Diagnosis", "Symptom", "compared", "diagnose"]

CONSTANT = 0.05  # share of the truth's spread: answers that spread less explain under 1 % of its variance
REPEATS = 0.1  # share of naive: answers nearer to the last value err at least nine tenths of naive
FALLS = 0.05  # less error at the end than halfway: the smallest difference that matters
LEAST = 0.01  # share of naive: a smaller difference is none
RISES = 0.1  # more error at the end than at its lowest, which as the least of many is low by chance
LOW, USUAL = 1e-4, 0.01  # a learning rate below which too small is likelier than too large, and one to begin with
FAR = 2.0  # times naive: who answers worse than that was thrown off, and is not merely slow
NOTHING = ("No forecast is known that clearly beats naive here: a linear one does not either. "
           "Worth a try: another horizon, or more inputs.")  # fmt: skip

ONCE = ("diverged_at", "naive", "floor", "score", "spread", "from_last")  # a number each run

Try = tuple[str, dict[str, Any]]  # what to do, and the fields of a recipe that do it
Seen = tuple[np.ndarray, str, list[Try]]  # which runs, (R,), what they did, and what may help


@dataclass(frozen=True)
class Symptom:
    """One thing that went wrong, in which runs, and what may help."""

    code: str
    runs: tuple[int, ...]  # rows of the log
    measured: str
    do: str  # a sentence, or nothing
    side: str = ""  # of a comparison: "with “no clipping”, "

    def __str__(self) -> str:
        said = self.side + self.measured
        return f"{said[0].upper()}{said[1:]}."


@dataclass(frozen=True, repr=False)
class Diagnosis:
    """What a log shows, the gravest first."""

    findings: tuple[Symptom, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether nothing was found."""
        return not self.findings

    def __repr__(self) -> str:
        return "\n".join(f"{one} {one.do}".strip() for one in self.findings) or "The log shows nothing that went wrong."


class Log(NamedTuple):
    """What `diagnose` was given, R runs on the first axis. What was not given is NaN, a curve without columns."""

    recipe: Mapping[str, Any]
    diverged_at: np.ndarray
    train_loss: np.ndarray
    valid_loss: np.ndarray
    at: np.ndarray
    naive: np.ndarray
    floor: np.ndarray
    score: np.ndarray
    spread: np.ndarray
    from_last: np.ndarray

    @property
    def alive(self) -> np.ndarray:
        """Which runs did not diverge, (R,)."""
        return self.diverged_at == 0

    def share(self, rows: np.ndarray) -> float:
        """The typical error of these runs as a share of naive; NaN if it is not known."""
        return float(np.median(self.score[rows] / self.naive[rows])) if rows.any() else np.nan

    def error(self, rows: np.ndarray) -> str:
        """`share` in words, or nothing."""
        share = self.share(rows)
        return "" if np.isnan(share) else f" (error {share:,.{2 if share < 100 else 0}f} times naive)"

    def most(self, rows: np.ndarray) -> np.ndarray:
        """Those of these runs that did not diverge, if they are half of all, else none."""
        rows = rows & self.alive
        return rows & (2 * rows.sum() >= len(rows))


def diagnose(tried: Sequence[Mapping[str, Any]] = (), **given: Any) -> Diagnosis:
    """What the log of R runs shows; of what is not given, or None, nothing is said. R = 1 needs no first axis.

    Args:
        tried: Fields of other recipes that did not help; they are not advised.
        given: `train_loss` and `gradient_norm` at every update, (R, U); `valid_loss` at E evaluations, (R, E), and
            `at`, the updates done by then, (E,), else they are evenly spaced; `naive` and `floor` in its unit;
            `score`, the final error, else the last of `valid_loss`; `spread` and `from_last`, see `compared`;
            `diverged_at`, the update of the first loss that is not finite, 0 if there is none, else the losses tell;
            each (R,). `recipe`: the fields of these runs, so that nothing is advised that they have.
    """
    log, found = _log({name: value for name, value in given.items() if value is not None and np.size(value)}), []
    near = (1 - LEAST) * log.naive
    hopeless = log.alive & (log.floor > near) & (log.score > near)
    for code, rule in RULES.items():
        rows, words, tries = rule(log)
        if rows.any():
            done = [one.items() for one in (log.recipe, *tried)]
            useful = [what + _written(fields, log.recipe) for what, fields in tries
                      if not fields or not any(fields.items() <= one for one in done)]  # fmt: skip
            do = f"Worth a try: {'; or '.join(useful[:2])}." if useful else ""
            who = "the run" if len(rows) == 1 else f"{rows.sum()} of {len(rows)} runs"
            found.append(Symptom(code, tuple(np.flatnonzero(rows).tolist()), f"{who} {words}",
                                 NOTHING if (rows & hopeless).any() else do))  # fmt: skip
    return Diagnosis(tuple(found))


def _written(fields: Mapping[str, Any], recipe: Mapping[str, Any]) -> str:
    """The fields that a recipe does not have yet, as one writes them: ` (init="radius:1")`."""
    new = [f"{name}={value!r}" for name, value in fields.items() if recipe and recipe.get(name, ...) != value]
    return f" ({', '.join(new)})".replace("'", '"') if new else ""


def _log(given: dict[str, Any]) -> Log:
    several = [np.atleast_2d(np.asarray(given.get(name, np.empty((0, 0))), dtype=float))
               for name in ("train_loss", "gradient_norm", "valid_loss")]  # fmt: skip
    n = max([len(curve) for curve in several] + [np.size(given.get(name, ())) for name in ONCE])
    losses, norms, valid = (curve if curve.size else np.empty((n, 0)) for curve in several)
    once = {name: np.broadcast_to(np.asarray(given.get(name, np.nan), dtype=float), n) for name in ONCE}
    updates = losses if losses.size else norms
    if valid.size and "score" not in given:
        once["score"] = valid[:, -1]
    if "diverged_at" not in given:
        ending = np.cumprod(~np.isfinite(updates[:, ::-1]), axis=1).sum(1)  # a loss may recover, but not at the end
        once["diverged_at"] = np.where(ending, updates.shape[1] - ending + 1, 0)
    even = np.linspace(0, updates.shape[1] or valid.shape[1], valid.shape[1] + 1)[1:]
    curves = {"train_loss": losses, "valid_loss": valid, "at": np.asarray(given.get("at", even))}
    return Log(given.get("recipe", {}), **curves, **once)


def compared(answers: np.ndarray, truth: np.ndarray, last: np.ndarray | None, naive: np.ndarray) -> np.ndarray:
    """How far each run's answers spread, and how far they are from the last value that was seen, (2, R).

    Args:
        answers, truth, last: (R, n, K) in one unit; `last` is None, and its distance NaN, where no such value is seen.
        naive: (R,). The spread is a share of the truth's, the distance, a root mean square, one of naive.
    """
    with np.errstate(all="ignore"):  # a run may have diverged
        away = np.nan if last is None else np.sqrt(np.mean((answers - last) ** 2, axis=(1, 2))) / naive
        return np.stack(np.broadcast_arrays(answers.std(1).mean(1) / truth.std(1).mean(1), away))


def _diverged(log: Log) -> Seen:
    """At update 1 no weight has changed yet, so neither clipping nor a lower learning rate can help."""
    first, recipe, tries = int(min(log.diverged_at[~log.alive], default=0)), log.recipe, []
    kind, _, radius = str(recipe.get("init", "")).partition(":")
    if kind == "radius" and float(radius) > 1:
        tries.append(("begin with smaller weights", {"init": "radius:1"}))
    if first == 1:
        tries += [("scale the inputs", {"input_scaling": "standard"}), ("look for extreme values in the data", {})]
    else:
        held = recipe.get("clip") == "global" and (recipe.get("clip_norm") or 2) <= 1
        tries += [] if held else [("clip the gradient at a norm of 1", {"clip": "global", "clip_norm": 1})]
        tries += _lower(recipe)
    return ~log.alive, f"diverged: the loss became infinite or NaN, first at update {first}", tries


def _lower(recipe: Mapping[str, Any]) -> list[Try]:
    lr = recipe.get("lr", USUAL)
    lower = {"lr": min(float(f"{lr / 10:.2g}"), USUAL)} if "lr" in recipe else {}
    return [("lower the learning rate", lower)] if lr > LOW else []


def _constant(log: Log) -> Seen:
    rows = log.alive & (log.spread < CONSTANT)
    return rows, f"answered nearly always the same{log.error(rows)}", _learn(log, rows)


def _repeats(log: Log) -> Seen:
    rows = log.alive & (log.from_last < REPEATS)
    change = [("forecast the change", {"target": "change"})] if log.recipe.get("target") == "level" else []
    return rows, f"repeated the last value{log.error(rows)}", change + _learn(log, rows)


def _overfits(log: Log) -> Seen:
    """The validation error, smoothed, rose from its lowest, while the training loss fell."""
    valid, losses, low = log.valid_loss, log.train_loss, 0
    if valid.shape[1] < 6 or not losses.size:
        return ~log.alive & log.alive, "", []
    smooth = np.median(np.lib.stride_tricks.sliding_window_view(valid, 3, axis=1), axis=2)
    lows, size = np.maximum(log.at[smooth.argmin(1) + 1].astype(int), 1), max(1, losses.shape[1] // 20)
    then = np.array([np.median(row[max(0, low - size) : low + size]) for row, low in zip(losses, lows, strict=True)])
    rose = smooth[:, -1] - smooth.min(1) > LEAST * np.nan_to_num(log.naive)
    fell = _fell(then, np.median(losses[:, -size:], 1), FALLS)
    rows = log.most(rose & _fell(smooth[:, -1], smooth.min(1), RISES) & fell)
    low = int(np.median(lows[rows])) if rows.any() else 0
    tries = [("train on all windows", {"train_size": None})] if log.recipe.get("train_size") else []
    tries += [("stop there", {"updates": low} if log.recipe.get("updates") else {})]
    tries += [] if log.recipe.get("dropout") else [("use dropout", {"dropout": 0.2})]
    return rows, f"overfitted: the validation error rose after update {low}, the training loss fell on", tries


def _falls(log: Log) -> Seen:
    """The error, of validation if it is known, is lower at the end than halfway."""
    values, at = log.valid_loss, log.at
    if values.shape[1] < 6:
        values, at = log.train_loss, np.arange(1, log.train_loss.shape[1] + 1)
    if values.shape[1] < 6:
        return ~log.alive & log.alive, "", []
    away = np.abs(at / at[-1] - 0.5)
    halfway, end = (np.median(values[:, part], 1) for part in (away <= max(0.15, away.min()), at >= 0.9 * at[-1]))
    least = LEAST * np.where(np.isnan(log.naive), np.abs(values[:, 0]), log.naive)
    rows = log.most(_fell(halfway, end, FALLS) & (halfway - end > least))
    by = 100 * (1 - np.median(end[rows] / halfway[rows])) if rows.any() else 0
    longer = {"updates": 2 * log.recipe["updates"]} if log.recipe.get("updates") else {}
    return rows, f"still got better: {by:.0f} % less error at the end than halfway", [("train longer", longer)]


def _fell(before: np.ndarray, after: np.ndarray, share: float) -> np.ndarray:
    """Whether an error fell by more than this share of what it fell to."""
    return np.isfinite(before) & (np.where(np.isfinite(before), before, 0) - after > share * np.abs(after))


def _untrained(log: Log) -> Seen:
    """Runs that went less than a fifth of the way from naive to the floor, unless another rule says why."""
    come = progress(log.score, log.naive, np.where(np.isnan(log.floor), log.naive, log.floor))
    rows = log.alive & ~np.isnan(log.score) & (come < TRAINED) & ~_constant(log)[0] & ~_repeats(log)[0]
    tries = [] if (_falls(log)[0] | _overfits(log)[0]).any() else _learn(log, rows)
    return rows, f"ended {'hardly' if log.share(rows) < 1 else 'no'} better than naive{log.error(rows)}", tries


def _learn(log: Log, rows: np.ndarray) -> list[Try]:
    """What may help runs that learned nothing."""
    recipe, tries = log.recipe, []
    if recipe.get("input_scaling") in ("none", "centre"):
        tries.append(("scale the inputs", {"input_scaling": "standard"}))
    if recipe.get("lr", USUAL) < LOW:
        return [("raise the learning rate", {"lr": USUAL}), *tries]
    if log.share(rows) > FAR:
        tries += _lower(recipe)
    return tries if "lr" in recipe.get("tuned", ()) else [*tries, ("other learning rates, by factors of three", {})]


RULES: dict[str, Callable[[Log], Seen]] = {  # code → rule, the gravest first
    "diverged": _diverged,
    "constant-answers": _constant,
    "repeats-last-value": _repeats,
    "overfits": _overfits,
    "still-falling": _falls,
    "worse-than-naive": _untrained,
}
