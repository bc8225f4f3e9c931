"""Update rules against `torch.optim`, run by run, and laws of clipping, which `test_training` holds against torch."""

import pytest
import torch

from rnntips.optimizers import RULES, clip_gradient, initial_state

R, P, STEPS = 3, 11, 30
ORACLES = {
    ("sgd", 0.0): lambda p, lr, m, d: torch.optim.SGD(p, lr, weight_decay=d),
    ("sgd", 0.9): lambda p, lr, m, d: torch.optim.SGD(p, lr, momentum=m, weight_decay=d),
    ("nesterov", 0.5): lambda p, lr, m, d: torch.optim.SGD(p, lr, momentum=m, weight_decay=d, nesterov=True),
    ("nesterov", 0.95): lambda p, lr, m, d: torch.optim.SGD(p, lr, momentum=m, weight_decay=d, nesterov=True),
    ("rmsprop", 0.0): lambda p, lr, m, d: torch.optim.RMSprop(p, lr, weight_decay=d),
    ("rmsprop", 0.5): lambda p, lr, m, d: torch.optim.RMSprop(p, lr, momentum=m, weight_decay=d),
    ("adam", 0.0): lambda p, lr, m, d: torch.optim.Adam(p, lr, weight_decay=d),
}


@pytest.mark.parametrize(("name", "momentum"), ORACLES)
@pytest.mark.parametrize("decay", [0.0, 0.01])
def test_every_run_follows_torch_with_its_own_learning_rate(name, momentum, decay):
    g = torch.Generator().manual_seed(3)
    start = torch.randn(R, P, generator=g)
    gradients = torch.randn(STEPS, R, P, generator=g)
    rates = torch.tensor([[0.001], [0.01], [0.1]])
    weights, state = start.clone(), initial_state(name, start)
    for step in range(STEPS):
        gradient = gradients[step] + decay * weights
        weights += RULES[name].step(state, gradient, rates, torch.full((R, 1), momentum), step + 1)
    for r in range(R):
        parameter = torch.nn.Parameter(start[r].clone())
        oracle = ORACLES[name, momentum]([parameter], float(rates[r]), momentum, decay)
        for step in range(STEPS):
            parameter.grad = gradients[step, r].clone()
            oracle.step()
        torch.testing.assert_close(weights[r], parameter.detach(), rtol=1e-5, atol=1e-6)


def clipped(gradient, limit, how, tensors=(slice(0, 4), slice(4, 11))):
    out = gradient.clone()
    clip_gradient(out, torch.full((len(out), 1), limit), how, tensors)
    return out


@pytest.mark.parametrize("how", ["global", "tensor", "value"])
def test_a_huge_limit_changes_nothing_and_clipping_twice_is_clipping_once(how):
    gradient = torch.randn(R, P, generator=torch.Generator().manual_seed(5))
    torch.testing.assert_close(clipped(gradient, 1e9, how), gradient, rtol=0, atol=0)
    once = clipped(gradient, 0.5, how)
    torch.testing.assert_close(clipped(once, 0.5, how), once, rtol=1e-5, atol=1e-6)


def test_one_exploding_run_does_not_slow_the_others():
    gradient = torch.ones(2, P) / 10
    alone = clipped(gradient, 1.0, "global")[1]
    gradient[0] = 1e30
    torch.testing.assert_close(clipped(gradient, 1.0, "global")[1], alone, rtol=0, atol=0)
