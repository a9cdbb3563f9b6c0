"""Rewards of many groups: in order, as one by one, and named where they are not finite."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch

from palate import scoring
from palate.data.render import tokenize
from palate.errors import NonFiniteError
from palate.records import PreferenceGroup, TokenizedGroup
from palate.scoring import score_groups
from palate.testing.groups import random_groups
from palate.testing.tiny import tiny_reward_model


def tokenized(groups: tuple[PreferenceGroup, ...]) -> tuple[TokenizedGroup, ...]:
    return tokenize(groups, tiny_reward_model().tokenizer, max_length=2048).groups


@pytest.mark.parametrize("layout", ["tree", "padded"])
@pytest.mark.parametrize("budget", [1, 300, 5000])
def test_rewards_are_those_of_one_by_one_in_order(layout: str, budget: int) -> None:
    model = tiny_reward_model(layout=layout)
    groups = (*random_groups(9), *random_groups(3, responses=4, seed=1))
    found = list(score_groups(model, tokenized(groups), tokens_per_pack=budget))
    for group, rewards in zip(groups, found, strict=True):
        alone = model.score(group.prompt, [response[0].content for response in group.responses])
        np.testing.assert_allclose(rewards, alone, atol=1e-5)
        assert rewards.dtype == np.float32


def test_windows_keep_the_order(monkeypatch: pytest.MonkeyPatch) -> None:
    model, groups = tiny_reward_model(), tokenized(random_groups(7))
    whole = np.concatenate(list(score_groups(model, groups)))
    monkeypatch.setattr(scoring, "_WINDOW", 3)
    np.testing.assert_allclose(np.concatenate(list(score_groups(model, groups))), whole, atol=1e-6)


def test_results_stream_window_by_window(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scoring, "_WINDOW", 2)
    taken = []

    def stream() -> Iterator[TokenizedGroup]:
        for group in tokenized(random_groups(6)):
            taken.append(group)
            yield group

    next(score_groups(tiny_reward_model(), stream()))
    assert len(taken) == 2


def test_progress_counts_every_group() -> None:
    counted: list[int] = []
    groups = tokenized(random_groups(7))
    list(score_groups(tiny_reward_model(), groups, tokens_per_pack=200, on_progress=counted.append))
    assert sum(counted) == 7
    assert len(counted) > 1


def test_the_mode_is_put_back_and_dropout_is_off_meanwhile() -> None:
    model, groups = tiny_reward_model("gpt2"), tokenized(random_groups(3))
    expected = np.concatenate(list(score_groups(model, groups)))
    model.train()
    assert np.array_equal(np.concatenate(list(score_groups(model, groups))), expected)
    assert model.training


def test_a_reward_that_is_not_finite_is_named() -> None:
    model, groups = tiny_reward_model(), tokenized(random_groups(3))
    with torch.no_grad():
        model.head.score.weight.fill_(torch.inf)
    with pytest.raises(NonFiniteError, match="random:1: the reward is not finite"):
        list(score_groups(model, groups))
    assert len(list(score_groups(model, groups, require_finite=False))) == 3
