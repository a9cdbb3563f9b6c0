"""One sharp little model for all tests of serving; those that change it make their own."""

import pytest

from palate.model.reward_model import RewardModel
from palate.testing.separate import sharp_reward_model


@pytest.fixture(scope="session")
def model() -> RewardModel:
    made = sharp_reward_model()
    made.max_length = 400
    return made
