"""Train recurrent networks, many at once, and test the common advice about training them.

    Series ─ cut ─> windows ─┐
                             ├─ train ─> Runs ─ compare ─> Study ─> verdict, figure, panel
    Recipe ──> Network ──────┘

Letters, the same everywhere: R runs, B windows in a mini-batch, T time steps, C input channels, H width of a layer,
G gates of a cell, K outputs. Arrays of inputs are (R, B, T, C); for a single run R is 1.

Words: a *seed* is a random seed; a *run* is one network trained once (one recipe, one task, one seed); a *setting* is
a task with a name; *baseline* and *variant* are the two arms of a comparison; a *step* is a time step, an *update* one
change of the weights; *naive* is the error of the obvious forecast, *floor* that of the best possible one. A *recipe*
has every choice of a run; a *study* is one comparison, with its verdict.

Rooms: `tables` reads other people's tables; `tasks` is what is to be learned; `engine` the computation of `cells` and
`models` once more, fast; `jobs` trains runs on executors and keeps them. These and the files beside this one know
nothing of the others: `doctor` looks at series, models, loops and logs; `notebook` is panels, the lab book, exercises
and stored records; `lessons` has a folder for each lesson, whose prose is the notebook of its name; `cli` is the
command `rnntips`.
"""

from importlib import import_module

from rnntips import errors, series, tasks
from rnntips.recipe import Budget, Parameters, Recipe, epochs, parameters, seconds, tokens, updates
from rnntips.runs import Outcome, Runs
from rnntips.study import Study, Sweep, compare, sweep
from rnntips.training import train

__version__ = "0.1.0"
__all__ = ["Budget", "Outcome", "Parameters", "Recipe", "Runs", "Study", "Sweep", "compare", "epochs", "errors", "look",
           "parameters", "seconds", "series", "sweep", "tasks", "tips", "tokens", "train", "updates"]  # fmt: skip

# Imported on first use, since some need matplotlib or ipywidgets: name → module, and attribute or None.
_LAZY = {
    "doctor": ("rnntips.doctor", None),
    "exercises": ("rnntips.notebook.exercise", "exercises"),
    "figures": ("rnntips.figures", None),
    "kernels": ("rnntips.engine", None),  # the old name, kept for one release
    "look": ("rnntips.doctor.look", "look"),
    "labbook": ("rnntips.notebook.labbook", None),
    "panels": ("rnntips.notebook.panels", None),
    "tips": ("rnntips.notebook.tips", "tips"),
}


def __getattr__(name: str):
    if name not in _LAZY:
        raise AttributeError(f"module 'rnntips' has no attribute {name!r}")
    module, what = _LAZY[name]
    return getattr(import_module(module), what) if what else import_module(module)
