"""Diagnosis: what a series is before training; how far back a network's gradients reach, and how noisy they are."""
