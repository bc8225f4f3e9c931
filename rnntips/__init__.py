"""Train recurrent networks, many at once, and find out what the folklore is worth.

    Series ─ cut ─> windows ─┐
                             ├─ train ─> Runs ─ compare ─> Study ─> sentence, figure, panel
    Recipe ─> Network ───────┘

Letters, the same everywhere: R runs, B windows in a batch, T time steps, C input channels,
H width of a layer. Arrays of inputs are (R, B, T, C); one run is R = 1 and no special case.

Words: a *seed* is a random seed; a *run* is one network trained once (one recipe, one task, one
seed); *baseline* and *variant* are the two sides of a comparison; a *step* is time, an *update*
is training.
"""

from importlib import import_module

from rnntips import errors, series, tasks
from rnntips.budget import Budget, epochs, seconds, tokens, updates
from rnntips.recipe import Recipe
from rnntips.runs import Outcome, Runs
from rnntips.study import Study, Sweep, compare, sweep
from rnntips.tips import Tips
from rnntips.training import train
from rnntips.weights import Parameters, parameters

__version__ = "0.1.0"
__all__ = ["Budget", "Outcome", "Parameters", "Recipe", "Runs", "Study", "Sweep", "compare", "epochs", "errors",
           "parameters", "seconds", "series", "sweep", "tasks", "tips", "tokens", "train", "updates"]  # fmt: skip

tips = Tips()

_LAZY = ("exercises", "figures", "labbook", "panels")  # some load matplotlib and ipywidgets


def __getattr__(name: str):
    if name in _LAZY:
        return import_module(f"rnntips.{name}")
    raise AttributeError(f"module 'rnntips' has no attribute {name!r}")


# Figures stand below studies in the pipeline, so a study is told here how a notebook shows it.
Study.draw = staticmethod(lambda study: import_module("rnntips.figures").show(study))
