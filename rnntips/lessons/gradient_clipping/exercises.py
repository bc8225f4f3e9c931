"""Exercises of the clipping lesson: repair a loop whose clipping does nothing, and read a threshold from a log."""

import numpy as np
import torch
from torch import nn

from rnntips import tasks
from rnntips.notebook.exercise import Exercise
from rnntips.recipe import Recipe

__all__ = ["from_the_log", "train"]

LIMIT, LR, UPDATES = 3.0, 0.1, 400  # of the loop that is to be repaired
ENOUGH = 0.85  # of the naive error: what so many updates reach, with room


class Net(nn.Module):
    """A tanh network that answers after the last step and starts with a spectral radius of 2.

    It remembers the longest step that its weights ever made between two answers.
    """

    def __init__(self, width: int = 24):
        super().__init__()
        self.cell, self.readout = nn.RNN(2, width, batch_first=True), nn.Linear(width, 1)
        self.longest, self._before = 0.0, None
        with torch.no_grad():
            recurrent = self.cell.weight_hh_l0
            recurrent *= 2 / torch.linalg.eigvals(recurrent).abs().max()

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Windows (B, T, 2) → sums (B, 1)."""
        now = torch.cat([weight.detach().ravel() for weight in self.parameters()])
        if self._before is not None:
            step = float((now - self._before).norm())
            self.longest = max(self.longest, step) if np.isfinite(step) else np.inf
        self._before = now
        return self.readout(self.cell(inputs)[0][:, -1])


def _cases():
    torch.manual_seed(0)
    yield Net(), *next(tasks.adding(8).batches(Recipe(batch_size=1000), 0))


def _train(model, inputs, targets):
    optimizer, losses = torch.optim.SGD(model.parameters(), lr=0.1), []
    for _ in range(400):
        rows = torch.randint(len(inputs), (32,))
        loss = nn.functional.mse_loss(model(inputs[rows]), targets[rows])
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), max_norm=3.0)
        optimizer.step()
        losses.append(loss.item())
    return losses


def _as_it_was(model, inputs, targets, limit=LIMIT, lr=LR, when="before", updates=UPDATES):
    optimizer, losses = torch.optim.SGD(model.parameters(), lr=lr), []

    def clip():
        nn.utils.clip_grad_norm_(model.parameters(), max_norm=limit)

    for _ in range(updates):
        rows = torch.randint(len(inputs), (32,))
        loss = nn.functional.mse_loss(model(inputs[rows]), targets[rows])
        optimizer.zero_grad()
        clip() if when == "before" else None
        loss.backward()
        clip() if when == "between" else None
        optimizer.step()
        clip() if when == "after" else None
        losses.append(loss.item())
    return losses


LONG = (
    f"one step moved the weights by {{longest}}. A gradient of norm {LIMIT:g} and a learning rate of {LR:g} move them "
    f"by {LIMIT * LR:g}, so nothing was clipped when the step was made. When is there a gradient to clip?"
)
SHORT = (
    "no step is too long now: the longest moved the weights by {longest}. But the error is {times} of naive, since all "
    "steps are tiny. Short steps only hide the fault: why did clipping at 3 do nothing?"
)
FEW = f"there are fewer than {UPDATES} losses. Leave the number of updates as it is."


def _wrong(losses, model, inputs, targets):
    """What is wrong with a training: measured by its longest step, and by the error it leads to."""
    with torch.no_grad():
        error, longest = float((model(inputs) - targets).square().mean().sqrt()), model.longest
    naive = float((1 - targets).square().mean().sqrt())
    if len(losses) < UPDATES:
        return FEW
    told = {"longest": f"{longest:,.3g}", "times": f"{error / naive:.2f}"}
    if not longest <= 1.01 * LIMIT * LR:
        return LONG.format(**told)
    return None if error <= ENOUGH * naive else SHORT.format(**told)


train = Exercise(
    "train", _train, _cases, tolerance=None, check=_wrong,
    hints=("zero_grad() removes all gradients. Which line makes new ones?",
           "What clip_grad_norm_ returns is the norm before clipping: print it. What is it, and why?",
           "Clip between backward(), which computes the gradient, and step(), which uses it."),
    mistakes=(
        (_as_it_was, lambda *of: _as_it_was(*of, limit=0.01), lambda *of: _as_it_was(*of, when="after"), LONG),
        (lambda *of: _as_it_was(*of, lr=0.001), lambda *of: _as_it_was(*of, limit=0.03, when="between"), SHORT),
        (lambda *of: _as_it_was(*of, when="between", updates=15), FEW),
    ),
    kind="return the list of losses, one for each update, not {type}.",
)  # fmt: skip


def _from_the_log(norms):
    return np.percentile(norms[np.isfinite(norms)], 90)


def _logs():
    for seed in range(2):
        norms = np.exp(np.random.default_rng(seed).normal(-0.5, 1, (4, 300)))
        for run, at in ((1, 150), (3, 260)):  # two runs explode, and then have no norm any more
            norms[run, at : at + 20] = 10.0 ** np.arange(20)
            norms[run, at + 20 : at + 25] = np.inf
            norms[run, at + 25 :] = np.nan
        yield (norms,)


def _finite(norms):
    return norms[np.isfinite(norms)]


from_the_log = Exercise(
    "from_the_log", _from_the_log, _logs, tolerance=0.02,  # a percentile can be placed between two values in many ways
    hints=("Runs that broke left infinite norms and NaN behind. np.isfinite says which norms can be used.",
           "Which norm do nine in ten stay below? np.percentile knows.",
           "np.percentile(norms[np.isfinite(norms)], 90)."),
    mistakes=(
        (lambda norms: norms.max(),
         "the result is NaN: runs that broke have no norms afterwards. Leave out what is not finite."),
        (lambda norms: np.nanmax(norms), "the result is infinite: leave out what is not finite."),
        (lambda norms: _finite(norms).max(),
         "that is the largest norm. It would never clip, and an explosion would set it."),
        (lambda norms: _finite(norms).mean(),
         "that is a mean, and two explosions carry it away. A percentile ignores their size."),
        (lambda norms: np.median(_finite(norms)),
         "that is the median: half of all updates would be clipped. One in ten was asked for."),
        (lambda norms: np.percentile(_finite(norms), 10),
         "nine in ten norms lie above yours. One in ten was asked for."),
        (lambda norms: np.percentile(_finite(norms), 99),
         "one in a hundred lies above yours. One in ten was asked for."),
        (lambda norms: np.mean([_from_the_log(run) for run in norms]),
         "take all finite norms together, not the mean of each run's percentile."),
        (lambda norms: np.nanpercentile(norms, 90), "infinite norms count in yours. Leave them out, too."),
        (lambda norms: 0.9 * _finite(norms).max(),
         "that is 90 % of the largest norm. One norm in ten should lie above the threshold."),
        (lambda norms: 0.9, "0.9 is a share. The threshold is a norm: the one that nine in ten stay below.")),
    kind="return one number, the threshold, not {type}.",
    otherwise="the threshold should be {right}, so that one in ten finite norms lies above it. Yours is {yours}.",
)  # fmt: skip
