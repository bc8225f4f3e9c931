"""One function per figure: a record comes in, matplotlib `Axes` go out. Nothing trains here."""

from rnntips.figures.batches import batches
from rnntips.figures.overview import curves, pipeline
from rnntips.figures.paper import COLORS, GREY, log_ticks
from rnntips.figures.rates import rates
from rnntips.figures.studies import both, findings, forecasts, forest, loss_bands, paired, scaled_inputs, series, show

__all__ = ["COLORS", "GREY", "batches", "both", "curves", "findings", "forecasts", "forest", "log_ticks", "loss_bands",
           "paired", "pipeline", "rates", "scaled_inputs", "series", "show"]  # fmt: skip
