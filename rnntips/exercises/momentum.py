"""The momentum lesson's exercise: write one step."""

import numpy as np

from rnntips.exercises._exercise import Exercise

__all__ = ["one_step"]


def _solution(weights, velocity, gradient, lr, momentum):
    velocity = momentum * velocity + gradient
    return weights - lr * velocity, velocity


def _judge(answer) -> str | None:
    for seed, (lr, momentum) in enumerate([(0.2, 0.9), (0.03, 0.6)]):
        rng = np.random.default_rng(seed)
        weights, gradients = rng.normal(0, 1, 4), rng.normal(0, 1, (5, 4))
        mine = right = weights, np.zeros(4)
        for number, gradient in enumerate(gradients, 1):
            given = [part.copy() for part in (*mine, gradient)]
            returned = answer(given[0], given[1], given[2], lr, momentum)
            if not (isinstance(returned, tuple) and len(returned) == 2):
                return "return two arrays: the new weights and the new velocity."
            before, mine, right = right, tuple(map(np.asarray, returned)), _solution(*right, gradient, lr, momentum)
            if any(part.shape != (4,) for part in mine):
                return f"weights and velocity have shape (4,); yours came as {mine[0].shape} and {mine[1].shape}."
            if not all(np.allclose(one, other) for one, other in zip(mine, right, strict=True)):
                return f"step {number}: {_diagnose(before, mine, gradient, lr, momentum)}"
    return None


def _diagnose(before, mine, gradient, lr: float, momentum: float) -> str:
    """What is wrong with a step from weights and velocity `before`."""
    weights, velocity = before
    right = momentum * velocity + gradient
    steps = [
        (weights + lr * right, "that walks uphill. Subtract the step."),
        (weights - lr * gradient, "the weights follow the gradient alone. They should follow the velocity."),
        (weights - lr * velocity, "the weights follow the old velocity. Renew it first."),
        (weights - right, "the learning rate is missing."),
        (weights - lr * (gradient + momentum * right), "that is Nesterov's step. Plain momentum was asked for."),
    ]
    velocities = [
        (gradient, "the old velocity was forgotten. A share of it stays."),
        (velocity + gradient, "all of the old velocity stays. Multiply it by momentum."),
        (momentum * velocity + (1 - momentum) * gradient,
         "that is a running mean: here the new gradient counts in full, as in PyTorch."),
        (momentum * velocity + lr * gradient, "keep the learning rate out of the velocity; it belongs to the step."),
        (momentum * velocity - lr * gradient, "keep the learning rate out of the velocity; it belongs to the step."),
        (momentum * velocity - gradient, "add the gradient to the velocity; subtract the velocity from the weights."),
        (velocity, "the velocity you return is the old one."),
    ]  # fmt: skip
    for known, part in ((velocities, mine[1]), (steps, mine[0])):
        for value, message in known:
            if np.allclose(part, value) and not np.allclose(part, right):
                return message
    return f"velocity should be {right.round(3).tolist()}, and yours is {mine[1].round(3).tolist()}."


one_step = Exercise(
    "one_step",
    _judge,
    hints=(
        "Two arrays change. Which of them remembers earlier gradients?",
        "velocity = momentum * velocity + gradient. The weights move by it, not by the gradient.",
        "Then weights - lr * velocity, with the new velocity.",
    ),
    solution=_solution,
)
