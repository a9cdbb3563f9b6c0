"""Golden texts are those of the server's boot check, and their rewards are each text's own."""

import numpy as np
import pytest
import torch

from palate.golden import NUM_TEXTS, golden_texts, rewards_alone
from palate.testing.separate import separate_rewards, sharp_reward_model


def test_they_are_those_of_the_boot_check() -> None:
    boot = pytest.importorskip("palate.serving.boot")
    model = sharp_reward_model()
    ours, theirs = golden_texts(model), boot.golden_texts(model)
    assert [group for group, _ in ours] == [group for group, _ in theirs]
    assert len(ours) == NUM_TEXTS


def test_rewards_are_float32_whatever_the_model_runs_in() -> None:
    model = sharp_reward_model()
    rows = [tokens for _, tokens in golden_texts(model)[:5]]
    model.compute_dtype = torch.bfloat16
    found = rewards_alone(model, rows)
    assert model.compute_dtype is torch.bfloat16
    np.testing.assert_allclose(found, separate_rewards(model, rows).detach(), atol=1e-5)
