"""`read`: what the log of one training shows, whoever trained; and the CSV logs of Lightning and Keras."""

import csv
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from rnntips.diagnosis import CONSTANT, compared, diagnose
from rnntips.diagnosis import REPEATS as NEAR
from rnntips.doctor.report import Report, Seen, report
from rnntips.errors import BadArgument, BadData, shown

__all__ = ["COLUMNS", "read", "read_file"]

COLUMNS = {  # name in `read` → titles of columns in logs, the first that is there is taken
    "train_loss": ("train_loss", "train_loss_step", "train_loss_epoch", "train/loss", "training_loss", "loss"),
    "valid_loss": ("valid_loss", "val_loss", "val_loss_epoch", "val/loss", "valid/loss", "validation_loss"),
    "gradient_norm": ("gradient_norm", "grad_norm", "grad_2.0_norm_total", "train/grad_norm"),
}
AROUND, SPIKE, FEWEST = 10, 10.0, 20  # losses before and after; times their median; losses needed
ENDS, CURVE = 0.1, 6  # share of a log that is its beginning, or end; evaluations needed
ONE_CLASS = 0.95  # share of targets; above it a network that always names one class may be right
NO_NUMBERS = TypeError, ValueError, OverflowError, RuntimeError  # that converting something to numbers raises
BYTES = 50_000_000


def read(
    train_loss=None, valid_loss=None, gradient_norm=None, naive=None, predictions=None, targets=None
) -> Report:  # fmt: skip
    """Say what the log of one training shows; of what is not given nothing is said.

    Args:
        train_loss, gradient_norm: At every update (or every epoch), (U,).
        valid_loss: At evaluations evenly spread over the training, (E,).
        naive: The error of the obvious forecast, in the unit of `valid_loss`.
        predictions, targets: Of one part of the data after training, (n,) or (n, K), in the order of time if they are
            forecasts of the next value; or answers for each class (n, K) and numbers of classes (n,).

    Raises:
        BadArgument: Nothing is given, something is not numbers, or predictions and targets do not match.
    """
    log = {name: _curve(name, values) for name, values in
           (("train_loss", train_loss), ("valid_loss", valid_loss), ("gradient_norm", gradient_norm))
           if values is not None}  # fmt: skip
    if naive is not None:
        log["naive"] = _number("naive", naive)
    if (predictions is None) != (targets is None):
        raise BadArgument("predictions and targets: give both, or neither.")
    seen: dict[str, Seen | str] = {}
    if predictions is not None:
        seen |= _answers(_table("predictions", predictions), _table("targets", targets))
    if not log and not seen:
        raise BadArgument("Nothing to read. Give train_loss, valid_loss, gradient_norm, or predictions and targets.")
    found = {one.code: one for one in diagnose(**log).findings}
    for code, reason in _reasons(log).items():
        if code not in seen:
            one = found.get(code)
            seen[code] = reason or Seen(float(one is not None), one.measured if one else "")
    seen["still-falling"] = _still_falling(log)
    losses = log.get("train_loss")
    enough = losses is not None and np.isfinite(losses).sum() >= FEWEST
    few = f"fewer than {FEWEST} training losses"
    seen["spikes"], seen["flat"] = (_spikes(losses), _flat(losses)) if enough else (few, few)
    return report(seen)


def _reasons(log: Mapping) -> dict[str, str]:
    """Code → why `diagnose` cannot say anything of it; "" if it can."""
    losses, valid = log.get("train_loss"), log.get("valid_loss")
    both = losses is not None and valid is not None and len(valid) >= CURVE
    return {
        "diverged": "" if log.keys() - {"naive"} else "no losses",
        "overfits": "" if both else f"training losses and at least {CURVE} validation losses are needed",
        "worse-than-naive": "" if valid is not None and "naive" in log else "validation losses and naive are needed",
        "constant-answers": "no predictions",
        "repeats-last-value": "no predictions of numbers",
    }


def _answers(predictions: np.ndarray, targets: np.ndarray) -> dict[str, Seen | str]:
    """What predictions tell beside targets: of numbers, or of classes."""
    few = f"fewer than {FEWEST} answers"
    if len(targets) < FEWEST:
        return {"constant-answers": few, "repeats-last-value": few}
    if predictions.ndim == targets.ndim + 1 == 3:  # an answer at every step, with one number a class
        predictions, targets = predictions.reshape(-1, predictions.shape[2]), targets.ravel()
    if predictions.ndim == 2 and targets.ndim == 1 and predictions.shape[1] > 1:
        truth = targets.astype(int) - int(targets.min())
        most, usual = (max(np.bincount(some)) / len(some) for some in (predictions.argmax(1), truth))
        words = f"{100 * most:.0f} % of the answers name the same class, which {100 * usual:.0f} % of the targets do"
        return {"constant-answers": Seen(float(most > 0.99 and usual < ONE_CLASS), words)}
    if predictions.size != targets.size:
        raise BadArgument(f"predictions {predictions.shape} and targets {targets.shape} are not equally many.")
    predictions, targets = (values.reshape(len(targets), -1) for values in (predictions, targets))
    if not np.isfinite(predictions).all():
        return dict.fromkeys(("constant-answers", "repeats-last-value"), "not all answers are finite")
    answers, truth, last = predictions[None, 1:], targets[None, 1:], targets[None, :-1]
    naive = np.sqrt(np.mean((truth - last) ** 2, axis=(1, 2)))
    spread, away = compared(answers, truth, last, naive)[:, 0]
    error = float(np.sqrt(np.mean((answers - truth) ** 2)) / naive[0]) if naive[0] else 0.0
    repeats = away < NEAR or (away < 5 * NEAR and error > 1 - NEAR / 2)
    said = f"{away:.2g} times the naive error away from the last value, and {error:.2g} times from the targets"
    return {
        "constant-answers": Seen(float(spread < CONSTANT), f"the answers spread {spread:.2g} times as far as targets"),
        "repeats-last-value": Seen(float(repeats), f"the answers are {said}"),
    }


def _still_falling(log: Mapping) -> Seen | str:
    """How much lower the last tenth is than the tenth around four fifths; of validation if that is known."""
    name = next((name for name in ("valid_loss", "train_loss") if len(log.get(name, ())) >= 2 * CURVE), None)
    if name is None or not np.isfinite(log[name]).all():
        return f"fewer than {2 * CURVE} losses" if name is None else "not all losses are finite"
    curve, tenth = log[name], max(2, len(log[name]) // 10)
    middle, unit = int(0.8 * len(curve)), np.abs(curve[:3]).max()
    unit = log["naive"] if name == "valid_loss" and "naive" in log else unit
    fell = np.median(curve[middle - tenth // 2 - 1 : middle + tenth // 2 + 1]) - np.median(curve[-tenth:])
    return Seen(fell / max(unit, np.abs(curve[-1]), 1e-12), f"in the last fifth the error still fell by {fell:.3g}")


def _spikes(losses: np.ndarray) -> Seen:
    """Losses far above the median of those around them, in a thousand."""
    losses = losses[np.isfinite(losses)]
    padded = np.pad(losses, AROUND, mode="edge")
    around = np.median(np.lib.stride_tricks.sliding_window_view(padded, 2 * AROUND + 1), axis=1)
    high = losses > np.maximum(SPIKE * np.abs(around), ENDS * np.abs(losses[:3]).max())  # not of almost nothing
    count = int(high[AROUND:].sum())  # it may start high
    return Seen(1000 * count / len(losses), f"{count} of {len(losses):,} losses are more than {SPIKE:.0f} times as "
                "large as those around them")  # fmt: skip


def _flat(losses: np.ndarray) -> Seen:
    losses = losses[np.isfinite(losses)]
    size = max(3, int(ENDS * len(losses)))
    start, end = np.median(losses[:3]), np.median(losses[-size:])
    start = max(start, np.median(losses[:size]))
    share = 1 - (start - end) / max(abs(start), 1e-12)
    return Seen(share, f"the training loss went from {start:.4g} to {end:.4g}")


def _curve(name: str, values) -> np.ndarray:
    found = _table(name, values)
    if found.ndim != 1:
        raise BadArgument(f"{name} has shape {found.shape}. One number an update or evaluation is needed, of one run.")
    return found


def _table(name: str, values) -> np.ndarray:
    try:
        if isinstance(values, list | tuple):  # losses that were kept without .item()
            values = [value.detach().cpu() if hasattr(value, "detach") else value for value in values]
        elif hasattr(values, "detach"):
            values = values.detach().cpu()
        found = np.asarray(values, dtype=float)
    except NO_NUMBERS:
        raise BadArgument(f"{name}: numbers are needed, and {type(values).__name__} came.") from None
    if not found.size or not found.ndim:
        raise BadArgument(f"{name} is empty or a single number. A list or array of numbers is needed.")
    return found


def _number(name: str, value) -> float:
    try:
        found = float(value)
    except NO_NUMBERS:
        found = math.nan
    if not (math.isfinite(found) and found > 0):
        raise BadArgument(f"{name}={shown(value)}: a positive number is needed.")
    return found


def read_file(path: str | Path, naive: float | None = None, **columns: str) -> Report:
    """Read a training's CSV log, as Lightning's CSVLogger and Keras's write it.

    Empty cells are skipped, since Lightning writes training and validation into rows of their own; "nan" and "inf" are
    losses.

    Args:
        naive: As for `read`.
        columns: Name in `read` → title of its column, where the title is not one of `COLUMNS`.

    Raises:
        BadData: The file cannot be read, or has no column of losses.
    """
    titles, rows = _rows(path)
    for name, title in columns.items():
        if name not in COLUMNS or title not in titles:
            raise BadArgument(f"{name}={title}: write one of {', '.join(COLUMNS)} and a column, which are: "
                              f"{', '.join(titles)}.")  # fmt: skip
    taken = {name: columns.get(name) or next((title for title in known if title in titles), None)
             for name, known in COLUMNS.items()}  # fmt: skip
    log = {name: _column(rows, title) for name, title in taken.items() if title}
    log = {name: values for name, values in log.items() if values}
    if not log:
        raise BadData(f"{path} has no column of losses that is known. Its columns: {', '.join(titles)}. "
                      "Name one: train_loss=COLUMN.")  # fmt: skip
    return read(naive=naive, **log)


def _rows(path: str | Path) -> tuple[list[str], list[dict[str, str]]]:
    try:
        if Path(path).stat().st_size > BYTES:
            raise BadData(f"{path} has more than {BYTES // 1_000_000} MB; a log of losses is smaller.")
        with open(path, newline="", encoding="utf-8-sig") as file:
            sample = file.read(4096)
            file.seek(0)
            separator = max(",;\t", key=sample.partition("\n")[0].count)
            found = csv.DictReader(file, delimiter=separator, skipinitialspace=True)
            rows = list(found)
            return [title for title in found.fieldnames or () if title], rows
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise BadData(f"{path} cannot be read as a CSV log: {error}.") from None


def _column(rows: Sequence[Mapping[str, str]], title: str) -> list[float]:
    found = []
    for number, row in enumerate(rows, 2):
        text = (row.get(title) or "").strip()
        try:
            found += [float(text)] if text else []
        except ValueError:
            raise BadData(f"Line {number}, column {title}: {text[:30]!r} is not a number.") from None
    return found
