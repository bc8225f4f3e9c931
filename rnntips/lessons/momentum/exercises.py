"""The momentum lesson's exercise: write one step."""

import numpy as np

from rnntips.notebook.exercise import Exercise

__all__ = ["one_step"]


def _one_step(weights, velocity, gradient, lr, momentum):
    velocity = momentum * velocity + gradient
    return weights - lr * velocity, velocity


one_step = Exercise(
    "one_step", _one_step,
    cases=[(*np.random.default_rng(seed).normal(0, 1, (3, 4)), lr, momentum)
           for seed, lr, momentum in ((0, 0.2, 0.9), (1, 0.03, 0.6))],
    hints=("Two arrays change. Which of them remembers earlier gradients?",
           "velocity = momentum * velocity + gradient. The weights move by it, not by the gradient.",
           "Then weights - lr * velocity, with the new velocity."),
    mistakes=(  # of weights w, velocity v, gradient g, learning rate and momentum m
        (lambda w, v, g, lr, m: (w - lr * g, g), "the old velocity was forgotten. A share of it stays."),
        (lambda w, v, g, lr, m: (w - lr * (v + g), v + g), "all of the old velocity stays. Multiply it by momentum."),
        (lambda w, v, g, lr, m: (w - lr * (m * v + (1 - m) * g), m * v + (1 - m) * g),
         "that is a running mean: here the new gradient counts in full, as in PyTorch."),
        (lambda w, v, g, lr, m: (w - (m * v + lr * g), m * v + lr * g),
         lambda w, v, g, lr, m: (w + (m * v - lr * g), m * v - lr * g),
         lambda w, v, g, lr, m: (w - lr * (m * v + lr * g), m * v + lr * g),
         "keep the learning rate out of the velocity; it belongs to the step."),
        (lambda w, v, g, lr, m: (w + lr * (m * v - g), m * v - g),
         lambda w, v, g, lr, m: (w - lr * (m * v - g), m * v - g),
         "add the gradient to the velocity; subtract the velocity from the weights."),
        (lambda w, v, g, lr, m: (w - lr * g, v), lambda w, v, g, lr, m: (w - lr * v, v),
         lambda w, v, g, lr, m: (w - lr * (m * v + g), v), "the velocity you return is the old one."),
        (lambda w, v, g, lr, m: (w + lr * (m * v + g), m * v + g), "that walks uphill. Subtract the step."),
        (lambda w, v, g, lr, m: (w - lr * g, m * v + g),
         "the weights follow the gradient alone. They should follow the velocity."),
        (lambda w, v, g, lr, m: (w - lr * v, m * v + g), "the weights follow the old velocity. Renew it first."),
        (lambda w, v, g, lr, m: (w - (m * v + g), m * v + g), "the learning rate is missing."),
        (lambda w, v, g, lr, m: (w - lr * (g + m * (m * v + g)), m * v + g),
         "that is Nesterov's step. Plain momentum was asked for.")),
    kind="return two arrays: the new weights and the new velocity.",
    otherwise="weights and velocity should be {right[0]} and {right[1]}; yours are {yours[0]} and {yours[1]}.",
)  # fmt: skip
