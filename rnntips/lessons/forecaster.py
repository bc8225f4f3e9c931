"""What exercises train whose loop is to be repaired: a network in plain PyTorch, and windows of demand."""

import torch
from torch import Tensor, nn

from rnntips import series, tasks
from rnntips.recipe import Recipe

__all__ = ["Forecaster", "errors", "untrained"]


class Forecaster(nn.Module):
    """A GRU that answers after the last step."""

    def __init__(self, width: int = 24):
        super().__init__()
        self.cell, self.readout = nn.GRU(1, width, batch_first=True), nn.Linear(width, 1)

    def forward(self, inputs: Tensor) -> Tensor:
        """Windows (B, T, 1) → forecasts (B, 1)."""
        return self.readout(self.cell(inputs)[0][:, -1])


def untrained() -> tuple[Forecaster, Tensor, Tensor]:
    """A network that always starts alike, 1,000 windows of demand (B, 16, 1), scaled, and their targets (B, 1)."""
    recipe = Recipe(past=16, train_size=1000, batch_size=1000)
    torch.manual_seed(0)
    return Forecaster(), *next(tasks.forecast(series.demand()).batches(recipe, 0))


def errors(model: nn.Module, inputs: Tensor, targets: Tensor) -> tuple[float, float]:
    """The root mean square error of a model, and that of repeating the last value."""
    with torch.no_grad():
        return tuple(float((found - targets).square().mean().sqrt()) for found in (model(inputs), inputs[:, -1]))
