"""`Recipe`: every choice of a training run, flat and frozen; how long it trains (`Budget`), how many weights it has.

Each field is described once, in its own line: what it means, which values it may have, and whether runs that are
trained together may differ in it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from math import prod
from textwrap import fill
from typing import Any, NamedTuple

from rnntips.cells import CELLS, GATES, initialiser, kept_bias
from rnntips.engine.calibration import seconds_per_update
from rnntips.engine.losses import HEADS
from rnntips.errors import BadArgument, need, need_number, need_text, need_whole, shown, unknown_name
from rnntips.optimizers import RULES
from rnntips.schedule import RESCUES, mean_length, planned, plateau, pretraining, window_lengths
from rnntips.windows import ORDERS, SCALINGS, SPLITS, TARGETS, difference_lags, steps_of

__all__ = ["Budget", "Layer", "Parameters", "Recipe", "called", "count", "epochs", "parameters", "seconds",
           "shapes", "stack", "tokens", "typed", "updates", "worded"]  # fmt: skip

CLIPS = ("global", "tensor", "value", "weights")
OPTIMIZERS = tuple(name for name in RULES if name != "nesterov")
DECAYS = ("all", "all but recurrent")
DROPOUTS = ("outputs", "inputs and outputs", "between steps, one mask", "between steps, new masks")
SHARDS = ("alike", "unlike")
DROPOUT_TESTS = ("off", "on", "unscaled")
DEFAULT_UPDATES = 300
NEEDED = (  # a field, another one without which it has no meaning, and an example of that
    ("clip", "clip_norm", "clip_norm=1"), ("decay_on", "weight_decay", "weight_decay=0.01"),
    ("dropout_at", "dropout", "dropout=0.2"), ("dropout_test", "dropout", "dropout=0.2"),
    ("reset", "carry", "carry=True"), ("accumulate", "carry", "carry=True"),
    *((name, "workers", "workers=4") for name in ("average_every", "average_moments", "shards")),
)  # fmt: skip
APART = (  # two fields that cannot be combined, with the values that are meant (none: all but the default), and why
    (("init", ("pca", "kmeans")), ("dense", ()), "such starts are made from the inputs, and dense layers change them"),
    (("forget_bias", ()), ("cell", ("tanh", "relu", "sigmoid")), 'only "lstm" and "gru" have such a gate'),
    (("frozen", ()), ("clip", ("weights",)), "clipping would change what is frozen"),
    (("dropout_test", ("on",)), ("test_past", ()), "dropout is left on for whole windows alone"),
    (("reset", ()), ("order", ("scrambled",)), "where chunks are mixed, no chunk is the first of a sequence"),
    *((("accumulate", ()), (name, ()), "all chunks of a sequence make one update, in order")
      for name in ("reset", "stride", "grow")),
    (("accumulate", ()), ("order", ("scrambled",)), "all chunks of a sequence make one update, in order"),
    *((("pretrain", ()), (name, ()), f"pre-training costs updates, and is made without {name}")
      for name in ("budget", "grow", "workers")),
    *((("layers", (0,)), (name, ()), f"without a recurrent layer there is no {name}")
      for name in ("dense", "dropout", "noise_between", "chunk", "pretrain")),
    *((("solved", ()), (name, ()), f"what is solved is linear, and not trained, so it has no {name}")
      for name in ("dense_after", "head", "workers", "noise", "early_stopping")),
    *((("workers", ()), (name, ()), f"workers are trained without {name}")
      for name in ("chunk", "rescue", "dropout", "noise", "noise_between")),
)  # fmt: skip
UNITS = ("epochs", "seconds", "tokens", "updates")
MOST = 10**6  # windows, or steps
LONG = 100  # layers, or letters
WIDTHS = "widths", (64, 32), 10**5  # what is listed, an example, the largest
LARGE = 1e30  # what float32 can hold, and multiply
NEAR = 0.1  # largest relative distance from the number of weights that was asked for


@dataclass(frozen=True)
class Budget:
    """How long to train: an amount of updates, epochs (passes over the training windows), tokens (steps read), or
    seconds, which need not be whole.

    Seconds become updates by a stored calibration, see `seconds_per_update`, and not by a clock, so that a run's
    updates do not depend on the machine or its load.
    """

    amount: int | float
    of: str

    def __post_init__(self):
        if not (isinstance(self.of, str) and self.of in UNITS):
            raise unknown_name("unit", self.of, UNITS)
        name = f"budget in {self.of}"
        amount = need_number(name, self.amount, 0) if self.of == "seconds" else need_whole(name, self.amount, 1)
        object.__setattr__(self, "amount", amount)

    def __repr__(self) -> str:
        return f"{self.amount:g} {self.of}" if self.of == "seconds" else f"{self.amount} {self.of}"

    def in_updates(
        self, batch_size: int, steps: float, windows: int, each: int = 1, costs: Mapping[str, Any] | None = None
    ) -> int:
        """The number of updates, at least 1, for so many windows a mini-batch, steps a window and training windows.

        Args:
            each: Updates per mini-batch; more than 1 if windows are read in chunks.
            costs: What else the time of an update depends on, see `Recipe.costs`; only seconds need it.
        """
        if self.of == "updates":
            return self.amount
        if self.of == "seconds":
            return max(1, round(self.amount / seconds_per_update(costs or {}, batch_size)))
        windows_seen = self.amount * windows if self.of == "epochs" else self.amount / steps
        return max(1, round(windows_seen * each / batch_size))


def updates(amount: int) -> Budget:
    """A budget in updates."""
    return Budget(amount, "updates")


def epochs(amount: int) -> Budget:
    """A budget in passes over the training windows."""
    return Budget(amount, "epochs")


def tokens(amount: int) -> Budget:
    """A budget in time steps read: all steps of every window, though windows overlap, but only a chunk's new ones."""
    return Budget(amount, "tokens")


def seconds(amount: float) -> Budget:
    """A budget in seconds that one run takes on one core of the machine that was calibrated."""
    return Budget(amount, "seconds")


class Layer(NamedTuple):
    """One layer of a network, for inputs (R, B, T, C); see `stack`."""

    name: str  # "dense 0", "layer 0" (recurrent), "dense after 0" or "readout"
    cell: str  # a name in `CELLS`, "dense" (ReLU) or "linear"
    inputs: int  # C
    width: int  # H
    weights: tuple[str, ...]  # names of its weight and bias; of the input's, then of the recurrent ones

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Name and shape of one run's weights, in the order of its row in `Network.flat`. Matrices are (in, out)."""
        columns = GATES.get(self.cell, 1) * self.width
        each = (self.inputs, columns), (columns,), (self.width, columns), (columns,)
        named = zip(self.weights, each, strict=False)
        return dict(sorted(named, key=lambda pair: -len(pair[1])))  # matrices come first


def stack(
    cell: str, layers: int, width: int, channels: int, outputs: int, dense: Sequence[int] = (),
    dense_after: Sequence[int] = (),
) -> list[Layer]:  # fmt: skip
    """The layers of a network, from the inputs up: dense, recurrent, dense, and the linear readout."""
    both = [f"{kind}_{part}" for kind in ("input", "recurrent") for part in ("weight", "bias")]
    named = [(f"dense {j}", "dense", wide, (f"dense_weight_{j}", f"dense_bias_{j}")) for j, wide in enumerate(dense)]
    named += [(f"layer {j}", cell, width, tuple(f"{name}_{j}" for name in both)) for j in range(layers)]
    named += [(f"dense after {j}", "dense", wide, (f"after_weight_{j}", f"after_bias_{j}"))
              for j, wide in enumerate(dense_after)]  # fmt: skip
    named += [("readout", "linear", outputs, ("readout_weight", "readout_bias"))]
    below = [channels, *(wide for _, _, wide, _ in named)]
    return [Layer(name, kind, inputs, wide, weights)
            for inputs, (name, kind, wide, weights) in zip(below, named, strict=False)]  # fmt: skip


def shapes(*sizes: Any, **named: Any) -> dict[str, tuple[int, ...]]:
    """Name and shape of one run's weights, in the order of its row in `Network.flat`; arguments as for `stack`."""
    return {name: shape for layer in stack(*sizes, **named) for name, shape in layer.shapes().items()}


def count(*sizes: Any, **named: Any) -> int:
    """The number of weights of one run, biases and readout included; arguments as for `stack`."""
    return sum(map(prod, shapes(*sizes, **named).values()))


@dataclass(frozen=True)
class Parameters:
    """A width given as a number of weights: the recurrent layers' width for which the network has about so many."""

    amount: int

    def __post_init__(self):
        object.__setattr__(self, "amount", need_whole("parameters", self.amount, 1, 10**9))

    def __repr__(self) -> str:
        return f"{self.amount} parameters"

    def width(
        self, cell: str, layers: int, channels: int, outputs: int, dense: Sequence[int] = (),
        dense_after: Sequence[int] = (),
    ) -> int:  # fmt: skip
        """The width with the nearest number of weights, biases and readout included; of two as near the smaller.

        Raises:
            BadArgument: No width comes within a tenth of that number.
        """

        def weights(width: int) -> int:
            return count(cell, layers, width, channels, outputs, dense, dense_after)

        above = 1
        while weights(above) < self.amount:
            above += 1
        near = sorted({max(1, above - 1), above})
        best = min(near, key=lambda width: abs(weights(width) - self.amount))
        if abs(weights(best) - self.amount) > NEAR * self.amount:
            listed = " and ".join(f"{weights(width)} (width {width})" for width in near)
            both = (("dense", dense), ("dense_after", dense_after))
            beside = "".join(f", {name}={wide}" for name, wide in both if wide)
            raise BadArgument(
                f"width={self!r}: a {cell} network with layers={layers}{beside} for {channels} channels and {outputs} "
                f"outputs cannot have about that many. Nearest: {listed}. Take one of these numbers, or fewer layers."
            )
        return best


def parameters(amount: int) -> Parameters:
    """A width given as a number of weights: `Recipe(width=rt.parameters(2000))`."""
    return Parameters(amount)


def _choice(
    default: Any, doc: str, *, per_run: bool = False, costs: bool = False, called: tuple[str, str] | None = None,
    **allowed: Any,
) -> Any:  # fmt: skip
    """A field of a recipe.

    Args:
        doc: What it means.
        per_run: Whether runs that are trained together may differ in it.
        costs: Whether the time of an update depends on it.
        called: What a side of a comparison is called that has None, False, 0 or "none", and one that has another value.
        allowed: Which values: `names`, one of these; `whole`, whole numbers from the first to the second; `number`, the
            limits of `need_number`; `kind`, a type; `several`, whole numbers: what they are, an example, the
            largest; `text`, one such as this, which is read elsewhere. None is allowed where it is the default.
    """
    return field(default=default, metadata={"doc": doc, "per_run": per_run, "costs": costs, "called": called,
                                                "allowed": allowed})  # fmt: skip


@dataclass(frozen=True, kw_only=True, repr=False)
class Recipe:
    """Every choice of a training run.

    Raises:
        BadArgument: An unknown name, a value out of range, or choices that cannot be combined.
    """

    cell: str = _choice("gru", '`"tanh"`, `"relu"`, `"sigmoid"`, `"gru"` or `"lstm"`.', costs=True, names=CELLS)
    layers: int = _choice(1, "Recurrent layers on top of each other. 0: none, answers are made of the last step alone; "
        "with `patch` as long as `past` a network is then linear, and with `dense_after` an MLP.", costs=True,
        called=("no recurrent layer", "{} layers"), whole=(0, LONG))  # fmt: skip
    width: int | Parameters = _choice(24, "Units of each layer (H). `rt.parameters(2000)`: as many as give the whole "
        "network about so many weights; training finds them, once for each task, since they depend on its channels and "
        "outputs.", costs=True, whole=(1, 10_000))  # fmt: skip
    dense: tuple[int, ...] = _choice((), "Units of dense ReLU layers before the recurrent ones, applied at every step; "
        "`(64, 32)` are two.", costs=True, several=WIDTHS)  # fmt: skip
    dense_after: tuple[int, ...] = _choice((), "Units of dense ReLU layers between the recurrent ones and the readout.",
        costs=True, several=WIDTHS)  # fmt: skip
    past: int = _choice(32, "Steps a window looks back (T). Tasks with a length of their own (digits, adding, recall) "
        "ignore it.", called=("none", "{} steps"), whole=(1, MOST))  # fmt: skip
    patch: int = _choice(1, "Values of each column that a step reads, side by side, in forecasts: a window of `past` "
        "values then has past / patch steps.", whole=(1, MOST))  # fmt: skip
    lags: tuple[int, ...] = _choice((), "Steps before every step, at which the target is read once more, as further "
        'channels; `(168,)`: a week ago, hour by hour. With `"differences:K"` it is the newest difference.',
        several=("lags", (24, 168), MOST))  # fmt: skip
    grow: str | None = _choice(None, 'How windows grow in training: with `"24:0.5"` only the last 24 steps of each are '
        "read at first, then twice as many, and so on; from half of the updates on all of `past`. See "
        "`rnntips.schedule.window_lengths`. Evaluations always read all of `past`. With `chunk`, chunks grow: with "
        '`"plateau:20:2:10"` they are twice as long after 20 epochs without a lower training loss, then ten times; '
        "see `rnntips.engine.update.GrowingUpdate`. None: nothing grows.",
        costs=True, text='"24:0.5"')  # fmt: skip
    horizon: int = _choice(1, "Steps from the window's last value to its target.", per_run=True, whole=(1, MOST))
    features: str | None = _choice(None, '`"levels"`, or `"differences:K"`: the last K one-step differences at every '
        'step; further columns of a series are read as levels beside them, see `rnntips.windows.cut`. None: '
        '`"differences:1"` if the series is trending, else `"levels"`.',
        text='"differences:24"')  # fmt: skip
    input_scaling: str = _choice("standard", "See `rnntips.windows.fit_scaler`.", per_run=True,
        called=("no scaling", "{}"), names=SCALINGS)  # fmt: skip
    target_scaling: str = _choice("standard", "The same for the target.", per_run=True, names=SCALINGS)
    target: str | None = _choice(None, '`"level"` forecasts the value, `"change"` the change since the window\'s last '
        'value. None: `"change"` if the series is trending, else `"level"`.', per_run=True, names=TARGETS)  # fmt: skip
    head: str | None = _choice(None, 'What becomes of the readout\'s outputs, and the training loss. For values: '
        '`"linear+mse"`, `"linear+rmse"` (the root of the mini-batch\'s mean), `"linear+mae"`, `"linear+huber"` '
        '(squared up to 1 scaled unit, then linear), `"sigmoid+mse"`, `"relu+mse"`. For classes: `"softmax+nll"`, '
        '`"softmax+mse"`, `"softmax twice+nll"` (a common mistake), `"sigmoid+bce"`, `"linear+mse"`. None: '
        '`"linear+mse"` for values, `"softmax+nll"` for classes.', names=HEADS)  # fmt: skip
    split: str = _choice("time", 'How the windows of a series are split into training, validation and test part: by '
        '`"time"`, or `"shuffled"`, a mistake whose scores promise too much, see `rnntips.windows.cut`.', per_run=True,
        names=SPLITS)  # fmt: skip
    train_size: int | None = _choice(None, "Number of training windows, drawn for every seed; a smaller choice is "
        "part of a larger one. Scaling, naive error and floor are still computed from all windows. None: all.",
        whole=(1, MOST))  # fmt: skip
    batch_size: int = _choice(16, "Windows per update (B).", called=("none", "batches of {}"), whole=(1, MOST))
    order: str = _choice("shuffled", '`"shuffled"` in every epoch, shuffled `"once"`, by `"time"`, or by `"class"`: '
        'class after class, shuffled within each. `"scrambled"`: sequences are shuffled, and so are the chunks of '
        "each, even with `carry`.", per_run=True, names=ORDERS)  # fmt: skip
    chunk: int | None = _choice(None, "Steps that the gradient goes back (k2), for tasks with an answer at every step: "
        "an update then reads one chunk of each window, which is a sequence. None: whole windows. See "
        "`rnntips.engine.tbptt`.", costs=True, called=("gradient over all steps", "gradient over {} steps"),
        whole=(1, MOST))  # fmt: skip
    stride: int | None = _choice(None, "New steps of a chunk: only these count (k1). None: as many as `chunk`.",
        costs=True, whole=(1, MOST))  # fmt: skip
    carry: bool = _choice(False, "Whether a chunk begins with the state that the chunk before it left, instead of "
        "zeros.", costs=True, called=("state reset", "state kept"), kind=bool)  # fmt: skip
    reset: bool = _choice(True, "With `carry`, whether a sequence begins with zeros. False: with the state at the end "
        "of the sequence that was read before it, a mistake.",
        called=("state never reset", "state reset at a sequence's end"), kind=bool)  # fmt: skip
    accumulate: bool = _choice(False, "With `carry`, whether the chunks of a sequence make one update together, from "
        "the sum of their gradients, instead of one each. The loss is the mean over all steps that count.", costs=True,
        called=("an update a chunk", "an update a sequence"), kind=bool)  # fmt: skip
    test_past: int | None = _choice(None, "For tasks with an answer at every step: in the validation and test parts "
        "only so many last steps are read for an answer, from a zero state. None: all steps of the sequence so far.",
        whole=(1, MOST))  # fmt: skip
    mask: bool = _choice(True, "For padded sequences: whether their answer is that after their own last step. False: "
        "that after the zeros behind it.", called=("answers after the padding", "answers after the last step"),
        kind=bool)  # fmt: skip
    pooled: bool = _choice(True, "Of several series: whether all windows are trained on. False: those of the one "
        "that is forecast.", called=("one series alone", "all series pooled"), kind=bool)  # fmt: skip
    optimizer: str = _choice("adam", '`"sgd"`, `"rmsprop"`, `"adam"`, `"adamw"`, `"adagrad"` or `"adadelta"`, with '
        "PyTorch's defaults but for the learning rate and the weight decay.", costs=True, names=OPTIMIZERS)  # fmt: skip
    lr: float = _choice(0.01, "Learning rate.", per_run=True, called=("none", "learning rate {}"),
        number={"above": 0, "below": LARGE})  # fmt: skip
    schedule: str | None = _choice(None, "The learning rate over the updates, as a factor of `lr`: "
        '`"warmup:30"`, `"cosine"`, `"drop:0.1:0.5"` or `"dip:150"`, or several joined by `+`; see '
        "`rnntips.schedule.planned`. None: always 1.", per_run=True, called=("constant rate", "{}"),
        text='"warmup:30", "cosine" or "drop:0.1:0.5"')  # fmt: skip
    rescue: str | None = _choice(None, "What is done at the first spike of the training loss (after update 20, above "
        'twice the median of the 50 before): `"lower"`: lr / 10 from then on; `"lower, then raise"`: lr / 100, which '
        'rises to lr / 10 over 100 updates; `"lower, then full"`: the same, up to lr; `"restore"`: weights and '
        "optimizer averages of the last evaluation before, and lr / 2 from then on.",
        per_run=True, names=RESCUES)  # fmt: skip
    early_stopping: int | None = _choice(None, "A run's result is that of its best evaluation on the validation part, "
        "until so many evaluations in a row were no better (patience); see `Runs.evaluations`. None: that of the last.",
        per_run=True, called=("no early stopping", "patience {}"), whole=(1, MOST))  # fmt: skip
    momentum: float = _choice(0.0, 'Momentum of `"sgd"` and `"rmsprop"`.', per_run=True,
        called=("no momentum", "momentum {}"), number={"low": 0, "below": 1})  # fmt: skip
    beta1: float | None = _choice(None, "Share of the old running mean that Adam and AdamW keep. None: PyTorch's "
        "default, here and in the next two.", per_run=True, number={"low": 0, "below": 1})  # fmt: skip
    beta2: float | None = _choice(None, "The same of the running mean square: Adam's and AdamW's β₂, RMSprop's α, "
        "Adadelta's ρ.", per_run=True, number={"low": 0, "below": 1})  # fmt: skip
    epsilon: float | None = _choice(None, "What is added to the root of the mean square; with Adadelta, under "
        "the root.", per_run=True, number={"above": 0, "below": LARGE})  # fmt: skip
    nesterov: bool = _choice(False, 'Whether the momentum of `"sgd"` is Nesterov\'s.', costs=True,
        called=("plain momentum", "Nesterov's momentum"), kind=bool)  # fmt: skip
    clip: str = _choice("global", 'What `clip_norm` limits: the gradient\'s `"global"` norm, each `"tensor"`\'s norm, '
        'or each `"value"` of it; or each of the `"weights"`, biases included, after the update.',
        names=CLIPS)  # fmt: skip
    clip_norm: float | None = _choice(None, "Largest gradient norm (or value, or weight), None for no clipping.",
        per_run=True, called=("no clipping", "clip at {}"), number={"above": 0, "below": LARGE})  # fmt: skip
    weight_decay: float = _choice(0.0, "Added to the gradient, times the weights (L2, as in `torch.optim`); with AdamW "
        "taken off the weights themselves, times the learning rate.", per_run=True,
        number={"low": 0, "below": LARGE})  # fmt: skip
    decay_on: str = _choice("all", 'What decays: `"all"` weights and biases, or `"all but recurrent"`, which leaves '
        "out the matrices from a state to the next.", per_run=True, names=DECAYS)  # fmt: skip
    dropout: float = _choice(0.0, "Share of every recurrent layer's outputs set to 0 in training; all steps of a "
        "window (or of a chunk) have the same mask.", per_run=True, number={"low": 0, "below": 1})  # fmt: skip
    dropout_at: str = _choice("outputs", 'What is set to 0: the `"outputs"`; `"inputs and outputs"`, inputs with a new '
        'mask at every step; or the state where weights read it, `"between steps, one mask"`, after Gal and Ghahramani '
        '(2016), or `"between steps, new masks"`.', costs=True, names=DROPOUTS)  # fmt: skip
    dropout_test: str = _choice("off", 'Dropout when a network is scored: `"off"`; left `"on"`, as without '
        '`model.eval()`; `"unscaled"`, off as well, but what was kept in training was not divided by its share.',
        names=DROPOUT_TESTS)  # fmt: skip
    noise: float = _choice(0.0, "Standard deviation of Gaussian noise on the scaled inputs in training, drawn anew at "
        "every step.", per_run=True, number={"low": 0, "below": LARGE})  # fmt: skip
    noise_between: float = _choice(0.0, "The same on every layer's outputs, added before dropout.", per_run=True,
        number={"low": 0, "below": LARGE})  # fmt: skip
    workers: int = _choice(1, "Copies of every run's network that are trained apart, each on `batch_size` windows an "
        "update, and averaged; scores are those of the average.", costs=True, called=("none", "{} workers"),
        whole=(1, LONG))  # fmt: skip
    average_every: int = _choice(1, "Updates from one average to the next.", whole=(1, MOST))
    average_moments: bool = _choice(False, "Whether the optimizer's running averages are averaged too, and not weights "
        "alone.", called=("own moments", "averaged moments"), kind=bool)  # fmt: skip
    shards: str = _choice("alike", 'What workers read: `"alike"`, together what one worker would read with a batch of '
        'all their windows; `"unlike"`: each a part of its own, consecutive windows of the training part, sorted by '
        "class if they have one.", names=SHARDS)  # fmt: skip
    init: str = _choice("uniform", "How weights start, see `rnntips.cells.initialiser`.", per_run=True,
        text='"normal:0.1"')  # fmt: skip
    forget_bias: float | str | None = _choice(None, "Where the bias starts of the gate that keeps a state: the LSTM's "
        "forget gate, the GRU's update gate. `\"chrono:50\"`: so that units remember up to 50 steps, see "
        "`rnntips.cells.kept_bias`; the LSTM's input gate then starts at minus that. None: as `init` says.",
        per_run=True, called=("PyTorch's forget bias", "forget bias {}"), number={"above": -LARGE, "below": LARGE},
        text='"chrono:50"')  # fmt: skip
    frozen: str | None = _choice(None, '`"recurrent"`: the recurrent layers, and dense layers below them, stay as they '
        "are, and only what is above is trained, such as the readout on features from an earlier training.",
        per_run=True, names=("recurrent",))  # fmt: skip
    pretrain: str | None = _choice(None, 'What a network learns before its task, at the cost of so many updates: '
        '`"next step:300"`: to predict every step from those before it, in all training windows, whatever `train_size` '
        "leaves out, with a learning rate of 0.01; the recurrent layers, and dense ones below, are kept. "
        '`"next step:300:2"`: in two stages, the first with half of the windows. `"shuffled steps:300"`: in windows '
        "whose steps are in a random order.", called=("from scratch", "{}"), text='"next step:300"')  # fmt: skip
    solved: bool = _choice(False, "Whether a readout alone is not trained, but is a ridge regression on all training "
        "windows.", called=("trained", "solved"), kind=bool)  # fmt: skip
    updates: int | None = _choice(None, "Length of training in updates; 300 without a `budget`.", whole=(1, 10**8))
    budget: Budget | None = _choice(None, "The same in another unit: `rt.epochs(5)`, `rt.tokens(10**6)`, or "
        "`rt.seconds(0.5)`, which a stored calibration turns into updates.", kind=Budget)  # fmt: skip

    def __new__(cls, *unnamed: Any, **given: Any) -> "Recipe":
        """Raise `BadArgument` for an unknown field, or a value without its name, before Python raises a TypeError."""
        if unnamed:
            raise BadArgument(f'{shown(unnamed[0])} has no name. Write, for example, Recipe(cell="gru").')
        for name in given.keys() - cls.__dataclass_fields__.keys():
            raise unknown_name("field", name, cls.__dataclass_fields__)
        return super().__new__(cls)

    def __post_init__(self):
        for one in fields(self):
            if (value := getattr(self, one.name)) is not None or one.default is not None:
                object.__setattr__(self, one.name, _checked(one.name, value, **one.metadata["allowed"]))
        self._resolve_budget()
        if self.features is not None:
            difference_lags(self.features)
        initialiser(self.init)
        if self.forget_bias is not None:
            kept_bias(self.forget_bias)
        planned(self.schedule)
        if self.train_size is not None and self.train_size < self.batch_size:
            raise BadArgument(
                f"batch_size={self.batch_size} is larger than train_size={self.train_size}. An update needs that "
                "many windows."
            )
        for name in ("momentum", "beta1", "beta2", "epsilon"):
            if getattr(self, name) not in (None, FIELDS[name]) and name not in RULES[self.optimizer].defaults:
                listed = " or ".join(f'"{other}"' for other in OPTIMIZERS if name in RULES[other].defaults)
                raise BadArgument(
                    f'{name} belongs to optimizer={listed}; "{self.optimizer}" has none to set. Drop one of the two.'
                )
        if self.nesterov and (self.optimizer != "sgd" or not self.momentum):
            raise BadArgument(
                'nesterov=True is a kind of momentum of optimizer="sgd": set both, for example '
                'optimizer="sgd", momentum=0.9.'
            )
        if self.solved and self.layers:
            raise BadArgument(f"solved=True is for linear networks, and layers={self.layers}. Set layers=0.")
        self._check_pairs()
        self._check_chunk()
        window_lengths(self.grow, self.steps, 1)
        if self.updates is not None and pretraining(self.pretrain)[1] >= self.updates:
            raise BadArgument(f"pretrain={self.pretrain!r} leaves none of updates={self.updates} for the task.")

    def _check_pairs(self):
        """Raise if a field has no meaning without another one, or cannot be combined with it."""
        for name, needed, example in NEEDED:
            if getattr(self, name) != FIELDS[name] and getattr(self, needed) == FIELDS[needed]:
                raise BadArgument(f"{name}={getattr(self, name)!r} needs {needed}: set it, for example {example}.")
        for *pair, why in APART:
            given = {name: getattr(self, name) for name, _ in pair}
            if all(given[name] in values if values else given[name] != FIELDS[name] for name, values in pair):
                both = " and ".join(f"{name}={value!r}" for name, value in given.items())
                raise BadArgument(f"{both} cannot be combined: {why}. Leave one of the two out.")

    def _check_chunk(self):
        """Raise unless the fields about chunks fit together."""
        growing = self.grow is not None and plateau(self.grow) is not None
        if self.grow is not None and growing != (self.chunk is not None):
            what = "chunks, and there are none: set chunk" if growing else "whole windows: drop grow or chunk"
            raise BadArgument(f"grow={self.grow!r} is for {what}.")
        for name in ("stride", "reset", "rescue", "schedule"):
            if growing and (value := getattr(self, name)) != FIELDS[name]:
                raise BadArgument(f"{name}={value!r} does not go with chunks that grow. Leave one of the two out.")
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
        if not self.reset and self.stride not in (None, self.chunk):
            raise BadArgument(
                f"reset=False needs chunks that are read once, and stride={self.stride} reads steps of "
                f"chunk={self.chunk} again. Leave one of the two out."
            )
        if self.stride is not None and self.stride > self.chunk:
            raise BadArgument(
                f"stride={self.stride} is more than chunk={self.chunk}: the gradient would miss steps that count. "
                f"Use stride={self.chunk} or less."
            )

    def _resolve_budget(self):
        """Set `updates` from a budget in updates; raise if `updates` and `budget` contradict each other."""
        if self.budget is None or self.budget.of == "updates":
            amount = self.updates if self.budget is None else self.budget.amount
            if self.budget is not None and self.updates not in (None, amount):
                raise BadArgument(f"updates={self.updates} and budget={self.budget} disagree. Give one of them.")
            object.__setattr__(self, "updates", DEFAULT_UPDATES if amount is None else amount)
            object.__setattr__(self, "budget", None)
        elif self.updates is not None:
            raise BadArgument(f"updates={self.updates} and budget={self.budget} both say how long. Give one of them.")

    def __repr__(self) -> str:
        return f"Recipe({', '.join(f'{name}={value!r}' for name, value in self.chosen().items())})"

    def chosen(self) -> dict[str, Any]:
        """The fields that are not at their default, by name.

        Names of recipes and of stored runs are made of these alone, so that a new field changes no old name.
        """
        values = {one.name: getattr(self, one.name) for one in fields(self) if getattr(self, one.name) != one.default}
        return {name: value for name, value in values.items() if (name, value) != ("updates", DEFAULT_UPDATES)}

    @property
    def steps(self) -> int:
        """Steps of a window of `past` values."""
        return steps_of(self.past, self.patch)

    @property
    def new(self) -> int | None:
        """New steps of every chunk that an update reads, k1; None: an update reads whole windows."""
        return None if self.accumulate else self.stride or self.chunk

    @property
    def rule(self) -> str:
        """The name of the update rule in `rnntips.optimizers.RULES`."""
        return "nesterov" if self.nesterov else self.optimizer

    @property
    def windows_per_update(self) -> int:
        """Windows that all workers of a run read for an update."""
        return self.workers * self.batch_size

    def updates_for(self, windows: int, steps: int | None = None, skip: int = 0, **size: int) -> int:
        """The number of updates of a run that has so many training windows, without those of its pre-training.

        Args:
            steps: Steps of a window; None: those of `past` values.
            skip: First steps of a window that do not count.
            size: Further arguments of `costs`; only budgets in seconds need them.
        """
        if self.updates:
            return self.updates - pretraining(self.pretrain)[1]
        steps, new = steps or self.steps, self.new
        each = -(-steps // new) - skip // new if new else 1
        length, costs = mean_length(self.grow, steps), self.costs(steps=steps, **size)
        return self.budget.in_updates(self.windows_per_update, length, windows, each, costs)

    def costs(self, steps: int, channels: int = 1, outputs: int = 1, answers: int = 1) -> dict[str, Any]:
        """What the time of an update depends on, except the batch size; fields at their default are left out.

        Args:
            steps, channels, outputs, answers: Of a window: steps, inputs per step, outputs per answer, answers.
        """
        always = ("cell", "layers", "width", "optimizer")
        costly = [one for one in fields(self) if one.metadata["costs"]]
        costly.sort(key=lambda one: always.index(one.name) if one.name in always else len(always))
        chosen = {one.name: getattr(self, one.name) for one in costly}
        chosen = {name: value for name, value in chosen.items() if name in always or value != FIELDS[name]}
        chosen |= {name: True for name in ("dropout", "noise", "noise_between") if getattr(self, name)}
        chosen |= {"steps": steps, "channels": channels, "outputs": outputs}
        return chosen | ({"answers": answers} if answers > 1 else {})

    def but(self, **changes: Any) -> "Recipe":
        """This recipe with some fields changed."""
        if "budget" in changes and changes["budget"] is not None:
            changes.setdefault("updates", None)
        elif changes.get("updates") is not None:
            changes.setdefault("budget", None)
        return replace(self, **changes)

    def diff(self, other: "Recipe") -> dict[str, tuple[Any, Any]]:
        """Fields in which two recipes differ: name → (mine, theirs). `updates` and `budget` count as one field."""
        need("other", other, Recipe, "a Recipe, made with rt.Recipe(...),")
        pairs = {name: (getattr(self, name), getattr(other, name)) for name in FIELDS}
        if any(pairs["budget"]):
            mine, theirs = pairs.pop("updates")
            pairs["budget"] = (self.budget or updates(mine), other.budget or updates(theirs))
        return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}

    def shape(self) -> tuple:
        """What recipes must have in common to be trained together: all fields but those marked `per_run`."""
        same = (getattr(self, one.name) for one in fields(self) if not one.metadata["per_run"])
        return (*same, self.dropout > 0, self.noise > 0, self.noise_between > 0, self.order == "scrambled")


EXAMPLES = {
    bool: "True or False",
    Budget: "an amount with its unit, such as rt.updates(300), rt.epochs(5), rt.tokens(10**6) or rt.seconds(0.5),",
}
FIELDS = {one.name: one.default for one in fields(Recipe)}  # name → default
CALLED = {one.name: one.metadata["called"] for one in fields(Recipe)}


def called(name: str, value: Any) -> str:
    """What a side of a comparison is called, by its value of a field: "standard", "batches of 1,000", "state kept"."""
    absent, present = CALLED[name] or ("none", f"{name.replace('_', ' ')} {{}}")
    if value is None or (CALLED[name] and value in (0, "none")):  # False is 0 as well
        return absent
    if isinstance(value, str):
        return value
    one = value == 1 and value is not True
    number = f"{value:g}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else value
    return (present.removesuffix("s") if one else present).format(number)


def _checked(
    name: str, value: Any, *, names: Iterable[str] | None = None, whole: tuple[int, int] | None = None,
    number: Mapping[str, float] | None = None, kind: type | None = None,
    several: tuple[str, tuple[int, ...], int] | None = None, text: str | None = None,
) -> Any:  # fmt: skip
    """A field's value in Python's own types; raises `BadArgument` unless it is one of those allowed, see `_choice`."""
    if names is not None:
        if not (isinstance(value, str) and value in names):
            raise unknown_name(name, value, names)
        return str(value)
    if whole is not None and not (name == "width" and isinstance(value, Parameters)):
        return need_whole(name, value, *whole)
    if number is not None and not (text is not None and isinstance(value, str)):
        return need_number(name, value, **number)
    if several is not None:
        what, example, most = several
        need(name, value, tuple | list, f"a tuple of at most {LONG} {what}, for example {name}={example},")
        if len(value) > LONG:
            raise BadArgument(f"{name} has {len(value)} {what}: at most {LONG} can be used.")
        return tuple(need_whole(f"each of the {what} in {name}", one, 1, most) for one in value)
    if text is not None:
        if not isinstance(value, str) or len(need_text(name, value)) > LONG:
            raise BadArgument(f"{name}={shown(value)}: a short text such as {text} is needed.")
        return str(value)
    if kind is not None:
        need(name, value, kind, EXAMPLES[kind])
    return value


def _documented(text: str) -> str:
    """The class's docstring, with the text of every field as its Args."""
    lines = [fill(f"{one.name}: {one.metadata['doc']}", 112, initial_indent=" " * 8, subsequent_indent=" " * 12)
             for one in fields(Recipe)]  # fmt: skip
    head, raises = text.rstrip().split("\n\n    Raises:")
    return "\n".join([f"{head}\n\n    Args:", *lines, f"\n    Raises:{raises}"])


Recipe.__doc__ = _documented(Recipe.__doc__ or "\n\n    Raises:")  # python -OO leaves none


def typed(given: Mapping[str, Any]) -> dict[str, Any]:
    """Recipe fields from what a file can hold: `dense = [64, 32]`, `budget = "5 epochs"`, `width = "2000 parameters"`,
    `clip_norm = "none"`.

    Raises:
        BadArgument: A name that is no field, or a budget or width that cannot be read.
    """
    typed = dict(given)
    for name in typed.keys() - FIELDS.keys():
        raise unknown_name("field", name, FIELDS)
    typed |= {name: None for name, value in typed.items() if value == "none" and FIELDS[name] is None}
    typed |= {name: tuple(value) for name, value in typed.items() if isinstance(value, list)}
    for name, example in (("budget", "5 epochs"), ("width", "2000 parameters")):
        if isinstance(typed.get(name), str):
            amount, _, of = typed[name].partition(" ")
            whole = amount.replace(".", "", of == "seconds")
            if not whole.isdigit() or (name == "width" and of != "parameters"):
                raise BadArgument(f'{name} = "{typed[name]}": an amount and its unit are needed, such as "{example}".')
            number = float(amount) if of == "seconds" else int(amount)
            typed[name] = Budget(number, of) if name == "budget" else Parameters(number)
    return typed


def worded(value: Any) -> Any:
    """A field's value as a file can hold it: a budget or a number of parameters in words, a tuple as a list."""
    return repr(value) if isinstance(value, Budget | Parameters) else list(value) if isinstance(value, tuple) else value
