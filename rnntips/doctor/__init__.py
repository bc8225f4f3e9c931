"""Diagnosis: a series before training (`rnntips.look`); a model, a loop and a log; gradients inside a network."""

from rnntips.doctor.log_checks import read
from rnntips.doctor.loop_checks import watch
from rnntips.doctor.model_checks import check

__all__ = ["check", "read", "watch"]
