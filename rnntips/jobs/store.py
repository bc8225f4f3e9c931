"""`Store`: finished runs on disk, one file each, named by a hash of all that determines the run.

A run is a pure function of its recipe, task and seed, so a run that is found need not be trained. Several processes and
machines share a folder without locks, since what two of them write under one name is the same. A file is an npz,
followed by the SHA-256 of its bytes.
"""

import json
import os
import time
from contextlib import suppress
from dataclasses import dataclass, fields
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from uuid import uuid4
from warnings import warn

import numpy as np

from rnntips.engine.calibration import speeds
from rnntips.errors import BadArgument, need, shown
from rnntips.recipe import Recipe, worded
from rnntips.runs import ROWS, Runs
from rnntips.training import ENGINE

__all__ = ["Store", "folder"]

SCHEMA = 3  # raised by hand when the files are laid out differently
CHECKSUM = 32  # bytes
ABANDONED = 3600  # seconds after which a half-written file is deleted


@dataclass(frozen=True)
class Store:
    """A folder of finished runs; made if it does not exist.

    Raises:
        BadArgument: It can neither be found nor made.
    """

    folder: Path

    def __post_init__(self):
        object.__setattr__(self, "folder", folder("store", self.folder))
        with suppress(OSError):  # of others that clean up as well
            for part in self.folder.glob("*.part"):
                if time.time() - part.stat().st_mtime > ABANDONED:
                    part.unlink()

    def read(self, recipe: Recipe, task, seed: int, device: str) -> Runs | None:
        """A stored run, bit for bit as it was trained, or None. A file that cannot be read is moved aside."""
        name = key(recipe, task, seed, device)
        path = self.folder / f"{name}.npz"
        try:
            if path.exists() and not path.is_file():  # reading a pipe would wait for ever
                raise ValueError("It is no file.")
            return _decoded(path.read_bytes(), name, recipe)
        except FileNotFoundError:
            return None
        except Exception as error:  # NumPy and JSON raise many kinds for a damaged file
            self._move_aside(path, str(error))
            return None

    def write(self, runs: Runs, task) -> None:
        """Store finished runs. A file is written completely or not at all, even if the process is killed."""
        if runs.reached < runs.updates:
            return
        for row, (recipe, seed) in enumerate(zip(runs.recipes, runs.seeds.tolist(), strict=True)):
            name = key(recipe, task, seed, runs.device)
            part = self.folder / f"{uuid4().hex}.part"
            try:
                with part.open("xb") as file:
                    file.write(_encoded(runs, row, name))
                    file.flush()
                    os.fsync(file.fileno())
                os.replace(part, self.folder / f"{name}.npz")
            except OSError as error:
                with suppress(OSError):
                    part.unlink()
                warn(f"Runs are not kept in {self.folder}: {error.strerror}. Make room there, or name another store.",
                     RuntimeWarning, stacklevel=2)  # fmt: skip
                return

    def _move_aside(self, path: Path, reason: str) -> None:
        aside = self.folder / "aside" / f"{path.name}.{time.time_ns()}"
        with suppress(OSError):  # another process was faster, or nothing can be written here
            aside.parent.mkdir(exist_ok=True)
            os.replace(path, aside)
            aside.with_name(aside.name + ".txt").write_text(reason + "\n", encoding="utf-8")
        warn(f"{path.name} was moved to {aside.parent} and its run is trained again: {reason}",
             RuntimeWarning, stacklevel=3)  # fmt: skip


def folder(name: str, path: str | Path) -> Path:
    """A folder's absolute path, since workers run in other folders; it is made if it does not exist.

    Raises:
        BadArgument: `path`, which the caller knows as `name`, can neither be found nor made.
    """
    need(name, path, str | Path, "a folder")
    try:
        found = Path(path).expanduser().resolve()
        found.mkdir(parents=True, exist_ok=True)
    except (OSError, RuntimeError, ValueError) as error:  # no right, a file of that name, no such user, no such name
        why = getattr(error, "strerror", None) or error
        raise BadArgument(
            f"{name}={shown(str(path))} is no folder, and cannot be made ({why}). Name another."
        ) from None
    return found


def key(recipe: Recipe, task, seed: int, device: str) -> str:
    """The name of a run: a hash of its recipe, its task's `meaning`, its seed, the device, and `ENGINE`."""
    chosen = {name: worded(value) for name, value in recipe.chosen().items()}  # so that a new field changes no name
    whole = [ENGINE, device, chosen, task.meaning(recipe, seed), seed]
    if recipe.budget is not None and recipe.budget.of == "seconds":
        whole.append(speeds())  # these determine the number of updates
    return sha256(json.dumps(whole, sort_keys=True, default=lambda value: value.item()).encode()).hexdigest()


def _encoded(runs: Runs, row: int, name: str) -> bytes:
    run = runs.only([row])
    run.seconds /= len(runs)
    arrays = {field: getattr(run, field) for field in (*ROWS, "evaluations")}
    states = {f"state_{part}": value for part, value in run.optimizer_state.items()}
    apart = {*arrays, "recipes", "optimizer_state"}
    about = {
        "schema": SCHEMA, "key": name, "engine": ENGINE, "recipe": repr(run.recipes[0]),
        "run": {field.name: getattr(run, field.name) for field in fields(Runs) if field.name not in apart},
    }  # fmt: skip
    buffer = BytesIO()
    np.savez(buffer, about=np.array(json.dumps(about, default=lambda value: value.item())), **arrays, **states)
    return buffer.getvalue() + sha256(buffer.getvalue()).digest()


def _decoded(raw: bytes, name: str, recipe: Recipe) -> Runs:
    body, checksum = raw[:-CHECKSUM], raw[-CHECKSUM:]
    if sha256(body).digest() != checksum:
        raise ValueError("Its checksum is wrong: it is damaged, or no run.")
    with np.load(BytesIO(body), allow_pickle=False) as file:
        arrays = dict(file)
    about = json.loads(str(arrays.pop("about")))
    for what, needed in {"schema": SCHEMA, "key": name}.items():
        if about[what] != needed:
            raise ValueError(f"Its {what} is {about[what]}, and {needed} is needed.")
    state = {part.removeprefix("state_"): arrays.pop(part) for part in [*arrays] if part.startswith("state_")}
    return Runs(recipes=(recipe,), optimizer_state=state, **arrays, **about["run"])
