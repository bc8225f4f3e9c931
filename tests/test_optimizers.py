"""Update rules against `torch.optim`, run by run, and laws of clipping, which `test_training` holds against torch."""

import inspect

import pytest
import torch

from rnntips.optimizers import clip_gradient, initial_state, numbers_of, step
from rnntips.recipe import Recipe

R, P, STEPS = 3, 11, 30
OPTIM = {name: getattr(torch.optim, name) for name in ("SGD", "RMSprop", "Adam", "AdamW", "Adagrad", "Adadelta")}
CHOICES = [  # of three runs each
    ("SGD", {}), ("SGD", {"momentum": (0.9, 0.5, 0.1)}),
    ("SGD", {"momentum": (0.5, 0.95, 0.9), "nesterov": (True,) * R}),
    ("RMSprop", {}),
    ("RMSprop", {"momentum": (0.5, 0.0, 0.9), "beta2": (0.5, 0.9, 0.999), "epsilon": (1e-3, 0.1, 1e-8)}),
    ("Adam", {}), ("Adam", {"beta1": (0.5, 0.9, 0.0), "beta2": (0.0, 0.99, 0.5), "epsilon": (1e-3, 0.1, 1e-8)}),
    ("AdamW", {}), ("AdamW", {"beta1": (0.5, 0.9, 0.0), "beta2": (0.9, 0.99, 0.5), "epsilon": (1e-3, 0.1, 1e-8)}),
    ("Adagrad", {}), ("Adagrad", {"epsilon": (1e-3, 0.1, 1e-8)}),
    ("Adadelta", {}), ("Adadelta", {"beta2": (0.5, 0.9, 0.99), "epsilon": (1e-3, 0.1, 1e-8)}),
]  # fmt: skip


def theirs(name, recipe, parameters):
    """The optimizer of `torch.optim` with what a recipe sets."""
    usual = inspect.signature(OPTIM[name]).parameters
    more = {"momentum": recipe.momentum} if recipe.momentum else {}
    more |= {"nesterov": True} if recipe.nesterov else {}
    more |= {} if recipe.epsilon is None else {"eps": recipe.epsilon}
    if recipe.beta1 is not None:
        more["betas"] = recipe.beta1, recipe.beta2
    elif recipe.beta2 is not None:
        more["rho" if "rho" in usual else "alpha"] = recipe.beta2
    return OPTIM[name](parameters, recipe.lr, weight_decay=recipe.weight_decay, **more)


@pytest.mark.parametrize(("name", "choices"), CHOICES, ids=str)
@pytest.mark.parametrize("decay", [0.0, 0.01])
def test_every_run_follows_torch_with_its_own_numbers(name, choices, decay):
    g = torch.Generator().manual_seed(3)
    start, gradients = torch.randn(R, P, generator=g), torch.randn(STEPS, R, P, generator=g)
    plain = Recipe(optimizer=name.lower(), weight_decay=decay)
    recipes = [plain.but(lr=lr, **{field: values[r] for field, values in choices.items()})
               for r, lr in enumerate((0.001, 0.01, 0.1))]  # fmt: skip
    weights, state, rule = start.clone(), initial_state(recipes[0].rule, start), recipes[0].rule
    for count in range(STEPS):
        weights += step(rule, state, weights, gradients[count], torch.tensor(decay), numbers_of(recipes), count + 1)
    for r, recipe in enumerate(recipes):
        parameter = torch.nn.Parameter(start[r].clone())
        oracle = theirs(name, recipe, [parameter])
        for count in range(STEPS):
            parameter.grad = gradients[count, r].clone()
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
