"""Tests of this folder need CUDA, and say so where there is none."""

import pytest
import torch

from palate.model.kernels import avoid_cudnn_attention


@pytest.fixture(scope="session")
def device() -> torch.device:
    """The GPU; nothing here runs without one."""
    if not torch.cuda.is_available():
        pytest.skip("no CUDA GPU found: nothing here runs without one")
    avoid_cudnn_attention()
    return torch.device("cuda", torch.cuda.current_device())
