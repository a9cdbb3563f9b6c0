"""Golden texts stand for what is scored, and their rewards are each text's own."""

import numpy as np
import torch

from palate.golden import NUM_TEXTS, golden_texts, rewards_alone
from palate.testing.separate import separate_rewards, sharp_reward_model


def test_there_are_sixty_four_of_them_and_some_share_a_prompt() -> None:
    texts = [group for group, _ in golden_texts(sharp_reward_model())]
    assert len(texts) == NUM_TEXTS == 64
    assert len({group.prompt for group in texts}) < NUM_TEXTS


def test_rewards_are_float32_whatever_the_model_runs_in() -> None:
    model = sharp_reward_model()
    rows = [tokens for _, tokens in golden_texts(model)[:5]]
    model.compute_dtype = torch.bfloat16
    found = rewards_alone(model, rows)
    assert model.compute_dtype is torch.bfloat16
    np.testing.assert_allclose(found, separate_rewards(model, rows).detach(), atol=1e-5)
