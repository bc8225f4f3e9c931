"""The shapes that annotations promise are those of what goes in and comes out."""

import inspect
import re

import jaxtyping
import numpy as np
import pytest
import torch

from rnntips import cells, engine, optimizers, verdict, windows

NAMES = vars(jaxtyping) | {"torch": torch, "np": np, "Tensor": torch.Tensor, "State": torch.Tensor}
R, B, T, C, H = 2, 3, 4, 5, 6
X, W, GIVEN = torch.rand(R, B, T, C), torch.rand(R, C, 3 * H), torch.rand(R, B, T, 3 * H)
OWN, BIAS = torch.rand(R, H, 3 * H), torch.rand(R, 3 * H)
RUNS = np.random.default_rng(0).random((3, 7))
CALLS = [
    (cells.scan, ("gru", GIVEN, OWN, BIAS)),
    (engine.scan, ("gru", GIVEN, OWN, BIAS)),
    (engine.layer, ("gru", X, W, BIAS, OWN, BIAS)),
    (engine.dense, (X, torch.rand(R, C, 8), torch.rand(R, 8))),
    (cells.contributions, (X, W, BIAS)),
    (cells.affine, (X[:, 0], W, BIAS)),
    (windows.fit_scaler, ("standard", np.random.default_rng(0).random((20, 3)))),
    (windows.lagged_differences, (np.arange(9.0), 4)),
    (optimizers.clip_weights, (torch.rand(R, 9), torch.rand(R, 1), "weights")),
    (verdict.cap, tuple(RUNS[:2])),
    (verdict.effects, tuple(RUNS)),
    (verdict.progress, tuple(RUNS)),
]


def sizes(annotation: str, value, known: dict[str, int]) -> None:
    """Compare a value with `Float[Tensor, "R B T C"]`; what a letter stands for must stay the same."""
    found = re.fullmatch(r'Float\[\S+, "([^"]*)"\]', annotation)
    if found and "*" not in found[1]:
        letters = found[1].split()
        assert len(letters) == value.ndim, annotation
        for letter, size in zip(letters, value.shape, strict=True):
            wanted = int(letter) if letter.isdigit() else known.setdefault(letter, size)
            assert letter == "lags" or wanted == size, annotation


@pytest.mark.parametrize(("function", "arguments"), CALLS, ids=lambda one: getattr(one, "__qualname__", ""))
def test_shapes_are_as_annotated(function, arguments):
    signature, known = inspect.signature(function), {}
    for name, value in signature.bind(*arguments).arguments.items():
        annotation = str(signature.parameters[name].annotation).replace("PerRun", 'Float[np.ndarray, " n"]')
        if isinstance(value, np.ndarray | torch.Tensor):
            assert annotation.startswith("Float[") and eval(annotation, NAMES), name
            sizes(annotation.removesuffix(" | None"), value, known)
    returned, promised = function(*arguments), str(signature.return_annotation)
    promised = promised.replace("PerRun", 'Float[np.ndarray, " n"]')
    parts = re.findall(r"Float\[[^\]]*\]", promised)
    for annotation, value in zip(parts, returned if promised.startswith("tuple") else [returned], strict=False):
        sizes(annotation, value, known)
