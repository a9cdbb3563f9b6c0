"""States come out of the very passes that give the rewards, and belong to the responses that they are said to."""

from pathlib import Path

import numpy as np
import pytest
import torch

from palate.auditing.local import LocalScorer, RewardMemory
from palate.data.render import tokenize
from palate.data.simulate import simulate
from palate.model.reward_model import Layout, RewardModel
from palate.testing.tiny import tiny_reward_model

GROUPS = simulate(12, seed=2).groups


def by_hand(model: RewardModel) -> list[np.ndarray]:
    """Each group on its own, padded."""
    found = []
    with torch.no_grad():
        for group in GROUPS:
            data = tokenize([group], model.tokenizer, max_length=model.max_length, over_long="error")
            found.append(model.pool(model.collate(data.groups, layout="padded")).numpy())
    return found


@pytest.mark.parametrize("layout", ["tree", "padded"])
@pytest.mark.parametrize("budget", [4096, 300])
def test_states_are_what_the_head_reads(layout: Layout, budget: int) -> None:
    model = tiny_reward_model()
    model.layout = layout
    rewards, states = LocalScorer(model, "rm", tokens_per_pack=budget).score_with_states(GROUPS)
    for own, expected in zip(states, by_hand(model), strict=True):
        np.testing.assert_allclose(own, expected, atol=2e-5)
    for own, expected in zip(rewards, LocalScorer(model, "rm").score(GROUPS), strict=True):
        np.testing.assert_allclose(own, expected, atol=1e-5)


def test_the_model_gives_rewards_again_afterwards() -> None:
    model = tiny_reward_model()
    before = LocalScorer(model, "rm").score(GROUPS)
    LocalScorer(model, "rm").score_with_states(GROUPS)
    np.testing.assert_array_equal(np.concatenate(before), np.concatenate(LocalScorer(model, "rm").score(GROUPS)))


def test_both_are_kept_and_the_same_text_is_computed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny_reward_model()
    first = LocalScorer(model, "rm", memory=RewardMemory(tmp_path, "key")).score_with_states([*GROUPS, GROUPS[0]])
    monkeypatch.setattr(model, "pool", lambda _batch: pytest.fail("computed again"))
    again = LocalScorer(model, "rm", memory=RewardMemory(tmp_path, "key"))
    for kept, computed in zip(again.score_with_states([*GROUPS, GROUPS[0]]), first, strict=True):
        np.testing.assert_array_equal(np.concatenate(kept), np.concatenate(computed))
    np.testing.assert_array_equal(np.concatenate(again.score(GROUPS)), np.concatenate(first[0][:-1]))


def test_rewards_known_without_states_are_computed_again(tmp_path: Path) -> None:
    model = tiny_reward_model()
    LocalScorer(model, "rm", memory=RewardMemory(tmp_path, "key")).score(GROUPS)
    _, states = LocalScorer(model, "rm", memory=RewardMemory(tmp_path, "key")).score_with_states(GROUPS)
    np.testing.assert_allclose(np.concatenate(states), np.concatenate(by_hand(model)), atol=2e-5)


def test_too_long_is_nan_and_counted() -> None:
    model = tiny_reward_model(max_length=150)
    done: list[int] = []
    scorer = LocalScorer(model, "rm", on_progress=done.append)
    rewards, states = scorer.score_with_states(GROUPS)
    assert sum(done) == len(GROUPS)
    long = [bool(np.isnan(one).all()) for one in rewards]
    assert 0 < sum(long) < len(long)
    assert scorer.over_long == sum(long)
    assert [bool(np.isnan(one).all()) for one in states] == long
    assert [one.shape for one in states] == [(len(group.responses), 32) for group in GROUPS]


def test_a_reward_that_is_no_number_is_told_from_a_text_that_was_not_scored() -> None:
    model = tiny_reward_model()
    with torch.no_grad():
        model.head.score.weight.fill_(float("nan"))
    groups = GROUPS[:3]
    rewards, _ = LocalScorer(model, "rm").score_with_states(groups)
    assert np.isinf(np.concatenate(rewards)).all()
    assert np.isinf(np.concatenate(LocalScorer(model, "rm").score(groups))).all()
