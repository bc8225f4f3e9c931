"""`Recipe`: every choice of a training run, data choices included, flat and frozen."""

from dataclasses import dataclass, fields, replace
from typing import Any

from rnntips.budget import Budget, updates
from rnntips.cells import CELLS, initialiser
from rnntips.errors import BadArgument, need_whole, unknown_name
from rnntips.schedule import RESCUES, lengths, mean_length, planned
from rnntips.weights import Parameters
from rnntips.windows import HEADS, ORDERS, SCALINGS, TARGETS, difference_lags

__all__ = ["Recipe"]

CLIPS = ("global", "tensor", "value", "weights")
OPTIMIZERS = ("adam", "rmsprop", "sgd")
DEFAULT_UPDATES = 300

# Fields whose values may differ between runs that train side by side in one stack.
PER_RUN = frozenset(
    "input_scaling target_scaling target order lr momentum clip_norm weight_decay dropout init horizon "
    "schedule rescue noise noise_between".split()
)


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Every choice of a training run.

    Args:
        cell: `"tanh"`, `"relu"`, `"sigmoid"`, `"gru"` or `"lstm"`.
        layers: Recurrent layers on top of each other.
        width: Units of each layer (H). `rt.parameters(2000)`: as many as give the whole network about so many weights;
            training finds them, once for each task, since they depend on its channels and outputs.
        dense: Units of dense ReLU layers before the recurrent ones, applied at every step; `(64, 32)` are two.
        dense_after: Units of dense ReLU layers between the recurrent ones and the readout.
        past: Steps a window looks back (T). Tasks with a length of their own (digits, adding, recall) do not ask.
        grow: How windows grow in training up to `past`: with `"24:0.5"` they are the last 24 steps of themselves at
            first, then twice as many, until half of the updates; see `rnntips.schedule.lengths`. Evaluations always
            read all of `past`. None: they do not grow.
        horizon: Steps from the window's last value to its target.
        features: `"levels"`, or `"differences:K"`: the last K one-step differences at every step. None: what the
            series asks for, `"differences:1"` if it is trending, else `"levels"`.
        input_scaling, target_scaling: See `rnntips.windows.fit_scaler`.
        target: `"level"` forecasts the value, `"change"` what is added to the window's last value.
            None: `"change"` if the series is trending, else `"level"`.
        head: What the readout gives and is trained by: `"linear+mse"`, values and their squared error, or
            `"softmax+nll"`, classes and their negative log likelihood. None: what the task asks for.
        train_size: So many of the training windows, drawn anew for every seed; fewer are always among more. Scales,
            and the errors that scores are read between, are those of all. None: all.
        batch_size: Windows per update (B).
        order: `"shuffled"` every epoch, `"once"`, by `"time"`, or by `"class"`: shuffled, then class after class.
            `"scrambled"`: sequences shuffled, and the chunks of each in random order too, whatever is carried.
        chunk: Steps that the gradient reaches back (k2), where a task asks for an answer at every step: its windows
            are sequences, read a part at an update. None: whole windows. See `rnntips.lanes.Lanes`.
        stride: New steps that an update reads and counts (k1). None: as many as `chunk`.
        carry: Whether a chunk begins with the state that the one before it left there, or with zeros.
        test_past: Steps that an answer is given from in the validation and test parts, where a task asks for one at
            every step: the last ones, from a zero state. None: all since the sequence began.
        optimizer: `"sgd"`, `"rmsprop"` or `"adam"`, with PyTorch's defaults.
        lr: Learning rate.
        schedule: The learning rate's course over the updates, as a factor of `lr`: `"warmup:30"`, `"cosine"` or
            `"drop:0.1:0.5"`, or several joined by `+`; see `rnntips.schedule.planned`. None: always 1.
        rescue: What is done at the first spike of the training loss, above twice the median of the 50 updates before
            it and after update 20: `"lower"`, lr / 10 for good; `"lower, then raise"`, lr / 100, and over 100 updates
            up to lr / 10; `"restore"`, weights and averages of the last evaluation before, and lr / 2 for good.
        momentum: Momentum of `"sgd"` and `"rmsprop"`.
        nesterov: Whether the momentum of `"sgd"` is Nesterov's.
        clip: What `clip_norm` limits: of the gradient the `"global"` norm, each `"tensor"`'s norm, or each `"value"`;
            or the `"weights"`, biases included: each is cut back to it after the step.
        clip_norm: Largest gradient norm (or value, or weight), None for no clipping.
        weight_decay: Added to the gradient, times the weights (L2, as in `torch.optim`).
        dropout: Share of every layer's outputs silenced while training, anew for each window, not between steps.
        noise: Standard deviation of Gaussian noise on the scaled inputs while training, anew at every step.
        noise_between: The same on every layer's outputs; dropout silences it too.
        init: See `rnntips.cells.initialiser`; biases and readout always start as in PyTorch.
        updates, budget: Length of training; either `updates=300` or `budget=rt.epochs(5)`, `rt.tokens(10**6)`.

    Raises:
        BadArgument: An unknown name, a value out of range, or choices that cannot be combined.
    """

    cell: str = "gru"
    layers: int = 1
    width: int | Parameters = 24
    dense: tuple[int, ...] = ()
    dense_after: tuple[int, ...] = ()
    past: int = 32
    grow: str | None = None
    horizon: int = 1
    features: str | None = None
    input_scaling: str = "standard"
    target_scaling: str = "standard"
    target: str | None = None
    head: str | None = None
    train_size: int | None = None
    batch_size: int = 16
    order: str = "shuffled"
    chunk: int | None = None
    stride: int | None = None
    carry: bool = False
    test_past: int | None = None
    optimizer: str = "adam"
    lr: float = 0.01
    schedule: str | None = None
    rescue: str | None = None
    momentum: float = 0.0
    nesterov: bool = False
    clip: str = "global"
    clip_norm: float | None = None
    weight_decay: float = 0.0
    dropout: float = 0.0
    noise: float = 0.0
    noise_between: float = 0.0
    init: str = "uniform"
    updates: int | None = None
    budget: Budget | None = None

    def __new__(cls, **given: Any) -> "Recipe":
        """Refuse unknown fields in words before Python does."""
        for name in given.keys() - cls.__dataclass_fields__.keys():
            raise unknown_name("field", name, cls.__dataclass_fields__)
        return super().__new__(cls)

    def __post_init__(self):
        self._resolve_budget()
        for name, known in _NAMES.items():
            value = getattr(self, name)
            if not (isinstance(value, str) and value in known) and not (name in _ASKED and value is None):
                raise unknown_name(name, value, known)
        for name in ("layers", "width", "past", "horizon", "batch_size"):
            if not isinstance(getattr(self, name), Parameters) or name != "width":
                need_whole(name, getattr(self, name), 1)
        if self.train_size is not None:
            need_whole("train_size", self.train_size, 1)
            if self.train_size < self.batch_size:
                raise BadArgument(
                    f"batch_size={self.batch_size} is larger than train_size={self.train_size}. An update needs that "
                    "many windows."
                )
        for name in ("dense", "dense_after"):
            widths = getattr(self, name)
            if not isinstance(widths, tuple):
                raise BadArgument(f"{name}={widths!r}: a tuple of widths is needed, for example {name}=(64, 32).")
            for wide in widths:
                need_whole(f"each width in {name}", wide, 1)
        for name, (low, low_included, high) in _RANGES.items():
            _within(name, getattr(self, name), low, low_included, high)
        if self.features is not None:
            difference_lags(self.features)
        initialiser(self.init)
        planned(self.schedule)
        if self.clip != "global" and self.clip_norm is None:
            raise BadArgument(f'clip="{self.clip}" needs a limit: set clip_norm, for example clip_norm=1.')
        if self.momentum and self.optimizer == "adam":
            raise BadArgument(
                'momentum belongs to optimizer="sgd" or "rmsprop"; Adam has its own. Drop one of the two.'
            )

        if not isinstance(self.nesterov, bool):
            raise BadArgument(f"nesterov={self.nesterov!r}: True or False is needed.")
        if self.nesterov and (self.optimizer != "sgd" or not self.momentum):
            raise BadArgument(
                'nesterov=True is a kind of momentum of optimizer="sgd": set both, for example '
                'optimizer="sgd", momentum=0.9.'
            )
        self._check_chunk()
        lengths(self.grow, self.past, 1)

    def _check_chunk(self):
        """Chunks, their distance and what they hand on have a meaning together."""
        for name in ("chunk", "stride", "test_past"):
            if getattr(self, name) is not None:
                need_whole(name, getattr(self, name), 1)
        if not isinstance(self.carry, bool):
            raise BadArgument(f"carry={self.carry!r}: True or False is needed.")
        if self.chunk is not None and self.grow is not None:
            raise BadArgument(f"grow={self.grow!r} is for whole windows, not for chunks of them: drop grow or chunk.")
        for name in ("stride", "carry"):
            if self.chunk is None and getattr(self, name):
                raise BadArgument(
                    f"{name}={getattr(self, name)} says how chunks follow each other, and there are none: set chunk, "
                    "for example chunk=16."
                )
        if self.order == "scrambled" and (self.chunk is None or self.stride not in (None, self.chunk)):
            raise BadArgument(
                'order="scrambled" mixes the chunks of a sequence, each of which is read once: set chunk, for example '
                "chunk=16, and leave stride out."
            )
        if self.stride is not None and self.stride > self.chunk:
            raise BadArgument(
                f"stride={self.stride} is more than chunk={self.chunk}: the gradient would miss steps that count. "
                f"Use stride={self.chunk} or less."
            )

    def _resolve_budget(self):
        """One of `updates` and `budget` says how long; the other is derived where it can be."""
        if self.budget is not None and not isinstance(self.budget, Budget):
            raise BadArgument(
                f"budget={self.budget!r} has no unit. Write rt.updates(300), rt.epochs(5) or rt.tokens(10**6)."
            )
        if self.budget is None or self.budget.of == "updates":
            amount = self.updates if self.budget is None else self.budget.amount
            if self.budget is not None and self.updates not in (None, amount):
                raise BadArgument(f"updates={self.updates} and budget={self.budget} disagree. Give one of them.")
            object.__setattr__(self, "updates", DEFAULT_UPDATES if amount is None else amount)
            object.__setattr__(self, "budget", None)
            need_whole("updates", self.updates, 1)
        elif self.updates is not None:
            raise BadArgument(f"updates={self.updates} and budget={self.budget} both say how long. Give one of them.")

    @property
    def rule(self) -> str:
        """Which of `rnntips.optimizers.RULES` moves the weights."""
        return "nesterov" if self.nesterov else self.optimizer

    def updates_for(self, windows: int, steps: int | None = None, skip: int = 0) -> int:
        """Updates of a run that has so many training windows.

        Args:
            steps: Of a window; `past` if the task has no other length.
            skip: Its first steps that do not count.
        """
        if self.updates:
            return self.updates
        steps, new = steps or self.past, self.stride or self.chunk
        each = -(-steps // new) - skip // new if new else 1
        return self.budget.in_updates(self.batch_size, mean_length(self.grow, steps), windows, each)

    def but(self, **changes: Any) -> "Recipe":
        """This recipe with some fields changed."""
        if "budget" in changes and changes["budget"] is not None:
            changes.setdefault("updates", None)
        elif changes.get("updates") is not None:
            changes.setdefault("budget", None)
        return replace(self, **changes)

    def diff(self, other: "Recipe") -> dict[str, tuple[Any, Any]]:
        """Fields in which two recipes differ: name → (mine, theirs). How long is one field, `updates` or `budget`."""
        pairs = {f.name: (getattr(self, f.name), getattr(other, f.name)) for f in fields(self)}
        if any(pairs["budget"]):
            mine, theirs = pairs.pop("updates")
            pairs["budget"] = (self.budget or updates(mine), other.budget or updates(theirs))
        return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}

    def shape(self) -> tuple:
        """What two recipes must share to train in one stack: all but the `PER_RUN` fields."""
        same = (getattr(self, f.name) for f in fields(self) if f.name not in PER_RUN)
        return (*same, self.dropout > 0, self.noise > 0, self.noise_between > 0, self.order == "scrambled")


_NAMES = {"cell": CELLS, "input_scaling": SCALINGS, "target_scaling": SCALINGS, "target": TARGETS,
          "head": HEADS, "order": ORDERS, "optimizer": OPTIMIZERS, "clip": CLIPS, "rescue": RESCUES}  # fmt: skip
_ASKED = ("target", "head", "rescue")  # may be None, which leaves the first two to the task
_RANGES = {
    "lr": (0, False, float("inf")),
    "momentum": (0, True, 1),
    "weight_decay": (0, True, float("inf")),
    "dropout": (0, True, 1),
    "noise": (0, True, float("inf")),
    "noise_between": (0, True, float("inf")),
    "clip_norm": (0, False, float("inf")),
}


def _within(name: str, value: object, low: float, low_included: bool, high: float) -> None:
    if value is None and name == "clip_norm":
        return
    try:
        inside = (low <= value if low_included else low < value) and value < high
    except TypeError:
        inside = False
    if not inside or isinstance(value, bool):
        interval = f"{low} or more" if low_included else f"above {low}"
        raise BadArgument(f"{name}={value!r}: a number {interval}{f' and below {high}' if high < 2 else ''} is needed.")
