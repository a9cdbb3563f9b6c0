"""Tests of this folder need CUDA, and say so where there is none."""

import pytest
import torch


@pytest.fixture(scope="session")
def device() -> torch.device:
    """The GPU; nothing here runs without one."""
    if not torch.cuda.is_available():
        pytest.skip("needs a GPU")
    return torch.device("cuda", torch.cuda.current_device())
