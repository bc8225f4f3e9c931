"""Exercises of the lesson on bugs: write the test that finds neighbours that are mixed, and repair a loop."""

import torch
from torch import nn

from rnntips.lessons.bugs_in_the_loop.loops import Loop, Model
from rnntips.notebook.exercise import Exercise

__all__ = ["neighbours", "train"]

ENOUGH, UPDATES = 0.8, 200  # of naive: what the right loop reaches, with room


def _batch():
    torch.manual_seed(0)
    return torch.randn(16, 24, 1)


class Jumping(nn.Module):
    """Answers with noise of its own: whoever draws new random numbers sees answers change."""

    def __init__(self):
        super().__init__()
        self.inner = Model("loop.py")

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Windows (B, T, 1) → (B, 1); in training mode with dropout."""
        return nn.functional.dropout(self.inner(inputs), 0.5, self.training)


def _models():
    for name in ("loop.py", "A"):
        torch.manual_seed(1)
        yield Model(name).eval(), _batch()
    torch.manual_seed(1)
    yield Jumping().eval(), _batch()


def _neighbours(model, inputs):
    other = inputs.clone()
    other[0] = other[0] + 1
    with torch.no_grad():
        moved = (model(other) - model(inputs)).abs().flatten(1).amax(1) > 1e-6
    return int(moved[1:].sum())


def _with_itself(model, inputs):
    other = inputs.clone()
    other[0] = other[0] + 1
    with torch.no_grad():
        return int(((model(other) - model(inputs)).abs().flatten(1).amax(1) > 1e-6).sum())


def _last_changed(model, inputs):
    other = inputs.clone()
    other[-1] = other[-1] + 1
    with torch.no_grad():
        return int(((model(other) - model(inputs)).abs().flatten(1).amax(1) > 1e-6)[:-1].sum())


def _all_changed(model, inputs):
    with torch.no_grad():
        return int(((model(inputs + 1) - model(inputs)).abs().flatten(1).amax(1) > 1e-6)[1:].sum())


neighbours = Exercise(
    "neighbours", _neighbours, _models,
    hints=("Change the first example in a copy of the inputs: other = inputs.clone(); other[0] += 1.",
           "Compare model(other) with model(inputs) row by row, and leave out row 0, which may change.",
           "Count the rows 1 and up whose largest change is above 1e-6."),
    mistakes=(
        (lambda model, inputs: 0, _last_changed, "no answer of another example changed, you say; with one of these "
         "models {right} do. What did you change, and could it reach the others?"),
        (_with_itself, "you counted the first example too. Its own answer may change: leave row 0 out."),
        (_all_changed, "that changes all examples. Change the first one alone."),
    ),
    kind="return one whole number, not {type}.",
    otherwise="{right} answers of other examples change, and you counted {yours}.",
)  # fmt: skip


class Carried(nn.Module):
    """Reads windows from a given state; `seen` counts the windows that were read with another window's state."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.cell, self.readout, self.seen = nn.GRU(1, 24, batch_first=True), nn.Linear(24, 1), 0

    def forward(self, inputs: torch.Tensor, state: torch.Tensor | None = None) -> tuple[torch.Tensor, torch.Tensor]:
        """Windows (B, T, 1) and a state (1, B, 24) or nothing → answers (B, 1), the state at the end."""
        if self.training and state is not None and bool(state.detach().any()):
            self.seen += len(inputs)
        states, last = self.cell(inputs, state)
        return self.readout(states[:, -1]), last


def _cases():
    loop = Loop("loop.py")
    windows, values = zip(*(next(loop.train_part) for _ in range(UPDATES)), strict=True)
    yield Carried(), torch.stack(windows), torch.stack(values)


def _train(model, windows, values):
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for inputs, targets in zip(windows, values, strict=True):
        answers, _ = model(inputs)
        loss = torch.nn.functional.mse_loss(answers, targets)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), max_norm=1.0)
        optimizer.step()
    return loss.item()


def _loop(shape=True, fresh=True, zero=True, clip="between", lr=0.01):
    def train(model, windows, values):
        optimizer, state = torch.optim.Adam(model.parameters(), lr=lr), None
        for inputs, targets in zip(windows, values, strict=True):
            answers, state = model(inputs, None if fresh else state)
            state = state.detach()
            difference = answers - (targets if shape else targets[:, 0])
            loss = difference.square().mean()
            if zero:
                optimizer.zero_grad()
            loss.backward()
            if clip == "between":
                nn.utils.clip_grad_norm_(model.parameters(), max_norm=1.0)
            optimizer.step()
        return loss.item()

    return train


WRONG_SHAPE = (
    "the error is {times} of naive, and the answers vary by {spread} of what the targets do. Print answers.shape and "
    "targets.shape where the loss is computed."
)
STATE = (
    "{seen} windows were read with a state that another window had left. These batches are shuffled: what does that "
    "state know of this window?"
)
REST = "the error is {times} of naive; 0.8 is needed. Which call is missing between two updates?"


def _wrong(loss, model, windows, values):
    """What is wrong with a training: where the answers are, which state was read, the error."""
    loop = Loop("loop.py")
    seen, _ = model.seen, model.eval()
    with torch.no_grad():
        answers = torch.cat([model(inputs)[0] for inputs, _, _ in loop.valid])
    targets = torch.cat([targets for _, targets, _ in loop.valid])
    times, spread = float((answers - targets).square().mean().sqrt()) / loop.naive, float(answers.std() / targets.std())
    told = {"times": f"{times:.2f}", "spread": f"{spread:.2f}", "seen": f"{seen:,}"}
    if spread < 0.1:
        return WRONG_SHAPE.format(**told)
    if seen:
        return STATE.format(**told)
    return None if times <= ENOUGH else REST.format(**told)


train = Exercise(
    "train", _train, _cases, tolerance=None, check=_wrong,
    hints=("There are three faults. Let the doctor look at it: with rt.doctor.watch(model, optimizer) as seen: …",
           "Print the two shapes; ask where the state comes from; and say the order of the four calls aloud.",
           "targets as they are; model(inputs) without a state; zero_grad, backward, clip, step."),
    mistakes=(
        (_loop(shape=False), _loop(shape=False, fresh=False, zero=False), WRONG_SHAPE),
        (_loop(fresh=False), STATE),
        (_loop(zero=False), _loop(lr=1e-5), REST),
    ),
    accept=(_loop(), _loop(clip="none"), _loop(lr=0.003)),
    kind="return the last loss, a number, not {type}.",
)  # fmt: skip
