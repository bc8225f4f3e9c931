"""Triton decides as it is imported whether it compiles or interprets, so this comes before every test."""

import os

import torch

if not torch.cuda.is_available():
    os.environ["TRITON_INTERPRET"] = "1"
