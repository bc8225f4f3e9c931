"""Exercise of the lesson on truncated backpropagation: a loop over chunks that raises an error."""

import torch
from torch import nn

from rnntips import tasks
from rnntips.notebook.exercise import Exercise
from rnntips.recipe import Recipe

__all__ = ["train"]

ENOUGH = 0.25  # of the naive error: what the repaired loop reaches
PASSES = 40  # over the sequences


class Net(nn.Module):
    """A GRU that answers at every step; it counts the chunks that it read in training, and how many began with zeros.

    Args:
        width: Units.
    """

    def __init__(self, width: int = 16):
        super().__init__()
        self.cell, self.readout = nn.GRU(1, width, batch_first=True), nn.Linear(width, 1)
        self.chunks = self.zeros = 0

    def forward(self, inputs: torch.Tensor, state: torch.Tensor | None = None) -> tuple[torch.Tensor, torch.Tensor]:
        """Inputs (B, T, 1) and the state before them (1, B, H), zeros if None → answers (B, T, 1), the state after."""
        if torch.is_grad_enabled():
            self.chunks += 1
            self.zeros += state is None or not bool(state.any())
        states, state = self.cell(inputs, state)
        return self.readout(states), state


def _cases():
    torch.manual_seed(0)
    yield Net(), *next(tasks.leaky(16).batches(Recipe(past=32, batch_size=64), 0))


def _train(model, inputs, targets):
    optimizer, losses = torch.optim.Adam(model.parameters(), lr=0.01), []
    for _ in range(40):
        state = None
        for x, y in zip(inputs.split(4, 1), targets.split(4, 1), strict=True):
            answers, state = model(x, state)
            state = state.detach()  # its numbers go on, its history ends
            loss = nn.functional.mse_loss(answers, y)
            optimizer.zero_grad(), loss.backward(), optimizer.step()
            losses.append(loss.item())
    return losses


def _wrongly(model, inputs, targets, size=4, lr=0.01, before=lambda state: None, after=torch.Tensor.detach):
    """The same with chunks of another size, and with other states before a sequence and after a chunk."""
    optimizer, losses, state = torch.optim.Adam(model.parameters(), lr=lr), [], None
    for _ in range(40):
        state = before(state)
        for x, y in zip(inputs.split(size, 1), targets.split(size, 1), strict=True):
            answers, state = model(x, state)
            state = after(state)
            loss = nn.functional.mse_loss(answers, y)
            optimizer.zero_grad(), loss.backward(), optimizer.step()
            losses.append(loss.item())
    return losses


def _at_the_end(model, inputs, targets):
    optimizer, losses = torch.optim.Adam(model.parameters(), lr=0.01), []
    for _ in range(40):
        state, loss = None, 0.0
        for x, y in zip(inputs.split(4, 1), targets.split(4, 1), strict=True):
            answers, state = model(x, state)
            loss = loss + nn.functional.mse_loss(answers, y) / 8
        optimizer.zero_grad(), loss.backward(), optimizer.step()
        losses.append(loss.item())
    return losses


MEASURED = "it trains, and on whole sequences errs at {error} of naive after {updates} updates. "
RESET = "Every chunk begins with zeros, so what came before it is lost. Keep the numbers of the state."
NEVER = "The state goes on into the next sequence, which has nothing to do with it. Where one begins, it is zero."
WHOLE = "That is one update a sequence, and the gradient goes back over all of it. Update after every chunk."
MORE = "That is too much. Leave the learning rate and the passes as they were, and look at the state alone."
TWICE = (
    "The state still leads to the graph of the chunk before, whose buffers backward() has freed. What of the state may "
    "go on, and what must end?"
)
KEPT_GRAPH = (
    "So retain_graph=True keeps the old graph, and backward() goes on into it; but the weights in it have moved since. "
    "With it the loop would go further back at every chunk, and get slower. End the history instead."
)
NO_GRAPH = "Now nothing has a history, the answers included. Detach the state alone."


def _wrong(losses, model, inputs, targets):
    """What is wrong with a training, measured on its model, and explained by the states that it began with."""
    with torch.no_grad():
        error = float((model(inputs)[0] - targets).square().mean().sqrt() / targets.square().mean().sqrt())
    whole, never, always = len(losses) <= PASSES, model.zeros < PASSES, model.zeros == model.chunks
    if error <= ENOUGH and not (whole or never or always):
        return None
    why = WHOLE if whole else NEVER if never else RESET if always else MORE
    return MEASURED.format(error=f"{error:.2f}", updates=len(losses)) + why


train = Exercise(
    "train", _train, _cases, tolerance=None, check=_wrong,
    hints=("Which tensor of one chunk is still used in the next one?",
           "backward() walks from the loss to everything that made it. The state was made by the chunk before.",
           "state.detach() has the same numbers, and no history. Where does the line belong?"),
    mistakes=(
        (lambda *of: _wrongly(*of, after=lambda state: None), lambda *of: _wrongly(*of, after=torch.zeros_like),
         MEASURED + RESET),
        (lambda *of: _wrongly(*of, before=lambda state: state), MEASURED + NEVER),
        (lambda *of: _wrongly(*of, size=32), _at_the_end, MEASURED + WHOLE),
        (lambda *of: _wrongly(*of, lr=1e-4), MEASURED + MORE)),
    raises={"backward through the graph a second time": TWICE, "modified by an inplace operation": KEPT_GRAPH,
            "does not require grad": NO_GRAPH},
    kind="return the list of losses, one for each update, not {type}.",
)  # fmt: skip
