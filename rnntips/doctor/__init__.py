"""Diagnosis of networks: how far back gradients reach, and how noisy they are."""
