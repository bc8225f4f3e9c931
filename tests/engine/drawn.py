"""Recipes drawn at random with tasks that they can be trained on, and updates of them."""

from dataclasses import dataclass, replace

import numpy as np
from hypothesis import strategies as st
from oracles import begun

import rnntips as rt
from rnntips.engine.losses import heads_for
from rnntips.recipe import DROPOUTS
from rnntips.tasks.task import SequenceTask, separate

TASK = rt.tasks.forecast(rt.series.sines(steps=600))


@dataclass
class Levels:
    """Name the level, of so many, that the sines will reach."""

    classes: int
    name, unit, ignores = TASK.name, "nats", frozenset()

    def examples(self, recipe, seed):
        found = TASK.examples(recipe.but(head=None), seed)
        rows = np.eye(self.classes)[(found.targets[:, 0].argsort().argsort() * self.classes) // len(found.targets)]
        return replace(found, targets=rows.astype(np.float32), truth=rows, offset=0 * rows, spread=1.0, classes=True,
                       head=recipe.head or "softmax+nll")  # fmt: skip


@dataclass(frozen=True)
class LastThree(SequenceTask):
    """Answer with the last three inputs at some steps, of each seed its own; never at the first three."""

    name, unit, ignores = "last three", "units", frozenset()

    def draw(self, past, rng):
        inputs = rng.normal(size=(110, past, 1))
        before = [np.roll(inputs, lag, 1) * (np.arange(past) >= lag)[:, None] for lag in range(3)]
        counted = (np.arange(past) >= 3) & (rng.random((110, past)) < 0.5)
        return separate(inputs, np.concatenate(before, 2), (60, 20, 30), counted=counted.ravel())

    def guess(self, examples):
        return np.zeros(3)


SEQUENCES = {task.name: task for task in (rt.tasks.leaky(5), rt.tasks.recall_stream(4), rt.tasks.characters(),
                                          rt.tasks.padded_adding(12), LastThree())}  # fmt: skip


def made(recipes, task=TASK):
    """What `train` would begin with: record, network, loader and the optimizer's averages."""
    return begun(recipes, task, range(len(recipes)))


def did(step, update):
    """The statistics of an update."""
    step(update)
    ((_, stats),) = step.arrived()
    return stats


RULES = st.one_of(
    st.fixed_dictionaries({"optimizer": st.just("adam"), "lr": st.sampled_from([0.001, 0.03])}),
    st.fixed_dictionaries({"optimizer": st.sampled_from(["sgd", "rmsprop"]), "lr": st.sampled_from([0.001, 0.02]),
                           "momentum": st.sampled_from([0.0, 0.9])}),
    st.fixed_dictionaries({"optimizer": st.just("sgd"), "lr": st.sampled_from([0.001, 0.02]),
                           "momentum": st.sampled_from([0.5, 0.95]), "nesterov": st.just(True)}),
    st.fixed_dictionaries({"optimizer": st.sampled_from(["adam", "adamw"]), "beta1": st.sampled_from([0.0, 0.5]),
                           "beta2": st.just(0.9), "epsilon": st.just(1e-3), "lr": st.just(0.01)}),
    st.fixed_dictionaries({"optimizer": st.sampled_from(["adagrad", "adadelta"]), "epsilon": st.just(1e-4),
                           "lr": st.just(0.1)}),
)  # fmt: skip
CLIPPING = st.one_of(
    st.just({}),
    st.fixed_dictionaries({"clip": st.sampled_from(["global", "tensor", "value", "weights"]),
                           "clip_norm": st.sampled_from([0.01, 0.1, 1.0])}),
)  # fmt: skip
SHAPES = st.fixed_dictionaries({
    "cell": st.sampled_from(["tanh", "relu", "sigmoid", "gru", "lstm"]), "layers": st.integers(0, 3),
    "width": st.integers(1, 21), "past": st.integers(1, 24), "batch_size": st.integers(1, 35),
    "features": st.sampled_from(["levels", "differences:1", "differences:6"]),
    "weight_decay": st.just(0.05), "decay_on": st.sampled_from(["all", "all but recurrent"]),
})  # fmt: skip
CLASSES = st.one_of(
    st.just((None, None)),
    st.tuples(st.sampled_from(heads_for("classes")), st.integers(2, 11)),
    st.tuples(st.sampled_from(heads_for("values")), st.none()),
)
MORE = st.fixed_dictionaries({}, optional={
    "schedule": st.sampled_from(["warmup:3", "cosine", "drop:0.1:0.5"]), "grow": st.just("1:0.7"),
    "noise": st.just(0.2), "noise_between": st.just(0.2),
    "dense": st.just((4,)), "dense_after": st.just((3,)), "rescue": st.just("lower"),
    "lags": st.sampled_from([(2,), (5, 1)]), "patch": st.just(2), "split": st.just("shuffled"),
    "early_stopping": st.just(1),
    "frozen": st.just("recurrent"),
})  # fmt: skip
DROPPING = st.one_of(st.just({}), st.fixed_dictionaries({
    "dropout": st.sampled_from([0.2, 0.5]), "dropout_at": st.sampled_from(DROPOUTS),
    "dropout_test": st.sampled_from(["off", "unscaled"]),
}))  # fmt: skip


def task_of(drawn):
    """The task that `windows` or `sequences` means; failures are easier to read without it."""
    return SEQUENCES[drawn] if isinstance(drawn, str) else Levels(drawn) if drawn else TASK


def fitting(fields):
    """A recipe with these fields, but for those that weight clipping forbids.

    Weights that were clipped are equal, so their sums can be 0 but for rounding, where ReLU has its edge.
    """
    if fields["layers"] == 0:
        fields = {
            name: value
            for name, value in fields.items()
            if name not in ("dense", "dropout", "dropout_at", "dropout_test", "noise_between")
        }
    if fields.get("clip") == "weights":
        fields |= {"frozen": None, "dense": (), "dense_after": (), "cell": fields["cell"].replace("relu", "tanh")}
    return rt.Recipe(**fields)


@st.composite
def windows(draw):
    """How many levels to name, or None to forecast their value, and a recipe for that; see `task_of`."""
    head, classes = draw(CLASSES)
    fields = {"updates": 3, "head": head} | {k: v for some in (SHAPES, RULES, CLIPPING, MORE, DROPPING)
                                             for k, v in draw(some).items()}  # fmt: skip
    return classes, fitting(fields | {"past": fields.get("patch", 1) * fields["past"]})


@st.composite
def sequences(draw):
    """The name of a task with answers at every step of 12, a recipe, and how many updates were made before."""
    name, fields = draw(st.sampled_from([*SEQUENCES])), {"updates": 5, "past": 12}
    for some in (SHAPES, RULES, CLIPPING, MORE, DROPPING):
        fields = draw(some) | fields
    fields["layers"] = max(1, fields["layers"])
    how = draw(st.sampled_from(["whole", "chunks", "scrambled"]))
    if how == "chunks":
        chunk = draw(st.integers(1, 12))
        fields |= {"chunk": chunk, "stride": draw(st.integers(1, chunk)), "carry": draw(st.booleans())}
        if name == "leaky 5" and fields["carry"] and chunk == fields["stride"]:
            fields["reset"] = draw(st.booleans())
    if how == "scrambled":
        fields |= {"chunk": draw(st.sampled_from([2, 4])), "order": how, "carry": draw(st.booleans())}
    example = SEQUENCES[name].examples(rt.Recipe(past=12), 0)
    fields["head"] = draw(st.sampled_from(heads_for("classes" if example.classes else "values")))
    left_out = {"grow", "lags", "patch", "split", "features"} | ({"noise_between"} if how != "whole" else set())
    return name, fitting({k: v for k, v in fields.items() if k not in left_out}), draw(st.integers(0, 7))


def unlike(recipe):
    """Three runs that differ in what those that are trained together may differ in."""
    parts = ("lr", "momentum", "beta1", "beta2", "epsilon", "clip_norm", "weight_decay", "dropout", "noise",
             "noise_between")  # fmt: skip
    less = recipe.but(**{name: getattr(recipe, name) / 2 for name in parts if getattr(recipe, name)})
    order = recipe.order if recipe.order == "scrambled" else "time"
    other = recipe.but(init="normal:0.3", schedule="warmup:9", horizon=3, order=order, decay_on="all",
                       frozen=None if recipe.clip == "weights" else "recurrent")  # fmt: skip
    return [recipe, less, other]
