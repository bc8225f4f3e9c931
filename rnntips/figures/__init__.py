"""One function per figure: a record comes in, matplotlib `Axes` go out. Nothing trains here."""

from rnntips.figures.batches import batches
from rnntips.figures.clipping import gradients
from rnntips.figures.depths import depths
from rnntips.figures.edge import edge
from rnntips.figures.lengths import lengths
from rnntips.figures.orders import orders
from rnntips.figures.overview import curves, pipeline
from rnntips.figures.paper import COLORS, GREY, log_ticks
from rnntips.figures.rates import rates
from rnntips.figures.reach import reach
from rnntips.figures.studies import both, findings, forecasts, forest, loss_bands, paired, scaled_inputs, series, show

__all__ = [
    "COLORS",
    "GREY",
    "batches",
    "both",
    "curves",
    "depths",
    "edge",
    "findings",
    "forecasts",
    "forest",
    "gradients",
    "lengths",
    "log_ticks",
    "loss_bands",
    "orders",
    "paired",
    "pipeline",
    "rates",
    "reach",
    "scaled_inputs",
    "series",
    "show",
]
