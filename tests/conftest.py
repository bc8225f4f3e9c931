"""Without a GPU its kernels are interpreted, and tests marked `gpu` leave themselves out, however they were chosen."""

import os

import pytest
import torch

# Triton decides as it is imported whether it compiles or interprets, so this comes before every test.
if not torch.cuda.is_available():
    os.environ["TRITON_INTERPRET"] = "1"
os.environ.pop("RNNTIPS_DEVICE", None)  # a test that is about a GPU says so itself


def pytest_runtest_setup(item):
    if item.get_closest_marker("gpu") and not torch.cuda.is_available():
        pytest.skip("this machine has no GPU")
